//! The way back through loops and branches.
//!
//! A `for` keeps the carried values at the start of every step, stacked on a new first axis; the way back runs over the
//! steps from the last to the first and works each of them out again from what was kept. What it turns out not to
//! need, the canonical form drops again.

use super::{Cotangent, Reverse};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, Node, Region, RegionId, TensorType, ValueId};
use crate::transform::Refused;
use crate::transform::body::Body;
use std::cell::Cell;
use std::collections::BTreeMap;

/// What a loop has kept.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    start: ValueId,
    stop: ValueId,
    stacks: Vec<ValueId>,
}

/// The counters of all loops of a body, with their bounds.
pub(super) fn counters(body: &Body) -> BTreeMap<ValueId, (ValueId, ValueId)> {
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

impl Reverse<'_> {
    /// A loop that keeps its carried values.
    pub(super) fn taped_loop(&mut self, v: ValueId) -> Result<(), Refused> {
        let body = self.c.body;
        let Some(node) = body.node(v) else { return Ok(()) };
        let Kind::For(r) = node.kind else { return Ok(()) };
        let before = self.c.b.set_origin(node.origin);
        let (lower, upper) = (self.limit(node.args[0], false), self.limit(node.args[1], true));
        let (Some(lower), Some(upper)) = (lower, upper) else {
            let what =
                "reverse mode cannot go back through a loop whose number of steps does not follow from sizes";
            let help =
                "let the bounds be sizes, literals or integer parameters, or take jvp, which goes forward";
            return Err(Refused::at(node.origin, what, help));
        };
        let steps = (&upper - &lower).larger(&Dim::ZERO);
        let mut args = self.c.all(&node.args);
        let (start, stop) = (args[0], args[1]);
        let region = body.region(r);
        let count = region.results.len();
        let carried = self.c.types(&region.params[1..]);
        let mut types = self.c.types(&region.params);
        for ty in &carried {
            let mut shape = vec![steps.clone()];
            shape.extend(ty.shape.iter().cloned());
            types.push(TensorType::new(ty.dtype, shape));
            args.push(self.c.b.zeros(&types[types.len() - 1]));
        }
        let (made, params) = self.c.b.begin_region(&types);
        self.c.set_all(&region.params, &params);
        let place = self.c.b.map(Op::Sub, &[params[0], start]);
        let mut stacks = Vec::new();
        for i in 0..count {
            stacks.push(self.c.b.with_entry(params[1 + count + i], place, params[1 + i]));
        }
        self.c.copy_all(&region.nodes)?;
        let mut results = self.c.all(&region.results);
        results.extend(stacks);
        self.c.b.end_region(results);
        let tuple = self.c.b.control(Kind::For(made), args);
        let members = self.c.projected(tuple);
        self.c.set_tuple(v, &members[..count]);
        self.tapes.insert(v, Tape { start, stop, stacks: members[count..].to_vec() });
        self.c.b.set_origin(before);
        Ok(())
    }

    /// Values outside of regions that get a cotangent from inside, with what they have so far or zeros.
    fn outside(&mut self, regions: &[RegionId]) -> Vec<(ValueId, Cotangent)> {
        let body = self.c.body;
        let mut free: Vec<ValueId> = regions.iter().flat_map(|r| body.free(body.region(*r))).collect();
        free.sort_unstable();
        free.dedup();
        free.retain(|v| self.depends.on(*v));
        let with = |v: ValueId| {
            let so_far = self.cotangents.get(&(v, 0)).copied();
            (v, so_far.unwrap_or_else(|| self.nothing(v)))
        };
        free.into_iter().map(with).collect()
    }

    /// Goes back through a loop. What is carried are the cotangents of carried values, then those of values outside.
    pub(super) fn loop_back(
        &mut self,
        v: ValueId,
        node: &Node,
        r: RegionId,
        cts: &[Option<Cotangent>],
    ) -> Result<(), Refused> {
        let Some(tape) = self.tapes.get(&v).cloned() else { return Ok(()) };
        let region = self.c.body.region(r);
        let moving: Vec<usize> = (0..cts.len()).filter(|i| self.depends.member(v, *i)).collect();
        let outside = self.outside(&[r]);
        let given = |ct: &&Cotangent| ct.mask.is_some();
        let masks = cts.iter().flatten().any(|ct| given(&ct)) || chooses(self.c.body, region);
        let mut carried = Vec::new();
        for i in &moving {
            carried.push(cts[*i].unwrap_or_else(|| self.nothing(region.params[1 + i])));
        }
        carried.extend(outside.iter().map(|(_, so_far)| *so_far));
        let back = Back { region, tape, moving, outside };
        // With a mask for all of them at first, and without one for those that the loop takes it from.
        let mut masked = vec![masks; carried.len()];
        let members = loop {
            let mark = self.c.b.mark();
            let (members, lost) = self.loop_with_masks(&back, &carried, &masked)?;
            if lost.is_empty() {
                break members;
            }
            self.c.b.reset(&mark);
            lost.into_iter().for_each(|i| masked[i] = false);
        };
        let (own, sums) = members.split_at(back.moving.len());
        self.replace(&back.outside, sums);
        for (i, ct) in back.moving.iter().zip(own) {
            self.add(node.args[2 + i], *ct);
        }
        Ok(())
    }

    /// The loop over the steps from the last to the first, with masks beside some of the carried cotangents. Gives what
    /// it ends with, and which of those masks say nothing.
    fn loop_with_masks(
        &mut self,
        back: &Back<'_>,
        carried: &[Cotangent],
        masked: &[bool],
    ) -> Result<(Vec<Cotangent>, Vec<usize>), Refused> {
        let Back { region, tape, moving, outside } = back;
        let b = &mut *self.c.b;
        let zero = b.int(0);
        let steps = b.map(Op::Sub, &[tape.stop, tape.start]);
        let mut args = vec![zero, steps];
        args.extend(carried.iter().map(|ct| ct.value));
        for ct in carried.iter().zip(masked).filter(|(_, m)| **m).map(|(ct, _)| ct) {
            let ty = b.ty(ct.value).clone();
            args.push(ct.mask.unwrap_or_else(|| b.all_of(&ty, true)));
        }
        let mut types = vec![TensorType::scalar(DType::I64)];
        types.extend(args[2..].iter().map(|a| b.ty(*a).clone()));
        let (made, params) = b.begin_region(&types);
        let one = b.int(1);
        let last = b.map(Op::Sub, &[steps, one]);
        let place = b.map(Op::Sub, &[last, params[0]]);
        let counter = b.map(Op::Add, &[place, tape.start]);
        self.c.set(region.params[0], counter);
        for (p, stack) in region.params[1..].iter().zip(&tape.stacks) {
            let kept = self.c.b.entry(*stack, place);
            self.c.set(*p, kept);
        }
        let inner = paired(&params[1..], masked);
        let (own, sums) = inner.split_at(moving.len());
        let seeds = moving.iter().map(|i| region.results[*i]).zip(own.iter().copied());
        let starts: Vec<ValueId> = moving.iter().map(|i| region.params[1 + i]).collect();
        let ends = self.inside(region, seeds.collect(), outside, sums, &starts)?;
        let says_nothing = |i: &usize| {
            let everywhere = carried[*i].mask.is_none() && ends[*i].mask == inner[*i].mask;
            masked[*i] && (ends[*i].mask.is_none() || everywhere)
        };
        let lost = (0..ends.len()).filter(says_nothing).collect();
        self.c.b.end_region(flattened(&ends, masked));
        let tuple = self.c.b.control(Kind::For(made), args);
        let members = self.c.projected(tuple);
        Ok((paired(&members, masked), lost))
    }

    pub(super) fn branch_back(
        &mut self,
        node: &Node,
        yes: RegionId,
        no: RegionId,
        cts: &[Option<Cotangent>],
    ) -> Result<(), Refused> {
        let outside = self.outside(&[yes, no]);
        let so_far: Vec<Cotangent> = outside.iter().map(|(_, ct)| *ct).collect();
        let mut made = Vec::new();
        let mut masked = vec![true; outside.len()];
        for r in [yes, no] {
            let region = self.c.body.region(r);
            let (id, _) = self.c.b.begin_region(&[]);
            let seeds = region.results.iter().zip(cts).filter_map(|(r, ct)| Some((*r, (*ct)?)));
            let ends = self.inside(region, seeds.collect(), &outside, &so_far, &[])?;
            self.c.b.end_region(Vec::new());
            masked.iter_mut().zip(&ends).for_each(|(m, ct)| *m &= ct.mask.is_some());
            made.push((id, ends));
        }
        // What has a mask is known when both branches have been gone through.
        for (id, ends) in &made {
            self.c.b.reopen(*id);
            self.c.b.end_region(flattened(ends, &masked));
        }
        let condition = self.c.get(node.args[0]);
        let tuple = self.c.b.control(Kind::If(made[0].0, made[1].0), vec![condition]);
        let members = self.c.projected(tuple);
        self.replace(&outside, &paired(&members, &masked));
        Ok(())
    }

    /// Works a region out again and goes back over it: gives the cotangents of values `own` to it, then those of values
    /// outside, on top of what they had.
    fn inside(
        &mut self,
        region: &Region,
        seeds: Vec<(ValueId, Cotangent)>,
        outside: &[(ValueId, Cotangent)],
        so_far: &[Cotangent],
        own: &[ValueId],
    ) -> Result<Vec<Cotangent>, Refused> {
        self.sweep(&region.nodes)?;
        let around = std::mem::take(&mut self.cotangents);
        for ((v, _), sum) in outside.iter().zip(so_far) {
            self.cotangents.insert((*v, 0), *sum);
        }
        for (v, ct) in seeds {
            self.add(v, ct);
        }
        self.back(&region.nodes)?;
        let all: Vec<ValueId> = own.iter().copied().chain(outside.iter().map(|(v, _)| *v)).collect();
        let mut results = Vec::new();
        for v in all {
            let ct = self.cotangents.remove(&(v, 0));
            results.push(ct.unwrap_or_else(|| self.nothing(v)));
        }
        self.cotangents = around;
        Ok(results)
    }

    fn replace(&mut self, outside: &[(ValueId, Cotangent)], totals: &[Cotangent]) {
        for ((v, _), total) in outside.iter().zip(totals) {
            self.cotangents.insert((*v, 0), *total);
        }
    }

    /// A size that an integer scalar of the body never exceeds, or never falls below.
    fn limit(&self, v: ValueId, upper: bool) -> Option<Dim> {
        Bounds { body: self.c.body, b: self.c.b, counters: &self.counters, fuel: Cell::new(1000) }
            .of(v, upper)
    }
}

