//! The wide emitter: which kernels it takes, what it encodes, and that it touches nothing but its operands.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use AxisKind::{Parallel, Reduce};
use common::{Case, Rng, all_widths};
use matex_codegen_cpu::{Emitter, Simd, abi::Args, compile_for};
use matex_ir::loops::expand::expand;
use matex_ir::loops::{Access, AxisKind, Combine, Kernel, KernelBuilder, Role};
use matex_ir::ops::TABLE;
use matex_ir::{DType, Op, Scalar};

/// `out = op(x, y, …)` over contiguous operands.
fn map(op: Op, d: DType) -> Kernel {
    let mut b = KernelBuilder::new(op.name(), &[Parallel]);
    let mut args = Vec::new();
    for _ in 0..op.arity() {
        let x = b.input(d, &[Access::Unit]);
        args.push(b.load(x));
    }
    let v = b.map(op, &args);
    let out = b.output(b.dtype(v), &[Access::Unit]);
    b.store(out, v);
    expand(&b.finish().unwrap())
}

/// A reduction of rows or columns; of `argmax` the index.
fn reduce(c: Combine, d: DType, kinds: [AxisKind; 2]) -> Kernel {
    let point =
        if kinds[1] == Reduce { [Access::Strided, Access::Zero] } else { [Access::Zero, Access::Unit] };
    let mut b = KernelBuilder::new(c.name(), &kinds);
    let x = b.input(d, &[Access::Strided, Access::Unit]);
    let v = b.load(x);
    let r = if c.arity() == 2 {
        let i = b.index(usize::from(kinds[1] == Reduce));
        let r = b.reduce(c, &[v, i]);
        b.part(r, 1)
    } else {
        b.reduce(c, &[v])
    };
    let out = b.output(b.dtype(r), &point);
    b.store(out, r);
    b.finish().unwrap()
}

/// `out = x > 0 and y`, with truth values in memory on both sides.
fn truths(d: DType) -> Kernel {
    let mut b = KernelBuilder::new("truths", &[Parallel]);
    let (x, y) = (b.input(d, &[Access::Unit]), b.input(DType::Bool, &[Access::Unit]));
    let out = b.output(DType::Bool, &[Access::Unit]);
    let (x, y) = (b.load(x), b.load(y));
    let zero = b.constant(Scalar::from_f64(d, 0.0));
    let above = b.map(Op::Gt, &[x, zero]);
    let v = b.map(Op::And, &[above, y]);
    b.store(out, v);
    b.finish().unwrap()
}

/// Values of two sizes: `out = f32(f64(x) * y)`.
fn mixed() -> Kernel {
    let mut b = KernelBuilder::new("mixed", &[Parallel]);
    let (x, y) = (b.input(DType::F32, &[Access::Unit]), b.input(DType::F64, &[Access::Unit]));
    let out = b.output(DType::F32, &[Access::Unit]);
    let (x, y) = (b.load(x), b.load(y));
    let x = b.cast(x, DType::F64);
    let v = b.map(Op::Mul, &[x, y]);
    let v = b.cast(v, DType::F32);
    b.store(out, v);
    b.finish().unwrap()
}

fn kernels() -> Vec<Kernel> {
    let mut all = vec![mixed()];
    for d in [DType::F32, DType::F64] {
        all.extend([Op::Add, Op::Fma, Op::Sqrt, Op::Exp, Op::Sin, Op::Max, Op::Lt].map(|op| map(op, d)));
        for c in [Combine::Sum, Combine::Max, Combine::ArgMin] {
            all.extend([[Parallel, Reduce], [Reduce, Parallel]].map(|kinds| reduce(c, d, kinds)));
        }
        all.push(truths(d));
    }
    all.extend([Op::Add, Op::Xor, Op::Lt, Op::FloorDiv].map(|op| map(op, DType::I64)));
    for d in [DType::U8, DType::I16, DType::Bool] {
        all.extend([Access::Unit, Access::Strided].into_iter().filter_map(|a| op_of(Op::Select, d, a)));
    }
    all.extend([cast(DType::F16, DType::F64), cast(DType::I32, DType::BF16)]);
    all
}

