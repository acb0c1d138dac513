//! Running sums and gathers, next to the loop that one would write.

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
