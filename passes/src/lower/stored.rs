//! From expressions to values in memory.

use super::build::is_expression;
use super::draft::{Draft, Obstacle, Sink};
use super::expr::{ExprId, Term};
use super::{Lower, LowerError, Value, malformed};
use crate::fuse::op_site;
use crate::layout::Layout;
use crate::plan::{BufferId, KernelStep, OpSite, Source, Step};
use matex_ir::tensor::{Kind, Literal, TensorType, ValueId};
use matex_ir::{DType, Dim, Scalar, Span};
use std::collections::BTreeSet;

impl Lower<'_> {
    /// The value in memory, put there where it is not yet.
    pub(super) fn stored(&mut self, v: ValueId) -> Result<Layout, LowerError> {
        let (ty, origin) = (self.func.ty(v), self.func.node(v).origin);
        let value = self.expr(v)?;
        if let Some(layout) = self.terms.as_layout(value) {
            return Ok(layout.clone());
        }
        let layout = match self.terms.term(value).clone() {
            Term::Const(s) => self.scalar(s, origin),
            Term::Size(dim) => self.size(&dim, ty.dtype, origin),
            Term::Load(_)
            | Term::LoadAt { .. }
            | Term::Count(_)
            | Term::Map(..)
            | Term::Cast(_)
            | Term::Bitcast(_)
            | Term::Reduce { .. }
            | Term::Fold { .. }
            | Term::Scan { .. } => self.computed(v)?,
        };
        // A constant may have been broadcast.
        let layout = match layout.strides.len() == ty.rank() {
            true => layout,
            false => Layout { strides: vec![Dim::ZERO; ty.rank()], ..layout },
        };
        let load = self.terms.load(layout.clone(), ty.dtype);
        self.fixed[v.0 as usize] = true;
        self.values[v.0 as usize] = Value::Expr(load);
        Ok(layout)
    }

    /// Values that one kernel writes together, or a kernel each where there is none.
    pub(super) fn stored_together(&mut self, group: &[ValueId]) -> Result<(), LowerError> {
        let mut sinks = Vec::new();
        for v in group {
            let (value, shape) = (self.expr(*v)?, self.func.ty(*v).shape.clone());
            if !self.terms.is_plain(value) {
                let to = Layout::contiguous(BufferId::NOWHERE, &shape);
                sinks.push(Sink { value, to, shape, own: Some(*v) });
            }
        }
        let origin = group.last().map_or(Span::default(), |v| self.func.node(*v).origin);
        let draft = if sinks.len() > 1 { self.draft(&sinks, origin).ok() } else { None };
        if let Some(mut draft) = draft {
            let nodes: Vec<ValueId> = sinks.iter().filter_map(|s| s.own).collect();
            let outs: Vec<Layout> =
                nodes.iter().map(|v| self.fresh(self.func.ty(*v), self.func.node(*v).origin)).collect();
            draft.write_to(&outs);
            let mut step = self.finish(&draft)?;
            step.ops = self.ops_of(&nodes);
            self.step(Step::Kernel(step));
            // What stands between the first and the last of them was built over values that were not there.
            let between = group.first().map_or(0..0, |first| first.0 as usize..self.values.len());
            between.filter(|i| !self.fixed[*i]).for_each(|i| self.values[i] = Value::None);
            for (v, out) in nodes.into_iter().zip(outs) {
                self.given(v, out, self.func.ty(v).dtype);
            }
        }
        group.iter().try_for_each(|v| self.stored(*v).map(drop))
    }

    /// An operand in memory.
    pub(super) fn stored_arg(
        &mut self,
        node: &matex_ir::tensor::Node,
        index: usize,
    ) -> Result<Layout, LowerError> {
        self.arg_type(node, index)?;
        self.stored(node.args[index])
    }

    /// Fresh memory that a kernel fills with the value.
    fn computed(&mut self, v: ValueId) -> Result<Layout, LowerError> {
        let (ty, origin) = (self.func.ty(v), self.func.node(v).origin);
        let to = Layout::contiguous(BufferId::NOWHERE, &ty.shape);
        let mut draft = match self.drafted(v, &to, &ty.shape)? {
            Some(draft) => draft,
            None => return self.in_parts(v),
        };
        let out = self.fresh(ty, origin);
        draft.write_to(std::slice::from_ref(&out));
        let mut step = self.finish(&draft)?;
        step.gemm = self.gemm(v, &draft.nest);
        step.ops = self.ops_of(&[v]);
        self.step(Step::Kernel(step));
        Ok(out)
    }

    /// The operations that a kernel of some values does.
    pub(super) fn ops_of(&self, roots: &[ValueId]) -> Vec<OpSite> {
        let (mut open, mut seen) = (roots.to_vec(), BTreeSet::new());
        while let Some(v) = open.pop() {
            let node = self.func.node(v);
            if self.fixed[v.0 as usize] || !is_expression(&node.kind) || !seen.insert(v) {
                continue;
            }
            open.extend_from_slice(&node.args);
        }
        seen.into_iter().filter_map(|v| op_site(self.func, v)).collect()
    }

    /// The kernel of a value. What keeps it from being one is put into memory first; none when it is about the axes that
    /// the node itself reduces.
    fn drafted(&mut self, v: ValueId, to: &Layout, shape: &[Dim]) -> Result<Option<Draft>, LowerError> {
        let origin = self.func.node(v).origin;
        loop {
            let (value, shape) = (self.expr(v)?, shape.to_vec());
            let sink = Sink { value, to: to.clone(), shape, own: Some(v) };
            match self.draft(&[sink], origin) {
                Ok(draft) => return Ok(Some(draft)),
                Err(Obstacle::Axes) => return Ok(None),
                Err(Obstacle::Inside(nodes)) => {
                    for node in nodes {
                        self.stored(node)?;
                    }
                    self.forget();
                }
            }
        }
    }

    /// A node whose axes are no one even walk, in several kernels.
    fn in_parts(&mut self, v: ValueId) -> Result<Layout, LowerError> {
        let node = self.func.node(v);
        if let Kind::Dot { batch, contract } = &node.kind {
            self.dot_in_parts(v, node, batch, contract)
        } else if let Kind::Reduce { op, axes } = &node.kind {
            self.reduce_in_turn(v, node, *op, axes)
        } else {
            Err(malformed("a value that no kernel computes", node.origin))
        }
    }

    /// Writes a value to a layout of its shape.
    pub(super) fn fill(&mut self, v: ValueId, to: &Layout) -> Result<(), LowerError> {
        let node = self.func.node(v);
        // A value that is more than a kernel is computed on its own.
        if matches!(node.kind, Kind::Dot { .. } | Kind::Reduce { .. } | Kind::Scan { .. }) {
            self.stored(v)?;
        }
        let ty = self.func.ty(v);
        let mut step = match self.drafted(v, to, &ty.shape)? {
            Some(draft) => self.finish(&draft)?,
            None => return Err(malformed("a value that no kernel computes", node.origin)),
        };
        step.ops = self.ops_of(&[v]);
        self.step(Step::Kernel(step));
        Ok(())
    }

    /// A kernel that writes an expression to a layout. Its only reductions, if any, are those of `own`.
    pub(super) fn write(
        &mut self,
        value: ExprId,
        (to, shape): (&Layout, &[Dim]),
        own: Option<ValueId>,
        origin: Span,
    ) -> Result<KernelStep, LowerError> {
        let sink = Sink { value, to: to.clone(), shape: shape.to_vec(), own };
        match self.draft(&[sink], origin) {
            Ok(draft) => self.finish(&draft),
            Err(_) => Err(malformed("a value that no kernel computes", origin)),
        }
    }

    /// A rank-0 constant in memory.
    fn scalar(&mut self, value: Scalar, origin: Span) -> Layout {
        if let Some(known) = self.scalars.get(&value) {
            return known.clone();
        }
        let source = Source::Constant(Literal::scalar(value));
        let buffer = self.tables.buffer(source, &TensorType::scalar(value.dtype()), origin);
        let layout = Layout::contiguous(buffer, &[]);
        self.scalars.insert(value, layout.clone());
        layout
    }

    /// A size in memory, once in each block.
    pub(super) fn size(&mut self, dim: &Dim, dtype: DType, origin: Span) -> Layout {
        let key = (dim.clone(), dtype);
        if let Some(known) = self.open.iter().rev().find_map(|b| b.sizes.get(&key)) {
            return known.clone();
        }
        let out = self.fresh(&TensorType::scalar(dtype), origin);
        let value = self.tables.slot(dim);
        self.step(Step::Size { to: out.buffer, value });
        if let Some(block) = self.open.last_mut() {
            block.sizes.insert(key, out.clone());
        }
        out
    }

    /// The value in memory that it fills alone and contiguously: a copy where it is not so already.
    pub(super) fn whole(&mut self, v: ValueId) -> Result<Layout, LowerError> {
        let (ty, origin) = (self.func.ty(v), self.func.node(v).origin);
        let layout = self.stored(v)?;
        if self.is_whole(&layout, ty) { Ok(layout) } else { self.copied(&layout, ty, origin) }
    }

    pub(super) fn is_whole(&self, layout: &Layout, ty: &TensorType) -> bool {
        let decl = self.tables.plan.buffer(layout.buffer);
        let strided = match decl.source {
            Source::Param(i) => self.tables.plan.params[i as usize].stride_names.is_some(),
            Source::Constant(_) | Source::Own => false,
        };
        // Comparing bytes: a bitcast may have changed the dtype, and the buffer holds the old one's elements.
        let bytes = &ty.elements() * &Dim::from(ty.dtype.size());
        !strided
            && layout.is_at_start()
            && layout.is_contiguous(&ty.shape)
            && *self.tables.plan.dim(decl.bytes) == bytes
    }

    pub(super) fn copied(
        &mut self,
        layout: &Layout,
        ty: &TensorType,
        origin: Span,
    ) -> Result<Layout, LowerError> {
        let out = self.fresh(ty, origin);
        let value = self.terms.load(layout.clone(), ty.dtype);
        let step = self.write(value, (&out, &ty.shape), None, origin)?;
        self.step(Step::Kernel(step));
        Ok(out)
    }
}
