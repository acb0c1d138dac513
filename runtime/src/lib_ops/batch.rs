//! Many matrices at once: they are shared out among threads, and what is found about each is put together so that it
//! does not depend on who came first.

use super::Context;
use super::engine::Failure;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// The results of a batch, of which each task writes its own matrices.
pub(super) struct Shared<'a, T> {
    start: *mut T,
    size: usize,
    count: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives parts that do not overlap to tasks on other threads, which is a loan of elements that may be sent.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// All results, `size` elements of which belong to each matrix.
    pub(super) fn new(all: &'a mut [T], size: usize) -> Shared<'a, T> {
        Shared {
            start: all.as_mut_ptr(),
            size,
            count: all.len().checked_div(size).unwrap_or(0),
            of: PhantomData,
        }
    }

    /// The part of matrix `k`; nothing where there is none.
    ///
    /// # Safety
    /// No part is in use twice at the same time.
    #[allow(clippy::mut_from_ref, reason = "the caller keeps parts apart")]
    pub(super) unsafe fn part(&self, k: usize) -> &mut [T] {
        // SAFETY: the caller's promise is the same.
        unsafe { self.parts(k, 1) }
    }

    /// The parts of some matrices from matrix `k` on; nothing where not all are there.
    ///
    /// # Safety
    /// No part is in use twice at the same time.
    #[allow(clippy::mut_from_ref, reason = "the caller keeps parts apart")]
    pub(super) unsafe fn parts(&self, k: usize, some: usize) -> &mut [T] {
        if k.checked_add(some).is_none_or(|end| end > self.count) {
            return &mut [];
        }
        // SAFETY: they lie within the slice that was given, and the caller promises that nobody else has them.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(k * self.size), some * self.size) }
    }
}

/// The matrix of a batch with the largest condition number of those that are in question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Worst {
    pub(super) index: usize,
    pub(super) condition: f64,
    /// How many are in question.
    pub(super) count: usize,
}

impl Worst {
    pub(super) fn one(index: usize, condition: f64) -> Worst {
        Worst { index, condition, count: 1 }
    }

    /// The worse of both; of equals the first one of the batch.
    fn with(self, other: Worst) -> Worst {
        let count = self.count + other.count;
        let other_is = other.condition > self.condition
            || (other.condition == self.condition && other.index < self.index);
        Worst { count, ..if other_is { other } else { self } }
    }
}

struct Found {
    failure: Option<(usize, Failure)>,
    worst: Option<Worst>,
}

/// Runs `matrices` on ranges of `0..count`: it tells of those in question, and gives the first one that failed. The failure of all is
/// that of the first matrix that fails, whoever finds it. `work` is about how many multiplications each takes.
pub(super) fn run(
    context: &Context<'_>,
    count: usize,
    work: usize,
    matrices: impl Fn(Range<usize>, &mut dyn FnMut(Worst)) -> Result<(), (usize, Failure)> + Sync,
) -> Result<Option<Worst>, Failure> {
    /// Enough multiplications that handing them to another thread costs little next to them.
    const PIECE: usize = 1 << 16;
    let grain = PIECE / work.saturating_add(100).min(PIECE);
    let found = Mutex::new(Found { failure: None, worst: None });
    let cancel = context.cancel;
    context.pool.for_ranges(count, grain, |range| {
        if cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.failure = Some((0, Failure::Cancelled));
            return;
        }
        let mut worst: Option<Worst> = None;
        let done = matrices(range, &mut |w| {
            worst = Some(match worst.take() {
                Some(before) => before.with(w),
                None => w,
            });
        });
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(failure) = done
            && found.failure.is_none_or(|(k, _)| failure.0 < k)
        {
            found.failure = Some(failure);
        }
        found.worst = match (found.worst.take(), worst) {
            (Some(a), Some(b)) => Some(a.with(b)),
            (a, b) => a.or(b),
        };
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    match found.failure {
        Some((_, failure)) => Err(failure),
        None => Ok(found.worst),
    }
}
