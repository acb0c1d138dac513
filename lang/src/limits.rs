//! What a program may cost: the guards for programs that come from strangers.

/// The limits of one compilation and of the calls of what it made.
///
/// Each one that is hit is reported by its name here, with the value it had.
///
/// ```
/// let limits = matex_lang::Limits { nesting_depth: 64, ..Default::default() };
/// assert_eq!(limits.source_bytes, 1 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of source text. 1 MiB unless set; never more than 1 GiB, so that a [`Span`](crate::Span) can hold any
    /// place.
    pub source_bytes: usize,
    /// How deep parentheses, brackets, blocks, lambdas, prefix operators and `**` may nest. 256 unless set; a value
    /// above [`Limits::MAX_NESTING_DEPTH`] counts as that.
    pub nesting_depth: usize,
    /// Values in the tensor IR of all functions together, after calls are expanded. 200,000 unless set.
    pub ir_nodes: usize,
    /// E-nodes that the optimizer may make of one function. 4,000 unless set.
    pub optimizer_nodes: usize,
    /// Rounds of rewriting of one function. 8 unless set.
    pub optimizer_iterations: usize,
    /// Bytes of machine code of one compiled function. 64 MiB unless set.
    pub code_bytes: usize,
    /// Elements of one result or intermediate value. 2^40 unless set.
    pub elements: u64,
    /// Bytes of one result or intermediate value. 2^42 unless set.
    pub bytes: u64,
    /// Steps that all loops of one call may take together. 10 million unless set.
    pub loop_steps: u64,
}

impl Limits {
    /// The deepest nesting that can be asked for. The parser calls itself once a level, which took 1.5 to 3.7 KB of
    /// stack a level when measured (optimized lightly, and not at all), and this much fits into the 2 MiB of an
    /// ordinary thread.
    pub const MAX_NESTING_DEPTH: usize = 384;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            source_bytes: 1 << 20,
            nesting_depth: 256,
            ir_nodes: 200_000,
            optimizer_nodes: 4_000,
            optimizer_iterations: 8,
            code_bytes: 64 << 20,
            elements: 1 << 40,
            bytes: 1 << 42,
            loop_steps: 10_000_000,
        }
    }
}
