//! Compiled kernels of the device, by what they were generated from.

use super::device::{Device, lock};
use super::{Code, Dispatch, GpuError};
use matex_codegen_gpu::{Shader, compile, key};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How many pipelines are kept. A program has few; all are dropped when there are more, which costs one compilation
/// each.
const KEPT: usize = 4096;

/// The pipelines that were made.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    known: Mutex<HashMap<String, Arc<Pipeline>>>,
    made: AtomicU64,
}

/// A kernel that is ready to run.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    /// The operands that are bound, in the order of the bindings; behind them the words.
    pub(super) bound: Vec<usize>,
    /// How many points a workgroup takes at a time.
    pub(super) points_per_group: u32,
}

impl Pipelines {
    /// How many were made so far.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl Device {
    /// The pipeline of a run: that of an equal kernel, or compiled now.
    pub(super) fn pipeline(&self, run: &Dispatch<'_>) -> Result<Arc<Pipeline>, GpuError> {
        let trusted = run.proven && !self.checks;
        let key = match run.code {
            Code::Kernel { kernel, schedule, shares } => key(kernel, schedule, shares, self.caps()),
            Code::Scatter(scatter) => scatter.key(),
        };
        let key = format!("{trusted} {key}");
        if let Some(known) = lock(&self.pipelines.known).get(&key) {
            return Ok(known.clone());
        }
        // Not under the lock: compiling takes long, and other kernels are wanted meanwhile.
        let (name, shader) = match run.code {
            Code::Kernel { kernel, schedule, shares } => {
                (kernel.name.as_str(), compile(kernel, schedule, shares, self.caps()))
            }
            Code::Scatter(scatter) => ("scatter", scatter.compile()),
        };
        let shader = shader.map_err(|e| GpuError::Refused(format!("{name}: {e}")))?;
        let pipeline = Arc::new(self.guarded(0, || self.build(shader, trusted))?);
        self.pipelines.made.fetch_add(1, Ordering::Relaxed);
        let mut known = lock(&self.pipelines.known);
        if known.len() == KEPT {
            known.clear();
        }
        known.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// A pipeline of a shader, which the driver may refuse.
    pub(super) fn build(&self, shader: Shader, trusted: bool) -> Pipeline {
        let points_per_group = shader.points_per_group();
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        let storage = |written: &bool| buffer(wgpu::BufferBindingType::Storage { read_only: !*written });
        let flag = shader.flag.then(|| storage(&true));
        let types = shader.written.iter().map(storage);
        let types = types.chain([buffer(wgpu::BufferBindingType::Uniform)]).chain(flag);
        let entry = |(binding, ty): (usize, wgpu::BindingType)| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let entries: Vec<wgpu::BindGroupLayoutEntry> = types.enumerate().map(entry).collect();
        let layout = wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries };
        let layout = self.device.create_bind_group_layout(&layout);
        let whole = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let Shader { module, bound, .. } = shader;
        let source = wgpu::ShaderSource::Naga(Cow::Owned(module));
        let module = self.module(wgpu::ShaderModuleDescriptor { label: None, source }, trusted);
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(&whole),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every word of a workgroup is written before it is read.
                zero_initialize_workgroup_memory: false,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        });
        Pipeline { pipeline, layout, bound, points_per_group }
    }

    /// A module; without checks of its indices and loops where it is trusted.
    fn module(&self, module: wgpu::ShaderModuleDescriptor<'_>, trusted: bool) -> wgpu::ShaderModule {
        if !trusted {
            return self.device.create_shader_module(module);
        }
        let checks = wgpu::ShaderRuntimeChecks {
            bounds_checks: false,
            force_loop_bounding: false,
            ..wgpu::ShaderRuntimeChecks::checked()
        };
        // SAFETY: this pipeline runs only what was proven (`exec::device::reach::is_proven`): each element that the loops of
        // the kernel come to lies in what its operand is bound to, indices from data are compared with extents by the
        // shader itself, and the workgroup's arrays are indexed by threads and constants. All loops count to sizes.
        unsafe { self.device.create_shader_module_trusted(module, checks) }
    }
}
