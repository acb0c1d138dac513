//! Whether what a call is given lies as it did in the call before: layouts as words, and a check that walks along them.
//!
//! A call that is like the last one needs no more of its arguments than this comparison and their pointers. Types
//! therefore tell the check what they are without a [`View`] in between, which takes longer to make than to compare.

use super::layout::{Dims, Strides};
use super::view::{View, ViewMut};
use crate::Given;
use matex_ir::DType;
use std::marker::PhantomData;

/// Compares arguments and places for results one after the other with those of a call before, and notes where they are.
pub struct LayoutCheck<'e, 'v> {
    /// The layouts of those that are still to come.
    words: &'e [u64],
    starts: &'e mut [*mut u8],
    taken: usize,
    borrowed: PhantomData<&'v ()>,
}

/// In the first word of a place, so that no argument is ever taken for one.
const PLACE: u64 = 1 << 63;

/// The words of the layout of an argument: dtype and rank, then extents and strides. The value of an integer of rank 0
/// comes behind, since it may be the size of something.
pub(crate) fn push_layout(words: &mut Vec<u64>, arg: &impl Given) {
    push(words, kind(arg.dtype(), arg.shape()), arg.shape(), arg.strides());
    if has_value(arg.dtype(), arg.shape()) {
        words.extend(value(arg.integer()));
    }
}

/// The words of the layout of a place, whose value does not matter.
pub(crate) fn push_place(words: &mut Vec<u64>, dtype: DType, shape: &[usize], strides: &[isize]) {
    push(words, PLACE | kind(dtype, shape), shape, strides);
}

fn push(words: &mut Vec<u64>, kind: u64, shape: &[usize], strides: &[isize]) {
    words.push(kind);
    words.extend(shape.iter().map(|n| *n as u64));
    words.extend(strides.iter().map(|s| *s as u64));
}

/// What comes behind these words, where they begin with the layout of the argument.
pub(crate) fn strip_layout<'w>(words: &'w [u64], arg: &impl Given) -> Option<&'w [u64]> {
    let rest = strip(words, kind(arg.dtype(), arg.shape()), arg.shape(), arg.strides())?;
    if has_value(arg.dtype(), arg.shape()) { strip_value(rest, arg.integer()) } else { Some(rest) }
}

#[inline]
fn kind(dtype: DType, shape: &[usize]) -> u64 {
    (dtype as u64) << 32 | shape.len() as u64
}

/// Whether words of a value come behind those of a layout.
#[inline]
fn has_value(dtype: DType, shape: &[usize]) -> bool {
    shape.is_empty() && dtype.is_int()
}

/// An integer as words. All that are past the i64 range, which no size is, are alike.
fn value(integer: Option<i64>) -> [u64; 2] {
    [u64::from(integer.is_some()), integer.unwrap_or(0) as u64]
}

#[inline]
fn strip_value(words: &[u64], integer: Option<i64>) -> Option<&[u64]> {
    let (mine, rest) = words.split_at_checked(2)?;
    (mine == value(integer)).then_some(rest)
}

#[inline]
fn strip<'w>(words: &'w [u64], kind: u64, shape: &[usize], strides: &[isize]) -> Option<&'w [u64]> {
    let (mine, rest) = words.split_at_checked(1 + shape.len() + strides.len())?;
    let axes = shape.iter().map(|n| *n as u64).chain(strides.iter().map(|s| *s as u64));
    // One branch for all of them, since hardly ever one differs.
    let differ = mine[1..].iter().zip(axes).fold(mine[0] ^ kind, |d, (a, b)| d | (a ^ b));
    (differ == 0).then_some(rest)
}

impl<'e, 'v> LayoutCheck<'e, 'v> {
    /// A check against these layouts, which notes pointers in `starts`.
    #[inline]
    pub(crate) fn new(words: &'e [u64], starts: &'e mut [*mut u8]) -> LayoutCheck<'e, 'v> {
        LayoutCheck { words, starts, taken: 0, borrowed: PhantomData }
    }

    /// Takes the next argument. Whether it lies as it did.
    #[inline]
    pub fn view(&mut self, view: &View<'v>) -> bool {
        // SAFETY: a view is made of parts that are those of a view.
        unsafe { self.parts(view.dtype(), view.shape(), view.strides(), view.data_ptr()) }
    }

    /// Takes the next place for a result. Whether it lies as it did.
    #[inline]
    pub fn place(&mut self, place: &ViewMut<'v>) -> bool {
        // SAFETY: as for `view`.
        unsafe { self.place_parts(place.dtype(), place.shape(), place.strides(), place.data_ptr()) }
    }

    /// [`view`](LayoutCheck::view) of what is not made yet.
    ///
    /// # Safety
    /// A [`View`] of lifetime `'v` may be made of these parts.
    #[inline]
    pub(super) unsafe fn parts(
        &mut self,
        dtype: DType,
        shape: &[usize],
        strides: &[isize],
        data: *const u8,
    ) -> bool {
        let Some(rest) = strip(self.words, kind(dtype, shape), shape, strides) else { return false };
        self.words = rest;
        if has_value(dtype, shape) {
            // SAFETY: the caller's promise.
            let view = unsafe { View::from_raw_dtype(dtype, data, Dims::new(), Strides::new()) };
            let Some(rest) = strip_value(rest, view.integer()) else { return false };
            self.words = rest;
        }
        self.put(data.cast_mut())
    }

    /// [`place`](LayoutCheck::place) of what is not made yet.
    ///
    /// # Safety
    /// A [`ViewMut`] of lifetime `'v` may be made of these parts.
    #[inline]
    pub(super) unsafe fn place_parts(
        &mut self,
        dtype: DType,
        shape: &[usize],
        strides: &[isize],
        data: *mut u8,
    ) -> bool {
        let kind = PLACE | kind(dtype, shape);
        let Some(rest) = strip(self.words, kind, shape, strides) else { return false };
        self.words = rest;
        self.put(data)
    }

    /// Notes the pointer of the next one.
    #[inline]
    pub(crate) fn put(&mut self, start: *mut u8) -> bool {
        let Some(place) = self.starts.get_mut(self.taken) else { return false };
        *place = start;
        self.taken += 1;
        true
    }

    /// How many were taken.
    #[inline]
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Where those that were taken are, and what stood behind them before.
    #[inline]
    pub(crate) fn starts(&self) -> &[*mut u8] {
        self.starts
    }
}
