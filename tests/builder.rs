//! Built programs: the same IR as the text, and errors that name the lines of Rust.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::builder::{Axes, Builder, Built, Index};
use matex::{DType, Stage};

/// The tensor IR, without the name of the function.
fn ir(f: &matex::Function) -> String {
    let text = f.dump(Stage::Tensor).unwrap();
    let text = text.split_once('(').unwrap().1;
    // The text has a name for `v`, which a built value gets only by asking.
    text.replace(" as v\n", "\n")
}

#[track_caller]
fn same(built: &Built, text: &str) {
    let (b, t) = (built.compile().unwrap(), matex::compile(text).unwrap());
    assert_eq!(ir(&b), ir(&t), "{}", built.source());
}

#[test]
fn a_built_program_has_the_ir_of_the_text() {
    let b = Builder::new("ols");
    let (x, y) = (b.param("X", "f64[n, k]"), b.param("y", "f64[n]"));
    let gram = x.t().matmul(&x);
    let beta = gram.solve(x.t().matmul(&y));
    same(&b.returns(&[&beta]), "fn ols(X: f64[n, k], y: f64[n]) { solve(X.T @ X, X.T @ y) }");

    let b = Builder::new("loss");
    let (w, x) = (b.param("w", "f32[k]"), b.param("X", "f32[n, k]"));
    let (y, l2) = (b.param("y", "f32[n]"), b.param("l2", "f32 = 1e-3"));
    let z = x.matmul(&w);
    let loss = (z.softplus() - &y * &z).mean(()) + l2 * w.pow(2).sum(());
    let text = "fn loss(w: f32[k], X: f32[n, k], y: f32[n], l2: f32 = 1e-3) {
        z = X @ w; mean(softplus(z) - y*z) + l2 * sum(w**2) }";
    same(&b.returns(&[&loss]), text);

    let b = Builder::new("softmax_rows");
    let x = b.param("x", "f32[n, m]");
    let e = (&x - x.max(Axes::from(1).keepdims())).exp();
    let p = &e / e.sum(Axes::from(1).keepdims());
    let text = "fn f(x: f32[n, m]) { e = exp(x - max(x, axis=1, keepdims=true)); e / sum(e, axis=1, keepdims=true) }";
    same(&b.returns(&[&p]), text);

    let b = Builder::new("pairwise");
    let (x, y) = (b.param("X", "f32[n, d]"), b.param("Y", "f32[m, d]"));
    let d = x.index([Index::from(..), Index::NEW, Index::from(..)])
        - y.index([Index::NEW, Index::from(..), Index::from(..)]);
    let text =
        "fn f(X: f32[n, d], Y: f32[m, d]) { sqrt(sum((X[:, newaxis, :] - Y[newaxis, :, :])**2, axis=-1)) }";
    same(&b.returns(&[&d.pow(2).sum(-1).sqrt()]), text);
}

#[test]
fn control_flow_has_the_ir_of_the_text() {
    let b = Builder::new("power");
    let (a, v, iters) = (b.param("A", "f64[n, n]"), b.param("v", "f64[n]"), b.param("iters", "i64"));
    let [v] = b.for_each(0, &iters, [v], |_, [v]| {
        let v = a.matmul(&v);
        [&v / v.norm(())]
    });
    let text = "fn power(A: f64[n, n], v: f64[n], iters: i64) {
        for i in 0..iters { v = A @ v; v = v / norm(v); } return dot(v, A @ v), v }";
    let energy = v.dot(a.matmul(&v));
    same(&b.returns(&[&energy, &v]), text);

    let b = Builder::new("choose");
    let (x, k) = (b.param("x", "f64[n]"), b.param("k", "i64"));
    let [y, z] = b.if_else(&k.greater(0), || [&x * 2.0, &x + 1.0], || [x.exp(), -&x]);
    let f = b.returns(&[&y, &z]).compile().unwrap();
    assert_eq!(f.call(&[&[1.0], &1_i64]).unwrap()[0].to_string(), "[2.0]");
    assert_eq!(f.call(&[&[1.0], &0_i64]).unwrap()[1].to_string(), "[-1.0]");

    // Carried values change places all at once, and a loop in a loop sees the outer one's values.
    let b = Builder::new("fibonacci");
    let n = b.param("n", "i64");
    let [a, _] = b.for_each(0, &n, [b.literal(0), b.literal(1)], |_, [a, c]| [c.clone(), a + c]);
    let [sum] = b.for_each(0, &n, [b.literal(0)], |i, [s]| b.for_each(0, &i, [s], |j, [s]| [s + &j * &i]));
    let f = b.returns(&[&a, &sum]).compile().unwrap();
    let out = f.call(&[&10_i64]).unwrap();
    assert_eq!((out[0].to_string(), out[1].to_string()), ("55".into(), "870".into()));

    let b = Builder::new("collatz");
    let n = b.param("n", "i64");
    let [_, steps] = b.while_loop(
        [n, b.literal(0)],
        |[n, _]| n.not_equal(1),
        |[n, steps]| {
            let [next] = b.if_else(&(&n % 2).equal(0), || [n.floor_divide(2)], || [&n * 3 + 1]);
            [next, steps + 1]
        },
    );
    let f = b.returns(&[&steps]).compile().unwrap();
    assert_eq!(f.call(&[&27_i64]).unwrap()[0].to_string(), "111");
}

