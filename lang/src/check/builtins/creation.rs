//! Functions that make tensors from sizes and numbers.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R};
use crate::codes;
use matex_ir::tensor::ValueId;
use matex_ir::{DType, Dim, Op, Scalar, Span};

pub(super) const ROWS: &[Builtin] = &[
    row("zeros", "shape, dtype=", |c, a| c.filled(a, 0)),
    row("ones", "shape, dtype=", |c, a| c.filled(a, 1)),
    row("full", "shape, value, dtype=", full),
    row("zeros_like", "x, dtype=", |c, a| c.filled_like(a, 0)),
    row("ones_like", "x, dtype=", |c, a| c.filled_like(a, 1)),
    row("full_like", "x, value, dtype=", full_like),
    row("eye", "n, m=, k=, dtype=", eye),
    row("arange", "start, stop=, step=, dtype=", arange),
    row("linspace", "start, stop, num, endpoint=, dtype=", linspace),
];

impl Checker<'_> {
    fn shape_of(&mut self, args: &Args) -> R<Vec<Dim>> {
        match self.shape_arg(args, "shape")? {
            Some((dims, span)) => {
                self.nonnegative(&dims, span)?;
                Ok(dims)
            }
            None => self.bug("a shape that was not bound", args.span),
        }
    }

    /// A scalar constant repeated to a shape.
    pub(crate) fn repeated(&mut self, s: Scalar, shape: &[Dim]) -> ValueId {
        let id = self.constant(s);
        self.broadcast_to(id, shape)
    }

    fn filled(&mut self, args: &Args, v: i128) -> R<Value> {
        let shape = self.shape_of(args)?;
        let dtype = self.dtype_arg(args, "dtype")?.unwrap_or(DType::F64);
        Ok(Val::strong(self.repeated(Scalar::from_i128(dtype, v), &shape)).into())
    }

    fn filled_like(&mut self, args: &Args, v: i128) -> R<Value> {
        let x = self.arg(args, "x")?;
        let dtype = self.dtype_arg(args, "dtype")?.unwrap_or(self.dtype(x.val.id));
        let shape = self.shape(x.val.id);
        Ok(Val::strong(self.repeated(Scalar::from_i128(dtype, v), &shape)).into())
    }

    /// A value repeated to a shape, in a dtype; it must be a scalar or broadcast.
    fn fill_with(&mut self, value: &Operand, shape: &[Dim], dtype: DType) -> R<Value> {
        let id = self.in_dtype(value, dtype)?;
        let id = self.broadcast_checked(id, shape, value.span)?;
        Ok(Val::strong(id).into())
    }

    /// Repeats a value to a shape that was asked for.
    pub(crate) fn broadcast_checked(&mut self, id: ValueId, shape: &[Dim], span: Span) -> R<ValueId> {
        let own = self.shape(id);
        let mut fits = own.len() <= shape.len();
        for (s, o) in shape.iter().rev().zip(own.iter().rev()) {
            let code = codes::CALL_SHAPES_DISAGREE;
            fits =
                fits && (o.is(1) || self.agree(o, s, code, "a value does not broadcast to the shape", span));
        }
        if !fits {
            let dims: Vec<String> = shape.iter().map(crate::check::dims::user_text).collect();
            let message = format!("{} does not broadcast to [{}]", self.type_text(id), dims.join(", "));
            let help = "each axis must be equal or 1, aligned at the last one";
            return self.fail(codes::SHAPES_DO_NOT_BROADCAST, message, span, help);
        }
        let shape: Vec<Dim> = shape.iter().map(|d| self.resolve(d)).collect();
        Ok(self.broadcast_to(id, &shape))
    }

    /// An i64 index along an axis of a shape.
    pub(crate) fn iota(&mut self, shape: &[Dim], axis: usize) -> ValueId {
        self.b.iota(shape.to_vec(), axis)
    }
}

