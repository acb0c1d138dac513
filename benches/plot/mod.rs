//! Speed against size, as `docs/speed.svg`: `cargo bench -p matex -- plot`.
//!
//! Each panel is one program, and each line one who runs it. Logarithmic both ways, elements in a nanosecond upwards.

use crate::Bench;
use matex::Compiler;
use plotters::prelude::*;
use std::hint::black_box;

const SIZES: &[usize] =
    &[30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];

/// Who runs a program, and elements in a nanosecond by size.
type Lines = Vec<(&'static str, Vec<(f64, f64)>)>;

/// One panel: a title and its lines.
type Panel = (&'static str, Lines);

/// Measures, and draws where it is a measurement.
pub(crate) fn all(bench: &Bench) {
    let panels: [Panel; 3] = [
        (
            "exp(x), f32",
            measure(bench, "exp", "exp(x)", |x, _, out| {
                out.iter_mut().zip(x).for_each(|(o, x)| *o = x.exp());
            }),
        ),
        (
            "((4x + 3)x + 2)x + 1, f32",
            measure(bench, "cubic", "((4.0*x + 3.0)*x + 2.0)*x + 1.0", |x, _, out| {
                out.iter_mut().zip(x).for_each(|(o, x)| *o = ((4.0 * x + 3.0) * x + 2.0) * x + 1.0);
            }),
        ),
        (
            "x y + sqrt(x), f32",
            measure(bench, "x*y + sqrt", "x*y + sqrt(x)", |x, y, out| {
                out.iter_mut().zip(x).zip(y).for_each(|((o, x), y)| *o = x * y + x.sqrt());
            }),
        ),
    ];
    if bench.real {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/speed.svg");
        draw(path, &panels).unwrap();
    }
}

fn measure(bench: &Bench, name: &str, source: &str, plain: impl Fn(&[f32], &[f32], &mut [f32])) -> Lines {
    let sizes = if bench.real { SIZES } else { &SIZES[..1] };
    let names = ["matex, one thread", "matex, all threads", "plain Rust"];
    let mut lines: Lines = names.into_iter().map(|n| (n, Vec::new())).collect();
    for &n in sizes {
        let x: Vec<f32> = (0..n).map(|i| (i % 1000) as f32 * 1e-3).collect();
        let y = x.clone();
        let program = |threads| Compiler::new().threads(threads).compile(source).unwrap();
        let takes_two = program(1).signature().params.len() == 2;
        let args: Vec<&dyn matex::AsView> = if takes_two { vec![&x, &y] } else { vec![&x] };
        let (one, all) = (program(1), program(0));
        let mut out = vec![vec![0f32; n]; 3];
        let [first, second, third] = out.as_mut_slice() else { continue };
        let times = bench.times(&mut [
            &mut || one.call_into(&args, &mut [first]).unwrap(),
            &mut || all.call_into(&args, &mut [second]).unwrap(),
            &mut || {
                plain(black_box(&x), black_box(&y), third);
                black_box(&mut *third);
            },
        ]);
        for ((_, points), time) in lines.iter_mut().zip(&times) {
            points.push((n as f64, n as f64 / time));
        }
        let figures: Vec<(&str, f64)> =
            ["one", "all", "loop"].into_iter().zip(times.iter().map(|t| t / 1e3)).collect();
        bench.line("plot", &format!("{name}, {n}"), &figures);
    }
    lines
}

fn draw(path: &str, panels: &[Panel; 3]) -> Result<(), Box<dyn std::error::Error>> {
    let colors = [RGBColor(20, 90, 170), RGBColor(20, 150, 90), RGBColor(200, 110, 20)];
    let root = SVGBackend::new(path, (1080, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, lines)) in root.split_evenly((1, 3)).into_iter().zip(panels) {
        let rates = || lines.iter().flat_map(|(_, points)| points.iter().map(|p| p.1));
        let low = rates().fold(f64::INFINITY, f64::min) / 1.5;
        let high = rates().fold(0.0, f64::max) * 1.5;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(32)
            .y_label_area_size(44)
            .build_cartesian_2d((20f64..2e7).log_scale(), (low..high).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("elements")
            .y_desc("elements / ns")
            .x_label_formatter(&|v| format!("1e{:.0}", v.log10()))
            .draw()?;
        for ((name, points), color) in lines.iter().zip(colors) {
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
            chart
                .draw_series(line)?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 11))
            .draw()?;
    }
    root.present()?;
    Ok(())
}
