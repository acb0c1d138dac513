//! The engine of the build, called without matex. Square matrices come by columns.

#[cfg(not(feature = "openblas"))]
pub(super) use by_faer::*;
#[cfg(feature = "openblas")]
pub(super) use by_lapack::*;

/// Products of row-major matrices.
pub(super) trait Direct: Sized {
    fn gemm(a: &ndarray::Array2<Self>, b: &ndarray::Array2<Self>, c: &mut ndarray::Array2<Self>);
}

#[cfg(not(feature = "openblas"))]
mod by_faer {
    //! faer, on one thread.

    use super::Direct;
    use faer::linalg::matmul::matmul;
    use faer::linalg::matmul::triangular::{self, BlockStructure};
    use faer::linalg::solvers::{
        ColPivQr, DenseSolveCore, Llt, PartialPivLu, SelfAdjointEigen, Solve, SolveLstsq, Svd,
    };
    use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
    use ndarray::{Array1, Array2};

    pub(crate) const NAME: &str = "faer";

    macro_rules! direct {
        ($($t:ty)*) => {$(
            impl Direct for $t {
                fn gemm(a: &Array2<$t>, b: &Array2<$t>, c: &mut Array2<$t>) {
                    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
                    let a = MatRef::from_row_major_slice(a.as_slice().unwrap(), m, k);
                    let b = MatRef::from_row_major_slice(b.as_slice().unwrap(), k, n);
                    let c = MatMut::from_row_major_slice_mut(c.as_slice_mut().unwrap(), m, n);
                    matmul(c, Accum::Replace, a, b, 1.0, Par::Seq);
                }
            }
        )*};
    }
    direct! { f32 f64 }

    fn square(a: &[f64], n: usize) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(a, n, n)
    }

    fn column(b: &[f64]) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(b, b.len(), 1)
    }

    pub(crate) fn gemv(a: &Array2<f64>, x: &Array1<f64>, transposed: bool, y: &mut Array1<f64>) {
        let m = MatRef::from_row_major_slice(a.as_slice().unwrap(), a.nrows(), a.ncols());
        let y_len = y.len();
        let y = MatMut::from_column_major_slice_mut(y.as_slice_mut().unwrap(), y_len, 1);
        let x = column(x.as_slice().unwrap());
        if transposed {
            matmul(y, Accum::Replace, m.transpose(), x, 1.0, Par::Seq);
        } else {
            matmul(y, Accum::Replace, m, x, 1.0, Par::Seq);
        }
    }

    pub(crate) fn solve(a: &[f64], b: &[f64], n: usize) -> Mat<f64> {
        PartialPivLu::new(square(a, n)).solve(column(b))
    }

    pub(crate) fn inverse(a: &[f64], n: usize) -> Mat<f64> {
        PartialPivLu::new(square(a, n)).inverse()
    }

    pub(crate) fn inverse_definite(x: &Array2<f64>) -> Mat<f64> {
        let m = MatRef::from_row_major_slice(x.as_slice().unwrap(), x.nrows(), x.ncols());
        let mut a = Mat::zeros(x.ncols(), x.ncols());
        let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        triangular::matmul(a.as_mut(), lower, Accum::Replace, m.transpose(), whole, m, whole, 1.0, Par::Seq);
        Llt::new(a.as_ref(), Side::Lower).unwrap().inverse()
    }

    pub(crate) fn cholesky(a: &[f64], n: usize) -> Llt<f64> {
        Llt::new(square(a, n), Side::Lower).unwrap()
    }

    pub(crate) fn lstsq(a: &[f64], b: &[f64], (m, n): (usize, usize)) -> Mat<f64> {
        ColPivQr::new(MatRef::from_column_major_slice(a, m, n)).solve_lstsq(column(b))
    }

    pub(crate) fn eigh(a: &[f64], n: usize) -> SelfAdjointEigen<f64> {
        SelfAdjointEigen::new(square(a, n), Side::Lower).unwrap()
    }

    pub(crate) fn svd(a: &[f64], n: usize) -> Svd<f64> {
        Svd::new_thin(square(a, n)).unwrap()
    }

    pub(crate) fn ols(x: &Array2<f64>, y: &Array1<f64>) -> Mat<f64> {
        let m = MatRef::from_row_major_slice(x.as_slice().unwrap(), x.nrows(), x.ncols());
        let right = m.transpose() * column(y.as_slice().unwrap());
        PartialPivLu::new((m.transpose() * m).as_ref()).solve(right)
    }
}

#[cfg(feature = "openblas")]
mod by_lapack {
    //! BLAS and LAPACK by their symbols, which the library is linked with.

    use super::Direct;
    use ndarray::{Array1, Array2};
    use std::ffi::{c_char, c_int};

    pub(crate) const NAME: &str = "LAPACK";

    type Int<'a> = &'a c_int;
    type Char<'a> = &'a c_char;

