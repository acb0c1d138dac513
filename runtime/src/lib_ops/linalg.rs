//! Solvers: checks of their operands, batches, and the way from dtypes to the engine's routines.
//!
//! f16 and bf16 are solved in f32.

use super::engine::{Failure, LeastSquares, LinalgEngine, Lstsq, Solve};
use super::{Number, Operand, elements, elements_mut, ensure, malformed};
use crate::View;
use half::{bf16, f16};
use matex_ir::tensor::RunError;
use matex_ir::{DType, Span};
use matex_lang::codes;

/// `a x = b` for `a: [.., n, n]` and `b: [.., n, m]`.
pub(super) fn solve(a: &View<'_>, b: &View<'_>, out: Operand<'_>, origin: Span) -> Result<(), RunError> {
    let rank = a.rank();
    let fits = rank >= 2
        && b.rank() == rank
        && a.shape()[..rank - 1] == b.shape()[..rank - 1]
        && a.shape()[rank - 2] == a.shape()[rank - 1]
        && b.shape() == out.shape
        && a.dtype() == b.dtype()
        && out.dtype == a.dtype();
    ensure(fits, "a system whose shapes do not fit")?;
    check_finite(a, "matrix", origin)?;
    check_finite(b, "right-hand side", origin)?;
    let (n, width) = (a.shape()[rank - 1], b.shape()[rank - 1]);
    let engine = LinalgEngine::current();
    match a.dtype() {
        DType::F64 => solve_all::<f64>(elements(a)?, elements(b)?, out, (n, width), engine.f64.solve, origin),
        DType::F32 => solve_all::<f32>(elements(a)?, elements(b)?, out, (n, width), engine.f32.solve, origin),
        DType::F16 | DType::BF16 => {
            let (a, b) = (widened(a), widened(b));
            let mut x = vec![0f32; b.len()];
            solve_into(&a, &b, &mut x, (n, width), engine.f32.solve, origin)?;
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

fn solve_all<T: Number>(
    a: &[T],
    b: &[T],
    out: Operand<'_>,
    size: (usize, usize),
    routine: Solve<T>,
    origin: Span,
) -> Result<(), RunError> {
    solve_into(a, b, elements_mut::<T>(out.bytes)?, size, routine, origin)
}

fn solve_into<T: Number>(
    a: &[T],
    b: &[T],
    x: &mut [T],
    (n, width): (usize, usize),
    routine: Solve<T>,
    origin: Span,
) -> Result<(), RunError> {
    x.copy_from_slice(b);
    if n == 0 || width == 0 {
        return Ok(());
    }
    for (a, x) in a.chunks_exact(n * n).zip(x.chunks_exact_mut(n * width)) {
        routine(a, x, n, width).map_err(|failure| failed(failure, "solve", origin))?;
    }
    Ok(())
}

/// The least-squares solution of `a x = b` for `a: [n, k]` and `b: [n, m]`.
pub(super) fn lstsq(
    a: &View<'_>,
    b: &View<'_>,
    cut: &View<'_>,
    out: Operand<'_>,
    origin: Span,
) -> Result<(), RunError> {
    let fits = a.rank() == 2 && b.rank() == 2 && a.shape()[0] == b.shape()[0];
    ensure(fits && out.shape == [a.shape()[1], b.shape()[1]], "a system whose shapes do not fit")?;
    ensure(a.dtype() == b.dtype() && out.dtype == a.dtype(), "a system whose dtypes do not fit")?;
    let cut = cut.get(&[]).filter(|c| c.dtype().is_float()).map(|c| c.to_f64());
    let cut = cut.ok_or_else(|| malformed("a cut that is no scalar float"))?;
    check_finite(a, "matrix", origin)?;
    check_finite(b, "right-hand side", origin)?;
    let sizes = (a.shape()[0], a.shape()[1], b.shape()[1]);
    let engine = LinalgEngine::current();
    match a.dtype() {
        DType::F64 => {
            let x = elements_mut::<f64>(out.bytes)?;
            lstsq_into(elements(a)?, elements(b)?, x, sizes, (cut, f64::EPSILON), engine.f64.lstsq, origin)
        }
        DType::F32 => {
            let x = elements_mut::<f32>(out.bytes)?;
            let eps = f64::from(f32::EPSILON);
            lstsq_into(elements(a)?, elements(b)?, x, sizes, (cut, eps), engine.f32.lstsq, origin)
        }
        DType::F16 | DType::BF16 => {
            let eps = if a.dtype() == DType::F16 { 2f64.powi(-10) } else { 2f64.powi(-7) };
            let mut x = vec![0f32; sizes.1 * sizes.2];
            lstsq_into(&widened(a), &widened(b), &mut x, sizes, (cut, eps), engine.f32.lstsq, origin)?;
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

fn lstsq_into<T: Number + Default>(
    a: &[T],
    b: &[T],
    x: &mut [T],
    (rows, cols, width): (usize, usize, usize),
    (cut, default_cut): (f64, f64),
    routine: Lstsq<T>,
    origin: Span,
) -> Result<(), RunError> {
    x.fill(T::default());
    if rows == 0 || x.is_empty() {
        return Ok(());
    }
    // NaN, like a negative number, asks for the default.
    let cut = if cut >= 0.0 { cut } else { default_cut };
    routine(&LeastSquares { a, b, rows, cols, width, cut }, x)
        .map_err(|failure| failed(failure, "lstsq", origin))
}

pub(super) fn failed(failure: Failure, name: &str, origin: Span) -> RunError {
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
        Failure::Memory => (codes::OUT_OF_MEMORY, "no memory for the workspace of a solver".to_owned()),
    };
    RunError::Library { code, message, origin }
}

pub(super) fn check_finite(x: &View<'_>, operand: &str, origin: Span) -> Result<(), RunError> {
    let Some((place, bad)) = x.scalars().enumerate().find(|(_, e)| !e.to_f64().is_finite()) else {
        return Ok(());
    };
    let (mut rest, mut index) = (place, Vec::new());
    for extent in x.shape().iter().rev() {
        index.push(rest % extent);
        rest /= extent;
    }
    index.reverse();
    let message = format!("element {index:?} of the {operand} is {bad}");
    Err(RunError::Library { code: codes::NON_FINITE_INPUT, message, origin })
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
