//! What a node costs, in nanoseconds of a machine that does not exist: one core, 20 flops a nanosecond in a matrix
//! product, 15 bytes a nanosecond from memory. Only ratios matter, and they are the same on every machine, so that a
//! program becomes the same everywhere.
//!
//! Elementwise ops are priced as if they were fused into what uses them: arithmetic in full, memory traffic in part.

use super::graph::Graph;
use super::lang::{Tag, TensorLang};
use crate::sizes::Sizes;
use matex_ir::dim::product;
use matex_ir::tensor::{Kind, LibOp, TensorType};
use matex_ir::{Dim, Op};

/// A node at all: less code is better where nothing else differs.
const NODE: f64 = 5.0;
/// A view, which is nothing but numbers.
const VIEW: f64 = 0.5;
/// An element read or written by an elementwise op.
const TRAFFIC: f64 = 0.1;
/// Half a step of a library routine.
const LIBRARY_HALF_STEP: f64 = 0.1;
/// Half a flop of a matrix product.
const PRODUCT_HALF_FLOP: f64 = 0.025;
/// An element of a factor of a product, read from memory.
const PRODUCT_READ: f64 = 0.5;

/// What the node costs by itself.
pub(crate) fn of_node(graph: &Graph, node: &TensorLang, ty: Option<&TensorType>, sizes: &Sizes) -> f64 {
    let out = ty.map_or(1.0, |ty| sizes.elements(&ty.shape));
    let operand = |i: usize| node.args.get(i).map_or(0.0, |a| sizes.elements(graph.shape(*a)));
    match node.tag {
        Tag::Leaf => 0.0,
        Tag::Constant | Tag::Broadcast | Tag::Permute | Tag::Reshape | Tag::Slice => VIEW,
        Tag::Map(op) => NODE + out * (TRAFFIC + map(op)),
        Tag::Cast => NODE + out * (TRAFFIC + 0.1),
        Tag::Iota => NODE + out * TRAFFIC,
        Tag::Reduce(_) => NODE + operand(0) * (TRAFFIC + 0.1),
        Tag::Dot => {
            let flops = flops(graph, node).map_or(0.0, |f| sizes.estimate(&f));
            let moved = operand(0) + operand(1) + out;
            NODE + (flops * PRODUCT_HALF_FLOP).max(moved * PRODUCT_READ)
        }
        Tag::Solve | Tag::Lib => {
            let flops = flops(graph, node).map_or(operand(0) * 20.0, |f| sizes.estimate(&f));
            500.0 + flops * LIBRARY_HALF_STEP
        }
        Tag::Proj => VIEW,
        Tag::Other => NODE + out,
    }
}

/// Steps of a product or a library routine, for any sizes and in halves, so that all are whole numbers; `None` for all else.
/// This is what alternatives are compared by.
pub(crate) fn flops(graph: &Graph, node: &TensorLang) -> Option<Dim> {
    let shape = |i: usize| node.args.get(i).map(|a| graph.shape(*a));
    let times = |by: i64, d: &Dim| d * &Dim::constant(by);
    let kind = graph.kind(node);
    if let Kind::Dot { batch, contract } = kind {
        let (a, b) = (shape(0)?, shape(1)?);
        let bound = |axis: usize| batch.iter().chain(&contract).any(|(_, r)| *r == axis);
        let free = b.iter().enumerate().filter(|(axis, _)| !bound(*axis));
        return Some(times(4, &free.fold(product(a), |all, (_, d)| &all * d)));
    }
    let Kind::Lib(op) = kind else { return None };
    let a = shape(0)?;
    if let LibOp::Solve | LibOp::SolveDefinite | LibOp::SolveTriangular { .. } = op {
        let (n, b) = (a.last()?, shape(1)?);
        let (back, all) = (&product(b) * n, &product(a) * n);
        return Some(if op == LibOp::Solve {
            &times(2, &all) + &times(4, &back)
        } else if op == LibOp::SolveDefinite {
            &all + &times(4, &back)
        } else {
            times(2, &back)
        });
    }
    let all = &product(a) * a.last()?;
    Some(if op == LibOp::PivotsDefinite { all } else { times(8, &all) })
}

/// What an elementwise op costs for one element beyond the traffic.
fn map(op: Op) -> f64 {
    match op {
        Op::Neg => 0.02,
        Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Fma
        | Op::Abs
        | Op::Max
        | Op::Min
        | Op::Copysign
        | Op::SignBit
        | Op::IsNan
        | Op::IsInf
        | Op::IsFinite
        | Op::Eq
        | Op::Ne
        | Op::Lt
        | Op::Le
        | Op::Gt
        | Op::Ge
        | Op::And
        | Op::Or
        | Op::Xor
        | Op::Not
        | Op::Shl
        | Op::Shr
        | Op::Select
        | Op::Sign
        | Op::Floor
        | Op::Ceil
        | Op::Trunc
        | Op::Round => 0.1,
        Op::Div | Op::Sqrt | Op::Rsqrt | Op::FloorDiv | Op::Rem => 0.5,
        Op::Exp | Op::Exp2 | Op::Log | Op::Log2 | Op::Log10 | Op::Sigmoid | Op::Cbrt | Op::Nextafter => 1.5,
        Op::Expm1
        | Op::Log1p
        | Op::Sin
        | Op::Cos
        | Op::Tan
        | Op::Asin
        | Op::Acos
        | Op::Atan
        | Op::Atan2
        | Op::Sinh
        | Op::Cosh
        | Op::Tanh
        | Op::Softplus
        | Op::Erf
        | Op::Erfc
        | Op::Gelu => 2.5,
        Op::Pow | Op::Fmod => 4.0,
        Op::Asinh | Op::Acosh | Op::Atanh | Op::Hypot | Op::LogAddExp | Op::Lgamma => 15.0,
    }
}
