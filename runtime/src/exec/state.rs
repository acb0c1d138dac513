//! What a call fills, kept by its thread for the next call of the same executable: after the first calls nothing is
//! allocated but results, and a call with the sizes of the last one does not bind them again.

use super::again::Recipe;
use super::kernel::Scratch;
use super::memory::{Memory, Pool, Shared};
use crate::Given;
use crate::tensor::{push_layout, strip_layout};
use std::cell::RefCell;

/// The parts of a call that outlive it.
#[derive(Default)]
pub(super) struct State {
    /// Whose it is.
    owner: u64,
    /// The layouts of the arguments that `dims` belongs to, one behind the other, when `bound`.
    pub(super) layouts: Vec<u64>,
    bound: bool,
    /// The value of each dim of the plan.
    pub(super) dims: Vec<i64>,
    /// What each buffer holds; empty between calls.
    pub(super) memory: Vec<Memory>,
    pub(super) registers: Vec<i64>,
    /// What is on its way from buffers to others; empty but for that.
    pub(super) moving: Vec<Memory>,
    pub(super) pool: Pool,
    /// The memory of temporaries.
    pub(super) shared: Shared,
    /// The argument block of each run of a kernel.
    pub(super) scratch: Vec<Scratch>,
    /// How the next call is done if it is like the last one, where such a call can be done so.
    pub(super) recipe: Option<Recipe>,
    /// Whether that was looked at for these arguments.
    pub(super) remembered: bool,
}

/// Of how many executables a thread keeps the state.
const KEPT: usize = 8;

#[allow(clippy::vec_box, reason = "a state moves out and in at each call, and is large")]
type States = Vec<Box<State>>;

thread_local! {
    static KEPT_STATES: RefCell<States> = const { RefCell::new(States::new()) };
}

impl State {
    /// The state of this executable's last call on this thread, or a new one.
    pub(super) fn take(owner: u64) -> Box<State> {
        let kept = KEPT_STATES.try_with(|kept| {
            let mut kept = kept.try_borrow_mut().ok()?;
            let at = kept.iter().rposition(|s| s.owner == owner)?;
            Some(kept.remove(at))
        });
        kept.ok().flatten().unwrap_or_else(|| Box::new(State { owner, ..State::default() }))
    }

    /// Lets a call use the state that is kept for an executable, if there is one.
    #[inline]
    pub(super) fn kept<T>(owner: u64, call: impl FnOnce(&mut State) -> Option<T>) -> Option<T> {
        let kept = KEPT_STATES.try_with(|kept| {
            let mut kept = kept.try_borrow_mut().ok()?;
            // That of the last call is the last one.
            let at = kept.iter().rposition(|s| s.owner == owner)?;
            call(&mut kept[at])
        });
        kept.ok().flatten()
    }

    /// Keeps the state for the next call.
    pub(super) fn keep(mut self: Box<State>) {
        let State { memory, pool, .. } = &mut *self;
        memory.drain(..).for_each(|m| pool.give(m));
        self.pool.shrink(&mut self.shared);
        // A thread that is ending keeps nothing.
        let _ = KEPT_STATES.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut() {
                if kept.len() == KEPT {
                    kept.remove(0);
                }
                kept.push(self);
            }
        });
    }

    /// Whether the dims are those of these arguments.
    pub(super) fn fits(&self, args: &[impl Given]) -> bool {
        self.bound && args.iter().try_fold(&self.layouts[..], strip_layout).is_some_and(<[u64]>::is_empty)
    }

    /// Remembers which arguments the dims belong to.
    pub(super) fn bind(&mut self, args: &[impl Given]) {
        self.layouts.clear();
        args.iter().for_each(|view| push_layout(&mut self.layouts, view));
        self.bound = true;
        self.recipe = None;
        self.remembered = false;
        self.scratch.iter_mut().for_each(Scratch::unbind);
    }
}
