//! Chooses one node for each class that is needed, so that the whole costs little.
//!
//! A value that is used twice is paid once, which makes the best choice of each class by itself wrong for the whole.
//! Classes are first given the node whose graph of operands is cheapest, each shared part counted once; then single
//! choices are flipped as long as the price of everything falls. Where two choices cost the same, the program's own
//! comes first, and after that an order that does not depend on how the e-graph came about.

use super::cost;
use super::graph::Graph;
use super::lang::TensorLang;
use crate::rules::Site;
use crate::sizes::Sizes;
use egg::Id;
use matex_ir::Dim;
use matex_ir::dim::Atom;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// Steps of looking at a node that one extraction may take; past them, prices count shared parts twice.
const STEPS: usize = 2_000_000;
/// Rounds of better choices after every class has one.
const GREEDY_ROUNDS: usize = 8;
/// Rounds of flips.
const FLIP_ROUNDS: usize = 4;
/// How much cheaper a choice must be to be another one: prices are sums in varying order.
const MARGIN: f64 = 1e-13;

/// A node that a class may be.
#[derive(Debug)]
struct Candidate {
    node: TensorLang,
    cost: f64,
    args: SmallVec<[usize; 3]>,
    /// Its place in the program, if it stands there.
    original: Option<u32>,
}

#[derive(Debug)]
struct Class {
    id: Id,
    candidates: Vec<Candidate>,
    chosen: Option<usize>,
    cost: f64,
}

/// The chosen node of every class.
pub(crate) struct Choice {
    classes: Vec<Class>,
    places: FxHashMap<Id, usize>,
    /// For each class the mark of the last walk that came by, and walks so far.
    marks: Vec<u32>,
    walk: u32,
    steps: usize,
    /// The classes that the roots need, in order.
    needed: Vec<usize>,
    /// Memory for walks.
    open: Vec<usize>,
}

/// What extraction has to know besides the e-graph.
pub(crate) struct Wanted<'a> {
    /// Classes that must have a node.
    pub(crate) roots: &'a [Id],
    /// Nodes of the program, as they stand in the e-graph now, with their places.
    pub(crate) original: &'a FxHashMap<TensorLang, u32>,
    /// Nodes that are no choice any more.
    pub(crate) replaced: &'a [Site],
    pub(crate) sizes: &'a Sizes,
}

impl Choice {
    /// Chooses a node for all classes that the roots need; `None` when that cannot be done, which is a bug.
    pub(crate) fn new(graph: &Graph, wanted: &Wanted<'_>) -> Option<Choice> {
        let mut choice = Choice::candidates(graph, wanted);
        choice.greedy(graph);
        let roots: Vec<usize> =
            wanted.roots.iter().map(|r| choice.place(graph, *r)).collect::<Option<_>>()?;
        if roots.iter().any(|r| choice.classes[*r].chosen.is_none()) {
            return None;
        }
        choice.flip(graph, &roots);
        choice.settle(graph, &roots);
        choice.needed = choice.needed(&roots);
        choice.note_compared(graph, wanted.sizes);
        Some(choice)
    }

    /// The chosen node of a class.
    pub(crate) fn node(&self, graph: &Graph, id: Id) -> Option<&TensorLang> {
        let class = &self.classes[self.place(graph, id)?];
        Some(&class.candidates[class.chosen?].node)
    }

    fn place(&self, graph: &Graph, id: Id) -> Option<usize> {
        self.places.get(&graph.egg.find(id)).copied()
    }

    fn candidates(graph: &Graph, wanted: &Wanted<'_>) -> Choice {
        let mut ids: Vec<Id> = graph.egg.classes().map(|c| c.id).collect();
        ids.sort_unstable();
        let places: FxHashMap<Id, usize> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let replaced: FxHashSet<TensorLang> =
            wanted.replaced.iter().map(|s| super::saturate::canonical(graph, &s.node)).collect();
        let class = |id: &Id| {
            let of = |n: &TensorLang| {
                let args = n.args.iter().map(|a| places[&graph.egg.find(*a)]).collect();
                let ty = graph.egg.analysis.tensor(graph.facts(*id).ty);
                let cost = cost::of_node(graph, n, ty, wanted.sizes);
                Candidate { node: n.clone(), cost, args, original: wanted.original.get(n).copied() }
            };
            let nodes = &graph.egg[*id].nodes;
            let kept: Vec<Candidate> = nodes.iter().filter(|n| !replaced.contains(*n)).map(of).collect();
            let candidates = if kept.is_empty() { nodes.iter().map(of).collect() } else { kept };
            Class { id: *id, candidates, chosen: None, cost: f64::INFINITY }
        };
        let classes: Vec<Class> = ids.iter().map(class).collect();
        let marks = vec![0; classes.len()];
        Choice { classes, places, marks, walk: 0, steps: 0, needed: Vec::new(), open: Vec::new() }
    }

