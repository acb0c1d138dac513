//! A lane that records: running an expansion on it gives the instructions.
//!
//! Lanes are plain numbers that operators combine, so the recorder they write to is found through the thread. It
//! lives only while one expansion is recorded.

use super::lane::{Lane, LaneInt};
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

/// One recorded instruction; operands are the numbers of earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// An operand of the function.
    Arg(usize),
    Const(Scalar),
    Map(Op, Vec<usize>),
    Bitcast(usize),
}

/// A function as instructions: each with its dtype, the last ones may be unused.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    pub(super) steps: Vec<(DType, Step)>,
    pub(super) result: usize,
}

#[derive(Default)]
struct Recorder {
    steps: Vec<(DType, Step)>,
    seen: HashMap<(DType, Step), usize>,
}

thread_local!(static RECORDER: RefCell<Recorder> = RefCell::default());

fn put(dtype: DType, step: Step) -> usize {
    RECORDER.with(|r| {
        let mut r = r.borrow_mut();
        let next = r.steps.len();
        let key = (dtype, step);
        if let Some(known) = r.seen.get(&key) {
            return *known;
        }
        r.steps.push(key.clone());
        r.seen.insert(key, next);
        next
    })
}

/// Records what `f` does, which gives the number of its result.
pub(super) fn record(f: impl FnOnce() -> usize) -> Template {
    RECORDER.with(|r| *r.borrow_mut() = Recorder::default());
    let result = f();
    let steps = RECORDER.with(|r| std::mem::take(&mut *r.borrow_mut()).steps);
    Template { steps, result }
}

/// A truth value.
#[derive(Clone, Copy)]
pub(super) struct Mask(pub(super) usize);

macro_rules! binary {
    ($ty:ident $dtype:expr; $($Trait:ident $method:ident $Op:ident)+) => {$(
        impl $Trait for $ty {
            type Output = $ty;
            fn $method(self, o: $ty) -> $ty {
                $ty(put($dtype, Step::Map(Op::$Op, vec![self.0, o.0])))
            }
        }
    )+};
}

binary!(Mask DType::Bool; BitAnd bitand And BitOr bitor Or BitXor bitxor Xor);

impl Not for Mask {
    type Output = Mask;
    fn not(self) -> Mask {
        Mask(put(DType::Bool, Step::Map(Op::Not, vec![self.0])))
    }
}

macro_rules! recorded {
    ($float:ident $int:ident $F:ident $U:ident $wide:literal) => {
        #[derive(Clone, Copy)]
        pub(super) struct $float(pub(super) usize);
        #[derive(Clone, Copy)]
        pub(super) struct $int(usize);

        binary!($float DType::$F; Add add Add Sub sub Sub Mul mul Mul Div div Div);

        impl Neg for $float {
            type Output = $float;
            fn neg(self) -> $float {
                self.map(Op::Neg, &[])
            }
        }

        impl $float {
            /// An operand of the function.
            pub(super) fn arg(i: usize) -> $float {
                $float(put(DType::$F, Step::Arg(i)))
            }

            fn map(self, op: Op, others: &[usize]) -> $float {
                let args = std::iter::once(self.0).chain(others.iter().copied()).collect();
                $float(put(DType::$F, Step::Map(op, args)))
            }

            fn test(self, op: Op, o: $float) -> Mask {
                Mask(put(DType::Bool, Step::Map(op, vec![self.0, o.0])))
            }
        }

        impl $int {
            fn map(self, op: Op, o: $int) -> $int {
                $int(put(DType::$U, Step::Map(op, vec![self.0, o.0])))
            }
        }

        impl LaneInt for $int {
            fn int(v: i64) -> $int {
                $int(put(DType::$U, Step::Const(Scalar::from_bits(DType::$U, v as u64))))
            }
            fn plus(self, o: $int) -> $int {
                self.map(Op::Add, o)
            }
            fn minus(self, o: $int) -> $int {
                self.map(Op::Sub, o)
            }
            fn and(self, o: $int) -> $int {
                self.map(Op::And, o)
            }
            fn or(self, o: $int) -> $int {
                self.map(Op::Or, o)
            }
            fn xor(self, o: $int) -> $int {
                self.map(Op::Xor, o)
            }
            fn shl(self, n: u32) -> $int {
                self.map(Op::Shl, $int::int(n.into()))
            }
            fn shr(self, n: u32) -> $int {
                self.map(Op::Shr, $int::int(n.into()))
            }
        }

        impl Lane for $float {
            type Int = $int;
            type Mask = Mask;
            const WIDE: bool = $wide;
            fn c(v: f64) -> $float {
                $float(put(DType::$F, Step::Const(Scalar::from_f64(DType::$F, v))))
            }
            fn fma(self, b: $float, c: $float) -> $float {
                self.map(Op::Fma, &[b.0, c.0])
            }
            fn sqrt(self) -> $float {
                self.map(Op::Sqrt, &[])
            }
            fn abs(self) -> $float {
                self.map(Op::Abs, &[])
            }
            fn copysign(self, sign: $float) -> $float {
                self.map(Op::Copysign, &[sign.0])
            }
            fn round(self) -> $float {
                self.map(Op::Round, &[])
            }
            fn bits(self) -> $int {
                $int(put(DType::$U, Step::Bitcast(self.0)))
            }
            fn from_bits(i: $int) -> $float {
                $float(put(DType::$F, Step::Bitcast(i.0)))
            }
            fn lt(self, o: $float) -> Mask {
                self.test(Op::Lt, o)
            }
            fn eq(self, o: $float) -> Mask {
                self.test(Op::Eq, o)
            }
            fn sel(m: Mask, a: $float, b: $float) -> $float {
                $float(put(DType::$F, Step::Map(Op::Select, vec![m.0, a.0, b.0])))
            }
            fn odd(i: $int) -> Mask {
                let one = $int::int(1);
                Mask(put(DType::Bool, Step::Map(Op::Eq, vec![i.and(one).0, one.0])))
            }
        }
    };
}

recorded!(Wide WideInt F64 U64 true);
recorded!(Narrow NarrowInt F32 U32 false);
