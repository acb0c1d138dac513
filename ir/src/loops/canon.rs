//! The canonical order of floating-point sums and products, which is part of what a kernel means.
//!
//! Every engine combines in this order, so a result has the same bits at every vector width and thread count:
//!
//! * In **row form** (the reduce axis innermost) there are [`lanes`] lanes. The axis is cut into blocks of
//!   [`LINES`] · lanes elements. Within a block, element `i` goes to lane `i % lanes`; lanes start at the identity. At
//!   the end of a block the lanes are merged by halving: lane `j` with lane `j + w/2`, for `w` = lanes, lanes/2, … 2.
//! * In **column form** there is one lane, and blocks are of [`LINES`] elements.
//! * **Blocks** are merged by a pairwise tree in the manner of a binary counter ([`BlockTree`]): block results are
//!   pushed on a stack, and while the block's number has trailing ones the two on top are merged. What is left at
//!   the end is merged from the top of the stack down.
//!
//! Sums and products up to each position, as **scans** have them, are those of blocks of [`SCAN_BLOCK`] bytes where the scan axis
//! is the innermost one. Within a block they are formed by doubling: for a distance of 1, 2, 4 … below the block's
//! length, all at once, what stands that far before is combined with each. Then what came before the block is combined
//! with each of it, and with the last of it becomes what comes before the next one. Along any other axis they are formed
//! one after the other.
//!
//! The lanes are 256 bytes, because that is what keeps enough additions in flight at every vector width, and the
//! tree keeps the error of a sum of n at O(log n) rounding errors.

use super::{Combine, Form, InstKind, Kernel};
use crate::dtype::{DType, Scalar};

/// The elements of a block that meet in one lane.
pub const LINES: usize = 64;

/// The bytes of a block of a scan along the innermost axis: the widest vector.
pub const SCAN_BLOCK: usize = 64;

/// The most levels that a tree over blocks can have: one for each bit of an extent.
pub const LEVELS: usize = 64;

/// The number of lanes of a row reduction whose state begins with this dtype: 256 bytes' worth.
pub const fn lanes(dtype: DType) -> usize {
    256 / dtype.size()
}

/// The elements of a block of a kernel's reductions; of the largest where there are several, which is then a multiple of
/// all others by a power of two.
pub fn block(kernel: &Kernel) -> usize {
    let row = kernel.form() == Form::RowReduce;
    let reduced = kernel.body.iter().filter(|i| matches!(i.kind, InstKind::Reduce { .. })).map(|i| i.dtype);
    LINES * reduced.map(|d| if row { lanes(d) } else { 1 }).max().unwrap_or(1)
}

/// A state: one scalar for each component of a combination.
pub type State = Vec<Scalar>;

/// The stack that merges block results pairwise.
#[derive(Clone, Debug)]
pub struct BlockTree {
    combine: Combine,
    stack: Vec<State>,
    blocks: u64,
}

impl BlockTree {
    /// An empty tree.
    pub fn new(combine: Combine) -> BlockTree {
        BlockTree { combine, stack: Vec::new(), blocks: 0 }
    }

    /// Adds the next block's result.
    pub fn push(&mut self, mut block: State) {
        // Trailing ones of the block's number count the subtrees that are now complete.
        for _ in 0..self.blocks.trailing_ones() {
            if let Some(left) = self.stack.pop() {
                block = self.combine.step(&left, &block);
            }
        }
        self.stack.push(block);
        self.blocks += 1;
    }

    /// The whole, or `None` when no block was pushed.
    pub fn finish(mut self) -> Option<State> {
        let mut whole = self.stack.pop()?;
        while let Some(left) = self.stack.pop() {
            whole = self.combine.step(&left, &whole);
        }
        Some(whole)
    }
}

/// Combines states in the canonical order with that many lanes (1 in column form).
pub fn reduce(combine: Combine, dtype: DType, lanes: usize, states: &[State]) -> State {
    let mut tree = BlockTree::new(combine);
    for block in states.chunks(LINES * lanes) {
        let mut lane = vec![combine.identity(dtype); lanes];
        for (i, state) in block.iter().enumerate() {
            lane[i % lanes] = combine.step(&lane[i % lanes], state);
        }
        while lane.len() > 1 {
            let upper = lane.split_off(lane.len() / 2);
            for (low, high) in lane.iter_mut().zip(&upper) {
                *low = combine.step(low, high);
            }
        }
        tree.push(lane.swap_remove(0));
    }
    tree.finish().unwrap_or_else(|| combine.empty(dtype))
}

/// The running combinations of values, in the canonical order; `row` where the scan axis is the innermost one.
pub fn scan(combine: Combine, dtype: DType, row: bool, values: &[Scalar]) -> Vec<Scalar> {
    let step = |a: Scalar, b: Scalar| combine.step(&[a], &[b])[0];
    let block = if row { SCAN_BLOCK / dtype.size() } else { 1 };
    let mut before = combine.identity(dtype)[0];
    let mut out = Vec::with_capacity(values.len());
    for block in values.chunks(block) {
        let mut sums = block.to_vec();
        let mut distance = 1;
        while distance < sums.len() {
            for i in (distance..sums.len()).rev() {
                sums[i] = step(sums[i - distance], sums[i]);
            }
            distance *= 2;
        }
        out.extend(sums.iter().map(|sum| step(before, *sum)));
        before = out.last().copied().unwrap_or(before);
    }
    out
}
