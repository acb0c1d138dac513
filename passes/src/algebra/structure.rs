//! Structure of matrices: what is known of the last two axes of a value.
//!
//! Masks of truth values have it too (true on a diagonal at most), and give it to what they select.

use super::lang::{Tag, TensorGraph, TensorLang};
use egg::Id;
use matex_ir::Op;
use matex_ir::tensor::{Kind, LibOp};
use std::ops::BitOr;

/// A set of properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Structure(u8);

impl Structure {
    /// Nothing is known.
    pub(crate) const NONE: Structure = Structure(0);
    /// Zero above the diagonal.
    pub(crate) const LOWER: Structure = Structure(1);
    /// Zero below the diagonal.
    pub(crate) const UPPER: Structure = Structure(2);
    /// Zero beside the diagonal.
    pub(crate) const DIAGONAL: Structure = Structure(3);
    /// Equal to its transpose.
    pub(crate) const SYMMETRIC: Structure = Structure(4);
    /// Square, and its transpose is its inverse.
    pub(crate) const ORTHOGONAL: Structure = Structure(8);
    /// Symmetric, and made so that it is positive definite unless its numbers say otherwise: worth a Cholesky
    /// factorization, and nothing else.
    pub(crate) const LIKELY: Structure = Structure(128 | 4);
    /// Symmetric, and no `x.T @ A @ x` is negative.
    pub(crate) const SEMIDEFINITE: Structure = Structure(16 | 128 | 4);
    /// Symmetric, and every `x.T @ A @ x` is positive but for `x = 0`.
    pub(crate) const DEFINITE: Structure = Structure(32 | 16 | 128 | 4);
    /// One on the diagonal, zero beside it, and square.
    pub(crate) const IDENTITY: Structure = Structure(64 | 63 | 128);

    /// Whether it has all of these.
    pub(crate) fn has(self, other: Structure) -> bool {
        self.0 & other.0 == other.0
    }

    fn and(self, other: Structure) -> Structure {
        Structure(self.0 & other.0)
    }

    /// What a nonsingular matrix shares with its inverse, and a matrix with itself times a number.
    fn transposed(self) -> Structure {
        let swapped = match (self.has(Structure::LOWER), self.has(Structure::UPPER)) {
            (true, false) => Structure::UPPER,
            (false, true) => Structure::LOWER,
            (true, true) => Structure::DIAGONAL,
            (false, false) => Structure::NONE,
        };
        Structure(self.0 & !3) | swapped
    }
}

impl BitOr for Structure {
    type Output = Structure;

    fn bitor(self, other: Structure) -> Structure {
        Structure(self.0 | other.0)
    }
}

/// What a node says of its value, whose type has this number.
pub(crate) fn of_node(graph: &TensorGraph, node: &TensorLang, ty: u32) -> Structure {
    let Some(ty) = graph.analysis.tensor(ty) else { return Structure::NONE };
    let Some(first) = ty.rank().checked_sub(2) else { return Structure::NONE };
    let square = graph.analysis.same_dim(&ty.shape[first], &ty.shape[first + 1]);
    let of = |place: usize| node.args.get(place).map_or(Structure::NONE, |a| graph[*a].data.structure);
    match node.tag {
        Tag::Map(op) => map(graph, op, &node.args, first),
        Tag::Cast => {
            let from_mask = node.args.first().is_some_and(|a| {
                graph.analysis.tensor(graph[*a].data.ty).is_some_and(|t| t.dtype == matex_ir::DType::Bool)
            });
            // Ones on the diagonal and nothing else, where the mask is the whole diagonal.
            if from_mask && square && is_diagonal_mask(graph, node.args[0], first) {
                Structure::IDENTITY
            } else if from_mask {
                of(0)
            } else {
                of(0).and(Structure::DIAGONAL)
            }
        }
        Tag::Permute => {
            let kind = graph.analysis.entry_kind(node.entry);
            let swaps = matches!(kind, Kind::Permute(perm) if swaps_last_two(perm));
            if swaps { of(0).transposed() } else { Structure::NONE }
        }
        Tag::Dot => dot(graph, node),
        Tag::Lib => {
            let kind = graph.analysis.entry_kind(node.entry);
            if let Kind::Lib(LibOp::Cholesky) = kind { Structure::LOWER } else { Structure::NONE }
        }
        Tag::Proj => member(graph, node, square),
        // An inverse.
        Tag::Solve if of(1).has(Structure::IDENTITY) => of(0),
        Tag::Solve
        | Tag::Leaf
        | Tag::Constant
        | Tag::Broadcast
        | Tag::Reshape
        | Tag::Slice
        | Tag::Iota
        | Tag::Reduce(_)
        | Tag::Other => Structure::NONE,
    }
}

