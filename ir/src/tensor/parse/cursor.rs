//! A place in the text, and the small pieces that are read there.

use super::ParseError;
use crate::dim::{Dim, parse_dim};
use crate::dtype::DType;
use crate::span::Code;
use crate::tensor::{TensorType, Type};

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        let before = self.text.get(..self.at).unwrap_or_default();
        ParseError { line: 1 + before.matches('\n').count(), message: message.into() }
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn skip_on_line(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    /// Steps over these characters if they come next.
    pub(super) fn eat(&mut self, what: &str) -> bool {
        self.skip();
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    /// As [`Cursor::eat`], but on this line only.
    pub(super) fn eat_on_line(&mut self, what: &str) -> bool {
        self.skip_on_line();
        !self.rest().starts_with(['\n', '\r']) && self.eat(what)
    }

    pub(super) fn expect(&mut self, what: &str) -> Result<(), ParseError> {
        if self.eat(what) {
            Ok(())
        } else {
            Err(self.error(format!("expected {what} before {:?}", self.ahead())))
        }
    }

    fn ahead(&self) -> String {
        self.rest().chars().take(12).collect()
    }

    /// Steps over the `%` of an operand, and over the comma before it unless it is the first.
    pub(super) fn eat_operand(&mut self, first: bool) -> bool {
        let start = self.at;
        if (first || self.eat_on_line(",")) && self.eat_on_line("%") {
            return true;
        }
        self.at = start;
        false
    }

    /// The letters, digits and underscores that come next.
    fn peek_ident(&mut self) -> &'a str {
        self.skip();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    pub(super) fn ident(&mut self) -> Result<&'a str, ParseError> {
        let word = self.peek_ident();
        if word.is_empty() {
            return Err(self.error(format!("expected a word before {:?}", self.ahead())));
        }
        self.at += word.len();
        Ok(word)
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_ident() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.eat_word(word) {
            Ok(())
        } else {
            Err(self.error(format!("expected {word} before {:?}", self.ahead())))
        }
    }

    pub(super) fn at_digit(&self) -> bool {
        self.rest().starts_with(|c: char| c.is_ascii_digit())
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Result<T, ParseError> {
        let word = self.ident()?;
        word.parse().map_err(|_| self.error(format!("{word} is no number that fits here")))
    }

    /// A name: a word, a positional one as `$0`, or any text in quotes.
    pub(super) fn name(&mut self) -> Result<String, ParseError> {
        self.skip();
        if self.rest().starts_with('"') {
            return self.string();
        }
        self.eat("$");
        Ok(self.ident()?.to_owned())
    }

    pub(super) fn string(&mut self) -> Result<String, ParseError> {
        self.expect("\"")?;
        let mut out = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('u') => {
                        let digits: String =
                            chars.by_ref().map(|(_, c)| c).take_while(|c| *c != '}').collect();
                        let code = digits.strip_prefix('{').and_then(|d| u32::from_str_radix(d, 16).ok());
                        let bad = || self.error("an escape that is no character");
                        out.push(code.and_then(char::from_u32).ok_or_else(bad)?);
                    }
                    Some(c @ ('"' | '\\')) => out.push(c),
                    Some(_) | None => return Err(self.error("an unknown escape")),
                },
                c => out.push(c),
            }
        }
        Err(self.error("a string without an end"))
    }

    pub(super) fn code(&mut self) -> Result<Code, ParseError> {
        let word = self.ident()?;
        word.parse().map_err(|()| self.error(format!("{word} is no code")))
    }

    /// Reads as far as a dim or an element can go: to a line's end, or to one of `,;:=<]` outside of parentheses.
    pub(super) fn piece(&mut self) -> &'a str {
        self.skip_on_line();
        let rest = self.rest();
        let mut open = 0usize;
        let ends = |c: char| {
            match c {
                '(' => open += 1,
                ')' => open = open.saturating_sub(1),
                _ => {}
            }
            c == '\n' || (open == 0 && ",;:=<]".contains(c))
        };
        let end = rest.find(ends).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default().trim()
    }

    pub(super) fn dim(&mut self) -> Result<Dim, ParseError> {
        let text = self.piece();
        parse_dim(text).ok_or_else(|| self.error(format!("{text:?} is no dim")))
    }

    /// A list in brackets.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Cursor<'a>) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect("[")?;
        let mut items = Vec::new();
        while !self.eat("]") {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn tensor_type(&mut self) -> Result<TensorType, ParseError> {
        let word = self.ident()?;
        let dtype = DType::from_name(word).ok_or_else(|| self.error(format!("{word} is no dtype")))?;
        let shape = if self.rest().starts_with('[') { self.list(Cursor::dim)? } else { Vec::new() };
        Ok(TensorType { dtype, shape })
    }

    pub(super) fn value_type(&mut self) -> Result<Type, ParseError> {
        if !self.eat("(") {
            return Ok(Type::Tensor(self.tensor_type()?));
        }
        let mut members = Vec::new();
        while !self.eat(")") {
            if !members.is_empty() {
                self.expect(",")?;
            }
            members.push(self.tensor_type()?);
        }
        Ok(Type::Tuple(members))
    }

    pub(super) fn finish(&mut self) -> Result<(), ParseError> {
        self.skip();
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.error(format!("something follows: {:?}", self.ahead())))
        }
    }
}
