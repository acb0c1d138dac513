//! Arrays that are put together from pieces: what reading parts of an array becomes in its derivative.

use super::{Root, Rule, code};
use crate::algebra::{Graph, Tag};
use crate::options::Tier::Default;
use crate::rules::Site;
use egg::Id;
use matex_ir::tensor::Kind;
use matex_ir::{Dim, Op, Scalar};

/// More pieces than this are not put in a row: each is an operand of it, and so it is in all rows before.
const MOST: usize = 64;

pub(super) const RULES: &[Rule] = &[code(
    "add-pads",
    Default,
    "pad(x) + pad(y) = concat([x, y]), where each stands among the zeros of the other",
    Root::Tag(Tag::Map(Op::Add)),
    &[Tag::Other],
    add_pads,
)];

/// A piece and its place.
#[derive(Clone, Copy)]
struct Piece {
    start: i64,
    end: i64,
    value: Id,
}

/// The pieces along an axis of an array that is 0 elsewhere.
fn pieces(graph: &Graph, id: Id) -> Option<(usize, Vec<Piece>)> {
    let is_zero = |x: Id| graph.splat(x).is_some_and(|v| v.to_f64() == 0.0);
    graph.nodes(id, Tag::Other).iter().find_map(|node| {
        let kind = graph.kind(node);
        if let Kind::Pad { low } = &kind {
            let [x, around] = *node.args.as_slice() else { return None };
            let (inner, outer) = (graph.shape(x), graph.shape(id));
            let mut padded = (0..inner.len()).filter(|i| !graph.same_dim(&inner[*i], &outer[*i]));
            let (Some(axis), None, true) = (padded.next(), padded.next(), is_zero(around)) else {
                return None;
            };
            let start = low[axis].as_const()?;
            let end = start.checked_add(inner[axis].as_const()?)?;
            return Some((axis, vec![Piece { start, end, value: x }]));
        }
        let Kind::Concat { axis } = kind else { return None };
        let (mut found, mut start) = (Vec::new(), 0);
        for x in &node.args {
            let Some(len) = graph.shape(*x)[axis].as_const() else {
                // Zeros behind the last piece may be as many as only a call tells.
                return (is_zero(*x) && node.args.last() == Some(x)).then_some((axis, found));
            };
            let end = i64::checked_add(start, len)?;
            if !is_zero(*x) {
                found.push(Piece { start, end, value: *x });
            }
            start = end;
        }
        Some((axis, found))
    })
}

fn add_pads(graph: &mut Graph, site: &Site) -> Option<Id> {
    let ((axis, mut all), (other, more)) =
        (pieces(graph, site.node.args[0])?, pieces(graph, site.node.args[1])?);
    all.extend(more);
    all.sort_by_key(|p| (p.start, p.end));
    if axis != other || all.len() > MOST || all.windows(2).any(|w| w[0].end > w[1].start) {
        return None;
    }
    let ty = graph.ty(site.class).clone();
    let zeros = |graph: &mut Graph, len: Dim| {
        let mut shape = ty.shape.clone();
        shape[axis] = len;
        graph.constant(Scalar::from_bits(ty.dtype, 0), &shape)
    };
    let (mut row, mut end) = (Vec::new(), 0);
    for piece in all {
        if piece.start > end {
            row.push(zeros(graph, Dim::constant(piece.start - end)));
        }
        row.push(piece.value);
        end = piece.end;
    }
    let rest = &ty.shape[axis] - &Dim::constant(end);
    if rest != Dim::ZERO {
        row.push(zeros(graph, rest));
    }
    Some(graph.concat(axis, &row, ty.shape.clone()))
}
