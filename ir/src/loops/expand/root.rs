//! cbrt, rsqrt.
use super::coeffs::*;
use super::lane::*;

/// Method: |x| = 2^(3q + j) t, t in [1, 2); y ≈ t^(-1/3) 2^(-j/3) from a short polynomial and a Newton step without division
/// (y ← y + y (1 − m y³)/3), then m y² and one correction by the exact residual. q = ⌊e/3⌋ by the rounding addition.
pub(super) fn cbrt<F: Lane>(x: F) -> F {
    let a = x.abs();
    let sub = a.lt(F::k(f64::MIN_POSITIVE, f32::MIN_POSITIVE as f64));
    let a_norm = F::sel(sub, a * F::k(18014398509481984.0, 134217728.0), a); // 2^54, 2^27: multiples of 3
    let bits = a_norm.bits();
    let biased = bits.shr(F::mant());
    let t =
        F::from_bits(bits.and(F::i((1 << 52) - 1, (1 << 23) - 1)).or(F::i(0x3ff0000000000000, 0x3f800000)));
    let e = F::from_bits(biased.or(F::i(0x4330000000000000, 0x4b000000)))
        - F::k(4503599627370496.0 + 1023.0, 8388608.0 + 127.0);
    // q = round((e − 1)/3) = ⌊e/3⌋
    let magic = F::c(F::magic() + F::bias() as f64);
    let shifted = (e - F::c(1.0)).fma(F::k(0.3333333333333333, 0.3333333432674408), magic);
    let j = (shifted - magic).fma(F::c(-3.0), e);
    let (j1, j2) = (j.eq(F::c(1.0)), j.eq(F::c(2.0)));
    let m = t * F::sel(j1, F::c(2.0), F::sel(j2, F::c(4.0), F::c(1.0)));
    let root = F::sel(
        j1,
        F::k(0.7937005259840998, 0.7937005162239075),
        F::sel(j2, F::k(0.6299605249474366, 0.6299605369567871), F::c(1.0)),
    );
    let third = F::k(0.3333333333333333, 0.3333333432674408);
    let y = poly2(t, &CBRT64, &CBRT32) * root;
    let h = (-(m * y)).fma(y * y, F::c(1.0));
    let y = (y * third).fma(h, y);
    let c = m * y * y;
    let (c2, c2_lo) = two_prod(c, c);
    let residual = (-c2_lo).fma(c, (-c2).fma(c, m));
    let c = (residual * third).fma(y * y, c);
    let c = c * F::pow2(shifted.bits()) * F::sel(sub, F::k(3.814697265625e-06, 0.001953125), F::c(1.0)); // 2^-18, 2^-9
    let odd = a.eq(F::c(0.0)) | !a.lt(F::c(f64::INFINITY));
    F::sel(odd, x, c.copysign(x))
}

/// 1/√x with both roundings repaired. ±0 → ±∞ (as 1/√), negative → NaN, ∞ → 0.
pub(super) fn rsqrt<F: Lane>(x: F) -> F {
    // small x is lifted by 2^108 (2^48): the residuals must stay normal
    let low = x.lt(F::k(1.0261342003245941e-289, 7.888609052210118e-31)); // 2^-960, 2^-100
    let xs = F::sel(low, x * F::k(3.2451855365842673e32, 281474976710656.0), x);
    let one = F::c(1.0);
    let s = xs.sqrt();
    let r = one / s;
    let s_err = (-s).fma(s, xs); // x − s²
    let r_err = (-r).fma(s, one); // 1 − r s
    let fix = (s_err * r).fma(r * F::c(-0.5), r_err) * r;
    let y = r + fix;
    let y = F::sel(low, y * F::k(18014398509481984.0, 16777216.0), y);
    let bad = !(F::c(0.0).lt(x) & x.lt(F::c(f64::INFINITY)));
    F::sel(bad, r, y)
}
