//! What can go wrong with a device.

use std::fmt;

/// Why the GPU did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuError {
    /// There is no device; what was looked for.
    Absent(String),
    /// The driver gave up on it. The next call gets a fresh one.
    Lost(String),
    /// So many bytes could not be had.
    OutOfMemory(u64),
    /// There is no code for a kernel, or the device refused it: a bug in matex or in the driver.
    Refused(String),
}

impl fmt::Display for GpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuError::Absent(why) => write!(f, "there is no GPU: {why}"),
            GpuError::Lost(why) => write!(f, "the GPU was lost: {why}"),
            GpuError::OutOfMemory(bytes) => {
                write!(f, "the GPU is out of memory: {bytes} bytes were asked for")
            }
            GpuError::Refused(why) => write!(f, "the GPU refused a kernel: {why}"),
        }
    }
}

impl std::error::Error for GpuError {}
