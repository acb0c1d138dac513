//! What ends the program early, for people and as JSON, and its exit code.

use crate::data::DataError;
use crate::output;
use matex::{Diagnostic, Error, ErrorKind};
use matex_lang::codes;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The tensor program or a call of it.
    Program(Error),
    /// A file or a literal.
    Data(DataError),
    /// What was asked for makes no sense.
    Usage(Error),
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// A bug in matex, outside of what compiles and runs programs.
    Bug(Diagnostic),
    /// It was reported already: the code only.
    Reported(u8),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Program(error)
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Failure {
        Failure::Data(error)
    }
}

impl Failure {
    pub(crate) fn bug(what: &str) -> Failure {
        let d = Diagnostic::new(codes::INTERNAL, "this is a bug in matex").note(what);
        Failure::Bug(d.help("please report it together with what you typed and the output of `matex doctor`"))
    }

    /// 1 the program or its data is wrong, 2 usage, 3 a bug, 130 interrupted.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Program(e) if e.code() == codes::CANCELLED => 130,
            Failure::Program(e) if e.kind() == ErrorKind::Internal => 3,
            Failure::Program(_) | Failure::Data(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Interrupted => 130,
            Failure::Bug(_) => 3,
            Failure::Reported(code) => *code,
        }
    }

    /// Tells it: people on standard error, programs as one JSON value on standard output.
    pub(crate) fn report(&self, json: bool) {
        if matches!(self, Failure::Reported(_)) {
            return;
        }
        if json {
            // Whoever closed standard output does not want to hear of it.
            let _ = output::line(&self.to_json().to_string());
        } else {
            let _ = writeln!(std::io::stderr(), "{}", self.text(colors()));
        }
    }

    fn text(&self, color: bool) -> String {
        match self {
            Failure::Program(e) | Failure::Usage(e) if color => e.to_ansi().trim_end().to_owned(),
            Failure::Program(e) | Failure::Usage(e) => e.to_string(),
            Failure::Data(e) => e.to_string(),
            Failure::Interrupted => "interrupted".to_owned(),
            Failure::Bug(d) => {
                let text = matex_lang::render::render(std::slice::from_ref(d), "", "", color);
                text.trim_end().to_owned()
            }
            Failure::Reported(_) => String::new(),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Failure::Program(e) | Failure::Usage(e) => {
                let all: Vec<Value> = e.diagnostics().iter().map(|d| diagnostic(d, e.program())).collect();
                let first = all.first().cloned().unwrap_or(Value::Null);
                json!({ "error": first, "errors": all })
            }
            Failure::Data(e) => {
                let error = json!({
                    "code": e.code.to_string(), "message": e.message, "labels": [], "notes": [], "help": e.help,
                    "file": e.file, "line": e.line,
                });
                json!({ "error": error, "errors": [error] })
            }
            Failure::Bug(d) => {
                let error = diagnostic(d, "");
                json!({ "error": error, "errors": [error] })
            }
            Failure::Interrupted | Failure::Reported(_) => {
                let error = json!({
                    "code": codes::CANCELLED.to_string(), "message": "interrupted", "labels": [], "notes": [],
                    "help": null,
                });
                json!({ "error": error, "errors": [error] })
            }
        }
    }
}

/// A diagnostic as JSON; lines and columns count from 1, columns in characters.
fn diagnostic(d: &Diagnostic, program: &str) -> Value {
    let label = |l: &matex::Label| {
        let start = program.floor_char_boundary((l.span.start as usize).min(program.len()));
        let before = &program[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |s| s.chars().count()) + 1;
        json!({
            "start": l.span.start, "end": l.span.end, "line": line, "column": column,
            "message": l.message, "primary": l.primary,
        })
    };
    let labels: Vec<Value> = d.labels.iter().map(label).collect();
    json!({
        "code": d.code.to_string(), "message": d.message, "labels": labels, "notes": d.notes, "help": d.help,
    })
}

/// Whether standard error takes colours and its reader wants them.
pub(crate) fn colors() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    std::io::stderr().is_terminal()
        && !set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_json_value() {
        let error = Failure::from(matex::compile("{\n  x = é;\n x +\n}").unwrap_err());
        assert_eq!(error.exit_code(), 1);
        let json = error.to_json();
        assert!(json["error"]["code"].as_str().unwrap().starts_with('E'));
        assert_eq!(json["error"], json["errors"][0]);
        assert_eq!(json["error"]["labels"][0]["line"], 2);
        assert_eq!(json["error"]["labels"][0]["column"], 7);
    }

    #[test]
    fn exit_codes() {
        assert_eq!(Failure::bug("x").exit_code(), 3);
        assert_eq!(Failure::Interrupted.exit_code(), 130);
        assert_eq!(Failure::Usage(matex::compile("1 +").unwrap_err()).exit_code(), 2);
    }
}
