//! Borrowed tensors: arrays of other crates and plain slices, in and out without a copy.
//!
//! [`View`] is what a compiled function reads and [`ViewMut`] what it writes into; both are a pointer with a layout.
//! [`AsView`], [`AsViewMut`] and [`FromTensor`] are the three traits that connect other types to tensors; those of
//! foreign crates are in the module of that crate's name.

use super::check::LayoutCheck;
use super::layout::{self, Dims, Rows, Strides};
use super::{Element, Tensor, TensorError};
use matex_ir::{DType, Scalar};
use std::fmt;
use std::marker::PhantomData;

/// A borrowed, possibly strided array of elements. Strides count elements.
pub struct View<'a> {
    dtype: DType,
    shape: Dims,
    strides: Strides,
    data: *const u8,
    borrowed: PhantomData<&'a ()>,
}

// SAFETY: a view is a shared borrow of plain numbers, which threads may read at the same time.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}

impl Clone for View<'_> {
    #[inline]
    fn clone(&self) -> Self {
        // The lists are copied as words; a clone of theirs goes through them element by element.
        View { shape: Dims::from_slice(&self.shape), strides: Strides::from_slice(&self.strides), ..*self }
    }
}

/// A borrowed, possibly strided array of elements that may be written to.
pub struct ViewMut<'a> {
    dtype: DType,
    shape: Dims,
    strides: Strides,
    data: *mut u8,
    borrowed: PhantomData<&'a mut ()>,
}

// SAFETY: a mutable view is a unique borrow of plain numbers, and may move to another thread.
unsafe impl Send for ViewMut<'_> {}
// SAFETY: `&ViewMut` gives out nothing but the layout and the pointer, whose use is on its user.
unsafe impl Sync for ViewMut<'_> {}

/// What can be read as a tensor without a copy: tensors, slices, vectors, arrays, numbers, and the array types of
/// ndarray, nalgebra and faer.
pub trait AsView {
    /// The borrowed tensor.
    fn as_view(&self) -> View<'_>;

    /// Hands the borrowed tensor to a check. Whether it lies as that of the call before.
    #[doc(hidden)]
    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        check.view(&self.as_view())
    }
}

/// What can be written to as a tensor: the destinations of results.
pub trait AsViewMut {
    /// The borrowed tensor.
    ///
    /// # Errors
    /// [`TensorError::Shared`] and [`TensorError::Overlapping`] for a [`Tensor`] that is not alone with its memory.
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError>;

    /// Hands the borrowed tensor to a check. Whether it lies as that of the call before, and may be written to.
    #[doc(hidden)]
    #[inline]
    fn check_place<'a>(&'a mut self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        self.as_view_mut().is_ok_and(|place| check.place(&place))
    }
}

/// What a result can be taken as.
pub trait FromTensor: Sized {
    /// The element type that is needed, or `None` when any will do.
    const DTYPE: Option<DType>;

    /// The number of axes that is needed, or `None` when any will do.
    const RANK: Option<usize>;

    /// Converts the tensor.
    ///
    /// # Errors
    /// [`TensorError::DType`] and [`TensorError::Rank`] when the tensor is of another kind; nothing is converted
    /// silently.
    fn from_tensor(tensor: Tensor) -> Result<Self, TensorError>;
}

