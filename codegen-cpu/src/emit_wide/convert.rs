//! Conversions between dtypes by the language's rules: integers wrap, floats truncate and saturate (NaN gives 0), `bool`
//! is "not zero".

use super::codes::{Do, Lane};
use super::compare::Condition;
use super::level::Level;
use super::mir::{Arg, V, View};
use super::small::is_small;
use super::{Emitter, Out};
use iced_x86::Code;
use matex_ir::{DType, Scalar};

impl Emitter<'_> {
    /// A value of dtype `from` as `to`.
    pub(super) fn cast(&mut self, v: &[V], from: DType, to: DType) -> Out<Vec<V>> {
        if from == to {
            return Ok(v.to_vec());
        }
        if let Some(done) = self.small_cast(v, from, to)? {
            return Ok(done);
        }
        if from.is_int() && to.is_int() && from.size() == to.size() {
            return Ok(v.to_vec());
        }
        if from == DType::Bool {
            let (one, zero) =
                (self.constant(Scalar::from_f64(to, 1.0)), self.constant(Scalar::from_f64(to, 0.0)));
            return self.select(v[0], to, &one, &zero);
        }
        if to == DType::Bool {
            let zero = self.constant(Scalar::from_f64(from, 0.0));
            return Ok(vec![self.compare(Condition::NotEqual, from, v, &zero)?]);
        }
        match (self.lane_of(from), self.lane_of(to)) {
            (Lane::F32, Lane::I64 | Lane::U64) => {
                let exact = self.cast(v, from, DType::F64)?;
                self.cast(&exact, DType::F64, to)
            }
            (f, t) if f.is_float() && !t.is_float() => self.truncated(v, f, t),
            (f, t) if f.size() == 8 && t.size() == 4 => self.narrowed(v, f, t),
            (f, t) if f.size() == 4 && t.size() == 8 => self.widened(v[0], f, t),
            (f, t) => v.iter().map(|v| self.same_size(*v, f, t)).collect(),
        }
    }

    /// A cast of, or to, a small dtype by way of `f32` or `i32`; none where neither is one, or `bool` is the other.
    fn small_cast(&mut self, v: &[V], from: DType, to: DType) -> Out<Option<Vec<V>>> {
        let storage = |d: DType| d.compute() != d;
        if storage(from) {
            let single = self.single_of(from, v[0])?;
            return self.cast(&[single], DType::F32, to).map(Some);
        }
        if from == DType::Bool {
            return Ok(None);
        }
        if storage(to) {
            let single = self.cast(v, from, DType::F32)?;
            return Ok(Some(vec![self.storage_of(to, single[0])?]));
        }
        if is_small(to) {
            let word = self.cast(v, from, DType::I32)?[0];
            let fits = if from.is_float() { self.saturated(to, word)? } else { self.wrapped(to, word)? };
            return Ok(Some(vec![fits]));
        }
        if is_small(from) && to != DType::Bool {
            return self.cast(v, DType::I32, to).map(Some);
        }
        Ok(None)
    }

    /// Whether there is an instruction that makes 64-bit floats of these integers of 32 bits.
    pub(super) fn converts(&self, lane: Lane) -> bool {
        lane == Lane::I32 || self.level == Level::Avx512
    }

    /// From integers to floats of their size.
    fn same_size(&mut self, v: V, from: Lane, to: Lane) -> Out<V> {
        let code = match (self.level, from) {
            (Level::Avx2, Lane::I32) => Code::VEX_Vcvtdq2ps_ymm_ymmm256,
            (Level::Avx512, Lane::I32) => Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er,
            (Level::Avx512, Lane::U32) => Code::EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er,
            (Level::Avx512, Lane::I64) => Code::EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er,
            (Level::Avx512, Lane::U64) => Code::EVEX_Vcvtuqq2pd_zmm_k1z_zmmm512b64_er,
            (Level::Avx2, Lane::I64) => return self.floats_of_longs(v),
            (Level::Avx2, Lane::U32 | Lane::U64) | (_, Lane::F32 | Lane::F64) => {
                return Ok(self.converted(from, to, v));
            }
        };
        Ok(self.plain(code, &[Arg::V(v, View::Full)], View::Full))
    }

    /// 64-bit integers as floats: the halves take the place of the lowest bits of known floats, and only the sum of the two
    /// is rounded. AVX2.
    fn floats_of_longs(&mut self, v: V) -> Out<V> {
        let half = self.bits(32, 8);
        // The upper half, its sign turned over so that it counts from -2^31 up, is at the unit of 2^84 + 2^63.
        let upper = self.op(Do::ShiftRight, Lane::U64, &[v, half])?;
        let base = self.bits(0x4530_0000_8000_0000, 8);
        let upper = self.op(Do::Xor, Lane::U64, &[upper, base])?;
        let both = self.bits((2f64.powi(84) + 2f64.powi(63) + 2f64.powi(52)).to_bits(), 8);
        let upper = self.op(Do::Sub, Lane::F64, &[upper, both])?;
        let low = self.bits(0xffff_ffff, 8);
        let lower = self.op(Do::And, Lane::U64, &[v, low])?;
        let base = self.bits(2f64.powi(52).to_bits(), 8);
        let lower = self.op(Do::Or, Lane::U64, &[lower, base])?;
        self.op(Do::Add, Lane::F64, &[upper, lower])
    }

    /// Two registers of 64-bit lanes as one of 32-bit lanes.
    pub(super) fn narrowed(&mut self, v: &[V], from: Lane, to: Lane) -> Out<Vec<V>> {
        let code = match (self.level, from, to) {
            (Level::Avx2, Lane::F64, Lane::F32) => Code::VEX_Vcvtpd2ps_xmm_ymmm256,
            (Level::Avx512, Lane::F64, Lane::F32) => Code::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er,
            (Level::Avx512, Lane::I64, Lane::F32) => Code::EVEX_Vcvtqq2ps_ymm_k1z_zmmm512b64_er,
            (Level::Avx512, Lane::U64, Lane::F32) => Code::EVEX_Vcvtuqq2ps_ymm_k1z_zmmm512b64_er,
            (Level::Avx512, Lane::I64 | Lane::U64, _) => Code::EVEX_Vpmovqd_ymmm256_k1z_zmm,
            (Level::Avx2, Lane::I64 | Lane::U64, Lane::I32 | Lane::U32) => {
                return Ok(vec![self.even_words(v[0], v[1])]);
            }
            _ => return Ok(vec![self.joined_calls(v, from, to)]),
        };
        Ok(vec![self.joined(v, code)])
    }

    /// What an instruction that halves lanes makes of two registers.
    fn joined(&mut self, v: &[V], code: Code) -> V {
        let halves: Vec<V> =
            v.iter().map(|v| self.plain(code, &[Arg::V(*v, View::Full)], View::Half)).collect();
        self.join(halves[0], halves[1])
    }

    /// What calls make of two registers whose lanes become half as wide.
    fn joined_calls(&mut self, v: &[V], from: Lane, to: Lane) -> V {
        let halves: Vec<V> = v.iter().map(|v| self.converted(from, to, *v)).collect();
        self.join(halves[0], halves[1])
    }

    /// The lower halves of two registers as one.
    pub(super) fn join(&mut self, low: V, high: V) -> V {
        let code = match self.level {
            Level::Avx2 => Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
            Level::Avx512 => Code::EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8,
        };
        self.plain(code, &[Arg::V(low, View::Full), Arg::V(high, View::Half), Arg::Imm(1)], View::Full)
    }

    /// The upper half of a register, as a lower one.
    pub(super) fn upper(&mut self, v: V) -> V {
        let code = match self.level {
            Level::Avx2 => Code::VEX_Vextractf128_xmmm128_ymm_imm8,
            Level::Avx512 => Code::EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8,
        };
        self.plain(code, &[Arg::V(v, View::Full), Arg::Imm(1)], View::Half)
    }

    /// The lower words of the 64-bit lanes of two registers, in order. AVX2.
    pub(super) fn even_words(&mut self, low: V, high: V) -> V {
        let (low, high) = (Arg::V(low, View::Full), Arg::V(high, View::Full));
        let mixed =
            self.plain(Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8, &[low, high, Arg::Imm(0x88)], View::Full);
        self.plain(
            Code::VEX_Vpermq_ymm_ymmm256_imm8,
            &[Arg::V(mixed, View::Full), Arg::Imm(0xd8)],
            View::Full,
        )
    }

    /// One register of 32-bit lanes as two of 64-bit lanes.
    pub(super) fn widened(&mut self, v: V, from: Lane, to: Lane) -> Out<Vec<V>> {
        let high = self.upper(v);
        let code = match (self.level, from, to.is_float()) {
            (Level::Avx2, Lane::F32, true) => Code::VEX_Vcvtps2pd_ymm_xmmm128,
            (Level::Avx2, Lane::I32, true) => Code::VEX_Vcvtdq2pd_ymm_xmmm128,
            (Level::Avx2, Lane::I32, false) => Code::VEX_Vpmovsxdq_ymm_xmmm128,
            (Level::Avx2, Lane::U32, false) => Code::VEX_Vpmovzxdq_ymm_xmmm128,
            (Level::Avx512, Lane::F32, true) => Code::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae,
            (Level::Avx512, Lane::I32, true) => Code::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er,
            (Level::Avx512, Lane::U32, true) => Code::EVEX_Vcvtudq2pd_zmm_k1z_ymmm256b32_er,
            (Level::Avx512, Lane::I32, false) => Code::EVEX_Vpmovsxdq_zmm_k1z_ymmm256,
            (Level::Avx512, Lane::U32, false) => Code::EVEX_Vpmovzxdq_zmm_k1z_ymmm256,
            _ => return Ok([v, high].map(|half| self.converted(from, to, half)).to_vec()),
        };
        Ok([v, high].map(|half| self.plain(code, &[Arg::V(half, View::Half)], View::Full)).to_vec())
    }

    /// From floats to integers of at most their size. What is out of range becomes the nearest that is not.
    fn truncated(&mut self, v: &[V], from: Lane, to: Lane) -> Out<Vec<V>> {
        if self.level == Level::Avx2 && to != Lane::I32 {
            return Ok(if from.size() > to.size() {
                vec![self.joined_calls(v, from, to)]
            } else {
                v.iter().map(|v| self.converted(from, to, *v)).collect()
            });
        }
        let mut clamped = Vec::new();
        for v in v {
            let zero = self.bits(0, from.size());
            let nan = self.unordered(from, *v, *v);
            let x = self.blend(nan, from.size(), zero, *v);
            // The instructions answer the smallest signed integer for what is too small, and the largest unsigned one
            // for what is too large.
            clamped.push(if to.is_unsigned() {
                self.op(Do::Max, from, &[x, zero])?
            } else if from.size() > to.size() {
                let most = self.bits(f64::from(i32::MAX).to_bits(), 8);
                self.op(Do::Min, from, &[x, most])?
            } else {
                x
            });
        }
        let code = match (self.level, from, to) {
            (Level::Avx2, Lane::F64, Lane::I32) => Code::VEX_Vcvttpd2dq_xmm_ymmm256,
            (Level::Avx512, Lane::F64, Lane::I32) => Code::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae,
            (Level::Avx512, Lane::F64, Lane::U32) => Code::EVEX_Vcvttpd2udq_ymm_k1z_zmmm512b64_sae,
            (Level::Avx2, Lane::F32, Lane::I32) => Code::VEX_Vcvttps2dq_ymm_ymmm256,
            (Level::Avx512, Lane::F32, Lane::I32) => Code::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae,
            (Level::Avx512, Lane::F32, Lane::U32) => Code::EVEX_Vcvttps2udq_zmm_k1z_zmmm512b32_sae,
            (Level::Avx512, Lane::F64, Lane::I64) => Code::EVEX_Vcvttpd2qq_zmm_k1z_zmmm512b64_sae,
            (Level::Avx512, Lane::F64, Lane::U64) => Code::EVEX_Vcvttpd2uqq_zmm_k1z_zmmm512b64_sae,
            _ => return Err(format!("{from:?} to {to:?}")),
        };
        if from.size() > to.size() {
            return Ok(vec![self.joined(&clamped, code)]);
        }
        let mut out = Vec::new();
        for x in clamped {
            let r = self.plain(code, &[Arg::V(x, View::Full)], View::Full);
            if to.is_unsigned() {
                out.push(r);
                continue;
            }
            let (limit, most) = if from == Lane::F32 {
                (u64::from(2_147_483_648.0f32.to_bits()), u64::from(i32::MAX.unsigned_abs()))
            } else {
                (9_223_372_036_854_775_808.0f64.to_bits(), i64::MAX.unsigned_abs())
            };
            let (limit, most) = (self.bits(limit, from.size()), self.bits(most, from.size()));
            let over = self.compare_lanes(Condition::GreaterOrEqual, from, x, limit)?;
            out.push(self.blend(over, from.size(), most, r));
        }
        Ok(out)
    }
}