#[test]
fn literals_are_weak_and_exact() {
    let b = Builder::new("f");
    let x = b.param("x", "f32");
    let values = [0.1f64, -2.5, 1e300, -0.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 123456789012345.0];
    let exact = b.literal(values).cast(DType::F64);
    let sum = 0.1f32 + &x + 1 - 0.5 * x.clone() + (-3);
    let out = b.returns(&[&exact, &sum]).compile().unwrap().call(&[&1.0f32]).unwrap();
    let back: Vec<u64> = out[0].to_vec::<f64>().unwrap().iter().map(|v| v.to_bits()).collect();
    assert_eq!(back, values.map(f64::to_bits));
    assert_eq!(out[1].dtype(), DType::F32);
    assert_eq!(out[1].to_string(), (0.1f32 + 1.0 + 1.0 - 0.5 + -3.0).to_string());
    let nan = Builder::new("g");
    let is = nan.literal(f64::NAN).isnan();
    assert_eq!(nan.returns(&[&is]).compile().unwrap().call(&[]).unwrap()[0].to_string(), "true");
}

#[test]
fn an_error_names_the_line_that_built_it() {
    let b = Builder::new("f");
    let (y, x) = (b.param("y", "f64[n]"), b.param("X", "f64[n, k]"));
    let line = line!() + 1;
    let wrong = &y - &x;
    let error = b.returns(&[&wrong]).compile().unwrap_err();
    let place = format!("built at tests/builder.rs:{line}:");
    assert!(error.diagnostics()[0].notes.iter().any(|n| n.starts_with(&place)), "{error}");
    assert!(error.to_string().contains(&place), "{error}");

    // At a call too.
    let b = Builder::new("g");
    let (x, i) = (b.param("x", "f64[n]"), b.param("i", "i64"));
    let line = line!() + 1;
    let picked = x.at(&i);
    let error = b.returns(&[&picked]).compile().unwrap().call(&[&[1.0, 2.0], &5_i64]).unwrap_err();
    assert!(error.to_string().contains(&format!("tests/builder.rs:{line}:")), "{error}");
}

#[test]
fn values_do_not_cross_builders() {
    let (a, b) = (Builder::new("a"), Builder::new("b"));
    let (x, y) = (a.param("x", "f64"), b.param("y", "f64"));
    let error = b.returns(&[&(y + x)]).compile().unwrap_err();
    assert!(error.to_string().contains("x_of_another_builder"), "{error}");
}

#[test]
fn names_of_parameters_are_kept_apart_from_those_that_are_made() {
    let b = Builder::new("f");
    let (v1, v2) = (b.param("_1", "f64"), b.param("_2", "f64"));
    let sum = (&v1 + &v2) * (&v1 - &v2);
    let f = b.returns(&[&sum]).compile().unwrap();
    assert_eq!(f.call(&[&3.0, &2.0]).unwrap()[0].to_string(), "5.0");
}
