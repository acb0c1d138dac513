//! Arguments of a call: bound to parameters by place or name, and read as what the parameter wants.

use super::value::{Operand, Value};
use super::{Checker, R};
use crate::ast::{Arg, DTypeExpr, ExprId, ExprKind, Ident, Name};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::{DType, Dim, Span};

/// Where an argument comes from.
#[derive(Clone, Debug)]
pub(crate) enum Src {
    /// An expression, not yet evaluated: some arguments are words or dtypes.
    Expr(ExprId),
    /// The receiver of a method call.
    Value(Value, Span),
}

/// A parameter of a builtin: `x`, `axis=` (optional), `*arrays` (all further ones).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParamSpec {
    pub(crate) name: &'static str,
    pub(crate) optional: bool,
    pub(crate) variadic: bool,
}

/// The parameters that a signature text declares.
pub(crate) fn params(signature: &'static str) -> impl Iterator<Item = ParamSpec> {
    signature.split(", ").filter(|p| !p.is_empty()).map(|p| ParamSpec {
        name: p.trim_start_matches('*').trim_end_matches('='),
        optional: p.ends_with('='),
        variadic: p.starts_with('*'),
    })
}

/// The arguments of one call of a builtin.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    /// The name it was called by.
    pub(crate) name: Name,
    /// The whole call.
    pub(crate) span: Span,
    slots: Vec<(&'static str, Option<Src>)>,
    /// What a variadic parameter got.
    pub(crate) rest: Vec<Src>,
}

impl Args {
    pub(crate) fn get(&self, name: &str) -> Option<&Src> {
        self.slots.iter().find(|(n, _)| *n == name).and_then(|(_, s)| s.as_ref())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Values for the parameters of a signature, in order.
    pub(crate) fn of_values(
        name: &str,
        span: Span,
        signature: &'static str,
        values: Vec<Option<Operand>>,
    ) -> Args {
        let mut out = Args { name: name.into(), span, slots: Vec::new(), rest: Vec::new() };
        for (p, o) in params(signature).zip(values) {
            let src = o.map(|o| Src::Value(Value::Tensor(o.val), o.span));
            if p.variadic {
                out.rest.extend(src);
            } else {
                out.slots.push((p.name, src));
            }
        }
        out
    }
}

impl Checker<'_> {
    /// Binds the arguments of a builtin to the parameters of its signature.
    pub(crate) fn bind_args(
        &mut self,
        callee: &Ident,
        signature: &'static str,
        receiver: Option<(Value, Span)>,
        args: &[Arg],
        span: Span,
    ) -> R<Args> {
        let specs: Vec<ParamSpec> = params(signature).collect();
        let mut out = Args {
            name: callee.name.clone(),
            span,
            slots: specs.iter().map(|p| (p.name, None)).collect(),
            rest: Vec::new(),
        };
        if let Some(d) = self.spread(callee, &specs, receiver.is_some(), args) {
            return self.error(d);
        }
        let first = receiver.into_iter().map(|(v, s)| (None, Src::Value(v, s), s));
        let others = args.iter().map(|a| (a.name.as_ref(), Src::Expr(a.value), self.ast[a.value].span));
        let given: Vec<_> = first.chain(others).collect();
        let mut next = 0;
        for (name, src, at) in given {
            let place = match name {
                Some(n) => specs.iter().position(|p| p.name == &*n.name && !p.variadic),
                None if specs.get(next).is_some_and(|p| p.variadic) => {
                    out.rest.push(src);
                    continue;
                }
                None => (next < specs.len()).then_some(next),
            };
            match (place, name) {
                (Some(i), _) if out.slots[i].1.is_some() => {
                    let message = format!("{} is given twice", specs[i].name);
                    return self.fail(
                        codes::ARGUMENT_GIVEN_TWICE,
                        message,
                        at,
                        format!("write it as {}({signature})", callee.name),
                    );
                }
                (Some(i), _) => out.slots[i].1 = Some(src),
                (None, Some(n)) => return self.unknown_argument(callee, n, &specs),
                (None, None) => return self.argument_count(callee, signature, at),
            }
            next += usize::from(name.is_none());
        }
        let missing =
            specs.iter().zip(&out.slots).find(|(p, (_, s))| !p.optional && !p.variadic && s.is_none());
        if let Some((p, _)) = missing {
            let message = format!("{} needs {}", callee.name, p.name);
            return self.fail(
                codes::MISSING_ARGUMENT,
                message,
                span,
                format!("write it as {}({signature})", callee.name),
            );
        }
        Ok(out)
    }

