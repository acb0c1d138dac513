//! Functions of one tensor, of every kind of operation, and what it takes to run them with the oracle interpreter.

use matex_ir::DType;
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_lang::{ArgSpec, Limits, Unit};

/// The body of a function of x, and the shape of x.
pub(crate) type Row = (&'static str, &'static [usize]);

pub(crate) const ELEMENTWISE: &[Row] = &[
    ("x + 2.0 * x - x / 3.0", &[4]),
    ("x * x / (x + 3.0)", &[4]),
    ("x % 0.7 + fmod(x, 0.3)", &[4]),
    ("3.0 % (x + 2.0) + fmod(3.0, x + 2.0)", &[4]),
    ("x**3 + x**2 + x**1 + x**0 + (x + 2.0)**-1.5", &[4]),
    ("(x + 2.0)**x + 2.0**x", &[4]),
    ("-abs(x)", &[4]),
    ("maximum(x, 0.1) * minimum(x, -0.2)", &[4]),
    ("maximum(x, x * x) + clip(x, -0.5, 0.5) + relu(x)", &[4]),
    ("fma(x, x, x * x)", &[4]),
    ("sqrt(x + 2.0) + rsqrt(x + 2.0) + cbrt(x + 2.0)", &[4]),
    ("exp(x) + exp2(x) * expm1(x)", &[4]),
    ("log(x + 2.0) * log2(x + 2.0) + log10(x + 2.0) + log1p(x)", &[4]),
    ("sin(x) + cos(x) * tan(x)", &[4]),
    ("asin(x) + acos(x) * atan(x)", &[4]),
    ("atan2(x, x * x + 1.0) + atan2(1.0, x)", &[4]),
    ("sinh(x) + cosh(x) * tanh(x)", &[4]),
    ("asinh(x) + acosh(x + 3.0) * atanh(x)", &[4]),
    ("hypot(x, x + 2.0) + logaddexp(x, 2.0 * x)", &[4]),
    ("erf(x) + erfc(x) * gelu(x)", &[4]),
    ("lgamma(x + 2.0) + lgamma(x - 3.3)", &[4]),
    ("sigmoid(x) + softplus(x)", &[4]),
    ("x * floor(x * 3.0) + ceil(x) * trunc(x * 5.0) + round(x * 2.0) * x + sign(x) * x", &[4]),
    ("copysign(x, -1.0) + copysign(x + 2.0, x)", &[4]),
    ("where(x > 0.0, sin(x), x * x)", &[4]),
    ("reciprocal(x + 2.0) * square(x)", &[4]),
    ("cast(cast(x, f64), f64) * floor_divide(x, 0.3)", &[4]),
];

pub(crate) const REDUCTIONS: &[Row] = &[
    ("sum(x, axis=0) * mean(x)", &[3, 2]),
    ("prod(x)", &[5]),
    ("prod(x, axis=1)", &[2, 3]),
    ("prod(x, axis=[0, 2])", &[2, 2, 2]),
    ("max(x, axis=0) + min(x, axis=0)", &[3, 2]),
    ("var(x) + std(x, axis=0)", &[3, 2]),
    ("logsumexp(x, axis=1)", &[3, 2]),
    ("softmax(x) + log_softmax(x, axis=0)", &[3, 2]),
    ("norm(x) + vector_norm(x, axis=0)", &[3, 2]),
    ("vector_norm(x, ord=1) + vector_norm(x, ord=3) + vector_norm(x, ord=inf)", &[4]),
    ("cumsum(x, axis=0) * x", &[3, 2]),
    ("cumprod(x, axis=1)", &[2, 4]),
    ("cummax(x, axis=1) + cummin(x, axis=0)", &[3, 4]),
    ("diff(x, axis=0)", &[4, 2]),
    ("x * sum(x > 0.0) + argmax(x) * x", &[4]),
];

