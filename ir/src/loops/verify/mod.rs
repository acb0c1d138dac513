//! The laws of loop IR. All violations are reported, not only the first.

use super::{Access, AxisKind, Form, Inst, InstId, InstKind, Kernel, OperandId, Role};
use crate::dtype::DType;
use crate::ops::{Class, Op};
use std::fmt;

mod stages;

/// What is wrong with a kernel, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(pub Vec<String>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Violations {}

/// Checks a kernel.
///
/// # Errors
/// Everything that is wrong with it.
pub fn verify(k: &Kernel) -> Result<(), Violations> {
    let mut c = Checker { k, found: Vec::new() };
    c.axes();
    c.operands();
    c.stages();
    for (i, inst) in k.body.iter().enumerate() {
        c.inst(i, inst);
    }
    c.phases();
    c.stores();
    if c.found.is_empty() { Ok(()) } else { Err(Violations(c.found)) }
}

struct Checker<'a> {
    k: &'a Kernel,
    found: Vec<String>,
}

impl Checker<'_> {
    fn fail(&mut self, message: String) {
        self.found.push(message);
    }

    fn check(&mut self, ok: bool, message: impl FnOnce() -> String) {
        if !ok {
            self.fail(message());
        }
    }

    fn axes(&mut self) {
        let special = self.k.axes.iter().filter(|a| a.kind != AxisKind::Parallel).count();
        self.check(special <= 1, || format!("{special} reduce and scan axes, at most one is allowed"));
    }

    fn operands(&mut self) {
        let (k, rank) = (self.k, self.k.axes.len());
        for (i, o) in k.operands.iter().enumerate() {
            self.check(o.access.len() == rank, || {
                format!("${i} has {} access classes for {rank} axes", o.access.len())
            });
            self.check(o.gathers == 0 || o.role == Role::In, || format!("${i} is written and gathered"));
            if o.role == Role::Scratch {
                let row = self.k.form() == Form::RowReduce;
                self.check(row, || format!("${i} is scratch, and the innermost axis is not a reduce axis"));
                let one_row = o.access.split_last().is_some_and(|(last, outer)| {
                    *last == Access::Unit && outer.iter().all(|a| *a == Access::Zero)
                });
                self.check(one_row, || format!("${i} is scratch and not a row of the innermost axis"));
                let last = k.operands[i..].iter().all(|o| o.role == Role::Scratch);
                self.check(last, || format!("${i} is scratch and stands before an operand that is not"));
            }
        }
    }

    /// The dtype of an instruction above `i`.
    fn arg(&mut self, i: usize, id: InstId) -> Option<DType> {
        self.check(id.index() < i, || format!("%{i} uses %{}, which is not above it", id.0));
        if id.index() < i { Some(self.k.inst(id).dtype) } else { None }
    }

    fn args(&mut self, i: usize, ids: &[InstId]) -> Option<Vec<DType>> {
        // Collected first, so that every bad argument is reported.
        let dtypes: Vec<Option<DType>> = ids.iter().map(|id| self.arg(i, *id)).collect();
        dtypes.into_iter().collect()
    }

    fn expect(&mut self, i: usize, inst: &Inst, dtype: DType) {
        self.check(inst.dtype == dtype, || format!("%{i} is declared {} but is {dtype}", inst.dtype));
    }

    fn inst(&mut self, i: usize, inst: &Inst) {
        let Some(args) = self.args(i, inst.kind.args()) else { return };
        match &inst.kind {
            InstKind::Load(o) => self.load(i, inst, *o, 0),
            InstKind::LoadAt { operand, indices } => {
                self.load(i, inst, *operand, indices.len());
                self.check(!indices.is_empty(), || format!("%{i} gathers along no dimension"));
                self.check(args.iter().all(|d| *d == DType::I64), || format!("%{i}: an index is not i64"));
            }
            InstKind::Index(axis) => {
                self.check((*axis as usize) < self.k.axes.len(), || format!("%{i}: there is no axis {axis}"));
                self.expect(i, inst, DType::I64);
            }
            InstKind::Const(s) => self.expect(i, inst, s.dtype()),
            InstKind::Map(op, _) => self.map(i, inst, *op, &args),
            InstKind::Rescue(op, _) => {
                let d = inst.dtype;
                let ok = args == [d, DType::Bool, d] && op.result_dtype(&[d]) == Some(d);
                self.check(ok, || format!("%{i}: rescue.{} does not take {args:?}", op.name()));
            }
            InstKind::Cast(_) => {}
            InstKind::Bitcast(_) => {
                let ok = inst.dtype.size() == args[0].size()
                    && inst.dtype != DType::Bool
                    && args[0] != DType::Bool;
                self.check(ok, || format!("%{i}: {} cannot be bitcast to {}", args[0], inst.dtype));
            }
            InstKind::Reduce { combine, .. } => {
                let name = combine.name();
                self.check(combine.accepts(&args), || format!("%{i}: reduce.{name} does not take {args:?}"));
                let row = matches!(self.k.form(), Form::RowReduce | Form::ColumnReduce(_));
                self.check(row, || format!("%{i}: a reduction without a reduce axis"));
                self.expect_first(i, inst, &args);
            }
            InstKind::Part { of, component } => self.part(i, inst, *of, *component),
            InstKind::Scan { combine, .. } => {
                let ordinary = combine.op().is_some_and(|op| op.class() == Class::Number);
                let ok = ordinary && combine.accepts(&args);
                self.check(ok, || format!("%{i}: scan.{} does not take {args:?}", combine.name()));
                let scan = matches!(self.k.form(), Form::Scan(_));
                self.check(scan, || format!("%{i}: a scan without a scan axis"));
                self.expect_first(i, inst, &args);
            }
        }
    }

    fn expect_first(&mut self, i: usize, inst: &Inst, args: &[DType]) {
        if let Some(first) = args.first() {
            self.expect(i, inst, *first);
        }
    }

    fn load(&mut self, i: usize, inst: &Inst, operand: OperandId, gathers: usize) {
        let Some(o) = self.k.operands.get(operand.index()) else {
            return self.fail(format!("%{i}: there is no ${}", operand.0));
        };
        self.check(o.gathers as usize == gathers, || {
            format!("%{i} gathers ${} along {gathers} dimensions of {}", operand.0, o.gathers)
        });
        self.expect(i, inst, o.dtype);
    }

    fn map(&mut self, i: usize, inst: &Inst, op: Op, args: &[DType]) {
        let Some(dtype) = op.result_dtype(args) else {
            return self.fail(format!("%{i}: {} does not take {args:?}", op.name()));
        };
        self.expect(i, inst, dtype);
        let storage = args.iter().any(|d| d.compute() != *d);
        self.check(!storage || op == Op::Select, || {
            format!("%{i}: {} on a storage format, cast to f32 first", op.name())
        });
    }

    fn part(&mut self, i: usize, inst: &Inst, of: InstId, component: u32) {
        let InstKind::Reduce { values, .. } = &self.k.inst(of).kind else {
            return self.fail(format!("%{i}: %{} is not a reduction", of.0));
        };
        match values.get(component as usize) {
            None => self.fail(format!("%{i}: %{} has no component {component}", of.0)),
            Some(v) if v.index() < i => {
                let dtype = self.k.inst(*v).dtype;
                self.expect(i, inst, dtype);
            }
            // A forward reference, reported at the reduction.
            Some(_) => {}
        }
    }
}
