//! Symbolic extents.
//!
//! A [`Dim`] is an integer polynomial over atoms: named sizes, integer parameters, floor divisions, roots, minima and maxima
//! that could not be simplified. It is kept in a normal form (sorted terms, no zero coefficient), so two dims are
//! known to be equal exactly when they compare equal; what that cannot decide becomes a guard at the call.
//!
//! Dims own their terms behind an `Arc` and compare by value rather than by an index into a table: they are small,
//! most are constants or single names, and nothing then has to carry the table along.

mod parse;
mod print;

pub use parse::parse_dim;

use std::cmp::Ordering;
use std::sync::Arc;

/// Something a dim is built from that has no further structure for the polynomial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// A named size, never negative: `n`, or `x.0` for axis 0 of a parameter whose sizes have no name.
    Size(Arc<str>),
    /// The value of an integer scalar parameter, which may be negative.
    Int(Arc<str>),
    /// A quotient rounded towards minus infinity; by zero it has no value.
    FloorDiv(Dim, Dim),
    /// The smaller of two dims.
    Min(Dim, Dim),
    /// The larger of two dims.
    Max(Dim, Dim),
    /// A square root rounded up; 0 of what is negative.
    Root(Dim),
    /// A dim that grew past [`MAX_WEIGHT`]; it has no value, so that the call that needs it is refused.
    TooComplex,
}

/// Sorted atoms with their powers.
type Monomial = Vec<(Atom, u32)>;

