//! Sums of products as one kernel: batch and free axes parallel, the contracted one reduced.

use super::nest::{Nest, NestAxis, NestOperand};
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::{Gemm, Step};
use matex_ir::loops::{AxisKind, Combine};
use matex_ir::tensor::{Node, TensorType, ValueId};
use matex_ir::{DType, Dim, Op};

type Pairs<'a> = &'a [(usize, usize)];

/// The axes of a dot by what they do.
struct DotAxes<'a> {
    batch: Pairs<'a>,
    contract: Pairs<'a>,
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
        fits.then_some(DotAxes { batch, contract, left, right })
    }
}

impl Lower<'_> {
    pub(super) fn dot(
        &mut self,
        v: ValueId,
        node: &Node,
        batch: Pairs<'_>,
        contract: Pairs<'_>,
    ) -> Result<Layout, LowerError> {
        let (ty, ta, tb) = (self.func.ty(v), self.arg_type(node, 0)?, self.arg_type(node, 1)?);
        let (mut a, mut b) = (self.arg(node, 0)?, self.arg(node, 1)?);
        let axes = DotAxes::new(batch, contract, (ta.rank(), tb.rank()));
        let axes = axes.ok_or_else(|| malformed("the axes of a dot do not fit", node.origin))?;
        let out = self.fresh(ty, node.origin);
        let mut nest = self.dot_nest(&axes, (&a, ta), (&b, tb), (&out, ty), node)?;
        nest.simplify();
        if nest.axes.iter().filter(|x| x.kind == AxisKind::Reduce).count() > 1 {
            // Contracted axes that are no even walk: copies in which they are.
            let (left, right): (Vec<usize>, Vec<usize>) = contract.iter().copied().unzip();
            a = self.ordered(&a, ta, &left, node)?;
            b = self.ordered(&b, tb, &right, node)?;
            nest = self.dot_nest(&axes, (&a, ta), (&b, tb), (&out, ty), node)?;
            nest.simplify();
        }
        choose_innermost(&mut nest);
        let reduces = nest.axes.iter().any(|x| x.kind == AxisKind::Reduce);
        let compute = ta.dtype.compute();
        let mut step = self.bind(&nest, |k, ids| {
            let (x, y) = (k.load(ids[0]), k.load(ids[1]));
            let (x, y) = (k.cast(x, compute), k.cast(y, compute));
            let product = k.map(Op::Mul, &[x, y]);
            let sum = if reduces { k.reduce(Combine::Sum, &[product]) } else { product };
            let sum = k.cast(sum, ty.dtype);
            k.store(ids[2], sum);
        })?;
        if matches!(ta.dtype, DType::F32 | DType::F64) && tb.dtype == ta.dtype && ty.dtype == ta.dtype {
            step.gemm = gemm(&nest);
        }
        self.step(Step::Kernel(step));
        Ok(out)
    }

    /// The nest with axes in the order batch, free of `a`, free of `b`, contracted.
    fn dot_nest(
        &mut self,
        axes: &DotAxes<'_>,
        (a, ta): (&Layout, &TensorType),
        (b, tb): (&Layout, &TensorType),
        (out, ty): (&Layout, &TensorType),
        node: &Node,
    ) -> Result<Nest, LowerError> {
        let mut nest = Nest::parallel("dot", &[], node.origin);
        let (mut sa, mut sb) = (Vec::new(), Vec::new());
        let mut add = |extent: &Dim, kind, left: Option<usize>, right: Option<usize>| {
            nest.axes.push(NestAxis::new(extent, kind));
            sa.push(left.map_or(Dim::ZERO, |l| a.strides[l].clone()));
            sb.push(right.map_or(Dim::ZERO, |r| b.strides[r].clone()));
        };
        for (l, r) in axes.batch {
            add(&ta.shape[*l], AxisKind::Parallel, Some(*l), Some(*r));
        }
        for l in &axes.left {
            add(&ta.shape[*l], AxisKind::Parallel, Some(*l), None);
        }
        for r in &axes.right {
            add(&tb.shape[*r], AxisKind::Parallel, None, Some(*r));
        }
        for (l, r) in axes.contract.iter().filter(|(l, _)| !ta.shape[*l].is(1)) {
            add(&ta.shape[*l], AxisKind::Reduce, Some(*l), Some(*r));
        }
        let mut so = out.strides.clone();
        if so.len() != axes.batch.len() + axes.left.len() + axes.right.len() {
            return Err(malformed("the axes of a dot do not fit its result", node.origin));
        }
        so.resize(nest.axes.len(), Dim::ZERO);
        let dtype = ta.dtype;
        nest.operands = vec![
            NestOperand::read(&Layout { strides: sa, ..a.clone() }, dtype),
            NestOperand::read(&Layout { strides: sb, ..b.clone() }, tb.dtype),
            NestOperand::write(&Layout { strides: so, ..out.clone() }, ty.dtype),
        ];
        Ok(nest)
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
    (rows.is_some() || cols.is_some()).then_some(Gemm { rows, cols, depth })
}

/// Puts that axis innermost along which the fewest operands jump; vectors lie along it. Of equals the last free axis
/// wins over the contracted one, and that over all others.
fn choose_innermost(nest: &mut Nest) {
    let jumps = |axis: usize| {
        let strides = nest.operands.iter().map(|o| &o.layout.strides[axis]);
        strides.filter(|s| !s.is(0) && !s.is(1)).count()
    };
    let reduce = nest.axes.iter().position(|a| a.kind == AxisKind::Reduce);
    let free = (0..nest.axes.len()).rev().filter(|a| Some(*a) != reduce);
    let mut order: Vec<usize> = free.collect();
    order.insert(order.len().min(1), reduce.unwrap_or(0));
    let Some(best) = order.into_iter().filter(|a| *a < nest.axes.len()).min_by_key(|a| jumps(*a)) else {
        return;
    };
    // The reduce axis stands last already, so that a parallel axis moved behind it makes column form.
    nest.make_innermost(best);
}
