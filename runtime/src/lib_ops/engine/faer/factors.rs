//! Factorizations by faer.
//!
//! Singular values and eigenvalues are found for the matrix times a power of two that brings its largest element near
//! 1, as LAPACK's drivers do: squares of very large or small elements would overflow or vanish on the way.

use super::{Real, matrix, workspace};
use crate::lib_ops::dense::transpose;
use crate::lib_ops::engine::Failure;
use faer::diag::DiagMut;
use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt::factor as llt;
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::householder as reflections;
use faer::linalg::qr::no_pivoting::factor as plain_qr;
use faer::linalg::svd::{self as faer_svd, ComputeSvdVectors};
use faer::{Conj, Mat, MatMut, MatRef, Par};

/// Writes a matrix in row-major order.
fn store<T: Real>(from: MatRef<'_, T>, to: &mut [T]) {
    MatMut::from_row_major_slice_mut(to, from.nrows(), from.ncols()).copy_from(from);
}

pub(super) fn cholesky<T: Real>(a: &mut [T], n: usize) -> Result<(), Failure> {
    let mut columns = vec![T::default(); n * n];
    transpose(a, n, &mut columns);
    let l = MatMut::from_column_major_slice_mut(&mut columns, n, n);
    let params = Default::default();
    let mut space = workspace(llt::cholesky_in_place_scratch::<T>(n, Par::Seq, params))?;
    let stack = MemStack::new(&mut space);
    llt::cholesky_in_place(l, Default::default(), Par::Seq, stack, params)
        .map_err(|llt::LltError::NonPositivePivot { index }| Failure::Minor(index + 1))?;
    transpose(&columns, n, a);
    Ok(())
}

pub(super) fn qr<T: Real>(
    a: &[T],
    (rows, cols): (usize, usize),
    q: &mut [T],
    r: &mut [T],
) -> Result<(), Failure> {
    let small = rows.min(cols);
    let block = plain_qr::recommended_block_size::<T>(rows, cols);
    let mut factors = matrix(a, rows, cols);
    let mut reflectors = Mat::zeros(block, small);
    let params = Default::default();
    let mut space = workspace(plain_qr::qr_in_place_scratch::<T>(rows, cols, block, Par::Seq, params))?;
    let stack = MemStack::new(&mut space);
    plain_qr::qr_in_place(factors.as_mut(), reflectors.as_mut(), Par::Seq, stack, params);
    let mut basis = Mat::from_fn(rows, small, |i, j| if i == j { T::ONE } else { T::default() });
    let need =
        reflections::apply_block_householder_sequence_on_the_left_in_place_scratch::<T>(rows, block, small);
    let mut space = workspace(need)?;
    reflections::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        factors.as_ref().subcols(0, small),
        reflectors.as_ref(),
        Conj::No,
        basis.as_mut(),
        Par::Seq,
        MemStack::new(&mut space),
    );
    store(basis.as_ref(), q);
    for (place, r) in r.iter_mut().enumerate() {
        let (i, j) = (place / cols, place % cols);
        *r = if i <= j { factors[(i, j)] } else { T::default() };
    }
    Ok(())
}

/// A matrix times a power of two, and what the values found for it are to be multiplied by.
fn scaled<T: Real>(a: &[T], rows: usize, cols: usize) -> (Mat<T>, f64) {
    let largest = a.iter().fold(0.0, |s: f64, e| s.max(e.wide().abs()));
    let exponent = if largest > 0.0 { largest.log2().floor().clamp(-1000.0, 1000.0) as i32 } else { 0 };
    let factor = 2f64.powi(-exponent);
    let scaled: Vec<T> = a.iter().map(|e| T::narrow(e.wide() * factor)).collect();
    (matrix(&scaled, rows, cols), 2f64.powi(exponent))
}

fn store_values<T: Real>(values: &mut [T], scale: f64) {
    values.iter_mut().for_each(|v| *v = T::narrow(v.wide() * scale));
}

pub(super) fn svd<T: Real>(
    a: &[T],
    (rows, cols): (usize, usize),
    s: &mut [T],
    vectors: Option<[&mut [T]; 2]>,
) -> Result<(), Failure> {
    let (a, scale) = scaled(a, rows, cols);
    let widths = vectors.as_ref().map(|[u, vh]| (u.len() / rows, vh.len() / cols));
    let compute = match widths {
        None => ComputeSvdVectors::No,
        Some((u, vh)) if u == rows && vh == cols => ComputeSvdVectors::Full,
        Some(_) => ComputeSvdVectors::Thin,
    };
    let params = Default::default();
    let need = faer_svd::svd_scratch::<T>(rows, cols, compute, compute, Par::Seq, params);
    let mut space = workspace(need)?;
    let (u_width, v_width) = widths.unwrap_or((0, 0));
    let (mut u, mut v) = (Mat::zeros(rows, u_width), Mat::zeros(cols, v_width));
    faer_svd::svd(
        a.as_ref(),
        DiagMut::from_slice_mut(s),
        widths.map(|_| u.as_mut()),
        widths.map(|_| v.as_mut()),
        Par::Seq,
        MemStack::new(&mut space),
        params,
    )
    .map_err(|_| Failure::NoConvergence)?;
    store_values(s, scale);
    if let Some([to_u, to_vh]) = vectors {
        store(u.as_ref(), to_u);
        store(v.as_ref().transpose(), to_vh);
    }
    Ok(())
}

pub(super) fn eigh<T: Real>(a: &[T], w: &mut [T], v: Option<&mut [T]>) -> Result<(), Failure> {
    let n = w.len();
    let (a, scale) = scaled(a, n, n);
    let compute = if v.is_some() { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let params = Default::default();
    let mut space = workspace(evd::self_adjoint_evd_scratch::<T>(n, compute, Par::Seq, params))?;
    let mut vectors = Mat::zeros(n, n);
    evd::self_adjoint_evd(
        a.as_ref(),
        DiagMut::from_slice_mut(w),
        v.is_some().then(|| vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut space),
        params,
    )
    .map_err(|_| Failure::NoConvergence)?;
    store_values(w, scale);
    if let Some(v) = v {
        store(vectors.as_ref(), v);
    }
    Ok(())
}
