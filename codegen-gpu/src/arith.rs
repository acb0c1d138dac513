//! The ops of the table as instructions of a shader.
//!
//! A device promises less than IEEE 754: its compiler may fold `x - x`, reassociate constants, take a comparison and the
//! choice it decides for a minimum, and divide by zero as it likes. What would be folded is made [opaque] first, so that
//! NaN, infinities and signed zeros come out as on the CPU.
//!
//! [opaque]: Builder::opaque

use crate::build::{Builder, Ty, Val};
use crate::{divide, functions};
use matex_ir::loops::{Inst, InstId, InstKind};
use matex_ir::{DType, Op};
use naga::{BinaryOperator, MathFunction, UnaryOperator};

/// Whether it is one of the floats that are computed with.
fn is_real(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// Whether the value of an instruction is a sum or a product of floats, which must not be merged with another one.
fn is_arithmetic(inst: &Inst) -> bool {
    let arithmetic = |op: Op| matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Fma | Op::Neg);
    is_real(inst.dtype) && matches!(inst.kind, InstKind::Map(op, _) if arithmetic(op))
}

/// Whether it is a constant that a compiler folds wrongly: zeros, infinities and NaN.
fn is_special(inst: &Inst) -> bool {
    let InstKind::Const(s) = inst.kind else { return false };
    let normal =
        if s.dtype() == DType::F64 { s.to_f64().is_normal() } else { (s.to_f64() as f32).is_normal() };
    is_real(s.dtype()) && !normal
}

/// The operands of an op, with those opaque that the op and what computes them could be folded with.
pub(crate) fn operands(b: &mut Builder, op: Op, args: &[InstId], insts: &[Inst], values: &[Val]) -> Vec<Val> {
    let mut found: Vec<Val> = values.to_vec();
    if !matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Fma) {
        return found;
    }
    let sums = matches!(op, Op::Add | Op::Sub);
    for (i, id) in args.iter().enumerate() {
        let Some(inst) = insts.get(id.index()) else { continue };
        let again = i > 0 && args[..i].contains(id) && op != Op::Mul;
        let product = op == Op::Mul && matches!(inst.kind, InstKind::Map(Op::Mul | Op::Neg, _));
        if is_real(inst.dtype) && (again || product || is_special(inst) || (sums && is_arithmetic(inst))) {
            found[i] = b.opaque(found[i]);
        }
    }
    found
}

/// One op on values of a dtype, that of the last operand.
#[expect(clippy::too_many_lines, reason = "an exhaustive match over the op table")]
pub(crate) fn map(b: &mut Builder, op: Op, dtype: DType, a: &[Val]) -> Result<Val, String> {
    let float = dtype.is_float();
    Ok(match op {
        Op::Add => b.add(a[0], a[1]),
        Op::Sub => b.sub(a[0], a[1]),
        Op::Mul => b.mul(a[0], a[1]),
        Op::Div => b.binary(BinaryOperator::Divide, a[0], a[1]),
        Op::Neg if a[0].ty == Ty::U32 => {
            let zero = b.u32(0);
            b.sub(zero, a[0])
        }
        Op::Neg => b.unary(UnaryOperator::Negate, a[0]),
        Op::Abs if a[0].ty == Ty::U32 => a[0],
        Op::Abs => b.math(MathFunction::Abs, &[a[0]]),
        Op::Sign => sign(b, a[0]),
        Op::Max | Op::Min if float => extreme(b, op == Op::Max, a[0], a[1]),
        Op::Max => b.math(MathFunction::Max, &[a[0], a[1]]),
        Op::Min => b.math(MathFunction::Min, &[a[0], a[1]]),
        Op::Fma if float => b.math(MathFunction::Fma, &[a[0], a[1], a[2]]),
        Op::Fma => {
            let product = b.mul(a[0], a[1]);
            b.add(product, a[2])
        }
        Op::Sqrt => square_root(b, a[0]),
        Op::Floor => b.math(MathFunction::Floor, &[a[0]]),
        Op::Ceil => b.math(MathFunction::Ceil, &[a[0]]),
        Op::Trunc => b.math(MathFunction::Trunc, &[a[0]]),
        Op::Round => b.math(MathFunction::Round, &[a[0]]),
        Op::Copysign => copysign(b, a[0], a[1]),
        Op::SignBit => {
            let (bits, rest) = (b.bits(a[0]), magnitude(b, a[0]));
            b.binary(BinaryOperator::NotEqual, bits, rest)
        }
        Op::IsNan => is_nan(b, a[0]),
        Op::IsInf => magnitude_test(b, BinaryOperator::Equal, a[0]),
        Op::IsFinite => magnitude_test(b, BinaryOperator::Less, a[0]),
        Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => compare(b, op, a[0], a[1]),
        Op::And => b.and(a[0], a[1]),
        Op::Or => b.or(a[0], a[1]),
        Op::Xor if a[0].ty == Ty::Bool => b.binary(BinaryOperator::NotEqual, a[0], a[1]),
        Op::Xor => b.binary(BinaryOperator::ExclusiveOr, a[0], a[1]),
        Op::Not if a[0].ty == Ty::Bool => not(b, a[0]),
        Op::Not => b.unary(UnaryOperator::BitwiseNot, a[0]),
        Op::Shl | Op::Shr => shift(b, op, a[0], a[1]),
        Op::Select => b.select(a[0], a[1], a[2]),
        Op::FloorDiv | Op::Rem | Op::Fmod if float => divide::float(b, op, a[0], a[1]),
        Op::FloorDiv | Op::Rem | Op::Fmod => divide::int(b, op, a[0], a[1]),
        Op::Pow if !float => divide::power(b, a[0], a[1]),
        Op::Nextafter => next_after(b, a[0], a[1]),
        Op::Pow
        | Op::Sin
        | Op::Cos
        | Op::Tan
        | Op::Rsqrt
        | Op::Cbrt
        | Op::Exp
        | Op::Exp2
        | Op::Expm1
        | Op::Log
        | Op::Log2
        | Op::Log10
        | Op::Log1p
        | Op::Asin
        | Op::Acos
        | Op::Atan
        | Op::Atan2
        | Op::Sinh
        | Op::Cosh
        | Op::Tanh
        | Op::Asinh
        | Op::Acosh
        | Op::Atanh
        | Op::Hypot
        | Op::LogAddExp
        | Op::Erf
        | Op::Erfc
        | Op::Lgamma
        | Op::Sigmoid
        | Op::Softplus
        | Op::Gelu => return functions::call(b, op, a),
    })
}

