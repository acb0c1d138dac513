//! Derivatives and vectorization: what turns a piece of a function into another piece.
//!
//! The front end builds the body of the function that is transformed as a region, takes it out ([`Body::take`]), and
//! has one of these put something else in its place:
//!
//! - [`copy`]: the body itself, on values;
//! - [`forward`]: the body and, beside each value that depends on a parameter, its tangent (forward mode);
//! - [`reverse`]: the body, and then from its last value to its first what a change of each adds to the change of the
//!   results (reverse mode);
//! - [`batch`]: the body on whole arrays of arguments at once;
//! - [`units`]: a linear body on all unit vectors of its parameter, without most of their zeros.
//!
//! What comes out is ordinary tensor IR on the values of the function that is being built. So transforms nest to any
//! order, in any mixture, without knowing of each other, and a derivative goes the same way to machine code as what it
//! is derived from. The rules live in this crate and not among the passes because it is the front end that has to
//! say, at the place in the source, which op has no derivative.
//!
//! There is one table of derivatives of elementwise ops (a column of [`crate::ops::TABLE`]) and one forward rule for
//! each op that is not linear. Reverse mode has rules of its own for what is linear in its operands and for control
//! flow; a nonlinear library routine is differentiated forward first, and what that gives, which is linear in the
//! tangents, backwards. So the two modes cannot disagree (Radul, Paszke, Frostig, Johnson and Maclaurin, "You only
//! linearize once", POPL 2023, has this decomposition).

mod batch;
mod body;
mod depend;
mod emit;
mod forward;
mod reverse;
mod slopes;
mod units;

pub use batch::batch;
pub use body::Body;
pub use forward::forward;
pub use reverse::{Keep, Reversed, reverse};
pub use units::{Directions, units};

use crate::span::{Code, Span};
use crate::tensor::{Builder, ValueId};

/// The error of a run that needs the derivative of eigenvectors or singular vectors where two values are equal.
pub const REPEATED_VALUES: Code = Code(707);

/// The error of a call that needs the derivative of a least-squares solution that is one of many.
pub const MORE_COLUMNS: Code = Code(708);

/// Why a transform is not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// An operation has no derivative.
    NoDerivative {
        /// What has none, and why, in words.
        what: String,
        /// What to do about it.
        help: &'static str,
        /// The place in the source of the operation.
        origin: Span,
    },
    /// The result would have more nodes than it may.
    TooLarge,
}

impl Refused {
    fn at(origin: Span, what: impl Into<String>, help: &'static str) -> Refused {
        Refused::NoDerivative { what: what.into(), help, origin }
    }
}

/// Refuses to make more nodes than a function may have.
fn within(b: &Builder, limit: usize) -> Result<(), Refused> {
    if b.func().nodes.len() > limit { Err(Refused::TooLarge) } else { Ok(()) }
}

/// The results of a body on values for its parameters.
///
/// # Errors
/// [`Refused::TooLarge`] above `limit` nodes.
pub fn copy(b: &mut Builder, body: &Body, args: &[ValueId], limit: usize) -> Result<Vec<ValueId>, Refused> {
    let mut copier = body::Copier::new(b, body, limit);
    copier.set_all(body.params(), args);
    copier.copy_all(&body.root().nodes)?;
    Ok(copier.all(body.results()))
}
