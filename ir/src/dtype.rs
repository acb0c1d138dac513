//! Element types, and single values of them.
//!
//! [`DType`] names an element type; [`Scalar`] is one element, kept as bits so that it can be hashed and compared
//! exactly (`NaN` payloads and the sign of zero included).

use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
///
/// ```
/// # use matex_ir as matex;
/// use matex::DType;
/// assert_eq!(DType::ALL.iter().filter(|d| d.is_float()).count(), 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// IEEE binary16, a storage format: arithmetic happens in `f32`.
    F16,
    /// bfloat16, a storage format: arithmetic happens in `f32`.
    BF16,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// 8-bit signed integer.
    I8,
    /// 16-bit signed integer.
    I16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 8-bit unsigned integer.
    U8,
    /// 16-bit unsigned integer.
    U16,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit unsigned integer.
    U64,
    /// Truth value, stored as one byte that is 0 or 1.
    Bool,
}

impl DType {
    /// Every dtype, in declaration order.
    pub const ALL: [DType; 13] = [
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::Bool,
    ];

    /// The name in the language and in IR text: `f32`, `bool`, ….
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert_eq!(matex::DType::BF16.name(), "bf16");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::Bool => "bool",
        }
    }

    /// The dtype of that name.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::DType;
    /// assert_eq!((DType::from_name("i64"), DType::from_name("long")), (Some(DType::I64), None));
    /// ```
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Bytes of one element.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert_eq!((matex::DType::F64.size(), matex::DType::Bool.size()), (8, 1));
    /// ```
    pub const fn size(self) -> usize {
        match self {
            DType::I8 | DType::U8 | DType::Bool => 1,
            DType::F16 | DType::BF16 | DType::I16 | DType::U16 => 2,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F64 | DType::I64 | DType::U64 => 8,
        }
    }

    /// Bits of one element (8 for `bool`).
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert_eq!(matex::DType::F32.bits(), 32);
    /// ```
    pub const fn bits(self) -> u32 {
        8 * self.size() as u32
    }

    /// Whether it is `f16`, `bf16`, `f32` or `f64`.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert!(matex::DType::F16.is_float() && !matex::DType::I8.is_float());
    /// ```
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// Whether it is a signed or an unsigned integer.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert!(matex::DType::U8.is_int() && !matex::DType::Bool.is_int());
    /// ```
    pub const fn is_int(self) -> bool {
        self.is_signed_int() || self.is_unsigned_int()
    }

    /// Whether it is a signed integer.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert!(matex::DType::I8.is_signed_int() && !matex::DType::U8.is_signed_int());
    /// ```
    pub const fn is_signed_int(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    /// Whether it is an unsigned integer.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert!(matex::DType::U8.is_unsigned_int());
    /// ```
    pub const fn is_unsigned_int(self) -> bool {
        matches!(self, DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }

    /// The dtype that arithmetic on this one is carried out in: `f32` for the storage formats `f16` and `bf16`,
    /// itself for all others.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::DType;
    /// assert_eq!((DType::BF16.compute(), DType::I8.compute()), (DType::F32, DType::I8));
    /// ```
    pub const fn compute(self) -> DType {
        if matches!(self, DType::F16 | DType::BF16) { DType::F32 } else { self }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One element of a tensor: a dtype and the element's bits in the low end of a word.
///
/// ```
/// # use matex_ir as matex;
/// use matex::{DType, Scalar};
/// let tenth = Scalar::from_f64(DType::F32, 0.1);
/// assert_eq!((tenth.to_string(), tenth.to_f64()), ("0.1".to_owned(), 0.1_f32.into()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar {
    dtype: DType,
    bits: u64,
}

impl Scalar {
    /// A scalar from its bits; bits above the dtype's width are dropped.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_bits(DType::F32, 0x3fc0_0000).to_f64(), 1.5);
    /// ```
    pub const fn from_bits(dtype: DType, bits: u64) -> Scalar {
        let width = dtype.bits();
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        Scalar { dtype, bits: bits & mask }
    }

    /// Converts a real number by the language's cast rules: floats round to nearest even (`f16` and `bf16` by way of
    /// `f32`), integers truncate and saturate (`NaN` gives 0), `bool` is "not zero".
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_f64(DType::U8, 300.5).to_string(), "255");
    /// assert_eq!(Scalar::from_f64(DType::I32, f64::NAN).to_string(), "0");
    /// ```
    pub fn from_f64(dtype: DType, v: f64) -> Scalar {
        let bits = match dtype {
            // Storage formats are reached through f32, as the engines do it.
            DType::F16 => f16::from_f32(v as f32).to_bits().into(),
            DType::BF16 => bf16::from_f32(v as f32).to_bits().into(),
            DType::F32 => (v as f32).to_bits().into(),
            DType::F64 => v.to_bits(),
            DType::I8 => v as i8 as u64,
            DType::I16 => v as i16 as u64,
            DType::I32 => v as i32 as u64,
            DType::I64 => v as i64 as u64,
            DType::U8 => (v as u8).into(),
            DType::U16 => (v as u16).into(),
            DType::U32 => (v as u32).into(),
            DType::U64 => v as u64,
            DType::Bool => (v != 0.0).into(),
        };
        Scalar::from_bits(dtype, bits)
    }

    /// Converts an integer by the language's cast rules: integers wrap, floats round to nearest even, `bool` is
    /// "not zero".
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_i128(DType::U8, 257).to_string(), "1");
    /// ```
    pub fn from_i128(dtype: DType, v: i128) -> Scalar {
        match dtype {
            DType::F64 => Scalar::from_bits(dtype, (v as f64).to_bits()),
            DType::F32 => Scalar::from_bits(dtype, (v as f32).to_bits().into()),
            // Through f32, as the engines do it: the storage formats are reached from the compute format only.
            DType::F16 | DType::BF16 => Scalar::from_f64(dtype, f64::from(v as f32)),
            DType::Bool => Scalar::from_bits(dtype, (v != 0).into()),
            DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64 => Scalar::from_bits(dtype, v as u64),
        }
    }

    /// The element type.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_f64(DType::F16, 1.0).dtype(), DType::F16);
    /// ```
    pub const fn dtype(self) -> DType {
        self.dtype
    }

    /// The element's bits, zero above the dtype's width.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_i128(DType::I8, -1).bits(), 0xff);
    /// ```
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The value as a real number; integers beyond 2^53 round.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_i128(DType::Bool, 5).to_f64(), 1.0);
    /// ```
    pub fn to_f64(self) -> f64 {
        match self.dtype {
            DType::F16 => f16::from_bits(self.bits as u16).to_f64(),
            DType::BF16 => bf16::from_bits(self.bits as u16).to_f64(),
            DType::F32 => f64::from(f32::from_bits(self.bits as u32)),
            DType::F64 => f64::from_bits(self.bits),
            DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::Bool => self.to_i128() as f64,
        }
    }

    /// The value as an integer; a float truncates and saturates at the 64-bit range, `NaN` gives 0.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_f64(DType::F64, -2.9).to_i128(), -2);
    /// ```
    pub fn to_i128(self) -> i128 {
        match self.dtype {
            DType::I8 => (self.bits as i8).into(),
            DType::I16 => (self.bits as i16).into(),
            DType::I32 => (self.bits as i32).into(),
            DType::I64 => (self.bits as i64).into(),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 | DType::Bool => self.bits.into(),
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => self.to_f64() as i128,
        }
    }

    /// The value converted to another dtype, by the language's cast rules.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::{DType, Scalar};
    /// assert_eq!(Scalar::from_f64(DType::F64, 2.75).cast(DType::I64).to_string(), "2");
    /// ```
    pub fn cast(self, dtype: DType) -> Scalar {
        if dtype == self.dtype {
            return self;
        }
        if self.dtype.is_float() {
            Scalar::from_f64(dtype, self.to_f64())
        } else {
            Scalar::from_i128(dtype, self.to_i128())
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}{}", self.dtype)
    }
}

