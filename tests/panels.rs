//! Products that run panel by panel with what follows them give the bits of kernels that run one after another.

#![allow(clippy::unwrap_used, reason = "in a test it is the check")]

use matex_ir::dim::Atom;
use matex_lang::{ArgSpec, Limits, Unit};
use matex_passes::{Options, Sizes};
use matex_runtime::{AsView, Executable, PrepareOptions, Tensor, View};

/// A tensor of numbers that differ, some of which are not finite.
fn fill(shape: &[usize], seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| match (i * 7919 + seed) % 4999 {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => -0.0,
        j => j as f64 / 2048.0 - 1.0,
    };
    Tensor::from_vec(shape, (0..count).map(value).collect()).unwrap()
}

fn run(source: &str, args: &[View<'_>], fuse: bool, threads: usize) -> (Vec<Tensor>, String) {
    let spec = |v: &View<'_>| {
        Some(ArgSpec { dtype: v.dtype(), ones: v.shape().iter().map(|e| *e == 1).collect(), weak: false })
    };
    let unit = Unit::new(source, None, &Limits::default()).unwrap();
    let func = unit.specialize(&args.iter().map(spec).collect::<Vec<_>>()).unwrap();
    let sizes = func.params.iter().zip(args).flat_map(|(p, v)| p.ty.shape.iter().zip(v.shape()));
    let named = sizes.filter_map(|(d, e)| Some((Atom::Size(d.as_size()?.into()), *e as i64)));
    let passes = Options { fuse, sizes: Sizes::of(named), ..Options::default() };
    let options = PrepareOptions { passes, threads, ..PrepareOptions::default() };
    let exe = Executable::prepare(&func, &[], &options).unwrap();
    let plan = exe.plan().to_string();
    (exe.call(args).unwrap_or_else(|e| panic!("{e}\n{plan}")), plan)
}

/// Compares the results of a program whose plan has a kernel by rows with those of one that has none.
fn check(source: &str, shapes: &[&[usize]]) {
    let args: Vec<Tensor> = shapes.iter().enumerate().map(|(i, s)| fill(s, 31 * i)).collect();
    let views: Vec<View<'_>> = args.iter().map(|t| t.as_view()).collect();
    let (wanted, plan) = run(source, &views, false, 1);
    assert!(!plan.contains("by rows"), "{plan}");
    for threads in [1, 2, 5] {
        let (found, plan) = run(source, &views, true, threads);
        assert!(plan.contains("by rows"), "{source}\n{plan}");
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found.describe(), wanted.describe(), "{source}");
            let pairs = found.as_view();
            let pairs = pairs.scalars().zip(wanted.as_view().scalars().collect::<Vec<_>>());
            let differs = |(x, y): &(matex_ir::Scalar, matex_ir::Scalar)| {
                x.bits() != y.bits() && !(x.to_f64().is_nan() && y.to_f64().is_nan())
            };
            let first = pairs.enumerate().find(|(_, p)| differs(p));
            assert!(first.is_none(), "{source} on {threads} threads: {first:?}");
        }
    }
}

/// Rows enough for several panels.
const ROWS: usize = 1500;

#[test]
fn what_is_done_to_results() {
    let shapes: &[&[usize]] = &[&[ROWS, 40], &[40, 200], &[200]];
    check("fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { maximum(x @ w + b, 0) }", shapes);
    check("fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { softmax(x @ w + b, axis=1) }", shapes);
    check("fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { x @ w > b }", shapes);
    check("fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { logsumexp(x @ w + b, axis=1) }", shapes);
    check("fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { cast(x @ w + b, f32) }", shapes);
    check(
        "fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { t = x @ w; return tanh(t + b), sum(t, axis=0) }",
        shapes,
    );
}

