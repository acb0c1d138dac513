//! Index expressions: slices and known integers first, as one slice and a reshape, then what needs the data.

use super::slice::Cut;
use super::value::{Operand, Val, Value};
use super::{Checker, R};
use crate::ast::Index;
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{SliceAxis, ValueId};
use matex_ir::{DType, Dim, Span};

impl Checker<'_> {
    /// The value of `base[…]`.
    pub(crate) fn index(&mut self, base: Value, base_span: Span, indices: &[Index], span: Span) -> R<Value> {
        if let Value::Tuple(vals) = base {
            return self.tuple_index(&vals, base_span, indices, span);
        }
        let x = self.one(base, base_span)?;
        if let Some(v) = self.known_element(&x.val, indices) {
            return Ok(v.into());
        }
        let shape = self.shape(x.val.id);
        let text = self.type_text(x.val.id);
        let (cuts, conditions) = self.cuts_here(&shape, base_span, indices, &text)?;
        let checked = self.under(x.val.id, conditions);
        let id = self.read(checked, &cuts)?;
        Ok(Val::with_weak(id, x.val.weak).into())
    }

    /// An element of a vector of sizes, as in `shape(x)[0]`, stays known.
    fn known_element(&mut self, x: &Val, indices: &[Index]) -> Option<Val> {
        let dims = x.dims.as_ref().filter(|_| self.rank(x.id) == 1)?;
        let [Index { kind: crate::ast::IndexKind::At(e), .. }] = indices else { return None };
        let crate::ast::ExprKind::Number(n) = &self.ast[*e].kind else { return None };
        let crate::ast::NumberValue::Int(k) = n.value else { return None };
        let d = dims.get(usize::try_from(k).ok()?)?.clone();
        Some(Val { weak: x.weak, ..self.size_value(d) })
    }

    fn tuple_index(&mut self, vals: &[Val], base: Span, indices: &[Index], span: Span) -> R<Value> {
        let known = match indices {
            [Index { kind: crate::ast::IndexKind::At(e), .. }] => {
                let o = self.tensor(*e)?;
                o.val.dims.as_ref().and_then(|d| d.first()).and_then(Dim::as_const)
            }
            _ => None,
        };
        match known.and_then(|k| usize::try_from(k).ok()).and_then(|k| vals.get(k)) {
            Some(v) => Ok(v.clone().into()),
            None => {
                let d = Diagnostic::new(codes::TUPLE_INDEX, format!("there are {} results", vals.len()));
                let at = indices.first().map_or(span, |i| i.span);
                let d = d.primary(at, "").secondary(base, "several results");
                self.error(
                    d.help(format!("index them with a literal from 0 to {}", vals.len().saturating_sub(1))),
                )
            }
        }
    }

    /// The part of a value that cuts pick.
    pub(crate) fn read(&mut self, x: ValueId, cuts: &[Cut]) -> R<ValueId> {
        self.one_array(cuts)?;
        let shape = self.shape(x);
        let mut axes = Vec::new();
        let mut lens = Vec::new();
        for cut in cuts {
            match cut {
                Cut::Slice { axis, len, .. } => {
                    axes.push(axis.clone());
                    lens.push(len.clone());
                }
                Cut::Dynamic(_) | Cut::Array(_) => {
                    lens.push(shape[axes.len()].clone());
                    axes.push(SliceAxis { start: Dim::ZERO, step: 1 });
                }
                Cut::New => {}
            }
        }
        let mut y = self.b.slice(x, axes, lens);
        let sliced = self.shape(y);
        let mut kept = Vec::new();
        let mut axis = 0;
        for cut in cuts {
            match cut {
                Cut::Slice { drop, .. } => {
                    if !drop {
                        kept.push(sliced[axis].clone());
                    }
                    axis += 1;
                }
                Cut::Dynamic(_) | Cut::Array(_) => {
                    kept.push(sliced[axis].clone());
                    axis += 1;
                }
                Cut::New => kept.push(Dim::ONE),
            }
        }
        y = self.b.reshape(y, kept);
        let mut place = 0;
        for cut in cuts {
            match cut {
                Cut::Slice { drop: true, .. } => {}
                Cut::Slice { .. } | Cut::New => place += 1,
                Cut::Dynamic(o) | Cut::Array(o) => {
                    let index = self.b.cast(o.val.id, DType::I64);
                    place += self.rank(index);
                    y = self.b.gather(y, index, place - self.rank(index));
                }
            }
        }
        Ok(y)
    }

    fn one_array(&mut self, cuts: &[Cut]) -> R<()> {
        let arrays: Vec<&Operand> =
            cuts.iter().filter_map(|c| if let Cut::Array(o) = c { Some(o) } else { None }).collect();
        let [first, second, ..] = arrays.as_slice() else { return Ok(()) };
        let d = Diagnostic::new(codes::TWO_INDEX_ARRAYS, "two index arrays in one index");
        let d = d.primary(second.span, self.type_text(second.val.id));
        let d = d.secondary(first.span, self.type_text(first.val.id));
        self.error(d.help(
            "write x[i][:, j] for rows and columns, or take_along_axis(x, i, axis) for one element each",
        ))
    }
}
