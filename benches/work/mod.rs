//! Workloads against loops of plain Rust, and against ndarray where it has the operation.
//!
//! `benches/peers/work.py` prints rows of the same names for what Python has, and `benches/peers/table.py` puts both side by side.

mod elementwise;
pub(crate) mod layers;
pub(crate) mod plans;
mod products;
mod rows;
pub(crate) mod scans;
mod triad;

use crate::Bench;
use matex::{AsView, AsViewMut, Function};
use ndarray::Array2;

/// A float type and its operations, for loops that are written once.
trait Float:
    matex::Element + AsViewMut + ndarray::LinalgScalar + num::Ops + triad::PastCaches + From<u8>
{
}
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

/// Sizes at which the work is the call, and at which memory is the second cache, the last one, and none.
const SIZES: [Work; 4] = [
    Work { name: "work 1000", rows: 10, cols: 100 },
    Work { name: "work 30000", rows: 100, cols: 300 },
    Work { name: "work", rows: 1000, cols: 1000 },
    Work { name: "work 20000000", rows: 20_000, cols: 1000 },
];

/// The workloads at one size.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    rows: usize,
    cols: usize,
}

/// All workloads with a million elements.
pub(crate) fn all(bench: &Bench) {
    for_types(bench, SIZES[2]);
}

/// All workloads with fewer elements, and those that memory bounds with more than any cache holds.
pub(crate) fn sizes(bench: &Bench) {
    for work in [SIZES[0], SIZES[1], SIZES[3]] {
        for_types(bench, work);
    }
}

fn for_types(bench: &Bench, work: Work) {
    let work = if bench.real { work } else { Work { rows: 8, cols: 8, ..work } };
    for_type::<f32>(Rows { bench, work });
    for_type::<f64>(Rows { bench, work });
}

/// A table that is being measured.
#[derive(Clone, Copy)]
struct Rows<'a> {
    bench: &'a Bench,
    work: Work,
}

fn for_type<T: Float>(on: Rows<'_>) {
    let Work { rows, cols, .. } = on.work;
    let n = rows * cols;
    triad::all::<T>(on, n);
    elementwise::all::<T>(on, n);
    let matrix = |seed| Array2::from_shape_vec((rows, cols), uniform(n, seed, (-2.0, 2.0))).unwrap();
    rows::all::<T>(on, &matrix(1));
    // Products have sizes of their own.
    if on.work.name == SIZES[2].name {
        let size = if on.bench.real { 512 } else { 8 };
        let corner = |m: Array2<T>| m.slice(ndarray::s![..size, ..size]).to_owned();
        products::all(on, &corner(matrix(1)), &corner(matrix(2)));
    }
}

/// Numbers of a range by Weyl's sequence, the same everywhere.
fn uniform<T: Float>(n: usize, seed: u64, (low, high): (f64, f64)) -> Vec<T> {
    let unit = |i: u64| (i * 2 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64;
    (0..n as u64).map(|i| T::of(low + (high - low) * unit(i))).collect()
}

/// One workload: matex into given memory and others, in microseconds, and the bytes that have to be read and written.
fn compare<T: Float, O: AsViewMut>(
    on: Rows<'_>,
    name: &str,
    (source, args): (&str, &[&dyn AsView]),
    mut out: O,
    others: &mut [(&'static str, &mut dyn FnMut())],
) {
    if !on.bench.wants(name) {
        return;
    }
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
    let times: Vec<f64> = on.bench.times(&mut contestants).into_iter().map(|t| t / 1e3).collect();
    let mut figures: Vec<(&str, f64)> = names.into_iter().zip(times.iter().copied()).collect();
    let best = times[1..].iter().copied().fold(f64::INFINITY, f64::min);
    figures.push(("ratio", times[0] / best));
    figures.push(("MB", ((read + written) * size_of::<T>()) as f64 / 1e6));
    on.bench.line(on.work.name, &format!("{name} {}", T::DTYPE), &figures);
}
