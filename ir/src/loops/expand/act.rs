//! sigmoid, softplus, gelu (the exact one: x Φ(x)).
use super::erf::*;
use super::exp::*;
use super::lane::*;
use super::log::log1p;

/// 1/(1+e^-x) from t = e^-|x| as 1/(1+t) or t/(1+t): no overflow, and subnormal results at the negative end. Roundings of
/// t, of the sum and of the quotient are what is lost; keeping the first two takes 1.6 times as long.
pub(super) fn sigmoid<F: Lane>(x: F) -> F {
    let one = F::c(1.0);
    let t = exp(-x.abs());
    F::sel(x.lt(F::c(0.0)), t, one) / (one + t)
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
