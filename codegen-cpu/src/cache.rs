//! Compiled kernels by the text of their loop IR, bounded in bytes.

use crate::compiled::{CompileError, Compiled, compile_for};
use crate::simd::Simd;
use matex_ir::loops::Kernel;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Code memory is mapped in pages, so that even a small kernel holds one.
const PAGE: usize = 4096;

/// The bound of [`KernelCache::global`]: some ten thousand kernels.
const GLOBAL_BYTES: usize = 64 << 20;

/// What a cache has done so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// How many kernels were compiled.
    pub compiled: u64,
    /// How many times a kernel was found.
    pub hits: u64,
    /// How many kernels were dropped to make room.
    pub evicted: u64,
    /// How many kernels are held.
    pub kernels: usize,
    /// How many bytes they take, code pages and keys.
    pub bytes: usize,
}

/// A cache of compiled kernels that drops the least recently used ones. A kernel that somebody still holds stays alive
/// after it was dropped here.
#[derive(Debug)]
pub struct KernelCache {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kernels: HashMap<Arc<str>, Held>,
    /// Keys by the time of their last use.
    order: BTreeMap<u64, Arc<str>>,
    clock: u64,
    stats: CacheStats,
}

#[derive(Debug)]
struct Held {
    compiled: Arc<Compiled>,
    used: u64,
    bytes: usize,
}

impl KernelCache {
    /// A cache that holds at most `limit` bytes, but always the kernel that was asked for last.
    pub fn new(limit: usize) -> KernelCache {
        KernelCache { limit, state: Mutex::default() }
    }

    /// The cache of the whole process, of 64 MiB.
    pub fn global() -> &'static KernelCache {
        static GLOBAL: OnceLock<KernelCache> = OnceLock::new();
        GLOBAL.get_or_init(|| KernelCache::new(GLOBAL_BYTES))
    }

    /// The kernel's code: that of an equal kernel, or compiled now. Threads that ask for the same new kernel at the
    /// same time may compile it twice; one of the two is kept.
    ///
    /// # Errors
    /// As [`compile`](crate::compile).
    pub fn get(&self, kernel: &Kernel) -> Result<Arc<Compiled>, CompileError> {
        self.get_for(kernel, Simd::Auto)
    }

    /// The same, with vectors of at most this width.
    ///
    /// # Errors
    /// As [`compile`](crate::compile).
    pub fn get_for(&self, kernel: &Kernel, simd: Simd) -> Result<Arc<Compiled>, CompileError> {
        let simd = simd.here();
        let key = format!("{:?} {}", simd, kernel.key());
        if let Some(found) = self.lock().find(&key) {
            return Ok(found);
        }
        // Not under the lock: compiling takes long, and other kernels are wanted meanwhile.
        let compiled = Arc::new(compile_for(kernel, simd)?);
        let mut state = self.lock();
        state.stats.compiled += 1;
        state.insert(key.into(), Arc::clone(&compiled));
        let dropped = state.shrink(self.limit);
        drop(state);
        // Freed outside of the lock as well.
        drop(dropped);
        Ok(compiled)
    }

    /// What the cache has done so far.
    pub fn stats(&self) -> CacheStats {
        self.lock().stats
    }

    /// The kernels that are held, as Linux' perf wants to be told: address, size and name, a line each.
    pub fn perf_map(&self) -> String {
        let state = self.lock();
        let mut lines: Vec<(usize, String)> = Vec::new();
        for held in state.kernels.values() {
            let c = &held.compiled;
            let (at, size) = (c.address(), c.code_size());
            lines.push((at, format!("{at:x} {size:x} matex {} {}\n", c.emitter(), c.kernel().name)));
        }
        drop(state);
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// Drops all kernels.
    pub fn clear(&self) {
        let dropped = self.lock().shrink_to(0, 0);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, key: &str) -> Option<Arc<Compiled>> {
        let held = self.kernels.get_mut(key)?;
        self.clock += 1;
        if let Some(key) = self.order.remove(&held.used) {
            self.order.insert(self.clock, key);
        }
        held.used = self.clock;
        self.stats.hits += 1;
        Some(Arc::clone(&held.compiled))
    }

    fn insert(&mut self, key: Arc<str>, compiled: Arc<Compiled>) {
        self.clock += 1;
        let bytes = compiled.code_size().next_multiple_of(PAGE) + 2 * key.len();
        self.order.insert(self.clock, Arc::clone(&key));
        let held = Held { compiled, used: self.clock, bytes };
        self.stats.bytes += bytes;
        if let Some(before) = self.kernels.insert(key, held) {
            self.order.remove(&before.used);
            self.stats.bytes -= before.bytes;
        }
        self.stats.kernels = self.kernels.len();
    }

    fn shrink(&mut self, limit: usize) -> Vec<Arc<Compiled>> {
        self.shrink_to(limit, 1)
    }

    fn shrink_to(&mut self, limit: usize, keep: usize) -> Vec<Arc<Compiled>> {
        let mut dropped = Vec::new();
        while self.stats.bytes > limit && self.kernels.len() > keep {
            let Some((_, key)) = self.order.pop_first() else { break };
            if let Some(held) = self.kernels.remove(&key) {
                self.stats.bytes -= held.bytes;
                self.stats.evicted += 1;
                dropped.push(held.compiled);
            }
        }
        self.stats.kernels = self.kernels.len();
        dropped
    }
}
