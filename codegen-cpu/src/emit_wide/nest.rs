//! Loops over outer axes, and where operands stand in them.

use super::asm::{Label, OFFSET, POINTERS, POSITION, TEMP, When};
use super::values::At;
use super::{Emitter, Out};
use matex_ir::loops::{InstKind, Stage};
use rustc_hash::FxHashMap;

/// A loop over an outer axis that is being written.
pub(super) struct Open {
    axis: usize,
    top: Label,
    /// The operands that move along it, and where they stand.
    moving: Vec<(usize, i32)>,
    /// Where all stood outside of it.
    before: Vec<i32>,
}

/// What is known about a body before anything is selected.
pub(super) struct Plan {
    /// Which values change along the axis of walks.
    pub(super) moving: Vec<bool>,
    /// Which are needed at all.
    pub(super) used: Vec<bool>,
    /// Which are needed in another line than the one that they are computed in.
    pub(super) crossing: Vec<bool>,
}

impl Emitter<'_> {
    /// Looks at the body for walks along an axis.
    pub(super) fn plan(&self, axis: Option<usize>) -> Plan {
        let k = self.k;
        let n = k.body.len();
        let moving = axis.map_or_else(|| vec![true; n], |a| k.moving(a));
        let mut used = vec![false; n];
        for s in &k.stores {
            used[s.value.index()] = true;
        }
        for id in (0..n).rev() {
            if used[id] {
                k.body[id].kind.args().iter().for_each(|a| used[a.index()] = true);
            }
        }
        let stages = k.stages();
        // Lines: what stands still, what moves, what follows, stage by stage.
        let line = |id: usize| {
            let stage = stages.iter().position(|s| s.insts().contains(&id)).unwrap_or(0);
            let reduces = matches!(k.body[id].kind, InstKind::Reduce { .. });
            let part = if stages[stage].point.contains(&id) { 2 } else { usize::from(moving[id] || reduces) };
            (stage, part)
        };
        let mut crossing = vec![false; n];
        for id in (0..n).filter(|id| used[*id]) {
            for a in k.body[id].kind.args() {
                crossing[a.index()] |= line(a.index()) != line(id);
            }
        }
        for s in &k.stores {
            let (stage, part) = line(s.value.index());
            let stored = if k.stores_elements(s) { 1 } else { 2 };
            crossing[s.value.index()] |= (stage, part) != (stage, stored);
        }
        Plan { moving, used, crossing }
    }

    /// Begins a loop over an axis that is not walked in vectors.
    pub(super) fn open(&mut self, axis: usize) -> Open {
        let ranged = self.k.range_axis() == Some(axis);
        let index = self.args.index[axis];
        if ranged {
            let begin = self.args.begin;
            self.asm.get(OFFSET, begin);
            self.asm.put(index, OFFSET);
        } else {
            self.asm.put_const(index, 0);
        }
        let before = self.at.clone();
        let mut moving = Vec::new();
        for o in 0..self.k.operands.len() {
            let Some(stride) = self.args.strides[o][axis] else { continue };
            let slot = self.frame.word();
            self.asm.get(TEMP, self.at[o]);
            if ranged {
                self.asm.copy(POSITION, OFFSET);
                self.asm.times_slot(POSITION, stride);
                self.asm.add(TEMP, POSITION);
            }
            self.asm.put(slot, TEMP);
            self.at[o] = slot;
            moving.push((o, slot));
        }
        let top = self.asm.label();
        self.asm.bind(top);
        Open { axis, top, moving, before }
    }

    pub(super) fn close(&mut self, open: Open) {
        for (o, slot) in open.moving {
            if let Some(stride) = self.args.strides[o][open.axis] {
                self.asm.get(TEMP, stride);
                self.asm.add_to_slot(slot, TEMP);
            }
        }
        let index = self.args.index[open.axis];
        self.asm.add_const_to_slot(index, 1);
        self.asm.get(TEMP, index);
        let end = self.end_of(open.axis);
        self.asm.compare_slot(TEMP, end);
        self.asm.jump(When::Less, open.top);
        self.at = open.before;
    }

    /// The slot of the first position that is not to be run any more.
    pub(super) fn end_of(&self, axis: usize) -> i32 {
        if self.k.range_axis() == Some(axis) { self.args.end } else { self.args.extents[axis] }
    }

    /// The first position of an axis, in the register for positions.
    pub(super) fn first_of(&mut self, axis: usize) {
        if self.k.range_axis() == Some(axis) {
            let begin = self.args.begin;
            self.asm.get(POSITION, begin);
        } else {
            self.asm.zero(POSITION);
        }
    }

    /// Brings where operands stand into registers.
    pub(super) fn load_pointers(&mut self) {
        for o in 0..self.k.operands.len() {
            match POINTERS.get(o) {
                Some(r) => self.asm.get(*r, self.at[o]),
                None => {
                    self.asm.get(TEMP, self.at[o]);
                    self.asm.put(self.walk[o], TEMP);
                }
            }
        }
    }

    /// Moves operands with a stride along the vector axis to the position in its register.
    pub(super) fn seek(&mut self, axis: usize) {
        for o in 0..self.k.operands.len() {
            let Some(stride) = self.args.strides[o][axis] else { continue };
            self.asm.get(TEMP, stride);
            self.asm.times_register(TEMP, POSITION);
            self.asm.add_slot(TEMP, self.at[o]);
            match POINTERS.get(o) {
                Some(r) => self.asm.copy(*r, TEMP),
                None => self.asm.put(self.walk[o], TEMP),
            }
        }
    }

    /// Moves operands by so many positions.
    pub(super) fn advance(&mut self, axis: usize, by: usize) {
        for o in 0..self.k.operands.len() {
            let Some(stride) = self.args.strides[o][axis] else { continue };
            if by == 1
                && let Some(r) = POINTERS.get(o)
            {
                self.asm.add_slot(*r, stride);
                continue;
            }
            self.asm.get(TEMP, stride);
            self.asm.times(TEMP, by as i32);
            match POINTERS.get(o) {
                Some(r) => self.asm.add(*r, TEMP),
                None => self.asm.add_to_slot(self.walk[o], TEMP),
            }
        }
    }

    /// Computes what a stage needs per element that does not change along its walk, for so many copies.
    pub(super) fn still(&mut self, plan: &Plan, stage: &Stage, copies: usize, at: At) -> Out<()> {
        let ids = stage.element.clone().filter(|id| plan.used[*id] && !plan.moving[*id]);
        let ids: Vec<usize> = ids
            .filter(|id| !matches!(self.k.body[*id].kind, InstKind::Const(_) | InstKind::Reduce { .. }))
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.load_pointers();
        self.eval(&ids, copies, at)?;
        self.keep_crossing(plan, &ids, copies);
        self.flush(&FxHashMap::default())
    }

    /// What a stage does once per parallel point, below its reductions.
    pub(super) fn point(&mut self, plan: &Plan, stage: &Stage, copies: usize, at: At) -> Out<()> {
        self.load_pointers();
        let ids: Vec<usize> = stage.point.clone().filter(|id| plan.used[*id]).collect();
        let ids: Vec<usize> =
            ids.into_iter().filter(|id| !matches!(self.k.body[*id].kind, InstKind::Const(_))).collect();
        self.eval(&ids, copies, at)?;
        for s in &self.k.stores {
            if stage.insts().contains(&s.value.index()) && !self.k.stores_elements(s) {
                for copy in 0..copies {
                    self.store_value(s, copy, at)?;
                }
            }
        }
        self.keep_crossing(plan, &ids, copies);
        self.flush(&FxHashMap::default())
    }

    fn keep_crossing(&mut self, plan: &Plan, ids: &[usize], copies: usize) {
        for id in ids.iter().filter(|id| plan.crossing[**id]) {
            for copy in 0..copies {
                for v in self.values[copy][*id].clone().unwrap_or_default() {
                    self.keep(v);
                }
            }
        }
    }

    /// Forgets the values of instructions, which are to be computed anew.
    pub(super) fn forget(&mut self, ids: &[usize], copies: usize) {
        while self.values.len() < copies {
            self.values.push(vec![None; self.k.body.len()]);
        }
        for copy in &mut self.values {
            for id in ids {
                copy[*id] = None;
            }
        }
    }
}
