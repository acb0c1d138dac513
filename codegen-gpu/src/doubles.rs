//! What is done on `f64` where a device has it: arithmetic that it does as the CPU does, and no function that would have to be
//! made of it.

use crate::shader::Caps;
use matex_ir::loops::{Inst, InstKind, Kernel};
use matex_ir::{DType, Op};

/// The ops that are done on doubles.
const OPS: [Op; 23] = [
    Op::Add,
    Op::Sub,
    Op::Mul,
    Op::Div,
    Op::Sqrt,
    Op::Fma,
    Op::Neg,
    Op::Abs,
    Op::Sign,
    Op::Max,
    Op::Min,
    Op::Copysign,
    Op::SignBit,
    Op::IsNan,
    Op::IsInf,
    Op::IsFinite,
    Op::Eq,
    Op::Ne,
    Op::Lt,
    Op::Le,
    Op::Gt,
    Op::Ge,
    Op::Select,
];

/// Whether an instruction makes doubles or is made of some.
fn touches(kernel: &Kernel, inst: &Inst) -> bool {
    inst.dtype == DType::F64 || inst.kind.args().iter().any(|a| kernel.inst(*a).dtype == DType::F64)
}

/// Why a kernel stays on the CPU for what it does with doubles, or nothing.
pub(crate) fn refusal(kernel: &Kernel) -> Option<String> {
    kernel.body.iter().filter(|i| touches(kernel, i)).find_map(|inst| match &inst.kind {
        InstKind::Map(op, _) | InstKind::Rescue(op, _) => {
            (!OPS.contains(op)).then(|| format!("it computes {} of f64", op.name()))
        }
        // By way of a single a half would be rounded twice.
        InstKind::Cast(_) if inst.dtype == DType::F16 => Some("it makes f16 of f64".to_owned()),
        InstKind::Bitcast(_) => Some("it takes the bits of f64".to_owned()),
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Index(_)
        | InstKind::Const(_)
        | InstKind::Cast(_)
        | InstKind::Reduce { .. }
        | InstKind::Part { .. }
        | InstKind::Scan { .. } => None,
    })
}

/// What a kernel needs for its doubles that a device does not have.
pub(crate) fn lacks(kernel: &Kernel, caps: Caps) -> Option<String> {
    let mut dtypes = kernel.operands.iter().map(|o| o.dtype).chain(kernel.body.iter().map(|i| i.dtype));
    if !caps.doubles && dtypes.any(|d| d == DType::F64) {
        return Some("it computes with f64, which the GPU lacks or rounds otherwise".to_owned());
    }
    let fuses = |i: &Inst| i.dtype == DType::F64 && matches!(i.kind, InstKind::Map(Op::Fma, _));
    let unfused = !caps.fused && kernel.body.iter().any(fuses);
    unfused.then(|| "it computes fma of f64, which the GPU rounds twice".to_owned())
}
