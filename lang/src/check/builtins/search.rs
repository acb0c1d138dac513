//! Sorting, searching, gathering and scattering.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R};
use crate::codes;
use matex_ir::tensor::{LibOp, TensorType, ValueId};
use matex_ir::{DType, Dim, Op};

pub(super) const ROWS: &[Builtin] = &[
    row("sort", "x, axis=, descending=", |c, a| c.sorted(a, false)),
    row("argsort", "x, axis=, descending=", |c, a| c.sorted(a, true)),
    row("topk", "x, k, axis=, largest=", topk),
    row("searchsorted", "sorted, values, side=", searchsorted),
    row("take", "x, indices, axis=", take),
    row("take_along_axis", "x, indices, axis=", |c, a| c.along(a)),
    row("gather", "x, indices, axis=", |c, a| c.along(a)),
    row("scatter", "x, indices, src, axis=", |c, a| c.scattering(a, false)),
    row("scatter_add", "x, indices, src, axis=", |c, a| c.scattering(a, true)),
    row("one_hot", "indices, n, dtype=", one_hot),
];

impl Checker<'_> {
    /// An axis that is the last one unless given.
    fn last_axis(&mut self, args: &Args, x: &Operand) -> R<usize> {
        let rank = self.rank(x.val.id);
        if rank == 0 {
            let message = format!("{} needs an axis, this is a scalar", args.name);
            return self.fail(codes::RANK_MISMATCH, message, args.span, "make it a vector: [x]");
        }
        Ok(self.axis_arg(args, "axis", rank)?.unwrap_or(rank - 1))
    }

    fn sorted(&mut self, args: &Args, indices: bool) -> R<Value> {
        let x = self.arg(args, "x")?;
        let axis = self.last_axis(args, &x)?;
        let descending = self.flag_arg(args, "descending", false)?;
        let mut ty = self.b.ty(x.val.id).clone();
        let op = if indices {
            ty.dtype = DType::I64;
            LibOp::Argsort { axis, descending }
        } else {
            LibOp::Sort { axis, descending }
        };
        let weak = x.val.weak && !indices;
        Ok(Val::with_weak(self.b.lib(op, &[x.val.id], ty), weak).into())
    }

    /// An index operand as i64.
    fn indices(&mut self, args: &Args, name: &str) -> R<Operand> {
        let o = self.arg(args, name)?;
        if self.dtype(o.val.id) == DType::Bool {
            let help = "write where(mask, x, 0), since the number of true elements is data";
            return self.fail(codes::BOOL_INDEX, "a bool array cannot be an index", o.span, help);
        }
        if !self.dtype(o.val.id).is_int() {
            let message = format!("an index must be an integer, this is {}", self.type_text(o.val.id));
            return self.fail(codes::INDEX_NOT_INTEGER, message, o.span, "convert it with cast(…, i64)");
        }
        let id = self.b.cast(o.val.id, DType::I64);
        Ok(Operand { val: Val::strong(id), span: o.span })
    }

    /// Index and data of one rank; axes of the index but the given one are those of the data, or 1.
    fn aligned(&mut self, args: &Args, x: &Operand, index: &Operand, axis: usize) -> R<ValueId> {
        let (xs, is) = (self.shape(x.val.id), self.shape(index.val.id));
        let mut fits = xs.len() == is.len();
        let mut shape = is.clone();
        for k in 0..xs.len().min(is.len()) {
            if k == axis {
                continue;
            }
            if is[k].is(1) {
                shape[k] = xs[k].clone();
            }
            let code = codes::CALL_SHAPES_DISAGREE;
            fits = fits && self.agree(&xs[k], &shape[k], code, "indices do not fit the data", args.span);
        }
        if !fits {
            let message = format!("the indices of {} do not fit the data", args.name);
            let help = "give them the shape of the data, but for the axis; take(x, i, axis) takes whole rows";
            return self.mismatch(codes::RANK_MISMATCH, message, index, x, help);
        }
        let shape: Vec<Dim> = shape.iter().map(|d| self.resolve(d)).collect();
        Ok(self.broadcast_to(index.val.id, &shape))
    }

    fn along(&mut self, args: &Args) -> R<Value> {
        let (x, index) = (self.arg(args, "x")?, self.indices(args, "indices")?);
        let axis = self.last_axis(args, &x)?;
        let index = self.aligned(args, &x, &index, axis)?;
        Ok(Val::with_weak(self.b.gather_along(x.val.id, index, axis), x.val.weak).into())
    }

    fn scattering(&mut self, args: &Args, add: bool) -> R<Value> {
        let (x, index) = (self.arg(args, "x")?, self.indices(args, "indices")?);
        let src = self.arg(args, "src")?;
        let axis = self.scan_axis(args, &x)?;
        let index = self.aligned(args, &x, &index, axis)?;
        let (dtype, actual) = (self.dtype(x.val.id), self.dtype(src.val.id));
        let bool_mix = (dtype == DType::Bool) != (actual == DType::Bool);
        if bool_mix || (dtype.is_int() && actual.is_float()) || (add && dtype == DType::Bool) {
            let message = format!("{actual} elements cannot be written into {dtype}");
            let help = format!("convert them with cast(…, {dtype})");
            return self.mismatch(codes::DTYPE_MISMATCH, message, &src, &x, &help);
        }
        let value = self.in_dtype(&src, dtype)?;
        let shape = self.shape(index);
        let value = self.broadcast_checked(value, &shape, src.span)?;
        Ok(Val::strong(self.b.scatter_along(x.val.id, index, value, axis, add)).into())
    }
}

