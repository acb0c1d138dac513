//! The plan: what the runtime carries out at a call, step by step.
//!
//! A plan is made once for a function and a choice of argument layouts, and serves every size: all sizes, strides and
//! offsets are [`Dim`]s that stand in one table, are evaluated once a call, and are named by their [`Slot`] in the
//! steps. Memory is named by [`BufferId`]: a buffer is filled by `alloc`, `move` or `take`, and empty before that and
//! after it was freed. Several buffers may hold one piece of memory at run time (a carried value that starts as a
//! parameter, say), which is why `take` looks at the reference count before it writes in place.
//!
//! Blocks stand in a flat list and are named by their number, so that a deep program is no deep data structure.

mod arena;
pub mod live;
mod panels;
mod reuse;
mod text;
mod work;

pub use arena::{Arena, Part, Piece, Places};
pub use panels::{Member, Rows};
pub use work::Work;

use crate::cost::CostModel;
use matex_ir::loops::{InstId, Kernel, Role};
use matex_ir::tensor::{LibOp, TensorType};
use matex_ir::{Code, DType, Dim, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// A place in the table of dims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A piece of memory of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

impl BufferId {
    /// No memory.
    pub const NOWHERE: BufferId = BufferId(u32::MAX);
}

/// An integer that the host reads from data while the plan runs: a dynamic index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(pub u32);

/// A list of steps of the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u32);

/// Where the memory of a buffer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The argument of that number, the caller's memory.
    Param(u32),
    /// Data of the program, made once.
    Constant(matex_ir::tensor::Literal),
    /// The plan's own, by an `alloc`, `move` or `take`.
    Own,
}

/// One buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferDecl {
    /// Where it comes from.
    pub source: Source,
    /// Its elements, for the limits and the dump; a bitcast may look at them otherwise.
    pub dtype: DType,
    /// Its extents.
    pub shape: Vec<Slot>,
    /// How many bytes it has.
    pub bytes: Slot,
    /// The place in the source that needs it.
    pub origin: Span,
}

/// Where in a buffer something begins: elements from its first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// A distance known from sizes.
    pub offset: Slot,
    /// Further distances: a register times a stride.
    pub moves: Vec<(Register, Slot)>,
}

/// A tensor in memory, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanView {
    /// Where its first element is.
    pub place: Place,
    /// The element type.
    pub dtype: DType,
    /// The extents.
    pub shape: Vec<Slot>,
    /// The stride of each axis.
    pub strides: Vec<Slot>,
}

/// What one operand of a kernel is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where it begins.
    pub place: Place,
    /// The stride along each axis of the kernel, in elements.
    pub strides: Vec<Slot>,
    /// Extent and stride of each gathered dimension.
    pub gathers: Vec<(Slot, Slot)>,
}

/// What a kernel that sums products may be done by instead: a matrix product of the library.
///
/// The kernel is `out += a * b` over operands `a`, `b`, `out` in that order. Its axes but these are loops around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// The axis along which only `a` and `out` move.
    pub rows: Option<usize>,
    /// The axis along which only `b` and `out` move.
    pub cols: Option<usize>,
    /// The axis that is summed.
    pub depth: usize,
    /// Whether `b` is `a` turned around, so that the result is symmetric and one triangle of it enough.
    pub symmetric: bool,
}

impl Gemm {
    /// What the routine is called: `gemm`, or `syrk` for a product of a matrix with its own transpose.
    pub fn name(&self) -> &'static str {
        if self.symmetric { "syrk" } else { "gemm" }
    }
}

/// A read at places that data tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherSite {
    /// The operand of the kernel that is read.
    pub operand: usize,
    /// The axis in the source that is indexed.
    pub axis: usize,
    /// The place in the source.
    pub origin: Span,
}

