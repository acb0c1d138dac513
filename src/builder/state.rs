//! The text of a built function while it grows.

use super::places::Places;
use std::panic::Location;
use std::rc::Rc;

/// The text so far.
#[derive(Debug, Default)]
pub struct State {
    pub(super) name: String,
    /// The functions that are called.
    pub(super) before: String,
    pub(super) params: Vec<(String, &'static Location<'static>)>,
    pub(super) names: Vec<String>,
    /// The statements, each with its place in Rust.
    pub(super) lines: Vec<(String, &'static Location<'static>)>,
    pub(super) indent: usize,
    pub(super) count: usize,
    /// The places of the functions that are called, by lines of `before`.
    pub(super) places_before: Places,
}

impl State {
    pub(super) fn fresh(&mut self) -> Rc<str> {
        loop {
            self.count += 1;
            let name = format!("_{}", self.count);
            if !self.names.contains(&name) {
                return name.into();
            }
        }
    }

    pub(super) fn line(&mut self, text: &str, place: &'static Location<'static>) {
        self.lines.push((format!("{}{text}", "    ".repeat(self.indent + 1)), place));
    }
}
