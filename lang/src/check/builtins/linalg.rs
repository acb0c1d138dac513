//! Products of matrices and vectors, and the solvers.

use super::{Builtin, row};
use crate::check::args::Args;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R};
use crate::codes;
use matex_ir::tensor::{LibOp, ReduceOp, TensorType, ValueId};
use matex_ir::{DType, Dim, Op, Scalar, Span};

pub(super) const ROWS: &[Builtin] = &[
    row("matmul", "a, b", |c, args| {
        let (a, b) = (c.arg(args, "a")?, c.arg(args, "b")?);
        Ok(c.matmul(a, b, args.span)?.into())
    }),
    row("dot", "a, b", dot),
    row("vecdot", "a, b, axis=", vecdot),
    row("outer", "a, b", outer),
    row("cross", "a, b, axis=", cross),
    row("tensordot", "a, b, axes=", tensordot),
    row("einsum", "spec, *operands", super::einsum::einsum),
    row("trace", "x, offset=", trace),
    row("matrix_norm", "x, keepdims=", matrix_norm),
    row("solve", "A, b", solve),
    row("lstsq", "A, b, rcond=", lstsq),
];

impl Checker<'_> {
    /// Both operands in their common number dtype.
    pub(super) fn factors(&mut self, a: &Operand, b: &Operand, what: &str) -> R<(ValueId, ValueId)> {
        self.numbers(&[a, b], what)?;
        let (dtype, _) = self.meet(&[a, b], what)?;
        Ok((self.in_dtype(a, dtype)?, self.in_dtype(b, dtype)?))
    }

    /// `a @ b` as NumPy's matmul: vectors are rows on the left and columns on the right, further axes are batches.
    pub(crate) fn matmul(&mut self, a: Operand, b: Operand, span: Span) -> R<Val> {
        let weak = a.val.weak && b.val.weak;
        let (mut x, mut y) = self.factors(&a, &b, "@")?;
        let (ra, rb) = (self.rank(x), self.rank(y));
        if ra == 0 || rb == 0 {
            let help = "multiply by a scalar with *";
            return self.mismatch(
                codes::RANK_MISMATCH,
                "@ takes matrices and vectors".to_owned(),
                &a,
                &b,
                help,
            );
        }
        let (ia, ib) = (ra - 1, rb.saturating_sub(2));
        let (ka, kb) = (self.shape(x)[ia].clone(), self.shape(y)[ib].clone());
        if !self.agree(
            &ka,
            &kb,
            codes::CALL_SHAPES_DISAGREE,
            "the inner dimensions of a matrix product disagree",
            span,
        ) {
            return self.inner_error(&a, &b, &ka, &kb);
        }
        let batch = ra.max(rb).saturating_sub(2);
        if ra > 2 || rb > 2 {
            (x, y) = self.batched(x, y, [&a, &b], span)?;
        }
        let (ra, rb) = (self.rank(x), self.rank(y));
        let (ia, ib) = (ra - 1, rb.saturating_sub(2));
        let pairs = if ra > 2 && rb > 2 { (0..batch).map(|k| (k, k)).collect() } else { Vec::new() };
        self.retype_axis(&mut y, ib, x, ia);
        let id = self.b.dot(x, y, pairs, vec![(ia, ib)]);
        Ok(Val::with_weak(id, weak))
    }

    /// Gives an axis of `y` the text of the equal one of `x`.
    fn retype_axis(&mut self, y: &mut ValueId, axis: usize, x: ValueId, of: usize) {
        let mut shape = self.shape(*y);
        let wanted = self.shape(x)[of].clone();
        shape[axis] = wanted;
        *y = self.retype(*y, &shape);
    }

    fn inner_error<T>(&mut self, a: &Operand, b: &Operand, ka: &Dim, kb: &Dim) -> R<T> {
        let last = self.shape(b.val.id).last().cloned();
        let help = if self.rank(b.val.id) == 2 && last.as_ref() == Some(ka) {
            format!("write {}.T to transpose the right side", self.text(b.span))
        } else if self.rank(a.val.id) == 2 && self.shape(a.val.id)[0] == *kb {
            format!("write {}.T to transpose the left side", self.text(a.span))
        } else {
            "the last axis of the left side must be the last but one of the right side".to_owned()
        };
        let message = format!("the inner dimensions {ka} and {kb} of a matrix product disagree");
        self.mismatch(codes::INNER_DIMS_DISAGREE, message, a, b, &help)
    }

    /// Both operands with the same batch axes in front, unless one of them has none and is a vector or a matrix.
    fn batched(
        &mut self,
        x: ValueId,
        y: ValueId,
        operands: [&Operand; 2],
        span: Span,
    ) -> R<(ValueId, ValueId)> {
        let (sx, sy) = (self.shape(x), self.shape(y));
        let split = |s: &[Dim]| s.len().saturating_sub(2);
        let (bx, by) = (sx[..split(&sx)].to_vec(), sy[..split(&sy)].to_vec());
        // A vector has no batch axes of its own and meets each matrix of the batch.
        if sx.len() == 1 || sy.len() == 1 {
            return Ok((x, y));
        }
        let n = bx.len().max(by.len());
        let mut batch = Vec::new();
        for k in (1..=n).rev() {
            let pick = |b: &[Dim]| b.len().checked_sub(k).map_or(Dim::ONE, |i| b[i].clone());
            let (p, q) = (pick(&bx), pick(&by));
            let d = if p.is(1) { q.clone() } else { p.clone() };
            let one = p.is(1) || q.is(1);
            if !one && !self.agree(&p, &q, codes::CALL_SHAPES_DISAGREE, "batch axes do not broadcast", span) {
                let message = format!("the batch axes {p} and {q} do not broadcast");
                let help = "batch axes must be equal or 1";
                return self.mismatch(
                    codes::SHAPES_DO_NOT_BROADCAST,
                    message,
                    operands[0],
                    operands[1],
                    help,
                );
            }
            batch.push(self.resolve(&d));
        }
        let mut out = [x, y];
        for (id, s) in out.iter_mut().zip([sx, sy]) {
            let mut shape = batch.clone();
            shape.extend(s[split(&s)..].iter().map(|d| self.resolve(d)));
            *id = self.broadcast_to(*id, &shape);
        }
        Ok((out[0], out[1]))
    }

    /// The diagonal `offset` of the last two axes, as a new last axis.
    pub(crate) fn diagonal_of(&mut self, x: ValueId, offset: i64) -> ValueId {
        let shape = self.shape(x);
        let rank = shape.len();
        let (rows, cols) = (&shape[rank - 2], &shape[rank - 1]);
        let (down, right) = (Dim::constant((-offset).max(0)), Dim::constant(offset.max(0)));
        let len = (rows - &down).smaller(&(cols - &right)).larger(&Dim::ZERO);
        let down = down.smaller(rows);
        let part = self.part(x, rank - 2, down, len.clone());
        let mut index_shape = self.shape(part);
        index_shape[rank - 1] = Dim::ONE;
        let index = self.iota(&index_shape, rank - 2);
        let shift = self.size_value(right).id;
        let index = self.over_scalar(Op::Add, index, shift);
        let picked = self.b.gather_along(part, index, rank - 1);
        index_shape.pop();
        self.b.reshape(picked, index_shape)
    }

    /// Demands a matrix, or a batch of them.
    pub(crate) fn matrix(&mut self, x: &Operand, what: &str) -> R<()> {
        if self.rank(x.val.id) >= 2 {
            return Ok(());
        }
        let message = format!("{what} takes a matrix, this is {}", self.type_text(x.val.id));
        self.fail(codes::RANK_MISMATCH, message, x.span, "a vector becomes a column by x[:, newaxis]")
    }
}

