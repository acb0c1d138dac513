//! Reductions of few results in two runs: first of parts of the axis, then of what these came to.
//!
//! A device has something to do only when thousands of threads do; how many parts there are is told by sizes alone
//! ([`matex_codegen_gpu::cut`]), so that the order of a sum, and with it each bit, is the same at every run.

use super::DeviceRun;
use super::reach::{chunks, element_bytes, is_proven};
use crate::exec::ExecError;
use crate::gpu::{Code, DeviceArray, Dispatch};
use matex_codegen_gpu::{Cut, Run, schedule};
use matex_ir::loops::partial::Partial;
use matex_ir::loops::split::Bound;
use matex_ir::loops::{AxisKind, Kernel};
use std::sync::Arc;

/// The arrays of a whole kernel, and where its operands lie in them.
pub(super) struct Whole<'a> {
    pub(super) run: Run<'a>,
    pub(super) shares: &'a [usize],
    pub(super) arrays: &'a [Arc<DeviceArray>],
}

/// What the pieces of a kernel need of the whole.
pub(super) struct Pieces<'a> {
    whole: &'a Whole<'a>,
    /// The axis that is cut.
    pub(super) axis: usize,
    /// The parallel points.
    pub(super) points: i64,
    /// For each axis the distance of a state to the next one; none along the one that is cut.
    apart: Vec<i64>,
    /// A state for each parallel point, and that for each part.
    pub(super) states: Vec<Arc<DeviceArray>>,
}

/// Some parts of one length.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    /// The number of the first one, and how many they are.
    pub(super) first: i64,
    pub(super) count: i64,
    /// Their length, and that of those before.
    pub(super) length: i64,
    pub(super) full: i64,
    /// How many parts before its own the state of each stands.
    pub(super) back: i64,
}

/// A run of a piece: places of its operands, one after the other.
#[derive(Default)]
struct Places {
    offsets: Vec<i64>,
    strides: Vec<i64>,
    arrays: Vec<Arc<DeviceArray>>,
}

impl DeviceRun<'_, '_> {
    /// Runs a kernel in two pieces; whether that could be done.
    pub(super) fn run_cut(
        &mut self,
        partial: &Partial,
        cut: Cut,
        whole: &Whole<'_>,
    ) -> Result<bool, ExecError> {
        let Some(axis) = self.kernel.reduce_axis() else { return Ok(false) };
        let rest = whole.run.extents[axis] % cut.length;
        let parts = cut.parts + i64::from(rest > 0);
        let mut pieces = Pieces::new(self.kernel, whole, axis);
        let Some(bytes) = self.states_fit(&pieces, parts, &[&partial.parts, &partial.finish]) else {
            return Ok(false);
        };
        for _ in partial.states() {
            pieces.states.push(self.side.fresh(bytes)?);
        }
        let reduce = (&partial.parts, &partial.parts_operands[..]);
        for (first, count, length) in [(0, cut.parts, cut.length), (cut.parts, 1, rest)] {
            let parts = Parts { first, count, length, full: cut.length, back: 0 };
            if length > 0 && !self.run_parts(reduce, &pieces, parts)? {
                return Ok(false);
            }
        }
        self.run_finish(partial, &pieces, parts)
    }

    /// The bytes of a state for each of so many parts, when the device binds them and what these kernels need.
    pub(super) fn states_fit(&self, pieces: &Pieces<'_>, parts: i64, kernels: &[&Kernel]) -> Option<u64> {
        let device = &self.side.residence.device;
        // States are operands of both pieces: none is larger than the largest of these.
        let sizes = kernels.iter().flat_map(|k| (0..k.operands.len()).map(|o| element_bytes(k, o)));
        let size = sizes.max().unwrap_or(0);
        let bytes = pieces.points.saturating_mul(parts).saturating_mul(size).max(0) as u64;
        let most = kernels.iter().map(|k| k.operands.len()).max().unwrap_or(0);
        (bytes <= device.binding_bytes() && most <= device.bindings()).then_some(bytes)
    }

    /// Runs a kernel over parts, whose first axis is that of the parts.
    pub(super) fn run_parts(
        &mut self,
        (kernel, operands): (&Kernel, &[Bound]),
        pieces: &Pieces<'_>,
        parts: Parts,
    ) -> Result<bool, ExecError> {
        let mut extents = pieces.whole.run.extents.to_vec();
        extents[pieces.axis] = parts.length;
        extents.insert(0, parts.count);
        let mut places = Places::default();
        for bound in operands {
            pieces.put(&mut places, *bound, |offset, strides, along| {
                let (step, first) = match bound {
                    Bound::State { .. } => (along, parts.first - parts.back),
                    Bound::Operand(_) | Bound::Start => (along * parts.full, parts.first),
                };
                (offset + step * first, [&[step], strides].concat())
            });
        }
        let shares: Vec<usize> = (0..operands.len()).collect();
        let run = Run { extents: &extents, offsets: &places.offsets, strides: &places.strides, gathers: &[] };
        self.dispatch(kernel, &Whole { run, shares: &shares, arrays: &places.arrays })
    }

