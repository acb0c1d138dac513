//! The op table: the single place where an elementwise op is born.
//!
//! One row gives the variant, its name in IR text, its arity, its dtype rule, its algebraic flags, a line for the
//! manual, its reference meaning and its derivatives. Printer, parser, verifier, both interpreters, the transforms and
//! the manual read this table; code generators match on [`Op`] without a wildcard, so that the compiler names the arms
//! a new op needs.

mod float;
mod int;

use crate::dtype::{DType, Scalar};

/// Which operand dtypes an op takes, and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Integers and floats; all operands and the result have one dtype.
    Number,
    /// Floats; all operands and the result have one dtype.
    Float,
    /// Integers; all operands and the result have one dtype.
    Int,
    /// Integers bit by bit, or `bool`; all operands and the result have one dtype.
    Bits,
    /// Any dtype, the same for both operands; the result is `bool`.
    Compare,
    /// A float; the result is `bool`.
    Test,
    /// A `bool`, then two values of any one dtype, which is the result's.
    Select,
}

/// A meaning over the reals: operands arrive exactly, and the result is rounded once to the dtype.
type FloatEval = fn(&[f64]) -> f64;
/// A meaning over the integers, given the dtype: the result is wrapped to the width.
type IntEval = fn(&[i128], DType) -> i128;

/// One row of the op table.
#[derive(Debug)]
pub struct Row {
    /// The op.
    pub op: Op,
    /// The name in IR text.
    pub name: &'static str,
    /// How many operands it takes.
    pub arity: usize,
    /// Its dtype rule.
    pub class: Class,
    /// Whether operands may be swapped without a change of the result.
    pub commutative: bool,
    /// One line for the manual.
    pub doc: &'static str,
    /// The derivative by each operand, for floats, as an expression of the operands `a`, `b`, `c` and the result `y`;
    /// empty when there is none. [`crate::transform`] has the grammar.
    pub slopes: &'static [&'static str],
    float: Option<FloatEval>,
    int: Option<IntEval>,
}

macro_rules! ops {
    ($($Variant:ident $name:literal $arity:literal $class:ident $($comm:ident)? $doc:literal
       float($float:expr) int($int:expr) $(by[$($slope:literal),+])?;)+) => {
        /// An operation on scalars, applied to every element of its operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Op { $(#[doc = $doc] $Variant,)+ }

        /// The op table, in the order of the variants.
        pub const TABLE: &[Row] = &[$(Row {
            op: Op::$Variant, name: $name, arity: $arity, class: Class::$class,
            commutative: flagged(&[$(stringify!($comm))?]),
            doc: $doc, float: $float, int: $int, slopes: &[$($($slope),+)?],
        },)+];
    };
}

