//! Small functions built by hand, at the edges where engines differ.

use super::*;
use crate::dim::{Dim, parse_dim};
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::span::{Code, Span};
use crate::tensor::{
    Builder, Guard, GuardKind, LibOp, Literal, Param, ReduceOp, ScanOp, SliceAxis, UpdateAxis,
};

const NAN: f64 = f64::NAN;

fn dims(texts: &[&str]) -> Vec<Dim> {
    texts.iter().map(|t| parse_dim(t).unwrap()).collect()
}

fn f64s(shape: &[usize], data: &[f64]) -> Array {
    Array::from_f64(DType::F64, shape, data).unwrap()
}

fn i64s(shape: &[usize], data: &[i64]) -> Array {
    Array::from_i64(DType::I64, shape, data).unwrap()
}

/// Builds a function whose parameters have the known types of the arguments, and runs it.
fn eval(args: &[Array], make: impl FnOnce(&mut Builder, &[ValueId]) -> ValueId) -> Result<Array, RunError> {
    eval_within(&RunLimits::default(), args, make)
}

fn eval_within(
    limits: &RunLimits<'_>,
    args: &[Array],
    make: impl FnOnce(&mut Builder, &[ValueId]) -> ValueId,
) -> Result<Array, RunError> {
    let param = |(i, a): (usize, &Array)| {
        let shape = a.shape().iter().map(|n| Dim::from(*n)).collect();
        Param { name: format!("x{i}"), ty: TensorType::new(a.dtype(), shape) }
    };
    let mut b = Builder::new("f", args.iter().enumerate().map(param).collect());
    let params = b.func().regions[0].params.clone();
    let result = make(&mut b, &params);
    let func = b.finish(vec![result], vec![None]);
    run(&func, args, limits).map(|mut r| r.remove(0))
}

fn values(r: Result<Array, RunError>) -> Vec<f64> {
    r.unwrap().to_f64()
}

fn same(r: Result<Array, RunError>, expected: &[f64]) {
    let got = values(r);
    let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&got), bits(expected), "{got:?} instead of {expected:?}");
}

fn reduce_f64(op: ReduceOp, data: &[f64]) -> Result<Array, RunError> {
    eval(&[f64s(&[data.len()], data)], |b, p| b.reduce(op, p[0], vec![0]))
}

fn malformed_run(r: Result<Array, RunError>) {
    assert!(matches!(r, Err(RunError::Malformed(_))), "{r:?}");
}

#[test]
fn sums_are_exact_and_keep_the_sign_of_zero() {
    same(reduce_f64(ReduceOp::Sum, &[1e100, 1.0, -1e100]), &[1.0]);
    same(reduce_f64(ReduceOp::Sum, &[]), &[0.0]);
    same(reduce_f64(ReduceOp::Sum, &[-0.0, -0.0]), &[-0.0]);
    same(reduce_f64(ReduceOp::Sum, &[f64::INFINITY, 1.0]), &[f64::INFINITY]);
    assert!(values(reduce_f64(ReduceOp::Sum, &[f64::INFINITY, f64::NEG_INFINITY]))[0].is_nan());
    let halves = Array::from_f64(DType::F16, &[3], &[2048.0, 1.0, 1.0]).unwrap();
    same(eval(&[halves], |b, p| b.reduce(ReduceOp::Sum, p[0], vec![0])), &[2050.0]);
}

#[test]
fn reductions_of_nothing() {
    same(reduce_f64(ReduceOp::Prod, &[]), &[1.0]);
    same(reduce_f64(ReduceOp::Max, &[]), &[f64::NEG_INFINITY]);
    same(reduce_f64(ReduceOp::Min, &[]), &[f64::INFINITY]);
    malformed_run(reduce_f64(ReduceOp::ArgMin, &[]));
    let empty = f64s(&[2, 0], &[]);
    same(eval(&[empty], |b, p| b.reduce(ReduceOp::Sum, p[0], vec![1])), &[0.0, 0.0]);
}

