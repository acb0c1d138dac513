//! NumPy's .npy format: a magic word, a Python dictionary as the header, and the raw elements.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The format is read here by hand, since
//! what matters is what crates leave out: sizes are compared with the length of the file before anything is
//! allocated, big-endian files are swapped in place, Fortran order becomes strides, and each refusal says why.

use super::error::DataError;
use super::source::Source;
use matex_ir::DType;
use matex_lang::codes;
use matex_runtime::{Buffer, Tensor};
use std::io::{self, Read, Write};
use std::sync::Arc;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Headers longer than this are no headers; NumPy itself refuses more than 10,000 bytes.
const MAX_HEADER: usize = 1 << 20;

pub(super) fn load(path: &str, selection: Option<&str>) -> Result<Tensor, DataError> {
    let source = Source::open(path)?;
    let len = source.len;
    if let Some(key) = selection {
        return Err(DataError::new(
            codes::ARRAY_NOT_IN_FILE,
            path,
            format!("there is no `{key}` in a .npy file"),
        )
        .help(format!("a .npy file holds one array: write {path}")));
    }
    read(path, source, len)
}

/// Reads an array from a stream that holds at most `len` bytes.
pub(super) fn read(file: &str, mut stream: impl Read, len: u64) -> Result<Tensor, DataError> {
    let (header, used) = header(file, &mut stream)?;
    let kind = Kind::of(file, &header.descr)?;
    let bytes = header
        .shape
        .iter()
        .try_fold(kind.dtype.size(), |product, &extent| product.checked_mul(extent))
        .or(header.shape.contains(&0).then_some(0));
    let room = len.saturating_sub(used);
    let Some(bytes) = bytes.filter(|&bytes| bytes as u64 <= room) else {
        let promised = format!("the header promises shape {:?} of {}", header.shape, kind.dtype);
        return Err(DataError::malformed(file, format!("{promised}, but {room} bytes follow it")));
    };
    let mut buffer = Buffer::zeroed(bytes).map_err(|e| DataError::tensor(file, &e))?;
    stream.read_exact(buffer.as_mut_bytes()).map_err(|e| DataError::reading(file, &e))?;
    if kind.swap {
        swap(buffer.as_mut_bytes(), kind.dtype.size());
    }
    let strides = strides(&header.shape, header.fortran);
    Tensor::from_parts(kind.dtype, &header.shape, &strides, 0, Arc::new(buffer))
        .map_err(|e| DataError::tensor(file, &e))
}

/// Reverses the bytes of each element.
pub(super) fn swap(bytes: &mut [u8], size: usize) {
    bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
}

fn strides(shape: &[usize], fortran: bool) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1usize;
    for nth in 0..shape.len() {
        let axis = if fortran { nth } else { shape.len() - 1 - nth };
        strides[axis] = step as isize;
        step = step.saturating_mul(shape[axis].max(1));
    }
    strides
}

/// Writes an array in format 1.0, in row-major order and little-endian. bf16, which NumPy has not, becomes f32.
pub(super) fn write(out: &mut dyn Write, tensor: &Tensor) -> io::Result<()> {
    let tensor = if tensor.dtype() == DType::BF16 { tensor.cast(DType::F32) } else { tensor.contiguous() };
    let tensor = tensor.map_err(io::Error::other)?;
    let extents: String = tensor.shape().iter().map(|extent| format!("{extent}, ")).collect();
    let extents = if tensor.rank() > 1 { extents.trim_end_matches(", ") } else { extents.trim_end() };
    let descr = descr(tensor.dtype());
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    // The elements start at a multiple of 64, so that they can be mapped into memory.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(io::Error::other)?;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    let size = tensor.dtype().size();
    let bytes = &tensor.buffer().as_bytes()[tensor.offset() * size..][..tensor.len() * size];
    if cfg!(target_endian = "little") {
        return out.write_all(bytes);
    }
    bytes.chunks_exact(size).try_for_each(|element| {
        let mut element = element.to_vec();
        element.reverse();
        out.write_all(&element)
    })
}

fn descr(dtype: DType) -> String {
    let order = if dtype.size() == 1 { '|' } else { '<' };
    let kind = match dtype {
        DType::Bool => 'b',
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => 'f',
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => 'i',
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => 'u',
    };
    format!("{order}{kind}{}", dtype.size())
}

/// What a type string such as `<f8` means.
struct Kind {
    dtype: DType,
    swap: bool,
}

