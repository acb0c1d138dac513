//! Matrix products with the maps behind them as one kernel each, for a device that computes a product by a kernel of ours.
//!
//! The plan has joined them already, to be run by rows ([`super::panels`]). Here the map becomes a part of the product's
//! kernel, where its elements are those of the product's result one by one: what the product comes to is then
//! written once, with bias and activation applied.

use super::kernel::{Scratch, prepare};
use super::machine::Machine;
use super::{ExecError, device, internal};
use matex_ir::Dim;
use matex_ir::loops::append::{Link, Origin, append};
use matex_ir::loops::{Kernel, OperandId, Role};
use matex_passes::plan::{Binding, BufferId, Item, KernelStep, Plan, Step};

/// Where the result stands among the operands of a product's kernel.
const RESULT: usize = 2;

/// A product and a map as one kernel.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The runs that it takes the place of.
    pub(crate) replaced: [usize; 2],
    pub(crate) kernel: Kernel,
    /// The run, with the bindings of both; its strides are known at a call.
    pub(crate) step: KernelStep,
    operands: Vec<Origin>,
    /// For each axis of the map those of the product that it walks, outermost first.
    axes: Vec<Vec<usize>>,
}

/// The products of a plan with the maps that can be part of their kernels.
pub(crate) fn joined(plan: &Plan) -> Vec<Joined> {
    let items = plan.blocks.iter().flat_map(|b| &b.items);
    items.flat_map(|item| of_item(plan, item)).collect()
}

fn of_item(plan: &Plan, item: &Item) -> Vec<Joined> {
    let Step::Panels(members) = &item.step else { return Vec::new() };
    let steps: Vec<&KernelStep> = members.iter().map(|m| &m.step).collect();
    let pairs = (1..steps.len()).filter_map(|i| {
        let others = steps.iter().enumerate().filter(|(j, _)| *j != i && j + 1 != i).map(|(_, s)| *s);
        let needed = |b: BufferId| {
            let read = others.clone().any(|s| s.operands.iter().any(|o| o.place.buffer == b));
            read || !item.frees.contains(&b)
        };
        join(plan, steps[i - 1], steps[i], needed)
    });
    pairs.collect()
}

/// A product and the map that runs next; `needed` tells whether a buffer is of use to anybody else.
fn join(
    plan: &Plan,
    product: &KernelStep,
    map: &KernelStep,
    needed: impl Fn(BufferId) -> bool,
) -> Option<Joined> {
    let gemm = product.gemm.filter(|_| map.gemm.is_none())?;
    let (first, second) = (plan.kernels.get(product.kernel)?, plan.kernels.get(map.kernel)?);
    let result = product.operands.get(RESULT)?;
    let mine = |b: &Binding| b.place.buffer == result.place.buffer;
    let roles = || map.operands.iter().zip(&second.operands).enumerate();
    let reads: Vec<OperandId> = roles()
        .filter(|(_, (b, o))| mine(b) && o.role == Role::In)
        .map(|(i, _)| OperandId(i as u32))
        .collect();
    let read = map.operands.get(reads.first()?.index())?;
    let alike = map.operands.iter().filter(|b| mine(b)).all(|b| b == read);
    let writes = |b: BufferId| roles().any(|(_, (out, o))| o.role == Role::Out && out.place.buffer == b);
    let apart = product.operands[..RESULT].iter().all(|b| !writes(b.place.buffer));
    if !alike || !apart || read.place != result.place || !read.place.moves.is_empty() {
        return None;
    }
    let axes = walked(plan, (product, gemm.depth), (map, reads[0].index()))?;
    let keep = !writes(result.place.buffer) && needed(result.place.buffer);
    let link = Link { result: OperandId(RESULT as u32), reads: &reads, axes: &axes, keep };
    let one = append(first, second, &link)?;
    let binding = |origin: &Origin| match origin {
        Origin::First(o) => product.operands.get(o.index()).cloned(),
        Origin::Map(o) => map.operands.get(o.index()).cloned(),
    };
    let bindings = one.operands.iter().map(binding).collect::<Option<Vec<Binding>>>()?;
    let step = KernelStep { operands: bindings, gemm: None, ..product.clone() };
    Some(Joined { replaced: [product.id, map.id], kernel: one.kernel, step, operands: one.operands, axes })
}

