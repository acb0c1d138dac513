//! From an iteration space over symbolic layouts to a kernel and its bindings.
//!
//! A [`Nest`] is written in terms of the op: an axis for each axis of the result, say. Before it becomes a kernel,
//! axes of extent 1 disappear and neighbours along which everything moves evenly become one, so that most programs
//! end in kernels of one or two axes and share them.

use super::{Lower, LowerError};
use crate::layout::Layout;
use crate::plan::{Binding, GatherSite, KernelStep, Place};
use matex_ir::loops::{Access, AxisKind, KernelBuilder, Operand, OperandId, Role};
use matex_ir::{DType, Dim, Span};

/// An axis of the iteration space.
#[derive(Clone, Debug)]
pub(super) struct NestAxis {
    pub(super) extent: Dim,
    pub(super) kind: AxisKind,
}

impl NestAxis {
    pub(super) fn new(extent: &Dim, kind: AxisKind) -> NestAxis {
        NestAxis { extent: extent.clone(), kind }
    }
}

/// A tensor that the kernel reads or writes, with a stride for each axis of the nest.
#[derive(Clone, Debug)]
pub(super) struct NestOperand {
    pub(super) layout: Layout,
    pub(super) dtype: DType,
    pub(super) role: Role,
    /// Extent and stride of each gathered dimension.
    pub(super) gathers: Vec<(Dim, Dim)>,
}

impl NestOperand {
    pub(super) fn read(layout: &Layout, dtype: DType) -> NestOperand {
        NestOperand { layout: layout.clone(), dtype, role: Role::In, gathers: Vec::new() }
    }

    pub(super) fn write(layout: &Layout, dtype: DType) -> NestOperand {
        NestOperand { layout: layout.clone(), dtype, role: Role::Out, gathers: Vec::new() }
    }
}

/// One loop nest before it is a kernel.
#[derive(Clone, Debug)]
pub(super) struct Nest {
    pub(super) name: String,
    pub(super) axes: Vec<NestAxis>,
    pub(super) operands: Vec<NestOperand>,
    /// Positions that the body computes with, as the layouts of counting values.
    pub(super) counts: Vec<Layout>,
    pub(super) gathers: Vec<GatherSite>,
    pub(super) origin: Span,
}

impl Nest {
    fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.operands.iter().map(|o| &o.layout).chain(&self.counts)
    }

    fn layouts_mut(&mut self) -> impl Iterator<Item = &mut Layout> {
        self.operands.iter_mut().map(|o| &mut o.layout).chain(&mut self.counts)
    }

    fn remove_axis(&mut self, axis: usize) {
        self.axes.remove(axis);
        self.layouts_mut().for_each(|l| drop(l.strides.remove(axis)));
    }

    /// Moves an axis to the innermost place.
    pub(super) fn make_innermost(&mut self, axis: usize) {
        self.axes[axis..].rotate_left(1);
        self.layouts_mut().for_each(|l| l.strides[axis..].rotate_left(1));
    }

    /// Drops and merges axes. Reduce and scan axes of extent 1 stay: the kernel is about them.
    pub(super) fn simplify(&mut self) {
        for axis in (0..self.axes.len()).rev() {
            let a = &self.axes[axis];
            if a.kind == AxisKind::Parallel && a.extent.is(1) {
                self.remove_axis(axis);
            }
        }
        for axis in (1..self.axes.len()).rev() {
            if self.merges(axis) {
                let inner = self.axes[axis].extent.clone();
                self.axes[axis - 1].extent = &self.axes[axis - 1].extent * &inner;
                self.layouts_mut().for_each(|l| l.strides.swap(axis - 1, axis));
                self.remove_axis(axis);
            }
        }
    }

    /// Whether an axis and the one outside it are one even walk for everything.
    fn merges(&self, axis: usize) -> bool {
        let (outer, inner) = (&self.axes[axis - 1], &self.axes[axis]);
        outer.kind == inner.kind
            && outer.kind != AxisKind::Scan
            && self.layouts().all(|l| l.strides[axis - 1] == &l.strides[axis] * &inner.extent)
    }

    /// How many operands jump along an axis: neither stay nor go to the next element.
    fn jumps(&self, axis: usize) -> usize {
        let strides = self.operands.iter().map(|o| &o.layout.strides[axis]);
        strides.filter(|s| !s.is(0) && !s.is(1)).count()
    }

    /// Puts that axis innermost along which the fewest operands jump; vectors lie along it. Of equals the last
    /// parallel axis wins, but over the reduce axis only where `parallel_first`; both win over all others.
    ///
    /// The reduce axis stands last, so that a parallel axis moved behind it makes column form.
    pub(super) fn choose_innermost(&mut self, parallel_first: bool) {
        let reduce = self.axes.iter().position(|a| a.kind == AxisKind::Reduce);
        let mut order: Vec<usize> = (0..self.axes.len()).rev().filter(|a| Some(*a) != reduce).collect();
        if let Some(axis) = reduce {
            let at = if parallel_first { order.len().min(1) } else { 0 };
            order.insert(at, axis);
        }
        if let Some(best) = order.into_iter().min_by_key(|a| self.jumps(*a)) {
            self.make_innermost(best);
        }
    }

    /// The access class of an operand along an axis. Only the innermost axis needs an exact one; `strided` elsewhere
    /// lets more programs share a kernel. But what belongs to a point does not move along the reduce axis.
    fn access(&self, operand: &NestOperand, axis: usize) -> Access {
        let stride = &operand.layout.strides[axis];
        let exact = axis + 1 == self.axes.len() || (stride.is(0) && self.axes[axis].kind == AxisKind::Reduce);
        if !exact {
            Access::Strided
        } else if stride.is(0) {
            Access::Zero
        } else if stride.is(1) {
            Access::Unit
        } else {
            Access::Strided
        }
    }
}

