//! The derivatives of elementwise ops, which stand in the op table as text.
//!
//! ```text
//! sum     = product { ("+" | "-") product } ;
//! product = factor { ("*" | "/") factor } ;
//! factor  = "-" factor | NUMBER | "a" | "b" | "c" | "y" | NAME "(" sum { "," sum } ")" | "(" sum ")" ;
//! ```
//!
//! `a`, `b` and `c` are the operands and `y` is the result; NAME is an op of the table, or `digamma`. A column is text
//! and not code so that it can be read in one line, shown in a manual, and checked against differences like any other
//! fact of the table. An expression becomes nodes on the operands' own shape, which are differentiated again for
//! higher orders.

use crate::dtype::Scalar;
use crate::ops::Op;
use crate::tensor::{Builder, Kind, ValueId};

/// The derivative of an op by one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slope {
    /// Nothing changes when the operand does.
    Zero,
    /// The operand goes through.
    One,
    /// The operand goes through with its sign changed.
    MinusOne,
    /// An expression of operands and result.
    Of(&'static str),
}

/// The derivative by operand `i`; `None` when the op has none.
pub(super) fn slope(op: Op, i: usize) -> Option<Slope> {
    Some(match *op.row().slopes.get(i)? {
        "0" => Slope::Zero,
        "1" => Slope::One,
        "-1" => Slope::MinusOne,
        text => Slope::Of(text),
    })
}

/// The value of a slope's expression for operands and a result of one shape; `None` for a text that does not parse,
/// which the tests of the table rule out.
pub(super) fn evaluate(b: &mut Builder, text: &str, args: &[ValueId], result: ValueId) -> Option<ValueId> {
    let mut reader = Reader { b, rest: text, args, result };
    let value = reader.sum()?;
    reader.rest.is_empty().then_some(value)
}

/// The derivative of `a ** b` by `a` for an exponent that is one known number: no branch for an exponent of 0, and no
/// power where a product does.
pub(super) fn known_power(b: &mut Builder, base: ValueId, exponent: f64) -> ValueId {
    if exponent == 0.0 {
        return b.filled(base, 0.0);
    }
    let factor = b.filled(base, exponent);
    if exponent == 1.0 {
        return factor;
    }
    let rest = if exponent == 2.0 {
        base
    } else {
        let less = b.filled(base, exponent - 1.0);
        b.map(Op::Pow, &[base, less])
    };
    b.map(Op::Mul, &[factor, rest])
}

/// The number that a value is everywhere, when that is known.
pub(super) fn known_number(b: &Builder, mut v: ValueId) -> Option<f64> {
    loop {
        let node = b.func().node(v);
        if let Kind::Constant(l) = &node.kind {
            return l.as_scalar().map(Scalar::to_f64);
        }
        if !matches!(node.kind, Kind::Broadcast { .. } | Kind::Cast | Kind::Reshape) {
            return None;
        }
        v = *node.args.first()?;
    }
}

/// Whether a value is one that derivatives stop at: of a tie with such a value nothing goes to what is larger elsewhere, which
/// is how `relu` has the derivative 0 at 0.
pub(super) fn is_stopped(b: &Builder, mut v: ValueId) -> bool {
    loop {
        let node = b.func().node(v);
        if node.kind == Kind::Bitcast {
            return true;
        }
        if !matches!(node.kind, Kind::Broadcast { .. } | Kind::Reshape) {
            return false;
        }
        let Some(from) = node.args.first() else { return false };
        v = *from;
    }
}

struct Reader<'a, 't> {
    b: &'a mut Builder,
    rest: &'t str,
    args: &'a [ValueId],
    result: ValueId,
}

impl Reader<'_, '_> {
    fn skip(&mut self, token: char) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Option<ValueId> {
        let mut left = self.product()?;
        loop {
            let op = if self.skip('+') {
                Op::Add
            } else if self.skip('-') {
                Op::Sub
            } else {
                return Some(left);
            };
            let right = self.product()?;
            left = self.b.map(op, &[left, right]);
        }
    }

    fn product(&mut self) -> Option<ValueId> {
        let mut left = self.factor()?;
        loop {
            let op = if self.skip('*') {
                Op::Mul
            } else if self.skip('/') {
                Op::Div
            } else {
                return Some(left);
            };
            let right = self.factor()?;
            left = self.b.map(op, &[left, right]);
        }
    }

