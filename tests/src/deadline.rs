//! Waiting for a state: asked often, and not for ever.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks until there is an answer.
///
/// # Panics
/// With `what`, when `patience` is over.
pub fn deadline<T>(what: &str, patience: Duration, ask: impl FnMut() -> Option<T>) -> T {
    within(patience, ask).unwrap_or_else(|| panic!("waited {}s in vain: {what}", patience.as_secs()))
}

/// Asks until there is an answer; None when `patience` is over.
pub(crate) fn within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if begun.elapsed() > patience => return None,
            None => std::thread::sleep(PAUSE),
        }
    }
}
