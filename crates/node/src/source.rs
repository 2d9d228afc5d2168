//! The embedded cluster as a link's source.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use carrick_broker::{Broker, GroupState};
use carrick_catalog::{Catalog, CatalogError, TopicRecord};
use carrick_link::{
    Behind, Opened, Position, SinkError, Source, SourceError, SourceGroup, SourcePartition, SourceTopic,
};
use carrick_log::{Bound, LogStore, Partition, ReadError, Role};
use carrick_sys::{Sys, Wake};
use carrick_types::{
    LeaderEpoch, LinkId, Offset, Offsets, Partition as Index, Timestamp, TopicId, TopicName,
};
use futures::future::BoxFuture;
use tracing::warn;

use crate::boot::Waiting;

pub(crate) struct EmbeddedSource {
    pub sys: Sys,
    pub catalog: Arc<Catalog>,
    pub logs: Arc<LogStore>,
    pub waiting: Arc<Waiting>,
    pub broker: Broker,
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

    fn groups(&self, link: LinkId) -> BoxFuture<'_, Result<Vec<SourceGroup>, SinkError>> {
        Box::pin(async move {
            let followed: BTreeMap<TopicName, TopicId> = self
                .catalog
                .topics()
                .iter()
                .filter(|topic| topic.links.contains(&link))
                .map(|topic| (topic.name.clone(), topic.id))
                .collect();
            let now = self.sys.clock.wall();
            let mut groups = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let some =
                    self.broker.groups_after(after.as_deref(), GROUPS_AT_ONCE).await.map_err(unavailable)?;
                after = some.last().map(|group| group.id.clone());
                groups.extend(some.iter().map(|group| source_group(group, &followed, now)));
                if some.len() < GROUPS_AT_ONCE {
                    return Ok(groups.into_iter().filter(|group| !group.positions.is_empty()).collect());
                }
            }
        })
    }

    fn note_link(&self, topic: TopicId, link: LinkId) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            let Some(was) = self.catalog.topic_by_id(topic).filter(|it| !it.links.contains(&link)) else {
                return Ok(());
            };
            let mut now = TopicRecord::clone(&was);
            now.links.push(link);
            self.catalog.update_topic(&was, now).map_err(unavailable)?;
            self.catalog.durable(&*self.sys.disk).await.map_err(unavailable)
        })
    }

    fn hear(&self, link: LinkId, opened: Vec<Opened>) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            for it in opened {
                self.supersede(&it)?;
            }
            // The fence is durable before anything goes on; it stands in memory since.
            self.catalog.durable(&*self.sys.disk).await.map_err(unavailable)?;
            self.waiting.heard(link, &self.catalog, &self.logs);
            Ok(())
        })
    }
}

impl EmbeddedSource {
    /// Another site writes the topic since: this one stops, and what it wrote alone stays for the salvage.
    fn supersede(&self, it: &Opened) -> Result<(), SinkError> {
        let Some(was) = self.catalog.topic_by_id(it.source_topic) else {
            return Ok(());
        };
        let newer = was.lineage == it.lineage && was.epoch.generation() < it.generation;
        if !newer || was.mirror.is_some() || was.superseded >= Some(it.generation) {
            return Ok(());
        }
        for partition in self.logs.topic(was.id) {
            partition.set_role(Role::Superseded);
        }
        warn!(topic = %was.name, generation = %it.generation, "superseded: another site writes this topic since; writes here are refused");
        let now = TopicRecord { superseded: Some(it.generation), ..TopicRecord::clone(&was) };
        self.catalog.update_topic(&was, now).map_err(unavailable)?;
        Ok(())
    }
}

fn unavailable(failed: CatalogError) -> SinkError {
    SinkError::Unavailable { message: failed.to_string() }
}

const GROUPS_AT_ONCE: usize = 1_000;
/// Groups expire no sooner than this after their last commit, whatever else holds.
const YOUNG_MS: u64 = 6 * 86_400_000;

fn source_group(group: &GroupState, followed: &BTreeMap<TopicName, TopicId>, now: Timestamp) -> SourceGroup {
    let mut positions = BTreeMap::new();
    for (topic, partitions) in &group.offsets {
        let Some(id) = followed.get(topic) else { continue };
        for (partition, record) in partitions {
            let position = Position { offset: record.offset, metadata: record.metadata.clone() };
            positions.insert((*id, *partition), position);
        }
    }
    let young = group.members > 0 || group.committed().is_some_and(|at| now.since(at) < YOUNG_MS);
    SourceGroup { id: group.id.clone(), young, positions }
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
        ReadError::Gone => SourceError::Damaged { what: "the topic was deleted".into() },
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

    fn behind(&self, offset: Offset) -> Option<Behind> {
        let it = self.0.behind(offset)?;
        Some(Behind { offsets: it.offsets, bytes: it.bytes, since: it.since, or_before: it.or_before })
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
