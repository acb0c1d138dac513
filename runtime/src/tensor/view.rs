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
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::{AsView, View};
/// let rows = [[1.0, 2.0], [3.0, 4.0]];
/// let view: View<'_> = rows.as_view();
/// assert_eq!((view.shape(), view.strides()), (&[2, 2][..], &[2, 1][..]));
/// ```
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
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::{AsView, ViewMut};
/// let mut memory = [0.0; 3];
/// ViewMut::from_slice(&mut memory).copy_from(&[1.0, 2.0, 3.0].as_view())?;
/// assert_eq!(memory, [1.0, 2.0, 3.0]);
/// # Ok::<(), matex::TensorError>(())
/// ```
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
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::AsView;
/// let shapes = [2.5.as_view().rank(), vec![1, 2].as_view().rank(), [[1.0; 2]; 3].as_view().rank()];
/// assert_eq!(shapes, [0, 1, 2]);
/// ```
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
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::{AsView, AsViewMut};
/// let mut memory = vec![0_i64; 2];
/// memory.as_view_mut()?.copy_from(&[7_i64, 8].as_view())?;
/// assert_eq!(memory, [7, 8]);
/// # Ok::<(), matex::TensorError>(())
/// ```
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
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::{FromTensor, Tensor};
/// let t = Tensor::from_slice(&[2], &[1.5, 2.5])?;
/// assert_eq!(Vec::<f64>::from_tensor(t.clone())?, [1.5, 2.5]);
/// assert!(f64::from_tensor(t).is_err());
/// # Ok::<(), matex::TensorError>(())
/// ```
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
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::View;
    /// let data = [1.0, 2.0, 3.0, 4.0];
    /// // SAFETY: the elements 0 and 2 of an array that outlives the view, which nobody writes to.
    /// let every_second = unsafe { View::from_raw(data.as_ptr(), [2].into_iter().collect(), [2].into_iter().collect()) };
    /// assert_eq!(every_second.to_vec::<f64>()?, [1.0, 3.0]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<T: Element>(data: *const T, shape: Dims, strides: Strides) -> View<'a> {
        debug_assert_eq!(shape.len(), strides.len(), "a stride for each axis");
        View { dtype: T::DTYPE, shape, strides, data: data.cast(), borrowed: PhantomData }
    }

    /// A view of the elements from `data` on, when the element type is known at run time only.
    ///
    /// # Safety
    /// As for [`from_raw`](View::from_raw), with the Rust type of `dtype`; bytes of a `bool` are 0 or 1.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, View};
    /// let data = [1_i32, 2, 3];
    /// let (shape, strides) = ([3].into_iter().collect(), [1].into_iter().collect());
    /// // SAFETY: three elements of an array that outlives the view, which nobody writes to.
    /// let view = unsafe { View::from_raw_dtype(DType::I32, data.as_ptr().cast(), shape, strides) };
    /// assert_eq!(view.to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw_dtype(dtype: DType, data: *const u8, shape: Dims, strides: Strides) -> View<'a> {
        debug_assert_eq!(shape.len(), strides.len(), "a stride for each axis");
        View { dtype, shape, strides, data, borrowed: PhantomData }
    }

    /// A contiguous view of rank 1.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::View;
    /// assert_eq!(View::from_slice(&[1.0, 2.0]).shape(), [2]);
    /// ```
    #[inline]
    pub fn from_slice<T: Element>(data: &'a [T]) -> View<'a> {
        let (shape, strides) = layout::of_rank_1(data.len());
        // SAFETY: the slice is borrowed for 'a and has as many elements as the shape says.
        unsafe { View::from_raw(data.as_ptr(), shape, strides) }
    }

    /// The element type.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{AsView, DType};
    /// assert_eq!([1_u8].as_view().dtype(), DType::U8);
    /// ```
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// assert_eq!([[0.0; 4]; 2].as_view().shape(), [2, 4]);
    /// ```
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The steps of the axes, in elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// assert_eq!([[0.0; 4]; 2].as_view().transposed().strides(), [1, 4]);
    /// ```
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The number of axes.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// assert_eq!([[0.0; 4]; 2].as_view().rank(), 2);
    /// ```
    #[inline]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// assert_eq!([[0.0; 4]; 2].as_view().len(), 8);
    /// ```
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// assert!([0.0; 0].as_view().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The first element.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// let x = [1.0, 2.0];
    /// assert_eq!(x.as_view().data_ptr(), x.as_ptr().cast());
    /// ```
    #[inline]
    pub fn data_ptr(&self) -> *const u8 {
        self.data
    }

    /// Whether the elements lie one after the other in row-major order.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// let x = [[1.0, 2.0], [3.0, 4.0]];
    /// assert!(x.as_view().is_contiguous() && !x.as_view().transposed().is_contiguous());
    /// ```
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        layout::is_contiguous(&self.shape, &self.strides)
    }

    /// The same elements with the axes in opposite order.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// let x = [[1, 2], [3, 4]];
    /// assert_eq!(x.as_view().transposed().to_vec::<i32>()?, [1, 3, 2, 4]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn transposed(&self) -> View<'a> {
        let mut view = self.clone();
        view.shape.reverse();
        view.strides.reverse();
        view
    }

    /// The elements, when they are contiguous and of this type.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// let x = [[1, 2], [3, 4]];
    /// assert_eq!(x.as_view().as_slice(), Some(&[1, 2, 3, 4][..]));
    /// assert_eq!(x.as_view().transposed().as_slice::<i32>(), None);
    /// ```
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
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// assert_eq!([[1, 2], [3, 4]].as_view().to_vec::<i32>()?, [1, 2, 3, 4]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
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
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{AsView, DType, Scalar};
    /// let x = [[1, 2], [3, 4]];
    /// assert_eq!((x.as_view().get(&[0, 1]), x.as_view().get(&[0])), (Some(Scalar::from_i128(DType::I32, 2)), None));
    /// ```
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
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// let x = [[1, 2], [3, 4]];
    /// assert_eq!(x.as_view().scalars().map(|s| s.to_f64()).sum::<f64>(), 10.0);
    /// ```
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> + '_ {
        self.clone().into_scalars()
    }

    /// The elements in row-major order.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// let mut first = [[1.5, 2.0], [3.0, 4.0]].as_view().into_scalars().map(|s| s.to_f64());
    /// assert_eq!(first.next(), Some(1.5));
    /// ```
    pub fn into_scalars(self) -> impl Iterator<Item = Scalar> + 'a {
        layout::offsets(&self.shape, &self.strides).map(move |offset| self.load(offset))
    }

    /// A tensor of its own with these elements, contiguous.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] and [`TensorError::TooLarge`].
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsView;
    /// let t = [[1, 2], [3, 4]].as_view().transposed().to_tensor()?;
    /// assert_eq!(t.to_string(), "[[1, 3],\n [2, 4]]");
    /// # Ok::<(), matex::TensorError>(())
    /// ```
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
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{AsView, ViewMut};
    /// let mut data = [0.0; 4];
    /// let (shape, strides) = ([2].into_iter().collect(), [2].into_iter().collect());
    /// // SAFETY: the elements 0 and 2 of an array that outlives the view and that nobody else touches.
    /// let mut every_second = unsafe { ViewMut::from_raw(data.as_mut_ptr(), shape, strides) };
    /// every_second.copy_from(&[1.0, 2.0].as_view())?;
    /// assert_eq!(data, [1.0, 0.0, 2.0, 0.0]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw<T: Element>(data: *mut T, shape: Dims, strides: Strides) -> ViewMut<'a> {
        // SAFETY: the caller's promise, with the dtype of `T`.
        unsafe { ViewMut::from_raw_dtype(T::DTYPE, data.cast(), shape, strides) }
    }

    /// A view to write to, when the element type is known at run time only.
    ///
    /// # Safety
    /// As for [`from_raw`](ViewMut::from_raw), with the Rust type of `dtype`.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{AsView, DType, ViewMut};
    /// let mut data = [0_i32; 2];
    /// let (shape, strides) = ([2].into_iter().collect(), [1].into_iter().collect());
    /// // SAFETY: two elements of an array that outlives the view and that nobody else touches.
    /// let mut view = unsafe { ViewMut::from_raw_dtype(DType::I32, data.as_mut_ptr().cast(), shape, strides) };
    /// view.copy_from(&[5, 6].as_view())?;
    /// assert_eq!(data, [5, 6]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    #[inline]
    pub unsafe fn from_raw_dtype(dtype: DType, data: *mut u8, shape: Dims, strides: Strides) -> ViewMut<'a> {
        debug_assert_eq!(shape.len(), strides.len(), "a stride for each axis");
        ViewMut { dtype, shape, strides, data, borrowed: PhantomData }
    }

    /// A contiguous view of rank 1.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::ViewMut;
    /// assert_eq!(ViewMut::from_slice(&mut [1.0, 2.0]).shape(), [2]);
    /// ```
    #[inline]
    pub fn from_slice<T: Element>(data: &'a mut [T]) -> ViewMut<'a> {
        let (shape, strides) = layout::of_rank_1(data.len());
        // SAFETY: the slice is uniquely borrowed for 'a and has as many elements as the shape says.
        unsafe { ViewMut::from_raw(data.as_mut_ptr(), shape, strides) }
    }

    /// The element type.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{DType, ViewMut};
    /// assert_eq!(ViewMut::from_slice(&mut [1_u8]).dtype(), DType::U8);
    /// ```
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsViewMut;
    /// assert_eq!([[0.0; 4]; 2].as_view_mut()?.shape(), [2, 4]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The steps of the axes, in elements.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::AsViewMut;
    /// assert_eq!([[0.0; 4]; 2].as_view_mut()?.strides(), [4, 1]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The first element. Whoever writes through it keeps the bytes of a `bool` 0 or 1.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::ViewMut;
    /// let mut x = [1.0, 2.0];
    /// let at = x.as_mut_ptr().cast();
    /// assert_eq!(ViewMut::from_slice(&mut x).data_ptr(), at);
    /// ```
    #[inline]
    pub fn data_ptr(&self) -> *mut u8 {
        self.data
    }

    /// Whether the elements lie one after the other in row-major order.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::ViewMut;
    /// assert!(ViewMut::from_slice(&mut [1.0, 2.0]).is_contiguous());
    /// ```
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        layout::is_contiguous(&self.shape, &self.strides)
    }

    /// The same elements, to read.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::ViewMut;
    /// assert_eq!(ViewMut::from_slice(&mut [1.0, 2.0]).as_view().to_vec::<f64>()?, [1.0, 2.0]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
    pub fn as_view(&self) -> View<'_> {
        // SAFETY: what may be written may be read, and writing through `self` needs its borrow to end.
        unsafe { View::from_raw_dtype(self.dtype, self.data, self.shape.clone(), self.strides.clone()) }
    }

    /// Copies the elements of a view of the same dtype and shape.
    ///
    /// # Errors
    /// [`TensorError::DType`] and [`TensorError::Shape`] when the kinds differ.
    ///
    /// ```
    /// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
    /// use matex::{AsView, ViewMut};
    /// let mut memory = [0; 4];
    /// let rows = [[1, 2], [3, 4]];
    /// assert!(ViewMut::from_slice(&mut memory).copy_from(&rows.as_view()).is_err());
    /// ViewMut::from_slice(&mut memory).copy_from(&[1, 2, 3, 4].as_view())?;
    /// assert_eq!(memory, [1, 2, 3, 4]);
    /// # Ok::<(), matex::TensorError>(())
    /// ```
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
