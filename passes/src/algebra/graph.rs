//! An e-graph as rules see it: questions about classes, and nodes with their types.

use super::facts::{self, Facts};
use super::lang::{Tag, TensorGraph, TensorLang};
use super::structure::Structure;
use egg::Id;
use matex_ir::tensor::{Kind, LibOp, ReduceOp, SliceAxis, TensorType, Type};
use matex_ir::{DType, Dim, Op, Scalar};
use std::sync::LazyLock;

/// Pairs of axes of a dot.
pub(crate) type Pairs = Vec<(usize, usize)>;

/// The e-graph of one region.
pub(crate) struct Graph {
    pub(crate) egg: TensorGraph,
}

static SCALAR: TensorType = TensorType { dtype: DType::Bool, shape: Vec::new() };

/// A clock that stands still. egg notes for its log how long it took to restore an e-graph, by a clock that it first calibrates against
/// another one: a process waits for that in the first program it compiles, longest where others use the machine.
static STILL: LazyLock<quanta::Clock> = LazyLock::new(|| quanta::Clock::mock().0);

impl Graph {
    /// Restores what holds of an e-graph after classes were united.
    pub(crate) fn rebuild(&mut self) {
        quanta::with_clock(&STILL, || self.egg.rebuild());
    }

    /// What is known of a class.
    pub(crate) fn facts(&self, id: Id) -> &Facts {
        &self.egg[id].data
    }

    /// The type of a value that is one tensor.
    pub(crate) fn ty(&self, id: Id) -> &TensorType {
        self.egg.analysis.tensor(self.facts(id).ty).unwrap_or(&SCALAR)
    }

    /// The extents.
    pub(crate) fn shape(&self, id: Id) -> &[Dim] {
        &self.ty(id).shape
    }

    /// How many axes it has.
    pub(crate) fn rank(&self, id: Id) -> usize {
        self.ty(id).rank()
    }

    /// Whether its elements are floats.
    pub(crate) fn is_float(&self, id: Id) -> bool {
        self.ty(id).dtype.is_float()
    }

    /// The value of all its elements, when it is one and known.
    pub(crate) fn splat(&self, id: Id) -> Option<Scalar> {
        self.facts(id).splat
    }

    /// Whether it has this structure.
    pub(crate) fn has(&self, id: Id, structure: Structure) -> bool {
        self.facts(id).structure.has(structure)
    }

    /// Whether two ids are one class.
    pub(crate) fn same(&self, a: Id, b: Id) -> bool {
        self.egg.find(a) == self.egg.find(b)
    }

    /// The nodes of a class with this tag.
    pub(crate) fn nodes(&self, id: Id, tag: Tag) -> Vec<TensorLang> {
        self.egg[id].nodes.iter().filter(|n| n.tag == tag).cloned().collect()
    }

    /// The first node of a class with this tag, and what it does.
    pub(crate) fn node(&self, id: Id, tag: Tag) -> Option<(TensorLang, Kind)> {
        let node = self.egg[id].nodes.iter().find(|n| n.tag == tag)?;
        Some((node.clone(), self.egg.analysis.kind(node)))
    }

    /// What the repetitions in a class repeat, and the axes of the result that the operand's become.
    pub(crate) fn repetitions(&self, id: Id) -> Vec<(Id, Vec<usize>)> {
        let of = |n: &TensorLang| {
            if let Kind::Broadcast { axes } = self.kind(n) { Some((n.args[0], axes)) } else { None }
        };
        self.nodes(id, Tag::Broadcast).iter().filter_map(of).collect()
    }

    /// What a node does.
    pub(crate) fn kind(&self, node: &TensorLang) -> Kind {
        self.egg.analysis.kind(node)
    }

    /// Whether two dims are the same for every call that passes the guards.
    pub(crate) fn same_dim(&self, a: &Dim, b: &Dim) -> bool {
        self.egg.analysis.same_dim(a, b)
    }

