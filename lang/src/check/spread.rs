//! Lists that are written without their brackets: `zeros(3, 4)`, `concat(a, b)`, `max(a, b)`.
//!
//! NumPy's methods take a shape as several arguments, and people write so in the functions too. Places would make a
//! dtype or an axis of the second one, and say something true that helps nobody.

use super::Checker;
use super::args::ParamSpec;
use super::value::Value;
use crate::ast::{Arg, DTypeExpr, ExprId, ExprKind, Ident, NumberValue};
use crate::codes;
use crate::diag::Diagnostic;

/// Parameters that are one list, and what of.
const LISTS: &[(&str, &str)] = &[("shape", "sizes"), ("axes", "axes"), ("arrays", "arrays")];

/// Reductions of one tensor that other languages also have of two.
const OF_TWO: &[(&str, &str)] = &[("max", "maximum"), ("min", "minimum")];

impl Checker<'_> {
    /// The error about a list that is spread over several arguments.
    pub(super) fn spread(
        &self,
        callee: &Ident,
        specs: &[ParamSpec],
        method: bool,
        args: &[Arg],
    ) -> Option<Diagnostic> {
        let plain: Vec<ExprId> = args.iter().take_while(|a| a.name.is_none()).map(|a| a.value).collect();
        let before = usize::from(method);
        let given = |place: usize| plain.get(place.checked_sub(before)?).copied();
        let place = |name: &str| specs.iter().position(|p| p.name == name);
        if let Some((_, two)) = OF_TWO.iter().find(|(n, _)| *n == &*callee.name)
            && let Some(second) = given(1).filter(|e| self.no_axis(*e, given(0)))
        {
            let message = format!("{} is of the elements of one tensor", callee.name);
            let d = Diagnostic::new(codes::WRONG_ARGUMENT_COUNT, message);
            let d = d.primary(self.ast[second].span, "this would be its axis");
            return Some(d.help(format!("write {two}(x, y) for two tensors")));
        }
        let list = |p: &ParamSpec| LISTS.iter().find(|(n, _)| *n == p.name && !p.variadic);
        let (at, (_, what)) = specs.iter().enumerate().find_map(|(i, p)| Some((i, list(p)?)))?;
        let behind = specs[at + 1..].iter().filter(|p| !p.optional).count();
        let over = plain.len() + before > specs.len();
        let no_dtype = place("dtype").and_then(&given).is_some_and(|e| !self.is_dtype(e));
        let no_axis = place("axis").and_then(&given).is_some_and(|e| self.no_axis(e, None));
        let items = plain.get(at.checked_sub(before)?..plain.len().checked_sub(behind)?)?;
        let [first, .., last] = items else { return None };
        if !(over || no_dtype || no_axis) || specs[at].name != "arrays" && self.is_list(*first) {
            return None;
        }
        let span = self.ast[*first].span.to(self.ast[*last].span);
        let rest = &plain[plain.len() - behind..];
        let front = &plain[..at - before];
        let text = |e: &ExprId| self.text(self.ast[*e].span).to_owned();
        let list = format!("[{}]", self.text(span));
        let all: Vec<String> = front.iter().map(text).chain([list]).chain(rest.iter().map(text)).collect();
        let message = format!("the {what} of {} are one list", callee.name);
        let d = Diagnostic::new(codes::WRONG_ARGUMENT_COUNT, message).primary(span, "");
        let dot = if method { "." } else { "" };
        Some(d.help(format!("write {dot}{}({})", callee.name, all.join(", "))))
    }

    fn is_list(&self, e: ExprId) -> bool {
        matches!(self.ast[e].kind, ExprKind::List(_) | ExprKind::Tuple(_))
    }

    /// Whether it is the name of a dtype, here or elsewhere.
    fn is_dtype(&self, e: ExprId) -> bool {
        if let ExprKind::Name(n) = &self.ast[e].kind {
            return DTypeExpr::meant(n).is_some();
        }
        matches!(self.ast[e].kind, ExprKind::Str(_))
    }

    fn literal(&self, e: ExprId) -> Option<NumberValue> {
        if let ExprKind::Number(n) = self.ast[e].kind { Some(n.value) } else { None }
    }

    /// Whether it is no axis of a tensor: another tensor, a fraction, or an integer beside a number, which has no axes.
    fn no_axis(&self, e: ExprId, tensor: Option<ExprId>) -> bool {
        if let ExprKind::Name(n) = &self.ast[e].kind {
            let Some(Value::Tensor(val)) = self.frame.vars.get(n) else { return false };
            return self.rank(val.id) > 0 || self.dtype(val.id).is_float();
        }
        match self.literal(e) {
            Some(NumberValue::Float(_)) => true,
            Some(NumberValue::Int(_)) => tensor.and_then(|t| self.literal(t)).is_some(),
            None => tensor.is_none() && matches!(self.ast[e].kind, ExprKind::List(_)),
        }
    }
}
