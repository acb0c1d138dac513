//! How near to singular a matrix is, estimated from its factors.
//!
//! The 1-norm of an inverse is found by solving a few systems (Hager 1984; Higham, "FORTRAN codes for estimating the
//! one-norm", 1988), as LAPACK's `gecon` does. It is never too large, and seldom less than a third of the truth.

use super::dense::{Real, Side, solve_vector};

/// The condition number in the 1-norm, if it may be so large that no digit of a solution need be right.
///
/// `lu` are the factors of the transpose of a matrix of that norm, apart from the order of rows, which changes no norm.
/// A solve with one vector tells most matrices to be far from that, and costs a part of what the estimate
/// does. `space` is used up.
pub(crate) fn if_large<T: Real>(lu: &[T], n: usize, norm: f64, space: &mut Vec<T>) -> Option<f64> {
    space.clear();
    space.extend((0..n).map(element::<T>));
    let length = sum(space);
    solve_vector(lu, space, Side::Transposed);
    let first = sum(space) / length;
    if is_far::<T>(first, norm, n) {
        return None;
    }
    large::<T>(norm * inverse_norm(lu, n, first, space))
}

/// A condition number if it is so large that no digit of a solution need be right.
pub(super) fn large<T: Real>(condition: f64) -> Option<f64> {
    // What overflows is as large as can be.
    let condition = if condition.is_nan() { f64::INFINITY } else { condition };
    (condition * T::EPSILON > 1.0).then_some(condition)
}

/// Whether a matrix of that order and norm is far from one whose solutions need not have a right digit, when its inverse
/// multiplies the length of a vector of [`element`]s by `first`.
#[inline(always)]
pub(super) fn is_far<T: Real>(first: f64, norm: f64, n: usize) -> bool {
    let size = n as f64;
    // That vector may stand almost at right angles to what the inverse stretches most.
    let slack = 10.0 * size * size.sqrt();
    first * norm * slack * T::EPSILON < 1.0
}

/// Elements that are the same at every call and in no order that a matrix would have: multiples of the golden ratio
/// modulo 1, no two of which are near each other, so that no difference of two vanishes; and signs.
#[inline(always)]
pub(super) fn element<T: Real>(i: usize) -> T {
    let multiple = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let size = 0.5 + multiple as f64 / 2f64.powi(64);
    T::narrow(if (multiple ^ (multiple >> 29)) & (1 << 20) == 0 { size } else { -size })
}

fn sum<T: Real>(v: &[T]) -> f64 {
    v.iter().map(|e| e.size().wide()).sum()
}

fn largest<T: Real>(v: &[T]) -> usize {
    (0..v.len()).fold(0, |best, i| if v[i].size() > v[best].size() { i } else { best })
}

/// The 1-norm of the inverse, from what it makes of a vector whose length it multiplies by `first`.
fn inverse_norm<T: Real>(lu: &[T], n: usize, first: f64, space: &mut [T]) -> f64 {
    /// As many turns as LAPACK takes.
    const TURNS: usize = 5;
    let signs_of = |v: &[T]| -> Vec<bool> { v.iter().map(|e| *e >= T::default()).collect() };
    let mut found = first;
    if n == 1 {
        return found;
    }
    let mut last = usize::MAX;
    for _ in 1..TURNS {
        let signs = signs_of(space);
        space.iter_mut().zip(&signs).for_each(|(v, s)| *v = if *s { T::ONE } else { -T::ONE });
        solve_vector(lu, space, Side::Plain);
        let next = largest(space);
        if last != usize::MAX && space[next].size() == space[last].size() {
            break;
        }
        last = next;
        space.fill(T::default());
        space[next] = T::ONE;
        solve_vector(lu, space, Side::Transposed);
        let size = sum(space);
        if size <= found || signs_of(space) == signs {
            found = found.max(size);
            break;
        }
        found = size;
    }
    // A vector for which the search above is known to fail.
    let step = |i: usize| 1.0 + i as f64 / (n - 1) as f64;
    for (i, v) in space.iter_mut().enumerate() {
        *v = T::narrow(if i % 2 == 0 { step(i) } else { -step(i) });
    }
    solve_vector(lu, space, Side::Transposed);
    found.max(2.0 * sum(space) / (3.0 * n as f64))
}

#[cfg(test)]
mod tests {
    use super::super::dense::{lu, norm};
    use super::*;

    /// The condition number as it is estimated, and by the inverse, of a row-major matrix.
    fn both(a: &[f64], n: usize) -> (Option<f64>, f64) {
        let (mut m, mut order, mut sums) = (a.to_vec(), vec![0; n], vec![0.0; n]);
        let size = norm(a, &mut sums);
        lu(&mut m, &mut order);
        let column = |j: usize| {
            let mut v = vec![0.0; n];
            v[j] = 1.0;
            solve_vector(&m, &mut v, Side::Transposed);
            sum(&v)
        };
        let exact = size * (0..n).map(column).fold(0.0, f64::max);
        (if_large(&m, n, size, &mut Vec::new()), exact)
    }

    fn hilbert(n: usize) -> Vec<f64> {
        (0..n * n).map(|k| 1.0 / (k / n + k % n + 1) as f64).collect()
    }

    #[test]
    fn hilbert_matrices_are_bad_from_order_12_on() {
        for n in [2, 8, 10] {
            assert_eq!(both(&hilbert(n), n).0, None, "{n}");
        }
        for n in [12, 13, 16, 30] {
            let (found, exact) = both(&hilbert(n), n);
            let found = found.unwrap();
            assert!(found > exact / 3.0 && found < exact * 1.0001, "{n}: {found} of {exact}");
        }
    }

    #[test]
    fn no_pivot_has_to_be_small() {
        // Ones on the diagonal, -1 above: the inverse grows like 2^n.
        let n = 60;
        let at = |k: usize| if k / n == k % n { 1.0 } else { -f64::from(u8::from(k / n < k % n)) };
        let (found, exact) = both(&(0..n * n).map(at).collect::<Vec<f64>>(), n);
        assert!(found.unwrap() > exact / 3.0, "{found:?} of {exact}");
    }

    #[test]
    fn a_pair_of_rows_is_found_wherever_it_stands() {
        let n = 9;
        for i in 0..n {
            for j in 0..i {
                for sign in [1.0, -1.0] {
                    let mut a: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k / n == k % n))).collect();
                    (a[i * n + j], a[j * n + i]) = (sign, sign);
                    a[i * n + i] = 1.0 + f64::EPSILON;
                    assert!(both(&a, n).0.is_some(), "{i} {j} {sign}");
                }
            }
        }
    }

    #[test]
    fn one_element_and_overflow() {
        assert_eq!(both(&[1e-300], 1).0, None);
        let tiny = [1e-320, 0.0, 0.0, 1.0];
        assert_eq!(both(&tiny, 2).0, Some(f64::INFINITY));
    }
}
