//! Memory that is used again at once: a kernel of maps writes over what it reads for the last time.
//!
//! That is sound where each element is read at the place where it is written, by the same kernel and before: both walk
//! their memory alike. Whether something else holds the memory is found out when the plan runs.

use super::{Binding, BufferId, Item, KernelStep, Plan, Source, Step};
use matex_ir::loops::{AxisKind, Role};

impl Plan {
    /// Turns allocations into reuses where what is read last by the kernel that fills them is of the same size.
    pub(crate) fn reuse_memory(&mut self) {
        let mut blocks = std::mem::take(&mut self.blocks);
        for block in &mut blocks {
            for at in 0..block.items.len() {
                let Step::Alloc(to) = block.items[at].step else { continue };
                let next =
                    |i: &&Item| !matches!(i.step, Step::Alloc(_) | Step::Size { .. } | Step::Reuse { .. });
                let Some(item) = block.items[at..].iter().find(next) else { continue };
                let Step::Kernel(step) = &item.step else { continue };
                let taken = |b| {
                    block.items[..at].iter().any(|i| matches!(i.step, Step::Reuse { from, .. } if from == b))
                };
                if let Some(from) = self.reusable(to, step, item).filter(|b| !taken(*b)) {
                    block.items[at].step = Step::Reuse { from, to };
                }
            }
        }
        self.blocks = blocks;
    }

    /// The operand of a kernel whose memory the one that it writes may have.
    fn reusable(&self, to: BufferId, step: &KernelStep, item: &Item) -> Option<BufferId> {
        let kernel = self.kernels.get(step.kernel)?;
        // An index that is out of range is looked for once more in what was read.
        let maps = kernel.axes.iter().all(|a| a.kind == AxisKind::Parallel) && step.gathers.is_empty();
        let bound = || step.operands.iter().zip(&kernel.operands);
        let (out, _) = bound().find(|(b, o)| b.place.buffer == to && o.role == Role::Out)?;
        let alike = |o: &&Binding| {
            o.strides == out.strides && o.place.offset == out.place.offset && o.place.moves.is_empty()
        };
        let fits = |b: &BufferId| {
            let uses = || step.operands.iter().filter(|o| o.place.buffer == *b);
            let (old, new) = (self.buffer(*b), self.buffer(to));
            item.frees.contains(b)
                && matches!(old.source, Source::Own)
                && old.bytes == new.bytes
                && uses().all(|o| alike(&o))
        };
        bound().filter(|(_, o)| o.role == Role::In).map(|(o, _)| o.place.buffer).find(|b| maps && fits(b))
    }
}
