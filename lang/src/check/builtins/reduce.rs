//! Reductions, and the row functions that are made of them.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value, sum_dtype};
use crate::check::{Checker, R};
use crate::codes;
use matex_ir::tensor::{ReduceOp, ValueId};
use matex_ir::{DType, Dim, Op, Scalar, Span};

pub(super) const ROWS: &[Builtin] = &[
    row("sum", "x, axis=, keepdims=", |c, a| c.sum_like(ReduceOp::Sum, a)),
    row("prod", "x, axis=, keepdims=", |c, a| c.sum_like(ReduceOp::Prod, a)),
    row("max", "x, axis=, keepdims=", |c, a| c.extreme(ReduceOp::Max, a)),
    row("min", "x, axis=, keepdims=", |c, a| c.extreme(ReduceOp::Min, a)),
    row("any", "x, axis=, keepdims=", |c, a| c.quantifier(ReduceOp::Any, a)),
    row("all", "x, axis=, keepdims=", |c, a| c.quantifier(ReduceOp::All, a)),
    row("argmax", "x, axis=, keepdims=", |c, a| c.arg_extreme(ReduceOp::ArgMax, a)),
    row("argmin", "x, axis=, keepdims=", |c, a| c.arg_extreme(ReduceOp::ArgMin, a)),
    row("count_nonzero", "x, axis=, keepdims=", count_nonzero),
    row("mean", "x, axis=, keepdims=", mean),
    row("var", "x, axis=, correction=, keepdims=", |c, a| Ok(c.variance(a)?.into())),
    row("std", "x, axis=, correction=, keepdims=", std_),
    row("logsumexp", "x, axis=, keepdims=", logsumexp),
    row("norm", "x, axis=, keepdims=", |c, a| c.two_norm(a)),
    row("vector_norm", "x, axis=, keepdims=, ord=", vector_norm),
    row("softmax", "x, axis=", |c, a| c.softmax(a, false)),
    row("log_softmax", "x, axis=", |c, a| c.softmax(a, true)),
];

/// What a reduction runs over.
struct Over {
    x: Operand,
    axes: Vec<usize>,
    keepdims: bool,
    span: Span,
}

