//! The machine's own clock, disk, entropy and tasks.

mod disk;
mod sync;

pub use disk::RealDisk;
pub use sync::SyncMode;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carrick_types::Timestamp;
use futures::future::BoxFuture;

use crate::{Clock, Entropy, Mono, Spawn, Task};

pub struct RealClock {
    began: Instant,
}

impl RealClock {
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Mono {
        Mono(self.began.elapsed())
    }

    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(wait))
    }
}

pub struct RealEntropy;

impl Entropy for RealEntropy {
    fn fill(&self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            match rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => bytes = &mut std::mem::take(&mut bytes)[n..],
                Err(rustix::io::Errno::INTR) => {}
                // Ids and producer spaces stand on it: a system without it cannot run a node.
                Err(_) => std::process::abort(),
            }
        }
    }
}

/// Tasks of the tokio runtime that it was made in.
pub struct RealSpawn {
    runtime: tokio::runtime::Handle,
}

impl RealSpawn {
    pub fn new(runtime: tokio::runtime::Handle) -> Self {
        Self { runtime }
    }
}

impl Spawn for RealSpawn {
    fn spawn(&self, _name: &'static str, work: BoxFuture<'static, ()>) -> Task {
        Task::new(self.runtime.spawn(work))
    }
}
