//! The corpus: every case of `tests/cases` on every engine. `tests/cases/README.md` describes the files.
//!
//! `MATEX_CASES=text` runs only the cases with that text in their names.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use matex_ir::tensor::interp::Array;
use matex_ir::tensor::{Func, Kind, parse, verify};
use matex_lang::codes;
use matex_passes::{LayoutClass, Options, Tier, lower, run_pipeline};
use support::case::{Case, Expected};
use support::engines::{ENGINES, Engine, Outcome, far_machines, guarded, planned_for};
use support::{Compiled, compare, compile, corpus};

/// The corpus never shrinks below this: a case that is lost by accident is noticed.
const AT_LEAST: usize = 400;

#[test]
fn every_engine_ran_every_case() {
    let only = std::env::var("MATEX_CASES").unwrap_or_default();
    let cases: Vec<Case> = corpus().into_iter().filter(|c| c.name.contains(&only)).collect();
    assert!(!only.is_empty() || cases.len() >= AT_LEAST, "the corpus has only {} cases", cases.len());
    let mut failures = Vec::new();
    let mut ran = vec![0; ENGINES.len()];
    for case in &cases {
        match compile(case) {
            Ok(compiled) => run_all(case, &compiled, &mut ran, &mut failures),
            Err(errors) => {
                // A wrong program is wrong on every engine.
                ran.iter_mut().for_each(|n| *n += 1);
                let fine = matches!(case.expected, Expected::CompileError(c) if errors[0].code == c);
                if !fine {
                    let drawn = matex_lang::render::render(&errors, "case.mx", &case.program, false);
                    failures.push(format!("checker | {}:\n{drawn}", case.name));
                }
            }
        }
    }
    let count = failures.len();
    assert!(failures.is_empty(), "{count} failures:\n{}", failures.join("\n"));
    for (engine, ran) in ENGINES.iter().zip(ran) {
        assert_eq!(ran, cases.len(), "{} skipped cases", engine.name);
    }
}

fn run_all(case: &Case, compiled: &Compiled, ran: &mut [usize], failures: &mut Vec<String>) {
    let oracle = guarded(&ENGINES[0], &compiled.func, &compiled.args).ok();
    for (engine, ran) in ENGINES.iter().zip(ran) {
        let outcome = guarded(engine, &compiled.func, &compiled.args);
        *ran += 1;
        if let Some(why) = judge(case, compiled.undeclared, &outcome, (oracle.as_deref(), engine.tier)) {
            failures.push(report(engine, case, &why));
        }
    }
}

fn report(engine: &Engine, case: &Case, why: &str) -> String {
    format!("{} | {}: {why}", engine.name, case.name)
}

/// What is wrong with an outcome, if anything.
fn judge(
    case: &Case,
    undeclared: bool,
    outcome: &Outcome,
    (oracle, tier): (Option<&[Array]>, Tier),
) -> Option<String> {
    match (&case.expected, outcome) {
        (Expected::CompileError(c), _) => Some(format!("it compiled, wanted {c}")),
        (Expected::CallError(c), Err((Some(got), _))) if got == c => None,
        (Expected::CallError(codes::CALL_SHAPES_DISAGREE), Err((Some(codes::CALL_SIZE), _)))
            if undeclared =>
        {
            None
        }
        (Expected::CallError(c), Err((_, message))) => Some(format!("wanted {c}, got the error {message}")),
        (Expected::CallError(c), Ok(_)) => Some(format!("it ran, wanted {c}")),
        (Expected::Results(_), Err((_, message))) => Some(message.clone()),
        (Expected::Results(wanted), Ok(got)) if wanted.len() != got.len() => {
            Some(format!("{} results, wanted {}", got.len(), wanted.len()))
        }
        (Expected::Results(wanted), Ok(got)) => wanted.iter().zip(got).enumerate().find_map(|(i, (w, g))| {
            let mine = oracle.and_then(|o| o.get(i));
            compare::mismatch(g, w, mine, tier).map(|why| format!("result {i}: {why}"))
        }),
    }
}

/// Libraries sum in orders of their own, which depend on how much they are given at a time.
fn is_without_libraries(func: &Func) -> bool {
    !func.nodes.iter().any(|n| matches!(n.kind, Kind::Dot { .. } | Kind::Lib(_)))
}

#[test]
fn no_bit_depends_on_what_work_costs() {
    let (mut failures, mut different) = (Vec::new(), 0);
    for case in corpus() {
        let Ok(Compiled { func, args, .. }) = compile(&case) else { continue };
        if !is_without_libraries(&func) {
            continue;
        }
        let machines = far_machines();
        let plans = machines.map(|costs| {
            let options = Options { costs, ..Options::default() };
            let func = run_pipeline(&func, &options, |_, _| {});
            lower(&func, &vec![LayoutClass::Contiguous; args.len()], &options).map(|p| p.to_string())
        });
        different += usize::from(plans[0] != plans[1]);
        let results = machines.map(|costs| match planned_for(costs, &func, &args) {
            Ok(results) => results.iter().map(|r| format!("{r:?}")).collect(),
            Err((code, _)) => vec![format!("{code:?}")],
        });
        if results[0] != results[1] {
            failures.push(format!("{}: {} and {}", case.name, results[0].join(" "), results[1].join(" ")));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(different >= 20, "only {different} programs have another plan");
}

#[test]
fn names_are_unique() {
    let mut names: Vec<String> = corpus().into_iter().map(|c| c.name).collect();
    names.sort();
    let twice: Vec<&String> = names.windows(2).filter(|p| p[0] == p[1]).map(|p| &p[0]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn every_program_verifies_and_its_text_reads_back() {
    let mut failures = Vec::new();
    for case in corpus() {
        let Ok(Compiled { func, .. }) = compile(&case) else { continue };
        let violations = verify::verify(&func);
        if !violations.is_empty() {
            failures.push(format!("{}: {violations:?}", case.name));
        }
        let text = func.to_string();
        match parse(&text) {
            Ok(read) if read.to_string() == text => {}
            Ok(read) => failures.push(format!("{}: {text}\nreads back as\n{read}", case.name)),
            Err(e) => failures.push(format!("{}: {e}\n{text}", case.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
