//! A call that is like the last one: same dtypes, shapes and strides, and a plan that is one kernel from arguments to results.
//!
//! What such a call needs but for the pointers was bound, bounded and checked by the call before it, and is kept by the
//! thread: a list of words that the layouts are compared with, a block of arguments for the code, and the code. All that
//! is left to do is to walk along the words, put the pointers in, and call.

use super::invoke::Frame;
use super::kernel::Scratch;
use super::machine::Machine;
use super::share::Sharing;
use super::state::State;
use super::{Code, Executable};
use crate::tensor::{contiguous_strides, push_place};
use crate::{AsView, AsViewMut, Buffer, Dims, LayoutCheck, Tensor};
use matex_codegen_cpu::Compiled;
use matex_ir::DType;
use matex_ir::loops::Status;
use matex_passes::plan::{BufferId, KernelStep, Plan, Slot, Source, Step};
use smallvec::SmallVec;
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

/// A call whose pointers are missing.
pub(super) struct Recipe {
    /// The layouts of the arguments and of the places for results.
    layouts: Vec<u64>,
    /// The memory of each argument, result and constant; that of constants is there.
    memory: Vec<*mut u8>,
    block: Block,
}

/// All that a kernel is called with, but for its memory.
struct Block {
    args: usize,
    results: Vec<Shaped>,
    /// For each operand whose memory it is, and how many bytes into it the operand begins.
    operands: Vec<(usize, isize)>,
    /// What the code is given: the operands' pointers, the kernel's extents and strides, and the range to run.
    data: Vec<*mut u8>,
    extents: Vec<i64>,
    strides: Vec<i64>,
    end: i64,
    code: Arc<Compiled>,
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
        let step = exe.only.as_ref()?;
        let Code::Compiled(code) = &exe.code else { return None };
        let scratch = machine.state.scratch.get(step.id)?;
        if scratch.sharing != Sharing::None || !scratch.is_bound() || machine.copied {
            return None;
        }
        let results: Option<Vec<Shaped>> =
            exe.plan.results.iter().map(|r| Shaped::of(r.dtype, machine, &r.shape)).collect();
        let (kernel, code) = (exe.plan.kernels.get(step.kernel)?, code.kernels.get(step.kernel)?);
        let (args, Scratch { extents, strides, .. }) = (exe.plan.params.len(), scratch);
        let end = Frame { data: &[], extents, strides }.all(kernel).end;
        let (results, mut layouts) = (results?, machine.state.layouts.clone());
        results
            .iter()
            .for_each(|r| push_place(&mut layouts, r.dtype, &r.shape, &contiguous_strides(&r.shape)));
        let mut memory = vec![std::ptr::null_mut(); args + results.len()];
        let mut operands = Vec::with_capacity(step.operands.len());
        for (binding, offset) in step.operands.iter().zip(&scratch.offsets) {
            let source = source(exe, binding.place.buffer, &mut memory)?;
            operands.push((source, isize::try_from(*offset).ok()?));
        }
        let data = vec![std::ptr::null_mut(); operands.len()];
        let (extents, strides, code) = (extents.clone(), strides.clone(), code.clone());
        let block = Block { args, results, operands, data, extents, strides, end, code };
        Some(Recipe { layouts, memory, block })
    }
}

/// Which piece of memory a buffer is; that of a constant is added.
fn source(exe: &Executable, buffer: BufferId, memory: &mut Vec<*mut u8>) -> Option<usize> {
    match &exe.plan.buffer(buffer).source {
        Source::Param(p) => Some(*p as usize).filter(|p| *p < exe.plan.params.len()),
        Source::Constant(_) => {
            memory.push(exe.constants.get(&buffer.0)?.as_ptr().cast_mut());
            Some(memory.len() - 1)
        }
        Source::Own => {
            let place = exe.plan.results.iter().position(|r| r.buffer == buffer)?;
            Some(exe.plan.params.len() + place)
        }
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
    /// Begins a call that is carried out if it is like the last one of this thread; `None` when there was none, or the
    /// program does more than one kernel. It is to be called in the ordinary way then.
    #[inline]
    pub fn again<'v, T>(&self, call: impl FnOnce(&mut Again<'_, 'v>) -> Option<T>) -> Option<T> {
        self.only.as_ref()?;
        State::kept(self.id, |state| {
            let Recipe { layouts, memory, block } = state.recipe.as_mut()?;
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
        let Block { args, results, operands, data, extents, strides, end, code } = &mut *self.block;
        if self.check.taken() != *args + results.len() {
            return None;
        }
        let memory = self.check.starts();
        for (pointer, (source, offset)) in data.iter_mut().zip(operands.iter()) {
            *pointer = memory.get(*source)?.wrapping_offset(*offset);
        }
        let frame = Frame { data, extents, strides };
        // SAFETY: extents, strides and offsets are those of a call before, which bound and bounded them for arguments and
        // places of the same dtypes, shapes and strides; the pointers are those of this one, which borrows what
        // they point to for as long as this is there. Places are unique borrows, so that nobody else looks at them.
        let status = unsafe { frame.run_all(code, *end) };
        (status == Status::Ok).then_some(())
    }

    /// Allocates the results, carries the call out, and gives them.
    pub fn run_new(&mut self) -> Option<Vec<Tensor>> {
        if self.check.taken() != self.block.args {
            return None;
        }
        let mut buffers: SmallVec<[Buffer; 2]> = SmallVec::new();
        for result in &self.block.results {
            // SAFETY: the kernel is all of the plan, which fills its results; a call that fails drops them.
            let mut buffer = unsafe { Buffer::uninit(result.bytes) }.ok()?;
            let start = buffer.as_mut_ptr();
            buffers.push(buffer);
            if !self.check.put(start) {
                return None;
            }
        }
        self.run()?;
        let tensor = |(buffer, r): (Buffer, &Shaped)| Tensor::over(r.dtype, &r.shape, buffer);
        Some(buffers.into_iter().zip(&self.block.results).map(tensor).collect())
    }
}
