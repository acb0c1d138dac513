//! Workloads against loops of plain Rust, and against ndarray where it has the operation.
//!
//! `benches/peers/work.py` prints rows of the same names for what Python has, and `benches/peers/table.py` puts both side by side.

mod elementwise;
pub(crate) mod layers;
pub(crate) mod plans;
mod rows;
pub(crate) mod scans;

use crate::Bench;
use matex::{AsView, AsViewMut, Function};
use ndarray::Array2;
use std::hint::black_box;

/// A float type and its operations, for loops that are written once.
trait Float: matex::Element + AsViewMut + ndarray::LinalgScalar + num::Ops {}
impl Float for f32 {}
impl Float for f64 {}

mod num {
    pub(super) trait Ops: PartialOrd + std::ops::Neg<Output = Self> + std::iter::Sum {
        fn of(v: f64) -> Self;
        fn exp(self) -> Self;
        fn ln(self) -> Self;
        fn sin(self) -> Self;
        fn cos(self) -> Self;
        fn asin(self) -> Self;
        fn tanh(self) -> Self;
        fn sqrt(self) -> Self;
        fn erf(self) -> Self;
    }

    macro_rules! ops {
        ($t:ident, $erf:path) => {
            impl Ops for $t {
                fn of(v: f64) -> $t {
                    v as $t
                }
                fn erf(self) -> $t {
                    $erf(self)
                }
                ops!($t: exp ln sin cos asin tanh sqrt);
            }
        };
        ($t:ident: $($f:ident)+) => {$(
            fn $f(self) -> $t {
                $t::$f(self)
            }
        )+};
    }
    ops!(f32, core_math::erff);
    ops!(f64, core_math::erf);
}

/// All workloads, in f32 and f64.
pub(crate) fn all(bench: &Bench) {
    for_type::<f32>(bench);
    for_type::<f64>(bench);
}

fn for_type<T: Float>(bench: &Bench) {
    let side = if bench.real { 1000 } else { 8 };
    limit::<T>(bench, side * side);
    elementwise::all::<T>(bench, side * side);
    let square =
        |seed| Array2::from_shape_vec((side, side), uniform(side * side, seed, (-2.0, 2.0))).unwrap();
    let (a, b) = (square(1), square(2));
    rows::all::<T>(bench, &a);
    let size = if bench.real { 512 } else { 8 };
    let corner = |m: &Array2<T>| m.slice(ndarray::s![..size, ..size]).to_owned();
    matmul(bench, &corner(&a), &corner(&b));
}

/// What the machine moves where the rows of the table have their memory: the triad of STREAM over as many elements.
fn limit<T: Float>(bench: &Bench, n: usize) {
    let (a, b): (Vec<T>, Vec<T>) = (uniform(n, 1, (0.0, 1.0)), uniform(n, 2, (0.0, 1.0)));
    let mut to = vec![T::zero(); n];
    let scale = T::of(3.0);
    let mut triad = || {
        to.iter_mut().zip(&a).zip(&b).for_each(|((o, x), y)| *o = *x + scale * *y);
        black_box(&mut to);
    };
    let ns = bench.fastest(&mut [&mut triad])[0];
    bench.line("limit", &format!("triad {}", T::DTYPE), &[("GB/s", (3 * n * size_of::<T>()) as f64 / ns)]);
}

/// Numbers of a range by Weyl's sequence, the same everywhere.
fn uniform<T: Float>(n: usize, seed: u64, (low, high): (f64, f64)) -> Vec<T> {
    let unit = |i: u64| (i * 2 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64;
    (0..n as u64).map(|i| T::of(low + (high - low) * unit(i))).collect()
}

/// One workload: matex into given memory and others, in microseconds, and the bytes that have to be read and written.
fn compare<T: Float, O: AsViewMut>(
    bench: &Bench,
    name: &str,
    (source, args): (&str, &[&dyn AsView]),
    mut out: O,
    others: &mut [(&'static str, &mut dyn FnMut())],
) {
    // The process is pinned to one processor, where two threads would take turns.
    let f: Function = matex::Compiler::new().threads(1).compile(source).unwrap();
    let count = |shape: &[usize]| shape.iter().product::<usize>();
    let read: usize = args.iter().map(|a| count(a.as_view().shape())).sum();
    let written = count(out.as_view_mut().unwrap().shape());
    let mut run = || f.call_into(args, &mut [&mut out]).unwrap();
    let mut names = vec!["matex"];
    let mut contestants: Vec<&mut dyn FnMut()> = vec![&mut run];
    for (name, run) in others {
        names.push(name);
        contestants.push(run);
    }
    let times: Vec<f64> = bench.times(&mut contestants).into_iter().map(|t| t / 1e3).collect();
    let mut figures: Vec<(&str, f64)> = names.into_iter().zip(times.iter().copied()).collect();
    let best = times[1..].iter().copied().fold(f64::INFINITY, f64::min);
    figures.push(("ratio", times[0] / best));
    figures.push(("MB", ((read + written) * size_of::<T>()) as f64 / 1e6));
    bench.line("work", &format!("{name} {}", T::DTYPE), &figures);
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
    let others: &mut [(&str, &mut dyn FnMut())] = &mut [("loop", &mut plain), ("ndarray", &mut nd)];
    compare::<T, _>(bench, &format!("matmul {n}"), ("a @ b", &[a, b]), out, others);
    let x = a.row(0).to_owned();
    let mut sums = vec![T::zero(); n];
    let mut plain = || {
        for (s, row) in sums.iter_mut().zip(left.chunks_exact(n)) {
            *s = row.iter().zip(&x).fold(T::zero(), |s, (a, b)| s + *a * *b);
        }
        black_box(&mut sums);
    };
    let mut nd = || drop(black_box(a.dot(&x)));
    let others: &mut [(&str, &mut dyn FnMut())] = &mut [("loop", &mut plain), ("ndarray", &mut nd)];
    let name = format!("matrix times vector {n}");
    compare::<T, _>(bench, &name, ("a @ x", &[a, &x]), vec![T::zero(); n], others);
}
