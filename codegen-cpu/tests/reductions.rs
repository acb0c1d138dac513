//! Reductions in row and column form, and scans.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use AxisKind::{Parallel, Reduce, Scan};
use common::{Case, Rng, all_widths};
use matex_codegen_cpu::Compiled;
use matex_ir::loops::{Access, AxisKind, Combine, Kernel, KernelBuilder};
use matex_ir::{DType, Op, Scalar};

const LENGTHS: [i64; 12] = [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1000, 4099];

fn accepted(c: Combine, d: DType) -> bool {
    if c.arity() == 2 { c.accepts(&[d, DType::I64]) } else { c.accepts(&[d]) }
}

/// A reduction of one operand, followed by nothing.
fn reduce(c: Combine, d: DType, kinds: &[AxisKind], access: &[Access]) -> Kernel {
    let axis = kinds.iter().position(|k| *k == Reduce).unwrap();
    let mut out_access = access.to_vec();
    out_access[axis] = Access::Zero;
    let mut b = KernelBuilder::new("reduce", kinds);
    let x = b.input(d, access);
    let v = b.load(x);
    if c.arity() == 2 {
        let i = b.index(axis);
        let r = b.reduce(c, &[v, i]);
        let p = b.part(r, 1);
        let (value, index) = (b.output(d, &out_access), b.output(DType::I64, &out_access));
        b.store(value, r);
        b.store(index, p);
    } else {
        let r = b.reduce(c, &[v]);
        let out = b.output(d, &out_access);
        b.store(out, r);
    }
    b.finish().unwrap()
}

/// Once with special values and once with ordinary ones.
fn both(k: &Kernel, code: &[Compiled], extents: &[i64], rng: &mut Rng) {
    for tame in [false, true] {
        rng.tame = tame;
        Case::new(k.clone(), extents, rng).check_with(code, None);
    }
}

fn check_lengths(k: &Kernel, extents: impl Fn(i64) -> Vec<i64>, lengths: &[i64], rng: &mut Rng) {
    let code = all_widths(k);
    for n in lengths {
        both(k, &code, &extents(*n), rng);
    }
}

#[test]
fn rows() {
    let mut rng = Rng::new(11);
    for c in Combine::ALL {
        for d in DType::ALL.into_iter().filter(|d| accepted(c, *d)) {
            for inner in [Access::Unit, Access::Strided] {
                let k = reduce(c, d, &[Reduce], &[inner]);
                check_lengths(&k, |n| vec![n], &LENGTHS, &mut rng);
                let k = reduce(c, d, &[Parallel, Reduce], &[Access::Strided, inner]);
                check_lengths(&k, |n| vec![3, n], &[0, 5, 130], &mut rng);
            }
        }
    }
}

#[test]
fn long_rows_use_the_tree() {
    let mut rng = Rng::new(12);
    for (d, n) in [(DType::F64, 13 * 2048 + 77), (DType::F32, 7 * 4096 + 1), (DType::F64, 8 * 2048)] {
        for inner in [Access::Unit, Access::Strided] {
            let k = reduce(Combine::Sum, d, &[Reduce], &[inner]);
            rng.tame = true;
            Case::new(k, &[n], &mut rng).check();
        }
    }
}

#[test]
fn columns() {
    let mut rng = Rng::new(13);
    for c in Combine::ALL {
        for d in DType::ALL.into_iter().filter(|d| accepted(c, *d)) {
            for inner in [Access::Unit, Access::Strided] {
                let k = reduce(c, d, &[Reduce, Parallel], &[Access::Strided, inner]);
                let code = all_widths(&k);
                for (n, m) in [(0, 3), (5, 1), (64, 7), (65, 40), (3, 0), (1000, 37), (66, 301)] {
                    both(&k, &code, &[n, m], &mut rng);
                }
                Case::new(k.clone(), &[70, 33], &mut rng).check_with(&code, Some(3..31));
            }
        }
    }
    let k = reduce(
        Combine::Sum,
        DType::F32,
        &[Parallel, Reduce, Parallel],
        &[Access::Strided, Access::Strided, Access::Unit],
    );
    check_lengths(&k, |n| vec![3, n, 21], &[0, 1, 64, 200], &mut rng);
}

