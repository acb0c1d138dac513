//! From a function of the tensor IR to something that can be called: plan, compiled kernels, and their execution.
//!
//! [`Executable::prepare`] runs the passes, lowers to a plan and compiles its kernels; [`Executable::call`] binds sizes,
//! checks guards, evaluates the plan's dims once and carries its steps out. An executable is immutable and can be
//! called from many threads at the same time; everything that changes lives in the call.

mod error;
mod kernel;
mod machine;
mod memory;
mod results;
#[cfg(test)]
mod tests;

pub use error::ExecError;

use crate::{Buffer, Element, Tensor, View, ViewMut};
use machine::Machine;
use matex_codegen_cpu::{Compiled, KernelCache};
use matex_ir::tensor::bind::{Argument, Bindings, bind_sizes, check_guards};
use matex_ir::tensor::{Func, Guard, Param, RunError};
use matex_lang::Limits;
use matex_passes::plan::Source;
use matex_passes::{LayoutClass, Plan, run_pipeline};
use memory::{CallerMemory, Memory};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What carries out the kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Machine code by Cranelift.
    #[default]
    Cranelift,
    /// The interpreter of the loop IR: slow, and the reference that machine code is tested against.
    LoopInterp,
}

/// How a function is prepared.
#[derive(Clone, Debug, Default)]
pub struct PrepareOptions {
    /// What carries out the kernels.
    pub engine: Engine,
    /// What preparation may use up, and calls that are not given limits of their own.
    pub limits: Limits,
}

/// What one call may use up.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions<'a> {
    /// Limits on elements, bytes and loop steps; those of the preparation when there are none.
    pub limits: Option<&'a Limits>,
    /// Set by another thread to stop the call; it is looked at between steps and inside of long ones.
    pub cancel: Option<&'a AtomicBool>,
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
}

/// The kernels of a plan, as the engine needs them.
#[derive(Debug)]
enum Code {
    Compiled(Vec<Arc<Compiled>>),
    Interpreted,
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
        let func = run_pipeline(func, |_, _| {});
        let plan = matex_passes::lower(&func, classes).map_err(ExecError::Lower)?;
        let code = match options.engine {
            Engine::LoopInterp => Code::Interpreted,
            Engine::Cranelift => Code::Compiled(compile(&plan, options.limits.code_bytes)?),
        };
        let mut constants = HashMap::new();
        for (i, decl) in plan.buffers.iter().enumerate() {
            if let Source::Constant(literal) = &decl.source {
                let tensor = Tensor::from_scalars(literal.dtype(), literal.shape(), literal.elements());
                let tensor = tensor.map_err(|e| ExecError::Internal(e.to_string()))?;
                constants.insert(i as u32, tensor.buffer().clone());
            }
        }
        Ok(Executable {
            params: func.params,
            guards: func.guards,
            result_names: func.result_names,
            plan,
            code,
            constants,
            limits: options.limits.clone(),
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
            Code::Compiled(kernels) => kernels,
            Code::Interpreted => &[],
        }
    }

