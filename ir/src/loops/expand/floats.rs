//! Plain floats as lanes, so that tests can run the expansions as they stand.

use super::lane::{Lane, LaneInt};

macro_rules! float_lane {
    ($f:ty, $i:ty, $u:ty, $wide:expr) => {
        impl LaneInt for $i {
            fn int(v: i64) -> Self {
                v as $i
            }
            fn plus(self, o: Self) -> Self {
                self.wrapping_add(o)
            }
            fn minus(self, o: Self) -> Self {
                self.wrapping_sub(o)
            }
            fn and(self, o: Self) -> Self {
                self & o
            }
            fn or(self, o: Self) -> Self {
                self | o
            }
            fn xor(self, o: Self) -> Self {
                self ^ o
            }
            fn shl(self, n: u32) -> Self {
                self << n
            }
            fn shr(self, n: u32) -> Self {
                ((self as $u) >> n) as $i
            }
        }
        impl Lane for $f {
            type Int = $i;
            type Mask = bool;
            const WIDE: bool = $wide;
            fn c(v: f64) -> Self {
                assert!(v.is_nan() || v as $f as f64 == v, "{v:e} is no constant of this width");
                v as $f
            }
            fn fma(self, b: Self, c: Self) -> Self {
                self.mul_add(b, c)
            }
            fn sqrt(self) -> Self {
                <$f>::sqrt(self)
            }
            fn abs(self) -> Self {
                <$f>::abs(self)
            }
            fn copysign(self, s: Self) -> Self {
                <$f>::copysign(self, s)
            }
            fn round(self) -> Self {
                self.round_ties_even()
            }
            fn bits(self) -> $i {
                self.to_bits() as $i
            }
            fn from_bits(i: $i) -> Self {
                <$f>::from_bits(i as $u)
            }
            fn lt(self, o: Self) -> bool {
                self < o
            }
            fn eq(self, o: Self) -> bool {
                self == o
            }
            fn sel(m: bool, a: Self, b: Self) -> Self {
                if m { a } else { b }
            }
            fn odd(i: $i) -> bool {
                i & 1 != 0
            }
        }
    };
}
float_lane!(f32, i32, u32, false);
float_lane!(f64, i64, u64, true);

/// A binary32 whose fma rounds twice.
#[derive(Clone, Copy)]
pub(super) struct Twice(pub(super) f32);

macro_rules! twice {
    ($($Trait:ident $method:ident)+) => {$(
        impl std::ops::$Trait for Twice {
            type Output = Twice;
            fn $method(self, o: Twice) -> Twice {
                Twice(std::ops::$Trait::$method(self.0, o.0))
            }
        }
    )+};
}

twice!(Add add Sub sub Mul mul Div div);

impl std::ops::Neg for Twice {
    type Output = Twice;
    fn neg(self) -> Twice {
        Twice(-self.0)
    }
}

impl Lane for Twice {
    type Int = i32;
    type Mask = bool;
    const WIDE: bool = false;
    fn c(v: f64) -> Self {
        Twice(f32::c(v))
    }
    fn fma(self, b: Self, c: Self) -> Self {
        self * b + c
    }
    fn sqrt(self) -> Self {
        Twice(self.0.sqrt())
    }
    fn abs(self) -> Self {
        Twice(self.0.abs())
    }
    fn copysign(self, s: Self) -> Self {
        Twice(self.0.copysign(s.0))
    }
    fn round(self) -> Self {
        Twice(self.0.round_ties_even())
    }
    fn bits(self) -> i32 {
        self.0.to_bits() as i32
    }
    fn from_bits(i: i32) -> Self {
        Twice(f32::from_bits(i as u32))
    }
    fn lt(self, o: Self) -> bool {
        self.0 < o.0
    }
    fn eq(self, o: Self) -> bool {
        self.0 == o.0
    }
    fn sel(m: bool, a: Self, b: Self) -> Self {
        if m { a } else { b }
    }
    fn odd(i: i32) -> bool {
        i & 1 != 0
    }
}
