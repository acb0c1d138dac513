//! Matrix products by the library agree with the kernels that mean the same, however the operands lie.

#![allow(clippy::unwrap_used, reason = "in a test it is the check")]

use matex::{AsView, Compiler, CostModel, DType, Element, Engine, Stage, Tensor};
use ndarray::{Array2, Array3, s};

fn fill(i: usize) -> f64 {
    ((i * 7919) % 1013) as f64 / 512.0 - 1.0
}

fn matrix(rows: usize, cols: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, cols), |(i, j)| fill(i * cols + j + rows))
}

/// The result by machine code and the library, compared with that of the interpreter of kernels.
fn product(source: &str, args: &[&dyn AsView], tolerance: f64) -> Tensor {
    let run = |engine| {
        let f = Compiler::new().engine(engine).compile(source).unwrap();
        f.call(args).unwrap().into_single().unwrap()
    };
    let (found, expected) = (run(Engine::Cranelift), run(Engine::LoopInterpreter));
    assert_eq!(found.describe(), expected.describe(), "{source}");
    let numbers = |t: &Tensor| t.cast(DType::F64).unwrap().to_vec::<f64>().unwrap();
    for (i, (x, y)) in numbers(&found).into_iter().zip(numbers(&expected)).enumerate() {
        let close = (x - y).abs() <= tolerance * y.abs().max(1.0) || x == y || (x.is_nan() && y.is_nan());
        assert!(close, "{source} at {i}: {x} and {y}");
    }
    found
}

#[test]
fn layouts_and_shapes() {
    for (m, k, n) in [(16, 16, 16), (17, 31, 23), (64, 3, 100), (1, 90, 80), (90, 80, 1), (33, 200, 2)] {
        let (a, b) = (matrix(m, k), matrix(k, n));
        product("a @ b", &[&a, &b], 1e-13);
        let (at, bt) = (a.t().as_standard_layout().to_owned(), b.t().as_standard_layout().to_owned());
        product("a @ b", &[&at.t(), &b], 1e-13);
        product("a @ b", &[&a, &bt.t()], 1e-13);
        product("at.T @ bt.T", &[&at, &bt], 1e-13);
        let (a32, b32) = (a.mapv(|x| x as f32), b.mapv(|x| x as f32));
        assert_eq!(product("a @ b", &[&a32, &b32], 1e-4).dtype(), f32::DTYPE);
        let wide = matrix(m, 2 * k);
        product("a @ b", &[&wide.slice(s![.., ..;-2]), &b], 1e-13);
        product("a @ b", &[&a.row(0).broadcast((m, k)).unwrap(), &b], 1e-13);
        product("a @ x", &[&a, &b.column(0)], 1e-13);
        product("x @ b", &[&a.row(0), &b], 1e-13);
    }
}

#[test]
fn batches_are_loops_around_products() {
    let batch =
        |b: usize, m: usize, n: usize| Array3::from_shape_fn((b, m, n), |(i, j, k)| fill(i + 3 * j + 7 * k));
    let (a, b) = (batch(3, 20, 11), batch(3, 11, 30));
    product("a @ b", &[&a, &b], 1e-13);
    product("a @ b", &[&a, &matrix(11, 30)], 1e-13);
    product("a @ b", &[&a, &batch(1, 11, 30)], 1e-13);
}

/// A product with an own transpose is summed here for some orders and by the library for others; it is large enough for
/// threads to share.
#[test]
fn products_with_an_own_transpose_on_any_number_of_threads() {
    let f = [1, 2, 8].map(|t| Compiler::new().threads(t).compile("fn f(a: f64[n, m]) { a @ a.T }").unwrap());
    for (n, m) in [(16, 20_000), (24, 8000), (60, 2000), (130, 300), (200, 200), (256, 100), (300, 100)] {
        let a = matrix(n, m);
        let expected = a.dot(&a.t());
        for f in &f {
            let mut out = Array2::from_elem((n, n), f64::NAN);
            f.call_into(&[&a], &mut [&mut out]).unwrap();
            let close = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-13 * m as f64;
            assert!(out.iter().zip(&expected).all(close), "{n} x {m}");
        }
    }
}

#[test]
fn what_is_not_finite_and_what_is_empty() {
    let (mut a, b) = (matrix(20, 20), matrix(20, 20));
    a[(3, 4)] = f64::NAN;
    a[(5, 6)] = f64::INFINITY;
    a.row_mut(7).fill(f64::MAX);
    product("a @ b", &[&a, &b], 1e-13);
    assert_eq!(
        product("a @ b", &[&matrix(30, 0), &matrix(0, 40)], 0.0).to_vec::<f64>().unwrap(),
        [0.0; 1200]
    );
    assert_eq!(product("a @ b", &[&matrix(0, 30), &matrix(30, 40)], 0.0).len(), 0);
}

#[test]
fn integers_stay_with_the_kernel() {
    let a = Array2::from_shape_fn((20, 20), |(i, j)| (i * 1_000_000_007 + j) as i64);
    product("a @ b", &[&a, &a], 0.0);
    let text = |source: &str| matex::compile(source).unwrap().dump(Stage::Plan).unwrap();
    assert!(text("fn f(a: f32[n, k], b: f32[k, m]) -> f32[n, m] { a @ b }").contains("gemm or kernel"));
    assert!(!text("fn f(a: i64[n, k], b: i64[k, m]) -> i64[n, m] { a @ b }").contains("gemm"));
    let f = matex::compile("a @ b").unwrap();
    assert!(f.explain(&[&matrix(2, 2), &matrix(2, 2)]).unwrap().contains("call gemm"));
}

#[test]
fn results_are_written_to_where_they_are_wanted() {
    let f = matex::compile("{ m = a @ b; return m, a, m.T, m + 1, sum(m) }").unwrap();
    let (a, b) = (matrix(20, 20), matrix(20, 20));
    let expected = f.call(&[&a, &b]).unwrap();
    let mut outs: [Array2<f64>; 4] = std::array::from_fn(|_| Array2::zeros((20, 20)));
    let mut sum = 0.0;
    let [m, same, turned, more] = &mut outs;
    let mut turned = turned.view_mut().reversed_axes();
    f.call_into(&[&a, &b], &mut [m, same, &mut turned, more, &mut sum]).unwrap();
    assert_eq!(outs[0], outs[2]);
    assert_eq!(outs[1], a);
    assert_eq!(expected[4].as_slice::<f64>().unwrap(), [sum]);
    for (out, i) in [(&outs[0], 0), (&outs[3], 3)] {
        assert_eq!(expected[i].as_slice::<f64>(), out.as_slice());
    }
}

/// What `explain` expects a product to take is by the rate that products were measured at, and half of it where half of it is computed.
#[test]
fn a_product_is_expected_to_take_what_products_take() {
    let x = Array2::<f64>::from_elem((256, 256), 0.5);
    let expected = |source: &str, product: f64| -> f64 {
        let costs = CostModel { product, ..CostModel::FIXED };
        let f = Compiler::new().cost_model(costs).compile(source).unwrap();
        let text = f.explain(&[&x]).unwrap();
        text.split("about ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    let all = 256f64.powi(3) * 8.0 / 1e3;
    for rate in [100.0, 400.0] {
        for (source, part) in [("x @ x", 1.0), ("x.T @ x", 0.5)] {
            let found = expected(source, rate);
            assert!((found / (all * part / rate) - 1.0).abs() < 0.2, "{source} at {rate}: {found}");
        }
    }
}
