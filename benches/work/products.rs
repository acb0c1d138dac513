//! Products of matrices: squares, a chain whose order counts, and the layers of a network.

use super::{Float, Rows, compare, uniform};
use crate::native;
use matex::AsView;
use ndarray::{Array1, Array2};
use std::hint::black_box;

pub(super) fn all<T: Float>(on: Rows<'_>, a: &Array2<T>, b: &Array2<T>) {
    square(on, a, b);
    chain::<T>(on);
    network::<T>(on);
}

/// Two matrices and a vector: from the left it is a product of matrices, from the right it is two with vectors.
fn chain<T: Float>(on: Rows<'_>) {
    let (n, k) = if on.bench.real { (1000, 10) } else { (8, 2) };
    let matrix = |rows, cols, seed| {
        Array2::from_shape_vec((rows, cols), uniform::<T>(rows * cols, seed, (-1.0, 1.0))).unwrap()
    };
    let (a, b, v) = (matrix(n, k, 1), matrix(k, n, 2), Array1::from(uniform::<T>(n, 3, (-1.0, 1.0))));
    let mut by_hand = || drop(black_box(a.dot(&b.dot(&v))));
    let mut from_the_left = || drop(black_box(a.dot(&b).dot(&v)));
    let others: &mut [(&str, &mut dyn FnMut())] =
        &mut [("ndarray", &mut by_hand), ("ndarray, from the left", &mut from_the_left)];
    let name = format!("A B v, {n} x {k} x {n}");
    compare::<T, _>(on, &name, ("A @ B @ v", &[&a, &b, &v]), vec![T::zero(); n], others);
}

/// Forward through 784-256-128-10 for a batch.
fn network<T: Float>(on: Rows<'_>) {
    let sizes: [usize; 4] = if on.bench.real { [784, 256, 128, 10] } else { [4, 3, 2, 2] };
    let batch = if on.bench.real { 128 } else { 2 };
    let matrix = |rows, cols, seed| {
        Array2::from_shape_vec((rows, cols), uniform::<T>(rows * cols, seed, (-0.05, 0.05))).unwrap()
    };
    let x = matrix(batch, sizes[0], 1);
    let w: [Array2<T>; 3] = std::array::from_fn(|i| matrix(sizes[i], sizes[i + 1], 2 + i as u64));
    let b: [Array1<T>; 3] = std::array::from_fn(|i| Array1::from(uniform(sizes[i + 1], 5, (-0.1, 0.1))));
    let relu = |h: Array2<T>| h.mapv_into(|v| if v > T::zero() { v } else { T::zero() });
    let mut by_hand = || {
        let h = relu(x.dot(&w[0]) + &b[0]);
        let h = relu(h.dot(&w[1]) + &b[1]);
        drop(black_box(h.dot(&w[2]) + &b[2]));
    };
    let source = "fn f(x: float[n, i], A: float[i, j], a: float[j], B: float[j, k], b: float[k], C: float[k, m], c: float[m]) {
        relu(relu(x @ A + a) @ B + b) @ C + c }";
    let args: &[&dyn AsView] = &[&x, &w[0], &b[0], &w[1], &b[1], &w[2], &b[2]];
    let name = format!("network forward, batch {batch}");
    let out = Array2::<T>::zeros((batch, sizes[3]));
    compare::<T, _>(on, &name, (source, args), out, &mut [("ndarray", &mut by_hand)]);
}

fn square<T: Float>(on: Rows<'_>, a: &Array2<T>, b: &Array2<T>) {
    let n = a.nrows();
    let mut to = vec![T::zero(); n * n];
    let (left, right) = (a.as_slice().unwrap(), b.as_slice().unwrap());
    let mut plain = native(
        #[inline(always)]
        || {
            to.fill(T::zero());
            for (to, left) in to.chunks_exact_mut(n).zip(left.chunks_exact(n)) {
                for (x, right) in left.iter().zip(right.chunks_exact(n)) {
                    to.iter_mut().zip(right).for_each(|(o, y)| *o = *o + *x * *y);
                }
            }
            black_box(&mut to);
        },
    );
    let mut nd = || drop(black_box(a.dot(b)));
    let out = Array2::<T>::zeros((n, n));
    let others: &mut [(&str, &mut dyn FnMut())] = &mut [("loop", &mut plain), ("ndarray", &mut nd)];
    compare::<T, _>(on, &format!("matmul {n}"), ("a @ b", &[a, b]), out, others);
    let x = a.row(0).to_owned();
    let mut sums = vec![T::zero(); n];
    let mut plain = native(
        #[inline(always)]
        || {
            for (s, row) in sums.iter_mut().zip(left.chunks_exact(n)) {
                *s = row.iter().zip(&x).fold(T::zero(), |s, (a, b)| s + *a * *b);
            }
            black_box(&mut sums);
        },
    );
    let mut nd = || drop(black_box(a.dot(&x)));
    let others: &mut [(&str, &mut dyn FnMut())] = &mut [("loop", &mut plain), ("ndarray", &mut nd)];
    let name = format!("matrix times vector {n}");
    compare::<T, _>(on, &name, ("a @ x", &[a, &x]), vec![T::zero(); n], others);
}
