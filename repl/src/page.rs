//! `matex explain --html`: one page that shows what becomes of a program, from the source to the instructions.
//!
//! The page is one file that needs nothing else. It holds the report as JSON and a script that draws it.

use crate::data::DataError;
use crate::failure::Failure;
use crate::trace::{Mark, Recorder};
use crate::{inputs, interrupt};
use matex::{Arg, CallOptions, Function, Line, Report, Span};
use matex_lang::codes;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PAGE: &str = include_str!("page/page.html");

/// How often the program runs to be measured.
const RUNS: usize = 20;

/// Writes the page for a call with these values.
pub(crate) fn write(function: &Function, values: &[inputs::Value], path: &str) -> Result<(), Failure> {
    let args = inputs::arguments(values);
    let report = function.report(&args)?;
    let times = measure(function, &args)?;
    let json = described(&report, &times).to_string();
    // What ends a script ends it in a string, too.
    let page = PAGE.replace("{{REPORT}}", &json.replace("</", "<\\/"));
    std::fs::write(path, page)
        .map_err(|e| DataError::new(codes::FILE_NOT_WRITTEN, path, format!("cannot write: {e}")).into())
}

/// The median time of each step in microseconds, by the number under which the spans of a call name it.
fn measure(function: &Function, args: &[Arg<'_>]) -> Result<BTreeMap<u64, f64>, Failure> {
    let options = CallOptions::new().cancel(interrupt::flag());
    let mut samples: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for _ in 0..RUNS {
        let recorder = Recorder::new();
        let called = tracing::subscriber::with_default(recorder.clone(), || {
            interrupt::during(|| function.call_with(&options, args))
        });
        called?;
        // A step in a loop takes what all of its runs take together.
        let mut sums: BTreeMap<u64, f64> = BTreeMap::new();
        for (id, length) in recorder.marks().iter().filter_map(step) {
            *sums.entry(id).or_default() += length;
        }
        sums.into_iter().for_each(|(id, sum)| samples.entry(id).or_default().push(sum));
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(samples.into_iter().map(|(id, times)| (id, median(times))).collect())
}

fn step(mark: &Mark) -> Option<(u64, f64)> {
    let id = mark.fields.get("step").and_then(Value::as_u64)?;
    Some((id, mark.length?))
}

/// The report as the page's script takes it: places in the units of its strings.
fn described(report: &Report, times: &BTreeMap<u64, f64>) -> Value {
    let at = |span: &Span| [span.start, span.end].map(|byte| units(&report.source, byte as usize));
    let places = |all: &[Span]| all.iter().map(at).collect::<Vec<_>>();
    let line = |l: &Line| json!({ "text": l.text, "at": places(&l.origins) });
    let lines = |all: &[Line]| all.iter().map(line).collect::<Vec<_>>();
    let steps = report.steps.iter().map(|s| {
        let measured = s.id.and_then(|id| times.get(&(id as u64)));
        json!({
            "name": s.name, "depth": s.depth, "at": places(&s.origins),
            "reads": s.reads, "writes": s.writes, "bytes": s.bytes, "operations": s.operations,
            "expected": s.expected_us, "measured": measured,
        })
    });
    let kernels = report.kernels.iter().map(|k| {
        json!({
            "name": k.name, "maker": k.maker, "at": places(&k.origins),
            "loops": lines(&k.loops), "clif": lines(&k.clif), "assembly": lines(&k.assembly),
        })
    });
    let buffers = report.buffers.iter().map(
        |b| json!({ "number": b.number, "bytes": b.bytes, "from": b.from, "to": b.to, "result": b.result }),
    );
    json!({
        "title": report.title,
        "source": report.source,
        "tensor": lines(&report.tensor),
        "optimized": lines(&report.optimized),
        "wgsl": lines(&report.wgsl),
        "rewritings": report.rewritings,
        "steps": steps.collect::<Vec<_>>(),
        "kernels": kernels.collect::<Vec<_>>(),
        "buffers": buffers.collect::<Vec<_>>(),
        "peak": report.peak_bytes,
        "measured": format!("Measured: medians of {RUNS} calls on this machine, spans included. Expected: a roofline of no machine in particular."),
    })
}

/// A byte of a text as a place in a string of JavaScript.
fn units(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(0, |before| before.encode_utf16().count())
}

#[cfg(test)]
mod tests {
    use super::units;

    #[test]
    fn places_count_as_in_javascript() {
        assert_eq!(units("aé𝄞b", 3), 2);
        assert_eq!(units("aé𝄞b", 7), 4);
        assert_eq!(units("abc", 9), 0);
    }
}
