//! Colours of a line while it is typed.

use matex_lang::functions;
use std::collections::HashSet;
use std::sync::LazyLock;

/// The words of the language itself.
pub(super) const KEYWORDS: [&str; 11] =
    ["fn", "let", "for", "while", "in", "if", "else", "return", "true", "false", "newaxis"];

static FUNCTIONS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| functions().iter().map(|(name, _)| *name).collect());

const KEYWORD: &str = "\x1b[35m";
const NUMBER: &str = "\x1b[36m";
const FUNCTION: &str = "\x1b[34m";
const COMMENT: &str = "\x1b[2m";
const STRING: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// The line with colours; without them it is the line that came in.
pub(super) fn color(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut rest = line;
    // A command is a word of its own; what follows it is an expression most of the time.
    if rest.starts_with(':') {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        paint(&mut out, KEYWORD, &rest[..end]);
        rest = &rest[end..];
    }
    while let Some((len, style)) = token(rest) {
        paint(&mut out, style, &rest[..len]);
        rest = &rest[len..];
    }
    out
}

fn paint(out: &mut String, style: &str, text: &str) {
    out.push_str(style);
    out.push_str(text);
    if !style.is_empty() {
        out.push_str(PLAIN);
    }
}

/// The length and the colour of what a text begins with.
fn token(text: &str) -> Option<(usize, &'static str)> {
    let first = text.chars().next()?;
    let run = |part: fn(char) -> bool| text.find(|c| !part(c)).unwrap_or(text.len());
    Some(if text.starts_with("//") {
        (text.find('\n').unwrap_or(text.len()), COMMENT)
    } else if text.starts_with("/*") {
        (comment(text), COMMENT)
    } else if first == '"' {
        (text[1..].find('"').map_or(text.len(), |end| end + 2), STRING)
    } else if first.is_ascii_digit() {
        (run(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.').min(number(text)), NUMBER)
    } else if first.is_ascii_alphabetic() || first == '_' {
        let len = run(|c| c.is_ascii_alphanumeric() || c == '_');
        let word = &text[..len];
        let style = match word {
            _ if KEYWORDS.contains(&word) => KEYWORD,
            _ if FUNCTIONS.contains(word) => FUNCTION,
            _ => "",
        };
        (len, style)
    } else {
        (first.len_utf8(), "")
    })
}

/// The length of a number: `0..3` is two of them with a range between.
fn number(text: &str) -> usize {
    text.find("..").unwrap_or(text.len()).max(1)
}

/// The length of a comment with those inside.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours as letters, to be read.
    fn show(line: &str) -> String {
        let colored = color(line);
        [
            (KEYWORD, "<k "),
            (NUMBER, "<n "),
            (FUNCTION, "<f "),
            (COMMENT, "<c "),
            (STRING, "<s "),
            (PLAIN, ">"),
        ]
        .iter()
        .fold(colored, |text, (code, letter)| text.replace(code, letter))
    }

    #[test]
    fn tokens_have_their_colours() {
        assert_eq!(show("for i in 0..3 { x }"), "<k for> i <k in> <n 0>..<n 3> { x }");
        assert_eq!(show("sum(x) + 1.5e3 // 2"), "<f sum>(x) + <n 1.5e3> <c // 2>");
        assert_eq!(show(":time é /* a /* b */"), "<k :time> é <c /* a /* b */>");
        assert_eq!(show("\"ij"), "<s \"ij>");
    }

    #[test]
    fn nothing_but_colours_is_added() {
        for line in ["x = 1..", "…/*é", "/**//", "1é", "\"", "::", "_1..2", "0x_f..", "1..2"] {
            let plain = [KEYWORD, NUMBER, FUNCTION, COMMENT, STRING, PLAIN]
                .iter()
                .fold(color(line), |text, code| text.replace(code, ""));
            assert_eq!(plain, line);
        }
    }
}