ops! {
    Add "add" 2 Number commutative "Sum." float(Some(|a| a[0] + a[1])) int(Some(|a, _| a[0] + a[1]))
        by["1", "1"];
    Sub "sub" 2 Number "Difference." float(Some(|a| a[0] - a[1])) int(Some(|a, _| a[0] - a[1]))
        by["1", "-1"];
    Mul "mul" 2 Number commutative "Product." float(Some(|a| a[0] * a[1])) int(Some(|a, _| a[0].wrapping_mul(a[1])))
        by["b", "a"];
    Div "div" 2 Float "Quotient." float(Some(|a| a[0] / a[1])) int(None)
        by["1 / b", "-y / b"];
    FloorDiv "floor_div" 2 Number "Quotient rounded towards minus infinity; integers by zero give 0."
        float(Some(float::floor_div)) int(Some(int::floor_div))
        by["0", "0"];
    Rem "rem" 2 Number "Remainder with the divisor's sign; integers by zero give 0."
        float(Some(float::rem)) int(Some(int::rem))
        by["1", "-floor_div(a, b)"];
    Fmod "fmod" 2 Number "Remainder with the dividend's sign; integers by zero give 0."
        float(Some(|a| libm::fmod(a[0], a[1]))) int(Some(int::fmod))
        by["1", "-trunc(a / b)"];
    Pow "pow" 2 Number "Power; integer powers wrap, and a negative integer exponent gives 0."
        float(Some(|a| libm::pow(a[0], a[1]))) int(Some(int::pow))
        by["select(eq(b, 0), 0, b * pow(a, b - 1))", "y * log(select(eq(a, 0), 1, a))"];
    Neg "neg" 1 Number "Negation." float(Some(|a| -a[0])) int(Some(|a, _| -a[0]))
        by["-1"];
    Abs "abs" 1 Number "Absolute value." float(Some(|a| a[0].abs())) int(Some(|a, _| a[0].abs()))
        by["sign(a)"];
    Sign "sign" 1 Number "-1, 0 or 1 by the sign; NaN stays."
        float(Some(float::sign)) int(Some(|a, _| a[0].signum()))
        by["0"];
    Max "max" 2 Number commutative "The larger one; NaN if either is, and 0.0 is above -0.0."
        float(Some(float::max)) int(Some(|a, _| a[0].max(a[1])))
        by["select(gt(a, b), 1, select(eq(a, b), 0.5, 0))", "select(gt(b, a), 1, select(eq(a, b), 0.5, 0))"];
    Min "min" 2 Number commutative "The smaller one; NaN if either is, and -0.0 is below 0.0."
        float(Some(float::min)) int(Some(|a, _| a[0].min(a[1])))
        by["select(lt(a, b), 1, select(eq(a, b), 0.5, 0))", "select(lt(b, a), 1, select(eq(a, b), 0.5, 0))"];
    Fma "fma" 3 Number "a*b + c; rounded once for floats."
        float(Some(|a| a[0].mul_add(a[1], a[2]))) int(Some(|a, _| a[0].wrapping_mul(a[1]).wrapping_add(a[2])))
        by["b", "a", "1"];
    Sqrt "sqrt" 1 Float "Square root." float(Some(|a| a[0].sqrt())) int(None)
        by["0.5 / y"];
    Rsqrt "rsqrt" 1 Float "Reciprocal square root." float(Some(|a| 1.0 / a[0].sqrt())) int(None)
        by["-0.5 * y / a"];
    Cbrt "cbrt" 1 Float "Cube root." float(Some(|a| libm::cbrt(a[0]))) int(None)
        by["1 / (3 * y * y)"];
    Exp "exp" 1 Float "Natural exponential." float(Some(|a| libm::exp(a[0]))) int(None)
        by["y"];
    Exp2 "exp2" 1 Float "Power of two." float(Some(|a| libm::exp2(a[0]))) int(None)
        by["0.6931471805599453 * y"];
    Expm1 "expm1" 1 Float "exp(a) - 1 without cancellation." float(Some(|a| libm::expm1(a[0]))) int(None)
        by["exp(a)"];
    Log "log" 1 Float "Natural logarithm." float(Some(|a| libm::log(a[0]))) int(None)
        by["1 / a"];
    Log2 "log2" 1 Float "Binary logarithm." float(Some(|a| libm::log2(a[0]))) int(None)
        by["1.4426950408889634 / a"];
    Log10 "log10" 1 Float "Decimal logarithm." float(Some(|a| libm::log10(a[0]))) int(None)
        by["0.4342944819032518 / a"];
    Log1p "log1p" 1 Float "log(1 + a) without cancellation." float(Some(|a| libm::log1p(a[0]))) int(None)
        by["1 / (1 + a)"];
    Sin "sin" 1 Float "Sine of an angle in radians." float(Some(|a| libm::sin(a[0]))) int(None)
        by["cos(a)"];
    Cos "cos" 1 Float "Cosine of an angle in radians." float(Some(|a| libm::cos(a[0]))) int(None)
        by["-sin(a)"];
    Tan "tan" 1 Float "Tangent of an angle in radians." float(Some(|a| libm::tan(a[0]))) int(None)
        by["1 + y * y"];
    Asin "asin" 1 Float "Arc sine, in radians." float(Some(|a| libm::asin(a[0]))) int(None)
        by["rsqrt((1 - a) * (1 + a))"];
    Acos "acos" 1 Float "Arc cosine, in radians." float(Some(|a| libm::acos(a[0]))) int(None)
        by["-rsqrt((1 - a) * (1 + a))"];
    Atan "atan" 1 Float "Arc tangent, in radians." float(Some(|a| libm::atan(a[0]))) int(None)
        by["1 / (1 + a * a)"];
    Atan2 "atan2" 2 Float "Angle of the point with the coordinates b and a, in radians."
        float(Some(|a| libm::atan2(a[0], a[1]))) int(None)
        by["b / (a * a + b * b)", "-a / (a * a + b * b)"];
    Sinh "sinh" 1 Float "Hyperbolic sine." float(Some(|a| libm::sinh(a[0]))) int(None)
        by["cosh(a)"];
    Cosh "cosh" 1 Float "Hyperbolic cosine." float(Some(|a| libm::cosh(a[0]))) int(None)
        by["sinh(a)"];
    Tanh "tanh" 1 Float "Hyperbolic tangent." float(Some(|a| libm::tanh(a[0]))) int(None)
        by["1 - y * y"];
    Asinh "asinh" 1 Float "Inverse hyperbolic sine." float(Some(float::asinh)) int(None)
        by["1 / hypot(a, 1)"];
    Acosh "acosh" 1 Float "Inverse hyperbolic cosine." float(Some(float::acosh)) int(None)
        by["rsqrt((a - 1) * (a + 1))"];
    Atanh "atanh" 1 Float "Inverse hyperbolic tangent." float(Some(float::atanh)) int(None)
        by["1 / ((1 - a) * (1 + a))"];
    Hypot "hypot" 2 Float commutative "sqrt(a*a + b*b) without overflow."
        float(Some(|a| libm::hypot(a[0], a[1]))) int(None)
        by["a / y", "b / y"];
    LogAddExp "logaddexp" 2 Float commutative "log(exp(a) + exp(b)) without overflow."
        float(Some(float::logaddexp)) int(None)
        by["exp(a - select(isinf(y), 0, y))", "exp(b - select(isinf(y), 0, y))"];
    Erf "erf" 1 Float "Error function." float(Some(|a| libm::erf(a[0]))) int(None)
        by["1.1283791670955126 * exp(-a * a)"];
    Erfc "erfc" 1 Float "Complementary error function." float(Some(|a| libm::erfc(a[0]))) int(None)
        by["-1.1283791670955126 * exp(-a * a)"];
    Lgamma "lgamma" 1 Float "Logarithm of the absolute value of the gamma function."
        float(Some(|a| libm::lgamma(a[0]))) int(None)
        by["digamma(a)"];
    Sigmoid "sigmoid" 1 Float "1 / (1 + exp(-a)) without overflow." float(Some(float::sigmoid)) int(None)
        by["y * (1 - y)"];
    Softplus "softplus" 1 Float "log(1 + exp(a)) without overflow." float(Some(float::softplus)) int(None)
        by["sigmoid(a)"];
    Gelu "gelu" 1 Float "a times the standard normal distribution function of a (the erf form)."
        float(Some(float::gelu)) int(None)
        by["0.5 * erfc(-0.7071067811865476 * a) + 0.3989422804014327 * a * exp(-0.5 * a * a)"];
    Floor "floor" 1 Float "Rounded towards minus infinity." float(Some(|a| a[0].floor())) int(None)
        by["0"];
    Ceil "ceil" 1 Float "Rounded towards plus infinity." float(Some(|a| a[0].ceil())) int(None)
        by["0"];
    Trunc "trunc" 1 Float "Rounded towards zero." float(Some(|a| a[0].trunc())) int(None)
        by["0"];
    Round "round" 1 Float "Rounded to the nearest integer, ties to even."
        float(Some(|a| a[0].round_ties_even())) int(None)
        by["0"];
    Copysign "copysign" 2 Float "The magnitude of a with the sign of b."
        float(Some(|a| a[0].copysign(a[1]))) int(None)
        by["sign(a) * copysign(1, b)", "0"];
    Nextafter "nextafter" 2 Float "The next representable value from a towards b."
        float(Some(|a| libm::nextafter(a[0], a[1]))) int(None);
    SignBit "signbit" 1 Test "Whether the sign bit is set." float(Some(|a| truth(a[0].is_sign_negative()))) int(None);
    IsNan "isnan" 1 Test "Whether it is NaN." float(Some(|a| truth(a[0].is_nan()))) int(None);
    IsInf "isinf" 1 Test "Whether it is an infinity." float(Some(|a| truth(a[0].is_infinite()))) int(None);
    IsFinite "isfinite" 1 Test "Whether it is neither NaN nor an infinity."
        float(Some(|a| truth(a[0].is_finite()))) int(None);
    Eq "eq" 2 Compare commutative "Whether equal; -0.0 equals 0.0, NaN equals nothing."
        float(Some(|a| truth(a[0] == a[1]))) int(Some(|a, _| (a[0] == a[1]).into()));
    Ne "ne" 2 Compare commutative "Whether not equal." float(Some(|a| truth(a[0] != a[1]))) int(Some(|a, _| (a[0] != a[1]).into()));
    Lt "lt" 2 Compare "Whether less." float(Some(|a| truth(a[0] < a[1]))) int(Some(|a, _| (a[0] < a[1]).into()));
    Le "le" 2 Compare "Whether less or equal." float(Some(|a| truth(a[0] <= a[1]))) int(Some(|a, _| (a[0] <= a[1]).into()));
    Gt "gt" 2 Compare "Whether greater." float(Some(|a| truth(a[0] > a[1]))) int(Some(|a, _| (a[0] > a[1]).into()));
    Ge "ge" 2 Compare "Whether greater or equal." float(Some(|a| truth(a[0] >= a[1]))) int(Some(|a, _| (a[0] >= a[1]).into()));
    And "and" 2 Bits commutative "Bitwise, or of truth values, and." float(None) int(Some(|a, _| a[0] & a[1]));
    Or "or" 2 Bits commutative "Bitwise, or of truth values, or." float(None) int(Some(|a, _| a[0] | a[1]));
    Xor "xor" 2 Bits commutative "Bitwise, or of truth values, exclusive or." float(None) int(Some(|a, _| a[0] ^ a[1]));
    Not "not" 1 Bits "Bitwise, or of truth values, not." float(None) int(Some(int::not));
    Shl "shl" 2 Int "Shift to the left; by the width or more, or by a negative count, gives 0."
        float(None) int(Some(int::shl));
    Shr "shr" 2 Int "Shift to the right, arithmetic for signed integers; past the width only the sign is left."
        float(None) int(Some(int::shr));
    Select "select" 3 Select "The second operand where the first is true, else the third."
        float(Some(|a| if a[0] != 0.0 { a[1] } else { a[2] })) int(Some(|a, _| if a[0] != 0 { a[1] } else { a[2] }));
}

