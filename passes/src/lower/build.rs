//! From a node to the expression of its value, over those of its operands.

use super::expr::{ExprId, Term};
use super::{Lower, LowerError, malformed, storage};
use crate::layout::Layout;
use crate::plan::Source;
use matex_ir::loops::Combine;
use matex_ir::tensor::{Kind, Node, ReduceOp, ScanOp, TensorType, ValueId};
use matex_ir::{DType, Dim, Op, Scalar};

/// Whether the value of such a node is an expression; all others are the work of steps.
pub(super) fn is_expression(kind: &Kind) -> bool {
    match kind {
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
        | Kind::Proj(_) => true,
        Kind::Param(_)
        | Kind::RegionParam
        | Kind::Pad { .. }
        | Kind::Concat { .. }
        | Kind::ScatterAlong { .. }
        | Kind::Update(_)
        | Kind::Lib(_)
        | Kind::For(_)
        | Kind::While(..)
        | Kind::If(..) => false,
    }
}

impl Lower<'_> {
    /// The expression of a node whose operands have theirs.
    pub(super) fn build(&mut self, v: ValueId, node: &Node) -> Result<ExprId, LowerError> {
        let ty = self.func.ty(v);
        match &node.kind {
            Kind::Constant(literal) => match literal.as_scalar() {
                Some(s) => Ok(self.terms.add(Term::Const(s), ty.dtype)),
                None => {
                    let source = Source::Constant(literal.clone());
                    let buffer = self.tables.buffer(source, ty, node.origin);
                    self.fixed[v.0 as usize] = true;
                    Ok(self.terms.load(Layout::contiguous(buffer, &ty.shape), ty.dtype))
                }
            },
            Kind::Size(dim) => Ok(match dim.as_const() {
                Some(n) => self.terms.add(Term::Const(Scalar::from_i128(ty.dtype, n.into())), ty.dtype),
                None => self.terms.add(Term::Size(dim.clone()), ty.dtype),
            }),
            Kind::Iota { axis } => {
                let positions = self.terms.keep(Layout::counting(ty.rank(), *axis));
                let count = self.terms.add(Term::Count(positions), DType::I64);
                Ok(self.terms.cast(count, ty.dtype))
            }
            Kind::Map(op) => self.map(node, *op, ty),
            Kind::Cast => {
                let x = self.arg(node, 0)?;
                Ok(self.terms.cast(x, ty.dtype))
            }
            Kind::Bitcast => self.bitcast(node, ty.dtype),
            Kind::Broadcast { .. } | Kind::Permute(_) | Kind::Reshape | Kind::Slice(_) => {
                self.view_of(v, node)
            }
            Kind::Gather { axis } => self.gather(v, node, *axis),
            Kind::GatherAlong { axis } => self.gather_along(v, node, *axis),
            Kind::Reduce { op, axes } => self.reduce(v, node, *op, axes),
            Kind::Scan { op, axis } => self.scan(v, node, *op, *axis),
            Kind::Dot { batch, contract } => self.dot_expr(v, node, batch, contract),
            // The condition was looked at where the node stands.
            Kind::Check { .. } => self.arg(node, 0),
            Kind::Proj(index) => {
                let layout = self.proj(node, *index)?;
                Ok(self.terms.load(layout, ty.dtype))
            }
            Kind::Param(_)
            | Kind::RegionParam
            | Kind::Pad { .. }
            | Kind::Concat { .. }
            | Kind::ScatterAlong { .. }
            | Kind::Update(_)
            | Kind::Lib(_)
            | Kind::For(_)
            | Kind::While(..)
            | Kind::If(..) => Err(malformed("an operand is no tensor, or comes later", node.origin)),
        }
    }

    /// The storage formats f16 and bf16 are cast to f32 around arithmetic.
    fn map(&mut self, node: &Node, op: Op, ty: &TensorType) -> Result<ExprId, LowerError> {
        let args: Vec<ExprId> = (0..node.args.len()).map(|i| self.arg(node, i)).collect::<Result<_, _>>()?;
        let ranks = (0..node.args.len()).map(|i| self.arg_type(node, i).map(TensorType::rank));
        if ranks.collect::<Result<Vec<_>, _>>()?.iter().any(|r| *r != ty.rank()) {
            return Err(malformed("operands of an elementwise op differ in rank", node.origin));
        }
        let storage = |d: DType| d.compute() != d;
        if op == Op::Select || !args.iter().any(|a| storage(self.terms.dtype(*a))) {
            return Ok(self.terms.map(op, args));
        }
        if let (Op::Nextafter, [x, y]) = (op, args.as_slice()) {
            return Ok(storage::nextafter(&mut self.terms, *x, *y));
        }
        let wide = |a: &ExprId| {
            let dtype = self.terms.dtype(*a).compute();
            self.terms.cast(*a, dtype)
        };
        let wide = args.iter().map(wide).collect();
        let result = self.terms.map(op, wide);
        Ok(self.terms.cast(result, ty.dtype))
    }

    /// The same memory under another dtype. Only into `bool` is a conversion, since its bytes are 0 or 1.
    fn bitcast(&mut self, node: &Node, to: DType) -> Result<ExprId, LowerError> {
        let x = self.arg(node, 0)?;
        let from = self.terms.dtype(x);
        if from.size() != to.size() {
            return Err(malformed("a bitcast between widths", node.origin));
        }
        if from == to {
            return Ok(x);
        }
        if to != DType::Bool
            && let Some(layout) = self.terms.as_layout(x)
        {
            let layout = layout.clone();
            return Ok(self.terms.load(layout, to));
        }
        let convert = from == DType::Bool || to == DType::Bool;
        Ok(if convert { self.terms.cast(x, to) } else { self.terms.add(Term::Bitcast(x), to) })
    }

    fn reduce(
        &mut self,
        v: ValueId,
        node: &Node,
        op: ReduceOp,
        axes: &[usize],
    ) -> Result<ExprId, LowerError> {
        let (ty, from) = (self.func.ty(v), self.arg_type(node, 0)?);
        let ordered = axes.windows(2).all(|w| w[0] < w[1]);
        let (combine, indexed) = combine_of(op);
        let fits = axes.iter().all(|a| *a < from.rank()) && (!indexed || axes.len() == 1);
        if !ordered || !fits || ty.rank() + axes.len() != from.rank() {
            return Err(malformed("the axes of a reduction do not fit", node.origin));
        }
        // An axis of extent 1 has nothing to combine, and is only left out.
        let over: Vec<usize> = axes.iter().copied().filter(|a| indexed || !from.shape[*a].is(1)).collect();
        let kept: Vec<usize> = (0..from.rank()).filter(|a| !axes.contains(a)).collect();
        let x = self.arg(node, 0)?;
        let picked = |layout: &Layout| pick(layout, from.rank(), &kept, &over);
        let x = match self.terms.rewrite(x, &mut |layout, _| picked(layout)) {
            Some(x) => x,
            None => {
                let stored = self.stored_arg(node, 0)?;
                let picked = picked(&stored).ok_or_else(|| malformed("a reduction", node.origin))?;
                self.terms.load(picked, from.dtype)
            }
        };
        let over: Vec<Dim> = over.iter().map(|a| from.shape[*a].clone()).collect();
        let result = self.combination(x, kept.len(), over, (combine, indexed), v);
        Ok(self.terms.cast(result, ty.dtype))
    }

    /// The combination of `x` over its last axes, of which `rank` stay; without any it is the value itself.
    pub(super) fn combination(
        &mut self,
        x: ExprId,
        rank: usize,
        over: Vec<Dim>,
        (combine, indexed): (Combine, bool),
        node: ValueId,
    ) -> ExprId {
        let compute = self.terms.dtype(x).compute();
        let x = self.terms.cast(x, compute);
        if over.is_empty() {
            return x;
        }
        let mut values = vec![x];
        if indexed {
            let positions = self.terms.keep(Layout::counting(rank + over.len(), rank));
            values.push(self.terms.add(Term::Count(positions), DType::I64));
        }
        let component = values.len() - 1;
        let dtype = if indexed { DType::I64 } else { compute };
        self.terms.add(Term::Reduce { combine, values, over, component, node }, dtype)
    }

    fn scan(&mut self, v: ValueId, node: &Node, op: ScanOp, axis: usize) -> Result<ExprId, LowerError> {
        let ty = self.func.ty(v);
        if axis >= ty.rank() || self.arg_type(node, 0)?.rank() != ty.rank() {
            return Err(malformed("no such axis", node.origin));
        }
        let combine = match op {
            ScanOp::Sum => Combine::Sum,
            ScanOp::Prod => Combine::Prod,
            ScanOp::Max => Combine::Max,
            ScanOp::Min => Combine::Min,
        };
        let x = self.arg(node, 0)?;
        let value = self.terms.cast(x, ty.dtype.compute());
        let running = self.terms.add(Term::Scan { combine, value, axis, node: v }, ty.dtype.compute());
        Ok(self.terms.cast(running, ty.dtype))
    }

    /// One index is a position that the host works out; an array of them is read by the kernel.
    fn gather(&mut self, v: ValueId, node: &Node, axis: usize) -> Result<ExprId, LowerError> {
        let (x_ty, i_ty) = (self.arg_type(node, 0)?, self.arg_type(node, 1)?);
        if axis >= x_ty.rank() || !i_ty.dtype.is_int() {
            return Err(malformed("a gather along no axis or by no integers", node.origin));
        }
        if i_ty.rank() == 0 {
            let register = self.registers.get(&v).and_then(|r| r.first()).copied();
            let register = register.ok_or_else(|| malformed("an index without a register", node.origin))?;
            return self.at(node, axis, register);
        }
        let mut from = self.stored_arg(node, 0)?;
        let stride = from.strides[axis].clone();
        from.strides.splice(axis..=axis, vec![Dim::ZERO; i_ty.rank()]);
        let before = axis;
        let behind = x_ty.rank() - axis - 1;
        let spread = move |layout: &Layout| {
            let mut strides = vec![Dim::ZERO; before];
            strides.extend_from_slice(&layout.strides);
            strides.resize(layout.strides.len() + before + behind, Dim::ZERO);
            Layout { strides, ..layout.clone() }
        };
        let index = self.index(node)?;
        let by = match self.terms.rewrite(index, &mut |layout, _| Some(spread(layout))) {
            Some(by) => by,
            None => {
                let stored = self.stored_arg(node, 1)?;
                self.terms.load(spread(&stored), i_ty.dtype)
            }
        };
        self.read_at(node, from, (axis, x_ty.shape[axis].clone(), stride), by)
    }

    fn gather_along(&mut self, v: ValueId, node: &Node, axis: usize) -> Result<ExprId, LowerError> {
        let (x_ty, i_ty) = (self.arg_type(node, 0)?, self.arg_type(node, 1)?);
        if axis >= x_ty.rank() || i_ty.rank() != self.func.ty(v).rank() || !i_ty.dtype.is_int() {
            return Err(malformed("a gather along no axis or by no integers", node.origin));
        }
        let mut from = self.stored_arg(node, 0)?;
        let by = self.index(node)?;
        let stride = std::mem::replace(&mut from.strides[axis], Dim::ZERO);
        self.read_at(node, from, (axis, x_ty.shape[axis].clone(), stride), by)
    }

    /// The index of a gather. One that a reduction or a scan gives is put into memory, so that what is wrong with
    /// it can be found out at every element on its own.
    fn index(&mut self, node: &Node) -> Result<ExprId, LowerError> {
        let index = self.arg(node, 1)?;
        let simple = self.terms.closure(&[index]).iter().all(|t| self.terms.node(*t).is_none());
        if simple {
            return Ok(index);
        }
        let stored = self.stored_arg(node, 1)?;
        let dtype = self.arg_type(node, 1)?.dtype;
        Ok(self.terms.load(stored, dtype))
    }

    fn read_at(
        &mut self,
        node: &Node,
        from: Layout,
        (axis, extent, stride): (usize, Dim, Dim),
        by: ExprId,
    ) -> Result<ExprId, LowerError> {
        let dtype = self.arg_type(node, 0)?.dtype;
        let index = self.as_index(by);
        let from = self.terms.keep(from);
        let site = self.sites.len() as u32;
        self.sites.push((axis, node.origin));
        Ok(self.terms.add(Term::LoadAt { from, along: (extent, stride), index, site }, dtype))
    }

    /// An integer as an index. A u64 past the i64 range must not turn into one that counts from the end.
    fn as_index(&mut self, index: ExprId) -> ExprId {
        if self.terms.dtype(index) != DType::U64 {
            return self.terms.cast(index, DType::I64);
        }
        let most = Scalar::from_i128(DType::U64, i64::MAX.into());
        let most = self.terms.add(Term::Const(most), DType::U64);
        let held = self.terms.map(Op::Min, vec![index, most]);
        self.terms.cast(held, DType::I64)
    }
}

/// The axes of a layout of that rank in another order, without those that are not named.
pub(super) fn pick(layout: &Layout, rank: usize, kept: &[usize], then: &[usize]) -> Option<Layout> {
    // Behind the axes of the value are those of the reductions around it.
    let inner = rank..layout.strides.len();
    let axes = kept.iter().chain(then).copied().chain(inner);
    let strides = axes.map(|a| layout.strides.get(a).cloned()).collect::<Option<_>>()?;
    Some(Layout { strides, ..layout.clone() })
}

pub(super) fn combine_of(op: ReduceOp) -> (Combine, bool) {
    match op {
        ReduceOp::Sum => (Combine::Sum, false),
        ReduceOp::Prod => (Combine::Prod, false),
        ReduceOp::Max => (Combine::Max, false),
        ReduceOp::Min => (Combine::Min, false),
        ReduceOp::Any => (Combine::Any, false),
        ReduceOp::All => (Combine::All, false),
        ReduceOp::ArgMax => (Combine::ArgMax, true),
        ReduceOp::ArgMin => (Combine::ArgMin, true),
    }
}
