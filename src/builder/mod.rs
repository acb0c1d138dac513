//! Programs without text: values of Rust that stand for values of the program.
//!
//! A [`Builder`] writes down each operation as a statement of the language and remembers the line of Rust that asked for
//! it. So there is one way into the compiler and one meaning, [`Built::source`] shows what was built, and an error names the lines.
//!
//! ```
//! use matex::builder::Builder;
//!
//! let b = Builder::new("ols");
//! let (x, y) = (b.param("X", "f64[n, k]"), b.param("y", "f64[n]"));
//! let beta = x.t().matmul(&x).solve(&x.t().matmul(&y));
//! let ols = b.returns(&[&beta]).compile()?;
//!
//! let out = ols.call(&[&[[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], &[1.0, 3.0, 5.0]])?.into_single()?;
//! assert_eq!(format!("{out:.6}"), "[1.0, 2.0]");
//! # Ok::<(), matex::Error>(())
//! ```

mod control;
mod index;
mod operand;
mod ops;
mod places;
mod state;

pub use index::Index;
pub use operand::Operand;
pub use ops::{Axes, Call};
pub(crate) use places::{Places, forget_names};

use crate::error::Error;
use crate::function::Function;
use crate::options::Compiler;
use state::State;
use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A function while it is put together.
///
/// ```
/// use matex::builder::Builder;
/// let b = Builder::new("scale");
/// let x = b.param("x", "f32[n]");
/// assert_eq!(b.returns(&[&(&x * 2.0)]).source(), "fn scale(\n    x: f32[n],\n) {\n    _1 = x * 2.0;\n    return _1\n}\n");
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    state: Rc<RefCell<State>>,
}

/// A value of the program.
///
/// Operators work on references and on owned values, and take numbers as the language takes literals: with the dtype
/// of what they meet. `*` is elementwise; the matrix product is [`matmul`](Expr::matmul).
///
/// ```
/// use matex::builder::Builder;
/// let b = Builder::new("main");
/// let (x, y) = (b.param("x", "f32[n]"), b.param("y", "f32[n]"));
/// let m = &x + &y;
/// let f = b.returns(&[&(&m / (m.at(0) + m.at(1)))]).compile()?;
/// assert_eq!(f.call(&[&[1.0f32, 2.0], &[0.0f32, 1.0]])?[0].to_string(), "[0.25, 0.75]");
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone)]
pub struct Expr {
    state: Rc<RefCell<State>>,
    name: Rc<str>,
}

/// A function that was put together; it has not been checked yet.
///
/// ```
/// let b = matex::builder::Builder::new("one");
/// let one = b.literal(1.0);
/// assert!(b.returns(&[&one]).compile().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Built {
    name: String,
    source: String,
    places: Places,
}

impl Builder {
    /// Begins a function of that name.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("nothing");
    /// assert!(b.returns(&[]).compile().is_err());
    /// ```
    pub fn new(name: &str) -> Builder {
        Builder { state: Rc::new(RefCell::new(State { name: name.to_owned(), ..State::default() })) }
    }

