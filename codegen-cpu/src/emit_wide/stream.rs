//! Stores past the caches, for results that are larger than all of them: memory is then written without being read
//! before, and what the caches hold stays.

use super::Emitter;
use super::asm::{Label, POINTERS, POSITION, TEMP, When};
use super::level::largest_cache;
use crate::walk::Walk;
use matex_ir::loops::Access;

impl Emitter<'_> {
    /// Notes at the beginning of a call whether its results are that large. All have to be contiguous along the lanes.
    pub(super) fn decide_streaming(&mut self) {
        let k = self.k;
        let Some(axis) = k.vector_axis() else { return };
        let results = || k.stores.iter().map(|s| &k.operands[s.operand.index()]);
        let contiguous = results().all(|o| o.access[axis] == Access::Unit && o.dtype.size() >= 4);
        let Some(size) = results().map(|o| o.dtype.size()).max().filter(|_| contiguous) else { return };
        let limit = self.pool.constant(&(largest_cache() / size).to_le_bytes());
        let slot = self.frame.word();
        self.asm.put_const(slot, 0);
        self.asm.get(TEMP, self.args.extents[0]);
        for extent in &self.args.extents[1..] {
            self.asm.times_slot(TEMP, *extent);
        }
        let small = self.asm.label();
        self.asm.compare_pool(TEMP, limit);
        self.asm.jump(When::LessOrEqual, small);
        self.asm.put_const(slot, 1);
        self.asm.bind(small);
        self.streams = Some(slot);
    }

    /// Jumps where a walk from here must not store past the caches: results are small, or not aligned to vectors. Whether
    /// the kernel ever does.
    pub(super) fn unless_streaming(&mut self, walk: &Walk, past: Label) -> bool {
        let Some(slot) = self.streams else { return false };
        self.asm.get(TEMP, slot);
        self.asm.compare_const(TEMP, 0);
        self.asm.jump(When::Zero, past);
        for s in &walk.stores {
            let o = s.operand.index();
            let size = self.k.operands[o].dtype.size() as u32;
            let base = match POINTERS.get(o) {
                Some(r) => *r,
                None => {
                    self.asm.get(TEMP, self.walk[o]);
                    TEMP
                }
            };
            self.asm.address_of(TEMP, base, POSITION, size);
            self.asm.test_bits(TEMP, self.level.bytes() as i32 - 1);
            self.asm.jump(When::NotZero, past);
        }
        true
    }
}
