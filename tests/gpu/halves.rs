//! Floats of 16 bits on the GPU: stored so, computed in single precision, and rounded once.

use super::{on_gpu, placed};
use crate::support::data::Random;
use matex_ir::{DType, Scalar};
use matex_runtime::{AsView, Tensor};

fn tensor(dtype: DType, shape: &[usize], seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let special =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 65_504.0, 65_520.0, 6.2e-5, 1.0 + 1.0 / 1024.0];
    let count: usize = shape.iter().product();
    let data = (0..count).map(|i| {
        let v = if i % 50 == 7 { special[i / 50 % special.len()] } else { random.normal() * 30.0 };
        Scalar::from_f64(dtype, v)
    });
    Tensor::from_scalars(dtype, shape, data).unwrap()
}

/// The results of a program on the CPU and on the GPU, where all kernels are that work on halves; nothing where the device
/// has none.
fn both(source: &str, args: &[&dyn AsView]) -> Option<[Vec<Vec<Scalar>>; 2]> {
    let gpu = on_gpu(source);
    let why = gpu.explain(args).unwrap();
    if why.contains("f16, which the GPU lacks") {
        return None;
    }
    let (all, there) = placed(&gpu, args);
    assert!(all > 0 && all == there, "{source}: {why}");
    let cpu = matex::compile(source).unwrap();
    Some(
        [&cpu, &gpu].map(|f| f.call(args).unwrap().iter().map(|t| t.as_view().scalars().collect()).collect()),
    )
}

#[test]
fn halves_are_rounded_once() {
    if !super::gpu_is_there() {
        return;
    }
    for [n, m] in [[40, 37], [64, 64], [3, 500]] {
        let (x, y) = (tensor(DType::F16, &[n, m], 1), tensor(DType::F16, &[m, n], 2));
        let wide = tensor(DType::F32, &[n, m], 3);
        let head = "fn f(x: f16[n, m], y: f16[m, n], w: f32[n, m])";
        for body in [
            "x + y.T",
            "x * y.T * 3",
            "return maximum(x, y.T), x > y.T, -x",
            "cast(w, f16)",
            "cast(x, f32) + w",
            "cast(x, i32)",
            "where(w > 0, x, y.T)",
            "return max(x, axis=1), min(x, axis=0), argmax(x, axis=1)",
            "x[::-1, ::2]",
        ] {
            let Some([wanted, got]) = both(&format!("{head} {{ {body} }}"), &[&x, &y, &wide]) else { return };
            for (i, (w, g)) in wanted.iter().flatten().zip(got.iter().flatten()).enumerate() {
                let same = w.bits() == g.bits() || (w.to_f64().is_nan() && g.to_f64().is_nan());
                assert!(same, "{body} of {n}, {m} at {i}: {g:?}, not {w:?}");
            }
        }
    }
}

#[test]
fn sums_and_products_of_halves_are_single() {
    if !super::gpu_is_there() {
        return;
    }
    let mut random = Random::new(5);
    let mut halves = |shape: &[usize]| {
        let count: usize = shape.iter().product();
        let data = (0..count).map(|_| Scalar::from_f64(DType::F16, random.normal()));
        Tensor::from_scalars(DType::F16, shape, data).unwrap()
    };
    let (a, b) = (halves(&[60, 3000]), halves(&[3000, 40]));
    let head = "fn f(a: f16[n, k], b: f16[k, m])";
    for body in ["sum(a, axis=1)", "sum(a, axis=0)", "a @ b", "softmax(a, axis=1)", "exp(a) / 3"] {
        let Some([wanted, got]) = both(&format!("{head} {{ {body} }}"), &[&a, &b]) else { return };
        for (w, g) in wanted.iter().flatten().zip(got.iter().flatten()) {
            // One unit of the last place of a half, where the sums round to either side.
            let (w, g) = (w.to_f64(), g.to_f64());
            assert!((w - g).abs() <= w.abs() / 1024.0 + 1e-6, "{body}: {g}, not {w}");
        }
    }
}

/// Whole numbers that no sum of `k` products of two of them makes too large for a half.
fn whole(shape: [usize; 2], turned: bool, seed: u64) -> (Tensor, Vec<f64>) {
    let mut random = Random::new(seed);
    let data: Vec<f64> = (0..shape[0] * shape[1]).map(|_| random.below(5) as f64 - 2.0).collect();
    let [rows, cols] = shape;
    let at = |i: usize| if turned { data[i % rows * cols + i / rows] } else { data[i] };
    let scalars = (0..data.len()).map(|i| Scalar::from_f64(DType::F16, at(i)));
    let shape = if turned { [cols, rows] } else { shape };
    (Tensor::from_scalars(DType::F16, &shape, scalars).unwrap(), data)
}

