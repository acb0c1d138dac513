//! The tensor IR: typed SSA over whole tensors.
//!
//! A [`Func`] is a flat arena of [`Node`]s, one value each, grouped in regions: region 0 is the body, the others are
//! the bodies of loops and branches. Shapes are symbolic ([`Dim`]), broadcasting and casts are explicit, and what
//! could not be proved about sizes stands in the list of guards, which are checked at the call before anything runs.
//!
//! Every program of the language becomes this, calls of user functions inlined; passes rewrite it; the oracle
//! interpreter runs it as it stands, and lowering turns it into kernels and library calls. Its text reads back:
//! [`Func`] displays as what [`parse`] takes.

pub mod bind;
mod builder;
mod error;
mod factor;
pub mod interp;
mod literal;
mod node;
mod parse;
#[cfg(test)]
mod samples;
mod text;
pub mod verify;

pub use builder::{Builder, Mark};
pub use error::RunError;
pub use literal::Literal;
pub use node::{Kind, LibOp, Node, ReduceOp, ScanOp, SliceAxis, UpdateAxis};
pub use parse::{ParseError, parse};

use crate::dim::Dim;
use crate::dtype::DType;
use crate::span::{Code, Span};
use std::fmt;

/// A value of a [`Func`]: the index of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// A region of a [`Func`]: the body, or that of a loop or a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub u32);

/// Element type and shape of one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The extents, outermost axis first; none for a scalar.
    pub shape: Vec<Dim>,
}

impl TensorType {
    /// A tensor type.
    pub fn new(dtype: DType, shape: Vec<Dim>) -> TensorType {
        TensorType { dtype, shape }
    }

    /// The type of a rank-0 tensor.
    pub fn scalar(dtype: DType) -> TensorType {
        TensorType { dtype, shape: Vec::new() }
    }

    /// How many axes it has.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn elements(&self) -> Dim {
        crate::dim::product(&self.shape)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dtype)?;
        if self.shape.is_empty() {
            return Ok(());
        }
        let dims: Vec<String> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// One tensor.
    Tensor(TensorType),
    /// The results of an op that has several, taken apart by [`Kind::Proj`].
    Tuple(Vec<TensorType>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Tensor(t) => t.fmt(f),
            Type::Tuple(ts) => {
                let parts: Vec<String> = ts.iter().map(TensorType::to_string).collect();
                write!(f, "({})", parts.join(", "))
            }
        }
    }
}

/// What a guard compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuardKind {
    /// Both sides are equal.
    Equal,
    /// The left side is at most the right one.
    AtMost,
}

/// A condition on sizes that could not be decided when the program was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The comparison.
    pub kind: GuardKind,
    /// Its left side.
    pub left: Dim,
    /// Its right side.
    pub right: Dim,
    /// The error that its failure is.
    pub code: Code,
    /// What to say when it fails; the sizes are added by who reports it.
    pub message: String,
    /// The place in the source that asks for it.
    pub origin: Span,
}

/// A list of values that are computed in order, with its own parameters and results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Values given by whoever runs the region: the loop counter and the carried values.
    pub params: Vec<ValueId>,
    /// Nodes in the order of execution; each is used only after it, here or in regions inside.
    pub nodes: Vec<ValueId>,
    /// What the region gives back.
    pub results: Vec<ValueId>,
}

/// A parameter of a [`Func`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name in the source: `x`, or `0` for `$0`.
    pub name: String,
    /// Its type; the sizes it names are bound from the argument.
    pub ty: TensorType,
}

/// A function of the tensor IR: one program, checked for one set of dtypes and ranks.
#[derive(Clone, Debug, Default)]
pub struct Func {
    /// The name of the entry function, or `main`.
    pub name: String,
    /// The parameters; parameter `i` is value `i`.
    pub params: Vec<Param>,
    /// All values, in the order in which they were made.
    pub nodes: Vec<Node>,
    /// All regions; region 0 is the body, and its results are the function's.
    pub regions: Vec<Region>,
    /// Names of the results where the source names them.
    pub result_names: Vec<Option<String>>,
    /// Conditions on sizes, checked at the call in this order.
    pub guards: Vec<Guard>,
}

impl Func {
    /// The body region.
    pub const BODY: RegionId = RegionId(0);

    /// The node of a value.
    pub fn node(&self, v: ValueId) -> &Node {
        &self.nodes[v.0 as usize]
    }

    /// A region.
    pub fn region(&self, r: RegionId) -> &Region {
        &self.regions[r.0 as usize]
    }

    /// The type of a value that is one tensor. For a tuple it is the type of its first member, so that the library
    /// has no path that panics; the verifier reports such a use.
    pub fn ty(&self, v: ValueId) -> &TensorType {
        match &self.node(v).ty {
            Type::Tensor(t) => t,
            Type::Tuple(ts) => ts.first().unwrap_or(&EMPTY),
        }
    }

    /// The results of the function.
    pub fn results(&self) -> &[ValueId] {
        &self.region(Func::BODY).results
    }
}

static EMPTY: TensorType = TensorType { dtype: DType::Bool, shape: Vec::new() };
