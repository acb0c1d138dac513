//! Factorizations: batches, checks and errors around the routines on one matrix.

use super::array::each_index;
use super::elimination::{cholesky, lu, solve_triangular};
use super::jacobi::{eigh, svd};
use super::lib_ops::{check_finite, everywhere, is_finite, matrix};
use super::linalg::Matrix;
use super::orthogonal::qr;
use super::{Array, Machine, ensure, malformed};
use crate::dtype::Scalar;
use crate::span::{Code, Span};
use crate::tensor::{LibOp, Node, RunError, TensorType, Type};

/// "A matrix is not positive definite" in the catalogue of codes.
const NOT_POSITIVE_DEFINITE: Code = Code(703);
/// "An iteration did not converge" in the catalogue of codes.
const NO_CONVERGENCE: Code = Code(705);
/// "A triangular matrix is singular" in the catalogue of codes.
const SINGULAR_TRIANGULAR: Code = Code(706);

impl Machine<'_> {
    /// A factorization that gives one tensor.
    pub(super) fn factor(&self, op: &LibOp, node: &Node) -> Result<Array, RunError> {
        let Type::Tensor(ty) = &node.ty else { return Err(malformed("a factor that is a tuple")) };
        let mut factors = self.factors(op, node, std::slice::from_ref(ty))?;
        factors.pop().ok_or_else(|| malformed("a factorization without factors"))
    }

    /// A factorization, for every matrix of the batch.
    pub(super) fn factors(
        &self,
        op: &LibOp,
        node: &Node,
        types: &[TensorType],
    ) -> Result<Vec<Array>, RunError> {
        let a = self.arg(node, 0)?;
        let batch = a.rank().checked_sub(2).ok_or_else(|| malformed("a factorization of no matrix"))?;
        let square = a.shape()[batch] == a.shape()[batch + 1];
        ensure(square || !op.wants_square(), "a matrix that is not square")?;
        let (checks, reads) = (!self.limits.nan_passes, reads(op));
        if checks {
            check_finite(&a, reads, "matrix", node.origin)?;
        }
        let system = matches!(op, LibOp::SolveTriangular { .. });
        let b = if system { Some(self.arg(node, 1)?) } else { None };
        if let Some(b) = &b {
            let fits = b.rank() == a.rank() && b.shape()[..=batch] == a.shape()[..=batch];
            ensure(fits, "a right-hand side that does not fit")?;
            if checks {
                check_finite(b, everywhere, "right-hand side", node.origin)?;
            }
        }
        let shapes: Vec<Vec<usize>> =
            types.iter().map(|ty| self.result_shape(ty, node)).collect::<Result<_, RunError>>()?;
        let mut data: Vec<Vec<Scalar>> = vec![Vec::new(); types.len()];
        each_index(&a.shape()[..batch], |outer| {
            let b = b.as_ref().map(|b| matrix(b, outer)).transpose()?;
            let a = matrix(&a, outer)?;
            let finite = is_finite(&a, reads) && b.as_ref().is_none_or(|b| is_finite(b, everywhere));
            if !finite {
                for (k, ty) in types.iter().enumerate() {
                    data[k].extend(not_a_number(ty, &shapes[k], batch));
                }
                return Ok(());
            }
            let parts = parts(op, a, b, node.origin)?;
            ensure(parts.len() == types.len(), "a factorization with other factors")?;
            for ((part, ty), data) in parts.iter().zip(types).zip(&mut data) {
                data.extend(part.iter().map(|v| Scalar::from_f64(ty.dtype, *v)));
            }
            Ok(())
        })?;
        let arrays = types.iter().zip(shapes).zip(data);
        let arrays = arrays.map(|((ty, shape), data)| Array::new(ty.dtype, shape, data));
        arrays.collect::<Option<_>>().ok_or_else(|| malformed("a factor that differs from its type"))
    }
}

