//! What a call does when its device fails it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::{Device, GpuError};
use crate::{AsArg, AsView, CallOptions, DeviceTensor, ExecError, Executable, PrepareOptions, Tensor};
use matex_ir::tensor::parse;
use matex_ir::{DType, Scalar};
use matex_lang::codes;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// There is one device a process, and these tests take it away.
static ALONE: Mutex<()> = Mutex::new(());

/// The device; without one nothing is tested, unless that is asked for.
fn device() -> Option<std::sync::Arc<Device>> {
    let found = Device::get();
    let required = std::env::var("MATEX_REQUIRE_GPU").is_ok_and(|v| v == "1");
    assert!(found.is_ok() || !required, "{found:?}");
    found.ok()
}

fn doubling() -> Executable {
    let text = "func @f(%x: f32[n]) -> f32[n] {\n  %1: f32[n] = add %x, %x\n  return %1\n}\n";
    let func = parse(text).unwrap();
    let options = PrepareOptions { gpu: true, ..PrepareOptions::default() };
    Executable::prepare(&func, &[], &options).unwrap()
}

fn numbers(n: usize) -> Tensor {
    let data = (0..n).map(|i| Scalar::from_f64(DType::F32, i as f64));
    Tensor::from_scalars(DType::F32, &[n], data).unwrap()
}

fn doubled(n: usize) -> Result<Vec<f64>, ExecError> {
    let out = doubling().call(&[numbers(n).as_view()])?;
    Ok(out[0].as_view().scalars().map(|s| s.to_f64()).collect())
}

#[test]
fn a_lost_device_is_an_error_and_the_next_call_has_a_fresh_one() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    let mut queue = device.queue();
    let array = device.array(64).unwrap();
    device.lose();
    let lost = queue.upload(&array, &[0; 64]).unwrap_err();
    assert!(matches!(lost, GpuError::Lost(_)), "{lost:?}");
    assert!(matches!(device.array(64), Err(GpuError::Lost(_))));
    assert_eq!(ExecError::Gpu(lost).code(), codes::DEVICE_LOST);
    assert_eq!(doubled(3).unwrap(), [0.0, 2.0, 4.0]);
}

#[test]
fn a_value_is_lost_with_the_device_that_has_the_only_copy() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if device().is_none() {
        return;
    }
    let f = doubling();
    let run = |x: &DeviceTensor| {
        let mut results = f.call_resident(&[x.as_arg()], &CallOptions::default())?;
        results.pop().ok_or_else(|| ExecError::Internal("no result".to_owned()))
    };
    let x = DeviceTensor::from_tensor(&numbers(3)).unwrap();
    let (read, unread) = (run(&x).unwrap(), run(&x).unwrap());
    assert_eq!(read.host().unwrap().to_string(), "[0.0, 2.0, 4.0]");
    Device::get().unwrap().lose();
    let lost = |e: ExecError| assert_eq!(e.code(), codes::DEVICE_LOST, "{e}");
    lost(unread.host().map(|_| ()).unwrap_err());
    lost(unread.to_gpu().unwrap_err());
    lost(run(&unread).map(|_| ()).unwrap_err());
    assert!(!unread.is_on_host() && !unread.is_on_gpu() && !read.is_on_gpu());
    // What has a copy here goes to the fresh device by itself.
    assert_eq!(run(&read).unwrap().host().unwrap().to_string(), "[0.0, 4.0, 8.0]");
    assert!(read.is_on_gpu());
    lost(unread.host().map(|_| ()).unwrap_err());
}

#[test]
fn whoever_waits_is_told_when_the_work_is_done_and_when_the_device_is_lost() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    let wait = |device: &std::sync::Arc<Device>| {
        let (told, heard) = std::sync::mpsc::channel();
        for i in 0..20 {
            let told = told.clone();
            device.when_done(move || told.send(i).unwrap());
        }
        let mut all: Vec<i32> = heard.iter().take(20).collect();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
    };
    wait(&device);
    wait(&device);
    device.lose();
    wait(&device);
}

#[test]
fn memory_that_is_not_there_is_an_error_and_memory_is_used_again() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    assert_eq!(doubled(5000).unwrap().len(), 5000);
    let held = device.pool.bytes();
    assert_eq!(doubled(5000).unwrap().len(), 5000);
    assert_eq!(device.pool.bytes(), held);
    device.pool.set_cap(held);
    let refused = doubled(1 << 20).unwrap_err();
    device.pool.set_cap(0);
    assert_eq!(refused.code(), codes::OUT_OF_MEMORY);
    assert_eq!(doubled(1 << 20).unwrap()[1 << 19], f64::from(1 << 20));
}

#[test]
fn pipelines_do_not_depend_on_sizes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    // One by elements, and one by four at a time.
    for n in [10, 12] {
        assert_eq!(doubled(n).unwrap().len(), n);
    }
    let made = device.pipelines.made();
    for n in [0, 1, 11, 1000] {
        assert_eq!(doubled(n).unwrap().len(), n);
    }
    assert_eq!(device.pipelines.made(), made);
}

