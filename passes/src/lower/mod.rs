//! Tensor IR to plan, one kernel an op.
//!
//! Views cost nothing: they are layouts ([`crate::layout`]) of memory that something else filled. All other ops fill a
//! contiguous buffer of their own, by a kernel, a routine or a copy. Deciding which ops share a kernel is not done
//! here; a pass that does can build on the same `Nest`s.

mod control;
mod dot;
mod gather;
mod maps;
mod nest;
mod parts;
mod reduce;
mod update;
mod views;

use crate::layout::Layout;
use crate::options::Options;
use crate::plan::{
    Block, BlockId, BufferId, Item, Plan, PlanParam, PlanResult, PlanView, Source, Step, Tables, live,
};
use matex_ir::tensor::{Func, Kind, Node, Param, RegionId, TensorType, Type, ValueId};
use matex_ir::{Dim, Span};
use std::fmt;
use std::sync::Arc;

/// The deepest nesting of loops and branches that is lowered.
pub const MAX_DEPTH: usize = 256;

/// How an argument lies in memory, as far as a plan relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayoutClass {
    /// Its elements lie one after the other in row-major order.
    Contiguous,
    /// Its strides are known at the call only.
    Strided,
}

/// Why a function has no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LowerError {
    /// It is not one that the verifier accepts.
    Malformed {
        /// What is wrong.
        why: String,
        /// Where.
        origin: Span,
    },
    /// Loops and branches nest deeper than [`MAX_DEPTH`].
    TooDeep {
        /// Where.
        origin: Span,
    },
    /// A kernel that breaks the laws of loop IR was made: a bug.
    Kernel {
        /// The kernel's name.
        name: String,
        /// What is wrong with it.
        why: String,
        /// Where.
        origin: Span,
    },
}

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LowerError::Malformed { why, .. } => write!(f, "malformed function: {why}"),
            LowerError::TooDeep { .. } => write!(f, "loops and branches nest deeper than {MAX_DEPTH}"),
            LowerError::Kernel { name, why, .. } => write!(f, "kernel {name}: {why}"),
        }
    }
}

impl std::error::Error for LowerError {}

/// Makes the plan of a function for arguments of these layouts; one that is not given counts as contiguous.
///
/// # Errors
/// When the function is malformed or nests too deeply.
pub fn lower(func: &Func, classes: &[LayoutClass], _options: &Options) -> Result<Plan, LowerError> {
    let mut lower = Lower {
        func,
        tables: Tables::default(),
        values: vec![Value::None; func.nodes.len()],
        open: Vec::new(),
        depth: 0,
    };
    lower.tables.plan.name = func.name.clone();
    for (i, param) in func.params.iter().enumerate() {
        let class = classes.get(i).copied().unwrap_or(LayoutClass::Contiguous);
        lower.param(i, param, class)?;
    }
    lower.open.push(Block::default());
    lower.region(Func::BODY)?;
    lower.results()?;
    let body = lower.close();
    let mut plan = lower.tables.plan;
    plan.body = body;
    live::assign(&mut plan);
    Ok(plan)
}

/// What is known of a value that was lowered.
#[derive(Clone, Debug)]
enum Value {
    /// Not lowered yet.
    None,
    /// One tensor.
    Tensor(Layout),
    /// Several.
    Tuple(Vec<Layout>),
}

/// The plan under construction.
struct Lower<'f> {
    func: &'f Func,
    tables: Tables,
    values: Vec<Value>,
    /// Blocks that are being filled, innermost last.
    open: Vec<Block>,
    depth: usize,
}

fn malformed(why: &str, origin: Span) -> LowerError {
    LowerError::Malformed { why: why.to_owned(), origin }
}

