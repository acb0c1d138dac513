//! asinh, acosh, atanh, hypot, logaddexp.
//!
//! Method: asinh a = log1p(w) with w = a + a²/(1 + √(1 + a²)), acosh x = log1p(t + √(t (t + 2))) with t = x − 1, and
//! atanh a = log1p(2a/(1 − a))/2 (fdlibm's forms). Each w is made as a pair hi + lo: squares and quotients with their exact
//! remainders, the root with one correction, so that the logarithm is the only thing that is rounded to the width. Far
//! out √(a² ± 1) is a, and log 2a is taken without forming 2a.
use super::exp::{LN2_HI, LN2_LO, exp};
use super::lane::*;
use super::log::{log_tail, log1p, specials, split};

/// √(v + v_lo) as hi + lo, for v > 0; lo is 0 at 0.
fn root_pair<F: Lane>(v: F, v_lo: F) -> (F, F) {
    let s = v.sqrt();
    let residual = (-s).fma(s, v) + v_lo;
    let lo = residual / (s + s);
    (s, F::sel(F::c(0.0).lt(v), lo, F::c(0.0)))
}

/// (n + n_lo) / (d + d_lo) as hi + lo, with one division.
fn quotient_pair<F: Lane>(n: F, n_lo: F, d: F, d_lo: F) -> (F, F) {
    let inv = F::c(1.0) / d;
    let q = n * inv;
    let rem = (-q).fma(d_lo, (-q).fma(d, n) + n_lo);
    (q, rem * inv)
}

/// log(1 + w + w_lo), or where it is `far` log(2 w). The rounding error of 1 + w goes the way of w_lo: as c/m, for which 1/m
/// is needed to a few bits only (one Newton step from a linear guess). With k = 0, f is w itself.
fn log1p_pair<F: Lane>(w: F, w_lo: F, far: Option<F::Mask>) -> F {
    let (zero, one) = (F::c(0.0), F::c(1.0));
    let sum = one + w;
    let back = sum - one;
    let lost = (one - (sum - back)) + (w - back); // TwoSum
    let or = |a: F, b: F| match far {
        Some(far) => F::sel(far, a, b),
        None => b,
    };
    let u = or(w, sum);
    let s = split(u);
    let near = s.k.eq(zero);
    let f = F::sel(near, w, s.m - one);
    let guess = F::c(2.0625) - s.m;
    let half_inv = guess * (s.m * guess).fma(F::c(-0.5), one); // 1/(2m)
    let c = w_lo + F::sel(near, zero, lost);
    let c = or(zero, c * F::pow2(F::i(2047, 255).minus(s.biased)) * half_inv); // 2^(1-k)
    let k = or(s.k + one, s.k);
    let (hi, lo) = fast_two_sum(k * F::k(LN2_HI.0, LN2_HI.1), f);
    specials(u, hi + (lo + log_tail(f, k.fma(F::k(LN2_LO.0, LN2_LO.1), c))))
}

/// From here on 1 is nothing next to a².
fn is_far<F: Lane>(a: F) -> F::Mask {
    F::k(268435456.0, 4096.0).lt(a) // 2^28, 2^12
}

/// Specials: tiny, subnormal and ±0 → x; ±∞ → ±∞.
pub(super) fn asinh<F: Lane>(x: F) -> F {
    let (a, one) = (x.abs(), F::c(1.0));
    let far = is_far(a);
    // Squares of what is far overflow, and are not used.
    let b = F::sel(far, one, a);
    let (sq, sq_lo) = two_prod(b, b);
    let v = one + sq;
    let back = v - one;
    let v_lo = (one - (v - back)) + (sq - back) + sq_lo;
    let (s, s_lo) = root_pair(v, v_lo);
    let (d, d_lo) = fast_two_sum(s, one);
    let (q, q_lo) = quotient_pair(sq, sq_lo, d, d_lo + s_lo);
    let w = b + q;
    let back = w - b;
    let w_lo = (b - (w - back)) + (q - back) + q_lo;
    let y = log1p_pair(F::sel(far, a, w), w_lo, Some(far));
    let tiny = a.lt(F::k(1.4901161193847656e-08, 0.000244140625)); // 2^-26, 2^-12
    F::sel(tiny, x, y.copysign(x))
}

