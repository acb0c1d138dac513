//! What can be computed in 128-bit vectors.
//!
//! A kernel is vectorized when all its values have one width, each of its ops has a vector form at that width, and
//! its accesses along the vector axis allow it. Everything else runs as scalars.

use super::types::Width;
use matex_ir::loops::{Access, InstId, InstKind, Kernel, Role};
use matex_ir::{DType, Op};

/// The vector width for the instructions of a kernel that are wanted, or `Scalar` when they have no vector form. With
/// `stores` the kernel's outputs have to allow it too.
pub(super) fn width(k: &Kernel, wanted: &[bool], stores: bool) -> Width {
    let Some(axis) = k.vector_axis() else { return Width::Scalar };
    let insts = || k.body.iter().zip(wanted).filter(|(_, w)| **w).map(|(i, _)| i);
    let mut sizes = insts().map(|i| i.dtype).filter(|d| *d != DType::Bool).map(|d| d.size() as u32);
    let bytes = sizes.next().unwrap_or(1);
    let alike = sizes.all(|s| s == bytes);
    let operands_fit = k.operands.iter().all(|o| {
        let used = stores || o.role == Role::In;
        let access = o.access[axis];
        // Lanes of a strided operand are moved one by one, which pays for wide ones only.
        let moved = access == Access::Unit || bytes >= 4;
        let written = o.role == Role::In || access != Access::Zero;
        !used || (o.dtype.size() as u32 == bytes && moved && written)
    });
    if alike && operands_fit && insts().all(|i| inst(k, &i.kind, i.dtype, bytes)) {
        Width::Vector(bytes)
    } else {
        Width::Scalar
    }
}

fn inst(k: &Kernel, kind: &InstKind, dtype: DType, bytes: u32) -> bool {
    match kind {
        InstKind::Load(_) | InstKind::Const(_) => true,
        InstKind::Index(_) => bytes == 8,
        InstKind::LoadAt { .. } | InstKind::Scan { .. } => false,
        InstKind::Map(op, args) => map(k, *op, k.inst(args[0]).dtype, dtype, args),
        InstKind::Cast(a) => cast(k.inst(*a).dtype, dtype),
        InstKind::Bitcast(_) | InstKind::Rescue(..) => true,
        // A mask is wider than the truth value it stands for, whose lanes the canonical order counts.
        InstKind::Reduce { combine, .. } => {
            let step = combine.op().is_some_and(|op| map(k, op, dtype, dtype, &[]));
            step && dtype.size() as u32 == bytes
        }
        InstKind::Part { .. } => false,
    }
}

/// Casts between values of one width; the storage floats have none.
fn cast(from: DType, to: DType) -> bool {
    from.compute() == from && to.compute() == to
}

fn map(k: &Kernel, op: Op, from: DType, to: DType, args: &[InstId]) -> bool {
    let (float, bytes) = (from.is_float(), from.size());
    match op {
        Op::Add | Op::Sub | Op::Neg | Op::And | Op::Or | Op::Xor | Op::Not | Op::Select => true,
        Op::Mul | Op::Fma => float || bytes > 1,
        Op::Div | Op::Sqrt | Op::Floor | Op::Ceil | Op::Trunc | Op::Round | Op::Copysign => true,
        // In f32 it is the f64 expression rounded once.
        Op::Rsqrt => from == DType::F64,
        Op::Abs | Op::Sign => float || from.is_signed_int() && (bytes < 8 || op == Op::Abs),
        // There is no comparison of unsigned 64-bit lanes.
        Op::Max | Op::Min | Op::Lt | Op::Le | Op::Gt | Op::Ge => from != DType::U64,
        Op::Eq | Op::Ne | Op::SignBit | Op::IsNan | Op::IsInf | Op::IsFinite => true,
        Op::Shl | Op::Shr => {
            let count = args.get(1).map(|a| &k.inst(*a).kind);
            let safe = |n: i128| (0..i128::from(to.bits())).contains(&n);
            bytes > 1 && matches!(count, Some(InstKind::Const(s)) if safe(s.to_i128()))
        }
        Op::FloorDiv
        | Op::Rem
        | Op::Fmod
        | Op::Pow
        | Op::Cbrt
        | Op::Exp
        | Op::Exp2
        | Op::Expm1
        | Op::Log
        | Op::Log2
        | Op::Log10
        | Op::Log1p
        | Op::Sin
        | Op::Cos
        | Op::Tan
        | Op::Asin
        | Op::Acos
        | Op::Atan
        | Op::Atan2
        | Op::Sinh
        | Op::Cosh
        | Op::Tanh
        | Op::Asinh
        | Op::Acosh
        | Op::Atanh
        | Op::Hypot
        | Op::LogAddExp
        | Op::Erf
        | Op::Erfc
        | Op::Lgamma
        | Op::Sigmoid
        | Op::Softplus
        | Op::Gelu
        | Op::Nextafter => false,
    }
}
