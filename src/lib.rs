//! A JIT tensor compiler: hand it a small program as text and get back a function.
//!
//! matex is to tensors what `regex` is to text. A program is NumPy's meaning in Rust's punctuation; it is checked
//! when it is compiled, with every error at its place, and runs on arrays of any size.
//!
//! ```
//! let ols = matex::compile("fn ols(X: f64[n, k], y: f64[n]) -> f64[k] { solve(X.T @ X, X.T @ y) }")?;
//!
//! let x = [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]];
//! let beta = ols.call(&[&x, &[1.0, 3.0, 5.0]])?.into_single()?;
//! assert_eq!(format!("{beta:.6}"), "[1.0, 2.0]");
//! # Ok::<(), matex::Error>(())
//! ```
//!
//! # Three forms of a program
//! - an expression, whose free names are its parameters: `a*x + b`;
//! - a block, with `$0`, `$1`, … by place: `{ m = $0 + $1; return m / (m[0] + m[1]) }`;
//! - a module of functions, which starts with `main`, or the last one.
//!
//! # Values
//! Whatever is a tensor goes in without a copy: [`Tensor`], slices, `Vec`, nested arrays, numbers, and the arrays of
//! ndarray, nalgebra and faer. Results are [`Tensor`]s, or any of those types through [`Function::typed`]:
//!
//! ```
//! use ndarray::{Array1, Array2, array};
//!
//! let f = matex::compile("fn mul(A: f64[n, k], x: f64[k]) -> f64[n] { A @ x }")?;
//! let mul = f.typed::<fn(&Array2<f64>, &Array1<f64>) -> Array1<f64>>()?;
//! assert_eq!(mul(&array![[1.0, 2.0], [3.0, 4.0]], &array![1.0, 1.0])?, array![3.0, 7.0]);
//! # Ok::<(), matex::Error>(())
//! ```
//!
//! # Errors
//! An [`Error`] draws itself with the lines of the program that it speaks of:
//!
//! ```
//! let error = matex::compile("fn f(y: f64[n], X: f64[n, k]) { y - X }").unwrap_err();
//! let drawing = error.to_string();
//! assert!(drawing.starts_with("error[E0203]: shapes do not broadcast\n  ┌─ <program>:1:"), "{drawing}");
//! ```
//!
//! # Programs of strangers
//! A program can compute and nothing else. [`Limits`] bound what it may cost, [`CallOptions`] what a call may, and
//! nothing that a program or a value may hold makes the library panic.
//!
//! # Looking inside
//! [`Function::dump`] shows each [`Stage`], and [`Function::explain`] what a call does. Compilation and calls emit spans of
//! the [`tracing`](https://docs.rs/tracing) crate.
#![forbid(unsafe_code)]

mod arguments;
pub mod builder;
mod cache;
mod debug;
mod derive;
mod embedded;
mod engine;
mod error;
mod explain;
mod failure;
mod function;
mod future;
mod options;
mod outputs;
mod report;
mod resident;
mod stage;
mod typed;
mod warning;

pub use arguments::Arg;
pub use error::{Error, ErrorKind};
pub use explain::Cost;
pub use function::{CallOptions, Function};
pub use future::Call;
pub use matex_ir::{DType, Scalar};
pub use matex_lang::unit::{DTypeClass, DimSig, ParamSig, ParamType, Signature};
pub use matex_lang::{Code, Diagnostic, Label, Limits, Severity, Span};
pub use matex_passes::CostModel;
pub use matex_runtime::{
    AsArg, AsView, AsViewMut, Element, FromTensor, FromTensors, Tensor, TensorError, TypeKind, TypedView,
    Value, View, ViewMut,
};
pub use options::{Compiler, Device, Engine, NonFinite, Numerics, Simd, UnknownChoice};
pub use outputs::Outputs;
pub use report::{Line, Report, ReportedBuffer, ReportedKernel, ReportedStep};
pub use resident::DeviceTensor;
pub use stage::Stage;
pub use typed::{Typed, TypedFn};
pub use warning::Warning;

