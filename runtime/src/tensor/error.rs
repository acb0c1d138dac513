//! What can go wrong when data becomes a tensor or a tensor becomes data.

use matex_ir::DType;
use std::fmt;

/// Why a tensor or a view could not be made or converted.
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::{Tensor, TensorError};
/// let error = Tensor::from_slice(&[3], &[1, 2]).unwrap_err();
/// assert_eq!(error, TensorError::Length { shape: vec![3], found: 2 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorError {
    /// The shape has more elements, or more bytes, than the address space.
    TooLarge {
        /// The shape that was asked for.
        shape: Vec<usize>,
    },
    /// More axes than [`MAX_RANK`](super::MAX_RANK).
    TooManyAxes {
        /// The number of axes.
        rank: usize,
    },
    /// The allocator had no room.
    OutOfMemory {
        /// The bytes that were asked for.
        bytes: usize,
    },
    /// The number of elements given is not what the shape asks for.
    Length {
        /// The shape that was asked for.
        shape: Vec<usize>,
        /// The number of elements that were given.
        found: usize,
    },
    /// The element types differ.
    DType {
        /// The element type that was asked for.
        expected: DType,
        /// The element type that is there.
        found: DType,
    },
    /// The numbers of axes differ.
    Rank {
        /// The number of axes that was asked for.
        expected: usize,
        /// The number of axes that is there.
        found: usize,
    },
    /// The shapes differ.
    Shape {
        /// The shape that was asked for.
        expected: Vec<usize>,
        /// The shape that is there.
        found: Vec<usize>,
    },
    /// Shape and strides differ in length, or reach outside the buffer.
    OutOfBounds,
    /// A byte of a `bool` tensor is neither 0 nor 1.
    Bool {
        /// The byte that was found.
        byte: u8,
    },
    /// A tensor cannot be written to while another tensor shares its memory.
    Shared,
    /// A view cannot be written to when several of its elements are one place in memory.
    Overlapping,
}

impl fmt::Display for TensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TensorError::TooLarge { shape } => {
                write!(f, "shape {shape:?} has more elements than memory can hold")
            }
            TensorError::TooManyAxes { rank } => {
                write!(f, "{rank} axes are more than the limit of {}", super::MAX_RANK)
            }
            TensorError::OutOfMemory { bytes } => write!(f, "out of memory: {bytes} bytes were asked for"),
            TensorError::Length { shape, found } => {
                write!(f, "{found} elements do not fill shape {shape:?}")
            }
            TensorError::DType { expected, found } => {
                write!(f, "expected elements of {expected}, found {found}")
            }
            TensorError::Rank { expected, found } => {
                write!(f, "expected rank {expected}, found rank {found}")
            }
            TensorError::Shape { expected, found } => {
                write!(f, "expected shape {expected:?}, found {found:?}")
            }
            TensorError::OutOfBounds => f.write_str("shape and strides do not fit the buffer"),
            TensorError::Bool { byte } => write!(f, "a bool is stored as 0 or 1, found {byte}"),
            TensorError::Shared => {
                f.write_str("a tensor that shares its memory with another cannot be written to")
            }
            TensorError::Overlapping => {
                f.write_str("elements that overlap in memory (a broadcast) cannot be written to")
            }
        }
    }
}

impl std::error::Error for TensorError {}
