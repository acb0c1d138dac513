//! Derivatives and vectorization of functions: the body is checked as a region, taken out, and put back transformed.

use super::args::{Args, Src};
use super::callable::{Callable, CallableKind};
use super::value::{Operand, Val, Value};
use super::{Checker, R, Reported};
use crate::ast::{Arg, ExprId, ExprKind, Ident, NumberValue, UnaryOp};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::Span;
use matex_ir::tensor::{TensorType, ValueId};
use matex_ir::transform::{Body, Keep, Refused};

/// What is done to a function.
#[derive(Clone, Debug)]
pub(crate) enum Transform {
    /// The gradient of a scalar result, behind the result itself where that is wanted.
    Grad { wrt: Vec<Ident>, value: bool, keep: Keep },
    /// The derivative of every element of the result by every element of a parameter.
    Jacobian { wrt: Vec<Ident> },
    /// The Jacobian of the gradient.
    Hessian { wrt: Vec<Ident> },
    /// The results, then their change for changes of some of the arguments, which are further arguments.
    Jvp { moving: Vec<usize> },
    /// The function for each entry along axes; `None` for all arguments along the first.
    Vmap { axes: Option<Vec<Option<i64>>>, span: Span },
}

/// A function's body with some of its arguments as parameters.
pub(crate) struct Traced {
    pub(crate) body: Body,
    /// What it gives, in values of the body.
    pub(crate) value: Value,
}

/// The tensors that a value is made of.
pub(crate) fn flat(v: &Value) -> Vec<Val> {
    match v {
        Value::Tensor(t) => vec![t.clone()],
        Value::Tuple(ts) => ts.clone(),
        Value::Poison => Vec::new(),
    }
}

/// One value as it is, several as a tuple.
pub(crate) fn packed(mut vals: Vec<Val>) -> Value {
    match vals.len() {
        1 => Value::Tensor(vals.remove(0)),
        _ => Value::Tuple(vals),
    }
}

