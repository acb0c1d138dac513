//! What the GPU leaves to the CPU in the programs of the corpus, which is what the documentation says.

use super::narrowed;
use crate::support::{compile, corpus};
use matex_passes::plan::{Routine, Step};
use matex_passes::{Options, lower_unexpanded};
use std::collections::BTreeSet;

/// The library routines that programs in 32 bits call, and why kernels of theirs stay on the CPU. Dtypes have names of their
/// own in the second list, as `T`.
fn left_over() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut routines, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    for case in corpus() {
        let Some((func, _)) = compile(&case).ok().and_then(|c| narrowed(&c)) else { continue };
        let options = Options::default();
        let classes = vec![matex_runtime::LayoutClass::Contiguous; func.params.len()];
        let func = matex_passes::optimize(&func, &options).0;
        let Ok(plan) = lower_unexpanded(&func, &classes, &options) else { continue };
        for item in plan.blocks.iter().flat_map(|b| &b.items) {
            // Scatters are done there, by dtypes and sizes.
            if let Step::Routine { routine: routine @ Routine::Lib(_), .. } = &item.step {
                routines.insert(routine.name().to_owned());
            }
        }
        let text = matex_runtime::wgsl(&plan, &|dim| Some(options.sizes.estimate(dim) as i64));
        for why in text.lines().filter_map(|l| l.split(" stays on the CPU: ").nth(1)) {
            let dtypes = ["f64", "bf16", "i8", "i16", "u8", "u16", "u64"];
            let words = why.split(' ').map(|w| if dtypes.contains(&w) { "T" } else { w });
            reasons.insert(words.collect::<Vec<_>>().join(" "));
        }
    }
    (routines, reasons)
}

#[test]
fn what_is_left_to_the_cpu_is_what_the_documentation_says() {
    let (routines, reasons) = left_over();
    let list = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    assert_eq!(
        list(&reasons),
        "it computes with 64-bit integers, it computes with T, lgamma has no code for the GPU"
    );
    let text = include_str!("../../docs/gpu.md");
    let told = text.split("Library routines: ").nth(1).and_then(|t| t.split('.').next()).unwrap_or_default();
    let told: BTreeSet<String> = told.split(',').map(|n| n.trim().trim_matches('`').to_owned()).collect();
    assert_eq!(list(&routines), list(&told));
}
