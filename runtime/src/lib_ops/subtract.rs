//! Subtraction of products with few terms: what a block of a factorization takes from the columns behind it.
//!
//! Columns begin with a cache line and are whole ones, so that all is done in full vectors. Tiles of some columns by some vectors stay in
//! registers for as many terms as there are.

use super::aligned::line;
use super::dense::Real;
use pulp::{Arch, Simd, WithSimd};
use std::array;

/// `to[r, c] -= terms[r, k] * factors[k, c]`, summed over `k`, for rows from `from` to `rows`, both at the beginning of a line.
pub(super) struct Subtract<'a, T> {
    pub(super) from: usize,
    pub(super) rows: usize,
    /// Columns that are `stride` elements apart, one for each term.
    pub(super) terms: &'a [T],
    pub(super) stride: usize,
    pub(super) depth: usize,
    /// Rows that are `step` elements apart, one for each term.
    pub(super) factors: &'a [T],
    pub(super) step: usize,
    pub(super) cols: usize,
}

impl<T: Real> Subtract<'_, T> {
    /// From columns that are `stride` elements apart too.
    pub(super) fn of(self, to: &mut [T], stride: usize) {
        debug_assert!(
            [self.from, self.rows, self.stride, stride].iter().all(|n| n.is_multiple_of(line::<T>()))
        );
        if self.depth > 0 && self.from < self.rows {
            Arch::new().dispatch(Run { by: self, to, stride });
        }
    }
}

struct Run<'a, 'b, T> {
    by: Subtract<'a, T>,
    to: &'b mut [T],
    stride: usize,
}

impl<T: Real> WithSimd for Run<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut col = 0;
        // As many columns of a tile as leave registers for what is read.
        while S::REGISTER_COUNT >= 32 && self.by.cols - col >= 8 {
            self.columns::<S, 8>(simd, col);
            col += 8;
        }
        while self.by.cols - col >= 4 {
            self.columns::<S, 4>(simd, col);
            col += 4;
        }
        for col in col..self.by.cols {
            self.column(simd, col);
        }
    }
}

impl<T: Real> Run<'_, '_, T> {
    #[inline(always)]
    fn columns<S: Simd, const COLS: usize>(&mut self, simd: S, col: usize) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let (mut at, end) = (self.by.from / lanes, self.by.rows / lanes);
        while at < end {
            // Tiles of about one width: a narrow one waits for what it reads.
            let vectors = (end - at).div_ceil((end - at).div_ceil(3));
            match vectors {
                1 => self.tile::<S, COLS, 1>(simd, col, at),
                2 => self.tile::<S, COLS, 2>(simd, col, at),
                _ => self.tile::<S, COLS, 3>(simd, col, at),
            }
            at += vectors;
        }
    }

    /// One column: more vectors, since each waits for its own sums.
    #[inline(always)]
    fn column<S: Simd>(&mut self, simd: S, col: usize) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let (mut at, end) = (self.by.from / lanes, self.by.rows / lanes);
        while end - at >= 8 {
            self.tile::<S, 1, 8>(simd, col, at);
            at += 8;
        }
        while end - at >= 2 {
            self.tile::<S, 1, 2>(simd, col, at);
            at += 2;
        }
        if at < end {
            self.tile::<S, 1, 1>(simd, col, at);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const COLS: usize, const VECTORS: usize>(&mut self, simd: S, col: usize, at: usize) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let Subtract { terms, stride, depth, factors, step, .. } = self.by;
        let (apart, terms_apart) = (self.stride / lanes, stride / lanes);
        let to = T::vectors_mut::<S>(&mut *self.to).0;
        let mut tile: [[T::Vector<S>; VECTORS]; COLS] = array::from_fn(
            #[inline(always)]
            |c| {
                let vectors = &to[(col + c) * apart + at..][..VECTORS];
                array::from_fn(
                    #[inline(always)]
                    |v| vectors[v],
                )
            },
        );
        let terms = T::vectors::<S>(terms).0;
        for k in 0..depth {
            let term = &terms[k * terms_apart + at..][..VECTORS];
            let factors = &factors[k * step + col..][..COLS];
            for (sums, factor) in tile.iter_mut().zip(factors) {
                let factor = T::splat(simd, -*factor);
                for (sum, term) in sums.iter_mut().zip(term) {
                    *sum = T::mul_add(simd, factor, *term, *sum);
                }
            }
        }
        for (c, tile) in tile.iter().enumerate() {
            to[(col + c) * apart + at..][..VECTORS].copy_from_slice(tile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, whose sums are exact, in columns or rows of that length.
    fn check<T: Real>(rows: usize, cols: usize, depth: usize) {
        let rows = rows.next_multiple_of(line::<T>());
        let number = |k: usize| ((k * 7919) % 17) as f64 - 8.0;
        let numbers =
            |n: usize, seed: usize| -> Vec<T> { (0..n).map(|k| T::narrow(number(k + seed))).collect() };
        let (terms, factors) = (numbers(rows * depth, 1), numbers(depth * cols, 5));
        for from in (0..rows).step_by(line::<T>()) {
            let before = numbers(rows * cols, 11);
            let mut to = before.clone();
            let by = Subtract {
                from,
                rows,
                terms: &terms,
                stride: rows,
                depth,
                factors: &factors,
                step: cols,
                cols,
            };
            by.of(&mut to, rows);
            for (at, to) in to.iter().enumerate() {
                let (r, c) = (at % rows, at / rows);
                let sum: f64 =
                    (0..depth).map(|k| terms[k * rows + r].wide() * factors[k * cols + c].wide()).sum();
                let taken = if r < from { 0.0 } else { sum };
                assert_eq!(
                    to.wide(),
                    before[at].wide() - taken,
                    "{r} {c} of {rows} {cols} {depth} from {from}"
                );
            }
        }
    }

    #[test]
    fn every_element_loses_its_sum() {
        for rows in [1, 16, 40, 100] {
            for cols in [0, 1, 3, 4, 7, 8, 13, 21] {
                for depth in [0, 1, 2, 16] {
                    check::<f64>(rows, cols, depth);
                    check::<f32>(rows, cols, depth);
                }
            }
        }
    }
}
