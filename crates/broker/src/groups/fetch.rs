//! OffsetFetch. An offset that was never committed is −1, of a group that is not there, too.

use carrick_catalog::OffsetRecord;
use carrick_types::{Partition, TopicName};
use carrick_wire::{
    ErrorCode, OffsetFetchRequest, OffsetFetchRequestTopics, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics, Text,
};

use super::{Groups, World, check_id};
use crate::broker::{Ask, Begun};

/// From here on a request names several groups.
const SEVERAL: i16 = 8;

impl Groups {
    /// Without transactions every offset is stable.
    pub(crate) fn fetch(&self, ask: &Ask, request: OffsetFetchRequest) -> Begun {
        // No commit is half written: the catalog shows all of it or none.
        let answer = if ask.version >= SEVERAL {
            let groups =
                request.groups.into_iter().map(|asked| self.world.fetch(asked.group_id, asked.topics));
            OffsetFetchResponse { groups: groups.collect(), ..Default::default() }
        } else {
            let topics = request.topics.map(|topics| {
                let named = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
                    name: topic.name,
                    partition_indexes: topic.partition_indexes,
                });
                named.collect()
            });
            of_one(self.world.fetch(request.group_id, topics))
        };
        self.world.reply(self.world.told(answer))
    }
}

impl World {
    fn fetch(&self, group: Text, topics: Option<Vec<OffsetFetchRequestTopics>>) -> OffsetFetchResponseGroup {
        if let Err(code) = check_id(&group, false) {
            return OffsetFetchResponseGroup {
                group_id: group,
                error_code: code.code(),
                ..Default::default()
            };
        }
        let topics = match topics {
            Some(topics) => topics.into_iter().map(|topic| self.fetch_named(&group, topic)).collect(),
            None => {
                let all = self.catalog.group_offsets(&group).into_iter();
                all.map(|(topic, partitions)| fetched_all(&topic, &partitions)).collect()
            }
        };
        OffsetFetchResponseGroup { group_id: group, topics, error_code: ErrorCode::NONE.code() }
    }

    fn fetch_named(&self, group: &Text, topic: OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let known = Partition::from_wire(*index);
            let record = known.and_then(|it| self.catalog.group_offset(group, &topic.name, it));
            fetched(*index, record.as_ref())
        });
        OffsetFetchResponseTopics { partitions: partitions.collect(), name: topic.name }
    }
}

fn fetched_all(
    topic: &TopicName,
    partitions: &std::collections::BTreeMap<Partition, OffsetRecord>,
) -> OffsetFetchResponseTopics {
    let partitions = partitions.iter().map(|(index, record)| fetched(index.wire(), Some(record)));
    OffsetFetchResponseTopics { name: Text::from(topic.to_string()), partitions: partitions.collect() }
}

fn fetched(index: i32, record: Option<&OffsetRecord>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: record.map_or(-1, |it| it.offset.get()),
        committed_leader_epoch: record.and_then(|it| it.leader_epoch).map_or(-1, |it| it.get()),
        metadata: Some(record.map(|it| Text::from(it.metadata.clone())).unwrap_or_default()),
        error_code: ErrorCode::NONE.code(),
    }
}

/// The form of answers before version 8.
fn of_one(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|it| OffsetFetchResponsePartition {
                partition_index: it.partition_index,
                committed_offset: it.committed_offset,
                committed_leader_epoch: it.committed_leader_epoch,
                metadata: it.metadata,
                error_code: it.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse { topics: topics.collect(), error_code: group.error_code, ..Default::default() }
}
