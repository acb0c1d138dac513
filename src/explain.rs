//! What a call of a program does and what it costs.

use crate::arguments::{Arg, describe, described, display_name};
use crate::cache::Special;
use crate::engine::Engine;
use crate::error::{Error, guarded};
use crate::failure::failed;
use crate::function::{Function, Ready};
use crate::options::Device;
use matex_ir::Span;
use matex_ir::tensor::bind::{Bindings, bind_sizes};
use matex_ir::tensor::{Kind, Node};
use matex_passes::Plan;
use matex_passes::plan::{KernelStep, OpSite, Source, Step as PlanStep};
use matex_runtime::{AsView, Executable, Given, HostCopy, Value};
use std::fmt::Write;

/// What a call costs.
///
/// ```
/// let cost = matex::compile("x + 1")?.cost(&[matex::Arg::new(&[1.0, 2.0])])?;
/// assert_eq!(cost.bytes, 32);
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Kernels that run; one in a loop counts once.
    pub kernels: usize,
    /// Library calls, such as a factorization; one in a loop counts once.
    pub library_calls: usize,
    /// Bytes of the arguments and of the results together.
    pub bytes: u64,
}

impl Function {
    /// How a call with these arguments is done and what it costs: kernels, library calls and bytes, a line each, and
    /// the rules by which the program was rewritten.
    ///
    /// # Errors
    /// As for [`call`](Function::call), before it runs.
    ///
    /// ```
    /// let text = matex::compile("sum(x * 2)")?.explain(&[&[1.0, 2.0]])?;
    /// assert!(text.contains("bytes: 16 in, 8 out"), "{text}");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn explain(&self, args: &[&dyn AsView]) -> Result<String, Error> {
        let args: Vec<Arg<'_>> = args.iter().map(|a| Arg::new(a)).collect();
        self.explain_with(&args)
    }

    /// [`explain`](Function::explain) for values by place, by name, or as literals.
    ///
    /// # Errors
    /// As for [`explain`](Function::explain).
    ///
    /// ```
    /// let text = matex::compile("x * 2")?.explain_with(&[matex::Arg::named("x", &1.5)])?;
    /// assert!(text.contains("kernels"), "{text}");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn explain_with(&self, args: &[Arg<'_>]) -> Result<String, Error> {
        guarded(|| self.with_ready(args, |ready| explain(self, ready)))
    }

    /// Why what runs equals what was written: for each value that has another form, the steps from the one to the other
    /// and the rule of each step.
    ///
    /// # Errors
    /// As for [`explain`](Function::explain).
    ///
    /// ```
    /// let proofs = matex::compile("log(1 + exp(x))")?.proofs(&[matex::Arg::new(&[1.0, 2.0])])?;
    /// assert!(proofs[0].contains("softplus(%x)  by softplus"), "{}", proofs[0]);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn proofs(&self, args: &[Arg<'_>]) -> Result<Vec<String>, Error> {
        guarded(|| {
            self.with_ready(args, |ready| {
                Ok(matex_passes::explain(&ready.special.func, &ready.special.passes).proofs)
            })
        })
    }

    /// What a call with these arguments costs.
    ///
    /// # Errors
    /// As for [`call`](Function::call), before it runs.
    ///
    /// ```
    /// let f = matex::compile("solve(A, b)")?;
    /// let cost = f.cost(&[matex::Arg::new(&[[2.0, 0.0], [0.0, 1.0]]), matex::Arg::new(&[1.0, 2.0])])?;
    /// assert_eq!(cost.library_calls, 1);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn cost(&self, args: &[Arg<'_>]) -> Result<Cost, Error> {
        guarded(|| self.with_ready(args, |ready| Ok(known(self, ready)?.cost)))
    }
}

/// What is known of a call before it runs.
struct Known {
    cost: Cost,
    /// The bytes of the arguments.
    bytes_in: u64,
    /// The kinds of the results.
    results: Vec<String>,
    steps: Vec<Step>,
    bindings: Bindings,
}

