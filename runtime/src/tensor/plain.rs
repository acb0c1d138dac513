//! Tensors, slices, vectors, arrays and numbers as views, and results as vectors and numbers.

use super::check::LayoutCheck;
use super::layout::{self, Dims, Strides};
use super::view::{AsView, AsViewMut, FromTensor, View, ViewMut, expect_dtype, expect_rank};
use super::{Element, Tensor, TensorError};
use matex_ir::DType;
use std::sync::Arc;

impl AsView for Tensor {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let (shape, strides) = (self.dims().clone(), self.steps().clone());
        // SAFETY: a tensor's layout stays inside its buffer and its bools are 0 or 1, which its constructors check;
        // the buffer lives as long as the borrow and, being behind an `Arc`, is not written to.
        unsafe { View::from_raw_dtype(self.dtype(), self.data_ptr(), shape, strides) }
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `as_view`.
        unsafe { check.parts(self.dtype(), self.shape(), self.strides(), self.data_ptr()) }
    }
}

impl AsViewMut for Tensor {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        if !layout::is_injective(self.shape(), self.strides()) {
            return Err(TensorError::Overlapping);
        }
        let (dtype, shape, strides) = (self.dtype(), self.dims().clone(), self.steps().clone());
        let first = self.offset() * dtype.size();
        let buffer = Arc::get_mut(self.buffer_mut()).ok_or(TensorError::Shared)?;
        let data = buffer.as_mut_ptr().wrapping_add(first);
        // SAFETY: the layout stays inside the buffer, no two elements are one place, and the buffer is this tensor's
        // alone, as was just checked; it stays so while the tensor is borrowed.
        Ok(unsafe { ViewMut::from_raw_dtype(dtype, data, shape, strides) })
    }
}

impl<T: AsView + ?Sized> AsView for &T {
    #[inline]
    fn as_view(&self) -> View<'_> {
        (**self).as_view()
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        (**self).check_layout(check)
    }
}

impl<T: AsView + ?Sized> AsView for &mut T {
    #[inline]
    fn as_view(&self) -> View<'_> {
        (**self).as_view()
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        (**self).check_layout(check)
    }
}

impl<T: AsViewMut + ?Sized> AsViewMut for &mut T {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        (**self).as_view_mut()
    }

    #[inline]
    fn check_place<'a>(&'a mut self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        (**self).check_place(check)
    }
}

impl AsView for View<'_> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        self.clone()
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        check.view(self)
    }
}

impl<T: Element> AsView for [T] {
    #[inline]
    fn as_view(&self) -> View<'_> {
        View::from_slice(self)
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `View::from_slice`.
        unsafe { check.parts(T::DTYPE, &[self.len()], &[1], self.as_ptr().cast()) }
    }
}

impl<T: Element> AsViewMut for [T] {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        Ok(ViewMut::from_slice(self))
    }

    #[inline]
    fn check_place<'a>(&'a mut self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `ViewMut::from_slice`.
        unsafe { check.place_parts(T::DTYPE, &[self.len()], &[1], self.as_mut_ptr().cast()) }
    }
}

impl<T: Element> AsView for Vec<T> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        View::from_slice(self)
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `View::from_slice`.
        unsafe { check.parts(T::DTYPE, &[self.len()], &[1], self.as_ptr().cast()) }
    }
}

impl<T: Element> AsViewMut for Vec<T> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        Ok(ViewMut::from_slice(self))
    }

    #[inline]
    fn check_place<'a>(&'a mut self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `ViewMut::from_slice`.
        unsafe { check.place_parts(T::DTYPE, &[self.len()], &[1], self.as_mut_ptr().cast()) }
    }
}

impl<T: Element, const N: usize> AsView for [T; N] {
    #[inline]
    fn as_view(&self) -> View<'_> {
        View::from_slice(self)
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `View::from_slice`.
        unsafe { check.parts(T::DTYPE, &[self.len()], &[1], self.as_ptr().cast()) }
    }
}

impl<T: Element, const N: usize> AsViewMut for [T; N] {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        Ok(ViewMut::from_slice(self))
    }

    #[inline]
    fn check_place<'a>(&'a mut self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `ViewMut::from_slice`.
        unsafe { check.place_parts(T::DTYPE, &[self.len()], &[1], self.as_mut_ptr().cast()) }
    }
}

/// Rank 2, row by row.
impl<T: Element, const N: usize, const M: usize> AsView for [[T; M]; N] {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let (shape, strides) = (Dims::from_slice(&[N, M]), Strides::from_slice(&[M as isize, 1]));
        // SAFETY: nested arrays are N * M elements in row-major order, borrowed as long as the view.
        unsafe { View::from_raw(self.as_ptr().cast::<T>(), shape, strides) }
    }
}

/// Rank 2, row by row.
impl<T: Element, const N: usize, const M: usize> AsViewMut for [[T; M]; N] {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        let (shape, strides) = (Dims::from_slice(&[N, M]), Strides::from_slice(&[M as isize, 1]));
        // SAFETY: as for `as_view`, and the borrow is unique.
        Ok(unsafe { ViewMut::from_raw(self.as_mut_ptr().cast::<T>(), shape, strides) })
    }
}

