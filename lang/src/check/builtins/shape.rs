//! Functions that change shapes, and those that tell them.

use super::{Builtin, row};
use crate::ast::ExprKind;
use crate::check::args::{Args, Src};
use crate::check::dims::user_text;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R, domain};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{Guard, GuardKind, Literal, SliceAxis, ValueId};
use matex_ir::{DType, Dim, Op, Scalar, Span};

pub(super) const ROWS: &[Builtin] = &[
    row("reshape", "x, shape", reshape),
    row("permute_dims", "x, axes", permute_dims),
    row("matrix_transpose", "x", matrix_transpose),
    row("expand_dims", "x, axis=", expand_dims),
    row("squeeze", "x, axis=", squeeze),
    row("broadcast_to", "x, shape", broadcast_to),
    row("concat", "arrays, axis=", concat),
    row("stack", "arrays, axis=", stack),
    row("unstack", "x, axis=", unstack),
    row("split", "x, parts, axis=", split),
    row("tile", "x, repetitions", tile),
    row("repeat", "x, repeats, axis=", repeat),
    row("roll", "x, shift, axis=", roll),
    row("flip", "x, axis=", flip),
    row("moveaxis", "x, source, destination", moveaxis),
    row("pad", "x, pairs, mode=, value=", pad),
    row("tril", "x, k=", |c, a| c.triangle(a, Op::Le)),
    row("triu", "x, k=", |c, a| c.triangle(a, Op::Ge)),
    row("diagonal", "x, offset=", diagonal),
    row("meshgrid", "*arrays, indexing=", meshgrid),
    row("shape", "x", shape),
    row("size", "x", size),
];

/// One result, as weak as its operand.
fn like(x: &Operand, id: ValueId) -> R<Value> {
    Ok(Val::with_weak(id, x.val.weak).into())
}

fn reshape(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let Some((mut dims, span)) = c.shape_arg(args, "shape")? else {
        return c.bug("a shape that was not bound", args.span);
    };
    let total = matex_ir::dim::product(&c.shape(x.val.id));
    let open: Vec<usize> = (0..dims.len()).filter(|i| dims[*i].is(-1)).collect();
    let message = "reshape changes the number of elements";
    match open.as_slice() {
        [] => {}
        [i] => {
            dims[*i] = Dim::ONE;
            let rest = matex_ir::dim::product(&dims);
            dims[*i] = total.floor_div(&rest);
        }
        _ => return c.fail(codes::RESHAPE_SIZE, "only one size can be -1", span, "give all sizes but one"),
    }
    c.nonnegative(&dims, span)?;
    let new = c.resolve(&matex_ir::dim::product(&dims));
    let fits = match (&new - &total).as_const() {
        Some(d) => d == 0,
        None => {
            let code = codes::RESHAPE_SIZE;
            let guard = Guard {
                kind: GuardKind::Equal,
                left: new.clone(),
                right: total.clone(),
                code,
                message: message.into(),
                origin: span,
            };
            c.b.guard(guard);
            true
        }
    };
    if !fits {
        let own = c.type_text(x.val.id);
        let d = Diagnostic::new(
            codes::RESHAPE_SIZE,
            format!("{own} has {} elements, the new shape {}", user_text(&total), user_text(&new)),
        );
        let d = d.primary(span, "").secondary(x.span, own);
        return c.error(d.help("keep the number of elements; -1 stands for the size that makes it fit"));
    }
    like(&x, c.b.reshape(x.val.id, dims))
}

fn permute_dims(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let rank = c.rank(x.val.id);
    let Some((given, span)) = c.ints_arg(args, "axes")? else {
        return c.bug("axes were not bound", args.span);
    };
    let mut perm = Vec::new();
    for a in &given {
        perm.push(c.axis_of(*a, rank, span)?);
    }
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        let help = format!("name each of the {rank} axes once");
        return c.fail(codes::BAD_PERMUTATION, "the axes are no permutation", span, help);
    }
    like(&x, c.b.permute(x.val.id, perm))
}

