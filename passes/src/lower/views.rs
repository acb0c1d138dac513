//! Ops that look at the same elements in another way: an expression over other layouts.

use super::expr::ExprId;
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::{BufferId, Register};
use matex_ir::Dim;
use matex_ir::tensor::{Kind, Node, SliceAxis, ValueId};

/// A view of a value.
enum View<'a> {
    Permute(&'a [usize]),
    Broadcast { from: &'a [Dim], to: &'a [Dim], axes: &'a [usize] },
    Slice(&'a [SliceAxis]),
    Reshape { from: &'a [Dim], to: &'a [Dim] },
    At(usize, Register),
}

impl View<'_> {
    /// The view of one layout, whose axes behind those of the value (`over`) stay as they are.
    fn apply(&self, layout: &Layout, over: &[Dim]) -> Option<Layout> {
        let rank = layout.strides.len().checked_sub(over.len())?;
        let with = |dims: &[Dim]| -> Vec<Dim> { dims.iter().chain(over).cloned().collect() };
        match self {
            View::Permute(perm) => {
                let perm: Vec<usize> = perm.iter().copied().chain(rank..rank + over.len()).collect();
                layout.permute(&perm)
            }
            View::Broadcast { from, to, axes } => {
                let axes: Vec<usize> = axes.iter().copied().chain(to.len()..to.len() + over.len()).collect();
                layout.broadcast(&with(from), &with(to), &axes)
            }
            // A slice leaves the axes alone that it says nothing of.
            View::Slice(axes) if axes.len() == rank => layout.slice(axes),
            View::Slice(_) => None,
            View::Reshape { from, to } => layout.reshape(&with(from), &with(to)),
            // Which position a register holds is known to whoever reads memory, not to who counts.
            View::At(axis, register) if *axis < rank && layout.buffer != BufferId::NOWHERE => {
                layout.at(*axis, *register)
            }
            View::At(..) => None,
        }
    }
}

impl Lower<'_> {
    pub(super) fn view_of(&mut self, v: ValueId, node: &Node) -> Result<ExprId, LowerError> {
        let (from, ty) = (self.arg_type(node, 0)?, self.func.ty(v));
        let view = if let Kind::Broadcast { axes } = &node.kind {
            View::Broadcast { from: &from.shape, to: &ty.shape, axes }
        } else if let Kind::Permute(perm) = &node.kind {
            View::Permute(perm)
        } else if let Kind::Slice(axes) = &node.kind {
            View::Slice(axes)
        } else {
            View::Reshape { from: &from.shape, to: &ty.shape }
        };
        let x = self.arg(node, 0)?;
        self.viewed(x, &view, node)
    }

    /// Everything at one position of an axis, which disappears.
    pub(super) fn at(&mut self, node: &Node, axis: usize, register: Register) -> Result<ExprId, LowerError> {
        let x = self.arg(node, 0)?;
        self.viewed(x, &View::At(axis, register), node)
    }

    /// A view of the node's first operand, which is put into memory where the view is none of its expression.
    fn viewed(&mut self, x: ExprId, view: &View<'_>, node: &Node) -> Result<ExprId, LowerError> {
        let place = &mut |layout: &Layout, over: &[Dim]| view.apply(layout, over);
        if let Some(view) = self.terms.rewrite(x, place) {
            return Ok(view);
        }
        let (layout, ty) = (self.stored_arg(node, 0)?, self.arg_type(node, 0)?);
        let seen = match view.apply(&layout, &[]) {
            Some(seen) => Some(seen),
            None => view.apply(&self.copied(&layout, ty, node.origin)?, &[]),
        };
        let seen = seen.ok_or_else(|| malformed("the axes of a view do not fit its operand", node.origin))?;
        Ok(self.terms.load(seen, ty.dtype))
    }
}
