//! Values that one kernel writes together: the mean and the variance of the same rows, say.
//!
//! When it is known which values are in memory, kernels that read the same are put together, pair by pair, where that is
//! cheaper: what they share is read and computed once. A value that only its own group needs is then in memory for
//! nothing, and leaves it. Parts that a result is put together from (`stack([mean(x), var(x)])`) are computed where they go;
//! where one kernel for all of them gains more than copies of them cost, they are put into memory for it.

use super::graph::{Graph, Work};
use super::kernel::{Kernel, Obstacle, Price};
use matex_ir::tensor::Kind;
use std::collections::BTreeMap;

/// Functions with more nodes than these are left as they are.
const MOST_NODES: usize = 2_000;

/// How many kernels before it one is compared with.
const NEAR: usize = 16;

pub(super) struct Groups<'a, 'f> {
    graph: &'a Graph<'f>,
    stored: &'a mut Vec<bool>,
    captured: &'a [bool],
    /// The group of each value that is in memory, by its last member, which is where the kernel stands.
    last: BTreeMap<usize, usize>,
    members: BTreeMap<usize, Vec<usize>>,
}

impl<'a, 'f> Groups<'a, 'f> {
    /// Puts values together; `stored` loses those that are not needed any more. Gives the groups of several.
    pub(super) fn find(
        graph: &'a Graph<'f>,
        stored: &'a mut Vec<bool>,
        captured: &'a [bool],
    ) -> Vec<Vec<usize>> {
        if graph.items.len() > MOST_NODES {
            return Vec::new();
        }
        let alone: Vec<usize> = (0..graph.items.len()).filter(|v| stored[*v]).collect();
        let last = alone.iter().map(|v| (*v, *v)).collect();
        let members = alone.iter().map(|v| (*v, vec![*v])).collect();
        let mut groups = Groups { graph, stored, captured, last, members };
        for v in alone {
            while groups.join_best(v) {}
        }
        groups.drop_inner();
        let concats =
            graph.func.nodes.iter().enumerate().filter(|(_, n)| matches!(n.kind, Kind::Concat { .. }));
        concats.for_each(|(v, _)| groups.join_parts(v));
        groups.members.into_values().filter(|g| g.len() > 1).collect()
    }

    fn price(&self, roots: &[usize]) -> Result<Price, Obstacle> {
        Kernel::price(self.graph, self.stored, roots)
    }

    /// Joins the group that ends in a value with the one before it that gains most; whether there was one.
    fn join_best(&mut self, v: usize) -> bool {
        let Some(own) = self.members.get(&v).cloned() else { return false };
        let before: Vec<usize> = self.members.range(..v).rev().take(NEAR).map(|(last, _)| *last).collect();
        let mut best: Option<(f64, Vec<usize>, usize)> = None;
        for last in before {
            let joint: Vec<usize> = self.members[&last].iter().chain(&own).copied().collect();
            if !self.may_join(&joint, v) {
                continue;
            }
            let (Ok(a), Ok(b), Ok(both)) =
                (self.price(&self.members[&last]), self.price(&own), self.price(&joint))
            else {
                continue;
            };
            let gain = a.time + b.time - both.time;
            // What shares nothing is no business of one kernel.
            let shares = both.bytes < a.bytes + b.bytes;
            if shares && gain > best.as_ref().map_or(1e-6, |b| b.0) {
                best = Some((gain, joint, last));
            }
        }
        let Some((_, mut joint, last)) = best else { return false };
        joint.sort_unstable();
        self.members.remove(&last);
        self.last.extend(joint.iter().map(|m| (*m, v)));
        self.members.insert(v, joint);
        true
    }

    /// Whether the values can be computed as late as the last of them.
    fn may_join(&self, joint: &[usize], last: usize) -> bool {
        let nodes = &self.graph.func.nodes;
        let first = joint.iter().copied().min().unwrap_or(last);
        let plain = |v: &usize| !self.captured[*v] && self.graph.items[*v].work != Work::Whole;
        let updated = nodes[first..=last].iter().any(|n| {
            matches!(n.kind, Kind::Update(_) | Kind::ScatterAlong { .. }) || !n.kind.regions().is_empty()
        });
        let same = joint.iter().all(|v| self.graph.home[*v] == self.graph.home[last]);
        same && !updated && joint.iter().all(plain) && self.needed_after(joint, last)
    }