fn matrix_transpose(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    c.matrix(&x, "matrix_transpose")?;
    Ok(c.swap_last_axes(x.val).into())
}

fn expand_dims(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let mut shape = c.shape(x.val.id);
    let axis = c.axis_arg(args, "axis", shape.len() + 1)?.unwrap_or(0);
    shape.insert(axis, Dim::ONE);
    like(&x, c.b.reshape(x.val.id, shape))
}

fn squeeze(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let mut shape = c.shape(x.val.id);
    let axes = match c.axes_arg(args, "axis", shape.len())? {
        Some(a) => a,
        None if shape.len() == 1 => vec![0],
        None if shape.is_empty() => Vec::new(),
        None => {
            return c.fail(
                codes::AXIS_NEEDED,
                "squeeze needs an axis on rank > 1",
                args.span,
                "squeeze(x, axis=0)",
            );
        }
    };
    for a in axes.iter().rev() {
        let d = shape.remove(*a);
        if !c.agree(&d, &Dim::ONE, codes::SQUEEZE_NOT_ONE, "squeeze of an axis that is not 1", args.span) {
            let message = format!("axis {a} has {} elements", user_text(&d));
            return c.fail(
                codes::SQUEEZE_NOT_ONE,
                message,
                x.span,
                "only axes of extent 1 can go; index it with [0]",
            );
        }
    }
    like(&x, c.b.reshape(x.val.id, shape))
}

fn broadcast_to(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let Some((dims, span)) = c.shape_arg(args, "shape")? else {
        return c.bug("a shape that was not bound", args.span);
    };
    c.nonnegative(&dims, span)?;
    let id = c.broadcast_checked(x.val.id, &dims, span)?;
    like(&x, id)
}

impl Checker<'_> {
    /// The parts of a list or tuple argument.
    fn parts(&mut self, args: &Args) -> R<Vec<Operand>> {
        let Some(src) = args.get("arrays").cloned() else {
            return self.bug("arrays were not bound", args.span);
        };
        if let Src::Expr(e) = &src
            && let ExprKind::List(items) = &self.ast[*e].kind
        {
            let items: R<Vec<Operand>> = items.iter().map(|i| self.tensor(*i)).collect();
            return self.some_parts(items?, args);
        }
        let span = self.src_span(&src);
        let value = match src {
            Src::Expr(e) => self.expr(e)?,
            Src::Value(v, _) => v,
        };
        match value {
            Value::Tuple(vals) => {
                let items = vals.into_iter().map(|val| Operand { val, span }).collect();
                self.some_parts(items, args)
            }
            Value::Tensor(_) | Value::Poison => {
                let message = format!("{} takes a list", args.name);
                self.fail(codes::CONCAT_MISMATCH, message, span, format!("{}([a, b], axis=0)", args.name))
            }
        }
    }

    fn some_parts(&mut self, items: Vec<Operand>, args: &Args) -> R<Vec<Operand>> {
        if items.is_empty() {
            let message = format!("{} of nothing", args.name);
            return self.fail(codes::EMPTY_LIST, message, args.span, "give it at least one tensor");
        }
        Ok(items)
    }

    /// Tensors in one dtype whose shapes agree but on one axis, or on all.
    fn joined(&mut self, items: &[Operand], except: Option<usize>, args: &Args) -> R<(Vec<ValueId>, bool)> {
        let refs: Vec<&Operand> = items.iter().collect();
        let (dtype, weak) = self.meet(&refs, &args.name)?;
        let mut ids = Vec::new();
        for o in items {
            let (a, b) = (self.shape(items[0].val.id), self.shape(o.val.id));
            let mut fits = a.len() == b.len();
            for (k, (x, y)) in a.iter().zip(&b).enumerate() {
                let code = codes::CALL_SHAPES_DISAGREE;
                fits =
                    fits && (Some(k) == except || self.agree(x, y, code, "tensors cannot be joined", o.span));
            }
            if !fits {
                let message = format!("{} of tensors that do not fit", args.name);
                let help = match except {
                    Some(k) => format!("all extents but that of axis {k} must agree"),
                    None => "all shapes must agree".to_owned(),
                };
                return self.mismatch(codes::CONCAT_MISMATCH, message, o, &items[0], &help);
            }
            ids.push(self.in_dtype(o, dtype)?);
        }
        let first = self.shape(ids[0]);
        let ids = ids
            .into_iter()
            .map(|id| {
                let mut shape = first.clone();
                if let Some(k) = except {
                    shape[k] = self.shape(id)[k].clone();
                }
                self.retype(id, &shape)
            })
            .collect();
        Ok((ids, weak))
    }

    fn triangle(&mut self, args: &Args, op: Op) -> R<Value> {
        let x = self.arg(args, "x")?;
        self.matrix(&x, &args.name)?;
        let shape = self.shape(x.val.id);
        let k = self.offset_arg(args, "k")?;
        let keep = self.diagonal_test(op, &shape, &k)?;
        let dtype = self.dtype(x.val.id);
        let zeros = self.repeated(Scalar::from_bits(dtype, 0), &shape);
        like(&x, self.map_op(Op::Select, &[keep, x.val.id, zeros]))
    }

    /// All elements along one axis.
    fn flattened(&mut self, x: ValueId) -> ValueId {
        let total = matex_ir::dim::product(&self.shape(x));
        self.b.reshape(x, vec![total])
    }
}

