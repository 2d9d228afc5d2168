//! Refused peers of a TLS port: each is counted, some are said.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;

/// Said in full within [`WINDOW`]; the others are counted in a line at its end.
const SAID_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// The refusals of one port. Clones are the same.
#[derive(Clone, Debug)]
pub struct Refusals {
    port: Arc<str>,
    total: Arc<AtomicU64>,
    window: Arc<Mutex<Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    said: u32,
    unsaid: u64,
}

impl Refusals {
    pub fn new(port: &str) -> Self {
        let window = Window { began: Instant::now(), said: 0, unsaid: 0 };
        Self { port: port.into(), total: Arc::default(), window: Arc::new(Mutex::new(window)) }
    }

    /// Since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub fn note(&self, peer: SocketAddr, why: &dyn fmt::Display) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let (say, unsaid) = {
            let mut window = self.window.lock();
            let mut unsaid = 0;
            if window.began.elapsed() >= WINDOW {
                unsaid = window.unsaid;
                *window = Window { began: Instant::now(), said: 0, unsaid: 0 };
            }
            let say = window.said < SAID_MAX;
            if say {
                window.said += 1;
            } else {
                window.unsaid += 1;
            }
            (say, unsaid)
        };
        if unsaid > 0 {
            warn!(port = &*self.port, refused = unsaid, "more peers were refused and not named");
        }
        if say {
            warn!(port = &*self.port, %peer, %why, "refused a peer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_few_are_said() {
        let refusals = Refusals::new("test");
        for _ in 0..1_000 {
            refusals.note(SocketAddr::from(([127, 0, 0, 1], 1)), &"no certificate");
        }
        let window = refusals.window.lock();
        assert_eq!(
            (refusals.total(), window.said, window.unsaid),
            (1_000, SAID_MAX, 1_000 - u64::from(SAID_MAX))
        );
    }
}
