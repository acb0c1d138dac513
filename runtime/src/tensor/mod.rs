//! Tensors, and the ways of other types into and out of them.
//!
//! A [`Tensor`] owns a share of a [`Buffer`] and has a strided layout over it. Cloning one is cheap; memory is written
//! only while nothing shares it, so that a tensor that was handed out never changes. Everything that a stranger may
//! give (shapes, strides, bytes of a file) is checked where it comes in, and no size can overflow afterwards.

mod buffer;
mod check;
mod display;
mod element;
mod error;
mod faer;
mod layout;
#[cfg(feature = "nalgebra")]
mod nalgebra;
#[cfg(feature = "ndarray")]
mod ndarray;
mod plain;
mod spare;
mod typed;
mod view;

pub use buffer::{ALIGNMENT, Buffer};
pub use check::LayoutCheck;
pub(crate) use check::{push_layout, push_place, strip_layout};
pub use element::Element;
pub use error::TensorError;
pub(crate) use layout::contiguous_strides;
pub use layout::{Dims, MAX_RANK, Strides};
pub use typed::{FromTensors, TypeKind, TypedView};
pub use view::{AsView, AsViewMut, FromTensor, View, ViewMut};

use matex_ir::{DType, Scalar};
use std::sync::Arc;

/// An n-dimensional array: an element type, a shape, strides in elements, and a share of a buffer.
///
/// ```
/// use matex_runtime::Tensor;
/// let t = Tensor::from_vec(&[2, 2], vec![1.0, 2.0, 3.0, 4.5])?;
/// assert_eq!(t.to_string(), "[[1.0, 2.0],\n [3.0, 4.5]]");
/// assert_eq!(t.describe(), "f64[2, 2]");
/// # Ok::<(), matex_runtime::TensorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tensor {
    dtype: DType,
    shape: Dims,
    strides: Strides,
    offset: usize,
    buffer: Arc<Buffer>,
}

impl Tensor {
    /// A contiguous tensor of zeros (`false` for `bool`).
    ///
    /// # Errors
    /// [`TensorError::TooLarge`], [`TensorError::TooManyAxes`], [`TensorError::OutOfMemory`].
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// let t = Tensor::zeros(DType::F32, &[2, 2])?;
    /// assert_eq!(t.to_string(), "[[0.0, 0.0],\n [0.0, 0.0]]");
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Tensor, TensorError> {
        let buffer = Buffer::zeroed(layout::byte_count(dtype, shape)?)?;
        Ok(Tensor::over(dtype, shape, buffer))
    }

    /// A tensor of these elements, in row-major order.
    ///
    /// # Errors
    /// [`TensorError::Length`] when they are not as many as the shape says; those of [`zeros`](Tensor::zeros).
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// let t = Tensor::from_slice(&[2, 2], &[1, 2, 3, 4])?;
    /// assert_eq!(t.to_string(), "[[1, 2],\n [3, 4]]");
    /// assert!(Tensor::from_slice(&[3], &[1, 2]).is_err());
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn from_slice<T: Element>(shape: &[usize], data: &[T]) -> Result<Tensor, TensorError> {
        if layout::element_count(shape)? != data.len() {
            return Err(TensorError::Length { shape: shape.to_vec(), found: data.len() });
        }
        Ok(Tensor::over(T::DTYPE, shape, Buffer::from_slice(data)?))
    }

    /// A tensor of these elements, in row-major order. They are copied, since a `Vec` is not aligned for vectors.
    ///
    /// # Errors
    /// As for [`from_slice`](Tensor::from_slice).
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// assert_eq!(Tensor::from_vec(&[2], vec![0.5, 1.5])?.describe(), "f64[2]");
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn from_vec<T: Element>(shape: &[usize], data: Vec<T>) -> Result<Tensor, TensorError> {
        Tensor::from_slice(shape, &data)
    }

