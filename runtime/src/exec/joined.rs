//! Matrix products with the maps before and behind them as one kernel each, for a device that computes a product by a kernel
//! of ours.
//!
//! The plan has them run together already. Here a map whose result is an operand of the product, and nothing else, becomes a
//! part of the product's kernel and is computed as the operand is read; and one behind the product, where its elements are
//! those of the product's result one by one, before that is stored. A product may have several such forms. Which one is
//! worth it sizes say ([`Joined::saves`]): what stands before a product is computed again for each tile that reads it.

use super::device::{self, Known};
use super::kernel::{Scratch, prepare};
use super::machine::Machine;
use super::{ExecError, internal, kernel};
use matex_codegen_gpu::Schedule;
use matex_ir::Dim;
use matex_ir::loops::append::{Link, Origin, append};
use matex_ir::loops::prepend::{Before, prepend};
use matex_ir::loops::{AxisKind, Kernel, OperandId, Role};
use matex_passes::cost::DeviceModel;
use matex_passes::plan::{Binding, BufferId, Item, KernelStep, Member, Plan, Slot, Step};

/// Where the result stands among the operands of a product's kernel.
const RESULT: usize = 2;

/// The forms of a product, the one that holds most first.
#[derive(Debug)]
pub(crate) struct Forms {
    /// The run of the product.
    pub(crate) product: usize,
    /// The runs that may become part of it and stand before it: they wait for it.
    pub(crate) before: Vec<usize>,
    pub(crate) all: Vec<Joined>,
}

/// A product and what stands next to it as one kernel.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The runs that it takes the place of, in their order.
    pub(crate) replaced: Vec<usize>,
    pub(crate) kernel: Kernel,
    /// The run, with the bindings of all; its strides are known at a call.
    pub(crate) step: KernelStep,
    pub(super) known: Known,
    operands: Vec<Part>,
    walks: Vec<Walk>,
}

/// What an operand of a joined kernel is: that operand of a run, the number of which is one of those that are replaced.
#[derive(Clone, Copy, Debug)]
struct Part {
    run: usize,
    operand: OperandId,
    /// How the run walks the axes of the product; nothing for the product itself.
    walk: Option<usize>,
}

/// How a map walks the axes of a product.
#[derive(Debug)]
struct Walk {
    run: usize,
    /// For each axis of the map those of the product that it walks, outermost first.
    axes: Vec<Vec<usize>>,
    /// What one element takes, for a map before the product.
    before: Option<Element>,
}

/// What an element of a product's operand takes to be computed.
#[derive(Clone, Copy, Debug)]
struct Element {
    /// Simple operations.
    ops: f64,
    /// Its own bytes, and those that are read for it.
    own: f64,
    read: f64,
}

impl Forms {
    /// Keeps some of the forms; what is a part of none of them waits for nothing.
    pub(super) fn keep(&mut self, which: impl Fn(&Joined) -> bool) {
        self.all.retain(which);
        self.before.retain(|b| self.all.iter().any(|j| j.replaced.contains(b)));
    }
}

/// The products of a plan that have forms besides the plain one.
pub(crate) fn joined(plan: &Plan) -> Vec<Forms> {
    let items = plan.blocks.iter().flat_map(|b| &b.items);
    items.flat_map(|item| of_item(plan, item)).filter(|f| !f.all.is_empty()).collect()
}

fn of_item(plan: &Plan, item: &Item) -> Vec<Forms> {
    let Step::Panels(members) = &item.step else { return Vec::new() };
    let steps: Vec<&KernelStep> = members.iter().map(|m| &m.step).collect();
    let products = (0..steps.len()).filter(|p| steps[*p].gemm.is_some());
    products.map(|p| Neighbours { plan, item, steps: &steps, product: p }.forms()).collect()
}

/// A product among the runs that run together.
struct Neighbours<'a> {
    plan: &'a Plan,
    item: &'a Item,
    steps: &'a [&'a KernelStep],
    product: usize,
}

