//! Masked products, as ordinary ones.
//!
//! A mask leaves out terms that would be 0 anyway, but for factors that are NaN or infinite. So the product is formed
//! as if there were no mask, by whatever is the fastest way, and where it came out finite it is right: a term that is
//! NaN would have shown. Only otherwise the terms are looked at one by one, in a branch of its own.

use matex_ir::tensor::{Func, Kind, Literal, Node, ReduceOp, Region, RegionId, TensorType, Type, ValueId};
use matex_ir::{DType, Dim, Op, Scalar};

/// Puts ordinary products and branches in the place of masked products.
pub(super) fn expand(func: &mut Func) {
    for r in 0..func.regions.len() {
        let masked = |v: &ValueId| {
            func.nodes
                .get(v.0 as usize)
                .is_some_and(|n| matches!(n.kind, Kind::Dot { .. }) && n.args.len() > 2)
        };
        if !func.regions[r].nodes.iter().any(masked) {
            continue;
        }
        let mut made = Vec::new();
        for v in std::mem::take(&mut func.regions[r].nodes) {
            let node = func.nodes.get(v.0 as usize);
            let parts = node.filter(|n| n.args.len() > 2).and_then(|n| Product::of(func, n));
            if let Some(product) = parts {
                let mut new = Nodes { func: &mut *func, like: v, made };
                let branch = new.guarded(&product);
                made = new.made;
                func.nodes[v.0 as usize].kind = Kind::Proj(0);
                func.nodes[v.0 as usize].args = vec![branch];
            }
            made.push(v);
        }
        func.regions[r].nodes = made;
    }
}

/// A masked product taken apart.
struct Product {
    batch: Vec<(usize, usize)>,
    contract: Vec<(usize, usize)>,
    factors: [ValueId; 2],
    masks: [ValueId; 2],
    ty: TensorType,
}

impl Product {
    fn of(func: &Func, node: &Node) -> Option<Product> {
        let (Kind::Dot { batch, contract }, Type::Tensor(ty)) = (&node.kind, &node.ty) else { return None };
        let [a, b, p, q] = node.args[..] else { return None };
        let known = [a, b, p, q].iter().all(|v| (v.0 as usize) < func.nodes.len());
        let (batch, contract) = (batch.clone(), contract.clone());
        known.then(|| Product { batch, contract, factors: [a, b], masks: [p, q], ty: ty.clone() })
    }

    /// The axes of a factor: the batch, the free ones, those that are summed over.
    fn axes(&self, side: usize, rank: usize) -> [Vec<usize>; 3] {
        let own = |p: &(usize, usize)| if side == 0 { p.0 } else { p.1 };
        let batch: Vec<usize> = self.batch.iter().map(own).collect();
        let summed: Vec<usize> = self.contract.iter().map(own).collect();
        let free = (0..rank).filter(|i| !batch.contains(i) && !summed.contains(i)).collect();
        [batch, free, summed]
    }
}

/// Nodes that are being made, with the origin of the node that they stand for.
struct Nodes<'f> {
    func: &'f mut Func,
    like: ValueId,
    made: Vec<ValueId>,
}

