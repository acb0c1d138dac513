//! Factorizations and the triangular solver: checks of their operands, batches, and what is left when an extent is 0.

use super::engine::{Failure, LinalgEngine, Routines};
use super::linalg::{check_finite, failed};
use super::{Number, Operand, elements, elements_mut, ensure, malformed};
use crate::View;
use matex_ir::tensor::{LibOp, RunError};
use matex_ir::{DType, Span};
use matex_lang::codes;
use std::ops::Neg;

/// Runs a factorization on every matrix of a batch.
pub(super) fn run(
    op: &LibOp,
    inputs: &[View<'_>],
    outputs: Vec<Operand<'_>>,
    origin: Span,
) -> Result<(), RunError> {
    let names = ["matrix", "right-hand side"];
    for (x, name) in inputs.iter().zip(names) {
        check_finite(x, name, origin)?;
    }
    let a = inputs.first().ok_or_else(|| malformed("a factorization of nothing"))?;
    // What a LAPACK behind the table could take.
    for extent in a.shape().iter().rev().take(2) {
        if i32::try_from(*extent).is_err() {
            let message = format!("an extent of {extent} is too large for {}", op.name());
            return Err(RunError::Library { code: codes::LIMIT_ELEMENTS, message, origin });
        }
    }
    let engine = LinalgEngine::current();
    match a.dtype() {
        DType::F64 => all(op, inputs, outputs, &engine.f64, 1.0, origin),
        DType::F32 => all(op, inputs, outputs, &engine.f32, 1.0, origin),
        DType::F16
        | DType::BF16
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::Bool => Err(malformed("a factorization of neither f32 nor f64")),
    }
}

/// The sizes of one matrix, and how many there are.
struct Size {
    batch: usize,
    rows: usize,
    cols: usize,
}

impl Size {
    fn of(a: &View<'_>) -> Result<Size, RunError> {
        let (batch, rows, cols) = match a.shape() {
            [batch @ .., rows, cols] => (batch.iter().product(), *rows, *cols),
            _ => return Err(malformed("a factorization of no matrix")),
        };
        Ok(Size { batch, rows, cols })
    }

    /// The number of elements that each output has for one matrix.
    fn outputs(&self, op: &LibOp, width: usize) -> Result<Vec<usize>, RunError> {
        let (rows, cols, small) = (self.rows, self.cols, self.rows.min(self.cols));
        Ok(match op {
            LibOp::SolveTriangular { .. } => vec![rows * width],
            LibOp::Lu => vec![rows * cols, rows, 1],
            LibOp::Cholesky => vec![rows * cols],
            LibOp::Qr => vec![rows * small, small * cols],
            LibOp::Svd { full: true } => vec![rows * rows, small, cols * cols],
            LibOp::Svd { full: false } => vec![rows * small, small, small * cols],
            LibOp::Svdvals => vec![small],
            LibOp::Eigh => vec![rows, rows * cols],
            LibOp::Eigvalsh => vec![rows],
            LibOp::Sort { .. }
            | LibOp::Argsort { .. }
            | LibOp::SearchSorted { .. }
            | LibOp::Solve
            | LibOp::Lstsq => return Err(malformed("no factorization")),
        })
    }
}

/// The operands of one matrix of the batch.
struct Problem<'a, T> {
    a: &'a [T],
    b: &'a [T],
    size: Size,
    one: T,
}

