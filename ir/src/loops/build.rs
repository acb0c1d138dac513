//! Building kernels by hand or by a lowering: one method an instruction, types filled in.

use super::verify::{Violations, verify};
use super::{
    Access, Axis, AxisKind, Combine, Inst, InstId, InstKind, Kernel, Operand, OperandId, Role, Store,
};
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::span::Span;

/// Puts a kernel together. Mistakes are not refused here but reported, all of them, by [`KernelBuilder::finish`].
///
/// ```
/// use matex_ir::loops::{Access, AxisKind, Combine, KernelBuilder};
/// use matex_ir::{DType, Op};
/// let mut b = KernelBuilder::new("norm2", &[AxisKind::Parallel, AxisKind::Reduce]);
/// let x = b.input(DType::F64, &[Access::Strided, Access::Unit]);
/// let out = b.output(DType::F64, &[Access::Strided, Access::Zero]);
/// let v = b.load(x);
/// let square = b.map(Op::Mul, &[v, v]);
/// let sum = b.reduce(Combine::Sum, &[square]);
/// let root = b.map(Op::Sqrt, &[sum]);
/// b.store(out, root);
/// let kernel = b.finish().unwrap();
/// assert!(kernel.to_string().contains("%2: f64 = reduce.sum %1"));
/// ```
#[derive(Clone, Debug)]
pub struct KernelBuilder {
    kernel: Kernel,
    origin: Span,
    origins: Vec<Span>,
}

impl KernelBuilder {
    /// Starts a kernel over these axes, outermost first.
    pub fn new(name: impl Into<String>, axes: &[AxisKind]) -> KernelBuilder {
        let axes = axes.iter().map(|&kind| Axis { kind }).collect();
        KernelBuilder {
            kernel: Kernel {
                name: name.into(),
                axes,
                operands: Vec::new(),
                body: Vec::new(),
                stages: vec![0],
                stores: Vec::new(),
            },
            origin: Span::default(),
            origins: Vec::new(),
        }
    }

    /// The place in the source that the next instructions come from.
    pub fn at(&mut self, origin: Span) {
        self.origin = origin;
    }

    /// The places that the instructions up to now come from, in their order. They are no part of the kernel, which programs
    /// share.
    pub fn origins(&self) -> &[Span] {
        &self.origins
    }

    /// Adds a tensor that is read, with its access class for each axis.
    pub fn input(&mut self, dtype: DType, access: &[Access]) -> OperandId {
        self.operand(Operand { dtype, role: Role::In, access: access.to_vec(), gathers: 0 })
    }

    /// Adds a tensor that is read by [`KernelBuilder::load_at`] along `gathers` dimensions of its own.
    pub fn gather_input(&mut self, dtype: DType, access: &[Access], gathers: u32) -> OperandId {
        self.operand(Operand { dtype, role: Role::In, access: access.to_vec(), gathers })
    }

    /// Adds a tensor that is written, with its access class for each axis.
    pub fn output(&mut self, dtype: DType, access: &[Access]) -> OperandId {
        self.operand(Operand { dtype, role: Role::Out, access: access.to_vec(), gathers: 0 })
    }

    /// Adds a row of memory that lasts for one parallel point: stored in one stage, loaded in later ones. The reduce
    /// axis has to be the innermost one, and the operand stands after all that are not scratch.
    pub fn scratch(&mut self, dtype: DType) -> OperandId {
        let mut access = vec![Access::Zero; self.kernel.axes.len()];
        if let Some(last) = access.last_mut() {
            *last = Access::Unit;
        }
        self.operand(Operand { dtype, role: Role::Scratch, access, gathers: 0 })
    }

    /// Begins the next stage: another walk over the reduce axis.
    pub fn next_stage(&mut self) {
        self.kernel.stages.push(self.kernel.body.len());
    }

    /// Adds an operand.
    pub fn operand(&mut self, operand: Operand) -> OperandId {
        self.kernel.operands.push(operand);
        OperandId(self.kernel.operands.len() as u32 - 1)
    }

