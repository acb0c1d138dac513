//! Computing before a repetition and not after it.

use super::{Root, Rule, code};
use crate::algebra::{Graph, Tag};
use crate::options::Tier::Exact;
use crate::rules::Site;
use egg::Id;
use matex_ir::Dim;
use smallvec::SmallVec;

pub(super) const RULES: &[Rule] = &[
    code(
        "map-broadcast",
        Exact,
        "f(broadcast(x), c) = broadcast(f(x, c)), for every elementwise f",
        Root::Maps,
        &[Tag::Broadcast],
        map_broadcast,
    ),
    code(
        "cast-broadcast",
        Exact,
        "cast(broadcast(x)) = broadcast(cast(x))",
        Root::Tag(Tag::Cast),
        &[Tag::Broadcast],
        cast_broadcast,
    ),
];

/// All operands that are no constants are repeated in the same way from the same shape.
fn map_broadcast(graph: &mut Graph, site: &Site) -> Option<Id> {
    let Tag::Map(op) = site.node.tag else { return None };
    let first = site.node.args.iter().find(|a| graph.splat(**a).is_none())?;
    let (source, axes, operands) = graph.repetitions(*first).into_iter().find_map(|(x, axes)| {
        let source: Vec<Dim> = graph.shape(x).to_vec();
        let small = |a: &Id| match graph.splat(*a) {
            Some(_) => Some(None),
            None => {
                let same = |(y, places): &(Id, Vec<usize>)| *places == axes && graph.shape(*y) == source;
                graph.repetitions(*a).into_iter().find(same).map(|(y, _)| Some(y))
            }
        };
        let operands: Option<SmallVec<[Option<Id>; 3]>> = site.node.args.iter().map(small).collect();
        Some((source, axes, operands?))
    })?;
    let mut args: SmallVec<[Id; 3]> = SmallVec::new();
    for (small, whole) in operands.iter().zip(&site.node.args) {
        args.push(match (small, graph.splat(*whole)) {
            (Some(small), _) => *small,
            (None, value) => graph.constant(value?, &source),
        });
    }
    let shape = graph.shape(site.class).to_vec();
    let value = graph.map(op, &args);
    Some(graph.broadcast(value, shape, axes))
}

fn cast_broadcast(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (x, axes) = graph.repetitions(site.node.args[0]).into_iter().next()?;
    let ty = graph.ty(site.class).clone();
    let value = graph.cast(x, ty.dtype);
    Some(graph.broadcast(value, ty.shape, axes))
}
