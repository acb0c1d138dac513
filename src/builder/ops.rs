//! Operators and functions on built values.

use super::operand::sealed::Sealed as _;
use super::state::State;
use super::{Expr, Operand, statement};
use crate::DType;
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Not, Rem, Sub};
use std::panic::Location;
use std::rc::Rc;

/// The axes that a reduction goes over: `()` for all, a number, or a list of numbers; negative ones count from the end.
///
/// ```
/// use matex::builder::{Axes, Builder};
/// let b = Builder::new("centered");
/// let x = b.param("X", "f64[n, m]");
/// let centered = &x - x.mean(Axes::from(0).keepdims());
/// let f = b.returns(&[&centered, &x.sum([0, 1])]).compile()?;
/// let out = f.call(&[&[[1.0, 2.0], [3.0, 6.0]]])?;
/// assert_eq!(out[0].to_vec::<f64>().unwrap(), [-1.0, -2.0, 1.0, 2.0]);
/// assert_eq!(out[1].to_string(), "12.0");
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Axes {
    text: String,
    keep: bool,
}

impl Axes {
    /// Keeps the axes, with extent 1.
    ///
    /// ```
    /// use matex::builder::{Axes, Builder};
    /// let b = Builder::new("f");
    /// let x = b.param("x", "f64[n, k]");
    /// let sums = x.sum(Axes::from(1).keepdims());
    /// assert_eq!(b.returns(&[&sums]).compile()?.call(&[&[[1.0, 2.0]]])?[0].to_string(), "[[3.0]]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[must_use]
    pub fn keepdims(mut self) -> Axes {
        self.keep = true;
        self
    }

    fn options(&self) -> String {
        let axis = if self.text.is_empty() { String::new() } else { format!(", axis={}", self.text) };
        axis + if self.keep { ", keepdims=true" } else { "" }
    }
}

impl From<()> for Axes {
    fn from((): ()) -> Axes {
        Axes::default()
    }
}

impl From<i64> for Axes {
    fn from(axis: i64) -> Axes {
        Axes { text: axis.to_string(), keep: false }
    }
}

impl<const N: usize> From<[i64; N]> for Axes {
    fn from(axes: [i64; N]) -> Axes {
        Axes { text: format!("{axes:?}"), keep: false }
    }
}

/// A call of a function by its name, while its arguments are given.
///
/// ```
/// let b = matex::builder::Builder::new("f");
/// let x = b.param("x", "f64[n]");
/// let p = b.call("softmax").arg(&x).option("axis", 0).value();
/// assert_eq!(b.returns(&[&p]).compile()?.call(&[&[1.0, 1.0]])?[0].to_string(), "[0.5, 0.5]");
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a call is made by `value` or `values`"]
pub struct Call {
    state: Rc<RefCell<State>>,
    function: String,
    args: Vec<String>,
    place: &'static Location<'static>,
}

impl Call {
    pub(super) fn new(state: &Rc<RefCell<State>>, function: &str, place: &'static Location<'static>) -> Call {
        Call { state: state.clone(), function: function.to_owned(), args: Vec::new(), place }
    }

