//! What the innermost loop of a stage has to do, for every emitter.

use matex_ir::DType;
use matex_ir::loops::{Combine, InstId, InstKind, Kernel, Stage, Store};
use std::ops::Range;

/// A reduction of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Reduction {
    /// Its instruction.
    pub(crate) id: usize,
    pub(crate) combine: Combine,
    pub(crate) values: Vec<InstId>,
    pub(crate) dtypes: Vec<DType>,
}

impl Reduction {
    /// Whether its elements have to be combined in the canonical order.
    pub(crate) fn ordered(&self) -> bool {
        self.combine.ordered(self.dtypes[0])
    }
}

/// One loop over the elements of a stage.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// The instructions that can be evaluated in it.
    pub(crate) range: Range<usize>,
    /// Those of them that it has to evaluate at every element.
    pub(crate) wanted: Vec<bool>,
    /// What it combines.
    pub(crate) reductions: Vec<Reduction>,
    /// What it writes at every element.
    pub(crate) stores: Vec<Store>,
}

impl Walk {
    /// A walk for some of a stage's reductions and stores, along an axis. A gather is always wanted, because it can fail.
    fn new(k: &Kernel, stage: &Stage, axis: usize, reductions: Vec<Reduction>, stores: Vec<Store>) -> Walk {
        let mut roots: Vec<usize> = reductions.iter().flat_map(|r| &r.values).map(|v| v.index()).collect();
        roots.extend(stores.iter().map(|s| s.value.index()));
        roots.extend(stage.element.clone().filter(|id| matches!(k.body[*id].kind, InstKind::LoadAt { .. })));
        let mut wanted = needed(k, &roots);
        for (id, (wanted, moving)) in wanted.iter_mut().zip(k.moving(axis)).enumerate() {
            *wanted &= moving && stage.element.contains(&id);
        }
        Walk { range: stage.element.clone(), wanted, reductions, stores }
    }

    /// Everything that a stage does per element, along the axis of its innermost loop.
    pub(crate) fn of(k: &Kernel, stage: &Stage, axis: usize) -> Walk {
        let stores = k.stores.iter().filter(|s| stage.insts().contains(&s.value.index()));
        let stores = stores.filter(|s| k.stores_elements(s)).copied().collect();
        Walk::new(k, stage, axis, reductions(k, stage.element.clone()), stores)
    }

    /// A walk for some of its reductions; one of the parts has to write.
    pub(crate) fn part(&self, k: &Kernel, axis: usize, which: &[usize], writes: bool) -> Walk {
        let stage = Stage { element: self.range.clone(), point: self.range.end..self.range.end };
        let reductions = which.iter().map(|i| self.reductions[*i].clone()).collect();
        Walk::new(k, &stage, axis, reductions, if writes { self.stores.clone() } else { Vec::new() })
    }

    /// The values from outside of the loop that it uses.
    pub(crate) fn sources(&self, k: &Kernel) -> Vec<usize> {
        let wanted = |id: &usize| self.wanted[*id];
        let evaluated = self.range.clone().filter(wanted).flat_map(|id| k.body[id].kind.args());
        let combined = self.reductions.iter().flat_map(|r| &r.values);
        let all = evaluated.chain(combined).chain(self.stores.iter().map(|s| &s.value));
        let mut ids: Vec<usize> = all.map(|id| id.index()).filter(|id| !wanted(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// The instructions that these depend on, themselves included.
pub(crate) fn needed(k: &Kernel, roots: &[usize]) -> Vec<bool> {
    let mut needed = vec![false; k.body.len()];
    for r in roots {
        needed[*r] = true;
    }
    for id in (0..needed.len()).rev() {
        if needed[id] {
            for a in k.body[id].kind.args() {
                needed[a.index()] = true;
            }
        }
    }
    needed
}

/// The reductions among some instructions.
fn reductions(k: &Kernel, insts: Range<usize>) -> Vec<Reduction> {
    let found = insts.filter_map(|id| match &k.body[id].kind {
        InstKind::Reduce { combine, values } => {
            let dtypes = values.iter().map(|v| k.inst(*v).dtype).collect();
            Some(Reduction { id, combine: *combine, values: values.clone(), dtypes })
        }
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Index(_)
        | InstKind::Const(_)
        | InstKind::Map(..)
        | InstKind::Cast(_)
        | InstKind::Bitcast(_)
        | InstKind::Rescue(..)
        | InstKind::Part { .. }
        | InstKind::Scan { .. } => None,
    });
    found.collect()
}
