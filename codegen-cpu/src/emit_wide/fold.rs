//! Loads that only one instruction uses become its memory operand: one instruction and one register fewer. And what nobody
//! reads goes.

use super::mir::{Arg, Base, Insn, Item, Place, V, View};
use iced_x86::Code;
use rustc_hash::{FxHashMap, FxHashSet};

/// Folds what can be folded. `outside` says which values other lines see.
pub(super) fn fold_loads(items: &mut Vec<Item>, outside: impl Fn(V) -> bool) {
    let mut uses: FxHashMap<V, Vec<usize>> = FxHashMap::default();
    for (at, item) in items.iter().enumerate() {
        for v in item.reads() {
            uses.entry(v).or_default().push(at);
        }
    }
    let mut folded = vec![false; items.len()];
    for load in 0..items.len() {
        let Some((v, place)) = plain_load(&items[load]).filter(|(v, _)| !outside(*v)) else { continue };
        let Some(&[user]) = uses.get(&v).map(Vec::as_slice) else { continue };
        if items[load..user].iter().any(writes_memory) {
            continue;
        }
        if let Item::Insn(i) = &mut items[user] {
            folded[load] = take(i, v, place);
        }
    }
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        !folded[at - 1]
    });
}

/// Removes what neither this line nor another one reads.
pub(super) fn drop_dead(items: &mut Vec<Item>, outside: impl Fn(V) -> bool) {
    let mut read: FxHashSet<V> = FxHashSet::default();
    let mut dead = vec![false; items.len()];
    for (at, item) in items.iter().enumerate().rev() {
        dead[at] = item.def().is_some_and(|v| !outside(v) && !read.contains(&v));
        if !dead[at] {
            read.extend(item.reads());
        }
    }
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        !dead[at - 1]
    });
}

/// A whole vector from an operand.
fn plain_load(item: &Item) -> Option<(V, Place)> {
    let Item::Insn(i) = item else { return None };
    let whole = matches!(i.code, Code::VEX_Vmovups_ymm_ymmm256 | Code::EVEX_Vmovups_zmm_k1z_zmmm512);
    match (i.args.as_slice(), i.def) {
        ([Arg::Mem(place)], Some((v, View::Full))) if whole && i.mask.is_none() => Some((v, *place)),
        _ => None,
    }
}

fn writes_memory(item: &Item) -> bool {
    match item {
        Item::Insn(i) => {
            i.def.is_none() && matches!(i.args.first(), Some(Arg::Mem(Place { base: Base::Operand(_), .. })))
        }
        Item::Elements(e) => e.out,
        Item::Call(_) => false,
    }
}

/// Makes a value the memory operand of the instruction that reads it, if the instruction has one.
fn take(i: &mut Insn, v: V, place: Place) -> bool {
    if i.folds.is_none() || i.args.iter().any(|a| matches!(a, Arg::Mem(_))) {
        return false;
    }
    let Some(last) = i.args.iter().rposition(|a| !matches!(a, Arg::Imm(_))) else { return false };
    let value = Arg::V(v, View::Full);
    if i.commutes && last == 1 && i.args[0] == value {
        i.args.swap(0, 1);
    }
    // What is overwritten has to be in a register.
    if i.args[last] != value || (i.tied && last == 0) {
        return false;
    }
    i.args[last] = Arg::Mem(place);
    true
}
