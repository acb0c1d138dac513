//! What is the same whichever library fills the table: small systems, solves by vectors and norms.
//!
//! Factors lie in column-major order, as LAPACK and faer make them. A row-major matrix is the column-major one of its
//! transpose, so that a system is solved with the factors of the transpose and nothing is copied but the matrix
//! itself. The order of all sums is that of the text, so that vectors of any width give the same bits.

use super::Number;
use super::vectors::Lanes;
use pulp::Arch;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The float types that systems are solved in.
pub(crate) trait Real:
    Number
    + Lanes
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The number 1.
    const ONE: Self;
    /// The distance from 1 to the next number.
    const EPSILON: f64;
    /// Not a number.
    const NAN: Self;
    /// The same number as f64.
    fn wide(self) -> f64;
    /// The nearest number.
    fn narrow(v: f64) -> Self;
    /// The absolute value.
    fn size(self) -> Self;
}

macro_rules! real {
    ($($t:ty)*) => {$(
        impl Real for $t {
            const ONE: $t = 1.0;
            const EPSILON: f64 = <$t>::EPSILON as f64;
            const NAN: $t = <$t>::NAN;
            fn wide(self) -> f64 {
                self.into()
            }
            fn narrow(v: f64) -> $t {
                v as $t
            }
            fn size(self) -> $t {
                self.abs()
            }
        }
    )*};
}
real! { f32 f64 }

/// How many sums run side by side.
const LANES: usize = 16;

/// Runs `f` compiled for the widest vectors that the CPU has. A closure has to be inlined always to be compiled so.
#[inline(always)]
pub(crate) fn wide<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(f)
}

/// Whether what [`wide`] runs multiplies and adds in one instruction; a call of a slow function does it otherwise.
pub(crate) fn has_fused_multiply_add() -> bool {
    !matches!(Arch::new(), Arch::Scalar)
}

#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::default(); LANES];
    let (a_rows, b_rows) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_rows.remainder().iter().zip(b_rows.remainder());
    let tail = rest.fold(T::default(), |s, (x, y)| s + *x * *y);
    for (x, y) in a_rows.zip(b_rows) {
        for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane = *lane + *x * *y;
        }
    }
    lanes.into_iter().fold(tail, |s, l| s + l)
}

/// `y -= factor * x`
#[inline(always)]
pub(crate) fn subtract<T: Real>(y: &mut [T], factor: T, x: &[T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = *y - factor * *x;
    }
}

/// Whether all are finite.
pub(crate) fn all_finite<T: Real>(x: &[T]) -> bool {
    /// Enough sums that none waits for the one before.
    const SUMS: usize = 4 * LANES;
    wide(
        #[inline(always)]
        || {
            let mut lanes = [T::default(); SUMS];
            let rows = x.chunks_exact(SUMS);
            // A number times 0 is 0, and NaN if it is not finite.
            let rest = rows.remainder().iter().fold(T::default(), |s, e| s + *e * T::default());
            for row in rows {
                for (lane, e) in lanes.iter_mut().zip(row) {
                    *lane = *lane + *e * T::default();
                }
            }
            lanes.iter().fold(rest, |s, l| s + *l) == T::default()
        },
    )
}

/// The largest absolute value; 0 of nothing.
pub(crate) fn largest<T: Real>(x: &[T]) -> T {
    wide(
        #[inline(always)]
        || {
            let larger = |s: T, e: T| if e.size() > s { e.size() } else { s };
            let mut lanes = [T::default(); 4 * LANES];
            let rows = x.chunks_exact(lanes.len());
            let rest = rows.remainder().iter().fold(T::default(), |s, e| larger(s, *e));
            for row in rows {
                lanes.iter_mut().zip(row).for_each(|(lane, e)| *lane = larger(*lane, *e));
            }
            lanes.into_iter().fold(rest, larger)
        },
    )
}

/// The power of two that brings the largest element of a matrix near 1 if squares of it may overflow or vanish, as LAPACK's drivers
/// scale; otherwise 1.
pub(crate) fn scale<T: Real>(largest: T) -> f64 {
    let largest = largest.wide();
    // Between the roots of the smallest and of the largest number, with room for sums.
    let safe = T::EPSILON.powi(2)..T::EPSILON.powi(-2);
    if largest == 0.0 || safe.contains(&largest) {
        return 1.0;
    }
    2f64.powi(-largest.log2().floor().clamp(-1000.0, 1000.0) as i32)
}

/// Multiplies all of them by a scale.
pub(crate) fn multiply<T: Real>(values: &mut [T], scale: f64) {
    if scale != 1.0 {
        values.iter_mut().for_each(|v| *v = T::narrow(v.wide() * scale));
    }
}

/// The 1-norm of a row-major matrix: its largest sum of a column's absolute values. `sums` has a place for each column.
pub(crate) fn norm<T: Real>(a: &[T], sums: &mut [T]) -> f64 {
    wide(
        #[inline(always)]
        || {
            sums.fill(T::default());
            for row in a.chunks_exact(sums.len().max(1)) {
                for (sum, e) in sums.iter_mut().zip(row) {
                    *sum = *sum + e.size();
                }
            }
            sums.iter().fold(0.0, |s: f64, e| s.max(e.wide()))
        },
    )
}

