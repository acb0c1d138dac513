//! `matex bench`: how long a program takes to compile, to run once, and to run again.

use crate::cli::{Source, Values};
use crate::commands::print;
use crate::failure::Failure;
use crate::{inputs, interrupt};
use matex::{CallOptions, Cost};
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
    let function = inputs::compile_file(inputs::running()?, &program.file, program.entry.as_deref())?;
    let compile = start.elapsed().as_secs_f64();
    let options = CallOptions::new().cancel(interrupt::flag());
    let steady = measure(|| {
        interrupt::during(|| function.call_with(&options, &args))?;
        Ok(())
    })?;
    let cost = function.cost(&args)?;
    if json {
        let value = json!({
            "compile_s": compile, "first_s": steady.first, "min_s": steady.min, "median_s": steady.median,
            "bytes": cost.bytes, "kernels": cost.kernels, "library_calls": cost.library_calls,
            "calls": steady.calls,
        });
        return print(&format!("{value}\n"));
    }
    print(&report(compile, &steady, cost))
}

/// The times of calls, in seconds.
pub(crate) struct Steady {
    first: f64,
    min: f64,
    median: f64,
    calls: usize,
}

/// Calls once, and then again until there are enough times.
pub(crate) fn measure(mut call: impl FnMut() -> Result<(), Failure>) -> Result<Steady, Failure> {
    let mut timed = || -> Result<f64, Failure> {
        let start = Instant::now();
        call()?;
        Ok(start.elapsed().as_secs_f64())
    };
    let first = timed()?;
    let (mut times, begin) = (Vec::new(), Instant::now());
    while times.len() < FEWEST || (begin.elapsed() < TIME && times.len() < MOST) {
        times.push(timed()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(Steady { first, min: times[0], median: times[times.len() / 2], calls: times.len() })
}

/// Times and costs as people read them.
pub(crate) fn report(compile: f64, steady: &Steady, cost: Cost) -> String {
    format!(
        "compile      {}\nfirst call   {}\nminimum      {}\nmedian       {}  of {} calls\nbytes        {} in and out, {:.3} GB/s at the minimum\nkernels      {}\nlibrary      {} calls\n",
        time(compile),
        time(steady.first),
        time(steady.min),
        time(steady.median),
        steady.calls,
        cost.bytes,
        cost.bytes as f64 / steady.min.max(1e-9) / 1e9,
        cost.kernels,
        cost.library_calls,
    )
}

/// Seconds in a unit that suits them.
pub(crate) fn time(seconds: f64) -> String {
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
