//! Reading kernels back from their text.

use super::{
    Access, Axis, AxisKind, Combine, Inst, InstId, InstKind, Kernel, Operand, OperandId, Role, Store,
};
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use std::fmt;
use std::str::FromStr;

/// Why a text is not a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads one kernel. It is not verified.
///
/// # Errors
/// The first line that is not of the form that the printer writes.
pub fn parse(text: &str) -> Result<Kernel, ParseError> {
    let mut kernel = Kernel {
        name: String::new(),
        axes: vec![],
        operands: vec![],
        body: vec![],
        stages: vec![0],
        stores: vec![],
    };
    let (mut begun, mut ended) = (false, false);
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |message: String| ParseError { line: i + 1, message };
        if !begun {
            header(line, &mut kernel).map_err(wrong)?;
            begun = true;
        } else if ended {
            return Err(wrong("text after the kernel".into()));
        } else if line == "}" {
            ended = true;
        } else {
            item(line, &mut kernel).map_err(wrong)?;
        }
    }
    if ended {
        Ok(kernel)
    } else {
        Err(ParseError { line: text.lines().count(), message: "the kernel has no end".into() })
    }
}

impl FromStr for Kernel {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Kernel, ParseError> {
        parse(text)
    }
}

type Outcome<T> = Result<T, String>;

fn header(line: &str, k: &mut Kernel) -> Outcome<()> {
    let form = || format!("expected `kernel @name [axes] {{`, found `{line}`");
    let rest = line.strip_prefix("kernel @").ok_or_else(form)?;
    let rest = rest.strip_suffix("] {").ok_or_else(form)?;
    let (name, axes) = rest.rsplit_once(" [").ok_or_else(form)?;
    k.name = name.to_string();
    for axis in commas(axes) {
        let kinds = [AxisKind::Parallel, AxisKind::Reduce, AxisKind::Scan];
        let kind = kinds.into_iter().find(|a| a.name() == axis);
        k.axes.push(Axis { kind: kind.ok_or_else(|| format!("`{axis}` is no kind of axis"))? });
    }
    Ok(())
}

fn item(line: &str, k: &mut Kernel) -> Outcome<()> {
    if let Some(rest) = line.strip_prefix("store ") {
        let [operand, value] = exactly(rest)?;
        k.stores.push(Store { operand: operand_id(operand)?, value: inst_id(value)? });
        return Ok(());
    }
    if line == "stage" {
        k.stages.push(k.body.len());
        return Ok(());
    }
    let (id, rest) = line.split_once(": ").ok_or_else(|| format!("`{line}` is no instruction"))?;
    if id.starts_with('$') {
        let found = operand_id(id)?.index();
        dense(found, k.operands.len())?;
        k.operands.push(operand(rest)?);
    } else {
        dense(inst_id(id)?.index(), k.body.len())?;
        let (dtype, kind) = rest.split_once(" = ").ok_or("expected `dtype = instruction`")?;
        let dtype = dtype_of(dtype)?;
        k.body.push(Inst { dtype, kind: inst(dtype, kind)? });
    }
    Ok(())
}

fn dense(found: usize, expected: usize) -> Outcome<()> {
    if found == expected { Ok(()) } else { Err(format!("number {found} where {expected} is next")) }
}

fn operand(text: &str) -> Outcome<Operand> {
    let form = || format!("`{text}` is no operand");
    let (role, rest) = text.split_once(' ').ok_or_else(form)?;
    let roles = [Role::In, Role::Out, Role::Scratch];
    let role = roles.into_iter().find(|r| r.name() == role).ok_or_else(form)?;
    let (dtype, rest) = rest.split_once('[').ok_or_else(form)?;
    let (list, rest) = rest.split_once(']').ok_or_else(form)?;
    let mut access = Vec::new();
    for name in commas(list) {
        let classes = [Access::Zero, Access::Unit, Access::Strided];
        let class = classes.into_iter().find(|a| a.name() == name);
        access.push(class.ok_or_else(|| format!("`{name}` is no access class"))?);
    }
    let gathers = match rest.strip_prefix(" gather ") {
        Some(n) => number(n)?,
        None if rest.is_empty() => 0,
        None => return Err(form()),
    };
    Ok(Operand { dtype: dtype_of(dtype)?, role, access, gathers })
}

