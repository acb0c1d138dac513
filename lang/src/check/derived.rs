//! A program whose entry is transformed from outside: what `f.grad("w")` of the library compiles.

use super::callable::{Callable, CallableKind};
use super::resolve::Entry;
use super::transform::Transform;
use super::value::{Operand, Val, Value};
use super::{Checker, Given, R};
use crate::ast::Ident;
use crate::unit::{Derived, Step};
use matex_ir::Span;
use matex_ir::tensor::{Builder, Param, TensorType, ValueId};
use matex_ir::transform::Keep;

impl Checker<'_> {
    /// The value of the transformed entry on parameters that take what their arguments are; the types that the entry
    /// declares are checked when it is called with them.
    pub(crate) fn derived_entry(&mut self, entry: &Entry, given: &Given<'_>, at: Span) -> R<Value> {
        let mut f = match entry {
            Entry::Function(id) => Callable { kind: CallableKind::User(*id), span: self.ast[*id].name.span },
            Entry::Free(names) => {
                let names = names.iter().map(|(n, _)| n.clone()).collect();
                Callable { kind: CallableKind::Program(names), span: at }
            }
        };
        for d in given.derived {
            let how = transform_of(d, at);
            let span = f.span;
            f = Callable { kind: CallableKind::Transformed(Box::new(f), how), span };
        }
        let mut params = Vec::new();
        let mut args = Vec::new();
        for (i, (name, spec)) in given.names.iter().zip(given.args).enumerate() {
            args.push(spec.as_ref().map(|spec| {
                let name = if is_positional(name) { format!("arg{name}") } else { (*name).to_owned() };
                let shape = self.open_shape(i, &name, spec);
                let id = ValueId(params.len() as u32);
                let dims = super::params::int_dims(&name, spec.dtype, shape.len());
                params.push(Param { name, ty: TensorType::new(spec.dtype, shape) });
                Operand { val: Val { id, weak: spec.weak, dims }, span: at }
            }));
        }
        self.b = Builder::new(given.name, params);
        let span = f.span;
        self.apply(&f, args, span)
    }
}

fn transform_of(step: &Step, at: Span) -> Transform {
    // Positional parameters have a mark inside of the program.
    let mark = |n: &String| if is_positional(n) { format!("${n}") } else { n.clone() };
    let idents = |names: &[String]| names.iter().map(|n| Ident { name: mark(n).into(), span: at }).collect();
    match &step.how {
        Derived::Grad { wrt, value, recompute } => {
            let keep = if *recompute { Keep::Some } else { Keep::All };
            Transform::Grad { wrt: idents(wrt), value: *value, keep }
        }
        Derived::Jacobian { wrt } => Transform::Jacobian { wrt: idents(wrt) },
        Derived::Hessian { wrt } => Transform::Hessian { wrt: idents(wrt) },
        Derived::Jvp => Transform::Jvp { moving: step.moving.clone() },
        Derived::Vmap { axes } => {
            let axes = axes.iter().map(|a| a.map(|a| i64::try_from(a).unwrap_or(i64::MAX))).collect();
            Transform::Vmap { axes: Some(axes), span: at }
        }
    }
}

fn is_positional(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit())
}
