//! Functional updates: `x[i] = e` makes a new value for `x`.

use super::slice::Cut;
use super::value::{Operand, Val};
use super::{Checker, R};
use crate::ast::{AssignOp, ExprId, Ident, Index};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{SliceAxis, UpdateAxis, ValueId};
use matex_ir::{DType, Dim, Span};

impl Checker<'_> {
    /// `target[indices] op value`.
    pub(crate) fn update(
        &mut self,
        target: &Ident,
        indices: &[Index],
        op: AssignOp,
        value: ExprId,
        span: Span,
    ) -> R<()> {
        let new = self.tensor(value)?;
        let old = self.target(target)?;
        let before = self.b.set_origin(span);
        let result = self.updated(&old, indices, op, new, span);
        self.b.set_origin(before);
        let val = result?;
        self.assign(&target.name, val.into());
        Ok(())
    }

    fn updated(
        &mut self,
        old: &Operand,
        indices: &[Index],
        op: AssignOp,
        new: Operand,
        span: Span,
    ) -> R<Val> {
        let x = self.target_dtype(old, &new)?;
        let shape = self.shape(x.val.id);
        let text = self.type_text(x.val.id);
        let (cuts, conditions) = self.cuts_here(&shape, x.span, indices, &text)?;
        let checked = self.under(x.val.id, conditions);
        let x = Operand { val: Val::with_weak(checked, x.val.weak), span: x.span };
        let part = self.read(x.val.id, &cuts)?;
        let new = match op.binary() {
            Some(op) => {
                let part = Operand { val: Val::with_weak(part, x.val.weak), span: old.span };
                Operand { val: self.binary(op, part, new.clone(), span)?, span: new.span }
            }
            None => new,
        };
        let value = self.fitted(&x, part, new)?;
        let id = self.write(x.val.id, value, &cuts)?;
        Ok(Val::with_weak(id, x.val.weak))
    }

    /// The target in the dtype it keeps; a literal takes that of the first thing written into it.
    fn target_dtype(&mut self, old: &Operand, new: &Operand) -> R<Operand> {
        if !old.val.weak || new.val.weak && self.dtype(old.val.id) == self.dtype(new.val.id) {
            return Ok(old.clone());
        }
        let (dtype, weak) = self.meet(&[old, new], "an update")?;
        let id = self.in_dtype(old, dtype)?;
        Ok(Operand { val: Val::with_weak(id, weak), span: old.span })
    }

    /// The new elements in the dtype of the target and the shape of the place.
    fn fitted(&mut self, x: &Operand, part: ValueId, new: Operand) -> R<ValueId> {
        let (wanted, actual) = (self.dtype(x.val.id), self.dtype(new.val.id));
        let bool_mix = (wanted == DType::Bool) != (actual == DType::Bool);
        if bool_mix || (wanted.is_int() && actual.is_float()) {
            let message = format!("{actual} elements cannot be written into {wanted}");
            let help = match new.val.weak {
                true => format!("write a literal of {wanted}, or make the target one of {actual} with cast"),
                false => format!("convert them with cast(…, {wanted})"),
            };
            let code = if new.val.weak { codes::LITERAL_KIND } else { codes::DTYPE_MISMATCH };
            return self.mismatch(code, message, &new, x, &help);
        }
        let id = self.in_dtype(&new, wanted)?;
        let (place, own) = (self.shape(part), self.shape(id));
        let mut fits = own.len() <= place.len();
        for (p, o) in place.iter().rev().zip(own.iter().rev()) {
            fits = fits
                && (o.is(1)
                    || self.agree(p, o, codes::CALL_SHAPES_DISAGREE, "new elements do not fit", new.span));
        }
        if !fits {
            let d = Diagnostic::new(codes::UPDATE_DOES_NOT_FIT, "the new elements do not fit the place");
            let d = d
                .primary(new.span, self.type_text(id))
                .secondary(x.span, format!("the place is {}", self.type_text(part)));
            return self.error(d.help("give them the shape of the place, or one that broadcasts to it"));
        }
        let place = self.shape(part);
        Ok(self.broadcast_to(id, &place))
    }

    /// The target with a part replaced; `value` has the shape of the part.
    fn write(&mut self, x: ValueId, value: ValueId, cuts: &[Cut]) -> R<ValueId> {
        let array = cuts.iter().find_map(|c| if let Cut::Array(o) = c { Some(o.clone()) } else { None });
        let value = match array {
            None => value,
            Some(o) => self.scattered(x, value, cuts, &o)?,
        };
        let shape = self.shape(x);
        let mut axes = Vec::new();
        let mut lens = Vec::new();
        let mut indices = Vec::new();
        for cut in cuts {
            match cut {
                Cut::Slice { axis, len, .. } => {
                    axes.push(UpdateAxis::Slice(axis.clone()));
                    lens.push(len.clone());
                }
                Cut::Array(_) => {
                    lens.push(shape[axes.len()].clone());
                    axes.push(UpdateAxis::Slice(SliceAxis { start: Dim::ZERO, step: 1 }));
                }
                Cut::Dynamic(o) => {
                    axes.push(UpdateAxis::Index);
                    lens.push(Dim::ONE);
                    indices.push(self.b.cast(o.val.id, DType::I64));
                }
                Cut::New => {}
            }
        }
        let value = self.b.reshape(value, lens);
        Ok(self.b.update(x, value, &indices, axes))
    }

    /// The whole axis of an index array with the new elements in their places.
    fn scattered(&mut self, x: ValueId, value: ValueId, cuts: &[Cut], index: &Operand) -> R<ValueId> {
        let axis_cut = cuts.iter().position(|c| matches!(c, Cut::Array(_))).unwrap_or(0);
        let axes_before = cuts[..axis_cut]
            .iter()
            .filter(|c| !matches!(c, Cut::New | Cut::Slice { drop: true, .. } | Cut::Dynamic(_)));
        let axis = axes_before.count();
        let x_axis = cuts[..axis_cut].iter().filter(|c| !matches!(c, Cut::New)).count();
        let extent = self.shape(x)[x_axis].clone();
        if self.rank(index.val.id) != 1 {
            let message = format!(
                "an index array of an update must have one axis, this is {}",
                self.type_text(index.val.id)
            );
            return self.fail(codes::RANK_MISMATCH, message, index.span, "flatten it with reshape(…, [-1])");
        }
        // The part that the other cuts pick, with the axis whole.
        let whole: Vec<Cut> = cuts
            .iter()
            .filter(|c| !matches!(c, Cut::New))
            .map(|c| match c {
                Cut::Array(_) => Cut::Slice {
                    axis: SliceAxis { start: Dim::ZERO, step: 1 },
                    len: extent.clone(),
                    drop: false,
                },
                Cut::Slice { .. } | Cut::Dynamic(_) | Cut::New => c.clone(),
            })
            .collect();
        let part = self.read(x, &whole)?;
        let mut shape = self.shape(part);
        shape[axis] = self.shape(index.val.id)[0].clone();
        let value = self.b.reshape(value, shape.clone());
        let i = self.b.cast(index.val.id, DType::I64);
        let i = self.b.broadcast(i, shape, vec![axis]);
        Ok(self.b.scatter_along(part, i, value, axis, false))
    }
}
