//! Elementary functions as straight lines of the loop IR.
//!
//! [`expand`] replaces `exp`, `sin`, `pow` and their like by the instructions that compute them: add, multiply, fused
//! multiply-add, select and integer operations on the bits, without tables, branches or calls, so that they run in
//! vectors like everything else. It is the last thing that happens to a kernel: `(x + M) - M`, two-sum and two-product
//! are identities over the reals, and a rewriting that knew them would undo what they are for.
//!
//! | file | functions | method |
//! |---|---|---|
//! | `exp` | exp exp2 expm1 | Cody–Waite reduction, minimax polynomial, two-step scaling |
//! | `log` | log log2 log10 log1p | fdlibm's s = f/(2+f) (f64), polynomial in f (f32), compensated sums |
//! | `trig` | sin cos tan | three-part Cody–Waite with an exact second product, fdlibm kernels |
//! | `hyper` | sinh cosh tanh | cosh r and sinh r polynomials times (2^k ∓ 2^-k)/2 |
//! | `invtrig` | asin acos atan atan2 | fdlibm split at 1/2; three ratios with division remainder |
//! | `invhyper` | asinh acosh atanh hypot logaddexp | fdlibm's arguments of log1p as pairs; exact squares |
//! | `erf`, `act` | erf erfc sigmoid softplus gelu | Juffa's exp(−a Q(a)); Shepherd–Laframboise erfcx |
//! | `pow` | pow | log2 in double-double, exact reduction |
//! | `root` | cbrt rsqrt | Newton without division; residual correction |
//!
//! All are within 1 ulp, tan, asinh, erf, erfc, pow, gelu, softplus and logaddexp within 2, sigmoid within 2.5 (logaddexp of its larger operand or ln 2), with NaN, infinities, signed zeros and
//! subnormals right. They need a fused fma. Past |x| of 2^45 (f32: 2^20) the reduction of sin, cos and tan does not
//! hold: [`InstKind::Rescue`] redoes such lanes with scalar code.
//!
//! lgamma has no expansion and stays a call.
//!
//! [`unfused`] has the same functions of binary32 for a target whose fma may round twice.

#[expect(
    clippy::approx_constant,
    reason = "each constant comes with its other half, which a named one does not have"
)]
mod act;
mod coeffs;
mod erf;
#[expect(
    clippy::approx_constant,
    reason = "each constant comes with its other half, which a named one does not have"
)]
mod exp;
#[cfg(test)]
mod floats;
mod hyper;
mod invhyper;
#[expect(
    clippy::approx_constant,
    reason = "each constant comes with its other half, which a named one does not have"
)]
mod invtrig;
mod lane;
#[expect(
    clippy::approx_constant,
    reason = "each constant comes with its other half, which a named one does not have"
)]
mod log;
mod pow;
mod record;
mod root;
#[cfg(test)]
mod tests;
#[expect(
    clippy::approx_constant,
    reason = "each constant comes with its other half, which a named one does not have"
)]
mod trig;
mod unfused;

use super::{Inst, InstId, InstKind, Kernel, OperandId};
use crate::dtype::DType;
use crate::ops::Op;
use lane::Lane;
use record::{Mask, Narrow, Step, Template, Wide, record};
use std::sync::{LazyLock, OnceLock};
use unfused::Unfused;

/// The function that an op is expanded into.
macro_rules! expansions {
    (unary { $($Op1:ident $f1:path)+ } binary { $($Op2:ident $f2:path)+ }) => {
        /// Every op that has an expansion.
        const EXPANDED: &[Op] = &[$(Op::$Op1,)+ $(Op::$Op2,)+];

        fn apply<F: Lane>(op: Op, args: &[F]) -> Option<F> {
            $(if op == Op::$Op1 { return Some($f1(*args.first()?)); })+
            $(if op == Op::$Op2 { return Some($f2(*args.first()?, *args.get(1)?)); })+
            None
        }
    };
}

