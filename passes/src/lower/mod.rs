//! Tensor IR to plan.
//!
//! Which values are put into memory is decided before ([`crate::fuse`]). Those fill a contiguous buffer of their own, by a
//! kernel, a routine or a copy; all others are expressions (`expr`) inside the kernels of the values that need them.
//! What turns out to be no kernel (`draft`) makes lowering put more into memory, so that each choice has a plan.
//!
//! Views cost nothing: they are other layouts ([`crate::layout`]) of the same memory.

mod body;
mod build;
mod control;
mod dot;
mod draft;
mod expr;
mod nest;
mod parts;
mod reduce;
mod routines;
mod storage;
mod stored;
mod update;
mod views;

pub(crate) use dot::is_product;

use crate::fuse::{self, Fusion};
use crate::layout::Layout;
use crate::options::Options;
use crate::plan::{
    Block, BlockId, BufferId, Item, Plan, PlanParam, PlanResult, PlanView, Register, Source, Step, Tables,
    live,
};
use expr::{ExprId, Terms};
use matex_ir::loops::expand::expand_with_sources;
use matex_ir::tensor::{Func, Kind, Node, Param, RegionId, TensorType, Type, ValueId};
use matex_ir::{DType, Dim, Scalar, Span};
use std::collections::HashMap;
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
pub fn lower(func: &Func, classes: &[LayoutClass], options: &Options) -> Result<Plan, LowerError> {
    let mut plan = chosen(func, classes, options, |fusion| fusion)?;
    expand_functions(&mut plan);
    Ok(plan)
}

/// [`lower`] for a target that has elementary functions or expands them itself, and that computes products of matrices by kernels
/// of its own: functions are as they are written, and what computes operands of products element by element runs with them.
///
/// # Errors
/// As for [`lower`].
pub fn lower_unexpanded(func: &Func, classes: &[LayoutClass], options: &Options) -> Result<Plan, LowerError> {
    chosen(func, classes, options, |fusion| fusion.for_own_products(func))
}

fn chosen(
    func: &Func,
    classes: &[LayoutClass],
    options: &Options,
    change: impl FnOnce(Fusion) -> Fusion,
) -> Result<Plan, LowerError> {
    let _span = tracing::debug_span!("lower").entered();
    let fusion =
        if options.fuse { fuse::choose(func, &options.sizes, options.costs) } else { fuse::nothing(func) };
    Ok(Plan { costs: options.costs, ..lowered(func, classes, &change(fusion))? })
}

/// [`lower`] for a choice of the values that are put into memory.
///
/// # Errors
/// As for [`lower`].
pub fn lower_with(func: &Func, classes: &[LayoutClass], fusion: &Fusion) -> Result<Plan, LowerError> {
    let mut plan = lowered(func, classes, fusion)?;
    expand_functions(&mut plan);
    Ok(plan)
}

/// Last of all: nothing that knows algebra may see what an expansion is made of.
fn expand_functions(plan: &mut Plan) {
    for kernel in &mut plan.kernels {
        let (expanded, sources) = expand_with_sources(kernel);
        *kernel = Arc::new(expanded);
        plan.sources.push(sources);
    }
}

/// The plan, with elementary functions as they are written.
fn lowered(func: &Func, classes: &[LayoutClass], fusion: &Fusion) -> Result<Plan, LowerError> {
    let mut lower = Lower {
        func,
        fusion,
        tables: Tables::default(),
        terms: Terms::default(),
        values: vec![Value::None; func.nodes.len()],
        fixed: vec![false; func.nodes.len()],
        registers: HashMap::new(),
        scalars: HashMap::new(),
        sites: Vec::new(),
        open: Vec::new(),
        depth: 0,
    };
    lower.tables.plan.name = func.name.clone();
    for (i, param) in func.params.iter().enumerate() {
        let class = classes.get(i).copied().unwrap_or(LayoutClass::Contiguous);
        lower.param(i, param, class)?;
    }
    lower.open.push(OpenBlock::default());
    lower.region(Func::BODY)?;
    lower.results()?;
    let body = lower.close();
    if fusion.joins {
        lower.tables.join_products();
    }
    if fusion.brings {
        lower.tables.bring_operands();
    }
    let mut plan = lower.tables.plan;
    plan.body = body;
    live::assign(&mut plan);
    plan.reuse_memory();
    plan.share_memory();
    plan.apart.extend(fusion.apart(func));
    Ok(plan)
}

/// What is known of a value that was lowered.
#[derive(Clone, Debug)]
enum Value {
    /// Not lowered yet.
    None,
    /// How it is computed; in memory when that is a term that reads memory and nothing else.
    Expr(ExprId),
    /// Several, in memory.
    Tuple(Vec<Layout>),
}

