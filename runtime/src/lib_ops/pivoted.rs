//! QR with column pivoting, by blocks of reflections (Quintana-Ortí, Sun and Bischof, "A BLAS-3 version of the QR factorization
//! with column pivoting", and LAPACK's geqp3).
//!
//! What a block takes from the columns behind it is taken at its end, in one product. Until then only its rows are up to date, which
//! lie by rows meanwhile: they become those of r, and tell the lengths of what is left of the columns, which choose the pivots. Half
//! of the work is then a product and the other half reads the matrix once for each reflection, where taking each reflection at
//! once also writes it. When too little is left of a column to be told from its length a block ends, and it is measured.

use super::aligned::{Aligned, line};
use super::dense::{Real, dot, largest, multiply, wide};
use super::engine::{Failure, Product};
use super::gemv::{Side, gemv};
use super::subtract::Subtract;
use super::transpose::transpose_to;

/// `a p = q r` for `a: [rows, cols]`, where the pivots, the diagonal of r, fall.
pub(super) struct Pivoted<T> {
    /// The reflections by columns that begin with a cache line: zeros, 1 on the diagonal, and what is below.
    reflections: Aligned<T>,
    stride: usize,
    /// The factor of each.
    taus: Vec<T>,
    /// The products of each with those of its block before it, [`BLOCK`] places for each.
    products: Vec<T>,
    /// Where each block ends.
    blocks: Vec<usize>,
    /// The leading columns of r, `size` elements each.
    r: Aligned<T>,
    size: usize,
    /// Rows of r from one on that were multiplied by a power of two.
    scales: Vec<(usize, f64)>,
    /// Which column of the matrix each one is.
    pub(super) order: Vec<usize>,
    /// The absolute values of the pivots; zeros for those of a matrix that had nothing left.
    pub(super) pivots: Vec<f64>,
    /// The lengths of the matrix's columns.
    pub(super) lengths: Vec<f64>,
}

/// The most reflections of a block.
const BLOCK: usize = 32;

/// How many reflections a block has. What is kept for a block is read again for each of them, which takes longer than to read and write a
/// matrix more often that is in the second cache.
fn block_of<T>(rows: usize, cols: usize) -> usize {
    const CACHE: usize = 1 << 20;
    if rows * cols * size_of::<T>() > CACHE { BLOCK } else { BLOCK / 2 }
}

/// A vector of zeros.
fn zeros<T: Default + Clone>(n: usize) -> Result<Vec<T>, Failure> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| Failure::Memory)?;
    v.resize(n, T::default());
    Ok(v)
}

/// The last place up to this one where a cache line begins.
fn line_of<T>(place: usize) -> usize {
    place - place % line::<T>()
}

/// The products of columns that are `stride` elements apart with a vector that is as long as the last one.
fn dots<T: Real>(columns: &[T], stride: usize, x: &[T], out: &mut [T]) {
    if out.is_empty() {
        return;
    }
    assert!((out.len() - 1) * stride + x.len() <= columns.len(), "columns that are not there");
    let (rows, depth) = (out.len(), x.len());
    let a = (columns.as_ptr(), [stride as isize, 1]);
    let p = Product { rows, cols: 1, depth, a, b: (x.as_ptr(), [1, 1]), c: (out.as_mut_ptr(), [1, 1]) };
    // SAFETY: the columns are there, as was checked, and their elements lie side by side, which it has a form for.
    unsafe { gemv(&p, Side::Second) };
}

/// The index of the largest of the numbers, none of which is NaN, and that number.
fn largest_of(numbers: &[f64]) -> (usize, f64) {
    const LANES: usize = 16;
    let most = wide(
        #[inline(always)]
        || {
            let larger = |s: f64, e: f64| if e > s { e } else { s };
            let (rows, rest) = numbers.as_chunks::<LANES>();
            let mut lanes = [0.0; LANES];
            for row in rows {
                for (lane, e) in lanes.iter_mut().zip(row) {
                    *lane = larger(*lane, *e);
                }
            }
            lanes.iter().chain(rest).fold(0.0, |s, e| larger(s, *e))
        },
    );
    (numbers.iter().position(|e| *e == most).unwrap_or(0), most)
}

