//! What hangs on an operand: calls with their arguments, lambdas among them, indices, methods and attributes.

use super::{Parsed, Parser, Reported, stmt};
use crate::ast::{Arg, DTypeExpr, ExprId, ExprKind, Ident, Index, IndexKind, LambdaBody, Name};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::Tok;
use matex_ir::Span;
use std::collections::HashSet;

impl Parser<'_> {
    /// A primary and everything that follows it directly; a chain of any length is one loop.
    pub(super) fn postfix(&mut self) -> Parsed<ExprId> {
        let start = self.span();
        let mut value = match self.kind() {
            Tok::Ident if self.kind_at(1) == Tok::LParen => self.named_call()?,
            _ => self.primary()?,
        };
        loop {
            let kind = match self.kind() {
                Tok::LParen => ExprKind::CallExpr { callee: value, args: self.nested(Self::args)? },
                Tok::LBracket => ExprKind::Index { base: value, indices: self.nested(Self::indices)? },
                Tok::Dot => self.member(value)?,
                _ => return Ok(value),
            };
            value = self.push(kind, start.to(self.previous));
        }
    }

    fn named_call(&mut self) -> Parsed<ExprId> {
        let span = self.span();
        let text = self.text();
        if let Some(dtype) = DTypeExpr::from_name(text) {
            let error =
                Diagnostic::new(codes::OTHER_SPELLING, format!("`{text}` is a dtype, not a function"));
            let help = format!("write `cast(x, {})`", dtype.typical());
            return Err(self.report(error.primary(span, "").help(help)));
        }
        self.bump();
        let name = Ident { name: self.name(span), span };
        let args = self.nested(Self::args)?;
        Ok(self.push(ExprKind::Call { name, args }, span.to(self.previous)))
    }

    /// `.name` or `.name(…)`.
    fn member(&mut self, receiver: ExprId) -> Parsed<ExprKind> {
        self.bump();
        let name = self.ident("a method or attribute")?;
        if self.kind() != Tok::LParen {
            return Ok(ExprKind::Attr { receiver, name });
        }
        let args = self.nested(Self::args)?;
        Ok(ExprKind::MethodCall { receiver, name, args })
    }

    fn args(&mut self) -> Parsed<Vec<Arg>> {
        let open = self.bump();
        let mut args: Vec<Arg> = Vec::new();
        let mut seen: HashSet<Name> = HashSet::new();
        while self.kind() != Tok::RParen {
            let arg = self.arg()?;
            match &arg.name {
                Some(name) if !seen.insert(name.name.clone()) => {
                    self.twice(name, "argument");
                }
                None if !seen.is_empty() => {
                    self.after_named(arg.value);
                }
                Some(_) | None => {}
            }
            args.push(arg);
            if !self.take(Tok::Comma) {
                break;
            }
        }
        self.close(open, Tok::RParen, "`,` or `)`")?;
        Ok(args)
    }

    fn after_named(&mut self, value: ExprId) -> Reported {
        let message = "an argument without a name stands after one with a name";
        let error = Diagnostic::new(codes::POSITIONAL_AFTER_NAMED, message);
        self.report(error.primary(self.ast[value].span, "").help("move it to the front, or name it"))
    }

    fn arg(&mut self) -> Parsed<Arg> {
        let named = self.kind_at(1) == Tok::Eq && (self.kind() == Tok::Ident || self.kind().is_keyword());
        let name = if named {
            let name = self.ident("an argument")?;
            self.bump();
            Some(name)
        } else {
            None
        };
        let value = match self.kind() {
            Tok::Str => self.string_arg(),
            Tok::Pipe => self.nested(Self::lambda)?,
            Tok::OrOr => return Err(self.no_lambda_params()),
            _ => self.expr()?,
        };
        Ok(Arg { name, value })
    }

    fn string_arg(&mut self) -> ExprId {
        let span = self.bump();
        let inner = Span::new(span.start + 1, span.end.saturating_sub(1).max(span.start + 1));
        let text = self.name(inner);
        self.push(ExprKind::Str(text), span)
    }

    fn lambda(&mut self) -> Parsed<ExprId> {
        let open = self.bump();
        if self.kind() == Tok::Pipe {
            return Err(self.no_lambda_params());
        }
        let mut params: Vec<Ident> = Vec::new();
        loop {
            let param = self.ident("a parameter")?;
            if params.iter().any(|p| p.name == param.name) {
                self.twice(&param, "parameter");
            }
            params.push(param);
            if !self.take(Tok::Comma) {
                break;
            }
        }
        self.expect(Tok::Pipe, "`,` or `|` after a parameter")?;
        let body = if self.kind() == Tok::LBrace {
            LambdaBody::Block(self.block(stmt::Place::Body)?)
        } else {
            LambdaBody::Expr(self.expr()?)
        };
        Ok(self.push(ExprKind::Lambda { params, body }, open.to(self.previous)))
    }

    fn no_lambda_params(&mut self) -> Reported {
        let error = Diagnostic::new(codes::EMPTY_INDEX, "a lambda has at least one parameter");
        self.report(error.primary(self.span(), "").help("write `|x| x + 1`"))
    }

    /// The indices from bracket to bracket.
    pub(super) fn indices(&mut self) -> Parsed<Vec<Index>> {
        let open = self.bump();
        if self.kind() == Tok::RBracket {
            let error = Diagnostic::new(codes::EMPTY_INDEX, "an index is missing");
            return Err(self.report(error.primary(open.to(self.span()), "").help("all of it is `x[...]`")));
        }
        let mut indices = Vec::new();
        loop {
            indices.push(self.index()?);
            if !self.take(Tok::Comma) {
                break;
            }
            self.no_trailing_comma(Tok::RBracket)?;
        }
        self.close(open, Tok::RBracket, "`,`, `:` or `]`")?;
        Ok(indices)
    }

    fn index(&mut self) -> Parsed<Index> {
        let start = self.span();
        let kind = match self.kind() {
            Tok::Ellipsis => {
                self.bump();
                IndexKind::Ellipsis
            }
            Tok::NewAxis => {
                self.bump();
                IndexKind::NewAxis
            }
            _ => {
                let first = self.bound()?;
                match (self.kind(), first) {
                    (Tok::Colon, first) => self.colon_slice(first)?,
                    (Tok::DotDot, first) => {
                        self.bump();
                        IndexKind::Slice { start: first, stop: self.bound()?, step: None, range: true }
                    }
                    (_, Some(value)) => IndexKind::At(value),
                    (_, None) => return Err(self.unexpected("an expression, `:` or `..`")),
                }
            }
        };
        Ok(Index { kind, span: start.to(self.previous) })
    }

    fn colon_slice(&mut self, start: Option<ExprId>) -> Parsed<IndexKind> {
        self.bump();
        let stop = self.bound()?;
        let step = if self.take(Tok::Colon) { self.bound()? } else { None };
        Ok(IndexKind::Slice { start, stop, step, range: false })
    }

    /// The bound of a slice, which may be left out.
    fn bound(&mut self) -> Parsed<Option<ExprId>> {
        match self.kind() {
            Tok::Colon | Tok::DotDot | Tok::Comma | Tok::RBracket => Ok(None),
            _ => self.expr().map(Some),
        }
    }
}
