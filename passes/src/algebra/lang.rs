//! The tensor IR as the language of an e-graph.
//!
//! An e-node is small: a [`Tag`] for what rules look for, a number that stands for all the rest of what the node does,
//! and its operands. The rest (axes, constants, the type of the result) stands once in a [`Table`], so that e-nodes
//! hash and compare as a few integers. Values that come from outside of the region are leaves.

use super::facts::{self, Facts};
use egg::{Analysis, DidMerge, EGraph, Id, Language};
use matex_ir::tensor::{Kind, LibOp, ReduceOp, TensorType, Type};
use matex_ir::{Dim, Op, Span};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// What a node does, as far as a rule asks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tag {
    /// An elementwise op.
    Map(Op),
    /// A value of elsewhere: a parameter, or of a region around.
    Leaf,
    /// A constant.
    Constant,
    /// A conversion.
    Cast,
    /// Repetition.
    Broadcast,
    /// Axes in another order.
    Permute,
    /// Another shape.
    Reshape,
    /// A part.
    Slice,
    /// The index along an axis.
    Iota,
    /// A reduction.
    Reduce(ReduceOp),
    /// A sum of products.
    Dot,
    /// The solution of a system.
    Solve,
    /// Another library routine.
    Lib,
    /// A member of a tuple.
    Proj,
    /// Everything else, control flow included.
    Other,
}

impl Tag {
    /// How many tags there are.
    pub(crate) const COUNT: usize = matex_ir::ops::TABLE.len() + 22;

    /// Its place among all tags.
    pub(crate) fn index(self) -> usize {
        let ops = matex_ir::ops::TABLE.len();
        match self {
            Tag::Map(op) => op as usize,
            Tag::Leaf => ops,
            Tag::Constant => ops + 1,
            Tag::Cast => ops + 2,
            Tag::Broadcast => ops + 3,
            Tag::Permute => ops + 4,
            Tag::Reshape => ops + 5,
            Tag::Slice => ops + 6,
            Tag::Iota => ops + 7,
            Tag::Dot => ops + 8,
            Tag::Solve => ops + 9,
            Tag::Lib => ops + 10,
            Tag::Proj => ops + 11,
            Tag::Other => ops + 12,
            Tag::Reduce(op) => ops + 13 + op as usize,
        }
    }

    /// The tag of a node of the tensor IR.
    pub(crate) fn of(kind: &Kind) -> Tag {
        match kind {
            Kind::Map(op) => Tag::Map(*op),
            Kind::Param(_) | Kind::RegionParam => Tag::Leaf,
            Kind::Constant(_) => Tag::Constant,
            Kind::Cast => Tag::Cast,
            Kind::Broadcast { .. } => Tag::Broadcast,
            Kind::Permute(_) => Tag::Permute,
            Kind::Reshape => Tag::Reshape,
            Kind::Slice(_) => Tag::Slice,
            Kind::Iota { .. } => Tag::Iota,
            Kind::Reduce { op, .. } => Tag::Reduce(*op),
            Kind::Dot { .. } => Tag::Dot,
            Kind::Lib(LibOp::Solve) => Tag::Solve,
            Kind::Lib(_) => Tag::Lib,
            Kind::Proj(_) => Tag::Proj,
            Kind::Size(_)
            | Kind::Bitcast
            | Kind::Pad { .. }
            | Kind::Concat { .. }
            | Kind::Gather { .. }
            | Kind::GatherAlong { .. }
            | Kind::ScatterAlong { .. }
            | Kind::Update(_)
            | Kind::Scan { .. }
            | Kind::Check { .. }
            | Kind::For(_)
            | Kind::While(..)
            | Kind::If(..) => Tag::Other,
        }
    }
}

/// An e-node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TensorLang {
    pub(crate) tag: Tag,
    /// The entry of the table; 0 for elementwise ops, which need none.
    pub(crate) entry: u32,
    pub(crate) args: SmallVec<[Id; 3]>,
}

impl Language for TensorLang {
    /// egg keeps an index by these, which nothing here uses: rules are found by the tags of nodes.
    type Discriminant = ();

    fn discriminant(&self) {}

    fn matches(&self, other: &TensorLang) -> bool {
        self.tag == other.tag && self.entry == other.entry && self.args.len() == other.args.len()
    }

    fn children(&self) -> &[Id] {
        &self.args
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.args
    }
}

/// The name alone; [`super::explain`] prints nodes in words of the IR.
impl fmt::Display for TensorLang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag {
            Tag::Map(op) => f.write_str(op.name()),
            Tag::Leaf
            | Tag::Constant
            | Tag::Cast
            | Tag::Broadcast
            | Tag::Permute
            | Tag::Reshape
            | Tag::Slice
            | Tag::Iota
            | Tag::Reduce(_)
            | Tag::Dot
            | Tag::Solve
            | Tag::Lib
            | Tag::Proj
            | Tag::Other => write!(f, "{:?}#{}", self.tag, self.entry),
        }
    }
}

