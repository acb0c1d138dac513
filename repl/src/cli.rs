//! What can be typed after `matex`.

use clap::{Args, Parser, Subcommand};
use matex::{NonFinite, Stage};

/// Tensor programs as text, compiled and run.
///
/// Without a command it reads lines: expressions, assignments and functions.
#[derive(Debug, Parser)]
#[command(name = "matex", version, about, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Write what compiling and running took to this file, for Perfetto or chrome://tracing
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) trace: Option<String>,
}

const EXAMPLES: &str = "\
Values are literals (3.5, true, [1,2,3]) or files (a.npy, z.npz:key, d.csv:height,age, w.safetensors:key).

Examples:
  matex eval 'sqrt(mean((a-b)**2))' a=a.npy b=b.csv
  matex run ols.mx X=data.csv:height,age y=data.csv:weight -o beta.npy
  matex explain E0203";

impl Cli {
    /// Whether results and errors are wanted as JSON.
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Some(Command::Eval { to, .. } | Command::Run { to, .. }) => to.json,
            Some(Command::Bench { json, .. }) => *json,
            Some(
                Command::Dump { .. }
                | Command::Explain { .. }
                | Command::Doctor { .. }
                | Command::Completions { .. }
                | Command::Man,
            )
            | None => false,
        }
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Evaluate a program that is given as text
    Eval {
        /// The program: an expression, a block in braces, or functions
        #[arg(value_name = "PROGRAM", allow_hyphen_values = true, value_parser = no_option)]
        text: String,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        to: To,
    },
    /// Run a program from a file
    Run {
        #[command(flatten)]
        program: Source,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        to: To,
    },
    /// Show a program on its way to the machine
    Dump {
        #[command(flatten)]
        program: Source,
        #[command(flatten)]
        values: Values,
        /// What to show: tensor, optimized, kernels, plan, clif, asm or wgsl
        #[arg(long, value_name = "STAGE", default_value = "tensor")]
        stage: Stage,
    },
    /// Explain an error code, or what a call of a program does
    Explain {
        /// A code such as E0203, or a file (`-` for standard input)
        #[arg(value_name = "CODE|FILE")]
        what: String,
        /// The function to start with
        #[arg(long, value_name = "NAME")]
        entry: Option<String>,
        /// Show why what runs equals what was written, step by step
        #[arg(long)]
        why: bool,
        /// Write a page for a browser to this file: source, IR, kernels, machine code, memory and times, linked
        #[arg(long, value_name = "FILE")]
        html: Option<String>,
        #[command(flatten)]
        values: Values,
    },
    /// Show what this program found on this machine
    Doctor {
        /// Measure what work costs here, and keep it for plans that are run
        #[arg(long)]
        calibrate: bool,
    },
    /// Write the completions of a shell to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page to standard output
    Man,
    /// Measure a program: compilation, the first call, and steady calls
    Bench {
        #[command(flatten)]
        program: Source,
        #[command(flatten)]
        values: Values,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
}

/// A program in a file.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The file of the program; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// The function to start with; else `main`, or the last one
    #[arg(long, value_name = "NAME")]
    pub(crate) entry: Option<String>,
}

/// The values of parameters.
#[derive(Debug, Args)]
pub(crate) struct Values {
    /// Values: literals or files, by name (`x=a.npy`, `0=3.5` for $0) or by place
    #[arg(value_name = "NAME=VALUE", allow_negative_numbers = true)]
    pub(crate) values: Vec<String>,
}

/// Where results go, and what a run may take.
#[derive(Debug, Args)]
pub(crate) struct To {
    /// Write the results to this file: .npy, .npz, .csv or .json
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// Print one JSON value, errors included
    #[arg(long)]
    pub(crate) json: bool,
    /// The most steps that all loops take together
    #[arg(long, value_name = "N")]
    pub(crate) max_steps: Option<u64>,
    /// What NaN or infinity in an operand of linear algebra is: an error, or a reason for a result of nan
    #[arg(long, value_name = "error|nan", default_value = "error")]
    pub(crate) non_finite: NonFinite,
}

/// A program may begin with a sign; a word behind two of them is an option that there is not.
fn no_option(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("--").unwrap_or_default();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let option = name.split('=').next().unwrap_or_default();
    if option.starts_with(|c: char| c.is_ascii_alphabetic()) && option.chars().all(word) {
        return Err(format!(
            "there is no option `--{option}`; a program that begins so is written `-(-{option})`"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn negative_numbers_are_values() {
        let cli = Cli::try_parse_from(["matex", "eval", "-x + y", "x=-1", "-2.5", "--json"]).unwrap();
        assert!(cli.json());
        let Some(Command::Eval { text, values, .. }) = cli.command else { panic!() };
        assert_eq!((text.as_str(), values.values), ("-x + y", vec!["x=-1".to_string(), "-2.5".to_string()]));
    }
}
