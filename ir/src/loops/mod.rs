//! Loop IR: one kernel, which is one loop nest over an iteration space with a straight-line scalar body.
//!
//! A kernel says how an element is computed and nothing about sizes: extents, base pointers and strides are run-time
//! arguments, so one compiled kernel serves every shape. What the text does hold is all that code generation depends
//! on, which is why the text without the name ([`Kernel::key`]) is the key of the compile cache.
//!
//! * **Axes** run from outermost to innermost. At most one is a reduce or a scan axis. When that is the innermost one
//!   the kernel has *row* form (vectors lie along the reduction), else *column* form (vectors lie along the innermost
//!   parallel axis and the reduction runs inside a tile of it).
//! * **Operands** carry an access class for each axis. Only the vector axis ([`Kernel::vector_axis`]) needs an exact
//!   class: writing [`Access::Strided`] for the others, whatever their stride, lets more programs share a kernel.
//! * **The body** is in SSA form with dense ids: an instruction may use the ones above it. It is cut into [`Stage`]s, each a
//!   walk over the reduce axis at one parallel point, so that a softmax is one kernel. In a stage the instructions up
//!   to the last [`InstKind::Reduce`] run once per element; those below it run once per parallel point and see the
//!   reductions' results and what does not change along the reduce axis. A stage sees of the ones before it what does
//!   not change along that axis, and may load what they stored. Kernels without a reduce axis have one stage, all of
//!   it per element.
//! * **Stores** happen in the stage of their value: per element when the operand moves along the reduce axis (or there is
//!   none), else once per parallel point.
//!
//! The order in which a floating-point reduction combines its elements is part of the meaning; see [`canon`].

pub mod append;
pub mod build;
pub mod canon;
pub mod combine;
pub mod expand;
pub mod interp;
pub mod parse;
pub mod partial;
pub mod prepend;
pub mod running;
pub mod split;
pub mod text;
pub mod verify;

#[cfg(test)]
mod tests;

pub use build::KernelBuilder;
pub use combine::Combine;

use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use std::ops::Range;

/// An instruction of a body, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstId(pub u32);

/// An operand of a kernel, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperandId(pub u32);

impl InstId {
    /// The position in [`Kernel::body`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl OperandId {
    /// The position in [`Kernel::operands`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One fused loop nest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// A name for people; not part of the meaning.
    pub name: String,
    /// The iteration space, outermost axis first.
    pub axes: Vec<Axis>,
    /// What is read and written.
    pub operands: Vec<Operand>,
    /// The scalar computation.
    pub body: Vec<Inst>,
    /// Where in the body each stage begins; the first at 0.
    pub stages: Vec<usize>,
    /// What is written where.
    pub stores: Vec<Store>,
}

/// One dimension of the iteration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// What the axis does.
    pub kind: AxisKind,
}

/// What an axis of the iteration space does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AxisKind {
    /// Its points are independent of one another.
    Parallel,
    /// Its points are combined into one.
    Reduce,
    /// Its points are visited in order, and each sees the combination of those up to it.
    Scan,
}

/// Whether an operand is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Read.
    In,
    /// Written, and read back by stages after the one that wrote it.
    Out,
    /// The same, but nobody's result: a row of memory that the caller lends for the time of a call, one element for
    /// each position along the reduce axis, which is the innermost one. Calls that run at the same time need each
    /// their own.
    Scratch,
}

/// How an operand moves when an axis advances by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Not at all: a broadcast. The run-time stride is 0.
    Zero,
    /// To the next element in memory. The run-time stride is the element's size.
    Unit,
    /// By a run-time stride, which may be anything (0, one element, negative).
    Strided,
}

impl Access {
    /// The exact class of a stride in bytes.
    pub fn of(stride: i64, dtype: DType) -> Access {
        if stride == 0 {
            Access::Zero
        } else if stride == dtype.size() as i64 {
            Access::Unit
        } else {
            Access::Strided
        }
    }
}

/// A walk over the reduce axis: a part of the body, in two parts of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The instructions that run once per element: those up to the last reduction, or all.
    pub element: Range<usize>,
    /// The instructions that run once per parallel point, after the reductions.
    pub point: Range<usize>,
}

impl Stage {
    /// All of its instructions.
    pub fn insts(&self) -> Range<usize> {
        self.element.start..self.point.end
    }
}

/// A tensor that a kernel reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// The element type in memory.
    pub dtype: DType,
    /// Read or written.
    pub role: Role,
    /// The access class for each axis of the kernel.
    pub access: Vec<Access>,
    /// How many further dimensions are addressed by values of the body ([`InstKind::LoadAt`]). Each has an extent
    /// and a stride among the run-time arguments.
    pub gathers: u32,
}

