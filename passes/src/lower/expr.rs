//! Values that are not in memory: expressions over values that are.
//!
//! A value that nobody materialized is a [`Term`] over memory ([`Layout`]s), positions and constants. Terms stand in one
//! arena and equal ones are one term, so that what is shared in a program is computed once in a kernel. A view of a
//! value is the same expression with the view applied to every memory in it, which is why a view never costs a kernel.
//!
//! The layouts of a term have a stride for each axis of its value. Inside a reduction they have further ones, behind
//! these, for the axes that are reduced.

use crate::layout::Layout;
use matex_ir::loops::Combine;
use matex_ir::tensor::ValueId;
use matex_ir::{DType, Dim, Op, Scalar, Span};
use rustc_hash::FxHashMap;
use std::collections::HashMap;

/// An expression, by its place in the arena; the terms it uses stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ExprId(u32);

/// A layout, by its place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LayoutId(u32);

/// How an element is computed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Term {
    /// What lies in memory.
    Load(LayoutId),
    /// What lies in memory, moved along one further dimension by an index, which may be out of range.
    LoadAt {
        /// The memory; it does not move along the dimension.
        from: LayoutId,
        /// Extent and stride of the dimension.
        along: (Dim, Dim),
        /// An i64.
        index: ExprId,
        /// The number of the gather, for messages.
        site: u32,
    },
    /// An i64: what the layout would read in a memory whose elements are 0, 1, 2, …; it has no buffer.
    Count(LayoutId),
    /// A size.
    Size(Dim),
    /// A constant.
    Const(Scalar),
    /// An op of the table.
    Map(Op, Vec<ExprId>),
    /// A conversion.
    Cast(ExprId),
    /// The same bits as another dtype.
    Bitcast(ExprId),
    /// A component of the combination of values over further axes.
    Reduce {
        /// How they are combined.
        combine: Combine,
        /// A value for each component of the state.
        values: Vec<ExprId>,
        /// The axes that are reduced, behind those of the value.
        over: Vec<Dim>,
        /// Which component is meant.
        component: usize,
        /// The node whose value it is.
        node: ValueId,
    },
    /// The same in the coordinates of a kernel: over its reduce axis.
    Fold {
        /// How they are combined.
        combine: Combine,
        /// A value for each component of the state.
        values: Vec<ExprId>,
        /// Which component is meant.
        component: usize,
    },
    /// The running combination along an axis.
    Scan {
        /// How values are combined.
        combine: Combine,
        /// The value at a point.
        value: ExprId,
        /// The axis.
        axis: usize,
        /// The node whose value it is.
        node: ValueId,
    },
}

impl Term {
    /// The terms of the same element that it uses. What a reduction combines are other elements, and not among them.
    pub(super) fn args(&self) -> &[ExprId] {
        match self {
            Term::Map(_, args) => args,
            Term::Cast(a)
            | Term::Bitcast(a)
            | Term::Scan { value: a, .. }
            | Term::LoadAt { index: a, .. } => std::slice::from_ref(a),
            Term::Load(_)
            | Term::Count(_)
            | Term::Size(_)
            | Term::Const(_)
            | Term::Reduce { .. }
            | Term::Fold { .. } => &[],
        }
    }

    /// What a reduction combines.
    pub(super) fn combined(&self) -> &[ExprId] {
        match self {
            Term::Reduce { values, .. } | Term::Fold { values, .. } => values,
            Term::Load(_)
            | Term::LoadAt { .. }
            | Term::Count(_)
            | Term::Size(_)
            | Term::Const(_)
            | Term::Map(..)
            | Term::Cast(_)
            | Term::Bitcast(_)
            | Term::Scan { .. } => &[],
        }
    }

    /// The memory or the positions that it reads.
    pub(super) fn layout(&self) -> Option<LayoutId> {
        match self {
            Term::Load(l) | Term::LoadAt { from: l, .. } | Term::Count(l) => Some(*l),
            Term::Size(_)
            | Term::Const(_)
            | Term::Map(..)
            | Term::Cast(_)
            | Term::Bitcast(_)
            | Term::Reduce { .. }
            | Term::Fold { .. }
            | Term::Scan { .. } => None,
        }
    }
}

