//! Asking for memory before it is read: for the next row while one is walked for the second time, and in a walk over memory that is read
//! once for what lies some lines further, as the CPU by itself does not ask for enough at a time.
//!
//! A kernel of several stages reads a row from memory in the first and finds it in the nearest cache later on. The CPU fetches ahead
//! only what follows what is read, so that memory would have nothing to do in those later walks.

use super::Emitter;
use super::asm::{POINTERS, POSITION, TEMP, When};
use super::walk::wanted;
use crate::walk::Walk;
use matex_ir::loops::{Access, InstKind, Kernel, OperandId};

/// Bytes of a row from which on the next one would drive it out of the nearer caches.
const NEAR: i32 = 1 << 18;

/// Bytes of a line of the caches.
const LINE: usize = 64;

impl Emitter<'_> {
    /// The operands whose rows the second stage reads, and slots for the distance to the next row along the axis outside: 0
    /// where rows are too long.
    pub(super) fn next_rows(&mut self, axis: usize) -> Vec<(usize, i32)> {
        let (Some(stage), Some(outer)) = (self.k.stages().get(1).cloned(), axis.checked_sub(1)) else {
            return Vec::new();
        };
        let mut found = operands(self.k, stage.element);
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

    /// In a kernel of one walk asks for what lies further along the walk at hand.
    pub(super) fn ask_further(&mut self, walk: &Walk, first: usize, copies: usize) {
        /// Bytes, enough of them on their way for the last cache and for memory (a sum of f64 by 118 and 135 GB/s, by 40 and 44).
        const FURTHER: usize = 2048;
        if self.k.stages().len() > 1 {
            return;
        }
        let axis = self.k.vector_axis();
        for o in operands(self.k, wanted(walk)) {
            let operand = &self.k.operands[o];
            let size = operand.dtype.size();
            if o >= POINTERS.len() || axis.is_none_or(|a| operand.access[a] != Access::Unit) || size < 4 {
                continue;
            }
            self.asm.address_of(TEMP, POINTERS[o], POSITION, size as u32);
            let bytes = self.lanes * size;
            let lines = (first * bytes..(first + copies) * bytes).step_by(LINE);
            lines.for_each(|line| self.asm.prefetch(TEMP, (FURTHER + line) as i32));
        }
    }
}

/// The operands that some instructions load.
fn operands(k: &Kernel, insts: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let read = |o: &usize, id: usize| k.body[id].kind == InstKind::Load(OperandId(*o as u32));
    let ids: Vec<usize> = insts.into_iter().collect();
    (0..k.operands.len()).filter(|o| ids.iter().any(|id| read(o, *id))).collect()
}
