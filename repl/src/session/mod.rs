//! `matex` without a command: lines of expressions, assignments and functions.
//!
//! Each line becomes a function whose parameters are the variables that it names, and whose results are those that it
//! assigns: the language needs no state for that. On a terminal an error ends the line; else it ends the session.

mod line;

use crate::commands::print;
use crate::data::DataError;
use crate::failure::{Failure, colors};
use crate::{inputs, interrupt, output};
use line::{Line, read_line};
use matex::{Arg, CallOptions, Compiler, Diagnostic, Error, Outputs, Span, Tensor};
use matex_lang::codes;
use std::io::{BufRead, IsTerminal, Write};

const HELP: &str = "\
1 + 2 * 3                    an expression: its value is printed
x = arange(6)                an assignment: x keeps its value
fn f(x: f64[n]) { x * 2 }    a function, for the lines below it
:vars                        the variables
:quit                        the end; so is Ctrl-D
:help                        this
";

/// Runs a session over standard input.
pub(crate) fn run() -> Result<(), Failure> {
    let terminal = std::io::stdin().is_terminal();
    let mut session = Session { compiler: inputs::compiler()?.file_name("<line>"), ..Session::default() };
    if terminal {
        print(&format!("matex {}; :help tells what can be typed\n", env!("CARGO_PKG_VERSION")))?;
    }
    let mut text = String::new();
    loop {
        if terminal {
            print(if text.is_empty() { "> " } else { ". " })?;
        }
        let mut next = String::new();
        let read = std::io::stdin().lock().read_line(&mut next);
        let end = read.map_err(|e| DataError::unreadable("<stdin>", &e))? == 0;
        text.push_str(&next);
        // A line that ends within brackets goes on.
        if !end && line::is_open(&text) {
            continue;
        }
        let whole = std::mem::take(&mut text);
        match session.enter(whole.trim_end()) {
            Ok(Next::Quit) => return Ok(()),
            Ok(Next::Go) => {}
            Err(failure) if terminal => failure.report(false),
            Err(failure) => return Err(failure),
        }
        if end {
            return if terminal { print("\n") } else { Ok(()) };
        }
    }
}

/// What to do after a line.
enum Next {
    Go,
    Quit,
}

/// What lines leave behind.
#[derive(Default)]
struct Session {
    compiler: Compiler,
    variables: Vec<(String, Tensor)>,
    functions: Vec<(String, String)>,
}

/// The name of the function that a line becomes; no program of people has it.
const ENTRY: &str = "matex_line_of_the_session";

impl Session {
    /// Does what a line says.
    fn enter(&mut self, text: &str) -> Result<Next, Failure> {
        match text.trim() {
            "" => return Ok(Next::Go),
            ":quit" | ":q" => return Ok(Next::Quit),
            ":help" => print(HELP)?,
            ":vars" => {
                let kinds = self.variables.iter().map(|(name, t)| format!("{name}: {}\n", t.describe()));
                print(&kinds.collect::<String>())?;
            }
            command if command.starts_with(':') => {
                let d = Diagnostic::new(codes::UNKNOWN_OPTION, format!("there is no command `{command}`"));
                return Err(draw(vec![d.help("the commands are :vars, :help and :quit")], text));
            }
            _ => self.line(text)?,
        }
        Ok(Next::Go)
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        match read_line(text).map_err(|ds| draw(ds, text))? {
            Line::Functions(functions) => self.define(functions, text),
            Line::Statements { assigned, statements, value } => {
                if !assigned.is_empty() {
                    let known = |name: &String| self.variables.iter().any(|(n, _)| n == name);
                    // What a loop assigns only inside ends with it, unless it was there before.
                    let kept: Vec<String> =
                        assigned.into_iter().filter(|a| a.top || known(&a.name)).map(|a| a.name).collect();
                    if !kept.is_empty() {
                        let body = format!("{statements}\nreturn {}", kept.join(", "));
                        let outputs = self.evaluate(&body, text)?;
                        for (name, tensor) in kept.into_iter().zip(outputs) {
                            self.set(name, tensor);
                        }
                    }
                }
                if let Some(value) = value {
                    print(&output::show(&self.evaluate(&value, text)?))?;
                }
                Ok(())
            }
        }
    }

