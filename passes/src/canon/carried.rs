//! Carried values of loops, and results of branches, that nothing needs.
//!
//! A value that a loop carries only to compute itself looks needed from inside. So needs are followed from the results
//! of the function to single members of what a loop or a branch gives, from there to what comes back for that member at
//! the end of a step and to what it starts with, and only a need inside of the region leads to other members. The way
//! back of a derivative keeps every carried value of a loop and reads some of them; the others go here.

use matex_ir::tensor::{Func, Kind, RegionId, Type, ValueId};
use std::collections::HashMap;

/// The function without members that nothing needs.
pub(super) fn drop_dead(func: &mut Func) {
    let members = Live::of(func).members;
    for v in 0..func.nodes.len() {
        let Some(flags) = members.get(&ValueId(v as u32)).filter(|f| f.contains(&false)) else {
            continue;
        };
        let kind = func.nodes[v].kind.clone();
        let (bounds, loops) = shape_of(&kind);
        if loops {
            let args = &mut func.nodes[v].args;
            let (fixed, carried) = args.split_at(bounds.min(args.len()));
            *args = fixed.iter().copied().chain(kept(carried, flags)).collect();
        }
        if let Type::Tuple(types) = &mut func.nodes[v].ty {
            *types = kept(types, flags);
        }
        for r in kind.regions() {
            let test = matches!(kind, Kind::While(test, _) if test == r);
            let Some(region) = func.regions.get_mut(r.0 as usize) else { continue };
            if loops {
                let counters = region.params.len().saturating_sub(flags.len());
                let (fixed, carried) = region.params.split_at(counters);
                region.params = fixed.iter().copied().chain(kept(carried, flags)).collect();
            }
            if !test {
                region.results = kept(&region.results, flags);
            }
        }
    }
    renumber(func, &members);
}

/// How many operands stand before the carried values, and whether there are any.
fn shape_of(kind: &Kind) -> (usize, bool) {
    if let Kind::For(_) = kind { (2, true) } else { (0, matches!(kind, Kind::While(..))) }
}

fn kept<T: Clone>(all: &[T], flags: &[bool]) -> Vec<T> {
    all.iter().zip(flags).filter(|(_, f)| **f).map(|(x, _)| x.clone()).collect()
}

/// Members behind one that is gone move up.
fn renumber(func: &mut Func, members: &HashMap<ValueId, Vec<bool>>) {
    for node in &mut func.nodes {
        if let Kind::Proj(i) = &mut node.kind
            && let Some(flags) = node.args.first().and_then(|t| members.get(t))
        {
            *i = flags.iter().take(*i).filter(|f| **f).count();
        }
    }
}

/// What the results of a function need.
struct Live<'f> {
    func: &'f Func,
    values: Vec<bool>,
    /// For each loop and branch which of its members are needed.
    members: HashMap<ValueId, Vec<bool>>,
    /// The loop and the member that a parameter of a region carries.
    owners: HashMap<ValueId, (ValueId, usize)>,
    work: Vec<ValueId>,
}

impl Live<'_> {
    fn of(func: &Func) -> Live<'_> {
        let mut live = Live {
            func,
            values: vec![false; func.nodes.len()],
            members: HashMap::new(),
            owners: HashMap::new(),
            work: Vec::new(),
        };
        for (i, node) in func.nodes.iter().enumerate() {
            let v = ValueId(i as u32);
            let Type::Tuple(types) = &node.ty else { continue };
            if node.kind.regions().is_empty() {
                continue;
            }
            live.members.insert(v, vec![false; types.len()]);
            for r in node.kind.regions() {
                let params = live.params(r);
                let counters = params.len().saturating_sub(types.len());
                for (k, p) in params.iter().skip(counters).enumerate() {
                    live.owners.insert(*p, (v, k));
                }
            }
        }
        live.need(func.results());
        while let Some(v) = live.work.pop() {
            live.visit(v);
        }
        live
    }

    fn params(&self, r: RegionId) -> Vec<ValueId> {
        self.func.regions.get(r.0 as usize).map(|r| r.params.clone()).unwrap_or_default()
    }

    fn results(&self, r: RegionId) -> Vec<ValueId> {
        self.func.regions.get(r.0 as usize).map(|r| r.results.clone()).unwrap_or_default()
    }

    fn need(&mut self, vs: &[ValueId]) {
        for v in vs {
            if let Some(known @ false) = self.values.get_mut(v.0 as usize) {
                *known = true;
                self.work.push(*v);
            }
        }
    }

    fn visit(&mut self, v: ValueId) {
        let func = self.func;
        let node = func.node(v);
        if let Some((owner, k)) = self.owners.get(&v).copied() {
            self.need_member(owner, k);
        }
        if let Kind::Proj(i) = node.kind
            && let Some(t) = node.args.first().filter(|t| self.members.contains_key(t))
        {
            self.need_member(*t, i);
            return;
        }
        if let Kind::For(_) = node.kind {
            self.need(&node.args[..2.min(node.args.len())]);
        } else if let Kind::While(test, _) = node.kind {
            self.need(&self.results(test));
        } else {
            self.need(&node.args);
        }
    }

    fn need_member(&mut self, loop_: ValueId, k: usize) {
        let Some(flag @ false) = self.members.get_mut(&loop_).and_then(|m| m.get_mut(k)) else { return };
        *flag = true;
        self.need(&[loop_]);
        let node = self.func.node(loop_);
        let (bounds, loops) = shape_of(&node.kind);
        if loops {
            self.need(&node.args.get(bounds + k).copied().into_iter().collect::<Vec<_>>());
        }
        for r in node.kind.regions() {
            if !matches!(node.kind, Kind::While(test, _) if test == r) {
                self.need(&self.results(r).get(k).copied().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
