//! The type rule of every node that gives one tensor.

use super::Verifier;
use crate::dim::Dim;
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::{Kind, LibOp, Node, ReduceOp, ScanOp, SliceAxis, TensorType, Type, UpdateAxis};

/// How many operands a kind takes, of which so many are given; `None` for any number.
fn arity(kind: &Kind, given: usize) -> Option<usize> {
    match kind {
        Kind::Param(_) | Kind::RegionParam | Kind::Constant(_) | Kind::Size(_) | Kind::Iota { .. } => Some(0),
        Kind::Map(op) => Some(op.arity()),
        Kind::Cast
        | Kind::Bitcast
        | Kind::Broadcast { .. }
        | Kind::Permute(_)
        | Kind::Reshape
        | Kind::Slice(_)
        | Kind::Reduce { .. }
        | Kind::Scan { .. }
        | Kind::Proj(_)
        | Kind::Lib(
            LibOp::Sort { .. }
            | LibOp::Argsort { .. }
            | LibOp::Lu
            | LibOp::PivotsDefinite
            | LibOp::Cholesky
            | LibOp::Qr
            | LibOp::Svd { .. }
            | LibOp::Svdvals
            | LibOp::Eigh
            | LibOp::Eigvalsh,
        ) => Some(1),
        Kind::Pad { .. }
        | Kind::Gather { .. }
        | Kind::GatherAlong { .. }
        | Kind::Check { .. }
        | Kind::Lib(
            LibOp::SearchSorted { .. } | LibOp::Solve | LibOp::SolveDefinite | LibOp::SolveTriangular { .. },
        ) => Some(2),
        // With masks for both factors or for none.
        Kind::Dot { .. } => Some(if given > 2 { 4 } else { 2 }),
        Kind::ScatterAlong { .. } | Kind::Lib(LibOp::Lstsq) => Some(3),
        Kind::Update(axes) => Some(2 + axes.iter().filter(|a| **a == UpdateAxis::Index).count()),
        Kind::Concat { .. } | Kind::For(_) | Kind::While(..) | Kind::If(..) => None,
    }
}

