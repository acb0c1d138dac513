//! The table of dense linear algebra routines, and its pure Rust filling by faer.
//!
//! All calls of linear algebra go through one table, so that another library can be put in its place by filling the
//! same table. Matrices come in row-major and checked to be finite, with at least one row and column.

mod factors;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder as reflections;
use faer::linalg::triangular_solve as triangular;
use faer::linalg::{lu::partial_pivoting::factor as lu, qr::col_pivoting::factor as qr};
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par};

/// A least-squares problem: `a: [rows, cols]`, `b: [rows, width]`, and the relative size under which a pivot is zero.
pub(crate) struct LeastSquares<'a, T> {
    pub(crate) a: &'a [T],
    pub(crate) b: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) width: usize,
    pub(crate) cut: f64,
}

/// Solves `a x = b` in place of `b`, for `a: [n, n]` and `b: [n, width]`; the index of the pivot that is zero.
pub(crate) type Solve<T> = fn(a: &[T], b: &mut [T], n: usize, width: usize) -> Result<(), Failure>;

/// Solves a least-squares problem into `x: [cols, width]`.
pub(crate) type Lstsq<T> = fn(problem: &LeastSquares<'_, T>, x: &mut [T]) -> Result<(), Failure>;

/// A matrix product `c = a b`, for `a: [rows, depth]`, `b: [depth, cols]` and `c: [rows, cols]`; the steps of each along
/// its two axes are in elements, and may be 0 or negative for `a` and `b`.
pub(crate) struct Product<T> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) depth: usize,
    pub(crate) a: (*const T, [isize; 2]),
    pub(crate) b: (*const T, [isize; 2]),
    pub(crate) c: (*mut T, [isize; 2]),
}

/// Computes a matrix product. `c` is not read, so that it may be uninitialized.
///
/// # Safety
/// All elements of `a` and `b` may be read and those of `c` written, none of `c` is one of `a` or `b`, and no two of
/// `c` are one place.
pub(crate) type Gemm<T> = unsafe fn(product: &Product<T>);

/// LU with partial pivoting in place of `a: [rows, cols]`, where rows is the length of `order`, which becomes the rows
/// of `a` in the order of the factors' rows; whether that order is an odd one.
pub(crate) type Lu<T> = fn(a: &mut [T], order: &mut [i64], cols: usize) -> Result<bool, Failure>;

/// Solves `a x = b` in place of `b` by one triangle of `a: [n, n]`, for `b: [n, width]`.
pub(crate) type SolveTriangular<T> =
    fn(a: &[T], b: &mut [T], n: usize, width: usize, lower: bool) -> Result<(), Failure>;

/// The lower factor of `a: [n, n]` in place, from its lower triangle.
pub(crate) type Cholesky<T> = fn(a: &mut [T], n: usize) -> Result<(), Failure>;

/// `q: [rows, k]` and `r: [k, cols]` of `a: [rows, cols]`, where k is the smaller of both.
pub(crate) type Qr<T> = fn(a: &[T], size: (usize, usize), q: &mut [T], r: &mut [T]) -> Result<(), Failure>;

/// Singular values in falling order of `a: [rows, cols]`, and `u: [rows, _]` and `v.T: [_, cols]` as wide as the
/// memory that is given for them.
pub(crate) type Svd<T> =
    fn(a: &[T], size: (usize, usize), s: &mut [T], vectors: Option<[&mut [T]; 2]>) -> Result<(), Failure>;

/// Eigenvalues in rising order, and eigenvectors as columns where wanted, from the lower triangle of `a: [n, n]`,
/// where n is the length of `w`.
pub(crate) type Eigh<T> = fn(a: &[T], w: &mut [T], v: Option<&mut [T]>) -> Result<(), Failure>;

/// Why a routine gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// This pivot is exactly zero.
    Pivot(usize),
    /// This element of the diagonal of a triangular matrix is exactly zero.
    Diagonal(usize),
    /// The leading minor of this order is not positive.
    Minor(usize),
    /// An iteration did not end.
    NoConvergence,
    /// There is no memory for the workspace.
    Memory,
}

/// One library of dense linear algebra.
pub(crate) struct LinalgEngine {
    /// Its name, for people.
    pub(crate) name: &'static str,
    /// Its routines on f32.
    pub(crate) f32: Routines<f32>,
    /// Its routines on f64.
    pub(crate) f64: Routines<f64>,
}

