//! Scatters on the device: which ones, and a run of one.
//!
//! A scatter is a step of the plan that a routine of the library carries out. The device takes those whose dtypes it has and whose lines are
//! many or short; what it writes has the bits that the routine's has, since a thread walks a line in order.

use super::arrays::Side;
use crate::exec::machine::Machine;
use crate::exec::{ExecError, Executable};
use crate::gpu::{Code, Device, Dispatch, GpuError, device_bytes};
use matex_codegen_gpu::{Lines, Scatter};
use matex_ir::{DType, Dim, Span};
use matex_passes::plan::{PlanView, Routine};

/// What a routine is that a device may carry out.
struct Step<'a> {
    axis: usize,
    add: bool,
    /// Index, source and result.
    views: [&'a PlanView; 3],
}

impl<'a> Step<'a> {
    fn of(routine: &Routine, inputs: &'a [PlanView], outputs: &'a [PlanView]) -> Option<Step<'a>> {
        match (routine, inputs, outputs) {
            (Routine::Scatter { axis, add }, [index, src], [out]) => {
                Some(Step { axis: *axis, add: *add, views: [index, src, out] })
            }
            (Routine::Scatter { .. } | Routine::Lib(_), ..) => None,
        }
    }

    /// The scatter, and why the device leaves it to the CPU, where it does.
    fn scatter(&self) -> Result<Scatter, String> {
        let [index, _, out] = self.views;
        Scatter::new(out.dtype, index.dtype, self.add)
    }

    /// Its sizes, for the extents of the source and of the result, and with the operands that begin at these elements.
    fn lines(&self, src: &[i64], out: &[i64], offsets: [i64; 3]) -> Lines {
        let product = |extents: &[i64]| extents.iter().fold(1i64, |n, e| n.saturating_mul(*e));
        let along = |extents: &[i64]| extents.get(self.axis).copied().unwrap_or(0);
        let inner = product(out.get(self.axis + 1..).unwrap_or_default());
        let outer = product(out.get(..self.axis).unwrap_or_default());
        Lines { outer, count: along(src), extent: along(out), inner, offsets }
    }
}

/// What keeps a device from binding buffers of so many bytes.
fn too_large(device: &Device, bytes: impl IntoIterator<Item = u64>) -> Option<String> {
    let most = device.binding_bytes();
    let large = bytes.into_iter().find(|b| *b > most);
    large.map(|bytes| format!("an array of {bytes} bytes, and the GPU binds {most} at most"))
}

impl Executable {
    /// Why a routine of such sizes stays on the CPU, in a few words; nothing when it runs on the GPU.
    ///
    /// # Errors
    /// When there is no GPU.
    pub fn routine_stays_on_cpu(
        &self,
        routine: &Routine,
        (inputs, outputs): (&[PlanView], &[PlanView]),
        value: &impl Fn(&Dim) -> Option<i64>,
    ) -> Result<Option<String>, GpuError> {
        let Some(step) = Step::of(routine, inputs, outputs).filter(|_| self.uses_gpu()) else {
            return Ok(Some("it is a routine of the library".to_owned()));
        };
        if let Err(why) = step.scatter() {
            return Ok(Some(why));
        }
        let of = |dim: &Dim| value(dim).unwrap_or(0);
        let extents = |view: &PlanView| view.shape.iter().map(|s| of(self.plan.dim(*s))).collect::<Vec<_>>();
        let [_, src, out] = step.views.map(extents);
        let offsets = step.views.map(|v| of(self.plan.dim(v.place.offset)));
        let bytes = step.views.map(|v| {
            let decl = self.plan.buffer(v.place.buffer);
            device_bytes(decl.dtype, of(self.plan.dim(decl.bytes)).max(0) as u64)
        });
        Ok(step.lines(&src, &out, offsets).words().err().or(too_large(&*Device::get()?, bytes)))
    }
}

/// Runs a routine on the device, if that can be done; where an index is out of range the CPU runs it too, and has the error.
pub(in crate::exec) fn run(
    machine: &mut Machine<'_>,
    routine: &Routine,
    (inputs, outputs): (&[PlanView], &[PlanView]),
    origin: Span,
) -> Result<bool, ExecError> {
    let Some(step) = Step::of(routine, inputs, outputs) else { return Ok(false) };
    let Some(residence) = machine.residence.take() else { return Ok(false) };
    let mut side = Side { machine, residence, origin };
    let done = run_there(&mut side, &step);
    let Side { machine, residence, .. } = side;
    machine.residence = Some(residence);
    done
}

fn run_there(side: &mut Side<'_, '_>, step: &Step<'_>) -> Result<bool, ExecError> {
    let Ok(scatter) = step.scatter() else { return Ok(false) };
    let mut extents = [Vec::new(), Vec::new(), Vec::new()];
    let (mut offsets, mut bytes) = ([0; 3], [0; 3]);
    for (i, view) in step.views.iter().enumerate() {
        let shape = side.machine.extents(&view.shape, side.origin)?;
        extents[i] = shape.iter().map(|e| *e as i64).collect();
        let low = side.low(view.place.buffer) / view.dtype.size() as i64;
        offsets[i] = side.machine.offset(&view.place, side.origin)? - low;
        bytes[i] = side.bytes(view.place.buffer);
    }
    let lines = step.lines(&extents[1], &extents[2], offsets);
    let Ok(words) = lines.words() else { return Ok(false) };
    if too_large(&side.residence.device, bytes).is_some() {
        return Ok(false);
    }
    let mut arrays = Vec::with_capacity(3);
    for (i, view) in step.views.iter().enumerate() {
        arrays.push(side.array(view.place.buffer, i == 2)?);
    }
    // All are contiguous, so that the last element is the furthest.
    let ends = extents.iter().zip(offsets).zip(step.views).zip(&arrays);
    let proven = ends.into_iter().all(|(((extents, offset), view), array)| {
        let size = if view.dtype == DType::Bool { 4 } else { view.dtype.size() as i64 };
        let count = extents.iter().fold(1i64, |n, e| n.saturating_mul(*e));
        count.saturating_add(offset).saturating_mul(size) as u64 <= array.bytes()
    });
    let flag = side.flag()?;
    let (code, points) = (Code::Scatter(scatter), lines.points());
    let dispatch =
        Dispatch { code, arrays: &arrays, words: &words, points, windows: None, proven, flag: Some(&flag) };
    side.residence.queue.run(&dispatch).map_err(ExecError::Gpu)?;
    side.written(step.views[2].place.buffer);
    Ok(!side.is_raised(&flag)?)
}
