//! The body of a kernel: instructions for the terms of its value.
//!
//! A kernel with reductions walks over what it reduces, once for reductions of values that are there, once more for those
//! that need the results of the first walk, and at last for the elements of the value, when that has some. What an
//! element needs in several walks is computed in each of them, but for what is dear: that is kept, in the result when
//! it fits there, else in a row of scratch.

use super::draft::Draft;
use super::expr::{ExprId, Term, Terms};
use crate::cost::CostModel;
use crate::layout::Layout;
use matex_ir::loops::{AxisKind, Combine, InstId, KernelBuilder, OperandId};
use matex_ir::{DType, Dim, Op, Scalar};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, HashMap};

/// From how many simple operations on an element on is kept and not computed again.
const DEAR: f64 = 12.0;

/// The body of a kernel that is being written.
pub(super) struct Body<'a> {
    terms: &'a Terms,
    draft: &'a Draft,
    sizes: &'a HashMap<(Dim, DType), usize>,
    b: &'a mut KernelBuilder,
    ids: &'a [OperandId],
    /// The instruction that computes each term, as far as it can be used.
    known: FxHashMap<ExprId, InstId>,
    /// Whether a term changes from element to element of a point.
    moving: FxHashMap<ExprId, bool>,
    /// What is kept from walk to walk, and where.
    kept: BTreeMap<ExprId, OperandId>,
    /// Which of that has been stored.
    stored: FxHashSet<ExprId>,
    /// The values of elements that have not been stored yet, and where to.
    pending: Vec<(ExprId, OperandId)>,
}

