//! The GPU: its device, memory, pipelines, and the work that waits to be sent to it.
//!
//! The rest of the runtime sees [`Device`], [`DeviceArray`] and [`Queue`], which every build has; in one without the feature
//! `gpu` there is never a device. A device is opened when it is asked for first and shared by the whole process; one that
//! was lost is replaced by a fresh one at the next call.

mod elements;
mod error;
#[cfg(all(test, feature = "gpu"))]
mod tests;
mod text;

#[cfg(not(feature = "gpu"))]
mod absent;
#[cfg(feature = "gpu")]
mod answers;
#[cfg(feature = "gpu")]
mod device;
#[cfg(feature = "gpu")]
mod pipelines;
#[cfg(feature = "gpu")]
mod pool;
#[cfg(feature = "gpu")]
mod queue;
#[cfg(feature = "gpu")]
mod rounding;
#[cfg(feature = "gpu")]
mod units;

#[cfg(not(feature = "gpu"))]
pub(crate) use absent::{Device, DeviceArray, Queue};
#[cfg(feature = "gpu")]
pub(crate) use device::Device;
pub(crate) use elements::device_bytes;
pub use error::GpuError;
#[cfg(feature = "gpu")]
pub(crate) use pool::DeviceArray;
#[cfg(feature = "gpu")]
pub(crate) use queue::Queue;
pub use text::wgsl;

use matex_codegen_gpu::{Scatter, Schedule};
use matex_ir::loops::Kernel;

/// What the device of this process is and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// The name that its driver gives it.
    pub name: String,
    /// The driver, and the interface that it is reached by.
    pub driver: String,
    /// Whether it is the CPU that a driver in software computes on.
    pub software: bool,
    /// The most bytes that a kernel can be bound to in one piece.
    pub binding_bytes: u64,
    /// How many arrays a kernel can be bound to.
    pub bindings: usize,
    /// The bytes of all arrays that are held, those included that wait to be used again.
    pub bytes: u64,
    /// The side of the small matrices of halves that its units multiply, where it has such units.
    pub units: Option<u32>,
    /// The number of pipelines that were made.
    pub pipelines: u64,
    /// The bytes that were copied to it since it was opened.
    pub uploaded: u64,
    /// The bytes that were copied back since it was opened.
    pub downloaded: u64,
}

/// Whether this build can use a GPU.
pub const HAS_GPU: bool = cfg!(feature = "gpu");

/// The device of this process, which is opened where it was not yet.
///
/// # Errors
/// When there is none, with what was looked for.
pub fn gpu_info() -> Result<GpuInfo, GpuError> {
    Device::get().map(|device| device.info())
}

/// Does something once the GPU has done all that calls of this process sent so far, at once where there is none. The
/// caller waits for nothing.
pub fn after_gpu(then: impl FnOnce() + Send + 'static) {
    match Device::opened() {
        Some(device) => device.when_done(then),
        None => then(),
    }
}

/// What a device runs.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "nothing runs where there is no device"))]
pub(crate) enum Code<'a> {
    Kernel {
        kernel: &'a Kernel,
        schedule: Schedule,
        /// For each operand the first one that is bound to the same array.
        shares: &'a [usize],
    },
    Scatter(Scatter),
}

/// A run of a kernel on a device.
#[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "nothing runs where there is no device"))]
pub(crate) struct Dispatch<'a> {
    pub(crate) code: Code<'a>,
    /// The array of each operand.
    pub(crate) arrays: &'a [std::sync::Arc<DeviceArray>],
    /// The words of [`matex_codegen_gpu::Run`] or [`matex_codegen_gpu::Lines`].
    pub(crate) words: &'a [i32],
    /// The number of parallel points.
    pub(crate) points: i64,
    /// The first byte that each operand is bound from and how many, where arrays are not bound whole.
    pub(crate) windows: Option<&'a [(u64, u64)]>,
    /// Whether all places that it reads and writes were found to be inside of what is bound.
    pub(crate) proven: bool,
    /// The word that a kernel that gathers sets when an index is out of range.
    pub(crate) flag: Option<&'a std::sync::Arc<DeviceArray>>,
}
