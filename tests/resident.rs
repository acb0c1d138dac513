//! Values that stay on the GPU: what is copied and when, counted in bytes.
//!
//! There is one device a process, whose counters these tests compare, so that one runs at a time. Without a device they
//! hold what is left to be held; `MATEX_REQUIRE_GPU=1` makes that a failure.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use matex::{
    Arg, AsArg, CallOptions, Compiler, DType, Device, DeviceTensor, Error, Function, Limits, Outputs, Tensor,
};
use ndarray::{Array2, s};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use support::engines::gpu_is_there;

static ALONE: Mutex<()> = Mutex::new(());

/// The device for this test alone, if there is one.
fn alone() -> Option<MutexGuard<'static, ()>> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    gpu_is_there().then_some(guard)
}

fn on(device: Device, source: &str) -> Function {
    Compiler::new().device(device).compile(source).unwrap()
}

fn on_gpu(source: &str) -> Function {
    on(Device::Gpu, source)
}

/// The bytes that are copied there and back while something is done.
fn copied<T>(what: impl FnOnce() -> T) -> (T, u64, u64) {
    let now = || matex_runtime::gpu_info().map(|i| (i.uploaded, i.downloaded)).unwrap();
    let before = now();
    let done = what();
    let after = now();
    (done, after.0 - before.0, after.1 - before.1)
}

fn numbers(value: &Tensor) -> Vec<f64> {
    value.scalars().map(|s| s.to_f64()).collect()
}

fn read(value: &DeviceTensor) -> Vec<f64> {
    numbers(&value.tensor().unwrap())
}

#[test]
fn without_a_gpu_values_are_on_the_host() {
    let x = DeviceTensor::new(&[1.0, 2.0]).unwrap();
    let f = matex::compile("{ y = x + k; return y, sum(y) }").unwrap();
    let out = f.call_resident(&[&x, &1.0]).unwrap();
    assert_eq!(out.names(), ["y", "out1"]);
    assert_eq!((read(&out[0]), read(&out[1])), (vec![2.0, 3.0], vec![5.0]));
    assert!(out.iter().all(|v| v.is_on(Device::Cpu) && !v.is_on(Device::Gpu)));
    let interpreter = Compiler::new().engine(matex::Engine::Interpreter).compile("y * 2").unwrap();
    assert_eq!(read(&interpreter.call_resident(&[&out[0]]).unwrap()[0]), [4.0, 6.0]);
    if !matex_runtime::HAS_GPU {
        assert_eq!(x.to(Device::Gpu).unwrap_err().code().to_string(), "E0606");
    }
}

#[test]
fn a_chain_of_calls_copies_its_argument_once_and_its_result_when_it_is_read() {
    let Some(_alone) = alone() else { return };
    let step = on_gpu("fn f(x: f32[n]) { x * 2 + 1 }");
    let data = vec![0.5f32; 1000];
    let x = DeviceTensor::new(&data).unwrap();
    let (mut y, up, down) = copied(|| step.call_resident(&[&x]).unwrap().into_single().unwrap());
    assert_eq!((up, down), (4000, 0), "the first call");
    assert!(y.is_on(Device::Gpu) && !y.is_on(Device::Cpu) && x.is_on(Device::Gpu));
    let (_, up, down) = copied(|| {
        for _ in 0..5 {
            step.call_resident(&[&x]).unwrap();
            y = step.call_resident(&[&y]).unwrap().into_single().unwrap();
        }
    });
    assert_eq!((up, down), (0, 0), "the calls after it");
    let (values, up, down) = copied(|| read(&y));
    assert_eq!((up, down), (0, 4000), "reading");
    assert_eq!(values, vec![0.5 * 64.0 + 63.0; 1000]);
    let (_, up, down) = copied(|| (read(&y), read(&x), step.call_resident(&[&y]).unwrap()));
    assert_eq!((up, down), (0, 0), "what is on both sides");
    // A plain value has to be brought each time, and a plain result back.
    let (_, up, down) = copied(|| step.call(&[&data]).unwrap());
    assert_eq!((up, down), (4000, 4000), "an ordinary call");
    let (_, up, down) = copied(|| step.call_with(&CallOptions::new(), &[Arg::new(&y)]).unwrap());
    assert_eq!((up, down), (0, 4000), "an ordinary call with a value that is there");
}

