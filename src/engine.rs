//! What runs a program that was checked for one set of dtypes and ranks.

use crate::options::{Device, Engine as Choice, NonFinite, Options};
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::{Func, RunError};
use matex_lang::Limits;
use matex_runtime::{
    AsView, CallOptions, CompileError, DeviceTensor, Engine as Kernels, ExecError, Executable, Given,
    LayoutClass, PrepareOptions, Tensor, TensorError, Value, ViewMut, Warning,
};
use std::cell::RefCell;
use std::sync::atomic::AtomicBool;

/// A program that is ready to run.
#[derive(Debug)]
pub(crate) enum Engine {
    /// A plan of kernels and library calls. Boxed: it is large, and there is one a program.
    Plan(Box<Executable>),
    /// The oracle, which runs the tensor IR as it stands.
    Interpreter,
}

/// What one call may use up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) cancel: Option<&'a AtomicBool>,
    /// Where warnings go; nobody looks for what there is to warn of when they go nowhere.
    pub(crate) warnings: Option<&'a RefCell<Vec<Warning>>>,
    /// Whether NaN and infinities in linear algebra pass. A plan knows, the interpreter has to be told.
    pub(crate) nan_passes: bool,
}

impl<'a> Budget<'a> {
    fn options(self) -> CallOptions<'a> {
        CallOptions { limits: Some(self.limits), cancel: self.cancel, warnings: self.warnings }
    }
}

/// The most elements of a value that the interpreter makes: each takes 16 bytes there.
const INTERPRETER_ELEMENTS: u64 = 1 << 28;

impl Engine {
    /// The engine for a function, whose arguments lie in memory as `classes` say, and what its plan was chosen by.
    pub(crate) fn new(
        func: &Func,
        classes: &[LayoutClass],
        options: &Options,
        passes: matex_passes::Options,
    ) -> Result<(Engine, matex_passes::Options), ExecError> {
        let engine = match options.engine {
            Choice::Interpreter => return Ok((Engine::Interpreter, passes)),
            Choice::LoopInterpreter => Kernels::LoopInterp,
            Choice::Cranelift | Choice::Auto => Kernels::Cranelift,
        };
        let prepare = PrepareOptions {
            engine,
            limits: options.limits.clone(),
            passes,
            simd: options.simd.into(),
            threads: options.threads,
            share_all: false,
            nan_passes: options.non_finite == NonFinite::Nan,
            gpu: options.device == Device::Gpu,
        };
        match Executable::prepare(func, classes, &prepare) {
            Ok(exe) => Ok((Engine::Plan(Box::new(exe)), prepare.passes)),
            // A machine without machine code of ours runs every program all the same.
            Err(ExecError::Compile { why: CompileError::Host(_), .. }) if options.engine == Choice::Auto => {
                Ok((Engine::Interpreter, prepare.passes))
            }
            Err(e) => Err(e),
        }
    }

    /// Whether programs are prepared for how arguments lie in memory.
    pub(crate) fn has_layouts(options: &Options) -> bool {
        options.engine != Choice::Interpreter
    }