/// The widths beyond 128 bits that this CPU has. Tests say which they run.
#[expect(clippy::print_stdout, reason = "a width that is not tested should not go unnoticed")]
fn wide() -> Vec<Simd> {
    let here: Vec<Simd> = [Simd::W256, Simd::W512].into_iter().filter(|s| s.here() == *s).collect();
    println!("this CPU has {here:?}");
    here
}

#[test]
fn common_kernels_are_wide() {
    for simd in wide() {
        for k in kernels() {
            let code = compile_for(&k, simd).unwrap();
            let want = if simd == Simd::W256 { Emitter::Wide256 } else { Emitter::Wide512 };
            assert_eq!((code.emitter(), code.refused()), (want, None), "{k}");
        }
    }
}

/// `out = op(inputs…)`, all operands with this class; none where the op does not take the dtype.
fn op_of(op: Op, d: DType, access: Access) -> Option<Kernel> {
    let mut dtypes = vec![d; op.arity()];
    if op == Op::Select {
        dtypes[0] = DType::Bool;
    } else if d.compute() != d {
        return None;
    }
    let result = op.result_dtype(&dtypes)?;
    let mut b = KernelBuilder::new(op.name(), &[Parallel]);
    let inputs: Vec<_> = dtypes.iter().map(|d| b.input(*d, &[access])).collect();
    let loads: Vec<_> = inputs.into_iter().map(|x| b.load(x)).collect();
    let v = b.map(op, &loads);
    let out = b.output(result, &[access]);
    b.store(out, v);
    Some(b.finish().unwrap())
}

fn cast(from: DType, to: DType) -> Kernel {
    let mut b = KernelBuilder::new("cast", &[Parallel]);
    let (x, out) = (b.input(from, &[Access::Unit]), b.output(to, &[Access::Unit]));
    let v = b.load(x);
    let v = b.cast(v, to);
    b.store(out, v);
    b.finish().unwrap()
}

/// `out = x[i]`.
fn gather(d: DType) -> Kernel {
    let mut b = KernelBuilder::new("gather", &[Parallel]);
    let (i, x) = (b.input(DType::I64, &[Access::Unit]), b.gather_input(d, &[Access::Zero], 1));
    let out = b.output(d, &[Access::Unit]);
    let i = b.load(i);
    let v = b.load_at(x, &[i]);
    b.store(out, v);
    b.finish().unwrap()
}

/// Every op on every dtype and layout, expanded and not, casts between all dtypes, and reads at places that data tells.
fn whole_table() -> Vec<Kernel> {
    let mut all = Vec::new();
    for d in DType::ALL {
        for op in TABLE.iter().map(|row| row.op) {
            let kernels = [Access::Unit, Access::Strided].into_iter().filter_map(|a| op_of(op, d, a));
            all.extend(kernels.flat_map(|k| [expand(&k), k]));
        }
        all.extend(DType::ALL.map(|to| cast(d, to)));
        all.push(gather(d));
    }
    all
}

/// What docs/performance.md names as left to the other emitter, and nothing else.
#[test]
fn only_what_the_manual_names_is_left_to_cranelift() {
    for simd in wide() {
        for k in whole_table() {
            let code = compile_for(&k, simd).unwrap();
            assert_eq!((code.emitter() == Emitter::Cranelift, code.refused()), (false, None), "{simd:?} {k}");
        }
        for c in Combine::ALL {
            for d in DType::ALL.into_iter().filter(|d| c.accepts(&[*d, DType::I64][..c.arity()])) {
                for kinds in [[Parallel, Reduce], [Reduce, Parallel]] {
                    let code = compile_for(&reduce(c, d, kinds), simd).unwrap();
                    let named = d.size() < 4 && d != DType::Bool;
                    let why = named.then(|| format!("a reduction of {d}"));
                    assert_eq!(code.refused(), why.as_deref(), "{simd:?} {} {d}", c.name());
                }
            }
        }
        let mut b = KernelBuilder::new("two", &[Reduce]);
        for d in [DType::F32, DType::F64] {
            let x = b.input(d, &[Access::Unit]);
            let v = b.load(x);
            let sum = b.reduce(Combine::Sum, &[v]);
            let out = b.output(d, &[Access::Zero]);
            b.store(out, sum);
        }
        let code = compile_for(&b.finish().unwrap(), simd).unwrap();
        assert_eq!(code.refused(), Some("ordered reductions of several sizes"));
    }
    let code = compile_for(&map(Op::Add, DType::F64), Simd::W128).unwrap();
    assert_eq!((code.emitter(), code.refused()), (Emitter::Cranelift, None));
}