#[test]
fn what_a_call_is_lent_stays_as_it_is() {
    let Some(_alone) = alone() else { return };
    let programs = [
        "fn f(x: f32[n]) { for i in 0..5 { x = x * 2 + 1; } x }",
        "fn f(x: f32[n]) { x[0] = 7; x = x + 1; return x, x * 2 }",
        "fn f(x: f32[n]) { y = x; for i in 0..3 { y = x; x = y + x; } return x, y }",
        "fn f(x: f32[n]) { return x, x + 1, x }",
        "fn f(x: f32[n]) { if sum(x) > 0 { x = x * 3; } x }",
        "fn f(x: f32[n]) { z = sort(x); for i in 0..2 { z = z + x; } return z, x }",
    ];
    for program in programs {
        let (f, cpu) = (on_gpu(program), on(Device::Cpu, program));
        let data = [3.0f32, -1.0, 2.0, 0.25];
        let want: Vec<Vec<f64>> = cpu.call(&[&data]).unwrap().iter().map(numbers).collect();
        for read_first in [false, true] {
            let x = DeviceTensor::new(&data).unwrap();
            x.to(Device::Gpu).unwrap();
            if read_first {
                // Given as one that the device has alone.
                let id = on_gpu("fn f(x: f32[n]) { x + 0 }");
                let away = id.call_resident(&[&x]).unwrap().into_single().unwrap();
                let first = f.call_resident(&[&away]).unwrap();
                let again = f.call_resident(&[&away]).unwrap();
                assert_eq!(first.iter().map(read).collect::<Vec<_>>(), want, "{program}");
                assert_eq!(again.iter().map(read).collect::<Vec<_>>(), want, "{program}");
                assert_eq!(read(&away), [3.0, -1.0, 2.0, 0.25], "{program}");
            }
            let first = f.call_resident(&[&x]).unwrap();
            let again = f.call_resident(&[&x]).unwrap();
            assert_eq!(first.iter().map(read).collect::<Vec<_>>(), want, "{program}");
            assert_eq!(again.iter().map(read).collect::<Vec<_>>(), want, "{program}");
            assert_eq!(read(&x), [3.0, -1.0, 2.0, 0.25], "{program}");
            // What is on the device is as it was, too.
            let sum = on_gpu("fn f(x: f32[n]) { x + 0 }").call_resident(&[&x]).unwrap();
            assert_eq!(read(&sum[0]), [3.0, -1.0, 2.0, 0.25], "{program}");
        }
    }
}

#[test]
fn every_kind_of_value_goes_there_and_back() {
    let Some(_alone) = alone() else { return };
    // Truth values are words there.
    let f = on_gpu("fn f(x: f32[n], m: bool[n]) { return m && x > 1, !m }");
    let m = DeviceTensor::new(&[true, false, true]).unwrap();
    let out = f.call_resident(&[&[0.5f32, 2.0, 3.0], &m]).unwrap();
    assert!(out.iter().all(|v| v.is_on(Device::Gpu) && v.dtype() == DType::Bool));
    let (got, up, down) = copied(|| out.read().unwrap());
    assert_eq!((up, down), (0, 24));
    let shown: Vec<String> = got.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["[false, false, true]", "[false, true, false]"]);
    // Nothing at all, of a shape.
    let f = on_gpu("fn f(x: f32[n, m]) { x + 1 }");
    let none = DeviceTensor::new(&Array2::<f32>::zeros((0, 3))).unwrap().to(Device::Gpu).unwrap();
    let out = f.call_resident(&[&none]).unwrap();
    assert_eq!(out[0].shape(), [0, 3]);
    assert_eq!(out[0].tensor().unwrap().describe(), "f32[0, 3]");
    // A view with strides of every sign.
    let whole = Array2::from_shape_fn((4, 6), |(i, j)| (i * 6 + j) as f32);
    let view = whole.slice(s![..;-1, 1..;2]);
    let value = DeviceTensor::new(&view.t()).unwrap().to(Device::Gpu).unwrap();
    let out = f.call_resident(&[&value]).unwrap();
    let want: Vec<f64> = view.t().iter().map(|v| f64::from(*v) + 1.0).collect();
    assert_eq!((out[0].shape(), read(&out[0])), (&[3, 4][..], want));
    // An integer that sizes the result is read, once, before the call; one that no kernel takes stays away.
    let f = on_gpu("fn f(x: i32[n], k: i32) { x + k }");
    let k = on_gpu("fn f(x: i32[n]) { max(x) }").call_resident(&[&[1, 2]]).unwrap().into_single().unwrap();
    let args: [&dyn AsArg; 2] = [&[5, 6], &k];
    let (out, _, down) = copied(|| f.call_resident(&args).unwrap());
    assert_eq!((read(&out[0]), down), (vec![7.0, 8.0], 4));
    assert_eq!(copied(|| f.call_resident(&args).unwrap()).2, 0);
    // No kernel there has functions of f64: it is kept all the same, and read once by the CPU.
    let f = on_gpu("fn f(x: f64[n]) { exp2(x) }");
    let x = DeviceTensor::new(&[1.0, 2.0]).unwrap().to(Device::Gpu).unwrap();
    assert_eq!(read(&f.call_resident(&[&x]).unwrap()[0]), [2.0, 4.0]);
}

