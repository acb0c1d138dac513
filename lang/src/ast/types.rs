//! Types as they are written: dtypes, classes of dtypes and dims.

use super::{DimId, DimOp, Name};
use matex_ir::{DType, Span};

/// A type: `f64`, `f32[n, k]`, `float[..., 3]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    /// The element type.
    pub dtype: DTypeExpr,
    /// The place of the element type.
    pub dtype_span: Span,
    /// The dims in brackets; `None` and an empty list both mean a scalar.
    pub dims: Option<Vec<DimId>>,
    /// The whole type.
    pub span: Span,
}

/// An element type, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DTypeExpr {
    /// One dtype.
    Concrete(DType),
    /// `float`: any of the float dtypes.
    Float,
    /// `int`: any integer, signed or not.
    Int,
    /// `num`: any dtype but bool.
    Num,
}

impl DTypeExpr {
    /// The name that is written for it.
    pub const fn name(self) -> &'static str {
        match self {
            DTypeExpr::Concrete(dtype) => dtype.name(),
            DTypeExpr::Float => "float",
            DTypeExpr::Int => "int",
            DTypeExpr::Num => "num",
        }
    }

    /// The element type or class of that name.
    pub fn from_name(name: &str) -> Option<DTypeExpr> {
        match name {
            "float" => Some(DTypeExpr::Float),
            "int" => Some(DTypeExpr::Int),
            "num" => Some(DTypeExpr::Num),
            _ => DType::from_name(name).map(DTypeExpr::Concrete),
        }
    }
}

/// A dimension in a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Dim {
    /// What it is.
    pub kind: DimKind,
    /// Its place.
    pub span: Span,
}

/// The forms of a dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum DimKind {
    /// A fixed size.
    Int(u64),
    /// A named size.
    Name(Name),
    /// `_`: any size. Never inside a [`DimKind::Binary`].
    Any,
    /// `...`: any number of further dims. Never inside a [`DimKind::Binary`], and at most one in a type.
    Rest,
    /// `n + 1`, `2*n`, ….
    Binary {
        /// The operator.
        op: DimOp,
        /// Its place.
        op_span: Span,
        /// Left operand.
        lhs: DimId,
        /// Right operand.
        rhs: DimId,
    },
}
