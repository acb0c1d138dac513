//! Random well-typed programs, which every engine must agree on with the oracle.
//!
//! `MATEX_RANDOM_CASES=10000 cargo test --test random_programs` runs more of them; the seed of a program is its number.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use matex_ir::tensor::Func;
use matex_ir::tensor::interp::Array;
use matex_ir::{DType, Scalar};
use matex_lang::{ArgSpec, Limits, Unit};
use matex_passes::Tier;
use support::compare::elements_differ;
use support::data::{Random, Tolerance};
use support::engines::{ENGINES, Engine, gpu_is_there, gpu_strided, guarded};

/// What an expression is: its rank decides what may be done with it. Vectors have n elements, matrices n by n.
type Rank = usize;

struct Program {
    random: Random,
    lines: Vec<String>,
    /// Names of variables with their ranks.
    vars: Vec<(String, Rank)>,
    integers: bool,
}

impl Program {
    fn new(seed: u64) -> Program {
        let mut random = Random::new(seed + 1);
        let integers = random.below(3) == 0;
        let vars = vec![("a".to_owned(), 0), ("x".to_owned(), 1), ("y".to_owned(), 1), ("A".to_owned(), 2)];
        Program { random, lines: Vec::new(), vars, integers }
    }

    /// The text of a program of a few statements.
    fn text(mut self) -> (String, bool) {
        for i in 0..1 + self.random.below(6) {
            let rank = self.random.below(3);
            let statement = self.statement(rank, i);
            self.lines.push(statement);
        }
        let rank = self.random.below(3);
        let value = self.expr(rank, 3);
        let ty = if self.integers { "i32" } else { "f64" };
        let body = self.lines.concat();
        let head = format!("fn f(a: {ty}, x: {ty}[n], y: {ty}[n], A: {ty}[n, n])");
        (format!("{head} {{\n{body}    {value}\n}}\n"), self.integers)
    }

    fn statement(&mut self, rank: Rank, number: usize) -> String {
        match self.random.below(6) {
            0 => {
                let v = self.variable(rank);
                let e = self.expr(rank, 2);
                format!("    for i in 0..3 {{ {v} = where({v} < 5, {e}, {v}); }}\n")
            }
            1 => {
                let v = self.variable(rank);
                let (c, e) = (self.expr(0, 1), self.expr(rank, 2));
                format!("    if {c} > 0 {{ {v} = {e}; }}\n")
            }
            2 => {
                let (v, e) = (self.variable(1), self.expr(0, 1));
                format!("    {v}[0] = {e};\n")
            }
            3 => {
                let (v, e) = (self.variable(2), self.expr(1, 2));
                format!("    {v}[1:, :] += {e};\n")
            }
            _ => {
                let e = self.expr(rank, 3);
                self.vars.push((format!("t{number}"), rank));
                format!("    t{number} = {e};\n")
            }
        }
    }

    fn variable(&mut self, rank: Rank) -> String {
        let fits: Vec<usize> = (0..self.vars.len()).filter(|i| self.vars[*i].1 == rank).collect();
        let i = self.random.pick(&fits);
        self.vars[i].0.clone()
    }

    /// An expression that keeps numbers small, so that engines may round differently and still agree.
    fn expr(&mut self, rank: Rank, depth: usize) -> String {
        if depth == 0 {
            return self.variable(rank);
        }
        let d = depth - 1;
        match self.random.below(12) {
            0 => self.variable(rank),
            1 => format!("({} + {})", self.expr(rank, d), self.expr(rank, d)),
            2 => format!("({} - {})", self.expr(rank, d), self.expr(rank, d)),
            3 => format!("({} * {})", self.expr(rank, d), self.random_literal()),
            4 => format!("maximum({}, {})", self.expr(rank, d), self.expr(rank, d)),
            5 => format!(
                "where({} < {}, {}, {})",
                self.expr(rank, d),
                self.expr(rank, 0),
                self.expr(rank, d),
                self.expr(rank, d)
            ),
            6 => format!("abs(-{})", self.expr(rank, d)),
            7 => format!("clip({}, -3, 3)", self.expr(rank, d)),
            8 => format!(
                "(if {} > 0 {{ {} }} else {{ {} }})",
                self.expr(0, d.min(1)),
                self.expr(rank, d),
                self.expr(rank, d)
            ),
            _ => self.of_rank(rank, d),
        }
    }

    fn random_literal(&mut self) -> &'static str {
        self.random.pick(&["2", "-1", "3", "0"])
    }

    /// What changes a rank, or keeps it by a function of shapes.
    fn of_rank(&mut self, rank: Rank, d: usize) -> String {
        let reduction = if self.integers { ["max", "min"] } else { ["mean", "max"] };
        let r = self.random.pick(&reduction);
        match (rank, self.random.below(4)) {
            (0, 0) => format!("{r}({})", self.expr(1, d)),
            (0, 1) => format!("{r}({})", self.expr(2, d)),
            (0, 2) => format!("{}[0]", self.expr(1, d)),
            (0, _) => format!("{}[-1, 0]", self.expr(2, d)),
            (1, 0) => format!("{}[::-1]", self.expr(1, d)),
            (1, 1) => format!("{r}({}, axis={})", self.expr(2, d), self.random.below(2)),
            (1, 2) => format!("sort({})", self.expr(1, d)),
            (1, _) => format!("concat([{0}[1:], {0}[:1]])", self.variable(1)),
            (_, 0) => format!("{}.T", self.expr(2, d)),
            (_, 1) => format!("({}[:, newaxis] - {})", self.expr(1, d), self.expr(1, d)),
            (_, 2) => format!("clip({} @ {}, -5, 5)", self.expr(2, d), self.expr(2, d)),
            _ => format!("roll({}, 1, axis=0)", self.expr(2, d)),
        }
    }
}

