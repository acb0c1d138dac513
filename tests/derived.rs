//! Functions that are derived from a function, as the library makes them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{Compiler, Function, Stage, compile};

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

/// The peak of memory that a call is said to take.
fn peak(f: &matex::Function, args: &[&dyn matex::AsView]) -> u64 {
    let text = f.explain(args).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("peak memory: ")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn working_steps_out_again_takes_less_memory() {
    let program = |more: &str| {
        format!(
            "fn f(x: f64[n], k: i64) {{ s = x; for i in 0..k {{ s = s + 0.1 * sin(s * x); }} sum(s) }}
             fn main(x: f64[n], k: i64) {{ grad(f{more})(x, k) }}"
        )
    };
    let x = vec![0.5; 1000];
    let args: [&dyn matex::AsView; 2] = [&x, &1000_i64];
    let compiled = |more: &str| compile(&program(more)).unwrap();
    let made = Compiler::new().recompute(true).entry("f").compile(&program("")).unwrap().grad("x").unwrap();
    let all = compiled("");
    for some in [compiled(", recompute=true"), made] {
        let peaks = (peak(&all, &args), peak(&some, &args));
        // A thousand copies of x, and twice the square root of that with a little of their own.
        assert!(peaks.0 > 8_000_000 && peaks.1 < 8_000 * 80, "{peaks:?}");
        let run = |f: &matex::Function| f.call(&args).unwrap()[0].to_string();
        assert_eq!(run(&all), run(&some));
    }
}

/// More steps than can be kept in three cuts, so that the last one is gone through again and again.
#[test]
fn a_loop_of_any_number_of_steps_has_a_way_back() {
    let f =
        compile("fn f(x: f64, n: i64[1]) -> f64 { s = x; for i in 0..n[0] { s = s * 1.0001; } s }").unwrap();
    let g: f64 = one(&f.grad("x").unwrap(), &[&2.0, &[33_000_i64]]).parse().unwrap();
    assert!((g - 1.0001f64.powi(33_000)).abs() < 1e-10, "{g}");
}
