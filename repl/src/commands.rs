//! What each command does.

use crate::cli::{Cli, Command, Source, To, Values};
use crate::data::{self, DataError};
use crate::failure::{Failure, colors};
use crate::{bench, costs, doctor, inputs, interrupt, manual, output, page, session, trace};
use matex::{CallOptions, Function, Outputs, Stage};
use matex_lang::{Code, codes};
use serde_json::json;
use std::io::Write;

/// Runs a command.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { command, trace } = cli;
    trace::recorded(trace.as_deref(), || carry_out(command))
}

fn carry_out(command: Option<Command>) -> Result<(), Failure> {
    match command {
        None => session::run(),
        Some(Command::Eval { text, values, to }) => {
            let compiler = inputs::running()?.non_finite(to.non_finite);
            let function = compiler.file_name("<eval>").compile(&text)?;
            call(&function, &values, &to)
        }
        Some(Command::Run { program, values, to }) => {
            let compiler = inputs::running()?.non_finite(to.non_finite);
            call(&inputs::compile_file(compiler, &program.file, program.entry.as_deref())?, &values, &to)
        }
        Some(Command::Dump { program, values, stage }) => dump(&compile(&program)?, &values, stage),
        Some(Command::Explain { what, entry, why, html, values }) => match code(&what) {
            Some(code) => explain_code(code),
            None => {
                let function = inputs::compile_file(inputs::compiler()?, &what, entry.as_deref())?;
                explain(&function, &values, why, html.as_deref())
            }
        },
        Some(Command::Doctor { calibrate }) => {
            if calibrate {
                costs::calibrate()?;
            }
            print(&doctor::report(&inputs::compiler()?))
        }
        Some(Command::Completions { shell }) => print(&manual::completions(shell)),
        Some(Command::Man) => print(&manual::page()?),
        Some(Command::Bench { program, values, json }) => bench::run(&program, &values, json),
    }
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let refused = |e: std::io::Error| {
        DataError::new(codes::FILE_NOT_WRITTEN, "standard output", format!("cannot write: {e}")).into()
    };
    output::write(text).map_err(refused)
}

fn compile(program: &Source) -> Result<Function, Failure> {
    inputs::compile_file(inputs::compiler()?, &program.file, program.entry.as_deref())
}

fn call(function: &Function, values: &Values, to: &To) -> Result<(), Failure> {
    let values = inputs::load(&values.values)?;
    let mut options = CallOptions::new().cancel(interrupt::flag());
    if let Some(steps) = to.max_steps {
        options = options.max_steps(steps);
    }
    let outputs = interrupt::during(|| function.call_with(&options, &inputs::arguments(&values)));
    let outputs = outputs?;
    if interrupt::take() {
        return Err(Failure::Interrupted);
    }
    warn(&outputs);
    deliver(&outputs, to)
}

/// Tells warnings on standard error, where they stand in no reader's way.
fn warn(outputs: &Outputs) {
    for warning in outputs.warnings() {
        let text = if colors() { warning.to_ansi() } else { warning.to_string() };
        // Whoever closed standard error does not want to hear of it.
        let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    }
}

/// Writes results to where they are wanted.
fn deliver(outputs: &Outputs, to: &To) -> Result<(), Failure> {
    let named: Vec<(&str, &matex::Tensor)> =
        outputs.names().iter().map(String::as_str).zip(outputs.iter()).collect();
    let Some(path) = &to.output else {
        return if to.json {
            print(&format!("{}\n", data::to_json(&named)))
        } else {
            print(&output::show(outputs, output::LINE))
        };
    };
    interrupt::during(|| data::save(path, &named))?;
    if to.json {
        let kinds = named
            .iter()
            .map(|(name, t)| json!({ "name": name, "dtype": t.dtype().name(), "shape": t.shape() }));
        let kinds: Vec<serde_json::Value> = kinds.collect();
        print(&format!("{}\n", json!({ "outputs": kinds, "file": path })))?;
    }
    Ok(())
}

fn dump(function: &Function, values: &Values, stage: Stage) -> Result<(), Failure> {
    if values.values.is_empty() {
        return print(&function.dump(stage)?);
    }
    let values = inputs::load(&values.values)?;
    print(&function.dump_for(stage, &inputs::arguments(&values))?)
}

fn explain(function: &Function, values: &Values, why: bool, html: Option<&str>) -> Result<(), Failure> {
    let values = inputs::load(&values.values)?;
    if let Some(path) = html {
        return page::write(function, &values, path);
    }
    print(&function.explain_with(&inputs::arguments(&values))?)?;
    if !why {
        return Ok(());
    }
    let proofs = function.proofs(&inputs::arguments(&values))?;
    print(&proved(&proofs))
}

/// Why what runs equals what was written.
pub(crate) fn proved(proofs: &[String]) -> String {
    format!("proofs: {}\n{}", proofs.len(), proofs.concat())
}

/// A word that is an error code and not a file.
pub(crate) fn code(word: &str) -> Option<Code> {
    word.to_ascii_uppercase().parse().ok()
}

pub(crate) fn explain_code(code: Code) -> Result<(), Failure> {
    match codes::explain(code) {
        Some(row) => print(&format!("{}: {}\n\n{}\n", row.code, row.title, row.explanation)),
        None => {
            let error = DataError::new(
                codes::UNKNOWN_OPTION,
                &code.to_string(),
                format!("no error has the code {code}"),
            );
            Err(error.help("codes stand in the first line of an error, as in error[E0203]").into())
        }
    }
}
