//! Inverses of matrices that are larger than small: systems whose right-hand side is the identity.
//!
//! An inverse is such a system in the tensor IR, so that what holds of systems holds of it. Which one it is the numbers tell here, since
//! the routines of libraries that invert take less work than as many solves as there are columns. Solving with the
//! identity stays the way out: a product of inverse factors is NaN where an element of one overflows.

use super::cholesky;
use super::condition;
use super::dense::{Real, all_finite, norm};
use super::engine::{Failure, Routines};
use super::transpose::mirror_lower;

/// From this order on solving with the identity takes longer.
const ORDER: usize = 300;

/// From this order on it takes longer than the inverse of a positive definite matrix from its factor.
const ORDER_DEFINITE: usize = 96;

/// Whether an inverse is wanted that is made by a routine of its own: `x` is the right-hand side, of that width.
pub(super) fn wanted<T: Real>(x: &[T], (n, width): (usize, usize), definite: bool) -> bool {
    let from = if definite { ORDER_DEFINITE } else { ORDER };
    let is_one = |i: usize, row: &[T]| {
        row.iter().enumerate().all(|(j, e)| *e == if i == j { T::ONE } else { T::default() })
    };
    n >= from && width == n && x.chunks_exact(n).enumerate().all(|(i, row)| is_one(i, row))
}

/// Whether an inverse is finite; the identity takes its place where it is not.
fn is_found<T: Real>(x: &mut [T], n: usize) -> bool {
    let found = all_finite(x);
    if !found {
        x.fill(T::default());
        x.iter_mut().step_by(n + 1).for_each(|e| *e = T::ONE);
    }
    found
}

/// The inverse of a row-major matrix in `x`, from the factors of its transpose by columns; false, and `x` is the identity still, where an
/// element is not finite.
pub(super) fn of_factors<T: Real>(
    lu: &[T],
    order: &[usize],
    x: &mut [T],
    routines: &Routines<T>,
) -> Result<bool, Failure> {
    // By columns the inverse is that of the transpose too, and so by rows the one that is wanted.
    (routines.inverse)(lu, order, x)?;
    Ok(is_found(x, order.len()))
}

/// The inverse in `x` of a row-major matrix that is positive definite; false, and `x` is the identity still, where it is not, or an element of its
/// inverse is not finite. `space` has room for the matrix.
pub(super) fn of_definite<T: Real>(
    a: &[T],
    n: usize,
    x: &mut [T],
    space: &mut [T],
    routines: &Routines<T>,
) -> Result<bool, Failure> {
    if !cholesky::factorize_definite(a, n, space, routines) {
        return Ok(false);
    }
    (routines.inverse_definite)(space, n, x)?;
    mirror_lower(x, n);
    Ok(is_found(x, n))
}

/// The condition number of a row-major matrix with that inverse, if it is large.
pub(super) fn condition<T: Real>(a: &[T], inverse: &[T], n: usize, sums: &mut Vec<T>) -> Option<f64> {
    sums.clear();
    sums.resize(n, T::default());
    condition::large::<T>(norm(a, sums) * norm(inverse, sums))
}
