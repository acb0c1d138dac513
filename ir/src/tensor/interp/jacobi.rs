//! Eigenvalues and singular values in f64 by plane rotations, after Jacobi: slow, simple and accurate.

use super::linalg::Matrix;
use super::orthogonal::complete;

/// Rounds over all pairs; a handful are enough, as convergence is quadratic.
const ROUNDS: usize = 100;

/// Cosine and sine of the rotation that makes a symmetric `[[a, c], [c, b]]` diagonal (Golub and Van Loan, 8.5.2).
fn rotation(a: f64, b: f64, c: f64) -> (f64, f64) {
    let ratio = (b - a) / (2.0 * c);
    let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    (cosine, cosine * tangent)
}

/// Turns the columns p and q.
fn turn_columns(m: &mut Matrix, p: usize, q: usize, (cosine, sine): (f64, f64)) {
    for i in 0..m.rows() {
        let (x, y) = (m[(i, p)], m[(i, q)]);
        m[(i, p)] = cosine * x - sine * y;
        m[(i, q)] = sine * x + cosine * y;
    }
}

/// The matrix divided by its largest element, and that: squares then neither overflow nor vanish.
fn scaled(mut a: Matrix) -> (Matrix, f64) {
    let places = || (0..a.rows()).flat_map(|i| (0..a.cols()).map(move |j| (i, j)));
    let places: Vec<(usize, usize)> = places().collect();
    let largest = places.iter().fold(0.0, |s: f64, at| s.max(a[*at].abs()));
    if largest == 0.0 {
        return (a, 1.0);
    }
    places.iter().for_each(|at| a[*at] /= largest);
    (a, largest)
}

/// Columns of `m` and their values, in an order of the values.
fn sorted(m: &Matrix, values: &[f64], order: &[usize]) -> (Vec<f64>, Matrix) {
    let mut out = Matrix::zeros(m.rows(), order.len());
    for (j, from) in order.iter().enumerate() {
        for i in 0..m.rows() {
            out[(i, j)] = m[(i, *from)];
        }
    }
    (order.iter().map(|i| values[*i]).collect(), out)
}

/// Eigenvalues in rising order, and eigenvectors as columns, of a symmetric matrix of which the lower triangle is
/// given; `None` without convergence.
pub(super) fn eigh(mut a: Matrix) -> Option<(Vec<f64>, Matrix)> {
    let n = a.rows();
    for i in 0..n {
        for j in i + 1..n {
            a[(i, j)] = a[(j, i)];
        }
    }
    let (mut a, scale) = scaled(a);
    let mut v = Matrix::identity(n);
    for _ in 0..ROUNDS {
        let mut still = true;
        for p in 0..n {
            for q in p + 1..n {
                let c = a[(p, q)];
                if c.abs() <= 1e-18 {
                    continue;
                }
                still = false;
                let turn = rotation(a[(p, p)], a[(q, q)], c);
                turn_columns(&mut a, p, q, turn);
                a = a.transposed();
                turn_columns(&mut a, p, q, turn);
                turn_columns(&mut v, p, q, turn);
                (a[(p, q)], a[(q, p)]) = (0.0, 0.0);
            }
        }
        if still {
            let values: Vec<f64> = (0..n).map(|i| a[(i, i)] * scale).collect();
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
            return Some(sorted(&v, &values, &order));
        }
    }
    None
}

/// `u`, singular values in falling order, and `v`, of `a = u diag(s) v.T`; square `u` and `v` when `full`. By
/// one-sided rotations, which make the columns orthogonal (Golub and Van Loan, 8.6.3). `None` without convergence.
pub(super) fn svd(a: Matrix, full: bool) -> Option<(Matrix, Vec<f64>, Matrix)> {
    if a.rows() < a.cols() {
        return svd(a.transposed(), full).map(|(u, s, v)| (v, s, u));
    }
    let (rows, cols) = (a.rows(), a.cols());
    let (mut a, scale) = scaled(a);
    let mut v = Matrix::identity(cols);
    let dot = |m: &Matrix, p: usize, q: usize| (0..rows).map(|i| m[(i, p)] * m[(i, q)]).sum::<f64>();
    let mut still = false;
    for _ in 0..ROUNDS {
        still = true;
        for p in 0..cols {
            for q in p + 1..cols {
                let (x, y, c) = (dot(&a, p, p), dot(&a, q, q), dot(&a, p, q));
                if c.abs() <= 1e-15 * (x * y).sqrt() || c.abs() <= 1e-36 {
                    continue;
                }
                still = false;
                let turn = rotation(x, y, c);
                turn_columns(&mut a, p, q, turn);
                turn_columns(&mut v, p, q, turn);
            }
        }
        if still {
            break;
        }
    }
    let sizes: Vec<f64> = (0..cols).map(|j| (0..rows).fold(0.0, |s: f64, i| s.hypot(a[(i, j)]))).collect();
    let mut order: Vec<usize> = (0..cols).collect();
    order.sort_by(|i, j| sizes[*j].total_cmp(&sizes[*i]));
    let (values, columns) = sorted(&a, &sizes, &order);
    let v = sorted(&v, &sizes, &order).1;
    // What is all rounding has no direction of its own.
    let least = values.first().map_or(0.0, |s| s * 1e-15 * rows as f64);
    let rank = values.iter().filter(|s| **s > least).count();
    let mut u = Matrix::zeros(rows, if full { rows } else { cols });
    for j in 0..rank {
        for i in 0..rows {
            u[(i, j)] = columns[(i, j)] / values[j];
        }
    }
    complete(&mut u, rank);
    still.then(|| (u, values.iter().map(|s| s * scale).collect(), v))
}