/// A run of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelStep {
    /// Its number among all runs of kernels in the plan, below [`Plan::kernel_steps`].
    pub id: usize,
    /// Which of [`Plan::kernels`].
    pub kernel: usize,
    /// The operands, in the kernel's order, but for its rows of scratch, which are the last and belong to who runs it.
    pub operands: Vec<Binding>,
    /// The extents of the kernel's axes.
    pub extents: Vec<Slot>,
    /// What its operands that gather are in the source, for messages.
    pub gathers: Vec<GatherSite>,
    /// For a matrix product of floats: how a library does it. The runtime chooses by the sizes of a call.
    pub gemm: Option<Gemm>,
    /// The place in the source it comes from.
    pub origin: Span,
    /// The places that the instructions of the kernel come from, as they were before functions were expanded.
    pub origins: Vec<Span>,
    /// The operations that it does, in the order of the program.
    pub ops: Vec<OpSite>,
}

impl KernelStep {
    /// For each operand the first one that has to be bound along with it where memory that is written may be bound but
    /// once: its own number but for those of a buffer that this run writes.
    pub fn bound_together(&self, kernel: &Kernel) -> Vec<usize> {
        let buffer = |i: &usize| self.operands.get(*i).map(|b| b.place.buffer);
        let first = |i: usize| {
            let Some(mine) = buffer(&i) else { return i };
            let mut alike = (0..self.operands.len()).filter(|j| buffer(j) == Some(mine));
            let written = alike.clone().any(|j| kernel.operands.get(j).is_some_and(|o| o.role == Role::Out));
            if written { alike.next().unwrap_or(i) } else { i }
        };
        (0..kernel.operands.len()).map(first).collect()
    }
}

/// An operation of the program, and the place in the source that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpSite {
    /// Its name.
    pub name: String,
    /// The place.
    pub origin: Span,
}

/// A value that is in memory though a kernel might have computed it along with others.
#[derive(Clone, Debug, PartialEq)]
pub struct Apart {
    /// What computes it.
    pub op: OpSite,
    /// Why it is in memory.
    pub why: String,
}

/// An operation that a routine of the runtime carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routine {
    /// One of the tensor IR: the outputs are all its own.
    Lib(LibOp),
    /// `output[.., index[.., j, ..], ..] = src[.., j, ..]`, or `+=`; inputs are index and src.
    Scatter {
        /// The axis.
        axis: usize,
        /// Whether to add instead of to replace.
        add: bool,
    },
}

/// One thing that the runtime does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fresh memory for a buffer, its contents unspecified.
    Alloc(BufferId),
    /// The memory of `from`, which is read for the last time by the kernel that then fills `to`, each element before it is
    /// written; fresh memory when something else holds that of `from`, as the caller does that of an argument unless it was
    /// given away.
    Reuse {
        /// Whose memory it is; readable until it is freed.
        from: BufferId,
        /// Who gets it.
        to: BufferId,
    },
    /// A kernel runs.
    Kernel(KernelStep),
    /// Kernels run one after another. Where all of them have [`Rows`] those are the same ones, and a panel of rows may go through
    /// all kernels before the next one begins.
    Panels(Vec<Member>),
    /// A routine runs on views.
    Routine {
        /// Which.
        routine: Routine,
        /// What it reads, contiguous.
        inputs: Vec<PlanView>,
        /// What it writes, contiguous.
        outputs: Vec<PlanView>,
        /// The place in the source it comes from.
        origin: Span,
    },
    /// A size is written, as an i64 or converted to the dtype of the buffer.
    Size {
        /// Where to.
        to: BufferId,
        /// Which.
        value: Slot,
    },
    /// An integer is read from memory, counted from the end when negative, and checked against an extent.
    Index {
        /// Where it is kept.
        register: Register,
        /// Where it is read, of rank 0.
        from: PlanView,
        /// The extent that it is an index into.
        extent: Slot,
        /// The axis in the source, for messages.
        axis: usize,
        /// The place in the source it comes from.
        origin: Span,
    },
    /// A rank-0 bool must be true.
    Check {
        /// The condition.
        condition: PlanView,
        /// The error that a false one is.
        code: Code,
        /// What to say then.
        message: String,
        /// The place in the source it comes from.
        origin: Span,
    },
    /// The buffers of `to` hold from now on what those of `from` hold, all at once.
    Move {
        /// What is shared.
        from: Vec<BufferId>,
        /// Who gets it.
        to: Vec<BufferId>,
    },
    /// `to` becomes a copy of `from` that may be written to: the memory itself when nothing else needs it.
    Take {
        /// Whose contents are wanted; `to` is of the same size.
        from: BufferId,
        /// Who gets them.
        to: BufferId,
        /// Whether `from` is dead afterwards, so that its memory may be reused if nothing else holds it.
        last: bool,
        /// The copy, when the memory cannot be reused.
        copy: KernelStep,
    },
    /// A counted loop.
    For {
        /// The rank-0 i64 that holds the counter.
        counter: BufferId,
        /// Where the first value of the counter is read.
        start: PlanView,
        /// Where the value that ends the loop is read.
        end: PlanView,
        /// What runs at each step.
        body: BlockId,
        /// The place in the source it comes from.
        origin: Span,
    },
    /// A loop with a condition.
    While {
        /// What computes the condition.
        test: BlockId,
        /// Where the condition is read.
        condition: PlanView,
        /// What runs at each step.
        body: BlockId,
        /// The place in the source it comes from.
        origin: Span,
    },
    /// A branch.
    If {
        /// Where the condition is read.
        condition: PlanView,
        /// What runs when it is true.
        yes: BlockId,
        /// What runs when it is false.
        no: BlockId,
        /// What either of them fills, by a `move` at its end.
        fills: Vec<BufferId>,
    },
}

