//! Programs of strangers: whatever the text, the answer is a function or a diagnostic, never a panic and never an
//! overflow of the stack. All of it runs on threads with the 2 MiB that threads have by default.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::{DType, Scalar};
use matex_lang::{ArgSpec, Code, Diagnostic, Limits, Unit, codes};
use support::data::Random;

/// Compiles a program on an ordinary thread; every parameter without a type is an f64 scalar.
fn compile(program: String, limits: Limits) -> Result<(), Vec<Diagnostic>> {
    let work = move || {
        let unit = Unit::new(&program, None, &limits)?;
        let spec = ArgSpec { dtype: DType::F64, ones: Vec::new(), weak: false };
        let declared = |p: &matex_lang::ParamSig| p.ty.is_some();
        if !unit.signature().params.iter().any(declared) {
            let specs: Vec<_> = unit.signature().params.iter().map(|_| Some(spec.clone())).collect();
            unit.specialize(&specs)?;
        }
        Ok(())
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(work).unwrap().join().expect("a panic")
}

fn first_code(program: String) -> Option<Code> {
    compile(program, Limits::default()).err().map(|e| e[0].code)
}

const N: usize = 100_000;

#[test]
fn deep_nesting_is_a_diagnostic() {
    let nested = |open: &str, middle: &str, close: &str| open.repeat(N) + middle + &close.repeat(N);
    for program in [
        nested("(", "x", ")"),
        nested("[", "1", "]"),
        nested("-", "x", ""),
        nested("!", "c", ""),
        nested("sqrt(", "x", ")"),
        nested("x[", "0", "]"),
        nested("2 ** ", "x", ""),
        nested("{ if c { ", "x = 1.0;", " } }"),
        nested("if c { ", "1", " } else { 2 }"),
        nested("{ for i in 0..2 { ", "x = 1.0;", " } }"),
        format!("fn f(x: f64[{}]) {{ x }}", nested("(", "n", ")")),
        format!("{}x", "/*".repeat(N)),
    ] {
        let code = first_code(program.clone());
        let told = [codes::LIMIT_NESTING, codes::UNCLOSED_COMMENT, codes::LIMIT_SOURCE];
        assert!(code.is_none_or(|c| told.contains(&c) || c.0 < 100), "{}…: {code:?}", &program[..20]);
    }
}

#[test]
fn long_chains_are_fine_or_a_limit() {
    let chain = |first: &str, link: &str| format!("{first}{}", link.repeat(N));
    for program in [
        chain("x", " + x"),
        chain("x", " - 1"),
        chain("x", " * y"),
        chain("x", " / 2"),
        chain("x", " % 3"),
        chain("a", " && a"),
        chain("a", " || a"),
        chain("x", " @ x"),
        chain("x", "[0]"),
        chain("x", ".T"),
        chain("x", ".sqrt()"),
        chain("x", "[newaxis]"),
        format!("{{ {} x }}", "x = x + 1; ".repeat(N)),
        format!("{{ {} x }}", "x += 1; ".repeat(N)),
        format!("if x > 0 {{ 1 }} {} else {{ 2 }}", "else if x > 1 { 3 } ".repeat(N / 4)),
        format!("[{}1]", "1, ".repeat(N)),
        format!("({}1)", "1, ".repeat(N)),
        format!("sum({}x)", "x, ".repeat(N)),
        format!("x[{}0]", "0, ".repeat(N)),
        format!("fn f(x: f64[n{}]) {{ x }}", " + 1".repeat(N)),
        format!("fn f({}x) {{ x }}", (0..N / 10).map(|i| format!("p{i}, ")).collect::<String>()),
        (0..N / 10).map(|i| format!("fn g{i}(x: f64) {{ x }} ")).collect(),
    ] {
        let code = first_code(program.clone());
        assert!(code.is_none_or(|c| c != codes::INTERNAL), "{}…: {code:?}", &program[..30]);
    }
}

#[test]
fn garbage_is_a_diagnostic() {
    let mut random = Random::new(1);
    let alphabet: Vec<char> =
        "x1.[](){}+-*/%@<>=!&|;:,\"$ \n\\#'^~éß☃𝄞\u{0}\u{feff}\u{202e}fnforif".chars().collect();
    let garbage = |random: &mut Random, n: usize| (0..n).map(|_| random.pick(&alphabet)).collect::<String>();
    for round in 0..300 {
        let text = garbage(&mut random, 1 + round);
        if let Err(errors) = compile(text.clone(), Limits::default()) {
            matex_lang::render::render(&errors, "garbage.mx", &text, round % 2 == 0);
        }
    }
    let million = garbage(&mut random, 300_000);
    assert!(compile(million, Limits::default()).is_err());
    assert_eq!(first_code("x".repeat(2 << 20)), Some(codes::LIMIT_SOURCE));
    // Programs cut anywhere.
    let whole =
        "fn f(x: f64[n, k], y: f64[n]) -> f64[k] { for i in 0..n { x[i] += y[i]; } solve(x.T @ x, x.T @ y) }";
    for end in 0..whole.len() {
        let _ = compile(whole[..end].to_owned(), Limits::default());
        let _ = compile(whole[end..].to_owned(), Limits::default());
    }
}

#[test]
fn expansion_is_bounded() {
    let doubling = |n: usize| {
        let calls = (1..n).map(|i| format!("fn g{i}(x: f64) {{ g{}(x) + g{}(x) }} ", i - 1, i - 1));
        format!("fn g0(x: f64) {{ x + 1 }} {}", calls.collect::<String>())
    };
    assert_eq!(first_code(doubling(60)), Some(codes::LIMIT_IR_NODES));
    let chain = (1..5000).map(|i| format!("fn g{i}(x: f64) {{ g{}(x) }} ", i - 1)).collect::<String>();
    assert_eq!(first_code(format!("fn g0(x: f64) {{ x }} {chain}")), Some(codes::LIMIT_NESTING));
    // A weak accumulator makes its loop be checked once more at each level.
    let loops = |n: usize| {
        let open: String = (0..n).map(|i| format!("for k{i} in 0..2 {{ ")).collect();
        format!("fn f(x: f32) {{ s = 0; {open} s += x; {} s }}", "}".repeat(n))
    };
    let code = first_code(loops(100));
    assert!(code.is_none_or(|c| c == codes::LIMIT_IR_NODES || c == codes::LIMIT_NESTING), "{code:?}");
    // Several at once: each one widens on its own.
    let many: String = (0..60).map(|i| format!("a{i} = 0; ")).collect();
    let uses: String =
        (0..60).map(|i| if i == 0 { "a0 += x; ".into() } else { format!("a{i} += a{}; ", i - 1) }).collect();
    let nested = format!(
        "fn f(x: f32) {{ {many} for i in 0..2 {{ for j in 0..2 {{ for k in 0..2 {{ {uses} }} }} }} a59 }}"
    );
    let code = first_code(nested);
    assert!(code.is_none_or(|c| c == codes::LIMIT_IR_NODES), "{code:?}");
}

fn call(program: &str, args: &[Array], limits: &RunLimits<'_>) -> Result<Vec<Array>, String> {
    let unit = Unit::new(program, None, &Limits::default()).map_err(|e| e[0].to_string())?;
    let spec = |a: &Array| ArgSpec {
        dtype: a.dtype(),
        ones: a.shape().iter().map(|n| *n == 1).collect(),
        weak: false,
    };
    let func = unit
        .specialize(&args.iter().map(|a| Some(spec(a))).collect::<Vec<_>>())
        .map_err(|e| e[0].to_string())?;
    run(&func, args, limits).map_err(|e| e.to_string())
}

#[test]
fn huge_shapes_are_refused() {
    let k = |v: i64| Array::scalar(Scalar::from_i128(DType::I64, v.into()));
    for v in [1 << 40, i64::MAX, i64::MAX - 1, 1 << 62] {
        for program in [
            "fn f(k: i64) { zeros(k) }",
            "fn f(k: i64) { sum(zeros([k, k])) }",
            "fn f(k: i64) { arange(k) }",
            "fn f(k: i64) { eye(k) }",
            "fn f(k: i64) { zeros([0, k]) }",
            "fn f(k: i64) { tile(ones(3), k) }",
            "fn f(k: i64) { zeros(2*k) }",
            "fn f(k: i64) { zeros(k*k*k) }",
            "fn f(k: i64) { pad(ones(2), [[k, k]]) }",
        ] {
            if let Ok(out) = call(program, &[k(v)], &RunLimits::default()) {
                assert!(out[0].data().is_empty(), "{program} of {v} ran");
            }
        }
    }
    for program in [
        "zeros(1099511627776)",
        "zeros([9223372036854775807, 9223372036854775807])",
        "arange(1e18)",
        "ones([1048576, 1048576]) + 1",
        "tile([1, 2], 9223372036854775807)",
        "broadcast_to(1.0, [4294967296, 4294967296])",
    ] {
        assert!(call(program, &[], &RunLimits::default()).is_err(), "{program}");
    }
}

const OF_VECTORS: &[&str] = &[
    "x + 1",
    "sum(x)",
    "mean(x)",
    "prod(x)",
    "max(x)",
    "argmax(x)",
    "sort(x)",
    "argsort(x)",
    "cumsum(x)",
    "x @ x",
    "x[::-1]",
    "x[0]",
    "x[:]",
    "softmax(x)",
    "logsumexp(x)",
    "norm(x)",
    "roll(x, 1)",
    "flip(x)",
    "diff(x)",
    "tile(x, 3)",
    "repeat(x, 2)",
    "concat([x, x])",
    "stack([x, x])",
    "reshape(x, [0, 5])",
    "reshape(x, [-1])",
    "pad(x, [[1, 1]])",
    "pad(x, [[1, 1]], mode=edge)",
    "topk(x, 0)",
    "topk(x, 1)",
    "searchsorted(x, x)",
    "outer(x, x)",
    "one_hot(cast(x, i64), 3)",
    "{ x[:] = 1.0; x }",
    "split(x, 2)",
    "solve(reshape(x, [0, 0]), x)",
    "lstsq(reshape(x, [0, 0]), x)",
    "var(x, correction=1)",
    "einsum(\"i,i->\", x, x)",
    "linspace(0, 1, size(x))",
];

const OF_MATRICES: &[&str] = &[
    "sum(x, axis=0)",
    "max(x, axis=0)",
    "max(x, axis=1)",
    "x.T @ x",
    "x @ x.T",
    "cumsum(x, axis=1)",
    "tril(x)",
    "diagonal(x)",
    "trace(x)",
    "sort(x, axis=0)",
    "x[:, 0]",
    "argmin(x, axis=1)",
    "lstsq(x, sum(x, axis=1))",
];

#[test]
fn nothing_at_all_is_an_array_too() {
    let empty = || Array::from_f64(DType::F64, &[0], &[]).unwrap();
    let flat = || Array::from_f64(DType::F64, &[0, 3], &[]).unwrap();
    for program in OF_VECTORS {
        let _ = call(program, &[empty()], &RunLimits::default());
    }
    for program in OF_MATRICES {
        let _ = call(program, &[flat()], &RunLimits::default());
    }
}

#[test]
fn every_limit_is_told_by_its_name() {
    let base = Limits::default();
    let cases: [(&str, String, Limits); 3] = [
        ("source_bytes", "x + 1".into(), Limits { source_bytes: 3, ..base.clone() }),
        ("nesting_depth", "((((x))))".into(), Limits { nesting_depth: 3, ..base.clone() }),
        ("ir_nodes", "sin(x) + cos(x) + tan(x)".into(), Limits { ir_nodes: 3, ..base.clone() }),
    ];
    for (name, program, limits) in cases {
        let errors = compile(program, limits).expect_err(name);
        let told = matex_lang::render::render(&errors, "p.mx", "", false);
        assert!(told.contains(name), "{name}: {told}");
        assert!((401..=408).contains(&errors[0].code.0), "{name}: {told}");
    }
    let steps = RunLimits { max_steps: 10, ..RunLimits::default() };
    let told = call("{ s = 0; for i in 0..100 { s += 1; } s }", &[], &steps).unwrap_err();
    assert!(told.contains("10 loop steps"), "{told}");
    let elements = RunLimits { max_elements: 10, ..RunLimits::default() };
    let told = call("zeros(11)", &[], &elements).unwrap_err();
    assert!(told.contains("10 elements"), "{told}");
}
