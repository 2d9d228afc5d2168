//! The embedded cluster as a link's destination.

use std::sync::Arc;
use std::time::Duration;

use carrick_broker::{Broker, SyncRefusal, SyncedOffset, topic_log};
use carrick_catalog::{Catalog, CatalogError, MirrorOf, TopicRecord};
use carrick_link::{MirrorTopic, Position, Sink, SinkError, SinkPartition, SourceError};
use carrick_log::{AppendError, Bound, LogStore, MirrorError, Partition, Role};
use carrick_record::{Batch, EndTransaction};
use carrick_sys::{Sys, Wake};
use carrick_types::{
    LeaderEpoch, LineageId, Offset, Offsets, Partition as Index, Timestamp, TopicId, TopicName,
};
use futures::future::BoxFuture;

use crate::reserve::Reserve;
use crate::source::source_error;

pub(crate) struct EmbeddedSink {
    pub broker: Broker,
    pub sys: Sys,
    pub catalog: Arc<Catalog>,
    pub logs: Arc<LogStore>,
    pub reserve: Reserve,
}

struct EmbeddedMirror(Arc<Partition>);

impl Sink for EmbeddedSink {
    fn named(&self, name: &str) -> Option<TopicId> {
        self.catalog.topic(name).map(|topic| topic.id)
    }

    fn of_lineage(&self, lineage: LineageId) -> Option<TopicName> {
        self.catalog.topics().iter().find(|topic| topic.lineage == lineage).map(|topic| topic.name.clone())
    }

    fn create(&self, topic: MirrorTopic) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            let record = TopicRecord {
                id: topic.id,
                name: topic.name,
                lineage: topic.lineage,
                partitions: topic.partitions,
                configs: topic.configs,
                epoch: topic.epoch,
                created: self.sys.clock.wall(),
                mirror: Some(MirrorOf {
                    link: topic.link,
                    link_name: topic.link_name,
                    source_topic: topic.source_topic,
                }),
                links: Vec::new(),
                superseded: None,
            };
            let (role, log) = (role_of(&record), topic_log(&record.configs));
            match self.catalog.create_topic(record.clone()) {
                Ok(_) => {}
                // Made before a crash, by the same decision.
                Err(CatalogError::TopicExists { name })
                    if self.catalog.topic(name.as_str()).is_some_and(|it| it.id == record.id) => {}
                Err(CatalogError::TopicExists { name }) => {
                    let message =
                        format!("a topic {name} was made here meanwhile: delete it, then restart the node");
                    return Err(SinkError::Refused { code: "NAME_TAKEN", message });
                }
                Err(failed) => return Err(SinkError::Unavailable { message: failed.to_string() }),
            }
            let unavailable = |message: String| SinkError::Unavailable { message };
            self.catalog.durable(&*self.sys.disk).await.map_err(|e| unavailable(e.to_string()))?;
            self.logs
                .open_topic(record.id, record.partitions, role, true, log)
                .map_err(|e| unavailable(e.to_string()))
        })
    }

    fn partition(&self, topic: TopicId, partition: Index) -> Option<Arc<dyn SinkPartition>> {
        let open = self.logs.partition(topic, partition)?;
        Some(Arc::new(EmbeddedMirror(open)))
    }

    fn write_group<'a>(
        &'a self,
        group: &'a str,
        positions: Vec<(TopicName, Index, Position)>,
        quiet: Duration,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let offsets = positions.into_iter().map(|(topic, partition, position)| SyncedOffset {
                topic,
                partition,
                offset: position.offset,
                metadata: position.metadata,
            });
            self.broker.write_synced_offsets(group, offsets.collect(), quiet).await.map_err(group_refused)
        })
    }

    fn group_offset(&self, group: &str, topic: &TopicName, partition: Index) -> Option<Offset> {
        self.catalog.group_offset(group, topic.as_str(), partition).map(|it| it.offset)
    }

    fn synced_groups(&self, topics: &[TopicName]) -> Vec<String> {
        let now = self.sys.clock.wall();
        let groups = self.catalog.groups_with_offsets().into_iter().filter(|group| {
            let offsets = self.catalog.group_offsets(group);
            let mut records = offsets.values().flat_map(|partitions| partitions.values());
            let ours = offsets.keys().all(|topic| topics.contains(topic));
            // A client that went on here made it its own.
            ours && records.all(|it| it.synced && now.since(it.committed) < YOUNG_MS)
        });
        groups.map(|group| group.to_string()).collect()
    }

    fn delete_group<'a>(&'a self, group: &'a str, quiet: Duration) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.broker.delete_synced_group(group, quiet).await.map(|_| ()).map_err(group_refused)
        })
    }

    fn make_room(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.reserve.make_room(&self.sys, &self.catalog))
    }

    fn open(&self, topic: TopicId, epoch: LeaderEpoch) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            let unavailable = |message: String| SinkError::Unavailable { message };
            let was =
                self.catalog.topic_by_id(topic).ok_or_else(|| unavailable("the topic is gone".into()))?;
            // Marked first: a start between here and the end finds an ordinary topic, and the decision in the ledger.
            if was.mirror.is_some() {
                let now = TopicRecord { mirror: None, epoch, ..TopicRecord::clone(&was) };
                self.catalog.update_topic(&was, now).map_err(|e| unavailable(e.to_string()))?;
            }
            self.catalog.durable(&*self.sys.disk).await.map_err(|e| unavailable(e.to_string()))?;
            let epoch = self.catalog.topic_by_id(topic).map_or(epoch, |it| it.epoch.max(epoch));
            let wall = self.sys.clock.wall();
            for partition in self.logs.topic(topic) {
                // Between the link and the clients nobody writes but this.
                partition.set_role(Role::Closed);
                abort_open(&partition, epoch, wall).map_err(|e| unavailable(e.to_string()))?;
                partition.set_role(Role::Writable { epoch });
            }
            for partition in self.logs.topic(topic) {
                let end = partition.offsets().log_end.at();
                partition.acknowledged(end).await.map_err(|e| unavailable(e.to_string()))?;
            }
            Ok(())
        })
    }
}

