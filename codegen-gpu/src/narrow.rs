//! Which 64-bit integers of a kernel fit into 32 bits, so that a device without the wide ones can do it.
//!
//! Positions along axes are `i64` in the loop IR, and so is what is worked out from them. A device holds at most
//! [`MOST_POINTS`] of them, and intervals tell how large the rest can get. An `i64` that comes from memory is read as the
//! nearest number of 32 bits: indices and comparisons do not notice, and nothing else may use it until its bounds are known.

use matex_ir::loops::{Inst, InstId, InstKind, Kernel};
use matex_ir::{DType, Op};

/// No axis of a kernel on the device is longer than this.
pub const MOST_POINTS: i64 = 1 << 30;

/// The least and the greatest value.
type Interval = (i128, i128);

/// What is known of an `i64`.
#[derive(Clone, Copy)]
struct Known {
    /// Between which values it is as the shader has it.
    within: Interval,
    /// Whether it is the value itself. What comes from memory may be the nearest one of 32 bits instead.
    exact: bool,
}

const ENDS: Interval = (i32::MIN as i128, i32::MAX as i128);

impl Known {
    fn exactly(within: Interval) -> Known {
        Known { within, exact: true }
    }

    /// Of one that stays the nearest number of 32 bits: off the ends that is the number itself.
    fn nearest(within: Interval) -> Known {
        Known { within, exact: within.0 > ENDS.0 && within.1 < ENDS.1 }
    }

    fn fits(self) -> bool {
        self.within.0 >= ENDS.0 && self.within.1 <= ENDS.1
    }
}

/// That the shader has the value of each `i64` of a kernel, as far as somebody can tell.
///
/// # Errors
/// Why not, in a few words.
pub(crate) fn check(kernel: &Kernel) -> Result<(), String> {
    let wide = || Err("it computes with 64-bit integers".to_owned());
    let mut known: Vec<Option<Known>> = Vec::with_capacity(kernel.body.len());
    for inst in &kernel.body {
        let found = if inst.dtype == DType::I64 { value(kernel, &inst.kind, &known) } else { None };
        if (inst.dtype == DType::I64 && !found.is_some_and(Known::fits)) || !reads(inst, &known) {
            return wide();
        }
        known.push(found);
    }
    let exact = |id: InstId| known[id.index()].is_none_or(|k| k.exact);
    if kernel.stores.iter().all(|s| exact(s.value)) { Ok(()) } else { wide() }
}

/// Whether an instruction is right though some of its operands may be the nearest numbers only: an index that is out of
/// range stays so, and the order of two numbers is the same unless both may be such.
fn reads(inst: &Inst, known: &[Option<Known>]) -> bool {
    let args = inst.kind.args();
    let near: Vec<InstId> =
        args.iter().copied().filter(|a| known[a.index()].is_some_and(|k| !k.exact)).collect();
    if near.is_empty() || matches!(inst.kind, InstKind::LoadAt { .. }) {
        return true;
    }
    let InstKind::Map(op, _) = &inst.kind else { return false };
    let off_the_ends =
        |a: &InstId| known[a.index()].is_some_and(|k| k.exact && Known::nearest(k.within).exact);
    if matches!(op, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge) {
        near.len() == 1 && args.iter().any(off_the_ends)
    } else {
        matches!(op, Op::Max | Op::Min | Op::Select)
    }
}

fn value(kernel: &Kernel, kind: &InstKind, known: &[Option<Known>]) -> Option<Known> {
    let of = |a: &InstId| known.get(a.index()).copied().flatten();
    match kind {
        InstKind::Index(_) => Some(Known::exactly((0, i128::from(MOST_POINTS) - 1))),
        InstKind::Const(s) => Some(Known::exactly((s.to_i128(), s.to_i128()))),
        InstKind::Cast(a) => match kernel.inst(*a).dtype {
            DType::Bool => Some(Known::exactly((0, 1))),
            DType::I32 => Some(Known::exactly(ENDS)),
            DType::U32 => Some(Known::exactly((0, u32::MAX.into()))),
            DType::I64 => of(a),
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
            let args: Option<Vec<Known>> = args.iter().skip(usize::from(*op == Op::Select)).map(of).collect();
            let args = args?;
            let within = mapped(*op, &args.iter().map(|k| k.within).collect::<Vec<Interval>>())?;
            let exact = args.iter().all(|k| k.exact);
            Some(if exact { Known::exactly(within) } else { Known::nearest(within) })
        }
        InstKind::Load(_) | InstKind::LoadAt { .. } => Some(Known { within: ENDS, exact: false }),
        // A position, or one behind all where there are none.
        InstKind::Part { component: 1, .. } => Some(Known::exactly((0, ENDS.1))),
        InstKind::Rescue(..)
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
