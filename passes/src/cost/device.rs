//! What work costs on a device with memory of its own.

/// The constants of a device, as [`CostModel`](super::CostModel) has those of the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceModel {
    /// Simple operations in single precision in a nanosecond.
    pub arithmetic: f64,
    /// Bytes that move in its memory in a nanosecond.
    pub memory: f64,
    /// What it takes to start a kernel on it, in nanoseconds.
    pub launch: f64,
}

impl DeviceModel {
    /// Those of no particular device: round numbers, of the order that the data sheets of cards for one machine have.
    pub const FIXED: DeviceModel = DeviceModel { arithmetic: 8000.0, memory: 500.0, launch: 5000.0 };
}
