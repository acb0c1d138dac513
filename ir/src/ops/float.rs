//! Reference meanings over the floats that need more than an expression.

use crate::dtype::{DType, Scalar};

/// NumPy's `floor_divide`: the quotient that goes with [`rem`], so that `q*b + r` is close to `a`.
pub(super) fn floor_div(a: &[f64]) -> f64 {
    let (x, y) = (a[0], a[1]);
    if y == 0.0 {
        return x / y;
    }
    let m = libm::fmod(x, y);
    let mut q = (x - m) / y;
    if m != 0.0 && (y < 0.0) != (m < 0.0) {
        q -= 1.0;
    }
    if q == 0.0 {
        return 0.0_f64.copysign(x / y);
    }
    let f = q.floor();
    if q - f > 0.5 { f + 1.0 } else { f }
}

/// NumPy's `remainder`: the sign of the divisor, also when the result is zero.
pub(super) fn rem(a: &[f64]) -> f64 {
    let (x, y) = (a[0], a[1]);
    let m = libm::fmod(x, y);
    if m == 0.0 {
        0.0_f64.copysign(y)
    } else if (y < 0.0) != (m < 0.0) {
        m + y
    } else {
        m
    }
}

pub(super) fn sign(a: &[f64]) -> f64 {
    if a[0] > 0.0 {
        1.0
    } else if a[0] < 0.0 {
        -1.0
    } else if a[0] == 0.0 {
        0.0
    } else {
        a[0]
    }
}

/// IEEE 754-2019 `maximum`: NaN passes on and zeros are ordered, so that the result does not depend on the order in
/// which a reduction visits its operands.
pub(super) fn max(a: &[f64]) -> f64 {
    let (x, y) = (a[0], a[1]);
    if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == y {
        if x.is_sign_negative() { y } else { x }
    } else if x > y {
        x
    } else {
        y
    }
}

/// IEEE 754-2019 `minimum`.
pub(super) fn min(a: &[f64]) -> f64 {
    -max(&[-a[0], -a[1]])
}

/// Odd by construction: the library function loses the sign of zero on some paths.
pub(super) fn asinh(a: &[f64]) -> f64 {
    libm::asinh(a[0].abs()).copysign(a[0])
}

/// Nothing below 1: the library function has numbers for some of what lies there.
pub(super) fn acosh(a: &[f64]) -> f64 {
    if a[0] < 1.0 { f64::NAN } else { libm::acosh(a[0]) }
}

pub(super) fn atanh(a: &[f64]) -> f64 {
    libm::atanh(a[0].abs()).copysign(a[0])
}

pub(super) fn logaddexp(a: &[f64]) -> f64 {
    let (x, y) = (a[0], a[1]);
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    // Equal infinities would meet in inf - inf.
    if x == y {
        return x + std::f64::consts::LN_2;
    }
    x.max(y) + libm::log1p(libm::exp(-(x - y).abs()))
}

pub(super) fn sigmoid(a: &[f64]) -> f64 {
    let e = libm::exp(-a[0].abs());
    if a[0] >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

pub(super) fn softplus(a: &[f64]) -> f64 {
    let above = if a[0] > 0.0 { a[0] } else { 0.0 };
    let rest = libm::log1p(libm::exp(-a[0].abs()));
    above + rest
}

pub(super) fn gelu(a: &[f64]) -> f64 {
    let x = a[0];
    if x == f64::NEG_INFINITY {
        return -0.0;
    }
    // erfc falls so steeply that the rounding of x / sqrt(2) costs a hundred ulp at x = -30: what the product lost is
    // put back by one step along the derivative, -2/sqrt(pi) * exp(-z^2).
    const LOW: f64 = -4.833_646_656_726_457e-17;
    let high = std::f64::consts::FRAC_1_SQRT_2;
    let z = -x * high;
    let lost = (-x).mul_add(high, -z) - x * LOW;
    let slope = -std::f64::consts::FRAC_2_SQRT_PI * libm::exp(-z * z);
    let tail = if slope == 0.0 { libm::erfc(z) } else { slope.mul_add(lost, libm::erfc(z)) };
    0.5 * x * tail
}

/// `nextafter` in the grid of a 32- or 16-bit float: the neighbour of the first operand towards the second.
pub(super) fn nextafter_narrow(args: &[Scalar]) -> f32 {
    let (x, y) = (args[0].to_f64() as f32, args[1].to_f64() as f32);
    let dtype = args[0].dtype();
    if dtype == DType::F32 || x.is_nan() || y.is_nan() || x == y {
        return libm::nextafterf(x, y);
    }
    let sign = 1u64 << (dtype.bits() - 1);
    if x == 0.0 {
        let tiny = Scalar::from_bits(dtype, 1).to_f64() as f32;
        return tiny.copysign(y);
    }
    let away_from_zero = (y > x) == (x > 0.0);
    let magnitude = args[0].bits() & !sign;
    let next = if away_from_zero { magnitude + 1 } else { magnitude - 1 };
    Scalar::from_bits(dtype, next | (args[0].bits() & sign)).to_f64() as f32
}
