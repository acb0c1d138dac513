//! Tests of the e-graph: what it finds does not depend on order, and what is chosen is the best there is.

use super::{Mode, run};
use crate::options::{Options, Tier};
use crate::run_pipeline;
use matex_ir::tensor::verify::verify;
use matex_ir::tensor::{Func, parse};

pub(super) fn canonical(text: &str) -> Func {
    let func = parse(text).unwrap();
    assert_eq!(verify(&func), []);
    run_pipeline(&func, &Options::plain(), |_, _| {})
}

/// Small programs in which there is something to choose.
pub(super) const PROGRAMS: [&str; 4] = [
    "func @chain(%A: f64[n, k], %B: f64[k, m], %C: f64[m, n], %v: f64[n]) -> f64[n] {
  %4: f64[n, m] = dot %A, %B, contract [1:0]
  %5: f64[n, n] = dot %4, %C, contract [1:0]
  %6: f64[n] = dot %5, %v, contract [1:0]
  return %6
}",
    "func @ridge(%X: f64[n, k], %y: f64[n], %l: f64[k, k]) -> f64[k] {
  %3: f64[k, n] = permute %X, [1, 0]
  %4: f64[k, k] = dot %3, %X, contract [1:0]
  %5: f64[k, k] = add %4, %l
  %6: i64[k, k] = iota axis 0
  %7: i64[k, k] = iota axis 1
  %8: bool[k, k] = eq %6, %7
  %9: f64[k, k] = cast %8
  %10: f64[k, k] = solve %5, %9
  %11: f64[k, n] = dot %10, %3, contract [1:0]
  %12: f64[k] = dot %11, %y, contract [1:0]
  return %12
}",
    "func @shared(%A: f64[n, k], %B: f64[k, n], %v: f64[n]) -> (f64[n, n], f64[n]) {
  %3: f64[n, n] = dot %A, %B, contract [1:0]
  %4: f64[n] = dot %3, %v, contract [1:0]
  return %3, %4
}",
    "func @elementwise(%x: f64[n], %y: f64[n]) -> f64[n] {
  %2: f64 = const 1.0
  %3: f64[n] = broadcast %2, []
  %4: f64[n] = exp %x
  %5: f64[n] = add %3, %4
  %6: f64[n] = log %5
  %7: f64[n] = mul %x, %y
  %8: f64[n] = add %7, %6
  %9: f64[n] = sub %8, %4
  %10: f64[n] = div %4, %5
  %11: f64[n] = add %9, %10
  return %11
}",
];

/// As a tree a form whose values are each used twice doubles with each of them, and a proof is written as trees.
#[test]
fn a_proof_of_shared_values_ends() {
    let mut text = "func @f(%x: f64[n], %y: f64[n]) -> f64[n] {\n".to_owned();
    for i in 0..40 {
        let before = if i == 0 { "x".to_owned() } else { (2 * i + 1).to_string() };
        text += &format!("  %{}: f64[n] = sin %{before}\n", 2 * i + 2);
        text += &format!("  %{}: f64[n] = div %{before}, %{}\n", 2 * i + 3, 2 * i + 2);
    }
    text += "  %82: f64[n] = mul %81, %y\n  %83: f64[n] = add %82, %x\n  return %83\n}\n";
    let report = super::explain(&canonical(&text), &Options::default());
    assert!(report.fired.iter().any(|f| f.rule.name == "fma"));
    assert!(report.proofs.iter().any(|p| p.contains("too long a proof")), "{:?}", report.proofs);
}

#[test]
fn the_order_of_matches_makes_no_difference() {
    for text in PROGRAMS {
        let func = canonical(text);
        let result = |shuffle: u64| {
            let mode = Mode { shuffle, ..Mode::of(Tier::Default) };
            let (out, report) = run(&func, &Options::default(), mode);
            assert_eq!((report.wrong.as_slice(), report.limit), (&[][..], None));
            run_pipeline(&out, &Options::plain(), |_, _| {}).to_string()
        };
        let plain = result(0);
        for seed in 1..20 {
            assert_eq!(result(seed), plain, "{text}");
        }
    }
}

#[test]
fn names_of_sizes_make_no_difference() {
    for text in PROGRAMS {
        let other = text.replace("[n", "[zz").replace("n]", "zz]").replace("[k", "[aa").replace("k]", "aa]");
        let optimize =
            |text: &str| run_pipeline(&parse(text).unwrap(), &Options::default(), |_, _| {}).to_string();
        let renamed = optimize(text)
            .replace("[n", "[zz")
            .replace("n]", "zz]")
            .replace("[k", "[aa")
            .replace("k]", "aa]");
        assert_eq!(optimize(&other), renamed);
    }
}

#[test]
fn limits_stop_the_search_and_say_so() {
    let func = canonical(PROGRAMS[0]);
    let options = Options { max_nodes: 9, ..Options::default() };
    let (out, report) = super::simplify(&func, &options);
    assert_eq!(report.limit, Some(super::Stop::Nodes(9)));
    assert!(report.text("").contains("optimizer_nodes, which is 9"), "{}", report.text(""));
    assert_eq!(verify(&out), []);
    let (_, report) = super::simplify(&func, &Options { max_iterations: 1, ..Options::default() });
    assert_eq!(report.limit, Some(super::Stop::Iterations(1)));
}

#[test]
fn what_was_compared_is_what_the_choice_depends_on() {
    let compared = |text: &str| {
        let options = Options::default();
        run_pipeline(&parse(text).unwrap(), &options, |_, _| {});
        options.sizes.stated()
    };
    assert_eq!(compared(PROGRAMS[0]), "k = 1024, m = 1024, n = 1024");
    assert_eq!(compared(PROGRAMS[1]), "", "the system for one column is the cheaper one at any size");
    assert_eq!(compared(PROGRAMS[3]), "");
}
