//! Powers with a constant exponent, as the few operations that they are.

use super::{Rule, floats, ints, text};
use crate::options::Tier::{Default, Exact};

pub(super) const RULES: &[Rule] = &[
    text("pow-2-int", Exact, "x**2 = x*x for integers", "(pow x 2)", "(mul x x)").when(ints),
    text("pow-3-int", Exact, "x**3 = x*x*x for integers", "(pow x 3)", "(mul x (mul x x))").when(ints),
    text("pow-1", Default, "x**1 = x", "(pow x 1)", "x"),
    text("pow-0", Default, "x**0 = 1, NaN included", "(pow x 0)", "1"),
    text("pow-2", Default, "x**2 = x*x", "(pow x 2)", "(mul x x)").when(floats).directed(),
    text("pow-3", Default, "x**3 = x*(x*x)", "(pow x 3)", "(mul x (mul x x))").when(floats).directed(),
    text("pow-4", Default, "x**4 = (x*x)*(x*x)", "(pow x 4)", "(mul (mul x x) (mul x x))")
        .when(floats)
        .directed(),
    text("pow-minus-1", Default, "x**-1 = 1/x", "(pow x -1)", "(div 1 x)").when(floats).directed(),
    text("pow-minus-2", Default, "x**-2 = (1/x) * (1/x)", "(pow x -2)", "(mul (div 1 x) (div 1 x))")
        .when(floats),
    text(
        "pow-half",
        Default,
        "x**0.5 = sqrt(x), but inf for -inf and 0.0 for -0.0",
        "(pow x 0.5)",
        "(select (eq x -inf) inf (sqrt (add x 0.0)))",
    )
    .when(floats),
    text("pow-of-two", Default, "2**x = exp2(x)", "(pow 2 x)", "(exp2 x)").when(floats),
    text("sqrt-square", Default, "sqrt(x*x) = abs(x)", "(sqrt (mul x x))", "(abs x)").when(floats).directed(),
];
