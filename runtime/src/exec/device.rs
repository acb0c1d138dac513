//! Kernels on the GPU: which copy of a buffer is up to date, what is copied when, and what stays on the CPU.
//!
//! Where a kernel runs is decided at the call, because it depends on sizes, and a plan does not. Each buffer of the plan
//! has its memory on the host as ever, and besides that an array on the device once a kernel there needs one; whoever
//! writes makes the other copy out of date. Library routines but scatters, checks, loops and results read on the host, which copies
//! back first.

use super::joined::{Forms, Joined, Turn, joined, turns};
use super::kernel::Scratch;
use super::machine::Machine;
use super::memory::{CallerMemory, Memory};
use super::{ExecError, Executable, internal};
use crate::gpu::{Device, DeviceArray, GpuError, Queue, device_bytes};
use crate::{AsView, DeviceTensor};
use arrays::Side;
use matex_codegen_gpu::{MOST_POINTS, Run, cut, lacks, refusal, schedule};
use matex_ir::Dim;
use matex_ir::loops::partial::{Partial, partial};
use matex_ir::loops::running::{Running, running};
use matex_ir::loops::{AxisKind, Kernel, Role};
use matex_passes::cost::DeviceModel;
use matex_passes::plan::{BufferId, KernelStep, Plan, Slot, Source};
use parts::Whole;
use reach::{Rules, chunks, element_bytes};
use std::sync::{Arc, OnceLock};

mod arrays;
mod lines;
mod parts;
mod reach;
mod scatters;

pub(super) use scatters::run as run_routine;

/// What is known of the kernels of a plan before a call.
#[derive(Debug)]
pub(super) struct Placement {
    kernels: Vec<Known>,
    forms: Vec<Forms>,
}

/// What is known of a kernel.
#[derive(Debug)]
pub(super) struct Known {
    /// Why it stays on the CPU whatever the sizes.
    refusal: Option<String>,
    /// How it is cut along its axis, once that was asked for.
    pieces: OnceLock<Option<Cuttable>>,
}

/// What a kernel is cut into along the axis that it walks.
#[derive(Debug)]
enum Cuttable {
    Reduction(Partial),
    Scan(Running),
}

impl Cuttable {
    fn of(kernel: &Kernel) -> Option<Cuttable> {
        partial(kernel).map(Cuttable::Reduction).or_else(|| running(kernel).map(Cuttable::Scan))
    }
}

impl Known {
    pub(super) fn of(kernel: &Kernel) -> Known {
        Known { refusal: refusal(kernel), pieces: OnceLock::new() }
    }
}

impl Placement {
    pub(super) fn of(plan: &Plan) -> Placement {
        let mut forms = joined(plan);
        for forms in &mut forms {
            forms.keep(|joined| joined.known.refusal.is_none());
        }
        Placement { kernels: plan.kernels.iter().map(|k| Known::of(k)).collect(), forms }
    }

    /// The forms of products.
    pub(super) fn forms(&self) -> &[Forms] {
        &self.forms
    }
}

/// Which copies of a buffer are up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    /// Nothing was written yet.
    Neither,
    Host,
    Both,
    Device,
}

/// A buffer of the plan, as the device sees it.
#[derive(Clone, Debug)]
struct Copy {
    fresh: Fresh,
    array: Option<Arc<DeviceArray>>,
    /// The argument that it is a copy of, where that may stay on the device. No kernel writes to its array: the memory of
    /// an argument is never the call's alone, which what is written to has to be.
    lent: Option<DeviceTensor>,
}

const NOTHING: Copy = Copy { fresh: Fresh::Neither, array: None, lent: None };
const ON_HOST: Copy = Copy { fresh: Fresh::Host, ..NOTHING };

/// The device's side of a call.
#[derive(Debug)]
pub(super) struct Residence {
    device: Arc<Device>,
    queue: Queue,
    copies: Vec<Copy>,
}

impl Residence {
    /// The side of a call that begins.
    pub(super) fn new(plan: &Plan) -> Result<Residence, ExecError> {
        let device = Device::get().map_err(ExecError::Gpu)?;
        let queue = device.queue();
        let copy = |source: &Source| match source {
            Source::Param(_) | Source::Constant(_) => ON_HOST,
            Source::Own => NOTHING,
        };
        let copies = plan.buffers.iter().map(|b| copy(&b.source)).collect();
        Ok(Residence { device, queue, copies })
    }

    /// A buffer has other memory from now on, or none.
    pub(super) fn forget(&mut self, buffer: BufferId) {
        self.copies[buffer.0 as usize] = NOTHING;
    }

