//! Linear algebra against references of twice the precision: errors within a small multiple of eps times the condition
//! number; warnings; and what NaN, threads and other pools change.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use matex::{AsView, Compiler, Function, NonFinite, compile};
use ndarray::Array2;

/// A number as an unevaluated sum of two (Dekker): about 32 digits.
#[derive(Clone, Copy, Debug)]
struct Twice(f64, f64);

impl Twice {
    fn from(v: f64) -> Twice {
        Twice(v, 0.0)
    }

    fn of(a: f64, b: f64) -> Twice {
        let s = a + b;
        let v = s - a;
        Twice(s, (a - (s - v)) + (b - v))
    }

    fn add(self, o: Twice) -> Twice {
        let s = Twice::of(self.0, o.0);
        Twice::of(s.0, s.1 + self.1 + o.1)
    }

    fn neg(self) -> Twice {
        Twice(-self.0, -self.1)
    }

    fn mul(self, o: Twice) -> Twice {
        let p = self.0 * o.0;
        Twice::of(p, self.0.mul_add(o.0, -p) + self.0 * o.1 + self.1 * o.0)
    }

    fn div(self, o: Twice) -> Twice {
        let q = self.0 / o.0;
        let r = self.add(o.mul(Twice::from(q)).neg());
        let more = r.0 / o.0;
        let r = r.add(o.mul(Twice::from(more)).neg());
        Twice::of(q, more).add(Twice::from(r.0 / o.0))
    }
}

type Matrix = Vec<Vec<Twice>>;

fn twice(a: &Array2<f64>) -> Matrix {
    a.rows().into_iter().map(|r| r.iter().map(|v| Twice::from(*v)).collect()).collect()
}

/// `a x = b` by elimination with partial pivoting, and the product of the pivots with its sign.
fn eliminate(mut a: Matrix, mut b: Matrix) -> (Matrix, Twice) {
    let n = a.len();
    let mut det = Twice::from(1.0);
    for k in 0..n {
        let pivot = (k..n).max_by(|i, j| a[*i][k].0.abs().total_cmp(&a[*j][k].0.abs())).unwrap();
        if pivot != k {
            a.swap(k, pivot);
            b.swap(k, pivot);
            det = det.neg();
        }
        det = det.mul(a[k][k]);
        for i in k + 1..n {
            let f = a[i][k].div(a[k][k]).neg();
            for m in [&mut a, &mut b] {
                let from = m[k].clone();
                m[i].iter_mut().zip(from).for_each(|(e, v)| *e = e.add(f.mul(v)));
            }
        }
    }
    for i in (0..n).rev() {
        for j in 0..b[i].len() {
            let rest = (i + 1..n).fold(b[i][j], |s, k| s.add(a[i][k].mul(b[k][j]).neg()));
            b[i][j] = rest.div(a[i][i]);
        }
    }
    (b, det)
}

fn identity(n: usize) -> Matrix {
    let one = |i: usize, j: usize| Twice::from(f64::from(u8::from(i == j)));
    (0..n).map(|i| (0..n).map(|j| one(i, j)).collect()).collect()
}

/// The largest sum of a column's absolute values.
fn norm(a: &Matrix) -> f64 {
    (0..a[0].len()).map(|j| a.iter().map(|r| r[j].0.abs()).sum()).fold(0.0, f64::max)
}

/// `|got - want| / |want|` in that norm.
fn error(got: &Array2<f64>, want: &Matrix) -> f64 {
    let difference: Matrix = want
        .iter()
        .enumerate()
        .map(|(i, r)| r.iter().enumerate().map(|(j, w)| Twice::from(got[[i, j]]).add(w.neg())).collect())
        .collect();
    norm(&difference) / norm(want)
}

fn hilbert(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(i, j)| 1.0 / (i + j + 1) as f64)
}

