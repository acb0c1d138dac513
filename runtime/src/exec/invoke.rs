//! Calls the machine code of a kernel.

use super::rows::Bases;
use matex_codegen_cpu::{Compiled, abi::Args};
use matex_ir::loops::{Kernel, Status};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// The extents of a kernel's axes.
pub(super) type Extents = SmallVec<[i64; 8]>;

/// About how many points run between two looks at whether the call was cancelled.
const CANCEL_POINTS: i64 = 1 << 22;

/// What a kernel is called with, as [`Args`] has it.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) data: &'a [*mut u8],
    pub(super) extents: &'a [i64],
    pub(super) strides: &'a [i64],
}

impl Frame<'_> {
    /// All of the axis that ranges are of.
    pub(super) fn all(&self, kernel: &Kernel) -> Range<i64> {
        0..kernel.range_axis().map_or(1, |axis| self.extents[axis])
    }

    /// Where operands stand at a position along an axis.
    pub(super) fn moved(&self, kernel: &Kernel, axis: usize, position: i64) -> Bases {
        let stride = |o: usize| self.strides[o * kernel.axes.len() + axis];
        let bases = self.data.iter().enumerate();
        bases.map(|(o, base)| base.wrapping_offset((position * stride(o)) as isize)).collect()
    }

    /// Calls compiled code for all positions up to this one.
    ///
    /// # Safety
    /// As for [`run`](Frame::run).
    #[inline]
    pub(super) unsafe fn run_all(&self, code: &Compiled, end: i64) -> Status {
        // SAFETY: the caller's promise.
        unsafe { code.call(&self.args(), 0, end) }
    }

    #[inline]
    fn args(&self) -> Args {
        Args { data: self.data.as_ptr(), extents: self.extents.as_ptr(), strides: self.strides.as_ptr() }
    }

    /// Calls compiled code for a range, in pieces when someone may cancel.
    ///
    /// # Safety
    /// There are as many words as the kernel asks for, and strides are of their access classes. Every element that this
    /// range of the iteration space reaches lies in the memory of its operand. What is written is this call's alone and
    /// no other operand's, but for one that reads each element at the place and before it is written. Nobody writes
    /// meanwhile what is read.
    ///
    /// `bind` and `place` of [`super::kernel`] see to all of that for a kernel's whole iteration space: memory that is written
    /// is the call's alone (`is_apart`, `Memory::Lent`), rows of scratch are this thread's, the memory of arguments is
    /// borrowed during the call, and bools are 0 or 1 in arguments by the contract of views, and elsewhere because
    /// kernels write nothing else.
    pub(super) unsafe fn run(
        &self,
        code: &Compiled,
        kernel: &Kernel,
        range: Range<i64>,
        cancel: Option<&AtomicBool>,
    ) -> Status {
        let args = self.args();
        let Range { start: mut begin, end } = range;
        let piece = match cancel {
            Some(_) => {
                let points = self.extents.iter().fold(1i64, |a, b| a.saturating_mul(*b));
                let each = points / self.all(kernel).end.max(1);
                (CANCEL_POINTS / each.max(1)).max(1)
            }
            None => end - begin,
        };
        while begin < end {
            let stop = begin.saturating_add(piece).min(end);
            // SAFETY: the caller's promise.
            let status = unsafe { code.call(&args, begin, stop) };
            if status != Status::Ok || cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return status;
            }
            begin = stop;
        }
        Status::Ok
    }
}

/// A frame that threads share: each of them calls the code for a part of its own.
pub(super) struct Operands<'a>(pub(super) Frame<'a>);

// SAFETY: the pointers are only passed on, to calls whose callers see to it that no two of them touch what one of them
// writes (`Frame::run`).
unsafe impl Sync for Operands<'_> {}

impl<'a> Operands<'a> {
    pub(super) fn frame(&self) -> &Frame<'a> {
        &self.0
    }
}
