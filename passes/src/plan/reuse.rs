//! Memory that is used again at once: a kernel of maps writes over what it reads for the last time.
//!
//! An argument that is read last is such memory too: where the caller gives it away with the call, and nowhere else, it is
//! the plan's to write to.
//!
//! That is sound where each element is read at the place where it is written, by the same kernel and before: both walk
//! their memory alike. Whether something else holds the memory is found out when the plan runs. Of kernels that run
//! together, none may write over what another one has yet to read; but the result of a matrix product has the memory
//! of what replaces it row by row from the beginning.

use super::{Binding, BufferId, Item, KernelStep, Member, Plan, Source, Step};
use matex_ir::loops::{AxisKind, Operand, Role};

impl Plan {
    /// Turns allocations into reuses where what is read last by the kernel that fills them is of the same size.
    pub(crate) fn reuse_memory(&mut self) {
        let mut blocks = std::mem::take(&mut self.blocks);
        for block in &mut blocks {
            let mut at = 0;
            while at < block.items.len() {
                if !self.takes_over(&mut block.items, at) {
                    at += 1;
                }
            }
        }
        self.blocks = blocks;
    }

    /// Lets an allocation have the memory of what the kernel that fills it reads last; whether that made it disappear.
    fn takes_over(&self, items: &mut Vec<Item>, at: usize) -> bool {
        let Step::Alloc(to) = items[at].step else { return false };
        let fills = |i: &Item| !matches!(i.step, Step::Alloc(_) | Step::Size { .. } | Step::Reuse { .. });
        let Some(next) = (at..items.len()).find(|i| fills(&items[*i])) else { return false };
        let taken =
            |b: BufferId| items[..at].iter().any(|i| matches!(i.step, Step::Reuse { from, .. } if from == b));
        let item = &items[next];
        let writer = item.step.kernels().filter(|_| !matches!(item.step, Step::Take { .. }));
        let writer = writer.last().filter(|k| k.operands.iter().any(|o| o.place.buffer == to));
        let Some(writer) = writer else { return false };
        let touched = |b: BufferId| {
            let others = item.step.kernels().filter(|k| k.id != writer.id);
            others.flat_map(|k| &k.operands).any(|o| o.place.buffer == b)
        };
        let (own, arguments): (Vec<BufferId>, Vec<BufferId>) = self
            .reusable(to, writer, item)
            .filter(|b| !taken(*b))
            .partition(|b| matches!(self.buffer(*b).source, Source::Own));
        let untouched = |all: &[BufferId]| all.iter().copied().find(|b| !touched(*b));
        if let Some(from) = untouched(&own) {
            items[at].step = Step::Reuse { from, to };
            return false;
        }
        let made_here = |b: &BufferId| {
            let mut others = item.step.kernels().filter(|k| k.id != writer.id);
            others.any(|k| self.outs(k).any(|out| out == *b))
        };
        let joined = !touched(to) && matches!(item.step, Step::Panels(_));
        let made = own.iter().copied().find(made_here).filter(|_| joined);
        let made = made.and_then(|from| {
            let alloc = |i: &Item| matches!(i.step, Step::Alloc(b) if b == from);
            Some((from, items.iter().position(alloc)?))
        });
        // Arguments are rarely given away, and come last.
        let argument = untouched(&arguments);
        if let Some((from, own)) = made {
            // The product writes at once where its result will be replaced.
            items[next].frees.retain(|b| *b != from);
            if let Step::Panels(members) = &mut items[next].step {
                rename(members, from, to);
            }
            items.remove(own);
            return own <= at;
        }
        if let Some(from) = argument {
            items[at].step = Step::Reuse { from, to };
        }
        false
    }

    /// The operands of a kernel whose memory the one that it writes may have.
    fn reusable<'a>(
        &'a self,
        to: BufferId,
        step: &'a KernelStep,
        item: &'a Item,
    ) -> impl Iterator<Item = BufferId> + 'a {
        let kernel = self.kernels.get(step.kernel);
        // An index that is out of range is looked for once more in what was read.
        let maps = kernel.filter(|k| all_parallel(k) && step.gathers.is_empty());
        let roles = maps.map(|k| k.operands.as_slice()).unwrap_or_default();
        let out = step.operands.iter().zip(roles).find(|(b, o)| b.place.buffer == to && o.role == Role::Out);
        let fits = move |b: &BufferId| {
            let Some((out, written)) = out else { return false };
            // A wider element would lie over others that are still to be read.
            let alike = |(o, read): (&Binding, &Operand)| {
                o.strides == out.strides
                    && o.place.offset == out.place.offset
                    && o.place.moves.is_empty()
                    && read.dtype.size() == written.dtype.size()
            };
            let mut uses = step.operands.iter().zip(roles).filter(|(o, _)| o.place.buffer == *b);
            let (old, new) = (self.buffer(*b), self.buffer(to));
            item.frees.contains(b)
                && self.outs(step).all(|out| out != *b)
                && !matches!(old.source, Source::Constant(_))
                && old.bytes == new.bytes
                && uses.all(alike)
        };
        let read = step.operands.iter().zip(roles).filter(|(_, o)| o.role == Role::In);
        read.map(|(b, _)| b.place.buffer).filter(fits)
    }
}

fn all_parallel(kernel: &matex_ir::loops::Kernel) -> bool {
    kernel.axes.iter().all(|a| a.kind == AxisKind::Parallel)
}

/// Lets kernels work on another buffer.
fn rename(members: &mut [Member], from: BufferId, to: BufferId) {
    let operands = members.iter_mut().flat_map(|m| &mut m.step.operands);
    operands.filter(|o| o.place.buffer == from).for_each(|o| o.place.buffer = to);
}
