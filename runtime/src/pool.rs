//! The threads that calls share: one pool for the process, built when work is first split.
//!
//! A caller that is itself a task of a rayon pool keeps its threads: the work goes to that pool and no other. How work
//! is split never decides what is computed: each range is worked on as it would be alone.
//!
//! The calling thread works too, and waits for nobody who has not begun: a helper that wakes up after the work is done
//! finds the door closed. On a busy machine sharing then costs what waking the helpers costs, and no more. Nor does a
//! waiting caller take other tasks of its pool up, which could be calls that need what it holds.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

/// How many threads a piece of work may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    threads: usize,
}

impl Pool {
    /// At most so many threads, 0 for all that there are.
    pub(crate) fn current(threads: usize) -> Pool {
        let all = if rayon_core::current_thread_index().is_some() {
            rayon_core::current_num_threads()
        } else {
            cpus()
        };
        Pool { threads: if threads == 0 { all } else { threads.min(all) } }
    }

    /// The most threads that work is split for.
    pub(crate) fn threads(self) -> usize {
        self.threads
    }

    /// Calls `f` with ranges that together are `0..n`, each of at least `grain` but the last one; on the calling thread
    /// alone when that is all. Ranges become smaller towards the end, so that all threads are done at about the same time.
    pub(crate) fn for_ranges(self, n: usize, grain: usize, f: impl Fn(Range<usize>) + Sync) {
        let grain = grain.max(1);
        let workers = n.div_ceil(grain).min(self.threads);
        if workers <= 1 {
            f(0..n);
            return;
        }
        let next = AtomicUsize::new(0);
        let after = |start: usize| {
            let left = n - start;
            (left > 0).then(|| start + (left / (2 * workers)).max(grain).min(left))
        };
        share(workers - 1, &|| {
            while let Ok(start) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after) {
                f(start..after(start).unwrap_or(n));
            }
        });
    }
}

/// Runs `work` here, and at the same time on up to so many others that come in time.
fn share(others: usize, work: &(dyn Fn() + Sync)) {
    // SAFETY: only the lifetime is changed. Helpers use the reference between entering a team and leaving it, and this
    // function does not end, not by a panic either, before the door is closed and all have left (`Door::drop`).
    let work = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(work) };
    let caller = std::thread::current();
    let team = Arc::new(Team { work, inside: AtomicUsize::new(0), caller, panic: Mutex::new(None) });
    let door = Door(&team);
    let pool = if rayon_core::current_thread_index().is_some() { None } else { Some(own()) };
    for _ in 0..others {
        let team = team.clone();
        match pool {
            None => rayon_core::spawn(move || team.help()),
            Some(Some(pool)) => pool.spawn(move || team.help()),
            // No thread could be started: the caller does it all.
            Some(None) => {}
        }
    }
    work();
    drop(door);
    let panic = team.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// A caller and those that help it.
struct Team {
    work: &'static (dyn Fn() + Sync),
    /// How many helpers are at work, and whether no more may begin.
    inside: AtomicUsize,
    caller: Thread,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The bit that says that the work is done.
const CLOSED: usize = 1 << (usize::BITS - 1);

impl Team {
    fn help(&self) {
        let enter = |n: usize| (n & CLOSED == 0).then_some(n + 1);
        if self.inside.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).is_err() {
            return;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.work)())) {
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        // What was written is seen by the caller, which acquires this.
        if self.inside.fetch_sub(1, Ordering::Release) == CLOSED + 1 {
            self.caller.unpark();
        }
    }
}

/// Closes a team when it is dropped, and waits until it is empty.
struct Door<'a>(&'a Team);

impl Drop for Door<'_> {
    fn drop(&mut self) {
        /// Turns of waiting awake: a piece that is almost done is not worth falling asleep for.
        const TURNS: usize = 2000;
        let inside = &self.0.inside;
        inside.fetch_or(CLOSED, Ordering::Relaxed);
        let mut turns = 0;
        while inside.load(Ordering::Acquire) != CLOSED {
            turns += 1;
            if turns < TURNS {
                std::hint::spin_loop();
            } else {
                std::thread::park();
            }
        }
    }
}