fn inst(dtype: DType, text: &str) -> Outcome<InstKind> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    if let Some(combine) = name.strip_prefix("reduce.") {
        return Ok(InstKind::Reduce { combine: combine_of(combine)?, values: inst_ids(rest)? });
    }
    if let Some(op) = name.strip_prefix("rescue.") {
        let op = Op::from_name(op).ok_or_else(|| format!("`{op}` is no op"))?;
        return Ok(InstKind::Rescue(op, inst_ids(rest)?));
    }
    if let Some(combine) = name.strip_prefix("scan.") {
        return Ok(InstKind::Scan { combine: combine_of(combine)?, value: inst_id(rest)? });
    }
    match name {
        "load" => Ok(InstKind::Load(operand_id(rest)?)),
        "load_at" => {
            let (operand, indices) = rest.split_once(", ").unwrap_or((rest, ""));
            Ok(InstKind::LoadAt { operand: operand_id(operand)?, indices: inst_ids(indices)? })
        }
        "index" => Ok(InstKind::Index(number(rest)?)),
        "const" => Ok(InstKind::Const(constant(dtype, rest)?)),
        "cast" => Ok(InstKind::Cast(inst_id(rest)?)),
        "bitcast" => Ok(InstKind::Bitcast(inst_id(rest)?)),
        "part" => {
            let [of, component] = exactly(rest)?;
            Ok(InstKind::Part { of: inst_id(of)?, component: number(component)? })
        }
        _ => {
            let op = Op::from_name(name).ok_or_else(|| format!("`{name}` is no instruction"))?;
            Ok(InstKind::Map(op, inst_ids(rest)?))
        }
    }
}

fn constant(dtype: DType, text: &str) -> Outcome<Scalar> {
    let wrong = || format!("`{text}` is no {dtype}");
    if let Some(hex) = text.strip_prefix("bits 0x") {
        let bits = u64::from_str_radix(hex, 16).map_err(|_| wrong())?;
        return Ok(Scalar::from_bits(dtype, bits));
    }
    match dtype {
        DType::Bool => match text {
            "true" => Ok(Scalar::from_bits(dtype, 1)),
            "false" => Ok(Scalar::from_bits(dtype, 0)),
            _ => Err(wrong()),
        },
        DType::F64 => text.parse().map(|v| Scalar::from_f64(dtype, v)).map_err(|_| wrong()),
        // Read at the width that was printed: reading as f64 first would round twice.
        DType::F32 | DType::F16 | DType::BF16 => {
            text.parse::<f32>().map(|v| Scalar::from_f64(dtype, v.into())).map_err(|_| wrong())
        }
        DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64 => text.parse().map(|v| Scalar::from_i128(dtype, v)).map_err(|_| wrong()),
    }
}

fn commas(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|s| !s.is_empty())
}

fn exactly(list: &str) -> Outcome<[&str; 2]> {
    let (a, b) = list.split_once(", ").ok_or_else(|| format!("expected two operands, found `{list}`"))?;
    Ok([a, b])
}

fn dtype_of(name: &str) -> Outcome<DType> {
    DType::from_name(name).ok_or_else(|| format!("`{name}` is no dtype"))
}

fn combine_of(name: &str) -> Outcome<Combine> {
    Combine::from_name(name).ok_or_else(|| format!("`{name}` is no combination"))
}

fn number(text: &str) -> Outcome<u32> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn operand_id(text: &str) -> Outcome<OperandId> {
    let digits = text.strip_prefix('$').ok_or_else(|| format!("`{text}` is no operand"))?;
    Ok(OperandId(number(digits)?))
}

fn inst_id(text: &str) -> Outcome<InstId> {
    let digits = text.strip_prefix('%').ok_or_else(|| format!("`{text}` is no value"))?;
    Ok(InstId(number(digits)?))
}

fn inst_ids(list: &str) -> Outcome<Vec<InstId>> {
    commas(list).map(inst_id).collect()
}