/// Specials: below 1 → NaN; 1 → 0; ∞ → ∞.
pub(super) fn acosh<F: Lane>(x: F) -> F {
    let one = F::c(1.0);
    let far = is_far(x);
    let b = F::sel(far, one, x);
    let (t, t_lo) = fast_two_sum(b, -one);
    let (d, d_lo) = fast_two_sum(b, one);
    let (v, v_lo) = two_prod(t, d);
    let v_lo = t_lo.fma(d, t.fma(d_lo, v_lo));
    let (s, s_lo) = root_pair(v, v_lo);
    let (w, w_lo) = fast_two_sum(s, t);
    let y = log1p_pair(F::sel(far, x, w), w_lo + (s_lo + t_lo), Some(far));
    F::sel(x.lt(one), F::c(f64::NAN), y)
}

/// Specials: tiny, subnormal and ±0 → x; ±1 → ±∞; beyond → NaN.
pub(super) fn atanh<F: Lane>(x: F) -> F {
    let (a, one) = (x.abs(), F::c(1.0));
    let (d, d_lo) = fast_two_sum(one, -a);
    let (w, w_lo) = quotient_pair(a + a, F::c(0.0), d, d_lo);
    let y = log1p_pair(w, w_lo, None) * F::c(0.5);
    let end = F::sel(a.eq(one), F::c(f64::INFINITY), F::c(f64::NAN));
    let y = F::sel(a.lt(one), y, end);
    let tiny = a.lt(F::k(1.4901161193847656e-08, 0.000244140625)); // 2^-26, 2^-12
    F::sel(tiny, x, y.copysign(x))
}

/// √(x² + y²) with the squares and their sum exact, of operands that a power of two keeps away from both ends of the
/// exponents. Specials: ∞ where either is infinite, also next to NaN.
pub(super) fn hypot<F: Lane>(x: F, y: F) -> F {
    let (x, y) = (x.abs(), y.abs());
    let less = x.lt(y);
    let (a, b) = (F::sel(less, y, x), F::sel(less, x, y));
    let large = !a.lt(F::k(3.3519519824856493e153, 1.152921504606847e18)); // 2^510, 2^60
    let small = a.lt(F::k(3.872591914849318e-121, 9.094947017729282e-13)); // 2^-400, 2^-40
    let (up, down) = (
        F::k(4.149515568880993e180, 1.2676506002282294e30), // 2^600, 2^100
        F::k(2.409919865102884e-181, 7.888609052210118e-31), // 2^-600, 2^-100
    );
    let one = F::c(1.0);
    let scale = F::sel(large, down, F::sel(small, up, one));
    let back = F::sel(large, up, F::sel(small, down, one));
    let (a, b) = (a * scale, b * scale);
    let (sq, sq_lo) = two_prod(a, a);
    let (other, other_lo) = two_prod(b, b);
    let (v, v_lo) = fast_two_sum(sq, other);
    let (s, s_lo) = root_pair(v, v_lo + (sq_lo + other_lo));
    let h = (s + s_lo) * back;
    let inf = F::c(f64::INFINITY);
    F::sel(x.eq(inf) | y.eq(inf), inf, h)
}

/// log(e^x + e^y) = max(x, y) + log1p(e^-|x − y|). The rounding errors are those of numbers as large as the larger operand
/// and ln 2: where they cancel, near e^x + e^y = 1, an error of 2 ulp of them is more of the result.
pub(super) fn logaddexp<F: Lane>(x: F, y: F) -> F {
    let less = x.lt(y);
    let (a, b) = (F::sel(less, y, x), F::sel(less, x, y));
    let apart = F::sel(a.eq(b), F::c(0.0), b - a);
    a + log1p(exp(apart))
}
