//! Comparisons, truth values and selection.
//!
//! At the AVX-512 level a truth value is a mask register with a bit for each lane. At the AVX2 level it is a vector of
//! lanes of all zeros or ones, as wide as the narrowest dtype. Lanes of a wider dtype lie in two registers, and each
//! works with its half of the truth value.

use super::codes::{Do, Lane};
use super::level::Level;
use super::mir::{Arg, Insn, V, View};
use super::{Emitter, Out};
use iced_x86::Code;
use matex_ir::{DType, Op};

/// What is compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// One of them is NaN.
    Unordered,
    /// Neither is.
    Ordered,
    /// Less, or one of them is NaN.
    NotGreaterOrEqual,
    /// Greater, or one of them is NaN.
    NotLessOrEqual,
}

/// What an op compares for.
pub(super) fn condition(op: Op) -> Option<Condition> {
    let table = [
        (Op::Eq, Condition::Equal),
        (Op::Ne, Condition::NotEqual),
        (Op::Lt, Condition::Less),
        (Op::Le, Condition::LessOrEqual),
        (Op::Gt, Condition::Greater),
        (Op::Ge, Condition::GreaterOrEqual),
    ];
    table.into_iter().find(|(o, _)| *o == op).map(|(_, c)| c)
}

impl Condition {
    /// The number in comparisons of floats: quiet, and false for NaN but where it is asked for difference.
    fn of_floats(self) -> u8 {
        match self {
            Condition::Equal => 0x00,
            Condition::NotEqual => 0x04,
            Condition::Less => 0x11,
            Condition::LessOrEqual => 0x12,
            Condition::Greater => 0x1e,
            Condition::GreaterOrEqual => 0x1d,
            Condition::Unordered => 0x03,
            Condition::Ordered => 0x07,
            Condition::NotGreaterOrEqual => 0x19,
            Condition::NotLessOrEqual => 0x16,
        }
    }

    /// The number in comparisons of integers at the AVX-512 level.
    fn of_ints(self) -> u8 {
        match self {
            Condition::Equal => 0,
            Condition::NotEqual => 4,
            Condition::Less | Condition::NotGreaterOrEqual => 1,
            Condition::LessOrEqual => 2,
            Condition::Greater | Condition::NotLessOrEqual => 6,
            Condition::GreaterOrEqual => 5,
            // Integers always compare.
            Condition::Unordered => 3,
            Condition::Ordered => 7,
        }
    }
}

