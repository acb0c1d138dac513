//! Products and sums in one rounding.
//!
//! A sum of two products stays as it is: `a*b - c*d` is exactly 0 where the products are equal, and would be the
//! rounding error of one of them otherwise. So does `p - a*b` where p is that product again, or is chosen from
//! such products.

use super::{Rule, text};
use crate::algebra::{Graph, Tag};
use crate::options::Tier::Default;
use egg::Id;
use matex_ir::tensor::ReduceOp;
use matex_ir::{DType, Op};

pub(super) const RULES: &[Rule] = &[
    text("fma", Default, "x*y + z = fma(x, y, z), z no product", "(add (mul x y) z)", "(fma x y z)")
        .when(one_product),
    text("fms", Default, "x*y - z = fma(x, y, -z), z no product", "(sub (mul x y) z)", "(fma x y (neg z))")
        .when(one_product),
    text("fnma", Default, "z - x*y = fma(-x, y, z), z no product", "(sub z (mul x y))", "(fma (neg x) y z)")
        .when(|g, l| one_product(g, &[l[1], l[2], l[0]])),
];

/// Floats, of which the third is no product. Numbers of 16 bits keep the rounding of every step.
fn one_product(graph: &Graph, letters: &[Id]) -> bool {
    let [x, y, z] = letters else { return false };
    // Constants that fold anyway, and a factor that only changes the sign or nothing.
    let trivial = |id: Id| graph.splat(id).is_some_and(|s| s.to_f64().abs() == 1.0);
    let wide = matches!(graph.ty(*z).dtype, DType::F32 | DType::F64);
    wide && !trivial(*x) && !trivial(*y) && !may_be_product(graph, *z)
}

/// Whether its elements may be rounded products: behind a sign, in another shape, or chosen among others. How far it looks is
/// limited.
fn may_be_product(graph: &Graph, id: Id) -> bool {
    const REACH: usize = 24;
    let mut classes = vec![graph.egg.find(id)];
    let mut next = 0;
    while let Some(class) = classes.get(next).copied() {
        next += 1;
        for node in &graph.egg[class].nodes {
            if matches!(node.tag, Tag::Map(Op::Mul | Op::Div)) {
                return true;
            }
            if !chooses(node.tag) {
                continue;
            }
            for class in node.args.iter().map(|a| graph.egg.find(*a)) {
                if classes.len() < REACH && !classes.contains(&class) {
                    classes.push(class);
                }
            }
        }
    }
    false
}

/// Whether results are elements of an operand, but for their signs.
fn chooses(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::Map(Op::Neg | Op::Abs | Op::Copysign | Op::Max | Op::Min | Op::Select)
            | Tag::Broadcast
            | Tag::Permute
            | Tag::Reshape
            | Tag::Slice
            | Tag::Reduce(ReduceOp::Max | ReduceOp::Min)
            // Sorting, and its kind, gathers, scans, arrays put together, branches.
            | Tag::Lib
            | Tag::Proj
            | Tag::Other
    )
}
