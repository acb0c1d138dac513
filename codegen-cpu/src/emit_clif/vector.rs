//! What can be computed in 128-bit vectors.
//!
//! A kernel is vectorized when all its values have one width, each of its ops has a vector form at that width, and
//! its accesses along the vector axis allow it. Everything else runs as scalars.

use super::types::Width;
use crate::walk::Walk;
use matex_ir::loops::{Access, InstId, InstKind, Kernel, OperandId};
use matex_ir::{DType, Op};

/// The vector width for a walk, or `Scalar` when it has no vector form.
pub(super) fn width(k: &Kernel, walk: &Walk) -> Width {
    let Some(axis) = k.vector_axis() else { return Width::Scalar };
    let insts = || walk.range.clone().filter(|id| walk.wanted[*id]).map(|id| &k.body[id]);
    let outside = walk.sources(k).into_iter().map(|id| &k.body[id]);
    let mut sizes = insts().chain(outside).map(|i| i.dtype).filter(|d| *d != DType::Bool);
    let bytes = sizes.next().map_or(1, |d| d.size() as u32);
    let alike = sizes.all(|d| d.size() as u32 == bytes);
    let operand_fits = |o: &OperandId| {
        let (access, o) = (k.access(*o, axis), &k.operands[o.index()]);
        // Lanes of a strided operand are moved one by one, which pays for wide ones only.
        let moved = access == Access::Unit || bytes >= 4;
        o.dtype.size() as u32 == bytes && moved
    };
    let loads_fit = insts().all(|i| if let InstKind::Load(o) = &i.kind { operand_fits(o) } else { true });
    let stores_fit =
        walk.stores.iter().all(|s| operand_fits(&s.operand) && k.access(s.operand, axis) != Access::Zero);
    // A mask is wider than the truth value it stands for, whose lanes the canonical order counts.
    let combined = walk.reductions.iter().all(|r| {
        let step = r.combine.op().is_some_and(|op| map(k, op, r.dtypes[0], r.dtypes[0], &[]));
        step && r.dtypes[0].size() as u32 == bytes
    });
    let evaluated = insts().all(|i| inst(k, &i.kind, i.dtype, bytes));
    if alike && loads_fit && stores_fit && combined && evaluated {
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
        // Looked at by itself: it is not evaluated like the others.
        InstKind::Reduce { .. } => true,
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
