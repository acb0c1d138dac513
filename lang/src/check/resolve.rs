//! Names before types: the entry, the parameters that free names are, unknown functions and variables, recursion.
//!
//! This pass needs no arguments, so it finds the errors of programs whose parameters have no types too.

use super::builtins::{self, OPTION_WORDS};
use super::recursion::{self, Calls};
use super::spellings::{not_a_variable, unknown_function};
use crate::ast::{
    Arg, Ast, BlockId, DTypeExpr, ExprId, ExprKind, FnId, Form, Ident, If, Index, IndexKind, LambdaBody,
    Name, Pattern, Program, StmtKind,
};
use crate::codes;
use crate::diag::Diagnostic;
use matex_ir::{DType, Span};
use std::collections::{HashMap, HashSet};

/// Where a program starts.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A function of a module.
    Function(FnId),
    /// An expression or a block, whose free names are the parameters; `$0` is named `$0`.
    Free(Vec<(Name, Span)>),
}

/// Constants that any variable may shadow.
pub(crate) const CONSTANTS: [&str; 3] = ["pi", "inf", "nan"];

/// Resolves the names of a program and finds its entry.
pub(crate) fn resolve(program: &Program, entry: Option<&str>) -> Result<Entry, Vec<Diagnostic>> {
    let ast = &program.ast;
    let mut r = Resolver {
        ast,
        fns: HashMap::new(),
        vars: Vec::new(),
        ended: HashSet::new(),
        calls: Vec::new(),
        free: None,
        errors: Vec::new(),
    };
    let result = match &program.form {
        Form::Expr(e) => r.free_form(|r| r.expr(*e)),
        Form::Block(b) => r.free_form(|r| r.block(*b)),
        Form::Module(ids) => r.module(ids, entry),
    };
    match result {
        Some(entry) if r.errors.is_empty() => Ok(entry),
        _ => {
            r.errors.truncate(super::MAX_ERRORS);
            Err(r.errors)
        }
    }
}

