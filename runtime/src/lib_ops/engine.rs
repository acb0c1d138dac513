//! The table of dense linear algebra routines, and the library that fills it.
//!
//! All calls of linear algebra go through one table. faer, in pure Rust, fills it, unless the build names a BLAS and
//! LAPACK by a feature. Matrices come in checked to be finite, with at least one row and column and extents that fit a
//! C int. Every routine runs on the thread that calls it: work is split before it gets here.

#[cfg(feature = "_blas")]
mod blas;
mod faer;
#[cfg(feature = "_lapack")]
mod lapack;

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

/// Computes the lower triangle of a matrix product `a a.T`, whose `b` is `a.T`: the same memory with its steps swapped.
///
/// # Safety
/// As for [`Gemm`].
pub(crate) type Syrk<T> = unsafe fn(product: &Product<T>);

/// LU with partial pivoting in place of a column-major matrix with as many rows as `order`, which becomes the rows in
/// the order of the factors' rows; whether that is an odd one. What is in a matrix that has a pivot of 0 is
/// unspecified.
pub(crate) type Lu<T> = fn(m: &mut [T], order: &mut [usize]) -> Result<bool, Failure>;

/// The inverse of a column-major matrix from the factors that [`Lu`] made of it and the order of their rows.
pub(crate) type Inverse<T> = fn(lu: &[T], order: &[usize], inverse: &mut [T]) -> Result<(), Failure>;

/// The lower triangle of the row-major inverse of a matrix from its factor by [`Cholesky`]. What is above it is unspecified.
pub(crate) type InverseDefinite<T> = fn(l: &[T], n: usize, inverse: &mut [T]) -> Result<(), Failure>;

/// A triangle of a square matrix.
#[derive(Clone, Copy)]
pub(crate) struct Triangle<'a, T> {
    pub(crate) a: &'a [T],
    pub(crate) n: usize,
    /// Whether columns, and not rows, stand one after another.
    pub(crate) column_major: bool,
    pub(crate) lower: bool,
    /// Whether ones stand for what is on the diagonal.
    pub(crate) unit: bool,
}

/// Solves `a x = b` for a triangle `a` in place of the row-major `b: [n, width]`.
pub(crate) type SolveTriangular<T> = fn(a: Triangle<'_, T>, b: &mut [T]);

/// The lower factor of the row-major `a: [n, n]` in place, from its lower triangle; what stands above is left alone. Something that is not
/// finite may give a diagonal that is not, and no failure.
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
    /// The workspace has more elements than the library can count.
    #[cfg_attr(not(feature = "_lapack"), allow(dead_code, reason = "faer counts in 64 bits"))]
    Workspace,
    /// Someone asked to stop.
    Cancelled,
    /// The library refused its arguments: a bug.
    Refused,
}

/// One library of dense linear algebra.
pub(crate) struct LinalgEngine {
    /// What it is and what it found, for people.
    pub(crate) about: fn() -> LinalgInfo,
    /// Its routines on f32.
    pub(crate) f32: Routines<f32>,
    /// Its routines on f64.
    pub(crate) f64: Routines<f64>,
}

/// The linear algebra library of this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinalgInfo {
    /// What it is called, with its version where it tells one.
    pub name: String,
    /// How it got into the build.
    pub linked: &'static str,
    /// The kind of CPU that it found, where it tells.
    pub core: Option<String>,
    /// The threads of its own.
    pub threads: usize,
    /// What is wrong with its choice, and what to do about it.
    pub fix: Option<String>,
}

/// The routines on one type of elements.
#[derive(Clone, Copy)]
pub(crate) struct Routines<T> {
    pub(crate) gemm: Gemm<T>,
    pub(crate) syrk: Syrk<T>,
    pub(crate) lu: Lu<T>,
    pub(crate) inverse: Inverse<T>,
    pub(crate) solve_triangular: SolveTriangular<T>,
    pub(crate) cholesky: Cholesky<T>,
    pub(crate) inverse_definite: InverseDefinite<T>,
    pub(crate) qr: Qr<T>,
    pub(crate) svd: Svd<T>,
    pub(crate) eigh: Eigh<T>,
}

impl LinalgEngine {
    /// The library in use.
    pub(crate) fn current() -> &'static LinalgEngine {
        #[cfg(feature = "_blas")]
        return blas::engine();
        #[cfg(not(feature = "_blas"))]
        &faer::ENGINE
    }
}

#[cfg(test)]
mod tests;