/// One instruction: a scalar value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inst {
    /// The value's type.
    pub dtype: DType,
    /// How it is computed.
    pub kind: InstKind,
}

/// How a scalar value is computed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstKind {
    /// The operand's element at the current point. Per parallel point the operand may not move along the reduce axis.
    /// An operand that is written can be loaded per element in the stages after one that stored it.
    Load(OperandId),
    /// The operand's element at the current point, moved along its gathered dimensions by these integers, one for
    /// each. A negative index counts from the end. An index out of range makes the kernel answer
    /// [`Status::IndexOutOfRange`]; the element is then not read and zero stands in for it.
    LoadAt {
        /// What is read.
        operand: OperandId,
        /// An `i64` for each gathered dimension.
        indices: Vec<InstId>,
    },
    /// The position along an axis, as `i64`.
    Index(u32),
    /// A constant.
    Const(Scalar),
    /// An op of the table. Never on `f16` or `bf16`, which are storage formats, except for `select`.
    Map(Op, Vec<InstId>),
    /// Scalar code where an expansion does not hold: of (fast, beyond, x) the op's reference meaning at `x` where
    /// `beyond` is true, else `fast`. The ops are those of one operand.
    Rescue(Op, Vec<InstId>),
    /// The value converted to the instruction's dtype by the language's rules.
    Cast(InstId),
    /// The value's bits taken as the instruction's dtype, of the same size. Not from or to `bool`.
    Bitcast(InstId),
    /// The combination of the values over the reduce axis. Its own value is the first component of the state.
    Reduce {
        /// How values are combined.
        combine: Combine,
        /// One value for each component of the state.
        values: Vec<InstId>,
    },
    /// Another component of a reduction's state, such as the index that goes with the largest value.
    Part {
        /// The reduction.
        of: InstId,
        /// Which component.
        component: u32,
    },
    /// The combination of the values along the scan axis up to and including this point, in order.
    Scan {
        /// How values are combined; one of a single component.
        combine: Combine,
        /// The value at this point.
        value: InstId,
    },
}

impl InstKind {
    /// The instructions whose values this one uses.
    pub fn args(&self) -> &[InstId] {
        match self {
            InstKind::Load(_) | InstKind::Index(_) | InstKind::Const(_) => &[],
            InstKind::LoadAt { indices, .. } => indices,
            InstKind::Map(_, args) | InstKind::Rescue(_, args) | InstKind::Reduce { values: args, .. } => {
                args
            }
            InstKind::Cast(a)
            | InstKind::Bitcast(a)
            | InstKind::Part { of: a, .. }
            | InstKind::Scan { value: a, .. } => std::slice::from_ref(a),
        }
    }

    /// The same, to be renamed.
    pub(crate) fn args_mut(&mut self) -> &mut [InstId] {
        match self {
            InstKind::Load(_) | InstKind::Index(_) | InstKind::Const(_) => &mut [],
            InstKind::LoadAt { indices, .. } => indices,
            InstKind::Map(_, args) | InstKind::Rescue(_, args) | InstKind::Reduce { values: args, .. } => {
                args
            }
            InstKind::Cast(a)
            | InstKind::Bitcast(a)
            | InstKind::Part { of: a, .. }
            | InstKind::Scan { value: a, .. } => std::slice::from_mut(a),
        }
    }
}

/// One value written to one operand, in the stage of the value: at every point, or once per parallel point where the
/// operand does not move along the reduce axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Where to.
    pub operand: OperandId,
    /// What; of the operand's dtype.
    pub value: InstId,
}

/// How a run of a kernel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything was computed.
    Ok,
    /// A gather met an index that is out of range; the elements that needed it hold no meaning.
    IndexOutOfRange,
}

impl Status {
    /// The status word of compiled kernels.
    #[inline]
    pub const fn word(self) -> u32 {
        match self {
            Status::Ok => 0,
            Status::IndexOutOfRange => 1,
        }
    }
}

/// Where an axis lies that needs special treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Every axis is parallel.
    Map,
    /// The innermost axis is the reduce axis.
    RowReduce,
    /// This axis is the reduce axis and a parallel one lies inside it.
    ColumnReduce(usize),
    /// This axis is the scan axis.
    Scan(usize),
}

impl Kernel {
    /// An instruction.
    pub fn inst(&self, id: InstId) -> &Inst {
        &self.body[id.index()]
    }

    /// The kernel's form, by where its reduce or scan axis lies.
    pub fn form(&self) -> Form {
        let last = self.axes.len().wrapping_sub(1);
        match self.axes.iter().position(|a| a.kind != AxisKind::Parallel) {
            None => Form::Map,
            Some(a) if self.axes[a].kind == AxisKind::Scan => Form::Scan(a),
            Some(a) if a == last => Form::RowReduce,
            Some(a) => Form::ColumnReduce(a),
        }
    }

