//! Reductions along an axis that is not the innermost: a tile of the innermost axis is held in registers while the
//! reduction runs.

use super::asm::{Label, POINTERS, POSITION, TEMP, When};
use super::level::Level;
use super::nest::{Open, Plan};
use super::reduce::State;
use super::values::At;
use super::walk::wanted;
use super::{Emitter, Out};
use crate::walk::{Reduction, Walk};
use matex_ir::loops::canon::LINES;
use matex_ir::loops::{Access, Stage};
use rustc_hash::FxHashMap;

/// Vectors of the innermost axis that are worked on together.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) copies: usize,
    /// Where they stand; with a mask in the last one.
    pub(super) at: At,
}

impl Emitter<'_> {
    /// A kernel in column form.
    pub(super) fn column_kernel(&mut self, axis: usize) -> Out<()> {
        let plan = self.plan(Some(axis));
        let stages = self.k.stages();
        let walks: Vec<Walk> = stages.iter().map(|s| Walk::of(self.k, s, axis)).collect();
        let states = walks
            .iter()
            .map(|w| w.reductions.iter().flat_map(|r| &r.dtypes).map(|d| self.chunks(*d)).sum::<usize>());
        let tile = self.tile_of(states.max().unwrap_or(1));
        self.over_tiles(axis, tile, &mut |e, tile| {
            for (stage, walk) in stages.iter().zip(&walks) {
                e.column_stage(&plan, stage, walk, axis, tile)?;
            }
            Ok(())
        })
    }

    /// Writes `body` for tiles of so many vectors of the innermost axis, then for single ones and for what is left of one.
    pub(super) fn over_tiles(
        &mut self,
        axis: usize,
        tile: usize,
        body: &mut dyn FnMut(&mut Self, Tile) -> Out<()>,
    ) -> Out<()> {
        let inner = self.k.axes.len() - 1;
        let still = |o: usize| self.written(o) && self.k.operands[o].access[inner] == Access::Zero;
        if (0..self.k.operands.len()).any(still) {
            return Err("a store that does not move along the lanes".into());
        }
        self.make_offsets(tile);
        let open: Vec<Open> = (0..inner).filter(|a| *a != axis).map(|a| self.open(a)).collect();
        let (index, end) = (self.args.index[inner], self.end_of(inner));
        self.first_of(inner);
        self.asm.put(index, POSITION);
        for (copies, masked) in tiers(tile) {
            let step = (copies * self.lanes) as i32;
            let (top, past) = (self.asm.label(), self.asm.label());
            self.asm.bind(top);
            self.asm.get(POSITION, index);
            let at = if masked {
                self.left_until(end);
                self.asm.jump(When::LessOrEqual, past);
                let mask = self.lanes_below(self.left)?;
                self.keep(mask);
                self.flush(&FxHashMap::default())?;
                At { mask: Some(mask), ..At::POINT }
            } else {
                self.whole_tile(inner, step, past);
                At::POINT
            };
            let before = self.enter_tile(inner);
            self.forget(&(0..self.k.body.len()).collect::<Vec<_>>(), copies);
            self.parts.clear();
            body(self, Tile { copies, at })?;
            self.at = before;
            self.asm.add_const_to_slot(index, step);
            if !masked {
                self.asm.jump(When::Always, top);
            }
            self.asm.bind(past);
        }
        open.into_iter().rev().for_each(|o| self.close(o));
        Ok(())
    }

    /// Jumps where no whole tile of so many elements can be had. The last one ends where the columns do and may begin inside of the one
    /// before: nothing is read where something was written, so that columns can be computed twice.
    fn whole_tile(&mut self, inner: usize, step: i32, past: Label) {
        let (index, end, whole) = (self.args.index[inner], self.end_of(inner), self.asm.label());
        self.asm.address(TEMP, POSITION, step);
        self.asm.compare_slot(TEMP, end);
        self.asm.jump(When::LessOrEqual, whole);
        self.asm.compare_slot(POSITION, end);
        self.asm.jump(When::GreaterOrEqual, past);
        self.first_of(inner);
        self.asm.address(TEMP, POSITION, step);
        self.asm.compare_slot(TEMP, end);
        self.asm.jump(When::Greater, past);
        self.asm.get(POSITION, end);
        self.asm.add_const(POSITION, -step);
        self.asm.put(index, POSITION);
        self.asm.bind(whole);
    }

    /// How many vectors are held side by side when each takes so many registers for what it accumulates.
    pub(super) fn tile_of(&self, each: usize) -> usize {
        let registers = if self.level == Level::Avx512 { 16 } else { 8 };
        let each = each.max(1);
        let limit = match self.k.body.len() {
            0..=4 => 16,
            5..=16 => 8,
            17..=40 => 4,
            41..=80 => 2,
            _ => 1,
        };
        [16, 8, 4, 2].into_iter().find(|t| *t <= limit && t * each <= registers).unwrap_or(1)
    }

    /// Notes where operands stand at the position along the innermost axis. Gives where they stood before.
    fn enter_tile(&mut self, inner: usize) -> Vec<i32> {
        let before = self.at.clone();
        for o in 0..self.k.operands.len() {
            let size = self.k.operands[o].dtype.size() as i32;
            match (self.k.operands[o].access[inner], self.args.strides[o][inner]) {
                (Access::Zero, _) => continue,
                (Access::Unit, _) | (Access::Strided, None) => {
                    self.asm.copy(TEMP, POSITION);
                    self.asm.times(TEMP, size);
                }
                (Access::Strided, Some(stride)) => {
                    self.asm.get(TEMP, stride);
                    self.asm.times_register(TEMP, POSITION);
                }
            }
            self.asm.add_slot(TEMP, self.at[o]);
            let slot = self.frame.word();
            self.asm.put(slot, TEMP);
            self.at[o] = slot;
        }
        before
    }

    fn column_stage(
        &mut self,
        plan: &Plan,
        stage: &Stage,
        walk: &Walk,
        axis: usize,
        Tile { copies, at }: Tile,
    ) -> Out<()> {
        self.still(plan, stage, copies, at)?;
        let rs = &walk.reductions;
        let mut results: Vec<Vec<State>> = Vec::new();
        for _ in 0..copies {
            results.push(rs.iter().map(|r| self.state(r)).collect());
        }
        let (some, done) = (self.asm.label(), self.asm.label());
        let n = self.args.extents[axis];
        self.asm.get(TEMP, n);
        self.asm.compare_const(TEMP, 0);
        self.asm.jump(When::Greater, some);
        self.begin_tile(rs, &results, |_| true, |e, r| e.empty(r))?;
        self.asm.jump(When::Always, done);
        self.asm.bind(some);
        self.begin_tile(rs, &results, |r| !r.ordered(), |e, r| e.first_state(r))?;
        self.asm.zero(POSITION);
        self.load_pointers();
        let at_walk = At { walked: Some(axis), ..at };
        if rs.iter().any(Reduction::ordered) {
            self.blocks(walk, axis, &results, at_walk)?;
        } else {
            self.rows(walk, axis, &results, at_walk, n)?;
        }
        self.asm.bind(done);
        for (copy, of_copy) in results.iter().enumerate() {
            for (r, result) in rs.iter().zip(of_copy) {
                self.know(r, copy, result);
            }
        }
        self.flush(&FxHashMap::default())?;
        self.point(plan, stage, copies, at)
    }

    /// Gives some of the states of each copy known values.
    fn begin_tile(
        &mut self,
        rs: &[Reduction],
        results: &[Vec<State>],
        which: impl Fn(&Reduction) -> bool,
        value: impl Fn(&mut Self, &Reduction) -> State,
    ) -> Out<()> {
        for of_copy in results {
            let chosen = rs.iter().zip(of_copy).filter(|(r, _)| which(r));
            let (rs, states): (Vec<Reduction>, Vec<State>) =
                chosen.map(|(r, s)| (r.clone(), s.clone())).unzip();
            self.set_all(&rs, &states, &value)?;
        }
        Ok(())
    }

    /// Rows in blocks, which a tree merges.
    fn blocks(&mut self, walk: &Walk, axis: usize, results: &[Vec<State>], at: At) -> Out<()> {
        let rs = &walk.reductions;
        let mut cells = Vec::new();
        for of_copy in results {
            for (n, state) in of_copy.iter().enumerate().filter(|(n, _)| rs[*n].ordered()) {
                // The tree works on what blocks come to, and these are set anew for each.
                cells.extend(state[0].iter().map(|v| (n, *v)));
            }
        }
        let tree = self.tree(cells);
        let end = self.frame.word();
        let n = self.args.extents[axis];
        let again = self.asm.label();
        self.asm.bind(again);
        self.asm.address(TEMP, POSITION, LINES as i32);
        self.asm.at_most_slot(TEMP, n);
        self.asm.put(end, TEMP);
        self.begin_tile(rs, results, Reduction::ordered, |e, r| e.identity(r))?;
        self.rows(walk, axis, results, at, end)?;
        let single = self.asm.label();
        self.asm.get(TEMP, n);
        self.asm.compare_const(TEMP, LINES as i32);
        self.asm.jump(When::LessOrEqual, single);
        self.push(&tree, rs)?;
        self.asm.compare_slot(POSITION, n);
        self.asm.jump(When::Less, again);
        self.finish_tree(&tree, rs)?;
        self.asm.bind(single);
        Ok(())
    }

    /// Rows from where the walk stands to the position in a slot.
    fn rows(&mut self, walk: &Walk, axis: usize, results: &[Vec<State>], at: At, end: i32) -> Out<()> {
        let (ids, copies) = (wanted(walk), results.len());
        self.forget(&ids, copies);
        self.eval(&ids, copies, at)?;
        let mut accumulators = Vec::new();
        let here = self.position();
        for (copy, of_copy) in results.iter().enumerate() {
            for (r, state) in walk.reductions.iter().zip(of_copy) {
                let element = self.element(r, copy, here)?;
                let after = self.take_in(r, state, &element)?;
                self.assign(state, &after);
                accumulators.extend(state.iter().flatten().copied());
            }
        }
        self.store_elements(walk, copies, at)?;
        let mut first = accumulators.clone();
        first.extend(at.mask);
        let pins = self.pins(&first);
        self.load_pins(&pins);
        let far = self.is_far(axis);
        let top = self.asm.label();
        self.asm.bind(top);
        self.flush(&pins)?;
        self.ask_for_rows(axis, copies, far);
        self.advance(axis, 1);
        self.asm.add_const(POSITION, 1);
        self.asm.compare_slot(POSITION, end);
        self.asm.jump(When::Less, top);
        self.store_pins(&pins, &accumulators);
        Ok(())
    }

    /// The operands that lie in rows: contiguous along the innermost axis, and a stride apart along this one.
    fn in_rows(&self, axis: usize) -> Vec<(usize, i32)> {
        let inner = self.k.axes.len() - 1;
        let row = |o: usize| {
            let operand = &self.k.operands[o];
            let read = !self.written(o) && operand.access[inner] == Access::Unit;
            self.args.strides[o][axis].filter(|_| read && operand.dtype.size() >= 4)
        };
        (0..self.k.operands.len().min(POINTERS.len())).filter_map(|o| Some((o, row(o)?))).collect()
    }

    /// The slot of whether rows are asked for ahead: where they do not fit into the nearer caches. Each row is on a page of
    /// its own then, and the CPU does not foresee the next one.
    fn is_far(&mut self, axis: usize) -> Option<i32> {
        const NEAR: i32 = 1 << 18;
        let (_, stride) = *self.in_rows(axis).first()?;
        let slot = self.frame.word();
        let near = self.asm.label();
        self.asm.put_const(slot, 0);
        self.asm.get(TEMP, stride);
        self.asm.times_slot(TEMP, self.args.extents[axis]);
        self.asm.compare_const(TEMP, NEAR);
        self.asm.jump(When::LessOrEqual, near);
        self.asm.put_const(slot, 1);
        self.asm.bind(near);
        Some(slot)
    }

    /// Asks for what will be read some rows further down: not for more rows than the nearest cache has ways, where a tile is so
    /// wide that fewer will do, because rows that are a power of two apart share their places in it.
    fn ask_for_rows(&mut self, axis: usize, copies: usize, far: Option<i32>) {
        let rows = if copies > 8 { 8 } else { 16 };
        const LINE: usize = 64;
        let Some(far) = far else { return };
        let past = self.asm.label();
        self.asm.get(TEMP, far);
        self.asm.compare_const(TEMP, 0);
        self.asm.jump(When::Zero, past);
        for (o, stride) in self.in_rows(axis) {
            self.asm.get(TEMP, stride);
            self.asm.times(TEMP, rows);
            self.asm.add(TEMP, POINTERS[o]);
            let bytes = copies * self.lanes * self.k.operands[o].dtype.size();
            (0..bytes).step_by(LINE).for_each(|line| self.asm.prefetch(TEMP, line as i32));
        }
        self.asm.bind(past);
    }
}

/// Tiles of so many vectors, of fewer where there are not as many columns, and what is left of a vector under a mask.
fn tiers(tile: usize) -> Vec<(usize, bool)> {
    let steps: &[usize] = match tile {
        16 => &[16, 8, 2, 1],
        8 => &[8, 2, 1],
        4 => &[4, 2, 1],
        2 => &[2, 1],
        _ => &[1],
    };
    steps.iter().map(|copies| (*copies, false)).chain([(1, true)]).collect()
}
