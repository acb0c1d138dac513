//! All derivatives of a linear body at once: its value on every unit vector of its parameter, which is a Jacobian.
//!
//! Unit vectors are nearly all zeros, and so is much of what a linear body makes of them: of an elementwise function only a
//! diagonal is not 0. So a value is not carried as one array with an axis for all directions, but as a sum of parts
//! ([`part::Part`]) that leave out the zeros which the form of the body tells: an axis of the directions may be tied to
//! an axis of the value, and then only what lies on that diagonal is there; and a part may be about a piece of the
//! parameter only. Elementwise functions keep ties, a sum over a tied axis sums nothing and only unties it, and a
//! product with a unit vector is no product. Zeros appear where nothing else can be done, mostly in the result.
//!
//! Zeros that are left out are also not multiplied: where a derivative is infinite, the others beside it stay 0 and do
//! not become NaN.
//!
//! What has no such rule gets whole arrays, as [`batch`](super::batch()) has them.

mod moves;
mod part;
mod products;

use super::Refused;
use super::batch::Batch;
use super::body::Body;
use super::within;
use crate::dim::{Dim, product};
use crate::dtype::Scalar;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, Node, ReduceOp, ScanOp, Type, ValueId};
use crate::transform::slopes::known_number;
use part::{Part, View, assembled};
use std::collections::BTreeMap;

/// How many parts a value may have before they are put together: each of them is work of its own.
const MOST_PARTS: usize = 12;

/// How often a piece may be taken of the directions of a part.
const MOST_STEPS: usize = 8;

/// Where the axes of the directions stand in a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// Before those of the value.
    First,
    /// Behind them.
    Last,
}

/// What a body that is linear in its one parameter gives for every unit vector of the parameter: the axes of its one
/// result, and those of the parameter before or behind them.
///
/// # Errors
/// [`Refused::TooLarge`] above `limit` nodes.
pub fn units(b: &mut Builder, body: &Body, order: Directions, limit: usize) -> Result<ValueId, Refused> {
    let [param] = *body.params() else { return Err(Refused::TooLarge) };
    let [result] = *body.results() else { return Err(Refused::TooLarge) };
    let ty = body.ty(b, param);
    let count = ty.elements();
    let one = b.scalar(Scalar::from_i128(ty.dtype, 1));
    let value = b.broadcast(one, ty.shape.clone(), Vec::new());
    let ties = (0..ty.rank()).map(Some).collect();
    let unit = Part { view: View::whole(&ty.shape), ties, value };
    let mut u =
        Units { batch: Batch::new(b, body, &[true], count, limit), shape: ty.shape, parts: BTreeMap::new() };
    u.parts.insert(param, vec![unit]);
    for v in &body.root().nodes {
        u.node(*v)?;
    }
    Ok(u.whole(result, order))
}

/// A run over the body.
struct Units<'a> {
    /// Makes what depends on no direction, and what is made of whole arrays.
    batch: Batch<'a>,
    /// The shape of the parameter, which is that of all directions.
    shape: Vec<Dim>,
    parts: BTreeMap<ValueId, Vec<Part>>,
}

