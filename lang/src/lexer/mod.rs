//! Text to tokens.
//!
//! The lexer never gives up: what it cannot read is reported once a run, and a token that most likely was meant takes
//! its place, so that the parser finds the further errors and not echoes of this one.

mod foreign;
mod number;
mod token;

pub(crate) use token::{Tok, Token};

use crate::ast::Number;
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::Span;

/// How many errors of one program are kept; the first ones are worth reading.
pub(crate) const MAX_ERRORS: usize = 64;

/// What the lexer makes of a source.
pub(crate) struct Lexed {
    /// The tokens; the last one is [`Tok::Eof`].
    pub(crate) tokens: Vec<Token>,
    /// The numbers, in the order of the text; [`Tok::Number`] counts in it.
    pub(crate) numbers: Vec<Number>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Cuts a source into tokens. Its length must fit a `u32`.
pub(crate) fn lex(source: &str) -> Lexed {
    let out =
        Lexed { tokens: Vec::with_capacity(source.len() / 3 + 1), numbers: Vec::new(), errors: Vec::new() };
    let mut lexer = Lexer { source, at: 0, out };
    if source.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    while lexer.at < source.len() {
        lexer.step();
    }
    lexer.emit(Tok::Eof, source.len());
    lexer.out
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    out: Lexed,
}

impl Lexer<'_> {
    /// Reads one token, comment or run of white space; always moves on.
    fn step(&mut self) {
        let start = self.at;
        match self.byte(0) {
            b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => self.at += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
            b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'$' => self.positional(),
            b'/' if self.byte(1) == b'/' => self.skip_line(),
            b'/' if self.byte(1) == b'*' => self.block_comment(),
            b'.' if self.byte(1).is_ascii_digit() => self.leading_dot(),
            _ => {
                if let Some((kind, length)) = punctuation(&self.source.as_bytes()[start..]) {
                    self.at += length;
                    self.emit(kind, start);
                } else {
                    self.foreign();
                }
            }
        }
    }

