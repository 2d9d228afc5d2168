//! OffsetCommit and OffsetDelete.

use carrick_catalog::{GroupPhase, OffsetRecord};
use carrick_types::{LeaderEpoch, Offset, Partition, Timestamp, TopicName};
use carrick_wire::{
    ErrorCode, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic, Text,
};
use tracing::error;

use super::limits::{OFFSET_METADATA_BYTES_MAX, OFFSETS_MAX};
use super::subscription::CONSUMER;
use super::{Groups, Missing, Turn, World, check_id};
use crate::broker::{Ask, Begun};

/// From here on a group that is not there is called so.
const NAMES_MISSING_GROUPS: i16 = 9;

/// What is to be written, and each partition's answer so far.
struct Plan {
    offsets: Vec<(TopicName, Partition, OffsetRecord)>,
    answer: OffsetCommitResponse,
}

impl Groups {
    pub(crate) fn commit(&self, ask: &Ask, request: OffsetCommitRequest) -> Begun {
        let mut plan = self.world.plan_commit(&request);
        // From outside of a group: an administrator, or a consumer that assigns its partitions itself.
        let outside = request.generation_id_or_member_epoch < 0;
        let missing = if outside { Missing::Make } else { Missing::Refuse };
        let offsets = std::mem::take(&mut plan.offsets);
        let done = check_id(&request.group_id, false).and_then(|()| {
            self.turn(&request.group_id, missing, |turn| {
                turn.check_commit(&request)?;
                turn.commit(offsets)
            })
            .flatten()
        });
        let mut told = self.world.told(plan.answer);
        if let Err(code) = done {
            let code = match code {
                ErrorCode::GROUP_ID_NOT_FOUND if ask.version < NAMES_MISSING_GROUPS => {
                    ErrorCode::ILLEGAL_GENERATION
                }
                other => other,
            };
            told.answer = super::told::Refusable::refused(told.answer, code);
        }
        self.world.reply(told)
    }

    pub(crate) fn delete_offsets(&self, request: OffsetDeleteRequest) -> Begun {
        let done = check_id(&request.group_id, true).and_then(|()| {
            self.turn(&request.group_id, Missing::Refuse, |turn| turn.delete_offsets(&request)).flatten()
        });
        let answer = match done {
            Ok(topics) => OffsetDeleteResponse { topics, ..Default::default() },
            Err(code) => OffsetDeleteResponse { error_code: code.code(), ..Default::default() },
        };
        self.world.reply(self.world.told(answer))
    }
}

impl World {
    fn plan_commit(&self, request: &OffsetCommitRequest) -> Plan {
        let now = self.sys.clock.wall();
        let expires = (request.retention_time_ms >= 0)
            .then(|| Timestamp(now.0.saturating_add(request.retention_time_ms)));
        let mut offsets = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let known = self.catalog.topic(&topic.name);
            let partitions = topic.partitions.iter().map(|asked| {
                let count = known.as_ref().map_or(0, |topic| topic.partitions);
                let index = self.partition(asked.partition_index, count);
                let code = match (&known, index, record(asked, now, expires)) {
                    (Some(topic), Some(index), Ok(record)) => {
                        offsets.push((topic.name.clone(), index, record));
                        ErrorCode::NONE
                    }
                    (Some(_), Some(_), Err(code)) => code,
                    _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                };
                OffsetCommitResponsePartition {
                    partition_index: asked.partition_index,
                    error_code: code.code(),
                }
            });
            OffsetCommitResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
        });
        let answer = OffsetCommitResponse { topics: topics.collect(), ..Default::default() };
        Plan { offsets, answer }
    }

    fn partition(&self, index: i32, count: u32) -> Option<Partition> {
        Partition::from_wire(index).filter(|index| index.0 < count)
    }
}

fn record(
    asked: &OffsetCommitRequestPartition,
    committed: Timestamp,
    expires: Option<Timestamp>,
) -> Result<OffsetRecord, ErrorCode> {
    let metadata = asked.committed_metadata.as_deref().unwrap_or_default();
    if metadata.len() > OFFSET_METADATA_BYTES_MAX {
        return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    }
    Ok(OffsetRecord {
        offset: Offset::new(asked.committed_offset).ok_or(ErrorCode::INVALID_REQUEST)?,
        leader_epoch: LeaderEpoch::new(asked.committed_leader_epoch),
        metadata: metadata.to_string(),
        committed,
        expires,
        synced: false,
    })
}

impl Turn<'_> {
    fn check_commit(&mut self, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
        let (generation, instance) =
            (request.generation_id_or_member_epoch, request.group_instance_id.as_ref());
        let is_empty = self.group.phase == GroupPhase::Empty;
        if generation < 0 && is_empty {
            return Ok(());
        }
        if generation < 0 && request.member_id.is_empty() && instance.is_none() {
            // Whoever is no member does not move what members read.
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.group.check_member(&request.member_id, instance)?;
        if generation != self.group.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if self.group.phase == GroupPhase::Completing {
            // It reads what it was assigned before, and is about to be assigned anew.
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        self.heard_of(&request.member_id);
        Ok(())
    }

    pub(super) fn commit(
        &mut self,
        offsets: Vec<(TopicName, Partition, OffsetRecord)>,
    ) -> Result<(), ErrorCode> {
        let catalog = &self.world.catalog;
        if catalog.offsets_kept() + offsets.len() > OFFSETS_MAX {
            let is_new = |(topic, partition, _): &&(TopicName, Partition, _)| {
                catalog.group_offset(&self.id, topic.as_str(), *partition).is_none()
            };
            if catalog.offsets_kept() + offsets.iter().filter(is_new).count() > OFFSETS_MAX {
                return Err(ErrorCode::INVALID_COMMIT_OFFSET_SIZE);
            }
        }
        catalog.commit_offsets(&self.id, offsets).map(drop).map_err(|failed| {
            error!(group = %self.id, error = %failed, "offsets could not be stored");
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        })
    }

    fn delete_offsets(
        &mut self,
        request: &OffsetDeleteRequest,
    ) -> Result<Vec<OffsetDeleteResponseTopic>, ErrorCode> {
        let active = self.group.phase != GroupPhase::Empty;
        if active && self.group.protocol_type != *CONSUMER {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        let subscribed = self.group.subscribed();
        let in_use =
            |topic: &Text| active && subscribed.as_ref().is_none_or(|topics| topics.contains(topic.as_str()));
        let mut which = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let known = self.world.catalog.topic(&topic.name);
            let partitions = topic.partitions.iter().map(|asked| {
                let count = known.as_ref().map_or(0, |topic| topic.partitions);
                let index = self.world.partition(asked.partition_index, count);
                let code = match (&known, index) {
                    (Some(_), Some(_)) if in_use(&topic.name) => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
                    (Some(known), Some(index)) => {
                        which.push((known.name.clone(), index));
                        ErrorCode::NONE
                    }
                    _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                };
                OffsetDeleteResponsePartition {
                    partition_index: asked.partition_index,
                    error_code: code.code(),
                }
            });
            let partitions = partitions.collect();
            topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
        }
        match self.world.catalog.delete_offsets(&self.id, &which) {
            Ok(_) => Ok(topics),
            Err(failed) => {
                error!(group = %self.id, error = %failed, "offsets could not be deleted");
                Err(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        }
    }
}
