//! What is wrong with a program: one structured value, made where the error is found and drawn at the edge.
//!
//! Every diagnostic has a code from the catalogue ([`codes`](crate::codes)), the places it speaks of, and, wherever
//! one can be given, a help line that says what to type. [`render`](crate::render::render) draws it.

use matex_ir::{Code, Span};
use std::fmt;

/// How bad it is.
///
/// ```
/// # use matex_lang as matex;
/// assert_eq!(matex::Severity::Warning.name(), "warning");
/// ```
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
    ///
    /// ```
    /// # use matex_lang as matex;
    /// assert_eq!(matex::Severity::Error.name(), "error");
    /// ```
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
///
/// ```
/// # use matex_lang as matex;
/// use matex::{Code, Diagnostic, Span};
/// let d = Diagnostic::new(Code(203), "no").primary(Span::new(0, 1), "here");
/// assert!(d.labels[0].primary && d.labels[0].message == "here");
/// ```
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
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::{Code, Diagnostic};
    /// assert_eq!(Diagnostic::new(Code(101), "no such name").to_string(), "error[E0101]: no such name");
    /// ```
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
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::{Code, Diagnostic};
    /// assert_eq!(Diagnostic::warning(Code(710), "about singular").to_string(), "warning[E0710]: about singular");
    /// ```
    pub fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::new(code, message) }
    }

    /// Adds a place where the error is.
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::{Code, Diagnostic, Span};
    /// let d = Diagnostic::new(Code(101), "no such name").primary(Span::new(2, 5), "this one");
    /// assert_eq!(d.span(), Some(Span::new(2, 5)));
    /// ```
    #[must_use]
    pub fn primary(self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.label(span, message.into(), true)
    }

    /// Adds a place that the error depends on.
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::{Code, Diagnostic, Span};
    /// let d = Diagnostic::new(Code(101), "no").secondary(Span::new(0, 1), "declared here");
    /// assert!(!d.labels[0].primary);
    /// ```
    #[must_use]
    pub fn secondary(self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.label(span, message.into(), false)
    }

    /// Adds a fact.
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::{Code, Diagnostic};
    /// assert_eq!(Diagnostic::new(Code(101), "no").note("a fact").notes, ["a fact"]);
    /// ```
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Says what to type; a second call replaces the first one's text.
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::{Code, Diagnostic};
    /// assert_eq!(Diagnostic::new(Code(101), "no").help("write y").help.as_deref(), Some("write y"));
    /// ```
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The place of the first primary label, or of the first label if none is primary.
    ///
    /// ```
    /// # use matex_lang as matex;
    /// use matex::{Code, Diagnostic};
    /// assert_eq!(Diagnostic::new(Code(101), "no").span(), None);
    /// ```
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
