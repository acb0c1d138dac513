//! Tangents through loops and branches: carried values are carried with their tangents.

use super::Forward;
use crate::tensor::{Kind, Node, RegionId, TensorType, ValueId};
use crate::transform::Refused;

impl Forward<'_> {
    /// A loop or a branch whose value depends on what changes.
    pub(super) fn control(&mut self, v: ValueId, node: &Node) -> Result<(), Refused> {
        let mut args = self.c.all(&node.args);
        let made = if let Kind::For(r) = node.kind {
            let moving = self.moving(v, node, 2);
            for (a, _) in moving.iter().filter(|(_, m)| *m) {
                args.push(self.tangent_or_zeros(*a));
            }
            let r = self.loop_region(r, 1, &moving)?;
            self.c.b.control(Kind::For(r), args)
        } else if let Kind::While(test, r) = node.kind {
            let moving = self.moving(v, node, 0);
            for (a, _) in moving.iter().filter(|(_, m)| *m) {
                args.push(self.tangent_or_zeros(*a));
            }
            let test = self.test_region(test, &moving)?;
            let r = self.loop_region(r, 0, &moving)?;
            self.c.b.control(Kind::While(test, r), args)
        } else if let Kind::If(yes, no) = node.kind {
            let count = self.c.body.region(yes).results.len();
            let moving: Vec<bool> = (0..count).map(|i| self.depends.member(v, i)).collect();
            let (yes, no) = (self.branch(yes, &moving)?, self.branch(no, &moving)?);
            self.c.b.control(Kind::If(yes, no), args)
        } else {
            return Ok(());
        };
        self.bind_all(v, made);
        Ok(())
    }

    /// Members of the new tuple are the values, then the tangents of those that have one.
    fn bind_all(&mut self, v: ValueId, made: ValueId) {
        let all = self.c.projected(made);
        let flags: Vec<bool> = (0..all.len()).map(|i| self.depends.member(v, i)).collect();
        let tangents = flags.iter().filter(|f| **f).count();
        let (values, mut rest) = {
            let (a, b) = all.split_at(all.len() - tangents);
            (a.to_vec(), b.iter().copied())
        };
        let tangents = flags[..values.len()].iter().map(|f| if *f { rest.next() } else { None }).collect();
        self.c.set_tuple(v, &values);
        self.tangents.set_members(self.c.body, v, tangents);
    }

    /// The initial values of a loop, and whether each has a tangent inside.
    fn moving(&self, v: ValueId, node: &Node, skip: usize) -> Vec<(ValueId, bool)> {
        let inits = node.args.iter().skip(skip).enumerate();
        inits.map(|(i, a)| (*a, self.depends.member(v, i))).collect()
    }

    fn with_tangents(
        &self,
        params: &[ValueId],
        counters: usize,
        moving: &[(ValueId, bool)],
    ) -> Vec<TensorType> {
        let mut types = self.c.types(params);
        let carried: Vec<TensorType> = types[counters.min(types.len())..].to_vec();
        types.extend(carried.into_iter().zip(moving).filter(|(_, (_, m))| *m).map(|(t, _)| t));
        types
    }

    fn loop_region(
        &mut self,
        r: RegionId,
        counters: usize,
        moving: &[(ValueId, bool)],
    ) -> Result<RegionId, Refused> {
        let region = self.c.body.region(r);
        let types = self.with_tangents(&region.params, counters, moving);
        let (made, params) = self.c.b.begin_region(&types);
        self.c.set_all(&region.params, &params);
        let mut tangents = params[region.params.len()..].iter().copied();
        for (p, (_, m)) in region.params.iter().skip(counters).zip(moving) {
            let t = if *m { tangents.next() } else { None };
            self.set_tangent(*p, t);
        }
        self.nodes(&region.nodes)?;
        let mut results = self.c.all(&region.results);
        for (r, (_, m)) in region.results.iter().zip(moving) {
            if *m {
                results.push(self.tangent_or_zeros(*r));
            }
        }
        self.c.b.end_region(results);
        Ok(made)
    }

    /// The condition of a loop, which takes the tangents and does not look at them.
    fn test_region(&mut self, r: RegionId, moving: &[(ValueId, bool)]) -> Result<RegionId, Refused> {
        let region = self.c.body.region(r);
        let types = self.with_tangents(&region.params, 0, moving);
        let (made, params) = self.c.b.begin_region(&types);
        self.c.set_all(&region.params, &params);
        self.c.copy_all(&region.nodes)?;
        let results = self.c.all(&region.results);
        self.c.b.end_region(results);
        Ok(made)
    }

    fn branch(&mut self, r: RegionId, moving: &[bool]) -> Result<RegionId, Refused> {
        let region = self.c.body.region(r);
        let (made, _) = self.c.b.begin_region(&[]);
        self.nodes(&region.nodes)?;
        let mut results = self.c.all(&region.results);
        for (r, m) in region.results.iter().zip(moving) {
            if *m {
                results.push(self.tangent_or_zeros(*r));
            }
        }
        self.c.b.end_region(results);
        Ok(made)
    }
}
