//! Cholesky factors of row-major matrices, a panel of columns at a time.
//!
//! A panel's columns are turned into rows of a buffer, where a few of them, as many as a cache line has elements, are solved in
//! registers, and what they take from those behind them is a product of tiles of registers. That is the right-looking
//! algorithm (Golub and Van Loan, "Matrix Computations", section 4.2) on the transpose of the panel, so that a matrix by rows
//! is turned once, as it is read, and once, as it is written. A small matrix is one panel. Of a large one the panels are
//! factorized here, and what is behind them is left to a library's product.

use super::aligned::{Aligned, line};
use super::dense::Real;
use super::engine::{Failure, Routines};
use super::transpose::{Extent, turn_lower, turn_upper};
use pulp::{Arch, Simd, WithSimd};
use std::array;
use std::mem::MaybeUninit;

/// Up to this order a matrix is one panel, which takes less time than a library.
const ORDER: usize = 128;

/// A panel: the lower triangle and what is below it of some columns, each as a row.
pub(crate) struct Panel<T> {
    memory: Aligned<T>,
    columns: usize,
    /// The elements of a row, which begin with that of the first row of the matrix that the panel has.
    length: usize,
}

impl<T: Real> Panel<T> {
    /// Memory for a panel of so many rows and columns; none where there is none.
    pub(crate) fn new(rows: usize, columns: usize) -> Option<Panel<T>> {
        let length = rows.checked_next_multiple_of(line::<T>())?;
        let need = columns.next_multiple_of(line::<T>()).checked_mul(length)?;
        Some(Panel { memory: Aligned::new(need)?, columns, length })
    }

    /// Takes the panel at row and column `k` of the row-major `m` of order `n`, no larger than the one that memory was made
    /// for. Of what is above the diagonal nothing is used.
    pub(crate) fn take(&mut self, m: &[T], n: usize, (k, columns): (usize, usize)) {
        self.columns = columns;
        self.length = (n - k).next_multiple_of(line::<T>());
        let space = &mut *self.memory;
        turn_lower(&m[k * n + k..], Extent { stride: n, rows: n - k, cols: columns }, space, self.length);
        // What is added to round up is zero, so that it has no part in anything.
        for row in space.chunks_exact_mut(self.length).take(columns) {
            row[n - k..].fill(T::default());
        }
        let behind = columns * self.length..columns.next_multiple_of(line::<T>()) * self.length;
        space[behind].fill(T::default());
    }

    /// Puts the panel back, without anything above the diagonal.
    pub(crate) fn put(&self, m: &mut [T], n: usize, k: usize) {
        let size = Extent { stride: n, rows: n - k, cols: self.columns };
        turn_upper(&self.memory, self.length, &mut m[k * n + k..], size);
    }

    /// Its columns as rows, each of so many elements.
    pub(crate) fn rows(&self) -> (&[T], usize) {
        (&self.memory, self.length)
    }

    /// Makes the columns those of the factor; the index of the first pivot that is no positive number if there is one.
    pub(crate) fn factorize(&mut self) -> Result<(), usize> {
        let (columns, length) = (self.columns, self.length);
        let held = columns.next_multiple_of(line::<T>()) * length;
        let rows = &mut self.memory[..held];
        Arch::new().dispatch(Rows { rows, columns, length })
    }
}

/// The lower triangle of the row-major `a` of order `n` in `to`, with zeros above it.
pub(crate) fn lower<'t, T: Real>(a: &[T], n: usize, to: &'t mut [MaybeUninit<T>]) -> &'t mut [T] {
    for (i, (to, from)) in to.chunks_exact_mut(n.max(1)).zip(a.chunks_exact(n.max(1))).enumerate() {
        let (below, above) = to.split_at_mut(i + 1);
        below.write_copy_of_slice(&from[..=i]);
        above.fill(MaybeUninit::new(T::default()));
    }
    // SAFETY: `n` rows of `n` elements were written above, which are all where these are as many.
    unsafe { to[..n * n].assume_init_mut() }
}

/// The lower factor of the row-major `l` of order `n` in place, from its lower triangle. What stands above is left alone. When it
/// succeeds all of the lower triangle was finite: what is not makes a pivot so.
pub(crate) fn factorize<T: Real>(l: &mut [T], n: usize, routines: &Routines<T>) -> Result<(), Failure> {
    if n == 0 {
        return Ok(());
    }
    if n > ORDER {
        (routines.cholesky)(l, n)?;
        // The table does not promise it.
        let wrong = (0..n).find(|i| !l[i * n + i].wide().is_finite());
        return wrong.map_or(Ok(()), |i| Err(Failure::Minor(i + 1)));
    }
    let mut panel = Panel::new(n, n).ok_or(Failure::Memory)?;
    panel.take(l, n, (0, n));
    panel.factorize().map_err(|pivot| Failure::Minor(pivot + 1))?;
    panel.put(l, n, 0);
    Ok(())
}

