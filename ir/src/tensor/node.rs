//! The primitive operations of the tensor IR.

use super::{Literal, RegionId, Type, ValueId};
use crate::dim::Dim;
use crate::ops::Op;
use crate::span::{Code, Span};

/// One operation, which makes one value.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub kind: Kind,
    /// Its operands.
    pub args: Vec<ValueId>,
    /// The type of its value.
    pub ty: Type,
    /// The place in the source it comes from; no part of the node's meaning.
    pub origin: Span,
}

/// How one axis is cut by [`Kind::Slice`]; the length is the result's extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SliceAxis {
    /// The first index taken.
    pub start: Dim,
    /// The distance from one index to the next; negative runs backwards, never 0.
    pub step: i64,
}

/// Where one axis of [`Kind::Update`] is written; the length is the extent of the value written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpdateAxis {
    /// A slice whose place is known from sizes.
    Slice(SliceAxis),
    /// One index, the next of the node's operands that follow the value: a rank-0 integer, negative from the end,
    /// an error when out of range. The value written has extent 1 there.
    Index,
}

/// What a reduction combines with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReduceOp {
    /// Sum; of nothing 0. The dtype stays: who wants a wider sum casts first.
    Sum,
    /// Product; of nothing 1.
    Prod,
    /// The largest; NaN wins.
    Max,
    /// The smallest; NaN wins.
    Min,
    /// Whether any is true.
    Any,
    /// Whether all are true.
    All,
    /// The i64 index of the largest: the first of equals, the first NaN wins. One axis.
    ArgMax,
    /// The i64 index of the smallest: the first of equals, the first NaN wins. One axis.
    ArgMin,
}

/// What an inclusive scan combines with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScanOp {
    /// Running sum, in order.
    Sum,
    /// Running product, in order.
    Prod,
    /// Running maximum; NaN wins.
    Max,
    /// Running minimum; NaN wins.
    Min,
}

/// An operation carried out by a library routine rather than by a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LibOp {
    /// Sorts along an axis, stable, NaN last (`x`).
    Sort {
        /// The axis.
        axis: usize,
        /// Largest first; NaN is then still last.
        descending: bool,
    },
    /// The i64 indices that sort along an axis, stable, NaN last (`x`).
    Argsort {
        /// The axis.
        axis: usize,
        /// Largest first; equal elements keep their order, NaN is still last.
        descending: bool,
    },
    /// For each value the i64 position at which it keeps a sorted vector sorted (`sorted, values`).
    SearchSorted {
        /// Behind equal elements instead of before them.
        right: bool,
    },
    /// The solution of `A x = b` for square `A: [.., n, n]` and `b: [.., n, m]` by LU with partial pivoting.
    Solve,
    /// What [`LibOp::Solve`] gives, for a matrix that was found to be symmetric and is expected to be positive definite: by
    /// a Cholesky factorization of its lower triangle, and as there where that fails.
    SolveDefinite,
    /// The least-squares solution of `A x = b` for `A: [n, k]`, `b: [n, m]`, by QR with column pivoting. The third
    /// operand is the relative size under which a pivot counts as zero, a rank-0 float; negative for the default.
    Lstsq,
    /// The solution of `A x = b` for triangular `A: [.., n, n]`, of which the other triangle is not looked at, and
    /// `b: [.., n, m]`.
    SolveTriangular {
        /// Whether `A` is lower triangular.
        lower: bool,
    },
    /// LU with partial pivoting of `a: [.., n, m]`. Gives the factors in one matrix `[.., n, m]`, U on and above the
    /// diagonal and below it L, whose diagonal is 1; the i64 rows of `a` in the order of the factors' rows, `[.., n]`;
    /// and the sign of that order, `[..]`. A singular matrix has zeros on the diagonal.
    Lu,
    /// Numbers whose product is the determinant of `a: [.., n, n]`, `[.., n]`, for a matrix that was found to be symmetric and is
    /// expected to be positive definite: the squares of the diagonal of its Cholesky factor, and where there is none the
    /// pivots of [`LibOp::Lu`], the first of them times the sign of the order of the rows.
    PivotsDefinite,
    /// The lower triangular L of `a = L @ L.T`, from the lower triangle of `a: [.., n, n]`.
    Cholesky,
    /// `q: [.., n, k]` with orthonormal columns and upper triangular `r: [.., k, m]` of `a: [.., n, m]`, where k is
    /// the smaller of n and m.
    Qr,
    /// `u`, the singular values `[.., k]` in falling order, and `v.T` of `a: [.., n, m]`, where k is the smaller of n
    /// and m.
    Svd {
        /// Whether `u` is `[.., n, n]` and `v.T` is `[.., m, m]`, rather than `[.., n, k]` and `[.., k, m]`.
        full: bool,
    },
    /// The singular values of `a: [.., n, m]` in falling order.
    Svdvals,
    /// The eigenvalues in rising order, `[.., n]`, and as columns the eigenvectors, `[.., n, n]`, of the symmetric
    /// matrix that has the lower triangle of `a: [.., n, n]`.
    Eigh,
    /// The eigenvalues alone.
    Eigvalsh,
}

