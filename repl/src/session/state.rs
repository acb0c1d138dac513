//! What lines leave behind, and how a line runs.
//!
//! Each line becomes a function whose parameters are the variables that it names, and whose results are those that it
//! assigns: the language needs no state for that.

use super::line::{self, Line, read_line};
use super::settings::Settings;
use super::{Next, commands, help, nan, print as show};
use crate::commands::print;
use crate::failure::{Failure, colors};
use crate::output::LINE;
use crate::{inputs, interrupt};
use matex::{Arg, CallOptions, DeviceTensor, Diagnostic, Error, Function, Outputs, Span};
use matex_lang::codes;
use std::io::Write;

/// A session.
pub(super) struct Session {
    pub(super) settings: Settings,
    /// Values stay on the device that made them until they are shown.
    pub(super) variables: Vec<(String, DeviceTensor)>,
    /// Names and texts.
    pub(super) functions: Vec<(String, String)>,
    /// The last result, which `_` names.
    pub(super) last: Option<DeviceTensor>,
    /// The last line that was no command, for `:edit`.
    pub(super) input: String,
    /// How wide the terminal is, in characters.
    pub(super) columns: usize,
    /// How wide the lines of an array are.
    pub(super) line: usize,
    /// Where the text that is run comes from.
    pub(super) origin: Origin,
}

/// Where a text comes from: what its places are said to be in, and the number of its first line there.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) line: usize,
}

impl Origin {
    /// A line that somebody types.
    pub(super) fn typed() -> Origin {
        Origin { name: "<line>".to_owned(), line: 1 }
    }

    /// Draws diagnostics of a text that begins there.
    fn render(&self, diagnostics: &[Diagnostic], text: &str, colors: bool) -> String {
        let before = self.line - 1;
        let mut all = diagnostics.to_vec();
        for label in all.iter_mut().flat_map(|d| &mut d.labels) {
            let down = |at: u32| at.saturating_add(before as u32);
            label.span = Span::new(down(label.span.start), down(label.span.end));
        }
        matex_lang::render::render(&all, &self.name, &format!("{}{text}", "\n".repeat(before)), colors)
    }
}

/// The name of the function that a line becomes; no program of people has it.
const ENTRY: &str = "matex_line_of_the_session";

/// A line that compiled.
pub(super) struct Ready {
    pub(super) function: Function,
    pub(super) source: String,
    pub(super) values: Vec<(String, DeviceTensor)>,
    /// Where the line begins in what was compiled.
    pub(super) offset: usize,
}

impl Ready {
    /// A text about it with a short name for it.
    pub(super) fn named(text: &str) -> String {
        text.replace(ENTRY, "line")
    }

    pub(super) fn args(&self) -> Vec<Arg<'_>> {
        self.values.iter().map(|(name, value)| Arg::named(name, value)).collect()
    }
}

/// A line as the compiler takes it: the language has `_` in patterns only, so that a letter which nothing else uses
/// stands for it. It is as long as `_`, so that all places stay.
pub(super) struct Text<'a> {
    typed: &'a str,
    taken: String,
    letter: Option<char>,
    origin: Origin,
}

impl Session {
    pub(super) fn new() -> Result<Session, Failure> {
        // A variable of the environment that is set wrongly is told at once.
        inputs::compiler()?;
        Ok(Session {
            settings: Settings::from_env(),
            variables: Vec::new(),
            functions: Vec::new(),
            last: None,
            input: String::new(),
            columns: 80,
            line: LINE,
            origin: Origin::typed(),
        })
    }

