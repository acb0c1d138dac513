//! The operators of the language.

/// The operators before an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
}

impl UnaryOp {
    /// The token.
    pub const fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
        }
    }
}

macro_rules! binary_ops {
    ($($op:ident $symbol:literal)*) => {
        /// The operators between two operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum BinaryOp {
            $(#[doc = concat!("`", $symbol, "`")] $op,)*
        }

        impl BinaryOp {
            /// The token.
            pub const fn symbol(self) -> &'static str {
                match self {
                    $(BinaryOp::$op => $symbol,)*
                }
            }
        }
    };
}

binary_ops! {
    Add "+" Sub "-" Mul "*" Div "/" Rem "%" MatMul "@" Pow "**"
    Lt "<" Le "<=" Gt ">" Ge ">=" Eq "==" Ne "!=" And "&&" Or "||"
}

/// The assignment operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AssignOp {
    /// `=`
    Set,
    /// `+=`
    Add,
    /// `-=`
    Sub,
    /// `*=`
    Mul,
    /// `/=`
    Div,
}

impl AssignOp {
    /// The operator that combines old and new; none for `=`.
    pub const fn binary(self) -> Option<BinaryOp> {
        match self {
            AssignOp::Set => None,
            AssignOp::Add => Some(BinaryOp::Add),
            AssignOp::Sub => Some(BinaryOp::Sub),
            AssignOp::Mul => Some(BinaryOp::Mul),
            AssignOp::Div => Some(BinaryOp::Div),
        }
    }

    /// The token.
    pub const fn symbol(self) -> &'static str {
        match self {
            AssignOp::Set => "=",
            AssignOp::Add => "+=",
            AssignOp::Sub => "-=",
            AssignOp::Mul => "*=",
            AssignOp::Div => "/=",
        }
    }
}

/// The operators between dims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DimOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
}
