//! The syntax tree of a program, in flat arenas.
//!
//! Nodes name each other by small numbers ([`ExprId`], [`StmtId`], …), so that a chain of 100,000 operators is a long
//! array and not a deep structure: nothing here recurses, in `Drop` either. Two facts hold for every tree that the
//! parser makes, and later phases may build on them:
//!
//! * **Operands come first.** Every expression that is part of another one, the ones inside its blocks included, has
//!   the smaller [`ExprId`].
//! * **Only the left spine is long.** `a + b + c …`, `x[0][1] …` and `x.f().g() …` nest through [`ExprKind::Binary`]'s
//!   `lhs`, [`ExprKind::Index`]'s `base`, the `receiver` of a method or attribute and the `callee` of
//!   [`ExprKind::CallExpr`] (see [`Ast::left`]) without limit; dims nest likewise through [`DimKind::Binary`]'s `lhs`.
//!   Every other way down is bounded by [`Limits::nesting_depth`](crate::Limits::nesting_depth).

mod ops;
mod types;

pub use ops::{AssignOp, BinaryOp, DimOp, UnaryOp};
pub use types::{DTypeExpr, Dim, DimKind, TypeExpr};

use matex_ir::{DType, Span};
use std::ops::Index as At;
use std::sync::Arc;

/// A name in a program. The parser makes one allocation for each different name.
pub type Name = Arc<str>;

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub name: Name,
    /// Its place.
    pub span: Span,
}

macro_rules! arenas {
    ($($id:ident => $node:ident in $field:ident, $push:ident, $what:literal;)*) => {
        $(
            #[doc = concat!("The number of ", $what, " in an [`Ast`].")]
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $id(pub u32);

            impl $id {
                /// The number as an index into a table that has a row for each node.
                pub const fn index(self) -> usize {
                    self.0 as usize
                }
            }

            impl At<$id> for Ast {
                type Output = $node;

                fn index(&self, id: $id) -> &$node {
                    &self.$field[id.index()]
                }
            }

            impl Ast {
                #[doc = concat!("Adds ", $what, ".")]
                pub fn $push(&mut self, node: $node) -> $id {
                    // Each node takes at least a byte of source, and sources end far below 2^32 bytes.
                    let id = $id(u32::try_from(self.$field.len()).unwrap_or(u32::MAX));
                    self.$field.push(node);
                    id
                }
            }
        )*

        /// The arenas that hold the nodes of one program; index it by an id to get the node.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Ast {
            $($field: Vec<$node>,)*
        }
    };
}

arenas! {
    ExprId => Expr in exprs, push_expr, "an expression";
    StmtId => Stmt in stmts, push_stmt, "a statement";
    BlockId => Block in blocks, push_block, "a block";
    DimId => Dim in dims, push_dim, "a dimension of a type";
    FnId => FnDef in fns, push_fn, "a function";
}

impl Ast {
    /// How many expressions there are; their ids are the numbers below it.
    pub fn expr_count(&self) -> usize {
        self.exprs.len()
    }

    /// Widens an expression over the parentheses around it.
    pub(crate) fn widen(&mut self, id: ExprId, span: Span) {
        if let Some(expr) = self.exprs.get_mut(id.index()) {
            expr.span = expr.span.to(span);
        }
    }

    /// The functions, in the order of the text.
    pub fn fns(&self) -> &[FnDef] {
        &self.fns
    }

    /// The next expression down the left spine, the one way down that has no limit: walk it with a loop.
    pub fn left(&self, id: ExprId) -> Option<ExprId> {
        match &self[id].kind {
            ExprKind::Binary { lhs, .. } => Some(*lhs),
            ExprKind::Index { base, .. } => Some(*base),
            ExprKind::MethodCall { receiver, .. } | ExprKind::Attr { receiver, .. } => Some(*receiver),
            ExprKind::CallExpr { callee, .. } => Some(*callee),
            ExprKind::Number(_)
            | ExprKind::Bool(_)
            | ExprKind::Name(_)
            | ExprKind::Positional(_)
            | ExprKind::Str(_)
            | ExprKind::Tuple(_)
            | ExprKind::List(_)
            | ExprKind::Unary { .. }
            | ExprKind::Call { .. }
            | ExprKind::If(_)
            | ExprKind::Lambda { .. } => None,
        }
    }
}

