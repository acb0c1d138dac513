//! Kernels on one thread and on all, from small sizes to large ones: the ratio is what sharing gains, or loses.
//!
//! Not to be pinned to one processor.

use crate::Bench;
use matex::{AsView, Compiler};
use ndarray::Array2;

/// Name, program of `x` and `y`, and whether they are square matrices.
const WORKLOADS: &[(&str, &str, bool)] = &[
    ("x * y + x", "x * y + x", false),
    ("exp(x) * sin(y)", "exp(x) * sin(y)", false),
    ("sum(x * y)", "sum(x * y)", false),
    ("softmax of a vector", "softmax(x) + 0.0 * y[0]", false),
    ("softmax of rows", "softmax(x) + 0.0 * y[0, 0]", true),
    ("sum of columns", "sum(x * y, axis=0)", true),
];

/// Microseconds on one thread and on all, and the ratio.
pub(crate) fn all(bench: &Bench) {
    let sizes: &[usize] = if bench.real {
        &[100, 1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000]
    } else {
        &[100]
    };
    for (name, source, square) in WORKLOADS {
        for n in sizes {
            let side = (*n as f64).sqrt() as usize;
            let data: Vec<f32> = (0..*n).map(|i| (i % 1000) as f32 * 1e-3).collect();
            let matrix = Array2::from_shape_vec((side, side), data[..side * side].to_vec()).unwrap();
            let args: [&dyn AsView; 2] = if *square { [&matrix, &matrix] } else { [&data, &data] };
            let compile = |threads| Compiler::new().threads(threads).compile(source).unwrap();
            let (one, all) = (compile(1), compile(0));
            let result = || one.call(&args).unwrap().into_iter().next().unwrap();
            let (mut first, mut second) = (result(), result());
            let times = bench
                .times(&mut [&mut || one.call_into(&args, &mut [&mut first]).unwrap(), &mut || {
                    all.call_into(&args, &mut [&mut second]).unwrap()
                }]);
            let us = |t: f64| t / 1e3;
            let figures = [("one", us(times[0])), ("all", us(times[1])), ("gain", times[0] / times[1])];
            bench.line("threads", &format!("{name}, {n}"), &figures);
        }
    }
}
