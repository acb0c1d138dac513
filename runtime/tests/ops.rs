//! Every op, against the reference interpreter, on all dtypes that it takes, layouts and awkward sizes.

mod common;

use common::*;
use matex_ir::tensor::interp::Array;
use matex_ir::tensor::{LibOp, ReduceOp, ScanOp, SliceAxis, TensorType, UpdateAxis};
use matex_ir::{DType, Dim, Op, Scalar, ops};

const SIZES: [[usize; 2]; 7] = [[0, 3], [3, 0], [1, 1], [1, 5], [5, 1], [3, 4], [7, 70]];

fn specials(dtype: DType) -> Vec<Scalar> {
    let values =
        [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.75, 100.0, 1e-3, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    values.iter().map(|v| Scalar::from_f64(dtype, *v)).collect()
}

#[test]
fn maps_on_all_dtypes() {
    let mut rng = Rng(1);
    for row in ops::TABLE {
        for dtype in DType::ALL {
            let mut dtypes = vec![dtype; row.arity];
            if row.op == Op::Select {
                dtypes[0] = DType::Bool;
            }
            if row.op.result_dtype(&dtypes).is_none() {
                continue;
            }
            let params =
                dtypes.iter().enumerate().map(|(i, d)| param(&format!("x{i}"), *d, &["n"])).collect();
            let (mut b, xs) = builder(params);
            let y = b.map(row.op, &xs);
            let func = finish(b, vec![y]);
            let count = 37;
            let column = |d: DType, rng: &mut Rng| {
                let s = specials(d);
                let data = (0..count).map(|_| s[rng.below(s.len())]).collect();
                Array::new(d, vec![count], data).unwrap()
            };
            let args: Vec<Array> = dtypes.iter().map(|d| column(*d, &mut rng)).collect();
            let wide = if dtype == DType::F64 { 1e-14 } else { 1e-6 };
            let tolerance = if dtype.size() == 2 { 1e-2 } else { wide };
            check(&func, &args, tolerance);
        }
    }
}

#[test]
fn casts_between_all_dtypes() {
    for from in DType::ALL {
        let (mut b, xs) = builder(vec![param("x", from, &["n"])]);
        let results = DType::ALL.iter().map(|to| b.cast(xs[0], *to)).collect();
        let func = finish(b, results);
        let data = specials(from);
        check(&func, &[Array::new(from, vec![data.len()], data).unwrap()], 0.0);
    }
}

#[test]
fn reductions_on_all_axes() {
    let all = [
        (ReduceOp::Sum, DType::F64),
        (ReduceOp::Sum, DType::F16),
        (ReduceOp::Sum, DType::I8),
        (ReduceOp::Prod, DType::F32),
        (ReduceOp::Max, DType::F32),
        (ReduceOp::Min, DType::I64),
        (ReduceOp::Max, DType::BF16),
        (ReduceOp::Any, DType::Bool),
        (ReduceOp::All, DType::Bool),
    ];
    let mut rng = Rng(2);
    for (op, dtype) in all {
        for axes in [vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]] {
            let (mut b, xs) = builder(vec![param("x", dtype, &["n", "m", "k"])]);
            let y = b.reduce(op, xs[0], axes.clone());
            let t = b.permute(xs[0], vec![2, 0, 1]);
            let z = b.reduce(op, t, axes.clone());
            let func = finish(b, vec![y, z]);
            let exes = executables(&func);
            for s in [[2, 3, 4], [1, 1, 1], [1, 5, 1], [3, 1, 70], [2, 66, 3]] {
                check_all(&exes, &func, &[small_ints(&mut rng, dtype, &s)], 1e-3);
            }
            if matches!(op, ReduceOp::Sum | ReduceOp::Prod | ReduceOp::Any | ReduceOp::All) {
                for s in [[0, 3, 4], [2, 0, 4], [2, 3, 0]] {
                    check_all(&exes, &func, &[small_ints(&mut rng, dtype, &s)], 0.0);
                }
            }
        }
    }
}