expansions! {
    unary {
        Exp exp::exp Exp2 exp::exp2 Expm1 exp::expm1
        Log log::log Log2 log::log2 Log10 log::log10 Log1p log::log1p
        Sin trig::sin Cos trig::cos Tan trig::tan
        Asin invtrig::asin Acos invtrig::acos Atan invtrig::atan
        Sinh hyper::sinh Cosh hyper::cosh Tanh hyper::tanh
        Asinh invhyper::asinh Acosh invhyper::acosh Atanh invhyper::atanh
        Erf erf::erf Erfc erf::erfc Sigmoid act::sigmoid Softplus act::softplus Gelu act::gelu
        Cbrt root::cbrt Rsqrt root::rsqrt
    }
    binary {
        Pow pow::pow Atan2 invtrig::atan2
        Hypot invhyper::hypot LogAddExp invhyper::logaddexp
    }
}

/// An op's instructions and, for those that hold on a part of the line only, the truth value that says where not.
struct Expansion {
    template: Template,
    beyond: Option<usize>,
}

/// The expansions for f32 and f64, each recorded when a kernel first asks for it: all of them take a millisecond.
static TEMPLATES: [[OnceLock<Option<Expansion>>; 2]; EXPANDED.len()] =
    [const { [const { OnceLock::new() }; 2] }; EXPANDED.len()];

fn template(op: Op, dtype: DType) -> Option<&'static Expansion> {
    let width = [DType::F32, DType::F64].iter().position(|d| *d == dtype)?;
    TEMPLATES[number(op)?][width].get_or_init(|| recorded(op, dtype)).as_ref()
}

/// The number of an op among those that have an expansion.
fn number(op: Op) -> Option<usize> {
    EXPANDED.iter().position(|e| *e == op)
}

fn recorded(op: Op, dtype: DType) -> Option<Expansion> {
    if dtype == DType::F64 {
        recorded_by(op, |args: &[Wide]| apply(op, args).map(|y| y.0), Wide::arg)
    } else {
        recorded_by(op, |args: &[Narrow]| apply(op, args).map(|y| y.0), Narrow::arg)
    }
}

/// What an op does on lanes of one kind.
fn recorded_by<F: Lane<Mask = Mask>>(
    op: Op,
    apply: impl FnOnce(&[F]) -> Option<usize>,
    arg: impl Fn(usize) -> F,
) -> Option<Expansion> {
    let slow = matches!(op, Op::Sin | Op::Cos | Op::Tan);
    let (mut found, mut beyond) = (true, None);
    let template = record(|| {
        let args: Vec<F> = (0..op.arity()).map(arg).collect();
        beyond = slow.then(|| trig::is_slow(args[0]).0);
        apply(&args).unwrap_or_else(|| {
            found = false;
            0
        })
    });
    found.then_some(Expansion { template, beyond })
}

/// An op on binary32 as a straight line of its own, for a target that calls it.
#[derive(Clone, Debug)]
pub struct Function {
    /// The instructions. `load $n` is the operand of number n.
    pub body: Vec<Inst>,
    /// The value.
    pub result: InstId,
    /// The truth value that says where the result has no meaning, for the ops that hold on a part of the line only.
    pub beyond: Option<InstId>,
}

static UNFUSED: [OnceLock<Option<Function>>; EXPANDED.len()] = [const { OnceLock::new() }; EXPANDED.len()];

/// An op on binary32 for a target whose fma may round its product: within 4 ulp, special values right. `None` for ops
/// that need no expansion, and for lgamma, which has none.
pub fn unfused(op: Op) -> Option<&'static Function> {
    UNFUSED[number(op)?].get_or_init(|| function(op)).as_ref()
}

fn function(op: Op) -> Option<Function> {
    let value = |args: &[Unfused<Narrow>]| apply(op, args).map(|y| y.0.0);
    Some(called(&recorded_by(op, value, |i| Unfused(Narrow::arg(i)))?))
}

static OF_QUARTERS: LazyLock<[Function; 2]> = LazyLock::new(|| {
    [false, true].map(|cosine| {
        let args = || [0, 1, 2].map(|i| Unfused(Narrow::arg(i)));
        let template = record(|| trig::of_quarters(args(), cosine).0.0);
        called(&Expansion { template, beyond: None })
    })
});

/// The sine or the cosine, in binary32, of the sum of three numbers of quarter turns, at most half of one: for what is
/// beyond the reach of [`unfused`] sin, cos and tan, and was reduced by the caller. Each has at most 24 bits, the next ones
/// of the one before it.
pub fn unfused_of_quarters(cosine: bool) -> &'static Function {
    &OF_QUARTERS[usize::from(cosine)]
}

