//! Which values of a body depend on some of its parameters.

use super::body::Body;
use crate::tensor::{Kind, Node, Region, TensorType, Type, ValueId};

/// What counts as a dependence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// Any use.
    Anything,
    /// Floats computed from floats: what a derivative follows. It stops at integers, truth values and bitcasts.
    Floats,
}

/// For each value of a body whether it depends on the parameters that were asked about; a tuple by member.
#[derive(Clone, Debug)]
pub(super) struct Depends<'a> {
    body: &'a Body,
    through: Through,
    one: Vec<bool>,
    many: Vec<Vec<bool>>,
    changed: bool,
}

impl<'a> Depends<'a> {
    /// Follows the parameters of a body that are marked. What a loop carries back may depend on them only once it has
    /// been through the loop, so that the body is walked until nothing new turns up.
    pub(super) fn new(body: &'a Body, params: &[bool], through: Through) -> Depends<'a> {
        let n = body.size();
        let mut d = Depends { body, through, one: vec![false; n], many: vec![Vec::new(); n], changed: true };
        for (p, marked) in body.params().iter().zip(params) {
            d.mark(*p, *marked);
        }
        d.changed = true;
        while std::mem::take(&mut d.changed) {
            d.region(body.root());
        }
        d
    }

    /// Whether a value depends on them; captured values do not.
    pub(super) fn on(&self, v: ValueId) -> bool {
        self.body.index(v).is_some_and(|i| self.one[i])
    }

    /// Whether a member of a tuple does.
    pub(super) fn member(&self, tuple: ValueId, i: usize) -> bool {
        self.body.index(tuple).and_then(|t| self.many[t].get(i).copied()).unwrap_or(false)
    }

    /// Whether any member of a tuple does.
    pub(super) fn any_member(&self, tuple: ValueId) -> bool {
        self.body.index(tuple).is_some_and(|t| self.many[t].iter().any(|m| *m))
    }

    fn carries(&self, ty: &TensorType) -> bool {
        self.through == Through::Anything || ty.dtype.is_float()
    }

    fn mark(&mut self, v: ValueId, to: bool) {
        let Some(i) = self.body.index(v).filter(|i| to && !self.one[*i]) else { return };
        if let Some(Type::Tensor(ty)) = self.body.node(v).map(|n| &n.ty)
            && self.carries(ty)
        {
            self.one[i] = true;
            self.changed = true;
        }
    }

    fn mark_members(&mut self, tuple: ValueId, to: &[bool]) {
        let (Some(i), Some(node)) = (self.body.index(tuple), self.body.node(tuple)) else { return };
        let Type::Tuple(types) = &node.ty else { return };
        self.many[i].resize(types.len(), false);
        for (k, ty) in types.iter().enumerate() {
            if to.get(k).copied().unwrap_or(false) && self.carries(ty) && !self.many[i][k] {
                self.many[i][k] = true;
                self.changed = true;
            }
        }
    }

    fn region(&mut self, region: &Region) {
        for v in &region.nodes {
            if let Some(node) = self.body.node(*v) {
                self.node(*v, node);
            }
        }
    }

    fn node(&mut self, v: ValueId, node: &Node) {
        if let Kind::For(r) = node.kind {
            let region = self.body.region(r);
            let all = node.args.iter().take(2).any(|a| self.on(*a));
            region.params.iter().take(1).for_each(|p| self.mark(*p, all));
            self.carried(v, region, &node.args[2.min(node.args.len())..], 1, all);
        } else if let Kind::While(test, r) = node.kind {
            let (test, region) = (self.body.region(test), self.body.region(r));
            for (p, q) in test.params.iter().zip(&region.params) {
                self.mark(*p, self.on(*q));
            }
            self.region(test);
            let all = test.results.iter().any(|r| self.on(*r));
            self.carried(v, region, &node.args, 0, all);
        } else if let Kind::If(yes, no) = node.kind {
            let all = node.args.iter().any(|a| self.on(*a));
            let (yes, no) = (self.body.region(yes), self.body.region(no));
            self.region(yes);
            self.region(no);
            let pairs = yes.results.iter().zip(&no.results);
            let flags: Vec<bool> = pairs.map(|(y, n)| all || self.on(*y) || self.on(*n)).collect();
            self.mark_members(v, &flags);
        } else if let Kind::Proj(k) = node.kind {
            let on = node.args.first().is_some_and(|t| self.member(*t, k));
            self.mark(v, on);
        } else if self.through == Through::Anything || node.kind != Kind::Bitcast {
            let any = node.args.iter().any(|a| self.on(*a));
            match &node.ty {
                Type::Tensor(_) => self.mark(v, any),
                Type::Tuple(ts) => self.mark_members(v, &vec![any; ts.len()]),
            }
        }
    }

    /// Carried values of a loop: one that starts or comes back dependent is dependent from the start, and all of them
    /// are when the number of steps is.
    fn carried(&mut self, v: ValueId, region: &Region, inits: &[ValueId], counters: usize, all: bool) {
        let params: Vec<ValueId> = region.params.iter().skip(counters).copied().collect();
        for (p, init) in params.iter().zip(inits) {
            self.mark(*p, all || self.on(*init));
        }
        self.region(region);
        for (p, r) in params.iter().zip(&region.results) {
            self.mark(*p, self.on(*r));
        }
        let flags: Vec<bool> = params.iter().map(|p| self.on(*p)).collect();
        self.mark_members(v, &flags);
    }
}