    /// Gives each class its cheapest node, from the leaves up, until nothing changes.
    fn greedy(&mut self, graph: &Graph) {
        let mut settling = true;
        let mut rounds = 0;
        while settling || rounds < GREEDY_ROUNDS {
            let (mut settled, mut changed) = (false, false);
            for place in 0..self.classes.len() {
                let first = self.classes[place].chosen.is_none();
                let better = self.improve(graph, place);
                settled |= better && first;
                changed |= better;
            }
            rounds += usize::from(!settled);
            settling = settled;
            if !changed {
                break;
            }
        }
    }

    /// Gives a class a better node, if there is one; a class of one node is settled once its operands are.
    fn improve(&mut self, graph: &Graph, place: usize) -> bool {
        let class = &self.classes[place];
        if class.chosen.is_some() && (class.candidates.len() == 1 || self.steps > STEPS) {
            return false;
        }
        let mut best: Option<(usize, f64)> = None;
        for i in 0..self.classes[place].candidates.len() {
            let Some(cost) = self.price(place, i) else { continue };
            let better = match best {
                None => true,
                Some((_, b)) if cost < b * (1.0 - MARGIN) => true,
                Some((j, b)) => cost <= b * (1.0 + MARGIN) && self.before(graph, place, i, j),
            };
            if better {
                best = Some((i, cost));
            }
        }
        let Some((i, cost)) = best else { return false };
        let class = &mut self.classes[place];
        let changed = class.chosen != Some(i);
        (class.chosen, class.cost) = (Some(i), cost);
        changed
    }

    /// The price of a class by its operands' prices, shared parts counted as often as they are used.
    fn tree(&self, place: usize, candidate: usize) -> f64 {
        let c = &self.classes[place].candidates[candidate];
        c.cost + c.args.iter().map(|a| self.classes[*a].cost).sum::<f64>()
    }

    /// The price of a node with all that it needs, each part counted once; `None` when an operand has no node yet, or
    /// needs this very class.
    fn price(&mut self, place: usize, candidate: usize) -> Option<f64> {
        if self.classes[place].candidates[candidate].args.iter().any(|a| self.classes[*a].chosen.is_none()) {
            return None;
        }
        if self.classes[place].candidates.len() == 1 || self.steps > STEPS {
            return Some(self.tree(place, candidate));
        }
        let mut total = self.classes[place].candidates[candidate].cost;
        self.walk += 1;
        let mut open = std::mem::take(&mut self.open);
        open.clear();
        open.extend(&self.classes[place].candidates[candidate].args);
        let mut whole = true;
        while let Some(at) = open.pop() {
            let class = &self.classes[at];
            let Some(chosen) = class.chosen.filter(|_| at != place) else {
                whole = false;
                break;
            };
            if std::mem::replace(&mut self.marks[at], self.walk) == self.walk {
                continue;
            }
            self.steps += 1;
            let c = &class.candidates[chosen];
            total += c.cost;
            open.extend(&c.args);
        }
        self.open = open;
        whole.then_some(total)
    }

    /// Whether of two nodes that cost the same the first is preferred.
    fn before(&self, graph: &Graph, place: usize, i: usize, j: usize) -> bool {
        let (a, b) = (&self.classes[place].candidates[i], &self.classes[place].candidates[j]);
        let original = |c: &Candidate| c.original.unwrap_or(u32::MAX);
        let words = |c: &Candidate| format!("{:?}", graph.kind(&c.node));
        let order = original(a).cmp(&original(b)).then(a.node.tag.cmp(&b.node.tag));
        // Nodes of one entry do the same.
        let other = order == Ordering::Equal && a.node.entry != b.node.entry;
        let order = if other { words(a).cmp(&words(b)) } else { order };
        order.then_with(|| self.births(a).cmp(&self.births(b))) == Ordering::Less
    }

    /// The first places in the program of the operands' classes.
    fn births(&self, c: &Candidate) -> Vec<u32> {
        let first = |place: &usize| {
            let all = self.classes[*place].candidates.iter();
            all.filter_map(|c| c.original).min().unwrap_or(u32::MAX)
        };
        c.args.iter().map(first).collect()
    }

