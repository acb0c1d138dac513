//! Binary search in a sorted vector.

use super::{Number, Operand, elements, elements_mut, ensure, with_number};
use crate::View;
use matex_ir::DType;
use matex_ir::tensor::RunError;

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
    let to = elements_mut::<i64>(out.bytes)?;
    with_number!(values.dtype(), T => {
        let (sorted, values) = (elements::<T>(sorted)?, elements::<T>(values)?);
        for (to, value) in to.iter_mut().zip(values) {
            let key = value.key(false);
            let before = |e: &T| if right { e.key(false) <= key } else { e.key(false) < key };
            *to = sorted.partition_point(before) as i64;
        }
        Ok(())
    })
}
