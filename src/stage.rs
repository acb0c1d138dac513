//! What a program becomes on its way to the machine, as text, and what a call of it costs.

use crate::arguments::{Arg, declaration, describe};
use crate::cache::Special;
use crate::engine::Engine;
use crate::error::{Error, guarded};
use crate::failure::diagnose;
use crate::function::{Function, Ready};
use crate::options::{UnknownChoice, choices};
use matex_ir::tensor::bind::{Argument, bind_sizes};
use matex_ir::tensor::{Func, Kind, LibOp};
use matex_lang::unit::Signature;
use matex_runtime::AsView;
use std::fmt;
use std::fmt::Write;
use std::str::FromStr;

choices! {
    /// A step of a program on its way to the machine.
    ///
    /// ```
    /// use matex::Stage;
    /// assert_eq!("kernels".parse(), Ok(Stage::Kernels));
    /// assert_eq!(Stage::ALL.len(), 7);
    /// ```
    Stage {
        /// The tensor IR, as the front end makes it.
        #[default]
        Tensor = "tensor",
        /// The tensor IR after the optimizer.
        Optimized = "optimized",
        /// The loop IR: one fused loop nest a kernel.
        Kernels = "kernels",
        /// What is done in which order: kernels, library calls, copies, loops.
        Plan = "plan",
        /// Cranelift's IR.
        Clif = "clif",
        /// Machine code.
        Asm = "asm",
        /// The GPU's kernels.
        Wgsl = "wgsl",
    }
}

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
    /// Kernels that run, each counted once.
    pub kernels: usize,
    /// Library calls, such as a factorization, each counted once.
    pub library_calls: usize,
    /// Bytes of the arguments and of the results together.
    pub bytes: u64,
}

impl Function {
    /// The program at a stage, for arguments of the declared types; stable text, fit for snapshots. A stage that this
    /// program or this build does not have says so.
    ///
    /// # Errors
    /// E0505 when a parameter has no type; [`dump_for`](Function::dump_for) takes arguments instead.
    ///
    /// ```
    /// use matex::Stage;
    /// let f = matex::compile("fn double(x: f64[n]) -> f64[n] { x + x }")?;
    /// assert!(f.dump(Stage::Tensor)?.starts_with("func @double(%x: f64[n]) -> f64[n] {\n"));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn dump(&self, stage: Stage) -> Result<String, Error> {
        guarded(|| Ok(show(stage, &*self.assumed()?)))
    }

    /// The program at a stage, for these arguments.
    ///
    /// # Errors
    /// As for [`call`](Function::call), before it runs.
    ///
    /// ```
    /// use matex::{Arg, Stage};
    /// let text = matex::compile("x + x")?.dump_for(Stage::Tensor, &[Arg::new(&[1.0, 2.0])])?;
    /// assert!(text.starts_with("func @main(%x: f64["));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn dump_for(&self, stage: Stage, args: &[Arg<'_>]) -> Result<String, Error> {
        guarded(|| self.with_ready(args, |ready| Ok(show(stage, ready.special))))
    }

    /// How a call with these arguments is done and what it costs: kernels, library calls and bytes, a line each.
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
        let args: Vec<Arg<'_>> = args.iter().map(|a| Arg::new(*a)).collect();
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
        guarded(|| self.with_ready(args, |ready| Ok(cost(self, ready)?.0)))
    }
}

/// The program at a stage.
pub(crate) fn show(stage: Stage, special: &Special) -> String {
    let Special { func, engine: Engine::Interpreter, .. } = special;
    let runs = "the interpreter runs the tensor IR as it stands";
    match stage {
        Stage::Tensor => func.to_string(),
        Stage::Optimized => format!("// nothing is rewritten: {runs}\n{func}"),
        Stage::Kernels => format!("// no kernels are compiled: {runs}\n"),
        Stage::Plan => format!("// one step: {runs}\ninterpret @{}\n", func.name),
        Stage::Clif => format!("// no kernels are compiled, so that there is no Cranelift IR: {runs}\n"),
        Stage::Asm => format!("// no kernels are compiled, so that there is no machine code: {runs}\n"),
        Stage::Wgsl => "// this program has no GPU kernels in this build of matex\n".to_owned(),
    }
}

