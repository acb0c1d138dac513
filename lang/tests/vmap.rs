//! `vmap` of every operation against the loop that it stands for, nested and with derivatives, as the oracle
//! interpreter computes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::*;
use matex_ir::tensor::interp::Array;

const COUNT: usize = 3;

/// Entry `i` of the first axis.
fn entry(a: &Array, i: usize) -> Array {
    let shape = &a.shape()[1..];
    let n: usize = shape.iter().product();
    Array::new(a.dtype(), shape.to_vec(), a.data()[i * n..(i + 1) * n].to_vec()).unwrap()
}

/// Compares a program on entries with one on all of them at once.
fn same_as_loop(one: &str, all: &str, args: &[Array], mapped: &[bool]) {
    let together = eval(all, args);
    for i in 0..COUNT {
        let inside: Vec<Array> =
            args.iter().zip(mapped).map(|(a, m)| if *m { entry(a, i) } else { a.clone() }).collect();
        for (whole, part) in together.iter().zip(eval(one, &inside)) {
            let got = entry(whole, i);
            assert_eq!((got.shape(), got.dtype()), (part.shape(), part.dtype()), "{all}");
            close("vmap against the loop", all, &got.to_f64(), &part.to_f64(), 1e-12);
        }
    }
}

fn cases(rows: &[Row]) {
    for (body, shape) in rows {
        let f = block(body);
        let longer: Vec<usize> = std::iter::once(COUNT).chain(shape.iter().copied()).collect();
        let n = longer.iter().product();
        let x = array(&longer, &noise(n, 3));
        let (inner, outer) = (dims(shape), dims(&longer));
        let one = format!("fn main(x: f64[{inner}]) {f}");
        let all = format!("fn main(x: f64[{outer}]) {{ vmap(|x| {f})(x) }}");
        same_as_loop(&one, &all, std::slice::from_ref(&x), &[true]);
        // The derivative of each, and that of all together.
        let v = array(&longer, &noise(n, 5));
        let one = format!("fn main(x: f64[{inner}], v) {{ jvp(|x| {f}, x, v) }}");
        let all = format!("fn main(x: f64[{outer}], v) {{ vmap(|x, v| jvp(|x| {f}, x, v))(x, v) }}");
        let outside = format!("fn main(x: f64[{outer}], v) {{ jvp(|x| vmap(|x| {f})(x), x, v) }}");
        same_as_loop(&one, &all, &[x.clone(), v.clone()], &[true, true]);
        same_as_loop(&one, &outside, &[x.clone(), v], &[true, true]);
        let plain = format!("fn g(x) {f}\nfn main(x: f64[{inner}]) {{ grad(|x| sum(g(x)**2))(x) }}");
        let inside = format!("fn g(x) {f}\nfn main(x: f64[{outer}]) {{ vmap(grad(|x| sum(g(x)**2)))(x) }}");
        let outside = format!("fn g(x) {f}\nfn main(x: f64[{outer}]) {{ grad(|x| sum(vmap(g)(x)**2))(x) }}");
        same_as_loop(&plain, &inside, std::slice::from_ref(&x), &[true]);
        same_as_loop(&plain, &outside, std::slice::from_ref(&x), &[true]);
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

/// One argument mapped, the other not, either way round, for nodes that have a rule for each.
#[test]
fn some_arguments_only() {
    let bodies: &[(&str, &str, &str)] = &[
        ("x @ y", "3, 3", "3, 3"),
        ("x @ y", "3, 3", "3"),
        ("x @ y", "2, 3, 3", "2, 3, 3"),
        ("einsum(\"ijk,lk->ilj\", x, y)", "2, 3, 3", "2, 3"),
        ("solve(x + 3.0 * eye(3), y)", "3, 3", "3, 2"),
        ("solve_triangular(x + 3.0 * eye(3), y)", "3, 3", "3"),
        ("lstsq(x, y)", "4, 2", "4"),
        ("searchsorted(sort(x), y)", "5", "4"),
        ("x[cast(y * 2.0, i64)]", "4, 2", "3"),
        ("take(x, cast(y * 2.0, i64), axis=1)", "2, 4", "2, 2"),
        ("{ z = x; z[cast(y[0] * 2.0, i64), 1:] = y[1:]; z }", "4, 3", "3"),
        ("{ z = x; z[cast(y[0] * 2.0, i64), cast(y[1] * 2.0, i64)] += 5.0; z }", "4, 3", "3"),
        ("{ z = x; z[1:3] = y; z }", "4", "2"),
        ("pad(x, [[1, 1]], value=sum(y))", "4", "2"),
        ("concat([x, y])", "4", "2"),
        ("where(x > 0.0, x, y)", "4", "4"),
        ("scatter_add(x, [1, 1], y, axis=0)", "4", "2"),
        ("take_along_axis(x, cast(y, i64), axis=0)", "4", "2"),
        ("if sum(x) > 0.0 { x * sum(y) } else { y[0] - x }", "3", "2"),
        ("if y[0] > 0.0 { solve(x + 3.0 * eye(2), y) } else { y }", "2, 2", "2"),
        ("{ s = x; while sum(s**2) > 0.1 { s = s * 0.7 * y[0]; } s }", "3", "2"),
        ("{ s = x; while sum(s**2) > 0.1 { s[0:2] = s[0:2] * 0.5; s = s * 0.9; } s + y[0] }", "3", "2"),
        ("{ s = x; for i in 0..cast(abs(y[0]) * 9.0, i64) { s = s * y[1] + i; } s }", "3", "2"),
        ("{ s = 0.0; for i in 0..3 { s += x[i] * y[0]; } s }", "3", "2"),
        ("{ k = fold_in(key(3), cast(y[0] * 100.0, i64)); normal(k, 3) + x }", "3", "1"),
        ("{ k = fold_in(key(3), cast(y[0] * 100.0, i64)); permutation(k, 5) }", "3", "1"),
        ("x**y", "3", "3"),
        ("12", "3", "3"),
    ];
    for (body, xs, ys) in bodies {
        for mapped in [[true, false], [false, true], [true, true]] {
            let f = block(body);
            let make = |dims: &str, mapped: bool, seed| {
                let mut shape: Vec<usize> = dims.split(", ").map(|d| d.parse().unwrap()).collect();
                if mapped {
                    shape.insert(0, COUNT);
                }
                let n = shape.iter().product();
                array(&shape, &noise(n, seed).iter().map(|v| v.abs() + 0.01).collect::<Vec<_>>())
            };
            let (x, y) = (make(xs, mapped[0], 21), make(ys, mapped[1], 23));
            let axis = |m: bool| if m { "0" } else { "none" };
            let one = format!("fn main(x: f64[{xs}], y: f64[{ys}]) {f}");
            let all = format!(
                "fn g(x: f64[{xs}], y: f64[{ys}]) {f}\nfn main(x, y) {{ vmap(g, in_axes=({}, {}))(x, y) }}",
                axis(mapped[0]),
                axis(mapped[1])
            );
            same_as_loop(&one, &all, &[x, y], &mapped);
        }
    }
}

#[test]
fn other_axes_and_nesting() {
    let x = array(&[2, 3, 4], &noise(24, 1));
    let one = "fn main(x: f64[2, 3, 4]) { x[:, :, 1] @ x[:, :, 2].T }";
    let all = "fn main(x: f64[2, 3, 4]) { vmap(|a| a[..., 1], in_axes=-1)(x) }";
    let r = eval(all, std::slice::from_ref(&x)).remove(0);
    assert_eq!(r.shape(), [4, 2]);
    assert_eq!(eval(one, std::slice::from_ref(&x))[0].shape(), [2, 2]);
    let nested = "fn main(x: f64[2, 3, 4]) { vmap(|a| vmap(|b| sum(b**2), in_axes=1)(a))(x) }";
    let plain = "fn main(x: f64[2, 3, 4]) { sum(x**2, axis=1) }";
    close(
        "nested",
        nested,
        &eval(nested, std::slice::from_ref(&x))[0].to_f64(),
        &eval(plain, std::slice::from_ref(&x))[0].to_f64(),
        1e-14,
    );
}

#[test]
fn nothing_to_map() {
    let x = array(&[0, 3], &[]);
    let r = eval("fn main(x) { vmap(|r| solve(eye(3) * (1.0 + sum(r)), r))(x) }", std::slice::from_ref(&x));
    assert_eq!(r[0].shape(), [0, 3]);
    let r = eval("fn main(x) { vmap(|r| { s = 0.0; while s < sum(r) { s += 1.0; } s })(x) }", &[x]);
    assert_eq!(r[0].shape(), [0]);
}