fn concat(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let items = c.parts(args)?;
    let rank = c.rank(items[0].val.id);
    if rank == 0 {
        return c.fail(
            codes::CONCAT_MISMATCH,
            "scalars have no axis to join",
            items[0].span,
            "write a list for scalars, [a, b], or a list of lists for tensors",
        );
    }
    let axis = c.axis_arg(args, "axis", rank)?.unwrap_or(0);
    let (ids, weak) = c.joined(&items, Some(axis), args)?;
    Ok(Val::with_weak(c.b.concat(&ids, axis), weak).into())
}

fn stack(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let items = c.parts(args)?;
    let rank = c.rank(items[0].val.id);
    let axis = c.axis_arg(args, "axis", rank + 1)?.unwrap_or(0);
    let (ids, weak) = c.joined(&items, None, args)?;
    Ok(Val::with_weak(c.stack_on(&ids, axis), weak).into())
}

/// More parts than this are a mistake rather than a program.
const MAX_PARTS: i64 = 1000;

fn unstack(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let rank = c.rank(x.val.id);
    let axis = c.axis_arg(args, "axis", rank)?.unwrap_or(0);
    let shape = c.shape(x.val.id);
    let Some(n) = shape.get(axis).and_then(Dim::as_const).filter(|n| (1..=MAX_PARTS).contains(n)) else {
        let help = "declare it with a number, as in f64[3, n], or index it";
        return c.fail(codes::DATA_DEPENDENT_SIZE, "unstack needs an axis of known extent", x.span, help);
    };
    let mut without = shape.clone();
    without.remove(axis);
    let mut vals = Vec::new();
    for k in 0..n {
        let part = c.part(x.val.id, axis, Dim::constant(k), Dim::ONE);
        vals.push(Val::with_weak(c.b.reshape(part, without.clone()), x.val.weak));
    }
    Ok(Value::Tuple(vals))
}

