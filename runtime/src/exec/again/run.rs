//! A step of a plan that lacks nothing but pointers: all that depends on sizes, strides and dtypes was decided before.

use super::places::{Places, Spot};
use crate::exec::gemm::Library;
use crate::exec::invoke::Frame;
use crate::exec::kernel::Scratch;
use crate::exec::machine::Machine;
use crate::exec::products::Call;
use crate::exec::routine::Operands;
use crate::exec::rows::with_rows;
use crate::exec::share::Sharing;
use crate::exec::{Code, Warning};
use crate::lib_ops::Context;
use crate::pool::Pool;
use matex_codegen_cpu::Compiled;
use matex_ir::Span;
use matex_ir::loops::Status;
use matex_passes::plan::{BufferId, KernelStep, PlanView, Routine, Step};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// One step.
pub(super) struct Run {
    /// Where each operand begins.
    spots: Vec<Spot>,
    /// The same in the call at hand.
    data: Vec<*mut u8>,
    work: Work,
}

/// What is done with the operands.
enum Work {
    /// Machine code runs on one thread.
    Kernel(Machinery),
    /// The same, with rows of the thread's memory between its stages.
    Stages(Machinery),
    /// The library multiplies.
    Product(Library),
    /// A routine runs.
    Routine(Box<Bound>),
}

/// A kernel and all that it is called with, but for its operands.
struct Machinery {
    extents: Vec<i64>,
    strides: Vec<i64>,
    end: i64,
    code: Arc<Compiled>,
}

/// A routine and the sizes of its operands.
struct Bound {
    routine: Routine,
    operands: Operands,
    origin: Span,
}

/// What is the same for all steps of a call.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    /// The most threads, 0 for all.
    pub(super) threads: usize,
    pub(super) nan_passes: bool,
    /// Where warnings go.
    pub(super) warnings: Option<&'a RefCell<Vec<Warning>>>,
}

impl Run {
    /// Those of a step that was carried out; none where another call may have to do it in another way.
    pub(super) fn of(machine: &Machine<'_>, places: &Places, step: &Step) -> Option<Vec<Run>> {
        if let Step::Routine { routine, inputs, outputs, origin } = step {
            return Some(vec![Run::routine(machine, places, routine, (inputs, outputs), *origin)?]);
        }
        step.kernels().map(|step| Run::kernel(machine, places, step)).collect()
    }

    fn new(places: &Places, operands: impl Iterator<Item = (BufferId, i64)>, work: Work) -> Option<Run> {
        let spot = |(buffer, offset): (BufferId, i64)| {
            let (memory, start) = places.spot(buffer)?;
            Some((memory, start.checked_add(isize::try_from(offset).ok()?)?))
        };
        let spots: Vec<Spot> = operands.map(spot).collect::<Option<_>>()?;
        Some(Run { data: vec![std::ptr::null_mut(); spots.len()], spots, work })
    }

    fn kernel(machine: &Machine<'_>, places: &Places, step: &KernelStep) -> Option<Run> {
        let exe = machine.exe;
        let Code::Compiled(code) = &exe.code else { return None };
        let scratch = machine.state.scratch.get(step.id).filter(|s| s.is_bound())?;
        let (kernel, code) = (exe.plan.kernels.get(step.kernel)?, code.kernels.get(step.kernel)?);
        let Scratch { extents, strides, .. } = scratch;
        let work = match Library::of(step, kernel, scratch) {
            Some(library) => Work::Product(library),
            // What threads share is long.
            None if scratch.sharing != Sharing::None => return None,
            None => {
                let end = Frame { data: &[], extents, strides }.all(kernel).end;
                let (extents, strides, code) = (extents.clone(), strides.clone(), code.clone());
                let machinery = Machinery { extents, strides, end, code };
                if kernel.scratch_operands() > 0 { Work::Stages(machinery) } else { Work::Kernel(machinery) }
            }
        };
        let buffers = step.operands.iter().map(|o| o.place.buffer);
        Run::new(places, buffers.zip(scratch.offsets.iter().copied()), work)
    }

