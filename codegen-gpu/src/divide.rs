//! Quotients, remainders and integer powers by the language's rules: nothing traps, and an integer by zero gives 0.

use crate::arith::{compare, is_nan};
use crate::build::{Builder, Ty, Val};
use matex_ir::Op;
use naga::{BinaryOperator, MathFunction};

/// `floor_divide`, `remainder` or `fmod` of integers.
pub(crate) fn int(b: &mut Builder, op: Op, x: Val, y: Val) -> Val {
    let (zero, one) = (b.constant(x.ty, 0), b.constant(x.ty, 1));
    let by_zero = b.eq(y, zero);
    // The least number by -1 wraps, as by 1.
    let unsafe_divisor = if x.ty == Ty::I32 {
        let (least, minus) = (b.i32(i32::MIN), b.i32(-1));
        let (is_least, is_minus) = (b.eq(x, least), b.eq(y, minus));
        let wraps = b.and(is_least, is_minus);
        b.or(by_zero, wraps)
    } else {
        by_zero
    };
    let divisor = b.select(unsafe_divisor, one, y);
    let quotient = b.binary(BinaryOperator::Divide, x, divisor);
    let product = b.mul(quotient, divisor);
    let rest = b.sub(x, product);
    let r = if x.ty == Ty::U32 || op == Op::Fmod {
        if op == Op::FloorDiv { quotient } else { rest }
    } else {
        // Rounded towards zero so far: one too much where the signs differ and something is left.
        let (rest_sign, divisor_sign) = (b.lt(rest, zero), b.lt(divisor, zero));
        let signs = b.binary(BinaryOperator::NotEqual, rest_sign, divisor_sign);
        let some = b.binary(BinaryOperator::NotEqual, rest, zero);
        let off = b.and(signs, some);
        let (from, change) = if op == Op::FloorDiv { (quotient, b.i32(-1)) } else { (rest, divisor) };
        let changed = b.add(from, change);
        b.select(off, changed, from)
    };
    b.select(by_zero, zero, r)
}

/// A power by squaring, which wraps; 0 for a negative exponent.
pub(crate) fn power(b: &mut Builder, x: Val, n: Val) -> Val {
    let name = if x.ty == Ty::I32 { "matex_power_i" } else { "matex_power_u" };
    let function = b.function(name, &[("x", x.ty), ("n", n.ty)], |b, args| {
        let (x, n) = (args[0], args[1]);
        let (zero, one) = (b.constant(x.ty, 0), b.constant(x.ty, 1));
        let bits = b.bitcast(n, Ty::U32);
        let (base, left, result) = (b.var("base", x), b.var("left", bits), b.var("result", one));
        let [start, end, step] = [0, 32, 1].map(|v| b.u32(v));
        b.count("bit", (start, end, step), |b, _| {
            let rest = b.get(left);
            let low = b.u32(1);
            let odd = b.and(rest, low);
            let odd = b.eq(odd, low);
            let (power, so_far) = (b.get(base), b.get(result));
            let more = b.mul(so_far, power);
            let next = b.select(odd, more, so_far);
            b.set(result, next);
            let square = b.mul(power, power);
            b.set(base, square);
            let rest = b.shift(BinaryOperator::ShiftRight, rest, 1);
            b.set(left, rest);
        });
        let result = b.get(result);
        if n.ty == Ty::I32 {
            let none = b.i32(0);
            let negative = b.lt(n, none);
            return b.select(negative, zero, result);
        }
        result
    });
    b.call(function, &[x, n])
}

/// `floor_divide`, `remainder` or `fmod` of floats, from the exact remainder.
pub(crate) fn float(b: &mut Builder, op: Op, x: Val, y: Val) -> Val {
    if op == Op::Fmod {
        return fmod(b, x, y);
    }
    let name = if op == Op::Rem { "matex_remainder" } else { "matex_floor_divide" };
    let function = b.function(name, &[("x", Ty::F32), ("y", Ty::F32)], |b, args| {
        if op == Op::Rem { remainder(b, args[0], args[1]) } else { floor_divide(b, args[0], args[1]) }
    });
    b.call(function, &[x, y])
}

