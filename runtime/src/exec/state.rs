//! What a call fills, kept by its thread for the next call of the same executable: after the first calls nothing is
//! allocated but results, and a call with the sizes of the last one does not bind them again.

use super::again::Recipe;
use super::kernel::Scratch;
use super::memory::{Memory, Pool, Shared};
use crate::{Dims, Given, Strides};
use matex_ir::DType;
use std::cell::RefCell;

/// The parts of a call that outlive it.
#[derive(Default)]
pub(super) struct State {
    /// Whose it is.
    owner: u64,
    /// The arguments that `dims` belongs to, when `bound`.
    pub(super) seen: Vec<Seen>,
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
    /// How the next call is done if it is like the last one.
    pub(super) recipe: Option<Recipe>,
}

impl Seen {
    /// Whether a view is like the one that was seen.
    #[inline]
    pub(super) fn is(&self, view: &impl Given) -> bool {
        self.dtype == view.dtype()
            && same(&self.shape, view.shape())
            && same(&self.strides, view.strides())
            && (view.rank() > 0 || self.int == view.integer())
    }
}

/// All that dims may depend on of an argument.
pub(super) struct Seen {
    dtype: DType,
    int: Option<i64>,
    shape: Dims,
    strides: Strides,
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
        self.bound
            && self.seen.len() == args.len()
            && self.seen.iter().zip(args).all(|(seen, view)| seen.is(view))
    }

    /// Remembers which arguments the dims belong to.
    pub(super) fn bind(&mut self, args: &[impl Given]) {
        self.seen.clear();
        self.seen.extend(args.iter().map(|view| Seen {
            dtype: view.dtype(),
            int: view.integer(),
            shape: view.shape().into(),
            strides: view.strides().into(),
        }));
        self.bound = true;
        self.recipe = None;
        self.scratch.iter_mut().for_each(Scratch::unbind);
    }
}

/// Compares two short lists: for a few words, a loop is faster than a call that compares bytes.
#[inline]
fn same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y)
}
