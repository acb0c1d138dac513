//! Products of matrices on the GPU: sizes around those of tiles, every way that operands lie in memory, special values, and
//! the bound that the documentation gives for their error.

use super::{on_gpu, placed, tensor};
use matex::{Function, Stage};
use matex_ir::{DType, Scalar};
use matex_runtime::{AsView, Tensor};

use crate::support::data::Random;

/// A matrix of small numbers.
fn matrix(rows: usize, cols: usize, seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let data = (0..rows * cols).map(|_| Scalar::from_f64(DType::F32, random.normal()));
    Tensor::from_scalars(DType::F32, &[rows, cols], data).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.as_view().scalars().map(|s| s.to_f64()).collect()
}

/// Checks a product that was computed against one of f64; the bound is (k + 1) · 2⁻²⁴ of the sum of magnitudes.
fn check(got: &[f64], (a, b): (&[f64], &[f64]), [n, m, k]: [usize; 3]) {
    for r in 0..n {
        for c in 0..m {
            let terms = (0..k).map(|i| a[r * k + i] * b[i * m + c]);
            let (sum, size) = terms.fold((0.0, 0.0), |(s, z), t| (s + t, z + t.abs()));
            let (have, bound) = (got[r * m + c], (k + 1) as f64 * 2f64.powi(-24) * size);
            assert!((have - sum).abs() <= bound, "[{n}, {m}, {k}] at {r}, {c}: {have}, exact {sum}");
        }
    }
}

/// The transpose of a matrix in memory of its own.
fn turned(data: &[f64], rows: usize, cols: usize) -> Tensor {
    let at = |i: usize| data[i % rows * cols + i / rows];
    let data = (0..rows * cols).map(|i| Scalar::from_f64(DType::F32, at(i)));
    Tensor::from_scalars(DType::F32, &[cols, rows], data).unwrap()
}

#[test]
fn products_of_all_sizes_and_transpositions_keep_their_bound() {
    if !super::gpu_is_there() {
        return;
    }
    let sources = [
        "fn f(a: f32[n, k], b: f32[k, m]) { a @ b }",
        "fn f(a: f32[k, n], b: f32[k, m]) { a.T @ b }",
        "fn f(a: f32[n, k], b: f32[m, k]) { a @ b.T }",
        "fn f(a: f32[k, n], b: f32[m, k]) { a.T @ b.T }",
    ];
    let sizes = [
        [16, 16, 8],
        [64, 64, 16],
        [65, 67, 33],
        [100, 130, 17],
        [128, 64, 100],
        [15, 70, 40],
        [200, 3, 9],
        [40, 48, 1],
    ];
    for (i, source) in sources.iter().enumerate() {
        let f = on_gpu(source);
        for [n, m, k] in sizes {
            let (a, b) = (matrix(n, k, 3), matrix(k, m, 4));
            let exact = (numbers(&a), numbers(&b));
            let a = if i % 2 == 1 { turned(&exact.0, n, k) } else { a };
            let b = if i >= 2 { turned(&exact.1, k, m) } else { b };
            assert_eq!(placed(&f, &[&a, &b]), (1, 1), "{source}");
            let out = f.call(&[&a, &b]).unwrap();
            check(&numbers(&out[0]), (&exact.0, &exact.1), [n, m, k]);
        }
    }
}

#[test]
fn a_product_of_known_sizes_is_shown_as_it_is_computed() {
    let wgsl = |source: &str| matex::compile(source).unwrap().dump(Stage::Wgsl).unwrap();
    assert!(wgsl("fn f(a: f32[16, 8], b: f32[8, 40]) { a @ b }").contains("piece_a"));
    assert!(!wgsl("fn f(a: f32[15, 8], b: f32[8, 40]) { a @ b }").contains("piece_a"));
}

#[test]
fn large_tiles_keep_the_bound_too() {
    if !super::gpu_is_there() {
        return;
    }
    // 13 × 10 tiles of 128 × 128; long enough in one direction and ragged at both ends.
    let [n, m, k] = [1600, 1270, 20];
    let (a, b) = (matrix(n, k, 5), matrix(k, m, 6));
    let out = on_gpu("a @ b").call(&[&a, &b]).unwrap();
    check(&numbers(&out[0]), (&numbers(&a), &numbers(&b)), [n, m, k]);
}

