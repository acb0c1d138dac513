//! What an operation of a built program takes: values of the program, and numbers.

use super::Expr;
use super::state::State;
use std::cell::RefCell;
use std::rc::Rc;

/// A value of the program, or a literal: a number, a truth value, or a slice of such.
///
/// ```
/// use matex::builder::{Builder, Operand};
/// fn half(x: &matex::builder::Expr, by: impl Operand) -> matex::builder::Expr { x.maximum(by) / 2.0 }
/// let b = Builder::new("f");
/// let x = b.param("x", "f64");
/// let f = b.returns(&[&half(&half(&x, 0), &x)]).compile()?;
/// assert_eq!(f.call(&[&8.0])?[0].to_string(), "4.0");
/// # Ok::<(), matex::Error>(())
/// ```
pub trait Operand: sealed::Sealed {}

pub(super) mod sealed {
    use super::{Rc, RefCell, State};

    /// How it is written in a program.
    pub trait Sealed {
        #[doc(hidden)]
        fn text(&self, state: &Rc<RefCell<State>>) -> String;
    }
}

impl Operand for Expr {}

impl sealed::Sealed for Expr {
    fn text(&self, state: &Rc<RefCell<State>>) -> String {
        // A value of another function has no meaning here; the name says so where it is not known.
        if Rc::ptr_eq(&self.state, state) {
            self.name.to_string()
        } else {
            format!("{}_of_another_builder", self.name)
        }
    }
}

impl<T: Operand + ?Sized> Operand for &T {}

impl<T: sealed::Sealed + ?Sized> sealed::Sealed for &T {
    fn text(&self, state: &Rc<RefCell<State>>) -> String {
        (**self).text(state)
    }
}

impl<T: Operand> Operand for [T] {}

impl<T: sealed::Sealed> sealed::Sealed for [T] {
    fn text(&self, state: &Rc<RefCell<State>>) -> String {
        let items: Vec<String> = self.iter().map(|item| item.text(state)).collect();
        format!("[{}]", items.join(", "))
    }
}

impl<T: Operand, const N: usize> Operand for [T; N] {}

impl<T: sealed::Sealed, const N: usize> sealed::Sealed for [T; N] {
    fn text(&self, state: &Rc<RefCell<State>>) -> String {
        self[..].text(state)
    }
}

/// Floats are written so that they read back: a digit on both sides of the dot, and words for what is no number.
fn float(value: f64) -> String {
    let text = if value.is_nan() {
        return "nan".to_owned();
    } else if value.is_infinite() {
        "inf".to_owned()
    } else {
        format!("{:?}", value.abs())
    };
    // `1e300` has no dot, and needs none.
    if value.is_sign_negative() { format!("(-{text})") } else { text }
}

macro_rules! literals {
    ($($T:ty: $v:ident => $text:expr;)+) => {$(
        impl Operand for $T {}

        impl sealed::Sealed for $T {
            fn text(&self, _: &Rc<RefCell<State>>) -> String {
                let $v = *self;
                $text
            }
        }
    )+};
}

literals! {
    bool: v => v.to_string();
    i32: v => integer(i64::from(v));
    i64: v => integer(v);
    usize: v => v.to_string();
    f64: v => float(v);
    // The nearest short decimal: as a literal it meets an f32 and becomes the same f32.
    f32: v => if v.is_finite() { float_f32(v) } else { float(f64::from(v)) };
}

fn integer(value: i64) -> String {
    if value < 0 { format!("({value})") } else { value.to_string() }
}

fn float_f32(value: f32) -> String {
    let text = format!("{:?}", value.abs());
    if value.is_sign_negative() { format!("(-{text})") } else { text }
}