impl Checker<'_> {
    /// The operand and axes of a reduction; no axis means all.
    fn over(&mut self, args: &Args) -> R<Over> {
        let x = self.arg(args, "x")?;
        let rank = self.rank(x.val.id);
        let axes = self.axes_arg(args, "axis", rank)?.unwrap_or_else(|| (0..rank).collect());
        let keepdims = if args.has("keepdims") { self.flag_arg(args, "keepdims", false)? } else { false };
        Ok(Over { x, axes, keepdims, span: args.span })
    }

    /// A reduction with its axes put back as 1 where they are to be kept.
    pub(crate) fn reduced(&mut self, op: ReduceOp, x: ValueId, axes: &[usize], keepdims: bool) -> ValueId {
        let mut shape = self.shape(x);
        let y = self.b.reduce(op, x, axes.to_vec());
        if !keepdims {
            return y;
        }
        for a in axes {
            shape[*a] = Dim::ONE;
        }
        self.b.reshape(y, shape)
    }

    fn sum_like(&mut self, op: ReduceOp, args: &Args) -> R<Value> {
        let over = self.over(args)?;
        if op == ReduceOp::Prod {
            self.numbers(&[&over.x], "prod")?;
        }
        let dtype = sum_dtype(self.dtype(over.x.val.id));
        let x = self.b.cast(over.x.val.id, dtype);
        let id = self.accumulated(op, x, &over.axes, over.keepdims);
        Ok(Val::with_weak(id, over.x.val.weak).into())
    }

    /// A sum or product; of the storage formats it is formed in f32.
    fn accumulated(&mut self, op: ReduceOp, x: ValueId, axes: &[usize], keepdims: bool) -> ValueId {
        let dtype = self.dtype(x);
        let wide = self.b.cast(x, dtype.compute());
        let y = self.reduced(op, wide, axes, keepdims);
        self.b.cast(y, dtype)
    }

    /// Demands that there is something to reduce, since the largest of nothing is not defined.
    fn not_empty(&mut self, x: &Operand, axes: &[usize], what: &str, span: Span) -> R<()> {
        let shape = self.shape(x.val.id);
        for a in axes {
            let message = format!("{what} of an empty axis");
            if !self.at_most(&Dim::ONE, &shape[*a], codes::EMPTY_REDUCTION, &message, span) {
                let help = "give it at least one element, or add one with concat";
                return self.fail(codes::EMPTY_REDUCTION, message, span, help);
            }
        }
        Ok(())
    }

    fn extreme(&mut self, op: ReduceOp, args: &Args) -> R<Value> {
        let over = self.over(args)?;
        self.numbers(&[&over.x], &args.name)?;
        self.not_empty(&over.x, &over.axes, &args.name, over.span)?;
        let id = self.reduced(op, over.x.val.id, &over.axes, over.keepdims);
        Ok(Val::with_weak(id, over.x.val.weak).into())
    }

    fn quantifier(&mut self, op: ReduceOp, args: &Args) -> R<Value> {
        let over = self.over(args)?;
        // Numbers count as in the array API: what is not zero is true.
        let truth = self.b.cast(over.x.val.id, DType::Bool);
        Ok(Val::strong(self.reduced(op, truth, &over.axes, over.keepdims)).into())
    }

    /// The index of an extreme along one axis, or in the flattened tensor.
    fn arg_extreme(&mut self, op: ReduceOp, args: &Args) -> R<Value> {
        let over = self.over(args)?;
        self.numbers(&[&over.x], &args.name)?;
        self.not_empty(&over.x, &over.axes, &args.name, over.span)?;
        let rank = self.rank(over.x.val.id);
        if over.axes.len() == 1 && rank >= 1 {
            return Ok(Val::strong(self.reduced(op, over.x.val.id, &over.axes, over.keepdims)).into());
        }
        if over.axes.len() != rank {
            let help = "give one axis, or none for the flattened tensor";
            return self.fail(
                codes::AXIS_OUT_OF_RANGE,
                format!("{} takes one axis", args.name),
                over.span,
                help,
            );
        }
        let total = self.b.ty(over.x.val.id).elements();
        let flat = self.b.reshape(over.x.val.id, vec![total]);
        let id = self.reduced(op, flat, &[0], false);
        let shape = if over.keepdims { vec![Dim::ONE; rank] } else { Vec::new() };
        Ok(Val::strong(self.b.reshape(id, shape)).into())
    }

    /// The number of elements in the axes, in a dtype.
    fn count(&mut self, x: ValueId, axes: &[usize], dtype: DType) -> ValueId {
        let shape = self.shape(x);
        let n = matex_ir::dim::product(axes.iter().map(|a| &shape[*a]));
        let n = self.size_value(n).id;
        self.b.cast(n, dtype)
    }

    /// The operand of a mean: counts and integers in f64.
    fn averaged(&mut self, over: &Over) -> ValueId {
        let d = self.dtype(over.x.val.id);
        let dtype = if d.is_float() { d.compute() } else { DType::F64 };
        self.b.cast(over.x.val.id, dtype)
    }

    fn mean_of(&mut self, x: ValueId, axes: &[usize], keepdims: bool) -> ValueId {
        let sum = self.reduced(ReduceOp::Sum, x, axes, keepdims);
        let dtype = self.dtype(x);
        let n = self.count(x, axes, dtype);
        self.over_scalar(Op::Div, sum, n)
    }

    /// `x op s` for a scalar s of the same dtype.
    pub(crate) fn over_scalar(&mut self, op: Op, x: ValueId, s: ValueId) -> ValueId {
        let shape = self.shape(x);
        let s = self.broadcast_to(s, &shape);
        self.map_op(op, &[x, s])
    }

    /// `x op y` where y has extent 1 on some axes of x.
    fn against(&mut self, op: Op, x: ValueId, y: ValueId) -> ValueId {
        let shape = self.shape(x);
        let y = self.broadcast_to(y, &shape);
        self.map_op(op, &[x, y])
    }

    /// The storage dtype of a result that was worked out in its compute dtype.
    fn stored(&mut self, over: &Over, id: ValueId) -> Val {
        let d = self.dtype(over.x.val.id);
        let id = if d.is_float() { self.b.cast(id, d) } else { id };
        Val::with_weak(id, over.x.val.weak)
    }

    /// The mean squared distance from the mean, in two passes.
    fn variance(&mut self, args: &Args) -> R<Val> {
        let over = self.over(args)?;
        let correction = self.opt_arg(args, "correction")?;
        self.numbers(&[&over.x], &args.name)?;
        let x = self.averaged(&over);
        let dtype = self.dtype(x);
        let mean = self.mean_of(x, &over.axes, true);
        let d = self.against(Op::Sub, x, mean);
        let squared = self.map_op(Op::Mul, &[d, d]);
        let sum = self.reduced(ReduceOp::Sum, squared, &over.axes, over.keepdims);
        let mut n = self.count(x, &over.axes, dtype);
        if let Some(k) = correction {
            let k = self.in_dtype(&k, dtype)?;
            let left = self.map_op(Op::Sub, &[n, k]);
            let zero = self.constant(Scalar::from_f64(dtype, 0.0));
            n = self.map_op(Op::Max, &[left, zero]);
        }
        let v = self.over_scalar(Op::Div, sum, n);
        Ok(self.stored(&over, v))
    }

    /// The maximum, as what keeps exponentials from overflowing: the result does not depend on it, so that no derivative
    /// has to go through it.
    fn shift_of(&mut self, x: ValueId, axes: &[usize]) -> ValueId {
        let max = self.reduced(ReduceOp::Max, x, axes, true);
        let dtype = self.dtype(max);
        self.b.bitcast(max, dtype)
    }

    /// exp(x - max) with its maximum, safe for rows of infinities; an empty row has the maximum 0.
    fn shifted(&mut self, x: ValueId, axes: &[usize]) -> (ValueId, ValueId) {
        let max = self.shift_of(x, axes);
        let finite = self.map_op(Op::IsFinite, &[max]);
        let zero = self.constant(Scalar::from_f64(self.dtype(x), 0.0));
        let shape = self.shape(max);
        let zeros = self.broadcast_to(zero, &shape);
        let shift = self.map_op(Op::Select, &[finite, max, zeros]);
        let d = self.against(Op::Sub, x, shift);
        (d, shift)
    }

    fn float_over(&mut self, args: &Args) -> R<(Over, ValueId)> {
        let over = self.over(args)?;
        let dtype = self.float_dtype(&[&over.x], &args.name)?;
        let x = self.b.cast(over.x.val.id, dtype.compute());
        Ok((over, x))
    }

    fn softmax(&mut self, args: &Args, log: bool) -> R<Value> {
        let x = self.arg(args, "x")?;
        let rank = self.rank(x.val.id);
        if rank == 0 {
            let message = format!("{} needs an axis", args.name);
            return self.fail(codes::RANK_MISMATCH, message, args.span, "a scalar has none");
        }
        let axes = self.axes_arg(args, "axis", rank)?.unwrap_or_else(|| vec![rank - 1]);
        let dtype = self.float_dtype(&[&x], &args.name)?;
        let over = Over { x, axes, keepdims: true, span: args.span };
        let x = self.b.cast(over.x.val.id, dtype.compute());
        let max = self.shift_of(x, &over.axes);
        let d = self.against(Op::Sub, x, max);
        let e = self.map_op(Op::Exp, &[d]);
        let sum = self.reduced(ReduceOp::Sum, e, &over.axes, true);
        let y = if log {
            let l = self.map_op(Op::Log, &[sum]);
            self.against(Op::Sub, d, l)
        } else {
            self.against(Op::Div, e, sum)
        };
        Ok(self.stored(&over, y).into())
    }

    pub(super) fn two_norm(&mut self, args: &Args) -> R<Value> {
        let (over, x) = self.float_over(args)?;
        let squared = self.map_op(Op::Mul, &[x, x]);
        let sum = self.reduced(ReduceOp::Sum, squared, &over.axes, over.keepdims);
        let y = self.map_op(Op::Sqrt, &[sum]);
        Ok(self.stored(&over, y).into())
    }
}