pub(crate) const SHAPES: &[Row] = &[
    ("reshape(x, [3, 2]).T @ x.T", &[2, 3]),
    ("permute_dims(x, [2, 0, 1]) * 2.0", &[2, 3, 2]),
    ("x[:, newaxis, :] * x[newaxis]", &[2, 3]),
    ("x[1:, ::2] * x[0, 1] + x[-1, ::-2]", &[3, 4]),
    ("concat([x, x * x], axis=1) * stack([sum(x), 2.0])[0]", &[2, 2]),
    ("flip(x, axis=0) * roll(x, 1, axis=1)", &[2, 3]),
    ("tile(x, [2, 1]) + repeat(x, 2, axis=0)", &[2, 2]),
    ("pad(x, [[1, 0], [0, 2]], value=sum(x)) * 2.0", &[2, 2]),
    ("pad(x, [[1, 1]], mode=reflect) + pad(x, [[1, 1]], mode=edge) + pad(x, [[1, 1]], mode=wrap)", &[3]),
    ("tril(x) + triu(x, k=1) * diagonal(x)", &[3, 3]),
    ("x[[2, 0, 2]] * x[1]", &[3, 2]),
    ("take(x, [[1, 0], [1, 1]], axis=1)", &[2, 2]),
    ("take_along_axis(x, argsort(x, axis=0), axis=0)", &[3, 2]),
    ("scatter(x, [1, 1, 0], x[0:3] * 2.0, axis=0)", &[4]),
    ("scatter_add(x, [1, 1, 0], x[0:3]**2, axis=0)", &[4]),
    ("{ y = x; y[1] = x[0] * x[2]; y[0:2] *= 3.0; y[::-2] += x[0]; y }", &[4]),
    ("{ y = zeros([2, 3]); y[1, :] = x; y[:, 0] += x[0:2]**2; y }", &[3]),
    ("sort(x, axis=0) * x", &[4, 2]),
    ("sort(x, descending=true)**2", &[5]),
    ("{ (a, i) = topk(x, 2); a * i }", &[5]),
    ("{ (a, b) = split(x, 2); a * b }", &[4]),
    ("squeeze(expand_dims(x, axis=0), axis=0) * broadcast_to(sum(x), [3])", &[3]),
    ("moveaxis(x, 0, -1) * trace(x)", &[2, 2]),
    ("x * stop_gradient(3.0) + one_hot([1], 3) * x", &[3]),
];

pub(crate) const PRODUCTS: &[Row] = &[
    ("x @ x", &[3, 3]),
    ("x @ x[0]", &[3, 3]),
    ("x[0] @ x", &[3, 3]),
    ("dot(x[0], x[1])", &[2, 3]),
    ("outer(x, x)", &[3]),
    ("cross(x[0], x[1])", &[2, 3]),
    ("tensordot(x, x, axes=[[0, 2], [0, 2]])", &[2, 3, 2]),
    ("einsum(\"bij,bkj->ikb\", x, x)", &[2, 3, 2]),
    ("einsum(\"ij,jk,k->i\", x, x, x[0])", &[2, 2]),
    ("x @ x[0]", &[2, 2, 2]),
    ("matrix_power(x, 3)", &[2, 2]),
    ("matrix_norm(x) * vecdot(x, x + 1.0)", &[2, 3]),
];

pub(crate) const LINEAR_ALGEBRA: &[Row] = &[
    ("solve(x + 3.0 * eye(3), x[:, 0])", &[3, 3]),
    ("solve(x + 3.0 * eye(2), x[..., 0:1])", &[2, 2, 2]),
    ("inv(x + 2.0 * eye(3))", &[3, 3]),
    ("det(x)", &[3, 3]),
    ("det(x)", &[2, 2, 2]),
    ("{ (s, l) = slogdet(x); s * l }", &[3, 3]),
    ("solve_triangular(x + 2.0 * eye(3), x[0])", &[3, 3]),
    ("solve_triangular(x + 2.0 * eye(3), x @ x, lower=true)", &[3, 3]),
    ("cholesky(x @ x.T + eye(3))", &[3, 3]),
    ("cholesky(x + 3.0 * eye(3))", &[3, 3]),
    ("lstsq(x, x[:, 0]**2)", &[4, 2]),
    ("lstsq(x, x * x)", &[3, 3]),
    ("{ (p, l, u) = lu(x); l * 2.0 + u }", &[3, 3]),
    ("{ (q, r) = qr(x); q @ q.T + sum(r**3) }", &[4, 2]),
    ("{ (q, r) = qr(x); sum(q * x[:, 0:2]) + r }", &[2, 4]),
    ("{ (w, v) = eigh(x + x.T); w * (v**2 @ w) }", &[3, 3]),
    ("eigvalsh(x)**2", &[3, 3]),
    ("svdvals(x)", &[3, 2]),
    ("{ (u, s, h) = svd(x, full_matrices=false); u**2 @ (s[:, newaxis] * h**2) }", &[4, 2]),
    ("{ (u, s, h) = svd(x, full_matrices=false); u**2 @ (s[:, newaxis] * h**2) }", &[2, 3]),
    ("{ (u, s, h) = svd(x); u**2 @ (s[:, newaxis] * h**2) }", &[3, 3]),
    ("pinv(x)", &[3, 2]),
];

