//! A function as fusion sees it: what computes, what is there, and how the axes of an operand lie in those of its user.

use super::kernel::Price;
use crate::cost::{CostModel, OpCost};
use crate::lower::is_product;
use crate::sizes::Sizes;
use matex_ir::tensor::{Func, Kind, Node, TensorType, ValueId};
use matex_ir::{DType, Dim};
use std::collections::HashSet;

/// Axes that are told apart. Values of more axes are always put into memory.
pub(super) const AXES: usize = 8;

/// For each axis of an operand the axes of its user along which it moves, as bits.
pub(super) type Relation = [u8; AXES];

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Work {
    /// Its value is in memory: a parameter, or the result of a step.
    Memory,
    /// Its value is part of the code.
    Free,
    /// It looks at its operand in another way.
    View,
    /// It computes an element.
    Element(OpCost),
    /// It reads memory where an index tells; its first operand is that memory.
    Gather,
    /// It combines elements.
    Fold,
    /// It computes a value that is always put into memory: a scan, or a matrix product.
    Whole,
}

/// An operand that a node could compute on its own.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) node: usize,
    pub(super) axes: Relation,
    /// The axes of the operand that are reduced.
    pub(super) over: Vec<usize>,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) work: Work,
    pub(super) edges: Vec<Edge>,
    /// The extents that are taken for its axes.
    pub(super) extents: Vec<f64>,
    /// Which of its axes are known to have one element.
    pub(super) ones: u8,
    /// The bytes of an element.
    pub(super) size: usize,
    /// Whether its elements are truth values.
    pub(super) truth: bool,
    /// Whether it has to be in memory, whatever that costs.
    pub(super) forced: bool,
    /// How many steps write the value to a place of their own.
    pub(super) fills: u32,
    /// Whether some step needs it in memory.
    pub(super) needed: bool,
    /// Whether it is a product of matrices, which the library may compute.
    pub(super) product: bool,
}

impl Item {
    pub(super) fn elements(&self) -> f64 {
        self.extents.iter().product()
    }

    /// Whether it may be in memory or not.
    pub(super) fn computes(&self) -> bool {
        matches!(self.work, Work::Element(_) | Work::Gather | Work::Fold | Work::Whole)
    }
}

/// All nodes of a function.
pub(super) struct Graph<'f> {
    pub(super) func: &'f Func,
    pub(super) items: Vec<Item>,
    /// For each node those that could compute it on their own.
    pub(super) users: Vec<Vec<usize>>,
    /// The region of each node.
    pub(super) home: Vec<usize>,
    /// What work costs.
    pub(super) costs: CostModel,
}

impl<'f> Graph<'f> {
    pub(super) fn new(func: &'f Func, sizes: &Sizes, costs: CostModel, captured: &[bool]) -> Graph<'f> {
        let mut items: Vec<Item> = func
            .nodes
            .iter()
            .enumerate()
            .map(|(i, n)| item(func, ValueId(i as u32), n, sizes, &costs))
            .collect();
        let mut users = vec![Vec::new(); items.len()];
        for (i, item) in items.iter().enumerate() {
            for edge in &item.edges {
                if users[edge.node].last() != Some(&i) {
                    users[edge.node].push(i);
                }
            }
        }
        let demand = |v: &ValueId, fill: bool, items: &mut Vec<Item>| {
            if let Some(item) = items.get_mut(v.0 as usize) {
                if fill { item.fills += 1 } else { item.needed = true }
            }
        };
        for (i, node) in func.nodes.iter().enumerate() {
            for (a, arg) in node.args.iter().enumerate() {
                if let Some(fill) = demands(func, ValueId(i as u32), node, a) {
                    demand(arg, fill, &mut items);
                }
            }
        }
        for v in func.regions.iter().flat_map(|r| &r.results) {
            demand(v, false, &mut items);
        }
        for (i, item) in items.iter_mut().enumerate() {
            let wide = item.extents.len() > AXES;
            let computes = item.computes();
            item.forced = computes && (wide || captured[i] || item.work == Work::Whole || item.needed);
        }
        let mut home = vec![0; items.len()];
        for (r, region) in func.regions.iter().enumerate() {
            region.nodes.iter().filter_map(|v| home.get_mut(v.0 as usize).map(|h| *h = r)).for_each(drop);
        }
        let mut graph = Graph { func, items, users, home, costs };
        graph.before_updates();
        graph
    }

    /// Whether a node needs an operand in memory, or writes it to a place of its own.
    pub(super) fn demanded_by(&self, node: usize, arg: usize) -> bool {
        let own = &self.func.nodes[node];
        let places = own.args.iter().enumerate().filter(|(_, a)| a.0 as usize == arg);
        places.map(|(place, _)| place).any(|p| demands(self.func, ValueId(node as u32), own, p).is_some())
    }

    pub(super) fn dims(&self, node: usize) -> &'f [Dim] {
        &self.func.ty(ValueId(node as u32)).shape
    }

