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

    /// What it is converted to where one dtype has to be named: itself, or what literals are of a class.
    pub(crate) const fn typical(self) -> DType {
        match self {
            DTypeExpr::Concrete(dtype) => dtype,
            DTypeExpr::Float | DTypeExpr::Num => DType::F64,
            DTypeExpr::Int => DType::I64,
        }
    }

    /// The dtype that other languages and libraries spell so, or write in quotes.
    pub(crate) fn meant(spelling: &str) -> Option<DType> {
        let name = spelling.trim_matches(['"', '\'']);
        Some(match name {
            "double" | "float64" | "Float64" | "real" => DType::F64,
            "single" | "float32" | "Float32" => DType::F32,
            "half" | "float16" => DType::F16,
            "bfloat16" => DType::BF16,
            "int64" | "long" | "isize" | "Int" => DType::I64,
            "int32" => DType::I32,
            "int16" => DType::I16,
            "int8" => DType::I8,
            "uint64" | "usize" => DType::U64,
            "uint32" => DType::U32,
            "uint16" => DType::U16,
            "uint8" | "byte" => DType::U8,
            "boolean" | "Bool" | "bool_" => DType::Bool,
            _ => return DTypeExpr::from_name(name).map(DTypeExpr::typical),
        })
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
