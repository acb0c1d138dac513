//! The filling of the table by faer: pure Rust, in every build.

mod factors;
mod inverse;

use super::{Failure, LinalgEngine, LinalgInfo, Product, Routines, Triangle};
use crate::lib_ops::dense;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::factor as lu_factor;
use faer::linalg::matmul::{matmul, triangular as triangular_matmul};
use faer::linalg::triangular_solve as triangular;
use faer::{Accum, MatMut, MatRef, Par};

#[cfg_attr(feature = "_blas", allow(dead_code, reason = "the library of the build fills the table"))]
pub(super) static ENGINE: LinalgEngine =
    LinalgEngine { about, f32: routines::<f32>(), f64: routines::<f64>() };

#[cfg_attr(feature = "_blas", allow(dead_code, reason = "the library of the build fills the table"))]
fn about() -> LinalgInfo {
    let linked = "built in; no BLAS or LAPACK is linked";
    LinalgInfo { name: "faer".to_owned(), linked, core: None, threads: 1, fix: None }
}

pub(super) const fn routines<T: Real>() -> Routines<T> {
    Routines {
        gemm: gemm::<T>,
        syrk: syrk::<T>,
        lu: lu::<T>,
        inverse: inverse::general::<T>,
        solve_triangular: solve_triangular::<T>,
        cholesky: factors::cholesky::<T>,
        inverse_definite: inverse::definite::<T>,
        qr: factors::qr::<T>,
        svd: factors::svd::<T>,
        eigh: factors::eigh::<T>,
    }
}

/// The float types of the table, as faer wants them.
pub(super) trait Real: faer::traits::RealField + dense::Real {}
impl Real for f32 {}
impl Real for f64 {}

/// The matrices of a product.
///
/// # Safety
/// As for [`super::Gemm`], as long as they live.
unsafe fn operands<'a, T>(p: &Product<T>) -> (MatRef<'a, T>, MatRef<'a, T>, MatMut<'a, T>) {
    // SAFETY: the caller's promise.
    unsafe {
        (
            MatRef::from_raw_parts(p.a.0, p.rows, p.depth, p.a.1[0], p.a.1[1]),
            MatRef::from_raw_parts(p.b.0, p.depth, p.cols, p.b.1[0], p.b.1[1]),
            MatMut::from_raw_parts_mut(p.c.0, p.rows, p.cols, p.c.1[0], p.c.1[1]),
        )
    }
}

/// # Safety
/// As for [`super::Gemm`].
pub(super) unsafe fn gemm<T: Real>(p: &Product<T>) {
    // SAFETY: the caller's promise; faer says that it does not read what it replaces.
    let (a, b, c) = unsafe { operands(p) };
    matmul(c, Accum::Replace, a, b, T::ONE, Par::Seq);
}

/// # Safety
/// As for [`super::Gemm`].
pub(super) unsafe fn syrk<T: Real>(p: &Product<T>) {
    use triangular_matmul::BlockStructure::{Rectangular, TriangularLower};
    // SAFETY: the caller's promise; faer says that it does not read what it replaces.
    let (a, b, c) = unsafe { operands(p) };
    let add = Accum::Replace;
    triangular_matmul::matmul(c, TriangularLower, add, a, Rectangular, b, Rectangular, T::ONE, Par::Seq);
}

/// A matrix by columns.
fn columns<T>(m: &mut [T], rows: usize) -> MatMut<'_, T> {
    let cols = m.len().checked_div(rows).unwrap_or(0);
    MatMut::from_column_major_slice_mut(m, rows, cols)
}

fn workspace(bytes: faer::dyn_stack::StackReq) -> Result<MemBuffer, Failure> {
    MemBuffer::try_new(bytes).map_err(|_| Failure::Memory)
}

fn lu<T: Real>(m: &mut [T], order: &mut [usize]) -> Result<bool, Failure> {
    let rows = order.len();
    let cols = m.len() / rows;
    let mut inverse = vec![0usize; rows];
    let params = Default::default();
    let mut space = workspace(lu_factor::lu_in_place_scratch::<usize, T>(rows, cols, Par::Seq, params))?;
    let m = columns(m, rows);
    let stack = MemStack::new(&mut space);
    let (info, _) = lu_factor::lu_in_place(m, order, &mut inverse, Par::Seq, stack, params);
    Ok(info.transposition_count % 2 == 1)
}

fn solve_triangular<T: Real>(a: Triangle<'_, T>, b: &mut [T]) {
    let n = a.n;
    let m = if a.column_major {
        MatRef::from_column_major_slice(a.a, n, n).as_dyn_stride()
    } else {
        MatRef::from_row_major_slice(a.a, n, n).as_dyn_stride()
    };
    let width = b.len() / n;
    let b = MatMut::from_row_major_slice_mut(b, n, width);
    match (a.lower, a.unit) {
        (true, false) => triangular::solve_lower_triangular_in_place(m, b, Par::Seq),
        (true, true) => triangular::solve_unit_lower_triangular_in_place(m, b, Par::Seq),
        (false, false) => triangular::solve_upper_triangular_in_place(m, b, Par::Seq),
        (false, true) => triangular::solve_unit_upper_triangular_in_place(m, b, Par::Seq),
    }
}
