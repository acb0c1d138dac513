//! The work of one call that waits to be sent: many runs of kernels in one submission.
//!
//! Whatever reads or writes from outside (copies from and to the host) sends what waits first, so that everything happens
//! in the order in which it was asked for. Arrays that waiting work needs are held until it is sent: memory that is let go
//! may be taken by another call, whose work may be sent before.

use super::device::Device;
use super::{DeviceArray, Dispatch, GpuError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// After how many runs they are sent at the latest, so that the device has something to do meanwhile.
const RUNS: usize = 256;

/// How long an answer that is on its way is waited for.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(10);

/// The bytes of the words of all runs of a submission.
const WORDS_BYTES: u64 = 1 << 16;

/// What waits to be sent to a device.
pub(crate) struct Queue {
    device: Arc<Device>,
    waiting: Option<Waiting>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = self.waiting.as_ref().map_or(0, |w| w.runs);
        f.debug_struct("Queue").field("device", &self.device).field("runs", &runs).finish()
    }
}

struct Waiting {
    encoder: wgpu::CommandEncoder,
    /// Open as long as there are but runs of kernels.
    pass: Option<wgpu::ComputePass<'static>>,
    /// Held until the work is sent.
    arrays: Vec<Arc<DeviceArray>>,
    /// The words of the runs, which are written before the work begins.
    words: Vec<u8>,
    place: wgpu::Buffer,
    runs: usize,
}

/// A part of a buffer, or all of it.
fn window<'b>(buffer: &'b wgpu::Buffer, part: Option<&(u64, u64)>) -> wgpu::BindingResource<'b> {
    let Some((offset, bytes)) = part else { return buffer.as_entire_binding() };
    let bytes = (*bytes).min(buffer.size().saturating_sub(*offset));
    let size = std::num::NonZeroU64::new(bytes);
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: *offset, size })
}

impl Queue {
    pub(super) fn new(device: Arc<Device>) -> Queue {
        Queue { device, waiting: None }
    }

    fn waiting(&mut self) -> Result<&mut Waiting, GpuError> {
        if self.waiting.is_none() {
            let device = &self.device;
            let fresh = device.guarded(WORDS_BYTES, || {
                let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
                let size = WORDS_BYTES;
                let place = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
                let place = device.device.create_buffer(&place);
                let encoder =
                    device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                Waiting { encoder, pass: None, arrays: Vec::new(), words: Vec::new(), place, runs: 0 }
            })?;
            self.waiting = Some(fresh);
        }
        self.waiting.as_mut().ok_or_else(|| GpuError::Refused("no work was begun".to_owned()))
    }

    /// Sends what waits.
    pub(crate) fn send(&mut self) -> Result<(), GpuError> {
        let Some(Waiting { encoder, pass, arrays, words, place, .. }) = self.waiting.take() else {
            return self.device.check();
        };
        let sent = self.device.guarded(0, || {
            drop(pass);
            if !words.is_empty() {
                self.device.queue.write_buffer(&place, 0, &words);
            }
            self.device.queue.submit([encoder.finish()]);
        });
        drop(arrays);
        sent
    }

    /// Fills an array that no waiting work uses, from its beginning on.
    pub(crate) fn upload(&mut self, array: &Arc<DeviceArray>, bytes: &[u8]) -> Result<(), GpuError> {
        self.send()?;
        self.device.uploaded.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let buffer = array.buffer()?;
        let whole = bytes.len() / 4 * 4;
        self.device.guarded(bytes.len() as u64, || {
            self.device.queue.write_buffer(buffer, 0, &bytes[..whole]);
            if whole < bytes.len() {
                let mut last = [0; 4];
                last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
                self.device.queue.write_buffer(buffer, whole as u64, &last);
            }
        })
    }

    /// Copies an array into another one that is at least as large.
    pub(crate) fn copy(&mut self, from: &Arc<DeviceArray>, to: &Arc<DeviceArray>) -> Result<(), GpuError> {
        let (source, target) = (from.buffer()?.clone(), to.buffer()?.clone());
        let waiting = self.waiting()?;
        waiting.pass = None;
        waiting.encoder.copy_buffer_to_buffer(&source, 0, &target, 0, source.size().min(target.size()));
        waiting.arrays.extend([from.clone(), to.clone()]);
        Ok(())
    }

