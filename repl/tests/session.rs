//! Sessions as a pipe drives them: every command, what stays, and how errors end a batch.

#![allow(clippy::unwrap_used, reason = "a test that cannot start its program has failed")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs lines in a folder of their own.
fn session_in(folder: &Path, lines: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_matex"));
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in
        ["MATEX_SIMD", "MATEX_DEVICE", "MATEX_NUM_THREADS", "MATEX_DEBUG", "NO_COLOR", "VISUAL", "EDITOR"]
    {
        command.env_remove(name);
    }
    if folder.join("editor.sh").exists() {
        command.env("EDITOR", "sh editor.sh");
    }
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn session(lines: &str) -> (i32, String, String) {
    session_in(tempfile::tempdir().unwrap().path(), lines)
}

/// What a session prints that goes well.
fn out(lines: &str) -> String {
    let (code, out, err) = session(lines);
    assert_eq!((code, err.as_str()), (0, ""), "{lines}\n{out}");
    out
}

/// What a session says that goes wrong at its end.
fn err(lines: &str) -> String {
    let (code, _, err) = session(lines);
    assert_eq!(code, 1, "{lines}\n{err}");
    assert!(!err.contains('\x1b') && !err.contains("bug"), "{err}");
    err
}

#[test]
fn values_and_the_last_result() {
    assert_eq!(out("1 + 2\n_ * 2\n_ - _"), "3\n6\n0\n");
    assert_eq!(out("[1, 2]\nsum(_);\n_"), "i64[2]\n[1, 2]\n3\n");
    assert_eq!(out("cast(1, f32)\ntrue"), "1.0: f32\ntrue\n");
    assert_eq!(out("3\n(_, b) = (1, _)\nb"), "3\n3\n");
    assert_eq!(out("Z = 1\n2\n_ + Z"), "2\n3\n");
    assert!(out("arange(2001)").starts_with("i64[2001], min 0, max 2000, mean 1000.000000\n[0, 1, 2, …"));
    assert!(err("_ + 1").contains("there is none yet"));
    assert_eq!(out("zeros([0, 3])"), "f64[0, 3]\n[]\n");
    assert!(err("x = ").contains("expected an expression, found the end of the line"));
    assert!(err("x = 1; fn f(a) { a }").contains("in a session on a line of its own"));
    let sizes = err("[1, 2]\n_ + [1, 2, 3]");
    assert!(sizes.contains("axis 0: 2 and 3 are different") && sizes.contains("_ is i64[2]"), "{sizes}");
    let inner = err("A = [[1, 2, 3], [4, 5, 6]]\nA @ A");
    assert!(
        inner.contains("<stdin>:2:1") && inner.contains("i64[2, 3]") && inner.contains("help: "),
        "{inner}"
    );
    for line in ["_ = 3", "fn _(x) { x }"] {
        assert!(err(&format!("1\n{line}")).contains("`_` cannot name"), "{line}");
    }
}

#[test]
fn a_block_has_variables_of_its_own() {
    assert_eq!(out("{ y = 1.0; y + 1 }"), "2.0\n");
    assert_eq!(out("k = 3\n{ s = 0; for i in 0..k { s += i; } s }\n_ + k"), "3\n6\n");
    assert_eq!(out("{ a = [1, 2]; return a, 2 * a }"), out("a = [1, 2];\nreturn a, 2 * a"));
    assert!(err("{ y = 1.0; y }\ny").contains("unknown name y"));
    // Places are those of the line.
    assert!(err("{ y = 1.0; nope }").contains("<stdin>:1:12"));
}

#[test]
fn programs_are_loaded_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "f.mx",
        "// Twice, and a comment /* before */ it.\n/* another */\nfn twice(v: f64[n]) -> f64[n] { 2 * v }\n",
    );
    write("wrong.mx", "fn f(x: f64[n]) {\n    x +\n}\n");
    let (code, out, err) = session_in(folder.path(), ":load f.mx\ntwice([1.5])\n:load wrong.mx\n");
    assert_eq!((code, out.as_str()), (1, "fn twice(v: f64[n])\nf64[1]\n[3.0]\n"), "{err}");
    assert!(err.contains("wrong.mx:3:1"), "{err}");
}