pub(super) fn swaps_last_two(perm: &[usize]) -> bool {
    let n = perm.len();
    n >= 2
        && perm[n - 1] == n - 2
        && perm[n - 2] == n - 1
        && perm[..n - 2].iter().enumerate().all(|(i, p)| i == *p)
}

/// A member of what a factorization gives.
fn member(graph: &TensorGraph, node: &TensorLang, square: bool) -> Structure {
    let Kind::Proj(i) = graph.analysis.entry_kind(node.entry) else { return Structure::NONE };
    let orthogonal = if square { Structure::ORTHOGONAL } else { Structure::NONE };
    let of = |n: &TensorLang| {
        let Kind::Lib(op) = graph.analysis.entry_kind(n.entry) else { return Structure::NONE };
        if matches!((op, i), (LibOp::Qr, 0) | (LibOp::Svd { .. }, 0 | 2) | (LibOp::Eigh, 1)) {
            orthogonal
        } else if matches!((op, i), (LibOp::Qr, 1)) {
            Structure::UPPER
        } else {
            Structure::NONE
        }
    };
    let factorizations = graph[node.args[0]].nodes.iter().filter(|n| n.tag == Tag::Lib);
    factorizations.map(of).fold(Structure::NONE, BitOr::bitor)
}

fn map(graph: &TensorGraph, op: Op, args: &[Id], first: usize) -> Structure {
    let of = |place: usize| args.get(place).map_or(Structure::NONE, |a| graph[*a].data.structure);
    let value = |place: usize| args.get(place).and_then(|a| graph[*a].data.splat).map(|s| s.to_f64());
    let both = of(0).and(of(1));
    let pattern = |s: Structure| s.and(Structure::DIAGONAL | Structure::SYMMETRIC);
    let scaled = |s: Structure, by: Option<f64>| match by {
        Some(v) if v > 0.0 && v.is_finite() => s.and(Structure::DIAGONAL | Structure::DEFINITE),
        Some(0.0) => s.and(Structure::DIAGONAL | Structure::SEMIDEFINITE),
        Some(_) => pattern(s),
        None => Structure::NONE,
    };
    if let Op::Eq | Op::Le | Op::Lt | Op::Ge | Op::Gt = op {
        mask(graph, op, args, first)
    } else if op == Op::And {
        (of(0) | of(1)).and(Structure::DIAGONAL)
    } else if op == Op::Neg {
        pattern(of(0))
    } else if op == Op::Sub {
        pattern(both)
    } else if op == Op::Select && value(2) == Some(0.0) {
        (of(0) | of(1)).and(Structure::DIAGONAL)
    } else if op == Op::Add {
        let (semi, definite) = (Structure::SEMIDEFINITE, Structure::DEFINITE);
        let positive = both.has(semi) && (of(0).has(definite) || of(1).has(definite));
        // A diagonal of unknown sign, as a regularization by a parameter is, is most likely no negative one.
        let diagonal = Structure::DIAGONAL | Structure::SYMMETRIC;
        let added = |a: usize, b: usize| of(a).has(Structure::LIKELY) && of(b).has(diagonal);
        let likely = if added(0, 1) || added(1, 0) { Structure::LIKELY } else { Structure::NONE };
        both.and(Structure::DIAGONAL | semi) | likely | if positive { definite } else { Structure::NONE }
    } else if op == Op::Mul {
        // Elements beside the diagonal stay zero whatever they are multiplied by, but for infinities and NaN.
        let zeros = (of(0) | of(1)).and(Structure::DIAGONAL);
        let signs = scaled(of(0), value(1)) | scaled(of(1), value(0));
        zeros | signs | both.and(Structure::SYMMETRIC) | diagonal_symmetry(zeros)
    } else if op == Op::Div && value(1) != Some(0.0) {
        scaled(of(0), value(1))
    } else {
        Structure::NONE
    }
}

/// A diagonal matrix is symmetric.
fn diagonal_symmetry(s: Structure) -> Structure {
    if s.has(Structure::DIAGONAL) { Structure::SYMMETRIC } else { Structure::NONE }
}