#[test]
fn a_function_for_the_cpu_reads_the_value_once_and_says_so() {
    let Some(_alone) = alone() else { return };
    let x = on_gpu("fn f(x: f32[n]) { x + 1 }").call_resident(&[&[1.0f32, 2.0]]).unwrap().into_single();
    let x = x.unwrap();
    for engine in [matex::Engine::Auto, matex::Engine::LoopInterpreter, matex::Engine::Interpreter] {
        let f = Compiler::new().device(Device::Cpu).engine(engine).compile("x * 2").unwrap();
        let fresh = on_gpu("fn f(x: f32[n]) { x + 0 }").call_resident(&[&x]).unwrap();
        let text = f.explain_with(&[Arg::new(&fresh[0])]).unwrap();
        assert!(text.contains("copies: 1\n  8 bytes from the GPU for x\n"), "{text}");
        let (out, up, down) = copied(|| f.call_resident(&[&fresh[0]]).unwrap());
        assert_eq!((read(&out[0]), up, down), (vec![4.0, 6.0], 0, 8));
        assert_eq!(copied(|| f.call_resident(&[&fresh[0]]).unwrap()).2, 0);
        let text = f.explain_with(&[Arg::new(&fresh[0])]).unwrap();
        assert!(!text.contains("copies:"), "{text}");
    }
}

#[test]
fn memory_goes_back_to_the_pool_with_the_last_of_its_owners() {
    let Some(_alone) = alone() else { return };
    let bytes = || matex_runtime::gpu_info().unwrap().bytes;
    let f = on_gpu("fn f(x: f32[n]) { x + 1 }");
    // A size of its own, so that no other test has left a piece of it.
    let x = DeviceTensor::new(&vec![1.0f32; 3_000_000]).unwrap();
    let before = bytes();
    let first = f.call_resident(&[&x]).unwrap().into_single().unwrap();
    let held = bytes();
    assert!(held - before >= 24_000_000, "{before} {held}");
    let mut y = first.clone();
    drop(first);
    for _ in 0..10 {
        y = f.call_resident(&[&y]).unwrap().into_single().unwrap();
    }
    // One more than the one that is read and the one that is written was never needed.
    assert!(bytes() - held <= (held - before) / 2, "{held} {}", bytes());
    let most = bytes();
    drop(y);
    f.call_resident(&[&x]).unwrap();
    assert_eq!(bytes(), most);
}