/// The bits without the sign.
fn magnitude(b: &mut Builder, x: Val) -> Val {
    let (bits, mask) = (b.bits(x), b.pattern(x.ty, u32::MAX >> 1, u64::MAX >> 1));
    b.and(bits, mask)
}

fn magnitude_test(b: &mut Builder, op: BinaryOperator, x: Val) -> Val {
    let inf = b.pattern(x.ty, f32::INFINITY.to_bits(), f64::INFINITY.to_bits());
    let bits = magnitude(b, x);
    b.binary(op, bits, inf)
}

/// By the bits: a device takes `x != x` for false.
pub(crate) fn is_nan(b: &mut Builder, x: Val) -> Val {
    magnitude_test(b, BinaryOperator::Greater, x)
}

fn sign(b: &mut Builder, x: Val) -> Val {
    if x.ty == Ty::U32 {
        let one = b.u32(1);
        return b.math(MathFunction::Min, &[x, one]);
    }
    let [zero, one, minus] =
        if x.ty.is_real() { [0.0, 1.0, -1.0].map(|v| b.real(x.ty, v)) } else { [0, 1, -1].map(|v| b.i32(v)) };
    let (above, below) = (compare(b, Op::Gt, x, zero), compare(b, Op::Lt, x, zero));
    // A zero and NaN are themselves; of zeros only the positive one is a sign.
    let same = if x.ty.is_real() {
        let is_zero = compare(b, Op::Eq, x, zero);
        b.select(is_zero, zero, x)
    } else {
        zero
    };
    let r = b.select(below, minus, same);
    b.select(above, one, r)
}

/// NaN if either is, and 0.0 above -0.0: a device's own gives the number next to a NaN.
pub(crate) fn extreme(b: &mut Builder, max: bool, x: Val, y: Val) -> Val {
    let (name, ty) = (if max { "matex_max" } else { "matex_min" }, x.ty);
    let name = if ty == Ty::F64 { format!("{name}_double") } else { name.to_owned() };
    let function = b.function(&name, &[("x", ty), ("y", ty)], |b, args| {
        let (x, y) = (args[0], args[1]);
        let first = compare(b, if max { Op::Gt } else { Op::Lt }, x, y);
        let better = b.select(first, x, y);
        let equal = compare(b, Op::Eq, x, y);
        let (bx, by) = (b.bits(x), b.bits(y));
        // Equal numbers have the same bits, but for zeros.
        let both = if max { b.and(bx, by) } else { b.or(bx, by) };
        let both = b.bitcast(both, ty);
        let better = b.select(equal, both, better);
        let nan = b.real(ty, f64::NAN);
        let (x_nan, y_nan) = (is_nan(b, x), is_nan(b, y));
        let either = b.or(x_nan, y_nan);
        b.select(either, nan, better)
    });
    b.call(function, &[x, y])
}

