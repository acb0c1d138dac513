//! What sizes are taken to be while a plan is chosen.
//!
//! A plan serves every size, but which plan is best may depend on them: `A @ B @ v` is two products of a matrix and a
//! vector or one of matrices. [`Sizes`] gives each size as a power of two, so that a choice is the same for all sizes
//! of one bucket, and remembers which names were asked for where alternatives were compared: a cache of plans needs
//! the buckets of these names alone in its key, and a program that compares nothing is planned once.

use matex_ir::Dim;
use matex_ir::dim::Atom;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a size is taken to be when nothing is known of it.
pub const NOMINAL: i64 = 1024;

/// What the named sizes and integer parameters of a function are taken to be.
#[derive(Debug, Default)]
pub struct Sizes {
    known: BTreeMap<Atom, i64>,
    compared: Mutex<BTreeSet<Atom>>,
}

impl Clone for Sizes {
    fn clone(&self) -> Sizes {
        Sizes { known: self.known.clone(), compared: Mutex::new(self.lock().clone()) }
    }
}

impl Sizes {
    /// Every size is [`NOMINAL`].
    pub fn nominal() -> Sizes {
        Sizes::default()
    }

    /// The sizes of a call, each rounded down to the power of two of its [`bucket`].
    pub fn of(values: impl IntoIterator<Item = (Atom, i64)>) -> Sizes {
        let known = values.into_iter().map(|(atom, v)| (atom, representative(bucket(v)))).collect();
        Sizes { known, compared: Mutex::default() }
    }

    /// What a dim is taken to be, at least 0. Asking does not make the plan depend on it: see [`Sizes::compared`].
    pub fn estimate(&self, dim: &Dim) -> f64 {
        let value = dim.eval(&|atom| Some(self.known.get(atom).copied().unwrap_or(NOMINAL)));
        // A dim without a value, as one that divides by zero: the call will be refused, whatever is planned.
        value.map_or(NOMINAL as f64, |v| v.max(0) as f64)
    }

    /// What a shape holds, as [`Sizes::estimate`] has it.
    pub fn elements(&self, shape: &[Dim]) -> f64 {
        shape.iter().map(|d| self.estimate(d)).product()
    }

    /// Notes that a choice was made that may fall out differently when this dim has another size.
    pub fn compare(&self, dim: &Dim) {
        dim.visit_names(&mut |atom| {
            let mut compared = self.lock();
            if !compared.contains(atom) {
                compared.insert(atom.clone());
            }
        });
    }

    /// The names whose sizes a choice was made by, in order.
    pub fn compared(&self) -> Vec<Atom> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Atom>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the names that were compared are taken to be, for dumps: `k = 1024, n = 512`. Empty when there are none.
    pub fn stated(&self) -> String {
        let value = |atom: &Atom| self.known.get(atom).copied().unwrap_or(NOMINAL);
        let one = |atom: &Atom| match atom {
            Atom::Size(name) | Atom::Int(name) => Some(format!("{name} = {}", value(atom))),
            Atom::FloorDiv(..) | Atom::Min(..) | Atom::Max(..) | Atom::Root(_) | Atom::TooComplex => None,
        };
        self.compared().iter().filter_map(one).collect::<Vec<_>>().join(", ")
    }
}

/// The bucket of a size: 0 for nothing, else one more than its base 2 logarithm rounded down.
pub fn bucket(value: i64) -> u32 {
    if value <= 0 { 0 } else { value.ilog2() + 1 }
}

fn representative(bucket: u32) -> i64 {
    if bucket == 0 { 0 } else { 1 << (bucket - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matex_ir::dim::parse_dim;

    fn size(name: &str) -> Atom {
        Atom::Size(name.into())
    }

    #[test]
    fn sizes_of_one_bucket_are_taken_to_be_the_same() {
        assert_eq!([0, 1, 2, 3, 4, 7, 8, i64::MAX].map(bucket), [0, 1, 2, 2, 3, 3, 4, 63]);
        let at = |n: i64| Sizes::of([(size("n"), n)]).estimate(&parse_dim("2*n + 1").unwrap());
        assert_eq!([0, 1, 2, 3, 1000].map(at), [1.0, 3.0, 5.0, 5.0, 1025.0]);
        assert_eq!(Sizes::nominal().estimate(&Dim::size("n")), NOMINAL as f64);
    }

    #[test]
    fn only_what_was_compared_is_remembered() {
        let sizes = Sizes::of([(size("n"), 700), (size("k"), 3)]);
        assert_eq!(sizes.elements(&[Dim::size("n"), Dim::size("k"), Dim::size("m")]), 512.0 * 2.0 * 1024.0);
        assert_eq!(sizes.compared(), []);
        sizes.compare(&parse_dim("n*k + 1").unwrap());
        sizes.compare(&Dim::size("n"));
        assert_eq!(sizes.compared(), [size("k"), size("n")]);
        assert_eq!(sizes.stated(), "k = 2, n = 512");
    }

    #[test]
    fn dims_without_a_value_have_an_estimate_all_the_same() {
        let sizes = Sizes::of([(size("n"), 0), (size("m"), i64::MAX)]);
        assert_eq!(sizes.estimate(&parse_dim("n - 5").unwrap()), 0.0);
        assert_eq!(sizes.estimate(&parse_dim("floordiv(7, n)").unwrap()), NOMINAL as f64);
        assert_eq!(sizes.estimate(&parse_dim("m*m").unwrap()), NOMINAL as f64);
    }
}
