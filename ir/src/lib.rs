//! The intermediate representations of matex, and what both share.
#![forbid(unsafe_code)]

pub mod dim;
pub mod dtype;
pub mod loops;
pub mod ops;
pub mod random;
pub mod span;
pub mod tensor;
pub mod transform;

pub use dim::{Atom, Dim};
pub use dtype::{DType, Scalar};
pub use ops::Op;
pub use span::{Code, Span};
