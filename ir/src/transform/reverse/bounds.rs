//! How many steps a loop takes at most, as a size.

use crate::dim::Dim;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, Node, Region, ValueId};
use crate::transform::body::Body;
use std::cell::Cell;
use std::collections::BTreeMap;

/// The counters of all loops of a body, with their bounds.
fn counters(body: &Body) -> BTreeMap<ValueId, (ValueId, ValueId)> {
    let mut out = BTreeMap::new();
    let mut open: Vec<&Region> = vec![body.root()];
    while let Some(region) = open.pop() {
        for node in region.nodes.iter().filter_map(|v| body.node(*v)) {
            if let Kind::For(r) = node.kind
                && let [start, stop, ..] = node.args[..]
            {
                out.extend(body.region(r).params.first().map(|p| (*p, (start, stop))));
            }
            open.extend(node.kind.regions().into_iter().map(|r| body.region(r)));
        }
    }
    out
}

/// The loops of a body, for bounds of integer scalars in terms of sizes.
#[derive(Debug)]
pub(super) struct Bounds(BTreeMap<ValueId, (ValueId, ValueId)>);

impl Bounds {
    pub(super) fn new(body: &Body) -> Bounds {
        Bounds(counters(body))
    }

    /// A size that the number of steps of a `for` never exceeds.
    pub(super) fn steps(&self, b: &Builder, body: &Body, node: &Node) -> Option<Dim> {
        let search = Search { body, b, counters: &self.0, fuel: Cell::new(1000) };
        let (lower, upper) = (search.of(*node.args.first()?, false)?, search.of(*node.args.get(1)?, true)?);
        Some((&upper - &lower).larger(&Dim::ZERO))
    }
}

struct Search<'a> {
    body: &'a Body,
    b: &'a Builder,
    counters: &'a BTreeMap<ValueId, (ValueId, ValueId)>,
    /// Values that may still be looked at: a chain of sums has twice as many ways with each link.
    fuel: Cell<u32>,
}

impl Search<'_> {
    fn of(&self, v: ValueId, upper: bool) -> Option<Dim> {
        self.fuel.set(self.fuel.get().checked_sub(1)?);
        if let Some((start, stop)) = self.counters.get(&v) {
            return if upper { self.of(*stop, true).map(|d| &d - &Dim::ONE) } else { self.of(*start, false) };
        }
        let node = self.body.node(v).unwrap_or_else(|| self.b.func().node(v));
        if let Kind::Constant(l) = &node.kind {
            return l.as_scalar().and_then(|s| i64::try_from(s.to_i128()).ok()).map(Dim::constant);
        }
        if let Kind::Size(d) = &node.kind {
            return Some(d.clone());
        }
        if let Kind::Param(i) = node.kind {
            let p = self.b.func().params.get(i as usize)?;
            return (p.ty.rank() == 0 && p.ty.dtype.is_int()).then(|| Dim::int(&p.name));
        }
        if matches!(node.kind, Kind::Cast | Kind::Check { .. }) {
            let from = self.body.ty(self.b, node.args[0]);
            return if from.dtype.is_int() { self.of(node.args[0], upper) } else { None };
        }
        if let Kind::Map(op) = node.kind { self.map(op, &node.args, upper) } else { None }
    }

    fn map(&self, op: Op, args: &[ValueId], upper: bool) -> Option<Dim> {
        let arg = |i: usize, upper: bool| self.of(*args.get(i)?, upper);
        if op == Op::Add {
            Some(&arg(0, upper)? + &arg(1, upper)?)
        } else if op == Op::Sub {
            Some(&arg(0, upper)? - &arg(1, !upper)?)
        } else if op == Op::Min {
            match (arg(0, upper), arg(1, upper)) {
                (Some(a), Some(b)) => Some(a.smaller(&b)),
                // The smaller one is at most either of them.
                (Some(a), None) | (None, Some(a)) if upper => Some(a),
                (Some(_), None) | (None, _) => None,
            }
        } else if op == Op::Max {
            match (arg(0, upper), arg(1, upper)) {
                (Some(a), Some(b)) => Some(a.larger(&b)),
                (Some(a), None) | (None, Some(a)) if !upper => Some(a),
                (Some(_), None) | (None, _) => None,
            }
        } else if op == Op::Mul {
            // A factor that is known and not negative scales the bound of the other.
            let exact = |i: usize| arg(i, true).filter(|d| arg(i, false).as_ref() == Some(d));
            match (exact(0), exact(1)) {
                (Some(a), Some(b)) => Some(&a * &b),
                (Some(k), None) if k.is_nonnegative() => arg(1, upper).map(|d| &k * &d),
                (None, Some(k)) if k.is_nonnegative() => arg(0, upper).map(|d| &k * &d),
                (Some(_), None) | (None, _) => None,
            }
        } else {
            None
        }
    }
}