#[test]
fn batches_and_broadcast_products_are_tiles_too() {
    if !super::gpu_is_there() {
        return;
    }
    let [batch, n, m, k] = [3, 33, 20, 24];
    let (a, b) = (matrix(batch * n, k, 7), matrix(batch * k, m, 8));
    let (all_a, all_b) = (numbers(&a), numbers(&b));
    let shaped = |t: &[f64], shape: &[usize]| {
        Tensor::from_scalars(DType::F32, shape, t.iter().map(|v| Scalar::from_f64(DType::F32, *v))).unwrap()
    };
    let (a3, b3) = (shaped(&all_a, &[batch, n, k]), shaped(&all_b, &[batch, k, m]));
    let one = shaped(&all_b[..k * m], &[k, m]);
    let pairs: [(&str, &Tensor, bool); 3] = [
        ("fn f(a: f32[p, n, k], b: f32[p, k, m]) { a @ b }", &b3, true),
        ("fn f(a: f32[p, n, k], b: f32[p, k, m]) { einsum(\"pnk,pkm->pnm\", a, b) }", &b3, true),
        ("fn f(a: f32[p, n, k], b: f32[k, m]) { a @ b }", &one, false),
    ];
    for (source, b, batched) in pairs {
        let f: Function = on_gpu(source);
        let got = numbers(&f.call(&[&a3, b]).unwrap()[0]);
        for p in 0..batch {
            let a = &all_a[p * n * k..(p + 1) * n * k];
            let b = if batched { &all_b[p * k * m..(p + 1) * k * m] } else { &all_b[..k * m] };
            check(&got[p * n * m..(p + 1) * n * m], (a, b), [n, m, k]);
        }
    }
}

#[test]
fn products_of_integers_are_exact() {
    if !super::gpu_is_there() {
        return;
    }
    for dtype in [DType::I32, DType::U32] {
        let [n, m, k] = [70, 66, 20];
        let mut random = Random::new(11);
        let mut make = |count: usize| -> Vec<Scalar> {
            (0..count).map(|_| Scalar::from_i128(dtype, random.below(1 << 30) as i128 * 5)).collect()
        };
        let (a, b) = (make(n * k), make(k * m));
        let source = format!("fn f(a: {dtype}[n, k], b: {dtype}[k, m]) {{ a @ b }}");
        let (x, y) = (
            Tensor::from_scalars(dtype, &[n, k], a).unwrap(),
            Tensor::from_scalars(dtype, &[k, m], b).unwrap(),
        );
        let f = on_gpu(&source);
        assert_eq!(placed(&f, &[&x, &y]), (1, 1));
        let wanted = matex::compile(&source).unwrap().call(&[&x, &y]).unwrap();
        let bits = |t: &Tensor| t.as_view().scalars().map(|s| s.bits()).collect::<Vec<u64>>();
        assert_eq!(bits(&f.call(&[&x, &y]).unwrap()[0]), bits(&wanted[0]));
    }
}

#[test]
fn special_values_stay_in_their_rows_and_columns() {
    if !super::gpu_is_there() {
        return;
    }
    // Ragged, so that zeros are put in beyond all ends.
    let [n, m, k] = [21, 35, 18];
    let special = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0];
    let mut a = vec![0.0; n * k];
    let mut b = vec![1.0; k * m];
    for (i, v) in special.iter().enumerate() {
        a[(4 * i + 1) * k + i] = *v;
        b[(k - 1) * m + 7 * i] = *v;
    }
    let [x, y] = [(&a, [n, k]), (&b, [k, m])].map(|(data, shape)| {
        Tensor::from_scalars(DType::F32, &shape, data.iter().map(|v| Scalar::from_f64(DType::F32, *v)))
            .unwrap()
    });
    let got = numbers(&on_gpu("a @ b").call(&[&x, &y]).unwrap()[0]);
    for r in 0..n {
        for c in 0..m {
            let wanted: f64 = (0..k).map(|i| a[r * k + i] * b[i * m + c]).sum();
            let have = got[r * m + c];
            assert!(have == wanted || (have.is_nan() && wanted.is_nan()), "{r}, {c}: {have}, not {wanted}");
        }
    }
}

/// The kernels that the dump of a program names.
fn shaders(source: &str) -> Vec<String> {
    let text = matex::compile(source).unwrap().dump(Stage::Wgsl).unwrap();
    text.lines().filter_map(|l| l.strip_prefix("// kernel ")).map(str::to_owned).collect()
}

