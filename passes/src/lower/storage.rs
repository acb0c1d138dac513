//! What f16 and bf16 cannot do in f32: a step on their own grid.

use super::expr::{ExprId, Term, Terms};
use matex_ir::{DType, Op, Scalar};

/// The next number of their dtype from `x` towards `y`. Numbers of one sign are ordered as their bits are.
pub(super) fn nextafter(t: &mut Terms, x: ExprId, y: ExprId) -> ExprId {
    let dtype = t.dtype(x);
    let [x_wide, y_wide] = [x, y].map(|v| t.cast(v, DType::F32));
    let [x_bits, y_bits] = [x, y].map(|v| t.add(Term::Bitcast(v), DType::U16));
    let [zero, one] =
        [Scalar::from_f64(DType::F32, 0.0), Scalar::from_bits(DType::U16, 1)].map(|s| constant(t, s));
    let sign = constant(t, Scalar::from_bits(DType::U16, 1 << 15));
    let up = t.map(Op::Lt, vec![x_wide, y_wide]);
    let positive = t.map(Op::Lt, vec![zero, x_wide]);
    let away = t.map(Op::Eq, vec![up, positive]);
    let more = t.map(Op::Add, vec![x_bits, one]);
    let less = t.map(Op::Sub, vec![x_bits, one]);
    let next = t.map(Op::Select, vec![away, more, less]);
    let none = t.map(Op::Eq, vec![x_wide, zero]);
    let y_sign = t.map(Op::And, vec![y_bits, sign]);
    let least = t.map(Op::Or, vec![y_sign, one]);
    let next = t.map(Op::Select, vec![none, least, next]);
    let next = t.add(Term::Bitcast(next), dtype);
    let there = t.map(Op::Eq, vec![x_wide, y_wide]);
    let next = t.map(Op::Select, vec![there, y, next]);
    // NaN where either is.
    let sum = t.map(Op::Add, vec![x_wide, y_wide]);
    let [x_nan, y_nan] = [x_wide, y_wide].map(|v| t.map(Op::Ne, vec![v, v]));
    let nan = t.map(Op::Or, vec![x_nan, y_nan]);
    let sum = t.cast(sum, dtype);
    t.map(Op::Select, vec![nan, sum, next])
}

fn constant(t: &mut Terms, s: Scalar) -> ExprId {
    t.add(Term::Const(s), s.dtype())
}
