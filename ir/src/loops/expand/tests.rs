//! Expansions against the reference meanings, as plain floats and as instructions.

use super::*;
use crate::dtype::Scalar;
use crate::loops::interp::{self, Base, KernelArgs};
use crate::loops::{Access, AxisKind, KernelBuilder};

/// Points of every magnitude and sign, special values included.
fn points(dtype: DType) -> Vec<f64> {
    let mut all =
        vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, -1.0, 0.5, -0.5, 1e-310, 3e-39];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let decades = if dtype == DType::F64 { 300.0 } else { 37.0 };
    for _ in 0..4000 {
        all.push(next() * 20.0 - 10.0);
        all.push((next() * 2.0 - 1.0) * 10f64.powf((next() * 2.0 - 1.0) * decades));
        all.push((next() * 2.0 - 1.0) * 800.0);
    }
    all.into_iter().map(|v| Scalar::from_f64(dtype, v).to_f64()).collect()
}

/// The distance in units of the last place; zero for two NaNs, none between a number and NaN.
fn ulps(a: Scalar, b: Scalar) -> Option<u64> {
    let (x, y) = (a.to_f64(), b.to_f64());
    if x.is_nan() || y.is_nan() {
        return (x.is_nan() && y.is_nan()).then_some(0);
    }
    let sign = 1u64 << (a.dtype().bits() - 1);
    let order = |s: Scalar| {
        let magnitude = (s.bits() & !sign) as i128;
        if s.bits() & sign == 0 { magnitude } else { -magnitude }
    };
    Some((order(a) - order(b)).unsigned_abs() as u64)
}

/// How far the reference itself and the expansion may be apart: both are within 1 ulp, some within 2.
fn bound(op: Op) -> u64 {
    let two = [Op::Tan, Op::Erf, Op::Erfc, Op::Pow, Op::Gelu, Op::Softplus, Op::LogAddExp];
    if two.contains(&op) { 4 } else { 2 }
}

/// What the instructions of an op give at these points, by the interpreter.
fn run(op: Op, dtype: DType, args: &[Vec<f64>]) -> Vec<Scalar> {
    let mut b = KernelBuilder::new("f", &[AxisKind::Parallel]);
    let inputs: Vec<_> = args.iter().map(|_| b.input(dtype, &[Access::Unit])).collect();
    let out = b.output(dtype, &[Access::Unit]);
    let loads: Vec<_> = inputs.iter().map(|i| b.load(*i)).collect();
    let y = b.map(op, &loads);
    b.store(out, y);
    let kernel = expand(&b.finish().unwrap());
    super::super::verify::verify(&kernel).unwrap();
    assert_eq!(kernel.to_string().parse::<Kernel>().unwrap(), kernel);
    let (n, size) = (args[0].len(), dtype.size());
    let bytes = |v: &Vec<f64>| -> Vec<u8> {
        v.iter().flat_map(|x| Scalar::from_f64(dtype, *x).bits().to_le_bytes()[..size].to_vec()).collect()
    };
    let mut memory: Vec<Vec<u8>> = args.iter().map(bytes).collect();
    memory.push(vec![0; n * size]);
    let bases = (0..memory.len()).map(|buffer| Base { buffer, offset: 0 }).collect();
    let strides = vec![size as i64; memory.len()];
    let args = KernelArgs { bases, extents: vec![n as i64], strides, range: None };
    let mut slices: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
    interp::run(&kernel, &args, &mut slices).unwrap();
    let word = |c: &[u8]| c.iter().rev().fold(0u64, |w, b| w << 8 | u64::from(*b));
    memory[memory.len() - 1].chunks(size).map(|c| Scalar::from_bits(dtype, word(c))).collect()
}