/// NumPy's dot: a product with a scalar, else the last axis of a with the last but one of b.
fn dot(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, b) = (c.arg(args, "a")?, c.arg(args, "b")?);
    let (ra, rb) = (c.rank(a.val.id), c.rank(b.val.id));
    if ra == 0 || rb == 0 {
        return Ok(c.arithmetic(Op::Mul, "dot", a, b, args.span)?.into());
    }
    if ra <= 2 && rb <= 2 {
        return Ok(c.matmul(a, b, args.span)?.into());
    }
    Ok(c.contracted(&a, &b, vec![(ra - 1, rb.saturating_sub(2))], args.span)?.into())
}

impl Checker<'_> {
    /// The sum of products over pairs of axes.
    fn contracted(&mut self, a: &Operand, b: &Operand, pairs: Vec<(usize, usize)>, span: Span) -> R<Val> {
        let (x, mut y) = self.factors(a, b, "a product")?;
        for (i, j) in &pairs {
            let (p, q) = (self.shape(x)[*i].clone(), self.shape(y)[*j].clone());
            if !self.agree(&p, &q, codes::CALL_SHAPES_DISAGREE, "summed axes disagree", span) {
                return self.inner_error(a, b, &p, &q);
            }
            self.retype_axis(&mut y, *j, x, *i);
        }
        let weak = a.val.weak && b.val.weak;
        Ok(Val::with_weak(self.b.dot(x, y, Vec::new(), pairs), weak))
    }
}

