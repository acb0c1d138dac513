//! Reductions and scans: kernels with one axis that is not parallel.
//!
//! Several axes become one where they are one even walk; else they are reduced one after the other, innermost first,
//! through a buffer in the dtype of the arithmetic.

use super::nest::{Nest, NestAxis, NestOperand};
use super::{Lower, LowerError, malformed};
use crate::layout::Layout;
use crate::plan::Step;
use matex_ir::loops::{AxisKind, Combine};
use matex_ir::tensor::{Node, ReduceOp, ScanOp, TensorType, ValueId};
use matex_ir::{DType, Dim, Span};

/// A reduction that is not finished: what is left, and which of its axes have to go.
struct Rest {
    layout: Layout,
    ty: TensorType,
    axes: Vec<usize>,
}

impl Rest {
    /// An axis of extent 1 has nothing to combine, and is only left out.
    fn drop_ones(&mut self) {
        let shape = &self.ty.shape;
        let ones: Vec<usize> = self.axes.iter().copied().filter(|a| shape[*a].is(1)).collect();
        self.axes = renumbered(&self.axes, &ones);
        self.ty.shape = without(&self.ty.shape, &ones);
        self.layout.strides = without(&self.layout.strides, &ones);
    }
}

impl Lower<'_> {
    pub(super) fn reduce(
        &mut self,
        v: ValueId,
        node: &Node,
        op: ReduceOp,
        axes: &[usize],
    ) -> Result<Layout, LowerError> {
        let (ty, from) = (self.func.ty(v), self.arg_type(node, 0)?);
        let mut rest = Rest { layout: self.arg(node, 0)?, ty: from.clone(), axes: axes.to_vec() };
        let ordered = axes.windows(2).all(|w| w[0] < w[1]);
        let (combine, indexed) = combine_of(op);
        let fits = axes.iter().all(|a| *a < from.rank()) && (!indexed || axes.len() == 1);
        if !ordered || !fits || ty.rank() + axes.len() != from.rank() {
            return Err(malformed("the axes of a reduction do not fit", node.origin));
        }
        if !indexed {
            rest.drop_ones();
        }
        loop {
            let run = innermost_run(&rest);
            if run.len() == rest.axes.len() {
                return self.last_stage(rest, ty, combine, indexed, node.origin);
            }
            rest = self.stage(rest, run, combine, node.origin)?;
        }
    }

    /// Reduces one run of axes into a buffer of its own.
    fn stage(
        &mut self,
        rest: Rest,
        run: Vec<usize>,
        combine: Combine,
        origin: Span,
    ) -> Result<Rest, LowerError> {
        let shape: Vec<Dim> = without(&rest.ty.shape, &run);
        let ty = TensorType::new(rest.ty.dtype.compute(), shape);
        let out = self.fresh(&ty, origin);
        let spread = spread(&out, &run, rest.ty.rank());
        self.reduce_kernel(&rest, &run, (&spread, ty.dtype), (combine, false), origin)?;
        let axes = renumbered(&rest.axes, &run);
        Ok(Rest { layout: out, ty, axes })
    }

    fn last_stage(
        &mut self,
        rest: Rest,
        ty: &TensorType,
        combine: Combine,
        indexed: bool,
        origin: Span,
    ) -> Result<Layout, LowerError> {
        let out = self.fresh(ty, origin);
        let spread = spread(&out, &rest.axes, rest.ty.rank());
        let axes = rest.axes.clone();
        self.reduce_kernel(&rest, &axes, (&spread, ty.dtype), (combine, indexed), origin)?;
        Ok(out)
    }

    /// One kernel; without axes it is a copy.
    fn reduce_kernel(
        &mut self,
        rest: &Rest,
        run: &[usize],
        out: (&Layout, DType),
        (combine, indexed): (Combine, bool),
        origin: Span,
    ) -> Result<(), LowerError> {
        let mut nest = Nest::parallel(combine.name(), &rest.ty.shape, origin);
        for axis in run {
            nest.axes[*axis].kind = AxisKind::Reduce;
        }
        let dtype = rest.ty.dtype;
        nest.operands = vec![NestOperand::read(&rest.layout, dtype), NestOperand::write(out.0, out.1)];
        nest.simplify();
        let reduce = nest.axes.iter().position(|a| a.kind == AxisKind::Reduce);
        let axis = reduce.map(|axis| place_reduce_axis(&mut nest, axis));
        let step = self.bind(&nest, |b, ids| {
            let value = b.load(ids[0]);
            let value = b.cast(value, dtype.compute());
            let Some(axis) = axis else {
                let value = b.cast(value, out.1);
                return b.store(ids[1], value);
            };
            let result = if indexed {
                let index = b.index(axis);
                let best = b.reduce(combine, &[value, index]);
                b.part(best, 1)
            } else {
                b.reduce(combine, &[value])
            };
            let result = b.cast(result, out.1);
            b.store(ids[1], result);
        })?;
        self.step(Step::Kernel(step));
        Ok(())
    }

    pub(super) fn scan(
        &mut self,
        v: ValueId,
        node: &Node,
        op: ScanOp,
        axis: usize,
    ) -> Result<Layout, LowerError> {
        let ty = self.func.ty(v);
        let x = self.arg(node, 0)?;
        if axis >= ty.rank() || x.strides.len() != ty.rank() {
            return Err(malformed("no such axis", node.origin));
        }
        let combine = match op {
            ScanOp::Sum => Combine::Sum,
            ScanOp::Prod => Combine::Prod,
            ScanOp::Max => Combine::Max,
            ScanOp::Min => Combine::Min,
        };
        let out = self.fresh(ty, node.origin);
        let mut nest = Nest::parallel(format!("scan_{}", combine.name()), &ty.shape, node.origin);
        nest.axes[axis] = NestAxis::new(&ty.shape[axis], AxisKind::Scan);
        nest.operands = vec![NestOperand::read(&x, ty.dtype), NestOperand::write(&out, ty.dtype)];
        nest.simplify();
        let step = self.bind(&nest, |b, ids| {
            let value = b.load(ids[0]);
            let value = b.cast(value, ty.dtype.compute());
            let running = b.scan(combine, value);
            let running = b.cast(running, ty.dtype);
            b.store(ids[1], running);
        })?;
        self.step(Step::Kernel(step));
        Ok(out)
    }
}

