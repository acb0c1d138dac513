//! Reductions, scans and products of tensors.
//!
//! Sums of floats are those of exact products up to a second rounding in f64 (Ogita, Rump and Oishi, "Accurate sum
//! and dot product", 2005), so that what an engine's own order of summation gives can be measured against them.

use super::array::each_index;
use super::{Array, ensure, malformed};
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::tensor::{ReduceOp, RunError, ScanOp};
use std::cmp::Ordering;

pub(super) fn reduce(
    op: ReduceOp,
    x: &Array,
    axes: &[usize],
    dtype: DType,
    shape: Vec<usize>,
) -> Result<Array, RunError> {
    let fits = axes.is_sorted_by(|a, b| a < b) && axes.iter().all(|a| *a < x.rank());
    ensure(fits && x.rank() == shape.len() + axes.len(), "a reduction over axes that do not fit")?;
    let kept: Vec<usize> = (0..x.rank()).filter(|a| !axes.contains(a)).collect();
    ensure(kept.iter().zip(&shape).all(|(a, n)| x.shape()[*a] == *n), "a reduction to another shape")?;
    let ranges: Vec<usize> = axes.iter().map(|a| x.shape()[*a]).collect();
    let mut from = vec![0; x.rank()];
    let mut elements = Vec::new();
    Array::build(dtype, shape, |index| {
        for (a, i) in kept.iter().zip(index) {
            from[*a] = *i;
        }
        elements.clear();
        each_index(&ranges, |inner| {
            for (a, i) in axes.iter().zip(inner) {
                from[*a] = *i;
            }
            elements.push(x.at(&from)?);
            Ok(())
        })?;
        let value = combine(op, &elements, x.dtype(), axes.len());
        value.ok_or_else(|| RunError::Malformed(format!("{op:?} of {} {}", elements.len(), x.dtype())))
    })
}

/// One result of a reduction; `None` when the op does not take the dtype, or has no value for no elements.
fn combine(op: ReduceOp, elements: &[Scalar], dtype: DType, axes: usize) -> Option<Scalar> {
    let fold = |op: Op| elements.iter().copied().map(Some).reduce(|a, b| op.eval(&[a?, b?])).flatten();
    let truth = |b: bool| (dtype == DType::Bool).then(|| Scalar::from_bits(DType::Bool, b.into()));
    let number = dtype.is_int() || dtype.is_float();
    match op {
        ReduceOp::Sum | ReduceOp::Prod if !number => None,
        ReduceOp::Sum if dtype.is_float() => {
            let mut sum = Sum::default();
            elements.iter().for_each(|e| sum.add(e.to_f64()));
            Some(Scalar::from_f64(dtype, sum.value()))
        }
        ReduceOp::Prod if dtype.is_float() => {
            Some(Scalar::from_f64(dtype, elements.iter().map(|e| e.to_f64()).product()))
        }
        ReduceOp::Sum if elements.is_empty() => Some(Scalar::from_i128(dtype, 0)),
        ReduceOp::Prod if elements.is_empty() => Some(Scalar::from_i128(dtype, 1)),
        ReduceOp::Sum => fold(Op::Add),
        ReduceOp::Prod => fold(Op::Mul),
        // The identity of each: the front end refuses `max` of nothing, and logsumexp of nothing is log(0) - inf.
        ReduceOp::Max if elements.is_empty() && number => Some(Scalar::from_f64(dtype, f64::NEG_INFINITY)),
        ReduceOp::Min if elements.is_empty() && number => Some(Scalar::from_f64(dtype, f64::INFINITY)),
        ReduceOp::Max if number => fold(Op::Max),
        ReduceOp::Min if number => fold(Op::Min),
        ReduceOp::Max | ReduceOp::Min => None,
        ReduceOp::Any => truth(elements.iter().any(|e| e.bits() != 0)),
        ReduceOp::All => truth(elements.iter().all(|e| e.bits() != 0)),
        ReduceOp::ArgMax | ReduceOp::ArgMin if axes != 1 => None,
        ReduceOp::ArgMax => first_best(elements, Ordering::Greater),
        ReduceOp::ArgMin => first_best(elements, Ordering::Less),
    }
}

/// The place of the first NaN, else of the first element that no other is `better` than.
fn first_best(elements: &[Scalar], better: Ordering) -> Option<Scalar> {
    let mut best = (0, *elements.first()?);
    for (i, e) in elements.iter().enumerate() {
        if is_nan(best.1) {
            break;
        }
        if is_nan(*e) || order(*e, best.1) == better {
            best = (i, *e);
        }
    }
    Some(Scalar::from_i128(DType::I64, best.0 as i128))
}

pub(super) fn is_nan(s: Scalar) -> bool {
    s.dtype().is_float() && s.to_f64().is_nan()
}

/// The order of sorting: NaN above all else and equal to itself, -0.0 equal to 0.0, false below true.
pub(super) fn order(a: Scalar, b: Scalar) -> Ordering {
    if a.dtype().is_float() && b.dtype().is_float() {
        let ordered = a.to_f64().partial_cmp(&b.to_f64());
        ordered.unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
    } else {
        a.to_i128().cmp(&b.to_i128())
    }
}

