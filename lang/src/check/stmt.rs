//! Blocks and statements.

use super::value::{Operand, Val, Value};
use super::{Checker, R, Reported};
use crate::ast::{AssignOp, BlockId, ExprId, ExprKind, Ident, Name, Pattern, StmtId, StmtKind, TypeExpr};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::Span;

impl Checker<'_> {
    /// The value of a body of a function, a block program or a lambda: its last expression or its `return`.
    pub(crate) fn body(&mut self, block: BlockId, at: Span) -> R<Value> {
        self.frame.scopes.push(Vec::new());
        let value = self.block_value(block);
        self.frame.scopes.pop();
        match value? {
            Some(v) => Ok(v),
            None => {
                let span = self.ast[block].span;
                let last = self.ast[block].stmts.last().map(|s| &self.ast[*s]);
                if let Some(s) = last.filter(|s| matches!(s.kind, StmtKind::Expr(_))) {
                    let d = Diagnostic::new(codes::SEMICOLON_AFTER_VALUE, "`;` throws the result away");
                    let d = d.primary(s.span, "the last value");
                    return self.error(d.help("leave out the `;` behind it"));
                }
                let d = Diagnostic::new(codes::NO_RESULT, "this gives no result").primary(span, "");
                let around = at.start <= span.start && span.end <= at.end;
                let d = if around { d } else { d.secondary(at, "used here") };
                self.error(d.help("end it with an expression without `;`, or with return"))
            }
        }
    }

    /// A block inside a function: names first assigned in it end with it.
    pub(crate) fn scoped(&mut self, block: BlockId) -> R<Option<Value>> {
        self.frame.scopes.push(Vec::new());
        let value = self.block_value(block);
        for name in self.frame.scopes.pop().unwrap_or_default() {
            self.frame.vars.remove(&name);
        }
        value
    }

    /// Runs the statements, going on behind one that is wrong, and gives the value if there is one.
    fn block_value(&mut self, block: BlockId) -> R<Option<Value>> {
        let ast = self.ast;
        let block = &ast[block];
        let mut failed = false;
        let mut returned = None;
        for s in &block.stmts {
            match self.stmt(*s) {
                Ok(None) => {}
                Ok(Some(v)) => returned = Some(v),
                Err(Reported) => failed = true,
            }
        }
        let value = match block.value {
            // At the end of a block an `if` may be a statement as well as a value.
            Some(e) if let ExprKind::If(i) = &ast[e].kind => self.if_branches(i, ast[e].span)?,
            Some(e) => Some(self.expr(e)?),
            None => returned,
        };
        if failed { Err(Reported) } else { Ok(value) }
    }

    /// Runs one statement; a `return` gives its value.
    fn stmt(&mut self, id: StmtId) -> R<Option<Value>> {
        let ast = self.ast;
        let span = ast[id].span;
        self.check_size(span)?;
        match &ast[id].kind {
            StmtKind::Let { pattern, ty, value } => {
                let result = self.let_value(pattern, ty.as_ref(), *value);
                if result.is_err() {
                    self.poison(pattern);
                }
                result?;
            }
            StmtKind::Update { target, indices, op, value, .. } => {
                self.update(target, indices, *op, *value, span)?;
            }
            StmtKind::Compound { target, op, value, .. } => self.compound(target, *op, *value, span)?,
            StmtKind::For { var, start, stop, body } => self.for_loop(var, *start, *stop, *body, span)?,
            StmtKind::While { cond, body } => self.while_loop(*cond, *body, span)?,
            StmtKind::If(i) => {
                self.if_branches(i, span)?;
            }
            StmtKind::Return(es) => return self.returned(es).map(Some),
            StmtKind::Expr(e) => {
                self.expr(*e)?;
            }
        }
        Ok(None)
    }

    fn returned(&mut self, es: &[ExprId]) -> R<Value> {
        match es {
            [one] => self.expr(*one),
            several => {
                let vals: R<Vec<Val>> = several.iter().map(|e| Ok(self.tensor(*e)?.val)).collect();
                Ok(Value::Tuple(vals?))
            }
        }
    }

    fn let_value(&mut self, pattern: &Pattern, ty: Option<&TypeExpr>, value: ExprId) -> R<()> {
        let span = self.ast[value].span;
        let v = self.expr(value)?;
        match (pattern, v) {
            (_, Value::Poison) => Err(Reported),
            (Pattern::One(name), v) => {
                let v = match ty {
                    Some(ty) => {
                        let o = self.one(v, span)?;
                        self.of_type(ty, o, span, &name.name)?.into()
                    }
                    None => v,
                };
                self.assign(&name.name, v);
                Ok(())
            }
            (Pattern::Tuple(names, _), Value::Tuple(vals)) if vals.len() == names.len() => {
                for (name, val) in names.iter().zip(vals) {
                    self.assign(&name.name, val.into());
                }
                Ok(())
            }
            (Pattern::Tuple(names, at), other) => {
                let count = match &other {
                    Value::Tuple(vs) => format!("{} values", vs.len()),
                    Value::Tensor(_) | Value::Poison => "one value".to_owned(),
                };
                let message = format!("{} names for {count}", names.len());
                let d = Diagnostic::new(codes::TUPLE_COUNT, message).primary(*at, "").secondary(span, count);
                self.error(d.help("write one name for each value"))
            }
        }
    }

    fn poison(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::One(n) => self.assign(&n.name, Value::Poison),
            Pattern::Tuple(ns, _) => ns.iter().for_each(|n| self.assign(&n.name, Value::Poison)),
        }
    }

    /// Binds a name: the first assignment declares it in the innermost block.
    pub(crate) fn assign(&mut self, name: &Name, value: Value) {
        if self.frame.vars.insert(name.clone(), value).is_none()
            && let Some(scope) = self.frame.scopes.last_mut()
        {
            scope.push(name.clone());
        }
    }

    fn compound(&mut self, target: &Ident, op: AssignOp, value: ExprId, span: Span) -> R<()> {
        let new = self.tensor(value)?;
        let old = self.target(target)?;
        let val = match op.binary() {
            Some(op) => self.binary(op, old, new, span)?,
            None => new.val,
        };
        self.assign(&target.name, val.into());
        Ok(())
    }

    /// The present value of a variable that an assignment changes.
    pub(crate) fn target(&mut self, target: &Ident) -> R<Operand> {
        match self.frame.vars.get(&target.name).cloned() {
            Some(v) => self.one(v, target.span),
            None if self.frame.sizes.contains_key(&target.name)
                || super::resolve::CONSTANTS.contains(&&*target.name) =>
            {
                let message = format!("{} is no variable", target.name);
                let help = format!("assign another name first: x = {}; and change that one", target.name);
                self.fail(codes::UPDATE_NEEDS_VARIABLE, message, target.span, help)
            }
            None => {
                let message = format!("{} has no value to change", target.name);
                let help = format!("assign it first: {} = zeros(…);", target.name);
                self.fail(codes::UNASSIGNED_VARIABLE, message, target.span, help)
            }
        }
    }
}
