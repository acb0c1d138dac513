//! Inverses by faer, from factors.

use super::{Real, columns, workspace};
use crate::lib_ops::engine::Failure;
use faer::dyn_stack::MemStack;
use faer::linalg::lu::partial_pivoting::inverse as lu_inverse;
use faer::linalg::matmul::triangular::{self as triangular_matmul, BlockStructure};
use faer::linalg::triangular_inverse::invert_upper_triangular;
use faer::perm::PermRef;
use faer::{Accum, MatRef, Par};

pub(super) fn general<T: Real>(lu: &[T], order: &[usize], inverse: &mut [T]) -> Result<(), Failure> {
    let n = order.len();
    let mut places = vec![0usize; n];
    order.iter().enumerate().for_each(|(i, from)| places[*from] = i);
    let mut space = workspace(lu_inverse::inverse_scratch::<usize, T>(n, Par::Seq))?;
    let m = MatRef::from_column_major_slice(lu, n, n);
    let order = PermRef::new_checked(order, &places, n);
    lu_inverse::inverse(columns(inverse, n), m, m, order, Par::Seq, MemStack::new(&mut space));
    Ok(())
}

/// The lower factor by rows is an upper one by columns, `u`, and the inverse is that of `u` times its transpose. faer's own wants the lower
/// one by columns.
pub(super) fn definite<T: Real>(l: &[T], n: usize, inverse: &mut [T]) -> Result<(), Failure> {
    use BlockStructure::{TriangularLower, TriangularUpper};
    let mut memory = Vec::new();
    memory.try_reserve_exact(n * n).map_err(|_| Failure::Memory)?;
    memory.resize(n * n, T::default());
    let mut of_u = columns(&mut memory, n);
    invert_upper_triangular(of_u.as_mut(), MatRef::from_column_major_slice(l, n, n), Par::Seq);
    // The upper triangle by columns is the lower one by rows.
    let (to, of_u) = (columns(inverse, n), of_u.as_ref());
    let (structure, by) = (TriangularUpper, of_u.transpose());
    triangular_matmul::matmul(
        to,
        structure,
        Accum::Replace,
        of_u,
        TriangularUpper,
        by,
        TriangularLower,
        T::ONE,
        Par::Seq,
    );
    Ok(())
}
