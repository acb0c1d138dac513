//! Commands that read and write files.

use super::commands::{refuse, tell};
use super::complete::head;
use super::highlight::KEYWORDS;
use super::line::{Line, read_line};
use super::logical_lines;
use super::state::{Origin, Session};
use crate::data::{self, DataError};
use crate::failure::Failure;
use crate::interrupt;
use matex::{DeviceTensor, Tensor};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

/// The largest program that is loaded.
const MAX_PROGRAM: u64 = 1 << 30;

/// `:load FILE [as NAME]`
pub(super) fn load(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let (file, name) = match rest.rsplit_once(" as ") {
        Some((file, name)) => (file.trim(), Some(name.trim())),
        None => (rest, None),
    };
    let file = &at_home(unquoted(file));
    if Path::new(file).extension().is_some_and(|e| e.eq_ignore_ascii_case("mx")) {
        return program(session, file);
    }
    let name = name.map_or_else(|| stem(file), str::to_owned);
    if !is_name(&name) {
        return Err(refuse(&format!("`{name}` cannot name a variable"), "write :load FILE as NAME"));
    }
    let tensor = data::load(file)?.tensor;
    let line = format!("{name}: {}", tensor.describe());
    session.set(name, DeviceTensor::from_tensor(&tensor)?);
    tell([line])
}

/// Functions, which are told, or statements and a value, which is printed.
fn program(session: &mut Session, file: &str) -> Result<(), Failure> {
    let text = read(file)?;
    let before = std::mem::replace(&mut session.origin, Origin { name: file.to_owned(), line: 1 });
    let loaded = session.line(&text);
    session.origin = before;
    loaded?;
    match read_line(&text) {
        Ok(Line::Functions(functions)) => tell(functions.iter().map(|(name, source)| head(name, source))),
        Ok(Line::Statements { .. }) | Err(_) => Ok(()),
    }
}

/// `:save NAME[,NAME…] FILE`
pub(super) fn save(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let Some((names, file)) = rest.split_once(char::is_whitespace) else {
        return Err(refuse("a name and a file are needed", "write :save NAME FILE"));
    };
    let mut named: Vec<(&str, Tensor)> = Vec::new();
    for name in names.split(',').filter(|n| !n.is_empty()) {
        match session.get(name) {
            Some(value) => named.push((name, value.tensor()?)),
            None => {
                return Err(refuse(&format!("there is no variable `{name}`"), ":vars lists the variables"));
            }
        }
    }
    let named: Vec<(&str, &Tensor)> = named.iter().map(|(name, tensor)| (*name, tensor)).collect();
    interrupt::during(|| data::save(&at_home(unquoted(file.trim())), &named))?;
    Ok(())
}

/// `:edit`
pub(super) fn edit(session: &mut Session, _: &str) -> Result<(), Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
    let Some(editor) = set("VISUAL").or_else(|| set("EDITOR")) else {
        return Err(refuse(
            "there is no editor to be opened",
            "set EDITOR in the environment, as in EDITOR=nano",
        ));
    };
    let refused = |e: &std::io::Error| DataError::unreadable(&editor, e);
    let mut file = tempfile::Builder::new().suffix(".mx").tempfile().map_err(|e| refused(&e))?;
    writeln!(file, "{}", session.input).map_err(|e| refused(&e))?;
    let path = file.into_temp_path();
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    let status = command.args(words).arg(&path).status().map_err(|e| refused(&e))?;
    if !status.success() {
        return Err(refuse(
            "the editor failed, and nothing was run",
            "leave it without an error to run the text",
        ));
    }
    let text = read(&path.to_string_lossy())?;
    for line in logical_lines(&text) {
        tell([line.clone()])?;
        // A command in the text could open the editor again, without end.
        if line.trim_start().starts_with(':') {
            return Err(refuse("commands are not run from the editor", "type them"));
        }
        session.enter(&line)?;
    }
    session.input = text.trim_end().to_owned();
    Ok(())
}

fn read(path: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).and_then(|f| f.take(MAX_PROGRAM).read_to_end(&mut bytes));
    file.map_err(|e| DataError::unreadable(path, &e))?;
    Ok(String::from_utf8(bytes).map_err(|_| DataError::malformed(path, "the program is not UTF-8 text"))?)
}

/// A path without the quotes around it, which completion writes where it has spaces.
fn unquoted(path: &str) -> &str {
    let inner = |quote: char| path.strip_prefix(quote).and_then(|p| p.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(path)
}

/// A path with the home folder in the place of `~`.
fn at_home(path: &str) -> String {
    let home = || std::env::var("HOME").ok();
    match path.strip_prefix("~/").and_then(|rest| home().map(|home| format!("{home}/{rest}"))) {
        Some(path) => path,
        None => path.replace("\\ ", " "),
    }
}

/// A name for what a file holds: its own without folder and ending, or that of a key behind a colon.
fn stem(file: &str) -> String {
    let key = file.rsplit_once(':').map(|(_, key)| key).filter(|key| is_name(key));
    let stem = Path::new(file).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    key.map_or(stem, str::to_owned)
}

fn is_name(name: &str) -> bool {
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    word && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name != "_"
        && !KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_give_names() {
        assert_eq!((stem("d/a.npy").as_str(), stem("z.npz:key").as_str()), ("a", "key"));
        assert!(
            is_name("x_1")
                && !is_name("1x")
                && !is_name("_")
                && !is_name("for")
                && !is_name("a-b")
                && !is_name("")
        );
        assert_eq!((unquoted("\"a b.npy\""), at_home("a\\ b.npy").as_str()), ("a b.npy", "a b.npy"));
    }
}
