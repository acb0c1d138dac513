//! Statements and blocks.

use super::{Parsed, Parser, Reported};
use crate::ast::{
    AssignOp, Block, BlockId, ExprId, ExprKind, Ident, If, Pattern, Stmt, StmtId, StmtKind, TypeExpr,
};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::Tok;
use matex_ir::Span;

/// What a block belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A function, a block program or a lambda: `return` may end it.
    Body,
    /// A loop or a branch.
    Inner,
}

/// What was read at one place of a block.
enum Item {
    Stmt(StmtId),
    /// The expression that ends the block.
    Value(ExprId),
}

impl Parser<'_> {
    /// `{ … }`, with the brace ahead. Errors in its statements are kept and do not end it.
    pub(super) fn block(&mut self, place: Place) -> Parsed<BlockId> {
        if self.kind() != Tok::LBrace {
            let error = self.expected("`{`");
            let colon = self.kind() == Tok::Colon;
            return Err(self.report(if colon { error.help("write the body in braces") } else { error }));
        }
        self.nested(|parser| parser.block_inside(place))
    }

    fn block_inside(&mut self, place: Place) -> Parsed<BlockId> {
        let closed = self.behind.get(self.at).is_some_and(|&b| b > 0);
        let open = self.bump();
        let mut block = Block { stmts: Vec::new(), value: None, span: open };
        loop {
            match self.kind() {
                Tok::RBrace => break,
                Tok::Fn if closed => {
                    self.nested_function();
                    continue;
                }
                Tok::Eof | Tok::Fn => {
                    self.unclosed(open, Tok::RBrace);
                    block.span = open.to(self.previous);
                    return Ok(self.ast.push_block(block));
                }
                _ => {}
            }
            let before = self.at;
            match self.item(place) {
                Ok(Item::Stmt(stmt)) => block.stmts.push(stmt),
                Ok(Item::Value(value)) => block.value = Some(value),
                Err(Reported) => self.recover(before),
            }
        }
        block.span = open.to(self.bump());
        Ok(self.ast.push_block(block))
    }

    /// A function where a statement belongs, in a block that does end: it is read, so that the block goes on behind it.
    fn nested_function(&mut self) {
        let before = self.at;
        let error = Diagnostic::new(codes::MIXED_FORMS, "a function cannot stand inside a block");
        let error = error.primary(self.span(), "");
        self.report(
            error.help("write it outside, beside other functions; in a session on a line of its own"),
        );
        if self.fn_def().is_err() {
            self.recover(before);
        }
    }

    /// Behind the next `;`, or to the `}` of this block, or to a function; at least one token on from `before`.
    fn recover(&mut self, before: usize) {
        let mut open = 0_usize;
        if self.at == before && !matches!(self.kind(), Tok::LBrace | Tok::RBrace | Tok::Semi) {
            self.bump();
        }
        loop {
            match self.kind() {
                Tok::Eof | Tok::Fn => return,
                Tok::LBrace => open += 1,
                Tok::RBrace if open == 0 => return,
                Tok::RBrace => open -= 1,
                Tok::Semi if open == 0 => {
                    self.bump();
                    return;
                }
                _ => {}
            }
            self.bump();
        }
    }

    fn item(&mut self, place: Place) -> Parsed<Item> {
        let start = self.span();
        let kind = match self.kind() {
            Tok::Let => {
                self.bump();
                self.no_mut();
                self.binding()?
            }
            Tok::Ident if matches!(self.kind_at(1), Tok::Eq | Tok::Colon) => self.binding()?,
            Tok::LParen if matches!(self.kind_behind(0), Tok::Eq | Tok::Colon) => self.binding()?,
            Tok::Ident if self.assign_op_at(1).is_some() => self.compound()?,
            Tok::Ident if self.kind_at(1) == Tok::LBracket && assign_op(self.kind_behind(1)).is_some() => {
                self.update()?
            }
            Tok::For => self.for_loop()?,
            Tok::While => self.while_loop()?,
            Tok::Return => self.return_stmt(place)?,
            Tok::If => return self.if_item(),
            Tok::Ident => match self.foreign_start() {
                Some(reported) => return Err(reported),
                None => return self.expression_item(),
            },
            _ => return self.expression_item(),
        };
        Ok(self.stmt(kind, start))
    }

    fn stmt(&mut self, kind: StmtKind, start: Span) -> Item {
        let end = match self.token_before() {
            Some(Tok::Semi) => self.tokens.get(self.at.saturating_sub(2)).map_or(self.previous, |t| t.span),
            _ => self.previous,
        };
        Item::Stmt(self.ast.push_stmt(Stmt { kind, span: start.to(end) }))
    }

    fn token_before(&self) -> Option<Tok> {
        self.tokens.get(self.at.checked_sub(1)?).map(|t| t.kind)
    }

    /// The token behind the closing bracket of the opening one that is `ahead`.
    fn kind_behind(&self, ahead: usize) -> Tok {
        match self.behind.get(self.at + ahead) {
            Some(&index) if index > 0 => self.tokens.get(index as usize).map_or(Tok::Eof, |t| t.kind),
            Some(_) | None => Tok::Eof,
        }
    }

    // ---- assignments ----

    pub(super) fn assign_op(&self) -> Option<AssignOp> {
        assign_op(self.kind())
    }

    fn assign_op_at(&self, ahead: usize) -> Option<AssignOp> {
        assign_op(self.kind_at(ahead))
    }

    fn binding(&mut self) -> Parsed<StmtKind> {
        let pattern = self.pattern()?;
        let ty: Option<TypeExpr> = if self.take(Tok::Colon) { Some(self.type_expr()?) } else { None };
        self.expect(Tok::Eq, "`=` and a value")?;
        let value = self.assigned_value()?;
        Ok(StmtKind::Let { pattern, ty, value })
    }

    fn pattern(&mut self) -> Parsed<Pattern> {
        if self.kind() != Tok::LParen {
            return self.ident("a variable").map(Pattern::One);
        }
        let open = self.bump();
        let mut names: Vec<Ident> = Vec::new();
        loop {
            if self.kind() == Tok::RParen && names.is_empty() {
                let error = Diagnostic::new(codes::EMPTY_INDEX, "a pattern has at least one name");
                return Err(self.report(error.primary(open.to(self.span()), "")));
            }
            let name = self.ident("a variable")?;
            if names.iter().any(|n| n.name == name.name) {
                self.twice(&name, "variable");
            }
            names.push(name);
            if !self.take(Tok::Comma) {
                break;
            }
            self.no_trailing_comma(Tok::RParen)?;
        }
        if !matches!(self.kind(), Tok::RParen | Tok::Eof) {
            return Err(self.bad_target(open.to(self.span())));
        }
        let close = self.close(open, Tok::RParen, "`,` or `)`")?;
        Ok(Pattern::Tuple(names, open.to(close)))
    }

    /// The right side of an assignment, and its `;`.
    fn assigned_value(&mut self) -> Parsed<ExprId> {
        let value = self.expr()?;
        if self.kind() == Tok::Eq {
            let error = Diagnostic::new(codes::ASSIGNMENT_IN_EXPRESSION, "an assignment has no value");
            let error = error.primary(self.span(), "");
            return Err(self.report(error.help("assign in two statements, or compare by `==`")));
        }
        self.semicolon(value)?;
        Ok(value)
    }

    /// The `;` behind a statement that ends in a value.
    fn semicolon(&mut self, value: ExprId) -> Parsed<()> {
        // Where the block ends too, it is the brace that is missing, and the block says so.
        if self.take(Tok::Semi) || matches!(self.kind(), Tok::Eof | Tok::Fn) {
            return Ok(());
        }
        if let Some(reported) = self.foreign_end(value) {
            return Err(reported);
        }
        let place = Span::new(self.previous.end, self.previous.end);
        let message = format!("expected `;`, found {}", self.found());
        let error = Diagnostic::new(codes::EXPECTED_TOKEN, message).primary(place, "here");
        Err(self.report(error.help(match self.kind() {
            Tok::Comma => "several results are unpacked in parentheses: `(q, r) = qr(A);`",
            _ => "end the statement with `;`",
        })))
    }

    fn compound(&mut self) -> Parsed<StmtKind> {
        let target = self.ident("a variable")?;
        let op = self.assign_op().unwrap_or(AssignOp::Add);
        let op_span = self.bump();
        let value = self.assigned_value()?;
        Ok(StmtKind::Compound { target, op, op_span, value })
    }

    fn update(&mut self) -> Parsed<StmtKind> {
        let target = self.ident("a variable")?;
        let indices = self.nested(Self::indices)?;
        let Some(op) = self.assign_op() else { return Err(self.unexpected("`=` after the index")) };
        let op_span = self.bump();
        let value = self.assigned_value()?;
        Ok(StmtKind::Update { target, indices, op, op_span, value })
    }

    fn bad_target(&mut self, span: Span) -> Reported {
        let error =
            Diagnostic::new(codes::BAD_ASSIGNMENT_TARGET, "this cannot be assigned to").primary(span, "");
        self.report(error.help("assign to a name, to names in parentheses, or to `x[i, j]`"))
    }

    // ---- expressions as statements ----

    fn expression_item(&mut self) -> Parsed<Item> {
        let start = self.span();
        if self.kind() == Tok::Semi {
            let error = Diagnostic::new(codes::UNEXPECTED_TOKEN, "there is no statement before this `;`");
            self.report(
                error.primary(start, "").help("remove it: no `;` follows the `}` of a loop or an `if`"),
            );
            return Err(Reported);
        }
        if let (Tok::Percent | Tok::At | Tok::StarStar, Tok::Eq) = (self.kind_at(1), self.kind_at(2)) {
            return Err(self.other_assignment());
        }
        let value = self.expr()?;
        if matches!(self.kind(), Tok::RBrace | Tok::Eof) {
            return Ok(Item::Value(value));
        }
        if self.assign_op().is_some() {
            return Err(self.bad_assignment(value));
        }
        self.semicolon(value)?;
        Ok(self.stmt(StmtKind::Expr(value), start))
    }

    fn other_assignment(&mut self) -> Reported {
        let (name, op) = (self.text(), self.text_of(self.token(1).span));
        let message = format!("there is no `{op}=`");
        let error = Diagnostic::new(codes::OTHER_SPELLING, message)
            .primary(self.token(1).span.to(self.token(2).span), "");
        self.report(error.help(format!("write `{name} = {name} {op} …;`")))
    }

    /// An assignment whose left side is an expression.
    fn bad_assignment(&mut self, left: ExprId) -> Reported {
        let span = self.ast[left].span;
        let help = match &self.ast[left].kind {
            ExprKind::Index { .. } => "use one pair of brackets: `x[i, j] = e`",
            ExprKind::Tuple(_) | ExprKind::Name(_) => "only `=` unpacks: `(q, r) = qr(A);`",
            ExprKind::Binary { .. } => "`==` compares; the left side of `=` is a name",
            ExprKind::Number(_)
            | ExprKind::Bool(_)
            | ExprKind::Positional(_)
            | ExprKind::Str(_)
            | ExprKind::List(_)
            | ExprKind::Unary { .. }
            | ExprKind::Call { .. }
            | ExprKind::MethodCall { .. }
            | ExprKind::Attr { .. }
            | ExprKind::CallExpr { .. }
            | ExprKind::If(_)
            | ExprKind::Lambda { .. } => "assign to a name, to names in parentheses, or to `x[i, j]`",
        };
        let error = Diagnostic::new(codes::BAD_ASSIGNMENT_TARGET, "this cannot be assigned to");
        self.report(error.primary(span, "").secondary(self.span(), "by this").help(help))
    }

    // ---- if ----

    /// An `if` at the start of a statement: the value of the block when it ends the block and has an `else`.
    fn if_item(&mut self) -> Parsed<Item> {
        let start = self.span();
        let branches = self.if_chain()?;
        if self.kind() == Tok::RBrace && branches.otherwise.is_some() {
            return Ok(Item::Value(self.push(ExprKind::If(branches), start.to(self.previous))));
        }
        Ok(self.stmt(StmtKind::If(branches), start))
    }

    /// An `if` where a value is wanted.
    pub(super) fn if_value(&mut self) -> Parsed<ExprId> {
        let start = self.span();
        let branches = self.if_chain()?;
        if branches.otherwise.is_none() {
            let error = Diagnostic::new(codes::IF_WITHOUT_ELSE, "an `if` that is a value needs an `else`");
            return Err(self.report(error.primary(start, "").help("add `else { … }`")));
        }
        Ok(self.push(ExprKind::If(branches), start.to(self.previous)))
    }

    /// `if`, any number of `else if` and an `else`, in a loop.
    fn if_chain(&mut self) -> Parsed<If> {
        let mut branches = Vec::new();
        loop {
            self.bump();
            let cond = self.condition()?;
            branches.push((cond, self.block(Place::Inner)?));
            if !self.take(Tok::Else) {
                return Ok(If { branches, otherwise: None });
            }
            if self.kind() != Tok::If {
                let otherwise = Some(self.block(Place::Inner)?);
                return Ok(If { branches, otherwise });
            }
        }
    }

    fn condition(&mut self) -> Parsed<ExprId> {
        let cond = self.expr()?;
        match self.kind() {
            Tok::LBrace => Ok(cond),
            Tok::Eq => {
                let error = Diagnostic::new(codes::ASSIGNMENT_IN_EXPRESSION, "a condition cannot assign");
                Err(self.report(error.primary(self.span(), "").help("write `==` to compare")))
            }
            Tok::Colon => {
                let error = self.expected("`{` after the condition");
                Err(self.report(error.help("write the body in braces")))
            }
            _ => Err(self.unexpected("`{` after the condition")),
        }
    }

    // ---- loops and return ----

    fn for_loop(&mut self) -> Parsed<StmtKind> {
        self.bump();
        let var = self.ident("a loop variable")?;
        self.expect(Tok::In, "`in` after the loop variable")?;
        let start = self.expr()?;
        if self.kind() != Tok::DotDot {
            let error = self.expected("`..` after the first value");
            let help = match &self.ast[start].kind {
                ExprKind::Call { name, args } if &*name.name == "range" && args.len() == 1 => {
                    format!("write `0..{}`", self.text_of(self.ast[args[0].value].span))
                }
                _ => format!("a loop counts: `for {} in 0..n {{ … }}`", var.name),
            };
            return Err(self.report(error.help(help)));
        }
        self.bump();
        let stop = self.expr()?;
        let body = self.block(Place::Inner)?;
        Ok(StmtKind::For { var, start, stop, body })
    }

    fn while_loop(&mut self) -> Parsed<StmtKind> {
        self.bump();
        let cond = self.condition()?;
        let body = self.block(Place::Inner)?;
        Ok(StmtKind::While { cond, body })
    }

    fn return_stmt(&mut self, place: Place) -> Parsed<StmtKind> {
        let start = self.bump();
        let mut last = self.expr()?;
        let mut values = vec![last];
        while self.take(Tok::Comma) {
            last = self.expr()?;
            values.push(last);
        }
        if self.kind() != Tok::RBrace {
            self.semicolon(last)?;
        }
        let help = match place {
            Place::Inner => Some("give the `if` a value, or assign to a variable and return that at the end"),
            Place::Body if self.kind() != Tok::RBrace => Some("remove what follows it"),
            Place::Body => None,
        };
        if let Some(help) = help {
            let message = "`return` is not the last statement of the function";
            let error = Diagnostic::new(codes::RETURN_NOT_LAST, message).primary(start, "");
            self.report(error.help(help));
        }
        Ok(StmtKind::Return(values))
    }
}

fn assign_op(kind: Tok) -> Option<AssignOp> {
    Some(match kind {
        Tok::Eq => AssignOp::Set,
        Tok::PlusEq => AssignOp::Add,
        Tok::MinusEq => AssignOp::Sub,
        Tok::StarEq => AssignOp::Mul,
        Tok::SlashEq => AssignOp::Div,
        _ => return None,
    })
}