#[test]
fn products_of_whole_halves_are_exact_in_all_sizes_and_transpositions() {
    if !super::gpu_is_there() {
        return;
    }
    let heads = [
        ("a: f16[n, k], b: f16[k, m]", "a @ b"),
        ("a: f16[k, n], b: f16[k, m]", "a.T @ b"),
        ("a: f16[n, k], b: f16[m, k]", "a @ b.T"),
        ("a: f16[k, n], b: f16[m, k]", "a.T @ b.T"),
    ];
    // Around the sides of tiles and of the units' matrices, with and without quads, a long sum that is cut, and large tiles.
    let sizes = [
        [16, 16, 8],
        [64, 64, 32],
        [65, 67, 33],
        [100, 132, 20],
        [130, 60, 100],
        [17, 40, 3000],
        [200, 3, 9],
        [1600, 1270, 12],
    ];
    for (i, (params, body)) in heads.iter().enumerate() {
        let f = on_gpu(&format!("fn f({params}) {{ {body} }}"));
        for [n, m, k] in sizes {
            if (i > 0 && n > 1000) || (i % 2 == 1 && k > 1000) {
                continue;
            }
            let ((a, x), (b, y)) = (whole([n, k], i % 2 == 1, 7), whole([k, m], i >= 2, 8));
            if f.explain(&[&a, &b]).unwrap().contains("f16, which the GPU lacks") {
                return;
            }
            assert_eq!(placed(&f, &[&a, &b]), (1, 1), "{body}");
            let out = f.call(&[&a, &b]).unwrap();
            for (at, have) in out[0].as_view().scalars().enumerate() {
                let (r, c) = (at / m, at % m);
                let sum: f64 = (0..k).map(|t| x[r * k + t] * y[t * m + c]).sum();
                assert_eq!(have.to_f64(), sum, "{body} of [{n}, {m}, {k}] at {r}, {c}");
            }
        }
    }
}

#[test]
fn products_of_halves_keep_their_bound_and_what_is_special() {
    if !super::gpu_is_there() {
        return;
    }
    let [n, m, k] = [70, 50, 90];
    let mut random = Random::new(21);
    let mut halves = |shape: [usize; 2]| {
        let data = (0..shape[0] * shape[1]).map(|_| Scalar::from_f64(DType::F16, random.normal()));
        data.collect::<Vec<Scalar>>()
    };
    let (mut a, mut b) = (halves([n, k]), halves([k, m]));
    for (i, v) in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 60_000.0].iter().enumerate() {
        a[(9 * i + 1) * k + i] = Scalar::from_f64(DType::F16, *v);
        b[(k - 1 - i) * m + 7 * i] = Scalar::from_f64(DType::F16, *v);
    }
    let tensor = |shape: &[usize], data: &[Scalar]| {
        Tensor::from_scalars(DType::F16, shape, data.iter().copied()).unwrap()
    };
    let (x, y) = (tensor(&[n, k], &a), tensor(&[k, m], &b));
    let Some([_, got]) = both("fn f(a: f16[n, k], b: f16[k, m]) { a @ b }", &[&x, &y]) else { return };
    for (at, have) in got[0].iter().enumerate() {
        let (r, c, have) = (at / m, at % m, have.to_f64());
        let terms = (0..k).map(|t| a[r * k + t].to_f64() * b[t * m + c].to_f64());
        let (sum, size) = terms.fold((0.0, 0.0), |(s, z), t| (s + t, z + t.abs()));
        if !sum.is_finite() || sum.abs() > 65_519.0 {
            let wanted = Scalar::from_f64(DType::F16, sum).to_f64();
            assert!(have == wanted || (have.is_nan() && wanted.is_nan()), "{r}, {c}: {have}, not {wanted}");
            continue;
        }
        // What the sums may be off by, and one rounding to a half.
        let bound = 2.0 * (k + 1) as f64 * 2f64.powi(-24) * size;
        let bound = bound + (sum.abs() + bound) * 2f64.powi(-10) + 2f64.powi(-24);
        assert!((have - sum).abs() <= bound, "{r}, {c}: {have}, exact {sum}");
    }
}
