//! Solvers: checks of their operands, batches, warnings, and the way from dtypes to the engine's routines.
//!
//! f16 and bf16 are solved in f32.

use super::batch::{self, Shared, Worst};
use super::cholesky;
use super::condition;
use super::dense::{self, Real, Side, norm, scatter_rows, solve_vector};
use super::engine::{Failure, LinalgEngine, Routines, Triangle};
use super::finite::{self, Part, is_finite};
use super::inverse;
use super::least_squares::{self, Fit, LeastSquares};
use super::side_by_side::{Group, LARGEST, TOGETHER};
use super::transpose::transpose;
use super::{Context, Operand, copied, elements, elements_mut, ensure, malformed};
use crate::View;
use half::{bf16, f16};
use matex_ir::DType;
use matex_ir::tensor::RunError;
use matex_lang::codes;

/// Up to this order systems are eliminated here: a call of a library would take longer than the work.
const SMALL: usize = 32;

/// Which factors of a matrix are looked for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factors {
    /// Those of LU with partial pivoting.
    Lu,
    /// Those of a symmetric matrix that is expected to be positive definite; those of LU where it is not.
    Cholesky,
}

/// `a x = b` for `a: [.., n, n]` and `b: [.., n, m]`.
pub(super) fn solve(
    a: &View<'_>,
    b: &View<'_>,
    out: Operand<'_>,
    by: Factors,
    context: &Context<'_>,
) -> Result<(), RunError> {
    let rank = a.rank();
    let fits = rank >= 2
        && b.rank() == rank
        && a.shape()[..rank - 1] == b.shape()[..rank - 1]
        && a.shape()[rank - 2] == a.shape()[rank - 1]
        && b.shape() == out.shape
        && a.dtype() == b.dtype()
        && out.dtype == a.dtype();
    ensure(fits, "a system whose shapes do not fit")?;
    check_operands(a, b, context)?;
    let (n, width) = (a.shape()[rank - 1], b.shape()[rank - 1]);
    context.check_extents("solve", &[n, width])?;
    let engine = LinalgEngine::current();
    match a.dtype() {
        DType::F64 => {
            solve_in_place(elements(a)?, copied(b, out.bytes)?, (n, width), (&engine.f64, by), context)
        }
        DType::F32 => {
            solve_in_place(elements(a)?, copied(b, out.bytes)?, (n, width), (&engine.f32, by), context)
        }
        DType::F16 | DType::BF16 => {
            let mut x = widened(b);
            solve_in_place(&widened(a), &mut x, (n, width), (&engine.f32, by), context)?;
            store_narrow(out, &x)
        }
        DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::Bool => Err(malformed("a system of no floats")),
    }
}

/// Refuses operands that are not finite, unless they are to pass as NaN.
fn check_operands(a: &View<'_>, b: &View<'_>, context: &Context<'_>) -> Result<(), RunError> {
    if context.nan_passes {
        return Ok(());
    }
    finite::check(a, Part::All, "matrix", context.origin)?;
    finite::check(b, Part::All, "right-hand side", context.origin)
}

/// Memory that the systems of a batch use one after another.
struct Space<T> {
    matrix: Vec<T>,
    order: Vec<usize>,
    vector: Vec<T>,
}

impl<T: Real> Space<T> {
    fn new(n: usize) -> Space<T> {
        Space { matrix: vec![T::default(); n * n], order: vec![0; n], vector: Vec::with_capacity(n) }
    }
}

/// Solves all systems of a batch for the right-hand sides in `x`.
fn solve_in_place<T: Real>(
    a: &[T],
    x: &mut [T],
    (n, width): (usize, usize),
    how: (&Routines<T>, Factors),
    context: &Context<'_>,
) -> Result<(), RunError> {
    if n == 0 || width == 0 {
        return Ok(());
    }
    let count = a.len() / (n * n);
    let work = n.saturating_mul(n).saturating_mul(n + width);
    let (estimates, nan_passes) = (context.warnings.is_some(), context.nan_passes);
    let all = Shared::new(x, n * width);
    let worst = batch::run(context, count, work, |range, tell| {
        let mut space = Space::new(n);
        let mut group = (n <= LARGEST).then(|| Group::new(n));
        let mut k = range.start;
        while k < range.end {
            let some = TOGETHER.min(range.end - k);
            let a = &a[k * n * n..(k + some) * n * n];
            // SAFETY: the ranges of a batch do not overlap.
            let x = unsafe { all.parts(k, some) };
            let finite = || !nan_passes || (dense::all_finite(a) && dense::all_finite(x));
            let full = group.as_mut().filter(|_| some == TOGETHER && finite());
            let done = full.is_some_and(|group| group.solve(a, x, width, estimates));
            let left = if done { 0 } else { some };
            let systems = a.chunks_exact(n * n).zip(x.chunks_exact_mut(n * width));
            for (i, (a, x)) in systems.enumerate().take(left) {
                if nan_passes && !(is_finite(a, (n, n), Part::All) && dense::all_finite(x)) {
                    x.fill(T::NAN);
                    continue;
                }
                let condition = solve_one(a, x, (n, width), how, &mut space, estimates);
                if let Some(condition) = condition.map_err(|failure| (k + i, failure))? {
                    tell(Worst::one(k + i, condition));
                }
            }
            k += some;
        }
        Ok(())
    });
    let worst = worst.map_err(|failure| failed(failure, "solve", context))?;
    if let Some(worst) = worst {
        let message =
            format!("the matrix is nearly singular: its condition number is about {:.1e}", worst.condition);
        context.warn(codes::ILL_CONDITIONED, message, &worst, count);
    }
    Ok(())
}