fn full(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let shape = c.shape_of(args)?;
    let value = c.arg(args, "value")?;
    // f64 unless dtype= says otherwise; a value with a dtype of its own keeps it.
    let own = c.dtype(value.val.id);
    let default = if value.val.weak && own != DType::Bool { DType::F64 } else { own };
    let dtype = c.dtype_arg(args, "dtype")?.unwrap_or(default);
    c.fill_with(&value, &shape, dtype)
}

fn full_like(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (x, value) = (c.arg(args, "x")?, c.arg(args, "value")?);
    let dtype = c.dtype_arg(args, "dtype")?.unwrap_or(c.dtype(x.val.id));
    let shape = c.shape(x.val.id);
    c.fill_with(&value, &shape, dtype)
}

impl Checker<'_> {
    /// `col - row` compared with k: the test for diagonals, in the last two axes of a shape.
    pub(crate) fn diagonal_test(&mut self, op: Op, shape: &[Dim], k: &Operand) -> R<ValueId> {
        let rank = shape.len();
        let (rows, cols) = (self.iota(shape, rank - 2), self.iota(shape, rank - 1));
        let distance = self.map_op(Op::Sub, &[cols, rows]);
        self.integers(&[k], "k")?;
        let k = self.b.cast(k.val.id, DType::I64);
        Ok(self.over_scalar(op, distance, k))
    }

    /// The offset of a diagonal, 0 unless given.
    pub(crate) fn offset_arg(&mut self, args: &Args, name: &str) -> R<Operand> {
        match self.opt_arg(args, name)? {
            Some(k) => Ok(k),
            None => {
                let zero = self.size_value(Dim::ZERO);
                Ok(Operand { val: zero, span: args.span })
            }
        }
    }
}

fn eye(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let Some((n, n_span)) = c.shape_arg(args, "n")? else { return c.bug("n was not bound", args.span) };
    let m = c.shape_arg(args, "m")?.map_or_else(|| n.clone(), |(m, _)| m);
    let ([n], [m]) = (n.as_slice(), m.as_slice()) else {
        return c.fail(
            codes::RANK_MISMATCH,
            "eye takes numbers of rows and columns",
            n_span,
            "eye(n), eye(n, m)",
        );
    };
    let shape = vec![n.clone(), m.clone()];
    c.nonnegative(&shape, args.span)?;
    let k = c.offset_arg(args, "k")?;
    let dtype = c.dtype_arg(args, "dtype")?.unwrap_or(DType::F64);
    let on = c.diagonal_test(Op::Eq, &shape, &k)?;
    Ok(Val::strong(c.b.cast(on, dtype)).into())
}

/// One size out of an operand, or `None` when it is not known as a size.
fn size_of(c: &Checker<'_>, o: &Operand) -> Option<Dim> {
    let d = o.val.dims.as_ref().filter(|_| c.rank(o.val.id) == 0)?.first()?;
    Some(c.resolve(d))
}

fn arange(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let first = c.arg(args, "start")?;
    let (start, stop) = match c.opt_arg(args, "stop")? {
        Some(stop) => (first, stop),
        None => (c.weak_int_sized(0, first.span), first),
    };
    let step = match c.opt_arg(args, "step")? {
        Some(s) => s,
        None => c.weak_int_sized(1, args.span),
    };
    let wanted = c.dtype_arg(args, "dtype")?;
    let sizes = (size_of(c, &start), size_of(c, &stop), size_of(c, &step).and_then(|d| d.as_const()));
    if let (Some(a), Some(b), Some(s)) = sizes {
        if s == 0 {
            return c.fail(
                codes::ZERO_STEP,
                "a step cannot be 0",
                step.span,
                "use 1, or -1 to run backwards",
            );
        }
        let span = if s > 0 { &b - &a } else { &a - &b };
        let len = span.ceil_div(i64::try_from(s.unsigned_abs()).unwrap_or(i64::MAX)).larger(&Dim::ZERO);
        let index = c.iota(&[len], 0);
        let s = c.size_value(Dim::constant(s)).id;
        let scaled = c.over_scalar(Op::Mul, index, s);
        let a = c.size_value(a).id;
        let id = c.over_scalar(Op::Add, scaled, a);
        return Ok(Val::strong(c.b.cast(id, wanted.unwrap_or(DType::I64))).into());
    }
    float_range(c, args, [&start, &stop, &step], wanted)
}

