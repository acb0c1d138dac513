//! Floats of 64 bits on a GPU that has them: the bits of the CPU, but for numbers below 2⁻¹⁰²² and for the order of sums.

use super::{on_gpu, placed};
use crate::support::data::Random;
use matex_ir::{DType, Op, Scalar};
use matex_runtime::{AsView, Tensor};

/// Numbers of all magnitudes, and all that is special.
fn points(count: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
        -f64::MAX,
        f64::MIN_POSITIVE,
        -f64::MIN_POSITIVE,
        5e-324,
        -1e-310,
        1.0 + f64::EPSILON,
        2_147_483_647.5,
        -2_147_483_648.5,
        4_294_967_295.5,
        1e39,
        16_777_217.0,
    ];
    let n = special.len();
    (0..count)
        .map(|i| match i {
            i if i < n * n => special[(i * 7 + seed as usize * (i / n)) % n],
            i if i % 2 == 0 => random.normal() * 10f64.powi(random.below(600) as i32 - 300),
            _ => random.normal(),
        })
        .collect()
}

fn tensor(shape: &[usize], data: &[f64]) -> Tensor {
    Tensor::from_scalars(DType::F64, shape, data.iter().map(|v| Scalar::from_f64(DType::F64, *v))).unwrap()
}

/// The results of a program on the CPU and on the GPU, where all its kernels are; nothing where the device has no doubles.
fn both(source: &str, args: &[&dyn AsView]) -> Option<[Vec<Vec<Scalar>>; 2]> {
    if !super::gpu_is_there() {
        return None;
    }
    let gpu = on_gpu(source);
    let why = gpu.explain(args).unwrap();
    if why.contains("f64, which the GPU") {
        return None;
    }
    let (all, there) = placed(&gpu, args);
    assert!(all > 0 && all == there, "{source}: {why}");
    let cpu = matex::compile(source).unwrap();
    let of =
        |f: &matex::Function| f.call(args).unwrap().iter().map(|t| t.as_view().scalars().collect()).collect();
    Some([of(&cpu), of(&gpu)])
}

/// Whether two numbers have the same bits, any NaN being as good as any other.
fn same(a: Scalar, b: Scalar) -> bool {
    a.bits() == b.bits() || (a.to_f64().is_nan() && b.to_f64().is_nan())
}

/// What a number is where those below the normal ones are taken for zero.
fn flushed(x: Scalar) -> Scalar {
    if x.dtype() == DType::F64 && x.to_f64().is_subnormal() {
        Scalar::from_f64(DType::F64, 0f64.copysign(x.to_f64()))
    } else {
        x
    }
}

/// Whether it is the result of an op, with numbers below the normal ones taken for zero or not.
fn is_result(op: Op, at: &[Scalar], found: Scalar) -> bool {
    let eval = |at: &[Scalar]| op.eval(at).unwrap();
    let zeros: Vec<Scalar> = at.iter().map(|x| flushed(*x)).collect();
    let wanted = [eval(at), flushed(eval(at)), eval(&zeros), flushed(eval(&zeros))];
    // A sum of nothing but numbers that are taken for zero is a zero of either sign.
    let zero = |x: Scalar| x.dtype() == DType::F64 && x.to_f64() == 0.0;
    let any = wanted.iter().any(|w| same(*w, found));
    any || (zero(found) && wanted.iter().any(|w| zero(*w)) && !zero(wanted[0]))
}

#[test]
fn arithmetic_of_doubles_has_the_bits_of_the_cpu() {
    const COUNT: usize = 6000;
    let programs = [
        (Op::Add, "x + y"),
        (Op::Sub, "x - y"),
        (Op::Mul, "x * y"),
        (Op::Div, "x / y"),
        (Op::Sqrt, "sqrt(x)"),
        (Op::Fma, "fma(x, y, z)"),
        (Op::Neg, "-x"),
        (Op::Abs, "abs(x)"),
        (Op::Sign, "sign(x)"),
        (Op::Max, "maximum(x, y)"),
        (Op::Min, "minimum(x, y)"),
        (Op::Copysign, "copysign(x, y)"),
        (Op::IsNan, "isnan(x)"),
        (Op::IsInf, "isinf(x)"),
        (Op::IsFinite, "isfinite(x)"),
        (Op::Eq, "x == y"),
        (Op::Ne, "x != y"),
        (Op::Lt, "x < y"),
        (Op::Le, "x <= y"),
        (Op::Gt, "x > y"),
        (Op::Ge, "x >= y"),
    ];
    let data = [3, 5, 11].map(|seed| points(COUNT, seed));
    let args = [0, 1, 2].map(|i| tensor(&[COUNT], &data[i]));
    let mut left = Vec::new();
    for (op, body) in programs {
        let source = format!("fn f(x: f64[n], y: f64[n], z: f64[n]) {{ {body} }}");
        // One that rounds `fma` twice leaves that, and only that, to the CPU.
        let Some([_, got]) = both(&source, &[&args[0], &args[1], &args[2]]) else {
            left.push(op);
            continue;
        };
        for (i, found) in got[0].iter().enumerate() {
            let at: Vec<Scalar> =
                data[..op.arity()].iter().map(|d| Scalar::from_f64(DType::F64, d[i])).collect();
            assert!(is_result(op, &at, *found), "{body} of {at:?}: {found:?}, not {:?}", op.eval(&at));
        }
    }
    assert!(left.is_empty() || left == [Op::Fma] || left.len() == programs.len(), "{left:?}");
    // A device in software has them, unless it is told to do as the least one does.
    let least = std::env::var("MATEX_GPU_LIMITS").is_ok();
    let required = std::env::var("MATEX_REQUIRE_GPU").is_ok_and(|v| v == "1");
    assert!(least || !required || left.len() < programs.len());
}

