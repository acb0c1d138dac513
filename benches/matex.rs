//! `cargo bench -p matex`: what matex costs, next to plain Rust in the same run.
//!
//! Contestants alternate, and each figure is a median. Loops are compiled for the vectors that the CPU has, which matex finds too; the
//! crates that are compared choose theirs by themselves, or have those of any CPU of this kind. `--json` prints one JSON object
//! a line instead of a table; names of tables (`stages`, `phases`, `overhead`, `nine`, `sizes`, `work`, `cachesizes`, `scans`, `plans`, `layers`,
//! `threads`, `linalg`, `plot`, `gpu`, `derivatives`) choose those, and `--row TEXT` the rows of linear algebra whose names contain
//! it. Run without `--bench`, as `cargo test --benches` does, everything runs once on small data and nothing is measured.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

mod derivatives;
mod gpu;
mod linalg;
mod nine;
mod plot;
mod threads;
mod work;

use matex::{AsView, Limits};
use matex_codegen_cpu::KernelCache;
use matex_lang::unit::{ArgSpec, Unit};
use matex_passes::lower::lower_with;
use matex_passes::{LayoutClass, Options, algebra, canon, fuse, lower, run_pipeline};
use std::hint::black_box;
use std::time::Instant;

/// How much is measured, and how it is shown.
pub(crate) struct Bench {
    /// Whether this is a measurement and no smoke test.
    pub(crate) real: bool,
    json: bool,
    /// What the names of rows have to contain, where only some are asked for.
    row: Option<String>,
}

impl Bench {
    /// Whether a row of a table is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.row.as_ref().is_none_or(|row| name.contains(row))
    }

    /// The medians in nanoseconds of some contestants that run in turns.
    pub(crate) fn times(&self, contestants: &mut [&mut dyn FnMut()]) -> Vec<f64> {
        let mut inner = Vec::new();
        for run in contestants.iter_mut() {
            run();
            let start = Instant::now();
            run();
            let once = start.elapsed().as_nanos().max(20) as usize;
            inner.push(if self.real { (20_000 / once).clamp(1, 1000) } else { 1 });
        }
        let mut samples = vec![Vec::new(); contestants.len()];
        let begin = Instant::now();
        let rounds = if self.real { 301 } else { 1 };
        for round in 0..rounds {
            if round > 10 && begin.elapsed().as_millis() > 1500 {
                break;
            }
            for ((run, inner), samples) in contestants.iter_mut().zip(&inner).zip(&mut samples) {
                // What the one before has left in the caches is nobody's merit: peers in processes of their own find their own.
                run();
                let start = Instant::now();
                (0..*inner).for_each(|_| run());
                samples.push(start.elapsed().as_nanos() as f64 / *inner as f64);
            }
        }
        samples.into_iter().map(median).collect()
    }

    /// The fastest runs in nanoseconds of some contestants that run in turns.
    pub(crate) fn fastest(&self, contestants: &mut [&mut dyn FnMut()]) -> Vec<f64> {
        let mut best = vec![f64::INFINITY; contestants.len()];
        let begin = Instant::now();
        let rounds = if self.real { 2000 } else { 1 };
        for round in 0..rounds {
            if round > 4 && begin.elapsed().as_millis() > 2000 {
                break;
            }
            let mut turns: Vec<_> = contestants.iter_mut().zip(&mut best).collect();
            if round % 2 == 1 {
                // Who comes next finds the memory of the one before in the caches.
                turns.reverse();
            }
            for (run, best) in turns {
                // A run that is short next to a look at the clock is repeated.
                let mut count = 1;
                loop {
                    let start = Instant::now();
                    (0..count).for_each(|_| run());
                    let all = start.elapsed().as_nanos() as f64;
                    if all >= 10_000.0 || !self.real {
                        *best = best.min(all / f64::from(count));
                        break;
                    }
                    count *= 4;
                }
            }
        }
        best
    }

    /// Prints a line of a table.
    pub(crate) fn line(&self, table: &str, name: &str, figures: &[(&str, f64)]) {
        if self.json {
            let figures: String = figures.iter().map(|(k, v)| format!(",\"{k}\":{v:.3}")).collect();
            println!("{{\"table\":\"{table}\",\"name\":\"{name}\"{figures}}}");
            return;
        }
        let figures: String = figures.iter().map(|(k, v)| format!("  {k} {v:>10.2}")).collect();
        println!("{name:<34}{figures}");
    }

    /// Prints a line of a table that is text.
    pub(crate) fn text(&self, table: &str, name: &str, text: &str) {
        if self.json {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            println!("{{\"table\":\"{table}\",\"name\":\"{name}\",\"text\":\"{text}\"}}");
            return;
        }
        println!("{name:<34}  {text}");
    }

    fn title(&self, text: &str) {
        if !self.json {
            println!("\n{text}");
        }
    }
}