/// Quotients of every size, exact ones and those just beside an integer, signs, zeros and what has no quotient.
#[test]
fn division_keeps_every_bit() {
    let mut rng = Rng::new(33);
    for d in [DType::F32, DType::F64, DType::I8, DType::U8, DType::I32, DType::U32, DType::I64, DType::U64] {
        let mut pairs: Vec<(Scalar, Scalar)> = Vec::new();
        let edges = [
            0i64,
            1,
            -1,
            2,
            -7,
            127,
            -128,
            i32::MAX.into(),
            i32::MIN.into(),
            i64::MAX,
            i64::MIN,
            1 << 50,
            -(1 << 50),
        ];
        for x in edges {
            pairs.extend(edges.map(|y| (Scalar::from_i128(d, x.into()), Scalar::from_i128(d, y.into()))));
        }
        for _ in 0..6000 {
            let y = rng.scalar(d);
            let times = rng.next() >> rng.below(64);
            let x = if d.is_float() {
                let exact = Scalar::from_f64(d, y.to_f64() * times as f64);
                Scalar::from_bits(d, exact.bits().wrapping_add(rng.below(3) as u64).wrapping_sub(1))
            } else {
                Scalar::from_i128(d, y.to_i128().wrapping_mul(times.into()) + rng.below(3) as i128 - 1)
            };
            let sign = if d.is_float() && rng.below(2) == 0 { 1 << (d.bits() - 1) } else { 0 };
            pairs.push((Scalar::from_bits(d, x.bits() ^ sign), y));
            pairs.push((rng.scalar(d), y));
        }
        let ops = [Op::FloorDiv, Op::Rem, Op::Fmod, Op::Nextafter, Op::Pow];
        for k in ops.into_iter().filter_map(|op| op_of(op, d, Access::Unit)) {
            let mut case = Case::new(k, &[pairs.len() as i64], &mut rng);
            let size = d.size();
            for (n, (x, y)) in pairs.iter().enumerate() {
                for (o, v) in [x, y].into_iter().enumerate() {
                    let at = case.bases[o] + n * size;
                    case.memory[o][at..at + size].copy_from_slice(&v.bits().to_le_bytes()[..size]);
                }
            }
            case.check();
        }
    }
}

#[test]
fn what_was_encoded_decodes() {
    for k in kernels() {
        for code in all_widths(&k) {
            let text = code.disassembly().unwrap();
            assert!(!text.contains("(bad)") && text.contains("ret"), "{text}");
            let widest = ["%xmm", "%ymm", "%zmm"].into_iter().rfind(|r| text.contains(r));
            let want = match code.emitter() {
                Emitter::Cranelift => continue,
                Emitter::Wide256 => "%ymm",
                Emitter::Wide512 => "%zmm",
            };
            assert_eq!(widest, Some(want), "{text}");
        }
    }
}

#[test]
fn a_wide_kernel_reads_like_this() {
    for (simd, name) in [(Simd::W256, "fma_256"), (Simd::W512, "fma_512")] {
        if simd.here() == simd {
            let code = compile_for(&map(Op::Fma, DType::F64), simd).unwrap();
            insta::assert_snapshot!(name, code.disassembly().unwrap());
        }
    }
}

/// Memory that ends, or begins, at a page that cannot be touched.
#[cfg(unix)]
struct Guarded {
    start: *mut u8,
    len: usize,
    at: *mut u8,
}

