//! Expressions of Rust, in the language.

use super::kind::Kind;
use super::methods::{Method, is_builtin, method};
use super::signature::{Param, Signature};
use crate::text::Text;
use proc_macro2::Span;
use std::collections::HashMap;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{
    BinOp, Error, Expr, ExprBinary, ExprMethodCall, ExprRange, Ident, ItemFn, Lit, RangeLimits, Type, UnOp,
};

/// Writes a body in the language, and collects what cannot be.
pub(super) struct Translator<'t> {
    pub(super) text: &'t mut Text,
    pub(super) errors: Vec<Error>,
    /// The variables in reach, by their names in Rust.
    pub(super) names: HashMap<String, Variable>,
    /// How many blocks are open, and how many variables were renamed.
    pub(super) depth: usize,
    pub(super) count: usize,
}

/// A variable of the function.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// Its name in the language.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The block that it belongs to, by how many there are around it.
    pub(super) depth: usize,
}

impl<'t> Translator<'t> {
    pub(super) fn new(text: &'t mut Text, signature: &Signature) -> Translator<'t> {
        let variable = |p: &Param| Variable { name: p.name.to_string(), kind: p.kind, depth: 1 };
        let names = signature.params.iter().map(|p| (p.name.to_string(), variable(p))).collect();
        Translator { text, errors: Vec::new(), names, depth: 0, count: 0 }
    }

    pub(super) fn refuse(&mut self, at: &impl quote::ToTokens, why: &str) -> Kind {
        self.errors.push(Error::new_spanned(at, why));
        Kind::Unknown
    }

    /// An operand, in parentheses where it is more than a word.
    fn operand(&mut self, expr: &Expr) -> Kind {
        let inner = if let Expr::Paren(e) = expr { &*e.expr } else { expr };
        if matches!(inner, Expr::Path(_) | Expr::Lit(_) | Expr::MethodCall(_) | Expr::Call(_)) {
            return self.expr(inner);
        }
        let (expr, span) = (inner, inner.span());
        self.text.push("(", span);
        let kind = self.expr(expr);
        self.text.push(")", span);
        kind
    }

    /// Writes an expression, and tells its kind.
    pub(super) fn expr(&mut self, expr: &Expr) -> Kind {
        match expr {
            Expr::Paren(e) => self.operand(&e.expr),
            Expr::Group(e) => self.operand(&e.expr),
            Expr::Reference(e) if e.mutability.is_none() => self.expr(&e.expr),
            Expr::Lit(e) => self.literal(&e.lit),
            Expr::Path(e) => self.path(&e.path),
            Expr::Unary(e) => self.unary(&e.op, &e.expr),
            Expr::Binary(e) => self.binary(e),
            Expr::Call(e) => self.call(&e.func, &e.args),
            Expr::MethodCall(e) => self.method(e),
            Expr::Index(e) => self.index(&e.expr, &e.index),
            Expr::Cast(e) => self.cast(&e.expr, &e.ty),
            Expr::If(e) => self.branch(e),
            Expr::Tuple(e) => {
                self.text.push("(", e.paren_token.span.open());
                self.list(&e.elems);
                self.text.push(")", e.paren_token.span.close());
                Kind::Unknown
            }
            Expr::Array(e) => {
                self.text.push("[", e.bracket_token.span.open());
                let kind = self.list(&e.elems);
                self.text.push("]", e.bracket_token.span.close());
                kind
            }
            other => self.refuse(other, "this has no meaning in a compiled function: it has operators, method calls, `let`, `if`, `for`, `while` and indexing"),
        }
    }

    pub(super) fn list<'e>(&mut self, items: impl IntoIterator<Item = &'e Expr>) -> Kind {
        let mut kind = Kind::Unknown;
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.text.push(", ", item.span());
            }
            kind = kind.with(self.expr(item));
        }
        kind
    }

    fn literal(&mut self, lit: &Lit) -> Kind {
        let kind = match lit {
            Lit::Int(n) if n.suffix().starts_with('f') => Kind::Float,
            Lit::Int(n) if Kind::of(n.suffix()).is_some() || n.suffix().is_empty() => Kind::Int,
            Lit::Float(_) => Kind::Float,
            Lit::Bool(_) => Kind::Bool,
            other => {
                return self
                    .refuse(other, "only numbers and truth values are literals of a compiled function");
            }
        };
        let written = match lit {
            // Rust allows `1.` and `1f64`, where the language wants a digit on both sides of the dot.
            Lit::Float(x) => float_text(x.base10_digits(), x.suffix()),
            Lit::Int(n) if kind == Kind::Float => float_text(n.base10_digits(), n.suffix()),
            Lit::Int(n) => format!("{}{}", n.base10_digits(), n.suffix()),
            other => quote::ToTokens::to_token_stream(other).to_string(),
        };
        self.text.push(&written, lit.span());
        kind
    }

    fn path(&mut self, path: &syn::Path) -> Kind {
        let Some(last) = path.segments.last() else { return Kind::Unknown };
        let name = last.ident.to_string();
        if let Some(own) =
            constant(&name).filter(|_| path.segments.len() > 1 || !self.names.contains_key(&name))
        {
            self.text.push(own, path.span());
            return Kind::Float;
        }
        match (path.get_ident(), self.names.get(&name)) {
            (Some(ident), Some(variable)) => {
                self.text.push(&variable.name, ident.span());
                variable.kind
            }
            (Some(_), None) => self.refuse(
                path,
                "no parameter and no variable of the function: constants are passed as arguments",
            ),
            (None, _) => {
                self.refuse(path, "only variables and the constants PI, INFINITY and NAN have a meaning here")
            }
        }
    }

    fn unary(&mut self, op: &UnOp, expr: &Expr) -> Kind {
        match op {
            UnOp::Deref(_) => return self.expr(expr),
            UnOp::Neg(minus) => self.text.push("-", minus.span()),
            UnOp::Not(bang) => {
                self.text.push("!", bang.span());
                let kind = self.operand(expr);
                return match kind {
                    Kind::Int => {
                        self.refuse(expr, "`!` of integers is bitwise in Rust: write `x.bitwise_invert()`")
                    }
                    Kind::Float | Kind::Bool | Kind::Unknown => kind,
                };
            }
            other => return self.refuse(other, "this operator has no meaning in a compiled function"),
        }
        self.operand(expr)
    }

    fn binary(&mut self, e: &ExprBinary) -> Kind {
        if matches!(e.op, BinOp::Rem(_)) {
            return self.function("fmod", e.op.span(), [&*e.left, &*e.right]);
        }
        let Some((op, compares)) = operator(&e.op) else {
            return self.refuse(&e.op, "this operator has no meaning in a compiled function");
        };
        let left = self.operand(&e.left);
        self.text.push(&format!(" {op} "), e.op.span());
        let right = self.operand(&e.right);
        if op == "/" && left == Kind::Int && right == Kind::Int {
            let why = "integers divide to integers in Rust and to floats in the language: cast one of them, or write `a.floor_divide(b)`";
            return self.refuse(&e.op, why);
        }
        if compares { Kind::Bool } else { left.with(right) }
    }

    /// A function of the language.
    fn function<'e>(&mut self, name: &str, span: Span, args: impl IntoIterator<Item = &'e Expr>) -> Kind {
        self.text.push(&format!("{name}("), span);
        let kind = self.list(args);
        self.text.push(")", span);
        kind
    }

    fn call<'e>(&mut self, function: &Expr, args: impl IntoIterator<Item = &'e Expr>) -> Kind {
        let path = if let Expr::Path(p) = function { p.path.get_ident() } else { None };
        let Some(name) = path else {
            return self.refuse(
                function,
                "only functions that are compiled too, and those of the language, can be called",
            );
        };
        let kind = self.function(&name.to_string(), name.span(), args);
        if is_builtin(&name.to_string()) { kind } else { Kind::Unknown }
    }

    fn method(&mut self, e: &ExprMethodCall) -> Kind {
        let name = e.method.to_string();
        let span = e.method.span();
        let Some(found) = method(&name, e.args.len()) else {
            let why = format!(
                "neither the language nor the table of Rust's methods has `{name}` of {} arguments",
                e.args.len()
            );
            return self.refuse(&e.method, &why);
        };
        let all = || std::iter::once(&*e.receiver).chain(&e.args);
        match found {
            Method::Refused(why) => self.refuse(&e.method, why),
            Method::Same => self.expr(&e.receiver),
            Method::Suffix(suffix) => {
                let kind = self.operand(&e.receiver);
                self.text.push(suffix, span);
                if suffix.ends_with(']') { Kind::Int } else { kind }
            }
            Method::Infix(op) => {
                let kind = self.operand(&e.receiver);
                self.text.push(&format!(" {op} "), span);
                e.args.iter().for_each(|a| {
                    self.operand(a);
                });
                kind
            }
            Method::Call(own) => {
                let kind = self.function(own, span, all());
                if own == "size" { Kind::Int } else { kind }
            }
            Method::Axis(own) => self.axis(own, e),
        }
    }

    /// `x.sum_axis(Axis(0))`.
    fn axis(&mut self, own: &str, e: &ExprMethodCall) -> Kind {
        let axis = e.args.first().and_then(|a| if let Expr::Call(c) = a { c.args.first() } else { None });
        let Some(Expr::Lit(axis)) = axis else {
            return self.refuse(&e.args, "name the axis by a number: `Axis(0)`");
        };
        self.text.push(&format!("{own}("), e.method.span());
        let kind = self.expr(&e.receiver);
        self.text.push(", axis=", e.method.span());
        self.literal(&axis.lit);
        self.text.push(")", e.method.span());
        kind
    }

    pub(super) fn index(&mut self, of: &Expr, index: &Expr) -> Kind {
        let kind = self.operand(of);
        self.indices(index);
        kind
    }

    /// `[i]`, `[(i, j)]`, `[[i, j]]` and ranges.
    pub(super) fn indices(&mut self, index: &Expr) {
        let span = index.span();
        self.text.push("[", span);
        match index {
            Expr::Tuple(t) => t.elems.iter().enumerate().for_each(|(i, e)| self.one_index(i, e)),
            Expr::Array(a) => a.elems.iter().enumerate().for_each(|(i, e)| self.one_index(i, e)),
            one => self.one_index(0, one),
        }
        self.text.push("]", span);
    }

    fn one_index(&mut self, place: usize, index: &Expr) {
        if place > 0 {
            self.text.push(", ", index.span());
        }
        let Expr::Range(range) = index else {
            self.expr(index);
            return;
        };
        if let ExprRange { limits: RangeLimits::Closed(closed), .. } = range {
            self.refuse(closed, "ranges leave their end out: write `a..b + 1`");
        }
        if let Some(start) = &range.start {
            self.expr(start);
        }
        self.text.push(":", range.limits.span());
        if let Some(end) = &range.end {
            self.expr(end);
        }
    }

    fn cast(&mut self, expr: &Expr, ty: &Type) -> Kind {
        let name = quote::ToTokens::to_token_stream(ty).to_string();
        // A size is an i64 in the language.
        let name = if name == "usize" || name == "isize" { "i64".to_owned() } else { name };
        let Some(kind) = Kind::of(&name).filter(|k| *k != Kind::Bool) else {
            return self.refuse(ty, "a cast is to f32, f64 or an integer");
        };
        self.text.push("cast(", ty.span());
        self.expr(expr);
        self.text.push(&format!(", {name})"), ty.span());
        kind
    }
}

