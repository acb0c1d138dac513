//! What Rust's types say about tensors before there is one: the kinds of arguments and of results.
//!
//! A compiled function that is taken as an `fn` type is checked once with these, instead of at each call.

use super::{AsView, Element, FromTensor, Tensor, TensorError, View};
use matex_ir::DType;

/// Element type and number of axes, as far as a Rust type tells them.
///
/// ```
/// # mod matex { pub use matex_ir::{DType, Scalar}; pub use matex_runtime::*; }
/// use matex::{DType, TypedView, TypeKind};
/// assert_eq!(<[f64]>::KIND, TypeKind { dtype: Some(DType::F64), rank: Some(1) });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeKind {
    /// The element type, or `None` when it is known at run time only.
    pub dtype: Option<DType>,
    /// The number of axes, or `None` when it is known at run time only.
    pub rank: Option<usize>,
}

/// An argument whose type tells its kind.
///
/// ```
/// use matex_ir::DType;
/// use matex_runtime::{TypedView, TypeKind};
/// assert_eq!(<[f32]>::KIND, TypeKind { dtype: Some(DType::F32), rank: Some(1) });
/// ```
pub trait TypedView: AsView {
    /// What the type tells.
    const KIND: TypeKind;
}

/// What the results of a call can be taken as: one type, or a tuple of up to eight.
///
/// ```
/// use matex_runtime::{FromTensors, Tensor};
/// let (a, b) = <(f64, Vec<i64>)>::from_tensors(vec![1.5.into(), Tensor::from_slice(&[2], &[3i64, 4])?]).unwrap();
/// assert_eq!((a, b), (1.5, vec![3, 4]));
/// # Ok::<(), matex_runtime::TensorError>(())
/// ```
pub trait FromTensors: Sized {
    /// What the types tell, one for each result.
    const KINDS: &'static [TypeKind];

    /// Converts the tensors, as many as there are [`KINDS`](FromTensors::KINDS).
    ///
    /// # Errors
    /// The place of the first result that does not convert, and why; a result that is missing has a length that does
    /// not fit.
    fn from_tensors(tensors: Vec<Tensor>) -> Result<Self, (usize, TensorError)>;
}

const fn kind(dtype: Option<DType>, rank: Option<usize>) -> TypeKind {
    TypeKind { dtype, rank }
}

/// The next tensor as a value of that type.
fn take<T: FromTensor>(
    place: usize,
    tensors: &mut impl Iterator<Item = Tensor>,
) -> Result<T, (usize, TensorError)> {
    let missing = TensorError::Length { shape: vec![place + 1], found: place };
    let tensor = tensors.next().ok_or((place, missing))?;
    T::from_tensor(tensor).map_err(|e| (place, e))
}

impl<T: FromTensor> FromTensors for T {
    const KINDS: &'static [TypeKind] = &[kind(T::DTYPE, T::RANK)];

    fn from_tensors(tensors: Vec<Tensor>) -> Result<T, (usize, TensorError)> {
        take(0, &mut tensors.into_iter())
    }
}

macro_rules! tuples {
    ($(($($t:ident $place:literal),+))+) => {$(
        impl<$($t: FromTensor),+> FromTensors for ($($t,)+) {
            const KINDS: &'static [TypeKind] = &[$(kind($t::DTYPE, $t::RANK)),+];

            fn from_tensors(tensors: Vec<Tensor>) -> Result<Self, (usize, TensorError)> {
                let mut tensors = tensors.into_iter();
                Ok(($(take::<$t>($place, &mut tensors)?,)+))
            }
        }
    )+};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

impl TypedView for Tensor {
    const KIND: TypeKind = kind(None, None);
}

impl TypedView for View<'_> {
    const KIND: TypeKind = kind(None, None);
}

impl<T: Element> TypedView for [T] {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(1));
}

impl<T: Element> TypedView for Vec<T> {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(1));
}

impl<T: Element, const N: usize> TypedView for [T; N] {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(1));
}

impl<T: Element, const N: usize, const M: usize> TypedView for [[T; M]; N] {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(2));
}

macro_rules! numbers {
    ($($t:ty)*) => {$(
        impl TypedView for $t {
            const KIND: TypeKind = kind(Some(<$t as Element>::DTYPE), Some(0));
        }
    )*};
}

numbers! { half::f16 half::bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool }

#[cfg(feature = "ndarray")]
impl<T: Element, S: ndarray::Data<Elem = T>, D: ndarray::Dimension> TypedView for ndarray::ArrayBase<S, D> {
    const KIND: TypeKind = kind(Some(T::DTYPE), D::NDIM);
}

#[cfg(feature = "ndarray")]
impl<T: Element, D: ndarray::Dimension> TypedView for ndarray::ArrayRef<T, D> {
    const KIND: TypeKind = kind(Some(T::DTYPE), D::NDIM);
}

impl<T: Element> TypedView for faer::Mat<T> {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(2));
}

impl<T: Element> TypedView for faer::MatRef<'_, T> {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(2));
}

impl<T: Element> TypedView for faer::Col<T> {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(1));
}

impl<T: Element> TypedView for faer::ColRef<'_, T> {
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(1));
}

#[cfg(feature = "nalgebra")]
impl<T, R, S, const N: usize> TypedView for nalgebra::Matrix<T, R, nalgebra::Const<N>, S>
where
    T: Element,
    R: nalgebra::Dim,
    S: nalgebra::RawStorage<T, R, nalgebra::Const<N>>,
{
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(if N == 1 { 1 } else { 2 }));
}

#[cfg(feature = "nalgebra")]
impl<T, R, S> TypedView for nalgebra::Matrix<T, R, nalgebra::Dyn, S>
where
    T: Element,
    R: nalgebra::Dim,
    S: nalgebra::RawStorage<T, R, nalgebra::Dyn>,
{
    const KIND: TypeKind = kind(Some(T::DTYPE), Some(2));
}