    fn factor(&mut self) -> Option<ValueId> {
        if self.skip('(') {
            let inner = self.sum()?;
            return self.skip(')').then_some(inner);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if word.is_empty() {
            return if self.skip('-') { self.negated() } else { None };
        }
        self.rest = rest.trim_start();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(self.b.filled(self.result, word.parse().ok()?));
        }
        match word {
            "a" => self.args.first().copied(),
            "b" => self.args.get(1).copied(),
            "c" => self.args.get(2).copied(),
            "y" => Some(self.result),
            name => self.call(name),
        }
    }

    /// What follows a minus sign; a number takes the sign itself.
    fn negated(&mut self) -> Option<ValueId> {
        let x = self.factor()?;
        match known_number(self.b, x) {
            Some(v) => Some(self.b.filled(self.result, -v)),
            None => Some(self.b.map(Op::Neg, &[x])),
        }
    }

    fn call(&mut self, name: &str) -> Option<ValueId> {
        if !self.skip('(') {
            return None;
        }
        let mut args = vec![self.sum()?];
        while self.skip(',') {
            args.push(self.sum()?);
        }
        if !self.skip(')') {
            return None;
        }
        if name == "digamma" {
            return Some(digamma(self.b, *args.first()?));
        }
        let op = Op::from_name(name).filter(|op| op.arity() == args.len())?;
        Some(self.b.map(op, &args))
    }
}

/// How far the argument of the digamma function is moved up, to where the asymptotic series holds.
const SHIFT: i32 = 8;

/// The terms `B_2k / 2k` of the asymptotic series of the digamma function, the last one first.
const SERIES: [f64; 7] =
    [1.0 / 12.0, -691.0 / 32760.0, 1.0 / 132.0, -1.0 / 240.0, 1.0 / 252.0, -1.0 / 120.0, 1.0 / 12.0];

/// The derivative of the logarithm of the gamma function: reflection below 1/2, then the recurrence up to an argument
/// above 8, then the asymptotic series (Abramowitz and Stegun 6.3.7, 6.3.5 and 6.3.18).
fn digamma(b: &mut Builder, x: ValueId) -> ValueId {
    let (half, one) = (b.filled(x, 0.5), b.filled(x, 1.0));
    let low = b.map(Op::Lt, &[x, half]);
    let mirrored = b.map(Op::Sub, &[one, x]);
    let z = b.map(Op::Select, &[low, mirrored, x]);
    let mut steps = b.filled(x, 0.0);
    for k in 0..SHIFT {
        let k = b.filled(x, f64::from(k));
        let at = b.map(Op::Add, &[z, k]);
        let step = b.map(Op::Div, &[one, at]);
        steps = b.map(Op::Add, &[steps, step]);
    }
    let shift = b.filled(x, f64::from(SHIFT));
    let z = b.map(Op::Add, &[z, shift]);
    let square = b.map(Op::Mul, &[z, z]);
    let w = b.map(Op::Div, &[one, square]);
    let mut series = b.filled(x, 0.0);
    for term in SERIES {
        let term = b.filled(x, term);
        let sum = b.map(Op::Add, &[series, term]);
        series = b.map(Op::Mul, &[sum, w]);
    }
    let log = b.map(Op::Log, &[z]);
    let twice = b.map(Op::Add, &[z, z]);
    let first = b.map(Op::Div, &[one, twice]);
    let value = b.map(Op::Sub, &[log, first]);
    let value = b.map(Op::Sub, &[value, series]);
    let value = b.map(Op::Sub, &[value, steps]);
    // psi(x) = psi(1 - x) - pi / tan(pi x); the remainder keeps the angle small.
    let pi = b.filled(x, std::f64::consts::PI);
    let whole = b.map(Op::Round, &[x]);
    let rest = b.map(Op::Sub, &[x, whole]);
    let safe = b.map(Op::Select, &[low, rest, half]);
    let angle = b.map(Op::Mul, &[pi, safe]);
    let tan = b.map(Op::Tan, &[angle]);
    let turn = b.map(Op::Div, &[pi, tan]);
    let reflected = b.map(Op::Sub, &[value, turn]);
    b.map(Op::Select, &[low, reflected, value])
}
