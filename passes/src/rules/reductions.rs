//! Sums, products and extrema over axes.

use super::{Root, Rule, code};
use crate::algebra::{Graph, Pairs, Tag, TensorLang};
use crate::options::Tier::{Default, Exact, Fast};
use crate::rules::Site;
use egg::Id;
use matex_ir::tensor::{Kind, ReduceOp};
use matex_ir::{DType, Dim, Op};
use std::cmp::Reverse;

const SUM: Root = Root::Tag(Tag::Reduce(ReduceOp::Sum));

pub(super) const RULES: &[Rule] = &[
    code(
        "reduce-one",
        Exact,
        "a reduction over an axis of 1 is the element",
        Root::Reductions,
        &[],
        reduce_one,
    ),
    code(
        "reduce-permute",
        Exact,
        "max(x.T, axis=0) = max(x, axis=1), for every reduction over one axis",
        Root::Reductions,
        &[Tag::Permute],
        |g, s| reduce_permute(g, s, false),
    ),
    code(
        "sum-permute",
        Default,
        "sum(x.T) = sum(x), over several axes",
        Root::Reductions,
        &[Tag::Permute],
        |g, s| reduce_permute(g, s, true),
    ),
    code(
        "max-max",
        Exact,
        "max(max(x, axis=1)) = max(x), for min, any and all too",
        Root::Reductions,
        &[],
        |g, s| reduce_reduce(g, s, false),
    ),
    code("sum-sum", Default, "sum(sum(x, axis=1)) = sum(x), for prod too", Root::Reductions, &[], |g, s| {
        reduce_reduce(g, s, true)
    }),
    code(
        "max-of-parts",
        Exact,
        "max(x) = max(max(x, axis=1)), where that is there",
        Root::Reductions,
        &[],
        |g, s| of_parts(g, s, false),
    ),
    code(
        "sum-of-parts",
        Default,
        "sum(x) = sum(sum(x, axis=1)), where that is there",
        Root::Reductions,
        &[],
        |g, s| of_parts(g, s, true),
    ),
    code(
        "max-broadcast",
        Exact,
        "the largest of equals is one of them",
        Root::Reductions,
        &[Tag::Broadcast],
        max_broadcast,
    ),
    code(
        "sum-broadcast",
        Default,
        "the sum of n equals is n times one, n known and not 0",
        SUM,
        &[Tag::Broadcast],
        |g, s| sum_broadcast(g, s, false),
    ),
    code("sum-broadcast-any", Fast, "the sum of n equals is n times one", SUM, &[Tag::Broadcast], |g, s| {
        sum_broadcast(g, s, true)
    }),
    code(
        "sum-scaled",
        Fast,
        "sum(x * c) = sum(x) * c, c the same along the sum",
        SUM,
        &[Tag::Map(Op::Mul), Tag::Broadcast],
        sum_scaled,
    ),
    code(
        "sum-shifted",
        Fast,
        "sum(x + c) = sum(x) + n * c, c the same along the sum of n",
        SUM,
        &[Tag::Broadcast],
        sum_shifted,
    ),
    code("sum-dot", Default, "sum(A @ B) = sum(A, axis=0) @ sum(B, axis=1)", SUM, &[Tag::Dot], sum_dot),
];

/// What a reduction does, over which axes.
fn parts(graph: &Graph, node: &TensorLang) -> Option<(ReduceOp, Vec<usize>)> {
    if let Kind::Reduce { op, axes } = graph.kind(node) { Some((op, axes)) } else { None }
}

/// Whether the result does not depend on the order of the elements, by bits.
fn is_orderless(op: ReduceOp) -> bool {
    match op {
        ReduceOp::Max | ReduceOp::Min | ReduceOp::Any | ReduceOp::All => true,
        ReduceOp::Sum | ReduceOp::Prod | ReduceOp::ArgMax | ReduceOp::ArgMin => false,
    }
}

fn is_index(op: ReduceOp) -> bool {
    matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin)
}

fn reduce_one(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (op, axes) = parts(graph, &site.node)?;
    let x = site.node.args[0];
    let single = |a: &usize| graph.shape(x)[*a].is(1);
    if is_index(op) || !axes.iter().any(single) {
        return None;
    }
    let (ones, rest): (Vec<usize>, Vec<usize>) = axes.iter().copied().partition(single);
    let shape = graph.shape(x).iter().enumerate().filter(|(i, _)| !ones.contains(i)).map(|(_, d)| d.clone());
    let shape = shape.collect();
    let left = rest.iter().map(|a| a - ones.iter().filter(|o| *o < a).count()).collect();
    let small = graph.reshape(x, shape);
    Some(graph.reduce(op, small, left))
}

