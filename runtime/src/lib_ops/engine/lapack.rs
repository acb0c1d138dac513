//! The filling of the table by LAPACK, through its Fortran symbols.
//!
//! A row-major matrix is handed over as the column-major one of its transpose wherever the routine has a form for that:
//! LQ in place of QR, and singular vectors of the other side; symmetric matrices are turned around instead. Workspaces
//! are of the size that the routine asks for.

mod symbols;

use super::Failure;
use crate::lib_ops::transpose::{transpose, transpose_square};
use std::ffi::{c_char, c_int};
pub(super) use symbols::Lapack;

const LOWER: c_char = b'L' as c_char;

fn int(n: usize) -> Result<c_int, Failure> {
    c_int::try_from(n).map_err(|_| Failure::Workspace)
}

/// What a routine says: positive numbers are its own, a negative one is a bug of ours.
fn checked(info: c_int) -> Result<usize, Failure> {
    usize::try_from(info).map_err(|_| Failure::Refused)
}

/// Calls a routine twice: for the size of its workspace, and with one of that size.
fn with_workspace<T: Lapack>(mut call: impl FnMut(*mut T, c_int) -> c_int) -> Result<usize, Failure> {
    let mut size = [T::default()];
    checked(call(size.as_mut_ptr(), -1))?;
    // f32 cannot hold every size: a little more than what it says is enough.
    let size = (size[0].wide() * (1.0 + 2.0 * f64::from(f32::EPSILON))).ceil();
    if !(0.0..=f64::from(c_int::MAX)).contains(&size) {
        return Err(Failure::Workspace);
    }
    let mut space = zeros::<T>((size as usize).max(1))?;
    checked(call(space.as_mut_ptr(), int(space.len())?))
}

fn zeros<T: Default + Clone>(n: usize) -> Result<Vec<T>, Failure> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| Failure::Memory)?;
    v.resize(n, T::default());
    Ok(v)
}

pub(super) fn lu<T: Lapack>(m: &mut [T], order: &mut [usize]) -> Result<bool, Failure> {
    let rows = order.len();
    let cols = m.len() / rows;
    let mut swaps = zeros::<c_int>(rows.min(cols))?;
    let (m_rows, m_cols, mut info) = (int(rows)?, int(cols)?, 0);
    // SAFETY: `m` holds rows x cols elements and `swaps` as many numbers as there are pivots.
    unsafe { T::GETRF(&m_rows, &m_cols, m.as_mut_ptr(), &m_rows, swaps.as_mut_ptr(), &mut info) };
    checked(info)?;
    order.iter_mut().enumerate().for_each(|(i, to)| *to = i);
    let mut odd = false;
    for (k, with) in swaps.iter().enumerate() {
        let with = usize::try_from(*with - 1).map_err(|_| Failure::Refused)?;
        if with != k && with < rows {
            order.swap(k, with);
            odd = !odd;
        }
    }
    Ok(odd)
}

pub(super) fn inverse<T: Lapack>(lu: &[T], order: &[usize], inverse: &mut [T]) -> Result<(), Failure> {
    let swaps = swaps(order)?;
    inverse.copy_from_slice(lu);
    let (n, mut info) = (int(order.len())?, 0);
    let (at, swaps) = (inverse.as_mut_ptr(), swaps.as_ptr());
    let pivot = with_workspace(|space, size| {
        // SAFETY: the matrix is n x n, there is a number for each row, and the workspace is of that size.
        unsafe { T::GETRI(&n, at, &n, swaps, space, &size, &mut info) };
        info
    })?;
    if pivot == 0 { Ok(()) } else { Err(Failure::Pivot(pivot - 1)) }
}

/// The exchanges, one for each row, counted from 1, that bring rows into an order.
fn swaps(order: &[usize]) -> Result<Vec<c_int>, Failure> {
    let mut swaps = zeros::<c_int>(order.len())?;
    // Which row stands where, and where each row is.
    let mut rows: Vec<usize> = (0..order.len()).collect();
    let mut places = rows.clone();
    for (k, row) in order.iter().enumerate() {
        let (from, other) = (places[*row], rows[k]);
        swaps[k] = int(from + 1)?;
        rows.swap(k, from);
        (places[other], places[*row]) = (from, k);
    }
    Ok(swaps)
}

pub(super) fn inverse_definite<T: Lapack>(l: &[T], n: usize, inverse: &mut [T]) -> Result<(), Failure> {
    inverse.copy_from_slice(l);
    let (size, mut info, upper) = (int(n)?, 0, b'U' as c_char);
    // SAFETY: `inverse` holds n x n elements. The lower triangle by rows is the upper one by columns.
    unsafe { T::POTRI(&upper, &size, inverse.as_mut_ptr(), &size, &mut info) };
    match checked(info)? {
        0 => Ok(()),
        order => Err(Failure::Minor(order)),
    }
}

