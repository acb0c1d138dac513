//! Reductions along an axis that is not the innermost: a tile of the innermost axis is held in registers while the
//! reduction runs. Also row reductions whose order is free and whose body has no vector form, as a tile of one.

use super::Emitter;
use super::eval::{Copies, Reduction};
use super::loops::Point;
use super::row::Tree;
use super::types::Width;
use super::vector;
use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC};
use cranelift_frontend::Variable;
use matex_ir::loops::InstKind;
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
        let all = vec![true; self.k.body.len()];
        let width = vector::width(self.k, &all, true);
        let reductions = self.reductions();
        let (mut start, end) = self.range(inner);
        let mut tiers = vec![(Width::Scalar, 1)];
        if width.is_vector() {
            tiers.insert(0, (width, 1));
            let tile = TILE / reductions.len().max(1);
            if tile > 1 && self.k.body.len() <= 24 {
                tiers.insert(0, (width, tile));
            }
        }
        for (w, tile) in tiers {
            let step = i64::from(w.lanes()) * tile as i64;
            let (l, inside) = self.open(&at, inner, start, end, step);
            let states = self.reduce_tile(&reductions, &inside, reduce_axis, w, tile, &all);
            self.point_phase(&reductions, &states, &inside, w, tile);
            start = self.close(l);
        }
        self.close_all(open);
    }

    /// What runs once per parallel point, below the reductions.
    pub(super) fn point_phase(
        &mut self,
        reductions: &[Reduction],
        states: &[States],
        at: &Point,
        w: Width,
        tile: usize,
    ) {
        let k = self.k;
        let mut copies = Copies::new(k).times(tile);
        for copy in 0..tile {
            for (r, states) in reductions.iter().zip(states) {
                let state = states[copy].iter().map(|v| self.b.use_var(*v)).collect();
                copies.set_state(copy, r.id, state);
            }
        }
        let split = k.element_insts();
        let roots: Vec<usize> = k.stores.iter().map(|s| s.value.index()).collect();
        let mut wanted = self.needed(&roots);
        for (id, wanted) in wanted.iter_mut().enumerate().take(split) {
            // Constants are all that is used of the element phase, apart from the reductions.
            *wanted &= matches!(k.body[id].kind, InstKind::Const(_));
        }
        self.eval(&mut copies, at, w, 0..k.body.len(), &wanted);
        self.store_all(&copies, at, w);
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

    /// The reductions over `reduce_axis` at `tile` vectors from `at` on, and the variables that hold their results.
    pub(super) fn reduce_tile(
        &mut self,
        reductions: &[Reduction],
        at: &Point,
        reduce_axis: usize,
        w: Width,
        tile: usize,
        wanted: &[bool],
    ) -> Vec<States> {
        let results = self.states(reductions, w, tile, First::Empty);
        let (some, done) = (self.b.create_block(), self.b.create_block());
        let n = self.args.extents[reduce_axis];
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
            self.reduce_span(reductions, &accs, at, reduce_axis, (blocks.start, blocks.end), w, wanted);
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
            self.reduce_span(reductions, &accs, at, reduce_axis, (zero, n), w, wanted);
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
    #[expect(
        clippy::too_many_arguments,
        reason = "a place, a span and a shape, each of which its callers have apart"
    )]
    fn reduce_span(
        &mut self,
        reductions: &[Reduction],
        accs: &[States],
        at: &Point,
        axis: usize,
        span: (Value, Value),
        w: Width,
        wanted: &[bool],
    ) {
        let tile = accs.first().map_or(1, Vec::len);
        let (l, inside) = self.open(at, axis, span.0, span.1, 1);
        let mut copies = Copies::new(self.k).times(tile);
        self.eval(&mut copies, &inside, w, 0..self.k.element_insts(), wanted);
        for (r, accs) in reductions.iter().zip(accs) {
            for (copy, acc) in accs.iter().enumerate() {
                let Some(element) = r.elements(&copies, copy) else { continue };
                let before: Vec<_> = acc.iter().map(|v| self.b.use_var(*v)).collect();
                let after = self.combine(r, &before, &element, w);
                for (var, v) in acc.iter().zip(after) {
                    self.b.def_var(*var, v);
                }
            }
        }
        self.close(l);
    }
}

/// What a state begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The result over no elements.
    Empty,
    /// The state that changes nothing.
    Identity,
}
