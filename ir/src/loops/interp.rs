//! The reference interpreter of kernels: slow, checked at every byte, and obviously what the IR means.
//!
//! Code generators are tested against it bit for bit (any NaN counts as any other).

use super::{AxisKind, Form, InstId, InstKind, Kernel, OperandId, Stage, Status, Store, canon};
use crate::dtype::{DType, Scalar};
use std::fmt;
use std::ops::Range;

/// Where an operand begins: which buffer, and how many bytes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The buffer. Operands may share one.
    pub buffer: usize,
    /// Bytes from its start to the element at the origin of the iteration space.
    pub offset: usize,
}

/// The run-time arguments of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelArgs {
    /// Where each operand begins.
    pub bases: Vec<Base>,
    /// The extent of each axis.
    pub extents: Vec<i64>,
    /// The stride in bytes of operand `o` along axis `a` at `o * axes + a`, then for every gathered dimension its
    /// extent and its stride, operand by operand: [`Kernel::stride_words`] words.
    pub strides: Vec<i64>,
    /// The part of the outermost parallel axis to run; `None` for all of it.
    pub range: Option<Range<i64>>,
}

/// Why a kernel could not be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterpError {
    /// The arguments do not fit the kernel: a count is wrong or an extent negative.
    Arguments,
    /// An operand reaches outside its buffer.
    OutOfBounds(OperandId),
    /// The kernel breaks a law of the IR.
    Kernel,
}

impl fmt::Display for InterpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterpError::Arguments => f.write_str("the arguments do not fit the kernel"),
            InterpError::OutOfBounds(o) => write!(f, "operand ${} reaches outside its buffer", o.0),
            InterpError::Kernel => f.write_str("the kernel is malformed"),
        }
    }
}

impl std::error::Error for InterpError {}

/// Runs a kernel on buffers of bytes.
///
/// # Errors
/// When the kernel is malformed, the arguments do not fit it, or an access leaves its buffer. What was written before
/// stays written.
pub fn run(kernel: &Kernel, args: &KernelArgs, memory: &mut [&mut [u8]]) -> Result<Status, InterpError> {
    super::verify::verify(kernel).map_err(|_| InterpError::Kernel)?;
    let fits = args.bases.len() == kernel.operands.len()
        && args.extents.len() == kernel.axes.len()
        && args.strides.len() == kernel.stride_words()
        && args.extents.iter().all(|e| *e >= 0)
        && args.bases.iter().all(|b| b.buffer < memory.len());
    if !fits {
        return Err(InterpError::Arguments);
    }
    let mut ranges: Vec<Range<i64>> = args.extents.iter().map(|e| 0..*e).collect();
    match (&args.range, kernel.range_axis()) {
        (Some(r), Some(a)) => ranges[a] = r.clone(),
        (Some(r), None) if *r != (0..1) => return Ok(Status::Ok),
        _ => {}
    }
    let special = kernel.axes.iter().position(|a| a.kind != AxisKind::Parallel);
    let inner = special.map(|a| std::mem::replace(&mut ranges[a], 0..1));
    let moving = special.map_or_else(Vec::new, |axis| kernel.moving(axis));
    let (stages, scans) = (kernel.stages(), vec![Vec::new(); kernel.body.len()]);
    let mut run = Run { kernel, stages, moving, args, memory, status: Status::Ok, scans, scanned: 0 };
    let mut point: Vec<i64> = ranges.iter().map(|r| r.start).collect();
    if ranges.iter().any(|r| r.is_empty()) {
        return Ok(Status::Ok);
    }
    loop {
        match (special, &inner) {
            (Some(axis), Some(range)) => run.line(&mut point, axis, range.clone())?,
            _ => run.element(&point)?,
        }
        if !advance(&mut point, &ranges) {
            return Ok(run.status);
        }
    }
}

/// The next point in row-major order; false after the last.
fn advance(point: &mut [i64], ranges: &[Range<i64>]) -> bool {
    for (p, r) in point.iter_mut().zip(ranges).rev() {
        *p += 1;
        if *p < r.end {
            return true;
        }
        *p = r.start;
    }
    false
}

struct Run<'a, 'm> {
    kernel: &'a Kernel,
    stages: Vec<Stage>,
    /// Which values change along the reduce or scan axis.
    moving: Vec<bool>,
    args: &'a KernelArgs,
    memory: &'a mut [&'m mut [u8]],
    status: Status,
    /// What each scan comes to along the line at hand, and the position on it.
    scans: Vec<Vec<Scalar>>,
    scanned: usize,
}

