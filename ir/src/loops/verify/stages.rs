//! The laws of stages and of stores: what may see what, and when it is written.

use super::Checker;
use crate::loops::{Access, InstId, InstKind, OperandId, Role, Stage, Store};

impl Checker<'_> {
    /// Stages begin at 0 and follow one another, each with something in it.
    pub(super) fn stages(&mut self) {
        let k = self.k;
        self.check(k.stages.first() == Some(&0), || "the first stage does not begin at 0".to_string());
        for (s, begin) in k.stages.iter().enumerate() {
            let end = k.stages.get(s + 1).copied().unwrap_or(k.body.len());
            // An empty body is reported by what it lacks.
            self.check(*begin < end || k.body.is_empty(), || format!("stage {s} is empty"));
        }
        let one = k.stages.len() <= 1 || k.reduce_axis().is_some();
        self.check(one, || format!("{} stages without a reduce axis", k.stages.len()));
    }

    /// Values that change along the reduce axis stay in their stage and above its reductions, and reductions are
    /// seen below all reductions of their stage only.
    pub(super) fn phases(&mut self) {
        let k = self.k;
        for (s, stage) in k.stages().iter().enumerate() {
            stage.insts().for_each(|i| self.read_back(i, s, stage));
        }
        let Some(axis) = k.reduce_axis() else { return };
        let moving = k.moving(axis);
        for stage in k.stages() {
            for i in stage.insts() {
                let per_element = stage.element.contains(&i);
                for arg in k.body[i].kind.args() {
                    let Some(source) = k.body.get(arg.index()) else { continue };
                    let own = stage.element.contains(&arg.index());
                    let ok = if matches!(source.kind, InstKind::Reduce { .. }) {
                        !(per_element && own)
                    } else {
                        !moving[arg.index()] || (per_element && own)
                    };
                    self.check(ok, || {
                        let phase = if per_element { "per element" } else { "per point" };
                        format!("%{i} runs {phase} and cannot use %{}", arg.0)
                    });
                }
                if !per_element {
                    self.point_inst(i, axis);
                }
            }
        }
    }

    /// Below the reductions nothing may depend on the position along the reduce axis.
    fn point_inst(&mut self, i: usize, axis: usize) {
        let k = self.k;
        match k.body[i].kind {
            InstKind::Load(o) | InstKind::LoadAt { operand: o, .. } => {
                self.check(k.access(o, axis) == Access::Zero, || {
                    format!("%{i} runs per point, but ${} moves along the reduce axis", o.0)
                });
            }
            InstKind::Index(a) => {
                self.check(a as usize != axis, || format!("%{i} runs per point, on the reduce axis"));
            }
            InstKind::Const(_)
            | InstKind::Map(..)
            | InstKind::Cast(_)
            | InstKind::Bitcast(_)
            | InstKind::Rescue(..)
            | InstKind::Reduce { .. }
            | InstKind::Part { .. }
            | InstKind::Scan { .. } => {}
        }
    }

    /// What is written is loaded per element only, and after a stage that stored it so.
    fn read_back(&mut self, i: usize, stage: usize, parts: &Stage) {
        let k = self.k;
        let (InstKind::Load(o) | InstKind::LoadAt { operand: o, .. }) = k.body[i].kind else { return };
        if k.operands.get(o.index()).is_none_or(|o| o.role == Role::In) {
            return;
        }
        let stored = |s: &Store| s.operand == o && k.stores_elements(s) && k.stage_of(s.value) < stage;
        let ok = parts.element.contains(&i) && k.stores.iter().any(stored);
        self.check(ok, || format!("%{i} loads ${}, which no stage before it stores per element", o.0));
    }

    pub(super) fn stores(&mut self) {
        let k = self.k;
        let mut stages: Vec<Vec<usize>> = vec![Vec::new(); k.operands.len()];
        self.check(!k.stores.is_empty(), || "nothing is stored".to_string());
        for s in &k.stores {
            let (Some(o), Some(v)) = (k.operands.get(s.operand.index()), k.body.get(s.value.index())) else {
                self.fail(format!("store ${}, %{}: no such operand or value", s.operand.0, s.value.0));
                continue;
            };
            stages[s.operand.index()].push(k.stage_of(s.value));
            let at = s.operand.0;
            self.check(o.role != Role::In, || format!("${at} is an input and is stored to"));
            self.check(o.dtype == v.dtype, || {
                format!("${at} is {} and %{} is {}", o.dtype, s.value.0, v.dtype)
            });
            self.moment(s);
        }
        for (i, o) in k.operands.iter().enumerate() {
            let (stored, found) = (&mut stages[i], o.role.name());
            let count = stored.len();
            stored.sort_unstable();
            stored.dedup();
            let ok = match o.role {
                Role::In => true,
                Role::Out => count > 0 && stored.len() == count,
                Role::Scratch => count == 1,
            };
            self.check(ok, || format!("${i} is {found} and is stored {count} times"));
        }
        let reduces = k.body.iter().any(|i| matches!(i.kind, InstKind::Reduce { .. }));
        let ok = k.reduce_axis().is_none() || reduces;
        self.check(ok, || "a reduce axis and no reduction".to_string());
    }

    /// A store per element needs a value that is known then, a store per point one that does not change.
    fn moment(&mut self, s: &Store) {
        let k = self.k;
        let Some(axis) = k.reduce_axis() else { return };
        let InstId(value) = s.value;
        let OperandId(at) = s.operand;
        if k.stores_elements(s) {
            let above = k.stages().iter().any(|stage| stage.element.contains(&s.value.index()));
            let ok = above && !matches!(k.inst(s.value).kind, InstKind::Reduce { .. });
            self.check(ok, || format!("%{value} is per point, but ${at} moves along the reduce axis"));
        } else {
            let ok = !k.moving(axis)[s.value.index()];
            self.check(ok, || {
                format!("%{value} is per element, but ${at} does not move along the reduce axis")
            });
        }
    }
}
