//! Whole programs: loops, branches, errors, limits, sizes, and what the plan text says of them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use matex_codegen_cpu::KernelCache;
use matex_ir::tensor::interp::Array;
use matex_ir::tensor::{
    Builder, Func, Guard, GuardKind, Kind, Literal, ReduceOp, RunError, ScanOp, SliceAxis,
};
use matex_ir::tensor::{TensorType, UpdateAxis, ValueId};
use matex_ir::{Code, DType, Dim, Op, Scalar, Span};
use matex_lang::{Limits, codes};
use matex_runtime::{
    AsView, AsViewMut, CallOptions, Engine, ExecError, Executable, LayoutClass, PrepareOptions, Tensor,
};
use std::sync::atomic::AtomicBool;

fn f64s(shape: &[usize], v: &[f64]) -> Array {
    Array::from_f64(DType::F64, shape, v).unwrap()
}

fn int(v: i64) -> Array {
    Array::from_i64(DType::I64, &[], &[v]).unwrap()
}

fn number(b: &mut Builder, v: i128) -> ValueId {
    b.scalar(Scalar::from_i128(DType::I64, v))
}

/// `for i in 0..count { x[i] = x[i] * 2; t = x, x = y, y = t }`: an update of a carried value, and a swap.
fn swapping_loop() -> Func {
    let params =
        vec![param("x", DType::F64, &["n"]), param("y", DType::F64, &["n"]), param("count", DType::I64, &[])];
    let (mut b, v) = builder(params);
    let zero = number(&mut b, 0);
    let types = [b.ty(v[2]).clone(), b.ty(v[0]).clone(), b.ty(v[1]).clone()];
    let (body, p) = b.begin_region(&types);
    let at = b.gather(p[1], p[0], 0);
    let double = b.map(Op::Add, &[at, at]);
    let double = b.reshape(double, vec![Dim::ONE]);
    let x = b.update(p[1], double, &[p[0]], vec![UpdateAxis::Index]);
    b.end_region(vec![p[2], x]);
    let out = b.control(Kind::For(body), vec![zero, v[2], v[0], v[1]]);
    let (x, y) = (b.proj(out, 0), b.proj(out, 1));
    finish(b, vec![x, y])
}

#[test]
fn a_loop_swaps_and_updates_in_place() {
    let func = swapping_loop();
    let exes = executables(&func);
    for count in [-1, 0, 1, 2, 3, 5] {
        let args = [f64s(&[4], &[1.0, 2.0, 3.0, 4.0]), f64s(&[4], &[5.0, 6.0, 7.0, 8.0]), int(count)];
        check_all(&exes, &func, &args, 0.0);
    }
    insta::assert_snapshot!(exes[0].1.plan());
}

/// `while sum(x) < limit { if flip { x = x + x } else { x = x + 1 }; flip = !flip }`
fn branching_loop() -> Func {
    let params = vec![
        param("x", DType::F64, &["n"]),
        param("limit", DType::F64, &[]),
        param("flip", DType::Bool, &[]),
    ];
    let (mut b, v) = builder(params);
    let types = [b.ty(v[0]).clone(), b.ty(v[2]).clone()];
    let (test, p) = b.begin_region(&types);
    let sum = b.reduce(ReduceOp::Sum, p[0], vec![0]);
    let more = b.map(Op::Lt, &[sum, v[1]]);
    b.end_region(vec![more]);
    let (body, p) = b.begin_region(&types);
    let (yes, _) = b.begin_region(&[]);
    let doubled = b.map(Op::Add, &[p[0], p[0]]);
    b.end_region(vec![doubled]);
    let (no, _) = b.begin_region(&[]);
    let one = b.scalar(Scalar::from_f64(DType::F64, 1.0));
    let one = b.broadcast(one, vec![Dim::size("n")], vec![]);
    let plus = b.map(Op::Add, &[p[0], one]);
    b.end_region(vec![plus]);
    let chosen = b.control(Kind::If(yes, no), vec![p[1]]);
    let x = b.proj(chosen, 0);
    let flip = b.map(Op::Not, &[p[1]]);
    b.end_region(vec![x, flip]);
    let out = b.control(Kind::While(test, body), vec![v[0], v[2]]);
    let (x, flip) = (b.proj(out, 0), b.proj(out, 1));
    finish(b, vec![x, flip, v[0]])
}

