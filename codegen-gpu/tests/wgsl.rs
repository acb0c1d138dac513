//! Kernels as WGSL: what people see with `--stage wgsl`. Every shader was validated before; none of this needs a driver.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex_codegen_gpu::{Refused, Schedule, compile, refusal};
use matex_ir::loops::{Access, AxisKind, Combine, Kernel, KernelBuilder};
use matex_ir::{DType, Op, Scalar};
use std::fmt::Write;

fn wgsl(kernel: &Kernel, schedule: Schedule) -> String {
    let shares: Vec<usize> = (0..kernel.operands.len()).collect();
    compile(kernel, schedule, &shares).unwrap().wgsl().unwrap()
}

/// `m / (r + c)` with a row and a column.
fn broadcast() -> Kernel {
    let mut b = KernelBuilder::new("broadcast", &[AxisKind::Parallel, AxisKind::Parallel]);
    let m = b.input(DType::F32, &[Access::Strided, Access::Unit]);
    let r = b.input(DType::F32, &[Access::Zero, Access::Unit]);
    let c = b.input(DType::F32, &[Access::Strided, Access::Zero]);
    let out = b.output(DType::F32, &[Access::Strided, Access::Unit]);
    let (m, r, c) = (b.load(m), b.load(r), b.load(c));
    let sum = b.map(Op::Add, &[r, c]);
    let quotient = b.map(Op::Div, &[m, sum]);
    b.store(out, quotient);
    b.finish().unwrap()
}

/// Softmax along the last axis, in three stages.
fn softmax() -> Kernel {
    let mut b = KernelBuilder::new("softmax", &[AxisKind::Parallel, AxisKind::Reduce]);
    let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
    let out = b.output(DType::F32, &[Access::Strided, Access::Unit]);
    let v = b.load(x);
    let most = b.reduce(Combine::Max, &[v]);
    b.next_stage();
    let v = b.load(x);
    let below = b.map(Op::Sub, &[v, most]);
    let e = b.map(Op::Exp, &[below]);
    let sum = b.reduce(Combine::Sum, &[e]);
    b.store(out, e);
    b.next_stage();
    let e = b.load(out);
    let q = b.map(Op::Div, &[e, sum]);
    b.store(out, q);
    b.finish().unwrap()
}

/// A reduction along the first of two axes.
fn columns(combine: Combine, dtype: DType) -> Kernel {
    let mut b = KernelBuilder::new("columns", &[AxisKind::Reduce, AxisKind::Parallel]);
    let x = b.input(dtype, &[Access::Strided, Access::Unit]);
    let out = b.output(dtype, &[Access::Zero, Access::Unit]);
    let v = b.load(x);
    let r = b.reduce(combine, &[v]);
    b.store(out, r);
    b.finish().unwrap()
}

#[test]
fn maps_and_reductions() {
    let mut text = String::new();
    let all = [
        (broadcast(), Schedule::Points),
        (softmax(), Schedule::Rows),
        (columns(Combine::Sum, DType::F32), Schedule::Points),
        (columns(Combine::Any, DType::Bool), Schedule::Points),
    ];
    for (kernel, schedule) in all {
        let code = wgsl(&kernel, schedule);
        writeln!(text, "// {} by {schedule:?}\n{kernel}\n{code}", kernel.name).unwrap();
    }
    insta::assert_snapshot!(text);
}

/// A kernel of one op on contiguous operands.
fn map(op: Op, args: &[DType]) -> Kernel {
    let mut b = KernelBuilder::new(op.name(), &[AxisKind::Parallel]);
    let inputs: Vec<_> = args.iter().map(|d| b.input(*d, &[Access::Unit])).collect();
    let loads: Vec<_> = inputs.iter().map(|i| b.load(*i)).collect();
    let value = b.map(op, &loads);
    let out = b.output(op.result_dtype(args).unwrap(), &[Access::Unit]);
    b.store(out, value);
    b.finish().unwrap()
}

/// The operands that an op takes of a dtype, or none.
fn operands(op: Op, dtype: DType) -> Option<Vec<DType>> {
    let mut args = vec![dtype; op.arity()];
    if op == Op::Select {
        args[0] = DType::Bool;
    }
    op.result_dtype(&args).map(|_| args)
}

#[test]
fn every_op_has_code_or_a_reason() {
    let mut refused = Vec::new();
    for row in matex_ir::ops::TABLE {
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool] {
            let Some(args) = operands(row.op, dtype) else { continue };
            match compile(&map(row.op, &args), Schedule::Points, &[0, 1, 2, 3][..=args.len()]) {
                Ok(shader) => assert!(shader.wgsl().unwrap().contains("fn main")),
                Err(Refused::Unsupported(why)) => refused.push(why),
                Err(Refused::Internal(why)) => panic!("{} of {dtype}: {why}", row.name),
            }
        }
    }
    assert_eq!(refused, ["lgamma has no code for the GPU"]);
}

#[test]
fn casts_between_all_dtypes() {
    let dtypes = [DType::F32, DType::I32, DType::U32, DType::Bool];
    for from in dtypes {
        for to in dtypes {
            let mut b = KernelBuilder::new("cast", &[AxisKind::Parallel]);
            let (x, out) = (b.input(from, &[Access::Unit]), b.output(to, &[Access::Unit]));
            let v = b.load(x);
            let r = b.cast(v, to);
            b.store(out, r);
            wgsl(&b.finish().unwrap(), Schedule::Points);
        }
    }
}

#[test]
fn functions_are_written_once() {
    let mut b = KernelBuilder::new("twice", &[AxisKind::Parallel]);
    let (x, out) = (b.input(DType::F32, &[Access::Unit]), b.output(DType::F32, &[Access::Unit]));
    let v = b.load(x);
    let e = b.map(Op::Exp, &[v]);
    let ee = b.map(Op::Exp, &[e]);
    b.store(out, ee);
    let code = wgsl(&b.finish().unwrap(), Schedule::Points);
    assert_eq!(code.matches("fn matex_exp(").count(), 1);
    assert_eq!(code.matches("= matex_exp(").count(), 2);
    insta::assert_snapshot!(code);
}

#[test]
fn positions_need_32_bits_and_other_wide_integers_are_refused() {
    let kernel = |change: i128| {
        let mut b = KernelBuilder::new("positions", &[AxisKind::Parallel]);
        let out = b.output(DType::F32, &[Access::Unit]);
        let (i, by) = (b.index(0), b.constant(Scalar::from_i128(DType::I64, change)));
        let moved = b.map(Op::Mul, &[i, by]);
        let value = b.cast(moved, DType::F32);
        b.store(out, value);
        b.finish().unwrap()
    };
    assert_eq!(refusal(&kernel(-2)), None);
    assert!(wgsl(&kernel(2), Schedule::Points).contains("f32("));
    assert_eq!(refusal(&kernel(3)).unwrap(), "it computes with 64-bit integers");
}

#[test]
fn what_the_device_lacks_is_said() {
    assert_eq!(refusal(&columns(Combine::Sum, DType::F64)).unwrap(), "it computes with f64");
    assert_eq!(refusal(&columns(Combine::Sum, DType::I64)).unwrap(), "it works on i64");
}
