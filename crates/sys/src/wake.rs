//! Waiting for something to move on: one [`Wake`] per waiter, registered with as many things as it waits for.

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

/// Those who wait for one thing; each is woken once and must register again.
#[derive(Debug, Default)]
pub struct Waiters(Vec<Weak<Notify>>);

/// A waiter that gave up leaves a dead entry until the next move, or until there are this many.
const SWEEP_AT: usize = 32;

impl Waiters {
    pub fn register(&mut self, wake: &Wake) {
        if self.0.len() >= SWEEP_AT && self.0.len().is_power_of_two() {
            self.0.retain(|waiter| waiter.strong_count() > 0);
        }
        let waiter = Arc::downgrade(&wake.0);
        if self.0.last().is_none_or(|last| !last.ptr_eq(&waiter)) {
            self.0.push(waiter);
        }
    }

    pub fn wake_all(&mut self) {
        for waiter in self.0.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }
}
