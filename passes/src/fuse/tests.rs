//! Tests of what is legal in a kernel, and of the search against all choices there are.

use super::graph::Graph;
use super::kernel::{Kernel, Obstacle};
use super::sweep::Sweep;
use super::{captured, choose};
use crate::Sizes;
use matex_ir::tensor::{Func, ValueId, parse};

/// Whether there is a kernel for the last value, when nothing but the parameters is in memory.
fn one_kernel(text: &str) -> Result<(), Obstacle> {
    let func = parse(text).unwrap();
    let graph = Graph::new(&func, &Sizes::nominal(), &captured(&func));
    let stored = vec![false; graph.items.len()];
    let root = func.results()[0].0 as usize;
    Kernel::price(&graph, &stored, root).map(|_| ())
}

fn func(lines: &str, result: &str) -> String {
    format!("func @f(%x: f64[n, m], %y: f64[m], %i: i64[m]) -> {result}\n{lines}}}\n")
}

#[test]
fn maps_and_views_of_one_space_are_a_kernel() {
    let text = func(
        "  %3: f64[n, m] = exp %x\n  %4: f64[m, n] = permute %3, [1, 0]\n  %5: f64[m, n] = broadcast %y, [0]\n  \
         %6: f64[m, n] = add %4, %5\n  return %6\n",
        "f64[m, n] {",
    );
    assert_eq!(one_kernel(&text), Ok(()));
}

#[test]
fn a_reduction_per_point_is_part_of_a_kernel() {
    let text = func(
        "  %3: f64[n, m] = mul %x, %x\n  %4: f64[n] = reduce.sum %3, [1]\n  %5: f64[n] = sqrt %4\n  return %5\n",
        "f64[n] {",
    );
    assert_eq!(one_kernel(&text), Ok(()));
}
