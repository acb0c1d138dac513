//! Constructs of other languages, and what is written here instead.
//!
//! The lexer knows their operators ([`crate::lexer`]); here are their words. Each one is a name in other places, so that
//! it is told only where a name cannot stand, by what follows it or goes before it.

use super::{Parser, Reported};
use crate::ast::{DTypeExpr, ExprId};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::Tok;
use matex_ir::Span;

/// Values longer than this are not repeated in a help line.
const SHOWN: usize = 40;

impl Parser<'_> {
    /// Reports a word that begins a statement or a program elsewhere and cannot begin one here.
    pub(super) fn foreign_start(&mut self) -> Option<Reported> {
        let next = self.kind_at(1);
        let begins_value = begins_value(next);
        let (text, after_block) = (self.text(), self.text_of(self.previous) == "}");
        let help = match text {
            "def" | "function" | "func" | "fun" if next == Tok::Ident => {
                return Some(self.no_function());
            }
            "import" | "from" | "use" | "using" | "include" if begins_value => {
                return Some(self.no_imports());
            }
            "elif" | "elsif" | "elseif" if begins_value || after_block => "write `else if`",
            "match" | "switch" if begins_value => "write `if a { … } else if b { … } else { … }`",
            "loop" | "do" | "repeat" if next == Tok::LBrace => {
                "write `for i in 0..n { … }`, or `while c { … }`"
            }
            "const" | "var" | "val" | "mut" | "auto" if next == Tok::Ident => {
                "leave it out: the first assignment declares"
            }
            "break" | "continue" | "pass" if matches!(next, Tok::Semi | Tok::RBrace) => {
                "loops run to their end; use `while` with a condition"
            }
            _ => return None,
        };
        let error = self.no_word(help);
        Some(self.report(error))
    }

    fn no_function(&mut self) -> Reported {
        let message = format!("a function begins with `fn`, not with `{}`", self.text());
        let error = Diagnostic::new(codes::OTHER_LANGUAGE, message).primary(self.span(), "");
        self.report(error.help("write `fn name(x: f64[n]) -> f64[n] { … }`"))
    }

    fn no_imports(&mut self) -> Reported {
        let error = Diagnostic::new(codes::OTHER_LANGUAGE, "there are no imports").primary(self.span(), "");
        self.report(error.help("leave it out: every function is there by its name, as in `sqrt(x)`"))
    }

    /// Reports the word before an `fn`, and takes it.
    pub(super) fn foreign_modifier(&mut self) {
        let error = self.no_word("leave it out: a function begins with `fn`");
        self.report(error);
        self.bump();
    }

    /// Reports and takes the `mut` of `let mut`.
    pub(super) fn no_mut(&mut self) {
        if self.kind() == Tok::Ident && self.text() == "mut" && self.kind_at(1) == Tok::Ident {
            let error = self.no_word("leave it out: every variable can be assigned again");
            self.report(error);
            self.bump();
        }
    }

    /// Reports a word that goes on after a value elsewhere: `x as f32`, `x if c else y`.
    pub(super) fn foreign_end(&mut self, value: ExprId) -> Option<Reported> {
        let span = self.ast[value].span;
        let shown = match self.text_of(span) {
            long if long.len() > SHOWN || long.contains('\n') => "x",
            short => short,
        };
        let (error, help) = match (self.kind(), self.text()) {
            (Tok::If, _) => {
                let message = "an `if` does not follow a value";
                let error = Diagnostic::new(codes::UNEXPECTED_TOKEN, message).primary(self.span(), "");
                (
                    error,
                    format!("write `if c {{ {shown} }} else {{ … }}`, or `where(c, {shown}, …)` elementwise"),
                )
            }
            (Tok::Ident, "as") => {
                let dtype = self.tokens.get(self.at + 1).and_then(|t| DTypeExpr::meant(self.text_of(t.span)));
                let dtype = dtype.map_or("f64", matex_ir::DType::name);
                (self.no_word(""), format!("write `cast({shown}, {dtype})`"))
            }
            (Tok::Ident, "mod" | "rem") => (self.no_word(""), format!("write `{shown} % …`")),
            (Tok::Ident, "div") => (self.no_word(""), format!("write `floor_divide({shown}, …)`")),
            (Tok::Ident, "is") => (self.no_word(""), format!("write `{shown} == …`")),
            (Tok::Ident, "xor") => (self.no_word(""), format!("write `logical_xor({shown}, …)`")),
            _ => return None,
        };
        Some(self.report(error.help(help)))
    }

    /// Names that are values or begin them elsewhere, and are followed here by what follows no name: what is wrong, and
    /// what to write.
    pub(super) fn foreign_value(&self) -> Option<(&'static str, &'static str)> {
        let next = self.kind_at(1);
        Some(match self.text() {
            "None" => (
                "there is no `None`",
                "write `newaxis` in an index, and leave out an argument that is not given",
            ),
            "lambda" if matches!(next, Tok::Ident | Tok::Colon) => {
                ("a lambda is written between bars", "write `|x| x + 1`")
            }
            "match" | "switch" if begins_value(next) => {
                ("there is no `match`", "write `if a { … } else if b { … } else { … }`")
            }
            _ => return None,
        })
    }

    /// What to write instead of the current token, which cannot go on inside of a bracket.
    pub(super) fn inside_help(&self, open: Span) -> Option<&'static str> {
        Some(match (self.text_of(open), self.kind()) {
            ("[", Tok::For) => "there are no comprehensions: write `vmap(|x| x**2)(xs)`",
            ("[", Tok::Semi) => "rows are lists of their own: `[[1, 2], [3, 4]]`",
            ("(", Tok::DotDot) => {
                "a range stands only behind `in` and in an index; backwards: `for i in 0..n { j = n - 1 - i; … }`"
            }
            (_, Tok::If) => "write `if c { a } else { b }` in parentheses",
            ("[", kind) if begins_value(kind) => {
                "elements stand between commas, and rows are lists of their own: `[[1, 2], [3, 4]]`"
            }
            (_, kind) if begins_value(kind) => "write `,` between two values, or an operator",
            _ => return None,
        })
    }

    /// That the word at hand is none of the language.
    fn no_word(&self, help: &str) -> Diagnostic {
        let message = format!("there is no `{}`", self.text());
        Diagnostic::new(codes::OTHER_LANGUAGE, message).primary(self.span(), "").help(help)
    }
}

/// Whether a value may begin with it that cannot go on one.
fn begins_value(kind: Tok) -> bool {
    let word = matches!(kind, Tok::Ident | Tok::True | Tok::False);
    word || matches!(kind, Tok::Number(_) | Tok::Positional(_) | Tok::Bang)
}