#[test]
fn bias_and_activation_are_part_of_the_product() {
    if !super::gpu_is_there() {
        return;
    }
    let sources = [
        "fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { relu(x @ w + b) }",
        "fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { tanh(x @ w) }",
        "fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { z = x @ w + b; return z, z > 0 }",
        "fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { z = x @ w; return z, exp(z - b) }",
        "fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { y = relu(x @ w + b); tanh(y @ w.T) * 2 + x }",
        "fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { (x @ w) * sigmoid((x * 0.5) @ w + b) }",
        "fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { x += tanh((x @ w) @ w.T); x }",
    ];
    for source in sources {
        let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
        for [n, m, k] in [[70, 36, 24], [64, 64, 16], [5, 33, 40], [1, 40, 600], [0, 20, 20], [20, 30, 0]] {
            let (x, w, b) = (matrix(n, k, 1), matrix(k, m, 2), matrix(1, m, 3));
            let b = tensor_or_empty(&b, m);
            let (wanted, got) = (cpu.call(&[&x, &w, &b]).unwrap(), gpu.call(&[&x, &w, &b]).unwrap());
            for (w, g) in wanted.iter().zip(&got) {
                for (i, (w, g)) in numbers(w).iter().zip(numbers(g)).enumerate() {
                    let near = (w - g).abs() <= 1e-4 * (1.0 + w.abs());
                    assert!(near, "{source} of {n}, {m}, {k} at {i}: {g}, not {w}");
                }
            }
        }
    }
}

fn tensor_or_empty(t: &Tensor, len: usize) -> Tensor {
    Tensor::from_scalars(DType::F32, &[len], t.as_view().scalars()).unwrap()
}

#[test]
fn a_layer_is_one_shader() {
    let of = |source: &str| shaders(source).into_iter().filter(|l| l.contains("of a product")).count();
    assert_eq!(of("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { relu(x @ w + b) }"), 1);
    assert_eq!(of("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { tanh(x @ w) }"), 1);
    assert_eq!(of("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { softmax(x @ w + b, axis=1) }"), 0);
}

#[test]
fn long_sums_of_few_elements_are_cut_and_keep_their_bits() {
    if !super::gpu_is_there() {
        return;
    }
    // Tiles, a product with a vector from either side, and one that no number of parts divides.
    for [n, m, k] in [[16, 20, 1000], [64, 64, 4096], [1, 33, 5000], [33, 1, 70_001], [1, 3, 2309]] {
        let (a, b) = (matrix(n, k, 13), matrix(k, m, 14));
        let f = on_gpu("fn f(a: f32[n, k], b: f32[k, m]) { a @ b + 1 }");
        let [first, again] = [0, 1].map(|_| numbers(&f.call(&[&a, &b]).unwrap()[0]));
        assert_eq!(first, again);
        let less: Vec<f64> = first.iter().map(|v| v - 1.0).collect();
        let (a, b) = (numbers(&a), numbers(&b));
        for r in 0..n {
            for c in 0..m {
                let terms = (0..k).map(|i| a[r * k + i] * b[i * m + c]);
                let (sum, size) = terms.fold((0.0, 0.0), |(s, z), t| (s + t, z + t.abs()));
                // The bound of the product, and the rounding of what is added to it.
                let bound = (k + 1) as f64 * 2f64.powi(-24) * size + 2f64.powi(-23) * (1.0 + sum.abs());
                assert!((less[r * m + c] - sum).abs() <= bound, "[{n}, {m}, {k}] at {r}, {c}");
            }
        }
    }
}

#[test]
fn a_product_over_nothing_is_zero() {
    if !super::gpu_is_there() {
        return;
    }
    let empty = |rows, cols| Tensor::from_scalars(DType::F32, &[rows, cols], []).unwrap();
    let f = on_gpu("fn f(a: f32[n, k], b: f32[k, m]) { a @ b }");
    let out = f.call(&[&empty(20, 0), &empty(0, 30)]).unwrap();
    assert_eq!(numbers(&out[0]), vec![0.0; 600]);
    let none = f.call(&[&empty(0, 20), &matrix(20, 30, 1)]).unwrap();
    assert_eq!(none[0].as_view().shape(), [0, 30]);
    let x = tensor(&[Scalar::from_f64(DType::F32, 2.0); 40]);
    assert_eq!(numbers(&on_gpu("dot(x, x)").call(&[&x]).unwrap()[0]), [160.0]);
}