impl<'f> Lower<'f> {
    fn param(&mut self, index: usize, param: &Param, class: LayoutClass) -> Result<(), LowerError> {
        let buffer = self.tables.buffer(Source::Param(index as u32), &param.ty, Span::default());
        let mut layout = Layout::contiguous(buffer, &param.ty.shape);
        let mut stride_names = None;
        if class == LayoutClass::Strided && param.ty.rank() > 0 {
            let names: Vec<Arc<str>> =
                (0..param.ty.rank()).map(|axis| format!("{}@s{axis}", param.name).into()).collect();
            // Integers rather than sizes: strides may be negative.
            layout.strides = names.iter().map(|n| Dim::int(n)).collect();
            stride_names = Some(names);
        }
        let (name, ty) = (param.name.clone(), param.ty.clone());
        self.tables.plan.params.push(PlanParam { name, ty, stride_names });
        let value = self.values.get_mut(index).ok_or_else(|| malformed("no value", Span::default()))?;
        *value = Value::Tensor(layout);
        Ok(())
    }

    /// Lowers the nodes of a region into the open block.
    fn region(&mut self, id: RegionId) -> Result<(), LowerError> {
        let func = self.func;
        let region =
            func.regions.get(id.0 as usize).ok_or_else(|| malformed("no region", Span::default()))?;
        for v in &region.nodes {
            let node = func.nodes.get(v.0 as usize).ok_or_else(|| malformed("no node", Span::default()))?;
            let value = self.node(*v, node)?;
            self.values[v.0 as usize] = value;
        }
        Ok(())
    }

    fn node(&mut self, v: ValueId, node: &'f Node) -> Result<Value, LowerError> {
        let layout = match &node.kind {
            Kind::For(body) => return self.for_loop(node, *body),
            Kind::While(test, body) => return self.while_loop(node, *test, *body),
            Kind::If(yes, no) => return self.branch(node, *yes, *no),
            Kind::Lib(op) => return self.library(node, op),
            Kind::Proj(index) => self.proj(node, *index)?,
            Kind::Param(_) | Kind::RegionParam => self.layout(v, node.origin)?,
            Kind::Constant(literal) => {
                let ty = self.func.ty(v);
                let buffer = self.tables.buffer(Source::Constant(literal.clone()), ty, node.origin);
                Layout::contiguous(buffer, &ty.shape)
            }
            Kind::Size(dim) => self.size(v, dim, node.origin),
            Kind::Iota { axis } => self.iota(v, node, *axis)?,
            Kind::Map(op) => self.map(v, node, *op)?,
            Kind::Cast => self.cast(v, node)?,
            Kind::Bitcast => self.bitcast(v, node)?,
            Kind::Broadcast { .. } | Kind::Permute(_) | Kind::Reshape | Kind::Slice(_) => {
                self.view_of(v, node)?
            }
            Kind::Pad { low } => self.pad(v, node, low)?,
            Kind::Concat { axis } => self.concat(v, node, *axis)?,
            Kind::Gather { axis } => self.gather(v, node, *axis)?,
            Kind::GatherAlong { axis } => self.gather_along(v, node, *axis)?,
            Kind::ScatterAlong { axis, add } => self.scatter(v, node, *axis, *add)?,
            Kind::Update(axes) => self.update(v, node, axes)?,
            Kind::Reduce { op, axes } => self.reduce(v, node, *op, axes)?,
            Kind::Scan { op, axis } => self.scan(v, node, *op, *axis)?,
            Kind::Dot { batch, contract } => self.dot(v, node, batch, contract)?,
            Kind::Check { code, message } => self.check(node, *code, message)?,
        };
        Ok(Value::Tensor(layout))
    }

    /// The layout of an operand.
    fn arg(&self, node: &Node, index: usize) -> Result<Layout, LowerError> {
        let v = node.args.get(index).ok_or_else(|| malformed("an operand is missing", node.origin))?;
        self.layout(*v, node.origin)
    }

