// Functions whose head has no meaning in the language.
use matex_macros::jit;

#[jit]
fn no_result(x: &[f64]) {}

#[jit]
fn generic<T>(x: &[T]) -> f64 {
    x.sum()
}

#[jit]
fn text(x: &str) -> f64 {
    x.sum()
}

#[jit]
fn written(x: &mut [f64]) -> f64 {
    x.sum()
}

#[jit]
fn softmax(x: &[f64]) -> Vec<f64> {
    x.exp()
}

#[jit]
fn other_product(a: &DMatrix<f64>, b: &DMatrix<f64>) -> DMatrix<f64> {
    a * b
}

#[jit(fast)]
fn arguments(x: f64) -> f64 {
    x
}

fn main() {}
