//! Small systems of a batch, some at a time: a lane of every vector belongs to one of them, so that vectors are full
//! however small the systems are, and no step waits for the one before of the same system.
//!
//! The operations on each system and their order are those of [`dense::lu`] and [`dense::solve_vector`], so that results
//! have the same bits whether a system meets others here or is solved alone. What is unusual, a pivot that is zero or a
//! matrix that may be nearly singular, is left to the code for one system.
//!
//! [`dense::lu`]: super::dense::lu
//! [`dense::solve_vector`]: super::dense::solve_vector

use super::condition::{element, is_far};
use super::dense::{Real, wide};

/// How many systems are solved at a time.
pub(super) const TOGETHER: usize = 8;

/// Up to this order. The sums of [`solve_vector`](super::dense::solve_vector) are cut into lanes beyond it, and the
/// matrices leave the first cache.
pub(super) const LARGEST: usize = 16;

/// An element of each system.
type Lanes<T> = [T; TOGETHER];

/// Memory for some systems.
pub(super) struct Group<T> {
    n: usize,
    /// Element `k` of each matrix, which lies by rows and is factorized as the transpose by columns.
    matrix: Vec<Lanes<T>>,
    /// The row that each row of the factors was.
    order: Vec<[usize; TOGETHER]>,
    vector: Vec<Lanes<T>>,
}

impl<T: Real> Group<T> {
    pub(super) fn new(n: usize) -> Group<T> {
        Group {
            n,
            matrix: vec![[T::default(); TOGETHER]; n * n],
            order: vec![[0; TOGETHER]; n],
            vector: vec![[T::default(); TOGETHER]; n],
        }
    }

    /// Solves systems in place of `x`: matrices of order n and right sides of `width` columns, one behind the other.
    /// False, and nothing is written, when one of them wants to be looked at: a pivot is zero, or the condition number
    /// is asked for and may be large.
    pub(super) fn solve(&mut self, a: &[T], x: &mut [T], width: usize, estimates: bool) -> bool {
        wide(
            #[inline(always)]
            || {
                let n = self.n;
                for (k, lanes) in self.matrix.iter_mut().enumerate() {
                    for (l, lane) in lanes.iter_mut().enumerate() {
                        *lane = a[l * n * n + k];
                    }
                }
                let sizes = if estimates { norms(&self.matrix, &mut self.vector) } else { [0.0; TOGETHER] };
                if !factorize(&mut self.matrix, &mut self.order) {
                    return false;
                }
                if estimates && !self.all_far(&sizes) {
                    return false;
                }
                for j in 0..width {
                    self.solve_column(x, width, j);
                }
                true
            },
        )
    }

    #[inline(always)]
    fn all_far(&mut self, sizes: &[f64; TOGETHER]) -> bool {
        let n = self.n;
        let mut length = 0.0;
        for (i, lanes) in self.vector.iter_mut().enumerate() {
            let e = element::<T>(i);
            *lanes = [e; TOGETHER];
            length += e.size().wide();
        }
        substitute(&self.matrix, &mut self.vector);
        let mut sums = [0.0; TOGETHER];
        for lanes in &self.vector {
            for (sum, e) in sums.iter_mut().zip(lanes) {
                *sum += e.size().wide();
            }
        }
        sums.iter().zip(sizes).all(|(sum, size)| is_far::<T>(sum / length, *size, n))
    }

    #[inline(always)]
    fn solve_column(&mut self, x: &mut [T], width: usize, j: usize) {
        let n = self.n;
        for (i, lanes) in self.vector.iter_mut().enumerate() {
            for (l, lane) in lanes.iter_mut().enumerate() {
                *lane = x[(l * n + i) * width + j];
            }
        }
        substitute(&self.matrix, &mut self.vector);
        for (lanes, order) in self.vector.iter().zip(&self.order) {
            for (l, (lane, row)) in lanes.iter().zip(order).enumerate() {
                x[(l * n + row) * width + j] = *lane;
            }
        }
    }
}

/// The 1-norms of matrices that lie by rows.
#[inline(always)]
fn norms<T: Real>(matrix: &[Lanes<T>], sums: &mut [Lanes<T>]) -> [f64; TOGETHER] {
    sums.fill([T::default(); TOGETHER]);
    for row in matrix.chunks_exact(sums.len().max(1)) {
        for (sums, row) in sums.iter_mut().zip(row) {
            for (sum, e) in sums.iter_mut().zip(row) {
                *sum = *sum + e.size();
            }
        }
    }
    let mut all = [0.0; TOGETHER];
    for sums in sums.iter() {
        for (all, sum) in all.iter_mut().zip(sums) {
            *all = f64::max(*all, sum.wide());
        }
    }
    all
}

/// LU with partial pivoting of column-major matrices; false where a pivot is zero.
#[inline(always)]
fn factorize<T: Real>(m: &mut [Lanes<T>], order: &mut [[usize; TOGETHER]]) -> bool {
    let n = order.len();
    for (i, order) in order.iter_mut().enumerate() {
        *order = [i; TOGETHER];
    }
    for k in 0..n {
        let (best, largest) = pivots(&m[k * n..(k + 1) * n], k);
        if largest.contains(&T::default()) {
            return false;
        }
        for (l, best) in best.into_iter().enumerate().filter(|(_, best)| *best != k) {
            for column in m.chunks_exact_mut(n) {
                let (e, pivot) = (column[k][l], column[best][l]);
                (column[k][l], column[best][l]) = (pivot, e);
            }
            let (row, pivot) = (order[k][l], order[best][l]);
            (order[k][l], order[best][l]) = (pivot, row);
        }
        eliminate(m, k, n);
    }
    true
}