/// Arguments of a program; special ones have elements that are not finite, and sizes that are hardly any.
fn inputs(seed: u64, dtype: DType, special: bool) -> Vec<Array> {
    let mut random = Random::new(seed ^ 0xabcd);
    let n = if special { random.pick(&[1, 2, 9, 40]) } else { random.pick(&[2, 3, 5, 8, 17]) };
    let mut array = |shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let mut value = || match random.below(if special { 12 } else { usize::MAX }) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            _ => (random.normal() * 4.0).round() / 2.0,
        };
        let data = (0..count).map(|_| Scalar::from_f64(dtype, value())).collect();
        Array::new(dtype, shape.to_vec(), data).unwrap()
    };
    vec![array(&[]), array(&[n]), array(&[n]), array(&[n, n])]
}

/// The program for these arguments.
fn checked(text: &str, args: &[Array]) -> Result<Func, String> {
    let spec = |a: &Array| Some(ArgSpec { dtype: a.dtype(), ones: vec![false; a.rank()], weak: false });
    let specs: Vec<_> = args.iter().map(spec).collect();
    let unit = Unit::new(text, None, &Limits::default());
    unit.and_then(|u| u.specialize(&specs)).map_err(|errors| errors[0].to_string())
}

/// In what two lists of results differ.
fn disagreement(got: &[Array], wanted: &[Array], tolerance: Tolerance) -> Option<String> {
    got.iter().zip(wanted).find_map(|(g, w)| {
        let kind = (g.dtype() != w.dtype() || g.shape() != w.shape()).then(|| "another type".to_owned());
        kind.or_else(|| elements_differ(g.data(), w.data(), tolerance))
    })
}

#[test]
fn engines_agree_on_random_programs() {
    check(false);
}

/// Only those that may not change what is not finite.
#[test]
fn exact_engines_agree_on_special_values() {
    check(true);
}

fn check(special: bool) {
    let count = std::env::var("MATEX_RANDOM_CASES").ok().and_then(|c| c.parse().ok()).unwrap_or(150u64);
    let mut failures = Vec::new();
    let mut ran = 0;
    for seed in 0..count {
        let (text, integers) = Program::new(seed).text();
        let args = inputs(seed, if integers { DType::I32 } else { DType::F64 }, special && !integers);
        let func = match checked(&text, &args) {
            Ok(func) => func,
            Err(why) => {
                failures.push(format!("seed {seed}: {why}\n{text}"));
                continue;
            }
        };
        let wanted = match guarded(&ENGINES[0], &func, &args) {
            Ok(wanted) => wanted,
            Err((code, why)) => {
                failures.push(format!("seed {seed}: the oracle: {code:?} {why}\n{text}"));
                continue;
            }
        };
        ran += 1;
        let tolerance = Tolerance { relative: 1e-9, absolute: 1e-9 };
        for engine in ENGINES[1..].iter().filter(|e| !special || e.tier == Tier::Exact) {
            let why = match guarded(engine, &func, &args) {
                Err((_, why)) => Some(why),
                Ok(got) => disagreement(&got, &wanted, tolerance),
            };
            failures.extend(why.map(|why| format!("seed {seed}, {}: {why}\n{text}", engine.name)));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
    assert_eq!(ran, count, "every program runs");
}

#[test]
fn the_gpu_agrees_on_random_programs_in_32_bits() {
    if !gpu_is_there() {
        return;
    }
    let count = std::env::var("MATEX_RANDOM_CASES").ok().and_then(|c| c.parse().ok()).unwrap_or(150u64);
    let (gpu, strided) = (
        ENGINES[ENGINES.len() - 1],
        Engine { name: "GPU, strided, unfused", tier: Tier::Default, run: gpu_strided },
    );
    let mut failures = Vec::new();
    for seed in 0..count {
        let (text, integers) = Program::new(seed).text();
        let text = text.replace("f64", "f32");
        let args = inputs(seed, if integers { DType::I32 } else { DType::F32 }, false);
        let func = match checked(&text, &args) {
            Ok(func) => func,
            Err(why) => {
                failures.push(format!("seed {seed}: {why}\n{text}"));
                continue;
            }
        };
        let wanted = guarded(&ENGINES[0], &func, &args);
        // Sums of numbers of a few units that mostly cancel.
        let tolerance = Tolerance { relative: 1e-4, absolute: 1e-4 };
        for engine in [gpu, strided] {
            let why = match (guarded(&engine, &func, &args), &wanted) {
                (Ok(got), Ok(wanted)) => disagreement(&got, wanted, tolerance),
                (Err((_, why)), _) => Some(why),
                (Ok(_), Err((_, why))) => Some(format!("the oracle: {why}")),
            };
            failures.extend(why.map(|why| format!("seed {seed}, {}: {why}\n{text}", engine.name)));
        }
    }
    let shown = failures[..failures.len().min(5)].join("\n");
    assert!(failures.is_empty(), "{} failures:\n{shown}", failures.len());
}