impl<'a> View<'a> {
    /// A view of the elements from `data` on.
    ///
    /// # Safety
    /// `data` is aligned and not null; shape and strides have the same length; every element that they reach from
    /// `data` is valid for reads of `T`, and nothing writes to it, for `'a`.
    #[inline]
    pub unsafe fn from_raw<T: Element>(data: *const T, shape: Dims, strides: Strides) -> View<'a> {
        debug_assert_eq!(shape.len(), strides.len(), "a stride for each axis");
        View { dtype: T::DTYPE, shape, strides, data: data.cast(), borrowed: PhantomData }
    }

    /// A view of the elements from `data` on, when the element type is known at run time only.
    ///
    /// # Safety
    /// As for [`from_raw`](View::from_raw), with the Rust type of `dtype`; bytes of a `bool` are 0 or 1.
    #[inline]
    pub unsafe fn from_raw_dtype(dtype: DType, data: *const u8, shape: Dims, strides: Strides) -> View<'a> {
        debug_assert_eq!(shape.len(), strides.len(), "a stride for each axis");
        View { dtype, shape, strides, data, borrowed: PhantomData }
    }

    /// A contiguous view of rank 1.
    #[inline]
    pub fn from_slice<T: Element>(data: &'a [T]) -> View<'a> {
        let (shape, strides) = layout::of_rank_1(data.len());
        // SAFETY: the slice is borrowed for 'a and has as many elements as the shape says.
        unsafe { View::from_raw(data.as_ptr(), shape, strides) }
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The steps of the axes, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The number of axes.
    #[inline]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The first element.
    #[inline]
    pub fn data_ptr(&self) -> *const u8 {
        self.data
    }

    /// Whether the elements lie one after the other in row-major order.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        layout::is_contiguous(&self.shape, &self.strides)
    }

    /// The same elements with the axes in opposite order.
    pub fn transposed(&self) -> View<'a> {
        let mut view = self.clone();
        view.shape.reverse();
        view.strides.reverse();
        view
    }

    /// The elements, when they are contiguous and of this type.
    pub fn as_slice<T: Element>(&self) -> Option<&'a [T]> {
        if T::DTYPE != self.dtype || !self.is_contiguous() {
            return None;
        }
        if self.is_empty() {
            return Some(&[]);
        }
        // SAFETY: a view's elements are valid for 'a (its constructors' contract), and these are contiguous.
        Some(unsafe { std::slice::from_raw_parts(self.data.cast::<T>(), self.len()) })
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`TensorError::DType`] when they are of another type, [`TensorError::OutOfMemory`] when the copy (of a
    /// broadcast, say) is too large.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, TensorError> {
        expect_dtype(T::DTYPE, self.dtype)?;
        let mut out = Vec::new();
        let refused = TensorError::OutOfMemory { bytes: self.len().saturating_mul(size_of::<T>()) };
        out.try_reserve_exact(self.len()).map_err(|_| refused)?;
        if let Some(slice) = self.as_slice::<T>() {
            out.extend_from_slice(slice);
            return Ok(out);
        }
        for (first, length, step) in Rows::new(&self.shape, &self.strides) {
            let row = self.data.cast::<T>().wrapping_offset(first);
            // SAFETY: rows hold offsets of elements of this view, which its constructors' contract makes valid.
            out.extend((0..length as isize).map(|i| unsafe { row.offset(i * step).read() }));
        }
        Ok(out)
    }

    /// The element at an index, or `None` when the index is not one of this shape.
    pub fn get(&self, index: &[usize]) -> Option<Scalar> {
        if index.len() != self.rank() || index.iter().zip(&self.shape).any(|(i, extent)| i >= extent) {
            return None;
        }
        let offset = index.iter().zip(&self.strides).map(|(&i, &stride)| i as isize * stride).sum();
        Some(self.load(offset))
    }

    /// The value of an integer of rank 0, within the i64 range.
    pub(crate) fn integer(&self) -> Option<i64> {
        self.get(&[]).filter(|s| s.dtype().is_int()).and_then(|s| i64::try_from(s.to_i128()).ok())
    }

    /// The elements in row-major order.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> + '_ {
        self.clone().into_scalars()
    }

    /// The elements in row-major order.
    pub fn into_scalars(self) -> impl Iterator<Item = Scalar> + 'a {
        layout::offsets(&self.shape, &self.strides).map(move |offset| self.load(offset))
    }

    /// A tensor of its own with these elements, contiguous.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] and [`TensorError::TooLarge`].
    pub fn to_tensor(&self) -> Result<Tensor, TensorError> {
        let mut tensor = Tensor::zeros(self.dtype, &self.shape)?;
        tensor.as_view_mut()?.copy_from(self)?;
        Ok(tensor)
    }

    /// Reads the element at an offset that the layout reaches.
    fn load(&self, offset: isize) -> Scalar {
        let at = self.data.wrapping_offset(offset * self.dtype.size() as isize);
        // SAFETY: callers pass offsets of elements of this view, which its constructors' contract makes valid and
        // aligned for the dtype.
        let bits = unsafe {
            match self.dtype.size() {
                1 => at.read().into(),
                2 => at.cast::<u16>().read().into(),
                4 => at.cast::<u32>().read().into(),
                _ => at.cast::<u64>().read(),
            }
        };
        Scalar::from_bits(self.dtype, bits)
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({}{:?} by {:?})", self.dtype, self.shape, self.strides)
    }
}

impl fmt::Debug for ViewMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewMut({}{:?} by {:?})", self.dtype, self.shape, self.strides)
    }
}

