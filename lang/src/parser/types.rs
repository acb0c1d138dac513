//! Types: a dtype or a class of dtypes, and dims in brackets.

use super::{Parsed, Parser, Reported};
use crate::ast::{DTypeExpr, Dim, DimId, DimKind, DimOp, NumberValue, ResultType, TypeExpr};
use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::Tok;
use matex_ir::Span;

impl Parser<'_> {
    /// What stands after `->`.
    pub(super) fn result_type(&mut self) -> Parsed<ResultType> {
        let start = self.span();
        if !self.take(Tok::LParen) {
            let ty = self.type_expr()?;
            return Ok(ResultType { span: ty.span, types: vec![ty], parenthesised: false });
        }
        let mut types = vec![self.type_expr()?];
        while self.take(Tok::Comma) {
            self.no_trailing_comma(Tok::RParen)?;
            types.push(self.type_expr()?);
        }
        let close = self.close(start, Tok::RParen, "`,` or `)`")?;
        Ok(ResultType { types, parenthesised: true, span: start.to(close) })
    }

    pub(super) fn type_expr(&mut self) -> Parsed<TypeExpr> {
        let dtype_span = self.span();
        let Some(dtype) = DTypeExpr::from_name(self.text()) else { return Err(self.unknown_type()) };
        self.bump();
        let dims = if self.kind() == Tok::LBracket { Some(self.nested(Self::dims)?) } else { None };
        Ok(TypeExpr { dtype, dtype_span, dims, span: dtype_span.to(self.previous) })
    }

    fn unknown_type(&mut self) -> Reported {
        if self.kind() != Tok::Ident {
            return self.unexpected("a type");
        }
        let text = self.text();
        let error =
            Diagnostic::new(codes::UNKNOWN_TYPE, format!("`{text}` is not a dtype")).primary(self.span(), "");
        let error =
            error.note("dtypes: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool; classes: float int num");
        self.report(match DTypeExpr::meant(text) {
            Some(meant) => error.help(format!("write `{meant}`")),
            None => error.help("a type is a dtype with sizes in brackets, such as `f64[n, 3]`"),
        })
    }

    fn dims(&mut self) -> Parsed<Vec<DimId>> {
        let open = self.bump();
        let mut dims = Vec::new();
        let mut rest: Option<Span> = None;
        while self.kind() != Tok::RBracket || !dims.is_empty() {
            let dim = self.dim()?;
            dims.push(dim);
            if self.ast[dim].kind == DimKind::Rest {
                let span = self.ast[dim].span;
                if let Some(first) = rest.replace(span) {
                    let error = Diagnostic::new(codes::BAD_DIM, "a type has at most one `...`");
                    self.report(error.primary(span, "the second one").secondary(first, "the first one"));
                }
            }
            if !self.take(Tok::Comma) {
                break;
            }
            self.no_trailing_comma(Tok::RBracket)?;
        }
        self.close(open, Tok::RBracket, "`,` or `]`")?;
        Ok(dims)
    }

    /// A sum of products, both in loops.
    fn dim(&mut self) -> Parsed<DimId> {
        let mut sum = self.dim_product()?;
        loop {
            let op = match self.kind() {
                Tok::Plus => DimOp::Add,
                Tok::Minus => DimOp::Sub,
                Tok::Slash | Tok::Percent | Tok::StarStar | Tok::At => return Err(self.bad_dim_op()),
                _ => return Ok(sum),
            };
            let op_span = self.bump();
            let rhs = self.dim_product()?;
            sum = self.dim_binary(op, op_span, sum, rhs);
        }
    }

    fn dim_product(&mut self) -> Parsed<DimId> {
        let mut product = self.dim_primary()?;
        while self.kind() == Tok::Star {
            let op_span = self.bump();
            let rhs = self.dim_primary()?;
            product = self.dim_binary(DimOp::Mul, op_span, product, rhs);
        }
        Ok(product)
    }

    fn dim_binary(&mut self, op: DimOp, op_span: Span, lhs: DimId, rhs: DimId) -> DimId {
        for side in [lhs, rhs] {
            if matches!(self.ast[side].kind, DimKind::Any | DimKind::Rest) {
                let error = Diagnostic::new(codes::BAD_DIM, "`_` and `...` stand alone");
                self.report(error.primary(self.ast[side].span, "").help("give the size a name"));
            }
        }
        let span = self.ast[lhs].span.to(self.ast[rhs].span);
        self.ast.push_dim(Dim { kind: DimKind::Binary { op, op_span, lhs, rhs }, span })
    }

    fn bad_dim_op(&mut self) -> Reported {
        let error = Diagnostic::new(codes::BAD_DIM, format!("no {} between sizes", self.kind().describe()));
        let error = error.primary(self.span(), "");
        self.report(error.help("sizes know `+`, `-` and `*`: name the smaller size and multiply"))
    }

    fn dim_primary(&mut self) -> Parsed<DimId> {
        let span = self.span();
        let kind = match self.kind() {
            Tok::Underscore => DimKind::Any,
            Tok::Ellipsis => DimKind::Rest,
            Tok::Number(index) => match self.dim_number(index) {
                Some(size) => DimKind::Int(size),
                None => {
                    let error =
                        Diagnostic::new(codes::BAD_DIM, "a size is a plain integer").primary(span, "");
                    return Err(self.report(error.help("write it without a fraction and without a suffix")));
                }
            },
            Tok::LParen => return self.nested(Self::dim_parenthesised),
            Tok::Ident => {
                let ident = self.ident("a size")?;
                return Ok(self.ast.push_dim(Dim { kind: DimKind::Name(ident.name), span }));
            }
            _ => {
                let error = self.expected("a dimension");
                let error = Diagnostic { code: codes::BAD_DIM, ..error };
                return Err(
                    self.report(error.help("a size, a name, `_` for any size, or `...` for any dims"))
                );
            }
        };
        self.bump();
        Ok(self.ast.push_dim(Dim { kind, span }))
    }

    fn dim_number(&self, index: u32) -> Option<u64> {
        let number = self.numbers.get(index as usize)?;
        match number.value {
            NumberValue::Int(value) if number.suffix.is_none() => u64::try_from(value).ok(),
            NumberValue::Int(_) | NumberValue::Float(_) => None,
        }
    }

    fn dim_parenthesised(&mut self) -> Parsed<DimId> {
        let open = self.bump();
        let dim = self.dim()?;
        self.close(open, Tok::RParen, "`)`")?;
        Ok(dim)
    }
}