/// Compiles a program with the default options.
///
/// # Errors
/// Everything that is wrong with it, as far as it can be told without arguments.
///
/// ```
/// let f = matex::compile("{ m = $0 + $1; return m / (m[0] + m[1]) }")?;
/// assert_eq!(f.call(&[&[1.0, 2.0], &[0.0, 1.0]])?[0].to_string(), "[0.25, 0.75]");
/// # Ok::<(), matex::Error>(())
/// ```
pub fn compile(source: &str) -> Result<Function, Error> {
    Compiler::new().compile(source)
}

/// Compiles a program with the default options and takes it as a Rust function type, like [`Function::typed`].
///
/// # Errors
/// Those of [`compile()`], and a type that does not fit the program.
///
/// ```
/// let dot = matex::compile_typed::<fn(&[f64], &[f64]) -> f64>("sum(a * b)")?;
/// assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0])?, 11.0);
/// # Ok::<(), matex::Error>(())
/// ```
pub fn compile_typed<F: TypedFn>(source: &str) -> Result<Typed<F>, Error> {
    Compiler::new().compile_typed(source)
}

/// A program in the language of matex, checked while the crate that holds it is built: what is wrong is an error of
/// rustc at the program's own tokens. It gives a `&'static` [`Function`], compiled when it is first called.
///
/// The program is an expression, a block, a module of functions, or a closure with types:
///
/// ```
/// let norm = matex::compile!(|x: f32[n], y: f32[n]| { m = x + y; m / (m[0] + m[1]) });
/// assert_eq!(norm.call(&[&[1.0f32, 2.0], &[0.0f32, 1.0]])?[0].to_string(), "[0.25, 0.75]");
///
/// let ols = matex::compile! {
///     fn ols(X: f64[n, k], y: f64[n]) -> f64[k] { solve(X.T @ X, X.T @ y) }
/// };
/// assert_eq!(ols.signature().name, "ols");
/// # Ok::<(), matex::Error>(())
/// ```
///
/// A mistake does not build:
///
/// ```compile_fail
/// matex::compile!(|y: f64[n], X: f64[n, k]| y - X);
/// ```
pub use matex_macros::compile;

/// Compiles a Rust function of arrays. What is left is a function of the same type, whose body runs as one compiled
/// program: nothing is allocated for what is in between.
///
/// Parameters are numbers, slices, arrays, `Vec`s and ndarray's arrays, by reference or by value. The body has operators,
/// method calls (those of Rust's numbers and ndarray's arrays that mean the same, and every function of the language as
/// `x.f(a)` or `f(x, a)`), `let`, `if`, `for` over a range, `while`, assignment to variables and elements, indexing by
/// numbers, ranges and tuples, casts, and calls of other such functions that stand above it. Anything else is an error
/// at its token.
///
/// ```
/// use ndarray::{Array1, array};
///
/// #[matex::jit]
/// fn cool_comp(m0: &Array1<f32>, m1: &Array1<f32>) -> Array1<f32> {
///     let m2 = m0 + m1;
///     &m2 / (m2[0] + m2[1])
/// }
///
/// assert_eq!(cool_comp(&array![1.0, 2.0], &array![0.0, 1.0]), array![0.25, 0.75]);
/// ```
///
/// # Panics
/// The function panics where ndarray's operators do, when shapes do not fit; one that returns `Result<_, matex::Error>`
/// gives the error instead:
///
/// ```
/// #[matex::jit]
/// fn mean_of(x: &[f64], k: f64) -> Result<f64, matex::Error> {
///     x.sum() / k
/// }
///
/// assert_eq!(mean_of(&[1.0, 2.0, 6.0], 3.0)?, 3.0);
/// # Ok::<(), matex::Error>(())
/// ```
pub use matex_macros::jit;

/// What the macros expand to; no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::embedded::{Jit, Program, value};
    pub use matex_macros::jit_with;
}

/// The examples of the front page run as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// And those of the guide.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;