#[test]
fn no_driver_folds_what_doubles_tell_apart() {
    let normal = |seed: u64| points(3000, seed).into_iter().filter(|v| !v.is_subnormal()).collect::<Vec<_>>();
    let (mut x, mut y) = (normal(7), normal(13));
    let n = x.len().min(y.len()) / 4 * 4;
    x.truncate(n);
    y.truncate(n);
    // Far from where a sum or a product would be below the normal numbers.
    let keep = |v: &f64| if v.abs() < 1e-100 { v.signum() } else { *v };
    let (x, y): (Vec<f64>, Vec<f64>) = (x.iter().map(keep).collect(), y.iter().map(keep).collect());
    let (a, b) = (tensor(&[n], &x), tensor(&[n], &y));
    let single = Tensor::from_scalars(DType::F32, &[n], x.iter().map(|v| Scalar::from_f64(DType::F32, *v)));
    let single = single.unwrap();
    for body in [
        "(x + y) - x",
        "x - x",
        "return x + 0, 0 - x, x * 0",
        "where(x < y, x, y)",
        "where(x != x, 1.5, y)",
        "!(x < y)",
        "x / y / y",
        "cast(w, f64) * x",
        "cast(x, f32)",
        "cast(x, i32)",
        "cast(x, u32)",
        "return cast(x, bool), cast(x > y, f64)",
        "cast(cast(x, i32), f64) + cast(cast(y, u32), f64)",
        "return x[::-1], x[::2] / 3",
        "cast(sqrt(abs(x)), f32) + w",
    ] {
        let source = format!("fn f(x: f64[n], y: f64[n], w: f32[n]) {{ {body} }}");
        let Some([wanted, got]) = both(&source, &[&a, &b, &single]) else { return };
        for (i, (w, g)) in wanted.iter().flatten().zip(got.iter().flatten()).enumerate() {
            let small = w.dtype() == DType::F32 && w.to_f64().abs() < 1.2e-38 && g.to_f64() == 0.0;
            assert!(small || same(*w, *g), "{body} at {i}, {:?}: {g:?}, not {w:?}", (x[i % n], y[i % n]));
        }
    }
}

#[test]
fn reductions_and_rows_of_doubles_keep_their_digits() {
    let mut random = Random::new(17);
    for [n, m] in [[3, 5000], [300, 40], [1, 1], [70, 300], [5000, 3], [2, 70_000]] {
        let data: Vec<f64> = (0..n * m).map(|_| random.normal()).collect();
        let x = tensor(&[n, m], &data);
        for body in [
            "return sum(x, axis=1), sum(x, axis=0), sum(x)",
            "return max(x, axis=1), min(x, axis=0), argmax(x, axis=1), argmin(x)",
            "return any(x > 2, axis=1), all(x > -3, axis=0)",
            "(x - mean(x, axis=1, keepdims=true)) / sqrt(var(x, axis=1, keepdims=true) + 1e-5)",
            "cumsum(x, axis=1)",
            "cumsum(x, axis=0)",
            "x / sum(abs(x), axis=1, keepdims=true)",
            "return x.T + 1, x.T * x.T",
        ] {
            let Some([wanted, got]) = both(&format!("fn f(x: f64[n, m]) {{ {body} }}"), &[&x]) else {
                return;
            };
            for (w, g) in wanted.iter().flatten().zip(got.iter().flatten()) {
                let exact = w.dtype() != DType::F64 || body.contains("max(") || body.contains("x.T");
                let (a, b) = (w.to_f64(), g.to_f64());
                // Far below what a single could tell, and above what another order of additions does.
                let near = (a - b).abs() <= 1e-11 * a.abs().max(1.0);
                assert!(if exact { same(*w, *g) } else { near }, "{body} of {n}, {m}: {b}, not {a}");
            }
        }
    }
}