const fn flagged(flags: &[&str]) -> bool {
    !flags.is_empty()
}

fn truth(b: bool) -> f64 {
    f64::from(u8::from(b))
}

impl Op {
    /// Its row of the table.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The name in IR text.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// How many operands it takes.
    pub fn arity(self) -> usize {
        self.row().arity
    }

    /// Its dtype rule.
    pub fn class(self) -> Class {
        self.row().class
    }

    /// The op of that name.
    pub fn from_name(name: &str) -> Option<Op> {
        TABLE.iter().find(|r| r.name == name).map(|r| r.op)
    }

    /// The result's dtype for operands of these dtypes, or `None` when the op does not take them.
    pub fn result_dtype(self, args: &[DType]) -> Option<DType> {
        if args.len() != self.arity() {
            return None;
        }
        let first = args[0];
        let alike = args.iter().all(|d| *d == first);
        let number = first.is_float() || first.is_int();
        match self.class() {
            Class::Number => (alike && number).then_some(first),
            Class::Float => (alike && first.is_float()).then_some(first),
            Class::Int => (alike && first.is_int()).then_some(first),
            Class::Bits => (alike && !first.is_float()).then_some(first),
            Class::Compare => alike.then_some(DType::Bool),
            Class::Test => first.is_float().then_some(DType::Bool),
            Class::Select => (first == DType::Bool && args[1] == args[2]).then_some(args[1]),
        }
    }

