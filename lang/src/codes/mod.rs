//! The catalogue of errors: every code, its title, and an explanation with a wrong example and its correction.
//!
//! | codes | about |
//! |---|---|
//! | E00xx | characters, tokens and grammar |
//! | E01xx | names, functions and arguments |
//! | E02xx | types and shapes |
//! | E03xx | indexing |
//! | E04xx | limits |
//! | E05xx | the values given to a call |
//! | E06xx | run time |
//! | E07xx | linear algebra |
//! | E08xx | files and data |
//! | E09xx | what is not available yet, and bugs |
//!
//! A code is stable: it is never given to another error, and a message may change while the code stays. To add one,
//! add a row to the file of its group, in the order of the numbers.

mod calls;
mod data;
mod indexing;
mod later;
mod names;
mod syntax;
mod types;
mod way_out;

pub use calls::*;
pub use data::*;
pub use indexing::*;
pub use later::*;
pub use names::*;
pub use syntax::*;
pub use types::*;
pub use way_out::way_out;

use matex_ir::Code;

/// What the catalogue says about one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The code.
    pub code: Code,
    /// One line, in lower case and without a full stop.
    pub title: &'static str,
    /// A few lines: the rule, a wrong example, and its correction.
    pub explanation: &'static str,
}

/// Declares the codes of a group: a constant for each, and `ROWS`.
macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal, $explanation:literal;)*) => {
        $(
            #[doc = concat!("E", stringify!($number), ": ", $title, ".")]
            pub const $name: matex_ir::Code = matex_ir::Code($number);
        )*

        pub(super) const ROWS: &[super::Row] = &[
            $(super::Row { code: $name, title: $title, explanation: $explanation },)*
        ];
    };
}
use codes;

const GROUPS: &[&[Row]] =
    &[syntax::ROWS, names::ROWS, types::ROWS, indexing::ROWS, calls::ROWS, data::ROWS, later::ROWS];

/// Every row, in the order of the codes.
pub fn all() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|rows| rows.iter())
}

/// The row of a code; none for a number that no error has.
///
/// ```
/// use matex_lang::codes;
///
/// let row = codes::explain(codes::SHAPES_DO_NOT_BROADCAST).unwrap();
/// assert_eq!(row.title, "shapes do not broadcast");
/// ```
pub fn explain(code: Code) -> Option<&'static Row> {
    all().find(|row| row.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        let numbers: Vec<u16> = all().map(|row| row.code.0).collect();
        for pair in numbers.windows(2) {
            assert!(pair[0] < pair[1], "E{:04} stands before E{:04}", pair[0], pair[1]);
        }
    }

    #[test]
    fn rows_are_written_in_one_style() {
        for row in all() {
            let lines = row.explanation.lines().count();
            assert!(!row.title.is_empty() && !row.title.ends_with('.'), "{}: title", row.code);
            assert!((1..=12).contains(&lines), "{}: {lines} lines", row.code);
            assert!(row.explanation.lines().all(|l| l.len() <= 106), "{}: a line is too long", row.code);
            assert!(!row.explanation.ends_with('\n'), "{}: ends in an empty line", row.code);
        }
    }

    #[test]
    fn contract_code() {
        assert_eq!(SHAPES_DO_NOT_BROADCAST, Code(203));
        assert_eq!(explain(Code(9999)), None);
    }
}
