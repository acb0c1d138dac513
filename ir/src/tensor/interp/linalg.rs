//! Dense linear algebra in f64, written for the eye: textbook elimination and Householder reflections.

use std::ops::{Index, IndexMut};

/// A row-major matrix.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    pub(super) fn zeros(rows: usize, cols: usize) -> Matrix {
        Matrix { rows, cols, data: vec![0.0; rows.saturating_mul(cols)] }
    }

    pub(super) fn nan(rows: usize, cols: usize) -> Matrix {
        Matrix { rows, cols, data: vec![f64::NAN; rows.saturating_mul(cols)] }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn identity(n: usize) -> Matrix {
        let mut m = Matrix::zeros(n, n);
        (0..n).for_each(|i| m[(i, i)] = 1.0);
        m
    }

    pub(super) fn transposed(&self) -> Matrix {
        let mut t = Matrix::zeros(self.cols, self.rows);
        for i in 0..self.rows {
            for j in 0..self.cols {
                t[(j, i)] = self[(i, j)];
            }
        }
        t
    }

    /// The elements in row-major order.
    pub(super) fn into_data(self) -> Vec<f64> {
        self.data
    }

    pub(super) fn swap_rows(&mut self, i: usize, j: usize) {
        for c in 0..self.cols {
            self.data.swap(i * self.cols + c, j * self.cols + c);
        }
    }

    fn swap_cols(&mut self, i: usize, j: usize) {
        for r in 0..self.rows {
            self.data.swap(r * self.cols + i, r * self.cols + j);
        }
    }

    /// `row i -= factor * row j` from column `from` on.
    pub(super) fn subtract_row(&mut self, i: usize, j: usize, factor: f64, from: usize) {
        for c in from..self.cols {
            self[(i, c)] -= factor * self[(j, c)];
        }
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;
    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        &self.data[i * self.cols + j]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        &mut self.data[i * self.cols + j]
    }
}

/// The solution of `a x = b` for square `a`, by Gaussian elimination with partial pivoting; the index of the pivot
/// when one is exactly zero.
pub(super) fn solve(mut a: Matrix, mut b: Matrix) -> Result<Matrix, usize> {
    let n = a.rows;
    for k in 0..n {
        let pivot = (k..n).fold(k, |best, i| if a[(i, k)].abs() > a[(best, k)].abs() { i } else { best });
        if a[(pivot, k)] == 0.0 {
            return Err(k);
        }
        a.swap_rows(k, pivot);
        b.swap_rows(k, pivot);
        for i in k + 1..n {
            let factor = a[(i, k)] / a[(k, k)];
            a.subtract_row(i, k, factor, k);
            b.subtract_row(i, k, factor, 0);
        }
    }
    back_substitute(&a, &mut b, n);
    Ok(b)
}

/// Solves with the upper triangle of the leading `n` columns of `r`, in place of the first `n` rows of `b`.
fn back_substitute(r: &Matrix, b: &mut Matrix, n: usize) {
    for i in (0..n).rev() {
        for j in i + 1..n {
            b.subtract_row(i, j, r[(i, j)], 0);
        }
        for c in 0..b.cols {
            b[(i, c)] /= r[(i, i)];
        }
    }
}

/// A least-squares solution of `a x = b` by QR with column pivoting (Golub and Van Loan, section 5.4.2). Columns
/// whose pivot is zero, less than `cut` times the first, or no more than the part `rounding` of their length, are left out:
/// their unknowns are zero.
pub(super) fn solve_least_squares(mut a: Matrix, mut b: Matrix, cut: f64, rounding: f64) -> Matrix {
    let (rows, cols) = (a.rows, a.cols);
    let length = |j: usize| (0..rows).fold(0.0, |s: f64, i| s.hypot(a[(i, j)]));
    let lengths: Vec<f64> = (0..cols).map(length).collect();
    let mut order: Vec<usize> = (0..cols).collect();
    let mut rank = 0;
    let mut largest = 0.0;
    while rank < rows.min(cols) {
        let norm = |a: &Matrix, j: usize| (rank..rows).fold(0.0, |s: f64, i| s.hypot(a[(i, j)]));
        let pivot = (rank..cols).fold(rank, |best, j| if norm(&a, j) > norm(&a, best) { j } else { best });
        let size = norm(&a, pivot);
        if rank == 0 {
            largest = size;
        }
        if size == 0.0 || size < cut * largest || size <= rounding * lengths[order[pivot]] {
            break;
        }
        a.swap_cols(rank, pivot);
        order.swap(rank, pivot);
        reflect(&mut a, &mut b, rank, size);
        rank += 1;
    }
    back_substitute(&a, &mut b, rank);
    let mut x = Matrix::zeros(cols, b.cols);
    for (i, unknown) in order.iter().take(rank).enumerate() {
        for c in 0..b.cols {
            x[(*unknown, c)] = b[(i, c)];
        }
    }
    x
}

/// Applies to `a` and `b` the reflection that sends column `k` of `a`, of which rows from `k` on have length `size`,
/// to a multiple of the unit vector `k`.
pub(super) fn reflect(a: &mut Matrix, b: &mut Matrix, k: usize, size: f64) {
    let alpha = if a[(k, k)] > 0.0 { -size } else { size };
    // The vector is divided by the length of the column, so that its square neither overflows nor vanishes.
    let mut v: Vec<f64> = (k..a.rows).map(|i| a[(i, k)] / size).collect();
    v[0] -= alpha / size;
    let square: f64 = v.iter().map(|e| e * e).sum();
    for m in [a, b] {
        for c in 0..m.cols {
            let along: f64 = v.iter().enumerate().map(|(i, e)| e * m[(k + i, c)]).sum();
            for (i, e) in v.iter().enumerate() {
                m[(k + i, c)] -= 2.0 * along / square * e;
            }
        }
    }
}