/// A loop on its way back.
struct Back<'a> {
    region: &'a Region,
    tape: Tape,
    /// Carried values that depend on what is differentiated.
    moving: Vec<usize>,
    outside: Vec<(ValueId, Cotangent)>,
}

/// Cotangents of values that stand one after the other, and behind them the masks of some.
fn paired(values: &[ValueId], masked: &[bool]) -> Vec<Cotangent> {
    let (values, masks) = values.split_at(masked.len());
    let mut masks = masks.iter().copied();
    let with =
        |(v, m): (&ValueId, &bool)| Cotangent { value: *v, mask: if *m { masks.next() } else { None } };
    values.iter().zip(masked).map(with).collect()
}

/// The opposite of [`paired`]: a mask that there is not stands for the value itself, which the caller does not use.
fn flattened(cts: &[Cotangent], masked: &[bool]) -> Vec<ValueId> {
    let masks = cts.iter().zip(masked).filter(|(_, m)| **m).map(|(ct, _)| ct.mask.unwrap_or(ct.value));
    cts.iter().map(|ct| ct.value).chain(masks).collect()
}

/// Whether a `where` stands in a region or in those inside of it.
fn chooses(body: &Body, region: &Region) -> bool {
    let mut open = vec![region];
    while let Some(r) = open.pop() {
        for node in r.nodes.iter().filter_map(|v| body.node(*v)) {
            if node.kind == Kind::Map(Op::Select) {
                return true;
            }
            open.extend(node.kind.regions().into_iter().map(|r| body.region(r)));
        }
    }
    false
}

/// Looks for bounds of integer scalars in terms of sizes.
struct Bounds<'a> {
    body: &'a Body,
    b: &'a Builder,
    counters: &'a BTreeMap<ValueId, (ValueId, ValueId)>,
    /// Values that may still be looked at: a chain of sums has twice as many ways with each link.
    fuel: Cell<u32>,
}

impl Bounds<'_> {
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