/// Whether what is left has another sign than the divisor.
fn is_off(b: &mut Builder, rest: Val, y: Val) -> Val {
    let zero = b.f32(0.0);
    let (rest_sign, y_sign) = (compare(b, Op::Lt, rest, zero), compare(b, Op::Lt, y, zero));
    let signs = b.binary(BinaryOperator::NotEqual, rest_sign, y_sign);
    let some = compare(b, Op::Ne, rest, zero);
    b.and(signs, some)
}

fn sign_of(b: &mut Builder, x: Val, from: Val) -> Val {
    let [mask, rest] = [0x8000_0000, 0x7fff_ffff].map(|v| b.u32(v));
    let (bits, sign) = (b.bitcast(x, Ty::U32), b.bitcast(from, Ty::U32));
    let (bits, sign) = (b.and(bits, rest), b.and(sign, mask));
    let r = b.or(bits, sign);
    b.bitcast(r, Ty::F32)
}

fn remainder(b: &mut Builder, x: Val, y: Val) -> Val {
    let (rest, zero) = (fmod(b, x, y), b.f32(0.0));
    let off = is_off(b, rest, y);
    let moved = b.add(rest, y);
    let r = b.select(off, moved, rest);
    let (none, signed) = (compare(b, Op::Eq, rest, zero), sign_of(b, zero, y));
    b.select(none, signed, r)
}

/// The quotient that goes with the remainder, rounded to the nearest integer, which it is but for roundings.
fn floor_divide(b: &mut Builder, x: Val, y: Val) -> Val {
    let [zero, half, one] = [0.0, 0.5, 1.0].map(|v| b.f32(v));
    let plain = b.binary(BinaryOperator::Divide, x, y);
    let rest = fmod(b, x, y);
    let whole = b.sub(x, rest);
    let quotient = b.binary(BinaryOperator::Divide, whole, y);
    let off = is_off(b, rest, y);
    let fewer = b.sub(quotient, one);
    let quotient = b.select(off, fewer, quotient);
    let floor = b.math(MathFunction::Floor, &[quotient]);
    let quotient_again = b.opaque(quotient);
    let over = b.sub(quotient_again, floor);
    let more = b.add(floor, one);
    let up = compare(b, Op::Gt, over, half);
    let r = b.select(up, more, floor);
    let (none, signed) = (compare(b, Op::Eq, quotient, zero), sign_of(b, zero, plain));
    let r = b.select(none, signed, r);
    // By zero the quotient is an infinity or NaN by the signs, and never a division by a constant.
    let by_zero = compare(b, Op::Eq, y, zero);
    let (inf, nan) = (b.f32(f32::INFINITY), b.f32(f32::NAN));
    let (sx, sy) = (sign_bits(b, x), sign_bits(b, y));
    let signs = b.binary(BinaryOperator::ExclusiveOr, sx, sy);
    let bits = b.bitcast(inf, Ty::U32);
    let infinite = b.or(bits, signs);
    let infinite = b.bitcast(infinite, Ty::F32);
    let (x_zero, x_nan) = (compare(b, Op::Eq, x, zero), is_nan(b, x));
    let no_number = b.or(x_zero, x_nan);
    let at_zero = b.select(no_number, nan, infinite);
    b.select(by_zero, at_zero, r)
}

fn sign_bits(b: &mut Builder, x: Val) -> Val {
    let (bits, mask) = (b.bitcast(x, Ty::U32), b.u32(0x8000_0000));
    b.and(bits, mask)
}

