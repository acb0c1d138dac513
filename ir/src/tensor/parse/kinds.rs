//! What follows the operands of a node, by the word before them.

use super::ParseError;
use super::cursor::Cursor;
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::tensor::text::{REDUCE_NAMES, SCAN_NAMES, plain_nan};
use crate::tensor::{Kind, LibOp, Literal, SliceAxis, Type, UpdateAxis};

/// Reads the rest of a node's line. `separated` tells that a comma stood behind the operands, so that more must
/// follow; without one nothing does.
pub(super) fn kind(
    c: &mut Cursor<'_>,
    head: &str,
    mode: &str,
    ty: &Type,
    separated: bool,
) -> Result<Kind, ParseError> {
    if let Some(op) = Op::from_name(head) {
        return Ok(Kind::Map(op));
    }
    if let Some(kind) = bare(head) {
        return Ok(kind);
    }
    if matches!(head, "dot" | "search_sorted" | "solve_triangular" | "svd") {
        return optional(c, head, separated);
    }
    if !separated {
        return Err(c.error(format!("expected a comma behind the operands of {head}")));
    }
    Ok(match head {
        "const" => Kind::Constant(literal(c, ty)?),
        "size" => Kind::Size(c.dim()?),
        "iota" => Kind::Iota { axis: axis(c)? },
        "broadcast" => Kind::Broadcast { axes: c.list(Cursor::number)? },
        "permute" => Kind::Permute(c.list(Cursor::number)?),
        "slice" => Kind::Slice(c.list(slice_axis)?),
        "pad" => Kind::Pad { low: c.list(Cursor::dim)? },
        "concat" => Kind::Concat { axis: axis(c)? },
        "gather" => Kind::Gather { axis: axis(c)? },
        "gather_along" => Kind::GatherAlong { axis: axis(c)? },
        "scatter_along" => Kind::ScatterAlong { axis: axis(c)?, add: false },
        "scatter_add_along" => Kind::ScatterAlong { axis: axis(c)?, add: true },
        "update" => Kind::Update(c.list(update_axis)?),
        "reduce" => Kind::Reduce { op: named(c, mode, &REDUCE_NAMES)?, axes: c.list(Cursor::number)? },
        "scan" => Kind::Scan { op: named(c, mode, &SCAN_NAMES)?, axis: axis(c)? },
        "sort" => sort(c, |axis, descending| LibOp::Sort { axis, descending })?,
        "argsort" => sort(c, |axis, descending| LibOp::Argsort { axis, descending })?,
        "check" => Kind::Check { code: c.code()?, message: c.string()? },
        "proj" => Kind::Proj(c.number()?),
        _ => return Err(c.error(format!("{head} is no operation"))),
    })
}

/// Operations that say all with their operands.
fn bare(head: &str) -> Option<Kind> {
    match head {
        "cast" => Some(Kind::Cast),
        "bitcast" => Some(Kind::Bitcast),
        "reshape" => Some(Kind::Reshape),
        "solve" => Some(Kind::Lib(LibOp::Solve)),
        "solve_definite" => Some(Kind::Lib(LibOp::SolveDefinite)),
        "lstsq" => Some(Kind::Lib(LibOp::Lstsq)),
        "lu" => Some(Kind::Lib(LibOp::Lu)),
        "pivots_definite" => Some(Kind::Lib(LibOp::PivotsDefinite)),
        "cholesky" => Some(Kind::Lib(LibOp::Cholesky)),
        "qr" => Some(Kind::Lib(LibOp::Qr)),
        "svdvals" => Some(Kind::Lib(LibOp::Svdvals)),
        "eigh" => Some(Kind::Lib(LibOp::Eigh)),
        "eigvalsh" => Some(Kind::Lib(LibOp::Eigvalsh)),
        _ => None,
    }
}

/// Routines with one flag, and the word that sets it.
fn flagged(head: &str, set: bool) -> Option<(&'static str, LibOp)> {
    match head {
        "search_sorted" => Some(("right", LibOp::SearchSorted { right: set })),
        "solve_triangular" => Some(("lower", LibOp::SolveTriangular { lower: set })),
        "svd" => Some(("full", LibOp::Svd { full: set })),
        _ => None,
    }
}

