//! The memory of a tensor: heap bytes on a 64-byte boundary.
//!
//! The boundary is a cache line and the width of the widest vector register: kernels on aligned data are up to twice
//! as fast while it stays in the first-level cache. An allocation that fails is an error and never an abort, since
//! sizes may come from strangers.

use super::{Element, TensorError, spare};
use std::alloc::{self, Layout};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// The alignment of every buffer, in bytes.
pub const ALIGNMENT: usize = 64;

/// The bytes of a huge page.
const HUGE_PAGE: usize = 2 << 20;

/// From so many bytes on a buffer begins on the boundary of a huge page, and asks for such pages.
const HUGE: usize = 4 << 20;

/// Below so many bytes a buffer is put on its boundary by hand: allocators of systems hand out small blocks from a list
/// that they keep, but not where an alignment is asked for, which takes three times as long.
const SMALL: usize = 4096;

/// The alignment that an allocator gives anyway.
const USUAL: usize = 16;

/// What is asked of the allocator for a buffer; none for more bytes than there can be.
fn layout_of(len: usize) -> Option<Layout> {
    if (1..SMALL).contains(&len) {
        return Layout::from_size_align(len + ALIGNMENT - USUAL, USUAL).ok();
    }
    let boundary = if len >= HUGE && cfg!(target_os = "linux") { HUGE_PAGE } else { ALIGNMENT };
    Layout::from_size_align(len, boundary).ok()
}

/// Asks for huge pages where that pays: a fault and a place in the translation cache then serve 2 MiB at once.
fn advise(start: *mut u8, len: usize) {
    #[cfg(target_os = "linux")]
    if len >= HUGE && !start.is_null() {
        // SAFETY: advice about whole pages of memory that was just allocated; it changes nothing that can be read.
        unsafe { libc::madvise(start.cast(), len / HUGE_PAGE * HUGE_PAGE, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, len);
}

/// Owned bytes on a 64-byte boundary.
pub struct Buffer {
    /// The first of the bytes, on the boundary.
    start: NonNull<u8>,
    len: usize,
    /// How many bytes before it the block of the allocator begins.
    skipped: usize,
}

// SAFETY: the bytes are owned by this value alone and hold no pointers or thread-bound state; `&Buffer` only reads.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer of `len` zero bytes.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] when the allocator refuses.
    pub fn zeroed(len: usize) -> Result<Buffer, TensorError> {
        Buffer::allocate(len, true)
    }

    /// A buffer of `len` bytes that are not initialized.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] when the allocator refuses.
    ///
    /// # Safety
    /// Every byte is written, through [`as_mut_ptr`](Buffer::as_mut_ptr), before anything reads it; that includes
    /// [`as_bytes`](Buffer::as_bytes) and any tensor made from the buffer.
    pub unsafe fn uninit(len: usize) -> Result<Buffer, TensorError> {
        Buffer::allocate(len, false)
    }

    /// A copy of the bytes of `data`.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`] when the allocator refuses.
    pub fn from_slice<T: Element>(data: &[T]) -> Result<Buffer, TensorError> {
        let len = size_of_val(data);
        let mut buffer = Buffer::allocate(len, false)?;
        // SAFETY: both ranges are `len` bytes long, and the new one was allocated just now, so they are disjoint.
        // Elements have no padding, so that all bytes are initialized.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr().cast::<u8>(), buffer.as_mut_ptr(), len) };
        Ok(buffer)
    }

    fn allocate(len: usize, zero: bool) -> Result<Buffer, TensorError> {
        let refused = TensorError::OutOfMemory { bytes: len };
        let layout = layout_of(len).ok_or_else(|| refused.clone())?;
        if let Some(kept) = (!zero).then(|| spare::take(len)).flatten() {
            return Ok(kept);
        }
        if len == 0 {
            // A pointer that nothing is read through, but aligned, so that slices of no elements can be made of it.
            return Ok(Buffer { start: layout.dangling_ptr(), len, skipped: 0 });
        }
        // SAFETY: the layout's size is not zero.
        let block = unsafe { if zero { alloc::alloc_zeroed(layout) } else { alloc::alloc(layout) } };
        advise(block, len);
        let block = NonNull::new(block).ok_or(refused)?;
        // At most the bytes that a small block has more than `len`; others begin on their boundary.
        let skipped = block.addr().get().wrapping_neg() % ALIGNMENT;
        // SAFETY: both are within the block.
        Ok(Buffer { start: unsafe { block.add(skipped) }, len, skipped })
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte, on a 64-byte boundary.
    pub fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// The first byte, to write to.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` belong to this buffer and are initialized (`uninit` puts that on its caller).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to write to.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_bytes`; `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let own = Buffer { ..*self };
        if let Err(own) = spare::keep(own) {
            Buffer::free(own);
        }
    }
}

impl Buffer {
    /// Gives the memory back to the allocator.
    pub(super) fn free(buffer: ManuallyDrop<Buffer>) {
        if buffer.len != 0 {
            let Some(layout) = layout_of(buffer.len) else { return };
            // SAFETY: the layout is the one of `allocate`, which accepted it; the block came from the allocator, begins
            // `skipped` bytes before the buffer, which is not used or dropped any more.
            unsafe { alloc::dealloc(buffer.start.sub(buffer.skipped).as_ptr(), layout) };
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_and_zero() {
        for len in [0, 1, 63, 64, 1000] {
            let b = Buffer::zeroed(len).unwrap();
            assert_eq!(b.as_ptr() as usize % ALIGNMENT, 0);
            assert_eq!(b.as_bytes(), vec![0; len]);
        }
    }

    #[test]
    fn an_absurd_size_is_an_error() {
        for len in [usize::MAX, isize::MAX as usize, 1 << 60] {
            assert_eq!(Buffer::zeroed(len).unwrap_err(), TensorError::OutOfMemory { bytes: len });
        }
    }

    #[test]
    fn a_large_buffer_may_be_used_again_and_holds_what_is_put_into_it() {
        for round in 0..4u8 {
            for len in [spare::LARGE, 3 << 20, 5 << 20, 70 << 20] {
                let mut b = Buffer::from_slice(&vec![round; len]).unwrap();
                assert!(b.as_bytes().iter().all(|x| *x == round) && b.len() == len);
                b.as_mut_bytes()[len - 1] = 77;
                drop(b);
                assert_eq!(Buffer::zeroed(len).unwrap().as_bytes(), vec![0; len]);
            }
        }
        let threads: Vec<_> = (0..4u8)
            .map(|n| {
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        let b = Buffer::from_slice(&vec![n; 2 << 20]).unwrap();
                        assert!(b.as_bytes().iter().all(|x| *x == n));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
    }

    #[test]
    fn copies_elements() {
        let b = Buffer::from_slice(&[1u16, 2]).unwrap();
        assert_eq!(b.len(), 4);
        assert_eq!(b.as_bytes()[..2], 1u16.to_ne_bytes());
    }
}
