//! Algebra: finds equal forms of a function by the rules of [`crate::rules`], and takes the cheapest.
//!
//! A region becomes an e-graph ([`egg`]), in which a class holds all forms of a value that were found. Rules add
//! forms until nothing is new or a limit is reached; then one form is chosen for every value that is needed, by a
//! price that counts a shared value once. The order of rules does not matter for what is found, and nothing that is
//! found is lost to an unlucky order of steps.
//!
//! Types are compared whenever two forms are said to be equal. Should they disagree, a rule is wrong: the e-graph is
//! dropped, the region stays as it was, and the report says so.

mod convert;
mod cost;
mod diagonal;
mod explain;
mod extract;
mod facts;
mod graph;
mod lang;
mod pattern;
mod saturate;
mod structure;
#[cfg(test)]
mod tests;

pub use explain::{Fired, Report};
pub(crate) use graph::{Graph, Pairs};
pub(crate) use lang::{Tag, TensorLang};
pub(crate) use pattern::{Binding, Pattern};
pub use saturate::Stop;
pub(crate) use structure::{Structure, is_diagonal_mask};

use crate::canon::canonicalize;
use crate::options::{Options, Tier};
use crate::rules::RuleSet;
use convert::{Around, Emitter};
use extract::{Choice, Wanted};
use matex_ir::tensor::verify::verify;
use matex_ir::tensor::{Func, RegionId, ValueId};
use rustc_hash::FxHashMap;
use saturate::{Bounds, Search, canonical, saturate};

/// How the e-graph of a region is searched.
#[derive(Clone, Copy)]
pub(crate) struct Mode<'a> {
    pub(crate) rules: &'a RuleSet,
    /// Whether firings are kept in words, and egg keeps why.
    pub(crate) explain: bool,
    /// Of a test: shuffles the order in which nodes are looked at.
    pub(crate) shuffle: u64,
    /// Of a test: the rule whose results are preferred.
    pub(crate) prefer: Option<&'a str>,
}

impl Mode<'_> {
    fn of(tier: Tier) -> Mode<'static> {
        Mode { rules: RuleSet::of(tier), explain: false, shuffle: 0, prefer: None }
    }
}

/// The function with every region in its cheapest form, and what happened on the way.
pub fn simplify(func: &Func, options: &Options) -> (Func, Report) {
    let (out, report) = run(func, options, Mode::of(options.tier));
    (canonicalize(&out), report)
}

/// What [`simplify`] makes of a function when what one rule gives is preferred whatever it costs, and how often the
/// rule said something new: for tests of that rule.
pub fn preferring(func: &Func, options: &Options, rule: &str) -> (Func, usize) {
    let (out, report) = run(func, options, Mode { prefer: Some(rule), ..Mode::of(options.tier) });
    (canonicalize(&out), report.preferred)
}

/// What [`simplify`] does to a function, in words: the rules behind what was chosen, and why.
pub fn explain(func: &Func, options: &Options) -> Report {
    run(func, options, Mode { explain: true, ..Mode::of(options.tier) }).1
}

/// The function with new nodes behind its old ones, which nothing needs any more.
pub(crate) fn run(func: &Func, options: &Options, mode: Mode<'_>) -> (Func, Report) {
    let mut report = Report::default();
    let tags: Vec<u128> = (0..func.regions.len() as u32).map(|r| convert::tags(func, RegionId(r))).collect();
    let is_open = |r: RegionId| mode.rules.can_match(tags[r.0 as usize]);
    if !(0..func.regions.len() as u32).any(|r| is_open(RegionId(r))) {
        return (func.clone(), report);
    }
    // Rules rely on what the verifier checks: a place of an axis that is none would be a panic.
    let Some(mut around) = Around::of(func).filter(|_| verify(func).is_empty()) else {
        return (func.clone(), report);
    };
    let mut out = func.clone();
    let mut replaced = FxHashMap::default();
    for region in convert::outer_first(func) {
        if is_open(region) {
            simplify_region(func, &mut out, region, &mut around, options, mode, &mut replaced, &mut report);
        } else if around.takes_from(func, region) {
            let converted = convert::build(func, region, &around, false);
            around.learn(func, region, &converted);
        }
    }
    substitute(&mut out, &replaced);
    if !is_closed(&out) {
        report.wrong.push("a region uses a value that is in none".to_owned());
        return (func.clone(), report);
    }
    (out, report)
}

