//! Nodes that compute element by element, reduce, and move elements, on one axis more.

use super::Batch;
use crate::dim::Dim;
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Kind, Node, ReduceOp, SliceAxis, TensorType, Type, UpdateAxis, ValueId};

/// An axis as it is.
fn whole_axis() -> SliceAxis {
    SliceAxis { start: Dim::ZERO, step: 1 }
}

impl Batch<'_> {
    /// The value of a node with one result that depends on a mapped argument.
    pub(super) fn moved(&mut self, node: &Node) -> ValueId {
        match &node.kind {
            Kind::Map(_) | Kind::Cast | Kind::Bitcast | Kind::Reshape => self.same(node.kind.clone(), node),
            Kind::Broadcast { axes } => {
                let axes = std::iter::once(0).chain(axes.iter().map(|a| a + 1)).collect();
                self.same(Kind::Broadcast { axes }, node)
            }
            Kind::Permute(perm) => {
                let perm = std::iter::once(0).chain(perm.iter().map(|p| p + 1)).collect();
                self.same(Kind::Permute(perm), node)
            }
            Kind::Slice(axes) => {
                let axes = std::iter::once(whole_axis()).chain(axes.iter().cloned()).collect();
                self.same(Kind::Slice(axes), node)
            }
            Kind::Concat { axis } => self.same(Kind::Concat { axis: axis + 1 }, node),
            Kind::GatherAlong { axis } => self.same(Kind::GatherAlong { axis: axis + 1 }, node),
            Kind::ScatterAlong { axis, add } => {
                self.same(Kind::ScatterAlong { axis: axis + 1, add: *add }, node)
            }
            Kind::Reduce { op, axes } => {
                let axes = axes.iter().map(|a| a + 1).collect();
                self.same(Kind::Reduce { op: *op, axes }, node)
            }
            Kind::Scan { op, axis } => self.same(Kind::Scan { op: *op, axis: axis + 1 }, node),
            Kind::Pad { low } => self.pad(node, low),
            Kind::Gather { axis } => self.gather(node, *axis),
            Kind::Update(axes) => self.update(node, axes),
            Kind::Dot { batch, contract } => self.dot(node, batch, contract),
            Kind::Check { code, message } => {
                let x = self.full(node.args[0]);
                let mut holds = self.c.get(node.args[1]);
                if self.depends.on(node.args[1]) {
                    holds = self.c.b.reduce(ReduceOp::All, holds, vec![0]);
                }
                self.c.b.check(x, holds, *code, message.clone())
            }
            Kind::Param(_)
            | Kind::RegionParam
            | Kind::Constant(_)
            | Kind::Size(_)
            | Kind::Iota { .. }
            | Kind::Lib(_)
            | Kind::For(_)
            | Kind::While(..)
            | Kind::If(..)
            | Kind::Proj(_) => self.same(node.kind.clone(), node),
        }
    }

    /// A padding that differs from element to element is chosen where the operand is not.
    fn pad(&mut self, node: &Node, low: &[Dim]) -> ValueId {
        let (x, value) = (node.args[0], node.args[1]);
        let mut longer = vec![Dim::ZERO];
        longer.extend(low.iter().cloned());
        let ty = self.result(node);
        let full = self.full(x);
        if !self.depends.on(value) {
            let value = self.c.get(value);
            return self.c.b.pad(full, value, longer, ty.shape);
        }
        let value = self.c.get(value);
        let b = &mut *self.c.b;
        let inside = TensorType { dtype: DType::Bool, ..b.ty(full).clone() };
        let no = b.zeros(&inside);
        let yes = b.map(Op::Not, &[no]);
        let outside = b.zeros(&TensorType::scalar(DType::Bool));
        let inside = b.pad(yes, outside, longer.clone(), ty.shape.clone());
        let zero = b.zeros(&TensorType::scalar(ty.dtype));
        let padded = b.pad(full, zero, longer, ty.shape.clone());
        let value = b.broadcast(value, ty.shape, vec![0]);
        b.map(Op::Select, &[inside, padded, value])
    }

    fn gather(&mut self, node: &Node, axis: usize) -> ValueId {
        let (x, index) = (node.args[0], node.args[1]);
        if !self.depends.on(index) {
            return self.same_but(Kind::Gather { axis: axis + 1 }, node, &[0]);
        }
        let index_rank = self.c.body.ty(self.c.b, index).rank();
        let ty = self.result(node);
        if !self.depends.on(x) {
            // The new axis stands first among those of the index, and moves to the front.
            let (x, index) = (self.c.get(x), self.c.get(index));
            let picked = self.c.b.gather(x, index, axis);
            let perm = std::iter::once(axis).chain((0..ty.rank()).filter(|a| *a != axis)).collect();
            return self.c.b.permute(picked, perm);
        }
        // Each element has its own operand and index: an index for every element of the result.
        let (x, index) = (self.c.get(x), self.c.get(index));
        let shape = self.c.b.ty(x).shape.clone();
        let count = crate::dim::product(&self.c.b.ty(index).shape[1..=index_rank]);
        let flat = self.c.b.reshape(index, vec![self.count.clone(), count.clone()]);
        let mut along = shape;
        along[axis + 1] = count;
        let spread = self.c.b.broadcast(flat, along, vec![0, axis + 1]);
        let picked = self.c.b.gather_along(x, spread, axis + 1);
        self.c.b.reshape(picked, ty.shape)
    }

    /// The node with the new axis on some operands only.
    fn same_but(&mut self, kind: Kind, node: &Node, longer: &[usize]) -> ValueId {
        let args: Vec<ValueId> = node
            .args
            .iter()
            .enumerate()
            .map(|(i, a)| if longer.contains(&i) { self.full(*a) } else { self.c.get(*a) })
            .collect();
        let ty = self.result(node);
        self.c.b.push(kind, args, Type::Tensor(ty))
    }

    fn update(&mut self, node: &Node, axes: &[UpdateAxis]) -> ValueId {
        let mut longer = vec![UpdateAxis::Slice(whole_axis())];
        longer.extend(axes.iter().cloned());
        if !node.args[2..].iter().any(|i| self.depends.on(*i)) {
            return self.same_but(Kind::Update(longer), node, &[0, 1]);
        }
        // Places that differ from element to element: the value everywhere along those axes, chosen where they are.
        let (x, value) = (self.full(node.args[0]), self.full(node.args[1]));
        let shape = self.c.b.ty(x).shape.clone();
        let mut indices = node.args[2..].iter();
        let mut here = None;
        let mut written = self.c.b.ty(value).shape.clone();
        for (i, axis) in axes.iter().enumerate() {
            if *axis == UpdateAxis::Index
                && let Some(index) = indices.next()
            {
                let at = self.place(*index, i + 1, &shape);
                here = Some(here.map_or(at, |h| self.c.b.map(Op::And, &[h, at])));
                written[i + 1] = shape[i + 1].clone();
                longer[i + 1] = UpdateAxis::Slice(whole_axis());
            }
        }
        let all_axes = (0..written.len()).collect();
        let value = self.c.b.broadcast(value, written, all_axes);
        let everywhere = self.c.b.update(x, value, &[], longer);
        match here {
            Some(h) => self.c.b.map(Op::Select, &[h, everywhere, x]),
            None => everywhere,
        }
    }

    /// Where an axis is at an index; the index is checked by what picks it out of all there are.
    fn place(&mut self, index: ValueId, axis: usize, shape: &[Dim]) -> ValueId {
        let index = self.full(index);
        let b = &mut *self.c.b;
        let all = b.iota(vec![shape[axis].clone()], 0);
        let index = b.gather(all, index, 0);
        let index = b.broadcast(index, shape.to_vec(), vec![0]);
        let own = b.iota(shape.to_vec(), axis);
        b.map(Op::Eq, &[own, index])
    }

    fn dot(&mut self, node: &Node, batch: &[(usize, usize)], contract: &[(usize, usize)]) -> ValueId {
        // A factor and its mask get the new axis together.
        let on =
            [0, 1].map(|i| [i, i + 2].iter().filter_map(|k| node.args.get(*k)).any(|a| self.depends.on(*a)));
        let mut operand = |i: usize| {
            let v = *node.args.get(i)?;
            Some(if on[i % 2] { self.full(v) } else { self.c.get(v) })
        };
        let (Some(x), Some(y)) = (operand(0), operand(1)) else { return self.same(node.kind.clone(), node) };
        let masks = [operand(2), operand(3)];
        let moved = |pairs: &[(usize, usize)], l: usize, r: usize| -> Vec<(usize, usize)> {
            pairs.iter().map(|p| (p.0 + l, p.1 + r)).collect()
        };
        let n = batch.len();
        if on[0] && on[1] {
            let mut pairs = vec![(0, 0)];
            pairs.extend(moved(batch, 1, 1));
            return self.c.b.masked_dot([x, y], masks, pairs, moved(contract, 1, 1));
        }
        if on[0] {
            // The new axis comes behind the batch.
            let out = self.c.b.masked_dot([x, y], masks, moved(batch, 1, 0), moved(contract, 1, 0));
            return self.fronted(out, n);
        }
        if n == 0 {
            // With the factors swapped, the new axis is the first, and a vector needs nothing more.
            let turned: Vec<(usize, usize)> = contract.iter().map(|p| (p.1 + 1, p.0)).collect();
            let [of_x, of_y] = masks;
            let out = self.c.b.masked_dot([y, x], [of_y, of_x], Vec::new(), turned);
            let free_b = self.c.b.ty(y).rank() - 1 - contract.len();
            let rank = self.c.b.ty(out).rank();
            let perm = std::iter::once(0).chain(1 + free_b..rank).chain(1..1 + free_b).collect();
            return self.c.b.permute(out, perm);
        }
        let free_a = self.c.b.ty(x).rank() - n - contract.len();
        let out = self.c.b.masked_dot([x, y], masks, moved(batch, 0, 1), moved(contract, 0, 1));
        self.fronted(out, n + free_a)
    }

    fn fronted(&mut self, x: ValueId, axis: usize) -> ValueId {
        let rank = self.c.b.ty(x).rank();
        let perm = std::iter::once(axis).chain((0..rank).filter(|a| *a != axis)).collect();
        self.c.b.permute(x, perm)
    }
}
