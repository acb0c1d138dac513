//! Running sums, products and extremes on the GPU: along any axis, in lines of every length, and cut into parts.

use super::{on_gpu, placed};
use crate::support::data::Random;
use matex_ir::{DType, Scalar};
use matex_runtime::{AsView, Tensor};

fn numbers(t: &Tensor) -> Vec<f64> {
    t.as_view().scalars().map(|s| s.to_f64()).collect()
}

/// A tensor of small whole numbers, whose sums have the same bits in any order.
fn whole(shape: &[usize], seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let data =
        (0..shape.iter().product()).map(|_| Scalar::from_f64(DType::F32, random.below(7) as f64 - 3.0));
    Tensor::from_scalars(DType::F32, shape, data).unwrap()
}

fn same(source: &str, x: &Tensor) {
    let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
    let (all, there) = placed(&gpu, &[x]);
    assert!(all > 0 && all == there, "{source}: {}", gpu.explain(&[x]).unwrap());
    let (wanted, got) = (cpu.call(&[x]).unwrap(), gpu.call(&[x]).unwrap());
    for (w, g) in wanted.iter().zip(&got) {
        for (i, (w, g)) in numbers(w).iter().zip(numbers(g)).enumerate() {
            let same = w.to_bits() == g.to_bits() || (w.is_nan() && g.is_nan());
            assert!(same, "{source} of {:?} at {i}: {g}, not {w}", x.as_view().shape());
        }
    }
}

#[test]
fn scans_along_any_axis_are_those_of_the_cpu() {
    if !super::gpu_is_there() {
        return;
    }
    let source = "fn f(x: f32[n, m]) { return cumsum(x, axis=1), cumsum(x * 2, axis=0) - x, cummax(x, axis=1), cummin(x, axis=0) }";
    // Short lines and long ones, many and few, and lengths around those of pieces and parts.
    let sizes = [[3, 255], [3, 256], [3, 257], [1, 1], [70_000, 3], [3, 70_000], [40, 5000], [0, 5], [5, 0]];
    for [n, m] in sizes {
        same(source, &whole(&[n, m], (n + m) as u64));
    }
    for n in [8192, 16_384, 16_385, 1 << 20, 1_000_003] {
        same("fn f(x: f32[n]) { return cumsum(x), cummax(x * x - x) }", &whole(&[n], n as u64));
    }
    same("fn f(x: f32[n, m, k]) { cumsum(x, axis=1) }", &whole(&[5, 40_000, 7], 4));
    same("fn f(x: f32[n, m]) { x - mean(cumsum(exp(x * 0) * x, axis=1)) * 0 }", &whole(&[30, 40], 4));
}

#[test]
fn special_values_run_on() {
    if !super::gpu_is_there() {
        return;
    }
    for n in [100, 40_000] {
        for (special, at) in
            [(f64::NAN, 70), (f64::INFINITY, n - 2), (f64::NEG_INFINITY, 3), (-0.0, 0), (f64::NAN, n - 1)]
        {
            let data = (0..n).map(|i| Scalar::from_f64(DType::F32, if i == at { special } else { -0.0 }));
            let x = Tensor::from_scalars(DType::F32, &[n], data).unwrap();
            same("fn f(x: f32[n]) { return cumsum(x), cumprod(1 - x), cummax(x), cummin(x) }", &x);
        }
    }
}

#[test]
fn running_sums_keep_their_bound_and_their_bits() {
    if !super::gpu_is_there() {
        return;
    }
    let n = 1 << 20;
    let mut random = Random::new(7);
    let data: Vec<Scalar> = (0..n).map(|_| Scalar::from_f64(DType::F32, random.normal() + 1.0)).collect();
    let x = Tensor::from_scalars(DType::F32, &[n], data.iter().copied()).unwrap();
    let f = on_gpu("fn f(x: f32[n]) { cumsum(x) }");
    let [first, again] = [0, 1].map(|_| numbers(&f.call(&[&x]).unwrap()[0]));
    assert_eq!(first, again);
    let (mut exact, mut size) = (0.0, 0.0);
    for (i, (have, v)) in first.iter().zip(&data).enumerate() {
        (exact, size) = (exact + v.to_f64(), size + v.to_f64().abs());
        let bound = (300.0 + i as f64 / 256.0) * 2f64.powi(-24) * size;
        assert!((have - exact).abs() <= bound, "at {i}: {have}, exact {exact}");
    }
}
