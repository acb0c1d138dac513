//! The page of `matex explain --html` in a real browser: what is on it, and what comes of clicks and keys.
//!
//! The browser takes a copy of the page with a script that acts as a reader would and writes down what then is
//! marked; its document is read back as text. Run with `--ignored` where Chromium is installed, as `.ci/run` does.

#![allow(clippy::unwrap_used, reason = "a test that cannot start its program has failed")]

use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "fn f(X: f64[n, k], y: f64[n]) -> f64[k] {\n    // ε, no byte for a letter\n    s = softmax(X, axis=1) * 2.0;\n    solve(X.T @ X, s.T @ y)\n}\n";

fn page_in(folder: &Path) -> String {
    page_of(folder, PROGRAM, &["X=[[1.0,2.0],[3.0,5.0],[0.5,1.0]]", "y=[1.0,2.0,3.0]"])
}

fn page_of(folder: &Path, program: &str, args: &[&str]) -> String {
    std::fs::write(folder.join("f.mx"), program).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_matex"));
    command.current_dir(folder).args(["explain", "--html", "p.html", "f.mx"]);
    let done = command.args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read_to_string(folder.join("p.html")).unwrap()
}

#[test]
fn the_page_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let page = page_in(folder.path());
    for elsewhere in ["src=", "href=", "url(", "@import", "fetch("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    let addresses: Vec<&str> = page.split("http").skip(1).map(|s| s.split('"').next().unwrap()).collect();
    assert_eq!(addresses, ["://www.w3.org/2000/svg"]);
    assert_eq!(page.matches("</script>").count(), 2);
    for word in
        ["prefers-color-scheme", "max-width: 700px", "softmax(X, axis=1)", "\"expected\":", "\"measured\":"]
    {
        assert!(page.contains(word), "{word}");
    }
}

/// The document after a script has acted on it, in a window of that width.
fn acted(page: &str, width: u32, script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acted.html");
    let report = "const lines = () => [...document.querySelectorAll('#view .line.on')].map((l) => l.textContent.trim());
        const found = {};";
    let end = "document.body.dataset.found = JSON.stringify(found);";
    let scripted =
        page.replace("</body>", &format!("<script>(() => {{ {report}{script}{end} }})();</script></body>"));
    std::fs::write(&file, scripted).unwrap();
    let browser = ["chromium", "chromium-browser", "google-chrome"];
    let mut commands = browser.iter().map(|name| {
        let mut command = Command::new(name);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            "--virtual-time-budget=2000",
        ]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.arg(format!("--window-size={width},900")).arg(format!("file://{}", file.display())).output()
    });
    let output = commands.find_map(Result::ok).expect("Chromium is not installed");
    String::from_utf8(output.stdout).unwrap()
}

/// What the script found, as JSON.
fn found(page: &str, width: u32, script: &str) -> serde_json::Value {
    let document = acted(page, width, script);
    let text = document.split("data-found=\"").nth(1).unwrap_or_else(|| panic!("{document}"));
    let text =
        text.split('"').next().unwrap().replace("&quot;", "\"").replace("&gt;", ">").replace("&lt;", "<");
    serde_json::from_str(&text.replace("&amp;", "&")).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
#[ignore = "needs Chromium"]
fn a_click_marks_what_comes_of_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let page = page_in(folder.path());
    let out = found(
        &page,
        1200,
        "const piece = [...document.querySelectorAll('#source .piece')].find((p) => p.textContent.includes('softmax'));
         piece.click();
         found.source = [...document.querySelectorAll('#source .on')].map((p) => p.textContent).join('');
         found.tensor = lines();
         document.querySelector('[data-view=optimized]').click(); found.optimized = lines();
         document.querySelector('[data-view=asm]').click(); found.asm = lines().length;
         document.querySelector('[data-view=clif]').click(); found.clif = lines().length;
         document.querySelector('[data-view=kernels]').click(); found.kernels = lines();
         found.steps = [...document.querySelectorAll('#steps tr.on td:first-child')].map((t) => t.textContent);
         found.boxes = document.querySelectorAll('#graph g.on').length;",
    );
    assert!(out["source"].as_str().unwrap().contains("softmax(X, axis=1)"), "{out}");
    let has = |view: &str, word: &str| {
        out[view].as_array().unwrap().iter().any(|l| l.as_str().unwrap().contains(word))
    };
    assert!(has("tensor", "= exp ") && has("tensor", "reduce max") && !has("tensor", "= solve "), "{out}");
    assert!(has("optimized", "= exp ") && !has("optimized", "= solve "), "{out}");
    assert!(
        has("kernels", "exp") && out["asm"].as_u64() > Some(10) && out["clif"].as_u64() > Some(5),
        "{out}"
    );
    assert!(!out["steps"].as_array().unwrap().is_empty() && out["boxes"].as_u64() > Some(0), "{out}");
}

