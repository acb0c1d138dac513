//! The product of a matrix with its own transpose, of many terms and few elements.
//!
//! Libraries cut such a product into blocks that suit square matrices and gain little from its symmetry. Here rows of
//! the factor are gathered in panels that stay in the first cache, and every panel's products are added to the upper
//! triangle, a tile of registers at a time: each row gives a tile a few vectors and the elements they are multiplied by.
//! Meanwhile the rows of the next panel are asked for, a cache line of each for every tile.
//! Sums go panel by panel, so that rounding grows with the number of panels and not with that of terms.

use super::dense::Real;
use super::engine::Product;
use pulp::{Arch, Simd, WithSimd};
use std::ops::RangeInclusive;
use std::{array, slice};

/// Of so many rows and columns the tiles are faster than a library's product of triangles.
pub(crate) const ORDERS: RangeInclusive<usize> = 24..=256;

/// What all rows of a panel take at most, if they are not too few then.
const PANEL_BYTES: usize = 1 << 15;

/// A cache line, which no vector of a panel is to cross.
const LINE: usize = 64;

/// Rows of memory that are read soon: the first of them, and how far it is from one to the next. Nothing is known of what
/// is there, and nothing has to be.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<T>(*const T, isize);

impl<T> Ahead<T> {
    /// Asks for a cache line of a row.
    #[inline(always)]
    fn fetch(self, row: usize, line: usize) {
        let at = self.0.wrapping_offset(row as isize * self.1).wrapping_byte_add(line * LINE);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, which reads nothing and cannot fault, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

/// Computes a product `a a.T` both triangles; whether there was memory for that.
///
/// # Safety
/// As for [`Gemm`](super::engine::Gemm).
pub(crate) unsafe fn gram<T: Real>(p: &Product<T>) -> bool {
    let line = LINE / size_of::<T>();
    let width = p.rows.next_multiple_of(line);
    let height = (PANEL_BYTES / (width * size_of::<T>())).clamp(32, 128).min(p.depth);
    let mut space: Vec<T> = Vec::new();
    let need = height * width + width * width + line;
    if space.try_reserve_exact(need).is_err() {
        return false;
    }
    space.resize(need, T::default());
    let skip = space.as_ptr().align_offset(LINE).min(line);
    let (panel, sums) = space[skip..].split_at_mut(height * width);
    let sums = &mut sums[..width * width];
    let (arch, (from, [_, step])) = (Arch::new(), p.a);
    for begin in (0..p.depth).step_by(height) {
        let rows = &mut panel[..height.min(p.depth - begin) * width];
        // SAFETY: the caller's promise; the terms are some of the product's.
        unsafe { gather(p, begin, rows, width) };
        let next = Ahead(from.wrapping_offset((begin + height) as isize * step), step);
        arch.dispatch(Panel { rows, width, sums, next });
    }
    // SAFETY: the caller's promise.
    unsafe { store(p, sums, width) };
    true
}

/// Fills a panel with terms from `begin` on: a row for each, with an element for each row of `a`. What is behind them in
/// a row stays zero.
///
/// # Safety
/// There are as many terms, and the elements of `a` may be read.
unsafe fn gather<T: Real>(p: &Product<T>, begin: usize, panel: &mut [T], width: usize) {
    let (a, [across, down]) = p.a;
    // SAFETY: the caller's promise.
    let at =
        |term: usize, i: usize| unsafe { *a.offset((begin + term) as isize * down + i as isize * across) };
    if across == 1 {
        for (term, row) in panel.chunks_exact_mut(width).enumerate() {
            // SAFETY: the caller's promise: the elements of a term lie side by side.
            let from = unsafe { slice::from_raw_parts(a.offset((begin + term) as isize * down), p.rows) };
            row[..p.rows].copy_from_slice(from);
        }
    } else if down.unsigned_abs() < across.unsigned_abs() {
        for i in 0..p.rows {
            let places = panel[i..].iter_mut().step_by(width);
            places.enumerate().for_each(|(term, place)| *place = at(term, i));
        }
    } else {
        for (term, row) in panel.chunks_exact_mut(width).enumerate() {
            row[..p.rows].iter_mut().enumerate().for_each(|(i, place)| *place = at(term, i));
        }
    }
}

/// Writes the upper triangle of `sums` to both triangles of the result, by blocks that stay in the first cache.
///
/// # Safety
/// The result may be written, and has as many rows and columns as the product.
unsafe fn store<T: Real>(p: &Product<T>, sums: &[T], width: usize) {
    const BLOCK: usize = 16;
    let (c, [row, col]) = p.c;
    for top in (0..p.rows).step_by(BLOCK) {
        for left in (top..p.rows).step_by(BLOCK) {
            for i in top..p.rows.min(top + BLOCK) {
                for j in left.max(i)..p.rows.min(left + BLOCK) {
                    let (sum, i, j) = (sums[i * width + j], i as isize, j as isize);
                    // SAFETY: the caller's promise.
                    unsafe {
                        *c.offset(i * row + j * col) = sum;
                        *c.offset(j * row + i * col) = sum;
                    }
                }
            }
        }
    }
}

/// A panel whose products are added to sums: its rows, each of `width` elements, which is a multiple of those in a cache
/// line; the upper triangle of the sums row by row, with whatever else stands in the tiles there; and the rows of the next
/// panel.
struct Panel<'a, T> {
    rows: &'a [T],
    width: usize,
    sums: &'a mut [T],
    next: Ahead<T>,
}

impl<T: Real> WithSimd for Panel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many rows of a tile as leave registers for the row that is read.
        if S::REGISTER_COUNT >= 32 { self.add::<S, 8>(simd) } else { self.add::<S, 4>(simd) }
    }
}

