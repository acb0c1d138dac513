//! The intermediate representations of matex, and what both share.
#![forbid(unsafe_code)]

pub mod dtype;
pub mod ops;
pub mod span;

pub use dtype::{DType, Scalar};
pub use ops::Op;
pub use span::{Code, Span};
