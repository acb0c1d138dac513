//! Reads at places that data tells, and the routines that write there.

use super::nest::{Nest, NestOperand};
use super::{Lower, LowerError, Value, malformed};
use crate::layout::Layout;
use crate::plan::{Routine, Step};
use matex_ir::loops::{InstId, KernelBuilder};
use matex_ir::tensor::{LibOp, Node, Type, ValueId};
use matex_ir::{DType, Dim, Op, Scalar};

impl Lower<'_> {
    /// One index makes a view whose place the host works out; an array of them makes a kernel.
    pub(super) fn gather(&mut self, v: ValueId, node: &Node, axis: usize) -> Result<Layout, LowerError> {
        let (x_ty, i_ty) = (self.arg_type(node, 0)?, self.arg_type(node, 1)?);
        let (x, index) = (self.arg(node, 0)?, self.arg(node, 1)?);
        if axis >= x_ty.rank() || !i_ty.dtype.is_int() {
            return Err(malformed("a gather along no axis or by no integers", node.origin));
        }
        if i_ty.rank() == 0 {
            let register = self.index_register(&index, i_ty, (axis, &x_ty.shape[axis]), node);
            return x.at(axis, register).ok_or_else(|| malformed("no such axis", node.origin));
        }
        let mut from = x.clone();
        let repeat = vec![Dim::ZERO; i_ty.rank()];
        let stride = x.strides[axis].clone();
        from.strides.splice(axis..=axis, repeat);
        let mut by = index.clone();
        by.strides = vec![Dim::ZERO; axis];
        by.strides.extend(index.strides);
        by.strides.extend(vec![Dim::ZERO; x_ty.rank() - axis - 1]);
        self.gather_kernel(v, node, from, by, (axis, x_ty.shape[axis].clone(), stride))
    }

    pub(super) fn gather_along(
        &mut self,
        v: ValueId,
        node: &Node,
        axis: usize,
    ) -> Result<Layout, LowerError> {
        let x_ty = self.arg_type(node, 0)?;
        let (mut from, by) = (self.arg(node, 0)?, self.arg(node, 1)?);
        if axis >= x_ty.rank() || by.strides.len() != x_ty.rank() || !self.arg_type(node, 1)?.dtype.is_int() {
            return Err(malformed("a gather along no axis or by no integers", node.origin));
        }
        let stride = std::mem::replace(&mut from.strides[axis], Dim::ZERO);
        self.gather_kernel(v, node, from, by, (axis, x_ty.shape[axis].clone(), stride))
    }

    fn gather_kernel(
        &mut self,
        v: ValueId,
        node: &Node,
        from: Layout,
        by: Layout,
        (axis, extent, stride): (usize, Dim, Dim),
    ) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        let index = self.arg_type(node, 1)?.dtype;
        if from.strides.len() != ty.rank() || by.strides.len() != ty.rank() {
            return Err(malformed("the axes of a gather do not fit", node.origin));
        }
        let out = self.fresh(ty, node.origin);
        let mut nest = Nest::parallel("gather", &ty.shape, node.origin);
        nest.operands = vec![
            NestOperand::read(&by, index),
            NestOperand { gathers: vec![(extent, stride)], ..NestOperand::read(&from, ty.dtype) },
            NestOperand::write(&out, ty.dtype),
        ];
        nest.simplify();
        let mut step = self.bind(&nest, |b, ids| {
            let index = b.load(ids[0]);
            let index = as_index(b, index);
            let value = b.load_at(ids[1], &[index]);
            b.store(ids[2], value);
        })?;
        step.gather_axis = Some(axis);
        self.step(Step::Kernel(step));
        Ok(out)
    }

    pub(super) fn scatter(
        &mut self,
        v: ValueId,
        node: &Node,
        axis: usize,
        add: bool,
    ) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        let mut inputs = Vec::new();
        for i in 1..3 {
            let input_ty = self.arg_type(node, i)?;
            let input = self.packed(node, i)?;
            inputs.push(self.view(&input, input_ty));
        }
        let x = self.arg(node, 0)?;
        let out = self.writable_copy(&x, ty, node.origin)?;
        let outputs = vec![self.view(&out, ty)];
        let routine = Routine::Scatter { axis, add };
        self.step(Step::Routine { routine, inputs, outputs, origin: node.origin });
        Ok(out)
    }

    /// A routine with fresh memory for each of its results.
    pub(super) fn library(&mut self, node: &Node, op: &LibOp) -> Result<Value, LowerError> {
        let types = match &node.ty {
            Type::Tensor(ty) => std::slice::from_ref(ty),
            Type::Tuple(types) => types.as_slice(),
        };
        let mut inputs = Vec::new();
        for i in 0..node.args.len() {
            let input_ty = self.arg_type(node, i)?;
            let input = self.packed(node, i)?;
            inputs.push(self.view(&input, input_ty));
        }
        let members: Vec<Layout> = types.iter().map(|ty| self.fresh(ty, node.origin)).collect();
        let outputs = members.iter().zip(types).map(|(out, ty)| self.view(out, ty)).collect();
        let routine = Routine::Lib(op.clone());
        self.step(Step::Routine { routine, inputs, outputs, origin: node.origin });
        Ok(match (&node.ty, members.first()) {
            (Type::Tensor(_), Some(only)) => Value::Tensor(only.clone()),
            (Type::Tensor(_) | Type::Tuple(_), _) => Value::Tuple(members),
        })
    }

    /// An operand whose elements lie one after the other, anywhere in its buffer.
    fn packed(&mut self, node: &Node, index: usize) -> Result<Layout, LowerError> {
        let (layout, ty) = (self.arg(node, index)?, self.arg_type(node, index)?);
        if layout.is_contiguous(&ty.shape) { Ok(layout) } else { self.copied(&layout, ty, node.origin) }
    }
}

/// An integer as an index. A u64 past the i64 range must not turn into one that counts from the end.
fn as_index(b: &mut KernelBuilder, index: InstId) -> InstId {
    if b.dtype(index) != DType::U64 {
        return b.cast(index, DType::I64);
    }
    let most = b.constant(Scalar::from_i128(DType::U64, i64::MAX.into()));
    let held = b.map(Op::Min, &[index, most]);
    b.cast(held, DType::I64)
}
