//! Elementwise functions.

use super::{Builtin, row};
use crate::ast::BinaryOp;
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R};
use crate::codes;
use matex_ir::{DType, Op, Scalar};

pub(super) const ROWS: &[Builtin] = &[
    row("acos", "x", |c, a| c.float_op(Op::Acos, a)),
    row("acosh", "x", |c, a| c.float_op(Op::Acosh, a)),
    row("asin", "x", |c, a| c.float_op(Op::Asin, a)),
    row("asinh", "x", |c, a| c.float_op(Op::Asinh, a)),
    row("atan", "x", |c, a| c.float_op(Op::Atan, a)),
    row("atanh", "x", |c, a| c.float_op(Op::Atanh, a)),
    row("cbrt", "x", |c, a| c.float_op(Op::Cbrt, a)),
    row("cos", "x", |c, a| c.float_op(Op::Cos, a)),
    row("cosh", "x", |c, a| c.float_op(Op::Cosh, a)),
    row("erf", "x", |c, a| c.float_op(Op::Erf, a)),
    row("erfc", "x", |c, a| c.float_op(Op::Erfc, a)),
    row("exp", "x", |c, a| c.float_op(Op::Exp, a)),
    row("exp2", "x", |c, a| c.float_op(Op::Exp2, a)),
    row("expm1", "x", |c, a| c.float_op(Op::Expm1, a)),
    row("gelu", "x", |c, a| c.float_op(Op::Gelu, a)),
    row("lgamma", "x", |c, a| c.float_op(Op::Lgamma, a)),
    row("log", "x", |c, a| c.float_op(Op::Log, a)),
    row("log10", "x", |c, a| c.float_op(Op::Log10, a)),
    row("log1p", "x", |c, a| c.float_op(Op::Log1p, a)),
    row("log2", "x", |c, a| c.float_op(Op::Log2, a)),
    row("rsqrt", "x", |c, a| c.float_op(Op::Rsqrt, a)),
    row("sigmoid", "x", |c, a| c.float_op(Op::Sigmoid, a)),
    row("sin", "x", |c, a| c.float_op(Op::Sin, a)),
    row("sinh", "x", |c, a| c.float_op(Op::Sinh, a)),
    row("softplus", "x", |c, a| c.float_op(Op::Softplus, a)),
    row("sqrt", "x", |c, a| c.float_op(Op::Sqrt, a)),
    row("tan", "x", |c, a| c.float_op(Op::Tan, a)),
    row("tanh", "x", |c, a| c.float_op(Op::Tanh, a)),
    row("atan2", "y, x", |c, a| c.float_op2(Op::Atan2, a, "y", "x")),
    row("copysign", "x, y", |c, a| c.float_op2(Op::Copysign, a, "x", "y")),
    row("hypot", "x, y", |c, a| c.float_op2(Op::Hypot, a, "x", "y")),
    row("logaddexp", "x, y", |c, a| c.float_op2(Op::LogAddExp, a, "x", "y")),
    row("nextafter", "x, y", |c, a| c.float_op2(Op::Nextafter, a, "x", "y")),
    row("ceil", "x", |c, a| c.rounding(Op::Ceil, a)),
    row("floor", "x", |c, a| c.rounding(Op::Floor, a)),
    row("round", "x", |c, a| c.rounding(Op::Round, a)),
    row("trunc", "x", |c, a| c.rounding(Op::Trunc, a)),
    row("abs", "x", |c, a| c.number_op(Op::Abs, a)),
    row("sign", "x", |c, a| c.number_op(Op::Sign, a)),
    row("negative", "x", |c, a| c.number_op(Op::Neg, a)),
    row("square", "x", square),
    row("reciprocal", "x", reciprocal),
    row("relu", "x", relu),
    row("isfinite", "x", |c, a| c.float_test(Op::IsFinite, a)),
    row("isinf", "x", |c, a| c.float_test(Op::IsInf, a)),
    row("isnan", "x", |c, a| c.float_test(Op::IsNan, a)),
    row("signbit", "x", |c, a| c.float_test(Op::SignBit, a)),
    row("add", "x, y", |c, a| c.operator(BinaryOp::Add, a)),
    row("subtract", "x, y", |c, a| c.operator(BinaryOp::Sub, a)),
    row("multiply", "x, y", |c, a| c.operator(BinaryOp::Mul, a)),
    row("divide", "x, y", |c, a| c.operator(BinaryOp::Div, a)),
    row("remainder", "x, y", |c, a| c.operator(BinaryOp::Rem, a)),
    row("pow", "x, y", |c, a| c.operator(BinaryOp::Pow, a)),
    row("equal", "x, y", |c, a| c.operator(BinaryOp::Eq, a)),
    row("not_equal", "x, y", |c, a| c.operator(BinaryOp::Ne, a)),
    row("less", "x, y", |c, a| c.operator(BinaryOp::Lt, a)),
    row("less_equal", "x, y", |c, a| c.operator(BinaryOp::Le, a)),
    row("greater", "x, y", |c, a| c.operator(BinaryOp::Gt, a)),
    row("greater_equal", "x, y", |c, a| c.operator(BinaryOp::Ge, a)),
    row("floor_divide", "x, y", |c, a| c.number_op2(Op::FloorDiv, a)),
    row("fmod", "x, y", |c, a| c.number_op2(Op::Fmod, a)),
    row("maximum", "x, y", |c, a| c.number_op2(Op::Max, a)),
    row("minimum", "x, y", |c, a| c.number_op2(Op::Min, a)),
    row("bitwise_and", "x, y", |c, a| c.bit_op2(Op::And, a)),
    row("bitwise_or", "x, y", |c, a| c.bit_op2(Op::Or, a)),
    row("bitwise_xor", "x, y", |c, a| c.bit_op2(Op::Xor, a)),
    row("bitwise_left_shift", "x, y", |c, a| c.bit_op2(Op::Shl, a)),
    row("bitwise_right_shift", "x, y", |c, a| c.bit_op2(Op::Shr, a)),
    row("bitwise_invert", "x", bitwise_invert),
    row("logical_and", "x, y", |c, a| c.logical(Op::And, a)),
    row("logical_or", "x, y", |c, a| c.logical(Op::Or, a)),
    row("logical_xor", "x, y", |c, a| c.logical(Op::Xor, a)),
    row("logical_not", "x", logical_not),
    row("fma", "x, y, z", fma),
    row("clip", "x, min=, max=", clip),
    row("where", "condition, x, y", where_),
    row("cast", "x, dtype", cast),
    row("bitcast", "x, dtype", bitcast),
];

