//! Functional updates: the memory itself when nobody else needs it, else a copy, and then a copy into the place.

use super::nest::{Nest, NestOperand};
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::{KernelStep, Register, Step};
use matex_ir::tensor::{Node, TensorType, UpdateAxis, ValueId};
use matex_ir::{Dim, Span};

impl Lower<'_> {
    /// Reads a rank-0 integer into a register, as an index into `extent`.
    pub(super) fn index_register(
        &mut self,
        index: &Layout,
        ty: &TensorType,
        (axis, extent): (usize, &Dim),
        node: &Node,
    ) -> Register {
        let register = self.tables.register();
        let from = self.view(index, ty);
        let extent = self.tables.slot(extent);
        self.step(Step::Index { register, from, extent, axis, origin: node.origin });
        register
    }

    pub(super) fn update(
        &mut self,
        v: ValueId,
        node: &Node,
        axes: &[UpdateAxis],
    ) -> Result<Layout, LowerError> {
        let (ty, value_ty) = (self.func.ty(v), self.arg_type(node, 1)?);
        let (x, value) = (self.arg(node, 0)?, self.arg(node, 1)?);
        if axes.len() != ty.rank() || value_ty.rank() != ty.rank() || x.strides.len() != ty.rank() {
            return Err(malformed("the axes of an update do not fit", node.origin));
        }
        let mut registers = Vec::new();
        for (axis, how) in axes.iter().enumerate() {
            if *how == UpdateAxis::Index {
                let at = 2 + registers.len();
                let (index, index_ty) = (self.arg(node, at)?, self.arg_type(node, at)?);
                if index_ty.rank() != 0 || !index_ty.dtype.is_int() {
                    return Err(malformed("an index is no rank-0 integer", node.origin));
                }
                registers.push(self.index_register(&index, index_ty, (axis, &ty.shape[axis]), node));
            }
        }
        let out = self.writable_copy(&x, ty, node.origin)?;
        let mut place = out.clone();
        let mut registers = registers.into_iter();
        for (axis, how) in axes.iter().enumerate() {
            let stride = place.strides[axis].clone();
            match how {
                UpdateAxis::Slice(slice) => {
                    place.offset = &place.offset + &(&slice.start * &stride);
                    place.strides[axis] = &stride * &Dim::constant(slice.step);
                }
                UpdateAxis::Index => place.moves.extend(registers.next().map(|r| (r, stride))),
            }
        }
        self.copy(&value, &place, value_ty, node.origin)?;
        Ok(out)
    }

    /// A contiguous buffer with the value's elements that may be written to.
    pub(super) fn writable_copy(
        &mut self,
        x: &Layout,
        ty: &TensorType,
        origin: Span,
    ) -> Result<Layout, LowerError> {
        if !self.is_whole(x, ty) {
            return self.copied(x, ty, origin);
        }
        let out = Layout::contiguous(self.own(ty, origin), &ty.shape);
        let copy = self.copy_step(x, &out, ty, origin)?;
        // Whether `x` is needed later is found out when the whole plan is known.
        self.step(Step::Take { from: x.buffer, to: out.buffer, last: false, copy });
        Ok(out)
    }

    fn copy_step(
        &mut self,
        from: &Layout,
        to: &Layout,
        ty: &TensorType,
        origin: Span,
    ) -> Result<KernelStep, LowerError> {
        let mut nest = Nest::parallel("copy", &ty.shape, origin);
        nest.operands = vec![NestOperand::read(from, ty.dtype), NestOperand::write(to, ty.dtype)];
        nest.simplify();
        self.bind(&nest, |b, ids| {
            let value = b.load(ids[0]);
            b.store(ids[1], value);
        })
    }
}