#[test]
fn a_batch_ends_at_its_first_error() {
    let (code, out, err) = session("1\nnope\n2\n");
    assert_eq!((code, out.as_str()), (1, "1\n"));
    assert!(err.starts_with("error[E0101]") && err.contains("<stdin>:2:1"), "{err}");
}

#[test]
fn help_is_there_for_everything() {
    let help = out(":help");
    for name in [
        "help", "vars", "type", "load", "save", "edit", "time", "bench", "explain", "ir", "clif", "asm",
        "wgsl", "grad", "plot", "passes", "device", "threads", "simd", "mem", "nan", "set", "reset", "quit",
    ] {
        assert!(help.contains(&format!(":{name} ")), "{name}: {help}");
        assert!(out(&format!(":help {name}")).starts_with(&format!(":{name}")));
    }
    assert_eq!(out("sqrt?"), "sqrt(x)\n  square root\n  > sqrt([0.25, 1.0])\n  f64[2]\n  [0.5, 1.0]\n");
    assert_eq!(out("x = [1, 2]\nfn f(a) { a }\nx?\nf?"), "x: i64[2]\nfn f(a) { a }\n");
    assert!(err("sqrtt?").contains("sqrt"));
    assert!(err(":tmie 1").contains(":time") && err(":t 1").contains("short for"));
    assert!(err(":time").contains("write :time EXPR"));
}

#[test]
fn what_there_is() {
    assert_eq!(out("x = [1.5]\nfn f(a: f64[n], b = 1) { a }\n:vars"), "x: f64[1]\nfn f(a: f64[n], b = 1)\n");
    assert_eq!(out("x = [[1, 2]]\n:type x.T @ x\n:type x > 1;"), "i64[2, 2]\nbool[1, 2]\n");
    assert_eq!(out(":type sum\nfn f(a) { a }\n:type f"), "sum(x, axis=, keepdims=)\nfn f(a)\n");
    let memory = out("x = zeros([1024])\ny = x\n:mem");
    assert!(memory.contains("8.00 KiB") && memory.contains("all"), "{memory}");
    let (_, _, error) = session("x = 1\n:reset\nx");
    assert!(error.contains("unknown name"), "{error}");
}

#[test]
fn times() {
    let time = out("x = arange(10)\n:time sum(x)");
    assert!(time.starts_with("45\ncheck ") && time.contains("call again"), "{time}");
    let bench = out("x = arange(10)\n:bench s = sum(x); s * 2");
    assert!(bench.contains("median") && bench.contains("kernels"), "{bench}");
}

#[test]
fn stages_of_an_expression() {
    let x = "x = arange(4)\n";
    let ir = out(&format!("{x}:ir x + 1\n:ir kernels x + 1\n"));
    assert!(ir.contains("func @line(") && ir.contains("kernel @add"), "{ir}");
    assert!(out(&format!("{x}:ir plan x + 1")).contains("add"));
    assert!(out(&format!("{x}:clif x + 1")).contains("block0"));
    assert!(out(&format!("{x}:asm x + 1")).contains("kernel add"));
    assert!(out(&format!("{x}:explain x + 1")).contains("kernels: 1"));
    let why = out(&format!("{x}:why log(1.0 + exp(x))"));
    assert!(why.starts_with("proofs: 1\n") && why.contains("by softplus"), "{why}");
    assert!(out(":explain E0203").starts_with("E0203: "));
    assert!(out(":passes").starts_with("canonicalize "));
    assert_eq!(out("plan = 3\n:ir plan\n").lines().next(), Some("func @line(%plan: i64) -> i64 {"));
    assert!(err(":explain E9999").contains("E9999"));
    assert!(err(":ir 1 +").contains("error[E0010]"));
    assert!(err(":clif fn f(x) { x }").contains("define them first"));
}

#[test]
fn options() {
    let set = out(":set");
    for name in ["device", "engine", "max_steps", "nan", "numerics", "simd", "threads"] {
        assert!(set.contains(name), "{set}");
    }
    assert_eq!(out(":set simd 128\n:set simd\n:set max_steps=7\n:set max_steps"), "128\n7\n");
    assert!(out(":device cpu\n:device").starts_with("device          cpu\nfound: "));
    assert!(out(":threads").contains("found: threads") && out(":simd").contains("found: SIMD"));
    assert_eq!(out(":set engine interpreter\n1 + 1"), "2\n");
    assert!(err(":set max_steps 3\nx = 0\nwhile x < 9 { x += 1; }").contains("E0602"));
    for (line, says) in [
        (":set simd 77", "auto, 128"),
        (":set colour red", "the options are"),
        (":set colour", "the options are"),
        (":set a b c", "one value"),
        (":threads -1", "whole numbers"),
        (":nan maybe", "on, off"),
    ] {
        assert!(err(line).contains(says), "{line}");
    }
}