#[test]
fn what_computes_operands() {
    let shapes: &[&[usize]] = &[&[ROWS, 40], &[40, 200]];
    check("fn f(x: f64[n, k], w: f64[k, m]) { exp(-abs(x)) @ w + 1 }", shapes);
    check("fn f(x: f64[n, k], w: f64[k, m]) { softmax(x, axis=1) @ w * 2 }", shapes);
    check("fn f(x: f64[n, k], w: f64[k, m]) { y = x * 2; (y - mean(y)) @ w + 1 }", shapes);
}

/// An operand of the product that the kernel behind it reads for the last time must not be written over before the
/// product of the last panel has read it.
#[test]
fn operands_that_are_read_again() {
    let square: &[&[usize]] = &[&[600, 600], &[600, 64]];
    check("fn f(x: f64[n, n], u: f64[n, r]) { y = exp(-abs(u)); y + x @ y }", square);
    check("fn f(x: f64[n, n], u: f64[n, r]) { y = exp(-abs(u)); v = y @ y.T; v + 1 }", square);
    let shapes: &[&[usize]] = &[&[ROWS, 40], &[40, 200], &[ROWS, 200]];
    check("fn f(x: f64[n, k], w: f64[k, m], r: f64[n, m]) { y = r * 3; x @ w + y }", shapes);
}

#[test]
fn several_products_vectors_and_batches() {
    let shapes: &[&[usize]] = &[&[ROWS, 40], &[40, 200], &[ROWS, 30], &[30, 200]];
    check("fn f(x: f64[n, k], w: f64[k, m], h: f64[n, l], u: f64[l, m]) { tanh(x @ w + h @ u) }", shapes);
    check("fn f(x: f64[n, k], v: f64[k]) { 1 / (1 + exp(-(x @ v))) }", &[&[200_000, 4], &[4]]);
    check("fn f(v: f64[k], w: f64[k, m]) { tanh(v @ w) }", &[&[4], &[4, 200_000]]);
    let batch: &[&[usize]] = &[&[30, 64, 20], &[30, 20, 100], &[100]];
    check("fn f(x: f64[b, n, k], w: f64[b, k, m], c: f64[m]) { tanh(x @ w + c) }", batch);
    check("fn f(x: f64[b, n, k], w: f64[b, k, m], c: f64[m]) { softmax(x @ w + c, axis=2) }", batch);
}

#[test]
fn small_and_empty() {
    for n in [0, 1, 3, 17] {
        let shapes: &[&[usize]] = &[&[n, 5], &[5, 3], &[3]];
        check("fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { maximum(x @ w + b, 0) }", shapes);
        let shapes: &[&[usize]] = &[&[3, n], &[n, 3], &[3]];
        check("fn f(x: f64[n, k], w: f64[k, m], b: f64[m]) { softmax(x @ w + b, axis=1) }", shapes);
    }
}

/// Programs of several products and factors, of sizes that are kernels, library calls and nothing at all.
#[test]
fn factors_are_multiplied() {
    let back = "fn f(A: f64[n, n]) { (P, L, U) = lu(A); (Q, R) = qr(A); (u, s, vh) = svd(A, full_matrices=false); return P @ L @ U - A, Q @ R - A, (u * s) @ vh - A, Q.T @ Q - eye(n), u.T @ u - eye(n), vh @ vh.T - eye(n) }";
    let symmetric = "fn f(A: f64[n, n]) { S = A @ A.T + 1e-3 * eye(n); (w, V) = eigh(S); C = cholesky(S); return (V * w) @ V.T - S, C @ C.T - S, V.T @ V - eye(n) }";
    for n in [0, 1, 2, 15, 16, 17, 40, 300] {
        let value = |i: usize| ((i * 7919) % 4999) as f64 / 2048.0 - 1.0;
        let a = Tensor::from_vec(&[n, n], (0..n * n).map(value).collect()).unwrap();
        for source in [back, symmetric] {
            let (wanted, _) = run(source, &[a.as_view()], false, 1);
            for threads in [1, 2] {
                let (found, plan) = run(source, &[a.as_view()], true, threads);
                assert_eq!(found, wanted, "{n}: {plan}");
            }
        }
    }
}
