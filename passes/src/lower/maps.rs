//! Elementwise ops: one parallel kernel each. The storage formats f16 and bf16 are cast to f32 around arithmetic.

use super::nest::{Nest, NestOperand};
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::Step;
use matex_ir::loops::{InstId, KernelBuilder, OperandId};
use matex_ir::tensor::{Node, TensorType, ValueId};
use matex_ir::{DType, Dim, Op, Span};

impl Lower<'_> {
    /// Emits a parallel kernel that fills `out` from operands of the same shape.
    pub(super) fn elementwise(
        &mut self,
        name: &str,
        inputs: &[(Layout, DType)],
        out: &Layout,
        ty: &TensorType,
        origin: Span,
        body: impl FnOnce(&mut KernelBuilder, &[InstId]) -> InstId,
    ) -> Result<(), LowerError> {
        let mut nest = Nest::parallel(name, &ty.shape, origin);
        nest.operands = inputs.iter().map(|(layout, dtype)| NestOperand::read(layout, *dtype)).collect();
        nest.operands.push(NestOperand::write(out, ty.dtype));
        if nest.operands.iter().any(|o| o.layout.strides.len() != ty.rank()) {
            return Err(malformed("operands of an elementwise op differ in rank", origin));
        }
        nest.simplify();
        let step = self.bind(&nest, |b, ids| load_and_store(b, ids, body))?;
        self.step(Step::Kernel(step));
        Ok(())
    }

    pub(super) fn map(&mut self, v: ValueId, node: &Node, op: Op) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        let mut inputs = Vec::with_capacity(node.args.len());
        for i in 0..node.args.len() {
            inputs.push((self.arg(node, i)?, self.arg_type(node, i)?.dtype));
        }
        let out = self.fresh(ty, node.origin);
        let storage = inputs.iter().any(|(_, d)| d.compute() != *d) && op != Op::Select;
        self.elementwise(op.name(), &inputs, &out, ty, node.origin, |b, loads| {
            if !storage {
                return b.map(op, loads);
            }
            let wide: Vec<InstId> = loads.iter().map(|l| b.cast(*l, b.dtype(*l).compute())).collect();
            let result = b.map(op, &wide);
            b.cast(result, ty.dtype)
        })?;
        Ok(out)
    }

    pub(super) fn cast(&mut self, v: ValueId, node: &Node) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        let input = (self.arg(node, 0)?, self.arg_type(node, 0)?.dtype);
        let out = self.fresh(ty, node.origin);
        self.elementwise("cast", &[input], &out, ty, node.origin, |b, loads| b.cast(loads[0], ty.dtype))?;
        Ok(out)
    }

    /// The same memory under another dtype. Only into `bool` is a conversion, since its bytes are 0 or 1.
    pub(super) fn bitcast(&mut self, v: ValueId, node: &Node) -> Result<Layout, LowerError> {
        let (from, to) = (self.arg_type(node, 0)?.dtype, self.func.ty(v).dtype);
        if from.size() != to.size() {
            return Err(malformed("a bitcast between widths", node.origin));
        }
        if to == DType::Bool && from != DType::Bool { self.cast(v, node) } else { self.arg(node, 0) }
    }

    /// Copies a value of that type from one layout to another.
    pub(super) fn copy(
        &mut self,
        from: &Layout,
        to: &Layout,
        ty: &TensorType,
        origin: Span,
    ) -> Result<(), LowerError> {
        self.elementwise("copy", &[(from.clone(), ty.dtype)], to, ty, origin, |_, loads| loads[0])
    }

    pub(super) fn size(&mut self, v: ValueId, dim: &Dim, origin: Span) -> Layout {
        let out = self.fresh(self.func.ty(v), origin);
        let value = self.tables.slot(dim);
        self.step(Step::Size { to: out.buffer, value });
        out
    }

    pub(super) fn iota(&mut self, v: ValueId, node: &Node, axis: usize) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        let out = self.fresh(ty, node.origin);
        let mut nest = Nest::parallel("iota", &ty.shape, node.origin);
        match nest.axes.get_mut(axis) {
            Some(a) => a.counted = true,
            None => return Err(malformed("no such axis", node.origin)),
        }
        nest.operands.push(NestOperand::write(&out, ty.dtype));
        nest.simplify();
        let counted = nest.axes.iter().position(|a| a.counted).unwrap_or(0);
        let step = self.bind(&nest, |b, ids| {
            let index = b.index(counted);
            let value = b.cast(index, ty.dtype);
            b.store(ids[0], value);
        })?;
        self.step(Step::Kernel(step));
        Ok(out)
    }
}

/// Loads all operands but the last, and stores what `body` makes of them to the last.
fn load_and_store(
    b: &mut KernelBuilder,
    ids: &[OperandId],
    body: impl FnOnce(&mut KernelBuilder, &[InstId]) -> InstId,
) {
    let Some((out, inputs)) = ids.split_last() else { return };
    let loads: Vec<InstId> = inputs.iter().map(|i| b.load(*i)).collect();
    let value = body(b, &loads);
    b.store(*out, value);
}