/// Equal parts by their number, or parts that begin at indices.
fn split(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let rank = c.rank(x.val.id);
    if rank == 0 {
        return c.fail(codes::RANK_MISMATCH, "a scalar cannot be split", x.span, "give it an axis");
    }
    let axis = c.axis_arg(args, "axis", rank)?.unwrap_or(0);
    let extent = c.shape(x.val.id)[axis].clone();
    let parts = c.arg(args, "parts")?;
    let one_number = c.rank(parts.val.id) == 0;
    let Some(dims) = parts.val.dims.clone() else { return c.data_dependent(parts.span) };
    let mut edges = vec![Dim::ZERO];
    if one_number {
        edges.extend(c.equal_parts(&dims, &extent, parts.span)?);
    } else {
        edges.extend(dims);
    }
    edges.push(extent);
    let mut vals = Vec::new();
    for pair in edges.windows(2) {
        let message = "the parts of a split must be in order";
        if !c.at_most(&pair[0], &pair[1], codes::SLICE_OUT_OF_RANGE, message, parts.span) {
            let message =
                format!("a part from {} to {} is out of range", user_text(&pair[0]), user_text(&pair[1]));
            return c.fail(
                codes::SLICE_OUT_OF_RANGE,
                message,
                parts.span,
                "give increasing indices inside the axis",
            );
        }
        let part = c.part(x.val.id, axis, pair[0].clone(), &pair[1] - &pair[0]);
        vals.push(Val::with_weak(part, x.val.weak));
    }
    Ok(Value::Tuple(vals))
}

impl Checker<'_> {
    /// Where the parts behind the first begin when an axis is cut into equal ones.
    fn equal_parts(&mut self, count: &[Dim], extent: &Dim, span: Span) -> R<Vec<Dim>> {
        let n = count.first().and_then(Dim::as_const).filter(|n| (1..=MAX_PARTS).contains(n));
        let Some(n) = n else {
            let message = "the number of parts must be known and at least 1";
            return self.fail(codes::NOT_A_CONSTANT_ARGUMENT, message, span, "split(x, 2)");
        };
        let each = extent.floor_div(&Dim::constant(n));
        let total = &each * &Dim::constant(n);
        if !self.agree(&total, extent, codes::BAD_SPLIT, "the axis cannot be split into equal parts", span) {
            let message = format!("an axis of {} has no {n} equal parts", user_text(extent));
            return self.fail(
                codes::BAD_SPLIT,
                message,
                span,
                "give the indices where parts begin: split(x, [2])",
            );
        }
        Ok((1..n).map(|k| &each * &Dim::constant(k)).collect())
    }
}

/// Copies of the whole: each axis becomes [repetitions, extent].
fn tile(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let Some((mut reps, span)) = c.shape_arg(args, "repetitions")? else {
        return c.bug("repetitions were not bound", args.span);
    };
    c.nonnegative(&reps, span)?;
    let mut own = c.shape(x.val.id);
    while own.len() < reps.len() {
        own.insert(0, Dim::ONE);
    }
    while reps.len() < own.len() {
        reps.insert(0, Dim::ONE);
    }
    let single: Vec<Dim> = own.iter().flat_map(|d| [Dim::ONE, d.clone()]).collect();
    let copied: Vec<Dim> = own.iter().zip(&reps).flat_map(|(d, r)| [r.clone(), d.clone()]).collect();
    let merged: Vec<Dim> = own.iter().zip(&reps).map(|(d, r)| r * d).collect();
    let y = c.b.reshape(x.val.id, single);
    let y = c.broadcast_to(y, &copied);
    like(&x, c.b.reshape(y, merged))
}

/// Each element several times; without an axis the tensor is flattened.
fn repeat(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let Some((n, span)) = c.shape_arg(args, "repeats")? else {
        return c.bug("repeats was not bound", args.span);
    };
    let [n] = n.as_slice() else {
        return c.fail(
            codes::DATA_DEPENDENT_SIZE,
            "repeats is one number for all elements",
            span,
            "repeat(x, 2)",
        );
    };
    c.nonnegative(std::slice::from_ref(n), span)?;
    let rank = c.rank(x.val.id);
    let (y, axis) = match c.axis_arg(args, "axis", rank)? {
        Some(a) => (x.val.id, a),
        None => (c.flattened(x.val.id), 0),
    };
    let mut shape = c.shape(y);
    let extent = shape[axis].clone();
    shape.insert(axis + 1, Dim::ONE);
    let y = c.b.reshape(y, shape.clone());
    shape[axis + 1] = n.clone();
    let y = c.broadcast_to(y, &shape);
    shape.remove(axis + 1);
    shape[axis] = &extent * n;
    like(&x, c.b.reshape(y, shape))
}

