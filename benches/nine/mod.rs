//! Nine matrices added, from a size at which the call is all to one at which memory is: the fused loop that one would
//! write against operators of nalgebra and ndarray, which make a matrix for each of them.

use crate::{Bench, native};
use nalgebra::DMatrix;
use ndarray::{Array2, ArrayRef2, ArrayView2};
use std::hint::black_box;

type M = Array2<f64>;
type Nine = fn(&M, &M, &M, &M, &M, &M, &M, &M, &M, &mut M);
type V = ArrayRef2<f64>;
type Views = fn(&V, &V, &V, &V, &V, &V, &V, &V, &V, &mut M);

/// Nanoseconds a call, by a typed function into given memory.
pub(crate) fn all(bench: &Bench) {
    for side in if bench.real { [10, 20, 30, 40, 1000] } else { [2, 3, 4, 5, 6] } {
        one(bench, side);
    }
}

fn one(bench: &Bench, side: usize) {
    let value = |k: usize, i: usize, j: usize| (k * 31 + i * 7 + j) as f64 * 1e-3;
    let arrays: Vec<M> = (0..9).map(|k| M::from_shape_fn((side, side), |(i, j)| value(k, i, j))).collect();
    let matrices: Vec<DMatrix<f64>> =
        (0..9).map(|k| DMatrix::from_fn(side, side, |i, j| value(k, i, j))).collect();
    let [a, b, c, d, e, f, g, h, i] = &arrays[..] else { return };
    // The process is pinned to one processor.
    let sum = matex::Compiler::new().threads(1).compile("a + b + c + d + e + f + g + h + i").unwrap();
    let (by_reference, by_view) = (sum.typed::<Nine>().unwrap(), sum.typed::<Views>().unwrap());
    let views: Vec<ArrayView2<'_, f64>> = arrays.iter().map(|m| m.view()).collect();
    let [va, vb, vc, vd, ve, vf, vg, vh, vi] = &views[..] else { return };
    let slices: Vec<&[f64]> = arrays.iter().filter_map(|m| m.as_slice()).collect();
    let [mut first, mut second, mut third] = [(); 3].map(|()| M::zeros((side, side)));
    let mut plain = native(
        #[inline(always)]
        || fused(&slices, third.as_slice_mut().unwrap()),
    );
    let mut operators = || {
        let [a, b, c, d, e, f, g, h, i] = &matrices[..] else { return };
        drop(black_box(a + b + c + d + e + f + g + h + i));
    };
    let times = bench.fastest(&mut [
        &mut || by_reference(a, b, c, d, e, f, g, h, i, &mut first).unwrap(),
        &mut || by_view(va, vb, vc, vd, ve, vf, vg, vh, vi, &mut second).unwrap(),
        &mut plain,
        &mut operators,
        &mut || drop(black_box(a + b + c + d + e + f + g + h + i)),
    ]);
    let names = ["matex", "by views", "loop", "nalgebra", "ndarray"];
    let mut figures: Vec<(&str, f64)> = names.into_iter().zip(times.iter().copied()).collect();
    figures.push(("matex / loop", times[0] / times[2]));
    bench.line("nine", &format!("{side} x {side} f64"), &figures);
}

/// One pass over all of them.
#[inline(always)]
fn fused(of: &[&[f64]], to: &mut [f64]) {
    let [a, b, c, d, e, f, g, h, i] = of else { return };
    let n = to.len();
    let [a, b, c, d, e, f, g, h, i] = [a, b, c, d, e, f, g, h, i].map(|x| &x[..n]);
    for k in 0..n {
        to[k] = a[k] + b[k] + c[k] + d[k] + e[k] + f[k] + g[k] + h[k] + i[k];
    }
    black_box(to);
}
