//! Checks a program for one set of dtypes and ranks, and makes its tensor IR.
//!
//! The checker walks the syntax tree once, in the order of execution, with a value for every variable; calls of user
//! functions are expanded where they stand. It reports what is wrong in the user's words and goes on behind the
//! statement, so that one run finds independent errors. Sizes are symbols: what the checker can neither prove nor
//! refute becomes a guard of the function ([`dims`]).

mod args;
mod builtins;
mod call;
mod callable;
mod control;
mod derivative;
mod derived;
mod dims;
mod domain;
mod expr;
mod index;
mod list;
mod operators;
mod params;
mod recursion;
mod resolve;
mod slice;
mod spellings;
mod spread;
mod stmt;
mod transform;
mod update;
mod value;
mod vectorize;

pub use builtins::functions;
pub(crate) use builtins::is_builtin;
pub(crate) use domain::help_of_domain;
pub(crate) use resolve::{Entry, resolve};
pub use spellings::not_a_variable;

use crate::ast::{Ast, Form, Name, Program};
use crate::codes;
use crate::diag::Diagnostic;
use crate::limits::Limits;
use crate::unit::{ArgSpec, Step};
use dims::Unifier;
use matex_ir::tensor::verify::verify;
use matex_ir::tensor::{Builder, Func, Guard, Node, TensorType, Type, ValueId};
use matex_ir::{Code, DType, Dim, Span};
use std::collections::HashMap;
use value::{Val, Value};

/// The error has been reported: unwind to the statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported;

pub(crate) type R<T> = Result<T, Reported>;

/// The most dimensions of a tensor: NumPy's limit.
const MAX_RANK: usize = 64;

/// More errors than anybody reads.
const MAX_ERRORS: usize = 64;

/// The names of one function while its body is checked.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Variables and parameters.
    pub(crate) vars: HashMap<Name, Value>,
    /// Names of sizes.
    pub(crate) sizes: HashMap<Name, Dim>,
    /// The dtype that `float`, `int` or `num` stands for, once an argument has fixed it.
    pub(crate) generic: Option<DType>,
    /// Names first assigned in each open block, which end with it.
    pub(crate) scopes: Vec<Vec<Name>>,
}

/// The state of checking one program.
pub(crate) struct Checker<'a> {
    pub(crate) source: &'a str,
    pub(crate) ast: &'a Ast,
    pub(crate) form: &'a Form,
    pub(crate) fns: HashMap<Name, crate::ast::FnId>,
    pub(crate) b: Builder,
    pub(crate) unifier: Unifier,
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) limits: &'a Limits,
    pub(crate) frame: Frame,
    /// The extents of each argument, where it is checked for one call.
    pub(crate) extents: &'a [Option<Vec<usize>>],
    /// Open calls of user functions and regions, which nest in the result.
    pub(crate) depth: usize,
    /// Nodes made so far, those of abandoned attempts included.
    pub(crate) work: usize,
    /// Open branches and loop bodies, which may not run at all.
    pub(crate) conditional: usize,
    /// How many derivatives are being taken of what is checked.
    pub(crate) differentiated: usize,
    /// Where a bound is worked out inside of those: conditions to be checked when it is used, instead of guards, which
    /// would hold for the whole call.
    pub(crate) deferred: Option<Vec<Guard>>,
}

/// What a program is checked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    /// One for each parameter; `None` takes the default.
    pub(crate) args: &'a [Option<ArgSpec>],
    /// Their extents, to tell why one call failed; none to check for all sizes.
    pub(crate) extents: &'a [Option<Vec<usize>>],
    /// What is done to the entry, the first first.
    pub(crate) derived: &'a [Step],
    /// The name of what comes out.
    pub(crate) name: &'a str,
    /// The names of the parameters of what comes out.
    pub(crate) names: &'a [&'a str],
}

