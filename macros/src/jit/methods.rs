//! The methods of Rust's numbers and of ndarray's arrays, and what they are in the language.

use std::collections::HashSet;
use std::sync::LazyLock;

/// What becomes of a method call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    /// A function of that name, of the receiver and the arguments.
    Call(&'static str),
    /// An infix operator between the receiver and the argument.
    Infix(&'static str),
    /// A suffix.
    Suffix(&'static str),
    /// Nothing: the receiver itself.
    Same,
    /// A reduction, over the axis that the argument names.
    Axis(&'static str),
    /// It means something else in the language; what to write instead.
    Refused(&'static str),
}

/// A method of that name with that many arguments.
pub(super) fn method(name: &str, arguments: usize) -> Option<Method> {
    let row = METHODS.iter().find(|(n, count, _)| *n == name && count.is_none_or(|c| c == arguments));
    row.map(|(_, _, method)| *method).or_else(|| BUILTINS.get(name).map(|own| Method::Call(own)))
}

/// Whether the language has a function of that name.
pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(name)
}

static BUILTINS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| matex_lang::functions().into_iter().map(|(name, _)| name).collect());

/// Name, number of arguments where it matters, and what it is. Functions that are called the same need no row.
const METHODS: &[(&str, Option<usize>, Method)] = &[
    ("ln", Some(0), Method::Call("log")),
    ("ln_1p", Some(0), Method::Call("log1p")),
    ("exp_m1", Some(0), Method::Call("expm1")),
    ("powi", Some(1), Method::Infix("**")),
    ("powf", Some(1), Method::Infix("**")),
    ("recip", Some(0), Method::Call("reciprocal")),
    ("is_nan", Some(0), Method::Call("isnan")),
    ("is_finite", Some(0), Method::Call("isfinite")),
    ("is_infinite", Some(0), Method::Call("isinf")),
    ("mul_add", Some(2), Method::Call("fma")),
    ("clamp", Some(2), Method::Call("clip")),
    ("max", Some(1), Method::Call("maximum")),
    ("min", Some(1), Method::Call("minimum")),
    ("product", Some(0), Method::Call("prod")),
    ("dot", Some(1), Method::Call("dot")),
    ("t", Some(0), Method::Suffix(".T")),
    ("len", Some(0), Method::Call("size")),
    ("nrows", Some(0), Method::Suffix(".shape()[0]")),
    ("ncols", Some(0), Method::Suffix(".shape()[1]")),
    ("sum_axis", Some(1), Method::Axis("sum")),
    ("mean_axis", Some(1), Method::Axis("mean")),
    ("product_axis", Some(1), Method::Axis("prod")),
    ("clone", Some(0), Method::Same),
    ("to_owned", Some(0), Method::Same),
    ("view", Some(0), Method::Same),
    ("unwrap", Some(0), Method::Same),
    (
        "round",
        Some(0),
        Method::Refused("Rust rounds halves away from zero, and the language to even: use `matex::compile!`"),
    ),
    ("signum", None, Method::Refused("`signum` of 0.0 is 1.0 in Rust: write `sign(x)` for 0 at 0")),
    ("log", Some(1), Method::Refused("write `x.ln() / base.ln()`")),
    ("var", Some(1), Method::Refused("`var` takes no degrees of freedom here: write `var(x)`")),
    ("std", Some(1), Method::Refused("`std` takes no degrees of freedom here: write `std(x)`")),
    ("rem_euclid", None, Method::Refused("write `a - b * (a / b).floor()`")),
    ("mapv", None, Method::Refused("every function is elementwise: write `x.exp()` for `x.mapv(f64::exp)`")),
    ("map", None, Method::Refused("every function is elementwise: write `x.exp()` for `x.map(|v| v.exp())`")),
];
