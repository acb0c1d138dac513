//! log, log2, log10, log1p.
//!
//! Method: x = 2^k m with m in [√½, √2) by integer arithmetic on the bits, f = m − 1;
//! f64: fdlibm's e_log (Sun, 1993): s = f/(2+f), log(1+f) = f − (f²/2 − s (f²/2 + R(s²)));
//! f32: no division, log(1+f) = f + f² P(f) (the form of Cephes logf, own fit).
//! k ln2 + f is summed with its error, the products for log2 and log10 likewise, which keeps all four under 1 ulp.
use super::coeffs::*;
use super::exp::{LN2_HI, LN2_LO};
use super::lane::*;

/// x = 2^k · (1 + f).
pub(super) struct Split<F: Lane> {
    /// k + bias, in the low bits.
    pub(super) biased: F::Int,
    pub(super) k: F,
    pub(super) m: F,
}

/// For positive normal x (anything else gives some finite nonsense or NaN, to be selected away).
pub(super) fn split<F: Lane>(x: F) -> Split<F> {
    let root_half = F::i(0x3fe6a09e667f3bcd, 0x3f3504f3);
    let one_minus = F::i(0x3ff0000000000000 - 0x3fe6a09e667f3bcd, 0x3f800000 - 0x3f3504f3);
    let t = x.bits().plus(one_minus);
    let biased = t.shr(F::mant());
    let m = F::from_bits(t.and(F::i((1 << 52) - 1, (1 << 23) - 1)).plus(root_half));
    // integer → float without a conversion: 2^mant + biased, less the constant
    let k = F::from_bits(biased.or(F::i(0x4330000000000000, 0x4b000000)))
        - F::k(4503599627370496.0 + 1023.0, 8388608.0 + 127.0);
    Split { biased, k, m }
}

/// log(1+f) − f + extra for f in [√½ − 1, √2 − 1]; `extra` is small (k times the low part of ln 2, say).
pub(super) fn log_tail<F: Lane>(f: F, extra: F) -> F {
    if F::WIDE {
        let half_sq = f * f * F::c(0.5);
        let s = f / (F::c(2.0) + f);
        s.fma(half_sq + (s * s) * poly(s * s, &LOG64), extra) - half_sq
    } else {
        (f * f).fma(poly(f, &LOGF32), extra)
    }
}

const LOGF_REST32: [f64; 9] = rest(LOGF32);

/// log(1+f) as hi + lo with f − f²/2 split exactly, for the functions that multiply it.
fn log_pair<F: Lane>(f: F) -> (F, F) {
    let f2 = f * f;
    let minus_half = F::c(-0.5);
    let hi = f2.fma(minus_half, f);
    let err = f2.fma(minus_half, f - hi);
    let lo = if F::WIDE {
        let s = f / (F::c(2.0) + f);
        s.fma(f2.fma(F::c(0.5), (s * s) * poly(s * s, &LOG64)), err)
    } else {
        (f * f2).fma(poly(f, &LOGF_REST32), err)
    };
    (hi, lo)
}

/// −∞ at ±0, NaN below, ∞ at ∞, NaN at NaN; `y` elsewhere.
pub(super) fn specials<F: Lane>(x: F, y: F) -> F {
    let bad = F::sel(x.eq(F::c(0.0)), F::c(f64::NEG_INFINITY), F::c(f64::NAN));
    let y = F::sel(F::c(0.0).lt(x), y, bad);
    F::sel(x.eq(F::c(f64::INFINITY)), x, y)
}

/// Subnormals are scaled up by 2^54 (2^24); returns what must be subtracted from k.
pub(super) fn lift_subnormal<F: Lane>(x: F) -> (F, F) {
    let sub = x.lt(F::k(f64::MIN_POSITIVE, f32::MIN_POSITIVE as f64));
    let scaled = F::sel(sub, x * F::k(18014398509481984.0, 16777216.0), x);
    (scaled, F::sel(sub, F::k(54.0, 24.0), F::c(0.0)))
}

