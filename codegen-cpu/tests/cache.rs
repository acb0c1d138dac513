//! The cache, errors, and the text views of compiled kernels.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use matex_codegen_cpu::{CompileError, KernelCache, compile};
use matex_ir::loops::{Access, AxisKind, Combine, Kernel, KernelBuilder};
use matex_ir::{DType, Op, Scalar};
use std::sync::Arc;

fn add_constant(c: f64) -> Kernel {
    let mut b = KernelBuilder::new(format!("add_{c}"), &[AxisKind::Parallel]);
    let x = b.input(DType::F64, &[Access::Unit]);
    let out = b.output(DType::F64, &[Access::Unit]);
    let v = b.load(x);
    let c = b.constant(Scalar::from_f64(DType::F64, c));
    let v = b.map(Op::Add, &[v, c]);
    b.store(out, v);
    b.finish().unwrap()
}

#[test]
fn equal_kernels_are_compiled_once() {
    let cache = KernelCache::new(1 << 20);
    let first = cache.get(&add_constant(1.0)).unwrap();
    let mut renamed = add_constant(1.0);
    renamed.name = "another".into();
    assert!(Arc::ptr_eq(&first, &cache.get(&renamed).unwrap()));
    cache.get(&add_constant(2.0)).unwrap();
    let s = cache.stats();
    assert_eq!((s.compiled, s.hits, s.evicted, s.kernels), (2, 1, 0, 2));
    cache.clear();
    assert_eq!(cache.stats().bytes, 0);
}

#[test]
fn the_least_recently_used_kernel_is_dropped_and_freed() {
    let one = KernelCache::new(usize::MAX);
    one.get(&add_constant(0.0)).unwrap();
    // Room for two.
    let cache = KernelCache::new(2 * one.stats().bytes + 64);
    let a = Arc::downgrade(&cache.get(&add_constant(1.0)).unwrap());
    let b = Arc::downgrade(&cache.get(&add_constant(2.0)).unwrap());
    cache.get(&add_constant(1.0)).unwrap();
    cache.get(&add_constant(3.0)).unwrap();
    assert!(a.upgrade().is_some());
    assert!(b.upgrade().is_none(), "dropping the last handle frees the code");
    assert_eq!(cache.stats().evicted, 1);
    assert!(cache.stats().bytes <= 2 * one.stats().bytes + 64);
}

#[test]
fn threads_share_a_cache() {
    let cache = KernelCache::global();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for c in 0..20 {
                    let code = cache.get(&add_constant(f64::from(c) + 0.25)).unwrap();
                    let (mut x, mut y) = ([1.0f64; 9], [0.0f64; 9]);
                    let data = [x.as_mut_ptr().cast::<u8>(), y.as_mut_ptr().cast::<u8>()];
                    let (extents, strides) = ([9i64], [8i64, 8]);
                    let args = matex_codegen_cpu::abi::Args {
                        data: data.as_ptr(),
                        extents: extents.as_ptr(),
                        strides: strides.as_ptr(),
                    };
                    // SAFETY: two operands of nine contiguous elements.
                    unsafe { code.call(&args, 0, 9) };
                    assert_eq!(y, [f64::from(c) + 1.25; 9]);
                }
            });
        }
    });
}

#[test]
fn malformed_kernels_are_errors() {
    let mut k = add_constant(1.0);
    k.stores.clear();
    assert!(matches!(compile(&k), Err(CompileError::Kernel(_))));
}

#[test]
fn code_can_be_read() {
    let code = compile(&add_constant(1.0)).unwrap();
    assert!(code.code_size() > 0);
    let clif = code.clif().unwrap();
    assert!(clif.contains("fadd") && clif.contains("f64x2"), "{clif}");
    assert!(code.disassembly().unwrap().contains("add"));
}

#[test]
fn a_kernel_reads_like_this() {
    let mut b = KernelBuilder::new("mean", &[AxisKind::Reduce, AxisKind::Parallel]);
    let x = b.input(DType::F32, &[Access::Strided, Access::Unit]);
    let out = b.output(DType::F32, &[Access::Zero, Access::Unit]);
    let v = b.load(x);
    let sum = b.reduce(Combine::Sum, &[v]);
    let c = b.constant(Scalar::from_f64(DType::F32, 0.1));
    let mean = b.map(Op::Mul, &[sum, c]);
    b.store(out, mean);
    insta::assert_snapshot!(b.finish().unwrap(), @r"
    kernel @mean [reduce, parallel] {
      $0: in f32[strided, unit]
      $1: out f32[zero, unit]
      %0: f32 = load $0
      %1: f32 = reduce.sum %0
      %2: f32 = const 0.1
      %3: f32 = mul %1, %2
      store $1, %3
    }
    ");
}