fn vecdot(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, b) = (c.arg(args, "a")?, c.arg(args, "b")?);
    let product = c.arithmetic(Op::Mul, "vecdot", a, b, args.span)?;
    let rank = c.rank(product.id);
    if rank == 0 {
        return c.fail(codes::RANK_MISMATCH, "vecdot needs an axis", args.span, "multiply scalars with *");
    }
    let axis = c.axis_arg(args, "axis", rank)?.unwrap_or(rank - 1);
    Ok(Val::with_weak(c.reduced(ReduceOp::Sum, product.id, &[axis], false), product.weak).into())
}

/// All products of elements, both operands flattened.
fn outer(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, b) = (c.arg(args, "a")?, c.arg(args, "b")?);
    let (n, m) = (c.b.ty(a.val.id).elements(), c.b.ty(b.val.id).elements());
    let (n, m) = (c.resolve(&n), c.resolve(&m));
    let column = c.b.reshape(a.val.id, vec![n, Dim::ONE]);
    let line = c.b.reshape(b.val.id, vec![m]);
    let a = Operand { val: Val::with_weak(column, a.val.weak), span: a.span };
    let b = Operand { val: Val::with_weak(line, b.val.weak), span: b.span };
    Ok(c.arithmetic(Op::Mul, "outer", a, b, args.span)?.into())
}

fn cross(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, b) = (c.arg(args, "a")?, c.arg(args, "b")?);
    c.numbers(&[&a, &b], "cross")?;
    let (dtype, _) = c.meet(&[&a, &b], "cross")?;
    let ids = c.converted(&[a.clone(), b.clone()], dtype, args.span)?;
    let rank = c.rank(ids[0]);
    let axis = match rank {
        0 => return c.fail(codes::RANK_MISMATCH, "cross needs vectors", args.span, "give vectors of 3"),
        _ => c.axis_arg(args, "axis", rank)?.unwrap_or(rank - 1),
    };
    let extent = c.shape(ids[0])[axis].clone();
    if !c.agree(&extent, &Dim::constant(3), codes::CALL_SIZE, "cross needs vectors of 3", args.span) {
        let help = "the axis must have 3 elements";
        return c.mismatch(codes::SHAPE_MISMATCH, format!("cross of vectors of {extent}"), &a, &b, help);
    }
    let turned = |c: &mut Checker<'_>, x: ValueId, order: [i64; 3]| {
        let parts = order.map(|k| c.part(x, axis, Dim::constant(k), Dim::ONE));
        c.b.concat(&parts, axis)
    };
    let (a1, b2) = (turned(c, ids[0], [1, 2, 0]), turned(c, ids[1], [2, 0, 1]));
    let (a2, b1) = (turned(c, ids[0], [2, 0, 1]), turned(c, ids[1], [1, 2, 0]));
    let (p, q) = (c.map_op(Op::Mul, &[a1, b2]), c.map_op(Op::Mul, &[a2, b1]));
    let weak = a.val.weak && b.val.weak;
    Ok(Val::with_weak(c.map_op(Op::Sub, &[p, q]), weak).into())
}

