//! Tensors of the interpreter: a shape and every element, in row-major order.

use super::malformed;
use crate::dtype::{DType, Scalar};
use crate::tensor::{Literal, RunError};

/// A tensor with its elements in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    dtype: DType,
    shape: Vec<usize>,
    data: Vec<Scalar>,
}

impl Array {
    /// A tensor of that shape; `None` when the number of elements does not fit it, or their dtypes differ.
    pub fn new(dtype: DType, shape: Vec<usize>, data: Vec<Scalar>) -> Option<Array> {
        let fits = count(&shape) == Some(data.len()) && data.iter().all(|e| e.dtype() == dtype);
        fits.then_some(Array { dtype, shape, data })
    }

    /// A rank-0 tensor.
    pub fn scalar(s: Scalar) -> Array {
        Array { dtype: s.dtype(), shape: Vec::new(), data: vec![s] }
    }

    /// A tensor of real numbers, converted by the cast rules; `None` when their number does not fit the shape.
    pub fn from_f64(dtype: DType, shape: &[usize], data: &[f64]) -> Option<Array> {
        Array::new(dtype, shape.to_vec(), data.iter().map(|v| Scalar::from_f64(dtype, *v)).collect())
    }

    /// A tensor of integers, converted by the cast rules; `None` when their number does not fit the shape.
    pub fn from_i64(dtype: DType, shape: &[usize], data: &[i64]) -> Option<Array> {
        Array::new(
            dtype,
            shape.to_vec(),
            data.iter().map(|v| Scalar::from_i128(dtype, (*v).into())).collect(),
        )
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many axes it has.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The elements in row-major order.
    pub fn data(&self) -> &[Scalar] {
        &self.data
    }

    /// The element at an index of each axis; `None` when that is no place of the tensor.
    pub fn get(&self, index: &[usize]) -> Option<Scalar> {
        self.data.get(self.place(index)?).copied()
    }

    /// The value of a rank-0 tensor.
    pub fn as_scalar(&self) -> Option<Scalar> {
        self.shape.is_empty().then(|| self.data.first().copied())?
    }

    /// The elements as real numbers.
    pub fn to_f64(&self) -> Vec<f64> {
        self.data.iter().map(|s| s.to_f64()).collect()
    }

    fn place(&self, index: &[usize]) -> Option<usize> {
        if index.len() != self.shape.len() {
            return None;
        }
        let step = |at: usize, (i, n): (&usize, &usize)| (i < n).then(|| at * n + i);
        index.iter().zip(&self.shape).try_fold(0, step)
    }

    /// [`Array::get`] for indices that the caller made from the shape.
    pub(super) fn at(&self, index: &[usize]) -> Result<Scalar, RunError> {
        self.get(index).ok_or_else(|| malformed("an index outside of its operand"))
    }

    /// Writes one element; the dtype must fit.
    pub(super) fn set(&mut self, index: &[usize], value: Scalar) -> Result<(), RunError> {
        let place = self.place(index).filter(|_| value.dtype() == self.dtype);
        match place.and_then(|p| self.data.get_mut(p)) {
            Some(slot) => {
                *slot = value;
                Ok(())
            }
            None => Err(malformed("a write outside of its operand, or of another dtype")),
        }
    }

    /// The extent of an axis.
    pub(super) fn extent(&self, axis: usize) -> Result<usize, RunError> {
        self.shape.get(axis).copied().ok_or_else(|| malformed("an axis past the rank"))
    }

    /// A tensor of which each element is computed from its index.
    pub(super) fn build(
        dtype: DType,
        shape: Vec<usize>,
        mut element: impl FnMut(&[usize]) -> Result<Scalar, RunError>,
    ) -> Result<Array, RunError> {
        let mut data = Vec::new();
        each_index(&shape, |index| {
            data.push(element(index)?);
            Ok(())
        })?;
        Array::new(dtype, shape, data).ok_or_else(|| malformed("an element of another dtype than its tensor"))
    }
}

impl From<&Literal> for Array {
    fn from(literal: &Literal) -> Array {
        let data = literal.elements().collect();
        Array { dtype: literal.dtype(), shape: literal.shape().to_vec(), data }
    }
}

/// The number of elements of a shape, unless it overflows.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b))
}

/// Calls `f` with every index of a shape, the last axis running fastest.
pub(super) fn each_index(
    shape: &[usize],
    mut f: impl FnMut(&[usize]) -> Result<(), RunError>,
) -> Result<(), RunError> {
    if shape.contains(&0) {
        return Ok(());
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index)?;
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return Ok(());
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}
