//! Loops and branches.

use super::{Array, MAX_DEPTH, Machine, ensure, malformed};
use crate::dtype::{DType, Scalar};
use crate::tensor::{Kind, Node, RegionId, RunError, Type};
use std::sync::Arc;

impl Machine<'_> {
    /// Runs a node whose value is a tuple.
    pub(super) fn control(&mut self, node: &Node, depth: usize) -> Result<Vec<Arc<Array>>, RunError> {
        if depth >= MAX_DEPTH {
            return Err(malformed("regions nested too deep"));
        }
        let depth = depth + 1;
        let mut args = node.args.iter().map(|v| self.array(*v)).collect::<Result<Vec<_>, RunError>>()?;
        let results = if let Kind::For(body) = node.kind {
            ensure(args.len() >= 2, "a loop without bounds")?;
            let carried = args.split_off(2);
            self.count(body, bound(&args[0])?, bound(&args[1])?, carried, depth)?
        } else if let Kind::While(condition, body) = node.kind {
            self.while_true(condition, body, args, depth)?
        } else if let Kind::If(yes, no) = node.kind {
            ensure(args.len() == 1, "a branch with operands other than its condition")?;
            let taken = if self.truth(node, 0)? { yes } else { no };
            self.enter(taken, &[], depth)?
        } else {
            return Err(malformed("a tuple of something that is no control flow"));
        };
        self.check_tuple(node, &results)?;
        Ok(results)
    }

    fn enter(
        &mut self,
        region: RegionId,
        args: &[Arc<Array>],
        depth: usize,
    ) -> Result<Vec<Arc<Array>>, RunError> {
        let params = &self.func.region(region).params;
        ensure(params.len() == args.len(), "a region with another number of parameters")?;
        for (param, arg) in params.iter().zip(args) {
            self.give(*param, arg)?;
        }
        self.region(region, depth)
    }

    fn step(&mut self) -> Result<(), RunError> {
        self.steps += 1;
        let limit = self.limits.max_steps;
        if self.steps > limit {
            return Err(RunError::Steps { limit });
        }
        let cancelled = self.limits.cancel.is_some_and(|c| c.load(std::sync::atomic::Ordering::Relaxed));
        if cancelled { Err(RunError::Cancelled) } else { Ok(()) }
    }

    fn count(
        &mut self,
        body: RegionId,
        from: i64,
        to: i64,
        mut carried: Vec<Arc<Array>>,
        depth: usize,
    ) -> Result<Vec<Arc<Array>>, RunError> {
        for i in from..to {
            self.step()?;
            carried.insert(0, Arc::new(Array::scalar(Scalar::from_i128(DType::I64, i.into()))));
            carried = self.enter(body, &carried, depth)?;
        }
        Ok(carried)
    }

    fn while_true(
        &mut self,
        condition: RegionId,
        body: RegionId,
        mut carried: Vec<Arc<Array>>,
        depth: usize,
    ) -> Result<Vec<Arc<Array>>, RunError> {
        loop {
            let holds = self.enter(condition, &carried, depth)?;
            let [holds] = holds.as_slice() else { return Err(malformed("a condition of several values")) };
            let holds = holds.as_scalar().filter(|s| s.dtype() == DType::Bool);
            let holds = holds.ok_or_else(|| malformed("a condition that is no rank-0 bool"))?;
            if holds.bits() == 0 {
                return Ok(carried);
            }
            self.step()?;
            carried = self.enter(body, &carried, depth)?;
        }
    }

    fn check_tuple(&self, node: &Node, results: &[Arc<Array>]) -> Result<(), RunError> {
        let Type::Tuple(types) = &node.ty else { return Err(malformed("control flow without a tuple")) };
        ensure(types.len() == results.len(), "a tuple of another length")?;
        for (ty, result) in types.iter().zip(results) {
            let shape = self.bindings.extents(&ty.shape, node.origin)?;
            let same = result.dtype() == ty.dtype && result.shape() == shape;
            ensure(same, "a member of a tuple differs from its type")?;
        }
        Ok(())
    }
}

fn bound(x: &Array) -> Result<i64, RunError> {
    let v = x.as_scalar().filter(|s| s.dtype() == DType::I64).map(|s| s.bits() as i64);
    v.ok_or_else(|| malformed("a bound of a loop that is no i64 scalar"))
}
