//! Tensors, and the execution of compiled programs on the CPU.
//!
//! [`Tensor`] and the views are how data comes in and goes out. An [`Executable`] is a function of the tensor IR with
//! its plan and its kernels, ready to be called with any sizes.

mod calibrate;
mod exec;
mod gpu;
mod lib_ops;
mod pool;
mod resident;
mod tensor;

pub use calibrate::calibrate;
pub use exec::{Again, CallOptions, Engine, ExecError, Executable, HostCopy, PrepareOptions, Warning};
pub use gpu::{GpuError, GpuInfo, HAS_GPU, after_gpu, gpu_info, wgsl};
pub use lib_ops::LinalgInfo;
pub use matex_codegen_cpu::{CompileError, Compiled, Emitter, KernelCache, Line, Simd};
pub use matex_passes::LayoutClass;
pub use pool::spawn;
pub use resident::{AsArg, DeviceTensor, Given, Value};
pub(crate) use tensor::contiguous_strides;
pub use tensor::{
    ALIGNMENT, AsView, AsViewMut, Buffer, Dims, Element, FromTensor, FromTensors, LayoutCheck, MAX_RANK,
    Strides, Tensor, TensorError, TypeKind, TypedView, View, ViewMut,
};

/// The linear algebra library of this build.
pub fn linalg_info() -> LinalgInfo {
    (lib_ops::LinalgEngine::current().about)()
}
