//! Values that are other views of the same elements: merged, cancelled, and moved to where they cost nothing.

use super::{Root, Rule, code};
use crate::algebra::{Graph, Tag, TensorLang};
use crate::options::Tier::Exact;
use crate::rules::Site;
use egg::Id;
use matex_ir::Dim;
use matex_ir::tensor::{Kind, SliceAxis};
use smallvec::SmallVec;

pub(super) const RULES: &[Rule] = &[
    code("permute-permute", Exact, "x.T.T = x", Root::Tag(Tag::Permute), &[], permute_permute),
    code(
        "reshape-reshape",
        Exact,
        "reshape(reshape(x, a), b) = reshape(x, b)",
        Root::Tag(Tag::Reshape),
        &[],
        reshape_reshape,
    ),
    code(
        "broadcast-broadcast",
        Exact,
        "two repetitions are one",
        Root::Tag(Tag::Broadcast),
        &[],
        broadcast_broadcast,
    ),
    code(
        "broadcast-reshape",
        Exact,
        "axes of 1 need not be there to be repeated",
        Root::Tag(Tag::Broadcast),
        &[Tag::Reshape],
        broadcast_reshape,
    ),
    code("slice-slice", Exact, "x[a:b][c:d] = x[a+c:a+d]", Root::Tag(Tag::Slice), &[], slice_slice),
    code(
        "slice-broadcast",
        Exact,
        "broadcast(x)[a:b] = broadcast(x[a:b])",
        Root::Tag(Tag::Slice),
        &[Tag::Broadcast],
        slice_broadcast,
    ),
    code(
        "slice-permute",
        Exact,
        "x.T[a:b] = x[:, a:b].T",
        Root::Tag(Tag::Slice),
        &[Tag::Permute],
        slice_permute,
    ),
    code(
        "permute-broadcast",
        Exact,
        "broadcast(x).T = broadcast(x) with its axes elsewhere",
        Root::Tag(Tag::Permute),
        &[Tag::Broadcast],
        permute_broadcast,
    ),
    code(
        "permute-map",
        Exact,
        "f(x.T, y.T, c).T = f(x, y, c), for every elementwise f",
        Root::Tag(Tag::Permute),
        &[],
        permute_map,
    ),
    code(
        "slice-map",
        Exact,
        "(x + y)[a:b] = x[a:b] + y[a:b], for every elementwise function",
        Root::Tag(Tag::Slice),
        &[],
        slice_map,
    ),
];

fn perm(graph: &Graph, node: &TensorLang) -> Option<Vec<usize>> {
    if let Kind::Permute(perm) = graph.kind(node) { Some(perm) } else { None }
}

fn cuts(graph: &Graph, node: &TensorLang) -> Option<Vec<SliceAxis>> {
    if let Kind::Slice(axes) = graph.kind(node) { Some(axes) } else { None }
}

fn places(graph: &Graph, node: &TensorLang) -> Option<Vec<usize>> {
    if let Kind::Broadcast { axes } = graph.kind(node) { Some(axes) } else { None }
}

fn permute_permute(graph: &mut Graph, site: &Site) -> Option<Id> {
    let outer = perm(graph, &site.node)?;
    let (inner, _) = graph.node(site.node.args[0], Tag::Permute)?;
    let first = perm(graph, &inner)?;
    Some(graph.permute(inner.args[0], outer.iter().map(|p| first[*p]).collect()))
}

fn reshape_reshape(graph: &mut Graph, site: &Site) -> Option<Id> {
    let shape = graph.shape(site.class).to_vec();
    let (inner, _) = graph.node(site.node.args[0], Tag::Reshape)?;
    Some(graph.reshape(inner.args[0], shape))
}

fn broadcast_broadcast(graph: &mut Graph, site: &Site) -> Option<Id> {
    let outer = places(graph, &site.node)?;
    let (inner, _) = graph.node(site.node.args[0], Tag::Broadcast)?;
    let first = places(graph, &inner)?;
    let shape = graph.shape(site.class).to_vec();
    Some(graph.broadcast(inner.args[0], shape, first.iter().map(|p| outer[*p]).collect()))
}