    fn arg_type(&self, node: &Node, index: usize) -> Result<&'f TensorType, LowerError> {
        let v = node.args.get(index).filter(|v| (v.0 as usize) < self.func.nodes.len());
        v.map(|v| self.func.ty(*v)).ok_or_else(|| malformed("an operand is missing", node.origin))
    }

    fn layout(&self, v: ValueId, origin: Span) -> Result<Layout, LowerError> {
        match self.values.get(v.0 as usize) {
            Some(Value::Tensor(layout)) if layout.strides.len() == self.func.ty(v).rank() => {
                Ok(layout.clone())
            }
            Some(Value::Tensor(_) | Value::Tuple(_) | Value::None) | None => {
                Err(malformed("an operand is no tensor, or comes later", origin))
            }
        }
    }

    fn proj(&mut self, node: &Node, index: usize) -> Result<Layout, LowerError> {
        let tuple = node.args.first().and_then(|v| self.values.get(v.0 as usize));
        match tuple {
            Some(Value::Tuple(members)) => members.get(index).cloned(),
            Some(Value::Tensor(_) | Value::None) | None => None,
        }
        .ok_or_else(|| malformed("no such member of a tuple", node.origin))
    }

    fn step(&mut self, step: Step) {
        if let Some(block) = self.open.last_mut() {
            block.items.push(Item { step, frees: Vec::new() });
        }
    }

    /// Ends the innermost open block.
    fn close(&mut self) -> BlockId {
        let block = self.open.pop().unwrap_or_default();
        self.tables.plan.blocks.push(block);
        BlockId(self.tables.plan.blocks.len() as u32 - 1)
    }

    /// A fresh contiguous buffer for a value of that type, allocated here.
    fn fresh(&mut self, ty: &TensorType, origin: Span) -> Layout {
        let buffer = self.own(ty, origin);
        self.step(Step::Alloc(buffer));
        Layout::contiguous(buffer, &ty.shape)
    }

    /// A buffer that some step will fill.
    fn own(&mut self, ty: &TensorType, origin: Span) -> BufferId {
        self.tables.buffer(Source::Own, ty, origin)
    }

    fn view(&mut self, layout: &Layout, ty: &TensorType) -> PlanView {
        PlanView {
            place: self.place(layout),
            dtype: ty.dtype,
            shape: self.tables.slots(&ty.shape),
            strides: self.tables.slots(&layout.strides),
        }
    }

    /// The value in memory that it fills alone and contiguously: a copy where it is not so already.
    fn whole(&mut self, layout: &Layout, ty: &TensorType, origin: Span) -> Result<Layout, LowerError> {
        if self.is_whole(layout, ty) { Ok(layout.clone()) } else { self.copied(layout, ty, origin) }
    }

    fn is_whole(&self, layout: &Layout, ty: &TensorType) -> bool {
        let decl = self.tables.plan.buffer(layout.buffer);
        let strided = match decl.source {
            Source::Param(i) => self.tables.plan.params[i as usize].stride_names.is_some(),
            Source::Constant(_) | Source::Own => false,
        };
        // Comparing bytes: a bitcast may have changed the dtype, and the buffer holds the old one's elements.
        let bytes = &ty.elements() * &Dim::from(ty.dtype.size());
        !strided
            && layout.is_at_start()
            && layout.is_contiguous(&ty.shape)
            && *self.tables.plan.dim(decl.bytes) == bytes
    }

    fn copied(&mut self, layout: &Layout, ty: &TensorType, origin: Span) -> Result<Layout, LowerError> {
        let out = self.fresh(ty, origin);
        self.copy(layout, &out, ty, origin)?;
        Ok(out)
    }

    fn results(&mut self) -> Result<(), LowerError> {
        for v in self.func.results() {
            if self.func.nodes.len() <= v.0 as usize {
                return Err(malformed("no such result", Span::default()));
            }
            let origin = self.func.node(*v).origin;
            let Type::Tensor(ty) = &self.func.node(*v).ty else {
                return Err(malformed("a tuple is no result", origin));
            };
            let layout = self.layout(*v, origin)?;
            let layout = self.whole(&layout, ty, origin)?;
            let shape = self.tables.slots(&ty.shape);
            self.tables.plan.results.push(PlanResult { buffer: layout.buffer, dtype: ty.dtype, shape });
        }
        Ok(())
    }
}
