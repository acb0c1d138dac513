//! exp, exp2, expm1.
//!
//! Method: Cody & Waite (1980) reduction x = k ln2 + r with |r| ≤ ln2/2, k rounded by the 1.5·2^mant addition, whose
//! low bits are k as an integer, so no float-to-int conversion is needed; minimax polynomial (own fits, coeffs.rs);
//! the result is scaled by 2^⌊k/2⌋ · 2^⌈k/2⌉, so the only rounding in the subnormal range is that of the last product
//! and overflow turns into infinity without a select.
use super::coeffs::*;
use super::lane::*;

/// 42 (16) leading bits of ln 2 and the rest: k·LN2_HI is exact even where fma is not fused (WGSL), at no cost.
pub(super) const LN2_HI: (f64, f64) = (0.6931471805598903, 0.693145751953125); // 0x1.62e42fefa38p-1, 0x1.62e4p-1
pub(super) const LN2_LO: (f64, f64) = (5.497923018708371e-14, 1.428606765330187e-06); // 0x1.ef35793c7673p-45, 0x1.7f7d1cp-20
const LOG2E: (f64, f64) = (1.4426950408889634, 1.4426950216293335); // 0x1.71547652b82fep+0, 0x1.715476p+0

const EXPM1_REST64: [f64; 10] = rest(EXPM164);
const EXPM1_REST32: [f64; 5] = rest(EXPM132);

/// x = k ln2 + hi + lo; `hi + lo` carries about twice the precision of the type.
pub(super) struct Reduced<F: Lane> {
    /// The low bits are k + `offset`.
    pub(super) k: F::Int,
    pub(super) hi: F,
    /// What `hi` lost. Not computed into anything unless it is used.
    pub(super) lo: F,
}

/// Reduces x + tail. `offset` is added to the integer k for free (it is part of the magic constant).
pub(super) fn reduce<F: Lane>(x: F, offset: i64) -> Reduced<F> {
    let magic = F::c(F::magic() + offset as f64);
    let shifted = x.mad(F::k(LOG2E.0, LOG2E.1), magic);
    let k = shifted - magic;
    let r = k.mad(F::k(-LN2_HI.0, -LN2_HI.1), x); // exact
    let hi = k.mad(F::k(-LN2_LO.0, -LN2_LO.1), r);
    let lo = k.mad(F::k(-LN2_LO.0, -LN2_LO.1), r - hi);
    Reduced { k: shifted.bits(), hi, lo }
}

/// `offset` for [`reduce`] that [`scale`] expects.
pub(super) fn scale_offset<F: Lane>() -> i64 {
    2 * F::bias()
}

/// y · 2^k with correct rounding to subnormals, where the low bits of `k` are k + 2·bias.
pub(super) fn scale<F: Lane>(y: F, k: F::Int) -> F {
    let half = k.shr(1);
    y * F::pow2(half) * F::pow2(k.minus(half))
}

/// exp(r + r_lo) − 1 for a reduced r. Without r_lo, exp would reach 1.04 ulp.
pub(super) fn expm1_reduced<F: Lane>(r: F, r_lo: F) -> F {
    r + (r * r).mad(poly2(r, &EXP64, &EXP32), r_lo)
}

/// 2^r for |r| ≤ 1/2: the leading coefficient apart, so that its product is rounded once.
pub(super) fn exp2_reduced<F: Lane>(r: F) -> F {
    let s = r.fma(F::k(0.6931471805599453, 0.6931471824645996), (r * r) * poly2(r, &EXPB64, &EXPB32));
    F::c(1.0) + s
}

/// e^x. Specials: NaN → NaN, −∞ → 0, +∞ → ∞, overflow → ∞, subnormal results correctly rounded from y·2^k.
pub(super) fn exp<F: Lane>(x: F) -> F {
    let x = x.at_most(F::k(710.0, 89.0)).at_least(F::k(-746.0, -104.5));
    let r = reduce(x, scale_offset::<F>());
    scale(F::c(1.0) + expm1_reduced(r.hi, r.lo), r.k)
}

/// 2^x. The reduction x − round(x) is exact.
pub(super) fn exp2<F: Lane>(x: F) -> F {
    let x = x.at_most(F::k(1025.0, 129.0)).at_least(F::k(-1077.0, -151.0));
    let magic = F::c(F::magic() + scale_offset::<F>() as f64);
    let shifted = x + magic;
    let r = x - (shifted - magic);
    scale(exp2_reduced(r), shifted.bits())
}

/// e^x − 1. 2^(k−1) is used instead of 2^k so that k = 1024 does not overflow before its time; the sum
/// (2^(k-1) − 1/2) + 2^(k-1)·r is kept as hi + lo because it cancels for k = 1.
/// Specials: ±0 → ±0, tiny and subnormal x → x, −∞ → −1, NaN → NaN.
pub(super) fn expm1<F: Lane>(x: F) -> F {
    let xc = x.at_most(F::k(710.0, 89.0)).at_least(F::k(-40.0, -20.0));
    let r = reduce(xc, F::bias() - 1);
    let half = F::pow2(r.k);
    let (base, base_lo) = fast_two_sum(half, F::c(-0.5)); // base_lo matters for k = 54 (25) only
    let hi = half.fma(r.hi, base);
    let err = half.fma(r.hi, base - hi) + base_lo;
    // r²/2 apart from the rest: at x = 0.3466, k = 1 every rounding in this sum is doubled by the cancellation
    let z = r.hi * r.hi;
    let q = z.fma(F::c(0.5), (r.hi * z).fma(poly2(r.hi, &EXPM1_REST64, &EXPM1_REST32), r.lo.fma(r.hi, r.lo)));
    let y = hi + half.fma(q, err);
    let tiny = x.abs().lt(F::k(5.551115123125783e-17, 2.9802322387695312e-08)); // 2^-54, 2^-25
    F::sel(tiny, x, y + y)
}
