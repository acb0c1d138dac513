//! Programs of one number for one number.

use super::{Float, Rows, compare, uniform};
use crate::native;
use matex::AsView;
use std::hint::black_box;

/// The names, the programs, ranges of the arguments, and the same in plain Rust.
pub(super) fn all<T: Float>(on: Rows<'_>, n: usize) {
    let t = T::of;
    normalized::<T>(on, n);
    let cubic = "fn f(x: float[n]) { ((4.0*x + 3.0)*x + 2.0)*x + 1.0 }";
    one(on, n, "cubic polynomial", cubic, [(-3.0, 3.0)], |[x]: [T; 1]| {
        ((t(4.0) * x + t(3.0)) * x + t(2.0)) * x + T::one()
    });
    one(on, n, "exp", "exp(x)", [(-3.0, 3.0)], |[x]: [T; 1]| x.exp());
    one(on, n, "Gaussian", "exp(-x*x/2) / sqrt(2*pi)", [(-3.0, 3.0)], |[x]: [T; 1]| {
        (-x * x * t(0.5)).exp() * t(0.398_942_280_401_432_7)
    });
    one(on, n, "sigmoid", "1 / (1 + exp(-x))", [(-3.0, 3.0)], |[x]: [T; 1]| {
        T::one() / (T::one() + (-x).exp())
    });
    let ranges = [(-2.0, 2.0), (-1.0, 1.0), (-1.0, 1.0)];
    one(on, n, "tanh(x w + b)", "tanh(x*w + b)", ranges, |[x, w, b]: [T; 3]| (x * w + b).tanh());
    let source = "sin(x)*cos(y) + sqrt(x*x + y*y)";
    one(on, n, "sin x cos y + sqrt(x² + y²)", source, [(-3.0, 3.0); 2], |[x, y]: [T; 2]| {
        x.sin() * y.cos() + (x * x + y * y).sqrt()
    });
    let source = "fn f(p: float[n], l: float[n], q: float[n], m: float[n]) {
        12742.0 * asin(sqrt(sin((q - p)/2)**2 + cos(p)*cos(q)*sin((m - l)/2)**2)) }";
    let ranges = [(-1.5, 1.5), (-3.0, 3.0), (-1.5, 1.5), (-3.0, 3.0)];
    one(on, n, "haversine", source, ranges, |[p, l, q, m]: [T; 4]| {
        let (u, v) = (((q - p) * t(0.5)).sin(), ((m - l) * t(0.5)).sin());
        t(12742.0) * (u * u + p.cos() * q.cos() * v * v).sqrt().asin()
    });
    let source = "fn f(s: float[n], k: float[n], t: float[n], r: float[n], v: float[n]) {
        d = v * sqrt(t); a = (log(s/k) + (r + 0.5*v*v)*t) / d; b = a - d; c = sqrt(0.5);
        0.5 * (s * (1 + erf(a*c)) - k * exp(-r*t) * (1 + erf(b*c))) }";
    let ranges = [(50.0, 150.0), (50.0, 150.0), (0.1, 2.0), (0.01, 0.05), (0.1, 0.5)];
    one(on, n, "Black-Scholes", source, ranges, |[s, k, time, r, v]: [T; 5]| {
        let (half, c) = (t(0.5), t(std::f64::consts::FRAC_1_SQRT_2));
        let d = v * time.sqrt();
        let a = ((s / k).ln() + (r + half * v * v) * time) / d;
        let up = s * (T::one() + (a * c).erf());
        half * (up - k * (-r * time).exp() * (T::one() + ((a - d) * c).erf()))
    });
}

/// A sum that is divided by two of its elements.
fn normalized<T: Float>(on: Rows<'_>, n: usize) {
    let (a, b): (Vec<T>, Vec<T>) = (uniform(n, 1, (0.5, 2.0)), uniform(n, 2, (0.5, 2.0)));
    let mut to = vec![T::zero(); n];
    let mut plain = native(
        #[inline(always)]
        || {
            let scale = a[0] + b[0] + a[1] + b[1];
            to.iter_mut().zip(&a).zip(&b).for_each(|((o, x), y)| *o = (*x + *y) / scale);
            black_box(&mut to);
        },
    );
    let source = "{ m = a + b; return m / (m[0] + m[1]) }";
    let others: &mut [(&str, &mut dyn FnMut())] = &mut [("loop", &mut plain)];
    compare::<T, _>(on, "m = a+b; m/(m[0]+m[1])", (source, &[&a, &b]), vec![T::zero(); n], others);
}

fn one<T: Float, const K: usize>(
    on: Rows<'_>,
    n: usize,
    name: &str,
    source: &str,
    ranges: [(f64, f64); K],
    plain: impl Fn([T; K]) -> T,
) {
    let mut seed = 0;
    let inputs: [Vec<T>; K] = ranges.map(|range| {
        seed += 1;
        uniform(n, seed, range)
    });
    let args: Vec<&dyn AsView> = inputs.iter().map(|x| x as &dyn AsView).collect();
    let mut to = vec![T::zero(); n];
    let mut run = native(
        #[inline(always)]
        || {
            let slices: [&[T]; K] = std::array::from_fn(|j| &inputs[j][..n]);
            for (i, o) in to.iter_mut().enumerate() {
                *o = plain(slices.map(|x| x[i]));
            }
            black_box(&mut to);
        },
    );
    let others: &mut [(&str, &mut dyn FnMut())] = &mut [("loop", &mut run)];
    compare::<T, _>(on, name, (source, &args), vec![T::zero(); n], others);
}
