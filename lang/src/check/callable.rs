//! Functions as arguments: what `grad`, `vmap`, `fold` and their like take, and what the first ones give.

use super::args::{Args, Src};
use super::transform::Transform;
use super::value::{Operand, Value};
use super::{Checker, R, builtins};
use crate::ast::{Arg, ExprId, ExprKind, FnId, Form, Ident, LambdaBody, Name};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::Span;

/// A function that is not called by its name.
#[derive(Clone, Debug)]
pub(crate) struct Callable {
    pub(crate) kind: CallableKind,
    /// Where it stands.
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum CallableKind {
    /// A function of the module.
    User(FnId),
    /// A function of the language.
    Builtin(Ident),
    /// `|x| …`, which sees the variables around it.
    Lambda(ExprId),
    /// An expression or a block that is a whole program, by the names of its parameters.
    Program(Vec<Name>),
    /// Another function, transformed.
    Transformed(Box<Callable>, Transform),
}

/// A parameter of a function.
#[derive(Clone, Debug)]
pub(crate) struct CallParam {
    pub(crate) name: Name,
    pub(crate) optional: bool,
}

impl Checker<'_> {
    /// The function that the first argument of a transform is.
    pub(crate) fn callable_arg(&mut self, args: &Args) -> R<Callable> {
        match args.get("f") {
            Some(Src::Expr(e)) => self.callable(*e),
            Some(Src::Value(_, span)) => self.no_function(*span),
            None => self.bug("a function that was not bound", args.span),
        }
    }

    fn no_function<T>(&mut self, span: Span) -> R<T> {
        let text = self.text(span).to_owned();
        if builtins::takes_function(&text) {
            let message = format!("{text} needs a function itself before it is one");
            return self.fail(codes::EXPECTED_FUNCTION, message, span, format!("write {text}(f)"));
        }
        let message = format!("{text} is a value, not a function");
        let help = format!("give the name of a function, or a lambda: |x| {text}");
        self.fail(codes::EXPECTED_FUNCTION, message, span, help)
    }

    /// The function that an expression names.
    pub(crate) fn callable(&mut self, e: ExprId) -> R<Callable> {
        let ast = self.ast;
        let span = ast[e].span;
        let kind = if let ExprKind::Lambda { .. } = &ast[e].kind {
            CallableKind::Lambda(e)
        } else if let ExprKind::Name(n) = &ast[e].kind {
            match self.fns.get(n) {
                Some(id) => CallableKind::User(*id),
                None if super::is_builtin(n) && !builtins::takes_function(n) => {
                    CallableKind::Builtin(Ident { name: n.clone(), span })
                }
                None => return self.no_function(span),
            }
        } else if let ExprKind::Call { name, args } = &ast[e].kind
            && builtins::makes_function(&name.name)
        {
            let (of, how) = self.transformed(name, args, span)?;
            CallableKind::Transformed(Box::new(of), how)
        } else {
            return self.no_function(span);
        };
        Ok(Callable { kind, span })
    }

    /// The parameters of a function.
    pub(crate) fn params_of(&self, f: &Callable) -> Vec<CallParam> {
        match &f.kind {
            CallableKind::User(id) => {
                let params = self.ast[*id].params.iter();
                params
                    .map(|p| CallParam { name: p.name.name.clone(), optional: p.default.is_some() })
                    .collect()
            }
            CallableKind::Lambda(e) => {
                let ExprKind::Lambda { params, .. } = &self.ast[*e].kind else { return Vec::new() };
                params.iter().map(|p| CallParam { name: p.name.clone(), optional: false }).collect()
            }
            CallableKind::Program(names) => {
                names.iter().map(|n| CallParam { name: n.clone(), optional: false }).collect()
            }
            CallableKind::Builtin(name) => {
                let signature = builtins::find(&name.name).map_or("", |b| b.signature);
                let params = super::args::params(signature);
                params
                    .map(|p| CallParam { name: p.name.into(), optional: p.optional || p.variadic })
                    .collect()
            }
            CallableKind::Transformed(of, Transform::Jvp { moving }) => {
                let mut params = self.params_of(of);
                let tangents = moving.iter().filter_map(|i| params.get(*i)).cloned().collect::<Vec<_>>();
                params.extend(tangents);
                params
            }
            CallableKind::Transformed(of, _) => self.params_of(of),
        }
    }

