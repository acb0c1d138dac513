//! Loops and branches: they run on the host over blocks of the plan.
//!
//! A carried value has one buffer for the whole loop. A round reads it, and a `move` at the end of the body gives it
//! what the round made, which costs nothing.

use super::{Lower, LowerError, MAX_DEPTH, Value, malformed};
use crate::layout::Layout;
use crate::plan::{BlockId, BufferId, PlanView, Step};
use matex_ir::tensor::{Node, RegionId, TensorType, Type, ValueId};
use matex_ir::{DType, Span};

impl<'f> Lower<'f> {
    pub(super) fn for_loop(&mut self, node: &'f Node, body: RegionId) -> Result<Value, LowerError> {
        let (start, end) = (self.scalar_arg(node, 0, DType::I64)?, self.scalar_arg(node, 1, DType::I64)?);
        let counter_ty = TensorType::scalar(DType::I64);
        let counter = self.own(&counter_ty, node.origin);
        let carried = self.carry_in(node, 2)?;
        let mut params = vec![Layout::contiguous(counter, &[])];
        params.extend(carried.iter().cloned());
        let buffers = carried.iter().map(|l| l.buffer).collect();
        let (body, _) = self.nested(body, params, Some(buffers), node.origin)?;
        self.step(Step::For { counter, start, end, body, origin: node.origin });
        Ok(Value::Tuple(carried))
    }

    pub(super) fn while_loop(
        &mut self,
        node: &'f Node,
        test: RegionId,
        body: RegionId,
    ) -> Result<Value, LowerError> {
        let carried = self.carry_in(node, 0)?;
        let buffers = carried.iter().map(|l| l.buffer).collect();
        let (test_block, condition) = self.nested(test, carried.clone(), None, node.origin)?;
        let condition = condition.ok_or_else(|| malformed("a loop without a condition", node.origin))?;
        let (body, _) = self.nested(body, carried.clone(), Some(buffers), node.origin)?;
        self.step(Step::While { test: test_block, condition, body, origin: node.origin });
        Ok(Value::Tuple(carried))
    }

    pub(super) fn branch(
        &mut self,
        node: &'f Node,
        yes: RegionId,
        no: RegionId,
    ) -> Result<Value, LowerError> {
        let condition = self.scalar_arg(node, 0, DType::Bool)?;
        let Type::Tuple(types) = &node.ty else {
            return Err(malformed("a branch that is no tuple", node.origin));
        };
        let results: Vec<Layout> =
            types.iter().map(|ty| Layout::contiguous(self.own(ty, node.origin), &ty.shape)).collect();
        let fills: Vec<BufferId> = results.iter().map(|l| l.buffer).collect();
        let (yes, _) = self.nested(yes, Vec::new(), Some(fills.clone()), node.origin)?;
        let (no, _) = self.nested(no, Vec::new(), Some(fills.clone()), node.origin)?;
        self.step(Step::If { condition, yes, no, fills });
        Ok(Value::Tuple(results))
    }

    /// An operand that the host reads.
    fn scalar_arg(&mut self, node: &Node, index: usize, dtype: DType) -> Result<PlanView, LowerError> {
        let ty = self.arg_type(node, index)?;
        if ty.rank() != 0 || ty.dtype != dtype {
            return Err(malformed("an operand of a loop or a branch is no scalar of its dtype", node.origin));
        }
        let layout = self.stored_arg(node, index)?;
        Ok(self.view(&layout, ty))
    }

    /// Buffers for the carried values, filled with the operands from `first` on.
    fn carry_in(&mut self, node: &Node, first: usize) -> Result<Vec<Layout>, LowerError> {
        let (mut from, mut carried) = (Vec::new(), Vec::new());
        for i in first..node.args.len() {
            let ty = self.arg_type(node, i)?;
            from.push(self.whole(node.args[i])?.buffer);
            carried.push(Layout::contiguous(self.own(ty, node.origin), &ty.shape));
        }
        let to: Vec<BufferId> = carried.iter().map(|l| l.buffer).collect();
        self.step(Step::Move { from, to });
        Ok(carried)
    }

    /// Lowers a region into a block of its own. Its results are moved into `fills`; without that it has one result,
    /// a rank-0 bool, whose view comes back.
    fn nested(
        &mut self,
        id: RegionId,
        params: Vec<Layout>,
        fills: Option<Vec<BufferId>>,
        origin: Span,
    ) -> Result<(BlockId, Option<PlanView>), LowerError> {
        if self.depth >= MAX_DEPTH {
            return Err(LowerError::TooDeep { origin });
        }
        let func = self.func;
        let region = func.regions.get(id.0 as usize).filter(|r| r.params.len() == params.len());
        let region = region.ok_or_else(|| malformed("a region with other parameters", origin))?;
        for (v, layout) in region.params.iter().zip(params) {
            if self.func.nodes.len() <= v.0 as usize {
                return Err(malformed("no value", origin));
            }
            self.given(*v, layout, self.func.ty(*v).dtype);
        }
        self.open.push(Default::default());
        self.depth += 1;
        self.region(id)?;
        let condition = match fills {
            Some(to) => {
                self.give(&region.results, to, origin)?;
                None
            }
            None => Some(self.condition(&region.results, origin)?),
        };
        self.depth -= 1;
        Ok((self.close(), condition))
    }

    /// Moves the results of a region to where its loop or branch wants them.
    fn give(&mut self, results: &[ValueId], to: Vec<BufferId>, origin: Span) -> Result<(), LowerError> {
        if results.len() != to.len() {
            return Err(malformed("a region with other results than its loop or branch", origin));
        }
        let mut from = Vec::with_capacity(results.len());
        for (v, to) in results.iter().zip(&to) {
            let whole = self.whole(*v)?;
            let plan = &self.tables.plan;
            if plan.buffer(whole.buffer).bytes != plan.buffer(*to).bytes {
                return Err(malformed("a carried value changes its size", origin));
            }
            from.push(whole.buffer);
        }
        self.step(Step::Move { from, to });
        Ok(())
    }

    fn condition(&mut self, results: &[ValueId], origin: Span) -> Result<PlanView, LowerError> {
        let [v] = results else { return Err(malformed("a condition of several values", origin)) };
        let layout = self.stored(*v)?;
        let ty = self.func.ty(*v);
        if ty.rank() != 0 || ty.dtype != DType::Bool {
            return Err(malformed("a condition is no rank-0 bool", origin));
        }
        Ok(self.view(&layout, ty))
    }
}
