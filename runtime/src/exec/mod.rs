//! From a function of the tensor IR to something that can be called: plan, compiled kernels, and their execution.
//!
//! [`Executable::prepare`] runs the passes, lowers to a plan and compiles its kernels; [`Executable::call`] binds sizes,
//! checks guards, evaluates the plan's dims once and carries its steps out. An executable is immutable and can be
//! called from many threads at the same time; everything that changes lives in the call, and its thread keeps what
//! the next call uses again.

mod again;
mod bad_index;
mod copies;
mod device;
mod error;
mod gemm;
mod invoke;
pub(crate) mod joined;
mod kernel;
mod machine;
mod memory;
mod panels;
mod products;
mod results;
mod routine;
mod rows;
mod share;
mod state;
#[cfg(test)]
mod tests;
mod warning;

pub use again::Again;
pub use copies::HostCopy;
pub use error::ExecError;
pub use warning::Warning;

use crate::pool::Pool;
use crate::{AsView, Buffer, DeviceTensor, Element, Given, Tensor, Value, View, ViewMut};
use machine::Machine;
use matex_codegen_cpu::{Compiled, KernelCache, Simd};
use matex_ir::Dim;
use matex_ir::tensor::bind::{Argument, Bindings, bind_sizes, check_guards};
use matex_ir::tensor::{Func, Guard, Param, RunError};
use matex_lang::Limits;
use matex_passes::plan::{BufferId, KernelStep, Slot, Source};
use matex_passes::{LayoutClass, Plan, run_pipeline};
use memory::{CallerMemory, Memory};
use share::{Grain, Parts, Sharing, Why};
use state::State;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// What carries out the kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Machine code: with wide vectors where the CPU has them, else by Cranelift.
    #[default]
    Cranelift,
    /// The interpreter of the loop IR: slow, and the reference that machine code is tested against.
    LoopInterp,
}

/// The number of the next executable.
static IDS: AtomicU64 = AtomicU64::new(0);

/// How a function is prepared.
#[derive(Clone, Debug, Default)]
pub struct PrepareOptions {
    /// What carries out the kernels.
    pub engine: Engine,
    /// What preparation may use up, and calls that are not given limits of their own.
    pub limits: Limits,
    /// How the function is rewritten and planned.
    pub passes: matex_passes::Options,
    /// How wide the vectors of machine code may be.
    pub simd: Simd,
    /// The most threads that a call uses; 0 for as many as there are CPUs.
    pub threads: usize,
    /// Whether the work of a kernel is shared out however little it is, and not only where that pays. No bit of a result
    /// depends on it; tests hold that.
    pub share_all: bool,
    /// Whether NaN and infinities in an operand of linear algebra make its results NaN, and are no error.
    pub nan_passes: bool,
    /// Whether machine code is only for what the GPU cannot do.
    pub gpu: bool,
}

/// What one call may use up.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions<'a> {
    /// Limits on elements, bytes and loop steps; those of the preparation when there are none.
    pub limits: Option<&'a Limits>,
    /// Set by another thread to stop the call; it is looked at between steps and inside of long ones.
    pub cancel: Option<&'a AtomicBool>,
    /// Where warnings are put; what they tell is not even computed when there is no place for them.
    pub warnings: Option<&'a RefCell<Vec<Warning>>>,
}

/// A function that is ready to be called.
#[derive(Debug)]
pub struct Executable {
    params: Vec<Param>,
    guards: Vec<Guard>,
    result_names: Vec<Option<String>>,
    plan: Plan,
    code: Code,
    constants: HashMap<u32, Arc<Buffer>>,
    limits: Limits,
    threads: usize,
    share_all: bool,
    nan_passes: bool,
    /// What tells it from all others of this process.
    id: u64,
    /// For each result the buffer that can be given the caller's memory for it.
    direct: Vec<Option<BufferId>>,
    /// Whether a call that is like the last one can be done by a recipe.
    straight: bool,
    /// Which kernels may run on the GPU, where calls use it.
    placement: Option<device::Placement>,
}