/// What a call costs.
fn known(function: &Function, ready: &Ready<'_>) -> Result<Known, Error> {
    let (func, given) = (&ready.special.func, ready.given());
    let fail = |e| function.error(vec![failed(e, func, &given)]);
    let bindings = bind_sizes(&func.params, &described(func, given.iter().map(|(_, s)| *s))).map_err(fail)?;
    let size = |count: usize, dtype: matex_ir::DType| (count as u64).saturating_mul(dtype.size() as u64);
    let bytes_in = given.iter().fold(0u64, |sum, (_, s)| {
        sum.saturating_add(size(s.value.shape().iter().product(), s.value.dtype()))
    });
    let (mut bytes_out, mut results) = (0u64, Vec::new());
    for v in func.results() {
        let (ty, origin) = (func.ty(*v), func.node(*v).origin);
        let shape = bindings.extents(&ty.shape, origin).map_err(fail)?;
        let count = shape.iter().fold(1usize, |a, b| a.saturating_mul(*b));
        bytes_out = bytes_out.saturating_add(size(count, ty.dtype));
        let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
        results.push(if shape.is_empty() {
            ty.dtype.to_string()
        } else {
            format!("{}[{}]", ty.dtype, extents.join(", "))
        });
    }
    let steps = steps(function, ready.special, &bindings);
    let count = |kernel: bool| steps.iter().filter(|s| s.kernel == kernel).count();
    let bytes = bytes_in.saturating_add(bytes_out);
    let cost = Cost { kernels: count(true), library_calls: count(false), bytes };
    Ok(Known { cost, bytes_in, results, steps, bindings })
}

/// A kernel or a library call of a program.
struct Step {
    kernel: bool,
    text: String,
    /// What it does and what that takes, a line each.
    more: Vec<String>,
}

/// What a program does, in the order of its text; loops are not unrolled.
fn steps(function: &Function, special: &Special, bindings: &Bindings) -> Vec<Step> {
    match &special.engine {
        Engine::Plan(exe) => planned(function, exe, bindings),
        Engine::Interpreter => special.func.nodes.iter().filter_map(|n| interpreted(function, n)).collect(),
    }
}

fn interpreted(function: &Function, node: &Node) -> Option<Step> {
    let Kind::Lib(op) = &node.kind else { return None };
    let text = format!("call {}{}", op.name(), cited(function, node.origin));
    Some(Step { kernel: false, text, more: Vec::new() })
}

fn planned(function: &Function, exe: &Executable, bindings: &Bindings) -> Vec<Step> {
    let plan = exe.plan();
    let mut steps = Vec::new();
    for item in plan.blocks.iter().flat_map(|b| &b.items) {
        if exe.uses_gpu() && item.step.kernels().next().is_some() {
            let mut more = details(function, exe, &item.step, bindings);
            let kernels: Vec<&KernelStep> = item.step.kernels().collect();
            let apart = || (0..kernels.len()).map(|i| (i, Vec::new())).collect();
            let runs = exe.runs_as_one(&kernels, &|dim| bindings.eval(dim)).unwrap_or_else(|_| apart());
            for (kernel, parts) in runs {
                let mut text = run_somewhere(function, exe, kernels[kernel], bindings);
                for (i, part) in parts.into_iter().enumerate() {
                    let word = if i == 0 { ", with" } else { " and" };
                    let _ = write!(text, "{word} {}", named(exe, kernels[part]).0);
                }
                steps.push(Step { kernel: true, text, more: std::mem::take(&mut more) });
            }
        } else if item.step.kernels().next().is_some() {
            let products = item.step.kernels().filter(|k| k.gemm.is_some()).count();
            let texts = item.step.kernels().map(|k| run(function, exe, k)).collect::<Vec<_>>();
            let text = if products == 0 { texts.concat() } else { format!("call {}", texts.join(", with ")) };
            let more = details(function, exe, &item.step, bindings);
            steps.push(Step { kernel: products == 0, text, more });
        } else if let PlanStep::Routine { routine, inputs, outputs, origin } = &item.step {
            let place = if exe.uses_gpu() {
                let why = exe.routine_stays_on_cpu(routine, (inputs, outputs), &|dim| bindings.eval(dim));
                format!(" {}", somewhere(why))
            } else {
                String::new()
            };
            let text = format!("call {}{place}{}", routine.name(), cited(function, *origin));
            steps.push(Step { kernel: false, text, more: Vec::new() });
        }
    }
    steps
}

/// A run of a kernel in a program for the GPU, and where that is.
fn run_somewhere(function: &Function, exe: &Executable, step: &KernelStep, bindings: &Bindings) -> String {
    let (name, extents) = named(exe, step);
    let place = somewhere(exe.stays_on_cpu(step, &|dim| bindings.eval(dim)));
    format!("kernel {name} over [{extents}] {place}{}", cited(function, step.origin))
}

/// Where a step of a program for the GPU runs, given why it stays on the CPU.
fn somewhere(stays: Result<Option<String>, matex_runtime::GpuError>) -> String {
    match stays {
        Ok(None) => "on the GPU".to_owned(),
        Ok(Some(why)) => format!("on the CPU: {why}"),
        Err(e) => format!("nowhere: {e}"),
    }
}

