//! Functions made of a function: derivatives and vectorization, as the language's transforms of those names give them.

use crate::error::Error;
use crate::function::Function;
use matex_lang::Derived;

fn names(wrt: &[&str]) -> Vec<String> {
    wrt.iter().map(|w| (*w).to_owned()).collect()
}

/// Each of these gives a function like any other: it has a signature and stages, can be called, typed, and transformed
/// again. Compiling one costs what compiling the program costs, and it keeps its own forms. `docs/derivatives.md` has
/// the conventions.
impl Function {
    /// The derivative of the scalar result by a parameter, of that parameter's shape.
    ///
    /// # Errors
    /// E0119 for a name that no parameter has, E0228 when it is no float, E0120 when the result is no scalar or something
    /// on the way has no derivative. What depends on the dtypes of parameters without a type is told at the call.
    ///
    /// ```
    /// let f = matex::compile("fn f(x: f64[n], k: f64) -> f64 { k * sum(x**3) }")?;
    /// assert_eq!(f.grad("x")?.call(&[&[1.0, 2.0], &2.0])?[0].to_string(), "[6.0, 24.0]");
    /// assert_eq!(f.grad("y").unwrap_err().code().to_string(), "E0119");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn grad(&self, wrt: &str) -> Result<Function, Error> {
        self.derived(Derived::Grad { wrt: names(&[wrt]), value: false, recompute: self.recompute() })
    }

    /// The scalar result, then its derivatives by parameters.
    ///
    /// # Errors
    /// As for [`grad`](Function::grad).
    ///
    /// ```
    /// let f = matex::compile("fn loss(w: f64[k], b: f64, X: f64[n, k]) -> f64 { sum((X @ w + b)**2) }")?;
    /// let out = f.value_and_grad(&["w", "b"])?.call(&[&[1.0], &1.0, &[[2.0], [3.0]]])?;
    /// assert_eq!((&*out[0].to_string(), &*out[1].to_string(), &*out[2].to_string()), ("25.0", "[36.0]", "14.0"));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn value_and_grad(&self, wrt: &[&str]) -> Result<Function, Error> {
        self.derived(Derived::Grad { wrt: names(wrt), value: true, recompute: self.recompute() })
    }

    /// The derivative of every element of the result by every element of a parameter: the result's axes, then the
    /// parameter's.
    ///
    /// # Errors
    /// As for [`grad`](Function::grad), but the result may have any shape.
    ///
    /// ```
    /// let f = matex::compile("fn f(x: f64[n]) -> f64[n] { x**2 }")?;
    /// assert_eq!(f.jacobian("x")?.call(&[&[1.0, 2.0]])?[0].to_string(), "[[2.0, 0.0],\n [0.0, 4.0]]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn jacobian(&self, wrt: &str) -> Result<Function, Error> {
        self.derived(Derived::Jacobian { wrt: names(&[wrt]) })
    }

    /// The Jacobian of the gradient.
    ///
    /// # Errors
    /// As for [`grad`](Function::grad).
    ///
    /// ```
    /// let f = matex::compile("fn f(x: f64[n]) -> f64 { x[0]**2 * x[1] }")?;
    /// assert_eq!(f.hessian("x")?.call(&[&[1.0, 3.0]])?[0].to_string(), "[[6.0, 2.0],\n [2.0, 0.0]]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn hessian(&self, wrt: &str) -> Result<Function, Error> {
        self.derived(Derived::Hessian { wrt: names(&[wrt]) })
    }

    /// The results, then how each changes. Behind the parameters stands, for each that is not declared as something other
    /// than a float, one named `v_` and its name: the change of it.
    ///
    /// # Errors
    /// E0120 when something on the way has no derivative.
    ///
    /// ```
    /// let f = matex::compile("fn f(x: f64, k: i64) -> f64 { x**2 * k }")?;
    /// let out = f.jvp()?.call(&[&3.0, &2_i64, &0.5])?;
    /// assert_eq!((&*out[0].to_string(), &*out[1].to_string()), ("18.0", "6.0"));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn jvp(&self) -> Result<Function, Error> {
        self.derived(Derived::Jvp)
    }

    /// The function for each entry along an axis of its parameters, or with `None` along none of it; results get a new
    /// first axis.
    ///
    /// # Errors
    /// E0103 for another number of axes than of parameters, E0233 when no parameter is mapped.
    ///
    /// ```
    /// let f = matex::compile("fn f(x: f64[n], by: f64) -> f64 { sum(x) * by }")?;
    /// let rows = f.vmap(&[Some(0), None])?;
    /// assert_eq!(rows.call(&[&[[1.0, 2.0], [3.0, 4.0]], &10.0])?[0].to_string(), "[30.0, 70.0]");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn vmap(&self, axes: &[Option<usize>]) -> Result<Function, Error> {
        self.derived(Derived::Vmap { axes: axes.to_vec() })
    }
}