fn count_nonzero(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let over = c.over(args)?;
    let truth = c.b.cast(over.x.val.id, DType::Bool);
    let ones = c.b.cast(truth, DType::I64);
    Ok(Val::strong(c.reduced(ReduceOp::Sum, ones, &over.axes, over.keepdims)).into())
}

fn mean(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let over = c.over(args)?;
    let x = c.averaged(&over);
    let m = c.mean_of(x, &over.axes, over.keepdims);
    Ok(c.stored(&over, m).into())
}

fn std_(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let v = c.variance(args)?;
    Ok(Val::with_weak(c.map_op(Op::Sqrt, &[v.id]), v.weak).into())
}

fn logsumexp(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (over, x) = c.float_over(args)?;
    let (d, shift) = c.shifted(x, &over.axes);
    let e = c.map_op(Op::Exp, &[d]);
    let sum = c.reduced(ReduceOp::Sum, e, &over.axes, true);
    let l = c.map_op(Op::Log, &[sum]);
    let y = c.map_op(Op::Add, &[l, shift]);
    let shape = c.shape(x);
    let kept: Vec<Dim> =
        shape.iter().enumerate().filter(|(i, _)| !over.axes.contains(i)).map(|(_, d)| d.clone()).collect();
    let y = if over.keepdims { y } else { c.b.reshape(y, kept) };
    Ok(c.stored(&over, y).into())
}

