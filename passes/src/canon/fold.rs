//! Constant folding by the reference meaning of the ops, for scalars and small literals.

use matex_ir::Scalar;
use matex_ir::tensor::{Func, Kind, Literal, Node, ValueId};

/// The most elements of a literal that is computed here.
const MAX_ELEMENTS: usize = 64;

/// The constant that a node of constants is; `None` when it is none, or when running it is what it is for.
pub(super) fn fold(func: &Func, value: ValueId) -> Option<Literal> {
    let node = func.nodes.get(value.0 as usize)?;
    match &node.kind {
        Kind::Size(dim) => {
            let v = Scalar::from_i128(matex_ir::DType::I64, dim.as_const()?.into());
            Some(Literal::scalar(v))
        }
        Kind::Cast => Some(constant(func, node, 0)?.cast(func.ty(value).dtype)),
        Kind::Map(op) => {
            let args: Vec<&Literal> =
                (0..node.args.len()).map(|i| constant(func, node, i)).collect::<Option<_>>()?;
            let shape = args.first()?.shape();
            if args.iter().any(|a| a.shape() != shape) {
                return None;
            }
            let columns: Vec<Vec<Scalar>> = args.iter().map(|a| a.elements().collect()).collect();
            let element = |i: usize| op.eval(&columns.iter().map(|c| c[i]).collect::<Vec<_>>());
            let elements: Vec<Scalar> = (0..columns[0].len()).map(element).collect::<Option<_>>()?;
            Literal::new(func.ty(value).dtype, shape.to_vec(), &elements)
        }
        Kind::Param(_)
        | Kind::RegionParam
        | Kind::Constant(_)
        | Kind::Iota { .. }
        | Kind::Bitcast
        | Kind::Broadcast { .. }
        | Kind::Permute(_)
        | Kind::Reshape
        | Kind::Slice(_)
        | Kind::Pad { .. }
        | Kind::Concat { .. }
        | Kind::Gather { .. }
        | Kind::GatherAlong { .. }
        | Kind::ScatterAlong { .. }
        | Kind::Update(_)
        | Kind::Reduce { .. }
        | Kind::Scan { .. }
        | Kind::Dot { .. }
        | Kind::Lib(_)
        | Kind::Check { .. }
        | Kind::For(_)
        | Kind::While(..)
        | Kind::If(..)
        | Kind::Proj(_) => None,
    }
}

fn constant<'f>(func: &'f Func, node: &Node, index: usize) -> Option<&'f Literal> {
    let arg = node.args.get(index)?;
    if let Kind::Constant(literal) = &func.nodes.get(arg.0 as usize)?.kind
        && literal.elements().len() <= MAX_ELEMENTS
    {
        return Some(literal);
    }
    None
}
