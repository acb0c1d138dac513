//! Pad and concat: a result that is put together from parts, one kernel a part.

use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::Step;
use matex_ir::Dim;
use matex_ir::tensor::{Node, SliceAxis, ValueId};

impl Lower<'_> {
    /// Fills everything with the value, then writes the operand into its place.
    pub(super) fn pad(&mut self, v: ValueId, node: &Node, low: &[Dim]) -> Result<Layout, LowerError> {
        let (ty, from) = (self.func.ty(v), self.arg_type(node, 0)?);
        if low.len() != ty.rank() || from.rank() != ty.rank() || self.arg_type(node, 1)?.rank() != 0 {
            return Err(malformed("the axes of a pad do not fit its operand", node.origin));
        }
        let value = self.arg(node, 1)?;
        let repeat = |layout: &Layout, over: &[Dim]| {
            let strides = vec![Dim::ZERO; ty.rank()].into_iter();
            let inner = layout.strides.len().checked_sub(over.len())?;
            let strides = strides.chain(layout.strides[inner..].iter().cloned()).collect();
            Some(Layout { strides, ..layout.clone() })
        };
        let single = self.terms.closure(&[value]).iter().all(|t| self.terms.node(*t).is_none());
        let fill = match if single { self.terms.rewrite(value, &mut { repeat }) } else { None } {
            Some(fill) => fill,
            None => {
                let stored = self.stored_arg(node, 1)?;
                let repeated = repeat(&stored, &[]).ok_or_else(|| malformed("pad", node.origin))?;
                self.terms.load(repeated, ty.dtype)
            }
        };
        let out = self.fresh(ty, node.origin);
        let step = self.write(fill, (&out, &ty.shape), None, node.origin)?;
        self.step(Step::Kernel(step));
        let axes: Vec<SliceAxis> = low.iter().map(|l| SliceAxis { start: l.clone(), step: 1 }).collect();
        let inner = out.slice(&axes).ok_or_else(|| malformed("pad", node.origin))?;
        self.fill(node.args[0], &inner)?;
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
            let part_ty = self.arg_type(node, i)?;
            let extent = part_ty.shape.get(axis).ok_or_else(|| malformed("no such axis", node.origin))?;
            self.fill(node.args[i], &at)?;
            at.offset = &at.offset + &(extent * &at.strides[axis]);
        }
        Ok(out)
    }
}