    fn unknown_argument<T>(&mut self, callee: &Ident, name: &Ident, specs: &[ParamSpec]) -> R<T> {
        let d = Diagnostic::new(
            codes::UNKNOWN_ARGUMENT,
            format!("{} has no argument {}", callee.name, name.name),
        );
        let near = super::resolve::closest(&name.name, specs.iter().map(|p| p.name));
        let all: Vec<&str> = specs.iter().map(|p| p.name).collect();
        let d = d.primary(name.span, "").help(match near {
            Some(near) => format!("did you mean {near}=?"),
            None => format!("it has: {}", all.join(", ")),
        });
        self.error(d)
    }

    fn argument_count<T>(&mut self, callee: &Ident, signature: &str, at: Span) -> R<T> {
        let message = format!("too many arguments for {}", callee.name);
        self.fail(
            codes::WRONG_ARGUMENT_COUNT,
            message,
            at,
            format!("write it as {}({signature})", callee.name),
        )
    }

    pub(crate) fn src_span(&self, src: &Src) -> Span {
        match src {
            Src::Expr(e) => self.ast[*e].span,
            Src::Value(_, s) => *s,
        }
    }

    pub(crate) fn src_operand(&mut self, src: &Src) -> R<Operand> {
        match src {
            Src::Expr(e) => self.tensor(*e),
            Src::Value(v, s) => self.one(v.clone(), *s),
        }
    }

    /// A required tensor.
    pub(crate) fn arg(&mut self, args: &Args, name: &str) -> R<Operand> {
        match self.opt_arg(args, name)? {
            Some(o) => Ok(o),
            None => self.bug("a required argument that was not bound", args.span),
        }
    }

    /// An optional tensor.
    pub(crate) fn opt_arg(&mut self, args: &Args, name: &str) -> R<Option<Operand>> {
        args.get(name).cloned().map(|src| self.src_operand(&src)).transpose()
    }

    fn not_constant<T>(&mut self, name: &str, wanted: &str, at: Span) -> R<T> {
        let message = format!("{name} must be {wanted} that is known when the program is compiled");
        self.fail(codes::NOT_A_CONSTANT_ARGUMENT, message, at, format!("write {name} as {wanted}"))
    }

    /// An optional integer that is known now.
    pub(crate) fn int_arg(&mut self, args: &Args, name: &str) -> R<Option<i64>> {
        let Some(o) = self.opt_arg(args, name)? else { return Ok(None) };
        let known =
            o.val.dims.as_deref().filter(|_| self.rank(o.val.id) == 0).and_then(|d| d.first()?.as_const());
        match known {
            Some(v) => Ok(Some(v)),
            None => self.not_constant(name, "an integer", o.span),
        }
    }

    /// An optional `true` or `false`, with its default.
    pub(crate) fn flag_arg(&mut self, args: &Args, name: &str, default: bool) -> R<bool> {
        let Some(o) = self.opt_arg(args, name)? else { return Ok(default) };
        match self.constant_scalar(o.val.id).filter(|s| s.dtype() == DType::Bool) {
            Some(s) => Ok(s.bits() != 0),
            None => self.not_constant(name, "true or false", o.span),
        }
    }

    /// An optional list of integers that are known now; one number is a list of one.
    pub(crate) fn ints_arg(&mut self, args: &Args, name: &str) -> R<Option<(Vec<i64>, Span)>> {
        if let Some(span) = self.empty_list(args, name) {
            return Ok(Some((Vec::new(), span)));
        }
        let Some(o) = self.opt_arg(args, name)? else { return Ok(None) };
        let known: Option<Vec<i64>> =
            o.val.dims.as_ref().and_then(|ds| ds.iter().map(Dim::as_const).collect());
        match known {
            Some(v) => Ok(Some((v, o.span))),
            None => self.not_constant(name, "an integer or a list of integers", o.span),
        }
    }

    /// The place of an argument that is written `[]`: no sizes, or no axes. As a tensor it has no dtype.
    fn empty_list(&self, args: &Args, name: &str) -> Option<Span> {
        let Some(Src::Expr(e)) = args.get(name) else { return None };
        let empty = matches!(&self.ast[*e].kind, ExprKind::List(items) if items.is_empty());
        empty.then(|| self.ast[*e].span)
    }

    /// Axes of a tensor of that rank, in increasing order; `None` when the argument is left out.
    pub(crate) fn axes_arg(&mut self, args: &Args, name: &str, rank: usize) -> R<Option<Vec<usize>>> {
        let Some((given, span)) = self.ints_arg(args, name)? else { return Ok(None) };
        let mut axes = Vec::new();
        for a in given {
            let axis = self.axis_of(a, rank, span)?;
            if axes.contains(&axis) {
                let message = format!("axis {axis} is named twice");
                return self.fail(codes::DUPLICATE_AXIS, message, span, "name each axis once");
            }
            axes.push(axis);
        }
        axes.sort_unstable();
        Ok(Some(axes))
    }

