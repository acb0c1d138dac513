//! Factorizations and the triangular solver: checks of their operands, batches, and what is left when an extent is 0.

use super::batch::{self, Shared};
use super::cholesky::{factorize, lower};
use super::dense::{self, Real};
use super::engine::{Failure, LinalgEngine, Routines, Triangle};
use super::finite::{self, Part, is_finite};
use super::linalg::failed;
use super::transpose::transpose;
use super::{Context, Operand, elements, elements_fresh, elements_mut, ensure, malformed, single};
use crate::View;
use matex_ir::DType;
use matex_ir::tensor::{LibOp, RunError};
use std::mem::MaybeUninit;

/// Runs a factorization on every matrix of a batch.
pub(super) fn run(
    op: &LibOp,
    inputs: &[View<'_>],
    outputs: Vec<Operand<'_>>,
    context: &Context<'_>,
) -> Result<(), RunError> {
    let check = || {
        let parts = [("matrix", Part::of(op)), ("right-hand side", Part::All)];
        let mut operands = inputs.iter().zip(parts);
        operands.try_for_each(|(x, (name, part))| finite::check(x, part, name, context.origin))
    };
    // Nothing but finite numbers has a factor of Cholesky's: what is not is looked for when there is none.
    let later = matches!(op, LibOp::Cholesky);
    if !context.nan_passes && !later {
        check()?;
    }
    let done = of_dtype(op, inputs, outputs, context);
    if done.is_err() && !context.nan_passes && later {
        check()?;
    }
    done
}

fn of_dtype(
    op: &LibOp,
    inputs: &[View<'_>],
    outputs: Vec<Operand<'_>>,
    context: &Context<'_>,
) -> Result<(), RunError> {
    let a = inputs.first().ok_or_else(|| malformed("a factorization of nothing"))?;
    let extents = inputs.iter().flat_map(|x| x.shape().iter().rev().take(2).copied());
    context.check_extents(op.name(), &extents.collect::<Vec<usize>>())?;
    let engine = LinalgEngine::current();
    match a.dtype() {
        DType::F64 => all(op, inputs, outputs, &engine.f64, context),
        DType::F32 => all(op, inputs, outputs, &engine.f32, context),
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
            LibOp::PivotsDefinite => vec![rows],
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
            | LibOp::SolveDefinite
            | LibOp::Lstsq => return Err(malformed("no factorization")),
        })
    }
}

/// The operands of a batch.
struct Problem<'a, T> {
    op: &'a LibOp,
    a: &'a [T],
    b: &'a [T],
    size: Size,
    routines: &'a Routines<T>,
    nan_passes: bool,
}

fn all<T: Real>(
    op: &LibOp,
    inputs: &[View<'_>],
    outputs: Vec<Operand<'_>>,
    routines: &Routines<T>,
    context: &Context<'_>,
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
    let problem = Problem { op, a: elements(a)?, b, size, routines, nan_passes: context.nan_passes };
    let solved = if let LibOp::Lu = op {
        lu(&problem, outputs, context)?
    } else if let LibOp::PivotsDefinite = op {
        pivots(&problem, outputs, context)?
    } else if let LibOp::Cholesky = op {
        cholesky(&problem, outputs, context)?
    } else {
        others(&problem, outputs, &counts, context)?
    };
    solved.map_err(|failure| failed(failure, op.name(), context))
}

impl<T: Real> Problem<'_, T> {
    /// The first operand of matrix `k`.
    fn matrix(&self, k: usize) -> &[T] {
        let count = self.size.rows * self.size.cols;
        &self.a[k * count..(k + 1) * count]
    }

    /// The right-hand side of matrix `k`, of that many elements.
    fn right_side(&self, k: usize, count: usize) -> &[T] {
        self.b.get(k * count..(k + 1) * count).unwrap_or(&[])
    }

    /// Whether the factors are NaN because the operands of matrix `k` are not finite.
    fn is_nan(&self, k: usize, right_side: &[T]) -> bool {
        let size = (self.size.rows, self.size.cols);
        let finite = || is_finite(self.matrix(k), size, Part::of(self.op)) && dense::all_finite(right_side);
        self.nan_passes && !finite()
    }

    /// About how many multiplications a matrix takes.
    fn work(&self) -> usize {
        let (rows, cols) = (self.size.rows, self.size.cols);
        rows.saturating_mul(cols).saturating_mul(rows.min(cols).max(1))
    }
}

type Solved = Result<Result<(), Failure>, RunError>;

