//! The table of reductions: each is an identity, a combining step and a merge over a tuple of scalars.

use crate::dtype::{DType, Scalar};
use crate::ops::Op;

/// How the values along a reduce or scan axis become one.
///
/// For each of these the merge of two states is the combining step itself, so a state is combined with an element
/// as with the state of that one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Combine {
    /// The sum.
    Sum,
    /// The product.
    Prod,
    /// The largest value, as [`Op::Max`] has it.
    Max,
    /// The smallest value, as [`Op::Min`] has it.
    Min,
    /// Whether any value is true.
    Any,
    /// Whether all values are true.
    All,
    /// The largest value and its index: the first NaN wins, then the larger value, then the lower index.
    ArgMax,
    /// The smallest value and its index: the first NaN wins, then the smaller value, then the lower index.
    ArgMin,
}

impl Combine {
    /// Every combination, in declaration order.
    pub const ALL: [Combine; 8] = [
        Combine::Sum,
        Combine::Prod,
        Combine::Max,
        Combine::Min,
        Combine::Any,
        Combine::All,
        Combine::ArgMax,
        Combine::ArgMin,
    ];

    /// The name in IR text.
    pub const fn name(self) -> &'static str {
        match self {
            Combine::Sum => "sum",
            Combine::Prod => "prod",
            Combine::Max => "max",
            Combine::Min => "min",
            Combine::Any => "any",
            Combine::All => "all",
            Combine::ArgMax => "argmax",
            Combine::ArgMin => "argmin",
        }
    }

    /// The combination of that name.
    pub fn from_name(name: &str) -> Option<Combine> {
        Combine::ALL.into_iter().find(|c| c.name() == name)
    }

    /// How many scalars its state has.
    pub const fn arity(self) -> usize {
        match self {
            Combine::ArgMax | Combine::ArgMin => 2,
            Combine::Sum | Combine::Prod | Combine::Max | Combine::Min | Combine::Any | Combine::All => 1,
        }
    }

    /// The op that one step is, for those of a single component.
    pub const fn op(self) -> Option<Op> {
        match self {
            Combine::Sum => Some(Op::Add),
            Combine::Prod => Some(Op::Mul),
            Combine::Max => Some(Op::Max),
            Combine::Min => Some(Op::Min),
            Combine::Any => Some(Op::Or),
            Combine::All => Some(Op::And),
            Combine::ArgMax | Combine::ArgMin => None,
        }
    }

    /// Whether it takes values of these dtypes. The index of `argmax` and `argmin` is an `i64`.
    pub fn accepts(self, dtypes: &[DType]) -> bool {
        let Some(&first) = dtypes.first() else { return false };
        let number = first.is_int() || (first.is_float() && first.compute() == first);
        let ok = match self {
            Combine::Any | Combine::All => first == DType::Bool,
            Combine::Sum | Combine::Prod | Combine::Max | Combine::Min => number,
            Combine::ArgMax | Combine::ArgMin => number && dtypes.get(1) == Some(&DType::I64),
        };
        ok && dtypes.len() == self.arity()
    }

    /// Whether the order of combination shows in the result, so that it has to be the canonical one. All others are
    /// commutative and associative, and an engine may take them in any order.
    pub fn ordered(self, dtype: DType) -> bool {
        dtype.is_float() && matches!(self, Combine::Sum | Combine::Prod)
    }

    /// The state that changes nothing when combined: -0.0 for sums, because 0.0 + -0.0 would lose the sign.
    pub fn identity(self, dtype: DType) -> Vec<Scalar> {
        match self {
            Combine::Sum => vec![Scalar::from_f64(dtype, -0.0)],
            Combine::Prod => vec![Scalar::from_f64(dtype, 1.0)],
            Combine::Max => vec![lowest(dtype)],
            Combine::Min => vec![highest(dtype)],
            Combine::Any => vec![Scalar::from_f64(DType::Bool, 0.0)],
            Combine::All => vec![Scalar::from_f64(DType::Bool, 1.0)],
            Combine::ArgMax => vec![lowest(dtype), highest(DType::I64)],
            Combine::ArgMin => vec![highest(dtype), highest(DType::I64)],
        }
    }

    /// The result over no elements: the identity, but +0.0 for sums.
    pub fn empty(self, dtype: DType) -> Vec<Scalar> {
        if self == Combine::Sum { vec![Scalar::from_bits(dtype, 0)] } else { self.identity(dtype) }
    }

    /// One step: two states become one. The dtypes must be ones that [`Combine::accepts`] takes; else the first
    /// state is the result.
    pub fn step(self, a: &[Scalar], b: &[Scalar]) -> Vec<Scalar> {
        if let Some(op) = self.op() {
            return op.eval(&[a[0], b[0]]).map_or_else(|| a.to_vec(), |v| vec![v]);
        }
        let better = if self == Combine::ArgMax { Op::Gt } else { Op::Lt };
        let test = |op: Op, x: Scalar, y: Scalar| op.eval(&[x, y]).is_some_and(|v| v.bits() != 0);
        let nan = |x: Scalar| test(Op::Ne, x, x);
        let lower = a[1].to_i128() < b[1].to_i128();
        let first = match (nan(a[0]), nan(b[0])) {
            (true, true) => lower,
            (true, false) => true,
            (false, true) => false,
            (false, false) => test(better, a[0], b[0]) || (test(Op::Eq, a[0], b[0]) && lower),
        };
        if first { a.to_vec() } else { b.to_vec() }
    }
}

fn lowest(dtype: DType) -> Scalar {
    Scalar::from_f64(dtype, f64::NEG_INFINITY)
}

fn highest(dtype: DType) -> Scalar {
    Scalar::from_f64(dtype, f64::INFINITY)
}
