//! Reductions of a matrix, of its rows and of its columns, and what is made of rows by them.

use super::{Float, Rows, compare};
use crate::native;
use matex::AsView;
use ndarray::{Array2, Axis};
use std::hint::black_box;

type Others<'a> = &'a mut [(&'static str, &'a mut dyn FnMut())];

pub(super) fn all<T: Float>(on: Rows<'_>, a: &Array2<T>) {
    whole(on, a);
    sums(on, a);
    moments(on, a);
    by_rows(on, a);
}

fn whole<T: Float>(on: Rows<'_>, a: &Array2<T>) {
    let data = a.as_slice().unwrap();
    let args: &[&dyn AsView] = &[&data];
    let mut plain = native(
        #[inline(always)]
        || {
            black_box(sum_of(data));
        },
    );
    let mut nd = || {
        black_box(a.sum());
    };
    let others: Others<'_> = &mut [("loop", &mut plain), ("ndarray", &mut nd)];
    compare::<T, _>(on, "sum", ("sum(x)", args), T::zero(), others);
    let mut plain = native(
        #[inline(always)]
        || {
            let best = data
                .iter()
                .enumerate()
                .fold((0, data[0]), |(at, best), (i, x)| if *x > best { (i, *x) } else { (at, best) });
            black_box(best);
        },
    );
    compare::<T, _>(on, "argmax", ("argmax(x)", args), 0i64, &mut [("loop", &mut plain)]);
}

/// By 64 sums, so that it is not one chain of additions.
#[inline(always)]
fn sum_of<T: Float>(data: &[T]) -> T {
    let mut sums = [T::zero(); 64];
    let chunks = data.chunks_exact(64);
    let rest: T = chunks.remainder().iter().copied().sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(s, x)| *s = *s + *x);
    }
    sums.into_iter().sum::<T>() + rest
}

fn sums<T: Float>(on: Rows<'_>, a: &Array2<T>) {
    let ((rows, cols), data) = (a.dim(), a.as_slice().unwrap());
    let mut to = vec![T::zero(); rows];
    let mut plain = native(
        #[inline(always)]
        || {
            to.iter_mut().zip(data.chunks_exact(cols)).for_each(|(o, row)| *o = sum_of(row));
            black_box(&mut to);
        },
    );
    let mut nd = || drop(black_box(a.sum_axis(Axis(1))));
    let others: Others<'_> = &mut [("loop", &mut plain), ("ndarray", &mut nd)];
    compare::<T, _>(on, "sum of rows", ("sum(x, axis=1)", &[a]), vec![T::zero(); rows], others);
    let mut to = vec![T::zero(); cols];
    let mut plain = native(
        #[inline(always)]
        || {
            to.fill(T::zero());
            for row in data.chunks_exact(cols) {
                to.iter_mut().zip(row).for_each(|(s, x)| *s = *s + *x);
            }
            black_box(&mut to);
        },
    );
    let mut nd = || drop(black_box(a.sum_axis(Axis(0))));
    let others: Others<'_> = &mut [("loop", &mut plain), ("ndarray", &mut nd)];
    compare::<T, _>(on, "sum of columns", ("sum(x, axis=0)", &[a]), vec![T::zero(); cols], others);
}

