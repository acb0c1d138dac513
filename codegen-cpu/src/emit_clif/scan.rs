//! Scans: a walk over the scan axis at every parallel point.

use super::Emitter;
use super::eval::Copies;
use super::loops::Point;
use super::memory::memory;
use super::types::Width;
use crate::walk::{Reduction, needed};
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, condcodes::IntCC, types as ct};
use cranelift_frontend::Variable;
use matex_ir::DType;
use matex_ir::loops::canon::SCAN_BLOCK;
use matex_ir::loops::{Combine, InstKind};

/// Where what a scan comes to is found.
#[derive(Clone, Copy)]
pub(super) enum Running {
    /// It is what the last element came to, combined with this one.
    Last(Variable),
    /// In memory, for the block of elements that begins at a position along the axis.
    Block { slot: Value, axis: usize, start: Value },
}

impl Emitter<'_, '_> {
    /// A kernel with a scan axis, which becomes the innermost loop wherever it stands.
    pub(super) fn scan_kernel(&mut self, axis: usize) {
        let axes: Vec<usize> = (0..self.k.axes.len()).collect();
        self.leave_if_empty(&axes);
        let outer: Vec<usize> = axes.into_iter().filter(|a| *a != axis).collect();
        let (open, at) = self.open_all(&outer);
        let scans = self.scans();
        if self.k.vector_axis() == Some(axis) && scans.iter().any(Reduction::ordered) {
            self.scan_blocks(axis, &at, &scans);
        } else {
            for r in &scans {
                let var = self.start(r);
                self.scans.insert(r.id, Running::Last(var));
            }
            let (start, end) = (self.int(0), self.args.extents[axis]);
            self.scan_elements(axis, &at, (start, end));
        }
        self.close_all(open);
    }

    fn scans(&self) -> Vec<Reduction> {
        let mut scans = Vec::new();
        for (id, inst) in self.k.body.iter().enumerate() {
            if let InstKind::Scan { combine, value } = &inst.kind {
                scans.push(Reduction {
                    id,
                    combine: *combine,
                    values: vec![*value],
                    dtypes: vec![inst.dtype],
                });
            }
        }
        scans
    }

    /// What comes before the first element: combining the identity with that gives it, bit for bit.
    fn start(&mut self, r: &Reduction) -> Variable {
        let start = self.identity(r, Width::Scalar);
        let var = self.b.declare_var(Width::Scalar.ty(r.dtypes[0]));
        self.b.def_var(var, start[0]);
        var
    }

    /// Everything at each of some elements.
    fn scan_elements(&mut self, axis: usize, at: &Point, (start, end): (Value, Value)) {
        let wanted = vec![true; self.k.body.len()];
        let (l, inside) = self.open(at, axis, start, end, 1);
        let mut copies = Copies::new(self.k);
        self.eval(&mut copies, &inside, Width::Scalar, 0..self.k.body.len(), &wanted);
        self.store_all(&self.k.stores, &copies, &inside, Width::Scalar);
        self.close(l);
    }

    /// Blocks of the canonical order, of as many elements as the longest of all scans has: what is scanned goes into memory,
    /// is scanned there, and is read by all else.
    fn scan_blocks(&mut self, axis: usize, at: &Point, scans: &[Reduction]) {
        let longest = scans.iter().map(|r| SCAN_BLOCK / r.dtypes[0].size()).max().unwrap_or(1);
        let before: Vec<Variable> = scans.iter().map(|r| self.start(r)).collect();
        let slots: Vec<Value> =
            scans.iter().map(|r| self.slot((longest * r.dtypes[0].size()) as u32)).collect();
        let (body, exit) = (self.b.create_block(), self.b.create_block());
        let start = self.b.append_block_param(body, ct::I64);
        let zero = self.int(0);
        self.b.ins().jump(body, &[BlockArg::from(zero)]);
        self.b.switch_to_block(body);
        let n = self.args.extents[axis];
        let next = self.b.ins().iadd_imm_s(start, longest as i64);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, n);
        let end = self.b.ins().select(more, next, n);
        for ((r, slot), before) in scans.iter().zip(slots).zip(before) {
            let size = r.dtypes[0].size() as i64;
            let (l, inside) = self.open(at, axis, start, end, 1);
            let mut copies = Copies::new(self.k);
            let wanted = needed(self.k, &[r.values[0].index()]);
            self.eval(&mut copies, &inside, Width::Scalar, 0..r.id, &wanted);
            if let Some(x) = copies.get(0, r.values[0]) {
                let place = self.block_place(slot, start, inside.index[axis], size);
                self.b.ins().store(memory(), x, place, 0);
            }
            self.close(l);
            self.scan_block(r, slot, before, longest);
            self.scans.insert(r.id, Running::Block { slot, axis, start });
        }
        self.scan_elements(axis, at, (start, end));
        self.b.ins().brif(more, body, &[BlockArg::from(next)], exit, &[]);
        self.b.switch_to_block(exit);
    }

    /// The address of an element of a block.
    fn block_place(&mut self, slot: Value, start: Value, position: Value, size: i64) -> Value {
        let at = self.b.ins().isub(position, start);
        let bytes = self.b.ins().imul_imm_s(at, size);
        self.b.ins().iadd(slot, bytes)
    }

    /// Scans so many elements in memory. What stands behind the last one that is there has no meaning, and is scanned too.
    fn scan_block(&mut self, r: &Reduction, slot: Value, before: Variable, count: usize) {
        let size = r.dtypes[0].size();
        let ty = Width::Scalar.ty(r.dtypes[0]);
        for first in (0..count).step_by(SCAN_BLOCK / size) {
            let places: Vec<i32> = (first..first + SCAN_BLOCK / size).map(|i| (i * size) as i32).collect();
            let mut sums: Vec<Value> =
                places.iter().map(|p| self.b.ins().load(ty, memory(), slot, *p)).collect();
            let mut distance = 1;
            while distance < sums.len() {
                for i in (distance..sums.len()).rev() {
                    sums[i] = self.combine(r, &[sums[i - distance]], &[sums[i]], Width::Scalar)[0];
                }
                distance *= 2;
            }
            let carried = self.b.use_var(before);
            for (sum, place) in sums.iter().zip(&places) {
                let whole = self.combine(r, &[carried], &[*sum], Width::Scalar)[0];
                self.b.ins().store(memory(), whole, slot, *place);
                self.b.def_var(before, whole);
            }
        }
    }

    /// What a scan comes to at a place.
    pub(super) fn scan_step(
        &mut self,
        id: usize,
        combine: Combine,
        dtype: DType,
        x: Value,
        at: &Point,
    ) -> Value {
        match self.scans.get(&id).copied() {
            Some(Running::Last(var)) => {
                let Some(op) = combine.op() else { return x };
                let before = self.b.use_var(var);
                let next = self.map(op, dtype, &[before, x], Width::Scalar);
                self.b.def_var(var, next);
                next
            }
            Some(Running::Block { slot, axis, start }) => {
                let place = self.block_place(slot, start, at.index[axis], dtype.size() as i64);
                self.b.ins().load(Width::Scalar.ty(dtype), memory(), place, 0)
            }
            None => x,
        }
    }
}
