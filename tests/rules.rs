//! Every rule of algebra against what it replaces, on random values and sizes.
//!
//! Each rule has a program here in which it fires; a rule without one, or that does not fire, fails the test. The rule
//! is preferred whatever its result costs, and the program is run as written and as rewritten: bit for bit in the
//! tier `exact`, with NaN, infinities and signed zeros among the values, and on empty and one-element arrays.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use matex_ir::tensor::Func;
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::verify::verify;
use matex_ir::{DType, Scalar};
use matex_lang::{Limits, Unit};
use matex_passes::{Options, Tier, algebra, rules, run_pipeline};
use support::data::Random;
use support::engines::exact_kernels;

/// A program for each rule, in which it fires.
const PROGRAMS: &[(&str, &str)] = &[
    ("mul-one", "fn f(x: f64[n]) { x * 1 }"),
    ("div-one", "fn f(x: f32[n]) { x / 1 }"),
    ("mul-minus-one", "fn f(x: f64[n]) { x * -1 }"),
    ("div-minus-one", "fn f(x: f64[n]) { x / -1 }"),
    ("sub-zero", "fn f(x: f64[n]) { x - 0 }"),
    ("add-minus-zero", "fn f(x: f64[n]) { x + -0.0 }"),
    ("add-zero", "fn f(x: i32[n]) { x + 0 }"),
    ("zero-sub", "fn f(x: u8[n]) { 0 - x }"),
    ("mul-zero", "fn f(x: i64[n]) { x * 0 }"),
    ("sub-self", "fn f(x: i16[n]) { x - x }"),
    ("reassociate-add", "fn f(x: i8[n]) { (x + 100) + 27 }"),
    ("reassociate-mul", "fn f(x: i32[n]) { (x * 3) * 5 }"),
    ("reassociate-sub", "fn f(x: u16[n]) { (x - 3) + 5 }"),
    ("neg-neg", "fn f(x: f64[n]) { -(-x) }"),
    ("add-neg", "fn f(x: f64[n], y: f64[n]) { x + -y }"),
    ("sub-neg", "fn f(x: f64[n], y: f64[n]) { x - -y }"),
    ("mul-neg-neg", "fn f(x: f64[n], y: f64[n]) { -x * -y }"),
    ("div-neg-neg", "fn f(x: f64[n], y: f64[n]) { -x / -y }"),
    ("mul-neg-constant", "fn f(x: f64[n]) { -x * 3 }"),
    ("abs-neg", "fn f(x: i8[n]) { abs(-x) }"),
    ("abs-abs", "fn f(x: f64[n]) { abs(abs(x)) }"),
    ("cos-neg", "fn f(x: f64[n]) { cos(-x) }"),
    ("max-self", "fn f(x: f64[n]) { maximum(x, x) }"),
    ("min-self", "fn f(x: f64[n]) { minimum(x, x) }"),
    ("and-self", "fn f(x: bool[n]) { x && x }"),
    ("or-self", "fn f(x: bool[n]) { x || x }"),
    ("not-not", "fn f(x: bool[n]) { !!x }"),
    ("not-eq", "fn f(x: f64[n], y: f64[n]) { !(x == y) }"),
    ("not-ne", "fn f(x: f64[n], y: f64[n]) { !(x != y) }"),
    ("select-same", "fn f(x: f64[n], y: f64[n]) { where(x < y, x, x) }"),
    ("select-not", "fn f(c: bool[n], x: f64[n], y: f64[n]) { where(!c, x, y) }"),
    ("select-known", "fn f(x: f64[n], y: f64[n]) { where(true, x, y) }"),
    ("and-known", "fn f(c: bool[n]) { c && true }"),
    ("or-known", "fn f(c: bool[n]) { c || false }"),
    ("div-power-of-two", "fn f(x: f32[n]) { x / 8 }"),
    ("cast-cast", "fn f(x: f32[n]) { cast(cast(x, f64), f32) }"),
    ("pow-2-int", "fn f(x: i32[n]) { x**2 }"),
    ("pow-3-int", "fn f(x: u8[n]) { x**3 }"),
    ("pow-1", "fn f(x: f64[n]) { x**1 }"),
    ("pow-0", "fn f(x: f64[n]) { x**0 }"),
    ("pow-2", "fn f(x: f64[n]) { x**2 }"),
    ("pow-3", "fn f(x: f64[n]) { x**3 }"),
    ("pow-4", "fn f(x: f64[n]) { x**4 }"),
    ("pow-minus-1", "fn f(x: f64[n]) { x**-1.0 }"),
    ("pow-minus-2", "fn f(x: f64[n]) { x**-2.0 }"),
    ("pow-half", "fn f(x: f64[n]) { x**0.5 }"),
    ("pow-of-two", "fn f(x: f64[n]) { 2**x }"),
    ("sqrt-square", "fn f(x: f64[n]) { sqrt(x * x) }"),
    ("log1p", "fn f(x: f64[n]) { log(1 + x) }"),
    ("log1p-neg", "fn f(x: f64[n]) { log(1 - x) }"),
    ("expm1", "fn f(x: f64[n]) { exp(x) - 1 }"),
    ("expm1-add", "fn f(x: f64[n]) { exp(x) + -1 }"),
    ("expm1-neg", "fn f(x: f64[n]) { 1 - exp(x) }"),
    ("softplus", "fn f(x: f64[n]) { log1p(exp(x)) }"),
    ("sigmoid", "fn f(x: f64[n]) { 1 / (1 + exp(-x)) }"),
    ("sigmoid-neg", "fn f(x: f64[n]) { 1 / (1 + exp(x)) }"),
    ("sigmoid-exp", "fn f(x: f64[n]) { exp(x) / (1 + exp(x)) }"),
    ("one-minus-sigmoid", "fn f(x: f64[n]) { 1 - sigmoid(x) }"),
    ("log-sigmoid", "fn f(x: f64[n]) { log(sigmoid(x)) }"),
    ("one-minus-erf", "fn f(x: f64[n]) { 1 - erf(x) }"),
    ("one-minus-erfc", "fn f(x: f64[n]) { 1 - erfc(x) }"),
    ("logaddexp", "fn f(x: f64[n], y: f64[n]) { log(exp(x) + exp(y)) }"),
    ("log-softmax", "fn f(x: f64[n, m]) { log(exp(x) / sum(exp(x), axis=1, keepdims=true)) }"),
    ("softplus-log", "fn f(x: f64[n]) { log(1 + exp(x)) }"),
    ("hypot-zero", "fn f(x: f64[n]) { hypot(x, 0) }"),
    ("logsumexp", "fn f(x: f64[n, m]) { log(sum(exp(x), axis=1, keepdims=true)) }"),
    ("fma", "fn f(x: f64[n], y: f64[n], z: f64[n]) { x * y + z }"),
    ("fms", "fn f(x: f64[n], y: f64[n], z: f64[n]) { x * y - z }"),
    ("fnma", "fn f(x: f64[n], y: f64[n], z: f64[n]) { z - x * y }"),
    ("permute-permute", "fn f(x: f64[n, m, k]) { moveaxis(moveaxis(x, 0, 1), 0, 2) }"),
    ("reshape-reshape", "fn f(x: f64[n, m]) { reshape(reshape(x, [n * m]), [m, n]) }"),
    (
        "broadcast-broadcast",
        "fn f(x: f64[n], y: f64[m]) { broadcast_to(broadcast_to(x, [m, n]), [3, m, n]) + sum(y) }",
    ),
    ("broadcast-reshape", "fn f(x: f64[n, m], y: f64[n]) { x + y[:, newaxis] }"),
    ("slice-slice", "fn f(x: f64[n]) { x[::-1][1:] }"),
    ("slice-broadcast", "fn f(x: f64[n, m], y: f64[n]) { broadcast_to(y[:, newaxis], [n, m])[1:] + x[1:] }"),
    ("slice-permute", "fn f(x: f64[n, m]) { x.T[1:] }"),
    ("permute-broadcast", "fn f(x: f64[n, m], y: f64[m]) { broadcast_to(y, [n, m]).T + x.T }"),
    ("permute-map", "fn f(x: f64[n, m], y: f64[n, m], z: f64[n]) { where(x.T < z, exp(y.T), 2).T }"),
    ("slice-map", "fn f(x: f64[n], y: f64[n]) { (x * y)[1:] }"),
    ("map-broadcast", "fn f(x: f64[n, m], y: f64[m]) { x * exp(broadcast_to(y, [n, m]) + 2) }"),
    ("cast-broadcast", "fn f(x: f32[n, m], y: f64[m]) { x * cast(broadcast_to(y, [n, m]), f32) }"),
    ("reduce-one", "fn f(x: f64[n]) { sum(x[:, newaxis], axis=1) }"),
    ("reduce-permute", "fn f(x: f64[n, m]) { sum(x.T, axis=0) }"),
    ("sum-permute", "fn f(x: f64[n, m]) { sum(x.T) }"),
    ("max-max", "fn f(x: bool[n, m]) { any(any(x, axis=1)) }"),
    ("sum-sum", "fn f(x: f64[n, m]) { sum(sum(x, axis=1)) }"),
    ("max-of-parts", "fn f(x: f64[n, m, k]) { return max(x, axis=1), max(x, axis=[0, 1]) }"),
    ("sum-of-parts", "fn f(x: f64[n, m]) { return sum(x, axis=1), sum(x) }"),
    ("max-broadcast", "fn f(x: bool[n]) { any(broadcast_to(x, [3, n]), axis=0) }"),
    ("sum-broadcast", "fn f(x: f64[n]) { sum(broadcast_to(x, [3, n]), axis=0) }"),
    ("sum-broadcast-any", "fn f(x: f64[n], y: f64[m]) { sum(broadcast_to(x, [m, n]), axis=0) + sum(y) }"),
    ("sum-scaled", "fn f(x: f64[n, m], y: f64[n]) { sum(x * y[:, newaxis], axis=1) }"),
    ("sum-shifted", "fn f(x: f64[n, m], y: f64[n]) { sum(x - y[:, newaxis], axis=1) }"),
    ("sum-dot", "fn f(x: f64[n, k], y: f64[k, m]) { sum(x @ y, axis=1) }"),
    ("dot-permute", "fn f(x: f64[k, n], y: f64[k, m]) { x.T @ y }"),
    ("permute-dot", "fn f(x: f64[n, k], y: f64[k, m]) { (x @ y).T }"),
    ("associate-right", "fn f(x: f64[n, k], y: f64[k, m], z: f64[m]) { (x @ y) @ z }"),
    ("associate-left", "fn f(x: f64[n], y: f64[n, m], z: f64[m, k]) { x @ (y @ z) }"),
    ("dot-identity", "fn f(x: f64[n, m]) { x @ eye(m) }"),
    ("dot-outer", "fn f(x: f64[n, k], y: f64[m, k]) { einsum(\"ik,jk->ijk\", x, y) }"),
    ("add-pads", "fn f(x: f64[n, 4], y: f64[n, 3]) { pad(x, [[0, 0], [5, 2]]) + pad(y, [[0, 0], [1, 7]]) }"),
    ("diagonal-dot", "fn f(x: f64[n, k], y: f64[k, n]) { diagonal(x @ y) }"),
    ("dot-scaled", "fn f(a: f64, x: f64[n, k], y: f64[k, m]) { (x * a) @ y }"),
    ("dot-diagonal", "fn f(A: f64[n, m], d: f64[m]) { A @ (eye(m) * d) }"),
    ("diagonal-map", "fn f(A: f64[n, n], d: f64[n]) { diagonal(exp(A.T) * d - tril(A)) }"),
    ("det-triangular", "fn f(A: f64[n, n]) { det(tril(A)) }"),
    ("log-det-triangular", "fn f(A: f64[n, n]) { slogdet(triu(A) + 9 * eye(n)) }"),
    ("det-definite", "fn f(A: f64[m, n]) { det(A.T @ A + eye(n)) }"),
    ("log-det-definite", "fn f(A: f64[m, n]) { slogdet(A.T @ A + eye(n)) }"),
    ("inverse-times", "fn f(A: f64[n, n], y: f64[n]) { inv(A + 9 * eye(n)).T @ y }"),
    ("times-inverse", "fn f(A: f64[n, n], y: f64[m, n]) { y @ inv(A + 9 * eye(n)) }"),
    ("solve-times", "fn f(A: f64[n, n], y: f64[n, m], z: f64[m]) { solve(A + 9 * eye(n), y) @ z }"),
    ("solve-inverse", "fn f(A: f64[n, n], y: f64[n, m]) { solve(inv(A + 9 * eye(n)), y) }"),
    ("solve-identity", "fn f(y: f64[n, m]) { solve(eye(n), y) }"),
    ("solve-orthogonal", "fn f(A: f64[n, n], y: f64[n, m]) { (q, r) = qr(A); solve(q, y) }"),
    ("solve-triangular", "fn f(A: f64[n, n], y: f64[n, m]) { solve(triu(A) + 9 * eye(n), y) }"),
    ("solve-diagonal", "fn f(d: f64[n], y: f64[n, m]) { solve(eye(n) * (abs(d) + 1), y) }"),
    ("solve-definite", "fn f(A: f64[m, n], y: f64[n, k]) { solve(A.T @ A + 9 * eye(n), y) }"),
    ("add-zero-float", "fn f(x: f64[n]) { x + 0 }"),
    ("zero-sub-float", "fn f(x: f64[n]) { 0 - x }"),
    ("mul-zero-float", "fn f(x: f64[n]) { x * 0 }"),
    ("sub-self-float", "fn f(x: f64[n]) { x - x }"),
    ("div-constant", "fn f(x: f64[n]) { x / 3 }"),
    ("div-div", "fn f(x: f64[n], y: f64[n], z: f64[n]) { x / y / z }"),
    ("add-constants", "fn f(x: f64[n]) { (x + 1) + 2.5 }"),
    ("sub-constants", "fn f(x: f64[n]) { (x - 1) + 2.5 }"),
    ("mul-constants", "fn f(x: f64[n]) { (x * 3) * 0.7 }"),
    ("factor", "fn f(x: f64[n], y: f64[n], z: f64[n]) { x * y + z * x }"),
    ("factor-sub", "fn f(x: f64[n], y: f64[n], z: f64[n]) { x * y - x * z }"),
    ("exp-log", "fn f(x: f64[n]) { exp(log(x)) }"),
    ("log-exp", "fn f(x: f64[n]) { log(exp(x)) }"),
    ("exp-mul", "fn f(x: f64[n], y: f64[n]) { exp(x) * exp(y) }"),
    ("log-add", "fn f(x: f64[n], y: f64[n]) { log(x) + log(y) }"),
    ("sqrt-mul-self", "fn f(x: f64[n]) { sqrt(x) * sqrt(x) }"),
    ("pow-half-plain", "fn f(x: f64[n]) { x**0.5 }"),
    ("pow-minus-half", "fn f(x: f64[n]) { x**-0.5 }"),
    ("rsqrt", "fn f(x: f64[n]) { 1 / sqrt(x) }"),
];

