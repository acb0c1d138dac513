//! Kernels whose axes are all parallel, and walks that combine nothing.

use super::asm::{POSITION, TEMP, When};
use super::level::Level;
use super::nest::Open;
use super::schedule;
use super::values::At;
use super::{Emitter, Out};
use crate::walk::Walk;
use matex_ir::loops::{Access, InstKind, Store};
use rustc_hash::FxHashMap;

/// The most instructions of a body of which a turn has two copies.
const TWICE: usize = schedule::MOST / 2;

impl Emitter<'_> {
    /// A kernel whose axes are all parallel.
    pub(super) fn map_kernel(&mut self) -> Out<()> {
        let axes: Vec<usize> = (0..self.k.axes.len()).collect();
        let Some((&inner, outer)) = axes.split_last() else { return self.one_point() };
        let plan = self.plan(Some(inner));
        self.make_offsets(1);
        self.decide_streaming();
        let open: Vec<Open> = outer.iter().map(|a| self.open(*a)).collect();
        for stage in self.k.stages() {
            self.still(&plan, &stage, 1, At::POINT)?;
            self.elements(&Walk::of(self.k, &stage, inner), inner)?;
        }
        open.into_iter().rev().for_each(|o| self.close(o));
        self.end_streaming();
        Ok(())
    }

    /// A kernel without axes.
    fn one_point(&mut self) -> Out<()> {
        let plan = self.plan(None);
        self.load_pointers();
        let ids: Vec<usize> = (0..self.k.body.len()).filter(|id| plan.used[*id]).collect();
        self.eval(&ids, 1, At::POINT)?;
        for s in &self.k.stores {
            self.store_value(s, 0, At::POINT)?;
        }
        self.flush(&FxHashMap::default())
    }

    /// A walk along the innermost axis: unrolled vectors, vectors, and a tail under a mask.
    pub(super) fn elements(&mut self, walk: &Walk, axis: usize) -> Out<()> {
        let end = self.end_of(axis);
        self.load_pointers();
        self.first_of(axis);
        self.seek(axis);
        let at = At { walked: Some(axis), ..At::POINT };
        // With stores past the caches, unrolled, one by one.
        let unrolled = self.unroll(walk);
        let mut tiers = vec![(true, unrolled), (false, unrolled), (false, 1)];
        tiers.dedup();
        for (streaming, copies) in tiers {
            let (top, past) = (self.asm.label(), self.asm.label());
            let step = (copies * self.lanes) as i32;
            if streaming && !self.begin_streaming(walk, at, step, past)? {
                continue;
            }
            self.streaming = streaming;
            self.line(walk, copies, at)?;
            self.streaming = false;
            let pins = self.pins(&[]);
            self.asm.address(TEMP, POSITION, step);
            self.asm.compare_slot(TEMP, end);
            self.asm.jump(When::Greater, past);
            self.load_pins(&pins);
            self.asm.bind(top);
            self.flush(&pins)?;
            self.ask_ahead(0, copies);
            self.advance(axis, copies * self.lanes);
            self.asm.add_const(POSITION, step);
            self.asm.address(TEMP, POSITION, step);
            self.asm.compare_slot(TEMP, end);
            self.asm.jump(When::LessOrEqual, top);
            self.asm.bind(past);
        }
        let done = self.asm.label();
        self.left_until(end);
        self.asm.jump(When::LessOrEqual, done);
        let mask = self.lanes_below(self.left)?;
        self.line(walk, 1, At { mask: Some(mask), ..at })?;
        self.flush(&FxHashMap::default())?;
        self.asm.bind(done);
        Ok(())
    }

    /// Notes how many positions are left until the one in a slot, and compares that with 0.
    pub(super) fn left_until(&mut self, end: i32) {
        let left = self.left;
        self.asm.get(TEMP, end);
        self.asm.sub(TEMP, POSITION);
        self.asm.put(left, TEMP);
        self.asm.compare_const(TEMP, 0);
    }

    /// Selects what a walk evaluates and writes in so many copies.
    pub(super) fn line(&mut self, walk: &Walk, copies: usize, at: At) -> Out<()> {
        let ids = wanted(walk);
        self.forget(&ids, copies);
        self.eval(&ids, copies, at)?;
        self.store_elements(walk, copies, at)
    }

    /// Writes what a walk writes at every element.
    pub(super) fn store_elements(&mut self, walk: &Walk, copies: usize, at: At) -> Out<()> {
        (0..copies).try_for_each(|copy| self.store_copy(walk, copy, at))
    }

    /// The same for one copy.
    pub(super) fn store_copy(&mut self, walk: &Walk, copy: usize, at: At) -> Out<()> {
        walk.stores.iter().try_for_each(|s| self.store_value(s, copy, at))
    }

    /// Writes a value of a copy.
    pub(super) fn store_value(&mut self, s: &Store, copy: usize, at: At) -> Out<()> {
        self.of = Some(s.value);
        let v = self.get(copy, s.value)?;
        self.store(s.operand, &v, copy, at)
    }

    /// How many copies of a body are worth having in one turn. An elementary function is one long chain, and a body of several
    /// of them is longer than what the CPU looks ahead, so that a second copy fills the time in which the first one waits; bodies
    /// that no scheduler puts side by side gain nothing. The loads of all copies come first and need registers.
    fn unroll(&self, walk: &Walk) -> usize {
        let ids = wanted(walk);
        let loads = ids.iter().filter_map(|id| match self.k.body[*id].kind {
            InstKind::Load(o) | InstKind::LoadAt { operand: o, .. } => Some(o.index()),
            InstKind::Index(_)
            | InstKind::Const(_)
            | InstKind::Map(..)
            | InstKind::Rescue(..)
            | InstKind::Cast(_)
            | InstKind::Bitcast(_)
            | InstKind::Reduce { .. }
            | InstKind::Part { .. }
            | InstKind::Scan { .. } => None,
        });
        let operands: Vec<usize> = loads.chain(walk.stores.iter().map(|s| s.operand.index())).collect();
        let axis = self.k.vector_axis().unwrap_or(0);
        if operands.iter().any(|o| self.k.operands[*o].access[axis] == Access::Strided) {
            return 1;
        }
        let limit = match ids.len() {
            0..=24 => 4,
            25..=TWICE => 2,
            _ => 1,
        };
        let registers = if self.level == Level::Avx512 { 24 } else { 12 };
        let chunks = 8 / self.narrow;
        [4, 2].into_iter().find(|n| *n <= limit && operands.len() * n * chunks <= registers).unwrap_or(1)
    }
}

/// The instructions that a walk evaluates, in order.
pub(super) fn wanted(walk: &Walk) -> Vec<usize> {
    walk.range.clone().filter(|id| walk.wanted[*id]).collect()
}
