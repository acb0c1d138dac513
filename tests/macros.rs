//! The macros at run time: `compile!` gives the function of the string, and `#[jit]` what the same Rust gives.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{Error, Stage};
use ndarray::{Array1, Array2, Axis, array};

#[test]
fn a_program_of_the_macro_is_that_of_the_string() {
    let by_macro = matex::compile!(|x: f32[n], y: f32[n]| { m = x + y; m / (m[0] + m[1]) });
    let by_string = matex::compile("fn main(x: f32[n], y: f32[n]) { m = x + y; m / (m[0] + m[1]) }").unwrap();
    for stage in [Stage::Tensor, Stage::Optimized, Stage::Kernels, Stage::Plan] {
        assert_eq!(by_macro.dump(stage).unwrap(), by_string.dump(stage).unwrap());
    }
    let f = by_macro.typed::<fn(&[f32; 2], &[f32; 2]) -> Vec<f32>>().unwrap();
    assert_eq!(f(&[1.0, 2.0], &[0.0, 1.0]).unwrap(), [0.25, 0.75]);
}

#[test]
fn every_form_of_a_program_is_one() {
    let expression = matex::compile!(a * x + b);
    assert_eq!(expression.call(&[&2.0, &[1.0, 2.0], &1.0]).unwrap()[0].to_string(), "[3.0, 5.0]");
    let block = matex::compile!({ m = $0 + $1; return m / (m[0] + m[1]) });
    assert_eq!(block.call(&[&[1.0, 2.0], &[0.0, 1.0]]).unwrap()[0].to_string(), "[0.25, 0.75]");
    let module = matex::compile! {
        fn twice(x: float[n]) -> float[n] { 2 * x }
        fn main(x: f64[n]) -> (f64[n], f64) { y = twice(x)[::-1]; return y, sum(y[1:]) }
    };
    let out = module.call(&[&[1.0, 2.0, 3.0]]).unwrap();
    assert_eq!((out[0].to_string(), out[1].to_string()), ("[6.0, 4.0, 2.0]".into(), "6.0".into()));
    let scalar = matex::compile!(|x: f64| -> f64 { if x > 0.0 { x } else { -x } });
    assert_eq!(scalar.call(&[&-2.5]).unwrap()[0].to_string(), "2.5");
    let spec = matex::compile!(|a: f64[n, k], b: f64[k, m]| einsum("ij,jk->ik", a, b));
    assert_eq!(spec.call(&[&[[1.0, 2.0]], &[[3.0], [4.0]]]).unwrap()[0].to_string(), "[[11.0]]");
}

#[test]
fn each_place_has_one_function_and_names_itself() {
    let get = || matex::compile!(|x: f64[n], y: f64[n]| x + y);
    assert!(std::ptr::eq(get(), get()));
    let error = get().call(&[&[1.0, 2.0], &[1.0]]).unwrap_err();
    assert!(error.to_string().contains("tests/macros.rs:"), "{error}");
}

/// One text, as plain Rust and compiled.
macro_rules! both {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty $body:block)+) => {
        mod plain {
            use super::*;
            $(pub(super) fn $name($($arg: $ty),*) -> $out $body)+
        }
        mod compiled {
            use super::{Array1, Array2};
            $(#[matex::jit] pub(super) fn $name($($arg: $ty),*) -> $out $body)+
        }
    };
}