/// What a factorization reads of its first operand.
fn reads(op: &LibOp) -> fn(usize, usize) -> bool {
    match op {
        LibOp::Cholesky | LibOp::Eigh | LibOp::Eigvalsh | LibOp::SolveTriangular { lower: true } => {
            |row, col| col <= row
        }
        LibOp::SolveTriangular { lower: false } => |row, col| row <= col,
        LibOp::Sort { .. }
        | LibOp::Argsort { .. }
        | LibOp::SearchSorted { .. }
        | LibOp::Solve
        | LibOp::SolveDefinite
        | LibOp::Lstsq
        | LibOp::Lu
        | LibOp::PivotsDefinite
        | LibOp::Qr
        | LibOp::Svd { .. }
        | LibOp::Svdvals => everywhere,
    }
}

/// The factor of one matrix that is not finite: NaN, and rows in their order.
fn not_a_number(ty: &TensorType, shape: &[usize], batch: usize) -> Vec<Scalar> {
    let count = shape.get(batch..).unwrap_or_default().iter().product();
    let one = |i: usize| {
        if ty.dtype.is_float() {
            Scalar::from_f64(ty.dtype, f64::NAN)
        } else {
            Scalar::from_i128(ty.dtype, i as i128)
        }
    };
    (0..count).map(one).collect()
}

/// The factors of one matrix, each in row-major order.
fn parts(op: &LibOp, a: Matrix, b: Option<Matrix>, origin: Span) -> Result<Vec<Vec<f64>>, RunError> {
    let fail = |code: Code, message: String| RunError::Library { code, message, origin };
    let diverged = || fail(NO_CONVERGENCE, format!("the iteration of {} did not converge", op.name()));
    Ok(match op {
        LibOp::SolveTriangular { lower } => {
            let b = b.ok_or_else(|| malformed("a system without a right-hand side"))?;
            let x = solve_triangular(&a, b, *lower).map_err(|i| {
                let message =
                    format!("the triangular matrix is singular: element {i} of its diagonal is zero");
                fail(SINGULAR_TRIANGULAR, message)
            })?;
            vec![x.into_data()]
        }
        LibOp::Lu => {
            let (factors, order, odd) = lu(a);
            let order = order.into_iter().map(|i| i as f64).collect();
            vec![factors.into_data(), order, vec![if odd { -1.0 } else { 1.0 }]]
        }
        LibOp::PivotsDefinite => {
            let (factors, _, odd) = lu(a);
            let mut pivots: Vec<f64> = (0..factors.rows()).map(|i| factors[(i, i)]).collect();
            pivots.iter_mut().take(usize::from(odd)).for_each(|first| *first = -*first);
            vec![pivots]
        }
        LibOp::Cholesky => {
            let l = cholesky(&a).map_err(|order| {
                let message = format!(
                    "the matrix is not positive definite: its leading minor of order {order} is not positive"
                );
                fail(NOT_POSITIVE_DEFINITE, message)
            })?;
            vec![l.into_data()]
        }
        LibOp::Qr => {
            let (q, r) = qr(a);
            vec![q.into_data(), r.into_data()]
        }
        LibOp::Svd { full } => {
            let (u, s, v) = svd(a, *full).ok_or_else(diverged)?;
            vec![u.into_data(), s, v.transposed().into_data()]
        }
        LibOp::Svdvals => vec![svd(a, false).ok_or_else(diverged)?.1],
        LibOp::Eigh => {
            let (w, v) = eigh(a).ok_or_else(diverged)?;
            vec![w, v.into_data()]
        }
        LibOp::Eigvalsh => vec![eigh(a).ok_or_else(diverged)?.0],
        LibOp::Sort { .. }
        | LibOp::Argsort { .. }
        | LibOp::SearchSorted { .. }
        | LibOp::Solve
        | LibOp::SolveDefinite
        | LibOp::Lstsq => return Err(malformed("no factorization")),
    })
}
