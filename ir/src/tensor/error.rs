//! What can go wrong when a [`Func`](super::Func) is called, whoever runs it.

use super::GuardKind;
use crate::dtype::DType;
use crate::span::{Code, Span};
use std::fmt;

/// Why a call failed. The interpreter and the executor of compiled programs report the same failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// Too few or too many arguments.
    ArgumentCount {
        /// How many parameters there are.
        expected: usize,
        /// How many arguments came.
        got: usize,
    },
    /// An argument of another dtype than its parameter.
    ArgumentDType {
        /// The parameter's name.
        param: String,
        /// The parameter's dtype.
        expected: DType,
        /// The argument's dtype.
        got: DType,
    },
    /// An argument of another rank than its parameter.
    ArgumentRank {
        /// The parameter's name.
        param: String,
        /// The parameter's rank.
        expected: usize,
        /// The argument's rank.
        got: usize,
    },
    /// An extent of an argument that contradicts the sizes bound so far, or that no sizes give.
    ArgumentSize {
        /// The parameter's name.
        param: String,
        /// The axis.
        axis: usize,
        /// What the dim is for the sizes bound; `None` when it has no value for them.
        expected: Option<i64>,
        /// The argument's extent.
        got: usize,
        /// The text of the dim.
        dim: String,
    },
    /// A condition on sizes does not hold.
    Guard {
        /// The guard's code.
        code: Code,
        /// The guard's message.
        message: String,
        /// What it compares.
        kind: GuardKind,
        /// The value of its left side, if it has one.
        left: Option<i64>,
        /// The value of its right side, if it has one.
        right: Option<i64>,
        /// The place in the source that asks for it.
        origin: Span,
    },
    /// An extent of a result that is negative or has no value, as of a division by zero.
    Size {
        /// The text of the dim.
        dim: String,
        /// Its value, if it has one.
        value: Option<i64>,
        /// The place in the source that makes the result.
        origin: Span,
    },
    /// An index outside of its axis.
    IndexOutOfRange {
        /// The axis.
        axis: usize,
        /// The index as it was given.
        index: i64,
        /// The extent of the axis.
        extent: usize,
        /// The place in the source that indexes.
        origin: Span,
    },
    /// A condition on values does not hold.
    Check {
        /// The check's code.
        code: Code,
        /// The check's message.
        message: String,
        /// The place in the source that asks for it.
        origin: Span,
    },
    /// More loop steps than allowed.
    Steps {
        /// The limit.
        limit: u64,
    },
    /// A result of more elements than allowed.
    Elements {
        /// The limit.
        limit: usize,
        /// The place in the source that makes the result.
        origin: Span,
    },
    /// Someone asked to stop.
    Cancelled,
    /// A library routine refused its operands.
    Library {
        /// The error that this is.
        code: Code,
        /// Which element, pivot or operand it is about.
        message: String,
        /// The place in the source that calls it.
        origin: Span,
    },
    /// The function is not one that the verifier accepts, or a guard is missing: a bug of who made it.
    Malformed(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::ArgumentCount { expected, got } => {
                write!(f, "expected {expected} arguments, got {got}")
            }
            RunError::ArgumentDType { param, expected, got } => {
                write!(f, "argument {param} is {got}, expected {expected}")
            }
            RunError::ArgumentRank { param, expected, got } => {
                write!(f, "argument {param} has rank {got}, expected {expected}")
            }
            RunError::ArgumentSize { param, axis, expected, got, dim } => {
                write!(f, "axis {axis} of argument {param} has extent {got}, expected {dim}")?;
                expected.map_or(Ok(()), |v| write!(f, " = {v}"))
            }
            RunError::Guard { code, message, left, right, .. } => {
                write!(f, "{code}: {message} ({} against {})", value(*left), value(*right))
            }
            RunError::Size { dim, value: v, .. } => write!(f, "the extent {dim} is {}", value(*v)),
            RunError::IndexOutOfRange { axis, index, extent, .. } => {
                write!(f, "index {index} is out of range for axis {axis} of extent {extent}")
            }
            RunError::Check { code, message, .. } | RunError::Library { code, message, .. } => {
                write!(f, "{code}: {message}")
            }
            RunError::Steps { limit } => write!(f, "more than {limit} loop steps"),
            RunError::Elements { limit, .. } => write!(f, "a result of more than {limit} elements"),
            RunError::Cancelled => f.write_str("cancelled"),
            RunError::Malformed(why) => write!(f, "malformed function: {why}"),
        }
    }
}

fn value(v: Option<i64>) -> String {
    v.map_or_else(|| "without a value".to_owned(), |v| v.to_string())
}

impl std::error::Error for RunError {}