    /// The byte `ahead` of the current one; 0 past the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn span_from(&self, start: usize) -> Span {
        let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Span::new(place(start), place(self.at))
    }

    fn emit(&mut self, kind: Tok, start: usize) {
        let span = self.span_from(start);
        self.out.tokens.push(Token { kind, span });
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        if self.out.errors.len() < MAX_ERRORS {
            self.out.errors.push(diagnostic);
        }
    }

    /// Whether a value ends right here, without a space between.
    fn after_value(&self) -> bool {
        self.out.tokens.last().is_some_and(|t| t.kind.ends_value() && t.span.end as usize == self.at)
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.source.len() && wanted(self.byte(0)) {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        self.skip_while(|b| b != b'\n');
    }

    fn word(&mut self) {
        let start = self.at;
        self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        let text = &self.source[start..self.at];
        match Tok::keyword(text) {
            Some(keyword) => self.emit(keyword, start),
            None => match foreign::word(text) {
                Some((kind, spelling)) => {
                    let message = format!("`{text}` is spelled `{spelling}` here");
                    let error = Diagnostic::new(codes::OTHER_SPELLING, message);
                    let span = self.span_from(start);
                    self.error(error.primary(span, "").help(format!("write `{spelling}`")));
                    self.emit(kind, start);
                }
                None => self.emit(Tok::Ident, start),
            },
        }
    }

    fn string(&mut self) {
        let start = self.at;
        self.at += 1;
        self.skip_while(|b| b != b'"' && b != b'\n');
        if self.byte(0) == b'"' && self.at < self.source.len() {
            self.at += 1;
        } else {
            let error = Diagnostic::new(codes::UNCLOSED_STRING, "this string does not end on its line");
            let span = self.span_from(start);
            self.error(error.primary(span, "").help("close it with `\"`"));
        }
        self.emit(Tok::Str, start);
    }

    fn positional(&mut self) {
        let start = self.at;
        self.at += 1;
        self.skip_while(|b| b.is_ascii_digit());
        let digits = &self.source[start + 1..self.at];
        let kind = digits.parse().map(Tok::Positional).unwrap_or(Tok::Error);
        if kind == Tok::Error {
            let what =
                if digits.is_empty() { "a number must follow `$`" } else { "this number is too large" };
            let span = self.span_from(start);
            let error = Diagnostic::new(codes::BAD_POSITIONAL, what).primary(span, "");
            self.error(error.help("the positional parameters are `$0`, `$1`, …"));
        }
        self.emit(kind, start);
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let mut open = 0_usize;
        while self.at < self.source.len() {
            match (self.byte(0), self.byte(1)) {
                (b'/', b'*') => {
                    open += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    open -= 1;
                    self.at += 2;
                    if open == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
        let opening = Span::new(self.span_from(start).start, self.span_from(start).start + 2);
        let message = "this comment does not end";
        let error = Diagnostic::new(codes::UNCLOSED_COMMENT, message).primary(opening, "it begins here");
        let error = if open > 1 { error.note(format!("{open} comments are open at the end")) } else { error };
        self.error(error.help("close it with `*/`; comments nest"));
    }
}

/// The token of operators and brackets at the start of the text, the longest first.
fn punctuation(text: &[u8]) -> Option<(Tok, usize)> {
    if text.starts_with(b"...") {
        return Some((Tok::Ellipsis, 3));
    }
    if let Some(kind) = text.get(..2).and_then(two_bytes) {
        // `..=`, `<<` and `>>` are other languages' operators.
        return (!text.starts_with(b"..=")).then_some((kind, 2));
    }
    let kind = match *text.first()? {
        b'<' | b'>' if text.get(1) == text.first() => return None,
        b'|' if text.get(1) == Some(&b'>') => return None,
        b'.' if text.get(1).is_some_and(|b| b"*/^'".contains(b)) => return None,
        b'(' => Tok::LParen,
        b')' => Tok::RParen,
        b'[' => Tok::LBracket,
        b']' => Tok::RBracket,
        b'{' => Tok::LBrace,
        b'}' => Tok::RBrace,
        b',' => Tok::Comma,
        b';' => Tok::Semi,
        b':' => Tok::Colon,
        b'.' => Tok::Dot,
        b'|' => Tok::Pipe,
        b'+' => Tok::Plus,
        b'-' => Tok::Minus,
        b'*' => Tok::Star,
        b'/' => Tok::Slash,
        b'%' => Tok::Percent,
        b'@' => Tok::At,
        b'!' => Tok::Bang,
        b'<' => Tok::Lt,
        b'>' => Tok::Gt,
        b'=' => Tok::Eq,
        _ => return None,
    };
    Some((kind, 1))
}

fn two_bytes(text: &[u8]) -> Option<Tok> {
    Some(match text {
        b".." => Tok::DotDot,
        b"->" => Tok::Arrow,
        b"**" => Tok::StarStar,
        b"<=" => Tok::Le,
        b">=" => Tok::Ge,
        b"==" => Tok::EqEq,
        b"!=" => Tok::Ne,
        b"&&" => Tok::AndAnd,
        b"||" => Tok::OrOr,
        b"+=" => Tok::PlusEq,
        b"-=" => Tok::MinusEq,
        b"*=" => Tok::StarEq,
        b"/=" => Tok::SlashEq,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<Tok> {
        let lexed = lex(source);
        assert_eq!(lexed.errors, [], "{source}");
        lexed.tokens.iter().map(|t| t.kind).collect()
    }

    fn codes_of(source: &str) -> Vec<u16> {
        lex(source).errors.iter().map(|e| e.code.0).collect()
    }

    #[test]
    fn ranges_and_numbers_share_dots() {
        use Tok::{Colon, DotDot, Ellipsis, Eof, Number};
        assert_eq!(kinds("1:3"), [Number(0), Colon, Number(1), Eof]);
        assert_eq!(kinds("0..10"), [Number(0), DotDot, Number(1), Eof]);
        assert_eq!(kinds("1.5..2.5"), [Number(0), DotDot, Number(1), Eof]);
        assert_eq!(kinds("..5"), [DotDot, Number(0), Eof]);
        assert_eq!(kinds("..."), [Ellipsis, Eof]);
    }

    #[test]
    fn comments_bom_and_line_ends_vanish() {
        assert_eq!(kinds("\u{feff}a // é '#\r\n /* 1 /* 2 */ 3 */ b"), [Tok::Ident, Tok::Ident, Tok::Eof]);
        assert_eq!(codes_of("/* /* */"), [5]);
    }

    #[test]
    fn a_run_of_unknown_characters_is_one_error() {
        assert_eq!(codes_of("a ☃☃☃ b ??? c"), [1, 2]);
        assert_eq!(codes_of(&"☃ ".repeat(1000)).len(), MAX_ERRORS);
    }

    #[test]
    fn other_spellings_stand_for_their_tokens() {
        let lexed = lex("a ^ b & c and not ~d.*e'");
        assert!(lexed.errors.iter().all(|e| e.code == codes::OTHER_SPELLING && e.help.is_some()));
        assert_eq!(lexed.errors.len(), 7);
        let kinds: Vec<Tok> = lexed.tokens.iter().map(|t| t.kind).collect();
        use Tok::{AndAnd, Bang, Eof, Ident, Star, StarStar};
        assert_eq!(
            kinds,
            [Ident, StarStar, Ident, AndAnd, Ident, AndAnd, Bang, Bang, Ident, Star, Ident, Eof]
        );
    }
}
