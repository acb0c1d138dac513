//! pow.
//!
//! Method: log2|x| as a double-double to about 2^-66 relative (f32: 2^-36): s = (m−1)/(m+1) with its remainder,
//! log2 m = s (C1 + s² (C3 + s² T(s²))), the two leading coefficients and products in double-double, the tail in the
//! plain type (the plan of SLEEF's and fdlibm's pow, with base 2 so that the reduction of y·log2|x| is exact).
use super::coeffs::*;
use super::exp::{exp2_reduced, scale, scale_offset};
use super::lane::*;
use super::log::{lift_subnormal, split};

/// 2/ln 2 and 2/(3 ln 2), each as hi and lo.
const C1_H: (f64, f64) = (2.8853900817779268, 2.885390043258667); // 0x1.71547652b82fep+1, 0x1.715476p+1
const C1_L: (f64, f64) = (4.0710547481862066e-17, 3.851926067000022e-08); // 0x1.777d0ffda0d24p-55, 0x1.4ae0cp-25
const C3_H: (f64, f64) = (0.9617966939259756, 0.9617967009544373); // 0x1.ec709dc3a03fdp-1, 0x1.ec709ep-1
const C3_L: (f64, f64) = (5.0577616648125907e-17, -7.028461812552678e-09); // 0x1.d27f05548af0cp-55, -0x1.e2fe02p-28

/// (ah + al)(bh + bl), the last product dropped.
fn dd_mul<F: Lane>(ah: F, al: F, bh: F, bl: F) -> (F, F) {
    let p = ah * bh;
    (p, al.fma(bh, ah.fma(bl, ah.fma(bh, -p))))
}

/// log2 of a positive finite number as hi + lo.
pub(super) fn log2_dd<F: Lane>(x: F) -> (F, F) {
    let one = F::c(1.0);
    let (xs, lifted) = lift_subnormal(x);
    let p = split(xs);
    let e = p.k - lifted;
    let f = p.m - one; // exact
    let d = p.m + one;
    let d_lo = p.m - (d - one);
    let inv = one / d;
    let s = f * inv;
    let s_lo = (-s).fma(d_lo, (-s).fma(d, f)) * inv;
    let (z, z_err) = two_prod(s, s);
    let z_lo = (s + s).fma(s_lo, z_err);
    let tail = z * poly2(z, &LOGTAIL64, &LOGTAIL32);
    let (u, u_err) = fast_two_sum(F::k(C3_H.0, C3_H.1), tail);
    let (w, w_lo) = dd_mul(z, z_lo, u, u_err + F::k(C3_L.0, C3_L.1));
    let (g, g_err) = fast_two_sum(F::k(C1_H.0, C1_H.1), w);
    let (l, l_lo) = dd_mul(s, s_lo, g, g_err + (w_lo + F::k(C1_L.0, C1_L.1)));
    let (hi, err) = fast_two_sum(e, l);
    (hi, err + l_lo)
}

/// x^y with the special cases of C99 (pow(1, NaN) = 1, pow(NaN, 0) = 1, pow(−1, ±∞) = 1, signed zeros and infinities for
/// odd integers, NaN for a negative base and a non-integer exponent).
pub(super) fn pow<F: Lane>(x: F, y: F) -> F {
    let (zero, one, inf) = (F::c(0.0), F::c(1.0), F::c(f64::INFINITY));
    let a = x.abs();
    let (l, l_lo) = log2_dd(a);
    let l = F::sel(a.lt(inf), l, a); // ∞ and NaN
    let l = F::sel(a.eq(zero), -inf, l);
    let top = F::k(1100.0, 160.0);
    let p = y * l;
    let p_lo = y.fma(l_lo, y.fma(l, -p));
    let p_lo = F::sel(p.abs().lt(top), p_lo, zero);
    let p = p.at_most(top).at_least(-top);
    let magic = F::c(F::magic() + scale_offset::<F>() as f64);
    let shifted = p + magic;
    let r = (p - (shifted - magic)) + p_lo;
    let power = scale(exp2_reduced(r), shifted.bits());
    let power = F::sel(a.eq(one), one, power); // also 1^±∞ and 1^NaN
    let half_y = y * F::c(0.5);
    let whole = y.round().eq(y);
    let odd = whole & !half_y.round().eq(half_y);
    let negative = one.copysign(x).lt(zero);
    let power = F::sel(negative & odd, -power, power);
    let bad = x.lt(zero) & !whole & !(a.eq(inf) & y.eq(y));
    let power = F::sel(bad, F::c(f64::NAN), power);
    F::sel(y.eq(zero), one, power)
}
