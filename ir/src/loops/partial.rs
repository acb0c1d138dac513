//! A reduction in two kernels: one that reduces parts of the axis, and one that reduces what these came to.
//!
//! Unlike [`split`](super::split), which leaves the order of a sum as it is and the merging to whoever runs the parts, this
//! has an order of its own: that of the parts, in the canonical order of the second kernel. It is for engines with an
//! order of their own.

use super::split::{Bound, split};
use super::{Access, Axis, AxisKind, Inst, InstId, InstKind, Kernel, OperandId, Role, Store, verify};

/// A kernel in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Reduces each part. Its axes are those of the whole behind one for the part; an operand moves along that by as much
    /// as a part is long.
    pub parts: Kernel,
    /// What the operands of `parts` are: operands of the whole, or its states, which it writes.
    pub parts_operands: Vec<Bound>,
    /// Reduces the states along its last axis, which is that of the parts, and does what the whole does with the
    /// results. Its other axes are the parallel ones of the whole.
    pub finish: Kernel,
    /// What the operands of `finish` are.
    pub finish_operands: Vec<Bound>,
}

/// Cuts a verified kernel in two. `None` for one that has no reduce axis, writes elements along it, walks it more than once,
/// asks for the position along it, or gathers.
pub fn partial(k: &Kernel) -> Option<Partial> {
    let cut = split(k)?;
    let [walk] = <[_; 1]>::try_from(cut.walks).ok()?;
    let point = cut.point?;
    let reads = walk.kernel.operands.iter().zip(&walk.operands);
    let states_only = reads.into_iter().all(|(o, b)| match b {
        Bound::Operand(_) => o.role == Role::In && o.gathers == 0,
        Bound::State { component, .. } => o.role == Role::Out && *component == 0,
        Bound::Start => false,
    });
    let known = point.operands.iter().all(|b| *b != Bound::Start);
    let gathers = point.kernel.operands.iter().any(|o| o.gathers > 0);
    if !states_only || !known || gathers || cut.states.iter().any(|s| s.combine.arity() != 1) {
        return None;
    }
    let parts = with_parts(walk.kernel, &walk.operands, cut.axis);
    let finish =
        reducing(&point.kernel, &point.operands, &cut.states.iter().map(|s| s.combine).collect::<Vec<_>>());
    verify::verify(&parts).ok()?;
    verify::verify(&finish).ok()?;
    Some(Partial { parts, parts_operands: walk.operands, finish, finish_operands: point.operands })
}

/// A walk over each of the parts: an axis in front of all others.
fn with_parts(mut walk: Kernel, operands: &[Bound], axis: usize) -> Kernel {
    for (operand, bound) in walk.operands.iter_mut().zip(operands) {
        let moves = operand.access[axis] != Access::Zero || matches!(bound, Bound::State { .. });
        operand.access.insert(0, if moves { Access::Strided } else { Access::Zero });
    }
    walk.axes.insert(0, Axis { kind: AxisKind::Parallel });
    for inst in &mut walk.body {
        if let InstKind::Index(a) = &mut inst.kind {
            *a += 1;
        }
    }
    walk
}

/// What is done per point, with each state reduced along a last axis.
fn reducing(point: &Kernel, operands: &[Bound], combines: &[super::Combine]) -> Kernel {
    let mut kernel = Kernel { body: Vec::new(), stores: Vec::new(), ..point.clone() };
    kernel.axes.push(Axis { kind: AxisKind::Reduce });
    for (operand, bound) in kernel.operands.iter_mut().zip(operands) {
        let state = matches!(bound, Bound::State { .. });
        operand.access.push(if state { Access::Strided } else { Access::Zero });
    }
    let state = |kind: &InstKind| {
        let InstKind::Load(o) = kind else { return None };
        let Some(Bound::State { state, .. }) = operands.get(o.index()) else { return None };
        Some((*o, combines[*state]))
    };
    let mut renamed = vec![InstId(0); point.body.len()];
    let mut push = |dtype, kind| {
        kernel.body.push(Inst { dtype, kind });
        InstId(kernel.body.len() as u32 - 1)
    };
    // What is done with the results stands below all reductions.
    for (id, inst) in point.body.iter().enumerate() {
        if let Some((operand, combine)) = state(&inst.kind) {
            let value = push(inst.dtype, InstKind::Load(operand));
            renamed[id] = push(inst.dtype, InstKind::Reduce { combine, values: vec![value] });
        }
    }
    for (id, inst) in point.body.iter().enumerate() {
        if state(&inst.kind).is_none() {
            let mut kind = inst.kind.clone();
            kind.args_mut().iter_mut().for_each(|a| *a = renamed[a.index()]);
            renamed[id] = push(inst.dtype, kind);
        }
    }
    let renamed = |s: &Store| Store { operand: s.operand, value: renamed[s.value.index()] };
    kernel.stores = point.stores.iter().map(renamed).collect();
    kernel
}

impl Partial {
    /// The states, by their place in `parts_operands`: the operands that `parts` writes and `finish` reads.
    pub fn states(&self) -> impl Iterator<Item = (OperandId, Bound)> + '_ {
        let all = self.parts_operands.iter().enumerate();
        all.filter(|(_, b)| matches!(b, Bound::State { .. })).map(|(i, b)| (OperandId(i as u32), *b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::{Combine, KernelBuilder};
    use crate::{DType, Op};

    /// The sum and the largest of each column, and the root of what a row has besides the sum.
    fn columns(elements: bool) -> Kernel {
        let mut b = KernelBuilder::new("columns", &[AxisKind::Reduce, AxisKind::Parallel]);
        let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
        let y = b.input(DType::F32, &[Access::Zero, Access::Unit]);
        let out = b.output(DType::F32, &[Access::Zero, Access::Unit]);
        let (v, u) = (b.load(x), b.load(y));
        let product = b.map(Op::Mul, &[v, u]);
        let sum = b.reduce(Combine::Sum, &[product]);
        let most = b.reduce(Combine::Max, &[v]);
        let both = b.map(Op::Add, &[sum, most]);
        let again = b.load(y);
        let all = b.map(Op::Sub, &[both, again]);
        b.store(out, all);
        if elements {
            let every = b.output(DType::F32, &[Access::Strided, Access::Unit]);
            b.store(every, product);
        }
        b.finish().unwrap()
    }

    #[test]
    fn a_reduction_becomes_one_of_parts_and_one_of_states() {
        let cut = partial(&columns(false)).unwrap();
        let text = format!(
            "{}{:?}\n{}{:?}\n{:?}",
            cut.parts,
            cut.parts_operands,
            cut.finish,
            cut.finish_operands,
            cut.states().collect::<Vec<_>>()
        );
        insta::assert_snapshot!(text);
        assert_eq!(partial(&columns(true)), None);
    }
}