/// A whole program.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The nodes.
    pub ast: Ast,
    /// Which of the three forms it has, and its root.
    pub form: Form,
    /// The text from the first token to the last one.
    pub span: Span,
}

/// The three forms of a program.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// `a*x + b`: free names are the parameters.
    Expr(ExprId),
    /// `{ … }`: `$0`, `$1` and free names are the parameters.
    Block(BlockId),
    /// One or more functions, in the order of the text; never empty.
    Module(Vec<FnId>),
}

/// A function of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct FnDef {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<ParamDecl>,
    /// What stands after `->`, if anything.
    pub result: Option<ResultType>,
    /// The body.
    pub body: BlockId,
    /// From `fn` to the closing brace.
    pub span: Span,
}

/// A parameter of a function: `l2: f32 = 1e-3`.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamDecl {
    /// Its name.
    pub name: Ident,
    /// Its type; without one it takes the dtype and rank of the argument.
    pub ty: Option<TypeExpr>,
    /// The default: a number with or without a sign, a bool, a name (`pi`, `inf`, `nan`) or a list of these, nested or
    /// not. The parser has checked that; which names are constants is the checker's business.
    pub default: Option<ExprId>,
    /// The whole declaration.
    pub span: Span,
}

/// The type after `->`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultType {
    /// One type, or the types of several results; never empty.
    pub types: Vec<TypeExpr>,
    /// Whether it was written in parentheses. `(f64)` with one type means the same as `f64`.
    pub parenthesised: bool,
    /// The whole.
    pub span: Span,
}

/// Statements in braces, and the value at their end.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The statements.
    pub stmts: Vec<StmtId>,
    /// The last expression, when no `;` follows it.
    pub value: Option<ExprId>,
    /// From brace to brace.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Its place, its `;` left out.
    pub span: Span,
}

/// The forms of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `x = e`, `let x: f64[n] = e`, `(q, r) = e`: declares or rebinds.
    Let {
        /// What is bound.
        pattern: Pattern,
        /// The type it must have.
        ty: Option<TypeExpr>,
        /// The value.
        value: ExprId,
    },
    /// `x[i, j] = e`, `x[i] += e`: `x` becomes a value that differs in these elements.
    Update {
        /// The variable.
        target: Ident,
        /// The indices; never empty.
        indices: Vec<Index>,
        /// How old and new elements combine.
        op: AssignOp,
        /// The place of the operator.
        op_span: Span,
        /// The new elements.
        value: ExprId,
    },
    /// `x += e`.
    Compound {
        /// The variable.
        target: Ident,
        /// The operator; never [`AssignOp::Set`].
        op: AssignOp,
        /// The place of the operator.
        op_span: Span,
        /// The right-hand side.
        value: ExprId,
    },
    /// `for i in a..b { … }`.
    For {
        /// The loop variable.
        var: Ident,
        /// The first value.
        start: ExprId,
        /// One past the last value.
        stop: ExprId,
        /// The body.
        body: BlockId,
    },
    /// `while c { … }`.
    While {
        /// The condition.
        cond: ExprId,
        /// The body.
        body: BlockId,
    },
    /// An `if` as a statement; its `else` is optional. An `if` with an `else` that ends a block is that block's
    /// value instead ([`ExprKind::If`]), also when its own blocks have no value.
    If(If),
    /// `return a, b`: the last statement of a function, of a block program or of a lambda's block.
    Return(Vec<ExprId>),
    /// `e;`: an expression whose value is not used.
    Expr(ExprId),
}

