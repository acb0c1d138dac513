//! What a call has to say about results that it gives all the same.

use matex_ir::{Code, Span};

/// A result that may not be what it looks like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Warning {
    /// Its number in the catalogue.
    pub code: Code,
    /// One line, with the condition number.
    pub message: String,
    /// The place in the source that it is about.
    pub origin: Span,
    /// The condition number that the message tells, rounded there; infinity when there is none.
    pub condition: f64,
}

impl Warning {
    /// Adds it to others. Of those about one place, as a loop makes them, the one with the largest condition number stays.
    pub(crate) fn add_to(self, others: &mut Vec<Warning>) {
        match others.iter_mut().find(|w| w.code == self.code && w.origin == self.origin) {
            None => others.push(self),
            Some(before) if self.condition > before.condition => *before = self,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_tells_its_worst() {
        let mut all = Vec::new();
        for (start, condition) in [(0, 1e17), (5, 1e16), (0, 3e18), (0, 1e16)] {
            let origin = Span::new(start, start + 1);
            Warning { code: Code(709), message: format!("{condition:e}"), origin, condition }
                .add_to(&mut all);
        }
        let told: Vec<(u32, &str)> = all.iter().map(|w| (w.origin.start, w.message.as_str())).collect();
        assert_eq!(told, [(0, "3e18"), (5, "1e16")]);
    }
}
