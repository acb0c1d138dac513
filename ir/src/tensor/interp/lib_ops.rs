//! Library routines: sorting here, the elimination and the factorization behind the solvers in `linalg`.

use super::array::each_index;
use super::linalg::{Matrix, solve, solve_least_squares};
use super::reduce::{is_nan, order};
use super::{Array, Machine, ensure, malformed};
use crate::dtype::{DType, Scalar};
use crate::span::{Code, Span};
use crate::tensor::{LibOp, Node, RunError};
use std::cmp::Ordering;

/// "A matrix is singular" in the catalogue of codes.
pub(super) const SINGULAR: Code = Code(702);
/// "NaN or infinity in a matrix" in the catalogue of codes.
const NON_FINITE: Code = Code(704);

impl Machine<'_> {
    pub(super) fn lib(
        &self,
        op: &LibOp,
        node: &Node,
        dtype: DType,
        shape: Vec<usize>,
    ) -> Result<Array, RunError> {
        let x = self.arg(node, 0)?;
        match op {
            LibOp::Sort { axis, descending } => sort(&x, *axis, *descending, |_, value| value),
            LibOp::Argsort { axis, descending } => sort(&x, *axis, *descending, |index, _| index),
            LibOp::SearchSorted { right } => search_sorted(&x, &*self.arg(node, 1)?, *right),
            LibOp::Solve | LibOp::SolveDefinite => {
                self.solve_all(&x, &*self.arg(node, 1)?, dtype, shape, node.origin)
            }
            LibOp::Lstsq => {
                let (b, cut) = (self.arg(node, 1)?, self.arg(node, 2)?);
                let cut = cut.as_scalar().filter(|s| s.dtype().is_float());
                let cut = cut.ok_or_else(|| malformed("a cut that is no scalar float"))?.to_f64();
                self.least_squares(&x, &b, cut, shape, node.origin)
            }
            LibOp::SolveTriangular { .. }
            | LibOp::Lu
            | LibOp::PivotsDefinite
            | LibOp::Cholesky
            | LibOp::Qr
            | LibOp::Svd { .. }
            | LibOp::Svdvals
            | LibOp::Eigh
            | LibOp::Eigvalsh => self.factor(op, node),
        }
    }
}

/// Sorts along an axis; `keep` chooses between the index that an element had, and the element.
fn sort(
    x: &Array,
    axis: usize,
    descending: bool,
    keep: fn(Scalar, Scalar) -> Scalar,
) -> Result<Array, RunError> {
    let extent = x.extent(axis)?;
    let index = |i: usize| Scalar::from_i128(DType::I64, i as i128);
    let dtype = keep(index(0), Scalar::from_i128(x.dtype(), 0)).dtype();
    let mut out = Array::build(dtype, x.shape().to_vec(), |_| Ok(Scalar::from_i128(dtype, 0)))?;
    let mut rows = x.shape().to_vec();
    rows[axis] = usize::from(extent > 0);
    each_index(&rows, |row| {
        let mut at = row.to_vec();
        let mut line = Vec::with_capacity(extent);
        for i in 0..extent {
            at[axis] = i;
            line.push((index(i), x.at(&at)?));
        }
        line.sort_by(|a, b| if descending { order_descending(a.1, b.1) } else { order(a.1, b.1) });
        for (i, (from, value)) in line.into_iter().enumerate() {
            at[axis] = i;
            out.set(&at, keep(from, value))?;
        }
        Ok(())
    })?;
    Ok(out)
}

/// The reverse order, but with NaN still last.
fn order_descending(a: Scalar, b: Scalar) -> Ordering {
    if is_nan(a) || is_nan(b) { order(a, b) } else { order(b, a) }
}

fn search_sorted(sorted: &Array, values: &Array, right: bool) -> Result<Array, RunError> {
    ensure(
        sorted.rank() == 1 && sorted.dtype() == values.dtype(),
        "a search in something that does not fit",
    )?;
    let before = if right { Ordering::is_le } else { Ordering::is_lt };
    Array::build(DType::I64, values.shape().to_vec(), |index| {
        let value = values.at(index)?;
        let place = sorted.data().partition_point(|e| before(order(*e, value)));
        Ok(Scalar::from_i128(DType::I64, place as i128))
    })
}

/// The matrix of the last two axes at an index of those before them.
pub(super) fn matrix(x: &Array, outer: &[usize]) -> Result<Matrix, RunError> {
    let rank = x.rank();
    let mut m = Matrix::zeros(x.extent(rank.wrapping_sub(2))?, x.extent(rank.wrapping_sub(1))?);
    for i in 0..m.rows() {
        for j in 0..m.cols() {
            m[(i, j)] = x.at(&[outer, &[i, j]].concat())?.to_f64();
        }
    }
    Ok(m)
}

