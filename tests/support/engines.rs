//! Everything that can run a function: to add an engine, add a row.

use matex_ir::Code;
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::{Func, RunError, parse};
use matex_lang::codes;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One way to run a function.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Func, &[Array]) -> Outcome,
}

/// Results, or the code of an error and its text.
pub(crate) type Outcome = Result<Vec<Array>, (Option<Code>, String)>;

/// Enough for every case; the endless ones end soon.
const MAX_STEPS: u64 = 20_000;

/// All engines; the first one is the oracle.
pub(crate) const ENGINES: &[Engine] = &[
    Engine { name: "oracle", run: oracle },
    Engine { name: "oracle after a round trip of the text", run: round_trip },
    Engine { name: "Cranelift", run: |f, a| execute(f, a, exec::Engine::Cranelift, Memory::Plain) },
    Engine { name: "Cranelift, strided", run: |f, a| execute(f, a, exec::Engine::Cranelift, Memory::Strided) },
    Engine { name: "loop interpreter", run: |f, a| execute(f, a, exec::Engine::LoopInterp, Memory::Plain) },
    Engine { name: "loop interpreter, strided", run: |f, a| execute(f, a, exec::Engine::LoopInterp, Memory::Strided) },
];

/// How the arguments lie in memory.
#[derive(Clone, Copy, PartialEq)]
enum Memory {
    /// In row-major order without gaps.
    Plain,
    /// Every axis backwards and with a gap behind each element.
    Strided,
}

/// Runs an engine; a panic is an error without a code.
pub(crate) fn guarded(engine: &Engine, func: &Func, args: &[Array]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| (engine.run)(func, args)))
        .unwrap_or_else(|_| Err((None, "it panicked".to_owned())))
}

fn oracle(func: &Func, args: &[Array]) -> Outcome {
    run(func, args, &RunLimits { max_steps: MAX_STEPS, ..RunLimits::default() })
        .map_err(|e| (code(&e), e.to_string()))
}

fn round_trip(func: &Func, args: &[Array]) -> Outcome {
    let text = func.to_string();
    let read = parse(&text).map_err(|e| (None, format!("the text does not read back: {e}\n{text}")))?;
    oracle(&read, args)
}

fn execute(func: &Func, args: &[Array], engine: exec::Engine, memory: Memory) -> Outcome {
    let limits = Limits { loop_steps: MAX_STEPS, elements: 1 << 26, ..Limits::default() };
    let options = PrepareOptions { engine, limits };
    let strided = memory == Memory::Strided;
    let class = |a: &Array| if strided && a.rank() > 0 { LayoutClass::Strided } else { LayoutClass::Contiguous };
    let classes: Vec<LayoutClass> = args.iter().map(class).collect();
    let failed = |e: ExecError| (Some(e.code()), e.to_string());
    let executable = Executable::prepare(func, &classes, &options).map_err(failed)?;
    let tensors: Vec<Tensor> = args.iter().map(|a| if strided { spread(a) } else { plain(a) }).collect();
    let views: Vec<View<'_>> = tensors.iter().map(|t| if strided { gather_up(t) } else { t.view() }).collect();
    let results = executable.call(&views).map_err(failed)?;
    let array = |t: &Tensor| Array::new(t.dtype(), t.shape().to_vec(), t.view().scalars().collect()).unwrap();
    Ok(results.iter().map(array).collect())
}

fn plain(a: &Array) -> Tensor {
    Tensor::from_scalars(a.dtype(), a.shape(), a.data().iter().copied()).unwrap()
}

/// The elements backwards, each followed by one that must not be read: twice the extent on the last axis.
fn spread(a: &Array) -> Tensor {
    if a.rank() == 0 {
        return plain(a);
    }
    let mut shape = a.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last *= 2;
    }
    let gap = Scalar::from_bits(a.dtype(), if a.dtype() == DType::Bool { 1 } else { 0x7f7f_7f7f_7f7f_7f7f });
    let data = a.data().iter().rev().flat_map(|s| [gap, *s]);
    Tensor::from_scalars(a.dtype(), &shape, data).unwrap()
}

/// The view that undoes [`spread`].
fn gather_up(t: &Tensor) -> View<'_> {
    let mut view = t.view();
    for axis in 0..view.shape().len() {
        let last = axis + 1 == view.shape().len();
        view = view.sliced(axis, last);
    }
    view
}

/// The code in the catalogue for what can go wrong at a call.
pub(crate) fn code(e: &RunError) -> Option<Code> {
    match e {
        RunError::ArgumentCount { .. } => Some(codes::CALL_COUNT),
        RunError::ArgumentDType { .. } => Some(codes::CALL_DTYPE),
        RunError::ArgumentRank { .. } => Some(codes::CALL_RANK),
        RunError::ArgumentSize { .. } => Some(codes::CALL_SIZE),
        RunError::Guard { code, .. } | RunError::Check { code, .. } | RunError::Library { code, .. } => {
            Some(*code)
        }
        RunError::Size { .. } => Some(codes::CALL_SIZE_NEGATIVE),
        RunError::IndexOutOfRange { .. } => Some(codes::RUNTIME_INDEX),
        RunError::Steps { .. } => Some(codes::LOOP_STEPS_EXHAUSTED),
        RunError::Elements { .. } => Some(codes::LIMIT_ELEMENTS),
        RunError::Cancelled => Some(codes::CANCELLED),
        RunError::Malformed(_) => None,
    }
}