    /// The function under all transforms.
    fn innermost<'f>(&self, f: &'f Callable) -> &'f Callable {
        let mut f = f;
        while let CallableKind::Transformed(of, _) = &f.kind {
            f = of;
        }
        f
    }

    /// The call of a function that is an expression: `grad(f)(x)`.
    pub(crate) fn call_callable(&mut self, f: &Callable, args: &[Arg], span: Span) -> R<Value> {
        self.check_size(span)?;
        let inner = self.innermost(f).clone();
        let bound = if let CallableKind::User(id) = inner.kind {
            // What is wrong with the arguments is wrong here, and not where the function stands.
            let name = Ident { name: self.text(f.span).into(), span };
            self.bind_user(&self.ast[id], &name, None, args)?
        } else {
            self.bind_callable(&inner, args, span)?
        };
        let before = self.b.set_origin(span);
        let value = self.apply(f, bound, span);
        self.b.set_origin(before);
        value
    }

    /// Arguments of a lambda or a builtin in the order of the parameters.
    fn bind_callable(&mut self, f: &Callable, args: &[Arg], span: Span) -> R<Vec<Option<Operand>>> {
        let params = self.params_of(f);
        let mut slots: Vec<Option<Operand>> = vec![None; params.len()];
        let mut next = 0;
        for a in args {
            let o = self.tensor(a.value)?;
            let place = match &a.name {
                Some(n) => params.iter().position(|p| p.name == n.name),
                None => {
                    next += 1;
                    Some(next - 1)
                }
            };
            match place.and_then(|i| slots.get_mut(i)) {
                Some(slot @ None) => *slot = Some(o),
                Some(Some(_)) => {
                    return self.fail(
                        codes::ARGUMENT_GIVEN_TWICE,
                        "an argument is given twice",
                        o.span,
                        "give it once",
                    );
                }
                None => return self.callable_count(f, &params, o.span),
            }
        }
        if params.iter().zip(&slots).any(|(p, s)| s.is_none() && !p.optional) {
            return self.callable_count(f, &params, span);
        }
        Ok(slots)
    }

    fn callable_count<T>(&mut self, f: &Callable, params: &[CallParam], at: Span) -> R<T> {
        let names: Vec<&str> = params.iter().map(|p| &*p.name).collect();
        let count = super::resolve::counted(params.len(), "argument");
        let d = Diagnostic::new(codes::WRONG_ARGUMENT_COUNT, format!("this function takes {count}"));
        let d = d.primary(at, "").secondary(f.span, "the function");
        self.error(d.help(format!("give it: {}", names.join(", "))))
    }

    /// The value of a function on arguments in the order of its parameters; `None` takes the default.
    pub(crate) fn apply(&mut self, f: &Callable, args: Vec<Option<Operand>>, span: Span) -> R<Value> {
        match &f.kind {
            CallableKind::User(id) => {
                let def = &self.ast[*id];
                self.nested(span, |c| {
                    let outer = std::mem::take(&mut c.frame);
                    let result = c.expand(def, args, span);
                    c.frame = outer;
                    result
                })
            }
            CallableKind::Builtin(name) => {
                let Some(builtin) = builtins::find(&name.name) else {
                    return self.bug("a builtin that is none", span);
                };
                let args = Args::of_values(&name.name, span, builtin.signature, args);
                (builtin.run)(self, &args)
            }
            CallableKind::Lambda(e) => self.nested(span, |c| c.apply_lambda(*e, args, span)),
            CallableKind::Program(names) => self.nested(span, |c| c.apply_program(names, args, span)),
            CallableKind::Transformed(of, how) => {
                self.nested(span, |c| c.apply_transformed(of, how, args, span))
            }
        }
    }

    fn apply_program(&mut self, names: &[Name], args: Vec<Option<Operand>>, span: Span) -> R<Value> {
        let outer = std::mem::take(&mut self.frame);
        for (name, o) in names.iter().zip(args) {
            if let Some(o) = o {
                self.frame.vars.insert(name.clone(), o.val.into());
            }
        }
        let value = match self.form {
            Form::Expr(e) => self.expr(*e),
            Form::Block(b) => self.body(*b, span),
            Form::Module(_) => self.bug("a module as an expression", span),
        };
        self.frame = outer;
        value
    }

    /// What a lambda assigns ends with it.
    fn apply_lambda(&mut self, e: ExprId, args: Vec<Option<Operand>>, span: Span) -> R<Value> {
        let ExprKind::Lambda { params, body } = &self.ast[e].kind else {
            return self.bug("a lambda that is none", span);
        };
        let outer = self.frame.vars.clone();
        for (p, a) in params.iter().zip(args) {
            if let Some(o) = a {
                self.frame.vars.insert(p.name.clone(), o.val.into());
            }
        }
        let value = match body {
            LambdaBody::Expr(e) => self.expr(*e),
            LambdaBody::Block(b) => self.body(*b, self.ast[e].span),
        };
        self.frame.vars = outer;
        value
    }
}
