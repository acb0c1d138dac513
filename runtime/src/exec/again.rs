//! A call that is like the last one: same dtypes, shapes and strides, and a plan without loops, branches and reads of data.
//!
//! What such a call needs but for the pointers was bound, bounded, chosen and checked by the call before it, and is kept by
//! the thread: a list of words that the layouts are compared with, and the steps, each with its block of arguments. All
//! that is left to do is to walk along the words, put the pointers in, and carry the steps out. Small temporaries
//! lie where they always do; a plan whose temporaries are not kept from call to call goes the ordinary way.

mod places;
mod run;
#[cfg(test)]
mod tests;

use super::machine::Machine;
use super::state::State;
use super::{Code, Executable, Warning};
use crate::tensor::{contiguous_strides, push_place};
use crate::{AsView, AsViewMut, Buffer, Dims, LayoutCheck, Tensor};
use matex_ir::{DType, Span};
use matex_passes::plan::{BufferId, Item, Plan, Slot, Step};
use places::Places;
use run::{Means, Run};
use smallvec::SmallVec;
use std::cell::RefCell;
use tracing::level_filters::LevelFilter;

/// Whether a plan is no more than memory, kernels and routines, from arguments to results of which each can be put
/// where the caller wants it.
pub(super) fn is_straight(plan: &Plan, direct: &[Option<BufferId>]) -> bool {
    let simple = |item: &Item| match &item.step {
        Step::Alloc(_) | Step::Reuse { .. } | Step::Kernel(_) | Step::Panels(_) | Step::Routine { .. } => {
            true
        }
        Step::Size { .. }
        | Step::Index { .. }
        | Step::Check { .. }
        | Step::Move { .. }
        | Step::Take { .. }
        | Step::For { .. }
        | Step::While { .. }
        | Step::If { .. } => false,
    };
    direct.iter().all(Option::is_some) && plan.block(plan.body).items.iter().all(simple)
}

/// A call whose pointers are missing.
pub(super) struct Recipe {
    /// The layouts of the arguments and of the places for results.
    layouts: Vec<u64>,
    /// The pieces of memory that steps work on; those of constants are there.
    memory: Vec<*mut u8>,
    /// Which of them is that of temporaries.
    shared: Option<usize>,
    block: Block,
}

/// All that a call does, but for the memory.
struct Block {
    args: usize,
    results: Vec<Shaped>,
    steps: Vec<Run>,
    threads: usize,
    nan_passes: bool,
}

/// A result, in row-major order.
struct Shaped {
    dtype: DType,
    shape: Dims,
    bytes: usize,
}

impl Recipe {
    /// What is to be kept of a call that was carried out; nothing where the next one may be another.
    pub(super) fn of(machine: &Machine<'_>) -> Option<Recipe> {
        let exe = machine.exe;
        let compiled = matches!(exe.code, Code::Compiled(_));
        if !exe.straight || !compiled || machine.copied || machine.in_panels {
            return None;
        }
        let shaped = |r: &matex_passes::plan::PlanResult| Shaped::of(r.dtype, machine, &r.shape);
        let results: Vec<Shaped> = exe.plan.results.iter().map(shaped).collect::<Option<_>>()?;
        let mut layouts = machine.state.layouts.clone();
        results
            .iter()
            .for_each(|r| push_place(&mut layouts, r.dtype, &r.shape, &contiguous_strides(&r.shape)));
        let places = Places::of(machine)?;
        let mut steps = Vec::new();
        for item in &exe.plan.block(exe.plan.body).items {
            steps.extend(Run::of(machine, &places, &item.step)?);
        }
        let (args, threads, nan_passes) = (exe.plan.params.len(), exe.threads, exe.nan_passes);
        let block = Block { args, results, steps, threads, nan_passes };
        let Places { memory, shared, .. } = places;
        Some(Recipe { layouts, memory, shared, block })
    }
}