impl<T: Real> Pivoted<T> {
    /// The factors of a row-major matrix.
    pub(super) fn new(a: &[T], rows: usize, cols: usize) -> Result<Pivoted<T>, Failure> {
        let size = rows.min(cols);
        let stride = rows.checked_next_multiple_of(line::<T>()).ok_or(Failure::Memory)?;
        let all = stride.checked_mul(cols).ok_or(Failure::Memory)?;
        let mut reflections = Aligned::new(all).ok_or(Failure::Memory)?;
        transpose_to(a, cols, &mut reflections, stride);
        let made = Pivoted {
            reflections,
            stride,
            taus: zeros(size)?,
            products: zeros(size * BLOCK)?,
            blocks: Vec::new(),
            r: Aligned::new(size * size).ok_or(Failure::Memory)?,
            size,
            scales: Vec::new(),
            order: (0..cols).collect(),
            pivots: zeros(size)?,
            lengths: Vec::new(),
        };
        let mut work = Work::new(made, rows, cols)?;
        work.made.lengths = work.left.iter().map(|square| square.sqrt()).collect();
        while work.done < size && work.block() {}
        Ok(work.made)
    }

    fn column(&self, k: usize) -> &[T] {
        &self.reflections[k * self.stride..(k + 1) * self.stride]
    }

    /// The elements of a column, rounded up to whole cache lines.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Column `k` of r down to its pivot.
    pub(super) fn of_r(&self, k: usize) -> &[T] {
        &self.r[k * self.size..=k * self.size + k]
    }

    /// Applies the transpose of q to columns that are as long as those of the matrix, rounded up, and to their rows what
    /// those of r were multiplied by.
    pub(super) fn apply(&self, columns: &mut [T]) {
        let stride = self.stride;
        let cols = columns.len() / stride;
        let mut along = vec![T::default(); BLOCK * cols];
        let mut begin = 0;
        for end in self.blocks.iter().copied() {
            let (from, depth) = (line_of::<T>(begin), end - begin);
            let reflections = &self.reflections[begin * stride..end * stride];
            for (j, column) in columns.chunks_exact(stride).enumerate() {
                let mut products = [T::default(); BLOCK];
                dots(&reflections[from..], stride, &column[from..], &mut products[..depth]);
                for k in 0..depth {
                    let with = &self.products[(begin + k) * BLOCK..][..k];
                    let taken = with.iter().zip(&products).fold(T::default(), |s, (p, w)| s + *p * *w);
                    products[k] = self.taus[begin + k] * (products[k] - taken);
                    along[k * cols + j] = products[k];
                }
            }
            let by = Subtract {
                from,
                rows: stride,
                terms: reflections,
                stride,
                depth,
                factors: &along,
                step: cols,
                cols,
            };
            by.of(columns, stride);
            begin = end;
        }
        for (row, by) in &self.scales {
            columns.chunks_exact_mut(stride).for_each(|column| multiply(&mut column[*row..], *by));
        }
    }
}

/// A factorization on its way.
struct Work<T> {
    made: Pivoted<T>,
    rows: usize,
    cols: usize,
    /// How many reflections a block may have, and how many there are.
    block: usize,
    done: usize,
    /// What the reflections of a block take from each column of the matrix, times what is in this row of it; for each reflection a
    /// line of the columns.
    taken: Aligned<T>,
    /// The rows of a block, in such lines too.
    panel: Aligned<T>,
    /// The elements of such a line.
    width: usize,
    /// The products of the columns with a reflection.
    along: Vec<T>,
    /// The squares of the lengths of what is left of the columns, and those that were measured last.
    left: Vec<f64>,
    measured: Vec<f64>,
    /// What rows of r were multiplied by.
    scale: f64,
}

impl<T: Real> Work<T> {
    fn new(made: Pivoted<T>, rows: usize, cols: usize) -> Result<Work<T>, Failure> {
        let width = cols.checked_next_multiple_of(line::<T>()).ok_or(Failure::Memory)?;
        let lines = || width.checked_mul(BLOCK).and_then(Aligned::new).ok_or(Failure::Memory);
        let (taken, panel, along) = (lines()?, lines()?, zeros(cols)?);
        let (left, measured) = (zeros(cols)?, zeros(cols)?);
        let mut work = Work {
            made,
            rows,
            cols,
            block: block_of::<T>(rows, cols),
            done: 0,
            taken,
            panel,
            width,
            along,
            left,
            measured,
            scale: 1.0,
        };
        work.measure(|_| true);
        Ok(work)
    }