#[test]
fn bodies_and_epilogues() {
    let mut rng = Rng::new(15);
    for kinds in [[Parallel, Reduce], [Reduce, Parallel]] {
        for (d, op) in
            [(DType::F64, Op::Mul), (DType::F32, Op::Mul), (DType::F32, Op::Exp), (DType::F16, Op::Mul)]
        {
            let (outer, inner) = if kinds[1] == Reduce {
                (Access::Strided, Access::Zero)
            } else {
                (Access::Zero, Access::Unit)
            };
            let mut b = KernelBuilder::new("fused", &kinds);
            let x = b.input(d, &[Access::Strided, Access::Unit]);
            let y = b.input(d, &[Access::Zero, Access::Unit]);
            let s = b.input(DType::F32, &[Access::Zero, Access::Zero]);
            let out = b.output(DType::F32, &[outer, inner]);
            let count = b.output(DType::I64, &[outer, inner]);
            let (x, y) = (b.load(x), b.load(y));
            let (x, y) = (b.cast(x, DType::F32), b.cast(y, DType::F32));
            let v = if op.arity() == 1 { b.map(op, &[x]) } else { b.map(op, &[x, y]) };
            let zero = b.constant(Scalar::from_f64(DType::F32, 0.0));
            let above = b.map(Op::Gt, &[v, zero]);
            let above = b.cast(above, DType::I64);
            let wide = b.cast(v, DType::F64);
            let sum = b.reduce(Combine::Sum, &[v]);
            let max = b.reduce(Combine::Max, &[v]);
            let wide = b.reduce(Combine::Sum, &[wide]);
            let above = b.reduce(Combine::Sum, &[above]);
            let s = b.load(s);
            let r = b.map(Op::Fma, &[sum, s, max]);
            let wide = b.cast(wide, DType::F32);
            let r = b.map(Op::Add, &[r, wide]);
            let r = b.map(Op::Max, &[r, zero]);
            b.store(out, r);
            b.store(count, above);
            let k = b.finish().unwrap();
            let code = all_widths(&k);
            for (n, m) in [(0, 3), (3, 0), (2, 65), (65, 2), (9, 300), (300, 9)] {
                both(&k, &code, &[n, m], &mut rng);
            }
        }
    }
}

#[test]
fn several_reductions_in_vectors() {
    let mut rng = Rng::new(16);
    for kinds in [[Parallel, Reduce], [Reduce, Parallel]] {
        for d in [DType::F32, DType::F64, DType::I16] {
            let out_access = if kinds[1] == Reduce {
                [Access::Strided, Access::Zero]
            } else {
                [Access::Zero, Access::Unit]
            };
            let mut b = KernelBuilder::new("moments", &kinds);
            let x = b.input(d, &[Access::Strided, Access::Unit]);
            let v = b.load(x);
            let square = b.map(Op::Mul, &[v, v]);
            let all = [
                b.reduce(Combine::Sum, &[v]),
                b.reduce(Combine::Sum, &[square]),
                b.reduce(Combine::Min, &[v]),
                b.reduce(Combine::Prod, &[v]),
            ];
            for r in all {
                let out = b.output(d, &out_access);
                b.store(out, r);
            }
            let k = b.finish().unwrap();
            let code = all_widths(&k);
            for (n, m) in [(3, 5), (2, 4200), (200, 35)] {
                both(&k, &code, &[n, m], &mut rng);
            }
        }
    }
}

#[test]
fn scans() {
    let mut rng = Rng::new(17);
    for c in [Combine::Sum, Combine::Prod, Combine::Max, Combine::Min] {
        for d in DType::ALL.into_iter().filter(|d| c.accepts(&[*d])) {
            for kinds in [[Parallel, Scan], [Scan, Parallel]] {
                let mut b = KernelBuilder::new("scan", &kinds);
                let x = b.input(d, &[Access::Strided, Access::Unit]);
                let out = b.output(d, &[Access::Strided, Access::Unit]);
                let v = b.load(x);
                let s = b.scan(c, v);
                b.store(out, s);
                let k = b.finish().unwrap();
                let code = all_widths(&k);
                for extents in [[0, 3], [3, 0], [1, 1], [4, 9], [9, 4], [2, 100]] {
                    both(&k, &code, &extents, &mut rng);
                }
                Case::new(k, &[9, 8], &mut rng).check_with(&code, Some(2..5));
            }
        }
    }
}

/// Scans of two widths, one over another, among elementwise work before and behind them.
#[test]
fn scans_among_other_work() {
    let mut rng = Rng::new(18);
    for kinds in [[Parallel, Scan], [Scan, Parallel]] {
        for access in [Access::Unit, Access::Strided] {
            let mut b = KernelBuilder::new("scans", &kinds);
            let x = b.input(DType::F32, &[Access::Strided, access]);
            let y = b.input(DType::F64, &[Access::Strided, Access::Unit]);
            let narrow = b.output(DType::F32, &[Access::Strided, Access::Unit]);
            let wide = b.output(DType::F64, &[Access::Strided, Access::Unit]);
            let highest = b.output(DType::F32, &[Access::Strided, Access::Unit]);
            let (x, y) = (b.load(x), b.load(y));
            let square = b.map(Op::Mul, &[x, x]);
            let first = b.scan(Combine::Sum, square);
            let top = b.scan(Combine::Max, first);
            let both_of = b.cast(first, DType::F64);
            let product = b.map(Op::Mul, &[both_of, y]);
            let second = b.scan(Combine::Sum, product);
            let shifted = b.map(Op::Sub, &[second, y]);
            b.store(narrow, first);
            b.store(wide, shifted);
            b.store(highest, top);
            let k = b.finish().unwrap();
            let code = all_widths(&k);
            for tame in [true, false] {
                rng.tame = tame;
                for extents in [[1, 1], [5, 16], [16, 5], [3, 17], [2, 150], [33, 40]] {
                    both(&k, &code, &extents, &mut rng);
                }
            }
        }
    }
}
