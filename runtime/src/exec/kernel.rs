//! Runs one kernel: binds its operands, checks that it stays inside their memory, and calls or interprets it.
//!
//! This is the place where a plan turns into memory accesses. Whatever the plan says, each operand is bounded against
//! the memory it is bound to, so that a wrong plan is an error.

use super::bad_index;
use super::gemm::Library;
use super::machine::{Machine, NO_VALUE};
use super::memory::Memory;
use super::share::{self, Sharing};
use super::{Code, ExecError, internal};
use crate::{Dims, Strides, View};
use matex_ir::loops::interp::{self, Base, KernelArgs};
use matex_ir::loops::{Access, AxisKind, Kernel, Role, Status};
use matex_ir::{DType, Scalar};
use matex_passes::plan::{KernelStep, Slot};

/// The argument block of a run of a kernel. All but the pointers depends on the dims of a call only, and is kept for the
/// next call with the same ones.
#[derive(Default)]
pub(super) struct Scratch {
    /// Whether all but `data` is right for this call.
    bound: bool,
    /// Nothing has to be done: an axis that is not reduced has no elements.
    idle: bool,
    pub(super) data: Vec<*mut u8>,
    /// Bytes from the start of each operand's memory to its origin.
    pub(super) offsets: Vec<i64>,
    /// The lowest byte of its memory that each operand touches, and the one behind the last; none where nothing is.
    reach: Vec<Option<(i64, i64)>>,
    pub(super) extents: Vec<i64>,
    pub(super) strides: Vec<i64>,
    /// How the work is shared out.
    pub(super) sharing: Sharing,
}

impl Scratch {
    /// What is known of operands that lie so; they were found to stay inside their memory.
    pub(super) fn located(extents: Vec<i64>, offsets: Vec<i64>, strides: Vec<i64>) -> Scratch {
        Scratch { extents, offsets, strides, ..Scratch::default() }
    }

    /// Whether all but the pointers is right for the dims at hand, and there is something to do.
    pub(super) fn is_bound(&self) -> bool {
        self.bound && !self.idle
    }

    /// The dims are others from now on.
    pub(super) fn unbind(&mut self) {
        self.bound = false;
    }
}

/// Runs a kernel step.
pub(super) fn run(machine: &mut Machine<'_>, step: &KernelStep) -> Result<(), ExecError> {
    let exe = machine.exe;
    let kernel = exe.plan.kernels.get(step.kernel).ok_or_else(|| internal("no such kernel"))?;
    let kept = machine.state.scratch.get_mut(step.id).ok_or_else(|| internal("no such run of a kernel"))?;
    let mut scratch = std::mem::take(kept);
    let result = run_with(machine, step, kernel, &mut scratch);
    machine.state.scratch[step.id] = scratch;
    result
}

/// Runs a kernel step with this argument block.
pub(super) fn run_with(
    machine: &mut Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &mut Scratch,
) -> Result<(), ExecError> {
    if !prepare(machine, step, kernel, scratch)? {
        return Ok(());
    }
    if super::device::run(machine, step, kernel, scratch)? {
        return machine.check_cancelled();
    }
    if machine.residence.is_some() {
        on_host(machine, step, kernel, scratch)?;
    }
    let product = match &machine.exe.code {
        Code::Compiled(_) => Library::of(step, kernel, scratch),
        Code::Interpreted => None,
    };
    let status = match (&machine.exe.code, product) {
        (_, Some(product)) => {
            // SAFETY: `prepare` bound and bounded the operands.
            unsafe { product.run(&machine.call()) };
            Status::Ok
        }
        (Code::Compiled(code), None) => {
            let code = code.kernels.get(step.kernel).ok_or_else(|| internal("a kernel was not compiled"))?;
            let exe = machine.exe;
            let parts = || exe.parts(step.kernel);
            share::run(code, kernel, scratch, parts, &machine.call())
                .ok_or_else(|| super::rows::refused(kernel, &scratch.extents, step.origin))?
        }
        (Code::Interpreted, None) => interpret(machine, step, kernel, scratch)?,
    };
    machine.check_cancelled()?;
    match status {
        Status::Ok => Ok(()),
        Status::IndexOutOfRange => Err(bad_index::find(machine, step, scratch)?),
    }
}