    /// One axis of a tensor of that rank.
    pub(crate) fn axis_arg(&mut self, args: &Args, name: &str, rank: usize) -> R<Option<usize>> {
        let at = args.get(name).map(|s| self.src_span(s));
        match (self.int_arg(args, name)?, at) {
            (Some(a), Some(span)) => self.axis_of(a, rank, span).map(Some),
            _ => Ok(None),
        }
    }

    /// An axis counted from the front or, negative, from the end.
    pub(crate) fn axis_of(&mut self, axis: i64, rank: usize, span: Span) -> R<usize> {
        let r = i64::try_from(rank).unwrap_or(i64::MAX);
        let place = if axis < 0 { axis.checked_add(r) } else { Some(axis) };
        match place.filter(|p| (0..r).contains(p)) {
            Some(p) => Ok(p as usize),
            None => {
                let help = match r {
                    0 => "a scalar has no axes".to_owned(),
                    1 => "its only axis is 0, or -1 from the end".to_owned(),
                    _ => format!("it has axes 0 to {}, or -{r} to -1 from the end", r - 1),
                };
                self.fail(
                    codes::AXIS_OUT_OF_RANGE,
                    format!("there is no axis {axis} on rank {rank}"),
                    span,
                    help,
                )
            }
        }
    }

    /// A shape: a list of sizes, or one size.
    pub(crate) fn shape_arg(&mut self, args: &Args, name: &str) -> R<Option<(Vec<Dim>, Span)>> {
        if let Some(span) = self.empty_list(args, name) {
            return Ok(Some((Vec::new(), span)));
        }
        let Some(o) = self.opt_arg(args, name)? else { return Ok(None) };
        if !self.dtype(o.val.id).is_int() {
            let message = format!("{name} is made of integers, this is {}", self.type_text(o.val.id));
            return self.fail(codes::EXPECTED_INTEGER, message, o.span, "write it as integers: 2 or [2, 3]");
        }
        match o.val.dims {
            Some(dims) => Ok(Some((dims.iter().map(|d| self.resolve(d)).collect(), o.span))),
            None => self.data_dependent(o.span),
        }
    }

    pub(crate) fn data_dependent<T>(&mut self, span: Span) -> R<T> {
        let help = "sizes come from shapes, integer literals and integer parameters; keep the size and mask with where(c, x, 0)";
        self.fail(codes::DATA_DEPENDENT_SIZE, "a size cannot depend on computed data", span, help)
    }

    /// Demands that sizes are not negative.
    pub(crate) fn nonnegative(&mut self, dims: &[Dim], span: Span) -> R<()> {
        for d in dims {
            if !self.at_most(&Dim::ZERO, d, codes::CALL_SIZE_NEGATIVE, "a size is negative", span) {
                let message = format!("the size {} is negative", super::dims::user_text(d));
                return self.fail(codes::NEGATIVE_SIZE, message, span, "sizes are 0 or more");
            }
        }
        Ok(())
    }

    /// An optional dtype.
    pub(crate) fn dtype_arg(&mut self, args: &Args, name: &str) -> R<Option<DType>> {
        let Some(src) = args.get(name) else { return Ok(None) };
        let span = self.src_span(src);
        if let Src::Expr(e) = src
            && let ExprKind::Name(n) = &self.ast[*e].kind
            && let Some(d) = DType::from_name(n)
        {
            return Ok(Some(d));
        }
        let text = self.text(span);
        let message = format!("{text} is no dtype");
        let help = match DTypeExpr::meant(text) {
            Some(dtype) => format!("write {dtype}"),
            None => "the dtypes are f32, f64, i8 to i64, u8 to u64, f16, bf16 and bool".to_owned(),
        };
        self.fail(codes::UNKNOWN_TYPE, message, span, help)
    }

    /// An optional word out of a few.
    pub(crate) fn word_arg(
        &mut self,
        args: &Args,
        name: &str,
        words: &[&'static str],
    ) -> R<Option<&'static str>> {
        let Some(src) = args.get(name) else { return Ok(None) };
        let span = self.src_span(src);
        if let Src::Expr(e) = src
            && let ExprKind::Name(n) = &self.ast[*e].kind
            && let Some(w) = words.iter().find(|w| **w == &**n)
        {
            return Ok(Some(w));
        }
        let help = format!("write {name}= one of {}", words.join(", "));
        self.fail(codes::UNKNOWN_OPTION, format!("an unknown word for {name}"), span, help)
    }
}