impl Neighbours<'_> {
    /// Whether a buffer is of use to others than these runs.
    fn is_needed(&self, buffer: BufferId, but: &[usize]) -> bool {
        let others = self.steps.iter().enumerate().filter(|(i, _)| !but.contains(i));
        let read = others.into_iter().any(|(_, s)| s.operands.iter().any(|o| o.place.buffer == buffer));
        read || !self.item.frees.contains(&buffer)
    }

    /// The runs before the product that compute an operand of it, element by element and for nobody else.
    fn before(&self) -> Vec<usize> {
        let product = self.steps[self.product];
        let inputs = product.operands.iter().take(RESULT).map(|b| b.place.buffer);
        let inputs: Vec<BufferId> = inputs.collect();
        let computes = |i: &usize| {
            let step = self.steps[*i];
            let Some(out) = result(self.plan, step) else { return false };
            let buffer = step.operands[out].place.buffer;
            let between = &self.steps[i + 1..self.product];
            let written = |b: &Binding| between.iter().any(|s| writes(self.plan, s, b.place.buffer));
            step.gemm.is_none()
                && inputs.contains(&buffer)
                && !self.is_needed(buffer, &[*i, self.product])
                && !step.operands.iter().any(written)
        };
        (0..self.product).filter(computes).take(RESULT).collect()
    }

    fn forms(&self) -> Forms {
        let before = self.before();
        let mut sets: Vec<Vec<usize>> = (0..1usize << before.len())
            .map(|bits| (0..before.len()).filter(|i| bits >> i & 1 == 1).map(|i| before[i]).collect())
            .collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
        let with: Vec<Joined> = sets.iter().filter_map(|set| self.form(set, true)).collect();
        let without = sets.iter().filter(|set| !set.is_empty()).filter_map(|set| self.form(set, false));
        let id = |i: usize| self.steps[i].id;
        let all: Vec<Joined> = with.into_iter().chain(without).collect();
        let mut forms =
            Forms { product: id(self.product), before: before.iter().map(|i| id(*i)).collect(), all };
        forms.keep(|_| true);
        forms
    }

    /// The product with some of the maps before it, and with the one behind it or not.
    fn form(&self, before: &[usize], behind: bool) -> Option<Joined> {
        let mut runs: Vec<usize> = before.to_vec();
        runs.push(self.product);
        if behind {
            runs.push(self.product + 1);
        }
        let product = self.steps[self.product];
        let kernel = Kernel::clone(self.plan.kernels.get(product.kernel)?);
        let at = before.len();
        let own = |o: usize| Part { run: at, operand: OperandId(o as u32), walk: None };
        let operands = (0..kernel.operands.len()).map(own).collect();
        let steps: Vec<&KernelStep> =
            runs.iter().map(|r| self.steps.get(*r).copied()).collect::<Option<_>>()?;
        let mut form = Forming { neighbours: self, product: at, steps, kernel, operands, walks: Vec::new() };
        (0..at).try_for_each(|run| form.put_before(run))?;
        if behind {
            form.put_behind(&runs)?;
        }
        form.finish()
    }
}

/// The operand of a map that is all that it writes.
fn result(plan: &Plan, step: &KernelStep) -> Option<usize> {
    let kernel = plan.kernels.get(step.kernel)?;
    let mut outs = (0..step.operands.len()).filter(|o| kernel.operands[*o].role == Role::Out);
    outs.next().filter(|_| outs.next().is_none())
}

fn writes(plan: &Plan, step: &KernelStep, buffer: BufferId) -> bool {
    let roles = plan.kernels.get(step.kernel).map_or(&[][..], |k| &k.operands);
    let mut operands = step.operands.iter().zip(roles);
    operands.any(|(b, o)| o.role == Role::Out && b.place.buffer == buffer)
}

/// A form that is being made.
struct Forming<'a> {
    neighbours: &'a Neighbours<'a>,
    /// Which of the runs is the product.
    product: usize,
    steps: Vec<&'a KernelStep>,
    kernel: Kernel,
    operands: Vec<Part>,
    walks: Vec<Walk>,
}