/// Fills the argument block of a kernel, all operands of which then lie in their memory; whether there is anything to
/// do.
pub(super) fn prepare(
    machine: &mut Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &mut Scratch,
) -> Result<bool, ExecError> {
    if !scratch.bound {
        bind(machine, step, kernel, scratch)?;
        // Where a register moves an operand, the next run is another one.
        scratch.bound = step.operands.iter().all(|o| o.place.moves.is_empty());
    }
    if !scratch.idle {
        place(machine, step, kernel, scratch)?;
    }
    Ok(!scratch.idle)
}

/// Brings the memory of operands up to date where some of it is on the GPU, and notes what is written here.
fn on_host(
    machine: &mut Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &mut Scratch,
) -> Result<(), ExecError> {
    machine.fetch(step.operands.iter().map(|b| b.place.buffer))?;
    // What was fetched may have other memory now.
    place(machine, step, kernel, scratch)?;
    if let Some(residence) = &mut machine.residence {
        let operands = step.operands.iter().zip(&kernel.operands);
        operands.filter(|(_, o)| o.role == Role::Out).for_each(|(b, _)| residence.written(b.place.buffer));
    }
    Ok(())
}

/// The strides array, in bytes.
fn words(
    machine: &Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &mut Scratch,
) -> Result<(), ExecError> {
    scratch.strides.clear();
    for (binding, operand) in step.operands.iter().zip(&kernel.operands) {
        if binding.strides.len() != kernel.axes.len() || binding.gathers.len() != operand.gathers as usize {
            return Err(internal("a binding does not fit its kernel"));
        }
        let size = operand.dtype.size() as i64;
        for (axis, slot) in binding.strides.iter().enumerate() {
            let stride = bytes(machine.value(*slot, step.origin)?, size)?;
            let fits = match operand.access[axis] {
                Access::Zero => stride == 0,
                Access::Unit => stride == size,
                Access::Strided => true,
            };
            if !fits {
                return Err(internal("a stride is not of its access class"));
            }
            scratch.strides.push(stride);
        }
    }
    // Rows of scratch stand after all operands that are bound.
    for operand in &kernel.operands[step.operands.len()..] {
        for access in &operand.access {
            scratch.strides.push(if *access == Access::Zero { 0 } else { operand.dtype.size() as i64 });
        }
    }
    for (binding, operand) in step.operands.iter().zip(&kernel.operands) {
        for (extent, stride) in &binding.gathers {
            let extent = machine.extent(*extent, step.origin)?;
            let stride = bytes(machine.value(*stride, step.origin)?, operand.dtype.size() as i64)?;
            scratch.strides.extend([extent, stride]);
        }
    }
    Ok(())
}

fn bytes(elements: i64, size: i64) -> Result<i64, ExecError> {
    elements.checked_mul(size).ok_or_else(|| internal("a stride overflows"))
}

/// Everything but the pointers.
fn bind(
    machine: &Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &mut Scratch,
) -> Result<(), ExecError> {
    let bound = step.operands.len() + kernel.scratch_operands();
    if bound != kernel.operands.len() || step.extents.len() != kernel.axes.len() {
        return Err(internal("a kernel step does not fit its kernel"));
    }
    scratch.extents.clear();
    for slot in &step.extents {
        scratch.extents.push(machine.extent(*slot, step.origin)?);
    }
    // Only a reduction has something to write when an axis is empty.
    let reduces = |i: usize| kernel.axes[i].kind == AxisKind::Reduce;
    scratch.idle = scratch.extents.iter().enumerate().any(|(i, e)| *e == 0 && !reduces(i));
    if scratch.idle {
        return Ok(());
    }
    words(machine, step, kernel, scratch)?;
    reaches(machine, step, kernel, scratch)?;
    let value = |slot: Slot| machine.state.dims.get(slot.0 as usize).copied().filter(|v| *v != NO_VALUE);
    scratch.sharing = machine.exe.sharing(step, &scratch.extents, &value).unwrap_or_default();
    Ok(())
}