    /// What a value shows in another way, and itself where it is no view.
    pub(super) fn behind_views(&self, mut v: usize) -> usize {
        while let (Work::View, [edge]) = (self.items[v].work, self.items[v].edges.as_slice()) {
            v = edge.node;
        }
        v
    }

    /// What it costs to copy a value from memory to its place.
    pub(super) fn copy(&self, v: usize) -> Price {
        let bytes = 2.0 * self.items[v].elements() * self.items[v].size as f64;
        Price { ops: 0.0, bytes, time: bytes / self.costs.bandwidth(bytes) + self.costs.launch }
    }

    /// Whether a value is needed by the kernels that write these, and by nothing else.
    pub(super) fn only_needed_in(&self, v: usize, group: &[usize], stored: &[bool]) -> bool {
        let (mut open, mut seen) = (vec![v], HashSet::new());
        while let Some(value) = open.pop() {
            for user in &self.users[value] {
                let item = &self.items[*user];
                let written = stored[*user] || item.needed || item.fills > 0;
                if written && !group.contains(user) {
                    return false;
                }
                if !stored[*user] && seen.insert(*user) {
                    open.push(*user);
                }
            }
        }
        true
    }

    /// What reads a value before it is updated in place, and is used after that, is put into memory: computed later, it
    /// would keep the old value alive, and the update would be a copy.
    fn before_updates(&mut self) {
        let mut last_use = vec![0; self.items.len()];
        for (at, node) in self.func.nodes.iter().enumerate() {
            node.args.iter().for_each(|a| last_use[a.0 as usize] = at);
        }
        for (at, node) in self.func.nodes.iter().enumerate() {
            if !matches!(node.kind, Kind::Update(_) | Kind::ScatterAlong { .. }) {
                continue;
            }
            let Some(base) = node.args.first().map(|v| v.0 as usize).filter(|b| *b < at) else { continue };
            let (mut open, mut seen) = (vec![base], HashSet::new());
            while let Some(value) = open.pop() {
                for user in &self.users[value] {
                    if *user >= at || self.items[*user].forced || !seen.insert(*user) {
                        continue;
                    }
                    if last_use[*user] > at && self.items[*user].computes() {
                        self.items[*user].forced = true;
                    } else {
                        open.push(*user);
                    }
                }
            }
        }
    }
}

/// Whether a step needs an operand: to write it to a place of its own, or in memory.
fn demands(func: &Func, v: ValueId, node: &Node, arg: usize) -> Option<bool> {
    match &node.kind {
        Kind::Pad { .. } | Kind::Concat { .. } => Some(true),
        Kind::Update(_) => Some(arg == 1),
        Kind::ScatterAlong { .. } | Kind::Lib(_) | Kind::For(_) | Kind::While(..) | Kind::If(..) => {
            Some(false)
        }
        Kind::Check { .. } => (arg == 1).then_some(false),
        Kind::Gather { .. } => {
            let single = node.args.get(1).is_some_and(|i| func.ty(*i).rank() == 0);
            ((arg == 0) != single).then_some(false)
        }
        Kind::GatherAlong { .. } => (arg == 0).then_some(false),
        Kind::Dot { .. } => is_product(func, v).then_some(false),
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
        | Kind::Reduce { .. }
        | Kind::Scan { .. }
        | Kind::Proj(_) => None,
    }
}

