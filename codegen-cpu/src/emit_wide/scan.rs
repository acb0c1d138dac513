//! Running combinations, in the canonical order.
//!
//! Along the innermost axis a block of 64 bytes is scanned in registers by doubling, and what came before it is combined
//! with all of it at once: the chain from block to block is one operation long. Along any other axis a tile of the
//! innermost one holds a running value in each lane.

use super::asm::{POSITION, TEMP, When};
use super::column::Tile;
use super::level::Level;
use super::mir::{Arg, V, View};
use super::nest::{Open, Plan};
use super::values::At;
use super::walk::wanted;
use super::{Emitter, Out};
use crate::walk::{Reduction, Walk};
use iced_x86::Code;
use matex_ir::loops::canon::SCAN_BLOCK;
use matex_ir::loops::{InstId, InstKind, Kernel, Stage};
use rustc_hash::FxHashMap;

/// The registers of a value, by copy.
type Copies = Vec<Vec<V>>;

/// Vectors that are scanned at a time: of the AVX2 level two make a block.
const COPIES: usize = 2;

impl Emitter<'_> {
    /// A kernel with a scan axis.
    pub(super) fn scan_kernel(&mut self, axis: usize) -> Out<()> {
        let plan = self.plan(Some(axis));
        let scans = scans(self.k);
        let stage = Stage { element: 0..self.k.body.len(), point: self.k.body.len()..self.k.body.len() };
        let walk = Walk::of(self.k, &stage, axis);
        if self.k.vector_axis() == Some(axis) {
            self.make_offsets(COPIES);
            let before: Vec<V> = scans.iter().map(|_| self.running()).collect();
            let open: Vec<Open> = (0..axis).map(|a| self.open(a)).collect();
            self.still(&plan, &stage, 1, At::POINT)?;
            self.scan_row(&walk, axis, &scans, &before)?;
            open.into_iter().rev().for_each(|o| self.close(o));
            return Ok(());
        }
        let registers = scans.iter().map(|s| self.chunks(s.dtypes[0])).sum();
        let tile = self.tile_of(registers);
        self.over_tiles(axis, tile, &mut |e, tile| e.scan_columns(&plan, &stage, &walk, axis, &scans, tile))
    }

    /// A value that changes from turn to turn.
    fn running(&mut self) -> V {
        let v = self.vector();
        self.home(v);
        v
    }

    /// A walk along the innermost axis: whole pairs of vectors, then what is left under masks.
    fn scan_row(&mut self, walk: &Walk, axis: usize, scans: &[Reduction], before: &[V]) -> Out<()> {
        let states: Vec<_> = before.iter().map(|v| vec![vec![*v]]).collect();
        self.set_all(scans, &states, |e, r| e.identity(r))?;
        let end = self.args.extents[axis];
        self.load_pointers();
        self.asm.zero(POSITION);
        self.seek(axis);
        let at = At { walked: Some(axis), ..At::POINT };
        self.scan_line(walk, scans, before, &[at; COPIES])?;
        let pins = self.pins(before);
        let step = (COPIES * self.lanes) as i32;
        let (top, past, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.address(TEMP, POSITION, step);
        self.asm.compare_slot(TEMP, end);
        self.asm.jump(When::Greater, past);
        self.load_pins(&pins);
        self.asm.bind(top);
        self.flush(&pins)?;
        self.advance(axis, COPIES * self.lanes);
        self.asm.add_const(POSITION, step);
        self.asm.address(TEMP, POSITION, step);
        self.asm.compare_slot(TEMP, end);
        self.asm.jump(When::LessOrEqual, top);
        self.store_pins(&pins, before);
        self.asm.bind(past);
        self.left_until(end);
        self.asm.jump(When::LessOrEqual, done);
        let mut tail = Vec::new();
        for copy in 0..COPIES {
            let left = self.frame.word();
            self.asm.get(TEMP, self.left);
            self.asm.add_const(TEMP, -((copy * self.lanes) as i32));
            self.asm.put(left, TEMP);
            tail.push(left);
        }
        let mut ats = Vec::new();
        for left in tail {
            ats.push(At { mask: Some(self.lanes_below(left)?), left: Some(left), ..at });
        }
        self.scan_line(walk, scans, before, &ats)?;
        self.flush(&FxHashMap::default())?;
        self.asm.bind(done);
        Ok(())
    }

    /// Selects a line of the walk, a copy at each place.
    fn scan_line(&mut self, walk: &Walk, scans: &[Reduction], before: &[V], ats: &[At]) -> Out<()> {
        let ids = wanted(walk);
        self.forget(&ids, ats.len());
        self.eval_around(&ids, ats, scans, |e, n, r, x| {
            let registers: Vec<V> = x.into_iter().flatten().collect();
            let scanned = e.scan_blocks(r, before[n], &registers)?;
            Ok(scanned.chunks(registers.len() / ats.len()).map(<[V]>::to_vec).collect())
        })?;
        for (copy, at) in ats.iter().enumerate() {
            self.store_copy(walk, copy, *at)?;
        }
        Ok(())
    }

    /// Evaluates instructions, and `scan` in their order: which one it is, and its values by copy in and out.
    fn eval_around(
        &mut self,
        ids: &[usize],
        ats: &[At],
        scans: &[Reduction],
        mut scan: impl FnMut(&mut Self, usize, &Reduction, Copies) -> Out<Copies>,
    ) -> Out<()> {
        let mut rest = ids;
        for (n, r) in scans.iter().enumerate() {
            let Some(at) = rest.iter().position(|id| *id == r.id) else { continue };
            self.eval_each(&rest[..at], ats)?;
            let mut values = Vec::new();
            for copy in 0..ats.len() {
                values.push(self.get(copy, r.values[0])?);
            }
            for (copy, value) in scan(self, n, r, values)?.into_iter().enumerate() {
                self.values[copy][r.id] = Some(value);
            }
            rest = &rest[at + 1..];
        }
        self.eval_each(rest, ats)
    }

    /// Registers in the order of their elements, scanned block by block after what came before them, which becomes what comes
    /// before the next ones.
    fn scan_blocks(&mut self, r: &Reduction, before: V, registers: &[V]) -> Out<Vec<V>> {
        let d = r.dtypes[0];
        let op = r.combine.op().ok_or("a scan of states")?;
        self.of = Some(InstId(r.id as u32));
        let identity = self.identity(r)[0][0];
        let (mut carried, mut out) = (before, Vec::new());
        for block in registers.chunks(SCAN_BLOCK / self.level.bytes()) {
            let mut sums = block.to_vec();
            let mut distance = d.size();
            while distance < SCAN_BLOCK {
                for n in (0..sums.len()).rev() {
                    let lower = if n == 0 { identity } else { sums[n - 1] };
                    if let Some(shifted) = self.shifted(lower, sums[n], distance, n == 0) {
                        sums[n] = self.combine_one(op, d, shifted, sums[n])?;
                    }
                }
                distance *= 2;
            }
            for sum in &sums {
                out.push(self.combine_one(op, d, carried, *sum)?);
            }
            let last = self.last_lane(sums[sums.len() - 1], d.size());
            carried = self.combine_one(op, d, carried, last)?;
        }
        self.assign_one(before, carried);
        Ok(out)
    }

    /// The lanes that stand so many bytes before those of `v`, where `lower` is the register before it; `None` where they
    /// are all before the block.
    fn shifted(&mut self, lower: V, v: V, bytes: usize, first: bool) -> Option<V> {
        let full = |v: V| Arg::V(v, View::Full);
        if self.level == Level::Avx512 {
            let shift = Arg::Imm(((SCAN_BLOCK - bytes) / 4) as u8);
            let code = Code::EVEX_Valignd_zmm_k1z_zmm_zmmm512b32_imm8;
            return Some(self.plain(code, &[full(v), full(lower), shift], View::Full));
        }
        if bytes >= self.level.bytes() {
            return (!first).then_some(lower);
        }
        // The upper half of the one before, and the lower half of this.
        let code = Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8;
        let across = self.plain(code, &[full(lower), full(v), Arg::Imm(0x21)], View::Full);
        if bytes == 16 {
            return Some(across);
        }
        let code = Code::VEX_Vpalignr_ymm_ymm_ymmm256_imm8;
        Some(self.plain(code, &[full(v), full(across), Arg::Imm((16 - bytes) as u8)], View::Full))
    }

    /// The last lane of a register in all lanes.
    fn last_lane(&mut self, v: V, size: usize) -> V {
        let words = (self.level.bytes() / 4) as i64;
        let each = (size / 4) as i64;
        let index = self.lanes_of((0..words).map(|n| words - each + n % each), 4);
        let code = match self.level {
            Level::Avx2 => Code::VEX_Vpermps_ymm_ymm_ymmm256,
            Level::Avx512 => Code::EVEX_Vpermps_zmm_k1z_zmm_zmmm512b32,
        };
        self.plain(code, &[Arg::V(index, View::Full), Arg::V(v, View::Full)], View::Full)
    }

    /// The rows of a tile of columns, one after the other.
    fn scan_columns(
        &mut self,
        plan: &Plan,
        stage: &Stage,
        walk: &Walk,
        axis: usize,
        scans: &[Reduction],
        Tile { copies, at }: Tile,
    ) -> Out<()> {
        self.still(plan, stage, copies, at)?;
        let mut running: Vec<Vec<Vec<V>>> = Vec::new();
        for r in scans {
            let states: Vec<_> = (0..copies).map(|_| self.state(r)).collect();
            for state in &states {
                self.set_all(std::slice::from_ref(r), std::slice::from_ref(state), |e, r| e.identity(r))?;
            }
            running.push(states.into_iter().map(|mut s| s.swap_remove(0)).collect());
        }
        self.asm.zero(POSITION);
        self.load_pointers();
        let ids = wanted(walk);
        self.forget(&ids, copies);
        let ats = vec![At { walked: Some(axis), ..at }; copies];
        self.eval_around(&ids, &ats, scans, |e, n, r, x| {
            let op = r.combine.op().ok_or("a scan of states")?;
            e.of = Some(InstId(r.id as u32));
            for (x, running) in x.iter().zip(&running[n]) {
                for (x, running) in x.iter().zip(running) {
                    let next = e.combine_one(op, r.dtypes[0], *running, *x)?;
                    e.assign_one(*running, next);
                }
            }
            Ok(running[n].clone())
        })?;
        for (copy, at) in ats.iter().enumerate() {
            self.store_copy(walk, copy, *at)?;
        }
        let changed: Vec<V> = running.into_iter().flatten().flatten().collect();
        let mut first = changed.clone();
        first.extend(at.mask);
        let pins = self.pins(&first);
        self.load_pins(&pins);
        let (top, end) = (self.asm.label(), self.args.extents[axis]);
        self.asm.bind(top);
        self.flush(&pins)?;
        self.advance(axis, 1);
        self.asm.add_const(POSITION, 1);
        self.asm.compare_slot(POSITION, end);
        self.asm.jump(When::Less, top);
        Ok(())
    }
}

/// The scans of a kernel, in their order.
fn scans(k: &Kernel) -> Vec<Reduction> {
    let found = k.body.iter().enumerate().filter_map(|(id, inst)| match &inst.kind {
        InstKind::Scan { combine, value } => {
            Some(Reduction { id, combine: *combine, values: vec![*value], dtypes: vec![inst.dtype] })
        }
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Index(_)
        | InstKind::Const(_)
        | InstKind::Map(..)
        | InstKind::Cast(_)
        | InstKind::Bitcast(_)
        | InstKind::Rescue(..)
        | InstKind::Reduce { .. }
        | InstKind::Part { .. } => None,
    });
    found.collect()
}