    /// A buffer was written on the host.
    pub(super) fn written(&mut self, buffer: BufferId) {
        self.copies[buffer.0 as usize] = ON_HOST;
    }

    /// A buffer is an argument that may be on the device, or go there and stay. What its memory is.
    pub(super) fn lend(&mut self, buffer: usize, value: &DeviceTensor) -> Result<Memory, ExecError> {
        let array = value.array_on(&self.device);
        let away = array.is_some() && !value.is_on_host();
        let fresh = match (&array, away) {
            (None, _) => Fresh::Host,
            (Some(_), true) => Fresh::Device,
            (Some(_), false) => Fresh::Both,
        };
        self.copies[buffer] = Copy { fresh, array, lent: Some(value.clone()) };
        if away {
            return Ok(Memory::Away(value.bytes() as i64));
        }
        Ok(Memory::Caller(CallerMemory::of(&value.host()?.as_view())))
    }

    /// The array of a buffer where that is up to date, and whether the host's memory is not.
    pub(super) fn array(&self, buffer: BufferId) -> Option<(Arc<DeviceArray>, bool)> {
        let copy = &self.copies[buffer.0 as usize];
        let array = copy.array.clone()?;
        match copy.fresh {
            Fresh::Device => Some((array, true)),
            Fresh::Both => Some((array, false)),
            Fresh::Neither | Fresh::Host => None,
        }
    }

    /// Sends what waits, for results that stay on the device.
    pub(super) fn send(&mut self) -> Result<(), ExecError> {
        self.queue.send().map_err(ExecError::Gpu)
    }

    /// `to` holds from now on what `from` holds.
    pub(super) fn share(&mut self, from: &[BufferId], to: &[BufferId]) {
        let held: Vec<Copy> = from.iter().map(|b| self.copies[b.0 as usize].clone()).collect();
        for (buffer, copy) in to.iter().zip(held) {
            self.copies[buffer.0 as usize] = copy;
        }
    }

    /// Whether the host's copy of a buffer is out of date.
    pub(super) fn is_away(&self, buffer: BufferId) -> bool {
        self.copies[buffer.0 as usize].fresh == Fresh::Device
    }

    /// Whether another buffer has the same array.
    fn is_shared(&self, buffer: BufferId) -> bool {
        let Some(mine) = &self.copies[buffer.0 as usize].array else { return false };
        let others = self.copies.iter().enumerate().filter(|(i, _)| *i != buffer.0 as usize);
        others.into_iter().any(|(_, c)| c.array.as_ref().is_some_and(|a| Arc::ptr_eq(a, mine)))
    }
}

/// What keeps a kernel from running on a device.
struct Needs<'a> {
    refusal: Option<&'a str>,
    kernel: &'a Kernel,
    run: Run<'a>,
    shares: &'a [usize],
    /// The bytes of the operands' buffers on the device.
    bytes: &'a [u64],
}

impl Needs<'_> {
    fn obstacle(&self, device: &Device) -> Option<String> {
        if let Some(why) = self.refusal {
            return Some(why.to_owned());
        }
        if let Some(why) = lacks(self.kernel, device.caps()) {
            return Some(why);
        }
        let gathers = self.kernel.operands.iter().any(|o| o.gathers > 0);
        let (have, need) = (device.bindings(), self.kernel.operands.len() + usize::from(gathers));
        if need > have {
            return Some(format!("it has {need} operands, and the GPU binds {have} at most"));
        }
        let (most, whole) = (device.binding_bytes(), device.buffer_bytes());
        if let Some(bytes) = self.bytes.iter().find(|b| **b > whole) {
            return Some(format!("an array of {bytes} bytes, and the GPU holds {whole} at most"));
        }
        if let Some(bytes) = self.bytes.iter().find(|b| **b > most)
            && chunks(self.kernel, &self.run, self.shares, rules(device)).is_none()
        {
            return Some(format!("an array of {bytes} bytes, and the GPU binds {most} at most"));
        }
        let axes = self.kernel.axes.iter().zip(self.run.extents);
        let points =
            axes.filter(|(a, _)| a.kind == AxisKind::Parallel).fold(1i64, |n, (_, e)| n.saturating_mul(*e));
        let longest = self.run.extents.iter().copied().max().unwrap_or(0);
        (points.max(longest) > MOST_POINTS).then(|| format!("it has more than {MOST_POINTS} points"))
    }
}

impl Executable {
    /// Whether a call runs what it can on the GPU.
    pub fn uses_gpu(&self) -> bool {
        self.placement.is_some()
    }

