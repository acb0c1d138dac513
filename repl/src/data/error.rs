//! What can be wrong with a file or a value from the command line.

use matex_ir::Code;
use matex_lang::codes;
use matex_runtime::TensorError;
use std::fmt;

/// An error of a file or a literal: what, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataError {
    /// The number in the catalogue, E08xx.
    pub(crate) code: Code,
    /// The file, or the literal as it was typed.
    pub(crate) file: String,
    /// The line in the file, from 1, where it has lines.
    pub(crate) line: Option<u64>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to type instead.
    pub(crate) help: Option<String>,
}

impl DataError {
    pub(crate) fn new(code: Code, file: &str, message: impl Into<String>) -> DataError {
        DataError { code, file: file.to_string(), line: None, message: message.into(), help: None }
    }

    pub(crate) fn at(mut self, line: u64) -> DataError {
        self.line = Some(line);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> DataError {
        self.help = Some(help.into());
        self
    }

    /// A file that cannot be opened or read.
    pub(crate) fn unreadable(file: &str, error: &std::io::Error) -> DataError {
        let error = DataError::new(codes::FILE_MISSING, file, format!("cannot read `{file}`: {error}"));
        error.help("paths are relative to the directory where the program was started")
    }

    /// A file whose contents are not what they should be.
    pub(crate) fn malformed(file: &str, message: impl Into<String>) -> DataError {
        DataError::new(codes::FILE_MALFORMED, file, message)
    }

    /// Contents that a tensor cannot be made of.
    pub(crate) fn tensor(file: &str, error: &TensorError) -> DataError {
        let code = if matches!(error, TensorError::OutOfMemory { .. } | TensorError::TooLarge { .. }) {
            codes::FILE_TOO_LARGE
        } else {
            codes::FILE_MALFORMED
        };
        DataError::new(code, file, error.to_string())
    }

    /// An error while the contents are read: the end that came too early is the file's fault, the rest the system's.
    pub(crate) fn reading(file: &str, error: &std::io::Error) -> DataError {
        let kind = error.kind();
        if kind == std::io::ErrorKind::UnexpectedEof {
            DataError::malformed(file, "the file ends too early")
        } else if matches!(kind, std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput) {
            DataError::malformed(file, error.to_string())
        } else {
            DataError::unreadable(file, error)
        }
    }
}

impl fmt::Display for DataError {
    /// In the form of the errors of programs: title, place, help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}\n  ┌─ {}", self.code, self.message, self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DataError {}

/// A help line for a name that is not there: the closest one, and those that are there.
pub(crate) fn did_you_mean(name: &str, there: &[String]) -> String {
    const LISTED: usize = 12;
    let close = there
        .iter()
        .map(|other| (strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase()), other))
        .filter(|&(distance, _)| distance <= 1 + name.chars().count() / 4 && distance < name.chars().count())
        .min_by_key(|&(distance, _)| distance);
    let mut list = there.iter().take(LISTED).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if there.len() > LISTED {
        list.push_str(&format!(" and {} more", there.len() - LISTED));
    }
    match close {
        Some((_, other)) => format!("did you mean `{other}`? There are {list}"),
        None if there.is_empty() => "there are none".to_string(),
        None => format!("there are {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_drawn_like_the_errors_of_programs() {
        let e =
            DataError::new(codes::COLUMN_NOT_THERE, "d.csv", "no column `hieght`").at(3).help("try again");
        assert_eq!(e.to_string(), "error[E0804]: no column `hieght`\n  ┌─ d.csv:3\n  = help: try again");
    }

    #[test]
    fn suggests_what_is_close() {
        let there = ["height", "weight"].map(String::from);
        assert!(did_you_mean("hieght", &there).starts_with("did you mean `height`?"));
        assert_eq!(did_you_mean("zzz", &there), "there are `height`, `weight`");
        assert_eq!(did_you_mean("x", &[]), "there are none");
    }
}
