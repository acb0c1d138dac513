//! What an expression stands for while a program is checked, and how dtypes meet.

use matex_ir::tensor::ValueId;
use matex_ir::{DType, Dim, Span};

/// One tensor.
#[derive(Clone, Debug)]
pub(crate) struct Val {
    /// Its value in the tensor IR.
    pub(crate) id: ValueId,
    /// Whether it is made of literals only, and takes the dtype of what it meets.
    pub(crate) weak: bool,
    /// For an integer scalar, or a vector of integers, that is known in terms of sizes: its elements.
    pub(crate) dims: Option<Vec<Dim>>,
}

impl Val {
    pub(crate) fn strong(id: ValueId) -> Val {
        Val { id, weak: false, dims: None }
    }

    pub(crate) fn with_weak(id: ValueId, weak: bool) -> Val {
        Val { id, weak, dims: None }
    }
}

/// What an expression or a variable stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// One tensor.
    Tensor(Val),
    /// Several results, as functions with several give them.
    Tuple(Vec<Val>),
    /// Something whose error has been reported; what uses it stays silent.
    Poison,
}

impl From<Val> for Value {
    fn from(v: Val) -> Value {
        Value::Tensor(v)
    }
}

/// A tensor and the place in the source that it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) val: Val,
    pub(crate) span: Span,
}

/// Why two dtypes do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// A bool with a number.
    Bool,
    /// u64 with a signed integer.
    Signedness,
}

/// The dtype of two strong operands together, by the language's promotion rules.
pub(crate) fn promote(a: DType, b: DType) -> Result<DType, Clash> {
    if a == b {
        return Ok(a);
    }
    if a == DType::Bool || b == DType::Bool {
        return Err(Clash::Bool);
    }
    match (a.is_float(), b.is_float()) {
        (true, true) if a.size() == b.size() => Ok(DType::F32),
        (true, true) => Ok(if a.size() > b.size() { a } else { b }),
        (true, false) => Ok(a),
        (false, true) => Ok(b),
        (false, false) => promote_ints(a, b),
    }
}

fn promote_ints(a: DType, b: DType) -> Result<DType, Clash> {
    if a.is_signed_int() == b.is_signed_int() {
        return Ok(if a.size() >= b.size() { a } else { b });
    }
    let (signed, unsigned) = if a.is_signed_int() { (a, b) } else { (b, a) };
    let size = signed.size().max(2 * unsigned.size());
    match size {
        2 => Ok(DType::I16),
        4 => Ok(DType::I32),
        8 => Ok(DType::I64),
        _ => Err(Clash::Signedness),
    }
}

/// The dtype of a weak operand that meets a strong dtype; `None` when they do not go together.
pub(crate) fn weak_meets(weak: DType, strong: DType) -> Option<DType> {
    match (weak, strong) {
        (w, s) if w == s => Some(s),
        (_, DType::Bool) | (DType::Bool, _) => None,
        (w, s) if w.is_float() && s.is_int() => Some(DType::F64),
        (_, s) => Some(s),
    }
}

/// The dtype in which sums and products of that dtype are formed.
pub(crate) fn sum_dtype(d: DType) -> DType {
    if d == DType::Bool || d.is_signed_int() {
        DType::I64
    } else if d.is_unsigned_int() {
        DType::U64
    } else {
        d
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_follows_the_language() {
        assert_eq!(promote(DType::I8, DType::U8), Ok(DType::I16));
        assert_eq!(promote(DType::I32, DType::U32), Ok(DType::I64));
        assert_eq!(promote(DType::I64, DType::U8), Ok(DType::I64));
        assert_eq!(promote(DType::U64, DType::I8), Err(Clash::Signedness));
        assert_eq!(promote(DType::F16, DType::BF16), Ok(DType::F32));
        assert_eq!(promote(DType::F16, DType::I64), Ok(DType::F16));
        assert_eq!(promote(DType::Bool, DType::I64), Err(Clash::Bool));
        assert_eq!(weak_meets(DType::F64, DType::I32), Some(DType::F64));
        assert_eq!(weak_meets(DType::I64, DType::F32), Some(DType::F32));
    }
}
