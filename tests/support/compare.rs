//! Whether a result is the wanted one: dtype and shape always, elements bit for bit or within a tolerance.

use super::data::{Tolerance, Wanted};
use matex_ir::tensor::interp::Array;
use matex_ir::{DType, Scalar};
use matex_passes::Tier;

/// What is wrong with a result, if anything.
pub(crate) fn mismatch(got: &Array, wanted: &Wanted, oracle: Option<&Array>, tier: Tier) -> Option<String> {
    if got.dtype() != wanted.dtype || got.shape() != wanted.shape {
        let (d, s) = (wanted.dtype, &wanted.shape);
        return Some(format!("got {}{:?}, wanted {d}{s:?}", got.dtype(), got.shape()));
    }
    let elements = match (&wanted.data, oracle) {
        (Some(data), _) => data.as_slice(),
        (None, Some(o)) => o.data(),
        (None, None) => return Some("no oracle to compare with".to_owned()),
    };
    if tier < Tier::Fast {
        return elements_differ(got.data(), elements, wanted.tolerance);
    }
    // That tier may lose some digits, an infinity, a NaN and the sign of a zero, and nothing else.
    let digits = 64.0 * epsilon(wanted.dtype);
    let Tolerance { relative, absolute } = wanted.tolerance;
    let tolerance = Tolerance { relative: relative.max(digits), absolute: absolute.max(digits) };
    let meant = |w: &Scalar| !w.dtype().is_float() || w.to_f64().is_finite();
    let pairs: (Vec<Scalar>, Vec<Scalar>) =
        got.data().iter().copied().zip(elements.iter().copied()).filter(|(_, w)| meant(w)).unzip();
    elements_differ(&pairs.0, &pairs.1, tolerance)
}

/// The distance from 1 to the next number; nothing for what is no float.
fn epsilon(dtype: DType) -> f64 {
    if dtype == DType::F64 {
        f64::EPSILON
    } else if dtype == DType::F32 {
        f64::from(f32::EPSILON)
    } else if dtype.is_float() {
        2f64.powi(-7)
    } else {
        0.0
    }
}

/// The first place where elements differ, if there is one.
pub(crate) fn elements_differ(got: &[Scalar], wanted: &[Scalar], tolerance: Tolerance) -> Option<String> {
    let place = got.iter().zip(wanted).position(|(g, w)| !near(*g, *w, tolerance));
    match place {
        Some(i) => Some(format!("element {i} is {}, wanted {}", got[i], wanted[i])),
        None if got.len() != wanted.len() => Some("the number of elements differs".to_owned()),
        None => None,
    }
}

/// Any NaN is as good as any other; else bits, or the tolerance.
fn near(got: Scalar, wanted: Scalar, t: Tolerance) -> bool {
    if got == wanted {
        return true;
    }
    if got.dtype() != wanted.dtype() || !got.dtype().is_float() {
        return false;
    }
    let (g, w) = (got.to_f64(), wanted.to_f64());
    if g.is_nan() || w.is_nan() {
        return g.is_nan() && w.is_nan();
    }
    t != Tolerance::default() && (g - w).abs() <= t.relative * w.abs() + t.absolute
}
