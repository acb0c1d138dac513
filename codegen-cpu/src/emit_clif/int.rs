//! Integer ops that need more than an instruction. None of them can trap: divisors that would are replaced before the
//! division and their results after it.

use super::Emitter;
use super::body::int_cc;
use super::libcalls;
use super::types::Width;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types as ct};
use matex_ir::{DType, Op, Scalar};

impl Emitter<'_, '_> {
    pub(super) fn int_sign(&mut self, d: DType, x: Value, w: Width) -> Value {
        let [zero, one] = [0, 1].map(|v| self.constant(Scalar::from_i128(d, v), w));
        if !d.is_signed_int() {
            let some = self.int_test(IntCC::NotEqual, x, zero, w);
            return self.select(d, &[some, one, zero], w);
        }
        let minus = self.constant(Scalar::from_i128(d, -1), w);
        let above = self.b.ins().smax(x, minus);
        self.b.ins().smin(above, one)
    }

    pub(super) fn int_extreme(&mut self, op: Op, d: DType, a: &[Value], w: Width) -> Value {
        if w == Width::Vector(8) {
            // There is no such instruction for 64-bit lanes before AVX-512.
            let better = if op == Op::Max { Op::Gt } else { Op::Lt };
            let first = self.int_test(int_cc(better, true), a[0], a[1], w);
            return self.select(d, &[first, a[0], a[1]], w);
        }
        match (op == Op::Max, d.is_signed_int()) {
            (true, true) => self.b.ins().smax(a[0], a[1]),
            (true, false) => self.b.ins().umax(a[0], a[1]),
            (false, true) => self.b.ins().smin(a[0], a[1]),
            (false, false) => self.b.ins().umin(a[0], a[1]),
        }
    }

    /// Shifts by the width or more, or by a negative count, leave the sign of a signed right shift and else 0.
    pub(super) fn shift(&mut self, op: Op, d: DType, a: &[Value], w: Width) -> Value {
        let signed = d.is_signed_int();
        if w.is_vector() {
            // Only constant counts within the width come here; every lane has the same.
            let count = self.b.ins().extractlane(a[1], 0);
            let count = if d.size() == 8 { count } else { self.b.ins().uextend(ct::I64, count) };
            return match (op == Op::Shl, signed) {
                (true, _) => self.b.ins().ishl(a[0], count),
                (false, true) => self.b.ins().sshr(a[0], count),
                (false, false) => self.b.ins().ushr(a[0], count),
            };
        }
        let inside = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, a[1], i64::from(d.bits()));
        if op == Op::Shr && signed {
            let last = self.constant(Scalar::from_i128(d, i128::from(d.bits()) - 1), w);
            let count = self.b.ins().select(inside, a[1], last);
            return self.b.ins().sshr(a[0], count);
        }
        let r = if op == Op::Shl { self.b.ins().ishl(a[0], a[1]) } else { self.b.ins().ushr(a[0], a[1]) };
        let zero = self.zero(Width::Scalar.ty(d));
        self.b.ins().select(inside, r, zero)
    }

    /// Division, remainders and powers of scalars, computed at 32 or 64 bits.
    pub(super) fn int_divide(&mut self, op: Op, d: DType, a: &[Value]) -> Value {
        let ty = Width::Scalar.ty(d);
        let signed = d.is_signed_int();
        if op == Op::Pow {
            let name = if signed { libcalls::POW_SIGNED } else { libcalls::POW_UNSIGNED };
            let wide = [self.widen(a[0], ct::I64, signed), self.widen(a[1], ct::I64, signed)];
            let r = self.call(name, ct::I64, &wide);
            return self.narrow(r, ty);
        }
        let wide = if d.size() == 8 { ct::I64 } else { ct::I32 };
        let (x, y) = (self.widen(a[0], wide, signed), self.widen(a[1], wide, signed));
        let r = if signed { self.signed_divide(op, x, y) } else { self.unsigned_divide(op, x, y) };
        self.narrow(r, ty)
    }

    fn unsigned_divide(&mut self, op: Op, x: Value, y: Value) -> Value {
        let by_zero = self.b.ins().icmp_imm_u(IntCC::Equal, y, 0);
        let ty = self.b.func.dfg.value_type(x);
        let (zero, one) = (self.b.ins().iconst(ty, 0), self.b.ins().iconst(ty, 1));
        let safe = self.b.ins().select(by_zero, one, y);
        let r = if op == Op::FloorDiv { self.b.ins().udiv(x, safe) } else { self.b.ins().urem(x, safe) };
        self.b.ins().select(by_zero, zero, r)
    }

    fn signed_divide(&mut self, op: Op, x: Value, y: Value) -> Value {
        let ty = self.b.func.dfg.value_type(x);
        let (zero, one) = (self.b.ins().iconst(ty, 0), self.b.ins().iconst(ty, 1));
        let by_zero = self.b.ins().icmp_imm_s(IntCC::Equal, y, 0);
        // By -1 too: the smallest integer has no negation, and the machine traps on it.
        let by_minus = self.b.ins().icmp_imm_s(IntCC::Equal, y, -1);
        let special = self.b.ins().bor(by_zero, by_minus);
        let safe = self.b.ins().select(special, one, y);
        let q = self.b.ins().sdiv(x, safe);
        let back = self.b.ins().imul(q, safe);
        let m = self.b.ins().isub(x, back);
        let inexact = self.b.ins().icmp_imm_s(IntCC::NotEqual, m, 0);
        let differ = self.b.ins().bxor(m, safe);
        let differ = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, differ, 0);
        let down = self.b.ins().band(inexact, differ);
        // Only floor_div differs from 0 for the special divisors, where m is 0 because the divisor was 1.
        if op == Op::Fmod {
            return m;
        }
        if op == Op::Rem {
            let up = self.b.ins().iadd(m, safe);
            return self.b.ins().select(down, up, m);
        }
        let below = self.b.ins().iadd_imm_s(q, -1);
        let floor = self.b.ins().select(down, below, q);
        let negated = self.b.ins().ineg(x);
        let r = self.b.ins().select(by_minus, negated, floor);
        self.b.ins().select(by_zero, zero, r)
    }

    /// An integer at a larger or the same width.
    pub(super) fn widen(&mut self, v: Value, ty: Type, signed: bool) -> Value {
        let from = self.b.func.dfg.value_type(v);
        if from.bits() >= ty.bits() {
            v
        } else if signed {
            self.b.ins().sextend(ty, v)
        } else {
            self.b.ins().uextend(ty, v)
        }
    }

    /// The low bits of an integer.
    pub(super) fn narrow(&mut self, v: Value, ty: Type) -> Value {
        if self.b.func.dfg.value_type(v).bits() > ty.bits() { self.b.ins().ireduce(ty, v) } else { v }
    }
}