impl fmt::Display for Scalar {
    /// The shortest decimal that reads back to the same bits; `nan`, `inf`, `-inf`, `true`, `false`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dtype {
            DType::Bool => f.write_str(if self.bits == 0 { "false" } else { "true" }),
            DType::F64 => display_float(f, self.to_f64(), format!("{:?}", self.to_f64())),
            DType::F32 => display_float(f, self.to_f64(), format!("{:?}", f32::from_bits(self.bits as u32))),
            DType::F16 | DType::BF16 => {
                display_float(f, self.to_f64(), format!("{:?}", self.to_f64() as f32))
            }
            DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64 => write!(f, "{}", self.to_i128()),
        }
    }
}

fn display_float(f: &mut fmt::Formatter<'_>, v: f64, shortest: String) -> fmt::Result {
    if v.is_nan() {
        f.write_str("nan")
    } else if v.is_infinite() {
        f.write_str(if v > 0.0 { "inf" } else { "-inf" })
    } else {
        f.write_str(&shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_saturate_truncate_and_send_nan_to_zero() {
        let c = |d, v| Scalar::from_f64(d, v).to_i128();
        assert_eq!(c(DType::I8, 1e30), 127);
        assert_eq!(c(DType::U8, -2.9), 0);
        assert_eq!(c(DType::I32, -2.9), -2);
        assert_eq!(c(DType::U64, f64::INFINITY), u64::MAX.into());
        assert_eq!(c(DType::I64, f64::NAN), 0);
    }

    #[test]
    fn integers_wrap_when_cast() {
        assert_eq!(Scalar::from_i128(DType::I8, 300).to_i128(), 44);
        assert_eq!(Scalar::from_i128(DType::I64, -1).cast(DType::U64).to_i128(), u64::MAX.into());
    }

    #[test]
    fn names_read_back() {
        for d in DType::ALL {
            assert_eq!(DType::from_name(d.name()), Some(d));
        }
    }
}
