//! Elementwise kernels: every op on every dtype, casts between all of them, layouts, lengths, gathers.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Case, Rng, all_widths};
use matex_ir::loops::expand::expand;
use matex_ir::loops::{Access, AxisKind, Kernel, KernelBuilder, Status};
use matex_ir::ops::{Class, TABLE};
use matex_ir::{DType, Op, Scalar};

const LENGTHS: [i64; 12] = [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1000, 4099];

/// `out = op(inputs…)` with these classes along the only axis.
fn unary_or_more(op: Op, d: DType, access: &[Access]) -> Option<Kernel> {
    let mut dtypes = vec![d; op.arity()];
    if op.class() == Class::Select {
        dtypes[0] = DType::Bool;
    }
    if d.compute() != d && op != Op::Select {
        return None;
    }
    let result = op.result_dtype(&dtypes)?;
    let mut b = KernelBuilder::new(op.name(), &[AxisKind::Parallel]);
    let loads: Vec<_> = dtypes
        .iter()
        .enumerate()
        .map(|(i, d)| {
            let o = b.input(*d, &[access[i % access.len()]]);
            b.load(o)
        })
        .collect();
    let v = b.map(op, &loads);
    let out = b.output(result, &[access[access.len() - 1]]);
    b.store(out, v);
    Some(b.finish().unwrap())
}

#[test]
fn every_op_on_every_dtype() {
    let mut rng = Rng::new(1);
    for row in TABLE {
        for d in DType::ALL {
            let Some(k) = unary_or_more(row.op, d, &[Access::Unit]) else { continue };
            let code = all_widths(&k);
            for n in [1, 3, 64, 301] {
                Case::new(k.clone(), &[n], &mut rng).check_with(&code, None);
            }
        }
    }
}

#[test]
fn expansions() {
    let mut rng = Rng::new(9);
    for row in TABLE {
        for d in [DType::F32, DType::F64] {
            let Some(plain) = unary_or_more(row.op, d, &[Access::Unit]) else { continue };
            let k = expand(&plain);
            if k == plain {
                continue;
            }
            let code = all_widths(&k);
            for n in [1, 2, 7, 64, 301] {
                Case::new(k.clone(), &[n], &mut rng).check_with(&code, None);
            }
        }
    }
}

#[test]
fn layouts_and_lengths() {
    let mut rng = Rng::new(2);
    use Access::{Strided, Unit, Zero};
    for op in [Op::Add, Op::Fma, Op::Select, Op::Exp, Op::Max] {
        for d in [DType::F64, DType::F32, DType::I32, DType::I64, DType::U8, DType::F16] {
            for access in [&[Unit][..], &[Zero, Unit], &[Strided], &[Unit, Strided], &[Strided, Zero, Unit]] {
                let Some(k) = unary_or_more(op, d, access) else { continue };
                let code = all_widths(&k);
                for n in LENGTHS {
                    Case::new(k.clone(), &[n], &mut rng).check_with(&code, None);
                }
            }
        }
    }
}

#[test]
fn casts_among_all_dtypes() {
    let mut rng = Rng::new(3);
    for from in DType::ALL {
        for to in DType::ALL {
            let mut b = KernelBuilder::new("cast", &[AxisKind::Parallel]);
            let x = b.input(from, &[Access::Unit]);
            let out = b.output(to, &[Access::Unit]);
            let v = b.load(x);
            let v = b.cast(v, to);
            b.store(out, v);
            Case::new(b.finish().unwrap(), &[333], &mut rng).check();
        }
    }
}

#[test]
fn comparisons_feed_selections_and_casts_in_vectors() {
    let mut rng = Rng::new(4);
    for d in [
        DType::F32,
        DType::F64,
        DType::I8,
        DType::U8,
        DType::I16,
        DType::U16,
        DType::I32,
        DType::U32,
        DType::I64,
    ] {
        for op in [Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::Eq, Op::Ne] {
            let mut b = KernelBuilder::new("relu", &[AxisKind::Parallel]);
            let x = b.input(d, &[Access::Unit]);
            let out = b.output(d, &[Access::Unit]);
            let v = b.load(x);
            let zero = b.constant(Scalar::from_f64(d, 0.0));
            let two = b.constant(Scalar::from_f64(d, 2.0));
            let c = b.map(op, &[v, zero]);
            let e = b.map(Op::Ne, &[v, two]);
            let same = b.map(Op::Eq, &[c, e]);
            let less = b.map(Op::Lt, &[c, e]);
            let not = b.map(Op::Not, &[same]);
            let both = b.map(Op::And, &[not, e]);
            let yes = b.constant(Scalar::from_f64(DType::Bool, 1.0));
            let both = b.map(Op::Xor, &[both, yes]);
            let t = b.cast(both, d);
            let u = b.cast(less, d);
            let s = b.map(Op::Select, &[c, v, t]);
            let s = b.map(Op::Add, &[s, u]);
            b.store(out, s);
            Case::new(b.finish().unwrap(), &[301], &mut rng).check();
        }
    }
}

