//! Reductions and sums of products over several axes that no one walk covers: one after the other, innermost first, through
//! buffers in the dtype of the arithmetic.

use super::build::{combine_of, pick};
use super::expr::ExprId;
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::Step;
use matex_ir::Dim;
use matex_ir::loops::Combine;
use matex_ir::tensor::{Node, ReduceOp, TensorType, ValueId};

impl Lower<'_> {
    pub(super) fn reduce_in_turn(
        &mut self,
        v: ValueId,
        node: &Node,
        op: ReduceOp,
        axes: &[usize],
    ) -> Result<Layout, LowerError> {
        let misfit = || malformed("the axes of a reduction do not fit", node.origin);
        let (from, combine) = (self.arg_type(node, 0)?, combine_of(op));
        let kept: Vec<usize> = (0..from.rank()).filter(|a| !axes.contains(a)).collect();
        let wide: Vec<usize> = axes.iter().copied().filter(|a| !from.shape[*a].is(1)).collect();
        let x = self.arg(node, 0)?;
        let place = &mut |layout: &Layout, _: &[Dim]| pick(layout, from.rank(), &kept, &wide);
        let x = self.terms.rewrite(x, place).ok_or_else(misfit)?;
        let shape = kept.iter().chain(&wide).map(|a| from.shape[*a].clone()).collect();
        self.combine_in_turn(v, x, shape, combine)
    }

    /// The combination of what an expression of this shape has along the axes behind those of a value.
    pub(super) fn combine_in_turn(
        &mut self,
        v: ValueId,
        mut x: ExprId,
        mut shape: Vec<Dim>,
        combine: (Combine, bool),
    ) -> Result<Layout, LowerError> {
        let (ty, origin) = (self.func.ty(v), self.func.node(v).origin);
        let kept = ty.rank();
        while shape.len() > kept {
            let first = self.walk(x, &shape, kept);
            let over = shape.split_off(first);
            let result = self.combination(x, first, over, combine, v);
            let dtype = if first == kept { ty.dtype } else { self.terms.dtype(result) };
            let result = self.terms.cast(result, dtype);
            let part = TensorType::new(dtype, shape.clone());
            let out = self.fresh(&part, origin);
            let step = self.write(result, (&out, &shape), Some(v), origin)?;
            self.step(Step::Kernel(step));
            if first == kept {
                return Ok(out);
            }
            x = self.terms.load(out, dtype);
        }
        Err(malformed("the axes of a reduction do not fit", origin))
    }

    /// The first of the last axes that are one even walk for all that an expression reads; axes before `from` do not
    /// count among them.
    fn walk(&self, x: ExprId, shape: &[Dim], from: usize) -> usize {
        let closure = self.terms.closure(&[x]);
        let even = |axis: usize| {
            let layouts = closure.iter().filter_map(|t| self.terms.term(*t).layout());
            let mut strides = layouts.map(|l| &self.terms.layout(l).strides);
            strides.all(|s| s[axis] == &s[axis + 1] * &shape[axis + 1])
        };
        let mut first = shape.len().saturating_sub(1);
        while first > from && even(first - 1) {
            first -= 1;
        }
        first
    }
}