/// The name of a kernel, and what it runs over.
fn named<'e>(exe: &'e Executable, step: &KernelStep) -> (&'e str, String) {
    let plan = exe.plan();
    let name = plan.kernels.get(step.kernel).map_or("?", |k| k.name.as_str());
    let extents: Vec<String> = step.extents.iter().map(|s| plan.dim(*s).to_string()).collect();
    (name, extents.join(", "))
}

/// A run of a kernel, or of what the library does instead.
fn run(function: &Function, exe: &Executable, step: &KernelStep) -> String {
    let ((name, extents), cited) = (named(exe, step), cited(function, step.origin));
    if let Some(gemm) = &step.gemm {
        let routine = gemm.name();
        return format!("{routine}, or when it is small kernel {name}, over [{extents}]{cited}");
    }
    let by = exe.compiled().get(step.kernel).map(|c| format!(" by {}", crate::stage::maker(c)));
    format!("kernel {name} over [{extents}]{}{cited}", by.unwrap_or_default())
}

/// The operations of a step that runs kernels, and what they take.
fn details(function: &Function, exe: &Executable, step: &PlanStep, bindings: &Bindings) -> Vec<String> {
    let mut more = Vec::new();
    let ops: Vec<&OpSite> = step.kernels().flat_map(|k| &k.ops).collect();
    if ops.len() > 1 {
        more.extend(ops.iter().map(|op| format!("{}{}", op.name, cited(function, op.origin))));
    }
    let work = exe.plan().work(step, &|dim| bindings.eval(dim));
    let (bytes, ops_done, time) = (work.bytes, work.ops, work.time / 1e3);
    let copy = if ops.is_empty() { "a copy: " } else { "" };
    more.push(format!("{copy}{bytes:.0} bytes, {ops_done:.0} operations, about {time:.1} us on the CPU"));
    if let PlanStep::Kernel(kernel) = step
        && kernel.gemm.is_none()
        && !exe.uses_gpu()
    {
        more.push(exe.threads(kernel, &|dim| bindings.eval(dim)));
    }
    more
}

/// The text that a step comes from, behind `  //`; one line, and not all of a long one.
fn cited(function: &Function, origin: Span) -> String {
    const SHOWN: usize = 60;
    let text = function.source().get(origin.start as usize..origin.end as usize).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.is_empty() {
        return String::new();
    }
    let cut: String = line.chars().take(SHOWN).collect();
    let more = if cut.len() < line.len() { "…" } else { "" };
    format!("  // {cut}{more}")
}

fn explain(function: &Function, ready: &Ready<'_>) -> Result<String, Error> {
    let Known { cost, bytes_in, results, steps, bindings } = known(function, ready)?;
    let special = ready.special;
    let args: Vec<String> =
        ready.given().iter().map(|(p, s)| format!("{}: {}", p.name, describe(&s.value))).collect();
    let mut out = format!("{}({}) -> ({})\n", special.func.name, args.join(", "), results.join(", "));
    // A String takes any text, so that writing to it cannot fail.
    let _ = writeln!(out, "engine: {}", special.engine.name());
    let _ = writeln!(out, "device: {}", device(function));
    copies(function, ready, &bindings).iter().for_each(|line| {
        let _ = writeln!(out, "{line}");
    });
    let _ = writeln!(out, "kernels: {}", cost.kernels);
    let _ = writeln!(out, "library calls: {}", cost.library_calls);
    for step in steps {
        let _ = writeln!(out, "  {}", step.text);
        step.more.iter().for_each(|line| {
            let _ = writeln!(out, "    {line}");
        });
    }
    if let Engine::Plan(exe) = &special.engine {
        let plan = exe.plan();
        let _ = writeln!(out, "not fused: {}", plan.apart.len());
        for apart in &plan.apart {
            let _ = writeln!(out, "  {}: {}{}", apart.op.name, apart.why, cited(function, apart.op.origin));
        }
        let peak = plan.peak_bytes(&|dim| bindings.eval(dim));
        let _ = writeln!(out, "peak memory: {peak} bytes besides the arguments");
        let on_host = function.options().device != Device::Gpu;
        if let Some(shared) = temporaries(plan, &bindings).filter(|_| on_host) {
            let _ = writeln!(out, "  {shared}");
        }
        let mut donated: Vec<String> = plan.donated().map(|p| display_name(&p.name)).collect();
        donated.dedup();
        if !donated.is_empty() && on_host {
            let _ = writeln!(out, "  used again when given away (`call_owned`): {}", donated.join(", "));
        }
    }
    let _ = writeln!(out, "bytes: {bytes_in} in, {} out", cost.bytes - bytes_in);
    let _ = write!(out, "{}", rewritten(function, special));
    let _ = writeln!(out, "guards: {}", special.func.guards.len());
    for guard in &special.func.guards {
        let _ = writeln!(out, "  {}: {}", guard.code, guard.message);
    }
    Ok(out)
}

