//! The source as it is drawn: lines that are too long to look at are cut to the part that matters.
//!
//! Formulas made by programs come as one line of a megabyte. An error in it is shown with the text around it, under
//! its true line and column.

use codespan_reporting::files::{self, Error, Files};
use std::ops::Range;

/// Lines up to this many bytes are drawn whole.
const WHOLE: usize = 240;
/// How much of a longer line is drawn, and how much of that before its first label.
const WINDOW: usize = 160;
const BEFORE: usize = 60;
const MARK: &str = "…";

/// A source that may have been cut.
pub(super) struct Excerpt<'a> {
    name: &'a str,
    text: String,
    line_starts: Vec<usize>,
    /// For each line the number of columns that were cut off its start.
    cut: Vec<usize>,
}

impl<'a> Excerpt<'a> {
    /// Cuts the long lines of `text` around the ranges, and moves the ranges along.
    pub(super) fn new(name: &'a str, text: &str, ranges: &mut [Range<usize>]) -> Excerpt<'a> {
        let mut out = Excerpt {
            name,
            text: String::with_capacity(text.len()),
            line_starts: Vec::new(),
            cut: Vec::new(),
        };
        let mut moved: Vec<Range<usize>> = ranges.to_vec();
        let mut at = 0;
        // The empty line behind the last line end is a line too.
        for line in text.split('\n') {
            let whole = at..at + line.len() + 1;
            let window = window(line, at, ranges);
            let start = out.text.len();
            out.line_starts.push(start);
            out.cut.push(line[..window.start].chars().count().saturating_sub(usize::from(window.start > 0)));
            out.text.push_str(if window.start > 0 { MARK } else { "" });
            let text_start = out.text.len();
            out.text.push_str(&line[window.clone()]);
            let text_end = out.text.len();
            out.text.push_str(if window.end < line.len() { MARK } else { "" });
            let place = |old: usize| (text_start + (old - at).saturating_sub(window.start)).min(text_end);
            for (old, new) in ranges.iter().zip(&mut moved) {
                if whole.contains(&old.start) {
                    new.start = place(old.start);
                }
                if whole.contains(&old.end) {
                    new.end = place(old.end);
                }
            }
            out.text.push('\n');
            at = whole.end;
        }
        out.text.pop();
        for (range, moved) in ranges.iter_mut().zip(moved) {
            *range = moved.start..moved.end.max(moved.start);
        }
        out
    }
}

/// The part of a line that is drawn, in bytes of the line; `at` is the line's place in the text.
fn window(line: &str, at: usize, ranges: &[Range<usize>]) -> Range<usize> {
    if line.len() <= WHOLE {
        return 0..line.len();
    }
    let line_range = at..=at + line.len();
    let ends = ranges.iter().flat_map(|r| [r.start, r.end]);
    let first = ends.filter(|end| line_range.contains(end)).min().map_or(0, |end| end - at);
    let start = line.floor_char_boundary(first.saturating_sub(BEFORE));
    start..line.floor_char_boundary((start + WINDOW).min(line.len()))
}

impl<'a> Files<'a> for Excerpt<'_> {
    type FileId = ();
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, _: ()) -> Result<&'a str, Error> {
        Ok(self.name)
    }

    fn source(&'a self, _: ()) -> Result<&'a str, Error> {
        Ok(&self.text)
    }

    fn line_index(&'a self, _: (), byte_index: usize) -> Result<usize, Error> {
        Ok(self.line_starts.partition_point(|&start| start <= byte_index).saturating_sub(1))
    }

    fn line_range(&'a self, _: (), line_index: usize) -> Result<Range<usize>, Error> {
        let max = self.line_starts.len();
        let start = self.line_starts.get(line_index).ok_or(Error::LineTooLarge { given: line_index, max })?;
        Ok(*start..self.line_starts.get(line_index + 1).copied().unwrap_or(self.text.len()))
    }

    fn column_number(&'a self, (): (), line_index: usize, byte_index: usize) -> Result<usize, Error> {
        let shown = files::column_index(&self.text, self.line_range((), line_index)?, byte_index);
        Ok(shown + 1 + self.cut.get(line_index).copied().unwrap_or(0))
    }
}
