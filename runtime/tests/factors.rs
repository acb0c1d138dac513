//! Factorizations against the reference interpreter, by what their factors give back, since signs are free; and every
//! error, to the word.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use matex_ir::tensor::interp::Array;
use matex_ir::tensor::{Builder, Func, LibOp, RunError, ValueId};
use matex_ir::{DType, Dim, Op};
use matex_runtime::AsView;

fn noise(rng: &mut Rng, dtype: DType, shape: &[usize]) -> Array {
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| rng.below(2000) as f64 / 1000.0 - 1.0).collect();
    Array::from_f64(dtype, shape, &data).unwrap()
}

/// `a b` for batches of matrices.
fn product(b: &mut Builder, x: ValueId, y: ValueId) -> ValueId {
    b.dot(x, y, vec![(0, 0)], vec![(2, 1)])
}

fn transposed(b: &mut Builder, x: ValueId) -> ValueId {
    b.permute(x, vec![0, 2, 1])
}

/// `x` with its columns multiplied by `s`.
fn scaled(b: &mut Builder, x: ValueId, s: ValueId) -> ValueId {
    let shape = b.ty(x).shape.clone();
    let s = b.broadcast(s, shape, vec![0, 2]);
    b.map(Op::Mul, &[x, s])
}

/// Products of the factors of `a: [b, n, m]`, and what is unique among the factors.
fn rectangular(dtype: DType) -> Func {
    let (mut b, v) = builder(vec![param("a", dtype, &["b", "n", "m"])]);
    let mut out = Vec::new();
    let qr = b.factor(LibOp::Qr, &[v[0]]);
    let (q, r) = (b.proj(qr, 0), b.proj(qr, 1));
    let (qt, back) = (transposed(&mut b, q), product(&mut b, q, r));
    out.extend([product(&mut b, qt, q), back]);
    for full in [false, true] {
        let svd = b.factor(LibOp::Svd { full }, &[v[0]]);
        let (u, s, h) = (b.proj(svd, 0), b.proj(svd, 1), b.proj(svd, 2));
        let (ut, ht) = (transposed(&mut b, u), transposed(&mut b, h));
        out.extend([product(&mut b, ut, u), product(&mut b, h, ht), s]);
        if !full {
            let us = scaled(&mut b, u, s);
            out.push(product(&mut b, us, h));
        }
    }
    out.push(b.factor(LibOp::Svdvals, &[v[0]]));
    finish(b, out)
}

/// Products of the factors of `a: [b, n, n]`, of `a a.T + 1`, and solutions for `c: [b, n, m]`.
fn square(dtype: DType) -> Func {
    let params = vec![param("a", dtype, &["b", "n", "n"]), param("c", dtype, &["b", "n", "m"])];
    let (mut b, v) = builder(params);
    let at = transposed(&mut b, v[0]);
    let both = b.map(Op::Add, &[v[0], at]);
    let eigh = b.factor(LibOp::Eigh, &[both]);
    let (w, q) = (b.proj(eigh, 0), b.proj(eigh, 1));
    let (qw, qt) = (scaled(&mut b, q, w), transposed(&mut b, q));
    let mut out = vec![w, product(&mut b, qw, qt), product(&mut b, qt, q)];
    out.push(b.factor(LibOp::Eigvalsh, &[both]));
    let positive = product(&mut b, v[0], at);
    let shape = b.ty(positive).shape.clone();
    let (rows, cols) = (b.iota(shape.clone(), 1), b.iota(shape, 2));
    let one = b.map(Op::Eq, &[rows, cols]);
    let one = b.cast(one, dtype);
    let positive = b.map(Op::Add, &[positive, one]);
    let l = b.factor(LibOp::Cholesky, &[positive]);
    out.push(l);
    let lt = transposed(&mut b, l);
    out.push(b.factor(LibOp::SolveTriangular { lower: true }, &[l, v[1]]));
    out.push(b.factor(LibOp::SolveTriangular { lower: false }, &[lt, v[1]]));
    finish(b, out)
}

#[test]
fn factors_give_back_what_they_are_of() {
    let mut rng = Rng(21);
    for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-3)] {
        let (rectangular, square) = (rectangular(dtype), square(dtype));
        let (r, s) = (executables(&rectangular), executables(&square));
        for [b, n, m] in
            [[1, 4, 3], [2, 3, 4], [1, 1, 1], [3, 0, 2], [2, 2, 0], [0, 2, 2], [1, 21, 9], [1, 17, 17]]
        {
            check_all(&r, &rectangular, &[noise(&mut rng, dtype, &[b, n, m])], tolerance);
            let args = [noise(&mut rng, dtype, &[b, n, n]), noise(&mut rng, dtype, &[b, n, m])];
            check_all(&s, &square, &args, tolerance);
        }
    }
}

