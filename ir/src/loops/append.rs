//! A reduction and the map that is done to its results, as one kernel.
//!
//! The map becomes instructions per parallel point behind the reductions, so that a result is changed before it is
//! stored. An axis of the map may walk several axes of the first kernel that lie one after another in memory, as the axes
//! of a contiguous result are merged into one.

use super::{
    Access, AxisKind, Form, Inst, InstId, InstKind, Kernel, Operand, OperandId, Role, Store, verify,
};

/// A kernel and a map in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The kernel, over the axes of the first one.
    pub kernel: Kernel,
    /// What its operands are.
    pub operands: Vec<Origin>,
}

/// What an operand of an [`Appended`] kernel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// That operand of the first kernel.
    First(OperandId),
    /// That operand of the map.
    Map(OperandId),
}

/// How a map follows a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// What the first kernel writes, once per parallel point, and the map reads.
    pub result: OperandId,
    /// The operands of the map that are that result, each element at the place where it was written.
    pub reads: &'a [OperandId],
    /// For each axis of the map the axes of the first kernel that it walks, outermost first. Each parallel axis of that
    /// stands in one of them.
    pub axes: &'a [Vec<usize>],
    /// Whether the result is needed otherwise too, and stored.
    pub keep: bool,
}

/// Puts a map behind a kernel, both verified. `None` where they do not fit: for a kernel of several stages, with scratch, or with
/// other results, and a map that gathers, or that asks for its position along merged axes.
pub fn append(first: &Kernel, map: &Kernel, link: &Link<'_>) -> Option<Appended> {
    let [Store { operand, value }] = *first.stores.as_slice() else { return None };
    if operand != link.result || !fits(first, map, link) {
        return None;
    }
    let name = format!("{}_{}", first.name, map.name);
    let operands = (0..first.operands.len() as u32).map(|o| Origin::First(OperandId(o))).collect();
    let mut one = Appended { kernel: Kernel { name, ..first.clone() }, operands };
    if !link.keep {
        one.remove_result(operand);
    }
    let places = one.add_operands(map, link, first.axes.len());
    let renamed = one.add_body(map, link, &places, value)?;
    one.kernel.stores.extend(
        map.stores.iter().map(|store| Store {
            operand: places[store.operand.index()],
            value: renamed[store.value.index()],
        }),
    );
    verify::verify(&one.kernel).ok()?;
    Some(one)
}

/// Whether both are of the kind that can be one kernel, and the axes of the map cover those of the first one.
fn fits(first: &Kernel, map: &Kernel, link: &Link<'_>) -> bool {
    let Some(axis) = first.reduce_axis() else { return false };
    let plain = |k: &Kernel| k.operands.iter().all(|o| o.role != Role::Scratch && o.gathers == 0);
    let mut parallel = (0..first.axes.len()).filter(|a| first.axes[*a].kind == AxisKind::Parallel);
    let walked = |a: usize| link.axes.iter().flatten().filter(|x| **x == a).count() == 1;
    first.stages.len() == 1
        && plain(first)
        && plain(map)
        && first.access(link.result, axis) == Access::Zero
        && map.form() == Form::Map
        && link.axes.len() == map.axes.len()
        && link.axes.iter().flatten().all(|a| *a != axis)
        && parallel.all(walked)
}

impl Appended {
    /// Stores nothing of the first kernel's result.
    fn remove_result(&mut self, result: OperandId) {
        self.kernel.stores.clear();
        self.kernel.operands.remove(result.index());
        self.operands.remove(result.index());
        for inst in &mut self.kernel.body {
            if let InstKind::Load(o) = &mut inst.kind
                && *o > result
            {
                o.0 -= 1;
            }
        }
    }

    /// Adds the operands of the map but those that are the result; where each of them stands.
    fn add_operands(&mut self, map: &Kernel, link: &Link<'_>, axes: usize) -> Vec<OperandId> {
        let mut places = vec![OperandId(u32::MAX); map.operands.len()];
        for (o, from) in map.operands.iter().enumerate() {
            let id = OperandId(o as u32);
            if !link.reads.contains(&id) {
                places[o] = OperandId(self.kernel.operands.len() as u32);
                self.kernel.operands.push(spread(from, link.axes, axes));
                self.operands.push(Origin::Map(id));
            }
        }
        places
    }