    /// A tensor of rank 0.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Scalar, Tensor};
    /// let t = Tensor::scalar(Scalar::from_f64(DType::F64, 2.5));
    /// assert_eq!((t.rank(), t.len()), (0, 1));
    /// ```
    pub fn scalar(value: Scalar) -> Tensor {
        let bytes = value.dtype().size();
        // Eight bytes: where even those cannot be had, aborting is what every other small allocation does too.
        let Ok(mut buffer) = Buffer::zeroed(bytes) else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>())
        };
        store(buffer.as_mut_bytes(), value);
        Tensor::over(value.dtype(), &[], buffer)
    }

    /// A tensor of these values, in row-major order, each cast to `dtype`.
    ///
    /// # Errors
    /// As for [`from_slice`](Tensor::from_slice).
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Scalar, Tensor};
    /// let t = Tensor::from_scalars(DType::F32, &[2], [1, 2].map(|v| Scalar::from_i128(DType::I64, v)))?;
    /// assert_eq!(t.as_slice::<f32>(), Some(&[1.0, 2.0][..]));
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn from_scalars(
        dtype: DType,
        shape: &[usize],
        values: impl IntoIterator<Item = Scalar>,
    ) -> Result<Tensor, TensorError> {
        let count = layout::element_count(shape)?;
        let mut buffer = Buffer::zeroed(layout::byte_count(dtype, shape)?)?;
        let mut values = values.into_iter();
        let mut found = 0;
        for (place, value) in buffer.as_mut_bytes().chunks_exact_mut(dtype.size()).zip(values.by_ref()) {
            store(place, value.cast(dtype));
            found += 1;
        }
        if found != count || values.next().is_some() {
            let found = found + values.count() + usize::from(found == count);
            return Err(TensorError::Length { shape: shape.to_vec(), found });
        }
        Ok(Tensor::over(dtype, shape, buffer))
    }

    /// A tensor over a buffer; `offset` and `strides` count elements.
    ///
    /// # Errors
    /// [`TensorError::OutOfBounds`] when an element would lie outside the buffer, [`TensorError::Bool`] when a byte
    /// of a `bool` tensor is neither 0 nor 1, [`TensorError::TooLarge`], [`TensorError::TooManyAxes`].
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// let t = Tensor::from_slice(&[4], &[1.0, 2.0, 3.0, 4.0])?;
    /// // Every second element, from the last one on.
    /// let (dtype, _, _, _, buffer) = t.into_parts();
    /// let back = Tensor::from_parts(dtype, &[2], &[-2], 3, buffer)?;
    /// assert_eq!(back.to_vec::<f64>()?, [4.0, 2.0]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn from_parts(
        dtype: DType,
        shape: &[usize],
        strides: &[isize],
        offset: usize,
        buffer: Arc<Buffer>,
    ) -> Result<Tensor, TensorError> {
        layout::check(dtype, shape, strides, offset, buffer.len())?;
        if dtype == DType::Bool {
            check_bools(shape, strides, offset, buffer.as_bytes())?;
        }
        Ok(Tensor { dtype, shape: shape.into(), strides: strides.into(), offset, buffer })
    }

    /// [`from_parts`](Tensor::from_parts) without a look at the bytes of a `bool`; the layout is checked all the same.
    ///
    /// # Errors
    /// As for [`from_parts`](Tensor::from_parts), but for [`TensorError::Bool`].
    ///
    /// # Safety
    /// Where `dtype` is `bool`, each byte that the layout reaches is 0 or 1.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// let (dtype, shape, _, _, buffer) = Tensor::from_slice(&[2, 3], &[true; 6])?.into_parts();
    /// // SAFETY: a tensor of `bool` has bytes of 0 and 1 only.
    /// let t = unsafe { Tensor::from_parts_unchecked(dtype, &[3], &[1], 0, buffer) }?;
    /// assert_eq!(t.describe(), "bool[3]");
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub unsafe fn from_parts_unchecked(
        dtype: DType,
        shape: &[usize],
        strides: &[isize],
        offset: usize,
        buffer: Arc<Buffer>,
    ) -> Result<Tensor, TensorError> {
        layout::check(dtype, shape, strides, offset, buffer.len())?;
        Ok(Tensor { dtype, shape: shape.into(), strides: strides.into(), offset, buffer })
    }

    /// Gives its memory away when nothing else holds it and its elements are all that is in it, one after the other; zeros of the same
    /// dtype and shape stay behind, which take next to no memory.
    pub(crate) fn give(&mut self) -> Option<Arc<Buffer>> {
        let bytes = self.len() * self.dtype.size();
        let whole = self.offset == 0 && self.is_contiguous() && self.buffer.len() == bytes && bytes > 0;
        if !whole || Arc::get_mut(&mut self.buffer).is_none() {
            return None;
        }
        let zero = Arc::new(Buffer::zeroed(self.dtype.size()).ok()?);
        self.strides.iter_mut().for_each(|s| *s = 0);
        Some(std::mem::replace(&mut self.buffer, zero))
    }

    /// Takes the tensor apart: dtype, shape, strides, offset in elements, buffer.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// let (dtype, shape, strides, offset, buffer) = Tensor::from_slice(&[2, 3], &[0_i32; 6])?.into_parts();
    /// assert_eq!((&shape[..], &strides[..], offset, buffer.len()), (&[2, 3][..], &[3, 1][..], 0, 24));
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn into_parts(self) -> (DType, Dims, Strides, usize, Arc<Buffer>) {
        (self.dtype, self.shape, self.strides, self.offset, self.buffer)
    }

    /// A contiguous tensor over a buffer that was made for this dtype and shape.
    pub(crate) fn over(dtype: DType, shape: &[usize], buffer: Buffer) -> Tensor {
        let (shape, strides) = (Dims::from_slice(shape), layout::contiguous_strides(shape));
        Tensor { dtype, shape, strides, offset: 0, buffer: Arc::new(buffer) }
    }

    /// The element type.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert_eq!(Tensor::from_slice(&[1], &[true])?.dtype(), DType::Bool);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert_eq!(Tensor::zeros(DType::I64, &[2, 0])?.shape(), [2, 0]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The steps of the axes, in elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert_eq!(Tensor::zeros(DType::I64, &[2, 3])?.strides(), [3, 1]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The place of the first element in the buffer, in elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert_eq!(Tensor::zeros(DType::I64, &[2, 3])?.offset(), 0);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The memory.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// let t = Tensor::zeros(DType::I64, &[2, 3])?;
    /// assert_eq!(t.buffer().len(), 48);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// The first element.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// let t = Tensor::zeros(DType::F32, &[5])?;
    /// // Aligned for vectors of any width.
    /// assert_eq!(t.data_ptr() as usize % 64, 0);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn data_ptr(&self) -> *const u8 {
        self.buffer.as_ptr().wrapping_add(self.offset * self.dtype.size())
    }

    /// The number of axes.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert_eq!(Tensor::zeros(DType::F32, &[5, 1, 2])?.rank(), 3);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert_eq!(Tensor::zeros(DType::F32, &[5, 2])?.len(), 10);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn len(&self) -> usize {
        if self.is_empty() { 0 } else { self.shape.iter().product() }
    }

    /// Whether there are no elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert!(Tensor::zeros(DType::F32, &[5, 0])?.is_empty());
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Whether the elements lie one after the other in row-major order.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{AsView, Tensor};
    /// let t = Tensor::from_slice(&[2, 2], &[1, 2, 3, 4])?;
    /// assert!(t.is_contiguous() && !t.as_view().transposed().is_contiguous());
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn is_contiguous(&self) -> bool {
        layout::is_contiguous(&self.shape, &self.strides)
    }

    /// The elements, when they are contiguous and of this type.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// let t = Tensor::from_slice(&[2], &[1.5, 2.5])?;
    /// assert_eq!((t.as_slice::<f64>(), t.as_slice::<f32>()), (Some(&[1.5, 2.5][..]), None));
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        self.as_view().as_slice()
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`TensorError::DType`] when they are of another type, [`TensorError::OutOfMemory`].
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// let t = Tensor::from_slice(&[2], &[1.5, 2.5])?;
    /// assert_eq!(t.to_vec::<f64>()?, [1.5, 2.5]);
    /// assert!(t.to_vec::<i32>().is_err());
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, TensorError> {
        self.as_view().to_vec()
    }

    /// The element at an index, or `None` when the index is not one of this shape.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Scalar, Tensor};
    /// let t = Tensor::from_slice(&[2, 2], &[1, 2, 3, 4])?;
    /// assert_eq!((t.get(&[1, 0]), t.get(&[2, 0])), (Some(Scalar::from_i128(DType::I32, 3)), None));
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn get(&self, index: &[usize]) -> Option<Scalar> {
        self.as_view().get(index)
    }

    /// The elements in row-major order.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::Tensor;
    /// let t = Tensor::from_slice(&[2], &[0.5, 2.0])?;
    /// assert_eq!(t.scalars().map(|s| s.to_f64()).sum::<f64>(), 2.5);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> + '_ {
        self.as_view().into_scalars()
    }

    /// The same elements in row-major order: itself when it is contiguous, else a copy.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] and [`TensorError::TooLarge`], when a broadcast is too large to be written out.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{AsView, Tensor};
    /// let t = Tensor::from_slice(&[2, 2], &[1, 2, 3, 4])?.as_view().transposed().to_tensor()?;
    /// assert_eq!(t.contiguous()?.as_slice(), Some(&[1, 3, 2, 4][..]));
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn contiguous(&self) -> Result<Tensor, TensorError> {
        if self.is_contiguous() { Ok(self.clone()) } else { self.as_view().to_tensor() }
    }

    /// The elements converted by the language's cast rules; itself when the dtype is the same.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] and [`TensorError::TooLarge`].
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// let t = Tensor::from_slice(&[3], &[1.9, -1.9, f64::NAN])?.cast(DType::I32)?;
    /// assert_eq!(t.to_string(), "[1, -1, 0]");
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn cast(&self, dtype: DType) -> Result<Tensor, TensorError> {
        if dtype == self.dtype {
            return Ok(self.clone());
        }
        Tensor::from_scalars(dtype, &self.shape, self.scalars())
    }

    /// Dtype and shape in a word, as programs write them: `f64[3, 4]`, `i32` for rank 0.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, Tensor};
    /// assert_eq!(Tensor::zeros(DType::F32, &[3, 4])?.describe(), "f32[3, 4]");
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn describe(&self) -> String {
        let extents: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        if extents.is_empty() {
            self.dtype.to_string()
        } else {
            format!("{}[{}]", self.dtype, extents.join(", "))
        }
    }

    fn dims(&self) -> &Dims {
        &self.shape
    }

    fn steps(&self) -> &Strides {
        &self.strides
    }

    fn buffer_mut(&mut self) -> &mut Arc<Buffer> {
        &mut self.buffer
    }
}

