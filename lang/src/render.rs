//! Draws diagnostics as text with the source lines they speak of.
//!
//! Drawing happens at the edge: everything before it carries [`Diagnostic`]s. Any source and any span will do, since
//! spans may come from a caller and sources from strangers: spans are clamped to the text, and characters that would
//! move a terminal's cursor or turn its text around are drawn as a replacement.

use crate::diag::Diagnostic;
use codespan_reporting::diagnostic::{self as drawn, LabelStyle, Severity};
use codespan_reporting::files::SimpleFile;
use codespan_reporting::term::{self, Config, WriteStyle};
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
    let file = SimpleFile::new(harmless(file_name), harmless(text));
    let mut out = Vec::new();
    for (i, diagnostic) in diagnostics.iter().enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        let drawing = drawing(diagnostic, file.source(), offset);
        let mut writer = Ansi { out: &mut out, color };
        // Neither writing to memory nor clamped spans can fail; the first line alone is the fallback all the same.
        if term::emit_to_write_style(&mut writer, &Config::default(), &file, &drawing).is_err() {
            out.extend_from_slice(format!("{diagnostic}\n").as_bytes());
        }
    }
    tidy(&String::from_utf8_lossy(&out))
}

/// The same diagnostic in codespan's terms. `text` is the source after its first `offset` bytes.
fn drawing(diagnostic: &Diagnostic, text: &str, offset: usize) -> drawn::Diagnostic<()> {
    let labels = diagnostic.labels.iter().map(|label| {
        let range = clamp(label.span, text, offset);
        let style = if label.primary { LabelStyle::Primary } else { LabelStyle::Secondary };
        drawn::Label::new(style, (), range).with_message(harmless(&label.message))
    });
    let help = diagnostic.help.iter().map(|help| format!("help: {help}"));
    let notes = diagnostic.notes.iter().cloned().chain(help).map(|note| harmless(&note));
    drawn::Diagnostic::error()
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

/// Without the spaces at the ends of lines and the empty line after the last one.
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
const BOLD: &str = "0;1";
const BLUE: &str = "0;34";

impl WriteStyle for Ansi<'_> {
    fn set_header(&mut self, _severity: Severity) -> io::Result<()> {
        self.set(BOLD_RED)
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

    fn set_label(&mut self, _severity: Severity, style: LabelStyle) -> io::Result<()> {
        self.set(match style {
            LabelStyle::Primary => BOLD_RED,
            LabelStyle::Secondary => BLUE,
        })
    }

    fn reset(&mut self) -> io::Result<()> {
        self.set("0")
    }
}
