//! Kernels of the loop IR as shaders for the GPU, in naga's IR, whose readable form is WGSL.
//!
//! Nothing here needs a device or its driver: [`compile`] gives a [`Shader`], the runtime hands that to one.
//!
//! | part | job |
//! |---|---|
//! | `build` | a typed builder over naga's arenas |
//! | `kernel`, `reduce` | loops, places in memory, stages, reductions |
//! | `product` | which kernels are matrix products, and when they are done by tiles |
//! | `maps` | which maps are done by quads, and which by tiles |
//! | `cut` | which reductions and scans are done in several runs |
//! | `body`, `arith`, `cast`, `divide`, `functions`, `turns` | what is computed for an element |
//! | `narrow` | which 64-bit integers need no more than 32 bits |
//! | `words` | the sizes of a run, as the shader wants them |
//! | `scatter` | writing at places that data tells, which is no kernel |
//!
//! Values are `f32`, `i32`, `u32` and `bool`, and `f16` where it is loaded, stored and chosen from. A `bool` takes a word of 4 bytes in the device's memory, because threads
//! cannot write single bytes. Kernels that need anything else have a reason why not ([`compile`]'s error), and stay on the
//! CPU.

#![forbid(unsafe_code)]

mod arith;
mod body;
mod build;
mod cast;
mod cut;
mod divide;
mod doubles;
mod functions;
mod kernel;
mod maps;
mod narrow;
mod product;
mod reduce;
mod scatter;
mod shader;
mod turns;
mod words;

pub use cut::{Cut, cut};
pub use kernel::Schedule;
pub use maps::Turned;
pub use narrow::MOST_POINTS;
pub use product::{Tiles, Units};
pub use scatter::{Lines, Scatter};
pub use shader::{Caps, Refused, Shader, compile, key, lacks, refusal, schedule};
pub use words::Run;
