//! What becomes of a program, taken apart for a tool that shows it.
//!
//! [`Function::explain`] and [`Function::dump`] give text for people; this gives the same things as values, each with the
//! places in the source that it comes from.

use crate::arguments::{Arg, described};
use crate::cache::Special;
use crate::engine::Engine;
use crate::error::{Error, guarded};
use crate::failure::failed;
use crate::function::{Function, Ready};
use crate::stage::{gpu_plan, head, maker};
use matex_ir::Span;
use matex_ir::loops::Role;
use matex_ir::tensor::bind::{Bindings, bind_sizes};
use matex_passes::optimize;
use matex_passes::plan::{BlockId, BufferId, KernelStep, Plan, PlanView, Slot, Source, Step};
use matex_runtime::Executable;

/// What becomes of a program: see [`Function::report`].
///
/// ```
/// let report = matex::compile("sum(x * 2)")?.report(&[matex::Arg::new(&[1.0, 2.0])])?;
/// assert_eq!(report.steps.len(), 1);
/// assert_eq!(report.steps[0].bytes, 24.0);
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The name, the parameters and the results.
    pub title: String,
    /// The text that it was compiled from; places are bytes of it.
    pub source: String,
    /// The tensor IR, as the front end makes it.
    pub tensor: Vec<Line>,
    /// The tensor IR after the optimizer.
    pub optimized: Vec<Line>,
    /// Why what runs equals what was written, a text for each value that has another form.
    pub rewritings: Vec<String>,
    /// What runs, in its order; what is in a loop stands once.
    pub steps: Vec<ReportedStep>,
    /// The kernels that the steps run.
    pub kernels: Vec<ReportedKernel>,
    /// The kernels as WGSL, whatever the program runs on.
    pub wgsl: Vec<Line>,
    /// Memory besides the arguments and constants.
    pub buffers: Vec<ReportedBuffer>,
    /// The most bytes that a call holds at a time, besides the arguments.
    pub peak_bytes: u64,
}

/// A line of a text, and the places that it comes from.
///
/// ```
/// let report = matex::compile("x * 2.5")?.report(&[matex::Arg::new(&[1.5])])?;
/// let line = report.tensor.iter().find(|l| l.text.contains("= mul ")).unwrap();
/// assert_eq!((line.origins[0].start, line.origins[0].end), (0, 7));
/// let multiplies = |l: &&matex::Line| l.origins == line.origins;
/// assert!(report.kernels[0].assembly.iter().filter(multiplies).count() > 0);
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The line.
    pub text: String,
    /// The places, for lines that have some; several where a kernel runs for several.
    pub origins: Vec<Span>,
}

/// Something that the runtime does.
///
/// ```
/// let report = matex::compile("sum(x * 2)")?.report(&[matex::Arg::new(&[1.0, 2.0])])?;
/// let step = &report.steps[0];
/// assert_eq!((step.depth, step.kernels.len(), step.operations), (0, 1, 4.0));
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReportedStep {
    /// The number under which the spans of a call name it.
    pub id: Option<usize>,
    /// What it is: the names of its kernels, a library call, a loop.
    pub name: String,
    /// How many loops and branches are around it.
    pub depth: usize,
    /// Its kernels, by their place in [`Report::kernels`].
    pub kernels: Vec<usize>,
    /// The places that it comes from.
    pub origins: Vec<Span>,
    /// The buffers that it reads, by their number.
    pub reads: Vec<u32>,
    /// The buffers that it writes.
    pub writes: Vec<u32>,
    /// Bytes that it reads and writes.
    pub bytes: f64,
    /// Scalar operations.
    pub operations: f64,
    /// What it is expected to take, in microseconds; nothing for library calls and loops.
    pub expected_us: Option<f64>,
}

/// A kernel at all of its stages.
///
/// ```
/// let report = matex::compile("x * 2")?.report(&[matex::Arg::new(&[1.0, 2.0])])?;
/// let kernel = &report.kernels[0];
/// assert!(kernel.loops[0].text.contains("kernel") && !kernel.assembly.is_empty());
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedKernel {
    /// Its name.
    pub name: String,
    /// Which emitter made it; empty where kernels are interpreted.
    pub maker: String,
    /// The loop IR.
    pub loops: Vec<Line>,
    /// Cranelift's IR.
    pub clif: Vec<Line>,
    /// Machine code.
    pub assembly: Vec<Line>,
    /// The places that its operations come from.
    pub origins: Vec<Span>,
}

/// A piece of memory, and while which steps it is held.
///
/// ```
/// let report = matex::compile("x * 2")?.report(&[matex::Arg::new(&[1.0, 2.0])])?;
/// assert_eq!((report.buffers[0].bytes, report.buffers[0].from), (16, 0));
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedBuffer {
    /// Its number.
    pub number: u32,
    /// Its size.
    pub bytes: u64,
    /// The first step that it is held at.
    pub from: usize,
    /// The step behind the last one.
    pub to: usize,
    /// Whether it is a result.
    pub result: bool,
}