/// The k largest or smallest, sorted, and their indices.
fn topk(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let axis = c.last_axis(args, &x)?;
    let Some((k, span)) = c.shape_arg(args, "k")? else { return c.bug("k was not bound", args.span) };
    let [k] = k.as_slice() else {
        return c.fail(codes::RANK_MISMATCH, "k is one number", span, "topk(x, 3)");
    };
    let descending = c.flag_arg(args, "largest", true)?;
    let extent = c.shape(x.val.id)[axis].clone();
    c.nonnegative(std::slice::from_ref(k), span)?;
    if !c.at_most(k, &extent, codes::SLICE_OUT_OF_RANGE, "k is larger than the axis", span) {
        let message = format!("k is {k}, but the axis has {extent}");
        return c.fail(codes::SLICE_OUT_OF_RANGE, message, span, "take at most all elements");
    }
    let ty = TensorType { dtype: DType::I64, ..c.b.ty(x.val.id).clone() };
    let order = c.b.lib(LibOp::Argsort { axis, descending }, &[x.val.id], ty);
    let index = c.part(order, axis, Dim::ZERO, k.clone());
    let values = c.b.gather_along(x.val.id, index, axis);
    Ok(Value::Tuple(vec![Val::strong(values), Val::strong(index)]))
}

fn searchsorted(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (sorted, values) = (c.arg(args, "sorted")?, c.arg(args, "values")?);
    c.numbers(&[&sorted, &values], "searchsorted")?;
    if c.rank(sorted.val.id) != 1 {
        let message = format!("searchsorted looks in a vector, this is {}", c.type_text(sorted.val.id));
        return c.fail(codes::RANK_MISMATCH, message, sorted.span, "give it one axis");
    }
    let (dtype, _) = c.meet(&[&sorted, &values], "searchsorted")?;
    let right = c.word_arg(args, "side", &["left", "right"])? == Some("right");
    let (s, v) = (c.in_dtype(&sorted, dtype)?, c.in_dtype(&values, dtype)?);
    let ty = TensorType::new(DType::I64, c.shape(v));
    Ok(Val::strong(c.b.lib(LibOp::SearchSorted { right }, &[s, v], ty)).into())
}

/// Elements along an axis by an index of any shape; without an axis the rank must be 1.
fn take(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (x, index) = (c.arg(args, "x")?, c.indices(args, "indices")?);
    let axis = c.scan_axis(args, &x)?;
    Ok(Val::with_weak(c.b.gather(x.val.id, index.val.id, axis), x.val.weak).into())
}

fn one_hot(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let index = c.indices(args, "indices")?;
    let Some((n, span)) = c.shape_arg(args, "n")? else { return c.bug("n was not bound", args.span) };
    let [n] = n.as_slice() else {
        return c.fail(codes::RANK_MISMATCH, "n is one number", span, "one_hot(i, 10)");
    };
    c.nonnegative(std::slice::from_ref(n), span)?;
    let dtype = c.dtype_arg(args, "dtype")?.unwrap_or(DType::F64);
    let mut shape = c.shape(index.val.id);
    let rank = shape.len();
    shape.push(Dim::ONE);
    let column = c.b.reshape(index.val.id, shape.clone());
    shape[rank] = n.clone();
    let column = c.broadcast_to(column, &shape);
    let place = c.iota(&shape, rank);
    let hot = c.map_op(Op::Eq, &[column, place]);
    Ok(Val::strong(c.b.cast(hot, dtype)).into())
}
