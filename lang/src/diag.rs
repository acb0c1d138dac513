//! What is wrong with a program: one structured value, made where the error is found and drawn at the edge.
//!
//! Every diagnostic has a code from the catalogue ([`codes`](crate::codes)), the places it speaks of, and, wherever
//! one can be given, a help line that says what to type. [`render`](crate::render::render) draws it.

use matex_ir::{Code, Span};
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    /// There is no result.
    #[default]
    Error,
    /// There is a result, and something to know about it.
    Warning,
}

impl Severity {
    /// The word in front of a diagnostic.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One error or warning, with the places it speaks of.
///
/// ```
/// use matex_lang::{Diagnostic, Span, codes};
///
/// let d = Diagnostic::new(codes::SHAPES_DO_NOT_BROADCAST, "shapes do not broadcast")
///     .primary(Span::new(4, 5), "f64[n]")
///     .secondary(Span::new(8, 9), "f64[n, k]")
///     .note("axis 1: n and k are different sizes")
///     .help("write y[:, newaxis] to make y a column");
/// assert_eq!(d.to_string(), "error[E0203]: shapes do not broadcast");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The stable number.
    pub code: Code,
    /// The one line that says what is wrong.
    pub message: String,
    /// The places, the primary one first when the maker put it first.
    pub labels: Vec<Label>,
    /// Facts that explain it.
    pub notes: Vec<String>,
    /// What to type.
    pub help: Option<String>,
}

/// A place that a [`Diagnostic`] speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to say there; may be empty.
    pub message: String,
    /// Whether the error is here, rather than something that it depends on.
    pub primary: bool,
}

impl Diagnostic {
    /// A diagnostic that has no place yet.
    pub fn new(code: Code, message: impl Into<String>) -> Diagnostic {
        let severity = Severity::Error;
        Diagnostic {
            severity,
            code,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// A warning that has no place yet.
    pub fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::new(code, message) }
    }

    /// Adds a place where the error is.
    #[must_use]
    pub fn primary(self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.label(span, message.into(), true)
    }

    /// Adds a place that the error depends on.
    #[must_use]
    pub fn secondary(self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.label(span, message.into(), false)
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Says what to type; a second call replaces the first one's text.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The place of the first primary label, or of the first label if none is primary.
    pub fn span(&self) -> Option<Span> {
        self.labels.iter().find(|l| l.primary).or(self.labels.first()).map(|l| l.span)
    }

    fn label(mut self, span: Span, message: String, primary: bool) -> Diagnostic {
        self.labels.push(Label { span, message, primary });
        self
    }
}

impl fmt::Display for Diagnostic {
    /// The first line of the drawing, for places that have no source text at hand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity.name(), self.code, self.message)
    }
}

impl std::error::Error for Diagnostic {}