/// The routines on one type of elements.
pub(crate) struct Routines<T> {
    /// The matrix product.
    pub(crate) gemm: Gemm<T>,
    /// By LU with partial pivoting.
    pub(crate) solve: Solve<T>,
    /// By QR with column pivoting.
    pub(crate) lstsq: Lstsq<T>,
    pub(crate) lu: Lu<T>,
    pub(crate) solve_triangular: SolveTriangular<T>,
    pub(crate) cholesky: Cholesky<T>,
    pub(crate) qr: Qr<T>,
    pub(crate) svd: Svd<T>,
    pub(crate) eigh: Eigh<T>,
}

impl LinalgEngine {
    /// The library in use.
    pub(crate) fn current() -> &'static LinalgEngine {
        &FAER
    }
}

static FAER: LinalgEngine = LinalgEngine { name: "faer", f32: filled::<f32>(), f64: filled::<f64>() };

const fn filled<T: Real>() -> Routines<T> {
    Routines {
        gemm: gemm::<T>,
        solve: solve::<T>,
        lstsq: lstsq::<T>,
        lu: factors::lu::<T>,
        solve_triangular: factors::solve_triangular::<T>,
        cholesky: factors::cholesky::<T>,
        qr: factors::qr::<T>,
        svd: factors::svd::<T>,
        eigh: factors::eigh::<T>,
    }
}

/// The float types of the table.
trait Real: faer::traits::RealField + Copy + PartialOrd + num::Wide {}
impl Real for f32 {}
impl Real for f64 {}

/// Conversions to the type that residuals are summed in.
mod num {
    pub(super) trait Wide {
        fn wide(self) -> f64;
        fn narrow(v: f64) -> Self;
    }
    impl Wide for f32 {
        fn wide(self) -> f64 {
            self.into()
        }
        fn narrow(v: f64) -> f32 {
            v as f32
        }
    }
    impl Wide for f64 {
        fn wide(self) -> f64 {
            self
        }
        fn narrow(v: f64) -> f64 {
            v
        }
    }
}

/// # Safety
/// As for [`Gemm`].
unsafe fn gemm<T: Real>(p: &Product<T>) {
    // SAFETY: the caller's promise; faer says that it does not read what it replaces.
    let (a, b, c) = unsafe {
        (
            MatRef::from_raw_parts(p.a.0, p.rows, p.depth, p.a.1[0], p.a.1[1]),
            MatRef::from_raw_parts(p.b.0, p.depth, p.cols, p.b.1[0], p.b.1[1]),
            MatMut::from_raw_parts_mut(p.c.0, p.rows, p.cols, p.c.1[0], p.c.1[1]),
        )
    };
    faer::linalg::matmul::matmul(c, Accum::Replace, a, b, T::one_impl(), Par::Seq);
}

fn matrix<T: Real>(data: &[T], rows: usize, cols: usize) -> Mat<T> {
    Mat::from_fn(rows, cols, |i, j| data[i * cols + j])
}

fn workspace(bytes: faer::dyn_stack::StackReq) -> Result<MemBuffer, Failure> {
    MemBuffer::try_new(bytes).map_err(|_| Failure::Memory)
}

fn solve<T: Real>(a: &[T], b: &mut [T], n: usize, width: usize) -> Result<(), Failure> {
    let mut factors = matrix(a, n, n);
    let (mut perm, mut inverse) = (vec![0usize; n], vec![0usize; n]);
    let params = Default::default();
    let mut space = workspace(lu::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, params))?;
    lu::lu_in_place(factors.as_mut(), &mut perm, &mut inverse, Par::Seq, MemStack::new(&mut space), params);
    if let Some(pivot) = (0..n).find(|k| factors[(*k, *k)].wide() == 0.0) {
        return Err(Failure::Pivot(pivot));
    }
    let mut x = Mat::from_fn(n, width, |i, j| b[perm[i] * width + j]);
    triangular::solve_unit_lower_triangular_in_place(factors.as_ref(), x.as_mut(), Par::Seq);
    triangular::solve_upper_triangular_in_place(factors.as_ref(), x.as_mut(), Par::Seq);
    for i in 0..n {
        for j in 0..width {
            b[i * width + j] = x[(i, j)];
        }
    }
    Ok(())
}

