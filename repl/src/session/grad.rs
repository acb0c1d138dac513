//! `:grad`: derivatives of an expression, or what the gradient of a function looks like.

use super::commands::refuse;
use super::print as show;
use super::state::{Ready, Session, relocate};
use crate::commands::print;
use crate::failure::Failure;
use matex::{Function, ParamSig, Stage};

/// `:grad F|EXPR`
pub(super) fn run(session: &mut Session, rest: &str) -> Result<(), Failure> {
    if session.functions.iter().any(|(name, _)| name == rest) {
        return function(session, rest);
    }
    let (ready, text) = session.expression(rest)?;
    let floats: Vec<&str> =
        ready.values.iter().filter(|(_, t)| t.dtype().is_float()).map(|(n, _)| n.as_str()).collect();
    if floats.is_empty() {
        let help = "give a variable a float first, as in x = 1.5";
        return Err(refuse("the expression names no variable that is a float", help));
    }
    for name in floats {
        let gradient = Ready {
            function: ready.function.grad(name).map_err(|e| relocate(&e, &text, ready.offset))?,
            source: ready.source.clone(),
            values: ready.values.clone(),
            offset: ready.offset,
        };
        let outputs = session.results(&gradient, &text)?;
        print(&format!("by {name}: {}", show::results(&outputs, session.line)))?;
    }
    Ok(())
}

/// The optimized tensor IR of a function's gradient by its first parameter that can be a float.
fn function(session: &Session, name: &str) -> Result<(), Failure> {
    let source: String = session.functions.iter().map(|(_, source)| format!("{source}\n")).collect();
    let f: Function = session.settings.compiler()?.entry(name).compile(&source)?;
    let float = |p: &&ParamSig| p.ty.as_ref().is_none_or(|t| t.dtypes.typical().is_float());
    let Some(first) = f.signature().params.iter().find(float).map(|p| p.name.clone()) else {
        return Err(refuse(&format!("no parameter of {name} is a float"), "derivatives are taken by floats"));
    };
    print(&f.grad(&first)?.dump(Stage::Optimized)?)
}
