//! Instructions of the loop IR as machine instructions.

use super::alloc::Home;
use super::codes::{Do, Lane, code};
use super::level::Level;
use super::mir::{Arg, Index, Insn, Item, Place, V, View};
use super::small::is_small;
use super::{Emitter, Out};
use matex_ir::loops::{InstId, InstKind};
use matex_ir::{DType, Scalar};

/// Where in its walk a line stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// The axis that is walked, with its position in the register for that; none where only a point is computed.
    pub(super) walked: Option<usize>,
    /// How many vectors further the first copy stands.
    pub(super) skip: usize,
    /// Lanes that are there, as a truth value; all when there is none.
    pub(super) mask: Option<V>,
    /// The slot of how many those are, where it is not that of the kernel.
    pub(super) left: Option<i32>,
}

impl At {
    /// Between walks.
    pub(super) const POINT: At = At { walked: None, skip: 0, mask: None, left: None };
}

/// How the lanes of a dtype are read; truth values as integers of the narrowest size.
pub(super) fn lane(d: DType, narrow: usize) -> Lane {
    match d {
        DType::F32 => Lane::F32,
        DType::F64 => Lane::F64,
        DType::I32 => Lane::I32,
        DType::U32 => Lane::U32,
        DType::U64 => Lane::U64,
        DType::I64 => Lane::I64,
        // With a small number in a kernel its lanes have 32 bits.
        DType::Bool | DType::F16 | DType::BF16 | DType::I8 | DType::I16 | DType::U8 | DType::U16 => {
            if narrow == 4 { Lane::I32 } else { Lane::I64 }
        }
    }
}

