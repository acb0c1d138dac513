//! What the GPU computes, held against the op table, the oracle and the documented bounds.
//!
//! Without a build with the feature `gpu`, or without a device, nothing is tested; `MATEX_REQUIRE_GPU=1` makes that a
//! failure.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "gpu/doubles.rs"]
mod doubles;
#[path = "gpu/fallbacks.rs"]
mod fallbacks;
#[path = "gpu/halves.rs"]
mod halves;
#[path = "gpu/indices.rs"]
mod indices;
#[path = "gpu/maps.rs"]
mod maps;
#[path = "gpu/products.rs"]
mod products;
#[path = "gpu/scans.rs"]
mod scans;
#[path = "gpu/scatters.rs"]
mod scatters;
mod support;

use matex::{Arg, Compiler, Device, Function};
use matex_ir::ops::{Class, TABLE};
use matex_ir::tensor::interp::Array;
use matex_ir::tensor::parse;
use matex_ir::{DType, Op, Scalar};
use matex_passes::Tier;
use matex_runtime::{AsView, Tensor};
use support::compare::elements_differ;
use support::data::{Random, Tolerance};
use support::engines::{ENGINES, Engine, Outcome, gpu_is_there, gpu_resident, gpu_strided, guarded};
use support::{Compiled, compile, corpus};

fn on_gpu(source: &str) -> Function {
    Compiler::new().device(Device::Gpu).compile(source).unwrap()
}

/// The kernels of a call, and which of them run on the GPU.
fn placed(f: &Function, args: &[&dyn AsView]) -> (usize, usize) {
    let text = f.explain(args).unwrap();
    let kernels = text.lines().filter(|l| l.starts_with("  kernel "));
    let (mut all, mut there) = (0, 0);
    for line in kernels {
        all += 1;
        there += usize::from(line.contains(" on the GPU"));
    }
    (all, there)
}

/// Numbers of every magnitude and both signs, and all that is special.
fn points(dtype: DType, count: usize, seed: u64) -> Vec<Scalar> {
    let mut random = Random::new(seed);
    let special =
        [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 88.8, -88.8, 3e38];
    let mut all: Vec<Scalar> = Vec::with_capacity(count);
    for i in 0..count {
        let value = match (dtype.is_float(), i) {
            (true, i) if i < special.len() * special.len() => {
                special[(i * 7 + i / special.len()) % special.len()]
            }
            (true, _) => random.normal() * 10f64.powi(random.below(24) as i32 - 12),
            (false, i) if i % 3 == 0 => [0.0, 1.0, 31.0, -1.0, 2_147_483_647.0, -2_147_483_648.0][i / 3 % 6],
            (false, _) => (random.normal() * 1000.0).round(),
        };
        all.push(Scalar::from_f64(dtype, value));
    }
    all
}

fn tensor(data: &[Scalar]) -> Tensor {
    Tensor::from_scalars(data[0].dtype(), &[data.len()], data.iter().copied()).unwrap()
}

/// The distance in units of the last place, those of a subnormal number being as far apart as its zero.
fn ulps(a: Scalar, b: Scalar) -> Option<u64> {
    let (x, y) = (a.to_f64(), b.to_f64());
    if x.is_nan() || y.is_nan() {
        return (x.is_nan() && y.is_nan()).then_some(0);
    }
    if x.abs() < 1.2e-38 && y.abs() < 1.2e-38 {
        return Some(0);
    }
    let order = |s: Scalar| {
        let magnitude = i128::from(s.bits() & 0x7fff_ffff);
        if s.bits() >> 31 == 0 { magnitude } else { -magnitude }
    };
    Some((order(a) - order(b)).unsigned_abs() as u64)
}