impl Checker<'_> {
    /// Elements along an axis at `(i - shift) mod extent`.
    fn rolled(&mut self, x: ValueId, shift: ValueId, axis: usize) -> ValueId {
        let extent = self.shape(x)[axis].clone();
        let index = self.iota(std::slice::from_ref(&extent), 0);
        let index = self.over_scalar(Op::Sub, index, shift);
        let n = self.size_value(extent).id;
        let index = self.over_scalar(Op::Rem, index, n);
        self.b.gather(x, index, axis)
    }
}

fn roll(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (x, shift) = (c.arg(args, "x")?, c.arg(args, "shift")?);
    c.integers(&[&shift], "roll")?;
    let rank = c.rank(x.val.id);
    let amount = c.b.cast(shift.val.id, DType::I64);
    let Some((axes, span)) = c.ints_arg(args, "axis")? else {
        let shape = c.shape(x.val.id);
        let flat = c.flattened(x.val.id);
        if c.rank(amount) > 0 {
            return c.fail(
                codes::RANK_MISMATCH,
                "roll without an axis takes one shift",
                shift.span,
                "roll(x, 1)",
            );
        }
        let y = c.rolled(flat, amount, 0);
        return like(&x, c.b.reshape(y, shape));
    };
    let mut y = x.val.id;
    let known: Option<i64> = c.shape(amount).first().and_then(Dim::as_const);
    if c.rank(amount) > 1 || known.is_some_and(|n| n as usize != axes.len()) {
        return c.fail(
            codes::RANK_MISMATCH,
            "roll takes one shift, or one for each axis",
            shift.span,
            "roll(x, [1, 2], axis=[0, 1])",
        );
    }
    for (k, a) in axes.iter().enumerate() {
        let axis = c.axis_of(*a, rank, span)?;
        let amount = match c.rank(amount) {
            0 => amount,
            _ => {
                let one = c.part(amount, 0, Dim::from(k), Dim::ONE);
                c.b.reshape(one, Vec::new())
            }
        };
        y = c.rolled(y, amount, axis);
    }
    like(&x, y)
}

fn flip(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let rank = c.rank(x.val.id);
    let axes = c.axes_arg(args, "axis", rank)?.unwrap_or_else(|| (0..rank).collect());
    let shape = c.shape(x.val.id);
    let cut = |(k, d): (usize, &Dim)| match axes.contains(&k) {
        true => SliceAxis { start: d - &Dim::ONE, step: -1 },
        false => SliceAxis { start: Dim::ZERO, step: 1 },
    };
    let cuts = shape.iter().enumerate().map(cut).collect();
    like(&x, c.b.slice(x.val.id, cuts, shape))
}

fn moveaxis(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let rank = c.rank(x.val.id);
    let (Some((from, from_span)), Some((to, to_span))) =
        (c.ints_arg(args, "source")?, c.ints_arg(args, "destination")?)
    else {
        return c.bug("axes were not bound", args.span);
    };
    if from.len() != to.len() {
        return c.fail(
            codes::DUPLICATE_AXIS,
            "source and destination differ in length",
            to_span,
            "name as many of both",
        );
    }
    let mut perm: Vec<Option<usize>> = vec![None; rank];
    let mut moved = Vec::new();
    for (f, t) in from.iter().zip(&to) {
        let (f, t) = (c.axis_of(*f, rank, from_span)?, c.axis_of(*t, rank, to_span)?);
        if moved.contains(&f) || perm[t].is_some() {
            return c.fail(codes::DUPLICATE_AXIS, "an axis is named twice", from_span, "name each axis once");
        }
        perm[t] = Some(f);
        moved.push(f);
    }
    let mut rest = (0..rank).filter(|a| !moved.contains(a));
    let perm = perm.into_iter().map(|p| p.or_else(|| rest.next()).unwrap_or(0)).collect();
    like(&x, c.b.permute(x.val.id, perm))
}

