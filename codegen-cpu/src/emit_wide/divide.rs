//! Division with a remainder, and the neighbours of floats.
//!
//! The remainder of a truncated quotient is exact in one fused step as long as the quotient is known to the unit; where it is
//! too large for that, or there is none, scalar code does the lane. Integers are divided as floats that hold them exactly.

use super::codes::{Do, Lane};
use super::compare::Condition;
use super::mir::V;
use super::{Emitter, Out};
use matex_ir::Op;

/// 1.5 · 2^52: added to an integer of fewer than 51 bits it leaves that, in two's complement, in the lowest bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

impl Emitter<'_> {
    /// `floor_div`, `rem` or `fmod` of a register.
    pub(super) fn divide(&mut self, op: Op, lane: Lane, a: &[V]) -> Out<V> {
        match lane {
            Lane::F32 | Lane::F64 => self.divide_floats(op, lane, a[0], a[1]),
            Lane::I32 | Lane::U32 if self.converts(lane) => self.divide_words(op, lane, a[0], a[1]),
            Lane::I64 => self.divide_longs(op, a[0], a[1]),
            Lane::I32 | Lane::U32 | Lane::U64 => Ok(self.called(op, lane, a)),
        }
    }

    fn divide_floats(&mut self, op: Op, lane: Lane, x: V, y: V) -> Out<V> {
        let (sign, zero) = (self.sign_mask(lane), self.bits(0, lane.size()));
        let limit =
            if lane == Lane::F32 { u64::from(4_194_304.0f32.to_bits()) } else { 2f64.powi(50).to_bits() };
        let limit = self.bits(limit, lane.size());
        let quotient = self.op(Do::Div, lane, &[x, y])?;
        let [x_size, y_size, q_size] = [
            self.arithmetic(Op::Abs, lane, &[x])?,
            self.arithmetic(Op::Abs, lane, &[y])?,
            self.arithmetic(Op::Abs, lane, &[quotient])?,
        ];
        let beyond = self.compare_lanes(Condition::NotLessOrEqual, lane, q_size, limit)?;
        // The quotient may have been rounded up to an integer: the remainder then has the wrong sign.
        let whole = self.op_imm(Do::Round, lane, quotient, 11)?;
        let minus = self.op(Do::Xor, lane, &[whole, sign])?;
        let rest = self.fma(lane, &[minus, y, x])?;
        let below = self.less(lane, x_size, y_size)?;
        // Also where the divisor is infinite, of which there is no multiple.
        let rest = self.blend(below, lane.size(), x, rest);
        let x_sign = self.op(Do::And, lane, &[x, sign])?;
        let along = self.op(Do::Xor, lane, &[rest, x_sign])?;
        let over = self.less(lane, along, zero)?;
        let step = self.op(Do::Or, lane, &[y_size, x_sign])?;
        let added = self.op(Do::Add, lane, &[rest, step])?;
        let rest = self.blend(over, lane.size(), added, rest);
        let size = self.arithmetic(Op::Abs, lane, &[rest])?;
        let rest = self.op(Do::Or, lane, &[size, x_sign])?;
        let fast = if op == Op::Fmod {
            rest
        } else if op == Op::Rem {
            self.with_divisors_sign(lane, rest, y)?
        } else {
            self.floor_quotient(lane, [whole, quotient, rest, y], over)?
        };
        Ok(self.rescued(op, lane, fast, beyond, &[x, y]))
    }

    /// Where a remainder is not 0 and has another sign than the divisor.
    fn differs(&mut self, lane: Lane, rest: V, y: V) -> Out<V> {
        let zero = self.bits(0, lane.size());
        let signs = self.op(Do::Xor, lane, &[rest, y])?;
        let ints = if lane.size() == 4 { Lane::I32 } else { Lane::I64 };
        let apart = self.less(ints, signs, zero)?;
        let some = self.differ(lane, rest, zero)?;
        self.logic(Op::And, &[apart, some])
    }

    fn with_divisors_sign(&mut self, lane: Lane, rest: V, y: V) -> Out<V> {
        let (sign, zero) = (self.sign_mask(lane), self.bits(0, lane.size()));
        let differs = self.differs(lane, rest, y)?;
        let sum = self.op(Do::Add, lane, &[rest, y])?;
        let r = self.blend(differs, lane.size(), sum, rest);
        let none = self.equal(lane, rest, zero)?;
        let signed = self.op(Do::And, lane, &[y, sign])?;
        Ok(self.blend(none, lane.size(), signed, r))
    }

    /// Of the truncated quotient, the rounded one, remainder and divisor; `over` is where the truncated one is one too far
    /// from 0.
    fn floor_quotient(&mut self, lane: Lane, [whole, quotient, rest, y]: [V; 4], over: V) -> Out<V> {
        let (sign, zero) = (self.sign_mask(lane), self.bits(0, lane.size()));
        let one = self.one(lane);
        let q_sign = self.op(Do::And, lane, &[quotient, sign])?;
        let step = self.op(Do::Or, lane, &[one, q_sign])?;
        let nearer = self.op(Do::Sub, lane, &[whole, step])?;
        let whole = self.blend(over, lane.size(), nearer, whole);
        let differs = self.differs(lane, rest, y)?;
        let below = self.op(Do::Sub, lane, &[whole, one])?;
        let floor = self.blend(differs, lane.size(), below, whole);
        let none = self.equal(lane, floor, zero)?;
        Ok(self.blend(none, lane.size(), q_sign, floor))
    }

    /// 32-bit integers, whose quotients are exact to the unit in 64-bit floats.
    fn divide_words(&mut self, op: Op, lane: Lane, x: V, y: V) -> Out<V> {
        let (xs, ys) = (self.widened(x, lane, Lane::F64)?, self.widened(y, lane, Lane::F64)?);
        let magic = self.bits(MAGIC.to_bits(), 8);
        let mut quotients = Vec::new();
        for (x, y) in xs.into_iter().zip(ys) {
            let q = self.op(Do::Div, Lane::F64, &[x, y])?;
            let q = self.op_imm(Do::Round, Lane::F64, q, towards(op))?;
            quotients.push(self.op(Do::Add, Lane::F64, &[q, magic])?);
        }
        let q = self.narrowed(&quotients, Lane::I64, lane)?[0];
        self.of_quotient(op, lane, q, x, y)
    }

    /// 64-bit integers as long as floats hold them.
    fn divide_longs(&mut self, op: Op, x: V, y: V) -> Out<V> {
        let (magic, reach) = (self.bits(MAGIC.to_bits(), 8), self.bits(1 << 50, 8));
        let mut floats = Vec::new();
        let mut shifted = Vec::new();
        for v in [x, y] {
            let bits = self.op(Do::Add, Lane::I64, &[v, magic])?;
            floats.push(self.op(Do::Sub, Lane::F64, &[bits, magic])?);
            shifted.push(self.op(Do::Add, Lane::I64, &[v, reach])?);
        }
        let either = self.op(Do::Or, Lane::I64, &shifted)?;
        let twice = self.bits(1 << 51, 8);
        let beyond = self.compare_lanes(Condition::GreaterOrEqual, Lane::U64, either, twice)?;
        let q = self.op(Do::Div, Lane::F64, &floats)?;
        let q = self.op_imm(Do::Round, Lane::F64, q, towards(op))?;
        let q = self.op(Do::Add, Lane::F64, &[q, magic])?;
        let q = self.op(Do::Sub, Lane::I64, &[q, magic])?;
        let fast = self.of_quotient(op, Lane::I64, q, x, y)?;
        Ok(self.rescued(op, Lane::I64, fast, beyond, &[x, y]))
    }

    /// The quotient or what it leaves; 0 where the divisor is.
    fn of_quotient(&mut self, op: Op, lane: Lane, q: V, x: V, y: V) -> Out<V> {
        let zero = self.bits(0, lane.size());
        let by_zero = self.equal(lane, y, zero)?;
        let r = if op == Op::FloorDiv {
            q
        } else {
            let back = self.multiply(lane, &[q, y])?;
            self.op(Do::Sub, lane, &[x, back])?
        };
        Ok(self.blend(by_zero, lane.size(), zero, r))
    }

    /// The next float towards another.
    pub(super) fn nextafter(&mut self, lane: Lane, a: &[V]) -> Out<V> {
        let (x, y, size) = (a[0], a[1], lane.size());
        let ints = if size == 4 { Lane::I32 } else { Lane::I64 };
        let (sign, zero, one) = (self.sign_mask(lane), self.bits(0, size), self.bits(1, size));
        let [up, positive] = [self.less(lane, x, y)?, self.less(lane, zero, x)?];
        // Numbers of one sign are ordered as their bits are.
        let away = self.logic(Op::Eq, &[up, positive])?;
        let [more, less] = [self.op(Do::Add, ints, &[x, one])?, self.op(Do::Sub, ints, &[x, one])?];
        let next = self.blend(away, size, more, less);
        let none = self.equal(lane, x, zero)?;
        let y_sign = self.op(Do::And, lane, &[y, sign])?;
        let least = self.op(Do::Or, lane, &[y_sign, one])?;
        let next = self.blend(none, size, least, next);
        let there = self.equal(lane, x, y)?;
        let next = self.blend(there, size, y, next);
        let nan = self.unordered(lane, x, y);
        let sum = self.op(Do::Add, lane, &[x, y])?;
        Ok(self.blend(nan, size, sum, next))
    }
}

/// How quotients are rounded: down, but towards 0 for `fmod`.
fn towards(op: Op) -> u8 {
    if op == Op::Fmod { 11 } else { 9 }
}