    /// Measures what is left of those columns behind the reflections.
    fn measure(&mut self, which: impl Fn(f64) -> bool) {
        for j in self.done..self.cols {
            if which(self.left[j]) {
                let column = &self.made.column(j)[self.done..self.rows];
                let square = wide(
                    #[inline(always)]
                    || dot(column, column),
                );
                self.left[j] = square.wide();
                self.measured[j] = square.wide();
            }
        }
    }

    /// Makes the reflections of a block; false when nothing is left of the matrix.
    fn block(&mut self) -> bool {
        let begin = self.done;
        let mut next = largest_of(&self.left[begin..]);
        if next.1 < least_square::<T>() {
            if !self.enlarge() {
                return false;
            }
            next = largest_of(&self.left[begin..]);
        }
        let end = self.made.size.min(begin + self.block);
        self.take_panel(begin, end);
        loop {
            self.exchange(self.done + next.0);
            self.reflect(begin);
            let lost = self.row(begin);
            self.done += 1;
            if lost || self.done == end {
                break;
            }
            next = largest_of(&self.left[self.done..]);
            if next.1 < least_square::<T>() {
                break;
            }
        }
        self.made.blocks.push(self.done);
        if self.done < self.made.size {
            self.take(begin);
            self.measure(|square| square < 0.0);
        }
        true
    }

    /// Copies the rows of a block.
    fn take_panel(&mut self, begin: usize, end: usize) {
        let (stride, width) = (self.made.stride, self.width);
        for (j, column) in self.made.reflections.chunks_exact(stride).enumerate().skip(begin) {
            column[begin..end].iter().enumerate().for_each(|(k, e)| self.panel[k * width + j] = *e);
        }
    }

    /// Multiplies what is left so that the largest element is near 1; false when that is nothing.
    fn enlarge(&mut self) -> bool {
        let (done, rows) = (self.done, self.rows);
        let left = |column: &[T]| largest(&column[done..rows]).wide();
        let largest = (done..self.cols).map(|j| left(self.made.column(j))).fold(0.0, f64::max);
        if largest == 0.0 {
            return false;
        }
        let by = 2f64.powi(-largest.log2().floor().max(-1000.0) as i32);
        let stride = self.made.stride;
        for column in self.made.reflections.chunks_exact_mut(stride).skip(done) {
            multiply(&mut column[done..rows], by);
        }
        self.made.scales.push((done, by));
        self.scale *= by;
        self.measure(|_| true);
        true
    }

    /// Makes a column the next one.
    fn exchange(&mut self, with: usize) {
        let (done, stride) = (self.done, self.made.stride);
        if with == done {
            return;
        }
        let (head, tail) = self.made.reflections.split_at_mut(with * stride);
        head[done * stride..(done + 1) * stride].swap_with_slice(&mut tail[..stride]);
        for line in (0..self.block).map(|k| k * self.width) {
            self.taken.swap(line + done, line + with);
            self.panel.swap(line + done, line + with);
        }
        self.left.swap(done, with);
        self.measured.swap(done, with);
        self.made.order.swap(done, with);
    }

