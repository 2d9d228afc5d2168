//! Time that moves only when every task waits.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use carrick_sys::{Clock, Mono};
use carrick_types::Timestamp;
use futures::future::BoxFuture;
use tokio::time::Instant;

/// Where a site's wall clock begins unless told: 2026-01-01 00:00 UTC.
pub const WALL_START: Timestamp = Timestamp(1_767_225_600_000);

/// tokio's paused time, from the moment that the clock was made.
pub struct SimClock {
    began: Instant,
    wall_began: Timestamp,
    jumped_ms: AtomicI64,
}

impl SimClock {
    /// To be made inside [`run`](crate::run), else its time is the machine's.
    pub fn new(wall: Timestamp) -> Self {
        Self { began: Instant::now(), wall_began: wall, jumped_ms: AtomicI64::new(0) }
    }

    /// Moves the wall clock by so many milliseconds, either way; the monotonic clock does not notice.
    pub fn jump(&self, by_ms: i64) {
        self.jumped_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Mono {
        Mono(self.began.elapsed())
    }

    fn wall(&self) -> Timestamp {
        let since = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let jumped = self.jumped_ms.load(Ordering::Relaxed);
        Timestamp(self.wall_began.0.saturating_add(since).saturating_add(jumped))
    }

    /// Rounded up to whole milliseconds, which is what the timer counts.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let whole = wait.as_nanos().div_ceil(1_000_000);
        Box::pin(tokio::time::sleep(Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn an_hours_sleep_takes_an_hour_of_virtual_time() {
        run(1, async {
            let clock = SimClock::new(WALL_START);
            clock.sleep(Duration::from_secs(3600)).await;
            assert_eq!(clock.now(), Mono(Duration::from_secs(3600)));
            assert_eq!(clock.wall().since(WALL_START), 3_600_000);
        });
    }

    #[test]
    fn a_jump_moves_the_wall_clock_only() {
        run(1, async {
            let clock = SimClock::new(WALL_START);
            clock.jump(-5_000);
            assert_eq!(clock.wall(), Timestamp(WALL_START.0 - 5_000));
            assert_eq!(clock.now(), Mono(Duration::ZERO));
        });
    }

    #[test]
    fn a_part_of_a_millisecond_sleeps_a_whole_one() {
        run(1, async {
            let clock = SimClock::new(WALL_START);
            clock.sleep(Duration::from_micros(1)).await;
            assert_eq!(clock.now(), Mono(Duration::from_millis(1)));
        });
    }
}
