//! What becomes of one part where elements are moved, repeated or added up.

use super::part::Part;
use crate::dim::{Dim, product};
use crate::tensor::{Builder, ReduceOp, ScanOp, SliceAxis, TensorType, ValueId};
use crate::transform::emit::whole;
use std::ops::Range;

/// A tied axis of extent 1 leaves out nothing: the same without the tie.
fn untied(b: &mut Builder, part: &Part, axis: usize) -> Part {
    let mut out = part.clone();
    let Some(d) = part.tied_to(axis) else { return out };
    out.ties[d] = None;
    let place = out.ties[..d].iter().filter(|t| t.is_none()).count();
    let mut shape = b.ty(part.value).shape.clone();
    shape.insert(place, Dim::ONE);
    out.value = b.reshape(part.value, shape);
    out
}

/// Repeated axes of extent 1 are untied before; another tied axis cannot be repeated.
pub(super) fn broadcast(
    b: &mut Builder,
    part: &Part,
    axes: &[usize],
    from: &[Dim],
    to: &[Dim],
) -> Option<Part> {
    let mut out = part.clone();
    for (axis, place) in axes.iter().enumerate() {
        if part.tied_to(axis).is_none() || from[axis] == to[*place] {
            continue;
        }
        if !from[axis].is(1) {
            return None;
        }
        out = untied(b, &out, axis);
    }
    let free = out.free();
    let shape = out.free_dims().iter().chain(to).cloned().collect();
    let places = (0..free).chain(axes.iter().map(|a| a + free)).collect();
    out.value = b.broadcast(out.value, shape, places);
    out.ties.iter_mut().flatten().for_each(|t| *t = axes[*t]);
    Some(out)
}

pub(super) fn permute(b: &mut Builder, part: &Part, perm: &[usize]) -> Part {
    let mut out = part.clone();
    let free = part.free();
    out.value = b.permute(part.value, (0..free).chain(perm.iter().map(|p| p + free)).collect());
    out.ties.iter_mut().flatten().for_each(|t| *t = perm.iter().position(|p| p == t).unwrap_or(*t));
    out
}

/// Axes before and behind a reshape that hold the same indices: groups with one product, as small as they can be.
fn groups(from: &[Dim], to: &[Dim]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < from.len() && j < to.len() {
        let (left, right) = (from.len() - i, to.len() - j);
        let sizes = (2..=left + right).flat_map(|n| (1..n).map(move |a| (a, n - a)));
        let (a, c) = sizes
            .filter(|(a, c)| *a <= left && *c <= right)
            .find(|(a, c)| product(&from[i..i + a]) == product(&to[j..j + c]))?;
        out.push((i..i + a, j..j + c));
        (i, j) = (i + a, j + c);
    }
    // What is left over are axes of 1.
    let ones = from[i..].iter().chain(&to[j..]).all(|d| d.is(1));
    ones.then_some(out)
}

/// Tied axes stay tied where the directions can be reshaped in the same way: a group of axes that are all tied, to
/// directions that follow one another.
pub(super) fn reshape(b: &mut Builder, part: &Part, from: &[Dim], to: &[Dim]) -> Option<Part> {
    let mut out = part.clone();
    for axis in (0..from.len()).filter(|a| from[*a].is(1)) {
        out = untied(b, &out, axis);
    }
    let (mut dims, mut ties) = (Vec::new(), Vec::new());
    if out.ties.iter().any(Option::is_some) {
        let groups = groups(from, to)?;
        let mut d = 0;
        while d < out.ties.len() {
            let Some(axis) = out.ties[d] else {
                dims.push(out.view.dims()[d].clone());
                ties.push(None);
                d += 1;
                continue;
            };
            let (before, behind) = groups.iter().find(|(g, _)| g.contains(&axis))?;
            let tied: Vec<Option<usize>> = before.clone().filter(|a| !from[*a].is(1)).map(Some).collect();
            if out.ties.get(d..d + tied.len()) != Some(&tied) {
                return None;
            }
            d += tied.len();
            for axis in behind.clone().filter(|a| !to[*a].is(1)) {
                dims.push(to[axis].clone());
                ties.push(Some(axis));
            }
        }
        out.view = out.view.reshaped(dims);
        out.ties = ties;
    }
    let shape = out.free_dims().iter().chain(to).cloned().collect();
    out.value = b.reshape(out.value, shape);
    Some(out)
}

