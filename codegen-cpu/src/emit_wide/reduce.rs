//! States of reductions: what they begin with, how two become one, and the pairwise tree over blocks.
//!
//! A state has one or two components, each in as many registers as its dtype takes. Truth values are combined as lanes
//! of all zeros or ones at both levels.

use super::asm::{OFFSET, TEMP, When};
use super::compare::Condition;
use super::mir::{Item, V};
use super::values::lane;
use super::{Emitter, Out};
use crate::walk::Reduction;
use matex_ir::loops::{Combine, InstId, InstKind};
use matex_ir::{DType, Op, Scalar};
use rustc_hash::FxHashMap;

/// Levels that the tree has room for: blocks that no memory could hold.
const LEVELS: usize = 48;

/// A state: registers by component.
pub(super) type State = Vec<Vec<V>>;

/// The stack of a pairwise tree over blocks; see `BlockTree` of the canonical order.
pub(super) struct Tree {
    stack: i32,
    depth: i32,
    number: i32,
    /// What blocks come to: which reduction, and the register.
    cells: Vec<(usize, V)>,
}

impl Emitter<'_> {
    /// Registers for a state, each with a home in the frame.
    pub(super) fn state(&mut self, r: &Reduction) -> State {
        let mut out = Vec::new();
        for d in &r.dtypes {
            let mut registers = Vec::new();
            for _ in 0..self.chunks(*d) {
                let v = self.vector();
                self.home(v);
                registers.push(v);
            }
            out.push(registers);
        }
        out
    }

    /// Scalars as a state.
    pub(super) fn known_state(&mut self, scalars: &[Scalar]) -> State {
        let mut out = Vec::new();
        for s in scalars {
            out.push(if s.dtype() == DType::Bool {
                vec![self.bits(if s.bits() == 0 { 0 } else { u64::MAX }, self.narrow)]
            } else {
                self.constant(*s)
            });
        }
        out
    }

    pub(super) fn identity(&mut self, r: &Reduction) -> State {
        self.known_state(&r.combine.identity(r.dtypes[0]))
    }

    /// Whether the index of an `argmax` or `argmin` is the position along the walk. Elements then come to each lane in
    /// the order of their index, and what is kept is where the line of lanes begins.
    pub(super) fn counted(&self, r: &Reduction) -> bool {
        let index = r.values.get(1).map(|v| &self.k.inst(*v).kind);
        matches!(index, Some(InstKind::Index(axis)) if Some(*axis as usize) == self.k.reduce_axis())
    }

    /// What the lanes of a reduction begin with. Counted ones have their first line, because nothing in it need be better
    /// than the identity.
    pub(super) fn first_state(&mut self, r: &Reduction) -> State {
        let mut state = self.identity(r);
        if self.counted(r) {
            state[1] = vec![self.bits(0, 8)];
        }
        state
    }

    pub(super) fn empty(&mut self, r: &Reduction) -> State {
        self.known_state(&r.combine.empty(r.dtypes[0]))
    }

    /// The elements of a copy as a state. `line` is where the line of lanes begins, for those that are counted.
    pub(super) fn element(&mut self, r: &Reduction, copy: usize, line: V) -> Out<State> {
        self.of = Some(InstId(r.id as u32));
        if self.counted(r) {
            let value = self.get(copy, r.values[0])?;
            return Ok(vec![value, vec![line; self.chunks(DType::I64)]]);
        }
        let mut out = Vec::new();
        for (v, d) in r.values.iter().zip(&r.dtypes) {
            let v = self.get(copy, *v)?;
            out.push(if *d == DType::Bool { vec![self.truth_lanes(v[0])] } else { v });
        }
        Ok(out)
    }

    /// Makes what a reduction came to known as the value of its instruction and of its parts.
    pub(super) fn know(&mut self, r: &Reduction, copy: usize, result: &State) {
        self.of = Some(InstId(r.id as u32));
        let mut values = result.clone();
        if r.dtypes[0] == DType::Bool {
            let truth = self.lanes_truth(values[0][0]);
            self.keep(truth);
            values[0] = vec![truth];
        }
        self.values[copy][r.id] = Some(values[0].clone());
        self.parts.insert((copy, r.id), values);
    }

    /// A state and an element that comes after all that are in it.
    pub(super) fn take_in(&mut self, r: &Reduction, state: &State, element: &State) -> Out<State> {
        self.of = Some(InstId(r.id as u32));
        if !self.counted(r) {
            return self.combine(r, state, element);
        }
        let d = r.dtypes[0];
        let better = if r.combine == Combine::ArgMax {
            Condition::NotLessOrEqual
        } else {
            Condition::NotGreaterOrEqual
        };
        let mut wins = self.compare(better, d, &element[0], &state[0])?;
        if d.is_float() {
            let number = self.compare(Condition::Ordered, d, &state[0], &state[0])?;
            wins = self.logic(Op::And, &[wins, number])?;
        }
        let value = self.select(wins, d, &element[0], &state[0])?;
        Ok(vec![value, self.select(wins, DType::I64, &element[1], &state[1])?])
    }

    /// Two states become one.
    pub(super) fn combine(&mut self, r: &Reduction, a: &State, b: &State) -> Out<State> {
        self.of = Some(InstId(r.id as u32));
        let Some(op) = r.combine.op() else { return self.arg_step(r, a, b) };
        let mut out = Vec::new();
        for (a, b) in a[0].iter().zip(&b[0]) {
            out.push(self.combine_one(op, r.dtypes[0], *a, *b)?);
        }
        Ok(vec![out])
    }

    pub(super) fn combine_one(&mut self, op: Op, d: DType, a: V, b: V) -> Out<V> {
        let lane = lane(d, self.narrow);
        self.arithmetic(op, lane, &[a, b])
    }

    /// One step of `argmax` or `argmin`: the second state wins where the first does not stay. NaN is above all, and the
    /// lower index wins among equals.
    fn arg_step(&mut self, r: &Reduction, a: &State, b: &State) -> Out<State> {
        let d = r.dtypes[0];
        let better = if r.combine == Combine::ArgMax { Condition::Greater } else { Condition::Less };
        let lower = self.compare(Condition::Less, DType::I64, &a[1], &b[1])?;
        let equal = self.compare(Condition::Equal, d, &a[0], &b[0])?;
        let tie = self.logic(Op::And, &[equal, lower])?;
        let wins = self.compare(better, d, &a[0], &b[0])?;
        let mut first = self.logic(Op::Or, &[wins, tie])?;
        if d.is_float() {
            let later_nan = self.compare(Condition::Unordered, d, &b[0], &b[0])?;
            let number = self.logic(Op::Not, &[later_nan])?;
            let before = self.logic(Op::Or, &[number, lower])?;
            let nan = self.compare(Condition::Unordered, d, &a[0], &a[0])?;
            let nan_first = self.logic(Op::And, &[nan, before])?;
            first = self.logic(Op::Or, &[first, nan_first])?;
        }
        Ok(vec![self.select(first, d, &a[0], &b[0])?, self.select(first, DType::I64, &a[1], &b[1])?])
    }

    /// `mask ? a : b` of states.
    pub(super) fn select_state(&mut self, r: &Reduction, mask: V, a: &State, b: &State) -> Out<State> {
        self.of = Some(InstId(r.id as u32));
        let mut out = Vec::new();
        for ((a, b), d) in a.iter().zip(b).zip(&r.dtypes) {
            let size = self.width(*d);
            let mut registers = Vec::new();
            for (chunk, (a, b)) in a.iter().zip(b).enumerate() {
                let mask = self.mask_for(mask, size, chunk);
                registers.push(self.blend(mask, size, *a, *b));
            }
            out.push(registers);
        }
        Ok(out)
    }

    /// Puts a state into the registers of another, which may be read by the line that made it.
    pub(super) fn assign(&mut self, to: &State, from: &State) {
        for (to, from) in to.iter().flatten().zip(from.iter().flatten()) {
            self.assign_one(*to, *from);
        }
    }

    pub(super) fn assign_one(&mut self, to: V, from: V) {
        let made = self.items.iter().rposition(|i| i.def() == Some(from));
        // Where nothing reads the old value after the new one was made, it can be made in place.
        let free = made.filter(|at| {
            let after = &self.items[at + 1..];
            !after.iter().any(|i| i.reads().contains(&to) || i.reads().contains(&from) || i.def() == Some(to))
        });
        let free = free.filter(|_| !self.homes.contains_key(&from));
        match free.map(|at| &mut self.items[at]) {
            Some(Item::Insn(i)) => i.def = i.def.map(|(_, view)| (to, view)),
            Some(Item::Call(_) | Item::Elements(_)) | None => {
                let copy = self.moved(from);
                if let Some(Item::Insn(i)) = self.items.iter_mut().rfind(|i| i.def() == Some(copy)) {
                    i.def = i.def.map(|(_, view)| (to, view));
                }
            }
        }
    }

    /// Every lane combined with every other, in the canonical order: the result in all lanes.
    pub(super) fn merge_lanes(&mut self, r: &Reduction, state: State) -> Out<State> {
        self.of = Some(InstId(r.id as u32));
        let mut state = state;
        let mut distance = self.lanes / 2;
        while distance > 0 {
            let mut other = Vec::new();
            for (registers, d) in state.iter().zip(&r.dtypes) {
                let size = self.width(*d);
                let bytes = distance * size;
                let count = registers.len();
                let mut moved = Vec::new();
                for n in 0..count {
                    moved.push(if bytes >= self.level.bytes() {
                        registers[(n + bytes / self.level.bytes()) % count]
                    } else {
                        self.exchanged(registers[n], bytes)
                    });
                }
                other.push(moved);
            }
            state = self.combine(r, &state, &other)?;
            distance /= 2;
        }
        Ok(state)
    }

    /// An empty tree over these cells, which have homes.
    pub(super) fn tree(&mut self, cells: Vec<(usize, V)>) -> Tree {
        let stack = self.frame.place(64 * cells.len() * LEVELS, 64);
        let (depth, number) = (self.frame.word(), self.frame.word());
        self.asm.put_const(depth, 0);
        self.asm.put_const(number, 0);
        Tree { stack, depth, number, cells }
    }

    /// The offset of the entry on top, with the depth lowered by one before if `pops`.
    fn entry(&mut self, t: &Tree, pops: bool) {
        if pops {
            self.asm.add_const_to_slot(t.depth, -1);
        }
        self.asm.get(OFFSET, t.depth);
        self.asm.times(OFFSET, 64 * t.cells.len() as i32);
    }

    /// Merges the cells with the entry at the offset, which came before them.
    fn merge_entry(&mut self, t: &Tree, rs: &[Reduction]) -> Out<()> {
        for (n, (r, v)) in t.cells.iter().enumerate() {
            let left = self.load_frame(t.stack + 64 * n as i32, true);
            let op = rs[*r].combine.op().ok_or("a tree over states")?;
            let merged = self.combine_one(op, rs[*r].dtypes[0], left, *v)?;
            self.assign_one(*v, merged);
        }
        self.flush(&FxHashMap::default())
    }

    /// Pushes the cells and merges the subtrees that they complete: one for each trailing one of the block's number.
    pub(super) fn push(&mut self, t: &Tree, rs: &[Reduction]) -> Out<()> {
        let (top, done) = (self.asm.label(), self.asm.label());
        self.asm.get(TEMP, t.number);
        self.asm.bind(top);
        self.asm.test_bit(TEMP);
        self.asm.jump(When::Zero, done);
        self.entry(t, true);
        self.merge_entry(t, rs)?;
        self.asm.halve(TEMP);
        self.asm.jump(When::Always, top);
        self.asm.bind(done);
        self.entry(t, false);
        for (n, (_, v)) in t.cells.iter().enumerate() {
            self.store_frame(t.stack + 64 * n as i32, true, *v);
        }
        self.flush(&FxHashMap::default())?;
        self.asm.add_const_to_slot(t.depth, 1);
        self.asm.add_const_to_slot(t.number, 1);
        Ok(())
    }

    /// Merges what is left from the top of the stack down, into the cells. At least one block was pushed.
    pub(super) fn finish_tree(&mut self, t: &Tree, rs: &[Reduction]) -> Out<()> {
        self.entry(t, true);
        for (n, (_, v)) in t.cells.iter().enumerate() {
            let top = self.load_frame(t.stack + 64 * n as i32, true);
            self.assign_one(*v, top);
        }
        self.flush(&FxHashMap::default())?;
        let (top, done) = (self.asm.label(), self.asm.label());
        self.asm.bind(top);
        self.asm.get(TEMP, t.depth);
        self.asm.compare_const(TEMP, 0);
        self.asm.jump(When::LessOrEqual, done);
        self.entry(t, true);
        self.merge_entry(t, rs)?;
        self.asm.jump(When::Always, top);
        self.asm.bind(done);
        Ok(())
    }
}
