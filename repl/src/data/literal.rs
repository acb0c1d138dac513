//! Numbers, truth values and nested lists, as they are typed on the command line: `3.5`, `-inf`, `[[1, 2], [3, 4]]`.

use super::error::DataError;
use matex_ir::{DType, Scalar};
use matex_lang::codes;
use matex_runtime::{MAX_RANK, Tensor};

/// Whether the text starts as a literal, so that it is read as one and not as the name of a file.
pub(super) fn looks_like_one(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('[') || number(text).is_some()
}

/// Whether the text starts as a number does, such as `1,5`, of which only [`parse`] can say what is wrong with it.
pub(super) fn starts_like_a_number(text: &str) -> bool {
    text.trim_start_matches(['+', '-', '.']).starts_with(|c: char| c.is_ascii_digit())
}

/// The tensor of a literal: integers are i64, other numbers f64, `true` and `false` bool.
///
/// # Errors
/// `E0805` when it is not a number, or a list whose rows differ in length or kind.
pub(super) fn parse(text: &str) -> Result<Tensor, DataError> {
    let mut parser = Parser { text, rest: text.trim(), values: Vec::new(), shape: Vec::new() };
    parser.value(0)?;
    if !parser.rest.is_empty() {
        return Err(parser.error(format!("`{}` follows a value that is complete", parser.rest)));
    }
    let dtype = parser.dtype()?;
    let shape: Vec<usize> = parser.shape.iter().map(|extent| extent.unwrap_or(0)).collect();
    Tensor::from_scalars(dtype, &shape, parser.values).map_err(|e| DataError::tensor(text, &e))
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    values: Vec<Scalar>,
    /// The extent of each depth, known once the first list of that depth ended.
    shape: Vec<Option<usize>>,
}

impl<'a> Parser<'a> {
    fn error(&self, message: impl Into<String>) -> DataError {
        DataError::new(codes::NUMBER_DOES_NOT_PARSE, self.text, message)
            .help("values are numbers, true, false and lists: 3.5, -2, [1, 2, 3], [[1, 2], [3, 4]]")
    }

    /// Reads a number or a list at this depth; as lists nest at most 64 deep, so does this function.
    fn value(&mut self, depth: usize) -> Result<(), DataError> {
        if let Some(rest) = self.rest.strip_prefix('[') {
            self.rest = rest.trim_start();
            return self.list(depth);
        }
        let end = self.rest.find([',', ']', '[']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let word = word.trim();
        let Some(value) = number(word) else {
            let found = if word.is_empty() { "nothing".to_string() } else { format!("`{word}`") };
            return Err(self.error(format!("expected a number, found {found}")));
        };
        if depth != self.shape.len() {
            return Err(self.error(format!("`{word}` stands where the rows before it have a list")));
        }
        self.values.push(value);
        self.rest = rest;
        Ok(())
    }

    /// Reads the rest of a list, its bracket being read.
    fn list(&mut self, depth: usize) -> Result<(), DataError> {
        if depth == MAX_RANK {
            return Err(self.error(format!("lists are nested deeper than {MAX_RANK}")));
        }
        if depth == self.shape.len() {
            if !self.values.is_empty() {
                return Err(self.error("a list stands where the rows before it have a number"));
            }
            self.shape.push(None);
        }
        let mut count = 0;
        while !self.rest.starts_with(']') {
            self.value(depth + 1)?;
            count += 1;
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest.trim_start();
            } else if !self.rest.starts_with(']') {
                return Err(self.error("a list lacks its `]`"));
            }
        }
        self.rest = self.rest[1..].trim_start();
        match self.shape[depth] {
            Some(extent) if extent != count => {
                Err(self.error(format!("a row of {count} follows one of {extent}: all must be as long")))
            }
            _ => {
                self.shape[depth] = Some(count);
                Ok(())
            }
        }
    }