/// A step and what is freed after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The step.
    pub step: Step,
    /// Buffers that nothing needs from here on.
    pub frees: Vec<BufferId>,
}

/// A list of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The steps in order.
    pub items: Vec<Item>,
}

/// How an argument lies in memory, as far as the plan relies on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanParam {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
    /// The names under which the table of dims knows its strides; `None` when it has to be contiguous.
    pub stride_names: Option<Vec<Arc<str>>>,
}

/// A result: a buffer that holds it alone and contiguously.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanResult {
    /// The buffer.
    pub buffer: BufferId,
    /// The element type.
    pub dtype: DType,
    /// The extents.
    pub shape: Vec<Slot>,
}

/// What the runtime carries out at a call.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The function's name.
    pub name: String,
    /// The arguments.
    pub params: Vec<PlanParam>,
    /// All sizes, strides and offsets, without repetition.
    pub dims: Vec<Dim>,
    /// All buffers.
    pub buffers: Vec<BufferDecl>,
    /// All kernels, without repetition.
    pub kernels: Vec<Arc<Kernel>>,
    /// For each kernel the instructions that its own were expanded from; none where nothing was.
    pub sources: Vec<Vec<InstId>>,
    /// How many registers there are.
    pub registers: u32,
    /// All blocks.
    pub blocks: Vec<Block>,
    /// How many runs of kernels there are.
    pub kernel_steps: usize,
    /// The block that is the program.
    pub body: BlockId,
    /// The results.
    pub results: Vec<PlanResult>,
    /// What was not fused, and why.
    pub apart: Vec<Apart>,
    /// The temporaries that share one piece of memory.
    pub arena: Arena,
    /// What its work costs.
    pub costs: CostModel,
}

impl Routine {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Routine::Lib(op) => op.name(),
            Routine::Scatter { .. } => "scatter",
        }
    }
}

impl Step {
    /// The kernels that it runs, in their order; those of the blocks inside are none of it.
    pub fn kernels(&self) -> impl Iterator<Item = &KernelStep> {
        let (one, members) = match self {
            Step::Kernel(step) | Step::Take { copy: step, .. } => (Some(step), &[][..]),
            Step::Panels(members) => (None, members.as_slice()),
            Step::Alloc(_)
            | Step::Reuse { .. }
            | Step::Routine { .. }
            | Step::Size { .. }
            | Step::Index { .. }
            | Step::Check { .. }
            | Step::Move { .. }
            | Step::For { .. }
            | Step::While { .. }
            | Step::If { .. } => (None, &[][..]),
        };
        one.into_iter().chain(members.iter().map(|m| &m.step))
    }
}

impl Plan {
    /// The place in the source that an instruction of a run's kernel comes from.
    pub fn origin(&self, step: &KernelStep, inst: InstId) -> Option<Span> {
        let sources = self.sources.get(step.kernel);
        let source = sources.and_then(|s| s.get(inst.index())).copied().unwrap_or(inst);
        step.origins.get(source.index()).copied().filter(|o| o.start < o.end)
    }

