//! What the macros expand to. Their programs were checked while the crate that holds them was built, so that only the
//! values of a call can be wrong; still, nothing here panics but [`value`], whose callers asked for it.

use crate::error::Error;
use crate::function::Function;
use crate::options::Options;
use crate::typed::{Typed, TypedFn};
use std::sync::OnceLock;

/// A program of `compile!`, compiled when it is first asked for.
#[derive(Debug)]
pub struct Program {
    source: &'static str,
    place: &'static str,
    function: OnceLock<Function>,
}

impl Program {
    /// A program and the place in Rust where it stands.
    pub const fn new(source: &'static str, place: &'static str) -> Program {
        Program { source, place, function: OnceLock::new() }
    }

    /// The function, the same one each time.
    pub fn function(&self) -> &Function {
        self.function.get_or_init(|| Function::checked(self.source, self.place, &Options::default()))
    }
}

/// A function of `#[jit]`, compiled when it is first called.
pub struct Jit<F: TypedFn> {
    program: Program,
    typed: OnceLock<Result<Typed<F>, Error>>,
}

impl<F: TypedFn> Jit<F> {
    /// A program and the place in Rust where it stands.
    pub const fn new(source: &'static str, place: &'static str) -> Jit<F> {
        Jit { program: Program::new(source, place), typed: OnceLock::new() }
    }

    /// The function behind its Rust type.
    ///
    /// # Errors
    /// When the result has another type than the function declares.
    pub fn get(&self) -> Result<&Typed<F>, Error> {
        self.typed.get_or_init(|| self.program.function().typed()).as_ref().map_err(Clone::clone)
    }
}

/// The value of a call for a function whose type has no room for an error.
///
/// # Panics
/// On an error. It is what operators of arrays do when shapes do not fit, and a function that returns a `Result` does
/// not come here.
#[track_caller]
pub fn value<T>(result: Result<T, Error>) -> T {
    #[expect(clippy::panic, reason = "documented: the function's own type asks for it")]
    result.unwrap_or_else(|error| panic!("{error}"))
}
