//! erf, erfc and the scaled complement that gelu needs.
//!
//! Methods: erf below 1 (0.92): x + x P(x²); above: 1 − exp(−a Q(a)) with Q fitted to −log(erfc a)/a under the weight of
//! erfc (the form used by N. Juffa for CUDA's erff; own fits). erfc: (1 + 9a/8)·erfcx(a) is a polynomial in
//! t = (a−K)/(a+K) (Shepherd & Laframboise 1981 with 1 + 2a; 9/8 ≈ 2/√π makes it flat at 0, where the rounding of t
//! would otherwise cost 8 ulp), times exp(−a²) with a² exact as hi + lo; both divisions share one
//! reciprocal and the quotient is corrected by its remainder.
use super::coeffs::*;
use super::exp::*;
use super::lane::*;

/// ±0 → ±0, ±∞ → ±1, subnormals right.
pub(super) fn erf<F: Lane>(x: F) -> F {
    let one = F::c(1.0);
    let a = x.abs().at_most(F::k(5.95, 4.0));
    let small = a.lt(F::k(1.0, 0.9200000166893005));
    let near = a.fma(poly2(a * a, &ERF64, &ERF32), a);
    let e = reduce(-(a * poly2(a, &ERFL64, &ERFL32)), F::bias());
    let p = F::pow2(e.k);
    let far = (-p).fma(expm1_reduced(e.hi, e.lo), one - p);
    F::sel(small, near, far).copysign(x)
}

const ERFCX_REST64: [f64; 22] = rest(ERFCX64);
const ERFCX_REST32: [f64; 10] = rest(ERFCX32);

/// exp(−(sq + sq_lo))·erfcx(a + a_lo) as (q + q_lo)·(1 + r + s)·2^k with k + 2·bias in the low bits; every part is kept
/// apart up to the last addition, which is what holds erfc under 2 ulp.
pub(super) struct Tail<F: Lane> {
    q: F,
    q_lo: F,
    r: F,
    s: F,
    pub(super) k: F::Int,
}

impl<F: Lane> Tail<F> {
    /// The value for a numerator q + q_lo: q (1 + r + s) + q_lo (1 + r), summed from the small end.
    fn value_of(self, q: F, q_lo: F) -> F {
        let inner = q.fma(self.r, q.fma(self.s, q_lo.fma(self.r, q_lo)));
        scale(q + inner, self.k)
    }
    pub(super) fn value(self) -> F {
        let (q, q_lo) = (self.q, self.q_lo);
        self.value_of(q, q_lo)
    }
    /// The value times c.
    pub(super) fn times(self, c: F) -> F {
        let (q, q_err) = two_prod(c, self.q);
        let q_lo = c.fma(self.q_lo, q_err);
        self.value_of(q, q_lo)
    }
}

pub(super) fn erfc_tail<F: Lane>(a: F, a_lo: F, sq: F, sq_lo: F) -> Tail<F> {
    let pole = F::k(4.0, 3.0);
    let slope = F::c(1.125);
    let d = a.fma(slope, F::c(1.0));
    let d_lo = a_lo.fma(slope, a.fma(slope, F::c(1.0) - d));
    let ak = a + pole;
    let inv = F::c(1.0) / (d * ak);
    let t = (a - pole) * d * inv;
    let (p, p_lo) = fast_two_sum(F::k(ERFCX64[0], ERFCX32[0]), t * poly2(t, &ERFCX_REST64, &ERFCX_REST32));
    let inv_d = ak * inv;
    let q = p * inv_d;
    let q_lo = (-q).fma(d_lo, (-q).fma(d, p) + p_lo) * inv_d;
    let e = reduce(-sq, scale_offset::<F>());
    let (r, r_lo) = fast_two_sum(e.hi, e.lo - sq_lo); // sq_lo is too large to enter exp linearly
    let s = (r * r).fma(poly2(r, &EXP64, &EXP32), r_lo);
    Tail { q, q_lo, r, s, k: e.k }
}

/// Underflows gradually from 26.54 (9.19) to 27.3 (10.06) on; −∞ → 2.
pub(super) fn erfc<F: Lane>(x: F) -> F {
    let a = x.abs().at_most(F::k(27.5, 10.25));
    let (sq, sq_lo) = two_prod(a, a);
    let e = erfc_tail(a, F::c(0.0), sq, sq_lo);
    let y = e.value();
    F::sel(x.lt(F::c(0.0)), F::c(2.0) - y, y)
}