    /// The price of everything that the roots need; `None` when a class needs itself.
    fn total(&mut self, roots: &[usize]) -> Option<f64> {
        // Two marks a class: one while what it needs is looked at, one when it is done.
        self.walk += 2;
        let (open, done) = (self.walk - 1, self.walk);
        let mut total = 0.0;
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for root in roots {
            if self.marks[*root] == done {
                continue;
            }
            stack.push((*root, 0));
            self.marks[*root] = open;
            while let Some((place, next)) = stack.last_mut() {
                let class = &self.classes[*place];
                let c = &class.candidates[class.chosen?];
                self.steps += 1;
                let Some(arg) = c.args.get(*next).copied() else {
                    total += c.cost;
                    self.marks[*place] = done;
                    stack.pop();
                    continue;
                };
                *next += 1;
                if self.marks[arg] == open {
                    return None;
                }
                if self.marks[arg] != done {
                    self.marks[arg] = open;
                    stack.push((arg, 0));
                }
            }
        }
        Some(total)
    }

    /// Changes one choice at a time where that makes the whole cheaper.
    fn flip(&mut self, graph: &Graph, roots: &[usize]) {
        let Some(mut best) = self.total(roots) else { return };
        for _ in 0..FLIP_ROUNDS {
            let before = best;
            for place in self.needed(roots) {
                for i in 0..self.classes[place].candidates.len() {
                    if self.classes[place].candidates.len() < 2 || self.steps > STEPS {
                        break;
                    }
                    let Some(old) = self.classes[place].chosen.filter(|old| *old != i) else { continue };
                    let args = &self.classes[place].candidates[i].args;
                    if args.iter().any(|a| self.classes[*a].chosen.is_none()) {
                        continue;
                    }
                    self.classes[place].chosen = Some(i);
                    match self.total(roots) {
                        Some(t) if t < best * (1.0 - MARGIN) => best = t,
                        Some(t) if t <= best * (1.0 + MARGIN) && self.before(graph, place, i, old) => {
                            best = best.min(t);
                        }
                        Some(_) | None => self.classes[place].chosen = Some(old),
                    }
                }
            }
            if best >= before * (1.0 - MARGIN) {
                break;
            }
        }
    }

    /// Classes that the roots need, in order.
    fn needed(&mut self, roots: &[usize]) -> Vec<usize> {
        self.walk += 1;
        let mut open: Vec<usize> = roots.to_vec();
        let mut found = Vec::new();
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut self.marks[at], self.walk) == self.walk {
                continue;
            }
            found.push(at);
            let class = &self.classes[at];
            if let Some(c) = class.chosen.map(|i| &class.candidates[i]) {
                open.extend(&c.args);
            }
        }
        found.sort_unstable();
        found
    }

    /// Takes of products and systems the form that is the cheaper one at every size, where there is one: what little the
    /// other one gains at the smallest sizes must not make the choice depend on them.
    fn settle(&mut self, graph: &Graph, roots: &[usize]) {
        let mut known: FxHashMap<usize, Dim> = FxHashMap::default();
        for place in self.needed(roots) {
            let heavy = |c: &Candidate| cost::flops(graph, &c.node).is_some();
            if self.classes[place].candidates.len() < 2 || !self.classes[place].candidates.iter().any(heavy) {
                continue;
            }
            for i in 0..self.classes[place].candidates.len() {
                let Some(chosen) = self.classes[place].chosen else { break };
                let Some(best) = self.steps_of(graph, place, chosen, &mut known) else { break };
                let Some(other) = self.steps_of(graph, place, i, &mut known) else { continue };
                if other == best || !never_negative(&(&best - &other)) {
                    continue;
                }
                self.classes[place].chosen = Some(i);
                if self.total(roots).is_none() {
                    self.classes[place].chosen = Some(chosen);
                }
                known.clear();
            }
        }
    }

    /// Notes the sizes by which a choice was made: those of products and systems of which neither is the cheaper one
    /// at every size from 1 on. All other choices would have been the same at any size.
    fn note_compared(&self, graph: &Graph, sizes: &Sizes) {
        let mut known: FxHashMap<usize, Dim> = FxHashMap::default();
        for place in self.needed.iter().copied() {
            let class = &self.classes[place];
            let heavy = |c: &Candidate| cost::flops(graph, &c.node).is_some();
            if class.candidates.len() < 2 || !class.candidates.iter().any(heavy) {
                continue;
            }
            let Some(chosen) = class.chosen else { continue };
            let Some(best) = self.steps_of(graph, place, chosen, &mut known) else { continue };
            for i in (0..self.classes[place].candidates.len()).filter(|i| *i != chosen) {
                let Some(other) = self.steps_of(graph, place, i, &mut known) else { continue };
                if !never_negative(&(&other - &best)) {
                    sizes.compare(&other);
                    sizes.compare(&best);
                }
            }
        }
    }

    /// The steps of all products and systems that a node needs, for any sizes.
    fn steps_of(
        &self,
        graph: &Graph,
        place: usize,
        candidate: usize,
        known: &mut FxHashMap<usize, Dim>,
    ) -> Option<Dim> {
        let c = &self.classes[place].candidates[candidate];
        let mut total = cost::flops(graph, &c.node).unwrap_or(Dim::ZERO);
        let mut open: Vec<usize> = c.args.to_vec();
        let mut seen: FxHashSet<usize> = FxHashSet::default();
        while let Some(at) = open.pop() {
            if at == place {
                return None;
            }
            if !seen.insert(at) {
                continue;
            }
            let class = &self.classes[at];
            let c = &class.candidates[class.chosen?];
            let own = known.entry(at).or_insert_with(|| cost::flops(graph, &c.node).unwrap_or(Dim::ZERO));
            if !own.is(0) {
                total = &total + own;
            }
            open.extend(&c.args);
        }
        Some(total)
    }

    /// Every class that is needed with its chosen node, for explanations.
    pub(crate) fn chosen(&self) -> impl Iterator<Item = (Id, &TensorLang)> {
        let needed = self.needed.iter().map(|place| &self.classes[*place]);
        needed.filter_map(|c| Some((c.id, &c.candidates[c.chosen?].node)))
    }
}

