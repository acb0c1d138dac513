//! Numbers: `1`, `1_000`, `0xff`, `1.5`, `1e-3`, `2.5f32`, `3i64`.
//!
//! A dot belongs to a number only with a digit on both sides, so that `0..n` is a range and `2.sqrt()` a call.

use super::{Lexer, Tok};
use crate::ast::{Number, NumberValue};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::DType;

impl Lexer<'_> {
    /// Reads a number that begins with a digit.
    pub(super) fn number(&mut self) {
        let start = self.at;
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X' | b'b' | b'B' | b'o' | b'O') {
            return self.radix();
        }
        self.digits(start);
        let mut float = false;
        if self.byte(0) == b'.' {
            if self.byte(1).is_ascii_digit() {
                float = true;
                self.at += 1;
                self.digits(start);
            } else if self.stray_dot() {
                return self.trailing_dot(start);
            }
        }
        float |= self.exponent(start);
        let text: String = self.source[start..self.at].chars().filter(|&c| c != '_').collect();
        let value = if float {
            text.parse().ok().filter(|v: &f64| v.is_finite()).map(NumberValue::Float)
        } else {
            text.parse().ok().map(NumberValue::Int)
        };
        self.finish(start, value);
    }

    /// `.5`: an error, unless it is meant as a part of a tuple, and then too.
    pub(super) fn leading_dot(&mut self) {
        let start = self.at;
        let part = self.after_value();
        self.at += 1;
        self.skip_while(|b| b.is_ascii_digit() || b == b'_');
        let digits = &self.source[start + 1..self.at];
        let help = if part {
            format!("results are picked by an index: `[{digits}]`")
        } else {
            format!("write `0.{digits}`")
        };
        let error = Diagnostic::new(codes::MALFORMED_NUMBER, "a number begins with a digit");
        let span = self.span_from(start);
        self.error(error.primary(span, "").help(help));
        if !part {
            self.exponent(start);
            self.finish(start, Some(NumberValue::Float(0.0)));
        }
    }

    /// Whether the dot here, with no digit behind it, belongs to no range and to no method.
    fn stray_dot(&self) -> bool {
        let rest = &self.rest()[1..];
        let word: &str =
            &rest[..rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()];
        let exponent = word.strip_prefix(['e', 'E']).is_some_and(|digits| {
            let signed = digits.is_empty() && rest[1..].starts_with(['+', '-']);
            signed && rest[2..].starts_with(|c: char| c.is_ascii_digit())
                || !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        });
        let method = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '.');
        !method || exponent || DType::from_name(word).is_some()
    }

    /// `1.`, with the dot still ahead.
    fn trailing_dot(&mut self, start: usize) {
        let digits = &self.source[start..self.at];
        let help = format!("write `{digits}.0`");
        self.at += 1;
        let error = Diagnostic::new(codes::MALFORMED_NUMBER, "a digit is missing after the dot");
        let span = self.span_from(start);
        self.error(error.primary(span, "").help(help));
        self.exponent(start);
        self.finish(start, Some(NumberValue::Float(0.0)));
    }

    /// Digits with `_` between them.
    fn digits(&mut self, start: usize) {
        self.skip_while(|b| b.is_ascii_digit() || b == b'_');
        if self.source[..self.at].ends_with('_') {
            let error = Diagnostic::new(codes::MALFORMED_NUMBER, "`_` stands only between digits");
            let span = self.span_from(start);
            self.error(error.primary(span, "").help("remove it"));
        }
    }

    fn exponent(&mut self, start: usize) -> bool {
        let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
        let found = matches!(self.byte(0), b'e' | b'E') && self.byte(1 + sign).is_ascii_digit();
        if found {
            self.at += 1 + sign;
            self.digits(start);
        }
        found
    }

    /// `0xff`; `0b` and `0o` are not part of the language.
    fn radix(&mut self) {
        let start = self.at;
        let hex = matches!(self.byte(1), b'x' | b'X');
        self.at += 2;
        self.skip_while(|b| b == b'_' || if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() });
        let text: String = self.source[start + 2..self.at].chars().filter(|&c| c != '_').collect();
        if !hex || text.is_empty() {
            let message =
                if hex { "hexadecimal digits are missing" } else { "only decimal and hexadecimal numbers" };
            let span = self.span_from(start);
            self.error(
                Diagnostic::new(codes::MALFORMED_NUMBER, message)
                    .primary(span, "")
                    .help("write it like `0xff`"),
            );
            return self.finish(start, Some(NumberValue::Int(0)));
        }
        self.finish(start, u128::from_str_radix(&text, 16).ok().map(NumberValue::Int));
    }

    /// Reads the suffix and emits the number; no value means that it was too large.
    fn finish(&mut self, start: usize, value: Option<NumberValue>) {
        let suffix_start = self.at;
        self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        let span = self.span_from(start);
        if value.is_none() {
            let error = Diagnostic::new(codes::NUMBER_TOO_LARGE, "this number is too large to be read");
            self.error(error.primary(span, "").help("`inf` is infinity"));
        }
        let value = value.unwrap_or(NumberValue::Int(0));
        let number = Number { value, suffix: self.suffix(start, suffix_start, value) };
        let index = u32::try_from(self.out.numbers.len()).unwrap_or(u32::MAX);
        self.out.numbers.push(number);
        self.emit(Tok::Number(index), start);
    }

    fn suffix(&mut self, start: usize, suffix_start: usize, value: NumberValue) -> Option<DType> {
        let suffix = &self.source[suffix_start..self.at];
        let digits = &self.source[start..suffix_start];
        let dtype = DType::from_name(suffix).filter(|&d| d != DType::Bool);
        let (message, help) = match (dtype, value) {
            _ if suffix.is_empty() => return None,
            (Some(dtype), NumberValue::Float(_)) if dtype.is_int() => {
                (format!("a fraction cannot be of type {dtype}"), format!("write `cast({digits}, {dtype})`"))
            }
            (Some(dtype), _) => return Some(dtype),
            (None, _) if matches!(suffix, "i" | "j") => {
                ("complex numbers are not part of the language".to_owned(), "keep two tensors".to_owned())
            }
            (None, _) if matches!(suffix, "f" | "F") => {
                (format!("`{suffix}` is not a dtype"), format!("write `{digits}f32`"))
            }
            (None, _) => (
                format!("`{suffix}` is not a dtype"),
                format!("write `{digits} * {suffix}` for a product, or a dtype, as in `{digits}f32`"),
            ),
        };
        let span = self.span_from(suffix_start);
        self.error(Diagnostic::new(codes::MALFORMED_NUMBER, message).primary(span, "").help(help));
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::ast::{Number, NumberValue};
    use crate::lexer::lex;
    use matex_ir::DType;

    fn one(source: &str) -> Number {
        let lexed = lex(source);
        assert_eq!(lexed.errors, [], "{source}");
        assert_eq!((lexed.tokens.len(), lexed.numbers.len()), (2, 1), "{source}");
        lexed.numbers[0]
    }

    #[test]
    fn every_form_reads() {
        let int = |v, suffix| Number { value: NumberValue::Int(v), suffix };
        let float = |v, suffix| Number { value: NumberValue::Float(v), suffix };
        assert_eq!(one("1_000"), int(1000, None));
        assert_eq!(one("0xff"), int(255, None));
        assert_eq!(one("0xffu8"), int(255, Some(DType::U8)));
        assert_eq!(one("3i64"), int(3, Some(DType::I64)));
        assert_eq!(one("3f32"), int(3, Some(DType::F32)));
        assert_eq!(one("1.5"), float(1.5, None));
        assert_eq!(one("1e-3"), float(1e-3, None));
        assert_eq!(one("2.5f32"), float(2.5, Some(DType::F32)));
        assert_eq!(one("1_0.2_5e1_0bf16"), float(10.25e10, Some(DType::BF16)));
        assert_eq!(one(&u128::MAX.to_string()), int(u128::MAX, None));
    }

    #[test]
    fn every_slip_is_told_once() {
        for source in [
            "1.",
            ".5",
            "1.e5",
            "1.e-5",
            "1.f32",
            "1_",
            "0x",
            "0b11",
            "2.5i32",
            "2x",
            "2j",
            "1f",
            "1bool",
            "1e999",
            "340282366920938463463374607431768211456",
            "1. + 2",
            ".5e3",
            "1e",
            "x.0",
        ] {
            assert_eq!(lex(source).errors.len(), 1, "{source}: {:?}", lex(source).errors);
        }
    }

    #[test]
    fn methods_and_ranges_leave_the_dot() {
        for source in ["2.sqrt()", "2.e", "2.exp()", "0..5", "0.5.T", "1...2", "2.e5x"] {
            assert_eq!(lex(source).errors, [], "{source}");
        }
    }
}
