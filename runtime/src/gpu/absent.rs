//! A build without the feature `gpu`: there is never a device, and the types are those of things that do not exist.

use super::{Dispatch, GpuError, GpuInfo};
use std::sync::Arc;

/// A device, of which there is none.
#[derive(Debug)]
pub(crate) enum Device {}

/// An array on a device.
#[derive(Debug)]
pub(crate) enum DeviceArray {}

/// What waits to be sent to a device.
#[derive(Debug)]
pub(crate) struct Queue(Arc<Device>);

impl Device {
    pub(crate) fn get() -> Result<Arc<Device>, GpuError> {
        Err(GpuError::Absent(
            "this build of matex has no GPU engine; one with the feature `gpu` has".to_owned(),
        ))
    }

    pub(crate) fn opened() -> Option<Arc<Device>> {
        None
    }

    pub(crate) fn when_done(self: &Arc<Device>, _: impl FnOnce() + Send + 'static) {
        match **self {}
    }

    pub(crate) fn info(&self) -> GpuInfo {
        match *self {}
    }

    pub(crate) fn queue(self: &Arc<Device>) -> Queue {
        Queue(self.clone())
    }

    pub(crate) fn binding_bytes(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn caps(&self) -> matex_codegen_gpu::Caps {
        match *self {}
    }

    pub(crate) fn buffer_bytes(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn window_alignment(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn bindings(&self) -> usize {
        match *self {}
    }

    pub(crate) fn array(self: &Arc<Device>, _: u64) -> Result<Arc<DeviceArray>, GpuError> {
        match **self {}
    }
}

impl DeviceArray {
    pub(crate) fn bytes(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn device(&self) -> Option<Arc<Device>> {
        match *self {}
    }
}

impl Queue {
    pub(crate) fn send(&mut self) -> Result<(), GpuError> {
        match *self.0 {}
    }

    pub(crate) fn upload(&mut self, _: &Arc<DeviceArray>, _: &[u8]) -> Result<(), GpuError> {
        match *self.0 {}
    }

    pub(crate) fn download(&mut self, _: &Arc<DeviceArray>, _: &mut [u8]) -> Result<(), GpuError> {
        match *self.0 {}
    }

    pub(crate) fn copy(&mut self, _: &Arc<DeviceArray>, _: &Arc<DeviceArray>) -> Result<(), GpuError> {
        match *self.0 {}
    }

    pub(crate) fn clear(&mut self, _: &Arc<DeviceArray>) -> Result<(), GpuError> {
        match *self.0 {}
    }

    pub(crate) fn run(&mut self, _: &Dispatch<'_>) -> Result<(), GpuError> {
        match *self.0 {}
    }
}
