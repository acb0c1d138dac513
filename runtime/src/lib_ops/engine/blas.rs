//! The filling of the table by the BLAS that a feature of the build names, through its C interface.
//!
//! What the interface cannot take (steps that are no leading dimension, extents past a C int) goes to faer, so that
//! nothing it is given can make it print or refuse. An OpenBLAS is kept to one thread: work is split by matex's own pool,
//! and threads of both would stand in each other's way.

use super::faer::{self, Real};
use super::{LinalgEngine, LinalgInfo, Product, Routines, Triangle};
use cblas_sys::{
    CBLAS_DIAG, CBLAS_LAYOUT, CBLAS_LAYOUT::CblasColMajor, CBLAS_LAYOUT::CblasRowMajor, CBLAS_SIDE,
    CBLAS_TRANSPOSE, CBLAS_TRANSPOSE::CblasNoTrans, CBLAS_TRANSPOSE::CblasTrans, CBLAS_UPLO,
    CBLAS_UPLO::CblasLower, CBLAS_UPLO::CblasUpper,
};
use std::ffi::c_int;
use std::sync::OnceLock;

const _: () = assert!(
    cfg!(feature = "openblas") as u8
        + cfg!(feature = "mkl") as u8
        + cfg!(feature = "accelerate") as u8
        + cfg!(feature = "blis") as u8
        + cfg!(feature = "blas-custom") as u8
        == 1,
    "exactly one of the features openblas, mkl, accelerate, blis and blas-custom names the library of linear algebra"
);

// The crates that link the libraries; nothing in them is called by name.
extern crate blas_src as _;
#[cfg(feature = "_lapack")]
extern crate lapack_src as _;
#[cfg(feature = "openblas")]
extern crate openblas_src as _;

/// The table, after the library was told to use one thread.
pub(super) fn engine() -> &'static LinalgEngine {
    static READY: OnceLock<()> = OnceLock::new();
    static ENGINE: LinalgEngine = LinalgEngine { about, f32: routines::<f32>(), f64: routines::<f64>() };
    READY.get_or_init(library::one_thread);
    &ENGINE
}

#[cfg(feature = "_lapack")]
const fn routines<T: Blas + super::lapack::Lapack>() -> Routines<T> {
    use super::lapack;
    Routines {
        gemm: gemm::<T>,
        syrk: syrk::<T>,
        lu: lapack::lu::<T>,
        inverse: lapack::inverse::<T>,
        solve_triangular: solve_triangular::<T>,
        // OpenBLAS's potrf takes longer, and most of all for the triangle that a matrix by rows has.
        cholesky: faer::routines::<T>().cholesky,
        inverse_definite: lapack::inverse_definite::<T>,
        qr: lapack::qr::<T>,
        svd: lapack::svd::<T>,
        eigh: lapack::eigh::<T>,
    }
}

#[cfg(not(feature = "_lapack"))]
const fn routines<T: Blas>() -> Routines<T> {
    Routines {
        gemm: gemm::<T>,
        syrk: syrk::<T>,
        solve_triangular: solve_triangular::<T>,
        ..faer::routines::<T>()
    }
}

fn about() -> LinalgInfo {
    library::about()
}

type GemmC<T> = unsafe extern "C" fn(
    CBLAS_LAYOUT,
    CBLAS_TRANSPOSE,
    CBLAS_TRANSPOSE,
    c_int,
    c_int,
    c_int,
    T,
    *const T,
    c_int,
    *const T,
    c_int,
    T,
    *mut T,
    c_int,
);
type GemvC<T> = unsafe extern "C" fn(
    CBLAS_LAYOUT,
    CBLAS_TRANSPOSE,
    c_int,
    c_int,
    T,
    *const T,
    c_int,
    *const T,
    c_int,
    T,
    *mut T,
    c_int,
);
type SyrkC<T> = unsafe extern "C" fn(
    CBLAS_LAYOUT,
    CBLAS_UPLO,
    CBLAS_TRANSPOSE,
    c_int,
    c_int,
    T,
    *const T,
    c_int,
    T,
    *mut T,
    c_int,
);
type TrsmC<T> = unsafe extern "C" fn(
    CBLAS_LAYOUT,
    CBLAS_SIDE,
    CBLAS_UPLO,
    CBLAS_TRANSPOSE,
    CBLAS_DIAG,
    c_int,
    c_int,
    T,
    *const T,
    c_int,
    *mut T,
    c_int,
);

