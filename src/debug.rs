//! `MATEX_DEBUG`: what a compilation made, on standard error, the more the higher the level.

use crate::cache::Special;
use crate::function::Function;
use crate::stage::{Stage, head, show};
use std::io::Write;

/// The stages that each level adds to those below it.
const LEVELS: [&[Stage]; 5] =
    [&[], &[Stage::Tensor], &[Stage::Optimized], &[Stage::Kernels, Stage::Plan], &[Stage::Clif, Stage::Asm]];

/// Tells of a form of a program that was just made.
pub(crate) fn report(function: &Function, special: &Special) {
    let level = usize::from(function.options().debug);
    if level == 0 {
        return;
    }
    let mut text =
        format!("matex: {} is made ready for the {}\n", head(function.signature()), special.engine.name());
    for stage in LEVELS.iter().take(level).copied().flatten() {
        text.push_str(&format!("matex: {stage}\n{}", show(*stage, special)));
    }
    // Whoever closed standard error does not want to hear of it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
