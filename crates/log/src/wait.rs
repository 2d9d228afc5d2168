//! Waiting for a partition to move on: one [`Wake`] per waiter, registered with as many partitions as it waits for.

use std::sync::{Arc, Weak};

use tokio::sync::Notify;

/// A waiter. Register it first, look second, wait third: a move in between is not missed.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns after the next wake, or at once if there was one since the last return.
    pub async fn woken(&self) {
        self.0.notified().await;
    }

    pub fn wake(&self) {
        self.0.notify_one();
    }
}

#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<Weak<Notify>>);

/// A waiter that gave up leaves a dead entry until the next move, or until there are this many.
const SWEEP_AT: usize = 32;

impl Waiters {
    pub(crate) fn register(&mut self, wake: &Wake) {
        if self.0.len() >= SWEEP_AT && self.0.len().is_power_of_two() {
            self.0.retain(|waiter| waiter.strong_count() > 0);
        }
        self.0.push(Arc::downgrade(&wake.0));
    }

    pub(crate) fn wake_all(&mut self) {
        for waiter in self.0.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }
}
