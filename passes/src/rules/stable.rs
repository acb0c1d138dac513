//! Forms that keep digits where the written ones lose them, or overflow.
//!
//! These are preferred whatever they cost: what they replace is no choice any more.

use super::{Root, Rule, code, floats, text};
use crate::algebra::{Graph, Tag};
use crate::options::Tier::Default;
use crate::rules::Site;
use egg::Id;
use matex_ir::Op;
use matex_ir::tensor::{Kind, ReduceOp};

pub(super) const RULES: &[Rule] = &[
    text("log1p", Default, "log(1 + x) = log1p(x)", "(log (add x 1))", "(log1p x)").when(floats).directed(),
    text("log1p-neg", Default, "log(1 - x) = log1p(-x)", "(log (sub 1 x))", "(log1p (neg x))")
        .when(floats)
        .directed(),
    text("expm1", Default, "exp(x) - 1 = expm1(x)", "(sub (exp x) 1)", "(expm1 x)").when(floats).directed(),
    text("expm1-add", Default, "exp(x) + -1 = expm1(x)", "(add (exp x) -1)", "(expm1 x)")
        .when(floats)
        .directed(),
    text("expm1-neg", Default, "1 - exp(x) = -expm1(x)", "(sub 1 (exp x))", "(neg (expm1 x))")
        .when(floats)
        .directed(),
    text("softplus", Default, "log1p(exp(x)) = softplus(x)", "(log1p (exp x))", "(softplus x)")
        .when(floats)
        .directed(),
    text("sigmoid", Default, "1/(1 + exp(-x)) = sigmoid(x)", "(div 1 (add (exp (neg x)) 1))", "(sigmoid x)")
        .when(floats)
        .directed(),
    text(
        "sigmoid-neg",
        Default,
        "1/(1 + exp(x)) = sigmoid(-x)",
        "(div 1 (add (exp x) 1))",
        "(sigmoid (neg x))",
    )
    .when(floats)
    .directed(),
    text(
        "sigmoid-exp",
        Default,
        "exp(x)/(1 + exp(x)) = sigmoid(x)",
        "(div (exp x) (add (exp x) 1))",
        "(sigmoid x)",
    )
    .when(floats)
    .directed(),
    text(
        "one-minus-sigmoid",
        Default,
        "1 - sigmoid(x) = sigmoid(-x)",
        "(sub 1 (sigmoid x))",
        "(sigmoid (neg x))",
    )
    .when(floats)
    .directed(),
    text(
        "log-sigmoid",
        Default,
        "log(sigmoid(x)) = -softplus(-x)",
        "(log (sigmoid x))",
        "(neg (softplus (neg x)))",
    )
    .when(floats)
    .directed(),
    text("one-minus-erf", Default, "1 - erf(x) = erfc(x)", "(sub 1 (erf x))", "(erfc x)")
        .when(floats)
        .directed(),
    text("one-minus-erfc", Default, "1 - erfc(x) = erf(x)", "(sub 1 (erfc x))", "(erf x)")
        .when(floats)
        .directed(),
    text(
        "logaddexp",
        Default,
        "log(exp(x) + exp(y)) = logaddexp(x, y)",
        "(log (add (exp x) (exp y)))",
        "(logaddexp x y)",
    )
    .when(floats)
    .directed(),
    text("log-exp-div", Default, "log(exp(x) / y) = x - log(y)", "(log (div (exp x) y))", "(sub x (log y))")
        .when(floats)
        .directed(),
    text("hypot-zero", Default, "hypot(x, 0) = abs(x)", "(hypot x 0)", "(abs x)").when(floats),
    code(
        "logsumexp",
        Default,
        "log(sum(exp(x))) = m + log(sum(exp(x - m))), m = max(x) where that is finite, else 0",
        Root::Tag(Tag::Map(Op::Log)),
        &[Tag::Map(Op::Exp), Tag::Reduce(ReduceOp::Sum)],
        logsumexp,
    )
    .directed(),
];

/// The largest element of each sum is taken off before the exponential and put back behind the logarithm.
fn logsumexp(graph: &mut Graph, site: &Site) -> Option<Id> {
    // A reshape between, as `keepdims` has it, changes nothing.
    let (sum, shape) = behind_reshape(graph, site.node.args[0]);
    let (reduce, kind) = graph.node(sum, Tag::Reduce(ReduceOp::Sum))?;
    let Kind::Reduce { axes, .. } = kind else { return None };
    let exps = graph.nodes(reduce.args[0], Tag::Map(Op::Exp));
    let x = exps.first()?.args[0];
    if !graph.is_float(x) || is_shifted(graph, x) {
        return None;
    }
    let (ty, kept) = (graph.ty(x).clone(), graph.shape(sum).to_vec());
    let largest = graph.reduce(ReduceOp::Max, x, axes.clone());
    let finite = graph.map(Op::IsFinite, &[largest]);
    let zero = graph.number(0.0, ty.dtype, &kept);
    let shift = graph.map(Op::Select, &[finite, largest, zero]);
    let places: Vec<usize> = (0..ty.rank()).filter(|a| !axes.contains(a)).collect();
    let wide = graph.broadcast(shift, ty.shape.clone(), places);
    let shifted = graph.map(Op::Sub, &[x, wide]);
    let exps = graph.map(Op::Exp, &[shifted]);
    let sum = graph.reduce(ReduceOp::Sum, exps, axes);
    let log = graph.map(Op::Log, &[sum]);
    let out = graph.map(Op::Add, &[shift, log]);
    Some(match shape {
        Some(shape) => graph.reshape(out, shape),
        None => out,
    })
}

/// What a reshape takes, and the shape that it gives.
fn behind_reshape(graph: &Graph, id: Id) -> (Id, Option<Vec<matex_ir::Dim>>) {
    match graph.node(id, Tag::Reshape) {
        Some((node, _)) => (node.args[0], Some(graph.shape(id).to_vec())),
        None => (id, None),
    }
}

/// Whether something was taken off already, as the maximum is by those who know.
fn is_shifted(graph: &Graph, x: Id) -> bool {
    let taken = |y: Id| !graph.nodes(y, Tag::Broadcast).is_empty() && graph.splat(y).is_none();
    let subs = graph.nodes(x, Tag::Map(Op::Sub));
    subs.iter().any(|n| taken(n.args[1]))
}