#[cfg(unix)]
impl Guarded {
    fn new(bytes: &[u8], at_end: bool) -> Guarded {
        const PAGE: usize = 4096;
        let inside = bytes.len().next_multiple_of(PAGE).max(PAGE);
        let len = inside + 2 * PAGE;
        // SAFETY: a fresh mapping of our own, of which the inner pages are made accessible and written within bounds.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start = libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let start = start.cast::<u8>();
            let middle = start.add(PAGE);
            assert_eq!(libc::mprotect(middle.cast(), inside, libc::PROT_READ | libc::PROT_WRITE), 0);
            let at = if at_end { middle.add(inside - bytes.len()) } else { middle };
            at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Guarded { start, len, at }
        }
    }
}

#[cfg(unix)]
impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, which nothing uses any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

#[cfg(unix)]
#[test]
fn nothing_beyond_the_operands_is_touched() {
    let mut rng = Rng::new(31);
    for k in kernels() {
        for code in all_widths(&k) {
            for n in [1i64, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130] {
                let extents: Vec<i64> = if k.axes.len() == 1 { vec![n] } else { vec![3, n] };
                for at_end in [false, true] {
                    let memory: Vec<Guarded> = k
                        .operands
                        .iter()
                        .map(|o| {
                            let moving = o.access.iter().zip(&extents).filter(|(a, _)| **a != Access::Zero);
                            let count: i64 = moving.map(|(_, e)| *e).product();
                            let size = o.dtype.size();
                            let of = |_| rng.scalar(o.dtype).bits().to_le_bytes()[..size].to_vec();
                            Guarded::new(&(0..count).flat_map(of).collect::<Vec<u8>>(), at_end)
                        })
                        .collect();
                    let data: Vec<*mut u8> = memory.iter().map(|m| m.at).collect();
                    let mut strides = Vec::new();
                    for o in &k.operands {
                        let mut step = o.dtype.size() as i64;
                        let mut of = vec![0; extents.len()];
                        for a in (0..extents.len()).rev().filter(|a| o.access[*a] != Access::Zero) {
                            of[a] = step;
                            step *= extents[a];
                        }
                        strides.extend(of);
                    }
                    let args =
                        Args { data: data.as_ptr(), extents: extents.as_ptr(), strides: strides.as_ptr() };
                    let end = k.range_axis().map_or(1, |a| extents[a]);
                    assert!(k.operands.iter().any(|o| o.role == Role::Out));
                    // SAFETY: dense operands of these extents, each in memory of its own. A stray access ends the test.
                    unsafe { code.call(&args, 0, end) };
                }
            }
        }
    }
}

#[test]
fn many_operands_and_values_are_spilled_right() {
    let mut rng = Rng::new(32);
    for d in [DType::F32, DType::F64] {
        let mut b = KernelBuilder::new("many", &[Parallel, Parallel]);
        let xs: Vec<_> = (0..15).map(|_| b.input(d, &[Access::Strided, Access::Unit])).collect();
        let mut values: Vec<_> = xs.iter().map(|x| b.load(*x)).collect();
        for i in 0..60 {
            let (a, c) = (values[i], values[(i * 7 + 3) % values.len()]);
            values.push(b.map([Op::Add, Op::Sub, Op::Mul, Op::Max][i % 4], &[a, c]));
        }
        // Everything is alive until the end.
        let mut all = values[0];
        for v in &values[1..] {
            all = b.map(Op::Add, &[all, *v]);
        }
        let out = b.output(d, &[Access::Strided, Access::Unit]);
        b.store(out, all);
        let k = b.finish().unwrap();
        let codes = all_widths(&k);
        assert_eq!(codes.len(), 1 + wide().len());
        for n in [0, 1, 9, 33, 100] {
            rng.tame = true;
            Case::new(k.clone(), &[3, n], &mut rng).check_with(&codes, None);
        }
    }
}