/// All terms of a plan under construction, each once.
#[derive(Debug, Default)]
pub(super) struct Terms {
    terms: Vec<(Term, DType)>,
    /// The place in the source that each was first written for.
    origins: Vec<Span>,
    /// That of new ones.
    origin: Span,
    known: HashMap<(Term, DType), ExprId>,
    layouts: Vec<Layout>,
    known_layouts: HashMap<Layout, LayoutId>,
}

/// How a rewriting places a layout among given further axes; none when it cannot.
pub(super) type Place<'a> = &'a mut dyn FnMut(&Layout, &[Dim]) -> Option<Layout>;

/// What a rewriting is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Another value.
    Value,
    /// A kernel.
    Kernel,
}

impl Terms {
    pub(super) fn term(&self, id: ExprId) -> &Term {
        &self.terms[id.0 as usize].0
    }

    pub(super) fn dtype(&self, id: ExprId) -> DType {
        self.terms[id.0 as usize].1
    }

    /// New terms come from this place in the source.
    pub(super) fn at(&mut self, origin: Span) {
        self.origin = origin;
    }

    /// The place in the source that a term comes from.
    pub(super) fn origin(&self, id: ExprId) -> Span {
        self.origins[id.0 as usize]
    }

    pub(super) fn layout(&self, id: LayoutId) -> &Layout {
        &self.layouts[id.0 as usize]
    }

    /// The memory that a term is, when it is nothing else.
    pub(super) fn as_layout(&self, id: ExprId) -> Option<&Layout> {
        if let Term::Load(l) = self.term(id) { Some(self.layout(*l)) } else { None }
    }

    /// Whether a term is what is in memory, or a constant.
    pub(super) fn is_plain(&self, id: ExprId) -> bool {
        matches!(self.term(id), Term::Load(_) | Term::Const(_))
    }

    pub(super) fn add(&mut self, term: Term, dtype: DType) -> ExprId {
        let key = (term, dtype);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let id = ExprId(self.terms.len() as u32);
        self.terms.push(key.clone());
        self.origins.push(self.origin);
        self.known.insert(key, id);
        id
    }

    pub(super) fn keep(&mut self, layout: Layout) -> LayoutId {
        if let Some(id) = self.known_layouts.get(&layout) {
            return *id;
        }
        let id = LayoutId(self.layouts.len() as u32);
        self.layouts.push(layout.clone());
        self.known_layouts.insert(layout, id);
        id
    }

    pub(super) fn load(&mut self, layout: Layout, dtype: DType) -> ExprId {
        let layout = self.keep(layout);
        self.add(Term::Load(layout), dtype)
    }

    pub(super) fn map(&mut self, op: Op, args: Vec<ExprId>) -> ExprId {
        let dtypes: Vec<DType> = args.iter().map(|a| self.dtype(*a)).collect();
        let dtype = op.result_dtype(&dtypes).unwrap_or(DType::Bool);
        self.add(Term::Map(op, args), dtype)
    }

    /// The value converted; constants and sizes at once.
    pub(super) fn cast(&mut self, value: ExprId, dtype: DType) -> ExprId {
        if self.dtype(value) == dtype {
            return value;
        }
        match self.term(value).clone() {
            Term::Const(s) => self.add(Term::Const(s.cast(dtype)), dtype),
            // What the runtime writes is an i64, converted: that is two conversions only from there on.
            Term::Size(dim) if self.dtype(value) == DType::I64 => self.add(Term::Size(dim), dtype),
            Term::Load(_)
            | Term::LoadAt { .. }
            | Term::Count(_)
            | Term::Size(_)
            | Term::Map(..)
            | Term::Cast(_)
            | Term::Bitcast(_)
            | Term::Reduce { .. }
            | Term::Fold { .. }
            | Term::Scan { .. } => self.add(Term::Cast(value), dtype),
        }
    }

    /// The node whose value a reduction or a scan is.
    pub(super) fn node(&self, id: ExprId) -> Option<ValueId> {
        match self.term(id) {
            Term::Reduce { node, .. } | Term::Scan { node, .. } => Some(*node),
            Term::Load(_)
            | Term::LoadAt { .. }
            | Term::Count(_)
            | Term::Size(_)
            | Term::Const(_)
            | Term::Map(..)
            | Term::Cast(_)
            | Term::Bitcast(_)
            | Term::Fold { .. } => None,
        }
    }

