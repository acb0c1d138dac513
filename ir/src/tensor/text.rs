//! The text of a [`Func`], which [`parse`](super::parse()) reads back.
//!
//! ```text
//! func @ols(%X: f64[n, k], %y: f64[n]) -> f64[k] {
//!   guard 1 <= n, E0301 "there is nothing to fit"
//!   %2: f64[k, n] = permute %X, [1, 0]
//!   %3: f64[k, k] = dot %2, %X, contract [1:0]
//!   …
//!   return %6 as beta
//! }
//! ```
//! Values are numbered in the order in which they appear, so that two functions that compute alike read alike,
//! whatever was made and thrown away before. Source places are no part of it. A function that the verifier refuses
//! prints too, with `%?n` for what is no value of the place; such a text need not read back.

use super::{
    Func, Guard, GuardKind, Kind, LibOp, Literal, Node, ReduceOp, RegionId, ScanOp, SliceAxis, TensorType,
    UpdateAxis, ValueId,
};
use crate::dim::Dim;
use crate::dtype::{DType, Scalar};
use crate::span::Span;
use std::fmt::{self, Write};

impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut p = Printer::new(self);
        p.func()?;
        f.write_str(&p.out)
    }
}

impl Func {
    /// The lines of its text, each with the place in the source that its node comes from; others have none.
    pub fn lines(&self) -> Vec<(String, Option<Span>)> {
        let mut p = Printer::new(self);
        // A String takes any text, so that writing to it cannot fail.
        let _ = p.func();
        let mut origins = p.origins.into_iter().peekable();
        let mut start = 0;
        let mut line = |text: &str| {
            let origin = origins.next_if(|(at, _)| *at == start).map(|(_, origin)| origin);
            start += text.len();
            (text.trim_end_matches('\n').to_owned(), origin.filter(|o| *o != Span::default()))
        };
        p.out.split_inclusive('\n').map(&mut line).collect()
    }
}

/// Regions nested deeper than this are left out; the verifier refuses them.
const MAX_DEPTH: usize = 300;

struct Printer<'a> {
    func: &'a Func,
    out: String,
    names: Vec<Option<String>>,
    next: usize,
    /// Where the lines of nodes begin in the text, with their origins.
    origins: Vec<(usize, Span)>,
    /// Regions printed already: a malformed function may hold one twice, and then takes forever to print.
    printed: Vec<bool>,
}

