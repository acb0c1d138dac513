//! What programs become: the tensor IR and the plan of a few, to be read when they change.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use matex_ir::tensor::Func;
use matex_lang::{Limits, Unit};
use matex_passes::{Options, lower, run_pipeline};

/// Programs that show one thing each. Their parameters have types, so that no arguments are needed.
const PROGRAMS: &[(&str, &str)] = &[
    ("add", "fn f(x: f64[n], y: f64[n]) { x + y }"),
    ("axpy", "fn f(a: f32, x: f32[n], y: f32[n]) { a * x + y }"),
    ("broadcast_row", "fn f(x: f64[n, k], m: f64[k]) { x - m }"),
    ("broadcast_column", "fn f(x: f64[n, k], y: f64[n]) { x - y[:, newaxis] }"),
    ("any_size", "fn f(x: f64[_], y: f64[_]) { x + y }"),
    ("promotion", "fn f(x: i32[n], y: f32[n]) { x * y + 1 }"),
    ("integer_division", "fn f(x: i64[n]) { x / 2 + floor_divide(x, 2) }"),
    ("mean_of_rows", "fn f(x: f32[n, m]) { mean(x, axis=1) }"),
    (
        "softmax_rows",
        "fn f(x: f32[n, m]) { e = exp(x - max(x, axis=1, keepdims=true)); e / sum(e, axis=1, keepdims=true) }",
    ),
    ("logsumexp", "fn f(x: f64[n]) { logsumexp(x) }"),
    ("variance", "fn f(x: f64[n]) { var(x) }"),
    ("argmax", "fn f(x: f64[n, m]) { argmax(x, axis=1) }"),
    ("ols", "fn ols(X: f64[n, k], y: f64[n]) -> f64[k] { solve(X.T @ X, X.T @ y) }"),
    (
        "pairwise",
        "fn f(X: f32[n, d], Y: f32[m, d]) -> f32[n, m] { sqrt(sum((X[:, newaxis, :] - Y[newaxis, :, :])**2, axis=-1)) }",
    ),
    ("slices", "fn f(x: f64[n]) { x[1:-1] + x[2:] + x[:-2][::-1] }"),
    ("gather", "fn f(x: f64[n, m], i: i64[k]) { x[:, i] }"),
    ("dynamic_index", "fn f(x: f64[n], i: i64) { x[i] }"),
    ("update", "fn f(x: f64[n, m]) { x[0] = 1.0; x[:, -1] += 2.0; x }"),
    ("for_loop", "fn f(x: f32[n]) { s = 0; for i in 0..n { s += x[i]; } s }"),
    ("while_loop", "fn f(x: f64) { k = 0; while x > 1 { x = x / 2; k += 1; } return x, k }"),
    ("branches", "fn f(x: f64[n]) { if sum(x) > 0 { x } else { -x } }"),
    ("inlined_call", "fn sq(v: float[n]) -> float[n] { v * v }\nfn f(x: f32[n]) { sum(sq(x) + sq(2 * x)) }"),
    ("dead_code", "fn f(x: f64[n]) { unused = exp(x); x }"),
    ("common_parts", "fn f(x: f64[n]) { exp(x) * 2 + exp(x) }"),
    ("padding", "fn f(x: f64[n]) { pad(x, [[1, 2]], mode=reflect) }"),
    ("sizes", "fn f(x: f64[n, m], k: i64) { zeros([k, n * m - 1]) + 1.0 }"),
    ("einsum", "fn f(a: f64[b, i, j], c: f64[b, j, k]) { einsum(\"bij,bjk->bik\", a, c) }"),
    (
        "haversine",
        "fn f(lat1: float[n], lon1: float[n], lat2: float[n], lon2: float[n]) -> float[n] { a = sin((lat2 - lat1)/2)**2 + cos(lat1)*cos(lat2)*sin((lon2 - lon1)/2)**2; 2.0 * 6371.0 * asin(sqrt(a)) }",
    ),
];

