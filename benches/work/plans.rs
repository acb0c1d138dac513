//! What the plans of the examples come to, as written and as optimized: no times, and the same on every machine.

use crate::Bench;
use matex_ir::Dim;
use matex_lang::{Limits, Unit};
use matex_passes::plan::Step;
use matex_passes::{Options, Plan, lower, run_pipeline, sizes};
use std::path::Path;

/// The figures of a plan at the nominal size: kernels, library calls, bytes that they move and the peak of memory. What is in
/// a loop counts once.
fn figures(plan: &Plan) -> [f64; 4] {
    let value = |dim: &Dim| dim.eval(&|_| Some(sizes::NOMINAL));
    let (mut kernels, mut calls, mut bytes) = (0, 0, 0.0);
    for step in plan.blocks.iter().flat_map(|b| &b.items).map(|i| &i.step) {
        let products = step.kernels().any(|k| k.gemm.is_some());
        calls += usize::from(products || matches!(step, Step::Routine { .. }));
        kernels += usize::from(!products && step.kernels().next().is_some());
        bytes += if step.kernels().next().is_some() { plan.work(step, &value).bytes } else { 0.0 };
    }
    [kernels as f64, calls as f64, bytes / 1e6, plan.peak_bytes(&value) as f64 / 1e6]
}

/// A line for each example whose parameters have types.
pub(crate) fn all(bench: &Bench) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "mx"));
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let unit = Unit::new(&text, None, &Limits::default()).unwrap();
        let func = unit.specialize(&unit.assumed_args().unwrap()).unwrap();
        let of = |options: &Options| {
            let func = run_pipeline(&func, options, |_, _| {});
            figures(&lower(&func, &[], options).unwrap())
        };
        let (before, after) = (of(&Options::plain()), of(&Options::default()));
        let names = ["kernels", "calls", "MB", "peak MB"];
        let both = names.iter().zip(before.into_iter().zip(after));
        let both: Vec<(String, f64)> = both
            .flat_map(|(name, (before, after))| {
                [(format!("{name} before"), before), ((*name).to_owned(), after)]
            })
            .collect();
        let shown: Vec<(&str, f64)> = both.iter().map(|(name, figure)| (name.as_str(), *figure)).collect();
        bench.line("plans", &file.file_stem().unwrap().to_string_lossy(), &shown);
    }
}