#[test]
#[ignore = "needs Chromium"]
fn instructions_belong_to_places_inside_of_a_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let program = "fn f(x: f32[n], y: f32[n]) -> f32 { sum(exp(x) + sqrt(y)) }";
    let page = page_of(folder.path(), program, &["x=[1.0,2.0]", "y=[4.0,9.0]"]);
    let out = found(
        &page,
        1200,
        "document.querySelector('[data-view=kernels]').click();
         [...document.querySelectorAll('#view .line')].find((l) => l.textContent.includes('= sqrt ')).click();
         found.source = [...document.querySelectorAll('#source .on')].map((p) => p.textContent).join('');
         for (const view of ['kernels', 'clif', 'asm']) {
             document.querySelector(`[data-view=${view}]`).click();
             found[view] = [lines().length, document.querySelectorAll('#view .line').length];
             found[view + 'Text'] = lines().join();
         }
         document.querySelector('[data-view=wgsl]').click();
         found.wgsl = [...document.querySelectorAll('#view .line')].map((l) => l.textContent).join();",
    );
    assert_eq!(out["source"], "sqrt(y)");
    for view in ["kernels", "clif", "asm"] {
        let [on, of] = [0, 1].map(|i| out[view][i].as_u64().unwrap());
        assert!(0 < on && 4 * on < of, "{view}: {out}");
        assert!(out[&format!("{view}Text")].as_str().unwrap().contains("sqrt"), "{view}: {out}");
    }
    assert!(out["wgsl"].as_str().unwrap().contains("@compute"), "{out}");
}

#[test]
#[ignore = "needs Chromium"]
fn keys_choose_views_and_places() {
    let folder = tempfile::tempdir().unwrap();
    let page = page_in(folder.path());
    let out = found(
        &page,
        1200,
        "const key = (node, key) => node.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
         key(document.body, '2'); found.view = document.body.dataset.view;
         const line = [...document.querySelectorAll('#view .line')].find((l) => l.textContent.includes('= solve'));
         found.reachable = line.tabIndex;
         key(line, 'Enter'); found.source = [...document.querySelectorAll('#source .on')].map((p) => p.textContent).join('');
         found.routine = [...document.querySelectorAll('#steps tr.on td:first-child')].map((t) => t.textContent);
         key(document.body, 'Escape'); found.left = document.querySelectorAll('.on').length;
         const theme = document.documentElement.dataset.theme; document.getElementById('theme').click();
         found.theme = theme !== document.documentElement.dataset.theme;",
    );
    assert_eq!(out["view"], "optimized");
    assert_eq!(out["reachable"], 0);
    assert_eq!(out["source"], "solve(X.T @ X, s.T @ y)");
    assert!(
        out["routine"].as_array().unwrap().iter().any(|r| r.as_str().unwrap().contains("solve")),
        "{out}"
    );
    assert_eq!((&out["left"], &out["theme"]), (&0.into(), &true.into()));
}

#[test]
#[ignore = "needs Chromium"]
fn a_narrow_window_shows_one_column() {
    let folder = tempfile::tempdir().unwrap();
    let page = page_in(folder.path());
    let script = "const [a, b] = document.querySelectorAll('section');
         found.beside = Math.abs(a.getBoundingClientRect().top - b.getBoundingClientRect().top) < 2;
         found.over = document.documentElement.scrollWidth > document.documentElement.clientWidth;
         found.bars = document.querySelectorAll('#memory rect').length;
         found.rows = document.querySelectorAll('#steps tr').length;";
    let (wide, narrow) = (found(&page, 1200, script), found(&page, 500, script));
    assert_eq!((&wide["beside"], &wide["over"]), (&true.into(), &false.into()));
    assert_eq!((&narrow["beside"], &narrow["over"]), (&false.into(), &false.into()));
    assert!(wide["bars"].as_u64() > Some(1) && wide["rows"].as_u64() > Some(2), "{wide}");
}
