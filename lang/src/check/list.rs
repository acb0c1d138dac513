//! Lists: of numbers a constant, of tensors a stack on a new first axis.

use super::value::{Operand, Val};
use super::{Checker, R};
use crate::ast::ExprId;
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{Literal, ValueId};
use matex_ir::{DType, Dim, Scalar, Span};

impl Checker<'_> {
    /// The value of `[a, b, …]`.
    pub(crate) fn list(&mut self, items: &[ExprId], span: Span) -> R<Val> {
        if items.is_empty() {
            return self.fail(
                codes::EMPTY_LIST,
                "an empty list has no dtype",
                span,
                "write zeros([0], dtype=f64)",
            );
        }
        let operands: R<Vec<Operand>> = items.iter().map(|e| self.tensor(*e)).collect();
        self.stack_list(&operands?)
    }

    /// Operands of one shape on a new first axis.
    pub(crate) fn stack_list(&mut self, operands: &[Operand]) -> R<Val> {
        let refs: Vec<&Operand> = operands.iter().collect();
        let (dtype, weak) = self.meet(&refs, "a list")?;
        let mut ids = Vec::with_capacity(operands.len());
        for o in operands {
            self.same_shape(&operands[0], o)?;
            ids.push(self.in_dtype(o, dtype)?);
        }
        let dims: Option<Vec<Dim>> = operands
            .iter()
            .map(|o| o.val.dims.as_ref().filter(|_| self.rank(o.val.id) == 0)?.first().cloned())
            .collect();
        let id = match self.constant_list(&ids, dtype) {
            Some(l) => self.b.constant(l),
            None => self.stack_on(&ids, 0),
        };
        Ok(Val { id, weak, dims: dims.filter(|_| dtype.is_int()) })
    }

    fn same_shape(&mut self, first: &Operand, other: &Operand) -> R<()> {
        let (a, b) = (self.shape(first.val.id), self.shape(other.val.id));
        let mut fits = a.len() == b.len();
        for (x, y) in a.iter().zip(&b) {
            fits = fits
                && self.agree(
                    x,
                    y,
                    codes::CALL_SHAPES_DISAGREE,
                    "the parts of a list differ in shape",
                    other.span,
                );
        }
        if fits {
            return Ok(());
        }
        let d = Diagnostic::new(codes::RAGGED_LIST, "the parts of a list differ in shape");
        let d = d.primary(other.span, self.type_text(other.val.id));
        let d = d.secondary(first.span, self.type_text(first.val.id));
        self.error(d.help("give all parts one shape, or join them with concat([…], axis=0)"))
    }

    /// The constant that constants of one shape make together.
    fn constant_list(&self, ids: &[ValueId], dtype: DType) -> Option<Literal> {
        let parts: Option<Vec<&Literal>> = ids.iter().map(|id| self.constant_literal(*id)).collect();
        let parts = parts?;
        let mut shape = vec![parts.len()];
        shape.extend(parts.first()?.shape());
        let elements: Vec<Scalar> = parts.iter().flat_map(|l| l.elements()).collect();
        Literal::new(dtype, shape, &elements)
    }

    /// Values of one shape and dtype on a new axis.
    pub(crate) fn stack_on(&mut self, ids: &[ValueId], axis: usize) -> ValueId {
        let Some(first) = ids.first() else { return ValueId(0) };
        let shape = self.shape(*first);
        let mut expanded = shape.clone();
        expanded.insert(axis.min(shape.len()), Dim::ONE);
        let parts: Vec<ValueId> = ids
            .iter()
            .map(|id| {
                let id = self.retype(*id, &shape);
                self.b.reshape(id, expanded.clone())
            })
            .collect();
        self.b.concat(&parts, axis)
    }
}
