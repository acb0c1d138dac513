//! The device of the process: how it is found, and what it says when something goes wrong.

use super::answers::Answers;
use super::pipelines::Pipelines;
use super::pool::Pool;
use super::queue::Queue;
use super::rounding::{Rounding, measure};
use super::{GpuError, GpuInfo, units};
use matex_codegen_gpu::Caps;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// An open device.
pub(crate) struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pool: Pool,
    pub(super) pipelines: Pipelines,
    pub(super) answers: Answers,
    adapter: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    /// What it can do besides what all can, by its own account.
    caps: Caps,
    /// How it rounds doubles, once that was measured.
    rounding: OnceLock<Rounding>,
    /// Whether all pipelines check their indices, proven or not.
    pub(super) checks: bool,
    /// The most bytes to bind, for tests of what happens then; 0 for what the driver binds.
    window_cap: AtomicU64,
    failure: Arc<Failure>,
    pub(super) uploaded: AtomicU64,
    pub(super) downloaded: AtomicU64,
}

/// What the driver reported without being asked.
#[derive(Default)]
struct Failure {
    lost: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Failure {
    fn report(&self, why: String) {
        lock(&self.why).get_or_insert(why);
        self.lost.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("name", &self.adapter.name).finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half-way through a change, so a poisoned state is a whole one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static CURRENT: Mutex<Option<Arc<Device>>> = Mutex::new(None);

impl Device {
    /// The device of the process, opened now if there is none or the last one was lost.
    pub(crate) fn get() -> Result<Arc<Device>, GpuError> {
        let mut current = lock(&CURRENT);
        if let Some(device) = current.as_ref().filter(|d| !d.is_lost()) {
            return Ok(device.clone());
        }
        let device = Arc::new(Device::open()?);
        if device.caps.doubles {
            device.rounding.get_or_init(|| measure(&device));
        }
        *current = Some(device.clone());
        Ok(device)
    }

    /// The device of the process, where it was opened and not lost.
    pub(crate) fn opened() -> Option<Arc<Device>> {
        lock(&CURRENT).as_ref().filter(|d| !d.is_lost()).cloned()
    }

    /// Opens the fastest adapter that there is. `MATEX_GPU_LIMITS=downlevel` opens it with the least limits of WebGPU and
    /// no features, and `MATEX_GPU_CHECKS=1` keeps all checks of indices; under both tests run once.
    fn open() -> Result<Device, GpuError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::PRIMARY,
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..wgpu::RequestAdapterOptions::default()
        };
        let absent =
            |e: String| GpuError::Absent(format!("Vulkan, Metal and DirectX 12 were looked for: {e}"));
        let adapter =
            pollster::block_on(instance.request_adapter(&options)).map_err(|e| absent(e.to_string()))?;
        let low = std::env::var("MATEX_GPU_LIMITS").is_ok_and(|v| v == "downlevel");
        let limits = if low { wgpu::Limits::downlevel_defaults() } else { adapter.limits() };
        let doubles = wgpu::Features::SHADER_F64 | wgpu::Features::SHADER_INT64;
        let wanted = wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16 | doubles;
        let features = if low { wgpu::Features::empty() } else { adapter.features() & wanted };
        let asked = (!low).then(|| units::ask(&adapter, &limits));
        let caps = Caps {
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            halves: features.contains(wgpu::Features::SHADER_F16),
            doubles: features.contains(doubles),
            fused: features.contains(doubles),
            units: asked.as_ref().and_then(|a| a.units),
        };
        let checks = std::env::var("MATEX_GPU_CHECKS").is_ok_and(|v| v == "1");
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("matex"),
            required_features: features | asked.as_ref().map_or(wgpu::Features::empty(), |a| a.features),
            experimental_features: asked.map_or(wgpu::ExperimentalFeatures::disabled(), |a| a.experimental),
            required_limits: limits.clone(),
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|e| absent(format!("{}: {e}", adapter.get_info().name)))?;
        let failure = Arc::new(Failure::default());
        let (lost, uncaptured) = (failure.clone(), failure.clone());
        device.set_device_lost_callback(move |reason, why| lost.report(format!("{reason:?} {why}")));
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| uncaptured.report(e.to_string())));
        let (pool, pipelines, answers) = (Pool::default(), Pipelines::default(), Answers::default());
        let (uploaded, downloaded, window_cap, rounding) = Default::default();
        let adapter = adapter.get_info();
        Ok(Device {
            device,
            queue,
            pool,
            pipelines,
            answers,
            adapter,
            limits,
            caps,
            rounding,
            checks,
            window_cap,
            failure,
            uploaded,
            downloaded,
        })
    }

    /// Whether nothing can be expected of it any more.
    fn is_lost(&self) -> bool {
        self.failure.lost.load(Ordering::Acquire)
    }

    /// Fails when the device was lost: a lost one reports nothing else.
    pub(super) fn check(&self) -> Result<(), GpuError> {
        if !self.is_lost() {
            return Ok(());
        }
        let why = lock(&self.failure.why).clone().unwrap_or_default();
        Err(GpuError::Lost(why))
    }

    /// Does something that the driver may refuse; `bytes` is what is told to be missing.
    pub(super) fn guarded<T>(&self, bytes: u64, what: impl FnOnce() -> T) -> Result<T, GpuError> {
        self.check()?;
        let filters =
            [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal];
        let scopes = filters.map(|f| self.device.push_error_scope(f));
        let done = what();
        // In the reverse order, as the device wants it; all have to be taken.
        let errors: Vec<Option<wgpu::Error>> =
            scopes.into_iter().rev().map(|s| pollster::block_on(s.pop())).collect();
        match errors.into_iter().flatten().next() {
            None => self.check().map(|()| done),
            Some(wgpu::Error::OutOfMemory { .. }) => Err(GpuError::OutOfMemory(bytes)),
            Some(e) => Err(GpuError::Refused(e.to_string())),
        }
    }

    pub(crate) fn info(&self) -> GpuInfo {
        let info = &self.adapter;
        GpuInfo {
            name: info.name.clone(),
            driver: format!("{} {} ({})", info.driver, info.driver_info, info.backend),
            software: info.device_type == wgpu::DeviceType::Cpu,
            binding_bytes: self.binding_bytes(),
            bindings: self.bindings(),
            bytes: self.pool.bytes(),
            units: self.caps.units.map(|u| u.side),
            pipelines: self.pipelines.made(),
            uploaded: self.uploaded.load(Ordering::Relaxed),
            downloaded: self.downloaded.load(Ordering::Relaxed),
        }
    }

    /// The most bytes that a kernel can be bound to in one piece.
    pub(crate) fn binding_bytes(&self) -> u64 {
        let most = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        match self.window_cap.load(Ordering::Relaxed) {
            0 => most,
            cap => most.min(cap),
        }
    }

    /// What it can do besides what all can, and as the CPU does it.
    pub(crate) fn caps(&self) -> Caps {
        let all = Rounding { exact: true, fused: true };
        let Rounding { exact, fused } = self.rounding.get().copied().unwrap_or(all);
        Caps { doubles: self.caps.doubles && exact, fused: self.caps.fused && fused, ..self.caps }
    }

    /// The most bytes of an array.
    pub(crate) fn buffer_bytes(&self) -> u64 {
        self.limits.max_buffer_size
    }

    /// Where a part of an array may begin that is bound, in bytes.
    pub(crate) fn window_alignment(&self) -> u64 {
        self.limits.min_storage_buffer_offset_alignment.into()
    }

    /// Binds no more than so many bytes from now on, as a smaller device would; 0 ends that.
    #[cfg(test)]
    pub(super) fn set_window_cap(&self, bytes: u64) {
        self.window_cap.store(bytes, Ordering::Relaxed);
    }

    /// How many arrays a kernel can be bound to.
    pub(crate) fn bindings(&self) -> usize {
        self.limits.max_storage_buffers_per_shader_stage as usize
    }

    /// The most workgroups of a run.
    pub(super) fn groups(&self) -> u32 {
        self.limits.max_compute_workgroups_per_dimension
    }

    /// Where the words of a run may begin, in bytes.
    pub(super) fn alignment(&self) -> u64 {
        self.limits.min_uniform_buffer_offset_alignment.into()
    }

    /// Gives up on the device, as a driver would: what a test of that does.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.device.destroy();
        self.failure.report("destroyed".to_owned());
    }

    /// Work for it.
    pub(crate) fn queue(self: &Arc<Device>) -> Queue {
        Queue::new(self.clone())
    }
}