/// The routines of one type of elements.
pub(super) trait Blas: Real {
    const GEMM: GemmC<Self>;
    const GEMV: GemvC<Self>;
    const SYRK: SyrkC<Self>;
    const TRSM: TrsmC<Self>;
}

impl Blas for f32 {
    const GEMM: GemmC<f32> = cblas_sys::cblas_sgemm;
    const GEMV: GemvC<f32> = cblas_sys::cblas_sgemv;
    const SYRK: SyrkC<f32> = cblas_sys::cblas_ssyrk;
    const TRSM: TrsmC<f32> = cblas_sys::cblas_strsm;
}

impl Blas for f64 {
    const GEMM: GemmC<f64> = cblas_sys::cblas_dgemm;
    const GEMV: GemvC<f64> = cblas_sys::cblas_dgemv;
    const SYRK: SyrkC<f64> = cblas_sys::cblas_dsyrk;
    const TRSM: TrsmC<f64> = cblas_sys::cblas_dtrsm;
}

fn int(n: usize) -> Option<c_int> {
    c_int::try_from(n).ok()
}

/// How a matrix lies in row-major terms: whether it is transposed, and its leading dimension.
fn lie(rows: usize, cols: usize, [row, col]: [isize; 2]) -> Option<(bool, c_int)> {
    let leading = |step: isize, extent: usize, lines: usize| {
        if lines <= 1 {
            return int(extent.max(1));
        }
        let step = usize::try_from(step).ok().filter(|s| *s >= extent.max(1))?;
        int(step)
    };
    if col == 1 || cols <= 1 {
        let found = leading(row, cols, rows).map(|ld| (false, ld));
        if found.is_some() {
            return found;
        }
    }
    if row == 1 || rows <= 1 { leading(col, rows, cols).map(|ld| (true, ld)) } else { None }
}

fn flag(transposed: bool) -> CBLAS_TRANSPOSE {
    if transposed { CblasTrans } else { CblasNoTrans }
}

/// # Safety
/// As for [`super::Gemm`].
unsafe fn gemm<T: Blas>(p: &Product<T>) {
    // SAFETY: the caller's promise, and the interface takes what `call` found for it.
    let done = unsafe { if p.cols == 1 || p.rows == 1 { vector(p) } else { matrix(p) } };
    if done.is_none() {
        // SAFETY: the caller's promise.
        unsafe { faer::gemm(p) }
    }
}

/// # Safety
/// As for [`super::Gemm`].
unsafe fn matrix<T: Blas>(p: &Product<T>) -> Option<()> {
    let (m, n, k) = (int(p.rows)?, int(p.cols)?, int(p.depth)?);
    let (a, lda) = lie(p.rows, p.depth, p.a.1)?;
    let (b, ldb) = lie(p.depth, p.cols, p.b.1)?;
    let (c, ldc) = lie(p.rows, p.cols, p.c.1)?;
    // A result that lies by columns is asked for by columns, where every matrix lies the other way.
    let layout = if c { CblasColMajor } else { CblasRowMajor };
    let (a, b) = (flag(a != c), flag(b != c));
    // SAFETY: the caller's promise for the memory; leading dimensions are at least the extents that they span.
    unsafe {
        T::GEMM(layout, a, b, m, n, k, T::ONE, p.a.0, lda, p.b.0, ldb, T::default(), p.c.0, ldc);
    }
    Some(())
}