/// A loop of plain Rust as it is when it is compiled for the CPU that it runs on.
pub(crate) fn native(mut run: impl FnMut()) -> impl FnMut() {
    let arch = pulp::Arch::new();
    move || arch.dispatch(&mut run)
}

pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn main() {
    let given = |name: &str| std::env::args().any(|a| a == name);
    let row = std::env::args().skip_while(|a| a != "--row").nth(1);
    let bench = Bench { real: given("--bench"), json: given("--json"), row };
    type Table = (&'static str, &'static str, fn(&Bench));
    let tables: [Table; 15] = [
        ("stages", "From text to the first result, ms", |b| {
            [1, 10, 30, 135, 200].iter().for_each(|ops| stages(b, *ops));
        }),
        ("phases", "The optimizer by phase, ms", |b| {
            [10, 30, 135, 200].iter().for_each(|ops| phases(b, *ops));
        }),
        ("overhead", "A call on 10 elements, ns", overhead),
        ("nine", "Nine matrices added, ns", nine::all),
        ("sizes", "One program at 1,000 sizes", sizes),
        ("work", "Workloads, µs", work::all),
        ("cachesizes", "Workloads of other sizes, µs", work::sizes),
        ("scans", "Running sums and gathers, µs", work::scans::all),
        ("plans", "Plans of the examples, every size 1024", work::plans::all),
        ("layers", "A matrix product and what is around it, µs", work::layers::all),
        ("threads", "One thread and all, µs", threads::all),
        ("linalg", "Linear algebra, µs", linalg::all),
        ("plot", "Speed against size, µs, and docs/speed.svg", plot::all),
        (
            "gpu",
            "The GPU, where the build has one (`--features matex/gpu`), and what it is of its limits",
            gpu::all,
        ),
        ("derivatives", "Gradients, Jacobians, mapped solves, random numbers, µs", derivatives::all),
    ];
    let all = !tables.iter().any(|(name, ..)| given(name));
    for (_, title, run) in tables.iter().filter(|(name, ..)| all || given(name)) {
        bench.title(title);
        run(&bench);
    }
}

/// A program of that many elementwise operations, no two lines the same.
fn program(ops: usize) -> String {
    let lines: String = (0..ops)
        .map(|i| match i % 4 {
            0 => format!("t = t + {}.5 * 1.0;\n", i + 1),
            1 => "t = t * y;\n".to_owned(),
            2 => "t = t - x;\n".to_owned(),
            _ => "t = abs(t);\n".to_owned(),
        })
        .collect();
    format!("fn main(x: f64[n], y: f64[n]) -> f64[n] {{\nt = x;\n{lines}return t\n}}")
}

/// The time of each stage of a program that was never seen before, and of all of it up to the result.
fn stages(bench: &Bench, ops: usize) {
    let (source, limits) = (program(ops), Limits::default());
    let spec = || Some(ArgSpec { dtype: matex::DType::F64, ones: vec![false], weak: false });
    let data = [1.0f64, 2.0, 3.0];
    let mut samples = vec![Vec::new(); 6];
    for _ in 0..if bench.real { 21 } else { 1 } {
        let mut clock = Instant::now();
        let mut lap = |i: usize| {
            samples[i].push(clock.elapsed().as_secs_f64() * 1e3);
            clock = Instant::now();
        };
        black_box(matex_lang::parse(&source, &limits).unwrap());
        lap(0);
        let unit = Unit::new(&source, None, &limits).unwrap();
        let func = unit.specialize(&[spec(), spec()]).unwrap();
        lap(1);
        let options = Options::default();
        let func = run_pipeline(&func, &options, |_, _| {});
        let plan = lower(&func, &[LayoutClass::Contiguous; 2], &options).unwrap();
        lap(2);
        for kernel in &plan.kernels {
            black_box(matex_codegen_cpu::compile(kernel).unwrap());
        }
        lap(3);
        KernelCache::global().clear();
        lap(4);
        let f = matex::compile(&source).unwrap();
        black_box(f.call(&[&data, &data]).unwrap());
        lap(5);
    }
    samples.remove(4); // the time of emptying the cache
    let names = ["parse", "check", "lower", "compile", "all"];
    let figures: Vec<(&str, f64)> = names.into_iter().zip(samples.into_iter().map(median)).collect();
    bench.line("stages", &format!("{ops} operations"), &figures);
}

