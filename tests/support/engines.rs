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
];

/// Runs an engine; a panic is an error without a code.
pub(crate) fn guarded(engine: &Engine, func: &Func, args: &[Array]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| (engine.run)(func, args)))
        .unwrap_or_else(|_| Err((None, "it panicked".to_owned())))
}

fn oracle(func: &Func, args: &[Array]) -> Outcome {
    run(func, args, &RunLimits { max_steps: MAX_STEPS, ..RunLimits::default() }).map_err(|e| (code(&e), e.to_string()))
}

fn round_trip(func: &Func, args: &[Array]) -> Outcome {
    let text = func.to_string();
    let read = parse(&text).map_err(|e| (None, format!("the text does not read back: {e}\n{text}")))?;
    oracle(&read, args)
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
