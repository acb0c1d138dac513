//! The words that begin with a colon.
//!
//! To add one: a row in [`COMMANDS`], its function, and a case in `repl/tests/session.rs`.

use super::state::{Origin, Session, draw};
use super::{Next, files, grad, help, look, plot};
use crate::commands::print;
use crate::failure::Failure;
use matex::{Diagnostic, Stage};
use matex_lang::codes;

/// A command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What follows the name.
    pub(super) args: &'static str,
    pub(super) about: &'static str,
    run: fn(&mut Session, &str) -> Done,
}

type Done = Result<(), Failure>;

const fn row(
    name: &'static str,
    args: &'static str,
    about: &'static str,
    run: fn(&mut Session, &str) -> Done,
) -> Command {
    Command { name, args, about, run }
}

/// All of them, in the order of `:help`.
pub(super) const COMMANDS: &[Command] = &[
    row("help", "[COMMAND]", "this list, or more on one command", help::commands),
    row("vars", "", "the variables and functions of this session", look::vars),
    row("type", "EXPR", "dtype and shape, without running it", look::kind),
    row("load", "FILE [as NAME]", "a file of data into a variable, or a program", files::load),
    row("save", "NAME[,NAME…] FILE", "variables into a file; _ is the last result", files::save),
    row("edit", "", "the last line in $EDITOR, then run it", files::edit),
    row("time", "EXPR", "how long it takes, once", look::time),
    row("bench", "EXPR", "how long it takes, again and again", look::bench),
    row("explain", "EXPR|CODE", "what a call does, or what an error means", look::explain),
    row("why", "EXPR", "why what runs equals what was written, step by step", look::why),
    row("grad", "F|EXPR", "derivatives by each variable, or the IR of a gradient", grad::run),
    row("plot", "[KIND] EXPR [FILE]", "line, scatter, hist or heat, here or to .svg or .png", plot::run),
    row("ir", "[STAGE] EXPR", "tensor, optimized, kernels, plan, clif, asm or wgsl", look::ir),
    row("clif", "EXPR", "the Cranelift IR of its kernels", |s, rest| look::stage(s, Stage::Clif, rest)),
    row("asm", "EXPR", "the machine code of its kernels", |s, rest| look::stage(s, Stage::Asm, rest)),
    row("wgsl", "EXPR", "its kernels for the GPU", |s, rest| look::stage(s, Stage::Wgsl, rest)),
    row("passes", "", "the passes over the tensor IR", look::passes),
    row("device", "[CHOICE]", "what programs run on", |s, rest| look::machine(s, "device", &["GPU"], rest)),
    row("threads", "[N]", "how many threads a call uses", |s, rest| {
        look::machine(s, "threads", &["threads"], rest)
    }),
    row("simd", "[WIDTH]", "how wide vectors are", |s, rest| {
        look::machine(s, "simd", &["CPU features", "SIMD"], rest)
    }),
    row("mem", "", "what the variables take in memory", look::memory),
    row("nan", "[on|off]", "tell where the first NaN or infinity arises", |s, rest| {
        look::machine(s, "nan", &[], rest)
    }),
    row("set", "[OPTION VALUE]", "the options, or choose one", look::set),
    row("reset", "", "forget variables, functions and options", |session, _| {
        *session = Session::new()?;
        Ok(())
    }),
    row("quit", "", "the end; so is Ctrl-D", |_, _| Ok(())),
];

/// Runs what follows a colon.
pub(super) fn run(session: &mut Session, text: &str) -> Result<Next, Failure> {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let command = find(name).map_err(|d| draw(vec![d], &format!(":{text}"), &session.origin))?;
    let rest = rest.trim();
    if rest.is_empty() && command.args.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Err(usage(command));
    }
    (command.run)(session, rest)?;
    Ok(if command.name == "quit" { Next::Quit } else { Next::Go })
}

/// A command by its name, or by the beginning of it where one alone begins so.
pub(super) fn find(name: &str) -> Result<&'static Command, Diagnostic> {
    let begins: Vec<&Command> =
        COMMANDS.iter().filter(|c| !name.is_empty() && c.name.starts_with(name)).collect();
    if let Some(exact) = begins.iter().find(|c| c.name == name) {
        return Ok(exact);
    }
    if let [one] = begins[..] {
        return Ok(one);
    }
    let d = Diagnostic::new(codes::UNKNOWN_OPTION, format!("there is no command `:{name}`"));
    let several: Vec<String> = begins.iter().map(|c| format!(":{}", c.name)).collect();
    let near = COMMANDS.iter().map(|c| (strsim::damerau_levenshtein(c.name, name), c.name)).min();
    Err(match near {
        _ if !several.is_empty() => d.help(format!("it may be short for {}", several.join(" or "))),
        Some((distance, near)) if distance * 2 <= name.len() => {
            d.help(format!("a command with a similar name is :{near}"))
        }
        Some(_) | None => d.help(":help lists the commands"),
    })
}

/// The error of a command without what it needs.
fn usage(command: &Command) -> Failure {
    refuse(&format!("`:{}` needs more", command.name), &format!("write :{} {}", command.name, command.args))
}

/// An error that has no place in a program.
pub(super) fn refuse(message: &str, help: &str) -> Failure {
    draw(vec![Diagnostic::new(codes::UNKNOWN_OPTION, message).help(help)], "", &Origin::typed())
}

/// Prints lines.
pub(super) fn tell(lines: impl IntoIterator<Item = String>) -> Done {
    print(&lines.into_iter().map(|line| format!("{}\n", line.trim_end())).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found() {
        let name = |text: &str| find(text).map_or_else(|d| d.help.unwrap(), |c| c.name.to_owned());
        assert_eq!(name("quit"), "quit");
        assert_eq!(name("q"), "quit");
        assert_eq!(name("t"), "it may be short for :type or :time or :threads");
        assert_eq!(name("tmie"), "a command with a similar name is :time");
        assert_eq!(name(""), ":help lists the commands");
        assert_eq!(name("nonsense"), ":help lists the commands");
    }
}
