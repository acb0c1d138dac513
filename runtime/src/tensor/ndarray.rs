//! Arrays of the ndarray crate: any rank and storage, strided and reversed ones in place.

use super::check::LayoutCheck;
use super::layout::{Dims, Strides};
use super::view::{AsView, AsViewMut, FromTensor, View, ViewMut, expect_rank};
use super::{Element, Tensor, TensorError};
use matex_ir::DType;
use ndarray::{Array, ArrayBase, ArrayRef, Data, DataMut, Dimension, IxDyn};

/// What arrays and views of ndarray have in common, and borrow as: `&ArrayRef2<f64>` takes a reference to either.
impl<T: Element, D: Dimension> AsView for ArrayRef<T, D> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let (shape, strides) = (Dims::from_slice(self.shape()), Strides::from_slice(self.strides()));
        // SAFETY: ndarray keeps every element that its shape and strides reach alive and valid while it is borrowed.
        unsafe { View::from_raw(self.as_ptr(), shape, strides) }
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        // SAFETY: as for `as_view`.
        unsafe { check.parts(T::DTYPE, self.shape(), self.strides(), self.as_ptr().cast()) }
    }
}

impl<T: Element, D: Dimension> AsViewMut for ArrayRef<T, D> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        let (shape, strides) = (Dims::from_slice(self.shape()), Strides::from_slice(self.strides()));
        // SAFETY: as for `as_view`; ndarray's mutable references are unique and have no elements that overlap.
        Ok(unsafe { ViewMut::from_raw(self.as_mut_ptr(), shape, strides) })
    }

    #[inline]
    fn check_place<'a>(&'a mut self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        let data = self.as_mut_ptr();
        // SAFETY: as for `as_view_mut`.
        unsafe { check.place_parts(T::DTYPE, self.shape(), self.strides(), data.cast()) }
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> AsView for ArrayBase<S, D> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        (**self).as_view()
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        (**self).check_layout(check)
    }
}

/// Arrays that share memory make it their own where they are borrowed, which may change their strides.
impl<T: Element, S: DataMut<Elem = T>, D: Dimension> AsViewMut for ArrayBase<S, D> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        (**self).as_view_mut()
    }

    #[inline]
    fn check_place<'a>(&'a mut self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        (**self).check_place(check)
    }
}

impl<T: Element, D: Dimension> FromTensor for Array<T, D> {
    const DTYPE: Option<DType> = Some(T::DTYPE);
    const RANK: Option<usize> = D::NDIM;

    fn from_tensor(tensor: Tensor) -> Result<Array<T, D>, TensorError> {
        let rank = tensor.rank();
        expect_rank(D::NDIM.unwrap_or(rank), rank)?;
        Array::from_shape_vec(IxDyn(tensor.shape()), tensor.to_vec()?)
            .and_then(Array::into_dimensionality)
            .map_err(|_| TensorError::TooLarge { shape: tensor.shape().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array0, Array1, Array2, ArrayD, s};

    #[test]
    fn strided_and_reversed_arrays_come_in_place() {
        let a = Array2::from_shape_fn((3, 4), |(i, j)| (10 * i + j) as f64);
        let part = a.slice(s![..;-1, 1..;2]);
        let view = part.as_view();
        assert_eq!(view.data_ptr(), std::ptr::from_ref(&a[[2, 1]]).cast());
        assert_eq!(view.to_vec::<f64>(), Ok(vec![21.0, 23.0, 11.0, 13.0, 1.0, 3.0]));
        assert_eq!(a.t().as_view().strides(), [1, 4]);
        assert_eq!(ndarray::arr0(2u8).as_view().rank(), 0);
    }

    #[test]
    fn results_go_out() {
        let t = Tensor::from_vec(&[2, 2], vec![1, 2, 3, 4]).unwrap();
        assert_eq!(Array2::<i32>::from_tensor(t.clone()).unwrap(), ndarray::arr2(&[[1, 2], [3, 4]]));
        assert_eq!(ArrayD::<i32>::from_tensor(t.clone()).unwrap().shape(), [2, 2]);
        assert_eq!(Array1::<i32>::from_tensor(t.clone()), Err(TensorError::Rank { expected: 1, found: 2 }));
        assert!(Array2::<f32>::from_tensor(t).is_err());
        assert_eq!(Array0::<f64>::from_tensor(Tensor::from(1.5)).unwrap()[()], 1.5);
    }

    #[test]
    fn results_are_written_into_strided_memory() {
        let mut a = Array2::<f32>::zeros((2, 4));
        let source = [[1.0f32, 2.0], [3.0, 4.0]];
        a.slice_mut(s![.., ..;2]).as_view_mut().unwrap().copy_from(&source.as_view()).unwrap();
        assert_eq!(a, ndarray::arr2(&[[1.0, 0.0, 2.0, 0.0], [3.0, 0.0, 4.0, 0.0]]));
        let mut shared = a.into_shared();
        let other = shared.clone();
        shared.as_view_mut().unwrap().copy_from(&[[9.0f32; 4]; 2].as_view()).unwrap();
        assert_eq!((shared[[0, 0]], other[[0, 0]]), (9.0, 1.0));
    }
}
