//! How far elementary functions are from the truth, in units of the last place, by CORE-MATH, whose functions are
//! correctly rounded.
//!
//! A sample runs with all tests. `cargo test --release --test accuracy -- --ignored --nocapture` goes through all 2^32
//! values of f32 and 20 million of f64 and prints the rows of `docs/accuracy.md` as they come, in a quarter of an hour on two
//! cores. With `MATEX_STRIDE=n` it takes every n-th of both.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a table is printed when it is asked for")]

use core_math as cr;
use matex::Function;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// One function of one argument: its name, the bound in ulp, the correctly rounded one of f32, and the truth for f32 and for
/// f64. Where CORE-MATH has no such function the reference is made of others, and off by up to `slack` ulp of f64 itself.
struct Row {
    name: &'static str,
    bound: f64,
    rounded: Option<fn(f32) -> f32>,
    truth: fn(f64) -> f64,
    slack: f64,
}

const fn row(name: &'static str, bound: f64, rounded: fn(f32) -> f32, truth: fn(f64) -> f64) -> Row {
    Row { name, bound, rounded: Some(rounded), truth, slack: 0.0 }
}

const UNARY: &[Row] = &[
    row("exp", 1.0, cr::expf, cr::exp),
    row("exp2", 1.0, cr::exp2f, cr::exp2),
    row("expm1", 1.0, cr::expm1f, cr::expm1),
    row("log", 1.0, cr::logf, cr::log),
    row("log2", 1.0, cr::log2f, cr::log2),
    row("log10", 1.0, cr::log10f, cr::log10),
    row("log1p", 1.0, cr::log1pf, cr::log1p),
    row("sin", 1.0, cr::sinf, cr::sin),
    row("cos", 1.0, cr::cosf, cr::cos),
    row("tan", 2.0, cr::tanf, cr::tan),
    row("asin", 1.0, cr::asinf, cr::asin),
    row("acos", 1.0, cr::acosf, cr::acos),
    row("atan", 1.0, cr::atanf, cr::atan),
    row("sinh", 1.0, cr::sinhf, cr::sinh),
    row("cosh", 1.0, cr::coshf, cr::cosh),
    row("tanh", 1.0, cr::tanhf, cr::tanh),
    row("asinh", 2.0, cr::asinhf, cr::asinh),
    row("acosh", 1.0, cr::acoshf, cr::acosh),
    row("atanh", 1.0, cr::atanhf, cr::atanh),
    row("erf", 2.0, cr::erff, cr::erf),
    row("erfc", 2.0, cr::erfcf, cr::erfc),
    row("cbrt", 1.0, cr::cbrtf, cr::cbrt),
    row("rsqrt", 1.0, cr::rsqrtf, cr::rsqrt),
    Row { name: "sigmoid", bound: 2.5, rounded: None, truth: sigmoid, slack: 2.0 },
    Row { name: "softplus", bound: 2.0, rounded: None, truth: softplus, slack: 1.5 },
    Row { name: "gelu", bound: 2.0, rounded: None, truth: gelu, slack: f64::INFINITY },
];

