//! What a program becomes on its way to the machine, as text.

use crate::arguments::{Arg, declaration};
use crate::cache::Special;
use crate::engine::Engine;
use crate::error::{Error, guarded};
use crate::function::Function;
use crate::options::{UnknownChoice, choices};
use matex_ir::tensor::Func;
use matex_lang::unit::Signature;
use matex_passes::{LowerError, Options, PIPELINE, Plan, optimize};
use matex_runtime::{CompileError, Compiled, Executable, LayoutClass};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

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

impl Stage {
    /// The passes that lead from [`Stage::Tensor`] to [`Stage::Optimized`], in their order: names, and what each does.
    ///
    /// ```
    /// assert_eq!(matex::Stage::passes()[0].0, "canonicalize");
    /// ```
    pub fn passes() -> Vec<(&'static str, &'static str)> {
        PIPELINE.iter().map(|pass| (pass.name, pass.about)).collect()
    }
}

impl Function {
    /// The program at a stage, for arguments of the declared types; stable text, fit for snapshots. A stage that this
    /// program or this build does not have says so. Where a choice depends on sizes, they are taken to be 1024, which
    /// the text states.
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
}

/// The program at a stage.
pub(crate) fn show(stage: Stage, special: &Special) -> String {
    let Special { func, engine, passes, .. } = special;
    match (stage, engine) {
        (Stage::Tensor, _) => func.to_string(),
        (Stage::Wgsl, _) => wgsl(special),
        (_, Engine::Plan(exe)) => show_plan(stage, func, exe, passes),
        (_, Engine::Interpreter) => {
            let runs = "the interpreter runs the tensor IR as it stands";
            match stage {
                Stage::Optimized => format!("// nothing is rewritten: {runs}\n{func}"),
                Stage::Plan => format!("// one step: {runs}\ninterpret @{}\n", func.name),
                Stage::Tensor | Stage::Kernels | Stage::Clif | Stage::Asm | Stage::Wgsl => {
                    format!("// no kernels are compiled: {runs}\n")
                }
            }
        }
    }
}

/// The kernels of the GPU, whatever the program runs on here.
fn wgsl(special: &Special) -> String {
    match gpu_plan(special) {
        Ok((plan, _)) if plan.kernels.is_empty() => "// this program has no kernels\n".to_owned(),
        Ok((_, text)) => text,
        Err(e) => format!("// there is no plan: {e}\n"),
    }
}

/// The plan for a GPU, and its kernels as WGSL.
pub(crate) fn gpu_plan(special: &Special) -> Result<(Plan, String), LowerError> {
    // Options of its own: what is looked at here is none of what the program's plan was chosen by.
    let passes = special.passes.clone();
    let class = |strided: &bool| if *strided { LayoutClass::Strided } else { LayoutClass::Contiguous };
    // Parameters without a value are none of the function.
    let given = special.args.iter().zip(&special.strided).filter(|(arg, _)| arg.is_some());
    let classes: Vec<LayoutClass> = given.map(|(_, strided)| class(strided)).collect();
    let func = optimize(&special.func, &passes).0;
    let sizes = |dim: &matex_ir::Dim| Some(passes.sizes.estimate(dim) as i64);
    let plan = matex_passes::lower_unexpanded(&func, &classes, &passes)?;
    let text = matex_runtime::wgsl(&plan, &sizes);
    Ok((plan, text))
}

/// A stage of a program that has a plan.
fn show_plan(stage: Stage, func: &Func, exe: &Executable, passes: &Options) -> String {
    let plan = exe.plan();
    let code = |show: fn(&Compiled) -> Result<String, CompileError>| {
        let one = |c: &Arc<Compiled>| {
            let text = show(c).unwrap_or_else(|e| format!("cannot be shown: {e}"));
            format!("// kernel {}, by {}\n{}\n", c.kernel().name, maker(c), text.trim_end())
        };
        if exe.compiled().is_empty() {
            None
        } else {
            Some(exe.compiled().iter().map(one).collect::<String>())
        }
    };
    let none = |what: &str| format!("// there is no {what}: this program has no compiled kernels\n");
    let text = match stage {
        Stage::Optimized => return optimized(func, passes),
        Stage::Kernels if plan.kernels.is_empty() => none("loop IR"),
        Stage::Kernels => plan.kernels_text(),
        Stage::Plan => plan.to_string(),
        Stage::Clif => code(|c| c.clif()).unwrap_or_else(|| none("Cranelift IR")),
        Stage::Asm => code(|c| c.disassembly()).unwrap_or_else(|| none("machine code")),
        Stage::Tensor | Stage::Wgsl => String::new(),
    };
    chosen_for(passes) + &text
}

/// What sizes were taken to be where a choice depends on them: a comment, or nothing.
fn chosen_for(passes: &Options) -> String {
    let sizes = passes.sizes.stated();
    if sizes.is_empty() { sizes } else { format!("// chosen for {sizes}\n") }
}

/// Which emitter made a kernel, and why not the one of wide vectors.
pub(crate) fn maker(c: &Compiled) -> String {
    match c.refused() {
        Some(why) => format!("{} ({why})", c.emitter()),
        None => c.emitter().to_string(),
    }
}

/// The tensor IR after the optimizer, and above it what sizes were taken to be and which limit ended the search.
fn optimized(func: &Func, passes: &Options) -> String {
    let (out, report) = optimize(func, passes);
    let limit = report.limit.map(|limit| format!("// {limit}\n"));
    format!("{}{}{out}", limit.unwrap_or_default(), chosen_for(passes))
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
