//! Running sums, gathers and sorting, next to the loop that one would write, or the sort of Rust's library.

use crate::{Bench, native};
use matex::{AsView, Compiler};
use std::hint::black_box;

/// Microseconds for a million elements.
pub(crate) fn all(bench: &Bench) {
    let n = if bench.real { 1_000_000 } else { 10 };
    let x: Vec<f64> = (0..n).map(|i| (i % 1000) as f64 * 1e-3).collect();
    let y: Vec<f32> = x.iter().map(|v| *v as f32).collect();
    let index: Vec<i64> = (0..n as i64).map(|i| i.wrapping_mul(7919) % n as i64).collect();
    let (mut wide, mut narrow) = (vec![0f64; n], vec![0f32; n]);
    let mut plain64 = || {
        let mut sum = 0.0;
        for (o, x) in wide.iter_mut().zip(&x) {
            sum += *x;
            *o = sum;
        }
        black_box(&mut wide);
    };
    compare(bench, "cumulative sum f64", ("cumulative_sum(x)", &[&x]), vec![0f64; n], &mut plain64);
    let mut plain32 = || {
        let mut sum = 0.0;
        for (o, x) in narrow.iter_mut().zip(&y) {
            sum += *x;
            *o = sum;
        }
        black_box(&mut narrow);
    };
    compare(bench, "cumulative sum f32", ("cumulative_sum(x)", &[&y]), vec![0f32; n], &mut plain32);
    let mut taken = vec![0f64; n];
    let mut plain = native(
        #[inline(always)]
        || {
            for (o, i) in taken.iter_mut().zip(&index) {
                *o = x[*i as usize] * 2.0;
            }
            black_box(&mut taken);
        },
    );
    compare(bench, "x[i] * 2 f64", ("x[i] * 2.0", &[&x, &index]), vec![0f64; n], &mut plain);
    sorting(bench, n);
}

/// Numbers without an order, sorted; those of Rust's library by `total_cmp`, which is no stable sort and needs none.
fn sorting(bench: &Bench, n: usize) {
    let mixed: Vec<f64> =
        (0..n as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64).collect();
    let single: Vec<f32> = mixed.iter().map(|v| *v as f32).collect();
    let (mut wide, mut narrow) = (mixed.clone(), single.clone());
    let mut library64 = || {
        wide.copy_from_slice(&mixed);
        wide.sort_unstable_by(f64::total_cmp);
        black_box(&mut wide);
    };
    compare(bench, "sort f64", ("sort(x)", &[&mixed]), vec![0f64; n], &mut library64);
    let mut library32 = || {
        narrow.copy_from_slice(&single);
        narrow.sort_unstable_by(f32::total_cmp);
        black_box(&mut narrow);
    };
    compare(bench, "sort f32", ("sort(x)", &[&single]), vec![0f32; n], &mut library32);
    let mut places: Vec<(f64, i64)> = Vec::with_capacity(n);
    let mut pairs = || {
        places.clear();
        places.extend(mixed.iter().copied().zip(0i64..));
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        black_box(&mut places);
    };
    compare(bench, "argsort f64", ("argsort(x)", &[&mixed]), vec![0i64; n], &mut pairs);
}

fn compare(
    bench: &Bench,
    name: &str,
    (source, args): (&str, &[&dyn AsView]),
    mut out: impl matex::AsViewMut,
    plain: &mut dyn FnMut(),
) {
    let f = Compiler::new().threads(1).compile(source).unwrap();
    let mut run = || f.call_into(args, &mut [&mut out]).unwrap();
    let times = bench.times(&mut [&mut run, plain]);
    let figures = [("matex", times[0] / 1e3), ("loop", times[1] / 1e3), ("ratio", times[0] / times[1])];
    bench.line("scans", name, &figures);
}