#[test]
fn every_expansion_keeps_its_bound() {
    for op in EXPANDED {
        for dtype in [DType::F32, DType::F64] {
            let x = points(dtype);
            let args: Vec<Vec<f64>> = match op.arity() {
                1 => vec![x],
                _ => {
                    let mut y = x.clone();
                    y.rotate_left(7);
                    vec![x, y]
                }
            };
            let got = run(*op, dtype, &args);
            for (i, got) in got.iter().enumerate() {
                let at: Vec<Scalar> = args.iter().map(|a| Scalar::from_f64(dtype, a[i])).collect();
                let want = op.eval(&at).unwrap();
                let apart = ulps(*got, want);
                // The reference loses the tail of lgamma's and gelu's kin below the least normal number.
                let tiny = want.to_f64().abs() < 1e-300;
                // A sum that cancels is as good as its operands.
                let cancels = *op == Op::LogAddExp && {
                    let scale = at[0].to_f64().max(at[1].to_f64()).abs().max(1.0);
                    let step = if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
                    (got.to_f64() - want.to_f64()).abs() <= 4.0 * step * scale
                };
                assert!(
                    apart.is_some_and(|u| u <= bound(*op) || tiny || cancels),
                    "{} {dtype} at {at:?}: {got:?}, reference {want:?}, {apart:?} ulp apart",
                    op.name()
                );
            }
        }
    }
}

/// The ops of [`unfused`].
fn all_unfused() -> impl Iterator<Item = Op> {
    let ops = crate::ops::TABLE.iter().map(|row| row.op);
    ops.filter(|op| unfused(*op).is_some())
}

#[test]
fn expansions_without_a_fused_fma_stay_within_4_ulp() {
    assert_eq!(all_unfused().count(), EXPANDED.len());
    let mut x: Vec<f32> = points(DType::F32).into_iter().map(|v| v as f32).collect();
    x.extend([3e38, 1e-38, 2e38, -3e38, 1.5e-38, 1e-15, 1e15, -24_699.582].repeat(2));
    for op in all_unfused() {
        for (i, a) in x.iter().enumerate() {
            // Pairs of every distance.
            let at = [*a, x[(i + 7) % x.len()]];
            let args = &at[..op.arity()];
            if matches!(op, Op::Sin | Op::Cos | Op::Tan) && a.abs() > 1_048_576.0 {
                continue;
            }
            let lanes: Vec<Rounded> = args.iter().map(|v| Unfused(floats::Twice(*v))).collect();
            let got = Scalar::from_f64(DType::F32, apply(op, &lanes).unwrap().0.0.into());
            let scalars: Vec<Scalar> =
                args.iter().map(|v| Scalar::from_f64(DType::F32, (*v).into())).collect();
            let want = op.eval(&scalars).unwrap();
            // Below the least normal number products lose what is to be kept; sums that cancel are right to the ulp of
            // what was summed.
            let scale = if op == Op::LogAddExp { at[0].abs().max(at[1].abs()) } else { 0.0 };
            let near = (got.to_f64() - want.to_f64()).abs() <= 1.2e-38 + 2.4e-7 * f64::from(scale.min(1e30));
            let apart = ulps(got, want);
            assert!(
                near || apart.is_some_and(|u| u <= 4),
                "{} at {args:?}: {got:?}, reference {want:?}, {apart:?} ulp apart",
                op.name()
            );
        }
    }
}

type Rounded = Unfused<floats::Twice>;

#[test]
fn zeros_keep_their_sign() {
    let odd =
        [Op::Sin, Op::Tan, Op::Asin, Op::Atan, Op::Sinh, Op::Tanh, Op::Expm1, Op::Log1p, Op::Cbrt, Op::Erf];
    for op in odd {
        for dtype in [DType::F32, DType::F64] {
            let got = run(op, dtype, &[vec![0.0, -0.0]]);
            assert_eq!(got[0].bits(), 0, "{}", op.name());
            assert_eq!(got[1].bits(), 1 << (dtype.bits() - 1), "{}", op.name());
        }
    }
}

#[test]
fn constants_of_narrow_expansions_are_narrow() {
    // On plain floats a constant that is no f32 is refused; the recorder would round it silently.
    for op in EXPANDED {
        for x in [0.3_f32, 1.7, 12.5, -0.9] {
            assert!(apply::<f32>(*op, &[x, 0.75]).is_some());
            assert!(apply::<f64>(*op, &[f64::from(x), 0.75]).is_some());
        }
    }
}