impl Kind {
    fn of(file: &str, descr: &str) -> Result<Kind, DataError> {
        let (order, name) = match descr.chars().next() {
            Some('<' | '>' | '|' | '=') => descr.split_at(1),
            _ => ("=", descr),
        };
        let big = order == ">" || (order == "=" && cfg!(target_endian = "big"));
        let dtype = match name {
            "f2" => DType::F16,
            "f4" => DType::F32,
            "f8" => DType::F64,
            "i1" => DType::I8,
            "i2" => DType::I16,
            "i4" => DType::I32,
            "i8" => DType::I64,
            "u1" => DType::U8,
            "u2" => DType::U16,
            "u4" => DType::U32,
            "u8" => DType::U64,
            "b1" | "?" => DType::Bool,
            // What JAX and ml_dtypes write for bfloat16, which NumPy has no letter for.
            "V2" | "bfloat16" => DType::BF16,
            _ => return Err(unsupported(file, descr)),
        };
        Ok(Kind { dtype, swap: big != cfg!(target_endian = "big") })
    }
}

fn unsupported(file: &str, descr: &str) -> DataError {
    let what = match descr.trim_start_matches(['<', '>', '|', '=']).chars().next() {
        Some('O') => "Python objects",
        Some('c') => "complex numbers",
        Some('S' | 'U' | 'a') => "strings",
        Some('M' | 'm') => "dates",
        Some('[') => "records",
        _ => "of an unsupported type",
    };
    DataError::new(codes::FILE_DTYPE, file, format!("the elements are {what} (`{descr}`)"))
        .help("convert them in Python first, for example with numpy.asarray(a, dtype=\"float64\")")
}

/// The dictionary of the header.
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// Reads the header; the number is that of the bytes it took.
fn header(file: &str, stream: &mut impl Read) -> Result<(Header, u64), DataError> {
    let fail = |e: &io::Error| DataError::reading(file, e);
    let mut start = [0u8; 8];
    stream.read_exact(&mut start).map_err(|e| fail(&e))?;
    if !start.starts_with(MAGIC) {
        return Err(DataError::malformed(file, "this is not a .npy file: it does not start with \\x93NUMPY"));
    }
    // Versions 2 and 3 only have a longer length; 3 has UTF-8 names of record fields, which are refused anyway.
    let wide = match start[6] {
        1 => 2,
        2 | 3 => 4,
        other => {
            return Err(DataError::malformed(
                file,
                format!("version {other} of the .npy format is not known"),
            ));
        }
    };
    let mut length = [0u8; 4];
    stream.read_exact(&mut length[..wide]).map_err(|e| fail(&e))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(DataError::malformed(file, format!("a header of {length} bytes is too long")));
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).map_err(|e| fail(&e))?;
    let text = String::from_utf8_lossy(&text);
    let header = Dictionary { rest: text.trim() }.header().ok_or_else(|| {
        DataError::malformed(file, format!("the header is not understood: {}", shorten(&text)))
    })?;
    Ok((header, (start.len() + wide + length) as u64))
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(100).collect()
}

/// A reader of the one kind of Python dictionary that headers are.
struct Dictionary<'a> {
    rest: &'a str,
}

impl<'a> Dictionary<'a> {
    fn header(mut self) -> Option<Header> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect('{')?;
        while self.expect('}').is_none() {
            let key = self.string()?;
            self.expect(':')?;
            match key {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran = Some(self.truth()?),
                "shape" => shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.expect(',').is_none() && !self.rest.starts_with('}') {
                return None;
            }
        }
        Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
    }

    fn expect(&mut self, token: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?.trim_start();
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        self.rest = rest.trim_start();
        Some(text)
    }

    /// A type string, or a list of record fields: those are refused later, so that their text is enough.
    fn descr(&mut self) -> Option<String> {
        if !self.rest.starts_with('[') {
            return self.string().map(str::to_string);
        }
        let mut depth = 0usize;
        let end = self.rest.char_indices().find_map(|(at, c)| {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at + 1)
        })?;
        let (fields, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        Some(shorten(fields))
    }

    fn truth(&mut self) -> Option<bool> {
        let (value, rest) = match self.rest.strip_prefix("True") {
            Some(rest) => (true, rest),
            None => (false, self.rest.strip_prefix("False")?),
        };
        self.rest = rest.trim_start();
        Some(value)
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.expect('(')?;
        let mut extents = Vec::new();
        while self.expect(')').is_none() {
            let end = self.rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, rest) = self.rest.split_at(end);
            extents.push(digits.parse().ok()?);
            // Python 2 wrote long integers as 3L.
            self.rest = rest.strip_prefix('L').unwrap_or(rest).trim_start();
            if self.expect(',').is_none() && !self.rest.starts_with(')') {
                return None;
            }
        }
        Some(extents)
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