#[test]
fn explain_tells_the_copies_that_a_call_then_makes() {
    let Some(_alone) = alone() else { return };
    const STEPS: u64 = 5;
    let programs = [
        "fn f(x: f32[n]) { x + 1 }",
        "fn f(x: f32[n]) { sort(x * 2) + x }",
        "fn f(x: f32[n]) { y = exp(x); s = sum(cast(y, f64)); return y > 0.5, s }",
        "fn f(x: f32[n]) { return x, x * 2 }",
        "fn f(x: f32[n]) { for i in 0..5 { x = x * 2 + 1; } x }",
        "fn f(x: f32[n]) { for i in 0..5 { x = sort(x * 2); } x }",
        "fn f(x: f32[n]) { for i in 0..5 { x[i] = sum(x); } x }",
    ];
    for program in programs {
        let f = on_gpu(program);
        let host = Tensor::from_slice(&[6], &[0.5f32, -1.0, 2.0, 3.0, 0.0, 1.0]).unwrap();
        let there = DeviceTensor::from_tensor(&host).unwrap().to(Device::Gpu).unwrap();
        let id = on_gpu("fn f(x: f32[n]) { x + 0 }");
        let away = id.call_resident(&[&there]).unwrap().into_single().unwrap();
        let args: [&dyn AsArg; 3] = [&host, &there, &away];
        for arg in args {
            let text = f.explain_with(&[Arg::new(arg)]).unwrap();
            let (mut up, mut down) = (0, 0);
            for line in text.lines().filter(|l| l.contains(" the GPU") && l.contains(" bytes ")) {
                let mut words = line.split_whitespace();
                let bytes: u64 = words.next().unwrap().parse().unwrap();
                let times = if line.contains("at each step") { STEPS - 1 } else { 1 };
                let way = words.nth(1).unwrap();
                *(if way == "to" { &mut up } else { &mut down }) += bytes * times;
            }
            let (out, got_up, got_down) = copied(|| f.call_with(&CallOptions::new(), &[Arg::new(arg)]));
            out.unwrap();
            assert_eq!((up, down), (got_up, got_down), "{program}\n{text}");
        }
    }
}

/// Waits for a call as the smallest executor there is.
fn wait(call: matex::Call) -> Result<Outputs, Error> {
    let mut call = pin!(call);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match call.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn calls_complete_on_any_executor_and_end_when_they_are_dropped() {
    let Some(_alone) = alone() else { return };
    let f = on_gpu("fn f(x: f32[n]) { s = sum(x); return x * 2, s, sort(x) }");
    let arg = |i: u8| Tensor::from_slice(&[3], &[f32::from(i), 2.0, -1.0]).unwrap();
    let calls: Vec<_> = (0..50).map(|i| f.call_async(vec![arg(i)])).collect();
    for (i, call) in calls.into_iter().enumerate() {
        let (i, out) = (i as f64, wait(call).unwrap());
        let mut sorted = [i, 2.0, -1.0];
        sorted.sort_by(f64::total_cmp);
        assert_eq!(numbers(&out[0]), [i * 2.0, 4.0, -2.0]);
        assert_eq!((numbers(&out[1]), numbers(&out[2])), (vec![i + 1.0], sorted.to_vec()));
    }
    let wrong = f.call_async(vec![Tensor::from_slice(&[1], &[1.5f64]).unwrap()]);
    assert_eq!(wait(wrong).unwrap_err().code().to_string(), "E0502");
    // More of them than the pool has threads: one that went on would keep the last call from its turn.
    let limits = Limits { loop_steps: u64::MAX, ..Limits::default() };
    let endless = Compiler::new().device(Device::Gpu).limits(limits);
    let endless = endless.compile("fn f(x: f32[n]) { while sum(x) >= 0 { x = x + 1; } x }").unwrap();
    for _ in 0..8 {
        drop(endless.call_async(vec![arg(1)]));
    }
    assert_eq!(numbers(&wait(f.call_async(vec![arg(1)])).unwrap()[0]), [2.0, 4.0, -2.0]);
}

#[test]
fn threads_share_values() {
    let Some(_alone) = alone() else { return };
    let f = on_gpu("fn f(x: f32[n], k: f32) { x * k }");
    let x = DeviceTensor::new(&[1.0f32, 2.0, 3.0]).unwrap();
    let shared = f.call_resident(&[&x, &1.0f32]).unwrap().into_single().unwrap();
    let ((), _, down) = copied(|| {
        std::thread::scope(|scope| {
            for thread in 1..=4u8 {
                let (f, shared) = (&f, &shared);
                scope.spawn(move || {
                    let k = f32::from(thread);
                    for _ in 0..50 {
                        let out = f.call_resident(&[shared, &k]).unwrap();
                        let k = f64::from(k);
                        assert_eq!(read(&out[0]), [k, 2.0 * k, 3.0 * k]);
                        assert_eq!(read(shared), [1.0, 2.0, 3.0]);
                    }
                });
            }
        });
    });
    assert_eq!(down, 12 * (4 * 50 + 1), "each result, and the shared value once");
}
