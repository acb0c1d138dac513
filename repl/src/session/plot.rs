//! `:plot`: drawings of a result, in characters or by [`chart`] to a file.
//!
//! Points are dots of braille characters, two across and four down in each; bars and heat maps are blocks. What is not
//! finite is left out.

use super::chart;
use super::commands::{refuse, tell};
use super::state::Session;
use crate::failure::Failure;
use matex::Tensor;

/// What can be drawn.
pub(super) const KINDS: [&str; 4] = ["heat", "hist", "line", "scatter"];

/// Characters across at most, and down.
const WIDEST: usize = 60;
const HEIGHT: usize = 12;

/// The most elements that are drawn.
const MOST: usize = 1 << 24;

type Drawing = Result<Vec<String>, &'static str>;

/// What is to be drawn, in characters or to a file.
pub(super) enum Chart {
    /// A line through points.
    Line(Vec<(f64, f64)>),
    /// Points.
    Points(Vec<(f64, f64)>),
    /// How many values there are in each of as many ranges of one width.
    Bars {
        /// The least and the largest value.
        ends: (f64, f64),
        counts: Vec<usize>,
    },
    /// A matrix in shades.
    Heat {
        values: Vec<f64>,
        rows: usize,
        columns: usize,
        /// The least and the largest value.
        ends: (f64, f64),
    },
}

/// `:plot [KIND] EXPR [FILE]`
pub(super) fn run(session: &mut Session, rest: &str) -> Result<(), Failure> {
    let (rest, file) = match rest.rsplit_once(char::is_whitespace) {
        Some((before, word)) if chart::is_file(word) => (before.trim_end(), Some(word)),
        Some(_) | None => (rest, None),
    };
    let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let named = KINDS.contains(&word) && !after.trim().is_empty();
    let (kind, expr) = if named { (word, after.trim()) } else { ("", rest) };
    let (ready, text) = session.expression(expr)?;
    let outputs = session.results(&ready, &text)?;
    let chart = match &outputs[..] {
        [one] if one.len() > MOST => Err("it has more than 16,777,216 elements"),
        [one] => Chart::new(kind, one),
        _ => Err("it is not one value"),
    };
    let refused = |why: &str| {
        refuse(
            &format!("this cannot be drawn: {why}"),
            "line and hist draw vectors, scatter a matrix of two columns, heat a matrix",
        )
    };
    let chart = chart.map_err(refused)?;
    if let Some(file) = file {
        return chart::save(&chart, file);
    }
    tell(chart.lines(session.columns.saturating_sub(1).clamp(10, WIDEST)).map_err(refused)?)
}

impl Chart {
    fn new(kind: &str, tensor: &Tensor) -> Result<Chart, &'static str> {
        let values: Vec<f64> = tensor.scalars().map(|s| s.to_f64()).collect();
        let chart = match (kind, tensor.shape()) {
            ("hist", [_]) => histogram(&values)?,
            ("" | "line", [_]) => {
                Chart::Line(values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect())
            }
            ("" | "scatter", [_, 2]) => {
                Chart::Points(values.as_chunks::<2>().0.iter().map(|[x, y]| (*x, *y)).collect())
            }
            ("" | "heat", [rows, columns]) => {
                let ends = ends(values.iter().copied())?;
                Chart::Heat { values, rows: *rows, columns: *columns, ends }
            }
            _ => return Err("its shape does not fit"),
        };
        if let Chart::Line(points) | Chart::Points(points) = &chart {
            ends(finite(points).map(|p| p.1))?;
        }
        Ok(chart)
    }

    /// What lies between which numbers, across and up.
    pub(super) fn ends(&self) -> ((f64, f64), (f64, f64)) {
        let of = |values: &mut dyn Iterator<Item = f64>| ends(values).unwrap_or((0.0, 0.0));
        match self {
            Chart::Line(points) | Chart::Points(points) => {
                (of(&mut finite(points).map(|p| p.0)), of(&mut finite(points).map(|p| p.1)))
            }
            Chart::Bars { ends, counts } => {
                (*ends, (0.0, counts.iter().copied().max().unwrap_or_default() as f64))
            }
            // The first row stands at the top.
            Chart::Heat { rows, columns, .. } => ((0.0, *columns as f64), (-(*rows as f64), 0.0)),
        }
    }

    fn lines(&self, width: usize) -> Drawing {
        match self {
            Chart::Line(points) => dots(points, true, width),
            Chart::Points(points) => {
                let mut lines = dots(points, false, width)?;
                lines.insert(0, "the second of the columns over the first".to_owned());
                Ok(lines)
            }
            Chart::Bars { ends, counts } => Ok(bars(*ends, counts, width)),
            Chart::Heat { values, rows, columns, ends } => Ok(heat(values, *rows, *columns, *ends, width)),
        }
    }
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
}