/// As at the source: groups expire no sooner than this.
const YOUNG_MS: u64 = 6 * 86_400_000;

fn group_refused(failed: SyncRefusal) -> SinkError {
    let message = failed.to_string();
    match failed {
        SyncRefusal::Active { .. } | SyncRefusal::Refused { .. } => {
            SinkError::Refused { code: "GROUP_ACTIVE", message }
        }
        SyncRefusal::Catalog(_) => SinkError::Unavailable { message },
    }
}

/// No consumer may wait for the end of a transaction whose coordinator is gone.
fn abort_open(partition: &Partition, epoch: LeaderEpoch, at: Timestamp) -> Result<(), AppendError> {
    for (producer_id, producer_epoch) in partition.open_producers() {
        let marker = EndTransaction { producer_id, producer_epoch, coordinator_epoch: 0, commit: false, at };
        let mut bytes = marker.batch(Offset::ZERO, LeaderEpoch::FIRST);
        // What was just encoded is a batch.
        if let Ok(batch) = Batch::split_from(&mut bytes) {
            partition.append_marker(&batch, epoch, at)?;
        }
    }
    Ok(())
}

/// Who may append to a topic of the catalog.
pub(crate) fn role_of(topic: &TopicRecord) -> Role {
    match &topic.mirror {
        None if topic.superseded.is_some() => Role::Superseded,
        None => Role::Writable { epoch: topic.epoch },
        Some(_) => Role::Mirror { generation: topic.epoch.generation() },
    }
}

impl SinkPartition for EmbeddedMirror {
    fn offsets(&self) -> Offsets {
        self.0.offsets()
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.0.last_epoch()
    }

    fn open_transactions(&self) -> usize {
        self.0.open_producers().len()
    }

    fn bytes_from(&self, offset: Offset) -> u64 {
        self.0.bytes_from(offset)
    }

    fn newest(&self, count: usize) -> BoxFuture<'_, Result<Vec<Batch>, SourceError>> {
        Box::pin(async move {
            let mut batches = Vec::with_capacity(count);
            for base in self.0.newest(count) {
                let slice = self.0.read(base, 1, Bound::LogEnd).await.map_err(source_error)?;
                let mut bytes = slice.bytes;
                let batch = Batch::split_from(&mut bytes);
                batches.push(batch.map_err(|e| SourceError::Damaged { what: e.to_string() })?);
            }
            Ok(batches)
        })
    }

    fn start_at(&self, start: Offset) {
        self.0.start_at(start);
    }

    fn start_saved(&self) -> bool {
        self.0.start_saved()
    }

    fn append(&self, batch: &Batch, now: Timestamp) -> Result<(), SinkError> {
        let refused = |code, message| Err(SinkError::Refused { code, message });
        match self.0.append_mirrored(batch, None, now) {
            Ok(_) => Ok(()),
            Err(failed @ MirrorError::Order { .. }) => refused("OUT_OF_ORDER", failed.to_string()),
            Err(failed @ MirrorError::EpochBack { .. }) => refused("EPOCH_BACK", failed.to_string()),
            Err(failed @ MirrorError::Generation { .. }) => refused("GENERATION", failed.to_string()),
            Err(MirrorError::Append(failed)) => match failed {
                AppendError::NotWritable { .. } | AppendError::Damaged(_) | AppendError::Full => {
                    refused("NOT_WRITABLE", failed.to_string())
                }
                AppendError::Producer { .. } | AppendError::Halted { .. } | AppendError::Disk(_) => {
                    Err(SinkError::Unavailable { message: format!("{failed}: {}", cause(&failed)) })
                }
            },
        }
    }

    fn set_source_high(&self, high: Offset) {
        self.0.set_source_high(high);
    }

    fn follow_start(&self, start: Offset) {
        self.0.follow_start(start);
    }

    fn watch(&self, wake: &Wake) {
        self.0.watch(wake);
    }
}

fn cause(failed: &AppendError) -> String {
    std::error::Error::source(failed).map_or_else(String::new, ToString::to_string)
}