/// A block that is being filled.
#[derive(Default)]
struct OpenBlock {
    block: Block,
    /// The sizes that were put into memory in it.
    sizes: HashMap<(Dim, DType), Layout>,
    /// The indices that were read in it, and the extents that they are below.
    registers: HashMap<(ValueId, Dim), Register>,
}

/// The plan under construction.
struct Lower<'f> {
    func: &'f Func,
    fusion: &'f Fusion,
    tables: Tables,
    terms: Terms,
    values: Vec<Value>,
    /// Whether a value is in memory, or the work of a step, so that it stays as it is.
    fixed: Vec<bool>,
    /// Where the indices of a node are that the host reads.
    registers: HashMap<ValueId, Vec<Register>>,
    /// The rank-0 constants that are in memory.
    scalars: HashMap<Scalar, Layout>,
    /// The gathers: the axis that is indexed and the place in the source.
    sites: Vec<(usize, Span)>,
    /// Blocks that are being filled, innermost last.
    open: Vec<OpenBlock>,
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
        if index >= self.values.len() {
            return Err(malformed("no value", Span::default()));
        }
        self.given(ValueId(index as u32), layout, param.ty.dtype);
        Ok(())
    }

    /// A value that is in memory from the start.
    fn given(&mut self, v: ValueId, layout: Layout, dtype: DType) {
        let load = self.terms.load(layout, dtype);
        self.values[v.0 as usize] = Value::Expr(load);
        self.fixed[v.0 as usize] = true;
    }

    /// Lowers the nodes of a region into the open block.
    fn region(&mut self, id: RegionId) -> Result<(), LowerError> {
        let func = self.func;
        let region =
            func.regions.get(id.0 as usize).ok_or_else(|| malformed("no region", Span::default()))?;
        for v in &region.nodes {
            let node = func.nodes.get(v.0 as usize).ok_or_else(|| malformed("no node", Span::default()))?;
            self.node(*v, node)?;
        }
        Ok(())
    }

    fn node(&mut self, v: ValueId, node: &'f Node) -> Result<(), LowerError> {
        self.terms.at(node.origin);
        if build::is_expression(&node.kind) {
            self.before(v, node)?;
            let value = self.expr(v)?;
            // A value for the regions inside is put into memory here, and not in each round of a loop.
            let plain = self.terms.is_plain(value);
            let fusion = self.fusion;
            match fusion.group(v) {
                Some(group) if group.last() == Some(&v) => self.stored_together(group)?,
                Some(_) => {}
                None if fusion.is_stored(v) || (fusion.is_captured(v) && !plain) => {
                    self.stored(v)?;
                }
                None => {}
            }
            return Ok(());
        }
        let value = match &node.kind {
            Kind::Param(_) | Kind::RegionParam => return Ok(()),
            Kind::For(body) => self.for_loop(node, *body)?,
            Kind::While(test, body) => self.while_loop(node, *test, *body)?,
            Kind::If(yes, no) => self.branch(node, *yes, *no)?,
            Kind::Lib(op) => self.library(node, op)?,
            Kind::Pad { low } => Value::Tuple(vec![self.pad(v, node, low)?]),
            Kind::Concat { axis } => Value::Tuple(vec![self.concat(v, node, *axis)?]),
            Kind::ScatterAlong { axis, add } => Value::Tuple(vec![self.scatter(v, node, *axis, *add)?]),
            Kind::Update(axes) => Value::Tuple(vec![self.update(v, node, axes)?]),
            Kind::Constant(_)
            | Kind::Size(_)
            | Kind::Iota { .. }
            | Kind::Map(_)
            | Kind::Cast
            | Kind::Bitcast
            | Kind::Broadcast { .. }
            | Kind::Permute(_)
            | Kind::Reshape
            | Kind::Slice(_)
            | Kind::Gather { .. }
            | Kind::GatherAlong { .. }
            | Kind::Reduce { .. }
            | Kind::Scan { .. }
            | Kind::Dot { .. }
            | Kind::Check { .. }
            | Kind::Proj(_) => return Ok(()),
        };
        if let (Value::Tuple(members), Type::Tensor(ty)) = (&value, &node.ty) {
            let only = members
                .first()
                .cloned()
                .ok_or_else(|| malformed("a routine without a result", node.origin))?;
            self.given(v, only, ty.dtype);
        } else {
            self.values[v.0 as usize] = value;
            self.fixed[v.0 as usize] = true;
        }
        Ok(())
    }

    /// What the host does where the node of an expression stands, whoever computes the expression.
    fn before(&mut self, v: ValueId, node: &'f Node) -> Result<(), LowerError> {
        if let Kind::Check { code, message } = &node.kind {
            let ty = self.arg_type(node, 1)?;
            if ty.rank() != 0 || ty.dtype != DType::Bool {
                return Err(malformed("a condition is no rank-0 bool", node.origin));
            }
            let condition = self.stored_arg(node, 1)?;
            let condition = self.view(&condition, ty);
            self.step(Step::Check { condition, code: *code, message: message.clone(), origin: node.origin });
        } else if let Kind::Gather { axis } = &node.kind
            && self.arg_type(node, 1)?.rank() == 0
        {
            let extent = self.arg_type(node, 0)?.shape.get(*axis).cloned();
            let extent = extent.ok_or_else(|| malformed("no such axis", node.origin))?;
            let register = self.index_register(node, 1, (*axis, &extent))?;
            self.registers.insert(v, vec![register]);
        }
        Ok(())
    }

    /// The expression of a value.
    fn expr(&mut self, v: ValueId) -> Result<ExprId, LowerError> {
        // Values that were forgotten are built again, operands first; a cycle would be a malformed function.
        let (mut open, mut entered) = (vec![v], HashMap::new());
        while let Some(&top) = open.last() {
            let index = top.0 as usize;
            let node = self.func.nodes.get(index).ok_or_else(|| malformed("no node", Span::default()))?;
            match self.values.get(index) {
                Some(Value::Expr(_)) => {
                    open.pop();
                    continue;
                }
                Some(Value::None) if build::is_expression(&node.kind) => {}
                Some(Value::None | Value::Tuple(_)) | None => {
                    return Err(malformed("an operand is no tensor, or comes later", node.origin));
                }
            }
            let tuple = matches!(node.kind, Kind::Proj(_));
            let missing = |a: &&ValueId| matches!(self.values.get(a.0 as usize), Some(Value::None) | None);
            match node.args.iter().find(missing).filter(|_| !tuple) {
                Some(arg) => {
                    if entered.insert(*arg, ()).is_some() {
                        return Err(malformed("an operand is no tensor, or comes later", node.origin));
                    }
                    open.push(*arg);
                }
                None => {
                    let value = self.build(top, node)?;
                    self.values[index] = Value::Expr(value);
                    open.pop();
                }
            }
        }
        match self.values.get(v.0 as usize) {
            Some(Value::Expr(value)) => Ok(*value),
            Some(Value::None | Value::Tuple(_)) | None => Err(malformed("no value", Span::default())),
        }
    }

    /// Forgets all expressions, which then are built again over what has been put into memory since.
    fn forget(&mut self) {
        for (value, fixed) in self.values.iter_mut().zip(&self.fixed) {
            if !fixed {
                *value = Value::None;
            }
        }
    }

    /// The expression of an operand.
    fn arg(&mut self, node: &Node, index: usize) -> Result<ExprId, LowerError> {
        self.arg_type(node, index)?;
        self.expr(node.args[index])
    }

    fn arg_type(&self, node: &Node, index: usize) -> Result<&'f TensorType, LowerError> {
        let v = node.args.get(index).filter(|v| (v.0 as usize) < self.func.nodes.len());
        v.map(|v| self.func.ty(*v)).ok_or_else(|| malformed("an operand is missing", node.origin))
    }

    fn proj(&mut self, node: &Node, index: usize) -> Result<Layout, LowerError> {
        let tuple = node.args.first().and_then(|v| self.values.get(v.0 as usize));
        match tuple {
            Some(Value::Tuple(members)) => members.get(index).cloned(),
            Some(Value::Expr(_) | Value::None) | None => None,
        }
        .ok_or_else(|| malformed("no such member of a tuple", node.origin))
    }

    fn step(&mut self, step: Step) {
        if let Some(open) = self.open.last_mut() {
            open.block.items.push(Item { step, frees: Vec::new() });
        }
    }

    /// Ends the innermost open block.
    fn close(&mut self) -> BlockId {
        let open = self.open.pop().unwrap_or_default();
        self.tables.plan.blocks.push(open.block);
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

    fn results(&mut self) -> Result<(), LowerError> {
        for v in self.func.results() {
            if self.func.nodes.len() <= v.0 as usize {
                return Err(malformed("no such result", Span::default()));
            }
            let Type::Tensor(ty) = &self.func.node(*v).ty else {
                return Err(malformed("a tuple is no result", self.func.node(*v).origin));
            };
            let layout = self.whole(*v)?;
            let shape = self.tables.slots(&ty.shape);
            self.tables.plan.results.push(PlanResult { buffer: layout.buffer, dtype: ty.dtype, shape });
        }
        Ok(())
    }
}
