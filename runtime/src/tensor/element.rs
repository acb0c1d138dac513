//! The Rust types that are elements of tensors.

use half::{bf16, f16};
use matex_ir::{DType, Scalar};
use std::fmt;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type whose memory layout is that of a [`DType`]; the set is closed.
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::{DType, Element, Scalar};
/// assert_eq!((f32::DTYPE, 2.5_f32.to_scalar()), (DType::F32, Scalar::from_f64(DType::F32, 2.5)));
/// assert_eq!(i32::from_scalar(Scalar::from_f64(DType::F64, 2.9)), 2);
/// ```
pub trait Element: sealed::Sealed + Copy + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The element type that it is.
    const DTYPE: DType;

    /// The value with its element type.
    fn to_scalar(self) -> Scalar;

    /// The value of a scalar, converted by the language's cast rules where its type is another.
    fn from_scalar(value: Scalar) -> Self;
}

macro_rules! elements {
    ($($t:ty, $dtype:ident, |$v:ident| $to:expr, |$s:ident| $from:expr;)*) => {$(
        impl sealed::Sealed for $t {}

        impl Element for $t {
            const DTYPE: DType = DType::$dtype;

            #[inline]
            fn to_scalar(self) -> Scalar {
                let $v = self;
                Scalar::from_bits(DType::$dtype, $to)
            }

            #[inline]
            fn from_scalar(value: Scalar) -> Self {
                let $s = value.cast(DType::$dtype).bits();
                $from
            }
        }
    )*};
}

elements! {
    f16, F16, |v| v.to_bits().into(), |bits| f16::from_bits(bits as u16);
    bf16, BF16, |v| v.to_bits().into(), |bits| bf16::from_bits(bits as u16);
    f32, F32, |v| v.to_bits().into(), |bits| f32::from_bits(bits as u32);
    f64, F64, |v| v.to_bits(), |bits| f64::from_bits(bits);
    i8, I8, |v| v as u64, |bits| bits as i8;
    i16, I16, |v| v as u64, |bits| bits as i16;
    i32, I32, |v| v as u64, |bits| bits as i32;
    i64, I64, |v| v as u64, |bits| bits as i64;
    u8, U8, |v| v.into(), |bits| bits as u8;
    u16, U16, |v| v.into(), |bits| bits as u16;
    u32, U32, |v| v.into(), |bits| bits as u32;
    u64, U64, |v| v, |bits| bits;
    bool, Bool, |v| v.into(), |bits| bits != 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_survive_a_scalar_and_agree_in_size() {
        fn check<T: Element>(v: T) {
            assert_eq!(T::from_scalar(v.to_scalar()), v);
            assert_eq!(size_of::<T>(), T::DTYPE.size());
        }
        check(f16::from_f64(-1.5));
        check(bf16::from_f64(-1.5));
        check(-1.5f32);
        check(-1.5f64);
        check(-3i8);
        check(-3i16);
        check(-3i32);
        check(i64::MIN);
        check(200u8);
        check(60000u16);
        check(u32::MAX);
        check(u64::MAX);
        check(true);
    }
}
