//! Indexing of built values.

use super::operand::sealed::Sealed as _;
use super::state::State;
use super::{Expr, Operand};
use std::cell::RefCell;
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};
use std::panic::Location;
use std::rc::Rc;

/// What stands for one axis between brackets: a number or a value, a range, all of it, a new axis.
///
/// ```
/// use matex::builder::{Builder, Index};
/// let b = Builder::new("f");
/// let x = b.param("X", "f64[n, m]");
/// let column = x.index([Index::from(..), Index::from(-1), Index::NEW]);
/// let rows = x.index([Index::step(None, None, -2)]);
/// let f = b.returns(&[&column, &rows]).compile()?;
/// let out = f.call(&[&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])?;
/// assert_eq!((out[0].shape(), out[0].to_vec::<f64>().unwrap()), (&[3, 1][..], vec![2.0, 4.0, 6.0]));
/// assert_eq!(out[1].to_vec::<f64>().unwrap(), [5.0, 6.0, 1.0, 2.0]);
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Index(Part);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value(Expr),
    Between(Box<Index>, Box<Index>),
}

impl Index {
    /// `newaxis`: an axis of extent 1.
    pub const NEW: Index = Index(Part::Text(String::new()));

    /// `start:end:step`; what is `None` is left out.
    ///
    /// ```
    /// use matex::builder::{Builder, Index};
    /// let b = Builder::new("f");
    /// let x = b.param("x", "f64[n]");
    /// let odd = x.index([Index::step(Some(1), None, 2)]);
    /// assert_eq!(b.returns(&[&odd]).compile()?.call(&[&[0.0, 1.0, 2.0, 3.0]])?[0].to_string(), "[1.0, 3.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn step(start: Option<i64>, end: Option<i64>, step: i64) -> Index {
        let text = |bound: Option<i64>| bound.map_or(String::new(), |b| b.to_string());
        Index(Part::Text(format!("{}:{}:{step}", text(start), text(end))))
    }

    fn text(&self, state: &Rc<RefCell<State>>) -> String {
        match &self.0 {
            Part::Text(text) if text.is_empty() => "newaxis".to_owned(),
            Part::Text(text) => text.clone(),
            Part::Value(value) => value.text(state),
            Part::Between(start, end) => format!("{}:{}", start.text(state), end.text(state)),
        }
    }
}

macro_rules! conversions {
    ($($T:ty: $v:ident => $part:expr;)+) => {$(
        impl From<$T> for Index {
            fn from($v: $T) -> Index {
                Index($part)
            }
        }
    )+};
}

conversions! {
    i64: v => Part::Text(v.to_string());
    i32: v => Part::Text(v.to_string());
    Expr: v => Part::Value(v);
    &Expr: v => Part::Value(v.clone());
    RangeFull: _v => Part::Text(":".to_owned());
    Range<i64>: v => Part::Text(format!("{}:{}", v.start, v.end));
    RangeFrom<i64>: v => Part::Text(format!("{}:", v.start));
    RangeTo<i64>: v => Part::Text(format!(":{}", v.end));
    Range<i32>: v => Part::Text(format!("{}:{}", v.start, v.end));
    RangeFrom<i32>: v => Part::Text(format!("{}:", v.start));
    RangeTo<i32>: v => Part::Text(format!(":{}", v.end));
    Range<Expr>: v => Part::Between(Box::new(v.start.into()), Box::new(v.end.into()));
    Range<&Expr>: v => Part::Between(Box::new(v.start.into()), Box::new(v.end.into()));
}

impl Expr {
    /// `x[i]`: one element of the first axis, a range of it, or by an integer array several.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let (x, i) = (b.param("x", "f64[n]"), b.param("i", "i64"));
    /// let sum = x.at(&i) + x.at(-1) + x.at(1..).sum(());
    /// assert_eq!(b.returns(&[&sum]).compile()?.call(&[&[1.0, 2.0, 4.0], &0_i64])?[0].to_string(), "11.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn at(&self, index: impl Into<Index>) -> Expr {
        let place = Location::caller();
        self.then(&format!("{}[{}]", self.name, index.into().text(&self.state)), place)
    }

    /// `x[i, j, …]`.
    ///
    /// ```
    /// use matex::builder::Index;
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("X", "f64[n, m]");
    /// let corner = x.index([Index::from(0), Index::from(..2)]);
    /// assert_eq!(b.returns(&[&corner]).compile()?.call(&[&[[1.0, 2.0, 3.0]]])?[0].to_string(), "[1.0, 2.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn index<const N: usize>(&self, indices: [Index; N]) -> Expr {
        let place = Location::caller();
        self.then(&format!("{}[{}]", self.name, self.indices(&indices)), place)
    }

    /// The value with a part of it replaced: `x[i, j, …] = value`. The value itself stays as it is.
    ///
    /// ```
    /// use matex::builder::Index;
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64[n]");
    /// let y = x.with([Index::from(1..)], 0.0);
    /// assert_eq!(b.returns(&[&(x + y)]).compile()?.call(&[&[1.0, 2.0]])?[0].to_string(), "[2.0, 2.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn with<const N: usize>(&self, indices: [Index; N], value: impl Operand) -> Expr {
        let place = Location::caller();
        let copy = self.then(&self.name, place);
        let line = format!("{}[{}] = {};", copy.name, self.indices(&indices), value.text(&self.state));
        self.state.borrow_mut().line(&line, place);
        copy
    }

    fn indices(&self, indices: &[Index]) -> String {
        let texts: Vec<String> = indices.iter().map(|i| i.text(&self.state)).collect();
        texts.join(", ")
    }
}
