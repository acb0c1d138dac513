//! Writes at places that data tells, in the order of the data: the last of duplicates wins, or all add.

use super::{Number, Operand, elements, elements_mut, ensure, with_number};
use crate::View;
use matex_ir::tensor::RunError;
use matex_ir::{DType, Span};

/// `out[.., index[.., j, ..], ..]` becomes, or grows by, `src[.., j, ..]`.
pub(super) fn scatter(
    index: &View<'_>,
    src: &View<'_>,
    axis: usize,
    add: bool,
    out: Operand<'_>,
    origin: Span,
) -> Result<(), RunError> {
    let alike = |(i, (a, b)): (usize, (&usize, &usize))| i == axis || a == b;
    let fits = index.shape() == src.shape()
        && out.shape.len() == index.rank()
        && axis < out.shape.len()
        && out.shape.iter().zip(index.shape()).enumerate().all(alike)
        && out.dtype == src.dtype()
        && index.dtype().is_int()
        && !(add && out.dtype == DType::Bool);
    ensure(fits, "a scatter of something that does not fit")?;
    let inner: usize = out.shape[axis + 1..].iter().product();
    let (count, extent) = (index.shape()[axis], out.shape[axis]);
    let places = index.scalars().enumerate().map(|(i, given)| {
        let (outer, rest) = (i / (count * inner).max(1), i % inner.max(1));
        let given = given.to_i128();
        let found = if given < 0 { given + extent as i128 } else { given };
        if !(0..extent as i128).contains(&found) {
            let index = i64::try_from(given).unwrap_or(i64::MAX);
            return Err(RunError::IndexOutOfRange { axis, index, extent, origin });
        }
        Ok((outer * extent + found as usize) * inner + rest)
    });
    with_number!(out.dtype, T => {
        let (from, to) = (elements::<T>(src)?, elements_mut::<T>(out.bytes)?);
        for (place, value) in places.zip(from) {
            let place = &mut to[place?];
            *place = if add { place.add(*value) } else { *value };
        }
        Ok(())
    })
}
