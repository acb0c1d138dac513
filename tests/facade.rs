//! The public interface as a caller meets it.

#![allow(clippy::unwrap_used, reason = "in a test it is the check")]

use matex::{
    Arg, AsView, CallOptions, Compiler, Engine, Error, ErrorKind, Function, Limits, Stage, Tensor,
    TensorError,
};
use ndarray::{Array1, Array2, ArrayRef2, array, s};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn compile(source: &str) -> Function {
    matex::compile(source).unwrap()
}

fn code(result: Result<impl Sized, Error>) -> String {
    result.err().map_or("no error".to_owned(), |e| e.code().to_string())
}

#[test]
fn functions_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>(t: T) -> T {
        t
    }
    let f = shared(compile("sum(x * k)"));
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let f = f.clone();
            std::thread::spawn(move || {
                let x: Vec<f64> = (0..=i).map(f64::from).collect();
                f.call(&[&x, &2.0]).unwrap()[0].get(&[]).unwrap().to_f64()
            })
        })
        .collect();
    let sums: Vec<f64> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert_eq!(sums, [0.0, 2.0, 6.0, 12.0, 20.0, 30.0, 42.0, 56.0]);
    assert!(matches!(shared(compile("x").typed::<fn(&f64) -> f64>().unwrap())(&1.5), Ok(1.5)));
}

#[test]
fn one_program_takes_many_kinds_of_values() {
    let f = compile("x + y");
    let show = |args: &[&dyn matex::AsView]| f.call(args).unwrap()[0].clone();
    assert_eq!(show(&[&1i64, &2i64]).describe(), "i64");
    assert_eq!(show(&[&1.5f32, &array![1.0f32, 2.0]]).to_string(), "[2.5, 3.5]");
    assert_eq!(show(&[&[[1.0, 2.0]], &[[1.0], [2.0]]]).describe(), "f64[2, 2]");
    let columns = array![[1.0, 2.0], [3.0, 4.0]];
    assert_eq!(show(&[&columns.t(), &0.0]).to_vec::<f64>(), Ok(vec![1.0, 3.0, 2.0, 4.0]));
    // An axis of 1 that is not declared broadcasts, and later calls of other sizes are checked on their own.
    assert_eq!(show(&[&[1.0], &[1.0, 2.0, 3.0]]).describe(), "f64[3]");
    let error = f.call(&[&[1.0, 2.0], &[1.0, 2.0, 3.0]]).unwrap_err();
    assert_eq!((error.kind(), error.code().to_string().as_str()), (ErrorKind::Shape, "E0508"));
    let text = error.to_string();
    // The operation that they do not fit, its operands, and the values of the call.
    assert!(text.contains("<program>:1:1") && text.contains("axis 0: 2 and 3 are different sizes"), "{text}");
    assert!(
        text.contains("x is f64[2]") && text.contains("y is f64[3]") && text.contains("help: "),
        "{text}"
    );
}

