//! Results out: .npy, .npz, .csv and JSON.
//!
//! A file is written under another name in the same folder and then renamed, so that a run that is interrupted leaves
//! either the old file or the new one and never a half of it.

use super::error::DataError;
use super::{csv, npy, npz};
use matex_ir::{DType, Scalar};
use matex_lang::codes;
use matex_runtime::Tensor;
use serde_json::{Value, json};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes named results to a file whose kind its ending tells: .npy (one array), .npz, .csv (tables), .json.
///
/// # Errors
/// `E0803` for another ending, `E0807` when these results do not fit the format or the file cannot be written.
pub(crate) fn save(path: &str, arrays: &[(&str, &Tensor)]) -> Result<(), DataError> {
    let refused = |message: String| DataError::new(codes::FILE_NOT_WRITTEN, path, message);
    let ending = Path::new(path).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let fill: Fill = match ending.as_deref() {
        Some("npy") => match arrays {
            [(_, tensor)] => Box::new(|out| npy::write(out, tensor).map(Ok)),
            _ => {
                let message = format!("a .npy file holds one array, and there are {}", arrays.len());
                return Err(refused(message).help("end the name in .npz, which holds several"));
            }
        },
        Some("npz") => Box::new(|out| npz::write(out, arrays).map(Ok)),
        Some("csv") => Box::new(|out| csv::write(out, arrays)),
        Some("json") => Box::new(|out| {
            serde_json::to_writer(&mut *out, &to_json(arrays))?;
            out.write_all(b"\n").map(Ok)
        }),
        _ => {
            let message = format!("`{path}` is not a kind of file that can be written");
            return Err(DataError::new(codes::FILE_UNKNOWN_FORMAT, path, message)
                .help("files to write end in .npy, .npz, .csv or .json"));
        }
    };
    match replace(path, fill) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(message)) => {
            Err(refused(message).help("end the name in .npz, which holds arrays of any shape"))
        }
        Err(error) => Err(refused(format!("cannot write `{path}`: {error}"))),
    }
}

/// Writes the contents; the inner result is a sentence when the results do not fit the format.
type Fill<'a> = Box<dyn FnOnce(&mut BufWriter<NamedTempFile>) -> io::Result<Result<(), String>> + 'a>;

/// Writes a file next to its place and moves it there when it is complete.
fn replace(path: &str, fill: Fill<'_>) -> io::Result<Result<(), String>> {
    // A link is followed, so that its target is replaced and not the link.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".matex-");
    // Temporary files are private; a result is as open as any other new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut out = BufWriter::new(builder.tempfile_in(folder)?);
    let fits = fill(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if fits.is_ok() {
        file.persist(&target)?;
    }
    Ok(fits)
}

/// Named results as JSON: `{"outputs": [{"name", "dtype", "shape", "data"}]}` with nested lists as data. JSON has no
/// NaN and no infinities: they are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
pub(crate) fn to_json(arrays: &[(&str, &Tensor)]) -> Value {
    let outputs: Vec<Value> = arrays
        .iter()
        .map(|(name, tensor)| {
            // The lists of an empty array could be many all the same: its shape tells of them.
            let shape = if tensor.is_empty() { &[0] } else { tensor.shape() };
            let data = nest(shape, &mut tensor.scalars());
            json!({ "name": name, "dtype": tensor.dtype().name(), "shape": tensor.shape(), "data": data })
        })
        .collect();
    json!({ "outputs": outputs })
}

/// Takes as many values as the shape has, as nested lists; as deep as the rank, at most 64.
fn nest(shape: &[usize], values: &mut dyn Iterator<Item = Scalar>) -> Value {
    match shape {
        [] => values.next().map_or(Value::Null, number),
        [extent, inner @ ..] => (0..*extent).map(|_| nest(inner, values)).collect(),
    }
}

fn number(value: Scalar) -> Value {
    let dtype = value.dtype();
    if dtype == DType::Bool {
        return Value::Bool(value.bits() != 0);
    }
    if dtype.is_unsigned_int() {
        return Value::from(value.bits());
    }
    if dtype.is_signed_int() {
        return i64::try_from(value.to_i128()).map_or(Value::Null, Value::from);
    }
    let v = value.to_f64();
    if v.is_nan() {
        return Value::from("NaN");
    }
    if v.is_infinite() {
        return Value::from(if v > 0.0 { "Infinity" } else { "-Infinity" });
    }
    // The decimals are those of the narrow type: 0.1 as f32 is 0.1 and not 0.10000000149011612.
    Value::from(value.to_string().parse().unwrap_or(v))
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::testing::Folder;
    use super::*;

    #[test]
    fn files_read_back_and_leave_nothing_else() {
        let folder = Folder::new();
        let v = Tensor::from_vec(&[2], vec![1.5, -2.0]).unwrap();
        let m = Tensor::from_vec(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        for (name, arrays, key) in [
            ("a.npy", &[("v", &v)][..], ""),
            ("a.npz", &[("v", &v), ("m", &m)], ":v"),
            ("a.csv", &[("v", &v)], ""),
        ] {
            let path = folder.path(name);
            save(&path, arrays).unwrap();
            save(&path, arrays).unwrap();
            assert_eq!(load(&format!("{path}{key}")).unwrap().tensor, v, "{name}");
        }
        save(&folder.path("a.json"), &[("v", &v)]).unwrap();
        assert_eq!(folder.names(), ["a.csv", "a.json", "a.npy", "a.npz"]);
    }

    #[test]
    fn json() {
        let v = Tensor::from_vec(&[4], vec![0.1f32, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).unwrap();
        assert_eq!(
            to_json(&[("x", &v)]).to_string(),
            r#"{"outputs":[{"data":[0.1,"NaN","Infinity","-Infinity"],"dtype":"f32","name":"x","shape":[4]}]}"#
        );
        let data = |t: &Tensor| to_json(&[("x", t)])["outputs"][0]["data"].to_string();
        assert_eq!(data(&Tensor::from(u64::MAX)), "18446744073709551615");
        assert_eq!(data(&Tensor::from(true)), "true");
        assert_eq!(data(&Tensor::from_vec(&[2, 2], vec![1i8, -2, 3, 4]).unwrap()), "[[1,-2],[3,4]]");
        assert_eq!(data(&Tensor::zeros(DType::F64, &[1 << 50, 0]).unwrap()), "[]");
        assert_eq!(data(&Tensor::from(1.0 / 3.0)), "0.3333333333333333");
    }

    #[test]
    fn refusals_name_the_way_out_and_leave_no_file() {
        let folder = Folder::new();
        let t = Tensor::zeros(DType::F64, &[1, 1, 1]).unwrap();
        let two = [("a", &t), ("b", &t)];
        let fail = |name: &str, arrays: &[(&str, &Tensor)]| save(&folder.path(name), arrays).unwrap_err();
        assert!(fail("a.npy", &two).help.unwrap().contains(".npz"));
        assert!(fail("a.csv", &two[..1]).help.unwrap().contains(".npz"));
        assert_eq!(fail("a.xlsx", &two).code, codes::FILE_UNKNOWN_FORMAT);
        assert_eq!(fail("none/a.npy", &two[..1]).code, codes::FILE_NOT_WRITTEN);
        assert!(folder.names().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_result_is_not_private() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, t) = (Folder::new(), Tensor::from(1.0));
        save(&folder.path("a.npy"), &[("t", &t)]).unwrap();
        std::fs::write(folder.path("plain"), "").unwrap();
        let mode = |name| std::fs::metadata(folder.path(name)).unwrap().permissions().mode();
        assert_eq!(mode("a.npy"), mode("plain"));
    }
}
