//! A failed call in the words of the program: which parameter, which shapes, where.
//!
//! The IR's names of parameters are not always those of the program (`$0` is a name of no one's there), so that
//! parameters are told by their places: the function has one for each value that is given.

use crate::arguments::{Slot, declaration, describe, display_name};
use crate::error::internal;
use matex_ir::Span;
use matex_ir::tensor::{Func, GuardKind, RunError};
use matex_lang::unit::ParamSig;
use matex_lang::{Code, Diagnostic, codes};
use matex_runtime::{ExecError, Given as _};

/// The values of a call, next to their parameters.
pub(crate) type Given<'a> = [(&'a ParamSig, &'a Slot<'a>)];

/// Whether a call failed for the sizes of its values, of which the program may know more than how they disagree.
pub(crate) fn is_of_sizes(error: &ExecError) -> bool {
    matches!(error, ExecError::Run(RunError::ArgumentSize { .. } | RunError::Guard { .. }))
}

/// The failure of a call as the operation tells it that the values do not fit, with what is noted of them. The code stays that of
/// the call.
pub(crate) fn with_operation(call: Diagnostic, operation: Diagnostic, given: &Given<'_>) -> Diagnostic {
    let help = operation.help.or(call.help);
    let d = Diagnostic { code: call.code, help, ..operation };
    if call.notes.is_empty() {
        return with_shapes(d, given);
    }
    call.notes.into_iter().fold(d, |d, note| d.note(note))
}

/// The diagnostic of a failed call, or of a program that could not be made ready for it.
pub(crate) fn diagnose(error: ExecError, func: &Func, given: &Given<'_>) -> Diagnostic {
    advised(refused(error, func, given))
}

/// With the help of its code, where it has none of its own.
fn advised(mut d: Diagnostic) -> Diagnostic {
    d.help = d.help.or_else(|| codes::way_out(d.code, &d.message).map(str::to_owned));
    d
}

fn refused(error: ExecError, func: &Func, given: &Given<'_>) -> Diagnostic {
    let (code, text, origin) = (error.code(), error.to_string(), error.origin());
    if let ExecError::Run(error) = error {
        return stopped(error, func, given);
    }
    if code == codes::INTERNAL {
        return internal(&text);
    }
    let d = Diagnostic::new(code, text);
    let d = match origin {
        Some(span) => d.primary(span, "this value"),
        None => d,
    };
    if matches!(error, ExecError::Bytes { .. }) {
        d.note("the limit is `Limits::bytes`")
    } else if matches!(error, ExecError::CodeBytes { .. }) {
        d.note("the limit is `Limits::code_bytes`")
    } else {
        d
    }
}

/// The diagnostic of what every engine refuses.
pub(crate) fn failed(error: RunError, func: &Func, given: &Given<'_>) -> Diagnostic {
    advised(stopped(error, func, given))
}

fn stopped(error: RunError, func: &Func, given: &Given<'_>) -> Diagnostic {
    match error {
        RunError::ArgumentCount { expected, got } => Diagnostic::new(
            codes::CALL_COUNT,
            format!("{got} values are given, and the program takes {expected}"),
        ),
        RunError::ArgumentDType { param, expected, got } => {
            let (name, span) = parameter(func, given, &param);
            Diagnostic::new(codes::CALL_DTYPE, format!("`{name}` is {expected} and is given {got}"))
                .primary(span, "")
        }
        RunError::ArgumentRank { param, expected, got } => {
            let (name, span) = parameter(func, given, &param);
            let message = format!("`{name}` has rank {expected} and is given rank {got}");
            Diagnostic::new(codes::CALL_RANK, message).primary(span, "")
        }
        RunError::ArgumentSize { param, axis, expected, got, dim } => {
            size(func, given, &param, axis, (expected, got), &dim)
        }
        RunError::Guard { code, message, kind, left, right, origin } => {
            let d = with_shapes(Diagnostic::new(code, message).primary(origin, "here"), given);
            d.note(match (left, right) {
                (Some(left), Some(right)) => sizes(code, kind, left, right),
                _ => "a size that it depends on has no value".to_owned(),
            })
        }
        RunError::Size { dim, value, origin } => {
            let what = value.map_or("has no value".to_owned(), |v| format!("is {v}"));
            let d = Diagnostic::new(codes::CALL_SIZE_NEGATIVE, format!("the size {} {what}", readable(&dim)));
            with_shapes(d.primary(origin, "a size has to be 0 or more"), given)
        }
        RunError::IndexOutOfRange { axis, index, extent, origin } => {
            let message = format!("index {index} is out of range for axis {axis} of size {extent}");
            let d = Diagnostic::new(codes::RUNTIME_INDEX, message).primary(origin, "");
            if extent == 0 {
                d.help("an empty axis has no index")
            } else {
                d.help(format!("the indices are 0 to {}, or -{extent} to -1 from the end", extent - 1))
            }
        }
        RunError::Check { code, message, origin } | RunError::Library { code, message, origin } => {
            Diagnostic::new(code, message).primary(origin, "")
        }
        RunError::Steps { limit } => {
            let message = format!("the loops took more than {limit} steps");
            Diagnostic::new(codes::LOOP_STEPS_EXHAUSTED, message)
                .note("the limit is `Limits::loop_steps`")
                .help("allow more with `Limits::loop_steps`, or `--max-steps` on the command line")
        }
        RunError::Elements { limit, origin } => {
            Diagnostic::new(codes::LIMIT_ELEMENTS, format!("a value has more than {limit} elements"))
                .primary(origin, "this value")
                .note("the limit is `Limits::elements`")
        }
        RunError::Cancelled => Diagnostic::new(codes::CANCELLED, "the call was cancelled"),
        RunError::Malformed(why) => internal(&format!("malformed function: {why}")),
    }
}

