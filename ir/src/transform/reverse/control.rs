//! The way back through loops and branches.
//!
//! A `for` keeps the carried values at the start of every step, stacked on a new first axis; the way back runs over the
//! steps from the last to the first and works each of them out again from what was kept. What it turns out not to
//! need, the canonical form drops again. Where the number of steps follows from no sizes there is no such axis, and
//! the steps before are run again instead; [`super::blocks`] sees to it that these are few.

use super::{Cotangent, Reverse};
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Kind, Node, Region, RegionId, TensorType, ValueId};
use crate::transform::Refused;
use crate::transform::body::Body;

/// What a loop has kept.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    start: ValueId,
    stop: ValueId,
    kept: Kept,
}

/// How the way back gets at the carried values of a step.
#[derive(Clone, Debug)]
enum Kept {
    /// All of them were kept, stacked on a new first axis.
    Stacks(Vec<ValueId>),
    /// From these they are worked out by the steps before it.
    Start(Vec<ValueId>),
}

impl Reverse<'_> {
    /// A loop that keeps its carried values.
    pub(super) fn taped_loop(&mut self, v: ValueId) -> Result<(), Refused> {
        let body = self.c.body;
        let Some(node) = body.node(v) else { return Ok(()) };
        let Kind::For(r) = node.kind else { return Ok(()) };
        let before = self.c.b.set_origin(node.origin);
        let Some(steps) = self.bounds.steps(self.c.b, body, node) else {
            let args = self.c.all(&node.args);
            let tape = Tape { start: args[0], stop: args[1], kept: Kept::Start(args[2..].to_vec()) };
            self.tapes.insert(v, tape);
            self.c.b.set_origin(before);
            return self.c.copy(v);
        };
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
        let kept = Kept::Stacks(members[count..].to_vec());
        self.tapes.insert(v, Tape { start, stop, kept });
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
        let at_step = match &tape.kept {
            Kept::Stacks(stacks) => stacks.iter().map(|stack| self.c.b.entry(*stack, place)).collect(),
            Kept::Start(inits) => self.steps_before(region, tape.start, counter, inits)?,
        };
        self.c.set(region.params[0], counter);
        self.c.set_all(&region.params[1..], &at_step);
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

    /// What a loop carries when it comes to a step.
    fn steps_before(
        &mut self,
        region: &Region,
        start: ValueId,
        step: ValueId,
        inits: &[ValueId],
    ) -> Result<Vec<ValueId>, Refused> {
        let types = self.c.types(&region.params);
        let (made, params) = self.c.b.begin_region(&types);
        self.c.set_all(&region.params, &params);
        self.c.copy_all(&region.nodes)?;
        let results = self.c.all(&region.results);
        self.c.b.end_region(results);
        let args = [start, step].iter().chain(inits).copied().collect();
        let tuple = self.c.b.control(Kind::For(made), args);
        Ok(self.c.projected(tuple))
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