impl Function {
    /// What becomes of the program for these arguments, at all of its stages.
    ///
    /// # Errors
    /// As for [`call`](Function::call), before it runs.
    ///
    /// ```
    /// let report = matex::compile("fn f(x: f64[n]) -> f64 { sum(x) }")?.report(&[matex::Arg::new(&[1.0])])?;
    /// assert_eq!(report.title, "f(x: f64[n]) -> f64");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn report(&self, args: &[Arg<'_>]) -> Result<Report, Error> {
        guarded(|| self.with_ready(args, |ready| report(self, ready)))
    }
}

fn lines(func: &matex_ir::tensor::Func) -> Vec<Line> {
    let line = |(text, origin): (String, Option<Span>)| Line { text, origins: origin.into_iter().collect() };
    func.lines().into_iter().map(line).collect()
}

fn report(function: &Function, ready: &Ready<'_>) -> Result<Report, Error> {
    let Special { func, engine, passes, .. } = ready.special;
    let given = ready.given();
    let bindings = bind_sizes(&func.params, &described(func, given.iter().map(|(_, s)| *s)));
    let bindings = bindings.map_err(|e| function.error(vec![failed(e, func, &given)]))?;
    let mut out = Report {
        title: head(function.signature()),
        source: function.source().to_owned(),
        tensor: lines(func),
        ..Report::default()
    };
    let Engine::Plan(exe) = engine else { return Ok(out) };
    out.optimized = lines(&optimize(func, passes).0);
    out.rewritings = matex_passes::explain(func, passes).proofs;
    out.kernels = kernels(exe);
    out.wgsl = wgsl(ready.special);
    let plan = exe.plan();
    out.peak_bytes = plan.peak_bytes(&|dim| bindings.eval(dim));
    let mut walk = Walk { plan, bindings: &bindings, held: vec![None; plan.buffers.len()], out: &mut out };
    walk.block(plan.body, 0);
    walk.results();
    for step in &out.steps {
        for k in &step.kernels {
            if let Some(kernel) = out.kernels.get_mut(*k) {
                kernel.origins.extend(&step.origins);
            }
        }
    }
    Ok(out)
}

/// All runs of kernels in a plan.
fn runs(plan: &Plan) -> impl Iterator<Item = &KernelStep> {
    plan.blocks.iter().flat_map(|b| &b.items).flat_map(|item| item.step.kernels())
}

/// The places that a run comes from.
fn places(k: &KernelStep) -> impl Iterator<Item = Span> {
    k.ops.iter().map(|op| op.origin).chain([k.origin])
}

/// The kernels for a GPU; each line comes from all that its kernel comes from.
fn wgsl(special: &Special) -> Vec<Line> {
    let Ok((plan, text)) = gpu_plan(special) else { return Vec::new() };
    let mut steps = (0..plan.kernels.len()).filter_map(|k| runs(&plan).find(|s| s.kernel == k));
    let mut origins = Vec::new();
    let line = |text: &str| {
        if text.starts_with("// kernel ") {
            origins = steps.next().into_iter().flat_map(places).collect();
        }
        Line { text: text.to_owned(), origins: origins.clone() }
    };
    text.lines().map(line).collect()
}

fn kernels(exe: &Executable) -> Vec<ReportedKernel> {
    let plan = exe.plan();
    let one = |(i, k): (usize, &std::sync::Arc<matex_ir::loops::Kernel>)| {
        let line = |(text, of): matex_runtime::Line| {
            let steps = runs(plan).filter(|s| s.kernel == i);
            let mut origins: Vec<Span> = steps.filter_map(|s| plan.origin(s, of?)).collect();
            origins.dedup();
            Line { text, origins }
        };
        let lines = |text: Vec<matex_runtime::Line>| text.into_iter().map(line).collect();
        let compiled = exe.compiled().get(i);
        ReportedKernel {
            name: k.name.clone(),
            maker: compiled.map(|c| maker(c)).unwrap_or_default(),
            loops: lines(k.lines()),
            clif: lines(compiled.and_then(|c| c.clif_listing().ok()).unwrap_or_default()),
            assembly: lines(compiled.and_then(|c| c.listing().ok()).unwrap_or_default()),
            origins: Vec::new(),
        }
    };
    plan.kernels.iter().enumerate().map(one).collect()
}

/// Goes through a plan in the order of its text.
struct Walk<'a> {
    plan: &'a Plan,
    bindings: &'a Bindings,
    /// The step at which each buffer got its memory.
    held: Vec<Option<usize>>,
    out: &'a mut Report,
}

