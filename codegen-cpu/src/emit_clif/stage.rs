//! Stages: what is computed around a walk over the innermost loop.

use super::Emitter;
use super::column::States;
use super::eval::Copies;
use super::loops::Point;
use super::types::Width;
use crate::walk::{Reduction, Walk};
use cranelift_codegen::ir::{InstBuilder, Value};
use matex_ir::DType;
use matex_ir::loops::{InstKind, Stage, Store};

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
