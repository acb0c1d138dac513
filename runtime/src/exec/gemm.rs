//! Matrix products by the library, in place of the kernel that means the same.
//!
//! The kernel stays the definition, and does what is small: a call of the library costs more there than the product.
//! Operands are handed over as they lie in memory, whichever way they are transposed.

use super::kernel::Scratch;
use crate::lib_ops::{LinalgEngine, Product};
use matex_ir::DType;
use matex_ir::loops::Kernel;
use matex_passes::plan::{Gemm, KernelStep};
use std::sync::atomic::{AtomicBool, Ordering};

/// From how many multiplications on the library is called.
const SMALL: i64 = 16 * 16 * 16;

/// About how many multiplications are done between two looks at whether the call was cancelled.
const CANCEL_POINTS: i64 = 1 << 30;

/// Does a step whose operands were bound and bounded, if it is a matrix product for the library.
pub(super) fn run(
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &Scratch,
    cancel: Option<&AtomicBool>,
) -> bool {
    let Some(gemm) = &step.gemm else { return false };
    let points = scratch.extents.iter().fold(1i64, |a, b| a.saturating_mul(*b));
    if points < SMALL {
        return false;
    }
    let Some(walk) = Walk::new(gemm, kernel, scratch) else { return false };
    let engine = LinalgEngine::current();
    match kernel.operands[0].dtype {
        DType::F32 => walk.products(scratch, cancel, engine.f32.gemm),
        DType::F64 => walk.products(scratch, cancel, engine.f64.gemm),
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
        | DType::Bool => return false,
    }
    true
}

/// The products of a step: what each of them is, and the loops around them.
struct Walk {
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
        sound.then(|| Walk { rows, cols, depth, strides, loops: loops.collect() })
    }

    fn products<T>(&self, scratch: &Scratch, cancel: Option<&AtomicBool>, gemm: crate::lib_ops::Gemm<T>) {
        let mut point = vec![0i64; self.loops.len()];
        loop {
            let base = |operand: usize| {
                let moved: i64 = point.iter().zip(&self.loops).map(|(p, (_, s))| p * s[operand]).sum();
                scratch.data[operand].wrapping_offset(moved as isize)
            };
            if !self.product([base(0), base(1), base(2)], cancel, gemm) {
                return;
            }
            let moved = (0..point.len()).rev().find(|i| {
                point[*i] += 1;
                let inside = point[*i] < self.loops[*i].0;
                if !inside {
                    point[*i] = 0;
                }
                inside
            });
            if moved.is_none() {
                return;
            }
        }
    }

    /// One product, in pieces of its rows when someone may cancel; whether to go on.
    fn product<T>(
        &self,
        data: [*mut u8; 3],
        cancel: Option<&AtomicBool>,
        gemm: crate::lib_ops::Gemm<T>,
    ) -> bool {
        let size = size_of::<T>() as i64;
        let step = |operand: usize, axis: usize| (self.strides[operand][axis] / size) as isize;
        let row = self.cols.saturating_mul(self.depth).max(1);
        let piece = if cancel.is_some() { (CANCEL_POINTS / row).max(64) } else { self.rows };
        let mut begin = 0;
        while begin < self.rows {
            let rows = piece.min(self.rows - begin);
            let from =
                |operand: usize| data[operand].wrapping_offset((begin * self.strides[operand][0]) as isize);
            let product = Product::<T> {
                rows: rows as usize,
                cols: self.cols as usize,
                depth: self.depth as usize,
                a: (from(0).cast_const().cast(), [step(0, 0), step(0, 2)]),
                b: (from(1).cast_const().cast(), [step(1, 2), step(1, 1)]),
                c: (from(2).cast(), [step(2, 0), step(2, 1)]),
            };
            // SAFETY: the kernel's operands were bound and found to lie in their memory over its whole iteration space,
            // of which this is a part; that of the output is the call's alone and no other operand's, and its elements
            // are distinct (`distinct`).
            unsafe { gemm(&product) };
            if cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return false;
            }
            begin += rows;
        }
        true
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
