//! Draws diagnostics as text with the source lines they speak of.
//!
//! Drawing happens at the edge: everything before it carries [`Diagnostic`]s. Any source and any span will do, since
//! spans may come from a caller and sources from strangers: spans are clamped to the text, and characters that would
//! move a terminal's cursor or turn its text around are drawn as a replacement.

mod excerpt;

use crate::diag::{self, Diagnostic};
use codespan_reporting::diagnostic::{self as drawn, LabelStyle, Severity};
use codespan_reporting::term::{self, Config, WriteStyle};
use excerpt::Excerpt;
use matex_ir::Span;
use std::io::{self, Write};
use std::ops::Range;

/// Draws the diagnostics one after another, with an empty line between them. `color` asks for ANSI escapes.
///
/// ```
/// use matex_lang::{Diagnostic, Span, codes, render::render};
///
/// let d = Diagnostic::new(codes::SHAPES_DO_NOT_BROADCAST, "shapes do not broadcast")
///     .primary(Span::new(0, 1), "f64[n]")
///     .secondary(Span::new(4, 5), "f64[n, k]");
/// let text = render(&[d], "ols.mx", "y - X", false);
/// assert!(text.starts_with("error[E0203]: shapes do not broadcast\n  ┌─ ols.mx:1:1\n"));
/// ```
pub fn render(diagnostics: &[Diagnostic], file_name: &str, source: &str, color: bool) -> String {
    // A BOM has no width, and leaving it in would shift the columns of the first line.
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    let offset = source.len() - text.len();
    let (name, text) = (harmless(file_name), harmless(text));
    let mut out = Vec::new();
    for diagnostic in diagnostics {
        let mut ranges: Vec<_> = diagnostic.labels.iter().map(|l| clamp(l.span, &text, offset)).collect();
        let file = Excerpt::new(&name, &text, &mut ranges);
        let drawing = drawing(diagnostic, ranges);
        let mut writer = Ansi { out: &mut out, color };
        // Neither writing to memory nor clamped spans can fail; the first line alone is the fallback all the same.
        if term::emit_to_write_style(&mut writer, &Config::default(), &file, &drawing).is_err() {
            out.extend_from_slice(format!("{diagnostic}\n").as_bytes());
        }
    }
    tidy(&String::from_utf8_lossy(&out))
}

/// The same diagnostic in codespan's terms, with the range of each label.
fn drawing(diagnostic: &Diagnostic, ranges: Vec<Range<usize>>) -> drawn::Diagnostic<()> {
    let labels = diagnostic.labels.iter().zip(ranges).map(|(label, range)| {
        let style = if label.primary { LabelStyle::Primary } else { LabelStyle::Secondary };
        drawn::Label::new(style, (), range).with_message(harmless(&label.message))
    });
    let help = diagnostic.help.iter().map(|help| format!("help: {help}"));
    let notes = diagnostic.notes.iter().cloned().chain(help).map(|note| harmless(&note));
    let severity = match diagnostic.severity {
        diag::Severity::Error => Severity::Error,
        diag::Severity::Warning => Severity::Warning,
    };
    drawn::Diagnostic::new(severity)
        .with_code(diagnostic.code.to_string())
        .with_message(harmless(&diagnostic.message))
        .with_labels(labels.collect())
        .with_notes(notes.collect())
}

/// The span as a range of `text`: within it, in order, and on the borders of characters.
fn clamp(span: Span, text: &str, offset: usize) -> Range<usize> {
    let place = |byte: u32| {
        let at = usize::try_from(byte).unwrap_or(usize::MAX).saturating_sub(offset).min(text.len());
        text.floor_char_boundary(at)
    };
    let start = place(span.start);
    start..place(span.end).max(start)
}

/// The text with every character that a terminal would obey replaced by as many bytes that are harmless, so that
/// spans keep their meaning.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if text[at..].starts_with("\r\n") => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {
                out.push('\u{fffd}');
            }
            _ if c.is_control() => out.extend(std::iter::repeat_n('?', c.len_utf8())),
            _ => out.push(c),
        }
    }
    out
}

/// Without the spaces at the ends of lines and the empty line after the last diagnostic.
fn tidy(text: &str) -> String {
    let mut out: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// A writer to memory that adds ANSI colours when they are wanted.
struct Ansi<'a> {
    out: &'a mut Vec<u8>,
    color: bool,
}

