//! The text form of kernels: stable, without addresses, and read back by [`super::parse::parse`].

use super::{Access, AxisKind, InstId, InstKind, Kernel, Operand, Role};
use crate::dtype::Scalar;
use std::fmt::{self, Write};

impl AxisKind {
    /// The name in IR text.
    pub const fn name(self) -> &'static str {
        match self {
            AxisKind::Parallel => "parallel",
            AxisKind::Reduce => "reduce",
            AxisKind::Scan => "scan",
        }
    }
}

impl Access {
    /// The name in IR text.
    pub const fn name(self) -> &'static str {
        match self {
            Access::Zero => "zero",
            Access::Unit => "unit",
            Access::Strided => "strided",
        }
    }
}

impl Role {
    /// The name in IR text.
    pub const fn name(self) -> &'static str {
        match self {
            Role::In => "in",
            Role::Out => "out",
            Role::Scratch => "scratch",
        }
    }
}

impl Kernel {
    /// The text without the name: equal for kernels that mean the same code, so it is the key of the compile cache.
    pub fn key(&self) -> String {
        let mut key = String::new();
        // Writing to a string cannot fail.
        let _ = write_kernel(&mut key, self, "");
        key
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_kernel(f, self, &self.name)
    }
}

fn write_kernel(f: &mut dyn Write, k: &Kernel, name: &str) -> fmt::Result {
    let axes: Vec<&str> = k.axes.iter().map(|a| a.kind.name()).collect();
    writeln!(f, "kernel @{name} [{}] {{", axes.join(", "))?;
    for (i, o) in k.operands.iter().enumerate() {
        write_operand(f, i, o)?;
    }
    let mut stages = k.stages.iter().skip(1).peekable();
    for (i, inst) in k.body.iter().enumerate() {
        while stages.next_if(|begin| **begin <= i).is_some() {
            f.write_str("  stage\n")?;
        }
        write!(f, "  %{i}: {} = ", inst.dtype)?;
        write_inst(f, &inst.kind)?;
        f.write_char('\n')?;
    }
    for _ in stages {
        f.write_str("  stage\n")?;
    }
    for s in &k.stores {
        writeln!(f, "  store ${}, %{}", s.operand.0, s.value.0)?;
    }
    f.write_str("}\n")
}

fn write_operand(f: &mut dyn Write, i: usize, o: &Operand) -> fmt::Result {
    let access: Vec<&str> = o.access.iter().map(|a| a.name()).collect();
    write!(f, "  ${i}: {} {}[{}]", o.role.name(), o.dtype, access.join(", "))?;
    if o.gathers > 0 {
        write!(f, " gather {}", o.gathers)?;
    }
    f.write_char('\n')
}

fn write_inst(f: &mut dyn Write, kind: &InstKind) -> fmt::Result {
    match kind {
        InstKind::Load(o) => write!(f, "load ${}", o.0),
        InstKind::LoadAt { operand, indices } => {
            write!(f, "load_at ${}, ", operand.0)?;
            write_list(f, indices)
        }
        InstKind::Index(axis) => write!(f, "index {axis}"),
        InstKind::Const(s) => write_const(f, *s),
        InstKind::Map(op, args) => {
            write!(f, "{} ", op.name())?;
            write_list(f, args)
        }
        InstKind::Rescue(op, args) => {
            write!(f, "rescue.{} ", op.name())?;
            write_list(f, args)
        }
        InstKind::Cast(a) => write!(f, "cast %{}", a.0),
        InstKind::Bitcast(a) => write!(f, "bitcast %{}", a.0),
        InstKind::Reduce { combine, values } => {
            write!(f, "reduce.{} ", combine.name())?;
            write_list(f, values)
        }
        InstKind::Part { of, component } => write!(f, "part %{}, {component}", of.0),
        InstKind::Scan { combine, value } => write!(f, "scan.{} %{}", combine.name(), value.0),
    }
}

/// Shortest decimal; a NaN as its bits, since its sign and payload are part of a constant.
fn write_const(f: &mut dyn Write, s: Scalar) -> fmt::Result {
    if s.dtype().is_float() && s.to_f64().is_nan() {
        write!(f, "const bits {:#x}", s.bits())
    } else {
        write!(f, "const {s}")
    }
}

fn write_list(f: &mut dyn Write, ids: &[InstId]) -> fmt::Result {
    for (i, id) in ids.iter().enumerate() {
        write!(f, "{}%{}", if i == 0 { "" } else { ", " }, id.0)?;
    }
    Ok(())
}
