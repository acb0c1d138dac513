//! Random numbers with an explicit key: the same bits for the same key, on every engine.
//!
//! A key is u32[2]. Element `i` of whatever is drawn, in row-major order, is made of the two Threefry words for the
//! counter `i`, so that it depends neither on the shape nor on what else is drawn. `split_key` and `fold_in` use
//! counters that no element has.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R, domain};
use crate::codes;
use matex_ir::random::threefry;
use matex_ir::tensor::{LibOp, ReduceOp, TensorType, ValueId};
use matex_ir::{DType, Dim, Op, Scalar};

pub(super) const ROWS: &[Builtin] = &[
    row("key", "seed", key),
    row("split_key", "key", split_key),
    row("fold_in", "key, data", fold_in),
    row("uniform", "key, shape, dtype=", |c, a| c.drawn(a, uniform_of)),
    row("normal", "key, shape, dtype=", |c, a| c.drawn(a, normal_of)),
    row("bernoulli", "key, p, shape", bernoulli),
    row("randint", "key, shape, lo, hi", randint),
    row("permutation", "key, n", permutation),
];

/// The high word of the counters of `split_key`, and of the step that sets `fold_in` apart; no index reaches them.
const SPLIT: u32 = u32::MAX;
const FOLD: u32 = u32::MAX - 1;

/// The numerators and denominators of the inverse of the normal distribution: Wichura's algorithm AS 241 (PPND16,
/// Applied Statistics 37, 1988), accurate to about 1 part in 10^16. Highest power first.
const CENTRE: [[f64; 8]; 2] = [
    [
        2509.0809287301227,
        33430.57558358813,
        67265.7709270087,
        45921.95393154987,
        13731.69376550946,
        1971.5909503065513,
        133.14166789178438,
        3.3871328727963665,
    ],
    [
        5226.495278852854,
        28729.085735721943,
        39307.89580009271,
        21213.794301586597,
        5394.196021424751,
        687.1870074920579,
        42.31333070160091,
        1.0,
    ],
];
const MIDDLE: [[f64; 8]; 2] = [
    [
        0.0007745450142783414,
        0.022723844989269184,
        0.2417807251774506,
        1.2704582524523684,
        3.6478483247632045,
        5.769497221460691,
        4.630337846156546,
        1.4234371107496835,
    ],
    [
        1.0507500716444169e-09,
        0.0005475938084995345,
        0.015198666563616457,
        0.14810397642748008,
        0.6897673349851,
        1.6763848301838038,
        2.053191626637759,
        1.0,
    ],
];
const TAIL: [[f64; 8]; 2] = [
    [
        2.0103343992922881e-07,
        2.7115555687434876e-05,
        0.0012426609473880784,
        0.026532189526576124,
        0.29656057182850487,
        1.7848265399172913,
        5.463784911164114,
        6.657904643501103,
    ],
    [
        2.0442631033899397e-15,
        1.421511758316446e-07,
        1.8463183175100548e-05,
        0.0007868691311456133,
        0.014875361290850615,
        0.1369298809227358,
        0.599832206555888,
        1.0,
    ],
];

