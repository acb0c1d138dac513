//! Arithmetic on shapes and strides, checked against overflow.
//!
//! Strides and offsets are counted in elements. Once [`check`] accepted a layout, no offset of it overflows.

use super::TensorError;
use matex_ir::DType;
use smallvec::SmallVec;

/// The extents of a tensor's axes; four fit without an allocation.
pub type Dims = SmallVec<[usize; 4]>;

/// The steps of a tensor's axes, in elements; 0 repeats an element, a negative step runs backwards.
pub type Strides = SmallVec<[isize; 4]>;

/// The most axes that a tensor may have, as in NumPy.
pub const MAX_RANK: usize = 64;

/// The number of elements of a shape. The product of the extents that are not 0 must fit too, so that strides do.
pub(super) fn element_count(shape: &[usize]) -> Result<usize, TensorError> {
    if shape.len() > MAX_RANK {
        return Err(TensorError::TooManyAxes { rank: shape.len() });
    }
    let product = shape
        .iter()
        .filter(|&&extent| extent != 0)
        .try_fold(1usize, |product, &extent| product.checked_mul(extent))
        .filter(|&product| isize::try_from(product).is_ok())
        .ok_or_else(|| TensorError::TooLarge { shape: shape.to_vec() })?;
    Ok(if shape.contains(&0) { 0 } else { product })
}

/// The number of bytes that a contiguous tensor needs.
pub(super) fn byte_count(dtype: DType, shape: &[usize]) -> Result<usize, TensorError> {
    element_count(shape)?
        .checked_mul(dtype.size())
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| TensorError::TooLarge { shape: shape.to_vec() })
}

/// The layout of a slice. Made without a copy of memory, as it is at every call.
#[inline]
pub(super) fn of_rank_1(len: usize) -> (Dims, Strides) {
    (Dims::from_buf_and_len([len, 0, 0, 0], 1), Strides::from_buf_and_len([1, 0, 0, 0], 1))
}

/// Row-major strides of a shape that [`element_count`] accepted.
pub(crate) fn contiguous_strides(shape: &[usize]) -> Strides {
    let mut strides = Strides::from_elem(0, shape.len());
    let mut step = 1isize;
    for (stride, &extent) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(extent.max(1) as isize);
    }
    strides
}

/// Whether the elements lie one after the other in row-major order. Strides of axes of extent 1 do not matter.
#[inline]
pub(super) fn is_contiguous(shape: &[usize], strides: &[isize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut step = 1isize;
    for (&extent, &stride) in shape.iter().zip(strides).rev() {
        if extent != 1 {
            if stride != step {
                return false;
            }
            step = step.saturating_mul(extent as isize);
        }
    }
    true
}

/// The lowest and the highest offset from the first element, or `None` when there are no elements.
pub(super) fn reach(shape: &[usize], strides: &[isize]) -> Option<(i128, i128)> {
    if shape.contains(&0) {
        return None;
    }
    // 64 axes of at most 2^63 * 2^63 stay below 2^127 only when the element count was checked; saturate all the same.
    Some(shape.iter().zip(strides).fold((0i128, 0i128), |(low, high), (&extent, &stride)| {
        let last = (extent as i128 - 1) * stride as i128;
        (low.saturating_add(last.min(0)), high.saturating_add(last.max(0)))
    }))
}

/// Whether every element lies inside `bytes` bytes, the first one being element `offset`.
pub(super) fn check(
    dtype: DType,
    shape: &[usize],
    strides: &[isize],
    offset: usize,
    bytes: usize,
) -> Result<usize, TensorError> {
    let count = element_count(shape)?;
    let room = (bytes / dtype.size()) as i128;
    let fits = shape.len() == strides.len()
        && match reach(shape, strides) {
            None => offset as i128 <= room,
            Some((low, high)) => {
                (offset as i128).saturating_add(low) >= 0 && (offset as i128).saturating_add(high) < room
            }
        };
    if fits { Ok(count) } else { Err(TensorError::OutOfBounds) }
}

/// Whether no two elements are one place in memory. It may say no for odd layouts that in fact have no overlap.
pub(super) fn is_injective(shape: &[usize], strides: &[isize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut axes: SmallVec<[(u128, u128); 4]> = shape
        .iter()
        .zip(strides)
        .filter(|&(&extent, _)| extent > 1)
        .map(|(&extent, &stride)| (stride.unsigned_abs() as u128, extent as u128))
        .collect();
    axes.sort_unstable();
    let mut reached = 0u128;
    axes.iter().all(|&(stride, extent)| {
        let apart = stride > reached;
        reached = reached.saturating_add((extent - 1) * stride);
        apart
    })
}

/// The innermost rows of a layout in row-major order: each is (offset of its first element, length, step).
pub(super) struct Rows {
    shape: Dims,
    strides: Strides,
    index: Dims,
    offset: isize,
    length: usize,
    step: isize,
    done: bool,
}

impl Rows {
    pub(super) fn new(shape: &[usize], strides: &[isize]) -> Rows {
        let outer = shape.len().saturating_sub(1);
        Rows {
            shape: Dims::from_slice(&shape[..outer]),
            strides: Strides::from_slice(&strides[..outer]),
            index: Dims::from_elem(0, outer),
            offset: 0,
            length: shape.last().copied().unwrap_or(1),
            step: strides.last().copied().unwrap_or(1),
            done: shape.contains(&0),
        }
    }
}

impl Iterator for Rows {
    type Item = (isize, usize, isize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let row = (self.offset, self.length, self.step);
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            self.offset += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                return Some(row);
            }
            self.offset -= self.strides[axis] * self.shape[axis] as isize;
            self.index[axis] = 0;
        }
        self.done = true;
        Some(row)
    }
}

