//! Writing at places that data tells, on the GPU: the bits of the CPU, duplicates included.

use super::on_gpu;
use crate::support::data::Random;
use matex_ir::{DType, Scalar};
use matex_runtime::{AsView, Tensor};

fn tensor(dtype: DType, shape: &[usize], mut each: impl FnMut(usize) -> f64) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_scalars(dtype, shape, (0..count).map(|i| Scalar::from_f64(dtype, each(i)))).unwrap()
}

fn bits(t: &Tensor) -> Vec<u64> {
    t.as_view().scalars().map(|s| s.bits()).collect()
}

/// Where the scatters of a call run.
fn places(source: &str, args: &[&dyn AsView]) -> Vec<bool> {
    let text = on_gpu(source).explain(args).unwrap();
    let calls = text.lines().filter(|l| l.contains("call scatter"));
    calls.map(|l| l.contains(" on the GPU")).collect()
}

/// That the results have the bits of the CPU, and that the scatters of the call run on the GPU or do not.
fn same(source: &str, args: &[&dyn AsView], there: bool) {
    let found = places(source, args);
    assert!(!found.is_empty() && found.iter().all(|t| *t == there), "{source}: {found:?}");
    let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
    for (wanted, got) in cpu.call(args).unwrap().iter().zip(&gpu.call(args).unwrap()) {
        assert_eq!(got.as_view().shape(), wanted.as_view().shape());
        assert_eq!(bits(got), bits(wanted), "{source}");
    }
}

/// Whole numbers from `-most` on, below `most`.
fn indices(dtype: DType, shape: &[usize], most: usize, seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let low = if dtype == DType::U32 { 0 } else { most as i64 };
    tensor(dtype, shape, |_| (random.below(most + low as usize) as i64 - low) as f64)
}

#[test]
fn scatters_have_the_bits_of_the_cpu() {
    if !super::gpu_is_there() {
        return;
    }
    for dtype in [DType::F32, DType::I32, DType::U32] {
        for index in [DType::I64, DType::I32, DType::U32] {
            let mut random = Random::new(5);
            let mut numbers = |shape: &[usize]| {
                tensor(dtype, shape, |_| {
                    let v = random.normal() * 1000.0;
                    if dtype == DType::F32 { v } else { v.abs().floor() }
                })
            };
            // Many more places than there are elements, so that most are written several times.
            let (x, src, i) = (numbers(&[7, 300]), numbers(&[90, 300]), indices(index, &[90, 300], 7, 6));
            let (y, tall, j) = (numbers(&[300, 5]), numbers(&[300, 40]), indices(index, &[300, 40], 5, 7));
            let (z, deep) = (numbers(&[20, 4, 30]), numbers(&[20, 9, 30]));
            let k = indices(index, &[20, 9, 30], 4, 8);
            let head =
                |rank: &str, src: &str| format!("x: {dtype}[{rank}], i: {index}[{src}], v: {dtype}[{src}]");
            for name in ["scatter", "scatter_add"] {
                let of = |rank: &str, src: &str, axis: usize| {
                    format!("fn f({}) {{ {name}(x, i, v, axis={axis}) }}", head(rank, src))
                };
                same(&of("n, m", "k, m", 0), &[&x, &i, &src], true);
                same(&of("n, m", "n, k", 1), &[&y, &j, &tall], true);
                same(&of("p, n, m", "p, k, m", 1), &[&z, &k, &deep], true);
            }
        }
    }
}

#[test]
fn scatters_are_part_of_a_program_on_the_gpu() {
    if !super::gpu_is_there() {
        return;
    }
    let mut random = Random::new(11);
    let x = tensor(DType::F32, &[50, 256], |_| random.normal());
    let i = indices(DType::I64, &[80], 50, 12);
    // The derivative of reading rows.
    let source = "fn f(x: f32[n, m], i: i64[k]) { grad(|w| sum(w[i] * w[i]))(x) + x }";
    same(source, &[&x, &i], true);
    let flags = tensor(DType::Bool, &[50, 256], |i| f64::from(i % 3 == 0));
    let at = indices(DType::I32, &[9, 256], 50, 13);
    let source = "fn f(b: bool[n, m], i: i32[k, m], x: f32[n, m]) { scatter(b, i, x[:9] > 0, axis=0) }";
    same(source, &[&flags, &at, &x], true);
}

#[test]
fn few_long_lines_other_dtypes_and_wrong_indices_are_the_cpus() {
    if !super::gpu_is_there() {
        return;
    }
    let line = |n: usize| tensor(DType::F32, &[n], |i| i as f64 * 0.5);
    let source = "fn f(x: f32[n], i: i64[k], v: f32[k]) { scatter_add(x, i, v, axis=0) }";
    same(source, &[&line(20), &indices(DType::I64, &[256], 20, 1), &line(256)], true);
    same(source, &[&line(20), &indices(DType::I64, &[257], 20, 1), &line(257)], false);
    let wide = tensor(DType::F64, &[20], |i| i as f64);
    let wide_source = "fn f(x: f64[n], i: i64[k], v: f64[k]) { scatter_add(x, i, v, axis=0) }";
    same(wide_source, &[&wide, &indices(DType::I64, &[20], 20, 1), &wide], false);
    // An error with the words of the CPU, and nothing is left of it.
    for wrong in [20.0, -21.0, 5e9, -5e9] {
        let i = tensor(DType::I64, &[4], |i| if i == 2 { wrong } else { 0.0 });
        let args: [&dyn AsView; 3] = [&line(20), &i, &line(4)];
        let (cpu, gpu) = (matex::compile(source).unwrap(), on_gpu(source));
        let (wanted, got) = (cpu.call(&args).unwrap_err(), gpu.call(&args).unwrap_err());
        assert_eq!(got.to_string(), wanted.to_string());
        let i = tensor(DType::I64, &[4], |_| -20.0);
        let args: [&dyn AsView; 3] = [&line(20), &i, &line(4)];
        assert_eq!(bits(&gpu.call(&args).unwrap()[0]), bits(&cpu.call(&args).unwrap()[0]));
    }
    let nothing = line(0);
    same(source, &[&line(20), &indices(DType::I64, &[0], 20, 1), &nothing], true);
}
