//! What may be chosen about how a function is rewritten and planned.

use crate::cost::CostModel;
use crate::sizes::Sizes;
use std::fmt;

/// Which rewritings of floating-point arithmetic are allowed; each tier has all of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Those that keep every bit of every result, NaN and signed zeros included.
    Exact,
    /// Those that change bits and are no less accurate.
    #[default]
    Default,
    /// Those that may lose accuracy, as reordered sums do.
    Fast,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Exact => "exact",
            Tier::Default => "default",
            Tier::Fast => "fast",
        })
    }
}

/// What a plan is made for.
///
/// ```
/// use matex_passes::{Options, Tier};
/// let options = Options { tier: Tier::Fast, ..Options::default() };
/// assert!(options.optimize && options.fuse);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The rewritings that are allowed.
    pub tier: Tier,
    /// Whether functions are rewritten at all beyond their canonical form.
    pub optimize: bool,
    /// Whether ops share kernels; else each has one of its own.
    pub fuse: bool,
    /// E-nodes that rewriting may make of one region.
    pub max_nodes: usize,
    /// Rounds of rewriting of one region.
    pub max_iterations: usize,
    /// What sizes are taken to be where a choice depends on them.
    pub sizes: Sizes,
    /// What work costs.
    pub costs: CostModel,
}

impl Default for Options {
    /// Everything on, in the default tier, at the nominal size.
    fn default() -> Options {
        Options {
            tier: Tier::default(),
            optimize: true,
            fuse: true,
            max_nodes: 4_000,
            max_iterations: 8,
            sizes: Sizes::nominal(),
            costs: CostModel::FIXED,
        }
    }
}

impl Options {
    /// One kernel an op, and no rewriting but the canonical form: what optimized plans are compared with.
    pub fn plain() -> Options {
        Options { optimize: false, fuse: false, ..Options::default() }
    }
}
