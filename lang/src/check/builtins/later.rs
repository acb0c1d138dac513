//! Names that the language keeps for later versions: an error that says so rather than an unknown name.

use crate::codes;
use crate::diag::Diagnostic;

/// The error about a name that is kept for later versions.
pub(crate) fn reserved(name: &str) -> Option<Diagnostic> {
    let kept =
        ["fft", "ifft", "rfft", "irfft", "median", "quantile", "conv", "complex", "real", "imag", "conj"];
    kept.contains(&name).then(|| {
        Diagnostic::new(codes::RESERVED_FOR_LATER, format!("{name} is reserved for a later version"))
            .help("there is no replacement in this version")
    })
}
