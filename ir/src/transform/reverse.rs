//! Reverse mode: how the results change with the parameters, found from the last value to the first.
//!
//! A forward sweep puts the body's values into the function; loops on the way keep the carried values of every step.
//! A backward sweep then takes each value's cotangent, what a change of it adds to the change of the results, and adds
//! to the cotangents of its operands.
//!
//! A cotangent may carry a mask. The branch of a `where` that was not taken has the cotangent 0, and 0 times a
//! derivative that is infinite there would be NaN. The mask says where that branch was taken, and whatever a cotangent
//! is multiplied by counts as 0 elsewhere. (A test for a cotangent of 0 would not do: it may have a tangent that is
//! not 0.) Every rule hands the mask on: it moves with the elements, through sums as whether any of them was taken,
//! through loops and branches beside what they carry.

mod blocks;
mod bounds;
mod control;
mod moves;
mod products;
mod routines;

use super::body::{Body, Copier};
use super::depend::{Depends, Through};
use super::forward::{self, Partial};
use super::slopes::known_number;
use super::{Refused, within};
use crate::dim::Dim;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, Node, Type, ValueId};
use std::collections::BTreeMap;

/// What reverse mode gives.
#[derive(Clone, Debug)]
pub struct Reversed {
    /// The results of the body.
    pub results: Vec<ValueId>,
    /// For each parameter its cotangent; `None` for one that no result depends on, which is 0.
    pub cotangents: Vec<Option<ValueId>>,
}

/// What the way back keeps of loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What is carried at every step.
    All,
    /// What is carried at about the square root of the steps; those between are worked out again, once more in all.
    Some,
}

/// The results of a body on values for its parameters, and the cotangents of the marked parameters for cotangents of
/// the results, which are made once the results are there.
///
/// # Errors
/// An operation on the way has no derivative, a `while` is on the way, or there are more than `limit` nodes.
pub fn reverse(
    b: &mut Builder,
    body: &Body,
    args: &[ValueId],
    marked: &[bool],
    (keep, limit): (Keep, usize),
    seed: impl FnOnce(&mut Builder, &[ValueId]) -> Vec<Option<ValueId>>,
) -> Result<Reversed, Refused> {
    let cut = blocks::cut(b, body, marked, keep == Keep::Some, limit)?;
    let body = cut.as_ref().unwrap_or(body);
    let depends = Depends::new(body, marked, Through::Floats);
    let bounds = bounds::Bounds::new(body);
    let c = Copier::new(b, body, limit);
    let mut r = Reverse { c, depends, bounds, cotangents: BTreeMap::new(), tapes: BTreeMap::new() };
    r.c.set_all(body.params(), args);
    r.sweep(&body.root().nodes)?;
    let results = r.c.all(body.results());
    let seeds = seed(r.c.b, &results);
    for (v, seed) in body.results().iter().zip(seeds) {
        if let Some(seed) = seed {
            r.add(*v, Cotangent::new(seed));
        }
    }
    r.back(&body.root().nodes)?;
    let of = |p: &ValueId| r.cotangents.get(&(*p, 0)).map(|c| c.value);
    Ok(Reversed { results, cotangents: body.params().iter().map(of).collect() })
}

/// The cotangent of a value, and where it can be other than 0 when that is not everywhere.
#[derive(Clone, Copy, Debug)]
struct Cotangent {
    value: ValueId,
    mask: Option<ValueId>,
}

impl Cotangent {
    fn new(value: ValueId) -> Cotangent {
        Cotangent { value, mask: None }
    }
}

/// A reverse sweep under way.
struct Reverse<'a> {
    c: Copier<'a>,
    depends: Depends<'a>,
    bounds: bounds::Bounds,
    /// By value and member; a value that is one tensor has the member 0.
    cotangents: BTreeMap<(ValueId, usize), Cotangent>,
    tapes: BTreeMap<ValueId, control::Tape>,
}