/// The functions that the body calls and that are not the language's, in their order.
pub(super) fn calls(function: &ItemFn) -> Vec<Ident> {
    struct Calls(Vec<Ident>);
    impl<'ast> Visit<'ast> for Calls {
        fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
            let path = if let Expr::Path(p) = &*call.func { p.path.get_ident() } else { None };
            if let Some(name) = path.filter(|n| !is_builtin(&n.to_string()) && *n != "Axis") {
                self.0.push(name.clone());
            }
            syn::visit::visit_expr_call(self, call);
        }
    }
    let mut calls = Calls(Vec::new());
    calls.visit_block(&function.block);
    calls.0
}

fn constant(name: &str) -> Option<&'static str> {
    match name {
        "PI" => Some("pi"),
        "INFINITY" => Some("inf"),
        "NEG_INFINITY" => Some("(-inf)"),
        "NAN" => Some("nan"),
        _ => None,
    }
}

/// The operator in the language, and whether it gives a truth value.
fn operator(op: &BinOp) -> Option<(&'static str, bool)> {
    Some(match op {
        BinOp::Add(_) => ("+", false),
        BinOp::Sub(_) => ("-", false),
        BinOp::Mul(_) => ("*", false),
        BinOp::Div(_) => ("/", false),
        BinOp::And(_) => ("&&", true),
        BinOp::Or(_) => ("||", true),
        BinOp::Eq(_) => ("==", true),
        BinOp::Lt(_) => ("<", true),
        BinOp::Le(_) => ("<=", true),
        BinOp::Ne(_) => ("!=", true),
        BinOp::Ge(_) => (">=", true),
        BinOp::Gt(_) => (">", true),
        _ => return None,
    })
}

fn float_text(digits: &str, suffix: &str) -> String {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).map_or((digits, None), |(m, e)| (m, Some(e)));
    let mut text = mantissa.to_owned();
    if text.ends_with('.') {
        text.push('0');
    } else if !text.contains('.') {
        text.push_str(".0");
    }
    if let Some(e) = exponent {
        text.push('e');
        text.push_str(e);
    }
    text + suffix
}