    /// The dtype that all values take.
    fn dtype(&self) -> Result<DType, DataError> {
        let any = |dtype| self.values.iter().any(|v| v.dtype() == dtype);
        match (any(DType::Bool), any(DType::I64), any(DType::F64)) {
            (true, false, false) => Ok(DType::Bool),
            (true, _, _) => Err(self.error("a list mixes numbers with true or false")),
            (false, true, false) => Ok(DType::I64),
            (false, _, _) => Ok(DType::F64),
        }
    }
}

/// A number as the language writes it, with a sign.
fn number(word: &str) -> Option<Scalar> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let float = |v: f64| Scalar::from_f64(DType::F64, if negative { -v } else { v });
    match digits {
        "true" | "false" if digits == word => {
            return Some(Scalar::from_f64(DType::Bool, f64::from(word == "true")));
        }
        "inf" => return Some(float(f64::INFINITY)),
        "nan" | "NaN" => return Some(float(f64::NAN)),
        _ => {}
    }
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let starts = digit(digits.chars().next()) || (digits.starts_with('.') && digit(digits.chars().nth(1)));
    // Underscores stand between digits only, as in the language.
    if !starts || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let digits = digits.replace('_', "");
    let integer = match digits.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => Some(i128::from_str_radix(hex, 16).ok()?),
        _ => digits.parse::<i128>().ok(),
    };
    match integer.map(|v| if negative { -v } else { v }) {
        Some(v) => i64::try_from(v).ok().map(|v| Scalar::from_i128(DType::I64, v.into())),
        None if digits.bytes().all(|b| b.is_ascii_digit()) => None,
        None => digits.parse().ok().map(float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match parse(text) {
            Ok(t) => format!("{} {t}", t.describe()),
            Err(e) => e.message,
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(show("3.5"), "f64 3.5");
        assert_eq!(show("-2"), "i64 -2");
        assert_eq!(show("1_000"), "i64 1000");
        assert_eq!(show("0xff"), "i64 255");
        assert_eq!(show("-9223372036854775808"), "i64 -9223372036854775808");
        assert_eq!(show("1e-3"), "f64 0.001");
        assert_eq!(show("true"), "bool true");
        assert_eq!(show("-inf"), "f64 -inf");
        assert_eq!(show("nan"), "f64 nan");
    }

    #[test]
    fn lists() {
        assert_eq!(show("[1,2,3]"), "i64[3] [1, 2, 3]");
        assert_eq!(show(" [ 1, 2.5 ] "), "f64[2] [1.0, 2.5]");
        assert_eq!(show("[[1,2],[3,4],]"), "i64[2, 2] [[1, 2],\n [3, 4]]");
        assert_eq!(show("[true, false]"), "bool[2] [true, false]");
        assert_eq!(show("[]"), "f64[0] []");
        assert_eq!(show("[[],[]]"), "f64[2, 0] [] f64[2, 0]");
    }

    #[test]
    fn mistakes() {
        assert_eq!(show("[1,2"), "a list lacks its `]`");
        assert_eq!(show("[1,,2]"), "expected a number, found nothing");
        assert_eq!(show("[1,x]"), "expected a number, found `x`");
        assert_eq!(show("[[1,2],[3]]"), "a row of 1 follows one of 2: all must be as long");
        assert_eq!(show("[[1],2]"), "`2` stands where the rows before it have a list");
        assert_eq!(show("[1,[2]]"), "a list stands where the rows before it have a number");
        assert_eq!(show("[1] 2"), "`2` follows a value that is complete");
        assert_eq!(show("1,5"), "`,5` follows a value that is complete");
        assert_eq!(show("[1, true]"), "a list mixes numbers with true or false");
        assert_eq!(show("9223372036854775808"), "expected a number, found `9223372036854775808`");
        for text in ["", "-", "[", "]", ",", "+-1", "1__0", "0x", "-true", "1e", "[[]", "[[],1]"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
