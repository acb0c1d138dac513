//! What the GPU does, as fractions of what it can: the limits are measured first, in the same run.
//!
//! On a device in software the figures say that it works and nothing more; arrays are small there.

use crate::Bench;
use matex::{AsArg, Compiler, Device, DeviceTensor, Function};
use ndarray::Array2;
use std::time::Instant;

/// What a device can do, as programs of the simplest kind do it.
struct Limits {
    /// Bytes a second that are read and written by a map of one operand.
    copy: f64,
    /// Operations a second, of multiplications and additions in one.
    peak: f64,
}

/// Sizes for a device.
#[derive(Clone, Copy)]
struct Sizes {
    /// A matrix that is read and written at the rate of memory.
    rows: usize,
    columns: usize,
    /// The orders of products.
    orders: &'static [usize],
    /// How many calls are waited for at a time, and how often.
    calls: usize,
    rounds: usize,
}

const LARGE: Sizes =
    Sizes { rows: 16_384, columns: 4096, orders: &[1024, 4096, 8192], calls: 10, rounds: 10 };
const SMALL: Sizes = Sizes { rows: 256, columns: 256, orders: &[128], calls: 2, rounds: 2 };

/// All rows; nothing but the reason where there is no device.
pub(crate) fn all(bench: &Bench) {
    let info = match matex_runtime::gpu_info() {
        Ok(info) => info,
        Err(e) => return bench.text("gpu", "device", &e.to_string()),
    };
    let sizes = if bench.real && !info.software { LARGE } else { SMALL };
    bench.text("gpu", "device", &format!("{}, {}", info.name, info.driver.trim()));
    if info.software {
        bench.text(
            "gpu",
            "note",
            "computed by the CPU, on small arrays: what follows shows that it works, and no speed",
        );
    }
    let limits = limits(bench, sizes);
    programs(bench, sizes, &limits);
    for order in sizes.orders {
        product(bench, sizes, *order, ("f32", 4.0, limits.peak));
        product(bench, sizes, *order, ("f16", 2.0, limits.peak));
    }
}

/// What the rate of memory bounds.
fn programs(bench: &Bench, sizes: Sizes, limits: &Limits) {
    let Sizes { rows, columns, .. } = sizes;
    let x = resident(rows, columns);
    let programs = [
        ("x * 2 + 1", 2.0),
        ("x * x + x / (x + 3)", 2.0),
        ("x / (x[0] + x[:, :1])", 2.0),
        ("exp(x) - tanh(x)", 2.0),
        ("sum(x, axis=1)", 1.0),
        ("sum(x, axis=0)", 1.0),
        ("sum(x)", 1.0),
        ("argmax(x, axis=1)", 1.0),
        ("softmax(x, axis=1)", 2.0),
        ("cumsum(x, axis=1)", 2.0),
        ("x.T * 2", 2.0),
        ("x @ x[0]", 1.0),
    ];
    for (text, passes) in programs {
        let f = on_gpu(&format!("fn f(x: f32[n, m]) {{ {text} }}"));
        let seconds = time(sizes, &f, &[&x]);
        let rate = passes * (4 * rows * columns) as f64 / seconds;
        let figures = [("µs", seconds * 1e6), ("GB/s", rate / 1e9), ("of copy", rate / limits.copy)];
        bench.line("gpu", text, &figures);
    }
}

/// A product of two square matrices of a dtype with so many bytes an element, next to the rate of arithmetic in `f32`, which
/// units for matrices of halves exceed.
fn product(bench: &Bench, sizes: Sizes, order: usize, (dtype, bytes, peak): (&str, f64, f64)) {
    let narrow = on_gpu(&format!("fn f(x: f32[n, m]) {{ cast(x, {dtype}) }}"));
    let [a, b] = [0, 1].map(|_| {
        let wide = resident(order, order);
        narrow.call_resident(&[&wide]).unwrap().into_single().unwrap()
    });
    let f = on_gpu(&format!("fn f(a: {dtype}[n, k], b: {dtype}[k, m]) {{ a @ b }}"));
    let seconds = time(sizes, &f, &[&a, &b]);
    let order = order as f64;
    let (rate, moved) = (2.0 * order.powi(3) / seconds, 3.0 * bytes * order * order / seconds);
    let figures =
        [("µs", seconds * 1e6), ("GFLOP/s", rate / 1e9), ("of peak", rate / peak), ("GB/s", moved / 1e9)];
    bench.line("gpu", &format!("a @ b of {dtype}, order {order}"), &figures);
}

