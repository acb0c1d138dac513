//! Runs kernels that walk the same rows together, a panel of rows at a time.
//!
//! A panel has as many rows as leave in the second cache what one kernel writes and the next reads. It takes a library
//! some work to lay out the other operand of a product for each panel again, so that products with long sums
//! are computed as a whole, and what follows them finds in the caches what is left there. That what a kernel writes
//! of a panel is no other panel's business is the plan's promise, and looked at once more before it is relied on.

use super::gemm::{Library, along};
use super::invoke::Frame;
use super::kernel::{self, Scratch};
use super::machine::Machine;
use super::products::{Along, Call};
use super::rows::{refused, with_rows};
use super::{Code, ExecError, internal, joined};
use matex_codegen_cpu::Compiled;
use matex_ir::loops::{Kernel, Role, Status};
use matex_passes::plan::{Member, Rows};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::OnceLock;

/// As many bytes are handed on in a panel: a half of the second cache of most CPUs, which what else the kernels read
/// goes through too.
const PANEL: usize = 1 << 19;

/// Panels end at multiples of this, which the library computes at a time.
const ROUND: usize = 16;

/// Runs kernels one after another, panel by panel where that is worth it.
pub(super) fn run<'e>(machine: &mut Machine<'e>, members: &'e [Member]) -> Result<(), ExecError> {
    let mut bound: SmallVec<[Bound<'_>; 3]> = SmallVec::new();
    let mut together = matches!(machine.exe.code, Code::Compiled(_)) && machine.residence.is_none();
    for member in members {
        together = together && member.rows.is_some();
        if let (true, Some(rows)) = (together, member.rows) {
            let one = Bound::new(machine, member, rows)?;
            together = one.run.is_some();
            bound.push(one);
        }
    }
    let call = machine.call();
    let rows = if together { panel_rows(machine, &bound, call.pool.threads()) } else { None };
    machine.in_panels |= rows.is_some();
    let done = rows.map(|(rows, panel)| in_panels(&bound, rows, panel, &call));
    for (one, member) in bound.into_iter().zip(members) {
        machine.state.scratch[member.step.id] = one.scratch;
    }
    match done {
        Some(done) => done.and_then(|()| machine.check_cancelled()),
        None => joined::run(machine, members),
    }
}

/// What computes a panel of a kernel.
enum Run<'a> {
    Library(Library, Along),
    Compiled(&'a Compiled),
}

/// A kernel with its operands.
struct Bound<'a> {
    kernel: &'a Kernel,
    member: &'a Member,
    /// The axis that the rows lie along.
    axis: usize,
    scratch: Scratch,
    /// Positions of its axis that are a row.
    height: i64,
    /// None when there is nothing to do, or nothing that does it panel by panel.
    run: Option<Run<'a>>,
}

// SAFETY: what an argument block points to is read by all threads, and written by one of them for each row, which
// `keeps_rows` found to be no other row's memory.
unsafe impl Sync for Bound<'_> {}

impl<'a> Bound<'a> {
    fn new(machine: &mut Machine<'a>, member: &'a Member, rows: Rows) -> Result<Bound<'a>, ExecError> {
        let (exe, step) = (machine.exe, &member.step);
        let kernel = exe.plan.kernels.get(step.kernel).ok_or_else(|| internal("no such kernel"))?;
        let kept = machine.state.scratch.get_mut(step.id);
        let mut scratch = std::mem::take(kept.ok_or_else(|| internal("no such run of a kernel"))?);
        let busy = kernel::prepare(machine, step, kernel, &mut scratch)?;
        let height = machine.value(rows.height, step.origin)?;
        let run = if !busy {
            None
        } else if let Some(gemm) = &step.gemm {
            let library = Library::of(step, kernel, &scratch);
            library.zip(along(gemm, rows.axis)).map(|(library, along)| Run::Library(library, along))
        } else if kernel.range_axis() == Some(rows.axis) && step.gathers.is_empty() {
            exe.compiled().get(step.kernel).map(|code| Run::Compiled(code))
        } else {
            None
        };
        Ok(Bound { kernel, member, axis: rows.axis, scratch, height, run })
    }

    fn strides(&self, operand: usize) -> &[i64] {
        let axes = self.kernel.axes.len();
        &self.scratch.strides[operand * axes..(operand + 1) * axes]
    }

    /// Where the first row of an operand begins and how many bytes further the next one does, when none reaches into the
    /// next one.
    fn row(&self, operand: usize) -> Option<(*mut u8, i64)> {
        let (axis, strides) = (self.axis, self.strides(operand));
        let mut reach = self.kernel.operands[operand].dtype.size() as i64;
        for (i, (stride, extent)) in strides.iter().zip(&self.scratch.extents).enumerate() {
            if i != axis {
                reach = reach.saturating_add((extent - 1).max(0).saturating_mul(*stride));
            }
        }
        let apart = strides.iter().all(|s| *s >= 0) && reach <= strides[axis];
        apart.then(|| (self.scratch.data[operand], strides[axis].saturating_mul(self.height)))
    }

    /// Computes some of its rows.
    fn compute(&self, rows: Range<usize>) -> Result<(), ExecError> {
        let status = match &self.run {
            Some(Run::Library(library, along)) => {
                // SAFETY: `kernel::prepare` bound and bounded the operands, and these are some of the rows.
                unsafe { library.run_part(*along, rows) };
                Status::Ok
            }
            Some(Run::Compiled(code)) => {
                let (begin, end) = (rows.start as i64 * self.height, rows.end as i64 * self.height);
                let Scratch { data, extents, strides, .. } = &self.scratch;
                let part = |data: &[*mut u8]| {
                    // SAFETY: `kernel::prepare` bound and bounded the operands, and these are some of the rows, which no
                    // other panel has to do with (`keeps_rows`).
                    unsafe { Frame { data, extents, strides }.run(code, self.kernel, begin..end, None) }
                };
                with_rows(self.kernel, extents, data, part)
                    .ok_or_else(|| refused(self.kernel, extents, self.member.step.origin))?
            }
            None => Status::Ok,
        };
        if status == Status::Ok { Ok(()) } else { Err(internal("a kernel of a panel gathers")) }
    }
}

