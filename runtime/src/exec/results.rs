//! From the memory of a finished call to tensors of the caller.

use super::machine::Machine;
use super::memory::{Memory, PlaceMemory};
use super::{Code, ExecError, internal};
use crate::{AsView, DeviceTensor, Dims, Tensor, TensorError, View, ViewMut, contiguous_strides};
use matex_ir::{DType, Span};
use matex_passes::plan::PlanResult;
use smallvec::SmallVec;
use std::sync::Arc;

/// The results of a call. Memory that is the call's alone is handed over, all other is copied.
pub(super) fn collect(mut machine: Machine<'_>) -> Result<Vec<Tensor>, ExecError> {
    let exe = machine.exe;
    machine.fetch(exe.plan.results.iter().map(|r| r.buffer))?;
    take(machine, exe.plan.results.iter())
}

/// The results of a call, each where it was made.
pub(super) fn leave(mut machine: Machine<'_>) -> Result<Vec<DeviceTensor>, ExecError> {
    let exe = machine.exe;
    let mut left = Vec::with_capacity(exe.plan.results.len());
    for result in &exe.plan.results {
        let decl = exe.plan.buffer(result.buffer);
        // A truth value is a word there and a byte here, so that its bits are not those of another dtype.
        let same = result.dtype == decl.dtype || ![result.dtype, decl.dtype].contains(&DType::Bool);
        let array = machine.residence.as_ref().and_then(|r| r.array(result.buffer)).filter(|_| same);
        left.push((machine.extents(&result.shape, decl.origin)?, array));
    }
    let away = |at: &(Dims, Option<(_, bool)>)| matches!(at.1, Some((_, true)));
    let here = || exe.plan.results.iter().zip(&left).filter(|(_, at)| !away(at)).map(|(r, _)| r);
    machine.fetch(here().map(|r| r.buffer))?;
    if let Some(residence) = &mut machine.residence {
        residence.send()?;
    }
    let mut here = take(machine, here())?.into_iter();
    let mut out = Vec::with_capacity(exe.plan.results.len());
    for (result, (shape, array)) in exe.plan.results.iter().zip(left) {
        out.push(match array {
            Some((array, true)) => DeviceTensor::on_gpu(result.dtype, shape, array),
            other => {
                let tensor = here.next().ok_or_else(|| internal("a result that was not taken"))?;
                let value = DeviceTensor::from_tensor(&tensor);
                let value = value.map_err(|e| ExecError::Internal(e.to_string()))?;
                other.into_iter().for_each(|(array, _)| value.keep(array));
                value
            }
        });
    }
    Ok(out)
}

/// The results among `wanted`, whose memory on the host is up to date.
fn take<'e>(
    mut machine: Machine<'e>,
    wanted: impl Iterator<Item = &'e PlanResult>,
) -> Result<Vec<Tensor>, ExecError> {
    let exe = machine.exe;
    let mut taken: SmallVec<[(&PlanResult, Dims, Memory); 2]> = SmallVec::new();
    for result in wanted {
        let shape = machine.extents(&result.shape, exe.plan.buffer(result.buffer).origin)?;
        taken.push((result, shape, machine.state.memory[result.buffer.0 as usize].clone()));
    }
    // From here on the results are what holds the memory, so that a count of one means that it can be handed over.
    machine.state.memory.clear();
    let mut out = Vec::with_capacity(taken.len());
    for (result, shape, memory) in taken {
        let origin = exe.plan.buffer(result.buffer).origin;
        out.push(match memory {
            Memory::Own(buffer) => tensor_over(result, &shape, buffer, origin)?,
            // An argument, perhaps under another shape or dtype, or a carried value that is still one.
            Memory::Caller(_) | Memory::Place(_) | Memory::Lent(_) | Memory::Empty | Memory::Away(_) => {
                copy_of(&over(result, shape, &memory)?, origin)?
            }
        });
    }
    machine.remember();
    machine.state.keep();
    Ok(out)
}

