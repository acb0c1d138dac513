//! What is the same in every step of a loop, computed once before it.
//!
//! A loop may take no step at all, so that only what cannot fail moves: nothing that looks at an index, a pivot or a
//! condition, and nothing whose result could be larger than a tensor that is there anyway, unless the loop is sure to
//! run. Values that a guard of the body gives stay behind it. What is cheap stays too: computed along with other things
//! it costs less than memory that is read again in each step.

use crate::canon::canonicalize;
use crate::cost::CostModel;
use crate::options::Options;
use matex_ir::Dim;
use matex_ir::tensor::{Func, Kind, Node, RegionId, Type, ValueId};
use std::collections::{HashMap, HashSet};

/// From how many simple operations an element on an elementwise op is worth to be kept.
const DEAR: f64 = 12.0;

/// The function with such values before their loops.
pub fn hoist(func: &Func, options: &Options) -> Func {
    let mut out = func.clone();
    let mut moved = false;
    if options.optimize {
        // Inner loops first: what leaves one may leave the next one too.
        for place in loops(func).into_iter().rev() {
            moved |= leave(&mut out, &place);
        }
    }
    if moved { canonicalize(&out) } else { out }
}

/// A region of a loop.
struct Place {
    /// The loop.
    node: ValueId,
    /// The region that the loop stands in.
    around: RegionId,
    /// Its own region.
    region: RegionId,
    /// Whether it is sure to run.
    runs: bool,
}

/// The regions of all loops, those of a loop before those of loops inside of it.
fn loops(func: &Func) -> Vec<Place> {
    let (mut open, mut seen) = (vec![Func::BODY], HashSet::from([Func::BODY]));
    let mut found = Vec::new();
    while let Some(around) = open.pop() {
        let Some(region) = func.regions.get(around.0 as usize) else { continue };
        for v in &region.nodes {
            let Some(node) = func.nodes.get(v.0 as usize) else { continue };
            let test = |at: RegionId| matches!(node.kind, Kind::While(test, _) if at == test);
            let sure = |at: RegionId| test(at) || takes_a_step(func, node);
            for region in node.kind.regions() {
                if !matches!(node.kind, Kind::If(..)) {
                    found.push(Place { node: *v, around, region, runs: sure(region) });
                }
                if seen.insert(region) {
                    open.push(region);
                }
            }
        }
    }
    found
}

/// Whether the bounds of a counted loop are numbers, the first the smaller one.
fn takes_a_step(func: &Func, node: &Node) -> bool {
    let bound = |i: usize| {
        let given = node.args.get(i).and_then(|a| func.nodes.get(a.0 as usize))?;
        if let Kind::Constant(literal) = &given.kind {
            literal.as_scalar().map(|s| s.to_i128())
        } else if let Kind::Size(dim) = &given.kind {
            dim.as_const().map(i128::from)
        } else {
            None
        }
    };
    matches!((&node.kind, bound(0), bound(1)), (Kind::For(_), Some(a), Some(b)) if a < b)
}

/// Moves what can and should leave a loop to just before it; whether there was anything.
fn leave(func: &mut Func, place: &Place) -> bool {
    let Some(region) = func.regions.get(place.region.0 as usize) else { return false };
    let inside: HashSet<ValueId> = region.params.iter().chain(&region.nodes).copied().collect();
    let mut same: HashSet<ValueId> = HashSet::new();
    for v in &region.nodes {
        let node = func.node(*v);
        let fixed = |a: &ValueId| !inside.contains(a) || same.contains(a);
        if cannot_fail(&node.kind) && node.args.iter().all(fixed) {
            same.insert(*v);
        }
    }
    let mut leaving: HashSet<ValueId> = HashSet::new();
    for v in region.nodes.iter().filter(|v| same.contains(v)) {
        let node = func.node(*v);
        let elementwise = matches!(node.kind, Kind::Map(_) | Kind::Cast);
        let follows = elementwise && node.args.iter().any(|a| leaving.contains(a));
        if is_dear(func, node) || follows {
            let needed = needed(func, *v, &same);
            if place.runs || needed.iter().all(|n| is_bounded(func, *n, &needed)) {
                leaving.extend(needed);
            }
        }
    }
    if leaving.is_empty() {
        return false;
    }
    let body = &mut func.regions[place.region.0 as usize].nodes;
    let moved: Vec<ValueId> = body.iter().copied().filter(|v| leaving.contains(v)).collect();
    body.retain(|v| !leaving.contains(v));
    let around = &mut func.regions[place.around.0 as usize].nodes;
    let at = around.iter().position(|v| *v == place.node).unwrap_or(0);
    around.splice(at..at, moved);
    true
}