/// How many rows there are and how many a panel has; none when all are computed at once.
fn panel_rows(machine: &Machine<'_>, bound: &[Bound<'_>], threads: usize) -> Option<(usize, usize)> {
    let (last, others) = bound.split_last()?;
    let first = others.iter().find(|b| b.member.step.gemm.is_some())?;
    let rows = first.scratch.extents[first.axis];
    let (mut bytes, mut least) = (0usize, 1usize);
    for one in others {
        let outs = (0..one.member.step.operands.len()).filter(|o| one.kernel.operands[*o].role != Role::In);
        for out in outs {
            bytes = bytes.saturating_add(usize::try_from(one.row(out)?.1).ok()?);
        }
        if let Some(Run::Library(library, along)) = &one.run {
            least = least.max(library.least_part(*along)?);
        }
    }
    let fits = |b: &Bound<'_>| rows.checked_mul(b.height) == Some(b.scratch.extents[b.axis]);
    let rows = usize::try_from(rows).ok().filter(|_| bound.iter().all(fits))?;
    let whole = (PANEL / bytes.max(1)).max(1);
    let shared = if threads > 1 { rows.div_ceil(2 * threads) } else { rows };
    let panel = whole.min(shared).next_multiple_of(ROUND.min(whole));
    let pays = panel >= least && whole < rows;
    (pays && panel < rows && keeps_rows(machine, others, last)).then_some((rows, panel))
}

/// Whether of all memory that one of these kernels writes each row is the business of the same row of all others.
fn keeps_rows(machine: &Machine<'_>, others: &[Bound<'_>], last: &Bound<'_>) -> bool {
    let operands = || {
        others.iter().chain([last]).flat_map(|b| {
            b.member.step.operands.iter().enumerate().filter_map(move |(i, binding)| {
                let memory = &machine.state.memory[binding.place.buffer.0 as usize];
                memory.reach().map(|(start, ..)| (b, i, start))
            })
        })
    };
    let written = operands().filter(|(b, i, _)| b.kernel.operands[*i].role != Role::In);
    written.into_iter().all(|(writer, out, memory)| {
        let mut others =
            operands().filter(|(b, i, start)| *start == memory && !(std::ptr::eq(*b, writer) && *i == out));
        let row = writer.row(out);
        others.all(|(b, i, _)| row.is_some() && b.row(i) == row)
    })
}

/// Computes all rows, as many panels at a time as there are threads, or stops when the call is cancelled.
fn in_panels(bound: &[Bound<'_>], rows: usize, panel: usize, call: &Call<'_>) -> Result<(), ExecError> {
    let failure = OnceLock::new();
    call.pool.for_ranges(rows.div_ceil(panel), 1, |panels| {
        for i in panels {
            let part = i * panel..rows.min((i + 1) * panel);
            for one in bound {
                if call.is_cancelled() || failure.get().is_some() {
                    return;
                }
                if let Err(error) = one.compute(part.clone()) {
                    // The first of several is as good as any.
                    let _ = failure.set(error);
                }
            }
        }
    });
    failure.into_inner().map_or(Ok(()), Err)
}
