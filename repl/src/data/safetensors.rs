//! The safetensors format: a length, a header in JSON, and the raw elements of each tensor.
//!
//! The header is read and checked by the crate of the format; then only the bytes of the one tensor that was asked
//! for are read, as such files may be larger than memory.

use super::error::{DataError, did_you_mean};
use super::npy::swap;
use super::source::Source;
use ::safetensors::tensor::Metadata;
use matex_ir::DType;
use matex_lang::codes;
use matex_runtime::{Buffer, Tensor};
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

/// The bytes of the length in front of the header.
const PREFIX: u64 = 8;

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

pub(super) fn load(path: &str, selection: Option<&str>) -> Result<Tensor, DataError> {
    let mut source = Source::open(path)?;
    let len = source.len;
    read(path, &mut source, len, selection)
}

fn read(
    file: &str,
    stream: &mut (impl Read + Seek),
    len: u64,
    selection: Option<&str>,
) -> Result<Tensor, DataError> {
    let (metadata, start) = metadata(file, stream, len)?;
    let mut names = metadata.offset_keys();
    names.sort_unstable();
    let key = match (selection, names.as_slice()) {
        (Some(key), _) => key,
        (None, [only]) => only,
        (None, _) => {
            let message = format!("the file has {} tensors, so say which", names.len());
            return Err(DataError::new(codes::ARRAY_NOT_IN_FILE, file, message)
                .help(format!("write {file}:KEY; {}", did_you_mean("", &names))));
        }
    };
    let Some(info) = metadata.info(key) else {
        return Err(DataError::new(
            codes::ARRAY_NOT_IN_FILE,
            file,
            format!("the file has no tensor `{key}`"),
        )
        .help(did_you_mean(key, &names)));
    };
    // Its names are those of the language, in capitals.
    let Some(dtype) = DType::from_name(&format!("{:?}", info.dtype).to_lowercase()) else {
        let message = format!("the elements of `{key}` are of an unsupported type ({:?})", info.dtype);
        return Err(DataError::new(codes::FILE_DTYPE, file, message).help("convert them to F32 first"));
    };
    let (from, to) = info.data_offsets;
    let mut buffer = Buffer::zeroed(to.saturating_sub(from)).map_err(|e| DataError::tensor(file, &e))?;
    stream
        .seek(SeekFrom::Start(start + from as u64))
        .and_then(|_| stream.read_exact(buffer.as_mut_bytes()))
        .map_err(|e| DataError::reading(file, &e))?;
    if cfg!(target_endian = "big") {
        swap(buffer.as_mut_bytes(), dtype.size());
    }
    let mut strides = vec![1isize; info.shape.len()];
    for axis in (1..info.shape.len()).rev() {
        strides[axis - 1] =
            strides[axis].saturating_mul(isize::try_from(info.shape[axis].max(1)).unwrap_or(isize::MAX));
    }
    Tensor::from_parts(dtype, &info.shape, &strides, 0, Arc::new(buffer))
        .map_err(|e| DataError::tensor(file, &e))
}

/// The header, checked against the length of the file, and the place where the elements start.
fn metadata(file: &str, stream: &mut impl Read, len: u64) -> Result<(Metadata, u64), DataError> {
    let mut prefix = [0u8; PREFIX as usize];
    stream.read_exact(&mut prefix).map_err(|e| DataError::reading(file, &e))?;
    let header = u64::from_le_bytes(prefix);
    if header > MAX_HEADER || header > len.saturating_sub(PREFIX) {
        let message = format!("the file says that its header has {header} bytes, but the file has {len}");
        return Err(DataError::malformed(file, message));
    }
    let mut text = vec![0u8; header as usize];
    stream.read_exact(&mut text).map_err(|e| DataError::reading(file, &e))?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|e| DataError::malformed(file, format!("the header is not understood: {e}")))?;
    let start = PREFIX + header;
    let room = len - start;
    if metadata.data_len() as u64 > room {
        let message = format!("the header promises {} bytes, but {room} follow it", metadata.data_len());
        return Err(DataError::malformed(file, message));
    }
    Ok((metadata, start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn show(bytes: &[u8], key: Option<&str>) -> String {
        match read("w", &mut Cursor::new(bytes), bytes.len() as u64, key) {
            Ok(t) => format!("{} {t}", t.describe()),
            Err(e) => format!("{} {}", e.code, e.message),
        }
    }

    const TWO: &str = r#"{"left":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"a":"b"},
        "right":{"dtype":"BF16","shape":[1,1],"data_offsets":[8,10]}}"#;

    #[test]
    fn tensors_by_key() {
        let data = [&1.5f32.to_le_bytes()[..], &2.5f32.to_le_bytes(), &[0xc0, 0x3f]].concat();
        let bytes = file(TWO, &data);
        assert_eq!(show(&bytes, Some("left")), "f32[2] [1.5, 2.5]");
        assert_eq!(show(&bytes, Some("right")), "bf16[1, 1] [[1.5]]");
        assert_eq!(show(&bytes, Some("x")), "E0808 the file has no tensor `x`");
        assert_eq!(show(&bytes, None), "E0808 the file has 2 tensors, so say which");
        for end in 0..bytes.len() {
            assert!(show(&bytes[..end], Some("left")).starts_with("E0802"), "{end}");
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x15;
            let _ = show(&broken, Some("left"));
        }
    }

    #[test]
    fn absurd_headers() {
        let mut bytes = (1u64 << 60).to_le_bytes().to_vec();
        bytes.extend(b"{}");
        assert!(show(&bytes, Some("x")).starts_with("E0802"));
        let cases = [
            r#"{"x":{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,9223372036854775808]}}"#,
            r#"{"x":{"dtype":"F64","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}"#,
            r#"{"x":{"dtype":"F64","shape":[1],"data_offsets":[8,0]}}"#,
            r#"{"x":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}"#,
            r#"{"x":{"dtype":"Q8","shape":[1],"data_offsets":[0,8]}}"#,
            "[1]",
            "",
        ];
        for header in cases {
            assert!(show(&file(header, &[0; 8]), Some("x")).starts_with("E0802"), "{header}");
        }
        let f8 = r#"{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
        assert!(show(&file(f8, &[0]), None).starts_with("E0806"));
    }
}
