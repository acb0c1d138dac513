//! Sessions at a terminal, as a person drives them: keys, completion, lines that go on, Ctrl-C, colours, narrow windows.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot drive its program has failed")]

use rexpect::process::wait::WaitStatus;
use rexpect::session::{Options, PtySession, spawn_with_options};
use std::path::Path;
use std::process::Command;

/// Much more than any answer takes, so that a busy machine fails nothing.
const PATIENCE: Option<u64> = Some(120_000);

/// A session in a terminal of so many columns, with its state in a folder.
fn session(folder: &Path, columns: u16, variables: &[(&str, &str)]) -> PtySession {
    let mut command = Command::new("sh");
    // The window gets its size before the program asks for it.
    let start = format!("stty cols {columns} rows 30; exec {}", env!("CARGO_BIN_EXE_matex"));
    command.args(["-c", &start]).current_dir(folder).env("XDG_STATE_HOME", folder).env("TERM", "xterm");
    for name in ["MATEX_SIMD", "MATEX_DEVICE", "MATEX_NUM_THREADS", "MATEX_DEBUG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let options = Options::new().timeout_ms(PATIENCE).strip_ansi_escape_codes(false);
    let mut session = spawn_with_options(command, options).unwrap();
    session.exp_string("> ").unwrap();
    session
}

fn plain(folder: &Path) -> PtySession {
    session(folder, 80, &[("NO_COLOR", "1")])
}

/// Types a line, waits for this text of its answer, and then for the prompt: before that the terminal is not the
/// editor's, and would take a key such as Ctrl-D for itself. Gives what came until the prompt.
fn answer(session: &mut PtySession, line: &str, text: &str) -> String {
    type_keys(session, &format!("{line}\r"));
    ready(session, text)
}

fn type_keys(session: &mut PtySession, keys: &str) {
    session.send(keys).unwrap();
    session.flush().unwrap();
}

/// What the editor sends when it takes over the terminal: pasted text is to be marked.
const EDITING: &str = "\x1b[?2004h";

/// Waits for a text, and then for the prompt.
fn ready(session: &mut PtySession, text: &str) -> String {
    let before = session.exp_string(text).unwrap();
    before + text + &prompt(session)
}

fn prompt(session: &mut PtySession) -> String {
    let before = session.exp_string(EDITING).unwrap();
    session.exp_string("> ").unwrap();
    before
}

fn leave(mut session: PtySession) {
    type_keys(&mut session, "\x04");
    assert!(matches!(session.process().wait().unwrap(), WaitStatus::Exited(_, 0)));
}

#[test]
fn lines_are_answered_and_ctrl_d_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = plain(folder.path());
    answer(&mut s, "x = arange(6).reshape([2, 3]); x @ x.T", "[14, 50]]");
    answer(&mut s, "sum(_) + 1000", "1083");
    // A wrong line shows why, and costs nothing.
    answer(&mut s, "x + nope", "E0101");
    answer(&mut s, "sum(x) * 7", "105");
    leave(s);
}

#[test]
fn what_is_typed_ahead_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = plain(folder.path());
    type_keys(&mut s, "a = 1000\rfn next(v: i64) {\r    v + 7\r}\rnext(a)\r");
    ready(&mut s, "1007");
    leave(s);
}

#[test]
fn open_brackets_go_on_in_the_next_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = plain(folder.path());
    type_keys(&mut s, "fn twice(v: f64[n]) {\r    2 * v\r}\r");
    prompt(&mut s);
    type_keys(&mut s, "twice([1.5,\r2.0])\r");
    ready(&mut s, "[3.0, 4.0]");
    leave(s);
}

#[test]
fn tab_completes_names_and_shows_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = plain(folder.path());
    answer(&mut s, "temperature = 21.5; temperature * 4", "86.0");
    type_keys(&mut s, "temper\t * 2\r");
    ready(&mut s, "43.0");
    // Several candidates are listed with what they take.
    type_keys(&mut s, "cumulative_\t\t");
    s.exp_string("cumulative_prod(x, axis=").unwrap();
    type_keys(&mut s, "\x03");
    prompt(&mut s);
    answer(&mut s, "6 * 9", "54");
    leave(s);
}

#[test]
fn ctrl_c_stops_the_program_and_keeps_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = plain(folder.path());
    answer(&mut s, "kept = 7; kept * 11", "77");
    type_keys(&mut s, "{ x = 1.0; while x > 0.0 { x = x + 1.0; } x }\r");
    s.exp_string("\n").unwrap();
    // It has to be running, and nothing tells but that no answer comes.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    type_keys(&mut s, "\x03");
    s.exp_regex("(?i)interrupt|cancel|stopped").unwrap();
    prompt(&mut s);
    answer(&mut s, "kept * 6", "42");
    // At the prompt it drops the line.
    type_keys(&mut s, "1 + 1 +\x03");
    prompt(&mut s);
    answer(&mut s, "kept * 5", "35");
    leave(s);
}

#[test]
fn history_lasts_and_is_searched_backwards() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = plain(folder.path());
    answer(&mut s, "111 * 3", "333");
    answer(&mut s, "20 + 2", "22");
    leave(s);
    let mut s = plain(folder.path());
    type_keys(&mut s, "\x12111");
    s.exp_string("111 * 3").unwrap();
    type_keys(&mut s, "\r");
    ready(&mut s, "333");
    leave(s);
}

#[test]
fn plots_fit_a_narrow_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = session(folder.path(), 40, &[("NO_COLOR", "1")]);
    type_keys(&mut s, ":plot sin(linspace(0.0, 6.0, 50))\r");
    s.exp_string("\n").unwrap();
    // What comes is handed over a character a byte.
    let bytes: Vec<u8> = prompt(&mut s).chars().filter_map(|c| u8::try_from(c).ok()).collect();
    let drawn = String::from_utf8(bytes).unwrap();
    let widest = drawn.lines().map(|l| l.trim_end().chars().count()).max().unwrap_or(0);
    assert!(drawn.lines().count() > 4 && widest <= 40, "{widest} columns:\n{drawn}");
    // Arrays do too.
    type_keys(&mut s, "arange(100, 140)\r");
    s.exp_string("\n").unwrap();
    let printed = prompt(&mut s);
    let widest = printed.lines().map(|l| l.trim_end().len()).max().unwrap_or(0);
    assert!(printed.contains("139]") && (30..=40).contains(&widest), "{widest} columns:\n{printed}");
    leave(s);
}

#[test]
fn colours_follow_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = session(folder.path(), 80, &[]);
    let coloured = answer(&mut s, "1 + nope", "E0101");
    assert!(coloured.contains("\x1b["), "{coloured:?}");
    leave(s);
    // The terminal of an editor that is none: a plain prompt, and nothing that moves a cursor.
    let mut s = session(folder.path(), 80, &[("TERM", "dumb")]);
    type_keys(&mut s, "1 + nope\r");
    let dumb = s.exp_string("nope: f64").unwrap() + &s.exp_string("> ").unwrap();
    assert!(!dumb.contains('\x1b'), "{dumb:?}");
    // Ctrl-C drops the line there too.
    type_keys(&mut s, "kept = 6\r");
    s.exp_string("> ").unwrap();
    type_keys(&mut s, "1 + \x03");
    s.exp_string("> ").unwrap();
    type_keys(&mut s, "kept * 7\r");
    s.exp_string("42").unwrap();
    s.exp_string("> ").unwrap();
    leave(s);
}
