//! Matrix products by the library, in place of the kernel that means the same.
//!
//! The kernel stays the definition, and does what is small: a call of the library costs more there than the product.
//! Operands are handed over as they lie in memory, whichever way they are transposed.

use super::kernel::Scratch;
use super::products::{Along, Call, Products};
use crate::lib_ops::{LinalgEngine, Product, Real};
use matex_ir::DType;
use matex_ir::loops::Kernel;
use matex_passes::cost;
use matex_passes::plan::{Gemm, KernelStep};

/// The products that a step is, by the dtype of its operands.
pub(super) enum Library {
    F32(Products<f32>),
    F64(Products<f64>),
}

/// Evaluates an expression for the products of either dtype and the routines that compute them.
macro_rules! of_dtype {
    ($library:expr, |$products:ident, $routines:ident| $value:expr) => {
        match $library {
            Library::F32($products) => {
                let $routines = &LinalgEngine::current().f32;
                $value
            }
            Library::F64($products) => {
                let $routines = &LinalgEngine::current().f64;
                $value
            }
        }
    };
}

impl Library {
    /// What the library does of a step whose operands were bound and bounded: all of it, or nothing.
    pub(super) fn of(step: &KernelStep, kernel: &Kernel, scratch: &Scratch) -> Option<Library> {
        let gemm = step.gemm.as_ref()?;
        let points = scratch.extents.iter().fold(1i64, |a, b| a.saturating_mul(*b));
        if points < cost::SMALL_PRODUCT as i64 {
            return None;
        }
        let walk = Walk::new(gemm, kernel, scratch)?;
        match kernel.operands[0].dtype {
            DType::F32 => Some(Library::F32(walk.products(scratch))),
            DType::F64 => Some(Library::F64(walk.products(scratch))),
            DType::F16
            | DType::BF16
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::Bool => None,
        }
    }

    /// Moves the operands to where they begin in another call of the same sizes and strides.
    pub(super) fn place(&mut self, data: &[*mut u8]) {
        if let [a, b, c, ..] = *data {
            of_dtype!(self, |products, _routines| products.place(a, b, c));
        }
    }

    /// Computes all of them.
    ///
    /// # Safety
    /// The operands are as `Library::of` found them, and their memory as it was bound.
    pub(super) unsafe fn run(&self, call: &Call<'_>) {
        // SAFETY: the kernel's operands were bound and found to lie in their memory over its whole iteration space,
        // which these products walk over; that of the output is the call's alone and no other operand's, the elements
        // of one product are distinct (`distinct`), and those of different ones by the plan, whose output holds each
        // element once.
        of_dtype!(self, |products, routines| unsafe { products.run(routines, call) });
    }

    /// Computes the part of them that has these positions along an axis, on this thread.
    ///
    /// # Safety
    /// As for [`run`](Library::run).
    pub(super) unsafe fn run_part(&self, along: Along, part: std::ops::Range<usize>) {
        // SAFETY: as for `run`; a part writes a part of the output and reads parts of the operands.
        of_dtype!(self, |products, routines| unsafe { products.part(along, part).run_here(routines) });
    }

    /// About how many rows a part has to have along an axis, for what it takes to lay out the other operand for each part
    /// again to be little; none where parts would not be computed as the whole is.
    pub(super) fn least_part(&self, along: Along) -> Option<usize> {
        of_dtype!(self, |products, _routines| products.least_part(along))
    }
}

/// The axis of a product's kernel as one of the product.
pub(super) fn along(gemm: &Gemm, axis: usize) -> Option<Along> {
    if gemm.rows == Some(axis) {
        Some(Along::Rows)
    } else if gemm.cols == Some(axis) {
        Some(Along::Cols)
    } else if gemm.depth == axis {
        None
    } else {
        let named = [gemm.rows, gemm.cols, Some(gemm.depth)];
        Some(Along::Loop((0..axis).filter(|a| !named.contains(&Some(*a))).count()))
    }
}

/// The products of a step: what each of them is, and the loops around them.
struct Walk {
    symmetric: bool,
    rows: i64,
    cols: i64,
    depth: i64,
    /// For `a`, `b` and `out` the strides along rows, columns and depth, in bytes.
    strides: [[i64; 3]; 3],
    /// The extents of the loops, and the strides of the three operands along them.
    loops: Vec<(i64, [i64; 3])>,
}

impl Walk {
    fn new(gemm: &Gemm, kernel: &Kernel, scratch: &Scratch) -> Option<Walk> {
        let axes = kernel.axes.len();
        let along = |axis: usize| {
            let stride = |operand: usize| scratch.strides.get(operand * axes + axis).copied().unwrap_or(0);
            [stride(0), stride(1), stride(2)]
        };
        let one = |axis: Option<usize>| axis.map_or((1, [0; 3]), |x| (scratch.extents[x], along(x)));
        let named = [gemm.rows, gemm.cols, Some(gemm.depth)];
        if kernel.operands.len() != 3 || named.iter().flatten().any(|x| *x >= axes) {
            return None;
        }
        let ((rows, r), (cols, c), (depth, d)) = (one(gemm.rows), one(gemm.cols), one(Some(gemm.depth)));
        let loops = (0..axes).filter(|x| !named.contains(&Some(*x))).map(|x| (scratch.extents[x], along(x)));
        // What the plan promises, and what memory that is written to needs.
        let sound = r[1] == 0 && c[0] == 0 && d[2] == 0 && distinct(rows, r[2], cols, c[2]);
        let strides = [0, 1, 2].map(|o| [r[o], c[o], d[o]]);
        sound.then(|| Walk { symmetric: gemm.symmetric, rows, cols, depth, strides, loops: loops.collect() })
    }

    fn products<T: Real>(&self, scratch: &Scratch) -> Products<T> {
        let size = size_of::<T>() as i64;
        let step = |operand: usize, axis: usize| (self.strides[operand][axis] / size) as isize;
        let first = Product::<T> {
            rows: self.rows as usize,
            cols: self.cols as usize,
            depth: self.depth as usize,
            a: (scratch.data[0].cast_const().cast(), [step(0, 0), step(0, 2)]),
            b: (scratch.data[1].cast_const().cast(), [step(1, 2), step(1, 1)]),
            c: (scratch.data[2].cast(), [step(2, 0), step(2, 1)]),
        };
        let steps = |strides: &[i64; 3]| strides.map(|s| (s / size) as isize);
        let loops = self.loops.iter().map(|(extent, strides)| (*extent as usize, steps(strides))).collect();
        Products::new(first, self.symmetric, loops)
    }
}

/// Whether no two elements of a matrix with these extents and strides are one place, told from the strides alone.
fn distinct(rows: i64, row: i64, cols: i64, col: i64) -> bool {
    let (row, col) = (row.unsigned_abs(), col.unsigned_abs());
    let (rows, cols) = (rows.unsigned_abs(), cols.unsigned_abs());
    (rows == 1 || row > 0)
        && (cols == 1 || col > 0)
        && (rows == 1 || cols == 1 || row >= cols.saturating_mul(col) || col >= rows.saturating_mul(row))
}