/// `X.T @ X`, in any of its spellings, is symmetric and not negative. What is triangular the same way on both sides, or orthogonal
/// on both, gives its like.
fn dot(graph: &TensorGraph, node: &TensorLang) -> Structure {
    let Kind::Dot { batch, contract } = graph.analysis.entry_kind(node.entry) else { return Structure::NONE };
    let [a, b] = node.args.as_slice() else { return Structure::NONE };
    let same = |(i, (l, r)): (usize, &(usize, usize))| *l == i && *r == i;
    let [(l, r)] = contract.as_slice() else { return Structure::NONE };
    if !batch.iter().enumerate().all(same) {
        return Structure::NONE;
    }
    let rank = |id: &Id| graph.analysis.tensor(graph[*id].data.ty).map_or(0, |t| t.rank());
    if rank(a) != batch.len() + 2 || rank(b) != batch.len() + 2 {
        return Structure::NONE;
    }
    // The free axis of each factor.
    let (fa, fb) = (2 * batch.len() + 1 - l, 2 * batch.len() + 1 - r);
    let gram =
        if graph.find(*a) == graph.find(*b) { fa == fb } else { fa != fb && transposes(graph, *a, *b) };
    let gram = if gram { Structure::SEMIDEFINITE } else { Structure::NONE };
    let of = |id: &Id, transposed: bool| {
        let s = graph[*id].data.structure;
        if transposed { s.transposed() } else { s }
    };
    // As rows times columns: the free axis of the left factor comes first, that of the right one last.
    let both = of(a, fa > *l).and(of(b, fb < *r));
    gram | both.and(Structure::DIAGONAL | Structure::ORTHOGONAL)
}

/// Whether one is the other with its last two axes exchanged.
fn transposes(graph: &TensorGraph, a: Id, b: Id) -> bool {
    let one = |a: Id, b: Id| {
        graph[a].nodes.iter().any(|n| {
            n.tag == Tag::Permute
                && graph.find(n.args[0]) == graph.find(b)
                && matches!(graph.analysis.entry_kind(n.entry), Kind::Permute(p) if swaps_last_two(p))
        })
    };
    one(a, b) || one(b, a)
}

/// The axis that a value counts, if it is an index.
fn counted(graph: &TensorGraph, id: Id) -> Option<usize> {
    let iota = graph[id].nodes.iter().find(|n| n.tag == Tag::Iota)?;
    if let Kind::Iota { axis } = graph.analysis.entry_kind(iota.entry) { Some(*axis) } else { None }
}

/// A comparison as one of `column - row` with a number.
fn comparison(graph: &TensorGraph, op: Op, args: &[Id], first: usize) -> Option<(Op, f64)> {
    let flips = [(Op::Le, Op::Ge), (Op::Ge, Op::Le), (Op::Lt, Op::Gt), (Op::Gt, Op::Lt)];
    let flipped = flips.iter().find(|(from, _)| *from == op).map_or(op, |(_, to)| *to);
    let [a, b] = args else { return None };
    let (rows, cols) = (Some(first), Some(first + 1));
    let axes = (counted(graph, *a), counted(graph, *b));
    if axes == (cols, rows) {
        return Some((op, 0.0));
    }
    if axes == (rows, cols) {
        return Some((flipped, 0.0));
    }
    let distance = |id: Id| {
        graph[id].nodes.iter().any(|n| {
            n.tag == Tag::Map(Op::Sub)
                && counted(graph, n.args[0]) == cols
                && counted(graph, n.args[1]) == rows
        })
    };
    let value = |id: Id| graph[id].data.splat.map(|s| s.to_f64());
    match (value(*a), value(*b)) {
        (None, Some(k)) if distance(*a) => Some((op, k)),
        (Some(k), None) if distance(*b) => Some((flipped, k)),
        _ => None,
    }
}

/// Where a comparison of `column - row` is false.
fn mask(graph: &TensorGraph, op: Op, args: &[Id], first: usize) -> Structure {
    let Some((op, k)) = comparison(graph, op, args, first) else { return Structure::NONE };
    let below = (op == Op::Le && k <= 0.0) || (op == Op::Lt && k <= 1.0);
    let above = (op == Op::Ge && k >= 0.0) || (op == Op::Gt && k >= -1.0);
    if op == Op::Eq && k == 0.0 {
        Structure::DIAGONAL
    } else if below {
        Structure::LOWER
    } else if above {
        Structure::UPPER
    } else {
        Structure::NONE
    }
}

/// What a mask that compares `column - row` with a number is on the diagonal.
pub(super) fn mask_on_diagonal(graph: &TensorGraph, op: Op, args: &[Id], first: usize) -> Option<bool> {
    let (op, k) = comparison(graph, op, args, first)?;
    let known =
        [(Op::Eq, k == 0.0), (Op::Le, 0.0 <= k), (Op::Lt, 0.0 < k), (Op::Ge, 0.0 >= k), (Op::Gt, 0.0 > k)];
    known.into_iter().find(|(compared, _)| *compared == op).map(|(_, value)| value)
}

/// Whether a mask is true on the diagonal of the last two axes, of which the first is `first`, and false beside it.
pub(crate) fn is_diagonal_mask(graph: &TensorGraph, id: Id, first: usize) -> bool {
    graph[id].nodes.iter().any(|n| {
        n.tag == Tag::Map(Op::Eq) && comparison(graph, Op::Eq, &n.args, first) == Some((Op::Eq, 0.0))
    })
}