/// The offsets of a layout's elements in row-major order.
pub(super) fn offsets(shape: &[usize], strides: &[isize]) -> impl Iterator<Item = isize> + use<> {
    Rows::new(shape, strides)
        .flat_map(|(first, length, step)| (0..length as isize).map(move |i| first + i * step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_that_overflow_are_errors() {
        assert!(element_count(&[1 << 32, 1 << 32]).is_err());
        assert!(element_count(&[1 << 40, 1 << 40, 0]).is_err());
        assert!(byte_count(DType::F64, &[1 << 61]).is_err());
        assert!(element_count(&[1; MAX_RANK + 1]).is_err());
        assert_eq!(element_count(&[3, 0, 2]), Ok(0));
    }

    #[test]
    fn walks_in_row_major_order() {
        let walk = |shape: &[usize], strides: &[isize]| offsets(shape, strides).collect::<Vec<_>>();
        assert_eq!(walk(&[2, 3], &[1, 2]), [0, 2, 4, 1, 3, 5]);
        assert_eq!(walk(&[], &[]), [0]);
        assert_eq!(walk(&[2, 0], &[1, 1]), [0isize; 0]);
        assert_eq!(walk(&[3], &[-1]), [0, -1, -2]);
    }

    #[test]
    fn knows_overlap_and_contiguity() {
        assert!(is_injective(&[2, 3], &[1, 2]) && is_injective(&[2, 3], &[-3, 1]));
        assert!(!is_injective(&[2, 3], &[0, 1]) && !is_injective(&[3, 3], &[1, 1]));
        assert!(is_contiguous(&[2, 1, 3], &[3, 77, 1]) && !is_contiguous(&[2, 3], &[1, 2]));
        assert_eq!(contiguous_strides(&[2, 3, 4]).as_slice(), [12, 4, 1]);
    }

    #[test]
    fn bounds() {
        assert_eq!(check(DType::F64, &[2, 3], &[3, 1], 0, 48), Ok(6));
        assert_eq!(check(DType::F64, &[2, 3], &[3, 1], 1, 48), Err(TensorError::OutOfBounds));
        assert_eq!(check(DType::F64, &[3], &[-1], 1, 48), Err(TensorError::OutOfBounds));
        assert_eq!(check(DType::F64, &[1 << 40], &[0], 0, 8), Ok(1 << 40));
        assert_eq!(check(DType::U8, &[1 << 62], &[isize::MAX], 0, 8), Err(TensorError::OutOfBounds));
    }
}
