//! The text of dims: `2*n*m + 3`, `floordiv(n + 1, 2)`, `k!` for the value of the integer parameter `k`,
//! `$0.1` for a size of a positional parameter.

use super::{Atom, Dim};
use std::fmt;

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = self.terms();
        // Readers expect the constant last; the normal form has it first.
        terms.sort_by_key(|(mono, _)| mono.is_empty());
        if terms.is_empty() {
            return f.write_str("0");
        }
        // A positive term first, so that a difference reads as one.
        if let Some(first) = terms.iter().position(|(_, c)| *c > 0) {
            terms[..=first].rotate_right(1);
        }
        for (i, (mono, coef)) in terms.iter().enumerate() {
            match (i, *coef < 0) {
                (0, false) => {}
                (0, true) => f.write_str("-")?,
                (_, false) => f.write_str(" + ")?,
                (_, true) => f.write_str(" - ")?,
            }
            print_term(f, mono, coef.unsigned_abs())?;
        }
        Ok(())
    }
}

fn print_term(f: &mut fmt::Formatter<'_>, mono: &[(Atom, u32)], coef: u64) -> fmt::Result {
    let mut first = true;
    if coef != 1 || mono.is_empty() {
        write!(f, "{coef}")?;
        first = false;
    }
    for (atom, power) in mono {
        for _ in 0..*power {
            if !first {
                f.write_str("*")?;
            }
            first = false;
            write!(f, "{atom}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Size(name) => write!(f, "{}{name}", sigil(name)),
            Atom::Int(name) => write!(f, "{}{name}!", sigil(name)),
            Atom::FloorDiv(a, b) => write!(f, "floordiv({a}, {b})"),
            Atom::Min(a, b) => write!(f, "min({a}, {b})"),
            Atom::Max(a, b) => write!(f, "max({a}, {b})"),
            Atom::Root(a) => write!(f, "root({a})"),
            Atom::TooComplex => f.write_str("too_complex!"),
        }
    }
}

/// What tells the name of a positional parameter, which begins with a digit, from a number: `$0!`, `$1.0`.
fn sigil(name: &str) -> &'static str {
    if name.starts_with(|c: char| c.is_ascii_digit()) { "$" } else { "" }
}