fn pad(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let rank = c.rank(x.val.id);
    let pairs = c.pairs(args, rank)?;
    let mode = c.word_arg(args, "mode", &["constant", "reflect", "edge", "wrap"])?.unwrap_or("constant");
    if mode != "constant" {
        let mut y = x.val.id;
        for (axis, (low, high)) in pairs.iter().enumerate() {
            if !(low.is(0) && high.is(0)) {
                y = c.padded(y, axis, low, high, mode, args.span)?;
            }
        }
        return like(&x, y);
    }
    let value = match c.opt_arg(args, "value")? {
        Some(v) => v,
        None => {
            let dtype = c.dtype(x.val.id);
            let zero = c.constant(Scalar::from_bits(dtype, 0));
            Operand { val: Val::with_weak(zero, true), span: x.span }
        }
    };
    let dtype = c.dtype(x.val.id);
    if c.rank(value.val.id) != 0 || (dtype.is_int() && c.dtype(value.val.id).is_float()) {
        return c.mismatch(
            codes::DTYPE_MISMATCH,
            "pad takes one value of the dtype of x".to_owned(),
            &value,
            &x,
            "value=0",
        );
    }
    let v = c.in_dtype(&value, dtype)?;
    let shape = c.shape(x.val.id);
    let padded = shape.iter().zip(&pairs).map(|(d, (l, h))| &(d + l) + h).collect();
    let low = pairs.iter().map(|(l, _)| l.clone()).collect();
    like(&x, c.b.pad(x.val.id, v, low, padded))
}

impl Checker<'_> {
    /// How much to add before and behind each axis: [[1, 0], [0, 2]].
    fn pairs(&mut self, args: &Args, rank: usize) -> R<Vec<(Dim, Dim)>> {
        let Some(src) = args.get("pairs").cloned() else {
            return self.bug("pairs were not bound", args.span);
        };
        let span = self.src_span(&src);
        let help = "give [before, behind] for each axis: pad(x, [[1, 1], [0, 2]])";
        let Src::Expr(e) = src else {
            return self.fail(codes::RANK_MISMATCH, "pad takes pairs of sizes", span, help);
        };
        let ExprKind::List(items) = &self.ast[e].kind else {
            return self.fail(codes::RANK_MISMATCH, "pad takes a list of pairs", span, help);
        };
        let mut out = Vec::new();
        for i in items {
            let o = self.tensor(*i)?;
            let Some(dims) = o.val.dims.clone() else { return self.data_dependent(o.span) };
            self.nonnegative(&dims, o.span)?;
            match dims.as_slice() {
                [low, high] => out.push((low.clone(), high.clone())),
                // One pair without its own brackets, for a vector.
                [_] if rank == 1 && items.len() == 2 => out.push((dims[0].clone(), Dim::ZERO)),
                _ => return self.fail(codes::RANK_MISMATCH, "each axis takes a pair", o.span, help),
            }
        }
        if let [(low, _), (high, _)] = out.as_slice()
            && rank == 1
        {
            out = vec![(low.clone(), high.clone())];
        }
        if out.len() != rank {
            let message = format!("{} pairs for {rank} axes", out.len());
            return self.fail(codes::RANK_MISMATCH, message, span, help);
        }
        Ok(out)
    }

    /// One axis padded with its own elements.
    fn padded(
        &mut self,
        x: ValueId,
        axis: usize,
        low: &Dim,
        high: &Dim,
        mode: &str,
        span: Span,
    ) -> R<ValueId> {
        let extent = self.shape(x)[axis].clone();
        let message = domain::NOTHING_TO_PAD.message;
        if !self.at_most(&Dim::ONE, &extent, codes::RUNTIME_DOMAIN, message, span) {
            return self.fail(codes::RUNTIME_DOMAIN, message, span, "pad an empty axis with mode=constant");
        }
        let total = &(&extent + low) + high;
        let index = self.iota(&[total], 0);
        let shift = self.size_value(low.clone()).id;
        let index = self.over_scalar(Op::Sub, index, shift);
        let n = self.size_value(extent.clone()).id;
        let last = self.size_value(&extent - &Dim::ONE).id;
        let index = match mode {
            "wrap" => self.over_scalar(Op::Rem, index, n),
            "edge" => {
                let zero = self.size_value(Dim::ZERO).id;
                let index = self.over_scalar(Op::Max, index, zero);
                self.over_scalar(Op::Min, index, last)
            }
            _ => {
                // A triangle wave of period 2(n - 1); of one element it is constant, as % by 0 gives 0.
                let period = self.size_value(&(&extent + &extent) - &Dim::constant(2)).id;
                let phase = self.over_scalar(Op::Rem, index, period);
                let from_top = self.over_scalar(Op::Sub, phase, last);
                let distance = self.map_op(Op::Abs, &[from_top]);
                let shape = self.shape(distance);
                let last = self.broadcast_to(last, &shape);
                self.map_op(Op::Sub, &[last, distance])
            }
        };
        Ok(self.b.gather(x, index, axis))
    }
}