    /// The reference meaning, which every engine is tested against. The operands must be of dtypes that
    /// [`Op::result_dtype`] accepts; `None` otherwise.
    pub fn eval(self, args: &[Scalar]) -> Option<Scalar> {
        let dtypes: Vec<DType> = args.iter().map(|s| s.dtype()).collect();
        let result = self.result_dtype(&dtypes)?;
        if self == Op::Select {
            return Some(if args[0].bits() != 0 { args[1] } else { args[2] });
        }
        let operand = args[0].dtype();
        if operand.is_float() {
            let values: Vec<f64> = args.iter().map(|s| s.to_f64()).collect();
            // The two ops whose result in f32 is not that in f64 rounded once more.
            let narrow = operand.compute() == DType::F32;
            let exact = if narrow && self == Op::Fma {
                f64::from((values[0] as f32).mul_add(values[1] as f32, values[2] as f32))
            } else if narrow && self == Op::Nextafter {
                f64::from(float::nextafter_narrow(args))
            } else {
                self.row().float?(&values)
            };
            // The storage formats go through f32, which rounds twice, as the engines do.
            Some(Scalar::from_f64(operand.compute(), exact).cast(result))
        } else {
            let values: Vec<i128> = args.iter().map(|s| s.to_i128()).collect();
            Some(Scalar::from_i128(result, self.row().int?(&values, operand)))
        }
    }

