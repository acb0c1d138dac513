//! `where` keeps what was not taken out of derivatives: of every operation, and whatever is wrong there.
//!
//! Each operation runs on three entries of which the first is not taken. What the others give must be what they give
//! when nothing is wrong with the first, and the first must give 0.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::*;
use matex_ir::DType;
use matex_ir::tensor::interp::{Array, RunLimits};

const COUNT: usize = 3;

/// Runs a program that takes `x`, `z` and `ok`, with a `z` of ones and with one that has something else for the entry
/// that is not taken.
fn holds(program: &str, x: &Array, ok: &Array, wrong: f64) {
    let n = x.data().len();
    let z = |first: f64| -> Vec<f64> { (0..n).map(|i| if i < n / COUNT { first } else { 1.0 }).collect() };
    let limits = RunLimits { nan_passes: true, ..RunLimits::default() };
    let at = |first: f64| {
        let args = [x.clone(), array(x.shape(), &z(first)), ok.clone()];
        let out = eval_within(program, &args, &limits).remove(0);
        assert_eq!(out.shape(), x.shape(), "{program}");
        out.to_f64()
    };
    let (got, mut wanted) = (at(wrong), at(1.0));
    wanted[..n / COUNT].fill(0.0);
    close("nothing from the entry that was not taken", program, &got, &wanted, 1e-12);
}

fn cases(rows: &[Row]) {
    for (body, shape) in rows {
        let f = block(body);
        let longer: Vec<usize> = std::iter::once(COUNT).chain(shape.iter().copied()).collect();
        let n = longer.iter().product();
        let x = array(&longer, &noise(n, 3));
        let outer = dims(&longer);
        let out = eval(&format!("fn main(x: f64[{outer}]) {{ vmap(|x| {f})(x) }}"), std::slice::from_ref(&x));
        let mut spread = vec![1; out[0].shape().len()];
        spread[0] = COUNT;
        let flags = [0.0, 1.0, 1.0];
        let wide = Array::from_f64(DType::Bool, &spread, &flags).unwrap();
        let flat = Array::from_f64(DType::Bool, &[COUNT], &flags).unwrap();
        // The root has no derivative at 0; x is the same for any z.
        let root = "x - stop_gradient(sqrt(z)) + sqrt(z)";
        let together = format!(
            "fn g(x) {f}
             fn loss(z, x, ok) {{ sum(where(ok, vmap(g)({root})**2, 0.0)) }}
             fn main(x: f64[{outer}], z, ok)"
        );
        holds(&format!("{together} {{ grad(loss)(z, x, ok) }}"), &x, &wide, 0.0);
        let forward = "{ (y, t) = jvp(|z| grad(loss)(z, x, ok), z, sin(x)); t }";
        holds(&format!("{together} {forward}"), &x, &wide, 0.0);
        holds(&format!("{together} {{ grad(|z| sum(grad(loss)(z, x, ok) * sin(x)))(z) }}"), &x, &wide, 0.0);
        let each = format!(
            "fn g(x) {f}
             fn loss(z, x, ok) {{ sum(where(ok, g({root})**2, 0.0)) }}
             fn main(x: f64[{outer}], z, ok) {{ vmap(grad(loss))(z, x, ok) }}"
        );
        holds(&each, &x, &flat, 0.0);
        // A factor that is NaN, with the derivative by the other one.
        let factor = format!(
            "fn g(x) {f}
             fn loss(x, z, ok) {{ sum(where(ok, vmap(g)(x * z)**2, 0.0)) }}
             fn main(x: f64[{outer}], z, ok) {{ grad(loss)(x, z, ok) }}"
        );
        holds(&factor, &x, &wide, f64::NAN);
    }
}

#[test]
fn elementwise() {
    cases(ELEMENTWISE);
}

#[test]
fn reductions_and_scans() {
    cases(REDUCTIONS);
}

#[test]
fn shapes_and_indices() {
    cases(SHAPES);
}

#[test]
fn products() {
    cases(PRODUCTS);
}

#[test]
fn linear_algebra() {
    cases(LINEAR_ALGEBRA);
}

#[test]
fn loops_and_branches() {
    cases(CONTROL);
}
