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