fn vector_norm(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let Some(ord) = c.opt_arg(args, "ord")? else { return c.two_norm(args) };
    let Some(p) = c.constant_scalar(ord.val.id).map(Scalar::to_f64) else {
        let help = "write it as 1, 2, inf or another number";
        return c.fail(codes::NOT_A_CONSTANT_ARGUMENT, "ord must be a number", ord.span, help);
    };
    let (over, x) = c.float_over(args)?;
    let magnitude = c.map_op(Op::Abs, &[x]);
    let dtype = c.dtype(x);
    let y = if p.is_infinite() {
        c.not_empty(&over.x, &over.axes, "vector_norm", over.span)?;
        let op = if p > 0.0 { ReduceOp::Max } else { ReduceOp::Min };
        c.reduced(op, magnitude, &over.axes, over.keepdims)
    } else if p == 0.0 {
        let truth = c.b.cast(magnitude, DType::Bool);
        let ones = c.b.cast(truth, dtype);
        c.reduced(ReduceOp::Sum, ones, &over.axes, over.keepdims)
    } else if p == 1.0 {
        c.reduced(ReduceOp::Sum, magnitude, &over.axes, over.keepdims)
    } else if p == 2.0 {
        return c.two_norm(args);
    } else {
        let exponent = c.constant(Scalar::from_f64(dtype, p));
        let powers = c.over_scalar(Op::Pow, magnitude, exponent);
        let sum = c.reduced(ReduceOp::Sum, powers, &over.axes, over.keepdims);
        let root = c.constant(Scalar::from_f64(dtype, 1.0 / p));
        c.over_scalar(Op::Pow, sum, root)
    };
    Ok(c.stored(&over, y).into())
}