/// What an op may be off by: the functions 4 ulp, quotients and roots what WGSL allows, and the rest nothing.
fn bound(op: Op) -> u64 {
    let exact = [
        Op::Add,
        Op::Sub,
        Op::Mul,
        Op::Neg,
        Op::Abs,
        Op::Sign,
        Op::Max,
        Op::Min,
        Op::Floor,
        Op::Ceil,
        Op::Trunc,
        Op::Round,
        Op::Copysign,
        Op::Nextafter,
        Op::Select,
        Op::Fmod,
    ];
    if exact.contains(&op) { 0 } else { 4 }
}

/// Whether an error is one of what was summed, where the result may be much smaller: two roundings of a sum, and for what is
/// made of a quotient its own error, and one more or less where it is that near to an integer.
fn cancels(op: Op, at: &[Scalar], error: f64) -> bool {
    const EPS: f64 = f32::EPSILON as f64;
    let at: Vec<f64> = at.iter().map(|s| s.to_f64()).collect();
    let error = error.abs();
    match (op, at.as_slice()) {
        (Op::Fma, [a, b, c]) => error <= EPS * ((a * b).abs() + c.abs()),
        (Op::LogAddExp, [a, b]) => error <= 4.0 * EPS * a.abs().max(b.abs()).max(1.0),
        (Op::FloorDiv | Op::Rem, [a, b]) => {
            let quotient = a / b;
            let slack = 4.0 * EPS * quotient.abs();
            let step = if (quotient - quotient.round()).abs() <= slack { 1.0 } else { 0.0 };
            let unit = if op == Op::Rem { b.abs() } else { 1.0 };
            error <= (slack + step) * unit
        }
        _ => false,
    }
}