/// The lower factor in `l` of the row-major `a` of order `n` if it is positive definite; whether it is. What is above it is unspecified.
pub(crate) fn factorize_definite<T: Real>(a: &[T], n: usize, l: &mut [T], routines: &Routines<T>) -> bool {
    // A diagonal that is not positive is told before any work.
    if (0..n).any(|i| a[i * n + i] <= T::default()) {
        return false;
    }
    l.copy_from_slice(a);
    factorize(l, n, routines).is_ok()
}

/// The rows of a panel.
struct Rows<'a, T> {
    rows: &'a mut [T],
    /// How many of them are columns of the matrix.
    columns: usize,
    length: usize,
}

impl<T: Real> WithSimd for Rows<'_, T> {
    type Output = Result<(), usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Result<(), usize> {
        // A group is as many rows as a cache line has elements.
        if size_of::<T>() == 8 { self.groups::<S, 8>(simd) } else { self.groups::<S, 16>(simd) }
    }
}

impl<T: Real> Rows<'_, T> {
    #[inline(always)]
    fn groups<S: Simd, const GROUP: usize>(&mut self, simd: S) -> Result<(), usize> {
        for k in (0..self.columns).step_by(GROUP) {
            let corner = self.corner::<GROUP>(k)?;
            self.solve::<S, GROUP>(simd, k, &corner);
            for (c, root) in corner.roots.into_iter().enumerate() {
                self.rows[(k + c) * self.length + k + c] = root;
            }
            // As many rows of a tile as leave registers for what is read.
            if S::REGISTER_COUNT >= 32 {
                self.subtract::<S, GROUP, 8>(simd, k);
            } else {
                self.subtract::<S, GROUP, 4>(simd, k);
            }
        }
        Ok(())
    }

    /// The factor of the square of a group at the diagonal.
    #[inline(always)]
    fn corner<const GROUP: usize>(&self, k: usize) -> Result<Corner<T, GROUP>, usize> {
        let row = |c: usize| &self.rows[(k + c) * self.length + k..][..GROUP];
        let mut m: [[T; GROUP]; GROUP] = array::from_fn(|c| array::from_fn(|i| row(c)[i]));
        let (mut roots, mut inverses) = ([T::default(); GROUP], [T::default(); GROUP]);
        for c in 0..GROUP.min(self.columns - k) {
            let pivot = m[c][c].wide();
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err(k + c);
            }
            roots[c] = T::narrow(pivot.sqrt());
            inverses[c] = T::narrow(pivot.sqrt().recip());
            let column: [T; GROUP] = array::from_fn(|i| m[c][i] * inverses[c]);
            for (d, row) in m.iter_mut().enumerate().skip(c + 1) {
                row.iter_mut().zip(&column).for_each(|(e, l)| *e = *e - column[d] * *l);
            }
            m[c] = column;
        }
        Ok(Corner { rows: m, roots, inverses })
    }

    /// Solves the rows of a group from its corner on.
    #[inline(always)]
    fn solve<S: Simd, const GROUP: usize>(&mut self, simd: S, k: usize, corner: &Corner<T, GROUP>) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let group = &mut self.rows[k * self.length..(k + GROUP) * self.length];
        for at in k / lanes..self.length / lanes {
            let vector = |c: usize| T::vectors::<S>(&group[c * self.length..(c + 1) * self.length]).0[at];
            let mut solved: [T::Vector<S>; GROUP] = array::from_fn(vector);
            for c in 0..GROUP {
                let mut rest = solved[c];
                for (d, known) in solved.iter().enumerate().take(c) {
                    rest = T::mul_add(simd, T::splat(simd, -corner.rows[d][c]), *known, rest);
                }
                solved[c] = T::times(simd, rest, T::splat(simd, corner.inverses[c]));
            }
            for (row, solved) in group.chunks_exact_mut(self.length).zip(solved) {
                T::vectors_mut::<S>(row).0[at] = solved;
            }
        }
    }

    /// Takes from the rows behind a group what it has of them.
    #[inline(always)]
    fn subtract<S: Simd, const GROUP: usize, const ROWS: usize>(&mut self, simd: S, k: usize) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let (length, end) = (self.length, self.length / lanes);
        let (known, behind) = self.rows.split_at_mut((k + GROUP) * length);
        let known = &known[k * length..];
        for (i, rows) in behind.chunks_exact_mut(ROWS * length).enumerate() {
            let top = k + GROUP + i * ROWS;
            let mut left = top / lanes;
            while left < end {
                // Tiles of about one width: a narrow one waits for what it reads.
                let tiles = (end - left).div_ceil(3);
                let vectors = (end - left).div_ceil(tiles);
                let tile = Tile { known, rows: &mut *rows, length, top, left };
                match vectors {
                    1 => tile.subtract::<S, GROUP, ROWS, 1>(simd),
                    2 => tile.subtract::<S, GROUP, ROWS, 2>(simd),
                    _ => tile.subtract::<S, GROUP, ROWS, 3>(simd),
                }
                left += vectors;
            }
        }
    }
}

