//! Places in source text, and the stable numbers of errors.

use std::fmt;

/// A half-open range of bytes in the source text of a program.
///
/// ```
/// # use matex_ir as matex;
/// let at = matex::Span { start: 4, end: 7 };
/// assert_eq!(&"x + sum(y)"[at.start as usize..at.end as usize], "sum");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// assert_eq!(matex::Span::new(4, 7).start, 4);
    /// ```
    pub const fn new(start: u32, end: u32) -> Span {
        Span { start, end }
    }

    /// The smallest span that covers both.
    ///
    /// ```
    /// # use matex_ir as matex;
    /// use matex::Span;
    /// assert_eq!(Span::new(4, 7).to(Span::new(0, 5)), Span::new(0, 7));
    /// ```
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// The stable number of an error, written `E0203`. The catalogue with titles and explanations is in `matex-lang`.
///
/// ```
/// # use matex_ir as matex;
/// assert_eq!("E0203".parse(), Ok(matex::Code(203)));
/// assert_eq!(matex::Code(203).to_string(), "E0203");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.0)
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Code, ()> {
        let digits = text.strip_prefix('E').filter(|d| d.len() == 4).ok_or(())?;
        digits.parse().map(Code).map_err(|_| ())
    }
}