pub(super) fn scan(op: ScanOp, x: &Array, axis: usize) -> Result<Array, RunError> {
    let op = match op {
        ScanOp::Sum => Op::Add,
        ScanOp::Prod => Op::Mul,
        ScanOp::Max => Op::Max,
        ScanOp::Min => Op::Min,
    };
    x.extent(axis)?;
    let mut out = x.clone();
    each_index(x.shape(), |index| {
        let Some(before) = index[axis].checked_sub(1) else { return Ok(()) };
        let mut previous = index.to_vec();
        previous[axis] = before;
        let next = op.eval(&[out.at(&previous)?, x.at(index)?]);
        out.set(index, next.ok_or_else(|| malformed("a scan of a dtype that its op does not take"))?)
    })?;
    Ok(out)
}

/// A sum in f64 that carries along what rounding lost.
#[derive(Default)]
struct Sum {
    started: bool,
    total: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, v: f64) {
        if !self.started {
            // The first value as it is: a sum of -0.0 alone is -0.0, and only the empty sum is +0.0.
            (self.started, self.total) = (true, v);
            return;
        }
        let total = self.total + v;
        let big_first = self.total.abs() >= v.abs();
        self.lost += if big_first { (self.total - total) + v } else { (v - total) + self.total };
        self.total = total;
    }

    fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        self.lost += a.mul_add(b, -product);
    }

    fn value(&self) -> f64 {
        // What an overflow or an infinity lost means nothing, and adding nothing would turn -0.0 into 0.0.
        if self.total.is_finite() && self.lost.is_finite() && self.lost != 0.0 {
            self.total + self.lost
        } else {
            self.total
        }
    }
}

pub(super) fn dot(
    [a, b]: [&Array; 2],
    masks: Option<[&Array; 2]>,
    batch: &[(usize, usize)],
    contract: &[(usize, usize)],
    shape: Vec<usize>,
) -> Result<Array, RunError> {
    let dtype = a.dtype();
    let fits = masks.is_none_or(|[p, q]| p.shape() == a.shape() && q.shape() == b.shape());
    ensure(fits, "masks that do not fit the factors")?;
    ensure(dtype == b.dtype() && dtype != DType::Bool, "a product of dtypes that do not fit")?;
    let bound = |left: bool| -> Vec<usize> {
        batch.iter().chain(contract).map(|(l, r)| if left { *l } else { *r }).collect()
    };
    for (left, x) in [(true, a), (false, b)] {
        let mut axes = bound(left);
        axes.sort_unstable();
        let fits = axes.is_sorted_by(|p, q| p < q) && axes.iter().all(|p| *p < x.rank());
        ensure(fits, "a product over axes that do not fit")?;
    }
    let agree = batch.iter().chain(contract).all(|(l, r)| a.shape()[*l] == b.shape()[*r]);
    ensure(agree, "a product over axes of different extents")?;
    let free = |x: &Array, left: bool| -> Vec<usize> {
        let bound = bound(left);
        (0..x.rank()).filter(|i| !bound.contains(i)).collect()
    };
    let (free_a, free_b) = (free(a, true), free(b, false));
    let mut expected: Vec<usize> = batch.iter().map(|(l, _)| a.shape()[*l]).collect();
    expected.extend(free_a.iter().map(|i| a.shape()[*i]));
    expected.extend(free_b.iter().map(|i| b.shape()[*i]));
    ensure(expected == shape, "a product to another shape")?;
    let ranges: Vec<usize> = contract.iter().map(|(l, _)| a.shape()[*l]).collect();
    let (mut at_a, mut at_b) = (vec![0; a.rank()], vec![0; b.rank()]);
    Array::build(dtype, shape, |index| {
        let (pairs, rest) = index.split_at(batch.len());
        let (rest_a, rest_b) = rest.split_at(free_a.len());
        set_pairs(&mut at_a, &mut at_b, batch, pairs);
        free_a.iter().zip(rest_a).for_each(|(axis, i)| at_a[*axis] = *i);
        free_b.iter().zip(rest_b).for_each(|(axis, i)| at_b[*axis] = *i);
        let (mut float, mut int) = (Sum::default(), 0i128);
        each_index(&ranges, |inner| {
            set_pairs(&mut at_a, &mut at_b, contract, inner);
            if let Some([p, q]) = masks
                && (p.at(&at_a)?.bits() == 0 || q.at(&at_b)?.bits() == 0)
            {
                return Ok(());
            }
            let (x, y) = (a.at(&at_a)?, b.at(&at_b)?);
            if dtype.is_float() {
                float.add_product(x.to_f64(), y.to_f64());
            } else {
                int = int.wrapping_add(x.to_i128().wrapping_mul(y.to_i128()));
            }
            Ok(())
        })?;
        let sum = Scalar::from_f64(dtype, float.value());
        Ok(if dtype.is_float() { sum } else { Scalar::from_i128(dtype, int) })
    })
}

fn set_pairs(a: &mut [usize], b: &mut [usize], pairs: &[(usize, usize)], index: &[usize]) {
    for ((left, right), i) in pairs.iter().zip(index) {
        a[*left] = *i;
        b[*right] = *i;
    }
}
