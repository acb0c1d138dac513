//! The tokens of the language.

use matex_ir::Span;

/// A token and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Tok,
    pub(crate) span: Span,
}

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident = $text:literal)*) => {
        /// The kind of a token. Texts of names and strings are read off the source through the span.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Tok {
            /// A number; which one is in the table beside the tokens.
            Number(u32),
            /// `$0`
            Positional(u32),
            $($(#[$doc])* $name,)*
        }

        impl Tok {
            /// How a message names it.
            pub(crate) const fn describe(self) -> &'static str {
                match self {
                    Tok::Number(_) => "a number",
                    Tok::Positional(_) => "a positional parameter",
                    $(Tok::$name => $text,)*
                }
            }
        }
    };
}

tokens! {
    Ident = "a name"
    /// With its quotes in the span.
    Str = "a string"
    /// Something that the lexer has already reported; the parser stays silent about it.
    Error = "an unknown character"
    Eof = "the end of the program"
    Underscore = "`_`"
    Fn = "`fn`"
    Let = "`let`"
    For = "`for`"
    While = "`while`"
    In = "`in`"
    If = "`if`"
    Else = "`else`"
    Return = "`return`"
    True = "`true`"
    False = "`false`"
    NewAxis = "`newaxis`"
    LParen = "`(`"
    RParen = "`)`"
    LBracket = "`[`"
    RBracket = "`]`"
    LBrace = "`{`"
    RBrace = "`}`"
    Comma = "`,`"
    Semi = "`;`"
    Colon = "`:`"
    Dot = "`.`"
    DotDot = "`..`"
    Ellipsis = "`...`"
    Arrow = "`->`"
    Pipe = "`|`"
    Plus = "`+`"
    Minus = "`-`"
    Star = "`*`"
    Slash = "`/`"
    Percent = "`%`"
    At = "`@`"
    StarStar = "`**`"
    Bang = "`!`"
    Lt = "`<`"
    Le = "`<=`"
    Gt = "`>`"
    Ge = "`>=`"
    EqEq = "`==`"
    Ne = "`!=`"
    AndAnd = "`&&`"
    OrOr = "`||`"
    Eq = "`=`"
    PlusEq = "`+=`"
    MinusEq = "`-=`"
    StarEq = "`*=`"
    SlashEq = "`/=`"
}

impl Tok {
    /// The keyword of that spelling.
    pub(crate) fn keyword(text: &str) -> Option<Tok> {
        Some(match text {
            "fn" => Tok::Fn,
            "let" => Tok::Let,
            "for" => Tok::For,
            "while" => Tok::While,
            "in" => Tok::In,
            "if" => Tok::If,
            "else" => Tok::Else,
            "return" => Tok::Return,
            "true" => Tok::True,
            "false" => Tok::False,
            "newaxis" => Tok::NewAxis,
            "_" => Tok::Underscore,
            _ => return None,
        })
    }

    /// Whether it is a word that cannot be a name.
    pub(crate) const fn is_keyword(self) -> bool {
        matches!(
            self,
            Tok::Fn
                | Tok::Let
                | Tok::For
                | Tok::While
                | Tok::In
                | Tok::If
                | Tok::Else
                | Tok::Return
                | Tok::True
                | Tok::False
                | Tok::NewAxis
                | Tok::Underscore
        )
    }

    /// Whether a value may end with it, so that `'` behind it means a transpose and `.0` a part of a tuple.
    pub(crate) const fn ends_value(self) -> bool {
        matches!(self, Tok::Ident | Tok::Number(_) | Tok::Positional(_) | Tok::RParen | Tok::RBracket)
    }
}