/// What a node does.
fn work(func: &Func, v: ValueId, node: &Node, costs: &CostModel) -> Work {
    let ty = func.ty(v);
    let simple = |ops: f64| Work::Element(OpCost { ops, scalar: false });
    let size_of = |v: &ValueId| matches!(func.node(*v).kind, Kind::Size(_));
    match &node.kind {
        Kind::Constant(literal) if literal.as_scalar().is_some() => Work::Free,
        Kind::Size(_) => Work::Free,
        Kind::Cast if node.args.first().is_some_and(size_of) => Work::Free,
        Kind::Iota { .. } => simple(1.0),
        Kind::Map(op) => {
            let dtype = node.args.last().map_or(ty.dtype, |a| func.ty(*a).dtype);
            let cost = costs.of_op(*op, dtype);
            let storage = dtype.compute() != dtype;
            Work::Element(OpCost { scalar: cost.scalar || storage, ..cost })
        }
        Kind::Cast => {
            let from = node.args.first().map_or(ty.dtype, |a| func.ty(*a).dtype);
            let storage = from.compute() != from || ty.dtype.compute() != ty.dtype;
            Work::Element(OpCost { ops: 1.0, scalar: storage })
        }
        Kind::Bitcast
        | Kind::Broadcast { .. }
        | Kind::Permute(_)
        | Kind::Reshape
        | Kind::Slice(_)
        | Kind::Check { .. } => Work::View,
        Kind::Gather { .. } if node.args.get(1).is_some_and(|i| func.ty(*i).rank() == 0) => Work::View,
        Kind::Gather { .. } | Kind::GatherAlong { .. } => Work::Gather,
        Kind::Reduce { .. } => Work::Fold,
        Kind::Dot { .. } if !is_product(func, v) => Work::Fold,
        Kind::Scan { .. } | Kind::Dot { .. } => Work::Whole,
        Kind::Param(_)
        | Kind::RegionParam
        | Kind::Constant(_)
        | Kind::Pad { .. }
        | Kind::Concat { .. }
        | Kind::ScatterAlong { .. }
        | Kind::Update(_)
        | Kind::Lib(_)
        | Kind::For(_)
        | Kind::While(..)
        | Kind::If(..)
        | Kind::Proj(_) => Work::Memory,
    }
}

fn item(func: &Func, v: ValueId, node: &Node, sizes: &Sizes, costs: &CostModel) -> Item {
    let (ty, work) = (func.ty(v), work(func, v, node, costs));
    let mut edges = if matches!(work, Work::Memory | Work::Free) { Vec::new() } else { edges(func, v, node) };
    for edge in &mut edges {
        // Nothing moves along an axis of one element.
        let shape = func.ty(ValueId(edge.node as u32)).shape.iter().take(AXES);
        shape.zip(&mut edge.axes).filter(|(d, _)| d.is(1)).for_each(|(_, axes)| *axes = 0);
    }
    let ones = ty.shape.iter().take(AXES).enumerate().filter(|(_, d)| d.is(1));
    Item {
        work,
        edges,
        extents: ty.shape.iter().map(|d| sizes.estimate(d)).collect(),
        ones: ones.fold(0, |bits, (axis, _)| bits | 1 << axis),
        size: ty.dtype.size(),
        truth: ty.dtype == DType::Bool,
        forced: false,
        fills: 0,
        needed: false,
        product: is_product(func, v),
    }
}