/// For each axis of a map the axes of a product that it walks, when its elements are those of the result one by one.
fn walked(
    plan: &Plan,
    (product, depth): (&KernelStep, usize),
    (map, read): (&KernelStep, usize),
) -> Option<Vec<Vec<usize>>> {
    let mut inner = in_memory(plan, product, RESULT, Some(depth))?.into_iter();
    let mut axes = vec![Vec::new(); map.extents.len()];
    for axis in in_memory(plan, map, read, None)? {
        let (extent, mut have) = (plan.dim(map.extents[axis]), Dim::ONE);
        while &have != extent {
            let next = inner.next()?;
            have = &have * plan.dim(product.extents[next]);
            axes[axis].insert(0, next);
        }
    }
    inner.next().is_none().then_some(axes)
}

/// The axes of a kernel, innermost first, when an operand lies contiguously along all of them but one.
fn in_memory(plan: &Plan, step: &KernelStep, operand: usize, but: Option<usize>) -> Option<Vec<usize>> {
    let strides = &step.operands.get(operand)?.strides;
    let mut left: Vec<usize> = (0..strides.len()).filter(|a| Some(*a) != but).collect();
    let (mut next, mut order) = (Dim::ONE, Vec::with_capacity(left.len()));
    while !left.is_empty() {
        let at = left.iter().position(|a| plan.dim(strides[*a]) == &next)?;
        let axis = left.remove(at);
        next = &next * plan.dim(*step.extents.get(axis)?);
        order.push(axis);
    }
    Some(order)
}

impl Joined {
    /// Where the operands lie, from what was found of both runs; nothing where their sizes do not fit.
    fn scratch(&self, first: &Scratch, map: &Scratch) -> Option<Scratch> {
        let extents = first.extents.clone();
        for (walked, extent) in self.axes.iter().zip(&map.extents) {
            let mut positions = walked.iter().map(|a| extents[*a]);
            if positions.try_fold(1i64, i64::checked_mul) != Some(*extent) {
                return None;
            }
        }
        let axes = |scratch: &Scratch| scratch.extents.len();
        let mut offsets = Vec::with_capacity(self.operands.len());
        let mut own: Vec<&[i64]> = Vec::with_capacity(self.operands.len());
        for origin in &self.operands {
            let (o, of) = match origin {
                Origin::First(o) => (o.index(), first),
                Origin::Map(o) => (o.index(), map),
            };
            offsets.push(*of.offsets.get(o)?);
            own.push(of.strides.get(o * axes(of)..(o + 1) * axes(of))?);
        }
        let strides = self.strides(&extents, &|o| own[o].to_vec());
        Some(Scratch::located(extents, offsets, strides))
    }

    /// The strides of all operands along the axes of the product, whose extents these are, from what `of` tells of an operand
    /// along the axes of its own kernel.
    pub(crate) fn strides(&self, extents: &[i64], of: &dyn Fn(usize) -> Vec<i64>) -> Vec<i64> {
        let along = |(o, origin): (usize, &Origin)| match origin {
            Origin::First(_) => of(o),
            Origin::Map(_) => self.spread(&of(o), extents),
        };
        self.operands.iter().enumerate().flat_map(along).collect()
    }

    /// Strides along the axes of the map as such along those of the product.
    fn spread(&self, strides: &[i64], extents: &[i64]) -> Vec<i64> {
        let mut spread = vec![0; extents.len()];
        for (walked, stride) in self.axes.iter().zip(strides) {
            let mut further = *stride;
            for axis in walked.iter().rev() {
                spread[*axis] = further;
                further = further.saturating_mul(extents[*axis]);
            }
        }
        spread
    }
}

/// Runs a product and the map behind it as one kernel on the device, if that can be done.
pub(super) fn run(
    machine: &mut Machine<'_>,
    product: &KernelStep,
    map: &KernelStep,
) -> Result<bool, ExecError> {
    let exe = machine.exe;
    let Some(joined) = exe.placement.as_ref().and_then(|p| p.joined([product.id, map.id])) else {
        return Ok(false);
    };
    let mut found: [Scratch; 2] = Default::default();
    let mut busy = true;
    for (step, scratch) in [product, map].into_iter().zip(&mut found) {
        let kernel = exe.plan.kernels.get(step.kernel).ok_or_else(|| internal("no such kernel"))?;
        *scratch = std::mem::take(&mut machine.state.scratch[step.id]);
        busy = busy && prepare(machine, step, kernel, scratch)?;
    }
    let scratch = if busy { joined.scratch(&found[0], &found[1]) } else { None };
    for (step, scratch) in [product, map].into_iter().zip(found) {
        machine.state.scratch[step.id] = scratch;
    }
    match scratch {
        Some(scratch) => device::run_joined(machine, joined, &scratch),
        None => Ok(false),
    }
}
