//! Linear algebra next to the engine of the build called directly, and to nalgebra.
//!
//! Figures are the fastest of many runs in turns, so that what else the machine does counts least. Inputs lie by rows, as
//! programs take them; what is called directly gets a copy of the same numbers by columns, which is what it likes best.

mod direct;

use crate::Bench;
use direct::Direct;
use matex::{Compiler, Typed};
use nalgebra::{DMatrix, DVector};
use ndarray::{Array1, Array2, Array3};
use std::hint::black_box;

/// Numbers without a pattern, from -1 to 1.
fn noise(n: usize) -> Vec<f64> {
    let mixed = |i: u64| {
        let z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 27)
    };
    (0..n as u64).map(|i| (mixed(i) >> 11) as f64 / (1u64 << 52) as f64 - 1.0).collect()
}

fn matrix(rows: usize, cols: usize) -> Array2<f64> {
    Array2::from_shape_vec((rows, cols), noise(rows * cols)).unwrap()
}

/// A well-conditioned symmetric positive definite matrix.
fn definite(n: usize) -> Array2<f64> {
    let a = matrix(n, n);
    a.dot(&a.t()) + Array2::<f64>::eye(n) * n as f64
}

fn typed<F: matex::TypedFn>(threads: usize, source: &str) -> Typed<F> {
    Compiler::new().threads(threads).compile_typed(source).unwrap()
}

/// Sizes of a run, or one small one where nothing is measured.
fn sizes(bench: &Bench, all: &[usize]) -> Vec<usize> {
    if bench.real { all.to_vec() } else { vec![8] }
}

pub(crate) fn all(bench: &Bench) {
    products(bench);
    vectors(bench);
    systems(bench);
    factors(bench);
    spectra(bench);
    regression(bench);
    batches(bench);
    overhead(bench);
}

fn row(bench: &Bench, name: &str, flops: f64, contestants: &mut [(&str, &mut dyn FnMut())]) {
    if !bench.wants(name) {
        return;
    }
    let names: Vec<&str> = contestants.iter().map(|(name, _)| *name).collect();
    let mut runs: Vec<&mut dyn FnMut()> =
        contestants.iter_mut().map(|(_, run)| &mut **run as &mut dyn FnMut()).collect();
    let times = bench.fastest(&mut runs);
    let mut figures: Vec<(&str, f64)> = names.into_iter().zip(times.iter().map(|t| t / 1e3)).collect();
    if flops > 0.0 {
        figures.push(("GFLOP/s of the first", flops / times[0]));
    }
    bench.line("linalg", name, &figures);
}

fn products(bench: &Bench) {
    type F64 = fn(&Array2<f64>, &Array2<f64>, &mut Array2<f64>);
    type F32 = fn(&Array2<f32>, &Array2<f32>, &mut Array2<f32>);
    let [one, two] = [1, 2].map(|t| typed::<F64>(t, "fn f(A: f64[n, k], B: f64[k, m]) { A @ B }"));
    let [one32, two32] = [1, 2].map(|t| typed::<F32>(t, "fn f(A: f32[n, k], B: f32[k, m]) { A @ B }"));
    for n in sizes(bench, &[32, 64, 128, 256, 512, 1024, 2048]) {
        let (a, b) = (matrix(n, n), matrix(n, n));
        let mut c = [(); 3].map(|()| Array2::zeros((n, n)));
        let [c1, c2, c3] = &mut c;
        let (na, nb) = (DMatrix::from_fn(n, n, |i, j| a[[i, j]]), DMatrix::from_fn(n, n, |i, j| b[[i, j]]));
        let mut nc = DMatrix::zeros(n, n);
        let flops = 2.0 * (n as f64).powi(3);
        row(
            bench,
            &format!("gemm {n} f64"),
            flops,
            &mut [
                ("matex", &mut || one(&a, &b, c1).unwrap()),
                ("2 threads", &mut || two(&a, &b, c2).unwrap()),
                (direct::NAME, &mut || f64::gemm(&a, &b, c3)),
                ("nalgebra", &mut || nc.gemm(1.0, &na, &nb, 0.0)),
            ],
        );
        let (a, b) = (a.mapv(|v| v as f32), b.mapv(|v| v as f32));
        let mut c = [(); 3].map(|()| Array2::zeros((n, n)));
        let [c1, c2, c3] = &mut c;
        row(
            bench,
            &format!("gemm {n} f32"),
            flops,
            &mut [
                ("matex", &mut || one32(&a, &b, c1).unwrap()),
                ("2 threads", &mut || two32(&a, &b, c2).unwrap()),
                (direct::NAME, &mut || f32::gemm(&a, &b, c3)),
            ],
        );
    }
}

