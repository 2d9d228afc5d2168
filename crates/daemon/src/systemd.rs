//! What the service manager is told, where one started this process and asked for it: ready, alive, stopping, as
//! sd_notify(3) has it. Where `NOTIFY_SOCKET` is not set, all of this does nothing.

use std::sync::Arc;
use std::time::Duration;

use carrick_serve::Eyes;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

/// Its listeners accept.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// It was told to stop.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

fn say(words: &[NotifyState]) {
    if let Err(e) = sd_notify::notify(words) {
        warn!(error = %e, ?words, "the service manager could not be told");
    }
}

/// Between two words that the node is alive; None where nobody waits for them.
pub fn alive_every() -> Option<Duration> {
    // Half of the manager's patience, as sd_watchdog_enabled(3) advises.
    sd_notify::watchdog_enabled().map(|patience| patience / 2).filter(|every| !every.is_zero())
}

/// Tells that the node is alive for as long as it is: one that acknowledges nothing any more is better started anew. To be
/// run where no disk holds it up.
pub async fn keep_alive(eyes: Arc<dyn Eyes>, every: Duration) {
    tell_alive(&*eyes, every, say).await;
}

async fn tell_alive(eyes: &dyn Eyes, every: Duration, say: impl Fn(&[NotifyState])) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(why) = eyes.health() {
            error!(why, "the service manager is told no more that this node is alive");
            say(&[NotifyState::Status(&why)]);
            return;
        }
        say(&[NotifyState::Watchdog]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::BoxFuture;
    use parking_lot::Mutex;

    use super::*;

    /// Healthy that many times.
    struct Failing(AtomicUsize);

    impl Eyes for Failing {
        fn health(&self) -> Result<(), String> {
            let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            left.map(|_| ()).map_err(|_| "a sync failed".into())
        }

        fn ready(&self) -> Result<(), String> {
            self.health()
        }

        fn metrics(&self) -> BoxFuture<'_, String> {
            Box::pin(async { String::new() })
        }
    }

    #[tokio::test]
    async fn a_node_that_is_not_well_is_not_said_to_be_alive() {
        let said = Mutex::new(Vec::new());
        let say = |words: &[NotifyState]| said.lock().extend(words.iter().map(ToString::to_string));
        let eyes = Failing(AtomicUsize::new(3));
        let ended = tell_alive(&eyes, Duration::from_millis(1), say);
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
        assert_eq!(*said.lock(), ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STATUS=a sync failed"]);
    }
}
