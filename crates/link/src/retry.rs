//! When to try again: the only place that names the `backoff` crate.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use carrick_sys::Entropy;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);

/// Waits that double from 100 ms to 5 s, each shortened by up to a half at random, so that many do not try at once.
pub(crate) struct Retry {
    waits: ExponentialBackoff,
}

impl Retry {
    pub(crate) fn new() -> Self {
        // Chance is drawn from the seam and not by the crate; it never gives up.
        let waits = ExponentialBackoff {
            current_interval: FIRST,
            initial_interval: FIRST,
            multiplier: 2.0,
            max_interval: LAST,
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { waits }
    }

    pub(crate) fn next(&mut self, entropy: &dyn Entropy) -> Duration {
        let wait = self.waits.next_backoff().unwrap_or(LAST);
        let half = u64::try_from(wait.as_millis() / 2).unwrap_or(0).max(1);
        wait.saturating_sub(Duration::from_millis(entropy.u64() % half))
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.waits.current_interval = FIRST;
    }
}
