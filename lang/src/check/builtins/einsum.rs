//! `einsum`: sums of products in index notation, as products of two in the order that multiplies least.

use super::order::{Split, order};
use crate::ast::ExprKind;
use crate::check::args::{Args, Src};
use crate::check::dims::user_text;
use crate::check::value::{Operand, Val, Value};
use crate::check::{Checker, R};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::tensor::{ReduceOp, ValueId};
use matex_ir::{Dim, Op, Span};

/// A tensor whose axes have letters.
#[derive(Clone)]
struct Term {
    id: ValueId,
    letters: Vec<char>,
}

struct Spec {
    inputs: Vec<Vec<char>>,
    output: Vec<char>,
}

/// `einsum("ij,jk->ik", a, b)`; without `->` the letters that appear once, sorted, are the result's.
pub(super) fn einsum(c: &mut Checker<'_>, args: &Args) -> R<Value> {
    let (text, at) = match args.get("spec") {
        Some(Src::Expr(e)) if matches!(c.ast[*e].kind, ExprKind::Str(_)) => {
            let span = c.ast[*e].span;
            (c.text(span).trim_matches('"').to_owned(), span)
        }
        _ => return bad_spec(c, "the first argument of einsum is a string", args.span),
    };
    let spec = parse(c, &text, at)?;
    if spec.inputs.len() != args.rest.len() {
        let message = format!("the spec has {} operands, the call {}", spec.inputs.len(), args.rest.len());
        return bad_spec(c, &message, args.span);
    }
    let operands: R<Vec<Operand>> = args.rest.clone().iter().map(|s| c.src_operand(s)).collect();
    let operands = operands?;
    let refs: Vec<&Operand> = operands.iter().collect();
    c.numbers(&refs, "einsum")?;
    let (dtype, weak) = c.meet(&refs, "einsum")?;
    let mut terms = Vec::new();
    for (o, letters) in operands.iter().zip(&spec.inputs) {
        if letters.len() != c.rank(o.val.id) {
            let text: String = letters.iter().collect();
            let message = format!("{text} names {} axes of {}", letters.len(), c.type_text(o.val.id));
            return bad_spec(c, &message, o.span);
        }
        let id = c.in_dtype(o, dtype)?;
        terms.push(diagonals(c, Term { id, letters: letters.clone() }, o.span)?);
    }
    agree_all(c, &mut terms, &operands)?;
    let total = joined(c, terms, &spec.output);
    let total = summed(c, total, &|l| spec.output.contains(l));
    let perm: Option<Vec<usize>> =
        spec.output.iter().map(|l| total.letters.iter().position(|m| m == l)).collect();
    match perm {
        Some(perm) => Ok(Val::with_weak(c.b.permute(total.id, perm), weak).into()),
        None => c.bug("an axis of the result that no operand has", at),
    }
}

fn bad_spec<T>(c: &mut Checker<'_>, message: &str, at: Span) -> R<T> {
    c.fail(codes::BAD_EINSUM, message, at, "einsum(\"ij,jk->ik\", a, b): one letter for each axis")
}

fn parse(c: &mut Checker<'_>, text: &str, at: Span) -> R<Spec> {
    if text.contains('.') {
        let d = Diagnostic::new(codes::BAD_EINSUM, "einsum has no `...`").primary(at, "");
        return c.error(d.help("give every axis a letter; vmap, matmul and @ take further axes"));
    }
    let text: String = text.chars().filter(|ch| !ch.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((l, r)) => (l.to_owned(), Some(r.to_owned())),
        None => (text, None),
    };
    let inputs: Vec<Vec<char>> = left.split(',').map(|p| p.chars().collect()).collect();
    let letters: Vec<char> = inputs.iter().flatten().copied().collect();
    let output: Vec<char> = match right {
        Some(r) => r.chars().collect(),
        None => {
            let mut once: Vec<char> =
                letters.iter().copied().filter(|l| letters.iter().filter(|m| *m == l).count() == 1).collect();
            once.sort_unstable();
            once
        }
    };
    if let Some(odd) = letters.iter().chain(&output).find(|l| !l.is_ascii_alphabetic()) {
        return bad_spec(c, &format!("{odd} is no letter for an axis"), at);
    }
    if let Some(new) = output.iter().find(|l| !letters.contains(l)) {
        return bad_spec(c, &format!("the result names {new}, an axis that no operand has"), at);
    }
    if let Some(twice) = output.iter().find(|l| output.iter().filter(|m| m == l).count() > 1) {
        return bad_spec(c, &format!("the result names {twice} twice"), at);
    }
    Ok(Spec { inputs, output })
}

/// A letter that stands twice on one operand picks a diagonal.
fn diagonals(c: &mut Checker<'_>, mut t: Term, span: Span) -> R<Term> {
    while let Some((i, j)) = repeated(&t.letters) {
        let shape = c.shape(t.id);
        if !c.agree(&shape[i], &shape[j], codes::CALL_SHAPES_DISAGREE, "axes of one letter disagree", span) {
            let message = format!("the axes {} of {} and {} differ", t.letters[i], shape[i], shape[j]);
            return bad_spec(c, &message, span);
        }
        let rank = t.letters.len();
        let mut perm: Vec<usize> = (0..rank).filter(|k| *k != i && *k != j).collect();
        perm.extend([i, j]);
        let moved = c.b.permute(t.id, perm.clone());
        let letter = t.letters[i];
        t.letters = perm[..rank - 2].iter().map(|k| t.letters[*k]).collect();
        t.letters.push(letter);
        t.id = c.diagonal_of(moved, 0);
    }
    Ok(t)
}

