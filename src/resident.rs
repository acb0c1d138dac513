//! Values that stay on the GPU between calls, and calls that leave their results there.

use crate::arguments::Arg;
use crate::error::{Error, guarded};
use crate::function::{CallOptions, Function, Warnings};
use crate::options::Device;
use crate::outputs::Outputs;
use matex_lang::{Diagnostic, codes};
use matex_runtime::{AsArg, AsView, ExecError, Tensor, Value};
use std::cell::RefCell;
use std::fmt;

/// An array that stays where it is: on the GPU, on the host, or on both. Cloning one is cheap.
///
/// It is what [`Function::call_resident`] gives, and it may be given to any call. Each copy is made when it is needed
/// first, and kept: a value that is used on the GPU in many calls goes there once, and one that nobody reads is never
/// copied back. A [`Tensor`] can be read at any time and without an error; what is on a device can be lost with it, so
/// that [`tensor`](DeviceTensor::tensor) is a `Result`.
///
/// ```
/// use matex::{DeviceTensor, Tensor};
/// let half = matex::compile("x / 2")?;
/// let x = DeviceTensor::new(&[1.0, 3.0])?;
/// let once = half.call_resident(&[&x])?.into_single()?;
/// let twice = half.call_resident(&[&once])?.into_single()?;
/// assert_eq!(twice.tensor()?.to_string(), "[0.25, 0.75]");
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone)]
pub struct DeviceTensor(matex_runtime::DeviceTensor);

impl DeviceTensor {
    /// A copy of a value, on the host; [`from_tensor`](DeviceTensor::from_tensor) copies nothing.
    ///
    /// # Errors
    /// E0604 when there is no memory for it.
    ///
    /// ```
    /// let x = matex::DeviceTensor::new(&[[1.0f32, 2.0], [3.0, 4.0]])?;
    /// assert_eq!((x.dtype(), x.shape()), (matex::DType::F32, &[2, 2][..]));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn new(value: &dyn AsView) -> Result<DeviceTensor, Error> {
        let tensor = value.as_view().to_tensor();
        DeviceTensor::from_tensor(&tensor.map_err(|e| no_memory(&e.to_string()))?)
    }

    /// A value on the host that shares the memory of a tensor, or copies it where its strides are not those of row-major
    /// order.
    ///
    /// # Errors
    /// As for [`new`](DeviceTensor::new).
    ///
    /// ```
    /// let t = matex::Tensor::from_slice(&[2], &[1, 2])?;
    /// assert_eq!(matex::DeviceTensor::from_tensor(&t)?.tensor()?, t);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_tensor(tensor: &Tensor) -> Result<DeviceTensor, Error> {
        let made = matex_runtime::DeviceTensor::from_tensor(tensor);
        made.map(DeviceTensor).map_err(|e| no_memory(&e.to_string()))
    }

    /// The value with a copy on a device, made now where there is none; those that it has stay. `auto` is the CPU.
    ///
    /// # Errors
    /// E0606 when there is no such device, E0605 when it was lost with the only copy, E0604 when there is no memory.
    ///
    /// ```
    /// use matex::{Device, DeviceTensor};
    /// let x = DeviceTensor::new(&[1.0f32, 2.0])?;
    /// match x.to(Device::Gpu) {
    ///     Ok(there) => assert!(there.is_on(Device::Gpu)),
    ///     Err(none) => assert_eq!(none.code().to_string(), "E0606"),
    /// }
    /// assert!(x.to(Device::Cpu)?.is_on(Device::Cpu));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn to(&self, device: Device) -> Result<DeviceTensor, Error> {
        match device {
            Device::Gpu => self.0.to_gpu().map_err(|e| failed(&e))?,
            Device::Cpu | Device::Auto => self.0.host().map(|_| ()).map_err(|e| failed(&e))?,
        }
        Ok(self.clone())
    }

    /// The elements: waits for the GPU and copies them when that is asked for first.
    ///
    /// # Errors
    /// E0605 when the device was lost with the only copy, E0604 when there is no memory for it.
    ///
    /// ```
    /// let out = matex::compile("x + 1")?.call_resident(&[&1.5])?;
    /// assert_eq!(out[0].tensor()?.to_string(), "2.5");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn tensor(&self) -> Result<Tensor, Error> {
        self.0.host().cloned().map_err(|e| failed(&e))
    }

    /// Whether there is a copy on a device. `auto` is the CPU.
    ///
    /// ```
    /// use matex::Device;
    /// let x = matex::DeviceTensor::new(&1.5)?;
    /// assert!(x.is_on(Device::Cpu) && !x.is_on(Device::Gpu));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn is_on(&self, device: Device) -> bool {
        match device {
            Device::Gpu => self.0.is_on_gpu(),
            Device::Cpu | Device::Auto => self.0.is_on_host(),
        }
    }

    /// The element type.
    ///
    /// ```
    /// assert_eq!(matex::DeviceTensor::new(&[1.5_f32])?.dtype(), matex::DType::F32);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn dtype(&self) -> matex_ir::DType {
        self.0.dtype()
    }

    /// The extents.
    ///
    /// ```
    /// assert_eq!(matex::DeviceTensor::new(&[[1.5, 2.5]])?.shape(), [1, 2]);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// The bytes of the elements on the host.
    ///
    /// ```
    /// assert_eq!(matex::DeviceTensor::new(&[1.5, 2.5])?.bytes(), 16);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Dtype and shape in a word, as programs write them.
    ///
    /// ```
    /// assert_eq!(matex::DeviceTensor::new(&[1.5, 2.5])?.describe(), "f64[2]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn describe(&self) -> String {
        crate::arguments::describe(&Value::Device(&self.0))
    }
}

