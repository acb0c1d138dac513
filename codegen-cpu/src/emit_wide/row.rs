//! Reductions along the innermost axis, in the canonical order: 256 bytes of lanes, blocks, and a pairwise tree over the
//! blocks.
//!
//! The lanes of the reductions of a stage stay in registers while a block is walked, its last line under masks. Where they are too many
//! for that, they lie in the frame, a group of copies at a time is in registers, and the tail of a block goes into the lanes vector by
//! vector.

use super::asm::{OFFSET, POSITION, TEMP, When};
use super::codes::{Do, Lane};
use super::level::Level;
use super::mir::V;
use super::nest::Open;
use super::reduce::State;
use super::values::At;
use super::walk::wanted;
use super::{Emitter, Out};
use crate::walk::{Reduction, Walk};
use matex_ir::loops::canon::LINES;
use rustc_hash::FxHashMap;

/// The lanes of a stage's reductions in the frame: copies one after the other, in each the registers of all states.
struct Lanes {
    slot: i32,
    /// The registers of a copy.
    registers: usize,
    /// The copies of the body that fill all lanes.
    copies: usize,
    /// By copy and reduction.
    states: Vec<Vec<State>>,
    /// Where they stay in registers from the beginning of a block to its end, which ones; none where they lie in the frame between the
    /// groups of copies that walk it.
    pins: FxHashMap<V, usize>,
}

impl Lanes {
    /// Bytes from one copy to the next.
    fn step(&self) -> usize {
        64 * self.registers
    }
}