/// Whether a dim is zero or more for all sizes from 1 on.
fn never_negative(dim: &Dim) -> bool {
    let from_one = dim.substitute(&|atom| match atom {
        Atom::Size(name) => Some(&Dim::size(name) + &Dim::ONE),
        Atom::Int(_)
        | Atom::FloorDiv(..)
        | Atom::Min(..)
        | Atom::Max(..)
        | Atom::Root(_)
        | Atom::TooComplex => None,
    });
    from_one.is_nonnegative()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROGRAMS, canonical};
    use super::super::{Mode, convert, saturate};
    use super::*;
    use crate::options::Tier;
    use matex_ir::tensor::Func;

    /// The price of the best of all choices, by trying them all.
    fn best(choice: &mut Choice, roots: &[usize], open: &[usize]) -> f64 {
        let Some((place, rest)) = open.split_first() else {
            return choice.total(roots).unwrap_or(f64::INFINITY);
        };
        let mut least = f64::INFINITY;
        for i in 0..choice.classes[*place].candidates.len() {
            choice.classes[*place].chosen = Some(i);
            least = least.min(best(choice, roots, rest));
        }
        least
    }

    #[test]
    fn nothing_is_cheaper_than_what_is_chosen() {
        for (text, sizes) in PROGRAMS.iter().flat_map(|p| [3, 100, 5000].map(|n| (p, n))) {
            let func = canonical(text);
            let around = convert::Around::of(&func).unwrap();
            let mut converted = convert::build(&func, Func::BODY, &around, false);
            let bounds = saturate::Bounds { nodes: 4000, rounds: 8 };
            let search = saturate::saturate(&mut converted.graph, Mode::of(Tier::Default), bounds);
            let graph = &converted.graph;
            let names = ["n", "k", "m"].iter().enumerate();
            let sizes = Sizes::of(names.map(|(i, name)| (Atom::Size((*name).into()), sizes >> (3 * i))));
            let original = FxHashMap::default();
            let wanted =
                Wanted { roots: &[], original: &original, replaced: &search.replaced, sizes: &sizes };
            let mut choice = Choice::candidates(graph, &wanted);
            choice.greedy(graph);
            let results = func.results().iter();
            let roots: Vec<usize> =
                results.map(|v| choice.place(graph, converted.class_of[v]).unwrap()).collect();
            choice.flip(graph, &roots);
            let found = choice.total(&roots).unwrap();
            let all = 0..choice.classes.len();
            let open: Vec<usize> = all.filter(|p| choice.classes[*p].candidates.len() > 1).collect();
            let ways: usize = open.iter().map(|p| choice.classes[*p].candidates.len()).product();
            assert!((2..2_000_000).contains(&ways), "{ways} ways to choose in {text}");
            let least = best(&mut choice, &roots, &open);
            assert!(found <= least * (1.0 + 1e-9), "{found} and not {least} for {text}");
        }
    }
}
