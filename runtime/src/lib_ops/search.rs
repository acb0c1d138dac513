//! Binary search in a sorted vector.

use super::{Number, Operand, elements, elements_mut, ensure, with_number};
use crate::View;
use matex_ir::DType;
use matex_ir::tensor::RunError;
use std::cmp::Ordering;

/// For each value the position at which it keeps `sorted` sorted; NaN counts as the largest.
pub(super) fn search_sorted(
    sorted: &View<'_>,
    values: &View<'_>,
    right: bool,
    out: Operand<'_>,
) -> Result<(), RunError> {
    let fits = sorted.rank() == 1
        && sorted.dtype() == values.dtype()
        && out.dtype == DType::I64
        && out.shape == values.shape();
    ensure(fits, "a search in something that does not fit")?;
    let before = if right { Ordering::is_le } else { Ordering::is_lt };
    let to = elements_mut::<i64>(out.bytes)?;
    with_number!(values.dtype(), T => {
        let (sorted, values) = (elements::<T>(sorted)?, elements::<T>(values)?);
        for (to, value) in to.iter_mut().zip(values) {
            *to = sorted.partition_point(|e| before(e.order(*value))) as i64;
        }
        Ok(())
    })
}