fn on_gpu(source: &str) -> Function {
    Compiler::new().device(Device::Gpu).compile(source).unwrap()
}

/// A matrix on the device.
fn resident(rows: usize, columns: usize) -> DeviceTensor {
    let data = Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 7 + j) % 13) as f32 * 0.125);
    DeviceTensor::new(&data).unwrap().to(Device::Gpu).unwrap()
}

/// Waits for all that was sent.
fn wait() {
    let (told, heard) = std::sync::mpsc::channel();
    matex_runtime::after_gpu(move || told.send(()).unwrap());
    heard.recv().unwrap();
}

/// The seconds of a call whose result stays on the device: the best of some rounds, of several calls each.
fn time(sizes: Sizes, f: &Function, args: &[&DeviceTensor]) -> f64 {
    let args: Vec<&dyn AsArg> = args.iter().map(|a| *a as &dyn AsArg).collect();
    let call = || drop(f.call_resident(&args).unwrap());
    call();
    wait();
    let round = |_| {
        let start = Instant::now();
        (0..sizes.calls).for_each(|_| call());
        wait();
        start.elapsed().as_secs_f64() / sizes.calls as f64
    };
    (0..sizes.rounds).map(round).fold(f64::INFINITY, f64::min)
}

/// Measures what the device can do, and prints it.
fn limits(bench: &Bench, sizes: Sizes) -> Limits {
    let bytes = (4 * sizes.rows * sizes.columns) as f64;
    let one = resident(1, 1);
    let small = on_gpu("fn f(x: f32[n, m]) { x + 1 }");
    time(sizes, &small, &[&one]);
    let (start, calls) = (Instant::now(), 100 * sizes.calls);
    (0..calls).for_each(|_| drop(small.call_resident(&[&one]).unwrap()));
    let launch = start.elapsed().as_secs_f64() / calls as f64;
    wait();
    let best = |run: &mut dyn FnMut() -> f64| (0..sizes.rounds).map(|_| run()).fold(f64::INFINITY, f64::min);
    let answer = best(&mut || {
        let start = Instant::now();
        drop(small.call_resident(&[&one]).unwrap());
        wait();
        start.elapsed().as_secs_f64()
    });
    let data = Array2::from_elem((sizes.rows, sizes.columns), 1.5f32);
    let up = best(&mut || {
        let start = Instant::now();
        let there = DeviceTensor::new(&data).unwrap().to(Device::Gpu).unwrap();
        wait();
        drop(there);
        start.elapsed().as_secs_f64()
    });
    let x = resident(sizes.rows, sizes.columns);
    let negate = on_gpu("fn f(x: f32[n, m]) { -x }");
    let down = best(&mut || {
        let y = negate.call_resident(&[&x]).unwrap().into_single().unwrap();
        wait();
        let start = Instant::now();
        drop(y.tensor().unwrap());
        start.elapsed().as_secs_f64()
    });
    let copy = 2.0 * bytes / time(sizes, &negate, &[&x]);
    // As many operations an element as hide the time of memory.
    let chain = "y = fma(y, a, b); ".repeat(CHAIN);
    let f = on_gpu(&format!("fn f(x: f32[n, m], a: f32, b: f32) {{ y = x; {chain} y }}"));
    let (a, b) = (DeviceTensor::new(&0.5f32).unwrap(), DeviceTensor::new(&0.25f32).unwrap());
    let operations = 2.0 * (CHAIN * sizes.rows * sizes.columns) as f64;
    let peak = operations / time(sizes, &f, &[&x, &a, &b]);
    let figures = [
        ("launch µs", launch * 1e6),
        ("launch and wait µs", answer * 1e6),
        ("up GB/s", bytes / up / 1e9),
        ("down GB/s", bytes / down / 1e9),
        ("copy GB/s", copy / 1e9),
        ("fma GFLOP/s", peak / 1e9),
    ];
    bench.line("gpu", "limits", &figures);
    Limits { copy, peak }
}

/// Multiplications with an addition that follow one another.
const CHAIN: usize = 256;