/// The remainder with the dividend's sign, exact: long division of the mantissas, a bit a step.
fn fmod(b: &mut Builder, x: Val, y: Val) -> Val {
    let function = b.function("matex_fmod", &[("x", Ty::F32), ("y", Ty::F32)], |b, args| {
        let (x, y) = (args[0], args[1]);
        let (x_scale, x_whole) = parts(b, x);
        let (y_scale, y_whole) = parts(b, y);
        let (gap, zero) = (b.sub(x_scale, y_scale), b.i32(0));
        let larger = b.lt(zero, gap);
        let steps = b.select(larger, gap, zero);
        let rest = b.var("rest", x_whole);
        let one = b.i32(1);
        let none = b.u32(0);
        // A divisor of zero is answered below; by 1 nothing overflows.
        let by_zero = b.eq(y_whole, none);
        let one_bit = b.u32(1);
        let divisor = b.select(by_zero, one_bit, y_whole);
        b.count("step", (zero, steps, one), |b, _| {
            let now = b.get(rest);
            let now = reduced(b, now, divisor);
            let now = b.shift(BinaryOperator::ShiftLeft, now, 1);
            b.set(rest, now);
        });
        let now = b.get(rest);
        let now = reduced(b, now, divisor);
        let less = b.lt(gap, zero);
        let value = assemble(b, now, y_scale);
        let value = sign_of(b, value, x);
        let r = b.select(less, x, value);
        // x by ∞ is x; ∞ by y, x by 0 and NaN have none.
        let (x_odd, y_nan) = (not_finite(b, x), is_nan(b, y));
        let bad = b.or(x_odd, y_nan);
        let bad = b.or(bad, by_zero);
        let nan = b.f32(f32::NAN);
        b.select(bad, nan, r)
    });
    b.call(function, &[x, y])
}

fn not_finite(b: &mut Builder, x: Val) -> Val {
    let (bits, rest, inf) = (b.bitcast(x, Ty::U32), b.u32(0x7fff_ffff), b.u32(f32::INFINITY.to_bits()));
    let magnitude = b.and(bits, rest);
    b.ge(magnitude, inf)
}

/// The exponent field, at least 1, and the mantissa as a whole number: |x| is the number times 2^(exponent - 150).
fn parts(b: &mut Builder, x: Val) -> (Val, Val) {
    let bits = b.bitcast(x, Ty::U32);
    let field = b.shift(BinaryOperator::ShiftRight, bits, 23);
    let (mask, low, none, implied) = (b.u32(0xff), b.u32(0x007f_ffff), b.u32(0), b.u32(0x0080_0000));
    let field = b.and(field, mask);
    let mantissa = b.and(bits, low);
    let full = b.or(mantissa, implied);
    let subnormal = b.eq(field, none);
    let whole = b.select(subnormal, mantissa, full);
    let one = b.u32(1);
    let scale = b.select(subnormal, one, field);
    (b.bitcast(scale, Ty::I32), whole)
}

/// A number below twice the divisor, less the divisor where that leaves one; a first number of any size is taken care of
/// by what its exponent says.
fn reduced(b: &mut Builder, x: Val, divisor: Val) -> Val {
    let fits = b.ge(x, divisor);
    let less = b.binary(BinaryOperator::Modulo, x, divisor);
    b.select(fits, less, x)
}

/// The float that is a whole number below 2^24 times 2^(scale - 150), exact.
fn assemble(b: &mut Builder, whole: Val, scale: Val) -> Val {
    let zeros = b.math(MathFunction::CountLeadingZeros, &[whole]);
    let zeros = b.bitcast(zeros, Ty::I32);
    let (eight, one, none) = (b.i32(8), b.i32(1), b.u32(0));
    let want = b.sub(zeros, eight);
    // A subnormal number keeps the exponent field 0, which counts as 1.
    let most = b.sub(scale, one);
    let up = b.math(MathFunction::Min, &[want, most]);
    let count = b.bitcast(up, Ty::U32);
    let (last, width) = (b.u32(31), b.u32(0x0080_0000));
    let count = b.math(MathFunction::Min, &[count, last]);
    let mantissa = b.binary(BinaryOperator::ShiftLeft, whole, count);
    let field = b.sub(scale, up);
    let field = b.bitcast(field, Ty::U32);
    let normal = b.ge(mantissa, width);
    let field = b.select(normal, field, none);
    let low = b.u32(0x007f_ffff);
    let mantissa = b.and(mantissa, low);
    let field = b.shift(BinaryOperator::ShiftLeft, field, 23);
    let bits = b.or(field, mantissa);
    let is_zero = b.eq(whole, none);
    let bits = b.select(is_zero, none, bits);
    b.bitcast(bits, Ty::F32)
}
