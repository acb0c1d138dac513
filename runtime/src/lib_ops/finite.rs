//! NaN and infinities, which are found before a library sees them: LAPACK answers them with silence.

use super::dense::{Real, all_finite};
use super::{elements, malformed};
use crate::View;
use matex_ir::tensor::{LibOp, RunError};
use matex_ir::{DType, Span};
use matex_lang::codes;

/// The part of a matrix that a routine reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// On and below the diagonal.
    Lower,
    /// On and above the diagonal.
    Upper,
}

impl Part {
    /// What a routine reads of its first operand.
    pub(super) fn of(op: &LibOp) -> Part {
        match op {
            LibOp::Cholesky | LibOp::Eigh | LibOp::Eigvalsh | LibOp::SolveTriangular { lower: true } => {
                Part::Lower
            }
            LibOp::SolveTriangular { lower: false } => Part::Upper,
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
            | LibOp::Svdvals => Part::All,
        }
    }

    fn has(self, row: usize, col: usize) -> bool {
        match self {
            Part::All => true,
            Part::Lower => col <= row,
            Part::Upper => row <= col,
        }
    }
}

/// Whether all that is read of row-major matrices of rows of that length is finite.
pub(super) fn is_finite<T: Real>(a: &[T], size: (usize, usize), part: Part) -> bool {
    let (rows, cols) = size;
    let read = |(place, e): (usize, &T)| {
        let (row, col) = ((place / cols) % rows, place % cols);
        !part.has(row, col) || e.wide().is_finite()
    };
    all_finite(a) || (part != Part::All && a.iter().enumerate().all(read))
}

/// Refuses an operand that is not finite, and names it and the place.
pub(super) fn check(x: &View<'_>, part: Part, operand: &str, origin: Span) -> Result<(), RunError> {
    let quick = match x.dtype() {
        DType::F64 => all_finite(elements::<f64>(x)?),
        DType::F32 => all_finite(elements::<f32>(x)?),
        DType::F16 | DType::BF16 => false,
        DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::Bool => return Err(malformed("linear algebra of no floats")),
    };
    if quick {
        return Ok(());
    }
    let index = |mut place: usize| {
        let mut index: Vec<usize> = Vec::new();
        for extent in x.shape().iter().rev() {
            index.push(place % extent);
            place /= extent;
        }
        index.reverse();
        index
    };
    for (place, e) in x.scalars().enumerate().filter(|(_, e)| !e.to_f64().is_finite()) {
        let index = index(place);
        if let [.., row, col] = index.as_slice()
            && !part.has(*row, *col)
        {
            continue;
        }
        let message = format!("element {index:?} of the {operand} is {e}");
        return Err(RunError::Library { code: codes::NON_FINITE_INPUT, message, origin });
    }
    Ok(())
}
