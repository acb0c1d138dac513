//! Values that stay where a call made them: on the GPU, on the host, or on both.
//!
//! A [`Tensor`] is memory of the host, which everybody may read at any time and without an error. What is on a device can
//! be lost with it, so that it is another type, whose one way to the elements is a `Result`. Either copy is made when it is
//! needed first, once, and never changes: whoever is to write over a value that is lent to a call takes a copy of it.

mod given;

pub use given::{AsArg, Given, Value};

use crate::gpu::{Device, DeviceArray, GpuError, device_bytes};
use crate::{Buffer, Dims, ExecError, Strides, Tensor, TensorError, contiguous_strides};
use matex_ir::{DType, Span};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// An array of which there is a copy on the host, on the GPU, or on both. Cloning one is cheap.
///
/// ```
/// use matex_runtime::{DeviceTensor, Tensor};
/// let t = DeviceTensor::from_tensor(&Tensor::from_vec(&[2], vec![1.0, 2.5])?)?;
/// assert!(t.is_on_host() && !t.is_on_gpu());
/// assert_eq!(t.host().unwrap().to_string(), "[1.0, 2.5]");
/// # Ok::<(), matex_runtime::TensorError>(())
/// ```
#[derive(Clone)]
pub struct DeviceTensor(Arc<Shared>);

struct Shared {
    dtype: DType,
    shape: Dims,
    strides: Strides,
    host: OnceLock<Tensor>,
    /// The device's copy. Locked while the host's is made, so that there is one reading at most.
    array: Mutex<Option<Arc<DeviceArray>>>,
}

impl DeviceTensor {
    /// A value on the host, which shares the memory of a contiguous tensor and copies that of another.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] and [`TensorError::TooLarge`] when it has to be copied.
    pub fn from_tensor(tensor: &Tensor) -> Result<DeviceTensor, TensorError> {
        let tensor = tensor.contiguous()?;
        let made = DeviceTensor::without_copies(tensor.dtype(), tensor.shape().into());
        // Nobody else knows it yet.
        let _ = made.0.host.set(tensor);
        Ok(made)
    }

    /// A value that the device has in row-major order.
    pub(crate) fn on_gpu(dtype: DType, shape: Dims, array: Arc<DeviceArray>) -> DeviceTensor {
        let made = DeviceTensor::without_copies(dtype, shape);
        made.keep(array);
        made
    }

    fn without_copies(dtype: DType, shape: Dims) -> DeviceTensor {
        let strides = contiguous_strides(&shape);
        DeviceTensor(Arc::new(Shared {
            dtype,
            shape,
            strides,
            host: OnceLock::new(),
            array: Mutex::new(None),
        }))
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The extents.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The steps of the axes in elements, those of row-major order.
    pub fn strides(&self) -> &[isize] {
        &self.0.strides
    }

    /// The bytes of the elements on the host.
    pub fn bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.dtype().size()
    }

    /// Whether reading it copies nothing any more.
    pub fn is_on_host(&self) -> bool {
        self.0.host.get().is_some()
    }

    /// Whether a call on the GPU copies nothing for it any more.
    pub fn is_on_gpu(&self) -> bool {
        Device::opened().is_some_and(|device| self.array_on(&device).is_some())
    }

    /// The elements on the host: waits for the GPU and copies them when that is asked for first.
    ///
    /// # Errors
    /// [`ExecError::Gpu`] when the device was lost with the only copy, [`ExecError::OutOfMemory`].
    pub fn host(&self) -> Result<&Tensor, ExecError> {
        if self.0.host.get().is_none() {
            let array = self.array();
            // Another thread may have read it while this one waited.
            if self.0.host.get().is_none() {
                let _ = self.0.host.set(self.read(array.as_ref())?);
            }
        }
        self.0.host.get().ok_or_else(|| ExecError::Internal("a value that was not read".to_owned()))
    }

    /// Copies the elements to the GPU, unless they are there.
    ///
    /// # Errors
    /// [`ExecError::Gpu`] when there is no device, or it was lost with the only copy, [`ExecError::OutOfMemory`].
    pub fn to_gpu(&self) -> Result<(), ExecError> {
        let device = Device::get().map_err(ExecError::Gpu)?;
        if self.array_on(&device).is_some() {
            return Ok(());
        }
        let tensor = self.host()?;
        let (start, bytes) = (tensor.offset() * self.dtype().size(), self.bytes());
        let elements = tensor.buffer().as_bytes().get(start..start + bytes);
        let elements = elements.ok_or_else(|| ExecError::Internal("a tensor outside its buffer".into()))?;
        let array = device.array(device_bytes(self.dtype(), bytes as u64)).map_err(failed)?;
        device.queue().put(&array, self.dtype(), elements).map_err(failed)?;
        self.keep(array);
        Ok(())
    }

    fn array(&self) -> MutexGuard<'_, Option<Arc<DeviceArray>>> {
        // It is written in one go, so that a poisoned one is whole.
        self.0.array.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The copy on a device; none where it is on another one, which was lost.
    pub(crate) fn array_on(&self, device: &Arc<Device>) -> Option<Arc<DeviceArray>> {
        let here = |a: &&Arc<DeviceArray>| a.device().is_some_and(|d| Arc::ptr_eq(&d, device));
        self.array().as_ref().filter(here).cloned()
    }

    /// Takes a copy on the device for the calls to come.
    pub(crate) fn keep(&self, array: Arc<DeviceArray>) {
        *self.array() = Some(array);
    }

    fn read(&self, array: Option<&Arc<DeviceArray>>) -> Result<Tensor, ExecError> {
        let array = array.ok_or_else(|| ExecError::Internal("a value that is nowhere".to_owned()))?;
        let gone = || ExecError::Gpu(GpuError::Lost("it had the only copy of a value".to_owned()));
        let device = array.device().ok_or_else(gone)?;
        let bytes = self.bytes();
        let refused = |_| ExecError::OutOfMemory { bytes: bytes as u64, origin: Span::default() };
        let mut buffer = Buffer::zeroed(bytes).map_err(refused)?;
        device.queue().fetch(array, self.dtype(), buffer.as_mut_bytes()).map_err(failed)?;
        Tensor::from_parts(self.dtype(), self.shape(), self.strides(), 0, Arc::new(buffer))
            .map_err(|e| ExecError::Internal(e.to_string()))
    }
}

fn failed(error: GpuError) -> ExecError {
    match error {
        GpuError::OutOfMemory(bytes) => ExecError::OutOfMemory { bytes, origin: Span::default() },
        GpuError::Absent(_) | GpuError::Lost(_) | GpuError::Refused(_) => ExecError::Gpu(error),
    }
}

/// What it is and where, and no elements: reading them might fail.
impl fmt::Debug for DeviceTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = match (self.is_on_host(), self.is_on_gpu()) {
            (true, true) => "host and GPU",
            (true, false) => "host",
            (false, _) => "GPU",
        };
        write!(f, "DeviceTensor({}{:?} on {places})", self.dtype(), self.shape())
    }
}
