//! Tokens to a syntax tree, by recursive descent.
//!
//! Two rules keep it safe on any text. The parser calls itself only for real nesting, which is counted and limited;
//! chains of operators, calls, indices, statements and `else if`s are loops. And an error is reported once: it is
//! kept, [`Reported`] unwinds to the statement, and parsing goes on behind it.

mod expr;
mod foreign;
mod postfix;
mod stmt;
#[cfg(test)]
mod tests;
mod types;

use crate::ast::{Ast, Expr, ExprId, ExprKind, FnDef, FnId, Form, Ident, Name, ParamDecl, Program};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::{self, MAX_ERRORS, Tok, Token};
use crate::limits::Limits;
use matex_ir::Span;
use std::collections::{HashMap, HashSet};

/// Reads a program: an expression, a block or a module of functions.
///
/// # Errors
/// Everything that is wrong with the text, in its order; at most 64 diagnostics.
///
/// ```
/// use matex_lang::{Limits, ast::Form, parse};
///
/// let program = parse("fn axpy(a: f64, x: f64[n], y: f64[n]) -> f64[n] { a*x + y }", &Limits::default()).unwrap();
/// assert!(matches!(program.form, Form::Module(fns) if fns.len() == 1));
///
/// let errors = parse("a ^ 2", &Limits::default()).unwrap_err();
/// assert_eq!(errors[0].help.as_deref(), Some("write `**` for a power, or `bitwise_xor(a, b)`"));
/// ```
pub fn parse(source: &str, limits: &Limits) -> Result<Program, Vec<Diagnostic>> {
    let most = limits.source_bytes.min(1 << 30);
    if source.len() > most {
        let message = format!("the source has {} bytes, more than the limit of {most}", source.len());
        return Err(vec![
            Diagnostic::new(codes::LIMIT_SOURCE, message).note("the limit is `Limits::source_bytes`"),
        ]);
    }
    let mut parser = Parser::new(source, limits);
    let form = parser.program();
    parser.errors.sort_by_key(|e| e.span().map_or(0, |s| s.start));
    parser.errors.truncate(MAX_ERRORS);
    match form {
        Ok(form) if parser.errors.is_empty() => {
            let first = parser.tokens.first().map_or(Span::default(), |t| t.span);
            Ok(Program { ast: parser.ast, form, span: first.to(parser.previous) })
        }
        _ if parser.errors.is_empty() => {
            Err(vec![Diagnostic::new(codes::INTERNAL, "the parser gave up without a reason")])
        }
        _ => Err(parser.errors),
    }
}

/// An error was reported, or the token at hand was reported by the lexer: unwind to where parsing can go on.
#[derive(Debug)]
struct Reported;

