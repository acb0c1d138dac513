//! Least squares by faer's QR with column pivoting.

use super::{Real, columns, triangular, workspace};
use crate::lib_ops::engine::least_squares::{self, PivotedQr};
use crate::lib_ops::engine::{Failure, Fit, LeastSquares};
use crate::lib_ops::transpose::transpose;
use faer::dyn_stack::MemStack;
use faer::linalg::householder as reflections;
use faer::linalg::qr::col_pivoting::factor as qr;
use faer::{Conj, Mat, MatRef, Par};

pub(super) fn lstsq<T: Real>(p: &LeastSquares<'_, T>, x: &mut [T]) -> Result<Fit, Failure> {
    least_squares::solve(&Factors::new(p)?, p, x)
}

struct Factors<T> {
    /// By columns.
    qr: Vec<T>,
    rows: usize,
    reflectors: Mat<T>,
    perm: Vec<usize>,
}

impl<T: Real> Factors<T> {
    fn new(p: &LeastSquares<'_, T>) -> Result<Factors<T>, Failure> {
        let (rows, cols) = (p.rows, p.cols);
        let block = faer::linalg::qr::no_pivoting::factor::recommended_block_size::<T>(rows, cols);
        let mut qr = vec![T::default(); p.a.len()];
        transpose(p.a, cols, &mut qr);
        let mut reflectors = Mat::zeros(block, rows.min(cols));
        let (mut perm, mut inverse) = (vec![0usize; cols], vec![0usize; cols]);
        let params = Default::default();
        let mut space = workspace(qr::qr_in_place_scratch::<usize, T>(rows, cols, block, Par::Seq, params))?;
        let stack = MemStack::new(&mut space);
        let m = columns(&mut qr, rows);
        qr::qr_in_place(m, reflectors.as_mut(), &mut perm, &mut inverse, Par::Seq, stack, params);
        Ok(Factors { qr, rows, reflectors, perm })
    }
}

impl<T: Real> PivotedQr<T> for Factors<T> {
    fn column(&self, k: usize) -> &[T] {
        &self.qr[k * self.rows..=k * self.rows + k]
    }

    fn solve(&self, b: &[T], p: &LeastSquares<'_, T>, rank: usize) -> Result<Vec<T>, Failure> {
        let mut rhs = vec![T::default(); b.len()];
        transpose(b, p.width, &mut rhs);
        let mut rhs = columns(&mut rhs, p.rows);
        let qr = MatRef::from_column_major_slice(&self.qr, p.rows, p.cols);
        let need = reflections::apply_block_householder_sequence_transpose_on_the_left_in_place_scratch::<T>(
            p.rows,
            self.reflectors.nrows(),
            p.width,
        );
        let mut space = workspace(need)?;
        reflections::apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj(
            qr.subcols(0, p.rows.min(p.cols)),
            self.reflectors.as_ref(),
            Conj::No,
            rhs.as_mut(),
            Par::Seq,
            MemStack::new(&mut space),
        );
        let leading = qr.submatrix(0, 0, rank, rank);
        let mut top = rhs.as_mut().subrows_mut(0, rank);
        triangular::solve_upper_triangular_in_place(leading, top.as_mut(), Par::Seq);
        let mut x = vec![T::default(); p.cols * p.width];
        for (i, unknown) in self.perm.iter().take(rank).enumerate() {
            for j in 0..p.width {
                x[unknown * p.width + j] = top[(i, j)];
            }
        }
        Ok(x)
    }
}
