//! What tells a built program from one that was typed: lines of Rust that asked for its lines, and names that nobody
//! gave.

use matex_ir::tensor::Func;
use matex_lang::Diagnostic;
use std::panic::Location;

/// The place in Rust of each line, as far as it has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<Option<&'static Location<'static>>>);

impl Places {
    pub(super) fn set(&mut self, line: usize, place: &'static Location<'static>) {
        self.0.resize(self.0.len().max(line + 1), None);
        self.0[line] = Some(place);
    }

    /// Adds the places of a text that stands behind that many lines.
    pub(super) fn append(&mut self, other: &Places, lines: usize) {
        self.0.resize(lines, None);
        self.0.extend(&other.0);
    }

    /// Adds to each diagnostic the lines of Rust that it speaks of.
    pub(crate) fn note(&self, source: &str, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        diagnostics.into_iter().map(|d| self.noted(source, d)).collect()
    }

    fn noted(&self, source: &str, mut diagnostic: Diagnostic) -> Diagnostic {
        let mut labels: Vec<_> = diagnostic.labels.iter().collect();
        labels.sort_by_key(|label| !label.primary);
        let mut notes: Vec<String> = Vec::new();
        for label in labels {
            let end = (label.span.start as usize).min(source.len());
            let line = source.as_bytes()[..end].iter().filter(|b| **b == b'\n').count();
            let note = self.0.get(line).copied().flatten().map(|place| format!("built at {place}"));
            notes.extend(note.filter(|n| !notes.contains(n)));
        }
        diagnostic.notes.extend(notes);
        diagnostic
    }
}

/// Takes the names from results that nobody named: a built program calls each value something.
pub(crate) fn forget_names(func: &mut Func) {
    for name in &mut func.result_names {
        name.take_if(|n| n.starts_with('_'));
    }
}
