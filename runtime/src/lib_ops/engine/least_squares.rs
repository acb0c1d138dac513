//! Least squares by a factorization with column pivoting, whichever library makes it.
//!
//! A first solution is improved by one step of iterative refinement, whose residual is summed in twice the precision. It
//! costs a product and a solve, and gains digits on ill-conditioned data (Björck, "Numerical Methods for Least Squares
//! Problems", section 2.9).

use super::{Failure, Fit, LeastSquares};
use crate::lib_ops::dense::{Real, wide};

/// A factorization `a p = q r` of a matrix whose pivots fall.
pub(super) trait PivotedQr<T> {
    /// The diagonal of r.
    fn pivot(&self, k: usize) -> f64;

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
    let pivots: Vec<f64> = (0..size).map(|k| factors.pivot(k).abs()).collect();
    let largest = pivots.first().copied().unwrap_or(0.0);
    let rank = pivots.iter().position(|v| *v == 0.0 || *v < p.cut * largest).unwrap_or(size);
    let condition = largest / pivots.last().copied().unwrap_or(largest);
    x.copy_from_slice(&factors.solve(p.b, p, rank)?);
    let correction = factors.solve(&residual(p, x), p, rank)?;
    if correction.iter().all(|c| c.wide().is_finite()) {
        x.iter_mut().zip(correction).for_each(|(x, c)| *x = T::narrow(x.wide() + c.wide()));
    }
    Ok(Fit { rank, condition })
}

/// How many rows are summed side by side.
const ROWS: usize = 8;

/// `b - a x`, with products split exactly and sums compensated (Ogita, Rump and Oishi, "Accurate sum and dot product").
fn residual<T: Real>(p: &LeastSquares<'_, T>, x: &[T]) -> Vec<T> {
    let mut out = vec![T::default(); p.b.len()];
    wide(|| {
        for top in (0..p.rows).step_by(ROWS) {
            let height = ROWS.min(p.rows - top);
            for j in 0..p.width {
                let (mut sum, mut error) = ([0.0; ROWS], [0.0; ROWS]);
                for (i, sum) in sum.iter_mut().enumerate().take(height) {
                    *sum = p.b[(top + i) * p.width + j].wide();
                }
                for k in 0..p.cols {
                    let mut a = [0.0; ROWS];
                    for (i, a) in a.iter_mut().enumerate().take(height) {
                        *a = -p.a[(top + i) * p.cols + k].wide();
                    }
                    add_products(&mut sum, &mut error, &a, x[k * p.width + j].wide());
                }
                for i in 0..height {
                    out[(top + i) * p.width + j] = T::narrow(sum[i] + error[i]);
                }
            }
        }
    });
    out
}

/// Adds `a * v` to sums, and what is lost to errors.
#[inline(always)]
fn add_products(sum: &mut [f64; ROWS], error: &mut [f64; ROWS], a: &[f64; ROWS], v: f64) {
    // Halves of 26 bits, whose products are exact (Dekker): a fused multiply-add is a slow call on CPUs without one.
    let split = |v: f64| {
        let big = v * 134_217_729.0;
        let high = big - (big - v);
        (high, v - high)
    };
    let (v_high, v_low) = split(v);
    for i in 0..ROWS {
        let product = a[i] * v;
        let (high, low) = split(a[i]);
        let lost = low * v_low - (((product - high * v_high) - low * v_high) - high * v_low);
        let next = sum[i] + product;
        let part = next - sum[i];
        error[i] += lost + ((sum[i] - (next - part)) + (product - part));
        sum[i] = next;
    }
}
