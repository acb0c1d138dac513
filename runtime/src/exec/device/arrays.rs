//! The device's arrays of a call's buffers: brought up to date, copied before they are written to, and the word by which a run
//! says that an index was out of range.

use super::{Copy, Fresh, NOTHING, Residence};
use crate::exec::machine::Machine;
use crate::exec::{ExecError, internal};
use crate::gpu::{DeviceArray, GpuError, device_bytes};
use matex_ir::Span;
use matex_passes::plan::BufferId;
use std::sync::Arc;

/// A call and its side on the device, while something runs there.
pub(super) struct Side<'r, 'e> {
    pub(super) machine: &'r mut Machine<'e>,
    pub(super) residence: Box<Residence>,
    /// What runs comes from there in the source.
    pub(super) origin: Span,
}

impl Side<'_, '_> {
    /// The bytes of a buffer on the device.
    pub(super) fn bytes(&self, buffer: BufferId) -> u64 {
        let held = self.machine.state.memory[buffer.0 as usize].bounds();
        let bytes = held.map_or(0, |(_, low, high)| u64::try_from(high - low).unwrap_or(0));
        device_bytes(self.machine.exe.plan.buffer(buffer).dtype, bytes)
    }

    /// The byte of the host's memory that is the first one on the device.
    pub(super) fn low(&self, buffer: BufferId) -> i64 {
        self.machine.state.memory[buffer.0 as usize].bounds().map_or(0, |(_, low, _)| low)
    }

    /// The array of a buffer, up to date; no other buffer has it where it is written.
    pub(super) fn array(&mut self, buffer: BufferId, written: bool) -> Result<Arc<DeviceArray>, ExecError> {
        let copy = self.residence.copies[buffer.0 as usize].clone();
        match (copy.fresh, copy.array) {
            // Written by this very run, which reads it too.
            (Fresh::Neither, Some(array)) => Ok(array),
            // What was never written and is read has no elements.
            (Fresh::Neither, None) => {
                let array = self.fresh(self.bytes(buffer))?;
                self.residence.copies[buffer.0 as usize] = Copy { array: Some(array.clone()), ..NOTHING };
                Ok(array)
            }
            (Fresh::Both | Fresh::Device, Some(array)) if written && self.residence.is_shared(buffer) => {
                let own = self.fresh(self.bytes(buffer))?;
                self.residence.queue.copy(&array, &own).map_err(ExecError::Gpu)?;
                self.residence.copies[buffer.0 as usize].array = Some(own.clone());
                Ok(own)
            }
            (Fresh::Both | Fresh::Device, Some(array)) => Ok(array),
            (Fresh::Host | Fresh::Both | Fresh::Device, _) => self.upload(buffer),
        }
    }

    /// A buffer is on the device only from now on.
    pub(super) fn written(&mut self, buffer: BufferId) {
        self.residence.copies[buffer.0 as usize].fresh = Fresh::Device;
    }

    pub(super) fn fresh(&self, bytes: u64) -> Result<Arc<DeviceArray>, ExecError> {
        self.residence.device.array(bytes).map_err(|e| match e {
            GpuError::OutOfMemory(bytes) => ExecError::OutOfMemory { bytes, origin: self.origin },
            GpuError::Absent(_) | GpuError::Lost(_) | GpuError::Refused(_) => ExecError::Gpu(e),
        })
    }

    fn upload(&mut self, buffer: BufferId) -> Result<Arc<DeviceArray>, ExecError> {
        let array = self.fresh(self.bytes(buffer))?;
        let memory = &self.machine.state.memory[buffer.0 as usize];
        let bytes = memory.bytes().ok_or_else(|| internal("a kernel reads what is not there"))?;
        let dtype = self.machine.exe.plan.buffer(buffer).dtype;
        self.residence.queue.put(&array, dtype, bytes).map_err(ExecError::Gpu)?;
        let copy = &mut self.residence.copies[buffer.0 as usize];
        (copy.fresh, copy.array) = (Fresh::Both, Some(array.clone()));
        if let Some(lent) = &copy.lent {
            lent.keep(array.clone());
        }
        Ok(array)
    }

    /// A cleared word to say that an index was out of range.
    pub(super) fn flag(&mut self) -> Result<Arc<DeviceArray>, ExecError> {
        let flag = self.fresh(4)?;
        self.residence.queue.clear(&flag).map_err(ExecError::Gpu)?;
        Ok(flag)
    }

    /// Waits for what was told where to read or write: what is wrong with an index is an error before anything else happens.
    pub(super) fn is_raised(&mut self, flag: &Arc<DeviceArray>) -> Result<bool, ExecError> {
        let mut word = [0; 4];
        self.residence.queue.download(flag, &mut word).map_err(ExecError::Gpu)?;
        Ok(word != [0; 4])
    }
}