    /// Adds the instructions of the map, for which `value` is the result; the new name of each.
    fn add_body(
        &mut self,
        map: &Kernel,
        link: &Link<'_>,
        places: &[OperandId],
        value: InstId,
    ) -> Option<Vec<InstId>> {
        let mut renamed: Vec<InstId> = Vec::with_capacity(map.body.len());
        for inst in &map.body {
            let mut kind = inst.kind.clone();
            match &mut kind {
                InstKind::Load(o) if link.reads.contains(o) => {
                    renamed.push(value);
                    continue;
                }
                InstKind::Load(o) => *o = places[o.index()],
                InstKind::Index(a) => {
                    let [one] = link.axes[*a as usize].as_slice() else { return None };
                    *a = *one as u32;
                }
                InstKind::LoadAt { .. }
                | InstKind::Reduce { .. }
                | InstKind::Part { .. }
                | InstKind::Scan { .. } => return None,
                InstKind::Const(_)
                | InstKind::Map(..)
                | InstKind::Rescue(..)
                | InstKind::Cast(_)
                | InstKind::Bitcast(_) => {
                    kind.args_mut().iter_mut().for_each(|a| *a = renamed[a.index()]);
                }
            }
            self.kernel.body.push(Inst { dtype: inst.dtype, kind });
            renamed.push(InstId(self.kernel.body.len() as u32 - 1));
        }
        Some(renamed)
    }
}

/// An operand of the map over the axes of the first kernel.
pub(super) fn spread(from: &Operand, axes: &[Vec<usize>], count: usize) -> Operand {
    let mut access = vec![Access::Zero; count];
    for (walked, class) in axes.iter().zip(&from.access) {
        for (i, axis) in walked.iter().enumerate() {
            let inner = i + 1 == walked.len();
            access[*axis] = if inner || *class == Access::Zero { *class } else { Access::Strided };
        }
    }
    Operand { access, ..from.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::{Combine, KernelBuilder};
    use crate::{DType, Op};

    /// Sums of rows of a rank-3 array.
    fn sums() -> Kernel {
        let mut b = KernelBuilder::new("sums", &[AxisKind::Parallel, AxisKind::Parallel, AxisKind::Reduce]);
        let x = b.input(DType::F32, &[Access::Strided, Access::Strided, Access::Unit]);
        let out = b.output(DType::F32, &[Access::Strided, Access::Strided, Access::Zero]);
        let v = b.load(x);
        let sum = b.reduce(Combine::Sum, &[v]);
        b.store(out, sum);
        b.finish().unwrap()
    }

    /// `relu(x + y)` over one axis, where the first operand is the result.
    fn relu(position: bool) -> Kernel {
        let mut b = KernelBuilder::new("relu", &[AxisKind::Parallel]);
        let x = b.input(DType::F32, &[Access::Unit]);
        let y = b.input(DType::F32, &[Access::Unit]);
        let out = b.output(DType::F32, &[Access::Unit]);
        let (v, u) = (b.load(x), b.load(y));
        let sum = b.map(Op::Add, &[v, u]);
        let other = if position { b.index(0) } else { sum };
        let other = b.cast(other, DType::F32);
        let most = b.map(Op::Max, &[sum, other]);
        b.store(out, most);
        b.finish().unwrap()
    }

    #[test]
    fn a_map_over_merged_axes_becomes_instructions_per_point() {
        let (axes, reads) = ([vec![0, 1]], [OperandId(0)]);
        let link = Link { result: OperandId(1), reads: &reads, axes: &axes, keep: false };
        let one = append(&sums(), &relu(false), &link).unwrap();
        let kept = append(&sums(), &relu(false), &Link { keep: true, ..link }).unwrap();
        insta::assert_snapshot!(format!(
            "{}{:?}\n{}{:?}",
            one.kernel, one.operands, kept.kernel, kept.operands
        ));
        // Which of the merged positions is meant is not known.
        assert_eq!(append(&sums(), &relu(true), &link), None);
        assert_eq!(append(&sums(), &relu(false), &Link { axes: &[vec![1]], ..link }), None);
        assert_eq!(append(&sums(), &relu(false), &Link { result: OperandId(0), ..link }), None);
    }
}