fn vectors(bench: &Bench) {
    type Gemv = fn(&Array2<f64>, &Array1<f64>, &mut Array1<f64>);
    for (name, source) in [
        ("A x", "fn f(A: f64[n, m], x: f64[m]) { A @ x }"),
        ("A.T x", "fn f(A: f64[n, m], x: f64[n]) { A.T @ x }"),
    ] {
        let [one, two] = [1, 2].map(|t| typed::<Gemv>(t, source));
        for n in sizes(bench, &[100, 500, 1000, 2000]) {
            let (a, x) = (matrix(n, n), Array1::from(noise(n)));
            let mut y = [(); 3].map(|()| Array1::zeros(n));
            let [y1, y2, y3] = &mut y;
            let by_columns = name != "A x";
            let na = DMatrix::from_fn(n, n, |i, j| if by_columns { a[[j, i]] } else { a[[i, j]] });
            let (nx, mut ny) = (DVector::from_vec(x.to_vec()), DVector::zeros(n));
            row(
                bench,
                &format!("{name} {n}"),
                2.0 * (n * n) as f64,
                &mut [
                    ("matex", &mut || one(&a, &x, y1).unwrap()),
                    ("2 threads", &mut || two(&a, &x, y2).unwrap()),
                    (direct::NAME, &mut || direct::gemv(&a, &x, by_columns, y3)),
                    ("nalgebra", &mut || ny.gemv(1.0, &na, &nx, 0.0)),
                ],
            );
        }
    }
}

fn systems(bench: &Bench) {
    type Solve = fn(&Array2<f64>, &Array1<f64>, &mut Array1<f64>);
    let source = "fn f(A: f64[n, n], b: f64[n]) { solve(A, b) }";
    let [one, two] = [1, 2].map(|t| typed::<Solve>(t, source));
    let warned = Compiler::new().threads(1).compile(source).unwrap();
    type One = fn(&Array2<f64>, &mut Array2<f64>);
    let [inv, inv2] = [1, 2].map(|t| typed::<One>(t, "fn f(A: f64[n, n]) { inv(A) }"));
    let [definite, definite2] = [1, 2].map(|t| typed::<One>(t, "fn f(X: f64[n, n]) { inv(X.T @ X) }"));
    type Many = fn(&Array2<f64>, &Array2<f64>, &mut Array2<f64>);
    let many = typed::<Many>(1, "fn f(A: f64[n, n], B: f64[n, n]) { solve(A, B) }");
    for n in sizes(bench, &[100, 500, 1000]) {
        let (a, b) = (matrix(n, n), Array1::from(noise(n)));
        let mut x = [(); 2].map(|()| Array1::zeros(n));
        let [x1, x2] = &mut x;
        let (na, nb) = (DMatrix::from_fn(n, n, |i, j| a[[i, j]]), DVector::from_vec(b.to_vec()));
        let columns: Vec<f64> = a.t().iter().copied().collect();
        row(
            bench,
            &format!("LU and solve {n}"),
            0.0,
            &mut [
                ("matex", &mut || one(&a, &b, x1).unwrap()),
                ("with rcond", &mut || drop(black_box(warned.call(&[&a, &b]).unwrap()))),
                ("2 threads", &mut || two(&a, &b, x2).unwrap()),
                (direct::NAME, &mut || drop(black_box(direct::solve(&columns, b.as_slice().unwrap(), n)))),
                ("nalgebra", &mut || drop(black_box(na.clone().lu().solve(&nb)))),
            ],
        );
        let mut y = [(); 3].map(|()| Array2::zeros((n, n)));
        let [y1, y2, y3] = &mut y;
        row(
            bench,
            &format!("inverse {n}"),
            0.0,
            &mut [
                ("matex", &mut || inv(&a, y1).unwrap()),
                ("2 threads", &mut || inv2(&a, y2).unwrap()),
                ("n systems", &mut || many(&a, &a, y3).unwrap()),
                (direct::NAME, &mut || drop(black_box(direct::inverse(&columns, n)))),
                ("nalgebra", &mut || drop(black_box(na.clone().try_inverse()))),
            ],
        );
        row(
            bench,
            &format!("inverse of X.T X {n}"),
            0.0,
            &mut [
                ("matex", &mut || definite(&a, y1).unwrap()),
                ("2 threads", &mut || definite2(&a, y2).unwrap()),
                (direct::NAME, &mut || drop(black_box(direct::inverse_definite(&a)))),
                ("nalgebra", &mut || drop(black_box((na.tr_mul(&na)).cholesky().unwrap().inverse()))),
            ],
        );
    }
}

