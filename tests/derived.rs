//! Functions that are derived from a function, as the library makes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{Function, Stage, compile};

fn one(f: &Function, args: &[&dyn matex::AsView]) -> String {
    f.call(args).unwrap()[0].to_string()
}

#[test]
fn derived_functions_are_functions() {
    let f = compile("fn f(w: f64[k], x: f64[n, k]) -> f64 { sum(sigmoid(x @ w)) }").unwrap();
    let g = f.grad("w").unwrap();
    assert_eq!(g.signature().name, "grad_f");
    assert!(g.dump(Stage::Tensor).unwrap().starts_with("func @grad_f(%w: f64[x.1], %x: f64[x.0, x.1])"));
    for stage in [Stage::Optimized, Stage::Kernels, Stage::Plan] {
        assert!(!g.dump(stage).unwrap().is_empty());
    }
    let typed = g.typed::<fn(&[f64; 2], &[[f64; 2]; 1]) -> Vec<f64>>().unwrap();
    assert_eq!(typed(&[0.0, 0.0], &[[1.0, 2.0]]).unwrap(), [0.25, 0.5]);
    assert_eq!(one(&f, &[&[0.0, 0.0], &[[1.0, 2.0]]]), "0.5");
}

#[test]
fn they_nest() {
    let f = compile("fn f(x: f64) -> f64 { x**4 }").unwrap();
    assert_eq!(one(&f.grad("x").unwrap().grad("x").unwrap(), &[&2.0]), "48.0");
    let g = f.grad("x").unwrap().vmap(&[Some(0)]).unwrap();
    assert_eq!(one(&g, &[&[1.0, 2.0]]), "[4.0, 32.0]");
    let out = g.jvp().unwrap().call(&[&[1.0, 2.0], &[1.0, 0.5]]).unwrap();
    assert_eq!((out[0].to_string(), out[1].to_string()), ("[4.0, 32.0]".into(), "[12.0, 24.0]".into()));
    let out = f.jvp().unwrap().jvp().unwrap().call(&[&2.0, &1.0, &1.0, &0.0]).unwrap();
    let all: Vec<String> = (0..4).map(|i| out[i].to_string()).collect();
    assert_eq!(all, ["16.0", "32.0", "32.0", "48.0"]);
}

#[test]
fn expressions_and_programs_without_types_too() {
    let f = compile("sum(a * b**2)").unwrap();
    assert_eq!(one(&f.grad("b").unwrap(), &[&[1.0, 2.0], &[3.0, 4.0]]), "[6.0, 16.0]");
    assert_eq!(one(&f.grad("b").unwrap(), &[&2.0f32, &[3.0f32]]), "[12.0]");
    let f = compile("{ y = $0 * $1; sum(y) }").unwrap();
    assert_eq!(one(&f.grad("1").unwrap(), &[&[1.0, 2.0], &[3.0, 4.0]]), "[1.0, 2.0]");
    let f = compile("fn f(x, k = 3.0) { sum(x * k) }").unwrap();
    assert_eq!(one(&f.grad("x").unwrap(), &[&[1.0, 2.0]]), "[3.0, 3.0]");
    assert_eq!(one(&f.vmap(&[Some(1), None]).unwrap(), &[&[[1.0, 2.0], [3.0, 4.0]]]), "[12.0, 18.0]");
}

#[test]
fn what_cannot_be_derived_says_why() {
    let code = |f: Result<Function, matex::Error>| f.unwrap_err().code().to_string();
    let f = compile("fn f(x: f64[n], k: i64) -> f64[n] { x * k }").unwrap();
    assert_eq!(code(f.grad("x")), "E0120");
    assert_eq!(code(f.jacobian("k")), "E0228");
    assert_eq!(code(f.grad("z")), "E0119");
    assert_eq!(code(f.vmap(&[None])), "E0103");
    assert_eq!(code(f.vmap(&[None, None])), "E0233");
    let untyped = compile("fn f(x) { nextafter(x, 0.0) }").unwrap().grad("x").unwrap();
    assert_eq!(untyped.call(&[&1.0]).unwrap_err().code().to_string(), "E0120");
}