fn sigmoid(x: f64) -> f64 {
    let t = cr::exp(-x.abs());
    if x < 0.0 { t / (1.0 + t) } else { 1.0 / (1.0 + t) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + cr::log1p(cr::exp(-x.abs()))
}

/// Good for f32: the argument of erfc is rounded, which shows far out in f64.
fn gelu(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return -0.0;
    }
    0.5 * x * cr::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// The functions of two arguments.
struct Row2 {
    name: &'static str,
    bound: f64,
    truth: fn(f64, f64) -> f64,
}

const BINARY: &[Row2] = &[
    Row2 { name: "atan2", bound: 1.0, truth: cr::atan2 },
    Row2 { name: "pow", bound: 2.0, truth: cr::pow },
    Row2 { name: "hypot", bound: 1.0, truth: cr::hypot },
];

/// The error of an f32 in ulp of the truth, which is an f64; none where one is NaN and the other is not, or the sign of
/// zero is wrong.
fn error_f32(got: f32, truth: f64) -> Option<f64> {
    if got.is_nan() || truth.is_nan() {
        return (got.is_nan() && truth.is_nan()).then_some(0.0);
    }
    if got == 0.0 && truth == 0.0 {
        return (got.is_sign_negative() == truth.is_sign_negative()).then_some(0.0);
    }
    let limit = 2f64.powi(128);
    let (got, truth) = (f64::from(got).clamp(-limit, limit), truth.clamp(-limit, limit));
    let exponent = ((truth.to_bits() >> 52 & 0x7ff) as i32 - 1023).clamp(-126, 127);
    Some((got - truth).abs() / 2f64.powi(exponent - 23))
}

/// How many f64 lie between a result and the correctly rounded one.
fn distance_f64(got: f64, truth: f64) -> Option<u64> {
    if got.is_nan() || truth.is_nan() {
        return (got.is_nan() && truth.is_nan()).then_some(0);
    }
    let order = |v: f64| {
        let magnitude = (v.to_bits() & !(1 << 63)) as i64;
        if v.is_sign_negative() { -magnitude } else { magnitude }
    };
    if got == 0.0 && truth == 0.0 && got.is_sign_negative() != truth.is_sign_negative() {
        return None;
    }
    Some(order(got).abs_diff(order(truth)))
}

/// Splitmix64: the same points everywhere.
struct Points(u64);

impl Points {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Any bits, the usual range, every magnitude, and what is close to numbers where something changes.
    fn f64(&mut self) -> f64 {
        const EDGES: [f64; 20] = [
            0.0,
            0.5,
            1.0,
            2.0,
            0.25,
            4.0,
            1.5,
            0.346_573_59,
            std::f64::consts::LN_2,
            std::f64::consts::FRAC_PI_2,
            709.782_71,
            745.133_2,
            710.475_86,
            19.0,
            40.0,
            5.95,
            26.5,
            2.0e-8,
            268_435_456.0,
            1e154,
        ];
        let word = self.word();
        let unit = |w: u64| (w >> 11) as f64 / (1u64 << 53) as f64;
        let sign = if word & 8 == 0 { 1.0 } else { -1.0 };
        match word % 8 {
            0 => quiet(f64::from_bits(self.word())),
            1 | 2 => unit(self.word()) * 8.0 - 4.0,
            3 => unit(self.word()) * 1500.0 - 750.0,
            4 => sign * f64::from_bits((1023 - 40 + self.word() % 80) << 52 | self.word() >> 12),
            5 => sign * (1.0 + unit(self.word()) * 2f64.powi(-((self.word() % 50) as i32))),
            6 => {
                let edge = EDGES[(self.word() % 20) as usize];
                sign * f64::from_bits(edge.to_bits().saturating_add(self.word() % 65).saturating_sub(32))
            }
            _ => sign * unit(self.word()),
        }
    }
}

/// A NaN that signals is like any other to matex; to CORE-MATH its power with 0 is NaN, and that of others 1.
fn quiet(v: f64) -> f64 {
    if v.is_nan() { f64::NAN } else { v }
}

/// The most that was seen, and where.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    error: f64,
    at: f64,
    /// Results that are not the correctly rounded ones, and all.
    off: u64,
    all: u64,
}

impl Worst {
    fn see(&mut self, error: f64, at: f64) {
        self.all += 1;
        self.off += u64::from(error > 0.5);
        if error > self.error {
            (self.error, self.at) = (error, at);
        }
    }

    fn with(self, other: Worst) -> Worst {
        let worst = if other.error > self.error { other } else { self };
        Worst { off: self.off + other.off, all: self.all + other.all, ..worst }
    }
}

/// A function as machine code.
fn compiled(name: &str, args: &str, dtype: &str) -> Function {
    let params: Vec<String> = args.split(", ").map(|a| format!("{a}: {dtype}[n]")).collect();
    matex::compile(&format!("fn f({}) {{ {name}({args}) }}", params.join(", "))).unwrap()
}

