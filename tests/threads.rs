//! The threads that kernels share: no bit depends on their number, calls on workers of other pools are safe, and a call
//! can be stopped.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{Arg, AsView, CallOptions, Compiler, Function};
use ndarray::{Array1, Array2, Array3};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Numbers of either sign and of many magnitudes, and now and then one that is none.
fn noise(seed: u64, n: usize, special: bool) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..n)
        .map(|_| {
            let word = next();
            match word % 50_021 {
                0 if special => f64::NAN,
                1 if special => f64::INFINITY,
                2 if special => -0.0,
                _ => (word >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 2.0,
            }
        })
        .collect()
}

/// The bits of all results, a NaN like any other, when a pool of so many threads calls.
fn bits(f: &Function, args: &[&(dyn AsView + Sync)], threads: usize) -> Vec<Vec<u64>> {
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let args: Vec<&dyn AsView> = args.iter().map(|a| *a as &dyn AsView).collect();
        let out = f.call(&args).unwrap();
        let bits = |s: matex::Scalar| if s.to_f64().is_nan() { 1 } else { s.bits() };
        out.iter().map(|t| t.scalars().map(bits).collect()).collect()
    })
}

/// What shares work, in the words of `explain`, in a pool of five threads.
fn sharing(f: &Function, args: &[&(dyn AsView + Sync)]) -> String {
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    pool.install(|| {
        let args: Vec<&dyn AsView> = args.iter().map(|a| *a as &dyn AsView).collect();
        let text = f.explain(&args).unwrap();
        text.lines().filter(|l| l.contains("thread")).collect::<Vec<_>>().join("\n")
    })
}

/// Programs of one argument of rank 1.
const VECTORS: &[&str] = &[
    "fn f(x: f64[n]) { sum(x) }",
    "fn f(x: f64[n]) { return mean(x), var(x) }",
    "fn f(x: f64[n]) { softmax(x) }",
    "fn f(x: f64[n]) { logsumexp(x) }",
    "fn f(x: f64[n]) { (x - mean(x)) / std(x) }",
    "fn f(x: f64[n]) { return max(x), min(x), argmax(x), argmin(x) }",
    "fn f(x: f64[n]) { return any(x > 1.9999), all(x < 3.0), count_nonzero(x > 0.5) }",
    "fn f(x: f64[n]) { sum(x * arange(n)) }",
    "fn f(x: f64[n]) { prod(1.0 + x * 1e-3) }",
    "fn f(x: f64[n]) { argmax(x[::-1] * 2.0) }",
    "fn f(x: f64[n]) { exp(x) * sin(x) + 1.0 }",
    "fn f(x: f64[n]) { sum(cast(x, f32)) + sum(cast(x * 2.0, f32)) }",
    "fn f(x: f64[n]) { s = sum(cast(x, f32)); cast(s, f64) + sum(x) }",
    "fn f(x: f64[n]) { norm(x) }",
];