impl Units<'_> {
    fn node(&mut self, v: ValueId) -> Result<(), Refused> {
        let Some(node) = self.batch.c.body.node(v) else { return Ok(()) };
        if !self.batch.depends.on(v) {
            if self.batch.depends.any_member(v) {
                self.whole_operands(node);
            }
            return self.batch.node(v);
        }
        within(self.batch.c.b, self.batch.c.limit)?;
        let before = self.batch.c.b.set_origin(node.origin);
        let made = self.linear(node);
        self.batch.c.b.set_origin(before);
        match made {
            Some(parts) => {
                let parts = self.bounded(parts);
                self.parts.insert(v, parts);
                Ok(())
            }
            None => {
                self.whole_operands(node);
                self.batch.node(v)
            }
        }
    }

    /// Whether a value changes with the directions.
    fn moves(&self, v: ValueId) -> bool {
        self.batch.depends.on(v)
    }

    /// The parts of a value, one for a value that was made as a whole array; none of one that no direction changes.
    fn parts_of(&mut self, v: ValueId) -> Vec<Part> {
        match self.parts.get(&v) {
            Some(parts) => parts.clone(),
            None if !self.moves(v) => Vec::new(),
            None => {
                let mut shape = self.shape.clone();
                shape.extend(self.batch.c.body.ty(self.batch.c.b, v).shape);
                let whole = self.batch.c.get(v);
                vec![self.part_of_all(|b| b.reshape(whole, shape))]
            }
        }
    }

    /// The part that leaves nothing out.
    fn part_of_all(&mut self, value: impl FnOnce(&mut Builder) -> ValueId) -> Part {
        let value = value(self.batch.c.b);
        Part { view: View::whole(&self.shape), ties: vec![None; self.shape.len()], value }
    }

    /// A value as one array.
    fn whole(&mut self, v: ValueId, order: Directions) -> ValueId {
        let parts = self.parts_of(v);
        let b = &mut *self.batch.c.b;
        if let Some(all) = assembled(b, &parts, order) {
            return all;
        }
        let mut ty = self.batch.c.body.ty(b, v);
        let (mut first, last) = match order {
            Directions::First => (self.shape.clone(), ty.shape),
            Directions::Last => (ty.shape, self.shape.clone()),
        };
        first.extend(last);
        ty.shape = first;
        b.zeros(&ty)
    }

    /// Makes whole arrays of the operands of a node, and of what its regions take from outside.
    fn whole_operands(&mut self, node: &Node) {
        let body = self.batch.c.body;
        let mut used = node.args.clone();
        used.extend(node.kind.regions().into_iter().flat_map(|r| body.free(body.region(r))));
        for v in used {
            if !self.parts.contains_key(&v) {
                continue;
            }
            let all = self.whole(v, Directions::First);
            self.parts.remove(&v);
            let b = &mut *self.batch.c.b;
            let mut shape = vec![product(&self.shape)];
            shape.extend(b.ty(all).shape[self.shape.len()..].iter().cloned());
            let flat = b.reshape(all, shape);
            self.batch.c.set(v, flat);
        }
    }

    /// Puts parts together when there are too many of them.
    fn bounded(&mut self, parts: Vec<Part>) -> Vec<Part> {
        if parts.len() <= MOST_PARTS && parts.iter().all(|p| p.view.steps() <= MOST_STEPS) {
            return parts;
        }
        match assembled(self.batch.c.b, &parts, Directions::First) {
            Some(all) => vec![self.part_of_all(|_| all)],
            None => parts,
        }
    }

    /// The parts of a node's value, when there is a rule for it that keeps parts as they are.
    fn linear(&mut self, node: &Node) -> Option<Vec<Part>> {
        let x = *node.args.first()?;
        let Type::Tensor(ty) = &node.ty else { return None };
        let from = self.batch.c.body.ty(self.batch.c.b, x).shape;
        match &node.kind {
            Kind::Map(op) => self.map(*op, node),
            Kind::Cast if ty.dtype.is_float() => self.each(x, |b, p| Some(p.with(b.cast(p.value, ty.dtype)))),
            Kind::Broadcast { axes } => self.each(x, |b, p| moves::broadcast(b, p, axes, &from, &ty.shape)),
            Kind::Permute(perm) => self.each(x, |b, p| Some(moves::permute(b, p, perm))),
            Kind::Reshape => self.each(x, |b, p| moves::reshape(b, p, &from, &ty.shape)),
            Kind::Slice(axes) => self.each(x, |b, p| Some(moves::slice(b, p, axes, &from, &ty.shape))),
            Kind::Reduce { op: ReduceOp::Sum, axes } => self.each(x, |b, p| Some(moves::sum(b, p, axes))),
            Kind::Scan { op: ScanOp::Sum, axis } => self.each(x, |b, p| moves::scan(b, p, *axis)),
            Kind::Pad { low } => {
                if !self.is_zero(node.args[1]) {
                    return None;
                }
                self.each(x, |b, p| Some(moves::pad(b, p, low, &from, &ty.shape)))
            }
            Kind::Concat { axis } => self.concat(node, *axis, &ty.shape),
            Kind::Gather { axis } if !self.moves(node.args[1]) => {
                let index = self.batch.c.get(node.args[1]);
                self.each(x, |b, p| moves::gather(b, p, index, *axis))
            }
            Kind::Check { code, message } if !self.moves(node.args[1]) => {
                let holds = self.batch.c.get(node.args[1]);
                self.each(x, |b, p| Some(p.with(b.check(p.value, holds, *code, message.clone()))))
            }
            Kind::Dot { batch, contract } => self.dot(node, batch, contract),
            Kind::Cast
            | Kind::Gather { .. }
            | Kind::Check { .. }
            | Kind::Reduce { .. }
            | Kind::Scan { .. }
            | Kind::Param(_)
            | Kind::RegionParam
            | Kind::Constant(_)
            | Kind::Size(_)
            | Kind::Iota { .. }
            | Kind::Bitcast
            | Kind::GatherAlong { .. }
            | Kind::ScatterAlong { .. }
            | Kind::Update(_)
            | Kind::Lib(_)
            | Kind::For(_)
            | Kind::While(..)
            | Kind::If(..)
            | Kind::Proj(_) => None,
        }
    }

    /// A rule for each part of an operand.
    fn each(
        &mut self,
        x: ValueId,
        mut rule: impl FnMut(&mut Builder, &Part) -> Option<Part>,
    ) -> Option<Vec<Part>> {
        if !self.moves(x) {
            return None;
        }
        let mut out = Vec::new();
        for part in self.parts_of(x) {
            let part = rule(self.batch.c.b, &part)?;
            add(self.batch.c.b, &mut out, part);
        }
        Some(out)
    }

    /// Whether a value is known to be 0: what a linear body adds to a value that moves, or chooses beside it.
    fn is_zero(&self, v: ValueId) -> bool {
        !self.moves(v) && known_number(self.batch.c.b, self.batch.c.get(v)) == Some(0.0)
    }

    fn map(&mut self, op: Op, node: &Node) -> Option<Vec<Part>> {
        let args = &node.args;
        let moves: Vec<bool> = args.iter().map(|a| self.moves(*a)).collect();
        match (op, moves.as_slice()) {
            (Op::Neg, _) => self.each(args[0], |b, p| Some(p.with(b.map(Op::Neg, &[p.value])))),
            (Op::Add, _) => self.sum(&[(args[0], false), (args[1], false)]),
            (Op::Sub, _) => self.sum(&[(args[0], false), (args[1], true)]),
            (Op::Mul, [true, false]) => self.times(Op::Mul, args[0], args[1]),
            (Op::Mul, [false, true]) => self.times(Op::Mul, args[1], args[0]),
            (Op::Div, [true, false]) => self.times(Op::Div, args[0], args[1]),
            (Op::Select, [false, ..]) => self.select(args[0], [args[1], args[2]]),
            _ => None,
        }
    }

    /// The sum of values, of which those that are marked are subtracted.
    fn sum(&mut self, of: &[(ValueId, bool)]) -> Option<Vec<Part>> {
        let mut out = Vec::new();
        for (x, minus) in of {
            if self.is_zero(*x) {
                continue;
            }
            let parts = self
                .each(*x, |b, p| Some(if *minus { p.with(b.map(Op::Neg, &[p.value])) } else { p.clone() }))?;
            parts.into_iter().for_each(|p| add(self.batch.c.b, &mut out, p));
        }
        Some(out)
    }

    /// A value times or over one that does not move.
    fn times(&mut self, op: Op, x: ValueId, by: ValueId) -> Option<Vec<Part>> {
        let by = self.batch.c.get(by);
        self.each(x, |b, p| {
            let by = p.spread(b, by);
            Some(p.with(b.map(op, &[p.value, by])))
        })
    }

    fn select(&mut self, condition: ValueId, branches: [ValueId; 2]) -> Option<Vec<Part>> {
        let condition = self.batch.c.get(condition);
        let mut out = Vec::new();
        for (side, x) in branches.into_iter().enumerate() {
            if self.is_zero(x) {
                continue;
            }
            let parts = self.each(x, |b, p| {
                let condition = p.spread(b, condition);
                let mut on = [condition, p.value, p.value];
                on[2 - side] = b.filled(p.value, 0.0);
                Some(p.with(b.map(Op::Select, &on)))
            })?;
            parts.into_iter().for_each(|p| add(self.batch.c.b, &mut out, p));
        }
        Some(out)
    }

    fn concat(&mut self, node: &Node, axis: usize, to: &[Dim]) -> Option<Vec<Part>> {
        let mut out = Vec::new();
        let mut low = vec![Dim::ZERO; to.len()];
        for x in &node.args {
            let from = self.batch.c.body.ty(self.batch.c.b, *x).shape;
            if !self.is_zero(*x) {
                let parts = self.each(*x, |b, p| Some(moves::pad(b, p, &low, &from, to)))?;
                parts.into_iter().for_each(|p| add(self.batch.c.b, &mut out, p));
            }
            low[axis] = &low[axis] + &from[axis];
        }
        Some(out)
    }

    fn dot(
        &mut self,
        node: &Node,
        batch: &[(usize, usize)],
        contract: &[(usize, usize)],
    ) -> Option<Vec<Part>> {
        let [x, y] = *node.args.as_slice() else { return None };
        let left = self.moves(x);
        if left && self.moves(y) {
            return None;
        }
        let (own, other) = if left { (x, y) } else { (y, x) };
        let other = self.batch.c.get(other);
        let factor = products::Factor::new(left, batch, contract);
        self.each(own, |b, p| factor.product(b, p, other))
    }
}

/// Adds a part to others; two that leave out the same zeros become one.
fn add(b: &mut Builder, parts: &mut Vec<Part>, part: Part) {
    match parts.iter_mut().find(|p| p.view == part.view && p.ties == part.ties) {
        Some(p) => p.value = b.map(Op::Add, &[p.value, part.value]),
        None => parts.push(part),
    }
}