impl Emitter<'_> {
    /// A comparison of values of dtype `d` as a truth value.
    pub(super) fn compare(&mut self, c: Condition, d: DType, a: &[V], b: &[V]) -> Out<V> {
        let lane = self.lane_of(d);
        let mut parts = Vec::new();
        for (a, b) in a.iter().zip(b) {
            parts.push(self.compare_lanes(c, lane, *a, *b)?);
        }
        Ok(self.mask_from(&parts))
    }

    pub(super) fn less(&mut self, lane: Lane, a: V, b: V) -> Out<V> {
        self.compare_lanes(Condition::Less, lane, a, b)
    }

    pub(super) fn equal(&mut self, lane: Lane, a: V, b: V) -> Out<V> {
        self.compare_lanes(Condition::Equal, lane, a, b)
    }

    pub(super) fn differ(&mut self, lane: Lane, a: V, b: V) -> Out<V> {
        self.compare_lanes(Condition::NotEqual, lane, a, b)
    }

    /// Where one of two floats is NaN.
    pub(super) fn unordered(&mut self, lane: Lane, a: V, b: V) -> V {
        self.compare_floats(Condition::Unordered, lane, a, b)
    }

    /// One register against another, as a truth value for lanes of their size.
    pub(super) fn compare_lanes(&mut self, c: Condition, lane: Lane, a: V, b: V) -> Out<V> {
        if lane.is_float() {
            return Ok(self.compare_floats(c, lane, a, b));
        }
        if self.level == Level::Avx512 {
            let code = match lane {
                Lane::I32 => Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8,
                Lane::U32 => Code::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8,
                Lane::U64 => Code::EVEX_Vpcmpuq_kr_k1_zmm_zmmm512b64_imm8,
                Lane::I64 | Lane::F32 | Lane::F64 => Code::EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8,
            };
            return Ok(self.compare_by(code, lane, a, b, Some(c.of_ints())));
        }
        self.compare_ints(c, lane, a, b)
    }

    fn compare_floats(&mut self, c: Condition, lane: Lane, a: V, b: V) -> V {
        let code = match (self.level, lane.size()) {
            (Level::Avx2, 4) => Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
            (Level::Avx2, _) => Code::VEX_Vcmppd_ymm_ymm_ymmm256_imm8,
            (Level::Avx512, 4) => Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
            (Level::Avx512, _) => Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
        };
        self.compare_by(code, lane, a, b, Some(c.of_floats()))
    }

    fn compare_by(&mut self, code: Code, lane: Lane, a: V, b: V, imm: Option<u8>) -> V {
        let def = self.truth();
        let mut args = vec![Arg::V(a, View::Full), Arg::V(b, View::Full)];
        args.extend(imm.map(Arg::Imm));
        let mut insn = Insn::new(code, Some((def, View::Full)), args);
        insn.folds = Some(lane.size());
        self.emit(insn);
        def
    }

    /// AVX2 knows "equal" and "greater" of signed integers only.
    fn compare_ints(&mut self, c: Condition, lane: Lane, a: V, b: V) -> Out<V> {
        let small = lane.size() == 4;
        let (equal, greater) = if small {
            (Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256)
        } else {
            (Code::VEX_Vpcmpeqq_ymm_ymm_ymmm256, Code::VEX_Vpcmpgtq_ymm_ymm_ymmm256)
        };
        let (mut a, mut b) = (a, b);
        if lane.is_unsigned() && !matches!(c, Condition::Equal | Condition::NotEqual) {
            let sign = self.bits(if small { 1 << 31 } else { 1 << 63 }, lane.size());
            (a, b) = (self.op(Do::Xor, lane, &[a, sign])?, self.op(Do::Xor, lane, &[b, sign])?);
        }
        let (code, a, b, negated) = match c {
            Condition::Equal => (equal, a, b, false),
            Condition::NotEqual => (equal, a, b, true),
            Condition::Less | Condition::NotGreaterOrEqual => (greater, b, a, false),
            Condition::Greater | Condition::NotLessOrEqual => (greater, a, b, false),
            // Integers always compare.
            Condition::Unordered => (greater, a, a, false),
            Condition::Ordered => (equal, a, a, false),
            Condition::LessOrEqual => (greater, a, b, true),
            Condition::GreaterOrEqual => (greater, b, a, true),
        };
        let r = self.compare_by(code, lane, a, b, None);
        if !negated {
            return Ok(r);
        }
        let ones = self.bits(u64::MAX, lane.size());
        self.op(Do::Xor, lane, &[r, ones])
    }

    /// Truth values of floats by what they are.
    pub(super) fn classify(&mut self, op: Op, d: DType, x: &[V]) -> Out<V> {
        let lane = self.lane_of(d);
        let (ints, rest, inf) = match lane.size() {
            4 => (Lane::I32, 0x7fff_ffff, u64::from(f32::INFINITY.to_bits())),
            _ => (Lane::I64, !(1 << 63), f64::INFINITY.to_bits()),
        };
        let mut parts = Vec::new();
        for x in x {
            parts.push(if op == Op::IsNan {
                self.unordered(lane, *x, *x)
            } else if op == Op::SignBit {
                let zero = self.bits(0, lane.size());
                self.less(ints, *x, zero)?
            } else {
                let (rest, inf) = (self.bits(rest, lane.size()), self.bits(inf, lane.size()));
                let magnitude = self.op(Do::And, lane, &[*x, rest])?;
                let c = if op == Op::IsInf { Condition::Equal } else { Condition::Less };
                self.compare_floats(c, lane, magnitude, inf)
            });
        }
        Ok(self.mask_from(&parts))
    }

    /// `mask ? yes : no`, for lanes of this size; the mask is one for them.
    pub(super) fn blend(&mut self, mask: V, size: usize, yes: V, no: V) -> V {
        let (yes, no) = (Arg::V(yes, View::Full), Arg::V(no, View::Full));
        if self.level == Level::Avx2 {
            let code = if size == 4 {
                Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm
            } else {
                Code::VEX_Vblendvpd_ymm_ymm_ymmm256_ymm
            };
            return self.plain(code, &[no, yes, Arg::V(mask, View::Full)], View::Full);
        }
        let code = if size == 4 {
            Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32
        } else {
            Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64
        };
        let def = self.vector();
        let mut insn = Insn::new(code, Some((def, View::Full)), vec![no, yes]);
        insn.mask = Some(mask);
        insn.folds = Some(size);
        self.emit(insn);
        def
    }

    /// `mask ? yes : no` for a truth value and values of dtype `d`.
    pub(super) fn select(&mut self, mask: V, d: DType, yes: &[V], no: &[V]) -> Out<Vec<V>> {
        if d == DType::Bool && self.level == Level::Avx512 {
            let one = self.logic(Op::And, &[mask, yes[0]])?;
            let other = self.mask_op(Code::VEX_Kandnw_kr_kr_kr, &[mask, no[0]]);
            return Ok(vec![self.logic(Op::Or, &[one, other])?]);
        }
        let size = self.width(d);
        let mut out = Vec::new();
        for (chunk, (yes, no)) in yes.iter().zip(no).enumerate() {
            let mask = self.mask_for(mask, size, chunk);
            out.push(self.blend(mask, size, *yes, *no));
        }
        Ok(out)
    }

    /// Ops on truth values. Comparisons take false for less than true.
    pub(super) fn logic(&mut self, op: Op, a: &[V]) -> Out<V> {
        let (first, second) = (a[0], a.get(1).copied().unwrap_or(a[0]));
        let (what, of_masks, a, b) = match condition(op) {
            Some(Condition::Equal) => {
                let differ = self.logic(Op::Xor, a)?;
                return self.not(differ);
            }
            Some(Condition::LessOrEqual) => {
                let greater = self.logic(Op::Gt, a)?;
                return self.not(greater);
            }
            Some(Condition::GreaterOrEqual) => {
                let less = self.logic(Op::Lt, a)?;
                return self.not(less);
            }
            Some(Condition::Less) => (Do::AndNot, Code::VEX_Kandnw_kr_kr_kr, first, second),
            Some(Condition::Greater) => (Do::AndNot, Code::VEX_Kandnw_kr_kr_kr, second, first),
            Some(Condition::NotEqual) => (Do::Xor, Code::VEX_Kxorw_kr_kr_kr, first, second),
            _ if op == Op::Not => return self.not(first),
            _ if op == Op::And => (Do::And, Code::VEX_Kandw_kr_kr_kr, first, second),
            _ if op == Op::Or => (Do::Or, Code::VEX_Korw_kr_kr_kr, first, second),
            _ if op == Op::Xor => (Do::Xor, Code::VEX_Kxorw_kr_kr_kr, first, second),
            Some(
                Condition::Unordered
                | Condition::Ordered
                | Condition::NotGreaterOrEqual
                | Condition::NotLessOrEqual,
            )
            | None => return Err(format!("{} of truth values", op.name())),
        };
        self.bitwise(what, of_masks, a, b)
    }

    fn not(&mut self, a: V) -> Out<V> {
        if self.level == Level::Avx512 {
            return Ok(self.mask_op(Code::VEX_Knotw_kr_kr, &[a]));
        }
        let ones = self.bits(u64::MAX, self.narrow);
        self.op(Do::Xor, self.lane_of(DType::Bool), &[a, ones])
    }

    fn bitwise(&mut self, what: Do, of_masks: Code, a: V, b: V) -> Out<V> {
        if self.level == Level::Avx512 {
            return Ok(self.mask_op(of_masks, &[a, b]));
        }
        self.op(what, self.lane_of(DType::Bool), &[a, b])
    }

    fn mask_op(&mut self, code: Code, a: &[V]) -> V {
        let args: Vec<Arg> = a.iter().map(|v| Arg::V(*v, View::Full)).collect();
        self.test(code, &args)
    }

    /// The part of a truth value for a register of lanes of this size.
    pub(super) fn mask_for(&mut self, mask: V, size: usize, chunk: usize) -> V {
        if size == self.narrow {
            return mask;
        }
        if self.level == Level::Avx512 {
            if chunk == 0 {
                return mask;
            }
            return self.test(Code::VEX_Kshiftrw_kr_kr_imm8, &[Arg::V(mask, View::Full), Arg::Imm(8)]);
        }
        let half = if chunk == 0 { mask } else { self.upper(mask) };
        self.plain(Code::VEX_Vpmovsxdq_ymm_xmmm128, &[Arg::V(half, View::Half)], View::Full)
    }

    /// The truth value whose parts these are.
    pub(super) fn mask_from(&mut self, parts: &[V]) -> V {
        let &[low, high] = parts else { return parts[0] };
        if self.level == Level::Avx512 {
            let args = [Arg::V(high, View::Full), Arg::V(low, View::Full)];
            return self.test(Code::VEX_Kunpckbw_kr_kr_kr, &args);
        }
        self.even_words(low, high)
    }
}