impl<'a> Printer<'a> {
    fn new(func: &'a Func) -> Printer<'a> {
        let names = vec![None; func.nodes.len()];
        let printed = vec![false; func.regions.len()];
        Printer { func, out: String::new(), names, next: func.params.len(), origins: Vec::new(), printed }
    }

    fn func(&mut self) -> fmt::Result {
        let func = self.func;
        for (i, p) in func.params.iter().enumerate() {
            if let Some(slot) = self.names.get_mut(i) {
                *slot = Some(name(&p.name));
            }
        }
        let params: Vec<String> =
            func.params.iter().map(|p| format!("%{}: {}", name(&p.name), p.ty)).collect();
        let results = func.regions.first().map(|r| r.results.as_slice()).unwrap_or_default();
        let types: Vec<String> = results.iter().map(|v| self.type_of(*v)).collect();
        let types =
            if let [one] = types.as_slice() { one.clone() } else { format!("({})", types.join(", ")) };
        writeln!(self.out, "func @{}({}) -> {types} {{", name(&func.name), params.join(", "))?;
        for guard in &func.guards {
            writeln!(self.out, "  {}", guard_text(guard))?;
        }
        self.region(Func::BODY, 1)?;
        let named = |(i, v): (usize, &ValueId)| match func.result_names.get(i).and_then(Option::as_deref) {
            Some(n) => format!("{} as {}", self.value(*v), name(n)),
            None => self.value(*v),
        };
        let results: Vec<String> = results.iter().enumerate().map(named).collect();
        writeln!(self.out, "  {}", format!("return {}", results.join(", ")).trim_end())?;
        self.out.push_str("}\n");
        Ok(())
    }

    fn type_of(&self, v: ValueId) -> String {
        self.func.nodes.get(v.0 as usize).map_or_else(|| "?".to_owned(), |n| n.ty.to_string())
    }

    fn value(&self, v: ValueId) -> String {
        match self.names.get(v.0 as usize) {
            Some(Some(name)) => format!("%{name}"),
            Some(None) | None => format!("%?{}", v.0),
        }
    }

    fn values(&self, vs: &[ValueId]) -> String {
        vs.iter().map(|v| self.value(*v)).collect::<Vec<_>>().join(", ")
    }

    fn define(&mut self, v: ValueId) -> String {
        if let Some(slot) = self.names.get_mut(v.0 as usize) {
            *slot = Some(self.next.to_string());
            self.next += 1;
        }
        self.value(v)
    }

    /// Prints the nodes of a region, one a line.
    fn region(&mut self, id: RegionId, depth: usize) -> fmt::Result {
        let Some(region) = self.func.regions.get(id.0 as usize) else {
            return writeln!(self.out, "{}?{}", indent(depth), id.0);
        };
        if std::mem::replace(&mut self.printed[id.0 as usize], true) || depth > MAX_DEPTH {
            return writeln!(self.out, "{}?{}", indent(depth), id.0);
        }
        for v in &region.nodes {
            let Some(node) = self.func.nodes.get(v.0 as usize) else {
                writeln!(self.out, "{}%?{}", indent(depth), v.0)?;
                continue;
            };
            // Operands are named before the value is, so that one that uses itself is seen to.
            let words = self.words(node);
            let defined = self.define(*v);
            self.origins.push((self.out.len(), node.origin));
            write!(self.out, "{}{defined}: {} = {words}", indent(depth), node.ty)?;
            self.inner_regions(node, depth)?;
            self.out.push('\n');
        }
        Ok(())
    }

    fn inner_regions(&mut self, node: &Node, depth: usize) -> fmt::Result {
        let second = if matches!(node.kind, Kind::While(..)) { " do" } else { " else" };
        for (i, id) in node.kind.regions().into_iter().enumerate() {
            if i > 0 {
                self.out.push_str(second);
            }
            let region = self.func.regions.get(id.0 as usize);
            let params = region.map(|r| r.params.clone()).unwrap_or_default();
            if !params.is_empty() {
                let params: Vec<String> =
                    params.iter().map(|v| format!("{}: {}", self.define(*v), self.type_of(*v))).collect();
                write!(self.out, " ({})", params.join(", "))?;
            }
            self.out.push_str(" {\n");
            self.region(id, depth + 1)?;
            let results = region.map(|r| self.values(&r.results)).unwrap_or_default();
            writeln!(self.out, "{}", format!("{}yield {results}", indent(depth + 1)).trim_end())?;
            write!(self.out, "{}}}", indent(depth))?;
        }
        Ok(())
    }

    /// The words of a node behind its `=`: what it does, its operands, and the rest of what it says.
    fn words(&self, node: &Node) -> String {
        let (head, tail) = words_of(&node.kind);
        let mut parts: Vec<String> = node.args.iter().map(|v| self.value(*v)).collect();
        parts.extend(tail);
        format!("{head} {}", parts.join(", ")).trim_end().to_owned()
    }
}

impl Kind {
    /// What stands before the operands of such a node in the text, and what stands behind them.
    pub fn words(&self) -> (String, Vec<String>) {
        words_of(self)
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// What stands before the operands of a node, and what stands behind them.
fn words_of(kind: &Kind) -> (String, Vec<String>) {
    let plain = |head: &str| (head.to_owned(), Vec::new());
    let with = |head: &str, tail: String| (head.to_owned(), vec![tail]);
    let axis_of = |axis: &usize| format!("axis {axis}");
    match kind {
        Kind::Param(i) => with("param", i.to_string()),
        Kind::RegionParam => plain("param"),
        Kind::Constant(literal) => with("const", literal_text(literal)),
        Kind::Size(dim) => with("size", dim.to_string()),
        Kind::Iota { axis } => with("iota", axis_of(axis)),
        Kind::Map(op) => plain(op.name()),
        Kind::Cast => plain("cast"),
        Kind::Bitcast => plain("bitcast"),
        Kind::Broadcast { axes } => with("broadcast", list(axes)),
        Kind::Permute(perm) => with("permute", list(perm)),
        Kind::Reshape => plain("reshape"),
        Kind::Slice(axes) => with("slice", list(axes)),
        Kind::Pad { low } => with("pad", list(low)),
        Kind::Concat { axis } => with("concat", axis_of(axis)),
        Kind::Gather { axis } => with("gather", axis_of(axis)),
        Kind::GatherAlong { axis } => with("gather_along", axis_of(axis)),
        Kind::ScatterAlong { axis, add } => {
            with(if *add { "scatter_add_along" } else { "scatter_along" }, axis_of(axis))
        }
        Kind::Update(axes) => with("update", list(axes)),
        Kind::Reduce { op, axes } => with(&format!("reduce {}", reduce_name(*op)), list(axes)),
        Kind::Scan { op, axis } => with(&format!("scan {}", scan_name(*op)), axis_of(axis)),
        Kind::Dot { batch, contract } => {
            let lists = [("batch", batch), ("contract", contract)];
            let given = lists.iter().filter(|(_, pairs)| !pairs.is_empty());
            ("dot".to_owned(), given.map(|(word, pairs)| format!("{word} {}", pair_list(pairs))).collect())
        }
        Kind::Lib(op) => lib_words(op),
        Kind::Check { code, message } => with("check", format!("{code} {}", quoted(message))),
        Kind::For(_) => plain("for"),
        Kind::While(..) => plain("while"),
        Kind::If(..) => plain("if"),
        Kind::Proj(i) => with("proj", i.to_string()),
    }
}

fn lib_words(op: &LibOp) -> (String, Vec<String>) {
    let sort = |head: &str, axis: usize, descending: bool| {
        let down = descending.then(|| "descending".to_owned());
        (head.to_owned(), [format!("axis {axis}")].into_iter().chain(down).collect())
    };
    match op {
        LibOp::Sort { axis, descending } => sort("sort", *axis, *descending),
        LibOp::Argsort { axis, descending } => sort("argsort", *axis, *descending),
        LibOp::SearchSorted { right } => {
            ("search_sorted".to_owned(), right.then(|| "right".to_owned()).into_iter().collect())
        }
        LibOp::SolveTriangular { lower } => {
            (op.name().to_owned(), lower.then(|| "lower".to_owned()).into_iter().collect())
        }
        LibOp::Svd { full } => (op.name().to_owned(), full.then(|| "full".to_owned()).into_iter().collect()),
        LibOp::Solve
        | LibOp::SolveDefinite
        | LibOp::Lstsq
        | LibOp::Lu
        | LibOp::PivotsDefinite
        | LibOp::Cholesky
        | LibOp::Qr
        | LibOp::Svdvals
        | LibOp::Eigh
        | LibOp::Eigvalsh => (op.name().to_owned(), Vec::new()),
    }
}

/// Every reduction with its name.
pub(super) const REDUCE_NAMES: [(ReduceOp, &str); 8] = [
    (ReduceOp::Sum, "sum"),
    (ReduceOp::Prod, "prod"),
    (ReduceOp::Max, "max"),
    (ReduceOp::Min, "min"),
    (ReduceOp::Any, "any"),
    (ReduceOp::All, "all"),
    (ReduceOp::ArgMax, "argmax"),
    (ReduceOp::ArgMin, "argmin"),
];

/// Every scan with its name.
pub(super) const SCAN_NAMES: [(ScanOp, &str); 4] =
    [(ScanOp::Sum, "sum"), (ScanOp::Prod, "prod"), (ScanOp::Max, "max"), (ScanOp::Min, "min")];

fn reduce_name(op: ReduceOp) -> &'static str {
    REDUCE_NAMES.iter().find(|(o, _)| *o == op).map_or("", |(_, n)| n)
}

fn scan_name(op: ScanOp) -> &'static str {
    SCAN_NAMES.iter().find(|(o, _)| *o == op).map_or("", |(_, n)| n)
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    format!("[{}]", items.join(", "))
}

fn pair_list(pairs: &[(usize, usize)]) -> String {
    list(&pairs.iter().map(|(l, r)| format!("{l}:{r}")).collect::<Vec<_>>())
}

impl fmt::Display for SliceAxis {
    /// `start`, or `start:step` when the step is not 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start.fmt(f)?;
        if self.step == 1 { Ok(()) } else { write!(f, ":{}", self.step) }
    }
}