/// Where in its memory each operand begins, and how far it reaches.
fn reaches(
    machine: &Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &mut Scratch,
) -> Result<(), ExecError> {
    scratch.offsets.clear();
    scratch.reach.clear();
    let empty = scratch.extents.contains(&0);
    let mut word = kernel.operands.len() * kernel.axes.len();
    for (i, (binding, operand)) in step.operands.iter().zip(&kernel.operands).enumerate() {
        let size = operand.dtype.size() as i64;
        let offset = bytes(machine.offset(&binding.place, step.origin)?, size)?;
        let gathers = &scratch.strides[word..word + 2 * binding.gathers.len()];
        word += gathers.len();
        let strides = &scratch.strides[i * kernel.axes.len()..(i + 1) * kernel.axes.len()];
        let walk = scratch.extents.iter().zip(strides).map(|(e, s)| (*e, *s));
        let (low, high) = reach(offset, walk.chain(gathers.chunks_exact(2).map(|w| (w[0], w[1]))));
        // What moves along a reduce axis without elements is not touched; a reduction still writes its identity, and
        // what does not move may be read for it. An axis to gather along that has no elements: every index is out of
        // range and nothing is read.
        let moves = kernel.reduce_axis().is_some_and(|axis| operand.access[axis] != Access::Zero);
        let untouched = (empty && moves) || gathers.chunks_exact(2).any(|w| w[0] == 0);
        let low = i64::try_from(low).unwrap_or(i64::MIN);
        let high = i64::try_from(high + i128::from(size)).unwrap_or(i64::MAX);
        scratch.offsets.push(offset);
        scratch.reach.push((!untouched).then_some((low, high)));
        if operand.role != Role::In && !is_apart(step, kernel, i) {
            return Err(internal("a kernel writes what is shared"));
        }
    }
    Ok(())
}

/// Whether what a kernel writes is read by no other operand, unless that reads each element where one of the same size is
/// written: then it is read before, as all elements of a point are.
fn is_apart(step: &KernelStep, kernel: &Kernel, written: usize) -> bool {
    let maps = kernel.axes.iter().all(|a| a.kind == AxisKind::Parallel);
    let out = &step.operands[written];
    let others =
        step.operands.iter().enumerate().filter(|(i, b)| *i != written && b.place.buffer == out.place.buffer);
    others.into_iter().all(|(i, binding)| {
        let wide = kernel.operands.get(written).map(|o| o.dtype.size());
        let read = kernel.operands.get(i).is_some_and(|o| o.role == Role::In && Some(o.dtype.size()) == wide);
        maps && read && binding == out
    })
}

/// The base pointer of each operand, after all that it reaches was found to lie in its memory.
fn place(
    machine: &mut Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &mut Scratch,
) -> Result<(), ExecError> {
    scratch.data.clear();
    let known = scratch.offsets.iter().zip(&scratch.reach);
    for ((binding, operand), (offset, reach)) in step.operands.iter().zip(&kernel.operands).zip(known) {
        let memory = &mut machine.state.memory[binding.place.buffer.0 as usize];
        let (start, first, last) = match operand.role {
            Role::In => {
                let (start, first, last) =
                    memory.bounds().ok_or_else(|| internal("a kernel reads what is not there"))?;
                (start.cast_mut(), first, last)
            }
            Role::Out | Role::Scratch => {
                let place = memory.unique().ok_or_else(|| internal("a kernel writes what is shared"))?;
                (place.start, 0, place.len as i64)
            }
        };
        if reach.is_some_and(|(low, high)| low < first || high > last) {
            return Err(internal("a kernel reaches outside its memory"));
        }
        scratch.data.push(start.wrapping_offset(*offset as isize));
    }
    Ok(())
}

/// The lowest and the highest byte that a walk begins an element at.
fn reach(offset: i64, axes: impl Iterator<Item = (i64, i64)>) -> (i128, i128) {
    let start = i128::from(offset);
    axes.fold((start, start), |(low, high), (extent, stride)| {
        let last = (i128::from(extent) - 1).max(0) * i128::from(stride);
        (low.saturating_add(last.min(0)), high.saturating_add(last.max(0)))
    })
}