/// A product with a vector.
///
/// # Safety
/// As for [`super::Gemm`].
unsafe fn vector<T: Blas>(p: &Product<T>) -> Option<()> {
    // `x a` is `a.T x`.
    let by_row = p.rows == 1;
    let (a, rows, steps) =
        if by_row { (p.b.0, p.cols, [p.b.1[1], p.b.1[0]]) } else { (p.a.0, p.rows, p.a.1) };
    let (x, along) = if by_row { (p.a.0, p.a.1[1]) } else { (p.b.0, p.b.1[0]) };
    let to = if by_row { p.c.1[1] } else { p.c.1[0] };
    let (transposed, ld) = lie(rows, p.depth, steps)?;
    let step = |s: isize, n: usize| if n <= 1 { Some(1) } else { c_int::try_from(s).ok().filter(|s| *s > 0) };
    let (incx, incy) = (step(along, p.depth)?, step(to, rows)?);
    let (rows, depth) = (int(rows)?, int(p.depth)?);
    let (layout_rows, layout_cols) = if transposed { (depth, rows) } else { (rows, depth) };
    // SAFETY: the caller's promise for the memory; the leading dimension is at least the extent that it spans.
    unsafe {
        T::GEMV(
            CblasRowMajor,
            flag(transposed),
            layout_rows,
            layout_cols,
            T::ONE,
            a,
            ld,
            x,
            incx,
            T::default(),
            p.c.0,
            incy,
        );
    }
    Some(())
}

/// # Safety
/// As for [`super::Gemm`].
unsafe fn syrk<T: Blas>(p: &Product<T>) {
    // SAFETY: the caller's promise.
    if unsafe { triangle(p) }.is_none() {
        // SAFETY: the caller's promise.
        unsafe { faer::syrk(p) }
    }
}

/// # Safety
/// As for [`super::Gemm`].
unsafe fn triangle<T: Blas>(p: &Product<T>) -> Option<()> {
    let (n, k) = (int(p.rows)?, int(p.depth)?);
    let (a, lda) = lie(p.rows, p.depth, p.a.1)?;
    let (c, ldc) = lie(p.rows, p.cols, p.c.1)?;
    let layout = if c { CblasColMajor } else { CblasRowMajor };
    let a = flag(a != c);
    // SAFETY: as in `matrix`.
    unsafe { T::SYRK(layout, CblasLower, a, n, k, T::ONE, p.a.0, lda, T::default(), p.c.0, ldc) };
    Some(())
}

fn solve_triangular<T: Blas>(a: Triangle<'_, T>, b: &mut [T]) {
    let width = b.len() / a.n;
    let (Some(n), Some(columns)) = (int(a.n), int(width)) else {
        // The callers refuse extents that no C int holds; faer takes them all the same.
        return (faer::routines::<T>().solve_triangular)(a, b);
    };
    let lower = if a.lower == a.column_major { CblasUpper } else { CblasLower };
    let trans = flag(a.column_major);
    let diagonal = if a.unit { CBLAS_DIAG::CblasUnit } else { CBLAS_DIAG::CblasNonUnit };
    let (from, to) = (a.a.as_ptr(), b.as_mut_ptr());
    // SAFETY: `a` holds n x n elements and `b` n x width, as their slices say.
    unsafe {
        let left = CBLAS_SIDE::CblasLeft;
        T::TRSM(CblasRowMajor, left, lower, trans, diagonal, n, columns, T::ONE, from, n, to, columns);
    }
}

#[cfg(feature = "openblas")]
mod library {
    //! What OpenBLAS tells about itself.

    use super::LinalgInfo;
    use std::ffi::{CStr, c_char, c_int};

    unsafe extern "C" {
        fn openblas_set_num_threads(threads: c_int);
        fn openblas_get_num_threads() -> c_int;
        fn openblas_get_config() -> *const c_char;
        fn openblas_get_corename() -> *const c_char;
    }

