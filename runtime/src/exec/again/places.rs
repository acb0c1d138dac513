//! Where the buffers of a straight plan lie when a call is like one before.

use crate::exec::machine::Machine;
use matex_passes::plan::{BufferId, Source, Step};

/// A place in one of the pieces of memory of a call: which piece, and how many bytes into it.
pub(super) type Spot = (usize, isize);

/// The pieces of memory of a call and where in them each buffer lies.
pub(super) struct Places {
    /// Those of arguments and results, which each call brings, then those of constants, and of temporaries.
    pub(super) memory: Vec<*mut u8>,
    /// Which of them is that of temporaries, if there are any.
    pub(super) shared: Option<usize>,
    spots: Vec<Option<Spot>>,
}

impl Places {
    /// Goes through the steps as a call does whose results are in place from the start. None where some buffer has memory of
    /// its own, or temporaries are too large to be kept from call to call.
    pub(super) fn of(machine: &Machine<'_>) -> Option<Places> {
        let (exe, temporaries) = (machine.exe, &machine.state.shared);
        if !temporaries.is_kept() {
            return None;
        }
        let plan = &exe.plan;
        let mut places = Places {
            memory: vec![std::ptr::null_mut(); plan.params.len() + plan.results.len()],
            shared: None,
            spots: vec![None; plan.buffers.len()],
        };
        for (i, decl) in plan.buffers.iter().enumerate() {
            places.spots[i] = match &decl.source {
                Source::Param(p) => Some((*p as usize, 0)).filter(|(p, _)| *p < plan.params.len()),
                Source::Constant(_) => {
                    places.memory.push(exe.constants.get(&(i as u32))?.as_ptr().cast_mut());
                    Some((places.memory.len() - 1, 0))
                }
                Source::Own => None,
            };
        }
        if temporaries.bytes() > 0 {
            places.shared = Some(places.memory.len());
            places.memory.push(std::ptr::null_mut());
        }
        for item in &plan.block(plan.body).items {
            match &item.step {
                Step::Alloc(to) => places.begin(machine, *to)?,
                // Such a call borrows its arguments.
                Step::Reuse { from, to } if plan.is_argument(*from) => places.begin(machine, *to)?,
                Step::Reuse { from, to } => {
                    let own = matches!(plan.buffer(*from).source, Source::Own);
                    if !own || bytes(machine, *from)? != bytes(machine, *to)? {
                        return None;
                    }
                    places.spots[to.0 as usize] = places.spot(*from);
                }
                Step::Kernel(_)
                | Step::Panels(_)
                | Step::Routine { .. }
                | Step::Size { .. }
                | Step::Index { .. }
                | Step::Check { .. }
                | Step::Move { .. }
                | Step::Take { .. }
                | Step::For { .. }
                | Step::While { .. }
                | Step::If { .. } => {}
            }
        }
        Some(places)
    }

    /// Where a buffer lies; none before it is begun.
    pub(super) fn spot(&self, buffer: BufferId) -> Option<Spot> {
        *self.spots.get(buffer.0 as usize)?
    }

    /// Finds fresh memory for a buffer: that of the result which it becomes, or a part of what temporaries share.
    fn begin(&mut self, machine: &Machine<'_>, buffer: BufferId) -> Option<()> {
        let (exe, temporaries) = (machine.exe, &machine.state.shared);
        let result = |b: BufferId| {
            let place = exe.direct.iter().position(|d| *d == Some(b))?;
            Some(exe.plan.params.len() + place)
        };
        let spot = match result(buffer) {
            Some(memory) => (memory, 0),
            None => {
                let part = temporaries.part(&exe.plan.arena, buffer, bytes(machine, buffer)?)?;
                let memory = match part.host {
                    Some(host) => result(host)?,
                    None => self.shared?,
                };
                (memory, isize::try_from(part.start).ok()?)
            }
        };
        self.spots[buffer.0 as usize] = Some(spot);
        Some(())
    }
}

/// The bytes of a buffer.
fn bytes(machine: &Machine<'_>, buffer: BufferId) -> Option<u64> {
    let slot = machine.exe.plan.buffer(buffer).bytes;
    u64::try_from(*machine.state.dims.get(slot.0 as usize)?).ok()
}
