//! The operations an expansion may use, and nothing else.
//!
//! An expansion is written once, generic over [`Lane`]: recorded, it becomes instructions of the loop IR; in tests it
//! also runs on plain floats.
use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

/// Same-width integer lane: wrapping arithmetic on the bits of a float. No compare and no arithmetic right shift,
/// because AVX2 has no 64-bit form of the latter and nothing here needs the former.
pub(super) trait LaneInt: Copy {
    fn int(v: i64) -> Self;
    fn plus(self, o: Self) -> Self;
    fn minus(self, o: Self) -> Self;
    fn and(self, o: Self) -> Self;
    fn or(self, o: Self) -> Self;
    fn xor(self, o: Self) -> Self;
    fn shl(self, n: u32) -> Self;
    /// Logical (zero-filling) shift.
    fn shr(self, n: u32) -> Self;
}

/// One floating-point lane, binary32 or binary64.
pub(super) trait Lane:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    type Int: LaneInt;
    type Mask: Copy
        + BitAnd<Output = Self::Mask>
        + BitOr<Output = Self::Mask>
        + BitXor<Output = Self::Mask>
        + Not<Output = Self::Mask>;
    /// True for binary64. Known while expanding.
    const WIDE: bool;

    /// A constant; for binary32 it must be a binary32 value (checked by a debug assertion).
    fn c(v: f64) -> Self;
    /// `self * b + c`, rounded once.
    fn fma(self, b: Self, c: Self) -> Self;
    /// The same where a rounding of the product does no harm, so that a target without a fused fma may round it.
    fn mad(self, b: Self, c: Self) -> Self {
        self.fma(b, c)
    }
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn copysign(self, sign: Self) -> Self;
    /// To the nearest integer, ties to even.
    fn round(self) -> Self;
    fn bits(self) -> Self::Int;
    fn from_bits(i: Self::Int) -> Self;
    fn lt(self, o: Self) -> Self::Mask;
    fn eq(self, o: Self) -> Self::Mask;
    fn sel(m: Self::Mask, a: Self, b: Self) -> Self;
    /// `m` from the lowest bit of an integer.
    fn odd(i: Self::Int) -> Self::Mask;

    // ---- definitions over the above ----
    /// The 64-bit or the 32-bit variant of a constant.
    fn k(wide: f64, narrow: f64) -> Self {
        Self::c(if Self::WIDE { wide } else { narrow })
    }
    fn i(wide: i64, narrow: i64) -> Self::Int {
        Self::Int::int(if Self::WIDE { wide } else { narrow })
    }
    /// The smaller one; `self` when either is NaN is not promised, but a NaN in `self` stays.
    fn at_most(self, hi: Self) -> Self {
        Self::sel(hi.lt(self), hi, self)
    }
    /// The larger one; a NaN in `self` stays.
    fn at_least(self, lo: Self) -> Self {
        Self::sel(self.lt(lo), lo, self)
    }
    /// Number of explicit mantissa bits.
    fn mant() -> u32 {
        if Self::WIDE { 52 } else { 23 }
    }
    fn bias() -> i64 {
        if Self::WIDE { 1023 } else { 127 }
    }
    /// 2^k from an integer whose low bits hold `k + bias`; whatever is above them is shifted out.
    fn pow2(biased: Self::Int) -> Self {
        Self::from_bits(biased.shl(Self::mant()))
    }
    /// 1.5 · 2^mant: adding it rounds to an integer and leaves that integer in the low bits.
    fn magic() -> f64 {
        if Self::WIDE { 6755399441055744.0 } else { 12582912.0 }
    }
    /// Flips the sign of `self` where bit `bit` of `i` is set.
    fn flip_by_bit(self, i: Self::Int, bit: u32) -> Self {
        let top = if Self::WIDE { 63 } else { 31 };
        let sign = i.shl(top - bit).and(Self::i(i64::MIN, 0x8000_0000));
        Self::from_bits(self.bits().xor(sign))
    }
}

/// Polynomial by Horner, or by two interleaved Horner chains in x² from six coefficients on.
pub(super) fn poly<F: Lane, const N: usize>(x: F, c: &[f64; N]) -> F {
    if N < 6 {
        let mut r = F::c(c[N - 1]);
        let mut i = N - 1;
        while i > 0 {
            i -= 1;
            r = r.mad(x, F::c(c[i]));
        }
        return r;
    }
    let x2 = x * x;
    let (mut a, mut b) = (F::c(c[N - 1]), F::c(c[N - 2]));
    let mut i = N - 2;
    while i >= 2 {
        i -= 2;
        a = a.mad(x2, F::c(c[i + 1]));
        b = b.mad(x2, F::c(c[i]));
    }
    if i == 1 {
        // one coefficient left: it belongs to the chain of `a`, which is the even one
        a = a.mad(x2, F::c(c[0]));
        return b.mad(x, a);
    }
    a.mad(x, b)
}

/// The coefficients without the first (M = N − 1).
pub(super) const fn rest<const N: usize, const M: usize>(c: [f64; N]) -> [f64; M] {
    let mut r = [0.0; M];
    let mut i = 0;
    while i < M {
        r[i] = c[i + 1];
        i += 1;
    }
    r
}

/// The polynomial of the width.
pub(super) fn poly2<F: Lane, const N: usize, const M: usize>(x: F, wide: &[f64; N], narrow: &[f64; M]) -> F {
    if F::WIDE { poly(x, wide) } else { poly(x, narrow) }
}

/// a + b as hi + lo, exact when |a| ≥ |b| or a = 0 (Dekker).
pub(super) fn fast_two_sum<F: Lane>(a: F, b: F) -> (F, F) {
    let s = a + b;
    (s, (a - s) + b)
}

/// a · b as hi + lo, exact unless it underflows.
pub(super) fn two_prod<F: Lane>(a: F, b: F) -> (F, F) {
    let p = a * b;
    (p, a.fma(b, -p))
}