/// The operands of a node that its kernel could compute.
fn edges(func: &Func, v: ValueId, node: &Node) -> Vec<Edge> {
    let ty = func.ty(v);
    let edge = |arg: usize, axes: Relation, over: Vec<usize>| {
        node.args.get(arg).map(|a| Edge { node: a.0 as usize, axes, over })
    };
    let all = |axes: Relation| (0..node.args.len()).filter_map(|a| edge(a, axes, Vec::new())).collect();
    let from = node.args.first().map(|a| func.ty(*a));
    let Some(from) = from else { return Vec::new() };
    let only = |axes: Relation| edge(0, axes, Vec::new()).into_iter().collect();
    match &node.kind {
        Kind::Broadcast { axes } => only(relation(axes.iter().enumerate().map(|(i, a)| (i, *a)))),
        Kind::Permute(perm) => only(relation(perm.iter().enumerate().map(|(i, p)| (*p, i)))),
        Kind::Reshape => only(regrouped(from, ty)),
        Kind::Reduce { axes, .. } => {
            let kept = (0..from.rank()).filter(|a| !axes.contains(a)).enumerate();
            edge(0, relation(kept.map(|(i, a)| (a, i))), axes.clone()).into_iter().collect()
        }
        Kind::Dot { batch, contract } => dot_edges(func, node, batch, contract),
        Kind::Gather { axis } => {
            let index = node.args.get(1).map_or(0, |i| func.ty(*i).rank());
            let place = |a: usize| if a < *axis { (a, a) } else { (a + 1, a + index) };
            let around = relation((0..from.rank().saturating_sub(1)).map(place));
            let mut edges: Vec<Edge> = edge(0, around, Vec::new()).into_iter().collect();
            if index > 0 {
                edges.extend(edge(1, relation((0..index).map(|i| (i, axis + i))), Vec::new()));
            }
            edges
        }
        Kind::Check { .. } => only(identity(from)),
        Kind::Map(_)
        | Kind::Cast
        | Kind::Bitcast
        | Kind::Slice(_)
        | Kind::GatherAlong { .. }
        | Kind::Scan { .. } => all(identity(from)),
        Kind::Param(_)
        | Kind::RegionParam
        | Kind::Constant(_)
        | Kind::Size(_)
        | Kind::Iota { .. }
        | Kind::Pad { .. }
        | Kind::Concat { .. }
        | Kind::ScatterAlong { .. }
        | Kind::Update(_)
        | Kind::Lib(_)
        | Kind::For(_)
        | Kind::While(..)
        | Kind::If(..)
        | Kind::Proj(_) => Vec::new(),
    }
}

/// The operands of a sum of products: batch and free axes stay, the contracted ones are reduced.
fn dot_edges(func: &Func, node: &Node, batch: &[(usize, usize)], contract: &[(usize, usize)]) -> Vec<Edge> {
    let mut next = batch.len();
    let mut edges = Vec::new();
    for (side, arg) in node.args.iter().take(2).enumerate() {
        let bound = |p: &(usize, usize)| if side == 0 { p.0 } else { p.1 };
        let mut pairs: Vec<(usize, usize)> =
            batch.iter().map(bound).enumerate().map(|(i, a)| (a, i)).collect();
        let over: Vec<usize> = contract.iter().map(bound).collect();
        for axis in 0..func.ty(*arg).rank() {
            if pairs.iter().all(|p| p.0 != axis) && !over.contains(&axis) {
                pairs.push((axis, next));
                next += 1;
            }
        }
        edges.push(Edge { node: arg.0 as usize, axes: relation(pairs.into_iter()), over });
    }
    edges
}

/// The relation of these pairs: an axis of the operand, and one of its user.
fn relation(pairs: impl Iterator<Item = (usize, usize)>) -> Relation {
    let mut axes = [0; AXES];
    for (from, to) in pairs.filter(|(from, to)| *from < AXES && *to < AXES) {
        axes[from] |= 1 << to;
    }
    axes
}

fn identity(ty: &TensorType) -> Relation {
    relation((0..ty.rank()).map(|a| (a, a)))
}

/// How the axes of one shape lie in those of another with the same elements: the nearest groups of both that have the
/// same number of them go together, and all the rest where that cannot be told.
fn regrouped(from: &TensorType, to: &TensorType) -> Relation {
    let wide = |ty: &TensorType| (0..ty.rank()).filter(|a| !ty.shape[*a].is(1)).collect::<Vec<_>>();
    let products = |ty: &TensorType, axes: &[usize]| {
        let mut product = Dim::ONE;
        let next = |a: &usize| {
            product = &product * &ty.shape[*a];
            product.clone()
        };
        axes.iter().map(next).collect::<Vec<Dim>>()
    };
    let (old, new) = (wide(from), wide(to));
    let (ends, wanted) = (products(from, &old), products(to, &new));
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        let met = (i..old.len())
            .find_map(|a| (j..new.len()).find(|b| wanted[*b] == ends[a]).map(|b| (a + 1, b + 1)));
        let (a, b) = met.unwrap_or((old.len(), new.len()));
        for from in &old[i..a] {
            pairs.extend(new[j..b].iter().map(|to| (*from, *to)));
        }
        (i, j) = (a, b);
    }
    relation(pairs.into_iter())
}
