//! What each kind of node computes; the larger families are in the files beside.

use super::{Array, Machine, ensure, malformed};
use crate::dim::Dim;
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::tensor::{Kind, Node, RunError, TensorType};
use std::sync::Arc;

impl Machine<'_> {
    /// Computes the value of a node that is one tensor; `shape` is what its type says.
    pub(super) fn compute(
        &mut self,
        node: &Node,
        ty: &TensorType,
        shape: Vec<usize>,
    ) -> Result<Arc<Array>, RunError> {
        let x = || self.arg(node, 0);
        let array = match &node.kind {
            Kind::Param(_) | Kind::RegionParam => return Err(malformed("a parameter among the nodes")),
            Kind::For(_) | Kind::While(..) | Kind::If(..) => {
                return Err(malformed("control flow without a tuple"));
            }
            Kind::Proj(_) => return Err(malformed("a member of no tuple")),
            Kind::Constant(literal) => Array::from(literal),
            Kind::Size(dim) => self.size(dim, node)?,
            Kind::Iota { axis } => iota(*axis, ty.dtype, shape)?,
            Kind::Map(op) => self.map(*op, node, shape)?,
            Kind::Cast => convert(&*x()?, ty.dtype, |s| s.cast(ty.dtype))?,
            Kind::Bitcast => {
                let x = x()?;
                ensure(x.dtype().bits() == ty.dtype.bits(), "a bitcast to another width")?;
                convert(&x, ty.dtype, |s| Scalar::from_bits(ty.dtype, s.bits()))?
            }
            Kind::Broadcast { axes } => broadcast(&*x()?, axes, shape)?,
            Kind::Permute(perm) => permute(&*x()?, perm, shape)?,
            Kind::Reshape => {
                let x = x()?;
                Array::new(x.dtype(), shape, x.data().to_vec())
                    .ok_or_else(|| malformed("a reshape to another number of elements"))?
            }
            Kind::Slice(axes) => self.slice(node, axes, shape)?,
            Kind::Pad { low } => self.pad(node, low, shape)?,
            Kind::Concat { axis } => self.concat(node, *axis, shape)?,
            Kind::Gather { axis } => self.gather(node, *axis, shape)?,
            Kind::GatherAlong { axis } => self.gather_along(node, *axis, shape)?,
            Kind::ScatterAlong { axis, add } => self.scatter_along(node, *axis, *add)?,
            Kind::Update(axes) => self.update(node, axes)?,
            Kind::Reduce { op, axes } => super::reduce::reduce(*op, &*x()?, axes, ty.dtype, shape)?,
            Kind::Scan { op, axis } => super::reduce::scan(*op, &*x()?, *axis)?,
            Kind::Dot { batch, contract } => {
                let masks =
                    if node.args.len() > 2 { Some([self.arg(node, 2)?, self.arg(node, 3)?]) } else { None };
                let masks = masks.as_ref().map(|[a, b]| [&**a, &**b]);
                super::reduce::dot([&*x()?, &*self.arg(node, 1)?], masks, batch, contract, shape)?
            }
            Kind::Lib(op) => self.lib(op, node, ty.dtype, shape)?,
            Kind::Check { code, message } => {
                let (code, message, origin) = (*code, message.clone(), node.origin);
                return if self.truth(node, 1)? {
                    x()
                } else {
                    Err(RunError::Check { code, message, origin })
                };
            }
        };
        Ok(Arc::new(array))
    }

    /// An operand that is a rank-0 bool.
    pub(super) fn truth(&self, node: &Node, place: usize) -> Result<bool, RunError> {
        let c = self.arg(node, place)?.as_scalar().filter(|s| s.dtype() == DType::Bool);
        c.map(|s| s.bits() != 0).ok_or_else(|| malformed("a condition that is no rank-0 bool"))
    }

    fn size(&self, dim: &Dim, node: &Node) -> Result<Array, RunError> {
        let missing = || RunError::Size { dim: dim.to_string(), value: None, origin: node.origin };
        let v = self.bindings.eval(dim).ok_or_else(missing)?;
        Ok(Array::scalar(Scalar::from_i128(DType::I64, v.into())))
    }

    fn map(&self, op: Op, node: &Node, shape: Vec<usize>) -> Result<Array, RunError> {
        let args: Vec<Arc<Array>> =
            node.args.iter().map(|v| self.array(*v)).collect::<Result<_, RunError>>()?;
        ensure(args.iter().all(|a| a.shape() == shape), "operands of different shapes")?;
        let dtypes: Vec<DType> = args.iter().map(|a| a.dtype()).collect();
        let refused = || RunError::Malformed(format!("{} does not take {dtypes:?}", op.name()));
        let dtype = op.result_dtype(&dtypes).ok_or_else(refused)?;
        let mut operands = Vec::with_capacity(args.len());
        Array::build(dtype, shape, |index| {
            operands.clear();
            for a in &args {
                operands.push(a.at(index)?);
            }
            op.eval(&operands).ok_or_else(refused)
        })
    }
}

fn iota(axis: usize, dtype: DType, shape: Vec<usize>) -> Result<Array, RunError> {
    ensure(axis < shape.len(), "an axis past the rank")?;
    Array::build(dtype, shape, |index| Ok(Scalar::from_i128(dtype, index[axis] as i128)))
}

fn convert(x: &Array, dtype: DType, f: impl Fn(Scalar) -> Scalar) -> Result<Array, RunError> {
    let data = x.data().iter().map(|s| f(*s)).collect();
    Array::new(dtype, x.shape().to_vec(), data).ok_or_else(|| malformed("a conversion to another dtype"))
}

fn broadcast(x: &Array, axes: &[usize], shape: Vec<usize>) -> Result<Array, RunError> {
    ensure(axes.len() == x.rank() && axes.is_sorted_by(|a, b| a < b), "axes that do not fit the operand")?;
    for (extent, axis) in x.shape().iter().zip(axes) {
        let fits = shape.get(*axis).is_some_and(|n| *extent == 1 || extent == n);
        ensure(fits, "a broadcast of an extent that is neither 1 nor the result's")?;
    }
    let mut from = vec![0; x.rank()];
    Array::build(x.dtype(), shape, |index| {
        for (i, axis) in axes.iter().enumerate() {
            from[i] = if x.shape()[i] == 1 { 0 } else { index[*axis] };
        }
        x.at(&from)
    })
}

fn permute(x: &Array, perm: &[usize], shape: Vec<usize>) -> Result<Array, RunError> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    ensure(sorted.iter().copied().eq(0..x.rank()), "a permutation that is none")?;
    let fits = perm.len() == shape.len() && perm.iter().zip(&shape).all(|(p, n)| x.shape()[*p] == *n);
    ensure(fits, "a permutation to another shape")?;
    let mut from = vec![0; x.rank()];
    Array::build(x.dtype(), shape, |index| {
        for (i, p) in perm.iter().enumerate() {
            from[*p] = index[i];
        }
        x.at(&from)
    })
}
