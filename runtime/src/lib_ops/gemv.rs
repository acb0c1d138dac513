//! The product of a matrix and a vector.
//!
//! Such a product waits for memory, and is to read the matrix once and in order. Where the terms of a sum lie side by
//! side, two rows at a time are multiplied with the vector, each summed in four chains; where the results do, eight terms
//! at a time are added to all of them. The order of a sum depends on the number of its terms alone, so that a part of the
//! results has the bits of the whole.

use super::dense::Real;
use super::engine::Product;
use pulp::{Arch, Simd, WithSimd};
use std::{array, slice};

/// Rows of fewer vectors are summed in one chain each, eight rows at a time.
const SHORT: usize = 8;

/// Terms that are added to the results at a time.
const TERMS: usize = 4;

/// Which operand of a product is the vector: a row if it is the first one, a column if it is the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    First,
    Second,
}

/// Computes a product of which one operand is a vector; whether it is laid out as one of the forms here wants it.
///
/// # Safety
/// As for [`Gemm`](super::engine::Gemm).
pub(crate) unsafe fn gemv<T: Real>(p: &Product<T>, vector: Side) -> bool {
    // The rows of the matrix are the results: where the vector stands first, the matrix is turned around.
    let (rows, (matrix, [down, across]), x, y) = match vector {
        Side::Second => (p.rows, p.a, (p.b.0, p.b.1[0]), (p.c.0, p.c.1[0])),
        Side::First => (p.cols, (p.b.0, [p.b.1[1], p.b.1[0]]), (p.a.0, p.a.1[1]), (p.c.0, p.c.1[1])),
    };
    if across == 1 && x.1 == 1 {
        // SAFETY: the caller's promise: the terms lie side by side.
        let x = unsafe { slice::from_raw_parts(x.0, p.depth) };
        Arch::new().dispatch(ByRows { matrix, down, rows, x, y });
    } else if down == 1 && y.1 == 1 {
        // SAFETY: the caller's promise: the results lie side by side and may be written, and zeros are numbers.
        let y = unsafe {
            y.0.write_bytes(0, rows);
            slice::from_raw_parts_mut(y.0, rows)
        };
        Arch::new().dispatch(ByTerms { matrix, across, terms: p.depth, x, y });
    } else {
        return false;
    }
    true
}

/// A matrix whose rows lie `down` elements apart, and are summed with the factors `x`.
struct ByRows<'a, T> {
    matrix: *const T,
    down: isize,
    rows: usize,
    x: &'a [T],
    y: (*mut T, isize),
}

impl<T: Real> WithSimd for ByRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Chains of short sums would be work to add up, and many rows are as good.
        if self.x.len() < SHORT * lanes::<T, S>() {
            self.all::<S, 8, 1>(simd);
        } else {
            self.all::<S, 4, 2>(simd);
        }
    }
}

