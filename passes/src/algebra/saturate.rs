//! Applies rules until nothing new is found, or a limit is reached.
//!
//! Limits count e-nodes and rounds and never time, so that a program becomes the same on every machine. They are
//! looked at after each application, which keeps what is made within a few nodes of what is allowed.

use super::Mode;
use super::graph::Graph;
use super::lang::TensorLang;
use crate::rules::Site;
use egg::{Id, Language};
use matex_ir::Span;
use rustc_hash::FxHashSet;

/// What stopped the search for equal forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing new was found.
    Saturated,
    /// The limit `optimizer_nodes`, with its value.
    Nodes(usize),
    /// The limit `optimizer_iterations`, with its value.
    Iterations(usize),
}

/// One application of a rule that said something new.
#[derive(Clone, Debug)]
pub(crate) struct Firing {
    /// The number of the rule in its set.
    pub(crate) rule: usize,
    /// The node that it matched.
    pub(crate) site: Site,
    /// The value that it gives in its place.
    pub(crate) result: Id,
    /// The place in the source of what it matched.
    pub(crate) origin: Span,
}

/// What saturation did.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) stop: Stop,
    pub(crate) rounds: usize,
    pub(crate) firings: Vec<Firing>,
    /// Nodes that a directed rule replaced.
    pub(crate) replaced: Vec<Site>,
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) nodes: usize,
    pub(crate) rounds: usize,
}

/// Adds to the e-graph all that the rules say, within bounds.
pub(crate) fn saturate(graph: &mut Graph, mode: Mode<'_>, bounds: Bounds) -> Search {
    let mut search = Search {
        stop: Stop::Iterations(bounds.rounds),
        rounds: 0,
        firings: Vec::new(),
        replaced: Vec::new(),
    };
    let mut seen: FxHashSet<(TensorLang, usize)> = FxHashSet::default();
    graph.rebuild();
    while search.rounds < bounds.rounds {
        search.rounds += 1;
        let sites = sites(graph, mode);
        let before = search.firings.len();
        for site in &sites {
            for (number, rule) in mode.rules.for_tag(site.node.tag) {
                let origin = graph.facts(site.class).origin;
                graph.egg.analysis.origin = origin;
                let results = rule.results(graph, site);
                for result in results {
                    let directed = rule.rule.is_directed() || mode.prefer == Some(rule.rule.name);
                    if directed && seen.insert((site.node.clone(), number)) {
                        search.replaced.push(site.clone());
                    }
                    // An explanation has to begin at the node that was matched, and not at whatever stands for its class.
                    let from =
                        if mode.explain { graph.egg.add_uncanonical(site.node.clone()) } else { site.class };
                    if graph.union(from, result, rule.rule.name) {
                        search.firings.push(Firing { rule: number, site: site.clone(), result, origin });
                    }
                }
                if graph.egg.total_size() > bounds.nodes {
                    search.stop = Stop::Nodes(bounds.nodes);
                    graph.rebuild();
                    return search;
                }
                if graph.egg.analysis.wrong.is_some() {
                    return search;
                }
            }
        }
        graph.rebuild();
        if search.firings.len() == before {
            search.stop = Stop::Saturated;
            return search;
        }
    }
    search
}

/// Every node of every class that a rule is tried on, in the order of the classes.
fn sites(graph: &Graph, mode: Mode<'_>) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    for class in graph.egg.classes() {
        let tried = class.nodes.iter().filter(|n| mode.rules.for_tag(n.tag).next().is_some());
        sites.extend(tried.map(|node| Site { class: class.id, node: node.clone() }));
    }
    if mode.shuffle != 0 {
        let mut state = mode.shuffle;
        for i in (1..sites.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sites.swap(i, (state >> 33) as usize % (i + 1));
        }
    }
    sites
}

/// The node as it stands in the e-graph now.
pub(crate) fn canonical(graph: &Graph, node: &TensorLang) -> TensorLang {
    node.clone().map_children(|id| graph.egg.find(id))
}