impl Forming<'_> {
    fn binding(&self, part: &Part) -> Option<&Binding> {
        self.steps[part.run].operands.get(part.operand.index())
    }

    /// Lets a run before the product be a part of it, wherever its result is read.
    fn put_before(&mut self, run: usize) -> Option<()> {
        let plan = self.neighbours.plan;
        let (map, product) = (self.steps[run], self.steps[self.product]);
        let out = result(plan, map)?;
        let written = &map.operands[out].place;
        let reads = |part: &Part| {
            let place = self.binding(part).map(|b| &b.place);
            part.run == self.product && place.is_some_and(|p| p.buffer == written.buffer)
        };
        let read: Vec<Part> = self.operands.iter().copied().filter(reads).collect();
        for part in read {
            let place = &self.binding(&part)?.place;
            if place != written || !place.moves.is_empty() {
                return None;
            }
            let stays = |axis: usize| {
                product.operands[part.operand.index()].strides.get(axis).is_none_or(|s| plan.dim(*s).is(0))
            };
            let axes = walked(plan, (product, part.operand.index(), &stays), (map, out))?;
            let at = self.operands.iter().position(|p| p.run == part.run && p.operand == part.operand)?;
            let before = Before { operand: OperandId(at as u32), axes: &axes };
            let one = prepend(plan.kernels.get(map.kernel)?, &self.kernel, &before)?;
            self.take(one.kernel, &one.operands, run);
            let before = Some(element(plan, map)?);
            self.walks.push(Walk { run, axes, before });
        }
        Some(())
    }

    /// Lets the run behind the product be a part of it.
    fn put_behind(&mut self, runs: &[usize]) -> Option<()> {
        let plan = self.neighbours.plan;
        let run = self.steps.len() - 1;
        let (map, product) = (self.steps[run], self.steps[self.product]);
        let second = plan.kernels.get(map.kernel).filter(|_| map.gemm.is_none())?;
        let result = product.operands.get(RESULT)?;
        let depth = product.gemm?.depth;
        let mine = |b: &Binding| b.place.buffer == result.place.buffer;
        let reads: Vec<OperandId> = (0..map.operands.len())
            .filter(|i| mine(&map.operands[*i]) && second.operands[*i].role == Role::In)
            .map(|i| OperandId(i as u32))
            .collect();
        let read = map.operands.get(reads.first()?.index())?;
        let alike = map.operands.iter().filter(|b| mine(b)).all(|b| b == read);
        // What other threads still read must not be written over.
        let others = self.steps[..run].iter().flat_map(|s| &s.operands).filter(|b| !mine(b));
        let apart = !others.into_iter().any(|b| writes(plan, map, b.place.buffer));
        if !alike || !apart || read.place != result.place || !read.place.moves.is_empty() {
            return None;
        }
        let axes = walked(plan, (product, RESULT, &|axis| axis == depth), (map, reads[0].index()))?;
        let at = self.operands.iter().position(|p| p.run == self.product && p.operand.index() == RESULT)?;
        let others = &runs[self.product..];
        let keep =
            !writes(plan, map, result.place.buffer) && self.neighbours.is_needed(result.place.buffer, others);
        let link = Link { result: OperandId(at as u32), reads: &reads, axes: &axes, keep };
        let one = append(&self.kernel, second, &link)?;
        self.take(one.kernel, &one.operands, run);
        self.walks.push(Walk { run, axes, before: None });
        Some(())
    }

    /// Goes on with a kernel that holds a run too, which walks the axes as the next one of the walks says.
    fn take(&mut self, kernel: Kernel, operands: &[Origin], run: usize) {
        let walk = Some(self.walks.len());
        let part = |origin: &Origin| match origin {
            Origin::First(o) => self.operands.get(o.index()).copied(),
            Origin::Map(o) => Some(Part { run, operand: *o, walk }),
        };
        self.operands = operands.iter().filter_map(part).collect();
        self.kernel = kernel;
    }

    fn finish(self) -> Option<Joined> {
        let bindings = self.operands.iter().map(|p| self.binding(p).cloned()).collect::<Option<Vec<_>>>()?;
        let product = self.steps[self.product];
        let step = KernelStep { operands: bindings, gemm: None, ..product.clone() };
        let replaced = self.steps.iter().map(|s| s.id).collect();
        let Forming { kernel, operands, walks, .. } = self;
        let known = Known::of(&kernel);
        Some(Joined { replaced, kernel, step, known, operands, walks })
    }
}

/// What an element of a map's result takes.
fn element(plan: &Plan, map: &KernelStep) -> Option<Element> {
    let kernel = plan.kernels.get(map.kernel)?;
    let mut element = Element { ops: matex_passes::cost::of_body(kernel), own: 0.0, read: 0.0 };
    for (binding, operand) in map.operands.iter().zip(&kernel.operands) {
        let size = operand.dtype.size() as f64;
        // What stays along an axis is little next to what does not.
        let stays = |(extent, stride): (&Slot, &Slot)| plan.dim(*stride).is(0) && !plan.dim(*extent).is(1);
        if operand.role == Role::Out {
            element.own = size;
        } else if !map.extents.iter().zip(&binding.strides).any(stays) {
            element.read += size;
        }
    }
    Some(element)
}