    /// Why a kernel of such sizes stays on the CPU, in a few words; nothing when it runs on the GPU.
    ///
    /// # Errors
    /// When there is no GPU.
    pub fn stays_on_cpu(
        &self,
        step: &KernelStep,
        value: &impl Fn(&Dim) -> Option<i64>,
    ) -> Result<Option<String>, GpuError> {
        let (Some(placement), Some(kernel)) = (&self.placement, self.plan.kernels.get(step.kernel)) else {
            return Ok(Some("the device is the CPU".to_owned()));
        };
        let refusal = placement.kernels.get(step.kernel).and_then(|k| k.refusal.as_deref());
        let of = |slot: &Slot| value(self.plan.dim(*slot)).unwrap_or(0);
        let strides: Vec<i64> = step.operands.iter().flat_map(|b| b.strides.iter().map(of)).collect();
        self.obstacle(refusal, (step, kernel), &strides, value)
    }

    /// How kernels of such sizes that run together are run on the GPU: for each that runs the number of the kernel, and those of
    /// the ones that are a part of it.
    ///
    /// # Errors
    /// When there is no GPU.
    pub fn runs_as_one(
        &self,
        steps: &[&KernelStep],
        value: &impl Fn(&Dim) -> Option<i64>,
    ) -> Result<Vec<(usize, Vec<usize>)>, GpuError> {
        let forms = self.placement.as_ref().map_or(&[][..], Placement::forms);
        let ids: Vec<usize> = steps.iter().map(|s| s.id).collect();
        let all = turns(forms, &ids, |forms| {
            for form in &forms.all {
                if self.can_join(form, value)? {
                    return Ok(Some(form));
                }
            }
            Ok(None)
        })?;
        let numbers = |turn: Turn<'_>| match turn {
            Turn::One(i) => (i, Vec::new()),
            Turn::Joined(joined) => {
                let mut runs: Vec<usize> =
                    (0..ids.len()).filter(|i| joined.replaced.contains(&ids[*i])).collect();
                let product = runs.iter().position(|i| ids[*i] == joined.step.id).unwrap_or(0);
                (runs.remove(product), runs)
            }
        };
        Ok(all.into_iter().map(numbers).collect())
    }

    fn can_join(&self, joined: &Joined, value: &impl Fn(&Dim) -> Option<i64>) -> Result<bool, GpuError> {
        let of = |slot: &Slot| value(self.plan.dim(*slot)).unwrap_or(0);
        let extents: Vec<i64> = joined.step.extents.iter().map(of).collect();
        let along = |o: usize| joined.step.operands[o].strides.iter().map(of).collect();
        let strides = joined.strides(&extents, &along);
        if self.obstacle(None, (&joined.step, &joined.kernel), &strides, value)?.is_some() {
            return Ok(false);
        }
        let offsets: Vec<i64> = joined.step.operands.iter().map(|b| of(&b.place.offset)).collect();
        let run = Run { extents: &extents, offsets: &offsets, strides: &strides, gathers: &[] };
        let shares = joined.step.bound_together(&joined.kernel);
        let schedule = schedule(&joined.kernel, &run, &shares, Device::get()?.caps());
        Ok(joined.saves(schedule, &extents, &DeviceModel::FIXED))
    }

    /// What keeps a kernel of such sizes and strides from the GPU.
    fn obstacle(
        &self,
        refusal: Option<&str>,
        (step, kernel): (&KernelStep, &Kernel),
        strides: &[i64],
        value: &impl Fn(&Dim) -> Option<i64>,
    ) -> Result<Option<String>, GpuError> {
        let of = |slot: &Slot| value(self.plan.dim(*slot)).unwrap_or(0);
        let extents: Vec<i64> = step.extents.iter().map(of).collect();
        let bytes = |b: &matex_passes::plan::Binding| {
            let decl = self.plan.buffer(b.place.buffer);
            device_bytes(decl.dtype, of(&decl.bytes).max(0) as u64)
        };
        let bytes: Vec<u64> = step.operands.iter().map(bytes).collect();
        let offsets: Vec<i64> = step.operands.iter().map(|b| of(&b.place.offset)).collect();
        let of_gathers = |b: &matex_passes::plan::Binding| {
            b.gathers.iter().flat_map(|(e, s)| [of(e), of(s)]).collect::<Vec<i64>>()
        };
        let gathers: Vec<i64> = step.operands.iter().flat_map(of_gathers).collect();
        let run = Run { extents: &extents, offsets: &offsets, strides, gathers: &gathers };
        let shares = step.bound_together(kernel);
        Ok(Needs { refusal, kernel, run, shares: &shares, bytes: &bytes }.obstacle(&*Device::get()?))
    }
}