    /// The axis along which vectors lie, and for which the access classes must be exact: the innermost one, whatever
    /// its kind. `None` for a kernel without axes.
    pub fn vector_axis(&self) -> Option<usize> {
        self.axes.len().checked_sub(1)
    }

    /// The axis that the range arguments of a call apply to: the outermost parallel one. `None` when there is none,
    /// and the range is then `0..1`.
    pub fn range_axis(&self) -> Option<usize> {
        self.axes.iter().position(|a| a.kind == AxisKind::Parallel)
    }

    /// The reduce axis, if there is one.
    pub fn reduce_axis(&self) -> Option<usize> {
        self.axes.iter().position(|a| a.kind == AxisKind::Reduce)
    }

    /// The axis that is walked in order or reduced, if there is one.
    pub fn walked_axis(&self) -> Option<usize> {
        self.axes.iter().position(|a| a.kind != AxisKind::Parallel)
    }

    /// The stages, in order.
    pub fn stages(&self) -> Vec<Stage> {
        let end = self.body.len();
        let ends = self.stages.iter().skip(1).copied().chain([end]);
        let bounds = self.stages.iter().map(|b| (*b).min(end)).zip(ends.map(|e| e.min(end)));
        let split = |(begin, end): (usize, usize)| {
            let end = end.max(begin);
            let last = self.body[begin..end].iter().rposition(|i| matches!(i.kind, InstKind::Reduce { .. }));
            let middle = last.map_or(end, |p| begin + p + 1);
            Stage { element: begin..middle, point: middle..end }
        };
        bounds.map(split).collect()
    }

    /// The stage that an instruction stands in.
    pub fn stage_of(&self, id: InstId) -> usize {
        self.stages.iter().rposition(|begin| *begin <= id.index()).unwrap_or(0)
    }

    /// For each instruction, whether its value can change from one position along an axis to the next. What a gather
    /// reads counts as changing wherever it runs per element, because it can fail there.
    pub fn moving(&self, axis: usize) -> Vec<bool> {
        let reduced = self.reduce_axis() == Some(axis);
        let mut moving = vec![false; self.body.len()];
        for stage in self.stages() {
            for id in stage.insts() {
                let inst = &self.body[id];
                let follows = inst.kind.args().iter().any(|a| moving.get(a.index()) == Some(&true));
                moving[id] = match &inst.kind {
                    InstKind::Load(o) => self.access(*o, axis) != Access::Zero,
                    InstKind::LoadAt { .. } => !(reduced && stage.point.contains(&id)),
                    InstKind::Index(a) => *a as usize == axis,
                    InstKind::Reduce { .. } => !reduced && follows,
                    InstKind::Scan { .. } => follows || self.axes[axis].kind == AxisKind::Scan,
                    InstKind::Const(_)
                    | InstKind::Map(..)
                    | InstKind::Rescue(..)
                    | InstKind::Cast(_)
                    | InstKind::Bitcast(_)
                    | InstKind::Part { .. } => follows,
                };
            }
        }
        moving
    }

    /// The access class of an operand along an axis; that of a broadcast where there is no such operand.
    pub fn access(&self, operand: OperandId, axis: usize) -> Access {
        let access = self.operands.get(operand.index()).and_then(|o| o.access.get(axis));
        access.copied().unwrap_or(Access::Zero)
    }

    /// Whether a store happens at every position along the reduce axis and not only once per parallel point. All do
    /// where there is no such axis.
    pub fn stores_elements(&self, store: &Store) -> bool {
        self.reduce_axis().is_none_or(|axis| self.access(store.operand, axis) != Access::Zero)
    }

    /// How many operands belong to nobody; they stand after all others.
    pub fn scratch_operands(&self) -> usize {
        self.operands.iter().filter(|o| o.role == Role::Scratch).count()
    }

    /// The number of words in the strides array of a call: a stride for every operand and axis, then an extent and a
    /// stride for every gathered dimension, operand by operand.
    pub fn stride_words(&self) -> usize {
        let gathers: usize = self.operands.iter().map(|o| o.gathers as usize).sum();
        self.operands.len() * self.axes.len() + 2 * gathers
    }

    /// Where in the strides array the words of an operand's gathered dimensions begin.
    pub fn gather_words(&self, operand: OperandId) -> usize {
        let before = &self.operands[..operand.index()];
        let gathers: usize = before.iter().map(|o| o.gathers as usize).sum();
        self.operands.len() * self.axes.len() + 2 * gathers
    }
}
