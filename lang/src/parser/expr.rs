//! Expressions: operators by precedence, and the operands.

use super::{Parsed, Parser, Reported};
use crate::ast::{BinaryOp, ExprId, ExprKind, UnaryOp};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::Tok;
use matex_ir::Span;

/// An operator that waits for its right operand.
struct Waiting {
    op: BinaryOp,
    span: Span,
    level: u8,
    /// Its left operand is a comparison without parentheses around it, and so is the operator.
    chained: bool,
}

const COMPARISON: u8 = 3;

/// The operator and its level in language.md's table, where tighter is higher; `**` binds tighter than a sign and is
/// read with the operand.
fn binary_op(kind: Tok) -> Option<(BinaryOp, u8)> {
    Some(match kind {
        Tok::Star => (BinaryOp::Mul, 5),
        Tok::Slash => (BinaryOp::Div, 5),
        Tok::Percent => (BinaryOp::Rem, 5),
        Tok::At => (BinaryOp::MatMul, 5),
        Tok::Plus => (BinaryOp::Add, 4),
        Tok::Minus => (BinaryOp::Sub, 4),
        Tok::Lt => (BinaryOp::Lt, COMPARISON),
        Tok::Le => (BinaryOp::Le, COMPARISON),
        Tok::Gt => (BinaryOp::Gt, COMPARISON),
        Tok::Ge => (BinaryOp::Ge, COMPARISON),
        Tok::EqEq => (BinaryOp::Eq, COMPARISON),
        Tok::Ne => (BinaryOp::Ne, COMPARISON),
        Tok::AndAnd => (BinaryOp::And, 2),
        // A single one is reported where it is taken.
        Tok::OrOr | Tok::Pipe => (BinaryOp::Or, 1),
        _ => return None,
    })
}