#[test]
fn nan_wins_and_first_of_equals() {
    assert!(values(reduce_f64(ReduceOp::Max, &[1.0, NAN, 2.0]))[0].is_nan());
    same(reduce_f64(ReduceOp::Min, &[0.0, -0.0]), &[-0.0]);
    same(reduce_f64(ReduceOp::ArgMax, &[1.0, 3.0, 3.0]), &[1.0]);
    same(reduce_f64(ReduceOp::ArgMax, &[1.0, NAN, 9.0, NAN]), &[1.0]);
    same(reduce_f64(ReduceOp::ArgMin, &[0.0, -0.0]), &[0.0]);
    let m = f64s(&[2, 2], &[1.0, 4.0, 3.0, 2.0]);
    same(eval(std::slice::from_ref(&m), |b, p| b.reduce(ReduceOp::ArgMax, p[0], vec![0])), &[1.0, 0.0]);
    same(eval(&[m], |b, p| b.reduce(ReduceOp::Max, p[0], vec![0, 1])), &[4.0]);
}

#[test]
fn integers_wrap() {
    let x = Array::from_i64(DType::I8, &[2], &[127, 1]).unwrap();
    same(eval(std::slice::from_ref(&x), |b, p| b.reduce(ReduceOp::Sum, p[0], vec![0])), &[-128.0]);
    same(eval(std::slice::from_ref(&x), |b, p| b.scan(ScanOp::Sum, p[0], 0)), &[127.0, -128.0]);
    let y = Array::from_i64(DType::I8, &[2], &[2, 3]).unwrap();
    same(eval(&[x, y], |b, p| b.dot(p[0], p[1], vec![], vec![(0, 0)])), &[1.0]);
}

#[test]
fn products_batch_and_contract() {
    let a = f64s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let x = f64s(&[2], &[10.0, 1.0]);
    same(eval(&[a.clone(), x.clone()], |b, p| b.dot(p[0], p[1], vec![], vec![(1, 0)])), &[12.0, 34.0]);
    same(eval(&[a.clone(), a.clone()], |b, p| b.dot(p[0], p[1], vec![(0, 0)], vec![(1, 1)])), &[5.0, 25.0]);
    same(eval(&[x.clone(), x.clone()], |b, p| b.dot(p[0], p[1], vec![], vec![])), &[100.0, 10.0, 10.0, 1.0]);
    malformed_run(eval(&[a, x], |b, p| b.dot(p[0], p[1], vec![], vec![(1, 0), (0, 0)])));
    let third = f64s(&[2], &[1.0 / 3.0, -1.0]);
    let exact = (1.0f64 / 3.0).mul_add(3.0, -1.0);
    let b = f64s(&[2], &[3.0, 1.0]);
    same(eval(&[third, b], |b, p| b.dot(p[0], p[1], vec![], vec![(0, 0)])), &[exact]);
}

