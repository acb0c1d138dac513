//! The threads that calls share: one pool for the process, built when work is first split.
//!
//! A caller that is itself a task of a rayon pool keeps its threads: the work goes to that pool and no other. How work
//! is split never decides what is computed: each range is worked on as it would be alone.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads a piece of work may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    threads: usize,
}

/// More pieces than threads, so that one that is late does not keep the others waiting.
const PIECES: usize = 4;

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
    /// alone when that is all.
    pub(crate) fn for_ranges(self, n: usize, grain: usize, f: impl Fn(Range<usize>) + Sync) {
        let size = n.div_ceil(self.threads * PIECES).max(grain).max(1);
        let pieces = n.div_ceil(size);
        let workers = pieces.min(self.threads);
        if workers <= 1 {
            f(0..n);
            return;
        }
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let start = next.fetch_add(1, Ordering::Relaxed).saturating_mul(size);
                if start >= n {
                    return;
                }
                f(start..n.min(start + size));
            }
        };
        let spread = || {
            rayon_core::scope(|scope| {
                (1..workers).for_each(|_| scope.spawn(|_| work()));
                work();
            });
        };
        if rayon_core::current_thread_index().is_some() {
            spread();
        } else if let Some(pool) = own() {
            pool.install(spread);
        } else {
            f(0..n);
        }
    }
}

fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The pool of this process; none where no thread can be started.
fn own() -> Option<&'static rayon_core::ThreadPool> {
    static POOL: OnceLock<Option<rayon_core::ThreadPool>> = OnceLock::new();
    let build = || {
        let builder = rayon_core::ThreadPoolBuilder::new().num_threads(cpus());
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