impl Reverse<'_> {
    /// Puts values into the function, loops with what their way back needs.
    fn sweep(&mut self, nodes: &[ValueId]) -> Result<(), Refused> {
        for v in nodes {
            let taped = self.depends.any_member(*v)
                && self.c.body.node(*v).is_some_and(|n| matches!(n.kind, Kind::For(_)));
            if taped { self.taped_loop(*v)? } else { self.c.copy(*v)? }
        }
        Ok(())
    }

    /// Goes back over values, the last first.
    fn back(&mut self, nodes: &[ValueId]) -> Result<(), Refused> {
        for v in nodes.iter().rev() {
            let Some(node) = self.c.body.node(*v) else { continue };
            if !self.depends.on(*v) && !self.depends.any_member(*v) {
                continue;
            }
            within(self.c.b, self.c.limit)?;
            let before = self.c.b.set_origin(node.origin);
            let done = match &node.ty {
                Type::Tensor(_) => self.tensor(*v, node),
                Type::Tuple(ts) => self.tuple(*v, node, ts.len()),
            };
            self.c.b.set_origin(before);
            done?;
        }
        Ok(())
    }

    fn tensor(&mut self, v: ValueId, node: &Node) -> Result<(), Refused> {
        let Some(ct) = self.cotangents.remove(&(v, 0)) else { return Ok(()) };
        match &node.kind {
            Kind::Proj(i) => {
                self.add_to((node.args[0], *i), ct);
                Ok(())
            }
            Kind::Map(Op::Select) => {
                self.select(node, ct);
                Ok(())
            }
            Kind::Map(op) => self.map(v, *op, node, ct),
            Kind::Dot { batch, contract } => {
                self.dot(node, batch, contract, ct);
                Ok(())
            }
            Kind::Lib(op) => self.routine(v, op, node, ct),
            kind if forward::linear_operands(kind, node.args.len()).is_some() => {
                self.moved(node, ct);
                Ok(())
            }
            Kind::Reduce { axes, .. } => self.reduction(v, node, axes, ct),
            Kind::Scan { axis, .. } => self.running(v, node, *axis, ct),
            Kind::Param(_)
            | Kind::RegionParam
            | Kind::Constant(_)
            | Kind::Size(_)
            | Kind::Iota { .. }
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
            | Kind::Check { .. }
            | Kind::For(_)
            | Kind::While(..)
            | Kind::If(..) => Ok(()),
        }
    }

    fn tuple(&mut self, v: ValueId, node: &Node, count: usize) -> Result<(), Refused> {
        let cts: Vec<Option<Cotangent>> = (0..count).map(|i| self.cotangents.remove(&(v, i))).collect();
        if cts.iter().all(Option::is_none) {
            return Ok(());
        }
        if let Kind::For(r) = node.kind {
            self.loop_back(v, node, r, &cts)
        } else if let Kind::If(yes, no) = node.kind {
            self.branch_back(node, yes, no, &cts)
        } else if let Kind::While(..) = node.kind {
            let what = "reverse mode cannot go back through a while, whose number of steps is not known";
            let help = "write a for over the most steps there may be, or take jvp, which goes forward";
            Err(Refused::at(node.origin, what, help))
        } else {
            self.factorization(v, node, count, &cts)
        }
    }

    /// Adds to the cotangent of a value that depends on a marked parameter.
    fn add(&mut self, v: ValueId, ct: Cotangent) {
        if self.depends.on(v) {
            self.add_to((v, 0), ct);
        }
    }

    fn add_to(&mut self, at: (ValueId, usize), ct: Cotangent) {
        let sum = match self.cotangents.get(&at).copied() {
            None => ct,
            Some(old) => {
                let mask = self.either(old.mask, ct.mask);
                // x * x has its derivative from both sides.
                let value = if old.value == ct.value {
                    let two = self.c.b.filled(ct.value, 2.0);
                    self.c.b.map(Op::Mul, &[two, ct.value])
                } else {
                    self.c.b.map(Op::Add, &[old.value, ct.value])
                };
                Cotangent { value, mask }
            }
        };
        self.cotangents.insert(at, sum);
    }

    /// The mask of a sum: where either of two is taken, everywhere when one is taken everywhere.
    fn either(&mut self, p: Option<ValueId>, q: Option<ValueId>) -> Option<ValueId> {
        let (p, q) = (p?, q?);
        Some(if p == q { p } else { self.c.b.map(Op::Or, &[p, q]) })
    }

    /// The cotangent of a value that has none: 0, which nothing was taken for.
    fn nothing(&mut self, v: ValueId) -> Cotangent {
        let ty = self.c.body.ty(self.c.b, v);
        let value = self.c.b.zeros(&ty);
        let mask = self.c.b.all_of(&ty, false);
        Cotangent { value, mask: Some(mask) }
    }

    fn map(&mut self, v: ValueId, op: Op, node: &Node, ct: Cotangent) -> Result<(), Refused> {
        let args = self.c.all(&node.args);
        let y = self.c.get(v);
        for (i, a) in node.args.iter().enumerate() {
            if !self.depends.on(*a) {
                continue;
            }
            let value = match forward::partial(self.c.b, op, i, &args, y, node)? {
                Partial::Zero => continue,
                Partial::One => ct.value,
                Partial::MinusOne => self.c.b.map(Op::Neg, &[ct.value]),
                Partial::Times(p) => {
                    // The first cotangent of all is 1, and stays it through sums.
                    let one = known_number(self.c.b, ct.value) == Some(1.0);
                    let product = if one { p } else { self.c.b.map(Op::Mul, &[ct.value, p]) };
                    ct.mask.map_or(product, |m| self.c.b.kept(m, product))
                }
            };
            self.add(*a, Cotangent { value, mask: ct.mask });
        }
        Ok(())
    }

    /// Each branch gets the cotangent where it was taken.
    fn select(&mut self, node: &Node, ct: Cotangent) {
        let condition = self.c.get(node.args[0]);
        for (i, a) in node.args.iter().enumerate().skip(1) {
            if !self.depends.on(*a) {
                continue;
            }
            let taken = if i == 1 { condition } else { self.c.b.map(Op::Not, &[condition]) };
            let zeros = self.c.b.filled(ct.value, 0.0);
            let (yes, no) = if i == 1 { (ct.value, zeros) } else { (zeros, ct.value) };
            let value = self.c.b.map(Op::Select, &[condition, yes, no]);
            let mask = Some(ct.mask.map_or(taken, |m| self.c.b.map(Op::And, &[m, taken])));
            self.add(*a, Cotangent { value, mask });
        }
    }
}

/// A value whose axis `i` belongs at `order[i]`, with its axes where they belong.
fn placed(b: &mut Builder, x: ValueId, order: impl Iterator<Item = usize>) -> ValueId {
    let order: Vec<usize> = order.collect();
    let mut perm = vec![0; order.len()];
    for (i, at) in order.into_iter().enumerate() {
        if let Some(p) = perm.get_mut(at) {
            *p = i;
        }
    }
    b.permute(x, perm)
}

/// Whether an axis was repeated by a broadcast.
fn repeated(from: &Dim, to: &Dim) -> bool {
    from.is(1) && !to.is(1)
}
