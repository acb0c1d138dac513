//! From expressions to a kernel that computes them, or to the reason why there is none.
//!
//! An expression without reductions is a loop over the axes of its value. With reductions it is one over the *points*,
//! with the axes that are reduced as further ones: `sqrt(sum(x, axis=1))` has a point for each row. Everything then
//! stands in the same coordinates, those of the kernel, and what is equal there is computed once.

use super::expr::{ExprId, Term};
use super::nest::{Nest, NestAxis, NestOperand};
use super::{Lower, LowerError};
use crate::layout::Layout;
use crate::plan::{GatherSite, KernelStep};
use matex_ir::loops::{AxisKind, Combine, InstId, KernelBuilder, OperandId};
use matex_ir::tensor::{Kind, ValueId};
use matex_ir::{DType, Dim, Op, Scalar, Span};
use std::collections::HashMap;

/// Why expressions are no kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The values of these nodes have to be in memory.
    Inside(Vec<ValueId>),
    /// The axes that the node itself reduces are no one even walk.
    Axes,
}

/// A value that a kernel writes, and where to. A kernel that is asked about rather than made writes nowhere.
pub(super) struct Sink {
    pub(super) value: ExprId,
    pub(super) to: Layout,
}

/// A kernel before its operands are in place.
pub(super) struct Draft {
    pub(super) nest: Nest,
    /// The value that is stored, in the coordinates of the kernel.
    value: ExprId,
    /// The operand of each term that reads memory.
    loads: HashMap<ExprId, usize>,
    /// The place among the counts of each term that counts.
    counts: HashMap<ExprId, usize>,
    /// Sizes that the body computes with.
    sizes: Vec<(Dim, DType)>,
}

impl Draft {
    /// Names the buffer that it writes.
    pub(super) fn write_to(&mut self, layout: &Layout) {
        if let Some(out) = self.nest.operands.last_mut() {
            out.layout.buffer = layout.buffer;
        }
    }
}