impl Checker<'_> {
    /// The float dtype that a float function works in: integers go to f64.
    pub(crate) fn float_dtype(&mut self, operands: &[&Operand], what: &str) -> R<DType> {
        self.numbers(operands, what)?;
        let (d, _) = self.meet(operands, what)?;
        Ok(if d.is_int() { DType::F64 } else { d })
    }

    fn float_op(&mut self, op: Op, args: &Args) -> R<Value> {
        let x = self.arg(args, "x")?;
        let dtype = self.float_dtype(&[&x], &args.name)?;
        Ok(self.elementwise(op, &[x], dtype, args.span)?.into())
    }

    fn float_op2(&mut self, op: Op, args: &Args, first: &str, second: &str) -> R<Value> {
        let (x, y) = (self.arg(args, first)?, self.arg(args, second)?);
        let dtype = self.float_dtype(&[&x, &y], &args.name)?;
        Ok(self.elementwise(op, &[x, y], dtype, args.span)?.into())
    }

    /// Rounding leaves integers as they are.
    fn rounding(&mut self, op: Op, args: &Args) -> R<Value> {
        let x = self.arg(args, "x")?;
        self.numbers(&[&x], &args.name)?;
        let dtype = self.dtype(x.val.id);
        if dtype.is_int() {
            return Ok(x.val.into());
        }
        Ok(self.elementwise(op, &[x], dtype, args.span)?.into())
    }

    fn number_op(&mut self, op: Op, args: &Args) -> R<Value> {
        let x = self.arg(args, "x")?;
        self.numbers(&[&x], &args.name)?;
        let dtype = self.dtype(x.val.id);
        Ok(self.elementwise(op, &[x], dtype, args.span)?.into())
    }

    fn number_op2(&mut self, op: Op, args: &Args) -> R<Value> {
        let (x, y) = (self.arg(args, "x")?, self.arg(args, "y")?);
        Ok(self.arithmetic(op, &args.name, x, y, args.span)?.into())
    }

    fn float_test(&mut self, op: Op, args: &Args) -> R<Value> {
        let x = self.arg(args, "x")?;
        let dtype = self.float_dtype(&[&x], &args.name)?;
        let id = self.in_dtype(&x, dtype)?;
        Ok(Val::strong(self.map_op(op, &[id])).into())
    }

    fn operator(&mut self, op: BinaryOp, args: &Args) -> R<Value> {
        let (x, y) = (self.arg(args, "x")?, self.arg(args, "y")?);
        Ok(self.binary(op, x, y, args.span)?.into())
    }

    /// Demands integers.
    pub(crate) fn integers(&mut self, operands: &[&Operand], what: &str) -> R<()> {
        for o in operands {
            if !self.dtype(o.val.id).is_int() {
                let message = format!("{what} wants integers, this is {}", self.type_text(o.val.id));
                return self.fail(codes::DTYPE_MISMATCH, message, o.span, "convert it with cast(…, i64)");
            }
        }
        Ok(())
    }

    fn bit_op2(&mut self, op: Op, args: &Args) -> R<Value> {
        let (x, y) = (self.arg(args, "x")?, self.arg(args, "y")?);
        self.integers(&[&x, &y], &args.name)?;
        let (dtype, _) = self.meet(&[&x, &y], &args.name)?;
        Ok(self.elementwise(op, &[x, y], dtype, args.span)?.into())
    }

    fn logical(&mut self, op: Op, args: &Args) -> R<Value> {
        let (x, y) = (self.arg(args, "x")?, self.arg(args, "y")?);
        Ok(self.connective(op, &args.name, x, y, args.span)?.into())
    }

    /// A weak integer as an operand.
    pub(crate) fn weak_int(&mut self, v: i64, like: &Operand) -> Operand {
        let id = self.constant(Scalar::from_i128(DType::I64, v.into()));
        Operand { val: Val::with_weak(id, true), span: like.span }
    }
}

