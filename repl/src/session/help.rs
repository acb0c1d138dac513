//! `:help`, and `name?`.

use super::commands::{COMMANDS, find, refuse, tell};
use super::complete::head;
use super::print;
use super::state::{Session, draw};
use crate::failure::Failure;
use crate::output::LINE;
use matex::Error;
use matex_lang::functions;

const LINES: &[&str] = &[
    "1 + 2 * 3                    an expression: its value is printed, and _ is that value",
    "x = arange(6)                an assignment: x keeps its value",
    "fn f(x: f64[n]) { x * 2 }    a function, for the lines below it",
    "x * 2;                       a `;` at the end: nothing is printed",
    "sum?                         what a function does, with an example",
    "",
];

const KEYS: &str = "\nTab completes, Ctrl-R searches the history, Ctrl-C stops a program, Ctrl-D leaves. An open bracket goes on in the \
                    next line. A command may be cut short: :q is :quit.";

/// What each function gives: the page that people read is the table.
const PAGE: &str = include_str!("../../../docs/functions.md");

/// `:help [COMMAND]`
pub(super) fn commands(session: &mut Session, rest: &str) -> Result<(), Failure> {
    if !rest.is_empty() {
        let command = find(rest.trim_start_matches(':')).map_err(|d| draw(vec![d], rest, &session.origin))?;
        return tell([format!(":{} {}", command.name, command.args), format!("  {}", command.about)])
            .and_then(|()| tell(example_of(command.name).map(|e| format!("  > {e}"))));
    }
    let rows = COMMANDS.iter().map(|c| format!("{:<28} {}", format!(":{} {}", c.name, c.args), c.about));
    tell(LINES.iter().map(|l| (*l).to_owned()).chain(rows).chain([KEYS.to_owned()]))
}

/// A line with a command.
fn example_of(command: &str) -> Option<&'static str> {
    Some(match command {
        "help" => ":help time",
        "type" => ":type arange(6).reshape([2, 3])",
        "load" => ":load data.csv:height,age as X",
        "save" => ":save x,y both.npz",
        "time" => ":time sum(arange(1000000))",
        "bench" => ":bench sum(arange(1000000))",
        "explain" => ":explain E0203",
        "grad" => ":grad sum(x**2)",
        "plot" => ":plot sin(linspace(0.0, 6.0, 200))",
        "ir" => ":ir kernels sum(arange(9) * 2)",
        "clif" => ":clif arange(9) * 2",
        "wgsl" => ":wgsl exp(cast(arange(9), f32))",
        "asm" => ":asm arange(9) * 2",
        "device" => ":device cpu",
        "threads" => ":threads 1",
        "simd" => ":simd 128",
        "nan" => ":nan on",
        "set" => ":set max_steps 1000",
        _ => return None,
    })
}

/// `name?`
pub(super) fn about(session: &Session, name: &str) -> Result<(), Failure> {
    if let Some(tensor) = session.get(name) {
        return tell([format!("{name}: {}", tensor.describe())]);
    }
    if let Some((_, source)) = session.functions.iter().find(|(n, _)| n == name) {
        return tell([source.clone()]);
    }
    let all = functions();
    let Some((_, params)) = all.iter().find(|(n, _)| *n == name) else {
        let near = all.iter().map(|(n, _)| (strsim::damerau_levenshtein(n, name), *n)).min();
        let help = match near {
            Some((distance, near)) if distance * 3 <= name.len() => {
                format!("a function with a similar name is {near}")
            }
            Some(_) | None => "Tab lists the names that begin as a word does".to_owned(),
        };
        return Err(refuse(&format!("there is nothing with the name `{name}`"), &help));
    };
    tell([format!("{name}({params})")])?;
    tell(described(name).map(|gives| format!("  {gives}")))?;
    let example = example(name, params);
    match run(&example) {
        Ok(value) => {
            tell([format!("  > {example}")].into_iter().chain(value.lines().map(|l| format!("  {l}"))))
        }
        Err(error) if is_later(&error) => tell(["  this version does not have it yet".to_owned()]),
        // It takes something that no example was written for.
        Err(_) => Ok(()),
    }
}

/// The head of a function by its name.
pub(super) fn signature(session: &Session, name: &str) -> Option<String> {
    if session.get(name).is_some() {
        return None;
    }
    if let Some((_, source)) = session.functions.iter().find(|(n, _)| n == name) {
        return Some(head(name, source));
    }
    functions().iter().find(|(n, _)| *n == name).map(|(_, params)| format!("{name}({params})"))
}

/// What a function gives, from its row in the page of functions.
fn described(name: &str) -> Option<String> {
    let head = format!("| `{name}(");
    let row = PAGE.lines().find(|line| line.starts_with(&head))?;
    let (_, gives) = row.strip_suffix(" |")?.split_once("` | ")?;
    Some(gives.replace("\\|", "|").replace('`', ""))
}

fn run(example: &str) -> Result<String, Error> {
    Ok(print::results(&matex::compile(example)?.call(&[])?, LINE))
}

/// Whether a function is one of those that are to come.
fn is_later(error: &Error) -> bool {
    error.code().to_string().starts_with("E09")
}

