//! Least squares by a factorization with column pivoting, whichever library makes it.
//!
//! A first solution is improved by one step of iterative refinement, whose residual is summed in twice the precision. It
//! costs a product and a solve, and gains digits on ill-conditioned data (Björck, "Numerical Methods for Least Squares
//! Problems", section 2.9).

use super::{Failure, Fit, LeastSquares};
use crate::lib_ops::dense::{Real, has_fused_multiply_add, wide};
use crate::lib_ops::transpose::transpose;

/// A factorization `a p = q r` of a matrix whose pivots fall.
pub(super) trait PivotedQr<T> {
    /// Column `k` of r, whose last element is the pivot.
    fn column(&self, k: usize) -> &[T];

    /// The solution of the leading `rank` columns for the right-hand side `b`, row-major; unknowns of other columns are
    /// zero.
    fn solve(&self, b: &[T], problem: &LeastSquares<'_, T>, rank: usize) -> Result<Vec<T>, Failure>;
}

/// Solves a problem whose matrix was factorized.
pub(super) fn solve<T: Real>(
    factors: &impl PivotedQr<T>,
    p: &LeastSquares<'_, T>,
    x: &mut [T],
) -> Result<Fit, Failure> {
    let size = p.rows.min(p.cols);
    let pivots: Vec<f64> = (0..size).map(|k| factors.column(k)[k].wide().abs()).collect();
    let largest = pivots.first().copied().unwrap_or(0.0);
    // No column is longer than the first pivot.
    let rounded =
        |k: usize| pivots[k] <= p.rounding * largest && pivots[k] <= p.rounding * length(factors.column(k));
    let zero = |k: &usize| pivots[*k] == 0.0 || pivots[*k] < p.cut * largest || rounded(*k);
    let rank = (0..size).find(zero).unwrap_or(size);
    let condition = largest / pivots.last().copied().unwrap_or(largest);
    x.copy_from_slice(&factors.solve(p.b, p, rank)?);
    let correction = factors.solve(&residual(p, x), p, rank)?;
    if correction.iter().all(|c| c.wide().is_finite()) {
        x.iter_mut().zip(correction).for_each(|(x, c)| *x = T::narrow(x.wide() + c.wide()));
    }
    Ok(Fit { rank, condition })
}

/// The Euclidean length.
fn length<T: Real>(v: &[T]) -> f64 {
    v.iter().fold(0.0, |s: f64, e| s.hypot(e.wide()))
}

/// How many sums run side by side.
const LANES: usize = 16;

/// `b - a x`, with exact products and compensated sums (Ogita, Rump and Oishi, "Accurate sum and dot product").
fn residual<T: Real>(p: &LeastSquares<'_, T>, x: &[T]) -> Vec<T> {
    let mut columns = vec![T::default(); x.len()];
    transpose(x, p.width, &mut columns);
    let mut out = vec![T::default(); p.b.len()];
    let rows = p.a.chunks_exact(p.cols).zip(out.chunks_exact_mut(p.width).zip(p.b.chunks_exact(p.width)));
    let fused = has_fused_multiply_add();
    wide(
        #[inline(always)]
        || {
            for (a, (out, b)) in rows {
                for ((out, b), x) in out.iter_mut().zip(b).zip(columns.chunks_exact(p.cols)) {
                    *out =
                        T::narrow(if fused { rest::<T, true>(*b, a, x) } else { rest::<T, false>(*b, a, x) });
                }
            }
        },
    );
    out
}

/// Sums, and what was lost of them.
struct Sums {
    sum: [f64; LANES],
    lost: [f64; LANES],
}

impl Sums {
    /// Adds `a` times `x` to one of them.
    #[inline(always)]
    fn add<const FUSED: bool>(&mut self, i: usize, a: f64, x: f64) {
        let product = a * x;
        let lost = if FUSED { a.mul_add(x, -product) } else { lost_of_product(a, x, product) };
        let next = self.sum[i] + product;
        let part = next - self.sum[i];
        self.lost[i] += lost + ((self.sum[i] - (next - part)) + (product - part));
        self.sum[i] = next;
    }

    /// The sum of all of them.
    #[inline(always)]
    fn all<const FUSED: bool>(mut self) -> f64 {
        let mut half = LANES;
        while half > 1 {
            half /= 2;
            for i in 0..half {
                self.lost[i] += self.lost[i + half];
                self.add::<FUSED>(i, self.sum[i + half], 1.0);
            }
        }
        self.sum[0] + self.lost[0]
    }
}

/// `b` minus the product of a row and a column, of one length.
#[inline(always)]
fn rest<T: Real, const FUSED: bool>(b: T, a: &[T], x: &[T]) -> f64 {
    let mut sums = Sums { sum: [0.0; LANES], lost: [0.0; LANES] };
    sums.sum[0] = b.wide();
    let (rows, columns) = (a.chunks_exact(LANES), x.chunks_exact(LANES));
    let tail = rows.remainder().iter().zip(columns.remainder());
    let (mut last_a, mut last_x) = ([0.0; LANES], [0.0; LANES]);
    for ((a, x), (to_a, to_x)) in tail.zip(last_a.iter_mut().zip(&mut last_x)) {
        (*to_a, *to_x) = (a.wide(), x.wide());
    }
    for (a, x) in rows.zip(columns) {
        (0..LANES).for_each(|i| sums.add::<FUSED>(i, -a[i].wide(), x[i].wide()));
    }
    (0..LANES).for_each(|i| sums.add::<FUSED>(i, -last_a[i], last_x[i]));
    sums.all::<FUSED>()
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
