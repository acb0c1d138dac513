//! Selections that are the machine's minimum or maximum: `x < y ? x : y` and `x < y ? y : x` of floats.
//!
//! The instructions answer the second operand where one is NaN or both are zeros, as the comparison does. Clamps of
//! elementary functions are made of these, and a comparison that nothing else needs is not computed.

use super::codes::Do;
use super::mir::V;
use super::{Emitter, Out};
use matex_ir::Op;
use matex_ir::loops::{InstId, InstKind, Kernel};

/// What a selection picks: the smaller or the larger, of these in this order.
fn pick(k: &Kernel, kind: &InstKind) -> Option<(Do, InstId, InstId)> {
    let InstKind::Map(Op::Select, args) = kind else { return None };
    let &[condition, yes, no] = args.as_slice() else { return None };
    if !k.inst(yes).dtype.is_float() {
        return None;
    }
    let InstKind::Map(op, sides) = &k.inst(condition).kind else { return None };
    let (x, y) = if *op == Op::Lt {
        (sides[0], sides[1])
    } else if *op == Op::Gt {
        (sides[1], sides[0])
    } else {
        return None;
    };
    if (yes, no) == (x, y) {
        Some((Do::Min, x, y))
    } else if (yes, no) == (y, x) {
        Some((Do::Max, y, x))
    } else {
        None
    }
}

/// Comparisons that only such selections use.
pub(super) fn absorbed(k: &Kernel) -> Vec<bool> {
    let (mut picks, mut uses) = (vec![0; k.body.len()], vec![0; k.body.len()]);
    for inst in &k.body {
        for a in inst.kind.args() {
            uses[a.index()] += 1;
        }
        if let (Some(_), Some(condition)) = (pick(k, &inst.kind), inst.kind.args().first()) {
            picks[condition.index()] += 1;
        }
    }
    for s in &k.stores {
        uses[s.value.index()] += 1;
    }
    picks.iter().zip(&uses).map(|(picks, uses)| *picks > 0 && picks == uses).collect()
}

impl Emitter<'_> {
    /// An instruction as a minimum or maximum, if it is one.
    pub(super) fn clamp(&mut self, id: usize, copy: usize) -> Out<Option<Vec<V>>> {
        let Some((what, a, b)) = pick(self.k, &self.k.body[id].kind) else { return Ok(None) };
        let lane = self.lane_of(self.k.body[id].dtype);
        let (a, b) = (self.get(copy, a)?, self.get(copy, b)?);
        let mut out = Vec::new();
        for (a, b) in a.into_iter().zip(b) {
            out.push(self.op(what, lane, &[a, b])?);
        }
        Ok(Some(out))
    }
}