/// `p l u` of the factors in one matrix and the order of the rows.
fn put_together(lu: &Array, order: &Array) -> Vec<f64> {
    let (rows, cols) = (lu.shape()[0], lu.shape()[1]);
    let at = |i: usize, j: usize| lu.get(&[i, j]).unwrap().to_f64();
    let mut out = vec![0.0; rows * cols];
    for i in 0..rows {
        let to = order.get(&[i]).unwrap().to_i128() as usize;
        for j in 0..cols {
            let below = |k: usize| if k == i { 1.0 } else { at(i, k) };
            out[to * cols + j] = (0..=i.min(j)).map(|k| below(k) * at(k, j)).sum();
        }
    }
    out
}

#[test]
fn lu_is_of_the_matrix_whatever_its_rank() {
    let (mut b, v) = builder(vec![param("a", DType::F64, &["n", "m"])]);
    let lu = b.factor(LibOp::Lu, &[v[0]]);
    let results = (0..3).map(|i| b.proj(lu, i)).collect();
    let func = finish(b, results);
    let exes = executables(&func);
    let mut rng = Rng(22);
    let product_of_ones =
        |n: usize, m: usize| Array::from_f64(DType::F64, &[n, m], &vec![3.0; n * m]).unwrap();
    let tiny = Array::from_f64(DType::F64, &[2, 2], &[5e-324, 1.0, 0.0, 1e-320]).unwrap();
    let mut cases = vec![product_of_ones(5, 5), product_of_ones(20, 30), tiny];
    for [n, m] in [[4, 4], [70, 70], [3, 5], [5, 3], [1, 1], [0, 2], [2, 0]] {
        cases.push(noise(&mut rng, DType::F64, &[n, m]));
    }
    for a in cases {
        for (name, exe) in &exes {
            let found = exe.call(&[lay(&a, Lie::Spaced).as_view()]).unwrap();
            let back = put_together(&array(&found[0]), &array(&found[1]));
            let far = back.iter().zip(a.to_f64()).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(far < 1e-13, "{name}: {far} for {:?}", a.shape());
        }
    }
}

#[test]
fn errors_are_those_of_the_oracle() {
    let f = |shape: &[usize], v: &[f64]| Array::from_f64(DType::F64, shape, v).unwrap();
    let dims = ["n", "n"];
    let one = |op: LibOp| {
        let (mut b, v) = builder(vec![param("a", DType::F64, &dims)]);
        let all = b.factor(op, &[v[0]]);
        let first = if op_has_many(&b, all) { b.proj(all, 0) } else { all };
        finish(b, vec![first])
    };
    let mut late = vec![0.0; 150 * 150];
    (0..150).for_each(|i| late[i * 150 + i] = if i == 131 { -1.0 } else { 1.0 });
    let cholesky = one(LibOp::Cholesky);
    check(&cholesky, &[f(&[2, 2], &[1.0, 2.0, 2.0, 1.0])], 0.0);
    check(&cholesky, &[f(&[1, 1], &[0.0])], 0.0);
    check(&cholesky, &[f(&[150, 150], &late)], 0.0);
    let nan = f(&[2, 2], &[1.0, 2.0, f64::NAN, 1.0]);
    let ops = [
        LibOp::Lu,
        LibOp::Cholesky,
        LibOp::Qr,
        LibOp::Svd { full: true },
        LibOp::Svdvals,
        LibOp::Eigh,
        LibOp::Eigvalsh,
    ];
    for op in ops {
        check(&one(op), std::slice::from_ref(&nan), 0.0);
    }
    for lower in [true, false] {
        let params = vec![param("a", DType::F64, &dims), param("b", DType::F64, &["n", "1"])];
        let (mut b, v) = builder(params);
        let x = b.factor(LibOp::SolveTriangular { lower }, &[v[0], v[1]]);
        let func = finish(b, vec![x]);
        let right = f(&[2, 1], &[1.0, 2.0]);
        check(&func, &[f(&[2, 2], &[1.0, 2.0, 3.0, 0.0]), right.clone()], 0.0);
        check(&func, &[f(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), f(&[2, 1], &[1.0, f64::INFINITY])], 0.0);
        check(&func, &[f(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), right], 1e-15);
    }
}

fn op_has_many(b: &Builder, v: ValueId) -> bool {
    b.func().node(v).kind.gives_tuple()
}

#[test]
fn an_extent_that_no_lapack_takes_is_an_error() {
    let (mut b, v) = builder(vec![param("a", DType::F64, &["n", "0"])]);
    let s = b.factor(LibOp::Svdvals, &[v[0]]);
    assert_eq!(b.ty(s).shape, [Dim::ZERO]);
    let func = finish(b, vec![s]);
    let exes = executables(&func);
    let empty = matex_runtime::Tensor::zeros(DType::F64, &[1 << 31, 0]).unwrap();
    for (name, exe) in &exes {
        let error = exe.call(&[empty.as_view()]).unwrap_err();
        let found = matches!(&error, matex_runtime::ExecError::Run(RunError::Library { code, .. }) if *code == matex_lang::codes::LIMIT_ELEMENTS);
        assert!(found, "{name}: {error:?}");
    }
}
