//! Forms that keep digits where the written ones lose them, or overflow.
//!
//! These are preferred whatever they cost: what they replace is no choice any more. Where 0.0 would come out as -0.0, adding 0.0 or
//! taking from it keeps the sign that was there.

use super::{Root, Rule, code, floats, text};
use crate::algebra::{Graph, Tag};
use crate::options::Tier::Default;
use crate::rules::Site;
use egg::Id;
use matex_ir::Op;
use matex_ir::tensor::{Kind, ReduceOp};

pub(super) const RULES: &[Rule] = &[
    text("log1p", Default, "log(1 + x) = log1p(x)", "(log (add x 1))", "(add (log1p x) 0)")
        .when(floats)
        .directed(),
    text("log1p-neg", Default, "log(1 - x) = log1p(-x)", "(log (sub 1 x))", "(log1p (sub 0 x))")
        .when(floats)
        .directed(),
    text("expm1", Default, "exp(x) - 1 = expm1(x)", "(sub (exp x) 1)", "(add (expm1 x) 0)")
        .when(floats)
        .directed(),
    text("expm1-add", Default, "exp(x) + -1 = expm1(x)", "(add (exp x) -1)", "(add (expm1 x) 0)")
        .when(floats)
        .directed(),
    text("expm1-neg", Default, "1 - exp(x) = -expm1(x)", "(sub 1 (exp x))", "(sub 0 (expm1 x))")
        .when(floats)
        .directed(),
    text("softplus", Default, "log1p(exp(x)) = softplus(x)", "(log1p (exp x))", "(softplus x)")
        .when(floats)
        .directed(),
    text("softplus-log", Default, "log(1 + exp(x)) = softplus(x)", "(log (add (exp x) 1))", "(softplus x)")
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
    text("one-minus-erfc", Default, "1 - erfc(x) = erf(x)", "(sub 1 (erfc x))", "(add (erf x) 0)")
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
    text("hypot-zero", Default, "hypot(x, 0) = abs(x)", "(hypot x 0)", "(abs x)").when(floats),
    code(
        "log-softmax",
        Default,
        "log(exp(x) / sum(exp(x))) = x - m - log(sum(exp(x - m))), m = max(x) where that is finite, else 0",
        Root::Tag(Tag::Map(Op::Log)),
        &[Tag::Map(Op::Exp), Tag::Map(Op::Div), Tag::Reduce(ReduceOp::Sum)],
        log_softmax,
    )
    .directed(),
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
    let Shifted { shift, log, .. } = shifted(graph, x, axes);
    let out = graph.map(Op::Add, &[shift, log]);
    Some(match shape {
        Some(shape) => graph.reshape(out, shape),
        None => out,
    })
}

/// The logarithm of a softmax that is written out: the quotient would lose what is small next to the largest.
fn log_softmax(graph: &mut Graph, site: &Site) -> Option<Id> {
    let (quotient, _) = graph.node(site.node.args[0], Tag::Map(Op::Div))?;
    let x = graph.nodes(quotient.args[0], Tag::Map(Op::Exp)).first()?.args[0];
    let (wide, _) = graph.node(quotient.args[1], Tag::Broadcast)?;
    let (sum, _) = behind_reshape(graph, wide.args[0]);
    let (reduce, kind) = graph.node(sum, Tag::Reduce(ReduceOp::Sum))?;
    let Kind::Reduce { axes, .. } = kind else { return None };
    let exps = graph.nodes(reduce.args[0], Tag::Map(Op::Exp));
    let same = exps.iter().any(|n| graph.egg.find(n.args[0]) == graph.egg.find(x));
    // Each sum has to stand under the elements that it is of.
    let (ty, places) = (graph.ty(x).clone(), kept_axes(graph, x, &axes));
    let under = graph.broadcast(sum, ty.shape.clone(), places.clone());
    if !same || !graph.is_float(x) || graph.egg.find(under) != graph.egg.find(quotient.args[1]) {
        return None;
    }
    if is_shifted(graph, x) {
        let log = graph.map(Op::Log, &[quotient.args[1]]);
        return Some(graph.map(Op::Sub, &[x, log]));
    }
    let Shifted { x, log, .. } = shifted(graph, x, axes);
    let log = graph.broadcast(log, ty.shape, places);
    Some(graph.map(Op::Sub, &[x, log]))
}

/// Values without the largest of each sum over them, and the logarithm of that sum of their exponentials.
struct Shifted {
    /// What was taken off, for each sum.
    shift: Id,
    x: Id,
    log: Id,
}

fn shifted(graph: &mut Graph, x: Id, axes: Vec<usize>) -> Shifted {
    let (ty, places) = (graph.ty(x).clone(), kept_axes(graph, x, &axes));
    let largest = graph.reduce(ReduceOp::Max, x, axes.clone());
    let finite = graph.map(Op::IsFinite, &[largest]);
    let kept = graph.shape(largest).to_vec();
    let zero = graph.number(0.0, ty.dtype, &kept);
    let shift = graph.map(Op::Select, &[finite, largest, zero]);
    let wide = graph.broadcast(shift, ty.shape, places);
    let x = graph.map(Op::Sub, &[x, wide]);
    let exps = graph.map(Op::Exp, &[x]);
    let sum = graph.reduce(ReduceOp::Sum, exps, axes);
    Shifted { shift, x, log: graph.map(Op::Log, &[sum]) }
}

/// The axes of a value that a reduction leaves.
fn kept_axes(graph: &Graph, x: Id, axes: &[usize]) -> Vec<usize> {
    (0..graph.ty(x).rank()).filter(|a| !axes.contains(a)).collect()
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