impl Verifier<'_> {
    pub(super) fn tensor_node(&mut self, node: &Node) {
        let Type::Tensor(ty) = &node.ty else { return };
        let Some(args) = self.operands(node) else { return };
        if let Some(n) = arity(&node.kind, args.len()) {
            let message = format!("takes {n} operands, but has {}", args.len());
            if !self.ensure(args.len() == n, message) {
                return;
            }
        }
        match (&node.kind, args.as_slice()) {
            (Kind::Constant(literal), _) => {
                let shape = literal.shape().iter().map(|n| Dim::from(*n)).collect();
                self.expect(node, "const", &TensorType::new(literal.dtype(), shape));
            }
            (Kind::Size(dim), _) => {
                self.dim(dim);
                self.expect(node, "size", &TensorType::scalar(DType::I64));
            }
            (Kind::Iota { axis }, _) => {
                self.axis(*axis, ty.rank());
                self.expect(node, "iota", &TensorType::new(DType::I64, ty.shape.clone()));
            }
            (Kind::Map(op), args) => self.map(node, *op, args),
            (Kind::Cast, [x]) => self.expect(node, "cast", &TensorType::new(ty.dtype, x.shape.clone())),
            (Kind::Bitcast, [x]) => {
                let fits = ty.dtype.bits() == x.dtype.bits();
                self.ensure(
                    fits,
                    format!("bitcasts {} to {}, which are of different widths", x.dtype, ty.dtype),
                );
                // A byte that is neither 0 nor 1 is no truth value.
                self.ensure(ty.dtype != DType::Bool, "bitcasts to bool");
                self.expect(node, "bitcast", &TensorType::new(ty.dtype, x.shape.clone()));
            }
            (Kind::Reduce { op, axes }, [x]) => self.reduce(node, *op, axes, x),
            (Kind::Scan { op, axis }, [x]) => self.scan(node, *op, *axis, x),
            (Kind::Dot { batch, contract }, [a, b, masks @ ..]) => {
                for (x, mask) in [a, b].into_iter().zip(masks) {
                    let fits = self.same_type(mask, &TensorType::new(DType::Bool, x.shape.clone()));
                    self.ensure(fits, format!("masks {x} with {mask}"));
                }
                self.dot(node, [a, b], batch, contract);
            }
            (Kind::Lib(op), args) => self.lib(node, op, args),
            (Kind::Check { .. }, [x, condition]) => {
                self.scalar_operand("the condition", condition, DType::Bool);
                self.expect(node, "check", x);
            }
            (_, args) => self.moving_node(node, ty, args),
        }
    }

    /// Nodes that move elements and compute nothing.
    fn moving_node(&mut self, node: &Node, ty: &TensorType, args: &[&TensorType]) {
        match (&node.kind, args) {
            (Kind::Broadcast { axes }, [x]) => self.broadcast(node, axes, x, ty),
            (Kind::Permute(perm), [x]) => {
                let mut sorted = perm.clone();
                sorted.sort_unstable();
                if self
                    .ensure(sorted.iter().copied().eq(0..x.rank()), "is no permutation of its operand's axes")
                {
                    let shape = perm.iter().map(|p| x.shape[*p].clone()).collect();
                    self.expect(node, "permute", &TensorType::new(x.dtype, shape));
                }
            }
            (Kind::Reshape, [x]) => {
                let left = &x.elements() - &ty.elements();
                let possible = left.as_const().is_none_or(|v| v == 0);
                self.ensure(possible, format!("reshapes {x} to {ty}, which has another number of elements"));
                self.expect(node, "reshape", &TensorType::new(x.dtype, ty.shape.clone()));
            }
            (Kind::Slice(axes), [x]) => {
                self.expect(node, "slice", &TensorType::new(x.dtype, ty.shape.clone()));
                if self.ensure(axes.len() == x.rank() && axes.len() == ty.rank(), "slices another rank") {
                    for (i, axis) in axes.iter().enumerate() {
                        self.slice(axis, &ty.shape[i], &x.shape[i]);
                    }
                }
            }
            (Kind::Pad { low }, [x, value]) => self.pad(node, low, [x, value], ty),
            (Kind::Concat { axis }, args) => self.concat(node, *axis, args),
            (Kind::Gather { axis }, [x, index]) => {
                self.integers(index);
                if self.axis(*axis, x.rank()) {
                    let shape = [&x.shape[..*axis], &index.shape, &x.shape[axis + 1..]].concat();
                    self.expect(node, "gather", &TensorType::new(x.dtype, shape));
                }
            }
            (Kind::GatherAlong { axis }, [x, index]) => {
                self.along(x, index, *axis);
                self.expect(node, "gather_along", &TensorType::new(x.dtype, index.shape.clone()));
            }
            (Kind::ScatterAlong { axis, add }, [x, index, src]) => {
                self.along(x, index, *axis);
                let fits = self.same_type(src, &TensorType::new(x.dtype, index.shape.clone()));
                self.ensure(fits, format!("scatters {src} to the places {index} of {x}"));
                self.ensure(!add || x.dtype != DType::Bool, "adds truth values");
                self.expect(node, "scatter_along", x);
            }
            (Kind::Update(axes), [x, value, indices @ ..]) => self.update(node, axes, x, value, indices),
            // Parameters are compared with the signature and by control flow.
            _ => {}
        }
    }

    fn axis(&mut self, axis: usize, rank: usize) -> bool {
        self.ensure(axis < rank, format!("axis {axis} is past rank {rank}"))
    }

    fn axes(&mut self, axes: &[usize], rank: usize) -> bool {
        let increasing =
            self.ensure(axes.is_sorted_by(|a, b| a < b), format!("axes {axes:?} do not increase"));
        axes.iter().all(|a| self.axis(*a, rank)) && increasing
    }

    fn integers(&mut self, index: &TensorType) {
        self.ensure(index.dtype.is_int(), format!("indices are {index} instead of integers"));
    }

    fn map(&mut self, node: &Node, op: Op, args: &[&TensorType]) {
        let dtypes: Vec<DType> = args.iter().map(|a| a.dtype).collect();
        let Some(first) = args.first() else { return };
        let alike = args.iter().all(|a| self.same_shape(&a.shape, &first.shape));
        self.ensure(alike, format!("{} of operands of different shapes", op.name()));
        match op.result_dtype(&dtypes) {
            Some(dtype) => self.expect(node, op.name(), &TensorType::new(dtype, first.shape.clone())),
            None => self.report(format!("{} does not take {dtypes:?}", op.name())),
        }
    }

    fn broadcast(&mut self, node: &Node, axes: &[usize], x: &TensorType, ty: &TensorType) {
        self.expect(node, "broadcast", &TensorType::new(x.dtype, ty.shape.clone()));
        if !self.axes(axes, ty.rank())
            || !self.ensure(axes.len() == x.rank(), "has not one axis for each of its operand")
        {
            return;
        }
        for (from, axis) in x.shape.iter().zip(axes) {
            let to = &ty.shape[*axis];
            let fits = from.is(1) || self.same_dim(from, to);
            self.ensure(fits, format!("broadcasts the extent {from} to {to}"));
        }
    }

    /// Checks one axis of a part: what is known to lie outside is refused, what is not known is left to the run.
    fn slice(&mut self, axis: &SliceAxis, len: &Dim, whole: &Dim) {
        self.dim(&axis.start);
        self.ensure(axis.step != 0, "has step 0");
        let known = (axis.start.as_const(), len.as_const(), whole.as_const());
        if let (Some(start), Some(len), Some(whole)) = known
            && len > 0
        {
            let last = i128::from(start) + i128::from(axis.step) * i128::from(len - 1);
            let inside = |i: i128| (0..i128::from(whole)).contains(&i);
            self.ensure(inside(start.into()) && inside(last), format!("takes {start} to {last} of {whole}"));
        }
    }

    fn pad(&mut self, node: &Node, low: &[Dim], [x, value]: [&TensorType; 2], ty: &TensorType) {
        self.expect(node, "pad", &TensorType::new(x.dtype, ty.shape.clone()));
        self.scalar_operand("the padding", value, x.dtype);
        if !self.ensure(low.len() == x.rank() && low.len() == ty.rank(), "pads another rank") {
            return;
        }
        for ((low, extent), whole) in low.iter().zip(&x.shape).zip(&ty.shape) {
            self.dim(low);
            let high = &(whole - low) - extent;
            let negative = |d: &Dim| d.as_const().is_some_and(|v| v < 0);
            self.ensure(!negative(low) && !negative(&high), "pads by a negative amount");
        }
    }

    fn concat(&mut self, node: &Node, axis: usize, args: &[&TensorType]) {
        let Some(first) = args.first() else { return self.report("joins nothing") };
        if !self.axis(axis, first.rank()) {
            return;
        }
        let mut total = Dim::ZERO;
        for x in args {
            let mut shape = first.shape.clone();
            if let Some(d) = x.shape.get(axis) {
                total = &total + d;
                shape[axis] = d.clone();
            }
            let fits = self.same_type(x, &TensorType::new(first.dtype, shape));
            self.ensure(fits, format!("joins {first} and {x} on axis {axis}"));
        }
        let mut shape = first.shape.clone();
        shape[axis] = total;
        self.expect(node, "concat", &TensorType::new(first.dtype, shape));
    }

    fn along(&mut self, x: &TensorType, index: &TensorType, axis: usize) {
        self.integers(index);
        if !self.axis(axis, x.rank()) {
            return;
        }
        let mut shape = x.shape.clone();
        if let Some(d) = index.shape.get(axis) {
            shape[axis] = d.clone();
        }
        let fits = self.same_shape(&shape, &index.shape);
        self.ensure(fits, format!("indices {index} do not fit {x} beside axis {axis}"));
    }

    fn update(
        &mut self,
        node: &Node,
        axes: &[UpdateAxis],
        x: &TensorType,
        value: &TensorType,
        indices: &[&TensorType],
    ) {
        self.expect(node, "update", x);
        self.ensure(value.dtype == x.dtype, format!("writes {value} into {x}"));
        for index in indices {
            self.integers(index);
            self.ensure(index.rank() == 0, "has an index that is no scalar");
        }
        if !self.ensure(axes.len() == x.rank() && axes.len() == value.rank(), "updates another rank") {
            return;
        }
        for (i, axis) in axes.iter().enumerate() {
            match axis {
                UpdateAxis::Slice(s) => self.slice(s, &value.shape[i], &x.shape[i]),
                UpdateAxis::Index => {
                    self.ensure(value.shape[i].is(1), "writes several values at one index");
                }
            }
        }
    }

    fn reduce(&mut self, node: &Node, op: ReduceOp, axes: &[usize], x: &TensorType) {
        let number = x.dtype.is_int() || x.dtype.is_float();
        let (takes, indices) = match op {
            ReduceOp::Sum | ReduceOp::Prod | ReduceOp::Max | ReduceOp::Min => (number, false),
            ReduceOp::Any | ReduceOp::All => (x.dtype == DType::Bool, false),
            ReduceOp::ArgMax | ReduceOp::ArgMin => (number, true),
        };
        self.ensure(takes, format!("{op:?} does not take {}", x.dtype));
        self.ensure(!indices || axes.len() == 1, "an index is found along one axis");
        if !self.axes(axes, x.rank()) {
            return;
        }
        if indices || matches!(op, ReduceOp::Max | ReduceOp::Min) {
            let empty = axes.iter().any(|a| x.shape[*a].is(0));
            self.ensure(!empty, format!("{op:?} of nothing has no value"));
        }
        let kept = x.shape.iter().enumerate().filter(|(i, _)| !axes.contains(i));
        let shape = kept.map(|(_, d)| d.clone()).collect();
        self.expect(node, "reduce", &TensorType::new(if indices { DType::I64 } else { x.dtype }, shape));
    }

    fn scan(&mut self, node: &Node, op: ScanOp, axis: usize, x: &TensorType) {
        self.axis(axis, x.rank());
        self.ensure(x.dtype != DType::Bool, format!("{op:?} does not take {}", x.dtype));
        self.expect(node, "scan", x);
    }

    fn dot(
        &mut self,
        node: &Node,
        [a, b]: [&TensorType; 2],
        batch: &[(usize, usize)],
        contract: &[(usize, usize)],
    ) {
        let fits = a.dtype == b.dtype && a.dtype != DType::Bool;
        self.ensure(fits, format!("the product does not take {} and {}", a.dtype, b.dtype));
        let pairs: Vec<(usize, usize)> = batch.iter().chain(contract).copied().collect();
        let mut sides = [pairs.iter().map(|p| p.0).collect::<Vec<_>>(), pairs.iter().map(|p| p.1).collect()];
        for (axes, x) in sides.iter_mut().zip([a, b]) {
            axes.sort_unstable();
            if !self.axes(axes, x.rank()) {
                return;
            }
        }
        for (l, r) in &pairs {
            let same = self.same_dim(&a.shape[*l], &b.shape[*r]);
            self.ensure(same, format!("the product runs over {} and {}", a.shape[*l], b.shape[*r]));
        }
        let mut shape: Vec<Dim> = batch.iter().map(|(l, _)| a.shape[*l].clone()).collect();
        for (axes, x) in sides.iter().zip([a, b]) {
            shape.extend((0..x.rank()).filter(|i| !axes.contains(i)).map(|i| x.shape[i].clone()));
        }
        self.expect(node, "dot", &TensorType::new(a.dtype, shape));
    }

    fn lib(&mut self, node: &Node, op: &LibOp, args: &[&TensorType]) {
        match (op, args) {
            (LibOp::Sort { axis, .. }, [x]) => {
                self.axis(*axis, x.rank());
                self.expect(node, "sort", x);
            }
            (LibOp::Argsort { axis, .. }, [x]) => {
                self.axis(*axis, x.rank());
                self.expect(node, "argsort", &TensorType::new(DType::I64, x.shape.clone()));
            }
            (LibOp::SearchSorted { .. }, [sorted, values]) => {
                let fits = sorted.rank() == 1 && sorted.dtype == values.dtype;
                self.ensure(fits, format!("searches {values} in {sorted}"));
                self.expect(node, "search_sorted", &TensorType::new(DType::I64, values.shape.clone()));
            }
            (LibOp::Solve | LibOp::SolveDefinite, [a, b]) => {
                let rank = a.rank();
                let fits = rank >= 2
                    && b.rank() == rank
                    && self.same_dim(&a.shape[rank - 1], &a.shape[rank - 2])
                    && self.same_shape(&a.shape[..rank - 1], &b.shape[..rank - 1]);
                self.system(fits, a, b);
                self.expect(node, "solve", b);
            }
            (LibOp::Lstsq, [a, b, cut]) => {
                let fits = a.rank() == 2 && b.rank() == 2 && self.same_dim(&a.shape[0], &b.shape[0]);
                self.ensure(cut.dtype.is_float() && cut.rank() == 0, format!("the cut is {cut}"));
                self.system(fits, a, b);
                if fits {
                    let shape = vec![a.shape[1].clone(), b.shape[1].clone()];
                    self.expect(node, "lstsq", &TensorType::new(a.dtype, shape));
                }
            }
            // Wrong numbers of operands are reported before.
            (LibOp::Sort { .. } | LibOp::Argsort { .. } | LibOp::SearchSorted { .. }, _)
            | (LibOp::Solve | LibOp::SolveDefinite | LibOp::Lstsq, _) => {}
            (
                LibOp::SolveTriangular { .. }
                | LibOp::Lu
                | LibOp::PivotsDefinite
                | LibOp::Cholesky
                | LibOp::Qr
                | LibOp::Svd { .. }
                | LibOp::Svdvals
                | LibOp::Eigh
                | LibOp::Eigvalsh,
                _,
            ) => self.factorization(node, op),
        }
    }

    /// Checks operands and types of a factorization or of a triangular solver.
    pub(super) fn factorization(&mut self, node: &Node, op: &LibOp) {
        let Some(args) = self.operands(node) else { return };
        let arity = if matches!(op, LibOp::SolveTriangular { .. }) { 2 } else { 1 };
        if !self.ensure(args.len() == arity, format!("takes {arity} operands, but has {}", args.len())) {
            return;
        }
        let Some(expected) = op.factors(&args) else {
            return self.report(format!("{} of {}, which is no matrix", op.name(), args[0]));
        };
        let (a, rank) = (args[0], args[0].rank());
        let float = matches!(a.dtype, DType::F32 | DType::F64);
        self.ensure(float, format!("{} does not take {}", op.name(), a.dtype));
        let square = !op.wants_square() || self.same_dim(&a.shape[rank - 1], &a.shape[rank - 2]);
        self.ensure(square, format!("{} of {a}, which is not square", op.name()));
        if let Some(b) = args.get(1) {
            let fits = b.rank() == rank && self.same_shape(&a.shape[..rank - 1], &b.shape[..rank - 1]);
            self.system(fits, a, b);
        }
        let found = match &node.ty {
            Type::Tensor(t) => std::slice::from_ref(t),
            Type::Tuple(ts) => ts.as_slice(),
        };
        let same = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(found, wanted)| self.same_type(found, wanted));
        let wanted = match expected.as_slice() {
            [only] => Type::Tensor(only.clone()),
            _ => Type::Tuple(expected),
        };
        self.ensure(same, format!("has type {}, but {} gives {wanted}", node.ty, op.name()));
    }

    fn system(&mut self, fits: bool, a: &TensorType, b: &TensorType) {
        let fits = fits && a.dtype.is_float() && a.dtype == b.dtype;
        self.ensure(fits, format!("the system of {a} and {b} does not fit"));
    }
}
