//! NumPy's .npz: a zip archive of .npy files.

use super::error::{DataError, did_you_mean};
use super::npy;
use super::source::Source;
use matex_lang::codes;
use matex_runtime::Tensor;
use std::io::{self, BufReader, Seek, Write};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

pub(super) fn load(path: &str, selection: Option<&str>) -> Result<Tensor, DataError> {
    let mut archive =
        ZipArchive::new(BufReader::new(Source::open(path)?)).map_err(|e| zip_error(path, &e))?;
    let names: Vec<String> =
        archive.file_names().filter_map(|name| name.ok()?.strip_suffix(".npy").map(str::to_string)).collect();
    let key = match (selection, names.as_slice()) {
        (Some(key), _) => key.strip_suffix(".npy").filter(|_| !names.iter().any(|n| n == key)).unwrap_or(key),
        (None, [only]) => only,
        (None, _) => {
            return Err(DataError::new(
                codes::ARRAY_NOT_IN_FILE,
                path,
                format!("the file has {} arrays, so say which", names.len()),
            )
            .help(format!("write {path}:KEY; {}", did_you_mean("", &names))));
        }
    };
    if !names.iter().any(|name| name == key) {
        return Err(DataError::new(codes::ARRAY_NOT_IN_FILE, path, format!("the file has no array `{key}`"))
            .help(did_you_mean(key, &names)));
    }
    let mut entry = archive.by_name(&format!("{key}.npy")).map_err(|e| zip_error(path, &e))?;
    // Deflate shrinks to a 1032nd at best, so that an entry that promises more is lying about its length.
    let most = entry.compressed_size().saturating_mul(1032).saturating_add(1024);
    let len = entry.size().min(most);
    let tensor = npy::read(&format!("{path}:{key}"), &mut entry, len)?;
    // The checksum is compared when the end of the entry is read.
    io::copy(&mut entry, &mut io::sink()).map_err(|e| DataError::reading(path, &e))?;
    Ok(tensor)
}

fn zip_error(path: &str, error: &ZipError) -> DataError {
    if let ZipError::Io(error) = error {
        return DataError::reading(path, error);
    }
    DataError::malformed(path, format!("this is not a readable .npz archive: {error}"))
}

/// Writes an archive of these arrays, uncompressed as `numpy.savez` does; the same arrays give the same bytes.
pub(super) fn write(out: impl Write + Seek, arrays: &[(&str, &Tensor)]) -> io::Result<()> {
    let mut archive = ZipWriter::new(out);
    for (name, tensor) in arrays {
        // Lengths of four gigabytes and more need the longer headers, which are announced in advance.
        let large = tensor.len().saturating_mul(8) > (u32::MAX / 2) as usize;
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        archive.start_file(format!("{name}.npy"), options).map_err(io::Error::other)?;
        npy::write(&mut archive, tensor)?;
    }
    archive.finish().map_err(io::Error::other)?.flush()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;
    use std::io::Cursor;

    fn archive(names: &[&str]) -> Vec<u8> {
        let tensors: Vec<Tensor> = (0..names.len()).map(|i| Tensor::from(i as f64)).collect();
        let arrays: Vec<(&str, &Tensor)> = names.iter().copied().zip(&tensors).collect();
        let mut bytes = Cursor::new(Vec::new());
        write(&mut bytes, &arrays).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn arrays_by_key() {
        let folder = Folder::new();
        let path = folder.file("z.npz", archive(&["first", "second"]));
        assert_eq!(load(&path, Some("second")).unwrap(), Tensor::from(1.0));
        assert_eq!(load(&path, Some("second.npy")).unwrap(), Tensor::from(1.0));
        let e = load(&path, Some("frist")).unwrap_err();
        assert_eq!(e.code, codes::ARRAY_NOT_IN_FILE);
        assert!(e.help.unwrap().starts_with("did you mean `first`?"));
        assert!(load(&path, None).unwrap_err().message.contains("2 arrays"));
        let path = folder.file("one.npz", archive(&["only"]));
        assert_eq!(load(&path, None).unwrap(), Tensor::from(0.0));
    }

    #[test]
    fn compressed_archives() {
        let mut npy = Vec::new();
        let zeros = Tensor::zeros(matex_ir::DType::F32, &[1000]).unwrap();
        super::npy::write(&mut npy, &zeros).unwrap();
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        archive.start_file("a.npy", options).unwrap();
        archive.write_all(&npy).unwrap();
        let bytes = archive.finish().unwrap().into_inner();
        assert!(bytes.len() < 1000);
        let folder = Folder::new();
        assert_eq!(load(&folder.file("c.npz", bytes), None).unwrap(), zeros);
    }

    #[test]
    fn broken_archives_are_errors() {
        let (folder, whole) = (Folder::new(), archive(&["a"]));
        for end in 0..whole.len() {
            assert!(load(&folder.file("t.npz", &whole[..end]), None).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0xff;
            let _ = load(&folder.file("t.npz", broken), None);
        }
        let mut flipped = archive(&["a"]);
        let header_end = flipped.windows(2).position(|w| w == b" \n").unwrap();
        flipped[header_end + 2] ^= 1;
        assert!(load(&folder.file("t.npz", flipped), None).is_err());
    }
}