#[test]
fn a_while_loop_with_a_branch() {
    let func = branching_loop();
    let exes = executables(&func);
    for (limit, flip) in [(0.0, 0.0), (20.0, 1.0), (20.0, 0.0), (1e6, 1.0), (f64::NAN, 0.0)] {
        let flip = Array::from_f64(DType::Bool, &[], &[flip]).unwrap();
        check_all(&exes, &func, &[f64s(&[3], &[1.0, 2.0, 3.0]), f64s(&[], &[limit]), flip], 0.0);
    }
    insta::assert_snapshot!(exes[1].1.plan());
}

#[test]
fn loops_stop_when_steps_run_out_or_someone_cancels() {
    let func = branching_loop();
    let args = [tensor(&f64s(&[1], &[0.0])), tensor(&f64s(&[], &[f64::INFINITY])), Tensor::from(false)];
    let views = [args[0].as_view(), args[1].as_view(), args[2].as_view()];
    let limits = Limits { loop_steps: 100, ..Limits::default() };
    let options = PrepareOptions { limits, ..PrepareOptions::default() };
    let exe = Executable::prepare(&func, &[], &options).unwrap();
    let e = exe.call(&views).unwrap_err();
    assert_eq!(
        (e.clone(), e.code()),
        (ExecError::Run(RunError::Steps { limit: 100 }), codes::LOOP_STEPS_EXHAUSTED)
    );
    let e = exe
        .call_with(&views, &CallOptions { cancel: Some(&AtomicBool::new(true)), ..Default::default() })
        .unwrap_err();
    assert_eq!(e.code(), codes::CANCELLED);
}

/// Matrix chains, statistics and a softmax: what the plan of an ordinary program looks like.
fn softmax() -> Func {
    let (mut b, v) = builder(vec![param("x", DType::F32, &["n", "m"])]);
    let shape = shape(&["n", "m"]);
    let top = b.reduce(ReduceOp::Max, v[0], vec![1]);
    let top = b.broadcast(top, shape.clone(), vec![0]);
    let d = b.map(Op::Sub, &[v[0], top]);
    let e = b.map(Op::Exp, &[d]);
    let sum = b.reduce(ReduceOp::Sum, e, vec![1]);
    let sum = b.broadcast(sum, shape, vec![0]);
    let y = b.map(Op::Div, &[e, sum]);
    finish(b, vec![y])
}

#[test]
fn plans_and_kernels_read_well() {
    let func = softmax();
    let exe = prepare(&func, LayoutClass::Strided, Engine::Cranelift).unwrap();
    insta::assert_snapshot!("softmax_plan", exe.plan());
    insta::assert_snapshot!("softmax_kernels", exe.plan().kernels_text());
    let mut rng = Rng(11);
    check(&func, &[small_ints(&mut rng, DType::F32, &[3, 40])], 1e-6);
}

#[test]
fn a_thousand_sizes_compile_nothing() {
    let func = softmax();
    let exe = prepare(&func, LayoutClass::Contiguous, Engine::Cranelift).unwrap();
    let kernels = exe.plan().kernels.len();
    assert_eq!(exe.compiled().len(), kernels);
    for n in 1..=1000usize {
        let (rows, cols) = (1 + n % 7, n);
        let x = Tensor::from_vec(&[rows, cols], vec![1.0f32; rows * cols]).unwrap();
        let y = exe.call(&[x.as_view()]).unwrap();
        assert!((y[0].get(&[0, n - 1]).unwrap().to_f64() * n as f64 - 1.0).abs() < 1e-5);
    }
    // Preparing it again, for any layout, finds what is there.
    let before = KernelCache::global().stats();
    let again = prepare(&func, LayoutClass::Contiguous, Engine::Cranelift).unwrap();
    let shared = again.compiled().iter().zip(exe.compiled()).all(|(a, b)| std::sync::Arc::ptr_eq(a, b));
    assert!(shared && before.kernels >= 1);
}

