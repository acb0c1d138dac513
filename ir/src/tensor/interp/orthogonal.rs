//! Orthonormal columns in f64: the QR factorization by reflections, and bases that are made complete.

use super::linalg::{Matrix, reflect};

/// `q` with orthonormal columns and upper triangular `r`, of `a = q r`, as many columns as the smaller extent.
pub(super) fn qr(mut a: Matrix) -> (Matrix, Matrix) {
    let (rows, cols) = (a.rows(), a.cols());
    let small = rows.min(cols);
    // The reflections that make `a` triangular make the transpose of q out of the identity.
    let mut transposed = Matrix::identity(rows);
    for k in 0..small {
        let size = (k..rows).fold(0.0, |s: f64, i| s.hypot(a[(i, k)]));
        if size > 0.0 {
            reflect(&mut a, &mut transposed, k, size);
        }
    }
    let mut r = Matrix::zeros(small, cols);
    let mut q = Matrix::zeros(rows, small);
    for i in 0..small {
        for j in i..cols {
            r[(i, j)] = a[(i, j)];
        }
        for j in 0..rows {
            q[(j, i)] = transposed[(i, j)];
        }
    }
    (q, r)
}

/// Sets the columns of `u` that are not among the `given` ones, so that all are orthonormal: each becomes what the
/// others leave of that unit vector of which they leave most, orthogonalized twice.
pub(super) fn complete(u: &mut Matrix, given: usize) {
    let rows = u.rows();
    for next in given..u.cols() {
        let rest = |unit: usize, u: &Matrix| {
            let mut v: Vec<f64> = (0..rows).map(|i| f64::from(u8::from(i == unit))).collect();
            for j in (0..next).chain(0..next) {
                let along: f64 = v.iter().enumerate().map(|(i, e)| e * u[(i, j)]).sum();
                v.iter_mut().enumerate().for_each(|(i, e)| *e -= along * u[(i, j)]);
            }
            let size = v.iter().fold(0.0, |s: f64, e| s.hypot(*e));
            (size, v)
        };
        let all = (0..rows).map(|unit| rest(unit, u));
        let Some((size, v)) = all.max_by(|a, b| a.0.total_cmp(&b.0)) else { return };
        for (i, e) in v.iter().enumerate() {
            u[(i, next)] = e / size;
        }
    }
}
