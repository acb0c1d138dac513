//! Tensors, and the execution of compiled programs on the CPU.
//!
//! [`Tensor`] and the views are how data comes in and goes out. An [`Executable`] is a function of the tensor IR with
//! its plan and its kernels, ready to be called with any sizes.

mod exec;
mod lib_ops;
mod tensor;

pub use exec::{CallOptions, Engine, ExecError, Executable, PrepareOptions};
pub use matex_codegen_cpu::{CompileError, Compiled, Emitter, Simd};
pub use matex_passes::LayoutClass;
pub use tensor::{
    ALIGNMENT, AsView, AsViewMut, Buffer, Dims, Element, FromTensor, FromTensors, MAX_RANK, Strides, Tensor,
    TensorError, TypeKind, TypedView, View, ViewMut,
};

/// The name of the linear algebra library in use.
pub fn linalg_engine() -> &'static str {
    lib_ops::LinalgEngine::current().name
}