/// A reshape that only puts in axes of 1, which are repeated or stay 1 then.
fn broadcast_reshape(graph: &mut Graph, site: &Site) -> Option<Id> {
    let outer = places(graph, &site.node)?;
    let (inner, _) = graph.node(site.node.args[0], Tag::Reshape)?;
    let x = inner.args[0];
    let (from, to) = (graph.shape(x).to_vec(), graph.shape(site.node.args[0]).to_vec());
    let mut axes = Vec::new();
    let mut at = 0;
    for (place, dim) in outer.iter().zip(&to) {
        if from.get(at) == Some(dim) {
            axes.push(*place);
            at += 1;
        } else if !dim.is(1) {
            return None;
        }
    }
    if at != from.len() {
        return None;
    }
    let shape = graph.shape(site.class).to_vec();
    Some(graph.broadcast(x, shape, axes))
}

fn slice_slice(graph: &mut Graph, site: &Site) -> Option<Id> {
    let outer = cuts(graph, &site.node)?;
    let (inner, _) = graph.node(site.node.args[0], Tag::Slice)?;
    let first = cuts(graph, &inner)?;
    let joined = first.iter().zip(&outer).map(|(a, b)| {
        let start = &a.start + &(&b.start * &Dim::constant(a.step));
        Some(SliceAxis { start, step: a.step.checked_mul(b.step)? })
    });
    let joined: Vec<SliceAxis> = joined.collect::<Option<_>>()?;
    let lens = graph.shape(site.class).to_vec();
    Some(graph.slice(inner.args[0], joined, lens))
}

/// Whether an axis is taken as it is.
fn is_whole(graph: &Graph, cut: &SliceAxis, len: &Dim, extent: &Dim) -> bool {
    cut.step == 1 && cut.start == Dim::ZERO && graph.same_dim(len, extent)
}

/// The part of what is repeated. An axis that is repeated from 1 is cut by leaving it at 1.
fn slice_broadcast(graph: &mut Graph, site: &Site) -> Option<Id> {
    let cuts = cuts(graph, &site.node)?;
    let (inner, _) = graph.node(site.node.args[0], Tag::Broadcast)?;
    let places = places(graph, &inner)?;
    let x = inner.args[0];
    let (lens, wide) = (graph.shape(site.class).to_vec(), graph.shape(site.node.args[0]).to_vec());
    let from = graph.shape(x).to_vec();
    let (mut axes, mut kept) = (Vec::new(), Vec::new());
    for (extent, place) in from.iter().zip(&places) {
        let repeated = extent.is(1) && !wide[*place].is(1);
        let cut = if repeated { SliceAxis { start: Dim::ZERO, step: 1 } } else { cuts[*place].clone() };
        axes.push(cut);
        kept.push(if repeated { Dim::ONE } else { lens[*place].clone() });
    }
    let part = graph.slice(x, axes, kept);
    Some(graph.broadcast(part, lens, places))
}

fn slice_permute(graph: &mut Graph, site: &Site) -> Option<Id> {
    let cuts = cuts(graph, &site.node)?;
    let (inner, _) = graph.node(site.node.args[0], Tag::Permute)?;
    let perm = perm(graph, &inner)?;
    let lens = graph.shape(site.class).to_vec();
    let (mut axes, mut kept) = (cuts.clone(), lens.clone());
    for (i, p) in perm.iter().enumerate() {
        (axes[*p], kept[*p]) = (cuts[i].clone(), lens[i].clone());
    }
    let part = graph.slice(inner.args[0], axes, kept);
    Some(graph.permute(part, perm))
}

