//! Least squares by faer's QR with column pivoting.

use super::{Real, triangular, workspace};
use crate::lib_ops::aligned::{Aligned, line};
use crate::lib_ops::engine::least_squares::{self, PivotedQr};
use crate::lib_ops::engine::{Failure, Fit, LeastSquares};
use crate::lib_ops::transpose::{transpose, transpose_to};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder as reflections;
use faer::linalg::qr::col_pivoting::factor as qr;
use faer::{Conj, Mat, MatMut, MatRef, Par};

pub(super) fn lstsq<T: Real>(p: &LeastSquares<'_, T>, x: &mut [T]) -> Result<Fit, Failure> {
    least_squares::solve(Factors::new(p)?, p, x)
}

struct Factors<T> {
    /// By columns that begin with a cache line.
    qr: Aligned<T>,
    stride: usize,
    reflectors: Mat<T>,
    perm: Vec<usize>,
    /// A right-hand side by columns, and what a solve needs besides.
    right: Aligned<T>,
    space: MemBuffer,
}

impl<T: Real> Factors<T> {
    fn new(p: &LeastSquares<'_, T>) -> Result<Factors<T>, Failure> {
        let (rows, cols) = (p.rows, p.cols);
        let block = faer::linalg::qr::no_pivoting::factor::recommended_block_size::<T>(rows, cols);
        let stride = rows.checked_next_multiple_of(line::<T>()).ok_or(Failure::Memory)?;
        let size = stride.checked_mul(cols).ok_or(Failure::Memory)?;
        let mut qr = Aligned::new(size).ok_or(Failure::Memory)?;
        transpose_to(p.a, cols, &mut qr, stride);
        let mut reflectors = Mat::zeros(block, rows.min(cols));
        let (mut perm, mut inverse) = (vec![0usize; cols], vec![0usize; cols]);
        let params = Default::default();
        let need = reflections::apply_block_householder_sequence_transpose_on_the_left_in_place_scratch::<T>(
            rows, block, p.width,
        );
        let mut space =
            workspace(qr::qr_in_place_scratch::<usize, T>(rows, cols, block, Par::Seq, params).or(need))?;
        let stack = MemStack::new(&mut space);
        let m = MatMut::from_column_major_slice_with_stride_mut(&mut qr, rows, cols, stride);
        qr::qr_in_place(m, reflectors.as_mut(), &mut perm, &mut inverse, Par::Seq, stack, params);
        let right = Aligned::new(p.b.len()).ok_or(Failure::Memory)?;
        Ok(Factors { qr, stride, reflectors, perm, right, space })
    }
}

impl<T: Real> PivotedQr<T> for Factors<T> {
    fn column(&self, k: usize) -> &[T] {
        &self.qr[k * self.stride..=k * self.stride + k]
    }

    fn solve(&mut self, b: &[T], p: &LeastSquares<'_, T>, rank: usize, x: &mut [T]) -> Result<(), Failure> {
        transpose(b, p.width, &mut self.right);
        let mut right = MatMut::from_column_major_slice_mut(&mut self.right, p.rows, p.width);
        let qr = MatRef::from_column_major_slice_with_stride(&self.qr, p.rows, p.cols, self.stride);
        reflections::apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj(
            qr.subcols(0, p.rows.min(p.cols)),
            self.reflectors.as_ref(),
            Conj::No,
            right.as_mut(),
            Par::Seq,
            MemStack::new(&mut self.space),
        );
        let leading = qr.submatrix(0, 0, rank, rank);
        let mut top = right.as_mut().subrows_mut(0, rank);
        triangular::solve_upper_triangular_in_place(leading, top.as_mut(), Par::Seq);
        x.fill(T::default());
        for (i, unknown) in self.perm.iter().take(rank).enumerate() {
            for j in 0..p.width {
                x[unknown * p.width + j] = top[(i, j)];
            }
        }
        Ok(())
    }
}
