//! Kernels as WGSL: what people see with `--stage wgsl`. Every shader was validated before; none of this needs a driver.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex_codegen_gpu::{Caps, Lines, Refused, Run, Scatter, Schedule, Units, compile, refusal, schedule};
use matex_ir::loops::prepend::{Before, prepend};
use matex_ir::loops::{Access, AxisKind, Combine, Kernel, KernelBuilder, OperandId};
use matex_ir::{DType, Op, Scalar};
use std::fmt::Write;

fn wgsl(kernel: &Kernel, schedule: Schedule) -> String {
    let shares: Vec<usize> = (0..kernel.operands.len()).collect();
    let caps = Caps { halves: true, ..Caps::default() };
    compile(kernel, schedule, &shares, caps).unwrap().wgsl().unwrap()
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

/// Rows of `x` at the places of `i`, and where each of them is largest.
fn embedding() -> Kernel {
    let mut b = KernelBuilder::new("embedding", &[AxisKind::Parallel, AxisKind::Reduce]);
    let x = b.gather_input(DType::F32, &[Access::Zero, Access::Unit], 1);
    let i = b.input(DType::I64, &[Access::Strided, Access::Zero]);
    let out = b.output(DType::I64, &[Access::Strided, Access::Zero]);
    let place = b.load(i);
    let v = b.load_at(x, &[place]);
    let at = b.index(1);
    let most = b.reduce(Combine::ArgMax, &[v, at]);
    let position = b.part(most, 1);
    b.store(out, position);
    b.finish().unwrap()
}

#[test]
fn gathers_and_positions() {
    let code = wgsl(&embedding(), Schedule::Rows);
    wgsl(&embedding(), Schedule::Points);
    insta::assert_snapshot!(code);
}

/// `a + b * c` of a matrix, one that lies by columns, and a row, and where the sum is positive.
fn turned_map() -> Kernel {
    let mut b = KernelBuilder::new("turned", &[AxisKind::Parallel, AxisKind::Parallel]);
    let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
    let y = b.input(DType::F32, &[Access::Strided, Access::Strided]);
    let z = b.input(DType::F32, &[Access::Zero, Access::Unit]);
    let out = b.output(DType::F32, &[Access::Strided, Access::Unit]);
    let positive = b.output(DType::Bool, &[Access::Strided, Access::Unit]);
    let (x, y, z) = (b.load(x), b.load(y), b.load(z));
    let product = b.map(Op::Mul, &[y, z]);
    let sum = b.map(Op::Add, &[x, product]);
    let zero = b.constant(Scalar::from_f64(DType::F32, 0.0));
    let above = b.map(Op::Gt, &[sum, zero]);
    b.store(out, sum);
    b.store(positive, above);
    b.finish().unwrap()
}

#[test]
fn maps_are_done_by_quads_or_tiles_where_operands_lie_so() {
    let of = |extents: [i64; 2], y: [i64; 2], offset: i64| {
        let [_, m] = extents;
        let strides = [m, 1, y[0], y[1], 0, 1, m, 1, m, 1];
        let run = Run { extents: &extents, offsets: &[0, offset, 0, 0, 0], strides: &strides, gathers: &[] };
        schedule(&turned_map(), &run, &[0, 1, 2, 3, 4], Caps::default())
    };
    let turned = of([100, 60], [1, 100], 0);
    assert!(matches!(turned, Schedule::Turned(_)), "{turned:?}");
    assert_eq!(of([15, 60], [1, 15], 0), Schedule::Points);
    assert_eq!(of([100, 60], [2, 200], 0), Schedule::Points);
    let mut text = format!("// by tiles\n{}", wgsl(&turned_map(), turned));
    let of = |extents: [i64; 2], x: i64, offset: i64| {
        let strides = [x, 1, 0, 1, extents[1], 0, extents[1], 1];
        let run = Run { extents: &extents, offsets: &[0, 0, 0, offset], strides: &strides, gathers: &[] };
        schedule(&broadcast(), &run, &[0, 1, 2, 3], Caps::default())
    };
    assert_eq!(of([5, 60], 60, 0), Schedule::Quads);
    // Nothing that begins in the middle of four elements.
    assert_eq!(of([5, 62], 64, 0), Schedule::Points);
    assert_eq!(of([5, 60], 61, 0), Schedule::Points);
    assert_eq!(of([5, 60], 60, 2), Schedule::Points);
    write!(text, "// by quads\n{}", wgsl(&broadcast(), Schedule::Quads)).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn halves_are_loaded_and_stored() {
    let mut b = KernelBuilder::new("halves", &[AxisKind::Parallel]);
    let (x, out) = (b.input(DType::F16, &[Access::Unit]), b.output(DType::F16, &[Access::Unit]));
    let v = b.load(x);
    let v = b.cast(v, DType::F32);
    let sum = b.map(Op::Add, &[v, v]);
    let r = b.cast(sum, DType::F16);
    b.store(out, r);
    let kernel = b.finish().unwrap();
    let refused = compile(&kernel, Schedule::Points, &[0, 1], Caps::default()).unwrap_err();
    assert_eq!(refused.to_string(), "it works on f16, which the GPU lacks");
    insta::assert_snapshot!(wgsl(&kernel, Schedule::Points));
}

/// `out = op(x, x, x)` of doubles, cast to a dtype.
fn doubles(op: Op, to: DType) -> Kernel {
    let mut b = KernelBuilder::new("doubles", &[AxisKind::Parallel]);
    let (x, out) = (b.input(DType::F64, &[Access::Unit]), b.output(to, &[Access::Unit]));
    let x = b.load(x);
    let value = b.map(op, &[x; 3][..op.arity()]);
    let value = b.cast(value, to);
    b.store(out, value);
    b.finish().unwrap()
}

#[test]
fn doubles_have_arithmetic_and_no_functions() {
    let all = Caps { doubles: true, fused: true, ..Caps::default() };
    let code = |op: Op, caps: Caps| {
        let shader = compile(&doubles(op, DType::F64), Schedule::Points, &[0, 1], caps);
        shader.map(|s| s.wgsl().unwrap()).map_err(|e| e.to_string())
    };
    insta::assert_snapshot!(code(Op::Max, all).unwrap());
    let none = Caps::default();
    assert_eq!(
        code(Op::Add, none).unwrap_err(),
        "it computes with f64, which the GPU lacks or rounds otherwise"
    );
    let twice = Caps { fused: false, ..all };
    assert_eq!(code(Op::Fma, twice).unwrap_err(), "it computes fma of f64, which the GPU rounds twice");
    assert!(code(Op::Add, twice).is_ok() && code(Op::Fma, all).is_ok());
    for op in [Op::Exp, Op::Floor, Op::Rem, Op::Nextafter, Op::Lgamma] {
        let kernel = if op.arity() == 1 { doubles(op, DType::F32) } else { doubles(op, DType::F64) };
        assert_eq!(refusal(&kernel).unwrap(), format!("it computes {} of f64", op.name()));
    }
    assert_eq!(refusal(&doubles(Op::Neg, DType::F16)).unwrap(), "it makes f16 of f64");
    assert_eq!(refusal(&doubles(Op::Neg, DType::I64)).unwrap(), "it computes with 64-bit integers");
    // The order of a sum is that of other dtypes, and what is shared among threads has eight bytes an element.
    assert_eq!(refusal(&columns(Combine::Sum, DType::F64)), None);
}

#[test]
fn reductions_by_subgroups() {
    let caps = Caps { subgroups: true, ..Caps::default() };
    let of = |k: &Kernel| {
        let shares: Vec<usize> = (0..k.operands.len()).collect();
        compile(k, Schedule::Rows, &shares, caps).unwrap().wgsl().unwrap()
    };
    let code = of(&embedding());
    // Two barriers a reduction, whatever the number of lanes.
    assert_eq!(
        (code.matches("workgroupBarrier").count(), code.matches("subgroupShuffleXor").count()),
        (2, 14)
    );
    assert_eq!(of(&softmax()).matches("workgroupBarrier").count(), 4);
    insta::assert_snapshot!(of(&softmax()));
}

#[test]
fn scans() {
    let mut b = KernelBuilder::new("rows", &[AxisKind::Parallel, AxisKind::Scan]);
    let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
    let out = b.output(DType::F32, &[Access::Strided, Access::Unit]);
    let v = b.load(x);
    let sum = b.scan(Combine::Sum, v);
    b.store(out, sum);
    let kernel = b.finish().unwrap();
    let text = [Schedule::Rows, Schedule::Points].map(|s| format!("// by {s:?}\n{}", wgsl(&kernel, s)));
    insta::assert_snapshot!(text.join("\n"));
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
            match compile(
                &map(row.op, &args),
                Schedule::Points,
                &[0, 1, 2, 3][..=args.len()],
                Caps::default(),
            ) {
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
    let dtypes = [DType::F32, DType::I32, DType::U32, DType::Bool, DType::F16];
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
    assert_eq!(refusal(&columns(Combine::Sum, DType::I8)).unwrap(), "it computes with i8");
    assert_eq!(refusal(&columns(Combine::Sum, DType::I64)).unwrap(), "it computes with 64-bit integers");
    assert_eq!(refusal(&columns(Combine::Sum, DType::U64)).unwrap(), "it computes with u64");
}

/// A product of matrices with a bias on its columns, as `out[r, c] = max(sum(a[r, k] * b[k, c]) + bias[c], 0)`.
fn layer(dtype: DType) -> Kernel {
    let axes = [AxisKind::Parallel, AxisKind::Parallel, AxisKind::Reduce];
    let mut b = KernelBuilder::new("layer", &axes);
    let x = b.input(dtype, &[Access::Strided, Access::Zero, Access::Unit]);
    let w = b.input(dtype, &[Access::Zero, Access::Strided, Access::Strided]);
    let bias = b.input(dtype, &[Access::Zero, Access::Strided, Access::Zero]);
    let out = b.output(dtype, &[Access::Strided, Access::Strided, Access::Zero]);
    let (v, u) = (b.load(x), b.load(w));
    let product = b.map(Op::Mul, &[v, u]);
    let sum = b.reduce(Combine::Sum, &[product]);
    let shift = b.load(bias);
    let moved = b.map(Op::Add, &[sum, shift]);
    let zero = b.constant(Scalar::from_f64(dtype, 0.0));
    let value = b.map(Op::Max, &[moved, zero]);
    b.store(out, value);
    b.finish().unwrap()
}

/// The schedule of a layer of so many rows, columns and terms, for strides of `x` along rows and terms and of `w` along
/// columns and terms.
fn layer_schedule([n, m, k]: [i64; 3], x: [i64; 2], w: [i64; 2]) -> Schedule {
    let strides = [x[0], 0, x[1], 0, w[0], w[1], 0, 1, 0, m, 1, 0];
    let run = Run { extents: &[n, m, k], offsets: &[0; 4], strides: &strides, gathers: &[] };
    schedule(&layer(DType::F32), &run, &[0, 1, 2, 3], Caps::default())
}

#[test]
fn products_are_cut_into_tiles_by_their_sizes() {
    let tiled = |sizes: [i64; 3]| layer_schedule(sizes, [sizes[2], 1], [1, sizes[1]]);
    let side =
        |schedule: Schedule| format!("{schedule:?}").split(['{', ',']).nth(1).map(|s| s.trim().to_owned());
    assert_eq!(side(tiled([4096, 4096, 64])).unwrap(), "side: 128");
    assert_eq!(side(tiled([1024, 1024, 1024])).unwrap(), "side: 64");
    assert_eq!(side(tiled([16, 16, 8])).unwrap(), "side: 64");
    // A product with a vector, and too few terms.
    assert_eq!(tiled([4096, 15, 4096]), Schedule::Rows);
    assert_eq!(tiled([16, 4096, 7]), Schedule::Points);
}

#[test]
fn tiles_read_and_store_quads_where_these_are_whole() {
    let by_rows = layer_schedule([64, 64, 32], [32, 1], [1, 64]);
    let code = wgsl(&layer(DType::F32), by_rows);
    assert_eq!(code.matches("array<vec4<f32>>").count(), 3, "{code}");
    let text = format!("// {by_rows:?}\n{code}");
    // Both transposed, and large.
    let turned = wgsl(&layer(DType::F32), layer_schedule([2048, 2048, 32], [1, 2048], [32, 1]));
    assert_eq!(turned.matches("array<vec4<f32>>").count(), 3, "{turned}");
    // Nothing is a multiple of four.
    let ragged = wgsl(&layer(DType::F32), layer_schedule([65, 66, 33], [33, 1], [1, 66]));
    assert_eq!(ragged.matches("array<vec4<f32>>").count(), 0, "{ragged}");
    insta::assert_snapshot!(text);
    wgsl(&layer(DType::I32), layer_schedule([64, 64, 32], [32, 1], [1, 64]));
    wgsl(&layer(DType::U32), layer_schedule([65, 66, 33], [33, 1], [1, 66]));
}

#[test]
fn what_is_no_product_is_not_cut_into_tiles() {
    let shares: Vec<usize> = (0..2).collect();
    let tiles = layer_schedule([64, 64, 32], [32, 1], [1, 64]);
    let refused = compile(&columns(Combine::Sum, DType::F32), tiles, &shares, Caps::default()).unwrap_err();
    assert_eq!(refused, Refused::Internal("the schedule does not fit the kernel".to_owned()));
}

/// A product of halves, each of which is the sum of an element and one of a row or column: `out[r, c]` is the half of
/// `sum(half(a[r, k] + s[k]) * half(b[k, c]))`.
fn halves(shifted: bool) -> Kernel {
    let axes = [AxisKind::Parallel, AxisKind::Parallel, AxisKind::Reduce];
    let mut b = KernelBuilder::new("halves", &axes);
    let x = b.input(DType::F16, &[Access::Strided, Access::Zero, Access::Strided]);
    let w = b.input(DType::F16, &[Access::Zero, Access::Strided, Access::Strided]);
    let out = b.output(DType::F16, &[Access::Strided, Access::Unit, Access::Zero]);
    let (v, u) = (b.load(x), b.load(w));
    let (mut v, u) = (b.cast(v, DType::F32), b.cast(u, DType::F32));
    if shifted {
        let s = b.input(DType::F32, &[Access::Zero, Access::Zero, Access::Unit]);
        let shift = b.load(s);
        let sum = b.map(Op::Add, &[v, shift]);
        let half = b.cast(sum, DType::F16);
        v = b.cast(half, DType::F32);
    }
    let product = b.map(Op::Mul, &[v, u]);
    let sum = b.reduce(Combine::Sum, &[product]);
    let value = b.cast(sum, DType::F16);
    b.store(out, value);
    b.finish().unwrap()
}

/// How a product of halves of so many rows, columns and terms is done, both sides by rows or both transposed.
fn halves_schedule(kernel: &Kernel, [n, m, k]: [i64; 3], turned: bool, caps: Caps) -> Schedule {
    let [x, w] = if turned { [[1, n], [k, 1]] } else { [[k, 1], [1, m]] };
    let mut strides = vec![x[0], 0, x[1], 0, w[0], w[1], m, 1, 0];
    strides.extend([0, 0, 1].into_iter().take(3 * (kernel.operands.len() - 3)));
    let shares: Vec<usize> = (0..kernel.operands.len()).collect();
    let offsets = vec![0; shares.len()];
    let run = Run { extents: &[n, m, k], offsets: &offsets, strides: &strides, gathers: &[] };
    schedule(kernel, &run, &shares, caps)
}

#[test]
fn products_of_halves_are_done_by_the_units_that_a_device_has() {
    let plain = Caps { halves: true, ..Caps::default() };
    let tiles = halves_schedule(&halves(false), [64, 64, 32], false, plain);
    let mut text = format!("// {tiles:?}\n{}", wgsl(&halves(false), tiles));
    for (side, lanes) in [(16, 32), (8, 8), (8, 32), (16, 64)] {
        let caps = Caps { subgroups: true, units: Units::new(side, lanes), ..plain };
        assert!(caps.units.unwrap().shared_bytes() <= 32 << 10, "{side} {lanes}");
        for kernel in [halves(false), halves(true)] {
            let shares: Vec<usize> = (0..kernel.operands.len()).collect();
            for (sizes, turned) in [([64, 64, 32], false), ([65, 66, 33], true), ([2048, 2048, 64], true)] {
                let schedule = halves_schedule(&kernel, sizes, turned, caps);
                assert!(format!("{schedule:?}").contains("units: Some"), "{schedule:?}");
                let code = compile(&kernel, schedule, &shares, caps).unwrap().wgsl().unwrap();
                assert!(code.contains("coopMultiplyAdd"), "{code}");
                if (side, lanes, shares.len(), turned) == (16, 32, 4, false) {
                    text += &format!("// {schedule:?}\n{code}");
                }
                // Not on a device without them.
                assert!(compile(&kernel, schedule, &shares, plain).is_err());
            }
        }
    }
    insta::assert_snapshot!(text);
    assert_eq!(Units::new(32, 32), None);
    assert_eq!(Units::new(16, 48), None);
}

#[test]
fn what_is_computed_of_operands_is_computed_as_they_are_brought() {
    let kernel = halves(true);
    let caps = Caps { halves: true, ..Caps::default() };
    let schedule = halves_schedule(&kernel, [64, 64, 32], false, caps);
    let code = wgsl(&kernel, schedule);
    assert!(code.contains("piece_a"), "{code}");
    assert_eq!(code.matches("array<vec4<f16>>").count(), 2, "{code}");
}

/// `exp(x - s)` of a row `s`.
fn shifted() -> Kernel {
    let mut b = KernelBuilder::new("shifted", &[AxisKind::Parallel; 2]);
    let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
    let s = b.input(DType::F32, &[Access::Zero, Access::Unit]);
    let out = b.output(DType::F32, &[Access::Strided, Access::Unit]);
    let (v, u) = (b.load(x), b.load(s));
    let difference = b.map(Op::Sub, &[v, u]);
    let value = b.map(Op::Exp, &[difference]);
    b.store(out, value);
    b.finish().unwrap()
}

#[test]
fn a_map_before_a_product_is_computed_as_its_operand_is_brought() {
    let before = Before { operand: OperandId(0), axes: &[vec![0], vec![2]] };
    let one = prepend(&shifted(), &layer(DType::F32), &before).unwrap();
    // The operands are w, the bias, the result, x and the row: 64 x 64 elements of 32 terms.
    let strides = [[0, 1, 64], [0, 1, 0], [64, 1, 0], [32, 0, 1], [0, 0, 1]].concat();
    let run = Run { extents: &[64, 64, 32], offsets: &[0; 5], strides: &strides, gathers: &[] };
    let shares = [0, 1, 2, 3, 4];
    let schedule = schedule(&one.kernel, &run, &shares, Caps::default());
    let shader = compile(&one.kernel, schedule, &shares, Caps::default()).unwrap();
    let code = shader.wgsl().unwrap();
    assert!(code.contains("piece_a"), "{code}");
    insta::assert_snapshot!(code);
}

#[test]
fn scatters_walk_their_lines() {
    let scatter = Scatter::new(DType::F32, DType::I64, true).unwrap();
    insta::assert_snapshot!(scatter.compile().unwrap().wgsl().unwrap());
    for (dtype, index, add) in [(DType::Bool, DType::I32, false), (DType::I32, DType::U32, true)] {
        Scatter::new(dtype, index, add).unwrap().compile().unwrap();
    }
    let refused = |dtype, index, add| Scatter::new(dtype, index, add).unwrap_err();
    assert_eq!(refused(DType::F64, DType::I64, false), "it writes f64");
    assert_eq!(refused(DType::F16, DType::I64, false), "it writes f16");
    assert_eq!(refused(DType::Bool, DType::I64, true), "it writes bool");
    assert_eq!(refused(DType::F32, DType::U8, true), "its indices are u8");
    let lines = |outer, count, inner| Lines { outer, count, extent: 100, inner, offsets: [0; 3] }.words();
    assert_eq!(lines(2, 300, 128).unwrap(), [0, 256, 300, 100, 128, 0, 0, 0]);
    assert_eq!(lines(255, 257, 1).unwrap_err(), "257 places in each of 255 lines follow one another");
    assert!(lines(1, 256, 1).is_ok());
    assert_eq!(lines(1 << 20, 1 << 11, 1).unwrap_err(), "it has more than 1073741824 points");
}
