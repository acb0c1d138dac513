//! The library in five steps: compile, call, call with types, be told what is wrong, and look inside.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use ndarray::{Array1, Array2, array};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();

    // A program is text. It is checked here; sizes may differ from call to call.
    let ols = matex::compile("fn ols(X: f64[n, k], y: f64[n]) -> f64[k] { solve(X.T @ X, X.T @ y) }")?;

    // Whatever is a tensor goes in without a copy: slices, nested arrays, and the arrays of ndarray, nalgebra and faer.
    let x = [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]];
    let beta = ols.call(&[&x, &[1.0, 3.0, 5.0, 7.0]])?.into_single()?;
    writeln!(out, "coefficients: {beta:.3}")?;

    // With types the check happens once, and then it is a plain call.
    let fit = ols.typed::<fn(&Array2<f64>, &Array1<f64>) -> Array1<f64>>()?;
    let beta = fit(&array![[1.0, 0.0], [1.0, 2.0], [1.0, 4.0]], &array![0.0, 1.0, 2.0])?;
    writeln!(out, "with types:   {beta:.3}")?;

    // What is wrong with a program is an error that draws itself.
    let error = matex::compile("fn residual(y: f64[n], X: f64[n, k]) { y - X }").err();
    writeln!(out, "\n{}", error.map_or(String::new(), |e| e.to_string()))?;

    // Every stage can be looked at.
    writeln!(out, "\n{}", ols.dump(matex::Stage::Tensor)?)?;
    Ok(())
}