    /// The dim of a slot.
    pub fn dim(&self, slot: Slot) -> &Dim {
        &self.dims[slot.0 as usize]
    }

    /// A buffer's declaration.
    pub fn buffer(&self, id: BufferId) -> &BufferDecl {
        &self.buffers[id.0 as usize]
    }

    /// A block.
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.0 as usize]
    }

    /// The buffers that a kernel writes.
    pub(crate) fn outs<'a>(&'a self, step: &'a KernelStep) -> impl Iterator<Item = BufferId> + 'a {
        let roles = self.kernels.get(step.kernel).map(|k| k.operands.as_slice()).unwrap_or_default();
        let written = step.operands.iter().zip(roles).filter(|(_, o)| o.role != matex_ir::loops::Role::In);
        written.map(|(b, _)| b.place.buffer)
    }

    /// Whether memory is fresh unless an argument is given away: what a reuse is where it is of an argument.
    pub fn is_argument(&self, buffer: BufferId) -> bool {
        matches!(self.buffer(buffer).source, Source::Param(_))
    }

    /// The arguments whose memory another value gets when they are given away.
    pub fn donated(&self) -> impl Iterator<Item = &PlanParam> {
        let from = |item: &Item| match &item.step {
            Step::Reuse { from, .. } | Step::Take { from, last: true, .. } => Some(*from),
            Step::Take { .. }
            | Step::Alloc(_)
            | Step::Kernel(_)
            | Step::Panels(_)
            | Step::Routine { .. }
            | Step::Size { .. }
            | Step::Index { .. }
            | Step::Check { .. }
            | Step::Move { .. }
            | Step::For { .. }
            | Step::While { .. }
            | Step::If { .. } => None,
        };
        let whole = |b: BufferId| match self.buffer(b).source {
            Source::Param(p) => self.params.get(p as usize),
            Source::Constant(_) | Source::Own => None,
        };
        self.blocks.iter().flat_map(|b| &b.items).filter_map(from).filter_map(whole)
    }

    /// Chooses the temporaries that share memory, when it is known where buffers are freed and used again.
    pub(crate) fn share_memory(&mut self) {
        self.arena = Arena::of(self);
    }

    /// The kernels as text, one after the other.
    pub fn kernels_text(&self) -> String {
        let texts: Vec<String> = self.kernels.iter().map(|k| k.to_string()).collect();
        texts.join("\n")
    }
}

/// The parts of a plan that grow while it is made, without repetition of dims and kernels.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) plan: Plan,
    dims: HashMap<Dim, Slot>,
    kernels: HashMap<Arc<Kernel>, usize>,
}

impl Tables {
    pub(crate) fn slot(&mut self, dim: &Dim) -> Slot {
        if let Some(slot) = self.dims.get(dim) {
            return *slot;
        }
        let slot = Slot(self.plan.dims.len() as u32);
        self.plan.dims.push(dim.clone());
        self.dims.insert(dim.clone(), slot);
        slot
    }

    pub(crate) fn slots(&mut self, dims: &[Dim]) -> Vec<Slot> {
        dims.iter().map(|d| self.slot(d)).collect()
    }

    pub(crate) fn kernel(&mut self, kernel: Kernel) -> usize {
        if let Some(index) = self.kernels.get(&kernel) {
            return *index;
        }
        let kernel = Arc::new(kernel);
        self.plan.kernels.push(kernel.clone());
        self.kernels.insert(kernel, self.plan.kernels.len() - 1);
        self.plan.kernels.len() - 1
    }

    pub(crate) fn buffer(&mut self, source: Source, ty: &TensorType, origin: Span) -> BufferId {
        let elements = ty.elements();
        let bytes = self.slot(&(&elements * &Dim::from(ty.dtype.size())));
        let shape = self.slots(&ty.shape);
        self.plan.buffers.push(BufferDecl { source, dtype: ty.dtype, shape, bytes, origin });
        BufferId(self.plan.buffers.len() as u32 - 1)
    }

    pub(crate) fn register(&mut self) -> Register {
        self.plan.registers += 1;
        Register(self.plan.registers - 1)
    }
}
