//! Builds a [`Func`] node by node.
//!
//! The builder computes result types but does not check operands: the front end has checked the program and reports
//! in the user's words, passes keep what was right, and the verifier holds both to it. It never panics: an operand
//! that does not fit gives a type that the verifier refuses.

use super::{
    Func, Guard, Kind, LibOp, Literal, Node, Param, ReduceOp, Region, RegionId, ScanOp, SliceAxis,
    TensorType, Type, UpdateAxis, ValueId,
};
use crate::dim::Dim;
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::span::{Code, Span};

/// A [`Func`] under construction, with the regions that are open.
#[derive(Clone, Debug)]
pub struct Builder {
    func: Func,
    open: Vec<RegionId>,
    origin: Span,
}

/// A state of a [`Builder`] to go back to.
#[derive(Clone, Debug)]
pub struct Mark {
    nodes: usize,
    regions: usize,
    guards: usize,
    open: Vec<(RegionId, usize)>,
}

impl Mark {
    /// How many nodes and regions there were.
    pub fn sizes(&self) -> (u32, u32) {
        (self.nodes as u32, self.regions as u32)
    }
}

impl Builder {
    /// An empty function with these parameters.
    pub fn new(name: &str, params: Vec<Param>) -> Builder {
        let mut b = Builder {
            func: Func { name: name.to_owned(), regions: vec![Region::default()], ..Func::default() },
            open: vec![Func::BODY],
            origin: Span::default(),
        };
        for (i, p) in params.iter().enumerate() {
            let v = b.node_outside_regions(Kind::Param(i as u32), Type::Tensor(p.ty.clone()));
            b.func.regions[0].params.push(v);
        }
        b.func.params = params;
        b
    }

