//! What comes out of a gradient: how often things are read and multiplied, as counted on plans.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{Arg, Function, Report, Stage, Tensor, compile};

fn report(f: &Function, shapes: &[&[usize]]) -> Report {
    let one = |shape: &&[usize]| Tensor::from_vec(shape, vec![0.5f32; shape.iter().product()]).unwrap();
    let tensors: Vec<Tensor> = shapes.iter().map(one).collect();
    let args: Vec<Arg<'_>> = tensors.iter().map(|t| Arg::new(t)).collect();
    f.report(&args).unwrap()
}

fn products(report: &Report) -> usize {
    report.steps.iter().flat_map(|s| s.name.split(" + ")).filter(|name| name.starts_with("gemm ")).count()
}

/// How often a word stands in the optimized IR.
fn count(report: &Report, word: &str) -> usize {
    report.optimized.iter().filter(|l| l.text.contains(word)).count()
}

const MLP: &str = "fn loss(A: f32[784, 256], a: f32[256], B: f32[256, 128], b: f32[128], C: f32[128, 10], c: f32[10], x: f32[n, 784], y: f32[n, 10]) -> f32 {
    h = relu(x @ A + a);
    g = relu(h @ B + b);
    -mean(sum(y * log_softmax(g @ C + c), axis=1))
}";

/// Three products a layer, and two in the first, whose input has no derivative.
#[test]
fn a_network_of_three_layers() {
    let f = compile(MLP).unwrap().value_and_grad(&["A", "a", "B", "b", "C", "c"]).unwrap();
    let shapes: &[&[usize]] =
        &[&[784, 256], &[256], &[256, 128], &[128], &[128, 10], &[10], &[64, 784], &[64, 10]];
    let report = report(&f, shapes);
    assert_eq!((products(&report), count(&report, "= dot ")), (8, 8));
    // What the way back needs of the way there is computed once.
    assert_eq!((count(&report, "= exp "), count(&report, "= log ")), (1, 1));
    // No step does nothing but move numbers about.
    let copies: Vec<&str> =
        report.steps.iter().filter(|s| s.operations == 0.0).map(|s| s.name.as_str()).collect();
    assert!(copies.is_empty(), "{copies:?}");
}

/// Once for the products with the weights, and once for the gradient.
#[test]
fn logistic_regression_reads_its_data_twice() {
    let source = "fn loss(w: f32[k], X: f32[n, k], y: f32[n]) -> f32 { z = X @ w; mean(softplus(z) - y * z) + 1e-3 * sum(w**2) }";
    let f = compile(source).unwrap().grad("w").unwrap();
    let report = report(&f, &[&[20], &[1000, 20], &[1000]]);
    let plan = f.dump(Stage::Plan).unwrap();
    let line = plan.lines().find(|l| l.contains(" = X ")).unwrap();
    let data: u32 = line.trim().split(' ').next().unwrap().strip_prefix('b').unwrap().parse().unwrap();
    assert_eq!(report.steps.iter().filter(|s| s.reads.contains(&data)).count(), 2, "{plan}");
}

#[test]
fn a_square_has_one_product() {
    let f = compile("fn f(x: f64[n]) -> f64 { sum(x * x) }").unwrap().grad("x").unwrap();
    let text = f.dump(Stage::Optimized).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "func @grad_f(%x: f64[x.0]) -> f64[x.0] {",
            "%1: f64 = const 2.0",
            "%2: f64[x.0] = broadcast %1, []",
            "%3: f64[x.0] = mul %x, %2",
            "return %3",
            "}"
        ]
    );
}

/// A `where` on the way back leaves products of matrices what they are.
#[test]
fn masked_products_are_products() {
    let source = "fn loss(A: f32[k, m], B: f32[m, 10], x: f32[n, k]) -> f32 { z = x @ A; sum(where(z > 0.0, z, 0.0) @ B) }";
    let f = compile(source).unwrap().value_and_grad(&["A", "B"]).unwrap();
    let report = report(&f, &[&[300, 200], &[200, 10], &[100, 300]]);
    assert_eq!(count(&report, "= dot "), 5);
}