/// Checks a program for arguments and makes its function.
pub(crate) fn check<'a>(
    source: &'a str,
    program: &'a Program,
    entry: &Entry,
    given: &Given<'a>,
    limits: &'a Limits,
) -> Result<Func, Vec<Diagnostic>> {
    let fns = program.ast.fns().iter().enumerate();
    let mut c = Checker {
        source,
        ast: &program.ast,
        form: &program.form,
        fns: fns.map(|(i, f)| (f.name.name.clone(), crate::ast::FnId(i as u32))).collect(),
        b: Builder::new("main", Vec::new()),
        unifier: Unifier::default(),
        errors: Vec::new(),
        limits,
        frame: Frame::default(),
        extents: given.extents,
        depth: 0,
        work: 0,
        conditional: 0,
        differentiated: 0,
        deferred: None,
    };
    let outcome = c.program(program, entry, given);
    match outcome {
        Ok(func) if c.errors.is_empty() => Ok(func),
        _ => Err(c.reported()),
    }
}

fn tensor_type(node: &Node) -> Option<&TensorType> {
    if let Type::Tensor(t) = &node.ty { Some(t) } else { None }
}

/// A value of more axes than there may be.
fn too_deep(node: &Node) -> Option<Diagnostic> {
    let rank = tensor_type(node)?.rank();
    let message = format!("a tensor of {rank} dimensions, the most are {MAX_RANK}");
    (rank > MAX_RANK).then(|| Diagnostic::new(codes::LIMIT_RANK, message).help("join axes with reshape"))
}

/// A value that no machine can hold: even where it is never put into memory, its elements could not be counted.
fn unwieldy(node: &Node) -> Option<Diagnostic> {
    let ty = tensor_type(node)?;
    let mut extents = ty.shape.iter().filter_map(|d| d.as_const()).filter(|n| *n > 0);
    let bytes = extents.try_fold(ty.dtype.size() as i64, i64::checked_mul);
    let d = match bytes {
        Some(_) => too_deep(node)?,
        None => Diagnostic::new(codes::LIMIT_ELEMENTS, format!("{ty} has more elements than can be counted"))
            .help("sizes are multiplied here: reduce or take a part before"),
    };
    Some(d.primary(node.origin, "this value"))
}

