//! Results on standard output.

use matex::{DType, Outputs, Tensor};
use std::io::{self, ErrorKind, Write};

/// Arrays with more elements are printed with their edges only, and get a line that sums them up.
const SUMMED_UP: usize = 1000;

/// Writes a text. A reader that has seen enough (`| head`) and closed the pipe is no error.
///
/// # Errors
/// What else the system reports, such as a full disk.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line.
///
/// # Errors
/// As for [`write`].
pub(crate) fn line(text: &str) -> io::Result<()> {
    write(&format!("{text}\n"))
}

/// Columns of a line where there is no terminal to ask.
pub(crate) const LINE: usize = 120;

/// Results for people: a scalar as it is, an array below its kind, several with their names; in lines of so many columns.
pub(crate) fn show(outputs: &Outputs, line: usize) -> String {
    let named = outputs.len() > 1;
    let all = outputs.iter().zip(outputs.names());
    all.map(|(tensor, name)| show_one(tensor, named.then_some(name), line)).collect()
}

fn show_one(tensor: &Tensor, name: Option<&String>, line: usize) -> String {
    if tensor.rank() == 0 {
        return name.map_or(format!("{tensor}\n"), |name| format!("{name} = {tensor}\n"));
    }
    let head = name.map_or(String::new(), |name| format!("{name}: "));
    let summary = if tensor.len() > SUMMED_UP { summary(tensor) } else { String::new() };
    // An empty matrix would tell its kind a second time.
    let elements = if tensor.is_empty() { "[]".to_owned() } else { format!("{tensor:line$}") };
    format!("{head}{}{summary}\n{elements}\n", tensor.describe())
}

/// `, min 0.0, max 1.0, mean 0.5`, and how many NaN there are.
fn summary(tensor: &Tensor) -> String {
    // Broadcasts can have more elements than anybody waits for.
    const LOOKED_AT: usize = 1 << 26;
    if tensor.len() > LOOKED_AT {
        return String::new();
    }
    if tensor.dtype() == DType::Bool {
        let ones = tensor.scalars().filter(|s| s.bits() != 0).count();
        return format!(", {ones} true");
    }
    let (mut count, mut nans, mut sum) = (0_usize, 0_usize, 0.0);
    let mut ends: Option<(matex::Scalar, matex::Scalar)> = None;
    for s in tensor.scalars() {
        let v = s.to_f64();
        if v.is_nan() {
            nans += 1;
            continue;
        }
        count += 1;
        sum += v;
        ends = Some(ends.map_or((s, s), |(min, max)| {
            (if v < min.to_f64() { s } else { min }, if v > max.to_f64() { s } else { max })
        }));
    }
    let mut text = ends.map_or(String::new(), |(min, max)| {
        format!(", min {min}, max {max}, mean {:.6}", sum / count as f64)
    });
    if nans > 0 {
        text.push_str(&format!(", {nans} nan"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_readable() {
        let show = |source: &str| show(&matex::compile(source).unwrap().call(&[]).unwrap(), LINE);
        assert_eq!(show("1 + 2 * 3"), "7\n");
        assert_eq!(show("[1.5, 2.0]"), "f64[2]\n[1.5, 2.0]\n");
        assert_eq!(show("{ m = [1, 2]; s = 3; return m, s }"), "m: i64[2]\n[1, 2]\ns = 3\n");
        let large = show("arange(2001)");
        assert!(large.starts_with("i64[2001], min 0, max 2000, mean 1000.000000\n[0, 1, 2, …"), "{large}");
    }
}