#[test]
fn guards_and_arguments_are_checked_before_anything_runs() {
    let (mut b, v) = builder(vec![param("x", DType::F64, &["n"]), param("k", DType::I64, &[])]);
    let k = Dim::int("k");
    b.guard(Guard {
        kind: GuardKind::AtMost,
        left: k.clone(),
        right: Dim::size("n"),
        code: codes::RUNTIME_SLICE,
        message: "slice".into(),
        origin: Span::new(3, 4),
    });
    let y = b.slice(v[0], vec![SliceAxis { start: Dim::ZERO, step: 1 }], vec![k.clone()]);
    let z = b.iota(vec![k], 0);
    let func = finish(b, vec![y, z]);
    let exes = executables(&func);
    for k in [0, 2, 3, 4, -1, i64::MAX] {
        check_all(&exes, &func, &[f64s(&[3], &[1.0, 2.0, 3.0]), int(k)], 0.0);
    }
    check_all(&exes, &func, &[f64s(&[1, 1], &[1.0]), int(1)], 0.0);
    check_all(&exes, &func, &[f64s(&[1], &[1.0]), f64s(&[], &[1.0])], 0.0);
    check_all(&exes, &func, &[f64s(&[1], &[1.0])], 0.0);
    let x = tensor(&f64s(&[1], &[1.0]));
    let e = exes[0].1.call(&[x.as_view(), 2i64.as_view()]).unwrap_err();
    assert_eq!((e.code(), e.origin()), (codes::RUNTIME_SLICE, Some(Span::new(3, 4))));
}

#[test]
fn checks_fail_with_their_code() {
    let (mut b, v) = builder(vec![param("x", DType::F64, &["n"]), param("ok", DType::Bool, &[])]);
    let checked = b.check(v[0], v[1], Code(608), "not now".into());
    let y = b.map(Op::Neg, &[checked]);
    let func = finish(b, vec![y]);
    for ok in [0.0, 1.0] {
        let ok = Array::from_f64(DType::Bool, &[], &[ok]).unwrap();
        check(&func, &[f64s(&[2], &[1.0, 2.0]), ok], 0.0);
    }
}

#[test]
fn huge_results_are_refused() {
    let (mut b, v) = builder(vec![param("k", DType::I64, &[])]);
    let _ = v;
    let k = Dim::int("k");
    let x = b.iota(vec![k.clone(), k], 0);
    let func = finish(b, vec![x]);
    let exe = prepare(&func, LayoutClass::Contiguous, Engine::Cranelift).unwrap();
    let code = |k: i64| exe.call(&[k.as_view()]).unwrap_err().code();
    assert_eq!(code(1 << 21), codes::LIMIT_ELEMENTS);
    assert_eq!(code(i64::MAX), codes::LIMIT_ELEMENTS);
    assert_eq!(code(-2), codes::CALL_SIZE_NEGATIVE);
    let limits = Limits { elements: u64::MAX, bytes: 1000, ..Limits::default() };
    let exe = Executable::prepare(&func, &[], &PrepareOptions { limits, ..Default::default() }).unwrap();
    assert_eq!(exe.call(&[20i64.as_view()]).unwrap_err().code(), codes::LIMIT_BYTES);
    let limits = Limits { elements: u64::MAX, bytes: u64::MAX, ..Limits::default() };
    let exe = Executable::prepare(&func, &[], &PrepareOptions { limits, ..Default::default() }).unwrap();
    assert_eq!(exe.call(&[(1i64 << 29).as_view()]).unwrap_err().code(), codes::OUT_OF_MEMORY);
}

