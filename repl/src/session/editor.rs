//! The line on a terminal: history, completion, colours, and brackets that go on.

use super::complete::Names;
use super::highlight;
use super::line::is_open;
use super::state::Session;
use crate::data::DataError;
use crate::failure::Failure;
use crate::folders;
use crate::interrupt::at_prompt;
use crate::output::LINE;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::history::{DefaultHistory, History};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, Helper};
use std::borrow::Cow;
use std::path::PathBuf;

/// What was typed.
pub(super) enum Typed {
    Text(String),
    /// Ctrl-C: the line is dropped.
    Nothing,
    /// Ctrl-D.
    End,
}

/// The editor with its history.
pub(super) struct Editor {
    editor: rustyline::Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    /// An editor; a history that cannot be read is an empty one.
    pub(super) fn new() -> Result<Editor, Failure> {
        let colors = colors();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .color_mode(if colors { ColorMode::Enabled } else { ColorMode::Disabled })
            .tab_stop(4)
            .build();
        let mut editor = rustyline::Editor::with_config(config).map_err(|e| unusable(&e))?;
        editor.set_helper(Some(Assistant { names: Names::default(), colors }));
        let history = history_file();
        if let Some(file) = &history {
            let _ = editor.load_history(file);
        }
        Ok(Editor { editor, history })
    }

    /// Reads a line, or several where brackets are open.
    pub(super) fn read(&mut self, session: &mut Session) -> Result<Typed, Failure> {
        if let Some(helper) = self.editor.helper_mut() {
            helper.names = Names::of(session);
        }
        if let Some((columns, _)) = self.editor.dimensions() {
            session.columns = usize::from(columns);
            session.line = session.columns.clamp(20, LINE);
        }
        match at_prompt(|| self.editor.readline("> ")) {
            Ok(text) => {
                self.remember(&text);
                Ok(Typed::Text(text))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            // The window changed its size, or the like.
            Err(ReadlineError::Signal(_)) => Ok(Typed::Nothing),
            Err(error) => Err(unusable(&error)),
        }
    }

    /// Keeps a line for later sessions at once: several may be open, and none may end well.
    fn remember(&mut self, text: &str) {
        if text.trim().is_empty() || !self.editor.add_history_entry(text).unwrap_or(false) {
            return;
        }
        if let Some(file) = &self.history {
            let _ = self.editor.history_mut().append(file);
        }
    }
}

fn unusable(error: &ReadlineError) -> Failure {
    DataError::unreadable("<stdin>", &std::io::Error::other(error.to_string())).into()
}

/// `matex/history` where the system keeps the state of programs; its folder is made.
fn history_file() -> Option<PathBuf> {
    let folder = folders::of_user("XDG_STATE_HOME", ".local/state")?;
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// Whether the line has colours: what stands on standard output.
fn colors() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// What helps while a line is typed.
struct Assistant {
    names: Names,
    colors: bool,
}

/// The parameters of a function, which are shown and never inserted.
struct Parameters(String);

impl Hint for Parameters {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.names.complete(line, at))
    }
}

impl Hinter for Assistant {
    type Hint = Parameters;

    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<Parameters> {
        // Without colours they would look like what was typed.
        self.names.hint(line, at).filter(|_| self.colors).map(Parameters)
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.colors { highlight::color(line).into() } else { line.into() }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colors { format!("\x1b[2m{hint}\x1b[0m").into() } else { hint.into() }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.colors && !matches!(kind, CmdKind::MoveCursor)
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let open = is_open(context.input());
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}
