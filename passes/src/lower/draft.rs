//! From expressions to a kernel that computes them, or to the reason why there is none.
//!
//! An expression without reductions is a loop over the axes of its value. With reductions it is one over the *points*,
//! with the axes that are reduced as further ones: `sqrt(sum(x, axis=1))` has a point for each row, and so has
//! `x / sum(x, axis=1)`, whose rows are walked once more. Everything then stands in the same coordinates, those of the
//! kernel, and what is equal there is computed once.

use super::body::Body;
use super::expr::{ExprId, Term};
use super::nest::{Nest, NestAxis, NestOperand};
use super::{Lower, LowerError};
use crate::layout::Layout;
use crate::plan::{GatherSite, KernelStep};
use matex_ir::loops::{AxisKind, Combine};
use matex_ir::tensor::{Kind, ValueId};
use matex_ir::{DType, Dim, Span};
use rustc_hash::FxHashMap;
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
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) value: ExprId,
    pub(super) to: Layout,
    pub(super) shape: Vec<Dim>,
    /// The node whose value it is.
    pub(super) own: Option<ValueId>,
}

/// How the axes of a value lie in a kernel that computes it; those of one element do not.
#[derive(Clone)]
pub(super) struct Space {
    rank: usize,
    /// The axes of the value that are points.
    pub(super) points: Vec<usize>,
    /// Those that its reductions run over: `x / sum(x)` has an element for each that is summed.
    pub(super) within: Vec<usize>,
    /// The extents of the axes that are reduced.
    pub(super) over: Vec<Dim>,
}

impl Space {
    /// A layout in the coordinates of the kernel: points, and then what is reduced. What belongs to a point does not move
    /// along the axes that are reduced; what is inside of a reduction moves along its own, and along no other ones that
    /// stand for the same.
    fn place(&self, layout: &Layout, around: &[Dim]) -> Option<Layout> {
        let (value, inner) = layout.strides.split_at_checked(self.rank)?;
        let mut strides: Vec<Dim> = self.points.iter().map(|a| value[*a].clone()).collect();
        let elements = self.within.iter().map(|a| &value[*a]);
        if around.is_empty() {
            strides.extend(elements.cloned());
            strides.resize(self.points.len() + self.over.len(), Dim::ZERO);
        } else {
            let last = inner.len().checked_sub(self.over.len())?;
            let alike = !self.over.is_empty() && around.chunks(self.over.len()).all(|c| c == self.over);
            let still = elements.chain(&inner[..last]).all(|s| s.is(0));
            if !alike || !still {
                return None;
            }
            strides.extend_from_slice(&inner[last..]);
        }
        Some(Layout { strides, ..layout.clone() })
    }
}

/// A kernel before its operands are in place.
pub(super) struct Draft {
    pub(super) nest: Nest,
    /// The values that are stored, in the coordinates of the kernel, and whether each is one of elements rather than of
    /// points. Their operands are the last ones.
    pub(super) values: Vec<(ExprId, bool)>,
    /// How many axes are points.
    pub(super) points: usize,
    /// The operand of each term that reads memory.
    pub(super) loads: FxHashMap<ExprId, usize>,
    /// The place among the counts of each term that counts.
    pub(super) counts: FxHashMap<ExprId, usize>,
    /// Sizes that the body computes with.
    sizes: Vec<(Dim, DType)>,
}

impl Draft {
    /// Names the buffers that it writes.
    pub(super) fn write_to(&mut self, layouts: &[Layout]) {
        let first = self.nest.operands.len() - self.values.len();
        for (out, layout) in self.nest.operands[first..].iter_mut().zip(layouts) {
            out.layout.buffer = layout.buffer;
        }
    }
}