/// Numbers without a pattern, from -1 to 1.
fn noise(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A matrix whose singular values fall evenly on a log scale from 1 to 1 / κ, between two reflections.
fn with_condition(n: usize, condition: f64, seed: u64) -> Array2<f64> {
    let reflection = |seed: u64| {
        let v = noise(seed, n);
        let square: f64 = v.iter().map(|e| e * e).sum();
        Array2::from_shape_fn((n, n), |(i, j)| f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j] / square)
    };
    let step = |i: usize| condition.powf(-(i as f64) / (n - 1) as f64);
    let diagonal = Array2::from_shape_fn((n, n), |(i, j)| if i == j { step(i) } else { 0.0 });
    reflection(seed).dot(&diagonal).dot(&reflection(seed + 1))
}

fn call(f: &Function, args: &[&dyn AsView]) -> Array2<f64> {
    let out = f.call(args).unwrap();
    let (shape, data) = (out[0].shape().to_vec(), out[0].scalars().map(|s| s.to_f64()).collect());
    Array2::from_shape_vec((shape[0], shape.get(1).copied().unwrap_or(1)), data).unwrap()
}

/// All matrices that the references are compared on.
fn matrices() -> Vec<Array2<f64>> {
    let mut all: Vec<Array2<f64>> = [2, 3, 5, 8, 10, 12].map(hilbert).to_vec();
    for (k, n) in [3, 8, 20, 33, 50].into_iter().enumerate() {
        all.extend([1e2, 1e8, 1e13].map(|c| with_condition(n, c, 10 + k as u64)));
    }
    // So large that factors are made by blocks.
    all.push(with_condition(200, 1e8, 20));
    all
}

#[test]
fn solutions_inverses_and_determinants() {
    let solve = compile("fn f(A: f64[n, n], B: f64[n, m]) { solve(A, B) }").unwrap();
    let vector = compile("fn f(A: f64[n, n], b: f64[n]) { solve(A, b) }").unwrap();
    let lstsq = compile("fn f(A: f64[n, m], B: f64[n, k]) { lstsq(A, B, rcond=0.0) }").unwrap();
    let inv = compile("fn f(A: f64[n, n]) { inv(A) }").unwrap();
    let det = compile("fn f(A: f64[n, n]) { det(A) }").unwrap();
    for a in matrices() {
        let n = a.nrows();
        let (inverse, exact_det) = eliminate(twice(&a), identity(n));
        let condition = norm(&twice(&a)) * norm(&inverse);
        let allowed = 4.0 * n as f64 * f64::EPSILON * condition;
        let b = Array2::from_shape_vec((n, 3), noise(n as u64, 3 * n)).unwrap();
        let (x, _) = eliminate(twice(&a), twice(&b));
        let first: Matrix = x.iter().map(|r| vec![r[0]]).collect();
        let found = [
            ("solve", error(&call(&solve, &[&a, &b]), &x)),
            ("solve of a vector", error(&call(&vector, &[&a, &b.column(0).to_owned()]), &first)),
            ("lstsq", error(&call(&lstsq, &[&a, &b]), &x)),
            ("inv", error(&call(&inv, &[&a]), &inverse)),
        ];
        for (what, off) in found {
            assert!(off <= allowed, "{what}: {off:.1e} with condition number {condition:.1e}, n = {n}");
        }
        let d = det.call(&[&a]).unwrap()[0].scalars().next().unwrap().to_f64();
        let off = ((d - exact_det.0) / exact_det.0).abs();
        let vanishes = exact_det.0.abs() < 1e-280;
        assert!(vanishes || off <= allowed, "det: {off:.1e} with condition number {condition:.1e}, n = {n}");
    }
}

