//! Time: monotonic for waits and ages, wall for what is written.

use std::time::Duration;

use carrick_types::Timestamp;
use futures::future::BoxFuture;
use futures::{FutureExt as _, pin_mut, select_biased};

/// Time since the process (or the simulated site) began. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub Duration);

impl Mono {
    /// Zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

/// A wait that ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time ran out")]
pub struct Elapsed;

pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Mono;

    /// May jump either way.
    fn wall(&self) -> Timestamp;

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;
}

impl dyn Clock {
    /// `work`, or [`Elapsed`] after `wait`. Work that is ready wins.
    pub async fn timeout<T>(&self, wait: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        let work = work.fuse();
        let mut sleep = self.sleep(wait).fuse();
        pin_mut!(work);
        select_biased! {
            done = work => Ok(done),
            () = sleep => Err(Elapsed),
        }
    }
}