/// QR with column pivoting, cut where pivots are too small; then one step of iterative refinement, whose residual is
/// summed in twice the precision. It costs a product and a solve, and gains digits on ill-conditioned data (Björck,
/// "Numerical Methods for Least Squares Problems", section 2.9).
fn lstsq<T: Real>(p: &LeastSquares<'_, T>, x: &mut [T]) -> Result<(), Failure> {
    let factors = Factors::new(p)?;
    let first = factors.solve(p.b, p)?;
    x.copy_from_slice(&first);
    let residual = residual(p, x);
    let correction = factors.solve(&residual, p)?;
    let finite = correction.iter().all(|c| c.wide().is_finite());
    for (x, c) in x.iter_mut().zip(correction).filter(|_| finite) {
        *x = T::narrow(x.wide() + c.wide());
    }
    Ok(())
}

/// `b - a x`, with products split exactly and sums compensated (Ogita, Rump and Oishi, "Accurate sum and dot product").
fn residual<T: Real>(p: &LeastSquares<'_, T>, x: &[T]) -> Vec<T> {
    let mut out = Vec::with_capacity(p.b.len());
    for i in 0..p.rows {
        for j in 0..p.width {
            let (mut sum, mut error) = (p.b[i * p.width + j].wide(), 0.0);
            for k in 0..p.cols {
                let (a, v) = (-p.a[i * p.cols + k].wide(), x[k * p.width + j].wide());
                let product = a * v;
                error += a.mul_add(v, -product);
                let next = sum + product;
                let part = next - sum;
                error += (sum - (next - part)) + (product - part);
                sum = next;
            }
            out.push(T::narrow(sum + error));
        }
    }
    out
}

struct Factors<T> {
    qr: Mat<T>,
    reflectors: Mat<T>,
    perm: Vec<usize>,
    rank: usize,
}

impl<T: Real> Factors<T> {
    fn new(p: &LeastSquares<'_, T>) -> Result<Factors<T>, Failure> {
        let (rows, cols) = (p.rows, p.cols);
        let block = faer::linalg::qr::no_pivoting::factor::recommended_block_size::<T>(rows, cols);
        let mut qr = matrix(p.a, rows, cols);
        let mut reflectors = Mat::zeros(block, rows.min(cols));
        let (mut perm, mut inverse) = (vec![0usize; cols], vec![0usize; cols]);
        let params = Default::default();
        let mut space = workspace(qr::qr_in_place_scratch::<usize, T>(rows, cols, block, Par::Seq, params))?;
        let stack = MemStack::new(&mut space);
        qr::qr_in_place(qr.as_mut(), reflectors.as_mut(), &mut perm, &mut inverse, Par::Seq, stack, params);
        let pivot = |k: usize| qr[(k, k)].wide().abs();
        let small = |k: &usize| pivot(*k) == 0.0 || pivot(*k) < p.cut * pivot(0);
        let size = rows.min(cols);
        let rank = (0..size).find(small).unwrap_or(size);
        Ok(Factors { qr, reflectors, perm, rank })
    }

    /// The solution for a right-hand side; unknowns of columns that were cut are zero.
    fn solve(&self, b: &[T], p: &LeastSquares<'_, T>) -> Result<Vec<T>, Failure> {
        let mut rhs = matrix(b, p.rows, p.width);
        let need = reflections::apply_block_householder_sequence_transpose_on_the_left_in_place_scratch::<T>(
            p.rows,
            self.reflectors.nrows(),
            p.width,
        );
        let mut space = workspace(need)?;
        reflections::apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj(
            self.qr.as_ref().subcols(0, p.rows.min(p.cols)),
            self.reflectors.as_ref(),
            Conj::No,
            rhs.as_mut(),
            Par::Seq,
            MemStack::new(&mut space),
        );
        let leading = self.qr.as_ref().submatrix(0, 0, self.rank, self.rank);
        let mut top = rhs.as_mut().subrows_mut(0, self.rank);
        triangular::solve_upper_triangular_in_place(leading, top.as_mut(), Par::Seq);
        let mut x = vec![T::narrow(0.0); p.cols * p.width];
        for (i, unknown) in self.perm.iter().take(self.rank).enumerate() {
            for j in 0..p.width {
                x[unknown * p.width + j] = top[(i, j)];
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests;
