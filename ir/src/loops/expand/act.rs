//! sigmoid, softplus, gelu (the exact one: x Φ(x)).
use super::erf::*;
use super::exp::*;
use super::hyper::quotient;
use super::lane::*;
use super::log::log1p;

/// 1/(1+e^-x) from t = e^-|x| as 1/(1+t) or t/(1+t): no overflow, subnormal results at the negative end,
/// and 1 + t keeps its error.
pub(super) fn sigmoid<F: Lane>(x: F) -> F {
    let one = F::c(1.0);
    // the lower end needs subnormal results: below it the quotient is formed as t/1
    let a = x.abs().at_most(F::k(746.0, 104.5));
    let r = reduce(-a, scale_offset::<F>());
    let s = expm1_reduced(r.hi, r.lo);
    let (y, y_lo) = fast_two_sum(one, s);
    let half = r.k.shr(1);
    let (up, down) = (F::pow2(half), F::pow2(r.k.minus(half)));
    let (t, t_lo) = (y * up * down, y_lo * up * down);
    let (d, d_lo) = fast_two_sum(one, t);
    let neg = x.lt(F::c(0.0));
    let n = F::sel(neg, t, one);
    let n_lo = F::sel(neg, t_lo, F::c(0.0));
    quotient(n, n_lo, d, d_lo + t_lo)
}

/// log(1 + e^x) = max(x, 0) + log1p(e^-|x|).
pub(super) fn softplus<F: Lane>(x: F) -> F {
    x.at_least(F::c(0.0)) + log1p(exp(-x.abs()))
}

/// x Φ(x) = x/2 · erfc(−x/√2). The square x²/2 is exact as hi + lo and so is |x|/√2, which keeps the left tail right.
pub(super) fn gelu<F: Lane>(x: F) -> F {
    let half = F::c(0.5);
    let a = x.abs().at_most(F::k(39.0, 15.0));
    let (sq, sq_lo) = two_prod(a * half, a);
    let (root, root_lo) =
        (F::k(0.7071067811865476, 0.7071067690849304), F::k(-4.833646656726457e-17, 1.2101617485882343e-08));
    let u = a * root;
    let u_lo = a.fma(root_lo, a.fma(root, -u));
    let e = erfc_tail(u, u_lo, sq, sq_lo);
    let tail = e.times(a * F::c(-0.5));
    // Under 2^-100 it is x/2, which x + tail misses by an ulp where x/2 is no number.
    let tiny = x.abs().lt(F::c(7.888609052210118e-31));
    F::sel(tiny, x * half, F::sel(x.lt(F::c(0.0)), tail, x + tail).copysign(x))
}