impl<T: Real> ByRows<'_, T> {
    #[inline(always)]
    fn all<S: Simd, const ROWS: usize, const CHAINS: usize>(&self, simd: S) {
        let whole = self.rows - self.rows % ROWS;
        for i in (0..whole).step_by(ROWS) {
            self.sums::<S, ROWS, CHAINS>(simd, i);
        }
        for i in whole..self.rows {
            self.sums::<S, 1, CHAINS>(simd, i);
        }
    }

    #[inline(always)]
    fn row(&self, i: usize) -> &[T] {
        // SAFETY: the product's promise: the row has as many elements as `x`.
        unsafe { slice::from_raw_parts(self.matrix.offset(i as isize * self.down), self.x.len()) }
    }

    /// The sums of so many rows from `begin` on.
    #[inline(always)]
    fn sums<S: Simd, const ROWS: usize, const CHAINS: usize>(&self, simd: S, begin: usize) {
        let rows: [_; ROWS] = array::from_fn(
            #[inline(always)]
            |i| T::vectors::<S>(self.row(begin + i)),
        );
        let (x, x_tail) = T::vectors::<S>(self.x);
        let (x_chunks, x_rest) = x.as_chunks::<CHAINS>();
        let mut sums = [[T::splat(simd, T::default()); CHAINS]; ROWS];
        for (k, x) in x_chunks.iter().enumerate() {
            for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
                let row = &row[k * CHAINS..][..CHAINS];
                for ((sum, a), x) in sums.iter_mut().zip(row).zip(x) {
                    *sum = T::mul_add(simd, *a, *x, *sum);
                }
            }
        }
        for (i, (mut sums, (row, tail))) in sums.into_iter().zip(rows).enumerate() {
            for ((sum, a), x) in sums.iter_mut().zip(&row[x_chunks.len() * CHAINS..]).zip(x_rest) {
                *sum = T::mul_add(simd, *a, *x, *sum);
            }
            let mut sum = sums[0];
            for chain in &sums[1..] {
                sum = T::plus(simd, sum, *chain);
            }
            let mut sum = T::sum(simd, sum);
            for (a, x) in tail.iter().zip(x_tail) {
                sum = sum + *a * *x;
            }
            // SAFETY: the product's promise: there is a place for the result of each row.
            unsafe { *self.y.0.offset((begin + i) as isize * self.y.1) = sum }
        }
    }
}

/// A matrix whose columns lie `across` elements apart and are as long as the results, to which they are added, each times
/// its factor.
struct ByTerms<'a, T> {
    matrix: *const T,
    across: isize,
    terms: usize,
    x: (*const T, isize),
    y: &'a mut [T],
}

impl<T: Real> WithSimd for ByTerms<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let results = self.y.len();
        // Few results stay in registers, whose number has to be known here.
        match results.div_ceil(lanes::<T, S>()) {
            0 => {}
            1 if results < lanes::<T, S>() => self.few::<S, 1, true>(simd),
            1 => self.few::<S, 1, false>(simd),
            2 => self.few::<S, 2, false>(simd),
            3 => self.few::<S, 3, false>(simd),
            4 => self.few::<S, 4, false>(simd),
            5 => self.few::<S, 5, false>(simd),
            6 => self.few::<S, 6, false>(simd),
            7 => self.few::<S, 7, false>(simd),
            8 => self.few::<S, 8, false>(simd),
            _ => self.many(simd),
        }
    }
}

