//! Matrices of the nalgebra crate, with the strides of their storage: column-major ones come in place.
//!
//! A matrix whose number of columns is 1 at compile time, a `DVector` say, is a tensor of rank 1; all others are of
//! rank 2.

use super::check::LayoutCheck;
use super::layout::{Dims, Strides};
use super::view::{AsView, AsViewMut, FromTensor, View, ViewMut, expect_rank};
use super::{Element, Tensor, TensorError};
use matex_ir::DType;
use nalgebra::{DMatrix, DVector, Dim, Matrix, RawStorage, RawStorageMut};

/// Shape and strides, of which the first so many count.
#[inline]
fn layout<T, R: Dim, C: Dim, S: RawStorage<T, R, C>>(storage: &S) -> ([usize; 2], [isize; 2], usize) {
    let ((rows, cols), (down, right)) = (storage.shape(), storage.strides());
    let rank = if C::try_to_usize() == Some(1) { 1 } else { 2 };
    ([rows.value(), cols.value()], [down.value() as isize, right.value() as isize], rank)
}

impl<T: Element, R: Dim, C: Dim, S: RawStorage<T, R, C>> AsView for Matrix<T, R, C, S> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let (shape, strides, rank) = layout(&self.data);
        let (shape, strides) = (Dims::from_slice(&shape[..rank]), Strides::from_slice(&strides[..rank]));
        // SAFETY: a storage keeps every element that its shape and strides reach valid while it is borrowed.
        unsafe { View::from_raw(self.data.ptr(), shape, strides) }
    }

    #[inline]
    fn check_layout<'a>(&'a self, check: &mut LayoutCheck<'_, 'a>) -> bool {
        let (shape, strides, rank) = layout(&self.data);
        // SAFETY: as for `as_view`.
        unsafe { check.parts(T::DTYPE, &shape[..rank], &strides[..rank], self.data.ptr().cast()) }
    }
}

impl<T: Element, R: Dim, C: Dim, S: RawStorageMut<T, R, C>> AsViewMut for Matrix<T, R, C, S> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        let (shape, strides, rank) = layout(&self.data);
        let (shape, strides) = (Dims::from_slice(&shape[..rank]), Strides::from_slice(&strides[..rank]));
        // SAFETY: as for `as_view`; a mutable storage is unique, and has no elements that overlap.
        Ok(unsafe { ViewMut::from_raw(self.data.ptr_mut(), shape, strides) })
    }
}

impl<T: Element> FromTensor for DMatrix<T> {
    const DTYPE: Option<DType> = Some(T::DTYPE);
    const RANK: Option<usize> = Some(2);

    fn from_tensor(tensor: Tensor) -> Result<DMatrix<T>, TensorError> {
        expect_rank(2, tensor.rank())?;
        let by_columns = tensor.as_view().transposed().to_vec()?;
        Ok(DMatrix::from_vec(tensor.shape()[0], tensor.shape()[1], by_columns))
    }
}

impl<T: Element> FromTensor for DVector<T> {
    const DTYPE: Option<DType> = Some(T::DTYPE);
    const RANK: Option<usize> = Some(1);

    fn from_tensor(tensor: Tensor) -> Result<DVector<T>, TensorError> {
        Vec::from_tensor(tensor).map(DVector::from_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Matrix2x3;

    #[test]
    fn matrices_come_in_place() {
        let m = DMatrix::from_row_slice(2, 3, &[1, 2, 3, 4, 5, 6]);
        // Called by path: matrices have a method of this name of their own.
        let view = AsView::as_view(&m);
        assert_eq!((view.data_ptr(), view.strides()), (m.as_ptr().cast(), &[1, 2][..]));
        assert_eq!(view.to_vec::<i32>(), Ok(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(AsView::as_view(&m.view((0, 1), (2, 2))).to_vec::<i32>(), Ok(vec![2, 3, 5, 6]));
        assert_eq!(AsView::as_view(&m.row(1)).shape(), [1, 3]);
        assert_eq!(AsView::as_view(&m.column(1)).shape(), [2]);
        assert_eq!(AsView::as_view(&Matrix2x3::<f32>::zeros()).shape(), [2, 3]);
    }

    #[test]
    fn results_go_out() {
        let t = Tensor::from_vec(&[2, 3], vec![1, 2, 3, 4, 5, 6]).unwrap();
        let m = DMatrix::<i32>::from_tensor(t.clone()).unwrap();
        assert_eq!(m, DMatrix::from_row_slice(2, 3, &[1, 2, 3, 4, 5, 6]));
        assert!(DVector::<i32>::from_tensor(t.clone()).is_err());
        let mut out = DMatrix::<i32>::zeros(2, 3);
        AsViewMut::as_view_mut(&mut out).unwrap().copy_from(&t.as_view()).unwrap();
        assert_eq!(out, m);
    }
}