impl Checker<'_> {
    fn word(&mut self, v: u32) -> ValueId {
        self.constant(Scalar::from_i128(DType::U32, v.into()))
    }

    /// `x op v` for a number, in the dtype of x.
    fn by(&mut self, op: Op, x: ValueId, v: f64) -> ValueId {
        let s = self.constant(Scalar::from_f64(self.dtype(x), v));
        self.over_scalar(op, x, s)
    }

    /// The two words of an integer scalar, the high one first.
    fn words_of(&mut self, x: ValueId) -> [ValueId; 2] {
        let wide = self.b.cast(x, DType::I64);
        let high = self.by(Op::Shr, wide, 32.0);
        [high, wide].map(|w| self.b.cast(w, DType::U32))
    }

    /// Two scalars as a key.
    fn key_of(&mut self, words: [ValueId; 2]) -> ValueId {
        let parts = words.map(|w| self.b.reshape(w, vec![Dim::ONE]));
        self.b.concat(&parts, 0)
    }

    /// An integer scalar argument.
    fn integer_arg(&mut self, args: &Args, name: &str) -> R<Operand> {
        let o = self.arg(args, name)?;
        if self.dtype(o.val.id).is_int() && self.rank(o.val.id) == 0 {
            return Ok(o);
        }
        let message = format!("{name} is an integer scalar, this is {}", self.type_text(o.val.id));
        let help = if self.rank(o.val.id) == 0 {
            "convert it with cast(…, i64)".to_owned()
        } else {
            format!("{} takes one at a time; vmap takes a whole axis of them", args.name)
        };
        self.fail(codes::EXPECTED_INTEGER, message, o.span, help)
    }

    /// The words of the key argument.
    fn key_arg(&mut self, args: &Args) -> R<[ValueId; 2]> {
        let o = self.arg(args, "key")?;
        let shape = self.shape(o.val.id);
        let two = Dim::constant(2);
        let fits = self.dtype(o.val.id) == DType::U32
            && shape.len() == 1
            && self.agree(&shape[0], &two, codes::CALL_SIZE, "a key has two elements", o.span);
        if !fits {
            let message = format!("a key is u32[2], this is {}", self.type_text(o.val.id));
            let help = format!("make a key of a seed: {}(key(1), …)", args.name);
            return self.fail(codes::NOT_A_KEY, message, o.span, help);
        }
        let id = self.retype(o.val.id, &[two]);
        Ok([0, 1].map(|i| {
            let part = self.part(id, 0, Dim::constant(i), Dim::ONE);
            self.b.reshape(part, Vec::new())
        }))
    }

    /// Two random words for each element of a shape, as vectors.
    fn bits(&mut self, key: [ValueId; 2], shape: &[Dim]) -> [ValueId; 2] {
        let len = matex_ir::dim::product(shape);
        let index = self.iota(std::slice::from_ref(&len), 0);
        let counter = self.words_of(index);
        let key = key.map(|k| self.broadcast_to(k, std::slice::from_ref(&len)));
        threefry(&mut self.b, key, counter)
    }

    /// A shape argument that is not negative.
    fn drawn_shape(&mut self, args: &Args) -> R<Vec<Dim>> {
        match self.shape_arg(args, "shape")? {
            Some((dims, span)) => {
                self.nonnegative(&dims, span)?;
                Ok(dims)
            }
            None => self.bug("a shape that was not bound", args.span),
        }
    }

    /// Floats of a shape, made of random words in f32 or f64.
    fn drawn(&mut self, args: &Args, make: fn(&mut Checker<'_>, [ValueId; 2], DType) -> ValueId) -> R<Value> {
        let key = self.key_arg(args)?;
        let shape = self.drawn_shape(args)?;
        let dtype = self.dtype_arg(args, "dtype")?.unwrap_or(DType::F64);
        if !dtype.is_float() {
            let help = "give a float dtype; randint draws integers and bernoulli truth values";
            let message = format!("{} draws floats, not {dtype}", args.name);
            return self.fail(codes::DTYPE_MISMATCH, message, args.span, help);
        }
        let bits = self.bits(key, &shape);
        let drawn = make(self, bits, dtype);
        Ok(Val::strong(self.b.reshape(drawn, shape)).into())
    }

    /// The highest bits of random words as numbers: exact in the dtype up to the width of its mantissa.
    fn high_bits(&mut self, word: ValueId, count: u32, dtype: DType) -> ValueId {
        let kept = self.by(Op::Shr, word, f64::from(32 - count));
        // Below 2^31, so the sign is free and signed conversions, which are the cheaper ones, do.
        let signed = self.b.bitcast(kept, DType::I32);
        self.b.cast(signed, dtype)
    }

    /// A quotient of polynomials.
    fn rational(&mut self, of: &[[f64; 8]; 2], x: ValueId) -> ValueId {
        let sums = of.map(|coefficients| {
            let (dtype, shape) = (self.dtype(x), self.shape(x));
            let terms = coefficients.map(|k| self.repeated(Scalar::from_f64(dtype, k), &shape));
            terms.into_iter().reduce(|sum, k| self.map_op(Op::Fma, &[sum, x, k])).unwrap_or(x)
        });
        self.map_op(Op::Div, &sums)
    }
}

