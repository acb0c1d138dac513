//! sin, cos, tan.
//!
//! Method: x = k π/2 + hi + lo with π/2 in three parts and fma (Cody–Waite; with fma the first step is exact for
//! every k that a rounding can find), then fdlibm's kernel sin and cos on |r| ≤ π/4 with the tail `lo`, both always
//! computed, one selected by the parity of k.
//! Valid for |x| ≤ [`limit`] (f64: 2^45, f32: 2^20). Beyond that [`is_slow`] marks lanes whose result is
//! meaningless: the caller redoes them with a full Payne–Hanek function. ±∞ gives NaN here already.
use super::coeffs::*;
use super::hyper::quotient;
use super::lane::*;

const TWO_OVER_PI: (f64, f64) = (0.6366197723675814, 0.6366197466850281); // 0x1.45f306dc9c883p-1, 0x1.45f306p-1
const PIO2_1: (f64, f64) = (1.5707963267948966, 1.5707963705062866); // 0x1.921fb54442d18p+0, 0x1.921fb6p+0
const PIO2_2: (f64, f64) = (6.123233995736766e-17, -4.371138828673793e-08); // 0x1.1a62633145c07p-54, -0x1.777a5cp-25
const PIO2_3: (f64, f64) = (-1.4973849048591698e-33, -1.7151245100058819e-15); // -0x1.f1976b7ed8fbcp-110, -0x1.ee59dap-50

/// Largest |x| for which the functions of this file hold.
pub(super) fn limit<F: Lane>() -> F {
    F::k(35184372088832.0, 1048576.0) // 2^45, 2^20
}

/// Lanes to be redone by the slow path (finite |x| above the limit).
pub(super) fn is_slow<F: Lane>(x: F) -> F::Mask {
    limit::<F>().lt(x.abs()) & x.abs().lt(F::c(f64::INFINITY))
}

/// (k in the low bits, hi, lo)
fn reduce<F: Lane>(x: F) -> (F::Int, F, F) {
    let magic = F::c(F::magic());
    let shifted = x.fma(F::k(TWO_OVER_PI.0, TWO_OVER_PI.1), magic);
    let k = shifted - magic;
    let r = k.fma(F::k(-PIO2_1.0, -PIO2_1.1), x); // exact
    let (p, p_lo) = two_prod(k, F::k(PIO2_2.0, PIO2_2.1));
    let (hi, err) = fast_two_sum(r, -p); // r is a multiple of the last bit of p, so this is exact
    let lo = k.fma(F::k(-PIO2_3.0, -PIO2_3.1), err - p_lo);
    (shifted.bits(), hi, lo)
}

/// sin and cos of hi + lo, |hi| ≤ π/4 (a little more is fine), each as a leading part and a correction to be added.
fn kernels<F: Lane>(hi: F, lo: F) -> ((F, F), (F, F)) {
    let z = hi * hi;
    let half_z = z * F::c(0.5);
    let w = F::c(1.0) - half_z;
    let sin = (hi * z).fma(poly2(z, &SIN64, &SIN32), lo * w);
    let cos = ((F::c(1.0) - w) - half_z) + (z * z).fma(poly2(z, &COS64, &COS32), -(hi * lo));
    ((hi, sin), (w, cos))
}

/// ±0 → ±0, ±∞ → NaN.
pub(super) fn sin<F: Lane>(x: F) -> F {
    let (k, hi, lo) = reduce(x);
    let (s, c) = kernels(hi, lo);
    let y = F::sel(F::odd(k), c.0 + c.1, s.0 + s.1).flip_by_bit(k, 1);
    F::sel(x.eq(F::c(0.0)), x, y)
}

pub(super) fn cos<F: Lane>(x: F) -> F {
    let (k, hi, lo) = reduce(x);
    let (s, c) = kernels(hi, lo);
    F::sel(F::odd(k), s.0 + s.1, c.0 + c.1).flip_by_bit(k.plus(F::i(1, 1)), 1)
}

/// sin/cos, or −cos/sin for odd k, all four parts kept (the plain quotient reaches 2.13 ulp).
pub(super) fn tan<F: Lane>(x: F) -> F {
    let (k, hi, lo) = reduce(x);
    let (s, c) = kernels(hi, lo);
    let odd = F::odd(k);
    let (s, s_lo) = fast_two_sum(s.0, s.1);
    let (c, c_lo) = fast_two_sum(c.0, c.1);
    let q = quotient(F::sel(odd, c, s), F::sel(odd, c_lo, s_lo), F::sel(odd, s, c), F::sel(odd, s_lo, c_lo));
    let y = q.flip_by_bit(k, 0);
    F::sel(x.eq(F::c(0.0)), x, y)
}

/// The sine or the cosine of a0 + a1 + a2 quarter turns, at most half of one: numbers of 24 bits, each with the next bits of
/// the one before. For arguments beyond the limit that somebody else has reduced (Payne & Hanek, 1983).
pub(super) fn of_quarters<F: Lane>([a0, a1, a2]: [F; 3], cosine: bool) -> F {
    let (high, rest) = fast_two_sum(a0, a1);
    let (high, low) = fast_two_sum(high, rest + a2);
    let quarter = F::k(PIO2_1.0, PIO2_1.1);
    let (p, p_lo) = two_prod(high, quarter);
    let (hi, lo) = fast_two_sum(p, p_lo + (high * F::k(PIO2_2.0, PIO2_2.1) + low * quarter));
    let (s, c) = kernels(hi, lo);
    if cosine { c.0 + c.1 } else { s.0 + s.1 }
}
