//! Ops that look at the same memory in another way.

use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::Step;
use matex_ir::tensor::{Kind, Node, ValueId};
use matex_ir::{Code, DType};

impl Lower<'_> {
    pub(super) fn view_of(&mut self, v: ValueId, node: &Node) -> Result<Layout, LowerError> {
        let (from, ty) = (self.arg_type(node, 0)?, self.func.ty(v));
        let layout = self.arg(node, 0)?;
        let view = if let Kind::Broadcast { axes } = &node.kind {
            layout.broadcast(&from.shape, &ty.shape, axes)
        } else if let Kind::Permute(perm) = &node.kind {
            layout.permute(perm)
        } else if let Kind::Slice(axes) = &node.kind {
            layout.slice(axes)
        } else {
            match layout.reshape(&from.shape, &ty.shape) {
                Some(view) => Some(view),
                None => self.copied(&layout, from, node.origin)?.reshape(&from.shape, &ty.shape),
            }
        };
        let view = view.filter(|view| view.strides.len() == ty.rank());
        view.ok_or_else(|| malformed("the axes of a view do not fit its operand", node.origin))
    }

    pub(super) fn check(&mut self, node: &Node, code: Code, message: &str) -> Result<Layout, LowerError> {
        let ty = self.arg_type(node, 1)?;
        if ty.rank() != 0 || ty.dtype != DType::Bool {
            return Err(malformed("a condition is no rank-0 bool", node.origin));
        }
        let condition = self.arg(node, 1)?;
        let condition = self.view(&condition, ty);
        self.step(Step::Check { condition, code, message: message.to_owned(), origin: node.origin });
        self.arg(node, 0)
    }
}