#[test]
fn arrays_that_are_too_large_to_be_bound_are_done_by_chunks() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    // A map with a row that is bound whole, reductions along rows, and a map alone.
    let bodies = [
        "  %2: f32[n, m] = broadcast %r, [1]\n  %3: f32[n, m] = add %x, %2\n  return %3\n",
        "  %2: f32[n] = reduce sum %x, [1]\n  return %2\n",
        "  %2: f32[n] = reduce max %x, [1]\n  return %2\n",
        "  %2: f32[n, m] = mul %x, %x\n  return %2\n",
    ];
    let results = ["f32[n, m]", "f32[n]", "f32[n]", "f32[n, m]"];
    for (body, result) in bodies.iter().zip(results) {
        let func = parse(&format!("func @f(%x: f32[n, m], %r: f32[m]) -> {result} {{\n{body}}}\n"))
            .unwrap_or_else(|e| panic!("{e}\n{body}"));
        let of = |gpu: bool| {
            let options = PrepareOptions { gpu, ..PrepareOptions::default() };
            Executable::prepare(&func, &[], &options).unwrap()
        };
        let (cpu, gpu) = (of(false), of(true));
        for [n, m] in [[100, 40], [7, 300], [1000, 7]] {
            let data = (0..n * m).map(|i| Scalar::from_f64(DType::F32, (i % 23) as f64 - 9.0));
            let x = Tensor::from_scalars(DType::F32, &[n, m], data).unwrap();
            let args = [x.as_view(), numbers(m).as_view()].map(|v| v.to_tensor().unwrap());
            let views = [args[0].as_view(), args[1].as_view()];
            let bits = |t: &[Tensor]| t[0].as_view().scalars().map(|s| s.bits()).collect::<Vec<u64>>();
            let wanted = bits(&cpu.call(&views).unwrap());
            device.set_window_cap(4096);
            let (before, got) = (device.downloaded.load(Ordering::Relaxed), gpu.call(&views));
            device.set_window_cap(0);
            assert_eq!(bits(&got.unwrap()), wanted, "{body} of {n}, {m}");
            // It did run there.
            assert!(device.downloaded.load(Ordering::Relaxed) > before);
        }
    }
}

#[test]
fn kernels_of_several_stages_and_scans_go_by_chunks_too() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    // A softmax and a layer's norm along rows, a running sum, and a product with a vector.
    let bodies = [
        "  %2: f32[n] = reduce max %x, [1]\n  %3: f32[n, m] = broadcast %2, [0]\n  %4: f32[n, m] = sub %x, %3\n  \
         %5: f32[n, m] = exp %4\n  %6: f32[n] = reduce sum %5, [1]\n  %7: f32[n, m] = broadcast %6, [0]\n  \
         %8: f32[n, m] = div %5, %7\n  return %8\n",
        "  %2: f32[n] = reduce sum %x, [1]\n  %3: f32[n, m] = broadcast %2, [0]\n  %4: f32[n, m] = sub %x, %3\n  \
         %5: f32[n, m] = mul %4, %4\n  %6: f32[n] = reduce sum %5, [1]\n  %7: f32[n, m] = broadcast %6, [0]\n  \
         %8: f32[n, m] = div %4, %7\n  %9: f32[n, m] = broadcast %r, [1]\n  %10: f32[n, m] = mul %8, %9\n  return %10\n",
        "  %2: f32[n, m] = scan sum %x, axis 1\n  return %2\n",
        "  %2: f32[n] = dot %x, %r, contract [1:0]\n  return %2\n",
    ];
    let results = ["f32[n, m]", "f32[n, m]", "f32[n, m]", "f32[n]"];
    for (body, result) in bodies.iter().zip(results) {
        let func = parse(&format!("func @f(%x: f32[n, m], %r: f32[m]) -> {result} {{\n{body}}}\n"))
            .unwrap_or_else(|e| panic!("{e}\n{body}"));
        let of = |gpu: bool| {
            let options = PrepareOptions { gpu, ..PrepareOptions::default() };
            Executable::prepare(&func, &[], &options).unwrap()
        };
        let (cpu, gpu) = (of(false), of(true));
        for [n, m] in [[100, 40], [7, 300], [1000, 7]] {
            let data = (0..n * m).map(|i| Scalar::from_f64(DType::F32, (i % 23) as f64 * 0.25 - 2.0));
            let x = Tensor::from_scalars(DType::F32, &[n, m], data).unwrap();
            let row = numbers(m);
            let views = [x.as_view(), row.as_view()];
            let all = |t: &[Tensor]| t[0].as_view().scalars().map(|s| s.to_f64()).collect::<Vec<f64>>();
            let wanted = all(&cpu.call(&views).unwrap());
            device.set_window_cap(4096);
            let (before, got) = (device.downloaded.load(Ordering::Relaxed), gpu.call(&views));
            device.set_window_cap(0);
            let most = wanted.iter().fold(1e-3, |a: f64, v| a.max(v.abs()));
            for (i, (w, g)) in wanted.iter().zip(all(&got.unwrap())).enumerate() {
                assert!((w - g).abs() <= 1e-5 * most, "{body} of {n}, {m} at {i}: {g}, not {w}");
            }
            // It did run there.
            assert!(device.downloaded.load(Ordering::Relaxed) > before, "{body} of {n}, {m}");
        }
    }
}

#[test]
fn a_pipeline_that_is_refused_is_an_error_and_the_next_call_works() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    let scatter = matex_codegen_gpu::Scatter::new(DType::F32, DType::I32, true).unwrap();
    let mut shader = scatter.compile().unwrap();
    shader.module.entry_points[0].workgroup_size = [1 << 20, 1, 1];
    let refused = device.guarded(0, || device.build(shader, false)).unwrap_err();
    assert!(matches!(refused, GpuError::Refused(_)), "{refused:?}");
    assert_eq!(doubled(3).unwrap(), [0.0, 2.0, 4.0]);
    // It is the same device, which nothing has happened to.
    let now = Device::get().unwrap();
    assert!(std::sync::Arc::ptr_eq(&now, &device));
}