/// An expansion as a function.
fn called(e: &Expansion) -> Function {
    let live = live(&e.template, e.beyond);
    let mut place = vec![InstId(0); live.len()];
    let mut body = Vec::new();
    for (i, (dtype, step)) in e.template.steps.iter().enumerate().filter(|(i, _)| live[*i]) {
        place[i] = InstId(body.len() as u32);
        let kind = match step {
            Step::Arg(n) => InstKind::Load(OperandId(*n as u32)),
            Step::Const(s) => InstKind::Const(*s),
            Step::Map(op, ids) => InstKind::Map(*op, ids.iter().map(|a| place[*a]).collect()),
            Step::Bitcast(a) => InstKind::Bitcast(place[*a]),
        };
        body.push(Inst { dtype: *dtype, kind });
    }
    Function { body, result: place[e.template.result], beyond: e.beyond.map(|b| place[b]) }
}

/// The kernel with every op that has an expansion replaced by its instructions.
pub fn expand(kernel: &Kernel) -> Kernel {
    expand_with_sources(kernel).0
}

/// [`expand`], and for each instruction the one that it stands for.
pub fn expand_with_sources(kernel: &Kernel) -> (Kernel, Vec<InstId>) {
    let mut out = Kernel { body: Vec::with_capacity(kernel.body.len()), ..kernel.clone() };
    let mut place: Vec<InstId> = Vec::with_capacity(kernel.body.len());
    let mut sources = Vec::with_capacity(kernel.body.len());
    for (i, inst) in kernel.body.iter().enumerate() {
        for (begin, _) in out.stages.iter_mut().zip(&kernel.stages).filter(|(_, old)| **old == i) {
            *begin = out.body.len();
        }
        let mut kind = inst.kind.clone();
        for a in kind.args_mut() {
            *a = place[a.index()];
        }
        let id = if let InstKind::Map(op, args) = &kind
            && let Some(e) = template(*op, inst.dtype)
        {
            instantiate(&mut out, *op, e, args, inst.dtype)
        } else {
            push(&mut out, inst.dtype, kind)
        };
        place.push(id);
        sources.resize(out.body.len(), InstId(i as u32));
    }
    for s in &mut out.stores {
        s.value = place[s.value.index()];
    }
    (out, sources)
}

fn push(k: &mut Kernel, dtype: DType, kind: InstKind) -> InstId {
    k.body.push(Inst { dtype, kind });
    InstId(k.body.len() as u32 - 1)
}

fn instantiate(k: &mut Kernel, op: Op, e: &Expansion, args: &[InstId], dtype: DType) -> InstId {
    let mut place: Vec<Option<InstId>> = vec![None; e.template.steps.len()];
    let live = live(&e.template, e.beyond);
    let at = |place: &[Option<InstId>], i: usize| place[i].unwrap_or(InstId(0));
    for (i, (step_dtype, step)) in e.template.steps.iter().enumerate().filter(|(i, _)| live[*i]) {
        place[i] = Some(match step {
            Step::Arg(n) => args[*n],
            Step::Const(s) => push(k, *step_dtype, InstKind::Const(*s)),
            Step::Map(op, ids) => {
                let ids = ids.iter().map(|a| at(&place, *a)).collect();
                push(k, *step_dtype, InstKind::Map(*op, ids))
            }
            Step::Bitcast(a) => push(k, *step_dtype, InstKind::Bitcast(at(&place, *a))),
        });
    }
    let fast = at(&place, e.template.result);
    match e.beyond {
        None => fast,
        Some(b) => push(k, dtype, InstKind::Rescue(op, vec![fast, at(&place, b), args[0]])),
    }
}

/// The steps that the result needs.
fn live(t: &Template, beyond: Option<usize>) -> Vec<bool> {
    let mut live = vec![false; t.steps.len()];
    live[t.result] = true;
    if let Some(b) = beyond {
        live[b] = true;
    }
    for i in (0..live.len()).rev() {
        if live[i] {
            match &t.steps[i].1 {
                Step::Map(_, ids) => ids.iter().for_each(|a| live[*a] = true),
                Step::Bitcast(a) => live[*a] = true,
                Step::Arg(_) | Step::Const(_) => {}
            }
        }
    }
    live
}
