//! Steps that routines of the runtime carry out.

use super::{Lower, LowerError, Value};
use crate::layout::Layout;
use crate::plan::{Routine, Step};
use matex_ir::tensor::{LibOp, Node, Type, ValueId};

impl Lower<'_> {
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
        let x = self.stored_arg(node, 0)?;
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
        Ok(Value::Tuple(members))
    }

    /// An operand whose elements lie one after the other, anywhere in its buffer.
    fn packed(&mut self, node: &Node, index: usize) -> Result<Layout, LowerError> {
        let (layout, ty) = (self.stored_arg(node, index)?, self.arg_type(node, index)?);
        if layout.is_contiguous(&ty.shape) { Ok(layout) } else { self.copied(&layout, ty, node.origin) }
    }
}