fn moments<T: Float>(on: Rows<'_>, a: &Array2<T>) {
    let ((rows, cols), data) = (a.dim(), a.as_slice().unwrap());
    let n = T::of(rows as f64);
    let mut to = vec![T::zero(); 2 * cols];
    let mut plain = native(
        #[inline(always)]
        || {
            to.fill(T::zero());
            let (means, variances) = to.split_at_mut(cols);
            for row in data.chunks_exact(cols) {
                means.iter_mut().zip(row).for_each(|(s, x)| *s = *s + *x);
            }
            means.iter_mut().for_each(|m| *m = *m / n);
            for row in data.chunks_exact(cols) {
                for ((s, x), m) in variances.iter_mut().zip(row).zip(&*means) {
                    *s = *s + (*x - *m) * (*x - *m);
                }
            }
            variances.iter_mut().for_each(|v| *v = *v / n);
            black_box(&mut to);
        },
    );
    let others: Others<'_> = &mut [("loop", &mut plain)];
    let source = "stack([mean(x, axis=0), var(x, axis=0)])";
    compare::<T, _>(on, "mean and variance of columns", (source, &[a]), pairs::<T>(cols), others);
    let mut to = vec![T::zero(); 2 * rows];
    let n = T::of(cols as f64);
    let mut plain = native(
        #[inline(always)]
        || {
            let (means, variances) = to.split_at_mut(rows);
            for ((m, v), row) in means.iter_mut().zip(variances).zip(data.chunks_exact(cols)) {
                *m = sum_of(row) / n;
                *v = deviation(row, *m) / n;
            }
            black_box(&mut to);
        },
    );
    let others: Others<'_> = &mut [("loop", &mut plain)];
    let source = "stack([mean(x, axis=1), var(x, axis=1)])";
    compare::<T, _>(on, "mean and variance of rows", (source, &[a]), pairs::<T>(rows), others);
}

/// Room for two results of each row or column.
fn pairs<T: Float>(n: usize) -> Array2<T> {
    Array2::zeros((2, n))
}

/// The sum of squares of distances from a number, by 64 sums.
#[inline(always)]
fn deviation<T: Float>(row: &[T], from: T) -> T {
    let mut sums = [T::zero(); 64];
    let chunks = row.chunks_exact(64);
    let rest: T = chunks.remainder().iter().map(|x| (*x - from) * (*x - from)).sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(s, x)| *s = *s + (*x - from) * (*x - from));
    }
    sums.into_iter().sum::<T>() + rest
}

fn by_rows<T: Float>(on: Rows<'_>, a: &Array2<T>) {
    let ((rows, cols), data) = (a.dim(), a.as_slice().unwrap());
    let mut to = data.to_vec();
    let n = T::of(cols as f64);
    let largest = |row: &[T]| row.iter().copied().fold(row[0], |m, x| if x > m { x } else { m });
    let mut plain = native(
        #[inline(always)]
        || {
            for (to, row) in to.chunks_exact_mut(cols).zip(data.chunks_exact(cols)) {
                let max = largest(row);
                to.iter_mut().zip(row).for_each(|(o, x)| *o = (*x - max).exp());
                let sum = sum_of(to);
                to.iter_mut().for_each(|o| *o = *o / sum);
            }
            black_box(&mut to);
        },
    );
    let others: Others<'_> = &mut [("loop", &mut plain)];
    compare::<T, _>(on, "softmax of rows", ("softmax(x)", &[a]), a.clone(), others);
    let mut to = data.to_vec();
    let mut plain = native(
        #[inline(always)]
        || {
            for (to, row) in to.chunks_exact_mut(cols).zip(data.chunks_exact(cols)) {
                let mean = sum_of(row) / n;
                let scale = T::one() / (deviation(row, mean) / n + T::of(1e-5)).sqrt();
                to.iter_mut().zip(row).for_each(|(o, x)| *o = (*x - mean) * scale);
            }
            black_box(&mut to);
        },
    );
    let others: Others<'_> = &mut [("loop", &mut plain)];
    let source = "fn f(x: float[n, m]) { c = x - mean(x, axis=1, keepdims=true);
        c / sqrt(mean(c*c, axis=1, keepdims=true) + 1e-5) }";
    compare::<T, _>(on, "layernorm of rows", (source, &[a]), a.clone(), others);
    let mut to = vec![T::zero(); rows];
    let mut plain = native(
        #[inline(always)]
        || {
            for (o, row) in to.iter_mut().zip(data.chunks_exact(cols)) {
                let max = largest(row);
                *o = max + row.iter().map(|x| (*x - max).exp()).sum::<T>().ln();
            }
            black_box(&mut to);
        },
    );
    let others: Others<'_> = &mut [("loop", &mut plain)];
    let out = vec![T::zero(); rows];
    compare::<T, _>(on, "logsumexp of rows", ("logsumexp(x, axis=1)", &[a]), out, others);
}
