//! A map and the reduction that reads its result, as one kernel.
//!
//! The map becomes instructions in front of the reduction, at each of its points, so that what it computes is never in
//! memory. It is computed again wherever the reduction reads the same element again; whether that is worth it, sizes say and
//! not this. As for what stands behind a reduction ([`super::append`]), an axis of the map may walk several axes of the
//! other kernel.

use super::append::{Appended, Origin, spread};
use super::{Form, Inst, InstId, InstKind, Kernel, Operand, OperandId, Role, Store, verify};

/// How a map stands before a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The operand of the kernel that is the result of the map, each element at the place where it was written.
    pub operand: OperandId,
    /// For each axis of the map the axes of the kernel that it walks, outermost first; no axis stands in two of them.
    pub axes: &'a [Vec<usize>],
}

/// Puts a map before a reduction, both verified. `None` where they do not fit: for a kernel of several stages, with scratch, or
/// that gathers, and a map of several results, or that asks for its position.
pub fn prepend(map: &Kernel, kernel: &Kernel, before: &Before<'_>) -> Option<Appended> {
    let [Store { operand: result, value }] = *map.stores.as_slice() else { return None };
    if !fits(map, kernel, before) {
        return None;
    }
    let (operands, origins, places) = operands(map, kernel, before, result);
    let mut body = Vec::with_capacity(map.body.len() + kernel.body.len());
    for inst in &map.body {
        let mut kind = inst.kind.clone();
        match &mut kind {
            InstKind::Load(o) => *o = *places.get(o.index())?,
            InstKind::Const(_)
            | InstKind::Map(..)
            | InstKind::Rescue(..)
            | InstKind::Cast(_)
            | InstKind::Bitcast(_) => {}
            InstKind::LoadAt { .. }
            | InstKind::Index(_)
            | InstKind::Reduce { .. }
            | InstKind::Part { .. }
            | InstKind::Scan { .. } => return None,
        }
        body.push(Inst { dtype: inst.dtype, kind });
    }
    let names = renamed(kernel, map.body.len(), before.operand, value);
    add_body(&mut body, kernel, before.operand, &names);
    let moved = |o: OperandId| if o > before.operand { OperandId(o.0 - 1) } else { o };
    let stores = kernel.stores.iter();
    let stores = stores.map(|s| Store { operand: moved(s.operand), value: names[s.value.index()] }).collect();
    let name = format!("{}_{}", map.name, kernel.name);
    let one = Kernel { name, operands, body, stores, ..kernel.clone() };
    verify::verify(&one).ok()?;
    Some(Appended { kernel: one, operands: origins })
}

fn fits(map: &Kernel, kernel: &Kernel, before: &Before<'_>) -> bool {
    let plain = |k: &Kernel| k.operands.iter().all(|o| o.role != Role::Scratch && o.gathers == 0);
    let once = |a: &usize| before.axes.iter().flatten().filter(|x| *x == a).count() == 1;
    let read = kernel.operands.get(before.operand.index());
    kernel.reduce_axis().is_some()
        && kernel.stages.len() == 1
        && plain(kernel)
        && plain(map)
        && map.form() == Form::Map
        && before.axes.len() == map.axes.len()
        && before.axes.iter().flatten().all(|a| *a < kernel.axes.len() && once(a))
        && read.is_some_and(|o| o.role == Role::In)
}

/// The operands of the kernel but the one that is computed now, and then those of the map but its result; where each of the
/// map's stands.
fn operands(
    map: &Kernel,
    kernel: &Kernel,
    before: &Before<'_>,
    result: OperandId,
) -> (Vec<Operand>, Vec<Origin>, Vec<OperandId>) {
    let (mut operands, mut origins) = (kernel.operands.clone(), Vec::new());
    operands.remove(before.operand.index());
    let others = (0..kernel.operands.len() as u32).map(OperandId).filter(|o| *o != before.operand);
    origins.extend(others.map(Origin::First));
    let mut places = Vec::with_capacity(map.operands.len());
    for (o, from) in map.operands.iter().enumerate() {
        let id = OperandId(o as u32);
        places.push(OperandId(operands.len() as u32));
        if id != result {
            operands.push(spread(from, before.axes, kernel.axes.len()));
            origins.push(Origin::Map(id));
        }
    }
    (operands, origins, places)
}