fn all<T: Number + Neg<Output = T>>(
    op: &LibOp,
    inputs: &[View<'_>],
    outputs: Vec<Operand<'_>>,
    routines: &Routines<T>,
    one: T,
    origin: Span,
) -> Result<(), RunError> {
    let (a, b): (&View<'_>, Option<&View<'_>>) = match inputs {
        [a] if !matches!(op, LibOp::SolveTriangular { .. }) => (a, None),
        [a, b] if matches!(op, LibOp::SolveTriangular { .. }) => (a, Some(b)),
        _ => return Err(malformed("a factorization with other operands")),
    };
    let size = Size::of(a)?;
    ensure(size.rows == size.cols || !op.wants_square(), "a matrix that is not square")?;
    let width = b.and_then(|b| b.shape().last().copied()).unwrap_or(0);
    let right_sides = b.map_or(0, |b| b.len());
    ensure(right_sides == size.batch * size.rows * width, "a right-hand side that does not fit")?;
    let counts = size.outputs(op, width)?;
    let fits = |(k, (out, count)): (usize, (&Operand<'_>, &usize))| {
        let order = matches!(op, LibOp::Lu) && k == 1;
        let dtype = if order { DType::I64 } else { a.dtype() };
        out.dtype == dtype && out.shape.iter().product::<usize>() == size.batch * count
    };
    let fit = outputs.len() == counts.len() && outputs.iter().zip(&counts).enumerate().all(fits);
    ensure(fit, "a factor that does not fit")?;
    let b: &[T] = b.map_or(Ok(&[][..]), |b| elements(b))?;
    let problem = Problem { a: elements(a)?, b, size, one };
    let name = op.name();
    let solved = if let LibOp::Lu = op {
        lu(&problem, outputs, routines)?
    } else {
        others(op, &problem, outputs, &counts, routines)?
    };
    solved.map_err(|failure| failed(failure, name, origin))
}

/// The part of matrix `k` of a batch.
fn part<T>(x: &[T], k: usize, count: usize) -> &[T] {
    &x[k * count..(k + 1) * count]
}

type Solved = Result<Result<(), Failure>, RunError>;

fn lu<T: Number + Neg<Output = T>>(
    p: &Problem<'_, T>,
    outputs: Vec<Operand<'_>>,
    routines: &Routines<T>,
) -> Solved {
    let Ok([factors, order, signs]) = <[Operand<'_>; 3]>::try_from(outputs) else {
        return Err(malformed("a factorization with other factors"));
    };
    let (factors, order) = (elements_mut::<T>(factors.bytes)?, elements_mut::<i64>(order.bytes)?);
    let (rows, cols) = (p.size.rows, p.size.cols);
    factors.copy_from_slice(p.a);
    for (k, sign) in elements_mut::<T>(signs.bytes)?.iter_mut().enumerate() {
        let a = &mut factors[k * rows * cols..(k + 1) * rows * cols];
        let order = &mut order[k * rows..(k + 1) * rows];
        order.iter_mut().zip(0..).for_each(|(to, i)| *to = i);
        *sign = p.one;
        if rows > 0 && cols > 0 {
            match (routines.lu)(a, order, cols) {
                Ok(odd) => *sign = if odd { -p.one } else { p.one },
                Err(failure) => return Ok(Err(failure)),
            }
        }
    }
    Ok(Ok(()))
}

fn others<T: Number>(
    op: &LibOp,
    p: &Problem<'_, T>,
    outputs: Vec<Operand<'_>>,
    counts: &[usize],
    routines: &Routines<T>,
) -> Solved {
    let mut all = Vec::with_capacity(outputs.len());
    for output in outputs {
        all.push(elements_mut::<T>(output.bytes)?);
    }
    for k in 0..p.size.batch {
        let parts = all.iter_mut().zip(counts);
        let mut parts: Vec<&mut [T]> = parts.map(|(o, n)| &mut o[k * n..(k + 1) * n]).collect();
        if let Err(failure) = one_matrix(op, p, k, &mut parts, routines) {
            return Ok(Err(failure));
        }
    }
    Ok(Ok(()))
}

/// Factorizes matrix `k`; zeros are where nothing is written.
fn one_matrix<T: Number>(
    op: &LibOp,
    p: &Problem<'_, T>,
    k: usize,
    parts: &mut [&mut [T]],
    routines: &Routines<T>,
) -> Result<(), Failure> {
    let (rows, cols) = (p.size.rows, p.size.cols);
    let a = part(p.a, k, rows * cols);
    if let (LibOp::Svd { full: true }, [u, _, vh], true) = (op, &mut *parts, a.is_empty()) {
        // All of an empty matrix is its null space.
        (0..rows).for_each(|i| u[i * rows + i] = p.one);
        (0..cols).for_each(|i| vh[i * cols + i] = p.one);
    }
    if a.is_empty() {
        return Ok(());
    }
    match (op, parts) {
        (LibOp::SolveTriangular { lower }, [x]) => {
            x.copy_from_slice(part(p.b, k, x.len()));
            (routines.solve_triangular)(a, x, rows, x.len() / rows, *lower)
        }
        (LibOp::Cholesky, [l]) => {
            l.copy_from_slice(a);
            (routines.cholesky)(l, rows)
        }
        (LibOp::Qr, [q, r]) => (routines.qr)(a, (rows, cols), q, r),
        (LibOp::Svd { .. }, [u, s, vh]) => (routines.svd)(a, (rows, cols), s, Some([u, vh])),
        (LibOp::Svdvals, [s]) => (routines.svd)(a, (rows, cols), s, None),
        (LibOp::Eigh, [w, v]) => (routines.eigh)(a, w, Some(v)),
        (LibOp::Eigvalsh, [w]) => (routines.eigh)(a, w, None),
        // The number of outputs was checked before.
        (_, _) => Ok(()),
    }
}
