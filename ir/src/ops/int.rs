//! Reference meanings over the integers that need more than an expression. Operands fit the dtype; results are
//! wrapped to it by the caller.

use crate::dtype::DType;

pub(super) fn floor_div(a: &[i128], _: DType) -> i128 {
    if a[1] == 0 {
        return 0;
    }
    let q = a[0] / a[1];
    if a[0] % a[1] != 0 && (a[0] < 0) != (a[1] < 0) { q - 1 } else { q }
}

pub(super) fn rem(a: &[i128], d: DType) -> i128 {
    if a[1] == 0 { 0 } else { a[0] - a[1] * floor_div(a, d) }
}

pub(super) fn fmod(a: &[i128], _: DType) -> i128 {
    if a[1] == 0 { 0 } else { a[0] % a[1] }
}

/// By squaring, wrapping at 128 bits, whose low 64 bits are those of the true power.
pub(super) fn pow(a: &[i128], _: DType) -> i128 {
    let (mut base, mut n, mut r) = (a[0], a[1], 1i128);
    if n < 0 {
        return 0;
    }
    while n > 0 {
        if n & 1 == 1 {
            r = r.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        n >>= 1;
    }
    r
}

pub(super) fn not(a: &[i128], d: DType) -> i128 {
    if d == DType::Bool { 1 - a[0] } else { !a[0] }
}

pub(super) fn shl(a: &[i128], d: DType) -> i128 {
    if (0..i128::from(d.bits())).contains(&a[1]) { a[0].wrapping_shl(a[1] as u32) } else { 0 }
}

pub(super) fn shr(a: &[i128], d: DType) -> i128 {
    let width = i128::from(d.bits());
    let count = if (0..width).contains(&a[1]) { a[1] as u32 } else { d.bits() };
    a[0] >> count
}