/// Runs the interpreter on copies of all memory, and copies back what was written.
fn interpret(
    machine: &mut Machine<'_>,
    step: &KernelStep,
    kernel: &Kernel,
    scratch: &Scratch,
) -> Result<Status, ExecError> {
    let mut images: Vec<Vec<u8>> = Vec::with_capacity(step.operands.len());
    let mut args = KernelArgs {
        bases: Vec::new(),
        extents: scratch.extents.clone(),
        strides: scratch.strides.clone(),
        range: None,
    };
    for (buffer, (binding, offset)) in step.operands.iter().zip(&scratch.offsets).enumerate() {
        let (image, low) = image(&machine.state.memory[binding.place.buffer.0 as usize])?;
        images.push(image);
        let offset = usize::try_from(offset - low).unwrap_or(0);
        args.bases.push(Base { buffer, offset });
    }
    for row in super::rows::lengths(kernel, &scratch.extents) {
        args.bases.push(Base { buffer: images.len(), offset: 0 });
        images.push(vec![0; row.ok_or_else(|| super::rows::refused(kernel, &scratch.extents, step.origin))?]);
    }
    let mut memory: Vec<&mut [u8]> = images.iter_mut().map(Vec::as_mut_slice).collect();
    let status = interp::run(kernel, &args, &mut memory)
        .map_err(|e| ExecError::Internal(format!("kernel {}: {e}", kernel.name)))?;
    for ((binding, operand), image) in step.operands.iter().zip(&kernel.operands).zip(&images) {
        if operand.role == Role::Out {
            let target = machine.state.memory[binding.place.buffer.0 as usize].bytes_mut(false);
            let target = target.ok_or_else(|| internal("a kernel writes what is shared"))?;
            target.copy_from_slice(image);
        }
    }
    Ok(status)
}

/// A copy of all bytes of a memory, and the offset of the first of them.
fn image(memory: &Memory) -> Result<(Vec<u8>, i64), ExecError> {
    match memory {
        Memory::Own(buffer) => Ok((buffer.as_bytes().to_vec(), 0)),
        Memory::Caller(m) => {
            let len = usize::try_from(m.high - m.low).unwrap_or(0);
            let mut bytes = vec![0u8; len];
            // SAFETY: where kernels are interpreted, arguments are images (`super::memory::image`): buffers that hold
            // `low..high` without gaps, live as long as the call, and are not written to.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    m.start.wrapping_offset(m.low as isize),
                    bytes.as_mut_ptr(),
                    len,
                );
            }
            Ok((bytes, m.low))
        }
        // SAFETY: these bytes are those of another buffer of this call, which lives and is not written to meanwhile.
        Memory::Lent(m) => Ok((unsafe { std::slice::from_raw_parts(m.start, m.len) }.to_vec(), 0)),
        Memory::Empty | Memory::Place(_) | Memory::Away(_) => {
            Err(internal("a kernel reads what is not there"))
        }
    }
}

/// Reads one element, at an offset in elements.
pub(super) fn load(memory: &Memory, dtype: DType, offset: i64) -> Result<Scalar, ExecError> {
    let view = packed_view(memory, dtype, Dims::new(), offset)?;
    view.get(&[]).ok_or_else(|| internal("a scalar is not there"))
}

/// A contiguous view of memory from an offset in elements on.
pub(super) fn packed_view<'m>(
    memory: &'m Memory,
    dtype: DType,
    shape: Dims,
    offset: i64,
) -> Result<View<'m>, ExecError> {
    let (start, low, high) = memory.reach().ok_or_else(|| internal("a value is not there"))?;
    let offset = bytes(offset, dtype.size() as i64)?;
    let count = shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b));
    let size = count.and_then(|c| c.checked_mul(dtype.size())).and_then(|b| i64::try_from(b).ok());
    let end = size.and_then(|s| offset.checked_add(s));
    let inside = offset >= low && end.is_some_and(|e| e <= high);
    if !inside && size != Some(0) {
        return Err(internal("a value reaches outside its memory"));
    }
    let mut strides = Strides::from_elem(0, shape.len());
    let mut step = 1isize;
    for (stride, extent) in strides.iter_mut().zip(&shape).rev() {
        *stride = step;
        step = step.saturating_mul((*extent).max(1) as isize);
    }
    let data = if inside { start.wrapping_offset(offset as isize) } else { start };
    // SAFETY: all elements lie in the memory, as was just checked, which lives at least as long as the reference; it is
    // aligned for the dtype, because buffers are aligned to 64 bytes, views to their element, and a bitcast keeps the
    // size; bools are 0 or 1 as everywhere.
    Ok(unsafe { View::from_raw_dtype(dtype, data, shape, strides) })
}