/// What stands behind the numbers of e-nodes, and what went wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    entries: Vec<(Kind, Type)>,
    /// The numbers of entries by their hashes, so that asking for one copies nothing.
    known: FxHashMap<u64, SmallVec<[u32; 2]>>,
    /// Whoever writes a program shall not choose which of its parts collide.
    hashes: RandomState,
    types: Vec<Type>,
    known_types: HashMap<Type, u32>,
    /// Pairs of dims that the guards of the function say to be equal.
    equal: Vec<(Dim, Dim)>,
    /// What is known of the leaves besides their types, by entry.
    leaves: FxHashMap<u32, Facts>,
    /// The place in the source that nodes made from now on come from.
    pub(crate) origin: Span,
    /// The first disagreement of types: a rule is wrong, and so is everything in the e-graph.
    pub(crate) wrong: Option<String>,
}

impl Table {
    /// A table for a function with these equalities of sizes.
    pub(crate) fn new(equal: Vec<(Dim, Dim)>) -> Table {
        Table { equal, ..Table::default() }
    }

    /// The number of a kind with its result type.
    pub(crate) fn entry(&mut self, kind: &Kind, ty: &Type) -> u32 {
        let hash = self.hashes.hash_one((kind, ty));
        let known = self.known.entry(hash).or_default();
        let same = |number: &&u32| {
            let (k, t) = &self.entries[**number as usize];
            k == kind && t == ty
        };
        if let Some(number) = known.iter().find(same) {
            return *number;
        }
        let number = self.entries.len() as u32;
        self.entries.push((kind.clone(), ty.clone()));
        known.push(number);
        number
    }

    /// What a number stands for; an elementwise op stands for itself.
    pub(crate) fn kind(&self, node: &TensorLang) -> Kind {
        if let Tag::Map(op) = node.tag { Kind::Map(op) } else { self.entries[node.entry as usize].0.clone() }
    }

    pub(crate) fn entry_kind(&self, entry: u32) -> &Kind {
        &self.entries[entry as usize].0
    }

    pub(crate) fn entry_type(&self, entry: u32) -> &Type {
        &self.entries[entry as usize].1
    }

    /// The number of a type.
    pub(crate) fn type_number(&mut self, ty: &Type) -> u32 {
        if let Some(known) = self.known_types.get(ty) {
            return *known;
        }
        let number = self.types.len() as u32;
        self.types.push(ty.clone());
        self.known_types.insert(ty.clone(), number);
        number
    }

    /// The type with that number.
    pub(crate) fn ty(&self, number: u32) -> &Type {
        &self.types[number as usize]
    }

    /// Whether two types are the same for every call that passes the guards.
    fn same_type(&self, a: &Type, b: &Type) -> bool {
        let tensors = |a: &TensorType, b: &TensorType| {
            a.dtype == b.dtype
                && a.rank() == b.rank()
                && a.shape.iter().zip(&b.shape).all(|(a, b)| self.same_dim(a, b))
        };
        match (a, b) {
            (Type::Tensor(a), Type::Tensor(b)) => tensors(a, b),
            (Type::Tuple(a), Type::Tuple(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| tensors(a, b))
            }
            (Type::Tensor(_), Type::Tuple(_)) | (Type::Tuple(_), Type::Tensor(_)) => false,
        }
    }

    /// Whether two dims are the same for every call that passes the guards.
    pub(crate) fn same_dim(&self, a: &Dim, b: &Dim) -> bool {
        if a == b {
            return true;
        }
        let difference = a - b;
        self.equal.iter().any(|(l, r)| {
            let known = l - r;
            difference == known || difference == -&known
        })
    }

    pub(crate) fn leaf(&self, entry: u32) -> Option<&Facts> {
        self.leaves.get(&entry)
    }

    pub(crate) fn set_leaf(&mut self, entry: u32, facts: Facts) {
        self.leaves.insert(entry, facts);
    }
}

/// The e-graph of one region.
pub(crate) type TensorGraph = EGraph<TensorLang, Table>;

impl Analysis<TensorLang> for Table {
    type Data = Facts;

    fn make(egraph: &mut TensorGraph, node: &TensorLang, _: Id) -> Facts {
        facts::of_node(egraph, node)
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        if a.ty != b.ty && self.wrong.is_none() && !self.same_type(self.ty(a.ty), self.ty(b.ty)) {
            self.wrong = Some(format!("{} and {} are said to be one value", self.ty(a.ty), self.ty(b.ty)));
        }
        a.merge(&b)
    }

    fn modify(egraph: &mut TensorGraph, id: Id) {
        facts::fold(egraph, id);
    }
}