fn tensordot(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, b) = (c.arg(args, "a")?, c.arg(args, "b")?);
    let (ra, rb) = (c.rank(a.val.id), c.rank(b.val.id));
    let axes = c.opt_arg(args, "axes")?;
    let literal =
        axes.as_ref().and_then(|o| c.constant_literal(o.val.id)).filter(|l| l.dtype().is_int()).cloned();
    let at = axes.as_ref().map_or(args.span, |o| o.span);
    let numbers: Vec<i64> = match (&axes, &literal) {
        (None, _) => vec![2],
        (Some(_), Some(l)) => l.elements().map(|e| e.to_i128() as i64).collect(),
        (Some(_), None) => {
            let help = "write axes=2, or axes=[[0], [1]]";
            return c.fail(codes::NOT_A_CONSTANT_ARGUMENT, "axes must be known", at, help);
        }
    };
    let shape = literal.as_ref().map_or(&[][..], |l| l.shape());
    let mut pairs = Vec::new();
    match (shape, numbers.as_slice()) {
        ([], [n]) if *n >= 0 && *n as usize <= ra.min(rb) => {
            let n = *n as usize;
            pairs.extend((0..n).map(|k| (ra - n + k, k)));
        }
        ([2, n], all) => {
            for k in 0..*n {
                pairs.push((c.axis_of(all[k], ra, at)?, c.axis_of(all[n + k], rb, at)?));
            }
        }
        ([2], [i, j]) => pairs.push((c.axis_of(*i, ra, at)?, c.axis_of(*j, rb, at)?)),
        _ => {
            let help = "write a number of axes, or two lists of axes of one length";
            return c.fail(codes::AXIS_OUT_OF_RANGE, "these axes do not fit the operands", at, help);
        }
    }
    let distinct = |side: fn(&(usize, usize)) -> usize| {
        let set: std::collections::HashSet<usize> = pairs.iter().map(side).collect();
        set.len() == pairs.len()
    };
    if !distinct(|p| p.0) || !distinct(|p| p.1) {
        return c.fail(codes::DUPLICATE_AXIS, "an axis is named twice", at, "name each axis once");
    }
    Ok(c.contracted(&a, &b, pairs, args.span)?.into())
}

fn trace(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    c.matrix(&x, "trace")?;
    c.numbers(&[&x], "trace")?;
    let offset = c.int_arg(args, "offset")?.unwrap_or(0);
    let d = c.diagonal_of(x.val.id, offset);
    let dtype = crate::check::value::sum_dtype(c.dtype(d)).compute();
    let wide = c.b.cast(d, dtype);
    let last = c.rank(wide) - 1;
    let sum = c.reduced(ReduceOp::Sum, wide, &[last], false);
    let own = c.dtype(x.val.id);
    let id = if own.is_float() { c.b.cast(sum, own) } else { sum };
    Ok(Val::with_weak(id, x.val.weak).into())
}

/// The Frobenius norm of the last two axes.
fn matrix_norm(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    c.matrix(&x, "matrix_norm")?;
    let dtype = c.float_dtype(&[&x], "matrix_norm")?;
    let keepdims = c.flag_arg(args, "keepdims", false)?;
    let id = c.in_dtype(&x, dtype)?;
    let wide = c.b.cast(id, dtype.compute());
    let squared = c.map_op(Op::Mul, &[wide, wide]);
    let rank = c.rank(wide);
    let sum = c.reduced(ReduceOp::Sum, squared, &[rank - 2, rank - 1], keepdims);
    let root = c.map_op(Op::Sqrt, &[sum]);
    Ok(Val::with_weak(c.b.cast(root, dtype), x.val.weak).into())
}

