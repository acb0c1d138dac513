//! Arithmetic of the op table on vectors.

use super::codes::{Do, Lane, code};
use super::level::Level;
use super::mir::{Arg, Insn, V, View};
use super::small::is_small;
use super::{Emitter, Out};
use iced_x86::Code;
use matex_ir::{DType, Op};

impl Emitter<'_> {
    /// One op, register by register. `d` is the dtype of the operands (of the last two for `select`).
    pub(super) fn map(&mut self, op: Op, d: DType, args: &[Vec<V>]) -> Out<Vec<V>> {
        if d == DType::Bool && op != Op::Select {
            let args: Vec<V> = args.iter().map(|a| a[0]).collect();
            return Ok(vec![self.logic(op, &args)?]);
        }
        if let Some(cc) = super::compare::condition(op) {
            return Ok(vec![self.compare(cc, d, &args[0], &args[1])?]);
        }
        if matches!(op, Op::IsNan | Op::IsInf | Op::IsFinite | Op::SignBit) {
            return Ok(vec![self.classify(op, d, &args[0])?]);
        }
        if op == Op::Select {
            return self.select(args[0][0], d, &args[1], &args[2]);
        }
        let lane = self.lane_of(d);
        let mut out = Vec::new();
        for chunk in 0..self.chunks(d) {
            let a: Vec<V> = args.iter().map(|a| a[chunk]).collect();
            let v = self.arithmetic(op, lane, &a)?;
            out.push(if is_small(d) && !Self::stays_in_range(op) { self.wrapped(d, v)? } else { v });
        }
        Ok(out)
    }

    /// One op on one register of each operand.
    #[expect(clippy::too_many_lines, reason = "an exhaustive match over the op table")]
    pub(super) fn arithmetic(&mut self, op: Op, lane: Lane, a: &[V]) -> Out<V> {
        let float = lane.is_float();
        match op {
            Op::Add => self.op(Do::Add, lane, a),
            Op::Sub => self.op(Do::Sub, lane, a),
            Op::Mul => self.multiply(lane, a),
            Op::Div => self.op(Do::Div, lane, a),
            Op::Neg if float => {
                let sign = self.sign_mask(lane);
                self.op(Do::Xor, lane, &[a[0], sign])
            }
            Op::Neg => {
                let zero = self.bits(0, lane.size());
                self.op(Do::Sub, lane, &[zero, a[0]])
            }
            Op::Abs if float => {
                let rest = self.bits(if lane.size() == 8 { !(1 << 63) } else { 0x7fff_ffff }, lane.size());
                self.op(Do::And, lane, &[a[0], rest])
            }
            Op::Abs if lane.is_unsigned() => Ok(a[0]),
            Op::Abs => {
                let zero = self.bits(0, lane.size());
                let minus = self.op(Do::Sub, lane, &[zero, a[0]])?;
                let negative = self.less(lane, a[0], zero)?;
                Ok(self.blend(negative, lane.size(), minus, a[0]))
            }
            Op::Sign => self.sign(lane, a[0]),
            Op::Max | Op::Min if float => self.extreme(op, lane, a),
            Op::Max | Op::Min => self.int_extreme(op, lane, a),
            Op::Fma if float => self.fma(lane, a),
            Op::Fma => {
                let p = self.multiply(lane, &a[..2])?;
                self.op(Do::Add, lane, &[p, a[2]])
            }
            Op::Sqrt => self.op(Do::Sqrt, lane, a),
            Op::Rsqrt if lane == Lane::F64 => {
                let root = self.op(Do::Sqrt, lane, a)?;
                let one = self.bits(1.0f64.to_bits(), 8);
                self.op(Do::Div, lane, &[one, root])
            }
            Op::Round => self.op_imm(Do::Round, lane, a[0], 8),
            Op::Floor => self.op_imm(Do::Round, lane, a[0], 9),
            Op::Ceil => self.op_imm(Do::Round, lane, a[0], 10),
            Op::Trunc => self.op_imm(Do::Round, lane, a[0], 11),
            Op::Copysign => {
                let sign = self.sign_mask(lane);
                let of = self.op(Do::And, lane, &[a[1], sign])?;
                let magnitude = self.op(Do::AndNot, lane, &[sign, a[0]])?;
                self.op(Do::Or, lane, &[magnitude, of])
            }
            Op::And => self.op(Do::And, lane, a),
            Op::Or => self.op(Do::Or, lane, a),
            Op::Xor => self.op(Do::Xor, lane, a),
            Op::Not => {
                let ones = self.bits(u64::MAX, lane.size());
                self.op(Do::Xor, lane, &[a[0], ones])
            }
            // Counts that are too large or negative give 0, or the sign, as the machine has it.
            Op::Shl => self.op(Do::ShiftLeft, lane, a),
            Op::Shr if lane.is_unsigned() => self.op(Do::ShiftRight, lane, a),
            Op::Shr => self.shift_signed(lane, a),
            Op::FloorDiv | Op::Rem | Op::Fmod => self.divide(op, lane, a),
            Op::Nextafter => self.nextafter(lane, a),
            // Those of floats are expanded before, but lgamma.
            Op::Rsqrt
            | Op::Pow
            | Op::Cbrt
            | Op::Exp
            | Op::Exp2
            | Op::Expm1
            | Op::Log
            | Op::Log2
            | Op::Log10
            | Op::Log1p
            | Op::Sin
            | Op::Cos
            | Op::Tan
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
            | Op::Gelu => Ok(self.called(op, lane, a)),
            // Taken care of before, for all registers at once.
            Op::Eq
            | Op::Ne
            | Op::Lt
            | Op::Le
            | Op::Gt
            | Op::Ge
            | Op::IsNan
            | Op::IsInf
            | Op::IsFinite
            | Op::SignBit
            | Op::Select => Err(format!("{} of one register", op.name())),
        }
    }

    /// The sign bit in every lane.
    pub(super) fn sign_mask(&mut self, lane: Lane) -> V {
        self.bits(if lane.size() == 8 { 1 << 63 } else { 1 << 31 }, lane.size())
    }

    /// 1 in every lane.
    pub(super) fn one(&mut self, lane: Lane) -> V {
        match lane {
            Lane::F32 => self.bits(u64::from(1.0f32.to_bits()), 4),
            Lane::F64 => self.bits(1.0f64.to_bits(), 8),
            Lane::I32 | Lane::U32 | Lane::I64 | Lane::U64 => self.bits(1, lane.size()),
        }
    }

    /// AVX2 copies no sign of 64-bit lanes; there the bits are turned over below zero, on the way in and out.
    fn shift_signed(&mut self, lane: Lane, a: &[V]) -> Out<V> {
        if code(self.level, Do::ShiftRightSigned, lane).is_some() {
            return self.op(Do::ShiftRightSigned, lane, a);
        }
        let zero = self.bits(0, 8);
        let negative = self.less(lane, a[0], zero)?;
        let turned = self.op(Do::Xor, lane, &[a[0], negative])?;
        let shifted = self.op(Do::ShiftRight, lane, &[turned, a[1]])?;
        self.op(Do::Xor, lane, &[shifted, negative])
    }

    /// A product; AVX2 has none of 64-bit integers, whose low half is put together from three of 32.
    pub(super) fn multiply(&mut self, lane: Lane, a: &[V]) -> Out<V> {
        if lane.is_float() || lane.size() == 4 || self.level == Level::Avx512 {
            return self.op(Do::Mul, lane, a);
        }
        let low_product = |e: &mut Self, x: V, y: V| {
            let args = [Arg::V(x, View::Full), Arg::V(y, View::Full)];
            e.plain(Code::VEX_Vpmuludq_ymm_ymm_ymmm256, &args, View::Full)
        };
        let half = self.bits(32, 8);
        let (x_high, y_high) = (
            self.op(Do::ShiftRight, Lane::U64, &[a[0], half])?,
            self.op(Do::ShiftRight, Lane::U64, &[a[1], half])?,
        );
        let (one, other) = (low_product(self, x_high, a[1]), low_product(self, a[0], y_high));
        let cross = self.op(Do::Add, Lane::I64, &[one, other])?;
        let cross = self.op(Do::ShiftLeft, Lane::I64, &[cross, half])?;
        let low = low_product(self, a[0], a[1]);
        self.op(Do::Add, Lane::I64, &[low, cross])
    }

    pub(super) fn fma(&mut self, lane: Lane, a: &[V]) -> Out<V> {
        let over_a = code(self.level, Do::Fma213, lane).ok_or("no fused multiplication")?;
        let def = self.vector();
        let args = a.iter().map(|v| Arg::V(*v, View::Full)).collect();
        let mut insn = Insn::new(over_a, Some((def, View::Full)), args);
        insn.tied = true;
        insn.folds = Some(lane.size());
        insn.over_c = code(self.level, Do::Fma231, lane);
        self.emit(insn);
        Ok(def)
    }

    /// NaN wins, and +0 is above -0. The machine's min and max give the second operand when both are zeros or one is
    /// NaN, so that taking them in both orders leaves both candidates, which bitwise ops join: a NaN or'ed with anything
    /// is NaN, and zeros join by their signs.
    fn extreme(&mut self, op: Op, lane: Lane, a: &[V]) -> Out<V> {
        if self.level == Level::Avx512 {
            return Ok(self.range(op, lane, a));
        }
        let what = if op == Op::Max { Do::Max } else { Do::Min };
        let one = self.op(what, lane, &[a[0], a[1]])?;
        let other = self.op(what, lane, &[a[1], a[0]])?;
        if op == Op::Min {
            return self.op(Do::Or, lane, &[one, other]);
        }
        let both = self.op(Do::And, lane, &[one, other])?;
        let nan = self.unordered(lane, a[0], a[1]);
        let sum = self.op(Do::Add, lane, a)?;
        Ok(self.blend(nan, lane.size(), sum, both))
    }

    /// The instruction that knows which zero is larger gives the number where one operand is NaN; the sum is not one.
    fn range(&mut self, op: Op, lane: Lane, a: &[V]) -> V {
        let small = lane.size() == 4;
        let (extreme, add) = if small {
            (Code::EVEX_Vrangeps_zmm_k1z_zmm_zmmm512b32_imm8_sae, Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er)
        } else {
            (Code::EVEX_Vrangepd_zmm_k1z_zmm_zmmm512b64_imm8_sae, Code::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er)
        };
        let (x, y) = (Arg::V(a[0], View::Full), Arg::V(a[1], View::Full));
        let how = Arg::Imm(if op == Op::Max { 5 } else { 4 });
        let number = self.plain(extreme, &[x, y, how], View::Full);
        let nan = self.unordered(lane, a[0], a[1]);
        let def = self.vector();
        let mut sum = Insn::new(add, Some((def, View::Full)), vec![Arg::V(number, View::Full), x, y]);
        (sum.tied, sum.mask, sum.folds) = (true, Some(nan), Some(lane.size()));
        self.emit(sum);
        def
    }

    fn int_extreme(&mut self, op: Op, lane: Lane, a: &[V]) -> Out<V> {
        let what = if op == Op::Max { Do::Max } else { Do::Min };
        if code(self.level, what, lane).is_some() {
            return self.op(what, lane, a);
        }
        let less = self.less(lane, a[0], a[1])?;
        let (below, above) = if op == Op::Max { (a[1], a[0]) } else { (a[0], a[1]) };
        Ok(self.blend(less, lane.size(), below, above))
    }

    fn sign(&mut self, lane: Lane, x: V) -> Out<V> {
        let zero = self.bits(0, lane.size());
        let one = self.one(lane);
        if !lane.is_float() {
            let above =
                if lane.is_unsigned() { self.differ(lane, x, zero)? } else { self.less(lane, zero, x)? };
            let r = self.blend(above, lane.size(), one, zero);
            if lane.is_unsigned() {
                return Ok(r);
            }
            let below = self.less(lane, x, zero)?;
            let minus = self.bits(u64::MAX, lane.size());
            return Ok(self.blend(below, lane.size(), minus, r));
        }
        // 1 with the sign of x, but x itself for NaN, and +0 for both zeros.
        let sign = self.sign_mask(lane);
        let sign = self.op(Do::And, lane, &[x, sign])?;
        let signed = self.op(Do::Or, lane, &[sign, one])?;
        let nan = self.unordered(lane, x, x);
        let r = self.blend(nan, lane.size(), x, signed);
        let is_zero = self.equal(lane, x, zero)?;
        Ok(self.blend(is_zero, lane.size(), zero, r))
    }
}