/// A value and all that it needs of these.
fn needed(func: &Func, v: ValueId, of: &HashSet<ValueId>) -> HashSet<ValueId> {
    let (mut open, mut all) = (vec![v], HashSet::new());
    while let Some(v) = open.pop() {
        if of.contains(&v) && all.insert(v) {
            open.extend_from_slice(&func.node(v).args);
        }
    }
    all
}

/// Whether computing it ends in a value, whatever the operands are.
fn cannot_fail(kind: &Kind) -> bool {
    match kind {
        Kind::Constant(_)
        | Kind::Size(_)
        | Kind::Iota { .. }
        | Kind::Map(_)
        | Kind::Cast
        | Kind::Bitcast
        | Kind::Broadcast { .. }
        | Kind::Permute(_)
        | Kind::Reshape
        | Kind::Slice(_)
        | Kind::Reduce { .. }
        | Kind::Scan { .. }
        | Kind::Dot { .. } => true,
        Kind::Param(_)
        | Kind::RegionParam
        | Kind::Pad { .. }
        | Kind::Concat { .. }
        | Kind::Gather { .. }
        | Kind::GatherAlong { .. }
        | Kind::ScatterAlong { .. }
        | Kind::Update(_)
        | Kind::Lib(_)
        | Kind::Check { .. }
        | Kind::For(_)
        | Kind::While(..)
        | Kind::If(..)
        | Kind::Proj(_) => false,
    }
}

fn is_dear(func: &Func, node: &Node) -> bool {
    if let Kind::Map(op) = &node.kind {
        let dtype = node.args.last().map(|a| func.ty(*a).dtype);
        return dtype.is_some_and(|dtype| CostModel::FIXED.of_op(*op, dtype).ops >= DEAR);
    }
    matches!(node.kind, Kind::Reduce { .. } | Kind::Scan { .. } | Kind::Dot { .. })
}

/// Whether a value has extents whatever the sizes are, and at most as many elements as a tensor that the others read and
/// that is in memory before the loop, or is nowhere in memory.
fn is_bounded(func: &Func, v: ValueId, needed: &HashSet<ValueId>) -> bool {
    let node = func.node(v);
    let Type::Tensor(ty) = &node.ty else { return false };
    if !ty.shape.iter().all(Dim::is_nonnegative) {
        return false;
    }
    if is_view(&node.kind) {
        return true;
    }
    let args = needed.iter().flat_map(|n| &func.node(*n).args);
    let outside = args.filter(|a| !needed.contains(a) && !is_view(&func.node(**a).kind));
    let wide: Vec<&Dim> = ty.shape.iter().filter(|d| !d.is(1)).collect();
    wide.is_empty()
        || outside.into_iter().any(|a| {
            let mut left: HashMap<&Dim, usize> = HashMap::new();
            func.ty(*a).shape.iter().for_each(|d| *left.entry(d).or_default() += 1);
            wide.iter().all(|d| left.get_mut(d).filter(|n| **n > 0).map(|n| *n -= 1).is_some())
        })
}

