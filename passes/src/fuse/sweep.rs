//! The search for the values that are worth to be in memory.
//!
//! One value at a time changes its place, in or out of memory, and stays where the whole plan is cheaper; that is gone
//! over until nothing changes. Each change is priced exactly, which takes only the kernels that it touches. It begins
//! once with everything in memory and once with nothing, because a reduction and its consumer may pay together only. Where nothing
//! changes any more, a value may still be worth less in memory than the reductions that its kernel does for it.

use super::graph::{Graph, Work};
use super::kernel::{Kernel, Obstacle, Price};
use crate::sizes::Sizes;
use rustc_hash::FxHashSet;

/// How often all values are gone over at most.
const ROUNDS: usize = 8;

/// Kernels that are priced at most before the search ends with what it has.
const MOST: usize = 50_000;

/// A value that more kernels than these would compute is in memory.
const MOST_USERS: usize = 64;

/// With more choices than these there is one beginning only: kernels that are too large are slow to take apart.
const MANY: usize = 300;

/// The price of a plan: kernels that do not exist count before all time.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct Total {
    pub(super) impossible: usize,
    pub(super) time: f64,
    ops: f64,
    bytes: f64,
}

impl Total {
    fn add(&mut self, other: &Result<Price, Obstacle>) {
        match other {
            Ok(price) => {
                self.time += price.time;
                self.ops += price.ops;
                self.bytes += price.bytes;
            }
            Err(_) => self.impossible += 1,
        }
    }

    fn join(&mut self, other: &Total) {
        self.impossible += other.impossible;
        self.time += other.time;
        self.ops += other.ops;
        self.bytes += other.bytes;
    }

    fn below(&self, other: &Total) -> bool {
        (self.impossible, self.time + 1e-6) < (other.impossible, other.time)
    }
}

/// What was found out about a value that stayed in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// There is no kernel without it.
    Impossible(Obstacle),
    /// The plan without it takes so many nanoseconds more.
    Dearer(f64),
}

pub(super) struct Sweep<'a, 'f> {
    pub(super) graph: &'a Graph<'f>,
    pub(super) stored: Vec<bool>,
    /// How many prices were asked for.
    pub(super) priced: usize,
    /// The prices of kernels as things stand, by the values that they end in.
    known: Vec<Option<Total>>,
    /// Values that are never in memory, because their one user is better off with them.
    glued: Vec<bool>,
}

impl<'a, 'f> Sweep<'a, 'f> {
    /// The cheapest choice that is found.
    pub(super) fn run(graph: &'a Graph<'f>, sizes: &Sizes) -> (Sweep<'a, 'f>, Vec<(usize, Refusal)>) {
        let glued = glued(graph);
        let everything = graph.items.iter().zip(&glued).map(|(i, glued)| i.computes() && !glued).collect();
        let nothing: Vec<bool> = graph.items.iter().map(|i| i.forced).collect();
        let mut sweep = Sweep { glued, ..Sweep::at(graph, everything) };
        let first = sweep.settle();
        if sweep.choices().len() <= MANY {
            let best = std::mem::replace(&mut sweep.stored, nothing);
            sweep.known.fill(None);
            let second = sweep.settle();
            if !second.below(&first) {
                sweep.stored = best;
                sweep.known.fill(None);
            }
        }
        let refusals = sweep.refusals(sizes);
        (sweep, refusals)
    }

    /// The plan with these values in memory.
    pub(super) fn at(graph: &'a Graph<'f>, stored: Vec<bool>) -> Sweep<'a, 'f> {
        let glued = vec![false; graph.items.len()];
        Sweep { graph, stored, priced: 0, known: vec![None; graph.items.len()], glued }
    }

    /// Values whose place is a choice.
    fn choices(&self) -> Vec<usize> {
        let free =
            |i: &usize| self.graph.items[*i].computes() && !self.graph.items[*i].forced && !self.glued[*i];
        (0..self.graph.items.len()).filter(free).collect()
    }

    /// Goes over all values until nothing changes, and gives the price.
    fn settle(&mut self) -> Total {
        let choices = self.choices();
        for _ in 0..ROUNDS {
            let mut changed = false;
            for v in &choices {
                if self.priced > MOST {
                    return self.total();
                }
                changed |= self.try_flip(&[*v]);
            }
            if !changed && (choices.len() > MANY || !self.exchange(&choices)) {
                break;
            }
        }
        self.total()
    }

    /// Tries for each value in memory to have a reduction there instead that its kernel does for it: that takes two changes, of which
    /// neither pays alone.
    fn exchange(&mut self, choices: &[usize]) -> bool {
        let mut changed = false;
        for v in choices {
            if !self.stored[*v] {
                continue;
            }
            for fold in self.folds_inside(*v) {
                if self.priced > MOST {
                    return changed;
                }
                if self.try_flip(&[*v, fold]) {
                    changed = true;
                    break;
                }
            }
        }
        changed
    }

    /// The reductions that the kernel of a value does for it, and that could be in memory.
    fn folds_inside(&self, v: usize) -> Vec<usize> {
        let (mut open, mut seen, mut folds) = (vec![v], FxHashSet::default(), Vec::new());
        while let Some(value) = open.pop() {
            for edge in &self.graph.items[value].edges {
                if self.stored[edge.node] || !seen.insert(edge.node) {
                    continue;
                }
                open.push(edge.node);
                if self.graph.items[edge.node].work == Work::Fold && !self.glued[edge.node] {
                    folds.push(edge.node);
                }
            }
        }
        folds.sort_unstable();
        folds
    }

