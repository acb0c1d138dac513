//! Derivatives of every operation against central differences, forward mode against reverse mode, and both of second
//! order, as the oracle interpreter computes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::*;
use matex_ir::tensor::interp::Array;

/// What one case is: a name, a function of x, and x.
struct Case {
    body: &'static str,
    shape: &'static [usize],
    x: Vec<f64>,
}

fn moved(x: &[f64], v: &[f64], h: f64) -> Vec<f64> {
    x.iter().zip(v).map(|(x, v)| x + h * v).collect()
}

/// The central difference of a program along a direction, in Richardson's form, which is exact to the fourth order.
fn difference(program: &str, case: &Case, v: &[f64], more: &[Array]) -> Vec<f64> {
    let at = |h: f64| {
        let mut args = vec![array(case.shape, &moved(&case.x, v, h))];
        args.extend_from_slice(more);
        eval(program, &args)[0].to_f64()
    };
    let h = 1e-3;
    let (near, far) = ((at(h), at(-h)), (at(2.0 * h), at(-2.0 * h)));
    (0..near.0.len())
        .map(|i| {
            let (d1, d2) = ((near.0[i] - near.1[i]) / (2.0 * h), (far.0[i] - far.1[i]) / (4.0 * h));
            (4.0 * d1 - d2) / 3.0
        })
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn check(case: &Case) {
    let f = &block(case.body);
    let (n, d) = (case.x.len(), dims(case.shape));
    let (x, v) = (array(case.shape, &case.x), noise(n, 11));
    let plain = format!("fn main(x: f64[{d}]) {f}");
    let out = eval(&plain, std::slice::from_ref(&x)).remove(0);
    let ct = array(out.shape(), &noise(out.data().len(), 13));
    let direction = array(case.shape, &v);
    let forward = format!("fn main(x: f64[{d}], v) {{ (y, t) = jvp(|x| {f}, x, v); t }}");
    let reverse = format!("fn main(x: f64[{d}], ct) {{ (y, g) = vjp(|x| {f}, x, ct); g }}");
    let t = eval(&forward, &[x.clone(), direction.clone()])[0].to_f64();
    close("forward against differences", f, &t, &difference(&plain, case, &v, &[]), 2e-7);
    let g = eval(&reverse, &[x.clone(), ct.clone()]).remove(0);
    assert_eq!(g.shape(), case.shape, "{f}");
    close("reverse against forward", f, &[dot(&g.to_f64(), &v)], &[dot(&ct.to_f64(), &t)], 1e-11);
    let over = format!(
        "fn main(x: f64[{d}], ct, v) {{ (a, b) = jvp(|x| {{ (y, g) = vjp(|x| {f}, x, ct); g }}, x, v); b }}"
    );
    let back = format!(
        "fn main(x: f64[{d}], ct, v) {{ (a, b) = vjp(|x| {{ (y, g) = vjp(|x| {f}, x, ct); g }}, x, v); b }}"
    );
    let args = [x.clone(), ct.clone(), direction.clone()];
    let hv = eval(&over, &args)[0].to_f64();
    close("second order against differences", f, &hv, &difference(&reverse, case, &v, &[ct]), 2e-6);
    let vh = eval(&back, &args)[0].to_f64();
    close("the second derivative is symmetric", f, &vh, &hv, 1e-9);
}

fn cases(rows: &[Row]) {
    for (body, shape) in rows {
        let n = shape.iter().product();
        check(&Case { body, shape, x: noise(n, 7) });
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
fn zeros_in_products() {
    for x in [vec![0.0, 2.0, 3.0, -1.0], vec![0.0, 2.0, 0.0, -1.0], vec![0.0; 4]] {
        for body in ["prod(x)", "cumprod(x)"] {
            check(&Case { body, shape: &[4], x: x.clone() });
        }
    }
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

#[test]
fn forward_goes_through_while() {
    let f = "{ s = x; while sum(s**2) > 0.1 { s = s * 0.7 + 0.01 * x**2; } s }";
    let case = Case { body: f, shape: &[3], x: noise(3, 5) };
    let v = noise(3, 9);
    let t = eval(
        &format!("fn main(x, v) {{ (y, t) = jvp(|x| {f}, x, v); t }}"),
        &[array(&[3], &case.x), array(&[3], &v)],
    );
    let plain = format!("fn main(x: f64[3]) {f}");
    close("forward", f, &t[0].to_f64(), &difference(&plain, &case, &v, &[]), 1e-7);
}
