//! Conversions between dtypes by the language's rules: integers wrap, floats truncate and saturate (NaN gives 0), `bool` is
//! "not zero", and the storage floats are reached through `f32`.

use super::Emitter;
use super::libcalls;
use super::types::Width;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types as ct};
use matex_ir::{DType, Scalar};

impl Emitter<'_, '_> {
    /// A value of dtype `from` as `to`.
    pub(super) fn cast(&mut self, v: Value, from: DType, to: DType, w: Width) -> Value {
        if from == to {
            return v;
        }
        if w.is_vector() {
            return self.vector_cast(v, from, to, w);
        }
        // Storage floats on either side: step to f32 and on from there.
        if from.compute() != from {
            let wide = self.widen_storage(v, from);
            return self.cast(wide, DType::F32, to, w);
        }
        if to.compute() != to {
            let narrow = self.cast(v, from, DType::F32, w);
            return self.narrow_to_storage(narrow, to);
        }
        match (from.is_float(), to.is_float()) {
            (true, true) if to == DType::F64 => self.b.ins().fpromote(ct::F64, v),
            (true, true) => self.b.ins().fdemote(ct::F32, v),
            (true, false) => self.float_to_int(v, from, to, w),
            (false, true) => self.int_to_float(v, from, to),
            (false, false) => self.int_to_int(v, from, to, w),
        }
    }

    fn widen_storage(&mut self, v: Value, from: DType) -> Value {
        let word = self.b.ins().uextend(ct::I32, v);
        if from == DType::F16 {
            return self.call(libcalls::F16_TO_F32, ct::F32, &[word]);
        }
        // A bf16 is the upper half of an f32.
        let high = self.b.ins().ishl_imm_u(word, 16);
        self.bitcast(high, ct::F32)
    }

    fn narrow_to_storage(&mut self, v: Value, to: DType) -> Value {
        let name = if to == DType::F16 { libcalls::F32_TO_F16 } else { libcalls::F32_TO_BF16 };
        let word = self.call(name, ct::I32, &[v]);
        self.b.ins().ireduce(ct::I16, word)
    }

    fn float_to_int(&mut self, v: Value, from: DType, to: DType, w: Width) -> Value {
        if to == DType::Bool {
            let zero = self.constant(Scalar::from_f64(from, 0.0), w);
            return self.float_test(FloatCC::NotEqual, v, zero, w);
        }
        let wide = if to.size() == 8 { ct::I64 } else { ct::I32 };
        let signed = to.is_signed_int();
        let r = if signed {
            self.b.ins().fcvt_to_sint_sat(wide, v)
        } else {
            self.b.ins().fcvt_to_uint_sat(wide, v)
        };
        if to.size() >= 4 {
            return r;
        }
        // Saturated at 32 bits first, then at the width that is wanted.
        let bits = to.bits();
        let r = if signed {
            let high = self.b.ins().iconst(ct::I32, (1 << (bits - 1)) - 1);
            let low = self.constant(Scalar::from_i128(DType::I32, -(1 << (bits - 1))), w);
            let r = self.b.ins().smin(r, high);
            self.b.ins().smax(r, low)
        } else {
            let high = self.b.ins().iconst(ct::I32, (1 << bits) - 1);
            self.b.ins().umin(r, high)
        };
        self.narrow(r, w.ty(to))
    }

    fn int_to_float(&mut self, v: Value, from: DType, to: DType) -> Value {
        let signed = from.is_signed_int();
        let wide = if from.size() == 8 { ct::I64 } else { ct::I32 };
        let v = self.widen(v, wide, signed);
        let ty = Width::Scalar.ty(to);
        if signed { self.b.ins().fcvt_from_sint(ty, v) } else { self.b.ins().fcvt_from_uint(ty, v) }
    }

    fn int_to_int(&mut self, v: Value, from: DType, to: DType, w: Width) -> Value {
        if to == DType::Bool {
            let zero = self.constant(Scalar::from_bits(from, 0), w);
            return self.int_test(IntCC::NotEqual, v, zero, w);
        }
        let ty = w.ty(to);
        let v = self.widen(v, ty, from.is_signed_int());
        self.narrow(v, ty)
    }

    /// Between dtypes of one width, or from or to a mask.
    fn vector_cast(&mut self, v: Value, from: DType, to: DType, w: Width) -> Value {
        if from == DType::Bool {
            if !w.masks() {
                return v;
            }
            let one = self.constant(Scalar::from_f64(to, 1.0), w);
            let bits = self.bitcast(one, w.int_ty(to));
            let r = self.b.ins().band(v, bits);
            return self.bitcast(r, w.ty(to));
        }
        match (from.is_float(), to.is_float()) {
            (true, false) if to == DType::Bool => self.float_to_int(v, from, to, w),
            (false, false) if to == DType::Bool => self.int_to_int(v, from, to, w),
            (true, false) | (false, true) if w == Width::Vector(8) => self.lane_cast(v, from, to, w),
            (true, false) if to.is_signed_int() => self.b.ins().fcvt_to_sint_sat(w.ty(to), v),
            (true, false) => self.b.ins().fcvt_to_uint_sat(w.ty(to), v),
            (false, true) if from.is_signed_int() => self.b.ins().fcvt_from_sint(w.ty(to), v),
            (false, true) => self.b.ins().fcvt_from_uint(w.ty(to), v),
            // Integers of one width have the same bits.
            (false, false) | (true, true) => v,
        }
    }

    /// Lane by lane: 64-bit lanes have no conversion before AVX-512.
    fn lane_cast(&mut self, v: Value, from: DType, to: DType, w: Width) -> Value {
        let [low, high] = [0u8, 1].map(|lane| {
            let x = self.b.ins().extractlane(v, lane);
            self.cast(x, from, to, Width::Scalar)
        });
        let r = self.b.ins().splat(w.ty(to), low);
        self.b.ins().insertlane(r, high, 1)
    }
}
