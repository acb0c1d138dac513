//! Instructions of the loop IR that depend on nothing but values: those of kernels and of functions alike.

use crate::arith;
use crate::build::{Builder, Ty, Val};
use crate::cast;
use matex_ir::loops::{Inst, InstId, InstKind};
use matex_ir::{DType, Op, Scalar};
use naga::BinaryOperator;

/// The type that values of a dtype have in a shader; `None` for those that it does not compute with. An `i64` is one of
/// 32 bits: [`crate::narrow`] has seen to it that its value fits.
pub(crate) fn type_of(dtype: DType) -> Option<Ty> {
    match dtype {
        DType::F16 => Some(Ty::F16),
        DType::F32 => Some(Ty::F32),
        DType::F64 => Some(Ty::F64),
        DType::I32 | DType::I64 => Some(Ty::I32),
        DType::U32 => Some(Ty::U32),
        DType::Bool => Some(Ty::Bool),
        DType::BF16 | DType::I8 | DType::I16 | DType::U8 | DType::U16 | DType::U64 => None,
    }
}

/// A constant, of any dtype that has a type.
pub(crate) fn constant(b: &mut Builder, s: Scalar) -> Result<Val, String> {
    let ty = type_of(s.dtype()).ok_or_else(|| format!("a constant of {}", s.dtype()))?;
    if ty == Ty::F64 {
        return Ok(b.f64(s.to_f64()));
    }
    let bits = if ty == Ty::F16 { (s.to_f64() as f32).to_bits() } else { s.bits() as u32 };
    Ok(b.constant(ty, bits))
}

/// An instruction whose operands are known: `values` has one for each instruction above it.
pub(crate) fn inst(
    b: &mut Builder,
    id: usize,
    insts: &[Inst],
    values: &[Option<Val>],
) -> Result<Val, String> {
    let of = |i: usize| values.get(i).copied().flatten().ok_or_else(|| format!("%{i} is not known here"));
    let inst = &insts[id];
    match &inst.kind {
        InstKind::Const(s) => constant(b, *s),
        InstKind::Map(op @ (Op::Shl | Op::Shr), ids) if shift_count(ids, insts).is_some() => {
            let (from, count) = (of(ids[0].index())?, shift_count(ids, insts).unwrap_or(0));
            let left = *op == Op::Shl;
            Ok(b.shift(
                if left { BinaryOperator::ShiftLeft } else { BinaryOperator::ShiftRight },
                from,
                count,
            ))
        }
        InstKind::Map(op, ids) => {
            let args = ids.iter().map(|a| of(a.index())).collect::<Result<Vec<Val>, String>>()?;
            let dtype = ids.last().map_or(inst.dtype, |a| insts[a.index()].dtype);
            let args = arith::operands(b, *op, ids, insts, &args);
            arith::map(b, *op, dtype, &args)
        }
        InstKind::Cast(a) => {
            let from = of(a.index())?;
            let ty = type_of(inst.dtype).ok_or_else(|| format!("a value of {}", inst.dtype))?;
            Ok(cast::cast(b, from, ty))
        }
        InstKind::Bitcast(a) => {
            let from = of(a.index())?;
            let ty = type_of(inst.dtype).ok_or_else(|| format!("a value of {}", inst.dtype))?;
            Ok(b.bitcast(from, ty))
        }
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Index(_)
        | InstKind::Rescue(..)
        | InstKind::Reduce { .. }
        | InstKind::Part { .. }
        | InstKind::Scan { .. } => Err(format!("%{id} is no instruction of values alone")),
    }
}

/// The count of a shift, where it is a constant below the width.
fn shift_count(ids: &[InstId], insts: &[Inst]) -> Option<u32> {
    let InstKind::Const(count) = insts[ids.get(1)?.index()].kind else { return None };
    u32::try_from(count.to_i128()).ok().filter(|n| *n < 32)
}

/// The values of a function's instructions, for which `load $n` is the argument of number n. What goes wrong is an error
/// of the shader.
pub(crate) fn straight(b: &mut Builder, insts: &[Inst], args: &[Val]) -> Vec<Val> {
    let mut values: Vec<Option<Val>> = Vec::with_capacity(insts.len());
    for (id, one) in insts.iter().enumerate() {
        let value = match &one.kind {
            InstKind::Load(o) => args.get(o.index()).copied().ok_or_else(|| "a missing operand".to_owned()),
            InstKind::LoadAt { .. }
            | InstKind::Index(_)
            | InstKind::Const(_)
            | InstKind::Map(..)
            | InstKind::Rescue(..)
            | InstKind::Cast(_)
            | InstKind::Bitcast(_)
            | InstKind::Reduce { .. }
            | InstKind::Part { .. }
            | InstKind::Scan { .. } => inst(b, id, insts, &values),
        };
        match value {
            Ok(value) => values.push(Some(value)),
            Err(why) => {
                b.fail(why);
                values.push(None);
            }
        }
    }
    values.into_iter().flatten().collect()
}