fn func(text: &str) -> Result<Func, String> {
    let unit = Unit::new(text, None, &Limits::default()).map_err(|e| e[0].to_string())?;
    unit.specialize(&unit.assumed_args().map_err(|e| e[0].to_string())?).map_err(|e| e[0].to_string())
}

/// Values to try: anything for `exact` and `default`, with one special value in `rare`; near 1 for `fast`.
fn value(random: &mut Random, dtype: DType, tier: Tier, rare: usize) -> Scalar {
    if !dtype.is_float() {
        return Scalar::from_bits(
            dtype,
            if dtype == DType::Bool { random.bits() & 1 } else { random.bits() },
        );
    }
    let special = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-310, -1e300, 1e300, 1.0, -1.0];
    let v = if tier == Tier::Fast {
        0.5 + random.unit()
    } else if random.below(rare) == 0 {
        random.pick(&special)
    } else {
        random.normal() * 3.0
    };
    Scalar::from_f64(dtype, v)
}

fn inputs(random: &mut Random, func: &Func, tier: Tier) -> Vec<Array> {
    let sizes: Vec<i64> = (0..3).map(|_| random.pick(&[0, 1, 2, 3, 5])).collect();
    let size = |atom: &matex_ir::dim::Atom| {
        let names = [("n", 0), ("m", 1), ("k", 2)];
        let found = names.iter().find(|(name, _)| *atom == matex_ir::dim::Atom::Size((*name).into()));
        found.map(|(_, i)| sizes[*i])
    };
    let rare = if tier == Tier::Exact || is_elementwise(func) { 5 } else { 100 };
    let mut array = |p: &matex_ir::tensor::Param| {
        let shape: Vec<usize> = p.ty.shape.iter().map(|d| d.eval(&size).unwrap() as usize).collect();
        let count = shape.iter().product();
        let data = (0..count).map(|_| value(random, p.ty.dtype, tier, rare)).collect();
        Array::new(p.ty.dtype, shape, data).unwrap()
    };
    func.params.iter().map(&mut array).collect()
}