/// Runs a kernel on the device, if that can be done; the operands were found to stay inside their memory.
pub(super) fn run(
    machine: &mut Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &Scratch,
) -> Result<bool, ExecError> {
    let placement = machine.exe.placement.as_ref();
    let Some(known) = placement.and_then(|p| p.kernels.get(step.kernel)) else { return Ok(false) };
    run_known(machine, known, step, kernel, scratch)
}

/// Runs a product and what stands next to it as one kernel, if that can be done.
pub(super) fn run_joined(
    machine: &mut Machine<'_>,
    joined: &Joined,
    scratch: &Scratch,
) -> Result<bool, ExecError> {
    run_known(machine, &joined.known, &joined.step, &joined.kernel, scratch)
}

/// Whether a product and what stands next to it can run as one kernel, and that saves time.
pub(super) fn can_join(machine: &mut Machine<'_>, joined: &Joined, scratch: &Scratch) -> bool {
    let (step, kernel) = (&joined.step, &joined.kernel);
    let worth = |run: &mut DeviceRun<'_, '_>| {
        let Some(shares) = run.shares() else { return false };
        let layout = run.layout();
        let (at, device) = (layout.run(&scratch.extents), &run.side.residence.device);
        let needs = Needs { refusal: None, kernel, run: at, shares: &shares, bytes: &layout.bytes };
        let schedule = schedule(kernel, &at, &shares, device.caps());
        needs.obstacle(device).is_none() && joined.saves(schedule, &scratch.extents, &DeviceModel::FIXED)
    };
    with_side(machine, step, kernel, scratch, worth).unwrap_or(false)
}

fn run_known(
    machine: &mut Machine<'_>,
    known: &Known,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &Scratch,
) -> Result<bool, ExecError> {
    with_side(machine, step, kernel, scratch, |run| run.try_run(known)).unwrap_or(Ok(false))
}

/// Does something with a kernel and the device's side of a call, where there is one.
fn with_side<'e, T>(
    machine: &mut Machine<'e>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &Scratch,
    what: impl FnOnce(&mut DeviceRun<'_, 'e>) -> T,
) -> Option<T> {
    let residence = machine.residence.take()?;
    let side = Side { machine, residence, origin: step.origin };
    let mut run = DeviceRun { side, step, kernel, scratch };
    let done = what(&mut run);
    let Side { machine, residence, .. } = run.side;
    machine.residence = Some(residence);
    Some(done)
}

/// What a device asks of a binding.
fn rules(device: &Device) -> Rules {
    Rules { most: device.binding_bytes(), alignment: device.window_alignment() }
}

/// The most workgroups that have rows of scratch.
const SCRATCH_GROUPS: i64 = 1024;

struct DeviceRun<'r, 'e> {
    side: Side<'r, 'e>,
    step: &'r KernelStep,
    kernel: &'r Kernel,
    scratch: &'r Scratch,
}

/// Where the operands of a run lie in their arrays, in elements.
struct Layout {
    offsets: Vec<i64>,
    strides: Vec<i64>,
    gathers: Vec<i64>,
    /// The bytes of the operands' buffers on the device.
    bytes: Vec<u64>,
}

impl Layout {
    fn run<'a>(&'a self, extents: &'a [i64]) -> Run<'a> {
        Run { extents, offsets: &self.offsets, strides: &self.strides, gathers: &self.gathers }
    }
}

impl DeviceRun<'_, '_> {
    fn layout(&self) -> Layout {
        let kernel = self.kernel;
        let (mut offsets, mut strides) = (Vec::new(), Vec::new());
        let axes = kernel.axes.len();
        for (o, operand) in kernel.operands.iter().enumerate() {
            let size = operand.dtype.size() as i64;
            let base = self.step.operands.get(o).map_or(0, |b| self.side.low(b.place.buffer));
            offsets.push(self.scratch.offsets.get(o).map_or(0, |offset| (offset - base) / size));
            strides.extend(self.scratch.strides[o * axes..(o + 1) * axes].iter().map(|s| s / size));
        }
        let words = &self.scratch.strides[axes * kernel.operands.len()..];
        let sizes = kernel.operands.iter().flat_map(|o| [o.dtype.size() as i64].repeat(o.gathers as usize));
        let gathers = words.chunks_exact(2).zip(sizes).flat_map(|(w, size)| [w[0], w[1] / size]).collect();
        let bytes = self.step.operands.iter().map(|b| self.side.bytes(b.place.buffer)).collect();
        Layout { offsets, strides, gathers, bytes }
    }