/// What reductions have come to; component by component for each instruction that is one.
type States = Vec<Option<canon::State>>;

impl Run<'_, '_> {
    /// A point of a kernel without a reduce or scan axis.
    fn element(&mut self, point: &[i64]) -> Result<(), InterpError> {
        let mut states = vec![None; self.kernel.body.len()];
        let mut values = self.unknown();
        self.body(point, 0..self.kernel.body.len(), &mut states, &mut values)?;
        self.store(point, &values, |_| true)
    }

    /// Values of which none is known yet.
    fn unknown(&self) -> Vec<Scalar> {
        self.kernel.body.iter().map(|i| Scalar::from_bits(i.dtype, 0)).collect()
    }

    /// All elements along the reduce or scan axis at one parallel point.
    fn line(&mut self, point: &mut [i64], axis: usize, range: Range<i64>) -> Result<(), InterpError> {
        let all = self.kernel.body.len();
        let mut states: States = vec![None; all];
        let mut values = self.unknown();
        if matches!(self.kernel.form(), Form::Scan(_)) {
            return self.scan_line(point, axis, range, &mut states, &mut values);
        }
        for i in 0..self.stages.len() {
            let stage = self.stages[i].clone();
            self.stage(point, axis, range.clone(), &stage, &mut states, &mut values)?;
        }
        Ok(())
    }

    /// All elements along the scan axis: first what each scan comes to, those that others use before them, then everything.
    fn scan_line(
        &mut self,
        point: &mut [i64],
        axis: usize,
        range: Range<i64>,
        states: &mut States,
        values: &mut [Scalar],
    ) -> Result<(), InterpError> {
        let k = self.kernel;
        let row = k.vector_axis() == Some(axis);
        for (id, inst) in k.body.iter().enumerate() {
            let InstKind::Scan { combine, value } = &inst.kind else { continue };
            let mut line = Vec::new();
            for i in range.clone() {
                (point[axis], self.scanned) = (i, line.len());
                self.body(point, 0..id, states, values)?;
                line.push(values[value.index()]);
            }
            self.scans[id] = canon::scan(*combine, inst.dtype, row, &line);
        }
        for (at, i) in range.enumerate() {
            (point[axis], self.scanned) = (i, at);
            self.body(point, 0..k.body.len(), states, values)?;
            self.store(point, values, |_| true)?;
        }
        point[axis] = 0;
        Ok(())
    }

    /// One walk over the reduce axis. What changes along it stays in `values` without meaning for the stages below, as
    /// the verifier has seen to.
    fn stage(
        &mut self,
        point: &mut [i64],
        axis: usize,
        range: Range<i64>,
        stage: &Stage,
        states: &mut States,
        values: &mut [Scalar],
    ) -> Result<(), InterpError> {
        let k = self.kernel;
        let here = |s: &Store| stage.insts().contains(&s.value.index());
        let mut elements: Vec<Vec<canon::State>> = vec![Vec::new(); k.body.len()];
        for i in range {
            point[axis] = i;
            self.body(point, stage.element.clone(), states, values)?;
            self.store(point, values, |s| here(s) && k.stores_elements(s))?;
            for id in stage.element.clone() {
                if let InstKind::Reduce { values: v, .. } = &k.body[id].kind {
                    elements[id].push(v.iter().map(|a| values[a.index()]).collect());
                }
            }
        }
        point[axis] = 0;
        let lanes = |d: DType| if k.form() == Form::RowReduce { canon::lanes(d) } else { 1 };
        for id in stage.element.clone() {
            let inst = &k.body[id];
            if let InstKind::Reduce { combine, .. } = &inst.kind {
                let whole = canon::reduce(*combine, inst.dtype, lanes(inst.dtype), &elements[id]);
                values[id] = whole[0];
                states[id] = Some(whole);
            } else if !self.moving[id] {
                // Known even where there are no elements.
                self.body(point, id..id + 1, states, values)?;
            }
        }
        self.body(point, stage.point.clone(), states, values)?;
        self.store(point, values, |s| here(s) && !k.stores_elements(s))
    }

