//! Sorting along an axis: stable, NaN last in both directions.
//!
//! Long lines are sorted digit by digit of their keys (radix sort from the lowest digit, of the crate `radsort`), in a time
//! that does not depend on what they hold; short ones by comparing keys.

use super::{Lines, Number, Operand, elements, elements_mut, ensure, with_number};
use crate::View;
use matex_ir::DType;
use matex_ir::tensor::RunError;

/// Lines from this length on are sorted by digits: below, counting them costs more than comparing.
const BY_DIGITS: usize = 256;

pub(super) fn sort(x: &View<'_>, axis: usize, descending: bool, out: Operand<'_>) -> Result<(), RunError> {
    ensure(out.dtype == x.dtype() && out.shape == x.shape(), "a sort into something else")?;
    let lines = Lines::new(x.shape(), axis)?;
    with_number!(x.dtype(), T => {
        let (from, to) = (elements::<T>(x)?, elements_mut::<T>(out.bytes)?);
        let mut line = Vec::with_capacity(lines.extent);
        for start in lines.starts() {
            line.clear();
            line.extend((0..lines.extent).map(|i| from[start + i * lines.inner]));
            by_key(&mut line, |v: &T| v.key(descending));
            for (i, v) in line.iter().enumerate() {
                to[start + i * lines.inner] = *v;
            }
        }
        Ok(())
    })
}

pub(super) fn argsort(x: &View<'_>, axis: usize, descending: bool, out: Operand<'_>) -> Result<(), RunError> {
    ensure(out.dtype == DType::I64 && out.shape == x.shape(), "an argsort into something else")?;
    let lines = Lines::new(x.shape(), axis)?;
    let to = elements_mut::<i64>(out.bytes)?;
    with_number!(x.dtype(), T => {
        let from = elements::<T>(x)?;
        let mut line = Vec::with_capacity(lines.extent);
        for start in lines.starts() {
            line.clear();
            let keys = (0..lines.extent).map(|i| from[start + i * lines.inner].key(descending));
            line.extend(keys.zip(0i64..));
            by_key(&mut line, |pair| pair.0);
            for (i, (_, index)) in line.iter().enumerate() {
                to[start + i * lines.inner] = *index;
            }
        }
        Ok(())
    })
}

fn by_key<T, K: radsort::Key + Ord>(line: &mut [T], key: impl Fn(&T) -> K) {
    if line.len() < BY_DIGITS {
        line.sort_by_key(key);
    } else {
        radsort::sort_by_key(line, key);
    }
}

#[cfg(test)]
mod tests {
    use super::{BY_DIGITS, Number, by_key};
    use std::cmp::Ordering;
    use std::fmt::Debug;

    /// Sorts numbers of these bits, with every value twice and so many zeros and NaN as come, by digits and by comparisons.
    fn agree<T: Number + Debug>(
        of: impl Fn(u64) -> T,
        order: impl Fn(&T, &T) -> Ordering,
        nan: fn(&T) -> bool,
    ) {
        let word = |i: u64| (i / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let numbers: Vec<(T, usize)> = (0..4 * BY_DIGITS).map(|i| (of(word(i as u64)), i)).collect();
        for descending in [false, true] {
            let mut compared = numbers.clone();
            compared.sort_by(|(a, _), (b, _)| match (nan(a), nan(b)) {
                (false, false) if descending => order(b, a),
                (false, false) => order(a, b),
                (a, b) => a.cmp(&b),
            });
            let mut digits = numbers.clone();
            by_key(&mut digits, |(v, _)| v.key(descending));
            let places = |v: &[(T, usize)]| v.iter().map(|(_, i)| *i).collect::<Vec<_>>();
            assert_eq!(places(&digits), places(&compared), "{digits:?}");
        }
    }

    #[test]
    fn digits_sort_as_comparisons_do() {
        let float = |w: u64| match w % 16 {
            0 => 0.0,
            1 => -0.0,
            2 => f64::NAN,
            3 => -f64::NAN,
            4 => f64::INFINITY,
            5 => f64::NEG_INFINITY,
            6 => f64::from_bits(w >> 60),
            _ => f64::from_bits(w),
        };
        let order = |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or(Ordering::Equal);
        agree(float, order, |v| v.is_nan());
        agree(|w| float(w) as f32, |a, b| order(&f64::from(*a), &f64::from(*b)), |v| v.is_nan());
        agree(|w| half::f16::from_bits(w as u16), |a, b| order(&a.to_f64(), &b.to_f64()), |v| v.is_nan());
        agree(|w| half::bf16::from_bits(w as u16), |a, b| order(&a.to_f64(), &b.to_f64()), |v| v.is_nan());
        agree(|w| w as i64, Ord::cmp, |_| false);
        agree(|w| w, Ord::cmp, |_| false);
        agree(|w| w as i16, Ord::cmp, |_| false);
        agree(|w| w as u8, Ord::cmp, |_| false);
    }
}
