//! Statements of Rust, in the language.

use super::expr::{Translator, Variable};
use super::kind::Kind;
use super::signature::language_type;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{BinOp, Block, Expr, ExprAssign, ExprBinary, ExprForLoop, ExprIf, Local, Pat, RangeLimits, Stmt};

impl Translator<'_> {
    /// The body of a function.
    pub(super) fn body(&mut self, block: &Block) {
        self.block(block, true);
        self.text.push("\n", block.span());
    }

    /// A block. Only that of a function may give several values.
    fn block(&mut self, block: &Block, whole: bool) -> Kind {
        let outer = self.names.clone();
        self.depth += 1;
        self.text.push("{ ", block.brace_token.span.open());
        let mut kind = Kind::Unknown;
        for (i, stmt) in block.stmts.iter().enumerate() {
            let last = i + 1 == block.stmts.len();
            kind = self.stmt(stmt, last, whole);
        }
        self.text.push(" }", block.brace_token.span.close());
        self.depth -= 1;
        self.names = outer;
        kind
    }

    fn stmt(&mut self, stmt: &Stmt, last: bool, whole: bool) -> Kind {
        match stmt {
            Stmt::Local(local) => self.local(local),
            Stmt::Expr(Expr::Tuple(t), None) if last && whole => {
                self.text.push("return ", t.span());
                self.list(&t.elems);
            }
            Stmt::Expr(Expr::Return(r), _) if last && whole => match r.expr.as_deref() {
                Some(Expr::Tuple(t)) => {
                    self.text.push("return ", r.return_token.span());
                    self.list(&t.elems);
                }
                Some(e) => {
                    self.text.push("return ", r.return_token.span());
                    self.expr(e);
                }
                None => {
                    self.refuse(r, "a compiled function has a result");
                }
            },
            Stmt::Expr(expr, None) if last => return self.tail(expr),
            Stmt::Expr(expr, _) => self.effect(expr),
            Stmt::Item(item) => {
                self.refuse(item, "items stand outside of a compiled function");
            }
            Stmt::Macro(m) => {
                self.refuse(m, "a compiled function computes and does nothing else: no macros");
            }
        }
        Kind::Unknown
    }

    /// The last expression of a block, its value; a loop has none.
    fn tail(&mut self, expr: &Expr) -> Kind {
        if matches!(expr, Expr::ForLoop(_) | Expr::While(_) | Expr::Assign(_)) {
            self.effect(expr);
            return Kind::Unknown;
        }
        self.expr(expr)
    }

    fn local(&mut self, local: &Local) {
        let (pat, annotated) = match &local.pat {
            Pat::Type(typed) => (&*typed.pat, Some(&*typed.ty)),
            other => (other, None),
        };
        let Some(init) = local.init.as_ref().filter(|i| i.diverge.is_none()) else {
            self.refuse(local, "a variable has a value from the start: write `let x = …;`");
            return;
        };
        let names: Vec<_> = match pat {
            Pat::Tuple(t) => t.elems.iter().collect(),
            one => vec![one],
        };
        let tuple = matches!(pat, Pat::Tuple(_));
        self.text.push(if tuple { "let (" } else { "let " }, local.let_token.span());
        let mut fresh = Vec::new();
        for (i, name) in names.into_iter().enumerate() {
            let Pat::Ident(ident) = name else {
                self.refuse(name, "a variable is a name");
                return;
            };
            let comma = if i == 0 { "" } else { ", " };
            let variable = self.fresh(&ident.ident);
            self.text.push(&format!("{comma}{}", variable.name), ident.ident.span());
            fresh.push((ident.ident.to_string(), variable));
        }
        self.text.push(if tuple { ")" } else { "" }, local.let_token.span());
        match annotated.map(language_type) {
            Some(Ok((ty, _))) => self.text.push(&format!(": {ty}"), annotated.span()),
            Some(Err(error)) => self.errors.push(error),
            None => {}
        }
        self.text.push(" = ", local.let_token.span());
        let kind = self.expr(&init.expr);
        self.text.push("; ", local.semi_token.span());
        for (name, variable) in fresh {
            let kind = if tuple { Kind::Unknown } else { kind };
            self.names.insert(name, Variable { kind, ..variable });
        }
    }

    /// A variable for a `let` or a counter. Rust hides the variable of that name outside of the block, and the language
    /// would change it: it gets a name of its own.
    fn fresh(&mut self, ident: &syn::Ident) -> Variable {
        let (name, depth) = (ident.to_string(), self.depth);
        let hides = self.names.get(&name).filter(|v| v.depth < depth);
        self.count += usize::from(hides.is_some());
        let own = if hides.is_some() { format!("{name}_{}_{}", depth, self.count) } else { name };
        Variable { name: own, kind: Kind::Unknown, depth }
    }

    /// An expression for what it changes.
    fn effect(&mut self, expr: &Expr) {
        match expr {
            Expr::Assign(e) => self.assign(e),
            Expr::Binary(e) if update(&e.op).is_some() => self.update(e),
            Expr::ForLoop(e) => self.for_loop(e),
            Expr::While(e) => {
                self.text.push("while ", e.while_token.span());
                self.expr(&e.cond);
                self.text.push(" ", e.while_token.span());
                self.block(&e.body, false);
                self.text.push(" ", e.while_token.span());
            }
            Expr::If(e) => {
                self.branch(e);
                self.text.push(" ", e.if_token.span());
            }
            other => {
                self.refuse(other, "this statement changes nothing that is returned");
            }
        }
    }

    fn assign(&mut self, e: &ExprAssign) {
        let kind = self.place(&e.left);
        self.text.push(" = ", e.eq_token.span());
        let value = self.expr(&e.right);
        self.text.push("; ", e.eq_token.span());
        if let (Kind::Unknown, Expr::Path(p)) = (kind, &*e.left) {
            let name = p.to_token_stream().to_string();
            self.names.entry(name).and_modify(|v| v.kind = value);
        }
    }

    fn update(&mut self, e: &ExprBinary) {
        let kind = self.place(&e.left);
        let op = update(&e.op).unwrap_or_default();
        self.text.push(&format!(" {op} "), e.op.span());
        let value = self.expr(&e.right);
        self.text.push("; ", e.op.span());
        if op == "/=" && kind == Kind::Int && value == Kind::Int {
            self.refuse(&e.op, "integers divide to integers in Rust and to floats in the language: write `a.floor_divide(b)`");
        }
    }

    /// What is assigned to: a name, or elements of one.
    fn place(&mut self, place: &Expr) -> Kind {
        if let Expr::Index(i) = place {
            if matches!(&*i.expr, Expr::Path(_)) {
                let kind = self.expr(&i.expr);
                self.indices(&i.index);
                return kind;
            }
            return self.refuse(place, "write `x[i] = …` for a variable `x`");
        }
        let target = if let Expr::Unary(u) = place { &u.expr } else { place };
        if matches!(target, Expr::Path(_)) {
            return self.expr(target);
        }
        self.refuse(place, "only variables and their elements are assigned to")
    }

    fn for_loop(&mut self, e: &ExprForLoop) {
        let range = if let Expr::Range(r) = &*e.expr { Some(r) } else { None };
        let bounds = range.and_then(|r| Some((r.start.as_deref()?, r.end.as_deref()?, &r.limits)));
        let (Pat::Ident(counter), Some((start, end, RangeLimits::HalfOpen(_)))) = (&*e.pat, bounds) else {
            self.refuse(&e.expr, "a loop counts: `for i in a..b`");
            return;
        };
        let outer = self.names.clone();
        self.depth += 1;
        let variable = Variable { kind: Kind::Int, ..self.fresh(&counter.ident) };
        self.text.push(&format!("for {} in ", variable.name), counter.ident.span());
        self.expr(start);
        self.text.push("..", e.expr.span());
        self.expr(end);
        self.text.push(" ", e.expr.span());
        self.names.insert(counter.ident.to_string(), variable);
        self.block(&e.body, false);
        self.text.push(" ", e.expr.span());
        self.depth -= 1;
        self.names = outer;
    }

    pub(super) fn branch(&mut self, e: &ExprIf) -> Kind {
        self.text.push("if ", e.if_token.span());
        if let Expr::Let(pattern) = &*e.cond {
            self.refuse(pattern, "a condition is a truth value");
        }
        self.expr(&e.cond);
        self.text.push(" ", e.if_token.span());
        let kind = self.block(&e.then_branch, false);
        let Some((token, no)) = &e.else_branch else { return kind };
        self.text.push(" else ", token.span());
        let other = match &**no {
            Expr::If(next) => self.branch(next),
            Expr::Block(b) => self.block(&b.block, false),
            odd => self.refuse(odd, "a branch is a block"),
        };
        kind.with(other)
    }
}

fn update(op: &BinOp) -> Option<&'static str> {
    Some(match op {
        BinOp::AddAssign(_) => "+=",
        BinOp::SubAssign(_) => "-=",
        BinOp::MulAssign(_) => "*=",
        BinOp::DivAssign(_) => "/=",
        _ => return None,
    })
}
