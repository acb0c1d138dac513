//! asin, acos, atan, atan2.
//!
//! Methods: atan by one of three ratios so that |r| ≤ 1/2: t, (t−1)/(t+1), −1/t, with the remainder of the division
//! (fdlibm has four intervals and a table; three ratios and selects do without); asin and acos by fdlibm's split at 1/2:
//! x + x³P(x²) below, s = √((1−|x|)/2) above, where the error of the square root is repaired without a division.
use super::coeffs::*;
use super::lane::*;

const PIO4_H: (f64, f64) = (0.7853981633974483, 0.7853981852531433); // 0x1.921fb54442d18p-1, 0x1.921fb6p-1
const PIO4_L: (f64, f64) = (3.061616997868383e-17, -2.1855694143368964e-08); // 0x1.1a62633145c07p-55, -0x1.777a5cp-26

/// base·π/4 + sign·atan((n)/(d + d_lo)), |n/d| ≤ 1/2, base a small integer; `sign` ∈ {1, −1} is applied to n by the caller.
fn atan_ratio<F: Lane>(base: F, n: F, d: F, d_lo: F) -> F {
    let inv = F::c(1.0) / d;
    let r = n * inv;
    let rem = (-r).fma(d_lo, (-r).fma(d, n));
    let r_lo = rem * inv;
    let z = r * r;
    let tail = (r * z).fma(poly2(z, &ATAN64, &ATAN32), r_lo);
    let (b, b_lo) = {
        let b = base * F::k(PIO4_H.0, PIO4_H.1);
        (b, base.fma(F::k(PIO4_L.0, PIO4_L.1), base.fma(F::k(PIO4_H.0, PIO4_H.1), -b)))
    };
    let (hi, lo) = fast_two_sum(b, r);
    hi + (lo + (b_lo + tail))
}

/// ±0 → ±0, ±∞ → ±π/2.
pub(super) fn atan<F: Lane>(x: F) -> F {
    let one = F::c(1.0);
    let t = x.abs().at_most(F::k(1.152921504606847e18, 1073741824.0)); // 2^60, 2^30: −1/∞ would do but ∞·0 would not
    let small = t.lt(F::c(0.5));
    let large = F::c(2.0).lt(t);
    let n = F::sel(small, t, F::sel(large, -one, t - one));
    let sum = t + one;
    let d = F::sel(small, one, F::sel(large, t, sum));
    let d_lo = F::sel(small | large, F::c(0.0), t - (sum - one));
    let base = F::sel(small, F::c(0.0), F::sel(large, F::c(2.0), one));
    atan_ratio(base, n, d, d_lo).copysign(x)
}

/// The angle of (x, y). Both are scaled to keep the remainders normal; the octant is a multiple of π/4 counted in floats.
/// Specials as in C: signed zeros, infinities, NaN.
pub(super) fn atan2<F: Lane>(y: F, x: F) -> F {
    let zero = F::c(0.0);
    let inf = F::c(f64::INFINITY);
    let (ax, ay) = (x.abs(), y.abs());
    let steep = ax.lt(ay);
    let big = F::sel(steep, ay, ax);
    let small = F::sel(steep, ax, ay);
    // both infinite: the diagonal; one infinite: ratio 0 by itself; both zero: ratio 0
    let both_inf = small.eq(inf);
    let big = F::sel(both_inf, F::c(1.0), F::sel(big.eq(zero), F::c(1.0), big));
    let small = F::sel(both_inf, F::c(1.0), small);
    let far = big.eq(inf);
    let big = F::sel(far, F::c(1.0), big);
    let small = F::sel(far, zero * small, small); // NaN stays NaN
    let up = F::sel(big.lt(F::c(1.0)), F::k(1.0715086071862673e301, 1.2676506002282294e30), F::c(1.0)); // 2^1000, 2^100
    let scale = F::sel(
        F::k(1.0715086071862673e301, 1.2676506002282294e30).lt(big),
        F::k(7.888609052210118e-31, 9.094947017729282e-13),
        up,
    ); // 2^-100, 2^-40
    let (big, small) = (big * scale, small * scale);
    let near = (small + small).lt(big);
    let sum = big + small;
    let n = F::sel(near, small, small - big);
    let d = F::sel(near, big, sum);
    let d_lo = F::sel(near, zero, small - (sum - big));
    // octants: angle = base·π/4 + s·atan(n/d)
    let base = F::sel(near, zero, F::c(1.0));
    let base = F::sel(steep, F::c(2.0) - base, base);
    let n = F::sel(steep, -n, n);
    let left = F::c(1.0).copysign(x).lt(zero);
    let base = F::sel(left, F::c(4.0) - base, base);
    let n = F::sel(left, -n, n);
    let r = atan_ratio(base, n, d, d_lo).copysign(y);
    // max and min above drop a NaN
    x_or_y_nan(x, y, r)
}

