//! `matex` without a command: lines of expressions, assignments, functions and commands.
//!
//! [`state`] holds what lines leave behind and runs them, [`commands`] are the words that begin with a colon,
//! [`editor`] is the line on a terminal with [`complete`] and [`highlight`]. On a terminal an error ends the line; else
//! it ends the session, so that a file of lines can be piped in.

mod chart;
mod commands;
mod complete;
mod editor;
mod files;
mod grad;
mod help;
mod highlight;
mod line;
mod look;
mod nan;
mod plot;
mod print;
mod settings;
mod state;

use crate::commands::print;
use crate::data::DataError;
use crate::failure::Failure;
use crate::interrupt;
use editor::{Editor, Typed};
use state::{Origin, Session};
use std::io::{BufRead, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a session over standard input.
pub(crate) fn run() -> Result<(), Failure> {
    let session = Session::new()?;
    match (std::io::stdin().is_terminal(), std::io::stdout().is_terminal()) {
        (true, true) => on_terminal(session),
        (typed, _) => piped(session, typed),
    }
}

/// What to do after a line.
enum Next {
    Go,
    Quit,
}

/// Lines by hand: nothing that a line does ends the session but `:quit`.
fn on_terminal(mut session: Session) -> Result<(), Failure> {
    print(&format!("matex {}, :help lists what there is\n", env!("CARGO_PKG_VERSION")))?;
    let mut editor = Editor::new()?;
    loop {
        let text = match editor.read(&mut session)? {
            Typed::Text(text) => text,
            Typed::Nothing => continue,
            Typed::End => return Ok(()),
        };
        // What was pasted may be several lines.
        for whole in logical_lines(&text) {
            match protected(&mut session, &whole) {
                Ok(Next::Quit) => return Ok(()),
                Ok(Next::Go) => {}
                Err(failure) => {
                    failure.report(false);
                    break;
                }
            }
        }
    }
}

/// Enters a line; Ctrl-C stops it, and a bug in it is told and costs nothing else.
fn protected(session: &mut Session, text: &str) -> Result<Next, Failure> {
    interrupt::take();
    let result = interrupt::during(|| catch_unwind(AssertUnwindSafe(|| session.enter(text))));
    interrupt::take();
    result.unwrap_or_else(|_| Err(Failure::bug("a line of the session")))
}

/// Lines from a file or a pipe: the first error ends them.
fn piped(mut session: Session, typed: bool) -> Result<(), Failure> {
    let mut text = String::new();
    session.origin = Origin { name: "<stdin>".to_owned(), line: 1 };
    let mut lines = 0;
    loop {
        let mut next = String::new();
        let read = std::io::stdin().lock().read_line(&mut next);
        let end = read.map_err(|e| DataError::unreadable("<stdin>", &e))? == 0;
        text.push_str(&next);
        // A line that ends within brackets goes on.
        if !end && line::is_open(&text) {
            continue;
        }
        let whole = std::mem::take(&mut text);
        session.origin.line = lines + 1;
        lines += whole.lines().count();
        match session.enter(whole.trim_end()) {
            Ok(Next::Quit) => return Ok(()),
            Ok(Next::Go) => {}
            Err(failure) if typed => failure.report(false),
            Err(failure) => return Err(failure),
        }
        if end {
            return Ok(());
        }
    }
}

/// The lines of a text, each with those that its brackets and comments take in.
fn logical_lines(text: &str) -> Vec<String> {
    let (mut all, mut whole) = (Vec::new(), String::new());
    for part in text.split_inclusive('\n') {
        whole.push_str(part);
        if !line::is_open(&whole) {
            all.push(std::mem::take(&mut whole).trim_end().to_owned());
        }
    }
    all.push(whole.trim_end().to_owned());
    all.retain(|line| !line.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::logical_lines;

    #[test]
    fn pasted_lines_stay_whole() {
        assert_eq!(logical_lines("x = 1\nfn f(x) {\n  x\n}\n\nf(x)"), ["x = 1", "fn f(x) {\n  x\n}", "f(x)"]);
        assert_eq!(logical_lines("[1,"), ["[1,"]);
    }
}