impl Nodes<'_> {
    fn push(&mut self, kind: Kind, args: Vec<ValueId>, ty: Type) -> ValueId {
        let id = ValueId(self.func.nodes.len() as u32);
        let origin = self.func.node(self.like).origin;
        self.func.nodes.push(Node { kind, args, ty, origin });
        self.made.push(id);
        id
    }

    fn tensor(&mut self, kind: Kind, args: Vec<ValueId>, dtype: DType, shape: &[Dim]) -> ValueId {
        self.push(kind, args, Type::Tensor(TensorType::new(dtype, shape.to_vec())))
    }

    fn cast(&mut self, x: ValueId, dtype: DType) -> ValueId {
        let ty = self.func.ty(x).clone();
        if ty.dtype == dtype { x } else { self.tensor(Kind::Cast, vec![x], dtype, &ty.shape) }
    }

    /// The branch between the product as it is and the sum of its terms.
    fn guarded(&mut self, p: &Product) -> ValueId {
        let Product { batch, contract, ty, .. } = p;
        let kind = Kind::Dot { batch: batch.clone(), contract: contract.clone() };
        let plain = self.tensor(kind, p.factors.to_vec(), ty.dtype, &ty.shape);
        let finite = self.tensor(Kind::Map(Op::IsFinite), vec![plain], DType::Bool, &ty.shape);
        let axes: Vec<usize> = (0..ty.rank()).collect();
        let fine = if axes.is_empty() {
            finite
        } else {
            self.tensor(Kind::Reduce { op: ReduceOp::All, axes }, vec![finite], DType::Bool, &[])
        };
        let outside = std::mem::take(&mut self.made);
        let yes = self.region(plain);
        let sum = self.terms(p);
        let no = self.region(sum);
        self.made = outside;
        self.push(Kind::If(yes, no), vec![fine], Type::Tuple(vec![ty.clone()]))
    }

    /// A region of the nodes made so far.
    fn region(&mut self, result: ValueId) -> RegionId {
        let id = RegionId(self.func.regions.len() as u32);
        let nodes = std::mem::take(&mut self.made);
        self.func.regions.push(Region { params: Vec::new(), nodes, results: vec![result] });
        id
    }

    /// The sum of the terms that no mask leaves out.
    fn terms(&mut self, p: &Product) -> ValueId {
        let dtype = p.ty.dtype.compute();
        let rank = self.func.ty(p.factors[0]).rank();
        let [.., summed] = p.axes(0, rank);
        let mut shape = p.ty.shape.clone();
        shape.extend(summed.iter().map(|k| self.func.ty(p.factors[0]).shape[*k].clone()));
        let sides = [0, 1].map(|side| {
            let wide = self.cast(p.factors[side], dtype);
            [wide, p.masks[side]].map(|x| self.spread(p, side, x, &shape))
        });
        let [[a, taken_a], [b, taken_b]] = sides;
        let product = self.tensor(Kind::Map(Op::Mul), vec![a, b], dtype, &shape);
        let taken = self.tensor(Kind::Map(Op::And), vec![taken_a, taken_b], DType::Bool, &shape);
        let zero =
            self.tensor(Kind::Constant(Literal::scalar(Scalar::from_bits(dtype, 0))), Vec::new(), dtype, &[]);
        let zeros = if shape.is_empty() {
            zero
        } else {
            self.tensor(Kind::Broadcast { axes: Vec::new() }, vec![zero], dtype, &shape)
        };
        let terms = self.tensor(Kind::Map(Op::Select), vec![taken, product, zeros], dtype, &shape);
        let over: Vec<usize> = (p.ty.rank()..shape.len()).collect();
        if over.is_empty() {
            return self.cast(terms, p.ty.dtype);
        }
        let sum =
            self.tensor(Kind::Reduce { op: ReduceOp::Sum, axes: over }, vec![terms], dtype, &p.ty.shape);
        self.cast(sum, p.ty.dtype)
    }

    /// A factor, or its mask, over all axes of the product and behind them those that are summed over.
    fn spread(&mut self, p: &Product, side: usize, x: ValueId, shape: &[Dim]) -> ValueId {
        let TensorType { dtype, shape: own } = self.func.ty(x).clone();
        let [batch, free, summed] = p.axes(side, own.len());
        let other = p.ty.rank() - batch.len() - free.len();
        let first = if side == 0 { batch.len() } else { batch.len() + other };
        let places = (0..batch.len()).chain(first..first + free.len()).chain(p.ty.rank()..shape.len());
        let axes: Vec<usize> = places.collect();
        let order = [batch, free, summed].concat();
        let mut x = x;
        if !order.is_sorted() {
            let turned: Vec<Dim> = order.iter().map(|k| own[*k].clone()).collect();
            x = self.tensor(Kind::Permute(order), vec![x], dtype, &turned);
        }
        if axes.len() == shape.len() {
            return x;
        }
        self.tensor(Kind::Broadcast { axes }, vec![x], dtype, shape)
    }
}
