//! Which index was out of range, once a kernel has said that one was.
//!
//! A kernel only answers that there was one, so that its loops have nothing to carry. Its indices are computed once more
//! here, element by element, by the reference meaning of the ops.

use super::kernel::{Scratch, load};
use super::machine::{Machine, out_of_range};
use super::{ExecError, internal, run_error};
use matex_ir::loops::{InstId, InstKind, Kernel};
use matex_ir::{DType, Scalar};
use matex_passes::plan::KernelStep;

/// The error for the first index that is out of range, of the first gather in the source that has one.
pub(super) fn find(
    machine: &Machine<'_>,
    step: &KernelStep,
    scratch: &Scratch,
) -> Result<ExecError, ExecError> {
    let kernel = machine.exe.plan.kernels.get(step.kernel).ok_or_else(|| internal("no such kernel"))?;
    let run = Run { machine, step, kernel, scratch, wanted: indices_need(kernel) };
    let mut found: Vec<Option<i64>> = vec![None; step.operands.len()];
    let mut point = vec![0i64; scratch.extents.len()];
    loop {
        run.element(&point, &mut found)?;
        let moved = (0..point.len()).rev().find(|axis| {
            point[*axis] += 1;
            let inside = point[*axis] < scratch.extents[*axis];
            if !inside {
                point[*axis] = 0;
            }
            inside
        });
        if moved.is_none() {
            break;
        }
    }
    let mut sites: Vec<_> = step.gathers.iter().collect();
    sites.sort_by_key(|s| s.origin.start);
    for site in sites {
        if let Some(Some(index)) = found.get(site.operand) {
            let extent = run.extent(site.operand).ok_or_else(|| internal("a gather without an extent"))?;
            return Ok(run_error(out_of_range(site.axis, i128::from(*index), extent, site.origin)));
        }
    }
    Err(internal("a kernel says that an index is out of range, and none is"))
}

/// The instructions that the indices of a kernel depend on.
fn indices_need(kernel: &Kernel) -> Vec<bool> {
    let mut needed = vec![false; kernel.body.len()];
    for (id, inst) in kernel.body.iter().enumerate().rev() {
        if needed[id] || matches!(inst.kind, InstKind::LoadAt { .. }) {
            inst.kind.args().iter().for_each(|a| needed[a.index()] = true);
            needed[id] = true;
        }
    }
    needed
}

struct Run<'a, 'e> {
    machine: &'a Machine<'e>,
    step: &'a KernelStep,
    kernel: &'a Kernel,
    scratch: &'a Scratch,
    wanted: Vec<bool>,
}

impl Run<'_, '_> {
    /// The extent that an operand is gathered along.
    fn extent(&self, operand: usize) -> Option<i64> {
        self.words(operand)?.first().copied()
    }

    /// Extent and stride of an operand's gathered dimension.
    fn words(&self, operand: usize) -> Option<&[i64]> {
        let id = matex_ir::loops::OperandId(operand as u32);
        let start = self.kernel.gather_words(id);
        self.scratch.strides.get(start..start + 2)
    }

    /// Computes the indices of one element, and notes for each operand the first one that is out of range.
    fn element(&self, point: &[i64], found: &mut [Option<i64>]) -> Result<(), ExecError> {
        let mut values: Vec<Option<Scalar>> = vec![None; self.kernel.body.len()];
        for (id, inst) in self.kernel.body.iter().enumerate() {
            if !self.wanted[id] {
                continue;
            }
            let args: Option<Vec<Scalar>> = inst.kind.args().iter().map(|a| values[a.index()]).collect();
            let args = args.ok_or_else(|| internal("an index that depends on a reduction"))?;
            let first = args.first().copied();
            values[id] = match &inst.kind {
                InstKind::Load(o) => Some(self.read(point, o.index(), 0)?),
                InstKind::LoadAt { operand, indices } => {
                    Some(self.read_at(point, operand.index(), indices, &args, found)?)
                }
                InstKind::Index(axis) => {
                    Some(Scalar::from_i128(DType::I64, i128::from(point[*axis as usize])))
                }
                InstKind::Const(s) => Some(*s),
                InstKind::Map(op, _) => op.eval(&args),
                InstKind::Rescue(op, _) => match args.as_slice() {
                    [fast, beyond, _] if beyond.bits() == 0 => Some(*fast),
                    [_, _, x] => op.eval(&[*x]),
                    _ => None,
                },
                InstKind::Cast(_) => first.map(|a| a.cast(inst.dtype)),
                InstKind::Bitcast(_) => first.map(|a| Scalar::from_bits(inst.dtype, a.bits())),
                InstKind::Reduce { .. } | InstKind::Part { .. } | InstKind::Scan { .. } => None,
            };
        }
        Ok(())
    }

    fn read_at(
        &self,
        point: &[i64],
        operand: usize,
        indices: &[InstId],
        args: &[Scalar],
        found: &mut [Option<i64>],
    ) -> Result<Scalar, ExecError> {
        let (Some([extent, stride]), [_], [index]) = (self.words(operand), indices, args) else {
            return Err(internal("a gather along several dimensions"));
        };
        let given = index.to_i128() as i64;
        let index = if given < 0 { given.wrapping_add(*extent) } else { given };
        if (0..*extent).contains(&index) {
            return self.read(point, operand, index.wrapping_mul(*stride));
        }
        found[operand].get_or_insert(given);
        Ok(Scalar::from_bits(self.kernel.operands[operand].dtype, 0))
    }

    /// The element of an operand at a point, and some bytes further.
    fn read(&self, point: &[i64], operand: usize, further: i64) -> Result<Scalar, ExecError> {
        let dtype = self.kernel.operands[operand].dtype;
        let strides = &self.scratch.strides[operand * point.len()..(operand + 1) * point.len()];
        let moved: i64 = point.iter().zip(strides).map(|(p, s)| p * s).sum();
        let at = self.scratch.offsets[operand] + moved + further;
        let buffer = self.step.operands[operand].place.buffer;
        load(&self.machine.state.memory[buffer.0 as usize], dtype, at / dtype.size() as i64)
    }
}