/// Solves one system in place of `x`; its condition number when it is asked for and large.
///
/// The matrix lies by rows, which is its transpose by columns: that is what is factorized.
fn solve_one<T: Real>(
    a: &[T],
    x: &mut [T],
    (n, width): (usize, usize),
    (routines, by): (&Routines<T>, Factors),
    space: &mut Space<T>,
    estimates: bool,
) -> Result<Option<f64>, Failure> {
    let definite = n > SMALL && by == Factors::Cholesky;
    let inverts = inverse::wanted(x, (n, width), definite);
    let inverted = inverts && definite && inverse::of_definite(a, n, x, &mut space.matrix, routines)?;
    let is_definite = inverted || (definite && !inverts && factorize_definite(a, n, routines, space));
    if !is_definite {
        factorize(a, n, routines, space)?;
    }
    let Space { matrix: m, order, vector } = space;
    if inverted || (inverts && inverse::of_factors(m, order, x, routines)?) {
        return Ok(if estimates { inverse::condition(a, x, n, vector) } else { None });
    }
    let condition = if estimates {
        vector.clear();
        vector.resize(n, T::default());
        let size = norm(a, vector);
        condition::if_large(m, n, size, vector)
    } else {
        None
    };
    if width == 1 {
        solve_vector(m, x, Side::Transposed);
    } else if n <= SMALL || (0..n).any(|k| !(T::ONE / m[k * n + k]).wide().is_finite()) {
        // A library multiplies by reciprocals of pivots, and 0 times infinity is no number.
        vector.resize(n, T::default());
        for j in 0..width {
            let column = x[j..].iter().step_by(width);
            vector.iter_mut().zip(column).for_each(|(v, x)| *v = *x);
            solve_vector(m, vector, Side::Transposed);
            x[j..].iter_mut().step_by(width).zip(vector.iter()).for_each(|(x, v)| *x = *v);
        }
    } else {
        let triangle = Triangle { a: m, n, column_major: false, lower: true, unit: false };
        (routines.solve_triangular)(triangle, x);
        (routines.solve_triangular)(Triangle { lower: false, unit: true, ..triangle }, x);
    }
    scatter_rows(x, order);
    Ok(condition)
}

/// The factors of a positive definite matrix as those of an LU without an exchange of rows, which they are apart from a
/// scale: what comes behind is the same for both. False where they are none.
fn factorize_definite<T: Real>(a: &[T], n: usize, routines: &Routines<T>, space: &mut Space<T>) -> bool {
    let Space { matrix: m, order, vector } = space;
    if !cholesky::factorize_definite(a, n, m, routines) {
        return false;
    }
    vector.clear();
    vector.extend((0..n).map(|i| m[i * n + i]));
    order.iter_mut().enumerate().for_each(|(i, to)| *to = i);
    dense::lu_of_cholesky(m, vector);
    dense::all_finite(m)
}

/// The factors of the transpose of `a`, with pivots that are no zeros.
fn factorize<T: Real>(
    a: &[T],
    n: usize,
    routines: &Routines<T>,
    space: &mut Space<T>,
) -> Result<(), Failure> {
    let Space { matrix: m, order, .. } = space;
    let zero = |m: &[T]| (0..n).find(|k| m[k * n + k] == T::default());
    m.copy_from_slice(a);
    if n > SMALL {
        (routines.lu)(m, order)?;
        if (0..n).all(|k| m[k * n + k].wide().is_finite()) && zero(m).is_none() {
            return Ok(());
        }
        // A library may divide by a pivot that is zero, or so small that its reciprocal overflows.
        m.copy_from_slice(a);
    }
    dense::lu(m, order);
    let Some(pivot) = zero(m) else { return Ok(()) };
    // The pivots of the matrix as it is written.
    transpose(a, n, m);
    dense::lu(m, order);
    Err(Failure::Pivot(zero(m).unwrap_or(pivot)))
}

