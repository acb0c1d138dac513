//! Tangents of reductions and scans that are not linear.

use crate::dim::Dim;
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, ReduceOp, ScanOp, SliceAxis, TensorType, ValueId};

pub(super) fn reduce(
    b: &mut Builder,
    op: ReduceOp,
    axes: &[usize],
    x: ValueId,
    t: Option<ValueId>,
    y: ValueId,
) -> Option<ValueId> {
    match op {
        ReduceOp::Max | ReduceOp::Min => Some(extreme(b, axes, x, t?, y)),
        ReduceOp::Prod => Some(product(b, axes, x, t?)),
        ReduceOp::Sum | ReduceOp::Any | ReduceOp::All | ReduceOp::ArgMax | ReduceOp::ArgMin => None,
    }
}

/// The mean of the tangents of all elements that are the extreme one.
fn extreme(b: &mut Builder, axes: &[usize], x: ValueId, t: ValueId, y: ValueId) -> ValueId {
    let ty = b.ty(x).clone();
    let found = b.spread(y, &ty.shape, axes);
    let equal = b.map(Op::Eq, &[x, found]);
    let kept = b.kept(equal, t);
    let sum = b.summed(kept, axes.to_vec());
    let ones = b.cast(equal, ty.dtype.compute());
    let count = b.reduce(ReduceOp::Sum, ones, axes.to_vec());
    let count = b.cast(count, ty.dtype);
    b.map(Op::Div, &[sum, count])
}

/// Each tangent times the product of all other elements, which are those before times those behind, so that no zero is
/// divided by.
fn product(b: &mut Builder, axes: &[usize], x: ValueId, t: ValueId) -> ValueId {
    let (x, t) = (flattened(b, x, axes), flattened(b, t, axes));
    let last = b.ty(x).rank().saturating_sub(1);
    let before = exclusive(b, x, last, false);
    let behind = exclusive(b, x, last, true);
    let others = b.map(Op::Mul, &[before, behind]);
    let each = b.map(Op::Mul, &[t, others]);
    b.summed(each, vec![last])
}

/// The reduced axes as one, behind the others.
fn flattened(b: &mut Builder, x: ValueId, axes: &[usize]) -> ValueId {
    let rank = b.ty(x).rank();
    let kept: Vec<usize> = (0..rank).filter(|a| !axes.contains(a)).collect();
    let perm: Vec<usize> = kept.iter().chain(axes).copied().collect();
    let x = b.permute(x, perm);
    let shape = b.ty(x).shape.clone();
    let mut joined = shape[..kept.len()].to_vec();
    joined.push(crate::dim::product(&shape[kept.len()..]));
    b.reshape(x, joined)
}

/// The products of all elements before each along an axis, or of all behind it.
fn exclusive(b: &mut Builder, x: ValueId, axis: usize, from_end: bool) -> ValueId {
    let x = if from_end { reversed(b, x, axis) } else { x };
    let shifted = delayed(b, x, axis, 1.0);
    let products = b.scan(ScanOp::Prod, shifted, axis);
    if from_end { reversed(b, products, axis) } else { products }
}

/// The elements moved one place on along an axis, behind a number; the last one drops out.
fn delayed(b: &mut Builder, x: ValueId, axis: usize, first: f64) -> ValueId {
    let ty = b.ty(x).clone();
    let mut one = ty.shape.clone();
    one[axis] = Dim::ONE;
    let one = b.zeros(&TensorType::new(ty.dtype, one));
    let one = b.filled(one, first);
    let longer = b.concat(&[one, x], axis);
    b.first(longer, axis, &ty.shape[axis])
}

/// The elements in the opposite order along an axis.
pub(in crate::transform) fn reversed(b: &mut Builder, x: ValueId, axis: usize) -> ValueId {
    let shape = b.ty(x).shape.clone();
    let mut axes = crate::transform::emit::whole(shape.len());
    axes[axis] = SliceAxis { start: &shape[axis] - &Dim::ONE, step: -1 };
    b.slice(x, axes, shape)
}

pub(super) fn scan(
    b: &mut Builder,
    op: ScanOp,
    axis: usize,
    x: ValueId,
    t: Option<ValueId>,
    y: ValueId,
) -> Option<ValueId> {
    match op {
        ScanOp::Max | ScanOp::Min => Some(running_extreme(b, op, axis, x, t?, y)),
        ScanOp::Prod => Some(running_product(b, axis, x, t?, y)),
        ScanOp::Sum => None,
    }
}

/// The tangent of the element that is the extreme one so far, the first of equals.
fn running_extreme(b: &mut Builder, op: ScanOp, axis: usize, x: ValueId, t: ValueId, y: ValueId) -> ValueId {
    let shape = b.ty(x).shape.clone();
    let place = b.iota(shape, axis);
    let before = delayed(b, y, axis, 0.0);
    let beyond = if op == ScanOp::Max { Op::Gt } else { Op::Lt };
    let new = b.map(beyond, &[x, before]);
    let zero = b.filled(place, 0.0);
    let first = b.map(Op::Eq, &[place, zero]);
    let new = b.map(Op::Or, &[new, first]);
    let at = b.map(Op::Select, &[new, place, zero]);
    let at = b.scan(ScanOp::Max, at, axis);
    b.gather_along(t, at, axis)
}

/// `t'[k] = t'[k-1] * x[k] + y[k-1] * t[k]`, in a loop, since a quotient would fail at zeros.
fn running_product(b: &mut Builder, axis: usize, x: ValueId, t: ValueId, y: ValueId) -> ValueId {
    let before = delayed(b, y, axis, 1.0);
    let own = b.map(Op::Mul, &[before, t]);
    // The axis first, so that a step is an entry.
    let rank = b.ty(x).rank();
    let mut perm: Vec<usize> = (0..rank).filter(|a| *a != axis).collect();
    perm.insert(0, axis);
    let (x, own) = (b.permute(x, perm.clone()), b.permute(own, perm.clone()));
    let whole = b.ty(x).clone();
    let entry = TensorType::new(whole.dtype, whole.shape[1..].to_vec());
    let (start, stop) = (b.int(0), b.extent(&whole.shape[0]));
    let (so_far, all) = (b.zeros(&entry), b.zeros(&whole));
    let (region, p) = b.begin_region(&[TensorType::scalar(DType::I64), entry, whole]);
    let (xk, ok) = (b.entry(x, p[0]), b.entry(own, p[0]));
    let grown = b.map(Op::Mul, &[p[1], xk]);
    let next = b.map(Op::Add, &[grown, ok]);
    let all_next = b.with_entry(p[2], p[0], next);
    b.end_region(vec![next, all_next]);
    let out = b.control(Kind::For(region), vec![start, stop, so_far, all]);
    let out = b.proj(out, 1);
    let mut back = vec![0; rank];
    perm.iter().enumerate().for_each(|(i, p)| back[*p] = i);
    b.permute(out, back)
}
