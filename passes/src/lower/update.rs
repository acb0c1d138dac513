//! Functional updates: the memory itself when nobody else needs it, else a copy, and then a copy into the place.

use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::{BufferId, Register, Step};
use matex_ir::tensor::{Node, TensorType, UpdateAxis, ValueId};
use matex_ir::{Dim, Span};

impl Lower<'_> {
    /// Reads the operand of that number, a rank-0 integer, into a register, as an index into `extent`.
    pub(super) fn index_register(
        &mut self,
        node: &Node,
        operand: usize,
        (axis, extent): (usize, &Dim),
    ) -> Result<Register, LowerError> {
        let ty = self.arg_type(node, operand)?;
        if ty.rank() != 0 || !ty.dtype.is_int() {
            return Err(malformed("an index is no rank-0 integer", node.origin));
        }
        let index = self.stored_arg(node, operand)?;
        let register = self.tables.register();
        let from = self.view(&index, ty);
        let extent = self.tables.slot(extent);
        self.step(Step::Index { register, from, extent, axis, origin: node.origin });
        Ok(register)
    }

    pub(super) fn update(
        &mut self,
        v: ValueId,
        node: &Node,
        axes: &[UpdateAxis],
    ) -> Result<Layout, LowerError> {
        let (ty, x_ty, value_ty) = (self.func.ty(v), self.arg_type(node, 0)?, self.arg_type(node, 1)?);
        if axes.len() != ty.rank() || value_ty.rank() != ty.rank() || x_ty.rank() != ty.rank() {
            return Err(malformed("the axes of an update do not fit", node.origin));
        }
        let mut registers = Vec::new();
        for (axis, how) in axes.iter().enumerate() {
            if *how == UpdateAxis::Index {
                let operand = 2 + registers.len();
                registers.push(self.index_register(node, operand, (axis, &ty.shape[axis]))?);
            }
        }
        let x = self.stored_arg(node, 0)?;
        // What is written there and read from there is computed before.
        if self.reads(node.args[1], x.buffer)? {
            self.stored_arg(node, 1)?;
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
        self.fill(node.args[1], &place)?;
        Ok(out)
    }

    /// Whether the expression of a value reads a buffer.
    fn reads(&mut self, v: ValueId, buffer: BufferId) -> Result<bool, LowerError> {
        let value = self.expr(v)?;
        let closure = self.terms.closure(&[value]);
        let mut layouts = closure.iter().filter_map(|t| self.terms.term(*t).layout());
        Ok(layouts.any(|l| self.terms.layout(l).buffer == buffer))
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
        let value = self.terms.load(x.clone(), ty.dtype);
        let copy = self.write(value, (&out, &ty.shape), None, origin)?;
        // Whether `x` is needed later is found out when the whole plan is known.
        self.step(Step::Take { from: x.buffer, to: out.buffer, last: false, copy });
        Ok(out)
    }
}
