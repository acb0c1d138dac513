//! sinh, cosh, tanh.
//!
//! Method: a = |x| = k ln2 + r, and with e^r = C + S (C = cosh r, S = sinh r: even and odd minimax polynomials)
//!   sinh a = ch_k S + sh_k C,  cosh a = ch_k C + sh_k S,  sh_k, ch_k = (2^k ∓ 2^-k)/2 (exact, or the part below does
//! not matter). No cancellation anywhere, no branch at small x; each sum keeps its rounding error as a second part.
use super::coeffs::*;
use super::exp::{Reduced, reduce};
use super::lane::*;

/// base·cosh r + other·sinh r as hi + lo (lo up to 6 % of hi): sinh with (sh, ch), cosh with (ch, sh).
/// `base_lo` is what 2^k ∓ 2^-k lost (nothing up to k = 26 (11), then half an ulp for a while).
fn combine<F: Lane>(base: F, base_lo: F, other: F, r: F, r_lo: F, z: F) -> (F, F) {
    let hi = other.fma(r, base);
    let err = other.fma(r, base - hi) + base_lo;
    let c = z * poly2(z, &COSH64, &COSH32); // cosh r − 1
    let s = (r * z).fma(poly2(z, &SINH64, &SINH32), r_lo); // sinh r − r
    (hi, other.fma(s, base.fma(c, err)))
}

/// 2^(k-2) and 2^(-k-2) for the reduced a; half of sh_k and ch_k are their difference and sum. Also r² .
fn half_parts<F: Lane>(a: F) -> (F, F, Reduced<F>, F) {
    let r = reduce(a, F::bias() - 2);
    let up = F::pow2(r.k);
    let down = F::pow2(F::i(2 * 1021, 2 * 125).minus(r.k));
    let down = F::sel(a.lt(F::c(40.0)), down, F::c(0.0)); // 2^-k would leave the exponent range; it does not count there
    let z = r.hi * r.hi;
    (up, down, r, z)
}

/// Specials: tiny, subnormal, ±0 → x; ±∞ → ±∞; overflow from 710.4758 (89.416) on.
pub(super) fn sinh<F: Lane>(x: F) -> F {
    let a = x.abs();
    let (up, down, r, z) = half_parts(a.at_most(F::k(710.7, 89.5)));
    let (sh, sh_lo) = fast_two_sum(up, -down);
    let (hi, lo) = combine(sh, sh_lo, up + down, r.hi, r.lo, z);
    let y = hi + lo;
    let tiny = a.lt(F::k(1.4901161193847656e-08, 0.000244140625)); // 2^-26, 2^-12
    F::sel(tiny, x, (y + y).copysign(x))
}

pub(super) fn cosh<F: Lane>(x: F) -> F {
    let (up, down, r, z) = half_parts(x.abs().at_most(F::k(710.7, 89.5)));
    let (ch, ch_lo) = fast_two_sum(up, down);
    let (hi, lo) = combine(ch, ch_lo, up - down, r.hi, r.lo, z);
    let y = hi + lo;
    y + y
}

/// f64: sinh/cosh from the same parts, the division corrected by its remainder.
/// f32: a polynomial below 0.95, 1 − 2/(e^2x + 1) above, where the quotient is small enough to forgive its roundings; 12
/// operations fewer (in f64 the polynomial would eat up the gain). ±1 from 20 (10) on.
pub(super) fn tanh<F: Lane>(x: F) -> F {
    if F::WIDE { tanh_wide(x) } else { tanh_narrow(x) }
}

const TANH_REST32: [f64; 6] = rest(TANH32);

fn tanh_narrow<F: Lane>(x: F) -> F {
    let one = F::c(1.0);
    let a = x.abs().at_most(F::c(10.0));
    let z = a * a;
    let near = (a * z).fma(z.fma(poly(z, &TANH_REST32), F::c(TANH32[0])), a);
    let r = reduce(a + a, F::bias());
    let e = F::pow2(r.k);
    let t = F::c(2.0) / e.fma((r.hi * r.hi).fma(poly(r.hi, &EXP32), r.hi), e + one);
    F::sel(a.lt(F::c(0.949999988079071)), near, one - t).copysign(x)
}

fn tanh_wide<F: Lane>(x: F) -> F {
    let a = x.abs().at_most(F::k(20.0, 10.0));
    let r = reduce(a, F::bias());
    let up = F::pow2(r.k);
    let down = F::pow2(F::i(2 * 1023, 2 * 127).minus(r.k));
    let z = r.hi * r.hi;
    let (sh, sh_lo) = fast_two_sum(up, -down);
    let (ch, ch_lo) = fast_two_sum(up, down);
    let (n_hi, n_lo) = combine(sh, sh_lo, ch, r.hi, r.lo, z);
    let (d_hi, d_lo) = combine(ch, ch_lo, sh, r.hi, r.lo, z);
    let (n, n_lo) = fast_two_sum(n_hi, n_lo);
    let (d, d_lo) = fast_two_sum(d_hi, d_lo);
    quotient(n, n_lo, d, d_lo).copysign(x)
}

/// (n + n_lo) / (d + d_lo) to about 0.5 ulp, with one division.
pub(super) fn quotient<F: Lane>(n: F, n_lo: F, d: F, d_lo: F) -> F {
    let inv = F::c(1.0) / d;
    let q = n * inv;
    let rem = (-q).fma(d_lo, (-q).fma(d, n) + n_lo);
    rem.fma(inv, q)
}