pub(super) fn qr<T: Lapack>(
    a: &[T],
    (rows, cols): (usize, usize),
    q: &mut [T],
    r: &mut [T],
) -> Result<(), Failure> {
    let small = rows.min(cols);
    let (m, n, k) = (int(cols)?, int(rows)?, int(small)?);
    let (mut factors, mut tau) = (zeros::<T>(a.len())?, zeros::<T>(small)?);
    factors.copy_from_slice(a);
    let (at, tau) = (factors.as_mut_ptr(), tau.as_mut_ptr());
    let mut info = 0;
    with_workspace(|space, size| {
        // SAFETY: the transpose is cols x rows by columns, `tau` has a place for each reflection, and the workspace is
        // of that size.
        unsafe { T::GELQF(&m, &n, at, &m, tau, space, &size, &mut info) };
        info
    })?;
    for (i, r) in r.chunks_exact_mut(cols).enumerate() {
        r[..i.min(cols)].fill(T::default());
        r[i.min(cols)..].copy_from_slice(&factors[i * cols + i.min(cols)..(i + 1) * cols]);
    }
    let at = factors.as_mut_ptr();
    with_workspace(|space, size| {
        // SAFETY: as above; the reflections stand in the leading k of the cols rows.
        unsafe { T::ORGLQ(&k, &n, &k, at, &m, tau, space, &size, &mut info) };
        info
    })?;
    for (q, row) in q.chunks_exact_mut(small).zip(factors.chunks_exact(cols)) {
        q.copy_from_slice(&row[..small]);
    }
    Ok(())
}

pub(super) fn svd<T: Lapack>(
    a: &[T],
    (rows, cols): (usize, usize),
    s: &mut [T],
    vectors: Option<[&mut [T]; 2]>,
) -> Result<(), Failure> {
    let small = rows.min(cols);
    // The size of the workspace, which the routine itself counts in a C int; without vectors it is no square.
    let need = small as u128 * (4 * small as u128 + 7) + rows.max(cols) as u128;
    if vectors.is_some() && need > c_int::MAX as u128 {
        return Err(Failure::Workspace);
    }
    let mut factors = zeros::<T>(a.len())?;
    factors.copy_from_slice(a);
    let mut whole = zeros::<c_int>(8 * small)?;
    let (mut none, mut neither) = ([T::default()], [T::default()]);
    let (job, [u, vh]) = match vectors {
        None => (b'N', [&mut none[..], &mut neither[..]]),
        Some([u, vh]) if u.len() == rows * rows && vh.len() == cols * cols => (b'A', [u, vh]),
        Some(thin) => (b'S', thin),
    };
    let width = u.len() / rows;
    // The transpose's left vectors are the right ones, and the other way round.
    let (m, n) = (int(cols)?, int(rows)?);
    let (ldu, ldvt) = (m, int(width.max(1))?);
    let (at, values) = (factors.as_mut_ptr(), s.as_mut_ptr());
    let (left, right, whole) = (vh.as_mut_ptr(), u.as_mut_ptr(), whole.as_mut_ptr());
    let (job, mut info) = (job as c_char, 0);
    let found = with_workspace(|space, size| {
        // SAFETY: the transpose is cols x rows by columns; `s` has a place for each value, and the vectors have the
        // memory that `job` asks for, or none is touched; the whole numbers are 8 for each value, and the workspace is of
        // that size.
        unsafe {
            T::GESDD(&job, &m, &n, at, &m, values, left, &ldu, right, &ldvt, space, &size, whole, &mut info);
        }
        info
    })?;
    if found == 0 { Ok(()) } else { Err(Failure::NoConvergence) }
}

pub(super) fn eigh<T: Lapack>(a: &[T], w: &mut [T], v: Option<&mut [T]>) -> Result<(), Failure> {
    let n = w.len();
    let need = 1 + 6 * n as u128 + 2 * (n as u128) * (n as u128);
    let need_vectors = v.is_some();
    if need_vectors && need > c_int::MAX as u128 {
        return Err(Failure::Workspace);
    }
    let mut own = zeros::<T>(if v.is_some() { 0 } else { n * n })?;
    let mut vectors = v;
    let m = vectors.as_deref_mut().unwrap_or(&mut own);
    // The lower triangle by rows is to be that by columns.
    transpose(a, n, m);
    let mut whole = zeros::<c_int>(5 * n + 3)?;
    let (size, whole_size, mut info) = (int(n)?, int(5 * n + 3)?, 0);
    let job = if need_vectors { b'V' } else { b'N' } as c_char;
    let (at, values, whole) = (m.as_mut_ptr(), w.as_mut_ptr(), whole.as_mut_ptr());
    let found = with_workspace(|space, length| {
        // SAFETY: the matrix is n x n, `w` has n places, and the workspaces are of the sizes that are given.
        unsafe {
            T::SYEVD(&job, &LOWER, &size, at, &size, values, space, &length, whole, &whole_size, &mut info);
        }
        info
    })?;
    if found > 0 {
        return Err(Failure::NoConvergence);
    }
    if let Some(v) = vectors {
        transpose_square(v, n);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspaces_that_no_int_counts_are_refused() {
        // Before anything is read or written.
        let vectors = [&mut [][..], &mut []];
        assert_eq!(svd::<f64>(&[], (23_200, 23_200), &mut [], Some(vectors)), Err(Failure::Workspace));
        assert_eq!(eigh::<f64>(&[], &mut vec![0.0; 32_800], Some(&mut [])), Err(Failure::Workspace));
        assert_eq!(int(1 << 31), Err(Failure::Workspace));
    }

    #[test]
    fn exchanges_make_the_order() {
        for order in [vec![], vec![0], vec![1, 0], vec![2, 0, 3, 1], vec![3, 2, 1, 0], vec![0, 3, 1, 4, 2]] {
            let mut rows: Vec<usize> = (0..order.len()).collect();
            for (k, with) in swaps(&order).unwrap().into_iter().enumerate() {
                assert!(with as usize > k, "{order:?}");
                rows.swap(k, with as usize - 1);
            }
            assert_eq!(rows, order);
        }
    }
}