fn nalgebra_of(m: &Array2<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(m.nrows(), m.ncols(), |i, j| m[[i, j]])
}

fn factors(bench: &Bench) {
    type One = fn(&Array2<f64>, &mut Array2<f64>);
    type Lstsq = fn(&Array2<f64>, &Array1<f64>, &mut Array1<f64>);
    let [cholesky, cholesky2] = [1, 2].map(|t| typed::<One>(t, "fn f(A: f64[n, n]) { cholesky(A) }"));
    let source = "fn f(A: f64[n, k], b: f64[n]) { lstsq(A, b) }";
    let [lstsq, lstsq2] = [1, 2].map(|t| typed::<Lstsq>(t, source));
    for n in sizes(bench, &[100, 500, 1000]) {
        let s = definite(n);
        let symmetric: Vec<f64> = s.iter().copied().collect();
        let mut l = [(); 2].map(|()| Array2::zeros((n, n)));
        let [l1, l2] = &mut l;
        let ns = nalgebra_of(&s);
        row(
            bench,
            &format!("Cholesky {n}"),
            0.0,
            &mut [
                ("matex", &mut || cholesky(&s, l1).unwrap()),
                ("2 threads", &mut || cholesky2(&s, l2).unwrap()),
                (direct::NAME, &mut || drop(black_box(direct::cholesky(&symmetric, n)))),
                ("nalgebra", &mut || drop(black_box(ns.clone().cholesky()))),
            ],
        );
        let (tall, b) = (matrix(2 * n, n), Array1::from(noise(2 * n)));
        let columns: Vec<f64> = tall.t().iter().copied().collect();
        let right = b.as_slice().unwrap();
        let mut x = [(); 2].map(|()| Array1::zeros(n));
        let [x1, x2] = &mut x;
        row(
            bench,
            &format!("least squares {} x {n}", 2 * n),
            0.0,
            &mut [
                ("matex", &mut || lstsq(&tall, &b, x1).unwrap()),
                ("2 threads", &mut || lstsq2(&tall, &b, x2).unwrap()),
                (direct::NAME, &mut || drop(black_box(direct::lstsq(&columns, right, (2 * n, n))))),
            ],
        );
    }
}

fn spectra(bench: &Bench) {
    type Eigh = fn(&Array2<f64>) -> (Array1<f64>, Array2<f64>);
    type Svd = fn(&Array2<f64>) -> (Array2<f64>, Array1<f64>, Array2<f64>);
    let [eigh, eigh2] = [1, 2].map(|t| typed::<Eigh>(t, "fn f(A: f64[n, n]) { eigh(A) }"));
    let source = "fn f(A: f64[n, m]) { svd(A, full_matrices=false) }";
    let [svd, svd2] = [1, 2].map(|t| typed::<Svd>(t, source));
    for n in sizes(bench, &[100, 500, 1000]) {
        let (a, s) = (matrix(n, n), definite(n));
        let columns: Vec<f64> = a.t().iter().copied().collect();
        let symmetric: Vec<f64> = s.iter().copied().collect();
        let (na, ns) = (nalgebra_of(&a), nalgebra_of(&s));
        row(
            bench,
            &format!("eigh {n}"),
            0.0,
            &mut [
                ("matex", &mut || drop(black_box(eigh(&s).unwrap()))),
                ("2 threads", &mut || drop(black_box(eigh2(&s).unwrap()))),
                (direct::NAME, &mut || drop(black_box(direct::eigh(&symmetric, n)))),
                ("nalgebra", &mut || drop(black_box(ns.clone().symmetric_eigen()))),
            ],
        );
        row(
            bench,
            &format!("svd {n}"),
            0.0,
            &mut [
                ("matex", &mut || drop(black_box(svd(&a).unwrap()))),
                ("2 threads", &mut || drop(black_box(svd2(&a).unwrap()))),
                (direct::NAME, &mut || drop(black_box(direct::svd(&columns, n)))),
                ("nalgebra", &mut || drop(black_box(na.clone().svd(true, true)))),
            ],
        );
    }
}

