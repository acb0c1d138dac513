//! Where the temporaries of a call lie: in memory that a result will have later, and in one more piece for all others.
//!
//! Which temporaries may share memory is known with the plan: those that are filled and freed in the same block, so that they
//! are there at most once at a time. What loops carry has memory of its own, which changes hands at each step; a
//! branch that does not run must not need memory, so that what is inside of one is left out too; and so is what becomes a
//! result, which is the caller's afterwards, but what is dead before a result is begun may lie where that will be.
//!
//! Sizes are known at a call only, and offsets with them. They are found as Pisarchyk and Lee do it ("Efficient memory
//! management for deep neural net inference", 2020): the largest piece first, each at the lowest place that is free as
//! long as it is needed. For pieces and results of one size that is optimal.

use super::{BlockId, BufferId, Plan, PlanResult, Slot, Source, Step};
use std::cmp::Reverse;

/// Pieces begin at multiples of this many bytes, as all buffers do.
const ALIGNMENT: u64 = 64;

/// Buffers that hand one memory on, and how long it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first of the buffers; all are of the same size.
    pub buffer: BufferId,
    /// How many bytes it has.
    pub bytes: Slot,
    /// The first and the last step that needs it, in the order in which steps stand.
    live: (usize, usize),
}

impl Piece {
    fn is_live_with(&self, other: &Piece) -> bool {
        self.live.0 <= other.live.1 && other.live.0 <= self.live.1
    }
}

/// The temporaries that share memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arena {
    /// In the order in which they are filled.
    pub pieces: Vec<Piece>,
    /// The results whose memory they may have before.
    pub results: Vec<Piece>,
    /// The piece of each buffer that has one.
    of: Vec<Option<usize>>,
}

/// Where pieces lie at some sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// That of each piece.
    pub pieces: Vec<Part>,
    /// The bytes of the memory that is no result's.
    pub total: u64,
}

/// A part of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Whose memory it is: the first buffer of a result's, if it is one.
    pub host: Option<BufferId>,
    /// The first byte.
    pub start: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

impl Arena {
    /// Finds the temporaries of a plan whose frees and reuses are known.
    pub(super) fn of(plan: &Plan) -> Arena {
        let count = plan.buffers.len();
        let mut lives = Lives { plan, at: 0, opened: vec![None; count], closed: vec![None; count] };
        lives.block(plan.body);
        let steady = steady(plan);
        let mut arena = Arena { of: vec![None; count], ..Arena::default() };
        let handed = Handed::of(plan);
        for first in &handed.first {
            let chain = handed.chain(*first);
            let live = |b: &BufferId| {
                let i = b.0 as usize;
                Some((lives.opened[i]?.0, lives.closed[i]?)).filter(|_| steady[i])
            };
            let (Some(all), Some(first)) =
                (chain.iter().map(live).collect::<Option<Vec<_>>>(), chain.first())
            else {
                continue;
            };
            let live = all.iter().fold((usize::MAX, 0), |l, o| (l.0.min(o.0), l.1.max(o.1)));
            chain.iter().for_each(|b| arena.of[b.0 as usize] = Some(arena.pieces.len()));
            arena.pieces.push(Piece { buffer: *first, bytes: plan.buffer(*first).bytes, live });
        }
        for first in plan.direct().into_iter().flatten() {
            let begun = lives.opened[first.0 as usize].filter(|(_, block)| *block == plan.body);
            let begun = begun.filter(|_| handed.first.contains(&first));
            if let Some((begun, _)) = begun {
                let live = (begun, usize::MAX);
                arena.results.push(Piece { buffer: first, bytes: plan.buffer(first).bytes, live });
            }
        }
        arena
    }

    /// The piece that a buffer lies in.
    pub fn piece(&self, buffer: BufferId) -> Option<usize> {
        self.of.get(buffer.0 as usize).copied().flatten()
    }

