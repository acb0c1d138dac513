//! Loops and branches: the variables they change become carried values.

use super::dims::Agreement;
use super::value::{Operand, Val, Value, promote};
use super::{Checker, R, Reported};
use crate::ast::{BlockId, ExprId, Ident, If, Name, Pattern, StmtKind};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{Kind, RegionId, TensorType, ValueId};
use matex_ir::{DType, Dim, Span};

/// A variable that a loop or a branch changes, with its value before.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub(crate) name: Name,
    pub(crate) val: Val,
}

/// A branch that has been checked: its region is closed and can be opened again for casts.
struct Branch {
    region: RegionId,
    carried: Vec<Val>,
    value: Option<Value>,
    span: Span,
}

impl Checker<'_> {
    /// The variables among those with a value that a block assigns, in the order of first assignment.
    fn carried(&mut self, blocks: &[BlockId]) -> R<Vec<Carried>> {
        let mut names = Vec::new();
        for b in blocks {
            self.assigned(*b, &mut names);
        }
        let mut out = Vec::new();
        for (name, span) in names {
            match self.frame.vars.get(&name) {
                None => {}
                Some(Value::Tensor(v)) => out.push(Carried { name, val: Val { dims: None, ..v.clone() } }),
                Some(Value::Poison) => return Err(Reported),
                Some(Value::Tuple(_)) => {
                    let message = format!("{name} holds several results and changes in a loop or a branch");
                    return self.fail(
                        codes::TUPLE_MISUSE,
                        message,
                        span,
                        "unpack it before, as in (a, b) = …",
                    );
                }
            }
        }
        Ok(out)
    }

    /// Names that a block assigns, blocks inside it included.
    fn assigned(&self, block: BlockId, names: &mut Vec<(Name, Span)>) {
        let mut add = |n: &Ident| {
            if !names.iter().any(|(m, _)| *m == n.name) {
                names.push((n.name.clone(), n.span));
            }
        };
        let mut inner: Vec<BlockId> = Vec::new();
        for s in &self.ast[block].stmts {
            match &self.ast[*s].kind {
                StmtKind::Let { pattern: Pattern::One(n), .. } => add(n),
                StmtKind::Let { pattern: Pattern::Tuple(ns, _), .. } => ns.iter().for_each(&mut add),
                StmtKind::Update { target, .. } | StmtKind::Compound { target, .. } => add(target),
                StmtKind::For { body, .. } | StmtKind::While { body, .. } => inner.push(*body),
                StmtKind::If(i) => inner.extend(i.branches.iter().map(|(_, b)| *b).chain(i.otherwise)),
                StmtKind::Return(_) | StmtKind::Expr(_) => {}
            }
        }
        if let Some(crate::ast::ExprKind::If(i)) = self.ast[block].value.map(|v| &self.ast[v].kind) {
            inner.extend(i.branches.iter().map(|(_, b)| *b).chain(i.otherwise));
        }
        for b in inner {
            self.assigned(b, names);
        }
    }

    fn set_carried(&mut self, carried: &[Carried], vals: &[ValueId]) {
        for (c, id) in carried.iter().zip(vals) {
            let val = Val::with_weak(*id, c.val.weak);
            self.frame.vars.insert(c.name.clone(), val.into());
        }
    }

    fn types(&self, carried: &[Carried]) -> Vec<TensorType> {
        carried.iter().map(|c| self.b.ty(c.val.id).clone()).collect()
    }

    /// `for i in a..b { … }`.
    pub(crate) fn for_loop(
        &mut self,
        var: &Ident,
        start: ExprId,
        stop: ExprId,
        body: BlockId,
        span: Span,
    ) -> R<()> {
        let (start, stop) = (self.bound(start)?, self.bound(stop)?);
        let shadowed = self.frame.vars.remove(&var.name);
        let mut carried = self.carried(&[body])?;
        let result = self.nested(span, |c| {
            c.settle(&mut carried, span, |c, carried| {
                let mut types = vec![TensorType::scalar(DType::I64)];
                types.extend(c.types(carried));
                let (region, params) = c.b.begin_region(&types);
                c.frame.vars.insert(var.name.clone(), Val::strong(params[0]).into());
                c.set_carried(carried, &params[1..]);
                let ran = c.scoped(body);
                ran?;
                Ok(region)
            })
        });
        self.restore(&var.name, shadowed);
        match result {
            Ok(region) => {
                let mut args = vec![start, stop];
                args.extend(carried.iter().map(|c| c.val.id));
                let before = self.b.set_origin(span);
                self.finish_control(Kind::For(region), args, &carried);
                self.b.set_origin(before);
                Ok(())
            }
            Err(Reported) => self.poison_carried(&carried),
        }
    }

    fn restore(&mut self, name: &Name, value: Option<Value>) {
        match value {
            Some(v) => self.frame.vars.insert(name.clone(), v),
            None => self.frame.vars.remove(name),
        };
    }

    /// `while c { … }`.
    pub(crate) fn while_loop(&mut self, cond: ExprId, body: BlockId, span: Span) -> R<()> {
        let mut carried = self.carried(&[body])?;
        let mut test = None;
        let result = self.nested(span, |c| {
            c.settle(&mut carried, span, |c, carried| {
                let types = c.types(carried);
                let (region, params) = c.b.begin_region(&types);
                c.set_carried(carried, &params);
                let holds = c.condition(cond)?;
                c.b.end_region(vec![holds]);
                test = Some(region);
                let (region, params) = c.b.begin_region(&types);
                c.set_carried(carried, &params);
                let ran = c.scoped(body);
                ran?;
                Ok(region)
            })
        });
        match (result, test) {
            (Ok(region), Some(test)) => {
                let args = carried.iter().map(|c| c.val.id).collect();
                let before = self.b.set_origin(span);
                self.finish_control(Kind::While(test, region), args, &carried);
                self.b.set_origin(before);
                Ok(())
            }
            _ => self.poison_carried(&carried),
        }
    }

    fn poison_carried(&mut self, carried: &[Carried]) -> R<()> {
        for c in carried {
            self.frame.vars.insert(c.name.clone(), Value::Poison);
        }
        Err(Reported)
    }

    /// Gives the carried variables their values behind the loop or branch.
    fn finish_control(&mut self, kind: Kind, args: Vec<ValueId>, carried: &[Carried]) -> ValueId {
        let tuple = self.b.control(kind, args);
        for (i, c) in carried.iter().enumerate() {
            let id = self.b.proj(tuple, i);
            self.frame.vars.insert(c.name.clone(), Val::with_weak(id, c.val.weak).into());
        }
        tuple
    }

    /// Checks a loop body until its carried variables keep their dtypes: `s = 0` takes the dtype of what is added to
    /// it, which is known only after the body has been seen once. Each attempt widens a literal, so it ends.
    fn settle(
        &mut self,
        carried: &mut [Carried],
        span: Span,
        mut body: impl FnMut(&mut Self, &[Carried]) -> R<RegionId>,
    ) -> R<RegionId> {
        loop {
            let mark = self.b.mark();
            let before = self.b.func().nodes.len();
            let reported = self.errors.len();
            self.conditional += 1;
            let outcome = body(self, carried);
            self.conditional -= 1;
            let region = match outcome {
                Ok(r) => r,
                Err(Reported) => {
                    self.work += self.b.func().nodes.len() - before;
                    self.b.reset(&mark);
                    return Err(Reported);
                }
            };
            let mut results = Vec::new();
            let mut widened = None;
            for (i, c) in carried.iter().enumerate() {
                let after = self.target(&Ident { name: c.name.clone(), span })?;
                match self.loop_result(c, after, span)? {
                    Ok(id) => results.push(id),
                    Err(dtype) => {
                        widened = Some((i, dtype));
                        break;
                    }
                }
            }
            let Some((i, (dtype, weak))) = widened else {
                self.b.end_region(results);
                return Ok(region);
            };
            self.work += self.b.func().nodes.len() - before;
            self.check_size(span)?;
            self.b.reset(&mark);
            self.errors.truncate(reported);
            carried[i].val = Val::with_weak(self.b.cast(carried[i].val.id, dtype), weak);
        }
    }

    /// The value that a body gives back for a carried variable, or the dtype that the variable must start with.
    pub(crate) fn loop_result(
        &mut self,
        c: &Carried,
        after: Operand,
        span: Span,
    ) -> R<Result<ValueId, (DType, bool)>> {
        let (old, new) = (self.dtype(c.val.id), self.dtype(after.val.id));
        if c.val.weak && (!after.val.weak || new != old) {
            let fits = (old == DType::Bool) == (new == DType::Bool);
            let dtype = if old.is_float() && new.is_int() { DType::F64 } else { new };
            if fits && (dtype != old || !after.val.weak) {
                return Ok(Err((dtype, after.val.weak)));
            }
        }
        let weak_fits = after.val.weak && super::params::converts(new, old);
        if new != old && !weak_fits {
            return self.changed(c, &after, "dtype", span);
        }
        let id = self.in_dtype(&after, old)?;
        let (was, is) = (self.shape(c.val.id), self.shape(id));
        let mut same = was.len() == is.len();
        for (a, b) in was.iter().zip(&is) {
            let message = "a variable changes its shape in a loop";
            same = same && !self.grows(a, b) && self.agree(a, b, codes::CALL_SHAPES_DISAGREE, message, span);
        }
        if !same {
            return self.changed(c, &after, "shape", span);
        }
        let was = self.shape(c.val.id);
        Ok(Ok(self.retype(id, &was)))
    }

    /// Whether two sizes differ as n and 2*n do, which are equal for n = 0 only: a loop that keeps its shapes for empty
    /// arrays alone is a mistake.
    fn grows(&mut self, a: &Dim, b: &Dim) -> bool {
        let plain = self.resolve(a).is_plain() && self.resolve(b).is_plain();
        plain && self.unifier.unify(a, b) != Agreement::Equal
    }

    fn changed<T>(&mut self, c: &Carried, after: &Operand, what: &str, span: Span) -> R<T> {
        let (before, now) = (self.type_text(c.val.id), self.type_text(after.val.id));
        let message = format!("{} changes its {what} in the loop", c.name);
        let d = Diagnostic::new(codes::LOOP_CHANGES_TYPE, message)
            .primary(span, format!("{before} before, {now} after one step"));
        self.error(d.help(match what {
            "dtype" => format!("start {} as {now}, or use another name for the new value", c.name),
            _ => format!("give {0} its last shape before the loop, and write its parts: {0}[i] = …", c.name),
        }))
    }

    /// A loop bound: an integer scalar, as i64.
    fn bound(&mut self, e: ExprId) -> R<ValueId> {
        let o = self.tensor(e)?;
        if self.dtype(o.val.id).is_int() && self.rank(o.val.id) == 0 {
            return Ok(self.b.cast(o.val.id, DType::I64));
        }
        let message = format!("a loop bound must be an integer scalar, this is {}", self.type_text(o.val.id));
        let help = match self.rank(o.val.id) {
            0 => "convert it with cast(…, i64)",
            _ => "pick one element of it, or take the size of an axis",
        };
        self.fail(codes::LOOP_BOUND_NOT_INTEGER, message, o.span, help)
    }

    /// A condition: a rank-0 bool.
    fn condition(&mut self, e: ExprId) -> R<ValueId> {
        let o = self.tensor(e)?;
        if self.dtype(o.val.id) == DType::Bool && self.rank(o.val.id) == 0 {
            return Ok(o.val.id);
        }
        let text = self.text(o.span).to_owned();
        let message = format!("a condition must be a scalar bool, this is {}", self.type_text(o.val.id));
        let help = if self.dtype(o.val.id) == DType::Bool {
            format!("write any({text}) or all({text}), or use where for each element")
        } else {
            format!("write {text} != 0")
        };
        self.fail(codes::CONDITION_NOT_SCALAR_BOOL, message, o.span, help)
    }

    /// An `if` as a value.
    pub(crate) fn if_expr(&mut self, i: &If, span: Span) -> R<Value> {
        match self.if_branches(i, span)? {
            Some(v) => Ok(v),
            None => {
                let help = "end each branch with an expression without `;`";
                self.fail(codes::NO_RESULT, "the branches give no value", span, help)
            }
        }
    }

    /// An `if` of any kind: changes variables, and gives a value when all its branches do.
    pub(crate) fn if_branches(&mut self, i: &If, span: Span) -> R<Option<Value>> {
        let blocks: Vec<BlockId> = i.branches.iter().map(|(_, b)| *b).chain(i.otherwise).collect();
        let carried = self.carried(&blocks)?;
        match self.if_chain(i, 0, &carried, span) {
            Ok(v) => Ok(v),
            Err(Reported) => {
                self.poison_carried(&carried)?;
                Err(Reported)
            }
        }
    }

    /// Branch `k` of a chain and, in its else, all behind it.
    fn if_chain(&mut self, i: &If, k: usize, carried: &[Carried], span: Span) -> R<Option<Value>> {
        let Some((cond, block)) = i.branches.get(k) else { return Ok(None) };
        let cond = self.condition(*cond)?;
        self.nested(span, |c| {
            let then = c.branch(carried, c.ast[*block].span, |c| c.scoped(*block));
            let rest = match (k + 1 < i.branches.len(), i.otherwise) {
                (true, _) => c.branch(carried, span, |c| c.if_chain(i, k + 1, carried, span)),
                (false, Some(b)) => c.branch(carried, c.ast[b].span, |c| c.scoped(b)),
                (false, None) => c.branch(carried, span, |_| Ok(None)),
            };
            c.join(cond, then?, rest?, carried, span)
        })
    }

    fn branch(
        &mut self,
        carried: &[Carried],
        span: Span,
        run: impl FnOnce(&mut Self) -> R<Option<Value>>,
    ) -> R<Branch> {
        let mark = self.b.mark();
        let (region, _) = self.b.begin_region(&[]);
        self.conditional += 1;
        let ran = run(self);
        self.conditional -= 1;
        let vals: Option<Vec<Val>> = carried
            .iter()
            .map(|c| match self.frame.vars.get(&c.name) {
                Some(Value::Tensor(v)) => Some(v.clone()),
                Some(Value::Tuple(_) | Value::Poison) | None => None,
            })
            .collect();
        for c in carried {
            self.frame.vars.insert(c.name.clone(), c.val.clone().into());
        }
        match (ran, vals) {
            (Ok(value), Some(vals)) => {
                self.b.end_region(Vec::new());
                Ok(Branch { region, carried: vals, value, span })
            }
            _ => {
                self.b.reset(&mark);
                Err(Reported)
            }
        }
    }

    /// Makes both branches give the same types, and the node over them.
    fn join(
        &mut self,
        cond: ValueId,
        a: Branch,
        b: Branch,
        carried: &[Carried],
        span: Span,
    ) -> R<Option<Value>> {
        let flat = |v: &Option<Value>| match v {
            Some(Value::Tensor(t)) => vec![t.clone()],
            Some(Value::Tuple(ts)) => ts.clone(),
            Some(Value::Poison) | None => Vec::new(),
        };
        let (va, vb) = (flat(&a.value), flat(&b.value));
        // A branch without a value makes the whole a statement.
        let valued = a.value.is_some() && b.value.is_some();
        if valued && va.len() != vb.len() {
            let d =
                Diagnostic::new(codes::BRANCH_TYPES_DIFFER, "the branches give different numbers of values");
            let d = d.primary(b.span, format!("{}", vb.len())).secondary(a.span, format!("{}", va.len()));
            return self.error(d.help("give the same number of values in each branch"));
        }
        let mut pairs: Vec<(Val, Val)> = a.carried.iter().cloned().zip(b.carried.iter().cloned()).collect();
        if valued {
            pairs.extend(va.iter().cloned().zip(vb.iter().cloned()));
        }
        let mut targets = Vec::new();
        for (x, y) in &pairs {
            targets.push(self.branch_type(x, y, a.span, b.span)?);
        }
        self.reopen(&a, &pairs, &targets, |p| &p.0)?;
        self.reopen(&b, &pairs, &targets, |p| &p.1)?;
        let joined: Vec<Carried> = carried
            .iter()
            .zip(&targets)
            .map(|(c, (_, weak))| Carried { name: c.name.clone(), val: Val { weak: *weak, ..c.val.clone() } })
            .collect();
        let before = self.b.set_origin(span);
        let tuple = self.finish_control(Kind::If(a.region, b.region), vec![cond], &joined);
        let mut out = Vec::new();
        for (k, (_, weak)) in targets.iter().enumerate().skip(carried.len()) {
            out.push(Val::with_weak(self.b.proj(tuple, k), *weak));
        }
        self.b.set_origin(before);
        Ok(match (&a.value, out) {
            (Some(Value::Tuple(_)), out) if valued => Some(Value::Tuple(out)),
            (_, mut out) if valued => out.pop().map(Value::Tensor),
            _ => None,
        })
    }

    /// The dtype that both branches give, and whether it is weak; shapes must agree.
    fn branch_type(&mut self, x: &Val, y: &Val, at_x: Span, at_y: Span) -> R<(DType, bool)> {
        let (dx, dy) = (self.dtype(x.id), self.dtype(y.id));
        let dtype = match (x.weak, y.weak) {
            (false, false) if dx == dy => Some(dx),
            (false, false) => None,
            (true, true) => promote(dx, dy).ok(),
            (true, false) => super::params::converts(dx, dy).then_some(dy),
            (false, true) => super::params::converts(dy, dx).then_some(dx),
        };
        let (sx, sy) = (self.shape(x.id), self.shape(y.id));
        let mut fits = dtype.is_some() && sx.len() == sy.len();
        for (p, q) in sx.iter().zip(&sy) {
            fits =
                fits && self.agree(p, q, codes::CALL_SHAPES_DISAGREE, "the branches differ in shape", at_y);
        }
        match dtype.filter(|_| fits) {
            Some(d) => Ok((d, x.weak && y.weak)),
            None => {
                let d = Diagnostic::new(codes::BRANCH_TYPES_DIFFER, "the branches differ in type");
                let d = d.primary(at_y, self.type_text(y.id)).secondary(at_x, self.type_text(x.id));
                self.error(d.help("give both branches one dtype and one shape, with cast or reshape"))
            }
        }
    }

    fn reopen(
        &mut self,
        branch: &Branch,
        pairs: &[(Val, Val)],
        targets: &[(DType, bool)],
        side: impl Fn(&(Val, Val)) -> &Val,
    ) -> R<()> {
        self.b.reopen(branch.region);
        let mut results = Vec::new();
        for (pair, (dtype, _)) in pairs.iter().zip(targets) {
            let o = Operand { val: side(pair).clone(), span: branch.span };
            let id = match self.in_dtype(&o, *dtype) {
                Ok(id) => id,
                Err(Reported) => {
                    self.b.end_region(Vec::new());
                    return Err(Reported);
                }
            };
            let shape = self.shape(pair.0.id);
            results.push(self.retype(id, &shape));
        }
        self.b.end_region(results);
        Ok(())
    }
}
