//! The text form of kernels: stable, without addresses, and read back by [`super::parse::parse`].

use super::{Access, AxisKind, InstId, InstKind, Kernel, Role};
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

    /// The lines of the text, and the instruction that each is or stores.
    pub fn lines(&self) -> Vec<(String, Option<InstId>)> {
        let mut out = Vec::new();
        // Writing to a list cannot fail.
        let _ = write_lines(self, &self.name, &mut |text, inst| {
            out.push((text.to_string(), inst));
            Ok(())
        });
        out
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_kernel(f, self, &self.name)
    }
}

fn write_kernel(f: &mut dyn Write, k: &Kernel, name: &str) -> fmt::Result {
    write_lines(k, name, &mut |text, _| writeln!(f, "{text}"))
}

/// Gives the text line by line, each with the instruction that it is or stores.
fn write_lines(
    k: &Kernel,
    name: &str,
    line: &mut dyn FnMut(fmt::Arguments<'_>, Option<InstId>) -> fmt::Result,
) -> fmt::Result {
    let axes: Vec<&str> = k.axes.iter().map(|a| a.kind.name()).collect();
    line(format_args!("kernel @{name} [{}] {{", axes.join(", ")), None)?;
    for (i, o) in k.operands.iter().enumerate() {
        let access: Vec<&str> = o.access.iter().map(|a| a.name()).collect();
        let gathers = if o.gathers > 0 { format!(" gather {}", o.gathers) } else { String::new() };
        let (role, dtype, access) = (o.role.name(), o.dtype, access.join(", "));
        line(format_args!("  ${i}: {role} {dtype}[{access}]{gathers}"), None)?;
    }
    let mut stages = k.stages.iter().skip(1).peekable();
    for (i, inst) in k.body.iter().enumerate() {
        while stages.next_if(|begin| **begin <= i).is_some() {
            line(format_args!("  stage"), None)?;
        }
        line(format_args!("  %{i}: {} = {}", inst.dtype, Text(&inst.kind)), Some(InstId(i as u32)))?;
    }
    for _ in stages {
        line(format_args!("  stage"), None)?;
    }
    for s in &k.stores {
        line(format_args!("  store ${}, %{}", s.operand.0, s.value.0), Some(s.value))?;
    }
    line(format_args!("}}"), None)
}

/// An instruction without the name of its value.
struct Text<'a>(&'a InstKind);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_inst(f, self.0)
    }
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
