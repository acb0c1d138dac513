//! What functions are not defined for, and only a call can tell: each with what to do about it.
//!
//! The IR carries a code and a message to whoever runs it; E0608 has many causes, and the message says which one.

/// A cause of E0608.
pub(crate) struct Domain {
    /// What is wrong.
    pub(crate) message: &'static str,
    help: &'static str,
}

pub(crate) const NEGATIVE_POWER: Domain =
    Domain { message: "an integer to a negative power", help: "write cast(x, f64) ** n for a fraction" };

pub(crate) const NEGATIVE_MATRIX_POWER: Domain = Domain {
    message: "the power of a matrix is negative and not a constant",
    help: "write matrix_power(inv(A), n) with an n that is not negative",
};

pub(crate) const NOTHING_TO_PAD: Domain =
    Domain { message: "there is nothing to pad with", help: "pad an empty axis with mode=constant" };

pub(crate) const NO_INTEGER: Domain = Domain {
    message: "randint has no integer from lo to hi",
    help: "give a hi above lo: hi itself is not drawn",
};

pub(crate) const NO_PROBABILITY: Domain = Domain {
    message: "bernoulli wants probabilities from 0 to 1",
    help: "write clip(p, 0.0, 1.0) where rounding may pass them",
};

const ALL: &[&Domain] =
    &[&NEGATIVE_POWER, &NEGATIVE_MATRIX_POWER, &NOTHING_TO_PAD, &NO_INTEGER, &NO_PROBABILITY];

/// What to do about the E0608 of that message.
pub(crate) fn help_of_domain(message: &str) -> Option<&'static str> {
    ALL.iter().find(|d| d.message == message).map(|d| d.help)
}