fn diagonal(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    c.matrix(&x, "diagonal")?;
    let offset = c.int_arg(args, "offset")?.unwrap_or(0);
    like(&x, c.diagonal_of(x.val.id, offset))
}

fn meshgrid(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let operands: R<Vec<Operand>> = args.rest.clone().iter().map(|s| c.src_operand(s)).collect();
    let operands = operands?;
    let xy = c.word_arg(args, "indexing", &["xy", "ij"])?.unwrap_or("xy") == "xy";
    let mut extents = Vec::new();
    for o in &operands {
        if c.rank(o.val.id) > 1 {
            let message = format!("meshgrid takes vectors, this is {}", c.type_text(o.val.id));
            return c.fail(codes::RANK_MISMATCH, message, o.span, "flatten it with reshape(x, [-1])");
        }
        extents.push(c.shape(o.val.id).first().cloned().unwrap_or(Dim::ONE));
    }
    let place = |k: usize| if xy && k < 2 && extents.len() > 1 { 1 - k } else { k };
    let mut shape = extents.clone();
    for (k, d) in extents.iter().enumerate() {
        shape[place(k)] = d.clone();
    }
    let vals = operands
        .iter()
        .enumerate()
        .map(|(k, o)| {
            let flat = c.b.reshape(o.val.id, vec![extents[k].clone()]);
            Val::with_weak(c.b.broadcast(flat, shape.clone(), vec![place(k)]), o.val.weak)
        })
        .collect();
    Ok(Value::Tuple(vals))
}

/// The extents as a vector of i64, known as sizes.
fn shape(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let dims = c.shape(x.val.id);
    let ids: Vec<ValueId> = dims.iter().map(|d| c.size_value(d.clone()).id).collect();
    let id = match (ids.is_empty(), Literal::new(DType::I64, vec![0], &[])) {
        (true, Some(l)) => c.b.constant(l),
        _ => c.stack_on(&ids, 0),
    };
    Ok(Val { id, weak: false, dims: Some(dims) }.into())
}

fn size(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let x = c.arg(args, "x")?;
    let total = matex_ir::dim::product(&c.shape(x.val.id));
    Ok(c.size_value(total).into())
}
