//! Calls that are like the last one, and those that only look so: every call gives what a program gives that was never
//! called before.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{AsView, Function};
use ndarray::{Array1, Array2, s};

/// The first result as text, or the code of the error.
fn text(f: &Function, args: &[&dyn AsView]) -> String {
    f.call(args).map_or_else(|e| e.code().to_string(), |out| out[0].to_string())
}

/// Calls a program in turn with each of these arguments, several times over, next to a fresh one.
fn in_turn(source: &str, calls: &[&[&dyn AsView]]) {
    let f = matex::compile(source).unwrap();
    for round in 0..3 {
        for (i, args) in calls.iter().enumerate() {
            for _ in 0..=round {
                let wanted = text(&matex::compile(source).unwrap(), args);
                assert_eq!(text(&f, args), wanted, "{source}, call {i}");
            }
        }
    }
}

#[test]
fn sizes_layouts_and_dtypes_in_turn() {
    let (a, b) = (Array1::from_iter((0..40).map(f64::from)), Array1::from_elem(40, 0.25));
    let (short, other) = (a.slice(s![..7]), b.slice(s![3..10]));
    let (every, back) = (a.slice(s![..;3]), a.slice(s![..;-3]));
    let narrow = a.mapv(|v| v as f32);
    in_turn(
        "x * 2.0 + y",
        &[
            &[&a, &b],
            &[&b, &a],
            &[&short, &other],
            &[&every, &back],
            &[&back, &every],
            &[&a, &2.5],
            &[&narrow, &narrow],
        ],
    );
    let m = Array2::from_shape_fn((4, 6), |(i, j)| (10 * i + j) as f64);
    let (t, square) = (m.t(), m.slice(s![.., ..4]));
    in_turn("fn f(x: f64[n, m]) { x - mean(x, axis=1, keepdims=true) }", &[&[&m], &[&t], &[&square], &[&m]]);
    in_turn("sum(x * x)", &[&[&m], &[&a], &[&1.5], &[&short], &[&every]]);
}

#[test]
fn integers_that_are_sizes_or_indices() {
    in_turn("fn f(k: i64) { ones(k) * 2.0 }", &[&[&3_i64], &[&4_i64], &[&0_i64], &[&3_i64], &[&-1_i64]]);
    in_turn("fn f(k: i64, x: f64[n]) { x * k }", &[&[&3_i64, &[1.0, 2.0]], &[&4_i64, &[1.0, 2.0]]]);
    let x = [1.0, 2.0, 3.0];
    let (good, bad, last) = ([0_i64, 2, 1], [0_i64, 3, 1], [-1_i64, -2, -3]);
    in_turn("x[i] * 10.0", &[&[&x, &good], &[&x, &bad], &[&x, &last], &[&x, &good]]);
}

#[test]
fn places_for_results_have_to_fit_every_time() {
    let f = matex::compile("x + [1.0, 2.0, 3.0]").unwrap();
    let typed = f.typed::<fn(&Vec<f64>, &mut Vec<f64>)>().unwrap();
    let mut out = vec![0.0; 3];
    for k in 0..4 {
        let x = vec![f64::from(k); 3];
        typed(&x, &mut out).unwrap();
        assert_eq!(out, [x[0] + 1.0, x[1] + 2.0, x[2] + 3.0]);
        // An argument too many, which lies as the place would.
        let other = vec![7.0; 3];
        assert!(f.call_into(&[&x, &other], &mut []).is_err());
        assert_eq!(other, [7.0; 3]);
        let mut short = vec![0.0; 2];
        assert_eq!(typed(&x, &mut short).unwrap_err().code().to_string(), "E0509");
        assert_eq!(short, [0.0; 2]);
        let mut wide = Array1::<f64>::zeros(6);
        f.call_into(&[&x], &mut [&mut wide.slice_mut(s![..;2])]).unwrap();
        assert_eq!(wide.to_vec(), [x[0] + 1.0, 0.0, x[1] + 2.0, 0.0, x[2] + 3.0, 0.0]);
        let mut narrow = [0f32; 3];
        assert!(f.call_into(&[&x], &mut [&mut narrow]).is_err());
        assert!(f.call_into(&[&x], &mut []).is_err());
        assert!(f.call_into(&[&x, &x], &mut [&mut out]).is_err());
    }
}

/// A type of a user's, which tells its layout by a view only.
struct Backwards(Vec<f64>);

impl AsView for Backwards {
    fn as_view(&self) -> matex::View<'_> {
        matex::View::from_slice(&self.0)
    }
}