    fn set(&mut self, name: String, tensor: Tensor) {
        match self.variables.iter_mut().find(|(n, _)| *n == name) {
            Some(variable) => variable.1 = tensor,
            None => self.variables.push((name, tensor)),
        }
    }

    /// Adds functions, in the place of those of the same names, once the whole compiles.
    fn define(&mut self, functions: Vec<(String, String)>, text: &str) -> Result<(), Failure> {
        let mut all = self.functions.clone();
        for (name, source) in functions.iter().cloned() {
            all.retain(|(n, _)| *n != name);
            all.push((name, source));
        }
        let source: String = all.iter().map(|(_, source)| format!("{source}\n")).collect();
        for (name, _) in &functions {
            let compiled = self.compiler.clone().entry(name).compile(&source);
            compiled.map_err(|e| relocate(&e, text, source.find(text).unwrap_or(usize::MAX)))?;
        }
        self.functions = all;
        Ok(())
    }

    /// Runs the body of a line; `text` is the line as it was typed, with which the body agrees as far as it goes.
    fn evaluate(&self, body: &str, text: &str) -> Result<Outputs, Failure> {
        let words = line::words(body);
        let used: Vec<&(String, Tensor)> =
            self.variables.iter().filter(|(n, _)| words.contains(&n.as_str())).collect();
        let params: Vec<&str> = used.iter().map(|(name, _)| name.as_str()).collect();
        let head = format!("fn {ENTRY}({}) {{ ", params.join(", "));
        let functions: String = self.functions.iter().map(|(_, source)| format!("{source}\n")).collect();
        let source = format!("{head}{body}\n}}\n{functions}");
        let located = |e: Error| relocate(&e, text, head.len());
        let function = self.compiler.clone().entry(ENTRY).compile(&source).map_err(located)?;
        let args: Vec<Arg<'_>> = used.iter().map(|(name, tensor)| Arg::named(name, tensor)).collect();
        let options = CallOptions::new().cancel(interrupt::flag());
        let result = interrupt::during(|| function.call_with(&options, &args));
        if interrupt::take() {
            return Err(Failure::Interrupted);
        }
        result.map_err(|e| relocate(&e, text, head.len()))
    }
}

/// An error of the line as it was typed, which stands at `offset` in what was compiled. Labels outside of it, in
/// functions that were defined before, are left out.
fn relocate(error: &Error, text: &str, offset: usize) -> Failure {
    let moved = |d: &Diagnostic| {
        let mut d = d.clone();
        d.labels.retain_mut(|label| {
            let start = (label.span.start as usize).checked_sub(offset).filter(|s| *s <= text.len());
            let end = (label.span.end as usize).saturating_sub(offset).min(text.len());
            start.is_some_and(|start| {
                label.span = Span::new(start as u32, end.max(start) as u32);
                true
            })
        });
        d
    };
    let code = if error.kind() == matex::ErrorKind::Internal { 3 } else { 1 };
    report(&error.diagnostics().iter().map(moved).collect::<Vec<_>>(), text, code)
}

fn draw(diagnostics: Vec<Diagnostic>, text: &str) -> Failure {
    report(&diagnostics, text, 1)
}

/// Draws an error of a line at once: the line is not part of the error that the compiler made.
fn report(diagnostics: &[Diagnostic], text: &str, code: u8) -> Failure {
    let drawing = matex_lang::render::render(diagnostics, "<line>", text, colors());
    let _ = std::io::stderr().write_all(drawing.as_bytes());
    Failure::Reported(code)
}
