//! Shares the work of one kernel out among threads: whether that pays, and how it is cut.
//!
//! A kernel is cut along a parallel axis, each part being a range of it, or, where there are too few parallel points, along
//! its reduce axis at the borders of canonical blocks ([`parts`]). No bit of a result depends on where it is cut.

mod parts;

use super::invoke::{Extents, Frame, Operands};
use super::kernel::Scratch;
use super::products::Call;
use super::rows::{Bases, with_rows};
use matex_codegen_cpu::{Compiled, Emitter};
use matex_ir::loops::{AxisKind, InstKind, Kernel, Status, canon};
pub(super) use parts::Parts;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How the work of a kernel is shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sharing {
    /// It is not.
    #[default]
    None,
    /// By ranges of a parallel axis.
    Ranges {
        /// The axis.
        axis: usize,
        /// Ranges begin at multiples of it.
        unit: i64,
        /// The smallest range, in units.
        grain: i64,
    },
    /// By parts of the reduce axis.
    Parts {
        /// The elements of each but the last.
        len: i64,
        /// How many there are.
        count: i64,
    },
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sharing::None => f.write_str("one thread"),
            Sharing::Ranges { axis, .. } => write!(f, "threads share axis {axis}"),
            Sharing::Parts { count, .. } => write!(f, "threads share the reduction, in {count} parts"),
        }
    }
}

/// Why the work of a kernel is done by one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is done sooner than others can be woken.
    Small,
    /// There is but one thread.
    Threads,
    /// Its axes are too short, or what it does along them is in order.
    Axes,
    /// Kernels are interpreted.
    Engine,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Small => "one thread: too little work to share",
            Why::Threads => "one thread: there are no others",
            Why::Axes => "one thread: no axis to cut",
            Why::Engine => "one thread: kernels are interpreted",
        })
    }
}

/// From which time on work is shared, in nanoseconds, and how small its pieces may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grain {
    /// What the whole takes at least.
    pub(super) from: f64,
    /// What each piece takes at least.
    pub(super) piece: f64,
    /// The elements that ranges along the lanes of vectors are multiples of.
    pub(super) unit: i64,
    /// The fewest pieces that work is cut into at all.
    pub(super) pieces: i64,
}

impl Grain {
    /// To wake a thread takes some ten microseconds, of which the caller feels half. Units keep vectors aligned and the
    /// lines of the caches apart.
    pub(super) const USUAL: Grain = Grain { from: 40_000.0, piece: 5_000.0, unit: 256, pieces: 2 };
    /// Everything is cut as small as can be.
    pub(super) const SMALLEST: Grain = Grain { from: 0.0, piece: 0.0, unit: 1, pieces: 1 };
}

/// Points times instructions of a body that are certainly too few.
pub(super) const GLANCE: i64 = 50_000;

/// The most parts of a reduction for each thread: enough that one which is late does not keep the others waiting.
const PARTS: usize = 8;

/// The most parallel points at which a reduction is cut: their states are merged one by one.
const FEW: i64 = 64;

/// What a kernel's vectors hold, in bytes.
pub(super) fn vector_bytes(emitter: Emitter) -> f64 {
    match emitter {
        Emitter::Cranelift => 16.0,
        Emitter::Wide256 => 32.0,
        Emitter::Wide512 => 64.0,
    }
}

/// How a kernel over these extents is shared out that takes so many nanoseconds on one thread.
pub(super) fn decide(
    kernel: &Kernel,
    extents: &[i64],
    time: f64,
    threads: usize,
    grain: Grain,
) -> Result<Sharing, Why> {
    if threads <= 1 && grain.pieces > 1 {
        return Err(Why::Threads);
    }
    if time < grain.from {
        return Err(Why::Small);
    }
    let most = (threads * PARTS) as i64;
    let wanted = ((time / grain.piece) as i64).min(most);
    let units = |axis: usize| {
        let along = kernel.vector_axis() == Some(axis);
        let unit = if along { grain.unit } else { 1 };
        ((extents[axis] as u64).div_ceil(unit as u64) as i64, unit)
    };
    let indexed = |axis: usize| kernel.body.iter().any(|i| i.kind == InstKind::Index(axis as u32));
    let parallel = (0..extents.len()).filter(|a| kernel.axes[*a].kind == AxisKind::Parallel);
    // A range of the outermost one is what kernels take; along others the operands are moved, and positions would be
    // counted from there.
    let first = kernel.range_axis();
    let open = parallel.filter(|a| Some(*a) == first || !indexed(*a));
    let longest = open.max_by_key(|a| (units(*a).0.min(most), std::cmp::Reverse(*a)));
    let pieces = longest.map_or(1, |a| units(a).0);
    if pieces < wanted
        && let Some((len, count)) = parts(kernel, extents, wanted, grain)
    {
        return Ok(Sharing::Parts { len, count });
    }
    match longest {
        Some(axis) if pieces >= grain.pieces => {
            let (all, unit) = units(axis);
            let pieces = (time / grain.piece).min(all as f64) as i64;
            Ok(Sharing::Ranges { axis, unit, grain: all / pieces.max(1) })
        }
        Some(_) | None => Err(Why::Axes),
    }
}