#[test]
fn shapes_move_elements() {
    let m = f64s(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let args = std::slice::from_ref(&m);
    same(eval(args, |b, p| b.permute(p[0], vec![1, 0])), &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    same(eval(args, |b, p| b.reshape(p[0], dims(&["3", "2"]))), m.to_f64().as_slice());
    malformed_run(eval(args, |b, p| b.reshape(p[0], dims(&["4"]))));
    same(eval(args, |b, p| b.concat(&[p[0], p[0]], 1)), &[0., 1., 2., 0., 1., 2., 3., 4., 5., 3., 4., 5.]);
    let back = |b: &mut Builder, p: &[ValueId]| {
        let cut = [(0, 1), (2, -2)].map(|(s, step)| SliceAxis { start: Dim::constant(s), step }).to_vec();
        b.slice(p[0], cut, dims(&["2", "2"]))
    };
    same(eval(args, back), &[2.0, 0.0, 5.0, 3.0]);
    let row = f64s(&[1, 2], &[1.0, 2.0]);
    let spread = |b: &mut Builder, p: &[ValueId]| b.broadcast(p[0], dims(&["2", "2", "2"]), vec![0, 2]);
    same(eval(&[row], spread), &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    same(eval(&[], |b, _| b.iota(dims(&["2", "2"]), 1)), &[0.0, 1.0, 0.0, 1.0]);
    malformed_run(eval(&[], |b, _| b.iota(dims(&["2"]), 1)));
}

#[test]
fn slices_out_of_range_and_padding() {
    let x = f64s(&[3], &[1.0, 2.0, 3.0]);
    let cut = |start: i64, len: &'static str| {
        eval(std::slice::from_ref(&x), move |b, p| {
            b.slice(p[0], vec![SliceAxis { start: Dim::constant(start), step: 1 }], dims(&[len]))
        })
    };
    same(cut(5, "0"), &[]);
    assert!(matches!(cut(2, "2"), Err(RunError::IndexOutOfRange { axis: 0, index: 3, extent: 3, .. })));
    assert!(matches!(cut(-1, "1"), Err(RunError::IndexOutOfRange { index: -1, .. })));
    let pad = |low: i64, len: &'static str| {
        eval(&[x.clone(), f64s(&[], &[9.0])], move |b, p| {
            b.pad(p[0], p[1], vec![Dim::constant(low)], dims(&[len]))
        })
    };
    same(pad(1, "5"), &[9.0, 1.0, 2.0, 3.0, 9.0]);
    malformed_run(pad(-1, "5"));
    malformed_run(pad(1, "3"));
}

#[test]
fn indices_count_from_the_end_and_are_checked() {
    let x = f64s(&[3], &[1.0, 2.0, 3.0]);
    let pick = |at: &[i64]| eval(&[x.clone(), i64s(&[at.len()], at)], |b, p| b.gather(p[0], p[1], 0));
    same(pick(&[-1, 0, -3]), &[3.0, 1.0, 1.0]);
    same(pick(&[]), &[]);
    assert!(matches!(pick(&[0, 3]), Err(RunError::IndexOutOfRange { index: 3, extent: 3, .. })));
    assert!(matches!(pick(&[-4]), Err(RunError::IndexOutOfRange { index: -4, .. })));
    let m = f64s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let along = i64s(&[2, 1], &[-1, 0]);
    same(eval(&[m.clone(), along.clone()], |b, p| b.gather_along(p[0], p[1], 1)), &[2.0, 3.0]);
    let at = i64s(&[2, 3], &[0, 0, 1, -1, -1, -1]);
    let src = f64s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let args = [m, at, src];
    same(eval(&args, |b, p| b.scatter_along(p[0], p[1], p[2], 1, false)), &[2.0, 3.0, 3.0, 6.0]);
    same(eval(&args, |b, p| b.scatter_along(p[0], p[1], p[2], 1, true)), &[4.0, 5.0, 3.0, 19.0]);
}

#[test]
fn updates_write_rows() {
    let m = f64s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let row = |at: i64| {
        eval(&[m.clone(), f64s(&[1, 2], &[8.0, 9.0]), i64s(&[], &[at])], |b, p| {
            let all = SliceAxis { start: Dim::ZERO, step: 1 };
            b.update(p[0], p[1], &[p[2]], vec![UpdateAxis::Index, UpdateAxis::Slice(all)])
        })
    };
    same(row(-1), &[1.0, 2.0, 8.0, 9.0]);
    assert!(matches!(row(2), Err(RunError::IndexOutOfRange { axis: 0, index: 2, extent: 2, .. })));
}

#[test]
fn sorting_is_stable_with_nan_last() {
    let x = f64s(&[5], &[2.0, NAN, -0.0, 0.0, 2.0]);
    let order = |descending| {
        eval(std::slice::from_ref(&x), |b, p| {
            let ty = TensorType::new(DType::I64, dims(&["5"]));
            b.lib(LibOp::Argsort { axis: 0, descending }, &[p[0]], ty)
        })
    };
    same(order(false), &[2.0, 3.0, 0.0, 4.0, 1.0]);
    same(order(true), &[0.0, 4.0, 2.0, 3.0, 1.0]);
    let truths = Array::from_f64(DType::Bool, &[3], &[1.0, 0.0, 1.0]).unwrap();
    let sorted = |b: &mut Builder, p: &[ValueId]| {
        let ty = b.ty(p[0]).clone();
        b.lib(LibOp::Sort { axis: 0, descending: false }, &[p[0]], ty)
    };
    same(eval(&[truths], sorted), &[0.0, 1.0, 1.0]);
    let search = |right| {
        eval(&[f64s(&[4], &[1.0, 2.0, 2.0, NAN]), f64s(&[3], &[2.0, NAN, 0.0])], |b, p| {
            let ty = TensorType::new(DType::I64, dims(&["3"]));
            b.lib(LibOp::SearchSorted { right }, &[p[0], p[1]], ty)
        })
    };
    same(search(false), &[1.0, 3.0, 0.0]);
    same(search(true), &[3.0, 4.0, 0.0]);
}

fn solve_with(a: &[f64], n: usize) -> Result<Array, RunError> {
    eval(&[f64s(&[n, n], a), f64s(&[n, 1], &vec![1.0; n])], |b, p| {
        let ty = b.ty(p[1]).clone();
        b.lib(LibOp::Solve, &[p[0], p[1]], ty)
    })
}

#[test]
fn systems_are_solved_or_refused() {
    same(solve_with(&[0.0, 2.0, 4.0, 0.0], 2), &[0.25, 0.5]);
    same(solve_with(&[], 0), &[]);
    let Err(RunError::Library { code, message, .. }) = solve_with(&[1.0, 2.0, 2.0, 4.0], 2) else { panic!() };
    assert_eq!((code, &*message), (Code(702), "the matrix is singular: pivot 1 is zero"));
    let Err(RunError::Library { code, message, .. }) = solve_with(&[1.0, 2.0, NAN, 4.0], 2) else { panic!() };
    assert_eq!((code, &*message), (Code(704), "element [1, 0] of the matrix is nan"));
}

#[test]
fn least_squares_cuts_the_rank() {
    let fit = |a: Array, y: &[f64], cut: f64| {
        let (n, k) = (a.shape()[0], a.shape()[1]);
        values(eval(&[a, f64s(&[n, 1], y), f64s(&[], &[cut])], |b, p| {
            let ty = TensorType::new(DType::F64, vec![Dim::from(k), Dim::ONE]);
            b.lib(LibOp::Lstsq, &[p[0], p[1], p[2]], ty)
        }))
    };
    let close = |got: &[f64], expected: &[f64]| {
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
    };
    let line = f64s(&[3, 2], &[1.0, 0.0, 1.0, 1.0, 1.0, 2.0]);
    close(&fit(line, &[1.0, 3.0, 5.0], -1.0), &[1.0, 2.0]);
    close(&fit(f64s(&[2, 2], &[2.0, 0.0, 0.0, 1e-9]), &[4.0, 1.0], 1e-6), &[2.0, 0.0]);
    close(&fit(f64s(&[2, 2], &[0.0; 4]), &[4.0, 1.0], -1.0), &[0.0, 0.0]);
    close(&fit(f64s(&[3, 2], &[1.0; 6]), &[1.0, 2.0, 3.0], -1.0), &[2.0, 0.0]);
    close(&fit(f64s(&[1, 2], &[3.0, 4.0]), &[8.0], -1.0), &[0.0, 2.0]);
    close(&fit(f64s(&[0, 2], &[]), &[], -1.0), &[0.0, 0.0]);
}

/// `for i in 0..n { s = s + i }`, beside a captured `y`: the sum of `y + i`.
fn counting(limits: &RunLimits<'_>, n: i64) -> Result<Array, RunError> {
    eval_within(limits, &[i64s(&[], &[n]), i64s(&[], &[100])], |b, p| {
        let zero = b.scalar(Scalar::from_i128(DType::I64, 0));
        let int = TensorType::scalar(DType::I64);
        let (body, inner) = b.begin_region(&[int.clone(), int]);
        let step = b.map(Op::Add, &[inner[0], p[1]]);
        let sum = b.map(Op::Add, &[inner[1], step]);
        b.end_region(vec![sum]);
        let out = b.control(Kind::For(body), vec![zero, p[0], zero]);
        b.proj(out, 0)
    })
}

#[test]
fn loops_count_steps_and_see_outer_values() {
    let limits = RunLimits { max_steps: 5, ..RunLimits::default() };
    same(counting(&limits, 5), &[510.0]);
    same(counting(&limits, -3), &[0.0]);
    assert_eq!(counting(&limits, 6), Err(RunError::Steps { limit: 5 }));
    let stop = AtomicBool::new(true);
    let limits = RunLimits { cancel: Some(&stop), ..RunLimits::default() };
    assert_eq!(counting(&limits, 5), Err(RunError::Cancelled));
}

#[test]
fn while_runs_until_false() {
    let limits = RunLimits { max_steps: 100, ..RunLimits::default() };
    let halve = |start: f64| {
        eval_within(&limits, &[f64s(&[], &[start])], |b, p| {
            let ty = TensorType::scalar(DType::F64);
            let one = b.scalar(Scalar::from_f64(DType::F64, 1.0));
            let (test, x) = b.begin_region(std::slice::from_ref(&ty));
            let more = b.map(Op::Gt, &[x[0], one]);
            b.end_region(vec![more]);
            let (body, x) = b.begin_region(&[ty]);
            let half = b.scalar(Scalar::from_f64(DType::F64, 0.5));
            let next = b.map(Op::Mul, &[x[0], half]);
            b.end_region(vec![next]);
            let out = b.control(Kind::While(test, body), vec![p[0]]);
            b.proj(out, 0)
        })
    };
    same(halve(12.0), &[0.75]);
    same(halve(0.5), &[0.5]);
    assert!(matches!(halve(f64::INFINITY), Err(RunError::Steps { .. })));
}

#[test]
fn only_the_branch_taken_runs() {
    let index = |take: f64| {
        let flag = Array::from_f64(DType::Bool, &[], &[take]).unwrap();
        eval(&[flag, f64s(&[2], &[1.0, 2.0])], |b, p| {
            let at = b.scalar(Scalar::from_i128(DType::I64, 7));
            let (yes, _) = b.begin_region(&[]);
            let wrong = b.gather(p[1], at, 0);
            b.end_region(vec![wrong]);
            let (no, _) = b.begin_region(&[]);
            let sum = b.reduce(ReduceOp::Sum, p[1], vec![0]);
            b.end_region(vec![sum]);
            let out = b.control(Kind::If(yes, no), vec![p[0]]);
            b.proj(out, 0)
        })
    };
    same(index(0.0), &[3.0]);
    assert!(matches!(index(1.0), Err(RunError::IndexOutOfRange { .. })));
}

#[test]
fn checks_guards_and_limits() {
    let check = |holds: f64| {
        let flag = Array::from_f64(DType::Bool, &[], &[holds]).unwrap();
        eval(&[f64s(&[], &[1.0]), flag], |b, p| b.check(p[0], p[1], Code(9), "no".into()))
    };
    same(check(1.0), &[1.0]);
    assert!(matches!(check(0.0), Err(RunError::Check { code: Code(9), .. })));
    let x = Param { name: "x".into(), ty: TensorType::new(DType::F64, dims(&["n"])) };
    let mut b = Builder::new("f", vec![x]);
    let (kind, code) = (GuardKind::AtMost, Code(301));
    let (left, right, origin) = (Dim::ONE, Dim::size("n"), Span::new(3, 4));
    b.guard(Guard { kind, left, right, code, message: "empty".into(), origin });
    let big = b.iota(dims(&["n * n"]), 0);
    let func = b.finish(vec![big], vec![None]);
    let limits = RunLimits { max_elements: 4, ..RunLimits::default() };
    let run = |n: usize| run(&func, &[f64s(&[n], &vec![0.0; n])], &limits);
    assert!(run(2).is_ok());
    assert!(matches!(run(3), Err(RunError::Elements { limit: 4, .. })));
    let Err(RunError::Guard { left, right, origin, .. }) = run(0) else { panic!() };
    assert_eq!((left, right, origin), (Some(1), Some(0), Span::new(3, 4)));
}

#[test]
fn integer_parameters_size_results() {
    let k = Param { name: "k".into(), ty: TensorType::scalar(DType::I32) };
    let mut b = Builder::new("f", vec![k]);
    let out = b.iota(dims(&["k! - 1"]), 0);
    let func = b.finish(vec![out], vec![None]);
    let run = |k: i64| run(&func, &[Array::from_i64(DType::I32, &[], &[k]).unwrap()], &RunLimits::default());
    assert_eq!(run(3).unwrap()[0].to_f64(), [0.0, 1.0]);
    assert!(matches!(run(0), Err(RunError::Size { value: Some(-1), .. })));
}

#[test]
fn bitcasts_keep_bits_and_nothing_panics_on_nonsense() {
    let x = f64s(&[1], &[-0.0]);
    let bits = eval(std::slice::from_ref(&x), |b, p| b.bitcast(p[0], DType::U64)).unwrap();
    assert_eq!(bits.data()[0].bits(), 1 << 63);
    malformed_run(eval(std::slice::from_ref(&x), |b, p| b.bitcast(p[0], DType::U32)));
    malformed_run(eval(std::slice::from_ref(&x), |b, p| b.map(Op::Add, &[p[0]])));
    malformed_run(eval(std::slice::from_ref(&x), |b, p| b.map(Op::And, &[p[0], p[0]])));
    malformed_run(eval(std::slice::from_ref(&x), |b, p| b.gather(p[0], p[0], 4)));
    malformed_run(eval(std::slice::from_ref(&x), |b, p| b.scan(ScanOp::Sum, p[0], 4)));
    malformed_run(eval(std::slice::from_ref(&x), |b, p| b.proj(p[0], 4)));
    malformed_run(eval(std::slice::from_ref(&x), |b, p| b.control(Kind::For(RegionId(0)), p.to_vec())));
    for kind in [Kind::For(RegionId(0)), Kind::If(RegionId(7), RegionId(8))] {
        let ty = Type::Tuple(Vec::new());
        malformed_run(eval(std::slice::from_ref(&x), |b, p| b.push(kind, p.to_vec(), ty)));
    }
    malformed_run(eval(&[x], |_, _| ValueId(99)));
    malformed_run(eval(&[], |b, _| b.concat(&[], 0)));
    assert!(matches!(run(&Func::default(), &[], &RunLimits::default()), Err(RunError::Malformed(_))));
    let wrong = Literal::new(DType::I64, vec![1], &[]);
    assert_eq!(wrong, None);
}

#[test]
fn nesting_is_bounded() {
    let nest = |depth: usize| {
        let flag = Array::from_f64(DType::Bool, &[], &[1.0]).unwrap();
        eval(&[flag], |b, p| {
            let mut regions = vec![];
            for _ in 0..depth {
                regions.push(b.begin_region(&[]).0);
            }
            let mut inner = p[0];
            for yes in regions.into_iter().rev() {
                b.end_region(vec![inner]);
                let (no, _) = b.begin_region(&[]);
                b.end_region(vec![p[0]]);
                let out = b.control(Kind::If(yes, no), vec![p[0]]);
                inner = b.proj(out, 0);
            }
            inner
        })
    };
    same(nest(MAX_DEPTH), &[1.0]);
    malformed_run(nest(MAX_DEPTH + 1));
}