/// For each axis of a map the axes of a product that it walks, when its elements are those of an operand of the product one by
/// one, which stays along some axes.
fn walked(
    plan: &Plan,
    (product, operand, stays): (&KernelStep, usize, &dyn Fn(usize) -> bool),
    (map, own): (&KernelStep, usize),
) -> Option<Vec<Vec<usize>>> {
    let mut inner = in_memory(plan, product, operand, stays)?.into_iter();
    let mut axes = vec![Vec::new(); map.extents.len()];
    for axis in in_memory(plan, map, own, &|_| false)? {
        let (extent, mut have) = (plan.dim(map.extents[axis]), Dim::ONE);
        while &have != extent {
            let next = inner.next()?;
            have = &have * plan.dim(product.extents[next]);
            axes[axis].insert(0, next);
        }
    }
    inner.next().is_none().then_some(axes)
}

/// The axes of a kernel, innermost first, when an operand lies contiguously along all of them but those along which it stays.
fn in_memory(
    plan: &Plan,
    step: &KernelStep,
    operand: usize,
    stays: &dyn Fn(usize) -> bool,
) -> Option<Vec<usize>> {
    let strides = &step.operands.get(operand)?.strides;
    let mut left: Vec<usize> = (0..strides.len()).filter(|a| !stays(*a)).collect();
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
    /// Whether maps before the product are a part of it.
    pub(crate) fn has_before(&self) -> bool {
        self.walks.iter().any(|w| w.before.is_some())
    }

    /// Whether the map behind the product is a part of it.
    pub(crate) fn has_behind(&self) -> bool {
        self.walks.iter().any(|w| w.before.is_none())
    }

    /// Whether each map before the product takes less time as a part of it than on its own: there it is computed once, but
    /// goes to memory and back. By the model, an element that is computed again for each tile costs arithmetic, and what is
    /// read for it is read as often as the operand would be.
    pub(crate) fn saves(&self, schedule: Schedule, extents: &[i64], device: &DeviceModel) -> bool {
        let worth = |walk: &Walk| {
            let Some(Element { ops, own, read }) = walk.before else { return true };
            let (mut elements, mut times) = (1.0, 1.0);
            for (axis, extent) in extents.iter().enumerate() {
                if walk.axes.iter().flatten().any(|a| *a == axis) {
                    elements *= *extent as f64;
                } else if self.kernel.axes[axis].kind == AxisKind::Parallel {
                    times *= schedule.walks(axis, *extent) as f64;
                }
            }
            let inside = times * (ops / device.arithmetic + read / device.memory);
            let alone = (ops / device.arithmetic).max((read + own) / device.memory);
            let outside = alone + times * own / device.memory;
            elements * inside <= elements * outside + device.launch
        };
        self.walks.iter().all(worth)
    }

    /// Where the operands lie, from what was found of all runs; nothing where their sizes do not fit.
    fn scratch(&self, found: &[Scratch]) -> Option<Scratch> {
        let product = self.operands.iter().find(|p| p.walk.is_none()).map(|p| p.run)?;
        let extents = found.get(product)?.extents.clone();
        for walk in &self.walks {
            for (walked, extent) in walk.axes.iter().zip(&found.get(walk.run)?.extents) {
                let mut positions = walked.iter().map(|a| extents[*a]);
                if positions.try_fold(1i64, i64::checked_mul) != Some(*extent) {
                    return None;
                }
            }
        }
        let mut offsets = Vec::with_capacity(self.operands.len());
        let mut own: Vec<&[i64]> = Vec::with_capacity(self.operands.len());
        for part in &self.operands {
            let (o, of) = (part.operand.index(), found.get(part.run)?);
            let axes = of.extents.len();
            offsets.push(*of.offsets.get(o)?);
            own.push(of.strides.get(o * axes..(o + 1) * axes)?);
        }
        let strides = self.strides(&extents, &|o| own[o].to_vec());
        Some(Scratch::located(extents, offsets, strides))
    }

    /// The strides of all operands along the axes of the product, whose extents these are, from what `of` tells of an operand
    /// along the axes of its own kernel.
    pub(crate) fn strides(&self, extents: &[i64], of: &dyn Fn(usize) -> Vec<i64>) -> Vec<i64> {
        let along = |(o, part): (usize, &Part)| match part.walk.and_then(|w| self.walks.get(w)) {
            None => of(o),
            Some(walk) => walk.spread(&of(o), extents),
        };
        self.operands.iter().enumerate().flat_map(along).collect()
    }
}

