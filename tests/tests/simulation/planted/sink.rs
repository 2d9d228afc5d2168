//! A sink with a defect.

use std::sync::Arc;
use std::time::Duration;

use carrick_link::{MirrorTopic, Position, Sink, SinkError, SinkPartition, SourceError};
use carrick_record::Batch;
use carrick_sys::Wake;
use carrick_types::{
    LeaderEpoch, LineageId, LogEnd, Offset, Offsets, Partition, Timestamp, TopicId, TopicName,
};
use futures::future::BoxFuture;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFault {
    /// A log that is not empty ends one offset further up.
    EndOffByOne,
    /// An append that failed is said to be done.
    SwallowError,
    /// Positions land above where they were.
    GroupTooHigh,
}

pub struct WrongSink {
    pub inner: Arc<dyn Sink>,
    pub fault: SinkFault,
}

struct WrongPartition {
    inner: Arc<dyn SinkPartition>,
    fault: SinkFault,
}

impl Sink for WrongSink {
    fn named(&self, name: &str) -> Option<TopicId> {
        self.inner.named(name)
    }

    fn of_lineage(&self, lineage: LineageId) -> Option<TopicName> {
        self.inner.of_lineage(lineage)
    }

    fn create(&self, topic: MirrorTopic) -> BoxFuture<'_, Result<(), SinkError>> {
        self.inner.create(topic)
    }

    fn partition(&self, topic: TopicId, partition: Partition) -> Option<Arc<dyn SinkPartition>> {
        let inner = self.inner.partition(topic, partition)?;
        Some(Arc::new(WrongPartition { inner, fault: self.fault }))
    }

    fn write_group<'a>(
        &'a self,
        group: &'a str,
        mut positions: Vec<(TopicName, Partition, Position)>,
        quiet: Duration,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        if self.fault == SinkFault::GroupTooHigh {
            positions.iter_mut().for_each(|(.., position)| position.offset = position.offset.plus(2));
        }
        self.inner.write_group(group, positions, quiet)
    }

    fn group_offset(&self, group: &str, topic: &TopicName, partition: Partition) -> Option<Offset> {
        self.inner.group_offset(group, topic, partition)
    }

    fn synced_groups(&self, topics: &[TopicName]) -> Vec<String> {
        self.inner.synced_groups(topics)
    }

    fn delete_group<'a>(&'a self, group: &'a str, quiet: Duration) -> BoxFuture<'a, Result<(), SinkError>> {
        self.inner.delete_group(group, quiet)
    }

    fn make_room(&self) -> BoxFuture<'_, ()> {
        self.inner.make_room()
    }

    fn open(&self, topic: TopicId, epoch: LeaderEpoch) -> BoxFuture<'_, Result<(), SinkError>> {
        self.inner.open(topic, epoch)
    }
}

impl SinkPartition for WrongPartition {
    fn offsets(&self) -> Offsets {
        let offsets = self.inner.offsets();
        let end = offsets.log_end.at();
        if self.fault == SinkFault::EndOffByOne && end > Offset::ZERO {
            return Offsets { log_end: LogEnd::new(end.plus(1)), ..offsets };
        }
        offsets
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.inner.last_epoch()
    }

    fn open_transactions(&self) -> usize {
        self.inner.open_transactions()
    }

    fn bytes_from(&self, offset: Offset) -> u64 {
        self.inner.bytes_from(offset)
    }

    fn newest(&self, count: usize) -> BoxFuture<'_, Result<Vec<Batch>, SourceError>> {
        self.inner.newest(count)
    }

    fn start_saved(&self) -> bool {
        self.inner.start_saved()
    }

    fn start_at(&self, start: Offset) {
        self.inner.start_at(start);
    }

    fn append(&self, batch: &Batch, now: Timestamp) -> Result<(), SinkError> {
        let done = self.inner.append(batch, now);
        if self.fault == SinkFault::SwallowError { Ok(()) } else { done }
    }

    fn set_source_high(&self, high: Offset) {
        self.inner.set_source_high(high);
    }

    fn follow_start(&self, start: Offset) {
        self.inner.follow_start(start);
    }

    fn watch(&self, wake: &Wake) {
        self.inner.watch(wake);
    }
}
