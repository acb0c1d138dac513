//! Characters and words of other languages, and what they are called here.
//!
//! People bring the spelling of NumPy, MATLAB, C and mathematics along. Each slip that can be told apart gets a hint
//! that names the right spelling, and the token that was meant.

use super::{Lexer, Tok};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::Code;

/// A slip: what was written, the token that stands for it, and what to type instead. No token: it is left out.
struct Slip {
    written: &'static str,
    means: Option<Tok>,
    code: Code,
    help: &'static str,
}

const fn slip(written: &'static str, means: Option<Tok>, help: &'static str) -> Slip {
    Slip { written, means, code: codes::OTHER_SPELLING, help }
}

const fn symbol(written: &'static str, means: Option<Tok>, help: &'static str) -> Slip {
    Slip { written, means, code: codes::UNKNOWN_CHARACTER, help }
}

/// The slips, longer ones before their own beginnings.
const SLIPS: &[Slip] = &[
    slip("..=", Some(Tok::DotDot), "ranges leave their end out: write `a..b + 1`"),
    slip("|>", Some(Tok::Error), "write `f(x)` or `x.f()` for `x |> f`"),
    slip("<<", Some(Tok::Star), "write `bitwise_left_shift(a, n)`"),
    slip(">>", Some(Tok::Star), "write `bitwise_right_shift(a, n)`"),
    slip(".**", Some(Tok::StarStar), "`**` is elementwise already"),
    slip(".*", Some(Tok::Star), "write `*`: it is elementwise, and `@` is the matrix product"),
    slip(".^", Some(Tok::StarStar), "write `**`: it is elementwise"),
    slip(".'", None, "write `.T` for the transpose"),
    slip("./", Some(Tok::Slash), "write `/`: it is elementwise"),
    slip("^", Some(Tok::StarStar), "write `**` for a power, or `bitwise_xor(a, b)`"),
    slip("&", Some(Tok::AndAnd), "write `&&` for a logical and, or `bitwise_and(a, b)`"),
    slip("~", Some(Tok::Bang), "write `!` for a logical not, or `bitwise_invert(a)`"),
    slip("\\", Some(Tok::At), "write `solve(A, b)` for `A \\ b`"),
    slip("?", Some(Tok::Error), "write `if c { a } else { b }`, or `where(c, a, b)` elementwise"),
    symbol("×", Some(Tok::Star), "write `*`"),
    symbol("·", Some(Tok::Star), "write `*`, or `@` for the matrix product"),
    symbol("÷", Some(Tok::Slash), "write `/`"),
    symbol("−", Some(Tok::Minus), "write the ASCII `-`"),
    symbol("–", Some(Tok::Minus), "write the ASCII `-`"),
    symbol("≤", Some(Tok::Le), "write `<=`"),
    symbol("≥", Some(Tok::Ge), "write `>=`"),
    symbol("≠", Some(Tok::Ne), "write `!=`"),
    symbol("π", Some(Tok::Ident), "write `pi`"),
    symbol("∞", Some(Tok::Ident), "write `inf`"),
    symbol("√", Some(Tok::Error), "write `sqrt(x)`"),
    symbol("²", None, "write `**2`"),
    symbol("³", None, "write `**3`"),
    symbol("“", Some(Tok::Error), "write the ASCII `\"`"),
    symbol("”", Some(Tok::Error), "write the ASCII `\"`"),
    symbol("\u{a0}", None, "type a plain space"),
];

/// The token and the spelling here of a word that is an operator or a constant in Python.
pub(super) fn word(text: &str) -> Option<(Tok, &'static str)> {
    Some(match text {
        "and" => (Tok::AndAnd, "&&"),
        "or" => (Tok::OrOr, "||"),
        "not" => (Tok::Bang, "!"),
        "True" => (Tok::True, "true"),
        "False" => (Tok::False, "false"),
        _ => return None,
    })
}

impl Lexer<'_> {
    /// Reads what no token begins with.
    pub(super) fn foreign(&mut self) {
        let start = self.at;
        if self.byte(0) == b'#' {
            self.at += 1;
            self.report_slip(start, codes::OTHER_SPELLING, "write `//` before a comment", "#");
            return self.skip_line();
        }
        if self.byte(0) == b'\'' {
            return self.quote();
        }
        let operand = self.out.tokens.last().is_some_and(|t| t.kind.ends_value());
        if self.byte(0) == b'&' && !operand {
            self.at += 1;
            let help = "leave it out: there are no references, and no value ever changes";
            return self.report_slip(start, codes::OTHER_SPELLING, help, "&");
        }
        if let Some(slip) = SLIPS.iter().find(|s| self.rest().starts_with(s.written)) {
            while self.rest().starts_with(slip.written) {
                self.at += slip.written.len();
            }
            self.report_slip(start, slip.code, slip.help, slip.written);
            if let Some(kind) = slip.means {
                self.emit(kind, start);
            }
            return;
        }
        self.unknown_run();
    }

    fn report_slip(&mut self, start: usize, code: Code, help: &str, written: &str) {
        let written = if written == "\u{a0}" { "a no-break space" } else { &format!("`{written}`") };
        let message = format!("{written} is not part of the language");
        let span = self.span_from(start);
        self.error(Diagnostic::new(code, message).primary(span, "").help(help));
    }

    /// `'` behind a value is MATLAB's transpose, elsewhere Python's quote.
    fn quote(&mut self) {
        let start = self.at;
        let transpose = self.after_value();
        self.at += 1;
        if transpose {
            return self.report_slip(start, codes::OTHER_SPELLING, "write `.T` for the transpose", "'");
        }
        let line = self.rest().lines().next().unwrap_or("");
        if let Some(length) = line.find('\'') {
            self.at += length + 1;
            self.report_slip(start, codes::OTHER_SPELLING, "strings are quoted with `\"`", "'");
            self.emit(Tok::Str, start);
        } else {
            self.report_slip(start, codes::OTHER_SPELLING, "strings are quoted with `\"`", "'");
            self.emit(Tok::Error, start);
        }
    }

    fn unknown_run(&mut self) {
        let start = self.at;
        let known = |c: char| {
            c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_\"$()[]{},;:.|+-*/%@!<>=&#'".contains(c)
        };
        let length: usize = self.rest().chars().take_while(|&c| !known(c)).map(char::len_utf8).sum();
        // The current character is known to no rule, even where it begins a known one.
        self.at += length.max(self.rest().chars().next().map_or(1, char::len_utf8));
        let shown: String =
            self.source[start..self.at].chars().take(20).flat_map(char::escape_debug).collect();
        let letter = self.source[start..self.at].chars().any(char::is_alphabetic);
        let error =
            Diagnostic::new(codes::UNKNOWN_CHARACTER, format!("`{shown}` is not part of the language"));
        let span = self.span_from(start);
        let error = error.primary(span, "");
        self.error(if letter {
            error.help("names are made of ASCII letters, digits and `_`")
        } else {
            error
        });
        self.emit(Tok::Error, start);
    }
}
