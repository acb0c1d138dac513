//! What the pages print is what happens: the commands, sessions and errors of the README and of docs/, run as a reader would.

#![allow(clippy::unwrap_used, reason = "a test that cannot start its program has failed")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A fenced block of a page: what stands behind the fence, and its lines.
struct Block {
    language: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let mut all = Vec::new();
    let mut lines = page.lines();
    while let Some(fence) = lines.next() {
        let Some(language) = fence.strip_prefix("```") else { continue };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        all.push(Block { language: language.to_owned(), text: inside.join("\n") });
    }
    all
}

/// The block that begins behind `before`, words of the page.
fn block_after(page: &str, before: &str) -> Block {
    let at = page.find(before).unwrap_or_else(|| panic!("`{before}` is on the page"));
    blocks(&page[at..]).remove(0)
}

/// Standard output of the program in a folder; that it ends well is part of what the pages promise.
fn output(folder: &Path, args: &[String], input: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_matex"));
    command.current_dir(folder).args(args);
    for name in ["MATEX_SIMD", "MATEX_DEVICE", "MATEX_NUM_THREADS", "MATEX_DEBUG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && err.is_empty(), "{args:?} {input}\n{err}");
    String::from_utf8(output.stdout).unwrap()
}

/// The words of a command as a shell takes them apart, where quotes are single ones.
fn words(command: &str) -> Vec<String> {
    let quoted = command.split('\'').enumerate();
    let parts = quoted.flat_map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    parts.collect()
}

#[test]
fn the_first_command_fits_longley() {
    let readme = page("README.md");
    let all = blocks(&readme);
    let at = all.iter().position(|b| b.language == "sh").unwrap();
    let args = all[at].text.strip_prefix("cargo run --release --bin matex -- ").unwrap();
    assert_eq!(output(&root(), &words(args), "").trim_end(), all[at + 1].text);
}

#[test]
fn every_line_of_the_language_compiles() {
    let text = block_after(&page("README.md"), "\n## The language").text;
    let (lines, functions) = text.split_once("\n\n").unwrap();
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let (program, _) = line.split_once("   ").unwrap();
        matex::compile(program).unwrap();
    }
    for name in ["power", "pairwise", "clean", "shift", "gram", "fit", "loss", "step"] {
        matex::Compiler::new().entry(name).compile(functions).unwrap();
    }
}

#[test]
fn the_error_is_drawn_so() {
    let readme = page("README.md");
    let before = "let error = matex::compile(\"";
    let at = readme.find(before).unwrap() + before.len();
    let (program, rest) = readme[at..].split_once("\").unwrap_err()").unwrap();
    let drawn = matex::compile(program).unwrap_err().to_string();
    assert_eq!(drawn.trim_end(), block_after(&rest[rest.find("```\n").unwrap() + 4..], "").text);
}

/// Files with the names that the commands of the README have.
fn folder_of_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("data.csv", "height,age,weight\n1,2,3\n2,1,4\n3,5,8\n");
    write("b.csv", "1\n2\n5\n");
    write("ols.mx", "fn ols(X: f64[n, k], y: f64[n]) -> f64[k] { solve(X.T @ X, X.T @ y) }");
    output(folder.path(), &[], "a = [1.0, 2.0, 3.0]\n:save a a.npy\n");
    folder
}

#[test]
fn every_command_of_the_program_runs() {
    let folder = folder_of_files();
    let commands = block_after(&page("README.md"), "\n## The program").text;
    let mut seen = 0;
    for line in commands.lines() {
        let command = line.split("   ").next().unwrap();
        let args = words(command.strip_prefix("matex").unwrap());
        let out = output(folder.path(), &args, "");
        let quiet = args.is_empty() || args.contains(&"-o".to_owned());
        assert_eq!(out.is_empty(), quiet, "{line}\n{out}");
        seen += 1;
    }
    assert!(seen >= 8, "{commands}");
    assert!(folder.path().join("beta.npy").exists());
}

/// The lines of a session that are typed, and those that are printed.
fn typed_and_printed(text: &str) -> (String, String) {
    let (typed, printed): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("> "));
    (typed.iter().map(|line| format!("{}\n", &line[2..])).collect(), printed.join("\n"))
}

/// What a batch prints as the same lines print when they are typed: each of those is the first of its own text.
fn as_typed(printed: &str) -> String {
    let line = |line: &str| {
        if let Some((_, column)) = line.strip_prefix("  ┌─ <stdin>:").and_then(|at| at.split_once(':')) {
            return format!("  ┌─ <line>:1:{column}\n");
        }
        match line.split_once(" │ ") {
            Some((number, code)) if number.parse::<u32>().is_ok() => format!("1 │ {code}\n"),
            Some(_) | None => format!("{line}\n"),
        }
    };
    printed.lines().map(line).collect()
}

#[test]
fn sessions_go_as_they_are_shown() {
    let mut seen = 0;
    for name in ["README.md", "docs/repl.md", "docs/guide.md", "docs/language.md", "docs/derivatives.md"] {
        for block in blocks(&page(name)).iter().filter(|b| b.text.starts_with("> ")) {
            let (typed, printed) = typed_and_printed(&block.text);
            let folder = tempfile::tempdir().unwrap();
            assert_eq!(as_typed(&output(folder.path(), &[], &typed)).trim_end(), printed, "{name}\n{typed}");
            seen += 1;
        }
    }
    assert!(seen >= 3);
}