/// The new name of each instruction of the kernel, behind `first` others, where loads of an operand are `value`.
fn renamed(kernel: &Kernel, first: usize, operand: OperandId, value: InstId) -> Vec<InstId> {
    let mut next = first as u32;
    let name = |inst: &Inst| {
        if is_load(inst, operand) {
            return value;
        }
        next += 1;
        InstId(next - 1)
    };
    kernel.body.iter().map(name).collect()
}

fn is_load(inst: &Inst, operand: OperandId) -> bool {
    matches!(inst.kind, InstKind::Load(o) if o == operand)
}

/// Adds the instructions of the kernel by their new names, without loads of the operand that is computed now.
fn add_body(body: &mut Vec<Inst>, kernel: &Kernel, operand: OperandId, names: &[InstId]) {
    for inst in kernel.body.iter().filter(|i| !is_load(i, operand)) {
        let mut kind = inst.kind.clone();
        if let InstKind::Load(o) = &mut kind
            && *o > operand
        {
            o.0 -= 1;
        }
        kind.args_mut().iter_mut().for_each(|a| *a = names[a.index()]);
        body.push(Inst { dtype: inst.dtype, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::{Access, AxisKind, Combine, KernelBuilder};
    use crate::{DType, Op};

    /// Sums of products over the middle axis.
    fn product() -> Kernel {
        let mut b =
            KernelBuilder::new("product", &[AxisKind::Parallel, AxisKind::Reduce, AxisKind::Parallel]);
        let x = b.input(DType::F32, &[Access::Strided, Access::Strided, Access::Zero]);
        let y = b.input(DType::F32, &[Access::Zero, Access::Strided, Access::Unit]);
        let out = b.output(DType::F32, &[Access::Strided, Access::Zero, Access::Unit]);
        let (v, u) = (b.load(x), b.load(y));
        let term = b.map(Op::Mul, &[v, u]);
        let sum = b.reduce(Combine::Sum, &[term]);
        b.store(out, sum);
        b.finish().unwrap()
    }

    /// `exp(x - y)` over one axis or two, where `y` stays along the first of two.
    fn map(axes: usize, position: bool) -> Kernel {
        let mut b = KernelBuilder::new("map", &vec![AxisKind::Parallel; axes]);
        let mut all = vec![Access::Strided; axes];
        all[axes - 1] = Access::Unit;
        let mut row = all.clone();
        if axes > 1 {
            row[0] = Access::Zero;
        }
        let (x, y) = (b.input(DType::F32, &all), b.input(DType::F32, &row));
        let out = b.output(DType::F32, &all);
        let (v, u) = (b.load(x), b.load(y));
        let u = if position { b.index(0) } else { u };
        let u = if position { b.cast(u, DType::F32) } else { u };
        let difference = b.map(Op::Sub, &[v, u]);
        let value = b.map(Op::Exp, &[difference]);
        b.store(out, value);
        b.finish().unwrap()
    }

    #[test]
    fn a_map_becomes_instructions_before_a_product() {
        let put = |map: Kernel, operand, axes: &[Vec<usize>]| {
            prepend(&map, &product(), &Before { operand: OperandId(operand), axes })
        };
        let merged = put(map(1, false), 0, &[vec![0, 1]]).unwrap();
        let second = put(map(2, false), 1, &[vec![1], vec![2]]).unwrap();
        insta::assert_snapshot!(format!(
            "{}{:?}\n{}{:?}",
            merged.kernel, merged.operands, second.kernel, second.operands
        ));
        // What has no position of its own, a result, an axis twice, and one that is not there.
        assert_eq!(put(map(1, true), 0, &[vec![0, 1]]), None);
        assert_eq!(put(map(1, false), 2, &[vec![0, 2]]), None);
        assert_eq!(put(map(2, false), 0, &[vec![0], vec![0]]), None);
        assert_eq!(put(map(1, false), 0, &[vec![3]]), None);
    }
}