impl Checker<'_> {
    /// Matrix and right side of a solver, in f32 or f64.
    fn system(&mut self, args: &Args) -> R<(Operand, Operand, DType)> {
        let (a, b) = (self.arg(args, "A")?, self.arg(args, "b")?);
        self.matrix(&a, &args.name)?;
        let dtype = self.float_dtype(&[&a, &b], &args.name)?.compute();
        let a_id = self.in_dtype(&a, dtype)?;
        let b_id = self.in_dtype(&b, dtype)?;
        let with = |o: &Operand, id| Operand { val: Val::strong(id), span: o.span };
        Ok((with(&a, a_id), with(&b, b_id), dtype))
    }

    /// A matrix whose last two axes have the same size, and that size.
    pub(super) fn square(&mut self, a: &Operand, name: &str, help: &str) -> R<(ValueId, Dim)> {
        let mut shape = self.shape(a.val.id);
        let rank = shape.len();
        let (n, m) = (shape[rank - 2].clone(), shape[rank - 1].clone());
        if !self.agree(&n, &m, codes::NOT_SQUARE, "the matrix is not square", a.span) {
            let message = format!("{name} takes a square matrix, this is {}", self.type_text(a.val.id));
            return self.fail(codes::NOT_SQUARE_TYPE, message, a.span, help);
        }
        let n = self.resolve(&n);
        shape[rank - 1] = n.clone();
        shape[rank - 2] = n.clone();
        Ok((self.retype(a.val.id, &shape), n))
    }

    /// A square matrix and columns that fit it, with the same batch axes; and whether a vector was given for them. As
    /// the array API has it: b is a vector when it has one axis, else matrices of columns.
    pub(super) fn square_system(&mut self, args: &Args) -> R<(ValueId, ValueId, bool)> {
        let (a, b, _) = self.system(args)?;
        let help = "lstsq(A, b) solves systems that are not square";
        let (mut a_id, n) = self.square(&a, &args.name, help)?;
        let mut columns = self.shape(b.val.id);
        let vector = columns.len() == 1;
        if vector {
            columns.push(Dim::ONE);
        }
        let Some(at) = columns.len().checked_sub(2) else {
            let help = "b is a vector or a matrix of columns";
            let message = format!("{} needs a right side with rows", args.name);
            return self.mismatch(codes::RANK_MISMATCH, message, &b, &a, help);
        };
        let rows = columns[at].clone();
        let misfit = "the right side does not fit the matrix";
        if !self.agree(&n, &rows, codes::CALL_SHAPES_DISAGREE, misfit, b.span) {
            let message = format!("the matrix has {n} rows, the right side {rows}");
            let help = "give b as many rows as A has";
            return self.mismatch(codes::INNER_DIMS_DISAGREE, message, &b, &a, help);
        }
        let n = self.resolve(&n);
        let mut square = self.shape(a_id);
        let rank = square.len();
        square[rank - 1] = n.clone();
        square[rank - 2] = n.clone();
        a_id = self.retype(a_id, &square);
        columns[at] = n;
        let mut b_id = self.b.reshape(b.val.id, columns);
        if rank > 2 || self.rank(b_id) > 2 {
            (a_id, b_id) = self.batched(a_id, b_id, [&a, &b], args.span)?;
        }
        Ok((a_id, b_id, vector))
    }

    /// The solution of a system, as a vector where one was given.
    pub(super) fn solution(&mut self, x: ValueId, vector: bool) -> Value {
        let mut shape = self.shape(x);
        if vector {
            shape.pop();
        }
        Val::strong(self.b.reshape(x, shape)).into()
    }
}

fn solve(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, b, vector) = c.square_system(args)?;
    let ty = c.b.ty(b).clone();
    let x = c.b.lib(LibOp::Solve, &[a, b], ty);
    Ok(c.solution(x, vector))
}

fn lstsq(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (a, b, dtype) = c.system(args)?;
    let (ra, rb) = (c.rank(a.val.id), c.rank(b.val.id));
    if ra != 2 || !(1..=2).contains(&rb) {
        let message = "lstsq takes a matrix and a vector or matrix".to_owned();
        return c.mismatch(codes::RANK_MISMATCH, message, &a, &b, "solve one system at a time");
    }
    let (n, rows) = (c.shape(a.val.id)[0].clone(), c.shape(b.val.id)[0].clone());
    if !c.agree(&n, &rows, codes::CALL_SHAPES_DISAGREE, "the right side does not fit the matrix", b.span) {
        let message = format!("the matrix has {n} rows, the right side {rows}");
        return c.mismatch(codes::INNER_DIMS_DISAGREE, message, &b, &a, "give b as many rows as A has");
    }
    let rcond = match c.opt_arg(args, "rcond")? {
        Some(r) => c.in_dtype(&r, dtype)?,
        None => c.constant(Scalar::from_f64(dtype, -1.0)),
    };
    let mut columns = c.shape(b.val.id);
    columns[0] = c.shape(a.val.id)[0].clone();
    if rb == 1 {
        columns.push(Dim::ONE);
    }
    let b_id = c.b.reshape(b.val.id, columns.clone());
    let out = vec![c.shape(a.val.id)[1].clone(), columns[1].clone()];
    let x = c.b.lib(LibOp::Lstsq, &[a.val.id, b_id, rcond], TensorType::new(dtype, out.clone()));
    let shape = if rb == 1 { out[..1].to_vec() } else { out };
    Ok(Val::strong(c.b.reshape(x, shape)).into())
}