fn func(name: &str, text: &str) -> Func {
    let unit = Unit::new(text, None, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {}", e[0]));
    unit.specialize(&unit.assumed_args().unwrap()).unwrap_or_else(|e| panic!("{name}: {}", e[0]))
}

#[test]
fn tensor_ir() {
    let mut book = String::new();
    for (name, text) in PROGRAMS {
        book += &format!("---- {name}\n{text}\n\n{}\n", func(name, text));
    }
    insta::assert_snapshot!(book);
}

#[test]
fn canonical_tensor_ir() {
    let mut book = String::new();
    for (name, text) in PROGRAMS {
        book +=
            &format!("---- {name}\n{}\n", run_pipeline(&func(name, text), &Options::default(), |_, _| {}));
    }
    insta::assert_snapshot!(book);
}

/// What programs that people write come to: kernels, products of matrices, and how many kernels were priced for it.
const WORKLOADS: &[(&str, &str)] = &[
    ("normalized by two", "fn f(a: f32[n], b: f32[n]) { m = a + b; m / (m[0] + m[1]) }"),
    ("polynomial", "fn f(x: f32[n]) { ((2 * x + 3) * x - 1) * x + 5 }"),
    ("gaussian", "fn f(x: f64[n]) { exp(-x**2 / 2) / sqrt(2 * pi) }"),
    ("sigmoid", "fn f(x: f32[n]) { 1 / (1 + exp(-x)) }"),
    (
        "haversine",
        "fn f(a: f64[n], b: f64[n], c: f64[n], d: f64[n]) { h = sin((c - a)/2)**2 + cos(a)*cos(c)*sin((d - b)/2)**2; 12742.0 * asin(sqrt(h)) }",
    ),
    (
        "black scholes",
        "fn cdf(x: float[n]) -> float[n] { 0.5 * (1 + erf(x / sqrt(2.0))) }\nfn f(s: f64[n], k: f64[n], t: f64[n], r: f64, v: f64) { q = v * sqrt(t); d = (log(s / k) + (r + v**2 / 2) * t) / q; e = d - q; z = k * exp(-r * t); return s * cdf(d) - z * cdf(e), z * cdf(-e) - s * cdf(-d) }",
    ),
    ("softmax of rows", "fn f(x: f32[n, m]) { softmax(x, axis=1) }"),
    ("softmax of columns", "fn f(x: f32[n, m]) { softmax(x, axis=0) }"),
    ("log softmax", "fn f(x: f64[n, m]) { log_softmax(x, axis=1) }"),
    (
        "layernorm",
        "fn f(x: f32[n, m], g: f32[m], b: f32[m]) { d = x - mean(x, axis=1, keepdims=true); d / sqrt(mean(d**2, axis=1, keepdims=true) + 1e-5) * g + b }",
    ),
    ("logsumexp of rows", "fn f(x: f64[n, m]) { logsumexp(x, axis=1) }"),
    ("logsumexp", "fn f(x: f64[n]) { logsumexp(x) }"),
    ("variance", "fn f(x: f64[n, m]) { var(x, axis=1) }"),
    ("mean and variance", "fn f(x: f64[n, m]) { return mean(x, axis=1), var(x, axis=1) }"),
    (
        "sum, largest and mean",
        "fn f(x: f64[n, m]) { return sum(x, axis=1), max(x, axis=1), mean(x, axis=1) }",
    ),
    ("sum, mean and largest", "fn f(x: f64[n]) { return sum(x), mean(x), max(x) }"),
    (
        "sums over rows, columns and all",
        "fn f(x: f64[n, m]) { return sum(x, axis=0), sum(x, axis=1), sum(x) }",
    ),
    ("trace of a product", "fn f(a: f64[n, k], b: f64[k, n]) { trace(a @ b) }"),
    ("normalized", "fn f(x: f64[n]) { x / sum(x) }"),
    ("distance", "fn f(x: f64[n], y: f64[n]) { sqrt(mean((x - y)**2)) }"),
    (
        "multilayer perceptron",
        "fn f(x: f32[n, a], u: f32[a, b], p: f32[b], v: f32[b, c], q: f32[c]) { relu(x @ u + p) @ v + q }",
    ),
    ("attention", "fn f(q: f32[n, d], k: f32[m, d], v: f32[m, e]) { softmax(q @ k.T / 8.0, axis=1) @ v }"),
    ("stencil", "fn f(x: f64[n]) { x[1:-1] + 0.1 * (x[:-2] - 2 * x[1:-1] + x[2:]) }"),
    ("covariance", "fn f(x: f64[n, k]) { d = x - mean(x, axis=0); d.T @ d / 9.0 }"),
];

#[test]
fn kernels_of_workloads() {
    let mut book = String::new();
    for (name, text) in WORKLOADS {
        let options = Options::default();
        let func = run_pipeline(&func(name, text), &options, |_, _| {});
        let plan = lower(&func, &[], &options).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let apart = lower(&func, &[], &Options { fuse: false, ..options.clone() }).unwrap();
        let gemms = |text: &str| text.matches(" or kernel ").count();
        let (text, each) = (plan.to_string(), apart.to_string());
        book += &format!(
            "---- {name}: {} kernels and {} products, {} and {} of single ops, {} priced\n{text}\n",
            plan.kernel_steps - gemms(&text),
            gemms(&text),
            apart.kernel_steps - gemms(&each),
            gemms(&each),
            matex_passes::fuse::choose(&func, &options.sizes, options.costs).priced,
        );
    }
    insta::assert_snapshot!(book);
}

#[test]
fn plans() {
    let mut book = String::new();
    for (name, text) in PROGRAMS {
        let options = Options::default();
        let plan = lower(&run_pipeline(&func(name, text), &options, |_, _| {}), &[], &options);
        let plan = plan.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        book += &format!("---- {name}\n{plan}\n");
    }
    insta::assert_snapshot!(book);
}