/// Over one axis the order of the elements stays what it was; over several it changes.
fn reduce_permute(graph: &mut Graph, site: &Site, reorders: bool) -> Option<Id> {
    let (op, axes) = parts(graph, &site.node)?;
    let (inner, kind) = graph.node(site.node.args[0], Tag::Permute)?;
    let Kind::Permute(perm) = kind else { return None };
    if reorders != (axes.len() > 1 && !is_orderless(op)) || is_index(op) {
        return None;
    }
    let mut from: Vec<usize> = axes.iter().map(|a| perm[*a]).collect();
    from.sort_unstable();
    let kept: Vec<usize> = (0..perm.len()).filter(|a| !axes.contains(a)).map(|a| perm[a]).collect();
    let mut sorted = kept.clone();
    sorted.sort_unstable();
    let order: Vec<usize> = kept.iter().filter_map(|a| sorted.iter().position(|b| a == b)).collect();
    let value = graph.reduce(op, inner.args[0], from);
    Some(graph.permute(value, order))
}

fn reduce_reduce(graph: &mut Graph, site: &Site, reorders: bool) -> Option<Id> {
    let (op, outer) = parts(graph, &site.node)?;
    let (inner, kind) = graph.node(site.node.args[0], Tag::Reduce(op))?;
    let Kind::Reduce { axes: first, .. } = kind else { return None };
    if is_index(op) || reorders == is_orderless(op) {
        return None;
    }
    let x = inner.args[0];
    let left: Vec<usize> = (0..graph.rank(x)).filter(|a| !first.contains(a)).collect();
    let mut axes: Vec<usize> = outer.iter().map(|a| left[*a]).chain(first).collect();
    axes.sort_unstable();
    Some(graph.reduce(op, x, axes))
}

/// Of a value that is reduced over some of the axes anyway only the rest is left to do. Of several ways the one that leaves least.
fn of_parts(graph: &mut Graph, site: &Site, reorders: bool) -> Option<Id> {
    let (op, axes) = parts(graph, &site.node)?;
    let x = site.node.args[0];
    if axes.len() < 2 || is_index(op) || reorders == is_orderless(op) {
        return None;
    }
    let part = |user: Id| {
        let node = graph.egg.id_to_node(user);
        let Kind::Reduce { axes: first, .. } = graph.kind(node) else { return None };
        let fits = node.tag == Tag::Reduce(op) && graph.same(node.args[0], x) && first.len() < axes.len();
        (fits && first.iter().all(|a| axes.contains(a))).then_some((first, user))
    };
    let users = graph.egg[x].parents().filter_map(part);
    let (first, user) = users.min_by_key(|(first, _)| (Reverse(first.len()), first.clone()))?;
    let left: Vec<usize> = (0..graph.rank(x)).filter(|a| !first.contains(a)).collect();
    let rest = (0..left.len()).filter(|i| axes.contains(&left[*i])).collect();
    Some(graph.reduce(op, user, rest))
}

/// A repetition under a reduction.
struct Repeated {
    x: Id,
    /// The axes of the operand that are reduced, and of these those that are repeated from 1.
    reduced: Vec<usize>,
    /// How often each element comes.
    times: Vec<Dim>,
    /// The place of each axis of the operand that stays in the result of the reduction.
    places: Vec<usize>,
}

fn repeated(graph: &Graph, site: &Site, axes: &[usize]) -> Option<Repeated> {
    let (inner, kind) = graph.node(site.node.args[0], Tag::Broadcast)?;
    let Kind::Broadcast { axes: to } = kind else { return None };
    let x = inner.args[0];
    let (from, wide) = (graph.shape(x), graph.shape(site.node.args[0]));
    let new = |axis: usize| match to.iter().position(|p| *p == axis) {
        None => true,
        Some(i) => from[i].is(1) && !wide[axis].is(1),
    };
    let times: Vec<Dim> = axes.iter().filter(|a| new(**a)).map(|a| wide[*a].clone()).collect();
    let reduced: Vec<usize> = (0..to.len()).filter(|i| axes.contains(&to[*i])).collect();
    let place = |axis: usize| axis - axes.iter().filter(|a| **a < axis).count();
    let places = to.iter().filter(|p| !axes.contains(p)).map(|p| place(*p)).collect();
    (!times.is_empty()).then_some(Repeated { x, reduced, times, places })
}

fn known_and_not_zero(dims: &[Dim]) -> bool {
    dims.iter().all(|d| d.as_const().is_some_and(|v| v > 0))
}

fn max_broadcast(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (op, axes) = parts(graph, &site.node)?;
    let r = repeated(graph, site, &axes)?;
    if !is_orderless(op) || !known_and_not_zero(&r.times) {
        return None;
    }
    let shape = graph.shape(site.class).to_vec();
    let value = graph.reduce(op, r.x, r.reduced);
    Some(graph.broadcast(value, shape, r.places))
}

