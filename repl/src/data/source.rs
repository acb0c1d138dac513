//! From what is typed after `NAME=` to a tensor: a literal, or a file by the end of its name.

use super::error::DataError;
use super::{csv, literal, npy, npz, safetensors};
use indicatif::{ProgressBar, ProgressStyle};
use matex_lang::codes;
use matex_runtime::Tensor;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};

/// A value of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The value.
    pub(crate) tensor: Tensor,
    /// Whether it takes the dtype of what it meets, as literals do; a file keeps its own.
    pub(crate) weak: bool,
}

/// The kinds of files that are read, by the end of their names.
const KINDS: [(&str, Reader); 4] =
    [(".npy", npy::load), (".npz", npz::load), (".csv", csv::load), (".safetensors", safetensors::load)];

/// Reads a file; the second argument is what follows its name and a colon.
type Reader = fn(&str, Option<&str>) -> Result<Tensor, DataError>;

/// Loads a literal (`3.5`, `true`, `[1, 2]`) or a file (`a.npy`, `z.npz:key`, `d.csv:height,age`, `w.safetensors:key`).
///
/// # Errors
/// A [`DataError`] that names the file and what is wrong with it.
pub(crate) fn load(spec: &str) -> Result<Loaded, DataError> {
    if literal::looks_like_one(spec) {
        let tensor = literal::parse(spec)?;
        let weak = tensor.dtype() != matex_ir::DType::Bool;
        return Ok(Loaded { tensor, weak });
    }
    let Some((path, selection, read)) = split(spec) else { return Err(unknown(spec)) };
    Ok(Loaded { tensor: read(path, selection)?, weak: false })
}

/// Finds the end of the file's name: the first known ending that is followed by a colon or by nothing.
fn split(spec: &str) -> Option<(&str, Option<&str>, Reader)> {
    // ASCII lower case keeps the places of all bytes.
    let lower = spec.to_ascii_lowercase();
    let whole = KINDS.iter().find(|(ending, _)| lower.ends_with(ending)).map(|&(_, read)| (spec, None, read));
    let selected = KINDS.iter().filter_map(|&(ending, read)| {
        let end = lower.find(&format!("{ending}:"))? + ending.len();
        Some((&spec[..end], Some(&spec[end + 1..]), read))
    });
    selected.min_by_key(|(path, _, _)| path.len()).or(whole)
}

fn unknown(spec: &str) -> DataError {
    if literal::starts_like_a_number(spec)
        && !std::path::Path::new(spec).exists()
        && let Err(error) = literal::parse(spec)
    {
        return error;
    }
    DataError::new(
        codes::FILE_UNKNOWN_FORMAT,
        spec,
        format!("`{spec}` is neither a number, nor a list, nor a file of a known kind"),
    )
    .help("files end in .npy, .npz, .csv or .safetensors; lists are written [1, 2, 3]")
}

/// A file that is open for reading, with its length.
pub(super) struct Source {
    file: File,
    /// The length in bytes.
    pub(super) len: u64,
    progress: ProgressBar,
}

impl Source {
    pub(super) fn open(path: &str) -> Result<Source, DataError> {
        const SHOWS_PROGRESS: u64 = 32 << 20;
        let open = || {
            let file = File::open(path)?;
            let data = file.metadata()?;
            if data.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            Ok((file, data.len()))
        };
        let (file, len) = open().map_err(|error| DataError::unreadable(path, &error))?;
        let shown = len > SHOWS_PROGRESS && io::stderr().is_terminal();
        let progress = if shown { ProgressBar::new(len) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {eta}") {
            progress.set_style(style);
        }
        progress.set_message(path.to_string());
        Ok(Source { file, len, progress })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.inc(read as u64);
        Ok(read)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.file.seek(to)?;
        self.progress.set_position(at);
        Ok(at)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.progress.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    #[test]
    fn names_and_selections() {
        let parts = |spec| split(spec).map(|(path, selection, _)| (path, selection));
        assert_eq!(parts("a.npy"), Some(("a.npy", None)));
        assert_eq!(parts("d/a.NPZ:k:1"), Some(("d/a.NPZ", Some("k:1"))));
        assert_eq!(parts("a.csv:x.csv"), Some(("a.csv", Some("x.csv"))));
        assert_eq!(parts("C:\\a.csv:x,y"), Some(("C:\\a.csv", Some("x,y"))));
        assert_eq!(parts("a.npy.txt"), None);
    }

    #[test]
    fn literals_are_weak_and_files_are_not() {
        assert!(load("3").unwrap().weak && load("[1.5]").unwrap().weak && !load("true").unwrap().weak);
        let folder = Folder::new();
        let path = folder.file("v.csv", "1\n2\n");
        let loaded = load(&path).unwrap();
        assert_eq!((loaded.tensor.describe(), loaded.weak), ("f64[2]".to_string(), false));
    }

    #[test]
    fn what_is_not_there_or_not_known() {
        let code = |spec: &str| load(spec).unwrap_err().code;
        assert_eq!(code("no-such.npy"), codes::FILE_MISSING);
        assert_eq!(code("no-such.csv:a"), codes::FILE_MISSING);
        assert_eq!(code("data.xlsx"), codes::FILE_UNKNOWN_FORMAT);
        assert_eq!(code("1,5"), codes::NUMBER_DOES_NOT_PARSE);
        assert_eq!(code(""), codes::FILE_UNKNOWN_FORMAT);
        assert_eq!(code("ü.npy:é"), codes::FILE_MISSING);
    }
}
