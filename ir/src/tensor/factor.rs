//! The types of what factorizations give: one rule for the builder, the verifier and whoever makes such a node.

use super::{LibOp, TensorType};
use crate::dim::Dim;
use crate::dtype::DType;

impl LibOp {
    /// The name of the function of the language that this is.
    pub fn name(&self) -> &'static str {
        match self {
            LibOp::Sort { .. } => "sort",
            LibOp::Argsort { .. } => "argsort",
            LibOp::SearchSorted { .. } => "searchsorted",
            LibOp::Solve => "solve",
            LibOp::SolveDefinite => "solve_definite",
            LibOp::Lstsq => "lstsq",
            LibOp::SolveTriangular { .. } => "solve_triangular",
            LibOp::Lu => "lu",
            LibOp::PivotsDefinite => "pivots_definite",
            LibOp::Cholesky => "cholesky",
            LibOp::Qr => "qr",
            LibOp::Svd { .. } => "svd",
            LibOp::Svdvals => "svdvals",
            LibOp::Eigh => "eigh",
            LibOp::Eigvalsh => "eigvalsh",
        }
    }

    /// Whether its value is a tuple.
    pub fn gives_tuple(&self) -> bool {
        match self {
            LibOp::Lu | LibOp::Qr | LibOp::Svd { .. } | LibOp::Eigh => true,
            LibOp::Sort { .. }
            | LibOp::Argsort { .. }
            | LibOp::SearchSorted { .. }
            | LibOp::Solve
            | LibOp::SolveDefinite
            | LibOp::Lstsq
            | LibOp::SolveTriangular { .. }
            | LibOp::PivotsDefinite
            | LibOp::Cholesky
            | LibOp::Svdvals
            | LibOp::Eigvalsh => false,
        }
    }

    /// Whether the last two axes of its first operand must be equal.
    pub fn wants_square(&self) -> bool {
        match self {
            LibOp::Solve
            | LibOp::SolveDefinite
            | LibOp::SolveTriangular { .. }
            | LibOp::PivotsDefinite
            | LibOp::Cholesky
            | LibOp::Eigh
            | LibOp::Eigvalsh => true,
            LibOp::Sort { .. }
            | LibOp::Argsort { .. }
            | LibOp::SearchSorted { .. }
            | LibOp::Lstsq
            | LibOp::Lu
            | LibOp::Qr
            | LibOp::Svd { .. }
            | LibOp::Svdvals => false,
        }
    }

    /// The types that a factorization, or a triangular solver, gives for operands of these types; `None` for another
    /// operation, and when the operands are too few or the first one is no matrix or batch of them.
    pub fn factors(&self, args: &[&TensorType]) -> Option<Vec<TensorType>> {
        let a = *args.first()?;
        let rank = a.rank().checked_sub(2)?;
        let (batch, rows, cols) = (&a.shape[..rank], &a.shape[rank], &a.shape[rank + 1]);
        let small = rows.smaller(cols);
        let of = |dtype: DType, last: &[&Dim]| {
            let shape = batch.iter().chain(last.iter().copied()).cloned().collect();
            TensorType::new(dtype, shape)
        };
        let t = a.dtype;
        let values = of(t, &[&small]);
        Some(match self {
            LibOp::SolveTriangular { .. } => vec![(*args.get(1)?).clone()],
            LibOp::Lu => vec![a.clone(), of(DType::I64, &[rows]), of(t, &[])],
            LibOp::PivotsDefinite => vec![of(t, &[rows])],
            LibOp::Cholesky => vec![a.clone()],
            LibOp::Qr => vec![of(t, &[rows, &small]), of(t, &[&small, cols])],
            LibOp::Svd { full: true } => vec![of(t, &[rows, rows]), values, of(t, &[cols, cols])],
            LibOp::Svd { full: false } => vec![of(t, &[rows, &small]), values, of(t, &[&small, cols])],
            LibOp::Svdvals => vec![values],
            LibOp::Eigh => vec![of(t, &[rows]), a.clone()],
            LibOp::Eigvalsh => vec![of(t, &[rows])],
            LibOp::Sort { .. }
            | LibOp::Argsort { .. }
            | LibOp::SearchSorted { .. }
            | LibOp::Solve
            | LibOp::SolveDefinite
            | LibOp::Lstsq => return None,
        })
    }
}
