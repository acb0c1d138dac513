//! The text of a program, and which token each part of it came from.

use proc_macro2::{Delimiter, Group, LineColumn, Spacing, Span, TokenStream, TokenTree};
use std::ops::Range;

/// A program's text while it is put together, with the token behind each byte.
#[derive(Debug, Default)]
pub(crate) struct Text {
    source: String,
    pieces: Vec<(Range<usize>, Span)>,
    /// Where the last token ended, and the column that counts as the first one.
    end: Option<LineColumn>,
    margin: usize,
    /// Whether the next token belongs to the last one.
    joint: bool,
}

impl Text {
    /// The text of tokens as they stand, with their lines and indentation where these are known.
    pub(crate) fn of(tokens: TokenStream) -> Text {
        let mut text = Text::default();
        text.tokens(tokens);
        text
    }

    /// The program.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Adds text that stands for a token.
    pub(crate) fn push(&mut self, written: &str, span: Span) {
        let start = self.source.len();
        self.source.push_str(written);
        self.pieces.push((start..self.source.len(), span));
    }

    /// Adds tokens as they stand.
    pub(crate) fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            self.token(token);
        }
    }

    fn token(&mut self, token: TokenTree) {
        match token {
            TokenTree::Group(group) => self.group(&group),
            TokenTree::Punct(punct) => {
                self.placed(&punct.as_char().to_string(), punct.span());
                self.joint = punct.spacing() == Spacing::Joint;
            }
            TokenTree::Ident(ident) => self.placed(&ident.to_string(), ident.span()),
            TokenTree::Literal(literal) => self.placed(&literal.to_string(), literal.span()),
        }
    }

    fn group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            // A fragment that a macro by example passed on: an expression stays whole.
            Delimiter::None => ("(", ")"),
        };
        self.placed(open, group.span_open());
        self.tokens(group.stream());
        self.placed(close, group.span_close());
    }

    /// Adds a token behind the last one: as far from it as it stands in the source, where that is known.
    fn placed(&mut self, written: &str, span: Span) {
        let start = span.start();
        let gap = match self.end {
            None => {
                self.margin = start.column;
                String::new()
            }
            Some(end) if end.line == start.line && end.column <= start.column => {
                " ".repeat((start.column - end.column).min(MAX_GAP))
            }
            Some(end) if end.line < start.line => {
                let lines = (start.line - end.line).min(MAX_LINES);
                let indent = start.column.saturating_sub(self.margin).min(MAX_GAP);
                "\n".repeat(lines) + &" ".repeat(indent)
            }
            // Tokens of another place: a macro put them here.
            Some(_) => " ".to_owned(),
        };
        // Two words must not become one, whatever the places say.
        let touching = gap.is_empty() && !self.joint && self.ends_in_word() && starts_a_word(written);
        self.source.push_str(if touching {
            " "
        } else if self.joint {
            ""
        } else {
            &gap
        });
        self.joint = false;
        self.push(written, span);
        self.end = Some(span.end());
    }

    fn ends_in_word(&self) -> bool {
        self.source.chars().next_back().is_some_and(is_word)
    }

    /// The tokens at both ends of a part of the text; those around it where there is none inside.
    pub(crate) fn spans(&self, range: Range<usize>) -> (Span, Span) {
        let inside = |piece: &&(Range<usize>, Span)| {
            piece.0.start < range.end.max(range.start + 1) && range.start < piece.0.end
        };
        let first = self.pieces.iter().find(inside);
        let last = self.pieces.iter().rfind(inside);
        let before = || self.pieces.iter().rfind(|p| p.0.end <= range.start).or(self.pieces.first());
        match (first, last) {
            (Some(first), Some(last)) => (first.1, last.1),
            (Some(one), None) | (None, Some(one)) => (one.1, one.1),
            (None, None) => before().map_or_else(|| (Span::call_site(), Span::call_site()), |p| (p.1, p.1)),
        }
    }
}

/// The widest gap and the most empty lines that are kept: they serve the reader, and a generated file may have any.
const MAX_GAP: usize = 120;
const MAX_LINES: usize = 4;

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_a_word(text: &str) -> bool {
    text.chars().next().is_some_and(is_word)
}
