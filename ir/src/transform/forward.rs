//! Forward mode: beside each value its tangent, the change of the value for a change of the parameters.

mod control;
mod factors;
mod reductions;

use super::body::{Body, Copier, Slots};
use super::depend::{Depends, Through};
use super::slopes::{self, Slope};
use super::{Refused, within};
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, LibOp, Node, ReduceOp, ScanOp, TensorType, Type, ValueId};

/// The results of a body on values for its parameters, and the tangent of each for the tangents of the parameters.
/// `None` is a tangent of 0: of a parameter that does not change, of a result that does not depend on one that does,
/// and of everything that is no float.
///
/// # Errors
/// An operation on the way has no derivative, or there are more than `limit` nodes.
pub fn forward(
    b: &mut Builder,
    body: &Body,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    limit: usize,
) -> Result<Vec<(ValueId, Option<ValueId>)>, Refused> {
    let moving: Vec<bool> = tangents.iter().map(Option::is_some).collect();
    let depends = Depends::new(body, &moving, Through::Floats);
    let mut f = Forward { c: Copier::new(b, body, limit), depends, tangents: Slots::new(body) };
    f.c.set_all(body.params(), args);
    for (p, t) in body.params().iter().zip(tangents) {
        f.tangents.set(body, *p, *t);
    }
    f.nodes(&body.root().nodes)?;
    Ok(body.results().iter().map(|r| (f.c.get(*r), f.tangent(*r))).collect())
}

/// A forward sweep under way.
struct Forward<'a> {
    c: Copier<'a>,
    depends: Depends<'a>,
    tangents: Slots,
}

impl Forward<'_> {
    fn tangent(&self, v: ValueId) -> Option<ValueId> {
        self.tangents.get(self.c.body, v)
    }

    fn set_tangent(&mut self, v: ValueId, t: Option<ValueId>) {
        self.tangents.set(self.c.body, v, t);
    }

    /// The tangent of a value, zeros where there is none.
    fn tangent_or_zeros(&mut self, v: ValueId) -> ValueId {
        match self.tangent(v) {
            Some(t) => t,
            None => {
                let ty = self.c.body.ty(self.c.b, v);
                self.c.b.zeros(&ty)
            }
        }
    }

    fn nodes(&mut self, nodes: &[ValueId]) -> Result<(), Refused> {
        nodes.iter().try_for_each(|v| self.node(*v))
    }

    fn node(&mut self, v: ValueId) -> Result<(), Refused> {
        let body = self.c.body;
        let Some(node) = body.node(v) else { return Ok(()) };
        if let Kind::Proj(i) = node.kind {
            self.c.copy(v)?;
            let t = node.args.first().and_then(|tuple| self.tangents.member(body, *tuple, i));
            self.set_tangent(v, t);
            return Ok(());
        }
        if !self.depends.on(v) && !self.depends.any_member(v) {
            return self.c.copy(v);
        }
        within(self.c.b, self.c.limit)?;
        let before = self.c.b.set_origin(node.origin);
        let done = if node.kind.regions().is_empty() {
            self.c.copy(v)?;
            self.c.b.set_origin(node.origin);
            self.rule(v, node)
        } else {
            self.control(v, node)
        };
        self.c.b.set_origin(before);
        done
    }

    /// The tangent of a node that has been copied.
    fn rule(&mut self, v: ValueId, node: &Node) -> Result<(), Refused> {
        let args = self.c.all(&node.args);
        let tangents: Vec<Option<ValueId>> = node.args.iter().map(|a| self.tangent(*a)).collect();
        if tangents.iter().all(Option::is_none) {
            return Ok(());
        }
        match &node.ty {
            Type::Tensor(_) => {
                let y = self.c.get(v);
                let t = tangent(self.c.b, node, &args, &tangents, y)?;
                self.set_tangent(v, t);
            }
            Type::Tuple(ts) => {
                let ys: Vec<ValueId> =
                    (0..ts.len()).map(|i| self.c.env.member(self.c.body, v, i).unwrap_or(v)).collect();
                let ts = factors::members(self.c.b, node, &args, &tangents, &ys)?;
                self.tangents.set_members(self.c.body, v, ts);
            }
        }
        Ok(())
    }
}

/// The tangent of a node with one result: what operands and result have become is given, and the operands' tangents, of
/// which there is at least one.
pub(super) fn tangent(
    b: &mut Builder,
    node: &Node,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    y: ValueId,
) -> Result<Option<ValueId>, Refused> {
    if let Some(linear) = linear_operands(&node.kind, args.len()) {
        return Ok(Some(same(b, node, args, tangents, &linear)));
    }
    match &node.kind {
        Kind::Map(op) => map(b, *op, node, args, tangents, y),
        Kind::Dot { .. } => Ok(dot(b, node, args, tangents)),
        Kind::Reduce { op, axes } => Ok(reductions::reduce(b, *op, axes, args[0], tangents[0], y)),
        Kind::Scan { op, axis } => Ok(reductions::scan(b, *op, *axis, args[0], tangents[0], y)),
        Kind::Lib(op) => factors::single(b, op, node, args, tangents, y),
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
        | Kind::If(..)
        | Kind::Proj(_) => Ok(None),
    }
}