    /// Does what a line says.
    pub(super) fn enter(&mut self, text: &str) -> Result<Next, Failure> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok(Next::Go);
        }
        if let Some(command) = trimmed.strip_prefix(':') {
            return commands::run(self, command);
        }
        if let Some(name) = asked(trimmed) {
            return help::about(self, name).map(|()| Next::Go);
        }
        text.clone_into(&mut self.input);
        self.line(text).map(|()| Next::Go)
    }

    /// Runs statements, an expression or functions; a line that fails changes nothing.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        // Tensors are shared, so that this copies no elements.
        let before = self.variables.clone();
        self.run(text).inspect_err(|_| self.variables = before)
    }

    fn run(&mut self, text: &str) -> Result<(), Failure> {
        let (line, text) = self.read(text)?;
        let (assigned, statements, value) = match line {
            Line::Functions(functions) => return self.define(functions, text.typed),
            Line::Statements { assigned, statements, value } => (assigned, statements, value),
        };
        let letter = text.letter.map(String::from);
        let known = |name: &String| self.variables.iter().any(|(n, _)| n == name);
        // What a loop assigns only inside ends with it, unless it was there before.
        let kept: Vec<String> = assigned
            .into_iter()
            .filter(|a| (a.top || known(&a.name)) && letter.as_ref() != Some(&a.name))
            .map(|a| a.name)
            .collect();
        if !kept.is_empty() {
            let body = format!("{statements}\nreturn {}", kept.join(", "));
            let ready = self.prepare(&body, &text)?;
            let outputs = self.call(&ready, &text)?;
            self.check_nan(&ready, &outputs, &text)?;
            for (name, value) in kept.into_iter().zip(outputs) {
                self.set(name, value);
            }
        }
        if let Some(value) = value {
            let ready = self.prepare(&value, &text)?;
            let outputs = self.call(&ready, &text)?;
            if !is_silent(text.typed) {
                print(&show::results(&outputs.read()?, self.line))?;
            }
            self.check_nan(&ready, &outputs, &text)?;
            if let [one] = &outputs[..] {
                self.last = Some(one.clone());
            }
        }
        Ok(())
    }

    /// Reads a line as it is, or else with the last result in the place of `_`.
    fn read<'a>(&self, typed: &'a str) -> Result<(Line, Text<'a>), Failure> {
        let plain = Text { typed, taken: typed.to_owned(), letter: None, origin: self.origin.clone() };
        let errors = match read_line(typed) {
            Ok(line) => return Ok((line, plain)),
            Err(errors) => errors,
        };
        if !line::words(typed).contains(&"_") {
            return Err(draw(errors, typed, &self.origin));
        }
        if self.last.is_none() {
            let help = "`_` is the last result, and there is none yet";
            let mut errors = errors;
            if let Some(first) = errors.first_mut().filter(|d| d.message.contains("`_`")) {
                first.help = Some(help.to_owned());
            }
            return Err(draw(errors, typed, &self.origin));
        }
        let Some(letter) = self.free_letter(typed) else { return Err(draw(errors, typed, &self.origin)) };
        let taken = line::replace_word(typed, "_", letter);
        let text = Text { typed, taken, letter: Some(letter), origin: self.origin.clone() };
        match read_line(&text.taken) {
            // What is read in its place is no name of a variable or of a function.
            Ok(line) if line.defines(&letter.to_string()) => Err(draw(errors, typed, &self.origin)),
            Ok(line) => Ok((line, text)),
            Err(errors) => {
                let errors = errors.iter().map(|d| renamed(d, text.letter)).collect();
                Err(draw(errors, typed, &self.origin))
            }
        }
    }

    /// A letter that is no word of a line, of a function or of a variable.
    fn free_letter(&self, text: &str) -> Option<char> {
        let words = line::words(text);
        let is_free = |c: &char| {
            let name = c.to_string();
            !words.contains(&name.as_str())
                && !self.variables.iter().any(|(n, _)| *n == name)
                && !self
                    .functions
                    .iter()
                    .any(|(n, source)| *n == name || line::words(source).contains(&&*name))
        };
        ('A'..='Z').rev().chain('a'..='z').find(is_free)
    }

    /// Compiles the expression behind a command. Statements before it run each time that it runs.
    pub(super) fn expression<'a>(&self, typed: &'a str) -> Result<(Ready, Text<'a>), Failure> {
        let (line, text) = self.read(typed)?;
        let body = match line {
            Line::Functions(_) => {
                let d = Diagnostic::new(codes::UNKNOWN_OPTION, "this defines functions and has no value");
                let d = d.help("define them first, then ask for an expression that calls them");
                return Err(draw(vec![d], typed, &self.origin));
            }
            Line::Statements { value: Some(value), statements, .. } => {
                let rest = value.get(statements.len()..).unwrap_or_default();
                format!("{statements}{rest}")
            }
            Line::Statements { assigned, statements, value: None } => {
                let names: Vec<String> = assigned.into_iter().filter(|a| a.top).map(|a| a.name).collect();
                format!("{statements}\nreturn {}", names.join(", "))
            }
        };
        let ready = self.prepare(&body, &text)?;
        Ok((ready, text))
    }

    pub(super) fn set(&mut self, name: String, value: DeviceTensor) {
        match self.variables.iter_mut().find(|(n, _)| *n == name) {
            Some(variable) => variable.1 = value,
            None => self.variables.push((name, value)),
        }
    }

    /// The value of a variable, or the last result for `_`.
    pub(super) fn get(&self, name: &str) -> Option<&DeviceTensor> {
        if name == "_" {
            return self.last.as_ref();
        }
        self.variables.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Adds functions, in the place of those of the same names, once the whole compiles.
    fn define(&mut self, functions: Vec<(String, String)>, text: &str) -> Result<(), Failure> {
        let mut all = self.functions.clone();
        for (name, source) in functions.iter().cloned() {
            all.retain(|(n, _)| *n != name);
            all.push((name, source));
        }
        let source: String = all.iter().map(|(_, source)| format!("{source}\n")).collect();
        let compiler = self.settings.compiler()?;
        let plain = Text { typed: text, taken: String::new(), letter: None, origin: self.origin.clone() };
        for (name, _) in &functions {
            let compiled = compiler.clone().entry(name).compile(&source);
            compiled.map_err(|e| relocate(&e, &plain, source.find(text.trim()).unwrap_or(usize::MAX)))?;
        }
        self.functions = all;
        Ok(())
    }

    /// Compiles the body of a line, with which the line as it was typed agrees as far as it goes.
    fn prepare(&self, body: &str, text: &Text<'_>) -> Result<Ready, Failure> {
        let words = line::words(body);
        let stand_in = text.letter.zip(self.last.as_ref()).map(|(c, value)| (c.to_string(), value.clone()));
        let all = self.variables.iter().cloned().chain(stand_in);
        let values: Vec<(String, DeviceTensor)> = all.filter(|(n, _)| words.contains(&n.as_str())).collect();
        let params: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        let head = format!("fn {ENTRY}({}) {{ ", params.join(", "));
        let functions: String = self.functions.iter().map(|(_, source)| format!("{source}\n")).collect();
        let source = format!("{head}{body}\n}}\n{functions}");
        let compiled = self.settings.compiler()?.entry(ENTRY).compile(&source);
        let function = compiled.map_err(|e| relocate(&e, text, head.len()))?;
        Ok(Ready { function, source, values, offset: head.len() })
    }

    /// Calls what compiled; Ctrl-C stops it. Results stay where they are made.
    pub(super) fn call(&self, ready: &Ready, text: &Text<'_>) -> Result<Outputs<DeviceTensor>, Failure> {
        let mut options = CallOptions::new().cancel(interrupt::flag());
        if let Some(steps) = self.settings.max_steps {
            options = options.max_steps(steps);
        }
        let result = interrupt::during(|| ready.function.call_resident_with(&options, &ready.args()));
        if interrupt::take() {
            return Err(Failure::Interrupted);
        }
        let outputs = result.map_err(|e| relocate(&e, text, ready.offset))?;
        let warnings: Vec<Diagnostic> =
            outputs.warnings().iter().map(|w| moved(w.diagnostic(), text, ready.offset)).collect();
        tell(&warnings, text.typed, &text.origin);
        Ok(outputs)
    }

    /// Calls what compiled, and reads what comes of it: all that the call takes is done then.
    pub(super) fn results(&self, ready: &Ready, text: &Text<'_>) -> Result<Outputs, Failure> {
        Ok(self.call(ready, text)?.read()?)
    }

    /// With `:nan on`, tells where the first NaN or infinity of results comes from.
    fn check_nan(
        &self,
        ready: &Ready,
        outputs: &Outputs<DeviceTensor>,
        text: &Text<'_>,
    ) -> Result<(), Failure> {
        if !self.settings.nan || outputs.read()?.iter().all(nan::is_clean) {
            return Ok(());
        }
        let d = nan::first(ready, ENTRY, &interrupt::flag());
        if interrupt::take() {
            return Err(Failure::Interrupted);
        }
        let d = moved(&d, text, ready.offset);
        let drawing = text.origin.render(&[d], text.typed, false);
        // It is a warning and not an error of the line, so that only the text is taken from the drawing.
        let body = drawing.split_once(": ").map_or(drawing.as_str(), |(_, rest)| rest);
        print(&format!("nan: {body}"))
    }
}