/// Where the values between kernels lie.
fn temporaries(plan: &Plan, bindings: &Bindings) -> Option<String> {
    let bytes = |slot| bindings.eval(plan.dim(slot)).map_or(0, |v| v.max(0) as u64);
    let places = plan.arena.places(|piece| bytes(piece.bytes));
    let count = places.pieces.len();
    let hosted = places.pieces.iter().filter(|p| p.host.is_some()).count();
    let alone: u64 = places.pieces.iter().map(|p| p.bytes).sum();
    let total = places.total;
    let text = format!("temporaries: {alone} bytes in {total}, {hosted} of {count} where a result will be");
    (count > 0).then_some(text)
}

/// What a call copies between host and GPU, a line each; nothing for a program on the CPU that is given nothing from there.
fn copies(function: &Function, ready: &Ready<'_>, bindings: &Bindings) -> Vec<String> {
    let given = ready.given();
    let lines: Vec<String> = match &ready.special.engine {
        Engine::Plan(exe) if exe.uses_gpu() => {
            let values: Vec<Value<'_>> = given.iter().map(|(_, slot)| slot.value.clone()).collect();
            match exe.copies(&values, &|dim| bindings.eval(dim)) {
                Ok(copies) => copies.iter().map(|c| copied(function, ready, exe, c)).collect(),
                Err(e) => vec![format!("none: {e}")],
            }
        }
        Engine::Plan(_) | Engine::Interpreter => {
            let away = given
                .iter()
                .filter_map(|(p, slot)| Some((p, slot.value.device().filter(|v| !v.is_on_host())?)));
            away.map(|(p, value)| format!("{} bytes from the GPU for {}", value.bytes(), p.name)).collect()
        }
    };
    let mut out = vec![format!("copies: {}", lines.len())];
    out.extend(lines.iter().map(|line| format!("  {line}")));
    let told = lines.is_empty() && function.options().device != Device::Gpu;
    if told { Vec::new() } else { out }
}

/// One copy.
fn copied(function: &Function, ready: &Ready<'_>, exe: &Executable, copy: &HostCopy) -> String {
    let plan = exe.plan();
    let decl = plan.buffer(copy.buffer);
    let result = plan.results.iter().position(|r| r.buffer == copy.buffer);
    let what = match (&decl.source, result.and_then(|i| ready.special.names.get(i))) {
        (Source::Param(p), _) => plan.params.get(*p as usize).map_or("an argument", |p| &p.name).to_owned(),
        (Source::Constant(_), _) => "a constant".to_owned(),
        (Source::Own, Some(name)) => format!("the result {name}"),
        (Source::Own, None) => format!("a value{}", cited(function, decl.origin)),
    };
    let way = if copy.up { "to" } else { "from" };
    let often = if copy.repeated { " at each step of a loop" } else { "" };
    format!("{} bytes {way} the GPU{often} for {what}", copy.bytes)
}

/// What was chosen to run on, and why.
fn device(function: &Function) -> String {
    match function.options().device {
        Device::Auto => "CPU (auto: the arguments are in its memory)".to_owned(),
        Device::Cpu => "CPU".to_owned(),
        Device::Gpu => match matex_runtime::gpu_info() {
            Ok(info) => format!("GPU ({}, {})", info.name, info.driver.trim()),
            Err(e) => e.to_string(),
        },
    }
}

/// The rules that made of the program what runs, with a limit that ended the search, and the sizes that were looked at.
fn rewritten(function: &Function, special: &Special) -> String {
    if let Engine::Interpreter = special.engine {
        return String::new();
    }
    let report = matex_passes::explain(&special.func, &special.passes);
    let mut out = format!("rules: {}\n", report.fired.len());
    for line in report.text(function.source()).lines() {
        let _ = writeln!(out, "  {line}");
    }
    let sizes = special.passes.sizes.stated();
    if !sizes.is_empty() {
        let _ = writeln!(out, "chosen for {sizes}");
    }
    out
}
