//! Open files of the node's logs: a bounded cache. A handle with un-synced writes is also held by what waits for the sync.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use carrick_sys::File;
use carrick_types::{Offset, Partition, TopicId};
use parking_lot::Mutex;

use crate::segment::{Entry, Index};

/// Of all indexes in memory: those of 50 segments of a GiB.
const INDEX_BYTES_MAX: usize = 32 << 20;

/// An open segment file and, of a sealed one, its entries.
pub(crate) struct Handle {
    pub topic: TopicId,
    pub partition: Partition,
    pub base: Offset,
    pub file: Arc<dyn File>,
    pub index: OnceLock<Index>,
    used: AtomicBool,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.base)
    }
}

impl Handle {
    pub(crate) fn new(topic: TopicId, partition: Partition, base: Offset, file: Arc<dyn File>) -> Arc<Self> {
        let (index, used) = (OnceLock::new(), AtomicBool::new(false));
        Arc::new(Self { topic, partition, base, file, index, used })
    }

    /// Says that it is in use: it outlives one more turn of the cache.
    pub(crate) fn touch(&self) {
        self.used.store(true, Ordering::Relaxed);
    }
}

/// Handles in the order in which they are looked at next: one that was used since is spared once.
pub(crate) struct Handles {
    queue: Mutex<VecDeque<Arc<Handle>>>,
    max: usize,
}

impl Handles {
    pub(crate) fn new(max: usize) -> Self {
        Self { queue: Mutex::default(), max: max.max(1) }
    }

    pub(crate) fn keep(&self, handle: &Arc<Handle>) {
        let mut queue = self.queue.lock();
        queue.push_back(Arc::clone(handle));
        while queue.len() > self.max {
            match queue.pop_front() {
                Some(oldest) if oldest.used.swap(false, Ordering::Relaxed) => queue.push_back(oldest),
                _ => {}
            }
        }
    }

    /// After an index was read: those that were not used longest go until the others fit.
    pub(crate) fn trim(&self) {
        let mut queue = self.queue.lock();
        let size =
            |it: &Arc<Handle>| it.index.get().map_or(0, |index| index.entries.len() * size_of::<Entry>());
        let mut bytes: usize = queue.iter().map(size).sum();
        while bytes > INDEX_BYTES_MAX && queue.len() > 1 {
            let Some(oldest) = queue.pop_front() else { return };
            bytes -= size(&oldest);
        }
    }

    /// Closes those of which `gone` holds: the space of a removed file is free once nobody has it open.
    pub(crate) fn forget(&self, gone: impl Fn(&Handle) -> bool) {
        self.queue.lock().retain(|handle| !gone(handle));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queue.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use bytes::Bytes;
    use carrick_sys::Durable;

    use super::*;

    struct Nothing;

    impl Durable for Nothing {
        fn make_durable(&self) -> io::Result<()> {
            Ok(())
        }
    }

    impl File for Nothing {
        fn read_at(&self, _: usize, _: u64) -> io::Result<Bytes> {
            Ok(Bytes::new())
        }

        fn read_cached(&self, _: usize, _: u64) -> io::Result<Option<Bytes>> {
            Ok(None)
        }

        fn write_at(&self, _: &[&[u8]], _: u64) -> io::Result<()> {
            Ok(())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn as_durable(self: Arc<Self>) -> Arc<dyn Durable> {
            self
        }
    }

    #[test]
    fn no_more_stay_open_than_may_and_those_in_use_stay_longest() {
        let handles = Handles::new(3);
        let open = |n: i64| {
            let id = TopicId::from_bytes([0; 16]);
            let handle = Handle::new(id, Partition(0), Offset::clamped(n), Arc::new(Nothing));
            handles.keep(&handle);
            Arc::downgrade(&handle)
        };
        let first = open(0);
        let others: Vec<_> = (1..50)
            .map(|n| {
                first.upgrade().unwrap().touch();
                open(n)
            })
            .collect();
        assert_eq!(handles.len(), 3);
        assert!(first.upgrade().is_some());
        assert_eq!(others.iter().filter(|it| it.upgrade().is_some()).count(), 2);
        handles.forget(|it| it.base == Offset::ZERO);
        assert!(first.upgrade().is_none());
    }
}
