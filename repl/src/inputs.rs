//! From what is typed to a program and its values.

use crate::costs;
use crate::data::{self, DataError, Loaded};
use crate::failure::Failure;
use matex::{Arg, Compiler, Function};
use std::io::Read;

/// The largest program that is read: the compiler refuses it long before that, with an error of its own.
const MAX_PROGRAM: u64 = 1 << 30;

/// A compiler with the options of the environment. A variable that is set wrongly is wrong usage.
pub(crate) fn compiler() -> Result<Compiler, Failure> {
    Compiler::from_env().map_err(Failure::Usage)
}

/// The compiler of what is run here and not shown: with what work was measured to cost on this machine, if it was.
pub(crate) fn running() -> Result<Compiler, Failure> {
    Ok(compiler()?.cost_model(costs::kept().unwrap_or_default()))
}

/// Compiles the program in a file, or that of standard input for `-`.
pub(crate) fn compile_file(compiler: Compiler, path: &str, entry: Option<&str>) -> Result<Function, Failure> {
    let (name, text) = read(path)?;
    let mut compiler = compiler.file_name(name);
    if let Some(entry) = entry {
        compiler = compiler.entry(entry);
    }
    Ok(compiler.compile(&text)?)
}

fn read(path: &str) -> Result<(&str, String), Failure> {
    let name = if path == "-" { "<stdin>" } else { path };
    let mut bytes = Vec::new();
    let read = if path == "-" {
        std::io::stdin().lock().take(MAX_PROGRAM).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_PROGRAM).read_to_end(&mut bytes))
    };
    read.map_err(|e| DataError::unreadable(name, &e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        DataError::malformed(name, "the program is not UTF-8 text").at(line as u64)
    })?;
    Ok((name, text))
}

/// A value of the command line, and the name that was typed before it.
pub(crate) struct Value {
    name: Option<String>,
    loaded: Loaded,
}

/// Loads values: `x=a.npy`, `0=3.5`, or without a name.
pub(crate) fn load(values: &[String]) -> Result<Vec<Value>, DataError> {
    let one = |text: &String| {
        let (name, spec) = split(text);
        Ok(Value { name: name.map(str::to_owned), loaded: data::load(spec)? })
    };
    values.iter().map(one).collect()
}

/// The values as arguments of a call.
pub(crate) fn arguments(values: &[Value]) -> Vec<Arg<'_>> {
    values
        .iter()
        .map(|v| {
            let arg = match &v.name {
                Some(name) => Arg::named(name, &v.loaded.tensor),
                None => Arg::new(&v.loaded.tensor),
            };
            if v.loaded.weak { arg.weak() } else { arg }
        })
        .collect()
}

/// The name before the first `=`, if that is one: a path may have a `=` too.
fn split(text: &str) -> (Option<&str>, &str) {
    let Some((name, value)) = text.split_once('=') else { return (None, text) };
    let bare = name.strip_prefix('$').unwrap_or(name);
    let word = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !bare.is_empty() && word(bare) { (Some(bare), value) } else { (None, text) }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn names_and_values() {
        assert_eq!(split("x=a.npy"), (Some("x"), "a.npy"));
        assert_eq!(split("0=1"), (Some("0"), "1"));
        assert_eq!(split("$0=1"), (Some("0"), "1"));
        assert_eq!(split("a.npy"), (None, "a.npy"));
        assert_eq!(split("x=d=1/a.npy"), (Some("x"), "d=1/a.npy"));
        assert_eq!(split("d/y=1.npy"), (None, "d/y=1.npy"));
        assert_eq!(split("=1"), (None, "=1"));
    }
}