impl<T: Real> ByTerms<'_, T> {
    /// Computes results that fit into so many vectors, of which the last one overlaps others when it is not full; or which are
    /// only a part of one.
    #[inline(always)]
    fn few<S: Simd, const VECTORS: usize, const PART: bool>(&mut self, simd: S) {
        let mut sums = [T::splat(simd, T::default()); VECTORS];
        let whole = self.terms - self.terms % TERMS;
        for k in (0..whole).step_by(TERMS) {
            self.add_to::<S, VECTORS, TERMS, PART>(simd, k, &mut sums);
        }
        for k in whole..self.terms {
            self.add_to::<S, VECTORS, 1, PART>(simd, k, &mut sums);
        }
        for (v, mut sum) in sums.into_iter().enumerate() {
            let begin = self.begin::<S>(v);
            let to = self.y[begin..].iter_mut();
            to.zip(T::elements::<S>(&mut sum)).for_each(|(to, sum)| *to = *sum);
        }
    }

    /// Where vector `v` of the results begins when the last one is moved back to be full.
    #[inline(always)]
    fn begin<S: Simd>(&self, v: usize) -> usize {
        (v * lanes::<T, S>()).min(self.y.len().saturating_sub(lanes::<T, S>()))
    }

    /// Adds so many terms from `begin` on to vectors of results.
    #[inline(always)]
    fn add_to<S: Simd, const VECTORS: usize, const N: usize, const PART: bool>(
        &self,
        simd: S,
        begin: usize,
        sums: &mut [T::Vector<S>; VECTORS],
    ) {
        let factors = self.factors::<S, N>(simd, begin);
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = self.plus_terms::<S, N, PART>(simd, *sum, begin, &factors, self.begin::<S>(v));
        }
    }

    /// Computes results in memory, of which there are a vector and more.
    #[inline(always)]
    fn many<S: Simd>(&mut self, simd: S) {
        let whole = self.terms - self.terms % TERMS;
        for k in (0..whole).step_by(TERMS) {
            self.add::<S, TERMS>(simd, k);
        }
        for k in whole..self.terms {
            self.add::<S, 1>(simd, k);
        }
    }

    /// Adds so many terms from `begin` on to all results. The last vector overlaps others when results are left over: it is
    /// computed before and written after them.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(&mut self, simd: S, begin: usize) {
        let factors = self.factors::<S, N>(simd, begin);
        let last = self.y.len() - lanes::<T, S>();
        let end = T::vectors::<S>(&self.y[last..]).0[0];
        let end = self.plus_terms::<S, N, false>(simd, end, begin, &factors, last);
        for j in 0..self.y.len() / lanes::<T, S>() {
            let sum = T::vectors::<S>(self.y).0[j];
            let sum = self.plus_terms::<S, N, false>(simd, sum, begin, &factors, j * lanes::<T, S>());
            T::vectors_mut::<S>(self.y).0[j] = sum;
        }
        T::vectors_mut::<S>(&mut self.y[last..]).0[0] = end;
    }

    /// The factors of so many terms from `begin` on.
    #[inline(always)]
    fn factors<S: Simd, const N: usize>(&self, simd: S, begin: usize) -> [T::Vector<S>; N] {
        let mut factors = [T::splat(simd, T::default()); N];
        for (i, factor) in factors.iter_mut().enumerate() {
            // SAFETY: the product's promise: there is a factor for each term.
            *factor = T::splat(simd, unsafe { *self.x.0.offset((begin + i) as isize * self.x.1) });
        }
        factors
    }

    /// A vector of results from number `at` on and the products of so many terms from `begin` on, summed in two chains.
    #[inline(always)]
    fn plus_terms<S: Simd, const N: usize, const PART: bool>(
        &self,
        simd: S,
        results: T::Vector<S>,
        begin: usize,
        factors: &[T::Vector<S>; N],
        at: usize,
    ) -> T::Vector<S> {
        let mut sums = [results, T::splat(simd, T::default())];
        for (i, factor) in factors.iter().enumerate() {
            sums[i % 2] = T::mul_add(simd, self.load::<S, PART>(simd, begin + i, at), *factor, sums[i % 2]);
        }
        T::plus(simd, sums[0], sums[1])
    }

    /// The elements of column `k` for a vector of results from number `at` on: as many as it has lanes, or all of a column
    /// that has fewer, and zeros.
    #[inline(always)]
    fn load<S: Simd, const PART: bool>(&self, simd: S, k: usize, at: usize) -> T::Vector<S> {
        debug_assert!(PART || at + lanes::<T, S>() <= self.y.len());
        // SAFETY: the product's promise: a column has as many elements as there are results, which from `at` on are a vector
        // where it is not only a part of one.
        unsafe {
            let column = self.matrix.offset(k as isize * self.across);
            if PART {
                padded(simd, slice::from_raw_parts(column, self.y.len()))
            } else {
                column.add(at).cast::<T::Vector<S>>().read_unaligned()
            }
        }
    }
}

/// The elements of a vector.
#[inline(always)]
fn lanes<T: Real, S: Simd>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}