/// Multiples of 2^-53 (f64), 2^-24 (f32), 2^-11 (f16) or 2^-8 (bf16) from 0 up to, not including, 1: all of them are
/// numbers of the dtype, so that nothing rounds up to 1.
fn uniform_of(c: &mut Checker<'_>, bits: [ValueId; 2], dtype: DType) -> ValueId {
    let width = if dtype == DType::F16 {
        11
    } else if dtype == DType::BF16 {
        8
    } else if dtype == DType::F32 {
        24
    } else {
        27
    };
    let high = c.high_bits(bits[0], width, dtype);
    if dtype != DType::F64 {
        return c.by(Op::Mul, high, 0.5f64.powi(width as i32));
    }
    let high = c.by(Op::Mul, high, f64::from(1 << 26));
    let low = c.high_bits(bits[1], 26, dtype);
    let whole = c.map_op(Op::Add, &[high, low]);
    c.by(Op::Mul, whole, 0.5f64.powi(53))
}

/// The inverse of the normal distribution at a random tail probability, with a random sign. The smallest probability is
/// 2^-54 (f64, 8.2 standard deviations) or 2^-33 (f32 and narrower, 6.3).
fn normal_of(c: &mut Checker<'_>, bits: [ValueId; 2], dtype: DType) -> ValueId {
    let wide = dtype.compute();
    let mut tail = c.high_bits(bits[0], 31, wide);
    let mut scale = 32;
    if wide == DType::F64 {
        let high = c.by(Op::Mul, tail, f64::from(1 << 21));
        let low = c.high_bits(bits[1], 21, wide);
        tail = c.map_op(Op::Add, &[high, low]);
        scale = 53;
    }
    let tail = c.by(Op::Add, tail, 0.5);
    let tail = c.by(Op::Mul, tail, 0.5f64.powi(scale));
    let half = c.by(Op::Sub, tail, 0.5);
    let from_centre = c.map_op(Op::Neg, &[half]);
    let square = c.map_op(Op::Mul, &[from_centre, from_centre]);
    let inner = c.by(Op::Sub, square, 0.180625);
    let inner = c.map_op(Op::Neg, &[inner]);
    let inner = c.rational(&CENTRE, inner);
    let centre = c.map_op(Op::Mul, &[inner, from_centre]);
    let log = c.map_op(Op::Log, &[tail]);
    let log = c.map_op(Op::Neg, &[log]);
    let root = c.map_op(Op::Sqrt, &[log]);
    let near = c.by(Op::Sub, root, 1.6);
    let near = c.rational(&MIDDLE, near);
    let far = c.by(Op::Sub, root, 5.0);
    let far = c.rational(&TAIL, far);
    let beyond = c.by(Op::Gt, root, 5.0);
    let outside = c.map_op(Op::Select, &[beyond, far, near]);
    let central = c.by(Op::Le, from_centre, 0.425);
    let size = c.map_op(Op::Select, &[central, centre, outside]);
    let sign = c.by(Op::And, bits[0], 1.0);
    let negative = c.by(Op::Ne, sign, 0.0);
    let opposite = c.map_op(Op::Neg, &[size]);
    let drawn = c.map_op(Op::Select, &[negative, opposite, size]);
    c.b.cast(drawn, dtype)
}

fn key(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let seed = c.integer_arg(args, "seed")?;
    let words = c.words_of(seed.val.id);
    Ok(Val::strong(c.key_of(words)).into())
}

