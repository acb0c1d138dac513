//! sin, cos and tan of large numbers: how many quarter turns they are, by Payne and Hanek (1983).
//!
//! x = m · 2^e for a whole number m of 24 bits. Of 2/π only those 96 bits are needed that m · 2^e does not make a multiple of
//! four of: their product with m is the number of quarter turns modulo four, to 70 bits behind the point.

use crate::build::{Builder, Ty, Val};
use crate::{body, functions};
use matex_ir::Op;
use matex_ir::loops::expand::unfused_of_quarters;
use naga::{BinaryOperator, UnaryOperator};

/// 2/π, behind 32 bits before the point.
const TWO_OVER_PI: [u32; 8] =
    [0, 0xa2f9_836e, 0x4e44_1529, 0xfc27_57d1, 0xf534_ddc0, 0xdb62_9599, 0x3c43_9041, 0xfe51_63ab];

/// The most words that are passed over: those of the largest exponent.
const PASSED: usize = 4;

/// sin, cos or tan of a finite number of at least 1 in magnitude.
pub(crate) fn far(b: &mut Builder, op: Op, x: Val) -> Val {
    let bits = b.bitcast(x, Ty::U32);
    let [sign_mask, field_mask, low, implied] =
        [0x8000_0000, 0xff, 0x007f_ffff, 0x0080_0000].map(|v| b.u32(v));
    let sign = b.and(bits, sign_mask);
    let field = right(b, bits, 23);
    let field = b.and(field, field_mask);
    let mantissa = b.and(bits, low);
    let mantissa = b.or(mantissa, implied);
    let window = window(b, field);
    let product = product(b, mantissa, window);
    let quarters = right(b, product[0], 30);
    let (parts, below, quarters) = parts(b, product, quarters);
    let [sine, cosine] = [false, true].map(|c| of_quarters(b, c, &parts));
    let sine = with_sign(b, sine, below);
    let one = b.u32(1);
    let odd = b.and(quarters, one);
    let odd = b.eq(odd, one);
    if op == Op::Tan {
        let (over, under) = (b.select(odd, cosine, sine), b.select(odd, sine, cosine));
        let quotient = b.binary(BinaryOperator::Divide, over, under);
        let turned = b.shift(BinaryOperator::ShiftLeft, quarters, 31);
        let quotient = with_sign(b, quotient, turned);
        return with_sign(b, quotient, sign);
    }
    let cosine_wanted = op == Op::Cos;
    let (even, uneven) = if cosine_wanted { (cosine, sine) } else { (sine, cosine) };
    let value = b.select(odd, uneven, even);
    // Of the four quarters the third and the fourth are negative, of the cosine the second and the third.
    let half = if cosine_wanted { b.add(quarters, one) } else { quarters };
    let half = right(b, half, 1);
    let half = b.shift(BinaryOperator::ShiftLeft, half, 31);
    let value = with_sign(b, value, half);
    if cosine_wanted { value } else { with_sign(b, value, sign) }
}

fn right(b: &mut Builder, x: Val, count: u32) -> Val {
    b.shift(BinaryOperator::ShiftRight, x, count)
}

/// A number with its sign changed where the highest bit is set.
fn with_sign(b: &mut Builder, x: Val, sign: Val) -> Val {
    let bits = b.bitcast(x, Ty::U32);
    let bits = b.binary(BinaryOperator::ExclusiveOr, bits, sign);
    b.bitcast(bits, Ty::F32)
}

/// The 96 bits of 2/π that count for an exponent field, the highest first.
fn window(b: &mut Builder, field: Val) -> [Val; 3] {
    let bias = b.u32(120);
    let first = b.sub(field, bias);
    let passed = right(b, first, 5);
    let last = b.u32(31);
    let count = b.and(first, last);
    let back = b.sub(last, count);
    let words = [0, 1, 2, 3].map(|k| {
        let mut word = b.u32(TWO_OVER_PI[k]);
        for skip in 1..=PASSED {
            let number = b.u32(skip as u32);
            let here = b.eq(passed, number);
            let other = b.u32(TWO_OVER_PI[k + skip]);
            word = b.select(here, other, word);
        }
        word
    });
    [0, 1, 2].map(|k| {
        let high = b.binary(BinaryOperator::ShiftLeft, words[k], count);
        // By 32 less the count, which may be 32, in two steps.
        let low = right(b, words[k + 1], 1);
        let low = b.binary(BinaryOperator::ShiftRight, low, back);
        b.or(high, low)
    })
}

