//! What is known of a value whatever its elements: the analysis of e-classes.
//!
//! A fact holds for every call, by the shape of the program alone. Facts of merged classes hold together. Structure is
//! that of exact arithmetic: `X.T @ X` counts as symmetric though rounding may leave its halves a bit apart, so that
//! only rules of the default tier may use it, and none may rely on it for more than accuracy.

use super::lang::{Table, Tag, TensorGraph, TensorLang};
use super::structure::{self, Structure};
use egg::{DidMerge, Id, Language};
use matex_ir::tensor::{Kind, Literal, TensorType, Type};
use matex_ir::{DType, Dim, Op, Scalar, Span};
use smallvec::SmallVec;

/// What is known of an e-class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// The number of its type in the table.
    pub(crate) ty: u32,
    /// The value of all its elements, when it is one and known.
    pub(crate) splat: Option<Scalar>,
    /// The structure of its last two axes.
    pub(crate) structure: Structure,
    /// The first place in the source that it comes from.
    pub(crate) origin: Span,
}

impl Facts {
    /// Joins what is known of two classes that are one.
    pub(crate) fn merge(&mut self, other: &Facts) -> DidMerge {
        let before = self.clone();
        // Of two texts for one type, and two constants that only a wrong rule could join, always the same one.
        self.ty = self.ty.min(other.ty);
        self.splat = match (self.splat, other.splat) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.structure = self.structure | other.structure;
        self.origin = earlier(self.origin, other.origin);
        DidMerge(*self != before, self != other)
    }
}

/// The earlier of two places; one that is nowhere comes last.
fn earlier(a: Span, b: Span) -> Span {
    let nowhere = Span::default();
    if a == nowhere || (b != nowhere && b < a) { b } else { a }
}

/// What a node says of its class.
pub(crate) fn of_node(graph: &mut TensorGraph, node: &TensorLang) -> Facts {
    let origin = graph.analysis.origin;
    if node.tag == Tag::Leaf
        && let Some(known) = graph.analysis.leaf(node.entry)
    {
        return known.clone();
    }
    let ty = if let Tag::Map(op) = node.tag {
        map_type(graph, op, &node.args)
    } else {
        let ty = graph.analysis.entry_type(node.entry).clone();
        graph.analysis.type_number(&ty)
    };
    let splat = splat(graph, node);
    let structure = structure::of_node(graph, node, ty);
    Facts { ty, splat, structure, origin }
}

/// The type of an elementwise op: the shape of its operands, of which the first is as good as any.
fn map_type(graph: &mut TensorGraph, op: Op, args: &[Id]) -> u32 {
    let types: SmallVec<[u32; 3]> = args.iter().map(|a| graph[*a].data.ty).collect();
    let dtype_of = |ty: u32| match graph.analysis.ty(ty) {
        Type::Tensor(t) => t.dtype,
        Type::Tuple(_) => DType::Bool,
    };
    let dtypes: SmallVec<[DType; 3]> = types.iter().map(|ty| dtype_of(*ty)).collect();
    let dtype = op.result_dtype(&dtypes);
    // Most ops give what they take.
    if let Some(same) = types.iter().zip(&dtypes).find(|(_, d)| Some(**d) == dtype) {
        return *same.0;
    }
    let shape = match types.first().map(|ty| graph.analysis.ty(*ty)) {
        Some(Type::Tensor(t)) => t.shape.clone(),
        Some(Type::Tuple(_)) | None => Vec::new(),
    };
    if dtype.is_none() {
        graph.analysis.wrong.get_or_insert_with(|| format!("{} of {dtypes:?}", op.name()));
    }
    graph.analysis.type_number(&Type::Tensor(TensorType::new(dtype.unwrap_or(DType::Bool), shape)))
}

/// The one value of all elements, computed in the dtype of the program by the reference meaning.
fn splat(graph: &TensorGraph, node: &TensorLang) -> Option<Scalar> {
    let of = |place: usize| node.args.get(place).and_then(|a| graph[*a].data.splat);
    match node.tag {
        Tag::Map(op) => {
            let args: SmallVec<[Scalar; 3]> = (0..node.args.len()).map(of).collect::<Option<_>>()?;
            op.eval(&args)
        }
        Tag::Constant => {
            let kind = graph.analysis.entry_kind(node.entry);
            if let Kind::Constant(literal) = kind { single(literal) } else { None }
        }
        Tag::Cast => match graph.analysis.entry_type(node.entry) {
            Type::Tensor(t) => Some(of(0)?.cast(t.dtype)),
            Type::Tuple(_) => None,
        },
        Tag::Broadcast | Tag::Permute | Tag::Reshape | Tag::Slice => of(0),
        Tag::Leaf
        | Tag::Iota
        | Tag::Reduce(_)
        | Tag::Dot
        | Tag::Solve
        | Tag::Lib
        | Tag::Proj
        | Tag::Other => None,
    }
}

/// The value of all elements of a constant.
pub(crate) fn single(literal: &Literal) -> Option<Scalar> {
    let mut elements = literal.elements();
    let first = elements.next()?;
    elements.all(|e| e == first).then_some(first)
}

/// Adds to a class with a known value the constant that it is.
pub(crate) fn fold(graph: &mut TensorGraph, id: Id) {
    let Facts { splat, ty, origin, .. } = graph[id].data;
    let Some(value) = splat else { return };
    let constant = |n: &TensorLang| {
        n.tag == Tag::Constant || (n.tag == Tag::Broadcast && is_scalar_constant(graph, n.args[0]))
    };
    if graph[id].nodes.iter().any(constant) {
        return;
    }
    let Type::Tensor(ty) = graph.analysis.ty(ty).clone() else { return };
    let before = std::mem::replace(&mut graph.analysis.origin, origin);
    let made = add_splat(graph, value, &ty.shape);
    graph.analysis.origin = before;
    if graph.are_explanations_enabled() {
        graph.union_trusted(id, made, "constant folding");
    } else {
        graph.union(id, made);
    }
}

fn is_scalar_constant(graph: &TensorGraph, id: Id) -> bool {
    graph[id].nodes.iter().any(|n| n.tag == Tag::Constant && n.is_leaf())
}

/// A constant, repeated to a shape.
pub(crate) fn add_splat(graph: &mut TensorGraph, value: Scalar, shape: &[Dim]) -> Id {
    let kind = Kind::Constant(Literal::scalar(value));
    let scalar = add(graph, Tag::Constant, &kind, TensorType::scalar(value.dtype()), &[]);
    if shape.is_empty() {
        return scalar;
    }
    let ty = TensorType::new(value.dtype(), shape.to_vec());
    add(graph, Tag::Broadcast, &Kind::Broadcast { axes: Vec::new() }, ty, &[scalar])
}

/// Adds a node that is not elementwise.
pub(crate) fn add(graph: &mut TensorGraph, tag: Tag, kind: &Kind, ty: TensorType, args: &[Id]) -> Id {
    let entry = graph.analysis.entry(kind, &Type::Tensor(ty));
    graph.add_uncanonical(TensorLang { tag, entry, args: args.into() })
}

impl Table {
    /// The tensor type with that number, if it is one.
    pub(crate) fn tensor(&self, ty: u32) -> Option<&TensorType> {
        match self.ty(ty) {
            Type::Tensor(t) => Some(t),
            Type::Tuple(_) => None,
        }
    }
}
