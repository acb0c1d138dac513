//! What happens between the two IRs: verified tensor IR comes in, a plan of kernels and library calls goes out.
//!
//! [`pipeline`] rewrites a function into canonical form, [`lower()`] turns it into a [`Plan`]. Nothing here
//! knows how a kernel becomes machine code or where memory comes from.
#![forbid(unsafe_code)]

pub mod algebra;
pub mod canon;
pub mod cost;
pub mod fuse;
pub mod hoist;
pub mod layout;
pub mod lower;
pub mod options;
pub mod pipeline;
pub mod plan;
pub mod rules;
pub mod sizes;

pub use cost::CostModel;
pub use lower::{LayoutClass, LowerError, lower, lower_unexpanded};
pub use options::{Options, Tier};
pub use pipeline::{PIPELINE, Pass, explain, optimize, run_pipeline};
pub use plan::Plan;
pub use sizes::Sizes;
