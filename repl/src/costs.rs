//! What work was measured to cost on this machine, in a file of the user's cache.
//!
//! `matex doctor --calibrate` measures and writes it, and what is run reads it. What is shown (dumps, explanations) has the fixed constants, so
//! that it is the same everywhere. A file of another version or another CPU, or one that does not read as what
//! was written, is none.

use crate::data::DataError;
use crate::failure::Failure;
use crate::folders;
use matex::CostModel;
use matex_lang::codes;
use std::fmt::Write;
use std::io::Read;
use std::path::PathBuf;

/// The largest file that is read.
const MOST: u64 = 4096;

/// What the constants are called in the file and in reports, their values, and their units.
pub(crate) fn rows(costs: &CostModel) -> Vec<(String, f64, &'static str)> {
    let mut rows = vec![
        ("vectors".to_owned(), costs.vector, "bytes of simple operations in a nanosecond"),
        ("width".to_owned(), costs.width, "bytes of a vector"),
        ("scalars".to_owned(), costs.scalar, "simple operations in a nanosecond"),
        ("products".to_owned(), costs.product, "bytes of products of matrices in a nanosecond"),
        ("launch".to_owned(), costs.launch, "nanoseconds to start a kernel"),
    ];
    for (function, taken) in CostModel::FUNCTIONS.iter().zip(costs.functions) {
        rows.push(((*function).to_owned(), taken, "simple operations, and its like"));
    }
    for (i, (_, rate)) in costs.levels.iter().enumerate() {
        rows.push((format!("level {}", i + 1), *rate, "bytes moved in a nanosecond"));
    }
    rows
}

/// Measures, and keeps what was measured.
pub(crate) fn calibrate() -> Result<(), Failure> {
    let unusable = |name: &str, why: String| DataError::new(codes::FILE_NOT_WRITTEN, name, why);
    let costs = matex_runtime::calibrate()
        .map_err(|e| unusable("the constants of costs", format!("cannot be measured: {e}")))?;
    let file = file().ok_or_else(|| {
        unusable("the constants of costs", "have no place: neither XDG_CACHE_HOME nor HOME is set".to_owned())
    })?;
    let text = text(&costs, &key());
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folder.and_then(|()| std::fs::write(&file, text));
    written.map_err(|e| unusable(&file.display().to_string(), format!("cannot write: {e}")).into())
}

/// What was measured on this machine by this version, if anything was.
pub(crate) fn kept() -> Option<CostModel> {
    let mut text = String::new();
    std::fs::File::open(file()?).ok()?.take(MOST).read_to_string(&mut text).ok()?;
    read(&text, &key())
}

/// Where it is kept.
pub(crate) fn file() -> Option<PathBuf> {
    Some(folders::of_user("XDG_CACHE_HOME", ".cache")?.join("costs"))
}

/// Whose constants they are.
fn key() -> String {
    format!("matex {} on {}", env!("CARGO_PKG_VERSION"), cpu())
}

/// What the system calls the CPU.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn text(costs: &CostModel, key: &str) -> String {
    let mut text = format!("{key}\n");
    for (name, value, _) in rows(costs) {
        // A String takes any text, so that writing to it cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}

/// The constants in a text that was written for this key.
fn read(text: &str, key: &str) -> Option<CostModel> {
    let mut lines = text.lines();
    let mut costs = CostModel::FIXED;
    if lines.next()? != key {
        return None;
    }
    let mut values = Vec::new();
    for (name, ..) in rows(&costs) {
        let (found, value) = lines.next()?.split_once(": ")?;
        values.push(value.parse::<f64>().ok().filter(|_| found == name)?);
    }
    let (rates, rest) = values.split_at_checked(5)?;
    let (functions, levels) = rest.split_at_checked(costs.functions.len())?;
    let [vector, width, scalar, product, launch] = *rates else { return None };
    costs.functions.copy_from_slice(functions);
    costs = CostModel { vector, width, scalar, product, launch, ..costs };
    costs.levels.iter_mut().zip(levels).for_each(|(level, rate)| level.1 = *rate);
    (costs.is_sensible() && lines.next().is_none()).then_some(costs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nothing_else_does() {
        let costs = CostModel {
            launch: 31.5,
            levels: CostModel::FIXED.levels.map(|(h, r)| (h, r / 3.0)),
            ..CostModel::FIXED
        };
        let whole = text(&costs, "matex 1 on a CPU");
        assert_eq!(read(&whole, "matex 1 on a CPU"), Some(costs));
        assert_eq!(read(&whole, "matex 2 on a CPU"), None);
        for cut in 0..whole.len() - 1 {
            let read = read(&whole[..cut], "matex 1 on a CPU");
            // A last number without its last digits is a number, too, and as sensible.
            assert!(
                read.is_none() || whole[..cut].lines().count() == whole.lines().count(),
                "{}",
                &whole[..cut]
            );
        }
        for (from, to) in [
            ("31.5", "NaN"),
            ("31.5", "-31.5"),
            ("31.5", "1e300"),
            ("launch", "lunch"),
            ("launch: ", "launch"),
        ] {
            assert_eq!(read(&whole.replace(from, to), "matex 1 on a CPU"), None, "{to}");
        }
        assert_eq!(read(&format!("{whole}more"), "matex 1 on a CPU"), None);
    }
}