impl Parser<'_> {
    /// Any expression but a lambda.
    pub(super) fn expr(&mut self) -> Parsed<ExprId> {
        match self.kind() {
            Tok::If => {
                let value = self.nested(Self::if_value)?;
                if binary_op(self.kind()).is_some() || matches!(self.kind(), Tok::LBracket | Tok::Dot) {
                    let error = self.expected("the end of the expression after an `if`");
                    return Err(self.report(error.help("put the `if` in parentheses")));
                }
                Ok(value)
            }
            Tok::Pipe | Tok::OrOr => Err(self.stray_lambda()),
            _ => self.binary(),
        }
    }

    fn stray_lambda(&mut self) -> Reported {
        let error = Diagnostic::new(codes::LAMBDA_NOT_ALLOWED, "a lambda can only be an argument");
        let error = error.primary(self.span(), "");
        self.report(
            error.help("write it between the parentheses of a call: `vmap(|x| x**2)(y)`, or use `fn`"),
        )
    }

    /// Operators and operands, on two stacks instead of the machine's: a chain of any length nests no deeper.
    fn binary(&mut self) -> Parsed<ExprId> {
        let mut last = self.operand()?;
        let mut left: Vec<ExprId> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        while let Some((op, level)) = binary_op(self.kind()) {
            let mut compared = false;
            while let Some(top) = waiting.pop_if(|top| top.level >= level) {
                compared = top.level == COMPARISON;
                last = self.combine(left.pop(), &top, last);
            }
            if self.kind() == Tok::Pipe {
                self.single_pipe();
            }
            let span = self.bump();
            waiting.push(Waiting { op, span, level, chained: compared && level == COMPARISON });
            left.push(last);
            last = self.operand()?;
        }
        while let Some(top) = waiting.pop() {
            last = self.combine(left.pop(), &top, last);
        }
        Ok(last)
    }

    fn combine(&mut self, lhs: Option<ExprId>, waiting: &Waiting, rhs: ExprId) -> ExprId {
        // The two stacks grow and shrink together, so there is a left operand for every operator.
        let Some(lhs) = lhs else { return rhs };
        if waiting.chained {
            self.chained_comparison(lhs, waiting, rhs);
        }
        let span = self.ast[lhs].span.to(self.ast[rhs].span);
        self.push(ExprKind::Binary { op: waiting.op, op_span: waiting.span, lhs, rhs }, span)
    }

    fn chained_comparison(&mut self, lhs: ExprId, waiting: &Waiting, rhs: ExprId) -> Option<Reported> {
        let ExprKind::Binary { op_span, rhs: middle, .. } = self.ast[lhs].kind else { return None };
        let (first, second) = (self.text_of(self.ast[lhs].span), self.text_of(self.ast[rhs].span));
        let middle = self.text_of(self.ast[middle].span);
        let op = waiting.op.symbol();
        let help = if first.len() + second.len() + middle.len() < 80 {
            format!("write `{first} && {middle} {op} {second}`")
        } else {
            "write `a < b && b < c`".to_owned()
        };
        let error = Diagnostic::new(codes::CHAINED_COMPARISON, "comparisons cannot be chained");
        let error = error.primary(waiting.span, "the second comparison").secondary(op_span, "the first one");
        Some(self.report(error.help(help)))
    }

    fn single_pipe(&mut self) {
        let error = Diagnostic::new(codes::OTHER_SPELLING, "`|` is no operator between values");
        let error = error.primary(self.span(), "");
        self.report(error.help("write `||` for a logical or, or `bitwise_or(a, b)`"));
    }

    /// Signs, a primary with what hangs on it, and a power.
    fn operand(&mut self) -> Parsed<ExprId> {
        let mut prefixes: Vec<(UnaryOp, Span)> = Vec::new();
        let result = self.prefixed(&mut prefixes);
        self.depth -= prefixes.len();
        let mut value = result?;
        for (op, op_span) in prefixes.into_iter().rev() {
            let span = op_span.to(self.ast[value].span);
            value = self.push(ExprKind::Unary { op, op_span, operand: value }, span);
        }
        Ok(value)
    }

    /// Each sign is one level down: whoever walks the tree walks them one by one.
    fn prefixed(&mut self, prefixes: &mut Vec<(UnaryOp, Span)>) -> Parsed<ExprId> {
        loop {
            let op = match self.kind() {
                Tok::Minus => UnaryOp::Neg,
                Tok::Bang => UnaryOp::Not,
                _ => break,
            };
            prefixes.push((op, self.span()));
            self.enter()?;
            self.bump();
        }
        let base = self.postfix()?;
        if self.kind() != Tok::StarStar {
            return Ok(base);
        }
        let op_span = self.bump();
        let exponent = self.nested(Self::operand)?;
        let span = self.ast[base].span.to(self.ast[exponent].span);
        Ok(self.push(ExprKind::Binary { op: BinaryOp::Pow, op_span, lhs: base, rhs: exponent }, span))
    }

    /// The first part of an operand.
    pub(super) fn primary(&mut self) -> Parsed<ExprId> {
        let span = self.span();
        let kind = match self.kind() {
            Tok::Number(index) => match self.numbers.get(index as usize) {
                Some(&number) => ExprKind::Number(number),
                None => return Err(self.unexpected("an expression")),
            },
            Tok::True => ExprKind::Bool(true),
            Tok::False => ExprKind::Bool(false),
            Tok::Positional(index) => ExprKind::Positional(index),
            Tok::Ident if self.foreign_value().is_none() => ExprKind::Name(self.name(span)),
            Tok::LParen => return self.nested(Self::parenthesised),
            Tok::LBracket => return self.nested(Self::list),
            _ => return Err(self.no_expression()),
        };
        self.bump();
        Ok(self.push(kind, span))
    }

    fn no_expression(&mut self) -> Reported {
        let span = self.span();
        let at = |code, message: &str| Diagnostic::new(code, message).primary(span, "");
        let error = match self.kind() {
            Tok::Ident => {
                let (message, help) = self.foreign_value().unwrap_or(("there is no value here", ""));
                at(codes::OTHER_LANGUAGE, message).help(help)
            }
            Tok::Str => at(codes::STRING_NOT_ALLOWED, "a string can only be an argument")
                .help("options are bare words, such as `mode=reflect`"),
            Tok::NewAxis => {
                at(codes::EXPECTED_EXPRESSION, "`newaxis` stands only between the brackets of an index")
                    .help("write `x[:, newaxis]`")
            }
            Tok::If => at(codes::EXPECTED_EXPRESSION, "an `if` inside an expression needs parentheses")
                .help("write `(if c { a } else { b })`"),
            Tok::LBrace => at(codes::EXPECTED_EXPRESSION, "a block is not a value")
                .help("name its result first, or write a function"),
            Tok::Plus => self.expected("an expression").help("there is no `+` sign: leave it out"),
            Tok::Eq => self
                .expected("an expression")
                .help("`==` compares, and `=` assigns a name at the start of a statement"),
            other if other.is_keyword() && self.assigned() => {
                at(codes::RESERVED_WORD, &format!("{} cannot name a variable", other.describe()))
                    .help("choose another name")
            }
            other if other.is_keyword() => {
                let message = format!("expected an expression, found the reserved word {}", other.describe());
                at(codes::EXPECTED_EXPRESSION, &message)
            }
            _ => self.expected("an expression"),
        };
        self.report(error)
    }

    /// Whether the next token assigns to the current one.
    fn assigned(&self) -> bool {
        matches!(self.kind_at(1), Tok::Eq | Tok::PlusEq | Tok::MinusEq | Tok::StarEq | Tok::SlashEq)
    }

    fn parenthesised(&mut self) -> Parsed<ExprId> {
        let open = self.bump();
        if self.kind() == Tok::RParen {
            let error = Diagnostic::new(codes::EMPTY_INDEX, "there is nothing between these parentheses");
            return Err(
                self.report(error.primary(open.to(self.span()), "").help("an empty shape or list is `[]`"))
            );
        }
        let first = self.expr()?;
        if self.kind() != Tok::Comma {
            let close = self.close(open, Tok::RParen, "`)`")?;
            self.ast.widen(first, open.to(close));
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(Tok::Comma) {
            self.no_trailing_comma(Tok::RParen)?;
            parts.push(self.expr()?);
        }
        let close = self.close(open, Tok::RParen, "`,` or `)`")?;
        Ok(self.push(ExprKind::Tuple(parts), open.to(close)))
    }

    fn list(&mut self) -> Parsed<ExprId> {
        let open = self.bump();
        let mut parts = Vec::new();
        while self.kind() != Tok::RBracket || !parts.is_empty() {
            parts.push(self.expr()?);
            if !self.take(Tok::Comma) {
                break;
            }
            self.no_trailing_comma(Tok::RBracket)?;
        }
        let close = self.close(open, Tok::RBracket, "`,` or `]`")?;
        Ok(self.push(ExprKind::List(parts), open.to(close)))
    }

    /// Reports a comma that nothing follows; `close` is the bracket that would end the list.
    pub(super) fn no_trailing_comma(&mut self, close: Tok) -> Parsed<()> {
        if self.kind() != close {
            return Ok(());
        }
        let error = Diagnostic::new(codes::EXPECTED_EXPRESSION, "something is missing after this comma");
        Err(self.report(error.primary(self.previous, "").help("remove the comma")))
    }
}