    /// Makes a reflection of the next column, and what it takes from those behind.
    fn reflect(&mut self, begin: usize) {
        let Work { made, done, taken, panel, width, along, .. } = self;
        let (k, stride, width, size, done) = (*done - begin, made.stride, *width, made.size, *done);
        let (before, column) = made.reflections.split_at_mut(done * stride);
        let (before, column) = (&before[begin * stride..], &mut column[..stride]);
        let (above, rows) = made.r[done * size..][..done].split_at_mut(begin);
        above.copy_from_slice(&column[..begin]);
        rows.iter_mut().enumerate().for_each(|(k, to)| *to = panel[k * width + done]);
        let from = line_of::<T>(done);
        let factors = &taken[done..];
        Subtract { from, rows: stride, terms: before, stride, depth: k, factors, step: width, cols: 1 }
            .of(column, stride);
        let (tau, pivot) = reflection(column, done);
        made.taus[done] = tau;
        made.r[done * size + done] = T::narrow(pivot);
        made.pivots[done] = pivot.abs() / self.scale;
        let all = &made.reflections[begin * stride + from..];
        let out = &mut along[begin..self.cols];
        dots(all, stride, &made.column(done)[from..], out);
        made.products[done * BLOCK..][..k].copy_from_slice(&out[..k]);
        let (terms, to) = taken.split_at_mut(k * width);
        let to = &mut to[..width];
        let behind = line_of::<T>(done + 1);
        to[begin..self.cols].copy_from_slice(out);
        Subtract {
            from: behind,
            rows: width,
            terms,
            stride: width,
            depth: k,
            factors: &out[..k],
            step: 1,
            cols: 1,
        }
        .of(to, width);
        to.iter_mut().skip(done + 1).for_each(|e| *e = *e * tau);
    }

    /// Makes the next row of r, and takes it from what is left; whether there is a column of which too little is left to be told so.
    fn row(&mut self, begin: usize) -> bool {
        let (done, stride, width) = (self.done, self.made.stride, self.width);
        let depth = done + 1 - begin;
        let mut factors = [T::default(); BLOCK];
        for (to, column) in
            factors[..depth].iter_mut().zip(self.made.reflections.chunks_exact(stride).skip(begin))
        {
            *to = column[done];
        }
        let row = &mut self.panel[(depth - 1) * width..depth * width];
        let from = line_of::<T>(done + 1);
        Subtract {
            from,
            rows: width,
            terms: &self.taken,
            stride: width,
            depth,
            factors: &factors,
            step: 1,
            cols: 1,
        }
        .of(row, width);
        let least = T::EPSILON.sqrt();
        let behind = done + 1..self.cols;
        let sums = self.left[behind.clone()].iter_mut().zip(&self.measured[behind.clone()]);
        let mut lost = false;
        for ((left, measured), e) in sums.zip(&row[behind]) {
            let rest = *left - e.wide() * e.wide();
            let too_little = rest <= least * measured && *measured > 0.0;
            // A length that is to be measured is negative.
            *left = if too_little { -1.0 } else { rest };
            lost |= too_little;
        }
        lost
    }

    /// Takes what the reflections of a block take from the columns behind them, and puts its rows there.
    fn take(&mut self, begin: usize) {
        let (done, stride, width) = (self.done, self.made.stride, self.width);
        let (before, behind) = self.made.reflections.split_at_mut(done * stride);
        let (terms, factors) = (&before[begin * stride..], &self.taken[done..]);
        let (from, depth, cols) = (line_of::<T>(done), done - begin, self.cols - done);
        // Rows of the block that share a line with the first one behind it lose too much, and are written after that.
        Subtract { from, rows: stride, terms, stride, depth, factors, step: width, cols }.of(behind, stride);
        for (j, column) in behind.chunks_exact_mut(stride).enumerate() {
            let rows = column[begin..done].iter_mut().enumerate();
            rows.for_each(|(k, to)| *to = self.panel[k * width + done + j]);
        }
    }
}

/// Squares of what is smaller than the root of this may vanish.
fn least_square<T: Real>() -> f64 {
    T::EPSILON.powi(4)
}