impl Lower<'_> {
    /// The kernel that computes a value of that shape and writes it to a layout. `own` is the node whose value it is.
    pub(super) fn draft(
        &mut self,
        sink: &Sink,
        shape: &[Dim],
        own: Option<ValueId>,
        origin: Span,
    ) -> Result<Draft, Obstacle> {
        let top = self.terms.reachable(&[sink.value]);
        let kinds = |t: &Term| (matches!(t, Term::Reduce { .. }), matches!(t, Term::Scan { .. }));
        let reduces: Vec<ExprId> = top.iter().copied().filter(|t| kinds(self.terms.term(*t)).0).collect();
        let scans: Vec<ExprId> = top.iter().copied().filter(|t| kinds(self.terms.term(*t)).1).collect();
        let inside = |lower: &Self| {
            let all = lower.terms.closure(&[sink.value]);
            let mut nodes: Vec<ValueId> = all.iter().filter_map(|t| lower.terms.node(*t)).collect();
            nodes.retain(|n| Some(*n) != own);
            nodes.sort_unstable();
            nodes.dedup();
            if nodes.is_empty() { Obstacle::Axes } else { Obstacle::Inside(nodes) }
        };
        let Some(over) = self.reduced_axes(&reduces, &scans) else { return Err(inside(self)) };
        let others: Vec<ExprId> = reduces.iter().copied().filter(|r| self.terms.node(*r) != own).collect();
        if !self.is_per_point(&others, shape) {
            return Err(inside(self));
        }
        let rank = shape.len();
        let place = &mut |layout: &Layout, around: &[Dim]| in_kernel(layout, rank, around, &over);
        let Some(value) = self.terms.fold(sink.value, place) else { return Err(inside(self)) };
        if self.terms.closure(&[value]).iter().any(|t| self.is_nested(*t)) {
            return Err(inside(self));
        }
        let mut draft = self.nest_of(value, sink, shape, &over, origin);
        if let Some(axis) = self.scan_axis(&scans) {
            draft.nest.axes[axis].kind = AxisKind::Scan;
        }
        draft.nest.simplify();
        let walks = draft.nest.axes.iter().filter(|a| a.kind == AxisKind::Reduce).count();
        if walks > 1 {
            return Err(inside(self));
        }
        if let Some(first) = reduces.first() {
            draft.nest.choose_innermost(self.prefers_points(*first));
        }
        Ok(draft)
    }

    /// Whether the vectors of a reduction rather lie along its points, where memory leaves the choice.
    fn prefers_points(&self, reduce: ExprId) -> bool {
        let Some(node) = self.terms.node(reduce).map(|v| self.func.node(v)) else { return false };
        let Kind::Reduce { axes, .. } = &node.kind else { return true };
        let shape = node.args.first().map_or(&[][..], |x| &self.func.ty(*x).shape);
        let last = (0..shape.len()).rev().find(|a| !shape[*a].is(1));
        last.is_some_and(|a| !axes.contains(&a))
    }

    /// The axes that all reductions of an expression run over; none when they differ, and when a scan is among them
    /// or scans run along several axes.
    fn reduced_axes(&self, reduces: &[ExprId], scans: &[ExprId]) -> Option<Vec<Dim>> {
        let over = |t: &ExprId| match self.terms.term(*t) {
            Term::Reduce { over, .. } => over.as_slice(),
            Term::Load(_)
            | Term::LoadAt { .. }
            | Term::Count(_)
            | Term::Size(_)
            | Term::Const(_)
            | Term::Map(..)
            | Term::Cast(_)
            | Term::Bitcast(_)
            | Term::Fold { .. }
            | Term::Scan { .. } => &[],
        };
        let first = reduces.first().map(over).unwrap_or_default();
        let alike = reduces.iter().all(|t| over(t) == first) && (reduces.is_empty() || scans.is_empty());
        let along = self.scan_axis(scans);
        let together = scans.iter().all(|t| self.scan_axis(&[*t]) == along);
        (alike && together).then(|| first.to_vec())
    }

    fn scan_axis(&self, scans: &[ExprId]) -> Option<usize> {
        match scans.first().map(|t| self.terms.term(*t)) {
            Some(Term::Scan { axis, .. }) => Some(*axis),
            Some(_) | None => None,
        }
    }

    /// Whether every reduction has another result at every point, so that none is done twice.
    fn is_per_point(&self, reduces: &[ExprId], shape: &[Dim]) -> bool {
        let moves = |reduce: &ExprId, axis: usize| {
            let all = self.terms.closure(&[*reduce]);
            let layouts = all.iter().filter_map(|t| self.terms.term(*t).layout());
            layouts.map(|l| self.terms.layout(l)).any(|l| l.strides.get(axis).is_some_and(|s| !s.is(0)))
        };
        let wide = (0..shape.len()).filter(|axis| !shape[*axis].is(1));
        wide.into_iter().all(|axis| reduces.iter().all(|r| moves(r, axis)))
    }

    /// Whether it is a reduction of what another one gives.
    fn is_nested(&self, id: ExprId) -> bool {
        let combined = self.terms.term(id).combined();
        let inner = self.terms.reachable(combined);
        inner.iter().any(|t| matches!(self.terms.term(*t), Term::Fold { .. }))
    }

    fn nest_of(&self, value: ExprId, sink: &Sink, shape: &[Dim], over: &[Dim], origin: Span) -> Draft {
        let mut axes: Vec<NestAxis> =
            shape.iter().map(|d| NestAxis::new(d, AxisKind::Parallel)).collect();
        axes.extend(over.iter().map(|d| NestAxis::new(d, AxisKind::Reduce)));
        let closure = self.terms.closure(&[value]);
        let mut nest = Nest {
            name: self.name_of(&closure),
            axes,
            operands: Vec::new(),
            counts: Vec::new(),
            gathers: Vec::new(),
            origin,
        };
        let (mut loads, mut counts, mut sizes) = (HashMap::new(), HashMap::new(), Vec::new());
        for id in closure {
            let dtype = self.terms.dtype(id);
            match self.terms.term(id) {
                Term::Load(l) => {
                    loads.insert(id, nest.operands.len());
                    nest.operands.push(NestOperand::read(self.terms.layout(*l), dtype));
                }
                Term::LoadAt { from, along, site, .. } => {
                    loads.insert(id, nest.operands.len());
                    let (axis, origin) = self.sites[*site as usize];
                    nest.gathers.push(GatherSite { operand: nest.operands.len(), axis, origin });
                    let read = NestOperand::read(self.terms.layout(*from), dtype);
                    nest.operands.push(NestOperand { gathers: vec![along.clone()], ..read });
                }
                Term::Count(l) => {
                    counts.insert(id, nest.counts.len());
                    nest.counts.push(self.terms.layout(*l).clone());
                }
                Term::Size(dim) => sizes.push((dim.clone(), dtype)),
                Term::Const(_)
                | Term::Map(..)
                | Term::Cast(_)
                | Term::Bitcast(_)
                | Term::Reduce { .. }
                | Term::Fold { .. }
                | Term::Scan { .. } => {}
            }
        }
        let mut to = sink.to.clone();
        to.strides.resize(nest.axes.len(), Dim::ZERO);
        nest.operands.push(NestOperand::write(&to, self.terms.dtype(value)));
        Draft { nest, value, loads, counts, sizes }
    }

    /// A name for people: the ops in the order in which they are done, and no more than a few.
    fn name_of(&self, terms: &[ExprId]) -> String {
        const SHOWN: usize = 4;
        let mut names: Vec<&str> = Vec::new();
        for id in terms {
            let name = match self.terms.term(*id) {
                Term::Map(op, _) => op.name(),
                Term::LoadAt { .. } => "gather",
                Term::Count(_) => "iota",
                Term::Reduce { combine, .. } | Term::Fold { combine, .. } => combine.name(),
                Term::Scan { combine, .. } => match combine {
                    Combine::Prod => "scan_prod",
                    Combine::Max => "scan_max",
                    Combine::Min => "scan_min",
                    Combine::Sum | Combine::Any | Combine::All | Combine::ArgMax | Combine::ArgMin => {
                        "scan_sum"
                    }
                },
                Term::Cast(_) | Term::Bitcast(_) => "cast",
                Term::Load(_) | Term::Size(_) | Term::Const(_) => continue,
            };
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        // Positions are what argmax is about, and casts are not what a kernel is there for.
        if names.iter().any(|n| *n != "cast" && *n != "iota") {
            names.retain(|n| *n != "cast" && *n != "iota");
        }
        let more = if names.len() > SHOWN { "_etc" } else { "" };
        names.truncate(SHOWN);
        if names.is_empty() { "copy".to_owned() } else { names.join("_") + more }
    }

    /// The run of a drafted kernel.
    pub(super) fn finish(&mut self, draft: &Draft) -> Result<KernelStep, LowerError> {
        let mut nest = draft.nest.clone();
        let stays = |mut layout: Layout| {
            layout.strides = vec![Dim::ZERO; draft.nest.axes.len()];
            layout
        };
        let mut sizes: HashMap<(Dim, DType), usize> = HashMap::new();
        let mut wanted = draft.sizes.clone();
        let counted = draft.nest.counts.iter().flat_map(|c| c.strides.iter().chain([&c.offset]));
        wanted.extend(counted.filter(|d| d.as_const().is_none()).map(|d| (d.clone(), DType::I64)));
        for (dim, dtype) in wanted {
            if !sizes.contains_key(&(dim.clone(), dtype)) {
                let layout = stays(self.size(&dim, dtype, nest.origin));
                let at = nest.operands.len() - 1;
                nest.operands.insert(at, NestOperand::read(&layout, dtype));
                sizes.insert((dim, dtype), at);
            }
        }
        let terms = std::mem::take(&mut self.terms);
        let step = self.bind(&nest, |b, ids| {
            let mut body = Body { terms: &terms, draft, sizes: &sizes, b, ids, known: HashMap::new() };
            body.write();
        });
        self.terms = terms;
        step
    }
}