/// The sizes of a condition that does not hold, in the words of what demands it.
fn sizes(code: Code, kind: GuardKind, left: i64, right: i64) -> String {
    let elements = if right == 1 { "element" } else { "elements" };
    match (kind, code) {
        (GuardKind::AtMost, codes::INDEX_OUT_OF_RANGE | codes::EMPTY_REDUCTION | codes::RUNTIME_DOMAIN) => {
            format!("the axis has {right} {elements}")
        }
        (GuardKind::AtMost, codes::CALL_SIZE_NEGATIVE) => format!("the size is {right}"),
        (GuardKind::AtMost, _) if left == 0 => format!("{right} is less than 0"),
        (GuardKind::AtMost, _) => format!("{left} is more than {right}"),
        (GuardKind::Equal, codes::RESHAPE_SIZE) => {
            format!("the new shape has room for {left}, and there are {right} {elements}")
        }
        (GuardKind::Equal, codes::BAD_SPLIT) => format!("equal parts take {left} of {right} {elements}"),
        (GuardKind::Equal, codes::NOT_SQUARE) => format!("its last two sizes are {left} and {right}"),
        (GuardKind::Equal, _) => format!("{left} and {right} are different sizes"),
    }
}

/// The place of a parameter of the function.
fn place(func: &Func, param: &str) -> Option<usize> {
    func.params.iter().position(|p| p.name == param)
}

/// The name and the span of a parameter in the program.
fn parameter(func: &Func, given: &Given<'_>, param: &str) -> (String, Span) {
    let found = place(func, param).and_then(|i| given.get(i));
    found.map_or((display_name(param), Span::default()), |(p, _)| (display_name(&p.name), p.span))
}

/// A dim as programs write it: integer parameters have no `!` there, and sizes without a name are shapes.
fn readable(dim: &str) -> String {
    dim.replace('!', "")
}

/// A value of the wrong size, and the value that gave the size first.
fn size(
    func: &Func,
    given: &Given<'_>,
    param: &str,
    axis: usize,
    (expected, got): (Option<i64>, usize),
    dim: &str,
) -> Diagnostic {
    let dim = readable(dim);
    let (name, span) = parameter(func, given, param);
    let here = place(func, param);
    let shown =
        |(p, slot): &(&ParamSig, &Slot<'_>)| format!("{} is given {}", declaration(p), describe(&slot.value));
    let wrong = here.and_then(|i| given.get(i));
    // The first value whose type names the size: it fixed it.
    let axis_of =
        |p: &matex_ir::tensor::Param| p.ty.shape.iter().position(|d| readable(&d.to_string()) == dim);
    let first = func.params.iter().position(|p| axis_of(p).is_some()).filter(|i| Some(*i) != here);
    let first = first.and_then(|i| given.get(i).zip(axis_of(&func.params[i])));
    let wants = match (expected, first) {
        (Some(v), _) if v.to_string() == dim => dim.clone(),
        // A size without a name of its own is called after an axis.
        (Some(v), Some(((p, _), axis))) if dim.contains('.') => {
            format!("{v}, as on axis {axis} of `{}`,", display_name(&p.name))
        }
        (Some(v), _) => format!("{dim} = {v}"),
        (None, _) => dim.clone(),
    };
    // Without a declared size it is the program that wants two sizes to be one.
    let declared = wrong.is_some_and(|(p, _)| p.ty.is_some());
    let code = if declared { codes::CALL_SIZE } else { codes::CALL_SHAPES_DISAGREE };
    let mut d =
        Diagnostic::new(code, format!("axis {axis} of `{name}` has size {got}, and {wants} is expected"));
    if let Some(wrong) = wrong {
        d = d.primary(span, shown(wrong));
    }
    match first {
        Some((first, _)) => d.secondary(first.0.span, shown(first)),
        None => with_shapes(d, given),
    }
}

/// Adds the shapes of the values: a guard that failed is about them.
fn with_shapes(mut d: Diagnostic, given: &Given<'_>) -> Diagnostic {
    const SHOWN: usize = 6;
    for (p, slot) in given.iter().take(SHOWN) {
        let value = slot.value.integer().map_or(String::new(), |v| format!("{v}, of "));
        d = d.note(format!("{} is {value}{}", display_name(&p.name), describe(&slot.value)));
    }
    if given.len() > SHOWN {
        d = d.note(format!("and there are {} more", given.len() - SHOWN));
    }
    d
}
