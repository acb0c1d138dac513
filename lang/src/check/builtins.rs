//! The functions of the language: one row each, by subject.
//!
//! A row has the name, the signature (which binds arguments, and is what help lines show) and the function that makes
//! the nodes. To add one: a row in the file of its subject, and a case in `tests/cases`.

mod creation;
mod einsum;
mod elementwise;
mod factors;
mod later;
mod linalg;
mod order;
mod random;
mod reduce;
mod scan;
mod search;
mod shape;
mod transform;

use super::args::Args;
use super::value::Value;
use super::{Checker, R};
use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use later::reserved;
pub(crate) use transform::{makes_function, takes_function};

/// A function of the language.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    /// Parameters by name: `x, axis=, *more`; a `=` marks an optional one.
    pub(crate) signature: &'static str,
    pub(crate) run: fn(&mut Checker<'_>, &Args) -> R<Value>,
}

/// A row of a table.
const fn row(
    name: &'static str,
    signature: &'static str,
    run: fn(&mut Checker<'_>, &Args) -> R<Value>,
) -> Builtin {
    Builtin { name, signature, run }
}

/// Words that options take, by the name of the option.
pub(crate) const OPTION_WORDS: &[(&str, &[&str])] = &[
    ("mode", &["constant", "reflect", "edge", "wrap"]),
    ("side", &["left", "right"]),
    ("indexing", &["xy", "ij"]),
];

const TABLES: &[&[Builtin]] = &[
    elementwise::ROWS,
    reduce::ROWS,
    scan::ROWS,
    shape::ROWS,
    creation::ROWS,
    search::ROWS,
    linalg::ROWS,
    factors::ROWS,
    random::ROWS,
    transform::ROWS,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Builtin>> =
    LazyLock::new(|| TABLES.iter().flat_map(|t| t.iter()).map(|b| (b.name, b)).collect());

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    BY_NAME.get(name).copied()
}

/// Whether the language has a function of that name.
pub(crate) fn is_builtin(name: &str) -> bool {
    BY_NAME.contains_key(name)
}

/// All names, in no order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + use<> {
    BY_NAME.keys().copied()
}

/// Names and signatures of all functions, sorted by name.
pub fn functions() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = BY_NAME.values().map(|b| (b.name, b.signature)).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let count: usize = TABLES.iter().map(|t| t.len()).sum();
        assert_eq!(BY_NAME.len(), count);
    }
}
