//! The text of the corpus; `tests/cases/README.md` describes it.

use super::data::{self, Wanted};
use matex_ir::Code;
use matex_ir::tensor::interp::Array;

/// One case.
pub(crate) struct Case {
    /// The file without its ending, and the name in it: `operators/division: by zero`.
    pub(crate) name: String,
    pub(crate) inputs: Vec<Input>,
    pub(crate) entry: Option<String>,
    pub(crate) program: String,
    pub(crate) expected: Expected,
}

/// A named argument.
pub(crate) struct Input {
    pub(crate) name: String,
    /// A literal, as the command line gives it: it takes the dtype of what it meets.
    pub(crate) weak: bool,
    pub(crate) array: Array,
}

/// What a case asks for.
pub(crate) enum Expected {
    Results(Vec<Wanted>),
    /// The program is wrong for these inputs.
    CompileError(Code),
    /// The call fails.
    CallError(Code),
}

/// Reads the cases of a file.
pub(crate) fn parse(file: &str, text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in text.split("\n== ").skip(1) {
        let (title, body) = part.split_once('\n').unwrap_or((part, ""));
        let name = format!("{file}: {}", title.trim());
        cases.push(one(&name, body));
    }
    if let Some(first) = text.strip_prefix("== ") {
        panic!("{file}: the file begins with a comment, not with {:?}", first.lines().next());
    }
    cases
}

fn one(name: &str, body: &str) -> Case {
    let parts: Vec<&str> = body.split("---\n").collect();
    let [head, program, tail] = parts.as_slice() else {
        panic!("{name}: want inputs, ---, a program, ---, expectations");
    };
    let mut case = Case {
        name: name.to_owned(),
        inputs: Vec::new(),
        entry: None,
        program: program.trim_end().to_owned(),
        expected: Expected::Results(Vec::new()),
    };
    for line in lines(head) {
        let (key, rest) = line.split_once(':').unwrap_or_else(|| panic!("{name}: input {line:?}"));
        if key == "entry" {
            case.entry = Some(rest.trim().to_owned());
            continue;
        }
        let rest = rest.trim();
        let (weak, rest) = rest.strip_prefix("weak ").map_or((false, rest), |r| (true, r));
        let array = data::wanted(name, rest).array(name);
        case.inputs.push(Input { name: key.trim().to_owned(), weak, array });
    }
    case.expected = expected(name, tail);
    case
}

fn expected(name: &str, tail: &str) -> Expected {
    let lines = lines(tail);
    let code = |text: &str| {
        let number = text.strip_prefix('E').and_then(|t| t.parse().ok());
        Code(number.unwrap_or_else(|| panic!("{name}: code {text:?}")))
    };
    if let [line] = lines.as_slice() {
        if let Some(c) = line.strip_prefix("compile error ") {
            return Expected::CompileError(code(c));
        }
        if let Some(c) = line.strip_prefix("call error ") {
            return Expected::CallError(code(c));
        }
    }
    assert!(!lines.is_empty(), "{name}: no expectation");
    Expected::Results(lines.iter().map(|l| data::wanted(name, l)).collect())
}

/// The lines of a part; an indented line goes on the one before, `//` lines are comments.
fn lines(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with("//") {
            continue;
        }
        match out.last_mut() {
            Some(last) if line.starts_with(' ') => *last += line,
            _ => out.push(line.trim_end().to_owned()),
        }
    }
    out
}