/// All f32 whose bits are multiples of a stride.
fn f32_of(row: &Row, stride: u64) -> Worst {
    const CHUNK: u64 = 1 << 16;
    let f = compiled(row.name, "x", "f32");
    let (next, worst) = (AtomicU64::new(0), Mutex::new(Worst::default()));
    let work = || {
        let (mut x, mut y) = (Vec::new(), vec![0f32; CHUNK as usize]);
        let mut mine = Worst::default();
        loop {
            let begin = next.fetch_add(CHUNK * stride, Ordering::Relaxed);
            if begin >= 1 << 32 {
                break;
            }
            x.clear();
            x.extend(
                (0..CHUNK).map(|i| f32::from_bits((begin + i * stride).min(u64::from(u32::MAX)) as u32)),
            );
            f.call_into(&[&x], &mut [&mut y]).unwrap();
            for (x, y) in x.iter().zip(&y) {
                // Most results are the correctly rounded ones, and are told from the others at a fifth of the time.
                if row.rounded.is_some_and(|rounded| rounded(*x).to_bits() == y.to_bits()) {
                    mine.see(0.5, f64::from(*x));
                    continue;
                }
                let truth = (row.truth)(f64::from(*x));
                let error = error_f32(*y, truth);
                assert!(error.is_some(), "{}({x:e}) is {y:e} and not {truth:e}", row.name);
                mine.see(error.unwrap(), f64::from(*x));
            }
        }
        let mut all = worst.lock().unwrap();
        *all = all.with(mine);
    };
    std::thread::scope(|s| {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).for_each(|_| {
            s.spawn(work);
        });
    });
    worst.into_inner().unwrap()
}

/// So many f64; the error is the distance from the correctly rounded result.
fn f64_of(row: &Row, count: usize) -> Worst {
    let f = compiled(row.name, "x", "f64");
    let mut points = Points(7);
    let mut worst = Worst::default();
    for _ in 0..count.div_ceil(1 << 14) {
        let x: Vec<f64> = (0..1 << 14).map(|_| points.f64()).collect();
        let mut y = vec![0f64; x.len()];
        f.call_into(&[&x], &mut [&mut y]).unwrap();
        for (x, y) in x.iter().zip(&y) {
            let truth = (row.truth)(*x);
            let distance = distance_f64(*y, truth);
            assert!(distance.is_some(), "{}({x:e}) is {y:e} and not {truth:e}", row.name);
            worst.see(distance.unwrap() as f64, *x);
        }
    }
    worst
}

fn binary_of(row: &Row2, count: usize) -> [Worst; 2] {
    let (narrow, wide) = (compiled(row.name, "x, y", "f32"), compiled(row.name, "x, y", "f64"));
    let mut points = Points(9);
    let mut worst = [Worst::default(); 2];
    for _ in 0..count.div_ceil(1 << 14) {
        let (x, y): (Vec<f64>, Vec<f64>) = (0..1 << 14).map(|_| (points.f64(), points.f64())).unzip();
        let mut z = vec![0f64; x.len()];
        wide.call_into(&[&x, &y], &mut [&mut z]).unwrap();
        for ((x, y), z) in x.iter().zip(&y).zip(&z) {
            let truth = (row.truth)(*x, *y);
            let distance = distance_f64(*z, truth);
            assert!(distance.is_some(), "{}({x:e}, {y:e}) is {z:e} and not {truth:e}", row.name);
            worst[1].see(distance.unwrap() as f64, *x);
        }
        let small = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let (x, y) = (small(&x), small(&y));
        let mut z = vec![0f32; x.len()];
        narrow.call_into(&[&x, &y], &mut [&mut z]).unwrap();
        for ((x, y), z) in x.iter().zip(&y).zip(&z) {
            let truth = (row.truth)(f64::from(*x), f64::from(*y));
            let error = error_f32(*z, truth);
            assert!(error.is_some(), "{}({x:e}, {y:e}) is {z:e} and not {truth:e}", row.name);
            worst[0].see(error.unwrap(), f64::from(*x));
        }
    }
    worst
}