/// The name before a question mark.
fn asked(text: &str) -> Option<&str> {
    let name = text.strip_suffix('?').or_else(|| text.strip_prefix('?'))?.trim();
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (!name.is_empty() && word).then_some(name)
}

/// Whether a line ends with `;`, which keeps its value from being printed.
fn is_silent(text: &str) -> bool {
    text.trim_end().ends_with(';')
}

/// An error of the line as it was typed, which stands at `offset` in what was compiled.
pub(super) fn relocate(error: &Error, text: &Text<'_>, offset: usize) -> Failure {
    let code = if error.kind() == matex::ErrorKind::Internal { 3 } else { 1 };
    let all: Vec<Diagnostic> = error.diagnostics().iter().map(|d| moved(d, text, offset)).collect();
    report(&all, text.typed, &text.origin, code)
}

/// A diagnostic with its places in the line. Labels outside of it, in functions that were defined before, are left out.
fn moved(d: &Diagnostic, text: &Text<'_>, offset: usize) -> Diagnostic {
    let len = text.typed.len();
    let mut d = renamed(d, text.letter);
    d.labels.retain_mut(|label| {
        let start = (label.span.start as usize).checked_sub(offset).filter(|s| *s <= len);
        let end = (label.span.end as usize).saturating_sub(offset).min(len);
        start.is_some_and(|start| {
            label.span = Span::new(start as u32, end.max(start) as u32);
            true
        })
    });
    d
}

