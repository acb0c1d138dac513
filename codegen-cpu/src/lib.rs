//! Machine code for the CPU: loop IR in, a function out.
//!
//! [`compile`] turns a [`Kernel`](matex_ir::loops::Kernel) into a [`Compiled`] kernel through Cranelift, with 128-bit
//! SIMD on any host; [`KernelCache`] keeps compiled kernels by the text of their loop IR. A kernel is called
//! through the argument block that [`abi`] describes. What a kernel computes is what the reference interpreter of
//! `matex_ir::loops::interp` computes, bit for bit (any NaN counts as any other).
//!
//! On an x86-64 host without FMA, `fma` becomes a call for every element: the same bits, slowly.

pub mod abi;
mod cache;
mod compiled;
mod emit_clif;
mod emit_wide;
mod lanes;
mod listing;
mod simd;
mod walk;

pub use cache::{CacheStats, KernelCache};
pub use compiled::{CompileError, Compiled, compile, compile_for};
pub use listing::Line;
pub use simd::{Emitter, Simd};
