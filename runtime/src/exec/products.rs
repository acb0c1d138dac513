//! Many matrix products, or one large one, shared out among threads in calls of the library that use one each.
//!
//! A product of a matrix with its own transpose is computed for one triangle and mirrored. One whose sums are long and
//! whose result is small is cut along the sums, always at the same places, and the parts are added in their order.

use crate::lib_ops::{GRAM_ORDERS, Product, Real, Routines, Side, gemv, gram};
use crate::pool::Pool;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a call says about how its work is done.
pub(super) struct Call<'a> {
    pub(super) pool: Pool,
    pub(super) cancel: Option<&'a AtomicBool>,
}

impl Call<'_> {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|c| c.load(Ordering::Relaxed))
    }
}

/// A product, and loops around it with the steps of its three operands.
pub(super) struct Products<T> {
    first: Product<T>,
    form: Form,
    loops: Vec<(usize, [isize; 3])>,
}

/// What a product is a case of. A part of it is computed as that, whatever its own extents, for its bits to be those of the
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    General,
    /// The second operand is the first one turned around, and has more rows than one.
    Symmetric,
    /// Of one operand and a vector.
    Vector(Side),
}

/// An axis that products are cut along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    /// The rows of the results.
    Rows,
    /// Their columns.
    Cols,
    /// One of the loops around them.
    Loop(usize),
}

/// About how many multiplications are done between two looks at whether the call was cancelled.
const CANCEL_POINTS: usize = 1 << 30;

/// As many multiplications at least are given to a thread: waking one takes as long as a part of them.
const GRAIN: usize = 1 << 21;

/// Sums of more than twice so many terms are cut.
const DEPTH: usize = 8192;

/// A result of at most so many elements is small enough for copies of it.
const SMALL_RESULT: usize = 128 * 128;

/// The most parts of a sum.
const PARTS: usize = 32;

// SAFETY: the pointers are those of operands that are only read, and of results of which each task writes its own
// elements; `Products::run` asks its caller for that.
unsafe impl<T: Sync> Sync for Products<T> {}

impl<T: Real> Products<T> {
    /// Products like the first one; `symmetric` says whether the second operand of each is the first one turned around.
    pub(super) fn new(first: Product<T>, symmetric: bool, loops: Vec<(usize, [isize; 3])>) -> Products<T> {
        let form = match (first.rows, first.cols) {
            (_, 1) => Form::Vector(Side::Second),
            (1, _) => Form::Vector(Side::First),
            (rows, cols) if symmetric && rows == cols => Form::Symmetric,
            _ => Form::General,
        };
        Products { first, form, loops }
    }

    /// Moves them to where their operands begin elsewhere.
    pub(super) fn place(&mut self, a: *mut u8, b: *mut u8, c: *mut u8) {
        let Product { a: to_a, b: to_b, c: to_c, .. } = &mut self.first;
        (to_a.0, to_b.0, to_c.0) = (a.cast_const().cast(), b.cast_const().cast(), c.cast());
    }

    /// Computes all of them, or stops when the call is cancelled.
    ///
    /// # Safety
    /// As for [`Gemm`](crate::lib_ops::Gemm) for each of the products, whose results have no element in common.
    pub(super) unsafe fn run(&self, routines: &Routines<T>, call: &Call<'_>) {
        let Product { rows, cols, depth, .. } = self.first;
        let count: usize = self.loops.iter().map(|(extent, _)| extent).product();
        let points = rows.saturating_mul(cols).saturating_mul(depth);
        let part = self.part_depth();
        if count.saturating_mul(points) <= GRAIN && part.is_none() {
            // SAFETY: the caller's promise.
            return unsafe { self.run_here(routines) };
        }
        // Pieces of columns, or of rows if there are more of them, when there are too few products to go round: halves of a
        // product of 512 x 512 by faer take 1.0 times as long together as the whole by columns, and 1.2 times by rows.
        let longer = rows.max(cols);
        let whole = part.is_some() || is_gram(&self.first, self.form);
        let wanted = if whole || call.pool.threads() == 1 || count.saturating_mul(points) < 2 * GRAIN {
            1
        } else {
            (2 * call.pool.threads()).div_ceil(count).min(points / GRAIN)
        };
        let stops = if call.cancel.is_some() && !whole { points / CANCEL_POINTS } else { 0 };
        let piece = longer.div_ceil(wanted.max(stops).clamp(1, longer.max(1))).next_multiple_of(16);
        let pieces = longer.div_ceil(piece).max(1);
        let grain = GRAIN / (points / pieces).clamp(1, GRAIN);
        call.pool.for_ranges(count * pieces, grain, |range| {
            for item in range {
                if call.is_cancelled() {
                    return;
                }
                let product = self.at(item / pieces);
                let begin = (item % pieces) * piece;
                // SAFETY: the caller's promise; pieces of one product have no element in common.
                unsafe {
                    match part {
                        Some(depth) => in_parts((&product, self.form), depth, routines, call),
                        None => one((&product, self.form), begin..longer.min(begin + piece), routines),
                    }
                }
            }
        });
    }