fn lu<T: Real>(p: &Problem<'_, T>, outputs: Vec<Operand<'_>>, context: &Context<'_>) -> Solved {
    let Ok([factors, order, signs]) = <[Operand<'_>; 3]>::try_from(outputs) else {
        return Err(malformed("a factorization with other factors"));
    };
    let (factors, order) = (elements_mut::<T>(factors.bytes)?, elements_mut::<i64>(order.bytes)?);
    let (rows, cols) = (p.size.rows, p.size.cols);
    let signs = elements_mut::<T>(signs.bytes)?;
    signs.fill(T::ONE);
    order.iter_mut().enumerate().for_each(|(k, to)| *to = (k % rows.max(1)) as i64);
    let (factors, order, signs) =
        (Shared::new(factors, rows * cols), Shared::new(order, rows), Shared::new(signs, 1));
    let done = batch::run(context, p.size.batch, p.work(), |range, _| {
        let (mut columns, mut rows_in_order) = (vec![T::default(); rows * cols], vec![0; rows]);
        for k in range {
            // SAFETY: the ranges of a batch do not overlap.
            let (a, order, sign) = unsafe { (factors.part(k), order.part(k), signs.part(k)) };
            if p.is_nan(k, &[]) {
                a.fill(T::NAN);
                sign.fill(T::NAN);
            } else if !a.is_empty() {
                let odd = lu_of(p, k, &mut columns, &mut rows_in_order).map_err(|failure| (k, failure))?;
                transpose(&columns, rows, a);
                order.iter_mut().zip(&rows_in_order).for_each(|(to, from)| *to = *from as i64);
                sign.fill(if odd { -T::ONE } else { T::ONE });
            }
        }
        Ok(())
    });
    Ok(done.map(|_| ()))
}

/// The factors of matrix `k` by columns.
fn lu_of<T: Real>(
    p: &Problem<'_, T>,
    k: usize,
    columns: &mut [T],
    order: &mut [usize],
) -> Result<bool, Failure> {
    /// Up to so many elements a call of a library would take longer than the work.
    const SMALL: usize = 32 * 32;
    let (a, rows) = (p.matrix(k), p.size.rows);
    transpose(a, p.size.cols, columns);
    if a.len() <= SMALL {
        return Ok(dense::lu(columns, order));
    }
    let odd = (p.routines.lu)(columns, order)?;
    let zero = |k: usize| columns[k * rows + k] == T::default();
    if dense::all_finite(columns) && !(0..rows.min(p.size.cols)).any(zero) {
        return Ok(odd);
    }
    // A library may divide by a pivot that is zero, or so small that its reciprocal overflows.
    transpose(a, p.size.cols, columns);
    Ok(dense::lu(columns, order))
}

/// Numbers whose product is the determinant: by Cholesky, and by LU where that finds no positive definite matrix.
fn pivots<T: Real>(p: &Problem<'_, T>, outputs: Vec<Operand<'_>>, context: &Context<'_>) -> Solved {
    let n = p.size.rows;
    let all = Shared::new(elements_mut::<T>(single(outputs)?.bytes)?, n);
    let done = batch::run(context, p.size.batch, p.work(), |range, _| {
        let (mut m, mut order) = (vec![T::default(); n * n], vec![0; n]);
        for k in range {
            // SAFETY: the ranges of a batch do not overlap.
            let to = unsafe { all.part(k) };
            if p.is_nan(k, &[]) {
                to.fill(T::NAN);
                continue;
            }
            m.copy_from_slice(p.matrix(k));
            // A diagonal that is not positive is told before any work.
            let hopeless = (0..n).any(|i| m[i * n + i] <= T::default());
            let definite = !hopeless && factorize(&mut m, n, p.routines).is_ok();
            let odd = !definite && lu_of(p, k, &mut m, &mut order).map_err(|failure| (k, failure))?;
            for (i, to) in to.iter_mut().enumerate() {
                let d = m[i * n + i];
                *to = if definite { d * d } else { d };
            }
            to.iter_mut().take(usize::from(odd)).for_each(|first| *first = -*first);
        }
        Ok(())
    });
    Ok(done.map(|_| ()))
}

fn cholesky<T: Real>(p: &Problem<'_, T>, outputs: Vec<Operand<'_>>, context: &Context<'_>) -> Solved {
    let n = p.size.rows;
    if n == 0 {
        return Ok(Ok(()));
    }
    let all = Shared::new(elements_fresh::<T>(single(outputs)?.bytes)?, n * n);
    let done = batch::run(context, p.size.batch, p.work(), |range, _| {
        for k in range {
            // SAFETY: the ranges of a batch do not overlap.
            let l = unsafe { all.part(k) };
            if p.is_nan(k, &[]) {
                l.fill(MaybeUninit::new(T::NAN));
            } else {
                let l = lower(p.matrix(k), n, l);
                factorize(l, n, p.routines).map_err(|failure| (k, failure))?;
            }
        }
        Ok(())
    });
    Ok(done.map(|_| ()))
}

fn others<T: Real>(
    p: &Problem<'_, T>,
    outputs: Vec<Operand<'_>>,
    counts: &[usize],
    context: &Context<'_>,
) -> Solved {
    let mut all = Vec::with_capacity(outputs.len());
    for (output, count) in outputs.into_iter().zip(counts) {
        let places = elements_mut::<T>(output.bytes)?;
        // Only of an empty matrix are there factors that nothing else writes.
        if p.size.rows == 0 || p.size.cols == 0 {
            places.fill(T::default());
        }
        all.push(Shared::new(places, *count));
    }
    let done = batch::run(context, p.size.batch, p.work(), |range, _| {
        for k in range {
            // SAFETY: the ranges of a batch do not overlap.
            let part = |all: &Shared<'_, T>| unsafe { &mut *std::ptr::from_mut(all.part(k)) };
            let done = match all.as_slice() {
                [x] => one_matrix(p, k, &mut [part(x)]),
                [x, y] => one_matrix(p, k, &mut [part(x), part(y)]),
                [x, y, z] => one_matrix(p, k, &mut [part(x), part(y), part(z)]),
                _ => Err(Failure::Refused),
            };
            done.map_err(|failure| (k, failure))?;
        }
        Ok(())
    });
    Ok(done.map(|_| ()))
}