/// The largest error of `logaddexp` in f32, in ulp of its larger operand, ln 2 or itself, whichever is the largest: it
/// is a sum that may cancel.
fn logaddexp_f32(count: usize) -> Worst {
    let f = compiled("logaddexp", "x, y", "f32");
    let mut points = Points(11);
    let mut worst = Worst::default();
    for _ in 0..count.div_ceil(1 << 14) {
        let (x, y): (Vec<f32>, Vec<f32>) =
            (0..1 << 14).map(|_| (points.f64() as f32, points.f64() as f32)).unzip();
        let mut z = vec![0f32; x.len()];
        f.call_into(&[&x, &y], &mut [&mut z]).unwrap();
        for ((x, y), z) in x.iter().zip(&y).zip(&z) {
            let (a, b) = (f64::from(x.max(*y)), f64::from(x.min(*y)));
            let apart = if a == b { 0.0 } else { b - a };
            let truth = if x.is_nan() || y.is_nan() { f64::NAN } else { a + cr::log1p(cr::exp(apart)) };
            let scale = truth.abs().max(a.abs()).max(std::f64::consts::LN_2);
            let error = if z.is_finite() && truth.is_finite() {
                Some((f64::from(*z) - truth).abs() / 2f64.powi(scale.log2().floor() as i32 - 23))
            } else {
                error_f32(*z, truth)
            };
            assert!(error.is_some(), "logaddexp({x:e}, {y:e}) is {z:e} and not {truth:e}");
            worst.see(error.unwrap(), f64::from(*x));
        }
    }
    worst
}

/// Gives the rows of the table, each after its bounds were found to hold.
fn table(stride: u64, count: usize, mut give: impl FnMut(String)) {
    let percent = |w: &Worst| 100.0 * w.off as f64 / w.all as f64;
    let mut line = |name: &str, bound: f64, narrow: Worst, wide: Option<Worst>| {
        let wide = wide.map_or(" – | –".to_owned(), |w| format!(" {} | {:.2} %", w.error, percent(&w)));
        let (error, at, off) = (narrow.error, narrow.at, percent(&narrow));
        give(format!("| `{name}` | {bound} | {error:.4} | {at:e} | {off:.2} % |{wide} |"));
    };
    for row in UNARY {
        let narrow = f32_of(row, stride);
        assert!(narrow.error <= row.bound, "{} of f32: {narrow:?}", row.name);
        if row.slack.is_infinite() {
            line(row.name, row.bound, narrow, None);
            continue;
        }
        let wide = f64_of(row, count);
        assert!(wide.error <= row.bound + row.slack, "{} of f64: {wide:?}", row.name);
        line(row.name, row.bound, narrow, (row.slack == 0.0).then_some(wide));
    }
    for row in BINARY {
        let [narrow, wide] = binary_of(row, count);
        assert!(narrow.error <= row.bound && wide.error <= row.bound, "{}: {narrow:?} {wide:?}", row.name);
        line(row.name, row.bound, narrow, Some(wide));
    }
    let narrow = logaddexp_f32(count);
    assert!(narrow.error <= 2.0, "logaddexp of f32: {narrow:?}");
    line("logaddexp", 2.0, narrow, None);
}

#[test]
fn functions_keep_their_bounds_on_a_sample() {
    table(40_009, 100_000, drop);
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn functions_keep_their_bounds_everywhere() {
    println!(
        "| function | bound | f32 ulp | where | f32 not correctly rounded | f64 ulp | f64 not correctly rounded |"
    );
    println!("|---|---|---|---|---|---|---|");
    let stride: u64 = std::env::var("MATEX_STRIDE").map_or(1, |s| s.parse().unwrap());
    table(stride, 20_000_000 / stride as usize, |row| println!("{row}"));
}