/// The kernels of a plan, as the engine needs them.
#[derive(Debug)]
enum Code {
    Compiled(Machinery),
    Interpreted,
}

/// Machine code.
#[derive(Debug)]
struct Machinery {
    kernels: Vec<Arc<Compiled>>,
    /// For each kernel what its parts are compiled to, when they first are; none where that cannot be.
    parts: Vec<OnceLock<Option<Parts>>>,
    simd: Simd,
}

impl Executable {
    /// Prepares a function for arguments that are contiguous or strided, a class for each; one that is missing
    /// counts as contiguous. Kernels come from the process-wide cache.
    ///
    /// # Errors
    /// When the function is malformed or nests too deeply, or the host cannot run compiled code.
    pub fn prepare(
        func: &Func,
        classes: &[LayoutClass],
        options: &PrepareOptions,
    ) -> Result<Executable, ExecError> {
        let func = run_pipeline(func, &options.passes, |_, _| {});
        let gpu = options.gpu && options.engine == Engine::Cranelift;
        if gpu {
            crate::gpu_info().map_err(ExecError::Gpu)?;
        }
        // By the caller's own options, which note the sizes that the plan depends on.
        let lower = if gpu { matex_passes::lower_unexpanded } else { matex_passes::lower };
        let plan = lower(&func, classes, &options.passes).map_err(ExecError::Lower)?;
        let placement = gpu.then(|| device::Placement::of(&plan));
        let code = match options.engine {
            Engine::LoopInterp => Code::Interpreted,
            Engine::Cranelift => Code::Compiled(compile(&plan, options)?),
        };
        let mut constants = HashMap::new();
        for (i, decl) in plan.buffers.iter().enumerate() {
            if let Source::Constant(literal) = &decl.source {
                let tensor = Tensor::from_scalars(literal.dtype(), literal.shape(), literal.elements());
                let tensor = tensor.map_err(|e| ExecError::Internal(e.to_string()))?;
                constants.insert(i as u32, tensor.buffer().clone());
            }
        }
        let direct = plan.direct();
        Ok(Executable {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            straight: !gpu && again::is_straight(&plan, &direct),
            direct,
            placement,
            params: func.params,
            guards: func.guards,
            result_names: func.result_names,
            plan,
            code,
            constants,
            limits: options.limits.clone(),
            threads: options.threads,
            share_all: options.share_all,
            nan_passes: options.nan_passes,
        })
    }