fn x_or_y_nan<F: Lane>(x: F, y: F, r: F) -> F {
    let sum = x.abs() + y.abs();
    F::sel(sum.eq(sum), r, sum)
}

/// s = √((1−a)/2), its rounding error, and s², for 1/2 ≤ a ≤ 1. The error needs 1/(2s) to 4 bits only: the integer
/// guess of a reciprocal square root (Lomont 2003) does.
fn half_angle<F: Lane>(a: F) -> (F, F, F) {
    let z = (F::c(1.0) - a) * F::c(0.5); // exact
    let s = z.sqrt();
    let guess = F::from_bits(F::i(0x5fe6eb50c7b537a9, 0x5f375a86).minus(z.bits().shr(1)));
    let s_lo = (-s).fma(s, z) * (guess * F::c(0.5));
    (z, s, s_lo)
}

/// |x| > 1 → NaN, ±0 → ±0.
pub(super) fn asin<F: Lane>(x: F) -> F {
    let a = x.abs();
    let (zh, s, s_lo) = half_angle(a);
    let low = a.lt(F::c(0.5));
    let z = F::sel(low, a * a, zh);
    let t = F::sel(low, a, s);
    let tail = (t * z) * poly2(z, &ASIN64, &ASIN32);
    // low: a + tail; high: π/2 − 2 (s + s_lo + tail)
    let direct = a + tail;
    let s2 = s + s;
    let pio2 = F::k(2.0 * PIO4_H.0, 2.0 * PIO4_H.1);
    let (hi, lo) = fast_two_sum(pio2, -s2);
    let rest = tail + s_lo;
    let folded = hi + (lo + (F::k(2.0 * PIO4_L.0, 2.0 * PIO4_L.1) - (rest + rest)));
    F::sel(low, direct, folded).copysign(x)
}

/// |x| > 1 → NaN; acos 1 = +0.
pub(super) fn acos<F: Lane>(x: F) -> F {
    let a = x.abs();
    let (zh, s, s_lo) = half_angle(a);
    let low = a.lt(F::c(0.5));
    let neg = x.lt(F::c(0.0));
    let z = F::sel(low, a * a, zh);
    let t = F::sel(low, x, F::sel(neg, s, -s));
    let tail = (t * z).fma(poly2(z, &ASIN64, &ASIN32), F::sel(low, F::c(0.0), F::sel(neg, s_lo, -s_lo)));
    // low: π/2 − (x + tail); high: 2(s + …) or π − 2(s + …); as base − (u + v) with base ∈ {π/2, 0, π}
    let two = F::sel(low, F::c(1.0), F::c(2.0));
    let (u, v) = (t * two, tail * two);
    let base = F::sel(low, F::c(2.0), F::sel(neg, F::c(4.0), F::c(0.0)));
    let (hi, lo) = fast_two_sum(base * F::k(PIO4_H.0, PIO4_H.1), -u);
    hi + (lo + base.fma(F::k(PIO4_L.0, PIO4_L.1), -v))
}