/// LU with partial pivoting in place of a column-major matrix with as many rows as `order`, which becomes the rows in
/// the order of the factors' rows; whether that is an odd one. A column without a pivot is passed over, and its pivot
/// is 0.
pub(crate) fn lu<T: Real>(m: &mut [T], order: &mut [usize]) -> bool {
    wide(
        #[inline(always)]
        || {
            let rows = order.len();
            let cols = m.len() / rows.max(1);
            order.iter_mut().enumerate().for_each(|(i, to)| *to = i);
            let mut odd = false;
            for k in 0..rows.min(cols) {
                let column = &m[k * rows..(k + 1) * rows];
                let mut best = k;
                for i in k + 1..rows {
                    if column[i].size() > column[best].size() {
                        best = i;
                    }
                }
                if column[best] == T::default() {
                    continue;
                }
                if best != k {
                    (0..cols).for_each(|j| m.swap(j * rows + k, j * rows + best));
                    order.swap(k, best);
                    odd = !odd;
                }
                let (left, right) = m.split_at_mut((k + 1) * rows);
                let column = &mut left[k * rows + k..];
                let pivot = column[0];
                let column = &mut column[1..];
                column.iter_mut().for_each(|e| *e = *e / pivot);
                for other in right.chunks_exact_mut(rows) {
                    let factor = other[k];
                    subtract(&mut other[k + 1..], factor, column);
                }
            }
            odd
        },
    )
}

/// From the lower factor in the lower triangle of a row-major matrix, with this diagonal, to the factors that LU without an
/// exchange of rows has, column-major: `l d` and `d l.T`, the diagonal of the first being 1.
pub(crate) fn lu_of_cholesky<T: Real>(m: &mut [T], diagonal: &[T]) {
    /// Rows and columns of a block, which stays in the first cache.
    const BLOCK: usize = 16;
    let n = diagonal.len();
    for top in (0..n).step_by(BLOCK) {
        for left in (0..=top).step_by(BLOCK) {
            for i in top..n.min(top + BLOCK) {
                for j in left..i.min(left + BLOCK) {
                    let l = m[i * n + j];
                    // By columns: row j of the upper factor in column i, row i of the lower one in column j.
                    m[i * n + j] = l * diagonal[j];
                    m[j * n + i] = l / diagonal[j];
                }
            }
        }
    }
    for (i, d) in diagonal.iter().enumerate() {
        m[i * n + i] = *d * *d;
    }
}

/// Which system of the factors of a matrix is solved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// `l u x = v`
    Plain,
    /// `(l u).T x = v`
    Transposed,
}

/// Solves with the factors `l u` of a square column-major matrix in place of `v`, apart from the order of the rows.
pub(crate) fn solve_vector<T: Real>(lu: &[T], v: &mut [T], side: Side) {
    wide(
        #[inline(always)]
        || {
            let n = v.len();
            let column = |j: usize| &lu[j * n..(j + 1) * n];
            match side {
                Side::Plain => {
                    for j in 0..n {
                        let x = v[j];
                        subtract(&mut v[j + 1..], x, &column(j)[j + 1..]);
                    }
                    for j in (0..n).rev() {
                        v[j] = v[j] / column(j)[j];
                        let x = v[j];
                        subtract(&mut v[..j], x, &column(j)[..j]);
                    }
                }
                Side::Transposed => {
                    for j in 0..n {
                        v[j] = (v[j] - dot(&column(j)[..j], &v[..j])) / column(j)[j];
                    }
                    for j in (0..n).rev() {
                        v[j] = v[j] - dot(&column(j)[j + 1..], &v[j + 1..]);
                    }
                }
            }
        },
    );
}

/// Puts row `i` of the row-major `x` where `order` says, in place; `order` is used up.
pub(crate) fn scatter_rows<T: Copy>(x: &mut [T], order: &mut [usize]) {
    let width = x.len() / order.len().max(1);
    for i in 0..order.len() {
        while order[i] != i {
            let to = order[i];
            (0..width).for_each(|j| x.swap(i * width + j, to * width + j));
            order.swap(i, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_where_the_order_says() {
        let (mut x, mut order) = ([10, 11, 20, 21, 30, 31, 40, 41], [2, 0, 3, 1]);
        scatter_rows(&mut x, &mut order);
        assert_eq!(x, [20, 21, 40, 41, 10, 11, 30, 31]);
    }

    #[test]
    fn finite_means_all() {
        for n in [0, 1, 15, 16, 40] {
            let mut x = vec![1e308f64; n];
            assert!(all_finite(&x));
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                for i in 0..n {
                    x[i] = bad;
                    assert!(!all_finite(&x), "{bad} at {i} of {n}");
                    x[i] = -0.0;
                }
            }
        }
    }

    #[test]
    fn both_systems_are_solved() {
        // Column-major, rows 4 2; 1 3 apart from their order.
        let (mut m, mut order) = ([1.0f64, 4.0, 3.0, 2.0], [0, 0]);
        assert!(lu(&mut m, &mut order));
        assert_eq!(order, [1, 0]);
        let mut v = [8.0, 5.0];
        solve_vector(&m, &mut v, Side::Plain);
        let [x, y] = v;
        assert!((4.0 * x + 2.0 * y - 8.0).abs() < 1e-12 && (x + 3.0 * y - 5.0).abs() < 1e-12);
        let mut v = [6.0, 8.0];
        solve_vector(&m, &mut v, Side::Transposed);
        let [x, y] = v;
        assert!((4.0 * x + y - 6.0).abs() < 1e-12 && (2.0 * x + 3.0 * y - 8.0).abs() < 1e-12);
    }
}
