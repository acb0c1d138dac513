//! Tests of the loop IR: its text, its verifier and its interpreter.

use super::interp::{Base, KernelArgs, run};
use super::*;
use AxisKind::{Parallel, Reduce, Scan};

fn norm2() -> Kernel {
    let mut b = KernelBuilder::new("norm2", &[Parallel, Reduce]);
    let x = b.input(DType::F64, &[Access::Strided, Access::Unit]);
    let out = b.output(DType::F64, &[Access::Strided, Access::Zero]);
    let v = b.load(x);
    let square = b.map(Op::Mul, &[v, v]);
    let sum = b.reduce(Combine::Sum, &[square]);
    let root = b.map(Op::Sqrt, &[sum]);
    b.store(out, root);
    b.finish().unwrap()
}

fn bytes(v: &[f64]) -> Vec<u8> {
    v.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn floats(v: &[u8]) -> Vec<f64> {
    v.chunks(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect()
}

fn base(buffer: usize) -> Base {
    Base { buffer, offset: 0 }
}

#[test]
fn text_is_stable() {
    insta::assert_snapshot!(norm2(), @r"
    kernel @norm2 [parallel, reduce] {
      $0: in f64[strided, unit]
      $1: out f64[strided, zero]
      %0: f64 = load $0
      %1: f64 = mul %0, %0
      %2: f64 = reduce.sum %1
      %3: f64 = sqrt %2
      store $1, %3
    }
    ");
}

#[test]
fn text_reads_back() {
    let mut b = KernelBuilder::new("all", &[Parallel, Scan]);
    let x = b.gather_input(DType::F16, &[Access::Zero, Access::Unit], 2);
    let out = b.output(DType::I32, &[Access::Strided, Access::Unit]);
    let i = b.index(1);
    let g = b.load_at(x, &[i, i]);
    let c = b.cast(g, DType::F32);
    let s = b.scan(Combine::Max, c);
    let t = b.bitcast(s, DType::I32);
    b.store(out, t);
    for d in DType::ALL {
        for v in [0.0, -0.0, 1.0, -1.5, 1e-9, 0.1, 65504.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            b.constant(Scalar::from_f64(d, v));
        }
        b.constant(Scalar::from_bits(d, if d == DType::Bool { 1 } else { u64::MAX }));
    }
    let k = b.finish().unwrap();
    assert_eq!(k.to_string().parse::<Kernel>().unwrap(), k);
    let n = norm2();
    assert_eq!(n.to_string().parse::<Kernel>().unwrap(), n);
    let scalar = "kernel @s [] {\n  $0: out i8[]\n  %0: i8 = const -3\n  store $0, %0\n}\n";
    assert_eq!(scalar.parse::<Kernel>().unwrap().to_string(), scalar);
}

/// Three walks over a row: the largest, the exponentials and their sum, the quotients.
fn softmax() -> Kernel {
    let mut b = KernelBuilder::new("softmax", &[Parallel, Reduce]);
    let x = b.input(DType::F64, &[Access::Strided, Access::Unit]);
    let out = b.output(DType::F64, &[Access::Strided, Access::Unit]);
    let row = b.scratch(DType::F64);
    let v = b.load(x);
    let max = b.reduce(Combine::Max, &[v]);
    b.next_stage();
    let v = b.load(x);
    let below = b.map(Op::Sub, &[v, max]);
    let e = b.map(Op::Exp, &[below]);
    b.store(row, e);
    let sum = b.reduce(Combine::Sum, &[e]);
    let one = b.constant(Scalar::from_f64(DType::F64, 1.0));
    let factor = b.map(Op::Div, &[one, sum]);
    b.next_stage();
    let e = b.load(row);
    let y = b.map(Op::Mul, &[e, factor]);
    b.store(out, y);
    b.finish().unwrap()
}

#[test]
fn stages_have_a_text_that_reads_back() {
    let k = softmax();
    insta::assert_snapshot!(k, @r"
    kernel @softmax [parallel, reduce] {
      $0: in f64[strided, unit]
      $1: out f64[strided, unit]
      $2: scratch f64[zero, unit]
      %0: f64 = load $0
      %1: f64 = reduce.max %0
      stage
      %2: f64 = load $0
      %3: f64 = sub %2, %1
      %4: f64 = exp %3
      %5: f64 = reduce.sum %4
      %6: f64 = const 1.0
      %7: f64 = div %6, %5
      stage
      %8: f64 = load $2
      %9: f64 = mul %8, %7
      store $2, %4
      store $1, %9
    }
    ");
    assert_eq!(k.to_string().parse::<Kernel>().unwrap(), k);
    let expanded = expand::expand(&k);
    assert_eq!(verify::verify(&expanded), Ok(()));
    assert_eq!(expanded.to_string().parse::<Kernel>().unwrap(), expanded);
    assert_eq!(expanded.stages().len(), 3);
    // What is loaded in the last stage is what the second one stored.
    assert!(matches!(expanded.body[expanded.stages[2]].kind, InstKind::Load(OperandId(2))));
}

#[test]
fn stages_see_what_was_stored_and_what_does_not_change() {
    let k = softmax();
    let x = [0.0, 2.0f64.ln(), 5.0f64.ln(), 1.0, 1.0, f64::NEG_INFINITY];
    let (mut x, mut y, mut row) = (bytes(&x), bytes(&[0.0; 6]), bytes(&[0.0; 3]));
    let args = KernelArgs {
        bases: vec![base(0), base(1), base(2)],
        extents: vec![2, 3],
        strides: vec![24, 8, 24, 8, 0, 8],
        range: None,
    };
    assert_eq!(run(&k, &args, &mut [&mut x, &mut y, &mut row]), Ok(Status::Ok));
    for (got, want) in floats(&y).iter().zip([0.125, 0.25, 0.625, 0.5, 0.5, 0.0]) {
        assert!((got - want).abs() < 1e-15, "{got} {want}");
    }
}

#[test]
fn every_violation_of_stages_is_reported() {
    let text = "kernel @bad [parallel, reduce] {
      $0: in f32[strided, unit]
      $1: scratch f32[strided, unit]
      $2: out f32[strided, zero]
      $3: out f32[strided, unit]
      $4: out f32[strided, unit]
      %0: f32 = load $0
      %1: f32 = load $3
      %2: f32 = reduce.sum %0
      %3: f32 = load $0
      stage
      stage
      %4: f32 = add %0, %2
      %5: f32 = reduce.sum %4
      %6: f32 = add %5, %5
      stage
      %7: f32 = load $4
      store $1, %4
      store $2, %4
      store $3, %6
      store $3, %5
      store $4, %7
    }";
    let found = super::verify::verify(&text.parse().unwrap()).unwrap_err();
    insta::assert_snapshot!(found, @r"
    $1 is scratch and not a row of the innermost axis
    $1 is scratch and stands before an operand that is not
    stage 1 is empty
    %1 loads $3, which no stage before it stores per element
    %7 loads $4, which no stage before it stores per element
    %3 runs per point, but $0 moves along the reduce axis
    %4 runs per element and cannot use %0
    %4 is per element, but $2 does not move along the reduce axis
    %6 is per point, but $3 moves along the reduce axis
    %5 is per point, but $3 moves along the reduce axis
    $3 is out and is stored 2 times
    ");
    let map = "kernel @bad [parallel] {
      $0: scratch f32[unit]
      $1: out f32[unit]
      %0: f32 = load $1
      stage
      %1: f32 = load $1
      store $0, %0
      store $1, %1
    }";
    let found = super::verify::verify(&map.parse().unwrap()).unwrap_err();
    insta::assert_snapshot!(found, @r"
    $0 is scratch, and the innermost axis is not a reduce axis
    $0 is scratch and stands before an operand that is not
    2 stages without a reduce axis
    %0 loads $1, which no stage before it stores per element
    %1 loads $1, which no stage before it stores per element
    ");
}

#[test]
fn key_leaves_the_name_out() {
    let (a, mut b) = (norm2(), norm2());
    b.name = "other".into();
    assert_eq!(a.key(), b.key());
    assert_ne!(a.to_string(), b.to_string());
}

#[test]
fn parse_errors_name_the_line() {
    let e = "kernel @k [parallel] {\n  $0: in f65[unit]\n}".parse::<Kernel>().unwrap_err();
    assert_eq!((e.line, e.message.as_str()), (2, "`f65` is no dtype"));
    assert!("kernel @k [] {".parse::<Kernel>().is_err());
    assert!("".parse::<Kernel>().is_err());
}

#[test]
fn every_violation_is_reported() {
    let text = "kernel @bad [reduce, scan] {
      $0: in f16[unit]
      $1: out f32[unit, zero]
      %0: f16 = load $0
      %1: f16 = add %0, %0
      %2: f32 = mul %1, %9
      %3: i64 = index 7
      %4: f32 = cast %0
      %5: f32 = reduce.sum %4
      %6: f32 = add %5, %4
      %7: f32 = part %4, 1
      store $0, %6
    }";
    let found = super::verify::verify(&text.parse().unwrap()).unwrap_err();
    insta::assert_snapshot!(found, @r"
    2 reduce and scan axes, at most one is allowed
    $0 has 1 access classes for 2 axes
    %1: add on a storage format, cast to f32 first
    %2 uses %9, which is not above it
    %3: there is no axis 7
    %7: %4 is not a reduction
    %6 runs per point and cannot use %4
    %7 runs per point and cannot use %4
    $0 is an input and is stored to
    $0 is f16 and %6 is f32
    %6 is per point, but $0 moves along the reduce axis
    $1 is out and is stored 0 times
    ");
}

#[test]
fn reductions_see_the_epilogue() {
    let k = norm2();
    let (mut x, mut y) = (bytes(&[3.0, 4.0, 0.0, -2.0]), bytes(&[0.0; 2]));
    let args = KernelArgs {
        bases: vec![base(0), base(1)],
        extents: vec![2, 2],
        strides: vec![16, 8, 8, 0],
        range: None,
    };
    assert_eq!(run(&k, &args, &mut [&mut x, &mut y]), Ok(Status::Ok));
    assert_eq!(floats(&y), [5.0, 2.0]);
}

#[test]
fn empty_sums_are_positive_zero_and_sums_keep_negative_zero() {
    let k = norm2();
    let (mut x, mut y) = (bytes(&[]), bytes(&[7.0]));
    let args = KernelArgs {
        bases: vec![base(0), base(1)],
        extents: vec![1, 0],
        strides: vec![0, 8, 8, 0],
        range: None,
    };
    run(&k, &args, &mut [&mut x, &mut y]).unwrap();
    assert_eq!(y, bytes(&[0.0]));
    let negative = vec![vec![Scalar::from_f64(DType::F64, -0.0)]; 3];
    assert_eq!(canon::reduce(Combine::Sum, DType::F64, 32, &negative)[0].bits(), (-0.0f64).to_bits());
}

#[test]
fn argmax_prefers_nan_then_value_then_lower_index() {
    let pick = |values: &[f64]| {
        let states: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(i, v)| vec![Scalar::from_f64(DType::F64, *v), Scalar::from_i128(DType::I64, i as i128)])
            .collect();
        canon::reduce(Combine::ArgMax, DType::F64, 32, &states)[1].to_i128()
    };
    assert_eq!(pick(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(pick(&[1.0, f64::NAN, 3.0, f64::NAN]), 1);
    assert_eq!(pick(&[-0.0, 0.0]), 0);
    assert_eq!(pick(&[f64::NEG_INFINITY, f64::NEG_INFINITY]), 0);
}

#[test]
fn gathers_count_from_the_end_and_refuse_what_is_out_of_range() {
    let mut b = KernelBuilder::new("take", &[Parallel]);
    let i = b.input(DType::I64, &[Access::Unit]);
    let x = b.gather_input(DType::F64, &[Access::Zero], 1);
    let out = b.output(DType::F64, &[Access::Unit]);
    let index = b.load(i);
    let v = b.load_at(x, &[index]);
    b.store(out, v);
    let k = b.finish().unwrap();
    let mut index: Vec<u8> = [2i64, -1, 3, -4].iter().flat_map(|v| v.to_le_bytes()).collect();
    let (mut x, mut y) = (bytes(&[1.0, 2.0, 3.0]), bytes(&[9.0; 4]));
    let mut args = KernelArgs {
        bases: vec![base(0), base(1), base(2)],
        extents: vec![4],
        strides: vec![8, 0, 8, 3, 8],
        range: Some(0..2),
    };
    assert_eq!(run(&k, &args, &mut [&mut index, &mut x, &mut y]), Ok(Status::Ok));
    assert_eq!(floats(&y), [3.0, 3.0, 9.0, 9.0]);
    args.range = None;
    assert_eq!(run(&k, &args, &mut [&mut index, &mut x, &mut y]), Ok(Status::IndexOutOfRange));
    args.strides[0] = 16;
    let out = run(&k, &args, &mut [&mut index, &mut x, &mut y]);
    assert_eq!(out, Err(interp::InterpError::OutOfBounds(OperandId(0))));
}
