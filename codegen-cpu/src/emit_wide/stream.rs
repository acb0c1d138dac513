//! Stores past the caches, for kernels whose operands are together larger than all of them: memory is then written without being
//! read before, and what the caches hold stays.
//!
//! Below that size they would be faster here as well (1.3 times at 24 MB), and slower for whoever reads the result next.

use super::asm::{Label, OFFSET, POINTERS, POSITION, TEMP, When};
use super::level::largest_cache;
use super::values::At;
use super::{Emitter, Out};
use crate::walk::Walk;
use iced_x86::Code;
use matex_ir::loops::Access;
use rustc_hash::FxHashMap;

impl Emitter<'_> {
    /// Notes at the beginning of a call whether results go past the caches: where all that it reads and writes at every point is
    /// larger than the largest of them, so that whoever reads a result next finds it in memory anyway, and none is written over what was
    /// read, which is in the caches. All results have to be contiguous along the lanes.
    pub(super) fn decide_streaming(&mut self) {
        let k = self.k;
        let Some(axis) = k.vector_axis() else { return };
        let mut results = k.stores.iter().map(|s| &k.operands[s.operand.index()]);
        if k.stores.is_empty() || !results.all(|o| o.access[axis] == Access::Unit && o.dtype.size() >= 4) {
            return;
        }
        let moves = |o: &usize| k.operands[*o].access.iter().all(|a| *a != Access::Zero);
        let (read, written): (Vec<usize>, Vec<usize>) =
            (0..k.operands.len()).filter(moves).partition(|o| !self.written(*o));
        let bytes: usize = read.iter().chain(&written).map(|o| k.operands[*o].dtype.size()).sum();
        let limit = self.pool.constant(&(largest_cache() / bytes.max(1)).to_le_bytes());
        let slot = self.frame.word();
        self.asm.put_const(slot, 0);
        self.asm.get(TEMP, self.args.extents[0]);
        for extent in &self.args.extents[1..] {
            self.asm.times_slot(TEMP, *extent);
        }
        let small = self.asm.label();
        self.asm.compare_pool(TEMP, limit);
        self.asm.jump(When::LessOrEqual, small);
        for (o, other) in written.iter().flat_map(|o| read.iter().map(move |other| (*o, *other))) {
            self.asm.get(TEMP, self.at[o]);
            self.asm.compare_slot(TEMP, self.at[other]);
            self.asm.jump(When::Zero, small);
        }
        self.asm.put_const(slot, 1);
        self.asm.bind(small);
        self.streams = Some(slot);
    }

    /// Brings a walk to a place from which it can store past the caches, at the boundary of a vector, by a vector of which only the
    /// lanes in front of that are there. Jumps where it must not store so: results are small, do not come to such boundaries together,
    /// or do not go on for `step` elements behind one. Whether the kernel ever does.
    pub(super) fn begin_streaming(&mut self, walk: &Walk, at: At, step: i32, past: Label) -> Out<bool> {
        let (Some(slot), Some(axis)) = (self.streams, at.walked) else { return Ok(false) };
        self.asm.get(TEMP, slot);
        self.asm.compare_const(TEMP, 0);
        self.asm.jump(When::Zero, past);
        let (skip, whole) = (self.frame.word(), self.asm.label());
        self.until_boundary(walk, past);
        self.asm.put(skip, OFFSET);
        let end = self.end_of(axis);
        self.asm.address(TEMP, POSITION, step);
        self.asm.add(TEMP, OFFSET);
        self.asm.compare_slot(TEMP, end);
        self.asm.jump(When::Greater, past);
        self.asm.compare_const(OFFSET, 0);
        self.asm.jump(When::Zero, whole);
        let mask = self.lanes_below(skip)?;
        self.line(walk, 1, At { mask: Some(mask), left: Some(skip), ..at })?;
        self.flush(&FxHashMap::default())?;
        self.asm.add_slot(POSITION, skip);
        self.seek(axis);
        self.asm.bind(whole);
        Ok(true)
    }

    /// The elements from the position of a walk to where all that it stores is at the boundary of a vector, in the register for
    /// offsets. Jumps where there is no such place.
    fn until_boundary(&mut self, walk: &Walk, none: Label) {
        let vector = self.level.bytes() as i32 - 1;
        for (n, s) in walk.stores.iter().enumerate() {
            let o = s.operand.index();
            let size = self.k.operands[o].dtype.size();
            let base = match POINTERS.get(o) {
                Some(r) => *r,
                None => {
                    self.asm.get(TEMP, self.walk[o]);
                    TEMP
                }
            };
            self.asm.address_of(TEMP, base, POSITION, size as u32);
            if n == 0 {
                self.asm.zero(OFFSET);
                self.asm.sub(OFFSET, TEMP);
                self.asm.and_const(OFFSET, vector);
                (0..size.ilog2()).for_each(|_| self.asm.halve(OFFSET));
            }
            self.asm.address_of(TEMP, TEMP, OFFSET, size as u32);
            self.asm.test_bits(TEMP, vector);
            self.asm.jump(When::NotZero, none);
        }
    }

    /// Has what was stored past the caches seen before all that follows: once, at the end of a kernel.
    pub(super) fn end_streaming(&mut self) {
        let Some(slot) = self.streams else { return };
        let none = self.asm.label();
        self.asm.get(TEMP, slot);
        self.asm.compare_const(TEMP, 0);
        self.asm.jump(When::Zero, none);
        self.asm.plain(Code::Sfence);
        self.asm.bind(none);
    }
}