/// Operations of which all that follows may be left out.
fn optional(c: &mut Cursor<'_>, head: &str, separated: bool) -> Result<Kind, ParseError> {
    if let Some((word, op)) = flagged(head, separated) {
        if separated {
            c.word(word)?;
        }
        return Ok(Kind::Lib(op));
    }
    let (mut batch, mut contract) = (Vec::new(), Vec::new());
    if separated && c.eat_word("batch") {
        batch = c.list(pair)?;
        if c.eat_on_line(",") {
            c.word("contract")?;
            contract = c.list(pair)?;
        }
    } else if separated {
        c.word("contract")?;
        contract = c.list(pair)?;
    }
    Ok(Kind::Dot { batch, contract })
}

fn axis(c: &mut Cursor<'_>) -> Result<usize, ParseError> {
    c.word("axis")?;
    c.number()
}

fn sort(c: &mut Cursor<'_>, op: impl Fn(usize, bool) -> LibOp) -> Result<Kind, ParseError> {
    let axis = axis(c)?;
    let descending = c.eat_on_line(",");
    if descending {
        c.word("descending")?;
    }
    Ok(Kind::Lib(op(axis, descending)))
}

fn named<T: Copy>(c: &Cursor<'_>, name: &str, table: &[(T, &str)]) -> Result<T, ParseError> {
    let found = table.iter().find(|(_, n)| *n == name).map(|(op, _)| *op);
    found.ok_or_else(|| c.error(format!("{name} is no reduction or scan")))
}

fn pair(c: &mut Cursor<'_>) -> Result<(usize, usize), ParseError> {
    let left = c.number()?;
    c.expect(":")?;
    Ok((left, c.number()?))
}

fn slice_axis(c: &mut Cursor<'_>) -> Result<SliceAxis, ParseError> {
    let start = c.dim()?;
    if !c.eat(":") {
        return Ok(SliceAxis { start, step: 1 });
    }
    let text = c.piece();
    let step = text.parse().map_err(|_| c.error(format!("{text:?} is no step")))?;
    Ok(SliceAxis { start, step })
}

fn update_axis(c: &mut Cursor<'_>) -> Result<UpdateAxis, ParseError> {
    if c.eat("@") { Ok(UpdateAxis::Index) } else { slice_axis(c).map(UpdateAxis::Slice) }
}

fn literal(c: &mut Cursor<'_>, ty: &Type) -> Result<Literal, ParseError> {
    let Type::Tensor(ty) = ty else { return Err(c.error("a constant that is a tuple")) };
    if !c.eat_on_line("[") {
        return Ok(Literal::scalar(scalar(c, ty.dtype)?));
    }
    let mut elements = Vec::new();
    while !c.eat(";") {
        if !elements.is_empty() {
            c.expect(",")?;
        }
        elements.push(scalar(c, ty.dtype)?);
    }
    let mut shape = Vec::new();
    while !c.eat("]") {
        if !shape.is_empty() {
            c.expect(",")?;
        }
        shape.push(c.number()?);
    }
    let literal = Literal::new(ty.dtype, shape, &elements);
    literal.ok_or_else(|| c.error("the number of elements does not fit the extents"))
}

fn scalar(c: &mut Cursor<'_>, dtype: DType) -> Result<Scalar, ParseError> {
    let text = c.piece();
    let bad = |c: &Cursor<'_>| c.error(format!("{text:?} is no {dtype}"));
    if text == "nan" && dtype.is_float() {
        if !c.eat_on_line(":") {
            return Ok(plain_nan(dtype));
        }
        let bits = c.piece().strip_prefix("0x").and_then(|d| u64::from_str_radix(d, 16).ok());
        return bits.map(|b| Scalar::from_bits(dtype, b)).ok_or_else(|| bad(c));
    }
    let value = match dtype {
        DType::Bool => text.parse::<bool>().ok().map(|b| Scalar::from_bits(dtype, b.into())),
        DType::F64 => text.parse::<f64>().ok().map(|v| Scalar::from_f64(dtype, v)),
        // Not by way of f64, which would round twice.
        DType::F32 | DType::F16 | DType::BF16 => {
            text.parse::<f32>().ok().map(|v| Scalar::from_f64(dtype, v.into()))
        }
        DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64 => {
            let v = text.parse::<i128>().ok();
            v.map(|v| (v, Scalar::from_i128(dtype, v))).filter(|(v, s)| s.to_i128() == *v).map(|(_, s)| s)
        }
    };
    value.ok_or_else(|| bad(c))
}
