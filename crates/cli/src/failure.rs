//! What went wrong, and what to type next.

use std::fmt;

/// A command that did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    what: String,
    next: String,
    code: u8,
}

const FAILED: u8 = 1;
/// As clap has it.
const MISUSED: u8 = 2;

impl Failure {
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), code: FAILED }
    }

    /// The words given cannot be meant so.
    pub fn misuse(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), code: MISUSED }
    }

    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n next: {}", self.what, self.next)
    }
}
