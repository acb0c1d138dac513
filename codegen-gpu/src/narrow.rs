//! Which 64-bit integers of a kernel fit into 32 bits, so that a device without the wide ones can do it.
//!
//! Positions along axes are `i64` in the loop IR, and so is what is worked out from them. A device holds at most
//! [`MOST_POINTS`] of them, and intervals tell how large the rest can get.

use matex_ir::loops::{InstKind, Kernel};
use matex_ir::{DType, Op};

/// No axis of a kernel on the device is longer than this.
pub const MOST_POINTS: i64 = 1 << 30;

/// The least and the greatest value.
type Interval = (i128, i128);

/// That every `i64` of a kernel fits into an `i32`.
///
/// # Errors
/// Why not, in a few words.
pub(crate) fn check(kernel: &Kernel) -> Result<(), String> {
    let mut known: Vec<Option<Interval>> = Vec::with_capacity(kernel.body.len());
    for inst in &kernel.body {
        let found = if inst.dtype == DType::I64 { interval(kernel, &inst.kind, &known) } else { None };
        let fits = |(low, high): Interval| low >= i32::MIN.into() && high <= i32::MAX.into();
        if inst.dtype == DType::I64 && !found.is_some_and(fits) {
            return Err("it computes with 64-bit integers".to_owned());
        }
        known.push(found);
    }
    Ok(())
}

fn interval(kernel: &Kernel, kind: &InstKind, known: &[Option<Interval>]) -> Option<Interval> {
    let of = |i: usize| known.get(i).copied().flatten();
    match kind {
        InstKind::Index(_) => Some((0, i128::from(MOST_POINTS) - 1)),
        InstKind::Const(s) => Some((s.to_i128(), s.to_i128())),
        InstKind::Cast(a) => match kernel.inst(*a).dtype {
            DType::Bool => Some((0, 1)),
            DType::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            DType::U32 => Some((0, u32::MAX.into())),
            DType::I64 => of(a.index()),
            DType::F16
            | DType::BF16
            | DType::F32
            | DType::F64
            | DType::I8
            | DType::I16
            | DType::U8
            | DType::U16
            | DType::U64 => None,
        },
        InstKind::Map(op, args) => {
            let args: Option<Vec<Interval>> =
                args.iter().skip(usize::from(*op == Op::Select)).map(|a| of(a.index())).collect();
            mapped(*op, &args?)
        }
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Rescue(..)
        | InstKind::Bitcast(_)
        | InstKind::Reduce { .. }
        | InstKind::Part { .. }
        | InstKind::Scan { .. } => None,
    }
}

/// An op that is largest and least where its operands are.
type Corner = fn(i128, i128) -> i128;

/// What comes of an op on intervals; of `select` on those of its two values.
fn mapped(op: Op, a: &[Interval]) -> Option<Interval> {
    let (x, y) = (*a.first()?, a.get(1).copied());
    let corners = |f: Corner| {
        let y = y?;
        let all = [f(x.0, y.0), f(x.0, y.1), f(x.1, y.0), f(x.1, y.1)];
        Some((all.into_iter().min()?, all.into_iter().max()?))
    };
    let edges: [(Op, Corner); 5] = [
        (Op::Add, |x, y| x + y),
        (Op::Sub, |x, y| x - y),
        (Op::Mul, |x, y| x * y),
        (Op::Max, i128::max),
        (Op::Min, i128::min),
    ];
    if let Some((_, f)) = edges.into_iter().find(|(o, _)| *o == op) {
        return corners(f);
    }
    // By at least 1 a quotient is no larger than the dividend, and a remainder is below the divisor.
    let divisor = y.filter(|y| y.0 >= 1);
    if op == Op::Select {
        y.map(|y| (x.0.min(y.0), x.1.max(y.1)))
    } else if op == Op::Neg {
        Some((-x.1, -x.0))
    } else if op == Op::Abs {
        Some((0, x.0.abs().max(x.1.abs())))
    } else if op == Op::FloorDiv {
        divisor.map(|_| (x.0.min(0), x.1.max(0)))
    } else if op == Op::Rem {
        divisor.map(|y| (0, y.1 - 1))
    } else if op == Op::Fmod {
        divisor.map(|y| (1 - y.1, y.1 - 1))
    } else {
        None
    }
}