/// What an assignment binds.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// One name.
    One(Ident),
    /// `(q, r)`: the results of a function that has several; never empty.
    Tuple(Vec<Ident>, Span),
}

impl Pattern {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Pattern::One(ident) => ident.span,
            Pattern::Tuple(_, span) => *span,
        }
    }
}

/// A chain of conditions, each with its block; a chain of any length is one flat list.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// `if` and every `else if`; never empty.
    pub branches: Vec<(ExprId, BlockId)>,
    /// The last `else`; always there in an [`ExprKind::If`].
    pub otherwise: Option<BlockId>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place. Parentheses around it are included.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A literal.
    Number(Number),
    /// `true`, `false`.
    Bool(bool),
    /// A variable or constant, or a dtype name where an argument wants one (`cast(x, f32)`).
    Name(Name),
    /// `$0`.
    Positional(u32),
    /// A string; only ever an argument.
    Str(Name),
    /// `(a, b)`; never empty. `(a)` is `a`.
    Tuple(Vec<ExprId>),
    /// `[a, b]`, `[]`.
    List(Vec<ExprId>),
    /// `-a`, `!a`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its place.
        op_span: Span,
        /// The operand.
        operand: ExprId,
    },
    /// `a + b`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Its place.
        op_span: Span,
        /// Left operand.
        lhs: ExprId,
        /// Right operand.
        rhs: ExprId,
    },
    /// `f(a, axis=1)`: a name in call position is a function.
    Call {
        /// The function.
        name: Ident,
        /// The arguments.
        args: Vec<Arg>,
    },
    /// `x.f(a)`, which means `f(x, a)`.
    MethodCall {
        /// What stands before the dot.
        receiver: ExprId,
        /// The function.
        name: Ident,
        /// The arguments in parentheses.
        args: Vec<Arg>,
    },
    /// `x.T`, `x.mT`.
    Attr {
        /// What stands before the dot.
        receiver: ExprId,
        /// The attribute; the checker knows which there are.
        name: Ident,
    },
    /// `grad(f)(x)`: a call of anything that is not a name.
    CallExpr {
        /// The function.
        callee: ExprId,
        /// The arguments.
        args: Vec<Arg>,
    },
    /// `x[i, 0:n, newaxis]`.
    Index {
        /// What is indexed.
        base: ExprId,
        /// The indices; never empty.
        indices: Vec<Index>,
    },
    /// `if c { a } else { b }` as a value.
    If(If),
    /// `|a, b| a + b`; only ever an argument.
    Lambda {
        /// The parameters; never empty.
        params: Vec<Ident>,
        /// The body.
        body: LambdaBody,
    },
}

/// The body of a lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LambdaBody {
    /// `|x| x + 1`
    Expr(ExprId),
    /// `|x| { … }`
    Block(BlockId),
}

/// A number as written. A sign is never part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The value.
    pub value: NumberValue,
    /// The dtype at its end: `2.5f32`. A bool never stands there. The parser has checked that an integer suffix
    /// stands on an integer; whether the value fits is the checker's business, because of `-128i8`.
    pub suffix: Option<DType>,
}

/// The value of a literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NumberValue {
    /// No dot and no exponent.
    Int(u128),
    /// With a dot or an exponent; finite.
    Float(f64),
}

/// An argument of a call: `x`, `axis=1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The name before `=`.
    pub name: Option<Ident>,
    /// The value.
    pub value: ExprId,
}

/// One index between the brackets of `x[…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// What it is.
    pub kind: IndexKind,
    /// Its place.
    pub span: Span,
}

/// The forms of an index.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexKind {
    /// `i`
    At(ExprId),
    /// `a:b:s`, `a..b`, `:`
    Slice {
        /// The first position.
        start: Option<ExprId>,
        /// One past the last.
        stop: Option<ExprId>,
        /// The step; never with `..`.
        step: Option<ExprId>,
        /// Whether `..` was written.
        range: bool,
    },
    /// `...`
    Ellipsis,
    /// `newaxis`
    NewAxis,
}