#[test]
fn files_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d.csv"), "a,b\n1,2\n3,4\n").unwrap();
    std::fs::write(folder.path().join("f.mx"), "fn twice(x) { x * 2 }\nfn thrice(x) { x * 3 }\n").unwrap();
    std::fs::write(folder.path().join("b a.csv"), "1\n2\n").unwrap();
    let lines = ":load d.csv\n:load d.csv:b as y\n:load f.mx\nthrice(y)\n:save _ z.npy\n:load z.npy\nz + 1\n\
                 :save d,y both.npz\n:load both.npz:y\n:load \"b a.csv\" as s\n";
    let (code, out, err) = session_in(folder.path(), lines);
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "d: f64[2, 2]\ny: f64[2]\nfn twice(x)\nfn thrice(x)\nf64[2]\n[6.0, 12.0]\nz: f64[2]\nf64[2]\n[7.0, 13.0]\n\
                    y: f64[2]\ns: f64[2]\n";
    assert_eq!(out, expected);
    for (line, code) in [
        (":load nope.npy", "E0801"),
        (":load d.csv as 1x", "cannot name a variable"),
        (":load nope.mx", "E0801"),
        (":save nope z.npy", "no variable `nope`"),
        (":save x", "a name and a file"),
        ("x = 1\n:save x x.exe", "E0803"),
    ] {
        let (rc, _, err) = session_in(folder.path(), line);
        assert!(rc == 1 && err.contains(code), "{line}: {err}");
    }
}

#[cfg(unix)]
#[test]
fn the_last_line_is_edited_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let editor = folder.path().join("editor.sh");
    std::fs::write(&editor, "sed -i.bak s/1/20/ \"$1\"\n").unwrap();
    let (code, out, err) = session_in(folder.path(), "x = 1 + 2\n:edit\nx\n");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "x = 20 + 2\n22\n", ""));
    std::fs::write(&editor, "exit 3\n").unwrap();
    assert!(session_in(folder.path(), "1\n:edit").2.contains("the editor failed"));
    std::fs::write(&editor, "echo :edit > \"$1\"\n").unwrap();
    assert!(session_in(folder.path(), "1\n:edit").2.contains("commands are not run"));
    assert!(err_without_editor().contains("EDITOR"));
}

#[cfg(unix)]
fn err_without_editor() -> String {
    err(":edit")
}

#[test]
fn plots() {
    let line = out(":plot linspace(0.0, 1.0, 50)");
    assert!(line.contains('⠁') || line.contains('⠊') || line.contains('⡠'), "{line}");
    assert!(
        line.contains('1') && line.lines().count() > 5 && line.lines().all(|l| l.chars().count() <= 80),
        "{line}"
    );
    assert!(out(":plot hist [1.0, 1.0, 2.0, 5.0]").contains('█'));
    assert!(out(":plot heat eye(3)").contains('█'));
    assert!(
        out(":plot [[1.0, 2.0], [3.0, 4.0]]").contains("columns")
            && out(":plot scatter [[1, 2], [3, 4]]").contains('⡀')
    );
    for good in [
        "[1.0]",
        "[1.0, 1.0]",
        "[0.0 / 0.0, 1.0]",
        "[1e308, -1e308]",
        "heat [[1e308, -1e308, 0.0]]",
        "hist [1e308, -1e308]",
    ] {
        out(&format!(":plot {good}"));
    }
    for bad in
        ["3", "zeros([0])", "[0.0 / 0.0]", "zeros([2, 2, 2])", "heat [1.0]", "scatter [1.0]", "hist [[1.0]]"]
    {
        assert!(err(&format!(":plot {bad}")).contains("cannot be drawn"), "{bad}");
    }
    assert_eq!(session("x = 1; nope").0, 1);
}

