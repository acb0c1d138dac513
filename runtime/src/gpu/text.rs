//! The kernels of a plan as people read them: WGSL, for which no device is needed.

use matex_codegen_gpu::{compile, schedule};
use matex_ir::Dim;
use matex_passes::Plan;
use matex_passes::plan::KernelStep;
use std::fmt::Write;

/// The kernels of a plan that was made without expansions: each as WGSL, or why it stays on the CPU. How points are shared
/// out depends on sizes, by the values given.
pub fn wgsl(plan: &Plan, value: &impl Fn(&Dim) -> Option<i64>) -> String {
    let mut text = String::new();
    for (number, kernel) in plan.kernels.iter().enumerate() {
        let Some(step) = steps(plan).find(|s| s.kernel == number) else { continue };
        let extents: Vec<i64> =
            step.extents.iter().map(|s| value(plan.dim(*s)).unwrap_or(i64::MAX)).collect();
        let schedule = schedule(kernel, &extents);
        let shader = compile(kernel, schedule, &step.bound_together(kernel));
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
