//! Sums of products: batch and free axes are points, the contracted ones are reduced.

use super::draft::Sink;
use super::expr::ExprId;
use super::nest::{Nest, NestOperand};
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::{Gemm, Step};
use matex_ir::loops::{AxisKind, Combine};
use matex_ir::tensor::{Func, Kind, Node, TensorType, ValueId};
use matex_ir::{DType, Dim, Op};

type Pairs<'a> = &'a [(usize, usize)];

/// The axes of a dot by what they do.
struct DotAxes<'a> {
    batch: Pairs<'a>,
    left: Vec<usize>,
    right: Vec<usize>,
}

impl<'a> DotAxes<'a> {
    fn new(batch: Pairs<'a>, contract: Pairs<'a>, ranks: (usize, usize)) -> Option<DotAxes<'a>> {
        let pairs = || batch.iter().chain(contract);
        let left: Vec<usize> = (0..ranks.0).filter(|a| pairs().all(|(l, _)| l != a)).collect();
        let right: Vec<usize> = (0..ranks.1).filter(|a| pairs().all(|(_, r)| r != a)).collect();
        let bound = batch.len() + contract.len();
        let fits = pairs().all(|(l, r)| *l < ranks.0 && *r < ranks.1)
            && left.len() + bound == ranks.0
            && right.len() + bound == ranks.1;
        fits.then_some(DotAxes { batch, left, right })
    }
}

impl<'a> DotAxes<'a> {
    /// The rank of the result.
    fn rank(&self) -> usize {
        self.batch.len() + self.left.len() + self.right.len()
    }

    /// A layout of an operand over the axes batch, free of `a`, free of `b`, contracted.
    fn spread(&self, layout: &Layout, rank: usize, of_left: bool, contract: Pairs<'_>) -> Option<Layout> {
        let mut strides = Vec::new();
        let mine = |pair: &(usize, usize)| if of_left { pair.0 } else { pair.1 };
        let free = |axes: &[usize], moves: bool| -> Option<Vec<Dim>> {
            let stride = |a: &usize| if moves { layout.strides.get(*a).cloned() } else { Some(Dim::ZERO) };
            axes.iter().map(stride).collect()
        };
        let bound = |pairs: Pairs<'_>| -> Option<Vec<Dim>> {
            pairs.iter().map(|p| layout.strides.get(mine(p)).cloned()).collect()
        };
        strides.extend(bound(self.batch)?);
        strides.extend(free(&self.left, of_left)?);
        strides.extend(free(&self.right, !of_left)?);
        strides.extend(bound(contract)?);
        // Behind the axes of the value are those of the reductions around it.
        strides.extend_from_slice(layout.strides.get(rank..)?);
        Some(Layout { strides, ..layout.clone() })
    }
}