/// What stands in an SVG can be read; of a PNG, that it has a head, its size, and more than one colour.
#[test]
fn plots_go_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let saved = |line: &str, file: &str| {
        let (code, out, err) = session_in(folder.path(), &format!(":plot {line} {file}"));
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""), "{line}");
        std::fs::read(folder.path().join(file)).unwrap()
    };
    for (line, element) in [
        ("linspace(0.0, 2.0, 50)", "<polyline"),
        ("scatter [[1, 2], [3, 4]]", "<circle"),
        ("hist [1.0, 1.0, 2.0, 5.0]", "<rect"),
        ("heat eye(3)", "<rect"),
        ("[1.0, 0.0 / 0.0, 2.0, 3.0]", "<polyline"),
        ("[1.0, 1.0]", "<polyline"),
    ] {
        let svg = String::from_utf8(saved(line, "a.svg")).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains(element) && svg.contains("<text "), "{line}: {svg}");
        let png = saved(line, "a.png");
        assert_eq!((&png[1..4], &png[16..24]), (&b"PNG"[..], &[0, 0, 3, 32, 0, 0, 1, 244][..]), "{line}");
        assert!(png.len() > 1500, "{line}: {}", png.len());
    }
    assert!(err(":plot [1e308, -1e308] a.svg").contains("too far apart"));
    assert!(err(":plot [1.0, 2.0] no/such/a.png").contains("E0807"));
    assert!(err(":plot 3 a.svg").contains("cannot be drawn"));
}

#[test]
fn where_nan_arises() {
    let nan = out(":nan on\nx = [1.0, 0.0]\ny = 1 - 1 / x\n");
    assert!(
        nan.contains("the first infinity arose at [1] in `1 / x`") && nan.contains("<stdin>:3:9"),
        "{nan}"
    );
    let nan = out("fn f(a) { b = a - 1.0; sqrt(b) }\n:nan on\nf([2.0, 0.5])");
    assert!(nan.contains("the first NaN arose at [1] in `sqrt(b)`"), "{nan}");
    assert!(out("x = [0.0] / 0\n:nan on\nx + 1").contains("`x` came with NaN at [0]"));
    assert_eq!(out(":nan on\nx = [0.0]\nwhere(x > 0, 1 / x, 0.0)"), "f64[1]\n[0.0]\n");
    assert_eq!(out(":nan on\n:nan off\nlog(0.0)"), "-inf\n");
}

#[test]
fn nothing_that_is_typed_is_a_bug() {
    for line in [
        ":",
        "::",
        ": ",
        "?",
        "??",
        "_?",
        "x?y",
        ":é",
        "é?",
        ":load",
        ":load as",
        ":load  as x",
        ":save",
        ":save , x.npz",
        ":save x,y",
        ":ir",
        ":ir kernels",
        ":set =",
        ":set = =",
        ":type",
        ":type ;",
        ":time ;",
        ":bench {",
        ":clif //",
        ":explain /*",
        ":explain _",
        "_",
        "_ _",
        "_ = 1",
        ";",
        ";;",
        "{",
        "}",
        "(",
        ")",
        "/*",
        "*/",
        "\"",
        "\u{0}",
        "…",
        "fn",
        "fn f",
        "fn f(",
        "fn _() { 1 }",
        ":help nope",
        ":reset x",
        ":vars x",
        ":type fn",
        ":time x = 3",
        ":time x[0] = 1",
        "3\n_ = 4",
        "3\n_é",
        "3\n_ +",
        "3\n:type _é",
    ] {
        let (code, _, err) = session(line);
        assert!((code == 0 || code == 1) && !err.contains("bug in matex"), "{line:?}: {code} {err}");
    }
}

#[test]
fn gradients_are_shown() {
    assert_eq!(out("x = [1.0, 2.0]\nk = 3.0\n:grad sum(x**2) * k"), "by x: f64[2]\n[6.0, 12.0]\nby k: 5.0\n");
    let ir = out("fn f(x: f64[n]) -> f64 { sum(x * x) }\n:grad f");
    assert!(ir.starts_with("func @grad_f(%x: f64[x.0]) -> f64[x.0] {"), "{ir}");
    assert!(err("i = 3\n:grad i * 2").contains("no variable that is a float"));
    assert!(err("x = [1.0]\n:grad x * 2").contains("a scalar float"));
}