pub(super) fn log<F: Lane>(x: F) -> F {
    let (xs, lifted) = lift_subnormal(x);
    let s = split(xs);
    let k = s.k - lifted;
    let f = s.m - F::c(1.0);
    let (hi, lo) = fast_two_sum(k * F::k(LN2_HI.0, LN2_HI.1), f);
    let y = hi + (lo + log_tail(f, k * F::k(LN2_LO.0, LN2_LO.1)));
    specials(x, y)
}

/// k·(base_h + base_l) + log(m)·(inv_h + inv_l): the common part of log2 and log10.
fn log_base<F: Lane>(x: F, base_h: F, base_l: F, inv_h: F, inv_l: F) -> F {
    let (xs, lifted) = lift_subnormal(x);
    let s = split(xs);
    let k = s.k - lifted;
    let f = s.m - F::c(1.0);
    let (l, l_lo) = log_pair(f);
    let p = l * inv_h;
    let p_lo = l_lo.fma(inv_h, l.fma(inv_l, l.fma(inv_h, -p)));
    let (hi, lo) = fast_two_sum(k * base_h, p);
    let y = hi + (lo + k.fma(base_l, p_lo));
    specials(x, y)
}

/// Exact at powers of two.
pub(super) fn log2<F: Lane>(x: F) -> F {
    log_base(
        x,
        F::c(1.0),
        F::c(0.0),
        F::k(1.4426950408889634, 1.4426950216293335), // 0x1.71547652b82fep+0, 0x1.715476p+0
        F::k(2.0355273740931033e-17, 1.925963033500011e-08), // 0x1.777d0ffda0d24p-56, 0x1.4ae0cp-26
    )
}

pub(super) fn log10<F: Lane>(x: F) -> F {
    log_base(
        x,
        F::k(0.30102999566395283, 0.30103302001953125), // 42 (16) bits: 0x1.34413509f78p-2, 0x1.3442p-2
        F::k(2.8363394551044964e-14, -3.024355464731343e-06), // 0x1.fef311f12b358p-46, -0x1.95ec1p-19
        F::k(0.4342944819032518, 0.4342944920063019),   // 0x1.bcb7b1526e50ep-2, 0x1.bcb7b2p-2
        F::k(1.098319650216765e-17, -1.0103049952192578e-08), // 0x1.95355baaafad3p-57, -0x1.5b235ep-27
    )
}

/// log(1 + x). The rounding error c of 1 + x enters as c/m, for which 1/m is needed to a few bits only
/// (one Newton step from a linear guess); with k = 0, f is x itself.
/// Specials: tiny, subnormal and ±0 → x; −1 → −∞; below → NaN; ∞ → ∞.
pub(super) fn log1p<F: Lane>(x: F) -> F {
    let one = F::c(1.0);
    let u = one + x;
    let back = u - one;
    let c = (one - (u - back)) + (x - back); // TwoSum
    let s = split(u);
    let near = s.k.eq(F::c(0.0));
    let f = F::sel(near, x, s.m - one);
    let guess = F::c(2.0625) - s.m;
    let half_inv = guess * (s.m * guess).fma(F::c(-0.5), F::c(1.0)); // 1/(2m)
    let c = c * F::pow2(F::i(2047, 255).minus(s.biased)) * half_inv; // 2^(1-k): 0 for the largest x
    let c = F::sel(near, F::c(0.0), c);
    let (hi, lo) = fast_two_sum(s.k * F::k(LN2_HI.0, LN2_HI.1), f);
    let y = hi + (lo + log_tail(f, s.k.fma(F::k(LN2_LO.0, LN2_LO.1), c)));
    let tiny = x.abs().lt(F::k(5.551115123125783e-17, 2.9802322387695312e-08)); // 2^-54, 2^-25
    F::sel(tiny, x, specials(u, y))
}
