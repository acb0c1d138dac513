//! How compiled kernels are called.
//!
//! A kernel is `unsafe extern "sysv64" fn(args: *const Args, begin: i64, end: i64) -> u32` on every x86-64 system, Windows
//! included, and `extern "C"` elsewhere. `begin..end` is the part of the outermost parallel axis to run, in absolute
//! positions: the base pointers stay those of position 0. For a kernel without a parallel axis the range is `0..1`.
//!
//! The strides array has, for `A` axes: the stride in bytes of operand `o` along axis `a` at `o * A + a`, then for
//! each operand in order, for each of its gathered dimensions, that dimension's extent and its stride in bytes.
//!
//! The result is a status word, 0 or 1, with the meaning of [`Status`].

use matex_ir::loops::Status;

/// The run-time arguments of a kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// For each operand the address of its element at the origin of the iteration space.
    pub data: *const *mut u8,
    /// The extent of each axis.
    pub extents: *const i64,
    /// Strides in bytes, then the extents and strides of gathered dimensions; see the module's text.
    pub strides: *const i64,
}

/// The type of a compiled kernel.
#[cfg(target_arch = "x86_64")]
pub type Entry = unsafe extern "sysv64" fn(*const Args, i64, i64) -> u32;
/// The type of a compiled kernel.
#[cfg(not(target_arch = "x86_64"))]
pub type Entry = unsafe extern "C" fn(*const Args, i64, i64) -> u32;

/// Defines functions that compiled kernels call, with the kernels' own calling convention.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel_abi {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty $body:block)+) => {
        $($(#[$meta])* $vis extern "sysv64" fn $name($($arg: $ty),*) -> $out $body)+
    };
}
/// Defines functions that compiled kernels call, with the kernels' own calling convention.
#[cfg(not(target_arch = "x86_64"))]
macro_rules! kernel_abi {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty $body:block)+) => {
        $($(#[$meta])* $vis extern "C" fn $name($($arg: $ty),*) -> $out $body)+
    };
}
pub(crate) use kernel_abi;

/// The meaning of a status word.
#[inline]
pub(crate) fn status(word: u32) -> Status {
    if word == Status::Ok.word() { Status::Ok } else { Status::IndexOutOfRange }
}
