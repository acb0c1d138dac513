//! Least squares by a factorization with column pivoting, whichever library makes it.
//!
//! A first solution is improved by one step of iterative refinement, whose residual is summed in twice the precision. It
//! costs a product and a solve, and gains digits on ill-conditioned data (Björck, "Numerical Methods for Least Squares
//! Problems", section 2.9).

use super::{Failure, Fit, LeastSquares};
use crate::lib_ops::dense::{Real, has_fused_multiply_add, wide};
use crate::lib_ops::transpose::{flip, transpose};
use std::array;

/// A factorization `a p = q r` of a matrix whose pivots fall.
pub(super) trait PivotedQr<T> {
    /// Column `k` of r, whose last element is the pivot.
    fn column(&self, k: usize) -> &[T];

    /// The solution in `x` of the leading `rank` columns for the right-hand side `b`, both row-major; unknowns of other columns are
    /// zero.
    fn solve(
        &mut self,
        b: &[T],
        problem: &LeastSquares<'_, T>,
        rank: usize,
        x: &mut [T],
    ) -> Result<(), Failure>;
}

/// Solves a problem whose matrix was factorized.
pub(super) fn solve<T: Real>(
    mut factors: impl PivotedQr<T>,
    p: &LeastSquares<'_, T>,
    x: &mut [T],
) -> Result<Fit, Failure> {
    let size = p.rows.min(p.cols);
    if size > 0 && p.a.iter().all(|v| *v == T::default()) {
        // Reflections of nothing are no numbers.
        x.fill(T::default());
        return Ok(Fit { rank: 0, condition: f64::INFINITY });
    }
    let pivots: Vec<f64> = (0..size).map(|k| factors.column(k)[k].wide().abs()).collect();
    let largest = pivots.first().copied().unwrap_or(0.0);
    // No column is longer than the first pivot.
    let rounded =
        |k: usize| pivots[k] <= p.rounding * largest && pivots[k] <= p.rounding * length(factors.column(k));
    let zero = |k: &usize| pivots[*k] == 0.0 || pivots[*k] < p.cut * largest || rounded(*k);
    let rank = (0..size).find(zero).unwrap_or(size);
    let condition = largest / pivots.last().copied().unwrap_or(largest);
    factors.solve(p.b, p, rank, x)?;
    let mut correction = vec![T::default(); x.len()];
    factors.solve(&residual(p, x), p, rank, &mut correction)?;
    if correction.iter().all(|c| c.wide().is_finite()) {
        x.iter_mut().zip(correction).for_each(|(x, c)| *x = T::narrow(x.wide() + c.wide()));
    }
    Ok(Fit { rank, condition })
}

/// The Euclidean length.
fn length<T: Real>(v: &[T]) -> f64 {
    v.iter().fold(0.0, |s: f64, e| s.hypot(e.wide()))
}

/// How many sums run side by side: those of a row, and then those of as many rows.
const LANES: usize = 8;

/// A number for each sum.
type Lanes = [f64; LANES];

/// `b - a x`, with exact products and compensated sums (Ogita, Rump and Oishi, "Accurate sum and dot product").
fn residual<T: Real>(p: &LeastSquares<'_, T>, x: &[T]) -> Vec<T> {
    let mut columns = vec![T::default(); x.len()];
    transpose(x, p.width, &mut columns);
    columns.iter_mut().for_each(|x| *x = -*x);
    let mut out = vec![T::default(); p.b.len()];
    let right = out.chunks_mut(LANES * p.width).zip(p.b.chunks(LANES * p.width));
    let rows = p.a.chunks(LANES * p.cols).zip(right);
    let fused = has_fused_multiply_add();
    wide(
        #[inline(always)]
        || {
            for (a, (out, b)) in rows {
                for (j, x) in columns.chunks_exact(p.cols).enumerate() {
                    let b = b[j..].iter().step_by(p.width);
                    let rest = if fused { rest::<T, true>(b, a, x) } else { rest::<T, false>(b, a, x) };
                    let out = out[j..].iter_mut().step_by(p.width);
                    out.zip(rest).for_each(|(out, rest)| *out = T::narrow(rest));
                }
            }
        },
    );
    out
}

/// Sums, and what was lost of them. They begin with a cache line, so that no store of a vector is split, by the end of a page even: a
/// stack begins at another place in each process.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Sums {
    sum: Lanes,
    lost: Lanes,
}

impl Sums {
    const ZERO: Sums = Sums { sum: [0.0; LANES], lost: [0.0; LANES] };

    /// Adds numbers of which that much was lost before.
    #[inline(always)]
    fn add(&mut self, v: Lanes, lost: Lanes) {
        for i in 0..LANES {
            let next = self.sum[i] + v[i];
            let part = next - self.sum[i];
            self.lost[i] += lost[i] + ((self.sum[i] - (next - part)) + (v[i] - part));
            self.sum[i] = next;
        }
    }

    /// Adds the products of as many elements.
    #[inline(always)]
    fn add_products<T: Real, const FUSED: bool>(&mut self, a: &[T; LANES], x: &[T; LANES]) {
        let (mut products, mut lost) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let (a, x) = (a[i].wide(), x[i].wide());
            products[i] = a * x;
            lost[i] = if FUSED { a.mul_add(x, -products[i]) } else { lost_of_product(a, x, products[i]) };
        }
        self.add(products, lost);
    }

    /// The sums of the products of elements of a row and a column of one length.
    #[inline(always)]
    fn of<T: Real, const FUSED: bool>(a: &[T], x: &[T]) -> Sums {
        let mut sums = Sums::ZERO;
        let ((a, a_rest), (x, x_rest)) = (a.as_chunks::<LANES>(), x.as_chunks::<LANES>());
        a.iter().zip(x).for_each(|(a, x)| sums.add_products::<T, FUSED>(a, x));
        if !a_rest.is_empty() {
            let padded = |rest: &[T]| array::from_fn(|i| rest.get(i).copied().unwrap_or_default());
            sums.add_products::<T, FUSED>(&padded(a_rest), &padded(x_rest));
        }
        sums
    }
}

/// What the products of some rows and a column add to elements of the right-hand side.
#[inline(always)]
fn rest<'b, T: Real, const FUSED: bool>(b: impl Iterator<Item = &'b T>, a: &[T], x: &[T]) -> Lanes {
    let mut rows = [Sums::ZERO; LANES];
    rows.iter_mut().zip(a.chunks_exact(x.len())).for_each(|(sums, a)| *sums = Sums::of::<T, FUSED>(a, x));
    let mut all = Sums::ZERO;
    all.sum.iter_mut().zip(b).for_each(|(to, b)| *to = b.wide());
    let (sums, lost) = (flip(rows.map(|row| row.sum)), flip(rows.map(|row| row.lost)));
    sums.into_iter().zip(lost).for_each(|(sum, lost)| all.add(sum, lost));
    array::from_fn(|i| all.sum[i] + all.lost[i])
}

/// What rounding took from a product, on a CPU without a fused multiply-add: by halves of 26 bits, whose products are
/// exact (Dekker).
#[inline(always)]
fn lost_of_product(a: f64, x: f64, product: f64) -> f64 {
    let split = |v: f64| {
        let big = v * 134_217_729.0;
        let high = big - (big - v);
        (high, v - high)
    };
    let ((a_high, a_low), (x_high, x_low)) = (split(a), split(x));
    a_low * x_low - (((product - a_high * x_high) - a_low * x_high) - a_high * x_low)
}
