//! A program in Rust's tokens is the program of the string: the same tensor IR, over the whole corpus.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::closure::program;
use matex_lang::{ArgSpec, DType, Limits, Unit};
use proc_macro2::TokenStream;
use std::path::{Path, PathBuf};

/// A case of the corpus: its title, its inputs and its program.
struct Case {
    title: String,
    inputs: Vec<(String, ArgSpec)>,
    program: String,
}

fn files(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else if path.extension().is_some_and(|e| e == "mx") {
            all.push(path);
        }
    }
}

fn corpus() -> Vec<Case> {
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases"), &mut paths);
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap();
        for case in text.split("\n== ").skip(1) {
            let mut parts = case.split("\n---\n");
            let (head, program) = (parts.next().unwrap(), parts.next().unwrap());
            let (title, inputs) = head.split_once('\n').unwrap_or((head, ""));
            if inputs.contains("entry:") {
                continue;
            }
            let inputs = inputs.lines().filter(|l| !l.starts_with([' ', '/'])).filter_map(input).collect();
            cases.push(Case { title: title.to_owned(), inputs, program: program.to_owned() });
        }
    }
    cases
}

fn input(line: &str) -> Option<(String, ArgSpec)> {
    let (name, rest) = line.split_once(':')?;
    let ty = rest.split_once('=')?.0.trim();
    let (weak, ty) = ty.strip_prefix("weak ").map_or((false, ty), |t| (true, t));
    let (dtype, dims) = ty.split_once('[').unwrap_or((ty, ""));
    let dims = dims.trim_end_matches(']').split(',').map(str::trim).filter(|d| !d.is_empty());
    let spec = ArgSpec { dtype: DType::from_name(dtype)?, ones: dims.map(|d| d == "1").collect(), weak };
    Some((name.trim().to_owned(), spec))
}

/// The tensor IR of a program for the inputs of a case, or the codes of its errors.
fn ir(source: &str, case: &Case) -> String {
    let codes =
        |ds: Vec<matex_lang::Diagnostic>| ds.iter().map(|d| d.code.to_string()).collect::<Vec<_>>().join(" ");
    let unit = match Unit::new(source, None, &Limits::default()) {
        Ok(unit) => unit,
        Err(ds) => return codes(ds),
    };
    let given = |name: &str| case.inputs.iter().find(|(n, _)| n == name).map(|(_, spec)| spec.clone());
    let args: Vec<_> = unit.signature().params.iter().map(|p| given(&p.name)).collect();
    unit.specialize(&args).map_or_else(codes, |func| func.to_string())
}

#[test]
fn tokens_make_the_ir_of_the_string() {
    let mut compared = 0;
    for case in corpus() {
        // What is no Rust token is what the language rejects as well, and says so at its own place.
        let Ok(tokens) = case.program.parse::<TokenStream>() else { continue };
        let text = program(tokens);
        assert_eq!(ir(text.source(), &case), ir(&case.program, &case), "{}\n{}", case.title, text.source());
        compared += 1;
    }
    assert!(compared > 900, "only {compared} programs of the corpus were compared");
}

#[test]
fn a_closure_is_a_function() {
    let one = |source: &str| program(source.parse().unwrap()).source().split_whitespace().collect::<String>();
    assert_eq!(one("|x: f32[n]| x * 2"), "fnmain(x:f32[n]){x*2}");
    assert_eq!(one("|x: f32[n]| { x * 2 }"), "fnmain(x:f32[n]){x*2}");
    assert_eq!(one("|x: f32[n]| -> f32[n] { x * 2 }"), "fnmain(x:f32[n])->f32[n]{x*2}");
    assert_eq!(one("|x: f32| -> (f32, f32) { return x, x }"), "fnmain(x:f32)->(f32,f32){returnx,x}");
    assert_eq!(one("|| 1"), "fnmain(){1}");
    assert_eq!(one("x + 1"), "x+1");
}

#[test]
fn a_place_in_the_text_is_a_token() {
    let text = program("{ y = x;\n    y[0] }".parse().unwrap());
    let at = text.source().find("y[0]").unwrap();
    let (first, last) = text.spans(at..at + 4);
    assert_eq!((first.start().line, first.start().column, last.end().column), (2, 4, 8));
    // Behind the end, and in an empty program, there is still something to point at.
    let end = text.source().len();
    assert_eq!(text.spans(end..end).0.start().line, 2);
    let _ = program(TokenStream::new()).spans(0..0);
}