/// Whether it is a way to look at other values, or part of the code.
fn is_view(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Constant(_)
            | Kind::Size(_)
            | Kind::Iota { .. }
            | Kind::Broadcast { .. }
            | Kind::Permute(_)
            | Kind::Reshape
            | Kind::Slice(_)
            | Kind::Bitcast
    )
}

#[cfg(test)]
mod tests {
    use super::hoist;
    use crate::Options;
    use matex_ir::tensor::parse;

    /// The text of a function whose loop runs from %4 to %5 over these lines.
    fn hoisted(bounds: [&str; 2], body: &[&str]) -> String {
        let head = "func @f(%A: f64[n, n], %v: f64[n], %k: i64) -> f64[n] {";
        let [low, high] = bounds;
        let (body, last) = (body.join("\n    "), 8 + body.len());
        let text = format!(
            "{head}
  %3: i64 = {low}
  %4: i64 = {high}
  %5: (f64[n]) = for %3, %4, %v (%6: i64, %7: f64[n]) {{
    {body}
    yield %{}
  }}
  %{last}: f64[n] = proj %5, 0
  return %{last}
}}
",
            last - 1
        );
        let func = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        hoist(&func, &Options::default()).to_string()
    }

    fn before_the_loop(bounds: [&str; 2], body: &[&str]) -> String {
        hoisted(bounds, body).split(" = for ").next().unwrap_or_default().to_owned()
    }

    const ANY: [&str; 2] = ["const 0", "size n"];
    const SURE: [&str; 2] = ["const 0", "const 3"];

    #[test]
    fn what_is_dear_and_the_same_moves() {
        let body = ["%8: f64[n] = exp %v", "%9: f64[n] = neg %8", "%10: f64[n] = add %7, %9"];
        let before = before_the_loop(ANY, &body);
        assert!(before.contains("exp %v") && before.contains("neg"), "{before}");
        let body = ["%8: f64[n] = dot %A, %v, contract [1:0]", "%9: f64[n] = mul %7, %8"];
        assert!(before_the_loop(ANY, &body).contains("dot"));
    }

    #[test]
    fn what_is_cheap_or_changes_stays() {
        let body = ["%8: f64[n] = neg %v", "%9: f64[n] = add %7, %8"];
        assert!(!before_the_loop(ANY, &body).contains("neg"));
        let body = ["%8: f64[n] = exp %7", "%9: f64[n] = add %7, %8"];
        assert!(!before_the_loop(ANY, &body).contains("exp"));
    }

    #[test]
    fn what_could_fail_stays() {
        let solve = [
            "%8: f64[n, 1] = reshape %v",
            "%9: f64[n, 1] = solve %A, %8",
            "%10: f64[n] = reshape %9",
            "%11: f64[n] = exp %10",
            "%12: f64[n] = add %7, %11",
        ];
        assert!(!before_the_loop(SURE, &solve).contains("exp"));
        // A size that may be negative, in a loop that may not run.
        let sized = [
            "%8: f64 = const 1.0",
            "%9: f64[n - 5] = broadcast %8, []",
            "%10: f64 = reduce sum %9, [0]",
            "%11: f64[n] = broadcast %10, []",
            "%12: f64[n] = add %7, %11",
        ];
        assert!(!before_the_loop(ANY, &sized).contains("reduce"));
        assert!(before_the_loop(SURE, &sized).contains("reduce"));
    }

    #[test]
    fn what_is_larger_than_all_there_is_moves_only_out_of_loops_that_run() {
        let outer = [
            "%8: f64[n, n] = broadcast %v, [0]",
            "%9: f64[n, n] = broadcast %7, [1]",
            "%10: f64[n, n] = exp %8",
            "%11: f64[n, n] = mul %10, %9",
            "%12: f64[n] = reduce sum %11, [1]",
        ];
        assert!(!before_the_loop(ANY, &outer).contains("exp"));
        assert!(before_the_loop(SURE, &outer).contains("exp"));
    }
}
