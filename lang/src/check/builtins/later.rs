//! Functions that the language has and this version does not: an error that says so rather than an unknown name.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::Value;
use crate::check::{Checker, R};
use crate::codes;
use crate::diag::Diagnostic;

const TRANSFORMS: [&str; 10] =
    ["grad", "value_and_grad", "jvp", "vjp", "jacobian", "hessian", "vmap", "scan", "fold", "stop_gradient"];

pub(super) const ROWS: &[Builtin] = &[
    row("grad", "f, wrt=", not_yet_transform),
    row("value_and_grad", "f, wrt=", not_yet_transform),
    row("jvp", "f, *values", not_yet_transform),
    row("vjp", "f, *values", not_yet_transform),
    row("jacobian", "f, wrt=", not_yet_transform),
    row("hessian", "f, wrt=", not_yet_transform),
    row("vmap", "f, in_axes=", not_yet_transform),
    row("scan", "f, init, xs", not_yet_transform),
    row("fold", "f, init, xs", not_yet_transform),
    row("stop_gradient", "x", not_yet_transform),
];

fn not_yet_transform(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let message = format!("{} is not available yet", args.name);
    c.fail(
        codes::NOT_YET_TRANSFORM,
        message,
        args.span,
        "derivatives, vmap, scan and fold come with a later version",
    )
}

/// Whether the first argument of a function is a function.
pub(crate) fn takes_function(name: &str) -> bool {
    TRANSFORMS.contains(&name) && name != "stop_gradient"
}

/// The error about a name that is kept for later versions.
pub(crate) fn reserved(name: &str) -> Option<Diagnostic> {
    let kept =
        ["fft", "ifft", "rfft", "irfft", "median", "quantile", "conv", "complex", "real", "imag", "conj"];
    kept.contains(&name).then(|| {
        Diagnostic::new(codes::RESERVED_FOR_LATER, format!("{name} is reserved for a later version"))
            .help("there is no replacement in this version")
    })
}