/// Programs with maps before a product, and how many kernels each takes on the GPU when they are a part of it.
const BEFORE: [(&str, usize); 11] = [
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { exp(x) @ w }", 1),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { x @ exp(w) }", 1),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { relu((x - 0.5) @ (w * 2 - 1) + b) }", 1),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { (x - mean(x, axis=0)) @ w }", 2),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { (x - mean(x, axis=1, keepdims=true)) @ w + b }", 2),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { w.T @ tanh(x.T) }", 1),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { y = tanh(x); y @ y.T }", 1),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { softmax(x, axis=1) @ w }", 2),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { (exp(x) / sum(exp(x), axis=1, keepdims=true)) @ w }", 2),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { x += tanh(sin(x) @ w) @ w.T; x }", 2),
    ("fn f(x: f32[n, k], w: f32[k, m], b: f32[m]) { y = exp(x); return y @ w, y }", 2),
];

#[test]
fn what_computes_an_operand_is_part_of_the_product() {
    if !super::gpu_is_there() {
        return;
    }
    // What is bound to the most operands of these programs. A device that has no place for them runs maps by themselves.
    const BINDINGS: usize = 8;
    let has_places = matex_runtime::gpu_info().unwrap().bindings >= BINDINGS;
    for (source, kernels) in BEFORE {
        let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
        for [n, m, k] in [[70, 36, 24], [64, 64, 16], [150, 33, 40], [5, 33, 40], [1, 40, 600], [0, 20, 20]] {
            let (x, w, b) = (matrix(n, k, 1), matrix(k, m, 2), matrix(1, m, 3));
            let b = tensor_or_empty(&b, m);
            if n >= 16 {
                let (all, there) = placed(&gpu, &[&x, &w, &b]);
                let expected = if has_places { kernels } else { all.max(kernels) };
                assert_eq!((all, there), (expected, expected), "{source} of {n}, {m}, {k}");
            }
            let (wanted, got) = (cpu.call(&[&x, &w, &b]).unwrap(), gpu.call(&[&x, &w, &b]).unwrap());
            for (w, g) in wanted.iter().zip(&got) {
                for (i, (w, g)) in numbers(w).iter().zip(numbers(g)).enumerate() {
                    let near = (w - g).abs() <= 2e-4 * (1.0 + w.abs());
                    assert!(near, "{source} of {n}, {m}, {k} at {i}: {g}, not {w}");
                }
            }
        }
    }
}

#[test]
fn halves_are_converted_as_a_product_reads_them() {
    if !super::gpu_is_there() {
        return;
    }
    let source = "fn f(x: f16[n, k], w: f32[k, m]) { cast(x, f32) @ w }";
    let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
    for [n, m, k] in [[70, 36, 24], [33, 70, 41]] {
        let (x, w) = (matrix(n, k, 1), matrix(k, m, 2));
        let halves = numbers(&x).into_iter().map(|v| Scalar::from_f64(DType::F16, v));
        let x = Tensor::from_scalars(DType::F16, &[n, k], halves).unwrap();
        if placed(&gpu, &[&x, &w]) == (2, 1) {
            // A device without halves: they are converted on the CPU.
            return;
        }
        assert_eq!(placed(&gpu, &[&x, &w]), (1, 1));
        let (wanted, got) = (cpu.call(&[&x, &w]).unwrap(), gpu.call(&[&x, &w]).unwrap());
        for (w, g) in numbers(&wanted[0]).iter().zip(numbers(&got[0])) {
            assert!((w - g).abs() <= 1e-4 * (1.0 + w.abs()), "{g}, not {w}");
        }
    }
}

#[test]
fn what_many_tiles_would_compute_again_is_a_kernel_of_its_own() {
    if !super::gpu_is_there() {
        return;
    }
    let f = on_gpu("fn f(x: f32[n, k], w: f32[k, m]) { sinh(x) @ w }");
    let kernels = |n, m, k| placed(&f, &[&matrix(n, k, 1), &matrix(k, m, 2)]);
    assert_eq!(kernels(64, 64, 64), (1, 1));
    // 22 operations for each of 80 tiles, where memory takes as much as some tens of operations.
    assert_eq!(kernels(512, 5120, 512), (2, 2));
    // A product with a vector computes each element once, however large; one of few rows as often as it has columns.
    assert_eq!(kernels(4000, 1, 300), (1, 1));
    let [few, many] = [(3, 40), (3, 40_000)].map(|(n, m)| kernels(n, m, 300));
    assert_eq!((few, many), ((1, 1), (2, 2)));
}
