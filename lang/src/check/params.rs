//! Parameters and declared types: sizes get their names, dtype classes their dtype.

use super::dims::user_text;
use super::resolve::counted;
use super::value::{Operand, Val, Value};
use super::{Checker, R, Reported};
use crate::ast::{
    DTypeExpr, DimId, DimKind, DimOp, ExprId, ExprKind, FnDef, Form, Name, ParamDecl, Program, ResultType,
    StmtKind, TypeExpr,
};
use crate::codes;
use crate::diag::Diagnostic;
use crate::unit::ArgSpec;
use matex_ir::tensor::{Builder, Guard, GuardKind, Param, TensorType, ValueId};
use matex_ir::{Code, DType, Dim, Span};
use std::collections::HashMap;

/// Why a dim of a declared type has no value yet.
enum Open {
    /// A name in it is not bound.
    Unbound,
}

impl Checker<'_> {
    /// Parameters of an expression or a block: each takes what its argument is.
    pub(crate) fn free_params(&mut self, names: &[(Name, Span)], args: &[Option<ArgSpec>]) -> R<()> {
        let mut params = Vec::new();
        let mut vals = Vec::new();
        for (i, (name, span)) in names.iter().enumerate() {
            let Some(spec) = args.get(i).and_then(Option::as_ref) else {
                return self.fail(codes::CALL_MISSING, format!("{name} has no value"), *span, "give it one");
            };
            let label = name.replace('$', "arg");
            let shape = self.open_shape(i, &label, spec);
            vals.push(Val {
                id: ValueId(i as u32),
                weak: spec.weak,
                dims: int_dims(&label, spec.dtype, shape.len()),
            });
            params.push(Param { name: label, ty: TensorType::new(spec.dtype, shape) });
        }
        self.b = Builder::new("main", params);
        for ((name, _), val) in names.iter().zip(vals) {
            self.frame.vars.insert(name.clone(), val.into());
        }
        Ok(())
    }

    /// Parameters of the entry function of a module.
    pub(crate) fn entry_params(&mut self, def: &FnDef, args: &[Option<ArgSpec>]) -> R<()> {
        let mut params = Vec::new();
        let mut given = Vec::new();
        self.declare_sizes(def);
        for (i, p) in def.params.iter().enumerate() {
            let Some(spec) = args.get(i).and_then(Option::as_ref) else { continue };
            let ty = self.entry_param_type(i, p, spec)?;
            given.push((i, spec.weak && p.ty.is_none()));
            params.push(Param { name: p.name.name.to_string(), ty });
        }
        let types: Vec<TensorType> = params.iter().map(|p| p.ty.clone()).collect();
        self.b = Builder::new(&def.name.name, params);
        let mut vals: Vec<Option<Val>> = vec![None; def.params.len()];
        for (k, (i, weak)) in given.into_iter().enumerate() {
            let dims = int_dims(&def.params[i].name.name, types[k].dtype, types[k].rank());
            vals[i] = Some(Val { id: ValueId(k as u32), weak, dims });
        }
        self.solve_sizes(def, &vals);
        for (p, val) in def.params.iter().zip(vals) {
            let val = match val {
                Some(v) => v,
                None => self.default_value(p)?,
            };
            self.frame.vars.insert(p.name.name.clone(), val.into());
        }
        Ok(())
    }

    /// Plain names of sizes in parameter types are sizes of the entry.
    fn declare_sizes(&mut self, def: &FnDef) {
        for p in &def.params {
            for d in p.ty.iter().flat_map(|t| t.dims.iter().flatten()) {
                if let DimKind::Name(n) = &self.ast[*d].kind {
                    if def.params.iter().any(|q| q.name.name == *n) {
                        let message = format!("{n} names a size and a parameter");
                        let d =
                            Diagnostic::new(codes::SIZE_NAME_TAKEN, message).primary(self.ast[*d].span, "");
                        self.errors.push(d.help(format!("the size of a parameter is known without a parameter for it: leave {n} out, or rename one")));
                    }
                    self.frame.sizes.insert(n.clone(), Dim::size(n));
                }
            }
        }
    }

    /// Sizes that only stand inside expressions, as n in f64[2*n], are solved for.
    fn solve_sizes(&mut self, def: &FnDef, vals: &[Option<Val>]) {
        for (p, val) in def.params.iter().zip(vals) {
            let (Some(ty), Some(val)) = (&p.ty, val) else { continue };
            let actual = self.b.ty(val.id).shape.clone();
            for (d, axis) in self.align(ty, actual.len()).into_iter().flatten() {
                if matches!(self.ast[d].kind, DimKind::Binary { .. }) {
                    self.solve_size(d, &actual[axis]);
                }
            }
        }
    }

    fn solve_size(&mut self, d: DimId, actual: &Dim) {
        if self.dim_value(d, &self.frame.sizes).is_ok() {
            return;
        }
        // With every unknown name as a symbol of its own, the expression may be linear in one of them.
        let span = self.ast[d].span;
        let Some(symbolic) = self.dim_symbolic(d) else { return };
        if let Some((name, value)) = symbolic.solve(actual) {
            self.frame.sizes.insert(name.clone(), value.clone());
            let left = symbolic
                .substitute(&|a| matches!(a, matex_ir::Atom::Size(n) if *n == name).then(|| value.clone()));
            let message = format!("the size must be {symbolic}");
            let guard = Guard {
                kind: GuardKind::Equal,
                left,
                right: actual.clone(),
                code: codes::CALL_SIZE,
                message,
                origin: span,
            };
            self.b.guard(guard);
        } else {
            let message = format!("{symbolic} does not determine its sizes");
            let d = Diagnostic::new(codes::AMBIGUOUS_SIZE, message).primary(span, "");
            self.errors.push(d.help("give each size a plain name on some axis: f64[n]"));
        }
    }

    /// A shape without declared sizes: each axis has one of its own, but those that are 1, which broadcast.
    pub(crate) fn open_shape(&self, i: usize, name: &str, spec: &ArgSpec) -> Vec<Dim> {
        if let Some(extents) = self.extents.get(i).and_then(Option::as_ref) {
            return extents.iter().map(|n| Dim::constant(i64::try_from(*n).unwrap_or(i64::MAX))).collect();
        }
        let dim = |(i, one): (usize, &bool)| if *one { Dim::ONE } else { Dim::size(&format!("{name}.{i}")) };
        spec.ones.iter().enumerate().map(dim).collect()
    }

    /// The type of entry parameter `i` for its argument.
    fn entry_param_type(&mut self, i: usize, p: &ParamDecl, spec: &ArgSpec) -> R<TensorType> {
        let name = &p.name.name;
        let Some(ty) = &p.ty else {
            return Ok(TensorType::new(spec.dtype, self.open_shape(i, name, spec)));
        };
        let dtype = self.param_dtype(ty, spec.dtype, spec.weak, p.span, name)?;
        let open = self.open_shape(i, name, spec);
        let Some(pairs) = self.align(ty, open.len()) else {
            let message = format!("{name} has {} axes, declared {}", spec.ones.len(), self.text(ty.span));
            let d = Diagnostic::new(codes::CALL_RANK, message).primary(ty.span, "");
            return self.error(d.help("give an array of that rank"));
        };
        let mut shape = open;
        for (d, axis) in pairs {
            let kind = &self.ast[d].kind;
            if matches!(kind, DimKind::Any | DimKind::Rest) {
                continue;
            }
            // An expression over sizes that have no plain axis is bound here, and its names are solved for.
            let open = || Dim::size(&format!("{name}.{axis}"));
            shape[axis] = self.dim_value(d, &self.frame.sizes).unwrap_or_else(|Open::Unbound| open());
        }
        Ok(TensorType::new(dtype, shape))
    }

    /// The dtype that a declared type gives an argument of dtype `actual`.
    fn param_dtype(&mut self, ty: &TypeExpr, actual: DType, weak: bool, at: Span, name: &str) -> R<DType> {
        let class = match ty.dtype {
            DTypeExpr::Concrete(d) if d == actual || (weak && converts(actual, d)) => return Ok(d),
            DTypeExpr::Concrete(_) => false,
            DTypeExpr::Float => actual.is_float(),
            DTypeExpr::Int => actual.is_int(),
            DTypeExpr::Num => actual != DType::Bool,
        };
        let is_class = !matches!(ty.dtype, DTypeExpr::Concrete(_));
        match self.frame.generic.filter(|_| is_class) {
            None if class => {
                self.frame.generic = Some(actual);
                Ok(actual)
            }
            Some(g) if g == actual || (weak && converts(actual, g)) => Ok(g),
            // A literal may come before the argument that fixes the class.
            None if is_class && weak && actual.is_int() && ty.dtype == DTypeExpr::Float => Ok(DType::F64),
            bound => {
                let wanted = bound.map_or(ty.dtype.name().to_owned(), |g| g.to_string());
                let d = Diagnostic::new(codes::CALL_DTYPE, format!("{name} wants {wanted}, not {actual}"));
                let d = d.primary(at, format!("given {actual}"));
                self.error(d.help(format!("convert it with cast(…, {})", bound.unwrap_or(DType::F64))))
            }
        }
    }

    /// Declared dims with the axes of a tensor that they stand for, `...` left out; `None` when the rank does not fit.
    fn align(&self, ty: &TypeExpr, rank: usize) -> Option<Vec<(DimId, usize)>> {
        let dims: &[DimId] = ty.dims.as_deref().unwrap_or_default();
        match dims.iter().position(|d| matches!(self.ast[*d].kind, DimKind::Rest)) {
            None if dims.len() == rank => Some(dims.iter().copied().zip(0..).collect()),
            Some(rest) if rank + 1 >= dims.len() => {
                let front = dims[..rest].iter().copied().zip(0..);
                let back = dims[rest + 1..].iter().copied().zip(rank + rest + 1 - dims.len()..);
                Some(front.chain(back).collect())
            }
            _ => None,
        }
    }

    /// The value of a declared dim over known sizes.
    fn dim_value(&self, d: DimId, sizes: &HashMap<Name, Dim>) -> Result<Dim, Open> {
        // The left side of a dim is a chain without limit, so it is walked, not recursed into.
        let mut chain = Vec::new();
        let mut leaf = d;
        while let DimKind::Binary { op, lhs, rhs, .. } = &self.ast[leaf].kind {
            chain.push((*op, *rhs));
            leaf = *lhs;
        }
        let mut total = match &self.ast[leaf].kind {
            DimKind::Int(n) => Dim::constant(i64::try_from(*n).unwrap_or(i64::MAX)),
            DimKind::Name(n) => self.resolve(sizes.get(n).ok_or(Open::Unbound)?),
            DimKind::Any | DimKind::Rest | DimKind::Binary { .. } => return Err(Open::Unbound),
        };
        while let Some((op, rhs)) = chain.pop() {
            let rhs = self.dim_value(rhs, sizes)?;
            total = match op {
                DimOp::Add => &total + &rhs,
                DimOp::Sub => &total - &rhs,
                DimOp::Mul => &total * &rhs,
            };
        }
        Ok(total)
    }

    /// The dim with unbound names as symbols.
    fn dim_symbolic(&self, d: DimId) -> Option<Dim> {
        let mut sizes = self.frame.sizes.clone();
        let mut open = vec![d];
        while let Some(d) = open.pop() {
            match &self.ast[d].kind {
                DimKind::Name(n) => {
                    sizes.entry(n.clone()).or_insert_with(|| Dim::size(n));
                }
                DimKind::Binary { lhs, rhs, .. } => open.extend([*lhs, *rhs]),
                DimKind::Int(_) | DimKind::Any | DimKind::Rest => {}
            }
        }
        self.dim_value(d, &sizes).ok()
    }

    /// The value of a default, in the declared dtype.
    pub(crate) fn default_value(&mut self, p: &ParamDecl) -> R<Val> {
        let Some(e) = p.default else {
            return self.fail(
                codes::MISSING_ARGUMENT,
                format!("{} has no value", p.name.name),
                p.span,
                "give it one",
            );
        };
        let o = self.tensor(e)?;
        match &p.ty {
            Some(ty) => self.of_type(ty, o, p.span, &format!("the default of {}", p.name.name)),
            None => Ok(o.val),
        }
    }

    /// Demands that a value is of a declared type, and binds the names of sizes in it that are still free. Literals
    /// are converted.
    pub(crate) fn of_type(&mut self, ty: &TypeExpr, o: Operand, at: Span, what: &str) -> R<Val> {
        let actual = self.dtype(o.val.id);
        let wanted = match ty.dtype {
            DTypeExpr::Concrete(d) => d,
            DTypeExpr::Float | DTypeExpr::Int | DTypeExpr::Num
                if o.val.weak && self.frame.generic.is_some() =>
            {
                self.frame.generic.unwrap_or(actual)
            }
            DTypeExpr::Float if o.val.weak && actual.is_int() => DType::F64,
            DTypeExpr::Float | DTypeExpr::Int | DTypeExpr::Num => {
                self.param_dtype(ty, actual, o.val.weak, at, what)?
            }
        };
        if wanted != actual && !(o.val.weak && converts(actual, wanted)) {
            let message = format!("{what} is {}, declared {}", self.type_text(o.val.id), self.text(ty.span));
            let text = self.text(o.span).to_owned();
            let d = Diagnostic::new(codes::DTYPE_MISMATCH, message)
                .primary(o.span, self.type_text(o.val.id))
                .secondary(ty.span, "declared here");
            let help = if text.len() < 40 && !text.contains('\n') { text } else { "…".to_owned() };
            return self.error(d.help(format!("write cast({help}, {wanted})")));
        }
        let id = self.in_dtype(&o, wanted)?;
        self.declared_shape(ty, &Operand { val: Val { id, ..o.val.clone() }, span: o.span }, what)?;
        Ok(Val { id, weak: false, dims: o.val.dims })
    }

    fn declared_shape(&mut self, ty: &TypeExpr, o: &Operand, what: &str) -> R<()> {
        let actual = self.shape(o.val.id);
        let Some(pairs) = self.align(ty, actual.len()) else {
            return self.shape_mismatch(ty, o, what, None);
        };
        for (d, axis) in pairs {
            let dim = actual[axis].clone();
            let kind = &self.ast[d].kind;
            if matches!(kind, DimKind::Any | DimKind::Rest) {
                continue;
            }
            if let DimKind::Name(n) = kind
                && !self.frame.sizes.contains_key(n)
            {
                self.frame.sizes.insert(n.clone(), dim);
                continue;
            }
            let Ok(wanted) = self.dim_value(d, &self.frame.sizes) else {
                self.solve_size(d, &dim);
                continue;
            };
            let (span, named) = (self.ast[d].span, matches!(kind, DimKind::Name(_)));
            let message = "a size is not the declared one";
            let fits = if what.starts_with("argument") {
                self.agree(&wanted, &dim, codes::CALL_SIZE, message, span)
            } else {
                self.agree_rigid(&wanted, &dim, codes::CALL_SIZE, message, span)
            };
            if !fits {
                if named && what.starts_with("argument") {
                    return self.sizes_disagree(d, o, &wanted, &dim);
                }
                return self.shape_mismatch(ty, o, what, Some((wanted, dim)));
            }
        }
        Ok(())
    }

    /// An argument gives a size another value than an argument before it did.
    fn sizes_disagree(&mut self, d: DimId, o: &Operand, wanted: &Dim, actual: &Dim) -> R<()> {
        let name = self.text(self.ast[d].span).to_owned();
        let (wanted, actual) = (user_text(wanted), user_text(actual));
        let message = format!("the size {name} is {wanted} and {actual}");
        let d = Diagnostic::new(codes::SIZES_DISAGREE, message)
            .primary(o.span, self.type_text(o.val.id))
            .secondary(self.ast[d].span, format!("{name} is {wanted} by an argument before"));
        self.error(d.help("give arguments whose sizes agree, or two names to the sizes"))
    }

    fn shape_mismatch(&mut self, ty: &TypeExpr, o: &Operand, what: &str, dims: Option<(Dim, Dim)>) -> R<()> {
        let text = self.type_text(o.val.id);
        let d = Diagnostic::new(
            codes::SHAPE_MISMATCH,
            format!("{what} is {text}, declared {}", self.text(ty.span)),
        );
        let mut d = d.primary(o.span, text.clone()).secondary(ty.span, "declared here");
        if let Some((wanted, actual)) = dims {
            d = d.note(format!(
                "the declared size is {}, the actual one {}",
                user_text(&wanted),
                user_text(&actual)
            ));
        }
        self.error(d.help(format!("declare it {text}, or change its shape with reshape, [newaxis] or .T")))
    }

    /// The value of a function body under its declared result type.
    pub(crate) fn declared_result(&mut self, def: &FnDef, value: Value) -> R<Value> {
        let Some(result) = &def.result else { return Ok(value) };
        let body = &self.ast[def.body];
        let span = body.value.map(|v| self.ast[v].span).or(body.stmts.last().map(|s| self.ast[*s].span));
        let span = span.unwrap_or(def.name.span);
        match value {
            Value::Poison => Err(Reported),
            Value::Tensor(val) if result.types.len() == 1 => {
                Ok(self.of_type(&result.types[0], Operand { val, span }, span, "the result")?.into())
            }
            Value::Tuple(vals) if vals.len() == result.types.len() => {
                let mut out = Vec::new();
                for (i, (val, ty)) in vals.into_iter().zip(&result.types).enumerate() {
                    out.push(self.of_type(ty, Operand { val, span }, span, &format!("result {i}"))?);
                }
                Ok(Value::Tuple(out))
            }
            Value::Tensor(_) => self.result_count(result, 1, span),
            Value::Tuple(vals) => self.result_count(result, vals.len(), span),
        }
    }

    fn result_count<T>(&mut self, result: &ResultType, actual: usize, span: Span) -> R<T> {
        let message =
            format!("the function gives {}, declared {}", counted(actual, "result"), result.types.len());
        let d = Diagnostic::new(codes::WRONG_RESULT_COUNT, message).primary(span, "");
        let d = d.secondary(result.span, "declared here");
        self.error(d.help("return as many values as are declared: return a, b"))
    }

    /// The name that the source gives to a result.
    pub(crate) fn result_name(
        &self,
        program: &Program,
        entry: &super::Entry,
        index: usize,
    ) -> Option<String> {
        let block = match (&program.form, entry) {
            (Form::Block(b), _) => *b,
            (_, super::Entry::Function(id)) => self.ast[*id].body,
            (Form::Expr(_) | Form::Module(_), super::Entry::Free(_)) => return None,
        };
        let block = &self.ast[block];
        let name_of = |e: ExprId| {
            if let ExprKind::Name(n) = &self.ast[e].kind { Some(n.to_string()) } else { None }
        };
        let exprs: Vec<ExprId> = match (block.value, block.stmts.last().map(|s| &self.ast[*s].kind)) {
            (Some(v), _) => vec![v],
            (None, Some(StmtKind::Return(es))) => es.clone(),
            _ => return None,
        };
        match exprs.as_slice() {
            [one] if let ExprKind::Tuple(es) = &self.ast[*one].kind => name_of(*es.get(index)?),
            [one] => name_of(*one).filter(|_| index == 0),
            several => name_of(*several.get(index)?),
        }
    }

    /// An error about a declared type of a call.
    pub(crate) fn mismatch<T>(
        &mut self,
        code: Code,
        message: String,
        a: &Operand,
        b: &Operand,
        help: &str,
    ) -> R<T> {
        let d = Diagnostic::new(code, message)
            .primary(a.span, self.type_text(a.val.id))
            .secondary(b.span, self.type_text(b.val.id));
        self.error(d.help(help))
    }
}

/// Whether a literal of one dtype may become another.
pub(crate) fn converts(literal: DType, to: DType) -> bool {
    literal == to || (literal != DType::Bool && to != DType::Bool && !(literal.is_float() && to.is_int()))
}

/// An integer scalar parameter may size results.
pub(crate) fn int_dims(name: &str, dtype: DType, rank: usize) -> Option<Vec<Dim>> {
    (rank == 0 && dtype.is_int()).then(|| vec![Dim::int(name)])
}