both! {
    fn cool_comp(m0: &Array1<f32>, m1: &Array1<f32>) -> Array1<f32> {
        let m2 = m0 + m1;
        &m2 / (m2[0] + m2[1])
    }

    fn residual(a: &Array2<f64>, x: &Array1<f64>, y: &Array1<f64>) -> f64 {
        let r = a.dot(x) - y;
        (&r * &r).sum() / r.len() as f64
    }

    fn columns(a: &Array2<f64>) -> Array1<f64> {
        a.t().sum_axis(Axis(1)) - a.mean_axis(Axis(0)).unwrap()
    }

    fn scalars(x: f64, k: i64) -> f64 {
        let mut s = 0.0;
        let mut power = 1.0;
        for i in 0..k {
            power *= x;
            s += power / ((i + 1) as f64);
            // An inner variable hides the outer one, and leaves it alone.
            let power = s * 100.0;
            if power > 1e9 { s = -power.abs().sqrt(); }
        }
        let i = 2.;
        s + power.max(i).ln().powi(3).mul_add(2.0, 1f64) - (-x).hypot(3.0) % 0.7
    }

    fn remainders(a: i64, b: i64) -> i64 {
        (a % b) * 10 + a
    }

    fn branches(x: f64) -> f64 {
        let y = if x < 0.0 { -x } else if x == 0.0 || x.is_infinite() { std::f64::consts::PI } else { x.recip() };
        let mut n = 0;
        while n < 3 { n += 1; }
        y + n as f64
    }

    fn elements(x: &Array1<f64>) -> Array1<f64> {
        let mut y = x.clone();
        y[0] = x[1] * 10.0;
        y[1] += 0.5;
        y
    }
}

#[test]
fn a_compiled_function_gives_what_the_same_rust_gives() {
    let (a, b) = (array![1.0f32, 2.0, 3.5], array![0.5f32, -1.0, 4.0]);
    assert_eq!(compiled::cool_comp(&a, &b), plain::cool_comp(&a, &b));
    let m = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
    let (x, y) = (array![0.5, -1.0], array![1.0, 2.0, 3.0]);
    assert_eq!(compiled::residual(&m, &x, &y), plain::residual(&m, &x, &y));
    assert_eq!(compiled::columns(&m), plain::columns(&m));
    for (x, k) in [(0.5, 4), (-1.25, 7), (30.0, 12), (2.0, 0)] {
        let (c, p) = (compiled::scalars(x, k), plain::scalars(x, k));
        assert!((c - p).abs() <= 1e-12 * p.abs(), "{x} {k}: {c} {p}");
    }
    for (p, q) in [(7, 3), (-7, 3), (7, -3), (-7, -3)] {
        assert_eq!(compiled::remainders(p, q), plain::remainders(p, q));
    }
    for x in [-2.5, 0.0, 4.0] {
        assert_eq!(compiled::branches(x), plain::branches(x));
    }
    assert_eq!(compiled::elements(&array![1.0, 2.0, 3.0]), plain::elements(&array![1.0, 2.0, 3.0]));
}

#[matex::jit]
fn squared(x: &Array1<f64>) -> Array1<f64> {
    x * x
}

#[matex::jit]
fn quartic(x: &Array1<f64>) -> Array1<f64> {
    squared(x) * squared(x)
}

#[matex::jit]
fn spread(x: &Array1<f64>, y: &[f64]) -> (f64, Array1<f64>) {
    let (lo, hi) = (x[1..].min(), quartic(x).max());
    (hi - lo, squared(x) - y)
}

#[matex::jit]
fn fallible(x: &Array1<f64>, y: &Array1<f64>) -> Result<Array1<f64>, Error> {
    x + y
}

#[test]
fn compiled_functions_call_others() {
    let x = array![1.0, -2.0, 3.0];
    assert_eq!(quartic(&x), array![1.0, 16.0, 81.0]);
    let (range, rest) = spread(&x, &[1.0, 1.0, 1.0]);
    assert_eq!((range, rest), (83.0, array![0.0, 3.0, 8.0]));
}

#[test]
fn an_error_is_a_value_or_a_panic_by_the_type() {
    let (x, y) = (array![1.0, 2.0], array![1.0, 2.0, 3.0]);
    assert_eq!(fallible(&x, &x).unwrap(), array![2.0, 4.0]);
    assert_eq!(fallible(&x, &y).unwrap_err().kind(), matex::ErrorKind::Call);
    let panic = std::panic::catch_unwind(|| compiled::cool_comp(&array![1.0, 2.0, 3.0], &array![1.0, 2.0]))
        .unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("error[E"));
}