/// Factorizes matrix `k`.
fn one_matrix<T: Real>(p: &Problem<'_, T>, k: usize, parts: &mut [&mut [T]]) -> Result<(), Failure> {
    let (rows, cols) = (p.size.rows, p.size.cols);
    let a = p.matrix(k);
    if let (LibOp::Svd { full: true }, [u, _, vh], true) = (p.op, &mut *parts, a.is_empty()) {
        // All of an empty matrix is its null space.
        (0..rows).for_each(|i| u[i * rows + i] = T::ONE);
        (0..cols).for_each(|i| vh[i * cols + i] = T::ONE);
    }
    if a.is_empty() {
        return Ok(());
    }
    let right_side = match (p.op, &*parts) {
        (LibOp::SolveTriangular { .. }, [x]) => p.right_side(k, x.len()),
        _ => &[],
    };
    if p.is_nan(k, right_side) {
        parts.iter_mut().for_each(|part| part.fill(T::NAN));
        return Ok(());
    }
    match (p.op, parts) {
        (LibOp::SolveTriangular { lower }, [x]) => {
            if let Some(zero) = (0..rows).find(|i| a[i * rows + i] == T::default()) {
                return Err(Failure::Diagonal(zero));
            }
            x.copy_from_slice(right_side);
            if !x.is_empty() {
                let triangle = Triangle { a, n: rows, column_major: false, lower: *lower, unit: false };
                (p.routines.solve_triangular)(triangle, x);
            }
            Ok(())
        }
        (LibOp::Qr, [q, r]) => (p.routines.qr)(a, (rows, cols), q, r),
        (LibOp::Svd { .. }, [u, s, vh]) => (p.routines.svd)(a, (rows, cols), s, Some([u, vh])),
        (LibOp::Svdvals, [s]) => (p.routines.svd)(a, (rows, cols), s, None),
        (LibOp::Eigh, [w, v]) => (p.routines.eigh)(a, w, Some(v)),
        (LibOp::Eigvalsh, [w]) => (p.routines.eigh)(a, w, None),
        // The number of outputs was checked before.
        (_, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lib_ops::Bytes;
    use crate::pool::Pool;
    use crate::{AsView, Tensor};
    use matex_ir::{Code, Scalar, Span};
    use matex_lang::codes;

    /// Fails as the only element of its matrix says.
    fn failing(
        a: &[f64],
        _: (usize, usize),
        _: &mut [f64],
        _: Option<[&mut [f64]; 2]>,
    ) -> Result<(), Failure> {
        Err(match a[0] {
            1.0 => Failure::NoConvergence,
            2.0 => Failure::Workspace,
            3.0 => Failure::Memory,
            4.0 => Failure::Cancelled,
            _ => Failure::Refused,
        })
    }

    /// What a program is told when the library fails on that matrix.
    fn told(element: f64) -> RunError {
        let engine = LinalgEngine::current();
        let routines = Routines { svd: failing, ..engine.f64 };
        let a = Tensor::from_scalars(DType::F64, &[1, 1], [Scalar::from_f64(DType::F64, element)]).unwrap();
        let mut place = [0u64];
        // SAFETY: eight bytes for the only result.
        let bytes = Bytes::Filled(unsafe { place.align_to_mut::<u8>().1 });
        let outputs = vec![Operand { dtype: DType::F64, shape: &[1], bytes }];
        let pool = Pool::current(1);
        let context =
            Context { pool, nan_passes: false, warnings: None, cancel: None, origin: Span::new(3, 9) };
        all(&LibOp::Svdvals, &[a.as_view()], outputs, &routines, &context).unwrap_err()
    }

    #[test]
    fn what_no_matrix_makes_a_library_say_has_its_code_too() {
        let code = |element: f64| -> (Code, String) {
            let error = told(element);
            let RunError::Library { code, message, origin } = error else { panic!("{error:?}") };
            assert_eq!(origin, Span::new(3, 9));
            (code, message)
        };
        let (found, message) = code(1.0);
        assert_eq!(
            (found, message.as_str()),
            (codes::NO_CONVERGENCE, "the iteration of svdvals did not converge")
        );
        assert_eq!(code(2.0).0, codes::LIMIT_ELEMENTS);
        assert_eq!(code(3.0).0, codes::OUT_OF_MEMORY);
        assert_eq!(told(4.0), RunError::Cancelled);
        assert!(matches!(told(5.0), RunError::Malformed(_)));
    }
}
