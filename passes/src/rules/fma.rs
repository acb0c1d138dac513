//! Products and sums in one rounding.
//!
//! A sum of two products stays as it is: `a*b - c*d` is exactly 0 where the products are equal, and would be the
//! rounding error of one of them otherwise. So does `p - a*b` where p is that product again.

use super::{Rule, text};
use crate::algebra::{Graph, Tag};
use crate::options::Tier::Default;
use egg::Id;
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
    wide && !trivial(*x) && !trivial(*y) && !is_product(graph, *z)
}

fn is_product(graph: &Graph, id: Id) -> bool {
    let product = |id: Id| graph.egg[id].nodes.iter().any(|n| matches!(n.tag, Tag::Map(Op::Mul | Op::Div)));
    // Also behind a sign, a repetition or another shape.
    let mut at = id;
    for _ in 0..4 {
        if product(at) {
            return true;
        }
        let through = |n: &&crate::algebra::TensorLang| {
            matches!(n.tag, Tag::Map(Op::Neg) | Tag::Broadcast | Tag::Permute | Tag::Reshape | Tag::Slice)
        };
        match graph.egg[at].nodes.iter().find(through) {
            Some(n) => at = n.args[0],
            None => return false,
        }
    }
    false
}