impl Emitter<'_> {
    /// A kernel in row form.
    pub(super) fn row_kernel(&mut self) -> Out<()> {
        let axis = self.k.axes.len() - 1;
        let plan = self.plan(Some(axis));
        self.make_offsets(256 / (4 * self.lanes));
        let ahead = self.next_rows(axis);
        let open: Vec<Open> = (0..axis).map(|a| self.open(a)).collect();
        for (n, stage) in self.k.stages().into_iter().enumerate() {
            self.still(&plan, &stage, 1, At::POINT)?;
            let walk = Walk::of(self.k, &stage, axis);
            // The second walk finds its row in the nearest cache, and memory would wait for it.
            self.ahead = if n == 1 { ahead.clone() } else { Vec::new() };
            if walk.reductions.is_empty() {
                self.elements(&walk, axis)?;
            } else {
                self.row_reduction(&walk, axis)?;
            }
            self.point(&plan, &stage, 1, At::POINT)?;
        }
        self.ahead = Vec::new();
        open.into_iter().rev().for_each(|o| self.close(o));
        Ok(())
    }

    /// The size of the dtypes whose sums and products have to be in order; they share lanes and blocks.
    fn ordered_size(rs: &[Reduction]) -> Out<Option<usize>> {
        let mut sizes = rs.iter().filter(|r| r.ordered()).map(|r| r.dtypes[0].size());
        let first = sizes.next();
        if sizes.any(|s| Some(s) != first) {
            return Err("ordered reductions of several sizes".into());
        }
        Ok(first)
    }

    /// The elements of a stage, and what its reductions come to.
    fn row_reduction(&mut self, walk: &Walk, axis: usize) -> Out<()> {
        let rs = &walk.reductions;
        let ordered = Self::ordered_size(rs)?;
        let copies = ordered.map_or(4, |size| 256 / (size * self.lanes));
        let n = self.args.extents[axis];
        let results: Vec<State> = rs.iter().map(|r| self.state(r)).collect();
        let (some, done) = (self.asm.label(), self.asm.label());
        self.asm.get(TEMP, n);
        self.asm.compare_const(TEMP, 0);
        self.asm.jump(When::Greater, some);
        self.set_all(rs, &results, |e, r| e.empty(r))?;
        self.asm.jump(When::Always, done);
        self.asm.bind(some);
        let lanes = self.lanes_of_walk(walk, copies);
        self.reset(rs, &lanes, |r| !r.ordered())?;
        let (start, end) = (self.frame.word(), self.frame.word());
        self.asm.put_const(start, 0);
        if let Some(size) = ordered {
            let cells = rs.iter().zip(&results).enumerate().filter(|(_, (r, _))| r.ordered());
            let tree = self.tree(cells.map(|(n, (_, s))| (n, s[0][0])).collect());
            let block = (LINES * 256 / size) as i32;
            let again = self.asm.label();
            self.asm.bind(again);
            self.asm.get(TEMP, start);
            self.asm.add_const(TEMP, block);
            self.asm.at_most_slot(TEMP, n);
            self.asm.put(end, TEMP);
            self.reset(rs, &lanes, Reduction::ordered)?;
            self.block(walk, axis, &lanes, (start, end))?;
            self.merge(rs, &lanes, &results, Reduction::ordered)?;
            let single = self.asm.label();
            self.asm.get(TEMP, n);
            self.asm.compare_const(TEMP, block);
            self.asm.jump(When::LessOrEqual, single);
            self.push(&tree, rs)?;
            self.asm.add_const_to_slot(start, block);
            self.asm.get(TEMP, start);
            self.asm.compare_slot(TEMP, n);
            self.asm.jump(When::Less, again);
            self.finish_tree(&tree, rs)?;
            self.asm.bind(single);
            // Every lane has the same, and so has every register.
            self.share(rs, &results)?;
        } else {
            self.asm.get(TEMP, n);
            self.asm.put(end, TEMP);
            self.block(walk, axis, &lanes, (start, end))?;
        }
        self.merge(rs, &lanes, &results, |r| !r.ordered())?;
        self.asm.bind(done);
        for (r, result) in rs.iter().zip(&results) {
            self.know(r, 0, result);
        }
        Ok(())
    }

    /// Gives states known values.
    pub(super) fn set_all(
        &mut self,
        rs: &[Reduction],
        states: &[State],
        value: impl Fn(&mut Self, &Reduction) -> State,
    ) -> Out<()> {
        for (r, state) in rs.iter().zip(states) {
            let known = value(self, r);
            let known: State = state
                .iter()
                .zip(&known)
                .map(|(to, from)| to.iter().enumerate().map(|(n, _)| from[n.min(from.len() - 1)]).collect())
                .collect();
            self.assign(state, &known);
        }
        self.flush(&FxHashMap::default())
    }

    /// Lanes for so many copies, each register at home in its place. They never have to go there where all copies walk a block
    /// together, and nothing is merged between two blocks that is not begun anew.
    fn lanes_of_walk(&mut self, walk: &Walk, copies: usize) -> Lanes {
        let rs = &walk.reductions;
        let per_copy: usize = rs.iter().flat_map(|r| &r.dtypes).map(|d| self.chunks(*d)).sum();
        let slot = self.frame.place(64 * per_copy * copies, 64);
        let mut at = slot;
        let mut states = Vec::new();
        for _ in 0..copies {
            let mut of_copy = Vec::new();
            for r in rs {
                let mut state: State = Vec::new();
                for d in &r.dtypes {
                    let mut registers = Vec::new();
                    for _ in 0..self.chunks(*d) {
                        let v = self.vector();
                        self.homes.insert(v, super::Home::Slot(at));
                        registers.push(v);
                        at += 64;
                    }
                    state.push(registers);
                }
                of_copy.push(state);
            }
            states.push(of_copy);
        }
        let mut lanes = Lanes { slot, registers: per_copy, copies, states, pins: FxHashMap::default() };
        let alike = rs.iter().all(|r| r.ordered() == rs[0].ordered());
        if alike && self.group(walk, wanted(walk).len(), &lanes) == copies {
            lanes.pins = lanes.states.iter().flatten().flatten().flatten().copied().zip(0..).collect();
        }
        lanes
    }

    /// Fills the lanes of some reductions with what changes nothing.
    fn reset(&mut self, rs: &[Reduction], lanes: &Lanes, which: impl Fn(&Reduction) -> bool) -> Out<()> {
        for of_copy in &lanes.states {
            for (r, state) in rs.iter().zip(of_copy).filter(|(r, _)| which(r)) {
                let identity = self.first_state(r);
                if !lanes.pins.is_empty() {
                    let each = |(to, from): (&Vec<V>, &Vec<V>)| vec![from[0]; to.len()];
                    let identity: State = state.iter().zip(&identity).map(each).collect();
                    self.assign(state, &identity);
                    continue;
                }
                for (to, from) in state.iter().zip(&identity) {
                    for v in to {
                        let Some(slot) = self.slot_of(*v) else { continue };
                        self.store_frame(slot, false, from[0]);
                    }
                }
            }
        }
        self.flush(&lanes.pins)
    }

    /// One block, from the position in one slot to that in another: everything into the lanes.
    fn block(&mut self, walk: &Walk, axis: usize, lanes: &Lanes, (start, end): (i32, i32)) -> Out<()> {
        let ids = wanted(walk);
        let group = self.group(walk, ids.len(), lanes);
        let line = (lanes.copies * self.lanes) as i32;
        for skip in (0..lanes.copies).step_by(group) {
            self.asm.get(POSITION, start);
            self.load_pointers();
            self.seek(axis);
            let at = At { walked: Some(axis), skip, ..At::POINT };
            self.forget(&ids, group);
            self.eval(&ids, group, at)?;
            let mut accumulators = Vec::new();
            let here = self.position();
            for copy in 0..group {
                for (r, state) in walk.reductions.iter().zip(&lanes.states[skip + copy]) {
                    let element = self.element(r, copy, here)?;
                    let after = self.take_in(r, state, &element)?;
                    self.assign(state, &after);
                    accumulators.extend(state.iter().flatten().copied());
                }
            }
            self.store_elements(walk, group, at)?;
            let pins = self.pins(&accumulators);
            let (top, past) = (self.asm.label(), self.asm.label());
            self.asm.address(TEMP, POSITION, line);
            self.asm.compare_slot(TEMP, end);
            self.asm.jump(When::Greater, past);
            let others = pins.iter().filter(|(v, _)| !lanes.pins.contains_key(v));
            self.load_pins(&others.map(|(v, r)| (*v, *r)).collect());
            self.asm.bind(top);
            self.flush(&pins)?;
            self.ask_ahead(skip, group);
            self.ask_further(walk, skip, group);
            self.advance(axis, line as usize);
            self.asm.add_const(POSITION, line);
            self.asm.address(TEMP, POSITION, line);
            self.asm.compare_slot(TEMP, end);
            self.asm.jump(When::LessOrEqual, top);
            if lanes.pins.is_empty() {
                self.store_pins(&pins, &accumulators);
            }
            self.asm.bind(past);
        }
        if lanes.pins.is_empty() {
            self.tail(walk, axis, lanes, end)
        } else {
            self.last_line(walk, axis, lanes, end)
        }
    }

    /// What is left of a block where lanes stay in registers: all copies, each under a mask of its own.
    fn last_line(&mut self, walk: &Walk, axis: usize, lanes: &Lanes, end: i32) -> Out<()> {
        let done = self.asm.label();
        self.left_until(end);
        self.asm.jump(When::LessOrEqual, done);
        let mut at = Vec::new();
        for _ in 0..lanes.copies {
            let left = self.frame.word();
            self.asm.put(left, TEMP);
            self.asm.add_const(TEMP, -(self.lanes as i32));
            let mask = self.lanes_below(left)?;
            at.push(At { walked: Some(axis), mask: Some(mask), left: Some(left), ..At::POINT });
        }
        let ids = wanted(walk);
        self.forget(&ids, lanes.copies);
        self.eval_each(&ids, &at)?;
        let here = self.position();
        for (copy, (at, states)) in at.iter().zip(&lanes.states).enumerate() {
            for (r, state) in walk.reductions.iter().zip(states) {
                let element = self.element(r, copy, here)?;
                let element = self.present(r, at.mask, element)?;
                let after = self.take_in(r, state, &element)?;
                self.assign(state, &after);
            }
            self.store_copy(walk, copy, *at)?;
        }
        self.flush(&lanes.pins)?;
        self.asm.bind(done);
        Ok(())
    }

    /// An element where a mask says that there is one, and what changes nothing elsewhere.
    fn present(&mut self, r: &Reduction, mask: Option<V>, element: State) -> Out<State> {
        let Some(mask) = mask else { return Ok(element) };
        let identity = self.identity(r);
        let identity: State = element.iter().zip(&identity).map(|(e, i)| vec![i[0]; e.len()]).collect();
        self.select_state(r, mask, &element, &identity)
    }

    /// How many copies of a body walk a block together: their lanes should fit into registers, and long bodies have
    /// enough independent work in them.
    fn group(&self, walk: &Walk, size: usize, lanes: &Lanes) -> usize {
        let registers = if self.level == Level::Avx512 { 16 } else { 8 };
        let limit = match size {
            0..=12 => 8,
            13..=40 => 2,
            _ => 1,
        };
        let writes = walk.stores.len();
        let fits = |g: usize| {
            g <= limit && g * (lanes.registers + writes) <= registers.max(lanes.registers + writes)
        };
        [8, 4, 2, 1].into_iter().find(|g| lanes.copies.is_multiple_of(*g) && fits(*g)).unwrap_or(1)
    }

    /// What is left of a block, a vector at a time into the lanes that it belongs to.
    fn tail(&mut self, walk: &Walk, axis: usize, lanes: &Lanes, end: i32) -> Out<()> {
        let (top, done) = (self.asm.label(), self.asm.label());
        let line = self.frame.word();
        self.asm.put(line, POSITION);
        self.asm.zero(OFFSET);
        self.asm.bind(top);
        self.left_until(end);
        self.asm.jump(When::LessOrEqual, done);
        let mask = self.lanes_below(self.left)?;
        let at = At { walked: Some(axis), mask: Some(mask), ..At::POINT };
        let ids = wanted(walk);
        self.forget(&ids, 1);
        self.eval(&ids, 1, at)?;
        let mut slot = lanes.slot;
        let line = self.word_lanes(line);
        for r in &walk.reductions {
            let element = self.element(r, 0, line)?;
            let element = self.present(r, Some(mask), element)?;
            let mut before: State = Vec::new();
            let first = slot;
            for registers in &element {
                let mut loaded = Vec::new();
                for _ in registers {
                    loaded.push(self.load_frame(slot, true));
                    slot += 64;
                }
                before.push(loaded);
            }
            let after = self.take_in(r, &before, &element)?;
            for (n, v) in after.iter().flatten().enumerate() {
                self.store_frame(first + 64 * n as i32, true, *v);
            }
        }
        self.store_elements(walk, 1, at)?;
        self.flush(&FxHashMap::default())?;
        self.advance(axis, self.lanes);
        self.asm.add_const(POSITION, self.lanes as i32);
        self.asm.add_const(OFFSET, lanes.step() as i32);
        self.asm.jump(When::Always, top);
        self.asm.bind(done);
        Ok(())
    }

    /// The lanes of some reductions become one value, in all lanes of their results.
    fn merge(
        &mut self,
        rs: &[Reduction],
        lanes: &Lanes,
        results: &[State],
        which: impl Fn(&Reduction) -> bool,
    ) -> Out<()> {
        for (n, r) in rs.iter().enumerate().filter(|(_, r)| which(r)) {
            let mut states: Vec<State> = lanes.states.iter().map(|copy| copy[n].clone()).collect();
            if self.counted(r) {
                for (copy, state) in states.iter_mut().enumerate() {
                    self.count(state, copy)?;
                }
            }
            while states.len() > 1 {
                let upper = states.split_off(states.len() / 2);
                let mut merged = Vec::new();
                for (low, high) in states.iter().zip(&upper) {
                    merged.push(self.combine(r, low, high)?);
                }
                states = merged;
            }
            let whole = self.merge_lanes(r, states.swap_remove(0))?;
            self.assign(&results[n], &whole);
        }
        self.flush(&lanes.pins)
    }

    /// Turns where lines begin into positions.
    fn count(&mut self, state: &mut State, copy: usize) -> Out<()> {
        let in_register = (self.level.bytes() / 8) as i64;
        for (chunk, v) in state[1].iter_mut().enumerate() {
            let first = (copy * self.lanes) as i64 + chunk as i64 * in_register;
            let lanes = self.lanes_of(first..first + in_register, 8);
            *v = self.op(Do::Add, Lane::I64, &[*v, lanes])?;
        }
        Ok(())
    }

    /// Copies the first register of ordered results to the others.
    fn share(&mut self, rs: &[Reduction], results: &[State]) -> Out<()> {
        for (_, result) in rs.iter().zip(results).filter(|(r, _)| r.ordered()) {
            let first = result[0][0];
            for v in &result[0][1..] {
                let copy = vec![vec![first]];
                self.assign(&vec![vec![*v]], &copy);
            }
        }
        self.flush(&FxHashMap::default())
    }
}