    /// Where the pieces lie when they are of these sizes, at most quadratic in their number.
    pub fn places(&self, bytes: impl Fn(&Piece) -> u64) -> Places {
        let part = |p: &Piece| Part { bytes: bytes(p), ..Part::default() };
        let mut pieces: Vec<Part> = self.pieces.iter().map(part).collect();
        let mut order: Vec<usize> = (0..pieces.len()).filter(|p| pieces[*p].bytes > 0).collect();
        // Pieces of one size in the order in which they are freed, backwards, in which results come first.
        order.sort_by_key(|p| Reverse((pieces[*p].bytes, self.pieces[*p].live.1)));
        let mut total = 0;
        for (n, p) in order.iter().enumerate() {
            let (piece, size) = (&self.pieces[*p], pieces[*p].bytes);
            let lowest = |host: Option<BufferId>, room: u64| {
                let others = order[..n].iter().filter(|o| self.pieces[**o].is_live_with(piece));
                let start = gap(others.map(|o| pieces[*o]).filter(|o| o.host == host), size);
                start.checked_add(size).filter(|end| *end <= room).map(|_| Part { host, start, bytes: size })
            };
            let before = self.results.iter().filter(|r| !r.is_live_with(piece));
            let found = before.into_iter().find_map(|r| lowest(Some(r.buffer), bytes(r)));
            // Sizes that no memory has lie anywhere: a call refuses them.
            let found = found.or_else(|| lowest(None, u64::MAX)).unwrap_or(pieces[*p]);
            if found.host.is_none() {
                total = found.start.saturating_add(size).max(total);
            }
            pieces[*p] = found;
        }
        Places { pieces, total }
    }
}

/// The lowest place for so many bytes between parts.
fn gap(taken: impl Iterator<Item = Part>, size: u64) -> u64 {
    let mut taken: Vec<(u64, u64)> = taken.map(|t| (t.start, t.start.saturating_add(t.bytes))).collect();
    taken.sort_unstable();
    let mut start = 0u64;
    for (low, high) in taken {
        if start.saturating_add(size) <= low {
            break;
        }
        start = start.max(high.saturating_add(ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    }
    start
}

/// When buffers are filled and freed.
struct Lives<'a> {
    plan: &'a Plan,
    /// How many steps were passed.
    at: usize,
    /// The step that each buffer is filled before, and the block.
    opened: Vec<Option<(usize, BlockId)>>,
    /// The step that it is freed after, when that is in the same block.
    closed: Vec<Option<usize>>,
}

impl Lives<'_> {
    fn block(&mut self, id: BlockId) {
        let plan = self.plan;
        for item in &plan.block(id).items {
            self.at += 1;
            match &item.step {
                Step::Alloc(b) | Step::Reuse { to: b, .. } => {
                    self.opened[b.0 as usize] = Some((self.at, id));
                }
                Step::For { body, .. } => self.block(*body),
                Step::While { test, body, .. } => {
                    self.block(*test);
                    self.block(*body);
                }
                Step::If { .. }
                | Step::Kernel(_)
                | Step::Panels(_)
                | Step::Routine { .. }
                | Step::Size { .. }
                | Step::Index { .. }
                | Step::Check { .. }
                | Step::Move { .. }
                | Step::Take { .. } => {}
            }
            for b in &item.frees {
                if self.opened[b.0 as usize].is_some_and(|(_, block)| block == id) {
                    self.closed[b.0 as usize] = Some(self.at);
                }
            }
        }
    }
}

impl Plan {
    /// For each result the buffer that may be given the caller's memory for it before a call: the first one of those that
    /// hand the result's memory on. None where the result may be held by something else, or is held by two.
    pub fn direct(&self) -> Vec<Option<BufferId>> {
        let (steady, handed) = (steady(self), Handed::of(self));
        let first = |result: &PlanResult| {
            let decl = self.buffer(result.buffer);
            let once = self.results.iter().filter(|r| r.buffer == result.buffer).count() == 1;
            let first = handed.origin(result.buffer, &steady);
            let chain = handed.chain(first);
            let own = once && decl.dtype == result.dtype && chain.iter().all(|b| steady[b.0 as usize]);
            (own && chain.last() == Some(&result.buffer)).then_some(first)
        };
        self.results.iter().map(first).collect()
    }
}

/// For each buffer whether it is filled once in a plan, and its memory never changes hands but by a reuse.
fn steady(plan: &Plan) -> Vec<bool> {
    let (mut fills, mut held) = (vec![0u32; plan.buffers.len()], vec![false; plan.buffers.len()]);
    for item in plan.blocks.iter().flat_map(|b| &b.items) {
        match &item.step {
            Step::Alloc(b) | Step::Reuse { to: b, .. } => fills[b.0 as usize] += 1,
            Step::Size { to, .. } => held[to.0 as usize] = true,
            Step::Move { from, to } => from.iter().chain(to).for_each(|b| held[b.0 as usize] = true),
            Step::Take { from, to, .. } => [from, to].iter().for_each(|b| held[b.0 as usize] = true),
            Step::For { counter, .. } => held[counter.0 as usize] = true,
            Step::If { fills, .. } => fills.iter().for_each(|b| held[b.0 as usize] = true),
            Step::Kernel(_)
            | Step::Panels(_)
            | Step::Routine { .. }
            | Step::Index { .. }
            | Step::Check { .. }
            | Step::While { .. } => {}
        }
    }
    let own = |i: usize| matches!(plan.buffers[i].source, Source::Own);
    (0..plan.buffers.len()).map(|i| own(i) && fills[i] == 1 && !held[i]).collect()
}

