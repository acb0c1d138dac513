// Bodies with what means something else, or nothing, in the language.
use matex_macros::jit;

#[jit]
fn integers(a: i64, b: i64) -> i64 {
    let c = a + 1;
    c / b
}

#[jit]
fn rounding(x: f64) -> f64 {
    x.round() + x.signum() + x.frobnicate(2)
}

#[jit]
fn nothing_else(x: &[f64]) -> f64 {
    println!("{x:?}");
    let f = |v: f64| v + 1.0;
    match x[0] {
        _ => LIMIT,
    }
}

#[jit]
fn ranges(x: &[f64]) -> Vec<f64> {
    let y: Vec<f64> = x[0..=2];
    y
}

#[jit]
fn shapes(a: &[[f64; 2]; 3], b: &[f64; 3]) -> Vec<f64> {
    a - b
}

fn main() {}