    /// Adds an argument by place.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64");
    /// let y = b.call("max").arg(&x).value();
    /// assert_eq!(b.returns(&[&y]).compile()?.call(&[&2.0])?[0].to_string(), "2.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn arg(mut self, value: impl Operand) -> Call {
        self.args.push(value.text(&self.state));
        self
    }

    /// Adds an argument by name.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64[n]");
    /// let y = b.call("cumsum").arg(&x).option("axis", 0).value();
    /// assert_eq!(b.returns(&[&y]).compile()?.call(&[&[1.0, 2.0]])?[0].to_string(), "[1.0, 3.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn option(mut self, name: &str, value: impl Operand) -> Call {
        self.args.push(format!("{name}={}", value.text(&self.state)));
        self
    }

    /// Adds what is a bare word or a text of the language: `mode=reflect`, `dtype=f32`, the `"ij,jk->ik"` of einsum.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("X", "f64[n, n]");
    /// let trace = b.call("einsum").word("\"ii->\"").arg(&x).value();
    /// assert_eq!(b.returns(&[&trace]).compile()?.call(&[&[[1.0, 2.0], [3.0, 4.0]]])?[0].to_string(), "5.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn word(mut self, text: &str) -> Call {
        self.args.push(text.to_owned());
        self
    }

    /// The result.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64[n]");
    /// let y = b.call("flip").arg(&x).value();
    /// assert_eq!(b.returns(&[&y]).compile()?.call(&[&[1.0, 2.0]])?[0].to_string(), "[2.0, 1.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn value(self) -> Expr {
        statement(&self.state, &self.text(), self.place)
    }

    /// The results of a function that has several.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("X", "f64[n, n]");
    /// let [sign, log] = b.call("slogdet").arg(&x).values();
    /// let out = b.returns(&[&sign, &log]).compile()?.call(&[&[[1.0, 0.0], [0.0, 1.0]]])?;
    /// assert_eq!((out[0].to_string(), out[1].to_string()), ("1.0".to_owned(), "0.0".to_owned()));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn values<const N: usize>(self) -> [Expr; N] {
        let tuple = statement(&self.state, &self.text(), self.place);
        std::array::from_fn(|i| tuple.then(&format!("{}[{i}]", tuple.name), self.place))
    }

    fn text(&self) -> String {
        format!("{}({})", self.function, self.args.join(", "))
    }
}

macro_rules! operators {
    ($($Trait:ident $method:ident $op:literal;)+) => {$(
        impl<T: Operand> $Trait<T> for &Expr {
            type Output = Expr;

            #[track_caller]
            fn $method(self, other: T) -> Expr {
                self.then(&format!("{} {} {}", self.name, $op, other.text(&self.state)), Location::caller())
            }
        }

        impl<T: Operand> $Trait<T> for Expr {
            type Output = Expr;

            #[track_caller]
            fn $method(self, other: T) -> Expr {
                self.then(&format!("{} {} {}", self.name, $op, other.text(&self.state)), Location::caller())
            }
        }

        operators!(@numbers $Trait $method $op: f64 f32 i64 i32);
    )+};
    (@numbers $Trait:ident $method:ident $op:literal: $($N:ty)+) => {$(
        impl $Trait<&Expr> for $N {
            type Output = Expr;

            #[track_caller]
            fn $method(self, other: &Expr) -> Expr {
                other.then(&format!("{} {} {}", self.text(&other.state), $op, other.name), Location::caller())
            }
        }

        impl $Trait<Expr> for $N {
            type Output = Expr;

            #[track_caller]
            fn $method(self, other: Expr) -> Expr {
                other.then(&format!("{} {} {}", self.text(&other.state), $op, other.name), Location::caller())
            }
        }
    )+};
}

operators! {
    Add add "+";
    Sub sub "-";
    Mul mul "*";
    Div div "/";
    Rem rem "%";
}

macro_rules! prefixes {
    ($($Trait:ident $method:ident $op:literal;)+) => {$(
        impl $Trait for &Expr {
            type Output = Expr;

            #[track_caller]
            fn $method(self) -> Expr {
                self.then(&format!("{}{}", $op, self.name), Location::caller())
            }
        }

        impl $Trait for Expr {
            type Output = Expr;

            #[track_caller]
            fn $method(self) -> Expr {
                self.then(&format!("{}{}", $op, self.name), Location::caller())
            }
        }
    )+};
}

prefixes! {
    Neg neg "-";
    Not not "!";
}

