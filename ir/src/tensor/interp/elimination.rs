//! Triangular factors in f64, as textbooks have them: LU, Cholesky, and substitution.

use super::linalg::Matrix;

/// LU with partial pivoting (Golub and Van Loan, algorithm 3.4.1): both factors in one matrix, the rows of `a` in the
/// order of the factors' rows, and whether that order is an odd one. A column without a pivot is left as it is.
pub(super) fn lu(mut a: Matrix) -> (Matrix, Vec<usize>, bool) {
    let (rows, cols) = (a.rows(), a.cols());
    let mut order: Vec<usize> = (0..rows).collect();
    let mut odd = false;
    for k in 0..rows.min(cols) {
        let pivot = (k..rows).fold(k, |best, i| if a[(i, k)].abs() > a[(best, k)].abs() { i } else { best });
        if a[(pivot, k)] == 0.0 {
            continue;
        }
        if pivot != k {
            a.swap_rows(k, pivot);
            order.swap(k, pivot);
            odd = !odd;
        }
        for i in k + 1..rows {
            let factor = a[(i, k)] / a[(k, k)];
            a.subtract_row(i, k, factor, k + 1);
            a[(i, k)] = factor;
        }
    }
    (a, order, odd)
}

/// The lower triangular factor of a symmetric matrix of which the lower triangle is given; the order of the first
/// leading minor that is not positive.
pub(super) fn cholesky(a: &Matrix) -> Result<Matrix, usize> {
    let n = a.rows();
    let mut l = Matrix::zeros(n, n);
    for j in 0..n {
        for i in j..n {
            let sum: f64 = (0..j).map(|k| l[(i, k)] * l[(j, k)]).sum();
            let rest = a[(i, j)] - sum;
            if i > j {
                l[(i, j)] = rest / l[(j, j)];
            } else if rest > 0.0 {
                l[(j, j)] = rest.sqrt();
            } else {
                return Err(j + 1);
            }
        }
    }
    Ok(l)
}

/// The solution of `a x = b` by one triangle of `a`; the index of the first zero on the diagonal.
pub(super) fn solve_triangular(a: &Matrix, mut b: Matrix, lower: bool) -> Result<Matrix, usize> {
    let n = a.rows();
    if let Some(zero) = (0..n).find(|i| a[(*i, *i)] == 0.0) {
        return Err(zero);
    }
    for step in 0..n {
        let i = if lower { step } else { n - 1 - step };
        let solved = if lower { 0..i } else { i + 1..n };
        for j in solved {
            b.subtract_row(i, j, a[(i, j)], 0);
        }
        for c in 0..b.cols() {
            b[(i, c)] /= a[(i, i)];
        }
    }
    Ok(b)
}