impl<T: Real> Panel<'_, T> {
    #[inline(always)]
    fn add<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let end = self.width / lanes;
        let mut line = 0;
        for top in (0..self.width).step_by(ROWS) {
            let mut left = top / lanes;
            while left < end {
                // Tiles of about one width: a narrow one waits for what it reads.
                let tiles = (end - left).div_ceil(3);
                let vectors = (end - left).div_ceil(tiles);
                match vectors {
                    1 => self.add_tile::<S, ROWS, 1>(simd, (top, left), line),
                    2 => self.add_tile::<S, ROWS, 2>(simd, (top, left), line),
                    _ => self.add_tile::<S, ROWS, 3>(simd, (top, left), line),
                }
                left += vectors;
                line += 1;
            }
        }
    }

    /// Adds to so many vectors from `left` on of the rows from `top` on, and asks for one line of each row to come.
    #[inline(always)]
    fn add_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        (top, left): (usize, usize),
        line: usize,
    ) {
        let mut tile = [[T::splat(simd, T::default()); VECTORS]; ROWS];
        for (k, row) in self.rows.chunks_exact(self.width).enumerate() {
            self.next.fetch(k, line);
            let vectors = &T::vectors::<S>(row).0[left..left + VECTORS];
            let vectors: [T::Vector<S>; VECTORS] = array::from_fn(|k| vectors[k]);
            for (sums, e) in tile.iter_mut().zip(&row[top..top + ROWS]) {
                let e = T::splat(simd, *e);
                for (sum, v) in sums.iter_mut().zip(vectors) {
                    *sum = T::mul_add(simd, e, v, *sum);
                }
            }
        }
        for (row, tile) in self.sums[top * self.width..].chunks_exact_mut(self.width).zip(tile) {
            let row = &mut T::vectors_mut::<S>(row).0[left..left + VECTORS];
            row.iter_mut().zip(tile).for_each(|(sum, part)| *sum = T::plus(simd, *sum, part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All elements of `a a.T` for a matrix of small integers, whose sums are exact.
    fn check<T: Real>(rows: usize, depth: usize, by_rows: bool) {
        let a: Vec<T> = (0..rows * depth).map(|k| T::narrow(((k * 7919) % 17) as f64 - 8.0)).collect();
        let steps = if by_rows { [depth as isize, 1] } else { [1, rows as isize] };
        let at = |i: usize, k: usize| a[i * steps[0] as usize + k * steps[1] as usize].wide();
        let mut c = vec![T::NAN; rows * rows];
        let p = Product {
            rows,
            cols: rows,
            depth,
            a: (a.as_ptr(), steps),
            b: (a.as_ptr(), [steps[1], steps[0]]),
            c: (c.as_mut_ptr(), [1, rows as isize]),
        };
        // SAFETY: the matrices have these extents.
        assert!(unsafe { gram(&p) });
        for i in 0..rows {
            for j in 0..rows {
                let sum: f64 = (0..depth).map(|k| at(i, k) * at(j, k)).sum();
                assert_eq!(c[i * rows + j].wide(), sum, "{i} {j} of {rows} with {depth} terms");
            }
        }
    }

    #[test]
    fn every_element_is_its_sum() {
        for (rows, depth) in [(1, 1), (2, 5), (7, 130), (8, 33), (17, 300), (50, 129), (64, 64), (101, 257)] {
            for by_rows in [true, false] {
                check::<f64>(rows, depth, by_rows);
                check::<f32>(rows, depth, by_rows);
            }
        }
    }
}
