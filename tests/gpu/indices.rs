//! Reading at places that data tells, and positions of the largest and smallest, on the GPU.

use super::{on_gpu, placed};
use crate::support::data::Random;
use matex_ir::{DType, Scalar};
use matex_runtime::{AsView, Tensor};

fn scalars(t: &Tensor) -> Vec<Scalar> {
    t.as_view().scalars().collect()
}

fn floats(shape: &[usize], seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let data = (0..shape.iter().product()).map(|_| Scalar::from_f64(DType::F32, random.normal()));
    Tensor::from_scalars(DType::F32, shape, data).unwrap()
}

fn integers(dtype: DType, shape: &[usize], data: impl IntoIterator<Item = i128>) -> Tensor {
    Tensor::from_scalars(dtype, shape, data.into_iter().map(|i| Scalar::from_i128(dtype, i))).unwrap()
}

/// That a program gives the same bits on the CPU and in one kernel or more on the GPU, all of which are there.
fn same(source: &str, args: &[&dyn AsView]) {
    let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
    let ((all, there), why) = (placed(&gpu, args), gpu.explain(args).unwrap());
    // A device with the least limits binds four arrays.
    assert!(all > 0 && (all == there || why.contains("the GPU binds 4 at most")), "{source}: {why}");
    let (wanted, got) = (cpu.call(args).unwrap(), gpu.call(args).unwrap());
    for (w, g) in wanted.iter().zip(&got) {
        assert_eq!((g.as_view().dtype(), g.as_view().shape()), (w.as_view().dtype(), w.as_view().shape()));
        let bits = |t: &Tensor| scalars(t).iter().map(|s| s.bits()).collect::<Vec<u64>>();
        assert_eq!(bits(g), bits(w), "{source}");
    }
}

#[test]
fn gathers_read_where_they_are_told() {
    if !super::gpu_is_there() {
        return;
    }
    let (x, v) = (floats(&[300, 7], 1), floats(&[500], 2));
    let mut random = Random::new(3);
    let mut places = |n: usize, most: usize| -> Vec<i128> {
        (0..n).map(|_| random.below(2 * most) as i128 - most as i128).collect()
    };
    let of_vector = places(1000, 500);
    for dtype in [DType::I64, DType::I32] {
        let i = integers(dtype, &[1000], of_vector.iter().copied());
        let source = format!("fn f(x: f32[n], i: {dtype}[m]) {{ x[i] * 2 }}");
        same(&source, &[&v, &i]);
        let source = format!(
            "fn f(x: f32[n], i: {dtype}[m]) {{ sum(where(i < 3, x[i], 0)) == 0 && x[clip(i, 0, 9)] > 0 }}"
        );
        same(&source, &[&v, &i]);
    }
    let rows = integers(DType::I64, &[40, 3], places(120, 300));
    same("fn f(x: f32[n, m], i: i64[k, l]) { take(x, i, axis=0) + 1 }", &[&x, &rows]);
    let along = integers(DType::I32, &[300, 4], places(1200, 7));
    same("fn f(x: f32[n, m], i: i32[n, l]) { take_along_axis(x, i, axis=1) }", &[&x, &along]);
    // Of truth values, and behind a reduction that finds where.
    same(
        "fn f(x: f32[n], i: i64[m]) { (x > 0)[i] }",
        &[&v, &integers(DType::I64, &[5], [0, -1, 499, -500, 7])],
    );
    same("fn f(x: f32[n, m]) { x[argmax(sum(x * 0, axis=1))] }", &[&x]);
}

#[test]
fn an_index_out_of_range_is_the_error_that_the_cpu_has() {
    if !super::gpu_is_there() {
        return;
    }
    let v = floats(&[500], 2);
    let f = "fn f(x: f32[n], i: i64[m]) { y = x[i] * 2; y + 1 }";
    let (cpu, gpu) = (matex::compile(f).unwrap(), on_gpu(f));
    let beyond = [500, -501, 1 << 31, -(1 << 31) - 1, 1 << 32, (1 << 32) + 7, i64::MAX, i64::MIN + 1];
    for bad in beyond {
        let mut all = vec![3i128; 700];
        all[600] = bad.into();
        let i = integers(DType::I64, &[700], all);
        let [wanted, got] = [&cpu, &gpu].map(|f| f.call(&[&v, &i]).unwrap_err().to_string());
        assert_eq!(got, wanted);
        assert!(got.contains("E0601"), "{got}");
    }
    // The next call works.
    let i = integers(DType::I64, &[2], [499, -500]);
    assert_eq!(scalars(&gpu.call(&[&v, &i]).unwrap()[0]), scalars(&cpu.call(&[&v, &i]).unwrap()[0]));
}

#[test]
fn what_needs_all_64_bits_of_an_index_stays_on_the_cpu() {
    if !super::gpu_is_there() {
        return;
    }
    let (v, i) = (floats(&[500], 2), integers(DType::I64, &[2], [1 << 40, 3]));
    for (source, there) in [
        ("fn f(x: f32[n], i: i64[m]) { x[i % 7] }", false),
        ("fn f(x: f32[n], i: i64[m]) { x[clip(i, 0, 40) % 7] }", true),
        ("fn f(x: f32[n], i: i64[m]) { cast(i, f32) + x[0] }", false),
        ("fn f(x: f32[n], i: i64[m]) { cast(clip(i, -5, 100), f32) + x[0] }", true),
        ("fn f(x: f32[n], i: i64[m]) { where(i == 3, x[1], x[2]) }", true),
        ("fn f(x: f32[n], i: i64[m]) { where(i == i.T, x[1], x[2]) }", false),
    ] {
        let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
        let (_, on) = placed(&gpu, &[&v, &i]);
        assert_eq!(on > 0, there, "{source}: {}", gpu.explain(&[&v, &i]).unwrap());
        assert_eq!(
            scalars(&gpu.call(&[&v, &i]).unwrap()[0]),
            scalars(&cpu.call(&[&v, &i]).unwrap()[0]),
            "{source}"
        );
    }
}

#[test]
fn positions_of_the_largest_and_the_smallest() {
    if !super::gpu_is_there() {
        return;
    }
    let source = "fn f(x: f32[n, m]) { return argmax(x, axis=1), argmin(x, axis=1), argmax(x, axis=0), argmin(x, axis=0), argmax(x), argmin(x) }";
    for [n, m] in [[3, 1000], [1000, 3], [70, 70], [1, 5000], [40_000, 2]] {
        // Ties everywhere, zeros of both signs, infinities and NaN in some rows.
        let mut random = Random::new((n * m) as u64);
        let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0];
        let data: Vec<Scalar> = (0..n * m)
            .map(|i| {
                let v = if i % 97 == 5 { special[i / 97 % 5] } else { random.below(5) as f64 - 2.0 };
                Scalar::from_f64(DType::F32, v)
            })
            .collect();
        let x = Tensor::from_scalars(DType::F32, &[n, m], data).unwrap();
        same(source, &[&x]);
        let data: Vec<i128> = (0..n * m).map(|_| random.below(9) as i128 - 4).collect();
        same(&source.replace("f32", "i32"), &[&integers(DType::I32, &[n, m], data)]);
    }
}
