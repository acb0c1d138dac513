//! What is known of a value's type while Rust is translated: as much as decides whether an operator means the same.

/// The kind of a value's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Integers, on which Rust divides to an integer.
    Int,
    /// Floats.
    Float,
    /// Truth values.
    Bool,
    /// Not known: a literal of the language's own functions, say.
    Unknown,
}

impl Kind {
    /// The kind of elements of that type.
    pub(super) fn of(element: &str) -> Option<Kind> {
        match element {
            "f32" | "f64" => Some(Kind::Float),
            "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => Some(Kind::Int),
            "bool" => Some(Kind::Bool),
            _ => None,
        }
    }

    /// The kind of what two operands of arithmetic make. Rust does not mix them, so that one tells the other.
    pub(super) fn with(self, other: Kind) -> Kind {
        if self == Kind::Unknown { other } else { self }
    }
}
