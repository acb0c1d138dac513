//! Functions that call themselves, directly or through others: each cycle is told once, with all its calls.

use crate::ast::{Ast, FnId};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::Span;
use std::collections::{HashMap, HashSet};

/// For each function the functions that it calls, and where.
pub(super) type Calls = HashMap<FnId, Vec<(FnId, Span)>>;

/// The errors about functions that reach themselves.
pub(super) fn cycles(ast: &Ast, ids: &[FnId], calls: &Calls) -> Vec<Diagnostic> {
    let (mut told, mut errors) = (HashSet::new(), Vec::new());
    for id in ids {
        if told.contains(id) {
            continue;
        }
        if let Some(way) = way_back(*id, calls) {
            told.extend(way.iter().map(|(callee, _)| *callee));
            errors.push(cycle(ast, *id, &way));
        }
    }
    errors
}

/// The calls that lead from a function back to itself, the fewest there are.
fn way_back(id: FnId, calls: &Calls) -> Option<Vec<(FnId, Span)>> {
    let mut reached: HashMap<FnId, (FnId, Span)> = HashMap::new();
    let mut open = vec![id];
    while !open.is_empty() && !reached.contains_key(&id) {
        let mut next = Vec::new();
        for caller in open {
            for (callee, span) in calls.get(&caller).into_iter().flatten() {
                if !reached.contains_key(callee) {
                    reached.insert(*callee, (caller, *span));
                    next.push(*callee);
                }
            }
        }
        open = next;
    }
    let (mut way, mut at) = (Vec::new(), id);
    loop {
        let (caller, span) = *reached.get(&at)?;
        way.push((at, span));
        at = caller;
        if at == id {
            way.reverse();
            return Some(way);
        }
    }
}

fn cycle(ast: &Ast, id: FnId, way: &[(FnId, Span)]) -> Diagnostic {
    let name = |id: FnId| &*ast[id].name.name;
    let through: Vec<&str> = way.iter().map(|(callee, _)| name(*callee)).filter(|n| *n != name(id)).collect();
    let message = if through.is_empty() {
        format!("{} calls itself", name(id))
    } else {
        format!("{} calls itself, through {}", name(id), through.join(" and "))
    };
    let mut d = Diagnostic::new(codes::RECURSION, message).primary(ast[id].name.span, "");
    for (callee, span) in way {
        d = d.secondary(*span, format!("calls {}", name(*callee)));
    }
    d.help("write it as a loop: for i in 0..n { … } or while c { … }")
}
