//! Transforms of functions, and loops that take a function.

use super::{Builtin, row};
use crate::ast::ExprKind;
use crate::check::args::{Args, Src};
use crate::check::callable::Callable;
use crate::check::control::Carried;
use crate::check::transform::{Traced, flat, packed};
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R};
use crate::codes;
use matex_ir::tensor::{Kind, SliceAxis, TensorType, Type, UpdateAxis, ValueId};
use matex_ir::{DType, Dim, Scalar, transform};

/// What gives a function.
const MAKERS: [&str; 5] = ["grad", "value_and_grad", "jacobian", "hessian", "vmap"];

/// What takes a function and gives values.
const TAKERS: [&str; 4] = ["jvp", "vjp", "scan", "fold"];

pub(super) const ROWS: &[Builtin] = &[
    row("grad", "f, wrt=, recompute=", uncalled),
    row("value_and_grad", "f, wrt=, recompute=", uncalled),
    row("jacobian", "f, wrt=", uncalled),
    row("hessian", "f, wrt=", uncalled),
    row("vmap", "f, in_axes=", uncalled),
    row("jvp", "f, x, v", |c, args| {
        let f = c.callable_arg(args)?;
        let (x, v) = (c.several(args, "x")?, c.several(args, "v")?);
        let places: Vec<usize> = (0..x.len()).collect();
        c.tangents(&f, x.into_iter().map(Some).collect(), &places, &v, args.span)
    }),
    row("vjp", "f, x, ct, recompute=", |c, args| {
        let f = c.callable_arg(args)?;
        let (x, ct) = (c.several(args, "x")?, c.several(args, "ct")?);
        let keep = c.keeps(args)?;
        c.pullback(&f, x, ct, keep, args.span)
    }),
    row("scan", "f, init, xs", |c, args| c.scanned(args, true)),
    row("fold", "f, init, xs", |c, args| c.scanned(args, false)),
    row("stop_gradient", "x", |c, args| {
        let x = c.arg(args, "x")?;
        let dtype = c.dtype(x.val.id);
        if !dtype.is_float() {
            return Ok(x.val.into());
        }
        // Derivatives do not pass a bitcast, not even one that changes nothing.
        Ok(Val::with_weak(c.b.bitcast(x.val.id, dtype), x.val.weak).into())
    }),
];

/// Whether the first argument of a function is a function.
pub(crate) fn takes_function(name: &str) -> bool {
    MAKERS.contains(&name) || TAKERS.contains(&name)
}

/// Whether a function gives a function.
pub(crate) fn makes_function(name: &str) -> bool {
    MAKERS.contains(&name)
}

/// A function that another one gives stands where a value is wanted.
fn uncalled(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let message = format!("{} gives a function, not a value", args.name);
    c.fail(codes::FUNCTION_AS_VALUE, message, args.span, format!("call it: {}(f)(x)", args.name))
}

