//! Tensors as text for people, close to what NumPy prints.
//!
//! A scalar shows every digit that it takes to read it back. In arrays, floats show at most eight digits after the
//! point (`{:.17}` asks for others), numbers of a matrix share one width, large arrays show their edges, and lines have at most 120
//! columns (`{:80}` asks for another width).

use super::Tensor;
use matex_ir::{DType, Scalar};
use std::fmt::{self, Write};

/// Arrays with more elements show their edges only.
const MAX_SHOWN: usize = 1000;

/// Elements shown at each end of an axis that is cut.
const EDGE: usize = 3;

/// Columns of a line, where nothing else is asked for.
const LINE: usize = 120;

/// Digits after the point, in arrays.
const DIGITS: usize = 8;

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rank() == 0 {
            return self.get(&[]).map_or(Ok(()), |value| match f.precision() {
                Some(digits) => f.write_str(&element(value, digits)),
                None => write!(f, "{value}"),
            });
        }
        if self.is_empty() {
            return if self.rank() == 1 { f.write_str("[]") } else { write!(f, "[] {}", self.describe()) };
        }
        let Some(edge) = edge(self.shape()) else {
            // So many axes that even their edges are too many: the kind must do.
            return write!(f, "[…] {}", self.describe());
        };
        let mut writer = Writer {
            tensor: self,
            edge,
            digits: f.precision().unwrap_or(DIGITS),
            width: 0,
            line: f.width().unwrap_or(LINE),
            out: String::new(),
            index: Vec::with_capacity(self.rank()),
        };
        if self.rank() > 1 {
            writer.width = writer.widest();
        }
        writer.axis();
        f.write_str(&writer.out)
    }
}

/// How many elements each end of an axis shows, `usize::MAX` when nothing is cut, `None` when even one is too many.
fn edge(shape: &[usize]) -> Option<usize> {
    let shown = |edge: usize| {
        let along = |&extent: &usize| extent.min(edge.saturating_mul(2));
        shape.iter().map(along).try_fold(1usize, usize::checked_mul)
    };
    [usize::MAX, EDGE, 1].into_iter().find(|&edge| {
        let limit = if edge == usize::MAX { MAX_SHOWN } else { 10 * MAX_SHOWN };
        shown(edge).is_some_and(|count| count <= limit)
    })
}

/// The positions of an axis that are shown; `None` stands for those that are left out.
fn positions(extent: usize, edge: usize) -> Vec<Option<usize>> {
    if extent <= edge.saturating_mul(2) {
        return (0..extent).map(Some).collect();
    }
    let (head, tail) = ((0..edge).map(Some), (extent - edge..extent).map(Some));
    head.chain([None]).chain(tail).collect()
}

struct Writer<'a> {
    tensor: &'a Tensor,
    edge: usize,
    digits: usize,
    width: usize,
    line: usize,
    out: String,
    index: Vec<usize>,
}

impl Writer<'_> {
    fn text(&self) -> String {
        self.tensor.get(&self.index).map_or_else(String::new, |value| element(value, self.digits))
    }

    /// The width of the widest element that is shown.
    fn widest(&mut self) -> usize {
        if self.index.len() == self.tensor.rank() {
            return self.text().chars().count();
        }
        let extent = self.tensor.shape()[self.index.len()];
        let mut widest = 0;
        for position in positions(extent, self.edge).into_iter().flatten() {
            self.index.push(position);
            widest = widest.max(self.widest());
            self.index.pop();
        }
        widest
    }

    /// Writes the axis that the index has come to, brackets included. Recursion is as deep as the rank, at most 64.
    fn axis(&mut self) {
        let depth = self.index.len();
        let inner = depth + 1 == self.tensor.rank();
        let breaks = self.tensor.rank() - depth - 1;
        self.out.push('[');
        let mut column = depth + 1;
        for (nth, position) in positions(self.tensor.shape()[depth], self.edge).into_iter().enumerate() {
            if nth > 0 && !inner {
                self.out.push(',');
                self.out.extend(std::iter::repeat_n('\n', breaks));
                self.pad(depth + 1);
            }
            let Some(position) = position else {
                if inner {
                    self.cell("…", nth, &mut column)
                } else {
                    self.out.push('…')
                }
                continue;
            };
            self.index.push(position);
            if inner {
                let text = self.text();
                self.cell(&text, nth, &mut column);
            } else {
                self.axis();
            }
            self.index.pop();
        }
        self.out.push(']');
    }

    /// Writes one element of a row, on a new line when this one is full.
    fn cell(&mut self, text: &str, nth: usize, column: &mut usize) {
        let wide = if text == "…" { 1 } else { self.width.max(text.chars().count()) };
        if nth > 0 {
            self.out.push(',');
            if *column + 2 + wide + self.tensor.rank() > self.line {
                self.out.push('\n');
                self.pad(self.tensor.rank());
                *column = self.tensor.rank();
            } else {
                self.out.push(' ');
                *column += 2;
            }
        }
        *column += wide;
        // A String takes any text, so that writing to it cannot fail.
        let _ = write!(self.out, "{text:>wide$}");
    }

    fn pad(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(' ', columns));
    }
}