#[test]
fn rows_of_doubles_that_stages_hand_on_are_doubles() {
    let source = "fn f(x: f64[n, m]) { e = sqrt(abs(x) / maximum(abs(x), 0.1)) / (abs(x) + 1); e = e / sqrt(e + 1); \
                  s = sum(e, axis=1, keepdims=true); (e / s) / (1 + max(e / s, axis=1, keepdims=true)) }";
    let kernels = matex::compile(source).unwrap().dump(matex::Stage::Kernels).unwrap();
    assert!(kernels.contains("scratch f64"), "{kernels}");
    let mut random = Random::new(29);
    for [n, m] in [[3, 5000], [300, 40], [2000, 70], [1, 1], [0, 7]] {
        let x = tensor(&[n, m], &(0..n * m).map(|_| random.normal()).collect::<Vec<f64>>());
        let Some([wanted, got]) = both(source, &[&x]) else { return };
        for (w, g) in wanted.iter().flatten().zip(got.iter().flatten()) {
            let (a, b) = (w.to_f64(), g.to_f64());
            // Far below what a single in between would leave.
            assert!((a - b).abs() <= 1e-12 * a.abs(), "{n}, {m}: {b}, not {a}");
        }
    }
}

#[test]
fn special_doubles_go_through_reductions() {
    let rows: [&[f64]; 6] = [
        &[1.0, f64::NAN, 3.0],
        &[f64::INFINITY, 1.0, f64::NEG_INFINITY],
        &[-0.0, -0.0, -0.0],
        &[0.0, -0.0, 0.0],
        &[f64::INFINITY, 1.0, 2.0],
        &[1e300, 1e10, -1e300],
    ];
    let x = tensor(&[6, 3], &rows.concat());
    let source = "fn f(x: f64[n, m]) { return sum(x, axis=1), max(x, axis=1), min(x, axis=1), argmax(x, axis=1), prod(x, axis=1) }";
    for x in [&x, &tensor(&[4, 0], &[])] {
        let source = if x.shape()[1] == 0 {
            "fn f(x: f64[n, m]) { return sum(x, axis=1), prod(x, axis=1) }"
        } else {
            source
        };
        let Some([wanted, got]) = both(source, &[x]) else { return };
        for (w, g) in wanted.iter().flatten().zip(got.iter().flatten()) {
            assert!(same(*w, *g), "{g:?}, not {w:?}: {wanted:?}, {got:?}");
        }
    }
}

#[test]
fn gathers_and_products_of_doubles() {
    let mut random = Random::new(23);
    // Whole numbers, whose sums are exact in any order.
    let mut whole = |n: usize| (0..n).map(|_| random.below(2001) as f64 - 1000.0).collect::<Vec<f64>>();
    let (a, b) = (tensor(&[70, 90], &whole(70 * 90)), tensor(&[90, 50], &whole(90 * 50)));
    let at = Tensor::from_scalars(DType::I64, &[4], [3, -1, 0, 69].map(|v| Scalar::from_i128(DType::I64, v)))
        .unwrap();
    for body in ["(a + 1) @ b", "a[i] * 2", "take(a, i, axis=0)", "sum(a * a, axis=1)"] {
        let source = format!("fn f(a: f64[n, k], b: f64[k, m], i: i64[p]) {{ {body} }}");
        let gpu = super::gpu_is_there().then(|| on_gpu(&source));
        let Some(gpu) = gpu else { return };
        let cpu = matex::compile(&source).unwrap();
        let (w, g) = (cpu.call(&[&a, &b, &at]).unwrap(), gpu.call(&[&a, &b, &at]).unwrap());
        for (w, g) in w[0].as_view().scalars().zip(g[0].as_view().scalars()) {
            assert!(same(w, g), "{body}: {g:?}, not {w:?}");
        }
    }
}

#[test]
fn functions_of_doubles_stay_on_the_cpu_and_say_so() {
    if !super::gpu_is_there() {
        return;
    }
    let x = tensor(&[3], &[0.5, 1.0, 2.0]);
    let f = on_gpu("fn f(x: f64[n]) { exp(x) }");
    let why = f.explain(&[&x]).unwrap();
    assert!(why.contains("on the CPU: it computes exp of f64"), "{why}");
    assert_eq!(placed(&f, &[&x]), (1, 0));
}