    /// Fills an array with zeros.
    pub(crate) fn clear(&mut self, array: &Arc<DeviceArray>) -> Result<(), GpuError> {
        let buffer = array.buffer()?.clone();
        let waiting = self.waiting()?;
        waiting.pass = None;
        waiting.encoder.clear_buffer(&buffer, 0, None);
        waiting.arrays.push(array.clone());
        Ok(())
    }

    /// Waits for all work, and copies the beginning of an array to the host.
    pub(crate) fn download(&mut self, array: &Arc<DeviceArray>, bytes: &mut [u8]) -> Result<(), GpuError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let size = (bytes.len() as u64).next_multiple_of(4);
        let source = array.buffer()?.clone();
        let device = self.device.clone();
        let staging = device.guarded(size, || {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            device.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        })?;
        let waiting = self.waiting()?;
        waiting.pass = None;
        waiting.encoder.copy_buffer_to_buffer(&source, 0, &staging, 0, size);
        waiting.arrays.push(array.clone());
        self.send()?;
        let (told, asked) = std::sync::mpsc::channel();
        let mapped = device.guarded(size, || {
            staging.slice(..).map_async(wgpu::MapMode::Read, move |done| {
                // Nobody listens any more when the call has failed already.
                let _ = told.send(done);
            });
            device.device.poll(wgpu::PollType::wait_indefinitely())
        })?;
        // Another thread that waits for the device may have taken this answer with its own, and be about to hand it over.
        let done = mapped.is_ok() && matches!(asked.recv_timeout(ANSWER), Ok(Ok(())));
        device.check()?;
        if !done {
            return Err(GpuError::Lost("it did not give its memory back".to_owned()));
        }
        let view = staging.slice(..).get_mapped_range().map_err(|e| GpuError::Refused(e.to_string()))?;
        bytes.copy_from_slice(&view[..bytes.len()]);
        device.downloaded.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        drop(view);
        staging.unmap();
        Ok(())
    }

    /// Runs a kernel after all that waits.
    pub(crate) fn run(&mut self, run: &Dispatch<'_>) -> Result<(), GpuError> {
        let device = self.device.clone();
        let pipeline = device.pipeline(run)?;
        let size = run.words.len().next_multiple_of(4) * 4;
        let full = |w: &Waiting| w.runs == RUNS || (w.words.len() + size) as u64 > WORDS_BYTES;
        if self.waiting.as_ref().is_some_and(full) {
            self.send()?;
        }
        let alignment = device.alignment();
        let groups = (run.points.max(1) as u64).div_ceil(pipeline.points_per_group.into());
        let groups = u32::try_from(groups).unwrap_or(u32::MAX).min(device.groups());
        let waiting = self.waiting()?;
        let offset = waiting.words.len() as u64;
        waiting.words.extend(run.words.iter().flat_map(|w| w.to_le_bytes()));
        let end = (offset + size as u64).next_multiple_of(alignment);
        waiting.words.resize(end as usize, 0);
        let mut entries = Vec::with_capacity(pipeline.bound.len() + 1);
        for (binding, operand) in pipeline.bound.iter().enumerate() {
            let array =
                run.arrays.get(*operand).ok_or_else(|| GpuError::Refused("an unbound operand".into()))?;
            let resource = window(array.buffer()?, run.windows.and_then(|w| w.get(*operand)));
            entries.push(wgpu::BindGroupEntry { binding: binding as u32, resource });
            waiting.arrays.push(array.clone());
        }
        let words = wgpu::BufferBinding {
            buffer: &waiting.place,
            offset,
            size: std::num::NonZeroU64::new(size as u64),
        };
        let resource = wgpu::BindingResource::Buffer(words);
        entries.push(wgpu::BindGroupEntry { binding: pipeline.bound.len() as u32, resource });
        if let Some(flag) = run.flag {
            let resource = flag.buffer()?.as_entire_binding();
            entries.push(wgpu::BindGroupEntry { binding: entries.len() as u32, resource });
            waiting.arrays.push(flag.clone());
        }
        let Waiting { encoder, pass, runs, .. } = waiting;
        *runs += 1;
        device.guarded(0, || {
            let descriptor =
                wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries };
            let group = device.device.create_bind_group(&descriptor);
            let pass = pass.get_or_insert_with(|| {
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime()
            });
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(groups, 1, 1);
        })
    }
}