impl Checker<'_> {
    fn program(&mut self, program: &Program, entry: &Entry, given: &Given<'_>) -> R<Func> {
        let at = program.span;
        let args = given.args;
        let result = match (&program.form, entry) {
            _ if !given.derived.is_empty() => self.derived_entry(entry, given, at)?,
            (Form::Expr(e), Entry::Free(names)) => {
                self.free_params(names, args)?;
                self.expr(*e)?
            }
            (Form::Block(block), Entry::Free(names)) => {
                self.free_params(names, args)?;
                self.body(*block, at)?
            }
            (_, Entry::Function(id)) => {
                let def = &self.ast[*id];
                self.entry_params(def, args)?;
                let value = self.body(def.body, def.span)?;
                self.declared_result(def, value)?
            }
            (_, Entry::Free(_)) => return self.bug("the entry does not fit the program", at),
        };
        let (vals, names) = match result {
            Value::Tensor(v) if !given.derived.is_empty() => (vec![v], vec![None]),
            Value::Tuple(vs) if !given.derived.is_empty() => {
                let names = vec![None; vs.len()];
                (vs, names)
            }
            Value::Tensor(v) => (vec![v], vec![self.result_name(program, entry, 0)]),
            Value::Tuple(vs) => {
                let names = (0..vs.len()).map(|i| self.result_name(program, entry, i)).collect();
                (vs, names)
            }
            Value::Poison => return Err(Reported),
        };
        if !self.errors.is_empty() {
            return Err(Reported);
        }
        let empty = Builder::new("", Vec::new());
        let mut func =
            std::mem::replace(&mut self.b, empty).finish(vals.iter().map(|v| v.id).collect(), names);
        let impossible = self.unifier.apply(&mut func);
        for g in impossible {
            let text = format!("{}: {} against {}", g.message, g.left, g.right);
            self.errors.push(Diagnostic::new(g.code, text).primary(g.origin, "can never hold"));
        }
        if let Some(d) = func.nodes.iter().find_map(unwieldy) {
            self.errors.push(d);
        }
        if cfg!(debug_assertions) && self.errors.is_empty() {
            for v in verify(&func) {
                let message = format!("the checker made a wrong function: {v}");
                self.errors.push(Diagnostic::new(codes::INTERNAL, message).note(func.to_string()));
            }
        }
        Ok(func)
    }

    /// Everything that was reported, each thing once: the body of a function called twice is checked twice.
    fn reported(&mut self) -> Vec<Diagnostic> {
        let mut all: Vec<Diagnostic> = Vec::new();
        for d in self.errors.drain(..) {
            if !all.iter().any(|o| o.code == d.code && o.span() == d.span()) {
                all.push(d);
            }
        }
        if all.is_empty() {
            all.push(Diagnostic::new(codes::INTERNAL, "the checker gave up without a reason"));
        }
        all.sort_by_key(|d| d.span().map_or(0, |s| s.start));
        all.truncate(MAX_ERRORS);
        all
    }

    /// Reports an error.
    pub(crate) fn error<T>(&mut self, d: Diagnostic) -> R<T> {
        self.errors.push(d);
        Err(Reported)
    }

    /// Reports an error at one place, with what to type.
    pub(crate) fn fail<T>(
        &mut self,
        code: Code,
        message: impl Into<String>,
        at: Span,
        help: impl Into<String>,
    ) -> R<T> {
        self.error(Diagnostic::new(code, message).primary(at, "").help(help))
    }

    pub(crate) fn bug<T>(&mut self, message: &str, at: Span) -> R<T> {
        self.fail(codes::INTERNAL, message, at, "this is a bug in matex; please report it with the program")
    }

    /// The source text of a place.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.source.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The dtype of a value.
    pub(crate) fn dtype(&self, id: ValueId) -> DType {
        self.b.ty(id).dtype
    }

    pub(crate) fn rank(&self, id: ValueId) -> usize {
        self.b.ty(id).rank()
    }

    /// Counts the nodes made, attempts that were abandoned included, against the limit.
    pub(crate) fn check_size(&mut self, at: Span) -> R<()> {
        self.check_rank(at)?;
        let made = self.b.func().nodes.len() + self.work;
        if made <= self.limits.ir_nodes {
            return Ok(());
        }
        let message = format!("the program has more than {} operations", self.limits.ir_nodes);
        let d = Diagnostic::new(codes::LIMIT_IR_NODES, message).primary(at, "reached here");
        self.error(
            d.note("the limit is `Limits::ir_nodes`").help("use a loop instead of repeated text or calls"),
        )
    }

    /// Every node holds its shape, so that ranks without a bound would cost the square of the program's length.
    fn check_rank(&mut self, at: Span) -> R<()> {
        let last = self.b.func().nodes.last();
        match last.and_then(too_deep) {
            Some(d) => self.error(d.primary(at, "")),
            None => Ok(()),
        }
    }

    /// Runs `f` one level deeper, or reports that the program is nested too deeply.
    pub(crate) fn nested<T>(&mut self, at: Span, f: impl FnOnce(&mut Self) -> R<T>) -> R<T> {
        if self.depth >= self.limits.nesting_depth {
            let message = format!("calls and blocks nest deeper than {}", self.limits.nesting_depth);
            return self.fail(codes::LIMIT_NESTING, message, at, "the limit is `Limits::nesting_depth`");
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// A weak or strong tensor of one constant.
    pub(crate) fn constant(&mut self, s: matex_ir::Scalar) -> ValueId {
        self.b.scalar(s)
    }

    /// A size as a value.
    pub(crate) fn size_value(&mut self, d: Dim) -> Val {
        let id = match d.as_const() {
            Some(v) => self.b.scalar(matex_ir::Scalar::from_i128(DType::I64, v.into())),
            None => self.b.size(d.clone()),
        };
        Val { id, weak: false, dims: Some(vec![d]) }
    }
}
