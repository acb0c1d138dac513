//! Functions that kernels call for what has no instruction: the meanings of the op table, so that the bits are those of
//! the interpreter.
//!
//! All take and give `f64`, since an `f32` op is by definition the `f64` one rounded once; the emitter widens and
//! narrows around the call. `nextafter` is the exception, because it depends on the grid.

use crate::abi::kernel_abi;
use half::{bf16, f16};
use matex_ir::Op;

pub(crate) fn apply(op: Op, args: &[f64]) -> f64 {
    op.float_fn().map_or(f64::NAN, |f| f(args))
}

macro_rules! table {
    (unary { $($f1:ident $Op1:ident)+ } binary { $($f2:ident $Op2:ident)+ } others { $($f3:ident)+ }) => {
        kernel_abi! {
            $(fn $f1(a: f64) -> f64 { apply(Op::$Op1, &[a]) })+
            $(fn $f2(a: f64, b: f64) -> f64 { apply(Op::$Op2, &[a, b]) })+
        }

        /// The symbol for an op on `f64`, or `None` when it needs no call.
        pub(super) fn symbol(op: Op) -> Option<&'static str> {
            $(if op == Op::$Op1 { return Some(concat!("matex_", stringify!($f1))); })+
            $(if op == Op::$Op2 { return Some(concat!("matex_", stringify!($f2))); })+
            None
        }

        /// The address of a symbol.
        pub(super) fn address(name: &str) -> Option<*const u8> {
            if let Some(found) = rounding(name).or_else(|| crate::lanes::address(name)) {
                return Some(found);
            }
            $(if name == concat!("matex_", stringify!($f1)) { return Some($f1 as *const u8); })+
            $(if name == concat!("matex_", stringify!($f2)) { return Some($f2 as *const u8); })+
            $(if name == concat!("matex_", stringify!($f3)) { return Some($f3 as *const u8); })+
            None
        }
    };
}

table! {
    unary {
        cbrt Cbrt exp Exp exp2 Exp2 expm1 Expm1 log Log log2 Log2 log10 Log10 log1p Log1p
        sin Sin cos Cos tan Tan asin Asin acos Acos atan Atan sinh Sinh cosh Cosh tanh Tanh
        asinh Asinh acosh Acosh atanh Atanh erf Erf erfc Erfc lgamma Lgamma
        sigmoid Sigmoid softplus Softplus gelu Gelu
    }
    binary {
        floor_div FloorDiv rem Rem fmod Fmod pow Pow atan2 Atan2 hypot Hypot logaddexp LogAddExp nextafter Nextafter
    }
    others { nextafter_f32 pow_signed pow_unsigned f16_to_f32 f32_to_f16 f32_to_bf16 }
}

/// `nextafter` in `f32`.
pub(super) const NEXTAFTER_F32: &str = "matex_nextafter_f32";
/// Integer power with a signed exponent.
pub(super) const POW_SIGNED: &str = "matex_pow_signed";
/// Integer power with an unsigned exponent.
pub(super) const POW_UNSIGNED: &str = "matex_pow_unsigned";
/// The value of `f16` bits, which come in the low half of a word.
pub(super) const F16_TO_F32: &str = "matex_f16_to_f32";
/// The nearest `f16`, its bits in the low half of a word.
pub(super) const F32_TO_F16: &str = "matex_f32_to_f16";
/// The nearest `bf16`, its bits in the low half of a word.
pub(super) const F32_TO_BF16: &str = "matex_f32_to_bf16";

kernel_abi! {
    fn nextafter_f32(a: f32, b: f32) -> f32 { libm::nextafterf(a, b) }
    pub(crate) fn pow_signed(a: i64, n: i64) -> i64 { if n < 0 { 0 } else { int_pow(a, n as u64) } }
    pub(crate) fn pow_unsigned(a: i64, n: i64) -> i64 { int_pow(a, n as u64) }
    fn f16_to_f32(bits: u32) -> f32 { f16::from_bits(bits as u16).to_f32() }
    fn f32_to_f16(v: f32) -> u32 { f16::from_f32(v).to_bits().into() }
    fn f32_to_bf16(v: f32) -> u32 { bf16::from_f32(v).to_bits().into() }
}

/// By squaring; the low bits of a power depend only on the low bits of the base, so that narrower integers may be
/// passed widened either way.
fn int_pow(mut base: i64, mut n: u64) -> i64 {
    let mut r = 1i64;
    while n > 0 {
        if n & 1 == 1 {
            r = r.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        n >>= 1;
    }
    r
}

/// What Cranelift calls on hosts that lack the instruction. Answered here, because the C library that it would look in
/// need not be loaded.
fn rounding(name: &str) -> Option<*const u8> {
    let table: [(&str, *const u8); 10] = [
        ("fma", fma as *const u8),
        ("fmaf", fmaf as *const u8),
        ("floor", floor as *const u8),
        ("floorf", floorf as *const u8),
        ("ceil", ceil as *const u8),
        ("ceilf", ceilf as *const u8),
        ("trunc", trunc as *const u8),
        ("truncf", truncf as *const u8),
        ("nearbyint", nearbyint as *const u8),
        ("nearbyintf", nearbyintf as *const u8),
    ];
    table.into_iter().find(|(n, _)| *n == name).map(|(_, f)| f)
}

extern "C" fn fma(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}
extern "C" fn fmaf(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}
extern "C" fn floor(a: f64) -> f64 {
    a.floor()
}
extern "C" fn floorf(a: f32) -> f32 {
    a.floor()
}
extern "C" fn ceil(a: f64) -> f64 {
    a.ceil()
}
extern "C" fn ceilf(a: f32) -> f32 {
    a.ceil()
}
extern "C" fn trunc(a: f64) -> f64 {
    a.trunc()
}
extern "C" fn truncf(a: f32) -> f32 {
    a.trunc()
}
extern "C" fn nearbyint(a: f64) -> f64 {
    a.round_ties_even()
}
extern "C" fn nearbyintf(a: f32) -> f32 {
    a.round_ties_even()
}
