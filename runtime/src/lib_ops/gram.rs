//! The product of a matrix with its own transpose, of many terms and few elements.
//!
//! Libraries cut such a product into blocks that suit square matrices and gain little from its symmetry. Here rows of
//! the factor are gathered in panels that stay in the first cache, and every panel's products are added to the upper
//! triangle, a tile of registers at a time: each row gives a tile a few vectors and the elements they are multiplied by.
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

/// Elements that are added to sums vector by vector.
pub(crate) trait Tiles: Sized {
    /// Adds what the rows of `panel`, each of `width` elements, multiply to: row by row of `sums`, its upper triangle and
    /// whatever else stands in the tiles there. `width` is a multiple of the elements in a cache line.
    fn add_panel(panel: &[Self], width: usize, sums: &mut [Self]);
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
    for begin in (0..p.depth).step_by(height) {
        let panel = &mut panel[..height.min(p.depth - begin) * width];
        // SAFETY: the caller's promise; the terms are some of the product's.
        unsafe { gather(p, begin, panel, width) };
        T::add_panel(panel, width, sums);
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

macro_rules! tiles {
    ($t:ident, $splat:ident, $mul_add:ident, $add:ident, $vectors:ident, $vectors_mut:ident, $vector:ident) => {
        impl Tiles for $t {
            fn add_panel(panel: &[$t], width: usize, sums: &mut [$t]) {
                struct Add<'a>(&'a [$t], usize, &'a mut [$t]);

                impl WithSimd for Add<'_> {
                    type Output = ();

                    #[inline(always)]
                    fn with_simd<S: Simd>(self, simd: S) {
                        // As many rows of a tile as leave registers for the row that is read.
                        if S::REGISTER_COUNT >= 32 {
                            all::<S, 8>(simd, self);
                        } else {
                            all::<S, 4>(simd, self);
                        }
                    }
                }

                #[inline(always)]
                fn all<S: Simd, const ROWS: usize>(simd: S, Add(panel, width, sums): Add<'_>) {
                    let lanes = size_of::<S::$vector>() / size_of::<$t>();
                    let end = width / lanes;
                    for top in (0..width).step_by(ROWS) {
                        let mut left = top / lanes;
                        while left < end {
                            // Tiles of about one width: a narrow one waits for what it reads.
                            let tiles = (end - left).div_ceil(3);
                            let vectors = (end - left).div_ceil(tiles);
                            let place = (top, left);
                            match vectors {
                                1 => tile::<S, ROWS, 1>(simd, panel, width, place, sums),
                                2 => tile::<S, ROWS, 2>(simd, panel, width, place, sums),
                                _ => tile::<S, ROWS, 3>(simd, panel, width, place, sums),
                            }
                            left += vectors;
                        }
                    }
                }

                #[inline(always)]
                fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
                    simd: S,
                    panel: &[$t],
                    width: usize,
                    (top, left): (usize, usize),
                    sums: &mut [$t],
                ) {
                    let mut tile = [[simd.$splat(0.0); VECTORS]; ROWS];
                    for row in panel.chunks_exact(width) {
                        let vectors = &S::$vectors(row).0[left..left + VECTORS];
                        let vectors: [S::$vector; VECTORS] = array::from_fn(|k| vectors[k]);
                        for (sums, e) in tile.iter_mut().zip(&row[top..top + ROWS]) {
                            let e = simd.$splat(*e);
                            for (sum, v) in sums.iter_mut().zip(vectors) {
                                *sum = simd.$mul_add(e, v, *sum);
                            }
                        }
                    }
                    for (row, tile) in sums[top * width..].chunks_exact_mut(width).zip(tile) {
                        let row = &mut S::$vectors_mut(row).0[left..left + VECTORS];
                        row.iter_mut().zip(tile).for_each(|(sum, part)| *sum = simd.$add(*sum, part));
                    }
                }

                Arch::new().dispatch(Add(panel, width, sums));
            }
        }
    };
}
tiles!(f32, splat_f32s, mul_add_e_f32s, add_f32s, as_simd_f32s, as_mut_simd_f32s, f32s);
tiles!(f64, splat_f64s, mul_add_e_f64s, add_f64s, as_simd_f64s, as_mut_simd_f64s, f64s);

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
