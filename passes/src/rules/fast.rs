//! What may lose accuracy, or an infinity or a NaN, for speed: only in the tier `fast`.

use super::identities::constants;
use super::{Rule, floats, text};
use crate::options::Tier::Fast;

pub(super) const RULES: &[Rule] = &[
    text("add-zero-float", Fast, "x + 0 = x, but for -0.0", "(add x 0)", "x").when(floats),
    text("zero-sub-float", Fast, "0 - x = -x, but for 0.0", "(sub 0 x)", "(neg x)").when(floats),
    text("mul-zero-float", Fast, "x * 0 = 0, but for NaN and infinities", "(mul x 0)", "0").when(floats),
    text("sub-self-float", Fast, "x - x = 0, but for NaN and infinities", "(sub x x)", "0").when(floats),
    text("div-constant", Fast, "x / c = x * (1 / c)", "(div x y)", "(mul x (div 1 y))")
        .when(|g, l| floats(g, l) && constants(g, &l[1..])),
    text("div-div", Fast, "x / y / z = x / (y * z)", "(div (div x y) z)", "(div x (mul y z))").when(floats),
    text("add-constants", Fast, "(x + c) + d = x + (c + d)", "(add (add x y) z)", "(add x (add y z))")
        .when(|g, l| floats(g, l) && constants(g, &l[1..])),
    text("sub-constants", Fast, "(x - c) + d = x + (d - c)", "(add (sub x y) z)", "(add x (sub z y))")
        .when(|g, l| floats(g, l) && constants(g, &l[1..])),
    text("mul-constants", Fast, "(x * c) * d = x * (c * d)", "(mul (mul x y) z)", "(mul x (mul y z))")
        .when(|g, l| floats(g, l) && constants(g, &l[1..])),
    text("factor", Fast, "x*y + x*z = x*(y + z)", "(add (mul x y) (mul x z))", "(mul x (add y z))")
        .when(floats),
    text("factor-sub", Fast, "x*y - x*z = x*(y - z)", "(sub (mul x y) (mul x z))", "(mul x (sub y z))")
        .when(floats),
    text("exp-log", Fast, "exp(log(x)) = x for x >= 0", "(exp (log x))", "x").when(floats),
    text("log-exp", Fast, "log(exp(x)) = x", "(log (exp x))", "x").when(floats),
    text("exp-mul", Fast, "exp(x) * exp(y) = exp(x + y)", "(mul (exp x) (exp y))", "(exp (add x y))")
        .when(floats),
    text("log-add", Fast, "log(x) + log(y) = log(x * y)", "(add (log x) (log y))", "(log (mul x y))")
        .when(floats),
    text("sqrt-mul-self", Fast, "sqrt(x) * sqrt(x) = x", "(mul (sqrt x) (sqrt x))", "x").when(floats),
    text("pow-half-plain", Fast, "x**0.5 = sqrt(x)", "(pow x 0.5)", "(sqrt x)").when(floats),
    text("pow-minus-half", Fast, "x**-0.5 = 1/sqrt(x)", "(pow x -0.5)", "(rsqrt x)").when(floats),
    text("rsqrt", Fast, "1/sqrt(x) = rsqrt(x)", "(div 1 (sqrt x))", "(rsqrt x)").when(floats),
];