/// `ols(X: f64[n, k], y: f64[n]) -> f64[k]`.
pub(crate) fn head(signature: &Signature) -> String {
    let params: Vec<String> = signature.params.iter().map(declaration).collect();
    let results = match signature.results.as_deref() {
        None => String::new(),
        Some([one]) => format!(" -> {one}"),
        Some(several) => format!(" -> ({})", several.join(", ")),
    };
    format!("{}({}){results}", signature.name, params.join(", "))
}

/// What a call costs: the counts, the bytes of the arguments, and the kinds of the results.
fn cost(function: &Function, ready: &Ready<'_>) -> Result<(Cost, u64, Vec<String>), Error> {
    let (func, given) = (&ready.special.func, ready.given());
    let fail = |e| function.error(vec![diagnose(e, func, &given)]);
    let described: Vec<Argument<'_>> = given
        .iter()
        .zip(&func.params)
        .map(|((_, slot), p)| {
            let scalar = slot.view.get(&[]).filter(|s| s.dtype().is_int());
            let int = scalar.and_then(|s| i64::try_from(s.to_i128()).ok());
            let dtype = if slot.weak { p.ty.dtype } else { slot.view.dtype() };
            Argument { dtype, shape: slot.view.shape(), int }
        })
        .collect();
    let bindings = bind_sizes(&func.params, &described).map_err(fail)?;
    let size = |count: usize, dtype: matex_ir::DType| (count as u64).saturating_mul(dtype.size() as u64);
    let bytes_in =
        given.iter().fold(0u64, |sum, (_, s)| sum.saturating_add(size(s.view.len(), s.view.dtype())));
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
    let library_calls = calls(func).count();
    let bytes = bytes_in.saturating_add(bytes_out);
    Ok((Cost { kernels: 0, library_calls, bytes }, bytes_in, results))
}

/// The library calls of a function, by name and with what they give.
fn calls(func: &Func) -> impl Iterator<Item = String> + '_ {
    func.nodes.iter().filter_map(|n| {
        if let Kind::Lib(op) = &n.kind {
            Some(format!("call {} -> {}", library_name(op), n.ty))
        } else {
            None
        }
    })
}

fn library_name(op: &LibOp) -> &'static str {
    match op {
        LibOp::Sort { .. } => "sort",
        LibOp::Argsort { .. } => "argsort",
        LibOp::SearchSorted { .. } => "searchsorted",
        LibOp::Solve => "solve",
        LibOp::Lstsq => "lstsq",
    }
}

fn explain(function: &Function, ready: &Ready<'_>) -> Result<String, Error> {
    let (cost, bytes_in, results) = cost(function, ready)?;
    let special = ready.special;
    let args: Vec<String> =
        ready.given().iter().map(|(p, s)| format!("{}: {}", p.name, describe(&s.view))).collect();
    let mut out = format!("{}({}) -> ({})\n", special.func.name, args.join(", "), results.join(", "));
    let operations = special.func.nodes.len() - special.func.params.len().min(special.func.nodes.len());
    // A String takes any text, so that writing to it cannot fail.
    let _ = writeln!(out, "engine: {}, {operations} operations", special.engine.name());
    let _ = writeln!(out, "kernels: {}", cost.kernels);
    let _ = writeln!(out, "library calls: {}", cost.library_calls);
    for call in calls(&special.func) {
        let _ = writeln!(out, "  {call}");
    }
    let _ = writeln!(out, "bytes: {bytes_in} in, {} out", cost.bytes - bytes_in);
    let _ = writeln!(out, "guards: {}", special.func.guards.len());
    for guard in &special.func.guards {
        let _ = writeln!(out, "  {}: {}", guard.code, guard.message);
    }
    Ok(out)
}