    /// The parameters.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Names of the results where the program names them.
    pub fn result_names(&self) -> &[Option<String>] {
        &self.result_names
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The compiled kernels, in the order of the plan's; none where kernels are interpreted.
    pub fn compiled(&self) -> &[Arc<Compiled>] {
        match &self.code {
            Code::Compiled(code) => &code.kernels,
            Code::Interpreted => &[],
        }
    }

    /// How the work of a run of a kernel is shared out among threads, by the values of sizes: a line for people.
    pub fn threads(&self, step: &KernelStep, value: &impl Fn(&Dim) -> Option<i64>) -> String {
        let value = |slot: Slot| value(self.plan.dim(slot));
        let extents: Vec<i64> = step.extents.iter().map(|s| value(*s).unwrap_or(0)).collect();
        match self.sharing(step, &extents, &value) {
            Err(why) => why.to_string(),
            Ok(sharing) => sharing.to_string(),
        }
    }

    /// How the work of a run of a kernel over these extents is shared out.
    fn sharing(
        &self,
        step: &KernelStep,
        extents: &[i64],
        value: &impl Fn(Slot) -> Option<i64>,
    ) -> Result<Sharing, Why> {
        let Code::Compiled(code) = &self.code else { return Err(Why::Engine) };
        let (Some(kernel), Some(compiled)) =
            (self.plan.kernels.get(step.kernel), code.kernels.get(step.kernel))
        else {
            return Err(Why::Engine);
        };
        let threads = Pool::current(self.threads).threads();
        // Most kernels of small tensors are told by a glance.
        let points = extents.iter().fold(1i64, |n, e| n.saturating_mul(*e));
        let glance = points.saturating_mul(kernel.body.len() as i64);
        if !self.share_all && glance < share::GLANCE {
            return Err(Why::Small);
        }
        let work = self.plan.work_of([step], value);
        let grain = if self.share_all { Grain::SMALLEST } else { Grain::USUAL };
        let time = work.least_time(share::vector_bytes(compiled.emitter()));
        share::decide(kernel, extents, time, threads, grain)
    }

    /// The parts of a kernel, compiled when they are first asked for.
    fn parts(&self, kernel: usize) -> Option<&Parts> {
        let Code::Compiled(code) = &self.code else { return None };
        let compile = || Parts::compile(code.kernels.get(kernel)?.kernel(), code.simd).ok().flatten();
        code.parts.get(kernel)?.get_or_init(compile).as_ref()
    }

    /// Calls the function; results are contiguous and share no memory with the arguments.
    ///
    /// # Errors
    /// Arguments that do not fit, guards and checks that fail, indices out of range, singular matrices, limits, memory.
    pub fn call<G: Given>(&self, args: &[G]) -> Result<Vec<Tensor>, ExecError> {
        self.call_with(args, &CallOptions::default())
    }

    /// Calls the function with limits of this call, or so that it can be stopped.
    ///
    /// # Errors
    /// As for [`call`](Executable::call), and when it was cancelled.
    pub fn call_with<G: Given>(
        &self,
        args: &[G],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, ExecError> {
        let temporary = Temporary::new(self, args)?;
        let mut machine = self.start(args, &temporary, options)?;
        machine.run(self.plan.body)?;
        results::collect(machine)
    }

    /// [`call_with`](Executable::call_with) whose results stay where they were made: on the GPU, nobody waits for them.
    ///
    /// # Errors
    /// As for [`call_with`](Executable::call_with); what goes wrong on the GPU afterwards is told when a result is read.
    pub fn call_resident(
        &self,
        args: &[Value<'_>],
        options: &CallOptions<'_>,
    ) -> Result<Vec<DeviceTensor>, ExecError> {
        let temporary = Temporary::new(self, args)?;
        let mut machine = self.start(args, &temporary, options)?;
        machine.run(self.plan.body)?;
        results::leave(machine)
    }

    /// Calls the function with tensors of its own: memory that nothing else holds is used again for what the plan would have to
    /// allocate, results included. What is left of them are zeros of the same shapes.
    ///
    /// # Errors
    /// As for [`call_with`](Executable::call_with).
    pub fn call_owned(
        &self,
        args: &mut [Tensor],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, ExecError> {
        let views: Vec<View<'_>> = args.iter().map(AsView::as_view).collect();
        if matches!(self.code, Code::Interpreted) || self.placement.is_some() {
            return self.call_with(&views, options);
        }
        let temporary = Temporary::new(self, &views)?;
        let mut machine = self.start(&views, &temporary, options)?;
        for (i, decl) in self.plan.buffers.iter().enumerate() {
            if let Source::Param(p) = decl.source
                && let Some(given) = args.get_mut(p as usize).and_then(Tensor::give)
            {
                machine.give_memory(BufferId(i as u32), given);
            }
        }
        machine.run(self.plan.body)?;
        results::collect(machine)
    }

    /// Calls the function and counts the most bytes that the call held at a time besides its arguments and constants;
    /// [`Plan::peak_bytes`] says it before.
    ///
    /// # Errors
    /// As for [`call`](Executable::call).
    pub fn call_counted(&self, args: &[View<'_>]) -> Result<(Vec<Tensor>, u64), ExecError> {
        let temporary = Temporary::new(self, args)?;
        let mut machine = self.start(args, &temporary, &CallOptions::default())?;
        machine.run(self.plan.body)?;
        let most = machine.most;
        Ok((results::collect(machine)?, most))
    }

    /// Calls the function and writes its results into the caller's memory.
    ///
    /// # Errors
    /// As for [`call`](Executable::call), and when a place does not fit its result. Nothing is written then; a call that
    /// fails otherwise leaves the places with unspecified numbers.
    pub fn call_into<G: Given>(&self, args: &[G], outputs: &mut [ViewMut<'_>]) -> Result<(), ExecError> {
        self.call_into_with(args, outputs, &CallOptions::default())
    }

    /// [`call_into`](Executable::call_into) with limits of this call, or so that it can be stopped.
    ///
    /// # Errors
    /// As for [`call_into`](Executable::call_into), and when it was cancelled.
    pub fn call_into_with<G: Given>(
        &self,
        args: &[G],
        outputs: &mut [ViewMut<'_>],
        options: &CallOptions<'_>,
    ) -> Result<(), ExecError> {
        if outputs.len() != self.plan.results.len() {
            let (expected, found) = (self.plan.results.len(), outputs.len());
            return Err(ExecError::OutputCount { expected, found });
        }
        let temporary = Temporary::new(self, args)?;
        let mut machine = self.start(args, &temporary, options)?;
        results::offer(&mut machine, outputs)?;
        machine.run(self.plan.body)?;
        results::write(machine, outputs)
    }

    /// A call whose dims are evaluated and whose arguments are in place.
    fn start<'e, G: Given>(
        &'e self,
        args: &[G],
        temporary: &Temporary,
        options: &CallOptions<'e>,
    ) -> Result<Machine<'e>, ExecError> {
        let mut state = State::take(self.id);
        if !state.fits(args) {
            let bindings = self.bind(args)?;
            self.evaluate_dims(&mut state, args, &temporary.copies, bindings);
            self.place_temporaries(&mut state);
            state.bind(args);
        }
        if matches!(self.code, Code::Interpreted) {
            state.pool = memory::Pool::new(true);
        }
        let mut machine = Machine::new(self, options, state)?;
        machine.copied = !temporary.copies.is_empty();
        for (i, decl) in self.plan.buffers.iter().enumerate() {
            machine.state.memory[i] = match &decl.source {
                Source::Param(p) => argument(&mut machine, i, args.get(*p as usize), temporary, *p as usize)?,
                Source::Constant(_) => {
                    self.constants.get(&(i as u32)).cloned().map_or(Memory::Empty, Memory::Own)
                }
                Source::Own => Memory::Empty,
            };
        }
        Ok(machine)
    }

    fn bind<G: Given>(&self, args: &[G]) -> Result<Bindings, ExecError> {
        let described: Vec<Argument<'_>> =
            args.iter().map(|v| Argument { dtype: v.dtype(), shape: v.shape(), int: v.integer() }).collect();
        let bindings = bind_sizes(&self.params, &described)?;
        check_guards(&self.guards, &bindings)?;
        Ok(bindings)
    }

    fn evaluate_dims<G: Given>(
        &self,
        state: &mut State,
        args: &[G],
        copies: &[Option<Tensor>],
        mut bindings: Bindings,
    ) {
        for (i, (param, view)) in self.plan.params.iter().zip(args).enumerate() {
            let copied = copies.get(i).is_some_and(Option::is_some);
            if let (Some(names), false) = (&param.stride_names, copied) {
                for (name, stride) in names.iter().zip(view.strides()) {
                    bindings.set_int(name, *stride as i64);
                }
            }
        }
        // A dim without a value fails where it is needed, which may be nowhere.
        let value = |dim| bindings.eval(dim).unwrap_or(machine::NO_VALUE);
        state.dims.clear();
        state.dims.extend(self.plan.dims.iter().map(value));
    }

    /// Places temporaries in the arena where machine code works on them. The interpreter gives each buffer memory of its own,
    /// so that the two differ where a place is wrong; and a device binds an array as a whole.
    fn place_temporaries(&self, state: &mut State) {
        if matches!(self.code, Code::Interpreted) || self.placement.is_some() {
            return;
        }
        let limits = &self.limits;
        state.shared.bind(&self.plan.arena, |piece| {
            let bytes = state.dims.get(piece.bytes.0 as usize).map_or(0, |b| (*b).max(0) as u64);
            let elements = bytes / self.plan.buffer(piece.buffer).dtype.size() as u64;
            // A call refuses what is larger, if it comes to that.
            if bytes <= limits.bytes && elements <= limits.elements { bytes } else { 0 }
        });
    }
}

/// What stands for arguments during a call; most calls need none of it.
#[derive(Default)]
struct Temporary {
    /// Copies of the arguments that the plan wants contiguous and that are not.
    copies: Vec<Option<Tensor>>,
    /// Copies of arguments with the same layout and without gaps: of all for the interpreter of kernels, of those with
    /// gaps for the GPU.
    images: Vec<Option<Buffer>>,
}

impl Temporary {
    fn new<G: Given>(exe: &Executable, args: &[G]) -> Result<Temporary, ExecError> {
        let mut temporary = Temporary::default();
        let params = || exe.plan.params.iter().zip(args);
        if params().any(|(p, v)| p.stride_names.is_none() && !v.is_contiguous()) {
            let copy = |(param, given): (&matex_passes::plan::PlanParam, &G)| {
                if param.stride_names.is_some() || given.is_contiguous() {
                    return Ok(None);
                }
                let view = given.host()?;
                let bytes = (view.len() as u64).saturating_mul(view.dtype().size() as u64);
                let failed = |_| ExecError::OutOfMemory { bytes, origin: matex_ir::Span::default() };
                view.to_tensor().map(Some).map_err(failed)
            };
            temporary.copies = params().map(copy).collect::<Result<_, _>>()?;
        }
        let interpreted = matches!(exe.code, Code::Interpreted);
        if interpreted || exe.placement.is_some() {
            let image = |given: &G| {
                let needed = interpreted || !given.is_contiguous();
                needed.then(|| memory::image(&given.host()?)).transpose()
            };
            temporary.images = args.iter().map(image).collect::<Result<_, _>>()?;
        }
        Ok(temporary)
    }
}

/// The memory of an argument, which is a buffer of the plan, or of what stands for it.
fn argument<G: Given>(
    machine: &mut Machine<'_>,
    buffer: usize,
    given: Option<&G>,
    temporary: &Temporary,
    index: usize,
) -> Result<Memory, ExecError> {
    if let Some(Some(copy)) = temporary.copies.get(index) {
        return Ok(Memory::Own(copy.buffer().clone()));
    }
    let Some(given) = given else { return Ok(Memory::Empty) };
    if let (Some(residence), Some(value)) = (&mut machine.residence, given.device()) {
        return residence.lend(buffer, value);
    }
    let mut memory = CallerMemory::of(&given.host()?);
    if let Some(Some(image)) = temporary.images.get(index) {
        memory.start = image.as_ptr().wrapping_offset(-memory.low as isize);
    }
    Ok(Memory::Caller(memory))
}

fn compile(plan: &Plan, options: &PrepareOptions) -> Result<Machinery, ExecError> {
    let (mut bytes, limit) = (0, options.limits.code_bytes);
    let mut kernels = Vec::with_capacity(plan.kernels.len());
    for kernel in &plan.kernels {
        let _span = tracing::debug_span!("emit", name = kernel.name).entered();
        let failed = |why| ExecError::Compile { kernel: kernel.name.clone(), why };
        // Kernels of a plan for the GPU still have functions, which machine code has expansions for.
        let expanded = options.gpu.then(|| matex_ir::loops::expand::expand(kernel));
        let kernel = expanded.as_ref().unwrap_or(kernel);
        let compiled = KernelCache::global().get_for(kernel, options.simd).map_err(failed)?;
        bytes += compiled.code_size();
        if bytes > limit {
            return Err(ExecError::CodeBytes { limit, bytes });
        }
        kernels.push(compiled);
    }
    let parts = kernels.iter().map(|_| OnceLock::new()).collect();
    Ok(Machinery { kernels, parts, simd: options.simd })
}

/// One element of a rank-0 value as `T`, from its bytes.
fn read_scalar<T: Element>(memory: &Memory, dtype: matex_ir::DType, offset: i64) -> Result<T, ExecError> {
    kernel::load(memory, dtype, offset).map(T::from_scalar)
}

fn internal(why: &str) -> ExecError {
    ExecError::Internal(why.to_owned())
}

fn run_error(error: RunError) -> ExecError {
    ExecError::Run(error)
}