    /// Whether nothing outside of a group needs one of its members before the last one is computed.
    fn needed_after(&self, joint: &[usize], last: usize) -> bool {
        // For each node the first place at which something that it is needed for is computed.
        let nodes = &self.graph.func.nodes;
        let first = joint.iter().copied().min().unwrap_or(last);
        let mut early = vec![false; last + 1 - first];
        for (i, node) in nodes.iter().enumerate().take(last + 1).skip(first).rev() {
            let item = &self.graph.items[i];
            let expression = !matches!(item.work, Work::Memory | Work::Free);
            let computed = if joint.contains(&i) {
                false
            } else if self.stored[i] {
                self.last.get(&i).is_some_and(|at| *at <= last)
            } else {
                !expression || item.needed || item.fills > 0 || early[i - first]
            };
            for arg in node.args.iter().map(|a| a.0 as usize).filter(|a| *a >= first) {
                // What a step needs, it needs where it stands.
                let step = !expression || demanded_here(self.graph, i, arg);
                early[arg - first] |= computed || step;
            }
        }
        joint.iter().all(|v| *v == last || !early[v - first])
    }

    /// Puts the parts of a value into memory to be written together, where that is cheaper with the copies to their places. What only
    /// they need leaves memory then.
    fn join_parts(&mut self, v: usize) {
        let parts: Vec<usize> = self.graph.func.nodes[v].args.iter().map(|a| a.0 as usize).collect();
        let mut joint: Vec<usize> = parts.iter().map(|p| self.graph.behind_views(*p)).collect();
        joint.sort_unstable();
        joint.dedup();
        let alone = |i: &usize| self.members.get(i).is_some_and(|g| g.len() == 1);
        let free = |u: &usize| {
            let item = &self.graph.items[*u];
            item.computes() && !item.needed && !self.captured[*u] && (alone(u) || !self.stored[*u])
        };
        if joint.len() < 2 || joint.len() < parts.len() || !joint.iter().all(free) {
            return;
        }
        let there: Vec<usize> = joint.iter().copied().filter(|u| self.stored[*u]).collect();
        let ends: Vec<usize> = parts.iter().chain(&joint).copied().collect();
        let near = self.members.range(..v).rev().take(NEAR).flat_map(|(_, g)| g).copied();
        let inner = near.filter(|i| alone(i) && !joint.contains(i) && self.serves_only(*i, &ends));
        let inner: Vec<usize> = inner.collect();
        let apart = parts.iter().chain(&inner).chain(&there).map(|p| self.price(&[*p]));
        let apart: Result<Vec<Price>, Obstacle> = apart.collect();
        joint.iter().for_each(|u| self.stored[*u] = true);
        inner.iter().for_each(|i| self.stored[*i] = false);
        let last = joint[joint.len() - 1];
        let cheaper = match (apart, self.price(&joint)) {
            (Ok(apart), Ok(together)) => {
                let copies: f64 = parts.iter().map(|p| self.graph.copy(*p).time).sum();
                together.time + copies + 1e-6 < apart.iter().map(|p| p.time).sum()
            }
            (Ok(_) | Err(_), _) => false,
        };
        if cheaper && self.may_join(&joint, last) {
            for i in inner.iter().chain(&there) {
                self.members.remove(i);
                self.last.remove(i);
            }
            self.last.extend(joint.iter().map(|u| (*u, last)));
            self.members.insert(last, joint);
        } else {
            joint.iter().for_each(|u| self.stored[*u] = there.contains(u));
            inner.iter().for_each(|i| self.stored[*i] = true);
        }
    }

    /// Whether a value is in memory for the kernels of these alone, and need not be.
    fn serves_only(&self, v: usize, roots: &[usize]) -> bool {
        let item = &self.graph.items[v];
        !item.forced && item.fills == 0 && self.graph.only_needed_in(v, roots, self.stored)
    }

    /// Takes values out of memory that only their own group needs.
    fn drop_inner(&mut self) {
        let groups: Vec<usize> = self.members.iter().filter(|(_, g)| g.len() > 1).map(|(l, _)| *l).collect();
        for last in groups {
            let inner: Vec<usize> = self.members[&last].iter().copied().filter(|v| *v != last).collect();
            for v in inner {
                let group = self.members[&last].clone();
                if !self.serves_only(v, &group) {
                    continue;
                }
                let rest: Vec<usize> = group.iter().copied().filter(|m| *m != v).collect();
                let before = self.price(&group);
                self.stored[v] = false;
                let after = self.price(&rest);
                if matches!((before, after), (Ok(before), Ok(after)) if after.time <= before.time) {
                    self.members.insert(last, rest);
                    self.last.remove(&v);
                } else {
                    self.stored[v] = true;
                }
            }
        }
    }
}

/// Whether a node that is an expression needs an operand in memory all the same.
fn demanded_here(graph: &Graph<'_>, node: usize, arg: usize) -> bool {
    let inlined = graph.items[node].edges.iter().any(|e| e.node == arg);
    !inlined || graph.demanded_by(node, arg)
}