    /// Computes all of them on this thread.
    ///
    /// # Safety
    /// As for [`run`](Products::run).
    pub(super) unsafe fn run_here(&self, routines: &Routines<T>) {
        let whole = 0..self.first.rows.max(self.first.cols);
        for item in 0..self.loops.iter().map(|(extent, _)| extent).product() {
            // SAFETY: the caller's promise.
            unsafe { one((&self.at(item), self.form), whole.clone(), routines) }
        }
    }

    /// Those of their elements that have these positions along an axis.
    pub(super) fn part(&self, along: Along, part: std::ops::Range<usize>) -> Products<T> {
        let (by, len) = (part.start as isize, part.len());
        let p = &self.first;
        let (mut loops, mut first) = (self.loops.clone(), Product { ..*p });
        match along {
            Along::Rows => {
                first.rows = len;
                first.a.0 = p.a.0.wrapping_offset(by * p.a.1[0]);
                first.c.0 = p.c.0.wrapping_offset(by * p.c.1[0]);
            }
            Along::Cols => {
                first.cols = len;
                first.b.0 = p.b.0.wrapping_offset(by * p.b.1[1]);
                first.c.0 = p.c.0.wrapping_offset(by * p.c.1[1]);
            }
            Along::Loop(i) => {
                if let Some((extent, [a, b, c])) = loops.get_mut(i) {
                    *extent = len;
                    first.a.0 = p.a.0.wrapping_offset(by * *a);
                    first.b.0 = p.b.0.wrapping_offset(by * *b);
                    first.c.0 = p.c.0.wrapping_offset(by * *c);
                }
            }
        }
        let cut = self.form == Form::Symmetric && !matches!(along, Along::Loop(_));
        Products { first, form: if cut { Form::General } else { self.form }, loops }
    }

    /// How many positions along an axis a part has at least for its share of the work around it to be small: the library
    /// lays out one operand in its own way, for each part again. None where a part is not computed as the whole is.
    pub(super) fn least_part(&self, along: Along) -> Option<usize> {
        let p = &self.first;
        if (self.form == Form::Symmetric && !matches!(along, Along::Loop(_))) || self.part_depth().is_some() {
            return None;
        }
        let vector = matches!(self.form, Form::Vector(_));
        Some(if vector || matches!(along, Along::Loop(_)) { 1 } else { p.depth.saturating_mul(2) })
    }

    /// The number of terms in each part of products whose sums are cut.
    fn part_depth(&self) -> Option<usize> {
        let p = &self.first;
        let gram = is_gram(p, self.form);
        let least = if gram { DEPTH / 4 } else { DEPTH };
        let deep = p.depth >= 2 * least && (gram || p.rows.saturating_mul(p.cols) <= SMALL_RESULT);
        deep.then(|| least.max(p.depth.div_ceil(PARTS)))
    }

    /// The product at a point of the loops, counted with the last one fastest.
    fn at(&self, mut index: usize) -> Product<T> {
        let mut moved = [0isize; 3];
        for (extent, steps) in self.loops.iter().rev() {
            let point = (index % extent) as isize;
            index /= extent;
            moved.iter_mut().zip(steps).for_each(|(m, s)| *m += point * s);
        }
        let Product { a, b, c, .. } = self.first;
        Product {
            a: (a.0.wrapping_offset(moved[0]), a.1),
            b: (b.0.wrapping_offset(moved[1]), b.1),
            c: (c.0.wrapping_offset(moved[2]), c.1),
            ..self.first
        }
    }
}

/// Whether the elements of a product are summed here, and not by the library.
fn is_gram<T>(p: &Product<T>, form: Form) -> bool {
    form == Form::Symmetric && GRAM_ORDERS.contains(&p.rows)
}

