//! What the optimizer makes of programs: the rules that fired and the IR that comes out, to be read when they change.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex_ir::tensor::Func;
use matex_lang::{Limits, Unit};
use matex_passes::{Options, explain, run_pipeline};

fn func(name: &str, text: &str) -> Func {
    let unit = Unit::new(text, None, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {}", e[0]));
    unit.specialize(&unit.assumed_args().unwrap()).unwrap_or_else(|e| panic!("{name}: {}", e[0]))
}

/// Programs that show one thing each.
const PROGRAMS: &[(&str, &str)] = &[
    ("ridge", "fn f(X: f64[n, k], y: f64[n], l: f64) { inv(X.T @ X + l * eye(k)) @ X.T @ y }"),
    ("chain", "fn f(A: f64[n, k], B: f64[k, n], v: f64[n]) { A @ B @ v }"),
    ("trace", "fn f(A: f64[n, k], B: f64[k, n]) { trace(A @ B) }"),
    ("softplus", "fn f(x: f64[n]) { log(1 + exp(x)) }"),
    ("sigmoid", "fn f(x: f64[n]) { 1 / (1 + exp(-x)) }"),
    ("logsumexp", "fn f(x: f64[n]) { log(sum(exp(x))) }"),
    ("sum_of_product", "fn f(A: f64[n, k], B: f64[k, m]) { sum(A @ B) }"),
    ("axpy", "fn f(a: f32, x: f32[n], y: f32[n]) { a * x + y }"),
    ("products_that_cancel", "fn f(a: f64[n], b: f64[n]) { a * b - b * a }"),
    ("powers", "fn f(x: f64[n]) { x**2 + x**3 + x**0.5 + x**-1 }"),
    ("transposes", "fn f(A: f64[n, k], B: f64[m, k]) { (B @ A.T).T }"),
    ("before_a_broadcast", "fn f(x: f64[n, k], m: f64[k]) { x * exp(m * 2) }"),
    ("one_element", "fn f(x: f64[n], y: f64[n]) { (x + y)[0] }"),
    ("triangular", "fn f(A: f64[n, n], b: f64[n]) { solve(tril(A), b) }"),
    ("orthogonal", "fn f(A: f64[n, n], b: f64[n]) { (q, r) = qr(A); inv(q) @ b }"),
    ("diagonal_products", "fn f(d: f64[n], A: f64[n, k], v: f64[k]) { eye(n) * d @ A @ (eye(k) * v) }"),
    ("diagonal_solve", "fn f(d: f64[n], b: f64[n]) { solve(eye(n) * d, b) }"),
    ("diagonal_numbers", "fn f(d: f64[n]) { D = eye(n) * d; (trace(D), det(D), inv(D)) }"),
    (
        "determinants",
        "fn f(X: f64[n, k], L: f64[k, k]) { (s, l) = slogdet(X.T @ X + eye(k)); (det(tril(L)), s, l, det(L)) }",
    ),
    ("in_a_loop", "fn f(x: f64[n], k: i64) { for i in 0..k { x = x * 1 + log(1 + x); } x }"),
    (
        "structure_in_a_loop",
        "fn f(X: f64[n, k], y: f64[k], d: f64[k], t: i64) {
            A = X.T @ X + eye(k);
            L = tril(X.T @ X);
            D = eye(k) * d;
            for i in 0..t { y = solve(A, y) + solve(L.T, y) + D @ y; if i > 3 { y = solve(L, y); } }
            y
        }",
    ),
    ("turned_back", "fn f(A: f64[n, k], v: f64[n]) { exp(2 * A.T + v).T }"),
    ("relu", "fn f(x: f32[n], b: f32) { relu(x + b) }"),
    ("integers", "fn f(x: i64[n]) { (x + 1) + 2 + x * 0 }"),
];

#[test]
fn rules_and_results() {
    let mut book = String::new();
    for (name, text) in PROGRAMS {
        let func = func(name, text);
        let options = Options::default();
        let report = explain(&func, &options);
        assert_eq!(report.wrong, Vec::<String>::new(), "{name}");
        let out = run_pipeline(&func, &options, |_, _| {});
        book += &format!("---- {name}\n{text}\n\n{}{out}", report.text(text));
        let stated = options.sizes.stated();
        if !stated.is_empty() {
            book += &format!("// chosen for {stated}\n");
        }
        book += &format!("// {} e-nodes in {} rounds\n\n", report.nodes, report.rounds);
    }
    insta::assert_snapshot!(book);
}

#[test]
fn a_chosen_form_can_be_proved() {
    let text = "fn f(x: f64[n]) { log(1 + exp(x)) }";
    let report = explain(&func("softplus", text), &Options::default());
    insta::assert_snapshot!(report.proofs.join("\n"));
    // A step inside of a term is told as that part before and after, since only those are equal by the rule.
    let text = "fn f(x: f64[n, m]) { e = exp(x - max(x, axis=1, keepdims=true)); e / sum(e, axis=1, keepdims=true) }";
    let report = explain(&func("softmax", text), &Options::default());
    insta::assert_snapshot!("a_part_of_a_form_can_be_proved", report.proofs.join("\n"));
}
