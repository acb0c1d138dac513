//! The `matex` program: tensor programs from the command line.
//!
//! Data goes to standard output and diagnostics to standard error. Exit codes: 0 done, 1 the program or its data is
//! wrong, 2 usage, 3 a bug in matex, 130 interrupted.

mod bench;
mod cli;
mod commands;
mod costs;
mod data;
mod doctor;
mod failure;
mod folders;
mod inputs;
mod interrupt;
mod manual;
mod output;
mod page;
mod perf;
mod session;
mod trace;

use clap::Parser;
use cli::Cli;
use failure::Failure;
use std::process::ExitCode;

/// Programs nest, and what walks them calls itself: this much stack is more than any program that the limits admit
/// can use. It is address space only until it is touched.
const STACK: usize = 64 << 20;

fn main() -> ExitCode {
    // Clap ends with 0 for --help and --version, and with 2 for wrong usage.
    let cli = Cli::parse();
    let json = cli.json();
    // What panics is caught and reported as a bug; Rust's own lines would only stand in the way of that.
    std::panic::set_hook(Box::new(|_| {}));
    let worker = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        interrupt::install();
        commands::run(cli)
    });
    let result = match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(Failure::bug(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")))
        }
        Err(error) => Err(Failure::bug(&format!("cannot start a thread: {error}"))),
    };
    perf::write_map();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(json);
            ExitCode::from(failure.exit_code())
        }
    }
}
