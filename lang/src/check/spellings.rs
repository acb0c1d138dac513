//! What other libraries call things, and what is written here: the help of an error about an unknown name.

use super::builtins;
use super::resolve::closest;
use crate::ast::{DTypeExpr, Ident};
use crate::codes;
use crate::diag::Diagnostic;

/// Functions of NumPy, PyTorch, JAX, MATLAB, R and Rust, with what to write here.
const FUNCTIONS: &[(&str, &str)] = &[
    ("absolute", "abs(x)"),
    ("allclose", "all(abs(x - y) < 1e-8)"),
    ("amax", "max(x)"),
    ("amin", "min(x)"),
    ("arccos", "acos(x)"),
    ("arccosh", "acosh(x)"),
    ("arcsin", "asin(x)"),
    ("arcsinh", "asinh(x)"),
    ("arctan", "atan(x)"),
    ("arctan2", "atan2(y, x)"),
    ("arctanh", "atanh(x)"),
    ("array", "[1, 2, 3]"),
    ("asarray", "[1, 2, 3]"),
    ("astype", "cast(x, f32)"),
    ("average", "mean(x)"),
    ("broadcast", "broadcast_to(x, shape)"),
    ("bmm", "A @ B"),
    ("cat", "concat([a, b])"),
    ("chol", "cholesky(A)"),
    ("concatenate", "concat([a, b])"),
    ("cumulative_max", "cummax(x)"),
    ("cumulative_min", "cummin(x)"),
    ("diag", "diagonal(A), or eye(n) * v for a matrix of a vector"),
    ("eig", "eigh(A), for symmetric matrices"),
    ("eigvals", "eigvalsh(A), for symmetric matrices"),
    ("empty", "zeros(shape)"),
    ("fabs", "abs(x)"),
    ("flatten", "reshape(x, -1)"),
    ("fliplr", "flip(x, axis=1)"),
    ("flipud", "flip(x, axis=0)"),
    ("fix", "trunc(x)"),
    ("hstack", "concat([a, b], axis=1)"),
    ("identity", "eye(n)"),
    ("inverse", "inv(A)"),
    ("invert", "inv(A), or bitwise_invert(x)"),
    ("isclose", "abs(x - y) < 1e-8"),
    ("len", "shape(x)[0]"),
    ("length", "shape(x)[0]"),
    ("ln", "log(x)"),
    ("map", "vmap(f)(x)"),
    ("mm", "A @ B"),
    ("mod", "remainder(x, y), or x % y"),
    ("mul", "multiply(x, y), or x * y"),
    ("mv", "A @ x"),
    ("nanmax", "max(where(isnan(x), -inf, x))"),
    ("nanmean", "sum(where(isnan(x), 0.0, x)) / sum(!isnan(x))"),
    ("nanmin", "min(where(isnan(x), inf, x))"),
    ("nansum", "sum(where(isnan(x), 0.0, x))"),
    ("ndim", "the number of sizes in its type: ranks are known before the program runs"),
    ("neg", "negative(x), or -x"),
    ("nonzero", "where(x != 0, x, 0): a size cannot depend on data"),
    ("numel", "size(x)"),
    ("permute", "permute_dims(x, axes)"),
    ("power", "pow(x, y), or x ** y"),
    ("print", "the value as the result: programs have no output"),
    ("product", "prod(x)"),
    ("rand", "uniform(key(0), shape)"),
    ("randn", "normal(key(0), shape)"),
    ("random", "uniform(key(0), shape)"),
    ("randperm", "permutation(key(0), n)"),
    ("range", "arange(n), or for i in 0..n { … }"),
    ("ravel", "reshape(x, -1)"),
    ("reduce", "fold(f, init, xs)"),
    ("rot90", "flip(x.T, axis=0)"),
    ("select", "where(c, x, y)"),
    ("sgn", "sign(x)"),
    ("sqr", "square(x), or x ** 2"),
    ("sub", "subtract(x, y), or x - y"),
    ("swapaxes", "moveaxis(x, 0, 1), or .mT for the last two"),
    ("t", "x.T"),
    ("tensor", "[1, 2, 3]"),
    ("transpose", "x.T, or permute_dims(x, axes)"),
    ("unsqueeze", "expand_dims(x, axis=0)"),
    ("unique", "sort(x): a size cannot depend on data"),
    ("view", "reshape(x, shape)"),
    ("vstack", "concat([a, b], axis=0)"),
];

/// Modules of other languages, whose functions are called without them here.
const MODULES: &[&str] =
    &["np", "numpy", "jnp", "jax", "lax", "torch", "tf", "math", "scipy", "sp", "xp", "cp", "cupy"];

/// That a function is called which is none, with what was meant; `own` are the functions of the program.
pub(crate) fn unknown_function<'n>(name: &Ident, own: impl Iterator<Item = &'n str>) -> Diagnostic {
    if let Some(reserved) = builtins::reserved(&name.name) {
        return reserved.primary(name.span, "");
    }
    let d = Diagnostic::new(codes::UNKNOWN_FUNCTION, format!("unknown function {}", name.name));
    d.primary(name.span, "").help(meant(&name.name, own))
}

fn meant<'n>(name: &str, own: impl Iterator<Item = &'n str>) -> String {
    if let Some((_, here)) = FUNCTIONS.iter().find(|(n, _)| *n == name) {
        return format!("write {here}");
    }
    if let Some(dtype) = DTypeExpr::meant(name) {
        return format!("write cast(x, {dtype})");
    }
    let known: Vec<&str> = own.chain(builtins::names().map(|n| -> &'n str { n })).collect();
    match closest(name, known.into_iter()) {
        Some(near) => format!("did you mean {near}?"),
        None => "define it: fn name(x) { … }".to_owned(),
    }
}

/// What to do about a name that has no value because it is none of a variable: it is a function of the language, or a
/// module of another one.
///
/// ```
/// assert_eq!(matex_lang::not_a_variable("sum").unwrap(), "sum is a function: call it, as in sum(x, axis=, keepdims=)");
/// assert_eq!(matex_lang::not_a_variable("total"), None);
/// ```
pub fn not_a_variable(name: &str) -> Option<String> {
    if let Some(builtin) = builtins::find(name) {
        return Some(format!("{name} is a function: call it, as in {name}({})", builtin.signature));
    }
    let module = MODULES.contains(&name);
    module.then(|| format!("there are no modules: write sqrt(x) for {name}.sqrt(x)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_of_the_language_is_spelled_otherwise() {
        for pair in FUNCTIONS.windows(2) {
            assert!(pair[0].0 != pair[1].0, "{} stands twice", pair[0].0);
        }
        for (name, here) in FUNCTIONS {
            assert!(!builtins::is_builtin(name), "{name} is a function of the language");
            let called =
                here.split('(').next().filter(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            if let Some(called) = called.filter(|c| here.len() > c.len()) {
                assert!(builtins::is_builtin(called), "{name}: {called} is no function");
            }
        }
    }
}