/// The contiguous view of a result in the memory that holds it.
fn over<'m>(result: &PlanResult, shape: Dims, memory: &'m Memory) -> Result<View<'m>, ExecError> {
    let (start, low, high) = memory.reach().ok_or_else(|| internal("a result was never computed"))?;
    let count = shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b));
    let bytes = count.and_then(|c| i64::try_from(c.checked_mul(result.dtype.size())?).ok());
    if low > 0 || bytes.is_none_or(|b| high < b) {
        return Err(internal("a result reaches outside of its memory"));
    }
    let strides = contiguous_strides(&shape);
    // SAFETY: the memory lives as long as the reference (an argument is borrowed during the call) and reaches over all
    // these bytes, as was just checked; lowering takes it whole only when it is contiguous, and makes no bool of other
    // bytes.
    Ok(unsafe { View::from_raw_dtype(result.dtype, start, shape, strides) })
}

/// Compares the places with the results that they are for, and lets the plan fill those that it can.
pub(super) fn offer(machine: &mut Machine<'_>, outputs: &mut [ViewMut<'_>]) -> Result<(), ExecError> {
    let exe = machine.exe;
    for (index, (result, output)) in exe.plan.results.iter().zip(outputs.iter()).enumerate() {
        let shape = machine.extents(&result.shape, exe.plan.buffer(result.buffer).origin)?;
        let why = if result.dtype != output.dtype() {
            TensorError::DType { expected: result.dtype, found: output.dtype() }
        } else if shape[..] != *output.shape() {
            TensorError::Shape { expected: shape.to_vec(), found: output.shape().to_vec() }
        } else {
            continue;
        };
        return Err(ExecError::Output { index, why });
    }
    if matches!(exe.code, Code::Interpreted) {
        return Ok(());
    }
    for ((result, direct), output) in exe.plan.results.iter().zip(&exe.direct).zip(outputs) {
        if let Some(first) = direct.filter(|_| output.is_contiguous()) {
            let len = output.shape().iter().product::<usize>() * output.dtype().size();
            let place = PlaceMemory { start: output.data_ptr(), len };
            // On a device, memory is not handed on.
            let buffer = if exe.placement.is_some() { result.buffer } else { first };
            machine.state.memory[buffer.0 as usize] = Memory::Place(place);
        }
    }
    Ok(())
}

/// Copies those results to their places that are not there already.
pub(super) fn write(mut machine: Machine<'_>, outputs: &mut [ViewMut<'_>]) -> Result<(), ExecError> {
    let exe = machine.exe;
    machine.fetch(exe.plan.results.iter().map(|r| r.buffer))?;
    for (index, (result, output)) in exe.plan.results.iter().zip(outputs).enumerate() {
        let memory = &machine.state.memory[result.buffer.0 as usize];
        if matches!(memory, Memory::Place(_)) {
            continue;
        }
        let view = over(result, Dims::from_slice(output.shape()), memory)?;
        output.copy_from(&view).map_err(|why| ExecError::Output { index, why })?;
    }
    machine.remember();
    machine.state.keep();
    Ok(())
}

fn tensor_over(
    result: &PlanResult,
    shape: &Dims,
    buffer: Arc<crate::Buffer>,
    origin: Span,
) -> Result<Tensor, ExecError> {
    let alone = Arc::strong_count(&buffer) == 1;
    // SAFETY: kernels and routines write 0 or 1 into bools, and constants and arguments hold nothing else.
    let tensor =
        unsafe { Tensor::from_parts_unchecked(result.dtype, shape, &contiguous_strides(shape), 0, buffer) };
    let tensor = tensor.map_err(|e| ExecError::Internal(e.to_string()))?;
    if alone { Ok(tensor) } else { copy_of(&tensor.as_view(), origin) }
}

fn copy_of(view: &View<'_>, origin: Span) -> Result<Tensor, ExecError> {
    let bytes = (view.len() as u64).saturating_mul(view.dtype().size() as u64);
    view.to_tensor().map_err(|_| ExecError::OutOfMemory { bytes, origin })
}
