//! The front end: program text in, typed tensor IR out, every error with its place in the text.
//!
//! [`ast`] is what the parser makes of a program, [`diag`] is what it says when it cannot, [`codes`] is the catalogue
//! of everything that can be said, and [`render`] draws it.
#![forbid(unsafe_code)]

pub mod ast;
mod check;
pub mod codes;
pub mod diag;
mod lexer;
pub mod limits;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reader asks for the few tokens that fit; any other one is an error"
)]
mod parser;
pub mod render;
pub mod unit;

pub use check::{functions, not_a_variable};
pub use diag::{Diagnostic, Label, Severity};
pub use limits::Limits;
pub use matex_ir::{Code, DType, Span};
pub use parser::parse;
pub use unit::{ArgSpec, DTypeClass, Derived, DimSig, ParamSig, ParamType, Signature, Unit};
