//! The order of a loop's instructions: chains that do not depend on each other side by side.
//!
//! An elementary function is a chain of some fifteen dependent steps, each of several cycles. What waits fills the CPU's
//! schedulers, so that it does not look far enough ahead to find the chains of other registers by itself. A list scheduler takes
//! what is ready and has the longest way to go, as long as the values that are alive fit into registers.

use super::level::Level;
use super::mir::{Arg, Base, Item, Place, V};
use rustc_hash::FxHashMap;

/// More than this many instructions are left as they are, since looking for an order would take long.
pub(super) const MOST: usize = 4000;

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
        let mut values: FxHashMap<V, usize> = FxHashMap::default();
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
    let mut made: FxHashMap<V, usize> = FxHashMap::default();
    let mut readers: FxHashMap<V, Vec<usize>> = FxHashMap::default();
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

#[cfg(test)]
mod tests {
    use super::super::mir::{Index, Insn, View};
    use super::*;
    use iced_x86::Code;

    const ADD: Code = Code::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er;
    const MOVE: Code = Code::EVEX_Vmovups_zmm_k1z_zmmm512;
    const STORE: Code = Code::EVEX_Vmovups_zmmm512_k1z_zmm;

    fn v(id: u32) -> V {
        V { id, mask: false }
    }

    fn add(to: u32, a: u32, b: u32) -> Item {
        let args = [a, b].map(|id| Arg::V(v(id), View::Full)).to_vec();
        Item::Insn(Insn::new(ADD, Some((v(to), View::Full)), args))
    }

    fn place(disp: i32) -> Arg {
        Arg::Mem(Place { base: Base::Operand(0), index: Index::None, disp, broadcast: false })
    }

    fn load(to: u32, disp: i32) -> Item {
        Item::Insn(Insn::new(MOVE, Some((v(to), View::Full)), vec![place(disp)]))
    }

    fn store(disp: i32, from: u32) -> Item {
        Item::Insn(Insn::new(STORE, None, vec![place(disp), Arg::V(v(from), View::Full)]))
    }

    /// `to = a < b` as a mask.
    fn less(to: u32, a: u32, b: u32) -> Item {
        let args = vec![Arg::V(v(a), View::Full), Arg::V(v(b), View::Full), Arg::Imm(1)];
        let def = (V { id: to, mask: true }, View::Full);
        Item::Insn(Insn::new(Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae, Some(def), args))
    }

    fn scheduled(items: &[Item]) -> Vec<Item> {
        schedule(items.to_vec(), Level::Avx512, |_| false)
    }

    /// `n` additions, each of what the one before gives.
    fn chain(first: u32, n: u32) -> impl Iterator<Item = Item> {
        (0..n).map(move |i| add(first + i + 1, first + i, first + i))
    }

    /// How far what reads a value stands behind what makes it, at the least.
    fn nearest(items: &[Item]) -> usize {
        let made = |v: &V| items.iter().position(|i| i.def() == Some(*v));
        let distances = items
            .iter()
            .enumerate()
            .flat_map(|(n, i)| i.reads().into_iter().filter_map(|v| Some(n - made(&v)?)).collect::<Vec<_>>());
        distances.min().unwrap_or(usize::MAX)
    }

    #[test]
    fn chains_stand_side_by_side() {
        for chains in [2, 4, 8] {
            let items: Vec<Item> = (0..chains).flat_map(|c| chain(100 * c, 20)).collect();
            assert_eq!(nearest(&items), 1);
            assert_eq!(nearest(&scheduled(&items)), chains as usize);
        }
    }

    #[test]
    fn the_longest_way_is_begun_first() {
        let items: Vec<Item> = chain(0, 2).chain(chain(100, 30)).collect();
        assert_eq!(scheduled(&items)[0], items[2]);
    }

    #[test]
    fn no_more_values_are_alive_than_there_are_registers_for() {
        // All loads first, as selection puts them, and one chain that takes them in.
        let mut items: Vec<Item> = (0..60).map(|i| load(i, 64 * i as i32)).collect();
        items.extend((0..60).map(|i| add(101 + i, 100 + i, i)));
        let alive = |items: &[Item]| {
            let own = items.iter().filter_map(Item::def).collect();
            super::super::live(items, &own)
        };
        assert!(alive(&items) >= 60);
        assert!(alive(&scheduled(&items)) < Level::Avx512.registers());
    }

    #[test]
    fn short_lines_that_compare_are_left() {
        let mut items: Vec<Item> = [0, 100].into_iter().flat_map(|c| chain(c, 6)).collect();
        items.push(less(1, 6, 106));
        assert_eq!(scheduled(&items), items);
        let mut items: Vec<Item> = [0, 100].into_iter().flat_map(|c| chain(c, 20)).collect();
        items.push(less(1, 20, 120));
        assert_ne!(scheduled(&items), items);
    }

    /// What the values and the memory come to, each as a number that tells how it was made.
    fn outcome(items: &[Item]) -> (FxHashMap<V, u64>, Vec<u64>) {
        fn mix(a: u64, b: u64) -> u64 {
            (a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(23).wrapping_mul(0xff51_afd7_ed55_8ccd)
        }
        let (mut values, mut memory) = (FxHashMap::default(), vec![7u64; 4]);
        for item in items {
            let Item::Insn(insn) = item else { continue };
            let mut word = insn.code as u64;
            for arg in &insn.args {
                word = match arg {
                    Arg::V(v, _) => mix(word, values.get(v).copied().unwrap_or(u64::from(v.id))),
                    Arg::Mem(p) if insn.def.is_some() => mix(word, memory[p.disp as usize]),
                    Arg::Mem(_) | Arg::Imm(_) | Arg::Gpr(_) => word,
                };
            }
            match (insn.def, insn.args.first()) {
                (Some((v, _)), _) => drop(values.insert(v, word)),
                (None, Some(Arg::Mem(p))) => memory[p.disp as usize] = word,
                (None, _) => {}
            }
        }
        (values, memory)
    }

    /// Values that are defined again, and loads and stores of the same places among others.
    #[test]
    fn every_order_means_the_same() {
        let mut state = 1u64;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut moved = 0;
        for round in 0..400 {
            let values = 4 + round % 40;
            let items: Vec<Item> = (0..10 + below(120))
                .map(|_| {
                    let (to, a, b) = (below(values) as u32, below(values) as u32, below(values) as u32);
                    match below(8) {
                        0 => load(to, below(4) as i32),
                        1 => store(below(4) as i32, a),
                        _ => add(to, a, b),
                    }
                })
                .collect();
            let after = scheduled(&items);
            assert_eq!(after.len(), items.len());
            assert_eq!(outcome(&after), outcome(&items));
            moved += usize::from(after != items);
        }
        assert!(moved > 300);
    }
}
