//! How much a call allocates once it was made before. In a file of its own: the allocator counts for the whole process.

#![allow(clippy::unwrap_used, reason = "in a test it is the check")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending counts no more.
    let _ = COUNT.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations of this thread in one call, after some calls before it.
fn allocations(mut call: impl FnMut()) -> usize {
    for _ in 0..3 {
        call();
    }
    let before = COUNT.get();
    call();
    COUNT.get() - before
}

#[test]
fn a_typed_call_into_given_memory_allocates_nothing() {
    let f = matex::compile("{ m = a + b; return m / (m[0] + m[1]) }").unwrap();
    let f = f.typed::<fn(&Vec<f64>, &Vec<f64>, &mut Vec<f64>)>().unwrap();
    let (a, b, mut out) = (vec![1.0; 100], vec![3.0; 100], vec![0.0; 100]);
    assert_eq!(allocations(|| f(&a, &b, &mut out).unwrap()), 0);
    assert_eq!(out, vec![0.5; 100]);
    // Other sizes allocate once.
    let (a, b, mut out) = (vec![1.0; 200], vec![3.0; 200], vec![0.0; 200]);
    assert_eq!(allocations(|| f(&a, &b, &mut out).unwrap()), 0);
    assert_eq!(out, vec![0.5; 200]);
}

#[test]
fn products_and_kernels_in_a_row_allocate_nothing() {
    for source in ["a @ b", "a.T @ a @ b", "softmax(a @ b + 1.0) * 2.0", "cumsum(a @ b) / sum(b)"] {
        let f = matex::compile(source).unwrap();
        for n in [16, 100] {
            let a = ndarray::Array2::<f64>::from_elem((n, n), 0.5);
            let (b, mut out) = (vec![1.0; n], vec![0.0; n]);
            let found = allocations(|| f.call_into(&[&a, &b], &mut [&mut out]).unwrap());
            assert_eq!(found, 0, "{source} of {n}");
        }
    }
}

/// Temporaries share memory that is kept from call to call, whatever their size; of what loops carry a megabyte is kept.
#[test]
fn temporaries_allocate_nothing() {
    let programs = [
        ("{ s = cumsum(x); t = cumsum(s / s[-1]); return cumsum(t * s) }", 300_000),
        ("{ for i in 0..5 { x = cumsum(x) / x[0]; } return x }", 10_000),
    ];
    for (source, last) in programs {
        let f = matex::compile(source).unwrap();
        for n in [10, 20_000, last] {
            let (x, mut out) = (vec![1.0; n], vec![0.0; n]);
            let found = allocations(|| f.call_into(&[&x], &mut [&mut out]).unwrap());
            assert_eq!(found, 0, "{source} of {n}");
            assert_eq!(f.call(&[&x]).unwrap()[0].to_vec::<f64>().unwrap(), out);
        }
    }
}

#[test]
fn nine_arguments_by_reference_allocate_nothing() {
    let f = matex::compile("a + b + c + d + e + f + g + h + i").unwrap();
    let x = [1.0; 10];
    let mut out = [0.0; 10];
    let args: [&dyn matex::AsView; 9] = [&x; 9];
    let n = allocations(|| f.call_into(&args, &mut [&mut out]).unwrap());
    assert_eq!(n, 0);
    assert_eq!(out, [9.0; 10]);
}

#[test]
fn a_call_allocates_its_result() {
    let f = matex::compile("x + 1").unwrap();
    let x = [1.0; 10];
    let n = allocations(|| drop(f.call(&[&x]).unwrap()));
    // The list of results, the memory, and what counts who holds it.
    assert!(n <= 3, "{n}");
}
