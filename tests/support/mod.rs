//! What the tests at the top share: the corpus of cases, the engines that run them, and how results are compared.
#![allow(dead_code, reason = "each test crate uses its own part of this")]

pub(crate) mod case;
pub(crate) mod compare;
pub(crate) mod data;
pub(crate) mod engines;

use case::Case;
use matex_ir::tensor::Func;
use matex_ir::tensor::interp::Array;
use matex_lang::{ArgSpec, Diagnostic, Limits, Unit};
use std::path::{Path, PathBuf};

/// A directory under `tests/`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// All `.mx` files under a directory, sorted by path.
pub(crate) fn mx_files(dir: &Path) -> Vec<PathBuf> {
    files_under(dir, "mx")
}

/// All files of an ending under a directory, sorted by path.
pub(crate) fn files_under(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Every case of the corpus, in the order of the files.
pub(crate) fn corpus() -> Vec<Case> {
    let root = folder("cases");
    let files = mx_files(&root);
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(&root).unwrap().with_extension("");
        case::parse(&name.to_string_lossy().replace('\\', "/"), &text)
    };
    files.iter().flat_map(read).collect()
}

/// A program checked for arguments, and the arguments in the dtypes that its parameters have.
pub(crate) struct Compiled {
    pub(crate) func: Func,
    pub(crate) args: Vec<Array>,
    /// Whether no parameter has a declared type: sizes that disagree are then the program's demand (E0508).
    pub(crate) undeclared: bool,
}

/// Checks the program of a case for its inputs.
pub(crate) fn compile(case: &Case) -> Result<Compiled, Vec<Diagnostic>> {
    compile_text(&case.program, case)
}

/// Checks a program for the inputs of a case.
pub(crate) fn compile_text(program: &str, case: &Case) -> Result<Compiled, Vec<Diagnostic>> {
    let unit = Unit::new(program, case.entry.as_deref(), &Limits::default())?;
    let mut specs = Vec::new();
    let mut given = Vec::new();
    for p in &unit.signature().params {
        let input = case.inputs.iter().find(|i| i.name == p.name);
        specs.push(input.map(|i| ArgSpec {
            dtype: i.array.dtype(),
            ones: i.array.shape().iter().map(|n| *n == 1).collect(),
            weak: i.weak,
        }));
        given.extend(input);
    }
    let func = unit.specialize(&specs)?;
    // A literal takes the dtype that the checker found for it.
    let cast = |(i, p): (&&case::Input, &matex_ir::tensor::Param)| {
        let data = i.array.data().iter().map(|s| s.cast(p.ty.dtype)).collect();
        Array::new(p.ty.dtype, i.array.shape().to_vec(), data).unwrap()
    };
    let args = given.iter().zip(&func.params).map(cast).collect();
    let undeclared = unit.signature().params.iter().all(|p| p.ty.is_none());
    Ok(Compiled { func, args, undeclared })
}