/// The part of a product with these of its rows, or of its columns if there are more of them.
///
/// # Safety
/// As for [`Gemm`](crate::lib_ops::Gemm).
unsafe fn one<T: Real>((p, form): (&Product<T>, Form), part: std::ops::Range<usize>, routines: &Routines<T>) {
    let (begin, len) = (part.start, part.len());
    let down =
        |m: (*const T, [isize; 2]), axis: usize| (m.0.wrapping_offset(begin as isize * m.1[axis]), m.1);
    let result = |axis: usize| (p.c.0.wrapping_offset(begin as isize * p.c.1[axis]), p.c.1);
    // SAFETY: the caller's promise; these are parts of the same operands.
    unsafe {
        if is_gram(p, form) && len == p.rows && gram(p) {
            return;
        }
        if form == Form::Symmetric {
            let left = Product { rows: len, cols: begin, a: down(p.a, 0), c: result(0), ..*p };
            if begin > 0 {
                (routines.gemm)(&left);
            }
            let c = result(0);
            let corner = (c.0.wrapping_offset(begin as isize * c.1[1]), c.1);
            (routines.syrk)(&Product { rows: len, cols: len, b: down(p.b, 1), c: corner, ..left });
            mirror(p.c, begin..part.end);
        } else {
            let piece = if p.rows > p.cols {
                Product { rows: len, a: down(p.a, 0), c: result(0), ..*p }
            } else {
                Product { cols: len, b: down(p.b, 1), c: result(1), ..*p }
            };
            match form {
                Form::Vector(side) if gemv(&piece, side) => {}
                Form::General | Form::Symmetric | Form::Vector(_) => (routines.gemm)(&piece),
            }
        }
    }
}

/// Copies what is below the diagonal in these rows to above it.
///
/// # Safety
/// The leading rows and columns up to the end of the range may be read and written.
unsafe fn mirror<T: Copy>((c, [row, col]): (*mut T, [isize; 2]), rows: std::ops::Range<usize>) {
    /// Rows and columns of a block, which stays in the first cache.
    const BLOCK: usize = 32;
    for top in rows.clone().step_by(BLOCK) {
        let bottom = rows.end.min(top + BLOCK);
        for left in (0..bottom).step_by(BLOCK) {
            for i in top..bottom {
                for j in left..i.min(left + BLOCK) {
                    let (i, j) = (i as isize, j as isize);
                    // SAFETY: the caller's promise.
                    unsafe { *c.offset(j * row + i * col) = *c.offset(i * row + j * col) }
                }
            }
        }
    }
}

/// A product whose sums are cut, with memory for the results of all parts.
struct Parts<T> {
    whole: Product<T>,
    results: *mut T,
    depth: usize,
}

// SAFETY: as for `Products`: operands are only read, and each task writes the results of its own parts.
unsafe impl<T: Sync> Sync for Parts<T> {}

impl<T> Parts<T> {
    /// Part `k`, and memory of its own for its result.
    fn part(&self, k: usize) -> Product<T> {
        let p = &self.whole;
        let (begin, len) = (k * self.depth, self.depth.min(p.depth - k * self.depth));
        let along =
            |m: (*const T, [isize; 2]), axis: usize| (m.0.wrapping_offset(begin as isize * m.1[axis]), m.1);
        let c = (self.results.wrapping_add(k * p.rows * p.cols), [p.cols as isize, 1]);
        Product { depth: len, a: along(p.a, 1), b: along(p.b, 0), c, ..*p }
    }
}

/// A product whose sums are computed in parts.
///
/// # Safety
/// As for [`Gemm`](crate::lib_ops::Gemm).
unsafe fn in_parts<T: Real>(
    (p, form): (&Product<T>, Form),
    depth: usize,
    routines: &Routines<T>,
    call: &Call<'_>,
) {
    let (size, whole) = (p.rows * p.cols, 0..p.rows.max(p.cols));
    let count = p.depth.div_ceil(depth);
    let mut space: Vec<T> = Vec::new();
    if space.try_reserve_exact(size * count).is_err() {
        // SAFETY: the caller's promise.
        return unsafe { one((p, form), whole, routines) };
    }
    space.resize(size * count, T::default());
    let parts = Parts { whole: Product { ..*p }, results: space.as_mut_ptr(), depth };
    let grain = GRAIN / size.saturating_mul(depth).clamp(1, GRAIN);
    call.pool.for_ranges(count, grain, |range| {
        for k in range {
            if call.is_cancelled() {
                return;
            }
            // SAFETY: the caller's promise for the operands; each part has memory of its own for its result.
            unsafe { one((&parts.part(k), form), whole.clone(), routines) }
        }
    });
    for i in 0..p.rows {
        for j in 0..p.cols {
            let mut sums = space[i * p.cols + j..].iter().step_by(size).copied();
            let first = sums.next().unwrap_or_default();
            let sum = sums.fold(first, |sum, part| sum + part);
            // SAFETY: the caller's promise.
            unsafe { *p.c.0.offset(i as isize * p.c.1[0] + j as isize * p.c.1[1]) = sum }
        }
    }
}