    /// The meaning as a function of `f64`, for engines that call scalar code; `None` for ops on integers only.
    pub fn float_fn(self) -> Option<fn(&[f64]) -> f64> {
        self.row().float
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_variants() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.op as usize, i);
            assert_eq!(Op::from_name(row.name), Some(row.op));
            assert!(row.doc.ends_with('.'), "{}", row.name);
        }
        assert!(Op::Add.row().commutative && !Op::Sub.row().commutative);
    }

    fn f(op: Op, a: &[f64]) -> f64 {
        let args: Vec<Scalar> = a.iter().map(|v| Scalar::from_f64(DType::F64, *v)).collect();
        op.eval(&args).unwrap().to_f64()
    }

    fn i(op: Op, d: DType, a: &[i128]) -> i128 {
        let args: Vec<Scalar> = a.iter().map(|v| Scalar::from_i128(d, *v)).collect();
        op.eval(&args).unwrap().to_i128()
    }

    #[test]
    fn integer_edges() {
        assert_eq!(i(Op::FloorDiv, DType::I32, &[-7, 2]), -4);
        assert_eq!(i(Op::FloorDiv, DType::I32, &[7, 0]), 0);
        assert_eq!(i(Op::FloorDiv, DType::I8, &[-128, -1]), -128);
        assert_eq!(i(Op::Rem, DType::I32, &[-7, 2]), 1);
        assert_eq!(i(Op::Rem, DType::I32, &[7, -2]), -1);
        assert_eq!(i(Op::Shl, DType::I32, &[1, 32]), 0);
        assert_eq!(i(Op::Shr, DType::I32, &[-1, 40]), -1);
        assert_eq!(i(Op::Pow, DType::U8, &[3, 6]), 729 % 256);
        assert_eq!(i(Op::Mul, DType::U64, &[u64::MAX.into(), u64::MAX.into()]), 1);
    }

    #[test]
    fn float_edges() {
        assert!(f(Op::Max, &[1.0, f64::NAN]).is_nan());
        assert!(f(Op::Max, &[-0.0, 0.0]).is_sign_positive());
        assert!(f(Op::Min, &[0.0, -0.0]).is_sign_negative());
        assert_eq!(f(Op::Rem, &[-1.0, 3.0]), 2.0);
        assert_eq!(f(Op::FloorDiv, &[-1.0, 3.0]), -1.0);
        assert_eq!(f(Op::Round, &[2.5]), 2.0);
        assert_eq!(f(Op::Softplus, &[1000.0]), 1000.0);
        assert_eq!(f(Op::LogAddExp, &[f64::NEG_INFINITY, f64::NEG_INFINITY]), f64::NEG_INFINITY);
    }

    #[test]
    fn narrow_floats_round_once() {
        let s = |v| Scalar::from_f64(DType::F32, v);
        let r = Op::Nextafter.eval(&[s(1.0), s(2.0)]).unwrap();
        assert_eq!(r.to_f64(), 1.0 + f64::from(f32::EPSILON));
    }
}