#[test]
fn results_go_where_the_caller_wants_them_and_share_nothing() {
    let (mut b, v) = builder(vec![param("x", DType::F64, &["n"])]);
    let c = Literal::new(DType::F64, vec![2], &[Scalar::from_f64(DType::F64, 1.5); 2]).unwrap();
    let c = b.constant(c);
    let y = b.map(Op::Neg, &[v[0]]);
    let func = finish(b, vec![v[0], y, c, y]);
    let exe = prepare(&func, LayoutClass::Strided, Engine::Cranelift).unwrap();
    let x = [1.0, 2.0, 3.0];
    let mut results = exe.call(&[x.as_view()]).unwrap();
    assert_ne!(results[0].data_ptr(), x.as_ptr().cast());
    // Each can be written to, so it shares its memory with nothing.
    results.iter_mut().for_each(|r| drop(r.as_view_mut().unwrap()));
    let (mut a, mut b, mut c, mut d) = ([0.0; 3], [0.0; 3], [0.0; 2], [[0.0; 2]; 3]);
    let mut places = [
        a.as_view_mut().unwrap(),
        b.as_view_mut().unwrap(),
        c.as_view_mut().unwrap(),
        d.as_view_mut().unwrap(),
    ];
    let e = exe.call_into(&[x.as_view()], &mut places).unwrap_err();
    assert_eq!((e.code(), matches!(e, ExecError::Output { index: 3, .. })), (codes::CALL_OUTPUT, true));
    let mut d = [0.0; 3];
    let mut places = [
        a.as_view_mut().unwrap(),
        b.as_view_mut().unwrap(),
        c.as_view_mut().unwrap(),
        d.as_view_mut().unwrap(),
    ];
    exe.call_into(&[x.as_view()], &mut places).unwrap();
    assert_eq!((a, b, c, d), (x, [-1.0, -2.0, -3.0], [1.5; 2], [-1.0, -2.0, -3.0]));
    assert!(matches!(exe.call_into(&[x.as_view()], &mut []), Err(ExecError::OutputCount { .. })));
}

#[test]
fn long_functions_are_no_danger() {
    let (mut b, v) = builder(vec![param("x", DType::F64, &["n"])]);
    let mut x = v[0];
    for i in 0..100_000 {
        x = b.map(if i % 2 == 0 { Op::Neg } else { Op::Abs }, &[x]);
    }
    let func = finish(b, vec![x]);
    let exe = prepare(&func, LayoutClass::Contiguous, Engine::Cranelift).unwrap();
    // As many ops a kernel as it may have, and the rest.
    assert!(exe.plan().kernels.len() <= 4, "{}", exe.plan().kernels.len());
    assert_eq!(exe.call(&[[1.0, -2.0].as_view()]).unwrap()[0].to_vec::<f64>().unwrap(), [1.0, 2.0]);
}

#[test]
fn deep_functions_are_refused_or_run() {
    for (depth, runs) in [(200, true), (2000, false)] {
        let (mut b, v) = builder(vec![param("x", DType::F64, &[]), param("c", DType::Bool, &[])]);
        for _ in 0..depth {
            b.begin_region(&[]);
        }
        let mut inner = b.map(Op::Neg, &[v[0]]);
        for i in (1..=depth).rev() {
            b.end_region(vec![inner]);
            let (no, _) = b.begin_region(&[]);
            b.end_region(vec![v[0]]);
            let chosen = b.control(Kind::If(matex_ir::tensor::RegionId(i), no), vec![v[1]]);
            inner = b.proj(chosen, 0);
        }
        let func = finish(b, vec![inner]);
        match prepare(&func, LayoutClass::Contiguous, Engine::Cranelift) {
            Ok(exe) => {
                let y = exe.call(&[2.0.as_view(), true.as_view()]).unwrap();
                assert!(runs && y[0].get(&[]).unwrap().to_f64() == -2.0);
            }
            Err(e) => assert!(!runs && e.code() == codes::LIMIT_NESTING, "{e}"),
        }
    }
}

