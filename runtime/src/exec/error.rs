//! What can go wrong when a function is prepared or called.

use crate::{GpuError, TensorError};
use matex_codegen_cpu::CompileError;
use matex_ir::tensor::RunError;
use matex_ir::{Code, Span};
use matex_lang::codes;
use matex_passes::LowerError;
use std::fmt;

/// Why a function could not be prepared, or a call of it failed.
///
/// What the reference interpreter refuses too is an [`ExecError::Run`]; the others belong to real memory and code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecError {
    /// The call is wrong, or the program failed.
    Run(RunError),
    /// A value of more bytes than allowed.
    Bytes {
        /// The limit.
        limit: u64,
        /// What was needed.
        bytes: u64,
        /// The place in the source that makes the value.
        origin: Span,
    },
    /// The allocator had no room.
    OutOfMemory {
        /// The bytes that were asked for.
        bytes: u64,
        /// The place in the source that makes the value.
        origin: Span,
    },
    /// The wrong number of places for results.
    OutputCount {
        /// How many results there are.
        expected: usize,
        /// How many places were given.
        found: usize,
    },
    /// A place for a result that does not fit it.
    Output {
        /// Which result.
        index: usize,
        /// What does not fit.
        why: TensorError,
    },
    /// The function has no plan.
    Lower(LowerError),
    /// The GPU did not do its part.
    Gpu(GpuError),
    /// A kernel could not be compiled.
    Compile {
        /// The kernel's name.
        kernel: String,
        /// Why.
        why: CompileError,
    },
    /// All kernels together are longer than allowed.
    CodeBytes {
        /// The limit.
        limit: usize,
        /// How many bytes there are.
        bytes: usize,
    },
    /// Something that was ruled out: a bug.
    Internal(String),
}

impl From<RunError> for ExecError {
    fn from(error: RunError) -> ExecError {
        ExecError::Run(error)
    }
}

impl ExecError {
    /// Its number in the catalogue.
    pub fn code(&self) -> Code {
        match self {
            ExecError::Run(error) => run_code(error),
            ExecError::Bytes { .. } => codes::LIMIT_BYTES,
            ExecError::OutOfMemory { .. } => codes::OUT_OF_MEMORY,
            ExecError::OutputCount { .. } | ExecError::Output { .. } => codes::CALL_OUTPUT,
            ExecError::Lower(LowerError::TooDeep { .. }) => codes::LIMIT_NESTING,
            ExecError::Gpu(GpuError::Absent(_)) => codes::NO_DEVICE,
            ExecError::Gpu(GpuError::Lost(_)) => codes::DEVICE_LOST,
            ExecError::Gpu(GpuError::OutOfMemory(_)) => codes::OUT_OF_MEMORY,
            ExecError::CodeBytes { .. } => codes::LIMIT_CODE_BYTES,
            ExecError::Lower(LowerError::Malformed { .. } | LowerError::Kernel { .. })
            | ExecError::Compile { .. }
            | ExecError::Gpu(GpuError::Refused(_))
            | ExecError::Internal(_) => codes::INTERNAL,
        }
    }

    /// The place in the source that it is about.
    pub fn origin(&self) -> Option<Span> {
        match self {
            ExecError::Run(error) => run_origin(error),
            ExecError::Bytes { origin, .. }
            | ExecError::OutOfMemory { origin, .. }
            | ExecError::Lower(
                LowerError::TooDeep { origin }
                | LowerError::Malformed { origin, .. }
                | LowerError::Kernel { origin, .. },
            ) => Some(*origin),
            ExecError::OutputCount { .. }
            | ExecError::Output { .. }
            | ExecError::Compile { .. }
            | ExecError::CodeBytes { .. }
            | ExecError::Gpu(_)
            | ExecError::Internal(_) => None,
        }
    }
}

fn run_code(error: &RunError) -> Code {
    match error {
        RunError::ArgumentCount { .. } => codes::CALL_COUNT,
        RunError::ArgumentDType { .. } => codes::CALL_DTYPE,
        RunError::ArgumentRank { .. } => codes::CALL_RANK,
        RunError::ArgumentSize { .. } => codes::CALL_SIZE,
        RunError::Guard { code, .. } | RunError::Check { code, .. } | RunError::Library { code, .. } => *code,
        RunError::Size { value: Some(v), .. } if *v < 0 => codes::CALL_SIZE_NEGATIVE,
        RunError::Size { .. } | RunError::Elements { .. } => codes::LIMIT_ELEMENTS,
        RunError::IndexOutOfRange { .. } => codes::RUNTIME_INDEX,
        RunError::Steps { .. } => codes::LOOP_STEPS_EXHAUSTED,
        RunError::Cancelled => codes::CANCELLED,
        RunError::Malformed(_) => codes::INTERNAL,
    }
}

fn run_origin(error: &RunError) -> Option<Span> {
    match error {
        RunError::Guard { origin, .. }
        | RunError::Size { origin, .. }
        | RunError::IndexOutOfRange { origin, .. }
        | RunError::Check { origin, .. }
        | RunError::Elements { origin, .. }
        | RunError::Library { origin, .. } => Some(*origin),
        RunError::ArgumentCount { .. }
        | RunError::ArgumentDType { .. }
        | RunError::ArgumentRank { .. }
        | RunError::ArgumentSize { .. }
        | RunError::Steps { .. }
        | RunError::Cancelled
        | RunError::Malformed(_) => None,
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExecError::Run(error) => error.fmt(f),
            ExecError::Bytes { limit, bytes, .. } => {
                write!(f, "a value of {bytes} bytes, more than the limit of {limit}")
            }
            ExecError::OutOfMemory { bytes, .. } => write!(f, "out of memory: {bytes} bytes were asked for"),
            ExecError::OutputCount { expected, found } => {
                write!(f, "expected places for {expected} results, found {found}")
            }
            ExecError::Output { index, why } => write!(f, "the place for result {index} does not fit: {why}"),
            ExecError::Lower(error) => error.fmt(f),
            ExecError::Gpu(error) => error.fmt(f),
            ExecError::Compile { kernel, why } => write!(f, "kernel {kernel}: {why}"),
            ExecError::CodeBytes { limit, bytes } => {
                write!(f, "{bytes} bytes of machine code, more than the limit of {limit}")
            }
            ExecError::Internal(why) => write!(f, "internal error: {why}"),
        }
    }
}

impl std::error::Error for ExecError {}
