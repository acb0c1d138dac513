//! Operators and elementwise functions: dtypes meet, shapes broadcast, then one op of the table.

use super::domain;
use super::value::{Clash, Operand, Val, promote, weak_meets};
use super::{Checker, R};
use crate::ast::BinaryOp;
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{Kind, Literal, ReduceOp, ValueId};
use matex_ir::{DType, Dim, Op, Scalar, Span};

impl Checker<'_> {
    /// The value of a binary operator.
    pub(crate) fn binary(&mut self, op: BinaryOp, a: Operand, b: Operand, span: Span) -> R<Val> {
        let before = self.b.set_origin(span);
        let name = op.symbol();
        let val = match op {
            BinaryOp::MatMul => self.matmul(a, b, span),
            BinaryOp::And => self.connective(Op::And, name, a, b, span),
            BinaryOp::Or => self.connective(Op::Or, name, a, b, span),
            BinaryOp::Lt => self.compare(Op::Lt, name, a, b, span),
            BinaryOp::Le => self.compare(Op::Le, name, a, b, span),
            BinaryOp::Gt => self.compare(Op::Gt, name, a, b, span),
            BinaryOp::Ge => self.compare(Op::Ge, name, a, b, span),
            BinaryOp::Eq => self.compare(Op::Eq, name, a, b, span),
            BinaryOp::Ne => self.compare(Op::Ne, name, a, b, span),
            BinaryOp::Add => self.arithmetic(Op::Add, name, a, b, span),
            BinaryOp::Sub => self.arithmetic(Op::Sub, name, a, b, span),
            BinaryOp::Mul => self.arithmetic(Op::Mul, name, a, b, span),
            BinaryOp::Rem => self.arithmetic(Op::Rem, name, a, b, span),
            BinaryOp::Div => self.divide(a, b, span),
            BinaryOp::Pow => self.power(a, b, span),
        };
        self.b.set_origin(before);
        val
    }

    /// An op on truth values; both sides are evaluated.
    pub(crate) fn connective(&mut self, op: Op, what: &str, a: Operand, b: Operand, span: Span) -> R<Val> {
        let operands = [self.truth(a, what)?, self.truth(b, what)?];
        self.elementwise(op, &operands, DType::Bool, span)
    }

    /// Adds a node for an op, or its value when all operands are constant scalars.
    pub(crate) fn map_op(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        let constants: Option<Vec<Scalar>> = args.iter().map(|a| self.constant_scalar(*a)).collect();
        if let Some(s) = constants.and_then(|c| op.eval(&c)) {
            return self.b.scalar(s);
        }
        self.b.map(op, args)
    }

    /// The scalar that a value is known to be.
    pub(crate) fn constant_scalar(&self, id: ValueId) -> Option<Scalar> {
        self.constant_literal(id).and_then(Literal::as_scalar)
    }

    pub(crate) fn constant_literal(&self, id: ValueId) -> Option<&Literal> {
        if let Kind::Constant(l) = &self.b.func().node(id).kind { Some(l) } else { None }
    }

    /// The dtype that operands have together, and whether all of them are weak.
    pub(crate) fn meet(&mut self, operands: &[&Operand], what: &str) -> R<(DType, bool)> {
        let mut strong: Option<DType> = None;
        for o in operands.iter().filter(|o| !o.val.weak) {
            let d = self.dtype(o.val.id);
            strong = Some(match strong {
                None => d,
                Some(s) => match promote(s, d) {
                    Ok(p) => p,
                    Err(clash) => return self.clash(clash, operands, what),
                },
            });
        }
        let mut total = strong;
        for o in operands.iter().filter(|o| o.val.weak) {
            let d = self.dtype(o.val.id);
            total = Some(match total {
                None => d,
                // Weak with weak: the wider kind. Weak with strong: the strong one, or f64 for a float with integers.
                Some(t) if strong.is_none() => promote(t, d).unwrap_or(t),
                Some(t) => match weak_meets(d, t) {
                    Some(m) => m,
                    None => return self.clash(Clash::Bool, operands, what),
                },
            });
        }
        match total {
            Some(t) => Ok((t, strong.is_none())),
            None => self.bug("an operation without operands", Span::default()),
        }
    }

    fn clash<T>(&mut self, clash: Clash, operands: &[&Operand], what: &str) -> R<T> {
        let (code, message, help) = match clash {
            Clash::Bool => (
                codes::DTYPE_MISMATCH,
                format!("{what} wants operands that are all bool or all numbers"),
                "turn truth values into numbers with where(c, 1, 0), or numbers into truth values with x != 0",
            ),
            Clash::Signedness => (
                codes::MIXED_SIGNEDNESS,
                format!("{what} has no dtype that holds both u64 and a signed integer"),
                "convert one of them with cast(x, i64) or cast(x, u64)",
            ),
        };
        let mut d = Diagnostic::new(code, message).help(help);
        for (i, o) in operands.iter().enumerate() {
            let text = self.type_text(o.val.id);
            d = if i == 0 { d.primary(o.span, text) } else { d.secondary(o.span, text) };
        }
        self.error(d)
    }

    /// Demands numbers, since arithmetic on truth values is an error.
    pub(crate) fn numbers(&mut self, operands: &[&Operand], what: &str) -> R<()> {
        for o in operands {
            if self.dtype(o.val.id) == DType::Bool {
                let message = format!("{what} of truth values");
                let text = self.text(o.span);
                let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
                let text = inner.filter(|t| !t.contains(['(', ')'])).unwrap_or(text).to_owned();
                let d = Diagnostic::new(codes::ARITHMETIC_ON_BOOL, message)
                    .primary(o.span, self.type_text(o.val.id));
                return self.error(d.help(format!("write where({text}, 1, 0), or count with sum({text})")));
            }
        }
        Ok(())
    }

    /// Demands truth values.
    pub(crate) fn truth(&mut self, x: Operand, what: &str) -> R<Operand> {
        if self.dtype(x.val.id) == DType::Bool {
            return Ok(x);
        }
        let text = self.text(x.span).to_owned();
        let d = Diagnostic::new(codes::EXPECTED_BOOL, format!("{what} wants truth values"));
        let d = d.primary(x.span, self.type_text(x.val.id));
        self.error(d.help(format!("write {text} != 0")))
    }

    /// Converts an operand to a dtype that the rules gave it; a literal must fit.
    pub(crate) fn in_dtype(&mut self, x: &Operand, dtype: DType) -> R<ValueId> {
        if x.val.weak
            && dtype.is_int()
            && let Some(l) = self.constant_literal(x.val.id)
            && l.dtype().is_int()
        {
            let values: Vec<i128> = l.elements().map(|e| e.to_i128()).collect();
            for v in values {
                self.fits(v, dtype, x.span)?;
            }
        }
        Ok(self.b.cast(x.val.id, dtype))
    }

    /// One op on operands that are converted to a dtype and broadcast.
    pub(crate) fn elementwise(&mut self, op: Op, operands: &[Operand], dtype: DType, span: Span) -> R<Val> {
        let weak = operands.iter().all(|o| o.val.weak);
        let ids = self.converted(operands, dtype, span)?;
        Ok(Val::with_weak(self.map_op(op, &ids), weak))
    }

    /// Operands converted to a dtype and broadcast to their common shape.
    pub(crate) fn converted(&mut self, operands: &[Operand], dtype: DType, span: Span) -> R<Vec<ValueId>> {
        let shape = self.common_shape(operands, span)?;
        let mut ids = Vec::with_capacity(operands.len());
        for o in operands {
            let id = self.in_dtype(o, dtype)?;
            ids.push(self.broadcast_to(id, &shape));
        }
        Ok(ids)
    }

    pub(crate) fn common_shape(&mut self, operands: &[Operand], span: Span) -> R<Vec<Dim>> {
        let refs: Vec<&Operand> = operands.iter().collect();
        match self.broadcast_shape(&refs, span) {
            Ok(shape) => {
                // Later operands may have renamed sizes of earlier ones.
                Ok(shape.iter().map(|d| self.resolve(d)).collect())
            }
            Err(d) => self.error(*d),
        }
    }

    /// An arithmetic op that keeps the common dtype.
    pub(crate) fn arithmetic(&mut self, op: Op, what: &str, a: Operand, b: Operand, span: Span) -> R<Val> {
        self.numbers(&[&a, &b], what)?;
        let (dtype, _) = self.meet(&[&a, &b], what)?;
        let dims = known_result(op, &a.val, &b.val);
        let mut val = self.elementwise(op, &[a, b], dtype, span)?;
        val.dims = dims;
        Ok(val)
    }

    pub(crate) fn negate(&mut self, x: Operand, span: Span) -> R<Val> {
        self.numbers(&[&x], "-")?;
        let dtype = self.dtype(x.val.id);
        let dims = x.val.dims.as_ref().map(|ds| ds.iter().map(|d| -d).collect());
        let mut val = self.elementwise(Op::Neg, &[x], dtype, span)?;
        val.dims = dims;
        Ok(val)
    }

    /// True division: of integers it is done in f64.
    pub(crate) fn divide(&mut self, a: Operand, b: Operand, span: Span) -> R<Val> {
        self.numbers(&[&a, &b], "/")?;
        let (dtype, _) = self.meet(&[&a, &b], "/")?;
        let dtype = if dtype.is_int() { DType::F64 } else { dtype };
        self.elementwise(Op::Div, &[a, b], dtype, span)
    }

    pub(crate) fn compare(&mut self, op: Op, what: &str, a: Operand, b: Operand, span: Span) -> R<Val> {
        if !matches!(op, Op::Eq | Op::Ne) {
            self.numbers(&[&a, &b], what)?;
        }
        let (dtype, _) = self.meet(&[&a, &b], what)?;
        let ids = self.converted(&[a, b], dtype, span)?;
        Ok(Val::strong(self.map_op(op, &ids)))
    }

    /// A power; an integer to a negative power is an error, when the program is checked or when it runs.
    pub(crate) fn power(&mut self, a: Operand, b: Operand, span: Span) -> R<Val> {
        self.numbers(&[&a, &b], "**")?;
        let (dtype, weak) = self.meet(&[&a, &b], "**")?;
        let exponent = b.clone();
        if dtype.is_int()
            && let Some(l) = self.constant_literal(b.val.id)
        {
            if l.elements().any(|e| e.to_i128() < 0) {
                let text = self.text(a.span).to_owned();
                let d = Diagnostic::new(codes::NEGATIVE_INTEGER_POWER, "an integer to a negative power")
                    .primary(exponent.span, "negative")
                    .secondary(a.span, self.type_text(a.val.id));
                let wanted = if text.parse::<u64>().is_ok() {
                    format!("{text}.0")
                } else {
                    format!("cast({text}, f64)")
                };
                return self.error(d.help(format!("write {wanted} ** … for a fraction")));
            }
            return self.elementwise(Op::Pow, &[a, b], dtype, span);
        }
        let ids = self.converted(&[a, b], dtype, span)?;
        let mut id = self.map_op(Op::Pow, &ids);
        if dtype.is_signed_int() {
            let holds = self.all_nonnegative(exponent.val.id);
            id = self.b.check(id, holds, codes::RUNTIME_DOMAIN, domain::NEGATIVE_POWER.message.to_owned());
        }
        Ok(Val::with_weak(id, weak))
    }

    /// Whether no element of an integer tensor is negative, as a scalar bool.
    fn all_nonnegative(&mut self, x: ValueId) -> ValueId {
        let ty = self.b.ty(x).clone();
        let zero = self.b.scalar(Scalar::from_i128(ty.dtype, 0));
        let zeros = self.broadcast_to(zero, &ty.shape);
        let fine = self.map_op(Op::Ge, &[x, zeros]);
        self.b.reduce(ReduceOp::All, fine, (0..ty.rank()).collect())
    }
}

/// The known elements of an integer scalar made from two known ones.
fn known_result(op: Op, a: &Val, b: &Val) -> Option<Vec<Dim>> {
    let ([a], [b]) = (a.dims.as_deref()?, b.dims.as_deref()?) else { return None };
    let divides = b.as_const() != Some(0);
    let d = if op == Op::Add {
        a + b
    } else if op == Op::Sub {
        a - b
    } else if op == Op::Mul {
        a * b
    } else if op == Op::FloorDiv && divides {
        a.floor_div(b)
    } else if op == Op::Rem && divides {
        a.rem(b)
    } else if op == Op::Max {
        a.larger(b)
    } else if op == Op::Min {
        a.smaller(b)
    } else {
        return None;
    };
    Some(vec![d])
}
