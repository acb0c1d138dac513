//! The kernels of a plan as people read them: WGSL, for which no device is needed.

use matex_codegen_gpu::{Run, compile, schedule};
use matex_ir::Dim;
use matex_passes::Plan;
use matex_passes::plan::{KernelStep, Slot};
use std::fmt::Write;

/// The kernels of a plan that was made without expansions: each as WGSL, or why it stays on the CPU. How points are shared
/// out depends on sizes, by the values given.
pub fn wgsl(plan: &Plan, value: &impl Fn(&Dim) -> Option<i64>) -> String {
    let mut text = String::new();
    for (number, kernel) in plan.kernels.iter().enumerate() {
        let Some(step) = steps(plan).find(|s| s.kernel == number) else { continue };
        let of = |slot: &Slot| value(plan.dim(*slot)).unwrap_or(i64::MAX);
        let extents: Vec<i64> = step.extents.iter().map(of).collect();
        let offsets: Vec<i64> = step.operands.iter().map(|b| of(&b.place.offset)).collect();
        let strides: Vec<i64> = step.operands.iter().flat_map(|b| b.strides.iter().map(of)).collect();
        let (run, shares) =
            (Run { extents: &extents, offsets: &offsets, strides: &strides }, step.bound_together(kernel));
        let shader = compile(kernel, schedule(kernel, &run, &shares), &shares);
        // Writing to a string cannot fail.
        let _ = match shader.and_then(|s| s.wgsl()) {
            Ok(code) => write!(text, "// kernel {}\n{}\n", kernel.name, code.trim_end()),
            Err(why) => writeln!(text, "// kernel {} stays on the CPU: {why}", kernel.name),
        };
    }
    text
}

/// All runs of kernels.
fn steps(plan: &Plan) -> impl Iterator<Item = &KernelStep> {
    plan.blocks.iter().flat_map(|b| &b.items).flat_map(|item| item.step.kernels())
}