macro_rules! numbers {
    ($($t:ty)*) => {$(
        /// Rank 0.
        impl AsView for $t {
            #[inline]
            fn as_view(&self) -> View<'_> {
                // SAFETY: rank 0 is one element, the one that is borrowed.
                unsafe { View::from_raw(self, Dims::new(), Strides::new()) }
            }

            #[inline]
            fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
                // SAFETY: as for `as_view`.
                unsafe { check.parts(<$t as Element>::DTYPE, &[], &[], std::ptr::from_ref(self).cast()) }
            }
        }

        /// Rank 0.
        impl AsViewMut for $t {
            #[inline]
            fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
                // SAFETY: rank 0 is one element, the one that is uniquely borrowed.
                Ok(unsafe { ViewMut::from_raw(self, Dims::new(), Strides::new()) })
            }
        }

        impl FromTensor for $t {
            const DTYPE: Option<DType> = Some(<$t as Element>::DTYPE);
            const RANK: Option<usize> = Some(0);

            fn from_tensor(tensor: Tensor) -> Result<$t, TensorError> {
                expect_rank(0, tensor.rank())?;
                expect_dtype(<$t as Element>::DTYPE, tensor.dtype())?;
                tensor.get(&[]).map(<$t as Element>::from_scalar).ok_or(TensorError::OutOfBounds)
            }
        }

        /// Rank 0.
        impl From<$t> for Tensor {
            fn from(value: $t) -> Tensor {
                Tensor::scalar(value.to_scalar())
            }
        }
    )*};
}

numbers! { half::f16 half::bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool }

impl FromTensor for Tensor {
    const DTYPE: Option<DType> = None;
    const RANK: Option<usize> = None;

    fn from_tensor(tensor: Tensor) -> Result<Tensor, TensorError> {
        Ok(tensor)
    }
}

impl<T: Element> FromTensor for Vec<T> {
    const DTYPE: Option<DType> = Some(T::DTYPE);
    const RANK: Option<usize> = Some(1);

    fn from_tensor(tensor: Tensor) -> Result<Vec<T>, TensorError> {
        expect_rank(1, tensor.rank())?;
        tensor.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_data_is_seen_in_place() {
        let v = vec![1.0, 2.0];
        assert_eq!(v.as_view().data_ptr(), v.as_ptr().cast());
        let all: [&dyn AsView; 5] = [&v, &[1i32, 2], &2.5, &true, &[[1u8, 2, 3], [4, 5, 6]]];
        let ranks: Vec<usize> = all.iter().map(|a| a.as_view().rank()).collect();
        assert_eq!(ranks, [1, 1, 0, 0, 2]);
        assert_eq!(all[4].as_view().get(&[1, 0]).unwrap().to_i128(), 4);
        assert_eq!(v[..1].as_view().shape(), [1]);
    }

    #[test]
    fn results_convert_when_the_kind_fits() {
        let t = Tensor::from_vec(&[2], vec![1.0, 2.0]).unwrap();
        assert_eq!(Vec::<f64>::from_tensor(t.clone()), Ok(vec![1.0, 2.0]));
        let e = Vec::<f32>::from_tensor(t.clone());
        assert_eq!(e, Err(TensorError::DType { expected: DType::F32, found: DType::F64 }));
        assert_eq!(f64::from_tensor(t), Err(TensorError::Rank { expected: 0, found: 1 }));
        assert_eq!(f64::from_tensor(Tensor::from(2.5)), Ok(2.5));
        assert_eq!(bool::from_tensor(Tensor::from(true)), Ok(true));
    }

    #[test]
    fn only_memory_of_ones_own_is_written() {
        let mut t = Tensor::from_vec(&[2], vec![1.0, 2.0]).unwrap();
        let other = t.clone();
        assert_eq!(t.as_view_mut().unwrap_err(), TensorError::Shared);
        drop(other);
        t.as_view_mut().unwrap().copy_from(&[5.0, 6.0].as_view()).unwrap();
        assert_eq!(t.as_slice::<f64>(), Some(&[5.0, 6.0][..]));
        let (dtype, _, _, offset, buffer) = t.into_parts();
        let mut repeated = Tensor::from_parts(dtype, &[3], &[0], offset, buffer).unwrap();
        assert_eq!(repeated.as_view_mut().unwrap_err(), TensorError::Overlapping);
    }

    #[test]
    fn strided_copies() {
        let mut out = [[0; 2]; 3];
        let from = [[1, 2, 3], [4, 5, 6]];
        out.as_view_mut().unwrap().copy_from(&from.as_view().transposed()).unwrap();
        assert_eq!(out, [[1, 4], [2, 5], [3, 6]]);
        assert!(out.as_view_mut().unwrap().copy_from(&from.as_view()).is_err());
    }
}
