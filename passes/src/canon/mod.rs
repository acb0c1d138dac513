//! Canonical form: constants folded, identical values shared, commutative operands sorted, dead code gone.
//!
//! Masked products become ordinary ones first. Every other rewriting here keeps the bits of every result. One forward walk over the regions in the order of execution
//! folds and shares; a value may stand for another when it was made earlier in the same region or in one around it.
//! A backward walk then finds what the results need, single carried values of loops among it, and the rest is left out while everything is renumbered densely.
//! Both walks keep a stack of their own, so that long and deep programs are no danger, and look at each node once.

mod carried;
mod fold;
mod masked;
mod sweep;

#[cfg(test)]
mod tests;

use matex_ir::tensor::{Func, Kind, Node, RegionId, Type, ValueId};
use std::collections::HashMap;

/// Brings a function into canonical form.
pub fn canonicalize(func: &Func) -> Func {
    let mut shared = func.clone();
    masked::expand(&mut shared);
    Sharing::new(&mut shared).run();
    carried::drop_dead(&mut shared);
    sweep::sweep(&shared)
}

/// What makes two nodes the same value.
type Key = (Kind, Vec<ValueId>, Type);

/// A region that is being walked.
struct Frame {
    region: RegionId,
    next: usize,
    /// What this region added to the table, to be taken out again at its end.
    added: Vec<Key>,
}

struct Sharing<'f> {
    func: &'f mut Func,
    /// What each value is replaced with; itself at first.
    replaced: Vec<ValueId>,
    known: HashMap<Key, ValueId>,
    stack: Vec<Frame>,
    seen: Vec<bool>,
}

impl<'f> Sharing<'f> {
    fn new(func: &'f mut Func) -> Sharing<'f> {
        let replaced = (0..func.nodes.len() as u32).map(ValueId).collect();
        let seen = vec![false; func.regions.len()];
        Sharing { func, replaced, known: HashMap::new(), stack: Vec::new(), seen }
    }

    fn run(&mut self) {
        self.enter(Func::BODY);
        while let Some(frame) = self.stack.last_mut() {
            let Some(region) = self.func.regions.get(frame.region.0 as usize) else {
                self.stack.pop();
                continue;
            };
            let Some(&value) = region.nodes.get(frame.next) else {
                self.leave();
                continue;
            };
            frame.next += 1;
            self.value(value);
        }
    }

    /// Regions belong to one node; a malformed function that enters one twice is left as it is.
    fn enter(&mut self, region: RegionId) {
        if let Some(seen @ false) = self.seen.get_mut(region.0 as usize) {
            *seen = true;
            self.stack.push(Frame { region, next: 0, added: Vec::new() });
        }
    }

    fn leave(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        for key in frame.added {
            self.known.remove(&key);
        }
        let results = &mut self.func.regions[frame.region.0 as usize].results;
        for result in results {
            *result = self.replaced.get(result.0 as usize).copied().unwrap_or(*result);
        }
    }

    fn value(&mut self, value: ValueId) {
        let Some(node) = self.func.nodes.get_mut(value.0 as usize) else { return };
        for arg in &mut node.args {
            *arg = self.replaced.get(arg.0 as usize).copied().unwrap_or(*arg);
        }
        if let Kind::Map(op) = &node.kind
            && op.row().commutative
        {
            // The operands of a commutative op are its first two.
            node.args.sort();
        }
        let regions = node.kind.regions();
        if !regions.is_empty() {
            // Entered last to first, so that the first is walked first.
            regions.into_iter().rev().for_each(|r| self.enter(r));
            return;
        }
        if self.stands_for_operand(value) {
            return;
        }
        if let Some(literal) = fold::fold(self.func, value) {
            let node = &mut self.func.nodes[value.0 as usize];
            node.kind = Kind::Constant(literal);
            node.args.clear();
        }
        self.share(value);
    }

    /// A conversion to what its operand is already: what stops derivatives, and has stopped them by now.
    fn stands_for_operand(&mut self, value: ValueId) -> bool {
        let node = &self.func.nodes[value.0 as usize];
        let converts = matches!(node.kind, Kind::Bitcast | Kind::Cast | Kind::Reshape);
        let Some(operand) = node.args.first().copied().filter(|_| converts) else { return false };
        let same = self.func.nodes.get(operand.0 as usize).is_some_and(|o| o.ty == node.ty);
        if same {
            self.replaced[value.0 as usize] = operand;
        }
        same
    }

    fn share(&mut self, value: ValueId) {
        let Node { kind, args, ty, .. } = &self.func.nodes[value.0 as usize];
        if matches!(kind, Kind::Param(_) | Kind::RegionParam) {
            return;
        }
        let key = (kind.clone(), args.clone(), ty.clone());
        if let Some(earlier) = self.known.get(&key) {
            self.replaced[value.0 as usize] = *earlier;
            return;
        }
        // What the body of the function adds is never taken out.
        if let [_, .., frame] = self.stack.as_mut_slice() {
            frame.added.push(key.clone());
        }
        self.known.insert(key, value);
    }
}