#[test]
fn argmax_argmin_and_scans() {
    let mut rng = Rng(3);
    for dtype in [DType::F64, DType::F32, DType::F16, DType::I32, DType::U8] {
        for axis in 0..2 {
            let (mut b, xs) = builder(vec![param("x", dtype, &["n", "m"])]);
            let mut results = vec![
                b.reduce(ReduceOp::ArgMax, xs[0], vec![axis]),
                b.reduce(ReduceOp::ArgMin, xs[0], vec![axis]),
            ];
            for op in [ScanOp::Sum, ScanOp::Max, ScanOp::Min] {
                results.push(b.scan(op, xs[0], axis));
            }
            let func = finish(b, results);
            let exes = executables(&func);
            for s in [[1, 1], [1, 5], [5, 1], [3, 4], [7, 70]] {
                check_all(&exes, &func, &[small_ints(&mut rng, dtype, &s)], 1e-2);
            }
        }
    }
}

#[test]
fn nan_wins_in_reductions() {
    let (mut b, xs) = builder(vec![param("x", DType::F64, &["n"])]);
    let results = [ReduceOp::Max, ReduceOp::Min, ReduceOp::Sum, ReduceOp::ArgMax]
        .map(|op| b.reduce(op, xs[0], vec![0]));
    let func = finish(b, results.to_vec());
    check(&func, &[Array::from_f64(DType::F64, &[4], &[1.0, f64::NAN, 3.0, f64::NAN]).unwrap()], 0.0);
    check(&func, &[Array::from_f64(DType::F64, &[1], &[-0.0]).unwrap()], 0.0);
}

#[test]
fn views_parts_and_creation() {
    let mut rng = Rng(4);
    let (mut b, xs) = builder(vec![param("x", DType::F32, &["n", "m"])]);
    let (n, m) = (Dim::size("n"), Dim::size("m"));
    let t = b.permute(xs[0], vec![1, 0]);
    let flat = b.reshape(t, vec![&n * &m]);
    let wide = b.broadcast(xs[0], vec![Dim::constant(2), n.clone(), m.clone()], vec![1, 2]);
    let back = |d: &Dim| SliceAxis { start: d - &Dim::ONE, step: -1 };
    let flip = b.slice(xs[0], vec![back(&n), back(&m)], vec![n.clone(), m.clone()]);
    let both = b.concat(&[xs[0], flip, xs[0]], 0);
    let other = b.concat(&[xs[0], flip], 1);
    let zero = b.scalar(Scalar::from_f64(DType::F32, 7.0));
    let padded_shape = vec![&n + &Dim::constant(3), &m + &Dim::ONE];
    let padded = b.pad(t, zero, vec![Dim::ONE, Dim::ZERO], vec![&m + &Dim::constant(2), &n + &Dim::ONE]);
    let _ = padded_shape;
    let count = b.iota(vec![n.clone(), m.clone()], 1);
    let size = b.size(&n * &m);
    let merged = b.reshape(wide, vec![&Dim::constant(2) * &n, m.clone()]);
    let bits = b.bitcast(xs[0], DType::U32);
    let func = finish(b, vec![t, flat, wide, flip, both, other, padded, count, size, merged, bits, xs[0]]);
    let exes = executables(&func);
    for s in SIZES {
        check_all(&exes, &func, &[small_ints(&mut rng, DType::F32, &s)], 0.0);
    }
}

#[test]
fn dots_in_all_orientations() {
    let mut rng = Rng(5);
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16, DType::I64, DType::U8] {
        let params = vec![
            param("a", dtype, &["m", "k"]),
            param("b", dtype, &["k", "n"]),
            param("x", dtype, &["k"]),
            param("c", dtype, &["m", "k", "n"]),
        ];
        let (mut b, v) = builder(params);
        let bt = b.permute(v[1], vec![1, 0]);
        let results = vec![
            b.dot(v[0], v[1], vec![], vec![(1, 0)]),
            b.dot(v[0], bt, vec![], vec![(1, 1)]),
            b.dot(v[0], v[0], vec![], vec![(0, 0)]),
            b.dot(v[0], v[2], vec![], vec![(1, 0)]),
            b.dot(v[2], v[1], vec![], vec![(0, 0)]),
            b.dot(v[2], v[2], vec![], vec![(0, 0)]),
            b.dot(v[2], v[2], vec![], vec![]),
            b.dot(v[3], v[0], vec![(0, 0), (1, 1)], vec![]),
            b.dot(v[3], v[0], vec![(0, 0)], vec![(1, 1)]),
            b.dot(v[3], v[0], vec![], vec![(0, 0), (1, 1)]),
            b.dot(v[3], v[3], vec![(1, 1)], vec![(0, 0), (2, 2)]),
        ];
        let func = finish(b, results);
        let exes = executables(&func);
        for [m, k, n] in [[2, 3, 4], [1, 1, 1], [5, 1, 3], [0, 2, 3], [3, 0, 2], [2, 3, 0], [3, 70, 5]] {
            let args = [vec![m, k], vec![k, n], vec![k], vec![m, k, n]];
            let args: Vec<Array> = args.iter().map(|s| small_ints(&mut rng, dtype, s)).collect();
            check_all(&exes, &func, &args, 1e-2);
        }
    }
}

