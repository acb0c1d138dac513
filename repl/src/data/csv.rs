//! Tables of numbers as comma-separated values, read as a stream.
//!
//! Only the columns that were asked for are read as numbers: the others may hold anything. One column is a vector,
//! several are a matrix `f64[rows, columns]`.

use super::error::DataError;
use super::source::Source;
use super::table::{Columns, number};
use ::csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use matex_lang::codes;
use matex_runtime::{Tensor, TensorError};
use std::cell::Cell;
use std::io::{Read, Write};

pub(super) fn load(path: &str, selection: Option<&str>) -> Result<Tensor, DataError> {
    read(path, Source::open(path)?, selection)
}

fn read(file: &str, stream: impl Read, selection: Option<&str>) -> Result<Tensor, DataError> {
    // Rows of different lengths are let through, for a better message than the reader's own.
    let odd = Cell::new(false);
    let quotes = Quotes { stream, odd: &odd };
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(quotes);
    let mut record = StringRecord::new();
    if !reader.read_record(&mut record).map_err(|e| csv_error(file, &e))? {
        return Err(DataError::malformed(file, "the table is empty"));
    }
    let columns = Columns::of(&record.iter().collect::<Vec<_>>());
    let selected = columns.select(file, selection)?;
    let mut data = Vec::new();
    let mut rows = 0usize;
    let spans_lines = |record: &StringRecord| record.iter().any(|cell| cell.contains('\n'));
    let mut last_spans_lines = spans_lines(&record);
    let mut more =
        !columns.has_header() || reader.read_record(&mut record).map_err(|e| csv_error(file, &e))?;
    while more {
        let line = record.position().map_or(0, ::csv::Position::line);
        last_spans_lines = spans_lines(&record);
        row(file, &columns, &selected, &record, &mut data).map_err(|e| e.at(line))?;
        rows += 1;
        more = reader.read_record(&mut record).map_err(|e| csv_error(file, &e))?;
    }
    if odd.get() && last_spans_lines {
        let message = "a quote is opened and not closed: what follows it is one cell";
        return Err(DataError::malformed(file, message));
    }
    let shape = [rows, selected.len()];
    let shape = if selected.len() == 1 { &shape[..1] } else { &shape };
    Tensor::from_vec(shape, data).map_err(|e| DataError::tensor(file, &e))
}

/// A stream that knows whether an odd number of quotes has come.
struct Quotes<'a, R> {
    stream: R,
    odd: &'a Cell<bool>,
}

impl<R: Read> Read for Quotes<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(to)?;
        let quotes = to[..count].iter().filter(|b| **b == b'"').count();
        self.odd.set(self.odd.get() ^ (quotes % 2 == 1));
        Ok(count)
    }
}

/// Adds the selected cells of a row.
fn row(
    file: &str,
    columns: &Columns,
    selected: &[usize],
    record: &StringRecord,
    data: &mut Vec<f64>,
) -> Result<(), DataError> {
    if record.len() != columns.count() {
        let message = format!("this row has {} cells, the first has {}", record.len(), columns.count());
        return Err(DataError::new(codes::RAGGED_TABLE, file, message)
            .help("each row needs as many cells; leave a cell empty where a value is missing"));
    }
    let bytes = data.len().saturating_add(selected.len()).saturating_mul(size_of::<f64>());
    data.try_reserve(selected.len())
        .map_err(|_| DataError::tensor(file, &TensorError::OutOfMemory { bytes }))?;
    for &column in selected {
        let cell = &record[column];
        let Some(value) = number(cell) else {
            let shown: String = cell.chars().take(40).collect();
            let message = format!("column `{}`: expected a number, found `{shown}`", columns.name(column));
            let help = if columns.count() == 1 && cell.contains([';', '\t']) {
                "cells are separated by commas".to_string()
            } else {
                format!("choose the columns of numbers, as in {file}:NAME,NAME")
            };
            return Err(DataError::new(codes::NUMBER_DOES_NOT_PARSE, file, message).help(help));
        };
        data.push(value);
    }
    Ok(())
}

fn csv_error(file: &str, error: &::csv::Error) -> DataError {
    let line = error.position().map(::csv::Position::line);
    let error = if let ErrorKind::Io(error) = error.kind() {
        DataError::reading(file, error)
    } else {
        DataError::malformed(file, error.to_string())
    };
    DataError { line, ..error }
}