    /// Evaluates instructions; `values` holds those that they use.
    fn body(
        &mut self,
        point: &[i64],
        insts: Range<usize>,
        states: &mut States,
        values: &mut [Scalar],
    ) -> Result<(), InterpError> {
        for id in insts {
            let inst = &self.kernel.body[id];
            let at = |a: &InstId| values[a.index()];
            let value = match &inst.kind {
                InstKind::Load(o) => self.load(point, *o, 0)?,
                InstKind::LoadAt { operand, indices } => {
                    let indices: Vec<i64> = indices.iter().map(|i| at(i).to_i128() as i64).collect();
                    match self.gather(*operand, &indices) {
                        Some(offset) => self.load(point, *operand, offset)?,
                        None => {
                            self.status = Status::IndexOutOfRange;
                            Scalar::from_bits(inst.dtype, 0)
                        }
                    }
                }
                InstKind::Index(a) => Scalar::from_i128(DType::I64, point[*a as usize].into()),
                InstKind::Const(s) => *s,
                InstKind::Map(op, args) => {
                    let args: Vec<Scalar> = args.iter().map(at).collect();
                    op.eval(&args).ok_or(InterpError::Kernel)?
                }
                InstKind::Rescue(op, args) => {
                    let [fast, beyond, x] = args.as_slice() else { return Err(InterpError::Kernel) };
                    if at(beyond).bits() == 0 {
                        at(fast)
                    } else {
                        op.eval(&[at(x)]).ok_or(InterpError::Kernel)?
                    }
                }
                InstKind::Cast(a) => at(a).cast(inst.dtype),
                InstKind::Bitcast(a) => Scalar::from_bits(inst.dtype, at(a).bits()),
                // Known when all elements are.
                InstKind::Reduce { .. } => continue,
                InstKind::Part { of, component } => {
                    let state = states[of.index()].as_ref().ok_or(InterpError::Kernel)?;
                    state[*component as usize]
                }
                InstKind::Scan { .. } => {
                    self.scans[id].get(self.scanned).copied().ok_or(InterpError::Kernel)?
                }
            };
            values[id] = value;
        }
        Ok(())
    }

    /// The bytes that indices move an operand by, or `None` when one is out of range.
    fn gather(&self, operand: OperandId, indices: &[i64]) -> Option<i64> {
        let words = &self.args.strides[self.kernel.gather_words(operand)..];
        let mut offset = 0i64;
        for (index, word) in indices.iter().zip(words.chunks(2)) {
            let (extent, stride) = (word[0], word[1]);
            let index = if *index < 0 { index.wrapping_add(extent) } else { *index };
            if !(0..extent).contains(&index) {
                return None;
            }
            offset = offset.wrapping_add(index.wrapping_mul(stride));
        }
        Some(offset)
    }

    /// The bytes of an operand's element, as a range of its buffer.
    fn locate(&self, point: &[i64], o: OperandId, extra: i64) -> Result<(usize, Range<usize>), InterpError> {
        let base = self.args.bases[o.index()];
        let mut at = base.offset as i128 + i128::from(extra);
        for (a, p) in point.iter().enumerate() {
            at += i128::from(*p) * i128::from(self.args.strides[o.index() * point.len() + a]);
        }
        let start = usize::try_from(at).map_err(|_| InterpError::OutOfBounds(o))?;
        let end = start + self.kernel.operands[o.index()].dtype.size();
        if end > self.memory[base.buffer].len() {
            return Err(InterpError::OutOfBounds(o));
        }
        Ok((base.buffer, start..end))
    }

    fn load(&self, point: &[i64], o: OperandId, extra: i64) -> Result<Scalar, InterpError> {
        let (buffer, range) = self.locate(point, o, extra)?;
        let mut word = [0u8; 8];
        word[..range.len()].copy_from_slice(&self.memory[buffer][range]);
        Ok(Scalar::from_bits(self.kernel.operands[o.index()].dtype, u64::from_le_bytes(word)))
    }

    fn store(
        &mut self,
        point: &[i64],
        values: &[Scalar],
        which: impl Fn(&Store) -> bool,
    ) -> Result<(), InterpError> {
        for s in self.kernel.stores.iter().filter(|s| which(s)) {
            let (buffer, range) = self.locate(point, s.operand, 0)?;
            let bytes = values[s.value.index()].bits().to_le_bytes();
            let size = range.len();
            self.memory[buffer][range].copy_from_slice(&bytes[..size]);
        }
        Ok(())
    }
}
