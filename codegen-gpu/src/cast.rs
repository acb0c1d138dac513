//! Conversions by the language's rules: floats truncate and saturate, NaN is 0, integers wrap.

use crate::arith::{compare, is_nan};
use crate::build::{Builder, Ty, Val};
use matex_ir::Op;
use naga::BinaryOperator;

/// A value as another type.
pub(crate) fn cast(b: &mut Builder, v: Val, to: Ty) -> Val {
    match (v.ty, to) {
        (from, to) if from == to => v,
        // Halves are stored, and what is computed is single: each integer that is a half at all is a single exactly.
        (Ty::F16, to) => {
            let single = b.cast(v, Ty::F32);
            cast(b, single, to)
        }
        (Ty::F32, Ty::F64) | (Ty::F64, Ty::F32) => b.cast(v, to),
        (_, Ty::F16) => {
            let single = cast(b, v, Ty::F32);
            b.cast(single, Ty::F16)
        }
        (Ty::Bool, to) => {
            let (zero, one) = (b.constant(to, 0), b.constant(to, if to.is_real() { ONE } else { 1 }));
            b.select(v, one, zero)
        }
        (from, Ty::Bool) => {
            let zero = b.constant(from, 0);
            compare(b, Op::Ne, v, zero)
        }
        (Ty::F32 | Ty::F64, to) => from_float(b, v, to),
        (_, Ty::F32 | Ty::F64) => b.cast(v, to),
        (_, to) => b.bitcast(v, to),
    }
}

/// The nearest `i32` to an `i64` of which these are the words.
pub(crate) fn nearest(b: &mut Builder, low: Val, high: Val) -> Val {
    let sign = b.shift(BinaryOperator::ShiftRight, low, 31);
    let fits = b.eq(sign, high);
    // All bits of the sign, changed into the number that is furthest away on that side.
    let sign = b.shift(BinaryOperator::ShiftRight, high, 31);
    let most = b.i32(i32::MAX);
    let end = b.binary(BinaryOperator::ExclusiveOr, sign, most);
    b.select(fits, low, end)
}

/// The bits of 1.0, as an `f32`.
const ONE: u32 = 0x3f80_0000;

/// Truncated, with what is beyond the ends at the ends: a device's own conversion ends before them.
fn from_float(b: &mut Builder, x: Val, to: Ty) -> Val {
    let (end, most, bottom, least) = if to == Ty::U32 {
        (4_294_967_296.0, u32::MAX, 0.0, 0)
    } else {
        (2_147_483_648.0, i32::MAX as u32, -2_147_483_648.0, i32::MIN as u32)
    };
    let [end, bottom] = [end, bottom].map(|v| b.real(x.ty, v));
    let [most, least] = [most, least].map(|v| b.constant(to, v));
    let zero = b.constant(to, 0);
    let (over, under, nan) = (compare(b, Op::Ge, x, end), compare(b, Op::Le, x, bottom), is_nan(b, x));
    let inside = b.cast(x, to);
    let r = b.select(over, most, inside);
    let r = b.select(under, least, r);
    b.select(nan, zero, r)
}
