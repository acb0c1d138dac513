//! Expressions: a loop down the left spine, then each node on the value of the one before.

use super::value::{Operand, Val, Value};
use super::{Checker, R, Reported, builtins};
use crate::ast::{ExprId, ExprKind, Ident, Number, NumberValue, UnaryOp};
use crate::codes;
use matex_ir::{DType, Dim, Op, Scalar, Span};

impl Checker<'_> {
    /// The value of an expression.
    pub(crate) fn expr(&mut self, id: ExprId) -> R<Value> {
        let mut spine = Vec::new();
        let mut leaf = id;
        while let Some(left) = self.ast.left(leaf) {
            spine.push(leaf);
            leaf = left;
        }
        let mut span = self.ast[leaf].span;
        let before = self.b.set_origin(span);
        let mut value = self.called_function(leaf, &mut spine, &mut span);
        while let (Ok(v), Some(id)) = (&value, spine.pop()) {
            let left = (v.clone(), span);
            span = self.ast[id].span;
            self.b.set_origin(span);
            value = self.check_size(span).and_then(|()| self.step(id, left));
        }
        self.b.set_origin(before);
        value
    }

    /// The value of a leaf, or of `grad(f)(x)`, whose first call gives a function and whose second one stands on top of
    /// the spine.
    fn called_function(&mut self, leaf: ExprId, spine: &mut Vec<ExprId>, span: &mut Span) -> R<Value> {
        let ast = self.ast;
        if let ExprKind::Call { name, .. } = &ast[leaf].kind
            && builtins::makes_function(&name.name)
            && let Some(ExprKind::CallExpr { args, .. }) = spine.last().map(|id| &ast[*id].kind)
        {
            *span = spine.pop().map_or(*span, |id| ast[id].span);
            let f = self.callable(leaf)?;
            return self.call_callable(&f, args, *span);
        }
        self.leaf(leaf)
    }

    /// The value of an expression that must be one tensor.
    pub(crate) fn tensor(&mut self, id: ExprId) -> R<Operand> {
        let span = self.ast[id].span;
        let value = self.expr(id)?;
        if let (ExprKind::Tuple(parts), Value::Tuple(_)) = (&self.ast[id].kind, &value) {
            let inner = self.text(span).trim_start_matches('(').trim_end_matches(')');
            let help = if inner.len() < 40 && !inner.contains(['(', ')', '\n']) {
                format!("a list is written in brackets: [{inner}]")
            } else {
                "a list is written in brackets: [a, b]".to_owned()
            };
            let message = format!("a tuple of {} values stands where one tensor is wanted", parts.len());
            return self.fail(codes::TUPLE_MISUSE, message, span, help);
        }
        self.one(value, span)
    }

    /// The one tensor that a value is.
    pub(crate) fn one(&mut self, value: Value, span: Span) -> R<Operand> {
        match value {
            Value::Tensor(val) => Ok(Operand { val, span }),
            Value::Tuple(vs) => {
                let message = format!("a tuple of {} values stands where one tensor is wanted", vs.len());
                let help = "unpack it, as in (a, b) = …, or take one with [0]";
                self.fail(codes::TUPLE_MISUSE, message, span, help)
            }
            Value::Poison => Err(Reported),
        }
    }

    fn leaf(&mut self, id: ExprId) -> R<Value> {
        let ast = self.ast;
        let span = ast[id].span;
        match &ast[id].kind {
            ExprKind::Number(n) => Ok(self.number(*n, false, span)?.into()),
            ExprKind::Bool(b) => {
                let id = self.constant(Scalar::from_bits(DType::Bool, (*b).into()));
                Ok(Val::strong(id).into())
            }
            ExprKind::Name(n) => self.variable(n, span),
            ExprKind::Positional(k) => self.variable(&format!("${k}"), span),
            ExprKind::Str(_) => self.fail(
                codes::STRING_NOT_ALLOWED,
                "a string is no value",
                span,
                "strings are for the spec of einsum",
            ),
            ExprKind::Tuple(es) => {
                let vals: R<Vec<Val>> = es.iter().map(|e| Ok(self.tensor(*e)?.val)).collect();
                Ok(Value::Tuple(vals?))
            }
            ExprKind::List(es) => Ok(self.list(es, span)?.into()),
            ExprKind::Unary { op, operand, .. } => self.unary(*op, *operand, span),
            ExprKind::Call { name, args } => self.call(name, None, args, span),
            ExprKind::If(i) => self.if_expr(i, span),
            ExprKind::Lambda { .. } => {
                let help = "a lambda stands only as an argument of vmap, scan, fold, grad and their like";
                self.fail(codes::LAMBDA_NOT_ALLOWED, "a lambda is no value", span, help)
            }
            ExprKind::Binary { .. }
            | ExprKind::MethodCall { .. }
            | ExprKind::Attr { .. }
            | ExprKind::CallExpr { .. }
            | ExprKind::Index { .. } => self.bug("a spine node as a leaf", span),
        }
    }

    /// A node of the spine, on the value of what stands left in it.
    fn step(&mut self, id: ExprId, (left, left_span): (Value, Span)) -> R<Value> {
        let ast = self.ast;
        let span = ast[id].span;
        match &ast[id].kind {
            ExprKind::Binary { op, rhs, .. } => {
                let a = self.one(left, left_span)?;
                let b = self.tensor(*rhs)?;
                Ok(self.binary(*op, a, b, span)?.into())
            }
            ExprKind::MethodCall { name, args, .. } => self.call(name, Some((left, left_span)), args, span),
            ExprKind::Attr { name, .. } => self.attribute(left, left_span, name),
            ExprKind::Index { indices, .. } => self.index(left, left_span, indices, span),
            ExprKind::CallExpr { .. } => self.fail(
                codes::VALUE_AS_FUNCTION,
                "this is not a function",
                left_span,
                "call a function by its name, or multiply with *",
            ),
            ExprKind::Number(_)
            | ExprKind::Bool(_)
            | ExprKind::Name(_)
            | ExprKind::Positional(_)
            | ExprKind::Str(_)
            | ExprKind::Tuple(_)
            | ExprKind::List(_)
            | ExprKind::Unary { .. }
            | ExprKind::Call { .. }
            | ExprKind::If(_)
            | ExprKind::Lambda { .. } => self.bug("a leaf as a spine node", span),
        }
    }

    fn variable(&mut self, name: &str, span: Span) -> R<Value> {
        if let Some(v) = self.frame.vars.get(name) {
            return match v {
                Value::Poison => Err(Reported),
                Value::Tensor(_) | Value::Tuple(_) => Ok(v.clone()),
            };
        }
        if let Some(d) = self.frame.sizes.get(name) {
            let d = self.resolve(d);
            return Ok(self.size_value(d).into());
        }
        let constant = match name {
            "pi" => std::f64::consts::PI,
            "inf" => f64::INFINITY,
            "nan" => f64::NAN,
            _ => {
                let message = format!("{name} has no value here");
                let help = format!(
                    "assign {name} on every way that leads here; a name first assigned in a block ends with it"
                );
                return self.fail(codes::UNASSIGNED_VARIABLE, message, span, help);
            }
        };
        let id = self.constant(Scalar::from_f64(DType::F64, constant));
        Ok(Val::with_weak(id, true).into())
    }

    /// A literal, with its sign so that the least integer can be written.
    fn number(&mut self, n: Number, negative: bool, span: Span) -> R<Val> {
        let sign = if negative { -1 } else { 1 };
        let value = match n.value {
            NumberValue::Float(f) => {
                let dtype = n.suffix.unwrap_or(DType::F64);
                let id = self.constant(Scalar::from_f64(DType::F64, f64::from(sign) * f).cast(dtype));
                return Ok(Val::with_weak(id, n.suffix.is_none()));
            }
            NumberValue::Int(i) => i128::try_from(i).unwrap_or(i128::MAX) * i128::from(sign),
        };
        let dtype = n.suffix.unwrap_or(DType::I64);
        if dtype.is_float() {
            let id = self.constant(Scalar::from_i128(dtype, value));
            return Ok(Val::strong(id));
        }
        self.fits(value, dtype, span)?;
        let id = self.constant(Scalar::from_i128(dtype, value));
        let dims = i64::try_from(value).ok().map(|v| vec![Dim::constant(v)]);
        Ok(Val { id, weak: n.suffix.is_none(), dims })
    }

    /// Demands that an integer literal is in the range of its dtype.
    pub(crate) fn fits(&mut self, value: i128, dtype: DType, span: Span) -> R<()> {
        if Scalar::from_i128(dtype, value).to_i128() == value {
            return Ok(());
        }
        let bits = dtype.bits();
        let range = if dtype.is_signed_int() {
            format!("-2^{0} to 2^{0} - 1", bits - 1)
        } else {
            format!("0 to 2^{bits} - 1")
        };
        let suffixed = self.text(span).ends_with(dtype.name());
        let help = if suffixed {
            format!("{dtype} holds {range}; write a suffix that is wide enough")
        } else if u64::try_from(value).is_ok() && dtype == DType::I64 {
            format!("write {value}u64, or {value}.0 for a float")
        } else if dtype == DType::I64 {
            format!("write {value}.0 for a float: no integer is as large")
        } else {
            format!("{dtype} holds {range}; convert the other operand with cast(…)")
        };
        self.fail(codes::LITERAL_OUT_OF_RANGE, format!("{value} does not fit {dtype}"), span, help)
    }

    fn unary(&mut self, op: UnaryOp, operand: ExprId, span: Span) -> R<Value> {
        if let (UnaryOp::Neg, ExprKind::Number(n)) = (op, &self.ast[operand].kind) {
            return Ok(self.number(*n, true, span)?.into());
        }
        let x = self.tensor(operand)?;
        match op {
            UnaryOp::Neg => Ok(self.negate(x, span)?.into()),
            UnaryOp::Not => {
                let x = self.truth(x, "!")?;
                let id = self.map_op(Op::Not, &[x.val.id]);
                Ok(Val::strong(id).into())
            }
        }
    }

    fn attribute(&mut self, left: Value, span: Span, name: &Ident) -> R<Value> {
        let x = self.one(left, span)?;
        let rank = self.rank(x.val.id);
        match &*name.name {
            "T" if rank > 2 => {
                let message =
                    format!("{}.T needs a matrix, this is {}", self.text(span), self.type_text(x.val.id));
                self.fail(codes::RANK_MISMATCH, message, name.span, "write .mT to swap the last two axes")
            }
            "T" | "mT" if rank < 2 && &*name.name == "T" => Ok(x.val.into()),
            "T" | "mT" if rank >= 2 => Ok(self.swap_last_axes(x.val).into()),
            "mT" => {
                let message = format!(".mT needs two axes or more, this is {}", self.type_text(x.val.id));
                self.fail(codes::RANK_MISMATCH, message, name.span, "write x[:, newaxis] to make a column")
            }
            other => {
                let help = if super::is_builtin(other) || self.fns.contains_key(other) {
                    format!("call it: .{other}()")
                } else {
                    "there are .T and .mT; a function is called as x.f()".to_owned()
                };
                self.fail(
                    codes::UNKNOWN_ATTRIBUTE,
                    format!("there is no attribute .{other}"),
                    name.span,
                    help,
                )
            }
        }
    }

    pub(crate) fn swap_last_axes(&mut self, x: Val) -> Val {
        let rank = self.rank(x.id);
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 1, rank - 2);
        Val::with_weak(self.b.permute(x.id, perm), x.weak)
    }
}