/// The leading square of a group.
struct Corner<T, const GROUP: usize> {
    /// Row `c` is column `c` of the factor, from the diagonal on.
    rows: [[T; GROUP]; GROUP],
    /// The diagonal, and one over it; zeros behind the last column of the matrix.
    roots: [T; GROUP],
    inverses: [T; GROUP],
}

/// Some vectors of some rows.
struct Tile<'a, T> {
    /// The rows of the group.
    known: &'a [T],
    rows: &'a mut [T],
    length: usize,
    /// The number of the first of the rows, and that of the first vector.
    top: usize,
    left: usize,
}

impl<T: Real> Tile<'_, T> {
    #[inline(always)]
    fn subtract<S: Simd, const GROUP: usize, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let Tile { known, rows, length, top, left } = self;
        let held = |row: &[T]| -> [T::Vector<S>; VECTORS] {
            let vectors = &T::vectors::<S>(row).0[left..left + VECTORS];
            array::from_fn(|v| vectors[v])
        };
        let mut tile: [[T::Vector<S>; VECTORS]; ROWS] =
            array::from_fn(|r| held(&rows[r * length..(r + 1) * length]));
        for row in known.chunks_exact(length).take(GROUP) {
            let vectors = held(row);
            for (sums, e) in tile.iter_mut().zip(&row[top..top + ROWS]) {
                let e = T::splat(simd, -*e);
                sums.iter_mut().zip(vectors).for_each(|(sum, v)| *sum = T::mul_add(simd, e, v, *sum));
            }
        }
        for (row, tile) in rows.chunks_exact_mut(length).zip(tile) {
            T::vectors_mut::<S>(row).0[left..left + VECTORS].copy_from_slice(&tile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lib_ops::engine::LinalgEngine;

    /// A definite matrix whose lower triangle is its own, with NaN above.
    fn matrix<T: Real>(n: usize) -> Vec<T> {
        let noise = |i: usize, j: usize| ((i * 7919 + j * 104_729) % 1013) as f64 / 1013.0 - 0.5;
        let entry = |i: usize, j: usize| {
            let sum: f64 = (0..n).map(|k| noise(i, k) * noise(j, k)).sum();
            if i < j { f64::NAN } else { sum + if i == j { 1.0 } else { 0.0 } }
        };
        (0..n * n).map(|k| T::narrow(entry(k / n, k % n))).collect()
    }

    /// The factors by every way there is.
    fn factors<T: Real>(a: &[T], n: usize, routines: &Routines<T>) -> [Result<Vec<T>, Failure>; 2] {
        let table: fn(&mut [T], usize, &Routines<T>) -> _ = |l, n, routines| (routines.cholesky)(l, n);
        [factorize, table].map(|by| {
            let mut l = Vec::with_capacity(n * n);
            let l = lower(a, n, &mut l.spare_capacity_mut()[..n * n]);
            by(l, n, routines).map(|()| l.to_vec())
        })
    }

    fn check<T: Real>(n: usize, routines: &Routines<T>) {
        let a = matrix::<T>(n);
        for l in factors(&a, n, routines).map(Result::unwrap) {
            is_factor(&a, n, &l);
        }
    }

    fn is_factor<T: Real>(a: &[T], n: usize, l: &[T]) {
        // A part of the diagonal, which is about n / 12 + 1.
        let allowed = 4.0 * T::EPSILON * (n as f64).sqrt() * (1.0 + n as f64 / 12.0);
        for i in 0..n {
            for j in 0..n {
                let e = l[i * n + j].wide();
                if i < j {
                    assert_eq!(e.to_bits(), 0, "{i} {j} of {n}");
                    continue;
                }
                let product: f64 = (0..=j).map(|k| l[i * n + k].wide() * l[j * n + k].wide()).sum();
                let error = (product - a[i * n + j].wide()).abs();
                assert!(error <= allowed, "{i} {j} of {n}: {error:e}");
            }
        }
    }

    #[test]
    fn the_factor_times_its_transpose_is_the_matrix() {
        let engine = LinalgEngine::current();
        for n in [1, 2, 7, 8, 9, 16, 17, 31, 64, 100, 127, 128, 129, 150, 200, 257] {
            check::<f64>(n, &engine.f64);
            check::<f32>(n, &engine.f32);
        }
    }

    #[test]
    fn the_first_pivot_that_is_no_positive_number_is_told() {
        let routines = &LinalgEngine::current().f64;
        for n in [1, 5, 16, 30, 100, 140] {
            for at in [0, n / 2, n - 1] {
                let first = |a: &[f64]| factorize(&mut a.to_vec(), n, routines);
                for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
                    let mut a = matrix::<f64>(n);
                    a[at * n + at] = wrong;
                    let told = first(&a);
                    let finite = wrong.is_finite();
                    assert!(told == Err(Failure::Minor(at + 1)) || (!finite && told.is_err()), "{told:?}");
                    // What is not finite below the diagonal makes the pivot of its row so.
                    a = matrix(n);
                    a[at * n] = wrong;
                    assert!(finite || first(&a).is_err(), "{wrong} in row {at} of {n}");
                }
            }
        }
    }
}