/// Equal dtypes, shapes and elements; as for floats, `NaN` is not equal to itself.
impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        let same = |(a, b): (Scalar, Scalar)| {
            if self.dtype.is_float() { a.to_f64() == b.to_f64() } else { a == b }
        };
        self.dtype == other.dtype
            && self.shape == other.shape
            && self.scalars().zip(other.scalars()).all(same)
    }
}

/// Writes a scalar's bits over exactly its own size.
fn store(place: &mut [u8], value: Scalar) {
    match place.len() {
        1 => place.copy_from_slice(&(value.bits() as u8).to_ne_bytes()),
        2 => place.copy_from_slice(&(value.bits() as u16).to_ne_bytes()),
        4 => place.copy_from_slice(&(value.bits() as u32).to_ne_bytes()),
        _ => place.copy_from_slice(&value.bits().to_ne_bytes()),
    }
}

/// Checks the bytes of a `bool` layout that is inside `bytes`.
fn check_bools(shape: &[usize], strides: &[isize], offset: usize, bytes: &[u8]) -> Result<(), TensorError> {
    let Some((low, high)) = layout::reach(shape, strides) else { return Ok(()) };
    let range = &bytes[(offset as i128 + low) as usize..=(offset as i128 + high) as usize];
    if range.iter().all(|&byte| byte <= 1) {
        return Ok(());
    }
    // A byte between the elements may be anything. Repeated elements need one look.
    let once: Dims =
        shape.iter().zip(strides).map(|(&extent, &stride)| if stride == 0 { 1 } else { extent }).collect();
    layout::offsets(&once, strides)
        .map(|place| bytes[offset.wrapping_add_signed(place)])
        .find(|&byte| byte > 1)
        .map_or(Ok(()), |byte| Err(TensorError::Bool { byte }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(dtype: DType, shape: &[usize], strides: &[isize], offset: usize, from: &Tensor) -> Tensor {
        Tensor::from_parts(dtype, shape, strides, offset, from.buffer().clone()).unwrap()
    }

    #[test]
    fn strided_tensors_read_in_row_major_order() {
        let t = Tensor::from_vec(&[2, 3], vec![1, 2, 3, 4, 5, 6]).unwrap();
        let transposed = parts(DType::I32, &[3, 2], &[1, 3], 0, &t);
        assert_eq!(transposed.to_vec::<i32>(), Ok(vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(transposed.as_slice::<i32>(), None);
        assert!(transposed.contiguous().unwrap().is_contiguous());
        let backwards = parts(DType::I32, &[3], &[-2], 5, &t);
        assert_eq!(backwards.to_vec::<i32>(), Ok(vec![6, 4, 2]));
        assert_eq!(backwards.get(&[2]).unwrap().to_i128(), 2);
        assert_eq!(backwards.get(&[3]), None);
        assert_eq!(backwards.get(&[]), None);
    }

    #[test]
    fn a_huge_broadcast_costs_nothing_until_it_is_written_out() {
        let one = Tensor::from(1.5);
        let t = parts(DType::F64, &[1 << 30, 1 << 30], &[0, 0], 0, &one);
        assert_eq!(t.len(), 1 << 60);
        assert_eq!(t.get(&[77, 1 << 29]).unwrap().to_f64(), 1.5);
        assert!(t.to_string().len() < 1000);
        assert!(matches!(t.contiguous(), Err(TensorError::TooLarge { .. })));
        assert!(matches!(t.to_vec::<f64>(), Err(TensorError::OutOfMemory { .. })));
    }

    #[test]
    fn empty_tensors() {
        let t = Tensor::from_vec::<f32>(&[0, 3], vec![]).unwrap();
        assert_eq!((t.len(), t.rank(), t.is_empty()), (0, 2, true));
        assert_eq!(t.to_vec::<f32>(), Ok(vec![]));
        assert_eq!(t.as_slice::<f32>(), Some(&[][..]));
        assert_eq!(t.cast(DType::I8).unwrap().describe(), "i8[0, 3]");
    }

    #[test]
    fn lengths_are_checked() {
        let e = Tensor::from_vec(&[2, 2], vec![1.0]).unwrap_err();
        assert_eq!(e, TensorError::Length { shape: vec![2, 2], found: 1 });
        let scalars = |n: usize| vec![Scalar::from_f64(DType::F64, 1.0); n];
        for n in [0, 1, 3, 5] {
            let e = Tensor::from_scalars(DType::F32, &[2], scalars(n)).unwrap_err();
            assert_eq!(e, TensorError::Length { shape: vec![2], found: n });
        }
        assert!(Tensor::from_vec(&[1 << 40, 1 << 40], vec![1.0]).is_err());
    }

    #[test]
    fn bools_are_zero_or_one() {
        let bytes = Tensor::from_vec(&[4], vec![0u8, 1, 2, 1]).unwrap();
        let make = |shape: &[usize], strides: &[isize], offset| {
            Tensor::from_parts(DType::Bool, shape, strides, offset, bytes.buffer().clone())
        };
        assert_eq!(make(&[4], &[1], 0).unwrap_err(), TensorError::Bool { byte: 2 });
        assert_eq!(make(&[2], &[2], 1).unwrap().to_vec::<bool>(), Ok(vec![true, true]));
        assert!(make(&[1 << 50, 2], &[0, 2], 1).is_ok());
        assert!(make(&[1 << 50, 2], &[0, 1], 1).is_err());
        assert_eq!(make(&[4], &[1], 1).unwrap_err(), TensorError::OutOfBounds);
    }

    #[test]
    fn casts() {
        let t = Tensor::from_vec(&[3], vec![1.9, -2.5, f64::NAN]).unwrap();
        assert_eq!(t.cast(DType::I32).unwrap().to_vec::<i32>(), Ok(vec![1, -2, 0]));
        assert_eq!(t.cast(DType::Bool).unwrap().to_vec::<bool>(), Ok(vec![true, true, true]));
        assert_ne!(t, t.clone());
    }
}
