//! Commands that show something: values, times, and what becomes of an expression.

use super::commands::{refuse, tell};
use super::complete::head;
use super::settings::OPTIONS;
use super::state::{Ready, Session, relocate};
use super::{help, print as show};
use crate::commands::{code, explain_code, print, proved};
use crate::failure::Failure;
use crate::{bench, doctor, inputs};
use matex::{Device, Stage};
use std::time::Instant;

/// `:vars`
pub(super) fn vars(session: &mut Session, _: &str) -> Result<(), Failure> {
    let variables = session.variables.iter().map(|(name, t)| format!("{name}: {}", t.describe()));
    let functions = session.functions.iter().map(|(name, source)| head(name, source));
    tell(variables.chain(functions))
}

/// `:type EXPR`
pub(super) fn kind(session: &mut Session, rest: &str) -> Result<(), Failure> {
    if let Some(head) = help::signature(session, rest) {
        return tell([head]);
    }
    let (ready, text) = session.expression(rest)?;
    let explained =
        ready.function.explain_with(&ready.args()).map_err(|e| relocate(&e, &text, ready.offset))?;
    // The first line is `name(arguments) -> (results)`.
    let first = explained.lines().next().unwrap_or_default();
    let results = first.rsplit_once(" -> (").map_or(first, |(_, r)| r.strip_suffix(')').unwrap_or(r));
    tell([results.to_owned()])
}

/// `:time EXPR`
pub(super) fn time(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let start = Instant::now();
    let (ready, text) = session.expression(rest)?;
    let checked = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let outputs = session.results(&ready, &text)?;
    let first = start.elapsed().as_secs_f64();
    let start = Instant::now();
    session.results(&ready, &text)?;
    let again = start.elapsed().as_secs_f64();
    print(&show::results(&outputs, session.line))?;
    tell([
        format!("check          {}", bench::time(checked)),
        format!("compile, call  {}", bench::time(first)),
        format!("call again     {}", bench::time(again)),
    ])
}

/// `:bench EXPR`
pub(super) fn bench(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let start = Instant::now();
    let (ready, text) = session.expression(rest)?;
    let compile = start.elapsed().as_secs_f64();
    let steady = bench::measure(|| session.results(&ready, &text).map(|_| ()))?;
    let cost = ready.function.cost(&ready.args()).map_err(|e| relocate(&e, &text, ready.offset))?;
    print(&bench::report(compile, &steady, cost))
}

/// `:explain EXPR|CODE`
pub(super) fn explain(session: &mut Session, rest: &str) -> Result<(), Failure> {
    if let Some(code) = code(rest).filter(|_| session.get(rest).is_none()) {
        return explain_code(code);
    }
    let (ready, text) = session.expression(rest)?;
    let explained =
        ready.function.explain_with(&ready.args()).map_err(|e| relocate(&e, &text, ready.offset))?;
    print(&Ready::named(&explained))
}

/// `:why EXPR`
pub(super) fn why(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let (ready, text) = session.expression(rest)?;
    let proofs = ready.function.proofs(&ready.args()).map_err(|e| relocate(&e, &text, ready.offset))?;
    print(&Ready::named(&proved(&proofs)))
}

/// `:ir [STAGE] EXPR`
pub(super) fn ir(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match word.parse::<Stage>() {
        // A variable may be called as a stage is.
        Ok(named) if !after.trim().is_empty() => stage(session, named, after.trim()),
        _ => stage(session, Stage::Tensor, rest),
    }
}

/// An expression as it is at one stage.
pub(super) fn stage(session: &mut Session, stage: Stage, rest: &str) -> Result<(), Failure> {
    let (ready, text) = session.expression(rest)?;
    let dumped =
        ready.function.dump_for(stage, &ready.args()).map_err(|e| relocate(&e, &text, ready.offset))?;
    print(&Ready::named(&dumped))
}

/// `:passes`
pub(super) fn passes(_: &mut Session, _: &str) -> Result<(), Failure> {
    tell(Stage::passes().iter().map(|(name, about)| format!("{name:<16}{about}")))
}

/// `:mem`
pub(super) fn memory(session: &mut Session, _: &str) -> Result<(), Failure> {
    // Variables that are views of one buffer share it.
    let (mut seen, mut total, mut lines) = (Vec::new(), 0_usize, Vec::new());
    let last = session.last.iter().map(|t| ("_", t));
    for (name, value) in session.variables.iter().map(|(n, t)| (n.as_str(), t)).chain(last) {
        if !value.is_on(Device::Cpu) {
            lines.push(format!("{name:<16}{:>14}  on the GPU", bytes(value.bytes())));
            continue;
        }
        let tensor = value.tensor()?;
        let buffer = tensor.buffer();
        let shared = seen.contains(&buffer.as_ptr());
        if !shared {
            seen.push(buffer.as_ptr());
            total += buffer.len();
        }
        let note = match (shared, value.is_on(Device::Gpu)) {
            (true, _) => "  shared with one above",
            (false, true) => "  and on the GPU",
            (false, false) => "",
        };
        lines.push(format!("{name:<16}{:>14}{note}", bytes(buffer.len())));
    }
    lines.push(format!("{:<16}{:>14}", "all", bytes(total)));
    if let Some(resident) = resident() {
        lines.push(format!("{:<16}{:>14}", "this process", bytes(resident)));
    }
    tell(lines)
}

/// What the process has in memory, where the system tells it in a file.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn bytes(count: usize) -> String {
    match count {
        n if n >= 1 << 30 => format!("{:.2} GiB", n as f64 / (1_u64 << 30) as f64),
        n if n >= 1 << 20 => format!("{:.2} MiB", n as f64 / (1_u64 << 20) as f64),
        n if n >= 1 << 10 => format!("{:.2} KiB", n as f64 / 1024.0),
        n => format!("{n} B"),
    }
}

/// `:set [OPTION VALUE]`
pub(super) fn set(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let words: Vec<&str> =
        rest.split(|c: char| c.is_whitespace() || c == '=').filter(|w| !w.is_empty()).collect();
    match words[..] {
        [] => tell(OPTIONS.iter().map(|o| format!("{o:<12}{}", session.settings.get(o).unwrap_or_default()))),
        [option] => match session.settings.get(option) {
            Some(value) => tell([value]),
            None => Err(refuse(
                &format!("there is no option `{option}`"),
                &format!("the options are {}", OPTIONS.join(", ")),
            )),
        },
        [option, value] => choose(session, option, value),
        _ => Err(refuse("an option has one value", "write :set OPTION VALUE")),
    }
}

/// Chooses a value, unless nothing compiles with it.
fn choose(session: &mut Session, option: &str, value: &str) -> Result<(), Failure> {
    let mut settings = session.settings.clone();
    if let Err(choices) = settings.set(option, value) {
        return Err(refuse(&format!("`{option}` cannot be set to `{value}`"), &choices));
    }
    settings.compiler()?.compile("1")?;
    session.settings = settings;
    Ok(())
}

/// An option together with what the machine has for it, or a choice.
pub(super) fn machine(session: &mut Session, option: &str, rows: &[&str], rest: &str) -> Result<(), Failure> {
    if !rest.is_empty() {
        return choose(session, option, rest);
    }
    let report = doctor::report(&inputs::compiler()?);
    let chosen = format!("{option:<16}{}", session.settings.get(option).unwrap_or_default());
    let found = report.lines().filter(|line| rows.iter().any(|row| line.starts_with(row)));
    tell(std::iter::once(chosen).chain(found.map(|line| format!("found: {line}"))))
}