impl Checker<'_> {
    /// The values of an argument that may be a tuple.
    fn several(&mut self, args: &Args, name: &str) -> R<Vec<Operand>> {
        let Some(src) = args.get(name).cloned() else {
            return self.bug("an argument that was not bound", args.span);
        };
        let span = self.src_span(&src);
        if let Src::Expr(e) = &src
            && let ExprKind::Tuple(es) = &self.ast[*e].kind
        {
            return es.iter().map(|e| self.tensor(*e)).collect();
        }
        let value = match src {
            Src::Expr(e) => self.expr(e)?,
            Src::Value(v, _) => v,
        };
        Ok(flat(&value).into_iter().map(|val| Operand { val, span }).collect())
    }

    /// `scan` and `fold`: the function on what is carried and an entry of each array, for one entry after the other.
    fn scanned(&mut self, args: &Args, stacked: bool) -> R<Value> {
        let f = self.callable_arg(args)?;
        let (init, xs) = (self.several(args, "init")?, self.several(args, "xs")?);
        let params = self.params_of(&f);
        if params.len() != init.len() + xs.len() {
            let message =
                format!("{} carried and {} arrays for a function of {}", init.len(), xs.len(), params.len());
            let help = "it takes what is carried, then an entry of each array: |carry, x| …";
            return self.fail(codes::WRONG_ARGUMENT_COUNT, message, f.span, help);
        }
        let (xs, count) = self.entries_of(args, xs)?;
        let names = params.iter().map(|p| p.name.clone());
        let mut carried: Vec<Carried> = names
            .zip(&init)
            .map(|(name, o)| Carried { name, val: Val { dims: None, ..o.val.clone() } })
            .collect();
        loop {
            match self.one_step(args, &f, &carried, &xs, stacked)? {
                Ok(traced) => return self.steps(args, traced, &carried, &xs, &count),
                // What is carried takes the dtype of what comes back, as in a loop.
                Err((i, dtype, weak)) => {
                    carried[i].val = Val::with_weak(self.b.cast(carried[i].val.id, dtype), weak);
                    self.check_size(args.span)?;
                }
            }
        }
    }

    /// Arrays under one text of their first extent, and that extent.
    fn entries_of(&mut self, args: &Args, xs: Vec<Operand>) -> R<(Vec<Operand>, Dim)> {
        let mut count: Option<Dim> = None;
        for o in &xs {
            let Some(extent) = self.shape(o.val.id).first().cloned() else {
                let message = format!("{} runs over the first axis, and a scalar has none", args.name);
                return self.fail(
                    codes::RANK_MISMATCH,
                    message,
                    o.span,
                    "give arrays; the rest can be used as it is",
                );
            };
            if let Some(n) = &count
                && !self.agree(n, &extent, codes::CALL_SHAPES_DISAGREE, "arrays of different lengths", o.span)
            {
                let message = format!("arrays of {n} and {extent} entries");
                return self.fail(codes::SIZES_DISAGREE, message, o.span, "give arrays of one length");
            }
            count = Some(self.resolve(&extent));
        }
        let Some(count) = count else { return self.bug("no array", args.span) };
        let count = self.resolve(&count);
        let mut out = Vec::new();
        for o in xs {
            let mut shape = self.shape(o.val.id);
            shape[0] = count.clone();
            let id = self.retype(o.val.id, &shape);
            out.push(Operand { val: Val { id, weak: o.val.weak, dims: None }, span: o.span });
        }
        Ok((out, count))
    }

    /// One step as a region of its own, or the place of a carried value that has to start with another dtype.
    fn one_step(
        &mut self,
        args: &Args,
        f: &Callable,
        carried: &[Carried],
        xs: &[Operand],
        stacked: bool,
    ) -> R<Result<Traced, (usize, DType, bool)>> {
        let span = args.span;
        let mut types: Vec<TensorType> =
            carried.iter().map(|c| TensorType::new(self.dtype(c.val.id), self.shape(c.val.id))).collect();
        for o in xs {
            types.push(TensorType::new(self.dtype(o.val.id), self.shape(o.val.id)[1..].to_vec()));
        }
        let reported = self.errors.len();
        let mut widened = None;
        self.conditional += 1;
        let traced = self.trace(&types, |c, params| {
            let weak = carried.iter().map(|c| c.val.weak).chain(xs.iter().map(|o| o.val.weak));
            let spans = carried.iter().map(|_| span).chain(xs.iter().map(|o| o.span));
            let inside = params.iter().zip(weak).zip(spans);
            let inside =
                inside.map(|((p, w), span)| Some(Operand { val: Val::with_weak(*p, w), span })).collect();
            let value = c.apply(f, inside, span)?;
            let given = flat(&value);
            let fits = if stacked { given.len() >= carried.len() } else { given.len() == carried.len() };
            if !fits {
                let message = format!("the function gives {} of {} carried", given.len(), carried.len());
                let help = if stacked {
                    "give what is carried, then what is stacked: (carry, y)"
                } else {
                    "give what is carried"
                };
                return c.fail(codes::WRONG_RESULT_COUNT, message, f.span, help);
            }
            let mut out = Vec::new();
            for (i, (was, now)) in carried.iter().zip(&given).enumerate() {
                match c.loop_result(was, Operand { val: now.clone(), span: f.span }, f.span)? {
                    Ok(id) => out.push(Val::with_weak(id, was.val.weak)),
                    Err((dtype, weak)) => {
                        widened = Some((i, dtype, weak));
                        return Ok(Value::Tuple(Vec::new()));
                    }
                }
            }
            out.extend(given.into_iter().skip(carried.len()));
            Ok(Value::Tuple(out))
        });
        self.conditional -= 1;
        let traced = traced?;
        Ok(match widened {
            Some(w) => {
                self.errors.truncate(reported);
                Err(w)
            }
            None => Ok(traced),
        })
    }

    /// The loop over all entries.
    fn steps(
        &mut self,
        args: &Args,
        traced: Traced,
        carried: &[Carried],
        xs: &[Operand],
        count: &Dim,
    ) -> R<Value> {
        let results = flat(&traced.value);
        let mut types = vec![TensorType::scalar(DType::I64)];
        let mut operands =
            vec![self.constant(Scalar::from_i128(DType::I64, 0)), self.size_value(count.clone()).id];
        for c in carried {
            types.push(TensorType::new(self.dtype(c.val.id), self.shape(c.val.id)));
            operands.push(c.val.id);
        }
        for r in &results[carried.len()..] {
            let Type::Tensor(mut ty) = traced.body.type_of(&self.b, r.id) else {
                return self.bug("a tuple as a tensor", args.span);
            };
            ty.shape.insert(0, count.clone());
            operands.push(self.repeated(Scalar::from_bits(ty.dtype, 0), &ty.shape));
            types.push(ty);
        }
        let limit = self.node_limit();
        let made = self.accept(args.span, |c| {
            let (region, p) = c.b.begin_region(&types);
            let mut inside = p[1..=carried.len()].to_vec();
            inside.extend(xs.iter().map(|o| c.b.gather(o.val.id, p[0], 0)));
            let mut out = transform::copy(&mut c.b, &traced.body, &inside, limit)?;
            for (k, all) in p[1 + carried.len()..].iter().enumerate() {
                out[carried.len() + k] = c.written(*all, p[0], out[carried.len() + k]);
            }
            c.b.end_region(out);
            Ok(c.b.control(Kind::For(region), operands))
        })?;
        let weak = carried.iter().map(|c| c.val.weak).chain(results[carried.len()..].iter().map(|_| false));
        let vals = weak.enumerate().map(|(i, w)| Val::with_weak(self.b.proj(made, i), w)).collect();
        Ok(packed(vals))
    }

    /// `all` with an entry of its first axis replaced.
    fn written(&mut self, all: ValueId, index: ValueId, entry: ValueId) -> ValueId {
        let mut shape = self.shape(entry);
        shape.insert(0, Dim::ONE);
        let whole = UpdateAxis::Slice(SliceAxis { start: Dim::ZERO, step: 1 });
        let mut axes = vec![whole; shape.len()];
        axes[0] = UpdateAxis::Index;
        let entry = self.b.reshape(entry, shape);
        self.b.update(all, entry, &[index], axes)
    }
}