    /// Calls the function; results are contiguous and share no memory with the arguments.
    ///
    /// # Errors
    /// Arguments that do not fit, guards and checks that fail, indices out of range, singular matrices, limits, memory.
    pub fn call(&self, args: &[View<'_>]) -> Result<Vec<Tensor>, ExecError> {
        self.call_with(args, &CallOptions::default())
    }

    /// Calls the function with limits of this call, or so that it can be stopped.
    ///
    /// # Errors
    /// As for [`call`](Executable::call), and when it was cancelled.
    pub fn call_with(&self, args: &[View<'_>], options: &CallOptions<'_>) -> Result<Vec<Tensor>, ExecError> {
        let bindings = self.bind(args)?;
        let copies = self.contiguous_copies(args)?;
        let images = self.images(args)?;
        let mut machine = Machine::new(self, options);
        self.evaluate_dims(&mut machine, args, &copies, bindings);
        for (i, decl) in self.plan.buffers.iter().enumerate() {
            machine.memory[i] = match &decl.source {
                Source::Param(p) => argument(args, (&copies, &images), *p as usize),
                Source::Constant(_) => {
                    self.constants.get(&(i as u32)).cloned().map_or(Memory::Empty, Memory::Own)
                }
                Source::Own => Memory::Empty,
            };
        }
        machine.run(self.plan.body)?;
        results::collect(self, machine)
    }

    /// Calls the function and writes its results into the caller's memory.
    ///
    /// # Errors
    /// As for [`call`](Executable::call), and when a place does not fit its result. Nothing is written then.
    pub fn call_into(&self, args: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Result<(), ExecError> {
        self.call_into_with(args, outputs, &CallOptions::default())
    }

    /// [`call_into`](Executable::call_into) with limits of this call, or so that it can be stopped.
    ///
    /// # Errors
    /// As for [`call_into`](Executable::call_into), and when it was cancelled.
    pub fn call_into_with(
        &self,
        args: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        options: &CallOptions<'_>,
    ) -> Result<(), ExecError> {
        if outputs.len() != self.plan.results.len() {
            let (expected, found) = (self.plan.results.len(), outputs.len());
            return Err(ExecError::OutputCount { expected, found });
        }
        let results = self.call_with(args, options)?;
        results::write_out(&results, outputs)
    }

    fn bind(&self, args: &[View<'_>]) -> Result<Bindings, ExecError> {
        let int = |v: &View<'_>| {
            let scalar = v.get(&[]).filter(|s| s.dtype().is_int())?;
            i64::try_from(scalar.to_i128()).ok()
        };
        let described: Vec<Argument<'_>> =
            args.iter().map(|v| Argument { dtype: v.dtype(), shape: v.shape(), int: int(v) }).collect();
        let bindings = bind_sizes(&self.params, &described)?;
        check_guards(&self.guards, &bindings)?;
        Ok(bindings)
    }

    /// Copies of the arguments that the plan wants contiguous and that are not.
    fn contiguous_copies(&self, args: &[View<'_>]) -> Result<Vec<Option<Tensor>>, ExecError> {
        let copy = |(param, view): (&matex_passes::plan::PlanParam, &View<'_>)| {
            if param.stride_names.is_some() || view.is_contiguous() {
                return Ok(None);
            }
            let bytes = (view.len() as u64).saturating_mul(view.dtype().size() as u64);
            let failed = |_| ExecError::OutOfMemory { bytes, origin: matex_ir::Span::default() };
            view.to_tensor().map(Some).map_err(failed)
        };
        self.plan.params.iter().zip(args).map(copy).collect()
    }

    /// Copies of all arguments for the interpreter of kernels, and none for compiled code.
    fn images(&self, args: &[View<'_>]) -> Result<Vec<Buffer>, ExecError> {
        match self.code {
            Code::Compiled(_) => Ok(Vec::new()),
            Code::Interpreted => args.iter().map(memory::image).collect(),
        }
    }

    fn evaluate_dims(
        &self,
        machine: &mut Machine<'_>,
        args: &[View<'_>],
        copies: &[Option<Tensor>],
        mut bindings: Bindings,
    ) {
        for ((param, view), copy) in self.plan.params.iter().zip(args).zip(copies) {
            if let (Some(names), None) = (&param.stride_names, copy) {
                for (name, stride) in names.iter().zip(view.strides()) {
                    bindings.set_int(name, *stride as i64);
                }
            }
        }
        // A dim without a value fails where it is needed, which may be nowhere.
        let value = |dim| bindings.eval(dim).unwrap_or(machine::NO_VALUE);
        machine.dims = self.plan.dims.iter().map(value).collect();
    }
}

/// The memory of an argument, or of what stands for it.
fn argument(args: &[View<'_>], (copies, images): (&[Option<Tensor>], &[Buffer]), index: usize) -> Memory {
    if let Some(Some(copy)) = copies.get(index) {
        return Memory::Own(copy.buffer().clone());
    }
    let Some(mut memory) = args.get(index).map(CallerMemory::of) else { return Memory::Empty };
    if let Some(image) = images.get(index) {
        memory.start = image.as_ptr().wrapping_offset(-memory.low as isize);
    }
    Memory::Caller(memory)
}

fn compile(plan: &Plan, limit: usize) -> Result<Vec<Arc<Compiled>>, ExecError> {
    let mut bytes = 0;
    let mut kernels = Vec::with_capacity(plan.kernels.len());
    for kernel in &plan.kernels {
        let failed = |why| ExecError::Compile { kernel: kernel.name.clone(), why };
        let compiled = KernelCache::global().get(kernel).map_err(failed)?;
        bytes += compiled.code_size();
        if bytes > limit {
            return Err(ExecError::CodeBytes { limit, bytes });
        }
        kernels.push(compiled);
    }
    Ok(kernels)
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