/// What a node does. Operands are named in parentheses, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A parameter of the function.
    Param(u32),
    /// A parameter of a region.
    RegionParam,
    /// A constant tensor.
    Constant(Literal),
    /// A size as an i64 scalar.
    Size(Dim),
    /// The i64 index along an axis of its shape.
    Iota {
        /// The axis that is counted.
        axis: usize,
    },
    /// An op of the table on tensors of equal shapes.
    Map(Op),
    /// Conversion to the result's dtype (`x`).
    Cast,
    /// The same bits as another dtype of equal width (`x`).
    Bitcast,
    /// Axis `i` of the operand becomes axis `axes[i]` of the result; other axes repeat it, and so does an operand
    /// axis of extent 1 (`x`). `axes` increases.
    Broadcast {
        /// The place of each operand axis in the result.
        axes: Vec<usize>,
    },
    /// Axis `i` of the result is axis `perm[i]` of the operand (`x`).
    Permute(Vec<usize>),
    /// The same elements in row-major order under another shape (`x`).
    Reshape,
    /// A regular part of the operand (`x`); the lengths are the result's extents.
    Slice(Vec<SliceAxis>),
    /// The operand surrounded by a value (`x, value: rank 0`); `low[i]` elements before it on axis `i`.
    Pad {
        /// How many elements stand before the operand on each axis.
        low: Vec<Dim>,
    },
    /// Operands one behind the other along an axis (`x…`).
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Elements picked along an axis by integers of any shape, which replaces the axis (`x, index`); negative indices
    /// count from the end, an index out of range is an error.
    Gather {
        /// The axis of `x`.
        axis: usize,
    },
    /// Element `(.., j, ..)` of the result is `x[.., index[.., j, ..], ..]` (`x, index` of equal rank, and of equal
    /// extents but on the axis); negative indices count from the end, an index out of range is an error.
    GatherAlong {
        /// The axis.
        axis: usize,
    },
    /// `x` with `x[.., index[.., j, ..], ..]` replaced by, or increased by, `src[.., j, ..]` (`x, index, src`; index
    /// and src have equal shapes); the last of duplicates wins, or all add in order.
    ScatterAlong {
        /// The axis.
        axis: usize,
        /// Whether to add instead of to replace.
        add: bool,
    },
    /// `x` with a regular part replaced (`x, value, index…`).
    Update(Vec<UpdateAxis>),
    /// A reduction over axes, which disappear (`x`).
    Reduce {
        /// What to combine with.
        op: ReduceOp,
        /// The axes, increasing; exactly one for the index reductions.
        axes: Vec<usize>,
    },
    /// An inclusive scan along an axis (`x`).
    Scan {
        /// What to combine with.
        op: ScanOp,
        /// The axis.
        axis: usize,
    },
    /// Sum of products (`a, b`): result axes are the batch pairs, then the free axes of `a`, then those of `b`. With
    /// masks (`a, b, of a, of b`: bools of their shapes) it is a masked product: a term one of whose factors is masked
    /// out counts as 0, whatever the factors are. Derivatives of what `where` did not take are made with it; the
    /// canonical form has none.
    Dot {
        /// Pairs of axes that run together and stay.
        batch: Vec<(usize, usize)>,
        /// Pairs of axes that are summed over.
        contract: Vec<(usize, usize)>,
    },
    /// A library routine.
    Lib(LibOp),
    /// The first operand, once the second, a rank-0 bool, holds; else the error (`value, condition`).
    Check {
        /// The error that a false condition is.
        code: Code,
        /// What to say then.
        message: String,
    },
    /// Counts an i64 from the first operand up to, not including, the second, and runs the region with the counter
    /// and the carried values, which start as the other operands; gives the tuple of carried values.
    For(RegionId),
    /// Runs the second region on the carried values, which start as the operands, as long as the first region, on
    /// the same values, gives true; gives the tuple of carried values.
    While(RegionId, RegionId),
    /// Runs the first region when the operand, a rank-0 bool, is true, else the second; gives the tuple of results.
    If(RegionId, RegionId),
    /// A member of a tuple.
    Proj(usize),
}

impl Kind {
    /// Whether the value is a tuple: control flow, and routines with several results.
    pub fn gives_tuple(&self) -> bool {
        if let Kind::Lib(op) = self { op.gives_tuple() } else { !self.regions().is_empty() }
    }

    /// The regions that belong to the node.
    pub fn regions(&self) -> Vec<RegionId> {
        if let Kind::For(body) = self {
            vec![*body]
        } else if let Kind::While(a, b) | Kind::If(a, b) = self {
            vec![*a, *b]
        } else {
            Vec::new()
        }
    }
}
