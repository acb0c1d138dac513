//! How IR values lie in machine values.
//!
//! A scalar `bool` is an `i8` of 0 or 1, and a storage float is its bits as an `i16`. In a vector whose elements have one byte a
//! `bool` is a lane of 0 or 1 too; in wider vectors it is a lane of all zeros or all ones (a mask) of the
//! element's width, because that is what comparisons give and selections take.

use cranelift_codegen::ir::{Type, types};
use matex_ir::DType;

/// How many elements a machine value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// One.
    Scalar,
    /// A 128-bit vector of elements of this many bytes.
    Vector(u32),
}

/// Bytes of a vector.
pub(super) const VECTOR: u32 = 16;

impl Width {
    /// How many elements.
    pub(super) fn lanes(self) -> u32 {
        match self {
            Width::Scalar => 1,
            Width::Vector(bytes) => VECTOR / bytes,
        }
    }

    /// The type of a value of this dtype.
    pub(super) fn ty(self, d: DType) -> Type {
        match self {
            Width::Scalar => scalar(d),
            Width::Vector(bytes) if d == DType::Bool => int(bytes).by(self.lanes()).unwrap_or(types::I8X16),
            Width::Vector(_) => scalar(d).by(self.lanes()).unwrap_or(types::I8X16),
        }
    }

    /// The integer type of the same shape as a value of this dtype.
    pub(super) fn int_ty(self, d: DType) -> Type {
        match self {
            Width::Scalar => int(d.size() as u32),
            Width::Vector(bytes) => int(bytes).by(self.lanes()).unwrap_or(types::I8X16),
        }
    }

    /// Whether truth values are masks of all zeros or all ones.
    pub(super) fn masks(self) -> bool {
        matches!(self, Width::Vector(bytes) if bytes > 1)
    }

    /// Whether this is a vector.
    pub(super) fn is_vector(self) -> bool {
        self != Width::Scalar
    }
}

fn int(bytes: u32) -> Type {
    match bytes {
        1 => types::I8,
        2 => types::I16,
        4 => types::I32,
        _ => types::I64,
    }
}

fn scalar(d: DType) -> Type {
    match d {
        DType::F32 => types::F32,
        DType::F64 => types::F64,
        DType::F16 | DType::BF16 | DType::I16 | DType::U16 => types::I16,
        DType::I8 | DType::U8 | DType::Bool => types::I8,
        DType::I32 | DType::U32 => types::I32,
        DType::I64 | DType::U64 => types::I64,
    }
}
