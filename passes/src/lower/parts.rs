//! Pad and concat: a result that is put together from parts, one kernel a part.

use super::nest::{Nest, NestOperand};
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::Step;
use matex_ir::Dim;
use matex_ir::tensor::{Node, SliceAxis, ValueId};

impl Lower<'_> {
    /// Fills everything with the value, then copies the operand into its place.
    pub(super) fn pad(&mut self, v: ValueId, node: &Node, low: &[Dim]) -> Result<Layout, LowerError> {
        let (ty, from) = (self.func.ty(v), self.arg_type(node, 0)?);
        let (x, value) = (self.arg(node, 0)?, self.arg(node, 1)?);
        if low.len() != ty.rank() || from.rank() != ty.rank() || !value.strides.is_empty() {
            return Err(malformed("the axes of a pad do not fit its operand", node.origin));
        }
        let out = self.fresh(ty, node.origin);
        let fill = Layout { strides: vec![Dim::ZERO; ty.rank()], ..value };
        let mut nest = Nest::parallel("fill", &ty.shape, node.origin);
        nest.operands = vec![NestOperand::read(&fill, ty.dtype), NestOperand::write(&out, ty.dtype)];
        nest.simplify();
        let step = self.bind(&nest, |b, ids| {
            let value = b.load(ids[0]);
            b.store(ids[1], value);
        })?;
        self.step(Step::Kernel(step));
        let axes: Vec<SliceAxis> = low.iter().map(|l| SliceAxis { start: l.clone(), step: 1 }).collect();
        let inner = out.slice(&axes).ok_or_else(|| malformed("pad", node.origin))?;
        self.copy(&x, &inner, from, node.origin)?;
        Ok(out)
    }

    pub(super) fn concat(&mut self, v: ValueId, node: &Node, axis: usize) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        if axis >= ty.rank() {
            return Err(malformed("no such axis", node.origin));
        }
        let out = self.fresh(ty, node.origin);
        let mut at = out.clone();
        for i in 0..node.args.len() {
            let (part, part_ty) = (self.arg(node, i)?, self.arg_type(node, i)?);
            self.copy(&part, &at, part_ty, node.origin)?;
            let extent = part_ty.shape.get(axis).ok_or_else(|| malformed("no such axis", node.origin))?;
            at.offset = &at.offset + &(extent * &at.strides[axis]);
        }
        Ok(out)
    }
}
