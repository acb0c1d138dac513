//! The kernels of a plan as people read them: WGSL, for which no device is needed.

use crate::exec::joined::{Joined, joined};
use matex_codegen_gpu::{Caps, Run, compile, schedule};
use matex_ir::Dim;
use matex_ir::loops::Kernel;
use matex_passes::Plan;
use matex_passes::cost::DeviceModel;
use matex_passes::plan::{Binding, KernelStep, Slot};
use std::fmt::Write;

/// What the device can do that kernels are shown for.
const CAPS: Caps = Caps { subgroups: false, halves: true, doubles: true, fused: true, units: None };

/// The kernels of a plan that was made without expansions: each as WGSL, or why it stays on the CPU; then those that take the
/// place of several. How points are shared out depends on sizes, by the values given.
pub fn wgsl(plan: &Plan, value: &impl Fn(&Dim) -> Option<i64>) -> String {
    let mut text = String::new();
    for (number, kernel) in plan.kernels.iter().enumerate() {
        let Some(step) = steps(plan).find(|s| s.kernel == number) else { continue };
        let of = |slot: &Slot| value(plan.dim(*slot)).unwrap_or(i64::MAX);
        let strides: Vec<i64> = step.operands.iter().flat_map(|b| b.strides.iter().map(of)).collect();
        let _ = match code(plan, value, (step, kernel), &strides) {
            Ok(code) => write!(text, "// kernel {}\n{code}\n", kernel.name),
            Err(why) => writeln!(text, "// kernel {} stays on the CPU: {why}", kernel.name),
        };
    }
    for forms in joined(plan) {
        let Some((one, strides)) = forms.all.iter().find_map(|one| Some((one, taken(plan, value, one)?)))
        else {
            continue;
        };
        if let Ok(code) = code(plan, value, (&one.step, &one.kernel), &strides) {
            // Writing to a string cannot fail.
            let _ = write!(text, "// kernel {}, of a product{}\n{code}\n", one.kernel.name, parts(one));
        }
    }
    text
}

/// The strides of a form of a product if that is the one for these sizes.
fn taken(plan: &Plan, value: &impl Fn(&Dim) -> Option<i64>, one: &Joined) -> Option<Vec<i64>> {
    let of = |slot: &Slot| value(plan.dim(*slot)).unwrap_or(i64::MAX);
    let extents: Vec<i64> = one.step.extents.iter().map(of).collect();
    let strides = one.strides(&extents, &|o| one.step.operands[o].strides.iter().map(of).collect());
    let offsets: Vec<i64> = one.step.operands.iter().map(|b| of(&b.place.offset)).collect();
    let run = Run { extents: &extents, offsets: &offsets, strides: &strides, gathers: &[] };
    let schedule = schedule(&one.kernel, &run, &one.step.bound_together(&one.kernel), CAPS);
    one.saves(schedule, &extents, &DeviceModel::FIXED).then_some(strides)
}

/// What is a part of a product, in words.
fn parts(one: &Joined) -> &'static str {
    match (one.has_before(), one.has_behind()) {
        (true, true) => ", what computes its operands and what is done to it",
        (true, false) => " and what computes its operands",
        (false, _) => " and what is done to it",
    }
}

/// A kernel as WGSL, for such strides of its operands.
fn code(
    plan: &Plan,
    value: &impl Fn(&Dim) -> Option<i64>,
    (step, kernel): (&KernelStep, &Kernel),
    strides: &[i64],
) -> Result<String, matex_codegen_gpu::Refused> {
    let of = |slot: &Slot| value(plan.dim(*slot)).unwrap_or(i64::MAX);
    let extents: Vec<i64> = step.extents.iter().map(of).collect();
    let offsets: Vec<i64> = step.operands.iter().map(|b| of(&b.place.offset)).collect();
    let of_gathers = |b: &Binding| b.gathers.iter().flat_map(|(e, s)| [of(e), of(s)]).collect::<Vec<i64>>();
    let gathers: Vec<i64> = step.operands.iter().flat_map(of_gathers).collect();
    let run = Run { extents: &extents, offsets: &offsets, strides, gathers: &gathers };
    let shares = step.bound_together(kernel);
    let shader = compile(kernel, schedule(kernel, &run, &shares, CAPS), &shares, CAPS)?;
    shader.wgsl().map(|code| code.trim_end().to_owned())
}

/// All runs of kernels.
fn steps(plan: &Plan) -> impl Iterator<Item = &KernelStep> {
    plan.blocks.iter().flat_map(|b| &b.items).flat_map(|item| item.step.kernels())
}
