//! Loads and stores of operands.

use super::codes::Lane;
use super::level::Level;
use super::mir::{Arg, Base, Index, Insn, Place, V, View};
use super::small::is_small;
use super::values::At;
use super::{Emitter, Home, Out};
use iced_x86::{Code, Register};
use matex_ir::DType;
use matex_ir::loops::{Access, OperandId};

impl Emitter<'_> {
    /// How an operand moves from lane to lane.
    pub(super) fn lane_access(&self, o: usize) -> Access {
        self.k.vector_axis().map_or(Access::Zero, |axis| self.k.operands[o].access[axis])
    }

    /// The operand's elements in the lanes of a copy.
    pub(super) fn load(&mut self, o: OperandId, copy: usize, at: At) -> Out<Vec<V>> {
        let (o, d) = (o.index(), self.k.operands[o.index()].dtype);
        match (self.lane_access(o), d) {
            (Access::Zero, DType::Bool) => Ok(vec![self.broadcast_truth(o)]),
            (Access::Zero, _) if is_small(d) => Ok(vec![self.broadcast_small(o)]),
            (Access::Zero, _) => {
                let code = match (self.level, d.size()) {
                    (Level::Avx2, 4) => Code::VEX_Vbroadcastss_ymm_m32,
                    (Level::Avx2, _) => Code::VEX_Vbroadcastsd_ymm_m64,
                    (Level::Avx512, 4) => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
                    (Level::Avx512, _) => Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
                };
                let v = self.plain(code, &[Arg::Mem(self.operand(o, Index::None, 0))], View::Full);
                Ok(vec![v; self.chunks(d)])
            }
            (Access::Unit | Access::Strided, _) if d == DType::Bool || is_small(d) => {
                Ok(vec![self.load_narrow(o, copy, at)?])
            }
            (Access::Unit, _) => {
                (0..self.chunks(d)).map(|chunk| self.load_chunk(o, copy, chunk, at)).collect()
            }
            (Access::Strided, _) => self.gather(o, copy, at),
        }
    }

    pub(super) fn operand(&self, o: usize, index: Index, disp: i32) -> Place {
        Place { base: Base::Operand(o), index, disp, broadcast: false }
    }

    /// Where a register's worth of contiguous elements begins.
    pub(super) fn place(&self, o: usize, copy: usize, chunk: usize, at: At) -> Place {
        let size = self.k.operands[o].dtype.size();
        let disp = (copy + at.skip) * self.lanes * size + chunk * self.level.bytes();
        self.operand(o, self.walk_index(at, size), disp as i32)
    }

    fn load_chunk(&mut self, o: usize, copy: usize, chunk: usize, at: At) -> Out<V> {
        let size = self.k.operands[o].dtype.size();
        let place = Arg::Mem(self.place(o, copy, chunk, at));
        let Some(mask) = at.mask else {
            let code = match self.level {
                Level::Avx2 => Code::VEX_Vmovups_ymm_ymmm256,
                Level::Avx512 => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
            };
            return Ok(self.plain(code, &[place], View::Full));
        };
        let mask = self.mask_for(mask, size, chunk);
        if self.level == Level::Avx2 {
            let code =
                if size == 4 { Code::VEX_Vmaskmovps_ymm_ymm_m256 } else { Code::VEX_Vmaskmovpd_ymm_ymm_m256 };
            return Ok(self.plain(code, &[Arg::V(mask, View::Full), place], View::Full));
        }
        let code =
            if size == 4 { Code::EVEX_Vmovups_zmm_k1z_zmmm512 } else { Code::EVEX_Vmovupd_zmm_k1z_zmmm512 };
        let def = self.vector();
        let mut insn = Insn::new(code, Some((def, View::Full)), vec![place]);
        (insn.mask, insn.zeroing) = (Some(mask), true);
        self.emit(insn);
        Ok(def)
    }

    /// Elements with a stride between them.
    fn gather(&mut self, o: usize, copy: usize, at: At) -> Out<Vec<V>> {
        let size = self.k.operands[o].dtype.size();
        let mut parts = Vec::new();
        for part in 0..self.lanes * 8 / self.level.bytes() {
            let index = self.lane_offsets(o, copy + at.skip, part)?;
            let mask = self.gather_mask(at.mask, size, part);
            parts.push(self.gather_part(o, index, mask));
        }
        Ok(self.gathered(&parts, size))
    }

    /// The elements at these distances in bytes from where an operand stands, under a mask that is cleared.
    pub(super) fn gather_part(&mut self, o: usize, index: V, mask: V) -> V {
        let size = self.k.operands[o].dtype.size();
        let place = Arg::Mem(self.operand(o, Index::Lanes(index), 0));
        let def = self.vector();
        let view = if size == 4 { View::Half } else { View::Full };
        let (code, args) = match (self.level, size) {
            (Level::Avx512, 4) => (Code::EVEX_Vgatherqps_ymm_k1_vm64z, vec![place]),
            (Level::Avx512, _) => (Code::EVEX_Vgatherqpd_zmm_k1_vm64z, vec![place]),
            (Level::Avx2, 4) => (Code::VEX_Vgatherqps_xmm_vm64y_xmm, vec![place, Arg::V(mask, View::Half)]),
            (Level::Avx2, _) => (Code::VEX_Vgatherqpd_ymm_vm64y_ymm, vec![place, Arg::V(mask, View::Full)]),
        };
        let mut insn = Insn::new(code, Some((def, view)), args);
        insn.mask = (self.level == Level::Avx512).then_some(mask);
        insn.apart = true;
        self.emit(insn);
        def
    }

    /// The registers of a value whose parts, by 64-bit distances, these are.
    pub(super) fn gathered(&mut self, parts: &[V], size: usize) -> Vec<V> {
        if size == 8 { parts.to_vec() } else { vec![self.join(parts[0], parts[1])] }
    }

    /// A mask that a gather may clear: of its own, for the lanes of a part with 64-bit offsets.
    pub(super) fn gather_mask(&mut self, tail: Option<V>, size: usize, part: usize) -> V {
        if self.level == Level::Avx512 {
            return match tail {
                None => {
                    let k0 = Arg::Gpr(Register::K0);
                    self.test(Code::VEX_Kxnorw_kr_kr_kr, &[k0, k0])
                }
                Some(tail) => {
                    let mask = self.mask_for(tail, 8, part);
                    self.test(Code::VEX_Kmovw_kr_km16, &[Arg::V(mask, View::Full)])
                }
            };
        }
        let mask = match tail {
            None => self.bits(u64::MAX, 8),
            Some(tail) if size == 8 => self.mask_for(tail, 8, part),
            Some(tail) if part == 0 => tail,
            Some(tail) => self.upper(tail),
        };
        self.plain(Code::VEX_Vmovaps_ymm_ymmm256, &[Arg::V(mask, View::Full)], View::Full)
    }

    /// Bytes from where an operand stands to each lane of a part of a copy.
    pub(super) fn lane_offsets(&mut self, o: usize, copy: usize, part: usize) -> Out<V> {
        let found = self.offsets.get(&(o, copy, part));
        found.copied().ok_or_else(|| "offsets of lanes that were not made".into())
    }

    /// Makes the offsets of lanes for operands with a stride, for so many copies, at the beginning of the kernel.
    pub(super) fn make_offsets(&mut self, copies: usize) {
        use super::asm::TEMP;
        let Some(axis) = self.k.vector_axis() else { return };
        let per_part = self.level.bytes() / 8;
        for o in 0..self.k.operands.len() {
            let Some(stride) = self.args.strides[o][axis].filter(|_| self.lane_access(o) == Access::Strided)
            else {
                continue;
            };
            for copy in 0..copies {
                for part in 0..self.lanes / per_part {
                    let v = self.vector();
                    let slot = self.home(v);
                    for lane in 0..per_part {
                        self.asm.get(TEMP, stride);
                        self.asm.times(TEMP, (copy * self.lanes + part * per_part + lane) as i32);
                        self.asm.put(slot + 8 * lane as i32, TEMP);
                    }
                    self.offsets.insert((o, copy, part), v);
                }
            }
        }
    }

    /// Writes a value to an operand: the lanes of a copy, or the first where the operand does not move along them.
    pub(super) fn store(&mut self, o: OperandId, v: &[V], copy: usize, at: At) -> Out<()> {
        let (o, d) = (o.index(), self.k.operands[o.index()].dtype);
        match (self.lane_access(o), d) {
            (Access::Zero, _) if at.walked.is_some() => {
                Err("a store that does not move along the lanes".into())
            }
            (Access::Zero, DType::Bool) => {
                let bytes = self.truth_bytes(v[0]);
                let args =
                    vec![Arg::Mem(self.operand(o, Index::None, 0)), Arg::V(bytes, View::Low), Arg::Imm(0)];
                let code = match self.level {
                    Level::Avx2 => Code::VEX_Vpextrb_r32m8_xmm_imm8,
                    Level::Avx512 => Code::EVEX_Vpextrb_r32m8_xmm_imm8,
                };
                self.emit(Insn::new(code, None, args));
                Ok(())
            }
            (Access::Zero, _) if is_small(d) => {
                self.store_one_small(o, v[0]);
                Ok(())
            }
            (Access::Zero, _) => {
                let code = match (self.level, d.size()) {
                    (Level::Avx2, 4) => Code::VEX_Vmovss_m32_xmm,
                    (Level::Avx2, _) => Code::VEX_Vmovsd_m64_xmm,
                    (Level::Avx512, 4) => Code::EVEX_Vmovss_m32_k1_xmm,
                    (Level::Avx512, _) => Code::EVEX_Vmovsd_m64_k1_xmm,
                };
                let args = vec![Arg::Mem(self.operand(o, Index::None, 0)), Arg::V(v[0], View::Low)];
                self.emit(Insn::new(code, None, args));
                Ok(())
            }
            (Access::Unit | Access::Strided, _) if d == DType::Bool || is_small(d) => {
                self.store_narrow(o, v[0], copy, at)
            }
            (Access::Unit, _) => {
                for (chunk, v) in v.iter().enumerate() {
                    self.store_chunk(o, *v, copy, chunk, at);
                }
                Ok(())
            }
            (Access::Strided, _) => self.scatter(o, v, copy, at),
        }
    }

    fn store_chunk(&mut self, o: usize, v: V, copy: usize, chunk: usize, at: At) {
        let size = self.k.operands[o].dtype.size();
        let place = Arg::Mem(self.place(o, copy, chunk, at));
        let mask = at.mask.map(|m| self.mask_for(m, size, chunk));
        let value = Arg::V(v, View::Full);
        let mut insn = match (self.level, mask) {
            (Level::Avx2, None) if self.streaming => {
                Insn::new(Code::VEX_Vmovntps_m256_ymm, None, vec![place, value])
            }
            (Level::Avx512, None) if self.streaming => {
                Insn::new(Code::EVEX_Vmovntps_m512_zmm, None, vec![place, value])
            }
            (Level::Avx2, None) => Insn::new(Code::VEX_Vmovups_ymmm256_ymm, None, vec![place, value]),
            (Level::Avx2, Some(m)) => {
                let code = if size == 4 {
                    Code::VEX_Vmaskmovps_m256_ymm_ymm
                } else {
                    Code::VEX_Vmaskmovpd_m256_ymm_ymm
                };
                Insn::new(code, None, vec![place, Arg::V(m, View::Full), value])
            }
            (Level::Avx512, _) if size == 4 => {
                Insn::new(Code::EVEX_Vmovups_zmmm512_k1z_zmm, None, vec![place, value])
            }
            (Level::Avx512, _) => Insn::new(Code::EVEX_Vmovupd_zmmm512_k1z_zmm, None, vec![place, value]),
        };
        if self.level == Level::Avx512 {
            insn.mask = mask;
        }
        self.emit(insn);
    }

    fn scatter(&mut self, o: usize, v: &[V], copy: usize, at: At) -> Out<()> {
        let size = self.k.operands[o].dtype.size();
        if self.level == Level::Avx2 {
            let slot = self.frame.place(2 * 64, 64);
            for (chunk, v) in v.iter().enumerate() {
                self.store_frame(slot + (chunk * self.level.bytes()) as i32, false, *v);
            }
            return self.copy_apart(o, copy, at, slot, true);
        }
        for part in 0..self.lanes / 8 {
            let index = self.lane_offsets(o, copy + at.skip, part)?;
            let place = Arg::Mem(self.operand(o, Index::Lanes(index), 0));
            let mask = self.gather_mask(at.mask, size, part);
            let (code, value) = match (size, part) {
                (8, _) => (Code::EVEX_Vscatterqpd_vm64z_k1_zmm, Arg::V(v[part], View::Full)),
                (_, 0) => (Code::EVEX_Vscatterqps_vm64z_k1_ymm, Arg::V(v[0], View::Half)),
                (_, _) => (Code::EVEX_Vscatterqps_vm64z_k1_ymm, Arg::V(self.upper(v[0]), View::Half)),
            };
            let mut insn = Insn::new(code, None, vec![place, value]);
            insn.mask = Some(mask);
            self.emit(insn);
        }
        Ok(())
    }

    /// The truth value of the lanes below the number in a slot.
    pub(super) fn lanes_below(&mut self, slot: i32) -> Out<V> {
        let lane = if self.narrow == 4 { Lane::I32 } else { Lane::I64 };
        let code = match (self.level, self.narrow) {
            (Level::Avx2, 4) => Code::VEX_Vpbroadcastd_ymm_xmmm32,
            (Level::Avx2, _) => Code::VEX_Vpbroadcastq_ymm_xmmm64,
            (Level::Avx512, 4) => Code::EVEX_Vpbroadcastd_zmm_k1z_xmmm32,
            (Level::Avx512, _) => Code::EVEX_Vpbroadcastq_zmm_k1z_xmmm64,
        };
        let count = self.plain(code, &[Arg::Mem(Place::frame(slot))], View::Full);
        let lanes = self.lanes_of(0..self.lanes as i64, self.narrow);
        self.less(lane, lanes, count)
    }

    /// A copy of a value in a register of its own.
    pub(super) fn moved(&mut self, v: V) -> V {
        let code = match self.level {
            Level::Avx2 => Code::VEX_Vmovaps_ymm_ymmm256,
            Level::Avx512 => Code::EVEX_Vmovaps_zmm_k1z_zmmm512,
        };
        self.plain(code, &[Arg::V(v, View::Full)], View::Full)
    }

    /// A whole vector from the frame, at the offset in its register where `indexed`.
    pub(super) fn load_frame(&mut self, slot: i32, indexed: bool) -> V {
        let code = match self.level {
            Level::Avx2 => Code::VEX_Vmovups_ymm_ymmm256,
            Level::Avx512 => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        };
        let index = if indexed { Index::Offset } else { Index::None };
        self.plain(code, &[Arg::Mem(Place { index, ..Place::frame(slot) })], View::Full)
    }

    /// The opposite.
    pub(super) fn store_frame(&mut self, slot: i32, indexed: bool, v: V) {
        let code = match self.level {
            Level::Avx2 => Code::VEX_Vmovups_ymmm256_ymm,
            Level::Avx512 => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
        };
        let index = if indexed { Index::Offset } else { Index::None };
        self.emit(Insn::new(
            code,
            None,
            vec![Arg::Mem(Place { index, ..Place::frame(slot) }), Arg::V(v, View::Full)],
        ));
    }

    /// The halves of a vector exchanged, then of those, and so on: what is combined with itself so ends up the same
    /// in all lanes.
    pub(super) fn exchanged(&mut self, v: V, bytes: usize) -> V {
        let full = Arg::V(v, View::Full);
        let (code, args) = match (self.level, bytes) {
            (Level::Avx512, 32) => {
                (Code::EVEX_Vshuff64x2_zmm_k1z_zmm_zmmm512b64_imm8, vec![full, full, Arg::Imm(0x4e)])
            }
            (Level::Avx512, 16) => {
                (Code::EVEX_Vshuff64x2_zmm_k1z_zmm_zmmm512b64_imm8, vec![full, full, Arg::Imm(0xb1)])
            }
            (Level::Avx512, 8) => (Code::EVEX_Vpshufd_zmm_k1z_zmmm512b32_imm8, vec![full, Arg::Imm(0x4e)]),
            (Level::Avx512, _) => (Code::EVEX_Vpshufd_zmm_k1z_zmmm512b32_imm8, vec![full, Arg::Imm(0xb1)]),
            (Level::Avx2, 16) => (Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, vec![full, full, Arg::Imm(1)]),
            (Level::Avx2, 8) => (Code::VEX_Vpshufd_ymm_ymmm256_imm8, vec![full, Arg::Imm(0x4e)]),
            (Level::Avx2, _) => (Code::VEX_Vpshufd_ymm_ymmm256_imm8, vec![full, Arg::Imm(0xb1)]),
        };
        self.plain(code, &args, View::Full)
    }

    /// Whether a value lives in the frame.
    pub(super) fn slot_of(&self, v: V) -> Option<i32> {
        match self.homes.get(&v) {
            Some(Home::Slot(at)) => Some(*at),
            Some(Home::Pool(..)) | None => None,
        }
    }

    /// All lanes of a truth value as integers of all zeros or ones.
    pub(super) fn truth_lanes(&mut self, v: V) -> V {
        if self.level == Level::Avx2 {
            return v;
        }
        let code = if self.narrow == 4 { Code::EVEX_Vpmovm2d_zmm_kr } else { Code::EVEX_Vpmovm2q_zmm_kr };
        self.plain(code, &[Arg::V(v, View::Full)], View::Full)
    }

    /// And back.
    pub(super) fn lanes_truth(&mut self, v: V) -> V {
        if self.level == Level::Avx2 {
            return v;
        }
        let code = if self.narrow == 4 { Code::EVEX_Vpmovd2m_kr_zmm } else { Code::EVEX_Vpmovq2m_kr_zmm };
        self.test(code, &[Arg::V(v, View::Full)])
    }
}