    /// The axes that a reduction is over.
    pub(super) fn over(&self, id: ExprId) -> &[Dim] {
        match self.term(id) {
            Term::Reduce { over, .. } => over,
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
        }
    }

    /// Whether what a term itself reads moves along the axes of a kernel behind its first ones, the points. A gather may
    /// fail wherever it is done, and counts as moving.
    pub(super) fn moves(&self, id: ExprId, points: usize) -> bool {
        let term = self.term(id);
        let layout = term.layout().map(|l| self.layout(l));
        let inner = layout.and_then(|l| l.strides.get(points..)).unwrap_or_default();
        matches!(term, Term::LoadAt { .. }) || inner.iter().any(|s| !s.is(0))
    }

    /// All terms of the same element that these use, themselves included, each behind those that it uses.
    pub(super) fn reachable(&self, roots: &[ExprId]) -> Vec<ExprId> {
        let mut seen = vec![false; self.terms.len()];
        let mut open: Vec<ExprId> = roots.to_vec();
        let mut found = Vec::new();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut seen[id.0 as usize], true) {
                found.push(id);
                open.extend_from_slice(self.term(id).args());
            }
        }
        found.sort_unstable();
        found
    }

    /// All terms that these use, those inside of reductions too.
    pub(super) fn closure(&self, roots: &[ExprId]) -> Vec<ExprId> {
        let mut seen = vec![false; self.terms.len()];
        let mut open: Vec<ExprId> = roots.to_vec();
        let mut found = Vec::new();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut seen[id.0 as usize], true) {
                found.push(id);
                open.extend_from_slice(self.term(id).args());
                open.extend_from_slice(self.term(id).combined());
            }
        }
        found.sort_unstable();
        found
    }

    /// The expression with every layout replaced by what `place` makes of it and of the axes that are being reduced
    /// around it.
    pub(super) fn rewrite(&mut self, root: ExprId, place: Place<'_>) -> Option<ExprId> {
        self.rewrite_under(root, &[], Target::Value, place)
    }

    /// The same into the coordinates of a kernel, where all reductions run over one axis.
    pub(super) fn fold(&mut self, root: ExprId, place: Place<'_>) -> Option<ExprId> {
        self.rewrite_under(root, &[], Target::Kernel, place)
    }

    fn rewrite_under(
        &mut self,
        root: ExprId,
        over: &[Dim],
        target: Target,
        place: Place<'_>,
    ) -> Option<ExprId> {
        let mut new: FxHashMap<ExprId, ExprId> = FxHashMap::default();
        for id in self.reachable(&[root]) {
            let dtype = self.dtype(id);
            let mut term = self.term(id).clone();
            match &mut term {
                Term::Load(l) | Term::Count(l) => *l = self.moved(*l, over, place)?,
                Term::LoadAt { from, index, .. } => {
                    *from = self.moved(*from, over, place)?;
                    *index = new[index];
                }
                Term::Size(_) | Term::Const(_) => {}
                Term::Map(_, args) => args.iter_mut().for_each(|a| *a = new[a]),
                Term::Cast(a) | Term::Bitcast(a) => *a = new[a],
                Term::Reduce { combine, values, over: further, component, .. } => {
                    let inner: Vec<Dim> = over.iter().chain(further.iter()).cloned().collect();
                    for value in values.iter_mut() {
                        *value = self.rewrite_under(*value, &inner, target, place)?;
                    }
                    if target == Target::Kernel {
                        let (combine, component) = (*combine, *component);
                        term = Term::Fold { combine, values: std::mem::take(values), component };
                    }
                }
                Term::Scan { value, .. } if target == Target::Kernel => *value = new[value],
                // The elements before a point are others in a view.
                Term::Fold { .. } | Term::Scan { .. } => return None,
            }
            let known = self.terms.len();
            let made = self.add(term, dtype);
            // What is written in other coordinates comes from where it came from.
            if made.0 as usize == known {
                self.origins[known] = self.origin(id);
            }
            new.insert(id, made);
        }
        new.get(&root).copied()
    }

    fn moved(&mut self, layout: LayoutId, over: &[Dim], place: Place<'_>) -> Option<LayoutId> {
        let moved = place(&self.layouts[layout.0 as usize], over)?;
        Some(self.keep(moved))
    }
}
