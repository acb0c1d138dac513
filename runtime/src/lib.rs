//! The runtime crate.

mod tensor;

pub use tensor::{
    ALIGNMENT, AsView, AsViewMut, Buffer, Dims, Element, FromTensor, MAX_RANK, Strides, Tensor, TensorError,
    View, ViewMut,
};
