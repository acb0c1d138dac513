//! The list of passes over the tensor IR, in the order in which they run.
//!
//! The list feeds dumps and timing as well as compilation, so that what is shown is what happens.

use crate::algebra::{self, Report};
use crate::canon;
use crate::hoist::hoist;
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
    pub run: fn(&Func, &Options, &mut Report) -> Func,
}

/// Every pass, first to last.
pub const PIPELINE: &[Pass] = &[
    Pass {
        name: "canonicalize",
        about: "folds constants, shares identical values, sorts commutative operands, drops what nothing needs",
        run: |func, _, _| canon::canonicalize(func),
    },
    Pass {
        name: "algebra",
        about: "finds equal forms by the rules of the numerics tier, and takes the cheapest",
        run: simplified,
    },
    Pass {
        name: "hoist",
        about: "computes before a loop what is dear, cannot fail and is the same in every step",
        run: |func, options, _| hoist(func, options),
    },
];

fn simplified(func: &Func, options: &Options, report: &mut Report) -> Func {
    if !options.optimize {
        return func.clone();
    }
    let (out, found) = algebra::simplify(func, options);
    debug_assert!(found.wrong.is_empty(), "{:?}", found.wrong);
    *report = found;
    out
}

/// Runs all passes; `observe` sees the function after each.
pub fn run_pipeline(func: &Func, options: &Options, mut observe: impl FnMut(&Pass, &Func)) -> Func {
    let mut report = Report::default();
    run(func, options, &mut observe, &mut report)
}

/// Runs all passes, and gives besides the function what the search for equal forms came to.
pub fn optimize(func: &Func, options: &Options) -> (Func, Report) {
    let mut report = Report::default();
    let out = run(func, options, &mut |_, _| {}, &mut report);
    (out, report)
}

/// What the rules have to do with what [`optimize`] gives, in words: see [`Report::text`].
pub fn explain(func: &Func, options: &Options) -> Report {
    if options.optimize { algebra::explain(&canon::canonicalize(func), options) } else { Report::default() }
}

fn run(func: &Func, options: &Options, observe: &mut impl FnMut(&Pass, &Func), report: &mut Report) -> Func {
    let mut current = func.clone();
    for pass in PIPELINE {
        let _span = tracing::debug_span!("pass", name = pass.name).entered();
        current = (pass.run)(&current, options, report);
        observe(pass, &current);
    }
    current
}