/// Nothing times an infinity is NaN, where the sum of nothing is 0: hence the sizes must be known.
fn sum_broadcast(graph: &mut Graph, site: &Site, any: bool) -> Option<Id> {
    let (op, axes) = parts(graph, &site.node)?;
    let r = repeated(graph, site, &axes)?;
    let dtype = graph.ty(site.class).dtype;
    let exact = dtype.is_int() || known_and_not_zero(&r.times);
    if any == exact || !(dtype.is_int() || matches!(dtype, DType::F32 | DType::F64)) {
        return None;
    }
    let shape = graph.shape(site.class).to_vec();
    let value = graph.reduce(op, r.x, r.reduced);
    let times = graph.size(matex_ir::dim::product(&r.times), dtype);
    let small = graph.shape(value).to_vec();
    let times = graph.broadcast(times, small, Vec::new());
    let value = graph.map(Op::Mul, &[value, times]);
    Some(graph.broadcast(value, shape, r.places))
}

/// What stands in a sum beside something that is the same along its axes: its sum, and that under the shape of the result.
/// `ops` are those that may join them.
fn beside_still(graph: &mut Graph, site: &Site, ops: &[Op]) -> Option<(Op, Id, Id)> {
    let (op, axes) = parts(graph, &site.node)?;
    if !graph.is_float(site.class) {
        return None;
    }
    for (join, node) in ops
        .iter()
        .flat_map(|o| graph.nodes(site.node.args[0], Tag::Map(*o)).into_iter().map(|n| (*o, n)))
        .collect::<Vec<_>>()
    {
        // What is taken away stands behind.
        let ways: &[(usize, usize)] = if join == Op::Sub { &[(0, 1)] } else { &[(0, 1), (1, 0)] };
        for (x, c) in ways.iter().map(|(i, j)| (node.args[*i], node.args[*j])) {
            let still = |(_, to): &(Id, Vec<usize>)| to.iter().all(|p| !axes.contains(p));
            let Some((small, to)) = graph.repetitions(c).into_iter().find(still) else { continue };
            if graph.splat(x).is_some() {
                continue;
            }
            let place = |axis: usize| axis - axes.iter().filter(|a| **a < axis).count();
            let places = to.iter().map(|p| place(*p)).collect();
            let shape = graph.shape(site.class).to_vec();
            let sum = graph.reduce(op, x, axes);
            let still = graph.broadcast(small, shape, places);
            return Some((join, sum, still));
        }
    }
    None
}

/// A factor that is the same along the axes of a sum.
fn sum_scaled(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (_, sum, factor) = beside_still(graph, site, &[Op::Mul])?;
    Some(graph.map(Op::Mul, &[sum, factor]))
}

/// A term that is the same along the axes of a sum.
fn sum_shifted(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (join, sum, term) = beside_still(graph, site, &[Op::Add, Op::Sub])?;
    let (_, axes) = parts(graph, &site.node)?;
    let ty = graph.ty(site.class).clone();
    if !matches!(ty.dtype, DType::F32 | DType::F64) {
        return None;
    }
    let along: Vec<Dim> = axes.iter().map(|a| graph.shape(site.node.args[0])[*a].clone()).collect();
    let times = graph.size(matex_ir::dim::product(&along), ty.dtype);
    let times = graph.broadcast(times, ty.shape, Vec::new());
    let all = graph.map(Op::Mul, &[term, times]);
    Some(graph.map(join, &[sum, all]))
}

/// Sums over axes of a product: free axes are summed before, batch axes are summed over together.
fn sum_dot(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (_, axes) = parts(graph, &site.node)?;
    let (inner, kind) = graph.node(site.node.args[0], Tag::Dot)?;
    let Kind::Dot { batch, contract } = kind else { return None };
    let (a, b) = (inner.args[0], inner.args[1]);
    let free = |graph: &Graph, x: Id, left: bool| -> Vec<usize> {
        let side = |(l, r): &(usize, usize)| if left { *l } else { *r };
        (0..graph.rank(x)).filter(|i| batch.iter().chain(&contract).all(|p| side(p) != *i)).collect()
    };
    let (fa, fb) = (free(graph, a, true), free(graph, b, false));
    let (na, nb) = (batch.len(), batch.len() + fa.len());
    let of_a: Vec<usize> = axes.iter().filter(|x| (na..nb).contains(*x)).map(|x| fa[x - na]).collect();
    let of_b: Vec<usize> = axes.iter().filter(|x| **x >= nb).map(|x| fb[x - nb]).collect();
    let (joined, kept): (Vec<_>, Vec<_>) = batch.iter().enumerate().partition(|(i, _)| axes.contains(i));
    let moved = |axis: usize, gone: &[usize]| axis - gone.iter().filter(|g| **g < axis).count();
    let pairs = |pairs: Vec<(usize, usize)>| -> Pairs {
        pairs.iter().map(|(l, r)| (moved(*l, &of_a), moved(*r, &of_b))).collect()
    };
    let kept = pairs(kept.into_iter().map(|(_, p)| *p).collect());
    let contract = pairs(contract.iter().copied().chain(joined.into_iter().map(|(_, p)| *p)).collect());
    let (a, b) = (graph.reduce(ReduceOp::Sum, a, of_a), graph.reduce(ReduceOp::Sum, b, of_b));
    Some(graph.dot(a, b, kept, contract))
}