/// The low 96 bits of a product with a number of 32 bits, the highest first.
fn product(b: &mut Builder, x: Val, [high, middle, low]: [Val; 3]) -> [Val; 3] {
    let (carry, last) = wide(b, x, low);
    let (upper, lower) = wide(b, x, middle);
    let second = b.add(lower, carry);
    let over = b.lt(second, carry);
    let [zero, one] = [0, 1].map(|v| b.u32(v));
    let over = b.select(over, one, zero);
    let first = b.mul(x, high);
    let first = b.add(first, upper);
    [b.add(first, over), second, last]
}

/// All 64 bits of a product, by halves of 16 bits: the high word and the low one.
fn wide(b: &mut Builder, x: Val, y: Val) -> (Val, Val) {
    let mask = b.u32(0xffff);
    let (x_low, y_low) = (b.and(x, mask), b.and(y, mask));
    let (x_high, y_high) = (right(b, x, 16), right(b, y, 16));
    let low = b.mul(x_low, y_low);
    let (one, other) = (b.mul(x_low, y_high), b.mul(x_high, y_low));
    let high = b.mul(x_high, y_high);
    let (one_low, other_low) = (b.and(one, mask), b.and(other, mask));
    let middle = right(b, low, 16);
    let middle = b.add(middle, one_low);
    let middle = b.add(middle, other_low);
    let (one_high, other_high, carry) = (right(b, one, 16), right(b, other, 16), right(b, middle, 16));
    let high = b.add(high, one_high);
    let high = b.add(high, other_high);
    let high = b.add(high, carry);
    let low = b.and(low, mask);
    let middle = b.shift(BinaryOperator::ShiftLeft, middle, 16);
    (high, b.or(middle, low))
}

/// The distance to the nearest quarter in three numbers of 24 bits, the sign bit of what is below it, and the quarter.
fn parts(b: &mut Builder, [first, second, third]: [Val; 3], quarters: Val) -> ([Val; 3], Val, Val) {
    let joined = |b: &mut Builder, x: Val, y: Val| {
        let (x, y) = (b.shift(BinaryOperator::ShiftLeft, x, 2), right(b, y, 30));
        b.or(x, y)
    };
    let (f0, f1) = (joined(b, first, second), joined(b, second, third));
    let f2 = b.shift(BinaryOperator::ShiftLeft, third, 2);
    let [zero, one, top] = [0, 1, 0x8000_0000].map(|v| b.u32(v));
    let below = b.and(f0, top);
    let up = right(b, below, 31);
    let quarters = b.add(quarters, up);
    let negative = b.eq(up, one);
    // The opposite of a number of three words.
    let [n0, n1, n2] = [f0, f1, f2].map(|f| b.unary(UnaryOperator::BitwiseNot, f));
    let n2 = b.add(n2, one);
    let carry = b.eq(n2, zero);
    let carried = b.add(n1, one);
    let n1 = b.select(carry, carried, n1);
    let n1_zero = b.eq(n1, zero);
    let carry = b.and(carry, n1_zero);
    let carried = b.add(n0, one);
    let n0 = b.select(carry, carried, n0);
    let [m0, m1, m2] = [(n0, f0), (n1, f1), (n2, f2)].map(|(n, f)| b.select(negative, n, f));
    let (byte, half) = (b.u32(0xff), b.u32(0xffff));
    let a0 = right(b, m0, 8);
    let (rest, more) = (b.and(m0, byte), right(b, m1, 16));
    let rest = b.shift(BinaryOperator::ShiftLeft, rest, 16);
    let a1 = b.or(rest, more);
    let (rest, more) = (b.and(m1, half), right(b, m2, 24));
    let rest = b.shift(BinaryOperator::ShiftLeft, rest, 8);
    let a2 = b.or(rest, more);
    let scaled = [(a0, 24), (a1, 48), (a2, 72)].map(|(a, bits)| {
        let (number, scale) = (b.cast(a, Ty::F32), b.f32((-(bits as f32)).exp2()));
        b.mul(number, scale)
    });
    (scaled, below, quarters)
}

fn of_quarters(b: &mut Builder, cosine: bool, parts: &[Val; 3]) -> Val {
    let name = if cosine { "matex_cos_of_quarters" } else { "matex_sin_of_quarters" };
    let params = [("a", Ty::F32), ("b", Ty::F32), ("c", Ty::F32)];
    let function = b.function(name, &params, |b, args| {
        let function = unfused_of_quarters(cosine);
        let values = body::straight(b, &function.body, args);
        functions::value(b, &values, function.result, Ty::F32)
    });
    b.call(function, parts)
}
