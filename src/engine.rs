//! What runs a program that was checked for one set of dtypes and ranks.

use crate::options::Options;
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::{Func, RunError};
use matex_runtime::{Tensor, View};
use std::sync::atomic::AtomicBool;

/// A program that is ready to run.
#[derive(Debug)]
pub(crate) enum Engine {
    /// The oracle, which runs the tensor IR as it stands.
    Interpreter,
}

/// What one call may use up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget<'a> {
    pub(crate) max_steps: u64,
    pub(crate) max_elements: usize,
    pub(crate) cancel: Option<&'a AtomicBool>,
}

/// The most elements of a value that the interpreter makes: each takes 16 bytes there.
const INTERPRETER_ELEMENTS: u64 = 1 << 28;

impl Engine {
    /// The engine for a function.
    pub(crate) fn new(_func: &Func, _options: &Options) -> Engine {
        Engine::Interpreter
    }

    /// What it is called where people read it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Engine::Interpreter => "interpreter",
        }
    }

    /// The most elements that a value may have.
    pub(crate) fn max_elements(&self, options: &Options) -> usize {
        let limit = options.limits.elements.min(options.limits.bytes);
        let limit = match self {
            Engine::Interpreter => limit.min(INTERPRETER_ELEMENTS),
        };
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// Runs the function on one value for each of its parameters.
    pub(crate) fn run(
        &self,
        func: &Func,
        args: &[View<'_>],
        budget: Budget<'_>,
    ) -> Result<Vec<Tensor>, RunError> {
        match self {
            Engine::Interpreter => interpret(func, args, budget),
        }
    }
}

fn interpret(func: &Func, args: &[View<'_>], budget: Budget<'_>) -> Result<Vec<Tensor>, RunError> {
    let malformed = |what: String| RunError::Malformed(what);
    let array = |view: &View<'_>| {
        let data = view.scalars().collect();
        let made = Array::new(view.dtype(), view.shape().to_vec(), data);
        made.ok_or_else(|| malformed("a view with another number of elements than its shape has".into()))
    };
    let arrays = args.iter().map(array).collect::<Result<Vec<Array>, RunError>>()?;
    let limits =
        RunLimits { max_elements: budget.max_elements, max_steps: budget.max_steps, cancel: budget.cancel };
    let tensor = |a: Array| Tensor::from_scalars(a.dtype(), a.shape(), a.data().iter().copied());
    let results = run(func, &arrays, &limits)?.into_iter().map(tensor);
    results.collect::<Result<_, _>>().map_err(|e| malformed(e.to_string()))
}
