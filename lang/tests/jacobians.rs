//! Jacobians, which leave out the zeros of unit vectors, against one derivative for each unit vector, as the oracle
//! interpreter computes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::*;
use matex_ir::tensor::interp::Array;

fn unit(n: usize, i: usize) -> Vec<f64> {
    (0..n).map(|j| f64::from(u8::from(i == j))).collect()
}

/// The derivatives along all unit vectors by a program of `x` and `v`, as the columns of a matrix by rows.
fn columns(program: &str, x: &Array, more: &[Array]) -> Vec<f64> {
    let n = x.data().len();
    let column = |i| {
        let mut args = vec![x.clone(), array(x.shape(), &unit(n, i))];
        args.extend_from_slice(more);
        eval(program, &args)[0].to_f64()
    };
    let columns: Vec<Vec<f64>> = (0..n).map(column).collect();
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows).flat_map(|r| columns.iter().map(move |c| c[r])).collect()
}

fn check(body: &str, shape: &[usize], x: &[f64]) {
    let f = &block(body);
    let d = dims(shape);
    let x = array(shape, x);
    let out = eval(&format!("fn main(x: f64[{d}]) {f}"), std::slice::from_ref(&x)).remove(0);
    let jacobian = format!("fn main(x: f64[{d}]) {{ jacobian(|x| {f})(x) }}");
    let made = eval(&jacobian, std::slice::from_ref(&x)).remove(0);
    assert_eq!(made.shape(), [out.shape(), shape].concat(), "{f}");
    let forward = format!("fn main(x: f64[{d}], v) {{ (y, t) = jvp(|x| {f}, x, v); t }}");
    close("jacobian", f, &made.to_f64(), &columns(&forward, &x, &[]), 1e-12);
    // By rows, as of a result that has fewer elements, and of second order.
    let ct = array(out.shape(), &noise(out.data().len(), 13));
    let (given, both) = (std::slice::from_ref(&ct), [x.clone(), ct.clone()]);
    let program = |main: &str| format!("fn f(x: f64[{d}]) {f}\nfn main(x: f64[{d}], {main}");
    let along = |of: &str| program(&format!("v, ct) {{ (y, t) = jvp({of}, x, v); t }}"));
    let all = |of: &str| eval(&program(&format!("ct) {{ {of}(|x| sum(f(x) * ct))(x) }}")), &both)[0].to_f64();
    close("a row", f, &all("jacobian"), &columns(&along("|x| sum(f(x) * ct)"), &x, given), 1e-11);
    let gradient = "|x| grad(|x| sum(f(x) * ct))(x)";
    close("hessian", f, &all("hessian"), &columns(&along(gradient), &x, given), 1e-10);
}

fn cases(rows: &[Row]) {
    for (body, shape) in rows {
        check(body, shape, &noise(shape.iter().product(), 7));
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

/// What is tied, cut, widened, put side by side and untied again.
#[test]
fn pieces_of_a_parameter() {
    cases(&[
        ("tanh(reshape(x[0:6], [2, 3]) @ x[6:9]) * x[9:11]", &[11]),
        ("[x[2], x[0] * x[1], x[2] * x[2]]", &[3]),
        ("concat([x[4:], x[:4] * 2.0])", &[6]),
        ("concat([x[1:4], zeros(2), x[0:2]]) * concat([x, x[:1]])", &[6]),
        ("x[::2] * x[1::2]", &[8]),
        ("x[::-1] * x", &[5]),
        ("x[5:0:-2]**2", &[6]),
        ("reshape(reshape(x[1:7], [3, 2])[1:, :], [2, 2]) * 2.0", &[8]),
        ("reshape(reshape(x, [2, 3])[:, 1], [2, 1]) * x", &[6]),
        ("reshape(reshape(x, [2, 3]).T, [6]) * x", &[6]),
        ("reshape(x, [4, 3])[1:3]**2", &[2, 6]),
        ("reshape(x, [1, 3, 1]) * 2.0 + x", &[3]),
        ("pad(x, [[1, 2]])**2", &[3]),
        ("pad(x, [[1, 2]])[0:4] * 3.0 + pad(x[1:], [[2, 0]])", &[3]),
        ("pad(pad(x, [[2, 1]])[1:5] * 2.0, [[1, 1]])", &[4]),
        ("x[newaxis, :] * x[:, newaxis]", &[3]),
        ("sum(x[newaxis, :] * x[:, newaxis], axis=0) + sum(x * x, axis=0)", &[3]),
        ("sum(x * x, axis=1) * sum(x, axis=0)", &[3, 3]),
        ("sum(x**3, axis=[0, 2])", &[2, 3, 2]),
        ("x * x[0] * x[1, 0]", &[2, 1]),
        ("broadcast_to(x, [3, 2]) * x", &[1, 2]),
        ("x.T * x", &[3, 3]),
        ("permute_dims(x**2, [2, 0, 1])", &[2, 3, 2]),
        ("cumsum(x**2)", &[4]),
        ("cumsum(x**2, axis=0) * x", &[2, 3]),
        ("x[[2, 0, 2]]**2", &[3]),
        ("sum(x, axis=1)[[1, 0, 1]] * 2.0", &[2, 2]),
        ("x @ x", &[3, 3]),
        ("x @ x.T @ x", &[2, 3]),
        ("einsum(\"ij,ij->i\", x, x)", &[2, 3]),
        ("einsum(\"bij,bjk->bki\", x, permute_dims(x, [0, 2, 1]))", &[2, 2, 3]),
        ("einsum(\"ii->i\", x * x)", &[3, 3]),
        ("[[1.0, 2.0], [0.5, 3.0]] @ x", &[2, 2]),
        ("x @ [[1.0, 2.0], [0.5, 3.0]] + [[3.0, 1.0], [2.0, 5.0]] @ x.T", &[2, 2]),
        ("einsum(\"bij,bkj->ibk\", x, reshape(arange(12.0), [2, 3, 2]))", &[2, 2, 2]),
        ("where(x > 0.0, x[::-1], 0.0) + where(x > 0.2, x**2, 3.0 * x)", &[4]),
        ("solve(reshape([3.0, 1.0, 1.0, 4.0], [2, 2]), x)", &[2]),
        ("x", &[3]),
        ("stop_gradient(x)", &[3]),
        ("x * 2.0", &[]),
        ("sum(x) * zeros(2)", &[0]),
    ]);
}

/// More pieces, and more steps to one, than are carried apart.
#[test]
fn many_pieces() {
    let sum: Vec<String> = (0..15).map(|i| format!("x[{i}:{}] * {i}.5", i + 2)).collect();
    check(&sum.join(" + "), &[16], &noise(16, 7));
    let mut body = "x".to_owned();
    for _ in 0..6 {
        body = format!("(reshape(reshape({body}[1:], [1, -1])[:, :-1], [-1]) * 2.0)");
    }
    check(&body, &[16], &noise(16, 7));
}

/// A derivative that is infinite makes no NaN beside it.
#[test]
fn zeros_are_not_multiplied() {
    let x = array(&[2], &[0.0, 4.0]);
    let made = eval("fn main(x: f64[2]) { jacobian(|x| sqrt(x))(x) }", &[x]).remove(0);
    assert_eq!(made.to_f64(), [f64::INFINITY, 0.0, 0.0, 0.25]);
}