fn combine_of(op: ReduceOp) -> (Combine, bool) {
    match op {
        ReduceOp::Sum => (Combine::Sum, false),
        ReduceOp::Prod => (Combine::Prod, false),
        ReduceOp::Max => (Combine::Max, false),
        ReduceOp::Min => (Combine::Min, false),
        ReduceOp::Any => (Combine::Any, false),
        ReduceOp::All => (Combine::All, false),
        ReduceOp::ArgMax => (Combine::ArgMax, true),
        ReduceOp::ArgMin => (Combine::ArgMin, true),
    }
}

/// The innermost reduce axis and those outside it that are one even walk with it.
fn innermost_run(rest: &Rest) -> Vec<usize> {
    let shape = &rest.ty.shape;
    let walked: Vec<usize> = (0..shape.len()).filter(|a| !shape[*a].is(1) || rest.axes.contains(a)).collect();
    let mut run: Vec<usize> = Vec::new();
    for axis in walked.into_iter().rev() {
        let reduced = rest.axes.contains(&axis);
        let Some(&inner) = run.last() else {
            run.extend(reduced.then_some(axis));
            continue;
        };
        let strides = &rest.layout.strides;
        if !reduced || strides[axis] != &strides[inner] * &shape[inner] {
            break;
        }
        run.push(axis);
    }
    run.reverse();
    run
}

/// The numbers of axes after some are gone; those themselves are left out.
fn renumbered(axes: &[usize], gone: &[usize]) -> Vec<usize> {
    let kept = axes.iter().filter(|a| !gone.contains(a));
    kept.map(|a| a - gone.iter().filter(|g| *g < a).count()).collect()
}

fn without(shape: &[Dim], axes: &[usize]) -> Vec<Dim> {
    shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, d)| d.clone()).collect()
}

/// A result's layout over the axes of the operand: it does not move along those that went.
fn spread(out: &Layout, gone: &[usize], rank: usize) -> Layout {
    let mut strides = out.strides.iter().cloned();
    let stride = |axis: usize| match gone.contains(&axis) {
        true => Dim::ZERO,
        false => strides.next().unwrap_or(Dim::ZERO),
    };
    Layout { strides: (0..rank).map(stride).collect(), ..out.clone() }
}

/// Moves the reduce axis to the innermost place when the operand is even along it and along no axis inside it; the
/// vectors then lie along the reduction. Gives its place.
fn place_reduce_axis(nest: &mut Nest, axis: usize) -> usize {
    let last = nest.axes.len() - 1;
    let strides = &nest.operands[0].layout.strides;
    if axis < last && strides[axis].is(1) && !strides[last].is(1) {
        nest.make_innermost(axis);
        return last;
    }
    axis
}
