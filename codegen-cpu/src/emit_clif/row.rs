//! Reductions along the innermost axis, in the canonical order of [`matex_ir::loops::canon`]: 256 bytes of lanes, blocks,
//! and a pairwise tree over the blocks.
//!
//! Lanes are 16 vectors. They are held in registers, [`GROUP`] at a time: each group walks the block on its
//! own, which lies in the L1 cache by then, because all 16 at once would leave no register for anything else.

use super::Emitter;
use super::column::First;
use super::column::States;
use super::eval::Copies;
use super::loops::Point;
use super::memory::memory;
use super::types::{VECTOR, Width};
use super::vector;
use crate::walk::{Reduction, Walk};
use cranelift_codegen::ir::{Block, InstBuilder, Value, condcodes::IntCC, types as ct};
use cranelift_frontend::Variable;
use matex_ir::loops::Access;
use matex_ir::loops::canon::{LEVELS, LINES, lanes};

/// The vectors that the lanes of a reduction fill.
const VECTORS: usize = 16;

/// The vectors of accumulators that are in registers at a time.
const GROUP: usize = 8;

/// A loop over blocks that is being emitted.
pub(super) struct Blocks {
    body: Block,
    exit: Block,
    block: i64,
    n: Value,
    /// The first position of the block.
    pub(super) start: Value,
    /// The first position after the block.
    pub(super) end: Value,
    /// The block's number.
    pub(super) number: Value,
}

/// The stack of a pairwise tree, as a stack slot; see [`matex_ir::loops::canon::BlockTree`].
pub(super) struct Tree {
    stack: Value,
    depth: Variable,
    w: Width,
    copies: usize,
}

impl Emitter<'_, '_> {
    /// A kernel in row form.
    pub(super) fn row_kernel(&mut self) {
        let axis = self.k.axes.len() - 1;
        let outer: Vec<usize> = (0..axis).collect();
        self.leave_if_empty(&outer);
        let (open, at) = self.open_all(&outer);
        let mut points = Copies::new(self.k);
        for stage in self.k.stages() {
            self.still(&mut points, &stage, axis, &at, Width::Scalar);
            let walk = Walk::of(self.k, &stage, axis);
            let reduced = self.row_stage(&walk, &points, &at, axis);
            self.point_phase(&mut points, &stage, &reduced, &at, Width::Scalar);
        }
        self.close_all(open);
    }

    /// The elements of a stage, and what its reductions came to.
    fn row_stage(
        &mut self,
        walk: &Walk,
        points: &Copies,
        at: &Point,
        axis: usize,
    ) -> Vec<(Reduction, States)> {
        if walk.reductions.is_empty() {
            self.elements(walk, points, axis, at);
            return Vec::new();
        }
        let width = vector::width(self.k, walk);
        if width.is_vector() {
            let states = self.row_pass(walk, points, at, axis, width);
            return walk.reductions.iter().cloned().zip(states).collect();
        }
        self.scalar_passes(walk, points, at, axis)
    }

    /// Without a vector form: a pass for each lane count among the ordered reductions, and one for all others. The
    /// first of them writes.
    fn scalar_passes(
        &mut self,
        walk: &Walk,
        points: &Copies,
        at: &Point,
        axis: usize,
    ) -> Vec<(Reduction, States)> {
        let all = &walk.reductions;
        let class = |r: &Reduction| if r.ordered() { lanes(r.dtypes[0]) } else { 0 };
        let mut classes: Vec<usize> = all.iter().map(class).collect();
        classes.sort_unstable();
        classes.dedup();
        let mut reduced = Vec::new();
        for (pass, c) in classes.into_iter().enumerate() {
            let which: Vec<usize> = (0..all.len()).filter(|i| class(&all[*i]) == c).collect();
            let part = walk.part(self.k, axis, &which, pass == 0);
            let states = if c == 0 {
                self.reduce_tile(&part, points, at, axis, Width::Scalar)
            } else {
                self.row_pass(&part, points, at, axis, Width::Scalar)
            };
            reduced.extend(part.reductions.into_iter().zip(states));
        }
        reduced
    }