/// Writes a table: one array of rank 2 or less as it is, several vectors as columns under their names.
///
/// # Errors
/// A sentence, when these arrays are no table.
pub(super) fn write(out: &mut dyn Write, arrays: &[(&str, &Tensor)]) -> std::io::Result<Result<(), String>> {
    if let Some((name, tensor)) = arrays.iter().find(|(_, tensor)| tensor.rank() > 2) {
        return Ok(Err(format!("`{name}` is {}, and a table has two axes", tensor.describe())));
    }
    let mut writer = ::csv::WriterBuilder::new().from_writer(out);
    // Written as numbers, so that the file can be read back: a truth value is 1 or 0.
    let text = |tensor: &Tensor, index: &[usize]| {
        let value = tensor.get(index);
        value.map_or_else(String::new, |v| {
            if v.dtype() == matex_ir::DType::Bool { v.bits().to_string() } else { v.to_string() }
        })
    };
    match arrays {
        [(_, tensor)] if tensor.is_empty() => {}
        [(_, tensor)] if tensor.rank() == 2 => {
            for i in 0..tensor.shape()[0] {
                writer.write_record((0..tensor.shape()[1]).map(|j| text(tensor, &[i, j])))?;
            }
        }
        [(_, tensor)] => {
            for i in 0..tensor.len() {
                writer.write_record([text(tensor, &[i][..tensor.rank()])])?;
            }
        }
        columns => {
            let rows = columns.first().map_or(0, |(_, tensor)| tensor.len());
            if columns.iter().any(|(_, tensor)| tensor.rank() != 1 || tensor.len() != rows) {
                return Ok(Err("several results fit a table only as vectors of one length".to_string()));
            }
            writer.write_record(columns.iter().map(|(name, _)| name))?;
            for i in 0..rows {
                writer.write_record(columns.iter().map(|(_, tensor)| text(tensor, &[i])))?;
            }
        }
    }
    writer.flush()?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, selection: Option<&str>) -> String {
        match read("t.csv", text.as_bytes(), selection) {
            Ok(t) => format!("{} {t}", t.describe()),
            Err(e) => format!("{} {:?} {}", e.code, e.line, e.message),
        }
    }

    #[test]
    fn tables_and_columns() {
        let table = "y,one,x\n1,1,0\n2,1,1\n";
        assert_eq!(show(table, None), "f64[2, 3] [[1.0, 1.0, 0.0],\n [2.0, 1.0, 1.0]]");
        assert_eq!(show(table, Some("y")), "f64[2] [1.0, 2.0]");
        assert_eq!(show(table, Some("2,0")), "f64[2, 2] [[0.0, 1.0],\n [1.0, 2.0]]");
        assert_eq!(show("1\n2.5\n-3e2", None), "f64[3] [1.0, 2.5, -300.0]");
        assert_eq!(show("x\n", None), "f64[0] []");
    }

    #[test]
    fn quotes_windows_lines_and_marks() {
        assert_eq!(show("\u{feff}\"a, b\",c\r\n\"1\", 2\r\n", None), "f64[1, 2] [[1.0, 2.0]]");
        assert_eq!(show("\u{feff}name\r\n1\r\n", Some("name")), "f64[1] [1.0]");
    }

    #[test]
    fn a_quote_that_is_not_closed_takes_no_rows_with_it() {
        for table in ["a,\"b\n1,2\n", "a,b\n1,2\n3,\"4\n5,6\n"] {
            assert!(show(table, Some("a")).contains("not closed"), "{}", show(table, Some("a")));
        }
        assert_eq!(show("a,\"b\nc\"\n1,2\n", None), "f64[1, 2] [[1.0, 2.0]]");
    }

    #[test]
    fn missing_cells_are_nan() {
        assert_eq!(show("a,b\n1,\nNA,nan\n", None), "f64[2, 2] [[1.0, nan],\n [nan, nan]]");
        assert_eq!(show("name,b\nx,1\ny,2\n", Some("b")), "f64[2] [1.0, 2.0]");
    }

    #[test]
    fn mistakes_have_a_line() {
        assert_eq!(show("a,b\n1,2\n3\nx,y\n", None), "E0810 Some(3) this row has 1 cells, the first has 2");
        let e = show("a,b\n1,2\n3,x\n", None);
        assert_eq!(e, "E0805 Some(3) column `b`: expected a number, found `x`");
        assert_eq!(show("", None), "E0802 None the table is empty");
        assert!(show("a,b\n1,2\n", Some("c")).starts_with("E0804 Some(1)"));
        assert!(read("t", &b"a\n\xff\n"[..], None).is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = |arrays: &[(&str, &Tensor)]| {
            let mut out = Vec::new();
            write(&mut out, arrays).unwrap().map(|()| String::from_utf8(out).unwrap())
        };
        let v = Tensor::from_vec(&[2], vec![1.5, f64::NAN]).unwrap();
        let m = Tensor::from_vec(&[2, 2], vec![1, 2, 3, 4]).unwrap();
        assert_eq!(bytes(&[("v", &v)]).unwrap(), "1.5\nnan\n");
        assert_eq!(bytes(&[("m", &m)]).unwrap(), "1,2\n3,4\n");
        assert_eq!(bytes(&[("s", &Tensor::from(true))]).unwrap(), "1\n");
        assert_eq!(bytes(&[("v", &v), ("w", &v)]).unwrap(), "v,w\n1.5,1.5\nnan,nan\n");
        assert!(bytes(&[("v", &v), ("m", &m)]).is_err());
        assert!(bytes(&[("c", &Tensor::from_vec(&[1, 1, 1], vec![1]).unwrap())]).is_err());
    }
}
