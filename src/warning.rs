//! What a call has to say about results that it gives all the same.

use matex_ir::{Code, Span};
use matex_lang::{Diagnostic, codes};
use std::fmt;
use std::sync::Arc;

/// A result that may not be what it looks like, such as the solution of a system that is nearly singular.
///
/// ```
/// let f = matex::compile("fn f(A: f64[n, n], b: f64[n]) { solve(A, b) }")?;
/// let nearly = [[1.0, 1.0], [1.0, 1.0 + 2.0 * f64::EPSILON]];
/// let out = f.call(&[&nearly, &[1.0, 2.0]])?;
/// let warning = &out.warnings()[0];
/// assert_eq!(warning.code().to_string(), "E0709");
/// assert!(warning.condition() > 1.0 / f64::EPSILON);
/// assert_eq!(warning.span().map(|s| &f.source()[s.start as usize..s.end as usize]), Some("solve(A, b)"));
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Warning {
    condition: f64,
    diagnostic: Diagnostic,
    file: Arc<str>,
    source: Arc<str>,
}

impl Warning {
    pub(crate) fn new(warning: &matex_runtime::Warning, file: &Arc<str>, source: &Arc<str>) -> Warning {
        let help = if warning.code == codes::RANK_DEFICIENT {
            "leave out columns that depend on others, or take pinv(A) @ b for the solution of least length"
        } else {
            "lstsq(X, y) loses half as many digits as solve(X.T @ X, X.T @ y); columns of like size lose fewer"
        };
        let diagnostic = Diagnostic::warning(warning.code, warning.message.clone());
        Warning {
            condition: warning.condition,
            diagnostic: diagnostic.primary(warning.origin, "").help(help),
            file: file.clone(),
            source: source.clone(),
        }
    }

    /// The stable code; `matex explain` tells more about it.
    ///
    /// ```
    /// let out = matex::compile("inv([[1.0, 1.0], [1.0, 1.0 + 2e-16]])")?.call(&[])?;
    /// assert_eq!(out.warnings()[0].code().to_string(), "E0709");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn code(&self) -> Code {
        self.diagnostic.code
    }

    /// One line, with the condition number.
    ///
    /// ```
    /// let out = matex::compile("lstsq([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0])")?.call(&[])?;
    /// assert!(out.warnings()[0].message().starts_with("the matrix has rank 1"));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn message(&self) -> &str {
        &self.diagnostic.message
    }

    /// The condition number in the 1-norm, or of lstsq the ratio of its pivots; infinity when the matrix has not full
    /// rank. It is an estimate, seldom off by more than a factor of 3.
    ///
    /// ```
    /// let out = matex::compile("inv([[1.0, 1.0], [1.0, 1.0 + 2e-16]])")?.call(&[])?;
    /// assert!(out.warnings()[0].condition() > 3e15);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn condition(&self) -> f64 {
        self.condition
    }

    /// The place in the program that it is about.
    ///
    /// ```
    /// let out = matex::compile("2.0 * inv([[1.0, 1.0], [1.0, 1.0 + 2e-16]])")?.call(&[])?;
    /// assert_eq!(out.warnings()[0].span().map(|s| s.start), Some(6));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn span(&self) -> Option<Span> {
        self.diagnostic.span()
    }

    /// It as a diagnostic, with labels and help.
    ///
    /// ```
    /// let out = matex::compile("inv([[1.0, 1.0], [1.0, 1.0 + 2e-16]])")?.call(&[])?;
    /// assert!(out.warnings()[0].diagnostic().help.is_some());
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn diagnostic(&self) -> &Diagnostic {
        &self.diagnostic
    }

    /// The drawing of `Display`, with ANSI colours.
    ///
    /// ```
    /// let out = matex::compile("inv([[1.0, 1.0], [1.0, 1.0 + 2e-16]])")?.call(&[])?;
    /// assert!(out.warnings()[0].to_ansi().contains("\x1b["));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn to_ansi(&self) -> String {
        self.draw(true)
    }

    fn draw(&self, color: bool) -> String {
        matex_lang::render::render(std::slice::from_ref(&self.diagnostic), &self.file, &self.source, color)
    }
}

/// Draws it with the lines of the program, without colours.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.draw(false).trim_end())
    }
}
