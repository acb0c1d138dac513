//! The most memory that calls hold at a time is what their plans say. In a file of its own: the allocator counts for
//! the whole process.

#![allow(clippy::unwrap_used, reason = "in a test it is the check")]

use matex::{Arg, AsView, Compiler, Function, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// The bytes that this thread holds, and the most that it held.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // A thread that is ending counts no more.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn tensor(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    Tensor::from_vec(shape, (0..count).map(|i| (i % 17) as f64 / 100.0).collect()).unwrap()
}

/// The peak that the plan of a call tells, and the one that a thread has that makes it for the first time, when all is compiled.
fn peaks(f: &Function, shapes: &[&[usize]]) -> (isize, isize) {
    let tensors: Vec<Tensor> = shapes.iter().map(|shape| tensor(shape)).collect();
    let args: Vec<Arg<'_>> = tensors.iter().map(|t| Arg::new(t)).collect();
    let told = f.report(&args).unwrap().peak_bytes;
    let call = || {
        let views: Vec<&dyn AsView> = tensors.iter().map(|t| t as &dyn AsView).collect();
        let (before, _) = HELD.get();
        HELD.set((before, before));
        drop(f.call(&views).unwrap());
        HELD.get().1 - before
    };
    call();
    // The library of products keeps memory of its own for each thread, which the first of them makes.
    let product = compiled("x @ x");
    let first = || {
        drop(product.call(&[&tensor(&[100, 100])]).unwrap());
        call()
    };
    let found = std::thread::scope(|s| s.spawn(first).join().unwrap());
    (told as isize, found)
}

/// What a call allocates besides: lists of a few words for each step and size, and space up to where arrays begin.
const BESIDES: isize = 20_000;

/// Arrays of a megabyte and more would be kept for the next call that wants one of that size, on any thread.
fn holds_what_its_plan_says(f: &Function, shapes: &[&[usize]]) -> isize {
    let (told, found) = peaks(f, shapes);
    assert!((told - found).abs() <= BESIDES && told > 8 * BESIDES, "{told} told, {found} found");
    told
}

fn compiled(source: &str) -> Function {
    Compiler::new().threads(1).compile(source).unwrap()
}

#[test]
fn the_gradient_of_a_network() {
    let source = "fn loss(A: f64[40, 60], B: f64[60, 10], x: f64[n, 40], y: f64[n, 10]) -> f64 {
        -mean(sum(y * log_softmax(relu(x @ A) @ B), axis=1))
    }";
    let f = compiled(source).value_and_grad(&["A", "B"]).unwrap();
    holds_what_its_plan_says(&f, &[&[40, 60], &[60, 10], &[1000, 40], &[1000, 10]]);
}

#[test]
fn derivatives_of_logistic_regression() {
    let source = "fn loss(w: f64[k], X: f64[n, k], y: f64[n]) -> f64 { z = X @ w; mean(softplus(z) - y * z) + 1e-3 * sum(w**2) }";
    let f = compiled(source);
    holds_what_its_plan_says(&f.grad("w").unwrap(), &[&[5], &[90_000, 5], &[90_000]]);
    holds_what_its_plan_says(&f.hessian("w").unwrap(), &[&[5], &[20_000, 5], &[20_000]]);
}

#[test]
fn the_way_back_through_a_loop() {
    let source = "fn f(x: f64[n], xs: f64[m]) -> f64 { sum(fold(|c, e| c * sin(c + e), x, xs)) }";
    let shapes: &[&[usize]] = &[&[1000], &[120]];
    let all = holds_what_its_plan_says(&compiled(source).grad("x").unwrap(), shapes);
    let some = Compiler::new().threads(1).recompute(true).compile(source).unwrap().grad("x").unwrap();
    let some = holds_what_its_plan_says(&some, shapes);
    assert!(3 * some < all, "{some} {all}");
}

#[test]
fn loops_and_stages() {
    let source = "{
        s = cumsum(x) / sum(x);
        for i in 0..3 { s = cumsum(s * x) / s[-1]; t = cumsum(exp(-s)); s = s + t / t[-1]; }
        t = cumsum(s)[::-1];
        return cumsum(t * s), s
    }";
    holds_what_its_plan_says(&compiled(source), &[&[100_000]]);
}