#[test]
fn gathers_and_scatters() {
    let mut rng = Rng(6);
    for index in [DType::I64, DType::I8, DType::U64, DType::U8] {
        let params = vec![
            param("x", DType::F64, &["n", "m"]),
            param("i", index, &["a", "b"]),
            param("j", index, &["n", "b"]),
            param("s", DType::F64, &["n", "b"]),
            param("k", index, &[]),
        ];
        let (mut b, v) = builder(params);
        let results = vec![
            b.gather(v[0], v[1], 0),
            b.gather(v[0], v[1], 1),
            b.gather_along(v[0], v[2], 1),
            b.gather(v[0], v[4], 0),
            b.scatter_along(v[0], v[2], v[3], 1, false),
            b.scatter_along(v[0], v[2], v[3], 1, true),
        ];
        let func = finish(b, results);
        let exes = executables(&func);
        for round in 0..12 {
            let (n, m) = (5 - round % 2, 5);
            let args = [
                small_ints(&mut rng, DType::F64, &[n, m]),
                small_ints(&mut rng, index, &[2, 3]),
                small_ints(&mut rng, index, &[n, 2]),
                small_ints(&mut rng, DType::F64, &[n, 2]),
                small_ints(&mut rng, index, &[]),
            ];
            check_all(&exes, &func, &args, 0.0);
        }
    }
}

#[test]
fn an_index_that_wraps_is_out_of_range() {
    let (mut b, v) = builder(vec![param("x", DType::F64, &["n"]), param("i", DType::U64, &["k"])]);
    let y = b.gather(v[0], v[1], 0);
    let func = finish(b, vec![y]);
    let x = Array::from_f64(DType::F64, &[3], &[1.0, 2.0, 3.0]).unwrap();
    let i = Array::new(DType::U64, vec![1], vec![Scalar::from_bits(DType::U64, u64::MAX)]).unwrap();
    check(&func, &[x, i], 0.0);
}

#[test]
fn updates() {
    let mut rng = Rng(7);
    let params = vec![
        param("x", DType::F64, &["n", "m"]),
        param("row", DType::F64, &["1", "m"]),
        param("v", DType::F64, &["1", "1"]),
        param("i", DType::I64, &[]),
        param("j", DType::I32, &[]),
    ];
    let (mut b, v) = builder(params);
    let all = UpdateAxis::Slice(SliceAxis { start: Dim::ZERO, step: 1 });
    let y = b.update(v[0], v[1], &[v[3]], vec![UpdateAxis::Index, all.clone()]);
    let z = b.update(y, v[2], &[v[3], v[4]], vec![UpdateAxis::Index, UpdateAxis::Index]);
    let first = SliceAxis { start: Dim::ZERO, step: 1 };
    let part = b.slice(z, vec![first.clone(), first], vec![Dim::ONE, Dim::size("m")]);
    let last = UpdateAxis::Slice(SliceAxis { start: &Dim::size("n") - &Dim::ONE, step: 1 });
    let w = b.update(z, part, &[], vec![last, all]);
    let func = finish(b, vec![y, z, w]);
    let exes = executables(&func);
    for _ in 0..20 {
        let args = [
            small_ints(&mut rng, DType::F64, &[4, 5]),
            small_ints(&mut rng, DType::F64, &[1, 5]),
            small_ints(&mut rng, DType::F64, &[1, 1]),
            small_ints(&mut rng, DType::I64, &[]),
            small_ints(&mut rng, DType::I32, &[]),
        ];
        check_all(&exes, &func, &args, 0.0);
    }
}

