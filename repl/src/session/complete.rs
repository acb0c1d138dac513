//! What Tab offers: commands, their options, variables, functions with their parameters, and files.

use super::commands::COMMANDS;
use super::highlight::KEYWORDS;
use super::settings::OPTIONS;
use super::state::Session;
use matex::Stage;
use matex_lang::functions;
use rustyline::completion::{FilenameCompleter, Pair};

/// The names that a session knows at the time of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Variables, and what each is.
    variables: Vec<(String, String)>,
    /// Functions of the session and of the language with their parameters.
    functions: Vec<(String, String)>,
}

impl Names {
    pub(super) fn of(session: &Session) -> Names {
        let variables = session.variables.iter().map(|(name, t)| (name.clone(), t.describe())).collect();
        let own = session.functions.iter().map(|(name, source)| (name.clone(), parameters(source)));
        let builtin = functions().into_iter().map(|(name, params)| (name.to_owned(), params.to_owned()));
        let mut functions: Vec<(String, String)> = own.collect();
        functions.extend(builtin.filter(|(name, _)| !session.functions.iter().any(|(own, _)| own == name)));
        Names { variables, functions }
    }

    /// Where the word before the cursor begins, and what may stand there.
    pub(super) fn complete(&self, line: &str, at: usize) -> (usize, Vec<Pair>) {
        let before = line.get(..at).unwrap_or_default();
        if let Some(path) = path_start(before) {
            return files(before, path);
        }
        let word = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let typed = &before[word..];
        let fits = |name: &str| name.starts_with(typed);
        let command = before.trim_start().strip_prefix(':');
        if let Some(command) = command.filter(|c| !c.contains(char::is_whitespace)) {
            let offered = COMMANDS.iter().filter(|c| c.name.starts_with(command)).map(|c| {
                // What follows a command is typed right on.
                let space = if c.args.is_empty() { "" } else { " " };
                pair(format!(":{} {}", c.name, c.args), &format!("{}{space}", c.name))
            });
            return (at - command.len(), offered.collect());
        }
        let choices = options(command.unwrap_or_default());
        let mut all: Vec<Pair> =
            choices.iter().filter(|c| fits(c)).map(|c| pair((*c).to_owned(), c)).collect();
        let kept = self.variables.iter().filter(|(name, _)| fits(name));
        all.extend(kept.map(|(name, kind)| pair(format!("{name}: {kind}"), name)));
        if !typed.is_empty() {
            let known = self.functions.iter().filter(|(name, _)| fits(name));
            all.extend(known.map(|(name, params)| pair(format!("{name}({params})"), name)));
            all.extend(KEYWORDS.iter().filter(|k| fits(k)).map(|k| pair((*k).to_owned(), k)));
        }
        (word, all)
    }

    /// The parameters of the function whose bracket was just opened.
    pub(super) fn hint(&self, line: &str, at: usize) -> Option<String> {
        let before = line.strip_suffix('(').filter(|_| at == line.len())?;
        let word = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next()?;
        let (_, params) = self.functions.iter().find(|(name, _)| name == word)?;
        Some(format!("{params})"))
    }
}

/// The words that a command takes besides expressions.
fn options(command: &str) -> Vec<&'static str> {
    match command.split_whitespace().next() {
        Some("help") => COMMANDS.iter().map(|c| c.name).collect(),
        Some("set") => OPTIONS.to_vec(),
        Some("ir") => Stage::ALL.iter().map(|s| s.name()).collect(),
        Some("plot") => super::plot::KINDS.to_vec(),
        Some("nan") => vec!["off", "on"],
        _ => Vec::new(),
    }
}

fn pair(display: String, replacement: &str) -> Pair {
    Pair { display: display.trim_end().to_owned(), replacement: replacement.to_owned() }
}

/// Where a path begins: after `:load `, or after the name that `:save` writes.
fn path_start(before: &str) -> Option<usize> {
    let text = before.trim_start();
    let indent = before.len() - text.len();
    let after = |words: usize| {
        let (mut at, mut rest) = (indent, text);
        for _ in 0..words {
            let word = rest.find(char::is_whitespace)?;
            let next = word + rest[word..].find(|c: char| !c.is_whitespace()).unwrap_or(rest.len() - word);
            (at, rest) = (at + next, &rest[next..]);
        }
        Some(at)
    };
    if text.starts_with(":load ") && !text.contains(" as ") {
        after(1)
    } else if text.starts_with(":save ") {
        after(2)
    } else {
        None
    }
}

fn files(before: &str, start: usize) -> (usize, Vec<Pair>) {
    let path = &before[start..];
    match FilenameCompleter::new().complete_path(path, path.len()) {
        Ok((at, pairs)) => (start + at, pairs),
        Err(_) => (before.len(), Vec::new()),
    }
}

/// A function without its body.
pub(super) fn head(name: &str, source: &str) -> String {
    format!("fn {name}({})", parameters(source))
}

/// The parameters in the text of a function.
fn parameters(source: &str) -> String {
    let Some((_, rest)) = source.split_once('(') else { return String::new() };
    let mut depth = 1_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return rest[..at].split_whitespace().collect::<Vec<_>>().join(" ");
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            variables: vec![("summary".into(), "f64[2]".into())],
            functions: vec![("sum".into(), "x, axis=".into()), ("sumsq".into(), "x".into())],
        }
    }

    fn offered(line: &str) -> Vec<String> {
        names().complete(line, line.len()).1.into_iter().map(|p| p.display).collect()
    }

    #[test]
    fn words_are_completed() {
        assert_eq!(offered("1 + sum"), ["summary: f64[2]", "sum(x, axis=)", "sumsq(x)"]);
        assert_eq!(offered("é wh"), ["while"]);
        assert_eq!(offered(":ti"), [":time EXPR"]);
        assert_eq!(offered(":ir opt"), ["optimized"]);
        assert_eq!(offered(":set th"), ["threads"]);
        assert!(offered("").len() == 1 && offered("zzz").is_empty());
    }

    #[test]
    fn files_are_completed_where_files_stand() {
        assert_eq!(path_start(":load a.n"), Some(6));
        assert_eq!(path_start(":save x  a.n"), Some(9));
        assert_eq!(path_start(":save x"), None);
        assert_eq!(path_start(":load a.npy as x"), None);
        assert_eq!(offered(":load Cargo.t"), ["Cargo.toml"]);
    }

    #[test]
    fn parameters_are_hinted() {
        assert_eq!(names().hint("2 * sum(", 8).as_deref(), Some("x, axis=)"));
        assert_eq!(names().hint("sum(x", 5), None);
        assert_eq!(parameters("fn f(x: f64[n],\n k = (1)) { x }"), "x: f64[n], k = (1)");
        assert_eq!(parameters("fn f"), "");
    }
}