impl Outputs<DeviceTensor> {
    /// The results on the host, read where they are not there.
    ///
    /// # Errors
    /// As for [`DeviceTensor::tensor`].
    ///
    /// ```
    /// let out = matex::compile("{ m = x + 1; return m, m * 2 }")?.call_resident(&[&1.5])?;
    /// assert_eq!(out.read()?.get("m").unwrap().to_string(), "2.5");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn read(&self) -> Result<Outputs, Error> {
        self.try_map(DeviceTensor::tensor)
    }
}

impl AsArg for DeviceTensor {
    fn as_arg(&self) -> Value<'_> {
        Value::Device(&self.0)
    }
}

impl fmt::Debug for DeviceTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn failed(error: &ExecError) -> Error {
    Error::plain(Diagnostic::new(error.code(), error.to_string()))
}

fn no_memory(why: &str) -> Error {
    Error::plain(Diagnostic::new(codes::OUT_OF_MEMORY, why))
}

impl Function {
    /// Calls it and leaves the results where they are made: of a program for the GPU those that are made there, which
    /// nobody waits for. A call that takes them needs no copy.
    ///
    /// # Errors
    /// As for [`call`](Function::call). What goes wrong on a device after the call is told when a result is read, by this
    /// call or by those that took it.
    ///
    /// ```
    /// let step = matex::compile("x * 0.5 + 1")?;
    /// let mut x = step.call_resident(&[&[4.0, 8.0]])?.into_single()?;
    /// for _ in 0..2 {
    ///     x = step.call_resident(&[&x])?.into_single()?;
    /// }
    /// assert_eq!(x.tensor()?.to_string(), "[2.25, 2.75]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn call_resident(&self, args: &[&dyn AsArg]) -> Result<Outputs<DeviceTensor>, Error> {
        let args: Vec<Arg<'_>> = args.iter().map(|a| Arg::new(*a)).collect();
        self.call_resident_with(&CallOptions::new(), &args)
    }

    /// [`call_resident`](Function::call_resident) with options, and with values by place, by name, or as literals.
    ///
    /// # Errors
    /// As for [`call_resident`](Function::call_resident).
    ///
    /// ```
    /// use matex::{Arg, CallOptions, DeviceTensor};
    /// let x = DeviceTensor::new(&[1.0, 2.0])?;
    /// let args = [Arg::named("x", &x), Arg::named("k", &3.0)];
    /// let out = matex::compile("k * x")?.call_resident_with(&CallOptions::new(), &args)?;
    /// assert_eq!(out[0].tensor()?.to_string(), "[3.0, 6.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn call_resident_with(
        &self,
        options: &CallOptions,
        args: &[Arg<'_>],
    ) -> Result<Outputs<DeviceTensor>, Error> {
        let warnings: Warnings = RefCell::default();
        let (results, names) =
            guarded(|| self.with_ready(args, |ready| ready.run_resident(self, options, &warnings)))?;
        let results = results.into_iter().map(DeviceTensor).collect();
        Outputs::new(results, names, self.warnings(warnings))
    }
}
