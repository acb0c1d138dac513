//! How a map is shared out, where that is by more than an element a thread.
//!
//! Memory is read and written 16 bytes at a time where all operands allow it ([`quads`]): they lie contiguously, or do not
//! move, along the innermost axis, and nothing begins in the middle of four elements. An operand that lies contiguously along
//! another axis than the results is brought through the workgroup's memory in tiles of [`SIDE`] × [`SIDE`] elements
//! ([`turned`]), so that neighbouring threads read neighbours and write neighbours. Both look at sizes and strides only.

use crate::words::Run;
use matex_ir::DType;
use matex_ir::loops::{Access, Form, Kernel, Role};

/// The elements of a side of a tile.
pub(crate) const SIDE: u32 = 32;

/// From which extents on a tile is worth it.
const LEAST_SIDE: i64 = 16;

/// The most operands that are brought in tiles: what the least workgroup memory of all devices holds.
const MOST_TURNED: usize = 3;

/// A map with operands that lie along another axis than its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turned {
    /// The axis that those operands lie along.
    pub(crate) rows: usize,
    /// Which operands they are: a bit for each.
    operands: u32,
}

impl Turned {
    /// Whether an operand is brought in tiles.
    pub(crate) fn brings(self, operand: usize) -> bool {
        u32::try_from(operand).is_ok_and(|o| o < u32::BITS && self.operands >> o & 1 == 1)
    }

    /// The number of tiles.
    pub(crate) fn count(self, kernel: &Kernel, extents: &[i64]) -> i64 {
        let last = kernel.axes.len().saturating_sub(1);
        let side = i64::from(SIDE);
        let tiles = |(axis, extent): (usize, &i64)| {
            if axis == self.rows || axis == last {
                extent / side + i64::from(extent % side != 0)
            } else {
                *extent
            }
        };
        extents.iter().enumerate().map(tiles).fold(1, i64::saturating_mul)
    }

    /// Whether this is a way to do a kernel.
    pub(crate) fn fits(self, kernel: &Kernel) -> bool {
        let reads = |o: usize| kernel.operands.get(o).is_some_and(|o| o.role == Role::In && is_word(o.dtype));
        let all = (0..u32::BITS as usize).filter(|o| self.brings(*o));
        kernel.form() == Form::Map && self.rows + 1 < kernel.axes.len() && all.into_iter().all(reads)
    }
}

/// Whether an element takes a word on the device.
fn is_word(dtype: DType) -> bool {
    dtype.size() == 4 || dtype == DType::Bool
}

/// Whether an operand of a map by quads is read or written four elements at a time.
pub(crate) fn is_wide(kernel: &Kernel, operand: usize) -> bool {
    let operand = &kernel.operands[operand];
    operand.access.last() == Some(&Access::Unit) && operand.gathers == 0 && is_word(operand.dtype)
}

/// Whether a map of such sizes is done by quads; `shares` as for [`compile`](crate::compile).
pub(crate) fn quads(kernel: &Kernel, run: &Run<'_>, shares: &[usize]) -> bool {
    let axes = kernel.axes.len();
    let whole = run.extents.last().is_some_and(|e| e % 4 == 0);
    let even = |o: usize| {
        let strides = &run.strides[o * axes..(o + 1) * axes - 1];
        let mut moves = strides.iter().zip(run.extents).filter(|(_, extent)| **extent > 1);
        run.offsets[o] % 4 == 0 && moves.all(|(stride, _)| stride % 4 == 0)
    };
    let fits = |o: usize| {
        let operand = &kernel.operands[o];
        let same = is_wide(kernel, o) == is_wide(kernel, shares[o]);
        let stays = operand.access.last() == Some(&Access::Zero);
        same && if is_wide(kernel, o) {
            even(o)
        } else {
            // Doubles are read best one by one, by threads that stand side by side.
            operand.role == Role::In && stays || !(is_word(operand.dtype) || operand.dtype == DType::F64)
        }
    };
    kernel.form() == Form::Map && whole && (0..kernel.operands.len()).all(fits)
}

/// Which operands of a map of such sizes are brought in tiles, where some are.
pub(crate) fn turned(kernel: &Kernel, run: &Run<'_>, shares: &[usize]) -> Option<Turned> {
    let axes = kernel.axes.len();
    let last = axes.checked_sub(1)?;
    let stride = |o: usize, axis: usize| run.strides.get(o * axes + axis).copied().unwrap_or(0);
    let long = |axis: usize| run.extents.get(axis).is_some_and(|e| *e >= LEAST_SIDE);
    let alone = |o: usize| shares.iter().filter(|s| **s == shares[o]).count() == 1;
    // The axis that an operand lies along, where that is not the one that neighbouring threads walk.
    let along = |o: usize| {
        let operand = &kernel.operands[o];
        let plain = operand.role == Role::In && is_word(operand.dtype) && operand.gathers == 0 && alone(o);
        let apart = stride(o, last).unsigned_abs() > 1;
        let mut others = (0..last).filter(|axis| stride(o, *axis) == 1 && long(*axis));
        others.next().filter(|_| plain && apart)
    };
    let fits = kernel.form() == Form::Map && long(last) && kernel.operands.len() <= u32::BITS as usize;
    let written = kernel.operands.iter().filter(|o| o.role != Role::In);
    if !fits || !written.into_iter().all(|o| o.access[last] == Access::Unit) {
        return None;
    }
    let rows = (0..kernel.operands.len()).find_map(along)?;
    let all = (0..kernel.operands.len()).filter(|o| along(*o) == Some(rows)).take(MOST_TURNED);
    Some(Turned { rows, operands: all.fold(0, |set, o| set | 1 << o) })
}