    /// Whether two shapes are the same for every call that passes the guards.
    pub(crate) fn same_shape(&self, a: &[Dim], b: &[Dim]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same_dim(a, b))
    }

    fn add(&mut self, kind: Kind, dtype: DType, shape: Vec<Dim>, args: &[Id]) -> Id {
        facts::add(&mut self.egg, Tag::of(&kind), &kind, TensorType::new(dtype, shape), args)
    }

    /// An elementwise op. Operands that commute are sorted, so that one product has one node.
    pub(crate) fn map(&mut self, op: Op, args: &[Id]) -> Id {
        let mut node = TensorLang { tag: Tag::Map(op), entry: 0, args: args.into() };
        if op.row().commutative && !self.egg.are_explanations_enabled() {
            node.args.iter_mut().for_each(|a| *a = self.egg.find(*a));
            node.args.sort();
        }
        self.egg.add_uncanonical(node)
    }

    /// A constant of this dtype, repeated to a shape.
    pub(crate) fn number(&mut self, value: f64, dtype: DType, shape: &[Dim]) -> Id {
        self.constant(Scalar::from_f64(dtype, value), shape)
    }

    /// A constant, repeated to a shape.
    pub(crate) fn constant(&mut self, value: Scalar, shape: &[Dim]) -> Id {
        facts::add_splat(&mut self.egg, value, shape)
    }

    /// A size as a number of this dtype, without axes.
    pub(crate) fn size(&mut self, dim: Dim, dtype: DType) -> Id {
        let size = self.add(Kind::Size(dim), DType::I64, Vec::new(), &[]);
        self.cast(size, dtype)
    }

    /// A conversion.
    pub(crate) fn cast(&mut self, x: Id, dtype: DType) -> Id {
        if self.ty(x).dtype == dtype {
            return x;
        }
        let shape = self.shape(x).to_vec();
        self.add(Kind::Cast, dtype, shape, &[x])
    }

    /// Axes in another order.
    pub(crate) fn permute(&mut self, x: Id, perm: Vec<usize>) -> Id {
        if perm.iter().enumerate().all(|(i, p)| i == *p) {
            return x;
        }
        let ty = self.ty(x);
        let (dtype, shape) = (ty.dtype, perm.iter().map(|p| ty.shape[*p].clone()).collect());
        self.add(Kind::Permute(perm), dtype, shape, &[x])
    }

    /// The same elements under another shape.
    pub(crate) fn reshape(&mut self, x: Id, shape: Vec<Dim>) -> Id {
        if self.shape(x) == shape {
            return x;
        }
        let dtype = self.ty(x).dtype;
        self.add(Kind::Reshape, dtype, shape, &[x])
    }

    /// Repetition; axis `i` becomes axis `axes[i]`.
    pub(crate) fn broadcast(&mut self, x: Id, shape: Vec<Dim>, axes: Vec<usize>) -> Id {
        if self.shape(x) == shape {
            return x;
        }
        let dtype = self.ty(x).dtype;
        self.add(Kind::Broadcast { axes }, dtype, shape, &[x])
    }

    /// A regular part.
    pub(crate) fn slice(&mut self, x: Id, axes: Vec<SliceAxis>, lens: Vec<Dim>) -> Id {
        if self.shape(x) == lens && axes.iter().all(|a| a.start == Dim::ZERO && a.step == 1) {
            return x;
        }
        let dtype = self.ty(x).dtype;
        self.add(Kind::Slice(axes), dtype, lens, &[x])
    }

    /// The index along an axis.
    pub(crate) fn iota(&mut self, shape: &[Dim], axis: usize) -> Id {
        self.add(Kind::Iota { axis }, DType::I64, shape.to_vec(), &[])
    }

    /// Elements picked along an axis, by an index of the shape of the result.
    pub(crate) fn gather_along(&mut self, x: Id, index: Id, axis: usize) -> Id {
        let (dtype, shape) = (self.ty(x).dtype, self.shape(index).to_vec());
        self.add(Kind::GatherAlong { axis }, dtype, shape, &[x, index])
    }

    /// Values one behind the other along an axis, which have this shape together.
    pub(crate) fn concat(&mut self, axis: usize, xs: &[Id], shape: Vec<Dim>) -> Id {
        let dtype = xs.first().map_or(DType::Bool, |x| self.ty(*x).dtype);
        self.add(Kind::Concat { axis }, dtype, shape, xs)
    }

    /// A reduction that keeps the dtype; nothing without axes.
    pub(crate) fn reduce(&mut self, op: ReduceOp, x: Id, axes: Vec<usize>) -> Id {
        if axes.is_empty() {
            return x;
        }
        let ty = self.ty(x);
        let kept = ty.shape.iter().enumerate().filter(|(i, _)| !axes.contains(i));
        let (dtype, shape) = (ty.dtype, kept.map(|(_, d)| d.clone()).collect());
        self.add(Kind::Reduce { op, axes }, dtype, shape, &[x])
    }

    /// A sum of products.
    pub(crate) fn dot(&mut self, a: Id, b: Id, batch: Pairs, contract: Pairs) -> Id {
        let (ta, tb) = (self.ty(a), self.ty(b));
        let free = |ty: &TensorType, left: bool| {
            let bound = |axis: usize| {
                let mut pairs = batch.iter().chain(&contract);
                pairs.any(|(l, r)| if left { *l == axis } else { *r == axis })
            };
            let kept = ty.shape.iter().enumerate().filter(|(i, _)| !bound(*i));
            kept.map(|(_, d)| d.clone()).collect::<Vec<_>>()
        };
        let mut shape: Vec<Dim> = batch.iter().map(|(l, _)| ta.shape[*l].clone()).collect();
        shape.extend(free(ta, true));
        shape.extend(free(tb, false));
        let dtype = ta.dtype;
        self.add(Kind::Dot { batch, contract }, dtype, shape, &[a, b])
    }

    /// A library routine whose value has the type of its last operand.
    pub(crate) fn lib(&mut self, op: LibOp, args: &[Id]) -> Id {
        let ty = args.last().map_or_else(|| SCALAR.clone(), |a| self.ty(*a).clone());
        self.add(Kind::Lib(op), ty.dtype, ty.shape, args)
    }

    /// A factorization with one result.
    pub(crate) fn factor(&mut self, op: &LibOp, x: Id) -> Option<Id> {
        let [ty] = <[TensorType; 1]>::try_from(op.factors(&[self.ty(x)])?).ok()?;
        Some(self.add(Kind::Lib(op.clone()), ty.dtype, ty.shape, &[x]))
    }

    /// A matrix, or each of a batch, transposed.
    pub(crate) fn transpose(&mut self, x: Id) -> Id {
        let rank = self.rank(x);
        let mut perm: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            perm.swap(rank - 2, rank - 1);
        }
        self.permute(x, perm)
    }

    /// Says that two values are one, by a rule.
    pub(crate) fn union(&mut self, a: Id, b: Id, rule: &'static str) -> bool {
        if self.egg.are_explanations_enabled() {
            self.egg.union_trusted(a, b, rule)
        } else {
            self.egg.union(a, b)
        }
    }

    /// The type of an entry of the table.
    pub(crate) fn full_type(&self, id: Id) -> &Type {
        self.egg.analysis.ty(self.facts(id).ty)
    }
}
