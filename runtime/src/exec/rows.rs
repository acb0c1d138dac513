//! The rows of memory that a kernel keeps between its stages.
//!
//! They belong to the thread that runs the kernel, so that calls on several threads do not meet in them, and stay when
//! the call ends: in steady state nothing is allocated.

use super::ExecError;
use super::kernel::Scratch;
use matex_ir::Span;
use matex_ir::loops::{Kernel, Role};
use std::cell::RefCell;

/// As much as the widest vector, and aligned to it.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[expect(dead_code, reason = "kernels reach it by its address")] [u8; LINE]);

const LINE: usize = 64;

thread_local! {
    static ROWS: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// The bytes of each scratch operand, in order: an element for every position along the reduce axis. `None` where
/// that is more than can be addressed.
pub(super) fn lengths(kernel: &Kernel, scratch: &Scratch) -> impl Iterator<Item = Option<usize>> {
    let extent = scratch.extents.last().and_then(|e| usize::try_from(*e).ok());
    let rows = kernel.operands.iter().filter(|o| o.role == Role::Scratch);
    rows.map(move |o| extent.and_then(|e| e.checked_mul(o.dtype.size())))
}

/// Runs `f` while the kernel's scratch operands, which are the last ones, have rows of this thread's memory. `None` when
/// there is no memory for them.
pub(super) fn with_rows<T>(
    kernel: &Kernel,
    scratch: &mut Scratch,
    f: impl FnOnce(&Scratch) -> T,
) -> Option<T> {
    if kernel.scratch_operands() == 0 {
        return Some(f(scratch));
    }
    ROWS.with_borrow_mut(|rows| {
        let mut total = 0usize;
        for row in lengths(kernel, scratch) {
            total = total.checked_add(row?.div_ceil(LINE))?;
        }
        if rows.len() < total {
            rows.try_reserve(total - rows.len()).ok()?;
            rows.resize(total, Line([0; LINE]));
        }
        let mut rest = rows.as_mut_slice();
        for i in 0..kernel.scratch_operands() {
            let lines = lengths(kernel, scratch).nth(i)??.div_ceil(LINE);
            let (row, after) = rest.split_at_mut_checked(lines)?;
            scratch.data.push(row.as_mut_ptr().cast());
            rest = after;
        }
        Some(f(scratch))
    })
}

/// The error for rows that there is no memory for.
pub(super) fn refused(kernel: &Kernel, scratch: &Scratch, origin: Span) -> ExecError {
    let bytes = lengths(kernel, scratch)
        .fold(0u64, |sum, row| sum.saturating_add(row.map_or(u64::MAX, |b| b as u64)));
    ExecError::OutOfMemory { bytes, origin }
}
