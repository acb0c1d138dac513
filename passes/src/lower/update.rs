//! Functional updates: the memory itself when nobody else needs it, else a copy, and then a copy into the place.

use super::expr::Term;
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
        let key = (node.args[operand], extent.clone());
        if let Some(known) = self.open.iter().rev().find_map(|b| b.registers.get(&key)) {
            return Ok(*known);
        }
        let register = self.tables.register();
        if let Some(block) = self.open.last_mut() {
            block.registers.insert(key, register);
        }
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
        let (value, old) = (node.args[1], place_in(&x, axes, &registers));
        if self.is_whole(&x, ty) && self.reads_only(value, &old, &value_ty.shape)? {
            return self.update_in_place(value, node, (&x, &old), ty);
        }
        // What is written there and read from there is computed before.
        if self.reads(value, x.buffer)? {
            self.stored_arg(node, 1)?;
        }
        let out = self.writable_copy(&x, ty, node.origin)?;
        self.fill(value, &place_in(&out, axes, &registers))?;
        Ok(out)
    }

    /// An update by a value that is computed from what it replaces, element by element: `x[1:] *= 2`.
    fn update_in_place(
        &mut self,
        v: ValueId,
        node: &Node,
        (x, old): (&Layout, &Layout),
        ty: &TensorType,
    ) -> Result<Layout, LowerError> {
        let out = self.writable_copy(x, ty, node.origin)?;
        let here = |layout: &Layout| {
            let buffer = if layout.buffer == x.buffer { out.buffer } else { layout.buffer };
            Layout { buffer, ..layout.clone() }
        };
        let value = self.expr(v)?;
        let moved = self.terms.rewrite(value, &mut |layout, _| Some(here(layout)));
        let value = moved.ok_or_else(|| malformed("an update", node.origin))?;
        let shape = &self.func.ty(v).shape;
        let mut step = self.write(value, (&here(old), shape), None, node.origin)?;
        step.ops = self.ops_of(&[v]);
        self.step(Step::Kernel(step));
        Ok(out)
    }

    /// Whether a value is a map that reads the buffer of a place at that place only, each element where it is written.
    fn reads_only(&mut self, v: ValueId, place: &Layout, shape: &[Dim]) -> Result<bool, LowerError> {
        let value = self.expr(v)?;
        let wide = |l: &Layout| -> Vec<Dim> {
            l.strides.iter().zip(shape).filter(|(_, d)| !d.is(1)).map(|(s, _)| s.clone()).collect()
        };
        let here = |l: &Layout| {
            (l.strides.len(), &l.offset, &l.moves) == (place.strides.len(), &place.offset, &place.moves)
                && wide(l) == wide(place)
        };
        let mut reads = false;
        for id in self.terms.closure(&[value]) {
            let term = self.terms.term(id);
            let layout = term.layout().map(|l| self.terms.layout(l)).filter(|l| l.buffer == place.buffer);
            reads |= layout.is_some();
            let gathers = matches!(term, Term::LoadAt { .. });
            if gathers || layout.is_some_and(|l| !here(l)) || self.terms.node(id).is_some() {
                return Ok(false);
            }
        }
        Ok(reads)
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

/// The place in a layout that an update writes.
fn place_in(x: &Layout, axes: &[UpdateAxis], registers: &[Register]) -> Layout {
    let mut place = x.clone();
    let mut registers = registers.iter();
    for (axis, how) in axes.iter().enumerate() {
        let stride = place.strides[axis].clone();
        match how {
            UpdateAxis::Slice(slice) => {
                place.offset = &place.offset + &(&slice.start * &stride);
                place.strides[axis] = &stride * &Dim::constant(slice.step);
            }
            UpdateAxis::Index => place.moves.extend(registers.next().map(|r| (*r, stride))),
        }
    }
    place
}