/// An element with at most `digits` digits after the point.
fn element(value: Scalar, digits: usize) -> String {
    let (shortest, v) = (value.to_string(), value.to_f64());
    if !value.dtype().is_float() || !v.is_finite() {
        return shortest;
    }
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let exponent = v != 0.0 && !(1e-4..1e16).contains(&v.abs());
    let after_point = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if after_point <= digits && (!exponent || shortest.contains('e')) {
        return shortest;
    }
    // f32 is rounded from its own decimals, not from those of the f64 that it equals.
    let rounded = match (value.dtype(), exponent) {
        (DType::F64, false) => format!("{v:.digits$}"),
        (DType::F64, true) => format!("{v:.digits$e}"),
        (_, false) => format!("{:.digits$}", v as f32),
        (_, true) => format!("{:.digits$e}", v as f32),
    };
    let (mantissa, power) = rounded.split_once('e').map_or((&rounded[..], None), |(m, p)| (m, Some(p)));
    let trimmed = mantissa.trim_end_matches('0');
    let trimmed = if mantissa.contains('.') { trimmed } else { mantissa };
    let point = if trimmed.ends_with('.') && power.is_none() { "0" } else { "" };
    let trimmed = if power.is_some() { trimmed.trim_end_matches('.') } else { trimmed };
    format!("{trimmed}{point}{}", power.map_or(String::new(), |p| format!("e{p}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show<T: super::super::Element>(shape: &[usize], data: Vec<T>) -> String {
        Tensor::from_vec(shape, data).unwrap().to_string()
    }

    #[test]
    fn small_ones() {
        assert_eq!(Tensor::from(3.5).to_string(), "3.5");
        assert_eq!(Tensor::from(1.0 / 3.0).to_string(), "0.3333333333333333");
        assert_eq!(format!("{:.3}", Tensor::from(1.0 / 3.0)), "0.333");
        assert_eq!(Tensor::from(true).to_string(), "true");
        assert_eq!(show(&[2], vec![1.0, 2.0]), "[1.0, 2.0]");
        assert_eq!(show(&[3], vec![1.0 / 3.0, f64::NAN, -f64::INFINITY]), "[0.33333333, nan, -inf]");
        assert_eq!(show::<f64>(&[0], vec![]), "[]");
        assert_eq!(show::<f64>(&[0, 2], vec![]), "[] f64[0, 2]");
        assert_eq!(format!("{:7}", Tensor::from_slice(&[3], &[1, 2, 3]).unwrap()), "[1, 2,\n 3]");
        assert_eq!(show(&[4], vec![0.1f32, 1e-7, 1e20, 2.0 / 3.0]), "[0.1, 1e-7, 1e20, 0.6666667]");
        assert_eq!(show(&[2], vec![1.0 / 3e7, 1.99999999999]), "[3.33333333e-8, 2.0]");
    }

    #[test]
    fn matrices_are_aligned() {
        assert_eq!(show(&[2, 2], vec![1, -20, 300, 4]), "[[  1, -20],\n [300,   4]]");
        let cube = show(&[2, 1, 2], vec![1, 2, 3, 4]);
        assert_eq!(cube, "[[[1, 2]],\n\n [[3, 4]]]");
    }

    #[test]
    fn large_ones_show_their_edges() {
        let v: Vec<i64> = (0..2000).collect();
        assert_eq!(show(&[2000], v.clone()), "[0, 1, 2, …, 1997, 1998, 1999]");
        let m = show(&[1000, 2], v);
        assert_eq!(m.lines().count(), 7);
        assert_eq!(m.lines().nth(3), Some(" …,"));
        assert!(m.starts_with("[[   0,    1],"));
    }

    #[test]
    fn long_rows_wrap() {
        let text = show(&[100], (0..100).map(|i| i as f64 + 0.25).collect::<Vec<_>>());
        assert!(text.lines().all(|line| line.len() <= LINE) && text.lines().count() > 1);
        assert!(text.lines().nth(1).unwrap().starts_with(" "));
    }

    #[test]
    fn many_axes_do_not_take_forever() {
        let one = Tensor::from(1.0);
        let t = Tensor::from_parts(DType::F64, &[2; 60], &[0; 60], 0, one.buffer().clone()).unwrap();
        assert!(t.to_string().starts_with("[…] f64[2, 2,"));
    }
}
