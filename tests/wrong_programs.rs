//! Wrong programs and what they are told: `tests/wrong/*.mx`, drawn into snapshots that people read.
//!
//! A program stands behind a title that begins with the code of its first diagnostic.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use matex_lang::{ArgSpec, DType, Diagnostic, Limits, ParamSig, Unit, codes, render::render};
use std::collections::BTreeSet;
use support::{folder, mx_files};

struct Wrong {
    title: String,
    program: String,
}

fn programs(text: &str) -> Vec<Wrong> {
    let one = |part: &str| {
        let (title, program) = part.split_once('\n').unwrap();
        Wrong { title: title.to_owned(), program: program.trim_end().to_owned() }
    };
    text.split("\n== ").skip(1).map(one).collect()
}

fn errors(program: &str) -> Vec<Diagnostic> {
    match Unit::new(program, None, &Limits::default()) {
        Err(errors) => errors,
        // Programs without declared types are checked at the call.
        Ok(unit) => unit.specialize(&[]).err().unwrap_or_default(),
    }
}

#[test]
fn every_wrong_program_is_told_well() {
    let mut mistaken = Vec::new();
    let mut count = 0;
    for path in mx_files(&folder("wrong")) {
        let mut book = String::new();
        for wrong in programs(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            let found = errors(&wrong.program);
            let wanted = wrong.title.split(' ').next().unwrap_or_default().to_owned();
            match found.first() {
                Some(first) if first.code.to_string() == wanted => {}
                first => mistaken.push(format!("{}: {first:?}", wrong.title)),
            }
            for d in &found {
                check_places(d, &wrong, &mut mistaken);
            }
            book +=
                &format!("---- {}\n{}\n", wrong.title, render(&found, "program.mx", &wrong.program, false));
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        insta::assert_snapshot!(name, book);
    }
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
    assert!(count >= 120, "only {count} wrong programs");
}

/// Every diagnostic has a code that is explained, a place inside the program, and says what to type.
fn check_places(d: &Diagnostic, wrong: &Wrong, mistaken: &mut Vec<String>) {
    let inside =
        d.labels.iter().all(|l| l.span.end as usize <= wrong.program.len() && l.span.start <= l.span.end);
    if codes::explain(d.code).is_none() || d.labels.is_empty() || !inside || d.help.is_none() {
        mistaken.push(format!("{}: no explanation, place or help: {d:?}", wrong.title));
    }
}

/// Codes that the checker writes into guards and checks only, or where no program can reach.
const NOT_OF_PROGRAMS: &[&str] = &[
    // Of calls and of run time.
    "CALL_DTYPE",
    "CALL_MISSING",
    "CALL_RANK",
    "CALL_SHAPES_DISAGREE",
    "CALL_SIZE",
    "CALL_SIZE_NEGATIVE",
    "NOT_SQUARE",
    "RUNTIME_DOMAIN",
    "UNKNOWN_ENTRY",
    "LITERAL_TOO_LARGE",
    // Limits, which have tests of their own.
    "LIMIT_IR_NODES",
    "LIMIT_NESTING",
    "LIMIT_ELEMENTS",
    "LIMIT_BYTES",
    "LIMIT_RANK",
    // The parser and the resolver see these first.
    "BAD_POSITIONAL",
    "LAMBDA_NOT_ALLOWED",
    "STRING_NOT_ALLOWED",
    // A bug in matex.
    "INTERNAL",
];

#[test]
fn every_code_of_the_checker_has_a_wrong_program() {
    let texts: String =
        mx_files(&folder("wrong")).iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
    let covered: BTreeSet<String> =
        programs(&texts).iter().flat_map(|w| errors(&w.program)).map(|d| d.code.to_string()).collect();
    let catalogue = catalogue();
    let mut missing = Vec::new();
    for name in names_used() {
        let code = catalogue.iter().find(|(n, _)| *n == name).map(|(_, c)| format!("E{c:04}"));
        let code = code.unwrap_or_else(|| panic!("codes::{name} is not in the catalogue"));
        if !covered.contains(&code) && !NOT_OF_PROGRAMS.contains(&&*name) {
            missing.push(format!("{name} {code}"));
        }
    }
    assert!(missing.is_empty(), "no program in tests/wrong is told: {missing:?}");
}

/// The names of codes in the checker's source text.
fn names_used() -> BTreeSet<String> {
    let word =
        |rest: &str| -> String { rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect() };
    let sources = support::files_under(&folder("../lang/src/check"), "rs");
    let texts = sources.iter().map(|p| std::fs::read_to_string(p).unwrap());
    let mut names = BTreeSet::new();
    for text in texts {
        names.extend(text.split("codes::").skip(1).map(word).filter(|w| !w.is_empty()));
    }
    names
}

/// Names and numbers in the catalogue.
fn catalogue() -> Vec<(String, u16)> {
    let sources = support::files_under(&folder("../lang/src/codes"), "rs");
    let row = |line: &str| {
        let (name, rest) = line.split_once(" = ")?;
        let number = rest.split(',').next()?.parse().ok()?;
        Some((name.to_owned(), number))
    };
    let text = |p: &std::path::PathBuf| std::fs::read_to_string(p).unwrap();
    sources.iter().flat_map(|p| text(p).lines().filter_map(row).collect::<Vec<_>>()).collect()
}

/// The diagnostics of a program for the first guess at its arguments that suits: all scalars, vectors or matrices.
fn guesses(program: &str) -> Vec<Vec<Diagnostic>> {
    let unit = match Unit::new(program, None, &Limits::default()) {
        Ok(unit) => unit,
        // A fragment: a few statements.
        Err(errors) if errors[0].code == codes::STATEMENT_OUTSIDE_BLOCK => {
            let mut guesses = guesses(&format!("{{ {program} 1 }}"));
            guesses.push(errors);
            return guesses;
        }
        Err(errors) => return vec![errors],
    };
    let spec = |p: &ParamSig, rank: usize| {
        let declared = p.ty.as_ref().map(|t| (t.dtypes.typical(), t.dims.len()));
        let (dtype, rank) = declared.unwrap_or(match p.name.as_str() {
            "n" => (DType::I64, 0),
            "c" if program.starts_with("if c") => (DType::Bool, 0),
            "i" | "j" => (DType::I64, 1),
            _ => (DType::F64, rank),
        });
        (!p.optional).then(|| ArgSpec { dtype, ones: vec![false; rank], weak: false })
    };
    let params = &unit.signature().params;
    let check = |ranks: &dyn Fn(usize) -> usize| {
        let specs: Vec<_> = params.iter().enumerate().map(|(i, p)| spec(p, ranks(i))).collect();
        unit.specialize(&specs).err().unwrap_or_default()
    };
    (0..9).map(|guess| check(&|i| if i == 0 { guess % 3 } else { guess / 3 })).collect()
}

/// Groups whose examples are of calls, files and machines.
const FIRST_OF_CALLS: u16 = 400;

#[test]
fn the_examples_of_the_catalogue_are_true() {
    let mut mistaken = Vec::new();
    for row in codes::all().filter(|r| r.code.0 < FIRST_OF_CALLS) {
        for line in row.explanation.lines() {
            let (example, wanted) = match (line.strip_prefix("wrong:"), line.strip_prefix("right:")) {
                (Some(e), _) => (e.trim(), Some(row.code)),
                (_, Some(e)) => (e.trim(), None),
                (None, None) => continue,
            };
            let found = guesses(example);
            // What this version does not compile yet is right all the same.
            let fine = |e: &Diagnostic| wanted == Some(e.code) || (901..=908).contains(&e.code.0);
            let told = found.iter().any(|errors| match wanted {
                Some(_) => errors.iter().any(fine),
                None => errors.iter().all(fine),
            });
            if !told {
                let heard: Vec<String> = found.iter().flatten().take(2).map(ToString::to_string).collect();
                mistaken.push(format!("{} {line}: {heard:?}", row.code));
            }
        }
    }
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
}