#[test]
fn factors_give_back_their_matrix() {
    let back = compile(
        "fn f(A: f64[n, n]) {
            (P, L, U) = lu(A);
            (Q, R) = qr(A);
            (u, s, vh) = svd(A, full_matrices=false);
            return P @ L @ U - A, Q @ R - A, (u * s) @ vh - A, Q.T @ Q - eye(n), u.T @ u - eye(n), vh @ vh.T - eye(n)
        }",
    )
    .unwrap();
    let symmetric = compile(
        "fn f(A: f64[n, n]) {
            S = A @ A.T + 1e-3 * eye(n);
            (w, V) = eigh(S);
            C = cholesky(S);
            return (V * w) @ V.T - S, C @ C.T - S, V.T @ V - eye(n)
        }",
    )
    .unwrap();
    for a in matrices() {
        let n = a.nrows();
        let size = a.iter().fold(1.0f64, |s, v| s.max(v.abs()));
        let allowed = 20.0 * n as f64 * f64::EPSILON * size * size;
        for (name, f) in [("lu, qr, svd", &back), ("eigh, cholesky", &symmetric)] {
            for (i, difference) in f.call(&[&a]).unwrap().iter().enumerate() {
                let off = difference.scalars().map(|s| s.to_f64().abs()).fold(0.0, f64::max);
                assert!(off <= allowed, "{name}, result {i}: {off:.1e} for n = {n}");
            }
        }
    }
}