impl Lower<'_> {
    /// The kernel that computes some values and writes each to its layout.
    pub(super) fn draft(&mut self, sinks: &[Sink], origin: Span) -> Result<Draft, Obstacle> {
        let roots: Vec<ExprId> = sinks.iter().map(|s| s.value).collect();
        let top = self.terms.reachable(&roots);
        let reduces = self.only(&top, |t| matches!(t, Term::Reduce { .. }));
        let scans = self.only(&top, |t| matches!(t, Term::Scan { .. }));
        let own = |node: &ValueId| sinks.iter().any(|s| s.own == Some(*node));
        let inside = |lower: &Self| {
            let all = lower.terms.closure(&roots);
            let mut nodes: Vec<ValueId> = all.iter().filter_map(|t| lower.terms.node(*t)).collect();
            nodes.retain(|n| !own(n));
            nodes.sort_unstable();
            nodes.dedup();
            if nodes.is_empty() { Obstacle::Axes } else { Obstacle::Inside(nodes) }
        };
        let Some(spaces) = self.spaces(sinks, &reduces, &scans) else { return Err(inside(self)) };
        let mut values = Vec::new();
        for (sink, space) in sinks.iter().zip(&spaces) {
            let place = &mut |layout: &Layout, around: &[Dim]| space.place(layout, around);
            let Some(value) = self.terms.fold(sink.value, place) else { return Err(inside(self)) };
            let elements = !space.within.is_empty();
            if elements && !self.moves(value, space.points.len()) {
                return Err(inside(self));
            }
            values.push((value, elements));
        }
        let mut draft = self.nest_of(values, sinks, &spaces, origin);
        if let (Some(axis), Some(space)) = (self.scan_axis(&scans), spaces.first())
            && let Some(axis) = space.points.iter().position(|a| *a == axis)
        {
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

    fn only(&self, terms: &[ExprId], which: impl Fn(&Term) -> bool) -> Vec<ExprId> {
        terms.iter().copied().filter(|t| which(self.terms.term(*t))).collect()
    }

    /// How the values of one kernel lie in it; none when they do not go together.
    fn spaces(&self, sinks: &[Sink], reduces: &[ExprId], scans: &[ExprId]) -> Option<Vec<Space>> {
        let over = self.reduced_axes(reduces, scans)?;
        let scan = self.scan_axis(scans);
        let space = |sink: &Sink, within: Vec<usize>| {
            let is_point = |a: &usize| (!sink.shape[*a].is(1) || scan == Some(*a)) && !within.contains(a);
            let points = (0..sink.shape.len()).filter(is_point).collect();
            Space { rank: sink.shape.len(), points, within, over: over.clone() }
        };
        let mut spaces = Vec::new();
        for sink in sinks {
            let mine = self.only(&self.terms.reachable(&[sink.value]), |t| matches!(t, Term::Reduce { .. }));
            spaces.push(if mine.is_empty() && !over.is_empty() {
                None
            } else {
                Some(space(sink, self.within(&mine, &over, sink)?))
            });
        }
        let of_shape = |shape: &[Dim]| {
            let alike = sinks.iter().zip(&spaces).find(|(s, space)| s.shape == shape && space.is_some());
            alike.and_then(|(_, space)| space.as_ref()).map(|s| s.within.clone())
        };
        let spaces: Vec<Space> = sinks
            .iter()
            .zip(&spaces)
            .map(|(sink, known)| match known {
                Some(known) => known.clone(),
                // A value without reductions is one of elements or of points as others of its shape are.
                None => space(sink, of_shape(&sink.shape).unwrap_or_default()),
            })
            .collect();
        let points = |(sink, space): (&Sink, &Space)| -> Vec<Dim> {
            space.points.iter().map(|a| sink.shape[*a].clone()).collect()
        };
        let mut all = sinks.iter().zip(&spaces).map(points);
        let first = all.next()?;
        all.all(|p| p == first).then_some(spaces)
    }

    /// The axes of a value that its reductions run over: those along which none of what they combine moves.
    fn within(&self, reduces: &[ExprId], over: &[Dim], sink: &Sink) -> Option<Vec<usize>> {
        let mut others = reduces.iter().filter(|r| sink.own.is_none() || self.terms.node(**r) != sink.own);
        let missing = |r: &ExprId| self.still_axes(*r, &sink.shape);
        let within = others.clone().next().map(missing).unwrap_or_default();
        // Where a reduction has the same result at several points, these have to be the elements that it is over.
        let inside = within.is_empty() || within.iter().map(|a| &sink.shape[*a]).eq(over);
        (inside && others.all(|r| missing(r) == within)).then_some(within)
    }

    /// Whether the vectors of a reduction rather lie along its points, where memory leaves the choice.
    fn prefers_points(&self, reduce: ExprId) -> bool {
        let Some(node) = self.terms.node(reduce).map(|v| self.func.node(v)) else { return false };
        let Kind::Reduce { axes, .. } = &node.kind else { return true };
        let shape = node.args.first().map_or(&[][..], |x| &self.func.ty(*x).shape);
        let last = (0..shape.len()).rev().find(|a| !shape[*a].is(1));
        last.is_some_and(|a| !axes.contains(&a))
    }

    /// The axes along which nothing that a reduction combines moves, but those of one element.
    fn still_axes(&self, reduce: ExprId, shape: &[Dim]) -> Vec<usize> {
        let all = self.terms.closure(&[reduce]);
        let layouts = all.iter().filter_map(|t| self.terms.term(*t).layout()).map(|l| self.terms.layout(l));
        let layouts: Vec<&Layout> = layouts.collect();
        let moves = |axis: usize| layouts.iter().any(|l| l.strides.get(axis).is_some_and(|s| !s.is(0)));
        (0..shape.len()).filter(|axis| !shape[*axis].is(1) && !moves(*axis)).collect()
    }

    /// Whether a value in the coordinates of a kernel changes along the axes behind those of its points.
    fn moves(&self, value: ExprId, points: usize) -> bool {
        self.terms.reachable(&[value]).iter().any(|t| self.terms.moves(*t, points))
    }

    /// The axes that all reductions of an expression run over; none when they differ, and when a scan is among them
    /// or scans run along several axes.
    fn reduced_axes(&self, reduces: &[ExprId], scans: &[ExprId]) -> Option<Vec<Dim>> {
        let over = |t: &ExprId| self.terms.over(*t);
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

    fn nest_of(&self, values: Vec<(ExprId, bool)>, sinks: &[Sink], spaces: &[Space], origin: Span) -> Draft {
        let (mut axes, mut points) = (Vec::new(), 0);
        if let (Some(space), Some(sink)) = (spaces.first(), sinks.first()) {
            points = space.points.len();
            let extents = space.points.iter().map(|a| &sink.shape[*a]);
            axes.extend(extents.map(|d| NestAxis::new(d, AxisKind::Parallel)));
            axes.extend(space.over.iter().map(|d| NestAxis::new(d, AxisKind::Reduce)));
        }
        let roots: Vec<ExprId> = values.iter().map(|v| v.0).collect();
        let closure = self.terms.closure(&roots);
        let mut nest = Nest {
            name: self.name_of(&closure),
            axes,
            operands: Vec::new(),
            counts: Vec::new(),
            gathers: Vec::new(),
            origin,
        };
        let (mut loads, mut counts, mut sizes) = (FxHashMap::default(), FxHashMap::default(), Vec::new());
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
        for ((sink, space), (value, _)) in sinks.iter().zip(spaces).zip(&values) {
            let to = space.place(&sink.to, &[]).unwrap_or_else(|| sink.to.clone());
            nest.operands.push(NestOperand::write(&to, self.terms.dtype(*value)));
        }
        Draft { nest, values, points, loads, counts, sizes }
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
                let at = nest.operands.len() - draft.values.len();
                nest.operands.insert(at, NestOperand::read(&layout, dtype));
                sizes.insert((dim, dtype), at);
            }
        }
        let terms = std::mem::take(&mut self.terms);
        let step = self.bind(&nest, |b, ids| Body::new(&terms, draft, &sizes, b, ids).write());
        self.terms = terms;
        step
    }
}