    #[rustfmt::skip]
    unsafe extern "C" {
        fn cblas_dgemm(layout: c_int, ta: c_int, tb: c_int, m: c_int, n: c_int, k: c_int, alpha: f64, a: *const f64,
            lda: c_int, b: *const f64, ldb: c_int, beta: f64, c: *mut f64, ldc: c_int);
        fn cblas_sgemm(layout: c_int, ta: c_int, tb: c_int, m: c_int, n: c_int, k: c_int, alpha: f32, a: *const f32,
            lda: c_int, b: *const f32, ldb: c_int, beta: f32, c: *mut f32, ldc: c_int);
        fn cblas_dgemv(layout: c_int, t: c_int, m: c_int, n: c_int, alpha: f64, a: *const f64, lda: c_int,
            x: *const f64, incx: c_int, beta: f64, y: *mut f64, incy: c_int);
        fn cblas_dsyrk(layout: c_int, uplo: c_int, t: c_int, n: c_int, k: c_int, alpha: f64, a: *const f64, lda: c_int,
            beta: f64, c: *mut f64, ldc: c_int);
        fn dgesv_(n: Int, nrhs: Int, a: *mut f64, lda: Int, ipiv: *mut c_int, b: *mut f64, ldb: Int, info: &mut c_int);
        fn dgetrf_(m: Int, n: Int, a: *mut f64, lda: Int, ipiv: *mut c_int, info: &mut c_int);
        fn dgetri_(n: Int, a: *mut f64, lda: Int, ipiv: *const c_int, work: *mut f64, lwork: Int, info: &mut c_int);
        fn dposv_(uplo: Char, n: Int, nrhs: Int, a: *mut f64, lda: Int, b: *mut f64, ldb: Int, info: &mut c_int);
        fn dpotri_(uplo: Char, n: Int, a: *mut f64, lda: Int, info: &mut c_int);
        fn dpotrf_(uplo: Char, n: Int, a: *mut f64, lda: Int, info: &mut c_int);
        fn dgelsy_(m: Int, n: Int, nrhs: Int, a: *mut f64, lda: Int, b: *mut f64, ldb: Int, jpvt: *mut c_int,
            rcond: &f64, rank: &mut c_int, work: *mut f64, lwork: Int, info: &mut c_int);
        fn dsyevd_(jobz: Char, uplo: Char, n: Int, a: *mut f64, lda: Int, w: *mut f64, work: *mut f64, lwork: Int,
            iwork: *mut c_int, liwork: Int, info: &mut c_int);
        fn dgesdd_(jobz: Char, m: Int, n: Int, a: *mut f64, lda: Int, s: *mut f64, u: *mut f64, ldu: Int, vt: *mut f64,
            ldvt: Int, work: *mut f64, lwork: Int, iwork: *mut c_int, info: &mut c_int);
    }

    const ROWS: c_int = 101;
    const PLAIN: c_int = 111;
    const TRANSPOSED: c_int = 112;
    const LOWER: c_int = 122;

    fn int(n: usize) -> c_int {
        c_int::try_from(n).unwrap()
    }

    macro_rules! direct {
        ($($t:ty: $gemm:ident)*) => {$(
            impl Direct for $t {
                fn gemm(a: &Array2<$t>, b: &Array2<$t>, c: &mut Array2<$t>) {
                    let (m, k, n) = (int(a.nrows()), int(a.ncols()), int(b.ncols()));
                    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                    // SAFETY: the matrices lie by rows and have these extents.
                    unsafe { $gemm(ROWS, PLAIN, PLAIN, m, n, k, 1.0, a, k, b, n, 0.0, c, n) }
                }
            }
        )*};
    }
    direct! { f32: cblas_sgemm f64: cblas_dgemm }

    pub(crate) fn gemv(a: &Array2<f64>, x: &Array1<f64>, transposed: bool, y: &mut Array1<f64>) {
        let (m, n) = (int(a.nrows()), int(a.ncols()));
        let t = if transposed { TRANSPOSED } else { PLAIN };
        // SAFETY: the matrix lies by rows and has these extents.
        unsafe { cblas_dgemv(ROWS, t, m, n, 1.0, a.as_ptr(), n, x.as_ptr(), 1, 0.0, y.as_mut_ptr(), 1) }
    }

    pub(crate) fn solve(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
        let (mut a, mut b, mut swaps, mut info, n) = (a.to_vec(), b.to_vec(), vec![0; n], 0, int(n));
        // SAFETY: the memory is of these extents.
        unsafe { dgesv_(&n, &1, a.as_mut_ptr(), &n, swaps.as_mut_ptr(), b.as_mut_ptr(), &n, &mut info) };
        b
    }

