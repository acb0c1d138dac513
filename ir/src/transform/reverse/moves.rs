//! Cotangents of nodes that are linear in their operands: mostly those that move elements.

use super::routines::any_behind;
use super::{Cotangent, Reverse, placed, repeated};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, Node, ReduceOp, ScanOp, SliceAxis, TensorType, UpdateAxis, ValueId};
use crate::transform::emit::whole;
use crate::transform::forward::reversed;

impl Reverse<'_> {
    pub(super) fn moved(&mut self, node: &Node, ct: Cotangent) {
        let x = node.args[0];
        match &node.kind {
            Kind::Cast => {
                let dtype = self.c.body.ty(self.c.b, x).dtype;
                let value = self.c.b.cast(ct.value, dtype);
                self.add(x, Cotangent { value, mask: ct.mask });
            }
            Kind::Check { .. } => self.add(x, ct),
            Kind::Reshape => {
                let shape = self.c.body.ty(self.c.b, x).shape;
                let out = self.each(ct, |b, v| b.reshape(v, shape.clone()));
                self.add(x, out);
            }
            Kind::Permute(perm) => {
                let out = self.each(ct, |b, v| placed(b, v, perm.iter().copied()));
                self.add(x, out);
            }
            Kind::Broadcast { axes } => self.broadcast(x, axes, ct),
            Kind::Reduce { axes, .. } => {
                let shape = self.c.body.ty(self.c.b, x).shape;
                let out = self.each(ct, |b, v| b.spread(v, &shape, axes));
                self.add(x, out);
            }
            Kind::Scan { axis, .. } => {
                let mask = ct.mask.map(|m| any_behind(self.c.b, m, *axis));
                let b = &mut *self.c.b;
                let back = reversed(b, ct.value, *axis);
                let sums = b.scan(ScanOp::Sum, back, *axis);
                let value = reversed(b, sums, *axis);
                self.add(x, Cotangent { value, mask });
            }
            Kind::Slice(axes) => self.slice(x, axes, ct),
            Kind::Pad { low } => self.pad(node, low, ct),
            Kind::Concat { axis } => self.concat(node, *axis, ct),
            Kind::Gather { axis } => self.gather(node, *axis, ct),
            Kind::GatherAlong { axis } => self.scattered(x, self.c.get(node.args[1]), *axis, ct),
            Kind::ScatterAlong { axis, add } => self.scatter(node, *axis, *add, ct),
            Kind::Update(axes) => self.update(node, axes, ct),
            Kind::Param(_)
            | Kind::RegionParam
            | Kind::Constant(_)
            | Kind::Size(_)
            | Kind::Iota { .. }
            | Kind::Map(_)
            | Kind::Bitcast
            | Kind::Dot { .. }
            | Kind::Lib(_)
            | Kind::For(_)
            | Kind::While(..)
            | Kind::If(..)
            | Kind::Proj(_) => {}
        }
    }

    /// The same move of a cotangent and of its mask.
    fn each(&mut self, ct: Cotangent, mut f: impl FnMut(&mut Builder, ValueId) -> ValueId) -> Cotangent {
        let value = f(self.c.b, ct.value);
        Cotangent { value, mask: ct.mask.map(|m| f(self.c.b, m)) }
    }

    /// Repeated elements add up.
    fn broadcast(&mut self, x: ValueId, axes: &[usize], ct: Cotangent) {
        let from = self.c.body.ty(self.c.b, x).shape;
        let to = self.c.b.ty(ct.value).shape.clone();
        let stays =
            |k: &usize| axes.iter().position(|a| a == k).is_some_and(|i| !repeated(&from[i], &to[*k]));
        let over: Vec<usize> = (0..to.len()).filter(|k| !stays(k)).collect();
        let value = self.c.b.summed(ct.value, over.clone());
        let value = self.c.b.reshape(value, from.clone());
        let mask = ct.mask.map(|m| {
            let any = self.c.b.reduce(ReduceOp::Any, m, over);
            self.c.b.reshape(any, from)
        });
        self.add(x, Cotangent { value, mask });
    }

    fn slice(&mut self, x: ValueId, axes: &[SliceAxis], ct: Cotangent) {
        let ty = self.c.body.ty(self.c.b, x);
        let forwards = axes.iter().all(|a| a.step == 1);
        let out = self.each(ct, |b, v| {
            let dtype = b.ty(v).dtype;
            let ty = TensorType { dtype, ..ty.clone() };
            if forwards {
                let zero = b.zeros(&TensorType::scalar(dtype));
                let low = axes.iter().map(|a| a.start.clone()).collect();
                return b.pad(v, zero, low, ty.shape);
            }
            let zeros = b.zeros(&ty);
            b.update(zeros, v, &[], axes.iter().cloned().map(UpdateAxis::Slice).collect())
        });
        self.add(x, out);
    }

    fn pad(&mut self, node: &Node, low: &[Dim], ct: Cotangent) {
        let (x, value) = (node.args[0], node.args[1]);
        let ty = self.c.body.ty(self.c.b, x);
        let axes: Vec<SliceAxis> = low.iter().map(|d| SliceAxis { start: d.clone(), step: 1 }).collect();
        if self.depends.on(value) {
            let inside: Vec<UpdateAxis> = axes.iter().cloned().map(UpdateAxis::Slice).collect();
            let all: Vec<usize> = (0..ty.rank()).collect();
            let around = self.each(ct, |b, v| {
                let zeros = b.zeros(&TensorType { dtype: b.ty(v).dtype, ..ty.clone() });
                b.update(v, zeros, &[], inside.clone())
            });
            let sum = self.c.b.summed(around.value, all.clone());
            let mask = around.mask.map(|m| self.c.b.reduce(ReduceOp::Any, m, all));
            self.add(value, Cotangent { value: sum, mask });
        }
        if self.depends.on(x) {
            let out = self.each(ct, |b, v| b.slice(v, axes.clone(), ty.shape.clone()));
            self.add(x, out);
        }
    }

    fn concat(&mut self, node: &Node, axis: usize, ct: Cotangent) {
        let mut start = Dim::ZERO;
        for x in &node.args {
            let shape = self.c.body.ty(self.c.b, *x).shape;
            let end = &start + &shape[axis];
            if self.depends.on(*x) {
                let mut axes = whole(shape.len());
                axes[axis].start = start;
                let out = self.each(ct, |b, v| b.slice(v, axes.clone(), shape.clone()));
                self.add(*x, out);
            }
            start = end;
        }
    }

    /// Adds elements to the places that an index of equal rank says, in place of what was added before.
    pub(super) fn scattered(&mut self, x: ValueId, index: ValueId, axis: usize, ct: Cotangent) {
        if !self.depends.on(x) {
            return;
        }
        let so_far = self.cotangents.remove(&(x, 0)).unwrap_or_else(|| self.nothing(x));
        let b = &mut *self.c.b;
        let value = b.scatter_along(so_far.value, index, ct.value, axis, true);
        let mask = match (so_far.mask, ct.mask) {
            (Some(old), Some(new)) => Some(also_taken(b, old, index, new, axis)),
            (None, _) | (_, None) => None,
        };
        self.add(x, Cotangent { value, mask });
    }

    /// The axes of the index become one, and the index is repeated along all others.
    fn gather(&mut self, node: &Node, axis: usize, ct: Cotangent) {
        let (x, index) = (node.args[0], self.c.get(node.args[1]));
        let mut flat = self.c.body.ty(self.c.b, x).shape;
        let count = self.c.b.ty(index).elements();
        flat[axis] = count.clone();
        let source = self.each(ct, |b, v| b.reshape(v, flat.clone()));
        let b = &mut *self.c.b;
        let index = b.reshape(index, vec![count]);
        let index = b.broadcast(index, flat, vec![axis]);
        self.scattered(x, index, axis, source);
    }

    fn scatter(&mut self, node: &Node, axis: usize, add: bool, ct: Cotangent) {
        let (x, index, src) = (node.args[0], self.c.get(node.args[1]), node.args[2]);
        if self.depends.on(src) {
            let mut out = self.each(ct, |b, v| b.gather_along(v, index, axis));
            if !add {
                // Only the last of several that were written to one place counts.
                let b = &mut *self.c.b;
                let written = b.ty(index).shape.clone();
                let place = b.iota(written, axis);
                let all = TensorType { dtype: DType::I64, ..b.ty(ct.value).clone() };
                let none = b.zeros(&all);
                let last = b.scatter_along(none, index, place, axis, false);
                let last = b.gather_along(last, index, axis);
                let wins = b.map(Op::Eq, &[last, place]);
                out.value = b.kept(wins, out.value);
            }
            self.add(src, out);
        }
        if self.depends.on(x) {
            let out = if add {
                ct
            } else {
                self.each(ct, |b, v| {
                    let ty = TensorType { dtype: b.ty(v).dtype, ..b.ty(index).clone() };
                    let zeros = b.zeros(&ty);
                    b.scatter_along(v, index, zeros, axis, false)
                })
            };
            self.add(x, out);
        }
    }

    fn update(&mut self, node: &Node, axes: &[UpdateAxis], ct: Cotangent) {
        let (x, value) = (node.args[0], node.args[1]);
        let indices = self.c.all(&node.args[2..]);
        let ty = self.c.body.ty(self.c.b, value);
        if self.depends.on(value) {
            let out = self.each(ct, |b, v| read(b, v, axes, &indices, &ty.shape));
            self.add(value, out);
        }
        if self.depends.on(x) {
            let out = self.each(ct, |b, v| {
                let zeros = b.zeros(&TensorType { dtype: b.ty(v).dtype, ..ty.clone() });
                b.update(v, zeros, &indices, axes.to_vec())
            });
            self.add(x, out);
        }
    }
}