type Parsed<T> = Result<T, Reported>;

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    numbers: Vec<crate::ast::Number>,
    /// For each opening bracket the token behind its closing one; 0 for every other token.
    behind: Vec<u32>,
    at: usize,
    /// The place of the last token that was taken.
    previous: Span,
    depth: usize,
    max_depth: usize,
    /// The nesting limit was hit: whatever else would be said is an echo.
    stopped: bool,
    /// A bracket was found open at the end of the program: the ones around it are open too.
    open_at_end: bool,
    ast: Ast,
    errors: Vec<Diagnostic>,
    names: HashMap<&'s str, Name>,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str, limits: &Limits) -> Parser<'s> {
        let lexed = lexer::lex(source);
        Parser {
            source,
            behind: behind_brackets(&lexed.tokens),
            tokens: lexed.tokens,
            numbers: lexed.numbers,
            at: 0,
            previous: Span::default(),
            depth: 0,
            max_depth: limits.nesting_depth.min(Limits::MAX_NESTING_DEPTH),
            stopped: false,
            // A string or comment without an end has swallowed the brackets behind it.
            open_at_end: lexed
                .errors
                .iter()
                .any(|e| e.code == codes::UNCLOSED_STRING || e.code == codes::UNCLOSED_COMMENT),
            ast: Ast::default(),
            errors: lexed.errors,
            names: HashMap::new(),
        }
    }

    // ---- forms ----

    fn program(&mut self) -> Parsed<Form> {
        match self.kind() {
            Tok::Fn => self.module(),
            Tok::LBrace => {
                let block = self.block(stmt::Place::Body)?;
                self.end_of(Form::Block(block), "this block is the whole program")
            }
            Tok::Eof => {
                let error = Diagnostic::new(codes::EMPTY_PROGRAM, "the program is empty");
                Err(self
                    .report(error.primary(self.span(), "").help("write an expression, such as `a*x + b`")))
            }
            Tok::Let | Tok::For | Tok::While | Tok::Return => Err(self.statement_alone()),
            Tok::Ident if self.kind_at(1) == Tok::Fn => self.module(),
            Tok::Ident => match self.foreign_start() {
                Some(reported) => Err(reported),
                None => self.lone_expression(),
            },
            _ => self.lone_expression(),
        }
    }

    fn lone_expression(&mut self) -> Parsed<Form> {
        let value = self.expr()?;
        if self.kind() == Tok::Semi || self.assign_op().is_some() {
            return Err(self.statement_alone());
        }
        if let Some(reported) = self.foreign_end(value) {
            return Err(reported);
        }
        self.end_of(Form::Expr(value), "this expression is the whole program")
    }

    fn statement_alone(&mut self) -> Reported {
        let error = Diagnostic::new(codes::STATEMENT_OUTSIDE_BLOCK, "a statement needs a block");
        self.report(error.primary(self.span(), "").help("put the program in braces: `{ y = x + 1; y * 2 }`"))
    }

    fn end_of(&mut self, form: Form, what: &str) -> Parsed<Form> {
        if self.kind() == Tok::Eof {
            return Ok(form);
        }
        if matches!(form, Form::Block(_)) {
            let error = Diagnostic::new(codes::MIXED_FORMS, "something follows the program's block");
            let error = error.primary(self.span(), "").note(what);
            return Err(
                self.report(error.help("move it into the block, or write functions: `fn main() { … }`"))
            );
        }
        let error = self.expected("an operator or the end of the program");
        let value = matches!(self.kind(), Tok::Ident | Tok::Number(_) | Tok::Positional(_));
        Err(self.report(if value { error.help("a product is written with `*`") } else { error }))
    }

    fn module(&mut self) -> Parsed<Form> {
        let mut fns = Vec::new();
        while self.kind() != Tok::Eof {
            let before = self.at;
            if self.kind() == Tok::Fn {
                if let Ok(id) = self.fn_def() {
                    fns.push(id);
                    continue;
                }
            } else if self.kind() == Tok::Ident && self.kind_at(1) == Tok::Fn {
                self.foreign_modifier();
                continue;
            } else if self.foreign_start().is_none() {
                let error = Diagnostic::new(codes::MIXED_FORMS, "only functions can stand beside functions");
                self.report(error.primary(self.span(), "").help("put it into a function: `fn main() { … }`"));
            }
            self.skip_to_fn(before);
        }
        Ok(Form::Module(fns))
    }

    /// To the next `fn`, at least one token on from `before`.
    fn skip_to_fn(&mut self, before: usize) {
        if self.at == before {
            self.bump();
        }
        while !matches!(self.kind(), Tok::Fn | Tok::Eof) {
            self.bump();
        }
    }

    fn fn_def(&mut self) -> Parsed<FnId> {
        let start = self.bump();
        let name = self.ident("the function")?;
        if self.kind() != Tok::LParen {
            return Err(self.missing_params());
        }
        let open = self.bump();
        let params = self.params(open)?;
        let result = if self.take(Tok::Arrow) { Some(self.result_type()?) } else { None };
        if self.kind() != Tok::LBrace {
            return Err(self.missing_body());
        }
        let body = self.block(stmt::Place::Body)?;
        let span = start.to(self.previous);
        Ok(self.ast.push_fn(FnDef { name, params, result, body, span }))
    }

    fn missing_params(&mut self) -> Reported {
        let error = self.expected("`(` after the function's name");
        self.report(if self.kind() == Tok::Lt {
            error.help("there are no type parameters: `float`, `int` and `num` are types for many dtypes")
        } else {
            error.help("write its parameters in parentheses: `fn f(x, y) { … }`")
        })
    }

    fn missing_body(&mut self) -> Reported {
        let error = self.expected("`{` before the function's body");
        let error = match self.kind() {
            Tok::Colon => error.help("write `-> f64[n]` for the result's type, and the body in braces"),
            Tok::Eq => error.help("write the body in braces: `fn f(x) { x + 1 }`"),
            _ => error,
        };
        self.report(error)
    }

    fn params(&mut self, open: Span) -> Parsed<Vec<ParamDecl>> {
        let mut params: Vec<ParamDecl> = Vec::new();
        let mut seen = HashSet::new();
        while self.kind() != Tok::RParen {
            let name = self.ident("a parameter")?;
            if !seen.insert(name.name.clone()) {
                self.twice(&name, "parameter");
            }
            let ty = if self.take(Tok::Colon) { Some(self.type_expr()?) } else { None };
            let default = if self.take(Tok::Eq) { Some(self.default_value()?) } else { None };
            let span = name.span.to(self.previous);
            params.push(ParamDecl { name, ty, default, span });
            if !self.take(Tok::Comma) {
                break;
            }
        }
        self.close(open, Tok::RParen, "`,` or `)`")?;
        Ok(params)
    }

    fn default_value(&mut self) -> Parsed<ExprId> {
        let value = self.expr()?;
        let mut open = vec![value];
        while let Some(id) = open.pop() {
            let Expr { kind, span } = &self.ast[id];
            match kind {
                ExprKind::Number(_) | ExprKind::Bool(_) => {}
                ExprKind::Name(name) if matches!(&**name, "pi" | "inf" | "nan") => {}
                ExprKind::Unary { op: crate::ast::UnaryOp::Neg, operand, .. } => open.push(*operand),
                ExprKind::List(parts) => open.extend(parts),
                ExprKind::Name(_)
                | ExprKind::Positional(_)
                | ExprKind::Str(_)
                | ExprKind::Tuple(_)
                | ExprKind::Unary { .. }
                | ExprKind::Binary { .. }
                | ExprKind::Call { .. }
                | ExprKind::MethodCall { .. }
                | ExprKind::Attr { .. }
                | ExprKind::CallExpr { .. }
                | ExprKind::Index { .. }
                | ExprKind::If(_)
                | ExprKind::Lambda { .. } => {
                    let error = Diagnostic::new(codes::BAD_DEFAULT, "a default must be a constant");
                    let error = error.primary(*span, "this is not one");
                    self.report(
                        error.help("a number, `true`, `false`, `pi`, `inf`, `nan`, or a list of these"),
                    );
                    break;
                }
            }
        }
        Ok(value)
    }

    // ---- tokens ----

    fn token(&self, ahead: usize) -> Token {
        let end = Token { kind: Tok::Eof, span: self.previous };
        self.tokens.get(self.at + ahead).or(self.tokens.last()).copied().unwrap_or(end)
    }

    fn kind(&self) -> Tok {
        self.token(0).kind
    }

    fn kind_at(&self, ahead: usize) -> Tok {
        self.token(ahead).kind
    }

    fn span(&self) -> Span {
        self.token(0).span
    }

    /// The text of the current token.
    fn text(&self) -> &'s str {
        self.text_of(self.span())
    }

    fn text_of(&self, span: Span) -> &'s str {
        self.source.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Takes the current token; the end of the program stays.
    fn bump(&mut self) -> Span {
        let token = self.token(0);
        if token.kind != Tok::Eof {
            self.at += 1;
            self.previous = token.span;
        }
        token.span
    }

    fn take(&mut self, kind: Tok) -> bool {
        let found = self.kind() == kind;
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, kind: Tok, what: &str) -> Parsed<Span> {
        if self.kind() == kind { Ok(self.bump()) } else { Err(self.unexpected(what)) }
    }

    /// Takes the closing bracket; `wanted` names what could stand here.
    fn close(&mut self, open: Span, kind: Tok, wanted: &str) -> Parsed<Span> {
        if self.kind() == kind {
            return Ok(self.bump());
        }
        if matches!(self.kind(), Tok::Eof | Tok::RBrace | Tok::RParen | Tok::RBracket | Tok::Fn) {
            return Err(self.unclosed(open, kind));
        }
        let error = self.expected(wanted).secondary(open, "this is open");
        let help = self.inside_help(open);
        Err(self.report(if let Some(help) = help { error.help(help) } else { error }))
    }

    fn unclosed(&mut self, open: Span, close: Tok) -> Reported {
        let told =
            self.errors.last().and_then(Diagnostic::span).is_some_and(|s| s.start == self.span().start);
        if told || self.kind() == Tok::Eof && std::mem::replace(&mut self.open_at_end, true) {
            return Reported;
        }
        let (opening, closing) = (self.text_of(open), close.describe());
        let message = format!("`{opening}` is not closed");
        let error = Diagnostic::new(codes::UNCLOSED_DELIMITER, message).primary(open, "");
        let error = error.secondary(self.span(), format!("expected {closing} before this"));
        self.report(error.help(format!("close it with {closing}")))
    }

    /// A name that is being declared or used; `what` names its role in the message.
    fn ident(&mut self, what: &str) -> Parsed<Ident> {
        let span = self.span();
        let text = self.text();
        if self.kind().is_keyword() || crate::ast::DTypeExpr::from_name(text).is_some() {
            let why = if self.kind().is_keyword() { "a reserved word" } else { "the name of a dtype" };
            let error = Diagnostic::new(codes::RESERVED_WORD, format!("`{text}` cannot name {what}"));
            let error = error.primary(span, format!("this is {why}"));
            let error = if text == "_" { error.help("use any other name, such as `_rest`") } else { error };
            return Err(self.report(error.help("choose another name")));
        }
        if self.kind() != Tok::Ident {
            return Err(self.unexpected(&format!("a name for {what}")));
        }
        self.bump();
        Ok(Ident { name: self.name(span), span })
    }

    /// The shared copy of the name at that place.
    fn name(&mut self, span: Span) -> Name {
        let text = self.text_of(span);
        self.names.entry(text).or_insert_with(|| Name::from(text)).clone()
    }

    fn push(&mut self, kind: ExprKind, span: Span) -> ExprId {
        self.ast.push_expr(Expr { kind, span })
    }

    // ---- errors ----

    /// Keeps the diagnostic, unless it is an echo of one that was kept before.
    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        let echo = self.stopped || self.kind() == Tok::Error;
        let start = diagnostic.span().map(|s| s.start);
        let again = self.errors.last().is_some_and(|last| last.span().map(|s| s.start) == start);
        // The lexer may have kept as many already; the earliest ones are what is shown in the end.
        if !echo && !again && self.errors.len() < 2 * MAX_ERRORS {
            self.errors.push(diagnostic);
        }
        Reported
    }

    /// "expected …, found …" at the current token.
    fn expected(&self, what: &str) -> Diagnostic {
        let found = self.found();
        let code = if what.starts_with("an expression") {
            codes::EXPECTED_EXPRESSION
        } else if what.starts_with('`') {
            codes::EXPECTED_TOKEN
        } else {
            codes::UNEXPECTED_TOKEN
        };
        Diagnostic::new(code, format!("expected {what}, found {found}")).primary(self.span(), "")
    }

    /// How a message names the current token.
    fn found(&self) -> String {
        match self.kind() {
            Tok::Ident => format!("`{}`", self.text()),
            other => other.describe().to_owned(),
        }
    }

    fn unexpected(&mut self, what: &str) -> Reported {
        let error = self.expected(what);
        self.report(error)
    }

    fn twice(&mut self, ident: &Ident, what: &str) -> Reported {
        let message = format!("two {what}s have the name `{}`", ident.name);
        let error = Diagnostic::new(codes::DUPLICATE_ARGUMENT_NAME, message);
        self.report(error.primary(ident.span, "the second one").help("rename or remove it"))
    }

    // ---- nesting ----

    /// One level down; [`Parser::leave`] comes back. On the limit parsing ends as a whole.
    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth <= self.max_depth {
            return Ok(());
        }
        let message = format!("the program nests deeper than {} levels", self.max_depth);
        let error = Diagnostic::new(codes::LIMIT_NESTING, message).primary(self.span(), "");
        let error = error.note("the limit is `Limits::nesting_depth`");
        self.report(error.help("give a part of it a name: `part = …;`"));
        self.stopped = true;
        self.at = self.tokens.len();
        Err(Reported)
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Runs `inner` one level down.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        // The count is undone on errors too, or statements behind them would start too deep.
        let result = match self.enter() {
            Ok(()) => inner(self),
            Err(reported) => Err(reported),
        };
        self.leave();
        result
    }
}

/// For each opening bracket the number of the token behind its closing one, so that `x[…] =` and `(q, r) =` are known
/// without a scan.
fn behind_brackets(tokens: &[Token]) -> Vec<u32> {
    let mut behind = vec![0; tokens.len()];
    let mut open = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            Tok::LParen | Tok::LBracket | Tok::LBrace => open.push(i),
            Tok::RParen | Tok::RBracket | Tok::RBrace => {
                if let Some(start) = open.pop() {
                    behind[start] = u32::try_from(i + 1).unwrap_or(0);
                }
            }
            _ => {}
        }
    }
    behind
}
