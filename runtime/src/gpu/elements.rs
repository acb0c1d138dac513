//! Elements between the host and the device, where a truth value takes a word: threads there cannot write bytes.

use super::{DeviceArray, GpuError, Queue};
use matex_ir::DType;
use std::sync::Arc;

/// The bytes on the device of so many of the host.
pub(crate) fn device_bytes(dtype: DType, bytes: u64) -> u64 {
    if dtype == DType::Bool { bytes.saturating_mul(4) } else { bytes }
}

impl Queue {
    /// Fills an array with the host's elements.
    pub(crate) fn put(
        &mut self,
        array: &Arc<DeviceArray>,
        dtype: DType,
        bytes: &[u8],
    ) -> Result<(), GpuError> {
        if dtype != DType::Bool {
            return self.upload(array, bytes);
        }
        let words: Vec<u8> = bytes.iter().flat_map(|b| u32::from(*b).to_le_bytes()).collect();
        self.upload(array, &words)
    }

    /// Waits for all work, and copies the elements of an array to the host.
    pub(crate) fn fetch(
        &mut self,
        array: &Arc<DeviceArray>,
        dtype: DType,
        target: &mut [u8],
    ) -> Result<(), GpuError> {
        if dtype != DType::Bool {
            return self.download(array, target);
        }
        let mut words = vec![0; target.len() * 4];
        self.download(array, &mut words)?;
        for (byte, word) in target.iter_mut().zip(words.chunks_exact(4)) {
            *byte = u8::from(word != [0; 4]);
        }
        Ok(())
    }
}