#[test]
fn wrong_calls_name_the_parameter_and_both_shapes() {
    let f = Compiler::new()
        .file_name("f.mx")
        .compile("fn f(x: f64[n], y: f64[n], k: i64 = 2) { (x + y) * k }")
        .unwrap();
    assert_eq!(code(f.call(&[&[1.0]])), "E0505");
    assert_eq!(code(f.call(&[&[1.0], &[1.0f32]])), "E0502");
    assert_eq!(code(f.call(&[&[1.0], &1.0])), "E0503");
    assert_eq!(code(f.call(&[&[1.0], &[1.0], &1i64, &1i64])), "E0506");
    assert_eq!(code(f.call_named(&[("x", &[1.0]), ("x", &[1.0]), ("y", &[1.0])])), "E0507");
    let error = f.call(&[&[1.0, 2.0, 3.0], &[1.0, 2.0]]).unwrap_err();
    assert_eq!((error.kind(), code(Err::<(), _>(error.clone())).as_str()), (ErrorKind::Call, "E0504"));
    let text = error.to_string();
    for part in ["axis 0 of `y` has size 2, and n = 3", "f.mx:1:17", "x: f64[n] is given f64[3]", "f64[2]"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn positional_parameters_keep_their_names() {
    let f = compile("{ $0[0:3] + $1 }");
    let text = f.call(&[&[1.0, 2.0, 3.0], &[1.0, 2.0]]).unwrap_err().to_string();
    assert!(text.contains("$0 is f64[3]") && text.contains("$1 is f64[2]"), "{text}");
    assert_eq!(
        f.call_named(&[("1", &1.0), ("0", &[1.0, 2.0, 3.0])]).unwrap()[0].to_string(),
        "[2.0, 3.0, 4.0]"
    );
}

#[test]
fn run_time_failures_have_places() {
    let f = compile("fn f(x: f64[n], i: i64[m]) { x[i] }");
    let error = f.call(&[&[1.0, 2.0], &[0i64, 2]]).unwrap_err();
    assert_eq!((error.kind(), code(Err::<(), _>(error.clone())).as_str()), (ErrorKind::Index, "E0601"));
    assert_eq!(
        &f.source()[error.diagnostics()[0].span().map(|s| s.start as usize..s.end as usize).unwrap()],
        "x[i]"
    );
    let singular = compile("solve(A, b)").call(&[&[[1.0, 2.0], [2.0, 4.0]], &[1.0, 2.0]]).unwrap_err();
    assert_eq!(singular.kind(), ErrorKind::Linalg, "{singular}");
}

/// What is told of a call, in the words of the operation, and the help.
#[test]
fn calls_that_fail_say_what_to_do() {
    let (empty, three): ([f64; 0], [f64; 3]) = ([], [1.0, 2.0, 3.0]);
    let singular = [[1.0, 2.0], [2.0, 4.0]];
    let no_number = [[f64::NAN, 0.0], [0.0, 1.0]];
    let rows: [(&str, &dyn AsView, &str, &str, &str); 15] = [
        ("zeros(x)", &-1i64, "E0511", "the size is -1", "sizes are 0 or more"),
        ("max(x)", &empty, "E0230", "the axis has 0 elements", "at least one element"),
        ("reshape(x, [2, -1])", &three, "E0210", "room for 2, and there are 3 elements", "-1 stands for"),
        ("{ (a, b) = split(x, 2); a }", &three, "E0237", "take 2 of 3 elements", "split(x, [2])"),
        ("{ n = shape(x)[0]; x[0:n + 1] }", &three, "E0303", "out of range", "never clamped"),
        ("arange(3)[0:x]", &4i64, "E0303", "4 is more than 3", "never clamped"),
        ("fn f(x: f64[n]) -> f64[2] { x }", &three, "E0504", "2 and 3 are different sizes", "declared size"),
        ("solve(x, [1.0, 1.0])", &singular, "E0702", "pivot 1", "lstsq(A, b)"),
        ("cholesky(x)", &singular, "E0703", "order 2", "lu(A)"),
        ("inv(x)", &no_number, "E0704", "[0, 0]", "isfinite"),
        ("2 ** x", &-1i64, "E0608", "negative power", "cast(x, f64)"),
        ("bernoulli(key(0), x, [3])", &1.5, "E0608", "from 0 to 1", "clip(p"),
        ("bernoulli(key(0), [0.5, x, 1.0], [3])", &f64::NAN, "E0608", "from 0 to 1", "clip(p"),
        ("zeros(x)", &(1i64 << 40), "E0405", "`Limits::bytes`", "allow more"),
        ("fn f(x: f64[n]) -> f64[n + 1] { x }", &three, "E0204", "declared", "reshape"),
    ];
    for (program, value, wanted, says, help) in rows {
        let told = match Compiler::new().compile(program) {
            Ok(f) => f.call(&[value]).unwrap_err(),
            Err(error) => error,
        };
        let text = told.to_string();
        let (what, way) = text.split_once("= help: ").unwrap_or((&text, ""));
        assert!(text.contains(wanted) && what.contains(says) && way.contains(help), "{program}:\n{text}");
    }
}

#[test]
fn names_of_no_variable_are_no_missing_values() {
    for (program, help) in
        [("sum", "call it"), ("np.sqrt(2.0)", "sqrt(x) for np.sqrt(x)"), ("y + 1", "give y")]
    {
        let text = compile(program).call(&[]).unwrap_err().to_string();
        assert!(text.contains("E0505") && text.contains(help), "{text}");
    }
}

#[test]
fn results_go_into_given_memory() {
    let f = compile("fn f(x: f64[n]) -> (f64[n], f64) { return x * 2, sum(x) }");
    let (mut doubled, mut sum) = (Array1::<f64>::zeros(2), 0.0);
    f.call_into(&[&[1.0, 2.0]], &mut [&mut doubled, &mut sum]).unwrap();
    assert_eq!((doubled.to_vec(), sum), (vec![2.0, 4.0], 3.0));
    let (mut long, mut narrow) = ([0.0; 3], 0.0f32);
    assert_eq!(code(f.call_into(&[&[1.0, 2.0]], &mut [&mut long, &mut sum])), "E0509");
    assert_eq!(code(f.call_into(&[&[1.0, 2.0]], &mut [&mut doubled, &mut narrow])), "E0509");
    assert_eq!(code(f.call_into(&[&[1.0, 2.0]], &mut [&mut doubled])), "E0509");
}

#[test]
fn typed_functions_are_checked_once() {
    let f = compile("fn f(X: f64[n, k], y: f64[n]) -> f64[k] { y @ X }");
    let g = f.typed::<fn(&Array2<f64>, &Array1<f64>) -> Array1<f64>>().unwrap();
    assert_eq!(g(&array![[1.0, 2.0], [3.0, 4.0]], &array![1.0, 10.0]).unwrap(), array![31.0, 42.0]);
    assert_eq!(code(g(&array![[1.0, 2.0]], &array![1.0, 10.0])), "E0504");
    assert_eq!(code(f.typed::<fn(&Array2<f32>, &Array1<f64>) -> Array1<f64>>()), "E0502");
    assert_eq!(code(f.typed::<fn(&Array1<f64>, &Array1<f64>) -> Array1<f64>>()), "E0503");
    assert_eq!(code(f.typed::<fn(&Array2<f64>) -> Array1<f64>>()), "E0501");
    assert_eq!(code(f.typed::<fn(&Array2<f64>, &Array1<f64>) -> Array2<f64>>()), "E0509");
    assert_eq!(code(f.typed::<fn(&Array2<f64>, &Array1<f64>) -> (Array1<f64>, f64)>()), "E0509");
    // Tensors are of any kind, which the call finds out; slices and defaults work too.
    let any = f.typed::<fn(&Tensor, &[f64]) -> Tensor>().unwrap();
    let x = Tensor::from_slice(&[1, 2], &[1.0f32, 2.0]).unwrap();
    assert_eq!(code(any(&x, &[1.0])), "E0502");
    let defaulted = compile("fn f(x: f64, k: f64 = 2.0) { x * k }");
    assert!(matches!(defaulted.typed::<fn(&f64) -> f64>().unwrap()(&1.5), Ok(3.0)));
    type Twelve = fn(&f64, &f64, &f64, &f64, &f64, &f64, &f64, &f64, &f64, &f64, &f64, &f64) -> f64;
    let sum = compile("a+b+c+d+e+f+g+h+i+j+k+l").typed::<Twelve>().unwrap();
    assert!(matches!(sum(&1., &1., &1., &1., &1., &1., &1., &1., &1., &1., &1., &1.), Ok(12.0)));
}

#[test]
fn typed_functions_take_views_that_borrow() {
    let source = "fn twice(x: f64[n, k]) -> f64[n, k] { 2 * x }";
    let twice = matex::compile_typed::<fn(&ArrayRef2<f64>, &mut ArrayRef2<f64>)>(source).unwrap();
    let a = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
    let mut out = Array2::zeros((3, 4));
    for _ in 0..3 {
        twice(&a.slice(s![..;-1, ..]), &mut out.slice_mut(s![.., ..;2])).unwrap();
    }
    twice(&a.t(), &mut Array2::zeros((2, 3))).unwrap();
    assert_eq!(out, array![[10.0, 0.0, 12.0, 0.0], [6.0, 0.0, 8.0, 0.0], [2.0, 0.0, 4.0, 0.0]]);
    let total = matex::compile_typed::<fn(&ArrayRef2<f64>) -> f64>("sum(x)").unwrap();
    assert_eq!(total(&a.slice(s![1.., ..])).unwrap(), 18.0);
}

#[test]
fn literals_are_weak_where_asked() {
    let f = compile("x * y");
    let call =
        |y: Arg<'_>| f.call_with(&CallOptions::new(), &[Arg::new(&[1.5f32]), y]).unwrap()[0].describe();
    assert_eq!(call(Arg::new(&2.0f32)), "f32[1]");
    assert_eq!(call(Arg::new(&2i64).weak()), "f32[1]");
    assert_eq!(call(Arg::new(&2.5).weak()), "f32[1]");
    assert_eq!(call(Arg::new(&2.5)), "f64[1]");
}

#[test]
fn calls_stop_when_told() {
    let f = compile("{ s = 0; while s >= 0 { s = s + x * 0; } s }");
    let stop = Arc::new(AtomicBool::new(false));
    let options = CallOptions::new().max_steps(u64::MAX).cancel(stop.clone());
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(code(f.call_with(&options, &[Arg::new(&1i64)])), "E0603");
    stopper.join().unwrap();
    let limits = Limits { loop_steps: 10, ..Limits::default() };
    let error = Compiler::new().limits(limits).compile(f.source()).unwrap().call(&[&1i64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn every_stage_has_something_to_say() {
    let f = compile("fn f(x: f32[n], y: f32[n]) -> f32[n] { sqrt(x * x + y * y) }");
    for stage in Stage::ALL {
        let text = f.dump(*stage).unwrap();
        assert!(text.len() > 20, "{stage}: {text:?}");
        assert_eq!(text, compile(f.source()).dump(*stage).unwrap(), "{stage}");
    }
    assert_eq!(code(compile("x + 1").dump(Stage::Tensor)), "E0505");
    assert!(compile("x + 1").dump_for(Stage::Tensor, &[Arg::new(&1.0)]).is_ok());
    let cost = compile("solve(A, b)").cost(&[Arg::new(&[[1.0]]), Arg::new(&[1.0])]).unwrap();
    assert_eq!((cost.bytes, cost.library_calls), (24, 1));
}

#[test]
fn huge_results_are_refused_and_not_tried() {
    let f = compile("fn f(k: i64) { zeros([k, k, k]) }");
    for k in [1i64 << 20, i64::MAX] {
        let error = f.call(&[&k]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Limit | ErrorKind::Call), "{error}");
    }
    assert_eq!(code(f.call(&[&-1i64])), "E0511");
}

#[test]
fn deep_programs_are_errors_or_work() {
    for depth in [100, 255, 10_000] {
        let source = format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
        match matex::compile(&source) {
            Ok(f) => assert_eq!(f.call(&[&1.5]).unwrap()[0].to_string(), "1.5"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Limit, "{e}"),
        }
    }
    let long = format!("x{}", " + x".repeat(5_000));
    assert_eq!(compile(&long).call(&[&1i64]).unwrap()[0].to_string(), "5001");
}

#[test]
fn engines_agree() {
    let x = Array2::from_shape_fn((3, 4), |(i, j)| (i * 4 + j) as f64 * 0.5 - 2.0);
    for source in [
        "x * 2 + 1",
        "sum(x, axis=0)",
        "x.T @ x",
        "{ s = 0.0; for i in 0..3 { s = s + x[i, i]; } s }",
        "sort(x, axis=1, descending=true)",
        "where(x > 0, sqrt(abs(x)), -1.0)",
        "exp(x - max(x, axis=1, keepdims=true))",
        "solve(x @ x.T + eye(size(x, axis=0)), x)",
        "{ x[1] = 7.0; x[:, ::2] }",
    ] {
        // Whole, transposed and reversed: contiguous and not.
        for view in
            [x.view(), x.slice(ndarray::s![.., ..;-1]), x.slice(ndarray::s![..;1, ..3]).reversed_axes()]
        {
            let on = |engine| {
                let out = Compiler::new().engine(engine).compile(source).unwrap().call(&[&view]);
                out.map(|out| out.into_single().unwrap()).map_err(|e| e.to_string())
            };
            let wanted = on(Engine::Interpreter);
            for engine in [Engine::Auto, Engine::Cranelift, Engine::LoopInterpreter] {
                let (wanted, found) = match (&wanted, on(engine)) {
                    (Ok(wanted), Ok(found)) => (wanted, found),
                    (wanted, found) => {
                        assert_eq!(wanted, &found, "{source} on {engine}");
                        continue;
                    }
                };
                assert_eq!(
                    (wanted.dtype(), wanted.shape()),
                    (found.dtype(), found.shape()),
                    "{source} on {engine}"
                );
                for (a, b) in wanted.scalars().zip(found.scalars()) {
                    let (a, b) = (a.to_f64(), b.to_f64());
                    assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{source} on {engine}: {a} and {b}");
                }
            }
        }
    }
}

#[test]
fn tensor_errors_are_public() {
    let e = Tensor::from_slice(&[3], &[1.0]).unwrap_err();
    assert_eq!(e, TensorError::Length { shape: vec![3], found: 1 });
}

#[test]
fn every_limit_is_reported_by_its_name() {
    let small = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        Compiler::new().limits(limits)
    };
    let call = |c: Compiler, source: &str| match c.compile(source) {
        Ok(f) => f.call(&[&3i64]).unwrap_err().to_string(),
        Err(e) => e.to_string(),
    };
    let rows: [(&str, String); 7] = [
        ("source_bytes", call(small(|l| l.source_bytes = 4), "k + 1")),
        ("nesting_depth", call(small(|l| l.nesting_depth = 4), "((((((k))))))")),
        ("ir_nodes", call(small(|l| l.ir_nodes = 4), "k + k * k - k / k + sqrt(k)")),
        ("elements", call(small(|l| l.elements = 10), "zeros([k, k, k])")),
        ("bytes", call(small(|l| l.bytes = 10), "zeros([k, k, k])")),
        ("code_bytes", call(small(|l| l.code_bytes = 10), "k + 1")),
        ("loop_steps", call(small(|l| l.loop_steps = 2), "{ s = 0; for i in 0..k { s += i; } s }")),
    ];
    for (name, told) in rows {
        assert!(told.contains(name), "{name} is not named in\n{told}");
    }
}

#[test]
fn a_thousand_sizes_are_planned_once_a_power_of_two_of_what_was_compared() {
    let chain = compile("fn f(A: f32[n, k], B: f32[k, n], v: f32[n]) { A @ B @ v }");
    let add = compile("fn f(x: f32[n], y: f32[n]) { log(1 + exp(x * y)) }");
    let ridge = compile("fn f(X: f64[n, k], y: f64[n]) { inv(X.T @ X + 0.5 * eye(k)) @ X.T @ y }");
    for n in 1..=1000 {
        let v = vec![1.0f32; n];
        let a = ndarray::Array2::from_elem((n, 2), 0.5f32);
        let b = ndarray::Array2::from_elem((2, n), 1.0f32);
        let out = chain.call(&[&a, &b, &v]).unwrap();
        assert_eq!(out[0].as_view().get(&[n - 1]).unwrap().to_f64(), n as f64);
        add.call(&[&v, &v]).unwrap();
    }
    for k in 1..100 {
        ridge.call(&[&ndarray::Array2::from_elem((3, k), 1.0), &vec![1.0; 3]]).unwrap();
    }
    assert_eq!((chain.plans(), add.plans(), ridge.plans()), (10, 1, 1));
}

#[test]
fn sizes_that_fusion_weighs_have_plans_of_their_own() {
    let f = compile(include_str!("../examples/black_scholes.mx"));
    for n in [4, 5, 100_000, 4] {
        let v = vec![0.5f64; n];
        f.call(&[&v, &v, &v, &v]).unwrap();
    }
    assert_eq!(f.plans(), 2);
}

#[test]
fn what_was_rewritten_is_explained() {
    let f = compile("fn f(A: f64[n, n], b: f64[n]) { inv(A) @ b }");
    let a = ndarray::array![[2.0, 0.0], [0.0, 4.0]];
    let text = f.explain(&[&a, &vec![1.0, 1.0]]).unwrap();
    assert!(text.contains("inverse-times (default): inv(A) @ B = solve(A, B)  // inv(A) @ b"), "{text}");
    assert!(f.dump(Stage::Optimized).unwrap().contains("solve %A"));
    let exact = Compiler::new().numerics(matex::Numerics::Exact).compile(f.source()).unwrap();
    assert!(exact.explain(&[&a, &vec![1.0, 1.0]]).unwrap().contains("rules: 0"));
    let limits = Limits { optimizer_nodes: 3, ..Limits::default() };
    let limited = Compiler::new().limits(limits).compile(f.source()).unwrap();
    let dump = limited.dump(Stage::Optimized).unwrap();
    assert!(
        dump.starts_with("// the search for equal forms ended at the limit optimizer_nodes, which is 3\n"),
        "{dump}"
    );
}

#[test]
fn lines_of_code_know_their_places() {
    let source = "fn f(x: f64[n]) -> f64 { y = exp(x) * 3.5; sum(sqrt(y)) }";
    for simd in [matex::Simd::W128, matex::Simd::Auto] {
        let f = matex::Compiler::new().simd(simd).compile(source).unwrap();
        let report = f.report(&[matex::Arg::new(&[1.0, 2.0])]).unwrap();
        let kernel = &report.kernels[0];
        for (view, lines) in
            [("loops", &kernel.loops), ("clif", &kernel.clif), ("assembly", &kernel.assembly)]
        {
            let texts = |place: &str| {
                let is = |o: &matex::Span| &source[o.start as usize..o.end as usize] == place;
                let mine = lines.iter().filter(|l| l.origins.iter().any(is));
                mine.map(|l| l.text.as_str()).collect::<Vec<_>>()
            };
            let (exp, sqrt, sum) = (texts("exp(x)"), texts("sqrt(y)"), texts("sum(sqrt(y))"));
            // A polynomial and what is around it, one instruction a copy, and at least one addition.
            assert!(exp.len() > 10 && !sqrt.is_empty() && !sum.is_empty(), "{view}: {lines:#?}");
            assert!(sqrt.iter().any(|l| l.contains("sqrt")), "{view}: {sqrt:?}");
            assert!(exp.iter().all(|l| !l.contains("sqrt")), "{view}: {exp:?}");
        }
    }
}