fn permute_broadcast(graph: &mut Graph, site: &Site) -> Option<Id> {
    let perm = perm(graph, &site.node)?;
    let (inner, _) = graph.node(site.node.args[0], Tag::Broadcast)?;
    let places = places(graph, &inner)?;
    let moved: Vec<usize> = places.iter().map(|p| perm.iter().position(|q| q == p)).collect::<Option<_>>()?;
    // A repetition keeps the order of its operand's axes; where it would not, the operand is permuted first.
    let mut order: Vec<usize> = (0..moved.len()).collect();
    order.sort_by_key(|i| moved[*i]);
    let axes = order.iter().map(|i| moved[*i]).collect();
    let shape = graph.shape(site.class).to_vec();
    let x = graph.permute(inner.args[0], order);
    Some(graph.broadcast(x, shape, axes))
}

/// How many functions deep operands are looked through for the transpose that cancels the outer one.
const DEPTH: usize = 4;

/// Only where they cancel: which of the two orders is the better one to compute in depends on the extents, and so it stays what was
/// written.
fn permute_map(graph: &mut Graph, site: &Site) -> Option<Id> {
    let order = perm(graph, &site.node)?;
    let x = site.node.args[0];
    cancels(graph, x, &order, DEPTH).then(|| turned(graph, x, &order, DEPTH))?
}

/// Whether somewhere in a value there is a transpose that this one cancels.
fn cancels(graph: &Graph, x: Id, order: &[usize], depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let undone = |n: &TensorLang| perm(graph, n).is_some_and(|p| is_undone(&p, order));
    graph.nodes(x, Tag::Permute).iter().any(undone)
        || inner_map(graph, x).is_some_and(|map| map.args.iter().any(|a| cancels(graph, *a, order, depth)))
}

fn is_undone(first: &[usize], then: &[usize]) -> bool {
    then.iter().enumerate().all(|(i, p)| first.get(*p) == Some(&i))
}

fn inner_map(graph: &Graph, x: Id) -> Option<TensorLang> {
    graph.egg[x].nodes.iter().find(|n| matches!(n.tag, Tag::Map(_))).cloned()
}

/// A value with its axes in another order, made of operands that have that order or any: transposes that it cancels, repetitions
/// and constants.
fn turned(graph: &mut Graph, x: Id, order: &[usize], depth: usize) -> Option<Id> {
    let depth = depth.checked_sub(1)?;
    if let Some(value) = graph.splat(x) {
        let shape: Vec<Dim> = order.iter().map(|p| graph.shape(x)[*p].clone()).collect();
        return Some(graph.constant(value, &shape));
    }
    let undone = |n: &&TensorLang| perm(graph, n).is_some_and(|p| is_undone(&p, order));
    if let Some(node) = graph.nodes(x, Tag::Permute).iter().find(undone) {
        return Some(node.args[0]);
    }
    if !graph.nodes(x, Tag::Broadcast).is_empty() {
        return Some(graph.permute(x, order.to_vec()));
    }
    let map = inner_map(graph, x)?;
    let Tag::Map(op) = map.tag else { return None };
    let args: SmallVec<[Id; 3]> =
        map.args.iter().map(|a| turned(graph, *a, order, depth)).collect::<Option<_>>()?;
    Some(graph.map(op, &args))
}

/// Only a real part, of which less is computed; a view of all elements would be moved for nothing.
fn slice_map(graph: &mut Graph, site: &Site) -> Option<Id> {
    let cuts = cuts(graph, &site.node)?;
    let whole = site.node.args[0];
    let lens = graph.shape(site.class).to_vec();
    let extents = graph.shape(whole).to_vec();
    if cuts
        .iter()
        .zip(lens.iter().zip(&extents))
        .all(|(c, (l, e))| is_whole(graph, c, l, e) || graph.same_dim(l, e))
    {
        return None;
    }
    let map = graph.egg[whole].nodes.iter().find(|n| matches!(n.tag, Tag::Map(_) | Tag::Cast))?.clone();
    let parts: Vec<Id> = map.args.iter().map(|a| graph.slice(*a, cuts.clone(), lens.clone())).collect();
    let dtype = graph.ty(whole).dtype;
    Some(if let Tag::Map(op) = map.tag { graph.map(op, &parts) } else { graph.cast(parts[0], dtype) })
}
