//! Memory for matrices that begins where a cache line does, so that no vector of a column crosses one, whatever was allocated before.

use std::ops::{Deref, DerefMut};

/// The bytes of a cache line, and of the longest vector.
const LINE: usize = 64;

/// The elements of a cache line.
pub(crate) const fn line<T>() -> usize {
    LINE / size_of::<T>()
}

/// Numbers that are zero at first.
pub(crate) struct Aligned<T> {
    memory: Vec<T>,
    skip: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// So many numbers; none where there is no memory for them.
    pub(crate) fn new(len: usize) -> Option<Aligned<T>> {
        let need = len.checked_add(line::<T>())?;
        let mut memory = Vec::new();
        memory.try_reserve_exact(need).ok()?;
        memory.resize(need, T::default());
        let skip = memory.as_ptr().align_offset(LINE).min(line::<T>());
        Some(Aligned { memory, skip, len })
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.skip..self.skip + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.skip..self.skip + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_line() {
        for len in [0, 1, 8, 100] {
            let (a, b) = (Aligned::<f64>::new(len).unwrap(), Aligned::<f32>::new(len).unwrap());
            assert!(a.len() == len && b.len() == len);
            assert!(a.as_ptr().align_offset(LINE) == 0 && b.as_ptr().align_offset(LINE) == 0, "{len}");
        }
        assert!(Aligned::<f64>::new(usize::MAX).is_none());
    }
}
