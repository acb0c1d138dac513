//! Calls: of user functions, which are expanded where they stand, and of builtins.

use super::spellings::unknown_function;
use super::value::{Operand, Value};
use super::{Checker, Frame, R, builtins};
use crate::ast::{Arg, FnDef, FnId, Ident};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::Span;

impl Checker<'_> {
    /// The value of a call; a method call has its receiver as the first argument.
    pub(crate) fn call(
        &mut self,
        name: &Ident,
        receiver: Option<(Value, Span)>,
        args: &[Arg],
        span: Span,
    ) -> R<Value> {
        self.check_size(span)?;
        if let Some(id) = self.fns.get(&name.name).copied() {
            return self.call_user(id, name, receiver, args, span);
        }
        let Some(builtin) = builtins::find(&name.name) else {
            return self.error(unknown_function(name, self.fns.keys().map(|n| &**n)));
        };
        let args = self.bind_args(name, builtin.signature, receiver, args, span)?;
        let before = self.b.set_origin(span);
        let value = (builtin.run)(self, &args);
        self.b.set_origin(before);
        value
    }

    fn call_user(
        &mut self,
        id: FnId,
        name: &Ident,
        receiver: Option<(Value, Span)>,
        args: &[Arg],
        span: Span,
    ) -> R<Value> {
        let def = &self.ast[id];
        let operands = self.bind_user(def, name, receiver, args)?;
        self.nested(span, |c| {
            let outer = std::mem::take(&mut c.frame);
            let result = c.expand(def, operands, span);
            c.frame = outer;
            result
        })
    }

    /// Arguments in the order of the parameters; `None` where the default holds.
    pub(crate) fn bind_user(
        &mut self,
        def: &FnDef,
        name: &Ident,
        receiver: Option<(Value, Span)>,
        args: &[Arg],
    ) -> R<Vec<Option<Operand>>> {
        let mut slots: Vec<Option<Operand>> = vec![None; def.params.len()];
        let mut next = 0;
        if let Some((v, s)) = receiver {
            let o = self.one(v, s)?;
            match slots.first_mut() {
                Some(slot) => *slot = Some(o),
                None => return self.user_count(def, name, s),
            }
            next = 1;
        }
        for a in args {
            let o = self.tensor(a.value)?;
            let place = match &a.name {
                Some(n) => match def.params.iter().position(|p| p.name.name == n.name) {
                    Some(i) => i,
                    None => return self.user_keyword(def, name, n),
                },
                None => {
                    next += 1;
                    next - 1
                }
            };
            match slots.get_mut(place) {
                Some(slot @ None) => *slot = Some(o),
                Some(Some(_)) => {
                    let message = format!("{} is given twice", def.params[place].name.name);
                    return self.fail(
                        codes::ARGUMENT_GIVEN_TWICE,
                        message,
                        o.span,
                        "give each argument once",
                    );
                }
                None => return self.user_count(def, name, o.span),
            }
        }
        for (slot, p) in slots.iter().zip(&def.params) {
            if slot.is_none() && p.default.is_none() {
                let d =
                    Diagnostic::new(codes::MISSING_ARGUMENT, format!("{} needs {}", name.name, p.name.name));
                let d = d.primary(name.span, "").secondary(p.span, "declared here");
                return self.error(d.help(format!("give it: {}({}=…)", name.name, p.name.name)));
            }
        }
        Ok(slots)
    }

    fn user_count<T>(&mut self, def: &FnDef, name: &Ident, at: Span) -> R<T> {
        let message =
            format!("{} takes {}", name.name, super::resolve::counted(def.params.len(), "argument"));
        let d = Diagnostic::new(codes::WRONG_ARGUMENT_COUNT, message).primary(at, "one too many");
        let d = d.secondary(def.name.span, "declared here");
        self.error(d.help("leave it out, or add a parameter"))
    }

    fn user_keyword<T>(&mut self, def: &FnDef, name: &Ident, keyword: &Ident) -> R<T> {
        let message = format!("{} has no parameter {}", name.name, keyword.name);
        let d = Diagnostic::new(codes::UNKNOWN_ARGUMENT, message).primary(keyword.span, "");
        let near = super::resolve::closest(&keyword.name, def.params.iter().map(|p| &*p.name.name));
        let all: Vec<&str> = def.params.iter().map(|p| &*p.name.name).collect();
        let d = d.secondary(def.name.span, "declared here");
        self.error(match near {
            Some(n) => d.help(format!("did you mean {n}=?")),
            None => d.help(format!("it has: {}", all.join(", "))),
        })
    }

    /// The body of a function on arguments, in a frame of its own.
    pub(crate) fn expand(&mut self, def: &FnDef, operands: Vec<Option<Operand>>, span: Span) -> R<Value> {
        self.frame = Frame::default();
        let mut strong_first: Vec<usize> = (0..operands.len()).collect();
        // A dtype class is fixed by a value that has a dtype, before a literal takes it.
        strong_first.sort_by_key(|i| operands[*i].as_ref().is_none_or(|o| o.val.weak));
        let mut vals = vec![None; operands.len()];
        for i in strong_first {
            let p = &def.params[i];
            vals[i] = Some(match (&operands[i], &p.ty) {
                (Some(o), Some(ty)) => {
                    self.of_type(ty, o.clone(), o.span, &format!("argument {}", p.name.name))?
                }
                (Some(o), None) => o.val.clone(),
                (None, _) => self.default_value(p)?,
            });
        }
        for (p, val) in def.params.iter().zip(vals) {
            if let Some(val) = val {
                self.frame.vars.insert(p.name.name.clone(), val.into());
            }
        }
        let value = self.body(def.body, span)?;
        self.declared_result(def, value)
    }
}