impl Shaped {
    fn of(dtype: DType, machine: &Machine<'_>, shape: &[Slot]) -> Option<Shaped> {
        let extent = |s: &Slot| usize::try_from(*machine.state.dims.get(s.0 as usize)?).ok();
        let shape: Dims = shape.iter().map(extent).collect::<Option<_>>()?;
        let bytes = shape.iter().product::<usize>() * dtype.size();
        Some(Shaped { dtype, shape, bytes })
    }
}

/// A call that may be like the last one of this thread: it takes arguments and places for results as long as they are.
pub struct Again<'e, 'v> {
    check: LayoutCheck<'e, 'v>,
    block: &'e mut Block,
}

impl Executable {
    /// Begins a call that is carried out if it is like the last one of this thread; `None` when there was none, when the
    /// program does what depends on data, and when somebody listens to what a call does. It is to be called in the
    /// ordinary way then.
    #[inline]
    pub fn again<'v, T>(&self, call: impl FnOnce(&mut Again<'_, 'v>) -> Option<T>) -> Option<T> {
        if !self.straight || LevelFilter::current() == LevelFilter::TRACE {
            return None;
        }
        State::kept(self.id, |state| {
            let State { recipe, shared: temporaries, .. } = state;
            let Recipe { layouts, memory, shared, block } = recipe.as_mut()?;
            if let Some(shared) = *shared {
                *memory.get_mut(shared)? = temporaries.memory(Span::default()).ok()?.start;
            }
            call(&mut Again { check: LayoutCheck::new(layouts, memory), block })
        })
    }
}

impl<'v> Again<'_, 'v> {
    /// Takes the next argument. Whether it lies as that of the last call did.
    #[inline]
    pub fn arg<A: AsView + ?Sized>(&mut self, arg: &'v A) -> bool {
        arg.check_layout(&mut self.check)
    }

    /// Takes the place for the next result. Whether it fits, and lies in row-major order.
    #[inline]
    pub fn result<O: AsViewMut + ?Sized>(&mut self, place: &'v mut O) -> bool {
        place.check_place(&mut self.check)
    }

    /// Carries the call out when all arguments and places were taken. `None` when not, and when it failed: the ordinary
    /// way tells why.
    #[inline]
    pub fn run(&mut self) -> Option<()> {
        self.run_with(None)
    }

    #[inline]
    fn run_with(&mut self, warnings: Option<&RefCell<Vec<Warning>>>) -> Option<()> {
        let Block { args, results, steps, threads, nan_passes } = &mut *self.block;
        if self.check.taken() != *args + results.len() {
            return None;
        }
        let means = Means { threads: *threads, nan_passes: *nan_passes, warnings };
        let memory = self.check.starts();
        steps.iter_mut().try_for_each(|step| {
            // SAFETY: extents, strides and offsets are those of a call before, which bound and bounded them for arguments
            // and places of the same dtypes, shapes and strides; the pointers are those of this one, which borrows what
            // they point to for as long as this is there. Places are unique borrows, so that nobody else looks at them,
            // and temporaries are the state's, which this call alone has.
            unsafe { step.carry_out(memory, means) }
        })
    }

    /// Allocates the results, carries the call out, and gives them. Warnings go where they are wanted; what there is to warn
    /// of is not looked for when they go nowhere.
    pub fn run_new(&mut self, warnings: Option<&RefCell<Vec<Warning>>>) -> Option<Vec<Tensor>> {
        if self.check.taken() != self.block.args {
            return None;
        }
        let mut buffers: SmallVec<[Buffer; 2]> = SmallVec::new();
        for result in &self.block.results {
            // SAFETY: the steps are all of the plan, which fills its results; a call that fails drops them.
            let mut buffer = unsafe { Buffer::uninit(result.bytes) }.ok()?;
            let start = buffer.as_mut_ptr();
            buffers.push(buffer);
            if !self.check.put(start) {
                return None;
            }
        }
        self.run_with(warnings)?;
        let tensor = |(buffer, r): (Buffer, &Shaped)| Tensor::over(r.dtype, &r.shape, buffer);
        Some(buffers.into_iter().zip(&self.block.results).map(tensor).collect())
    }
}