    /// Reductions of one element size in lanes; elements are computed at width `w`.
    fn row_pass(&mut self, walk: &Walk, points: &Copies, at: &Point, axis: usize, w: Width) -> Vec<States> {
        let reductions = &walk.reductions;
        let results = self.states(reductions, Width::Scalar, 1, First::Empty);
        let (some, done) = (self.b.create_block(), self.b.create_block());
        let n = self.args.extents[axis];
        let any = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, n, 0);
        self.b.ins().brif(any, some, &[], done, &[]);
        self.b.switch_to_block(some);
        let pass = Pass {
            walk,
            points,
            axis,
            w,
            lane_slots: reductions.iter().map(|_| self.slot(VECTOR * VECTORS as u32)).collect(),
        };
        let zero = self.int(0);
        let size = reductions.first().map_or(8, |r| r.dtypes[0].size());
        if reductions.iter().any(Reduction::ordered) {
            let trees: Vec<Tree> = reductions.iter().map(|_| self.tree(Width::Scalar, 1)).collect();
            let blocks = self.open_blocks(zero, n, (LINES * 256 / size) as i64);
            let values = self.block(at, &pass, (blocks.start, blocks.end));
            for ((r, tree), v) in reductions.iter().zip(&trees).zip(values) {
                self.push(tree, r, vec![v], blocks.number);
            }
            self.close_blocks(blocks);
            for ((r, tree), result) in reductions.iter().zip(&trees).zip(&results) {
                let whole = self.finish(tree, r);
                self.b.def_var(result[0][0], whole[0]);
            }
        } else {
            // The order is free, so that one block holds everything.
            let values = self.block(at, &pass, (zero, n));
            for (v, result) in values.into_iter().zip(&results) {
                self.b.def_var(result[0][0], v);
            }
        }
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
        results
    }

    /// One block: fills the lanes and merges them. Gives a scalar for each reduction.
    fn block(&mut self, at: &Point, pass: &Pass<'_>, span: (Value, Value)) -> Vec<Value> {
        let rs = &pass.walk.reductions;
        let tail = if pass.w.is_vector() {
            self.full_lines(at, pass, span)
        } else {
            for (r, slot) in rs.iter().zip(&pass.lane_slots) {
                let w = Width::Vector(r.dtypes[0].size() as u32);
                let identity = self.identity(r, w);
                for v in 0..VECTORS as i32 {
                    self.b.ins().store(memory(), identity[0], *slot, v * VECTOR as i32);
                }
            }
            span.0
        };
        self.tail(at, pass, tail, span.1);
        rs.iter().zip(&pass.lane_slots).map(|(r, slot)| self.merge_lanes(r, *slot)).collect()
    }

    /// The part of a block that fills all lanes, as vectors; leaves the lanes in their slots and gives the position
    /// after it.
    fn full_lines(&mut self, at: &Point, pass: &Pass<'_>, span: (Value, Value)) -> Value {
        let (walk, rs) = (pass.walk, &pass.walk.reductions);
        let line = VECTORS as i64 * i64::from(pass.w.lanes());
        // Long bodies have enough independent work in them, and each copy of one costs compile time.
        let body = match walk.wanted.iter().filter(|w| **w).count() {
            0..=8 => GROUP,
            9..=32 => GROUP / 2,
            _ => GROUP / 4,
        };
        let group = (body / rs.len().max(1)).max(1).next_power_of_two().min(GROUP);
        let fixed = self.spread(pass.points, walk, pass.w);
        let mut end = span.0;
        for first in (0..VECTORS).step_by(group) {
            let accs = self.states(rs, pass.w, group, First::Identity);
            let (l, inside) = self.open(at, pass.axis, span.0, span.1, line);
            let skip = first as i64 * i64::from(pass.w.lanes());
            let inside = self.skipped(&inside, pass.axis, skip);
            let mut copies = fixed.times(group);
            self.eval(&mut copies, &inside, pass.w, walk.range.clone(), &walk.wanted);
            for (r, accs) in rs.iter().zip(&accs) {
                for (copy, acc) in accs.iter().enumerate() {
                    let Some(element) = self.state_of(r, &copies, copy) else { continue };
                    let before = self.b.use_var(acc[0]);
                    let after = self.combine(r, &[before], &element, pass.w);
                    self.b.def_var(acc[0], after[0]);
                }
            }
            self.store_all(&walk.stores, &copies, &inside, pass.w);
            end = self.close(l);
            for (accs, slot) in accs.iter().zip(&pass.lane_slots) {
                for (copy, acc) in accs.iter().enumerate() {
                    let v = self.b.use_var(acc[0]);
                    let offset = (first + copy) as i32 * VECTOR as i32;
                    self.b.ins().store(memory(), v, *slot, offset);
                }
            }
        }
        end
    }

    /// A place that many positions further along the vector axis.
    fn skipped(&mut self, at: &Point, axis: usize, skip: i64) -> Point {
        let mut next = at.clone();
        if skip == 0 {
            return next;
        }
        next.index[axis] = self.b.ins().iadd_imm_s(at.index[axis], skip);
        for (o, operand) in self.k.operands.iter().enumerate() {
            next.ptrs[o] = match operand.access[axis] {
                Access::Zero => continue,
                Access::Unit => self.b.ins().iadd_imm_s(at.ptrs[o], skip * operand.dtype.size() as i64),
                Access::Strided => {
                    let step = self.b.ins().imul_imm_s(self.args.strides[o][axis], skip);
                    self.b.ins().iadd(at.ptrs[o], step)
                }
            };
        }
        next
    }

    /// The elements of `start..end` one by one, into the lanes in their slots. `start` is a multiple of the lanes.
    fn tail(&mut self, at: &Point, pass: &Pass<'_>, start: Value, end: Value) {
        let (walk, rs) = (pass.walk, &pass.walk.reductions);
        let (l, inside) = self.open(at, pass.axis, start, end, 1);
        let mut copies = pass.points.clone();
        self.eval(&mut copies, &inside, Width::Scalar, walk.range.clone(), &walk.wanted);
        for (r, slot) in rs.iter().zip(&pass.lane_slots) {
            let Some(element) = self.state_of(r, &copies, 0) else { continue };
            let d = r.dtypes[0];
            let lane = self.b.ins().isub(inside.index[pass.axis], start);
            let lane = self.b.ins().band_imm_u(lane, lanes(d) as i64 - 1);
            let offset = self.b.ins().imul_imm_s(lane, d.size() as i64);
            let ptr = self.b.ins().iadd(*slot, offset);
            let before = self.b.ins().load(Width::Scalar.ty(d), memory(), ptr, 0);
            let after = self.combine(r, &[before], &element, Width::Scalar);
            self.b.ins().store(memory(), after[0], ptr, 0);
        }
        self.store_all(&walk.stores, &copies, &inside, Width::Scalar);
        self.close(l);
    }

    /// Merges the lanes in a slot by halving: whole vectors first, then the lanes of the last one.
    fn merge_lanes(&mut self, r: &Reduction, slot: Value) -> Value {
        let d = r.dtypes[0];
        // Sums and products of floats always have vector forms; other ops come here only when they were vectorized.
        let w = Width::Vector(d.size() as u32);
        let mut v: Vec<Value> = Vec::new();
        for i in 0..VECTORS as i32 {
            v.push(self.b.ins().load(w.ty(d), memory(), slot, i * VECTOR as i32));
        }
        while v.len() > 1 {
            let upper = v.split_off(v.len() / 2);
            v = v.iter().zip(&upper).map(|(a, b)| self.combine(r, &[*a], &[*b], w)[0]).collect();
        }
        let mut lane: Vec<Value> = Vec::new();
        for i in 0..w.lanes() as u8 {
            lane.push(self.b.ins().extractlane(v[0], i));
        }
        while lane.len() > 1 {
            let upper = lane.split_off(lane.len() / 2);
            let pairs = lane.iter().zip(&upper);
            lane = pairs.map(|(a, b)| self.combine(r, &[*a], &[*b], Width::Scalar)[0]).collect();
        }
        lane[0]
    }

    /// Opens a loop over `start..n` in blocks; `start < n`.
    pub(super) fn open_blocks(&mut self, start: Value, n: Value, block: i64) -> Blocks {
        let (body, exit) = (self.b.create_block(), self.b.create_block());
        let zero = self.int(0);
        self.b.ins().jump(body, &[start.into(), zero.into()]);
        self.b.switch_to_block(body);
        let first = self.b.append_block_param(body, ct::I64);
        let number = self.b.append_block_param(body, ct::I64);
        let end = self.b.ins().iadd_imm_s(first, block);
        let end = self.b.ins().smin(end, n);
        Blocks { body, exit, block, n, start: first, end, number }
    }

    pub(super) fn close_blocks(&mut self, l: Blocks) {
        let next = self.b.ins().iadd_imm_s(l.start, l.block);
        let number = self.b.ins().iadd_imm_s(l.number, 1);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, l.n);
        self.b.ins().brif(more, l.body, &[next.into(), number.into()], l.exit, &[]);
        self.b.switch_to_block(l.exit);
    }

    /// An empty tree over `copies` values side by side.
    pub(super) fn tree(&mut self, w: Width, copies: usize) -> Tree {
        let entry = VECTOR * copies as u32;
        let stack = self.slot(LEVELS as u32 * entry);
        let depth = self.b.declare_var(ct::I64);
        let zero = self.int(0);
        self.b.def_var(depth, zero);
        Tree { stack, depth, w, copies }
    }

    /// The address of an entry of the stack.
    fn entry(&mut self, t: &Tree, depth: Value) -> Value {
        let offset = self.b.ins().imul_imm_s(depth, i64::from(VECTOR) * t.copies as i64);
        self.b.ins().iadd(t.stack, offset)
    }

    /// Takes the top off the stack and merges it with `right`, which came after it.
    fn pop(&mut self, t: &Tree, r: &Reduction, right: &[Value]) -> Vec<Value> {
        let depth = self.b.use_var(t.depth);
        let below = self.b.ins().iadd_imm_s(depth, -1);
        self.b.def_var(t.depth, below);
        let entry = self.entry(t, below);
        let mut merged = Vec::new();
        for (copy, right) in right.iter().enumerate() {
            let offset = copy as i32 * VECTOR as i32;
            let left = self.b.ins().load(t.w.ty(r.dtypes[0]), memory(), entry, offset);
            merged.push(self.combine(r, &[left], &[*right], t.w)[0]);
        }
        merged
    }

    /// Pushes a block's result and merges the subtrees that it completes: one for each trailing one of its number.
    pub(super) fn push(&mut self, t: &Tree, r: &Reduction, block: Vec<Value>, number: Value) {
        let (test, merge, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let vars = self.variables(r, t.w, &block);
        let rest = self.b.declare_var(ct::I64);
        self.b.def_var(rest, number);
        self.b.ins().jump(test, &[]);
        self.b.switch_to_block(test);
        let bits = self.b.use_var(rest);
        let odd = self.b.ins().band_imm_u(bits, 1);
        self.b.ins().brif(odd, merge, &[], done, &[]);
        self.b.switch_to_block(merge);
        self.merge_top(t, r, &vars);
        let half = self.b.ins().ushr_imm_u(bits, 1);
        self.b.def_var(rest, half);
        self.b.ins().jump(test, &[]);
        self.b.switch_to_block(done);
        let depth = self.b.use_var(t.depth);
        let entry = self.entry(t, depth);
        for (copy, var) in vars.iter().enumerate() {
            let v = self.b.use_var(*var);
            self.b.ins().store(memory(), v, entry, copy as i32 * VECTOR as i32);
        }
        let depth = self.b.ins().iadd_imm_s(depth, 1);
        self.b.def_var(t.depth, depth);
    }

    /// Merges what is left from the top of the stack down. At least one block was pushed.
    pub(super) fn finish(&mut self, t: &Tree, r: &Reduction) -> Vec<Value> {
        let (test, merge, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let depth = self.b.use_var(t.depth);
        let top = self.b.ins().iadd_imm_s(depth, -1);
        self.b.def_var(t.depth, top);
        let entry = self.entry(t, top);
        let mut last = Vec::new();
        for copy in 0..t.copies {
            let offset = copy as i32 * VECTOR as i32;
            last.push(self.b.ins().load(t.w.ty(r.dtypes[0]), memory(), entry, offset));
        }
        let vars = self.variables(r, t.w, &last);
        self.b.ins().jump(test, &[]);
        self.b.switch_to_block(test);
        let depth = self.b.use_var(t.depth);
        self.b.ins().brif(depth, merge, &[], done, &[]);
        self.b.switch_to_block(merge);
        self.merge_top(t, r, &vars);
        self.b.ins().jump(test, &[]);
        self.b.switch_to_block(done);
        vars.into_iter().map(|v| self.b.use_var(v)).collect()
    }

    fn merge_top(&mut self, t: &Tree, r: &Reduction, vars: &[Variable]) {
        let right: Vec<Value> = vars.iter().map(|v| self.b.use_var(*v)).collect();
        let merged = self.pop(t, r, &right);
        for (var, v) in vars.iter().zip(merged) {
            self.b.def_var(*var, v);
        }
    }

    /// Variables that hold these values.
    fn variables(&mut self, r: &Reduction, w: Width, values: &[Value]) -> Vec<Variable> {
        let mut vars = Vec::new();
        for v in values {
            let var = self.b.declare_var(w.ty(r.dtypes[0]));
            self.b.def_var(var, *v);
            vars.push(var);
        }
        vars
    }
}

/// What a pass over a row has fixed.
struct Pass<'w> {
    walk: &'w Walk,
    /// What is known at the parallel point, as scalars.
    points: &'w Copies,
    axis: usize,
    w: Width,
    /// The lanes in memory, for each reduction.
    lane_slots: Vec<Value>,
}