/// A call that shows what a function does.
fn example(name: &str, params: &str) -> String {
    if let Some((_, example)) = EXAMPLES.iter().find(|(n, _)| *n == name) {
        return (*example).to_owned();
    }
    match params {
        "x, y" | "y, x" => format!("{name}([7, 12], 5)"),
        p if p.starts_with("x, axis=") => format!("{name}([[1.0, 4.0], [3.0, 2.0]], axis=0)"),
        p if p.starts_with("A, b") => format!("{name}([[2.0, 0.0], [0.0, 4.0]], [1.0, 2.0])"),
        p if p.starts_with('A') => format!("{name}([[2.0, 1.0], [1.0, 3.0]])"),
        p if p.starts_with("key, shape") => format!("{name}(key(1), [3])"),
        _ => format!("{name}([0.25, 1.0])"),
    }
}

/// Examples of functions that take something of their own.
const EXAMPLES: &[(&str, &str)] = &[
    ("arange", "arange(0, 10, 3)"),
    ("bernoulli", "bernoulli(key(1), 0.5, [3])"),
    ("bitcast", "bitcast([1.5, 2.0], i64)"),
    ("bitwise_invert", "bitwise_invert([0, 5])"),
    ("broadcast_to", "broadcast_to([1, 2], [2, 2])"),
    ("cast", "cast([1.5, 2.0], f32)"),
    ("concat", "concat([[1, 2], [3]])"),
    ("cross", "cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])"),
    ("diagonal", "diagonal([[1, 2], [3, 4]])"),
    ("dot", "dot([1, 2], [3, 4])"),
    ("einsum", "einsum(\"ij,j->i\", [[1, 2], [3, 4]], [1, 1])"),
    ("eye", "eye(2)"),
    ("fma", "fma([1.0, 2.0], 3.0, 4.0)"),
    ("fold", "fold(add, 0, [1, 2, 3])"),
    ("fold_in", "fold_in(key(1), 2)"),
    ("full", "full([2, 2], 7)"),
    ("full_like", "full_like([1, 2], 7)"),
    ("gather", "gather([[1, 2], [3, 4]], [[0, 0], [1, 0]], axis=1)"),
    ("key", "key(1)"),
    ("linspace", "linspace(0.0, 1.0, 5)"),
    ("logical_and", "logical_and([true, false], true)"),
    ("logical_not", "logical_not([true, false])"),
    ("logical_or", "logical_or([true, false], false)"),
    ("logical_xor", "logical_xor([true, false], true)"),
    ("lstsq", "lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0])"),
    ("matmul", "matmul([[1, 2], [3, 4]], [1, 1])"),
    ("matrix_norm", "matrix_norm([[3.0, 0.0], [0.0, 4.0]])"),
    ("matrix_power", "matrix_power([[1, 1], [1, 0]], 5)"),
    ("matrix_transpose", "matrix_transpose([[1, 2], [3, 4]])"),
    ("moveaxis", "moveaxis([[1, 2], [3, 4]], 0, 1)"),
    ("normal", "normal(key(1), [3])"),
    ("one_hot", "one_hot([0, 2], 3)"),
    ("ones", "ones([2, 2])"),
    ("outer", "outer([1, 2], [3, 4])"),
    ("pad", "pad([1, 2], [[1, 1]])"),
    ("permutation", "permutation(key(1), 3)"),
    ("permute_dims", "permute_dims([[1, 2], [3, 4]], [1, 0])"),
    ("randint", "randint(key(1), [3], 0, 10)"),
    ("repeat", "repeat([1, 2], 2)"),
    ("reshape", "reshape([1, 2, 3, 4], [2, 2])"),
    ("roll", "roll([1, 2, 3], 1)"),
    ("scan", "scan(add, 0, [1, 2, 3])"),
    ("scatter", "scatter([0, 0, 0], [2], [7], axis=0)"),
    ("scatter_add", "scatter_add([0, 0, 0], [2, 2], [7, 1], axis=0)"),
    ("searchsorted", "searchsorted([1.0, 2.0, 4.0], [3.0])"),
    ("solve", "solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 2.0])"),
    ("solve_triangular", "solve_triangular([[2.0, 0.0], [1.0, 4.0]], [1.0, 2.0], lower=true)"),
    ("split", "split([1, 2, 3, 4], 2)"),
    ("squeeze", "squeeze([[1, 2]], axis=0)"),
    ("take", "take([10, 20, 30], [2, 0])"),
    ("take_along_axis", "take_along_axis([[1, 2], [3, 4]], [[0], [1]], axis=1)"),
    ("tensordot", "tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]], 1)"),
    ("tile", "tile([1, 2], [2])"),
    ("topk", "topk([3.0, 1.0, 2.0], 2)"),
    ("trace", "trace([[1, 2], [3, 4]])"),
    ("tril", "tril([[1, 2], [3, 4]])"),
    ("triu", "triu([[1, 2], [3, 4]])"),
    ("uniform", "uniform(key(1), [3])"),
    ("vecdot", "vecdot([1, 2], [3, 4])"),
    ("where", "where([true, false], 1, 2)"),
    ("zeros", "zeros([2, 2])"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_run() {
        for (name, example) in EXAMPLES {
            assert!(functions().iter().any(|(n, _)| n == name), "{name}");
            if let Err(error) = run(example) {
                assert!(is_later(&error), "{example}\n{error}");
            }
        }
        // A function whose parameters are of the usual kind needs no example of its own.
        let known = |(name, params): &(&str, &str)| {
            run(&example(name, params)).map_or_else(|e| is_later(&e), |_| true)
        };
        let all = functions();
        assert!(all.iter().filter(|f| known(f)).count() * 10 > all.len() * 9);
    }

    #[test]
    fn functions_are_described() {
        assert_eq!(described("sum").as_deref(), Some("sum; of nothing 0"));
        assert_eq!(described("logical_or").as_deref(), Some("x || y"));
        assert_eq!(described("nonsense"), None);
    }
}
