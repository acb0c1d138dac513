//! What every program of `examples/` becomes: the optimized IR and the plan, with the lines that open its kernels. To be
//! read when they change.

#![allow(clippy::unwrap_used, reason = "in a test it is the check")]

use matex::Stage;
use std::path::Path;

#[test]
fn programs_and_their_plans() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "mx"));
    files.sort();
    assert!(files.len() >= 18, "{files:?}");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let f = matex::compile(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let dump = |stage| f.dump(stage).unwrap_or_else(|e| panic!("{name}: {e}"));
        let kernels = dump(Stage::Kernels);
        // The bodies are those of expansions for the most part.
        let heads: Vec<&str> = kernels.lines().filter(|l| l.starts_with("kernel ")).collect();
        let text = format!("{}\n{}\n\n{}", dump(Stage::Optimized), heads.join("\n"), dump(Stage::Plan));
        insta::assert_snapshot!(name, text);
    }
}
