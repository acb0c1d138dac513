//! Memory of the device, in pieces of a few sizes that are used again.
//!
//! The driver fills fresh memory with zeros before it is used first, so that a piece that is used again saves a whole
//! pass over it. One array is one piece: an array must not be bound as read and as written at a time, even where the parts
//! are apart.

use super::GpuError;
use super::device::{Device, lock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// How many bytes wait to be used again at most.
const IDLE_BYTES: u64 = 1 << 30;

/// The memory that waits, and how much there is.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
    bytes: AtomicU64,
    /// The most bytes there may be, for tests of what happens then; 0 for what the driver gives.
    cap: AtomicU64,
}

#[derive(Debug, Default)]
struct Idle {
    pieces: BTreeMap<u64, Vec<wgpu::Buffer>>,
    bytes: u64,
}

/// An array on a device.
#[derive(Debug)]
pub(crate) struct DeviceArray {
    /// Gone only while it is dropped.
    buffer: Option<wgpu::Buffer>,
    device: Weak<Device>,
}

impl DeviceArray {
    /// The device that it is on, while that is there.
    pub(crate) fn device(&self) -> Option<Arc<Device>> {
        self.device.upgrade()
    }

    /// The bytes of its memory, which may be more than were asked for.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffer.as_ref().map_or(0, wgpu::Buffer::size)
    }

    pub(super) fn buffer(&self) -> Result<&wgpu::Buffer, GpuError> {
        self.buffer.as_ref().ok_or_else(|| GpuError::Refused("an array without memory".to_owned()))
    }
}

impl Drop for DeviceArray {
    fn drop(&mut self) {
        if let (Some(device), Some(buffer)) = (self.device.upgrade(), self.buffer.take()) {
            device.pool.give(buffer);
        }
    }
}

/// The size of the piece that holds so many bytes: a power of two, or one and a half.
fn class(bytes: u64) -> u64 {
    let whole = bytes.max(256).next_power_of_two();
    let less = whole / 4 * 3;
    if bytes <= less { less } else { whole }
}

impl Pool {
    /// The bytes of all pieces.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Refuses what makes more than so many bytes, as a device without memory would; 0 ends that.
    #[cfg(test)]
    pub(super) fn set_cap(&self, bytes: u64) {
        self.cap.store(bytes, Ordering::Relaxed);
    }

    fn give(&self, buffer: wgpu::Buffer) {
        let size = buffer.size();
        let mut idle = lock(&self.idle);
        if idle.bytes + size > IDLE_BYTES {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        idle.bytes += size;
        idle.pieces.entry(size).or_default().push(buffer);
    }

    fn take(&self, size: u64) -> Option<wgpu::Buffer> {
        let mut idle = lock(&self.idle);
        let buffer = idle.pieces.get_mut(&size)?.pop()?;
        idle.bytes -= size;
        Some(buffer)
    }

    /// Lets go of all that waits.
    fn drain(&self) {
        let dropped = std::mem::take(&mut *lock(&self.idle));
        self.bytes.fetch_sub(dropped.bytes, Ordering::Relaxed);
    }

    fn within_cap(&self, size: u64) -> bool {
        let cap = self.cap.load(Ordering::Relaxed);
        cap == 0 || self.bytes() + size <= cap
    }
}

impl Device {
    /// An array of at least so many bytes, contents unspecified. A multiple of four is what can be copied.
    pub(crate) fn array(self: &Arc<Device>, bytes: u64) -> Result<Arc<DeviceArray>, GpuError> {
        self.check()?;
        // A class above the limit would refuse what fits.
        let exact = bytes.max(4).next_multiple_of(4);
        let size = class(bytes).min(self.binding_bytes() / 4 * 4).max(exact);
        let buffer = match self.pool.take(size) {
            Some(buffer) => buffer,
            None => match self.fresh(size) {
                Err(GpuError::OutOfMemory(_)) => {
                    self.pool.drain();
                    self.fresh(size)?
                }
                other => other?,
            },
        };
        Ok(Arc::new(DeviceArray { buffer: Some(buffer), device: Arc::downgrade(self) }))
    }

    fn fresh(&self, size: u64) -> Result<wgpu::Buffer, GpuError> {
        if !self.pool.within_cap(size) {
            return Err(GpuError::OutOfMemory(size));
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let buffer = self.guarded(size, || self.device.create_buffer(&descriptor))?;
        self.pool.bytes.fetch_add(size, Ordering::Relaxed);
        Ok(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_a_third_at_most() {
        assert_eq!([1, 192, 256, 257, 384, 385, 1 << 20].map(class), [192, 192, 256, 384, 384, 512, 1 << 20]);
    }
}
