//! A source with a defect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use carrick_link::{
    Behind, Opened, SinkError, Source, SourceError, SourceGroup, SourcePartition, SourceTopic,
};
use carrick_record::Batch;
use carrick_sys::Wake;
use carrick_types::{LeaderEpoch, LinkId, Offset, Offsets, Partition, TopicId};
use futures::future::BoxFuture;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// One read in four of several batches leaves out the first.
    SkipBatch,
    /// What the other side opened is not heard.
    ForgetFence,
    NobodyBehind,
}

pub struct WrongSource {
    inner: Arc<dyn Source>,
    fault: SourceFault,
    reads: Arc<AtomicU64>,
}

struct WrongPartition {
    inner: Arc<dyn SourcePartition>,
    fault: SourceFault,
    reads: Arc<AtomicU64>,
}

impl WrongSource {
    pub fn new(inner: &Arc<dyn Source>, fault: SourceFault) -> Self {
        Self { inner: Arc::clone(inner), fault, reads: Arc::default() }
    }
}

impl Source for WrongSource {
    fn topics(&self) -> Vec<SourceTopic> {
        self.inner.topics()
    }

    fn topic(&self, name: &str) -> Option<SourceTopic> {
        self.inner.topic(name)
    }

    fn partition(&self, topic: TopicId, partition: Partition) -> Option<Arc<dyn SourcePartition>> {
        let inner = self.inner.partition(topic, partition)?;
        Some(Arc::new(WrongPartition { inner, fault: self.fault, reads: Arc::clone(&self.reads) }))
    }

    fn groups(&self, link: LinkId) -> BoxFuture<'_, Result<Vec<SourceGroup>, SinkError>> {
        self.inner.groups(link)
    }

    fn note_link(&self, topic: TopicId, link: LinkId) -> BoxFuture<'_, Result<(), SinkError>> {
        self.inner.note_link(topic, link)
    }

    fn hear(&self, link: LinkId, opened: Vec<Opened>) -> BoxFuture<'_, Result<(), SinkError>> {
        let opened = if self.fault == SourceFault::ForgetFence { Vec::new() } else { opened };
        self.inner.hear(link, opened)
    }
}

impl SourcePartition for WrongPartition {
    fn offsets(&self) -> Offsets {
        self.inner.offsets()
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        self.inner.leader_epoch()
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<Offset> {
        self.inner.end_of_epoch(epoch)
    }

    fn behind(&self, offset: Offset) -> Option<Behind> {
        self.inner.behind(offset).filter(|_| self.fault != SourceFault::NobodyBehind)
    }

    fn gone(&self) -> bool {
        self.inner.gone()
    }

    fn watch(&self, wake: &Wake) {
        self.inner.watch(wake);
    }

    fn read(&self, from: Offset, max: usize) -> BoxFuture<'_, Result<(Bytes, Offset), SourceError>> {
        Box::pin(async move {
            let (bytes, next) = self.inner.read(from, max).await?;
            let mut rest = bytes.clone();
            let first = Batch::split_from(&mut rest);
            if self.fault == SourceFault::SkipBatch
                && first.is_ok()
                && !rest.is_empty()
                && self.reads.fetch_add(1, Ordering::Relaxed) % 4 == 3
            {
                return Ok((rest, next));
            }
            Ok((bytes, next))
        })
    }
}
