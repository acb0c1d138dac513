//! Loops and branches on one axis more.
//!
//! When all elements take the same way, the loop stays one loop over longer carried values. When they do not, either
//! all ways are gone and each element keeps what is its own, which is as good as long as nothing on a way that an
//! element does not take can fail; or the elements take turns.

use super::Batch;
use crate::tensor::{Kind, Node, ReduceOp, Region, RegionId, TensorType, ValueId};
use crate::transform::Refused;
use crate::transform::body::Body;

/// Whether nothing in a region can fail or run for ever, whatever its values are.
fn is_total(body: &Body, region: &Region) -> bool {
    region.nodes.iter().filter_map(|v| body.node(*v)).all(|node| match &node.kind {
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
        | Kind::Pad { .. }
        | Kind::Concat { .. }
        | Kind::Reduce { .. }
        | Kind::Scan { .. }
        | Kind::Dot { .. }
        | Kind::Proj(_) => true,
        Kind::Gather { .. }
        | Kind::GatherAlong { .. }
        | Kind::ScatterAlong { .. }
        | Kind::Update(_)
        | Kind::Lib(_)
        | Kind::Check { .. }
        | Kind::For(_)
        | Kind::While(..) => false,
        Kind::If(yes, no) => is_total(body, body.region(*yes)) && is_total(body, body.region(*no)),
    })
}

impl Batch<'_> {
    pub(super) fn control(&mut self, v: ValueId, node: &Node) -> Result<(), Refused> {
        let body = self.c.body;
        if let Kind::For(r) = node.kind {
            if node.args.iter().take(2).any(|a| self.depends.on(*a)) {
                return self.one_by_one(v, node);
            }
            let args = self.loop_args(v, node, 2);
            let r = self.loop_region(v, r)?;
            self.finish(v, Kind::For(r), args);
        } else if let Kind::While(test, r) = node.kind {
            let holds = body.region(test).results.iter().any(|t| self.depends.on(*t));
            if holds && !(is_total(body, body.region(test)) && is_total(body, body.region(r))) {
                return self.one_by_one(v, node);
            }
            let args = self.loop_args(v, node, 0);
            if holds {
                let (any, r) = self.masked_while(test, r)?;
                self.finish(v, Kind::While(any, r), args);
            } else {
                let test = self.test_region(test)?;
                let r = self.loop_region(v, r)?;
                self.finish(v, Kind::While(test, r), args);
            }
        } else if let Kind::If(yes, no) = node.kind {
            if self.depends.on(node.args[0]) {
                if is_total(body, body.region(yes)) && is_total(body, body.region(no)) {
                    return self.both_branches(v, node, yes, no);
                }
                return self.one_by_one(v, node);
            }
            let args = self.c.all(&node.args);
            let (yes, no) = (self.branch(v, yes)?, self.branch(v, no)?);
            self.finish(v, Kind::If(yes, no), args);
        }
        Ok(())
    }

    fn finish(&mut self, v: ValueId, kind: Kind, args: Vec<ValueId>) {
        let tuple = self.c.b.control(kind, args);
        let members = self.c.projected(tuple);
        self.c.set_tuple(v, &members);
    }

    /// Operands of a loop: carried values that depend on a mapped argument have the new axis from the start.
    fn loop_args(&mut self, v: ValueId, node: &Node, bounds: usize) -> Vec<ValueId> {
        let mut args = self.c.all(&node.args[..bounds.min(node.args.len())]);
        for (i, a) in node.args.iter().skip(bounds).enumerate() {
            args.push(if self.depends.member(v, i) { self.full(*a) } else { self.c.get(*a) });
        }
        args
    }

    fn begin(&mut self, region: &Region) -> RegionId {
        let types: Vec<TensorType> = region
            .params
            .iter()
            .map(|p| {
                let ty = self.c.body.ty(self.c.b, *p);
                if self.depends.on(*p) { self.longer(&ty) } else { ty }
            })
            .collect();
        let (made, params) = self.c.b.begin_region(&types);
        self.c.set_all(&region.params, &params);
        made
    }

    fn loop_region(&mut self, v: ValueId, r: RegionId) -> Result<RegionId, Refused> {
        let region = self.c.body.region(r);
        let made = self.begin(region);
        self.nodes(&region.nodes)?;
        let results = self.results(v, region);
        self.c.b.end_region(results);
        Ok(made)
    }

    /// The results of a region, those with the new axis that are so outside.
    fn results(&mut self, v: ValueId, region: &Region) -> Vec<ValueId> {
        let mut out = Vec::new();
        for (i, r) in region.results.iter().enumerate() {
            out.push(if self.depends.member(v, i) { self.full(*r) } else { self.c.get(*r) });
        }
        out
    }

    fn test_region(&mut self, r: RegionId) -> Result<RegionId, Refused> {
        let region = self.c.body.region(r);
        let made = self.begin(region);
        self.nodes(&region.nodes)?;
        let results = self.c.all(&region.results);
        self.c.b.end_region(results);
        Ok(made)
    }

    fn branch(&mut self, v: ValueId, r: RegionId) -> Result<RegionId, Refused> {
        let region = self.c.body.region(r);
        let (made, _) = self.c.b.begin_region(&[]);
        self.nodes(&region.nodes)?;
        let results = self.results(v, region);
        self.c.b.end_region(results);
        Ok(made)
    }

    /// A `while` that goes on as long as any element does; those that are done keep what they have.
    fn masked_while(&mut self, test: RegionId, r: RegionId) -> Result<(RegionId, RegionId), Refused> {
        let (test, region) = (self.c.body.region(test), self.c.body.region(r));
        let any = self.begin(test);
        self.nodes(&test.nodes)?;
        let holds = self.full(test.results[0]);
        let some = self.c.b.reduce(ReduceOp::Any, holds, vec![0]);
        self.c.b.end_region(vec![some]);
        let made = self.begin(region);
        let carried = self.c.all(&region.params);
        self.c.set_all(&test.params, &carried);
        self.nodes(&test.nodes)?;
        let holds = self.full(test.results[0]);
        self.nodes(&region.nodes)?;
        let mut results = Vec::new();
        for (r, old) in region.results.iter().zip(&carried) {
            let new = self.full(*r);
            results.push(self.chosen(holds, new, *old));
        }
        self.c.b.end_region(results);
        Ok((any, made))
    }

    fn both_branches(&mut self, v: ValueId, node: &Node, yes: RegionId, no: RegionId) -> Result<(), Refused> {
        let condition = self.c.get(node.args[0]);
        let mut sides = Vec::new();
        for r in [yes, no] {
            let region = self.c.body.region(r);
            self.nodes(&region.nodes)?;
            let results: Vec<ValueId> = region.results.iter().map(|r| self.full(*r)).collect();
            sides.push(results);
        }
        let mut members = Vec::new();
        for (y, n) in sides[0].iter().zip(&sides[1]) {
            members.push(self.chosen(condition, *y, *n));
        }
        self.c.set_tuple(v, &members);
        Ok(())
    }
}