/// Carries a task out on a thread of the caller's pool, else of this process's; at once where there is none.
pub fn spawn(task: impl FnOnce() + Send + 'static) {
    if rayon_core::current_thread_index().is_some() {
        rayon_core::spawn(task);
    } else if let Some(pool) = own() {
        pool.spawn(task);
    } else {
        task();
    }
}

fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The pool of this process, for the helpers of a caller; none where no thread can be started.
fn own() -> Option<&'static rayon_core::ThreadPool> {
    static POOL: OnceLock<Option<rayon_core::ThreadPool>> = OnceLock::new();
    let build = || {
        let builder = rayon_core::ThreadPoolBuilder::new().num_threads(cpus().saturating_sub(1).max(1));
        builder.thread_name(|i| format!("matex-{i}")).build().ok()
    };
    POOL.get_or_init(build).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn ranges(pool: Pool, n: usize, grain: usize) -> Vec<Range<usize>> {
        let seen = Mutex::new(Vec::new());
        pool.for_ranges(n, grain, |r| seen.lock().unwrap().push(r));
        let mut seen = seen.into_inner().unwrap();
        seen.sort_by_key(|r| r.start);
        seen
    }

    #[test]
    fn ranges_are_the_whole_without_overlap() {
        for threads in [1, 2, 3, 8] {
            for (n, grain) in [(0, 1), (1, 1), (7, 3), (100, 1), (1000, 17), (5, 100)] {
                let seen = ranges(Pool { threads }, n, grain);
                let mut end = 0;
                for (i, r) in seen.iter().enumerate() {
                    assert_eq!(r.start, end);
                    assert!(r.len() >= grain.min(n) || i + 1 == seen.len(), "{seen:?}");
                    end = r.end;
                }
                assert_eq!(end, n, "{seen:?}");
            }
        }
    }

    #[test]
    fn all_is_done_when_it_returns_and_panics_come_through() {
        let pool = Pool { threads: 3 };
        for round in 0..2000 {
            let done: Vec<AtomicUsize> = (0..24).map(|_| AtomicUsize::new(0)).collect();
            pool.for_ranges(24, 1, |r| r.for_each(|i| done[i].store(round + 1, Ordering::Relaxed)));
            assert!(done.iter().all(|d| d.load(Ordering::Relaxed) == round + 1));
        }
        for bad in [0, 23] {
            let run = || pool.for_ranges(24, 1, |r| assert!(!r.contains(&bad)));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }

    #[test]
    fn shared_work_may_share_its_own() {
        let sum = AtomicUsize::new(0);
        let pool = Pool { threads: 4 };
        pool.for_ranges(16, 1, |outer| {
            pool.for_ranges(100, 1, |inner| {
                sum.fetch_add(outer.len() * inner.len(), Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 1600);
    }

    #[test]
    fn a_caller_in_a_pool_of_its_own_stays_in_it() {
        let theirs = rayon_core::ThreadPoolBuilder::new().num_threads(3);
        let theirs = theirs.thread_name(|i| format!("theirs-{i}")).build().unwrap();
        let names = Mutex::new(Vec::new());
        let (threads, name) = (Pool::current(0), || std::thread::current().name().map(str::to_owned));
        theirs.install(|| {
            assert_eq!(Pool::current(0).threads(), 3);
            Pool::current(0).for_ranges(64, 1, |_| names.lock().unwrap().push(name()));
        });
        let names = names.into_inner().unwrap();
        assert!(names.iter().all(|n| n.as_ref().is_some_and(|n| n.starts_with("theirs"))), "{names:?}");
        assert!(threads.threads() >= 1 && Pool::current(1).threads() == 1);
    }
}