/// The operands in which a node is linear together, all others held still; `None` when it is not such a node.
pub(super) fn linear_operands(kind: &Kind, count: usize) -> Option<Vec<usize>> {
    match kind {
        Kind::Cast
        | Kind::Broadcast { .. }
        | Kind::Permute(_)
        | Kind::Reshape
        | Kind::Slice(_)
        | Kind::Gather { .. }
        | Kind::GatherAlong { .. }
        | Kind::Check { .. }
        | Kind::Reduce { op: ReduceOp::Sum, .. }
        | Kind::Scan { op: ScanOp::Sum, .. } => Some(vec![0]),
        Kind::Pad { .. } | Kind::Update(_) => Some(vec![0, 1]),
        Kind::ScatterAlong { .. } => Some(vec![0, 2]),
        Kind::Concat { .. } => Some((0..count).collect()),
        Kind::Map(Op::Select) => Some(vec![1, 2]),
        Kind::Map(_)
        | Kind::Reduce { .. }
        | Kind::Scan { .. }
        | Kind::Dot { .. }
        | Kind::Lib(_)
        | Kind::Param(_)
        | Kind::RegionParam
        | Kind::Constant(_)
        | Kind::Size(_)
        | Kind::Iota { .. }
        | Kind::Bitcast
        | Kind::For(_)
        | Kind::While(..)
        | Kind::If(..)
        | Kind::Proj(_) => None,
    }
}

/// The same node on tangents.
fn same(
    b: &mut Builder,
    node: &Node,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    linear: &[usize],
) -> ValueId {
    let mut on = args.to_vec();
    for i in linear {
        let ty = b.ty(args[*i]).clone();
        on[*i] = tangents[*i].unwrap_or_else(|| b.zeros(&ty));
    }
    b.push(node.kind.clone(), on, node.ty.clone())
}

fn map(
    b: &mut Builder,
    op: Op,
    node: &Node,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    y: ValueId,
) -> Result<Option<ValueId>, Refused> {
    let mut total = None;
    for (i, t) in tangents.iter().enumerate() {
        let Some(t) = t else { continue };
        let part = match partial(b, op, i, args, y, node)? {
            Partial::Zero => continue,
            Partial::One => *t,
            Partial::MinusOne => b.map(Op::Neg, &[*t]),
            Partial::Times(p) => b.map(Op::Mul, &[*t, p]),
        };
        total = Some(total.map_or(part, |sum| b.map(Op::Add, &[sum, part])));
    }
    Ok(total)
}

/// What a change of an operand of an elementwise op is multiplied by.
pub(super) enum Partial {
    Zero,
    One,
    MinusOne,
    Times(ValueId),
}

/// The derivative of an op by operand `i`, on what operands and result have become.
pub(super) fn partial(
    b: &mut Builder,
    op: Op,
    i: usize,
    args: &[ValueId],
    y: ValueId,
    node: &Node,
) -> Result<Partial, Refused> {
    let none = || {
        let help = "stop_gradient(x) takes it as a constant";
        Refused::at(node.origin, format!("{} has no derivative", op.name()), help)
    };
    let text = match slopes::slope(op, i).ok_or_else(none)? {
        Slope::Zero => return Ok(Partial::Zero),
        Slope::One => return Ok(Partial::One),
        Slope::MinusOne => return Ok(Partial::MinusOne),
        Slope::Of(text) => text,
    };
    if op == Op::Pow
        && i == 0
        && let Some(exponent) = slopes::known_number(b, args[1])
    {
        return Ok(Partial::Times(slopes::known_power(b, args[0], exponent)));
    }
    let below = op == Op::Max && i == 0 && slopes::is_stopped(b, args[1]);
    // What the result tells, the operand need not be kept for.
    let text = if below { "select(gt(y, b), 1, 0)" } else { text };
    slopes::evaluate(b, text, args, y).map(Partial::Times).ok_or_else(none)
}

fn dot(b: &mut Builder, node: &Node, args: &[ValueId], tangents: &[Option<ValueId>]) -> Option<ValueId> {
    let mut total = None;
    for (i, t) in tangents.iter().enumerate() {
        let Some(t) = t else { continue };
        let mut on = args.to_vec();
        on[i] = *t;
        let part = b.push(node.kind.clone(), on, node.ty.clone());
        total = Some(total.map_or(part, |sum| b.map(Op::Add, &[sum, part])));
    }
    total
}

/// The indices that sort, as the tangent of a sorted tensor takes them.
pub(super) fn order(b: &mut Builder, x: ValueId, axis: usize, descending: bool) -> ValueId {
    let ty = TensorType { dtype: DType::I64, ..b.ty(x).clone() };
    b.lib(LibOp::Argsort { axis, descending }, &[x], ty)
}

pub(super) use reductions::reversed;

/// The tangents of a node with several results.
pub(super) fn tangents(
    b: &mut Builder,
    node: &Node,
    args: &[ValueId],
    tangents: &[Option<ValueId>],
    ys: &[ValueId],
) -> Result<Vec<Option<ValueId>>, Refused> {
    factors::members(b, node, args, tangents, ys)
}
