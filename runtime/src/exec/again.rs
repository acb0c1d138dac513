//! A call that is like the last one: same dtypes, shapes and strides, and a plan that is one kernel from arguments to results.
//!
//! What such a call needs but for the pointers was bound, bounded and checked by the call before it, and is kept by the
//! thread. All that is left to do is to compare the layouts, put the pointers in, and call the code.

use super::invoke::Frame;
use super::machine::Machine;
use super::share::Sharing;
use super::state::{Seen, State};
use super::{Code, Executable};
use crate::{Buffer, Dims, Tensor, View, ViewMut};
use matex_ir::DType;
use matex_ir::loops::Status;
use matex_passes::plan::{BufferId, KernelStep, Plan, Source, Step};
use smallvec::SmallVec;
use std::marker::PhantomData;
use std::sync::Arc;

/// The kernel that a plan consists of, if it is no more than that and memory for its results.
pub(super) fn only_kernel(plan: &Plan, direct: &[Option<BufferId>]) -> Option<KernelStep> {
    let mut kernel = None;
    for item in &plan.block(plan.body).items {
        match &item.step {
            Step::Alloc(_) => {}
            // Such a call borrows its arguments.
            Step::Reuse { from, .. } if plan.is_argument(*from) => {}
            Step::Kernel(step) if kernel.is_none() => kernel = Some(step),
            Step::Kernel(_)
            | Step::Panels(_)
            | Step::Reuse { .. }
            | Step::Routine { .. }
            | Step::Size { .. }
            | Step::Index { .. }
            | Step::Check { .. }
            | Step::Move { .. }
            | Step::Take { .. }
            | Step::For { .. }
            | Step::While { .. }
            | Step::If { .. } => return None,
        }
    }
    let step = kernel?;
    let known = |b: BufferId| match plan.buffer(b).source {
        Source::Param(_) | Source::Constant(_) => true,
        Source::Own => plan.results.iter().any(|r| r.buffer == b),
    };
    let rows = plan.kernels.get(step.kernel)?.scratch_operands() > 0;
    let simple = step.gemm.is_none()
        && !rows
        && step.operands.iter().all(|o| o.place.moves.is_empty() && known(o.place.buffer))
        && direct.iter().all(Option::is_some);
    simple.then(|| step.clone())
}

/// The operands that a piece of memory is, and how many bytes into it each begins.
type Uses = SmallVec<[(usize, isize); 2]>;

/// A call whose pointers are missing.
pub(super) struct Recipe {
    args: Vec<Uses>,
    results: Vec<(DType, Dims, Uses)>,
    /// The base pointers; those of constants are there.
    data: Vec<*mut u8>,
    /// Which run of a kernel it is, for its extents and strides.
    run: usize,
}

impl Recipe {
    /// What is to be kept of a call that was carried out; nothing where the next one may be another.
    pub(super) fn of(machine: &Machine<'_>) -> Option<Recipe> {
        let exe = machine.exe;
        let step = exe.only.as_ref()?;
        let Code::Compiled(_) = &exe.code else { return None };
        let scratch = machine.state.scratch.get(step.id)?;
        if scratch.sharing != Sharing::None || !scratch.is_bound() || machine.copied {
            return None;
        }
        let mut args = vec![Uses::new(); exe.plan.params.len()];
        let mut results = Vec::new();
        for result in &exe.plan.results {
            let shape: Option<Dims> =
                result.shape.iter().map(|s| usize::try_from(machine.state.dims[s.0 as usize]).ok()).collect();
            results.push((result.dtype, shape?, Uses::new()));
        }
        let mut data = vec![std::ptr::null_mut(); step.operands.len()];
        for (o, (binding, offset)) in step.operands.iter().zip(&scratch.offsets).enumerate() {
            let (buffer, offset) = (binding.place.buffer, isize::try_from(*offset).ok()?);
            match &exe.plan.buffer(buffer).source {
                Source::Param(p) => args.get_mut(*p as usize)?.push((o, offset)),
                Source::Constant(_) => {
                    data[o] = exe.constants.get(&buffer.0)?.as_ptr().wrapping_offset(offset).cast_mut();
                }
                Source::Own => {
                    let place = exe.plan.results.iter().position(|r| r.buffer == buffer)?;
                    results[place].2.push((o, offset));
                }
            }
        }
        Some(Recipe { args, results, data, run: step.id })
    }
}

/// A call that may be like the last one of this thread: it takes arguments and places for results as long as they are.
pub struct Again<'e, 'v> {
    exe: &'e Executable,
    state: &'e mut State,
    /// How many arguments and places were taken.
    args: usize,
    results: usize,
    borrowed: PhantomData<&'v ()>,
}