impl Checker<'_> {
    /// The function and the transform that a call like `grad(f, wrt=w)` stands for.
    pub(crate) fn transformed(&mut self, name: &Ident, args: &[Arg], span: Span) -> R<(Callable, Transform)> {
        let signature = match &*name.name {
            "vmap" => "f, in_axes=",
            "grad" | "value_and_grad" => "f, wrt=, recompute=",
            _ => "f, wrt=",
        };
        let bound = self.bind_args(name, signature, None, args, span)?;
        let f = self.callable_arg(&bound)?;
        let how = match &*name.name {
            "vmap" => Transform::Vmap { axes: self.in_axes(&bound)?, span },
            "jacobian" => Transform::Jacobian { wrt: self.wrt(&bound)? },
            "hessian" => Transform::Hessian { wrt: self.wrt(&bound)? },
            other => Transform::Grad {
                wrt: self.wrt(&bound)?,
                value: other == "value_and_grad",
                keep: self.keeps(&bound)?,
            },
        };
        Ok((f, how))
    }

    /// The parts of an argument that is written as a tuple or a list, or the one that it is.
    fn written_parts(&self, args: &Args, name: &str) -> Vec<ExprId> {
        let Some(Src::Expr(e)) = args.get(name) else { return Vec::new() };
        if let ExprKind::Tuple(es) | ExprKind::List(es) = &self.ast[*e].kind { es.clone() } else { vec![*e] }
    }

    fn wrt(&mut self, args: &Args) -> R<Vec<Ident>> {
        let mut out: Vec<Ident> = Vec::new();
        for e in self.written_parts(args, "wrt") {
            let span = self.ast[e].span;
            let ExprKind::Name(n) = &self.ast[e].kind else {
                let help = "write the name of a parameter, or several in parentheses: wrt=(a, b)";
                return self.fail(codes::UNKNOWN_PARAMETER, "wrt names parameters", span, help);
            };
            if out.iter().any(|o| o.name == *n) {
                let message = format!("{n} is named twice");
                return self.fail(codes::ARGUMENT_GIVEN_TWICE, message, span, "name each parameter once");
            }
            out.push(Ident { name: n.clone(), span });
        }
        Ok(out)
    }

    /// What the way back keeps of loops, by the flag `recompute`.
    pub(crate) fn keeps(&mut self, args: &Args) -> R<Keep> {
        Ok(if self.flag_arg(args, "recompute", false)? { Keep::Some } else { Keep::All })
    }

    fn in_axes(&mut self, args: &Args) -> R<Option<Vec<Option<i64>>>> {
        if !args.has("in_axes") {
            return Ok(None);
        }
        let mut out = Vec::new();
        for e in self.written_parts(args, "in_axes") {
            let axis = |e: ExprId| {
                let ExprKind::Number(n) = &self.ast[e].kind else { return None };
                if let NumberValue::Int(i) = n.value { i64::try_from(i).ok() } else { None }
            };
            let known = if let ExprKind::Name(n) = &self.ast[e].kind {
                (&**n == "none").then_some(None)
            } else if let ExprKind::Unary { op: UnaryOp::Neg, operand, .. } = &self.ast[e].kind {
                axis(*operand).map(|a| Some(-a))
            } else {
                axis(e).map(Some)
            };
            let Some(known) = known else {
                let (span, help) =
                    (self.ast[e].span, "write an axis for each argument, or none: in_axes=(0, none)");
                return self.fail(codes::NOT_A_CONSTANT_ARGUMENT, "in_axes is made of integers", span, help);
            };
            out.push(known);
        }
        Ok(Some(out))
    }

    pub(crate) fn apply_transformed(
        &mut self,
        of: &Callable,
        how: &Transform,
        args: Vec<Option<Operand>>,
        span: Span,
    ) -> R<Value> {
        match how {
            Transform::Grad { wrt, value, keep } => self.gradient(of, (wrt, *value, *keep), args, span),
            Transform::Jacobian { wrt } => self.jacobian(of, wrt, args, span),
            Transform::Hessian { wrt } => {
                let grad = Transform::Grad { wrt: wrt.clone(), value: false, keep: Keep::All };
                let gradient =
                    Callable { kind: CallableKind::Transformed(Box::new(of.clone()), grad), span: of.span };
                if wrt.len() > 1 {
                    let help = "take it by one parameter, or by one that holds them all";
                    let message = "hessian is taken by one parameter";
                    return self.fail(codes::UNKNOWN_PARAMETER, message, wrt[1].span, help);
                }
                self.jacobian(&gradient, wrt, args, span)
            }
            Transform::Jvp { moving } => {
                let mut args = args;
                let tangents = args.split_off(self.params_of(of).len().min(args.len()));
                self.tangents(of, args, moving, &tangents.into_iter().flatten().collect::<Vec<_>>(), span)
            }
            Transform::Vmap { axes, span: at } => self.vectorized(of, axes.as_deref(), args, *at, span),
        }
    }

    /// Checks a piece of the program as a region of its own and takes it out.
    pub(crate) fn trace(
        &mut self,
        types: &[TensorType],
        run: impl FnOnce(&mut Self, &[ValueId]) -> R<Value>,
    ) -> R<Traced> {
        let mark = self.b.mark();
        let (region, params) = self.b.begin_region(types);
        let value = match run(self, &params) {
            Ok(Value::Poison) | Err(Reported) => {
                self.b.reset(&mark);
                return Err(Reported);
            }
            Ok(v) => v,
        };
        self.b.end_region(flat(&value).iter().map(|v| v.id).collect());
        self.unifier.refresh(self.b.nodes_mut());
        let body = Body::take(&mut self.b, &mark, region);
        self.work += body.size();
        Ok(Traced { body, value })
    }

    /// How many nodes a transform may make.
    pub(crate) fn node_limit(&self) -> usize {
        self.limits.ir_nodes.saturating_sub(self.work)
    }

    /// What a transform gives, or the error that it is refused with.
    pub(crate) fn accept<T>(
        &mut self,
        span: Span,
        run: impl FnOnce(&mut Self) -> Result<T, Refused>,
    ) -> R<T> {
        let mark = self.b.mark();
        let before = self.b.set_origin(span);
        let made = run(self);
        self.b.set_origin(before);
        match made {
            Ok(v) => {
                self.check_size(span)?;
                Ok(v)
            }
            Err(refused) => {
                self.b.reset(&mark);
                self.refused(refused, span)
            }
        }
    }

    fn refused<T>(&mut self, refused: Refused, span: Span) -> R<T> {
        match refused {
            Refused::NoDerivative { what, help, origin } => {
                let at = if origin == Span::default() { span } else { origin };
                let mut d = Diagnostic::new(codes::NOT_DIFFERENTIABLE, what).primary(at, "");
                if at != span {
                    d = d.secondary(span, "differentiated here");
                }
                self.error(d.help(help))
            }
            Refused::TooLarge => {
                let message = format!("the program has more than {} operations", self.limits.ir_nodes);
                let d = Diagnostic::new(codes::LIMIT_IR_NODES, message).primary(span, "reached here");
                self.error(d.note("the limit is `Limits::ir_nodes`").help("nest fewer transforms"))
            }
        }
    }

    /// A function with the arguments at some places as parameters of a region.
    pub(crate) fn traced(
        &mut self,
        of: &Callable,
        args: &[Option<Operand>],
        places: &[usize],
        types: &[TensorType],
        span: Span,
    ) -> R<Traced> {
        self.trace(types, |c, params| {
            let mut inside = args.to_vec();
            for (place, p) in places.iter().zip(params) {
                if let Some(Some(o)) = inside.get_mut(*place) {
                    o.val = Val { id: *p, weak: o.val.weak, dims: None };
                }
            }
            c.apply(of, inside, span)
        })
    }

    /// The same for a function that is going to be differentiated, of which some operations are made of others then.
    pub(crate) fn differentiable(
        &mut self,
        of: &Callable,
        args: &[Option<Operand>],
        places: &[usize],
        types: &[TensorType],
        span: Span,
    ) -> R<Traced> {
        self.differentiated += 1;
        let traced = self.traced(of, args, places, types, span);
        self.differentiated -= 1;
        traced
    }

    /// The types of operands, with all that is known of sizes by now.
    pub(crate) fn operand_types(&self, operands: &[Operand]) -> Vec<TensorType> {
        let of = |o: &Operand| TensorType::new(self.dtype(o.val.id), self.shape(o.val.id));
        operands.iter().map(of).collect()
    }
}
