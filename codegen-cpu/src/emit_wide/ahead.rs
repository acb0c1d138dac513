//! Asking for the next row while one is walked for the second time.
//!
//! A kernel of several stages reads a row from memory in the first and finds it in the nearest cache later on. The CPU fetches ahead
//! only what follows what is read, so that memory would have nothing to do in those later walks.

use super::Emitter;
use super::asm::{POINTERS, POSITION, TEMP, When};
use matex_ir::loops::{Access, InstKind};

/// Bytes of a row from which on the next one would drive it out of the nearer caches.
const NEAR: i32 = 1 << 18;

impl Emitter<'_> {
    /// The operands whose rows the second stage reads, and slots for the distance to the next row along the axis outside: 0
    /// where rows are too long.
    pub(super) fn next_rows(&mut self, axis: usize) -> Vec<(usize, i32)> {
        let (Some(stage), Some(outer)) = (self.k.stages().get(1).cloned(), axis.checked_sub(1)) else {
            return Vec::new();
        };
        let mut found: Vec<usize> = Vec::new();
        for inst in &self.k.body[stage.element] {
            if let InstKind::Load(o) = &inst.kind {
                found.push(o.index());
            }
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|o| {
            *o < POINTERS.len() && !self.written(*o) && self.k.operands[*o].access[axis] == Access::Unit
        });
        let mut ahead = Vec::new();
        for o in found {
            let Some(stride) = self.args.strides[o][outer] else { continue };
            let slot = self.frame.word();
            let far = self.asm.label();
            self.asm.put_const(slot, 0);
            self.asm.get(TEMP, self.args.extents[axis]);
            self.asm.times(TEMP, self.k.operands[o].dtype.size() as i32);
            self.asm.compare_const(TEMP, NEAR);
            self.asm.jump(When::Greater, far);
            self.asm.get(TEMP, stride);
            self.asm.put(slot, TEMP);
            self.asm.bind(far);
            ahead.push((o, slot));
        }
        ahead
    }

    /// Asks for what lies a row further than some copies of the walk at hand, from the one with this number on.
    pub(super) fn ask_ahead(&mut self, first: usize, copies: usize) {
        const LINE: usize = 64;
        for (o, slot) in self.ahead.clone() {
            let size = self.k.operands[o].dtype.size();
            self.asm.get(TEMP, slot);
            self.asm.add(TEMP, POINTERS[o]);
            self.asm.address_of(TEMP, TEMP, POSITION, size as u32);
            let bytes = self.lanes * size;
            let lines = (first * bytes..(first + copies) * bytes).step_by(LINE);
            lines.for_each(|line| self.asm.prefetch(TEMP, line as i32));
        }
    }
}