/// The least and the largest of the finite values.
fn ends(values: impl Iterator<Item = f64>) -> Result<(f64, f64), &'static str> {
    let fold = |ends: Option<(f64, f64)>, v: f64| Some(ends.map_or((v, v), |(a, b)| (a.min(v), b.max(v))));
    values.filter(|v| v.is_finite()).fold(None, fold).ok_or("there is nothing finite in it")
}

/// Where a value is between two ends, from 0 to `most`. Halves are taken first: the ends may be as far apart as floats are.
fn place(v: f64, (min, max): (f64, f64), most: usize) -> usize {
    let width = max / 2.0 - min / 2.0;
    if width <= 0.0 {
        return most / 2;
    }
    // A float that is too large or NaN becomes a number within bounds.
    (((v / 2.0 - min / 2.0) / width * most as f64).round() as usize).min(most)
}

/// Points, joined to a line or not.
fn dots(points: &[(f64, f64)], joined: bool, width: usize) -> Drawing {
    let across = ends(finite(points).map(|p| p.0))?;
    let up = ends(finite(points).map(|p| p.1))?;
    let (wide, high) = (width * 2, HEIGHT * 4);
    let at = |(x, y): (f64, f64)| (place(x, across, wide - 1), high - 1 - place(y, up, high - 1));
    let mut cells = vec![vec![0_u8; width]; HEIGHT];
    let mut dot = |x: usize, y: usize| {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if let Some(cell) = cells.get_mut(y / 4).and_then(|row| row.get_mut(x / 2)) {
            *cell |= BITS[y % 4][x % 2];
        }
    };
    let mut last = None;
    for point in finite(points) {
        let (x, y) = at(point);
        let (x0, y0) = last.filter(|_| joined).unwrap_or((x, y));
        let steps = x.abs_diff(x0).max(y.abs_diff(y0)).max(1);
        let between = |a: usize, b: usize, i: usize| {
            let (a, b, i, n) = (a as f64, b as f64, i as f64, steps as f64);
            (a + (b - a) * i / n).round() as usize
        };
        (0..=steps).for_each(|i| dot(between(x0, x, i), between(y0, y, i)));
        last = Some((x, y));
    }
    let braille = |bits: &u8| char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ');
    let mut lines = vec![Short(up.1).to_string()];
    lines.extend(
        cells
            .iter()
            .map(|row| row.iter().map(braille).collect::<String>().trim_end_matches('\u{2800}').to_owned()),
    );
    lines.push(format!("{}   from {} to {}", Short(up.0), Short(across.0), Short(across.1)));
    Ok(lines)
}

/// How many values there are in each of as many ranges of one width.
fn histogram(values: &[f64]) -> Result<Chart, &'static str> {
    let ends = ends(values.iter().copied())?;
    let bins = if ends.0 < ends.1 { HEIGHT } else { 1 };
    let mut counts = vec![0_usize; bins];
    for v in values.iter().filter(|v| v.is_finite()) {
        let range = (ends.1 / 2.0 - ends.0 / 2.0) / bins as f64;
        let bin = if range > 0.0 { ((v / 2.0 - ends.0 / 2.0) / range) as usize } else { 0 };
        counts[bin.min(bins - 1)] += 1;
    }
    Ok(Chart::Bars { ends, counts })
}

/// The bars of a histogram.
fn bars(ends: (f64, f64), counts: &[usize], width: usize) -> Vec<String> {
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    // Beside the bars stand a number before them and one behind.
    let bar = width.saturating_sub(20).max(5);
    let row = |(i, count): (usize, &usize)| {
        let part = i as f64 / counts.len() as f64;
        let from = ends.0 * (1.0 - part) + ends.1 * part;
        format!("{:>12} {} {count}", Short(from).to_string(), "█".repeat((count * bar).div_ceil(most)))
    };
    counts.iter().enumerate().map(row).chain([format!("{:>12}", Short(ends.1).to_string())]).collect()
}

/// A matrix in shades; rows and columns that there is no room for are left out evenly.
fn heat(values: &[f64], rows: usize, columns: usize, ends: (f64, f64), width: usize) -> Vec<String> {
    const SHADES: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];
    let (down, across) = (rows.min(HEIGHT * 2), columns.min(width / 2));
    let cell = |r: usize, c: usize| {
        let at = (r * rows / down) * columns + c * columns / across;
        let v = values.get(at).copied().filter(|v| v.is_finite());
        v.map_or("??", |v| SHADES[place(v, ends, SHADES.len() - 1)])
    };
    let line = |r: usize| (0..across).map(|c| cell(r, c)).collect::<String>();
    let legend = format!("██ {}, blank {}; {rows} rows, {columns} columns", Short(ends.1), Short(ends.0));
    (0..down).map(line).chain([legend]).collect()
}

/// A number in few digits.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let magnitude = self.0.abs();
        if magnitude != 0.0 && !(1e-3..1e6).contains(&magnitude) {
            return write!(f, "{:.3e}", self.0);
        }
        let text = format!("{:.4}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}