/// Declares a method a function of the language: on one value, on one and further operands, or over axes.
macro_rules! functions {
    (one: $($one:ident)+; two: $($two:ident)+; three: $($three:ident)+; over: $($over:ident)+;) => {
        impl Expr {
            $(
                #[doc = concat!("`", stringify!($one), "(x)`.")]
                #[track_caller]
                pub fn $one(&self) -> Expr {
                    self.then(&format!("{}({})", stringify!($one), self.name), Location::caller())
                }
            )+
            $(
                #[doc = concat!("`", stringify!($two), "(x, other)`.")]
                #[track_caller]
                pub fn $two(&self, other: impl Operand) -> Expr {
                    let text = format!("{}({}, {})", stringify!($two), self.name, other.text(&self.state));
                    self.then(&text, Location::caller())
                }
            )+
            $(
                #[doc = concat!("`", stringify!($three), "(x, a, b)`.")]
                #[track_caller]
                pub fn $three(&self, a: impl Operand, b: impl Operand) -> Expr {
                    let (a, b) = (a.text(&self.state), b.text(&self.state));
                    let text = format!("{}({}, {a}, {b})", stringify!($three), self.name);
                    self.then(&text, Location::caller())
                }
            )+
            $(
                #[doc = concat!("`", stringify!($over), "(x, axis=…, keepdims=…)`.")]
                #[track_caller]
                pub fn $over(&self, axes: impl Into<Axes>) -> Expr {
                    let text = format!("{}({}{})", stringify!($over), self.name, axes.into().options());
                    self.then(&text, Location::caller())
                }
            )+
        }

        #[cfg(test)]
        pub(super) const METHODS: &[&str] = &[
            $(stringify!($one),)+ $(stringify!($two),)+ $(stringify!($three),)+ $(stringify!($over),)+
        ];
    };
}

functions! {
    one: acos acosh asin asinh atan atanh cbrt cos cosh erf erfc exp exp2 expm1 gelu lgamma log log10 log1p log2 rsqrt
        sigmoid sin sinh softplus sqrt tan tanh ceil floor round trunc abs sign square reciprocal relu isfinite isinf
        isnan signbit bitwise_invert logical_not det inv cholesky svdvals eigvalsh pinv matrix_rank trace matrix_norm
        matrix_transpose zeros_like ones_like size tril triu diagonal;
    two: atan2 copysign hypot logaddexp nextafter pow equal not_equal less less_equal greater greater_equal
        floor_divide fmod maximum minimum bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift
        logical_and logical_or logical_xor matrix_power matmul dot vecdot outer cross tensordot solve lstsq
        solve_triangular full_like reshape permute_dims expand_dims broadcast_to tile take searchsorted one_hot;
    three: fma clip take_along_axis scatter scatter_add moveaxis;
    over: sum prod max min any all argmax argmin count_nonzero mean var std logsumexp norm vector_norm;
}

impl Expr {
    /// The transpose, `x.T`.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("gram");
    /// let x = b.param("X", "f64[n, k]");
    /// let gram = x.t().matmul(&x);
    /// let out = b.returns(&[&gram]).compile()?.call(&[&[[1.0, 2.0]]])?;
    /// assert_eq!(out[0].to_vec::<f64>().unwrap(), [1.0, 2.0, 2.0, 4.0]);
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn t(&self) -> Expr {
        self.then(&format!("{}.T", self.name), Location::caller())
    }

    /// Conversion to a dtype.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64");
    /// let out = b.returns(&[&x.cast(matex::DType::I32)]).compile()?.call(&[&2.9])?.into_single()?;
    /// assert_eq!((out.dtype(), out.to_string()), (matex::DType::I32, "2".to_owned()));
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Expr {
        self.then(&format!("cast({}, {dtype})", self.name), Location::caller())
    }

    /// `where(self, yes, no)`, elementwise.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("clean");
    /// let x = b.param("x", "f64[n]");
    /// let clean = x.isnan().choose(0.0, &x);
    /// assert_eq!(b.returns(&[&clean]).compile()?.call(&[&[1.0, f64::NAN]])?[0].to_string(), "[1.0, 0.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn choose(&self, yes: impl Operand, no: impl Operand) -> Expr {
        let (yes, no) = (yes.text(&self.state), no.text(&self.state));
        self.then(&format!("where({}, {yes}, {no})", self.name), Location::caller())
    }
}

#[cfg(test)]
mod tests {
    /// A method that the language does not have would only fail when it is used.
    #[test]
    fn every_method_is_a_function_of_the_language() {
        let all: Vec<&str> = matex_lang::functions().into_iter().map(|(name, _)| name).collect();
        for method in super::METHODS {
            assert!(all.contains(method), "{method} is no function");
        }
    }
}
