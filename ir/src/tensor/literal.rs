//! Constant tensors.

use crate::dtype::{DType, Scalar};

/// A constant tensor of known shape, its elements as bits in row-major order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Literal {
    dtype: DType,
    shape: Vec<usize>,
    bits: Vec<u64>,
}

impl Literal {
    /// A rank-0 constant.
    pub fn scalar(s: Scalar) -> Literal {
        Literal { dtype: s.dtype(), shape: Vec::new(), bits: vec![s.bits()] }
    }

    /// A constant of that shape; `None` when the number of elements does not fit it, or their dtypes differ.
    pub fn new(dtype: DType, shape: Vec<usize>, elements: &[Scalar]) -> Option<Literal> {
        let count = shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b))?;
        let fits = count == elements.len() && elements.iter().all(|e| e.dtype() == dtype);
        fits.then(|| Literal { dtype, shape, bits: elements.iter().map(|e| e.bits()).collect() })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements in row-major order.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = Scalar> + '_ {
        self.bits.iter().map(|b| Scalar::from_bits(self.dtype, *b))
    }

    /// The value of a rank-0 constant.
    pub fn as_scalar(&self) -> Option<Scalar> {
        self.shape.is_empty().then(|| Scalar::from_bits(self.dtype, self.bits[0]))
    }

    /// The same constant with every element converted by the cast rules.
    pub fn cast(&self, dtype: DType) -> Literal {
        let bits = self.elements().map(|e| e.cast(dtype).bits()).collect();
        Literal { dtype, shape: self.shape.clone(), bits }
    }
}
