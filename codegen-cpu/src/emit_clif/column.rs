//! Reductions along an axis that is not the innermost: a tile of the innermost axis is held in registers while the
//! reduction runs. Also row reductions whose order is free and whose body has no vector form, as a tile of one.

use super::Emitter;
use super::eval::Copies;
use super::loops::Point;
use super::row::Tree;
use super::types::Width;
use super::vector;
use crate::walk::{Reduction, Walk};
use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC};
use cranelift_frontend::Variable;
use matex_ir::loops::canon::LINES;

/// The registers that a tile's accumulators may take.
const TILE: usize = 8;

/// The state of a reduction in every copy: by copy and component.
pub(super) type States = Vec<Vec<Variable>>;

impl Emitter<'_, '_> {
    /// A kernel in column form.
    pub(super) fn column_kernel(&mut self, reduce_axis: usize) {
        let parallel: Vec<usize> = (0..self.k.axes.len()).filter(|a| *a != reduce_axis).collect();
        self.leave_if_empty(&parallel);
        let Some((&inner, outer)) = parallel.split_last() else { return };
        let (open, at) = self.open_all(outer);
        let stages = self.k.stages();
        let walks: Vec<Walk> = stages.iter().map(|s| Walk::of(self.k, s, reduce_axis)).collect();
        let width = self.column_width(&walks);
        let (mut start, end) = self.range(inner);
        let mut tiers = vec![(Width::Scalar, 1)];
        if width.is_vector() {
            tiers.insert(0, (width, 1));
            let accumulators = walks.iter().map(|w| w.reductions.len()).max().unwrap_or(0);
            let tile = TILE / accumulators.max(1);
            if tile > 1 && self.k.body.len() <= 24 {
                tiers.insert(0, (width, tile));
            }
        }
        for (w, tile) in tiers {
            let step = i64::from(w.lanes()) * tile as i64;
            let (l, inside) = self.open(&at, inner, start, end, step);
            let mut points = Copies::new(self.k).times(tile);
            for (stage, walk) in stages.iter().zip(&walks) {
                self.still(&mut points, stage, reduce_axis, &inside, w);
                let states = self.reduce_tile(walk, &points, &inside, reduce_axis, w);
                let reduced: Vec<_> = walk.reductions.iter().cloned().zip(states).collect();
                self.point_phase(&mut points, stage, &reduced, &inside, w);
            }
            start = self.close(l);
        }
        self.close_all(open);
    }

    /// The width at which everything in the kernel can be computed, since all of it lies along the vectors.
    fn column_width(&self, walks: &[Walk]) -> Width {
        let everything = Walk {
            range: 0..self.k.body.len(),
            wanted: vec![true; self.k.body.len()],
            reductions: walks.iter().flat_map(|w| w.reductions.clone()).collect(),
            stores: self.k.stores.clone(),
        };
        vector::width(self.k, &everything)
    }

    /// Variables for the states of reductions, holding `first`.
    pub(super) fn states(
        &mut self,
        reductions: &[Reduction],
        w: Width,
        tile: usize,
        first: First,
    ) -> Vec<States> {
        let mut all = Vec::new();
        for r in reductions {
            let start = match first {
                First::Empty => self.empty(r, w),
                First::Identity => self.identity(r, w),
            };
            let mut copies = Vec::new();
            for _ in 0..tile {
                let mut vars = Vec::new();
                for (v, d) in start.iter().zip(&r.dtypes) {
                    let var = self.b.declare_var(w.ty(*d));
                    self.b.def_var(var, *v);
                    vars.push(var);
                }
                copies.push(vars);
            }
            all.push(copies);
        }
        all
    }

    /// A walk along `axis` at as many vectors from `at` on as `points` has copies, and the variables that hold what its
    /// reductions came to.
    pub(super) fn reduce_tile(
        &mut self,
        walk: &Walk,
        points: &Copies,
        at: &Point,
        axis: usize,
        w: Width,
    ) -> Vec<States> {
        let (reductions, tile) = (&walk.reductions, points.count());
        let results = self.states(reductions, w, tile, First::Empty);
        let (some, done) = (self.b.create_block(), self.b.create_block());
        let n = self.args.extents[axis];
        let any = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, n, 0);
        self.b.ins().brif(any, some, &[], done, &[]);
        self.b.switch_to_block(some);
        let accs = self.states(reductions, w, tile, First::Identity);
        let ordered: Vec<bool> = reductions.iter().map(Reduction::ordered).collect();
        let zero = self.int(0);
        if ordered.contains(&true) {
            let mut trees: Vec<Option<Tree>> = Vec::new();
            for ordered in &ordered {
                trees.push(ordered.then(|| self.tree(w, tile)));
            }
            let blocks = self.open_blocks(zero, n, LINES as i64);
            let span = Span { axis, start: blocks.start, end: blocks.end, w };
            self.reduce_span(walk, points, &accs, at, &span);
            for ((r, tree), accs) in reductions.iter().zip(&trees).zip(&accs) {
                let Some(tree) = tree else { continue };
                let block: Vec<_> = accs.iter().map(|a| self.b.use_var(a[0])).collect();
                self.push(tree, r, block, blocks.number);
                let identity = self.identity(r, w);
                for acc in accs {
                    self.b.def_var(acc[0], identity[0]);
                }
            }
            self.close_blocks(blocks);
            for ((r, tree), accs) in reductions.iter().zip(&trees).zip(&accs) {
                let Some(tree) = tree else { continue };
                let whole = self.finish(tree, r);
                for (acc, v) in accs.iter().zip(whole) {
                    self.b.def_var(acc[0], v);
                }
            }
        } else {
            let span = Span { axis, start: zero, end: n, w };
            self.reduce_span(walk, points, &accs, at, &span);
        }
        for (result, acc) in results.iter().flatten().flatten().zip(accs.iter().flatten().flatten()) {
            let v = self.b.use_var(*acc);
            self.b.def_var(*result, v);
        }
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
        results
    }

    /// A loop over a part of the reduce axis that combines every element into the accumulators.
    fn reduce_span(&mut self, walk: &Walk, points: &Copies, accs: &[States], at: &Point, span: &Span) {
        let (l, inside) = self.open(at, span.axis, span.start, span.end, 1);
        let mut copies = points.clone();
        self.eval(&mut copies, &inside, span.w, walk.range.clone(), &walk.wanted);
        for (r, accs) in walk.reductions.iter().zip(accs) {
            for (copy, acc) in accs.iter().enumerate() {
                let Some(element) = self.state_of(r, &copies, copy) else { continue };
                let before: Vec<_> = acc.iter().map(|v| self.b.use_var(*v)).collect();
                let after = self.combine(r, &before, &element, span.w);
                for (var, v) in acc.iter().zip(after) {
                    self.b.def_var(*var, v);
                }
            }
        }
        self.store_all(&walk.stores, &copies, &inside, span.w);
        self.close(l);
    }
}

/// A part of an axis, and the width of the values computed there.
struct Span {
    axis: usize,
    start: Value,
    end: Value,
    w: Width,
}

/// What a state begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The result over no elements.
    Empty,
    /// The state that changes nothing.
    Identity,
}
