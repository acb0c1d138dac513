//! The one error of the crate: diagnostics together with the program that they speak of.

use matex_lang::{Code, Diagnostic, codes};
use std::fmt;
use std::sync::Arc;

/// What an [`Error`] is about, as far as a caller may want to tell errors apart.
///
/// ```
/// let error = matex::compile("x + unknown(y)").unwrap_err();
/// assert_eq!(error.kind(), matex::ErrorKind::Name);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not a program.
    Syntax,
    /// A name, a function or an option is not known, or is used wrongly.
    Name,
    /// Dtypes do not fit.
    Type,
    /// Shapes do not fit.
    Shape,
    /// An index or a slice is wrong.
    Index,
    /// A limit was reached: of the program, of the steps of loops, of memory.
    Limit,
    /// The values given to a call do not fit the program.
    Call,
    /// Something that the values of this call made impossible, or that the caller stopped.
    Runtime,
    /// A routine of linear algebra refused its matrix.
    Linalg,
    /// The program is right, and this build does not do it.
    Unsupported,
    /// A bug in matex.
    Internal,
}

impl ErrorKind {
    fn of(code: Code) -> ErrorKind {
        match code.0 {
            0..100 => ErrorKind::Syntax,
            100..200 => ErrorKind::Name,
            203..=212 | 217 => ErrorKind::Shape,
            200..300 => ErrorKind::Type,
            300..400 | 601 | 607 => ErrorKind::Index,
            400..500 | 602 | 604 => ErrorKind::Limit,
            508 => ErrorKind::Shape,
            500..600 => ErrorKind::Call,
            606 => ErrorKind::Unsupported,
            600..700 => ErrorKind::Runtime,
            700..800 => ErrorKind::Linalg,
            800..900 => ErrorKind::Call,
            900..999 => ErrorKind::Unsupported,
            _ => ErrorKind::Internal,
        }
    }
}

/// Why a program was not compiled or a call failed.
///
/// It is one value with a [`kind`](Error::kind) and the [`diagnostics`](Error::diagnostics), each with its place in
/// the program; `Display` draws them with the source lines.
///
/// ```
/// let error = matex::compile("fn f(y: f64[n], X: f64[n, k]) { y - X }").unwrap_err();
/// assert_eq!(error.kind(), matex::ErrorKind::Shape);
/// assert_eq!(error.code().to_string(), "E0203");
/// assert!(error.to_string().starts_with("error[E0203]: "));
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    diagnostics: Vec<Diagnostic>,
    file: Arc<str>,
    source: Arc<str>,
}

impl Error {
    /// An error about a program; there is at least one diagnostic.
    pub(crate) fn new(diagnostics: Vec<Diagnostic>, file: &Arc<str>, source: &Arc<str>) -> Error {
        let diagnostics = if diagnostics.is_empty() {
            vec![Diagnostic::new(codes::INTERNAL, "the program was refused without a reason")]
        } else {
            diagnostics
        };
        Error(Box::new(Inner { diagnostics, file: file.clone(), source: source.clone() }))
    }

    /// An error that no place in a program is to blame for.
    pub(crate) fn plain(diagnostic: Diagnostic) -> Error {
        Error::new(vec![diagnostic], &Arc::from(""), &Arc::from(""))
    }

    /// What the first diagnostic is about.
    ///
    /// ```
    /// assert_eq!(matex::compile("1 +").unwrap_err().kind(), matex::ErrorKind::Syntax);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::of(self.code())
    }

    /// The stable code of the first diagnostic; `matex explain` tells more about it.
    ///
    /// ```
    /// assert_eq!(matex::compile("1 +").unwrap_err().code().to_string(), "E0010");
    /// ```
    pub fn code(&self) -> Code {
        self.0.diagnostics.first().map_or(codes::INTERNAL, |d| d.code)
    }

    /// Everything that was found, in the order of the text; never empty.
    ///
    /// ```
    /// let error = matex::compile("1 +").unwrap_err();
    /// assert_eq!(error.diagnostics().len(), 1);
    /// assert_eq!(error.diagnostics()[0].code, error.code());
    /// ```
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    /// The text of the program, which spans of the diagnostics refer to; empty when no program is concerned.
    ///
    /// ```
    /// assert_eq!(matex::compile("1 +").unwrap_err().program(), "1 +");
    /// ```
    pub fn program(&self) -> &str {
        &self.0.source
    }

    /// The drawing of `Display`, with ANSI colours.
    ///
    /// ```
    /// assert!(matex::compile("1 +").unwrap_err().to_ansi().contains("\x1b["));
    /// ```
    pub fn to_ansi(&self) -> String {
        self.draw(true)
    }

    fn draw(&self, color: bool) -> String {
        let Inner { diagnostics, file, source } = &*self.0;
        matex_lang::render::render(diagnostics, file, source, color)
    }
}

/// Draws the diagnostics with the lines of the program, without colours.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.draw(false).trim_end())
    }
}

/// The drawing too: it is what `unwrap` shows, and tests that fail should be readable.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.kind())?;
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// Runs `f`; a panic inside, which is a bug of matex, becomes the error that says so.
pub(crate) fn guarded<T>(f: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing that `f` was changing is looked at again: what it shares is behind locks that never hold half a change.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(Error::plain(internal(text)))
        }
    }
}

/// The diagnostic of a bug.
pub(crate) fn internal(what: &str) -> Diagnostic {
    Diagnostic::new(codes::INTERNAL, "this is a bug in matex, and the program is not to blame")
        .note(what)
        .help("please report it together with the program and the output of `matex doctor`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_kind_of_its_own_and_only_bugs_are_internal() {
        for row in codes::all() {
            assert_eq!(
                ErrorKind::of(row.code) == ErrorKind::Internal,
                row.code == codes::INTERNAL,
                "{}",
                row.code
            );
        }
        assert_eq!(ErrorKind::of(codes::SHAPES_DO_NOT_BROADCAST), ErrorKind::Shape);
        assert_eq!(ErrorKind::of(codes::DTYPE_MISMATCH), ErrorKind::Type);
        assert_eq!(ErrorKind::of(codes::LOOP_STEPS_EXHAUSTED), ErrorKind::Limit);
        assert_eq!(ErrorKind::of(codes::CANCELLED), ErrorKind::Runtime);
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let error = guarded::<()>(|| panic!("number {}", 7)).unwrap_err();
        std::panic::set_hook(quiet);
        assert_eq!((error.kind(), error.code()), (ErrorKind::Internal, codes::INTERNAL));
        assert!(error.to_string().contains("number 7"), "{error}");
    }
}
