//! The memory of a tensor: heap bytes on a 64-byte boundary.
//!
//! The boundary is a cache line and the width of the widest vector register: kernels on aligned data are up to twice
//! as fast while it stays in the first-level cache. An allocation that fails is an error and never an abort, since
//! sizes may come from strangers.

use super::{Element, TensorError};
use std::alloc::{self, Layout};
use std::fmt;
use std::ptr::NonNull;

/// The alignment of every buffer, in bytes.
pub const ALIGNMENT: usize = 64;

/// Owned bytes on a 64-byte boundary.
pub struct Buffer {
    start: NonNull<u8>,
    len: usize,
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
        let layout = Layout::from_size_align(len, ALIGNMENT).map_err(|_| refused.clone())?;
        if len == 0 {
            // A pointer that nothing is read through, but aligned, so that slices of no elements can be made of it.
            return Ok(Buffer { start: layout.dangling_ptr(), len });
        }
        // SAFETY: the layout's size is not zero.
        let start = unsafe { if zero { alloc::alloc_zeroed(layout) } else { alloc::alloc(layout) } };
        NonNull::new(start).map(|start| Buffer { start, len }).ok_or(refused)
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
        if self.len != 0 {
            // SAFETY: the layout is the one of `allocate`, which accepted it; the pointer came from the allocator.
            unsafe {
                alloc::dealloc(self.start.as_ptr(), Layout::from_size_align_unchecked(self.len, ALIGNMENT));
            }
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
    fn copies_elements() {
        let b = Buffer::from_slice(&[1u16, 2]).unwrap();
        assert_eq!(b.len(), 4);
        assert_eq!(b.as_bytes()[..2], 1u16.to_ne_bytes());
    }
}