    /// Adds a parameter, with its type as the language writes it: `f64[n, k]`, `float[...]`, `i64`; an empty one takes
    /// the dtype and rank of the argument. `type = default` makes it optional.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("scale");
    /// let (x, k) = (b.param("x", "float[...]"), b.param("k", "float = 2.0"));
    /// assert_eq!(b.returns(&[&(x * k)]).compile()?.call(&[&1.5])?[0].to_string(), "3.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn param(&self, name: &str, ty: &str) -> Expr {
        let mut state = self.state.borrow_mut();
        let typed = if ty.is_empty() { name.to_owned() } else { format!("{name}: {ty}") };
        state.params.push((typed, Location::caller()));
        state.names.push(name.to_owned());
        drop(state);
        self.value(name)
    }

    /// A size that some parameter's type names, as an i64.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("average");
    /// let x = b.param("x", "f64[n]");
    /// let average = x.sum(()) / b.size("n");
    /// assert_eq!(b.returns(&[&average]).compile()?.call(&[&[1.0, 2.0]])?[0].to_string(), "1.5");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn size(&self, name: &str) -> Expr {
        self.value(name)
    }

    /// A number, a truth value, or a list of such: a literal of the language, which takes the dtype of what it meets.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f32[n]");
    /// let weights = b.literal(&[0.25, 0.75]);
    /// let out = b.returns(&[&(x * weights)]).compile()?.call(&[&[4.0f32, 8.0]])?.into_single()?;
    /// assert_eq!((out.dtype().name(), out.to_string()), ("f32", "[1.0, 6.0]".to_owned()));
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn literal(&self, value: impl Operand) -> Expr {
        let text = value.text(&self.state);
        self.statement(&text, Location::caller())
    }

    /// Makes another function callable by its name, through [`Builder::call`].
    ///
    /// ```
    /// use matex::builder::Builder;
    /// let square = Builder::new("squared");
    /// let x = square.param("x", "float[...]");
    /// let square = square.returns(&[&(&x * &x)]);
    ///
    /// let b = Builder::new("main");
    /// let y = b.param("y", "f64[n]");
    /// b.include(&square);
    /// let out = b.call("squared").arg(&y).value() + 1.0;
    /// assert_eq!(b.returns(&[&out]).compile()?.call(&[&[3.0]])?[0].to_string(), "[10.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn include(&self, function: &Built) {
        let mut state = self.state.borrow_mut();
        if !state.before.contains(&function.source) {
            let lines = state.before.lines().count();
            state.places_before.append(&function.places, lines);
            state.before.push_str(&function.source);
        }
    }

    /// Begins a call of any function of the language, or of one that was included.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64[n]");
    /// let top = b.call("topk").arg(&x).arg(2).option("largest", false).values::<2>();
    /// let f = b.returns(&[&top[0], &top[1]]).compile()?;
    /// assert_eq!(f.call(&[&[3.0, 1.0, 2.0]])?[1].to_string(), "[1, 2]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn call(&self, function: &str) -> Call {
        Call::new(&self.state, function, Location::caller())
    }

    /// Ends the function with its results.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64[n]");
    /// let f = b.returns(&[&(&x + 1.0), &(&x * 2.0)]).compile()?;
    /// assert_eq!(f.call(&[&[1.5]])?[1].to_string(), "[3.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn returns(&self, results: &[&Expr]) -> Built {
        let place = Location::caller();
        let state = self.state.borrow();
        let mut source = state.before.clone();
        let mut places = state.places_before.clone();
        let results: Vec<&str> = results.iter().map(|r| &*r.name).collect();
        let head = std::iter::once((format!("fn {}(", state.name), place));
        let params = state.params.iter().map(|(p, at)| (format!("    {p},"), *at));
        let end = std::iter::once((format!("    return {}\n}}", results.join(", ")), place));
        let open = std::iter::once((") {".to_owned(), place));
        for (line, place) in head.chain(params).chain(open).chain(state.lines.iter().cloned()).chain(end) {
            places.set(source.lines().count(), place);
            source.push_str(&line);
            source.push('\n');
        }
        Built { name: state.name.clone(), source, places }
    }

    fn value(&self, name: &str) -> Expr {
        Expr { state: self.state.clone(), name: name.into() }
    }

    /// Writes a statement that gives a new value.
    fn statement(&self, text: &str, place: &'static Location<'static>) -> Expr {
        statement(&self.state, text, place)
    }
}

fn statement(state: &Rc<RefCell<State>>, text: &str, place: &'static Location<'static>) -> Expr {
    let mut open = state.borrow_mut();
    let name = open.fresh();
    open.line(&format!("{name} = {text};"), place);
    drop(open);
    Expr { state: state.clone(), name }
}

impl Built {
    /// The program as text.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64");
    /// assert!(b.returns(&[&x.exp()]).source().contains("_1 = exp(x);"));
    /// ```
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Compiles it with the default options.
    ///
    /// # Errors
    /// Everything that is wrong with it; the notes name the lines of Rust that asked for it.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let (y, x) = (b.param("y", "f64[n]"), b.param("X", "f64[n, k]"));
    /// let difference = y - x;
    /// let error = b.returns(&[&difference]).compile().unwrap_err();
    /// assert_eq!(error.code().to_string(), "E0203");
    /// assert!(error.diagnostics()[0].notes.iter().any(|n| n.starts_with("built at ")));
    /// ```
    pub fn compile(&self) -> Result<Function, Error> {
        self.compile_with(&Compiler::new())
    }

    /// Compiles it with options.
    ///
    /// # Errors
    /// As for [`compile`](Built::compile).
    ///
    /// ```
    /// use matex::{Compiler, builder::Builder};
    /// let b = Builder::new("f");
    /// let x = b.param("x", "f64");
    /// let f = b.returns(&[&(x + 1.0)]).compile_with(&Compiler::new().threads(1))?;
    /// assert_eq!(f.call(&[&1.0])?[0].to_string(), "2.0");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn compile_with(&self, compiler: &Compiler) -> Result<Function, Error> {
        compiler.compile_built(&self.source, &self.name, &self.places)
    }
}

impl Expr {
    /// The same value under a name, which a result then has too. The name must be one that nothing else has.
    ///
    /// ```
    /// let b = matex::builder::Builder::new("f");
    /// let x = b.param("x", "f64");
    /// let f = b.returns(&[&(&x * 2.0).named("double"), &(x + 1.0)]).compile()?;
    /// assert_eq!(f.call(&[&1.0])?.names(), ["double", "out1"]);
    /// # Ok::<(), matex::Error>(())
    /// ```
    #[track_caller]
    pub fn named(&self, name: &str) -> Expr {
        let mut state = self.state.borrow_mut();
        state.line(&format!("{name} = {};", self.name), Location::caller());
        state.names.push(name.to_owned());
        drop(state);
        Expr { state: self.state.clone(), name: name.into() }
    }

    /// The value that the text means, made here.
    fn then(&self, text: &str, place: &'static Location<'static>) -> Expr {
        statement(&self.state, text, place)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.name)
    }
}
