//! Evaluating a body at a place, in several copies along the vector axis.

use super::Emitter;
use super::loops::Point;
use super::types::Width;
use crate::walk::Reduction;
use cranelift_codegen::ir::{InstBuilder, Value, types as ct};
use matex_ir::loops::{InstId, InstKind, Kernel, Store};
use std::ops::Range;

/// The values of a body's instructions in each of several copies; copy `c` stands `c` vectors further along the
/// vector axis.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    values: Vec<Vec<Option<Value>>>,
    /// The components of reductions, by instruction.
    parts: Vec<Vec<Vec<Value>>>,
}

impl Copies {
    /// One copy in which nothing is known.
    pub(super) fn new(k: &Kernel) -> Copies {
        Copies { values: vec![vec![None; k.body.len()]], parts: vec![vec![Vec::new(); k.body.len()]] }
    }

    /// The first copy `n` times.
    pub(super) fn times(&self, n: usize) -> Copies {
        Copies { values: vec![self.values[0].clone(); n], parts: vec![self.parts[0].clone(); n] }
    }

    pub(super) fn count(&self) -> usize {
        self.values.len()
    }

    /// A value that has been evaluated. The verifier has seen to it that there is one for every use.
    pub(super) fn get(&self, copy: usize, id: InstId) -> Option<Value> {
        self.values[copy][id.index()]
    }

    /// The value of an instruction, if it has been evaluated.
    pub(super) fn known(&self, copy: usize, id: usize) -> Option<Value> {
        self.values[copy][id]
    }

    pub(super) fn set(&mut self, copy: usize, id: usize, v: Value) {
        self.values[copy][id] = Some(v);
    }

    /// What a reduction came to.
    pub(super) fn set_state(&mut self, copy: usize, id: usize, state: Vec<Value>) {
        self.values[copy][id] = state.first().copied();
        self.parts[copy][id] = state;
    }
}

impl Emitter<'_, '_> {
    /// Evaluates the wanted instructions of a range that are not known yet, loads before everything else.
    pub(super) fn eval(
        &mut self,
        copies: &mut Copies,
        at: &Point,
        w: Width,
        insts: Range<usize>,
        wanted: &[bool],
    ) {
        let k = self.k;
        for loads in [true, false] {
            for copy in 0..copies.count() {
                let d = copy as i64 * i64::from(w.lanes());
                for id in insts.clone() {
                    let load = matches!(k.body[id].kind, InstKind::Load(_));
                    if wanted[id] && load == loads && copies.values[copy][id].is_none() {
                        self.locate(Some(id));
                        let v = self.inst(copies, copy, id, at, d, w);
                        copies.values[copy][id] = v;
                    }
                }
            }
        }
        self.locate(None);
    }

    fn inst(
        &mut self,
        copies: &Copies,
        copy: usize,
        id: usize,
        at: &Point,
        d: i64,
        w: Width,
    ) -> Option<Value> {
        let k = self.k;
        let inst = &k.body[id];
        let args =
            |ids: &[InstId]| -> Option<Vec<Value>> { ids.iter().map(|a| copies.get(copy, *a)).collect() };
        Some(match &inst.kind {
            InstKind::Load(o) => self.load(*o, at, d, w),
            InstKind::LoadAt { operand, indices } => self.load_at(*operand, &args(indices)?, at, d),
            InstKind::Index(axis) => self.index(*axis as usize, at, d, w),
            InstKind::Const(s) => self.constant(*s, w),
            InstKind::Map(op, ids) => {
                // `select` begins with a bool, and its other operands decide.
                let dtype = self.dtype(*ids.last()?);
                self.map(*op, dtype, &args(ids)?, w)
            }
            InstKind::Cast(a) => self.cast(copies.get(copy, *a)?, self.dtype(*a), inst.dtype, w),
            InstKind::Rescue(op, ids) => self.rescue(*op, inst.dtype, &args(ids)?, w)?,
            InstKind::Bitcast(a) => self.bitcast(copies.get(copy, *a)?, w.ty(inst.dtype)),
            // Evaluated by the emitter of the reduction.
            InstKind::Reduce { .. } => return None,
            InstKind::Part { of, component } => {
                return copies.parts[copy][of.index()].get(*component as usize).copied();
            }
            InstKind::Scan { combine, value } => {
                let x = copies.get(copy, *value)?;
                self.scan_step(id, *combine, inst.dtype, x, at)
            }
        })
    }

    /// The positions along an axis; along the vector axis they count up from lane to lane.
    fn index(&mut self, axis: usize, at: &Point, d: i64, w: Width) -> Value {
        let mut i = at.index[axis];
        let along = self.k.vector_axis() == Some(axis);
        if along && d != 0 {
            i = self.b.ins().iadd_imm_s(i, d);
        }
        if !w.is_vector() {
            return i;
        }
        let v = self.b.ins().splat(ct::I64X2, i);
        if !along {
            return v;
        }
        let next = self.b.ins().iadd_imm_s(i, 1);
        self.b.ins().insertlane(v, next, 1)
    }

    /// Writes values of every copy.
    pub(super) fn store_all(&mut self, stores: &[Store], copies: &Copies, at: &Point, w: Width) {
        for copy in 0..copies.count() {
            let d = copy as i64 * i64::from(w.lanes());
            for s in stores {
                if let Some(v) = copies.get(copy, s.value) {
                    self.locate(Some(s.value.index()));
                    self.store(s.operand, v, at, d, w);
                }
            }
        }
        self.locate(None);
    }

    /// The elements of a reduction in a copy.
    pub(super) fn state_of(&self, r: &Reduction, copies: &Copies, copy: usize) -> Option<Vec<Value>> {
        r.values.iter().map(|v| copies.get(copy, *v)).collect()
    }

    /// One step of a combination.
    pub(super) fn combine(&mut self, r: &Reduction, a: &[Value], b: &[Value], w: Width) -> Vec<Value> {
        self.locate(Some(r.id));
        let state = match r.combine.op() {
            Some(op) => vec![self.map(op, r.dtypes[0], &[a[0], b[0]], w)],
            None => self.arg_step(r, a, b),
        };
        self.locate(None);
        state
    }

    /// The state that changes nothing, in every lane.
    pub(super) fn identity(&mut self, r: &Reduction, w: Width) -> Vec<Value> {
        r.combine.identity(r.dtypes[0]).into_iter().map(|s| self.constant(s, w)).collect()
    }

    /// The result over no elements, in every lane.
    pub(super) fn empty(&mut self, r: &Reduction, w: Width) -> Vec<Value> {
        r.combine.empty(r.dtypes[0]).into_iter().map(|s| self.constant(s, w)).collect()
    }
}