pub(crate) const CONTROL: &[Row] = &[
    ("{ s = x; for i in 0..4 { s = s * sin(x) + x[i]; } s }", &[4]),
    ("{ s = 1.0; for i in 0..x.shape()[0] { s *= x[i] + 1.0; } s }", &[3]),
    ("{ s = 0.0; for i in 1..4 { for j in 0..i { s += x[i] * x[j]**2; } } s }", &[4]),
    ("{ y = x; for i in 1..4 { y[i] = y[i] + y[i-1]**2; } y }", &[4]),
    ("if sum(x) > 0.0 { sin(x) } else { x**2 }", &[3]),
    ("{ s = x; for i in 0..3 { s = if s[0] > 0.2 { s * 0.9 - x[i] } else { s + x**2 }; } s }", &[3]),
    ("fold(|a, b| a * sin(b) + b, 1.0, x)", &[4]),
    ("{ (a, y) = scan(|a, b| (a * b + sum(x), a**2), 0.5, x); y * a }", &[4]),
    ("scan(|a, b, r| (a + r, b * a[0], sum(r) * b), (x[0], 1.0), x)[2]", &[3, 2]),
    ("{ s = x; for i in 3..0 { s = s * 2.0; } s }", &[2]),
];

pub(crate) fn spec(a: &Array) -> Option<ArgSpec> {
    Some(ArgSpec { dtype: a.dtype(), ones: a.shape().iter().map(|n| *n == 1).collect(), weak: false })
}

pub(crate) fn eval(program: &str, args: &[Array]) -> Vec<Array> {
    eval_within(program, args, &RunLimits::default())
}

pub(crate) fn eval_within(program: &str, args: &[Array], limits: &RunLimits<'_>) -> Vec<Array> {
    let unit = Unit::new(program, None, &Limits::default()).unwrap_or_else(|e| panic!("{program}\n{}", e[0]));
    let specs: Vec<Option<ArgSpec>> = args.iter().map(spec).collect();
    let func = unit.specialize(&specs).unwrap_or_else(|e| panic!("{program}\n{}", e[0]));
    run(&func, args, limits).unwrap_or_else(|e| panic!("{program}\n{e}\n{func}"))
}

pub(crate) fn array(shape: &[usize], data: &[f64]) -> Array {
    Array::from_f64(DType::F64, shape, data).unwrap()
}

/// Numbers between -1 and 1 that depend on nothing but the seed.
pub(crate) fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

pub(crate) fn close(what: &str, body: &str, got: &[f64], wanted: &[f64], tolerance: f64) {
    let scale = wanted.iter().fold(1.0f64, |m, w| m.max(w.abs()));
    for (g, w) in got.iter().zip(wanted) {
        assert!((g - w).abs() <= tolerance * scale, "{body}: {what}\n{got:?} instead of\n{wanted:?}");
    }
    assert_eq!(got.len(), wanted.len(), "{body}: {what}");
}

/// A body as a block.
pub(crate) fn block(body: &str) -> String {
    if body.starts_with('{') { body.to_owned() } else { format!("{{ {body} }}") }
}

/// A shape as it stands in a type.
pub(crate) fn dims(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
