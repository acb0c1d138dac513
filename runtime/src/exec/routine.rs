//! Runs one routine: binds its operands, checks that they lie inside their memory, and calls it.

use super::machine::Machine;
use super::products::Call;
use super::{ExecError, internal, run_error};
use crate::lib_ops::{self, Bytes, Context, Operand};
use crate::{Dims, View, contiguous_strides};
use matex_ir::tensor::RunError;
use matex_ir::{DType, Span};
use matex_passes::plan::{PlanView, Routine};
use smallvec::SmallVec;
use std::slice;

/// The operands of a routine but for where they are: inputs first, each contiguous.
pub(super) struct Operands {
    all: SmallVec<[Packed; 4]>,
    inputs: usize,
}

/// A contiguous array somewhere in a piece of memory.
struct Packed {
    dtype: DType,
    shape: Dims,
    /// Where in its memory it begins, in bytes.
    offset: i64,
    /// How many bytes it has.
    bytes: usize,
}

impl Packed {
    fn bind(machine: &Machine<'_>, view: &PlanView, origin: Span) -> Result<Packed, ExecError> {
        let (shape, size) = (machine.extents(&view.shape, origin)?, view.dtype.size());
        let offset = machine.offset(&view.place, origin)?.checked_mul(size as i64);
        let count = shape.iter().try_fold(size, |n, e| n.checked_mul(*e));
        let (Some(offset), Some(bytes)) = (offset, count) else {
            return Err(internal("an operand of a routine is too large"));
        };
        Ok(Packed { dtype: view.dtype, shape, offset, bytes })
    }

    /// Where it begins in memory that may be touched from `low` to `high`, counted from `start`.
    fn within(&self, (start, low, high): (*mut u8, i64, i64)) -> Result<*mut u8, ExecError> {
        if self.bytes == 0 {
            return Ok(start);
        }
        let end = i64::try_from(self.bytes).ok().and_then(|b| self.offset.checked_add(b));
        if self.offset < low || end.is_none_or(|e| e > high) {
            return Err(internal("an operand of a routine reaches outside its memory"));
        }
        Ok(start.wrapping_offset(self.offset as isize))
    }
}

impl Operands {
    /// The operands at the sizes of this call.
    pub(super) fn bind(
        machine: &Machine<'_>,
        inputs: &[PlanView],
        outputs: &[PlanView],
        origin: Span,
    ) -> Result<Operands, ExecError> {
        let all = inputs.iter().chain(outputs).map(|v| Packed::bind(machine, v, origin));
        Ok(Operands { all: all.collect::<Result<_, _>>()?, inputs: inputs.len() })
    }

    /// How many bytes into its memory each of them begins.
    pub(super) fn offsets(&self) -> impl Iterator<Item = i64> {
        self.all.iter().map(|o| if o.bytes == 0 { 0 } else { o.offset })
    }

    /// Calls a routine on operands that begin at these places.
    ///
    /// # Safety
    /// From each place on the bytes of the operand may be read, and those of outputs be written and are nobody else's, as long
    /// as this runs; places are aligned for their dtypes. Inputs are initialized, with 0 or 1 in bools, and so is what a
    /// scatter writes into.
    pub(super) unsafe fn run(
        &self,
        routine: &Routine,
        data: &[*mut u8],
        context: &Context<'_>,
    ) -> Result<(), RunError> {
        let (inputs, outputs) = self.all.split_at(self.inputs);
        let (from, to) = data.split_at(self.inputs.min(data.len()));
        let view = |(o, start): (&Packed, &*mut u8)| {
            // SAFETY: the caller's promise.
            unsafe { View::from_raw_dtype(o.dtype, *start, o.shape.clone(), contiguous_strides(&o.shape)) }
        };
        let views: SmallVec<[View<'_>; 3]> = inputs.iter().zip(from).map(view).collect();
        let filled = matches!(routine, Routine::Scatter { .. });
        let mut places = Vec::with_capacity(outputs.len());
        for (o, start) in outputs.iter().zip(to) {
            // SAFETY: the caller's promise: a scatter writes into what is there, and all others get memory that may be
            // uninitialized.
            let bytes = unsafe {
                if filled {
                    Bytes::Filled(slice::from_raw_parts_mut(*start, o.bytes))
                } else {
                    Bytes::Fresh(slice::from_raw_parts_mut(start.cast(), o.bytes))
                }
            };
            places.push(Operand { dtype: o.dtype, shape: &o.shape, bytes });
        }
        lib_ops::run(routine, &views, places, context)
    }
}

/// Runs a routine step.
pub(super) fn run(
    machine: &mut Machine<'_>,
    routine: &Routine,
    (inputs, outputs): (&[PlanView], &[PlanView]),
    origin: Span,
) -> Result<(), ExecError> {
    let buffers = || inputs.iter().chain(outputs).map(|v| v.place.buffer);
    // An input may be shared, but none may be the memory that is written, and that is one for each output.
    let written = |(i, v): (usize, &PlanView)| {
        buffers().enumerate().any(|(j, b)| b == v.place.buffer && j != inputs.len() + i)
    };
    if outputs.iter().enumerate().any(written) {
        return Err(internal("a routine's output is another operand"));
    }
    if super::device::run_routine(machine, routine, (inputs, outputs), origin)? {
        return Ok(());
    }
    machine.fetch(buffers())?;
    let operands = Operands::bind(machine, inputs, outputs, origin)?;
    let mut data: SmallVec<[*mut u8; 4]> = SmallVec::new();
    for (i, (operand, buffer)) in operands.all.iter().zip(buffers()).enumerate() {
        let memory = &mut machine.state.memory[buffer.0 as usize];
        let bounds = if i < inputs.len() {
            let (start, low, high) = memory.reach().ok_or_else(|| internal("a value is not there"))?;
            (start.cast_mut(), low, high)
        } else {
            let place = memory.unique().ok_or_else(|| internal("a routine's output is shared"))?;
            (place.start, 0, place.len as i64)
        };
        data.push(operand.within(bounds)?);
    }
    let Call { pool, cancel } = machine.call();
    let (nan_passes, warnings) = (machine.exe.nan_passes, machine.warnings);
    let context = Context { pool, nan_passes, warnings, cancel, origin };
    // SAFETY: all operands lie in their memory, as `within` found, which lives as long as the call: buffers, which are aligned to
    // 64 bytes, places, and arguments, aligned to their elements. That of outputs is nobody else's (`unique`), and no
    // other operand's. Steps before filled inputs and what a scatter writes into; bools are 0 or 1 as everywhere.
    let done = unsafe { operands.run(routine, &data, &context) };
    if let Some(residence) = &mut machine.residence {
        outputs.iter().for_each(|v| residence.written(v.place.buffer));
    }
    done.map_err(run_error)
}