/// A symbolic integer in normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dim(Repr);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Const(i64),
    /// At least one term that is not constant; sorted by monomial; the constant term has the empty monomial.
    Poly(Arc<Poly>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Poly {
    /// Atoms in all terms, nested ones included: the cost of looking at the dim once.
    weight: usize,
    terms: Vec<(Monomial, i64)>,
}

/// The largest dim that is kept. A chain of products of sums doubles with every factor, and strangers write programs.
pub const MAX_WEIGHT: usize = 4096;

impl Dim {
    /// The extent 1.
    pub const ONE: Dim = Dim(Repr::Const(1));
    /// The extent 0.
    pub const ZERO: Dim = Dim(Repr::Const(0));

    /// A known extent.
    pub const fn constant(v: i64) -> Dim {
        Dim(Repr::Const(v))
    }

    /// A named size.
    pub fn size(name: &str) -> Dim {
        Dim::atom(Atom::Size(name.into()))
    }

    /// The value of an integer parameter.
    pub fn int(name: &str) -> Dim {
        Dim::atom(Atom::Int(name.into()))
    }

    fn atom(atom: Atom) -> Dim {
        Dim::poly(vec![(vec![(atom, 1)], 1)])
    }

    fn poly(terms: Vec<(Monomial, i64)>) -> Dim {
        let atoms = terms.iter().flat_map(|(mono, _)| mono);
        let weight = terms.len() + atoms.map(|(a, _)| atom_weight(a)).sum::<usize>();
        if weight > MAX_WEIGHT {
            return Dim::poly(vec![(vec![(Atom::TooComplex, 1)], 1)]);
        }
        Dim(Repr::Poly(Arc::new(Poly { weight, terms })))
    }

    fn weight(&self) -> usize {
        match &self.0 {
            Repr::Const(_) => 1,
            Repr::Poly(p) => p.weight,
        }
    }

    /// The value when it is known.
    pub fn as_const(&self) -> Option<i64> {
        match &self.0 {
            Repr::Const(v) => Some(*v),
            Repr::Poly(_) => None,
        }
    }

    /// Whether it is known to be `v`.
    pub fn is(&self, v: i64) -> bool {
        self.as_const() == Some(v)
    }

    /// The name when it is a plain named size.
    pub fn as_size(&self) -> Option<&str> {
        match self.single_atom()? {
            Atom::Size(name) => Some(name),
            Atom::Int(_)
            | Atom::FloorDiv(..)
            | Atom::Min(..)
            | Atom::Max(..)
            | Atom::Root(_)
            | Atom::TooComplex => None,
        }
    }

    fn single_atom(&self) -> Option<&Atom> {
        match &self.0 {
            Repr::Poly(p) => match p.terms.as_slice() {
                [(mono, 1)] => match mono.as_slice() {
                    [(atom, 1)] => Some(atom),
                    _ => None,
                },
                _ => None,
            },
            Repr::Const(_) => None,
        }
    }

    fn terms(&self) -> Vec<(Monomial, i64)> {
        match &self.0 {
            Repr::Const(0) => Vec::new(),
            Repr::Const(v) => vec![(Vec::new(), *v)],
            Repr::Poly(p) => p.terms.clone(),
        }
    }

    /// Brings terms into normal form. Coefficients saturate: a saturated size is refused when it is evaluated.
    fn from_terms(mut terms: Vec<(Monomial, i64)>) -> Dim {
        terms.sort();
        let mut out: Vec<(Monomial, i64)> = Vec::with_capacity(terms.len());
        for (mono, coef) in terms {
            match out.last_mut() {
                Some((m, c)) if *m == mono => *c = c.saturating_add(coef),
                _ => out.push((mono, coef)),
            }
        }
        out.retain(|(_, c)| *c != 0);
        match out.as_slice() {
            [] => Dim::ZERO,
            [(mono, c)] if mono.is_empty() => Dim::constant(*c),
            _ => Dim::poly(out),
        }
    }

    /// The quotient rounded towards minus infinity. A known zero divisor stays symbolic and has no value.
    pub fn floor_div(&self, by: &Dim) -> Dim {
        if let (Some(a), Some(b)) = (self.as_const(), by.as_const())
            && b != 0
        {
            return Dim::constant(floor_div(a, b));
        }
        if by.is(1) {
            return self.clone();
        }
        if let Some(b) = by.as_const().filter(|b| *b != 0) {
            // Terms that divide exactly leave the division: floor((4n + k) / 2) = 2n + floor(k / 2).
            let (exact, rest): (Vec<_>, Vec<_>) = self.terms().into_iter().partition(|(_, c)| c % b == 0);
            if !exact.is_empty() {
                let exact = Dim::from_terms(exact.into_iter().map(|(m, c)| (m, c / b)).collect());
                return &exact + &Dim::from_terms(rest).floor_div(by);
            }
        }
        if let Some(exact) = self.divided(by) {
            return exact;
        }
        if self == by {
            // Also when both are zero: n / n is only formed where n has been divided by before.
            return Dim::ONE;
        }
        Dim::atom(Atom::FloorDiv(self.clone(), by.clone()))
    }

    /// The quotient when the divisor is one product of names that is part of every term: `n*m / m` is `n`, for any m
    /// that the division is defined for.
    fn divided(&self, by: &Dim) -> Option<Dim> {
        let Repr::Poly(p) = &by.0 else { return None };
        let [(divisor, coef)] = p.terms.as_slice() else { return None };
        let terms = self.terms().into_iter().map(|(mono, c)| {
            let mut left = mono;
            for (atom, power) in divisor {
                let place = left.iter().position(|(a, p)| a == atom && p >= power)?;
                left[place].1 -= power;
            }
            left.retain(|(_, power)| *power > 0);
            (c % coef == 0).then_some((left, c / coef))
        });
        terms.collect::<Option<Vec<_>>>().map(Dim::from_terms)
    }

    /// The remainder that goes with [`Dim::floor_div`].
    pub fn rem(&self, by: &Dim) -> Dim {
        self - &(by * &self.floor_div(by))
    }

    /// The quotient rounded up, for a positive divisor.
    pub fn ceil_div(&self, by: i64) -> Dim {
        (self + &Dim::constant(by - 1)).floor_div(&Dim::constant(by))
    }

    /// The square root rounded up; 0 of what is negative.
    pub fn root(&self) -> Dim {
        match self.as_const() {
            Some(v) => Dim::constant(root(v)),
            None => Dim::atom(Atom::Root(self.clone())),
        }
    }

    /// The smaller one.
    pub fn smaller(&self, other: &Dim) -> Dim {
        if (other - self).is_nonnegative() {
            self.clone()
        } else if (self - other).is_nonnegative() {
            other.clone()
        } else {
            let (a, b) = sorted(self, other);
            Dim::atom(Atom::Min(a, b))
        }
    }

    /// The larger one.
    pub fn larger(&self, other: &Dim) -> Dim {
        if (self - other).is_nonnegative() {
            self.clone()
        } else if (other - self).is_nonnegative() {
            other.clone()
        } else {
            let (a, b) = sorted(self, other);
            Dim::atom(Atom::Max(a, b))
        }
    }

    /// Whether it is known to be zero or more, whatever the sizes are.
    pub fn is_nonnegative(&self) -> bool {
        self.terms()
            .iter()
            .all(|(mono, c)| *c >= 0 && mono.iter().all(|(a, p)| p % 2 == 0 || atom_nonnegative(a)))
    }

    /// The value for given sizes and integer parameters; `None` on an unknown name, a division by zero, or a value
    /// past 2^62, which no tensor has.
    pub fn eval(&self, lookup: &impl Fn(&Atom) -> Option<i64>) -> Option<i64> {
        let terms = match &self.0 {
            Repr::Const(v) => return Some(*v),
            Repr::Poly(p) => &p.terms,
        };
        let mut total: i128 = 0;
        for (mono, coef) in terms.iter() {
            let mut term = i128::from(*coef);
            for (atom, power) in mono {
                let v = i128::from(eval_atom(atom, lookup)?);
                for _ in 0..*power {
                    term = term.checked_mul(v)?;
                }
            }
            total = total.checked_add(term)?;
        }
        i64::try_from(total).ok().filter(|v| v.unsigned_abs() <= 1 << 62)
    }

    /// The dim with atoms replaced: `f` gives the replacement of a size or an integer parameter, or `None` to keep it.
    pub fn substitute(&self, f: &impl Fn(&Atom) -> Option<Dim>) -> Dim {
        let terms = match &self.0 {
            Repr::Const(_) => return self.clone(),
            Repr::Poly(p) => &p.terms,
        };
        let mut total = Dim::ZERO;
        for (mono, coef) in terms.iter() {
            let mut term = Dim::constant(*coef);
            for (atom, power) in mono {
                let v = substitute_atom(atom, f);
                for _ in 0..*power {
                    term = &term * &v;
                }
            }
            total = &total + &term;
        }
        total
    }

    /// Whether it is a sum of products of named sizes and numbers, with no division, minimum or integer parameter.
    pub fn is_plain(&self) -> bool {
        let Repr::Poly(p) = &self.0 else { return true };
        p.terms.iter().flat_map(|(mono, _)| mono).all(|(atom, _)| matches!(atom, Atom::Size(_)))
    }

    /// Calls `f` with every named size and integer parameter in it.
    pub fn visit_names(&self, f: &mut impl FnMut(&Atom)) {
        if let Repr::Poly(p) = &self.0 {
            for (atom, _) in p.terms.iter().flat_map(|(mono, _)| mono) {
                match atom {
                    Atom::Size(_) | Atom::Int(_) => f(atom),
                    Atom::TooComplex => {}
                    Atom::Root(a) => a.visit_names(f),
                    Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                        a.visit_names(f);
                        b.visit_names(f);
                    }
                }
            }
        }
    }

    /// Solves `self == value` for the one named size in it when it is linear in that size, as `a*n + b`:
    /// the name and `(value - b) / a` rounded down.
    pub fn solve(&self, value: &Dim) -> Option<(Arc<str>, Dim)> {
        let terms = self.terms();
        let (mut linear, mut offset) = (None, Dim::ZERO);
        for (mono, coef) in terms {
            match mono.as_slice() {
                [] => offset = Dim::constant(coef),
                [(Atom::Size(name), 1)] if linear.is_none() && coef != 0 => {
                    linear = Some((name.clone(), coef))
                }
                _ => return None,
            }
        }
        let (name, coef) = linear?;
        Some((name, (value - &offset).floor_div(&Dim::constant(coef))))
    }
}