impl fmt::Display for UpdateAxis {
    /// A slice, or `@` for an index operand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateAxis::Slice(s) => s.fmt(f),
            UpdateAxis::Index => f.write_str("@"),
        }
    }
}

fn guard_text(g: &Guard) -> String {
    let sign = match g.kind {
        GuardKind::Equal => "==",
        GuardKind::AtMost => "<=",
    };
    let side = |d: &Dim| d.to_string();
    format!("guard {} {sign} {}, {} {}", side(&g.left), side(&g.right), g.code, quoted(&g.message))
}

/// `1.5`, or `[1.0, 2.0; 2]` with the extents last.
fn literal_text(literal: &Literal) -> String {
    if let Some(s) = literal.as_scalar() {
        return scalar_text(s);
    }
    let elements: Vec<String> = literal.elements().map(scalar_text).collect();
    let shape: Vec<String> = literal.shape().iter().map(usize::to_string).collect();
    format!("[{}; {}]", elements.join(", "), shape.join(", "))
}

/// The NaN that is written without its bits.
pub(super) fn plain_nan(dtype: DType) -> Scalar {
    Scalar::from_f64(dtype, f64::NAN)
}

fn scalar_text(s: Scalar) -> String {
    if s.dtype().is_float() && s.to_f64().is_nan() && s != plain_nan(s.dtype()) {
        format!("nan:{:#x}", s.bits())
    } else {
        s.to_string()
    }
}

/// A name as it stands behind `%` or `@`: a word as it is, a positional one like `$0`, anything else in quotes.
fn name(text: &str) -> String {
    let word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word && text.starts_with(|c: char| c.is_ascii_digit()) {
        format!("${text}")
    } else if word {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A string in quotes, on one line.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl TensorType {
    /// The type that displays as this text, like `f64[n, 2*k]`; `None` when there is none.
    pub fn from_text(text: &str) -> Option<TensorType> {
        super::parse::parse_type(text)
    }
}
