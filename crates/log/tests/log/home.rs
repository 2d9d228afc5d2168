//! Homes of checkpoints that refuse, forget and alter.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use carrick_log::{Change, Checkpoints, LogSettings, MemoryCheckpoints, Pieces};
use carrick_sim::SimSite;
use carrick_types::{Partition, TopicId};
use futures::future::BoxFuture;

use crate::life::{Life, TOPIC};

/// A home that takes nothing while it is told to.
#[derive(Default)]
pub struct Home {
    pub kept: Arc<MemoryCheckpoints>,
    refuses: AtomicBool,
    stays_volatile: AtomicBool,
}

impl Home {
    pub fn refuse(&self, from_now: bool) {
        self.refuses.store(from_now, Ordering::Relaxed);
    }

    /// It takes what is saved, and cannot make it durable.
    pub fn stay_volatile(&self, from_now: bool) {
        self.stays_volatile.store(from_now, Ordering::Relaxed);
    }

    pub fn life(self: &Arc<Self>, site: SimSite, settings: LogSettings) -> Life {
        let (sys, home, kept) = (site.sys(), Arc::clone(self), Arc::clone(&self.kept));
        Life::given(site, sys, settings, home, kept).unwrap_or_else(|(_, e)| panic!("{e}"))
    }
}

impl Checkpoints for Home {
    fn load(&self, topic: TopicId, partition: Partition) -> io::Result<Pieces> {
        self.kept.load(topic, partition)
    }

    fn save(&self, changes: Vec<Change>) -> io::Result<()> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.kept.save(changes)
    }

    fn durable(&self) -> BoxFuture<'_, io::Result<()>> {
        if self.stays_volatile.load(Ordering::Relaxed) {
            return Box::pin(async { Err(io::ErrorKind::StorageFull.into()) });
        }
        self.kept.durable()
    }
}

/// What is saved of a partition of the tests' topic.
pub fn pieces(of: &MemoryCheckpoints, partition: u32) -> Pieces {
    of.load(TOPIC, Partition(partition)).unwrap()
}

/// A home with other pieces of one partition, the rest as it is.
pub fn altered(
    of: &MemoryCheckpoints,
    partition: u32,
    to: impl Fn(u64, Bytes) -> Option<Bytes>,
) -> MemoryCheckpoints {
    let home = of.after_power_cut(usize::MAX);
    let changes = pieces(of, partition).into_iter().map(|(piece, value)| Change {
        topic: TOPIC,
        partition: Partition(partition),
        piece,
        value: to(piece, value),
    });
    home.save(changes.collect()).unwrap();
    home
}

/// A bit of its own of each byte.
pub fn flipped(value: &[u8], at: usize) -> Bytes {
    let mut bytes = value.to_vec();
    bytes[at] ^= 1 << (at % 8);
    bytes.into()
}
