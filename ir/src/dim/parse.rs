//! Reads the text of dims back.

use super::{Atom, Dim};

/// Parses a dim: sums, differences and products of integers, names, `name!`, `floordiv(a, b)`, `min(a, b)`,
/// `max(a, b)`, `root(a)` and parentheses. `None` when the text is none, or nests deeper than 64.
pub fn parse_dim(text: &str) -> Option<Dim> {
    let mut p = Parser { rest: text, depth: 0 };
    let dim = p.sum()?;
    p.skip();
    p.rest.is_empty().then_some(dim)
}

struct Parser<'a> {
    rest: &'a str,
    depth: u32,
}

impl Parser<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Option<Dim> {
        let mut total = if self.eat('-') { -&self.product()? } else { self.product()? };
        loop {
            if self.eat('+') {
                total = &total + &self.product()?;
            } else if self.eat('-') {
                total = &total - &self.product()?;
            } else {
                return Some(total);
            }
        }
    }

    fn product(&mut self) -> Option<Dim> {
        let mut total = self.factor()?;
        while self.eat('*') {
            total = &total * &self.factor()?;
        }
        Some(total)
    }

    fn factor(&mut self) -> Option<Dim> {
        self.depth += 1;
        if self.depth > 64 {
            return None;
        }
        let dim = if self.eat('(') {
            let dim = self.sum()?;
            self.eat(')').then_some(dim)
        } else {
            self.word()
        };
        self.depth -= 1;
        dim
    }

    fn word(&mut self) -> Option<Dim> {
        self.skip();
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_.$".contains(c)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return word.parse().ok().map(Dim::constant);
        }
        let word = word.strip_prefix('$').filter(|n| !n.is_empty()).unwrap_or(word);
        if word.is_empty() {
            return None;
        }
        if self.rest.starts_with('(') {
            return self.call(word);
        }
        if word == "too_complex" && self.eat('!') {
            return Some(Dim::atom(Atom::TooComplex));
        }
        Some(if self.eat('!') { Dim::int(word) } else { Dim::size(word) })
    }

    fn call(&mut self, name: &str) -> Option<Dim> {
        self.eat('(');
        let a = self.sum()?;
        if name == "root" {
            return self.eat(')').then(|| a.root());
        }
        if !self.eat(',') {
            return None;
        }
        let b = self.sum()?;
        if !self.eat(')') {
            return None;
        }
        match name {
            "floordiv" => Some(a.floor_div(&b)),
            "min" => Some(a.smaller(&b)),
            "max" => Some(a.larger(&b)),
            _ => None,
        }
    }
}
