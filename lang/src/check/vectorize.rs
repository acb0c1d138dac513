//! `vmap`, and the Jacobian, which is one derivative mapped over unit vectors.

use super::callable::Callable;
use super::resolve::counted;
use super::transform::{flat, packed};
use super::value::{Operand, Val, Value};
use super::{Checker, R};
use crate::ast::Ident;
use crate::codes;
use matex_ir::tensor::{TensorType, ValueId};
use matex_ir::transform::{self, Body, Directions, Keep, Refused};
use matex_ir::{Dim, Scalar, Span};

impl Checker<'_> {
    /// The entries of a function's results along a new first axis.
    pub(crate) fn vectorized(
        &mut self,
        of: &Callable,
        axes: Option<&[Option<i64>]>,
        mut args: Vec<Option<Operand>>,
        at: Span,
        span: Span,
    ) -> R<Value> {
        let given = args.iter().filter(|a| a.is_some()).count();
        if let Some(axes) = axes.filter(|a| a.len() != 1 && a.len() != given && a.len() != args.len()) {
            let message = format!("{} axes for {}", axes.len(), counted(given, "argument"));
            return self.fail(
                codes::WRONG_ARGUMENT_COUNT,
                message,
                at,
                "give one for each argument, or none: in_axes=(0, none)",
            );
        }
        let (places, operands, count) = self.mapped(axes, &mut args)?;
        let Some(count) = count else {
            return self.fail(codes::AXIS_NEEDED, "vmap maps no argument", at, "map one: in_axes=0");
        };
        let count = self.resolve(&count);
        self.batched_call(of, &args, &places, &operands, &count, span)
    }

    /// The arguments that are mapped, their axis first, and the size of that axis.
    fn mapped(
        &mut self,
        axes: Option<&[Option<i64>]>,
        args: &mut [Option<Operand>],
    ) -> R<(Vec<usize>, Vec<Operand>, Option<Dim>)> {
        let mut count: Option<Dim> = None;
        let (mut places, mut operands) = (Vec::new(), Vec::new());
        for place in 0..args.len() {
            let Some(o) = args[place].clone() else { continue };
            let axis = match axes {
                None => Some(0),
                Some([one]) => *one,
                Some(all) => all.get(place).copied().flatten(),
            };
            let Some(axis) = axis else { continue };
            let rank = self.rank(o.val.id);
            if rank == 0 {
                let help = "keep a scalar as it is for all: in_axes=(0, none)";
                return self.fail(
                    codes::AXIS_OUT_OF_RANGE,
                    "vmap maps an axis, and a scalar has none",
                    o.span,
                    help,
                );
            }
            let axis = self.axis_of(axis, rank, o.span)?;
            let extent = self.shape(o.val.id)[axis].clone();
            if let Some(n) = &count
                && !self.agree(
                    n,
                    &extent,
                    codes::CALL_SHAPES_DISAGREE,
                    "vmap maps axes of different sizes",
                    o.span,
                )
            {
                let message = format!("vmap maps axes of {n} and {extent}");
                return self.fail(codes::SIZES_DISAGREE, message, o.span, "map axes of one size");
            }
            count = Some(self.resolve(&extent));
            let perm = std::iter::once(axis).chain((0..rank).filter(|a| *a != axis)).collect();
            let id = self.b.permute(o.val.id, perm);
            let o = Operand { val: Val { id, weak: o.val.weak, dims: None }, span: o.span };
            args[place] = Some(o.clone());
            places.push(place);
            operands.push(o);
        }
        Ok((places, operands, count))
    }

    fn batched_call(
        &mut self,
        of: &Callable,
        args: &[Option<Operand>],
        places: &[usize],
        operands: &[Operand],
        count: &Dim,
        span: Span,
    ) -> R<Value> {
        let mut whole = Vec::new();
        for o in operands {
            let mut shape = self.shape(o.val.id);
            shape[0] = count.clone();
            whole.push(self.retype(o.val.id, &shape));
        }
        let mut types = self.operand_types(operands);
        for ty in &mut types {
            ty.shape.remove(0);
        }
        let traced = self.traced(of, args, places, &types, span)?;
        let limit = self.node_limit();
        let mapped = vec![true; whole.len()];
        let made =
            self.accept(span, |c| transform::batch(&mut c.b, &traced.body, &whole, &mapped, count, limit))?;
        let mut vals = Vec::new();
        for ((id, longer), old) in made.into_iter().zip(flat(&traced.value)) {
            vals.push(Val::with_weak(self.lengthened(id, longer, count), old.weak));
        }
        Ok(if let Value::Tuple(_) = traced.value { Value::Tuple(vals) } else { packed(vals) })
    }

    /// A value along a new first axis, unless it has it.
    fn lengthened(&mut self, id: ValueId, has: bool, count: &Dim) -> ValueId {
        if has {
            return id;
        }
        let mut shape = self.shape(id);
        shape.insert(0, count.clone());
        self.broadcast_to(id, &shape)
    }

    /// Derivatives of all elements by all elements: the axes of the result, then those of the parameter.
    pub(crate) fn jacobian(
        &mut self,
        of: &Callable,
        wrt: &[Ident],
        mut args: Vec<Option<Operand>>,
        span: Span,
    ) -> R<Value> {
        let (places, operands) = self.float_arguments(of, wrt, &mut args, span)?;
        let types = self.operand_types(&operands);
        let mut traced = self.differentiable(of, &args, &places, &types, span)?;
        let out = self.float_result(of, &mut traced, false, span)?;
        let ids: Vec<ValueId> = operands.iter().map(|o| o.val.id).collect();
        let mut vals = Vec::new();
        for (k, o) in operands.iter().enumerate() {
            let back = fewer(&out.elements(), &types[k].elements());
            let made = self.accept(span, |c| {
                if back && let Ok(v) = c.tried(|c| c.jacobian_rows(&traced.body, &ids, k, &out)) {
                    return Ok(v);
                }
                c.jacobian_columns(&traced.body, &ids, k, &out)
            })?;
            vals.push(Val::with_weak(made, o.val.weak));
        }
        Ok(packed(vals))
    }

    fn tried<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Refused>) -> Result<T, Refused> {
        let mark = self.b.mark();
        let made = run(self);
        if made.is_err() {
            self.b.reset(&mark);
        }
        made
    }

    /// Forward mode, for every unit vector of the parameter at once.
    fn jacobian_columns(
        &mut self,
        body: &Body,
        ids: &[ValueId],
        k: usize,
        out: &TensorType,
    ) -> Result<ValueId, Refused> {
        let ty = TensorType::new(self.dtype(ids[k]), self.shape(ids[k]));
        let limit = self.node_limit();
        let mark = self.b.mark();
        let (region, p) = self.b.begin_region(std::slice::from_ref(&ty));
        let mut tangents = vec![None; ids.len()];
        tangents[k] = Some(p[0]);
        let pairs = transform::forward(&mut self.b, body, ids, &tangents, limit)?;
        let t = pairs.first().and_then(|(_, t)| *t);
        let t = t.unwrap_or_else(|| self.repeated(Scalar::from_bits(out.dtype, 0), &out.shape));
        self.b.end_region(vec![t]);
        let inner = Body::take(&mut self.b, &mark, region);
        transform::units(&mut self.b, &inner, Directions::Last, limit)
    }

    /// Reverse mode, for every unit vector of the result at once.
    fn jacobian_rows(
        &mut self,
        body: &Body,
        ids: &[ValueId],
        k: usize,
        out: &TensorType,
    ) -> Result<ValueId, Refused> {
        let ty = TensorType::new(self.dtype(ids[k]), self.shape(ids[k]));
        let limit = self.node_limit();
        let mark = self.b.mark();
        let (region, p) = self.b.begin_region(std::slice::from_ref(out));
        let mut marked = vec![false; ids.len()];
        marked[k] = true;
        let made =
            transform::reverse(&mut self.b, body, ids, &marked, (Keep::All, limit), |_, _| vec![Some(p[0])])?;
        let ct = made.cotangents[k];
        let ct = ct.unwrap_or_else(|| self.repeated(Scalar::from_bits(ty.dtype, 0), &ty.shape));
        self.b.end_region(vec![ct]);
        let inner = Body::take(&mut self.b, &mark, region);
        transform::units(&mut self.b, &inner, Directions::First, limit)
    }
}

/// Whether a result is known to have fewer elements than a parameter; what is a number counts as fewer than what only
/// the call tells.
fn fewer(result: &Dim, parameter: &Dim) -> bool {
    match (result.as_const(), parameter.as_const()) {
        (Some(r), Some(p)) => r < p,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
