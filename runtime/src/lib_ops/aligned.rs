//! Memory for matrices that begins where a cache line does, so that no vector of a column crosses one, whatever was allocated before. It is
//! a buffer, as tensors have, so that large ones are used again and have huge pages.

use super::Number;
use crate::Buffer;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::slice;

/// The bytes of a cache line, and of the longest vector.
const LINE: usize = 64;

/// The elements of a cache line.
pub(crate) const fn line<T>() -> usize {
    LINE / size_of::<T>()
}

/// Numbers that are zero at first.
pub(crate) struct Aligned<T> {
    memory: Buffer,
    of: PhantomData<T>,
}

impl<T: Number> Aligned<T> {
    /// So many numbers; none where there is no memory for them.
    pub(crate) fn new(len: usize) -> Option<Aligned<T>> {
        let bytes = len.checked_mul(size_of::<T>())?;
        // SAFETY: every byte is written in the next line.
        let mut memory = unsafe { Buffer::uninit(bytes) }.ok()?;
        // SAFETY: there are so many bytes, and they may be written.
        unsafe { memory.as_mut_ptr().write_bytes(0, bytes) };
        Some(Aligned { memory, of: PhantomData })
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the memory begins with a line and is initialized, and any bytes are a number.
        unsafe { slice::from_raw_parts(self.memory.as_ptr().cast(), self.memory.len() / size_of::<T>()) }
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let len = self.memory.len() / size_of::<T>();
        // SAFETY: as for reading, and nobody else has it.
        unsafe { slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_line() {
        for len in [0, 1, 8, 100] {
            let (a, b) = (Aligned::<f64>::new(len).unwrap(), Aligned::<f32>::new(len).unwrap());
            assert!(a.len() == len && b.len() == len && a.iter().all(|e| *e == 0.0));
            assert!(a.as_ptr().align_offset(LINE) == 0 && b.as_ptr().align_offset(LINE) == 0, "{len}");
        }
        assert!(Aligned::<f64>::new(usize::MAX).is_none());
    }

    #[test]
    fn it_is_zero_where_memory_is_used_again() {
        const LARGE: usize = 1 << 19;
        let mut a = Aligned::<f64>::new(LARGE).unwrap();
        a.fill(1.0);
        drop(a);
        assert!(Aligned::<f64>::new(LARGE).unwrap().iter().all(|e| *e == 0.0));
    }
}