    fn try_run(&mut self, known: &Known) -> Result<bool, ExecError> {
        let kernel = self.kernel;
        let Some(shares) = self.shares() else { return Ok(false) };
        let layout = self.layout();
        let (run, bytes) = (layout.run(&self.scratch.extents), &layout.bytes);
        let needs = Needs { refusal: known.refusal.as_deref(), kernel, run, shares: &shares, bytes };
        if needs.obstacle(&self.side.residence.device).is_some() {
            return Ok(false);
        }
        let schedule = schedule(kernel, &run, &shares, self.side.residence.device.caps());
        let points = run.points(kernel, schedule);
        let mut arrays = Vec::with_capacity(kernel.operands.len());
        for operand in 0..kernel.operands.len() {
            arrays.push(self.array(operand, points)?);
        }
        let pieces = cut(kernel, &run, schedule)
            .and_then(|cut| Some((known.pieces.get_or_init(|| Cuttable::of(kernel)).as_ref()?, cut)));
        let whole = Whole { run, shares: &shares, arrays: &arrays };
        let in_parts = match pieces {
            Some((Cuttable::Reduction(partial), cut)) => self.run_cut(partial, cut, &whole)?,
            Some((Cuttable::Scan(running), cut)) => self.run_scan(running, cut, &whole)?,
            None => false,
        };
        if !in_parts && !self.dispatch(kernel, &whole)? {
            return Ok(false);
        }
        for (binding, operand) in self.step.operands.iter().zip(&kernel.operands) {
            if operand.role == Role::Out {
                self.side.written(binding.place.buffer);
            }
        }
        Ok(true)
    }

    /// The operands that are bound together; nothing where these have different types, which a binding cannot.
    fn shares(&self) -> Option<Vec<usize>> {
        let shares = self.step.bound_together(self.kernel);
        let operands = &self.kernel.operands;
        let alike = |(i, first): (usize, &usize)| operands[i].dtype == operands[*first].dtype;
        shares.iter().enumerate().all(alike).then_some(shares)
    }

    /// The array of an operand, up to date.
    fn array(&mut self, operand: usize, points: i64) -> Result<Arc<DeviceArray>, ExecError> {
        let Some(binding) = self.step.operands.get(operand) else {
            let length = self.kernel.reduce_axis().map_or(0, |axis| self.scratch.extents[axis]);
            let rows = length.saturating_mul(points.min(SCRATCH_GROUPS));
            let bytes = rows.saturating_mul(element_bytes(self.kernel, operand));
            return self.side.fresh(bytes.max(0) as u64);
        };
        let written = self.kernel.operands[operand].role == Role::Out;
        self.side.array(binding.place.buffer, written)
    }
}

impl Machine<'_> {
    /// Brings the host's copies of buffers up to date.
    pub(super) fn fetch(&mut self, buffers: impl IntoIterator<Item = BufferId>) -> Result<(), ExecError> {
        for buffer in buffers {
            if self.residence.as_ref().is_some_and(|r| r.is_away(buffer)) {
                self.download(buffer)?;
            }
        }
        Ok(())
    }

    fn download(&mut self, buffer: BufferId) -> Result<(), ExecError> {
        let decl = self.exe.plan.buffer(buffer);
        let (i, dtype, origin) = (buffer.0 as usize, decl.dtype, decl.origin);
        let lent = self.residence.as_mut().and_then(|r| r.copies[i].lent.clone());
        if let Some(value) = lent {
            // Read once for all calls, and borrowed by this one as any argument is.
            self.state.memory[i] = Memory::Caller(CallerMemory::of(&value.host()?.as_view()));
            self.residence.iter_mut().for_each(|r| r.copies[i].fresh = Fresh::Both);
            return Ok(());
        }
        if self.state.memory[i].unique().is_none() {
            // What else holds this memory has its own idea of what is in it.
            let bytes = self.extent(decl.bytes, origin)?;
            self.state.memory[i] = Memory::Own(self.state.pool.allocate(bytes as usize, origin)?);
        }
        let Some(residence) = self.residence.as_mut() else { return Ok(()) };
        let copy = &mut residence.copies[i];
        let array = copy.array.clone().ok_or_else(|| internal("an array that is not there"))?;
        let target = self.state.memory[i].bytes_mut(false).ok_or_else(|| internal("a value is shared"))?;
        residence.queue.fetch(&array, dtype, target).map_err(ExecError::Gpu)?;
        copy.fresh = Fresh::Both;
        Ok(())
    }
}
