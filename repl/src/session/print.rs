//! Results of lines.

use crate::output;
use matex::{DType, Outputs};

/// Results: as `matex eval` prints them, and a scalar of another dtype than its digits tell with that.
pub(super) fn results(outputs: &Outputs, line: usize) -> String {
    match &outputs[..] {
        [one] if one.rank() == 0 && !is_told(one.dtype()) => format!("{one}: {}\n", one.dtype()),
        _ => output::show(outputs, line),
    }
}

/// Whether the digits tell the dtype: `1` is i64, `1.0` f64, `true` bool.
fn is_told(dtype: DType) -> bool {
    [DType::I64, DType::F64, DType::Bool].contains(&dtype)
}