/// Where a mask holds, and at the places of an index where another one does.
fn also_taken(b: &mut Builder, old: ValueId, index: ValueId, new: ValueId, axis: usize) -> ValueId {
    if b.ty(index).shape[axis].is(1) {
        // No place twice, so that it is enough to write there: a step of a loop need not look at all of it.
        let before = b.gather_along(old, index, axis);
        let both = b.map(Op::Or, &[before, new]);
        return b.scatter_along(old, index, both, axis, false);
    }
    let none = b.zeros(&TensorType { dtype: DType::I64, ..b.ty(old).clone() });
    let new = b.cast(new, DType::I64);
    let count = b.scatter_along(none, index, new, axis, true);
    let any = b.cast(count, DType::Bool);
    b.map(Op::Or, &[old, any])
}

/// The part that an update writes.
fn read(b: &mut Builder, x: ValueId, axes: &[UpdateAxis], indices: &[ValueId], shape: &[Dim]) -> ValueId {
    let mut lens = b.ty(x).shape.clone();
    let mut slices = whole(lens.len());
    for (i, axis) in axes.iter().enumerate() {
        if let UpdateAxis::Slice(s) = axis {
            slices[i] = s.clone();
            lens[i] = shape[i].clone();
        }
    }
    let mut out = b.slice(x, slices, lens);
    let picked: Vec<usize> = (0..axes.len()).filter(|i| axes[*i] == UpdateAxis::Index).collect();
    // From the last axis on, so that those before keep their numbers.
    for (axis, index) in picked.iter().zip(indices).rev() {
        out = b.gather(out, *index, *axis);
    }
    b.reshape(out, shape.to_vec())
}
