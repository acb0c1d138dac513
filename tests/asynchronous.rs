//! Calls as futures, with an executor that only waits.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{Compiler, Limits, Tensor, compile};
use pollster::block_on;

fn scalar(v: f64) -> Tensor {
    Tensor::from_slice(&[], &[v]).unwrap()
}

#[test]
fn results_and_errors_come_through() {
    let f = compile("fn f(x: f64[n]) -> f64 { sum(solve(eye(2), x)) }").unwrap();
    let x = |data: &[f64]| Tensor::from_slice(&[data.len()], data).unwrap();
    assert_eq!(block_on(f.call_async(vec![x(&[1.0, 2.0])])).unwrap()[0].to_string(), "3.0");
    let error = block_on(f.call_async(vec![x(&[1.0])])).unwrap_err();
    assert_eq!(error.code(), f.call(&[&[1.0]]).unwrap_err().code());
    let error = block_on(f.call_async(Vec::new())).unwrap_err();
    assert_eq!(error.code().to_string(), "E0505");
}

#[test]
fn many_at_once() {
    let f = compile("{ for i in 0..100 { x = x * 0.5 + 1.0; } x }").unwrap();
    let calls: Vec<_> = (0..50).map(|i| f.call_async(vec![scalar(f64::from(i))])).collect();
    for call in calls {
        assert_eq!(block_on(call).unwrap()[0].to_string(), "2.0");
    }
}

#[test]
fn a_future_that_is_dropped_frees_its_thread() {
    let limits = Limits { loop_steps: u64::MAX, ..Limits::default() };
    let endless = Compiler::new().limits(limits).compile("{ while x >= 0.0 { x = x + 1.0; } x }").unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // More of them than there are threads: any one that went on would keep the last call from its turn.
    for _ in 0..2 * threads {
        drop(endless.call_async(vec![scalar(0.0)]));
    }
    let last = compile("x + 1").unwrap();
    assert_eq!(block_on(last.call_async(vec![scalar(1.0)])).unwrap()[0].to_string(), "2.0");
    assert!(format!("{:?}", last.call_async(vec![scalar(1.0)])).starts_with("Call { done: "));
}