impl Ansi<'_> {
    fn set(&mut self, style: &str) -> io::Result<()> {
        if self.color { write!(self.out, "\x1b[{style}m") } else { Ok(()) }
    }
}

impl Write for Ansi<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const BOLD_RED: &str = "0;1;31";
const BOLD_YELLOW: &str = "0;1;33";
const BOLD: &str = "0;1";
const BLUE: &str = "0;34";

/// The colour of what a diagnostic is about.
fn strong(severity: Severity) -> &'static str {
    if severity >= Severity::Error { BOLD_RED } else { BOLD_YELLOW }
}

impl WriteStyle for Ansi<'_> {
    fn set_header(&mut self, severity: Severity) -> io::Result<()> {
        self.set(strong(severity))
    }

    fn set_header_message(&mut self) -> io::Result<()> {
        self.set(BOLD)
    }

    fn set_line_number(&mut self) -> io::Result<()> {
        self.set(BLUE)
    }

    fn set_note_bullet(&mut self) -> io::Result<()> {
        self.set(BLUE)
    }

    fn set_source_border(&mut self) -> io::Result<()> {
        self.set(BLUE)
    }

    fn set_label(&mut self, severity: Severity, style: LabelStyle) -> io::Result<()> {
        self.set(match style {
            LabelStyle::Primary => strong(severity),
            LabelStyle::Secondary => BLUE,
        })
    }

    fn reset(&mut self) -> io::Result<()> {
        self.set("0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use proptest::prelude::*;

    fn one(spans: &[(u32, u32)]) -> Diagnostic {
        let new = Diagnostic::new(codes::SHAPES_DO_NOT_BROADCAST, "shapes do not broadcast");
        spans.iter().enumerate().fold(new, |d, (i, &(start, end))| {
            let span = Span::new(start, end);
            if i == 0 { d.primary(span, "here\u{1b}[2J") } else { d.secondary(span, "") }
        })
    }

    #[test]
    fn the_example_of_the_contract() {
        let source = "fn f(y: f64[n], X: f64[n, k]) {\r\n\tr = 1;\r\n    r = y - X;\r\n}\r\n";
        let at = |c: &str| u32::try_from(source.rfind(c).unwrap()).unwrap();
        let d = Diagnostic::new(codes::SHAPES_DO_NOT_BROADCAST, "shapes do not broadcast")
            .secondary(Span::new(at("y -"), at("y -") + 1), "f64[n]")
            .secondary(Span::new(at("X;"), at("X;") + 1), "f64[n, k]")
            .note("axis 1: n and k are different sizes")
            .help("write y[:, newaxis] to make y a column");
        insta::assert_snapshot!(render(&[d], "ols.mx", source, false));
    }

    #[test]
    fn a_warning_says_that_it_is_one() {
        let d = Diagnostic::warning(codes::ILL_CONDITIONED, "the matrix is nearly singular");
        let text = render(&[d.primary(Span::new(0, 3), "")], "a.mx", "inv(A)", false);
        assert!(text.starts_with("warning[E0709]: the matrix is nearly singular\n"), "{text}");
    }

    #[test]
    fn a_long_line_is_cut_around_its_labels() {
        let source = format!("// é\n{}{}", "é+".repeat(50_000), "b @ c");
        let end = u32::try_from(source.len()).unwrap();
        let text = render(&[one(&[(end - 3, end - 2), (end - 5, end)])], "long.mx", &source, false);
        assert!(text.contains("long.mx:2:100003\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 220), "{text}");
        assert!(text.contains("+b @ c\n"), "{text}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_drawn() {
        let text = render(&[one(&[(0, 1)])], "a\u{1b}]0;b\u{7}", "a \u{1b}[31m\u{202e}\u{9b}\0", false);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_source_and_any_span(
            source in "(\u{feff})?([a-z é☃\t]{0,20}(\r\n|\n|\r)?){0,12}",
            long in 0..400_usize,
            spans in prop::collection::vec((0..300_u32, 0..300_u32), 0..4),
        ) {
            let source = source.replacen('a', &"é".repeat(long), 1);
            let end = u32::MAX;
            for spans in [spans, vec![(end, end)], vec![(end, 0)], vec![(0, end)]] {
                prop_assert!(render(&[one(&spans)], "any.mx", &source, false).starts_with("error[E0203]"));
            }
        }
    }
}