    pub(crate) fn inverse(a: &[f64], n: usize) -> Vec<f64> {
        let (mut a, mut swaps, mut info, n) = (a.to_vec(), vec![0; n], 0, int(n));
        let (at, order) = (a.as_mut_ptr(), swaps.as_mut_ptr());
        // SAFETY: the memory is of these extents.
        unsafe { dgetrf_(&n, &n, at, &n, order, &mut info) };
        with_workspace(|space, size| {
            // SAFETY: the memory is of these extents.
            unsafe { dgetri_(&n, at, &n, order, space, &size, &mut info) };
        });
        a
    }

    pub(crate) fn inverse_definite(x: &Array2<f64>) -> Vec<f64> {
        let (rows, cols) = (int(x.nrows()), int(x.ncols()));
        let (mut a, mut info) = (vec![0.0; x.ncols() * x.ncols()], 0);
        // SAFETY: the memory is of these extents. The lower triangle by rows is the upper one by columns.
        unsafe {
            let (from, to, upper) = (x.as_ptr(), a.as_mut_ptr(), b'U' as c_char);
            cblas_dsyrk(ROWS, LOWER, TRANSPOSED, cols, rows, 1.0, from, cols, 0.0, to, cols);
            dpotrf_(&upper, &cols, to, &cols, &mut info);
            dpotri_(&upper, &cols, to, &cols, &mut info);
        }
        a
    }

    pub(crate) fn cholesky(a: &[f64], n: usize) -> Vec<f64> {
        let (mut a, mut info, n) = (a.to_vec(), 0, int(n));
        // SAFETY: the memory is of these extents.
        unsafe { dpotrf_(&(b'L' as c_char), &n, a.as_mut_ptr(), &n, &mut info) };
        a
    }

    fn with_workspace(mut call: impl FnMut(*mut f64, c_int)) {
        let mut size = 0.0;
        call(&mut size, -1);
        let mut space = vec![0.0; size as usize];
        call(space.as_mut_ptr(), int(space.len()));
    }

    pub(crate) fn lstsq(a: &[f64], b: &[f64], (m, n): (usize, usize)) -> Vec<f64> {
        let (mut a, mut b, mut order) = (a.to_vec(), b.to_vec(), vec![0; n]);
        let (m, n, mut rank, mut info) = (int(m), int(n), 0, 0);
        let (a, to, order) = (a.as_mut_ptr(), b.as_mut_ptr(), order.as_mut_ptr());
        with_workspace(|space, size| {
            // SAFETY: the memory is of these extents.
            unsafe {
                dgelsy_(&m, &n, &1, a, &m, to, &m, order, &f64::EPSILON, &mut rank, space, &size, &mut info);
            }
        });
        b
    }

    pub(crate) fn eigh(a: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut a, mut w, mut whole, mut info) = (a.to_vec(), vec![0.0; n], vec![0; 5 * n + 3], 0);
        let (n, length) = (int(n), int(whole.len()));
        let (at, values, whole) = (a.as_mut_ptr(), w.as_mut_ptr(), whole.as_mut_ptr());
        let (job, lower) = (b'V' as c_char, b'L' as c_char);
        with_workspace(|space, size| {
            // SAFETY: the memory is of these extents.
            unsafe { dsyevd_(&job, &lower, &n, at, &n, values, space, &size, whole, &length, &mut info) };
        });
        (w, a)
    }

    pub(crate) fn svd(a: &[f64], n: usize) -> [Vec<f64>; 3] {
        let (mut a, mut s, mut whole, mut info) = (a.to_vec(), vec![0.0; n], vec![0; 8 * n], 0);
        let (mut u, mut v, n) = (vec![0.0; n * n], vec![0.0; n * n], int(n));
        let (at, values, left, right) = (a.as_mut_ptr(), s.as_mut_ptr(), u.as_mut_ptr(), v.as_mut_ptr());
        let (job, whole) = (b'S' as c_char, whole.as_mut_ptr());
        with_workspace(|space, size| {
            // SAFETY: the memory is of these extents.
            unsafe {
                dgesdd_(&job, &n, &n, at, &n, values, left, &n, right, &n, space, &size, whole, &mut info);
            }
        });
        [u, s, v]
    }

    pub(crate) fn ols(x: &Array2<f64>, y: &Array1<f64>) -> Vec<f64> {
        let (rows, cols) = (int(x.nrows()), int(x.ncols()));
        let (mut a, mut b, mut info) = (vec![0.0; x.ncols() * x.ncols()], vec![0.0; x.ncols()], 0);
        // SAFETY: the memory is of these extents. The lower triangle by rows is the upper one by columns.
        unsafe {
            let (from, to) = (x.as_ptr(), a.as_mut_ptr());
            cblas_dsyrk(ROWS, LOWER, TRANSPOSED, cols, rows, 1.0, from, cols, 0.0, to, cols);
            cblas_dgemv(ROWS, TRANSPOSED, rows, cols, 1.0, from, cols, y.as_ptr(), 1, 0.0, b.as_mut_ptr(), 1);
            dposv_(&(b'U' as c_char), &cols, &1, to, &cols, b.as_mut_ptr(), &cols, &mut info);
        }
        b
    }
}