/// A result larger than the caches is written past them, wherever it begins.
#[test]
fn large_results_are_streamed() {
    const N: usize = 17 << 20;
    let mut b = KernelBuilder::new("increment", &[Parallel]);
    let x = b.input(DType::F32, &[Access::Unit]);
    let out = b.output(DType::F32, &[Access::Unit]);
    let v = b.load(x);
    let one = b.constant(Scalar::from_f64(DType::F32, 1.0));
    let v = b.map(Op::Add, &[v, one]);
    b.store(out, v);
    let k = b.finish().unwrap();
    let x: Vec<f32> = (0..N).map(|i| (i % 1000) as f32).collect();
    for simd in wide() {
        let code = compile_for(&k, simd).unwrap();
        assert!(code.disassembly().unwrap().contains("vmovntps"));
        for shift in [0, 1] {
            let mut y = vec![0.0f32; N + 1];
            let data = [x.as_ptr().cast_mut().cast::<u8>(), y[shift..].as_mut_ptr().cast()];
            let (extents, strides) = ([N as i64], [4i64; 2]);
            let args = Args { data: data.as_ptr(), extents: extents.as_ptr(), strides: strides.as_ptr() };
            // SAFETY: two operands of that many contiguous elements. The first is only read.
            unsafe { code.call(&args, 0, N as i64) };
            assert!(y[shift..].iter().zip(&x).all(|(y, x)| *y == x + 1.0), "{simd:?} {shift}");
            assert!(shift == 1 || y[N] == 0.0);
        }
    }
}

/// `out1 = f32(x y)` and `out2 = x + y` in f64: stores of two sizes, which may come to boundaries of vectors together or not.
fn two_sizes() -> Kernel {
    let mut b = KernelBuilder::new("two", &[Parallel]);
    let [x, y, wide] = [0; 3].map(|_| b.input(DType::F64, &[Access::Unit]));
    let (narrow, wide_out) = (b.output(DType::F32, &[Access::Unit]), b.output(DType::F64, &[Access::Unit]));
    let [x, y, z] = [x, y, wide].map(|o| b.load(o));
    let product = b.map(Op::Mul, &[x, y]);
    let product = b.cast(product, DType::F32);
    let sum = b.map(Op::Add, &[y, z]);
    b.store(narrow, product);
    b.store(wide_out, sum);
    b.finish().unwrap()
}

/// Rows with a stride between them, beside an operand with a stride along them and one of truth values.
fn rows() -> Kernel {
    let mut b = KernelBuilder::new("rows", &[Parallel, Parallel]);
    let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
    let y = b.input(DType::F32, &[Access::Strided, Access::Strided]);
    let t = b.input(DType::Bool, &[Access::Zero, Access::Unit]);
    let out = b.output(DType::F32, &[Access::Strided, Access::Unit]);
    let [x, y, t] = [x, y, t].map(|o| b.load(o));
    let sum = b.map(Op::Add, &[x, y]);
    let v = b.map(Op::Select, &[t, sum, y]);
    b.store(out, v);
    b.finish().unwrap()
}

/// Walks that store past the caches begin at any address and end anywhere. That they do so is decided by extents: of very large ones
/// a small part is run.
#[test]
fn streamed_parts_are_what_they_would_be() {
    const MANY: i64 = 1 << 40;
    let mut rng = Rng::new(34);
    rng.tame = true;
    let one = [map(Op::Fma, DType::F64), map(Op::Mul, DType::F32), mixed(), two_sizes(), gather(DType::F64)];
    for k in one.into_iter().chain([rows()]) {
        let codes = all_widths(&k);
        for n in (0..70).chain([129, 300]) {
            let extents: &[i64] = if k.axes.len() == 1 { &[n] } else { &[2, n] };
            let mut case = Case::new(k.clone(), extents, &mut rng);
            for (memory, base) in case.memory.iter_mut().zip(&mut case.bases) {
                let shift = rng.below(16) * 8;
                memory.splice(0..0, vec![0; shift]);
                *base += shift;
            }
            let end = case.extents[0];
            case.extents[0] = MANY;
            case.check_with(&codes, Some(0..end));
        }
    }
}
