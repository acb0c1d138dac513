//! Gradients, Jacobians, mapped solves and random numbers.

use crate::Bench;
use matex::{AsView, Compiler, Function, Tensor};
use std::hint::black_box;
use std::time::Instant;

const MLP: &str = "fn loss(A: f32[784, 256], a: f32[256], B: f32[256, 128], b: f32[128], C: f32[128, 10], c: f32[10], x: f32[n, 784], y: f32[n, 10]) -> f32 {
    h = relu(x @ A + a);
    g = relu(h @ B + b);
    -mean(sum(y * log_softmax(g @ C + c), axis=1))
}";

/// A model of 100 parameters: 9 numbers in, 9 tanh units of which each has a weight, and a bias.
const MODEL: &str = "fn loss(p: f64[100], x: f64[n, 9], y: f64[n]) -> f64 {
    W = reshape(p[0:81], [9, 9]);
    mean((tanh(x @ W + p[81:90]) @ p[90:99] + p[99] - y)**2)
}
fn outputs(p: f64[100], x: f64[n, 9]) -> f64[n] {
    W = reshape(p[0:81], [9, 9]);
    tanh(x @ W + p[81:90]) @ p[90:99] + p[99]
}";

fn numbers(shape: &[usize], single: bool) -> Tensor {
    let one = |i: usize| ((i * 37 + 11) % 101) as f64 / 101.0 - 0.5;
    let all = (0..shape.iter().product()).map(one);
    if single {
        Tensor::from_vec(shape, all.map(|v| v as f32 * 0.1).collect()).unwrap()
    } else {
        Tensor::from_vec(shape, all.collect()).unwrap()
    }
}

fn compiled(source: &str, entry: &str) -> Function {
    Compiler::new().threads(1).entry(entry).compile(source).unwrap()
}

pub(crate) fn all(bench: &Bench) {
    let n = if bench.real { 128 } else { 2 };
    let shapes: [&[usize]; 8] =
        [&[784, 256], &[256], &[256, 128], &[128], &[128, 10], &[10], &[n, 784], &[n, 10]];
    let args = shapes.map(|s| numbers(s, true));
    let args: Vec<&dyn AsView> = args.iter().map(|t| t as &dyn AsView).collect();
    let start = Instant::now();
    let mlp = compiled(MLP, "loss").value_and_grad(&["A", "a", "B", "b", "C", "c"]).unwrap();
    black_box(mlp.call(&args).unwrap());
    bench.line("derivatives", "MLP gradient, first call", &[("us", start.elapsed().as_secs_f64() * 1e6)]);
    row(bench, &format!("MLP gradient, batch {n}"), &mlp, &args);
    let rows = if bench.real { 1000 } else { 3 };
    let (p, x, y) = (numbers(&[100], false), numbers(&[rows, 9], false), numbers(&[rows], false));
    row(bench, "gradient of 100 parameters", &compiled(MODEL, "loss").grad("p").unwrap(), &[&p, &x, &y]);
    row(bench, "hessian of 100 parameters", &compiled(MODEL, "loss").hessian("p").unwrap(), &[&p, &x, &y]);
    row(bench, "jacobian of 100 parameters", &compiled(MODEL, "outputs").jacobian("p").unwrap(), &[&p, &x]);
    let count = if bench.real { 10_000 } else { 3 };
    let system = compiled("fn f(A: f64[8, 8], b: f64[8]) -> f64[8] { solve(A + 4.0 * eye(8), b) }", "f");
    let mapped = system.vmap(&[Some(0), Some(0)]).unwrap();
    let (a, b) = (numbers(&[count, 8, 8], false), numbers(&[count, 8], false));
    row(bench, &format!("vmap of {count} solves of 8 x 8"), &mapped, &[&a, &b]);
    let draws: i64 = if bench.real { 1_000_000 } else { 10 };
    for (name, dtype) in [("f64", "f64"), ("f32", "f32")] {
        let source = format!("fn f(seed: i64, n: i64) {{ normal(key(seed), n, dtype={dtype}) }}");
        row(bench, &format!("{draws} normals {name}"), &compiled(&source, "f"), &[&7_i64, &draws]);
    }
}

fn row(bench: &Bench, name: &str, f: &Function, args: &[&dyn AsView]) {
    let times = bench.fastest(&mut [&mut || drop(black_box(f.call(args).unwrap()))]);
    bench.line("derivatives", name, &[("us", times[0] / 1e3)]);
}