    /// Reduces the states of all parts.
    fn run_finish(&mut self, partial: &Partial, pieces: &Pieces<'_>, parts: i64) -> Result<bool, ExecError> {
        let mut extents = pieces.whole.run.extents.to_vec();
        extents.remove(pieces.axis);
        extents.push(parts);
        let mut places = Places::default();
        for bound in &partial.finish_operands {
            pieces.put(&mut places, *bound, |offset, strides, along| {
                let mut strides = strides.to_vec();
                strides.remove(pieces.axis);
                // Only states have something for each part.
                strides.push(if matches!(bound, Bound::State { .. }) { along } else { 0 });
                (offset, strides)
            });
        }
        let of = |bound: &Bound| match bound {
            Bound::Operand(o) => pieces.whole.shares.get(o.index()),
            Bound::State { .. } | Bound::Start => None,
        };
        let all = &partial.finish_operands;
        let share = |i: usize| {
            let mine = of(&all[i]);
            (0..i).find(|j| mine.is_some() && of(&all[*j]) == mine).unwrap_or(i)
        };
        let shares: Vec<usize> = (0..all.len()).map(share).collect();
        let run = Run { extents: &extents, offsets: &places.offsets, strides: &places.strides, gathers: &[] };
        self.dispatch(&partial.finish, &Whole { run, shares: &shares, arrays: &places.arrays })
    }

    /// Runs a kernel whose operands are on the device, by chunks where they are too large to be bound; whether the device can
    /// count that far, and found all indices in range. Where it did not the CPU runs the kernel too, and has the error.
    pub(super) fn dispatch(&mut self, kernel: &Kernel, at: &Whole<'_>) -> Result<bool, ExecError> {
        let rules = super::rules(&self.side.residence.device);
        if at.arrays.iter().all(|a| a.bytes() <= rules.most) {
            return self.dispatch_one(kernel, at, None);
        }
        let Some(chunks) = chunks(kernel, &at.run, at.shares, rules) else { return Ok(false) };
        // Nothing is begun that cannot be ended: what is written over may be read by the CPU otherwise.
        let caps = self.side.residence.device.caps();
        let counts = |run: Run<'_>| run.words(kernel, schedule(kernel, &run, at.shares, caps)).is_ok();
        if !chunks.iter().all(|chunk| counts(chunk.run(at.run))) {
            return Ok(false);
        }
        let mut in_range = true;
        for chunk in &chunks {
            in_range &=
                self.dispatch_one(kernel, &Whole { run: chunk.run(at.run), ..*at }, Some(&chunk.windows))?;
        }
        Ok(in_range)
    }

    fn dispatch_one(
        &mut self,
        kernel: &Kernel,
        at: &Whole<'_>,
        windows: Option<&[(u64, u64)]>,
    ) -> Result<bool, ExecError> {
        let schedule = schedule(kernel, &at.run, at.shares, self.side.residence.device.caps());
        let Ok(words) = at.run.words(kernel, schedule) else { return Ok(false) };
        let points = at.run.points(kernel, schedule);
        let points = if kernel.scratch_operands() > 0 { points.min(super::SCRATCH_GROUPS) } else { points };
        let Whole { shares, arrays, .. } = *at;
        let bytes: Vec<u64> = match windows {
            Some(windows) => windows.iter().map(|w| w.1).collect(),
            None => arrays.iter().map(|a| a.bytes()).collect(),
        };
        let proven = is_proven(kernel, &at.run, &bytes, points);
        let flag = if kernel.operands.iter().any(|o| o.gathers > 0) { Some(self.side.flag()?) } else { None };
        let dispatch = Dispatch {
            code: Code::Kernel { kernel, schedule, shares },
            arrays,
            words: &words,
            points,
            windows,
            proven,
            flag: flag.as_ref(),
        };
        self.side.residence.queue.run(&dispatch).map_err(ExecError::Gpu)?;
        match flag {
            Some(flag) => Ok(!self.side.is_raised(&flag)?),
            None => Ok(true),
        }
    }
}

impl<'a> Pieces<'a> {
    /// The pieces of a whole that is cut along an axis, without states.
    pub(super) fn new(kernel: &Kernel, whole: &'a Whole<'a>, axis: usize) -> Pieces<'a> {
        let extents = whole.run.extents;
        let (mut points, mut apart) = (1i64, vec![0; extents.len()]);
        for (i, extent) in extents.iter().enumerate().rev() {
            if kernel.axes[i].kind == AxisKind::Parallel {
                apart[i] = points;
                points = points.saturating_mul(*extent);
            }
        }
        Pieces { whole, axis, points, apart, states: Vec::new() }
    }

    /// Adds an operand of a piece: where it lies of the whole, or as a state, changed by `place`, which is given the offset, the
    /// strides and the one along the reduce axis. That of a state is the distance from part to part, and it has none within
    /// a part.
    fn put(
        &self,
        places: &mut Places,
        bound: Bound,
        place: impl FnOnce(i64, &[i64], i64) -> (i64, Vec<i64>),
    ) {
        let (array, offset, strides, along) = match bound {
            Bound::Operand(o) => {
                let i = o.index();
                let axes = self.apart.len();
                let strides = &self.whole.run.strides[i * axes..(i + 1) * axes];
                (&self.whole.arrays[i], self.whole.run.offsets[i], strides, strides[self.axis])
            }
            Bound::State { state, .. } => (&self.states[state], 0, &self.apart[..], self.points),
            Bound::Start => return,
        };
        let (offset, strides) = place(offset, strides, along);
        places.offsets.push(offset);
        places.strides.extend(strides);
        places.arrays.push(array.clone());
    }
}
