//! The embedded cluster as a link's source.

use std::sync::Arc;

use bytes::Bytes;
use carrick_catalog::{Catalog, TopicRecord};
use carrick_link::{Source, SourceError, SourcePartition, SourceTopic};
use carrick_log::{Bound, LogStore, Partition, ReadError, Role};
use carrick_sys::Wake;
use carrick_types::{LeaderEpoch, Offset, Offsets, Partition as Index, TopicId};
use futures::future::BoxFuture;

pub(crate) struct EmbeddedSource {
    pub catalog: Arc<Catalog>,
    pub logs: Arc<LogStore>,
}

pub(crate) struct EmbeddedPartition(pub Arc<Partition>);

impl Source for EmbeddedSource {
    fn topics(&self) -> Vec<SourceTopic> {
        self.catalog.topics().iter().map(|topic| describe(topic)).collect()
    }

    fn topic(&self, name: &str) -> Option<SourceTopic> {
        self.catalog.topic(name).map(|topic| describe(&topic))
    }

    fn partition(&self, topic: TopicId, partition: Index) -> Option<Arc<dyn SourcePartition>> {
        let open = self.logs.partition(topic, partition)?;
        Some(Arc::new(EmbeddedPartition(open)))
    }
}

fn describe(topic: &TopicRecord) -> SourceTopic {
    SourceTopic {
        name: topic.name.clone(),
        id: topic.id,
        lineage: topic.lineage,
        partitions: topic.partitions,
        configs: topic.configs.clone(),
        epoch: topic.epoch,
    }
}

pub(crate) fn source_error(failed: ReadError) -> SourceError {
    match failed {
        ReadError::OutOfRange { asked, start, end } => SourceError::OutOfRange { asked, start, end },
        ReadError::Damaged(damage) => SourceError::Damaged { what: damage.to_string() },
        ReadError::Disk(failed) => SourceError::Disk(failed),
    }
}

impl SourcePartition for EmbeddedPartition {
    fn offsets(&self) -> Offsets {
        self.0.offsets()
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        self.0.leader_epoch()
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<Offset> {
        self.0.end_of_epoch(epoch).map(|it| it.end)
    }

    fn gone(&self) -> bool {
        self.0.role() == Role::Gone
    }

    fn watch(&self, wake: &Wake) {
        self.0.watch(wake);
    }

    fn read(&self, from: Offset, max: usize) -> BoxFuture<'_, Result<(Bytes, Offset), SourceError>> {
        Box::pin(async move {
            let slice = self.0.read(from, max, Bound::HighWatermark).await.map_err(source_error)?;
            Ok((slice.bytes, slice.next))
        })
    }
}