fn floor_div(a: i64, b: i64) -> i64 {
    let q = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { q - 1 } else { q }
}

fn root(v: i64) -> i64 {
    let v = v.max(0);
    let down = v.isqrt();
    if down * down == v { down } else { down + 1 }
}

fn sorted(a: &Dim, b: &Dim) -> (Dim, Dim) {
    match a.cmp(b) {
        Ordering::Greater => (b.clone(), a.clone()),
        Ordering::Less | Ordering::Equal => (a.clone(), b.clone()),
    }
}

fn atom_weight(atom: &Atom) -> usize {
    match atom {
        Atom::Size(_) | Atom::Int(_) | Atom::TooComplex => 1,
        Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => 1 + a.weight() + b.weight(),
        Atom::Root(a) => 1 + a.weight(),
    }
}

fn atom_nonnegative(atom: &Atom) -> bool {
    match atom {
        Atom::Size(_) | Atom::Root(_) => true,
        Atom::Int(_) | Atom::TooComplex => false,
        Atom::FloorDiv(a, b) => a.is_nonnegative() && b.is_nonnegative(),
        Atom::Min(a, b) => a.is_nonnegative() && b.is_nonnegative(),
        Atom::Max(a, b) => a.is_nonnegative() || b.is_nonnegative(),
    }
}

fn eval_atom(atom: &Atom, lookup: &impl Fn(&Atom) -> Option<i64>) -> Option<i64> {
    match atom {
        Atom::Size(_) | Atom::Int(_) => lookup(atom),
        Atom::FloorDiv(a, b) => {
            let (a, b) = (a.eval(lookup)?, b.eval(lookup)?);
            (b != 0).then(|| floor_div(a, b))
        }
        Atom::Min(a, b) => Some(a.eval(lookup)?.min(b.eval(lookup)?)),
        Atom::Max(a, b) => Some(a.eval(lookup)?.max(b.eval(lookup)?)),
        Atom::Root(a) => Some(root(a.eval(lookup)?)),
        Atom::TooComplex => None,
    }
}

