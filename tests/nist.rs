//! Linear regression on the Statistical Reference Datasets of NIST: digits that agree with the certified coefficients.
//! `cargo test --test nist -- --nocapture` prints them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{Function, Outputs, Tensor, compile};
use std::path::Path;

/// The columns of a file of numbers below a header.
fn columns(file: &str, names: &[&str]) -> Vec<Vec<f64>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|l| l.split(',').collect()).collect();
    let place = |name: &&str| head.iter().position(|h| h == name).unwrap();
    names.iter().map(|n| rows.iter().map(|r| r[place(n)].parse().unwrap()).collect()).collect()
}

/// How many digits of the worst coefficient agree; 16 when all do.
fn digits(got: &Tensor, certified: &[f64]) -> f64 {
    assert_eq!(got.shape(), [certified.len()]);
    let digits = |(g, c): (matex::Scalar, &f64)| -((g.to_f64() - c) / c).abs().log10();
    got.scalars().zip(certified).map(digits).fold(16.0, f64::min)
}

/// A problem: x, y, the degree of the polynomial, the coefficients from the constant on.
struct Problem {
    name: &'static str,
    x: Vec<f64>,
    y: Vec<f64>,
    certified: Vec<f64>,
    /// The digits that are asked of lstsq, and of the normal equations where those can work.
    least: (f64, Option<f64>),
}

const FILIP: [f64; 11] = [
    -1467.48961422980,
    -2772.17959193342,
    -2316.37108160893,
    -1127.97394098372,
    -354.478233703349,
    -75.1242017393757,
    -10.8753180355343,
    -1.06221498588947,
    -0.670191154593408E-01,
    -0.246781078275479E-02,
    -0.402962525080404E-04,
];

fn problems() -> Vec<Problem> {
    let of = |file: &str, y: &str| {
        let mut both = columns(file, &["x", y]);
        (both.remove(0), both.remove(0))
    };
    let problem =
        |name, (x, y), certified: &[f64], least| Problem { name, x, y, certified: certified.to_vec(), least };
    let ones = [1.0; 6];
    let wampler = |y: &str| of("nist/wampler.csv", y);
    vec![
        problem(
            "Norris",
            of("nist/norris.csv", "y"),
            &[-0.262323073774029, 1.00211681802045],
            (12.0, Some(9.0)),
        ),
        problem("Filip", of("nist/filip.csv", "y"), &FILIP, (7.0, None)),
        problem("Wampler1", wampler("y1"), &ones, (9.0, Some(5.0))),
        problem("Wampler2", wampler("y2"), &[1.0, 0.1, 0.01, 0.001, 1e-4, 1e-5], (9.0, Some(5.0))),
        problem("Wampler3", wampler("y3"), &ones, (9.0, Some(5.0))),
        problem("Wampler4", wampler("y4"), &ones, (7.0, Some(5.0))),
        problem("Wampler5", wampler("y5"), &ones, (5.5, Some(4.0))),
    ]
}

const POWERS: &str = "fn powers(x: f64[n], count: i64) -> f64[n, count] {
    X = ones([n, count]);
    for k in 1..count { X[:, k] = X[:, k - 1] * x; }
    X
}\n";

fn polynomial(body: &str) -> Function {
    let main = "fn main(x: f64[n], y: f64[n], count: i64) -> f64[count] { X = powers(x, count); ";
    compile(&format!("{POWERS}{main}{body} }}")).unwrap()
}

fn fit(f: &Function, p: &Problem) -> Outputs {
    f.call(&[&p.x, &p.y, &(p.certified.len() as i64)]).unwrap()
}

#[test]
fn least_squares() {
    let f = polynomial("lstsq(X, y)");
    for p in problems() {
        let out = fit(&f, &p);
        let found = digits(&out[0], &p.certified);
        println!("{:<9} lstsq             {found:.1} digits", p.name);
        assert!(found >= p.least.0, "{}: {found} digits", p.name);
    }
}

#[test]
fn normal_equations() {
    let f = polynomial("solve(X.T @ X, X.T @ y)");
    for p in problems() {
        let out = fit(&f, &p);
        let found = digits(&out[0], &p.certified);
        println!("{:<9} normal equations  {found:.1} digits, {} warnings", p.name, out.warnings().len());
        if let Some(least) = p.least.1 {
            assert!(found >= least, "{}: {found} digits", p.name);
        } else {
            let warning = &out.warnings()[0];
            assert_eq!(warning.code().to_string(), "E0709");
            assert!(warning.condition() > 1.0 / f64::EPSILON, "{warning}");
        }
    }
}

#[test]
fn longley() {
    let certified = [
        -3482258.63459582,
        15.0618722713733,
        -0.358191792925910E-01,
        -2.02022980381683,
        -1.03322686717359,
        -0.511041056535807E-01,
        1829.15146461355,
    ];
    let names = ["GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR", "TOTEMP"];
    let columns = columns("longley.csv", &names);
    let design = |i: usize| std::iter::once(1.0).chain(columns[..6].iter().map(move |c| c[i]));
    let data: Vec<f64> = (0..16).flat_map(design).collect();
    let x = ndarray::Array2::from_shape_vec((16, 7), data).unwrap();
    for (name, body, least) in
        [("lstsq", "lstsq(X, y)", 9.0), ("normal equations", "solve(X.T @ X, X.T @ y)", 5.0)]
    {
        let f = compile(&format!("fn f(X: f64[n, k], y: f64[n]) -> f64[k] {{ {body} }}")).unwrap();
        let found = digits(&f.call(&[&x, &columns[6]]).unwrap()[0], &certified);
        println!("Longley   {name:<17} {found:.1} digits");
        assert!(found >= least, "Longley by {name}: {found} digits");
    }
}
