//! What happened, line by line, so that two runs of one seed can be compared.

use std::sync::Arc;

use parking_lot::Mutex;

/// A log that all actors of a run share; clones write into the same one.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Vec<String>>>);

/// The first line in which two histories differ; None where one had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub line: usize,
    pub left: Option<String>,
    pub right: Option<String>,
}

impl History {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn note(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// FNV-1a over all lines: for comparing runs without keeping them. Not for anything that an attacker may choose.
    pub fn digest(&self) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.0.lock().iter().fold(0xcbf2_9ce4_8422_2325, |hash, line| {
            line.bytes().chain(std::iter::once(b'\n')).fold(hash, step)
        })
    }

    /// None if the two are equal.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let (left, right) = (self.lines(), other.lines());
        (0..left.len().max(right.len()))
            .find(|line| left.get(*line) != right.get(*line))
            .map(|line| Difference { line, left: left.get(line).cloned(), right: right.get(line).cloned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let (left, right) = (History::new(), History::new());
        left.note("a");
        right.note("a");
        assert_eq!(left.difference(&right), None);
        assert_eq!(left.digest(), right.digest());
        left.note("b");
        assert_ne!(left.digest(), right.digest());
        assert_eq!(
            left.difference(&right),
            Some(Difference { line: 1, left: Some("b".into()), right: None })
        );
    }
}
