//! The order of a loop's instructions: chains that do not depend on each other side by side.
//!
//! An elementary function is a chain of some fifteen dependent steps, each of several cycles. What waits fills the CPU's
//! schedulers, so that it does not look far enough ahead to find the chains of other registers by itself. A list scheduler takes
//! what is ready and has the longest way to go, as long as the values that are alive fit into registers.

use super::level::Level;
use super::mir::{Arg, Base, Item, Place, V};
use std::collections::HashMap;

/// More than this many instructions are left as they are, since looking for an order would take long.
pub(super) const MOST: usize = 1000;

/// Fewer dependent steps than this with comparisons among them, as the place of the largest element is found by, are left as they
/// are too: the CPU sees past their end by itself, and a choice that waits for the last round of the loop would only come later.
const FEWEST: usize = 12;

/// Instructions that begin in one cycle.
const WIDTH: usize = 2;

/// Cycles until a result can be used, roughly: what counts is that chains are told from what is not one.
const LATENCY: usize = 4;

/// Brings a line into another order of the same meaning. `outside` says which values have a home.
pub(super) fn schedule(items: Vec<Item>, level: Level, outside: impl Fn(V) -> bool) -> Vec<Item> {
    // Around a call everything is saved, and the fewer values there are the better.
    let calls = items.iter().any(|i| matches!(i, Item::Call(c) if c.rest.is_none()));
    if items.len() > MOST || calls {
        return items;
    }
    let scheduler = Scheduler::new(&items, level, outside);
    let short = scheduler.way.iter().all(|way| *way < FEWEST * LATENCY);
    if short && items.iter().filter_map(Item::def).any(|v| v.mask) {
        return items;
    }
    let order = scheduler.order();
    let mut items: Vec<Option<Item>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|n| items[n].take()).collect()
}

struct Scheduler {
    /// What has to wait for each.
    after: Vec<Vec<usize>>,
    /// How many each has to wait for.
    before: Vec<usize>,
    /// Cycles from each to the end of what waits for it.
    way: Vec<usize>,
    /// The values that each reads, of those that are made here and need a vector register.
    reads: Vec<Vec<usize>>,
    makes: Vec<bool>,
    /// Reads to come, by value.
    uses: Vec<usize>,
    limit: usize,
}

impl Scheduler {
    fn new(items: &[Item], level: Level, outside: impl Fn(V) -> bool) -> Scheduler {
        let after = dependences(items);
        let mut before = vec![0; items.len()];
        after.iter().flatten().for_each(|n| before[*n] += 1);
        let mut way = vec![0; items.len()];
        for n in (0..items.len()).rev() {
            way[n] = LATENCY + after[n].iter().map(|m| way[*m]).max().unwrap_or(0);
        }
        let own = |v: &V| !v.mask && !outside(*v);
        let mut values: HashMap<V, usize> = HashMap::new();
        for v in items.iter().filter_map(Item::def).filter(own) {
            let next = values.len();
            values.entry(v).or_insert(next);
        }
        let reads = items.iter().map(|i| {
            let mut of: Vec<usize> = i.reads().iter().filter_map(|v| values.get(v)).copied().collect();
            of.sort_unstable();
            of.dedup();
            of
        });
        let reads: Vec<Vec<usize>> = reads.collect();
        let makes = items.iter().map(|i| i.def().is_some_and(|v| values.contains_key(&v))).collect();
        let mut uses = vec![0; values.len()];
        reads.iter().flatten().for_each(|v| uses[*v] += 1);
        let limit = level.registers() * 7 / 8;
        Scheduler { after, before, way, reads, makes, uses, limit }
    }

    fn order(mut self) -> Vec<usize> {
        let mut ready: Vec<usize> = (0..self.before.len()).filter(|n| self.before[*n] == 0).collect();
        let mut earliest = vec![0; self.before.len()];
        let (mut order, mut alive) = (Vec::new(), 0usize);
        while !ready.is_empty() {
            let now = order.len() / WIDTH;
            let at = self.best(&ready, &earliest, now, alive);
            let n = ready.swap_remove(at);
            alive = alive.saturating_add_signed(self.change(n));
            for v in std::mem::take(&mut self.reads[n]) {
                self.uses[v] -= 1;
            }
            order.push(n);
            for m in std::mem::take(&mut self.after[n]) {
                earliest[m] = earliest[m].max(now + LATENCY);
                self.before[m] -= 1;
                if self.before[m] == 0 {
                    ready.push(m);
                }
            }
        }
        order
    }

    /// By how much more values are alive after an instruction.
    fn change(&self, n: usize) -> isize {
        let ends = self.reads[n].iter().filter(|v| self.uses[**v] == 1).count();
        isize::from(self.makes[n]) - ends as isize
    }

    /// Which of the ready ones comes next: the one with the longest way among those whose operands are there. Where registers
    /// run out, one that does not need another, and else the one that stood first.
    fn best(&self, ready: &[usize], earliest: &[usize], now: usize, alive: usize) -> usize {
        let full = alive >= self.limit;
        let key = |n: usize| {
            let waits = earliest[n].saturating_sub(now);
            let grows = full && self.change(n) > 0;
            let way = if grows { 0 } else { self.way[n] };
            (grows, waits, std::cmp::Reverse(way), n)
        };
        (0..ready.len()).min_by_key(|at| key(ready[*at])).unwrap_or(0)
    }
}

/// For each instruction those that have to come after it: what reads its result, what writes over what it reads, and in
/// memory that is written to all in their order.
fn dependences(items: &[Item]) -> Vec<Vec<usize>> {
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    let mut made: HashMap<V, usize> = HashMap::new();
    let mut readers: HashMap<V, Vec<usize>> = HashMap::new();
    let (mut written, mut loaded): (Option<usize>, Vec<usize>) = (None, Vec::new());
    for (n, item) in items.iter().enumerate() {
        let mut before: Vec<usize> = Vec::new();
        for v in item.reads() {
            before.extend(made.get(&v));
            readers.entry(v).or_default().push(n);
        }
        if let Some(v) = item.def() {
            before.extend(made.insert(v, n));
            before.extend(readers.remove(&v).unwrap_or_default());
        }
        if writes(item) {
            before.extend(written.replace(n));
            before.append(&mut loaded);
        } else if loads(item) {
            before.extend(written);
            loaded.push(n);
        }
        before.sort_unstable();
        before.dedup();
        before.into_iter().filter(|m| *m != n).for_each(|m| after[m].push(n));
    }
    after
}

fn writes(item: &Item) -> bool {
    match item {
        Item::Insn(i) => i.def.is_none(),
        Item::Elements(_) => true,
        Item::Call(_) => false,
    }
}

/// Whether it reads memory that an instruction of the line may write.
fn loads(item: &Item) -> bool {
    let Item::Insn(i) = item else { return false };
    i.args.iter().any(|a| matches!(a, Arg::Mem(Place { base: Base::Operand(_) | Base::Frame, .. })))
}