/// Whether all that regions use is in one of them. Those of loops that are gone do not count.
fn is_closed(func: &Func) -> bool {
    let mut made = vec![false; func.nodes.len()];
    let (mut open, mut used): (_, Vec<ValueId>) = (vec![Func::BODY], Vec::new());
    while let Some(region) = open.pop() {
        let region = func.region(region);
        region.params.iter().chain(&region.nodes).for_each(|v| made[v.0 as usize] = true);
        for v in &region.nodes {
            let node = func.node(*v);
            used.extend(&node.args);
            open.extend(node.kind.regions());
        }
        used.extend(&region.results);
    }
    used.into_iter().all(|v| made[v.0 as usize])
}

/// Puts new values in the place of old ones, wherever they are used. A value may have become one from around its region, which was replaced
/// as well.
fn substitute(func: &mut Func, replaced: &FxHashMap<ValueId, ValueId>) {
    let new = |v: &mut ValueId| {
        while let Some(next) = replaced.get(v) {
            *v = *next;
        }
    };
    func.nodes.iter_mut().flat_map(|n| &mut n.args).for_each(new);
    func.regions.iter_mut().flat_map(|r| &mut r.results).for_each(new);
}

#[expect(clippy::too_many_arguments, reason = "one step of a loop, taken out for its length")]
fn simplify_region(
    func: &Func,
    out: &mut Func,
    region: RegionId,
    around: &mut Around,
    options: &Options,
    mode: Mode<'_>,
    replaced: &mut FxHashMap<ValueId, ValueId>,
    report: &mut Report,
) {
    if func.region(region).nodes.len() > options.max_nodes {
        report.stopped(Stop::Nodes(options.max_nodes));
        return;
    }
    let mut converted = convert::build(func, region, around, mode.explain);
    let bounds = Bounds { nodes: options.max_nodes, rounds: options.max_iterations };
    let search = saturate(&mut converted.graph, mode, bounds);
    report.count(&converted.graph, &search, mode);
    if let Some(wrong) = converted.graph.egg.analysis.wrong.take() {
        report.wrong.push(wrong);
        return;
    }
    around.learn(func, region, &converted);
    if search.firings.is_empty() && !folded(&converted) {
        return;
    }
    let Some(choice) = choose(func, region, &converted, &search, options) else {
        report.wrong.push("a value has no form that can be computed".to_owned());
        return;
    };
    let before = out.clone();
    if Emitter::new(out, &converted, &choice).region(region, replaced).is_none() {
        report.wrong.push("a value has no form that can be computed".to_owned());
        *out = before;
        return;
    }
    report.fired(func, &mut converted, &choice, &search, mode);
}

/// Whether the facts alone have added anything: a class of two nodes without a rule is a constant.
fn folded(converted: &convert::Converted) -> bool {
    converted.graph.egg.classes().any(|c| c.nodes.len() > 1)
}

fn choose(
    func: &Func,
    region: RegionId,
    converted: &convert::Converted,
    search: &Search,
    options: &Options,
) -> Option<Choice> {
    let graph = &converted.graph;
    let results = func.region(region).results.iter();
    let roots: Vec<_> = results.map(|v| converted.class_of.get(v).copied()).collect::<Option<_>>()?;
    let mut original = FxHashMap::default();
    for (place, (node, _)) in converted.added.iter().enumerate() {
        original.entry(canonical(graph, node)).or_insert(place as u32);
    }
    let wanted =
        Wanted { roots: &roots, original: &original, replaced: &search.replaced, sizes: &options.sizes };
    Choice::new(graph, &wanted)
}
