//! The columns of a table: their names, and the choice of some by name or by number.

use super::error::{DataError, did_you_mean};
use matex_lang::codes;

/// What words stand for a value that is missing; it becomes NaN.
pub(super) fn is_missing(cell: &str) -> bool {
    cell.is_empty() || ["na", "n/a", "nan"].iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// The number in a cell, NaN where it is missing, `None` where it is not a number.
pub(super) fn number(cell: &str) -> Option<f64> {
    if is_missing(cell) { Some(f64::NAN) } else { cell.parse().ok() }
}

/// The columns of a table.
pub(super) struct Columns {
    /// The names, where the first row has them.
    names: Option<Vec<String>>,
    count: usize,
}

impl Columns {
    /// The columns that a first row tells of: it is a header unless all of its cells are numbers.
    pub(super) fn of(first_row: &[&str]) -> Columns {
        let header = first_row.iter().any(|cell| number(cell).is_none());
        let names = header.then(|| first_row.iter().map(|cell| (*cell).to_string()).collect());
        Columns { names, count: first_row.len() }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn has_header(&self) -> bool {
        self.names.is_some()
    }

    /// The name of a column, its number where it has none.
    pub(super) fn name(&self, column: usize) -> String {
        self.names.as_ref().and_then(|names| names.get(column)).cloned().unwrap_or_else(|| column.to_string())
    }

    /// The columns of a selection like `height,2`: names come first, so that a column may be called `2`.
    pub(super) fn select(&self, file: &str, selection: Option<&str>) -> Result<Vec<usize>, DataError> {
        let Some(selection) = selection else { return Ok((0..self.count).collect()) };
        selection.split(',').map(|wanted| self.find(file, wanted.trim())).collect()
    }

    fn find(&self, file: &str, wanted: &str) -> Result<usize, DataError> {
        let by_name = self.names.as_ref().and_then(|names| names.iter().position(|name| name == wanted));
        if let Some(column) = by_name {
            return Ok(column);
        }
        if let Some(column) = wanted.parse().ok().filter(|&column: &usize| column < self.count) {
            return Ok(column);
        }
        let error = |message: String| DataError::new(codes::COLUMN_NOT_THERE, file, message).at(1);
        if wanted.parse::<usize>().is_ok() {
            let last = self.count.saturating_sub(1);
            let message = format!("there is no column {wanted}: the table has {}", self.count);
            return Err(error(message).help(format!("columns are counted from 0 to {last}")));
        }
        let Some(names) = &self.names else {
            return Err(error(format!("there is no column `{wanted}`: the table has no header"))
                .help("the first row is all numbers; choose columns by number, from 0"));
        };
        Err(error(format!("there is no column `{wanted}`")).help(did_you_mean(wanted, names)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_row_of_words_is_a_header() {
        assert!(Columns::of(&["a", "1"]).has_header());
        assert!(!Columns::of(&["1", "", "NaN", "-inf", "2e3"]).has_header());
        assert_eq!(Columns::of(&["1", "2"]).name(1), "1");
    }

    #[test]
    fn names_before_numbers() {
        let columns = Columns::of(&["x", "0", "height"]);
        assert_eq!(columns.select("f", Some("height, 0,2")), Ok(vec![2, 1, 2]));
        assert_eq!(columns.select("f", None), Ok(vec![0, 1, 2]));
        let e = columns.select("f", Some("hieght")).unwrap_err();
        assert_eq!(e.code, codes::COLUMN_NOT_THERE);
        assert_eq!(e.help.unwrap(), "did you mean `height`? There are `x`, `0`, `height`");
        assert!(columns.select("f", Some("3")).unwrap_err().message.contains("has 3"));
        assert!(Columns::of(&["1"]).select("f", Some("x")).unwrap_err().message.contains("no header"));
        assert!(columns.select("f", Some("")).is_err());
    }
}
