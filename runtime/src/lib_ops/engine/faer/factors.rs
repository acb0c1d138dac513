//! Factorizations by faer.
//!
//! Very large or small matrices are scaled by a power of two before their singular values and eigenvalues are found, as
//! LAPACK's drivers do: squares of elements would overflow or vanish on the way.

use super::{Real, columns, workspace};
use crate::lib_ops::cholesky::Panel;
use crate::lib_ops::dense::{self, multiply, scale};
use crate::lib_ops::engine::Failure;
use crate::lib_ops::transpose::{transpose, transpose_square};
use faer::diag::DiagMut;
use faer::dyn_stack::MemStack;
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::householder as reflections;
use faer::linalg::matmul::triangular::{self as triangular_matmul, BlockStructure};
use faer::linalg::qr::no_pivoting::factor as plain_qr;
use faer::linalg::svd::{self as faer_svd, ComputeSvdVectors};
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par};

/// Writes a matrix in row-major order.
fn store<T: Real>(from: MatRef<'_, T>, to: &mut [T]) {
    MatMut::from_row_major_slice_mut(to, from.nrows(), from.ncols()).copy_from(from);
}

/// By panels of our own, which take the matrix as it lies by rows; what each takes from the rest is faer's product. faer's own factor
/// wants a matrix by columns, and takes longer for that than this does.
pub(super) fn cholesky<T: Real>(a: &mut [T], n: usize) -> Result<(), Failure> {
    /// The columns of a panel: enough terms for a product to be fast, and few next to the whole.
    const PANEL: usize = 64;
    use BlockStructure::{Rectangular, TriangularLower};
    let mut panel = Panel::new(n, PANEL.min(n)).ok_or(Failure::Memory)?;
    for k in (0..n).step_by(PANEL) {
        let width = PANEL.min(n - k);
        panel.take(a, n, (k, width));
        panel.factorize().map_err(|pivot| Failure::Minor(k + pivot + 1))?;
        panel.put(a, n, k);
        let behind = k + width;
        if behind < n {
            let (rows, length) = panel.rows();
            let known = MatRef::from_row_major_slice_with_stride(&rows[width..], width, n - behind, length);
            // faer's own view of a mutable slice by rows with a stride is one by columns.
            let rest = &mut a[behind * n + behind..];
            let rest = MatMut::from_column_major_slice_with_stride_mut(rest, n - behind, n - behind, n);
            let (of, by, minus) = (known.transpose(), known, -T::ONE);
            triangular_matmul::matmul(
                rest.transpose_mut(),
                TriangularLower,
                Accum::Add,
                of,
                Rectangular,
                by,
                Rectangular,
                minus,
                Par::Seq,
            );
        }
    }
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
    let mut memory = vec![T::default(); a.len()];
    transpose(a, cols, &mut memory);
    let mut factors = columns(&mut memory, rows);
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

/// The transpose of a row-major matrix is decomposed, which is the same memory by columns: its left vectors are the
/// right ones, as they are wanted, and its right vectors are the left ones, to be transposed.
pub(super) fn svd<T: Real>(
    a: &[T],
    (rows, cols): (usize, usize),
    s: &mut [T],
    vectors: Option<[&mut [T]; 2]>,
) -> Result<(), Failure> {
    let scale = scale(dense::largest(a));
    let mut scaled = Vec::new();
    if scale != 1.0 {
        scaled.extend_from_slice(a);
        multiply(&mut scaled, scale);
    }
    let m = MatRef::from_column_major_slice(if scale == 1.0 { a } else { &scaled }, cols, rows);
    let widths = vectors.as_ref().map(|[u, vh]| (u.len() / rows, vh.len() / cols));
    let compute = match widths {
        None => ComputeSvdVectors::No,
        Some((u, vh)) if u == rows && vh == cols => ComputeSvdVectors::Full,
        Some(_) => ComputeSvdVectors::Thin,
    };
    let params = Default::default();
    let need = faer_svd::svd_scratch::<T>(cols, rows, compute, compute, Par::Seq, params);
    let mut space = workspace(need)?;
    let mut left = vec![T::default(); widths.map_or(0, |(u, _)| u * rows)];
    let (u, vh) = vectors.map_or((None, None), |[u, vh]| (Some(u), Some(vh)));
    faer_svd::svd(
        m,
        DiagMut::from_slice_mut(s),
        vh.map(|vh| columns(vh, cols)),
        u.is_some().then(|| columns(&mut left, rows)),
        Par::Seq,
        MemStack::new(&mut space),
        params,
    )
    .map_err(|_| Failure::NoConvergence)?;
    multiply(s, scale.recip());
    if let Some(u) = u {
        transpose(&left, rows, u);
    }
    Ok(())
}

pub(super) fn eigh<T: Real>(a: &[T], w: &mut [T], v: Option<&mut [T]>) -> Result<(), Failure> {
    let n = w.len();
    let row = |i: usize| dense::largest(&a[i * n..=i * n + i]);
    let scale = scale((0..n).map(row).fold(T::default(), |s, e| if e > s { e } else { s }));
    // The lower triangle by rows is to be that by columns.
    let mut m = vec![T::default(); n * n];
    transpose(a, n, &mut m);
    multiply(&mut m, scale);
    let compute = if v.is_some() { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let params = Default::default();
    let mut space = workspace(evd::self_adjoint_evd_scratch::<T>(n, compute, Par::Seq, params))?;
    let mut vectors = v;
    evd::self_adjoint_evd(
        MatRef::from_column_major_slice(&m, n, n),
        DiagMut::from_slice_mut(w),
        vectors.as_deref_mut().map(|v| columns(v, n)),
        Par::Seq,
        MemStack::new(&mut space),
        params,
    )
    .map_err(|_| Failure::NoConvergence)?;
    multiply(w, scale.recip());
    if let Some(v) = vectors {
        transpose_square(v, n);
    }
    Ok(())
}