impl Walk<'_> {
    fn block(&mut self, id: BlockId, depth: usize) {
        let plan = self.plan;
        for item in &plan.block(id).items {
            self.step(&item.step, depth);
            item.frees.iter().for_each(|b| self.freed(*b));
        }
    }

    fn step(&mut self, step: &Step, depth: usize) {
        match step {
            Step::Alloc(to) | Step::Reuse { to, .. } | Step::Size { to, .. } => self.filled(*to),
            Step::Move { to, .. } => to.iter().for_each(|b| self.filled(*b)),
            Step::Kernel(_) | Step::Panels(_) => self.runs(step, depth),
            Step::Take { to, .. } => {
                self.filled(*to);
                self.runs(step, depth);
            }
            Step::Routine { routine, inputs, outputs, origin } => {
                let buffers = |views: &[PlanView]| views.iter().map(|v| v.place.buffer.0).collect();
                self.out.steps.push(ReportedStep {
                    name: routine.name().to_owned(),
                    depth,
                    origins: vec![*origin],
                    reads: buffers(inputs),
                    writes: buffers(outputs),
                    ..ReportedStep::default()
                });
            }
            Step::For { counter, body, origin, .. } => {
                self.filled(*counter);
                self.head("for", depth, *origin);
                self.block(*body, depth + 1);
            }
            Step::While { test, body, origin, .. } => {
                self.head("while", depth, *origin);
                self.block(*test, depth + 1);
                self.block(*body, depth + 1);
            }
            Step::If { condition, yes, no, .. } => {
                self.head("if", depth, self.plan.buffer(condition.place.buffer).origin);
                self.block(*yes, depth + 1);
                self.block(*no, depth + 1);
            }
            Step::Index { .. } | Step::Check { .. } => {}
        }
    }

    fn head(&mut self, name: &str, depth: usize, origin: Span) {
        let name = name.to_owned();
        self.out.steps.push(ReportedStep { name, depth, origins: vec![origin], ..ReportedStep::default() });
    }

    /// A step that runs kernels.
    fn runs(&mut self, step: &Step, depth: usize) {
        let work = self.plan.work(step, &|dim| self.bindings.eval(dim));
        let mut made = ReportedStep {
            id: step.kernels().next().map(|k| k.id),
            depth,
            bytes: work.bytes,
            operations: work.ops,
            expected_us: Some(work.time / 1e3),
            ..ReportedStep::default()
        };
        let mut names = Vec::new();
        for k in step.kernels() {
            names.push(self.kernel(k, &mut made));
        }
        made.name = names.join(" + ");
        made.origins.sort_unstable_by_key(|o| (o.start, o.end));
        made.origins.dedup();
        self.out.steps.push(made);
    }

    fn kernel(&self, k: &KernelStep, into: &mut ReportedStep) -> String {
        into.kernels.push(k.kernel);
        into.origins.extend(places(k));
        let Some(kernel) = self.plan.kernels.get(k.kernel) else { return String::new() };
        for (operand, binding) in kernel.operands.iter().zip(&k.operands) {
            let side = if operand.role == Role::In { &mut into.reads } else { &mut into.writes };
            if !side.contains(&binding.place.buffer.0) {
                side.push(binding.place.buffer.0);
            }
        }
        if k.gemm.is_some() { format!("gemm {}", kernel.name) } else { kernel.name.clone() }
    }

    fn filled(&mut self, buffer: BufferId) {
        self.freed(buffer);
        self.held[buffer.0 as usize] = Some(self.out.steps.len());
    }

    fn freed(&mut self, buffer: BufferId) {
        if let Some(from) = self.held[buffer.0 as usize].take() {
            self.ends(buffer, from, false);
        }
    }

    fn ends(&mut self, buffer: BufferId, from: usize, result: bool) {
        let to = self.out.steps.len().max(from + 1);
        let bytes = self.size(self.plan.buffer(buffer).bytes);
        self.out.buffers.push(ReportedBuffer { number: buffer.0, bytes, from, to, result });
    }

    fn size(&self, slot: Slot) -> u64 {
        self.bindings.eval(self.plan.dim(slot)).map_or(0, |v| v.max(0) as u64)
    }

    /// What is held at the end: results, and buffers that hold the same memory as one of them.
    fn results(&mut self) {
        for (i, from) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let buffer = BufferId(i as u32);
            let own = matches!(self.plan.buffer(buffer).source, Source::Own);
            if let Some(from) = from.filter(|_| own) {
                let result = self.plan.results.iter().any(|r| r.buffer == buffer);
                self.ends(buffer, from, result);
            }
        }
        self.out.buffers.sort_by_key(|b| (b.from, b.number));
    }
}