/// The length and the number of the parts of a reduction, where it can be cut.
fn parts(kernel: &Kernel, extents: &[i64], wanted: i64, grain: Grain) -> Option<(i64, i64)> {
    let axis = kernel.reduce_axis()?;
    let others = extents.iter().enumerate().filter(|(a, _)| *a != axis);
    let points = others.fold(1i64, |n, (_, e)| n.saturating_mul(*e));
    if points > FEW || (kernel.scratch_operands() > 0 && points > 1) {
        return None;
    }
    let block = canon::block(kernel) as i64;
    let blocks = (extents[axis] as u64).div_ceil(block as u64) as i64;
    let each = (blocks as u64).div_ceil(wanted.max(1) as u64).next_power_of_two() as i64;
    let count = (blocks as u64).div_ceil(each as u64) as i64;
    (count >= grain.pieces).then_some((each * block, count))
}

/// Runs a kernel on operands that were bound and placed. `None` when there is no memory for rows of scratch.
pub(super) fn run<'p>(
    code: &Compiled,
    kernel: &Kernel,
    scratch: &Scratch,
    parts: impl FnOnce() -> Option<&'p Parts>,
    call: &Call<'_>,
) -> Option<Status> {
    let whole = |data: &[*mut u8]| {
        let frame = Frame { data, extents: &scratch.extents, strides: &scratch.strides };
        // SAFETY: the operands were bound and placed (`Frame::run`).
        unsafe { frame.run(code, kernel, frame.all(kernel), call.cancel) }
    };
    match scratch.sharing {
        Sharing::None => with_rows(kernel, &scratch.extents, &scratch.data, whole),
        Sharing::Ranges { axis, unit, grain } => {
            ranges(code, kernel, scratch, &Cut { axis, unit, grain }, call)
        }
        Sharing::Parts { len, count } => match parts() {
            Some(parts) => with_rows(kernel, &scratch.extents, &scratch.data, |data| {
                let frame = Frame { data, extents: &scratch.extents, strides: &scratch.strides };
                parts.run(frame, kernel, (len, count), call)
            })
            .flatten(),
            None => with_rows(kernel, &scratch.extents, &scratch.data, whole),
        },
    }
}

/// How an axis is cut into ranges.
struct Cut {
    axis: usize,
    unit: i64,
    grain: i64,
}

/// Runs a kernel on ranges of an axis.
fn ranges(code: &Compiled, kernel: &Kernel, scratch: &Scratch, cut: &Cut, call: &Call<'_>) -> Option<Status> {
    let operands =
        Operands(Frame { data: &scratch.data, extents: &scratch.extents, strides: &scratch.strides });
    let extent = scratch.extents[cut.axis];
    let units = (extent as u64).div_ceil(cut.unit as u64) as usize;
    let (worst, refused) = (AtomicU32::new(Status::Ok.word()), AtomicBool::new(false));
    call.pool.for_ranges(units, cut.grain as usize, |range: Range<usize>| {
        if worst.load(Ordering::Relaxed) != Status::Ok.word() {
            return;
        }
        let frame = operands.frame();
        let (begin, end) = (range.start as i64 * cut.unit, (range.end as i64 * cut.unit).min(extent));
        let mut extents = Extents::from_slice(frame.extents);
        let (mut data, mut part) = (Bases::from_slice(frame.data), begin..end);
        if kernel.range_axis() != Some(cut.axis) {
            data = frame.moved(kernel, cut.axis, begin);
            extents[cut.axis] = end - begin;
            part = Frame { extents: &extents, ..*frame }.all(kernel);
        }
        let done = with_rows(kernel, &extents, &data, |data| {
            let frame = Frame { data, extents: &extents, strides: frame.strides };
            // SAFETY: a part of the iteration space of operands that were bound and placed; no other part writes what
            // this one touches, as points along a parallel axis are independent and write elements of their own.
            unsafe { frame.run(code, kernel, part, call.cancel) }
        });
        match done {
            Some(Status::Ok) => {}
            Some(status) => worst.store(status.word(), Ordering::Relaxed),
            None => refused.store(true, Ordering::Relaxed),
        }
    });
    let failed = worst.into_inner() != Status::Ok.word();
    (!refused.into_inner()).then_some(if failed { Status::IndexOutOfRange } else { Status::Ok })
}