fn regression(bench: &Bench) {
    type Ols = fn(&Array2<f64>, &Array1<f64>, &mut Array1<f64>);
    let source = "fn f(X: f64[n, k], y: f64[n]) { solve(X.T @ X, X.T @ y) }";
    let [one, two] = [1, 2].map(|t| typed::<Ols>(t, source));
    let (n, k) = if bench.real { (100_000, 50) } else { (20, 3) };
    let (x, y) = (matrix(n, k), Array1::from(noise(n)));
    let mut w = [(); 2].map(|()| Array1::zeros(k));
    let [w1, w2] = &mut w;
    let (nx, ny) = (DMatrix::from_fn(n, k, |i, j| x[[i, j]]), DVector::from_vec(y.to_vec()));
    row(
        bench,
        &format!("OLS {n} x {k}"),
        0.0,
        &mut [
            ("matex", &mut || one(&x, &y, w1).unwrap()),
            ("2 threads", &mut || two(&x, &y, w2).unwrap()),
            (direct::NAME, &mut || drop(black_box(direct::ols(&x, &y)))),
            ("nalgebra", &mut || drop(black_box((nx.tr_mul(&nx)).lu().solve(&nx.tr_mul(&ny))))),
        ],
    );
}

fn batches(bench: &Bench) {
    type Batch = fn(&Array3<f64>, &Array3<f64>, &mut Array3<f64>);
    let source = "fn f(A: f64[b, n, n], B: f64[b, n, m]) { solve(A, B) }";
    let [one, two] = [1, 2].map(|t| typed::<Batch>(t, source));
    let count = if bench.real { 10_000 } else { 10 };
    let a = Array3::from_shape_vec((count, 8, 8), noise(count * 64)).unwrap();
    let b = Array3::from_shape_vec((count, 8, 1), noise(count * 8)).unwrap();
    let mut x = [(); 2].map(|()| Array3::zeros((count, 8, 1)));
    let [x1, x2] = &mut x;
    let small: Vec<(DMatrix<f64>, DVector<f64>)> = a
        .outer_iter()
        .zip(b.outer_iter())
        .map(|(a, b)| (DMatrix::from_fn(8, 8, |i, j| a[[i, j]]), DVector::from_fn(8, |i, _| b[[i, 0]])))
        .collect();
    row(
        bench,
        &format!("{count} systems of 8 x 8"),
        0.0,
        &mut [
            ("matex", &mut || one(&a, &b, x1).unwrap()),
            ("2 threads", &mut || two(&a, &b, x2).unwrap()),
            ("nalgebra", &mut || small.iter().for_each(|(a, b)| drop(black_box(a.clone().lu().solve(b))))),
        ],
    );
}

/// What a call costs above the engine: a product that takes little time itself.
fn overhead(bench: &Bench) {
    type F64 = fn(&Array2<f64>, &Array2<f64>, &mut Array2<f64>);
    let f = typed::<F64>(0, "fn f(A: f64[n, k], B: f64[k, m]) { A @ B }");
    let any = matex::compile("A @ B").unwrap();
    let (a, b) = (matrix(16, 16), matrix(16, 16));
    let mut c = [(); 2].map(|()| Array2::zeros((16, 16)));
    let [c1, c2] = &mut c;
    row(
        bench,
        "a call of gemm 16 f64",
        0.0,
        &mut [
            ("matex", &mut || f(&a, &b, c1).unwrap()),
            ("call", &mut || drop(black_box(any.call(&[&a, &b]).unwrap()))),
            (direct::NAME, &mut || f64::gemm(&a, &b, c2)),
        ],
    );
}
