//! A scan in pieces, for engines that do parts of the axis at the same time: what each part comes to, what comes before
//! each part, and the parts themselves.
//!
//! The order of a running sum becomes that of the parts, as it does in [`partial`](super::partial). The first part is the
//! kernel itself, since nothing comes before it.

use super::split::Bound;
use super::{
    Access, Axis, AxisKind, Combine, Form, Inst, InstId, InstKind, Kernel, KernelBuilder, Operand, OperandId,
    Role, Store, verify,
};
use crate::dtype::DType;

/// A kernel that scans, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Reduces each part. Its axes are those of the whole behind one for the part.
    pub totals: Kernel,
    /// What the operands of `totals` are: operands of the whole, or what the scans come to, which it writes.
    pub totals_operands: Vec<Bound>,
    /// Scans the totals of the parts: its axes are the parallel points of the whole as one, and the parts. For each scan
    /// it reads the totals, and then for each it writes what they come to up to each part.
    pub carries: Kernel,
    /// Parts as the whole does them, behind what comes before: the same axes as `totals`.
    pub rest: Kernel,
    /// What the operands of `rest` are; states are those of the part before.
    pub rest_operands: Vec<Bound>,
    /// The dtype of each scan.
    pub states: Vec<DType>,
}

/// A scan of a kernel.
struct Scan {
    id: usize,
    combine: Combine,
    value: InstId,
    dtype: DType,
}

/// Cuts a verified kernel. `None` for one that does not scan, scans what it scanned, asks for the position along the axis,
/// or gathers.
pub fn running(k: &Kernel) -> Option<Running> {
    let Form::Scan(axis) = k.form() else { return None };
    let position = |i: &Inst| matches!(i.kind, InstKind::Index(a) if a as usize == axis);
    let plain = k.stages.len() == 1 && k.operands.iter().all(|o| o.gathers == 0 && o.role != Role::Scratch);
    if !plain || k.body.iter().any(position) {
        return None;
    }
    let scan = |(id, inst): (usize, &Inst)| match inst.kind {
        InstKind::Scan { combine, value } => Some(Scan { id, combine, value, dtype: inst.dtype }),
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Index(_)
        | InstKind::Const(_)
        | InstKind::Map(..)
        | InstKind::Rescue(..)
        | InstKind::Cast(_)
        | InstKind::Bitcast(_)
        | InstKind::Reduce { .. }
        | InstKind::Part { .. } => None,
    };
    let scans: Vec<Scan> = k.body.iter().enumerate().filter_map(scan).collect();
    let (totals, totals_operands) = totals(k, axis, &scans)?;
    let (rest, rest_operands) = rest(k, axis, &scans)?;
    let carries = carries(&scans)?;
    verify::verify(&totals).ok()?;
    verify::verify(&rest).ok()?;
    let states = scans.iter().map(|s| s.dtype).collect();
    Some(Running { totals, totals_operands, carries, rest, rest_operands, states })
}

/// The axes of a kernel behind one for the part, with the scan axis as another kind.
fn axes(k: &Kernel, kind: AxisKind) -> Vec<Axis> {
    let same = |a: &Axis| if a.kind == AxisKind::Scan { Axis { kind } } else { *a };
    std::iter::once(Axis { kind: AxisKind::Parallel }).chain(k.axes.iter().map(same)).collect()
}

/// An operand that also moves from part to part.
fn by_parts(operand: &Operand, axis: usize) -> Operand {
    let mut operand = operand.clone();
    let moves = operand.access[axis] != Access::Zero;
    operand.access.insert(0, if moves { Access::Strided } else { Access::Zero });
    operand
}

/// What a scan comes to for each part and parallel point, in row-major order.
fn state(k: &Kernel, dtype: DType, role: Role) -> Operand {
    let inner = k.axes.iter().rposition(|a| a.kind == AxisKind::Parallel);
    let along = k.axes.iter().enumerate().map(|(i, a)| match a.kind {
        AxisKind::Scan | AxisKind::Reduce => Access::Zero,
        AxisKind::Parallel if Some(i) == inner => Access::Unit,
        AxisKind::Parallel => Access::Strided,
    });
    let access = std::iter::once(Access::Strided).chain(along).collect();
    Operand { dtype, role, access, gathers: 0 }
}

/// An instruction of the whole, for new names of its operands and of what it uses.
fn renamed(kind: &InstKind, operands: &[OperandId], values: &[InstId]) -> InstKind {
    let mut kind = kind.clone();
    if let InstKind::Load(o) = &mut kind {
        *o = operands[o.index()];
    }
    if let InstKind::Index(a) = &mut kind {
        *a += 1;
    }
    kind.args_mut().iter_mut().for_each(|a| *a = values[a.index()]);
    kind
}