#[test]
fn every_op_keeps_its_bound_on_the_gpu() {
    if !gpu_is_there() {
        return;
    }
    let mut wrong = Vec::new();
    let mut ran = 0;
    for row in TABLE {
        for dtype in [DType::F32, DType::I32, DType::U32] {
            let mut dtypes = vec![dtype; row.arity];
            if row.class == Class::Select {
                dtypes[0] = DType::Bool;
            }
            let Some(result) = row.op.result_dtype(&dtypes) else { continue };
            let count = if row.arity == 1 { 20_000 } else { 5_000 };
            let args: Vec<Vec<Scalar>> =
                dtypes.iter().enumerate().map(|(i, d)| points(*d, count, i as u64 * 17 + 3)).collect();
            let names = ["a", "b", "c"];
            let params: Vec<String> =
                dtypes.iter().zip(names).map(|(d, n)| format!("%{n}: {d}[n]")).collect();
            let list: Vec<String> = names[..row.arity].iter().map(|n| format!("%{n}")).collect();
            let (params, list, id, name) = (params.join(", "), list.join(", "), row.arity, row.name);
            let text = format!(
                "func @f({params}) -> {result}[n] {{\n  %{id}: {result}[n] = {name} {list}\n  return %{id}\n}}\n"
            );
            let func = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let arrays: Vec<Array> =
                args.iter().map(|a| Array::new(a[0].dtype(), vec![count], a.clone()).unwrap()).collect();
            let got = guarded(ENGINES.last().unwrap(), &func, &arrays).unwrap();
            ran += 1;
            for i in 0..count {
                let at: Vec<Scalar> = args.iter().map(|a| a[i]).collect();
                let want = row.op.eval(&at).unwrap();
                let have = got[0].data()[i];
                let apart =
                    if result == DType::F32 { ulps(have, want) } else { Some(u64::from(have != want)) };
                if !cancels(row.op, &at, have.to_f64() - want.to_f64())
                    && apart.is_none_or(|u| u > bound(row.op))
                {
                    wrong.push(format!("{} {dtype} of {at:?}: {have:?}, wanted {want:?}", row.name));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 100, "{ran}");
}

/// The program of a case in 32 bits: as text, which reads back.
fn narrowed(compiled: &Compiled) -> Option<(matex_ir::tensor::Func, Vec<Array>)> {
    let text = compiled.func.to_string();
    if !text.contains("f64") {
        return None;
    }
    let func = parse(&text.replace("f64", "f32")).ok()?;
    if !matex_ir::tensor::verify::verify(&func).is_empty() {
        return None;
    }
    let narrow = |a: &Array| {
        let dtype = if a.dtype() == DType::F64 { DType::F32 } else { a.dtype() };
        Array::new(dtype, a.shape().to_vec(), a.data().iter().map(|s| s.cast(dtype)).collect()).unwrap()
    };
    Some((func, compiled.args.iter().map(narrow).collect()))
}

/// What is wrong with an outcome, if anything.
fn judge(wanted: &Outcome, got: Outcome) -> Option<String> {
    match (wanted, got) {
        (Ok(wanted), Ok(got)) => wanted.iter().zip(&got).find_map(|(w, g)| {
            let tolerance = Tolerance { relative: 2e-5, absolute: 2e-5 };
            let other = g.dtype() != w.dtype() || g.shape() != w.shape();
            if other {
                Some("another type".to_owned())
            } else {
                elements_differ(g.data(), w.data(), tolerance)
            }
        }),
        (Err((code, why)), Err((other, e))) => {
            (*code != other).then(|| format!("{e}, and the oracle says {why}"))
        }
        (Ok(_), Err((_, e))) => Some(e),
        (Err((_, e)), Ok(_)) => Some(format!("it ran, and the oracle says {e}")),
    }
}

/// Whether a program compares with less than 32 bits can tell.
fn asks_for_more_digits(program: &str) -> bool {
    let exponents = program.split("e-").skip(1);
    let digits = |s: &str| s.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>();
    program.contains('<') && exponents.into_iter().any(|s| digits(s).is_ok_and(|n| n >= 7))
}

#[test]
fn the_corpus_in_32_bits_agrees_with_the_oracle() {
    if !gpu_is_there() {
        return;
    }
    let cpu = ENGINES.iter().find(|e| e.name == "Cranelift").unwrap();
    let engines = [
        *ENGINES.last().unwrap(),
        Engine { name: "GPU, strided, unfused", tier: Tier::Default, run: gpu_strided },
        Engine { name: "GPU, values that stay there", tier: Tier::Default, run: gpu_resident },
    ];
    let only = std::env::var("MATEX_CASES").unwrap_or_default();
    let (mut ran, mut unstable, mut failures) = (0, Vec::new(), Vec::new());
    for case in corpus().into_iter().filter(|c| c.name.contains(&only)) {
        let Ok(compiled) = compile(&case) else { continue };
        let Some((func, args)) = narrowed(&compiled) else { continue };
        let wanted = guarded(&ENGINES[0], &func, &args);
        ran += 1;
        // A program that asks whether something is below 1e-10 has no answer in 32 bits that engines agree on.
        if asks_for_more_digits(&case.program) || judge(&wanted, guarded(cpu, &func, &args)).is_some() {
            unstable.push(case.name);
            continue;
        }
        for engine in &engines {
            let why = judge(&wanted, guarded(engine, &func, &args));
            failures.extend(why.map(|why| format!("{} | {}: {why}", engine.name, case.name)));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    // Where factors are compared with the last digits of 64 bits.
    let compares = |name: &String| ["linalg/factors", "linalg/structure"].iter().any(|f| name.starts_with(f));
    assert!(unstable.iter().all(compares), "{unstable:?}");
    assert!(!only.is_empty() || ran >= 500, "{ran}");
}

#[test]
fn more_points_than_threads_and_more_rows_than_workgroups() {
    if !gpu_is_there() {
        return;
    }
    // More than 65,535 workgroups of 256.
    let n = 65_535 * 256 + 1000;
    let x = tensor(&(0..n).map(|i| Scalar::from_f64(DType::F32, f64::from(i % 1024))).collect::<Vec<_>>());
    let f = on_gpu("x * 2 + 1");
    assert_eq!(placed(&f, &[&x]), (1, 1));
    let out = f.call(&[&x]).unwrap();
    for (i, value) in out[0].as_view().scalars().enumerate().step_by(997) {
        assert_eq!(value.to_f64(), f64::from(i as u32 % 1024) * 2.0 + 1.0, "element {i}");
    }
    // More than 65,535 rows that are too short, and some that are long enough, for a workgroup each.
    for (rows, columns) in
        [(70_000, 3), (66_000, 70), (1, 100_000), (3, 64), (100_003, 2), (3, 100_003), (1, 1 << 20)]
    {
        let data: Vec<Scalar> =
            (0..rows * columns).map(|i| Scalar::from_f64(DType::F32, f64::from(i % 5) - 1.0)).collect();
        let x = Tensor::from_scalars(DType::F32, &[rows as usize, columns as usize], data.clone()).unwrap();
        let f = on_gpu("fn f(x: f32[n, m]) { return sum(x, axis=1), max(x, axis=1), sum(x, axis=0) }");
        let (all, there) = placed(&f, &[&x]);
        assert!(all > 0 && all == there);
        let out = f.call(&[&x]).unwrap();
        let wanted: Vec<f64> =
            data.chunks(columns as usize).map(|r| r.iter().map(|s| s.to_f64()).sum()).collect();
        let sums: Vec<f64> = out[0].as_view().scalars().map(|s| s.to_f64()).collect();
        assert_eq!(sums, wanted, "{rows} rows of {columns}");
    }
}

#[test]
fn sums_keep_their_bound_and_their_bits() {
    if !gpu_is_there() {
        return;
    }
    let mut random = Random::new(5);
    let data: Vec<Scalar> =
        (0..1 << 20).map(|_| Scalar::from_f64(DType::F32, random.normal() + 1.0)).collect();
    let exact: f64 = data.iter().map(|s| s.to_f64()).sum();
    let size: f64 = data.iter().map(|s| s.to_f64().abs()).sum();
    let x = tensor(&data);
    let f = on_gpu("sum(x)");
    let [first, again] = [0, 1].map(|_| f.call(&[&x]).unwrap()[0].as_view().scalars().next().unwrap());
    assert_eq!(first.bits(), again.bits());
    assert!((first.to_f64() - exact).abs() <= 64.0 * 6e-8 * size, "{first:?}, exact {exact}");
}

#[test]
fn functions_of_a_reduction_are_those_of_its_value() {
    if !gpu_is_there() {
        return;
    }
    // A driver that compiles a shader with loops for the sizes at hand may not find out what keeps functions exact.
    let mut random = Random::new(1);
    let data: Vec<Scalar> =
        (0..2000).map(|_| Scalar::from_f64(DType::F32, random.normal().clamp(-3.0, 0.9))).collect();
    let x = Tensor::from_scalars(DType::F32, &[20, 100], data).unwrap();
    for name in ["tanh", "exp", "expm1", "sigmoid", "gelu", "erf", "sinh", "softplus", "atan", "sin", "log1p"]
    {
        let source =
            format!("fn f(x: f32[n, k]) {{ return {name}(max(x, axis=0)), {name}(max(x, axis=1)) }}");
        let (wanted, got) = (matex::compile(&source).unwrap().call(&[&x]), on_gpu(&source).call(&[&x]));
        for (w, g) in wanted.unwrap().iter().zip(&got.unwrap()) {
            for (w, g) in w.as_view().scalars().zip(g.as_view().scalars()) {
                assert!(ulps(w, g).is_some_and(|u| u <= 6), "{source}: {g:?}, not {w:?}");
            }
        }
    }
}

#[test]
fn softmax_is_one_kernel_on_the_gpu() {
    if !gpu_is_there() {
        return;
    }
    let source = "fn f(x: f32[n, m]) { softmax(x, axis=1) }";
    let f = on_gpu(source);
    let mut random = Random::new(9);
    let data: Vec<Scalar> =
        (0..100 * 777).map(|_| Scalar::from_f64(DType::F32, random.normal() * 5.0)).collect();
    let x = Tensor::from_scalars(DType::F32, &[100, 777], data).unwrap();
    assert_eq!(placed(&f, &[&x]), (1, 1));
    let (gpu, cpu) = (f.call(&[&x]).unwrap(), matex::compile(source).unwrap().call(&[&x]).unwrap());
    for (g, c) in gpu[0].as_view().scalars().zip(cpu[0].as_view().scalars()) {
        assert!((g.to_f64() - c.to_f64()).abs() <= 2e-6 * c.to_f64(), "{g:?} {c:?}");
    }
}

#[test]
fn parts_that_the_gpu_lacks_run_on_the_cpu_and_say_so() {
    if !gpu_is_there() {
        return;
    }
    let f = on_gpu(
        "fn f(A: f32[n, n], b: f32[n]) { x = solve(A * 2, b); sort(exp(x)) + cast(sum(exp(cast(b, f64))), f32) }",
    );
    let a = Tensor::from_scalars(
        DType::F32,
        &[2, 2],
        [2.0, 0.0, 0.0, 4.0].map(|v| Scalar::from_f64(DType::F32, v)),
    );
    let b = tensor(&[1.0, 2.0].map(|v| Scalar::from_f64(DType::F32, v)));
    let a = a.unwrap();
    let text = f.explain(&[&a, &b]).unwrap();
    assert!(text.contains("on the GPU") && text.contains("on the CPU: it computes exp of f64"), "{text}");
    assert!(text.contains("device: GPU ("), "{text}");
    let out = f.call(&[&a, &b]).unwrap();
    let want = (0.25f64.exp() + 1f64.exp() + 2f64.exp()) as f32;
    for value in out[0].as_view().scalars() {
        assert!((value.to_f64() as f32 - want).abs() < 1e-5, "{value:?}");
    }
    let args = [Arg::new(&a), Arg::new(&b)];
    assert!(
        f.dump_for(matex::Stage::Wgsl, &args).unwrap().contains("stays on the CPU: it computes exp of f64")
    );
}

/// The numbers of a table of `examples/expected`.
fn expected(name: &str) -> Vec<f64> {
    let file = format!("{}/examples/expected/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap().split([',', '\n']).filter_map(|n| n.parse().ok()).collect()
}

#[test]
fn the_examples_of_products_are_the_same_on_the_gpu() {
    if !gpu_is_there() {
        return;
    }
    for (name, relative) in [("matmul", 0.0), ("mlp", 1e-5)] {
        let file = format!("{}/examples/{name}.mx", env!("CARGO_MANIFEST_DIR"));
        let f = on_gpu(&std::fs::read_to_string(file).unwrap());
        let (_, there) = placed(&f, &[]);
        assert!(there > 0, "{name}");
        let out = f.call(&[]).unwrap();
        for (result, shown) in out.iter().zip(out.names()) {
            let got: Vec<f64> = result.scalars().map(|s| s.to_f64()).collect();
            let want = expected(&format!("{name}.{shown}"));
            let size = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            assert_eq!(got.len(), want.len(), "{name}.{shown}");
            for (g, w) in got.iter().zip(&want) {
                assert!((g - w).abs() <= relative * size, "{name}.{shown}: {g}, wanted {w}");
            }
        }
    }
}

#[test]
fn calls_of_many_threads_share_the_device() {
    if !gpu_is_there() {
        return;
    }
    let f = on_gpu("fn f(x: f32[n]) { x + 1 }");
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let f = &f;
            scope.spawn(move || {
                for call in 0..250u8 {
                    let x = [f32::from(thread), f32::from(call), -1.0];
                    let out = f.call(&[&x]).unwrap();
                    let got: Vec<f64> = out[0].as_view().scalars().map(|e| e.to_f64()).collect();
                    assert_eq!(got, [f64::from(thread) + 1.0, f64::from(call) + 1.0, 0.0]);
                }
            });
        }
    });
}