#[test]
fn eigenvalues_and_singular_values_that_are_known() {
    // The second difference: its eigenvalues are 2 - 2 cos(k pi / (n + 1)), and it is positive definite.
    let f = compile("fn f(A: f64[n, n]) { return eigvalsh(A), eigh(A)[0], flip(svdvals(A)) }").unwrap();
    for n in [1, 2, 7, 40, 130] {
        let a = Array2::from_shape_fn((n, n), |(i, j)| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        for values in &f.call(&[&a]).unwrap() {
            for (k, v) in values.scalars().enumerate() {
                let angle = (k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64;
                let want = 4.0 * (angle / 2.0).sin().powi(2);
                let off = (v.to_f64() - want).abs();
                assert!(off <= 8.0 * n as f64 * f64::EPSILON, "value {k} of {n}: {off:.1e}");
            }
        }
    }
}

#[test]
fn a_batch_warns_once_of_its_worst() {
    let f = compile("fn f(A: f64[b, n, n]) { inv(A) }").unwrap();
    let mut a = ndarray::Array3::from_shape_fn((40, 8, 8), |(_, i, j)| f64::from(u8::from(i == j)));
    assert!(f.call(&[&a]).unwrap().warnings().is_empty());
    for k in [7, 21, 33] {
        // Rows 2 and 3 nearly depend on each other.
        a[[k, 2, 3]] = 1.0;
        a[[k, 3, 2]] = 1.0;
        a[[k, 3, 3]] = 1.0 + f64::EPSILON;
    }
    a[[21, 5, 5]] = 1e3;
    let out = f.call(&[&a]).unwrap();
    let [warning] = out.warnings() else { panic!("{:?}", out.warnings()) };
    assert_eq!(warning.code().to_string(), "E0709");
    let text = warning.message();
    assert!(text.contains("it is matrix 21 of 40, and 3 of them are so"), "{text}");
}

#[test]
fn a_loop_warns_once() {
    let source =
        "{ A = [[1.0, 1.0], [1.0, 1.0 + 2e-16]]; s = 0.0; for i in 0..5 { s = s + sum(inv(A)); } s }";
    assert_eq!(compile(source).unwrap().call(&[]).unwrap().warnings().len(), 1);
}

#[test]
fn nan_passes_where_it_was_asked_for() {
    let nan = f64::NAN;
    let a = ndarray::arr3(&[[[2.0, 0.0], [0.0, 4.0]], [[nan, 1.0], [2.0, 5.0]], [[1.0, 0.0], [0.0, 1.0]]]);
    let source =
        "fn f(A: f64[b, n, n]) { return inv(A), lu(A)[1], svdvals(A), det(A), eigvalsh(A), qr(A)[1] }";
    assert_eq!(compile(source).unwrap().call(&[&a]).unwrap_err().code().to_string(), "E0704");
    let passing = Compiler::new().non_finite(NonFinite::Nan);
    for engine in [matex::Engine::Auto, matex::Engine::LoopInterpreter, matex::Engine::Interpreter] {
        for result in &passing.clone().engine(engine).compile(source).unwrap().call(&[&a]).unwrap() {
            let size = result.len() / 3;
            for (i, v) in result.scalars().enumerate() {
                // L has ones and zeros that come from no factor.
                let is_nan = v.to_f64().is_nan();
                assert!(
                    is_nan == (i / size == 1) || (i / size == 1 && result.rank() == 3),
                    "{engine}: {result}"
                );
            }
        }
    }
    let f = passing.compile("fn f(A: f64[n, k], b: f64[n]) { lstsq(A, b) }").unwrap();
    assert_eq!(f.call(&[&[[1.0, 2.0], [nan, 1.0]], &[1.0, 2.0]]).unwrap()[0].to_string(), "[nan, nan]");
}

#[test]
fn only_the_triangle_that_is_read_is_looked_at() {
    let nan = f64::NAN;
    let (lower, upper) = ([[4.0, nan], [2.0, 5.0]], [[4.0, 2.0], [nan, 5.0]]);
    for engine in [matex::Engine::Auto, matex::Engine::Interpreter] {
        let run = |source: &str, a: &[[f64; 2]; 2]| {
            let f = Compiler::new().engine(engine).compile(source).unwrap();
            f.call(&[a]).map(|out| out[0].to_string()).map_err(|e| e.code().to_string())
        };
        assert_eq!(run("cholesky(A)", &lower).unwrap(), "[[2.0, 0.0],\n [1.0, 2.0]]");
        assert_eq!(run("eigvalsh(A)", &upper), Err("E0704".to_owned()));
        assert!(run("eigvalsh(A)", &lower).is_ok());
        assert!(run("solve_triangular(A, [1.0, 2.0], lower=true)", &lower).is_ok());
        assert!(run("solve_triangular(A, [1.0, 2.0])", &upper).is_ok());
        assert_eq!(run("solve_triangular(A, [1.0, 2.0])", &lower), Err("E0704".to_owned()));
    }
}

#[test]
fn threads_change_nothing_about_batches() {
    let a = ndarray::Array3::from_shape_vec((3000, 9, 9), noise(3, 3000 * 81)).unwrap();
    let tall = Array2::from_shape_vec((40_000, 7), noise(4, 280_000)).unwrap();
    let source =
        "fn f(A: f64[b, n, n], X: f64[m, k]) { return inv(A), det(A), A @ A.mT, svdvals(A), X.T @ X }";
    let run = |threads: usize| {
        let f = Compiler::new().threads(threads).compile(source).unwrap();
        let out = f.call(&[&a, &tall]).unwrap();
        out.iter().flat_map(|t| t.scalars().map(|s| s.bits()).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let one = run(1);
    assert!(one == run(2) && one == run(0), "bits differ");
}

#[test]
fn symmetric_products_are_symmetric() {
    for n in [16, 33, 100, 257] {
        let x = Array2::from_shape_vec((n + 3, n), noise(n as u64, n * (n + 3))).unwrap();
        for threads in [1, 2] {
            let f = Compiler::new().threads(threads);
            let f = f.compile("fn f(X: f64[m, n]) { return X.T @ X, X @ X.T }").unwrap();
            let out = f.call(&[&x]).unwrap();
            for (got, want) in out.iter().zip([x.t().dot(&x), x.dot(&x.t())]) {
                let size = want.nrows();
                let got = Array2::from_shape_vec((size, size), got.scalars().map(|s| s.to_f64()).collect())
                    .unwrap();
                assert!(got == got.t(), "{n}");
                assert!((&got - &want).iter().all(|d| d.abs() < 1e-12 * n as f64), "{n}");
            }
        }
    }
}

/// Systems whose matrices are expected to be positive definite, and are so or not.
#[test]
fn definite_systems() {
    let source = "fn f(X: f64[m, n], B: f64[n, k], l: f64) {
        A = X.T @ X + l * eye(n);
        return A, solve(A, B), inv(A)
    }";
    let f = compile(source).unwrap();
    assert_eq!(f.dump(matex::Stage::Optimized).unwrap().matches("solve_definite").count(), 2);
    for (n, condition) in [(5, 10.0), (33, 10.0), (40, 1e3), (70, 1e4), (100, 1e3)] {
        let x = with_condition(n, condition, n as u64);
        let b = Array2::from_shape_vec((n, 3), noise(n as u64, 3 * n)).unwrap();
        // The last one is indefinite, and a shift of nothing leaves a product alone.
        for shift in [1.0, 0.0, -0.25] {
            let out = f.call(&[&x, &b, &shift]).unwrap();
            let matrix = |i: usize, cols: usize| {
                Array2::from_shape_vec((n, cols), out[i].scalars().map(|s| s.to_f64()).collect()).unwrap()
            };
            let a = twice(&matrix(0, n));
            let (inverse, _) = eliminate(a.clone(), identity(n));
            let allowed = 4.0 * n as f64 * f64::EPSILON * norm(&a) * norm(&inverse);
            let (solution, _) = eliminate(a, twice(&b));
            assert!(error(&matrix(1, 3), &solution) <= allowed, "{n} {shift}");
            assert!(error(&matrix(2, n), &inverse) <= allowed, "{n} {shift}");
        }
    }
}

/// Inverses that have a routine of their own, larger than those above.
#[test]
fn large_inverses_that_are_none_or_nearly() {
    let source = "fn f(A: f64[n, n]) { inv(A) }";
    let f = compile(source).unwrap();
    let n = 310;
    let warnings = |a: &Array2<f64>| f.call(&[a]).unwrap().warnings().len();
    assert_eq!([1e3, 1e17].map(|c| warnings(&with_condition(n, c, 7))), [0, 1]);
    let zero = Array2::from_shape_fn((n, n), |(i, j)| if i == 150 { 0.0 } else { 1.0 + (i * j) as f64 });
    let by_interpreter = Compiler::new().engine(matex::Engine::Interpreter).compile(source).unwrap();
    let told = [&f, &by_interpreter].map(|f| f.call(&[&zero]).unwrap_err().to_string());
    assert_eq!(told[0], told[1]);
    // One over the first element is infinite, and times 0 that is no number: other columns have nothing of it.
    for n in [40, 200, n] {
        let diagonal = |i: usize| if i == 0 { 1e-310f64 } else { 2.0 };
        let tiny = Array2::from_shape_fn((n, n), |(i, j)| if i == j { diagonal(i) } else { 0.0 });
        for ((i, j), e) in call(&f, &[&tiny]).indexed_iter() {
            let want = if i == j { 0.5 } else { 0.0 };
            assert!(if j == 0 { i > 0 || !e.is_finite() } else { *e == want }, "{e} at {i} {j} of {n}");
        }
    }
    let a = with_condition(n, 1e3, 7);
    let off = a.dot(&call(&f, &[&a])) - Array2::<f64>::eye(n);
    assert!(off.iter().all(|e| e.abs() < n as f64 * f64::EPSILON * 1e3));
}

#[test]
fn definite_systems_fail_and_warn_as_all_others() {
    let source = "fn f(X: f64[m, n], b: f64[n]) { solve(X.T @ X, b) }";
    let told = |engine: matex::Engine, x: &Array2<f64>| {
        let f = Compiler::new().engine(engine).compile(source).unwrap();
        let out = f.call(&[x, &vec![1.0; x.ncols()]]).map_err(|e| e.code().to_string())?;
        Ok::<Vec<String>, String>(out.warnings().iter().map(|w| w.code().to_string()).collect())
    };
    let nan = with_condition(50, 10.0, 3).mapv(|v| if v > 0.5 { f64::NAN } else { v });
    for x in [Array2::zeros((40, 40)), nan] {
        let found = told(matex::Engine::Auto, &x);
        assert!(found.is_err() && found == told(matex::Engine::Interpreter, &x), "{found:?}");
    }
    let nearly = with_condition(40, 1e9, 5);
    assert_eq!(told(matex::Engine::Auto, &nearly), Ok(vec!["E0709".to_owned()]));
    assert_eq!(told(matex::Engine::Auto, &with_condition(40, 10.0, 5)), Ok(Vec::new()));
}
