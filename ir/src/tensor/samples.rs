//! Functions built by hand for the tests of the printer, the reader and the verifier. Together they use every kind.

use super::{
    Builder, Func, Guard, GuardKind, Kind, LibOp, Literal, Param, ReduceOp, ScanOp, SliceAxis, TensorType,
    UpdateAxis, ValueId,
};
use crate::dim::{Dim, parse_dim};
use crate::dtype::{DType, Scalar};
use crate::ops::Op;
use crate::span::{Code, Span};

pub(super) fn ty(text: &str) -> TensorType {
    TensorType::from_text(text).unwrap()
}

fn dims(texts: &[&str]) -> Vec<Dim> {
    texts.iter().map(|t| parse_dim(t).unwrap()).collect()
}

fn begin(name: &str, params: &[(&str, &str)]) -> (Builder, Vec<ValueId>) {
    let params = params.iter().map(|(n, t)| Param { name: (*n).into(), ty: ty(t) }).collect();
    let b = Builder::new(name, params);
    let values = b.func().regions[0].params.clone();
    (b, values)
}

/// The normal equations, with a guard and a named result.
pub(super) fn ols() -> Func {
    let (mut b, p) = begin("ols", &[("X", "f64[n, k]"), ("y", "f64[n]")]);
    let (kind, code, origin) = (GuardKind::AtMost, Code(301), Span::new(1, 2));
    let message = "there is \"nothing\" to\nfit".to_owned();
    b.guard(Guard { kind, left: Dim::ONE, right: Dim::size("n"), code, message, origin });
    let t = b.permute(p[0], vec![1, 0]);
    let a = b.dot(t, p[0], vec![], vec![(1, 0)]);
    let v = b.dot(t, p[1], vec![], vec![(1, 0)]);
    let v = b.reshape(v, dims(&["k", "1"]));
    let x = b.lib(LibOp::Solve, &[a, v], ty("f64[k, 1]"));
    let x = b.reshape(x, dims(&["k"]));
    b.finish(vec![x], vec![Some("beta".into())])
}

/// Nested loops and a branch, with captured values.
pub(super) fn loops() -> Func {
    let (mut b, p) = begin("power", &[("A", "f64[n, n]"), ("v", "f64[n]"), ("iters", "i64")]);
    let zero = b.scalar(Scalar::from_i128(DType::I64, 0));
    let one = b.scalar(Scalar::from_f64(DType::F64, 1.0));
    let (body, inner) = b.begin_region(&[ty("i64"), ty("f64[n]")]);
    let w = b.dot(p[0], inner[1], vec![], vec![(1, 0)]);
    let norm = b.dot(w, w, vec![], vec![(0, 0)]);
    let (test, x) = b.begin_region(&[ty("f64")]);
    let more = b.map(Op::Gt, &[x[0], one]);
    b.end_region(vec![more]);
    let (halve, x) = b.begin_region(&[ty("f64")]);
    let half = b.scalar(Scalar::from_f64(DType::F64, 0.5));
    let less = b.map(Op::Mul, &[x[0], half]);
    b.end_region(vec![less]);
    let shrunk = b.control(Kind::While(test, halve), vec![norm]);
    let shrunk = b.proj(shrunk, 0);
    let small = b.map(Op::Lt, &[shrunk, one]);
    let (yes, _) = b.begin_region(&[]);
    let scale = b.broadcast(shrunk, dims(&["n"]), vec![]);
    let scaled = b.map(Op::Mul, &[w, scale]);
    b.end_region(vec![scaled]);
    let (no, _) = b.begin_region(&[]);
    b.end_region(vec![w]);
    let chosen = b.control(Kind::If(yes, no), vec![small]);
    let chosen = b.proj(chosen, 0);
    b.end_region(vec![chosen]);
    let out = b.control(Kind::For(body), vec![zero, p[2], p[1]]);
    let v = b.proj(out, 0);
    let length = b.dot(v, v, vec![], vec![(0, 0)]);
    b.finish(vec![length, v], vec![None, Some("v".into())])
}

/// Everything that moves elements.
pub(super) fn moves() -> Func {
    let (mut b, p) = begin("moves", &[("x", "f32[n, m]"), ("i", "i64[k]"), ("0", "i64[$0.0, 2]")]);
    let zero = b.scalar(Scalar::from_f64(DType::F32, -0.0));
    let rows = b.gather(p[0], p[1], 0);
    let all = || SliceAxis { start: Dim::ZERO, step: 1 };
    let back = SliceAxis { start: parse_dim("m - 1").unwrap(), step: -1 };
    let cut = b.slice(rows, vec![all(), back], dims(&["k", "m"]));
    let wide = b.pad(cut, zero, dims(&["1", "0"]), dims(&["k + 2", "m"]));
    let both = b.concat(&[wide, rows], 0);
    let spread = b.broadcast(p[1], dims(&["k", "m"]), vec![0]);
    let picked = b.gather_along(rows, spread, 1);
    let put = b.scatter_along(rows, spread, picked, 0, true);
    let put = b.scatter_along(put, spread, rows, 0, false);
    let at = b.size(parse_dim("n - 1").unwrap());
    let row = b.slice(put, vec![all(), all()], dims(&["1", "m"]));
    let done = b.update(put, row, &[at], vec![UpdateAxis::Index, UpdateAxis::Slice(all())]);
    let count = b.iota(dims(&["$0.0", "2"]), 1);
    let twice = b.map(Op::Add, &[count, p[2]]);
    let bits = b.bitcast(done, DType::U32);
    let float = b.cast(twice, DType::BF16);
    b.finish(vec![both, bits, float], vec![None, None, None])
}