/// `arange` of floats: the length must be known now.
fn float_range(c: &mut Checker<'_>, args: &Args, parts: [&Operand; 3], wanted: Option<DType>) -> R<Value> {
    let mut known = [0.0; 3];
    for (k, o) in known.iter_mut().zip(parts) {
        let Some(s) = c.constant_scalar(o.val.id) else { return c.data_dependent(o.span) };
        *k = s.to_f64();
    }
    let [start, stop, step] = known;
    let len = ((stop - start) / step).ceil().max(0.0);
    if !len.is_finite() {
        let message = format!("arange from {start} to {stop} by {step} has no finite length");
        return c.fail(
            codes::ZERO_STEP,
            message,
            args.span,
            "give numbers that are finite, and a step that is not 0",
        );
    }
    if len > 1e15 {
        let message = format!("arange from {start} to {stop} by {step} has {len:e} elements");
        return c.fail(
            codes::LIMIT_ELEMENTS,
            message,
            args.span,
            "give a larger step, or an end that is nearer",
        );
    }
    let index = c.iota(&[Dim::constant(len as i64)], 0);
    let index = c.b.cast(index, DType::F64);
    let (s, a) =
        (c.constant(Scalar::from_f64(DType::F64, step)), c.constant(Scalar::from_f64(DType::F64, start)));
    let scaled = c.over_scalar(Op::Mul, index, s);
    let id = c.over_scalar(Op::Add, scaled, a);
    Ok(Val::strong(c.b.cast(id, wanted.unwrap_or(DType::F64))).into())
}

impl Checker<'_> {
    fn weak_int_sized(&mut self, v: i64, span: Span) -> Operand {
        let val = self.size_value(Dim::constant(v));
        Operand { val: Val { weak: true, ..val }, span }
    }
}

/// Evenly spaced numbers; the last one is exactly `stop` when the end point is included.
fn linspace(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (start, stop) = (c.arg(args, "start")?, c.arg(args, "stop")?);
    let dtype = c.float_dtype(&[&start, &stop], "linspace")?;
    let Some((num, num_span)) = c.shape_arg(args, "num")? else {
        return c.bug("num was not bound", args.span);
    };
    let [n] = num.as_slice() else {
        return c.fail(codes::RANK_MISMATCH, "num is one number", num_span, "linspace(0.0, 1.0, 5)");
    };
    c.nonnegative(&num, num_span)?;
    let endpoint = c.flag_arg(args, "endpoint", true)?;
    let (a, b) = (c.in_dtype(&start, dtype)?, c.in_dtype(&stop, dtype)?);
    if c.rank(a) + c.rank(b) > 0 {
        return c.fail(codes::RANK_MISMATCH, "linspace runs between scalars", args.span, "give two numbers");
    }
    let steps = if endpoint { (n - &Dim::ONE).larger(&Dim::ONE) } else { n.larger(&Dim::ONE) };
    let index = c.iota(std::slice::from_ref(n), 0);
    let last = c.size_value(steps.clone()).id;
    let is_last = c.over_scalar(Op::Eq, index, last);
    let steps = c.b.cast(last, dtype);
    let span = c.map_op(Op::Sub, &[b, a]);
    let step = c.map_op(Op::Div, &[span, steps]);
    let index = c.b.cast(index, dtype);
    let scaled = c.over_scalar(Op::Mul, index, step);
    let mut id = c.over_scalar(Op::Add, scaled, a);
    if endpoint {
        let end = c.broadcast_to(b, std::slice::from_ref(n));
        id = c.map_op(Op::Select, &[is_last, end, id]);
    }
    let wanted = c.dtype_arg(args, "dtype")?.unwrap_or(if start.val.weak && stop.val.weak {
        DType::F64
    } else {
        dtype
    });
    Ok(Val::strong(c.b.cast(id, wanted)).into())
}
