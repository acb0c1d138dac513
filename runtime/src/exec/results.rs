//! From the memory of a finished call to tensors of the caller.

use super::machine::Machine;
use super::memory::Memory;
use super::{ExecError, Executable, internal};
use crate::{AsView, Dims, Strides, Tensor, TensorError, View, ViewMut};
use matex_ir::Span;
use matex_passes::plan::PlanResult;
use std::sync::Arc;

/// The results of a call. Memory that is the call's alone is handed over, all other is copied.
pub(super) fn collect(exe: &Executable, machine: Machine<'_>) -> Result<Vec<Tensor>, ExecError> {
    let mut taken: Vec<(PlanResult, Dims, Memory)> = Vec::new();
    for result in &exe.plan.results {
        let shape = machine.extents(&result.shape, exe.plan.buffer(result.buffer).origin)?;
        taken.push((result.clone(), shape, machine.memory[result.buffer.0 as usize].clone()));
    }
    // From here on the results are what holds the memory, so that a count of one means that it can be handed over.
    drop(machine);
    let mut out = Vec::with_capacity(taken.len());
    for (result, shape, memory) in taken {
        let origin = exe.plan.buffer(result.buffer).origin;
        let tensor = match memory {
            Memory::Own(buffer) => tensor_over(&result, &shape, buffer, origin)?,
            // An argument, perhaps under another shape or dtype, or a carried value that is still one.
            Memory::Caller(memory) => {
                let count = shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b));
                let bytes = count.and_then(|c| i64::try_from(c.checked_mul(result.dtype.size())?).ok());
                if memory.low > 0 || bytes.is_none_or(|b| memory.high < b) {
                    return Err(internal("a result reaches outside of its argument"));
                }
                let strides = row_major(&shape);
                // SAFETY: the argument is borrowed during the call and reaches over all these bytes, as was just
                // checked; lowering takes it whole only when it is contiguous, and makes no bool of other bytes.
                let view = unsafe { View::from_raw_dtype(result.dtype, memory.start, shape, strides) };
                copy_of(&view, origin)?
            }
            Memory::Empty => return Err(internal("a result was never computed")),
        };
        out.push(tensor);
    }
    Ok(out)
}

fn tensor_over(
    result: &PlanResult,
    shape: &Dims,
    buffer: Arc<crate::Buffer>,
    origin: Span,
) -> Result<Tensor, ExecError> {
    let alone = Arc::strong_count(&buffer) == 1;
    // SAFETY: kernels and routines write 0 or 1 into bools, and constants and arguments hold nothing else.
    let tensor = unsafe { Tensor::from_parts_unchecked(result.dtype, shape, &row_major(shape), 0, buffer) };
    let tensor = tensor.map_err(|e| ExecError::Internal(e.to_string()))?;
    if alone { Ok(tensor) } else { copy_of(&tensor.as_view(), origin) }
}

fn copy_of(view: &View<'_>, origin: Span) -> Result<Tensor, ExecError> {
    let bytes = (view.len() as u64).saturating_mul(view.dtype().size() as u64);
    view.to_tensor().map_err(|_| ExecError::OutOfMemory { bytes, origin })
}

fn row_major(shape: &[usize]) -> Strides {
    let mut strides = Strides::from_elem(0, shape.len());
    let mut step = 1isize;
    for (stride, extent) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul((*extent).max(1) as isize);
    }
    strides
}

/// Copies results to where the caller wants them, after all places were found to fit.
pub(super) fn write_out(results: &[Tensor], outputs: &mut [ViewMut<'_>]) -> Result<(), ExecError> {
    for (index, (result, output)) in results.iter().zip(outputs.iter()).enumerate() {
        let why = if result.dtype() != output.dtype() {
            TensorError::DType { expected: result.dtype(), found: output.dtype() }
        } else if result.shape() != output.shape() {
            TensorError::Shape { expected: result.shape().to_vec(), found: output.shape().to_vec() }
        } else {
            continue;
        };
        return Err(ExecError::Output { index, why });
    }
    for (index, (result, output)) in results.iter().zip(outputs).enumerate() {
        output.copy_from(&result.as_view()).map_err(|why| ExecError::Output { index, why })?;
    }
    Ok(())
}