    pub(super) fn one_thread() {
        // SAFETY: it takes any number.
        unsafe { openblas_set_num_threads(1) }
    }

    pub(super) fn about() -> LinalgInfo {
        let text = |text: *const c_char| {
            if text.is_null() {
                return String::new();
            }
            // SAFETY: OpenBLAS gives text that ends with a zero and is never freed.
            unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
        };
        // SAFETY: these take nothing and change nothing.
        let (config, core, threads) = unsafe {
            (text(openblas_get_config()), text(openblas_get_corename()), openblas_get_num_threads())
        };
        let name = config.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        LinalgInfo {
            name: if name.is_empty() { "OpenBLAS".to_owned() } else { name },
            linked: "BLAS and LAPACK, linked by the feature openblas",
            threads: usize::try_from(threads).unwrap_or(1),
            fix: super::too_old(&core, has_avx512()),
            core: Some(core),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn has_avx512() -> bool {
        std::arch::is_x86_feature_detected!("avx512f")
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn has_avx512() -> bool {
        false
    }
}

/// What to do when OpenBLAS chose code for a CPU without AVX-512 on one that has it.
#[cfg(any(feature = "openblas", test))]
fn too_old(core: &str, has_avx512: bool) -> Option<String> {
    let knows = ["SkylakeX", "Cooperlake", "SapphireRapids", "Zen5"].contains(&core);
    (has_avx512 && !knows).then(|| {
        format!(
            "OpenBLAS took this CPU for a {core} and leaves half of its vectors unused: \
             start the program with OPENBLAS_CORETYPE=SkylakeX in its environment"
        )
    })
}

#[cfg(not(feature = "openblas"))]
mod library {
    //! What is known of a library that tells nothing about itself.

    use super::LinalgInfo;

    pub(super) fn one_thread() {
        #[cfg(feature = "blis")]
        {
            unsafe extern "C" {
                fn bli_thread_set_num_threads(threads: isize);
            }
            // SAFETY: it takes any number.
            unsafe { bli_thread_set_num_threads(1) }
        }
    }

    pub(super) fn about() -> LinalgInfo {
        let (name, linked) = if cfg!(feature = "mkl") {
            ("Intel MKL", "BLAS and LAPACK, linked by the feature mkl")
        } else if cfg!(feature = "accelerate") {
            ("Accelerate", "BLAS and LAPACK, linked by the feature accelerate")
        } else if cfg!(feature = "blis") {
            ("BLIS, with faer for what LAPACK has", "BLAS, linked by the feature blis")
        } else {
            ("custom", "BLAS and LAPACK that the program brings (the feature blas-custom)")
        };
        LinalgInfo { name: name.to_owned(), linked, core: None, threads: 1, fix: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_is_told_where_it_helps() {
        assert_eq!(too_old("Haswell", false), None);
        assert_eq!(too_old("SkylakeX", true), None);
        assert!(too_old("Haswell", true).is_some_and(|fix| fix.contains("OPENBLAS_CORETYPE=SkylakeX")));
    }

    #[test]
    fn steps_become_leading_dimensions() {
        assert_eq!(lie(3, 4, [4, 1]), Some((false, 4)));
        assert_eq!(lie(3, 4, [9, 1]), Some((false, 9)));
        assert_eq!(lie(3, 4, [1, 3]), Some((true, 3)));
        assert_eq!(lie(1, 4, [0, 1]), Some((false, 4)));
        assert_eq!(lie(4, 1, [1, 0]), Some((false, 1)));
        // Overlapping, backwards, with gaps along both axes: none of these is a leading dimension.
        for steps in [[2, 1], [-4, 1], [0, 1], [8, 2], [1, 2]] {
            assert_eq!(lie(3, 4, steps), None, "{steps:?}");
        }
    }
}