fn substitute_atom(atom: &Atom, f: &impl Fn(&Atom) -> Option<Dim>) -> Dim {
    match atom {
        Atom::Size(_) | Atom::Int(_) => f(atom).unwrap_or_else(|| Dim::atom(atom.clone())),
        Atom::FloorDiv(a, b) => a.substitute(f).floor_div(&b.substitute(f)),
        Atom::Min(a, b) => a.substitute(f).smaller(&b.substitute(f)),
        Atom::Max(a, b) => a.substitute(f).larger(&b.substitute(f)),
        Atom::Root(a) => a.substitute(f).root(),
        Atom::TooComplex => Dim::atom(Atom::TooComplex),
    }
}

impl std::ops::Add for &Dim {
    type Output = Dim;
    fn add(self, other: &Dim) -> Dim {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            return Dim::constant(a.saturating_add(b));
        }
        let mut terms = self.terms();
        terms.extend(other.terms());
        Dim::from_terms(terms)
    }
}

impl std::ops::Neg for &Dim {
    type Output = Dim;
    fn neg(self) -> Dim {
        Dim::from_terms(self.terms().into_iter().map(|(m, c)| (m, c.saturating_neg())).collect())
    }
}

impl std::ops::Sub for &Dim {
    type Output = Dim;
    fn sub(self, other: &Dim) -> Dim {
        self + &-other
    }
}

impl std::ops::Mul for &Dim {
    type Output = Dim;
    fn mul(self, other: &Dim) -> Dim {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            return Dim::constant(a.saturating_mul(b));
        }
        let (left, right) = (self.terms(), other.terms());
        if left.len() * right.len() > MAX_WEIGHT {
            return Dim::atom(Atom::TooComplex);
        }
        let mut terms = Vec::with_capacity(left.len() * right.len());
        for (m, c) in &left {
            for (n, d) in &right {
                terms.push((multiply(m, n), c.saturating_mul(*d)));
            }
        }
        Dim::from_terms(terms)
    }
}

fn multiply(a: &Monomial, b: &Monomial) -> Monomial {
    let mut out: Monomial = a.iter().chain(b).cloned().collect();
    out.sort();
    out.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    out
}

impl From<usize> for Dim {
    fn from(v: usize) -> Dim {
        Dim::constant(i64::try_from(v).unwrap_or(i64::MAX))
    }
}

/// The product of extents: the number of elements of a shape.
pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Dim {
    dims.into_iter().fold(Dim::ONE, |a, b| &a * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Dim {
        parse_dim(text).unwrap()
    }

    #[test]
    fn normal_forms_decide_equality() {
        assert_eq!(d("(n + 1) * (n - 1)"), d("n*n - 1"));
        assert_eq!(d("2*n + m - n - n"), d("m"));
        assert_eq!(d("floordiv(4*n + 3, 2)"), d("2*n + 1"));
        assert_eq!(&d("n") - &d("n"), Dim::ZERO);
    }

    #[test]
    fn text_reads_back() {
        for text in [
            "0",
            "-3",
            "n",
            "2*m*n + 3",
            "n*n - m",
            "x.0",
            "$0.1",
            "$1.0 + $0!",
            "floordiv(n + 1, 2)",
            "min(m, n)",
            "max(n, k!)",
            "root(2*n + 1)",
            "k! - 1",
        ] {
            assert_eq!(d(text).to_string(), text);
        }
    }

    #[test]
    fn evaluation_and_bounds() {
        let env = |a: &Atom| match a {
            Atom::Size(s) => (&**s == "n").then_some(5),
            Atom::Int(_)
            | Atom::FloorDiv(..)
            | Atom::Min(..)
            | Atom::Max(..)
            | Atom::Root(_)
            | Atom::TooComplex => None,
        };
        assert_eq!(d("root(n) + root(n - 1) + root(0 - n)").eval(&env), Some(5));
        assert_eq!((d("root(17)"), d("root(16)")), (d("5"), d("4")));
        assert_eq!(d("floordiv(n + 1, 2) * n").eval(&env), Some(15));
        assert_eq!(d("m").eval(&env), None);
        assert_eq!(d("floordiv(n, n - 5)").eval(&env), None);
        assert!(d("n*m + 2").is_nonnegative() && !d("n - 1").is_nonnegative() && !d("k!").is_nonnegative());
        assert_eq!(d("max(n + 1, n)"), d("n + 1"));
    }

    #[test]
    fn linear_dims_are_solved() {
        let (name, v) = d("2*n + 1").solve(&d("m")).unwrap();
        assert_eq!((&*name, v), ("n", d("floordiv(m - 1, 2)")));
        assert!(d("n*m").solve(&d("k")).is_none());
    }

    #[test]
    fn products_do_not_blow_up() {
        let mut p = Dim::ONE;
        for i in 0..200 {
            p = &p * &(&Dim::size(&format!("a{i}")) + &Dim::size(&format!("b{i}")));
        }
        assert_eq!(p.eval(&|_| Some(0)), None);
    }
}
