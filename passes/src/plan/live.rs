//! Liveness: where each buffer is needed for the last time.
//!
//! The steps are walked backwards. What a loop's body reads from outside is needed by its next round and never dies
//! inside; the carried buffers do, since the `move` at the end of the body fills them again. That is what lets an
//! update of a carried value happen in place.

use super::{Block, BlockId, BufferId, Plan, PlanView, Step};

/// Fills in [`Item::frees`](super::Item::frees) and the `last` of every `take`.
pub fn assign(plan: &mut Plan) {
    let blocks = std::mem::take(&mut plan.blocks);
    let mut pass = Liveness { blocks, live: vec![false; plan.buffers.len()], undo: Vec::new() };
    for result in &plan.results {
        pass.live[result.buffer.0 as usize] = true;
    }
    // Constants outlive every call.
    for (i, buffer) in plan.buffers.iter().enumerate() {
        if matches!(buffer.source, super::Source::Constant(_)) {
            pass.live[i] = true;
        }
    }
    pass.block(plan.body);
    plan.blocks = pass.blocks;
}

struct Liveness {
    blocks: Vec<Block>,
    live: Vec<bool>,
    /// Changes of `live`, newest last, so that a branch can be taken back.
    undo: Vec<(BufferId, bool)>,
}

impl Liveness {
    fn set(&mut self, buffer: BufferId, live: bool) {
        let place = &mut self.live[buffer.0 as usize];
        if *place != live {
            self.undo.push((buffer, *place));
            *place = live;
        }
    }

    fn rewind(&mut self, to: usize) {
        while self.undo.len() > to {
            if let Some((buffer, before)) = self.undo.pop() {
                self.live[buffer.0 as usize] = before;
            }
        }
    }

    /// Walks a block; `live` is what is needed after it, and becomes what is needed before it.
    fn block(&mut self, id: BlockId) {
        let mut block = std::mem::take(&mut self.blocks[id.0 as usize]);
        for item in block.items.iter_mut().rev() {
            let (mut reads, writes) = (reads(&item.step), writes(&item.step));
            self.nested(&item.step, &mut reads);
            let mut frees: Vec<BufferId> = Vec::new();
            for buffer in reads.iter().chain(&writes) {
                if !self.live[buffer.0 as usize] && !frees.contains(buffer) {
                    frees.push(*buffer);
                }
            }
            frees.sort();
            for buffer in &writes {
                self.set(*buffer, false);
            }
            if let Step::Take { from, last, .. } = &mut item.step {
                *last = frees.contains(from);
            }
            for buffer in reads {
                self.set(buffer, true);
            }
            item.frees = frees;
        }
        self.blocks[id.0 as usize] = block;
    }

    /// Walks the blocks inside a step and adds to `reads` what they need from outside.
    fn nested(&mut self, step: &Step, reads: &mut Vec<BufferId>) {
        let inner: Vec<BlockId> = match step {
            Step::For { body, .. } => vec![*body],
            Step::While { test, body, .. } => vec![*body, *test],
            Step::If { yes, no, .. } => vec![*yes, *no],
            Step::Alloc(_)
            | Step::Reuse { .. }
            | Step::Kernel(_)
            | Step::Panels(_)
            | Step::Routine { .. }
            | Step::Size { .. }
            | Step::Index { .. }
            | Step::Check { .. }
            | Step::Move { .. }
            | Step::Take { .. } => return,
        };
        let repeats = !matches!(step, Step::If { .. });
        let mut outside = Vec::new();
        for block in &inner {
            outside.extend(self.entered_with(*block));
        }
        let start = self.undo.len();
        for block in &inner {
            let before = self.undo.len();
            if repeats {
                // The next round reads these again, and so does the condition.
                for buffer in outside.iter().chain(reads.iter()) {
                    self.set(*buffer, true);
                }
            }
            self.block(*block);
            self.rewind(before);
        }
        self.rewind(start);
        reads.extend(outside);
    }

    /// The buffers that a block reads before it writes them.
    fn entered_with(&self, id: BlockId) -> Vec<BufferId> {
        let (mut first_reads, mut written) = (Vec::new(), std::collections::HashSet::new());
        let mut seen = std::collections::HashSet::new();
        for item in &self.blocks[id.0 as usize].items {
            let mut used = reads(&item.step);
            if let Step::For { body, .. } = &item.step {
                used.extend(self.entered_with(*body));
            } else if let Step::While { test: a, body: b, .. } | Step::If { yes: a, no: b, .. } = &item.step {
                used.extend(self.entered_with(*a));
                used.extend(self.entered_with(*b));
            }
            for buffer in used {
                if !written.contains(&buffer) && seen.insert(buffer) {
                    first_reads.push(buffer);
                }
            }
            written.extend(writes(&item.step));
        }
        first_reads
    }
}

fn of_view(view: &PlanView) -> BufferId {
    view.place.buffer
}

/// The buffers whose contents a step itself needs. A kernel needs those it writes too: they must be there.
pub(super) fn reads(step: &Step) -> Vec<BufferId> {
    match step {
        Step::Alloc(_) => Vec::new(),
        Step::Reuse { from, .. } => vec![*from],
        Step::Kernel(_) | Step::Panels(_) => {
            step.kernels().flat_map(|k| &k.operands).map(|o| o.place.buffer).collect()
        }
        Step::Routine { inputs, outputs, .. } => inputs.iter().chain(outputs).map(of_view).collect(),
        Step::Size { to, .. } => vec![*to],
        Step::Index { from, .. } => vec![of_view(from)],
        Step::Check { condition, .. } | Step::If { condition, .. } => vec![of_view(condition)],
        Step::Move { from, .. } => from.clone(),
        Step::Take { from, .. } => vec![*from],
        Step::For { counter, start, end, .. } => vec![*counter, of_view(start), of_view(end)],
        Step::While { condition, .. } => vec![of_view(condition)],
    }
}

/// The buffers that hold something else, or something at all, after a step.
pub(super) fn writes(step: &Step) -> Vec<BufferId> {
    match step {
        Step::Alloc(buffer) | Step::Reuse { to: buffer, .. } => vec![*buffer],
        Step::Move { to, .. } => to.clone(),
        Step::Take { to, .. } => vec![*to],
        Step::If { fills, .. } => fills.clone(),
        Step::Kernel(_)
        | Step::Panels(_)
        | Step::Routine { .. }
        | Step::Size { .. }
        | Step::Index { .. }
        | Step::Check { .. }
        | Step::For { .. }
        | Step::While { .. } => Vec::new(),
    }
}
