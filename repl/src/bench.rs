//! `matex bench`: how long a program takes to compile, to run once, and to run again.

use crate::cli::{Source, Values};
use crate::commands::print;
use crate::failure::Failure;
use crate::{inputs, interrupt};
use matex::CallOptions;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long steady calls are measured, and how many there are at least and at most.
const TIME: Duration = Duration::from_millis(500);
const FEWEST: usize = 3;
const MOST: usize = 100_000;

/// Measures and prints.
pub(crate) fn run(program: &Source, values: &Values, json: bool) -> Result<(), Failure> {
    let values = inputs::load(&values.values)?;
    let args = inputs::arguments(&values);
    let start = Instant::now();
    let function = inputs::compile_file(&program.file, program.entry.as_deref())?;
    let compile = start.elapsed().as_secs_f64();
    let options = CallOptions::new().cancel(interrupt::flag());
    let call = || -> Result<f64, Failure> {
        let start = Instant::now();
        interrupt::during(|| function.call_with(&options, &args))?;
        Ok(start.elapsed().as_secs_f64())
    };
    let first = call()?;
    let (mut times, begin) = (Vec::new(), Instant::now());
    while times.len() < FEWEST || (begin.elapsed() < TIME && times.len() < MOST) {
        times.push(call()?);
    }
    times.sort_by(f64::total_cmp);
    let (min, median) = (times[0], times[times.len() / 2]);
    let cost = function.cost(&args)?;
    if json {
        let value = json!({
            "compile_s": compile, "first_s": first, "min_s": min, "median_s": median,
            "bytes": cost.bytes, "kernels": cost.kernels, "library_calls": cost.library_calls, "calls": times.len(),
        });
        return print(&format!("{value}\n"));
    }
    print(&format!(
        "compile      {}\nfirst call   {}\nminimum      {}\nmedian       {}  of {} calls\nbytes        {} in and out, {:.3} GB/s at the minimum\nkernels      {}\nlibrary      {} calls\n",
        time(compile),
        time(first),
        time(min),
        time(median),
        times.len(),
        cost.bytes,
        cost.bytes as f64 / min.max(1e-9) / 1e9,
        cost.kernels,
        cost.library_calls,
    ))
}

/// Seconds in a unit that suits them.
fn time(seconds: f64) -> String {
    let (scale, unit) = match seconds {
        s if s < 1e-6 => (1e9, "ns"),
        s if s < 1e-3 => (1e6, "us"),
        s if s < 1.0 => (1e3, "ms"),
        _ => (1.0, "s"),
    };
    format!("{:.3} {unit}", seconds * scale)
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn units() {
        assert_eq!(time(1.5e-8), "15.000 ns");
        assert_eq!(time(0.0025), "2.500 ms");
        assert_eq!(time(2.0), "2.000 s");
    }
}