fn split_key(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let key = c.key_arg(args)?;
    let keys = [0, 1].map(|i| {
        let counter = [c.word(SPLIT), c.word(i)];
        let words = threefry(&mut c.b, key, counter);
        Val::strong(c.key_of(words))
    });
    Ok(Value::Tuple(keys.to_vec()))
}

fn fold_in(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let key = c.key_arg(args)?;
    let data = c.integer_arg(args, "data")?;
    let apart = [c.word(FOLD), c.word(0)];
    let key = threefry(&mut c.b, key, apart);
    let counter = c.words_of(data.val.id);
    let words = threefry(&mut c.b, key, counter);
    Ok(Val::strong(c.key_of(words)).into())
}

/// True where a uniform number of the dtype of p is below p, which is from 0 to 1.
fn bernoulli(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let key = c.key_arg(args)?;
    let p = c.arg(args, "p")?;
    let dtype = c.float_dtype(&[&p], "bernoulli")?;
    let shape = c.drawn_shape(args)?;
    let id = c.in_dtype(&p, dtype)?;
    let fine = [c.by(Op::Ge, id, 0.0), c.by(Op::Le, id, 1.0)];
    let fine = c.map_op(Op::And, &fine);
    let axes = (0..c.rank(id)).collect();
    let fine = c.b.reduce(ReduceOp::All, fine, axes);
    let id = c.b.check(id, fine, codes::RUNTIME_DOMAIN, domain::NO_PROBABILITY.message.to_owned());
    let p = c.broadcast_checked(id, &shape, p.span)?;
    let bits = c.bits(key, &shape);
    let drawn = uniform_of(c, bits, dtype);
    let shape = c.shape(p);
    let drawn = c.b.reshape(drawn, shape);
    Ok(Val::strong(c.map_op(Op::Lt, &[drawn, p])).into())
}

/// `lo` plus 64 random bits modulo `hi - lo`, which favours no integer by more than `(hi - lo) / 2^64` of its chance.
fn randint(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let key = c.key_arg(args)?;
    let shape = c.drawn_shape(args)?;
    let (lo, hi) = (c.integer_arg(args, "lo")?, c.integer_arg(args, "hi")?);
    let [lo, hi] = [lo, hi].map(|o| c.b.cast(o.val.id, DType::I64));
    let some = c.map_op(Op::Lt, &[lo, hi]);
    let lo = c.b.check(lo, some, codes::RUNTIME_DOMAIN, domain::NO_INTEGER.message.to_owned());
    let span = c.map_op(Op::Sub, &[hi, lo]);
    let span = c.b.cast(span, DType::U64);
    let bits = c.bits(key, &shape);
    let whole = c.one_word(bits);
    let rest = c.over_scalar(Op::Rem, whole, span);
    let rest = c.b.cast(rest, DType::I64);
    let drawn = c.over_scalar(Op::Add, rest, lo);
    Ok(Val::strong(c.b.reshape(drawn, shape)).into())
}

impl Checker<'_> {
    /// Two words as one u64.
    fn one_word(&mut self, words: [ValueId; 2]) -> ValueId {
        let [high, low] = words.map(|w| self.b.cast(w, DType::U64));
        let high = self.by(Op::Shl, high, 32.0);
        self.map_op(Op::Or, &[high, low])
    }
}

/// The order that sorts 64 random bits for each index; equal ones, of which there are hardly any, stay in order.
fn permutation(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let key = c.key_arg(args)?;
    let Some((n, span)) = c.shape_arg(args, "n")? else { return c.bug("n was not bound", args.span) };
    if n.len() != 1 {
        let help = "permutation(key, 10); an array is permuted by x[permutation(key, n)]";
        return c.fail(codes::RANK_MISMATCH, "n is one number", span, help);
    }
    c.nonnegative(&n, span)?;
    let bits = c.bits(key, &n);
    let bits = c.one_word(bits);
    let order = LibOp::Argsort { axis: 0, descending: false };
    Ok(Val::strong(c.b.lib(order, &[bits], TensorType::new(DType::I64, n))).into())
}