/// Refuses elements that are not finite, among those of a row and a column that are read.
pub(super) fn check_finite(
    x: &Array,
    reads: fn(usize, usize) -> bool,
    operand: &str,
    origin: Span,
) -> Result<(), RunError> {
    each_index(x.shape(), |index| {
        let e = x.at(index)?;
        let read = if let [.., row, col] = index { reads(*row, *col) } else { true };
        if e.to_f64().is_finite() || !read {
            return Ok(());
        }
        let message = format!("element {index:?} of the {operand} is {e}");
        Err(RunError::Library { code: NON_FINITE, message, origin })
    })
}

/// Whether all elements that are read are finite.
pub(super) fn is_finite(m: &Matrix, reads: fn(usize, usize) -> bool) -> bool {
    let bad = |i: usize, j: usize| reads(i, j) && !m[(i, j)].is_finite();
    (0..m.rows()).all(|i| (0..m.cols()).all(|j| !bad(i, j)))
}

/// Reads of a matrix that is read whole.
pub(super) fn everywhere(_: usize, _: usize) -> bool {
    true
}

impl Machine<'_> {
    fn check_system(&self, a: &Array, b: &Array, origin: Span) -> Result<(), RunError> {
        if self.limits.nan_passes {
            return Ok(());
        }
        check_finite(a, everywhere, "matrix", origin)?;
        check_finite(b, everywhere, "right-hand side", origin)
    }

    fn solve_all(
        &self,
        a: &Array,
        b: &Array,
        dtype: DType,
        shape: Vec<usize>,
        origin: Span,
    ) -> Result<Array, RunError> {
        let rank = a.rank();
        let fits = rank >= 2
            && b.rank() == rank
            && a.shape()[..rank - 1] == b.shape()[..rank - 1]
            && a.shape()[rank - 2] == a.shape()[rank - 1]
            && b.shape() == shape;
        ensure(fits && dtype.is_float(), "a system whose shapes do not fit")?;
        self.check_system(a, b, origin)?;
        let mut out = b.clone();
        each_index(&a.shape()[..rank - 2], |outer| {
            let (a, b) = (matrix(a, outer)?, matrix(b, outer)?);
            if !is_finite(&a, everywhere) || !is_finite(&b, everywhere) {
                return store(&mut out, outer, &Matrix::nan(b.rows(), b.cols()));
            }
            let x = solve(a, b).map_err(|pivot| RunError::Library {
                code: SINGULAR,
                message: format!("the matrix is singular: pivot {pivot} is zero"),
                origin,
            })?;
            store(&mut out, outer, &x)
        })?;
        Ok(out)
    }

    fn least_squares(
        &self,
        a: &Array,
        b: &Array,
        cut: f64,
        shape: Vec<usize>,
        origin: Span,
    ) -> Result<Array, RunError> {
        let fits = a.rank() == 2 && b.rank() == 2 && a.shape()[0] == b.shape()[0];
        ensure(fits && shape == [a.shape()[1], b.shape()[1]], "a system whose shapes do not fit")?;
        let dtype = a.dtype();
        ensure(dtype.is_float() && dtype == b.dtype(), "a system whose dtypes do not fit")?;
        self.check_system(a, b, origin)?;
        // NaN, like a negative number, asks for the default, which also takes what rounding leaves of a column for nothing.
        let given = cut >= 0.0;
        let longer = a.shape()[0].max(a.shape()[1]) as f64;
        let eps = if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let (cut, rounding) = if given { (cut, 0.0) } else { (epsilon(dtype), longer * eps) };
        let mut out = Array::build(dtype, shape, |_| Ok(Scalar::from_f64(dtype, 0.0)))?;
        if out.data().is_empty() {
            return Ok(out);
        }
        let (a, b) = (matrix(a, &[])?, matrix(b, &[])?);
        let x = if is_finite(&a, everywhere) && is_finite(&b, everywhere) {
            solve_least_squares(a, b, cut, rounding)
        } else {
            Matrix::nan(a.cols(), b.cols())
        };
        store(&mut out, &[], &x)?;
        Ok(out)
    }
}

fn store(out: &mut Array, outer: &[usize], x: &Matrix) -> Result<(), RunError> {
    for i in 0..x.rows() {
        for j in 0..x.cols() {
            out.set(&[outer, &[i, j]].concat(), Scalar::from_f64(out.dtype(), x[(i, j)]))?;
        }
    }
    Ok(())
}

/// The distance from 1 to the next number of a float dtype.
fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        DType::F32 => f64::from(f32::EPSILON),
        DType::F64
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::Bool => f64::EPSILON,
    }
}
