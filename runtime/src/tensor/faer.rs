//! Matrices and columns of the faer crate, with their strides.

use super::layout::{Dims, Strides};
use super::view::{AsView, AsViewMut, FromTensor, View, ViewMut, expect_rank};
use super::{Element, Tensor, TensorError};
use ::faer::{Col, ColMut, ColRef, Mat, MatMut, MatRef};
use matex_ir::DType;

impl<T: Element> AsView for MatRef<'_, T> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let shape = Dims::from_slice(&[self.nrows(), self.ncols()]);
        let strides = Strides::from_slice(&[self.row_stride(), self.col_stride()]);
        // SAFETY: faer keeps every element that its shape and strides reach valid while the matrix is borrowed.
        unsafe { View::from_raw(self.as_ptr(), shape, strides) }
    }
}

impl<T: Element> AsView for Mat<T> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let shape = Dims::from_slice(&[self.nrows(), self.ncols()]);
        let strides = Strides::from_slice(&[self.row_stride(), self.col_stride()]);
        // SAFETY: as for `MatRef`.
        unsafe { View::from_raw(self.as_ptr(), shape, strides) }
    }
}

impl<T: Element> AsView for ColRef<'_, T> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let (shape, strides) = (Dims::from_slice(&[self.nrows()]), Strides::from_slice(&[self.row_stride()]));
        // SAFETY: as for `MatRef`.
        unsafe { View::from_raw(self.as_ptr(), shape, strides) }
    }
}

impl<T: Element> AsView for Col<T> {
    #[inline]
    fn as_view(&self) -> View<'_> {
        let (shape, strides) = (Dims::from_slice(&[self.nrows()]), Strides::from_slice(&[self.row_stride()]));
        // SAFETY: as for `MatRef`.
        unsafe { View::from_raw(self.as_ptr(), shape, strides) }
    }
}

impl<T: Element> AsViewMut for MatMut<'_, T> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        let shape = Dims::from_slice(&[self.nrows(), self.ncols()]);
        let strides = Strides::from_slice(&[self.row_stride(), self.col_stride()]);
        // SAFETY: as for `MatRef`; a `MatMut` is unique, and has no elements that overlap.
        Ok(unsafe { ViewMut::from_raw(self.as_ptr_mut(), shape, strides) })
    }
}

impl<T: Element> AsViewMut for Mat<T> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        let shape = Dims::from_slice(&[self.nrows(), self.ncols()]);
        let strides = Strides::from_slice(&[self.row_stride(), self.col_stride()]);
        // SAFETY: as for `MatMut`.
        Ok(unsafe { ViewMut::from_raw(self.as_ptr_mut(), shape, strides) })
    }
}

impl<T: Element> AsViewMut for ColMut<'_, T> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        let (shape, strides) = (Dims::from_slice(&[self.nrows()]), Strides::from_slice(&[self.row_stride()]));
        // SAFETY: as for `MatMut`.
        Ok(unsafe { ViewMut::from_raw(self.as_ptr_mut(), shape, strides) })
    }
}

impl<T: Element> AsViewMut for Col<T> {
    #[inline]
    fn as_view_mut(&mut self) -> Result<ViewMut<'_>, TensorError> {
        let (shape, strides) = (Dims::from_slice(&[self.nrows()]), Strides::from_slice(&[self.row_stride()]));
        // SAFETY: as for `MatMut`.
        Ok(unsafe { ViewMut::from_raw(self.as_ptr_mut(), shape, strides) })
    }
}

impl<T: Element> FromTensor for Mat<T> {
    const DTYPE: Option<DType> = Some(T::DTYPE);
    const RANK: Option<usize> = Some(2);

    fn from_tensor(tensor: Tensor) -> Result<Mat<T>, TensorError> {
        expect_rank(2, tensor.rank())?;
        let (rows, cols) = (tensor.shape()[0], tensor.shape()[1]);
        let by_columns = tensor.as_view().transposed().to_vec::<T>()?;
        Ok(Mat::from_fn(rows, cols, |i, j| by_columns[j * rows + i]))
    }
}

impl<T: Element> FromTensor for Col<T> {
    const DTYPE: Option<DType> = Some(T::DTYPE);
    const RANK: Option<usize> = Some(1);

    fn from_tensor(tensor: Tensor) -> Result<Col<T>, TensorError> {
        let data = Vec::<T>::from_tensor(tensor)?;
        Ok(Col::from_fn(data.len(), |i| data[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_come_in_place_and_go_out() {
        let m = Mat::from_fn(2, 3, |i, j| (10 * i + j) as f64);
        assert_eq!(m.as_view().data_ptr(), m.as_ptr().cast());
        assert_eq!(m.as_view().to_vec::<f64>(), Ok(vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0]));
        assert_eq!(m.transpose().as_view().shape(), [3, 2]);
        assert_eq!(m.as_ref().reverse_rows().as_view().to_vec::<f64>().unwrap()[0], 10.0);
        assert_eq!(m.col(1).as_view().to_vec::<f64>(), Ok(vec![1.0, 11.0]));
        let t = m.as_view().to_tensor().unwrap();
        assert_eq!(Mat::<f64>::from_tensor(t.clone()).unwrap(), m);
        let mut out = Mat::<f64>::zeros(2, 3);
        out.as_view_mut().unwrap().copy_from(&t.as_view()).unwrap();
        assert_eq!(out, m);
    }

    #[test]
    fn columns_go_both_ways() {
        let c = Col::from_fn(3, |i| i as f32);
        let t = c.as_view().to_tensor().unwrap();
        assert_eq!(Col::<f32>::from_tensor(t).unwrap(), c);
        assert!(Col::<f32>::from_tensor(Tensor::from(1.0f32)).is_err());
    }
}