    /// The function so far.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// All nodes made so far, for a change of the sizes in them.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.func.nodes
    }

    /// The type of a value that is one tensor.
    pub fn ty(&self, v: ValueId) -> &TensorType {
        self.func.ty(v)
    }

    /// The source place that nodes made from now on come from; gives back the one before.
    pub fn set_origin(&mut self, origin: Span) -> Span {
        std::mem::replace(&mut self.origin, origin)
    }

    /// Ends the function with its results.
    pub fn finish(mut self, results: Vec<ValueId>, names: Vec<Option<String>>) -> Func {
        self.func.regions[0].results = results;
        self.func.result_names = names;
        self.func
    }

    /// The present state.
    pub fn mark(&self) -> Mark {
        Mark {
            nodes: self.func.nodes.len(),
            regions: self.func.regions.len(),
            guards: self.func.guards.len(),
            open: self.open.iter().map(|r| (*r, self.func.region(*r).nodes.len())).collect(),
        }
    }

    /// Forgets everything made since the mark.
    pub fn reset(&mut self, mark: &Mark) {
        self.func.nodes.truncate(mark.nodes);
        self.func.regions.truncate(mark.regions);
        self.func.guards.truncate(mark.guards);
        self.open.clear();
        for (region, len) in &mark.open {
            self.open.push(*region);
            self.func.regions[region.0 as usize].nodes.truncate(*len);
        }
    }

    /// Goes back to a state, but keeps the guards made since; gives the nodes and regions made since.
    pub fn take_back(&mut self, mark: &Mark) -> (Vec<Node>, Vec<Region>) {
        let guards = std::mem::take(&mut self.func.guards);
        let nodes = self.func.nodes.split_off(mark.nodes.min(self.func.nodes.len()));
        let regions = self.func.regions.split_off(mark.regions.min(self.func.regions.len()));
        self.reset(mark);
        self.func.guards = guards;
        (nodes, regions)
    }

    fn node_outside_regions(&mut self, kind: Kind, ty: Type) -> ValueId {
        let id = ValueId(self.func.nodes.len() as u32);
        self.func.nodes.push(Node { kind, args: Vec::new(), ty, origin: self.origin });
        id
    }

    /// Adds a node of any kind, with its type given.
    pub fn push(&mut self, kind: Kind, args: Vec<ValueId>, ty: Type) -> ValueId {
        let id = ValueId(self.func.nodes.len() as u32);
        self.func.nodes.push(Node { kind, args, ty, origin: self.origin });
        if let Some(region) = self.open.last() {
            self.func.regions[region.0 as usize].nodes.push(id);
        }
        id
    }

    fn tensor(&mut self, kind: Kind, args: Vec<ValueId>, dtype: DType, shape: Vec<Dim>) -> ValueId {
        self.push(kind, args, Type::Tensor(TensorType { dtype, shape }))
    }

    /// Adds a guard unless it already stands.
    pub fn guard(&mut self, guard: Guard) {
        let known = |g: &Guard| (g.kind, &g.left, &g.right) == (guard.kind, &guard.left, &guard.right);
        if !self.func.guards.iter().any(known) {
            self.func.guards.push(guard);
        }
    }

    /// A constant tensor.
    pub fn constant(&mut self, literal: Literal) -> ValueId {
        let shape = literal.shape().iter().map(|n| Dim::from(*n)).collect();
        let dtype = literal.dtype();
        self.tensor(Kind::Constant(literal), Vec::new(), dtype, shape)
    }

    /// A constant scalar.
    pub fn scalar(&mut self, s: Scalar) -> ValueId {
        self.constant(Literal::scalar(s))
    }

    /// A size as an i64 scalar.
    pub fn size(&mut self, dim: Dim) -> ValueId {
        self.tensor(Kind::Size(dim), Vec::new(), DType::I64, Vec::new())
    }

    /// The index along an axis of a shape.
    pub fn iota(&mut self, shape: Vec<Dim>, axis: usize) -> ValueId {
        self.tensor(Kind::Iota { axis }, Vec::new(), DType::I64, shape)
    }

    /// An elementwise op on operands of equal shapes.
    pub fn map(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        let dtypes: Vec<DType> = args.iter().map(|a| self.ty(*a).dtype).collect();
        let dtype = op.result_dtype(&dtypes).unwrap_or(DType::Bool);
        let shape = args.first().map(|a| self.ty(*a).shape.clone()).unwrap_or_default();
        self.tensor(Kind::Map(op), args.to_vec(), dtype, shape)
    }

    /// A conversion; none when the dtype is already that one, and constants convert at once.
    pub fn cast(&mut self, x: ValueId, dtype: DType) -> ValueId {
        if self.ty(x).dtype == dtype {
            return x;
        }
        if let Kind::Constant(literal) = &self.func.node(x).kind {
            let literal = literal.cast(dtype);
            return self.constant(literal);
        }
        let shape = self.ty(x).shape.clone();
        self.tensor(Kind::Cast, vec![x], dtype, shape)
    }

    /// The same bits as another dtype of equal width.
    pub fn bitcast(&mut self, x: ValueId, dtype: DType) -> ValueId {
        let shape = self.ty(x).shape.clone();
        self.tensor(Kind::Bitcast, vec![x], dtype, shape)
    }

    /// Repeats along new axes and along axes of extent 1; nothing when the shape is already that one.
    pub fn broadcast(&mut self, x: ValueId, shape: Vec<Dim>, axes: Vec<usize>) -> ValueId {
        if self.ty(x).shape == shape {
            return x;
        }
        let dtype = self.ty(x).dtype;
        self.tensor(Kind::Broadcast { axes }, vec![x], dtype, shape)
    }

    /// Reorders axes.
    pub fn permute(&mut self, x: ValueId, perm: Vec<usize>) -> ValueId {
        if perm.iter().enumerate().all(|(i, p)| i == *p) {
            return x;
        }
        let ty = self.ty(x);
        let shape = perm.iter().map(|p| ty.shape.get(*p).cloned().unwrap_or(Dim::ZERO)).collect();
        let dtype = ty.dtype;
        self.tensor(Kind::Permute(perm), vec![x], dtype, shape)
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, x: ValueId, shape: Vec<Dim>) -> ValueId {
        if self.ty(x).shape == shape {
            return x;
        }
        let dtype = self.ty(x).dtype;
        self.tensor(Kind::Reshape, vec![x], dtype, shape)
    }

    /// A regular part; `lens` are the extents of the result.
    pub fn slice(&mut self, x: ValueId, axes: Vec<SliceAxis>, lens: Vec<Dim>) -> ValueId {
        let whole = axes.iter().all(|a| a.start == Dim::ZERO && a.step == 1) && lens == self.ty(x).shape;
        if whole {
            return x;
        }
        let dtype = self.ty(x).dtype;
        self.tensor(Kind::Slice(axes), vec![x], dtype, lens)
    }

    /// Surrounds with a rank-0 value, to a shape.
    pub fn pad(&mut self, x: ValueId, value: ValueId, low: Vec<Dim>, shape: Vec<Dim>) -> ValueId {
        let dtype = self.ty(x).dtype;
        self.tensor(Kind::Pad { low }, vec![x, value], dtype, shape)
    }

    /// Operands one behind the other.
    pub fn concat(&mut self, xs: &[ValueId], axis: usize) -> ValueId {
        let (dtype, mut shape) =
            xs.first().map_or((DType::Bool, Vec::new()), |x| (self.ty(*x).dtype, self.ty(*x).shape.clone()));
        let total = xs.iter().filter_map(|x| self.ty(*x).shape.get(axis)).fold(Dim::ZERO, |a, b| &a + b);
        if let Some(d) = shape.get_mut(axis) {
            *d = total;
        }
        self.tensor(Kind::Concat { axis }, xs.to_vec(), dtype, shape)
    }

    /// Elements picked along an axis.
    pub fn gather(&mut self, x: ValueId, index: ValueId, axis: usize) -> ValueId {
        let (x_ty, i_ty) = (self.ty(x), self.ty(index));
        let cut = axis.min(x_ty.rank());
        let mut shape = x_ty.shape[..cut].to_vec();
        shape.extend(i_ty.shape.iter().cloned());
        shape.extend(x_ty.shape.iter().skip(cut + 1).cloned());
        let dtype = x_ty.dtype;
        self.tensor(Kind::Gather { axis }, vec![x, index], dtype, shape)
    }

    /// Elements picked along an axis, an index for each.
    pub fn gather_along(&mut self, x: ValueId, index: ValueId, axis: usize) -> ValueId {
        let dtype = self.ty(x).dtype;
        let shape = self.ty(index).shape.clone();
        self.tensor(Kind::GatherAlong { axis }, vec![x, index], dtype, shape)
    }

    /// Elements replaced or increased along an axis.
    pub fn scatter_along(
        &mut self,
        x: ValueId,
        index: ValueId,
        src: ValueId,
        axis: usize,
        add: bool,
    ) -> ValueId {
        let ty = self.ty(x).clone();
        self.tensor(Kind::ScatterAlong { axis, add }, vec![x, index, src], ty.dtype, ty.shape)
    }

    /// A regular part replaced; `indices` are the operands of the [`UpdateAxis::Index`] axes, in order.
    pub fn update(
        &mut self,
        x: ValueId,
        value: ValueId,
        indices: &[ValueId],
        axes: Vec<UpdateAxis>,
    ) -> ValueId {
        let ty = self.ty(x).clone();
        let mut args = vec![x, value];
        args.extend_from_slice(indices);
        self.tensor(Kind::Update(axes), args, ty.dtype, ty.shape)
    }

    /// A reduction over axes, given in increasing order; nothing when there are none.
    pub fn reduce(&mut self, op: ReduceOp, x: ValueId, axes: Vec<usize>) -> ValueId {
        let ty = self.ty(x);
        let indices = matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        if axes.is_empty() && !indices {
            return x;
        }
        let kept = ty.shape.iter().enumerate().filter(|(i, _)| !axes.contains(i));
        let shape = kept.map(|(_, d)| d.clone()).collect();
        let dtype = if indices { DType::I64 } else { ty.dtype };
        self.tensor(Kind::Reduce { op, axes }, vec![x], dtype, shape)
    }

    /// An inclusive scan.
    pub fn scan(&mut self, op: ScanOp, x: ValueId, axis: usize) -> ValueId {
        let ty = self.ty(x).clone();
        self.tensor(Kind::Scan { op, axis }, vec![x], ty.dtype, ty.shape)
    }

    /// A sum of products.
    pub fn dot(
        &mut self,
        a: ValueId,
        b: ValueId,
        batch: Vec<(usize, usize)>,
        contract: Vec<(usize, usize)>,
    ) -> ValueId {
        self.masked_dot([a, b], [None, None], batch, contract)
    }

    /// A sum of products that leaves out what the masks of the two factors do; a factor without a mask has all.
    pub fn masked_dot(
        &mut self,
        [a, b]: [ValueId; 2],
        masks: [Option<ValueId>; 2],
        batch: Vec<(usize, usize)>,
        contract: Vec<(usize, usize)>,
    ) -> ValueId {
        let (ta, tb) = (self.ty(a), self.ty(b));
        let bound = |left: bool, axis: usize| {
            batch.iter().chain(&contract).any(|(l, r)| if left { *l == axis } else { *r == axis })
        };
        let mut shape: Vec<Dim> = batch.iter().filter_map(|(l, _)| ta.shape.get(*l).cloned()).collect();
        shape.extend(ta.shape.iter().enumerate().filter(|(i, _)| !bound(true, *i)).map(|(_, d)| d.clone()));
        shape.extend(tb.shape.iter().enumerate().filter(|(i, _)| !bound(false, *i)).map(|(_, d)| d.clone()));
        let dtype = ta.dtype;
        let mut args = vec![a, b];
        if masks.iter().any(Option::is_some) {
            for (x, mask) in [a, b].into_iter().zip(masks) {
                let shape = self.ty(x).shape.clone();
                args.push(mask.unwrap_or_else(|| {
                    let all = self.scalar(Scalar::from_bits(DType::Bool, 1));
                    self.broadcast(all, shape, Vec::new())
                }));
            }
        }
        self.tensor(Kind::Dot { batch, contract }, args, dtype, shape)
    }

    /// A library routine with one result.
    pub fn lib(&mut self, op: LibOp, args: &[ValueId], ty: TensorType) -> ValueId {
        self.push(Kind::Lib(op), args.to_vec(), Type::Tensor(ty))
    }

    /// A factorization, or a triangular solver, with the types that [`LibOp::factors`] has for it; a tuple when it
    /// gives several.
    pub fn factor(&mut self, op: LibOp, args: &[ValueId]) -> ValueId {
        let types: Vec<&TensorType> = args.iter().map(|v| self.ty(*v)).collect();
        let mut types = op.factors(&types).unwrap_or_default();
        let ty = match types.pop() {
            Some(only) if types.is_empty() && !op.gives_tuple() => Type::Tensor(only),
            last => Type::Tuple(types.into_iter().chain(last).collect()),
        };
        self.push(Kind::Lib(op), args.to_vec(), ty)
    }

    /// `value` under the condition that a rank-0 bool holds when the program runs.
    pub fn check(&mut self, value: ValueId, condition: ValueId, code: Code, message: String) -> ValueId {
        let ty = self.ty(value).clone();
        self.push(Kind::Check { code, message }, vec![value, condition], Type::Tensor(ty))
    }

    /// A member of a tuple.
    pub fn proj(&mut self, tuple: ValueId, index: usize) -> ValueId {
        let ty = match &self.func.node(tuple).ty {
            Type::Tuple(ts) => ts.get(index).cloned(),
            Type::Tensor(_) => None,
        };
        let ty = ty.unwrap_or_else(|| TensorType::scalar(DType::Bool));
        self.push(Kind::Proj(index), vec![tuple], Type::Tensor(ty))
    }

    /// Opens a region with parameters of these types: nodes made from now on are in it.
    pub fn begin_region(&mut self, params: &[TensorType]) -> (RegionId, Vec<ValueId>) {
        let id = RegionId(self.func.regions.len() as u32);
        let make = |ty: &TensorType| self.node_outside_regions(Kind::RegionParam, Type::Tensor(ty.clone()));
        let params: Vec<ValueId> = params.iter().map(make).collect();
        self.func.regions.push(Region { params: params.clone(), ..Region::default() });
        self.open.push(id);
        (id, params)
    }

    /// Closes the innermost open region with its results.
    pub fn end_region(&mut self, results: Vec<ValueId>) {
        // The body itself stays open until `finish`.
        if self.open.len() > 1
            && let Some(region) = self.open.pop()
        {
            self.func.regions[region.0 as usize].results = results;
        }
    }

    /// Opens a closed region again, to add nodes at its end; [`Builder::end_region`] gives it new results.
    pub fn reopen(&mut self, region: RegionId) {
        if (region.0 as usize) < self.func.regions.len() {
            self.open.push(region);
        }
    }

    /// A control-flow node over closed regions; its value is the tuple of what the last of them gives.
    pub fn control(&mut self, kind: Kind, args: Vec<ValueId>) -> ValueId {
        let results = match kind.regions().last() {
            Some(r) => self.func.region(*r).results.clone(),
            None => Vec::new(),
        };
        let ty = Type::Tuple(results.iter().map(|r| self.ty(*r).clone()).collect());
        self.push(kind, args, ty)
    }
}
