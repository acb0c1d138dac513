//! The program as a shell meets it: exit codes, streams, files, JSON.

#![allow(clippy::unwrap_used, reason = "a test that cannot start its program has failed")]

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_matex"));
    command.args(args).current_dir(folder);
    for name in ["MATEX_SIMD", "MATEX_DEVICE", "MATEX_NUM_THREADS", "MATEX_DEBUG", "MATEX_PERF", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn done(output: Output) -> Run {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn run_in(folder: &Path, args: &[&str]) -> Run {
    done(command(folder, args).output().unwrap())
}

fn run(args: &[&str]) -> Run {
    run_in(&folder(), args)
}

fn with_input(args: &[&str], input: &str) -> Run {
    let mut child = command(&folder(), args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    done(child.wait_with_output().unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A folder with programs and data, the same for all tests; what they write goes to names of their own.
fn folder() -> std::path::PathBuf {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [
        ("ols.mx", "fn ols(X: f64[n, k], y: f64[n]) -> f64[k] { solve(X.T @ X, X.T @ y) }\n"),
        ("bad.mx", "fn f(y: f64[n], X: f64[n, k]) {\n    r = y - X;\n    r\n}\n"),
        (
            "two.mx",
            "fn one(x: f64[n]) -> f64 { sum(x) }\nfn pair(x: f64[n]) -> (f64, f64[n]) { s = one(x); return s, x * 2 }\n",
        ),
        ("loop.mx", "fn spin(x: f64) -> f64 { while x > 0.0 { x = x + 1.0; } x }\n"),
        ("d.csv", "x,y\n0,1\n1,3\n2,5\n"),
    ] {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            // Renamed into place: other tests may be reading it.
            let mut file = tempfile::NamedTempFile::new_in(&folder).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.persist(path).unwrap();
        }
    }
    folder
}

#[test]
fn values_go_to_standard_output() {
    for (args, out) in [
        (&["eval", "1 + 2 * 3"][..], "7\n"),
        (&["eval", "a * 2 + sum(v)", "a=3.5", "v=[1,2,3]"], "13.0\n"),
        (&["eval", "-a", "-2.5"], "2.5\n"),
        (&["eval", "{ $0 - $1 }", "1=1", "5"], "4\n"),
        (&["eval", "[1.5, 2.5]"], "f64[2]\n[1.5, 2.5]\n"),
        (&["run", "two.mx", "d.csv:y"], "s = 9.0\nout1: f64[3]\n[2.0, 6.0, 10.0]\n"),
        (&["run", "two.mx", "--entry", "one", "x=d.csv:y"], "9.0\n"),
    ] {
        let r = run(args);
        assert_eq!((r.code, r.out.as_str(), r.err.as_str()), (0, out, ""), "{args:?}");
    }
}

#[test]
fn programs_come_from_standard_input_too() {
    let r = with_input(&["run", "-", "x=[1,2]"], "sum(x) + 1");
    assert_eq!((r.code, r.out.as_str()), (0, "4\n"));
    let r = with_input(&["run", "-"], "1 +");
    assert_eq!(r.code, 1);
    assert!(r.err.contains("<stdin>:1:4"), "{}", r.err);
}

#[test]
fn errors_go_to_standard_error_and_say_where() {
    let r = run(&["run", "bad.mx", "X=[[1.0]]", "y=[1.0]"]);
    assert_eq!((r.code, r.out.as_str()), (1, ""));
    assert!(
        r.err.starts_with("error[E0203]") && r.err.contains("bad.mx:2:") && r.err.contains("help"),
        "{}",
        r.err
    );
    assert!(!r.err.contains('\x1b'));
    for (args, code) in [
        (&["run", "nosuch.mx"][..], "E0801"),
        (&["run", "ols.mx", "X=d.csv:x"], "E0505"),
        (&["run", "ols.mx", "X=d.csv", "y=d.csv:y", "z=1"], "E0506"),
        (&["run", "ols.mx", "X=d.csv", "y=[1,2]"], "E0504"),
        (&["run", "two.mx", "--entry", "three", "d.csv:y"], "E0115"),
        (&["eval", "x", "x=nosuch.npy"], "E0801"),
        (&["eval", "x", "x=1,5"], "E0805"),
        (&["eval", "fn f(k: i64) { k }", "k=1.5"], "E0216"),
        (&["run", "loop.mx", "x=1", "--max-steps", "100"], "E0602"),
        (&["dump", "two.mx", "x=1"], "E0503"),
        (&["explain", "E9999"], "E0114"),
    ] {
        let r = run(args);
        assert_eq!((r.code, r.out.as_str()), (1, ""), "{args:?}: {}", r.err);
        assert!(r.err.starts_with(&format!("error[{code}]")), "{args:?}: {}", r.err);
    }
    let missing = run(&["run", "ols.mx", "X=d.csv"]).err;
    assert!(missing.contains("`y: f64[n]`"), "{missing}");
}

#[test]
fn wrong_usage_is_2() {
    for args in [
        &["--no-such-flag"][..],
        &["frobnicate"],
        &["dump", "ols.mx", "--stage", "nonsense"],
        &["run"],
        &["run", "ols.mx", "--max-steps", "many"],
    ] {
        let r = run(args);
        assert_eq!((r.code, r.out.as_str()), (2, ""), "{args:?}");
    }
    assert!(run(&["dump", "ols.mx", "--stage", "nonsense"]).err.contains("tensor, optimized, kernels"));
    for (name, value) in [("MATEX_SIMD", "77"), ("MATEX_DEVICE", "toaster"), ("MATEX_DEBUG", "9")] {
        let r = done(command(&folder(), &["eval", "1"]).env(name, value).output().unwrap());
        assert_eq!(r.code, 2, "{name}");
        assert!(r.err.contains(name) && r.err.contains("choices"), "{}", r.err);
    }
    let gpu = done(command(&folder(), &["eval", "1"]).env("MATEX_DEVICE", "gpu").output().unwrap());
    if matex_runtime::HAS_GPU {
        assert!(gpu.code == 0 || gpu.err.contains("E0606"), "{}", gpu.err);
    } else {
        assert!(gpu.code == 1 && gpu.err.contains("E0908"), "{}", gpu.err);
    }
}

#[test]
fn json_is_one_value_for_results_and_errors() {
    let r = run(&["eval", "a * 2", "a=[1.5,2]", "--json"]);
    assert_eq!(json(&r.out)["outputs"][0]["data"], json("[3.0, 4.0]"));
    let r = run(&["run", "bad.mx", "X=[[1.0]]", "y=[1.0]", "--json"]);
    assert_eq!((r.code, r.err.as_str()), (1, ""));
    let error = &json(&r.out)["error"];
    assert_eq!(error["code"], "E0203");
    assert_eq!(error["labels"][0]["line"], 2);
    assert!(error["help"].is_string());
    let r = run(&["eval", "x", "x=nosuch.npy", "--json"]);
    assert_eq!(json(&r.out)["error"]["code"], "E0801");
    let bench = json(&run(&["bench", "ols.mx", "X=d.csv", "y=d.csv:y", "--json"]).out);
    for key in ["compile_s", "first_s", "min_s", "median_s", "bytes", "kernels"] {
        assert!(bench[key].is_number(), "{key}");
    }
}

#[test]
fn results_go_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |args: &[&str]| run_in(folder.path(), args);
    assert_eq!(at(&["eval", "x * 2", "x=[1.5,2]", "-o", "a.npy"]).out, "");
    assert_eq!(at(&["eval", "x", "x=a.npy"]).out, "f64[2]\n[3.0, 4.0]\n");
    assert_eq!(at(&["eval", "{ a = 1; return a, 2.5 }", "-o", "a.npz"]).code, 0);
    assert_eq!(at(&["eval", "a + b", "a=a.npz:a", "b=a.npz:out1"]).out, "3.5\n");
    assert_eq!(at(&["eval", "x", "x=[[1,2],[3,4]]", "-o", "a.csv"]).code, 0);
    assert_eq!(at(&["eval", "sum(x)", "x=a.csv"]).out, "10.0\n");
    let r = at(&["eval", "1", "-o", "a.json", "--json"]);
    assert_eq!(json(&r.out)["file"], "a.json");
    let r = at(&["eval", "(1, 2)", "-o", "b.npy"]);
    assert!(r.code == 1 && r.err.contains("E0807") && !folder.path().join("b.npy").exists(), "{}", r.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[cfg(target_os = "linux")]
#[test]
fn perf_is_told_the_names_of_kernels() {
    let mut asked = command(&folder(), &["eval", "x * 2 + 1", "x=[1,2,3]"]);
    let child = asked.env("MATEX_PERF", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let map = format!("/tmp/perf-{}.map", child.id());
    assert_eq!(done(child.wait_with_output().unwrap()).code, 0);
    let text = std::fs::read_to_string(&map).unwrap();
    std::fs::remove_file(&map).unwrap();
    let line: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
    assert!(u64::from_str_radix(line[0], 16).is_ok() && u64::from_str_radix(line[1], 16).is_ok(), "{text}");
    assert_eq!(line[2], "matex");
}

#[test]
fn programs_can_be_looked_into() {
    for stage in ["tensor", "optimized", "kernels", "plan", "clif", "asm", "wgsl"] {
        let r = run(&["dump", "ols.mx", "--stage", stage]);
        assert!(r.code == 0 && r.out.len() > 20, "{stage}: {} {}", r.out, r.err);
    }
    assert!(run(&["dump", "ols.mx"]).out.starts_with("func @ols(%X: f64[n, k], %y: f64[n]) -> f64[k] {\n"));
    let r = run(&["explain", "ols.mx", "X=d.csv", "y=d.csv:y"]);
    assert!(r.out.contains("call solve"), "{}", r.out);
    assert!(run(&["explain", "e0203"]).out.starts_with("E0203: shapes do not broadcast\n"));
    let r = run(&["doctor"]);
    assert!(
        r.code == 0 && r.out.contains("faer") && r.out.contains("SIMD") && r.out.contains("GPU"),
        "{}",
        r.out
    );
    let r = done(command(&folder(), &["eval", "1 + x", "x=1"]).env("MATEX_DEBUG", "2").output().unwrap());
    assert_eq!(r.out, "2\n");
    assert!(r.err.contains("func @main"), "{}", r.err);
}

#[test]
fn costs_are_measured_when_that_is_asked_for() {
    let cache = tempfile::tempdir().unwrap();
    let doctor = |more: &[&str]| {
        let mut command = command(&folder(), &[&["doctor"], more].concat());
        done(command.env("XDG_CACHE_HOME", cache.path()).output().unwrap())
    };
    let costs = |r: &Run| {
        r.out.lines().skip_while(|l| !l.starts_with("costs")).map(str::to_owned).collect::<Vec<_>>()
    };
    let fixed = costs(&doctor(&[]));
    assert!(fixed[0].contains("the fixed ones") && fixed[1..].len() == 14, "{fixed:?}");
    assert!(fixed.contains(&"  launch        50.0 nanoseconds to start a kernel".to_owned()), "{fixed:?}");
    let measured = costs(&doctor(&["--calibrate"]));
    assert!(measured[0].contains("measured here") && measured[1..] != fixed[1..], "{measured:?}");
    assert_eq!(costs(&doctor(&[])), measured);
    let file = cache.path().join("matex").join("costs");
    // What is shown is the same on every machine, whatever was measured.
    let mut dump = command(&folder(), &["dump", "ols.mx", "--stage", "plan"]);
    let dumped = |c: &mut std::process::Command| done(c.output().unwrap()).out;
    let here = dumped(dump.env("XDG_CACHE_HOME", cache.path()));
    assert_eq!(here, dumped(dump.env("XDG_CACHE_HOME", "/nowhere")));
    let r = done(
        command(&folder(), &["eval", "x + 1", "x=1"]).env("XDG_CACHE_HOME", cache.path()).output().unwrap(),
    );
    assert_eq!((r.code, r.out.as_str()), (0, "2\n"));
    // Another CPU's, a cut one, and none.
    let text = std::fs::read_to_string(&file).unwrap();
    for other in [text.replace("matex", "metax"), text[..text.len() / 2].to_owned(), String::new()] {
        std::fs::write(&file, other).unwrap();
        assert_eq!(costs(&doctor(&[])), fixed);
    }
    let r =
        done(command(&folder(), &["doctor", "--calibrate"]).env("XDG_CACHE_HOME", &file).output().unwrap());
    assert_eq!(r.code, 1, "{}", r.err);
}

#[test]
fn warnings_go_to_standard_error() {
    let nearly = "A=[[1.0, 1.0], [1.0, 1.0000000000000002]]";
    for more in [&[][..], &["--json"]] {
        let r = run(&[&["eval", "inv(A)", nearly], more].concat());
        assert_eq!(r.code, 0, "{}", r.err);
        assert!(
            r.err.starts_with("warning[E0709]: the matrix is nearly singular: its condition number"),
            "{}",
            r.err
        );
        assert!(r.err.contains("<eval>:1:1") && !r.out.contains("warning"), "{} {}", r.err, r.out);
    }
    let r = with_input(&[], "A = [[1.0, 1.0], [1.0, 1.0 + 2e-16]]\nx = 1; b = solve(A, [1.0, 2.0]);\n");
    assert_eq!((r.code, r.out.as_str()), (0, ""), "{}", r.err);
    assert!(r.err.contains("warning[E0709]") && r.err.contains("<stdin>:2:12"), "{}", r.err);
}

#[test]
fn nan_in_linear_algebra_is_an_error_unless_it_was_asked_for() {
    let args = ["eval", "svdvals(A)", "A=[[1.0, nan], [0.0, 1.0]]"];
    let r = run(&args);
    assert!(
        r.code == 1 && r.err.contains("E0704") && r.err.contains("element [0, 1] of the matrix is nan"),
        "{}",
        r.err
    );
    let r = run(&[&args[..], &["--non-finite", "nan"]].concat());
    assert_eq!((r.code, r.out.as_str()), (0, "f64[2]\n[nan, nan]\n"), "{}", r.err);
    assert_eq!(run(&[&args[..], &["--non-finite", "maybe"]].concat()).code, 2);
    let r = with_input(&[], ":set non_finite nan\nsvdvals([[1.0, nan], [0.0, 1.0]])\n");
    assert_eq!((r.code, r.out.as_str()), (0, "f64[2]\n[nan, nan]\n"), "{}", r.err);
}

#[test]
fn words_that_look_like_options_are_no_programs() {
    assert_eq!(run(&["eval", "-x", "x=2"]).out, "-2\n");
    assert_eq!(run(&["eval", "-(-x)", "x=2"]).out, "2\n");
    for words in [&["eval", "--josn", "a + b", "a=1", "b=2"][..], &["eval", "--foo=1", "1"]] {
        let r = run(words);
        assert!(r.code == 2 && r.err.contains("there is no option"), "{} {}", r.code, r.err);
    }
}

#[test]
fn lines_are_a_session() {
    let r = with_input(&[], "x = arange(6).reshape([2, 3])\nx @ x.T\n:quit\nnonsense(");
    assert_eq!((r.code, r.out.as_str()), (0, "i64[2, 2]\n[[ 5, 14],\n [14, 50]]\n"));
    let r = with_input(
        &[],
        "s = 0; t = 1.5\nfor i in 0..5 {\n  s += i; u = i;\n}\nfn twice(v) {\n  v * 2\n}\ntwice(s) + t\n(a, b) = (s, t)\na\nt[0]",
    );
    assert_eq!((r.code, r.out.as_str()), (1, "21.5\n10\n"));
    assert!(r.err.contains("<stdin>:11:3") && r.err.contains("t[0]"), "{}", r.err);
    let r =
        with_input(&[], "x = [1.0, 2.0]\nx[1] = 5\nfn f(a) { a + 1 }\nfn g(a) { f(a) * 2 }\ng(x)\n:vars\n");
    assert_eq!(
        (r.out.as_str(), r.code),
        ("f64[2]\n[4.0, 12.0]\nx: f64[2]\nfn f(a)\nfn g(a)\n", 0),
        "{}",
        r.err
    );
    let r = with_input(&[], "1 + y\n2\n");
    assert_eq!((r.code, r.out.as_str()), (1, ""));
    assert!(r.err.contains("<stdin>:1:5"), "{}", r.err);
}

#[test]
fn deep_programs_do_not_overflow_the_stack() {
    for depth in [200, 100_000] {
        let text = format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
        let r = with_input(&["run", "-"], &text);
        assert!(matches!(r.code, 0 | 1), "{}", r.err);
    }
    let r = with_input(&["run", "-", "x=1"], &format!("x{}", "+x".repeat(100_000)));
    assert!(matches!(r.code, 0 | 1), "{}", r.err);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = command(&folder(), &["eval", "arange(900)"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_130_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let program = self::folder().join("loop.mx");
    let args = ["run", program.to_str().unwrap(), "x=1", "--max-steps", "1000000000000", "-o", "x.npy"];
    let child = command(folder.path(), &args).spawn().unwrap();
    let id = child.id().to_string();
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let r = done(child.wait_with_output().unwrap());
    assert_eq!(r.code, 130, "{}", r.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_shell_and_the_manual_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, 0, "{}", script.err);
        for command in ["eval", "run", "dump", "explain", "doctor", "bench"] {
            assert!(script.out.contains(command), "{shell} does not complete {command}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).code, 2);
    let page = run(&["man"]);
    assert_eq!(page.code, 0, "{}", page.err);
    assert!(page.out.contains(".TH matex 1") && page.out.contains("max\\-steps"), "{}", page.out);
}

#[test]
fn the_grammar_of_editors_is_that_of_the_language() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../editors/matex.tmLanguage.json");
    let grammar = json(&std::fs::read_to_string(path).unwrap());
    let words = |part: &str| -> Vec<String> {
        let rule = &grammar["repository"][part];
        let text = rule["match"].as_str().or(rule["patterns"][0]["match"].as_str()).unwrap();
        let inside = text.split("(?:").nth(1).unwrap().split(')').next().unwrap();
        inside.split('|').map(str::to_owned).collect()
    };
    let mut functions = words("functions");
    functions.sort();
    let known: Vec<String> = matex_lang::functions().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(functions, known);
    let dtypes: Vec<String> = matex::DType::ALL.iter().map(|d| d.name().to_owned()).collect();
    assert!(dtypes.iter().all(|d| words("types").contains(d)));
    for keyword in words("keywords").into_iter().chain(words("constants")) {
        let program = format!("fn f({keyword}: f64) {{ {keyword} }}");
        let shadows = ["pi", "inf", "nan"].contains(&keyword.as_str());
        assert_eq!(matex::compile(&program).is_ok(), shadows, "{keyword}");
    }
}

/// Spans nest by their times: each is within the one that it belongs to.
#[test]
fn a_trace_has_compilation_and_calls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |args: &[&str]| run_in(folder.path(), args);
    let program = "{ s = 0.0; for i in 0..3 { s = s + sum(x * x); } solve([[s]], x[0:1]) }";
    let r = at(&["eval", program, "x=[1.0,2.0]", "--trace", "t.json"]);
    assert_eq!((r.code, r.err.as_str()), (0, ""));
    let trace = json(&std::fs::read_to_string(folder.path().join("t.json")).unwrap());
    let events = trace["traceEvents"].as_array().unwrap();
    let named = |start: &str| -> Vec<&Value> {
        events.iter().filter(|e| e["name"].as_str().unwrap().starts_with(start)).collect()
    };
    for (name, count) in [
        ("compile", 1),
        ("specialize", 1),
        ("call", 1),
        ("pass canonicalize", 1),
        ("pass algebra", 1),
        ("lower", 1),
    ] {
        assert_eq!(named(name).len(), count, "{name}: {trace}");
    }
    assert!(
        named("kernel").len() >= 3 && named("routine solve").len() == 1 && !named("emit").is_empty(),
        "{trace}"
    );
    let span =
        |e: &Value| (e["ts"].as_f64().unwrap(), e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap());
    let call = span(named("call")[0]);
    for kernel in named("kernel") {
        assert!(span(kernel).0 >= call.0 && span(kernel).1 <= call.1, "{trace}");
        assert!(kernel["ph"] == "X" && kernel["args"]["step"].is_u64(), "{kernel}");
    }
    let r = at(&["eval", "x", "--trace", "no/such/t.json", "x=1"]);
    assert!(r.code == 1 && r.err.contains("E0807"), "{}", r.err);
    let r = at(&["eval", "y[5]", "y=[1]", "--trace", "failed.json"]);
    assert!(r.code == 1 && folder.path().join("failed.json").exists(), "{}", r.err);
}
