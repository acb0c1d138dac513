//! Sums of products of which one factor changes with the directions.

use super::part::Part;
use crate::dim::Dim;
use crate::ops::Op;
use crate::tensor::{Builder, ValueId};

/// The factor of a product that changes with the directions: its axes come first in all pairs.
pub(super) struct Factor {
    left: bool,
    batch: Vec<(usize, usize)>,
    contract: Vec<(usize, usize)>,
}

impl Factor {
    pub(super) fn new(left: bool, batch: &[(usize, usize)], contract: &[(usize, usize)]) -> Factor {
        let own =
            |pairs: &[(usize, usize)]| pairs.iter().map(|p| if left { *p } else { (p.1, p.0) }).collect();
        Factor { left, batch: own(batch), contract: own(contract) }
    }

    /// The product of a part with the other factor. A tied axis that is summed over has one term for each direction: the
    /// two factors run along it together, and it becomes one of the directions.
    pub(super) fn product(&self, b: &mut Builder, part: &Part, other: ValueId) -> Option<Part> {
        let free = part.free();
        let (run, summed): (Vec<_>, Vec<_>) = self.contract.iter().partition(|p| part.tied_to(p.0).is_some());
        let bound: Vec<(usize, usize)> = self.batch.iter().chain(&self.contract).copied().collect();
        let own: Vec<usize> =
            (0..b.ty(part.value).rank() - free).filter(|a| bound.iter().all(|p| p.0 != *a)).collect();
        let others = b.ty(other).rank() - bound.len();
        let along: Vec<(usize, usize)> =
            self.batch.iter().chain(run.iter().copied()).map(|p| (p.0 + free, p.1)).collect();
        let value = if summed.is_empty() {
            outer(b, part.value, other, &along)
        } else {
            let over = summed.iter().map(|p| (p.0 + free, p.1)).collect();
            b.dot(part.value, other, along.clone(), over)
        };
        // In that the axes are: what runs together, the directions, the part's own, the other factor's.
        let n = self.batch.len();
        let start = along.len() + free;
        let (own_at, others_at) = if self.left { (n, n + own.len()) } else { (n + others, n) };
        let mut out = part.clone();
        let mut perm = Vec::new();
        let mut untied = along.len()..start;
        for tie in &mut out.ties {
            let Some(axis) = *tie else {
                perm.extend(untied.next());
                continue;
            };
            if let Some(i) = run.iter().position(|p| p.0 == axis) {
                perm.push(n + i);
                *tie = None;
            } else if let Some(i) = self.batch.iter().position(|p| p.0 == axis) {
                *tie = Some(i);
            } else {
                *tie = Some(own_at + own.iter().position(|a| *a == axis)?);
            }
        }
        perm.extend(0..n);
        let (mine, theirs) = (start..start + own.len(), start + own.len()..start + own.len() + others);
        let (first, last) = if own_at < others_at { (mine, theirs) } else { (theirs, mine) };
        perm.extend(first.chain(last));
        out.value = b.permute(value, perm);
        Some(out)
    }
}

/// The product of all pairs of elements that agree along these axes: those axes, the others of `x`, the others of `y`.
fn outer(b: &mut Builder, x: ValueId, y: ValueId, along: &[(usize, usize)]) -> ValueId {
    let order = |rank: usize, first: Vec<usize>| -> Vec<usize> {
        let rest: Vec<usize> = (0..rank).filter(|a| !first.contains(a)).collect();
        first.into_iter().chain(rest).collect()
    };
    let of_x = order(b.ty(x).rank(), along.iter().map(|p| p.0).collect());
    let of_y = order(b.ty(y).rank(), along.iter().map(|p| p.1).collect());
    let (x, y) = (b.permute(x, of_x), b.permute(y, of_y));
    let (n, rank) = (along.len(), b.ty(x).rank());
    let shape: Vec<Dim> = b.ty(x).shape.iter().chain(&b.ty(y).shape[n..]).cloned().collect();
    let places = (0..n).chain(rank..shape.len()).collect();
    let x = b.broadcast(x, shape.clone(), (0..rank).collect());
    let y = b.broadcast(y, shape, places);
    b.map(Op::Mul, &[x, y])
}
