//! From a kernel to a validated shader.

use crate::functions;
use crate::kernel::{self, Schedule, THREADS};
use crate::product::Units;
use crate::words::Run;
use crate::{body, doubles, maps, narrow, product};
use matex_ir::DType;
use matex_ir::loops::{Access, Form, InstKind, Kernel, Role, verify};
use naga::Module;
use naga::back::wgsl::{WriterFlags, write_string};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::fmt;

/// Why there is no shader for a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The device cannot do it, or there is no code for it: what people are told, in a few words.
    Unsupported(String),
    /// The kernel is malformed, or the generator has a bug.
    Internal(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Unsupported(why) => f.write_str(why),
            Refused::Internal(why) => write!(f, "the code generator of the GPU failed: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

/// What a device can do besides what all can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caps {
    /// Threads that run in lockstep read each other's values without memory, so that reductions wait less.
    pub subgroups: bool,
    /// Floats of 16 bits in memory.
    pub halves: bool,
    /// Floats of 64 bits, and integers of as many for their bits.
    pub doubles: bool,
    /// Whether `fma` of those rounds once, which no device has to promise: it is measured.
    pub fused: bool,
    /// Units that multiply small matrices of those; only with subgroups.
    pub units: Option<Units>,
}

/// A kernel for the GPU.
#[derive(Clone, Debug)]
pub struct Shader {
    /// The code. Its entry is called `main`.
    pub module: Module,
    /// The operands that are bound, in the order of the bindings 0, 1, …; those that share memory with one before are
    /// not. Behind them a uniform buffer holds [`Run::words`](crate::Run::words).
    pub bound: Vec<usize>,
    /// Whether a cleared word is bound behind that, which is other than zero once an index was out of range.
    pub flag: bool,
    /// Whether the binding of an operand of `bound` is written to.
    pub written: Vec<bool>,
    /// How points are shared out.
    pub schedule: Schedule,
    info: ModuleInfo,
}

impl Shader {
    /// A shader of words, with a flag, whose operands are bound each on its own and written to or not; a thread takes a point.
    pub(crate) fn of_words(module: Module, written: Vec<bool>) -> Result<Shader, Refused> {
        let info = validated(&module, Caps::default())?;
        let bound = (0..written.len()).collect();
        Ok(Shader { module, bound, flag: true, written, schedule: Schedule::Points, info })
    }

    /// How many points a workgroup takes at a time.
    pub fn points_per_group(&self) -> u32 {
        if matches!(self.schedule, Schedule::Points | Schedule::Quads) { THREADS } else { 1 }
    }

    /// The code as text.
    ///
    /// # Errors
    /// When naga cannot write it, which is a bug.
    pub fn wgsl(&self) -> Result<String, Refused> {
        write_string(&self.module, &self.info, WriterFlags::empty())
            .map_err(|e| Refused::Internal(e.to_string()))
    }
}

/// Why a kernel stays on the CPU, or nothing. Far cheaper than [`compile`], which finds a few reasons more.
pub fn refusal(kernel: &Kernel) -> Option<String> {
    let dtypes = kernel.operands.iter().map(|o| o.dtype).chain(kernel.body.iter().map(|i| i.dtype));
    for dtype in dtypes {
        if body::type_of(dtype).is_none() {
            return Some(format!("it computes with {dtype}"));
        }
    }
    if let Some(why) = narrow::check(kernel).err().or_else(|| doubles::refusal(kernel)) {
        return Some(why);
    }
    kernel.body.iter().find_map(|inst| match &inst.kind {
        InstKind::Map(op, _) | InstKind::Rescue(op, _) if !functions::exists(*op) => {
            Some(functions::none(*op))
        }
        InstKind::Load(_)
        | InstKind::LoadAt { .. }
        | InstKind::Index(_)
        | InstKind::Const(_)
        | InstKind::Map(..)
        | InstKind::Rescue(..)
        | InstKind::Cast(_)
        | InstKind::Bitcast(_)
        | InstKind::Reduce { .. }
        | InstKind::Part { .. }
        | InstKind::Scan { .. } => None,
    })
}

/// What a kernel needs that only some devices have, and this one does not, in a few words.
pub fn lacks(kernel: &Kernel, caps: Caps) -> Option<String> {
    let halves = kernel.operands.iter().any(|o| o.dtype == DType::F16)
        || kernel.body.iter().any(|i| i.dtype == DType::F16);
    let halves = (halves && !caps.halves).then(|| "it works on f16, which the GPU lacks".to_owned());
    halves.or_else(|| doubles::lacks(kernel, caps))
}

/// From how many elements on a workgroup shares a row.
const LONG_ROW: i64 = 64;

/// From how many points on there are enough threads without sharing rows.
const MANY_POINTS: i64 = 1 << 16;

/// From how many points on threads with a row each read whole pieces of memory, where rows lie side by side.
const FEW_POINTS: i64 = 32;

/// Whether of all that a kernel reads along the reduce axis and others the elements of different rows are neighbours.
fn lies_across(kernel: &Kernel, run: &Run<'_>, reduced: usize) -> bool {
    let axes = kernel.axes.len();
    let mut found = false;
    for (o, operand) in kernel.operands.iter().enumerate().filter(|(_, o)| o.role == Role::In) {
        let stride = |axis: usize| run.strides.get(o * axes + axis).copied().unwrap_or(0);
        let mut others = (0..axes).filter(|a| *a != reduced && run.extents[*a] > 1).map(stride);
        if operand.access[reduced] == Access::Zero || others.clone().all(|s| s == 0) {
            continue;
        }
        if stride(reduced) == 1 || others.all(|s| s != 1) {
            return false;
        }
        found = true;
    }
    found
}

/// The schedule for a run of a kernel on a device that can do so much; `shares` as for [`compile`].
pub fn schedule(kernel: &Kernel, run: &Run<'_>, shares: &[usize], caps: Caps) -> Schedule {
    if let Some(tiles) = product::tiles(kernel, run, shares, caps) {
        return Schedule::Tiles(tiles);
    }
    let (scratch, extents) = (kernel.operands.iter().any(|o| o.role == Role::Scratch), run.extents);
    let axis = match (kernel.form(), kernel.reduce_axis()) {
        (Form::RowReduce, Some(axis)) | (Form::Scan(axis), _) => axis,
        (Form::Map, _) => return map(kernel, run, shares),
        (Form::RowReduce | Form::ColumnReduce(_), _) => return Schedule::Points,
    };
    let length = extents.get(axis).copied().unwrap_or(0);
    let points =
        extents.iter().enumerate().filter(|(a, _)| *a != axis).fold(1i64, |n, (_, e)| n.saturating_mul(*e));
    // A thread that walks a row alone reads far from its neighbours, which only many short rows make up for, unless it
    // is the next row that lies next in memory.
    let alone = (length < LONG_ROW && points >= MANY_POINTS)
        || (points >= FEW_POINTS && lies_across(kernel, run, axis));
    if scratch || !alone { Schedule::Rows } else { Schedule::Points }
}

/// The schedule for a run of a map.
fn map(kernel: &Kernel, run: &Run<'_>, shares: &[usize]) -> Schedule {
    match maps::turned(kernel, run, shares) {
        Some(turned) => Schedule::Turned(turned),
        None if maps::quads(kernel, run, shares) => Schedule::Quads,
        None => Schedule::Points,
    }
}

/// What code generation depends on: equal keys are equal shaders.
pub fn key(kernel: &Kernel, schedule: Schedule, shares: &[usize], caps: Caps) -> String {
    format!("{schedule:?} {shares:?} {caps:?} {}", kernel.key())
}

/// The shader of a kernel that was not expanded. `shares` has for each operand the number of the first one that is bound
/// to the same memory, its own where there is none before it.
///
/// # Errors
/// What the device cannot do, and bugs.
pub fn compile(kernel: &Kernel, schedule: Schedule, shares: &[usize], caps: Caps) -> Result<Shader, Refused> {
    verify::verify(kernel).map_err(|v| Refused::Internal(v.to_string()))?;
    if let Some(why) = refusal(kernel).or_else(|| lacks(kernel, caps)) {
        return Err(Refused::Unsupported(why));
    }
    let fits = shares.len() == kernel.operands.len() && shares.iter().enumerate().all(|(i, s)| *s <= i);
    let can = match schedule {
        Schedule::Points => true,
        Schedule::Rows => matches!(kernel.form(), Form::RowReduce | Form::Scan(_)),
        Schedule::Tiles(tiles) => tiles.fit(kernel, caps),
        Schedule::Quads => kernel.form() == Form::Map && !kernel.axes.is_empty(),
        Schedule::Turned(turned) => turned.fits(kernel),
    };
    if !fits || !can {
        return Err(Refused::Internal("the schedule does not fit the kernel".to_owned()));
    }
    let module = kernel::emit(kernel, schedule, shares, caps).map_err(Refused::Internal)?;
    let info = validated(&module, caps)?;
    let bound: Vec<usize> = (0..shares.len()).filter(|i| shares[*i] == *i).collect();
    let written = bound.iter().map(|o| kernel::is_written(kernel, shares, *o)).collect();
    Ok(Shader { module, bound, flag: kernel::gathers(kernel), written, schedule, info })
}

/// What naga finds out about a module that has no errors.
fn validated(module: &Module, caps: Caps) -> Result<ModuleInfo, Refused> {
    let has = |there: bool, what: Capabilities| if there { what } else { Capabilities::empty() };
    let needed = has(caps.subgroups, Capabilities::SUBGROUP)
        | has(caps.halves, Capabilities::SHADER_FLOAT16)
        | has(caps.doubles, Capabilities::FLOAT64 | Capabilities::SHADER_INT64)
        | has(caps.units.is_some(), Capabilities::COOPERATIVE_MATRIX);
    let mut validator = Validator::new(ValidationFlags::all(), needed);
    validator.validate(module).map_err(|e| Refused::Internal(e.emit_to_string("")))
}