#[test]
fn sorting_and_searching() {
    let mut rng = Rng(8);
    for dtype in DType::ALL {
        let (mut b, v) = builder(vec![param("x", dtype, &["n", "m"]), param("s", dtype, &["k"])]);
        let ty = b.ty(v[0]).clone();
        let index = TensorType::new(DType::I64, ty.shape.clone());
        let mut results = Vec::new();
        for (axis, descending) in [(0, false), (1, false), (0, true), (1, true)] {
            results.push(b.lib(LibOp::Sort { axis, descending }, &[v[0]], ty.clone()));
            results.push(b.lib(LibOp::Argsort { axis, descending }, &[v[0]], index.clone()));
        }
        for right in [false, true] {
            results.push(b.lib(LibOp::SearchSorted { right }, &[v[1], v[0]], index.clone()));
        }
        let func = finish(b, results);
        let exes = executables(&func);
        for s in SIZES {
            let mut x = small_ints(&mut rng, dtype, &s);
            if dtype.is_float() && s == [3, 4] {
                let mut data = x.data().to_vec();
                data[1] = Scalar::from_f64(dtype, f64::NAN);
                data[4] = Scalar::from_f64(dtype, f64::NAN);
                data[6] = Scalar::from_f64(dtype, -0.0);
                x = Array::new(dtype, s.to_vec(), data).unwrap();
            }
            let sorted: Vec<Scalar> = (0..4).map(|i| Scalar::from_i128(dtype, i / 2)).collect();
            check_all(&exes, &func, &[x, Array::new(dtype, vec![4], sorted).unwrap()], 0.0);
        }
    }
}

#[test]
fn solving() {
    let mut rng = Rng(9);
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-3)] {
        let params = vec![
            param("a", dtype, &["n", "n"]),
            param("b", dtype, &["n", "m"]),
            param("c", dtype, &["k", "n"]),
            param("d", dtype, &["k", "m"]),
        ];
        let (mut b, v) = builder(params);
        let at = b.permute(v[0], vec![1, 0]);
        let ty = b.ty(v[1]).clone();
        let x = b.lib(LibOp::Solve, &[v[0], v[1]], ty.clone());
        let y = b.lib(LibOp::Solve, &[at, v[1]], ty.clone());
        let cut = b.scalar(Scalar::from_f64(dtype, -1.0));
        let z = b.lib(LibOp::Lstsq, &[v[2], v[3], cut], ty);
        let func = finish(b, vec![x, y, z]);
        let exes = executables(&func);
        for [k, n, m] in [[4, 3, 2], [1, 1, 1], [9, 5, 1], [2, 0, 3], [3, 2, 0]] {
            let noise = |rng: &mut Rng, shape: &[usize], diagonal: f64| {
                let cols = shape[1].max(1);
                let count = shape.iter().product::<usize>();
                let value = |i: usize, rng: &mut Rng| {
                    rng.below(1000) as f64 / 500.0 - 1.0 + if i / cols == i % cols { diagonal } else { 0.0 }
                };
                let data: Vec<f64> = (0..count).map(|i| value(i, rng)).collect();
                Array::from_f64(dtype, shape, &data).unwrap()
            };
            let args = [
                noise(&mut rng, &[n, n], 4.0),
                noise(&mut rng, &[n, m], 0.0),
                noise(&mut rng, &[k, n], 3.0),
                noise(&mut rng, &[k, m], 0.0),
            ];
            check_all(&exes, &func, &args, tolerance);
        }
    }
}

#[test]
fn singular_and_infinite_systems_are_errors() {
    let (mut b, v) = builder(vec![param("a", DType::F64, &["n", "n"]), param("b", DType::F64, &["n", "1"])]);
    let ty = b.ty(v[1]).clone();
    let x = b.lib(LibOp::Solve, &[v[0], v[1]], ty);
    let func = finish(b, vec![x]);
    let f = |shape: &[usize], v: &[f64]| Array::from_f64(DType::F64, shape, v).unwrap();
    check(&func, &[f(&[2, 2], &[1.0, 2.0, 2.0, 4.0]), f(&[2, 1], &[1.0, 1.0])], 0.0);
    check(&func, &[f(&[2, 2], &[1.0, 2.0, f64::NAN, 4.0]), f(&[2, 1], &[1.0, 1.0])], 0.0);
    check(&func, &[f(&[2, 2], &[1.0, 2.0, 0.0, 4.0]), f(&[2, 1], &[1.0, f64::INFINITY])], 0.0);
}
