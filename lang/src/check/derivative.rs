//! The transforms that are derivatives: what is differentiated by what, and what comes out.

use super::callable::{Callable, CallableKind};
use super::resolve::counted;
use super::transform::{Traced, flat, packed};
use super::value::{Operand, Val, Value};
use super::{Checker, R};
use crate::ast::{DTypeExpr, Ident};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{TensorType, Type, ValueId};
use matex_ir::transform::{self, Keep};
use matex_ir::{DType, Scalar, Span};

impl Checker<'_> {
    /// The places of the parameters that a function is differentiated by: those named, else the first float one.
    fn places(
        &mut self,
        of: &Callable,
        wrt: &[Ident],
        args: &[Option<Operand>],
        span: Span,
    ) -> R<Vec<usize>> {
        let params = self.params_of(of);
        if wrt.is_empty() {
            for (i, a) in args.iter().enumerate() {
                let declared = self.declared_float(of, i);
                if a.as_ref().is_some_and(|o| declared.is_some() || self.dtype(o.val.id).is_float()) {
                    return Ok(vec![i]);
                }
            }
            let help = "only floats have derivatives; write 3.0 for 3, or cast(x, f64)";
            return self.fail(codes::EXPECTED_FLOAT, "no argument is a float", span, help);
        }
        let mut out = Vec::new();
        for w in wrt {
            match params.iter().position(|p| p.name == w.name) {
                Some(i) => out.push(i),
                None => {
                    let names: Vec<&str> = params.iter().map(|p| &*p.name).collect();
                    let message = format!("the function has no parameter {}", w.name);
                    let d = Diagnostic::new(codes::UNKNOWN_PARAMETER, message).primary(w.span, "");
                    let d = d.secondary(of.span, "the function");
                    return self.error(d.help(format!("it has: {}", names.join(", "))));
                }
            }
        }
        Ok(out)
    }

    /// The float dtype that a parameter is declared with.
    fn declared_float(&self, of: &Callable, place: usize) -> Option<DType> {
        match &of.kind {
            CallableKind::User(id) => match self.ast[*id].params.get(place)?.ty.as_ref()?.dtype {
                DTypeExpr::Concrete(d) => Some(d).filter(|d| d.is_float()),
                DTypeExpr::Float => Some(DType::F64),
                DTypeExpr::Int | DTypeExpr::Num => None,
            },
            CallableKind::Transformed(inner, _) => self.declared_float(inner, place),
            CallableKind::Builtin(_) | CallableKind::Lambda(_) | CallableKind::Program(_) => None,
        }
    }

    /// The argument at a place, a float; a literal is one where a float is declared.
    fn float_argument(
        &mut self,
        of: &Callable,
        args: &[Option<Operand>],
        place: usize,
        span: Span,
    ) -> R<Operand> {
        let Some(mut o) = args.get(place).cloned().flatten() else {
            let name = self.params_of(of).get(place).map_or_else(String::new, |p| p.name.to_string());
            let message = format!("{name} is left to its default and cannot be differentiated by");
            return self.fail(codes::MISSING_ARGUMENT, message, span, format!("give it: {name}=…"));
        };
        let own = self.dtype(o.val.id);
        if own.is_int()
            && o.val.weak
            && let Some(d) = self.declared_float(of, place)
        {
            let id = self.in_dtype(&o, d)?;
            o.val = Val::with_weak(id, true);
        } else if !own.is_float() {
            let message = format!("a derivative by a float is wanted, this is {}", self.type_text(o.val.id));
            let help = "only floats have derivatives; write 3.0 for 3, or cast(x, f64)";
            return self.fail(codes::EXPECTED_FLOAT, message, o.span, help);
        }
        Ok(o)
    }

    pub(crate) fn float_arguments(
        &mut self,
        of: &Callable,
        wrt: &[Ident],
        args: &mut [Option<Operand>],
        span: Span,
    ) -> R<(Vec<usize>, Vec<Operand>)> {
        let places = self.places(of, wrt, args, span)?;
        let mut operands = Vec::new();
        for p in &places {
            let o = self.float_argument(of, args, *p, span)?;
            args[*p] = Some(o.clone());
            operands.push(o);
        }
        Ok((places, operands))
    }

    /// The one float result that a function to be differentiated has.
    pub(crate) fn float_result(
        &mut self,
        of: &Callable,
        traced: &mut Traced,
        scalar: bool,
        span: Span,
    ) -> R<TensorType> {
        let results = flat(&traced.value);
        let help = if scalar {
            "give one scalar, as sum(…) or mean(…) do; jacobian takes the derivative of every element"
        } else {
            "give one tensor of floats"
        };
        let ty = match results.as_slice() {
            [one] => match traced.body.type_of(&self.b, one.id) {
                Type::Tensor(t) => t,
                Type::Tuple(_) => return self.bug("a tuple as a tensor", span),
            },
            several => {
                let message = format!("the function gives {} results", several.len());
                let d = Diagnostic::new(codes::NOT_DIFFERENTIABLE, message).primary(of.span, "");
                return self.error(d.secondary(span, "differentiated here").help(help));
            }
        };
        if ty.dtype.is_float() && (ty.rank() == 0 || !scalar) {
            return Ok(ty);
        }
        let dims: Vec<String> = ty.shape.iter().map(super::dims::user_text).collect();
        let text =
            if dims.is_empty() { ty.dtype.to_string() } else { format!("{}[{}]", ty.dtype, dims.join(", ")) };
        let wanted = if scalar { "a scalar float" } else { "floats" };
        let message = format!("the function gives {text}, and {wanted} is differentiated");
        let d = Diagnostic::new(codes::NOT_DIFFERENTIABLE, message).primary(of.span, "");
        self.error(d.secondary(span, "differentiated here").help(help))
    }

    pub(crate) fn gradient(
        &mut self,
        of: &Callable,
        (wrt, value, keep): (&[Ident], bool, Keep),
        mut args: Vec<Option<Operand>>,
        span: Span,
    ) -> R<Value> {
        let (places, operands) = self.float_arguments(of, wrt, &mut args, span)?;
        let types = self.operand_types(&operands);
        let mut traced = self.differentiable(of, &args, &places, &types, span)?;
        let ty = self.float_result(of, &mut traced, true, span)?;
        let ids: Vec<ValueId> = operands.iter().map(|o| o.val.id).collect();
        let marked = vec![true; ids.len()];
        let limit = self.node_limit();
        let (result, gradients) = self.accept(span, |c| {
            let one = Scalar::from_i128(ty.dtype, 1);
            let out = transform::reverse(&mut c.b, &traced.body, &ids, &marked, (keep, limit), |b, _| {
                vec![Some(b.scalar(one))]
            })?;
            let mut gradients = Vec::new();
            for (ct, ty) in out.cotangents.iter().zip(&types) {
                gradients.push(ct.unwrap_or_else(|| c.repeated(Scalar::from_bits(ty.dtype, 0), &ty.shape)));
            }
            Ok((out.results[0], gradients))
        })?;
        let weak = flat(&traced.value).first().is_some_and(|v| v.weak);
        let mut vals = Vec::new();
        if value {
            vals.push(Val::with_weak(result, weak));
        }
        for (g, o) in gradients.into_iter().zip(&operands) {
            vals.push(Val::with_weak(g, o.val.weak));
        }
        Ok(packed(vals))
    }

    /// Results, then their tangents, for tangents of the arguments at some places.
    pub(crate) fn tangents(
        &mut self,
        of: &Callable,
        mut args: Vec<Option<Operand>>,
        places: &[usize],
        vs: &[Operand],
        span: Span,
    ) -> R<Value> {
        let count = self.params_of(of).len();
        if vs.len() != places.len() || count < args.len() {
            let message = format!("{} and {}", counted(args.len(), "value"), counted(vs.len(), "tangent"));
            let help = "give as many of each as the function has parameters: jvp(f, (x, y), (v, w))";
            return self.fail(codes::WRONG_ARGUMENT_COUNT, message, span, help);
        }
        let (mut operands, mut tangents) = (Vec::new(), Vec::new());
        for (p, t) in places.iter().zip(vs) {
            let o = self.float_argument(of, &args, *p, span)?;
            tangents.push(Some(self.like(t, &o)?));
            args[*p] = Some(o.clone());
            operands.push(o);
        }
        let types = self.operand_types(&operands);
        let traced = self.differentiable(of, &args, places, &types, span)?;
        let ids: Vec<ValueId> = operands.iter().map(|o| o.val.id).collect();
        let limit = self.node_limit();
        let pairs =
            self.accept(span, |c| transform::forward(&mut c.b, &traced.body, &ids, &tangents, limit))?;
        let mut vals: Vec<Val> = pairs.iter().map(|(v, _)| Val::strong(*v)).collect();
        for (v, t) in pairs {
            let (dtype, shape) = (self.dtype(v), self.shape(v));
            let t = t.unwrap_or_else(|| self.repeated(Scalar::from_bits(dtype, 0), &shape));
            vals.push(Val::strong(t));
        }
        Ok(Value::Tuple(vals))
    }

    /// A value of the dtype and shape of another.
    fn like(&mut self, t: &Operand, x: &Operand) -> R<ValueId> {
        let (dtype, own) = (self.dtype(x.val.id), self.dtype(t.val.id));
        if own != dtype && !(t.val.weak && super::params::converts(own, dtype)) {
            let message = format!("a tangent of {dtype} is wanted, this is {own}");
            return self.mismatch(
                codes::DTYPE_MISMATCH,
                message,
                t,
                x,
                &format!("convert it with cast(…, {dtype})"),
            );
        }
        let id = self.in_dtype(t, dtype)?;
        let shape = self.shape(x.val.id);
        self.broadcast_checked(id, &shape, t.span)
    }

    /// `vjp(f, x, ct)`: results, then the cotangents of the arguments.
    pub(crate) fn pullback(
        &mut self,
        of: &Callable,
        xs: Vec<Operand>,
        cts: Vec<Operand>,
        keep: Keep,
        span: Span,
    ) -> R<Value> {
        let mut args: Vec<Option<Operand>> = xs.into_iter().map(Some).collect();
        let places: Vec<usize> = (0..args.len()).collect();
        let mut operands = Vec::new();
        for p in &places {
            let o = self.float_argument(of, &args, *p, span)?;
            args[*p] = Some(o.clone());
            operands.push(o);
        }
        let types = self.operand_types(&operands);
        let traced = self.differentiable(of, &args, &places, &types, span)?;
        let results = flat(&traced.value);
        if results.len() != cts.len() {
            let message = format!("{} cotangents for {} results", cts.len(), results.len());
            let help = "give one for each result: vjp(f, x, (a, b))";
            return self.fail(codes::WRONG_ARGUMENT_COUNT, message, span, help);
        }
        let mut seeds = Vec::new();
        for (r, ct) in results.iter().zip(&cts) {
            let Type::Tensor(ty) = traced.body.type_of(&self.b, r.id) else {
                return self.bug("a tuple as a tensor", span);
            };
            if !ty.dtype.is_float() {
                let message = format!("a result is {}, which has no cotangent", ty.dtype);
                return self.fail(codes::NOT_DIFFERENTIABLE, message, of.span, "give floats only");
            }
            let zeros = self.repeated(Scalar::from_bits(ty.dtype, 0), &ty.shape);
            let model = Operand { val: Val::strong(zeros), span: of.span };
            seeds.push(Some(self.like(ct, &model)?));
        }
        let ids: Vec<ValueId> = operands.iter().map(|o| o.val.id).collect();
        let limit = self.node_limit();
        let out = self.accept(span, |c| {
            transform::reverse(&mut c.b, &traced.body, &ids, &vec![true; ids.len()], (keep, limit), |_, _| {
                seeds
            })
        })?;
        let mut vals: Vec<Val> = out.results.into_iter().map(Val::strong).collect();
        for (ct, ty) in out.cotangents.into_iter().zip(&types) {
            let ct = ct.unwrap_or_else(|| self.repeated(Scalar::from_bits(ty.dtype, 0), &ty.shape));
            vals.push(Val::strong(ct));
        }
        Ok(Value::Tuple(vals))
    }
}
