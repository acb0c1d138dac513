//! The examples of the catalogue that need values or files, run as they stand: what is wrong has its code, what is right
//! has none.

#![allow(clippy::unwrap_used, reason = "a test that cannot start its program has failed")]

use matex_lang::codes;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Groups whose examples are of text and types alone, which the tests of the front end check.
const FIRST_OF_CALLS: u16 = 500;

/// Values for the names that examples leave free.
const VALUES: &[(&str, &str)] = &[
    ("A", "[[2.0,1.0],[1.0,2.0]]"),
    ("b", "[1.0,2.0]"),
    ("i", "2"),
    ("n", "3"),
    ("x", "[1.0,2.0,3.0]"),
    ("y", "[1.0,2.0,3.0]"),
];

/// The files that examples read.
fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("catalogue");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("data.csv"), "height,weight\n1.8,80\n1.7,70\n").unwrap();
    std::fs::write(folder.join("data.xlsx"), "").unwrap();
    for (program, file) in
        [("arange(3) * 1.0", "data.npy"), ("{ weights = arange(3); weights }", "model.npz")]
    {
        let (code, told) = run(&folder, &["eval", program, "-o", file]);
        assert_eq!(code, 0, "{told}");
    }
    folder
}

fn run(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_matex")).args(args).current_dir(folder).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The words of a command line; quotes are those of a shell.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// The arguments of an example, which is a command or a program; a program gets values for its free names.
fn arguments(example: &str) -> Vec<String> {
    if let Some(command) = example.strip_prefix("matex ") {
        return words(command);
    }
    let mut args = vec!["eval".to_owned(), "--max-steps".to_owned(), "10000".to_owned(), example.to_owned()];
    if let Ok(unit) = matex_lang::Unit::new(example, None, &matex_lang::Limits::default()) {
        let given = |name: &str| VALUES.iter().find(|(n, _)| *n == name).map(|(_, v)| format!("{name}={v}"));
        args.extend(unit.signature().params.iter().filter_map(|p| given(&p.name)));
    }
    args
}

#[test]
fn the_examples_of_calls_are_true() {
    let folder = folder();
    let (mut mistaken, mut count) = (Vec::new(), 0);
    for row in codes::all().filter(|row| row.code.0 >= FIRST_OF_CALLS) {
        for line in row.explanation.lines() {
            let (example, wrong) = match (line.strip_prefix("wrong:"), line.strip_prefix("right:")) {
                (Some(example), _) => (example, true),
                (_, Some(example)) => (example, false),
                (None, None) => continue,
            };
            // A right one that goes on in words is read by people.
            let example = example.split(", or ").next().unwrap_or_default().trim();
            let args = arguments(example);
            let (code, told) = run(&folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
            let fits = if wrong { told.contains(&format!("error[{}]", row.code)) } else { code == 0 };
            count += 1;
            if !fits {
                mistaken.push(format!("{} {line}: {code}\n{told}", row.code));
            }
        }
    }
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
    assert!(count >= 30, "only {count} examples");
}