struct Resolver<'a> {
    ast: &'a Ast,
    fns: HashMap<Name, FnId>,
    vars: Vec<HashSet<Name>>,
    /// Names that ended with the block that assigned them first: they are not free afterwards.
    ended: HashSet<Name>,
    /// The calls of functions of the module, in the function that is being walked.
    calls: Vec<(FnId, Span)>,
    /// Free names in the order of first use, where free names are parameters.
    free: Option<Vec<(Name, Span)>>,
    errors: Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn free_form(&mut self, walk: impl FnOnce(&mut Self)) -> Option<Entry> {
        self.free = Some(Vec::new());
        self.vars.push(HashSet::new());
        walk(self);
        let mut names = self.free.take()?;
        // Positional parameters come first, in the order of their numbers.
        let number = |n: &Name| n.strip_prefix('$').and_then(|d| d.parse::<u32>().ok());
        names.sort_by_key(|(n, _)| number(n).map_or((1, 0), |k| (0, k)));
        for (i, (name, span)) in names.iter().enumerate() {
            if let Some(k) = number(name).filter(|k| *k as usize != i) {
                let d = Diagnostic::new(codes::POSITIONAL_GAP, format!("${k} is used, but ${i} is not"));
                self.errors
                    .push(d.primary(*span, "").help("number positional parameters from $0 without a gap"));
                break;
            }
        }
        Some(Entry::Free(names))
    }

    fn module(&mut self, ids: &[FnId], entry: Option<&str>) -> Option<Entry> {
        for id in ids {
            let name = &self.ast[*id].name;
            let taken = if super::is_builtin(&name.name) {
                let message = format!("{} is a function of the language", name.name);
                Some(Diagnostic::new(codes::SHADOWS_BUILTIN, message))
            } else {
                builtins::reserved(&name.name)
            };
            if let Some(d) = taken {
                self.errors.push(d.primary(name.span, "").help(format!("name it my_{}", name.name)));
            }
            if let Some(first) = self.fns.insert(name.name.clone(), *id) {
                let d = Diagnostic::new(
                    codes::DUPLICATE_FUNCTION,
                    format!("there are two functions {}", name.name),
                );
                let d = d.primary(name.span, "again here").secondary(self.ast[first].name.span, "first here");
                self.errors.push(d.help("rename one of them"));
            }
        }
        let mut calls = Calls::new();
        for id in ids {
            self.function(*id);
            calls.insert(*id, std::mem::take(&mut self.calls));
        }
        self.errors.extend(recursion::cycles(self.ast, ids, &calls));
        self.entry(ids, entry).map(Entry::Function)
    }

    fn entry(&mut self, ids: &[FnId], entry: Option<&str>) -> Option<FnId> {
        let named = |wanted: &str| ids.iter().copied().find(|id| &*self.ast[*id].name.name == wanted);
        match entry {
            Some(wanted) => {
                let found = named(wanted);
                if found.is_none() {
                    let names: Vec<&str> = ids.iter().map(|id| &*self.ast[*id].name.name).collect();
                    let d = Diagnostic::new(codes::UNKNOWN_ENTRY, format!("there is no function {wanted}"));
                    self.errors.push(d.help(format!("there are: {}", names.join(", "))));
                }
                found
            }
            None => named("main").or(ids.last().copied()),
        }
    }

    fn function(&mut self, id: FnId) {
        let def = &self.ast[id];
        let mut names = HashSet::new();
        for p in &def.params {
            names.insert(p.name.name.clone());
            for d in p.ty.iter().flat_map(|t| t.dims.iter().flatten()) {
                self.dim_names(*d, &mut names);
            }
        }
        self.defaults_last(id);
        self.vars = vec![names];
        self.ended.clear();
        self.block(def.body);
    }

    /// A parameter without a default behind one that has a default could not be given by place alone.
    fn defaults_last(&mut self, id: FnId) {
        let params = &self.ast[id].params;
        let Some(first) = params.iter().position(|p| p.default.is_some()) else { return };
        for p in params[first..].iter().filter(|p| p.default.is_none()) {
            let message = format!("{} has no default but stands behind one that has", p.name.name);
            let d = Diagnostic::new(codes::DEFAULT_BEFORE_REQUIRED, message);
            let d = d.primary(p.span, "").secondary(params[first].span, "has a default");
            self.errors.push(d.help("put parameters with defaults last"));
        }
    }

    fn dim_names(&self, d: crate::ast::DimId, names: &mut HashSet<Name>) {
        let mut open = vec![d];
        while let Some(d) = open.pop() {
            match &self.ast[d].kind {
                crate::ast::DimKind::Name(n) => {
                    names.insert(n.clone());
                }
                crate::ast::DimKind::Binary { lhs, rhs, .. } => open.extend([*lhs, *rhs]),
                crate::ast::DimKind::Int(_) | crate::ast::DimKind::Any | crate::ast::DimKind::Rest => {}
            }
        }
    }

    fn known(&self, name: &str) -> bool {
        self.vars.iter().any(|scope| scope.contains(name))
    }

    fn is_free(&self, name: &str) -> bool {
        self.free.iter().flatten().any(|(n, _)| &**n == name)
    }

    /// Leaves a block or a loop.
    fn leave(&mut self) {
        self.ended.extend(self.vars.pop().into_iter().flatten());
    }

    fn declare(&mut self, name: &Name) {
        if !self.known(name)
            && !self.is_free(name)
            && let Some(scope) = self.vars.last_mut()
        {
            scope.insert(name.clone());
        }
    }

    fn name(&mut self, name: &Name, span: Span) {
        if self.known(name) || CONSTANTS.contains(&&**name) {
            return;
        }
        if DTypeExpr::from_name(name).is_some() {
            let d = Diagnostic::new(codes::DTYPE_AS_VALUE, format!("{name} is a dtype, not a value"));
            let dtype = DTypeExpr::meant(name).unwrap_or(DType::F64);
            self.errors.push(d.primary(span, "").help(format!("write cast(x, {dtype}) to convert")));
        } else if self.ended.contains(name) && !self.is_free(name) {
            let d = Diagnostic::new(codes::UNASSIGNED_VARIABLE, format!("{name} has no value here"));
            let help =
                format!("assign {name} before the block: a name first assigned in a block ends with it");
            self.errors.push(d.primary(span, "").help(help));
        } else if let Some(free) = &mut self.free {
            if !free.iter().any(|(n, _)| n == name) {
                free.push((name.clone(), span));
            }
        } else if self.fns.contains_key(name) || super::is_builtin(name) {
            let d = Diagnostic::new(codes::FUNCTION_AS_VALUE, format!("{name} is a function"));
            self.errors.push(d.primary(span, "").help(format!("call it: {name}(…)")));
        } else {
            let d = Diagnostic::new(codes::UNKNOWN_NAME, format!("unknown name {name}")).primary(span, "");
            let names = self.vars.iter().flatten().map(|n| &**n).chain(CONSTANTS);
            let help = not_a_variable(name)
                .or_else(|| closest(name, names).map(|near| format!("did you mean {near}?")))
                .unwrap_or_else(|| format!("assign it first, or make it a parameter: {name}: f64"));
            self.errors.push(d.help(help));
        }
    }

    fn callee(&mut self, name: &Ident) {
        if let Some(id) = self.fns.get(&name.name) {
            self.calls.push((*id, name.span));
            return;
        }
        if super::is_builtin(&name.name) {
            return;
        }
        if self.known(&name.name) {
            let d = Diagnostic::new(
                codes::VALUE_AS_FUNCTION,
                format!("{} is a value, not a function", name.name),
            );
            self.errors.push(
                d.primary(name.span, "").help(format!("index it: {}[…], or multiply with *", name.name)),
            );
            return;
        }
        self.errors.push(unknown_function(name, self.fns.keys().map(|n| &**n)));
    }

    fn expr(&mut self, id: ExprId) {
        let mut spine = vec![id];
        let mut leaf = id;
        while let Some(left) = self.ast.left(leaf) {
            spine.push(left);
            leaf = left;
        }
        while let Some(id) = spine.pop() {
            self.node(id);
        }
    }

    /// Everything below a node but its left operand.
    fn node(&mut self, id: ExprId) {
        let ast = self.ast;
        let expr = &ast[id];
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Str(_) | ExprKind::Attr { .. } => {}
            ExprKind::Name(n) => self.name(n, expr.span),
            ExprKind::Positional(k) => self.positional(*k, expr.span),
            ExprKind::Tuple(es) | ExprKind::List(es) => es.iter().for_each(|e| self.expr(*e)),
            ExprKind::Unary { operand, .. } => self.expr(*operand),
            ExprKind::Binary { rhs, .. } => self.expr(*rhs),
            ExprKind::Call { name, args } => {
                self.callee(name);
                self.args(&name.name, args, 0);
            }
            ExprKind::MethodCall { name, args, .. } => {
                self.callee(name);
                self.args(&name.name, args, 1);
            }
            ExprKind::CallExpr { args, .. } => self.args("", args, 0),
            ExprKind::Index { indices, .. } => self.indices(indices),
            ExprKind::If(i) => self.branches(i),
            ExprKind::Lambda { params, body } => self.lambda(params, *body),
        }
    }

    fn positional(&mut self, k: u32, span: Span) {
        let name: Name = format!("${k}").into();
        match &mut self.free {
            Some(free) => {
                if !free.iter().any(|(n, _)| *n == name) {
                    free.push((name, span));
                }
            }
            None => {
                let d = Diagnostic::new(
                    codes::BAD_POSITIONAL,
                    format!("${k} in a function that has named parameters"),
                );
                self.errors.push(d.primary(span, "").help("use the name of the parameter"));
            }
        }
    }

    /// Arguments: names of dtypes, option words and functions are not variables there. `before` arguments stand
    /// before these.
    fn args(&mut self, callee: &str, args: &[Arg], before: usize) {
        let transform = builtins::takes_function(callee);
        for (i, a) in args.iter().enumerate() {
            let keyword = a.name.as_ref().map(|n| &*n.name);
            if transform && matches!(keyword, Some("wrt" | "in_axes")) {
                // Names of parameters of the function that is transformed, and axes or none.
                continue;
            }
            let ExprKind::Name(n) = &self.ast[a.value].kind else {
                self.expr(a.value);
                continue;
            };
            let is_function = transform && i + before == 0 && keyword.is_none();
            // What is no dtype or no word there is reported with the types, by the function that wants it.
            let wants_dtype = ["cast", "bitcast"].contains(&callee) && i + before == 1
                || builtins::is_builtin(callee) && keyword == Some("dtype");
            let is_dtype = DType::from_name(n).is_some() || wants_dtype;
            let is_word = builtins::is_builtin(callee)
                && keyword.is_some_and(|k| OPTION_WORDS.iter().any(|(o, _)| *o == k));
            let is_value = self.known(n) && !self.fns.contains_key(n) && !super::is_builtin(n);
            if is_function && is_value {
                // Reported by the function that wants one.
            } else if is_function {
                self.callee(&Ident { name: n.clone(), span: self.ast[a.value].span });
            } else if !(is_dtype || is_word) {
                self.expr(a.value);
            }
        }
    }

    fn indices(&mut self, indices: &[Index]) {
        for i in indices {
            match &i.kind {
                IndexKind::At(e) => self.expr(*e),
                IndexKind::Slice { start, stop, step, .. } => {
                    [start, stop, step].into_iter().flatten().for_each(|e| self.expr(*e));
                }
                IndexKind::Ellipsis | IndexKind::NewAxis => {}
            }
        }
    }

    fn branches(&mut self, i: &If) {
        for (cond, block) in &i.branches {
            self.expr(*cond);
            self.block(*block);
        }
        if let Some(b) = i.otherwise {
            self.block(b);
        }
    }

    fn lambda(&mut self, params: &[Ident], body: LambdaBody) {
        self.vars.push(params.iter().map(|p| p.name.clone()).collect());
        match body {
            LambdaBody::Expr(e) => self.expr(e),
            LambdaBody::Block(b) => self.block(b),
        }
        self.vars.pop();
    }

    fn block(&mut self, id: BlockId) {
        let ast = self.ast;
        self.vars.push(HashSet::new());
        for s in &ast[id].stmts {
            self.stmt(&ast[*s].kind);
        }
        if let Some(v) = ast[id].value {
            self.expr(v);
        }
        self.leave();
    }

    fn stmt(&mut self, kind: &StmtKind) {
        match kind {
            StmtKind::Let { pattern, value, .. } => {
                self.expr(*value);
                match pattern {
                    Pattern::One(n) => self.declare(&n.name),
                    Pattern::Tuple(ns, _) => ns.iter().for_each(|n| self.declare(&n.name)),
                }
            }
            StmtKind::Update { target, indices, value, .. } => {
                self.indices(indices);
                self.expr(*value);
                self.name(&target.name, target.span);
            }
            StmtKind::Compound { target, value, .. } => {
                self.expr(*value);
                self.name(&target.name, target.span);
            }
            StmtKind::For { var, start, stop, body } => {
                self.expr(*start);
                self.expr(*stop);
                self.vars.push(HashSet::from([var.name.clone()]));
                self.block(*body);
                self.leave();
            }
            StmtKind::While { cond, body } => {
                self.expr(*cond);
                self.block(*body);
            }
            StmtKind::If(i) => self.branches(i),
            StmtKind::Return(es) => es.iter().for_each(|e| self.expr(*e)),
            StmtKind::Expr(e) => self.expr(*e),
        }
    }
}

/// The known name that is closest to a mistyped one, when one is close.
pub(crate) fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    // One letter of two is another name, not a slip, unless it is the same letter in the other case.
    let most = name.len() / 3;
    let slip = |(d, k): &(usize, &str)| *d <= most || k.eq_ignore_ascii_case(name);
    known.map(|k| (distance(name, k), k)).filter(slip).min().map(|(_, k)| k.to_owned())
}

/// `1 result`, `2 results`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The number of insertions, deletions, replacements and swaps of neighbours from one to the other (optimal string
/// alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