impl Lower<'_> {
    /// The sum of products as an expression. Operands of a matrix product of floats are put into memory, for the
    /// library.
    pub(super) fn dot_expr(
        &mut self,
        v: ValueId,
        node: &Node,
        batch: Pairs<'_>,
        contract: Pairs<'_>,
    ) -> Result<ExprId, LowerError> {
        let ty = self.func.ty(v);
        let (value, over) = self.products(v, node, batch, contract)?;
        let sum = self.combination(value, ty.rank(), over, (Combine::Sum, false), v);
        Ok(self.terms.cast(sum, ty.dtype))
    }

    /// The products that are summed, over the axes of the result and those that are contracted, and the extents of these.
    fn products(
        &mut self,
        v: ValueId,
        node: &Node,
        batch: Pairs<'_>,
        contract: Pairs<'_>,
    ) -> Result<(ExprId, Vec<Dim>), LowerError> {
        let (ty, ta, tb) = (self.func.ty(v), self.arg_type(node, 0)?, self.arg_type(node, 1)?);
        let misfit = || malformed("the axes of a dot do not fit", node.origin);
        let axes = DotAxes::new(batch, contract, (ta.rank(), tb.rank())).ok_or_else(misfit)?;
        if axes.rank() != ty.rank() {
            return Err(malformed("the axes of a dot do not fit its result", node.origin));
        }
        let wide: Vec<(usize, usize)> =
            contract.iter().copied().filter(|(l, _)| !ta.shape[*l].is(1)).collect();
        let product = is_product(self.func, v);
        let mut sides = Vec::new();
        for (i, rank) in [(0, ta.rank()), (1, tb.rank())] {
            let place = |layout: &Layout| axes.spread(layout, rank, i == 0, &wide);
            let x = if product { None } else { Some(self.arg(node, i)?) };
            let spread = match x.and_then(|x| self.terms.rewrite(x, &mut |l, _| place(l))) {
                Some(x) => x,
                None => {
                    let stored = self.stored_arg(node, i)?;
                    let spread = place(&stored).ok_or_else(misfit)?;
                    self.terms.load(spread, self.arg_type(node, i)?.dtype)
                }
            };
            sides.push(self.terms.cast(spread, ta.dtype.compute()));
        }
        let over = wide.iter().map(|(l, _)| ta.shape[*l].clone()).collect();
        Ok((self.terms.map(Op::Mul, sides), over))
    }

    /// A dot whose contracted axes are no even walk: where neither side has axes of its own, one axis after the other, which
    /// copies nothing; else as one product.
    pub(super) fn dot_in_parts(
        &mut self,
        v: ValueId,
        node: &Node,
        batch: Pairs<'_>,
        contract: Pairs<'_>,
    ) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        if ty.rank() > batch.len() {
            return self.dot_over_copies(v, node, batch, contract);
        }
        let (value, over) = self.products(v, node, batch, contract)?;
        let shape = ty.shape.iter().cloned().chain(over).collect();
        self.combine_in_turn(v, value, shape, (Combine::Sum, false))
    }

    /// How the library does the kernel of a node, where it does.
    pub(super) fn gemm(&self, v: ValueId, nest: &Nest) -> Option<Gemm> {
        if is_product(self.func, v) { gemm(nest) } else { None }
    }

    /// A dot whose contracted axes are no even walk, from copies in which they are.
    fn dot_over_copies(
        &mut self,
        v: ValueId,
        node: &Node,
        batch: Pairs<'_>,
        contract: Pairs<'_>,
    ) -> Result<Layout, LowerError> {
        let (left, right): (Vec<usize>, Vec<usize>) = contract.iter().copied().unzip();
        let (ty, ta, tb) = (self.func.ty(v), self.arg_type(node, 0)?, self.arg_type(node, 1)?);
        let (a, b) = (self.stored_arg(node, 0)?, self.stored_arg(node, 1)?);
        let (a, b) = (self.ordered(&a, ta, &left, node)?, self.ordered(&b, tb, &right, node)?);
        let misfit = || malformed("the axes of a dot do not fit", node.origin);
        let axes = DotAxes::new(batch, contract, (ta.rank(), tb.rank())).ok_or_else(misfit)?;
        let mut sides = Vec::new();
        for (layout, ty, left) in [(a, ta, true), (b, tb, false)] {
            let spread = axes.spread(&layout, ty.rank(), left, contract).ok_or_else(misfit)?;
            let load = self.terms.load(spread, ty.dtype);
            sides.push(self.terms.cast(load, ty.dtype.compute()));
        }
        let over = contract.iter().map(|(l, _)| ta.shape[*l].clone()).collect();
        let value = self.terms.map(Op::Mul, sides);
        let sum = self.combination(value, axes.rank(), over, (Combine::Sum, false), v);
        let value = self.terms.cast(sum, ty.dtype);
        let out = self.fresh(ty, node.origin);
        let sink = Sink { value, to: out.clone(), shape: ty.shape.clone(), own: Some(v) };
        let draft = self.draft(&[sink], node.origin);
        let draft = draft.map_err(|_| malformed("the axes of a dot are no walk", node.origin))?;
        let mut step = self.finish(&draft)?;
        step.gemm = self.gemm(v, &draft.nest);
        self.step(Step::Kernel(step));
        Ok(out)
    }

    /// The same value over a copy in which these axes come last, in that order.
    fn ordered(
        &mut self,
        layout: &Layout,
        ty: &TensorType,
        last: &[usize],
        node: &Node,
    ) -> Result<Layout, LowerError> {
        let misfit = || malformed("the axes of a dot do not fit", node.origin);
        let mut perm: Vec<usize> = (0..ty.rank()).filter(|a| !last.contains(a)).collect();
        perm.extend_from_slice(last);
        let shape = perm.iter().map(|p| ty.shape[*p].clone()).collect();
        let permuted = layout.permute(&perm).ok_or_else(misfit)?;
        let copy = self.copied(&permuted, &TensorType::new(ty.dtype, shape), node.origin)?;
        let mut back = vec![0; perm.len()];
        for (i, p) in perm.iter().enumerate() {
            back[*p] = i;
        }
        copy.permute(&back).ok_or_else(misfit)
    }
}

/// Whether a node is a matrix product of floats, which a library may do: more than a sum of products of two vectors.
pub(crate) fn is_product(func: &Func, v: ValueId) -> bool {
    let node = func.node(v);
    let Kind::Dot { batch, contract } = &node.kind else { return false };
    let dtype = func.ty(v).dtype;
    let types: Vec<&TensorType> = node.args.iter().map(|a| func.ty(*a)).collect();
    let bound = batch.len() + contract.len();
    matches!(dtype, DType::F32 | DType::F64)
        && types.iter().all(|t| t.dtype == dtype)
        && types.iter().any(|t| t.rank() > bound)
}

/// The axes of the nest as those of a matrix product, when it is more than a sum of products of two vectors.
fn gemm(nest: &Nest) -> Option<Gemm> {
    let [a, b, _] = nest.operands.as_slice() else { return None };
    let depth = nest.axes.iter().position(|x| x.kind == AxisKind::Reduce)?;
    let only = |moves: &NestOperand, stays: &NestOperand| {
        let fits = |axis: &usize| {
            let (moves, stays) = (&moves.layout.strides[*axis], &stays.layout.strides[*axis]);
            *axis != depth && !moves.is(0) && stays.is(0)
        };
        (0..nest.axes.len()).rev().find(fits)
    };
    let (rows, cols) = (only(a, b), only(b, a));
    let symmetric = rows.zip(cols).is_some_and(|(rows, cols)| turns(nest, (a, b), (rows, cols)));
    (rows.is_some() || cols.is_some()).then_some(Gemm { rows, cols, depth, symmetric })
}

/// Whether one operand is the other with its rows as columns.
fn turns(nest: &Nest, (a, b): (&NestOperand, &NestOperand), (rows, cols): (usize, usize)) -> bool {
    let (a, b) = (&a.layout, &b.layout);
    let place = a.buffer == b.buffer && a.offset == b.offset && a.moves == b.moves;
    let turned = |axis: usize| {
        if axis == rows {
            cols
        } else if axis == cols {
            rows
        } else {
            axis
        }
    };
    let strides = (0..nest.axes.len()).all(|axis| a.strides[axis] == b.strides[turned(axis)]);
    place && strides && nest.axes[rows].extent == nest.axes[cols].extent
}