/// What is wrong with a result next to the one of the program as written, if anything.
fn differs(tier: Tier, before: &Array, after: &Array, largest: f64) -> Option<String> {
    if before.dtype() != after.dtype() || before.shape() != after.shape() {
        return Some(format!(
            "{}{:?} became {}{:?}",
            before.dtype(),
            before.shape(),
            after.dtype(),
            after.shape()
        ));
    }
    let near = |b: Scalar, a: Scalar| {
        let (x, y) = (b.to_f64(), a.to_f64());
        if b == a || (x.is_nan() && y.is_nan()) {
            return true;
        }
        // Above the exact tier a NaN or an infinity may become the number that was meant.
        tier != Tier::Exact
            && before.dtype().is_float()
            && (!x.is_finite() || (x - y).abs() <= 1e-12 * largest.max(1.0) + 1e-12 * x.abs())
    };
    let place = before.data().iter().zip(after.data()).position(|(b, a)| !near(*b, *a));
    place.map(|i| format!("element {i} is {} instead of {}", after.data()[i], before.data()[i]))
}

/// The largest magnitude of any finite number that goes in, and of its powers in a product.
fn scale(args: &[Array]) -> f64 {
    let numbers = args.iter().flat_map(|a| a.to_f64()).filter(|v| v.is_finite());
    numbers.fold(1.0, |m: f64, v| m.max(v.abs())).powi(4)
}