/// The reflection of a column's elements from `k` on onto the first of them (LAPACK's larfg), in place of the column, with zeros before;
/// its factor, and what the element becomes.
fn reflection<T: Real>(column: &mut [T], k: usize) -> (T, f64) {
    let (before, column) = column.split_at_mut(k);
    before.fill(T::default());
    let Some((first, rest)) = column.split_first_mut() else { return (T::default(), 0.0) };
    let alpha = first.wide();
    *first = T::ONE;
    wide(
        #[inline(always)]
        || {
            let square = dot(rest, rest).wide();
            if square == 0.0 {
                return (T::default(), alpha);
            }
            let length = (alpha * alpha + square).sqrt();
            let pivot = if alpha > 0.0 { -length } else { length };
            let by = T::narrow((alpha - pivot).recip());
            rest.iter_mut().for_each(|e| *e = *e * by);
            (T::narrow((pivot - alpha) / pivot), pivot)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern.
    fn noise<T: Real>(n: usize) -> Vec<T> {
        let mixed = |i: u64| {
            let z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (z ^ (z >> 27)) >> 40
        };
        (0..n as u64).map(|i| T::narrow(mixed(i) as f64 / 1e7 - 0.8)).collect()
    }

    /// The factors give back the matrix: the transpose of q times each column is that of r.
    fn check<T: Real>(a: &[T], rows: usize, cols: usize, rank: usize) {
        let f = Pivoted::new(a, rows, cols).unwrap();
        let (stride, size) = (f.stride(), rows.min(cols));
        let mut columns = vec![T::default(); stride * cols];
        transpose_to(a, cols, &mut columns, stride);
        f.apply(&mut columns);
        let largest = f.lengths.iter().copied().fold(0.0, f64::max);
        let allowed = 8.0 * (rows + cols) as f64 * T::EPSILON * largest;
        for k in 0..size {
            let column = &columns[f.order[k] * stride..][..stride];
            for (i, e) in column.iter().enumerate() {
                let want = f.of_r(k).get(i).map_or(0.0, |e| e.wide());
                assert!((e.wide() - want).abs() <= allowed, "{i} {k} of {rows} {cols}: {e:?} for {want}");
            }
            let next = f.pivots.get(k + 1).copied().unwrap_or(0.0);
            assert!(next <= f.pivots[k] * (1.0 + 1e-5) + allowed, "{next} after {}", f.pivots[k]);
        }
        assert_eq!(f.pivots.iter().filter(|p| **p > allowed).count(), rank, "{rows} {cols}");
    }

    #[test]
    fn factors_give_back_the_matrix() {
        for (rows, cols) in [(1, 1), (5, 3), (3, 5), (16, 16), (17, 40), (100, 33), (70, 70), (200, 100)] {
            check::<f64>(&noise(rows * cols), rows, cols, rows.min(cols));
            check::<f32>(&noise(rows * cols), rows, cols, rows.min(cols));
        }
    }

    #[test]
    fn columns_that_depend_on_others_end_blocks() {
        // Columns of a matrix of that rank, so that all that is left of the others is lost at once.
        for (rows, cols, rank) in [(40, 30, 3), (60, 50, 20), (33, 40, 17)] {
            let (left, right) = (noise::<f64>(rows * rank), noise::<f64>(rank * cols + 7));
            let element =
                |i: usize, j: usize| (0..rank).map(|k| left[i * rank + k] * right[k * cols + j + 7]).sum();
            let a: Vec<f64> = (0..rows * cols).map(|at| element(at / cols, at % cols)).collect();
            check(&a, rows, cols, rank);
        }
        // Nothing at all is left.
        let mut a = vec![0.0f64; 40 * 30];
        (0..40).for_each(|i| a[i * 30 + 11] = 1.0 + i as f64);
        check(&a, 40, 30, 1);
    }

    #[test]
    fn what_was_measured_is_measured_again() {
        // Next to what all columns share their own parts are less than what rounding leaves of a difference of squares.
        let (rows, cols) = (40, 30);
        let own = noise::<f64>(rows * cols);
        let part = |i: usize, j: usize| 1e-9 * (1.0 + (j * 17 % cols) as f64).powi(2) * own[i * cols + j];
        let a: Vec<f64> = (0..rows * cols).map(|at| 1.0 + part(at / cols, at % cols)).collect();
        check(&a, rows, cols, cols);
    }

    #[test]
    fn what_is_left_may_be_of_another_size() {
        // Each column's square vanishes next to the one before it, and all pivots are told in their order.
        let (n, by) = (20, 1e-14f64);
        let element = |i: usize, j: usize| if i * 7 % n == j { by.powi(i as i32) } else { 0.0 };
        let a: Vec<f64> = (0..n * n).map(|at| element(at / n, at % n)).collect();
        let f = Pivoted::new(&a, n, n).unwrap();
        for (k, pivot) in f.pivots.iter().enumerate() {
            let want = by.powi(k as i32);
            assert!((pivot - want).abs() <= 1e-12 * want, "{pivot:e} for {want:e}");
        }
    }
}
