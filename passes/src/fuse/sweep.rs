//! The search for the values that are worth to be in memory.
//!
//! One value at a time changes its place, in or out of memory, and stays where the whole plan is cheaper; that is gone
//! over until nothing changes. Each change is priced exactly, which takes only the kernels that it touches. It begins
//! once with everything in memory and once with nothing, because a reduction and its consumer may pay together only.

use super::graph::Graph;
use super::kernel::{Kernel, Obstacle, Price};
use crate::cost::{self, LAUNCH};
use crate::sizes::Sizes;
use std::collections::HashSet;

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
}

impl<'a, 'f> Sweep<'a, 'f> {
    /// The cheapest choice that is found.
    pub(super) fn run(graph: &'a Graph<'f>, sizes: &Sizes) -> (Sweep<'a, 'f>, Vec<(usize, Refusal)>) {
        let everything: Vec<bool> = graph.items.iter().map(|i| i.computes()).collect();
        let nothing: Vec<bool> = graph.items.iter().map(|i| i.forced).collect();
        let mut sweep = Sweep { graph, stored: everything, priced: 0 };
        let first = sweep.settle();
        if sweep.choices().len() <= MANY {
            let best = std::mem::replace(&mut sweep.stored, nothing);
            let second = sweep.settle();
            if !second.below(&first) {
                sweep.stored = best;
            }
        }
        let refusals = sweep.refusals(sizes);
        (sweep, refusals)
    }

    /// Values whose place is a choice.
    fn choices(&self) -> Vec<usize> {
        let free = |i: &usize| self.graph.items[*i].computes() && !self.graph.items[*i].forced;
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
                let (before, after) = self.flipped(*v);
                if after.below(&before) {
                    self.stored[*v] = !self.stored[*v];
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        self.total()
    }

    /// The price of the kernels that a value's place touches, as it is and the other way.
    fn flipped(&mut self, v: usize) -> (Total, Total) {
        let roots = self.touched(v);
        if roots.len() > MOST_USERS {
            return Default::default();
        }
        let before = self.price(&roots);
        self.stored[v] = !self.stored[v];
        let after = self.price(&roots);
        self.stored[v] = !self.stored[v];
        (before, after)
    }

    /// The values whose kernels would compute this one if it were not in memory, and itself.
    fn touched(&self, v: usize) -> Vec<usize> {
        let (mut open, mut roots, mut seen) = (vec![v], vec![v], HashSet::from([v]));
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
                let bytes = 2.0 * item.elements() * item.size as f64;
                let time = bytes / cost::bandwidth(bytes) + LAUNCH;
                total.add(&Ok(Price { ops: 0.0, bytes, time }));
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
            let (before, after) = self.flipped(v);
            if after.impossible == before.impossible
                && (after.ops > before.ops) != (after.bytes > before.bytes)
            {
                self.graph.dims(v).iter().for_each(|d| sizes.compare(d));
            }
            if !self.stored[v] {
                continue;
            }
            if after.impossible > before.impossible {
                let roots = self.touched(v);
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
