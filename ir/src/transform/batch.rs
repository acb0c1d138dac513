//! Vectorization: a body on whole arrays of arguments at once, as the loop over them would give.
//!
//! A value that depends on a mapped argument gets a new first axis; all others stay as they are and are computed once.
//! Most nodes then do the same on one axis more. What has no such form, and control flow that goes different ways for
//! different elements where an error could come of going all of them, becomes the loop.

mod control;
mod moves;
mod routines;

use super::body::{Body, Copier};
use super::depend::{Depends, Through};
use super::{Refused, within};
use crate::dim::Dim;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, Node, TensorType, Type, ValueId};

/// The results of a body on values for its parameters, of which those that are marked have one axis more, the first,
/// of extent `count`. A result has that axis when it is marked in what comes back.
///
/// # Errors
/// [`Refused::TooLarge`] above `limit` nodes.
pub fn batch(
    b: &mut Builder,
    body: &Body,
    args: &[ValueId],
    mapped: &[bool],
    count: &Dim,
    limit: usize,
) -> Result<Vec<(ValueId, bool)>, Refused> {
    let mut batch = Batch::new(b, body, mapped, count.clone(), limit);
    batch.c.set_all(body.params(), args);
    batch.nodes(&body.root().nodes)?;
    Ok(body.results().iter().map(|r| (batch.c.get(*r), batch.depends.on(*r))).collect())
}

/// A vectorization under way.
pub(super) struct Batch<'a> {
    pub(super) c: Copier<'a>,
    pub(super) depends: Depends<'a>,
    count: Dim,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        b: &'a mut Builder,
        body: &'a Body,
        mapped: &[bool],
        count: Dim,
        limit: usize,
    ) -> Batch<'a> {
        let depends = Depends::new(body, mapped, Through::Anything);
        Batch { c: Copier::new(b, body, limit), depends, count }
    }
}

impl Batch<'_> {
    fn nodes(&mut self, nodes: &[ValueId]) -> Result<(), Refused> {
        nodes.iter().try_for_each(|v| self.node(*v))
    }

    pub(super) fn node(&mut self, v: ValueId) -> Result<(), Refused> {
        let Some(node) = self.c.body.node(v) else { return Ok(()) };
        let mapped = self.depends.on(v) || self.depends.any_member(v);
        if !mapped || matches!(node.kind, Kind::Proj(_)) {
            return self.c.copy(v);
        }
        within(self.c.b, self.c.limit)?;
        let before = self.c.b.set_origin(node.origin);
        let done = self.mapped(v, node);
        self.c.b.set_origin(before);
        done
    }

    fn mapped(&mut self, v: ValueId, node: &Node) -> Result<(), Refused> {
        match &node.kind {
            Kind::For(_) | Kind::While(..) | Kind::If(..) => return self.control(v, node),
            Kind::Lib(op) => return self.routine(v, op, node),
            Kind::Param(_)
            | Kind::RegionParam
            | Kind::Constant(_)
            | Kind::Size(_)
            | Kind::Iota { .. }
            | Kind::Map(_)
            | Kind::Cast
            | Kind::Bitcast
            | Kind::Broadcast { .. }
            | Kind::Permute(_)
            | Kind::Reshape
            | Kind::Slice(_)
            | Kind::Pad { .. }
            | Kind::Concat { .. }
            | Kind::Gather { .. }
            | Kind::GatherAlong { .. }
            | Kind::ScatterAlong { .. }
            | Kind::Update(_)
            | Kind::Reduce { .. }
            | Kind::Scan { .. }
            | Kind::Dot { .. }
            | Kind::Check { .. }
            | Kind::Proj(_) => {}
        }
        let made = self.moved(node);
        self.c.set(v, made);
        Ok(())
    }

    /// The type with the new axis.
    fn longer(&self, ty: &TensorType) -> TensorType {
        let mut shape = vec![self.count.clone()];
        shape.extend(ty.shape.iter().cloned());
        TensorType::new(ty.dtype, shape)
    }

    /// What a value has become, with the new axis.
    fn full(&mut self, v: ValueId) -> ValueId {
        let x = self.c.get(v);
        if self.depends.on(v) { x } else { self.repeated(x) }
    }

    /// A value repeated along the new axis.
    fn repeated(&mut self, x: ValueId) -> ValueId {
        let ty = self.c.b.ty(x).clone();
        let shape = self.longer(&ty).shape;
        self.c.b.spread(x, &shape, &[0])
    }

    /// The type of a node with one result, with the new axis.
    fn result(&self, node: &Node) -> TensorType {
        match &node.ty {
            Type::Tensor(t) => self.longer(t),
            Type::Tuple(_) => TensorType::scalar(crate::DType::Bool),
        }
    }

    /// A node of the same kind, but for its axes, on operands that all have the new axis.
    fn same(&mut self, kind: Kind, node: &Node) -> ValueId {
        let args: Vec<ValueId> = node.args.iter().map(|a| self.full(*a)).collect();
        let ty = self.result(node);
        self.c.b.push(kind, args, Type::Tensor(ty))
    }

    /// `condition`, which has the new axis only, as one of the shape of `like`.
    fn chosen(&mut self, condition: ValueId, yes: ValueId, no: ValueId) -> ValueId {
        let shape = self.c.b.ty(yes).shape.clone();
        let condition = self.c.b.broadcast(condition, shape, vec![0]);
        self.c.b.map(Op::Select, &[condition, yes, no])
    }
}
