//! What a call is given for a parameter: memory of the host, or a value that may be on the GPU.

use super::DeviceTensor;
use crate::{AsView, ExecError, View};
use matex_ir::DType;

/// A value for a parameter.
///
/// ```
/// # use matex_runtime as matex;
/// use matex::{AsArg, Value};
/// assert!(matches!([1.0, 2.0].as_arg(), Value::Host(view) if view.len() == 2));
/// ```
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Memory of the host.
    Host(View<'a>),
    /// A value that stays where it is.
    Device(&'a DeviceTensor),
}

/// What can be given to a call: all that is a view, and values that stay on the GPU.
///
/// ```
/// # use matex_runtime as matex;
/// use matex::AsArg;
/// let args: [&dyn AsArg; 2] = [&[1.0, 2.0], &3_i64];
/// assert_eq!(args.len(), 2);
/// ```
pub trait AsArg {
    /// The value.
    fn as_arg(&self) -> Value<'_>;
}

impl<T: AsView + ?Sized> AsArg for T {
    fn as_arg(&self) -> Value<'_> {
        Value::Host(self.as_view())
    }
}

impl AsArg for DeviceTensor {
    fn as_arg(&self) -> Value<'_> {
        Value::Device(self)
    }
}

/// What calls need to know of a value before they look at its elements.
pub trait Given {
    /// The element type.
    fn dtype(&self) -> DType;

    /// The extents.
    fn shape(&self) -> &[usize];

    /// The steps of the axes, in elements.
    fn strides(&self) -> &[isize];

    /// Whether the elements lie one after the other in row-major order.
    fn is_contiguous(&self) -> bool;

    /// The value, where it may be on the GPU.
    fn device(&self) -> Option<&DeviceTensor>;

    /// The elements on the host.
    ///
    /// # Errors
    /// As for [`DeviceTensor::host`].
    fn host(&self) -> Result<View<'_>, ExecError>;

    /// The number of axes.
    fn rank(&self) -> usize {
        self.shape().len()
    }

    /// The value of an integer scalar, which may size results; none past the i64 range.
    fn integer(&self) -> Option<i64> {
        if self.rank() > 0 || !self.dtype().is_int() {
            return None;
        }
        // One that cannot be read is told by who settles it before.
        self.host().ok().and_then(|view| view.integer())
    }
}

impl Given for View<'_> {
    #[inline]
    fn dtype(&self) -> DType {
        View::dtype(self)
    }

    #[inline]
    fn shape(&self) -> &[usize] {
        View::shape(self)
    }

    #[inline]
    fn strides(&self) -> &[isize] {
        View::strides(self)
    }

    #[inline]
    fn is_contiguous(&self) -> bool {
        View::is_contiguous(self)
    }

    fn device(&self) -> Option<&DeviceTensor> {
        None
    }

    fn host(&self) -> Result<View<'_>, ExecError> {
        Ok(self.clone())
    }

    #[inline]
    fn integer(&self) -> Option<i64> {
        View::integer(self)
    }
}

impl Given for Value<'_> {
    fn dtype(&self) -> DType {
        match self {
            Value::Host(view) => view.dtype(),
            Value::Device(value) => value.dtype(),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Value::Host(view) => view.shape(),
            Value::Device(value) => value.shape(),
        }
    }

    fn strides(&self) -> &[isize] {
        match self {
            Value::Host(view) => view.strides(),
            Value::Device(value) => value.strides(),
        }
    }

    fn is_contiguous(&self) -> bool {
        match self {
            Value::Host(view) => view.is_contiguous(),
            Value::Device(_) => true,
        }
    }

    fn device(&self) -> Option<&DeviceTensor> {
        match self {
            Value::Host(_) => None,
            Value::Device(value) => Some(value),
        }
    }

    fn host(&self) -> Result<View<'_>, ExecError> {
        match self {
            Value::Host(view) => Ok(view.clone()),
            Value::Device(value) => Ok(value.host()?.as_view()),
        }
    }
}

impl Value<'_> {
    /// Reads an integer scalar, which sizes may depend on, so that what looks at it later cannot fail.
    ///
    /// # Errors
    /// As for [`DeviceTensor::host`].
    pub fn settle(&self) -> Result<(), ExecError> {
        match self {
            Value::Device(value) if value.shape().is_empty() && value.dtype().is_int() => {
                value.host().map(|_| ())
            }
            Value::Host(_) | Value::Device(_) => Ok(()),
        }
    }
}