impl<'a> ViewMut<'a> {
    /// A view of the elements from `data` on, to write to.
    ///
    /// # Safety
    /// `data` is aligned and not null; shape and strides have the same length; every element that they reach from
    /// `data` is valid for reads and writes of `T`, by this view alone, for `'a`, and no two are one place.
    #[inline]
    pub unsafe fn from_raw<T: Element>(data: *mut T, shape: Dims, strides: Strides) -> ViewMut<'a> {
        // SAFETY: the caller's promise, with the dtype of `T`.
        unsafe { ViewMut::from_raw_dtype(T::DTYPE, data.cast(), shape, strides) }
    }

    /// A view to write to, when the element type is known at run time only.
    ///
    /// # Safety
    /// As for [`from_raw`](ViewMut::from_raw), with the Rust type of `dtype`.
    #[inline]
    pub unsafe fn from_raw_dtype(dtype: DType, data: *mut u8, shape: Dims, strides: Strides) -> ViewMut<'a> {
        debug_assert_eq!(shape.len(), strides.len(), "a stride for each axis");
        ViewMut { dtype, shape, strides, data, borrowed: PhantomData }
    }

    /// A contiguous view of rank 1.
    #[inline]
    pub fn from_slice<T: Element>(data: &'a mut [T]) -> ViewMut<'a> {
        let (shape, strides) = layout::of_rank_1(data.len());
        // SAFETY: the slice is uniquely borrowed for 'a and has as many elements as the shape says.
        unsafe { ViewMut::from_raw(data.as_mut_ptr(), shape, strides) }
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The steps of the axes, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The first element. Whoever writes through it keeps the bytes of a `bool` 0 or 1.
    #[inline]
    pub fn data_ptr(&self) -> *mut u8 {
        self.data
    }

    /// Whether the elements lie one after the other in row-major order.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        layout::is_contiguous(&self.shape, &self.strides)
    }

    /// The same elements, to read.
    pub fn as_view(&self) -> View<'_> {
        // SAFETY: what may be written may be read, and writing through `self` needs its borrow to end.
        unsafe { View::from_raw_dtype(self.dtype, self.data, self.shape.clone(), self.strides.clone()) }
    }

    /// Copies the elements of a view of the same dtype and shape.
    ///
    /// # Errors
    /// [`TensorError::DType`] and [`TensorError::Shape`] when the kinds differ.
    pub fn copy_from(&mut self, source: &View<'_>) -> Result<(), TensorError> {
        expect_dtype(self.dtype, source.dtype)?;
        if self.shape != source.shape {
            return Err(TensorError::Shape { expected: self.shape.to_vec(), found: source.shape.to_vec() });
        }
        if self.is_contiguous() && source.is_contiguous() {
            let bytes = source.len() * self.dtype.size();
            // SAFETY: both hold `bytes` contiguous valid bytes. They are disjoint: this view is unique.
            unsafe { std::ptr::copy_nonoverlapping(source.data, self.data, bytes) };
            return Ok(());
        }
        match self.dtype.size() {
            1 => self.copy_rows::<u8>(source),
            2 => self.copy_rows::<u16>(source),
            4 => self.copy_rows::<u32>(source),
            _ => self.copy_rows::<u64>(source),
        }
        Ok(())
    }

    /// The strided copy, with elements as plain bits of `T`; the shapes are equal.
    fn copy_rows<T: Copy>(&mut self, source: &View<'_>) {
        let rows = Rows::new(&self.shape, &self.strides).zip(Rows::new(&source.shape, &source.strides));
        for ((to, length, to_step), (from, _, from_step)) in rows {
            let to = self.data.cast::<T>().wrapping_offset(to);
            let from = source.data.cast::<T>().wrapping_offset(from);
            for i in 0..length as isize {
                // SAFETY: rows hold offsets of elements of the two views, valid and aligned by their contracts.
                unsafe { to.offset(i * to_step).write(from.offset(i * from_step).read()) };
            }
        }
    }
}

/// `Ok` when the element types are the same.
pub(super) fn expect_dtype(expected: DType, found: DType) -> Result<(), TensorError> {
    if expected == found { Ok(()) } else { Err(TensorError::DType { expected, found }) }
}

/// `Ok` when the numbers of axes are the same.
pub(super) fn expect_rank(expected: usize, found: usize) -> Result<(), TensorError> {
    if expected == found { Ok(()) } else { Err(TensorError::Rank { expected, found }) }
}