/// A piece of a tied axis is a piece of its directions.
pub(super) fn slice(b: &mut Builder, part: &Part, axes: &[SliceAxis], from: &[Dim], to: &[Dim]) -> Part {
    let mut out = part.clone();
    let mut cuts = whole(part.ties.len());
    let mut dims = part.view.dims().to_vec();
    for (d, tie) in part.ties.iter().enumerate() {
        let Some(axis) = tie else { continue };
        let all = axes[*axis].step == 1 && axes[*axis].start == Dim::ZERO && from[*axis] == to[*axis];
        if !all {
            (cuts[d], dims[d]) = (axes[*axis].clone(), to[*axis].clone());
        }
    }
    out.view = part.view.cut(cuts, dims);
    let lens = part.free_dims().iter().chain(to).cloned().collect();
    let axes = whole(part.free()).into_iter().chain(axes.iter().cloned()).collect();
    out.value = b.slice(part.value, axes, lens);
    out
}

/// Zeros around a tied axis are directions that do not exist.
pub(super) fn pad(b: &mut Builder, part: &Part, low: &[Dim], from: &[Dim], to: &[Dim]) -> Part {
    let mut out = part.clone();
    let mut before = vec![Dim::ZERO; part.ties.len()];
    let mut dims = part.view.dims().to_vec();
    for (d, tie) in part.ties.iter().enumerate() {
        let Some(axis) = tie else { continue };
        if from[*axis] != to[*axis] {
            (before[d], dims[d]) = (low[*axis].clone(), to[*axis].clone());
        }
    }
    out.view = part.view.widened(before, dims);
    let shape: Vec<Dim> = part.free_dims().iter().chain(to).cloned().collect();
    if b.ty(part.value).shape != shape {
        let low = vec![Dim::ZERO; part.free()].into_iter().chain(low.iter().cloned()).collect();
        let zero = TensorType::scalar(b.ty(part.value).dtype);
        let zero = b.zeros(&zero);
        out.value = b.pad(part.value, zero, low, shape);
    }
    out
}

/// A sum over a tied axis has one term for each direction, and unties it.
pub(super) fn sum(b: &mut Builder, part: &Part, axes: &[usize]) -> Part {
    let mut out = part.clone();
    let free = part.free();
    let (tied, summed): (Vec<usize>, Vec<usize>) = axes.iter().partition(|a| part.tied_to(**a).is_some());
    let value = b.reduce(ReduceOp::Sum, part.value, summed.iter().map(|a| a + free).collect());
    // Where the axes of the value are now, in the order in which they are to be.
    let place = |axis: usize| free + axis - summed.iter().filter(|s| **s < axis).count();
    let mut perm = Vec::new();
    let mut untied = 0;
    for tie in &mut out.ties {
        match *tie {
            None => {
                perm.push(untied);
                untied += 1;
            }
            Some(axis) if tied.contains(&axis) => {
                perm.push(place(axis));
                *tie = None;
            }
            Some(axis) => *tie = Some(axis - axes.iter().filter(|a| **a < axis).count()),
        }
    }
    let rank = b.ty(part.value).rank() - free;
    perm.extend((0..rank).filter(|a| !axes.contains(a)).map(place));
    out.value = b.permute(value, perm);
    out
}

pub(super) fn scan(b: &mut Builder, part: &Part, axis: usize) -> Option<Part> {
    let tied = part.tied_to(axis).is_some();
    (!tied).then(|| part.with(b.scan(ScanOp::Sum, part.value, axis + part.free())))
}

/// Elements picked along an axis that is not tied.
pub(super) fn gather(b: &mut Builder, part: &Part, index: ValueId, axis: usize) -> Option<Part> {
    if part.tied_to(axis).is_some() {
        return None;
    }
    let rank = b.ty(index).rank();
    let mut out = part.with(b.gather(part.value, index, axis + part.free()));
    out.ties.iter_mut().flatten().filter(|t| **t > axis).for_each(|t| *t = *t + rank - 1);
    Some(out)
}