impl Lower<'_> {
    /// Makes the kernel of a nest whose body `body` writes, given the operands' ids, and binds it.
    pub(super) fn bind(
        &mut self,
        nest: &Nest,
        body: impl FnOnce(&mut KernelBuilder, &[OperandId]),
    ) -> Result<KernelStep, LowerError> {
        let kinds: Vec<AxisKind> = nest.axes.iter().map(|a| a.kind).collect();
        let mut builder = KernelBuilder::new(nest.name.clone(), &kinds);
        let mut ids = Vec::with_capacity(nest.operands.len());
        let mut operands = Vec::with_capacity(nest.operands.len());
        for o in &nest.operands {
            let access = (0..nest.axes.len()).map(|axis| nest.access(o, axis)).collect();
            let gathers = o.gathers.len() as u32;
            ids.push(builder.operand(Operand { dtype: o.dtype, role: o.role, access, gathers }));
            operands.push(self.binding(o));
        }
        builder.at(nest.origin);
        body(&mut builder, &ids);
        let origins = builder.origins().to_vec();
        let kernel = builder.finish().map_err(|v| LowerError::Kernel {
            name: nest.name.clone(),
            why: v.to_string(),
            origin: nest.origin,
        })?;
        let kernel = self.tables.kernel(kernel);
        let extents = nest.axes.iter().map(|a| self.tables.slot(&a.extent)).collect();
        let id = self.tables.plan.kernel_steps;
        self.tables.plan.kernel_steps += 1;
        let gathers = nest.gathers.clone();
        let ops = Vec::new();
        let origin = nest.origin;
        Ok(KernelStep { id, kernel, operands, extents, gathers, gemm: None, origin, origins, ops })
    }

    fn binding(&mut self, o: &NestOperand) -> Binding {
        let place = self.place(&o.layout);
        let strides = self.tables.slots(&o.layout.strides);
        let gathers = o.gathers.iter().map(|(e, s)| (self.tables.slot(e), self.tables.slot(s))).collect();
        Binding { place, strides, gathers }
    }

    /// Where a layout begins.
    pub(super) fn place(&mut self, layout: &Layout) -> Place {
        let offset = self.tables.slot(&layout.offset);
        let moves = layout.moves.iter().map(|(r, d)| (*r, self.tables.slot(d))).collect();
        Place { buffer: layout.buffer, offset, moves }
    }
}