/// The device's own, which says nothing of negative numbers.
fn square_root(b: &mut Builder, x: Val) -> Val {
    let root = b.math(MathFunction::Sqrt, &[x]);
    let (zero, nan) = (b.real(x.ty, 0.0), b.real(x.ty, f64::NAN));
    let negative = compare(b, Op::Lt, x, zero);
    b.select(negative, nan, root)
}

fn copysign(b: &mut Builder, x: Val, sign: Val) -> Val {
    let (ty, bits, mask) = (x.ty, b.bits(sign), b.pattern(x.ty, 1 << 31, 1 << 63));
    let sign = b.and(bits, mask);
    let x = magnitude(b, x);
    let r = b.or(x, sign);
    b.bitcast(r, ty)
}

/// A comparison. Of floats one side is opaque, or the device takes it and a choice together for a minimum, which
/// NaN leaves in another way; `!=` is the opposite of `==`, because the device's is false for NaN.
pub(crate) fn compare(b: &mut Builder, op: Op, x: Val, y: Val) -> Val {
    let x = if x.ty.is_real() { b.opaque(x) } else { x };
    let (x, y) = if x.ty == Ty::Bool {
        let [zero, one] = [0, 1].map(|v| b.u32(v));
        (b.select(x, one, zero), b.select(y, one, zero))
    } else {
        (x, y)
    };
    let table = [
        (Op::Lt, BinaryOperator::Less),
        (Op::Le, BinaryOperator::LessEqual),
        (Op::Gt, BinaryOperator::Greater),
        (Op::Ge, BinaryOperator::GreaterEqual),
    ];
    let operator = table.into_iter().find(|(o, _)| *o == op).map_or(BinaryOperator::Equal, |(_, o)| o);
    let r = b.binary(operator, x, y);
    if op == Op::Ne { b.unary(UnaryOperator::LogicalNot, r) } else { r }
}

/// Through a number: a device takes the opposite of `<` for `>=`, which NaN tells apart.
fn not(b: &mut Builder, x: Val) -> Val {
    let [zero, one] = [0, 1].map(|v| b.u32(v));
    let number = b.select(x, one, zero);
    let number = b.opaque(number);
    b.eq(number, zero)
}

/// A count past the width, or a negative one, shifts everything out.
fn shift(b: &mut Builder, op: Op, x: Val, count: Val) -> Val {
    let count = b.bitcast(count, Ty::U32);
    let (width, last, zero) = (b.u32(32), b.u32(31), b.u32(0));
    let inside = b.lt(count, width);
    if op == Op::Shr && x.ty == Ty::I32 {
        let count = b.select(inside, count, last);
        return b.binary(BinaryOperator::ShiftRight, x, count);
    }
    let operator = if op == Op::Shl { BinaryOperator::ShiftLeft } else { BinaryOperator::ShiftRight };
    let count = b.select(inside, count, zero);
    let shifted = b.binary(operator, x, count);
    let none = b.constant(x.ty, 0);
    b.select(inside, shifted, none)
}

/// One up or down in the order of the bits, which is that of the magnitudes.
fn next_after(b: &mut Builder, x: Val, y: Val) -> Val {
    let name = "matex_nextafter";
    let function = b.function(name, &[("x", Ty::F32), ("y", Ty::F32)], |b, args| {
        let (x, y) = (args[0], args[1]);
        let [zero, one, minus] = [0.0, 1.0, -1.0].map(|v| b.f32(v));
        let (up, positive) = (compare(b, Op::Gt, y, x), compare(b, Op::Gt, x, zero));
        let away = b.eq(up, positive);
        let bits = b.bitcast(x, Ty::I32);
        let [one_bit, minus_bit] = [1, -1].map(|v| b.i32(v));
        let step = b.select(away, one_bit, minus_bit);
        let moved = b.add(bits, step);
        let moved = b.bitcast(moved, Ty::F32);
        let tiny = b.f32(f32::from_bits(1));
        let towards = b.select(up, one, minus);
        let least = copysign(b, tiny, towards);
        let (is_zero, equal) = (compare(b, Op::Eq, x, zero), compare(b, Op::Eq, x, y));
        let r = b.select(is_zero, least, moved);
        let r = b.select(equal, y, r);
        let nan = b.f32(f32::NAN);
        let (x_nan, y_nan) = (is_nan(b, x), is_nan(b, y));
        let either = b.or(x_nan, y_nan);
        b.select(either, nan, r)
    });
    b.call(function, &[x, y])
}
