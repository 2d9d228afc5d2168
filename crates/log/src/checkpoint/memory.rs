//! A home of checkpoints in memory. After a power cut it loses what was saved last and not made durable, as the catalog
//! does.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use carrick_types::{Partition, TopicId};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{Change, Checkpoints, Pieces};

type Kept = BTreeMap<(TopicId, Partition, u64), Bytes>;

#[derive(Clone, Default)]
struct Inner {
    durable: Kept,
    unsynced: Vec<Vec<Change>>,
    current: Kept,
}

#[derive(Default)]
pub struct MemoryCheckpoints {
    inner: Mutex<Inner>,
}

impl MemoryCheckpoints {
    /// Saves that a power cut could take.
    pub fn unsynced(&self) -> usize {
        self.inner.lock().unsynced.len()
    }

    /// What a power cut leaves when the first `kept` of the un-synced saves reached the medium.
    #[must_use]
    pub fn after_power_cut(&self, kept: usize) -> Self {
        let inner = self.inner.lock();
        let mut left = inner.durable.clone();
        inner.unsynced.iter().take(kept).for_each(|changes| apply(&mut left, changes));
        let inner = Inner { durable: left.clone(), unsynced: Vec::new(), current: left };
        Self { inner: Mutex::new(inner) }
    }
}

fn apply(kept: &mut Kept, changes: &[Change]) {
    for change in changes {
        let key = (change.topic, change.partition, change.piece);
        match &change.value {
            Some(value) => kept.insert(key, value.clone()),
            None => kept.remove(&key),
        };
    }
}

impl Checkpoints for MemoryCheckpoints {
    fn load(&self, topic: TopicId, partition: Partition) -> io::Result<Pieces> {
        let inner = self.inner.lock();
        let pieces = inner.current.range((topic, partition, 0)..=(topic, partition, u64::MAX));
        Ok(pieces.map(|((_, _, piece), value)| (*piece, value.clone())).collect())
    }

    fn save(&self, changes: Vec<Change>) -> io::Result<()> {
        let mut inner = self.inner.lock();
        apply(&mut inner.current, &changes);
        inner.unsynced.push(changes);
        Ok(())
    }

    fn durable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            let mut inner = self.inner.lock();
            inner.durable = inner.current.clone();
            inner.unsynced.clear();
            Ok(())
        })
    }
}