    /// What it is called where people read it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Engine::Plan(exe) if exe.uses_gpu() => "the GPU, and machine code for what stays on the CPU",
            Engine::Plan(exe) if exe.compiled().len() == exe.plan().kernels.len() => "machine code",
            Engine::Plan(_) => "interpreter of kernels",
            Engine::Interpreter => "interpreter",
        }
    }

    /// Runs the function on one value for each of its parameters.
    pub(crate) fn run<G: Given>(
        &self,
        func: &Func,
        args: &[G],
        budget: Budget<'_>,
    ) -> Result<Vec<Tensor>, ExecError> {
        let _span = tracing::trace_span!("call").entered();
        match self {
            Engine::Plan(exe) => exe.call_with(args, &budget.options()),
            Engine::Interpreter => interpret(func, args, budget),
        }
    }

    /// Runs the function on tensors that it may use up, but for their shapes.
    pub(crate) fn run_owned(
        &self,
        func: &Func,
        args: &mut [Tensor],
        budget: Budget<'_>,
    ) -> Result<Vec<Tensor>, ExecError> {
        if let Engine::Plan(exe) = self {
            let _span = tracing::trace_span!("call").entered();
            return exe.call_owned(args, &budget.options());
        }
        let views: Vec<_> = args.iter().map(AsView::as_view).collect();
        self.run(func, &views, budget)
    }

    /// Runs the function and leaves its results where they are made.
    pub(crate) fn run_resident(
        &self,
        func: &Func,
        args: &[Value<'_>],
        budget: Budget<'_>,
    ) -> Result<Vec<DeviceTensor>, ExecError> {
        if let Engine::Plan(exe) = self {
            let _span = tracing::trace_span!("call").entered();
            return exe.call_resident(args, &budget.options());
        }
        let keep = |t: &Tensor| {
            DeviceTensor::from_tensor(t).map_err(|e| ExecError::Run(RunError::Malformed(e.to_string())))
        };
        self.run(func, args, budget)?.iter().map(keep).collect()
    }

    /// Runs the function and writes its results to places.
    pub(crate) fn run_into<G: Given>(
        &self,
        func: &Func,
        args: &[G],
        outputs: &mut [ViewMut<'_>],
        budget: Budget<'_>,
    ) -> Result<(), ExecError> {
        let _span = tracing::trace_span!("call").entered();
        match self {
            Engine::Plan(exe) => exe.call_into_with(args, outputs, &budget.options()),
            Engine::Interpreter => {
                let results = interpret(func, args, budget)?;
                write(&results, outputs)
            }
        }
    }
}

/// Writes what the interpreter made to its places, after all were found to fit.
fn write(results: &[Tensor], outputs: &mut [ViewMut<'_>]) -> Result<(), ExecError> {
    if results.len() != outputs.len() {
        return Err(ExecError::OutputCount { expected: results.len(), found: outputs.len() });
    }
    for (index, (result, output)) in results.iter().zip(outputs.iter()).enumerate() {
        if result.dtype() != output.dtype() {
            let why = TensorError::DType { expected: result.dtype(), found: output.dtype() };
            return Err(ExecError::Output { index, why });
        }
        if result.shape() != output.shape() {
            let (expected, found) = (result.shape().to_vec(), output.shape().to_vec());
            return Err(ExecError::Output { index, why: TensorError::Shape { expected, found } });
        }
    }
    for (index, (result, output)) in results.iter().zip(outputs).enumerate() {
        output.copy_from(&result.as_view()).map_err(|why| ExecError::Output { index, why })?;
    }
    Ok(())
}

fn interpret<G: Given>(func: &Func, args: &[G], budget: Budget<'_>) -> Result<Vec<Tensor>, ExecError> {
    let malformed = |what: String| ExecError::Run(RunError::Malformed(what));
    let array = |given: &G| {
        let view = given.host()?;
        let data = view.scalars().collect();
        let made = Array::new(view.dtype(), view.shape().to_vec(), data);
        made.ok_or_else(|| malformed("a view with another number of elements than its shape has".into()))
    };
    let arrays = args.iter().map(array).collect::<Result<Vec<Array>, ExecError>>()?;
    let elements = budget.limits.elements.min(budget.limits.bytes).min(INTERPRETER_ELEMENTS);
    let max_elements = usize::try_from(elements).unwrap_or(usize::MAX);
    let limits = RunLimits {
        max_elements,
        max_steps: budget.limits.loop_steps,
        cancel: budget.cancel,
        nan_passes: budget.nan_passes,
    };
    let tensor = |a: Array| Tensor::from_scalars(a.dtype(), a.shape(), a.data().iter().copied());
    let results = run(func, &arrays, &limits).map_err(ExecError::Run)?.into_iter().map(tensor);
    results.collect::<Result<_, _>>().map_err(|e| malformed(e.to_string()))
}