/// The places of the largest elements of columns from `k` on, the first of equals, and their sizes.
#[inline(always)]
fn pivots<T: Real>(column: &[Lanes<T>], k: usize) -> ([usize; TOGETHER], Lanes<T>) {
    let mut best = [k; TOGETHER];
    let mut largest = [T::default(); TOGETHER];
    for (largest, e) in largest.iter_mut().zip(&column[k]) {
        *largest = e.size();
    }
    for (i, lanes) in column.iter().enumerate().skip(k + 1) {
        for ((best, largest), e) in best.iter_mut().zip(&mut largest).zip(lanes) {
            let size = e.size();
            let larger = size > *largest;
            *largest = if larger { size } else { *largest };
            *best = if larger { i } else { *best };
        }
    }
    (best, largest)
}

/// Takes multiples of column `k` from all columns behind it.
#[inline(always)]
fn eliminate<T: Real>(m: &mut [Lanes<T>], k: usize, n: usize) {
    let (left, right) = m.split_at_mut((k + 1) * n);
    let Some((pivot, column)) = left[k * n + k..].split_first_mut() else { return };
    for lanes in column.iter_mut() {
        for (e, pivot) in lanes.iter_mut().zip(pivot.iter()) {
            *e = *e / *pivot;
        }
    }
    for other in right.chunks_exact_mut(n) {
        let Some((factor, rows)) = other[k..].split_first_mut() else { return };
        for (row, lanes) in rows.iter_mut().zip(column.iter()) {
            for ((e, factor), x) in row.iter_mut().zip(factor.iter()).zip(lanes) {
                *e = *e - *factor * *x;
            }
        }
    }
}

/// Solves with the transposes of factors in place of `v`.
#[inline(always)]
fn substitute<T: Real>(lu: &[Lanes<T>], v: &mut [Lanes<T>]) {
    let n = v.len();
    for j in 0..n {
        let column = &lu[j * n..(j + 1) * n];
        let sum = products(&column[..j], &v[..j]);
        for (l, e) in v[j].iter_mut().enumerate() {
            *e = (*e - sum[l]) / column[j][l];
        }
    }
    for j in (0..n).rev() {
        let sum = products(&lu[j * n + j + 1..(j + 1) * n], &v[j + 1..]);
        for (e, sum) in v[j].iter_mut().zip(sum) {
            *e = *e - sum;
        }
    }
}

/// The sums of the products of two columns.
#[inline(always)]
fn products<T: Real>(a: &[Lanes<T>], b: &[Lanes<T>]) -> Lanes<T> {
    let mut sums = [T::default(); TOGETHER];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = *sum + *a * *b;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::condition;
    use super::super::dense::{Side, lu, norm, scatter_rows, solve_vector};
    use super::*;

    /// Matrices and right sides in no order, the same at every run.
    fn systems(n: usize, width: usize) -> (Vec<f64>, Vec<f64>) {
        let e = |k: usize| {
            let bits = (k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (bits >> 11) as f64 / 2f64.powi(53) - 0.5
        };
        ((0..TOGETHER * n * n).map(e).collect(), (0..TOGETHER * n * width).map(|k| e(k + 7)).collect())
    }

    /// One system at a time, of one right side; whether its condition number may be large.
    fn alone(a: &[f64], x: &mut [f64], n: usize) -> bool {
        let (mut m, mut order, mut space) = (a.to_vec(), vec![0; n], vec![0.0; n]);
        let size = norm(a, &mut space);
        lu(&mut m, &mut order);
        solve_vector(&m, x, Side::Transposed);
        scatter_rows(x, &mut order);
        condition::if_large(&m, n, size, &mut space).is_some()
    }

    #[test]
    fn the_bits_are_those_of_single_systems() {
        for n in 1..=LARGEST {
            let (a, b) = systems(n, 1);
            let (mut expected, mut x) = (b.clone(), b);
            for (a, x) in a.chunks_exact(n * n).zip(expected.chunks_exact_mut(n)) {
                assert!(!alone(a, x, n), "{n}");
            }
            assert!(Group::new(n).solve(&a, &mut x, 1, true), "{n}");
            assert_eq!(x, expected, "{n}");
        }
    }

    #[test]
    fn columns_are_solved_one_by_one() {
        let (n, width) = (5, 3);
        let (a, b) = systems(n, width);
        let mut x = b.clone();
        assert!(Group::new(n).solve(&a, &mut x, width, false));
        for j in 0..width {
            let mut column: Vec<f64> = b.iter().skip(j).step_by(width).copied().collect();
            assert!(Group::new(n).solve(&a, &mut column, 1, false));
            assert!(x.iter().skip(j).step_by(width).eq(&column), "{j}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_alone() {
        let n = 3;
        for l in 0..TOGETHER {
            let (mut a, b) = systems(n, 1);
            let mut x = b.clone();
            let one = &mut a[l * n * n..(l + 1) * n * n];
            // A row that is nearly another one, and then is it.
            for k in 0..n {
                one[n + k] = 2.0 * one[k];
            }
            one[n] += 1e-16;
            let mut group = Group::new(n);
            assert!(!group.solve(&a, &mut x, 1, true), "{l}");
            assert_eq!(x, b, "{l}");
            a[l * n * n..(l + 1) * n * n].fill(0.0);
            assert!(!group.solve(&a, &mut x, 1, false), "{l}");
            assert_eq!(x, b, "{l}");
        }
    }
}