/// The time of each phase between the tensor IR and the kernels.
fn phases(bench: &Bench, ops: usize) {
    let spec = || Some(ArgSpec { dtype: matex::DType::F64, ones: vec![false], weak: false });
    let unit = Unit::new(&program(ops), None, &Limits::default()).unwrap();
    let func = unit.specialize(&[spec(), spec()]).unwrap();
    let options = Options::default();
    let mut samples = vec![Vec::new(); 5];
    for _ in 0..if bench.real { 101 } else { 1 } {
        let mut clock = Instant::now();
        let mut lap = |i: usize| {
            samples[i].push(clock.elapsed().as_secs_f64() * 1e3);
            clock = Instant::now();
        };
        let canonical = black_box(canon::canonicalize(&func));
        lap(0);
        let (simple, _) = black_box(algebra::simplify(&canonical, &options));
        lap(1);
        let fusion = black_box(fuse::choose(&simple, &options.sizes, options.costs));
        lap(2);
        black_box(lower_with(&simple, &[LayoutClass::Contiguous; 2], &fusion).unwrap());
        lap(3);
        black_box(lower(&run_pipeline(&func, &options, |_, _| {}), &[], &options).unwrap());
        lap(4);
    }
    let names = ["canonical", "algebra", "fuse", "plan", "all"];
    let figures: Vec<(&str, f64)> = names.into_iter().zip(samples.into_iter().map(median)).collect();
    bench.line("phases", &format!("{ops} operations"), &figures);
}

fn overhead(bench: &Bench) {
    let x = [1.5f64; 10];
    let mut out = [0.0f64; 10];
    let one = matex::compile("x + 1").unwrap();
    let one_typed = one.typed::<fn(&[f64; 10]) -> Vec<f64>>().unwrap();
    let one_into = one.typed::<fn(&[f64; 10], &mut [f64; 10])>().unwrap();
    let mut other = [0.0f64; 10];
    let times = bench.fastest(&mut [
        &mut || drop(black_box(one.call(&[&x]).unwrap())),
        &mut || drop(black_box(one_typed(&x).unwrap())),
        &mut || one.call_into(&[&x], &mut [&mut out]).unwrap(),
        &mut || one_into(&x, &mut other).unwrap(),
    ]);
    show_overhead(bench, "1 argument, 1 kernel", &times);
    type Nine = [f64; 10];
    type Into = fn(&Nine, &Nine, &Nine, &Nine, &Nine, &Nine, &Nine, &Nine, &Nine, &mut Nine);
    type Out = fn(&Nine, &Nine, &Nine, &Nine, &Nine, &Nine, &Nine, &Nine, &Nine) -> Vec<f64>;
    let nine = matex::compile("a + b + c + d + e + f + g + h + i").unwrap();
    let (typed, into) = (nine.typed::<Out>().unwrap(), nine.typed::<Into>().unwrap());
    let args: [&dyn AsView; 9] = [&x; 9];
    let times = bench.fastest(&mut [
        &mut || drop(black_box(nine.call(&args).unwrap())),
        &mut || drop(black_box(typed(&x, &x, &x, &x, &x, &x, &x, &x, &x).unwrap())),
        &mut || nine.call_into(&args, &mut [&mut out]).unwrap(),
        &mut || into(&x, &x, &x, &x, &x, &x, &x, &x, &x, &mut other).unwrap(),
    ]);
    let kernels = nine.cost(&args.each_ref().map(|a| matex::Arg::new(a))).unwrap().kernels;
    show_overhead(bench, &format!("9 arguments, {kernels} kernels"), &times);
}

fn show_overhead(bench: &Bench, name: &str, times: &[f64]) {
    let names = ["call", "typed", "call_into", "typed into"];
    let figures: Vec<(&str, f64)> = names.into_iter().zip(times.iter().copied()).collect();
    bench.line("overhead", name, &figures);
}

fn sizes(bench: &Bench) {
    let f = matex::compile("{ m = a + b; return m / (m[0] + m[1]) }").unwrap();
    let data = vec![1.0f64; 1002];
    f.call(&[&data[..2], &data[..2]].map(|x| x as &[f64]).each_ref().map(|x| x as &dyn AsView)).unwrap();
    let before = KernelCache::global().stats().compiled;
    let count = if bench.real { 1000 } else { 3 };
    let start = Instant::now();
    for n in 2..count + 2 {
        let x = &data[..n];
        black_box(f.call(&[&x, &x]).unwrap());
    }
    let each = start.elapsed().as_nanos() as f64 / count as f64;
    let compiled = (KernelCache::global().stats().compiled - before) as f64;
    bench.line("sizes", "kernels compiled, ns a call", &[("kernels", compiled), ("ns", each)]);
}