impl Emitter<'_> {
    /// How many registers a value of this dtype takes.
    pub(super) fn chunks(&self, d: DType) -> usize {
        if d == DType::Bool { 1 } else { self.width(d) * self.lanes / self.level.bytes() }
    }

    pub(super) fn lane_of(&self, d: DType) -> Lane {
        lane(d, self.narrow)
    }

    pub(super) fn dtype(&self, id: InstId) -> DType {
        self.k.inst(id).dtype
    }

    /// Evaluates some instructions in every copy, loads before everything else, unless they are known.
    pub(super) fn eval(&mut self, insts: &[usize], copies: usize, at: At) -> Out<()> {
        self.eval_each(insts, &vec![at; copies])
    }

    /// The same where each copy has a place of its own.
    pub(super) fn eval_each(&mut self, insts: &[usize], ats: &[At]) -> Out<()> {
        for loads in [true, false] {
            for (copy, at) in ats.iter().enumerate() {
                for id in insts {
                    let load = matches!(self.k.body[*id].kind, InstKind::Load(_));
                    if load == loads && self.values[copy][*id].is_none() && !self.absorbed[*id] {
                        let v = self.inst(*id, copy, *at)?;
                        self.values[copy][*id] = Some(v);
                    }
                }
            }
        }
        Ok(())
    }

    /// The registers of a value in a copy. What was not computed for the copy is that of the first.
    pub(super) fn get(&mut self, copy: usize, id: InstId) -> Out<Vec<V>> {
        if let InstKind::Const(s) = &self.k.inst(id).kind {
            return Ok(self.constant(*s));
        }
        let known = self.values.get(copy).and_then(|v| v[id.index()].clone());
        let known = known.or_else(|| self.values[0][id.index()].clone());
        known.ok_or_else(|| format!("%{} is used before it is known", id.0))
    }

    fn inst(&mut self, id: usize, copy: usize, at: At) -> Out<Vec<V>> {
        self.of = Some(InstId(id as u32));
        if let Some(v) = self.clamp(id, copy)? {
            return Ok(v);
        }
        let inst = &self.k.body[id];
        let mut args = Vec::new();
        for a in inst.kind.args() {
            args.push(self.get(copy, *a)?);
        }
        match &inst.kind {
            InstKind::Load(o) => self.load(*o, copy, at),
            InstKind::Const(s) => Ok(self.constant(*s)),
            InstKind::Index(axis) => self.index(*axis as usize, copy, at),
            InstKind::Map(op, ids) => {
                // `select` begins with a bool, and its other operands decide.
                let d = ids.last().map_or(DType::Bool, |id| self.dtype(*id));
                self.map(*op, d, &args)
            }
            InstKind::Cast(a) => self.cast(&args[0], self.dtype(*a), inst.dtype),
            InstKind::Bitcast(_) if is_small(inst.dtype) => Ok(vec![self.wrapped(inst.dtype, args[0][0])?]),
            InstKind::Bitcast(_) => Ok(args.swap_remove(0)),
            InstKind::Rescue(op, _) => Ok(self.rescue(*op, inst.dtype, &args)),
            InstKind::LoadAt { operand, .. } => self.load_at(*operand, &args, copy, at),
            InstKind::Part { of, component } => {
                let parts = self.parts.get(&(copy, of.index()));
                let part = parts.and_then(|p| p.get(*component as usize)).cloned();
                part.ok_or_else(|| format!("%{} is taken apart before it is known", of.0))
            }
            // Known when all elements are, or put in by what goes around.
            InstKind::Reduce { .. } | InstKind::Scan { .. } => Err("a reduction in a line".into()),
        }
    }

    /// Adds an instruction with a result of its own.
    pub(super) fn emit(&mut self, insn: Insn) {
        self.items.push(Item::Insn(Insn { of: self.of, ..insn }));
    }

    /// `def = what(args)` on whole vectors.
    pub(super) fn op(&mut self, what: Do, lane: Lane, args: &[V]) -> Out<V> {
        let code = code(self.level, what, lane).ok_or_else(|| format!("{what:?} of {lane:?} lanes"))?;
        let def = self.vector();
        let args = args.iter().map(|v| Arg::V(*v, View::Full)).collect();
        let mut insn = Insn::new(code, Some((def, View::Full)), args);
        insn.folds = Some(lane.size());
        // Min and max give the second operand for NaN and equal zeros.
        let float_extreme = lane.is_float() && matches!(what, Do::Min | Do::Max);
        insn.commutes = matches!(what, Do::Add | Do::Mul | Do::And | Do::Or | Do::Xor | Do::Min | Do::Max)
            && !float_extreme;
        self.emit(insn);
        Ok(def)
    }

    /// The same with a number in the instruction.
    pub(super) fn op_imm(&mut self, what: Do, lane: Lane, a: V, imm: u8) -> Out<V> {
        let code = code(self.level, what, lane).ok_or_else(|| format!("{what:?} of {lane:?} lanes"))?;
        Ok(self.plain(code, &[Arg::V(a, View::Full), Arg::Imm(imm)], View::Full))
    }

    /// A vector result of any instruction.
    pub(super) fn plain(&mut self, code: iced_x86::Code, args: &[Arg], view: View) -> V {
        let def = self.vector();
        self.emit(Insn::new(code, Some((def, view)), args.to_vec()));
        def
    }

    /// A truth value as the result of any instruction.
    pub(super) fn test(&mut self, code: iced_x86::Code, args: &[Arg]) -> V {
        let def = self.truth();
        self.emit(Insn::new(code, Some((def, View::Full)), args.to_vec()));
        def
    }

    /// A constant in all lanes.
    pub(super) fn constant(&mut self, s: Scalar) -> Vec<V> {
        let d = s.dtype();
        if d == DType::Bool {
            return vec![self.truth_constant(s.bits() != 0)];
        }
        // A small integer is its number in 32 bits.
        let bits = if is_small(d) && d.is_int() { s.to_i128() as u64 } else { s.bits() };
        let v = self.bits(bits, self.width(d));
        vec![v; self.chunks(d)]
    }

    /// A truth value that is known.
    pub(super) fn truth_constant(&mut self, value: bool) -> V {
        let ones = if value { u64::MAX } else { 0 };
        if self.level == Level::Avx2 {
            return self.bits(ones, self.narrow);
        }
        let at = self.pool.constant(&(ones as u16).to_le_bytes());
        self.known_constant(Home::Pool(at, 2), true)
    }

    /// A vector with these bits in every lane of this size.
    pub(super) fn bits(&mut self, bits: u64, size: usize) -> V {
        let word = &bits.to_le_bytes()[..size];
        let repeat = if self.level == Level::Avx2 { 32 / size } else { 1 };
        let at = self.pool.constant(&word.repeat(repeat));
        self.known_constant(Home::Pool(at, size), false)
    }

    /// A vector with these lanes of 8 bytes, or 4.
    pub(super) fn lanes_of(&mut self, values: impl Iterator<Item = i64>, size: usize) -> V {
        let bytes: Vec<u8> = values.flat_map(|v| v.to_le_bytes()[..size].to_vec()).collect();
        let at = self.pool.constant(&bytes);
        self.known_constant(Home::Pool(at, 0), false)
    }

    /// The one value whose home this is.
    fn known_constant(&mut self, home: Home, mask: bool) -> V {
        let found = self.homes.iter().find(|(v, h)| **h == home && v.mask == mask).map(|(v, _)| *v);
        found.unwrap_or_else(|| {
            self.next += 1;
            let v = V { id: self.next, mask };
            self.homes.insert(v, home);
            v
        })
    }

    /// Positions along an axis; along the vector axis they count up from lane to lane.
    fn index(&mut self, axis: usize, copy: usize, at: At) -> Out<Vec<V>> {
        let all =
            if at.walked == Some(axis) { self.position() } else { self.word_lanes(self.args.index[axis]) };
        let chunks = self.chunks(DType::I64);
        if self.k.vector_axis() != Some(axis) {
            return Ok(vec![all; chunks]);
        }
        let mut out = Vec::new();
        for chunk in 0..chunks {
            let in_chunk = (self.level.bytes() / 8) as i64;
            let first = (copy + at.skip) as i64 * self.lanes as i64 + chunk as i64 * in_chunk;
            let counting = self.lanes_of(first..first + in_chunk, 8);
            out.push(self.op(Do::Add, Lane::I64, &[all, counting])?);
        }
        Ok(out)
    }

    /// A word of the frame in every lane.
    pub(super) fn word_lanes(&mut self, slot: i32) -> V {
        let code = match self.level {
            Level::Avx2 => iced_x86::Code::VEX_Vpbroadcastq_ymm_xmmm64,
            Level::Avx512 => iced_x86::Code::EVEX_Vpbroadcastq_zmm_k1z_xmmm64,
        };
        self.plain(code, &[Arg::Mem(Place::frame(slot))], View::Full)
    }

    /// The position of the walk in every lane.
    pub(super) fn position(&mut self) -> V {
        use super::asm::POSITION;
        use iced_x86::Code;
        match self.level {
            Level::Avx512 => {
                self.plain(Code::EVEX_Vpbroadcastq_zmm_k1z_r64, &[Arg::Gpr(POSITION)], View::Full)
            }
            Level::Avx2 => {
                let low = self.plain(Code::VEX_Vmovq_xmm_rm64, &[Arg::Gpr(POSITION)], View::Low);
                self.plain(Code::VEX_Vpbroadcastq_ymm_xmmm64, &[Arg::V(low, View::Low)], View::Full)
            }
        }
    }

    /// Makes a value of the line at hand live in the frame, so that later lines can use it.
    pub(super) fn keep(&mut self, v: V) {
        if !self.homes.contains_key(&v) {
            self.home(v);
        }
    }

    /// An index for addresses: the position of a walk along the vector axis.
    pub(super) fn walk_index(&self, at: At, size: usize) -> Index {
        if at.walked.is_some() && at.walked == self.k.vector_axis() {
            Index::Position(size as u32)
        } else {
            Index::None
        }
    }
}
