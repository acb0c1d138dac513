//! The list of passes over the tensor IR, in the order in which they run.
//!
//! The list feeds dumps and timing as well as compilation, so that what is shown is what happens.

use crate::canon;
use crate::options::Options;
use matex_ir::tensor::Func;

/// A rewriting of a function into an equivalent one.
#[derive(Debug)]
pub struct Pass {
    /// The name under which dumps show the state after it.
    pub name: &'static str,
    /// One line on what it does.
    pub about: &'static str,
    /// The rewriting itself.
    pub run: fn(&Func, &Options) -> Func,
}

/// Every pass, first to last.
pub const PIPELINE: &[Pass] = &[Pass {
    name: "canonicalize",
    about: "folds constants, shares identical values, sorts commutative operands, drops what nothing needs",
    run: |func, _| canon::canonicalize(func),
}];

/// Runs all passes; `observe` sees the function after each.
pub fn run_pipeline(func: &Func, options: &Options, mut observe: impl FnMut(&Pass, &Func)) -> Func {
    let mut current = func.clone();
    for pass in PIPELINE {
        current = (pass.run)(&current, options);
        observe(pass, &current);
    }
    current
}