impl Executable {
    /// Begins a call that is carried out if it is like the last one of this thread; `None` when there was none, or the
    /// program does more than one kernel. It is to be called in the ordinary way then.
    #[inline]
    pub fn again<'v, T>(&self, call: impl FnOnce(&mut Again<'_, 'v>) -> Option<T>) -> Option<T> {
        self.only.as_ref()?;
        State::kept(self.id, |state| {
            state.recipe.as_ref()?;
            call(&mut Again { exe: self, state, args: 0, results: 0, borrowed: PhantomData })
        })
    }
}

impl<'v> Again<'_, 'v> {
    /// Takes the next argument. Whether it lies as that of the last call did.
    #[inline]
    pub fn arg(&mut self, view: &View<'v>) -> bool {
        let State { seen, recipe: Some(recipe), .. } = &mut *self.state else { return false };
        let (Some(seen), Some(uses)) = (seen.get(self.args), recipe.args.get(self.args)) else {
            return false;
        };
        if !Seen::is(seen, view) {
            return false;
        }
        for (operand, offset) in uses {
            recipe.data[*operand] = view.data_ptr().wrapping_offset(*offset).cast_mut();
        }
        self.args += 1;
        true
    }

    /// Takes the place for the next result. Whether it fits, and lies in row-major order.
    #[inline]
    pub fn result(&mut self, place: &ViewMut<'v>) -> bool {
        let fits = self.state.recipe.as_ref().and_then(|r| r.results.get(self.results)).is_some_and(
            |(dtype, shape, _)| {
                *dtype == place.dtype() && shape[..] == *place.shape() && place.is_contiguous()
            },
        );
        fits && self.put(place.data_ptr())
    }

    /// Notes where the next result goes.
    #[inline]
    fn put(&mut self, start: *mut u8) -> bool {
        let Some(recipe) = &mut self.state.recipe else { return false };
        let Some((_, _, uses)) = recipe.results.get(self.results) else { return false };
        for (operand, offset) in uses {
            recipe.data[*operand] = start.wrapping_offset(*offset);
        }
        self.results += 1;
        true
    }

    /// Carries the call out when all arguments and places were taken. `None` when not, and when it failed: the ordinary
    /// way tells why.
    #[inline]
    pub fn run(&mut self) -> Option<()> {
        let (exe, recipe) = (self.exe, self.state.recipe.as_ref()?);
        let Code::Compiled(code) = &exe.code else { return None };
        let step = exe.only.as_ref()?;
        if self.args != recipe.args.len() || self.results != recipe.results.len() {
            return None;
        }
        let (kernel, code) = (exe.plan.kernels.get(step.kernel)?, code.kernels.get(step.kernel)?);
        let scratch = self.state.scratch.get(recipe.run)?;
        let frame = Frame { data: &recipe.data, extents: &scratch.extents, strides: &scratch.strides };
        // SAFETY: extents, strides and offsets are those of a call before, which bound and bounded them for arguments and
        // places of the same dtypes, shapes and strides; the pointers are those of this one, which borrows what
        // they point to for as long as this is there. Places are unique borrows, so that nobody else looks at them.
        let status = unsafe { frame.run(code, kernel, frame.all(kernel), None) };
        (status == Status::Ok).then_some(())
    }

    /// Allocates the results, carries the call out, and gives them.
    pub fn run_new(&mut self) -> Option<Vec<Tensor>> {
        let count = self.state.recipe.as_ref()?.results.len();
        let mut buffers: SmallVec<[Buffer; 2]> = SmallVec::new();
        for place in 0..count {
            let (dtype, shape, _) = self.state.recipe.as_ref()?.results.get(place)?;
            let bytes = shape.iter().product::<usize>() * dtype.size();
            // SAFETY: the kernel is all of the plan, which fills its results; a call that fails drops them.
            let mut buffer = unsafe { Buffer::uninit(bytes) }.ok()?;
            let start = buffer.as_mut_ptr();
            buffers.push(buffer);
            if !self.put(start) {
                return None;
            }
        }
        self.run()?;
        let recipe = self.state.recipe.as_ref()?;
        let tensor = |(buffer, (dtype, shape, _)): (Buffer, &(DType, Dims, Uses))| {
            let strides = crate::contiguous_strides(shape);
            // SAFETY: kernels write 0 or 1 into bools.
            unsafe { Tensor::from_parts_unchecked(*dtype, shape, &strides, 0, Arc::new(buffer)) }.ok()
        };
        buffers.into_iter().zip(&recipe.results).map(tensor).collect()
    }
}