fn repeated(letters: &[char]) -> Option<(usize, usize)> {
    (0..letters.len())
        .find_map(|i| (i + 1..letters.len()).find(|j| letters[i] == letters[*j]).map(|j| (i, j)))
}

/// Axes of one letter must agree on all operands; each gets one text.
fn agree_all(c: &mut Checker<'_>, terms: &mut [Term], operands: &[Operand]) -> R<()> {
    let mut sizes: Vec<(char, Dim, &Operand)> = Vec::new();
    for (t, o) in terms.iter().zip(operands) {
        for (l, d) in t.letters.iter().zip(c.shape(t.id)) {
            let Some((_, e, first)) = sizes.iter().find(|(m, _, _)| m == l) else {
                sizes.push((*l, d, o));
                continue;
            };
            if !c.agree(e, &d, codes::CALL_SHAPES_DISAGREE, "axes of one letter disagree", o.span) {
                let message = format!("the axes {l} are of {} and of {}", user_text(e), user_text(&d));
                let help = "axes of one letter have one size; give them two letters if they are not to meet";
                return c.mismatch(codes::BAD_EINSUM, message, o, first, help);
            }
        }
    }
    for t in terms {
        let shape: Vec<Dim> = t
            .letters
            .iter()
            .map(|l| sizes.iter().find(|(m, _, _)| m == l).map_or(Dim::ONE, |(_, d, _)| c.resolve(d)))
            .collect();
        t.id = c.retype(t.id, &shape);
    }
    Ok(())
}

/// One term for all, by products of two.
fn joined(c: &mut Checker<'_>, terms: Vec<Term>, output: &[char]) -> Term {
    let letters: Vec<&[char]> = terms.iter().map(|t| t.letters.as_slice()).collect();
    let size = |l: char| {
        let at = terms.iter().find_map(|t| t.letters.iter().position(|m| *m == l).map(|i| (t.id, i)));
        at.and_then(|(id, i)| c.shape(id)[i].as_const())
    };
    let splits = order(&letters, output, &size);
    let mut terms: Vec<Option<Term>> = terms.into_iter().map(Some).collect();
    for Split { left, right, rest } in splits {
        let (a, b) = (terms[left].take(), terms[right].take());
        let needed = |l: &char| rest.contains(l);
        terms[left] = match (a, b) {
            (Some(a), Some(b)) => Some(product(c, a, b, &needed)),
            (a, b) => a.or(b),
        };
    }
    terms.swap_remove(0).unwrap_or(Term { id: ValueId(0), letters: Vec::new() })
}

/// Sums over the letters that are no longer needed.
fn summed(c: &mut Checker<'_>, t: Term, needed: &dyn Fn(&char) -> bool) -> Term {
    let axes: Vec<usize> = (0..t.letters.len()).filter(|k| !needed(&t.letters[*k])).collect();
    let id = c.reduced(ReduceOp::Sum, t.id, &axes, false);
    Term { id, letters: t.letters.into_iter().filter(|l| needed(l)).collect() }
}

/// The product of two terms, summed over shared letters that are no longer needed.
fn product(c: &mut Checker<'_>, a: Term, b: Term, needed: &dyn Fn(&char) -> bool) -> Term {
    let in_b = b.letters.clone();
    let a = summed(c, a, &|l| needed(l) || in_b.contains(l));
    let in_a = a.letters.clone();
    let b = summed(c, b, &|l| needed(l) || in_a.contains(l));
    let place = |l: &char| b.letters.iter().position(|m| m == l);
    let shared: Vec<(usize, usize, char)> =
        a.letters.iter().enumerate().filter_map(|(i, l)| place(l).map(|j| (i, j, *l))).collect();
    let pairs = |keep: bool| -> Vec<(usize, usize)> {
        shared.iter().filter(|(_, _, l)| needed(l) == keep).map(|(i, j, _)| (*i, *j)).collect()
    };
    let (batch, contract) = (pairs(true), pairs(false));
    let free = |letters: &[char]| -> Vec<char> {
        letters.iter().copied().filter(|l| !shared.iter().any(|(_, _, m)| m == l)).collect()
    };
    let mut letters: Vec<char> = batch.iter().map(|(i, _)| a.letters[*i]).collect();
    letters.extend(free(&a.letters));
    letters.extend(free(&b.letters));
    if contract.is_empty() && free(&a.letters).is_empty() && free(&b.letters).is_empty() {
        // Nothing is summed and nothing is repeated: an elementwise product.
        let perm: Vec<usize> = a.letters.iter().filter_map(place).collect();
        let id = c.b.permute(b.id, perm);
        return Term { id: c.map_op(Op::Mul, &[a.id, id]), letters: a.letters };
    }
    Term { id: c.b.dot(a.id, b.id, batch, contract), letters }
}