/// A layout in the coordinates of a kernel whose points are the elements of a value of that rank: a layout of the
/// point itself does not move along the axes that are reduced, and one inside a reduction does.
fn in_kernel(layout: &Layout, rank: usize, around: &[Dim], over: &[Dim]) -> Option<Layout> {
    let (points, inner) = layout.strides.split_at_checked(rank)?;
    let mut strides = points.to_vec();
    if around.is_empty() {
        strides.resize(rank + over.len(), Dim::ZERO);
    } else {
        let last = inner.len().checked_sub(over.len())?;
        let alike = around.chunks(over.len()).all(|c| c == over);
        let still = inner[..last].iter().all(|s| s.is(0));
        if !alike || !still {
            return None;
        }
        strides.extend_from_slice(&inner[last..]);
    }
    Some(Layout { strides, ..layout.clone() })
}

/// The body of a kernel that is being written.
struct Body<'a> {
    terms: &'a super::expr::Terms,
    draft: &'a Draft,
    sizes: &'a HashMap<(Dim, DType), usize>,
    b: &'a mut KernelBuilder,
    ids: &'a [OperandId],
    /// The instruction that computes each term.
    known: HashMap<ExprId, InstId>,
}

impl Body<'_> {
    fn write(&mut self) {
        let value = self.draft.value;
        let all = self.terms.reachable(&[value]);
        let folds: Vec<ExprId> =
            all.iter().copied().filter(|t| !self.terms.term(*t).combined().is_empty()).collect();
        if !folds.is_empty() {
            let combined: Vec<ExprId> =
                folds.iter().flat_map(|f| self.terms.term(*f).combined().iter().copied()).collect();
            self.compute(&combined);
            let elements = std::mem::take(&mut self.known);
            self.reduce(&folds, &elements);
        }
        self.compute(&[value]);
        if let (Some(out), Some(value)) = (self.ids.last(), self.known.get(&value)) {
            self.b.store(*out, *value);
        }
    }

    /// Computes what is not known yet of some terms.
    fn compute(&mut self, roots: &[ExprId]) {
        for id in self.terms.reachable(roots) {
            if !self.known.contains_key(&id)
                && let Some(inst) = self.inst(id)
            {
                self.known.insert(id, inst);
            }
        }
    }

    fn inst(&mut self, id: ExprId) -> Option<InstId> {
        let dtype = self.terms.dtype(id);
        Some(match self.terms.term(id) {
            Term::Load(_) => self.b.load(self.ids[self.draft.loads[&id]]),
            Term::LoadAt { index, .. } => {
                let index = self.known[index];
                self.b.load_at(self.ids[self.draft.loads[&id]], &[index])
            }
            Term::Count(_) => self.count(&self.draft.nest.counts[self.draft.counts[&id]]),
            Term::Size(dim) => self.size(dim, dtype),
            Term::Const(s) => self.b.constant(*s),
            Term::Map(op, args) => {
                let args: Vec<InstId> = args.iter().map(|a| self.known[a]).collect();
                self.b.map(*op, &args)
            }
            Term::Cast(a) => self.b.cast(self.known[a], dtype),
            Term::Bitcast(a) => self.b.bitcast(self.known[a], dtype),
            Term::Scan { combine, value, .. } => self.b.scan(*combine, self.known[value]),
            // Written with all others.
            Term::Reduce { .. } | Term::Fold { .. } => return None,
        })
    }

    fn size(&mut self, dim: &Dim, dtype: DType) -> InstId {
        match (dim.as_const(), self.sizes.get(&(dim.clone(), dtype))) {
            (None, Some(operand)) => self.b.load(self.ids[*operand]),
            (known, _) => self.b.constant(Scalar::from_i128(dtype, known.unwrap_or(0).into())),
        }
    }

    /// What a layout of positions reads: the offset and each stride times the position along its axis.
    fn count(&mut self, layout: &Layout) -> InstId {
        let mut sum = (!layout.offset.is(0)).then(|| self.size(&layout.offset, DType::I64));
        for (axis, stride) in layout.strides.iter().enumerate() {
            if stride.is(0) {
                continue;
            }
            let mut moved = self.b.index(axis);
            if !stride.is(1) {
                let step = self.size(stride, DType::I64);
                moved = self.b.map(Op::Mul, &[moved, step]);
            }
            sum = Some(sum.map_or(moved, |s| self.b.map(Op::Add, &[s, moved])));
        }
        sum.unwrap_or_else(|| self.b.constant(Scalar::from_i128(DType::I64, 0)))
    }

    /// The reductions of elements that are known, each once.
    fn reduce(&mut self, folds: &[ExprId], elements: &HashMap<ExprId, InstId>) {
        let mut done: Vec<(Combine, &[ExprId], InstId)> = Vec::new();
        let mut parts = Vec::new();
        for id in folds {
            let Term::Fold { combine, values, component } = self.terms.term(*id) else { continue };
            let before = done.iter().find(|(c, v, _)| c == combine && v == values);
            let state = match before {
                Some((_, _, state)) => *state,
                None => {
                    let combined: Vec<InstId> = values.iter().map(|v| elements[v]).collect();
                    let state = self.b.reduce(*combine, &combined);
                    done.push((*combine, values, state));
                    state
                }
            };
            parts.push((*id, state, *component));
        }
        for (id, state, component) in parts {
            let part = if component == 0 { state } else { self.b.part(state, component) };
            self.known.insert(id, part);
        }
    }
}
