//! Large buffers that were freed, kept for the next ones of their size.
//!
//! The system takes large memory back when it is freed and hands it out again a page at a time, each with a fault and
//! cleared: for a result that is made and dropped again and again that takes longer than what fills it.

use super::Buffer;
use std::mem::ManuallyDrop;
use std::sync::{Mutex, TryLockError};

/// Buffers from so many bytes on are kept.
pub(super) const LARGE: usize = 1 << 20;

/// As many bytes are kept at most by the whole process.
const KEPT: usize = 64 << 20;

static SPARE: Mutex<Vec<Buffer>> = Mutex::new(Vec::new());

/// Runs `f` on the buffers that are kept, unless another thread is there: then it is quicker to do without.
fn with<T>(f: impl FnOnce(&mut Vec<Buffer>) -> T) -> Option<T> {
    match SPARE.try_lock() {
        Ok(mut spare) => Some(f(&mut spare)),
        Err(TryLockError::Poisoned(spare)) => Some(f(&mut spare.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A kept buffer of that many bytes, with whatever is in it.
pub(super) fn take(len: usize) -> Option<Buffer> {
    if len < LARGE {
        return None;
    }
    with(|spare| spare.iter().position(|b| b.len() == len).map(|at| spare.swap_remove(at)))?
}

/// Keeps a buffer that is being dropped. Whether it does; those that were kept longest make room.
pub(super) fn keep(buffer: Buffer) -> Result<(), ManuallyDrop<Buffer>> {
    let mut buffer = Some(buffer);
    let len = buffer.as_ref().map_or(0, Buffer::len);
    if (LARGE..=KEPT).contains(&len) {
        let old = with(|spare| {
            let mut old = Vec::new();
            while spare.iter().map(Buffer::len).sum::<usize>() + len > KEPT {
                old.push(ManuallyDrop::new(spare.remove(0)));
            }
            spare.extend(buffer.take());
            old
        });
        // Freed when the lock is no longer held: dropping them would look for it.
        old.into_iter().flatten().for_each(Buffer::free);
    }
    match buffer {
        None => Ok(()),
        Some(buffer) => Err(ManuallyDrop::new(buffer)),
    }
}