/// Who hands memory on to whom.
struct Handed {
    /// The buffers that fresh memory is made for.
    first: Vec<BufferId>,
    /// For each buffer those that get its memory; several where branches do it.
    next: Vec<Vec<BufferId>>,
    /// For each buffer the one that it has its memory of.
    before: Vec<Option<BufferId>>,
}

impl Handed {
    fn of(plan: &Plan) -> Handed {
        let count = plan.buffers.len();
        let mut handed =
            Handed { first: Vec::new(), next: vec![Vec::new(); count], before: vec![None; count] };
        for item in plan.blocks.iter().flat_map(|b| &b.items) {
            if let Step::Alloc(b) = &item.step {
                handed.first.push(*b);
            } else if let Step::Reuse { from, to } = &item.step {
                if plan.is_argument(*from) {
                    handed.first.push(*to);
                    continue;
                }
                handed.next[from.0 as usize].push(*to);
                handed.before[to.0 as usize] = Some(*from);
            }
        }
        handed
    }

    /// A buffer and all that get its memory, one from another.
    fn chain(&self, first: BufferId) -> Vec<BufferId> {
        let (mut chain, mut at) = (vec![first], 0);
        while at < chain.len() {
            for next in &self.next[chain[at].0 as usize] {
                if !chain.contains(next) {
                    chain.push(*next);
                }
            }
            at += 1;
        }
        chain
    }

    /// The first of those that this one has its memory of, as far as all of them are steady.
    fn origin(&self, mut last: BufferId, steady: &[bool]) -> BufferId {
        // Each is given memory once, so that this ends.
        while let Some(before) = self.before[last.0 as usize].filter(|b| steady[b.0 as usize] && *b != last) {
            last = before;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(live: &[(usize, usize)], first: u32) -> Vec<Piece> {
        let piece =
            |(i, live): (u32, &(usize, usize))| Piece { buffer: BufferId(i), bytes: Slot(i), live: *live };
        (first..).zip(live).map(piece).collect()
    }

    /// Numbers that are the same at every run.
    fn numbers() -> impl FnMut(u64) -> u64 {
        let mut state = 7u64;
        move |below| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        }
    }

    #[test]
    fn what_lives_together_lies_apart_and_in_line() {
        let mut next = numbers();
        for _ in 0..200 {
            let count = 1 + next(20) as usize;
            let mut live: Vec<(usize, usize)> = (0..count)
                .map(|_| {
                    let first = next(30) as usize;
                    (first, first + next(10) as usize)
                })
                .collect();
            live.sort_unstable();
            let hosts: Vec<(usize, usize)> = (0..next(3)).map(|_| (next(40) as usize, usize::MAX)).collect();
            let (all, first) = (pieces(&live, 0), count as u32);
            let arena = Arena { pieces: all, results: pieces(&hosts, first), of: Vec::new() };
            let alike = next(2) == 0;
            let all = count + hosts.len();
            let sizes: Vec<u64> = (0..all).map(|_| if alike { 640 } else { next(2000) }).collect();
            let Places { pieces, total } = arena.places(|p| sizes[p.bytes.0 as usize]);
            for (i, Part { host, start, bytes }) in pieces.iter().enumerate() {
                let room = host.map_or(total, |h| sizes[h.0 as usize]);
                assert!(
                    *bytes == sizes[i] && start % ALIGNMENT == 0 && (start + bytes <= room || *bytes == 0)
                );
                let later = |h: &BufferId| live[i].1 < hosts[h.0 as usize - count].0;
                assert!(host.iter().all(later), "{live:?} {hosts:?} {pieces:?}");
                for (j, other) in pieces.iter().enumerate().take(i).filter(|(_, o)| o.host == *host) {
                    let together = arena.pieces[i].is_live_with(&arena.pieces[j]);
                    let apart = start + bytes <= other.start || other.start + other.bytes <= *start;
                    assert!(!together || apart || *bytes == 0, "{live:?} {pieces:?}");
                }
            }
            // Never less than what is needed at a time, and no more where all are of one size.
            let needed = |live: &(usize, usize), step: usize| live.0 <= step && step <= live.1;
            let at = |step: usize| {
                let those = |(i, l): (usize, &(usize, usize))| if needed(l, step) { sizes[i] } else { 0 };
                live.iter().chain(&hosts).enumerate().map(those).sum::<u64>()
            };
            let (most, held) = ((0..50).map(at).max().unwrap(), sizes[count..].iter().sum::<u64>());
            assert!(total + held >= most && (!alike || total + held == most), "{total} {held} {most}");
        }
    }
}
