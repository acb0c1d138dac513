//! Sorting along an axis: stable, NaN last in both directions.

use super::{Lines, Number, Operand, elements, elements_mut, ensure, with_number};
use crate::View;
use matex_ir::DType;
use matex_ir::tensor::RunError;
use std::cmp::Ordering;

pub(super) fn sort(x: &View<'_>, axis: usize, descending: bool, out: Operand<'_>) -> Result<(), RunError> {
    ensure(out.dtype == x.dtype() && out.shape == x.shape(), "a sort into something else")?;
    let lines = Lines::new(x.shape(), axis)?;
    with_number!(x.dtype(), T => {
        let (from, to) = (elements::<T>(x)?, elements_mut::<T>(out.bytes)?);
        let mut line = Vec::with_capacity(lines.extent);
        for start in lines.starts() {
            line.clear();
            line.extend((0..lines.extent).map(|i| from[start + i * lines.inner]));
            line.sort_by(|a, b| order(*a, *b, descending));
            for (i, v) in line.iter().enumerate() {
                to[start + i * lines.inner] = *v;
            }
        }
        Ok(())
    })
}

pub(super) fn argsort(x: &View<'_>, axis: usize, descending: bool, out: Operand<'_>) -> Result<(), RunError> {
    ensure(out.dtype == DType::I64 && out.shape == x.shape(), "an argsort into something else")?;
    let lines = Lines::new(x.shape(), axis)?;
    let to = elements_mut::<i64>(out.bytes)?;
    with_number!(x.dtype(), T => {
        let from = elements::<T>(x)?;
        let mut line: Vec<(T, i64)> = Vec::with_capacity(lines.extent);
        for start in lines.starts() {
            line.clear();
            line.extend((0..lines.extent).map(|i| (from[start + i * lines.inner], i as i64)));
            line.sort_by(|a, b| order(a.0, b.0, descending));
            for (i, (_, index)) in line.iter().enumerate() {
                to[start + i * lines.inner] = *index;
            }
        }
        Ok(())
    })
}

fn order<T: Number>(a: T, b: T, descending: bool) -> Ordering {
    if descending && !a.is_nan() && !b.is_nan() { b.order(a) } else { a.order(b) }
}
