//! Workloads against loops of plain Rust, and against ndarray where it has the operation.

pub(crate) mod layers;
pub(crate) mod plans;
pub(crate) mod scans;

use crate::Bench;
use matex::{AsView, AsViewMut, Function};
use ndarray::{Array2, Axis};
use std::hint::black_box;

/// A float type and its operations, for loops that are written once.
trait Float: matex::Element + AsViewMut + ndarray::LinalgScalar + num::Ops {}
impl Float for f32 {}
impl Float for f64 {}

mod num {
    pub(super) trait Ops: PartialOrd + std::ops::Neg<Output = Self> {
        fn of(v: f64) -> Self;
        fn exp(self) -> Self;
    }
    impl Ops for f32 {
        fn of(v: f64) -> f32 {
            v as f32
        }
        fn exp(self) -> f32 {
            f32::exp(self)
        }
    }
    impl Ops for f64 {
        fn of(v: f64) -> f64 {
            v
        }
        fn exp(self) -> f64 {
            f64::exp(self)
        }
    }
}

/// All workloads, in f32 and f64.
pub(crate) fn all(bench: &Bench) {
    for_type::<f32>(bench);
    for_type::<f64>(bench);
}

fn for_type<T: Float>(bench: &Bench) {
    let side = if bench.real { 1000 } else { 8 };
    let n = side * side;
    let data = |seed: u64| -> Vec<T> {
        // Weyl's sequence: the same data everywhere, in 0 .. 1.
        (0..n as u64)
            .map(|i| T::of((i * 2 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / 1.9e19))
            .collect()
    };
    let (a, b) = (data(1), data(2));
    elementwise(bench, &a, &b);
    let (a, b) =
        (Array2::from_shape_vec((side, side), a).unwrap(), Array2::from_shape_vec((side, side), b).unwrap());
    rows_and_columns(bench, &a);
    let size = if bench.real { 512 } else { 8 };
    let corner = |m: &Array2<T>| m.slice(ndarray::s![..size, ..size]).to_owned();
    matmul(bench, &corner(&a), &corner(&b));
}

/// One workload: matex into given memory, a plain loop, and ndarray where there is one.
fn compare<T: Float, O: AsViewMut>(
    bench: &Bench,
    name: &str,
    (source, args): (&str, &[&dyn AsView]),
    (mut out, plain): (O, &mut dyn FnMut()),
    ndarray: Option<&mut dyn FnMut()>,
) {
    // The process is pinned to one processor, where two threads would take turns.
    let f: Function = matex::Compiler::new().threads(1).compile(source).unwrap();
    let mut run = || f.call_into(args, &mut [&mut out]).unwrap();
    let has_ndarray = ndarray.is_some();
    let mut contestants: Vec<&mut dyn FnMut()> = vec![&mut run, plain];
    if let Some(ndarray) = ndarray {
        contestants.push(ndarray);
    }
    let times: Vec<f64> = bench.times(&mut contestants).into_iter().map(|t| t / 1e3).collect();
    let best = times[1..].iter().copied().fold(f64::INFINITY, f64::min);
    let mut figures = vec![("matex", times[0]), ("loop", times[1])];
    if has_ndarray {
        figures.push(("ndarray", times[2]));
    }
    figures.push(("ratio", times[0] / best));
    bench.line("work", &format!("{name} {}", T::DTYPE), &figures);
}

fn elementwise<T: Float>(bench: &Bench, a: &[T], b: &[T]) {
    let out = vec![T::zero(); a.len()];
    let mut to = out.clone();
    let mut plain = || {
        let scale = a[0] + b[0] + a[1] + b[1];
        for ((o, x), y) in to.iter_mut().zip(a).zip(b) {
            *o = (*x + *y) / scale;
        }
        black_box(&mut to);
    };
    let source = "{ m = a + b; return m / (m[0] + m[1]) }";
    compare::<T, _>(bench, "m = a+b; m/(m[0]+m[1])", (source, &[&a, &b]), (out.clone(), &mut plain), None);
    let mut to = out.clone();
    let [c0, c1, c2, c3] = [1.0, 2.0, 3.0, 4.0].map(T::of);
    let mut plain = || {
        for (o, x) in to.iter_mut().zip(a) {
            *o = ((c3 * *x + c2) * *x + c1) * *x + c0;
        }
        black_box(&mut to);
    };
    let source = "((4.0*x + 3.0)*x + 2.0)*x + 1.0";
    compare::<T, _>(bench, "cubic polynomial", (source, &[&a]), (out.clone(), &mut plain), None);
    let mut to = out.clone();
    let mut plain = || {
        to.iter_mut().zip(a).for_each(|(o, x)| *o = x.exp());
        black_box(&mut to);
    };
    compare::<T, _>(bench, "exp", ("exp(x)", &[&a]), (out, &mut plain), None);
    let mut plain = || {
        // Eight sums, so that it is not one chain of additions.
        let mut sums = [T::zero(); 8];
        for chunk in a.chunks_exact(8) {
            sums.iter_mut().zip(chunk).for_each(|(s, x)| *s = *s + *x);
        }
        black_box(sums.iter().fold(T::zero(), |s, x| s + *x));
    };
    let view = ndarray::ArrayView1::from(a);
    let mut nd = || {
        black_box(view.sum());
    };
    let given: (&str, &[&dyn AsView]) = ("sum(x)", &[&a]);
    compare::<T, _>(bench, "sum", given, (T::zero(), &mut plain), Some(&mut nd));
}

fn rows_and_columns<T: Float>(bench: &Bench, a: &Array2<T>) {
    let (rows, cols) = a.dim();
    let data = a.as_slice().unwrap();
    let mut sums = vec![T::zero(); cols];
    let mut plain = || {
        sums.fill(T::zero());
        for row in data.chunks_exact(cols) {
            sums.iter_mut().zip(row).for_each(|(s, x)| *s = *s + *x);
        }
        black_box(&mut sums);
    };
    let mut nd = || drop(black_box(a.sum_axis(Axis(0))));
    let given: (&str, &[&dyn AsView]) = ("sum(x, axis=0)", &[a]);
    compare::<T, _>(bench, "sum of columns", given, (vec![T::zero(); cols], &mut plain), Some(&mut nd));
    let mut to = data.to_vec();
    let mut plain = || {
        for (to, row) in to.chunks_exact_mut(cols).zip(data.chunks_exact(cols)) {
            let max = row.iter().copied().fold(row[0], |m, x| if x > m { x } else { m });
            to.iter_mut().zip(row).for_each(|(o, x)| *o = (*x - max).exp());
            let sum = to.iter().fold(T::zero(), |s, x| s + *x);
            to.iter_mut().for_each(|o| *o = *o / sum);
        }
        black_box(&mut to);
    };
    let source = "{ e = exp(x - max(x, axis=-1, keepdims=true)); return e / sum(e, axis=-1, keepdims=true) }";
    let out = Array2::<T>::zeros((rows, cols));
    compare::<T, _>(bench, "softmax of rows", (source, &[a]), (out, &mut plain), None);
}

fn matmul<T: Float>(bench: &Bench, a: &Array2<T>, b: &Array2<T>) {
    let n = a.nrows();
    let mut to = vec![T::zero(); n * n];
    let (left, right) = (a.as_slice().unwrap(), b.as_slice().unwrap());
    let mut plain = || {
        to.fill(T::zero());
        for (to, left) in to.chunks_exact_mut(n).zip(left.chunks_exact(n)) {
            for (x, right) in left.iter().zip(right.chunks_exact(n)) {
                to.iter_mut().zip(right).for_each(|(o, y)| *o = *o + *x * *y);
            }
        }
        black_box(&mut to);
    };
    let mut nd = || drop(black_box(a.dot(b)));
    let out = Array2::<T>::zeros((n, n));
    let name = format!("matmul {n}");
    compare::<T, _>(bench, &name, ("a @ b", &[a, b]), (out.clone(), &mut plain), Some(&mut nd));
    let x = a.row(0).to_owned();
    let mut sums = vec![T::zero(); n];
    let mut plain = || {
        for (s, row) in sums.iter_mut().zip(left.chunks_exact(n)) {
            *s = row.iter().zip(&x).fold(T::zero(), |s, (a, b)| s + *a * *b);
        }
        black_box(&mut sums);
    };
    let mut nd = || drop(black_box(a.dot(&x)));
    let given: (&str, &[&dyn AsView]) = ("a @ x", &[a, &x]);
    let name = format!("matrix times vector {n}");
    compare::<T, _>(bench, &name, given, (vec![T::zero(); n], &mut plain), Some(&mut nd));
}
