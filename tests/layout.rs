//! What ARCHITECTURE.md says about the code, held by a test: which crate may use which, where `unsafe` may stand, that
//! every file says what it is for, and that every path that is named exists.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A crate's directory and the crates of this workspace that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("ir", &[]),
    ("lang", &["matex-ir"]),
    ("passes", &["matex-ir"]),
    ("codegen-cpu", &["matex-ir"]),
    ("codegen-gpu", &["matex-ir"]),
    ("runtime", &["matex-ir", "matex-lang", "matex-passes", "matex-codegen-cpu", "matex-codegen-gpu"]),
    ("macros", &["matex-lang"]),
    (".", &["matex-ir", "matex-lang", "matex-macros", "matex-passes", "matex-runtime"]),
    ("repl", &["matex", "matex-ir", "matex-lang", "matex-runtime"]),
    ("docs/snapshots", &["matex"]),
];

#[test]
fn dependencies_run_one_way() {
    for (dir, allowed) in ARROWS {
        let manifest = read(&root().join(dir).join("Cargo.toml"));
        let part = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
        let part = part.split("\n[").next().unwrap_or_default();
        let used =
            part.lines().filter_map(|l| l.split(['.', ' ', '=']).next()).filter(|n| n.starts_with("matex"));
        for name in used {
            assert!(allowed.contains(&name), "{dir} depends on {name}, which ARCHITECTURE.md does not allow");
        }
    }
    let manifest = read(&root().join("Cargo.toml"));
    let members = manifest.split("\nmembers = [").nth(1).or(manifest.split("members = [").nth(1)).unwrap();
    let members = members.split(']').next().unwrap().split(',').map(|m| m.trim().trim_matches('"'));
    for member in members.filter(|m| !m.is_empty()) {
        assert!(ARROWS.iter().any(|(dir, _)| *dir == member), "{member} has no row in ARROWS");
    }
}

/// All files of Rust that are product code, or tests.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (dir, _) in ARROWS {
        for part in ["src", "tests", "examples", "benches"] {
            let path = root().join(dir).join(part);
            if path.is_dir() {
                files.extend(support::files_under(&path, "rs"));
            }
        }
    }
    files
}

#[test]
fn every_file_says_what_it_is_for_and_holds_one_idea() {
    let mut wrong = Vec::new();
    for path in sources() {
        let text = read(&path);
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        let first = text.lines().find(|l| !l.starts_with("#![") && !l.trim().is_empty()).unwrap_or_default();
        if !first.starts_with("//!") && !first.starts_with("// ") {
            wrong.push(format!("{shown} does not begin with what it is for"));
        }
        let lines = text.lines().count();
        if lines > 700 {
            wrong.push(format!("{shown} has {lines} lines: it holds two ideas"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where `unsafe` may stand: views of foreign memory, buffers, calls of machine code and of LAPACK, work that is lent to the
/// threads of the pool, shaders without checks, what wgpu calls experimental, an allocator that counts, and what a bench compares with.
const UNSAFE: &[&str] = &[
    "runtime/src/tensor/",
    "runtime/src/exec/",
    "runtime/src/lib_ops/",
    "runtime/src/pool.rs",
    "runtime/src/gpu/pipelines.rs",
    "runtime/src/gpu/units.rs",
    "codegen-cpu/",
    "tests/allocations.rs",
    "tests/peaks.rs",
    "benches/linalg/",
    "benches/work/triad.rs",
];

#[test]
fn unsafe_code_is_fenced() {
    for path in sources() {
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string().replace('\\', "/");
        let shown = shown.trim_start_matches("./");
        let fenced = UNSAFE.iter().any(|f| shown.starts_with(f)) || shown == "tests/layout.rs";
        let code = read(&path);
        let stray = code.lines().map(str::trim_start).find(|l| {
            !l.starts_with("//") && ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|u| l.contains(u))
        });
        assert!(fenced || stray.is_none(), "{shown}: {stray:?}");
    }
}

#[test]
fn the_map_names_what_is_there() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let named = map.split('`').skip(1).step_by(2).filter(|p| {
        let path = p.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        path && p.contains('/') && !p.starts_with('/') && !p.contains("//")
    });
    let missing: Vec<&str> = named.filter(|p| !root().join(p).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

/// What users of the facade see: its own files, and those whose types it hands on.
const SHOWN: &[&str] = &[
    "src/",
    "runtime/src/tensor/mod.rs",
    "runtime/src/tensor/view.rs",
    "runtime/src/tensor/error.rs",
    "runtime/src/tensor/element.rs",
    "runtime/src/tensor/typed.rs",
    "runtime/src/resident/given.rs",
    "ir/src/dtype.rs",
    "ir/src/span.rs",
    "lang/src/diag.rs",
    "lang/src/limits.rs",
];

/// Nobody can name these: what macros expand to, the builder's insides, and the traits that close others.
const UNSEEN: &[&str] =
    &["src/embedded.rs", "src/builder/state.rs", "pub trait Sealed", "pub trait Given", "pub fn settle("];

#[test]
fn every_public_item_has_an_example() {
    let mut without = Vec::new();
    for path in sources() {
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string().replace('\\', "/");
        let shown = shown.trim_start_matches("./");
        if !SHOWN.iter().any(|s| shown.starts_with(s)) || UNSEEN.contains(&shown) {
            continue;
        }
        let (mut example, mut unseen) = (false, false);
        for line in read(&path).lines().map(str::trim_start) {
            // What is in a trait that nobody can name is part of it.
            unseen = (unseen && line != "}") || UNSEEN.iter().any(|u| line.starts_with(u));
            if line.starts_with("///") {
                example |= line.contains("```");
            } else if !line.starts_with("#[") {
                let item =
                    ["pub fn ", "pub const fn ", "pub unsafe fn ", "pub struct ", "pub enum ", "pub trait "];
                // What a macro makes has an example in it for each that it makes.
                if item.iter().any(|i| line.starts_with(i)) && !line.contains('$') && !example && !unseen {
                    without.push(format!("{shown}: {line}"));
                }
                example = false;
            }
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
}