/// A diagnostic that speaks of `_` and not of the letter that stands for it.
fn renamed(d: &Diagnostic, letter: Option<char>) -> Diagnostic {
    let mut d = d.clone();
    if let Some(c) = letter {
        let name = format!("`{c}`");
        let kind = format!("{c} is ");
        let told = |text: &mut String| {
            *text = text.replace(&name, "`_`");
            // A note on an argument begins so.
            if let Some(rest) = text.strip_prefix(&kind) {
                *text = format!("_ is {rest}");
            }
        };
        told(&mut d.message);
        d.labels.iter_mut().for_each(|label| told(&mut label.message));
        d.notes.iter_mut().for_each(told);
        if let Some(help) = &mut d.help {
            told(help);
        }
    }
    d
}

pub(super) fn draw(diagnostics: Vec<Diagnostic>, text: &str, origin: &Origin) -> Failure {
    report(&diagnostics, text, origin, 1)
}

/// Draws an error of a line at once: the line is not part of the error that the compiler made.
fn report(diagnostics: &[Diagnostic], text: &str, origin: &Origin, code: u8) -> Failure {
    tell(diagnostics, text, origin);
    Failure::Reported(code)
}

fn tell(diagnostics: &[Diagnostic], text: &str, origin: &Origin) {
    let drawing = origin.render(diagnostics, text, colors());
    let _ = std::io::stderr().write_all(drawing.as_bytes());
}