#[test]
fn shifts_by_constants() {
    let mut rng = Rng::new(5);
    for d in DType::ALL.into_iter().filter(|d| d.is_int()) {
        for op in [Op::Shl, Op::Shr] {
            for n in [0, 1, 7, 15, 31, 63, 64, -1] {
                let mut b = KernelBuilder::new("shift", &[AxisKind::Parallel]);
                let x = b.input(d, &[Access::Unit]);
                let out = b.output(d, &[Access::Unit]);
                let v = b.load(x);
                let n = b.constant(Scalar::from_i128(d, n));
                let v = b.map(op, &[v, n]);
                b.store(out, v);
                Case::new(b.finish().unwrap(), &[77], &mut rng).check();
            }
        }
    }
}

#[test]
fn positions_are_values() {
    let mut rng = Rng::new(6);
    let mut b = KernelBuilder::new("iota", &[AxisKind::Parallel, AxisKind::Parallel]);
    let out = b.output(DType::F64, &[Access::Strided, Access::Unit]);
    let (i, j) = (b.index(0), b.index(1));
    let ten = b.constant(Scalar::from_i128(DType::I64, 10));
    let v = b.map(Op::Fma, &[i, ten, j]);
    let v = b.cast(v, DType::F64);
    b.store(out, v);
    let k = b.finish().unwrap();
    let code = all_widths(&k);
    for extents in [[3, 5], [1, 64], [7, 9], [0, 4], [4, 0]] {
        let case = Case::new(k.clone(), &extents, &mut rng);
        case.check_with(&code, None);
        if extents[0] > 2 {
            case.check_with(&code, Some(1..2));
        }
    }
}

#[test]
fn gathers() {
    let mut rng = Rng::new(7);
    for (d, dims) in [(DType::F64, 1), (DType::U8, 2), (DType::F16, 2)] {
        let mut b = KernelBuilder::new("take", &[AxisKind::Parallel, AxisKind::Parallel]);
        let index = b.input(DType::I64, &[Access::Zero, Access::Unit]);
        let x = b.gather_input(d, &[Access::Strided, Access::Zero], dims);
        let out = b.output(d, &[Access::Strided, Access::Unit]);
        let i = b.load(index);
        let v = b.load_at(x, &vec![i; dims as usize]);
        b.store(out, v);
        let k = b.finish().unwrap();
        let code = all_widths(&k);
        let mut seen = Vec::new();
        for n in [0, 1, 2, 9, 40] {
            let mut case = Case::new(k.clone(), &[3, n], &mut rng);
            case.check_with(&code, None);
            seen.push(case.interpret(None).0);
            // And with indices that are all good.
            for word in case.memory[0].chunks_mut(8) {
                word.copy_from_slice(&((rng.next() % 10) as i64 - 5).to_le_bytes());
            }
            case.check_with(&code, None);
            assert_eq!(case.interpret(None).0, Status::Ok);
            // Nothing can be read from an empty dimension.
            for g in &mut case.gathers {
                g.0 = 0;
            }
            case.check_with(&code, None);
        }
        assert!(seen.contains(&Status::IndexOutOfRange));
    }
}

#[test]
fn kernels_without_axes() {
    let mut rng = Rng::new(8);
    let mut b = KernelBuilder::new("scalar", &[]);
    let x = b.input(DType::F32, &[]);
    let out = b.output(DType::F32, &[]);
    let v = b.load(x);
    let v = b.map(Op::Exp, &[v]);
    b.store(out, v);
    let case = Case::new(b.finish().unwrap(), &[], &mut rng);
    case.check();
    let code = all_widths(&case.kernel);
    case.check_with(&code, Some(0..0));
}

#[test]
fn in_place() {
    // An output that is one of the inputs, element for element.
    let k = unary_or_more(Op::Mul, DType::F64, &[Access::Unit]).unwrap();
    for code in all_widths(&k) {
        let mut x: Vec<f64> = (0..103).map(f64::from).collect();
        let p = x.as_mut_ptr().cast::<u8>();
        let (data, extents, strides) = ([p, p, p], [103i64], [8i64; 3]);
        let args = matex_codegen_cpu::abi::Args {
            data: data.as_ptr(),
            extents: extents.as_ptr(),
            strides: strides.as_ptr(),
        };
        // SAFETY: three operands of 103 contiguous elements, the same at every point.
        unsafe { code.call(&args, 0, 103) };
        assert!(x.iter().enumerate().all(|(i, v)| *v == (i * i) as f64));
    }
}