fn totals(k: &Kernel, axis: usize, scans: &[Scan]) -> Option<(Kernel, Vec<Bound>)> {
    let mut needed = vec![false; k.body.len()];
    scans.iter().for_each(|s| needed[s.value.index()] = true);
    for (id, inst) in k.body.iter().enumerate().rev() {
        if needed[id] {
            inst.kind.args().iter().for_each(|a| needed[a.index()] = true);
        }
    }
    if scans.iter().any(|s| needed[s.id]) {
        return None;
    }
    let mut bounds = Vec::new();
    let mut kernel = Kernel {
        name: format!("{}_totals", k.name),
        axes: axes(k, AxisKind::Reduce),
        operands: Vec::new(),
        body: Vec::new(),
        stages: vec![0],
        stores: Vec::new(),
    };
    let mut operands = vec![OperandId(0); k.operands.len()];
    for (i, operand) in k.operands.iter().enumerate() {
        let id = OperandId(i as u32);
        let loads = k.body.iter().enumerate().any(|(n, inst)| needed[n] && inst.kind == InstKind::Load(id));
        if loads {
            operands[i] = OperandId(kernel.operands.len() as u32);
            kernel.operands.push(by_parts(operand, axis));
            bounds.push(Bound::Operand(id));
        }
    }
    let mut values = vec![InstId(0); k.body.len()];
    for (id, inst) in k.body.iter().enumerate().filter(|(id, _)| needed[*id]) {
        values[id] = InstId(kernel.body.len() as u32);
        kernel.body.push(Inst { dtype: inst.dtype, kind: renamed(&inst.kind, &operands, &values) });
    }
    for (number, scan) in scans.iter().enumerate() {
        let value = InstId(kernel.body.len() as u32);
        let kind = InstKind::Reduce { combine: scan.combine, values: vec![values[scan.value.index()]] };
        kernel.body.push(Inst { dtype: scan.dtype, kind });
        kernel.stores.push(Store { operand: OperandId(kernel.operands.len() as u32), value });
        kernel.operands.push(state(k, scan.dtype, Role::Out));
        bounds.push(Bound::State { state: number, component: 0 });
    }
    Some((kernel, bounds))
}

fn rest(k: &Kernel, axis: usize, scans: &[Scan]) -> Option<(Kernel, Vec<Bound>)> {
    let mut bounds: Vec<Bound> = (0..k.operands.len()).map(|i| Bound::Operand(OperandId(i as u32))).collect();
    let same: Vec<OperandId> = (0..k.operands.len()).map(|i| OperandId(i as u32)).collect();
    let mut kernel = Kernel {
        name: format!("{}_behind", k.name),
        axes: axes(k, AxisKind::Scan),
        operands: k.operands.iter().map(|o| by_parts(o, axis)).collect(),
        body: Vec::new(),
        ..k.clone()
    };
    let mut values = vec![InstId(0); k.body.len()];
    for (id, inst) in k.body.iter().enumerate() {
        let mut push = |kind| {
            kernel.body.push(Inst { dtype: inst.dtype, kind });
            InstId(kernel.body.len() as u32 - 1)
        };
        values[id] = push(renamed(&inst.kind, &same, &values));
        if let Some(number) = scans.iter().position(|s| s.id == id) {
            let before = push(InstKind::Load(OperandId((k.operands.len() + number) as u32)));
            values[id] = push(InstKind::Map(scans[number].combine.op()?, vec![before, values[id]]));
        }
    }
    for (number, scan) in scans.iter().enumerate() {
        kernel.operands.push(state(k, scan.dtype, Role::In));
        bounds.push(Bound::State { state: number, component: 0 });
    }
    kernel.stores.iter_mut().for_each(|s| s.value = values[s.value.index()]);
    Some((kernel, bounds))
}

fn carries(scans: &[Scan]) -> Option<Kernel> {
    let mut b = KernelBuilder::new("carries", &[AxisKind::Parallel, AxisKind::Scan]);
    let access = [Access::Unit, Access::Strided];
    let totals: Vec<OperandId> = scans.iter().map(|s| b.input(s.dtype, &access)).collect();
    for (scan, total) in scans.iter().zip(totals) {
        let out = b.output(scan.dtype, &access);
        let value = b.load(total);
        let value = b.scan(scan.combine, value);
        b.store(out, value);
    }
    b.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;

    /// The running sum of each row times a number of its own, less what it was before.
    fn rows(again: bool) -> Kernel {
        let mut b = KernelBuilder::new("rows", &[AxisKind::Parallel, AxisKind::Scan]);
        let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
        let y = b.input(DType::F32, &[Access::Strided, Access::Zero]);
        let out = b.output(DType::F32, &[Access::Strided, Access::Unit]);
        let (v, u) = (b.load(x), b.load(y));
        let product = b.map(Op::Mul, &[v, u]);
        let mut sum = b.scan(Combine::Sum, product);
        if again {
            sum = b.scan(Combine::Max, sum);
        }
        let less = b.map(Op::Sub, &[sum, v]);
        b.store(out, less);
        b.finish().unwrap()
    }

    #[test]
    fn a_scan_becomes_totals_what_comes_before_and_parts() {
        let cut = running(&rows(false)).unwrap();
        let text = format!(
            "{}{:?}\n{}{}{:?}",
            cut.totals, cut.totals_operands, cut.carries, cut.rest, cut.rest_operands
        );
        insta::assert_snapshot!(text);
        assert_eq!(running(&rows(true)), None);
    }
}
