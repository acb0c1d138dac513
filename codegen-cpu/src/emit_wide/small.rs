//! Values that are narrower in memory than lanes: truth values, and 8- and 16-bit numbers.
//!
//! An 8- or 16-bit integer is a 32-bit lane that holds the same number, and results are brought back into the dtype's range; a
//! storage float is a lane with its bits. What no vector instruction reads or writes goes through the frame, one by one.

use super::codes::{Do, Lane};
use super::level::Level;
use super::mir::{Arg, Elements, Index, Insn, Item, Lanes, Place, V, View};
use super::values::At;
use super::{Emitter, Out};
use iced_x86::Code;
use matex_ir::loops::Access;
use matex_ir::{DType, Op};

/// Whether values of a dtype are narrower than any lane, and numbers.
pub(super) fn is_small(d: DType) -> bool {
    d != DType::Bool && d.size() < 4
}

impl Emitter<'_> {
    /// Bytes of a lane that holds a value of this dtype.
    pub(super) fn width(&self, d: DType) -> usize {
        if d == DType::Bool { self.narrow } else { d.size().max(4) }
    }

    /// The lowest bits of lanes as the number that they are in a dtype of 8 or 16 bits.
    pub(super) fn wrapped(&mut self, d: DType, v: V) -> Out<V> {
        let bits = 8 * d.size() as u64;
        if !d.is_signed_int() {
            let all = self.bits((1 << bits) - 1, 4);
            return self.op(Do::And, Lane::I32, &[v, all]);
        }
        let above = self.bits(32 - bits, 4);
        let high = self.op(Do::ShiftLeft, Lane::I32, &[v, above])?;
        self.op(Do::ShiftRightSigned, Lane::I32, &[high, above])
    }

    /// Whether an op of numbers in a dtype's range stays in it.
    pub(super) fn stays_in_range(op: Op) -> bool {
        matches!(op, Op::And | Op::Or | Op::Xor | Op::Max | Op::Min | Op::Sign | Op::Shr | Op::Rem | Op::Fmod)
    }

    /// 32-bit integers to the nearest in the range of a dtype of 8 or 16 bits.
    pub(super) fn saturated(&mut self, d: DType, v: V) -> Out<V> {
        let bits = d.bits() - u32::from(d.is_signed_int());
        let most = (1i64 << bits) - 1;
        let least = if d.is_signed_int() { -most - 1 } else { 0 };
        let (most, least) = (self.bits(most as u64, 4), self.bits(least as u64, 4));
        let v = self.op(Do::Min, Lane::I32, &[v, most])?;
        self.op(Do::Max, Lane::I32, &[v, least])
    }

    /// A storage float as `f32`.
    pub(super) fn single_of(&mut self, d: DType, v: V) -> Out<V> {
        if d == DType::BF16 {
            // The upper half of one.
            let half = self.bits(16, 4);
            return self.op(Do::ShiftLeft, Lane::I32, &[v, half]);
        }
        let (words, code, view) = match self.level {
            Level::Avx2 => (self.packed_words(v), Code::VEX_Vcvtph2ps_ymm_xmmm128, View::Low),
            Level::Avx512 => {
                let words =
                    self.plain(Code::EVEX_Vpmovdw_ymmm256_k1z_zmm, &[Arg::V(v, View::Full)], View::Half);
                (words, Code::EVEX_Vcvtph2ps_zmm_k1z_ymmm256_sae, View::Half)
            }
        };
        Ok(self.plain(code, &[Arg::V(words, view)], View::Full))
    }

    /// The storage float that is nearest to an `f32`.
    pub(super) fn storage_of(&mut self, d: DType, v: V) -> Out<V> {
        if d == DType::F16 {
            let (narrow, view, widen) = match self.level {
                Level::Avx2 => {
                    (Code::VEX_Vcvtps2ph_xmmm128_ymm_imm8, View::Low, Code::VEX_Vpmovzxwd_ymm_xmmm128)
                }
                Level::Avx512 => (
                    Code::EVEX_Vcvtps2ph_ymmm256_k1z_zmm_imm8_sae,
                    View::Half,
                    Code::EVEX_Vpmovzxwd_zmm_k1z_ymmm256,
                ),
            };
            let words = self.plain(narrow, &[Arg::V(v, View::Full), Arg::Imm(0)], view);
            return Ok(self.plain(widen, &[Arg::V(words, view)], View::Full));
        }
        // To the upper half, ties to even; a NaN stays one that is quiet.
        let (half, one, below) = (self.bits(16, 4), self.bits(1, 4), self.bits(0x7fff, 4));
        let upper = self.op(Do::ShiftRight, Lane::U32, &[v, half])?;
        let odd = self.op(Do::And, Lane::U32, &[upper, one])?;
        let up = self.op(Do::Add, Lane::U32, &[odd, below])?;
        let sum = self.op(Do::Add, Lane::U32, &[v, up])?;
        let nearest = self.op(Do::ShiftRight, Lane::U32, &[sum, half])?;
        let quiet = self.bits(0x40, 4);
        let quiet = self.op(Do::Or, Lane::U32, &[upper, quiet])?;
        let nan = self.unordered(Lane::F32, v, v);
        Ok(self.blend(nan, 4, quiet, nearest))
    }

    /// The lowest 16 bits of the lanes side by side. AVX2.
    fn packed_words(&mut self, v: V) -> V {
        let all = self.bits(0xffff, 4);
        let v = self.plain(
            Code::VEX_Vpand_ymm_ymm_ymmm256,
            &[Arg::V(v, View::Full), Arg::V(all, View::Full)],
            View::Full,
        );
        let high = self.upper(v);
        self.plain(
            Code::VEX_Vpackusdw_xmm_xmm_xmmm128,
            &[Arg::V(v, View::Low), Arg::V(high, View::Low)],
            View::Low,
        )
    }

    /// One small value for all lanes.
    pub(super) fn broadcast_small(&mut self, o: usize) -> V {
        let place = Arg::Mem(self.operand(o, Index::None, 0));
        let (code, view) = match (self.level, self.k.operands[o].dtype.size()) {
            (Level::Avx2, 1) => (Code::VEX_Vpbroadcastb_xmm_xmmm8, View::Low),
            (Level::Avx2, _) => (Code::VEX_Vpbroadcastw_xmm_xmmm16, View::Low),
            (Level::Avx512, 1) => (Code::EVEX_Vpbroadcastb_xmm_k1z_xmmm8, View::Low),
            (Level::Avx512, _) => (Code::EVEX_Vpbroadcastw_ymm_k1z_xmmm16, View::Half),
        };
        let all = self.plain(code, &[place], view);
        self.spread(o, Arg::V(all, view), None)
    }

    /// Small values that lie side by side, as lanes; those outside of a mask are not read. A mask needs AVX-512.
    fn spread(&mut self, o: usize, from: Arg, mask: Option<V>) -> V {
        let d = self.k.operands[o].dtype;
        let code = match (self.level, d.size(), d.is_signed_int()) {
            (Level::Avx2, 1, true) => Code::VEX_Vpmovsxbd_ymm_xmmm64,
            (Level::Avx2, 1, false) => Code::VEX_Vpmovzxbd_ymm_xmmm64,
            (Level::Avx2, _, true) => Code::VEX_Vpmovsxwd_ymm_xmmm128,
            (Level::Avx2, _, false) => Code::VEX_Vpmovzxwd_ymm_xmmm128,
            (Level::Avx512, 1, true) => Code::EVEX_Vpmovsxbd_zmm_k1z_xmmm128,
            (Level::Avx512, 1, false) => Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
            (Level::Avx512, _, true) => Code::EVEX_Vpmovsxwd_zmm_k1z_ymmm256,
            (Level::Avx512, _, false) => Code::EVEX_Vpmovzxwd_zmm_k1z_ymmm256,
        };
        let def = self.vector();
        let mut insn = Insn::new(code, Some((def, View::Full)), vec![from]);
        (insn.mask, insn.zeroing) = (mask, mask.is_some());
        self.emit(insn);
        def
    }

    /// Whether elements go one by one: with a stride between them, or under a mask where there are no masks for bytes.
    fn one_by_one(&self, o: usize, at: At) -> bool {
        self.lane_access(o) == Access::Strided || (self.level == Level::Avx2 && at.mask.is_some())
    }

    /// Truth values or small numbers of a copy.
    pub(super) fn load_narrow(&mut self, o: usize, copy: usize, at: At) -> Out<V> {
        if !self.one_by_one(o, at) {
            let place = self.place(o, copy, 0, at);
            return Ok(self.narrow_at(o, place, at.mask));
        }
        let slot = self.frame.place(64, 64);
        if self.lane_access(o) == Access::Strided {
            self.copy_apart(o, copy, at, slot, false)?;
        } else {
            self.copy_left(o, copy, at, slot, false);
        }
        Ok(self.narrow_at(o, Place::frame(slot), None))
    }

    /// The same at a place where they lie side by side.
    pub(super) fn narrow_at(&mut self, o: usize, place: Place, mask: Option<V>) -> V {
        if self.k.operands[o].dtype != DType::Bool {
            return self.spread(o, Arg::Mem(place), mask);
        }
        if self.level == Level::Avx2 {
            return self.bytes_to_lanes(Arg::Mem(place));
        }
        let def = self.vector();
        let mut insn = if self.lanes == 16 || mask.is_some() {
            Insn::new(Code::EVEX_Vmovdqu8_xmm_k1z_xmmm128, Some((def, View::Low)), vec![Arg::Mem(place)])
        } else {
            Insn::new(Code::EVEX_Vmovq_xmm_xmmm64, Some((def, View::Low)), vec![Arg::Mem(place)])
        };
        (insn.mask, insn.zeroing) = (mask, mask.is_some());
        self.emit(insn);
        self.set_bytes(def)
    }

    pub(super) fn store_narrow(&mut self, o: usize, v: V, copy: usize, at: At) -> Out<()> {
        if !self.one_by_one(o, at) {
            let place = self.place(o, copy, 0, at);
            self.put_narrow(o, place, v, at.mask);
            return Ok(());
        }
        let slot = self.frame.place(64, 64);
        self.put_narrow(o, Place::frame(slot), v, None);
        if self.lane_access(o) == Access::Strided {
            self.copy_apart(o, copy, at, slot, true)
        } else {
            self.copy_left(o, copy, at, slot, true);
            Ok(())
        }
    }

    /// Writes truth values or small numbers side by side.
    fn put_narrow(&mut self, o: usize, place: Place, v: V, mask: Option<V>) {
        let d = self.k.operands[o].dtype;
        let place = Arg::Mem(place);
        let mut insn = if d == DType::Bool {
            let code = match (self.level, self.lanes) {
                (Level::Avx512, 16) => Code::EVEX_Vmovdqu8_xmmm128_k1z_xmm,
                (Level::Avx512, _) if mask.is_some() => Code::EVEX_Vmovdqu8_xmmm128_k1z_xmm,
                (Level::Avx512, _) => Code::EVEX_Vmovq_xmmm64_xmm,
                (Level::Avx2, 8) => Code::VEX_Vmovq_xmmm64_xmm,
                (Level::Avx2, _) => Code::VEX_Vmovd_rm32_xmm,
            };
            let bytes = self.truth_bytes(v);
            Insn::new(code, None, vec![place, Arg::V(bytes, View::Low)])
        } else if self.level == Level::Avx512 {
            let code = if d.size() == 1 {
                Code::EVEX_Vpmovdb_xmmm128_k1z_zmm
            } else {
                Code::EVEX_Vpmovdw_ymmm256_k1z_zmm
            };
            Insn::new(code, None, vec![place, Arg::V(v, View::Full)])
        } else if d.size() == 1 {
            let low = self.bits(0xff, 4);
            let args = [Arg::V(v, View::Full), Arg::V(low, View::Full)];
            let v = self.plain(Code::VEX_Vpand_ymm_ymm_ymmm256, &args, View::Full);
            let words = Arg::V(self.packed_words(v), View::Low);
            let bytes = self.plain(Code::VEX_Vpackuswb_xmm_xmm_xmmm128, &[words, words], View::Low);
            Insn::new(Code::VEX_Vmovq_xmmm64_xmm, None, vec![place, Arg::V(bytes, View::Low)])
        } else {
            let words = self.packed_words(v);
            Insn::new(Code::VEX_Vmovdqu_xmmm128_xmm, None, vec![place, Arg::V(words, View::Low)])
        };
        insn.mask = mask;
        self.emit(insn);
    }

    /// A small value to an operand that does not move.
    pub(super) fn store_one_small(&mut self, o: usize, v: V) {
        let args = vec![Arg::Mem(self.operand(o, Index::None, 0)), Arg::V(v, View::Low), Arg::Imm(0)];
        let code = match (self.level, self.k.operands[o].dtype.size()) {
            (Level::Avx2, 1) => Code::VEX_Vpextrb_r32m8_xmm_imm8,
            (Level::Avx2, _) => Code::VEX_Vpextrw_r32m16_xmm_imm8,
            (Level::Avx512, 1) => Code::EVEX_Vpextrb_r32m8_xmm_imm8,
            (Level::Avx512, _) => Code::EVEX_Vpextrw_r32m16_xmm_imm8,
        };
        self.emit(Insn::new(code, None, args));
    }

    /// Copies the elements that are left, side by side, between an operand and a slot.
    fn copy_left(&mut self, o: usize, copy: usize, at: At, slot: i32, out: bool) {
        let lanes = Lanes::Left(at.left.unwrap_or(self.left), self.lanes);
        let (operand, size) = (self.place(o, copy, 0, at), self.k.operands[o].dtype.size());
        self.items.push(Item::Elements(Elements { operand, slot, size, lanes, out, of: self.of }));
    }

    /// Copies elements with a stride between them, between an operand and a slot.
    pub(super) fn copy_apart(&mut self, o: usize, copy: usize, at: At, slot: i32, out: bool) -> Out<()> {
        let mut offsets = Vec::new();
        for part in 0..self.lanes * 8 / self.level.bytes() {
            offsets.push(self.lane_offsets(o, copy + at.skip, part)?);
        }
        self.copy_at(o, &offsets, at.mask, slot, out);
        Ok(())
    }

    /// Copies the elements at these distances in bytes from where an operand stands, in the lanes of a mask.
    pub(super) fn copy_at(&mut self, o: usize, offsets: &[V], mask: Option<V>, slot: i32, out: bool) {
        let part = self.level.bytes() as i32;
        let distances = self.frame.place(2 * 64, 64);
        for (n, v) in offsets.iter().enumerate() {
            self.store_frame(distances + part * n as i32, false, *v);
        }
        let wanted = mask.map(|mask| {
            let wanted = self.frame.place(2 * 64, 64);
            for n in 0..offsets.len() {
                let lanes = self.mask_for(mask, 8, n);
                let words = match self.level {
                    Level::Avx2 => lanes,
                    Level::Avx512 => {
                        self.plain(Code::EVEX_Vpmovm2q_zmm_kr, &[Arg::V(lanes, View::Full)], View::Full)
                    }
                };
                self.store_frame(wanted + part * n as i32, false, words);
            }
            wanted
        });
        let (operand, size) = (self.operand(o, Index::None, 0), self.k.operands[o].dtype.size());
        let lanes = Lanes::Apart(self.lanes, distances, wanted);
        self.items.push(Item::Elements(Elements { operand, slot, size, lanes, out, of: self.of }));
    }

    /// One truth value for all lanes.
    pub(super) fn broadcast_truth(&mut self, o: usize) -> V {
        let place = Arg::Mem(self.operand(o, Index::None, 0));
        if self.level == Level::Avx512 {
            let bytes = self.plain(Code::EVEX_Vpbroadcastb_xmm_k1z_xmmm8, &[place], View::Low);
            return self.set_bytes(bytes);
        }
        let bytes = self.plain(Code::VEX_Vpbroadcastb_xmm_xmmm8, &[place], View::Low);
        self.bytes_to_lanes(Arg::V(bytes, View::Low))
    }

    /// The bits of the bytes that are not 0. AVX-512.
    fn set_bytes(&mut self, bytes: V) -> V {
        let v = Arg::V(bytes, View::Low);
        self.test(Code::EVEX_Vptestmb_kr_k1_xmm_xmmm128, &[v, v])
    }

    /// Bytes of 0 and 1 as lanes of all zeros or ones. AVX2.
    fn bytes_to_lanes(&mut self, bytes: Arg) -> V {
        let (code, minus) = if self.narrow == 4 {
            (Code::VEX_Vpmovzxbd_ymm_xmmm64, Code::VEX_Vpsubd_ymm_ymm_ymmm256)
        } else {
            (Code::VEX_Vpmovzxbq_ymm_xmmm32, Code::VEX_Vpsubq_ymm_ymm_ymmm256)
        };
        let lanes = self.plain(code, &[bytes], View::Full);
        let zero = self.bits(0, self.narrow);
        self.plain(minus, &[Arg::V(zero, View::Full), Arg::V(lanes, View::Full)], View::Full)
    }

    /// A truth value as bytes of 0 and 1 in the lowest lanes.
    pub(super) fn truth_bytes(&mut self, v: V) -> V {
        if self.level == Level::Avx512 {
            let at = self.pool.constant(&[1; 16]);
            let def = self.vector();
            let ones = Arg::Mem(Place::pool(at, false));
            let mut insn = Insn::new(Code::EVEX_Vmovdqu8_xmm_k1z_xmmm128, Some((def, View::Low)), vec![ones]);
            (insn.mask, insn.zeroing) = (Some(v), true);
            self.emit(insn);
            return def;
        }
        let high = self.upper(v);
        let (low, high) = (Arg::V(v, View::Low), Arg::V(high, View::Low));
        let words = if self.narrow == 4 {
            self.plain(Code::VEX_Vpackssdw_xmm_xmm_xmmm128, &[low, high], View::Low)
        } else {
            let even =
                self.plain(Code::VEX_Vshufps_xmm_xmm_xmmm128_imm8, &[low, high, Arg::Imm(0x88)], View::Low);
            let even = Arg::V(even, View::Low);
            self.plain(Code::VEX_Vpackssdw_xmm_xmm_xmmm128, &[even, even], View::Low)
        };
        let words = Arg::V(words, View::Low);
        let bytes = self.plain(Code::VEX_Vpacksswb_xmm_xmm_xmmm128, &[words, words], View::Low);
        self.plain(Code::VEX_Vpabsb_xmm_xmmm128, &[Arg::V(bytes, View::Low)], View::Low)
    }
}