impl<'a> Body<'a> {
    pub(super) fn new(
        terms: &'a Terms,
        draft: &'a Draft,
        sizes: &'a HashMap<(Dim, DType), usize>,
        b: &'a mut KernelBuilder,
        ids: &'a [OperandId],
    ) -> Body<'a> {
        let (known, moving) = (FxHashMap::default(), FxHashMap::default());
        let (kept, stored, pending) = (BTreeMap::new(), FxHashSet::default(), Vec::new());
        Body { terms, draft, sizes, b, ids, known, moving, kept, stored, pending }
    }

    pub(super) fn write(mut self) {
        let walks = self.walks();
        self.find_moving();
        let outs = &self.ids[self.ids.len() - self.draft.values.len()..];
        let values: Vec<_> = self.draft.values.iter().zip(outs).map(|((v, e), out)| (*v, *e, *out)).collect();
        let elements = |e: bool| e || walks.is_empty();
        self.pending.extend(values.iter().filter(|v| elements(v.1)).map(|v| (v.0, v.2)));
        self.keep(&walks);
        for (number, folds) in walks.iter().enumerate() {
            if number > 0 {
                self.b.next_stage();
            }
            self.compute(&combined(self.terms, folds));
            self.reduce(folds);
            // What changes along the walk is not known behind it.
            self.known.retain(|t, _| !self.moving.get(t).copied().unwrap_or(false));
        }
        for (value, _, out) in values.iter().filter(|v| !elements(v.1)) {
            self.compute_at_point(*value);
            if let Some(value) = self.known.get(value) {
                self.b.store(*out, *value);
            }
        }
        if !self.pending.is_empty() {
            if !walks.is_empty() {
                self.b.next_stage();
                self.known.retain(|t, _| !self.moving.get(t).copied().unwrap_or(false));
            }
            let rest: Vec<ExprId> = self.pending.iter().map(|p| p.0).collect();
            self.compute(&rest);
            self.store_pending(&rest);
        }
    }

    fn roots(&self) -> Vec<ExprId> {
        self.draft.values.iter().map(|v| v.0).collect()
    }

    /// Stores those of some values that are computed and wait for it.
    fn store_pending(&mut self, values: &[ExprId]) {
        let ready = |p: &(ExprId, OperandId)| values.contains(&p.0);
        let (now, later) = std::mem::take(&mut self.pending).into_iter().partition(ready);
        self.pending = later;
        let now: Vec<(ExprId, OperandId)> = now;
        for (value, out) in now {
            if let Some(value) = self.known.get(&value) {
                self.b.store(out, *value);
            }
        }
    }

    /// The reductions by walks: each stands in the first one before which all that it needs is known.
    fn walks(&self) -> Vec<Vec<ExprId>> {
        let mut number: FxHashMap<ExprId, usize> = FxHashMap::default();
        let mut walks: Vec<Vec<ExprId>> = Vec::new();
        let closure = self.terms.closure(&self.roots());
        for id in closure.into_iter().filter(|t| !self.terms.term(*t).combined().is_empty()) {
            let inner = self.terms.reachable(self.terms.term(id).combined());
            let walk = inner.iter().filter_map(|t| number.get(t)).map(|w| w + 1).max().unwrap_or(0);
            number.insert(id, walk);
            walks.resize_with(walks.len().max(walk + 1), Vec::new);
            walks[walk].push(id);
        }
        walks
    }

    fn find_moving(&mut self) {
        let points = self.draft.points;
        for id in self.terms.closure(&self.roots()) {
            let args = self.terms.term(id).args();
            let moving =
                self.terms.moves(id, points) || args.iter().any(|a| self.moving.get(a) == Some(&true));
            self.moving.insert(id, moving);
        }
    }

    /// Finds what is dear and needed in several walks, and a place for it.
    fn keep(&mut self, walks: &[Vec<ExprId>]) {
        let mut roots: Vec<Vec<ExprId>> = walks.iter().map(|folds| combined(self.terms, folds)).collect();
        let walked = self.terms.reachable(&roots.concat());
        roots.push(self.pending.iter().map(|p| p.0).collect());
        let row = self.draft.nest.axes.last().is_some_and(|a| a.kind == AxisKind::Reduce);
        // A result that nothing is written to before the last walk is a place for something else until then.
        let mut free: Vec<(ExprId, OperandId)> = self.pending.clone();
        free.retain(|(value, _)| !walked.contains(value));
        let mut before: FxHashSet<ExprId> = FxHashSet::default();
        for roots in roots {
            let mut met = FxHashSet::default();
            let mut open = roots;
            while let Some(id) = open.pop() {
                if !met.insert(id) || self.moving.get(&id) != Some(&true) {
                    continue;
                }
                if before.contains(&id) && self.is_dear(id) {
                    if !self.kept.contains_key(&id) {
                        let place = self.place_for(id, row, &mut free);
                        self.kept.extend(place.map(|place| (id, place)));
                    }
                    if self.kept.contains_key(&id) {
                        continue;
                    }
                }
                open.extend_from_slice(self.terms.term(id).args());
            }
            before.extend(met);
        }
    }

    /// A place where an element can be kept: the result that it is, one that is free as yet, or a row of scratch.
    fn place_for(&mut self, id: ExprId, row: bool, free: &mut Vec<(ExprId, OperandId)>) -> Option<OperandId> {
        if let Some((_, out)) = self.pending.iter().find(|p| p.0 == id) {
            return Some(*out);
        }
        let dtype = self.terms.dtype(id);
        if let Some(at) = free.iter().position(|(value, _)| self.terms.dtype(*value) == dtype) {
            return Some(free.remove(at).1);
        }
        row.then(|| self.b.scratch(dtype))
    }

    /// Whether a term takes more to compute than to keep.
    fn is_dear(&self, id: ExprId) -> bool {
        let ops = |t: &ExprId| match self.terms.term(*t) {
            Term::Map(op, args) => {
                let dtype = args.last().map_or(DType::F64, |a| self.terms.dtype(*a));
                CostModel::FIXED.of_op(*op, dtype).ops
            }
            Term::LoadAt { .. } => DEAR,
            Term::Load(_)
            | Term::Count(_)
            | Term::Size(_)
            | Term::Const(_)
            | Term::Cast(_)
            | Term::Bitcast(_)
            | Term::Reduce { .. }
            | Term::Fold { .. }
            | Term::Scan { .. } => 0.0,
        };
        let inner = self.terms.reachable(&[id]);
        let moving = inner.iter().filter(|t| self.moving.get(t) == Some(&true));
        moving.map(ops).sum::<f64>() >= DEAR
    }

    /// Computes what is not known yet of some terms.
    fn compute(&mut self, roots: &[ExprId]) {
        // What is kept hides what it is made of.
        let (mut open, mut wanted) = (roots.to_vec(), FxHashSet::default());
        while let Some(id) = open.pop() {
            if !self.known.contains_key(&id) && wanted.insert(id) && !self.stored.contains(&id) {
                open.extend_from_slice(self.terms.term(id).args());
            }
        }
        let mut wanted: Vec<ExprId> = wanted.into_iter().collect();
        wanted.sort_unstable();
        for id in wanted {
            let inst = match self.kept.get(&id).copied() {
                Some(place) if self.stored.contains(&id) => Some(self.b.load(place)),
                Some(place) => {
                    let inst = self.inst(id);
                    let result = self.pending.contains(&(id, place));
                    if let (Some(inst), false) = (inst, result) {
                        self.b.store(place, inst);
                    }
                    self.stored.insert(id);
                    inst
                }
                None => self.inst(id),
            };
            self.known.extend(inst.map(|inst| (id, inst)));
            if self.moving.get(&id) == Some(&true) {
                self.store_pending(&[id]);
            }
        }
    }

    /// Computes a value behind all walks, from nothing that is kept for elements: a gather that stays the same along the walk counts
    /// as moving, and may be kept, but not for what belongs to a point.
    fn compute_at_point(&mut self, value: ExprId) {
        for id in self.terms.reachable(&[value]) {
            if !self.known.contains_key(&id) {
                let inst = self.inst(id);
                self.known.extend(inst.map(|inst| (id, inst)));
            }
        }
    }

    fn inst(&mut self, id: ExprId) -> Option<InstId> {
        self.b.at(self.terms.origin(id));
        let dtype = self.terms.dtype(id);
        Some(match self.terms.term(id) {
            Term::Load(_) => self.b.load(self.ids[self.draft.loads[&id]]),
            Term::LoadAt { index, .. } => {
                let index = self.known[index];
                self.b.load_at(self.ids[self.draft.loads[&id]], &[index])
            }
            Term::Count(_) => self.count(&self.draft.nest.counts[self.draft.counts[&id]]),
            Term::Size(dim) => self.size(dim, dtype),
            Term::Const(s) => self.b.constant(*s),
            Term::Map(op, args) => {
                let args: Vec<InstId> = args.iter().map(|a| self.known[a]).collect();
                self.b.map(*op, &args)
            }
            Term::Cast(a) => self.b.cast(self.known[a], dtype),
            Term::Bitcast(a) => self.b.bitcast(self.known[a], dtype),
            Term::Scan { combine, value, .. } => self.b.scan(*combine, self.known[value]),
            // Written with all others of their walk.
            Term::Reduce { .. } | Term::Fold { .. } => return None,
        })
    }

    fn size(&mut self, dim: &Dim, dtype: DType) -> InstId {
        match (dim.as_const(), self.sizes.get(&(dim.clone(), dtype))) {
            (None, Some(operand)) => self.b.load(self.ids[*operand]),
            (known, _) => self.b.constant(Scalar::from_i128(dtype, known.unwrap_or(0).into())),
        }
    }

    /// What a layout of positions reads: the offset and each stride times the position along its axis.
    fn count(&mut self, layout: &Layout) -> InstId {
        let mut sum = (!layout.offset.is(0)).then(|| self.size(&layout.offset, DType::I64));
        for (axis, stride) in layout.strides.iter().enumerate() {
            if stride.is(0) {
                continue;
            }
            let mut moved = self.b.index(axis);
            if !stride.is(1) {
                let step = self.size(stride, DType::I64);
                moved = self.b.map(Op::Mul, &[moved, step]);
            }
            sum = Some(match sum {
                Some(sum) => self.b.map(Op::Add, &[sum, moved]),
                None => moved,
            });
        }
        sum.unwrap_or_else(|| self.b.constant(Scalar::from_i128(DType::I64, 0)))
    }

    /// The reductions of a walk, whose elements are known, each once.
    fn reduce(&mut self, folds: &[ExprId]) {
        let mut done: Vec<(Combine, &[ExprId], InstId)> = Vec::new();
        let mut parts = Vec::new();
        for id in folds {
            let Term::Fold { combine, values, component } = self.terms.term(*id) else { continue };
            self.b.at(self.terms.origin(*id));
            let before = done.iter().find(|(c, v, _)| c == combine && v == values);
            let state = match before {
                Some((_, _, state)) => *state,
                None => {
                    let combined: Vec<InstId> = values.iter().map(|v| self.known[v]).collect();
                    let state = self.b.reduce(*combine, &combined);
                    done.push((*combine, values, state));
                    state
                }
            };
            parts.push((*id, state, *component));
        }
        for (id, state, component) in parts {
            let part = if component == 0 { state } else { self.b.part(state, component) };
            self.known.insert(id, part);
        }
    }
}

/// What some reductions combine.
fn combined(terms: &Terms, folds: &[ExprId]) -> Vec<ExprId> {
    folds.iter().flat_map(|f| terms.term(*f).combined().iter().copied()).collect()
}