/// Reductions, scans, sorting, the solver with a cut, and a check.
pub(super) fn folds() -> Func {
    let (mut b, p) = begin("folds", &[("x", "f64[n, m]"), ("y", "f64[n, 1]"), ("t", "bool[n]")]);
    let ops = [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min];
    let mut out: Vec<ValueId> = ops.iter().map(|op| b.reduce(*op, p[0], vec![0, 1])).collect();
    for op in [ReduceOp::ArgMax, ReduceOp::ArgMin] {
        out.push(b.reduce(op, p[0], vec![1]));
    }
    let any = b.reduce(ReduceOp::Any, p[2], vec![0]);
    let all = b.reduce(ReduceOp::All, p[2], vec![0]);
    out.push(b.check(out[0], any, Code(9), "tab\there".into()));
    for op in [ScanOp::Sum, ScanOp::Prod, ScanOp::Max, ScanOp::Min] {
        out.push(b.scan(op, p[0], 1));
    }
    out.push(b.lib(LibOp::Sort { axis: 1, descending: true }, &[p[0]], ty("f64[n, m]")));
    out.push(b.lib(LibOp::Argsort { axis: 0, descending: false }, &[p[0]], ty("i64[n, m]")));
    let sorted = b.reshape(p[1], dims(&["n"]));
    for right in [false, true] {
        out.push(b.lib(LibOp::SearchSorted { right }, &[sorted, p[0]], ty("i64[n, m]")));
    }
    let cut = b.scalar(Scalar::from_f64(DType::F64, -1.0));
    out.push(b.lib(LibOp::Lstsq, &[p[0], p[1], cut], ty("f64[m, 1]")));
    out.push(b.dot(p[0], p[0], vec![(0, 0)], vec![(1, 1)]));
    out.push(b.dot(p[0], p[0], vec![(1, 1)], vec![]));
    out.push(b.map(Op::Select, &[any, all, any]));
    let names = vec![None; out.len()];
    b.finish(out, names)
}

/// Every factorization.
pub(super) fn factors() -> Func {
    let (mut b, p) = begin("factors", &[("x", "f64[k, n, m]"), ("a", "f32[n, n]"), ("b", "f32[n, 2]")]);
    let mut out = Vec::new();
    for (op, count) in
        [(LibOp::Lu, 3), (LibOp::Qr, 2), (LibOp::Svd { full: true }, 3), (LibOp::Svd { full: false }, 3)]
    {
        let all = b.factor(op, &[p[0]]);
        out.extend((0..count).map(|i| b.proj(all, i)));
    }
    let pairs = b.factor(LibOp::Eigh, &[p[1]]);
    out.extend((0..2).map(|i| b.proj(pairs, i)));
    out.push(b.factor(LibOp::Svdvals, &[p[0]]));
    out.push(b.factor(LibOp::Cholesky, &[p[1]]));
    out.push(b.factor(LibOp::PivotsDefinite, &[p[1]]));
    out.push(b.factor(LibOp::Eigvalsh, &[p[1]]));
    for lower in [true, false] {
        out.push(b.factor(LibOp::SolveTriangular { lower }, &[p[1], p[2]]));
    }
    let names = vec![None; out.len()];
    b.finish(out, names)
}

/// Constants at the edges of their dtypes.
pub(super) fn constants() -> Func {
    let (mut b, _) = begin("odd name", &[]);
    let literal = |dtype, shape: &[usize], bits: &[u64]| {
        let elements: Vec<Scalar> = bits.iter().map(|v| Scalar::from_bits(dtype, *v)).collect();
        Literal::new(dtype, shape.to_vec(), &elements).unwrap()
    };
    let tiny = 1;
    let nan = 0x7ff8_0000_0000_0001;
    let out = [
        literal(DType::F64, &[4], &[tiny, nan, f64::NAN.to_bits(), f64::NEG_INFINITY.to_bits()]),
        literal(DType::F64, &[], &[f64::MAX.to_bits()]),
        literal(DType::F32, &[2, 2], &[1, 0x8000_0000, 0x7fc0_0000, 0x7f7f_ffff]),
        literal(DType::F16, &[2], &[1, 0x7bff]),
        literal(DType::BF16, &[2], &[1, 0xffc1]),
        literal(DType::I64, &[2], &[i64::MIN as u64, i64::MAX as u64]),
        literal(DType::U64, &[1, 1], &[u64::MAX]),
        literal(DType::I8, &[], &[0x80]),
        literal(DType::Bool, &[2], &[0, 1]),
        literal(DType::F64, &[0, 3], &[]),
    ];
    let out: Vec<ValueId> = out.into_iter().map(|l| b.constant(l)).collect();
    let names = (0..out.len()).map(|i| (i == 0).then(|| "a b".to_owned())).collect();
    b.finish(out, names)
}

/// All of them, and one that gives nothing.
pub(super) fn all() -> Vec<Func> {
    vec![
        ols(),
        loops(),
        moves(),
        folds(),
        factors(),
        constants(),
        begin("nothing", &[]).0.finish(vec![], vec![]),
    ]
}