#[test]
fn reductions_and_maps_have_the_same_bits_on_any_number_of_threads() {
    for n in [1_000_003, 1_500_000] {
        for special in [false, true] {
            let x = Array1::from(noise(n as u64, n, special));
            for source in VECTORS {
                let f = matex::compile(source).unwrap();
                assert!(sharing(&f, &[&x]).contains("threads share"), "{source} {n}: {}", sharing(&f, &[&x]));
                let one = bits(&f, &[&x], 1);
                for threads in [2, 3, 5] {
                    assert!(one == bits(&f, &[&x], threads), "{source}, {n}, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn matrices_of_all_shapes_have_the_same_bits_on_any_number_of_threads() {
    let sources = [
        "fn f(x: f64[n, m]) { sum(x, axis=0) }",
        "fn f(x: f64[n, m]) { sum(x, axis=1) }",
        "fn f(x: f64[n, m]) { return mean(x, axis=0), var(x, axis=0) }",
        "fn f(x: f64[n, m]) { softmax(x) }",
        "fn f(x: f64[n, m]) { return argmax(x, axis=0), argmin(x, axis=1) }",
        "fn f(x: f64[n, m]) { x.T * 2.0 + 1.0 }",
        "fn f(x: f64[n, m]) { x - mean(x, axis=0) }",
        "fn f(x: f64[n, m]) { cumulative_sum(x, axis=0) }",
        "fn f(x: f64[n, m]) { sum(x) }",
    ];
    for (n, m) in [(1, 400_001), (3, 150_001), (600, 700), (90_001, 4), (400_001, 1), (20_011, 30)] {
        let x = Array2::from_shape_vec((n, m), noise(7, n * m, true)).unwrap();
        for source in sources {
            let f = matex::compile(source).unwrap();
            let one = bits(&f, &[&x], 1);
            for threads in [2, 5] {
                assert!(one == bits(&f, &[&x], threads), "{source}, {n} x {m}, {threads} threads");
            }
        }
    }
    let x = Array3::from_shape_vec((3, 251, 401), noise(9, 3 * 251 * 401, true)).unwrap();
    for source in
        ["fn f(x: f64[a, b, c]) { sum(x, axis=1) }", "fn f(x: f64[a, b, c]) { sum(x, axis=[0, 2]) }"]
    {
        let f = matex::compile(source).unwrap();
        assert!(bits(&f, &[&x], 1) == bits(&f, &[&x], 5), "{source}");
    }
}

#[test]
fn what_is_small_stays_on_one_thread() {
    let f = matex::compile("fn f(x: f64[n]) { sum(x * 2.0) }").unwrap();
    for n in [0, 1, 100, 10_000] {
        let x = Array1::from(noise(3, n, false));
        assert!(sharing(&f, &[&x]).contains("one thread: too little work"), "{n}: {}", sharing(&f, &[&x]));
    }
    let f = Compiler::new().threads(1).compile("fn f(x: f64[n]) { sum(x * 2.0) }").unwrap();
    let x = Array1::from(noise(3, 1_000_000, false));
    assert!(sharing(&f, &[&x]).contains("one thread: there are no others"), "{}", sharing(&f, &[&x]));
}

#[test]
fn an_index_out_of_range_is_found_on_any_thread() {
    let f = matex::compile("fn f(x: f64[n], i: i64[k]) { sum(x[i]) }").unwrap();
    let x = Array1::from(noise(1, 1000, false));
    let mut index = Array1::from_elem(2_000_000, 7_i64);
    index[1_999_999] = 1000;
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let error = pool.install(|| f.call(&[&x, &index]).unwrap_err());
    assert_eq!(error.code().to_string(), "E0601", "{error}");
}

#[test]
fn calls_may_come_from_workers_of_another_pool() {
    let f = matex::compile("fn f(x: f64[n]) { return sum(exp(x)), softmax(x) }").unwrap();
    let x = Array1::from(noise(5, 200_000, false));
    let wanted = bits(&f, &[&x], 1);
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let right = AtomicBool::new(true);
    pool.scope(|s| {
        for _ in 0..12 {
            s.spawn(|_| {
                let out = f.call(&[&x]).unwrap();
                let got: Vec<Vec<u64>> =
                    out.iter().map(|t| t.scalars().map(|s| s.bits()).collect()).collect();
                right.fetch_and(got == wanted, Ordering::Relaxed);
            });
        }
    });
    assert!(right.into_inner());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (f, x) = (f.clone(), x.clone());
            std::thread::spawn(move || f.call(&[&x]).unwrap()[0].to_string())
        })
        .collect();
    let texts: Vec<String> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(texts.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn a_call_that_threads_share_can_be_stopped() {
    let f = matex::compile("fn f(x: f64[n]) { sum(sin(x)**2) + max(x) }").unwrap();
    let x = Array1::from(noise(5, 400_000, false));
    let stop = Arc::new(AtomicBool::new(true));
    let error = f.call_with(&CallOptions::new().cancel(stop), &[Arg::new(&x)]).unwrap_err();
    assert_eq!(error.code().to_string(), "E0603");
    let go = Arc::new(AtomicBool::new(false));
    let out = f.call_with(&CallOptions::new().cancel(go), &[Arg::new(&x)]).unwrap();
    assert_eq!(out[0].to_string(), f.call(&[&x]).unwrap()[0].to_string());
}
