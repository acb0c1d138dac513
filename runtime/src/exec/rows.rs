//! The rows of memory that a kernel keeps between its stages.
//!
//! They belong to the thread that runs the kernel, so that calls on several threads do not meet in them, and stay when
//! the call ends: in steady state nothing is allocated.

use super::ExecError;
use matex_ir::Span;
use matex_ir::loops::{Kernel, Role};
use smallvec::SmallVec;
use std::cell::RefCell;

/// As much as the widest vector, and aligned to it.
#[repr(align(64))]
#[derive(Clone, Copy)]
pub(super) struct Line(#[expect(dead_code, reason = "lines are reached by their address")] [u8; LINE]);

/// The bytes of a line of the caches, and of the widest vectors.
pub(super) const LINE: usize = 64;

impl Line {
    /// Bytes of 0.
    pub(super) const ZERO: Line = Line([0; LINE]);

    /// The bytes of lines.
    pub(super) fn bytes(lines: &mut [Line]) -> &mut [u8] {
        // SAFETY: lines are bytes without gaps, borrowed as long as the result.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
    }
}

thread_local! {
    static ROWS: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// The bytes of each scratch operand, in order: an element for every position along the reduce axis. `None` where
/// that is more than can be addressed.
pub(super) fn lengths(kernel: &Kernel, extents: &[i64]) -> impl Iterator<Item = Option<usize>> {
    let extent = extents.last().and_then(|e| usize::try_from(*e).ok());
    let rows = kernel.operands.iter().filter(|o| o.role == Role::Scratch);
    rows.map(move |o| extent.and_then(|e| e.checked_mul(o.dtype.size())))
}

/// Base pointers of a kernel's operands.
pub(super) type Bases = SmallVec<[*mut u8; 16]>;

/// Runs `f` with these base pointers and, behind them, those of rows of this thread's memory for the kernel's scratch
/// operands, which are the last ones. `None` when there is no memory for them.
pub(super) fn with_rows<T>(
    kernel: &Kernel,
    extents: &[i64],
    data: &[*mut u8],
    f: impl FnOnce(&[*mut u8]) -> T,
) -> Option<T> {
    if kernel.scratch_operands() == 0 {
        return Some(f(data));
    }
    ROWS.with_borrow_mut(|rows| {
        let mut total = 0usize;
        for row in lengths(kernel, extents) {
            total = total.checked_add(row?.div_ceil(LINE))?;
        }
        if rows.len() < total {
            rows.try_reserve(total - rows.len()).ok()?;
            rows.resize(total, Line::ZERO);
        }
        let mut all = Bases::from_slice(data);
        let mut rest = rows.as_mut_slice();
        for row in lengths(kernel, extents) {
            let (row, after) = rest.split_at_mut_checked(row?.div_ceil(LINE))?;
            all.push(row.as_mut_ptr().cast());
            rest = after;
        }
        Some(f(&all))
    })
}

/// The error for rows that there is no memory for.
pub(super) fn refused(kernel: &Kernel, extents: &[i64], origin: Span) -> ExecError {
    let bytes = lengths(kernel, extents)
        .fold(0u64, |sum, row| sum.saturating_add(row.map_or(u64::MAX, |b| b as u64)));
    ExecError::OutOfMemory { bytes, origin }
}