fn tame(args: &[Array]) -> bool {
    args.iter().flat_map(|a| a.to_f64()).all(|v| v.is_finite() && v.abs() < 1e100)
}

fn check(name: &str, tier: Tier, text: &str, failures: &mut Vec<String>) {
    let written = match func(text) {
        Ok(func) => run_pipeline(&func, &Options::plain(), |_, _| {}),
        Err(e) => return failures.push(format!("{name}: {e}")),
    };
    let options = Options { tier, ..Options::default() };
    let (rewritten, fired) = algebra::preferring(&written, &options, name);
    if fired == 0 {
        failures.push(format!("{name}: never fires in {text}\n{written}"));
        return;
    }
    assert_eq!(verify(&rewritten), [], "{name}\n{rewritten}");
    let mut random = Random::new(name.len() as u64 + 7);
    let mut ran = 0;
    for trial in 0..200 {
        let args = inputs(&mut random, &written, tier);
        let limits = RunLimits::default();
        let Ok(before) = run(&written, &args, &limits) else { continue };
        let after = match run(&rewritten, &args, &limits) {
            Ok(after) => after,
            Err(e) => {
                failures.push(format!("{name}: a new error: {e}\n{args:?}\n{rewritten}"));
                return;
            }
        };
        ran += 1;
        // Sums of numbers that differ by 10^300 may overflow on one way and not on the other.
        let comparable = tier == Tier::Exact || tame(&args) || is_elementwise(&written);
        let pairs = || before.iter().zip(&after);
        let largest = if is_elementwise(&written) { 1.0 } else { scale(&args) };
        let wrong = pairs().find_map(|(b, a)| differs(tier, b, a, largest)).filter(|_| comparable);
        let wrong = wrong.or_else(|| {
            let same = tier != Tier::Exact || trial > 20 || exact_kernels(&written, &rewritten, &args);
            (!same).then(|| "machine code gives other bits".to_owned())
        });
        if let Some(why) = wrong {
            failures.push(format!("{name}: {why}\n{args:?}\n{rewritten}"));
            return;
        }
    }
    if ran < 20 {
        failures.push(format!("{name}: only {ran} runs"));
    }
}

/// Whether every element of the result is computed from few numbers, none of which is added to many.
fn is_elementwise(func: &Func) -> bool {
    use matex_ir::tensor::Kind;
    !func.nodes.iter().any(|n| matches!(n.kind, Kind::Dot { .. } | Kind::Reduce { .. } | Kind::Lib(_)))
}

#[test]
fn every_rule_fires_and_is_sound() {
    let mut failures = Vec::new();
    for rule in rules::all() {
        match PROGRAMS.iter().find(|(name, _)| *name == rule.name) {
            Some((name, text)) => check(name, rule.tier, text, &mut failures),
            None => failures.push(format!("{}: has no program", rule.name)),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn names_are_unique_and_programs_are_for_rules() {
    let mut names: Vec<&str> = rules::all().map(|r| r.name).collect();
    assert!(PROGRAMS.iter().all(|(name, _)| names.contains(name)));
    names.sort_unstable();
    assert!(names.windows(2).all(|w| w[0] != w[1]));
}
