//! One index of an index expression, worked out against one axis.

use super::dims::user_text;
use super::value::Operand;
use super::{Checker, R};
use crate::ast::{ExprId, Index, IndexKind};
use crate::codes;
use matex_ir::tensor::{Guard, SliceAxis};
use matex_ir::{DType, Dim, Span};

/// What an index does to an axis.
#[derive(Clone, Debug)]
pub(crate) enum Cut {
    /// A slice; the axis stays when `drop` is false.
    Slice { axis: SliceAxis, len: Dim, drop: bool },
    /// An integer that is known only when the program runs: drops the axis.
    Dynamic(Operand),
    /// An integer array: its axes take the place of the axis.
    Array(Operand),
    /// A new axis of extent 1.
    New,
}

impl Checker<'_> {
    /// The cuts of all indices, and the conditions under which they hold: none outside of branches and loops, where
    /// they are guards of the call.
    pub(crate) fn cuts_here(
        &mut self,
        shape: &[Dim],
        base: Span,
        indices: &[Index],
        type_text: &str,
    ) -> R<(Vec<Cut>, Vec<Guard>)> {
        let here = (self.conditional > 0).then(Vec::new);
        let outer = std::mem::replace(&mut self.deferred, here);
        let cuts = self.cuts(shape, base, indices, type_text);
        let conditions = std::mem::replace(&mut self.deferred, outer).unwrap_or_default();
        Ok((cuts?, conditions))
    }

    /// The cuts of all indices, `...` filled up; each but [`Cut::New`] stands for the next axis.
    fn cuts(&mut self, shape: &[Dim], base: Span, indices: &[Index], type_text: &str) -> R<Vec<Cut>> {
        let is = |i: &Index, wanted: fn(&IndexKind) -> bool| wanted(&i.kind);
        let ellipses: Vec<&Index> =
            indices.iter().filter(|i| is(i, |k| matches!(k, IndexKind::Ellipsis))).collect();
        if let [_, second, ..] = ellipses.as_slice() {
            return self.fail(codes::TWO_ELLIPSES, "two ... in one index", second.span, "leave one out");
        }
        let used = indices
            .iter()
            .filter(|i| is(i, |k| matches!(k, IndexKind::At(_) | IndexKind::Slice { .. })))
            .count();
        if used > shape.len() {
            let message = match (used, shape.len()) {
                (1, 0) => "an index of a scalar".to_owned(),
                (_, 1) => format!("{used} indices for one axis"),
                (_, axes) => format!("{used} indices for {axes} axes"),
            };
            let code = if shape.is_empty() { codes::INDEX_A_SCALAR } else { codes::TOO_MANY_INDICES };
            let d = crate::diag::Diagnostic::new(code, message)
                .primary(indices[indices.len() - 1].span, "")
                .secondary(base, type_text.to_owned());
            return self.error(d.help(match shape.len() {
                0 => "a scalar is not indexed".to_owned(),
                n => format!("use at most {n}"),
            }));
        }
        let missing = shape.len() - used;
        let mut cuts = Vec::new();
        let mut axis = 0;
        for i in indices {
            match &i.kind {
                IndexKind::NewAxis => cuts.push(Cut::New),
                IndexKind::Ellipsis => {
                    for d in &shape[axis..axis + missing] {
                        cuts.push(whole(d));
                    }
                    axis += missing;
                }
                IndexKind::At(e) => {
                    cuts.push(self.at(*e, &shape[axis])?);
                    axis += 1;
                }
                IndexKind::Slice { start, stop, step, .. } => {
                    cuts.push(self.slice(*start, *stop, *step, &shape[axis])?);
                    axis += 1;
                }
            }
        }
        cuts.extend(shape[axis..].iter().map(whole));
        Ok(cuts)
    }

    fn at(&mut self, e: ExprId, extent: &Dim) -> R<Cut> {
        let o = self.tensor(e)?;
        let (dtype, rank) = (self.dtype(o.val.id), self.rank(o.val.id));
        if dtype == DType::Bool {
            let text = self.text(o.span).to_owned();
            let help =
                format!("write where({text}, x, 0) to mask, since the number of true elements is data");
            return self.fail(codes::BOOL_INDEX, "a bool array cannot be an index", o.span, help);
        }
        if !dtype.is_int() {
            let message = format!("an index must be an integer, this is {}", self.type_text(o.val.id));
            let help = whole_number(o.val.weak);
            return self.fail(codes::INDEX_NOT_INTEGER, message, o.span, help);
        }
        if rank > 0 {
            return Ok(Cut::Array(o));
        }
        let known = o.val.dims.as_ref().and_then(|d| d.first()).map(|d| self.resolve(d));
        match known {
            Some(d) if d.as_const().is_some() || d.is_nonnegative() => self.known_index(&d, extent, o.span),
            // Whether it counts from the end is seen when the program runs.
            _ => Ok(Cut::Dynamic(o)),
        }
    }

    fn known_index(&mut self, index: &Dim, extent: &Dim, span: Span) -> R<Cut> {
        let negative = index.as_const().is_some_and(|v| v < 0);
        let start = if negative { extent + index } else { index.clone() };
        // The guard compares a number of elements with the extent, which reads well in either direction.
        let needed = if negative { -index } else { index + &Dim::ONE };
        let message = format!("index {} is out of range", user_text(index));
        let inside = self.at_most(&needed, extent, codes::INDEX_OUT_OF_RANGE, &message, span);
        if !inside {
            let text =
                format!("index {} is out of range for an axis of {}", user_text(index), user_text(extent));
            let help = match extent.as_const() {
                Some(0) => "the axis is empty".to_owned(),
                Some(n) => format!("use 0 to {}, or -{n} to -1 from the end", n - 1),
                None => "use an index below the extent".to_owned(),
            };
            return self.fail(codes::INDEX_OUT_OF_RANGE, text, span, help);
        }
        Ok(Cut::Slice { axis: SliceAxis { start, step: 1 }, len: Dim::ONE, drop: true })
    }

    fn slice(
        &mut self,
        start: Option<ExprId>,
        stop: Option<ExprId>,
        step: Option<ExprId>,
        extent: &Dim,
    ) -> R<Cut> {
        let step = match step {
            Some(e) => self.step_size(e)?,
            None => 1,
        };
        let from = start.map(|e| self.slice_bound(e, extent, step)).transpose()?;
        let to = stop.map(|e| self.slice_bound(e, extent, step)).transpose()?;
        let end = extent - &Dim::ONE;
        let (start, span_len) = if step > 0 {
            let start = from.clone().unwrap_or(Dim::ZERO);
            let len = &to.clone().unwrap_or_else(|| extent.clone()) - &start;
            (start, len)
        } else {
            let start = from.clone().unwrap_or(end);
            let len = &start - &to.clone().unwrap_or(Dim::constant(-1));
            (start, len)
        };
        // With one bound left out, the other one's guard says that the length is not negative.
        let certain = from.is_none() || to.is_none();
        let len = if certain { span_len } else { span_len.larger(&Dim::ZERO) };
        let len = len.ceil_div(i64::try_from(step.unsigned_abs()).unwrap_or(i64::MAX));
        Ok(Cut::Slice {
            axis: SliceAxis { start: self.resolve(&start), step },
            len: self.resolve(&len),
            drop: false,
        })
    }

    fn step_size(&mut self, e: ExprId) -> R<i64> {
        let o = self.tensor(e)?;
        match o.val.dims.as_ref().and_then(|d| d.first()).and_then(Dim::as_const) {
            Some(0) => {
                self.fail(codes::ZERO_STEP, "a step cannot be 0", o.span, "use 1, or -1 to run backwards")
            }
            Some(s) if s.checked_abs().is_some() => Ok(s),
            _ => {
                let message = "a step must be an integer that is known when the program is compiled";
                self.fail(codes::NOT_A_CONSTANT_ARGUMENT, message, o.span, "write the step as a number")
            }
        }
    }

    /// A bound of a slice as a place: 0 to the extent, or -1 to extent - 1 when the slice runs backwards.
    fn slice_bound(&mut self, e: ExprId, extent: &Dim, step: i64) -> R<Dim> {
        let o = self.tensor(e)?;
        if !self.dtype(o.val.id).is_int() || self.rank(o.val.id) > 0 {
            let message = format!("a slice bound must be an integer, this is {}", self.type_text(o.val.id));
            let help = whole_number(o.val.weak);
            return self.fail(codes::INDEX_NOT_INTEGER, message, o.span, help);
        }
        let Some(given) = o.val.dims.as_ref().and_then(|d| d.first()).map(|d| self.resolve(d)) else {
            let help = "the length of a slice must not depend on data; take(x, i + arange(k), axis=0) moves a window";
            let message = "a slice bound cannot depend on computed data";
            return self.fail(codes::SLICE_BOUND_DEPENDS_ON_DATA, message, o.span, help);
        };
        let mut has_int = false;
        given.visit_names(&mut |a| has_int |= matches!(a, matex_ir::Atom::Int(_)));
        let place = match given.as_const() {
            Some(v) if v < 0 => extent + &given,
            Some(_) => given.clone(),
            // An integer parameter may be negative: floordiv by 2^62 is -1 then and else 0.
            None if has_int && !given.is_nonnegative() => {
                let negative = given.floor_div(&Dim::constant(1 << 62));
                &given - &(extent * &negative)
            }
            None => given.clone(),
        };
        let message = format!("the slice bound {} is out of range", user_text(&given));
        let top = if step > 0 { extent.clone() } else { extent - &Dim::ONE };
        let low = self.at_most(&Dim::ZERO, &place, codes::SLICE_OUT_OF_RANGE, &message, o.span);
        if !low || !self.at_most(&place, &top, codes::SLICE_OUT_OF_RANGE, &message, o.span) {
            let text = format!("{} is out of range for an axis of {}", user_text(&given), user_text(extent));
            let help = format!("bounds run from 0 to {}, and are never clamped", user_text(&top));
            return self.fail(codes::SLICE_OUT_OF_RANGE, text, o.span, help);
        }
        Ok(place)
    }
}

/// How to come to an integer, from a literal and from data.
fn whole_number(literal: bool) -> &'static str {
    if literal { "write a whole number" } else { "convert it with cast(…, i64)" }
}

fn whole(extent: &Dim) -> Cut {
    Cut::Slice { axis: SliceAxis { start: Dim::ZERO, step: 1 }, len: extent.clone(), drop: false }
}