fn square(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    Ok(c.arithmetic(Op::Mul, "square", x.clone(), x, args.span)?.into())
}

fn reciprocal(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let one = c.weak_int(1, &x);
    Ok(c.divide(one, x, args.span)?.into())
}

/// The larger one of x and 0.
fn relu(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    c.numbers(&[&x], "relu")?;
    let (dtype, shape) = (c.dtype(x.val.id), c.shape(x.val.id));
    let zero = c.repeated(Scalar::from_bits(dtype, 0), &shape);
    // A tie with what derivatives stop at gives x nothing, where one with a number would be shared.
    let zero = c.b.bitcast(zero, dtype);
    Ok(Val::with_weak(c.map_op(Op::Max, &[x.val.id, zero]), x.val.weak).into())
}

fn bitwise_invert(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    c.integers(&[&x], "bitwise_invert")?;
    let dtype = c.dtype(x.val.id);
    Ok(c.elementwise(Op::Not, &[x], dtype, args.span)?.into())
}

fn logical_not(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let x = c.truth(x, "logical_not")?;
    Ok(c.elementwise(Op::Not, &[x], DType::Bool, args.span)?.into())
}

fn fma(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let operands = [c.arg(args, "x")?, c.arg(args, "y")?, c.arg(args, "z")?];
    let refs: Vec<&Operand> = operands.iter().collect();
    c.numbers(&refs, "fma")?;
    let (dtype, _) = c.meet(&refs, "fma")?;
    Ok(c.elementwise(Op::Fma, &operands, dtype, args.span)?.into())
}

/// `min(max(x, lo), hi)` in the dtype of x.
fn clip(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let mut x = c.arg(args, "x")?;
    for (name, op) in [("min", Op::Max), ("max", Op::Min)] {
        if let Some(bound) = c.opt_arg(args, name)? {
            let val = c.arithmetic(op, "clip", x.clone(), bound, args.span)?;
            x = Operand { val, span: x.span };
        }
    }
    Ok(x.val.into())
}

fn where_(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let condition = c.arg(args, "condition")?;
    let condition = c.truth(condition, "where")?;
    let (x, y) = (c.arg(args, "x")?, c.arg(args, "y")?);
    let (dtype, weak) = c.meet(&[&x, &y], "where")?;
    let operands = [condition, x, y];
    let shape = c.common_shape(&operands, args.span)?;
    let mut ids = vec![operands[0].val.id];
    for o in &operands[1..] {
        ids.push(c.in_dtype(o, dtype)?);
    }
    let ids: Vec<_> = ids.into_iter().map(|id| c.broadcast_to(id, &shape)).collect();
    Ok(Val::with_weak(c.map_op(Op::Select, &ids), weak).into())
}

fn cast(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let Some(dtype) = c.dtype_arg(args, "dtype")? else {
        return c.bug("a dtype that was not bound", args.span);
    };
    let dims = x.val.dims.clone().filter(|_| dtype == DType::I64);
    Ok(Val { id: c.b.cast(x.val.id, dtype), weak: false, dims }.into())
}

fn bitcast(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let Some(dtype) = c.dtype_arg(args, "dtype")? else {
        return c.bug("a dtype that was not bound", args.span);
    };
    let own = c.dtype(x.val.id);
    if own.size() != dtype.size() || own == DType::Bool || dtype == DType::Bool {
        let message = format!("the bits of {own} are no {dtype}");
        return c.fail(
            codes::CAST_NOT_DEFINED,
            message,
            args.span,
            "bitcast between dtypes of one width, not bool",
        );
    }
    Ok(Val::strong(c.b.bitcast(x.val.id, dtype)).into())
}