#[test]
fn malformed_functions_are_errors() {
    let (mut b, v) = builder(vec![param("x", DType::F64, &["n"])]);
    let y = b.permute(v[0], vec![3]);
    let z = b.reduce(ReduceOp::Sum, v[0], vec![1]);
    let w = b.scan(ScanOp::Sum, v[0], 4);
    let u = b.map(Op::Add, &[v[0]]);
    let s = b.push(
        Kind::Map(Op::And),
        vec![v[0], v[0]],
        matex_ir::tensor::Type::Tensor(TensorType::scalar(DType::F64)),
    );
    let func = finish(b, vec![v[0]]);
    for bad in [y, z, w, u, s, ValueId(999)] {
        let mut func = func.clone();
        func.regions[0].results = vec![bad];
        let e = Executable::prepare(&func, &[], &PrepareOptions::default()).unwrap_err();
        assert_eq!(e.code(), codes::INTERNAL, "{e}");
    }
}

#[test]
fn an_index_that_is_wrong_in_a_fused_kernel_is_told_as_in_one_of_its_own() {
    let (mut b, v) = builder(vec![param("x", DType::F64, &["n"]), param("i", DType::I64, &["m"])]);
    let twice = b.map(Op::Add, &[v[1], v[1]]);
    let first = b.gather(v[0], v[1], 0);
    let second = b.gather(v[0], twice, 0);
    let both = b.map(Op::Mul, &[first, second]);
    let func = finish(b, vec![both]);
    let (x, i) = ([1.0, 2.0, 3.0], [1i64, -1, 2, -3]);
    let run = |passes: matex_passes::Options| {
        let options = PrepareOptions { passes, ..PrepareOptions::default() };
        let exe = Executable::prepare(&func, &[], &options).unwrap();
        (exe.plan().kernel_steps, exe.call(&[x.as_view(), i.as_view()]).unwrap_err().to_string())
    };
    let (fused, plain) = (run(matex_passes::Options::default()), run(matex_passes::Options::plain()));
    assert_eq!((fused.0, plain.0), (1, 4));
    assert_eq!(fused.1, plain.1);
    assert!(fused.1.contains('4'), "{}", fused.1);
}

#[test]
fn peak_memory_is_known_before_and_no_more_than_what_lives() {
    let shape: &[&str] = &["n"];
    let programs: Vec<(Func, usize)> = {
        let chain = |sorts: usize| {
            let (mut b, v) = builder(vec![param("x", DType::F64, shape)]);
            let mut x = v[0];
            for _ in 0..sorts {
                let up = b.map(Op::Neg, &[x]);
                x = b.push(
                    Kind::Lib(matex_ir::tensor::LibOp::Sort { axis: 0, descending: false }),
                    vec![up],
                    matex_ir::tensor::Type::Tensor(b.ty(up).clone()),
                );
            }
            let y = b.map(Op::Exp, &[x]);
            finish(b, vec![y])
        };
        // What is negated is in memory for the routine, besides its result; the end writes over what it reads.
        vec![(chain(0), 1), (chain(1), 2), (chain(3), 2)]
    };
    for (func, most) in programs {
        let exe = prepare(&func, LayoutClass::Contiguous, Engine::Cranelift).unwrap();
        let x: Vec<f64> = (0..100).map(f64::from).collect();
        let (_, measured) = exe.call_counted(&[x.as_view()]).unwrap();
        let predicted = exe.plan().peak_bytes(&|d| d.eval(&|_| Some(100)));
        assert_eq!((measured, predicted), (800 * most as u64, 800 * most as u64), "{}", exe.plan());
    }
}