    /// The dtype of an instruction; `bool` for one that does not exist.
    pub fn dtype(&self, id: InstId) -> DType {
        self.kernel.body.get(id.index()).map_or(DType::Bool, |i| i.dtype)
    }

    /// Adds an instruction.
    pub fn inst(&mut self, dtype: DType, kind: InstKind) -> InstId {
        self.kernel.body.push(Inst { dtype, kind });
        self.origins.push(self.origin);
        InstId(self.kernel.body.len() as u32 - 1)
    }

    fn operand_dtype(&self, id: OperandId) -> DType {
        self.kernel.operands.get(id.index()).map_or(DType::Bool, |o| o.dtype)
    }

    /// The operand's element at the current point.
    pub fn load(&mut self, operand: OperandId) -> InstId {
        self.inst(self.operand_dtype(operand), InstKind::Load(operand))
    }

    /// The operand's element at the current point, moved along its gathered dimensions by `indices` (`i64`).
    pub fn load_at(&mut self, operand: OperandId, indices: &[InstId]) -> InstId {
        let kind = InstKind::LoadAt { operand, indices: indices.to_vec() };
        self.inst(self.operand_dtype(operand), kind)
    }

    /// The position along an axis, as `i64`.
    pub fn index(&mut self, axis: usize) -> InstId {
        self.inst(DType::I64, InstKind::Index(axis as u32))
    }

    /// A constant.
    pub fn constant(&mut self, value: Scalar) -> InstId {
        self.inst(value.dtype(), InstKind::Const(value))
    }

    /// An op of the table. Operands of `f16` and `bf16` have to be cast to `f32` before.
    pub fn map(&mut self, op: Op, args: &[InstId]) -> InstId {
        let dtypes: Vec<DType> = args.iter().map(|a| self.dtype(*a)).collect();
        let dtype = op.result_dtype(&dtypes).unwrap_or(DType::Bool);
        self.inst(dtype, InstKind::Map(op, args.to_vec()))
    }

    /// The value converted to `dtype`; nothing is added when it is of that dtype already.
    pub fn cast(&mut self, value: InstId, dtype: DType) -> InstId {
        if self.dtype(value) == dtype { value } else { self.inst(dtype, InstKind::Cast(value)) }
    }

    /// The value's bits as `dtype`.
    pub fn bitcast(&mut self, value: InstId, dtype: DType) -> InstId {
        self.inst(dtype, InstKind::Bitcast(value))
    }

    /// The combination of the values over the reduce axis; its first component is the result's value.
    pub fn reduce(&mut self, combine: Combine, values: &[InstId]) -> InstId {
        let dtype = values.first().map_or(DType::Bool, |v| self.dtype(*v));
        self.inst(dtype, InstKind::Reduce { combine, values: values.to_vec() })
    }

    /// Another component of a reduction, such as the index of `argmax` (component 1).
    pub fn part(&mut self, of: InstId, component: usize) -> InstId {
        let source = match self.kernel.body.get(of.index()).map(|i| &i.kind) {
            Some(InstKind::Reduce { values, .. }) => values.get(component).copied(),
            _ => None,
        };
        let dtype = source.map_or(DType::Bool, |v| self.dtype(v));
        self.inst(dtype, InstKind::Part { of, component: component as u32 })
    }

    /// The combination of the values along the scan axis, up to this point.
    pub fn scan(&mut self, combine: Combine, value: InstId) -> InstId {
        self.inst(self.dtype(value), InstKind::Scan { combine, value })
    }

    /// Writes a value in its stage: at every point or, where the operand does not move along the reduce axis, at every
    /// parallel point.
    pub fn store(&mut self, operand: OperandId, value: InstId) {
        self.kernel.stores.push(Store { operand, value });
    }

    /// The kernel, verified.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn finish(self) -> Result<Kernel, Violations> {
        verify(&self.kernel)?;
        Ok(self.kernel)
    }
}