    fn routine(
        machine: &Machine<'_>,
        places: &Places,
        routine: &Routine,
        (inputs, outputs): (&[PlanView], &[PlanView]),
        origin: Span,
    ) -> Option<Run> {
        let operands = Operands::bind(machine, inputs, outputs, origin).ok()?;
        let buffers = inputs.iter().chain(outputs).map(|v| v.place.buffer);
        let located: Vec<(BufferId, i64)> = buffers.zip(operands.offsets()).collect();
        let bound = Bound { routine: routine.clone(), operands, origin };
        Run::new(places, located.into_iter(), Work::Routine(Box::new(bound)))
    }

    /// Carries the step out on these pieces of memory. None when it failed: the ordinary way tells why.
    ///
    /// # Safety
    /// A call before bound and bounded the operands for pieces of memory of the same sizes that are dtypes, shapes and strides
    /// of the same arguments and results. They may be read, and results and temporaries be written, by this call alone, and
    /// the steps before were carried out.
    #[inline]
    pub(super) unsafe fn carry_out(&mut self, memory: &[*mut u8], means: Means<'_>) -> Option<()> {
        let Run { spots, data, work } = self;
        for (pointer, (source, offset)) in data.iter_mut().zip(spots.iter()) {
            *pointer = memory.get(*source)?.wrapping_offset(*offset);
        }
        // Nothing else is in the way of a call that is one kernel.
        if let Work::Kernel(machinery) = work {
            // SAFETY: the caller's promise.
            return unsafe { machinery.run(data) };
        }
        // SAFETY: the caller's promise.
        unsafe { work.carry_out(data, means) }
    }
}

impl Work {
    /// # Safety
    /// As for [`Run::carry_out`].
    #[inline(never)]
    unsafe fn carry_out(&mut self, data: &[*mut u8], means: Means<'_>) -> Option<()> {
        match self {
            // SAFETY: the caller's promise.
            Work::Kernel(machinery) => unsafe { machinery.run(data) },
            Work::Stages(machinery) => {
                // SAFETY: the caller's promise.
                let run = |data: &[*mut u8]| unsafe { machinery.run(data) };
                with_rows(machinery.code.kernel(), &machinery.extents, data, run)?
            }
            Work::Product(library) => {
                library.place(data);
                let call = Call { pool: Pool::current(means.threads), cancel: None };
                // SAFETY: the caller's promise.
                contained(|| unsafe { library.run(&call) })
            }
            // SAFETY: the caller's promise.
            Work::Routine(bound) => unsafe { bound.run(data, means) },
        }
    }
}

impl Machinery {
    /// # Safety
    /// As for [`Run::carry_out`].
    #[inline]
    unsafe fn run(&self, data: &[*mut u8]) -> Option<()> {
        let Machinery { extents, strides, end, code } = self;
        // SAFETY: the caller's promise.
        let status = unsafe { Frame { data, extents, strides }.run_all(code, *end) };
        (status == Status::Ok).then_some(())
    }
}

impl Bound {
    /// # Safety
    /// As for [`Run::carry_out`].
    unsafe fn run(&self, data: &[*mut u8], means: Means<'_>) -> Option<()> {
        let Means { threads, nan_passes, warnings } = means;
        let (pool, cancel, origin) = (Pool::current(threads), None, self.origin);
        let context = Context { pool, nan_passes, warnings, cancel, origin };
        // SAFETY: the caller's promise.
        contained(|| unsafe { self.operands.run(&self.routine, data, &context) })?.ok()
    }
}

/// Runs code of others; a panic in it, which is a bug, comes up again on the ordinary way, where it becomes an error.
fn contained<T>(f: impl FnOnce() -> T) -> Option<T> {
    // What it was changing is memory that the call fills from its beginning again.
    catch_unwind(AssertUnwindSafe(f)).ok()
}
