//! Expansions for targets whose fma may round twice, which is all that a GPU promises.
//!
//! [`Unfused`] is a lane over another one that keeps the error of a product by Dekker's method: both factors are cut in
//! two, so that the four partial products are exact. Where a rounding does no harm ([`Lane::mad`]) it costs nothing.
//! Its results are within 4 ulp, for numbers whose products neither overflow nor underflow.

use super::lane::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A lane of binary32 without a fused fma.
#[derive(Clone, Copy)]
pub(super) struct Unfused<F>(pub(super) F);

macro_rules! forward {
    ($($Trait:ident $method:ident $op:tt)+) => {$(
        impl<F: Lane> $Trait for Unfused<F> {
            type Output = Unfused<F>;
            fn $method(self, o: Unfused<F>) -> Unfused<F> {
                Unfused(self.0 $op o.0)
            }
        }
    )+};
}

forward!(Add add + Sub sub - Mul mul * Div div /);

impl<F: Lane> Neg for Unfused<F> {
    type Output = Unfused<F>;
    fn neg(self) -> Unfused<F> {
        Unfused(-self.0)
    }
}

/// x as two numbers of 12 bits each.
fn cut<F: Lane>(x: F) -> (F, F) {
    let high = F::from_bits(x.bits().plus(F::Int::int(0x800)).and(F::Int::int(0xffff_f000)));
    (high, x - high)
}

/// a · b and what its rounding lost.
fn product<F: Lane>(a: F, b: F) -> (F, F) {
    let p = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (cut(a), cut(b));
    (p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low)
}

/// a + b and what its rounding lost (Knuth).
fn two_sum<F: Lane>(a: F, b: F) -> (F, F) {
    let s = a + b;
    let back = s - a;
    (s, (a - (s - back)) + (b - back))
}

impl<F: Lane> Lane for Unfused<F> {
    type Int = F::Int;
    type Mask = F::Mask;
    const WIDE: bool = false;

    fn c(v: f64) -> Self {
        Unfused(F::c(v))
    }
    fn fma(self, b: Self, c: Self) -> Self {
        let (p, p_low) = product(self.0, b.0);
        let (s, s_low) = two_sum(p, c.0);
        Unfused(s + (s_low + p_low))
    }
    fn mad(self, b: Self, c: Self) -> Self {
        Unfused(self.0.mad(b.0, c.0))
    }
    fn sqrt(self) -> Self {
        Unfused(self.0.sqrt())
    }
    fn abs(self) -> Self {
        Unfused(self.0.abs())
    }
    fn copysign(self, sign: Self) -> Self {
        Unfused(self.0.copysign(sign.0))
    }
    fn round(self) -> Self {
        Unfused(self.0.round())
    }
    fn bits(self) -> F::Int {
        self.0.bits()
    }
    fn from_bits(i: F::Int) -> Self {
        Unfused(F::from_bits(i))
    }
    fn lt(self, o: Self) -> F::Mask {
        self.0.lt(o.0)
    }
    fn eq(self, o: Self) -> F::Mask {
        self.0.eq(o.0)
    }
    fn sel(m: F::Mask, a: Self, b: Self) -> Self {
        Unfused(F::sel(m, a.0, b.0))
    }
    fn odd(i: F::Int) -> F::Mask {
        F::odd(i)
    }
}