/// Fewer elements than a vector has, and zeros.
#[inline(always)]
fn padded<T: Real, S: Simd>(simd: S, few: &[T]) -> T::Vector<S> {
    let mut v = T::splat(simd, T::default());
    T::elements::<S>(&mut v)[..few.len()].copy_from_slice(few);
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All results for a matrix of small integers, whose sums are exact, with the matrix as either operand.
    fn check<T: Real>(rows: usize, depth: usize, by_rows: bool, first: bool) {
        let number = |k: usize| T::narrow(((k * 7919) % 17) as f64 - 8.0);
        let m: Vec<T> = (0..rows * depth).map(number).collect();
        let x: Vec<T> = (0..depth).map(|k| number(k + 3)).collect();
        let [down, across] = if by_rows { [depth, 1] } else { [1, rows] };
        let mut y = vec![T::NAN; rows];
        let steps = [down as isize, across as isize];
        let (m_at, x_at, c) = (m.as_ptr(), x.as_ptr(), (y.as_mut_ptr(), [1, 1]));
        let p = if first {
            Product { rows, cols: 1, depth, a: (m_at, steps), b: (x_at, [1, 1]), c }
        } else {
            let turned = [steps[1], steps[0]];
            Product { rows: 1, cols: rows, depth, a: (x_at, [1, 1]), b: (m_at, turned), c }
        };
        // SAFETY: the operands have these extents.
        assert!(unsafe { gemv(&p, if first { Side::Second } else { Side::First }) });
        for (i, y) in y.iter().enumerate() {
            let sum: f64 = (0..depth).map(|k| m[i * down + k * across].wide() * x[k].wide()).sum();
            assert_eq!(y.wide(), sum, "{i} of {rows} with {depth} terms, by rows: {by_rows}");
        }
    }

    #[test]
    fn every_result_is_its_sum() {
        for rows in [1, 2, 3, 7, 8, 17, 50, 129] {
            for depth in [0, 1, 5, 8, 9, 33, 64, 100, 517] {
                for layout in 0..4 {
                    check::<f64>(rows, depth, layout & 1 == 0, layout & 2 == 0);
                    check::<f32>(rows, depth, layout & 1 == 0, layout & 2 == 0);
                }
            }
        }
    }

    /// The results from `part` on of a matrix by rows or by columns.
    fn part(m: &[f64], x: &[f64], rows: usize, by_rows: bool, part: std::ops::Range<usize>) -> Vec<f64> {
        let [down, across] = if by_rows { [x.len(), 1] } else { [1, rows] };
        let mut y = vec![f64::NAN; part.len()];
        let p = Product {
            rows: part.len(),
            cols: 1,
            depth: x.len(),
            a: (m[part.start * down..].as_ptr(), [down as isize, across as isize]),
            b: (x.as_ptr(), [1, 1]),
            c: (y.as_mut_ptr(), [1, 1]),
        };
        // SAFETY: the operands have these extents.
        assert!(unsafe { gemv(&p, Side::Second) });
        y
    }

    #[test]
    fn parts_have_the_bits_of_the_whole() {
        for (rows, depth) in [(200, 37), (33, 300), (9, 8)] {
            let number = |k: usize| 1.0 / (k % 97 + 3) as f64;
            let m: Vec<f64> = (0..rows * depth).map(number).collect();
            let x: Vec<f64> = (0..depth).map(|k| number(k + 5)).collect();
            for by_rows in [true, false] {
                let whole = part(&m, &x, rows, by_rows, 0..rows);
                for (begin, len) in [(0, 1), (0, rows - 1), (1, 7), (3, 5), (1, rows - 1), (rows - 1, 1)] {
                    let some = part(&m, &x, rows, by_rows, begin..begin + len);
                    let want = &whole[begin..begin + len];
                    assert!(some.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits()), "{begin} {len}");
                }
            }
        }
    }

    #[test]
    fn other_layouts_are_left_to_the_library() {
        let m = [1.0f64; 64];
        let mut y = [0.0f64; 8];
        let c = (y.as_mut_ptr(), [1, 1]);
        let b = (m.as_ptr(), [1, 1]);
        let p = Product { rows: 4, cols: 1, depth: 4, a: (m.as_ptr(), [16, 2]), b, c };
        // SAFETY: the operands have these extents.
        assert!(!unsafe { gemv(&p, Side::Second) });
    }
}