#[test]
fn every_kind_of_array_in_turn() {
    let (m, v) = (Array2::from_elem((3, 3), 2.0), vec![2.0; 9]);
    let (n, t) = (nalgebra::DMatrix::from_element(3, 3, 2.0), matex::Tensor::from_vec(&[3, 3], v).unwrap());
    let (square, view) = ([[2.0; 3]; 3], t.as_view());
    let column = nalgebra::DVector::from_element(3, 2.0);
    let (list, own) = (vec![2.0; 3], Backwards(vec![2.0; 3]));
    let mut twos: Vec<&dyn AsView> = vec![&m, &n, &t, &square, &view, &column, &list, &own, &2.0, &2_i64];
    let f = matex::compile("x * 3.0").unwrap();
    for _ in 0..3 {
        for x in &twos {
            for _ in 0..2 {
                let out = f.call(&[*x]).unwrap();
                assert_eq!(out[0].shape(), x.as_view().shape());
                assert!(out[0].as_view().scalars().all(|s| s.to_f64() == 6.0));
            }
        }
        twos.reverse();
    }
}

#[test]
fn several_results_and_threads() {
    let f = matex::compile("fn f(x: f64[n]) { return x * 2.0, x + 1.0 }").unwrap();
    let run = |k: usize| {
        for n in [k, k, k + 1, k] {
            let x: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let (mut a, mut b) = (vec![0.0; n], vec![0.0; n]);
            f.call_into(&[&x], &mut [&mut a, &mut b]).unwrap();
            assert!(a.iter().zip(&b).zip(&x).all(|((a, b), x)| *a == x * 2.0 && *b == x + 1.0));
            let out = f.call(&[&x]).unwrap();
            assert_eq!((out[0].shape(), out[1].as_slice::<f64>()), (&[n][..], Some(&b[..])));
        }
    };
    std::thread::scope(|s| {
        for t in 0..4 {
            s.spawn(move || (1..50).for_each(|k| run(k + 7 * t)));
        }
    });
}

/// A result's bits, and the warnings that came with it.
fn told(f: &Function, args: &[&dyn AsView]) -> Result<(Vec<u64>, Vec<String>), String> {
    let out = f.call(args).map_err(|e| e.to_string())?;
    let bits = out[0].as_view().scalars().map(|s| s.bits()).collect();
    Ok((bits, out.warnings().iter().map(|w| w.message().to_string()).collect()))
}

#[test]
fn linear_algebra_warns_and_fails_every_time() {
    let regular = Array2::from_shape_fn((4, 4), |(i, j)| if i == j { 3.0 } else { 1.0 / (1 + i + j) as f64 });
    let mut near = regular.clone();
    near.row_mut(1).assign(&(&regular.row(0) * (1.0 + 1e-15)));
    let mut singular = regular.clone();
    singular.column_mut(2).fill(0.0);
    let mut nan = regular.clone();
    nan[[3, 1]] = f64::NAN;
    let b = Array1::from_iter([1.0, 2.0, 3.0, 4.0]);
    let matrices = [&regular, &near, &singular, &nan];
    let mut warned = 0;
    for source in ["solve(a, b)", "inv(a) @ b", "lstsq(a, b)", "{ w = solve(a, b); return w * 2.0, a @ w }"] {
        let f = matex::compile(source).unwrap();
        for round in 0..3 {
            for a in matrices.iter().chain(matrices.iter().rev()) {
                for _ in 0..=round {
                    let wanted = told(&matex::compile(source).unwrap(), &[*a, &b]);
                    warned += wanted.as_ref().map_or(0, |(_, warnings)| warnings.len());
                    assert_eq!(told(&f, &[*a, &b]), wanted, "{source}");
                }
            }
        }
    }
    assert!(warned > 20, "{warned}");
}

#[test]
fn products_in_turn_give_the_bits_of_a_first_call() {
    let wave = |m: usize, n: usize| Array2::from_shape_fn((m, n), |(i, j)| ((i * n + j) as f64 * 0.7).sin());
    let (a, b, c) = (wave(40, 40), wave(40, 40), wave(12, 12));
    for source in [
        "a @ b",
        "a.T @ b",
        "a @ a.T @ b",
        "softmax(a @ b + 1.0)",
        "{ for i in 0..2 { a = a @ b; } return a }",
    ] {
        let f = matex::compile(source).unwrap();
        for _ in 0..2 {
            for args in [[&a, &b], [&b, &a], [&c, &c], [&a, &a], [&a, &b]] {
                let [x, y] = args;
                for (x, y) in [(x.view(), y.view()), (x.t(), y.view()), (x.slice(s![..;-1, ..]), y.view())] {
                    for _ in 0..2 {
                        let wanted = told(&matex::compile(source).unwrap(), &[&x, &y]);
                        assert_eq!(told(&f, &[&x, &y]), wanted, "{source}");
                    }
                }
            }
        }
    }
}