/// The least-squares solution of `a x = b` for `a: [n, k]` and `b: [n, m]`.
pub(super) fn lstsq(
    a: &View<'_>,
    b: &View<'_>,
    cut: &View<'_>,
    out: Operand<'_>,
    context: &Context<'_>,
) -> Result<(), RunError> {
    let fits = a.rank() == 2 && b.rank() == 2 && a.shape()[0] == b.shape()[0];
    ensure(fits && out.shape == [a.shape()[1], b.shape()[1]], "a system whose shapes do not fit")?;
    ensure(a.dtype() == b.dtype() && out.dtype == a.dtype(), "a system whose dtypes do not fit")?;
    let cut = cut.get(&[]).filter(|c| c.dtype().is_float()).map(|c| c.to_f64());
    let cut = cut.ok_or_else(|| malformed("a cut that is no scalar float"))?;
    check_operands(a, b, context)?;
    let sizes = (a.shape()[0], a.shape()[1], b.shape()[1]);
    context.check_extents("lstsq", &[sizes.0, sizes.1, sizes.2])?;
    let engine = LinalgEngine::current();
    match a.dtype() {
        DType::F64 => {
            let x = elements_mut::<f64>(out.bytes)?;
            lstsq_into(elements(a)?, elements(b)?, x, sizes, (cut, f64::EPSILON), &engine.f64, context)
        }
        DType::F32 => {
            let x = elements_mut::<f32>(out.bytes)?;
            let eps = f64::from(f32::EPSILON);
            lstsq_into(elements(a)?, elements(b)?, x, sizes, (cut, eps), &engine.f32, context)
        }
        DType::F16 | DType::BF16 => {
            let eps = if a.dtype() == DType::F16 { 2f64.powi(-10) } else { 2f64.powi(-7) };
            let mut x = vec![0f32; sizes.1 * sizes.2];
            lstsq_into(&widened(a), &widened(b), &mut x, sizes, (cut, eps), &engine.f32, context)?;
            store_narrow(out, &x)
        }
        DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::Bool => Err(malformed("a system of no floats")),
    }
}

fn lstsq_into<T: Real>(
    a: &[T],
    b: &[T],
    x: &mut [T],
    (rows, cols, width): (usize, usize, usize),
    (cut, default_cut): (f64, f64),
    routines: &Routines<T>,
    context: &Context<'_>,
) -> Result<(), RunError> {
    x.fill(T::default());
    if rows == 0 || x.is_empty() {
        return Ok(());
    }
    if context.nan_passes && !(dense::all_finite(a) && dense::all_finite(b)) {
        x.fill(T::NAN);
        return Ok(());
    }
    // NaN, like a negative number, asks for the default, which also takes what rounding leaves of a column for nothing.
    let longer = rows.max(cols) as f64;
    let (cut, rounding) = if cut >= 0.0 { (cut, 0.0) } else { (default_cut, longer * T::EPSILON) };
    let problem = LeastSquares { a, b, rows, cols, width, cut, rounding };
    let Fit { rank, condition } =
        least_squares::solve(&problem, x, routines).map_err(|failure| failed(failure, "lstsq", context))?;
    let size = rows.min(cols);
    if rank < size {
        let number =
            if condition.is_finite() { format!("about {condition:.1e}") } else { "infinite".to_owned() };
        let message = format!(
            "the matrix has rank {rank}, and {size} was possible: its condition number is {number}, \
             and unknowns of columns that depend on others are 0"
        );
        context.warn(codes::RANK_DEFICIENT, message, &Worst::one(0, condition), 1);
    } else if condition * T::EPSILON > 1.0 {
        let message = format!("the matrix is nearly singular: its condition number is about {condition:.1e}");
        context.warn(codes::ILL_CONDITIONED, message, &Worst::one(0, condition), 1);
    }
    Ok(())
}

pub(super) fn failed(failure: Failure, name: &str, context: &Context<'_>) -> RunError {
    let (code, message) = match failure {
        Failure::Pivot(pivot) => (codes::SINGULAR, format!("the matrix is singular: pivot {pivot} is zero")),
        Failure::Diagonal(i) => (
            codes::SINGULAR_TRIANGULAR,
            format!("the triangular matrix is singular: element {i} of its diagonal is zero"),
        ),
        Failure::Minor(order) => (
            codes::NOT_POSITIVE_DEFINITE,
            format!(
                "the matrix is not positive definite: its leading minor of order {order} is not positive"
            ),
        ),
        Failure::NoConvergence => {
            (codes::NO_CONVERGENCE, format!("the iteration of {name} did not converge"))
        }
        Failure::Memory => (codes::OUT_OF_MEMORY, format!("no memory for the workspace of {name}")),
        Failure::Workspace => (
            codes::LIMIT_ELEMENTS,
            format!("the matrix is too large for {name}: its workspace has more than 2^31 - 1 elements"),
        ),
        Failure::Cancelled => return RunError::Cancelled,
        Failure::Refused => return malformed("the linear algebra library refused its arguments"),
    };
    RunError::Library { code, message, origin: context.origin }
}

fn widened(x: &View<'_>) -> Vec<f32> {
    x.scalars().map(|e| e.to_f64() as f32).collect()
}

fn store_narrow(out: Operand<'_>, x: &[f32]) -> Result<(), RunError> {
    if out.dtype == DType::F16 {
        let places = elements_mut::<f16>(out.bytes)?;
        places.iter_mut().zip(x).for_each(|(place, v)| *place = f16::from_f32(*v));
    } else {
        let places = elements_mut::<bf16>(out.bytes)?;
        places.iter_mut().zip(x).for_each(|(place, v)| *place = bf16::from_f32(*v));
    }
    Ok(())
}