    /// Changes the places of values where the plan is cheaper then.
    fn try_flip(&mut self, values: &[usize]) -> bool {
        let (before, after) = self.flipped(values);
        let better = after.below(&before);
        if better {
            for root in self.touched(values) {
                self.known[root] = None;
            }
            values.iter().for_each(|v| self.stored[*v] = !self.stored[*v]);
        }
        better
    }

    /// The price of the kernels that the places of values touch, as they are and the other way.
    fn flipped(&mut self, values: &[usize]) -> (Total, Total) {
        let roots = self.touched(values);
        if roots.len() > MOST_USERS {
            return Default::default();
        }
        let mut before = Total::default();
        for root in &roots {
            let one = match self.known[*root] {
                Some(known) => known,
                None => {
                    let one = self.price(&[*root]);
                    self.known[*root] = Some(one);
                    one
                }
            };
            before.join(&one);
        }
        values.iter().for_each(|v| self.stored[*v] = !self.stored[*v]);
        let after = self.price(&roots);
        values.iter().for_each(|v| self.stored[*v] = !self.stored[*v]);
        (before, after)
    }

    /// The values whose kernels would compute one of these if it were not in memory, and themselves.
    fn touched(&self, values: &[usize]) -> Vec<usize> {
        let (mut open, mut roots) = (values.to_vec(), values.to_vec());
        let mut seen: FxHashSet<usize> = values.iter().copied().collect();
        while let Some(value) = open.pop() {
            for user in &self.graph.users[value] {
                if !seen.insert(*user) {
                    continue;
                }
                if self.is_root(*user) {
                    roots.push(*user);
                }
                if !self.stored[*user] {
                    open.push(*user);
                }
            }
        }
        roots.sort_unstable();
        roots
    }

    /// Whether a kernel ends in this value.
    fn is_root(&self, v: usize) -> bool {
        let item = &self.graph.items[v];
        self.stored[v] || item.needed || item.fills > 0
    }

    fn price(&mut self, roots: &[usize]) -> Total {
        let mut total = Total::default();
        for root in roots {
            let item = &self.graph.items[*root];
            if !self.is_root(*root) || item.edges.is_empty() && !self.stored[*root] && item.fills == 0 {
                continue;
            }
            self.priced += 1;
            if self.stored[*root] || item.needed || item.fills > 0 {
                total.add(&Kernel::price(self.graph, &self.stored, &[*root]));
            }
            if item.fills > 0 && (self.stored[*root] || item.needed) {
                // It is in memory, and copied to its place.
                total.add(&Ok(self.graph.copy(*root)));
            }
        }
        total
    }

    /// The price of the whole plan.
    pub(super) fn total(&mut self) -> Total {
        let roots: Vec<usize> = (0..self.graph.items.len()).filter(|v| self.is_root(*v)).collect();
        self.price(&roots)
    }

    /// Why values stayed in memory. Where fewer bytes were weighed against more arithmetic, other sizes may weigh
    /// otherwise, and they are noted.
    fn refusals(&mut self, sizes: &Sizes) -> Vec<(usize, Refusal)> {
        let mut refusals = Vec::new();
        for v in self.choices() {
            let (before, after) = self.flipped(&[v]);
            if after.impossible == before.impossible
                && (after.ops > before.ops) != (after.bytes > before.bytes)
            {
                self.graph.dims(v).iter().for_each(|d| sizes.compare(d));
            }
            if !self.stored[v] {
                continue;
            }
            if after.impossible > before.impossible {
                let roots = self.touched(&[v]);
                self.stored[v] = false;
                let why = roots
                    .iter()
                    .filter(|r| self.is_root(**r))
                    .find_map(|r| Kernel::price(self.graph, &self.stored, &[*r]).err());
                self.stored[v] = true;
                refusals.extend(why.map(|why| (v, Refusal::Impossible(why))));
            } else {
                refusals.push((v, Refusal::Dearer(after.time - before.time)));
            }
        }
        refusals
    }
}

/// As many values in a row are left to their users at most, so that a long chain can still be cut.
const GLUED: usize = 24;

/// Elements with one user, itself an element of the same shape and width: computing them along costs nothing and saves
/// their way through memory, so that there is nothing to choose.
fn glued(graph: &Graph<'_>) -> Vec<bool> {
    let mut run = vec![0usize; graph.items.len()];
    for (v, item) in graph.items.iter().enumerate() {
        let [user] = graph.users[v].as_slice() else { continue };
        let user_item = &graph.items[*user];
        let (Work::Element(own), Work::Element(by)) = (item.work, user_item.work) else { continue };
        let alike = graph.dims(v) == graph.dims(*user) && item.size == user_item.size;
        let free = !item.forced && !item.needed && item.fills == 0 && !own.scalar && !by.scalar;
        let before = item.edges.iter().map(|e| run[e.node]).max().unwrap_or(0);
        if alike && free && before < GLUED {
            run[v] = before + 1;
        }
    }
    run.into_iter().map(|r| r > 0).collect()
}
