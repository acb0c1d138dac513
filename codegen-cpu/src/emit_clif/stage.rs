//! Stages: what a walk over the innermost loop evaluates, combines and writes, and what is computed around it.

use super::Emitter;
use super::column::States;
use super::eval::{Copies, Reduction};
use super::loops::Point;
use super::types::Width;
use cranelift_codegen::ir::{InstBuilder, Value};
use matex_ir::DType;
use matex_ir::loops::{InstKind, Kernel, Stage, Store};
use std::ops::Range;

/// One loop over the elements of a stage.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// The instructions that can be evaluated in it.
    pub(super) range: Range<usize>,
    /// Those of them that it has to evaluate at every element.
    pub(super) wanted: Vec<bool>,
    /// What it combines.
    pub(super) reductions: Vec<Reduction>,
    /// What it writes at every element.
    pub(super) stores: Vec<Store>,
}

impl Walk {
    /// A walk for some of a stage's reductions and stores, along an axis. A gather is always wanted, because it can fail.
    fn new(k: &Kernel, stage: &Stage, axis: usize, reductions: Vec<Reduction>, stores: Vec<Store>) -> Walk {
        let mut roots: Vec<usize> = reductions.iter().flat_map(|r| &r.values).map(|v| v.index()).collect();
        roots.extend(stores.iter().map(|s| s.value.index()));
        roots.extend(stage.element.clone().filter(|id| matches!(k.body[*id].kind, InstKind::LoadAt { .. })));
        let mut wanted = needed(k, &roots);
        for (id, (wanted, moving)) in wanted.iter_mut().zip(k.moving(axis)).enumerate() {
            *wanted &= moving && stage.element.contains(&id);
        }
        Walk { range: stage.element.clone(), wanted, reductions, stores }
    }

    /// Everything that a stage does per element, along the axis of its innermost loop.
    pub(super) fn of(k: &Kernel, stage: &Stage, axis: usize) -> Walk {
        let stores = k.stores.iter().filter(|s| stage.insts().contains(&s.value.index()));
        let stores = stores.filter(|s| k.stores_elements(s)).copied().collect();
        Walk::new(k, stage, axis, reductions(k, stage.element.clone()), stores)
    }

    /// A walk for some of its reductions; one of the parts has to write.
    pub(super) fn part(&self, k: &Kernel, axis: usize, which: &[usize], writes: bool) -> Walk {
        let stage = Stage { element: self.range.clone(), point: self.range.end..self.range.end };
        let reductions = which.iter().map(|i| self.reductions[*i].clone()).collect();
        Walk::new(k, &stage, axis, reductions, if writes { self.stores.clone() } else { Vec::new() })
    }

    /// The values from outside of the loop that it uses.
    pub(super) fn sources(&self, k: &Kernel) -> Vec<usize> {
        let wanted = |id: &usize| self.wanted[*id];
        let evaluated = self.range.clone().filter(wanted).flat_map(|id| k.body[id].kind.args());
        let combined = self.reductions.iter().flat_map(|r| &r.values);
        let all = evaluated.chain(combined).chain(self.stores.iter().map(|s| &s.value));
        let mut ids: Vec<usize> = all.map(|id| id.index()).filter(|id| !wanted(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// The instructions that these depend on, themselves included.
fn needed(k: &Kernel, roots: &[usize]) -> Vec<bool> {
    let mut needed = vec![false; k.body.len()];
    for r in roots {
        needed[*r] = true;
    }
    for id in (0..needed.len()).rev() {
        if needed[id] {
            for a in k.body[id].kind.args() {
                needed[a.index()] = true;
            }
        }
    }
    needed
}

/// The reductions among some instructions.
fn reductions(k: &Kernel, insts: Range<usize>) -> Vec<Reduction> {
    let found = insts.filter_map(|id| match &k.body[id].kind {
        InstKind::Reduce { combine, values } => {
            let dtypes = values.iter().map(|v| k.inst(*v).dtype).collect();
            Some(Reduction { id, combine: *combine, values: values.clone(), dtypes })
        }
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Index(_)
        | InstKind::Const(_)
        | InstKind::Map(..)
        | InstKind::Cast(_)
        | InstKind::Bitcast(_)
        | InstKind::Rescue(..)
        | InstKind::Part { .. }
        | InstKind::Scan { .. } => None,
    });
    found.collect()
}

impl Emitter<'_, '_> {
    /// Evaluates what a stage computes per element and does not change along an axis, before the loop over that axis.
    pub(super) fn still(&mut self, points: &mut Copies, stage: &Stage, axis: usize, at: &Point, w: Width) {
        let wanted: Vec<bool> = self.k.moving(axis).into_iter().map(|moving| !moving).collect();
        self.eval(points, at, w, stage.element.clone(), &wanted);
    }

    /// What a stage does once per parallel point, below its reductions.
    pub(super) fn point_phase(
        &mut self,
        points: &mut Copies,
        stage: &Stage,
        reduced: &[(Reduction, States)],
        at: &Point,
        w: Width,
    ) {
        for (r, states) in reduced {
            for (copy, state) in states.iter().enumerate() {
                let state = state.iter().map(|v| self.b.use_var(*v)).collect();
                points.set_state(copy, r.id, state);
            }
        }
        self.eval(points, at, w, stage.point.clone(), &vec![true; self.k.body.len()]);
        let stores = self.k.stores.iter().filter(|s| stage.insts().contains(&s.value.index()));
        let stores: Vec<Store> = stores.filter(|s| !self.k.stores_elements(s)).copied().collect();
        self.store_all(&stores, points, at, w);
    }

    /// The values that a walk takes from outside of its loop, in every lane. `points` holds them as scalars.
    pub(super) fn spread(&mut self, points: &Copies, walk: &Walk, w: Width) -> Copies {
        if !w.is_vector() {
            return points.clone();
        }
        let mut all = Copies::new(self.k);
        for id in walk.sources(self.k) {
            let inst = &self.k.body[id];
            let v = match (&inst.kind, points.known(0, id)) {
                (InstKind::Const(s), _) => self.constant(*s, w),
                (_, Some(v)) => self.splat(v, inst.dtype, w),
                (_, None) => continue,
            };
            all.set(0, id, v);
        }
        all
    }

    /// A scalar in every lane.
    fn splat(&mut self, v: Value, d: DType, w: Width) -> Value {
        if d != DType::Bool || !w.masks() {
            return self.b.ins().splat(w.ty(d), v);
        }
        let lane = w.ty(d).lane_type();
        let mask = self.b.ins().ineg(v);
        let mask = self.b.ins().sextend(lane, mask);
        self.b.ins().splat(w.ty(d), mask)
    }
}