impl Walk {
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

/// What runs next of kernels that run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn<'a> {
    /// The kernel of that number.
    One(usize),
    /// A product and what stands next to it.
    Joined(&'a Joined),
}

impl PartialEq for Joined {
    fn eq(&self, other: &Joined) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Joined {}

/// The order in which kernels run, given by the numbers of their runs: `choose` tells the form of a product.
pub(crate) fn turns<'a, E>(
    forms: &'a [Forms],
    ids: &[usize],
    mut choose: impl FnMut(&'a Forms) -> Result<Option<&'a Joined>, E>,
) -> Result<Vec<Turn<'a>>, E> {
    let (mut turns, mut done) = (Vec::with_capacity(ids.len()), Vec::new());
    for (i, id) in ids.iter().enumerate() {
        let waits = forms.iter().any(|f| f.before.contains(id));
        if done.contains(id) || waits {
            continue;
        }
        let own = forms.iter().find(|f| f.product == *id);
        let form = own.map(&mut choose).transpose()?.flatten();
        let replaced = form.map_or(&[][..], |j| &j.replaced);
        let apart = own.into_iter().flat_map(|f| &f.before).filter(|b| !replaced.contains(b));
        turns.extend(apart.filter_map(|b| ids.iter().position(|id| id == b)).map(Turn::One));
        done.extend(replaced);
        turns.push(form.map_or(Turn::One(i), Turn::Joined));
    }
    Ok(turns)
}

/// Runs kernels one after another, a product along with what stands next to it where a device does that.
pub(super) fn run<'e>(machine: &mut Machine<'e>, members: &'e [Member]) -> Result<(), ExecError> {
    let exe = machine.exe;
    let forms = exe.placement.as_ref().map_or(&[][..], |p| p.forms());
    let ids: Vec<usize> = members.iter().map(|m| m.step.id).collect();
    let steps = |joined: &Joined| -> Vec<&'e KernelStep> {
        let all = joined.replaced.iter();
        all.filter_map(|id| members.iter().map(|m| &m.step).find(|s| s.id == *id)).collect()
    };
    let order = turns(forms, &ids, |forms| {
        for form in &forms.all {
            if let Some(scratch) = located(machine, form, &steps(form))?
                && device::can_join(machine, form, &scratch)
            {
                return Ok(Some(form));
            }
        }
        Ok::<_, ExecError>(None)
    })?;
    for turn in order {
        match turn {
            Turn::One(i) => kernel::run(machine, &members[i].step)?,
            Turn::Joined(joined) => {
                let runs = steps(joined);
                let scratch = located(machine, joined, &runs)?;
                let done = match scratch {
                    Some(scratch) => device::run_joined(machine, joined, &scratch)?,
                    None => false,
                };
                for step in runs.into_iter().filter(|_| !done) {
                    kernel::run(machine, step)?;
                }
            }
        }
        machine.check_cancelled()?;
    }
    Ok(())
}

/// Where the operands of a form lie, if there is something to do.
fn located(
    machine: &mut Machine<'_>,
    joined: &Joined,
    steps: &[&KernelStep],
) -> Result<Option<Scratch>, ExecError> {
    let (mut found, mut busy) = (Vec::with_capacity(steps.len()), true);
    for step in steps {
        let kernel = machine.exe.plan.kernels.get(step.kernel).ok_or_else(|| internal("no such kernel"))?;
        let mut scratch = std::mem::take(&mut machine.state.scratch[step.id]);
        busy = busy && prepare(machine, step, kernel, &mut scratch)?;
        found.push(scratch);
    }
    let scratch = if busy { joined.scratch(&found) } else { None };
    for (step, scratch) in steps.iter().zip(found) {
        machine.state.scratch[step.id] = scratch;
    }
    Ok(scratch)
}
